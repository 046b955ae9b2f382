//! What the small members of requests take of the hub's memory, against one limit for all.

use super::Refusal;
use crate::account::{Account, Share};

/// What all requests together may hold beyond their [`FREE`] part, in bytes.
const ALL: u64 = 64 << 20;
/// What each request holds uncounted, so that a few large ones cannot keep small ones out. How many
/// there are is limited by the hub's admission.
const FREE: u64 = 64 << 10;
/// How often a byte of a member is there: as it came, as it was read, and in what an action made
/// of it.
const COPIES: u64 = 3;
/// What an entry of `data` or `form_params` takes besides its text.
const ENTRY: u64 = 128;

/// The account of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Account);

impl Default for Memory {
    fn default() -> Self {
        Self(Account::new(ALL))
    }
}

impl Memory {
    /// What one request holds: nothing yet.
    pub(crate) fn of_request(&self) -> Kept {
        Kept { share: self.0.share(), free: FREE }
    }
}

/// What one request holds. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    share: Share,
    /// What is left of [`FREE`].
    free: u64,
}

impl Kept {
    /// Counts bytes of members.
    pub(crate) fn bytes(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.take((bytes as u64).saturating_mul(COPIES))
    }

    /// Counts entries that members were read into.
    pub(crate) fn entries(&mut self, entries: usize) -> Result<(), Refusal> {
        self.take((entries as u64).saturating_mul(ENTRY))
    }

    fn take(&mut self, bytes: u64) -> Result<(), Refusal> {
        let free = self.free.min(bytes);
        if !self.share.grow(bytes - free) {
            return Err(Refusal::Crowded);
        }
        self.free -= free;
        Ok(())
    }

    /// What was counted so far; what is left of the free part stays here.
    pub(super) fn split_off(&mut self) -> Self {
        let empty = self.share.sibling();
        Self { share: std::mem::replace(&mut self.share, empty), free: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_request_is_read_while_large_ones_hold_all_there_is() {
        let memory = Memory::default();
        let mut large = memory.of_request();
        let most = usize::try_from((ALL + FREE) / COPIES).unwrap();
        large.bytes(most).unwrap();
        assert!(matches!(large.bytes(1), Err(Refusal::Crowded)));
        let mut small = memory.of_request();
        small.bytes(10_000).unwrap();
        small.entries(100).unwrap();
        assert!(matches!(small.bytes(most), Err(Refusal::Crowded)));
        let counted = large.split_off();
        drop(large);
        assert!(matches!(small.bytes(most), Err(Refusal::Crowded)));
        drop(counted);
        small.bytes(most / 2).unwrap();
    }
}
