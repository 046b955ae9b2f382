//! Segment Group: each row sets traits of a group, and who belongs to it.

use sendoff::pipeline::OnRefusal;
use sendoff::prelude::*;
use sendoff::{Commit, LookerVersion, Repeatable};

use crate::Difference;
use crate::shared::segment::{self, Kind, Order, Settings};

/// Segment Group: each row sets traits of a group, and who belongs to it.
pub(crate) struct SegmentGroup;

#[derive(Fields)]
pub(crate) struct Form {
    #[field(flatten)]
    on_refusal: OnRefusal,
}

impl Action for SegmentGroup {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("segment_group", "Segment Group")
        .description("Add traits and / or users to your Segment groups.")
        .formats(&[Format::JsonDetailLiteStream])
        .raw_values()
        .streaming()
        .required_tags(&[&[segment::GROUP]])
        .minimum_looker(LookerVersion::new(6, 2, 0))
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.twilio.com/docs/segment/connections/find-writekey")
        .delivery(Repeatable::Parts, Commit::Streaming, false);

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let order = Order { kind: Kind::Group, event: None, policy: form.on_refusal.policy() };
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
