//! Logging in: OAuth for every action that asks for it, once.
//!
//! An action says [`OAuth`] as data. The hub then offers the login in the form, sends the browser
//! to the provider and takes it back ([`flow`]), exchanges and renews tokens ([`exchange`]), and
//! reads and writes what Looker keeps for the user ([`state`]), sealed ([`seal`]). The action calls
//! its vendor with [`Call::login`](crate::Call::login) and sees none of it.

mod exchange;
pub(crate) mod flow;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod hosts;
mod legacy;
pub(crate) mod link;
mod seal;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sendoff_protocol as wire;
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;

use crate::egress::{Egress, Scope};
use crate::redact::Redactor;
use crate::spec::Spec;
use crate::{Error, Result, Secret};

use exchange::{Client, Exchange, Flights, Kind};
pub use hosts::LookerHosts;
pub(crate) use legacy::LegacyKey;
pub(crate) use seal::KeyRing;
pub use seal::StateKey;
pub use spec::{Button, ClientAuth, Delegate, LoginBy, OAuth};
pub use state::Install;
use state::Tokens;

/// What all logins of a hub share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) ring: KeyRing,
    pub(crate) legacy: Option<LegacyKey>,
    pub(crate) clients: HashMap<String, (String, Secret)>,
    pub(crate) hosts: LookerHosts,
    flights: Arc<Flights>,
}

impl Desk {
    pub(crate) fn new(
        ring: KeyRing,
        legacy: Option<LegacyKey>,
        clients: HashMap<String, (String, Secret)>,
        hosts: LookerHosts,
    ) -> Self {
        Self { ring, legacy, clients, hosts, flights: Arc::default() }
    }

    /// Has renewals run where the hub waits for them.
    pub(crate) fn tracked(mut self, tasks: TaskTracker) -> Self {
        self.flights = Arc::new(Flights::new(tasks));
        self
    }

    /// Whether users of an action can log in, as far as this hub must have a client for that.
    pub(crate) fn can_log_in(&self, spec: &Spec) -> bool {
        !matches!(spec.login, Some(LoginBy::OAuth(_))) || self.clients.contains_key(spec.name)
    }

    /// Whether an action can be used in this hub.
    pub(crate) fn can_offer(&self, spec: &Spec) -> bool {
        self.can_log_in(spec) || spec.or_setting.is_some()
    }

    /// The way to the vendor's token URL, for an action that has one.
    fn exchange(&self, egress: &Egress, spec: &Spec) -> Option<Exchange> {
        let Some(LoginBy::OAuth(oauth)) = spec.login else { return None };
        let (id, secret) = self.clients.get(spec.name)?;
        let mut scope = Scope::new(spec.label);
        scope.action = spec.name.into();
        scope.redact = Redactor::new([secret.expose()]);
        Some(Exchange {
            oauth,
            action: spec.name,
            label: spec.label,
            client: Client { id: id.clone(), secret: secret.clone() },
            http: egress.http(scope),
        })
    }

    /// A user's login, from what Looker keeps for him.
    pub(crate) fn login(
        self: &Arc<Self>,
        egress: &Egress,
        spec: &Spec,
        instance: Option<&str>,
        state: Option<&str>,
    ) -> Login {
        let instance = instance.unwrap_or_default();
        let state = state.unwrap_or_default();
        let mut held = Held::default();
        held.seen.extend(self.clients.get(spec.name).map(|(_, secret)| secret.clone()));
        let mut installs = Vec::new();
        match spec.login {
            Some(LoginBy::OAuth(_)) => {
                if let Some(kept) = state::read(self, spec.name, instance, state) {
                    held.seen.extend(kept.tokens.secrets().map(Secret::from));
                    held.tokens = Some(kept.tokens);
                    held.change = if kept.outdated { Change::Write } else { Change::None };
                }
            }
            Some(LoginBy::Delegate(_)) => {
                installs = state::installs(state);
                held.seen.extend(installs.iter().map(|install| install.token.clone()));
            }
            None => {}
        }
        Login(Arc::new(Session {
            desk: Arc::clone(self),
            exchange: self.exchange(egress, spec),
            action: spec.name,
            label: spec.label,
            or_setting: spec.or_setting.filter(|_| !self.can_log_in(spec)),
            instance: instance.to_owned(),
            installs,
            held: Mutex::new(held),
        }))
    }
}

/// The user's login, as an action sees it; see [`Context::login`](crate::Context::login).
///
/// Most actions only hand it to [`Call::login`](crate::Call::login).
#[derive(Clone)]
pub struct Login(Arc<Session>);

struct Session {
    desk: Arc<Desk>,
    exchange: Option<Exchange>,
    action: &'static str,
    label: &'static str,
    /// The setting without which nothing can be done, where nobody can log in.
    or_setting: Option<&'static str>,
    instance: String,
    installs: Vec<Install>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    tokens: Option<Tokens>,
    change: Change,
    /// Every token that this call has seen, and the client's secret: to be kept out of words.
    seen: Vec<Secret>,
}

/// What Looker is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Change {
    #[default]
    None,
    /// To keep the tokens as they are now.
    Write,
    /// To forget the login, which the vendor no longer accepts.
    Reset,
}

impl Login {
    /// The access token, renewed if it has expired or is about to.
    ///
    /// Deliveries that come at once with the same refresh token share one renewal, and the new
    /// tokens go back to Looker with the answer.
    ///
    /// # Errors
    /// A login error when nobody is logged in or the vendor no longer accepts the login: then the
    /// form offers it anew. A vendor error, which keeps the login, when it cannot be renewed now.
    pub async fn token(&self) -> Result<Secret> {
        let Some(tokens) = self.held().tokens.clone() else { return Err(self.nobody()) };
        match &tokens.access {
            Some(access) if tokens.is_usable() => Ok(access.clone()),
            _ => self.renewed(tokens, Tokens::is_usable).await,
        }
    }

