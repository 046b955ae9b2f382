//! What the binary says to people, on stderr.
//!
//! `eprintln!` panics where nothing can be written: a closed pipe or a full disk would end a hub
//! that works.

/// Writes a line to stderr. Where that cannot be, nobody reads it.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
pub(crate) use tell;
