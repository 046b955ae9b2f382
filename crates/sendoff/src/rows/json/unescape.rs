//! Takes the escapes out of JSON strings.

use super::scan::text_run;

/// How far a string was read.
pub(super) struct Progress {
    pub(super) used: usize,
    /// The closing quote was reached, and is among the bytes used. Otherwise the rest, if there is
    /// one, is the beginning of an escape.
    pub(super) closed: bool,
}

/// The longest escape: a pair of surrogates.
pub(super) const LONGEST: usize = 12;

/// Appends the text of the string that `raw` stands in, up to its closing quote.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<Progress, &'static str> {
    let mut at = 0;
    loop {
        let rest = raw.get(at..).unwrap_or_default();
        let run = text_run(rest);
        out.extend_from_slice(rest.get(..run).unwrap_or_default());
        at += run;
        match raw.get(at) {
            None => return Ok(Progress { used: at, closed: false }),
            Some(b'"') => return Ok(Progress { used: at + 1, closed: true }),
            Some(b'\\') => {}
            Some(_) => return Err("a control character must be escaped in a string"),
        }
        match escape(raw.get(at..).unwrap_or_default())? {
            Some((char, used)) => {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                at += used;
            }
            None => return Ok(Progress { used: at, closed: false }),
        }
    }
}

/// The escape that `raw` begins with, and its length; nothing if its end has not come yet.
fn escape(raw: &[u8]) -> Result<Option<(char, usize)>, &'static str> {
    const LONE: &str = "half of a surrogate pair is no character";
    let simple = match raw.get(1) {
        None => return Ok(None),
        Some(b'u') => {
            let Some(first) = unit(raw)? else { return Ok(None) };
            if let Some(char) = char::from_u32(first) {
                return Ok(Some((char, 6)));
            }
            if first >= 0xDC00 {
                return Err(LONE);
            }
            let second = raw.get(6..).unwrap_or_default();
            if second.first().is_some_and(|&byte| byte != b'\\')
                || second.get(1).is_some_and(|&byte| byte != b'u')
            {
                return Err(LONE);
            }
            let Some(second) = unit(second)? else { return Ok(None) };
            if !(0xDC00..0xE000).contains(&second) {
                return Err(LONE);
            }
            let pair = 0x1_0000 + ((first & 0x3FF) << 10 | second & 0x3FF);
            return Ok(Some((char::from_u32(pair).ok_or(LONE)?, LONGEST)));
        }
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(&byte @ (b'"' | b'\\' | b'/')) => byte.into(),
        Some(_) => return Err("an escape that JSON does not know"),
    };
    Ok(Some((simple, 2)))
}

/// The code unit of `\uXXXX`.
fn unit(raw: &[u8]) -> Result<Option<u32>, &'static str> {
    let mut value = 0;
    for n in 2..6 {
        let Some(&byte) = raw.get(n) else { return Ok(None) };
        let digit = char::from(byte).to_digit(16);
        value = value << 4 | digit.ok_or("expected four hexadecimal digits after \\u")?;
    }
    Ok(Some(value))
}
