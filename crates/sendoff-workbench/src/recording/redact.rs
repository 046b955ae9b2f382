//! Masks secrets in a JSON body while it flows: in flat memory, in whatever pieces it comes, and
//! also where it is cut before its end.
//!
//! Which values are secret follows from where they stand: what the protocol says may hold a token,
//! and what its name says.

use crate::request::MASK;

/// Whose body it is.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    /// Looker's: `data` holds params, of which these are known to be open.
    Looker {
        /// Params that the list says are not sensitive.
        open: Vec<String>,
        /// Whether the attachment's data is kept.
        data: bool,
    },
    /// The hub's.
    Hub,
    /// Everything in it is secret, as in the answer of a token URL.
    Secret,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Masked,
    /// A URL whose query is masked.
    Query,
}

/// Levels deeper than this are not looked at: nothing that the protocol knows lies there.
const DEEPEST: usize = 64;
/// Longer names are no names of secrets.
const LONGEST_NAME: usize = 128;
/// A masked value is remembered up to this length, so that it can be found in an answer too.
const REMEMBERED: usize = 8 << 10;
/// And so many of them.
const REMEMBERED_AT_MOST: usize = 64;

/// Where in the JSON it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Between values: a value, a comma or an end comes.
    Between,
    /// In a string that is a name.
    Name,
    /// In a string that is a value.
    Text,
    /// In a number, a word, or what is no JSON.
    Word,
}

/// Masks one body.
pub(crate) struct Redactor {
    side: Side,
    at: At,
    escaped: bool,
    /// Whether the next string is a name.
    wants_name: bool,
    /// For each open object or array: whether it is an object, and the name that comes before the
    /// value in it.
    path: Vec<(bool, Vec<u8>)>,
    fate: Fate,
    /// Depth at which the masked value began, while it is an object or an array.
    masked_from: Option<usize>,
    value: Vec<u8>,
    pub(crate) secrets: Vec<String>,
}

