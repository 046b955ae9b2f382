//! Base64 decoded as it flows, with the newlines that Looker puts into it.

use std::fmt;

use base64_simd::{AsOut, STANDARD_NO_PAD};
use bytes::Bytes;

use super::runs::{Instead, Job, Look, Marks, SLACK, copy_blocks, widest};
use crate::shelf::Shelf;

/// Decodes base64 (RFC 4648 section 4) that comes in pieces cut anywhere.
///
/// White space is ignored: Looker sends MIME-style text with a newline after every 60 characters.
/// Padding may be left out. The URL-safe alphabet is refused, and so are bits in the last
/// character that no byte has use for: both are signs that something else was sent.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Characters of a group of four that is not complete; valid ones. The bytes that they make
    /// certain were given out already, so that the end of the text has none to give.
    open: [u8; 3],
    len: usize,
    /// How many `=` came.
    padding: usize,
    /// Bytes of text in earlier pieces, newlines not counted.
    offset: u64,
    shelf: Shelf,
}

/// Why text is no base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadBase64 {
    /// The byte of the text at fault, counted from 0 and without newlines: whoever un-escaped the
    /// text may have left them out.
    pub(crate) offset: u64,
    pub(crate) what: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A byte outside the alphabet, or `=` where no padding may be.
    Character(u8),
    /// Something other than white space follows the padding.
    AfterPadding(u8),
    /// The text ended after one character of a group, or within its padding.
    CutShort,
    /// The last character has bits that belong to no byte.
    SpareBits,
}

impl fmt::Display for BadBase64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.offset;
        match self.what {
            Fault::Character(byte) if byte.is_ascii_graphic() => {
                write!(f, "character '{}' at byte {at} is not base64", char::from(byte))
            }
            Fault::Character(byte) => write!(f, "byte {at} (0x{byte:02x}) is not base64"),
            Fault::AfterPadding(_) => write!(f, "base64 goes on after its padding at byte {at}"),
            Fault::CutShort => write!(f, "base64 ends at byte {at} within a group of characters"),
            Fault::SpareBits => write!(f, "the last character before byte {at} is not base64"),
        }
    }
}

impl std::error::Error for BadBase64 {}

impl Reader {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Decodes every byte that is certain after `text`; the result may be empty.
    ///
    /// # Errors
    /// `text` holds something that is no base64. The reader is of no more use then.
    pub(crate) fn feed(&mut self, text: &[u8]) -> Result<Bytes, BadBase64> {
        // What Looker sends holds newlines and nothing else that is white space, and padding only
        // at its very end; most newlines are gone already. All other text, good or bad, goes the
        // way that looks at each byte.
        if self.padding == 0 {
            if let Some(decoded) = self.decode(text) {
                self.offset += text.len() as u64;
                return Ok(decoded);
            }
            let chars = without_newlines(text);
            if let Some(decoded) = self.decode(&chars) {
                self.offset += chars.len() as u64;
                return Ok(decoded);
            }
        }
        let chars = self.checked(text)?;
        // Every character was checked, so it decodes.
        self.decode(&chars).ok_or(BadBase64 { offset: self.offset, what: Fault::CutShort })
    }

    /// The text ended.
    ///
    /// # Errors
    /// It ended within a group of four characters, or with bits that belong to no byte.
    pub(crate) fn finish(&mut self) -> Result<(), BadBase64> {
        let padded = self.padding == 0 || self.len + self.padding == 4;
        let last = self.open[..self.len].last().and_then(|&char| sextet(char)).unwrap_or(0);
        let what = match self.len {
            1 => Fault::CutShort,
            _ if !padded => Fault::CutShort,
            2 if last & 0b1111 != 0 => Fault::SpareBits,
            3 if last & 0b11 != 0 => Fault::SpareBits,
            _ => return Ok(()),
        };
        Err(BadBase64 { offset: self.offset, what })
    }