    /// Another access token than `refused`, which the vendor has just refused with 401.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn renew(&self, refused: &Secret) -> Result<Secret> {
        let Some(tokens) = self.held().tokens.clone() else { return Err(self.nobody()) };
        let other = |tokens: &Tokens| {
            tokens.access.as_ref().is_some_and(|access| access.expose() != refused.expose())
        };
        match &tokens.access {
            // Renewed meanwhile, by another call of this delivery.
            Some(access) if other(&tokens) => Ok(access.clone()),
            _ => self.renewed(tokens, |tokens| tokens.is_usable() && other(tokens)).await,
        }
    }

    /// A member of the token answer that [`OAuth::keep`] names, such as `account_id`.
    pub fn kept(&self, name: &str) -> Option<String> {
        self.held().tokens.as_ref()?.kept.get(name).cloned()
    }

    /// Tells this login from others, to share a [quota](crate::Http::within) by: the same for as
    /// long as the vendor does not replace the refresh token. `None` when nobody is logged in.
    pub fn account_key(&self) -> Option<String> {
        let held = self.held();
        let tokens = held.tokens.as_ref()?;
        let lasting = tokens.refresh.as_ref().or(tokens.access.as_ref())?;
        let digest = Sha256::digest(lasting.expose());
        Some(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The id of the hub's client at the vendor, to share a quota of all its users by; `None` where
    /// nobody can log in.
    pub fn client_id(&self) -> Option<&str> {
        self.0.exchange.as_ref().map(Exchange::client_id)
    }

    /// Whether there is a login that need not be offered anew: nothing is asked of the vendor, and
    /// no refresh token is spent.
    pub(crate) fn is_there(&self) -> bool {
        let held = self.held();
        let there = |tokens: &Tokens| tokens.is_usable() || tokens.refresh.is_some();
        held.tokens.as_ref().is_some_and(there)
    }

    /// The workspaces that were connected in Looker, for an action with a [`Delegate`].
    pub fn installs(&self) -> &[Install] {
        &self.0.installs
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renewed(&self, old: Tokens, good: impl Fn(&Tokens) -> bool) -> Result<Secret> {
        let Some(exchange) = &self.0.exchange else { return Err(self.nobody()) };
        let renewed = match &old.refresh {
            Some(_) => self.0.desk.flights.renew(exchange, old, good).await,
            None => Err(exchange.ended()),
        };
        let mut held = self.held();
        match renewed {
            Ok(tokens) => {
                let access = tokens.access.clone();
                held.seen.extend(tokens.secrets().map(Secret::from));
                held.tokens = Some(tokens);
                held.change = Change::Write;
                access.ok_or_else(|| exchange.ended().error())
            }
            Err(refusal) => {
                // A login without a refresh token is left as it is: nobody has refused it.
                let refused = held.tokens.as_ref().is_some_and(|tokens| tokens.refresh.is_some());
                if refusal.kind == Kind::Grant && refused {
                    held.tokens = None;
                    held.change = Change::Reset;
                }
                Err(refusal.error())
            }
        }
    }

    fn nobody(&self) -> Error {
        let label = self.0.label;
        if let Some(setting) = self.0.or_setting {
            return Error::settings(format!(
                "Nobody can log in to {label} through this hub, which has no client there. A Looker \
                 admin can enter credentials in the action's setting {setting}, or the hub's \
                 operator sets oauth.{}.client_id and .client_secret.",
                self.0.action
            ))
            .field(setting);
        }
        Error::login(format!(
            "Nobody is logged in to {label}. Open the form of {label} in Looker and log in."
        ))
    }

    /// What Looker is to keep from now on, if that is something else.
    pub(crate) fn to_write(&self) -> Option<wire::State> {
        let (change, tokens) = {
            let held = self.held();
            (held.change, held.tokens.clone())
        };
        match (change, tokens) {
            (Change::Reset, _) => {
                Some(wire::State { data: state::RESET.to_owned(), refresh_time: None })
            }
            (Change::Write, Some(tokens)) => {
                // Another delivery may have renewed them once more meanwhile.
                let tokens = self.0.desk.flights.newest(self.0.action, tokens);
                match state::write(&self.0.desk, self.0.action, &self.0.instance, &tokens) {
                    Ok(object) => Some(wire::State {
                        data: object.to_string(),
                        refresh_time: tokens.refresh_time(),
                    }),
                    Err(error) => {
                        tracing::error!(action = self.0.action, %error, "a login is not kept");
                        None
                    }
                }
            }
            _ => None,
        }
    }

    /// Whether nobody is logged in.
    pub(crate) fn is_nobody(&self) -> bool {
        self.held().tokens.is_none()
    }

    /// Whether the vendor has just refused the login for good.
    pub(crate) fn was_refused(&self) -> bool {
        self.held().change == Change::Reset
    }

    /// A redactor that knows every token too.
    pub(crate) fn redact(&self, redact: &Redactor) -> Redactor {
        let held = self.held();
        if held.seen.is_empty() {
            return redact.clone();
        }
        redact.with(held.seen.iter().map(Secret::expose))
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("action", &self.0.action).finish_non_exhaustive()
    }
}

/// A workspace that the connection test names, see [`Action::connections`](crate::Action).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its id at the vendor.
    pub id: String,
    /// What people call it.
    pub name: String,
}