impl Redactor {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            at: At::Between,
            escaped: false,
            wants_name: false,
            path: Vec::new(),
            fate: Fate::Kept,
            masked_from: None,
            value: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// What may be shown of the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(piece.len() + 16);
        for &byte in piece {
            self.byte(byte, &mut shown);
        }
        shown
    }

    fn byte(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match self.at {
            At::Name => {
                let end = self.string(byte);
                if let Some((_, name)) = self.path.last_mut()
                    && !end
                    && name.len() < LONGEST_NAME
                {
                    name.push(byte);
                }
                self.show(byte, shown);
                if end {
                    self.at = At::Between;
                    self.wants_name = false;
                }
            }
            At::Text => {
                let end = self.string(byte);
                if end {
                    self.at = At::Between;
                    self.end_of_text(shown);
                } else {
                    self.inside(byte, shown);
                }
            }
            At::Word if byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']') => {
                self.at = At::Between;
                if self.masked_from.is_none() && self.fate == Fate::Masked {
                    shown.extend_from_slice(format!("\"{MASK}\"").as_bytes());
                }
                self.between(byte, shown);
            }
            At::Word => {
                if self.masked_from.is_none() && self.fate != Fate::Masked {
                    shown.push(byte);
                }
            }
            At::Between => self.between(byte, shown),
        }
    }

    /// Whether the string ends with this byte.
    fn string(&mut self, byte: u8) -> bool {
        if self.escaped {
            self.escaped = false;
            return false;
        }
        self.escaped = byte == b'\\';
        byte == b'"'
    }

    fn show(&self, byte: u8, shown: &mut Vec<u8>) {
        if self.masked_from.is_none() {
            shown.push(byte);
        }
    }

    /// A byte of a text.
    fn inside(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match self.fate {
            Fate::Kept => self.show(byte, shown),
            Fate::Masked => {
                if self.value.len() < REMEMBERED {
                    self.value.push(byte);
                }
            }
            Fate::Query => {
                let after = self.value.contains(&b'?');
                if self.value.len() < REMEMBERED {
                    self.value.push(byte);
                }
                if !after {
                    self.show(byte, shown);
                }
            }
        }
    }

    fn end_of_text(&mut self, shown: &mut Vec<u8>) {
        if self.masked_from.is_some() {
            self.remember();
            return;
        }
        match self.fate {
            Fate::Kept => shown.push(b'"'),
            Fate::Masked => {
                self.remember();
                shown.extend_from_slice(format!("{MASK}\"").as_bytes());
            }
            Fate::Query => {
                if self.value.contains(&b'?') {
                    shown.extend_from_slice(MASK.as_bytes());
                }
                self.value.clear();
                shown.push(b'"');
            }
        }
    }

    fn remember(&mut self) {
        let value = std::mem::take(&mut self.value);
        if self.secrets.len() >= REMEMBERED_AT_MOST || value.len() >= REMEMBERED {
            return;
        }
        let Ok(raw) = String::from_utf8(value) else { return };
        // As it is written, and as it is meant.
        if let Ok(meant) = serde_json::from_str::<String>(&format!("\"{raw}\""))
            && meant != raw
        {
            self.secrets.push(meant);
        }
        self.secrets.push(raw);
    }

    fn between(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match byte {
            b'"' if self.wants_name => {
                self.at = At::Name;
                if let Some((_, name)) = self.path.last_mut() {
                    name.clear();
                }
                self.show(byte, shown);
            }
            b'"' => {
                self.begin();
                self.at = At::Text;
                self.show(byte, shown);
            }
            b'{' | b'[' => {
                self.begin();
                if self.fate == Fate::Masked && self.masked_from.is_none() {
                    shown.extend_from_slice(format!("\"{MASK}\"").as_bytes());
                    self.masked_from = Some(self.path.len());
                }
                if self.path.len() < DEEPEST * 2 {
                    self.path.push((byte == b'{', Vec::new()));
                }
                self.wants_name = byte == b'{';
                self.show(byte, shown);
            }
            b'}' | b']' => {
                self.show(byte, shown);
                self.path.pop();
                self.wants_name = false;
                if self.masked_from == Some(self.path.len()) {
                    self.masked_from = None;
                }
            }
            b',' => {
                self.wants_name = self.path.last().is_some_and(|(object, _)| *object);
                self.show(byte, shown);
            }
            b':' | b' ' | b'\n' | b'\r' | b'\t' => self.show(byte, shown),
            _ => {
                self.begin();
                // Nothing is hidden by null.
                if byte == b'n' && self.masked_from.is_none() {
                    self.fate = Fate::Kept;
                }
                self.at = At::Word;
                if self.fate != Fate::Masked {
                    self.show(byte, shown);
                }
            }
        }
    }

    /// A value begins.
    fn begin(&mut self) {
        self.value.clear();
        if self.masked_from.is_none() {
            self.fate = self.fate_of_value();
        } else {
            self.fate = Fate::Masked;
        }
    }

    fn fate_of_value(&self) -> Fate {
        let names: Vec<&str> = self
            .path
            .iter()
            .filter(|(object, _)| *object)
            .map(|(_, name)| std::str::from_utf8(name).unwrap_or_default())
            .collect();
        let last = names.last().copied().unwrap_or_default();
        if is_secret_name(last) {
            return Fate::Masked;
        }
        match &self.side {
            Side::Secret => match self.path.is_empty() {
                true => Fate::Masked,
                false => Fate::Kept,
            },
            Side::Looker { open, data } => match names[..] {
                ["data", name] => match name {
                    "value" | "rendered" | "test" => Fate::Kept,
                    name if open.iter().any(|open| open == name) => Fate::Kept,
                    _ => Fate::Masked,
                },
                ["scheduled_plan", "download_url" | "async_callback_url"] | ["state"] => {
                    Fate::Masked
                }
                ["attachment", "data"] if !data => Fate::Masked,
                _ => Fate::Kept,
            },
            Side::Hub => match names[..] {
                [.., "state", "data"] => Fate::Masked,
                [.., "oauth_url" | "url" | "form_url" | "token_url"] => Fate::Query,
                _ => Fate::Kept,
            },
        }
    }
}

/// Names that say by themselves that a secret follows.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let secret = [
        "password",
        "passphrase",
        "secret",
        "access_token",
        "refresh_token",
        "id_token",
        "private_key",
        "authorization",
        "state_json",
        "state_url",
        "state_redir_url",
        "tokens",
    ];
    secret.iter().any(|secret| name == *secret)
        || name.ends_with("_password")
        || name.ends_with("_secret")
        || name.ends_with("_private_key")
}
