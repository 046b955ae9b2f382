//! What the protocol says to a line of an exchange, beside that line.
//!
//! Where a check judges the same, its words are used, so that the two never differ.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::{self, Strength, stack_trace};
use crate::exchange::Exchange;
use crate::verdict::{Call, Heard};

/// Which line of an exchange a remark concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "part", content = "name")]
pub enum Place {
    /// Method and URL.
    RequestLine,
    /// A header of the request.
    RequestHeader(String),
    /// A member of the request's body, by its name.
    RequestMember(String),
    /// The answer's status.
    Status,
    /// A header of the answer.
    AnswerHeader(String),
    /// The answer's body as a whole.
    AnswerBody,
    /// A member of the answer's body, by its name.
    AnswerMember(String),
}

/// What the protocol says to a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The line.
    pub place: Place,
    /// What is there.
    pub text: String,
    /// What Looker does with it; may be empty.
    pub looker: String,
    /// How well that is known.
    pub strength: Strength,
    /// Where it stands: `5.8`.
    pub section: String,
    /// The check that judges the same, for `sendoff explain`.
    pub check: Option<String>,
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}, Action API §{}]", self.text, self.strength, self.section)
    }
}

/// The longest state that Looker keeps. **A**
pub(crate) const LONGEST_STATE: usize = check::LONGEST_STATE;

/// Remarks on an exchange, in the order of its lines.
pub fn remarks(call: Call, exchange: &Exchange, heard: Heard<'_>) -> Vec<Remark> {
    let mut found = Found(Vec::new());
    if heard.status.is_none() {
        return found.0;
    }
    found.line(call, exchange, heard);
    let body = heard.body.trim_ascii();
    let value: Option<Value> = serde_json::from_slice(body).ok();
    match call {
        Call::Execute => found.outcome(heard, value.as_ref()),
        Call::Form | Call::Test => found.form(value.as_ref()),
        Call::List => found.list(value.as_ref()),
        _ => {}
    }
    if let Some(trace) = stack_trace(&String::from_utf8_lossy(heard.body)) {
        let text = format!("The answer tells a stack trace ({trace:?}).");
        found.check("execute/error/no-stack", Place::AnswerBody, text);
    }
    found.0
}

struct Found(Vec<Remark>);

impl Found {
    /// In the words of the check.
    fn check(&mut self, id: &str, place: Place, text: impl Into<String>) {
        let Some(check) = check::find(id) else { return };
        self.0.push(Remark {
            place,
            text: text.into(),
            looker: check.looker.to_owned(),
            strength: check.strength,
            section: check.section.to_owned(),
            check: Some(id.to_owned()),
        });
    }

    fn note(&mut self, place: Place, text: impl Into<String>, strength: Strength, section: &str) {
        self.0.push(Remark {
            place,
            text: text.into(),
            looker: String::new(),
            strength,
            section: section.to_owned(),
            check: None,
        });
    }

    /// Status, headers, and the time it took.
    fn line(&mut self, call: Call, exchange: &Exchange, heard: Heard<'_>) {
        let status = heard.status.unwrap_or_default();
        if (300..400).contains(&status) {
            let text = "A redirect: whether Looker follows one is not known.";
            self.note(Place::Status, text, Strength::D, "15");
        }
        let kind = header(&exchange.response_headers, "content-type").unwrap_or_default();
        if (200..300).contains(&status) && !kind.contains("json") && !heard.body.is_empty() {
            let place = Place::AnswerHeader("content-type".to_owned());
            let text = format!("The answer is not said to be JSON, but {kind:?}.");
            self.check("list/answer/content-type", place, text);
        }
        if call == Call::Execute && heard.body.starts_with(b"\n") {
            let text = "Newlines keep the connection open while the hub works; Looker reads on.";
            self.note(Place::AnswerBody, text, Strength::B, "5.8");
        }
        if exchange.url.starts_with("https://") || on_this_machine(&exchange.url) {
            return;
        }
        let text = "The call goes unencrypted.";
        self.check("path/tls/encrypted", Place::RequestLine, text);
    }

