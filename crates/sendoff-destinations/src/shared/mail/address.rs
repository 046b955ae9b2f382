//! Mailboxes as people type them: `Ada <ada@example.com>, "Lovelace, B." <b@example.com>`.

use std::collections::HashSet;
use std::fmt;

use sendoff::Value;
use url::Host;

/// More than any server takes for one message.
const MOST: usize = 1_000;

/// RFC 5321, section 4.5.3.1.
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 253;

/// A name goes into a header; longer ones are a mistake.
const LONGEST_NAME: usize = 200;

/// One mailbox. It holds no character that could end a header or a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mailbox {
    name: Option<String>,
    /// As it stands on the wire, in quotes if it needs them.
    local: String,
    /// In ASCII: other letters as IDNA writes them.
    domain: String,
}

impl Mailbox {
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The domain in ASCII.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// `ada@example.com`
    pub(crate) fn address(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// Whether only servers with SMTPUTF8 (RFC 6531) can take it.
    pub(crate) fn is_international(&self) -> bool {
        !self.local.is_ascii()
    }

    /// Two spellings of one mailbox, as far as anybody but its own server can tell.
    fn key(&self) -> String {
        self.address().to_lowercase()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}@{}>", self.local, self.domain),
            None => write!(f, "{}@{}", self.local, self.domain),
        }
    }
}

impl Value for Mailbox {
    fn parse(text: &str) -> Result<Self, String> {
        let mut all = Mailboxes::parse(text)?.0;
        match (all.pop(), all.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err("Name one address here, such as Looker <looker@example.com>.".to_owned()),
        }
    }
}

/// A list of mailboxes, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mailboxes(Vec<Mailbox>);

impl Mailboxes {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Mailbox> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without those that `others` hold.
    pub(crate) fn without(mut self, others: &[&Self]) -> Self {
        let taken: HashSet<_> =
            others.iter().flat_map(|list| list.iter().map(Mailbox::key)).collect();
        self.0.retain(|one| !taken.contains(&one.key()));
        self
    }
}

impl Value for Mailboxes {
    fn parse(text: &str) -> Result<Self, String> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for entry in entries(text) {
            let mailbox = mailbox(entry)?;
            if seen.insert(mailbox.key()) {
                all.push(mailbox);
            }
            if all.len() > MOST {
                return Err(format!("More than {MOST} addresses are named."));
            }
        }
        if all.is_empty() {
            return Err("No address is named, such as ada@example.com.".to_owned());
        }
        Ok(Self(all))
    }
}

/// The parts between commas, semicolons and line ends that stand outside of quotes and brackets.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    let parts = text.split(move |c: char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match c {
            // A line end ends everything: no address goes over it.
            '\n' | '\r' => {
                (quoted, bracketed) = (false, false);
                return true;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            ',' | ';' => return !quoted && !bracketed,
            _ => {}
        }
        false
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn mailbox(entry: &str) -> Result<Mailbox, String> {
    let wrong = |why: &str| {
        let shown: String = entry.chars().filter(|c| !c.is_control()).take(60).collect();
        format!("\"{shown}\" is no e-mail address: {why}.")
    };
    if entry.chars().any(char::is_control) {
        return Err(wrong("it holds control characters"));
    }
    let (name, address) = match entry.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (unquoted(name.trim()), address.trim()),
        None => (String::new(), entry),
    };
    if name.chars().count() > LONGEST_NAME {
        return Err(wrong("its name is too long"));
    }
    let (local, domain) =
        address.rsplit_once('@').ok_or_else(|| wrong("it must look like ada@example.com"))?;
    if !is_local(local) {
        return Err(wrong("what stands before the @ is not allowed there"));
    }
    let domain = match Host::parse(domain) {
        Ok(Host::Domain(domain)) if domain.len() <= LONGEST_DOMAIN && is_domain(&domain) => domain,
        _ => return Err(wrong("what stands behind the @ is no domain")),
    };
    let name = Some(name).filter(|name| !name.is_empty());
    Ok(Mailbox { name, local: local.to_owned(), domain })
}

/// The name without its quotes and their escapes.
fn unquoted(name: &str) -> String {
    let Some(inside) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return name.to_owned();
    };
    let mut text = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

/// A dot-atom of RFC 5322, with other letters as RFC 6532 allows, or a quoted text.
fn is_local(local: &str) -> bool {
    if local.is_empty() || local.len() > LONGEST_LOCAL {
        return false;
    }
    if let Some(inside) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            let c = if c == '\\' { chars.next() } else { Some(c).filter(|c| *c != '"') };
            if !c.is_some_and(|c| matches!(c, ' '..='~')) {
                return false;
            }
        }
        return true;
    }
    let allowed = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~".contains(c)
            || (!c.is_ascii() && c.is_alphanumeric())
    };
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(allowed))
}

/// The URL parser's domains hold more than mail's: letters, digits and hyphens alone are both's.
fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        Mailboxes::parse(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_are_split_outside_of_quotes() {
        assert_eq!(
            shown("a@x.example,b@x.example; c@x.example\nd@x.example\r\n"),
            ["a@x.example", "b@x.example", "c@x.example", "d@x.example"]
        );
        assert_eq!(
            shown(r#"Ada <a@x.example>, "Love, \"B\"; <z>" <b@x.example>"#),
            ["Ada <a@x.example>", r#"Love, "B"; <z> <b@x.example>"#]
        );
        assert_eq!(shown("a@x.example, A@X.example, Ada <a@x.EXAMPLE>"), ["a@x.example"]);
    }

    #[test]
    fn domains_are_ascii_and_local_parts_are_not() {
        let one = Mailbox::parse("Jürgen <jürgen@bücher.example>").unwrap();
        assert_eq!(one.address(), "jürgen@xn--bcher-kva.example");
        assert!(one.is_international());
        assert!(!Mailbox::parse("a+b@bücher.example").unwrap().is_international());
        assert_eq!(Mailbox::parse(r#""a b"@x.example"#).unwrap().address(), r#""a b"@x.example"#);
    }

    #[test]
    fn nothing_that_could_be_a_header_or_a_command_gets_through() {
        for wrong in [
            "",
            "a",
            "@x.example",
            "a@",
            "a b@x.example",
            "a..b@x.example",
            ".a@x.example",
            "a@x..example",
            "a@10.0.0.1",
            "a@x.example/path",
            "a@x.example>",
            "<a@x.example> SIZE=1",
            "a@b@x.example",
            "\"a\"b\"@x.example",
            "a\u{0}@x.example",
            "A\u{7f} <a@x.example>",
            "a@x.example\r\nBcc: b@x.example",
            "<script>@x.example",
            "(comment)a@x.example",
        ] {
            assert!(Mailboxes::parse(wrong).is_err(), "{wrong:?}");
        }
        let many: Vec<_> = (0..1_001).map(|n| format!("a{n}@x.example")).collect();
        assert!(Mailboxes::parse(&many.join(",")).is_err());
        assert!(Mailbox::parse("a@x.example, b@x.example").is_err());
        assert!(Mailboxes::parse(&format!("{}@x.example", "a".repeat(65))).is_err());
    }

    #[test]
    fn a_mailbox_is_named_once() {
        let list = |text: &str| Mailboxes::parse(text).unwrap();
        let cc = list("b@x.example, c@x.example").without(&[&list("a@x.example, B@X.example")]);
        assert_eq!(cc.iter().map(Mailbox::address).collect::<Vec<_>>(), ["c@x.example"]);
    }
}
