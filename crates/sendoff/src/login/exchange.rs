//! Codes and refresh tokens for access tokens: one exchange at a time for each refresh token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::state::Tokens;
use super::{ClientAuth, OAuth};
use crate::egress::Http;
use crate::redact::Redactor;
use crate::{Error, Result, Secret};

/// The time for one exchange. Somebody waits for it.
const WITHIN: Duration = Duration::from_secs(20);
/// How long new tokens are remembered for deliveries that still hold the old ones.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// Refresh tokens remembered at most.
const KEPT: usize = 10_000;
/// Words of the vendor's that a sentence holds at most.
const WORDS: usize = 300;
/// What could not be done when a code is not exchanged.
const FINISH: &str = "could not be finished";
/// What could not be done when a refresh token is not.
const RENEW: &str = "could not be renewed, and is kept";

/// This hub as the vendor knows it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    /// Empty for a client without a secret.
    pub(crate) secret: Secret,
}

/// The way to one vendor's token URL.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) oauth: OAuth,
    pub(crate) action: &'static str,
    pub(crate) label: &'static str,
    pub(crate) client: Client,
    /// Not the delivery's own: what one delivery began, another may wait for.
    pub(crate) http: Http,
}

/// Why there are no tokens. Shared by all who waited for them.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `invalid_grant`: the code or the refresh token is worth nothing any more.
    Grant,
    /// The vendor does not know this hub by its id and secret.
    Client,
    /// Everything else; the login may be as good as before.
    Other,
}

impl Refusal {
    /// One that says nothing of the login itself.
    pub(crate) fn other(message: String) -> Self {
        Self { kind: Kind::Other, message }
    }

    pub(crate) fn error(&self) -> Error {
        let message = self.message.clone();
        match self.kind {
            Kind::Grant => Error::login(message),
            Kind::Client => Error::hub(message),
            Kind::Other => Error::vendor(message).retry_later(),
        }
    }
}

impl Exchange {
    pub(super) fn client_id(&self) -> &str {
        &self.client.id
    }