    fn outcome(&mut self, heard: Heard<'_>, value: Option<&Value>) {
        let status = heard.status.unwrap_or_default();
        let success = (200..300).contains(&status);
        if heard.body.trim_ascii().is_empty() {
            if success {
                self.check("execute/delivery/not-empty", Place::AnswerBody, "The answer is empty.");
            }
            return;
        }
        let value = match value {
            Some(value) => value,
            None if success => {
                let text = "The answer is not JSON.";
                return self.check("execute/delivery/is-json", Place::AnswerBody, text);
            }
            None => &Value::Null,
        };
        let Some(looker) = value.get("looker") else {
            return match success {
                true => self.check(
                    "execute/delivery/in-envelope",
                    Place::AnswerBody,
                    "The answer has no member `looker`.",
                ),
                false => self.check(
                    "execute/error/in-envelope",
                    Place::Status,
                    format!("Answered {status} outside the `looker` envelope."),
                ),
            };
        };
        if let Some(object) = value.as_object()
            && let Some(outside) = object.keys().find(|name| *name != "looker")
        {
            let text = format!("`{outside}` stands outside `looker`: Looker ignores it.");
            self.note(Place::AnswerMember(outside.clone()), text, Strength::A, "5.8");
        }
        let odd = |name: &str, right: fn(&Value) -> bool| {
            looker.get(name).filter(|value| !value.is_null() && !right(value)).map(Value::to_string)
        };
        for (name, right, kind, id) in [
            (
                "success",
                Value::is_boolean as fn(&Value) -> bool,
                "boolean",
                "execute/delivery/success-is-boolean",
            ),
            ("refresh_query", Value::is_boolean, "boolean", "execute/delivery/refresh-is-boolean"),
            ("message", Value::is_string, "text", "execute/delivery/message-is-text"),
            (
                "validation_errors",
                Value::is_object,
                "object of texts",
                "execute/error/validation-shape",
            ),
        ] {
            if let Some(odd) = odd(name, right) {
                let text = format!("`{name}` is {}, no {kind}.", check::cut(&odd, 60));
                self.check(id, Place::AnswerMember(name.to_owned()), text);
            }
        }
        if looker.get("success") == Some(&Value::Bool(false))
            && looker.get("message").and_then(Value::as_str).is_none_or(str::is_empty)
        {
            let place = Place::AnswerMember("success".to_owned());
            self.check("execute/error/message-is-text", place, "The failure has no message.");
        }
        self.state(looker, "execute/delivery/state-refresh-name");
    }

    fn form(&mut self, value: Option<&Value>) {
        let Some(value) = value else {
            return self.check("form/answer/is-json", Place::AnswerBody, "The form is not JSON.");
        };
        if let Some(error) = value.get("error").filter(|e| !e.is_null() && !e.is_string()) {
            let text = format!("`error` is {}, no text.", check::cut(&error.to_string(), 60));
            self.check("form/error/is-text", Place::AnswerMember("error".to_owned()), text);
        }
        let known =
            value.is_array() || value.get("fields").is_some() || value.get("error").is_some();
        if !known {
            let text = "It is neither an array of fields, nor has it `fields` or `error`.";
            self.check("form/answer/shape", Place::AnswerBody, text);
        }
        for field in check::fields_of(value) {
            self.field(field);
        }
        self.state(value, "form/state/refresh-name");
    }

    fn field(&mut self, field: &Value) {
        let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
        let kind = field.get("type").and_then(Value::as_str).unwrap_or_default();
        let known = [
            "",
            "string",
            "text",
            "textarea",
            "select",
            "oauth_link",
            "oauth_link_google",
            "message",
        ];
        let place = || Place::AnswerMember(name.to_owned());
        if !known.contains(&kind) {
            let text = format!("Field `{name}` has the type {kind:?}, which Looker does not know.");
            self.check("form/field/type-known", place(), text);
        }
        self.types(field, name);
        let options = field.get("options").and_then(Value::as_array);
        if kind == "select" && options.is_none_or(Vec::is_empty) {
            let text = format!("Field `{name}` is a select without options.");
            self.check("form/field/select-has-options", place(), text);
        }
        if kind.starts_with("oauth_link") {
            let url = field.get("oauth_url").and_then(Value::as_str).unwrap_or_default();
            if !url.starts_with("http") {
                let text = format!("Field `{name}` leads to {url:?}, which is not absolute.");
                self.check("form/field/link-is-absolute", place(), text);
            }
        }
    }

    /// Members of a field that have another type than the protocol says.
    fn types(&mut self, field: &Value, name: &str) {
        let texts = ["label", "description", "default", "oauth_url", "value"];
        let texts = texts.map(|member| (member, Value::is_string as fn(&Value) -> bool, "no text"));
        let switches = ["interactive", "required"];
        let switches = switches.map(|member| {
            (member, Value::is_boolean as fn(&Value) -> bool, "neither true nor false")
        });
        for (member, is_right, what) in texts.into_iter().chain(switches) {
            let Some(value) = field.get(member) else { continue };
            if !value.is_null() && !is_right(value) {
                let value = check::cut(&value.to_string(), 60);
                let text = format!("Field `{name}`: `{member}` is {value}, {what}.");
                self.note(Place::AnswerMember(name.to_owned()), &text, Strength::A, "6");
            }
        }
    }

