//! What a command acts on: the clicked cell, or the ids in a tagged column of a result; and what
//! came of each.
//!
//! A command changes something that exists, so nothing is begun before every id is known, and no
//! more are taken than the user allows.

use std::collections::{BTreeMap, BTreeSet};

use sendoff::prelude::*;
use sendoff::{Column, Columns, Row};

/// Where the ids stand and which of them count.
pub(crate) struct Wanted<'a, T> {
    /// The tags of the id's column; the first that a column carries counts.
    pub(crate) tags: &'a [&'static str],
    /// The most that may be acted on.
    pub(crate) most: u32,
    /// The form field that sets the most.
    pub(crate) most_field: &'static str,
    /// What one is called: `instance`.
    pub(crate) noun: &'static str,
    /// Reads one id; the row gives what else the result says of it. The error says what is wrong
    /// with the id.
    pub(crate) read: &'a Reader<'a, T>,
}

/// Reads one id.
type Reader<'a, T> = dyn Fn(&str, Option<&Row>) -> Result<T, String> + Sync + 'a;

/// The ids, each once and in their order, and what could not be read as one.
#[derive(Debug)]
pub(crate) struct Targets<T> {
    pub(crate) ids: Vec<T>,
    pub(crate) outcomes: Outcomes,
}

/// Texts that are no ids are quoted this far.
const QUOTED: usize = 40;

/// Reads what the command is to act on.
///
/// # Errors
/// No column carries the tag, there are more ids than allowed, or Looker's data is broken.
pub(crate) async fn read<S, T: Clone + Ord>(
    cx: &Context<S>,
    data: Payload,
    wanted: Wanted<'_, T>,
) -> Result<Targets<T>> {
    let mut targets = Targets { ids: Vec::new(), outcomes: Outcomes::new(wanted.noun) };
    if cx.kind() == Some(CellAction) {
        let Some(value) = cx.cell_value().map(str::trim).filter(|value| !value.is_empty()) else {
            return Err(Error::looker(format!(
                "The cell is empty, so that it names no {}.",
                wanted.noun
            )));
        };
        targets.add(value, (wanted.read)(value, None), &mut BTreeSet::new());
        return Ok(targets);
    }
    let mut rows = data.rows().await?;
    let mut known = BTreeSet::new();
    let mut column: Option<Column> = find(rows.columns(), wanted.tags).cloned();
    while let Some(row) = rows.next().await {
        let row = row?;
        if column.is_none() {
            column = find(row.columns(), wanted.tags).cloned();
        }
        let Some(column) = &column else { return Err(untagged(wanted.tags)) };
        let cell = row.get(column);
        if cell.is_pivoted() {
            return Err(Error::looker(format!(
                "The field {} is pivoted, so that its cells hold several values. Send the query \
                 without the pivot.",
                column.name
            )));
        }
        let text = cell.value().text().trim();
        if text.is_empty() {
            targets.outcomes.blank += 1;
            continue;
        }
        targets.add(text, (wanted.read)(text, Some(&row)), &mut known);
        if targets.ids.len() as u64 > u64::from(wanted.most) {
            return Err(Error::form(
                wanted.most_field,
                format!(
                    "The result names more than {} {}, which is the most that the form allows. \
                     Nothing was changed. Filter the query, or allow more.",
                    wanted.most,
                    plural(wanted.noun, u64::from(wanted.most)),
                ),
            ));
        }
    }
    if column.is_none() && find(rows.columns(), wanted.tags).is_none() {
        return Err(untagged(wanted.tags));
    }
    Ok(targets)
}

fn find<'a>(columns: &'a Columns, tags: &[&str]) -> Option<&'a Column> {
    tags.iter().find_map(|tag| columns.with_tag(tag).next())
}

/// The reference's words, then the cure.
fn untagged(tags: &[&str]) -> Error {
    Error::looker(format!(
        "Query requires a field tagged {}. Add the field to the query, or ask the author of the \
         LookML model to put the tag on it.",
        tags.join(" or ")
    ))
}

impl<T: Clone + Ord> Targets<T> {
    fn add(&mut self, text: &str, id: Result<T, String>, known: &mut BTreeSet<T>) {
        match id {
            Ok(id) => {
                if known.insert(id.clone()) {
                    self.ids.push(id);
                }
            }
            Err(why) => {
                let mut short: String =
                    text.chars().filter(|c| !c.is_control()).take(QUOTED).collect();
                if short.len() < text.len() {
                    short.push('…');
                }
                self.outcomes.failed(format!("\"{short}\""), why);
            }
        }
    }
}

/// What came of each id.
#[derive(Debug)]
pub(crate) struct Outcomes {
    noun: &'static str,
    /// How many came to each state that was wanted.
    done: BTreeMap<String, u64>,
    /// The ids and why nothing came of them; beyond [`NAMED`] only their number.
    failed: Vec<(String, String)>,
    failures: u64,
    /// Ids of which nobody knows what came of them.
    doubtful: u64,
    /// Rows without an id.
    blank: u64,
}

/// So many failures are named one by one; a sentence that Looker shows has to stay readable.
const NAMED: usize = 20;

impl Outcomes {
    fn new(noun: &'static str) -> Self {
        let (done, failed) = Default::default();
        Self { noun, done, failed, failures: 0, doubtful: 0, blank: 0 }
    }

