//! Buffers that come back: each step of a delivery fills its own again and again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Where one buffer waits while nobody uses it.
///
/// A new buffer for every chunk would have to be cleared, which costs about as much as copying the
/// chunk. What is lent from here comes back when its reader drops it, which is before the next
/// chunk is made unless the reader keeps it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(Arc<Mutex<Vec<u8>>>);

impl Shelf {
    /// A buffer of at least `len` bytes, which hold anything.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        let mut buffer =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        buffer
    }

    /// The first `len` bytes of `buffer`, which comes back here once they are dropped.
    pub(crate) fn lend(&self, buffer: Vec<u8>, len: usize) -> Bytes {
        let len = len.min(buffer.len());
        Bytes::from_owner(Lent { buffer, len, home: self.clone() })
    }
}

struct Lent {
    buffer: Vec<u8>,
    len: usize,
    home: Shelf,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut home = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if home.len() < self.buffer.len() {
            *home = std::mem::take(&mut self.buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_reader_is_done() {
        let shelf = Shelf::default();
        let mut buffer = shelf.take(4);
        buffer[..4].copy_from_slice(b"abcd");
        let place = buffer.as_ptr();
        let lent = shelf.lend(buffer, 3);
        assert_eq!(lent, "abc");

        let other = shelf.take(4);
        assert_ne!(other.as_ptr(), place, "it is lent still");
        drop(lent.slice(1..));
        drop(lent);
        let again = shelf.take(2);
        assert_eq!(again.as_ptr(), place);
    }
}
