//! Segment Identify: each row sets traits of a user.

use sendoff::pipeline::OnRefusal;
use sendoff::prelude::*;
use sendoff::{Commit, LookerVersion, Repeatable};

use crate::shared::segment::{self, Kind, Order, Settings};

/// Segment Identify: each row sets traits of a user.
pub(crate) struct SegmentEvent;

#[derive(Fields)]
pub(crate) struct Form {
    #[field(flatten)]
    on_refusal: OnRefusal,
}

impl Action for SegmentEvent {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("segment_event", "Segment Identify")
        .description("Add traits via identify to your Segment users.")
        .formats(&[Format::JsonDetailLiteStream])
        .raw_values()
        .streaming()
        .required_tags(&[segment::IDS])
        .minimum_looker(LookerVersion::new(6, 2, 0))
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.twilio.com/docs/segment/connections/find-writekey")
        .delivery(Repeatable::Parts, Commit::Streaming, false);

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let order = Order { kind: Kind::Identify, event: None, policy: form.on_refusal.policy() };
        segment::send(cx, order, data).await
    }
}

#[cfg(feature = "fakes")]
pub(crate) fn fake() -> (Box<dyn sendoff::AnyAction>, std::sync::Arc<dyn sendoff::testing::Fake>) {
    segment::fake::fake(Box::new(SegmentEvent), Kind::Identify)
}
