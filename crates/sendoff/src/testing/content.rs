//! Data of any size for a delivery, made as it is read: rows whose number tells them apart, so
//! that a part which is lost, doubled or out of order changes the digest.

use bytes::{BufMut, Bytes, BytesMut};
use sendoff_protocol::Format;
use sha2::{Digest, Sha256};

/// Bytes of one row, its newline or comma included.
const ROW: usize = 64;
/// Rows made at once.
const ROWS: u64 = 1024;
/// Digits of a row's number.
const DIGITS: usize = 10;

/// Rows as a destination of rows wants them: json_detail, with the row's number at one place in
/// each, by which the stand-in tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowShape {
    /// The JSON of `fields`, with the tags that the action needs.
    pub fields: &'static str,
    /// The row's JSON before its number. Ten decimal digits follow, which count from 0.
    pub before: &'static str,
    /// The row's JSON behind its number.
    pub after: &'static str,
}

/// Where `fields` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fields {
    First,
    Last,
    /// First, without any tag.
    Untagged,
}

/// The shape of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Csv,
    /// An array of objects.
    Json,
    /// Looker's object with `fields` and `data`.
    JsonDetail,
    Rows(RowShape, Fields),
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

    /// The same without what is too short for a row, for whoever reads the rows.
    #[must_use]
    pub fn whole_rows(mut self) -> Self {
        if self.shape == Shape::Csv {
            self.len -= self.len % ROW as u64;
        }
        self
    }

    /// So many rows of a shape.
    pub fn of_rows(format: Format, shape: RowShape, rows: u64) -> Self {
        Self::shaped(format, Shape::Rows(shape, Fields::First), rows)
    }

    /// At most `len` bytes of rows of a shape.
    pub(super) fn of_row_bytes(format: Format, shape: RowShape, len: u64) -> Self {
        let whole = Shape::Rows(shape, Fields::First);
        let (head, foot) = whole.frame();
        let room = len.saturating_sub((head.len() + foot.len()) as u64);
        Self::of_rows(format, shape, room / whole.row_len() as u64)
    }

    /// The same rows with `fields` behind them.
    #[must_use]
    pub fn fields_last(self) -> Self {
        self.with(Fields::Last)
    }

    /// The same rows whose fields carry no tag.
    #[must_use]
    pub fn untagged(self) -> Self {
        self.with(Fields::Untagged)
    }

    fn with(self, fields: Fields) -> Self {
        match self.shape {
            Shape::Rows(shape, _) => {
                Self::shaped(self.format, Shape::Rows(shape, fields), self.rows())
            }
            _ => self,
        }
    }

    fn shaped(format: Format, shape: Shape, rows: u64) -> Self {
        let (head, foot) = shape.frame();
        let len = (head.len() + foot.len()) as u64 + rows * shape.row_len() as u64;
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

    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        let (head, foot) = self.shape.frame();
        (self.len - (head.len() + foot.len()) as u64) / self.shape.row_len() as u64
    }

    /// Where row `row` begins, counted from 0.
    pub fn offset(&self, row: u64) -> u64 {
        (self.shape.frame().0.len() as u64 + row * self.shape.row_len() as u64).min(self.len)
    }

    /// Its SHA-256 in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        self.chunks().for_each(|chunk| digest.update(&chunk));
        hex(&digest.finalize())
    }

    /// The bytes, 64 KiB or 1,024 rows at a time.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
        let (head, foot) = self.shape.frame();
        let shape = self.shape;
        let row_len = shape.row_len() as u64;
        let body = self.len - (head.len() + foot.len()) as u64;
        let rows = body / row_len;
        let full = (0..rows.div_ceil(ROWS)).map(move |n| {
            let first = n * ROWS;
            let mut chunk = BytesMut::with_capacity((row_len * ROWS) as usize);
            for row in first..(first + ROWS).min(rows) {
                shape.row(row, row + 1 == rows, &mut chunk);
            }
            chunk.freeze()
        });
        // What is too short for a row is white space, or a header where there are no rows.
        let filler = match (shape, rows) {
            (Shape::Csv, 0) => b'x',
            (Shape::Csv, _) => b'\n',
            _ => b' ',
        };
        let rest = Bytes::from(vec![filler; (body % row_len) as usize]);
        [Bytes::from(head)]
            .into_iter()
            .chain(full)
            .chain([rest, Bytes::from(foot)])
            .filter(|chunk| !chunk.is_empty())
    }
}

