//! What a server says: its replies, and what it can do.

use sendoff::Error;

/// What is quoted of a reply, in characters.
const QUOTED: usize = 300;

/// What the server said it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) starttls: bool,
    /// Mechanisms in capitals.
    pub(super) auth: Vec<String>,
    /// The most bytes of a message, where it says so.
    pub(super) size: Option<u64>,
    pub(super) smtputf8: bool,
}

impl Abilities {
    pub(super) fn of(reply: &Reply) -> Self {
        let mut all = Self::default();
        // The first line is the greeting.
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => all.starttls = true,
                Some("AUTH") => all.auth.extend(words.map(str::to_owned)),
                // 0 says that there is no limit (RFC 1870).
                Some("SIZE") => {
                    all.size = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                }
                Some("SMTPUTF8") => all.smtputf8 = true,
                _ => {}
            }
        }
        all
    }
}

/// An answer of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) lines: Vec<String>,
}

impl Reply {
    pub(super) fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// `550 5.1.1 No such user.`, on one line.
    pub(super) fn words(&self) -> String {
        let all = format!("{} {}", self.code, self.lines.join(" "));
        let mut words: String = all.trim().chars().take(QUOTED).collect();
        if !words.ends_with(['.', '!', '?']) {
            words.push('.');
        }
        words
    }

    /// The error that begins with `sentence`; a code of 4xx may pass.
    pub(super) fn error(&self, sentence: String) -> Error {
        let error = Error::vendor(format!("{sentence}: {}", self.words()));
        if self.code / 100 == 4 { error.retry_later() } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abilities_are_read_from_the_servers_list() {
        let lines =
            ["mail.example hi", "size 35882577", "AUTH=LOGIN plain", "STARTTLS", "SMTPUTF8"];
        let reply = Reply { code: 250, lines: lines.map(str::to_owned).into() };
        let all = Abilities::of(&reply);
        assert_eq!(all.auth, ["LOGIN", "PLAIN"]);
        assert_eq!((all.size, all.starttls, all.smtputf8), (Some(35_882_577), true, true));
        let none = Reply { code: 250, lines: vec!["STARTTLS".into(), "SIZE 0".into()] };
        assert_eq!(Abilities::of(&none), Abilities::default());
    }
}
