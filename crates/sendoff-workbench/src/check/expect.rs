//! Known failures: each with its reason and a date until which it is borne.

use jiff::civil::Date;

use super::{Checked, Outcome, Report, find};

/// A failure that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The check's id.
    pub id: String,
    /// Why it is borne.
    pub reason: String,
    /// The last day on which it is.
    pub until: Date,
}

/// What is wrong with the list itself: an entry of no check, or without a reason.
pub fn faulty(expected: &[Expected]) -> Vec<String> {
    let wrong = |entry: &Expected| {
        let id = &entry.id;
        if find(id).is_none() {
            Some(format!("No check has the id `{id}`."))
        } else if entry.reason.trim().is_empty() {
            Some(format!("The entry `{id}` has no reason."))
        } else {
            None
        }
    };
    expected.iter().filter_map(wrong).collect()
}

/// Marks the findings that are known, and tells which entries are out of date: the check passes or
/// does not apply any more, or the date has passed.
pub fn apply(report: &mut Report, expected: &[Expected], today: Date) -> Vec<String> {
    let mut problems = Vec::new();
    for entry in expected {
        let checked = report.checks.iter_mut().find(|checked| checked.id == entry.id);
        problems.extend(checked.and_then(|checked| judge(checked, entry, today)));
    }
    problems
}

fn judge(checked: &mut Checked, entry: &Expected, today: Date) -> Option<String> {
    let id = checked.id;
    if checked.outcome == Outcome::Pass {
        return Some(format!("`{id}` passes now: take its entry from the list."));
    }
    if checked.outcome == Outcome::NotApplicable {
        return Some(format!(
            "`{id}` does not apply to this hub ({}): take its entry from the list.",
            checked.detail
        ));
    }
    if !checked.outcome.is_finding() {
        return None;
    }
    if today > entry.until {
        return Some(format!("The entry `{id}` ended on {}.", entry.until));
    }
    checked.expected = Some(format!("{} (until {})", entry.reason, entry.until));
    None
}
