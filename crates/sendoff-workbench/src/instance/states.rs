//! The state that Looker keeps per user and action: at most 32 KB, given back with every form and
//! delivery, refreshed by drawing the form again.

use jiff::{Timestamp, ToSpan};
use sendoff_protocol::Members;
use serde::{Deserialize, Serialize};

use super::book::ActionId;
use super::{Instance, Refused, locked};
use crate::looker::{StateChange, Trip};
use crate::remarks::LONGEST_STATE;
use crate::verdict::Call;

/// A state is refreshed once in so many seconds at most. **A**
const SHORTEST_REFRESH: u64 = 600;

/// The state of one user with one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptState {
    /// The user.
    pub user: String,
    /// The action.
    pub action: ActionId,
    /// What is given back as `data.state_json`.
    pub data: String,
    /// After so many seconds the form is drawn again.
    pub refresh_time: Option<u64>,
    /// Since when it is that.
    pub since: Timestamp,
    /// When the form was drawn last to refresh it.
    pub refreshed: Option<Timestamp>,
}

impl KeptState {
    /// When it is to be refreshed.
    pub fn due(&self) -> Option<Timestamp> {
        let seconds = self.refresh_time?.max(SHORTEST_REFRESH);
        let from = self.refreshed.unwrap_or(self.since).max(self.since);
        from.checked_add(i64::try_from(seconds).ok()?.seconds()).ok()
    }
}

/// How a state is reset by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// It is given back as `"reset"`, as after the reference hub reset it.
    Reset,
    /// It is given back as `"null"`, which hubs meet later.
    Null,
    /// It is gone: no `state_json` at all.
    Gone,
}

impl Instance {
    /// The states that are kept.
    pub fn states(&self) -> Vec<KeptState> {
        locked(&self.0.book).states.clone()
    }

    /// The state of a user with an action.
    pub fn state(&self, user: &str, action: &ActionId) -> Option<KeptState> {
        let book = locked(&self.0.book);
        book.states.iter().find(|state| state.user == user && state.action == *action).cloned()
    }

    /// Gives a user this state, as a login would.
    ///
    /// # Errors
    /// It is over 32 KB, or it cannot be kept.
    pub async fn set_state(
        &self,
        user: &str,
        action: &ActionId,
        data: &str,
    ) -> Result<(), Refused> {
        if data.len() > LONGEST_STATE {
            return Err(Refused(format!(
                "The state has {} bytes; Looker keeps 32 KB.",
                data.len()
            )));
        }
        let change = StateChange::Set { data: data.to_owned(), refresh_time: None };
        self.change_state(user, action, Some(change)).await
    }

    /// Resets a user's state with an action.
    ///
    /// # Errors
    /// It cannot be kept.
    pub async fn reset_state(
        &self,
        user: &str,
        action: &ActionId,
        how: Reset,
    ) -> Result<(), Refused> {
        let data = match how {
            Reset::Reset => "reset",
            Reset::Null => "null",
            Reset::Gone => return self.change_state(user, action, Some(StateChange::Wipe)).await,
        };
        let change = StateChange::Set { data: data.to_owned(), refresh_time: None };
        self.change_state(user, action, Some(change)).await
    }

    /// Does to the state what an answer says. One that is over 32 KB is not kept: the one before
    /// stays, and the exchange has a remark that says so.
    pub(super) async fn change_state(
        &self,
        user: &str,
        action: &ActionId,
        change: Option<StateChange>,
    ) -> Result<(), Refused> {
        let Some(change) = change else { return Ok(()) };
        {
            let mut book = locked(&self.0.book);
            let place = book.states.iter().position(|s| s.user == user && s.action == *action);
            match change {
                StateChange::Set { data, .. } if data.len() > LONGEST_STATE => return Ok(()),
                StateChange::Set { data, refresh_time } => {
                    let refreshed = place.and_then(|at| book.states[at].refreshed);
                    let state = KeptState {
                        user: user.to_owned(),
                        action: action.clone(),
                        data,
                        refresh_time,
                        since: Timestamp::now(),
                        refreshed,
                    };
                    match place {
                        Some(at) => book.states[at] = state,
                        None => book.states.push(state),
                    }
                }
                StateChange::Wipe => {
                    if let Some(at) = place {
                        book.states.remove(at);
                    }
                }
            }
        }
        self.0.rescheduled.notify_one();
        self.saved().await
    }

    /// `data.state_json`, as it goes into the next call.
    pub(super) fn state_json(&self, user: &str, action: &ActionId) -> Option<String> {
        let data = self.state(user, action)?.data;
        match data.as_str() {
            "reset" if self.habits().null_after_reset => Some("null".to_owned()),
            _ => Some(data),
        }
    }

    /// Draws the forms whose states are due, so that hubs can renew what is in them.
    pub(super) async fn refresh_due(&self, now: Timestamp) {
        let due: Vec<_> = {
            let mut book = locked(&self.0.book);
            let is_due = |state: &&mut KeptState| state.due().is_some_and(|due| due <= now);
            let due = book.states.iter_mut().filter(is_due);
            due.map(|state| {
                state.refreshed = Some(now);
                (state.user.clone(), state.action.clone())
            })
            .collect()
        };
        for (user, action) in due {
            self.refresh(&user, &action).await;
        }
    }

    async fn refresh(&self, user: &str, action: &ActionId) {
        let found = {
            let book = locked(&self.0.book);
            book.definition(action).cloned().zip(book.user(user).ok().cloned())
        };
        let Some((definition, person)) = found else { return };
        let Ok(looker) = self.looker(action.hub) else { return };
        let none = Members::default();
        let delivery = self.form_delivery(action, &definition, &person, None, none);
        let trip = Trip { keep: Some(self.0.bodies.keep()), ..Trip::default() };
        let answered = looker.form_on(Call::Form, &definition, delivery, trip).await;
        let change = answered.state.clone();
        self.note(answered, Some(user)).await;
        // A state that could not be kept on disk is kept in memory all the same.
        let _ = self.change_state(user, action, change).await;
    }
}
