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

use super::{Form, Operation, QUOTA, Settings};
use crate::shared::aws::hex;

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
        }
    }

    /// Changes one droplet.
    ///
    /// # Errors
    /// Only what concerns every droplet: the key, the network, the end of the delivery.
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
        let (kind, state) = match self.operation {
            Operation::Shutdown | Operation::ShutdownThenPowerOff => ("shutdown", "shutting down"),
            Operation::PowerOff => ("power_off", "powering off"),
            Operation::PowerOn => ("power_on", "powering on"),
            Operation::Reboot => ("reboot", "rebooting"),
        };
        let then_off = self.operation == Operation::ShutdownThenPowerOff;
        let action = match self.begin(id, kind).await? {
            Ok(action) => action,
            Err(fate) => return Ok(fate),
        };
        if !(self.wait || then_off) {
            return Ok(Fate::Done(state));
        }
        let patience = if then_off { SHUTDOWN } else { ACTION };
        match self.watch(action, patience).await? {
            Some(true) if !then_off || self.is_off(id).await? => Ok(Fate::Done(ended(kind))),
            _ if then_off => match self.begin(id, "power_off").await? {
                Ok(action) => Ok(match self.watch(action, ACTION).await? {
                    Some(true) => Fate::Done("powered off"),
                    outcome => unfinished(outcome),
                }),
                Err(fate) => Ok(fate),
            },
            outcome => Ok(unfinished(outcome)),
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
        match self.post(id, kind).await {
            Err(error) if error.arrival() == Arrival::Maybe => {
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
    async fn watch(&self, action: u64, patience: Duration) -> Result<Option<bool>> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            let url = format!("https://api.digitalocean.com/v2/actions/{action}");
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

fn ended(kind: &str) -> &'static str {
    match kind {
        "shutdown" => "shut down",
        "power_off" => "powered off",
        "power_on" => "powered on",
        _ => "rebooted",
    }
}

fn unfinished(outcome: Option<bool>) -> Fate {
    match outcome {
        Some(_) => Fate::Failed("was not changed: DigitalOcean says that its action failed".into()),
        None => Fate::Doubtful("was still being changed when the hub stopped waiting".into()),
    }
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
