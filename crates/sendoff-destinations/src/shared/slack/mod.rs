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

use sendoff::{Call, Context, Error, Http, Reply, Result, Secret, Stop};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use refusal::Fault;

/// The vendor as sentences name it.
const NAME: &str = "Slack";

/// A client for one call.
pub(crate) struct Slack {
    http: Http,
    stop: Stop,
    token: Secret,
    holder: Holder,
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
    /// What the token may do, where Slack says so; legacy tokens are not told.
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

impl Whoami {
    /// Whether the token certainly lacks a scope.
    fn lacks(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_some_and(|scopes| !scopes.iter().any(|one| one == scope))
    }
}

impl Slack {
    pub(crate) fn new<S>(cx: &Context<S>, token: &Secret, holder: Holder) -> Self {
        let (http, stop) = (cx.http().clone(), cx.stop().clone());
        Self { http, stop, token: token.expose().trim().into(), holder }
    }

    /// Whom the token speaks for.
    pub(crate) async fn whoami(&self) -> Result<Whoami> {
        let reply = self.call(&self.http, "auth.test", false).send().await?.success().await?;
        let scopes = reply.header("x-oauth-scopes").map(|scopes| {
            scopes.split(',').map(|scope| scope.trim().to_owned()).collect::<Vec<_>>()
        });
        let answer = self.sound("auth.test", reply.json().await?)?;
        Ok(Whoami { scopes, ..read("auth.test", answer)? })
    }

    /// Asks for something; nothing changes by it.
    async fn get<T>(&self, method: &str, query: &[(&str, &str)]) -> Result<T, Fault>
    where
        T: DeserializeOwned,
    {
        let reply =
            self.call(&self.http, method, false).query(query.iter().copied()).send().await?;
        self.answer(method, reply).await
    }

    /// Has something done that is the same when it is done twice.
    async fn post<T>(&self, method: &str, form: &[(&str, &str)]) -> Result<T, Fault>
    where
        T: DeserializeOwned,
    {
        let call = self.call(&self.http, method, true).form(form.iter().copied());
        self.answer(method, call.repeatable().send().await?).await
    }

    fn call(&self, http: &Http, method: &str, changes: bool) -> Call {
        let url = format!("https://slack.com/api/{method}");
        let call = if changes { http.post(url) } else { http.get(url) };
        call.bearer(&self.token)
    }

    async fn answer<T: DeserializeOwned>(&self, method: &str, reply: Reply) -> Result<T, Fault> {
        let answer = self.sound(method, reply.success().await?.json().await?)?;
        read(method, answer).map_err(Fault::from)
    }
}

fn read<T: DeserializeOwned>(method: &str, answer: Value) -> Result<T> {
    serde_json::from_value(answer).map_err(|fault| {
        let text = format!("{NAME}'s answer to {method} lacks what its documentation promises.");
        Error::vendor(text).cause(format!("{:?}", fault.classify()))
    })
}
