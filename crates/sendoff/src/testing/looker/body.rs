//! Looker's request bodies, made as they are sent.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use memchr::memchr2;

use super::LookerFault;
use crate::testing::Content;
use crate::testing::download::{Gate, opened, up_to};

/// Characters of base64 between two newlines, as Looker sends it. Protocol fact C.
const BASE64_LINE: usize = 60;

pub(super) type Chunks = BoxStream<'static, Result<Bytes, &'static str>>;

pub(super) fn empty() -> Chunks {
    futures_util::stream::empty().boxed()
}

pub(super) fn once(text: impl Into<Bytes>) -> Chunks {
    futures_util::stream::iter([Ok(text.into())]).boxed()
}

/// The attachment as JSON.
pub(super) fn attached(content: Content, fault: Option<LookerFault>, gate: Gate) -> Chunks {
    let format = content.format();
    let base64 = if format.is_binary() { ";base64" } else { "" };
    let head = format!(
        r#"{{"mimetype":"{}{base64}","extension":"{}","data":""#,
        format.media_type(),
        format.extension()
    );
    let (at, end): (u64, Chunks) = match fault {
        Some(LookerFault::BreaksOff(at)) => {
            (at, futures_util::stream::iter([Err("Looker breaks off")]).boxed())
        }
        Some(LookerFault::Stalls(at)) => (at, futures_util::stream::pending().boxed()),
        Some(LookerFault::Garbage(at)) => (at, once("\\q\u{1}\"}")),
        _ => (u64::MAX, once("\"}")),
    };
    let end = if at == u64::MAX { end } else { opened(gate).chain(end).boxed() };
    let data = up_to(content, at);
    let data: Chunks = if format.is_binary() {
        futures_util::stream::iter(lines_of_base64(data).map(Ok)).boxed()
    } else {
        futures_util::stream::iter(data.map(|chunk| Ok(escaped(&chunk)))).boxed()
    };
    once(head).chain(data).chain(end).boxed()
}

/// As the inside of a JSON string. The content has no other characters that need it.
fn escaped(text: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + text.len() / 16 + 8);
    let mut rest = text;
    while let Some(at) = memchr2(b'\n', b'"', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(if rest[at] == b'\n' { b"\\n" } else { b"\\\"" });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.freeze()
}

/// Base64 with a newline, escaped, after every line.
fn lines_of_base64(
    chunks: impl Iterator<Item = Bytes> + Send,
) -> impl Iterator<Item = Bytes> + Send {
    const BYTES: usize = BASE64_LINE / 4 * 3;
    let mut held = BytesMut::new();
    let mut chunks = chunks.fuse();
    std::iter::from_fn(move || {
        let chunk = chunks.next();
        let ended = chunk.is_none();
        held.extend_from_slice(&chunk.unwrap_or_default());
        let take = if ended { held.len() } else { held.len() - held.len() % BYTES };
        if ended && take == 0 {
            return None;
        }
        let mut out = BytesMut::new();
        for line in held.split_to(take).chunks(BYTES) {
            out.extend_from_slice(base64_simd::STANDARD.encode_to_string(line).as_bytes());
            out.extend_from_slice(b"\\n");
        }
        Some(out.freeze())
    })
    .filter(|chunk| !chunk.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendoff_protocol as wire;
    use sendoff_protocol::Format;

    #[tokio::test]
    async fn what_is_pushed_reads_back_as_the_content() {
        for format in [Format::Csv, Format::Json, Format::Xlsx] {
            let content = Content::new(format, 70_123);
            let gate = tokio::sync::watch::channel(true).1;
            let json: Vec<Bytes> =
                attached(content, None, gate).map(Result::unwrap).collect().await;
            let attachment: wire::Attachment = serde_json::from_slice(&json.concat()).unwrap();
            let text = attachment.data.unwrap().0;
            let want: Vec<u8> = content.chunks().flatten().collect();
            if format.is_binary() {
                assert!(text.lines().all(|line| line.len() <= BASE64_LINE));
                let joined = text.replace('\n', "");
                assert_eq!(base64_simd::STANDARD.decode_to_vec(joined).unwrap(), want);
            } else {
                assert_eq!(text.as_bytes(), want);
            }
        }
    }
}
