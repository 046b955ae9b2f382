//! A run's outcome for people and for machines. Every exchange in it is masked already.

mod har;
mod html;
mod junit;
mod print;

pub use har::{har, har_of};
pub use html::html;
pub use junit::junit;
pub use print::print;

use std::fmt::Write;

use crate::exchange::Exchange;

/// `POST /actions/debug/execute, {"type":…}`.
fn sent(exchange: &Exchange) -> String {
    let path = exchange.url.splitn(4, '/').nth(3).unwrap_or_default();
    let body = exchange.request_body.text();
    let body = super::judge::cut(body.trim(), 100);
    let body = if body.is_empty() { "no body".to_owned() } else { body };
    format!("{} /{path}, {body}", exchange.method)
}

/// `200 · "\n" at 30.0 s · {"looker":…} at 31.2 s`.
fn got(exchange: &Exchange) -> String {
    let mut line = match exchange.status {
        Some(status) => status.to_string(),
        None => "no answer".to_owned(),
    };
    let text = exchange.response_body.text();
    let bytes = text.as_bytes();
    let mut from = 0;
    for piece in exchange.pieces.iter().take(4) {
        let to = (from + piece.bytes).min(bytes.len());
        let part = String::from_utf8_lossy(&bytes[from..to]);
        let part = format!("{:?}", super::judge::cut(&part, 80));
        let _ = write!(line, " · {part} at {:.3} s", piece.at.as_secs_f64());
        from = to;
    }
    if let Some(failure) = &exchange.failure {
        let _ = write!(line, " · {failure} ({:.1} s)", exchange.until_end.as_secs_f64());
    }
    line
}

#[cfg(test)]
mod tests;
