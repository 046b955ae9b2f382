//! The run as people read it on a terminal.

use std::fmt::{self, Write};

use super::{got, sent};
use crate::check::{Checked, Outcome, Report, find};
use crate::{Paint, tame};

/// A line of a finding has at most so many characters.
const LONGEST: usize = 1_000;

/// Findings in full, the rest in numbers.
pub fn print(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(report, paint, &mut out);
    out
}

fn write(report: &Report, paint: Paint, out: &mut String) -> fmt::Result {
    for checked in &report.checks {
        if checked.outcome.is_finding() || checked.outcome == Outcome::Error {
            finding(report, checked, paint, out)?;
        }
    }
    if let Some(why) = &report.untestable {
        let why = tame(why, LONGEST);
        writeln!(out, "{} {why}\n", paint.style("1;31", "The hub could not be tested:"))?;
    }
    if report.stopped {
        writeln!(out, "{}\n", paint.style("1;33", "The run was stopped before its end."))?;
    }
    writeln!(out, "{}", summary(report))
}

fn finding(report: &Report, checked: &Checked, paint: Paint, out: &mut String) -> fmt::Result {
    let (mark, colour) = match checked.outcome {
        _ if checked.expected.is_some() => ("○", "2"),
        Outcome::Fail | Outcome::Error => ("✗", "1;31"),
        Outcome::Warn => ("!", "1;33"),
        _ => ("i", "1;36"),
    };
    let id = checked.id;
    writeln!(
        out,
        "{} {}   {} [{}] {}   sendoff explain {id}",
        paint.style(colour, mark),
        paint.style("1", id),
        checked.outcome.as_str(),
        checked.strength,
        checked.reference,
    )?;
    let check = find(id);
    if let Some(check) = check {
        writeln!(out, "  rule    {}", check.rule)?;
    }
    if let Some((number, recorded)) = &checked.shown {
        let (sent, got) = (sent(&recorded.exchange), got(&recorded.exchange));
        writeln!(out, "  sent    {}   exchange {number}", tame(&sent, LONGEST))?;
        writeln!(out, "  got     {}", tame(&got, LONGEST))?;
    }
    writeln!(out, "  found   {}", tame(&checked.detail, LONGEST))?;
    if let Some(check) = check {
        writeln!(out, "  Looker  {}", check.looker)?;
    }
    if let Some(reason) = &checked.expected {
        writeln!(out, "  known   {reason}")?;
    }
    writeln!(out, "  again   {} --only {id}\n", report.again)
}

/// `41 passed · 1 failed · …`, every outcome for itself.
fn summary(report: &Report) -> String {
    let mut parts = Vec::new();
    for (outcome, word) in [
        (Outcome::Pass, "passed"),
        (Outcome::Fail, "failed"),
        (Outcome::Warn, "warned"),
        (Outcome::Note, "noted"),
        (Outcome::Error, "could not be judged (our fault)"),
    ] {
        let count = report.count(outcome);
        if count > 0 || matches!(outcome, Outcome::Pass | Outcome::Fail) {
            parts.push(format!("{count} {word}"));
        }
    }
    for (outcome, word) in
        [(Outcome::NotApplicable, "not applicable"), (Outcome::NotRun, "not run")]
    {
        let count = report.count(outcome);
        if count > 0 {
            parts.push(format!("{count} {word} ({})", reasons(report, outcome)));
        }
    }
    let skipped = report.count(Outcome::Skipped);
    if skipped > 0 {
        parts.push(format!("{skipped} skipped"));
    }
    let known = report.checks.iter().filter(|checked| checked.expected.is_some()).count();
    if known > 0 {
        parts.push(format!("{known} of these known"));
    }
    format!("{}   {:.1} s", parts.join(" · "), report.took.as_secs_f64())
}

/// The reason that most of them have.
fn reasons(report: &Report, outcome: Outcome) -> String {
    let details = report.checks.iter().filter(|c| c.outcome == outcome).map(|c| &c.detail);
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for detail in details {
        *counts.entry(detail).or_default() += 1;
    }
    let most = counts.iter().max_by_key(|(_, count)| **count);
    let Some((reason, _)) = most else { return String::new() };
    let reason = tame(reason, LONGEST);
    let others = if counts.len() > 1 { ", and other reasons" } else { "" };
    format!("{reason}{others}")
}
