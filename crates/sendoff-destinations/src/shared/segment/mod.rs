//! Segment's HTTP API: a row becomes an identify, track or group call, in batches.
//!
//! <https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api>

mod call;
#[cfg(feature = "fakes")]
pub(crate) mod fake;
mod identity;

use sendoff::pipeline::{Batch, BatchLimits, Pick, Pipeline, Policy, Reply};
use sendoff::prelude::*;
use sendoff::{Commit, LookerVersion, Rate, Repeatable};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Difference;
use call::Encoder;

/// At most 500 KB a request and 32 KB an event (page above). Of more than 2,500 events Segment
/// answers 200 and drops them (segmentio/segment-docs, pull request 7023).
const LIMITS: BatchLimits =
    BatchLimits::new(2_500, 500_000).row_bytes(32_000).parallel(4).rate(Rate::Rows(1_000.0));

/// A row needs one of these; the order is the reference hub's, whose error text names them.
pub(crate) const IDS: &[&str] = &["email", "user_id", "segment_anonymous_id"];

/// A tag for the group of a row.
pub(crate) const GROUP: &str = "segment_group_id";

#[derive(Fields)]
pub(crate) struct Settings {
    /// A write key for Segment.
    #[field(label = "Segment Write Key")]
    segment_write_key: Secret,
    /// Where your Segment workspace is. Segment takes events for the wrong region without an error
    /// and loses them.
    #[field(default = "us")]
    region: Region,
    /// How many rows a second Segment takes from this hub: 1,000 for each workspace, unless you
    /// have agreed on more with Segment.
    #[field(label = "Events per Second", default = "1000")]
    events_per_second: u32,
    /// Yes sends ids and empty values as Looker's own action hub does: an anonymous id doubles as
    /// the user id, rows without one get a new anonymous id each time, and false and empty text
    /// become an empty list.
    #[field(label = "As Looker's Action Hub")]
    as_before: bool,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    #[choice(label = "United States")]
    Us,
    #[choice(label = "European Union")]
    Eu,
}

impl Region {
    /// segmentio/action-destinations, `segment-profiles/properties.ts`.
    fn url(self) -> &'static str {
        match self {
            Self::Us => "https://api.segment.io/v1/batch",
            Self::Eu => "https://events.eu1.segmentapis.com/v1/batch",
        }
    }
}

/// What the three actions have in common.
pub(crate) const fn spec(name: &'static str, label: &'static str) -> Spec {
    Spec::new(name, label)
        .formats(&[Format::JsonDetailLiteStream])
        .raw_values()
        .streaming()
        .minimum_looker(LookerVersion::new(6, 2, 0))
        .vendor_docs("https://www.twilio.com/docs/segment/connections/find-writekey")
        .delivery(Repeatable::Parts, Commit::Streaming, false)
}

/// What a row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Identify,
    Track,
    Group,
}

/// How rows are sent.
pub(crate) struct Order {
    pub(crate) kind: Kind,
    /// The name of a tracked event.
    pub(crate) event: Option<String>,
    pub(crate) policy: Policy,
}

