//! Request bodies of any length that take the memory of one buffer.

use bytes::Bytes;

/// A pushed delivery: what comes before the repeated chunk, the chunk, and what comes after. Each
/// part carries its HTTP chunk framing.
pub(crate) struct Push {
    pub(crate) before: Bytes,
    pub(crate) chunk: Bytes,
    pub(crate) times: usize,
    pub(crate) after: Bytes,
    /// Length of the decoded attachment.
    pub(crate) decoded: u64,
}

/// The repeated part of an attachment: as it stands inside the JSON string, and decoded.
pub(crate) struct Piece {
    pub(crate) encoded: Vec<u8>,
    pub(crate) decoded: usize,
    mimetype: &'static str,
    extension: &'static str,
}

/// Where the form's answers stand: after the attachment, the data must wait for them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    FormFirst,
    AttachmentFirst,
}

const PENGUINS: &str = include_str!("../../../data/penguins.csv");
/// About as much as one write to a loopback socket takes.
const PIECE: usize = 256 * 1024;

/// The rows of the demo's data set, as often as they fit.
pub(crate) fn csv_rows() -> String {
    let rows = PENGUINS.split_once('\n').map_or("", |(_header, rows)| rows);
    rows.repeat(PIECE / rows.len())
}

impl Piece {
    /// Real rows, 44 bytes each, so that an escaped newline comes as often as in any real CSV.
    pub(crate) fn csv() -> Self {
        let rows = csv_rows();
        let encoded = rows.replace('"', "\\\"").replace('\n', "\\n").into_bytes();
        Self { encoded, decoded: rows.len(), mimetype: "text/csv", extension: "csv" }
    }

    /// Bytes without a pattern, as a compressed workbook has, in lines of 60 characters.
    pub(crate) fn base64() -> Self {
        let lines = PIECE / 62;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            // xorshift64: the same bytes in every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        let mut encoded = String::with_capacity(lines * 62);
        for _ in 0..lines {
            let line: [u8; 45] = std::array::from_fn(|_| random());
            base64_simd::STANDARD.encode_append(line, &mut encoded);
            encoded.push_str("\\n");
        }
        Self {
            encoded: encoded.into_bytes(),
            decoded: lines * 45,
            mimetype: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet;base64",
            extension: "xlsx",
        }
    }
}

impl Push {
    /// At least `bytes` decoded bytes for the action whose form answers are `answers` (JSON).
    pub(crate) fn new(piece: &Piece, bytes: u64, answers: &str, order: Order) -> Self {
        let times = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(piece.decoded);
        let lead = r#"{"type":"query","scheduled_plan":{"scheduled_plan_id":88,"title":"Bench"}"#;
        let form = format!(r#","data":{{}},"form_params":{answers}"#);
        let attachment = format!(
            r#","attachment":{{"mimetype":"{}","extension":"{}","data":""#,
            piece.mimetype, piece.extension
        );
        let (before, after) = match order {
            Order::FormFirst => (format!("{lead}{form}{attachment}"), "\"}}".to_owned()),
            Order::AttachmentFirst => (format!("{lead}{attachment}"), format!("\"}}{form}}}")),
        };
        let mut last = framed(after.as_bytes());
        last.extend_from_slice(b"0\r\n\r\n");
        Self {
            before: framed(before.as_bytes()).into(),
            chunk: framed(&piece.encoded).into(),
            times,
            after: last.into(),
            decoded: (times * piece.decoded) as u64,
        }
    }
}

/// With its HTTP chunk size before it.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unframed(mut bytes: &[u8]) -> String {
        let mut text = String::new();
        while let Some(at) = bytes.windows(2).position(|pair| pair == b"\r\n") {
            let size =
                usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap(), 16).unwrap();
            text.push_str(std::str::from_utf8(&bytes[at + 2..at + 2 + size]).unwrap());
            bytes = &bytes[at + 2 + size + 2..];
        }
        text
    }

    #[test]
    fn a_push_is_json_that_holds_what_it_says() {
        for (piece, order) in [
            (Piece::csv(), Order::FormFirst),
            (Piece::csv(), Order::AttachmentFirst),
            (Piece::base64(), Order::FormFirst),
        ] {
            let push = Push::new(&piece, 300_000, r#"{"url":"u"}"#, order);
            let text = unframed(&push.before)
                + &unframed(&push.chunk).repeat(push.times)
                + &unframed(&push.after);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["form_params"]["url"], "u");
            let data = value["attachment"]["data"].as_str().unwrap();
            let plain = match piece.extension {
                "csv" => data.len(),
                _ => base64_simd::STANDARD.decode_to_vec(data.replace('\n', "")).unwrap().len(),
            };
            assert_eq!(plain as u64, push.decoded);
            assert!(push.decoded >= 300_000);
        }
    }
}
