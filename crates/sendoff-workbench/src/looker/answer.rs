//! Reads answers as Looker does.

use sendoff_protocol::{Executed, Form, Listing, Outcome, State};
use serde::Deserialize;
use serde_json::Value;

use super::Fault;

/// What an answer does to the state that Looker keeps for a user and an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// It becomes this.
    Set {
        /// The state.
        data: String,
        /// After so many seconds the form is asked for again.
        refresh_time: Option<u64>,
    },
    /// It is wiped: `data` is null. **A**
    Wipe,
}

pub(super) fn listing(body: Vec<u8>, _: &mut Option<StateChange>) -> Result<Listing, Fault> {
    read(&body)
}

/// A form, and the state that came with it.
pub(super) fn form(body: Vec<u8>, state: &mut Option<StateChange>) -> Result<Form, Fault> {
    let mut value: Value = read(&body)?;
    *state = take_state(&mut value);
    serde_json::from_value(value).map_err(unreadable)
}

/// `{"looker": …}`; a 2xx with nothing in it is a success all the same.
pub(super) fn outcome(body: Vec<u8>, state: &mut Option<StateChange>) -> Result<Outcome, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(Outcome::default());
    }
    let mut value: Value = read(&body)?;
    let Some(looker) = value.get_mut("looker") else { return Ok(Outcome::default()) };
    *state = take_state(looker);
    let executed: Executed = serde_json::from_value(value).map_err(unreadable)?;
    Ok(executed.looker)
}

/// Reads `state` leniently, and takes it away where it is not as the protocol says, so that it
/// does not spoil the rest.
fn take_state(value: &mut Value) -> Option<StateChange> {
    let state = value.get("state")?;
    let change = match state.get("data") {
        Some(Value::String(data)) => Some(StateChange::Set {
            data: data.clone(),
            refresh_time: state.get("refresh_time").and_then(Value::as_u64),
        }),
        Some(Value::Null) => Some(StateChange::Wipe),
        _ => None,
    };
    if State::deserialize(state).is_err()
        && let Some(object) = value.as_object_mut()
    {
        object.remove("state");
    }
    change
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Fault {
    Fault::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_set_wiped_or_left_alone() {
        let of = |state: &str| {
            let mut change = None;
            let body = format!(r#"{{"looker":{{"success":false,"state":{state}}}}}"#);
            let outcome = outcome(body.into_bytes(), &mut change).unwrap();
            assert!(!outcome.success, "{state}");
            change
        };
        let set = |refresh_time| Some(StateChange::Set { data: "x".into(), refresh_time });
        assert_eq!(of(r#"{"data":"x"}"#), set(None));
        assert_eq!(of(r#"{"data":"x","refresh_time":600}"#), set(Some(600)));
        assert_eq!(of(r#"{"data":"x","refreshTime":600}"#), set(None));
        assert_eq!(of(r#"{"data":"x","refresh_time":"soon"}"#), set(None));
        assert_eq!(of(r#"{"data":null}"#), Some(StateChange::Wipe));
        assert_eq!(of("null"), None);
        assert_eq!(of("[]"), None);
    }

    #[test]
    fn a_form_gives_its_state_in_an_object() {
        let mut change = None;
        let body = br#"{"fields":[{"name":"a"}],"state":{"data":null}}"#.to_vec();
        assert_eq!(form(body, &mut change).unwrap().fields().len(), 1);
        assert_eq!(change, Some(StateChange::Wipe));
        assert!(form(b"<form>".to_vec(), &mut change).is_err());
    }
}
