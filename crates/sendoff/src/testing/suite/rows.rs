//! Each row of Looker's is accounted for at a vendor that takes rows, whatever happens between.

use super::lab::{DEADLINE, Lab, limits};
use super::refuse::refusal;
use super::verdict::{Failure, ensure, judge};
use super::{Case, Subject, Verdict, case};
use crate::Limits;
use crate::testing::{
    At, Blame, By, Content, Damage, DownloadFault, Expected, Fault, Flow, Heard, Injury,
    LookerFault, Mischief, Observed, Point, Refusal, TakesRows, VendorFault, expected,
};

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    if !subject.takes_rows() {
        return Vec::new();
    }
    let mut cases = vec![
        case("rows_none", async |subject| none(&subject).await),
        case("rows_one", async |subject| some(&subject, |_| 1, 1).await),
        case("rows_exactly_one_batch", async |subject| some(&subject, |full| full, 1).await),
        case("rows_one_more_than_a_batch", async |subject| {
            some(&subject, |full| full + 1, 2).await
        }),
        case("rows_with_fields_behind_data", async |subject| {
            let (lab, content) = stage(&subject, 3).await?;
            ship(&lab, content.fields_last(), by(&subject), None, Expected::Delivered).await?;
            Ok(())
        }),
        case("rows_looker_breaks_off", async |subject| breaks_off(&subject).await),
    ];
    if subject.spec.over_http {
        cases.push(case("rows_refused_in_the_middle", async |subject| refused(&subject).await));
        cases.push(case("rows_held_by_429", async |subject| held(&subject).await));
        cases.push(case("rows_vendor_dies", async |subject| dies(&subject).await));
    } else {
        cases.push(case("rows_vendor_dies", async |subject| hangs_up(&subject).await));
    }
    if !subject.spec.required_tags.is_empty() {
        cases.push(case("rows_without_their_tag", async |subject| untagged(&subject).await));
    }
    cases
}

fn takes(lab: &Lab) -> Result<TakesRows<'_>, Failure> {
    let takes = lab.vendor.fake().takes_rows();
    takes.ok_or_else(|| Failure::new("it commits row by row, but its stand-in counts no rows"))
}

/// Rows that fill more than one batch of any vendor.
const PROBE: u64 = 6_000;

/// How many rows fill a batch: as many as the largest of a delivery has.
async fn full_batch(subject: &Subject) -> Result<u64, Failure> {
    let lab = Lab::start(subject).await?;
    let takes = takes(&lab)?;
    let rows = PROBE.min(takes.at_most);
    let content = Content::of_rows(subject.text_format(), takes.shape, rows);
    ship(&lab, content, by(subject), None, Expected::Delivered).await?;
    let batch = takes.ledger.largest();
    ensure(batch > 0 && batch < rows && batch * 7 <= takes.at_most, || {
        format!("{rows} rows came in batches of up to {batch}, of which seven must be possible")
    })?;
    Ok(batch)
}

/// A lab, and rows for so many batches.
async fn stage(subject: &Subject, batches: u64) -> Result<(Lab, Content), Failure> {
    let batch = if batches == 0 { 0 } else { full_batch(subject).await? };
    let lab = Lab::start(subject).await?;
    let shape = takes(&lab)?.shape;
    let content = Content::of_rows(subject.text_format(), shape, batch * batches);
    Ok((lab, content))
}

fn by(subject: &Subject) -> By {
    if subject.downloads() { By::Download } else { By::Push }
}

async fn ship(
    lab: &Lab,
    content: Content,
    by: By,
    fault: Option<LookerFault>,
    wanted: Expected,
) -> Result<Heard, Failure> {
    let heard = lab.ship(content, by, fault).await?;
    judge(lab, &content, &heard, wanted).await?;
    Ok(heard?)
}

async fn none(subject: &Subject) -> Verdict {
    let (lab, content) = stage(subject, 0).await?;
    let heard = ship(&lab, content, by(subject), None, Expected::Delivered).await?;
    let message = heard.message();
    ensure(message.contains("no rows"), || format!("it does not say so: {message}"))?;
    let begun = lab.vendor.seen().into_iter().find(|one| one.commits);
    ensure(begun.is_none(), || format!("the vendor was called all the same: {begun:?}"))
}

/// A number of rows, in so many requests.
async fn some(subject: &Subject, rows: fn(u64) -> u64, requests: u64) -> Verdict {
    let rows = rows(full_batch(subject).await?);
    let lab = Lab::start(subject).await?;
    let takes = takes(&lab)?;
    let content = Content::of_rows(subject.text_format(), takes.shape, rows);
    ship(&lab, content, by(subject), None, Expected::Delivered).await?;
    let batches = takes.ledger.batches();
    ensure(batches == requests, || format!("{batches} requests for {} rows", content.rows()))
}

/// The vendor refuses one batch of five. The others are sent, or the answer says what was.
async fn refused(subject: &Subject) -> Verdict {
    let (lab, content) = stage(subject, 5).await?;
    let mischief = Mischief::Refuse(refusal(lab.vendor.fake(), 400, None));
    lab.vendor.injure(VendorFault { at: At::Nth(3), mischief, lasting: false });
    let wanted = expected(Fault::Refused, Point::P5, &lab.spec);
    let heard = ship(&lab, content, by(subject), None, wanted).await?;
    let seen = lab.vendor.strikes();
    ensure(seen == 1, || format!("{seen} requests were refused"))?;
    let came = takes(&lab)?.ledger.rows();
    // What was accepted is counted: `judge` compares the number.
    ensure(came > 0 || heard.outcome() == Observed::NotDelivered(Blame::Vendor), || {
        format!("no row came: {}", heard.message())
    })
}

