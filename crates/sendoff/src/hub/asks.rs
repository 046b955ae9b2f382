//! The calls that deliver nothing: forms, the legs of a login, and what Looker asks of one. They
//! have places of their own, and a hub that ends waits for them as for deliveries.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Inner;
use super::drain::Listed;
use crate::intake::Kept;
use crate::{Error, Reason, Result, Stop};

/// So many are answered at once. Each waits for a vendor for half a minute at most.
const AT_ONCE: usize = 256;

/// Their places.
pub(super) struct Asks(Arc<Semaphore>);

impl Default for Asks {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// One such call, until it is dropped.
pub(super) struct Ask {
    /// Given when the hub ends and its grace is over.
    pub(super) stop: Stop,
    /// What it takes of the hub's memory.
    pub(super) kept: Kept,
    _listed: Listed,
    _place: OwnedSemaphorePermit,
}

impl Inner {
    /// Lets a call in, before its body is read.
    ///
    /// # Errors
    /// A sentence for the caller when the hub is full or ends.
    pub(super) fn ask(&self) -> Result<Ask> {
        let place = Arc::clone(&self.asks.0).try_acquire_owned().map_err(|_| {
            Error::hub(
                "This action hub is busy: as many forms and logins as it takes are being worked \
                 on. Try again in a minute.",
            )
            .retry_later()
        })?;
        let stop = Stop::new();
        let listed = self.drain.list(stop.clone()).ok_or_else(|| Reason::Draining.error())?;
        Ok(Ask { stop, kept: self.memory.of_request(), _listed: listed, _place: place })
    }
}
