//! What Looker does with an answer: the sentence that its user and its admin would see.
//!
//! The sentences are this project's; where Looker's own words are known they are quoted.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::looker::Fault;

/// Which of Looker's calls, or of the hub's, an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Call {
    /// Looker lists the hub's actions.
    List,
    /// Looker draws a form for a user.
    Form,
    /// Looker tests an action that an admin enables.
    Test,
    /// Looker delivers.
    Execute,
    /// Looker exchanges what the login gave for tokens (OAuth v2).
    Token,
    /// The hub fetches a result.
    Download,
    /// The hub gives Looker a user's tokens (OAuth v1).
    State,
    /// A browser on a page of the login.
    Login,
    /// None of these; only a recording has such.
    Other,
}

impl Call {
    /// In records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Form => "form",
            Self::Test => "test",
            Self::Execute => "execute",
            Self::Token => "token",
            Self::Download => "download",
            Self::State => "state",
            Self::Login => "login",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How it stands with a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Looker takes it for a success, and it says that it is one.
    #[default]
    Success,
    /// Looker takes it for a success, and nothing in it says that it is one: to be shown in red.
    Mistaken,
    /// Looker takes it for a failure.
    Failure,
    /// Nobody outside Looker knows what it makes of it.
    Unknown,
}

/// What Looker does with an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it stands.
    pub severity: Severity,
    /// What the user sees.
    pub user: String,
    /// What an admin sees: in the schedule history, or on the page of the action or the hub.
    pub admin: String,
}

/// An answer, or why there is none.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// The status, where an answer began.
    pub status: Option<u16>,
    /// As much of the body as came.
    pub body: &'a [u8],
    /// Why no whole answer came.
    pub failure: Option<&'a Fault>,
    /// The action's name; empty where there is none.
    pub action: &'a str,
}

impl Verdict {
    fn new(severity: Severity, user: impl Into<String>, admin: impl Into<String>) -> Self {
        Self { severity, user: user.into(), admin: admin.into() }
    }
}

/// What Looker does with this.
pub fn looker_does(call: Call, heard: Heard<'_>) -> Verdict {
    match call {
        Call::Execute => execute(heard),
        Call::Form | Call::Test => form(call, heard),
        Call::List => list(heard),
        Call::Token => token(heard),
        Call::Download => download(heard),
        Call::State => state(heard),
        Call::Login | Call::Other => Verdict::default(),
    }
}

/// What Looker's user is told of a failed delivery, as one quoted it.
/// <https://github.com/looker-open-source/actions/issues/390>
fn an_error_occurred(action: &str) -> String {
    format!(
        "\"An error occurred for action …-integration://…::{action}. The action could not be \
         executed.\""
    )
}

fn history_fails(why: impl fmt::Display) -> String {
    format!("The schedule history shows a failure: {why}")
}

/// Why there is no whole answer, in Looker's place.
fn no_answer(heard: &Heard<'_>) -> Option<String> {
    let failure = heard.failure?;
    Some(match failure {
        Fault::Silent(_) => "Looker waits about 30 minutes for the next byte, then gives up with \
                             a time-out; the reason is told to nobody."
            .to_owned(),
        Fault::Stopped(_) => "Looker's side hung up: what the hub answers reaches nobody.".into(),
        Fault::Url(why) => format!("Looker cannot call the hub: {why}"),
        Fault::Broken(why) => format!("Looker has no answer: {why}"),
        Fault::Unreadable(why) => format!("Looker cannot read the answer: {why}"),
        Fault::Status(status, _) => format!("The hub answered status {status}."),
    })
}

