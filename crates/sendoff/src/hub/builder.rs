//! Putting a hub together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::action::{Action, AnyAction};
use crate::egress::{Egress, EgressConfig};
use crate::fields::{Secret, Values};
use crate::intake::Memory;
use crate::login::{Desk, KeyRing, LegacyKey, LookerHosts, StateKey};
use crate::spool::{SpoolLimits, SpoolRoom};
use crate::{Error, Result};

use super::admission::Admission;
use super::asks::Asks;
use super::auth::Gate;
use super::drain::Drain;
use super::{Hub, Inner, Limits};

/// What a hub is made of. See [`Hub::builder`].
#[derive(Default)]
#[must_use = "a hub is made by `build`"]
pub struct Builder {
    actions: Vec<Box<dyn AnyAction>>,
    label: Option<String>,
    base_url: Option<String>,
    commit: Option<String>,
    gate: Gate,
    limits: Limits,
    egress: Option<EgressConfig>,
    spool: SpoolLimits,
    settings: Vec<(String, Values)>,
    clients: HashMap<String, (String, Secret)>,
    state_keys: Vec<StateKey>,
    cipher_master: Option<Secret>,
    looker_hosts: LookerHosts,
}

/// Without the operator's secrets and the actions' settings.
impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("label", &self.label)
            .field("actions", &self.actions.len())
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds an action.
    pub fn action(mut self, action: impl Action) -> Self {
        self.actions.push(Box::new(action));
        self
    }

    /// Adds actions.
    pub fn actions(mut self, actions: impl IntoIterator<Item = Box<dyn AnyAction>>) -> Self {
        self.actions.extend(actions);
        self
    }

    /// The hub's name in Looker's admin pages; "Sendoff" unless set.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Where Looker reaches the hub, with the prefix it is mounted under. Unless set, it is taken
    /// from each list request's `Host`, `X-Forwarded-Host` and `X-Forwarded-Proto`.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into().trim_end_matches('/').to_owned());
        self
    }

    /// The secrets that hub tokens are valid under; see [`Token`](super::Token). Several allow
    /// rotation: new tokens under the first, old ones stay valid until theirs is removed.
    pub fn secrets(mut self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        self.gate.secrets.extend(secrets);
        self
    }

    /// Looker's outgoing webhook token (Admin > General > Webhooks). With one of these, LookML
    /// data actions and scheduled webhooks may deliver without a hub token.
    pub fn webhook_tokens(mut self, tokens: impl IntoIterator<Item = Secret>) -> Self {
        self.gate.webhook_tokens.extend(tokens);
        self
    }

    /// What one delivery may take, and how many there may be.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Which addresses may be reached, and how.
    pub fn egress(mut self, egress: EgressConfig) -> Self {
        self.egress = Some(egress);
        self
    }

    /// Where data waits that cannot flow on at once, and how much of it.
    pub fn spool(mut self, limits: SpoolLimits) -> Self {
        self.spool = limits;
        self
    }

    /// Settings of an action for requests in which Looker sends none: scheduled webhooks and data
    /// actions. A value that Looker does send wins.
    pub fn settings(mut self, action: impl Into<String>, settings: Values) -> Self {
        self.settings.push((action.into(), settings));
        self
    }

    /// How the vendor of an action with a login knows this hub: the id and the secret of the client
    /// that was registered there (an empty secret for a client without one). An action with a login
    /// and no client is not offered, unless its settings may hold credentials in place of logins
    /// ([`Spec::or_setting`](crate::Spec::or_setting)).
    pub fn oauth_client(
        mut self,
        action: impl Into<String>,
        id: impl Into<String>,
        secret: Secret,
    ) -> Self {
        self.clients.insert(action.into(), (id.into(), secret));
        self
    }

    /// The keys that logins are sealed with. The first seals, all open, so that keys can be
    /// replaced: put the new one in front, and remove the old one when no login needs it.
    ///
    /// Behind these stand keys made from [`cipher_master`](Self::cipher_master) and from each of
    /// the hub's secrets, so that a hub without keys of its own works, in each replica alike.
    pub fn state_keys(mut self, keys: impl IntoIterator<Item = StateKey>) -> Self {
        self.state_keys.extend(keys);
        self
    }

    /// The reference hub's `CIPHER_MASTER`, 64 hexadecimal characters: opens the logins that it
    /// sealed.
    pub fn cipher_master(mut self, master: Secret) -> Self {
        self.cipher_master = Some(master);
        self
    }

    /// The hosts of Lookers, in place of those where Google hosts it: a login goes back to no other.
    pub fn looker_hosts(mut self, hosts: LookerHosts) -> Self {
        self.looker_hosts = hosts;
        self
    }

    /// The source revision that `GET /status` names.
    pub fn commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = Some(commit.into());
        self
    }

    /// The hub. Reads certificates and looks at the spool's folder, which blocks: call it before you
    /// serve, or from [`tokio::task::spawn_blocking`].
    ///
    /// Without [`secrets`](Self::secrets) and [`webhook_tokens`](Self::webhook_tokens) nobody gets in,
    /// which the log says once.
    ///
    /// # Errors
    /// When two actions, or two settings or form fields of one, share a name, settings or a login client name an action that is not there,
    /// two state keys share a name, or the egress or the spool cannot be set up as asked.
    pub fn build(mut self) -> Result<Hub> {
        let mut names = HashSet::new();
        for action in &self.actions {
            let name = action.spec().name;
            if !names.insert(name) {
                return Err(Error::hub(format!("Two actions are called \"{name}\".")));
            }
            check_fields(action.as_ref())?;
        }
        if self.gate.is_empty() {
            tracing::warn!(
                "the hub has neither secrets nor webhook tokens: every request will be refused"
            );
        }
        if let Some((name, _)) = self.settings.iter().find(|(name, _)| !names.contains(&**name)) {
            return Err(Error::hub(format!(
                "There are settings for \"{name}\", but no such action in this hub."
            )));
        }
        if let Some(name) = self.clients.keys().find(|name| !names.contains(name.as_str())) {
            return Err(Error::hub(format!(
                "There is a login client for \"{name}\", but no such action in this hub."
            )));
        }
        let drain = Drain::default();
        let desk = Desk::new(
            keys(self.state_keys, self.cipher_master.as_ref(), &self.gate)?,
            self.cipher_master.as_ref().map(LegacyKey::new).transpose()?,
            self.clients,
            self.looker_hosts,
        )
        .tracked(drain.tasks().clone());
        self.actions.retain(|action| {
            let spec = action.spec();
            let offered = desk.can_offer(&spec);
            if !offered {
                tracing::info!(action = spec.name, "not offered: it has no login client");
            }
            offered
        });
        let limits = self.limits;
        let egress = self.egress.unwrap_or_else(|| {
            let secret = self.gate.secrets.first().cloned();
            EgressConfig::new(secret.unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into()))
        });
        Ok(Hub {
            inner: Arc::new(Inner {
                actions: self.actions,
                label: self.label.unwrap_or_else(|| "Sendoff".to_owned()),
                base_url: self.base_url,
                commit: self.commit.unwrap_or_default(),
                started: SystemTime::now(),
                gate: self.gate,
                refusals: Default::default(),
                limits,
                admission: Admission::new(limits),
                memory: Memory::default(),
                asks: Asks::default(),
                drain,
                egress: Egress::new(egress)?,
                room: SpoolRoom::new(self.spool)?,
                recent: Default::default(),
                tries: Default::default(),
                settings: self.settings,
                desk: Arc::new(desk),
                written: Default::default(),
            }),
        })
    }
}

