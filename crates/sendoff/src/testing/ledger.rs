//! The book of a vendor of rows: which rows came, how often, in how many requests. A million rows
//! take a few megabytes in it, so that it does not hide what the hub takes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Numbers from here on are no rows of a test's.
const ROWS_AT_MOST: u64 = 1 << 24;

/// Which rows came to a stand-in.
#[derive(Debug, Default)]
pub struct RowLedger {
    book: Mutex<Book>,
    /// Told whenever a row came.
    came: Notify,
}

#[derive(Debug, Default)]
struct Book {
    /// How often each row was taken; 255 stands for more.
    taken: Vec<u8>,
    /// A digest of the key that each row came with first, 0 for none.
    keys: Vec<u32>,
    rows: u64,
    doubled: u64,
    repeats: u64,
    strangers: u64,
    batches: u64,
    largest: u64,
    /// Rows of the request that came last, and of the one with the highest row.
    latest: u64,
    highest: (Option<u64>, u64),
}

impl RowLedger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vendor took a row of this number.
    pub fn take(&self, row: u64) {
        self.book().take(row);
        self.came.notify_waiters();
    }

    /// The vendor took a row of this number, unless it has had it with the same key: then it
    /// recognises the repeat and does nothing.
    pub fn take_keyed(&self, row: u64, key: &str) {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let key = (hasher.finish() as u32).max(1);
        let mut book = self.book();
        if row < ROWS_AT_MOST {
            let at = row as usize;
            if book.keys.len() <= at {
                book.keys.resize(at + 1, 0);
            }
            if book.keys[at] == key {
                book.repeats += 1;
                return;
            }
            if book.keys[at] == 0 {
                book.keys[at] = key;
            }
        }
        book.take(row);
        drop(book);
        self.came.notify_waiters();
    }

    /// Waits until so many different rows have come.
    pub async fn reaches(&self, rows: u64) {
        loop {
            // Before the look, so that no row comes unseen between the two.
            let came = self.came.notified();
            if self.rows() >= rows {
                return;
            }
            came.await;
        }
    }

    /// The vendor was sent something that is no row of Looker's.
    pub fn stranger(&self) {
        self.book().strangers += 1;
    }

    /// The vendor takes a request with so many rows, which are told next.
    pub fn batch(&self, rows: usize) {
        let mut book = self.book();
        book.batches += 1;
        book.largest = book.largest.max(rows as u64);
        book.latest = rows as u64;
    }

    /// How many different rows came.
    pub fn rows(&self) -> u64 {
        self.book().rows
    }

    /// How many came more than once, other than as recognised repeats.
    pub fn doubled(&self) -> u64 {
        self.book().doubled
    }

    /// How many repeats were recognised.
    pub fn repeats(&self) -> u64 {
        self.book().repeats
    }

    /// How many came that are no rows of Looker's.
    pub fn strangers(&self) -> u64 {
        self.book().strangers
    }

    /// How many requests were taken.
    pub fn batches(&self) -> u64 {
        self.book().batches
    }

    /// The rows of the largest.
    pub fn largest(&self) -> u64 {
        self.book().largest
    }

    /// The rows of the request that held the last row.
    pub fn last(&self) -> u64 {
        self.book().highest.1
    }

    /// Whether this row came.
    pub fn has(&self, row: u64) -> bool {
        let at = usize::try_from(row).unwrap_or(usize::MAX);
        self.book().taken.get(at).is_some_and(|times| *times > 0)
    }

    /// Whether the rows that came are those below `rows`, all of them and no others.
    pub fn has_just_the_first(&self, rows: u64) -> bool {
        self.rows() == rows && (0..rows).all(|row| self.has(row))
    }
}

impl Book {
    fn take(&mut self, row: u64) {
        if row >= ROWS_AT_MOST {
            self.strangers += 1;
            return;
        }
        if self.highest.0.is_none_or(|highest| row >= highest) {
            self.highest = (Some(row), self.latest);
        }
        let at = row as usize;
        if self.taken.len() <= at {
            self.taken.resize(at + 1, 0);
        }
        match self.taken[at] {
            0 => self.rows += 1,
            1 => self.doubled += 1,
            _ => {}
        }
        self.taken[at] = self.taken[at].saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_with_their_multiplicity() {
        let ledger = RowLedger::default();
        for row in [3, 0, 3, 3] {
            ledger.take(row);
        }
        for (row, key) in [(7, "a"), (7, "a"), (8, "a"), (8, "b")] {
            ledger.take_keyed(row, key);
        }
        ledger.take(u64::MAX);
        assert_eq!((ledger.rows(), ledger.doubled()), (4, 2));
        assert_eq!((ledger.repeats(), ledger.strangers()), (1, 1));
        assert!(ledger.has(3) && !ledger.has(1) && !ledger.has(9_999));
        assert!(!ledger.has_just_the_first(4));
        ledger.take(1);
        ledger.take(2);
        assert!(!ledger.has_just_the_first(4), "7 and 8 came as well");
        let first = RowLedger::default();
        for rows in [2..3, 3..4, 0..2] {
            first.batch(rows.clone().count());
            rows.for_each(|row| first.take(row));
        }
        assert_eq!((first.batches(), first.largest(), first.last()), (3, 2, 1));
        assert!(first.has_just_the_first(4) && !first.has_just_the_first(3));
    }

    #[tokio::test]
    async fn who_waits_for_rows_goes_on_with_the_last_of_them() {
        let ledger = RowLedger::default();
        ledger.take(0);
        let wait = ledger.reaches(3);
        let come = async {
            for row in [1, 1, 2] {
                tokio::task::yield_now().await;
                ledger.take(row);
            }
        };
        tokio::join!(wait, come);
        assert_eq!(ledger.rows(), 3);
    }
}