fn execute(heard: Heard<'_>) -> Verdict {
    use Severity::{Failure, Mistaken, Success, Unknown};
    let error = an_error_occurred(heard.action);
    if matches!(heard.failure, Some(Fault::Status(..) | Fault::Unreadable(_))) {
        // Judged below, by status and body.
    } else if let Some(why) = no_answer(&heard) {
        return Verdict::new(Failure, error, history_fails(why));
    }
    let status = heard.status.unwrap_or_default();
    let value: Option<Value> = serde_json::from_slice(heard.body).ok();
    let envelope = value.as_ref().and_then(|value| value.get("looker"));
    if !(200..300).contains(&status) {
        let why = match envelope.and_then(|looker| looker.get("message")).and_then(Value::as_str) {
            Some(message) => format!("status {status}, \"{message}\""),
            None if (300..400).contains(&status) => {
                format!("status {status}; whether Looker follows a redirect is not known")
            }
            None if envelope.is_some() => {
                format!("status {status}, and `looker` gives no message, so nobody learns why")
            }
            None if heard.body.trim_ascii().is_empty() => {
                format!("status {status}, and the answer is empty, so nobody learns why")
            }
            None => format!("status {status}, without the reason, which stands outside `looker`"),
        };
        return Verdict::new(Failure, error, history_fails(why));
    }
    if heard.body.trim_ascii().is_empty() {
        return Verdict::new(
            Mistaken,
            "Nothing: it was sent.",
            "The schedule history shows a success, but the answer is empty: whatever became of the \
             data, Looker takes it for delivered.",
        );
    }
    let Some(value) = &value else {
        return Verdict::new(
            Unknown,
            "Either nothing or a failure: the answer is not JSON.",
            "Nobody outside Looker knows whether it takes an answer that it cannot read for a \
             success.",
        );
    };
    let Some(envelope) = envelope else {
        let says = match own_failure(value) {
            Some(says) => format!("the hub's own answer says {says}"),
            None => "the answer has no `looker` member".to_owned(),
        };
        return Verdict::new(
            Mistaken,
            "Nothing: it was sent.",
            format!(
                "The schedule history shows a success, though {says}: Looker reads `looker` alone."
            ),
        );
    };
    let message = envelope.get("message").and_then(Value::as_str).unwrap_or_default();
    match envelope.get("success") {
        None | Some(Value::Null | Value::Bool(true)) => {
            let admin = match message {
                "" => "The schedule history shows a success.".to_owned(),
                message => format!("The schedule history shows a success: \"{message}\""),
            };
            Verdict::new(Success, "Nothing: it was sent.", admin)
        }
        Some(Value::Bool(false)) => failed(envelope, message, error),
        Some(other) => Verdict::new(
            Unknown,
            "Either nothing or a failure.",
            format!("`success` is {other} and no boolean: what Looker makes of it is not known."),
        ),
    }
}

/// `looker.success` is false.
fn failed(envelope: &Value, message: &str, error: String) -> Verdict {
    let fields = envelope.get("validation_errors").and_then(Value::as_object);
    let fields: Vec<String> = fields
        .into_iter()
        .flatten()
        .map(|(field, why)| match why.as_str() {
            Some(why) => format!("{field}: {why}"),
            None => format!("{field}: {why}"),
        })
        .collect();
    let user = match fields.is_empty() {
        true => format!("{error} For a cell, the message."),
        false => format!("In the form, {}.", fields.join("; ").trim_end_matches('.')),
    };
    let admin = match message {
        "" => history_fails("the hub gives no message, so nobody learns why."),
        message => history_fails(format!("\"{message}\"")),
    };
    Verdict::new(Severity::Failure, user, admin)
}

/// What an answer without the envelope says of a failure in its own way.
fn own_failure(value: &Value) -> Option<String> {
    if value.get("success") == Some(&Value::Bool(false)) {
        return Some("`\"success\":false`".to_owned());
    }
    let error = value.get("error").filter(|error| !error.is_null() && **error != false)?;
    Some(format!("`\"error\":{}`", crate::check::cut(&error.to_string(), 80)))
}

