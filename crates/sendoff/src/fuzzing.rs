//! What the fuzz targets in `fuzz/` reach of the inside. Not there in an ordinary build.

use std::future::Future;

use bytes::Bytes;

use crate::intake::fuzzing::{Reader, compare};
use crate::rows::{Layout, Rows};
use crate::spool::{SpoolLimits, SpoolRoom};
use crate::{ByteStream, Result};

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

/// Rows of each layout: the same from a document in pieces as from all of it at once, and none
/// from what serde_json refuses.
///
/// # Panics
/// When they are not.
pub fn rows(data: &[u8]) {
    let &[layout, seed, ref document @ ..] = data else { return };
    let layout = match layout % 3 {
        0 => Layout::Json,
        1 => Layout::Csv,
        _ => Layout::Txt,
    };
    let whole = read(layout, vec![Bytes::copy_from_slice(document)]);
    let cut = read(layout, pieces(document, seed));
    match (&whole, &cut) {
        (Ok(whole), Ok(cut)) => assert_eq!(whole, cut),
        // How far each came may differ, and with it the words.
        (Err(_), Err(_)) => {}
        _ => panic!("whole: {whole:?}, cut: {cut:?}"),
    }
    if whole.is_ok() && layout == Layout::Json {
        let text = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
        serde_json::from_slice::<serde::de::IgnoredAny>(text).expect("rows of what is no JSON");
    }
    passed(layout, document, seed);
}

/// Bytes that nobody reads as rows: judged alike however they are cut, and passed on unchanged.
fn passed(layout: Layout, document: &[u8], seed: u8) {
    let pass = |chunks: Vec<Bytes>| {
        let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty()).map(Ok);
        let stream = ByteStream::new(futures_util::stream::iter(chunks.collect::<Vec<_>>()));
        let mut stream = crate::rows::checked_bytes(layout, true, stream);
        at_once(async move {
            let mut all = Vec::new();
            while let Some(chunk) = stream.next().await {
                all.extend_from_slice(&chunk?);
            }
            Ok::<_, crate::Error>(all)
        })
    };
    let (whole, cut) = (pass(vec![Bytes::copy_from_slice(document)]), pass(pieces(document, seed)));
    assert_eq!(whole.is_ok(), cut.is_ok(), "whole: {whole:?}, cut: {cut:?}");
    let Ok(bytes) = whole else { return };
    assert_eq!(bytes, document);
    if layout == Layout::Json {
        let text = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
        serde_json::from_slice::<serde::de::IgnoredAny>(text).expect("what is no JSON was passed");
    }
}

/// Runs work that waits for nothing.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(work)
}

/// Each row as JSON.
fn read(layout: Layout, chunks: Vec<Bytes>) -> Result<Vec<String>> {
    let room = SpoolRoom::new(SpoolLimits { dir: None, ..SpoolLimits::default() })?;
    let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty()).map(Ok);
    let stream = ByteStream::new(futures_util::stream::iter(chunks.collect::<Vec<_>>()));
    at_once(async {
        let mut rows = Rows::open(layout, stream, &room).await?;
        let mut read = Vec::new();
        while let Some(row) = rows.next().await {
            read.push(serde_json::to_string(&row?).expect("a row is JSON"));
        }
        Ok(read)
    })
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
