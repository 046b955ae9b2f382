//! Slack with a bot's token: the result becomes a file in a channel or a direct message.

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::Difference;
use crate::shared::differences::ANY_SIZE;
use crate::shared::slack::allowed::Allowed;
use crate::shared::slack::message::{Asked, Message};
use crate::shared::slack::{Holder, Slack};

#[cfg(feature = "fakes")]
pub(crate) use crate::shared::slack::fake::token as fake;

/// The action; see its spec.
pub(crate) struct SlackToken;

#[derive(Fields)]
pub(crate) struct Settings {
    /// The bot token of a Slack app (xoxb-…) with the scopes files:write and chat:write;
    /// channels:read, groups:read and users:read for the lists, im:write to open direct messages by
    /// itself, files:read to find out what arrived when an answer is lost.
    #[field(label = "Slack API Token")]
    slack_api_token: Secret,
    /// Where users may post, with commas between: ids, names such as #reports-*, and @* for direct
    /// messages. Leave empty for everywhere the bot can.
    allowed_channels: Option<String>,
}

#[derive(Fields)]
pub(crate) struct Form {
    #[field(flatten)]
    message: Message,
}

impl Action for SlackToken {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("slack", "Slack Attachment (API Token)")
        .description("Write a data file to Slack using a bot user token or legacy API token.")
        .accepts(&[Query, Dashboard])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://docs.slack.dev/authentication/tokens")
        .delivery(Repeatable::Parts, Commit::FinalStep, true);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let (slack, allowed) = parts(cx);
        Asked { cx, slack: &slack, whose: "", allowed: &allowed }.fill(&mut form.message).await
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let (slack, allowed) = parts(cx);
        Asked { cx, slack: &slack, whose: "", allowed: &allowed }.send(&form.message, data).await
    }
}

fn parts(cx: &Context<Settings>) -> (Slack, Allowed) {
    let Settings { slack_api_token, allowed_channels } = &cx.settings;
    let slack = Slack::new(cx, slack_api_token, Holder::Setting("slack_api_token"));
    (slack, Allowed::parse(allowed_channels.as_deref()))
}

/// What differs from the reference hub in this action alone.
pub(crate) const DIFFERENCES: &[Difference] = &[ANY_SIZE];
