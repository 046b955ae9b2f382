//! Known failures: each with its reason and a date until which it is borne.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use super::{Checked, Outcome, Report, find};

/// A failure that is known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The check's id.
    pub id: String,
    /// Why it is borne.
    pub reason: String,
    /// The last day on which it is.
    #[serde(deserialize_with = "date")]
    pub until: Date,
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// Why a list of known failures is itself wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unexpected {
    /// No check has this id, or an entry has no reason: the list is wrong.
    Entry(String),
    /// The check passes, or the date has passed: the hub's owner has to act.
    Outdated(String),
}

/// Marks the findings that are known, and tells what is wrong with the list.
pub fn apply(report: &mut Report, expected: &[Expected], today: Date) -> Vec<Unexpected> {
    let mut problems = Vec::new();
    for entry in expected {
        let id = &entry.id;
        if find(id).is_none() {
            problems.push(Unexpected::Entry(format!("No check has the id `{id}`.")));
            continue;
        }
        if entry.reason.trim().is_empty() {
            problems.push(Unexpected::Entry(format!("The entry `{id}` has no reason.")));
            continue;
        }
        let Some(checked) = report.checks.iter_mut().find(|checked| checked.id == id) else {
            continue;
        };
        problems.extend(judge(checked, entry, today).map(Unexpected::Outdated));
    }
    problems
}

fn judge(checked: &mut Checked, entry: &Expected, today: Date) -> Option<String> {
    let id = checked.id;
    if checked.outcome == Outcome::Pass {
        return Some(format!("`{id}` passes now: take its entry from the list."));
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
