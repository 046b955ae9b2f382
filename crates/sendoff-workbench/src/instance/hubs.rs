//! Hubs: added by URL and token, listed, and removed.

use sendoff_protocol::Listing;
use serde::Serialize;

use super::book::{ActionId, HubId, SavedHub};
use super::{Instance, Refused, locked};
use crate::looker::{Looker, Trip};

/// A hub as an admin sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Hub {
    /// Its number.
    pub id: HubId,
    /// The list URL.
    pub url: String,
    /// Whether an admin typed in a token; the token itself is not shown again.
    pub has_authorization_token: bool,
    /// What it calls itself.
    pub label: Option<String>,
    /// Why its actions cannot be listed; none of them can be used then.
    pub fetch_error_message: Option<String>,
    /// When it was asked last.
    pub listed_at: Option<jiff::Timestamp>,
    /// The names of its actions.
    pub actions: Vec<String>,
}

impl Hub {
    fn of(id: HubId, saved: &SavedHub) -> Self {
        let actions = saved.listing.iter().flat_map(|listing| &listing.integrations);
        Self {
            id,
            url: saved.url.clone(),
            has_authorization_token: saved.token.is_some(),
            label: saved.listing.as_ref().and_then(|listing| listing.label.clone()),
            fetch_error_message: saved.fetch_error_message.clone(),
            listed_at: saved.listed_at,
            actions: actions.map(|action| action.name.clone()).collect(),
        }
    }

    /// The action of that name, whether the hub has it or not.
    pub fn action(&self, name: &str) -> ActionId {
        ActionId { hub: self.id, name: name.to_owned() }
    }
}

impl Instance {
    /// Adds a hub and lists its actions. A hub that cannot be listed is added all the same, and
    /// says why in [`Hub::fetch_error_message`]. A URL that is known gets the new token.
    ///
    /// # Errors
    /// The URL is none that can be called.
    pub async fn add_hub(&self, url: &str, token: Option<&str>) -> Result<Hub, Refused> {
        Looker::new(url).map_err(|fault| Refused(fault.to_string()))?;
        let token = token.map(str::trim).filter(|token| !token.is_empty()).map(str::to_owned);
        let id = {
            let mut book = locked(&self.0.book);
            let known = book.hubs.iter().find(|(_, hub)| hub.url == url).map(|(id, _)| *id);
            let id = known.unwrap_or_else(|| book.number() as HubId);
            let listing = book.hubs.remove(&id).and_then(|hub| hub.listing);
            let hub = SavedHub {
                url: url.to_owned(),
                token,
                listing,
                fetch_error_message: None,
                listed_at: None,
            };
            book.hubs.insert(id, hub);
            id
        };
        self.list_hub(id).await
    }

    /// Lists a hub's actions again.
    ///
    /// # Errors
    /// There is no such hub.
    pub async fn list_hub(&self, id: HubId) -> Result<Hub, Refused> {
        let looker = self.looker(id)?;
        let keep = Some(self.0.bodies.keep());
        let answered = looker.list_on(Trip { keep, ..Trip::default() }).await;
        let listed = answered.answer.clone();
        self.note(answered, None).await;
        let hub = {
            let mut book = locked(&self.0.book);
            let Some(hub) = book.hubs.get_mut(&id) else { return Err(gone(id)) };
            hub.listed_at = Some(jiff::Timestamp::now());
            match listed {
                Ok(listing) => {
                    hub.listing = Some(listing);
                    hub.fetch_error_message = None;
                }
                Err(fault) => hub.fetch_error_message = Some(fault.to_string()),
            }
            Hub::of(id, hub)
        };
        self.saved().await?;
        Ok(hub)
    }

    /// The hubs, in the order added.
    pub fn hubs(&self) -> Vec<Hub> {
        locked(&self.0.book).hubs.iter().map(|(id, hub)| Hub::of(*id, hub)).collect()
    }

    /// Removes a hub, with its params, states and schedules.
    ///
    /// # Errors
    /// It cannot be kept.
    pub async fn remove_hub(&self, id: HubId) -> Result<(), Refused> {
        {
            let mut book = locked(&self.0.book);
            book.hubs.remove(&id);
            book.actions.retain(|action, _| action.hub != id);
            book.states.retain(|state| state.action.hub != id);
            book.schedules.retain(|_, schedule| schedule.order.action.hub != id);
        }
        self.0.rescheduled.notify_one();
        self.saved().await
    }

    /// The list as the hub gave it, for whoever wants more than the instance shows.
    pub fn listing(&self, id: HubId) -> Option<Listing> {
        locked(&self.0.book).hubs.get(&id)?.listing.clone()
    }

    /// The client that calls this hub.
    pub(super) fn looker(&self, id: HubId) -> Result<Looker, Refused> {
        let (url, token, instance) = {
            let book = locked(&self.0.book);
            let hub = book.hubs.get(&id).ok_or_else(|| gone(id))?;
            (hub.url.clone(), hub.token.clone(), book.instance.clone())
        };
        let mut looker = Looker::new(&url)
            .map_err(|fault| Refused(fault.to_string()))?
            .instance(&instance)
            .version(self.0.settings.version)
            .patience(self.0.settings.patience)
            .believing(self.0.authorities.clone())
            .offering_at(std::sync::Arc::clone(&self.0.downloads));
        if let Some(token) = &token {
            looker = looker.token(token);
        }
        Ok(looker)
    }
}

fn gone(id: HubId) -> Refused {
    Refused(format!("There is no hub {id}."))
}
