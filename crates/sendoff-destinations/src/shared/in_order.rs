//! For stand-ins of object stores: hashes an object's parts in their order and keeps none of them.

use bytes::Bytes;
use md5::Md5;
use sendoff::ByteStream;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::aws::hex;

/// What a body was, once it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) bytes: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
    /// Base64, as Azure writes it.
    pub(crate) md5: String,
}

/// Reads a body to its end; `None` if it breaks off or is longer than announced.
pub(crate) async fn read(body: ByteStream) -> Option<Digests> {
    read_into(body, &mut Sha256::new()).await
}

async fn read_into(mut body: ByteStream, whole: &mut Sha256) -> Option<Digests> {
    let announced = body.len_hint();
    let (mut sha256, mut md5, mut bytes) = (Sha256::new(), Md5::new(), 0);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.ok()?;
        whole.update(&chunk);
        sha256.update(&chunk);
        md5.update(&chunk);
        bytes += chunk.len() as u64;
    }
    let complete = announced.is_none_or(|announced| announced == bytes);
    complete.then(|| Digests {
        bytes,
        sha256: hex(&sha256.finalize()),
        md5: base64_simd::STANDARD.encode_to_string(md5.finalize()),
    })
}

/// A short body as text; `None` if it breaks off or is longer than 4 MiB.
pub(crate) async fn text(mut body: ByteStream) -> Option<(String, Digests)> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.ok()?);
        if bytes.len() > 4 * 1024 * 1024 {
            return None;
        }
    }
    let chunk = Bytes::from(bytes);
    let text = String::from_utf8(chunk.to_vec()).ok()?;
    let once = futures_util::stream::once(std::future::ready(Ok(chunk)));
    Some((text, read(ByteStream::new(once)).await?))
}

/// The parts of one upload. Those that come early wait for their turn, unread.
pub(crate) struct InOrder(watch::Sender<State>);

#[derive(Clone, Default)]
struct State {
    whole: Sha256,
    parts: Vec<Digests>,
}

impl Default for InOrder {
    fn default() -> Self {
        Self(watch::Sender::new(State::default()))
    }
}

impl InOrder {
    /// Takes part `number`, counted from 1, if `sound` says so. A part may come again, but must be
    /// the same. `None` if it is not, or its body breaks off: then it counts as never sent.
    pub(crate) async fn part(
        &self,
        number: usize,
        body: ByteStream,
        sound: impl Fn(&Digests) -> bool,
    ) -> Option<Digests> {
        let index = number.checked_sub(1)?;
        let mut turn = self.0.subscribe();
        let mut whole = turn.wait_for(|now| now.parts.len() >= index).await.ok()?.whole.clone();
        let digests = read_into(body, &mut whole).await.filter(|digests| sound(digests))?;
        let mut same = true;
        self.0.send_if_modified(|now| {
            if let Some(before) = now.parts.get(index) {
                same = *before == digests;
                return false;
            }
            now.whole = whole;
            now.parts.push(digests.clone());
            true
        });
        same.then_some(digests)
    }

    /// The parts so far, and what they are together.
    pub(crate) fn so_far(&self) -> (Vec<Digests>, u64, String) {
        let now = self.0.borrow().clone();
        let bytes = now.parts.iter().map(|part| part.bytes).sum();
        (now.parts, bytes, hex(&now.whole.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join;
    use sendoff::Error;

    use super::*;

    fn body(text: &'static str) -> ByteStream {
        let once =
            futures_util::stream::once(std::future::ready(Ok(Bytes::from_static(text.as_bytes()))));
        ByteStream::new(once)
    }

    #[tokio::test]
    async fn parts_that_come_early_wait_and_a_broken_one_counts_for_nothing() {
        let parts = InOrder::default();
        let broken = futures_util::stream::iter([
            Ok(Bytes::from_static(b"hel")),
            Err(Error::vendor("The request broke off.")),
        ]);
        assert!(parts.part(1, ByteStream::new(broken), |_| true).await.is_none());
        let (second, first) =
            join(parts.part(2, body("lo"), |_| true), parts.part(1, body("hel"), |_| true)).await;
        assert_eq!(second.map(|digests| digests.bytes), Some(2));
        assert!(first.is_some());
        assert!(parts.part(1, body("hel"), |_| true).await.is_some(), "the same once more");
        assert!(parts.part(1, body("hex"), |_| true).await.is_none(), "another one in its place");
        let (_, bytes, sha256) = parts.so_far();
        assert_eq!((bytes, sha256), (5, hex(&Sha256::digest(b"hello"))));
    }
}
