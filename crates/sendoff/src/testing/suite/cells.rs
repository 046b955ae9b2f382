//! Twelve cells of the fault matrix: in the middle of Looker's data, in the middle of the upload,
//! after its last byte and at its commit; closed, silent and refused.

use super::lab::Lab;
use super::refuse::refusal;
use super::sides::early;
use super::verdict::{Failure, ensure, judge, truthful};
use super::{Case, Subject, Verdict, case};
use crate::Commit;
use crate::testing::{
    At, By, Content, Damage, Expected, Fault, Flow, Heard, Injury, LookerFault, Mischief, Observed,
    Point, Refusal, VendorFault, expected,
};

/// More than one part of any upload in parts.
const BYTES: u64 = 12 << 20;
/// Within the first part of any of them.
const WITHIN: u64 = 1 << 20;
/// Where an encrypted protocol is cut in its last steps: so many bytes before the last one that a
/// sound delivery sends.
const BEFORE_THE_END: [u64; 6] = [6_000, 2_000, 900, 400, 150, 40];

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    let mut cases = vec![
        case("fault_p2_close", async |subject| looker(&subject, LookerFault::BreaksOff).await),
        case("fault_p2_stall", async |subject| looker(&subject, LookerFault::Stalls).await),
        case("fault_p2_error", async |subject| looker(&subject, LookerFault::Garbage).await),
    ];
    let networked = !(subject.make)().1.origins().is_empty();
    if !networked || subject.spec.commit == Commit::Never {
        return cases;
    }
    // A message is too short to be cut in its middle: it leaves at once.
    let message = subject.takes_messages();
    if !message {
        cases.push(case("fault_p5_close", async |subject| midway(&subject, Damage::Close).await));
        cases.push(case("fault_p5_stall", async |subject| midway(&subject, Damage::Stall).await));
    }
    if subject.server.is_some() || !subject.spec.over_http {
        // Errors inside an encrypted or a foreign protocol cannot be forged: a reset stands for them.
        cases.push(case("fault_p5_reset", async |subject| midway(&subject, Damage::Reset).await));
        if !subject.spec.over_http {
            cases.push(case("fault_p8_close", async |subject| late(&subject, Damage::Close).await));
            cases.push(case("fault_p8_stall", async |subject| late(&subject, Damage::Stall).await));
        }
        return cases;
    }
    if subject.takes_rows() {
        // What is refused in the middle of a result are rows: see the cases of rows.
        cases.extend(last_batch());
    } else if !message {
        cases.extend(last_byte());
    }
    cases.push(case("fault_p8_close", async |subject| {
        vendor(&subject, Point::P8, Fault::VendorGone, |_, _| {
            Ok((At::Commit, Mischief::LoseAnswer))
        })
        .await
    }));
    cases.push(case("fault_p8_stall", async |subject| {
        vendor(&subject, Point::P8, Fault::VendorStalls, |_, _| Ok((At::Commit, Mischief::Silence)))
            .await
    }));
    cases.push(case("fault_p8_error", async |subject| commit_refused(&subject).await));
    cases
}

/// How the vendor can fail with its answer.
const LOST: [(&str, Fault, Mischief); 2] = [
    ("close", Fault::VendorGone, Mischief::LoseAnswer),
    ("stall", Fault::VendorStalls, Mischief::Silence),
];

/// The request that brings the data's last byte, and one that is refused before it.
fn last_byte() -> Vec<Case> {
    let mut cases = vec![case("fault_p5_error", async |subject: Subject| {
        vendor(&subject, Point::P5, Fault::EarlyAnswer, |lab, _| {
            Ok((At::Within(WITHIN), Mischief::Refuse(refusal(lab.vendor.fake(), 400, None))))
        })
        .await
    })];
    for (name, fault, mischief) in LOST {
        cases.push(case(format!("fault_p6_{name}"), async move |subject: Subject| {
            let last = last_byte_at(&subject).await?;
            vendor(&subject, Point::P6, fault, |_, _| Ok((At::Byte(last), mischief))).await
        }));
    }
    cases.push(case("fault_p6_error", async |subject| {
        let last = last_byte_at(&subject).await?;
        vendor(&subject, Point::P6, Fault::Refused, |lab, _| {
            let refusal = refusal(lab.vendor.fake(), 400, None);
            Ok((At::Byte(last), Mischief::Refuse(refusal)))
        })
        .await
    }));
    cases
}

/// With how many bytes of bodies the data's last byte comes. Rows are written anew for a vendor that
/// keeps them: all that it was sent before the step that shows them.
async fn last_byte_at(subject: &Subject) -> Result<u64, Failure> {
    let lab = Lab::start(subject).await?;
    let content = lab.content(subject.text_format(), BYTES);
    if !subject.counts_rows() {
        return Ok(content.len());
    }
    let heard = lab.ship(content, by(subject), None).await?;
    judge(&lab, &content, &heard, Expected::Delivered).await?;
    let seen = lab.vendor.seen();
    Ok(seen.iter().take_while(|one| !one.commits).map(|one| one.bytes).sum())
}

/// The request that brings the last rows.
fn last_batch() -> Vec<Case> {
    let refused = ("error", Fault::Refused, None::<Mischief>);
    let lost = LOST.map(|(name, fault, mischief)| (name, fault, Some(mischief)));
    let all = lost.into_iter().chain([refused]);
    all.map(|(name, fault, mischief)| {
        case(format!("fault_p6_{name}"), async move |subject: Subject| {
            let (_, batches) = sound(&subject).await?;
            vendor(&subject, Point::P6, fault, |lab, _| {
                let refuse = || Mischief::Refuse(refusal(lab.vendor.fake(), 400, None));
                Ok((At::Nth(batches), mischief.unwrap_or_else(refuse)))
            })
            .await
        })
    })
    .collect()
}

