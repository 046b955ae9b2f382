//! What came of each id that a command named, counted and told in one sentence.

use std::collections::BTreeMap;

use sendoff::{Error, Receipt, Result};

/// What came of each id.
#[derive(Debug)]
pub(crate) struct Outcomes {
    noun: &'static str,
    /// How many came to each state that was wanted.
    done: BTreeMap<String, u64>,
    /// Why nothing came of some, and the ids that shared the reason.
    failed: Vec<(String, Ids)>,
    failures: u64,
    /// Ids of which nobody knows what came of them.
    doubtful: u64,
    /// What had no turn before the command had to end.
    untouched: Ids,
    /// Rows without an id.
    blank: u64,
}

/// So many ids of one fate are named; a sentence that Looker shows has to stay readable.
const NAMED: usize = 20;
/// So many different reasons are given; further failures are only counted.
const REASONS: usize = 8;
/// How long a reason may be, in characters; all of them stay below 2 KB.
const REASON_AT_MOST: usize = 200;

/// Ids that share a fate; beyond [`NAMED`] only their number.
#[derive(Debug, Default)]
struct Ids {
    named: Vec<String>,
    all: u64,
}

impl Ids {
    fn add(&mut self, id: impl Into<String>) {
        self.all += 1;
        if self.named.len() < NAMED {
            self.named.push(id.into());
        }
    }

    /// `11, 12 and others`, from the one at `start` on.
    fn list(&self, start: usize) -> String {
        let named = self.named.get(start..).unwrap_or_default().join(", ");
        let more = self.all > self.named.len() as u64;
        if more { format!("{named} and others") } else { named }
    }
}

impl Outcomes {
    pub(super) fn new(noun: &'static str) -> Self {
        Self {
            noun,
            done: BTreeMap::new(),
            failed: Vec::new(),
            failures: 0,
            doubtful: 0,
            untouched: Ids::default(),
            blank: 0,
        }
    }

    /// A row named none.
    pub(super) fn blank(&mut self) {
        self.blank += 1;
    }

    /// One came to the state that was wanted, or was in it before.
    pub(crate) fn done(&mut self, state: &str) {
        *self.done.entry(state.to_owned()).or_default() += 1;
    }

    /// Nothing came of one.
    pub(crate) fn failed(&mut self, id: impl Into<String>, why: impl Into<String>) {
        self.failures += 1;
        let why: String = bare(&why.into()).chars().take(REASON_AT_MOST).collect();
        if let Some((_, ids)) = self.failed.iter_mut().find(|(known, _)| *known == why) {
            ids.add(id);
        } else if self.failed.len() < REASONS {
            let mut ids = Ids::default();
            ids.add(id);
            self.failed.push((why, ids));
        }
    }

    /// Nobody knows what came of one.
    pub(crate) fn doubtful(&mut self, id: impl Into<String>, why: impl Into<String>) {
        self.doubtful += 1;
        self.failed(id, why);
    }

    /// One had no turn: the command had to end before.
    pub(crate) fn untouched(&mut self, id: impl Into<String>) {
        self.untouched.add(id);
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
        let fault = match self.untouched.all {
            0 => fault,
            1 => fault.remark(format!(
                "1 {} was not touched: {}.",
                self.noun,
                self.untouched.list(0)
            )),
            all => {
                let noun = plural(self.noun, all);
                fault.remark(format!("{all} {noun} were not touched: {}.", self.untouched.list(0)))
            }
        };
        if done + self.failures == 0 {
            return fault;
        }
        let fault = fault.context(self.sentence(vendor, done).trim_end_matches('.'));
        match (self.doubtful, done) {
            (0, 0) => fault,
            (0, done) => fault.rows_accepted(done),
            _ => fault.may_have_arrived(),
        }
    }

    /// `Amazon EC2: 3 of 4 rows accepted (2 stopping, 1 already stopped); 1 failed: …`
    fn sentence(&self, vendor: &str, done: u64) -> String {
        let all = done + self.failures + self.untouched.all;
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
            text.push_str(&format!(": {}", self.reasons()));
        }
        text.push('.');
        if self.blank > 0 {
            let noun = plural("row", self.blank);
            text.push_str(&format!(" {} {noun} named none.", self.blank));
        }
        text
    }

    /// `17 was not found (also 18, 19); 20 is locked`
    fn reasons(&self) -> String {
        let one = |(why, ids): &(String, Ids)| {
            let first = ids.named.first().map_or("", String::as_str);
            match ids.all {
                0 | 1 => format!("{first} {why}"),
                _ => format!("{first} {why} (also {})", ids.list(1)),
            }
        };
        let mut given: Vec<_> = self.failed.iter().map(one).collect();
        let told: u64 = self.failed.iter().map(|(_, ids)| ids.all).sum();
        if told < self.failures {
            given.push(format!("and {} for other reasons", self.failures - told));
        }
        given.join("; ")
    }
}

fn bare(sentence: &str) -> &str {
    sentence.trim().trim_end_matches('.')
}

pub(super) fn plural(noun: &str, count: u64) -> String {
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
        outcomes.blank();
        outcomes.blank();
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
        let said = error.message();
        let start =
            "DigitalOcean: 0 of 500 rows accepted; 500 failed: 0 was not found (also 1, 2, ";
        assert!(said.starts_with(start), "{said}");
        assert!(said.ends_with(", 19 and others)."), "{said}");
    }

    #[test]
    fn many_reasons_stay_short_and_every_failure_counts() {
        let mut outcomes = Outcomes::new("droplet");
        for id in 0..50 {
            outcomes
                .failed(id.to_string(), format!("was refused for reason {id} {}", "x".repeat(900)));
        }
        let error = outcomes.conclude("DigitalOcean", false).expect_err("all failed");
        assert!(error.message().ends_with("; and 42 for other reasons."), "{error}");
        assert!(error.message().len() < 2_048, "{}", error.message().len());
    }

    #[test]
    fn an_end_before_the_turn_of_some_names_those() {
        let mut outcomes = Outcomes::new("droplet");
        outcomes.done("shutting down");
        outcomes.untouched("12");
        outcomes.untouched("13");
        let error = outcomes.interrupted("DigitalOcean", Error::settings("The key is revoked."));
        assert_eq!(error.arrival(), Arrival::Rows(1));
        assert_eq!(
            error.message(),
            "DigitalOcean: 1 of 3 rows accepted (1 shutting down): The key is revoked. 2 droplets \
             were not touched: 12, 13."
        );
        let mut outcomes = Outcomes::new("droplet");
        outcomes.untouched("12");
        let error = outcomes.interrupted("DigitalOcean", Error::settings("The key is revoked."));
        assert_eq!(error.arrival(), Arrival::Nothing);
        assert_eq!(error.message(), "The key is revoked. 1 droplet was not touched: 12.");
    }
}
