//! Data of any size for a delivery, made as it is read: rows whose number tells them apart, so
//! that a part which is lost, doubled or out of order changes the digest.

use bytes::{BufMut, Bytes, BytesMut};
use sendoff_protocol::Format;
use sha2::{Digest, Sha256};

/// Bytes of one row, its newline or comma included.
const ROW: usize = 64;
/// Rows made at once.
const ROWS: u64 = 1024;

/// The shape of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Csv,
    /// An array of objects.
    Json,
    /// Looker's object with `fields` and `data`.
    JsonDetail,
}

/// Data of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    format: Format,
    shape: Shape,
    len: u64,
}

impl Content {
    /// `len` bytes of this format. Formats other than the JSON ones have no shape that a hub looks
    /// at, so rows of CSV stand for them. JSON has a least size: less gives the empty document.
    pub fn new(format: Format, len: u64) -> Self {
        let shape = match format {
            Format::Json | Format::JsonLabel | Format::InlineJson => Shape::Json,
            Format::JsonDetail | Format::JsonDetailLiteStream | Format::JsonBi => Shape::JsonDetail,
            _ => Shape::Csv,
        };
        let (head, foot) = shape.frame();
        let len = len.max((head.len() + foot.len()) as u64);
        Self { format, shape, len }
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its SHA-256 in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        self.chunks().for_each(|chunk| digest.update(&chunk));
        hex(&digest.finalize())
    }

    /// The bytes, 64 KiB at a time.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
        let (head, foot) = self.shape.frame();
        let shape = self.shape;
        let body = self.len - (head.len() + foot.len()) as u64;
        let rows = body / ROW as u64;
        let full = (0..rows.div_ceil(ROWS)).map(move |n| {
            let first = n * ROWS;
            let mut chunk = BytesMut::with_capacity(ROW * ROWS as usize);
            for row in first..(first + ROWS).min(rows) {
                shape.row(row, row + 1 == rows, &mut chunk);
            }
            chunk.freeze()
        });
        // What is too short for a row stands as one short line, in JSON as white space.
        let filler = if shape == Shape::Csv { b'x' } else { b' ' };
        let rest = Bytes::from(vec![filler; (body % ROW as u64) as usize]);
        [Bytes::from_static(head.as_bytes())]
            .into_iter()
            .chain(full)
            .chain([rest, Bytes::from_static(foot.as_bytes())])
            .filter(|chunk| !chunk.is_empty())
    }
}

impl Shape {
    fn frame(self) -> (&'static str, &'static str) {
        match self {
            Self::Csv => ("", ""),
            Self::Json => ("[", "]"),
            Self::JsonDetail => (
                r#"{"fields":{"dimensions":[{"name":"orders.id","label":"Orders ID","type":"string","tags":["row_id"]}],"measures":[]},"data":["#,
                "]}",
            ),
        }
    }

    /// One row of exactly [`ROW`] bytes.
    fn row(self, number: u64, last: bool, out: &mut BytesMut) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let begin = out.len();
        let (before, after): (&[u8], &[u8]) = match self {
            Self::Csv => (b"", b",shipped,\"4,20\""),
            Self::Json => (br#"{"orders.id":""#, br#""}"#),
            Self::JsonDetail => (br#"{"orders.id":{"value":""#, br#""}}"#),
        };
        out.put_slice(before);
        for shift in (0..16).rev() {
            out.put_u8(DIGITS[(number >> (4 * shift) & 15) as usize]);
        }
        out.put_slice(after);
        let end = begin + ROW - 1;
        match self {
            Self::Csv => {
                out.resize(end, b'.');
                out.put_u8(b'\n');
            }
            _ => {
                out.resize(end, b' ');
                out.put_u8(if last { b' ' } else { b',' });
            }
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_exact_and_json_is_json() {
        for format in [Format::Csv, Format::Json, Format::JsonDetail] {
            for len in [0, 1, 63, 64, 65, 200, 1_000, 65_536, 70_001] {
                let content = Content::new(format, len);
                let bytes: Vec<u8> = content.chunks().flatten().collect();
                assert_eq!(bytes.len() as u64, content.len());
                assert!(format == Format::Csv || content.len() >= len);
                if format != Format::Csv {
                    serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_swapped_row_changes_the_digest() {
        let content = Content::new(Format::Csv, 640);
        let mut bytes: Vec<u8> = content.chunks().flatten().collect();
        assert_eq!(hex(&Sha256::digest(&bytes)), content.sha256());
        bytes.rotate_left(64);
        assert_ne!(hex(&Sha256::digest(&bytes)), content.sha256());
    }
}