    fn state(&mut self, holder: &Value, refresh_name: &str) {
        let Some(state) = holder.get("state").filter(|state| !state.is_null()) else { return };
        if state.get("refreshTime").is_some() {
            let place = Place::AnswerMember("refreshTime".to_owned());
            self.check(refresh_name, place, "`refreshTime` is not read by Looker.");
        }
        let place = || Place::AnswerMember("data".to_owned());
        match state.get("data") {
            Some(Value::String(data)) if data.len() > LONGEST_STATE => {
                let text = format!("The state has {} bytes; Looker keeps 32 KB.", data.len());
                self.check("form/state/small", place(), text);
            }
            Some(Value::String(_)) => {}
            Some(Value::Null) => {
                self.note(place(), "Null wipes the state that Looker keeps.", Strength::A, "7");
            }
            other => {
                let other = other.map_or("absent".to_owned(), Value::to_string);
                let text = format!("`state.data` is {}, no text.", check::cut(&other, 60));
                self.check("form/state/data-is-text", place(), text);
            }
        }
        let place = Place::AnswerMember("refresh_time".to_owned());
        match state.get("refresh_time") {
            None | Some(Value::Null) => {}
            Some(Value::Number(seconds)) => {
                if seconds.as_f64().is_some_and(|seconds| seconds < 600.0) {
                    let text = format!(
                        "Every {seconds} s is asked for; Looker comes every 600 s at most."
                    );
                    self.check("form/state/refresh-seldom", place, text);
                }
            }
            Some(other) => {
                let text = format!("`refresh_time` is {other}, no number of seconds.");
                self.check("form/state/refresh-is-number", place, text);
            }
        }
    }

