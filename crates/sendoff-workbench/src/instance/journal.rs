//! Everything that crossed the wire, in the order in which it ended: append-only, bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Instance, Order, locked};
use crate::exchange::Exchange;
use crate::remarks::Remark;
use crate::verdict::Verdict;

/// An exchange's number, from 1.
pub type ExchangeId = u64;

/// One exchange, and what is to be said of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub id: ExchangeId,
    /// The user whom it is about.
    pub user: Option<String>,
    /// What crossed the wire.
    pub exchange: Exchange,
    /// What Looker does with the answer.
    pub verdict: Verdict,
    /// What the protocol says to its lines.
    pub remarks: Vec<Remark>,
    /// What was ordered, where it is a delivery of this instance's.
    #[serde(default)]
    pub order: Option<Box<Order>>,
}

/// So many entries are kept.
pub(super) const KEPT: usize = 500;

/// The exchanges of an instance, the newest [`Journal::all`] of them.
pub struct Journal {
    entries: Mutex<VecDeque<Arc<Entry>>>,
    /// The number of the newest; changes tell who watches.
    newest: watch::Sender<ExchangeId>,
}

impl Journal {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let newest = entries.iter().map(|entry| entry.id).max().unwrap_or(0);
        let entries = entries.into_iter().map(Arc::new).collect();
        Self { entries: Mutex::new(entries), newest: watch::Sender::new(newest) }
    }

    pub(super) fn add(
        &self,
        exchange: Exchange,
        user: Option<&str>,
        verdict: Verdict,
        remarks: Vec<Remark>,
        order: Option<&Order>,
    ) -> Arc<Entry> {
        let mut entries = locked(&self.entries);
        let id = *self.newest.borrow() + 1;
        let user = user.map(str::to_owned);
        let order = order.cloned().map(Box::new);
        let entry = Arc::new(Entry { id, user, exchange, verdict, remarks, order });
        entries.push_back(Arc::clone(&entry));
        if entries.len() > KEPT {
            entries.pop_front();
        }
        self.newest.send_replace(id);
        entry
    }

    /// The entries that are kept, the oldest first.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        locked(&self.entries).iter().cloned().collect()
    }

    /// The entries after this one, the oldest first.
    pub fn after(&self, id: ExchangeId) -> Vec<Arc<Entry>> {
        locked(&self.entries).iter().filter(|entry| entry.id > id).cloned().collect()
    }

    /// The entry of that number, if it is still kept.
    pub fn get(&self, id: ExchangeId) -> Option<Arc<Entry>> {
        locked(&self.entries).iter().find(|entry| entry.id == id).cloned()
    }

    /// The number of the newest entry, now and as it changes.
    pub fn newest(&self) -> watch::Receiver<ExchangeId> {
        self.newest.subscribe()
    }
}

impl Instance {
    /// Writes an entry to the folder. A disk that is full stops nothing but the keeping.
    pub(super) async fn keep_entry(&self, entry: &Entry) {
        if let Ok(line) = serde_json::to_string(entry) {
            let all = || self.0.journal.all().iter().map(|e| serde_json::to_string(&**e)).collect();
            let _ = self.0.store.append("exchanges.jsonl", &line, 2 * KEPT, all).await;
        }
    }
}
