//! The vendor refuses: the right words, the right retries, and nothing left behind.

use super::lab::Lab;
use super::verdict::{ensure, judge};
use super::{Case, Subject, Verdict, case};
use crate::testing::{
    At, By, Damage, Fake, Fault, Flow, Injury, Mischief, Point, Refusal, VendorFault, expected,
};
use crate::{Commit, Repeatable};

/// Longer than any delivery may wait.
const COME_BACK_AFTER: u32 = 3_600;

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    if !subject.spec.over_http || subject.spec.commit == Commit::Never {
        return Vec::new();
    }
    let mut cases: Vec<_> = [400, 401, 403, 404, 409, 429, 500]
        .into_iter()
        .map(|status| {
            case(format!("vendor_refuses_{status}"), async move |subject| {
                refuses(&subject, status).await
            })
        })
        .collect();
    cases.push(case("vendor_refuses_once_with_429", async |subject| passes(&subject).await));
    cases.push(case("vendor_cuts_its_answer", async |subject| cut(&subject).await));
    cases
}

/// The stand-in's own words for this status.
pub(super) fn refusal(fake: &dyn Fake, status: u16, retry_after: Option<u32>) -> Refusal {
    let (media_type, body) = fake.refusal(status);
    Refusal { status, retry_after, media_type, body }
}

async fn refuses(subject: &Subject, status: u16) -> Verdict {
    let lab = Lab::start(subject).await?;
    let retry_after = (status == 429).then_some(COME_BACK_AFTER);
    let refusal = refusal(lab.vendor.fake(), status, retry_after);
    let words = longest_sentence(&refusal.body);
    let mischief = Mischief::Refuse(refusal);
    lab.vendor.injure(VendorFault { at: At::Any, mischief, lasting: true });
    let content = lab.content(subject.text_format(), 2_000);
    let heard = lab.ship(content, By::Push, None).await?;
    let wanted = expected(Fault::Refused, Point::P4, &lab.spec);
    judge(&lab, &content, &heard, wanted).await?;
    let heard = heard?;
    let message = heard.message();
    let label = lab.spec.label;
    let named = label.split(' ').filter(|word| word.len() > 2).any(|word| message.contains(word));
    ensure(named, || format!("the sentence does not name {label}: {message}"))?;
    ensure(message.contains(&words), || {
        format!("the vendor's own words ({words}) are not in: {message}")
    })?;
    ensure(message.trim_end().ends_with(['.', '!', ')']), || format!("no sentence: {message}"))?;
    if status == 429 {
        ensure(message.contains("1 h"), || format!("the time to wait is not named: {message}"))?;
    }
    retried_rightly(&lab, status)
}

/// What may be repeated is, after a passing failure; what may not be never is.
fn retried_rightly(lab: &Lab, status: u16) -> Verdict {
    let seen = lab.vendor.seen();
    let commits = seen.iter().filter(|one| one.commits).count();
    let repeatable = lab.spec.repeatable != Repeatable::Nothing;
    let rows = lab.spec.commit == Commit::Streaming;
    ensure(repeatable || rows || commits <= 1, || {
        format!("{commits} deliveries of one were begun")
    })?;
    let first = seen.first().map(|one| one.line.as_str()).unwrap_or_default();
    let asked = seen.iter().filter(|one| one.line == first).count();
    // Later refusals of the same request would be the same: only 500 may pass.
    if status == 500 && lab.spec.repeatable == Repeatable::Parts {
        return ensure(asked > 1, || format!("{first} was not tried again"));
    }
    // Several batches of rows may be on their way, or halves of one; the vendor's book tells doubles.
    let last = matches!(status, 400 | 403 | 404 | 429) && !rows;
    ensure(!last || asked <= 1, || format!("{first} was tried {asked} times"))
}

/// The longest text between markup that reads like words, shortened: a message may cut it.
fn longest_sentence(body: &str) -> String {
    let texts = body.split(['<', '>', '"', '{', '}', '[', ']']);
    let words = texts.map(str::trim).filter(|text| text.contains(' ') && !text.contains('='));
    let longest = words.max_by_key(|text| text.len()).unwrap_or_default();
    longest.chars().take(24).collect::<String>().trim().to_owned()
}

/// "Too many requests, come back in a second", once.
async fn passes(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let mischief = Mischief::Refuse(refusal(lab.vendor.fake(), 429, Some(1)));
    lab.vendor.injure(VendorFault { at: At::Any, mischief, lasting: false });
    let content = lab.content(subject.text_format(), 2_000);
    let heard = lab.ship(content, By::Push, None).await?;
    judge(&lab, &content, &heard, expected(Fault::Passing, Point::P4, &lab.spec)).await
}

/// The answer to a small delivery breaks off within its first line.
async fn cut(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let content = lab.content(subject.text_format(), 2_000);
    if lab.spec.over_http {
        let mischief = Mischief::CutAnswer;
        lab.vendor.injure(VendorFault { at: At::Commit, mischief, lasting: false });
    } else {
        let injury = Injury { flow: Flow::Down, after: 9, damage: Damage::Close, lasting: false };
        lab.vendor.proxy().injure(injury);
    }
    let heard = lab.ship(content, By::Push, None).await?;
    judge(&lab, &content, &heard, expected(Fault::VendorGone, Point::P8, &lab.spec)).await
}

#[cfg(test)]
mod tests {
    use super::longest_sentence;

    #[test]
    fn words_are_found_between_markup() {
        let xml = r#"<?xml version="1.0"?><Error><Code>X</Code><Message>No such bucket, sorry for that long.</Message></Error>"#;
        assert_eq!(longest_sentence(xml), "No such bucket, sorry fo");
        assert_eq!(longest_sentence(r#"{"error":"not found here"}"#), "not found here");
        assert_eq!(longest_sentence("nope"), "");
    }
}
