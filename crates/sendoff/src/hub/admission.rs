//! How many deliveries run at once, and how many may wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many lanes are kept before unused ones are looked for.
const FORGET_AT: usize = 1024;

/// The hub's places. A lane is whatever may be slow on its own, such as one vendor's host: a
/// delivery first waits for a place in its lane and only then for one in the hub, so that a
/// stalled lane never holds places that others could use.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    /// Running and waiting together.
    inside: Arc<Semaphore>,
    running: Arc<Semaphore>,
    lanes: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    per_lane: usize,
}

/// The right to be inside: to run or to wait.
#[derive(Debug)]
pub(crate) struct Ticket(
    #[allow(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit,
);

/// The right to run.
#[derive(Debug)]
pub(crate) struct Place {
    lane: String,
    lanes: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    in_lane: Option<OwnedSemaphorePermit>,
    #[allow(dead_code, reason = "held until it is dropped")]
    in_hub: OwnedSemaphorePermit,
}

impl Admission {
    pub(crate) fn new(running: usize, per_lane: usize, waiting: usize) -> Self {
        let clamp = |places: usize| places.min(Semaphore::MAX_PERMITS);
        Self {
            inside: Arc::new(Semaphore::new(clamp(running.saturating_add(waiting)))),
            running: Arc::new(Semaphore::new(clamp(running))),
            lanes: Arc::default(),
            per_lane: clamp(per_lane),
        }
    }

    /// A ticket at once, or `None` when the hub is full.
    pub(crate) fn enter(&self) -> Option<Ticket> {
        Arc::clone(&self.inside).try_acquire_owned().ok().map(Ticket)
    }

    /// Waits for a place to run in.
    pub(crate) async fn place(&self, lane: String) -> Place {
        let of_lane = {
            let mut lanes = self.lanes.lock().unwrap_or_else(|poison| poison.into_inner());
            if lanes.len() >= FORGET_AT {
                // Whoever gave up waiting left a lane behind that nobody uses.
                lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
            }
            let new = || Arc::new(Semaphore::new(self.per_lane));
            Arc::clone(lanes.entry(lane.clone()).or_insert_with(new))
        };
        // Neither semaphore is ever closed.
        let in_lane = of_lane.acquire_owned().await.expect("a lane stays open");
        let in_hub =
            Arc::clone(&self.running).acquire_owned().await.expect("the hub's places stay open");
        Place { lane, lanes: Arc::clone(&self.lanes), in_lane: Some(in_lane), in_hub }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.in_lane.take());
        let mut lanes = self.lanes.lock().unwrap_or_else(|poison| poison.into_inner());
        // A lane that nobody holds or waits for is forgotten: names come from users' forms.
        if lanes.get(&self.lane).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            lanes.remove(&self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_full_lane_leaves_the_hubs_places_to_others() {
        let admission = Admission::new(4, 2, 10);
        let slow = [admission.place("slow".into()).await, admission.place("slow".into()).await];
        assert!(admission.place("slow".into()).now_or_never().is_none());
        assert!(admission.place("quick".into()).now_or_never().is_some());
        drop(slow);
        assert!(admission.place("slow".into()).now_or_never().is_some());
        assert!(admission.lanes.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_hub_is_full_when_running_and_waiting_are_taken() {
        let admission = Admission::new(1, 1, 2);
        let tickets: Vec<_> = (0..3).map(|_| admission.enter().unwrap()).collect();
        assert!(admission.enter().is_none());
        drop(tickets);
        assert!(admission.enter().is_some());
    }
}
