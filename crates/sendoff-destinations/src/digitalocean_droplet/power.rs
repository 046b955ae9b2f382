//! DigitalOcean's droplet actions: begun, watched, and found again when an answer was lost.
//!
//! <https://docs.digitalocean.com/reference/api/reference/droplet-actions/>

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sendoff::prelude::*;
use sendoff::{Arrival, Http, Reply, Secret, Stop};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{Droplet, Form, Operation, QUOTA, Settings};
use crate::shared::aws::hex;
use crate::shared::targets::Audit;

/// Between two looks at an action that is waited for.
const LOOK: Duration = Duration::from_secs(3);
/// How long a shutdown may take before the power is cut, where the user chose that.
const SHUTDOWN: Duration = Duration::from_secs(120);
/// How long an action is waited for.
const ACTION: Duration = Duration::from_secs(600);

/// What came of one droplet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done(&'static str),
    Failed(String),
    Doubtful(String),
}

/// Changes the power of droplets for one delivery.
pub(super) struct Power<'a> {
    http: Http,
    stop: &'a Stop,
    key: &'a Secret,
    operation: Operation,
    wait: bool,
    audit: Audit,
}

#[derive(Deserialize)]
struct Found {
    droplet: State,
}

#[derive(Deserialize)]
struct State {
    status: String,
}

#[derive(Deserialize)]
struct Begun {
    action: Action,
}

#[derive(Deserialize)]
struct History {
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    id: u64,
    status: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    started_at: String,
}

impl<'a> Power<'a> {
    pub(super) fn new(cx: &'a Context<Settings>, form: &Form) -> Self {
        let key = &cx.settings.digitalocean_api_key;
        let account = format!("digitalocean {}", hex(&Sha256::digest(key.expose())));
        Self {
            http: cx.http().within(&account, QUOTA),
            stop: cx.stop(),
            key,
            operation: form.operation,
            wait: form.wait,
            audit: Audit::of(cx, <Droplet as sendoff::Action>::SPEC.name),
        }
    }

    /// Changes one droplet.
    ///
    /// # Errors
    /// Only what concerns every droplet (the key, the network, the end of the delivery), and only
    /// before anything was begun at this one.
    pub(super) async fn change(&self, id: u64) -> Result<Fate> {
        match self.status(id).await? {
            Some(Ok(status)) => {
                if let Some(state) = already(self.operation, &status) {
                    return Ok(Fate::Done(state));
                }
            }
            Some(Err(fate)) => return Ok(fate),
            None => {}
        }
        let kind = match self.operation {
            Operation::Shutdown | Operation::ShutdownThenPowerOff => "shutdown",
            Operation::PowerOff => "power_off",
            Operation::PowerOn => "power_on",
            Operation::Reboot => "reboot",
        };
        match self.begin(id, kind).await? {
            Ok(action) => Ok(self.follow(id, kind, action).await),
            Err(fate) => Ok(fate),
        }
    }

    /// What comes of an action that was begun. No error of a later request may hide that.
    async fn follow(&self, id: u64, kind: &'static str, action: u64) -> Fate {
        let ended = match self.operation {
            Operation::ShutdownThenPowerOff => self.until_off(id, action).await,
            _ if self.wait => {
                let outcome = self.watch(id, action, ACTION).await;
                outcome.map(|outcome| fate(kind, outcome))
            }
            _ => return Fate::Done(words(kind).0),
        };
        ended.unwrap_or_else(|error| {
            let (now, said) = (words(kind).0, error.message());
            Fate::Doubtful(format!("began {now}, and nobody knows how that ended: {said}"))
        })
    }

    /// Cuts the power of a droplet that is still on when its shutdown had its time.
    async fn until_off(&self, id: u64, action: u64) -> Result<Fate> {
        if self.watch(id, action, SHUTDOWN).await? == Some(true) && self.is_off(id).await? {
            return Ok(fate("shutdown", Some(true)));
        }
        match self.begin(id, "power_off").await? {
            Ok(action) => Ok(fate("power_off", self.watch(id, action, ACTION).await?)),
            Err(fate) => Ok(fate),
        }
    }

    /// The droplet's state, or what speaks against it; nothing if the key may not look.
    async fn status(&self, id: u64) -> Result<Option<Result<String, Fate>>> {
        let reply = self.http.get(droplet(id)).bearer(self.key).send().await?;
        match reply.status().as_u16() {
            403 => Ok(None),
            404 => Ok(Some(Err(missing(reply).await))),
            _ => {
                let found: Found = reply.success().await?.json().await?;
                Ok(Some(Ok(found.droplet.status)))
            }
        }
    }

    async fn is_off(&self, id: u64) -> Result<bool> {
        Ok(matches!(self.status(id).await?, Some(Ok(status)) if status == "off"))
    }

