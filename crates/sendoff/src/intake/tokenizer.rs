//! A push tokenizer for a Looker request body: members one by one, attachment data as it flows.
//!
//! It takes chunks cut anywhere, never blocks, looks at each byte a fixed number of times, and
//! holds at most the small members that are not complete yet. The order of members is free:
//! captures of real requests differ in it.
//!
//! It is strict JSON (RFC 8259) with four further rules: the body is an object, no member of it or
//! of its attachment stands twice, streamed text holds no half of a surrogate pair (it could not
//! be written as UTF-8), and depth and the size of small members are limited. Names within small
//! members may repeat, and numbers may have any size: what a reader makes of them is its matter.

#[cfg(any(test, fuzzing))]
pub(crate) mod oracle;
mod text;
mod value;

#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::fmt;

use bytes::Bytes;

use text::{Text, Utf8};
use value::Value;

/// What one member costs of [`Limits::member_bytes`] besides its text: the room that its name
/// takes in the list of names seen.
const MEMBER_COST: usize = 64;

/// How much of a chunk is looked at at once for a name. A name with an escape takes a buffer of
/// this size, so that many such names in one large chunk cost no more than they are long.
const NAME_WINDOW: usize = 64;

const VALUE: &str = "a JSON value";
const NAME: &str = "a member's name in double quotes";
const NAME_OR_BRACE: &str = "a member's name in double quotes or '}'";
const COLON: &str = "':' after a member's name";
const COMMA_OR_BRACE: &str = "',' or '}' after a member's value";

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of `word` that equal `byte`; exact up to the lowest of them.
fn equal(word: u64, byte: u8) -> u64 {
    let zero = word ^ (LOW * u64::from(byte));
    zero.wrapping_sub(LOW) & !zero & HIGH
}

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of all members that are not streamed: names, raw JSON, and [`MEMBER_COST`] for each.
    /// The largest that Looker is known to send is the query of a plan: its filters may hold
    /// thousands of pasted ids, three times with the URLs, and its `vis_config` some 100 kB.
    pub(crate) member_bytes: usize,
    /// Objects and arrays within each other, the body's own among them.
    pub(crate) depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { member_bytes: 2 << 20, depth: 128 }
    }
}

/// What the tokenizer found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A whole top-level member that is not streamed: its name, and its raw JSON, which is valid
    /// and begins at this byte of the body.
    Member {
        name: String,
        at: u64,
        json: Vec<u8>,
    },
    /// The same for a member of `attachment`.
    AttachmentMember {
        name: String,
        at: u64,
        json: Vec<u8>,
    },
    /// Streamed data begins. A body may hold both origins.
    DataStart {
        origin: Origin,
        shape: Shape,
    },
    /// Never empty; may end within a UTF-8 sequence.
    Data(Bytes),
    DataEnd,
    /// The object `attachment` closed.
    AttachmentEnd,
    /// The body's object closed. After it only white space may come.
    End,
}

/// Where streamed data stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `attachment.data`.
    Attachment,
    /// The top-level member `data`, when it is a string or an array: rows without an attachment.
    TopLevel,
}

/// What streamed data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A JSON string, un-escaped.
    Text,
    /// An object or array, as it stands in the body.
    Json,
}

