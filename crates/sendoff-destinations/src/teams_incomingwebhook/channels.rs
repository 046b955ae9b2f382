//! Channels by name: an admin knows the webhook URLs, users choose.

use sendoff::{Secret, Value};

/// Names and webhook URLs, as lines of `Name: https://…`.
#[derive(Clone)]
pub(crate) struct Channels(Vec<(String, Secret)>);

impl Channels {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn url(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(known, _)| known == name.trim()).map(|(_, url)| url)
    }
}

impl Value for Channels {
    const SENSITIVE: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let mut all: Vec<(String, Secret)> = Vec::new();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            // The URL is a secret, and where it begins may be what is wrong.
            let wrong = || format!("Line {} must look like Name: https://….", n + 1);
            let at = line.find("https://").ok_or_else(wrong)?;
            let (name, url) = line.split_at(at);
            let name = name.trim().trim_end_matches([':', '=']).trim();
            if name.is_empty() || all.iter().any(|(known, _)| known == name) {
                return Err(format!("Line {} needs a name of its own.", n + 1));
            }
            all.push((name.to_owned(), url.trim().into()));
        }
        if all.is_empty() {
            return Err("No channel is named.".to_owned());
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_urls() {
        let all =
            Channels::parse("Sales: EU: https://a.example/x?y=1:2\n\nIT = https://b.example/")
                .unwrap();
        assert_eq!(all.names().collect::<Vec<_>>(), ["Sales: EU", "IT"]);
        assert_eq!(all.url("Sales: EU").unwrap().expose(), "https://a.example/x?y=1:2");
        for wrong in
            ["", "Sales", "https://a.example/", "A: https://a\nA: https://b", "A: http://a"]
        {
            let message = Channels::parse(wrong).map(|_| ()).unwrap_err();
            assert!(!message.contains("example"), "{message}");
        }
    }
}
