//! What an instance knows and keeps: hubs, users, params, states and schedules.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sendoff_protocol::{Definition, Listing};
use serde::{Deserialize, Serialize};

use super::actions::Params;
use super::schedules::{Schedule, ScheduleId};
use super::states::KeptState;
use super::{Habits, Refused};

/// A hub's number.
pub type HubId = u32;

/// An action of a hub. Its text is Looker's: `3::slack`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId {
    /// The hub.
    pub hub: HubId,
    /// The action's name.
    pub name: String,
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.hub, self.name)
    }
}

impl FromStr for ActionId {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let read = text
            .split_once("::")
            .and_then(|(hub, name)| Some(Self { hub: hub.parse().ok()?, name: name.to_owned() }));
        read.ok_or_else(|| Refused(format!("`{text}` names no action; 3::slack would.")))
    }
}

impl Serialize for ActionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ActionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Somebody who uses this Looker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Short and unique: `ana`.
    pub id: String,
    /// As people read it.
    pub name: String,
    /// User attributes, such as `email`.
    pub attributes: BTreeMap<String, String>,
}

/// A hub as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SavedHub {
    pub(super) url: String,
    pub(super) token: Option<String>,
    pub(super) listing: Option<Listing>,
    pub(super) fetch_error_message: Option<String>,
    pub(super) listed_at: Option<jiff::Timestamp>,
}

/// An action that an admin has enabled.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Enabled {
    pub(super) enabled: bool,
    pub(super) params: Params,
}

/// Everything that is kept but exchanges and history.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Book {
    /// `X-Looker-Instance`.
    pub(super) instance: String,
    /// The next id of whatever needs one.
    pub(super) next: u64,
    pub(super) habits: Habits,
    pub(super) hubs: BTreeMap<HubId, SavedHub>,
    pub(super) users: Vec<User>,
    pub(super) actions: BTreeMap<ActionId, Enabled>,
    pub(super) states: Vec<KeptState>,
    pub(super) schedules: BTreeMap<ScheduleId, Schedule>,
}

impl Default for Book {
    /// A new Looker, with one user whose attributes are what actions ask for.
    fn default() -> Self {
        let attributes = [("email", "ana@example.com"), ("name", "Ana"), ("id", "1")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            instance: crate::looker::random_id(),
            next: 1,
            habits: Habits::default(),
            hubs: BTreeMap::new(),
            users: vec![User {
                id: "ana".into(),
                name: "Ana".into(),
                attributes: attributes.into(),
            }],
            actions: BTreeMap::new(),
            states: Vec::new(),
            schedules: BTreeMap::new(),
        }
    }
}

impl Book {
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    pub(super) fn definition(&self, id: &ActionId) -> Option<&Definition> {
        let listing = self.hubs.get(&id.hub)?.listing.as_ref()?;
        listing.integrations.iter().find(|action| action.name == id.name)
    }

    /// The action, or a sentence that says what there is.
    pub(super) fn known(&self, id: &ActionId) -> Result<&Definition, Refused> {
        if let Some(definition) = self.definition(id) {
            return Ok(definition);
        }
        let Some(hub) = self.hubs.get(&id.hub) else {
            return Err(Refused(format!("There is no hub {}.", id.hub)));
        };
        if let Some(error) = &hub.fetch_error_message {
            return Err(Refused(format!("The hub's actions cannot be listed: {error}")));
        }
        let listing = hub.listing.iter().flat_map(|listing| &listing.integrations);
        let names: Vec<&str> = listing.map(|action| action.name.as_str()).collect();
        Err(Refused(format!("The hub has no action `{}`. It has {}.", id.name, names.join(", "))))
    }

    pub(super) fn user(&self, id: &str) -> Result<&User, Refused> {
        self.users.iter().find(|user| user.id == id).ok_or_else(|| {
            let known: Vec<&str> = self.users.iter().map(|user| user.id.as_str()).collect();
            Refused(format!("There is no user `{id}`. There are: {}.", known.join(", ")))
        })
    }
}
