//! Ending the hub's work in good order.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::{Reason, Stop};

/// How long a stopped delivery may take to abort what it began, before its task is dropped.
pub(super) const ABORT_WITHIN: Duration = Duration::from_secs(5);

/// The work under way: deliveries, smaller calls, and renewals of logins.
#[derive(Default)]
pub(super) struct Drain {
    draining: AtomicBool,
    tasks: TaskTracker,
    running: Arc<Running>,
}

#[derive(Default)]
struct Running {
    next: AtomicU64,
    /// Locked also while draining begins, so that nothing slips in behind it.
    stops: Mutex<HashMap<u64, Stop>>,
}

impl Running {
    fn stops(&self) -> MutexGuard<'_, HashMap<u64, Stop>> {
        self.stops.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// Work that the hub waits for until this is dropped, also by a panic.
pub(super) struct Listed {
    running: Arc<Running>,
    id: u64,
    _token: TaskTrackerToken,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.running.stops().remove(&self.id);
    }
}

impl Drain {
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// For tasks that belong to no call and end by themselves, and that are waited for.
    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Has the hub wait for work, and stop it when its grace is over. `None` when draining has
    /// begun: nobody would wait for it.
    pub(super) fn list(&self, stop: Stop) -> Option<Listed> {
        let mut stops = self.running.stops();
        if self.is_draining() {
            return None;
        }
        let id = self.running.next.fetch_add(1, Ordering::Relaxed);
        stops.insert(id, stop);
        Some(Listed { running: Arc::clone(&self.running), id, _token: self.tasks.token() })
    }

    /// Runs a delivery as a task of its own, so that it can outlive a caller who hung up for as
    /// long as it takes to abort an upload, and so that a panic in it ends nothing else. `None` when
    /// draining has begun.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        stop: Stop,
        delivery: impl Future<Output = T> + Send + 'static,
    ) -> Option<tokio::task::JoinHandle<T>> {
        let listed = self.list(stop)?;
        Some(self.tasks.spawn(async move {
            let _listed = listed;
            delivery.await
        }))
    }

    pub(super) async fn drain(&self, grace: Duration) {
        {
            let _stops = self.running.stops();
            self.draining.store(true, Ordering::Relaxed);
        }
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return;
        }
        for stop in self.running.stops().values() {
            stop.stop(Reason::Draining);
        }
        // A second more than the tasks give themselves.
        let end = ABORT_WITHIN + Duration::from_secs(1);
        let _ = tokio::time::timeout(end, self.tasks.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_delivery_that_comes_as_draining_begins_is_refused_and_not_left_behind() {
        let drain = Drain::default();
        let begun = drain.spawn(Stop::new(), std::future::ready(())).unwrap();
        drain.drain(Duration::from_secs(60)).await;
        assert!(begun.is_finished());
        assert!(drain.spawn(Stop::new(), std::future::pending::<()>()).is_none());
        assert!(drain.running.stops().is_empty());
    }
}