    fn list(&mut self, value: Option<&Value>) {
        let Some(value) = value.filter(|value| value.is_object()) else {
            let text = "The list is not a JSON object.";
            return self.check("list/answer/is-json", Place::AnswerBody, text);
        };
        let actions = value.get("integrations").and_then(Value::as_array);
        let Some(actions) = actions else {
            let text = "`integrations` is no array.";
            return self.check("list/answer/integrations-are-a-list", Place::AnswerBody, text);
        };
        for action in actions {
            let name = action.get("name").and_then(Value::as_str).unwrap_or("(without a name)");
            let url = action.get("url").and_then(Value::as_str).unwrap_or_default();
            if !url.starts_with("http") {
                let text = format!("The URL of `{name}` is {url:?}, which is not absolute.");
                self.check("list/action/url-absolute", Place::AnswerMember(name.to_owned()), text);
            }
        }
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

fn on_this_machine(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or_default();
    ["127.", "localhost", "[::1]"].iter().any(|near| host.starts_with(near))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(call: Call, status: u16, body: &str) -> Vec<Remark> {
        let exchange = Exchange {
            url: "http://127.0.0.1:1/".into(),
            status: Some(status),
            response_headers: vec![("Content-Type".into(), "application/json".into())],
            ..Exchange::default()
        };
        let heard =
            Heard { status: Some(status), body: body.as_bytes(), failure: None, action: "a" };
        remarks(call, &exchange, heard)
    }

    fn ids(call: Call, status: u16, body: &str) -> Vec<String> {
        of(call, status, body).into_iter().map(|r| r.check.unwrap_or_default()).collect()
    }

    #[test]
    fn a_right_answer_needs_no_remark() {
        assert_eq!(of(Call::Execute, 200, r#"{"looker":{"success":true}}"#), []);
        assert_eq!(of(Call::Form, 200, r#"[{"name":"a","type":"text"}]"#), []);
        assert_eq!(
            of(Call::List, 200, r#"{"integrations":[{"name":"a","url":"https://h/"}]}"#),
            []
        );
    }

    #[test]
    fn each_remark_stands_at_its_line_and_in_the_words_of_its_check() {
        let found = of(Call::Execute, 404, r#"{"success":false,"error":"no such action"}"#);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, Place::Status);
        assert_eq!(found[0].text, "Answered 404 outside the `looker` envelope.");
        assert_eq!(found[0].looker, check::find("execute/error/in-envelope").unwrap().looker);

        let state = r#"{"fields":[],"state":{"data":"x","refreshTime":600}}"#;
        let found = of(Call::Form, 200, state);
        assert_eq!(found[0].place, Place::AnswerMember("refreshTime".into()));
        assert_eq!(found[0].text, "`refreshTime` is not read by Looker.");
        assert_eq!(
            found[0].to_string(),
            format!("{} [{}, Action API §7]", found[0].text, found[0].strength)
        );
    }

    #[test]
    fn the_remarks_of_executes() {
        for (status, body, want) in [
            (200, "", &["execute/delivery/not-empty"][..]),
            (200, "<p>", &["execute/delivery/is-json"]),
            (200, "{}", &["execute/delivery/in-envelope"]),
            (200, r#"{"looker":{"success":"yes"}}"#, &["execute/delivery/success-is-boolean"]),
            (200, r#"{"looker":{"message":{}}}"#, &["execute/delivery/message-is-text"]),
            (200, r#"{"looker":{"success":false}}"#, &["execute/error/message-is-text"]),
            (200, r#"{"looker":{"validation_errors":[]}}"#, &["execute/error/validation-shape"]),
            (200, r#"{"looker":{"state":{"data":{}}}}"#, &["form/state/data-is-text"]),
            (
                200,
                r#"{"looker":{"state":{"data":"","refresh_time":5}}}"#,
                &["form/state/refresh-seldom"],
            ),
            (
                200,
                r#"{"looker":{"state":{"data":"","refresh_time":"5"}}}"#,
                &["form/state/refresh-is-number"],
            ),
            (
                500,
                "Traceback (most recent call last)",
                &["execute/error/in-envelope", "execute/error/no-stack"],
            ),
            (302, r#"{"looker":{}}"#, &[""]),
            (200, "\n{\"looker\":{}}", &[""]),
            (200, r#"{"looker":{},"extra":1}"#, &[""]),
            (200, r#"{"looker":{"state":{"data":null}}}"#, &[""]),
        ] {
            assert_eq!(ids(Call::Execute, status, body), want, "{status} {body}");
        }
        let long = format!(r#"{{"looker":{{"state":{{"data":"{}"}}}}}}"#, "x".repeat(40_000));
        assert_eq!(ids(Call::Execute, 200, &long), ["form/state/small"]);
    }

    #[test]
    fn the_remarks_of_forms_and_lists() {
        for (call, body, want) in [
            (Call::Form, "<form>", "form/answer/is-json"),
            (Call::Form, "{}", "form/answer/shape"),
            (Call::Form, r#"{"error":{}}"#, "form/error/is-text"),
            (Call::Form, r#"[{"name":"a","type":"date"}]"#, "form/field/type-known"),
            (Call::Form, r#"[{"name":"a","type":"select"}]"#, "form/field/select-has-options"),
            (
                Call::Form,
                r#"[{"name":"a","type":"oauth_link","oauth_url":"/x"}]"#,
                "form/field/link-is-absolute",
            ),
            (Call::List, "<html>", "list/answer/is-json"),
            (Call::List, "{}", "list/answer/integrations-are-a-list"),
            (
                Call::List,
                r#"{"integrations":[{"name":"a","url":"/x"}]}"#,
                "list/action/url-absolute",
            ),
        ] {
            assert_eq!(ids(call, 200, body), [want], "{body}");
        }
    }

    #[test]
    fn members_of_another_type_are_named() {
        let body =
            br#"[{"name":"a","default":5,"required":"true","label":"A","interactive":null}]"#;
        let heard = Heard { status: Some(200), body, failure: None, action: "" };
        let found = remarks(Call::Form, &Exchange::default(), heard);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        for want in [
            "Field `a`: `default` is 5, no text.",
            "`required` is \"true\", neither true nor false.",
        ] {
            assert!(told.iter().any(|told| told.contains(want)), "{told:?}");
        }
        let fields = told.iter().filter(|told| told.starts_with("Field"));
        assert_eq!(fields.count(), 2, "{told:?}");
    }

    #[test]
    fn a_call_over_the_internet_in_clear_is_remarked() {
        let exchange = Exchange { url: "http://hub.example/".into(), ..Exchange::default() };
        let heard = Heard { status: Some(200), body: b"", failure: None, action: "" };
        let found = remarks(Call::Form, &exchange, heard);
        assert!(found.iter().any(|remark| remark.place == Place::RequestLine), "{found:?}");
    }
}
