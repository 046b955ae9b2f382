//! What earlier tries of the same delivery have sent, so that a try that follows sends the rest.
//!
//! A vendor that recognises no repeats would take every row again when Looker, or somebody with
//! the same request, sends a delivery a second time. So the hub remembers the rows of such
//! deliveries: in this process, for a day, and only so many. A row is known by what is in it, not
//! by its number, which a query that does not sort may give to another row; of equal rows as many
//! are left out as were sent.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::batch::Batch;
use crate::{Error, Result, Row};

/// Looker gives up on a schedule long before.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Deliveries, rows of one delivery, and rows of all that nobody is working on: some megabytes.
const DELIVERIES: usize = 1_024;
const ROWS: usize = 1 << 16;
const ROWS_IN_ALL: usize = 1 << 18;

/// A row as it is recognised: what is in it, and how many equal ones came before it.
pub(super) type Mark = u64;

/// What names a delivery.
type Name = [u8; 32];

/// What became of a row that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The vendor has it.
    Accepted,
    /// It is on its way, or its answer was lost.
    Open,
}

/// The rows of one delivery, whichever try sent them.
type Sent = Arc<Mutex<HashMap<Mark, Fate>>>;

/// A hub's memory of deliveries. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tries {
    shelf: Arc<Mutex<Shelf>>,
    /// Random, so that nobody can write a row that looks like another one.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shelf {
    known: HashMap<Name, (Sent, Instant)>,
    /// The oldest first.
    order: VecDeque<Name>,
}

impl Tries {
    /// The delivery of this name. Nothing is kept of it until it sends rows.
    pub(crate) fn delivery(&self, name: Name) -> Earlier {
        Earlier { tries: self.clone(), name }
    }

    fn sent(&self, name: Name) -> Sent {
        let mut shelf = of(&self.shelf);
        let now = Instant::now();
        shelf.make_room(now);
        if let Some((sent, _)) = shelf.known.get(&name) {
            return Arc::clone(sent);
        }
        let sent = Sent::default();
        shelf.known.insert(name, (Arc::clone(&sent), now));
        shelf.order.push_back(name);
        sent
    }
}

impl Shelf {
    fn make_room(&mut self, now: Instant) {
        while let Some(oldest) = self.order.front() {
            let is_old = self.known.get(oldest).is_none_or(|(_, came)| *came + REMEMBERED <= now);
            if !is_old && self.order.len() < DELIVERIES && self.rows() <= ROWS_IN_ALL {
                return;
            }
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    fn rows(&self) -> usize {
        self.known.values().map(|(sent, _)| of(sent).len()).sum()
    }
}

fn of<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A delivery that may have been tried before.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    tries: Tries,
    name: Name,
}

impl Earlier {
    /// The try that begins now.
    pub(super) fn now(self) -> Try {
        let sent = self.tries.sent(self.name);
        Try { sent, hasher: self.tries.hasher, met: HashMap::new(), row: Vec::new() }
    }
}

/// One try: it recognises rows as they are read.
#[derive(Debug)]
pub(super) struct Try {
    sent: Sent,
    hasher: RandomState,
    /// How many equal rows it has read.
    met: HashMap<u64, u32>,
    /// The row at hand.
    row: Vec<u8>,
}

impl Try {
    /// The row's mark, and what became of it if it was sent before; no mark if there is no room to
    /// remember it.
    ///
    /// # Errors
    /// The row cannot be read.
    pub(super) fn meet(&mut self, row: &Row) -> Result<(Option<Mark>, Option<Fate>)> {
        self.row.clear();
        serde_json::to_writer(&mut self.row, row)
            .map_err(|fault| Error::hub("A row could not be remembered.").cause(fault))?;
        let digest = self.hasher.hash_one(&self.row);
        let room = self.met.len() < ROWS;
        let nth = match self.met.entry(digest) {
            Entry::Occupied(mut met) => {
                *met.get_mut() += 1;
                *met.get()
            }
            Entry::Vacant(free) if room => *free.insert(1),
            Entry::Vacant(_) => return Ok((None, None)),
        };
        let mark = self.hasher.hash_one((digest, nth));
        Ok((Some(mark), of(&self.sent).get(&mark).copied()))
    }

    /// The batch is on its way.
    pub(super) fn begin(&self, batch: &Batch) {
        let mut sent = of(&self.sent);
        for (_, mark) in batch.marks() {
            if sent.len() < ROWS {
                sent.insert(mark, Fate::Open);
            }
        }
    }

    /// What became of the rows of a batch: the vendor has those at places for which `is_there`
    /// says so, and not the others.
    pub(super) fn end(&self, batch: &Batch, is_there: impl Fn(usize) -> bool) {
        let mut sent = of(&self.sent);
        for (place, mark) in batch.marks() {
            match sent.entry(mark) {
                Entry::Occupied(mut row) if is_there(place) => *row.get_mut() = Fate::Accepted,
                Entry::Occupied(row) => drop(row.remove()),
                Entry::Vacant(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded_and_lasts_a_day() {
        let tries = Tries::default();
        let name = |n: u32| {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&n.to_be_bytes());
            name
        };
        let kept = || of(&tries.shelf).known.len();
        of(&tries.sent(name(0))).insert(7, Fate::Accepted);
        assert_eq!(of(&tries.sent(name(0))).len(), 1);
        // One that sends nothing takes no place.
        let _ = tries.delivery(name(99));
        assert_eq!(kept(), 1);
        for n in 1..3_000 {
            tries.sent(name(n));
        }
        assert_eq!(kept(), DELIVERIES);
        assert_eq!(of(&tries.sent(name(0))).len(), 0, "the oldest was forgotten");
        // Large ones push others out sooner.
        for n in 3_000..3_010 {
            of(&tries.sent(name(n))).extend((0..ROWS as u64).map(|mark| (mark, Fate::Open)));
        }
        tries.sent(name(4_000));
        assert!(of(&tries.shelf).rows() <= ROWS_IN_ALL);
        tokio::time::advance(REMEMBERED).await;
        tries.sent(name(5_000));
        assert_eq!(kept(), 1);
    }
}