    /// `text` without any white space and padding, each byte looked at.
    fn checked(&mut self, text: &[u8]) -> Result<Vec<u8>, BadBase64> {
        let mut chars = Vec::with_capacity(text.len());
        for &byte in text.iter().filter(|&&byte| byte != b'\n') {
            let offset = self.offset;
            self.offset += 1;
            let wanted = (4 - (self.len + chars.len()) % 4) % 4;
            let what = match byte {
                _ if byte.is_ascii_whitespace() => continue,
                _ if self.padding > 0 && (byte != b'=' || self.padding == wanted) => {
                    Fault::AfterPadding(byte)
                }
                b'=' if wanted == 1 || wanted == 2 => {
                    self.padding += 1;
                    continue;
                }
                _ if sextet(byte).is_some() => {
                    chars.push(byte);
                    continue;
                }
                _ => Fault::Character(byte),
            };
            return Err(BadBase64 { offset, what });
        }
        Ok(chars)
    }

    /// Decodes the open characters and `chars` behind them, without the bytes that were given out
    /// before. `None`: not base64, and nothing has changed.
    fn decode(&mut self, chars: &[u8]) -> Option<Bytes> {
        let mut bytes = self.shelf.take(chars.len() / 4 * 3 + 6);
        let decoded = self.decode_to(chars, &mut bytes);
        let written = decoded.map_or(0, |(written, ..)| written);
        // Lent in any case, so that it comes back.
        let bytes = self.shelf.lend(bytes, written);
        let (_, open, len) = decoded?;
        (self.open, self.len) = (open, len);
        Some(bytes)
    }

    /// How much was written, and what is open then.
    fn decode_to(&self, chars: &[u8], bytes: &mut [u8]) -> Option<(usize, [u8; 3], usize)> {
        // The group that is open, as far as it goes on here.
        let missing = if self.len == 0 { 0 } else { 4 - self.len };
        let (first, rest) = chars.split_at(missing.min(chars.len()));
        let (whole, last) = rest.split_at(rest.len() & !3);
        let mut group = [0; 4];
        group[..self.len].copy_from_slice(&self.open[..self.len]);
        group[self.len..self.len + first.len()].copy_from_slice(first);
        let mut len = self.len + first.len();
        let certain = group_bytes(&group[..len])?;
        let new = &certain[bytes_of(self.len)..bytes_of(len)];
        bytes[..new.len()].copy_from_slice(new);
        let mut written = new.len();
        if first.len() == missing {
            written += STANDARD_NO_PAD.decode(whole, bytes[written..].as_out()).ok()?.len();
            // Two characters make the first byte of their group certain, three the second.
            let certain = &group_bytes(last)?[..bytes_of(last.len())];
            bytes[written..written + certain.len()].copy_from_slice(certain);
            written += certain.len();
            group[..last.len()].copy_from_slice(last);
            len = last.len();
        }
        let [a, b, c, _] = group;
        Some((written, [a, b, c], len))
    }
}

/// `text` without its newlines.
fn without_newlines(text: &[u8]) -> Vec<u8> {
    struct Joining<'a>(&'a [u8], &'a mut [u8]);

    impl Job for Joining<'_> {
        type Output = (usize, usize);
        #[inline(always)]
        fn run(self, look: impl Look) -> (usize, usize) {
            // A zero is as good as a newline here: neither is base64.
            let marks = Marks { equal: [b'\n'; 2], up_to: 0 };
            let over = |mark: &[u8]| {
                let newline = mark.first() == Some(&b'\n');
                newline.then_some(Instead { over: 1, byte: 0, written: false })
            };
            copy_blocks((self.0, 0), (self.1, 0), |block| look.find(block, marks).0, over)
        }
    }

    let mut chars = vec![0; text.len() + SLACK];
    let (read, mut written) = widest(Joining(text, &mut chars));
    for &char in text[read..].iter().filter(|&&char| char != b'\n') {
        chars[written] = char;
        written += 1;
    }
    chars.truncate(written);
    chars
}

/// The bytes that up to four characters stand for; those that are not certain hold anything.
fn group_bytes(chars: &[u8]) -> Option<[u8; 3]> {
    let mut bits = 0u32;
    for (at, &char) in chars.iter().enumerate() {
        bits |= u32::from(sextet(char)?) << (26 - 6 * at);
    }
    let [a, b, c, _] = bits.to_be_bytes();
    Some([a, b, c])
}