/// Each name once, those of flattened structs among them: Looker keeps one value for each.
fn check_fields(action: &dyn AnyAction) -> Result<()> {
    let params = action.params().into_iter().map(|param| param.name);
    let fields = action.form_fields().into_iter().map(|field| field.name);
    for (names, what) in [(params.collect::<Vec<_>>(), "settings"), (fields.collect(), "fields")] {
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
            let action = action.spec().name;
            return Err(Error::hub(format!("Two {what} of \"{action}\" are called \"{twice}\".")));
        }
    }
    Ok(())
}

/// The keys that logins are sealed with: the operator's, then what can be made from his secrets.
fn keys(mut keys: Vec<StateKey>, master: Option<&Secret>, gate: &Gate) -> Result<KeyRing> {
    if let Some(master) = master {
        keys.push(StateKey::derived(LegacyKey::new(master)?.master()));
    }
    keys.extend(gate.secrets.iter().map(|secret| StateKey::derived(secret.expose().as_bytes())));
    KeyRing::new(keys)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[derive(Fields)]
    #[allow(dead_code, reason = "of interest is how they are listed")]
    struct Kind {
        /// Its wire name is a word of Rust's.
        r#type: String,
    }

    #[derive(Fields)]
    #[allow(dead_code, reason = "as above")]
    struct Once {
        #[field(flatten)]
        kind: Kind,
        name: String,
    }

    #[derive(Fields)]
    #[allow(dead_code, reason = "as above")]
    struct Twice {
        #[field(flatten)]
        kind: Kind,
        #[field(name = "type")]
        other: String,
    }

    struct Of<F>(std::marker::PhantomData<F>);

    impl<F: Fields + Sync> Action for Of<F> {
        type Settings = ();
        type Form = F;

        const SPEC: Spec = Spec::new("of", "Of").description("Has a form.");

        async fn execute(&self, _: &Context<()>, _: F, _: Payload) -> Result<Receipt> {
            Ok(Receipt::new("nowhere"))
        }
    }

    #[test]
    fn a_name_on_the_wire_is_a_word_and_stands_for_one_field() {
        let hub = Hub::builder().action(Of::<Once>(Default::default())).build().unwrap();
        let names: Vec<_> = hub.actions().next().unwrap().form_fields();
        let names: Vec<_> = names.into_iter().map(|field| (field.name, field.label)).collect();
        let named = |name: &str, label: &str| (name.to_owned(), Some(label.to_owned()));
        assert_eq!(names, [named("type", "Type"), named("name", "Name")]);

        let built = Hub::builder().action(Of::<Twice>(Default::default())).build();
        let error = built.map(|_| ()).unwrap_err();
        assert_eq!(error.message(), "Two fields of \"of\" are called \"type\".");
    }
}
