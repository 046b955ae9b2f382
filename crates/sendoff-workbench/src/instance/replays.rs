//! Recorded calls made again, against any hub of the instance.

use std::collections::BTreeMap;

use bytes::Bytes;
use sendoff_protocol::{Format, Outcome};
use serde::Serialize;

use super::book::{ActionId, HubId};
use super::journal::ExchangeId;
use super::{Instance, Order, Refused, Way, What, locked};
use crate::faults::Faults;
use crate::looker::{Fault, Trip};
use crate::recording::Recorded;
use crate::remarks::Remark;
use crate::request::{Cargo, Source};
use crate::verdict::{Call, Verdict};

/// What came of a call that was made again.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// Its number in the recording.
    pub recorded: u64,
    /// What it is.
    pub call: Call,
    /// The action.
    pub action: Option<String>,
    /// The status then.
    pub status_then: Option<u16>,
    /// The status now.
    pub status: Option<u16>,
    /// What the hub says, as Looker reads it; deliveries alone have one.
    pub outcome: Option<Outcome>,
    /// Why there is no answer.
    pub failure: Option<String>,
    /// The same, for those who tell the kinds apart.
    #[serde(skip)]
    pub fault: Option<Fault>,
    /// What Looker does with the answer.
    pub verdict: Verdict,
    /// What the protocol says to it.
    pub remarks: Vec<Remark>,
    /// The call.
    pub exchange: ExchangeId,
}

/// The data of a delivery that went by a download URL.
#[derive(Clone, Debug)]
pub enum ReplayData {
    /// What the hub fetched then.
    Recorded(Bytes),
    /// Something else, in the format asked for.
    Other(What, Option<Format>),
}

impl Instance {
    /// Makes a recorded call again, against a hub of this instance. `params` gives the values of
    /// those that the recording masks; those that an admin has typed in here count, too. `data` is
    /// for a delivery whose data went by a download URL.
    ///
    /// # Errors
    /// The call cannot be made again, or the hub has no such action.
    pub async fn replay(
        &self,
        hub: HubId,
        recorded: &Recorded,
        params: &BTreeMap<String, String>,
        faults: Faults,
        data: Option<ReplayData>,
    ) -> Result<Replayed, Refused> {
        let looker = self.looker(hub)?;
        let user = self.first_user()?;
        let action = recorded.action.clone().map(|name| ActionId { hub, name });
        let mut known = BTreeMap::new();
        if let Some(action) = &action {
            if let Ok((data, _)) = self.data_of(action, &user.id) {
                known.extend(data.0);
            }
            if let Some(state) = self.state_json(&user.id, action) {
                known.insert("state_json".to_owned(), state);
            }
        }
        known.extend(params.clone());
        let offered = match (data, &action) {
            (Some(data), Some(action)) if recorded.is_streamed() => {
                Some(self.offer_again(recorded, action, data, &faults).await?)
            }
            _ => None,
        };
        let replay = recorded.replay(&known, offered.as_deref());
        let replay = replay.map_err(|why| Refused(why.to_string()))?;
        let url = match (replay.call, &action) {
            (Call::List, _) | (_, None) => looker.list_url().to_owned(),
            (call, Some(action)) => {
                let book = locked(&self.0.book);
                let definition = book.known(action)?;
                match call {
                    Call::Execute => definition.url.clone(),
                    _ => definition.form_url.clone().ok_or_else(|| {
                        Refused(format!("The action `{}` has no form here.", action.name))
                    })?,
                }
            }
        };
        let trip = Trip { keep: Some(self.0.bodies.keep()), faults, ..Trip::default() };
        let mut answered = looker.replay_on(&url, &replay, trip).await;
        if let Some(offered) = &offered {
            answered.downloads = self.0.downloads.withdraw(offered);
        }
        let (verdict, remarks) = (answered.verdict.clone(), answered.remarks.clone());
        let change = answered.state.clone();
        let (outcome, fault) = match answered.answer.clone() {
            Ok(outcome) => (outcome, None),
            Err(fault) => (None, Some(fault)),
        };
        let status = answered.exchange.status;
        let exchange = self.note(answered, Some(&user.id)).await;
        if let Some(action) = &action {
            self.change_state(&user.id, action, change).await?;
        }
        Ok(Replayed {
            recorded: recorded.id,
            call: replay.call,
            action: recorded.action.clone(),
            status_then: recorded.response.as_ref().map(|response| response.status),
            status,
            outcome,
            failure: fault.as_ref().map(ToString::to_string),
            fault,
            verdict,
            remarks,
            exchange,
        })
    }
    /// Where the hub fetches the data this time.
    async fn offer_again(
        &self,
        recorded: &Recorded,
        action: &ActionId,
        data: ReplayData,
        faults: &Faults,
    ) -> Result<String, Refused> {
        let (format, source) = match data {
            ReplayData::Recorded(bytes) => (recorded.streamed_format(), Source::from(bytes)),
            ReplayData::Other(what, format) => {
                let definition = locked(&self.0.book).known(action)?.clone();
                let mut order = Order::new(action, what);
                order.format = format.or(Some(recorded.streamed_format()));
                order.way = Some(Way::Url);
                match self.load(&order, &definition).await?.delivery.cargo {
                    Cargo::Url { format, source } => (format, source),
                    _ => return Err(Refused::new("This content does not go by a download URL.")),
                }
            }
        };
        let offered = self.0.downloads.offer_with(format, source, faults.download(), None);
        offered.map_err(|error| Refused(format!("No download URL can be offered: {error}.")))
    }
}