    /// One came to the state that was wanted, or was in it before.
    pub(crate) fn done(&mut self, state: &str) {
        *self.done.entry(state.to_owned()).or_default() += 1;
    }

    /// Nothing came of one.
    pub(crate) fn failed(&mut self, id: impl Into<String>, why: impl Into<String>) {
        self.failures += 1;
        if self.failed.len() < NAMED {
            self.failed.push((id.into(), why.into()));
        }
    }

    /// Nobody knows what came of one.
    pub(crate) fn doubtful(&mut self, id: impl Into<String>, why: impl Into<String>) {
        self.doubtful += 1;
        self.failed(id, why);
    }

    /// Success if nothing failed; else a failure that says what came of each.
    ///
    /// # Errors
    /// As the vendor's refusal.
    pub(crate) fn conclude(self, vendor: &str, refresh: bool) -> Result<Receipt> {
        let done: u64 = self.done.values().sum();
        let sentence = self.sentence(vendor, done);
        if self.failures == 0 {
            let receipt = Receipt::new(vendor).rows(done, 0).says(sentence);
            return Ok(if refresh { receipt.refresh_query() } else { receipt });
        }
        let error = Error::vendor(sentence);
        Err(match (self.doubtful, done) {
            (0, 0) => error,
            (0, done) => error.rows_accepted(done),
            _ => error.may_have_arrived(),
        })
    }

    /// The command had to end before each id had its turn.
    pub(crate) fn interrupted(self, vendor: &str, fault: Error) -> Error {
        let done: u64 = self.done.values().sum();
        if done + self.failures == 0 {
            return fault;
        }
        let fault = fault.context(self.sentence(vendor, done));
        if self.doubtful > 0 { fault.may_have_arrived() } else { fault.rows_accepted(done) }
    }

    /// `Amazon EC2: 3 of 4 rows accepted (2 stopping, 1 already stopped); 1 failed: …`
    fn sentence(&self, vendor: &str, done: u64) -> String {
        let all = done + self.failures;
        if all == 0 {
            let noun = self.noun;
            return format!("The result has no rows that name a {noun}, so nothing was changed.");
        }
        let rows = plural("row", all);
        let mut text = format!("{vendor}: {done} of {all} {rows} accepted");
        let states: Vec<_> =
            self.done.iter().map(|(state, count)| format!("{count} {state}")).collect();
        if !states.is_empty() {
            text.push_str(&format!(" ({})", states.join(", ")));
        }
        let failed = self.failures - self.doubtful;
        if failed > 0 {
            text.push_str(&format!("; {failed} failed"));
        }
        if self.doubtful > 0 {
            text.push_str(&format!("; {} more may have been changed", self.doubtful));
        }
        if self.failures > 0 {
            let named: Vec<_> =
                self.failed.iter().map(|(id, why)| format!("{id} {}", bare(why))).collect();
            text.push_str(&format!(": {}", named.join("; ")));
            if self.failures > self.failed.len() as u64 {
                text.push_str("; and others");
            }
        }
        text.push('.');
        if self.blank > 0 {
            let noun = plural("row", self.blank);
            text.push_str(&format!(" {} {noun} named none.", self.blank));
        }
        text
    }
}

fn bare(sentence: &str) -> &str {
    sentence.trim().trim_end_matches('.')
}

fn plural(noun: &str, count: u64) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendoff::{Arrival, Class};

    #[test]
    fn success_only_when_nothing_failed() {
        let mut outcomes = Outcomes::new("instance");
        outcomes.done("stopping");
        outcomes.done("stopping");
        outcomes.done("already stopped");
        let receipt = outcomes.conclude("Amazon EC2", false).expect("nothing failed");
        assert_eq!(
            receipt.sentence(),
            "Amazon EC2: 3 of 3 rows accepted (1 already stopped, 2 stopping)."
        );
    }

    #[test]
    fn a_failure_counts_what_was_done_and_names_what_was_not() {
        let mut outcomes = Outcomes::new("droplet");
        outcomes.done("shutting down");
        outcomes.failed("17", "was not found.");
        outcomes.blank = 2;
        let error = outcomes.conclude("DigitalOcean", true).expect_err("one failed");
        assert_eq!(error.class(), Class::Vendor);
        assert_eq!(error.arrival(), Arrival::Rows(1));
        assert_eq!(
            error.message(),
            "DigitalOcean: 1 of 2 rows accepted (1 shutting down); 1 failed: 17 was not found. 2 \
             rows named none."
        );
    }

    #[test]
    fn what_nobody_knows_may_have_arrived() {
        let mut outcomes = Outcomes::new("droplet");
        outcomes.doubtful("17", "may be shutting down: the answer was lost");
        let error = outcomes.conclude("DigitalOcean", false).expect_err("one failed");
        assert_eq!(error.arrival(), Arrival::Maybe);
    }

    #[test]
    fn the_list_of_failures_stays_short() {
        let mut outcomes = Outcomes::new("droplet");
        for id in 0..500 {
            outcomes.failed(id.to_string(), "was not found");
        }
        let error = outcomes.conclude("DigitalOcean", false).expect_err("all failed");
        assert!(
            error
                .message()
                .starts_with("DigitalOcean: 0 of 500 rows accepted; 500 failed: 0 was not found; ")
        );
        assert!(error.message().ends_with("; 19 was not found; and others."));
    }
}
