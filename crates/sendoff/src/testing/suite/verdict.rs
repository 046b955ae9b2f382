//! Judging a delivery by the ledger of the stand-in, never by the hub's own words alone.

use std::fmt;

use super::Verdict;
use super::lab::Lab;
use crate::testing::{Content, Expected, Heard, Object, Observed};
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
    let objects = lab.vendor.fake().objects().await;
    let whole = stands_whole(&lab.spec, content, &objects);
    let sound = match outcome {
        Observed::Delivered => whole,
        Observed::NotDelivered(_) => objects.is_empty(),
        Observed::MayHaveArrived => {
            whole || objects.is_empty() || lab.spec.commit == Commit::Streaming
        }
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
    truthful(lab, content, outcome).await.map_err(told)
}
