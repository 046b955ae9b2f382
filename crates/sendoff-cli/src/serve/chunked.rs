//! The chunked transfer coding, taken out of a buffer in place. RFC 9112, section 7.1.
//!
//! Strict where leniency would let two readers disagree: lines end with CRLF, a size is up to
//! sixteen hexadecimal digits. Extensions and trailers are bounded and say nothing to the hub.

use std::io;

use bytes::{Buf, BytesMut};

/// How much a body's extensions and trailers may take.
const MOST_WORDS: usize = 16 * 1024;

/// How far a body is.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of extensions and trailers so far.
    words: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a size, of so many digits.
    Size(u64, u32),
    Extension(u64),
    SizeLineFeed(u64),
    Data(u64),
    DataReturn,
    DataLineFeed,
    /// At the beginning of a line behind the last chunk.
    Trailer,
    InTrailer,
    TrailerLineFeed,
    EndLineFeed,
    End,
}

impl Default for At {
    fn default() -> Self {
        Self::Size(0, 0)
    }
}

impl Chunked {
    /// Takes everything out of `buffer` and gives the data in it, and whether the body ends there.
    /// What follows the body is dropped.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> io::Result<(BytesMut, bool)> {
        let bytes = &mut buffer[..];
        // The data found so far stands from `first` on, without a gap.
        let (mut read, mut first, mut kept) = (0, 0, 0);
        while let Some(&byte) = bytes.get(read) {
            if let At::Data(left) = self.at {
                let size = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - read);
                if kept == 0 {
                    first = read;
                } else {
                    bytes.copy_within(read..read + size, first + kept);
                }
                (read, kept) = (read + size, kept + size);
                self.at = match left - size as u64 {
                    0 => At::DataReturn,
                    left => At::Data(left),
                };
                continue;
            }
            self.at = self.after(byte)?;
            read += 1;
            if self.at == At::End {
                break;
            }
        }
        buffer.advance(first);
        let data = buffer.split_to(kept);
        buffer.clear();
        Ok((data, self.at == At::End))
    }

    /// Where a byte of the framing leads.
    fn after(&mut self, byte: u8) -> io::Result<At> {
        if matches!(self.at, At::Extension(_) | At::Trailer | At::InTrailer) {
            self.words += 1;
            if self.words > MOST_WORDS {
                return Err(wrong("its chunk extensions or trailers are too long"));
            }
        }
        Ok(match (self.at, byte) {
            (At::Size(size, digits), _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                At::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (At::Size(size, 1..), b'\r') | (At::Extension(size), b'\r') => At::SizeLineFeed(size),
            (At::Size(size, 1..), b';' | b' ' | b'\t') => At::Extension(size),
            (At::Extension(size), _) if byte != b'\n' => At::Extension(size),
            (At::SizeLineFeed(0), b'\n') => At::Trailer,
            (At::SizeLineFeed(size), b'\n') => At::Data(size),
            (At::DataReturn, b'\r') => At::DataLineFeed,
            (At::DataLineFeed, b'\n') => At::default(),
            (At::Trailer, b'\r') => At::EndLineFeed,
            (At::InTrailer, b'\r') => At::TrailerLineFeed,
            (At::Trailer | At::InTrailer, _) if byte != b'\n' => At::InTrailer,
            (At::TrailerLineFeed, b'\n') => At::Trailer,
            (At::EndLineFeed, b'\n') => At::End,
            _ => return Err(wrong("its chunks are malformed")),
        })
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of `text`, given in the pieces that `cuts` make, and whether it ended.
    fn read(text: &[u8], cuts: &[usize]) -> io::Result<(Vec<u8>, bool)> {
        let (mut chunked, mut data, mut from) = (Chunked::default(), Vec::new(), 0);
        for to in cuts.iter().copied().chain([text.len()]) {
            let mut piece = BytesMut::from(&text[from..to]);
            from = to;
            let (more, ended) = chunked.take(&mut piece)?;
            assert!(piece.is_empty());
            data.extend_from_slice(&more);
            if ended {
                return Ok((data, true));
            }
        }
        Ok((data, false))
    }

    #[test]
    fn data_comes_out_wherever_it_is_cut() {
        let text = b"3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n1 \r\nz\r\n000\r\nX: y\r\nZ:\r\n\r\n";
        for one in 0..=text.len() {
            for two in one..=text.len() {
                let (data, ended) = read(text, &[one, two]).unwrap();
                assert_eq!((&data[..], ended), (&b"abc0123456789z"[..], true), "{one} {two}");
            }
        }
        for end in 0..text.len() {
            assert!(!read(&text[..end], &[]).unwrap().1, "ended at {end}");
        }
    }

    #[test]
    fn nothing_behind_the_body_is_data() {
        let (data, ended) = read(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", &[]).unwrap();
        assert_eq!((&data[..], ended), (&b"a"[..], true));
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for text in [
            "\r\n",
            "0x1\r\n",
            "+1\r\n",
            "-1\r\n",
            " 1\r\n",
            "1\n",
            "1\r\r\n",
            "g\r\n",
            ";\r\n",
            "12345678901234567\r\n",
            "1;x\ny\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\r\r",
            "0\r\n\n",
            "0\r\nX: y\n",
            "0\r\nX\r\r\n",
            "0\r\n\r\r",
        ] {
            assert!(read(text.as_bytes(), &[]).is_err(), "{text:?}");
            for cut in 0..text.len() {
                assert!(read(text.as_bytes(), &[cut]).is_err(), "{text:?} cut at {cut}");
            }
        }
        let long = "x".repeat(MOST_WORDS);
        for text in [format!("1;{long}x\r\n"), format!("0\r\n{long}y\r\n")] {
            assert!(read(text.as_bytes(), &[]).is_err());
        }
    }
}