/// Why a body was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The byte of the body at fault, counted from 0.
    pub(crate) offset: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The body is no object; its first byte.
    NotAnObject(u8),
    /// What should stand there.
    Expected(&'static str),
    Number,
    Control,
    Escape,
    LoneSurrogate,
    Utf8,
    TooDeep,
    /// The members beside the data; how many bytes they may have.
    TooLarge {
        most: usize,
    },
    /// The name that stands twice, cut if it is long.
    Duplicate(String),
    AfterEnd,
    /// The body ended here; within what.
    CutShort(&'static str),
}

impl Malformed {
    /// Whether the body is right so far but ended too early.
    pub(crate) fn is_cut_short(&self) -> bool {
        matches!(self.what, What::CutShort(_))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: ", self.offset)?;
        match &self.what {
            What::NotAnObject(first) => {
                f.write_str("expected a JSON object, found ")?;
                f.write_str(match first {
                    b'[' => "an array",
                    b'"' => "a string",
                    b'0'..=b'9' | b'-' => "a number",
                    b't' | b'f' | b'n' => "a literal",
                    0xEF => "a byte order mark",
                    _ => "no JSON",
                })
            }
            What::Expected(what) => write!(f, "expected {what}"),
            What::Number => f.write_str("a number is not written as JSON wants it"),
            What::Control => f.write_str("a control character stands in a string un-escaped"),
            What::Escape => f.write_str("an escape in a string is not valid"),
            What::LoneSurrogate => f.write_str("half of a surrogate pair stands alone in a string"),
            What::Utf8 => f.write_str("a string is not valid UTF-8"),
            What::TooDeep => f.write_str("objects and arrays are nested too deep"),
            What::TooLarge { most } => {
                write!(f, "the members beside the data are larger than {most} bytes")
            }
            What::Duplicate(name) => {
                write!(f, "the member \"{}\" stands twice", name.escape_debug())
            }
            What::AfterEnd => f.write_str("something follows the JSON object"),
            What::CutShort(within) => write!(f, "the body ended {within}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Tokenizer {
    limits: Limits,
    /// What is left of [`Limits::member_bytes`].
    room: usize,
    /// Bytes of the body in earlier chunks.
    offset: u64,
    state: State,
    /// Whether the current object is `attachment`.
    in_attachment: bool,
    seen: HashSet<String>,
    seen_in_attachment: HashSet<String>,
    name: Vec<u8>,
    json: Vec<u8>,
    /// This and the two below are as new whenever a string or value has ended.
    text: Text,
    value: Value,
    utf8: Utf8,
    /// The first error; a body that was refused stays so.
    failed: Option<Malformed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the body's `{`.
    Start,
    /// After `{`: a name or `}`.
    FirstName,
    /// After `,`.
    NextName,
    InName,
    Colon,
    BeforeValue,
    /// In a small member.
    InMember,
    /// In streamed text.
    InText,
    /// In streamed JSON.
    InJson,
    AfterValue,
    /// After the body's `}`.
    End,
}

impl Tokenizer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            room: limits.member_bytes,
            offset: 0,
            state: State::Start,
            in_attachment: false,
            seen: HashSet::new(),
            seen_in_attachment: HashSet::new(),
            name: Vec::new(),
            json: Vec::new(),
            text: Text::default(),
            value: Value::default(),
            utf8: Utf8::default(),
            failed: None,
        }
    }

    /// Reads the next chunk and puts what it found at the end of `out`.
    ///
    /// # Errors
    /// The body is refused. Events found before the fault are in `out`; each later call gives the
    /// same error.
    pub(crate) fn feed(
        &mut self,
        chunk: &Bytes,
        out: &mut VecDeque<Event>,
    ) -> Result<(), Malformed> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            let used = match self.state {
                State::InName => self.in_name(chunk, at),
                State::InText => self.in_text(chunk, at, out),
                State::InMember | State::InJson => self.in_value(chunk, at, out),
                _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => Ok(1),
                _ => self.mark(byte, out).map_err(|what| self.at(at, what)),
            };
            match used {
                Ok(used) => at += used,
                Err(error) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
        self.offset += chunk.len() as u64;
        Ok(())
    }

    /// What it has taken of [`Limits::member_bytes`].
    pub(crate) fn taken(&self) -> usize {
        self.limits.member_bytes - self.room
    }

    /// Leaves newlines out of the text that is streaming, where they mean nothing: in base64.
    pub(crate) fn join_lines(&mut self) {
        if self.state == State::InText {
            self.text.join_lines();
        }
    }

    /// The body ended.
    ///
    /// # Errors
    /// It is refused already, or [cut short](Malformed::is_cut_short).
    pub(crate) fn finish(&mut self) -> Result<(), Malformed> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let within = match self.state {
            State::End => return Ok(()),
            State::Start => "before its JSON object began",
            State::InText | State::InJson => "within the data",
            State::InMember => "within a member's value",
            _ if self.in_attachment => "within the attachment",
            _ => "within its JSON object",
        };
        let error = self.at(0, What::CutShort(within));
        self.failed = Some(error.clone());
        Err(error)
    }

    fn at(&self, at: usize, what: What) -> Malformed {
        Malformed { offset: self.offset + at as u64, what }
    }

    /// A byte between names and values. Gives how many bytes were used: none when a value begins
    /// whose first byte is its own.
    fn mark(&mut self, byte: u8, out: &mut VecDeque<Event>) -> Result<usize, What> {
        self.state = match (self.state, byte) {
            (State::Start, b'{') => State::FirstName,
            (State::Start, _) => return Err(What::NotAnObject(byte)),
            (State::FirstName | State::NextName, b'"') => {
                self.name.clear();
                State::InName
            }
            (State::FirstName | State::AfterValue, b'}') if self.in_attachment => {
                self.in_attachment = false;
                out.push_back(Event::AttachmentEnd);
                State::AfterValue
            }
            (State::FirstName | State::AfterValue, b'}') => {
                out.push_back(Event::End);
                State::End
            }
            (State::FirstName, _) => return Err(What::Expected(NAME_OR_BRACE)),
            (State::NextName, _) => return Err(What::Expected(NAME)),
            (State::Colon, b':') => State::BeforeValue,
            (State::Colon, _) => return Err(What::Expected(COLON)),
            (State::AfterValue, b',') => State::NextName,
            (State::AfterValue, _) => return Err(What::Expected(COMMA_OR_BRACE)),
            (State::BeforeValue, _) => return self.begin_value(byte, out),
            // The other states do not come here.
            _ => return Err(What::AfterEnd),
        };
        Ok(1)
    }

    /// Decides by name and first byte what a value is.
    fn begin_value(&mut self, byte: u8, out: &mut VecDeque<Event>) -> Result<usize, What> {
        let origin = match (self.in_attachment, self.name.as_slice(), byte) {
            (false, b"attachment", b'{') => {
                if self.limits.depth < 2 {
                    return Err(What::TooDeep);
                }
                self.in_attachment = true;
                self.state = State::FirstName;
                return Ok(1);
            }
            (true, b"data", b'"' | b'[' | b'{') => Some(Origin::Attachment),
            // An object in the same place is the action's params.
            (false, b"data", b'"' | b'[') => Some(Origin::TopLevel),
            _ => None,
        };
        if let Some(origin) = origin
            && byte == b'"'
        {
            out.push_back(Event::DataStart { origin, shape: Shape::Text });
            self.state = State::InText;
            return Ok(1);
        }
        let around = if self.in_attachment { 2 } else { 1 };
        self.value.start(self.limits.depth.saturating_sub(around));
        if let Some(origin) = origin {
            out.push_back(Event::DataStart { origin, shape: Shape::Json });
            self.state = State::InJson;
        } else {
            self.state = State::InMember;
        }
        Ok(0)
    }

    fn in_name(&mut self, chunk: &Bytes, at: usize) -> Result<usize, Malformed> {
        let window = chunk.slice(at..chunk.len().min(at + NAME_WINDOW));
        let piece = self.text.read(&window, self.offset + at as u64)?;
        self.charge(piece.text.len(), at)?;
        self.name.extend_from_slice(&piece.text);
        if piece.closed {
            self.charge(MEMBER_COST, at)?;
            let seen =
                if self.in_attachment { &mut self.seen_in_attachment } else { &mut self.seen };
            let name = String::from_utf8_lossy(&self.name).into_owned();
            if seen.contains(&name) {
                let name = name.chars().take(NAME_WINDOW).collect();
                return Err(self.at(at + piece.used - 1, What::Duplicate(name)));
            }
            seen.insert(name);
            self.state = State::Colon;
        }
        Ok(piece.used)
    }

    fn in_text(
        &mut self,
        chunk: &Bytes,
        at: usize,
        out: &mut VecDeque<Event>,
    ) -> Result<usize, Malformed> {
        let piece = self.text.read(&chunk.slice(at..), self.offset + at as u64)?;
        if !piece.text.is_empty() {
            out.push_back(Event::Data(piece.text));
        }
        if piece.closed {
            out.push_back(Event::DataEnd);
            self.state = State::AfterValue;
        }
        Ok(piece.used)
    }

    /// A small member's value, which is kept, or inline JSON, which is handed on as it comes.
    fn in_value(
        &mut self,
        chunk: &Bytes,
        at: usize,
        out: &mut VecDeque<Event>,
    ) -> Result<usize, Malformed> {
        let raw = &chunk[at..];
        let base = self.offset + at as u64;
        let progress = match self.value.scan(raw, base) {
            Ok(progress) => progress,
            Err(error) => {
                // The fault is within this chunk; bad UTF-8 before it is the first thing wrong.
                let right = raw.len().min((error.offset - base) as usize);
                self.utf8.check(&raw[..right], base)?;
                return Err(error);
            }
        };
        let found = &raw[..progress.used];
        self.utf8.check(found, base)?;
        if self.state == State::InMember {
            self.charge(found.len(), at)?;
            self.json.extend_from_slice(found);
            if progress.done {
                let name = String::from_utf8_lossy(&self.name).into_owned();
                let json = std::mem::take(&mut self.json);
                let at = base + progress.used as u64 - json.len() as u64;
                out.push_back(if self.in_attachment {
                    Event::AttachmentMember { name, at, json }
                } else {
                    Event::Member { name, at, json }
                });
            }
        } else {
            if !found.is_empty() {
                out.push_back(Event::Data(chunk.slice(at..at + progress.used)));
            }
            if progress.done {
                out.push_back(Event::DataEnd);
            }
        }
        if progress.done {
            self.state = State::AfterValue;
        }
        Ok(progress.used)
    }

    fn charge(&mut self, bytes: usize, at: usize) -> Result<(), Malformed> {
        match self.room.checked_sub(bytes) {
            Some(room) => self.room = room,
            None => {
                let most = self.limits.member_bytes;
                return Err(self.at(at, What::TooLarge { most }));
            }
        }
        Ok(())
    }
}