/// Sends each row as a call.
pub(crate) async fn send(cx: &Context<Settings>, order: Order, data: Payload) -> Result<Receipt> {
    let rows = data.rows().await?;
    let needed = if order.kind == Kind::Group { &[GROUP] } else { IDS };
    Pick::tagged(needed).require(rows.columns())?;
    let settings = &cx.settings;
    let (url, write_key) = (settings.region.url(), &settings.segment_write_key);
    let mut encoder = Encoder::new(cx, &order, &rows);
    Pipeline::new(cx, LIMITS.rate(rate(settings.events_per_second)?))
        .frame(r#"{"batch":["#, ",", context())
        .policy(order.policy)
        .bisecting()
        .shared_by(account(write_key))
        .run(rows, |row, out| encoder.write(row, out), |batch| post(batch, url, write_key))
        .await
}

/// Segment recognises a repeat by each event's `messageId`, so that a batch may be sent again.
async fn post(batch: Batch, url: &str, write_key: &Secret) -> Result<Reply> {
    let call = batch
        .http()
        .post(url)
        .basic(write_key.expose(), &"".into())
        .header("Content-Type", "application/json")
        .body(batch.body())
        .repeatable();
    let answer = match call.send().await?.success().await {
        Ok(answer) => answer,
        Err(fault) => return Reply::refusal(fault),
    };
    #[derive(Deserialize)]
    struct Answer {
        success: bool,
    }
    if !answer.json::<Answer>().await?.success {
        return Err(Error::vendor(
            "Segment answered 200, but not that it was successful. Look into the source's \
             debugger in Segment before you send again.",
        )
        .may_have_arrived());
    }
    Ok(Reply::accepted())
}

/// The rest of a body. Segment merges it into each event.
fn context() -> String {
    let version = env!("CARGO_PKG_VERSION");
    // The app's name is the reference hub's: destinations behind Segment may filter by it.
    format!(
        r#"],"context":{{"app":{{"name":"looker/actions","version":"{version}"}},"library":{{"name":"sendoff","version":"{version}"}}}}}}"#
    )
}

fn rate(events_per_second: u32) -> Result<Rate> {
    if events_per_second == 0 {
        return Err(Error::settings("Setting \"Events per Second\": enter 1 or more.")
            .field("events_per_second"));
    }
    Ok(Rate::Rows(events_per_second.into()))
}

/// Whose rate it is, without the key itself.
fn account(write_key: &Secret) -> String {
    let digest = Sha256::digest(write_key.expose());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("segment {digest}")
}

/// What differs from the reference hub for all three.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "Only the last of many requests is waited for: rows of the others are lost \
                    without a word.",
        ours: "Every request is waited for, and the message counts every row.",
        switch: None,
    },
    Difference {
        reference: "The same delivery sent again makes new events.",
        ours: "Each event has a `messageId` made of the delivery, the row's number and its \
               content, by which Segment drops repeats.",
        switch: None,
    },
    Difference {
        reference: "An anonymous id that stands before the user id is sent as user id.",
        ours: "A user id comes only from the tag `user_id`, an anonymous id only from \
               `segment_anonymous_id`.",
        switch: Some("as_before"),
    },
    Difference {
        reference: "False and empty text are sent as an empty list.",
        ours: "They are sent as they are.",
        switch: Some("as_before"),
    },
    Difference {
        reference: "A pivoted cell with a null in it ends the delivery.",
        ours: "The null is sent as null.",
        switch: None,
    },
    Difference {
        reference: "Rows that come before Looker's `ran_at` get another time than those after it.",
        ours: "All rows have one time: `ran_at` where it stands before the rows, else the \
               delivery's.",
        switch: None,
    },
    Difference {
        reference: "Events over 32 KB are sent, and Segment refuses all that go with them.",
        ours: "Such a row is refused here and counted.",
        switch: None,
    },
    Difference {
        reference: "Lookers from 4.20 to 6.1 see the action and send `json_detail`.",
        ours: "Looker 6.2 is the least, because the data is read as a stream.",
        switch: None,
    },
    Difference {
        reference: "A field of the query that no row has, such as one that only filters, ends the delivery.",
        ours: "Its value is null.",
        switch: None,
    },
    Difference {
        reference: "Every event goes to the United States; Segment takes those of a workspace in the European Union without an error and loses them.",
        ours: "The admin says where the workspace is; without it, in the United States.",
        switch: None,
    },
    Difference {
        reference: "The message has a sentence for each row that failed.",
        ours: "It counts them and gives the first five reasons.",
        switch: None,
    },
];

/// What differs where a row needs a user.
pub(crate) const OF_USERS: &[Difference] = &[Difference {
    reference: "A row without user and anonymous id becomes a new anonymous user, in each \
                    delivery another one.",
    ours: "The anonymous id is a UUID of the email address, the same each time; a row without \
               an address is refused and counted.",
    switch: Some("as_before"),
}];