fn form(call: Call, heard: Heard<'_>) -> Verdict {
    use Severity::{Failure, Success};
    let (place, test) = match call {
        Call::Test => ("The test on the action's page fails", true),
        _ => ("The form is not drawn", false),
    };
    let fail = |why: String| {
        let user =
            if test { "The action is not offered.".into() } else { format!("{place}: {why}") };
        Verdict::new(Failure, user, format!("{place}: {why}"))
    };
    let value: Option<Value> = serde_json::from_slice(heard.body).ok();
    let told = value.as_ref().and_then(|value| value.get("error")).and_then(Value::as_str);
    match (heard.failure, told) {
        (Some(Fault::Status(status, _)), _) => fail(format!("status {status}.")),
        (_, Some(told)) => fail(format!("\"{told}\"")),
        (Some(_), None) => fail(no_answer(&heard).unwrap_or_default()),
        (None, None) if value.is_none() => fail("the answer is not JSON.".to_owned()),
        (None, None) => match test {
            true => Verdict::new(Success, "The action is offered.", "The test succeeds."),
            false => Verdict::new(Success, "The form is drawn.", ""),
        },
    }
}

fn list(heard: Heard<'_>) -> Verdict {
    use Severity::{Failure, Success};
    let fail = |why: String| {
        let admin =
            format!("The hub's page shows an error and none of its actions can be used: {why}");
        Verdict::new(Failure, "No action of this hub is offered.", admin)
    };
    match heard.failure {
        Some(_) => fail(no_answer(&heard).unwrap_or_default()),
        None => Verdict::new(
            Success,
            "The actions that an admin enables are offered.",
            "The hub's page lists its actions.",
        ),
    }
}

fn token(heard: Heard<'_>) -> Verdict {
    match no_answer(&heard) {
        Some(why) => {
            let user = "The login seems done, but the form asks for it again.";
            Verdict::new(Severity::Failure, user, why)
        }
        None => Verdict::new(
            Severity::Success,
            "The login is done.",
            "Looker keeps the answer as this user's state.",
        ),
    }
}

fn download(heard: Heard<'_>) -> Verdict {
    match heard.status {
        Some(200) => Verdict::default(),
        status => Verdict::new(
            Severity::Failure,
            "Whatever the hub makes of it.",
            format!(
                "Looker refused the download with status {}: a hub that takes the page for data \
                 delivers an error page.",
                status.unwrap_or_default()
            ),
        ),
    }
}

