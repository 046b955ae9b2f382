//! Log lines that anybody can cause: a few at a time, and then how many there were.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many lines are written
const MOST: u32 = 10;
/// within this time.
const EVERY: Duration = Duration::from_secs(10);

/// Counts the lines of one kind.
#[derive(Debug, Default)]
pub(super) struct Sparing(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Sparing {
    /// Whether a line may be written: if so, how many were left out before it.
    pub(super) fn line(&self) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if window.since.is_none_or(|since| now - since >= EVERY) {
            (window.since, window.written) = (Some(now), 0);
        }
        if window.written == MOST {
            window.left_out += 1;
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_counted_and_told_later() {
        let sparing = Sparing::default();
        for _ in 0..MOST {
            assert_eq!(sparing.line(), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(sparing.line(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(sparing.line(), Some(1000));
        assert_eq!(sparing.line(), Some(0));
    }
}
