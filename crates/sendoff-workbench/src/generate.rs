//! Results of any size that are made as they flow: seeded, nothing on disk, nothing in memory.

use std::io::Write;

use bytes::Bytes;
use futures_util::stream;
use sendoff_protocol::Format;

use crate::Source;
use crate::faults::Chance;

/// The formats that can be generated: those that are text row by row.
pub const GENERATED_FORMATS: [Format; 7] = [
    Format::Csv,
    Format::Txt,
    Format::Json,
    Format::InlineJson,
    Format::JsonLabel,
    Format::JsonDetail,
    Format::JsonDetailLiteStream,
];

/// A piece is about so large.
const PIECE: usize = 64 << 10;

/// Rows of an order book in this format, at least `bytes` long and at most one row longer. The same
/// seed gives the same bytes. None for a format that is not text row by row.
pub fn generated(bytes: u64, seed: u64, format: Format) -> Option<Source> {
    let shape = Shape::of(format)?;
    let rows = Rows { shape, chance: Chance::new(seed), id: 0, left: bytes, part: Part::Head };
    Some(Source::stream(stream::iter(rows.map(Ok))))
}

/// What stands around and between the rows.
#[derive(Clone, Copy)]
struct Shape {
    head: &'static str,
    between: &'static str,
    tail: &'static str,
    row: fn(&mut Vec<u8>, &Row),
}

struct Row {
    id: u64,
    user: u64,
    cents: u64,
    status: &'static str,
}

const STATUSES: [&str; 4] = ["complete", "shipped", "returned", "cancelled"];

impl Shape {
    fn of(format: Format) -> Option<Self> {
        let between = ",\n";
        Some(match format {
            Format::Csv => Self {
                head: "Orders ID,Users Email,Orders Total,Orders Status\n",
                between: "",
                tail: "",
                row: |out, row| separated(out, row, b','),
            },
            Format::Txt => Self {
                head: "Orders ID\tUsers Email\tOrders Total\tOrders Status\n",
                between: "",
                tail: "",
                row: |out, row| separated(out, row, b'\t'),
            },
            Format::Json | Format::InlineJson => Self {
                head: "[",
                between,
                tail: "]",
                row: |out, row| {
                    named(out, row, ["orders.id", "users.email", "orders.total", "orders.status"]);
                },
            },
            Format::JsonLabel => Self {
                head: "[",
                between,
                tail: "]",
                row: |out, row| {
                    named(out, row, ["Orders ID", "Users Email", "Orders Total", "Orders Status"]);
                },
            },
            Format::JsonDetail | Format::JsonDetailLiteStream => {
                Self { head: DETAIL, between, tail: "]}", row: detailed }
            }
            _ => return None,
        })
    }
}

const DETAIL: &str = r#"{"fields":{"dimensions":[{"name":"orders.id","label":"Orders ID","label_short":"ID","type":"number","is_numeric":true,"tags":[]},{"name":"users.email","label":"Users Email","label_short":"Email","type":"string","is_numeric":false,"tags":["email"]},{"name":"orders.total","label":"Orders Total","label_short":"Total","type":"number","is_numeric":true,"tags":[]},{"name":"orders.status","label":"Orders Status","label_short":"Status","type":"string","is_numeric":false,"tags":[]}],"measures":[],"table_calculations":[],"pivots":[]},"data":["#;

// Writing into a Vec cannot fail.
fn separated(out: &mut Vec<u8>, row: &Row, by: u8) {
    let by = char::from(by);
    let Row { id, user, cents, status } = row;
    let (whole, rest) = (cents / 100, cents % 100);
    let _ = writeln!(out, "{id}{by}user{user:08}@example.com{by}{whole}.{rest:02}{by}{status}");
}

fn named(out: &mut Vec<u8>, row: &Row, names: [&str; 4]) {
    let Row { id, user, cents, status } = row;
    let (whole, rest) = (cents / 100, cents % 100);
    let [a, b, c, d] = names;
    let _ = write!(
        out,
        r#"{{"{a}":{id},"{b}":"user{user:08}@example.com","{c}":{whole}.{rest:02},"{d}":"{status}"}}"#
    );
}

fn detailed(out: &mut Vec<u8>, row: &Row) {
    let Row { id, user, cents, status } = row;
    let (whole, rest) = (cents / 100, cents % 100);
    let _ = write!(
        out,
        r#"{{"orders.id":{{"value":{id}}},"users.email":{{"value":"user{user:08}@example.com"}},"orders.total":{{"value":{whole}.{rest:02}}},"orders.status":{{"value":"{status}"}}}}"#
    );
}

enum Part {
    Head,
    Rows,
    Done,
}

struct Rows {
    shape: Shape,
    chance: Chance,
    id: u64,
    /// So many bytes are still to be made.
    left: u64,
    part: Part,
}

impl Iterator for Rows {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut piece = Vec::with_capacity(PIECE + 512);
        match self.part {
            Part::Done => return None,
            Part::Head => {
                piece.extend_from_slice(self.shape.head.as_bytes());
                self.part = Part::Rows;
            }
            Part::Rows => {}
        }
        let tail = self.shape.tail.len() as u64;
        while piece.len() < PIECE {
            if self.left <= piece.len() as u64 + tail {
                piece.extend_from_slice(self.shape.tail.as_bytes());
                self.part = Part::Done;
                break;
            }
            if self.id > 0 {
                piece.extend_from_slice(self.shape.between.as_bytes());
            }
            self.id += 1;
            let random = self.chance.next();
            let row = Row {
                id: self.id,
                user: random % 100_000_000,
                cents: (random >> 32) % 1_000_000,
                status: STATUSES[(random >> 60) as usize % STATUSES.len()],
            };
            (self.shape.row)(&mut piece, &row);
        }
        self.left = self.left.saturating_sub(piece.len() as u64);
        Some(piece.into())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use sha2::{Digest, Sha256};

    use super::*;

    async fn made(bytes: u64, seed: u64, format: Format) -> Vec<u8> {
        let mut source = generated(bytes, seed, format).unwrap();
        let mut whole = Vec::new();
        while let Some(piece) = source.next().await {
            let piece = piece.unwrap();
            assert!(piece.len() <= PIECE + 512);
            whole.extend_from_slice(&piece);
        }
        whole
    }

    #[tokio::test]
    async fn it_has_the_size_asked_for_and_follows_from_the_seed() {
        for format in GENERATED_FORMATS {
            for bytes in [2_000, 65_536, 1_000_000] {
                let whole = made(bytes, 7, format).await;
                let over = whole.len() as u64 - bytes;
                assert!(over < 400, "{format}: {over} over {bytes}");
                assert_eq!(whole, made(bytes, 7, format).await);
                assert_ne!(Sha256::digest(&whole), Sha256::digest(made(bytes, 8, format).await));
            }
        }
        assert!(generated(10, 1, Format::Xlsx).is_none());
    }

    #[tokio::test]
    async fn it_is_right_in_its_format() {
        for format in [Format::Json, Format::JsonLabel, Format::JsonDetailLiteStream] {
            let whole = made(200_000, 1, format).await;
            let value: serde_json::Value = serde_json::from_slice(&whole).unwrap();
            let rows = value.as_array().or_else(|| value["data"].as_array()).unwrap();
            assert!(rows.len() > 500, "{format}");
        }
        let csv = String::from_utf8(made(200_000, 1, Format::Csv).await).unwrap();
        assert!(csv.lines().all(|line| line.split(',').count() == 4));
        assert!(csv.ends_with('\n'));
    }
}
