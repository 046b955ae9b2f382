//! How far a send is, on one line of a terminal.

use std::time::Duration;

use sendoff_workbench::{Progress, Stage};
use tokio::sync::watch;

use super::super::terminal::Line;

/// So often the line is written anew.
const EVERY: Duration = Duration::from_millis(100);
const BAR: usize = 24;

/// Rewrites the line until the send is over; without a terminal it writes nothing.
pub(super) async fn show(progress: watch::Receiver<Progress>, total: Option<u64>, shown: Line) {
    if !shown.is_shown() {
        std::future::pending::<()>().await;
    }
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        let now = *progress.borrow();
        if now.stage == Stage::Ended {
            std::future::pending::<()>().await;
        }
        shown.show(&line(&now, now.elapsed(), total));
    }
}

/// `[#####     ] 1.2 GB of 10.0 GB, 250.0 MB/s, 4 s, 1 newline`.
pub(super) fn line(progress: &Progress, elapsed: Duration, total: Option<u64>) -> String {
    let moved = progress.moved();
    let mut line = String::new();
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let share = (moved as f64 / total as f64).min(1.0);
            let full = (share * BAR as f64) as usize;
            line += &format!("[{}{}] ", "#".repeat(full), " ".repeat(BAR - full));
            line += &format!("{} of {}", bytes(moved), bytes(total));
        }
        None => line += &bytes(moved),
    }
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.5 && moved > 0 {
        line += &format!(", {}/s", bytes((moved as f64 / seconds) as u64));
    }
    line += &format!(", {seconds:.0} s");
    if progress.newlines > 0 {
        line += &format!(", {}", newlines(progress.newlines));
    }
    line += match progress.stage {
        Stage::Preparing => ", connecting",
        Stage::Waiting | Stage::Answering => ", the hub works",
        _ => "",
    };
    line
}

/// `1 newline`.
pub(super) fn newlines(count: u64) -> String {
    format!("{count} newline{}", if count == 1 { "" } else { "s" })
}

/// `12.3 MB`.
pub(super) fn bytes(count: u64) -> String {
    let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let found = units.iter().find(|(_, size)| count as f64 >= *size);
    match found {
        Some((unit, size)) => format!("{:.1} {unit}", count as f64 / size),
        None => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_moved_and_what_happens() {
        let mut progress = Progress { sent: 2_500_000_000, ..Progress::default() };
        progress.stage = Stage::Sending;
        let ten = Duration::from_secs(10);
        assert_eq!(
            line(&progress, ten, Some(10_000_000_000)),
            "[######                  ] 2.5 GB of 10.0 GB, 250.0 MB/s, 10 s"
        );
        let mut progress = Progress { fetched: 900, newlines: 2, ..Progress::default() };
        progress.stage = Stage::Answering;
        let none = Duration::ZERO;
        assert_eq!(line(&progress, none, None), "900 bytes, 0 s, 2 newlines, the hub works");
        assert_eq!(newlines(1), "1 newline");
    }
}