/// Every third request is told to come back later, which is never a fault of the rows.
async fn held(subject: &Subject) -> Verdict {
    let (lab, content) = stage(subject, 7).await?;
    let (media_type, body) = lab.vendor.fake().refusal(429);
    let mischief =
        Mischief::Refuse(Refusal { status: 429, retry_after: Some(2), media_type, body });
    lab.vendor.injure(VendorFault { at: At::Every(3), mischief, lasting: true });
    ship(&lab, content, by(subject), None, Expected::Delivered).await?;
    let held = lab.vendor.strikes();
    ensure(held >= 3, || format!("only {held} requests were held"))
}

/// From the fourth batch on the vendor answers nobody.
async fn dies(subject: &Subject) -> Verdict {
    let (lab, content) = stage(subject, 7).await?;
    let mischief = Mischief::LoseAnswer;
    lab.vendor.injure(VendorFault { at: At::Nth(4), mischief, lasting: true });
    // Who can be asked what came of each row may find that all of them came.
    let wanted = match subject.spec.checkable {
        true => Expected::DeliveredOrMaybe,
        false => Expected::MayHaveArrived,
    };
    let heard = ship(&lab, content, by(subject), None, wanted).await?;
    ensure(takes(&lab)?.ledger.rows() > 0, || format!("no row came: {}", heard.message()))
}

/// How many of so many rows go out whatever comes behind them: all but a last batch that is not
/// full.
async fn in_whole_batches(subject: &Subject, rows: u64) -> Result<u64, Failure> {
    let lab = Lab::start(subject).await?;
    let takes = takes(&lab)?;
    let content = Content::of_rows(subject.text_format(), takes.shape, rows);
    ship(&lab, content, by(subject), None, Expected::Delivered).await?;
    Ok(match takes.ledger.last() {
        _ if takes.reads_all_first => 0,
        last if last == takes.ledger.largest() => rows,
        last => rows - last,
    })
}

/// Looker's data ends in the middle of a row: the batches before it came, each row of them once, and
/// no row of the batch that it would have filled.
async fn breaks_off(subject: &Subject) -> Verdict {
    let batch = full_batch(subject).await?;
    let broken = batch * 4 + batch / 2;
    let whole = in_whole_batches(subject, broken).await?;
    // Looker waits for the vendor, which must not look like silence.
    let limits = Limits { idle: DEADLINE, ..limits() };
    let lab = Lab::with(subject, limits).await?;
    let takes = takes(&lab)?;
    let content = Content::of_rows(subject.text_format(), takes.shape, batch * 7);
    let at = content.offset(broken) + 5;
    let (by, fault) = match by(subject) {
        By::Download => (By::Download, LookerFault::Download(DownloadFault::BreaksOff(at))),
        by => (by, LookerFault::Garbage(at)),
    };
    lab.looker.hold_faults();
    let breaks = async {
        // What was read before must not wait for what comes behind it.
        let came = tokio::time::timeout(DEADLINE, takes.ledger.reaches(whole)).await;
        lab.looker.let_break();
        came.map_err(|_| Failure::new("whole batches wait for the rest of the rows"))
    };
    let (heard, came) = tokio::join!(lab.ship(content, by, Some(fault)), breaks);
    came?;
    let heard = heard?;
    judge(&lab, &content, &heard, expected(Fault::DataCut, Point::P2, &lab.spec)).await?;
    let heard = heard?;
    ensure(takes.ledger.has_just_the_first(whole), || {
        let came = takes.ledger.rows();
        format!("{came} rows came, and not the first {whole}: {}", heard.message())
    })?;
    ensure(heard.message().contains("Looker"), || {
        format!("it does not name Looker: {}", heard.message())
    })
}

/// A vendor that speaks no HTTP closes every connection from the middle of the rows on.
async fn hangs_up(subject: &Subject) -> Verdict {
    let (lab, content) = stage(subject, 7).await?;
    ship(&lab, content, by(subject), None, Expected::Delivered).await?;
    let after = lab.vendor.proxy().passed(Flow::Up) / 2;
    let (lab, content) = stage(subject, 7).await?;
    let injury = Injury { flow: Flow::Up, after, damage: Damage::Close, lasting: true };
    lab.vendor.proxy().injure(injury);
    let blame = Expected::Accounted(Blame::Vendor);
    let heard = ship(&lab, content, by(subject), None, blame).await?;
    let failed = heard.outcome() != Observed::Delivered;
    ensure(failed && takes(&lab)?.ledger.rows() > 0, || format!("heard {}", heard.message()))
}

/// The query lacks the tagged field: the user is told which, and the vendor is not called.
async fn untagged(subject: &Subject) -> Verdict {
    let (lab, content) = stage(subject, 1).await?;
    let heard = lab.ship(content.untagged(), by(subject), None).await??;
    let message = heard.message();
    let failed = heard.envelope.as_ref().is_some_and(|envelope| !envelope.success);
    let tags: Vec<_> = subject.spec.required_tags.iter().copied().flatten().collect();
    let named = tags.iter().any(|tag| message.contains(**tag));
    ensure(failed && named, || format!("none of {tags:?} is named: {}", heard.text))?;
    let seen = lab.vendor.seen();
    ensure(seen.iter().all(|one| !one.commits), || format!("the vendor was called: {seen:?}"))
}
