//! Stopping one delivery: the caller hung up, its time is over, or the hub shuts down.
//!
//! A stop is not a dropped future. The two doors that a destination uses anyway, its data and its
//! vendor calls, answer with an error from then on, so that its ordinary error path aborts what it
//! began. See [`Payload`](crate::Payload) and [`Http`](crate::Http).

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use crate::{Error, Result};

/// Why a delivery must end before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nobody is left to answer: Looker closed the connection.
    CallerGone,
    /// The delivery's total time is over.
    Deadline(Duration),
    /// The hub is shutting down and its grace period is over.
    Draining,
}

impl Reason {
    /// The sentence that the user reads.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::CallerGone => {
                Error::looker("Looker closed the connection before the delivery was done.")
            }
            Self::Deadline(after) => Error::hub(format!(
                "The delivery was stopped after {} because this hub's time limit for one delivery \
                 was reached. Send less data, or ask the hub's operator to raise the limit.",
                crate::text::duration(after)
            ))
            .retry_later(),
            Self::Draining => {
                Error::hub("The hub is restarting. Please send again in a minute.").retry_later()
            }
        }
    }
}

/// One delivery's stop signal. Clones see the same signal.
#[derive(Clone, Debug)]
pub struct Stop {
    sender: watch::Sender<Option<Reason>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { sender: watch::Sender::new(None) }
    }
}

impl Stop {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal. The first reason stays.
    pub fn stop(&self, reason: Reason) {
        self.sender.send_if_modified(|now| {
            let first = now.is_none();
            if first {
                *now = Some(reason);
            }
            first
        });
    }

    /// The reason, once the signal was given.
    pub fn reason(&self) -> Option<Reason> {
        *self.sender.borrow()
    }

    /// Waits for the signal.
    pub async fn stopped(&self) -> Reason {
        let mut receiver = self.sender.subscribe();
        loop {
            if let Some(reason) = *receiver.borrow_and_update() {
                return reason;
            }
            // The sender lives in `self`, so the channel cannot close while we wait.
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Runs `work` until it is done or the signal is given, whichever comes first.
    ///
    /// # Errors
    /// The reason's sentence when the signal came first.
    pub async fn unless_stopped<F: Future>(&self, work: F) -> Result<F::Output> {
        tokio::select! {
            biased;
            reason = self.stopped() => Err(reason.error()),
            output = work => Ok(output),
        }
    }
}
