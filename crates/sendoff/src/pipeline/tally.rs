//! What became of the rows, and the sentences that say so.

use std::fmt::Write as _;

use super::Policy;
use super::batch::Batch;
use super::reply::Reply;
use super::tries::Fate;
use crate::text::count;
use crate::{Arrival, Class, Error, Receipt, Result};

/// How many different reasons a message gives.
const REASONS: usize = 5;
/// How long a reason may be, in characters; five of them stay below 2 KB.
const REASON_AT_MOST: usize = 340;

/// Rows by what became of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Read from Looker.
    pub(super) read: u64,
    pub(super) accepted: u64,
    refused: Reasons,
    skipped: Reasons,
    /// Rows of batches whose answers were lost.
    lost: u64,
    /// Rows that an earlier try of the delivery sent: those that were accepted, and those that may
    /// have arrived.
    earlier: (u64, u64),
    requests: u64,
    /// A row is a request of its own, or is sent by something else than requests: nobody needs
    /// their number.
    one_by_one: bool,
    words: Option<String>,
    /// Class and status of the first refusal.
    first: Option<(Class, Option<u16>)>,
}

/// Rows that shared a fate, and why.
#[derive(Debug, Default)]
struct Reasons {
    rows: u64,
    /// The first few different ones: the first row, the reason, and how many rows had it.
    list: Vec<(u64, String, u64)>,
}

impl Reasons {
    fn add(&mut self, row: u64, reason: &str) {
        self.rows += 1;
        let reason: String = reason.chars().take(REASON_AT_MOST).collect();
        let reason = reason.trim().trim_end_matches('.');
        if let Some(known) = self.list.iter_mut().find(|(_, known, _)| known == reason) {
            known.2 += 1;
            // Batches end in any order.
            known.0 = known.0.min(row);
        } else if self.list.len() < REASONS {
            self.list.push((row, reason.to_owned(), 1));
        }
    }

    /// `first: row 17, it is too long; row 20 and 3 more, it has no id`
    fn text(&self) -> String {
        let mut text = String::from("first: ");
        let mut list: Vec<_> = self.list.iter().collect();
        list.sort_by_key(|(row, ..)| *row);
        for (n, (row, reason, rows)) in list.into_iter().enumerate() {
            let semicolon = if n > 0 { "; " } else { "" };
            let more = match rows {
                1 => String::new(),
                rows => format!(" and {} more", count(rows - 1)),
            };
            // Writing to a String cannot fail.
            let _ = write!(text, "{semicolon}row {}{more}, {reason}", count(*row));
        }
        text
    }
}

impl Tally {
    pub(super) fn new(one_by_one: bool) -> Self {
        Self { one_by_one, ..Self::default() }
    }

    /// A row was refused before it was sent.
    pub(super) fn refuse(&mut self, row: u64, reason: &str) {
        self.first.get_or_insert((Class::Form, None));
        self.refused.add(row, reason);
    }

    pub(super) fn skip(&mut self, row: u64, reason: &str) {
        self.skipped.add(row, reason);
    }

    /// A row was sent by an earlier try, and is not sent again.
    pub(super) fn meet(&mut self, fate: Fate) {
        match fate {
            Fate::Accepted => self.earlier.0 += 1,
            Fate::Open => self.earlier.1 += 1,
        }
    }

    /// Whether more rows were refused than the policy allows.
    pub(super) fn exceeds(&self, policy: Policy) -> bool {
        self.refused.rows > policy.at_most
    }

    /// A batch was refused as a whole.
    pub(super) fn refuse_all(&mut self, batch: &Batch, why: &Error) {
        self.first.get_or_insert((why.class(), why.http_status()));
        for row in batch.rows() {
            self.refused.add(row.number, why.message());
        }
    }

    /// A batch's answer: rows of it were refused or skipped, the others accepted. Says which were.
    pub(super) fn note(&mut self, batch: &Batch, reply: Reply) -> Vec<bool> {
        self.requests += 1;
        self.words = reply.words.or_else(|| self.words.take());
        let number = |index: usize| batch.row(index).map_or(0, |row| row.number);
        // A vendor may name a row twice, for two of its values.
        let mut left: Vec<bool> = vec![true; batch.len()];
        let mut take = |index: usize| left.get_mut(index).is_some_and(std::mem::take);
        for (index, reason) in &reply.refused {
            if take(*index) {
                self.first.get_or_insert((Class::Vendor, None));
                self.refused.add(number(*index), reason);
            }
        }
        for (index, reason) in &reply.skipped {
            if take(*index) {
                self.skipped.add(number(*index), reason);
            }
        }
        self.accepted += left.iter().filter(|left| **left).count() as u64;
        left
    }

    /// A batch's request failed.
    pub(super) fn fail(&mut self, batch: &Batch, fault: &Error) {
        match fault.arrival() {
            Arrival::Nothing => {}
            Arrival::Maybe => self.lost += batch.len() as u64,
            Arrival::Rows(rows) => self.accepted += rows.min(batch.len() as u64),
        }
    }

