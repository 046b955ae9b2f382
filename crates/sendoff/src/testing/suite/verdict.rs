//! Judging a delivery by the ledger of the stand-in, never by the hub's own words alone.

use std::fmt;

use super::Verdict;
use super::lab::Lab;
use crate::testing::{Content, Expected, Heard, Object, Observed, RowLedger};
use crate::{Commit, Spec};

/// Why a case failed, for whoever mends it.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Fails the case unless `sound`.
pub(super) fn ensure(sound: bool, words: impl FnOnce() -> String) -> Verdict {
    if sound { Ok(()) } else { Err(Failure(words())) }
}

/// The property in one line: success means complete and equal; failure means nothing, or words
/// that say otherwise; and nothing half-made stays behind.
pub(super) async fn truthful(lab: &Lab, content: &Content, outcome: Observed) -> Verdict {
    if let Some(takes) = lab.vendor.fake().takes_rows() {
        booked(takes.ledger, content.rows(), outcome)?;
    }
    let objects = lab.vendor.fake().objects().await;
    let whole = match lab.vendor.fake().takes_messages() {
        true => objects.len() == 1,
        // The vendor keeps rows in a form of its own; its book was compared above.
        false if lab.vendor.fake().takes_rows().is_some() => objects.len() == 1,
        false => stands_whole(&lab.spec, content, &objects),
    };
    let sound = match outcome {
        _ if lab.spec.commit == Commit::Streaming => objects.is_empty(),
        Observed::Delivered => whole,
        Observed::NotDelivered(_) => objects.is_empty(),
        Observed::MayHaveArrived => whole || objects.is_empty(),
        Observed::NoAnswer => whole || objects.is_empty(),
    };
    ensure(sound, || {
        format!(
            "the answer was {outcome:?} for {} bytes {}, but at the vendor stands {objects:?}",
            content.len(),
            content.sha256()
        )
    })?;
    let leftovers = lab.vendor.fake().leftovers().await;
    ensure(leftovers.is_empty(), || format!("left behind at the vendor: {leftovers:?}"))
}

/// The same for rows: success means each once, failure means none, and never one twice.
fn booked(ledger: &RowLedger, rows: u64, outcome: Observed) -> Verdict {
    let came = ledger.rows();
    let sound = match outcome {
        Observed::Delivered => came == rows,
        Observed::NotDelivered(_) => came == 0,
        Observed::MayHaveArrived | Observed::NoAnswer => came <= rows,
    };
    ensure(sound && ledger.doubled() == 0 && ledger.strangers() == 0, || {
        format!(
            "the answer was {outcome:?} for {rows} rows, but {came} came, {} of them more than \
             once, and {} that are none of Looker's",
            ledger.doubled(),
            ledger.strangers()
        )
    })
}

/// What an answer counts is what the vendor's book says.
fn accounted(lab: &Lab, outcome: Observed, words: &str) -> Verdict {
    let Some(takes) = lab.vendor.fake().takes_rows() else { return Ok(()) };
    let (accepted, doubtful) = stated(words);
    if outcome == Observed::MayHaveArrived {
        ensure(accepted.or(doubtful).is_some(), || "the answer counts no rows".into())?;
    }
    let (least, doubtful) = (accepted.unwrap_or(0), doubtful.unwrap_or(0));
    let came = takes.ledger.rows();
    ensure(outcome == Observed::NoAnswer || (least..=least + doubtful).contains(&came), || {
        format!("the answer says that {least} rows came and {doubtful} may have; {came} came")
    })
}

/// How many rows a message says were accepted, and how many more may have arrived.
fn stated(words: &str) -> (Option<u64>, Option<u64>) {
    let words: Vec<&str> = words.split_whitespace().collect();
    let number = |word: &str| word.replace(',', "").parse::<u64>().ok();
    let (mut accepted, mut doubtful) = (None, None);
    for (at, word) in words.iter().enumerate() {
        let Some(count) = number(word) else { continue };
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default();
        let next: Vec<&str> = words.iter().skip(at + 1).take(4).copied().collect();
        match next[..] {
            ["of", _, "row" | "rows", said, ..] if said.starts_with("accepted") => {
                accepted = Some(count);
            }
            ["row" | "rows", "was" | "were", "accepted", ..] => accepted = Some(count),
            ["row" | "rows", ..] if before == "Delivered" => accepted = Some(count),
            ["more" | "row" | "rows", "may", "have", ..] => doubtful = Some(count),
            _ => {}
        }
    }
    (accepted, doubtful)
}

fn stands_whole(spec: &Spec, content: &Content, objects: &[Object]) -> bool {
    match objects {
        [] => spec.commit == Commit::Never,
        [object] => object.bytes == content.len() && object.sha256 == content.sha256(),
        _ => false,
    }
}

/// The answer is the expected one, and true.
pub(super) async fn judge(
    lab: &Lab,
    content: &Content,
    heard: &Result<Heard, std::io::Error>,
    expected: Expected,
) -> Verdict {
    let (outcome, words) = match heard {
        Ok(heard) => (heard.outcome(), heard.text.clone()),
        Err(error) => (Observed::NoAnswer, error.to_string()),
    };
    let told = |failure: Failure| {
        let seen = lab.vendor.seen();
        let lines: Vec<_> = seen
            .iter()
            .map(|one| {
                let commits = if one.commits { ", commits" } else { "" };
                format!("  {}{commits}{}", one.line, if one.hit { ", hit" } else { "" })
            })
            .collect();
        Failure(format!(
            "{failure}\nthe hub's answer: {words}\nthe vendor was asked:\n{}",
            lines.join("\n")
        ))
    };
    ensure(expected.allows(outcome), || format!("expected {expected}, heard {outcome:?}"))
        .map_err(told)?;
    truthful(lab, content, outcome).await.map_err(told)?;
    let message = heard.as_ref().map(Heard::message).unwrap_or_default();
    accounted(lab, outcome, message).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::stated;

    #[test]
    fn counts_are_found_in_sentences() {
        let table = [
            ("Delivered 1,000,000 rows to Bell. It took 4 requests.", (Some(1_000_000), None)),
            ("Bell: 9,912 of 10,000 rows accepted; 88 refused; first: row 1", (Some(9_912), None)),
            ("It is down. 1 row was accepted before that.", (Some(1), None)),
            ("Silence. 4 rows were accepted and 2 more may have arrived.", (Some(4), Some(2))),
            ("Silence. 1 row may have arrived.", (None, Some(1))),
            ("Bell answered 400 Bad Request: 3 keys are wrong.", (None, None)),
        ];
        for (words, want) in table {
            assert_eq!(stated(words), want, "{words}");
        }
    }
}
