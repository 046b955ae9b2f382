//! How far a send is, for whoever watches it.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

/// What a send does just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The data is asked for; nothing left yet.
    #[default]
    Preparing,
    /// The request is on its way, or the hub fetches the data.
    Sending,
    /// All was sent; the answer has not begun.
    Waiting,
    /// The answer comes, a newline at a time if the hub still works.
    Answering,
    /// It is over.
    Ended,
}

/// How far a send is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Progress {
    /// What happens just now.
    pub stage: Stage,
    /// Bytes of the request's body that the connection took.
    pub sent: u64,
    /// Whether that was all of it.
    pub all_sent: bool,
    /// Bytes of the download URL's answer that the hub's connection took.
    pub fetched: u64,
    /// Newlines that the hub sent to keep the connection open.
    pub newlines: u64,
    /// Bytes of the answer.
    pub received: u64,
    /// When it began.
    #[serde(skip)]
    pub since: Instant,
    /// How long it took; while it runs, until the last change.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub took: Duration,
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

impl Progress {
    /// How long it runs so far, or ran.
    pub fn elapsed(&self) -> Duration {
        if self.stage == Stage::Ended { self.took } else { self.since.elapsed() }
    }

    /// Bytes of data that reached the hub, whichever way they went.
    pub fn moved(&self) -> u64 {
        self.sent + self.fetched
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            stage: Stage::default(),
            sent: 0,
            all_sent: false,
            fetched: 0,
            newlines: 0,
            received: 0,
            since: Instant::now(),
            took: Duration::ZERO,
        }
    }
}

/// Counts a send. Clones count the same one.
#[derive(Clone, Debug)]
pub(crate) struct Meter(watch::Sender<Progress>);

impl Default for Meter {
    fn default() -> Self {
        Self(watch::Sender::new(Progress::default()))
    }
}

impl Meter {
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.0.subscribe()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Progress)) {
        self.0.send_modify(|progress| {
            change(progress);
            progress.took = progress.since.elapsed();
        });
    }

    /// Goes on to a later stage; never back.
    pub(crate) fn stage(&self, stage: Stage) {
        self.change(|progress| {
            if progress.stage as u8 <= stage as u8 {
                progress.stage = stage;
            }
        });
    }

    /// A piece of the answer came. Newlines count until the answer itself begins.
    pub(crate) fn heard(&self, piece: &[u8]) {
        self.change(|progress| {
            progress.stage = Stage::Answering;
            if progress.received == progress.newlines {
                let newlines = piece.iter().take_while(|byte| **byte == b'\n').count();
                progress.newlines += newlines as u64;
            }
            progress.received += piece.len() as u64;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newlines_count_until_the_answer_begins() {
        let meter = Meter::default();
        for piece in ["\n", "\n\n", "{\n}", "\n"] {
            meter.heard(piece.as_bytes());
        }
        let progress = *meter.watch().borrow();
        assert_eq!((progress.newlines, progress.received), (3, 7));
    }

    #[test]
    fn a_stage_never_goes_back() {
        let meter = Meter::default();
        meter.heard(b"\n");
        meter.stage(Stage::Waiting);
        assert_eq!(meter.watch().borrow().stage, Stage::Answering);
        meter.stage(Stage::Ended);
        assert_eq!(meter.watch().borrow().elapsed(), meter.watch().borrow().took);
    }
}
