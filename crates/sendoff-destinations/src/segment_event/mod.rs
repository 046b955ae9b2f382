//! Segment Identify: each row sets traits of a user.

use sendoff::pipeline::OnRefusal;
use sendoff::prelude::*;

use crate::shared::segment::{self, Kind, Order, Settings};

/// Segment Identify: each row sets traits of a user.
pub(crate) struct SegmentEvent;

impl Action for SegmentEvent {
    type Settings = Settings;
    type Form = OnRefusal;

    const SPEC: Spec = segment::spec("segment_event", "Segment Identify")
        .description("Add traits via identify to your Segment users.")
        .required_tags(&[segment::IDS])
        .svg(include_bytes!("icon.svg"));

    async fn execute(
        &self,
        cx: &Context<Settings>,
        on_refusal: OnRefusal,
        data: Payload,
    ) -> Result<Receipt> {
        let order = Order { kind: Kind::Identify, event: None, policy: on_refusal.policy() };
        segment::send(cx, order, data).await
    }
}

#[cfg(feature = "fakes")]
pub(crate) fn fake() -> (Box<dyn sendoff::AnyAction>, std::sync::Arc<dyn sendoff::testing::Fake>) {
    segment::fake::fake(Box::new(SegmentEvent), Kind::Identify)
}