    /// The tokens of a user who has just logged in.
    pub(crate) async fn code(
        &self,
        code: &str,
        verifier: Option<&str>,
        redirect_uri: &str,
    ) -> Result<Tokens, Refusal> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let secrets = Redactor::new([Some(code), verifier].into_iter().flatten());
        let answer = self.ask(form, secrets, FINISH).await?;
        let tokens = Tokens::of_answer(&answer, self.oauth.keep);
        if self.oauth.lasting && tokens.refresh.is_none() {
            let again = match self.oauth.revoke_url {
                Some(url) => format!("Remove this app's access at {url}, then log in again."),
                None => "Remove this app's access in your account there, then log in again.".into(),
            };
            return Err(Refusal::other(format!(
                "{} gave a login that ends within hours, because it gave a lasting one before. \
                 {again}",
                self.label
            )));
        }
        Ok(tokens)
    }

    /// New tokens for old ones.
    async fn refresh(&self, old: &Tokens) -> Result<Tokens, Refusal> {
        let Some(refresh) = &old.refresh else { return Err(self.ended()) };
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        let answer = self.ask(form, Redactor::new(old.secrets()), RENEW).await?;
        let mut new = Tokens::of_answer(&answer, self.oauth.keep);
        // Vendors that do not rotate refresh tokens leave them out.
        new.refresh = new.refresh.or_else(|| old.refresh.clone());
        for (name, value) in &old.kept {
            new.kept.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Ok(new)
    }

    pub(crate) fn ended(&self) -> Refusal {
        Refusal {
            kind: Kind::Grant,
            message: format!(
                "Your login to {0} has ended. Open the form of {0} in Looker and log in again.",
                self.label
            ),
        }
    }

    fn lost(&self) -> Refusal {
        Refusal::other(format!("The login to {} {RENEW}. Try again.", self.label))
    }

    async fn ask(
        &self,
        mut form: Vec<(&str, &str)>,
        secrets: Redactor,
        failed: &str,
    ) -> Result<Map<String, Value>, Refusal> {
        let label = self.label;
        let (id, secret) = (self.client.id.as_str(), &self.client.secret);
        let redact = secrets.with([secret.expose()]);
        let other = |error: &Error| {
            let said = format!("The login to {label} {failed}: {error}");
            Refusal::other(redact.clean(&said).into_owned())
        };
        // Never again by itself: a refresh token that was used may not be used twice.
        let mut call = self.http.post(self.oauth.token_url).timeout(WITHIN).once();
        call = call.header("accept", "application/json");
        match self.oauth.client_auth {
            ClientAuth::Basic if !secret.expose().is_empty() => {
                // Form-encoded inside, RFC 6749, section 2.3.1.
                let encoded = |text: &str| -> String {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                call = call.basic(&encoded(id), &encoded(secret.expose()).into());
            }
            _ => {
                form.push(("client_id", id));
                if !secret.expose().is_empty() {
                    form.push(("client_secret", secret.expose()));
                }
            }
        }
        let reply = call.form(form).send().await.map_err(|error| other(&error))?;
        let status = reply.status();
        let text = reply.text().await.map_err(|error| other(&error))?;
        let answer = match serde_json::from_str(&text) {
            Ok(Value::Object(answer)) => answer,
            _ => Map::new(),
        };
        let there = answer.get("access_token").and_then(Value::as_str);
        if status.is_success() && there.is_some_and(|token| !token.trim().is_empty()) {
            return Ok(answer);
        }
        Err(self.refused(status.as_u16(), &answer, &redact, failed))
    }

    fn refused(
        &self,
        status: u16,
        answer: &Map<String, Value>,
        redact: &Redactor,
        failed: &str,
    ) -> Refusal {
        let label = self.label;
        let said = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = said("error");
        let words = [said("error_description"), code].into_iter().find(|text| !text.is_empty());
        let words: String = redact
            .clean(words.unwrap_or_default())
            .chars()
            .filter(|c| !c.is_control())
            .take(WORDS)
            .collect();
        let words = words.trim_end_matches('.');
        let said = if words.is_empty() { String::new() } else { format!(" ({words})") };
        let (kind, message) = match code {
            "invalid_grant" => (
                Kind::Grant,
                format!(
                    "{label} no longer accepts this login{said}. Open the form of {label} in \
                     Looker and log in again."
                ),
            ),
            "invalid_client" | "unauthorized_client" => (
                Kind::Client,
                format!(
                    "{label} does not accept this hub's client id and secret{said}. The hub's \
                     operator must correct oauth.{}.",
                    self.action
                ),
            ),
            _ => (
                Kind::Other,
                format!(
                    "The login to {label} {failed}: it answered {status}{said}. Try again later."
                ),
            ),
        };
        Refusal { kind, message }
    }
}

/// One refresh, whoever waits for it.
pub(super) type Flight = Shared<BoxFuture<'static, Result<Tokens, Refusal>>>;

/// The refreshes under way, and what came of the last ones. Keys are hashes of refresh tokens.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    slots: Mutex<HashMap<Key, Slot>>,
    /// The renewals under way: the hub waits for them when it ends.
    tasks: TaskTracker,
}

pub(super) type Key = [u8; 32];

#[derive(Debug)]
pub(super) struct Slot {
    since: Instant,
    state: SlotState,
}

#[derive(Debug)]
pub(super) enum SlotState {
    /// Nobody's own: it goes on when the delivery that began it is stopped, whether or not somebody
    /// else waits for it. The vendor may have replaced the refresh token already, and an answer that
    /// nobody reads would end the login.
    Flying(Flight),
    Landed(Tokens),
}

enum Step {
    Take(Tokens),
    Wait(Flight),
}