impl Shape {
    fn frame(self) -> (String, String) {
        let (head, foot) = match self {
            Self::Csv => ("", ""),
            Self::Json => ("[", "]"),
            Self::JsonDetail => (
                r#"{"fields":{"dimensions":[{"name":"orders.id","label":"Orders ID","type":"string","tags":["row_id"]}],"measures":[]},"data":["#,
                "]}",
            ),
            Self::Rows(RowShape { fields, .. }, Fields::First) => {
                return (format!(r#"{{"fields":{fields},"data":["#), "]}".to_owned());
            }
            Self::Rows(RowShape { fields, .. }, Fields::Last) => {
                return (r#"{"data":["#.to_owned(), format!(r#"],"fields":{fields}}}"#));
            }
            Self::Rows(RowShape { fields, .. }, Fields::Untagged) => {
                let fields = fields.replace("\"tags\":", "\"tags_of_old\":");
                return (format!(r#"{{"fields":{fields},"data":["#), "]}".to_owned());
            }
        };
        (head.to_owned(), foot.to_owned())
    }

    /// Bytes of one row, its newline or comma included.
    fn row_len(self) -> usize {
        match self {
            Self::Rows(RowShape { before, after, .. }, _) => {
                before.len() + DIGITS + after.len() + 1
            }
            _ => ROW,
        }
    }

    /// One row.
    fn row(self, number: u64, last: bool, out: &mut BytesMut) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let begin = out.len();
        let (before, after): (&[u8], &[u8]) = match self {
            Self::Csv => (b"", b",shipped,\"4,20\""),
            Self::Json => (br#"{"orders.id":""#, br#""}"#),
            Self::JsonDetail => (br#"{"orders.id":{"value":""#, br#""}}"#),
            Self::Rows(RowShape { before, after, .. }, _) => (before.as_bytes(), after.as_bytes()),
        };
        out.put_slice(before);
        if let Self::Rows(..) = self {
            let mut digits = [b'0'; DIGITS];
            let mut rest = number;
            for digit in digits.iter_mut().rev() {
                *digit += (rest % 10) as u8;
                rest /= 10;
            }
            out.put_slice(&digits);
        } else {
            for shift in (0..16).rev() {
                out.put_u8(HEX[(number >> (4 * shift) & 15) as usize]);
            }
        }
        out.put_slice(after);
        let end = begin + self.row_len() - 1;
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
                let rows = content.whole_rows();
                assert!(rows.len() <= content.len() && rows.rows() == content.rows());
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
    fn rows_of_a_shape_are_numbered() {
        let shape = RowShape {
            fields: r#"{"dimensions":[{"name":"u.id","tags":["user_id"]}]}"#,
            before: r#"{"u.id":{"value":"u"#,
            after: r#""}}"#,
        };
        for rows in [0, 1, 2, 1_500] {
            let content = Content::of_rows(Format::JsonDetail, shape, rows);
            assert_eq!(content.rows(), rows);
            assert_eq!(Content::of_row_bytes(Format::JsonDetail, shape, content.len()), content);
            for content in [content, content.fields_last(), content.untagged()] {
                let bytes: Vec<u8> = content.chunks().flatten().collect();
                assert_eq!(bytes.len() as u64, content.len());
                let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                let data = read["data"].as_array().unwrap();
                assert_eq!(data.len() as u64, rows);
                for (n, row) in data.iter().enumerate() {
                    assert_eq!(row["u.id"]["value"], format!("u{n:010}"));
                    assert!(bytes[content.offset(n as u64) as usize..].starts_with(b"{\"u.id"));
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