    /// The outcome of a delivery that came to its end.
    pub(super) fn outcome(&self, target: &str, policy: Policy) -> Result<Receipt> {
        if self.refused.rows > 0 && !policy.succeeds {
            return Err(self.refusal(target, ""));
        }
        if self.earlier.1 > 0 {
            return Err(self.open(target));
        }
        let mut receipt = Receipt::new(target).rows(self.accepted, self.refused.rows);
        if self.read == 0 {
            receipt = receipt
                .says(format!("The result has no rows, so that nothing was sent to {target}."));
        } else if self.refused.rows > 0 {
            receipt = receipt.says(format!("{target}: {}.", self.counts()));
        } else if self.skipped.rows > 0 {
            receipt = receipt.remark(self.skips());
        }
        if let Some(before) = self.before() {
            receipt = receipt.remark(before);
        }
        if self.requests > 1 && !self.one_by_one {
            receipt = receipt.remark(format!("It took {} requests.", count(self.requests)));
        }
        match &self.words {
            Some(words) => Ok(receipt.remark(words)),
            None => Ok(receipt),
        }
    }

    /// The error of a delivery that was ended because too many rows were refused.
    pub(super) fn stopped(&self, target: &str) -> Error {
        self.refusal(target, " Nothing was sent of the rows after these.")
    }

    /// The error of a delivery that the vendor would refuse whatever its rows are.
    pub(super) fn all_refused(&self, target: &str) -> Error {
        self.refusal(
            target,
            " Rows that were tried alone were refused in the same words, so that no more was sent.",
        )
    }

    /// The error of a delivery that came to its end but for rows of an earlier try.
    fn open(&self, target: &str) -> Error {
        let rows = rows(self.earlier.1);
        let error = Error::vendor(format!(
            "An earlier try of this delivery sent {rows} to {target} and got no answer, so that \
             they may have arrived and were not sent again: look there for them."
        ));
        let done = match self.accepted {
            0 => None,
            accepted => Some(format!("{} accepted now.", were(accepted))),
        };
        let told = done.into_iter().chain(self.before());
        told.fold(error, Error::remark).may_have_arrived()
    }

    /// What earlier tries have done.
    fn before(&self) -> Option<String> {
        let by = "accepted by an earlier try of this delivery and not sent again.";
        (self.earlier.0 > 0).then(|| format!("{} {by}", were(self.earlier.0)))
    }

    fn refusal(&self, target: &str, more: &str) -> Error {
        let message = format!("{target}: {}.{more}{}", self.counts(), self.stays());
        let (class, status) = self.first.unwrap_or((Class::Vendor, None));
        let error = match class {
            Class::Settings => Error::settings(message),
            Class::Login => Error::login(message),
            Class::Form => Error::form("", message),
            _ => Error::vendor(message),
        };
        let error = match status {
            Some(status) => error.status(status),
            None => error,
        };
        self.arrived(error)
    }

    /// A fault that ended the delivery, with what had been done before.
    pub(super) fn fault(&self, fault: Error) -> Error {
        let fault = match self.refused.rows {
            0 => fault,
            _ => fault.remark(format!("Before that: {}.{}", self.counts(), self.stays())),
        };
        self.arrived(fault)
    }

    /// Behind a sentence that counts what was accepted.
    fn stays(&self) -> &'static str {
        match (self.accepted, self.lost) {
            (0, _) | (_, 1..) => "",
            _ => " What was accepted cannot be taken back.",
        }
    }

    /// Says what cannot be taken back.
    fn arrived(&self, error: Error) -> Error {
        let error = self.before().into_iter().fold(error, Error::remark);
        match (self.accepted, self.lost + self.earlier.1) {
            (0, 0) => error,
            (rows, 0) => error.rows_accepted(rows),
            (0, lost) => {
                error.remark(format!("{} may have arrived.", rows(lost))).may_have_arrived()
            }
            (accepted, lost) => error
                .remark(format!(
                    "{} accepted and cannot be taken back, and {} more may have arrived.",
                    were(accepted),
                    count(lost)
                ))
                .may_have_arrived(),
        }
    }

    /// `9,912 of 10,000 rows accepted; 88 refused; first: row 17, …`
    fn counts(&self) -> String {
        let skipped = match self.skipped.rows {
            0 => String::new(),
            skipped => format!("; {} skipped; {}", count(skipped), self.skipped.text()),
        };
        format!(
            "{} of {} accepted; {} refused; {}{skipped}",
            count(self.accepted),
            rows(self.accepted + self.refused.rows + self.skipped.rows + self.lost),
            count(self.refused.rows),
            self.refused.text()
        )
    }

    fn skips(&self) -> String {
        let was = if self.skipped.rows == 1 { "was" } else { "were" };
        format!("{} {was} skipped; {}.", rows(self.skipped.rows), self.skipped.text())
    }
}

fn rows(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "row" } else { "rows" })
}

fn were(number: u64) -> String {
    format!("{} {}", rows(number), if number == 1 { "was" } else { "were" })
}
