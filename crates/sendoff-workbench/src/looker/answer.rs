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
    serde_json::from_slice(body).map_err(|error| match web_page(&String::from_utf8_lossy(body)) {
        Some(page) => Fault::Unreadable(format!("it is {page} and no JSON.")),
        None => unreadable(error),
    })
}

/// Longer texts are no sentences.
const TOLD_AT_MOST: usize = 1_000;

/// An answer's text as it stands in a sentence: of a web page its title.
pub(super) fn told(text: &str) -> String {
    web_page(text).unwrap_or_else(|| crate::check::cut(text.trim(), TOLD_AT_MOST))
}

/// What servers that are no hub answer.
pub(crate) fn web_page(text: &str) -> Option<String> {
    let start = text.trim_start().get(..5)?.to_ascii_lowercase();
    if start != "<!doc" && start != "<html" {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").zip(lower.find("</title>"));
    let title = title.and_then(|(from, to)| text.get(from + "<title>".len()..to));
    let title: Vec<&str> = title.unwrap_or_default().split_whitespace().collect();
    Some(match title.is_empty() {
        false => format!("a web page, \"{}\"", crate::check::cut(&title.join(" "), 100)),
        true => "a web page".to_owned(),
    })
}

fn unreadable(error: serde_json::Error) -> Fault {
    Fault::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_is_told_by_its_title() {
        let page = "\n<!DOCTYPE HTML>\n<html><head><TITLE> Error\nresponse </TITLE></head>…";
        assert_eq!(told(page), "a web page, \"Error response\"");
        assert_eq!(told("<html></title><title>"), "a web page");
        assert_eq!(told(" no\n"), "no");
        assert_eq!(told("<…"), "<…");
        let listed = listing(page.as_bytes().to_vec(), &mut None).unwrap_err();
        assert!(listed.to_string().contains("it is a web page"), "{listed}");
    }

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
