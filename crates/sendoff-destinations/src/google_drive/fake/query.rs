//! Drive's search queries, as far as the stand-in needs them
//! (<https://developers.google.com/workspace/drive/api/guides/ref-search-terms>).

use serde_json::Value;

/// What a file must be.
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    /// A member equals a text.
    Is(&'static str, String),
    /// The name begins with a text.
    Contains(String),
    In(String),
    /// Who asks is an owner.
    Mine,
    Has(String, String),
    Trashed(bool),
}

impl Condition {
    /// Whether a file is so, for somebody and his own drive.
    pub(super) fn holds(&self, file: &Value, home: &str, who: &str) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.holds(file, home, who)),
            Self::Any(all) => all.iter().any(|one| one.holds(file, home, who)),
            Self::Is(member, text) => file[*member] == **text,
            Self::Contains(text) => {
                let name = file["name"].as_str().unwrap_or_default().to_lowercase();
                name.split_whitespace().any(|word| word.starts_with(&text.to_lowercase()))
            }
            Self::In(parent) => {
                let parent = if parent == "root" { home } else { parent };
                file["parents"].as_array().is_some_and(|all| all.iter().any(|one| one == parent))
            }
            Self::Mine => file["owners"][0]["emailAddress"] == *who,
            Self::Has(key, value) => file["appProperties"][key] == **value,
            Self::Trashed(trashed) => file["trashed"] == *trashed,
        }
    }
}

/// Reads a query; `None` if it is malformed.
pub(super) fn read(text: &str) -> Option<Condition> {
    let mut rest = text;
    let condition = any(&mut rest)?;
    rest.trim().is_empty().then_some(condition)
}

fn any(rest: &mut &str) -> Option<Condition> {
    let mut all = vec![every(rest)?];
    while word(rest, "or ") {
        all.push(every(rest)?);
    }
    Some(Condition::Any(all))
}

fn every(rest: &mut &str) -> Option<Condition> {
    let mut all = vec![one(rest)?];
    while word(rest, "and ") {
        all.push(one(rest)?);
    }
    Some(Condition::All(all))
}

fn one(rest: &mut &str) -> Option<Condition> {
    if word(rest, "(") {
        let inside = any(rest)?;
        return word(rest, ")").then_some(inside);
    }
    if word(rest, "name contains") {
        return Some(Condition::Contains(quoted(rest)?));
    }
    for member in ["name", "mimeType"] {
        if word(rest, &format!("{member} =")) {
            return Some(Condition::Is(member, quoted(rest)?));
        }
    }
    for trashed in [true, false] {
        if word(rest, &format!("trashed = {trashed}")) {
            return Some(Condition::Trashed(trashed));
        }
    }
    if word(rest, "appProperties has {") {
        let key = word(rest, "key=").then(|| quoted(rest))??;
        let value = (word(rest, "and ") && word(rest, "value=")).then(|| quoted(rest))??;
        return word(rest, "}").then_some(Condition::Has(key, value));
    }
    if word(rest, "'me' in owners") {
        return Some(Condition::Mine);
    }
    let id = quoted(rest)?;
    word(rest, "in parents").then_some(Condition::In(id))
}

/// Takes `expected` off, if it comes next.
fn word(rest: &mut &str, expected: &str) -> bool {
    let after = rest.trim_start().strip_prefix(expected);
    if let Some(after) = after {
        *rest = after;
    }
    after.is_some()
}

/// A text in quotes; a backslash stands before quotes and backslashes.
fn quoted(rest: &mut &str) -> Option<String> {
    let inside = rest.trim_start().strip_prefix('\'')?;
    let mut text = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => {
                *rest = &inside[at + 1..];
                return Some(text);
            }
            '\\' => text.push(chars.next().filter(|(_, c)| matches!(c, '\'' | '\\'))?.1),
            c => text.push(c),
        }
    }
    None
}
