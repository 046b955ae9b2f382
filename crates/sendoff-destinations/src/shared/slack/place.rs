//! Where a message goes, as users write it: ids, names, links.

use sendoff::{Error, Result};

/// One channel or person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The id of a channel or of an open conversation.
    Channel(String),
    /// The id of a person.
    User(String),
    /// `#general` or `@ada`: Slack takes no names, so they are looked up.
    Named(String),
}

/// Places, and the thread that a link among them points into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) all: Vec<Place>,
    pub(crate) thread: Option<String>,
}

/// Slack itself asks for this shape: `^[CGDZ][A-Z0-9]{8,}$`
/// (<https://github.com/slackapi/bolt-js/issues/2115>).
pub(crate) fn is_channel(text: &str) -> bool {
    is_id(text, "CGDZ")
}

pub(crate) fn is_user(text: &str) -> bool {
    is_id(text, "UW")
}

fn is_id(text: &str, first: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    text.starts_with(|c| first.contains(c))
        && (9..=40).contains(&text.len())
        && text.bytes().all(sound)
}

/// The most places of one delivery.
const MOST: usize = 20;

impl Places {
    /// Reads the answer to `channel`: one or more, with commas or spaces between.
    ///
    /// # Errors
    /// A form error.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut places = Self::default();
        for part in text.split([',', ';', ' ', '\n', '\t']).filter(|part| !part.is_empty()) {
            let place = if is_channel(part) {
                Place::Channel(part.to_owned())
            } else if is_user(part) {
                Place::User(part.to_owned())
            } else if part.len() > 1 && part.starts_with(['#', '@']) {
                Place::Named(part.to_owned())
            } else if let Some(link) = Link::parse(part) {
                places.thread = places.thread.or(link.message);
                Place::Channel(link.channel)
            } else {
                return Err(Error::form("channel", unknown(part)));
            };
            if !places.all.contains(&place) {
                places.all.push(place);
            }
        }
        match places.all.len() {
            0 => Err(Error::form("channel", "Name the channel or the person.")),
            1..=MOST => Ok(places),
            _ => Err(Error::form("channel", format!("At most {MOST} channels can be named."))),
        }
    }

    /// The thread that the answer to `thread` names, or else the one of a link.
    ///
    /// # Errors
    /// A form error.
    pub(crate) fn thread(&self, answer: Option<&str>) -> Result<Option<String>> {
        let answer = answer.map(str::trim).filter(|text| !text.is_empty());
        let thread = match answer {
            None => self.thread.clone(),
            Some(text) if is_moment(text) => Some(text.to_owned()),
            Some(text) => {
                let link = Link::parse(text);
                let message = link.as_ref().and_then(|link| link.message.clone());
                let (Some(link), Some(message)) = (link, message) else {
                    return Err(Error::form(
                        "thread",
                        "This is no message: enter the link that Slack gives under \"Copy link\", \
                         or the message's time such as 1700000000.000100.",
                    ));
                };
                if self.all.iter().any(|place| *place != Place::Channel(link.channel.clone())) {
                    return Err(Error::form(
                        "thread",
                        format!("The message is in {}, not in the channel chosen.", link.channel),
                    ));
                }
                Some(message)
            }
        };
        if thread.is_some() && self.all.len() > 1 {
            return Err(Error::form("thread", "A thread is in one channel: name only that one."));
        }
        Ok(thread)
    }
}

fn unknown(part: &str) -> String {
    let shown: String = part.chars().filter(|c| !c.is_control()).take(40).collect();
    format!(
        "\"{shown}\" is no id. Enter the id of a channel (C0123ABCD, at the end of its details in \
         Slack) or of a person (U0123ABCD), its link, or its name with # or @ in front."
    )
}

/// A message's id: a time with six digits behind the point.
fn is_moment(text: &str) -> bool {
    text.split_once('.').is_some_and(|(seconds, rest)| {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        (9..=12).contains(&seconds.len()) && rest.len() == 6 && digits(seconds) && digits(rest)
    })
}

/// `https://acme.slack.com/archives/C0123ABCD/p1700000000000100?thread_ts=1700000000.000000`
struct Link {
    channel: String,
    /// The message to reply to, which is the first one of its thread.
    message: Option<String>,
}

impl Link {
    fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        let host = url.host_str()?;
        if !(host.ends_with(".slack.com") || host.ends_with(".slack-gov.com")) {
            return None;
        }
        let mut path = url.path_segments()?;
        let channel = (path.next() == Some("archives")).then(|| path.next())??;
        let own = path.next().and_then(|part| part.strip_prefix('p')).and_then(|digits| {
            let at = digits.len().checked_sub(6)?;
            let moment = format!("{}.{}", digits.get(..at)?, digits.get(at..)?);
            is_moment(&moment).then_some(moment)
        });
        let parent = url.query_pairs().find(|(name, _)| name == "thread_ts");
        let parent = parent.map(|(_, moment)| moment.into_owned()).filter(|text| is_moment(text));
        is_channel(channel).then(|| Self { channel: channel.to_owned(), message: parent.or(own) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<Place> {
        Places::parse(text).expect("sound").all
    }

    #[test]
    fn ids_names_and_links_are_places() {
        let channel = |id: &str| Place::Channel(id.to_owned());
        assert_eq!(places(" C0123ABCD "), [channel("C0123ABCD")]);
        assert_eq!(
            places("C0123ABCD,U0123ABCD; #reports @ada C0123ABCD"),
            [
                channel("C0123ABCD"),
                Place::User("U0123ABCD".into()),
                Place::Named("#reports".into()),
                Place::Named("@ada".into()),
            ]
        );
        assert_eq!(places("https://acme.slack.com/archives/G0123ABCD"), [channel("G0123ABCD")]);
        for wrong in [
            "",
            " , ",
            "general",
            "#",
            "GENERAL",
            "c0123abcd",
            "C0123-ABCD",
            "https://evil.example/archives/C0123ABCD",
            "https://acme.slack.com/x/C0123ABCD",
        ] {
            let error = Places::parse(wrong).expect_err(wrong);
            assert_eq!(error.field_name(), Some("channel"), "{wrong}");
        }
        let many: Vec<_> = (100_000_000..100_000_021).map(|n| format!("C{n}")).collect();
        assert!(Places::parse(&many.join(",")).is_err());
    }

    #[test]
    fn a_thread_is_a_time_or_a_link_in_the_same_channel() {
        let thread = |channel: &str, answer: &str| {
            Places::parse(channel)
                .expect("sound")
                .thread(Some(answer))
                .map(Option::unwrap_or_default)
        };
        let link = "https://acme.slack.com/archives/C0123ABCD/p1700000000000100";
        assert_eq!(thread("C0123ABCD", "1700000000.000100").expect("sound"), "1700000000.000100");
        assert_eq!(thread("C0123ABCD", link).expect("sound"), "1700000000.000100");
        let reply = format!("{link}?thread_ts=1600000000.000200&cid=C0123ABCD");
        assert_eq!(thread("C0123ABCD", &reply).expect("sound"), "1600000000.000200");
        assert_eq!(thread(link, "").expect("sound"), "1700000000.000100");
        assert_eq!(thread("C0123ABCD", "").expect("sound"), "");
        assert!(thread("C0999ABCD", link).is_err(), "another channel's message");
        assert!(thread("C0123ABCD,C0999ABCD", "1700000000.000100").is_err(), "two channels");
        for wrong in
            ["1700000000", "1700000000.1", "yesterday", "https://acme.slack.com/archives/C0123ABCD"]
        {
            assert!(thread("C0123ABCD", wrong).is_err(), "{wrong}");
        }
    }
}
