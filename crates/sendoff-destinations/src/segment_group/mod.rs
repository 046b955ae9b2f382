//! Segment Group: each row sets traits of a group, and who belongs to it.

use sendoff::pipeline::OnRefusal;
use sendoff::prelude::*;

use crate::Difference;
use crate::shared::segment::{self, Kind, Order, Settings};

/// Segment Group: each row sets traits of a group, and who belongs to it.
pub(crate) struct SegmentGroup;

impl Action for SegmentGroup {
    type Settings = Settings;
    type Form = OnRefusal;

    const SPEC: Spec = segment::spec("segment_group", "Segment Group")
        .description("Add traits and / or users to your Segment groups.")
        .required_tags(&[&[segment::GROUP]])
        .svg(include_bytes!("icon.svg"));

    async fn execute(
        &self,
        cx: &Context<Settings>,
        on_refusal: OnRefusal,
        data: Payload,
    ) -> Result<Receipt> {
        let order = Order { kind: Kind::Group, event: None, policy: on_refusal.policy() };
        segment::send(cx, order, data).await
    }
}

/// What differs from the reference hub here alone.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "A row with a group id and no user always fails.",
        ours: "It is sent with an anonymous id that is a UUID of the email address or the group \
               id, the same each time.",
        switch: None,
    },
    Difference {
        reference: "A row without a group id fails; a query without that column fails row by row.",
        ours: "Such rows are skipped and counted; without the column nothing is sent and the tag \
               is named.",
        switch: None,
    },
    Difference {
        reference: "Equal rows are sent again and again.",
        ours: "A call that was made before in the delivery is skipped and counted.",
        switch: None,
    },
];

#[cfg(feature = "fakes")]
pub(crate) fn fake() -> (Box<dyn sendoff::AnyAction>, std::sync::Arc<dyn sendoff::testing::Fake>) {
    segment::fake::fake(Box::new(SegmentGroup), Kind::Group)
}
