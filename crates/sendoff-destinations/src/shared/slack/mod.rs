//! Slack's Web API over the door out, for the two actions that post there.
//!
//! Slack answers a refusal with status 200 and `"ok": false`
//! (<https://docs.slack.dev/apis/web-api/#responses>), so that no answer is taken for a success
//! before its body was read.

pub(crate) mod allowed;
pub(crate) mod comment;
pub(crate) mod conversations;
#[cfg(feature = "fakes")]
pub(crate) mod fake;
pub(crate) mod message;
mod place;
mod refusal;
#[cfg(test)]
mod tests;
mod upload;

use std::time::Duration;

use sendoff::{Call, Context, Error, Http, Reply, Result, Retry, Secret, Stop};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use refusal::Fault;

use crate::Difference;

/// What differs from the reference hub in both actions.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "File and comment are two messages.",
        ours: "They are one.",
        switch: None,
    },
    Difference {
        reference: "A direct message with a file begins with another one: the comment, or \"Looker Data\".",
        ours: "The file comes alone, with the comment.",
        switch: None,
    },
    Difference {
        reference: "An upload that Slack refuses ends the process: the user reads \"Internal server error\".",
        ours: "Slack's reason is told, and what to do.",
        switch: None,
    },
    Difference {
        reference: "When the file cannot be shown, the comment is posted all the same.",
        ours: "Nothing is posted.",
        switch: None,
    },
    Difference {
        reference: "A file name that is typed in loses its spaces, and is replaced if it holds another dot; with a download it gets no extension.",
        ours: "It stays, and gets the extension if it has none.",
        switch: None,
    },
    Difference {
        reference: "The form asks Slack for nothing while ids are typed in, so that a token that is no longer good looks sound.",
        ours: "It says whom the token speaks for, or that it is not good.",
        switch: None,
    },
    Difference {
        reference: "Names such as #general are refused.",
        ours: "They are looked up.",
        switch: None,
    },
];

/// How long Slack may ask to wait, and how often.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const WAITS: usize = 3;

/// The vendor as sentences name it.
const NAME: &str = "Slack";

/// A client for one call.
pub(crate) struct Slack {
    http: Http,
    stop: Stop,
    token: Secret,
    holder: Holder,
    /// The workspace that lists are asked for, where the token is good for several.
    team: Option<String>,
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Team {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// Who gave the token, and so must mend it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder {
    /// The admin, in this setting.
    Setting(&'static str),
    /// Looker, which runs the login.
    Looker,
}

/// Whom a token speaks for. <https://docs.slack.dev/reference/methods/auth.test>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whoami {
    pub(crate) team: String,
    pub(crate) team_id: String,
    pub(crate) user: String,
    /// The token is an organisation's (Enterprise Grid), and `team_id` its id.
    #[serde(default)]
    is_enterprise_install: bool,
    /// What the token may do, where Slack says so; legacy tokens are not told.
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

impl Whoami {
    /// Whether the token is good for several workspaces.
    pub(crate) fn is_organisation(&self) -> bool {
        self.is_enterprise_install
    }

    /// Whether the token certainly lacks a scope.
    fn lacks(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_some_and(|scopes| !scopes.iter().any(|one| one == scope))
    }
}

impl Slack {
    pub(crate) fn new<S>(cx: &Context<S>, token: &Secret, holder: Holder) -> Self {
        let (http, stop) = (cx.http().clone(), cx.stop().clone());
        Self { http, stop, token: token.expose().trim().into(), holder, team: None }
    }

    /// The same for the lists of one of an organisation's workspaces.
    pub(crate) fn in_team(self, team: Option<String>) -> Self {
        Self { team, ..self }
    }

    /// The workspaces whose lists are asked for: `None` stands for the token's own, which must be
    /// named where the token is an organisation's
    /// (<https://docs.slack.dev/reference/methods/conversations.list/>,
    /// <https://docs.slack.dev/enterprise/organization-ready-apps/>).
    async fn teams_to_list(&self, who: Option<&Whoami>) -> Result<Vec<Option<String>>> {
        match (&self.team, who) {
            (Some(team), _) => Ok(vec![Some(team.clone())]),
            (None, Some(who)) if who.is_organisation() => {
                Ok(self.teams().await?.into_iter().map(|team| Some(team.id)).collect())
            }
            _ => Ok(vec![None]),
        }
    }

    /// Whom the token speaks for.
    pub(crate) async fn whoami(&self) -> Result<Whoami> {
        let reply = self.call(&self.http, "auth.test", false).send().await?.success().await?;
        let scopes = reply.header("x-oauth-scopes").map(|scopes| {
            scopes.split(',').map(|scope| scope.trim().to_owned()).collect::<Vec<_>>()
        });
        let who: Whoami = self.answer("auth.test", reply).await?;
        Ok(Whoami { scopes, ..who })
    }

    /// Asks for something; nothing changes by it.
    async fn get<T>(&self, method: &str, query: &[(&str, &str)]) -> Result<T, Fault>
    where
        T: DeserializeOwned,
    {
        let call = || self.call(&self.http, method, false).query(query.iter().copied());
        self.patiently(method, call).await
    }

    /// Has something done that is the same when it is done twice.
    async fn post<T>(&self, method: &str, form: &[(&str, &str)]) -> Result<T, Fault>
    where
        T: DeserializeOwned,
    {
        let call = || self.call(&self.http, method, true).form(form.iter().copied()).repeatable();
        self.patiently(method, call).await
    }

    /// Asks, and again while Slack says that it did nothing because it was asked too often.
    async fn patiently<T>(
        &self,
        method: &str,
        make: impl Fn() -> Call + Send + Sync,
    ) -> Result<T, Fault>
    where
        T: DeserializeOwned,
    {
        let mut waits = 0;
        loop {
            let answer = match make().send().await {
                Ok(reply) => self.answer(method, reply).await,
                Err(error) => Err(error.into()),
            };
            let fault = match answer {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            match asked_to_wait(fault.error()) {
                Some(wait) if waits < WAITS => {
                    waits += 1;
                    self.stop.unless_stopped(tokio::time::sleep(wait)).await?;
                }
                _ => return Err(fault),
            }
        }
    }

    fn call(&self, http: &Http, method: &str, changes: bool) -> Call {
        let url = format!("https://slack.com/api/{method}");
        let call = if changes { http.post(url) } else { http.get(url) };
        call.bearer(&self.token)
    }

    async fn answer<T: DeserializeOwned>(&self, method: &str, reply: Reply) -> Result<T, Fault> {
        let reply = reply.success().await?;
        // With "ratelimited", whatever the status.
        let wait = reply.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let wait = wait.map(Duration::from_secs);
        let answer = self.sound(method, reply.json().await?, wait)?;
        read(method, answer).map_err(Fault::from)
    }
}

/// How long Slack asks to wait, where it did nothing and asks for little.
fn asked_to_wait(error: &Error) -> Option<Duration> {
    let limited = error.http_status() == Some(429);
    match error.retry() {
        Retry::After(wait) if limited && wait <= LONGEST_WAIT => Some(wait),
        Retry::Later if limited => Some(Duration::from_secs(1)),
        _ => None,
    }
}

fn read<T: DeserializeOwned>(method: &str, answer: Value) -> Result<T> {
    serde_json::from_value(answer).map_err(|fault| {
        let text = format!("{NAME}'s answer to {method} lacks what its documentation promises.");
        Error::vendor(text).cause(format!("{:?}", fault.classify()))
    })
}
