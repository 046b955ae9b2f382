//! Recorded calls made again, against any hub of the instance.

use std::collections::BTreeMap;

use sendoff_protocol::Outcome;
use serde::Serialize;

use super::book::{ActionId, HubId};
use super::journal::ExchangeId;
use super::{Instance, Refused, locked};
use crate::faults::Faults;
use crate::looker::{Fault, Trip};
use crate::recording::Recorded;
use crate::remarks::Remark;
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

impl Instance {
    /// Makes a recorded call again, against a hub of this instance. `params` gives the values of
    /// those that the recording masks; those that an admin has typed in here count, too.
    ///
    /// # Errors
    /// The call cannot be made again, or the hub has no such action.
    pub async fn replay(
        &self,
        hub: HubId,
        recorded: &Recorded,
        params: &BTreeMap<String, String>,
        faults: Faults,
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
        let replay = recorded.replay(&known).map_err(|why| Refused(why.to_string()))?;
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
        let answered = looker.replay_on(&url, &replay, trip).await;
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
}
