//! Cuts a stream into parts in flat memory, hashed as they fill.

use bytes::{Bytes, BytesMut};
use sendoff::{ByteStream, Result};
use sha2::Digest;

/// A piece of the data with the hash that the vendor checks it by.
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) hash: Vec<u8>,
}

/// What a part's hash is a hash of.
pub(crate) trait Hashing: Send {
    fn new() -> Self;
    fn update(&mut self, piece: &[u8]);
    /// The hash at the end of a part.
    fn end_of_part(&mut self) -> Vec<u8>;
}

/// Each part on its own.
pub(crate) struct EachPart<H>(H);

/// All data so far: the last part's hash is the whole's.
pub(crate) struct SoFar<H>(H);

impl<H: Digest + Send> Hashing for EachPart<H> {
    fn new() -> Self {
        Self(H::new())
    }

    fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    fn end_of_part(&mut self) -> Vec<u8> {
        std::mem::replace(&mut self.0, H::new()).finalize().to_vec()
    }
}

impl<H: Digest + Clone + Send> Hashing for SoFar<H> {
    fn new() -> Self {
        Self(H::new())
    }

    fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    fn end_of_part(&mut self) -> Vec<u8> {
        self.0.clone().finalize().to_vec()
    }
}

impl Part {
    pub(crate) fn empty<H: Hashing>() -> Self {
        Self { bytes: Bytes::new(), hash: H::new().end_of_part() }
    }
}

/// A stream that is being cut.
pub(crate) struct Parts<H> {
    data: ByteStream,
    /// What is left of the last chunk.
    held: Bytes,
    /// The part that fills. It stands here and not in a future, which may be dropped.
    filling: BytesMut,
    hash: H,
    /// Memory of parts that were confirmed. Without it the allocator keeps several times what is
    /// in use, because parts are allocated and freed on different threads.
    spare: Vec<BytesMut>,
    ended: bool,
    total: u64,
}

impl<H: Hashing> Parts<H> {
    pub(crate) fn new(data: ByteStream) -> Self {
        Self {
            data,
            held: Bytes::new(),
            filling: BytesMut::new(),
            hash: H::new(),
            spare: Vec::new(),
            ended: false,
            total: 0,
        }
    }

    /// How many bytes were cut off so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The next `size` bytes, or what is left; `None` at the end. Cancellation safe.
    pub(crate) async fn next(&mut self, size: usize) -> Result<Option<Part>> {
        while self.filling.len() < size && !self.at_end().await? {
            if self.filling.capacity() == 0 {
                self.filling = self.memory(size);
            }
            let room = size - self.filling.len();
            let piece = self.held.split_to(room.min(self.held.len()));
            self.hash.update(&piece);
            self.filling.extend_from_slice(&piece);
        }
        if self.filling.is_empty() {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.filling).freeze();
        self.total += bytes.len() as u64;
        Ok(Some(Part { bytes, hash: self.hash.end_of_part() }))
    }

    fn memory(&mut self, size: usize) -> BytesMut {
        match self.spare.pop() {
            Some(mut spare) if spare.capacity() >= size => {
                spare.clear();
                spare
            }
            _ => BytesMut::with_capacity(size),
        }
    }

    /// Takes back the memory of a part that nobody reads any more.
    pub(crate) fn recycle(&mut self, bytes: Bytes) {
        if let Ok(memory) = bytes.try_into_mut() {
            self.spare.push(memory);
        }
    }

    /// Whether nothing is left, which may have to be waited for. Cancellation safe.
    pub(crate) async fn at_end(&mut self) -> Result<bool> {
        while self.held.is_empty() && !self.ended {
            match self.data.next().await {
                Some(chunk) => self.held = chunk?,
                None => self.ended = true,
            }
        }
        Ok(self.held.is_empty())
    }
}
