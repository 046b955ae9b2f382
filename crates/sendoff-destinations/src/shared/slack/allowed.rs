//! Which channels an admin allows.

use sendoff::{Error, Item, Result};
use serde::Deserialize;

use super::Slack;

/// Ids, `#names` with `*`, and `@*` for all direct messages. Empty allows everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed(Vec<String>);

impl Allowed {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let parts = text.unwrap_or_default().split([',', ';', '\n']).map(str::trim);
        Self(parts.filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// Whether the form offers it. Labels begin with `#` or `@`, then the name.
    pub(super) fn offers(&self, item: &Item) -> bool {
        let name = item.label.split_whitespace().next().unwrap_or_default();
        self.has(&item.id) || self.named(name)
    }

    fn has(&self, id: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|one| one == id)
    }

    fn named(&self, name: &str) -> bool {
        let mut patterns = self.0.iter();
        if name.starts_with('@') {
            return patterns.any(|pattern| pattern == "@*");
        }
        patterns.any(|pattern| pattern.starts_with('#') && fits(pattern, name))
    }

    /// Asks Slack for the channel's name where only that can tell.
    ///
    /// # Errors
    /// A form error if it is not allowed, or Slack's.
    pub(super) async fn check(&self, slack: &Slack, id: &str) -> Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            channel: Channel,
        }
        #[derive(Deserialize)]
        struct Channel {
            #[serde(default)]
            name: String,
        }
        let person = id.starts_with(['U', 'W', 'D']);
        let sound = if self.has(id) {
            true
        } else if person {
            self.named("@")
        } else if self.0.iter().any(|pattern| pattern.starts_with('#')) {
            let answer: Answer = slack.get("conversations.info", &[("channel", id)]).await?;
            self.named(&format!("#{}", answer.channel.name))
        } else {
            false
        };
        if sound {
            return Ok(());
        }
        Err(Error::form(
            "channel",
            format!(
                "{id} is not among the channels that Looker's admin allows for this action. Choose \
                 another, or ask for it to be added to \"Allowed Channels\"."
            ),
        ))
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name) in [
            ("#reports", "#reports"),
            ("#reports-*", "#reports-eu"),
            ("#*", "#x"),
            ("#a*b*c", "#a1b2c"),
            ("#*-eu", "#reports-eu"),
            ("#a*a", "#aa"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("#reports", "#reports-eu"),
            ("#reports-*", "#report"),
            ("#a*a", "#a"),
            ("#a*b*c", "#a1c"),
            ("#*-eu", "#reports-eux"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn an_empty_list_allows_everything_and_a_list_only_what_it_names() {
        let item = |id: &str, label: &str| Item::new(id, label);
        assert!(Allowed::parse(Some(" , ")).offers(&item("C1", "#x")));
        let some = Allowed::parse(Some("C1, #reports-*"));
        assert!(some.offers(&item("C1", "#x")));
        assert!(some.offers(&item("C2", "#reports-eu (the bot is not a member)")));
        assert!(!some.offers(&item("C3", "#x")));
        assert!(!some.offers(&item("U1", "@ada (Ada)")));
        assert!(Allowed::parse(Some("@*")).offers(&item("U1", "@ada (Ada)")));
    }
}
