//! One line of a terminal that is written anew while something goes on.

use std::io::{IsTerminal, Write};

use sendoff_workbench::Paint;

/// The line on stderr; without a terminal there is none.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    shown: bool,
    paint: Paint,
}

impl Line {
    pub(crate) fn new(paint: Paint, quiet: bool) -> Self {
        Self { shown: !quiet && std::io::stderr().is_terminal(), paint }
    }

    pub(crate) fn is_shown(self) -> bool {
        self.shown
    }

    /// Writes it anew, as much of it as the terminal is wide: a line that wraps could not be taken
    /// away.
    pub(crate) fn show(self, text: &str) {
        if !self.shown {
            return;
        }
        let text: String = text.chars().take(usize::from(width()).saturating_sub(1)).collect();
        let mut out = std::io::stderr().lock();
        // A terminal that went away needs no progress.
        let _ = write!(out, "\r\x1b[2K{}", self.paint.style("2", &text));
        let _ = out.flush();
    }

    /// Takes it away.
    pub(crate) fn clear(self) {
        if self.shown {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K");
        }
    }
}

/// Columns; 80 where the terminal does not say.
fn width() -> u16 {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col,
        _ => 80,
    }
}