fn state(heard: Heard<'_>) -> Verdict {
    match heard.status {
        Some(200..300) => Verdict::new(
            Severity::Success,
            "The login is done: the form can be drawn again.",
            "Looker keeps the tokens as this user's state.",
        ),
        _ => Verdict::new(
            Severity::Failure,
            "The login seems done, but the form asks for it again.",
            "Looker did not take the tokens.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard<'a>(status: u16, body: &'a str, failure: Option<&'a Fault>) -> Heard<'a> {
        Heard { status: Some(status), body: body.as_bytes(), failure, action: "debug" }
    }

    fn executed(status: u16, body: &str) -> (Severity, String, String) {
        let failure = (!(200..300).contains(&status)).then(|| Fault::Status(status, body.into()));
        let verdict = looker_does(Call::Execute, heard(status, body, failure.as_ref()));
        (verdict.severity, verdict.user, verdict.admin)
    }

    #[test]
    fn a_failure_that_looker_takes_for_a_success_is_red() {
        for body in ["", "\n\n", "{}", r#"{"success":false}"#, r#"{"error":"no"}"#, "[]"] {
            let (severity, user, admin) = executed(200, body);
            assert_eq!(severity, Severity::Mistaken, "{body}");
            assert!(user.starts_with("Nothing") && admin.contains("success"), "{admin}");
        }
        assert!(executed(200, r#"{"success":false}"#).2.contains("`\"success\":false`"));
        assert!(executed(200, r#"{"error":"no"}"#).2.contains("`\"error\":\"no\"`"));
    }

    #[test]
    fn an_envelope_is_believed() {
        let (severity, user, admin) =
            executed(200, "\n{\"looker\":{\"success\":true,\"message\":\"Stored.\"}}");
        assert_eq!((severity, user.as_str()), (Severity::Success, "Nothing: it was sent."));
        assert_eq!(admin, "The schedule history shows a success: \"Stored.\"");
        assert_eq!(executed(200, r#"{"looker":{}}"#).0, Severity::Success);
        let (severity, user, admin) =
            executed(200, r#"{"looker":{"success":false,"message":"No bucket."}}"#);
        assert_eq!(severity, Severity::Failure);
        assert!(user.contains("::debug. The action could not be executed."), "{user}");
        assert_eq!(admin, "The schedule history shows a failure: \"No bucket.\"");
        let fields =
            r#"{"looker":{"success":false,"validation_errors":{"path":"must end with /."}}}"#;
        let (_, user, admin) = executed(200, fields);
        assert_eq!(user, "In the form, path: must end with /.");
        assert!(admin.contains("nobody learns why"), "{admin}");
    }

    #[test]
    fn other_answers_are_told_apart() {
        assert_eq!(executed(200, "<html>").0, Severity::Unknown);
        assert_eq!(executed(200, r#"{"looker":{"success":"no"}}"#).0, Severity::Unknown);
        assert!(executed(302, "").2.contains("redirect"));
        assert!(executed(404, r#"{"success":false,"error":"x"}"#).2.contains("outside `looker`"));
        assert!(executed(500, r#"{"looker":{"message":"Why."}}"#).2.contains("\"Why.\""));
        let silent = executed(500, r#"{"looker":{"success":true}}"#).2;
        assert!(silent.contains("`looker` gives no message"), "{silent}");
        assert!(executed(502, " ").2.contains("the answer is empty"));
        for (fault, says) in [
            (Fault::Silent("…".into()), "30 minutes"),
            (Fault::Broken("No connection.".into()), "No connection."),
            (Fault::Stopped("…".into()), "hung up"),
        ] {
            let heard = Heard { status: None, body: b"", failure: Some(&fault), action: "a" };
            let verdict = looker_does(Call::Execute, heard);
            assert_eq!(verdict.severity, Severity::Failure);
            assert!(verdict.admin.contains(says), "{verdict:?}");
        }
        // An answer that broke off after its start is no success, whatever its start says.
        let fault = Fault::Broken("The answer broke off.".into());
        let whole = r#"{"looker":{"success":true}}"#;
        assert_eq!(
            looker_does(Call::Execute, heard(200, whole, Some(&fault))).severity,
            Severity::Failure
        );
    }

    #[test]
    fn forms_lists_and_logins_have_their_own_sentences() {
        let refused = Fault::Status(403, "no".into());
        let unreadable = Fault::Unreadable("expected value".into());
        let of = |call, body: &'static str, fault| looker_does(call, heard(200, body, fault));
        assert_eq!(of(Call::Form, "[]", None).severity, Severity::Success);
        assert_eq!(
            of(Call::Form, r#"{"error":"No bucket."}"#, None).user,
            "The form is not drawn: \"No bucket.\""
        );
        assert!(of(Call::Form, "<form>", None).user.contains("not JSON"));
        assert_eq!(of(Call::Test, "[]", None).admin, "The test succeeds.");
        assert!(of(Call::Test, "", Some(&refused)).admin.contains("status 403"));
        assert_eq!(of(Call::List, "{}", None).severity, Severity::Success);
        assert!(of(Call::List, "<", Some(&unreadable)).admin.contains("none of its actions"));
        assert_eq!(of(Call::Token, "{}", None).severity, Severity::Success);
        assert_eq!(of(Call::Token, "", Some(&refused)).severity, Severity::Failure);
        assert_eq!(looker_does(Call::Download, heard(404, "", None)).severity, Severity::Failure);
        assert_eq!(looker_does(Call::State, heard(400, "", None)).severity, Severity::Failure);
        assert_eq!(looker_does(Call::State, heard(200, "", None)).severity, Severity::Success);
    }
}
