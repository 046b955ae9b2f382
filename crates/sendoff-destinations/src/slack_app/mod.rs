//! Slack by the app that Looker connects: the result becomes a file in one of its workspaces.

use futures_util::future::join_all;
use sendoff::prelude::*;
use sendoff::{Commit, Connection, Delegate, Install, LookerVersion, Repeatable};

use crate::Difference;
use crate::shared::slack::allowed::Allowed;
use crate::shared::slack::message::{Asked, Message};
use crate::shared::slack::{Holder, Slack, Team, Whoami};

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
        let working = workspaces(cx, working(cx).await?).await;
        let wanted = form.workspace.value().map(str::to_owned);
        let chosen = choose(&working, wanted.as_deref()).or_else(|_| choose(&working, None))?;
        // Before Looker 7.3 there was one workspace, and nothing to choose.
        if working.iter().all(|one| one.install.id == ANY && !one.in_organisation) {
            form.workspace.hide();
        } else {
            let labels = working.iter().map(|one| (one.team.id.clone(), one.team.name.clone()));
            form.workspace.select(labels);
            form.workspace.forget();
            form.workspace = form.workspace.clone().default(chosen.team.id.clone());
        }
        ask(cx, chosen, async |asked| asked.fill(&mut form.message).await).await
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
        let chosen = match known {
            Some(install) => Workspace::of(install.clone()),
            None => {
                let working = workspaces(cx, working(cx).await?).await;
                choose(&working, wanted)?.clone()
            }
        };
        Box::pin(ask(cx, &chosen, async |asked| asked.send(&form.message, data).await)).await
    }
}

/// What stands for the one workspace of a Looker that names none.
const ANY: &str = "any";

/// A workspace, and the token that is good for it.
#[derive(Clone)]
struct Workspace {
    install: Install,
    team: Team,
    /// The token is good for others too, so that lists must name it.
    in_organisation: bool,
}

impl Workspace {
    /// The one that a token is for by itself, without its names.
    fn of(install: Install) -> Self {
        let team = Team { id: String::new(), name: String::new() };
        Self { install, team, in_organisation: false }
    }
}

async fn ask<T>(
    cx: &Context<Settings>,
    workspace: &Workspace,
    act: impl AsyncFnOnce(Asked<'_, Settings>) -> Result<T>,
) -> Result<T> {
    let Workspace { install, team, in_organisation } = workspace;
    let team = in_organisation.then(|| team.id.clone());
    let whose = format!("{} {}", install.id, team.as_deref().unwrap_or_default());
    let slack = Slack::new(cx, &install.token, Holder::Looker).in_team(team);
    let allowed = Allowed::parse(cx.settings.allowed_channels.as_deref());
    act(Asked { cx, slack: &slack, whose: &whose, allowed: &allowed }).await
}

/// Each workspace of those tokens: an organisation's (Enterprise Grid) is good for several.
async fn workspaces(cx: &Context<Settings>, working: Vec<(Install, Whoami)>) -> Vec<Workspace> {
    let found = working.into_iter().map(async |(install, who)| {
        let organisation = who.is_organisation();
        let own = Team { id: who.team_id, name: who.team };
        if organisation {
            let question = format!("auth.teams.list {}", install.id);
            let slack = Slack::new(cx, &install.token, Holder::Looker);
            match cx.remember(&question, slack.teams()).await {
                Ok(teams) if !teams.is_empty() => {
                    let each =
                        |team| Workspace { install: install.clone(), team, in_organisation: true };
                    return teams.into_iter().map(each).collect();
                }
                Ok(_) => {}
                // An id can be entered all the same.
                Err(why) => tracing::info!(reason = %why.log_line(), "no workspaces are listed"),
            }
        }
        vec![Workspace { install, team: own, in_organisation: false }]
    });
    join_all(found).await.into_iter().flatten().collect()
}

/// The workspaces whose tokens work.
///
/// # Errors
/// The first refusal if none does.
async fn working(cx: &Context<Settings>) -> Result<Vec<(Install, Whoami)>> {
    let installs = cx.login().installs();
    let asked = installs.iter().map(async |install| {
        let one = Workspace::of(install.clone());
        ask(cx, &one, async |asked| asked.whoami().await).await.map(|who| (one.install, who))
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
fn choose<'a>(working: &'a [Workspace], wanted: Option<&str>) -> Result<&'a Workspace> {
    let wanted = wanted.map(str::trim).filter(|text| !text.is_empty());
    let found = working
        .iter()
        .find(|one| wanted.is_none_or(|wanted| one.install.id == wanted || one.team.id == wanted));
    found.ok_or_else(|| {
        let names: Vec<_> = working.iter().map(|one| one.team.name.as_str()).collect();
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

/// What differs from the reference hub in this action alone.
pub(crate) const DIFFERENCES: &[Difference] = &[Difference {
    reference: "Of an organisation's token (Enterprise Grid) a workspace is offered that is then not found.",
    ours: "Each workspace that the app was added to is offered, and found by either id.",
    switch: None,
}];
