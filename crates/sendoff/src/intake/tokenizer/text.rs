//! JSON strings that are un-escaped as they flow: streamed attachment data and member names.

use bytes::Bytes;
use memchr::memchr2;

use super::super::runs::{
    BLOCK, Instead, Job, Look, Marks, SLACK, copy_blocks, copy_lines, widest,
};
use super::{Malformed, What};
use crate::shelf::Shelf;

/// Below it are control characters, which no JSON string may hold as they are.
const SPACE: u8 = 0x20;

/// The inside of one JSON string, from after the opening quote to the closing one.
#[derive(Debug, Default)]
pub(super) struct Text {
    escape: Escape,
    /// Where the backslash of the running escape stands, or that of its first half.
    escape_at: u64,
    utf8: Utf8,
    /// Whether newlines are left out.
    joined: bool,
    shelf: Shelf,
}

/// What one chunk gave.
pub(super) struct Piece {
    /// Un-escaped text; may end within a UTF-8 sequence, and may be empty.
    pub(super) text: Bytes,
    /// Bytes of the chunk that were used, the closing quote among them.
    pub(super) used: usize,
    /// Whether the closing quote was reached.
    pub(super) closed: bool,
}

/// How far into an escape the last chunk ended.
#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    /// After the backslash.
    Letter,
    /// Within `\uXXXX`; `high` is the first half of a surrogate pair if this is the second.
    Hex {
        digits: u8,
        value: u16,
        high: Option<u16>,
    },
    /// After a first half: only `\u` may follow.
    SecondBackslash {
        high: u16,
    },
    SecondU {
        high: u16,
    },
}

impl Text {
    /// Reads on in `raw`, whose first byte is the body's byte number `base`.
    pub(super) fn read(&mut self, raw: &Bytes, base: u64) -> Result<Piece, Malformed> {
        if matches!(self.escape, Escape::None) {
            let stop = memchr2(b'"', b'\\', raw);
            // `get` rather than an index: `stop` is inside `raw`, but this way nobody must know.
            let (used, length) = match stop {
                None => (raw.len(), raw.len()),
                Some(at) if raw.get(at) == Some(&b'"') => (at + 1, at),
                Some(_) => return self.unescape(raw, base),
            };
            self.check(&raw[..used], base)?;
            self.joined &= stop.is_none();
            let text = raw.slice(..length);
            return Ok(Piece { text, used, closed: stop.is_some() });
        }
        self.unescape(raw, base)
    }

    /// Leaves newlines out from here to the closing quote.
    pub(super) fn join_lines(&mut self) {
        self.joined = true;
    }

    /// The way with escapes: the whole rest of the chunk goes into one buffer.
    fn unescape(&mut self, raw: &[u8], base: u64) -> Result<Piece, Malformed> {
        // Un-escaped text is never longer than its source, but for an escape cut by the edge.
        let mut text = self.shelf.take(raw.len() + SLACK);
        let (mut read, mut written) = (0, 0);
        let (mut closed, mut ascii) = (false, self.utf8.len == 0);
        while !closed {
            if matches!(self.escape, Escape::None) {
                let plain;
                let joined = self.joined;
                (read, written, plain) =
                    widest(Plain { raw, read, text: &mut text, written, joined });
                ascii &= plain;
            }
            let Some(&byte) = raw.get(read) else { break };
            if !matches!(self.escape, Escape::None) {
                match self.step(byte, base + read as u64) {
                    Ok(Some('\n')) if self.joined => {}
                    Ok(Some(char)) => written += char.encode_utf8(&mut text[written..]).len(),
                    Ok(None) => {}
                    Err(error) => {
                        // What stands before it is the first thing wrong.
                        self.utf8.check(&raw[..read], base)?;
                        return Err(error);
                    }
                }
            } else if byte == b'"' {
                closed = true;
            } else if byte < SPACE {
                self.utf8.check(&raw[..read], base)?;
                return Err(Malformed { offset: base + read as u64, what: What::Control });
            } else {
                self.escape = Escape::Letter;
                self.escape_at = base + read as u64;
            }
            read += 1;
        }
        // The source is checked, not what comes out: escapes are ASCII, so one is UTF-8 when the
        // other is. A closing quote also finds a sequence that the string leaves unfinished.
        if !ascii {
            self.utf8.check(&raw[..read], base)?;
        }
        self.joined &= !closed;
        Ok(Piece { text: self.shelf.lend(text, written), used: read, closed })
    }

    /// One byte of an escape. Gives the character that it completes.
    fn step(&mut self, byte: u8, at: u64) -> Result<Option<char>, Malformed> {
        let lone = || Malformed { offset: self.escape_at, what: What::LoneSurrogate };
        self.escape = match self.escape {
            Escape::None | Escape::Letter => match (byte, simple(byte)) {
                (b'u', _) => Escape::Hex { digits: 0, value: 0, high: None },
                (_, Some(char)) => {
                    self.escape = Escape::None;
                    return Ok(Some(char.into()));
                }
                _ => return Err(Malformed { offset: at, what: What::Escape }),
            },
            Escape::Hex { digits, value, high } => {
                let digit = char::from(byte).to_digit(16);
                // A hexadecimal digit is below 16, so it fits.
                let digit = digit.ok_or(Malformed { offset: at, what: What::Escape })? as u16;
                let (digits, value) = (digits + 1, value << 4 | digit);
                match (digits, high, value) {
                    (..=3, ..) => Escape::Hex { digits, value, high },
                    (_, None, 0xD800..=0xDBFF) => Escape::SecondBackslash { high: value },
                    (_, Some(high), 0xDC00..=0xDFFF) => {
                        let pair =
                            0x1_0000 + (u32::from(high & 0x3FF) << 10 | u32::from(value & 0x3FF));
                        self.escape = Escape::None;
                        return char::from_u32(pair).map(Some).ok_or_else(lone);
                    }
                    (_, None, _) => {
                        // A second half alone is no character.
                        let char = char::from_u32(value.into()).ok_or_else(lone)?;
                        self.escape = Escape::None;
                        return Ok(Some(char));
                    }
                    _ => return Err(lone()),
                }
            }
            Escape::SecondBackslash { high } if byte == b'\\' => Escape::SecondU { high },
            Escape::SecondU { high } if byte == b'u' => {
                Escape::Hex { digits: 0, value: 0, high: Some(high) }
            }
            Escape::SecondBackslash { .. } | Escape::SecondU { .. } => return Err(lone()),
        };
        Ok(None)
    }