/// What a delivery of rows that nothing disturbs sends: bytes, and requests.
async fn sound(subject: &Subject) -> Result<(u64, u64), Failure> {
    let lab = Lab::start(subject).await?;
    let content = lab.content(subject.text_format(), BYTES);
    let heard = lab.ship(content, by(subject), None).await?;
    judge(&lab, &content, &heard, Expected::Delivered).await?;
    let takes = lab.vendor.fake().takes_rows();
    let batches = takes.map_or(0, |takes| takes.ledger.batches());
    Ok((lab.vendor.proxy().passed(Flow::Up), batches))
}

/// Looker's pushed request breaks.
async fn looker(subject: &Subject, fault: fn(u64) -> LookerFault) -> Verdict {
    let lab = Lab::start(subject).await?;
    let content = lab.content(subject.text_format(), BYTES);
    let fault = fault(early(&content));
    let kind = match fault {
        LookerFault::BreaksOff(_) => Fault::LookerGone,
        LookerFault::Stalls(_) => Fault::LookerStalls,
        _ => Fault::DataCut,
    };
    let heard = lab.ship(content, By::Push, Some(fault)).await?;
    if kind == Fault::LookerGone {
        lab.settle().await?;
        // Bytes that were already on their way to Looker are no answer. Rows may have come before.
        let nothing = Observed::NotDelivered(crate::testing::Blame::Looker);
        let outcome = if subject.takes_rows() { Observed::NoAnswer } else { nothing };
        return truthful(&lab, &content, outcome).await;
    }
    judge(&lab, &content, &heard, expected(kind, Point::P2, &lab.spec)).await
}

fn by(subject: &Subject) -> By {
    if subject.downloads() { By::Download } else { By::Push }
}

/// The connection to the vendor breaks in the middle of the upload.
async fn midway(subject: &Subject, damage: Damage) -> Verdict {
    let bytes = if subject.counts_rows() { Some(sound(subject).await?.0) } else { None };
    let lab = Lab::start(subject).await?;
    let content = lab.content(subject.text_format(), BYTES);
    let after = bytes.unwrap_or(content.len()) / 2;
    let injury = Injury { flow: Flow::Up, after, damage, lasting: false };
    lab.vendor.proxy().injure(injury);
    let heard = lab.ship(content, by(subject), None).await?;
    ensure(lab.vendor.proxy().strikes() == 1, || "the upload did not get so far".into())?;
    judge(&lab, &content, &heard, expected(Fault::VendorGone, Point::P5, &lab.spec)).await
}

/// One request to the vendor is hit.
async fn vendor(
    subject: &Subject,
    point: Point,
    fault: Fault,
    how: impl FnOnce(&Lab, &Content) -> Result<(At, Mischief), Failure> + Send,
) -> Verdict {
    let lab = Lab::start(subject).await?;
    let content = lab.content(subject.text_format(), BYTES);
    let (at, mischief) = how(&lab, &content)?;
    lab.vendor.injure(VendorFault { at, mischief, lasting: false });
    let heard = lab.ship(content, by(subject), None).await?;
    struck(&lab, &heard)?;
    judge(&lab, &content, &heard, expected(fault, point, &lab.spec)).await
}

fn struck(lab: &Lab, heard: &Result<Heard, std::io::Error>) -> Verdict {
    ensure(lab.vendor.strikes() > 0, || format!("no request was hit: {heard:?}"))
}

/// The commit is refused, in every way that the vendor has, whatever is tried.
async fn commit_refused(subject: &Subject) -> Verdict {
    let fake = (subject.make)().1;
    let mut ways = vec![refusal(&*fake, 400, None)];
    ways.extend(fake.false_successes().into_iter().map(|(media_type, body)| Refusal {
        status: 200,
        retry_after: None,
        media_type,
        body,
    }));
    for way in ways {
        let fault = if way.status == 200 { Fault::FalseSuccess } else { Fault::Refused };
        let lab = Lab::start(subject).await?;
        let content = lab.content(subject.text_format(), BYTES);
        let mischief = Mischief::Refuse(way);
        lab.vendor.injure(VendorFault { at: At::Commit, mischief, lasting: true });
        let heard = lab.ship(content, by(subject), None).await?;
        struck(&lab, &heard)?;
        judge(&lab, &content, &heard, expected(fault, Point::P8, &lab.spec)).await?;
    }
    Ok(())
}

/// Cuts a protocol that cannot be looked into near its end, at several bytes: whatever step each
/// of them meets, the answer must be true.
async fn late(subject: &Subject, damage: Damage) -> Verdict {
    let lab = Lab::start(subject).await?;
    let content = lab.content(subject.text_format(), 200_000);
    let heard = lab.ship(content, by(subject), None).await?;
    judge(&lab, &content, &heard, Expected::Delivered).await?;
    let all = lab.vendor.proxy().passed(Flow::Up);
    for before in BEFORE_THE_END {
        let lab = Lab::start(subject).await?;
        let after = all.saturating_sub(before);
        lab.vendor.proxy().injure(Injury { flow: Flow::Up, after, damage, lasting: false });
        let heard = lab.ship(content, by(subject), None).await?;
        let outcome = heard.as_ref().map_or(Observed::NoAnswer, Heard::outcome);
        let told = |failure| {
            let heard = heard.as_ref().map_or_else(ToString::to_string, |heard| heard.text.clone());
            Failure::new(format!("{before} bytes before the end: {failure}\nheard: {heard}"))
        };
        ensure(outcome != Observed::NoAnswer, || "no answer".into()).map_err(told)?;
        truthful(&lab, &content, outcome).await.map_err(told)?;
    }
    Ok(())
}
