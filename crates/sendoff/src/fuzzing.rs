//! What the fuzz targets in `fuzz/` reach of the inside. Not there in an ordinary build.

use bytes::Bytes;

use crate::intake::fuzzing::{Reader, compare};

/// A request body, read in chunks whose sizes the first byte chooses, against serde_json.
///
/// # Panics
/// When both do not agree.
pub fn request_body(data: &[u8]) {
    let Some((&seed, body)) = data.split_first() else { return };
    if let Err(difference) = compare(body, pieces(body, seed)) {
        panic!("{difference}");
    }
}

/// What Looker, or whoever plays it, may give back as a state: nothing seals but the hub.
///
/// # Panics
/// When a text that nobody sealed opens.
pub fn login_state(data: &[u8]) {
    crate::login::fuzzing::read(&String::from_utf8_lossy(data));
}

/// Text in pieces, against base64-simd on the whole of it.
///
/// # Panics
/// When both do not agree.
pub fn base64(data: &[u8]) {
    let Some((&seed, text)) = data.split_first() else { return };
    let bare: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let strict = base64_simd::STANDARD.decode_to_vec(&bare);
    let theirs = strict.or_else(|_| base64_simd::STANDARD_NO_PAD.decode_to_vec(&bare)).ok();
    let mut reader = Reader::new();
    let mut decoded = Some(Vec::new());
    for piece in pieces(text, seed) {
        match (reader.feed(&piece), &mut decoded) {
            (Ok(bytes), Some(decoded)) => decoded.extend_from_slice(&bytes),
            _ => {
                decoded = None;
                break;
            }
        }
    }
    let ours = decoded.filter(|_| reader.finish().is_ok());
    assert_eq!(ours, theirs);
}

/// Sizes from 1 to 64, different from one another.
fn pieces(data: &[u8], seed: u8) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(data);
    let mut size = usize::from(seed);
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        size = size * 5 % 64 + 1;
        pieces.push(rest.split_to(size.min(rest.len())));
    }
    pieces
}
