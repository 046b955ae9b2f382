//! Counting what many requests hold together against one limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A limit, and how much of it is in use. Clones are the same account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    used: Arc<AtomicU64>,
    limit: u64,
}

impl Account {
    pub(crate) fn new(limit: u64) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { account: self.clone(), held: 0 }
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// What one holder has of an account. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    account: Account,
    held: u64,
}

impl Share {
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Another share of the same account, of nothing yet.
    pub(crate) fn sibling(&self) -> Self {
        self.account.share()
    }

    /// Takes `more`, or nothing and says `false` if there is not so much left.
    pub(crate) fn grow(&mut self, more: u64) -> bool {
        let limit = self.account.limit;
        // The counter guards no other memory, so its order against other writes does not matter.
        let taken = self.account.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|&used| used <= limit)
        });
        if taken.is_ok() {
            self.held += more;
        }
        taken.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.held, Ordering::Relaxed);
    }
}
