//! Segment Track: each row is an event of a user.

use sendoff::pipeline::OnRefusal;
use sendoff::prelude::*;

use crate::Difference;
use crate::shared::segment::{self, Kind, Order, Settings};

/// Segment Track: each row is an event of a user.
pub(crate) struct SegmentTrack;

#[derive(Fields)]
pub(crate) struct Form {
    /// The name of the event. A column tagged segment_event_name goes before it, row by row; one
    /// tagged segment_timestamp says when each event was, in the query's time zone.
    event: String,
    #[field(flatten)]
    on_refusal: OnRefusal,
}

impl Action for SegmentTrack {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = segment::spec("segment_track", "Segment Track")
        .description("Add traits via track to your Segment users.")
        .required_tags(&[segment::IDS])
        .svg(include_bytes!("icon.svg"));

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let order =
            Order { kind: Kind::Track, event: Some(form.event), policy: form.on_refusal.policy() };
        segment::send(cx, order, data).await
    }
}

/// What differs from the reference hub here alone.
pub(crate) const DIFFERENCES: &[Difference] = &[Difference {
    reference: "Without a name for the event the whole query runs, and each row fails.",
    ours: "The name is asked for before anything is read.",
    switch: None,
}];

#[cfg(feature = "fakes")]
pub(crate) fn fake() -> (Box<dyn sendoff::AnyAction>, std::sync::Arc<dyn sendoff::testing::Fake>) {
    segment::fake::fake(Box::new(SegmentTrack), Kind::Track)
}