/// How many bytes `chars` characters of a group of four make certain.
fn bytes_of(chars: usize) -> usize {
    chars * 3 / 4
}

/// The six bits that a character stands for.
fn sextet(char: u8) -> Option<u8> {
    Some(match char {
        b'A'..=b'Z' => char - b'A',
        b'a'..=b'z' => char - b'a' + 26,
        b'0'..=b'9' => char - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<u8>, BadBase64> {
        let mut reader = Reader::new();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(&reader.feed(piece)?);
        }
        reader.finish()?;
        Ok(all)
    }

    /// As Looker writes it: a newline after every 60 characters and at the end.
    fn mime(bytes: &[u8]) -> Vec<u8> {
        let text = base64_simd::STANDARD.encode_to_string(bytes);
        text.as_bytes().chunks(60).flat_map(|line| [line, b"\n"].concat()).collect()
    }

    #[test]
    fn every_cut_gives_the_same_bytes() {
        for size in [0, 1, 2, 3, 44, 45, 46, 181] {
            let bytes: Vec<u8> = (0..size).map(|n| (n * 7 % 256) as u8).collect();
            let text = mime(&bytes);
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let pieces = [&text[..first], &text[first..second], &text[second..]];
                    assert_eq!(read(&pieces).as_ref(), Ok(&bytes), "cut at {first} and {second}");
                }
            }
        }
    }

    #[test]
    fn white_space_and_missing_padding_are_let_pass() {
        for text in ["QUJDRA==", "QUJDRA", " Q U\tJD\r\n RA = =\n ", "QUJD\x0cRA==\n\n"] {
            assert_eq!(read(&[text.as_bytes()]).as_deref(), Ok(&b"ABCD"[..]), "{text:?}");
        }
        assert_eq!(read(&[b"", b"\n"]).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn what_is_no_base64_is_named_with_its_place() {
        let cases: [(&[u8], &str); 12] = [
            (b"QUJ!", "character '!' at byte 3 is not base64"),
            (b"QUJD\nQU\nJ-", "character '-' at byte 7 is not base64"),
            (b"_w==", "character '_' at byte 0 is not base64"),
            (b"QU\xc3\xa9", "byte 2 (0xc3) is not base64"),
            (b"QUJDRA==QUJD", "base64 goes on after its padding at byte 8"),
            (b"QUJDRA=Q", "base64 goes on after its padding at byte 7"),
            (b"QQ===", "base64 goes on after its padding at byte 4"),
            (b"QUJD=", "character '=' at byte 4 is not base64"),
            (b"Q===", "character '=' at byte 1 is not base64"),
            (b"QUJDR", "base64 ends at byte 5 within a group of characters"),
            (b"QUJDRA=\n", "base64 ends at byte 7 within a group of characters"),
            (b"QUJDRB==", "the last character before byte 8 is not base64"),
        ];
        for (text, sentence) in cases {
            for cut in 0..=text.len() {
                let error = read(&[&text[..cut], &text[cut..]]).unwrap_err();
                assert_eq!(error.to_string(), sentence, "{text:?} cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_decode_as_the_whole(bytes: Vec<u8>, cuts in prop::collection::vec(1usize..90, 1..9)) {
            let text = mime(&bytes);
            let (mut rest, mut pieces) = (text.as_slice(), Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at(rest.len().min(*cut));
                pieces.push(piece);
                rest = more;
            }
            prop_assert_eq!(read(&pieces), Ok(bytes));
        }

        /// base64-simd on the whole text says what is base64; it wants padding, we do not.
        #[test]
        fn refuses_what_base64_simd_refuses(text in "[A-Ca-c+/=_ \n-]{0,12}", cut in 0usize..12) {
            let cut = cut.min(text.len());
            let ours = read(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]).ok();
            let bare: String = text.split_ascii_whitespace().collect();
            let strict = base64_simd::STANDARD.decode_to_vec(&bare);
            let theirs = strict.or_else(|_| STANDARD_NO_PAD.decode_to_vec(&bare)).ok();
            prop_assert_eq!(ours, theirs);
        }
    }
}