    /// Refuses control characters and bad UTF-8 in text without escapes.
    fn check(&mut self, raw: &[u8], base: u64) -> Result<(), Malformed> {
        // No short circuit: this way the compiler makes vector code of it.
        let control = raw.iter().fold(false, |found, &byte| found | (byte < SPACE));
        if control && let Some(at) = raw.iter().position(|&byte| byte < SPACE) {
            self.utf8.check(&raw[..at], base)?;
            return Err(Malformed { offset: base + at as u64, what: What::Control });
        }
        self.utf8.check(raw, base)
    }
}

/// How an escaped newline is written.
const NEWLINE: [u8; 2] = *b"\\n";

/// Text that is copied, un-escaping what takes two bytes, up to a quote, a control character,
/// another escape or the end. Gives the new positions, and whether all of it was ASCII for certain.
struct Plain<'a> {
    raw: &'a [u8],
    read: usize,
    text: &'a mut [u8],
    written: usize,
    joined: bool,
}

impl Job for Plain<'_> {
    type Output = (usize, usize, bool);

    #[inline(always)]
    fn run(self, look: impl Look) -> (usize, usize, bool) {
        let Self { raw, mut read, text, mut written, joined } = self;
        let marks = Marks { equal: *b"\"\\", up_to: SPACE - 1 };
        let mut ascii = true;
        let mut find = |block: &[u8; BLOCK]| {
            let (found, beyond) = look.find(block, marks);
            ascii &= !beyond;
            found
        };
        if joined {
            (read, written) = copy_joined((raw, read), (text, written), &mut find);
        }
        let (read, written) = copy_blocks((raw, read), (text, written), &mut find, |mark| {
            let &[b'\\', letter, ..] = mark else { return None };
            let written = !(joined && letter == NEWLINE[1]);
            simple(letter).map(|byte| Instead { over: 2, byte, written })
        });
        // What fills no block.
        let rest = &raw[read..];
        let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | ..SPACE);
        let run = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        text[written..written + run.len()].copy_from_slice(run);
        (read + run.len(), written + run.len(), ascii && run.is_ascii())
    }
}

/// Copies text without its newlines, as long as its lines are as long as the second one of them:
/// what base64 is wrapped by writes them so. It stops anywhere else.
#[inline(always)]
fn copy_joined(
    (raw, read): (&[u8], usize),
    (text, written): (&mut [u8], usize),
    find: impl FnMut(&[u8; BLOCK]) -> u64,
) -> (usize, usize) {
    // The line that the chunk begins within.
    let first = memchr2(b'"', b'\\', &raw[read..]).unwrap_or(0);
    let Some(run) = raw.get(read..read + first) else { return (read, written) };
    let begin = read + first + NEWLINE.len();
    let second = raw.get(begin..).and_then(|rest| memchr2(b'"', b'\\', rest)).unwrap_or(0);
    let plain = |byte: &u8| (SPACE..0x80).contains(byte);
    if !raw[read + first..].starts_with(&NEWLINE) || !run.iter().all(plain) {
        return (read, written);
    }
    text[written..written + first].copy_from_slice(run);
    let at = (begin, written + first);
    copy_lines((raw, at.0), (text, at.1), (second, NEWLINE), find)
}

/// What an escape of two bytes stands for, by its letter; 0 for other letters.
const SIMPLE: [u8; 256] = {
    let mut simple = [0; 256];
    let pairs = [b"\"\"", b"\\\\", b"//", b"b\x08", b"f\x0C", b"n\n", b"r\r", b"t\t"];
    let mut n = 0;
    while n < pairs.len() {
        simple[pairs[n][0] as usize] = pairs[n][1];
        n += 1;
    }
    simple
};

/// The escapes of two bytes.
fn simple(letter: u8) -> Option<u8> {
    let byte = SIMPLE[usize::from(letter)];
    (byte != 0).then_some(byte)
}

/// Checks UTF-8 that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// A sequence that the last piece left unfinished.
    open: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Checks on in `raw`, whose first byte is the body's byte number `base`.
    pub(super) fn check(&mut self, raw: &[u8], base: u64) -> Result<(), Malformed> {
        let mut read = 0;
        while self.len > 0 {
            let Some(&byte) = raw.get(read) else { return Ok(()) };
            // `len` is at most 3: four bytes are either a sequence or wrong.
            self.open[self.len] = byte;
            self.len += 1;
            read += 1;
            match std::str::from_utf8(&self.open[..self.len]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    let offset = base + read as u64 - self.len as u64;
                    return Err(Malformed { offset, what: What::Utf8 });
                }
            }
        }
        let Err(error) = std::str::from_utf8(&raw[read..]) else { return Ok(()) };
        let valid = read + error.valid_up_to();
        if error.error_len().is_some() {
            return Err(Malformed { offset: base + valid as u64, what: What::Utf8 });
        }
        let tail = &raw[valid..];
        self.len = tail.len();
        self.open[..tail.len()].copy_from_slice(tail);
        Ok(())
    }
}
