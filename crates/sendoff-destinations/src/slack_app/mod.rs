//! Slack by the app that Looker connects: the result becomes a file in one of its workspaces.

use futures_util::future::join_all;
use sendoff::prelude::*;
use sendoff::{Commit, Connection, Delegate, Install, LookerVersion, Repeatable};

use crate::shared::slack::allowed::Allowed;
use crate::shared::slack::message::{Asked, Message};
use crate::shared::slack::{Holder, Slack, Whoami};

#[cfg(feature = "fakes")]
pub(crate) use crate::shared::slack::fake::app as fake;

/// The action; see its spec.
pub(crate) struct SlackApp;

/// Looker does the login; the description is the reference's, line break and all.
const CONNECT: Delegate =
    Delegate::new("install", "Connect to Slack", "/admin/integrations/slack/install")
        .description(
            "View dashboards and looks,\n     browse your favorites or folders, and interact with \
             Looker content without leaving Slack.",
        )
        .nothing_connected("You must connect to a Slack workspace first.");

#[derive(Fields)]
pub(crate) struct Settings {
    /// Where users may post, with commas between: ids, names such as #reports-*, and @* for direct
    /// messages. Leave empty for everywhere the app can.
    allowed_channels: Option<String>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// The workspace. Leave empty for the first one that is connected.
    #[field(interactive)]
    workspace: Option<String>,
    #[field(flatten)]
    message: Message,
}

impl Action for SlackApp {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("slack_app", "Slack")
        .description("Explore and share Looker content in Slack.")
        .accepts(&[Query, Dashboard])
        .streaming()
        .minimum_looker(LookerVersion::new(6, 23, 0))
        .delegate_oauth(CONNECT)
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://cloud.google.com/looker/docs/looker-slack")
        .delivery(Repeatable::Parts, Commit::FinalStep, true);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let working = working(cx).await?;
        let wanted = form.workspace.value().map(str::to_owned);
        let (install, _) =
            choose(&working, wanted.as_deref()).or_else(|_| choose(&working, None))?;
        // Before Looker 7.3 there was one workspace, and nothing to choose.
        if working.iter().all(|(install, _)| install.id == ANY) {
            form.workspace.hide();
        } else {
            let labels = working.iter().map(|(_, who)| (who.team_id.clone(), who.team.clone()));
            form.workspace.select(labels);
            let chosen = working.iter().find(|(one, _)| one.id == install.id);
            if let Some((_, who)) = chosen {
                form.workspace.forget();
                form.workspace = form.workspace.clone().default(who.team_id.clone());
            }
        }
        ask(cx, install, async |asked| asked.fill(&mut form.message).await).await
    }

    async fn connections(&self, cx: &Context<Settings>) -> Result<Vec<Connection>> {
        let working = working(cx).await?;
        let named = |(_, who): (_, Whoami)| Connection { id: who.team_id, name: who.team };
        Ok(working.into_iter().map(named).collect())
    }

    fn lane(&self, _: &Settings, form: &Form) -> String {
        format!("slack_app {}", form.workspace.as_deref().unwrap_or_default())
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let installs = cx.login().installs();
        let wanted = form.workspace.as_deref().map(str::trim).filter(|text| !text.is_empty());
        // Schedules hold the workspace's id; Looker's own id may differ from it.
        let known = installs.iter().find(|one| wanted.is_none_or(|id| one.id == id));
        let install = match known {
            Some(install) => install.clone(),
            None => choose(&working(cx).await?, wanted)?.0.clone(),
        };
        ask(cx, &install, async |asked| asked.send(&form.message, data).await).await
    }
}

/// What stands for the one workspace of a Looker that names none.
const ANY: &str = "any";

async fn ask<T>(
    cx: &Context<Settings>,
    install: &Install,
    act: impl AsyncFnOnce(Asked<'_, Settings>) -> Result<T>,
) -> Result<T> {
    let slack = Slack::new(cx, &install.token, Holder::Looker);
    let allowed = Allowed::parse(cx.settings.allowed_channels.as_deref());
    act(Asked { cx, slack: &slack, whose: &install.id, allowed: &allowed }).await
}

/// The workspaces whose tokens work.
///
/// # Errors
/// The first refusal if none does.
async fn working(cx: &Context<Settings>) -> Result<Vec<(Install, Whoami)>> {
    let installs = cx.login().installs();
    let asked = installs.iter().map(async |install| {
        ask(cx, install, async |asked| asked.whoami().await).await.map(|who| (install.clone(), who))
    });
    let mut working = Vec::new();
    let mut refusal = None;
    for found in join_all(asked).await {
        match found {
            Ok(found) => working.push(found),
            Err(error) => {
                tracing::info!(reason = %error.log_line(), "a workspace cannot be used");
                refusal.get_or_insert(error);
            }
        }
    }
    match (working.is_empty(), refusal) {
        (true, Some(refusal)) => Err(refusal),
        (true, None) => Err(Error::login(
            "No Slack workspace is connected. Open the form in Looker and log in.",
        )),
        (false, _) => Ok(working),
    }
}

/// The workspace that `wanted` means, by either id; the first one if it means none.
fn choose<'a>(
    working: &'a [(Install, Whoami)],
    wanted: Option<&str>,
) -> Result<&'a (Install, Whoami)> {
    let wanted = wanted.map(str::trim).filter(|text| !text.is_empty());
    let found = working.iter().find(|(install, who)| {
        wanted.is_none_or(|wanted| install.id == wanted || who.team_id == wanted)
    });
    found.ok_or_else(|| {
        let names: Vec<_> = working.iter().map(|(_, who)| who.team.as_str()).collect();
        Error::form(
            "workspace",
            format!(
                "The workspace {} is not connected, or its login was taken back. There is {}. \
                 Choose it, or connect the other one again.",
                wanted.unwrap_or_default(),
                names.join(", ")
            ),
        )
    })
}
