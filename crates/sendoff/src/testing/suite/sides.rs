//! Looker's side fails or leaves: the upload is taken back, and the answer says whose fault it is.

use super::lab::{DEADLINE, Lab, limits};
use super::verdict::{Failure, ensure, judge, truthful};
use super::{Case, Subject, Verdict, case};
use crate::Limits;
use crate::testing::{
    By, Content, DownloadFault, Fault, Flow, LookerFault, Observed, Point, expected,
};
use std::time::Duration;

/// Large enough that every upload in parts has begun when its data ends early.
const BYTES: u64 = 12 << 20;

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    let mut cases = vec![case("caller_hangs_up", async |subject| hangs_up(&subject).await)];
    if subject.downloads() {
        let fails = |name: &str, fault: fn(u64) -> DownloadFault, kind: Fault| {
            case(format!("looker_fails_{name}"), async move |subject| {
                fails(&subject, fault, kind).await
            })
        };
        cases.push(fails("with_500", |_| DownloadFault::Status(500), Fault::DownloadRefused));
        cases.push(fails("half_way", DownloadFault::BreaksOff, Fault::DataCut));
        cases.push(fails("too_short", DownloadFault::TooShort, Fault::DataCut));
        cases.push(fails("in_its_own_words", DownloadFault::EndsInWords, Fault::DataCut));
        cases.push(fails("silent", DownloadFault::Stalls, Fault::LookerStalls));
    }
    cases
}

/// Where data that ends early ends.
pub(super) fn early(content: &Content) -> u64 {
    content.len() / 6 * 5
}

async fn fails(subject: &Subject, fault: fn(u64) -> DownloadFault, kind: Fault) -> Verdict {
    let lab = Lab::start(subject).await?;
    let content = lab.content(subject.text_format(), BYTES);
    let fault = fault(early(&content));
    let heard = lab.ship(content, By::Download, Some(LookerFault::Download(fault))).await?;
    judge(&lab, &content, &heard, expected(kind, Point::P2, &lab.spec)).await?;
    if kind == Fault::DownloadRefused {
        // The download is opened before anything at the vendor.
        let seen = lab.vendor.seen();
        let begun = seen.iter().find(|one| one.commits);
        ensure(begun.is_none(), || format!("an upload was opened: {begun:?}"))?;
    }
    let message = heard?.message().to_owned();
    ensure(message.contains("Looker"), || format!("it does not name Looker: {message}"))
}

/// Looker closes the connection while its data flows and the upload has begun.
async fn hangs_up(subject: &Subject) -> Verdict {
    // Nothing but the hang-up may end the delivery.
    let limits = Limits { idle: DEADLINE, ..limits() };
    let lab = Lab::with(subject, limits).await?;
    let content = lab.content(subject.text_format(), BYTES);
    let at = early(&content);
    let mut shipment = lab.shipment(content, By::Push);
    shipment.fault = Some(LookerFault::Stalls(at));
    let leave = async {
        lab.looker.proxy().wait_for(Flow::Up, at).await;
        // A destination that waits for the whole of the data has begun nothing by now.
        let begun = lab.vendor.proxy().wait_for(Flow::Up, at / 4);
        let _ = tokio::time::timeout(Duration::from_secs(1), begun).await;
    };
    tokio::select! {
        heard = lab.looker.execute(&shipment) => {
            let heard = heard.map_or_else(|error| error.to_string(), |heard| heard.text);
            return Err(Failure::new(format!("answered before Looker left: {heard}")));
        }
        () = leave => {}
    }
    lab.settle().await?;
    let objects = lab.vendor.fake().objects().await;
    ensure(objects.is_empty(), || format!("an object stands there: {objects:?}"))?;
    truthful(&lab, &content, Observed::NoAnswer).await
}
