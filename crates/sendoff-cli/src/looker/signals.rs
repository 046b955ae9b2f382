//! SIGINT and SIGTERM, heeded from the start, so that whatever waits ends with them and says so.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals by which a person or a CI job ends a command.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    pub(crate) fn heeded() -> io::Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)? })
    }

    /// One of them came.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
