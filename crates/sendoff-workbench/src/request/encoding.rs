//! How the parts of a request body are written: as they are, inside a JSON string, as base64.

use bytes::{BufMut, Bytes, BytesMut};

use super::Source;

pub(super) enum Part {
    Ready { bytes: Bytes, shown: Bytes },
    Data { source: Source, encoding: Encoding },
}

impl Part {
    pub(super) fn plain(text: impl Into<Bytes>) -> Self {
        let bytes: Bytes = text.into();
        Self::Ready { shown: bytes.clone(), bytes }
    }
}

/// How the result's bytes stand in the body.
pub(super) enum Encoding {
    /// As they are.
    Verbatim,
    /// Inside a JSON string.
    JsonString,
    /// As base64 inside a JSON string.
    Base64(Base64),
}

/// Base64 on its way.
pub(super) struct Base64 {
    /// The bytes that do not fill a line yet.
    pub(super) rest: Vec<u8>,
    /// With a newline after every 60 characters. **C**
    pub(super) wrapped: bool,
    /// So many characters from now stands one that is no base64.
    pub(super) broken: Option<u64>,
}

/// 45 bytes make the 60 characters of a line.
const LINE: usize = 45;

impl Encoding {
    pub(super) fn encode(&mut self, chunk: Bytes) -> Bytes {
        match self {
            Self::Verbatim => chunk,
            Self::JsonString => json_string(chunk),
            Self::Base64(base64) => {
                base64.rest.extend_from_slice(&chunk);
                let whole = base64.rest.len() - base64.rest.len() % LINE;
                let lines = base64.lines(whole);
                base64.rest.drain(..whole);
                lines
            }
        }
    }

    pub(super) fn finish(self) -> Bytes {
        match self {
            Self::Base64(mut base64) => {
                let mut end = Vec::from(base64.lines(base64.rest.len()));
                // Shorter than where it was to break: it breaks at its end.
                if base64.broken.is_some() {
                    end.push(b'!');
                }
                end.into()
            }
            Self::Verbatim | Self::JsonString => Bytes::new(),
        }
    }
}

impl Base64 {
    fn lines(&mut self, upto: usize) -> Bytes {
        let bytes = &self.rest[..upto];
        let mut lines = String::with_capacity(bytes.len().div_ceil(LINE) * 62);
        for line in bytes.chunks(LINE) {
            base64_simd::STANDARD.encode_append(line, &mut lines);
            if self.wrapped {
                lines.push_str("\\n");
            }
        }
        let mut lines = lines.into_bytes();
        if let Some(at) = self.broken {
            let is_own = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            match usize::try_from(at).ok().filter(|at| *at < lines.len()) {
                Some(at) => {
                    // Not the backslash or the n of a newline: the JSON stays right.
                    let line = if self.wrapped { 62 } else { usize::MAX };
                    let at = if at % line >= 60 { at - at % line } else { at };
                    if lines.get(at).is_some_and(is_own) {
                        lines[at] = b'!';
                    }
                    self.broken = None;
                }
                None => self.broken = Some(at - lines.len() as u64),
            }
        }
        lines.into()
    }
}

fn json_string(chunk: Bytes) -> Bytes {
    let needs_escape = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let Some(first) = chunk.iter().position(needs_escape) else { return chunk };
    let mut escaped = BytesMut::with_capacity(chunk.len() + chunk.len() / 16 + 16);
    escaped.extend_from_slice(&chunk[..first]);
    for &byte in &chunk[first..] {
        match byte {
            b'"' => escaped.put_slice(b"\\\""),
            b'\\' => escaped.put_slice(b"\\\\"),
            b'\n' => escaped.put_slice(b"\\n"),
            b'\r' => escaped.put_slice(b"\\r"),
            b'\t' => escaped.put_slice(b"\\t"),
            0..0x20 => escaped.put_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => escaped.put_u8(byte),
        }
    }
    escaped.freeze()
}