impl Flights {
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self { slots: Mutex::default(), tasks }
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tokens newer than `old` that are `good`: those that another delivery got with the same
    /// refresh token, or new ones.
    pub(crate) async fn renew(
        self: &Arc<Self>,
        exchange: &Exchange,
        old: Tokens,
        good: impl Fn(&Tokens) -> bool,
    ) -> Result<Tokens, Refusal> {
        let mut tokens = old;
        // Each turn follows the chain of rotated tokens by one; no chain is longer than what is
        // remembered.
        for _ in 0..KEPT {
            match self.step(exchange, &tokens, &good).ok_or_else(|| exchange.ended())? {
                Step::Wait(flight) => return flight.await,
                Step::Take(newer) if good(&newer) => return Ok(newer),
                Step::Take(newer) => tokens = newer,
            }
        }
        Err(exchange.ended())
    }

    /// The newest tokens that are known to have come from `tokens`.
    pub(crate) fn newest(&self, action: &str, mut tokens: Tokens) -> Tokens {
        let slots = self.slots();
        for _ in 0..KEPT {
            let Some(key) = key(action, &tokens) else { break };
            let Some(SlotState::Landed(newer)) = slots.get(&key).map(|slot| &slot.state) else {
                break;
            };
            let rotated = self::key(action, newer) != Some(key);
            tokens = newer.clone();
            if !rotated {
                break;
            }
        }
        tokens
    }

    fn step(
        self: &Arc<Self>,
        exchange: &Exchange,
        old: &Tokens,
        good: &impl Fn(&Tokens) -> bool,
    ) -> Option<Step> {
        let key = key(exchange.action, old)?;
        let mut slots = self.slots();
        match slots.get(&key).map(|slot| &slot.state) {
            Some(SlotState::Flying(flight)) => return Some(Step::Wait(flight.clone())),
            Some(SlotState::Landed(newer)) => {
                let rotated = self::key(exchange.action, newer) != Some(key);
                if rotated || good(newer) {
                    return Some(Step::Take(newer.clone()));
                }
            }
            None => {}
        }
        let (flying, old) = (exchange.clone(), old.clone());
        let renewal = async move { flying.refresh(&old).await };
        Some(Step::Wait(self.fly(&mut slots, key, renewal, exchange.lost())))
    }

    /// Begins a renewal; `lost` is said to those who wait for it if it ends without an answer.
    pub(super) fn fly(
        self: &Arc<Self>,
        slots: &mut HashMap<Key, Slot>,
        key: Key,
        renewal: impl Future<Output = Result<Tokens, Refusal>> + Send + 'static,
        lost: Refusal,
    ) -> Flight {
        let flights = Arc::clone(self);
        let task = self.tasks.spawn(async move {
            let mut landing = Landing { flights, key, tokens: None };
            let result = renewal.await;
            landing.tokens = result.as_ref().ok().cloned();
            result
        });
        let flight = task.map(|ended| ended.unwrap_or(Err(lost))).boxed().shared();
        make_room(slots);
        let slot = Slot { since: Instant::now(), state: SlotState::Flying(flight.clone()) };
        slots.insert(key, slot);
        flight
    }
}

/// The end of a renewal, however it ends: a slot that nobody frees would hold the login's next
/// renewals up.
struct Landing {
    flights: Arc<Flights>,
    key: Key,
    tokens: Option<Tokens>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut slots = self.flights.slots();
        match self.tokens.take() {
            Some(tokens) => {
                let slot = Slot { since: Instant::now(), state: SlotState::Landed(tokens) };
                slots.insert(self.key, slot);
            }
            None => {
                slots.remove(&self.key);
            }
        }
    }
}

fn make_room(slots: &mut HashMap<Key, Slot>) {
    slots.retain(|_, slot| slot.since.elapsed() < REMEMBERED);
    if slots.len() >= KEPT
        && let Some(oldest) = slots.iter().min_by_key(|(_, slot)| slot.since).map(|(key, _)| *key)
    {
        slots.remove(&oldest);
    }
}

fn key(action: &str, tokens: &Tokens) -> Option<Key> {
    let refresh = tokens.refresh.as_ref()?;
    let mut digest = Sha256::new();
    digest.update((action.len() as u64).to_be_bytes());
    digest.update(action);
    digest.update(refresh.expose());
    Some(digest.finalize().into())
}
