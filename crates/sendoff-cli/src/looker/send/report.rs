//! What came of a send, for people and for machines.

use sendoff_workbench::instance::{Entry, Instance, Replayed, Sent};
use sendoff_workbench::{Paint, Severity, Verdict, tame};
use serde_json::{Value, json};

use super::args::SendArgs;
use super::progress::{bytes, newlines};
use super::{Code, Stop};

pub(super) struct Report<'a> {
    pub(super) looker: &'a Instance,
    pub(super) sent: &'a Sent,
    pub(super) code: Code,
    pub(super) paint: Paint,
}

impl Report<'_> {
    pub(super) fn print(&self, args: &SendArgs) -> Result<(), Stop> {
        let sent = self.sent;
        let entry = self.looker.journal().get(sent.exchange);
        let entry = entry.as_deref();
        if args.json {
            let downloads: Vec<_> = sent
                .downloads
                .iter()
                .filter_map(|id| self.looker.journal().get(*id))
                .map(|entry| entry.exchange.clone())
                .collect();
            let value = json!({
                "exit_code": self.code as u8,
                "outcome": sent.outcome,
                "failure": sent.failure,
                "verdict": sent.verdict,
                "remarks": sent.remarks,
                "warnings": sent.warnings,
                "progress": sent.progress,
                "exchange": entry.map(|entry| &entry.exchange),
                "downloads": downloads,
            });
            return json(&value);
        }
        let mut text = String::new();
        if args.verbose {
            for entry in self.looker.journal().all() {
                text += &entry.exchange.render(self.paint);
                text.push('\n');
            }
        }
        let progress = &sent.progress;
        let moved = bytes(progress.moved());
        let mut line = format!("{moved} in {:.1} s", progress.took.as_secs_f64());
        if progress.newlines > 0 {
            line += &format!(", {} before the answer", newlines(progress.newlines));
        }
        row(&mut text, "Sent", &line);
        for warning in &sent.warnings {
            row(&mut text, "Warning", warning);
        }
        if !args.fault.is_empty() {
            row(&mut text, "Faults", &args.faults().map_err(Stop::usage)?.to_string());
        }
        answer(&mut text, entry);
        verdict(&mut text, &sent.verdict, self.paint);
        for remark in &sent.remarks {
            row(&mut text, "Remark", &remark.to_string());
        }
        print(&text)
    }
}

/// The answer, and what Looker does with it.
pub(super) fn replayed(
    replayed: &Replayed,
    looker: &Instance,
    args: &SendArgs,
    paint: Paint,
) -> Result<(), Stop> {
    if args.json {
        return Ok(());
    }
    let entry = looker.journal().get(replayed.exchange);
    let mut text = String::new();
    if let (true, Some(entry)) = (args.verbose, &entry) {
        text += &entry.exchange.render(paint);
        text.push('\n');
    }
    let shown = |status: Option<u16>| {
        status.map_or_else(|| "no answer".to_owned(), |status| status.to_string())
    };
    let line = format!(
        "{}, exchange {}: {} then, {} now",
        replayed.action.as_deref().unwrap_or("(no action)"),
        replayed.recorded,
        shown(replayed.status_then),
        shown(replayed.status)
    );
    row(&mut text, "Replayed", &line);
    answer(&mut text, entry.as_deref());
    verdict(&mut text, &replayed.verdict, paint);
    for remark in &replayed.remarks {
        row(&mut text, "Remark", &remark.to_string());
    }
    print(&text)
}

fn answer(text: &mut String, entry: Option<&Entry>) {
    let Some(entry) = entry else { return };
    let exchange = &entry.exchange;
    let body = exchange.response_body.text();
    let body = body.trim();
    match (exchange.status, &exchange.failure) {
        (Some(status), None) => row(text, "Answer", &format!("{status} {body}")),
        (Some(status), Some(failure)) => {
            row(text, "Answer", &format!("{status} {body}"));
            row(text, "", failure);
        }
        (None, failure) => row(text, "Answer", failure.as_deref().unwrap_or("none")),
    }
}

fn verdict(text: &mut String, verdict: &Verdict, paint: Paint) {
    let colour = match verdict.severity {
        Severity::Success => "32",
        Severity::Mistaken | Severity::Failure => "31",
        Severity::Unknown => "33",
    };
    painted(text, "User sees", &verdict.user, paint, colour);
    painted(text, "Admin sees", &verdict.admin, paint, colour);
}

/// A line has at most so many characters; --json and --record have the rest.
const LONGEST: usize = 2_000;

fn row(text: &mut String, name: &str, value: &str) {
    painted(text, name, value, Paint::Plain, "");
}

/// Whatever a hub says is text to the terminal.
fn painted(text: &mut String, name: &str, value: &str, paint: Paint, colour: &str) {
    *text += &format!("{name:<10} {}\n", paint.style(colour, &tame(value, LONGEST)));
}

fn print(text: &str) -> Result<(), Stop> {
    let printed = crate::cli::print(text.as_bytes());
    // `sendoff send … | head` is no failure of the send.
    printed.map(|_| ()).or(Ok(()))
}

pub(super) fn json(value: &Value) -> Result<(), Stop> {
    print(&format!("{value:#}\n"))
}