    /// Begins an action; its number.
    async fn begin(&self, id: u64, kind: &'static str) -> Result<Result<u64, Fate>> {
        let begun = Timestamp::now();
        self.audit.log(kind, &id.to_string());
        match self.post(id, kind).await {
            // Also an answer of 500 and above leaves open what was done.
            Err(error) if error.arrival() == Arrival::Maybe || is_fault(&error) => {
                let said = error.message();
                match self.since(id, kind, begun).await {
                    Ok(Some(Some(action))) => Ok(Ok(action)),
                    Ok(Some(None)) => Ok(Err(Fate::Failed(format!("was not changed: {said}")))),
                    _ => Ok(Err(Fate::Doubtful(format!(
                        "may have begun to {}, see its history in DigitalOcean: {said}",
                        kind.replace('_', " "),
                    )))),
                }
            }
            other => other,
        }
    }

    async fn post(&self, id: u64, kind: &str) -> Result<Result<u64, Fate>> {
        let call = self.http.post(format!("{}/actions", droplet(id))).bearer(self.key);
        let reply = call.json(&json!({"type": kind})).send().await?;
        match reply.status().as_u16() {
            404 => Ok(Err(missing(reply).await)),
            // Another action is under way, or the state does not allow it.
            409 | 422 => {
                let refused = reply.success().await.err();
                let said = refused.map(|error| error.message().to_owned());
                Ok(Err(Fate::Failed(format!("was refused: {}", said.unwrap_or_default()))))
            }
            _ => Ok(Ok(reply.success().await?.json::<Begun>().await?.action.id)),
        }
    }

    /// The action of this kind that began on the droplet since then, if one did; nothing if the
    /// key may not look. The clocks may differ by a little; an action of somebody else's at the
    /// same moment comes to the same.
    async fn since(&self, id: u64, kind: &str, then: Timestamp) -> Result<Option<Option<u64>>> {
        let call = self.http.get(format!("{}/actions", droplet(id))).bearer(self.key);
        let reply = call.query([("per_page", "20")]).send().await?;
        if matches!(reply.status().as_u16(), 403 | 404) {
            return Ok(None);
        }
        let history: History = reply.success().await?.json().await?;
        let apart = SignedDuration::from_secs(30);
        let ours = history.actions.into_iter().find(|action| {
            let started: Option<Timestamp> = action.started_at.parse().ok();
            let fresh = started.is_some_and(|started| started.duration_since(then) > -apart);
            action.kind == kind && fresh
        });
        Ok(Some(ours.map(|action| action.id)))
    }

    /// Whether the action was completed; nothing if it is under way still.
    async fn watch(&self, id: u64, action: u64, patience: Duration) -> Result<Option<bool>> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            // By the droplet: `/v2/actions` would need a scope of its own.
            let url = format!("{}/actions/{action}", droplet(id));
            let reply = self.http.get(url).bearer(self.key).send().await?.success().await?;
            match reply.json::<Begun>().await?.action.status.as_str() {
                "completed" => return Ok(Some(true)),
                "errored" => return Ok(Some(false)),
                _ => self.stop.unless_stopped(tokio::time::sleep(LOOK)).await?,
            }
        }
        Ok(None)
    }
}

/// In DigitalOcean's words.
async fn missing(reply: Reply) -> Fate {
    let said = reply.success().await.err().map(|error| error.message().to_owned());
    Fate::Failed(format!("was not found: {}", said.unwrap_or_default()))
}

fn droplet(id: u64) -> String {
    format!("https://api.digitalocean.com/v2/droplets/{id}")
}

/// The state that makes the operation needless.
fn already(operation: Operation, status: &str) -> Option<&'static str> {
    match (operation, status) {
        (Operation::PowerOn, "active") => Some("already on"),
        (Operation::PowerOn | Operation::Reboot, _) => None,
        (_, "off" | "archive") => Some("already off"),
        _ => None,
    }
}

/// What is said of an action while it goes on and when it is done.
fn words(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "shutdown" => ("shutting down", "shut down"),
        "power_off" => ("powering off", "powered off"),
        "power_on" => ("powering on", "powered on"),
        _ => ("rebooting", "rebooted"),
    }
}

/// What an action that was watched came to.
fn fate(kind: &str, outcome: Option<bool>) -> Fate {
    match outcome {
        Some(true) => Fate::Done(words(kind).1),
        Some(false) => {
            Fate::Failed("was not changed: DigitalOcean says that its action failed".into())
        }
        None => Fate::Doubtful("was still being changed when the hub stopped waiting".into()),
    }
}

fn is_fault(error: &Error) -> bool {
    error.http_status().is_some_and(|status| status >= 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_not_shut_down_again() {
        assert_eq!(already(Operation::Shutdown, "off"), Some("already off"));
        assert_eq!(already(Operation::PowerOff, "active"), None);
        assert_eq!(already(Operation::PowerOn, "active"), Some("already on"));
        assert_eq!(already(Operation::Reboot, "active"), None);
    }
}
