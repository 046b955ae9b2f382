//! Recognises what came before in a delivery, in bounded memory.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// What came before, as digests of 16 bytes.
#[derive(Debug)]
pub(crate) struct Repeats {
    seen: HashSet<[u8; 16]>,
    most: usize,
}

impl Repeats {
    /// Remembers so many different things; what comes first beyond them is never a repeat.
    pub(crate) fn of(most: usize) -> Self {
        Self { seen: HashSet::new(), most }
    }

    /// Whether the same came before.
    pub(crate) fn is_repeat(&mut self, bytes: &[u8]) -> bool {
        let digest = Sha256::digest(bytes);
        let Some(digest) = digest.first_chunk::<16>() else { return false };
        if self.seen.len() < self.most {
            !self.seen.insert(*digest)
        } else {
            self.seen.contains(digest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_stays_recognised_when_memory_is_full() {
        let mut repeats = Repeats::of(2);
        assert!(![b"a", b"b", b"c", b"c"].map(|one| repeats.is_repeat(one)).contains(&true));
        assert!([b"a", b"b"].iter().all(|one| repeats.is_repeat(*one)));
    }
}
