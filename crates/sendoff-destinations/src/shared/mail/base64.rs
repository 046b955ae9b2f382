//! Data as base64 while it flows, in one run or in lines.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use sendoff::ByteStream;

/// Bytes of one line of RFC 2045: 76 characters.
const LINE: usize = 57;

/// How base64 is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Without line ends, as JSON wants it.
    Run,
    /// In lines of 76 characters, each with CR LF, as mail wants it.
    Lines,
}

impl Form {
    /// How many bytes are encoded on their own.
    fn unit(self) -> usize {
        match self {
            Self::Run => 3,
            Self::Lines => LINE,
        }
    }

    /// The length of `len` bytes in this form.
    pub(crate) fn length(self, len: u64) -> u64 {
        let run = |bytes: u64| bytes.div_ceil(3) * 4;
        match self {
            Self::Run => run(len),
            Self::Lines => run(len) + 2 * len.div_ceil(LINE as u64),
        }
    }
}

/// `data` as base64.
pub(crate) fn encoded(data: ByteStream, form: Form) -> ByteStream {
    let len = data.len_hint().map(|len| form.length(len));
    let begun = BytesMut::with_capacity(LINE);
    let chunks = stream::unfold(Some((data, begun)), move |state| async move {
        let (mut data, mut begun) = state?;
        loop {
            match data.next().await {
                Some(Ok(chunk)) => {
                    let out = whole_units(&mut begun, &chunk, form);
                    if !out.is_empty() {
                        return Some((Ok(out), Some((data, begun))));
                    }
                }
                Some(Err(fault)) => return Some((Err(fault), None)),
                None if begun.is_empty() => return None,
                None => {
                    let mut out = Vec::new();
                    append(&begun, form, &mut out);
                    return Some((Ok(out.into()), None));
                }
            }
        }
    });
    let encoded = ByteStream::new(chunks);
    match len {
        Some(len) => encoded.with_len(len),
        None => encoded,
    }
}

/// Encodes as many whole units as there are; the rest waits in `begun`.
fn whole_units(begun: &mut BytesMut, chunk: &Bytes, form: Form) -> Bytes {
    let unit = form.unit();
    let needed = (unit - begun.len()) % unit;
    if chunk.len() < needed {
        begun.extend_from_slice(chunk);
        return Bytes::new();
    }
    let (head, rest) = chunk.split_at(needed);
    let (units, tail) = rest.split_at(rest.len() - rest.len() % unit);
    // At most one unit more than the chunk has.
    let room = form.length((units.len() + unit) as u64) as usize;
    let mut out = Vec::with_capacity(room);
    begun.extend_from_slice(head);
    append(begun, form, &mut out);
    append(units, form, &mut out);
    begun.clear();
    begun.extend_from_slice(tail);
    out.into()
}

/// Appends `bytes`; only the last call of a stream may bring an unfinished unit.
pub(crate) fn append(bytes: &[u8], form: Form, out: &mut Vec<u8>) {
    match form {
        Form::Run => base64_simd::STANDARD.encode_append(bytes, out),
        Form::Lines => {
            for line in bytes.chunks(LINE) {
                base64_simd::STANDARD.encode_append(line, out);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn of(chunks: Vec<Vec<u8>>, form: Form) -> (Option<u64>, Vec<u8>) {
        let len = chunks.iter().map(Vec::len).sum::<usize>() as u64;
        let data = chunks.into_iter().filter(|chunk| !chunk.is_empty());
        let data = stream::iter(data.map(|chunk| Ok(Bytes::from(chunk))));
        let mut encoded = encoded(ByteStream::new(data).with_len(len), form);
        let (announced, mut out) = (encoded.len_hint(), Vec::new());
        while let Some(chunk) = encoded.next().await {
            let chunk = chunk.unwrap();
            assert!(!chunk.is_empty());
            out.extend_from_slice(&chunk);
        }
        (announced, out)
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_is_the_same(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..9),
        ) {
            let whole: Vec<u8> = chunks.concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (len, run) = runtime.block_on(of(chunks.clone(), Form::Run));
            prop_assert_eq!(len, Some(run.len() as u64));
            prop_assert_eq!(&run, &base64_simd::STANDARD.encode_to_string(&whole).into_bytes());
            let (len, lines) = runtime.block_on(of(chunks, Form::Lines));
            prop_assert_eq!(len, Some(lines.len() as u64));
            let text = String::from_utf8(lines).unwrap();
            prop_assert!(text.is_empty() || text.ends_with("\r\n"));
            let mut joined = String::new();
            let mut left = text.matches("\r\n").count();
            for line in text.split_terminator("\r\n") {
                left -= 1;
                prop_assert!(line.len() == 76 || left == 0);
                joined.push_str(line);
            }
            prop_assert_eq!(joined.into_bytes(), run);
        }
    }

    #[tokio::test]
    async fn a_break_ends_it_with_an_error() {
        let data =
            stream::iter([Ok(Bytes::from_static(b"abcd")), Err(sendoff::Error::looker("Cut."))]);
        let mut encoded = encoded(ByteStream::new(data), Form::Run);
        assert_eq!(encoded.next().await.unwrap().unwrap(), "YWJj");
        assert!(encoded.next().await.unwrap().is_err());
        assert!(encoded.next().await.is_none());
    }
}
