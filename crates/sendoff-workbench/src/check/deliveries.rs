//! The answer to one real delivery, made with the action that may be executed.

use serde_json::Value;

use super::Check;
use super::Strength::{A, B, C};
use super::forms;
use super::judge::{Stop, ensure, given, inapplicable, shown, wrong};
use super::probe::{Probe, body_text};
use super::refusals::{envelope, told};
use super::wire::{Ended, Heard};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "execute/delivery/is-answered",
        title: "A delivery is answered",
        rule: "A delivery gets an answer; newlines may come before it.",
        looker: "Looker waits about 30 minutes and tells a time-out.",
        section: "10",
        strength: B,
        wrong: "the connection closes without an answer",
        right: r#"HTTP/1.1 200 OK {"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                p.executed()?;
                match p.delivery().await {
                    Err(Stop::Inapplicable(why)) => wrong(why),
                    Err(stop) => Err(stop),
                    Ok(_) => Ok(()),
                }
            })
        },
    },
    Check {
        id: "execute/delivery/answer-follows",
        title: "After a newline the answer follows and ends",
        rule: "An answer that began comes to its end.",
        looker: "Looker waits about 30 more minutes, then shows a time-out; the user never sees the \
                 reason. The reference does this when an action fails after its first newline.",
        section: "14.2",
        strength: B,
        wrong: "200 · \"\\n\" at 30 s · nothing more",
        right: r#"200 · "\n" at 30 s · {"looker": {"success": false, "message": "…"}}"#,
        ask: |p| {
            Box::pin(async move {
                match &p.delivery().await?.ended {
                    Ended::Whole => Ok(()),
                    Ended::Broken(why) => wrong(why),
                    Ended::Silent => wrong("the answer began and does not end"),
                }
            })
        },
    },
    Check {
        id: "execute/delivery/not-empty",
        title: "An answer says something",
        rule: "A 2xx answer to a delivery is not empty.",
        looker: "Looker takes it for a success, whatever became of the data.",
        section: "5.8",
        strength: C,
        wrong: "HTTP/1.1 200 OK, no body",
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                let heard = whole(p).await?;
                ensure(!heard.body.trim_ascii().is_empty(), || "the answer is empty".to_owned())
            })
        },
    },
    Check {
        id: "execute/delivery/is-json",
        title: "An answer is one JSON document",
        rule: "After its newlines the answer to a delivery is one JSON object.",
        looker: "Looker cannot read it, and either believes or refuses everything.",
        section: "5.8",
        strength: A,
        wrong: "OK",
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                let heard = whole(p).await?;
                if heard.body.trim_ascii().is_empty() {
                    return inapplicable("the answer is empty (execute/delivery/not-empty)");
                }
                match serde_json::from_slice::<Value>(&heard.body) {
                    Ok(Value::Object(_)) => Ok(()),
                    _ => wrong(told(heard)),
                }
            })
        },
    },
    Check {
        id: "execute/delivery/in-envelope",
        title: "An answer has the member `looker`",
        rule: "The answer to a delivery is `{\"looker\": {…}}`.",
        looker: "Anything outside `looker` is ignored, so that a failure passes for a success.",
        section: "5.8",
        strength: A,
        wrong: r#"{"success": true}"#,
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                let heard = whole(p).await?;
                if !serde_json::from_slice::<Value>(&heard.body).is_ok_and(|b| b.is_object()) {
                    return inapplicable("it is no JSON object (execute/delivery/is-json)");
                }
                ensure(envelope(heard).is_some(), || told(heard))
            })
        },
    },
    Check {
        id: "execute/delivery/succeeds",
        title: "The delivery succeeds",
        rule: "The delivery with the params and fields of this run is answered 200 and is not told \
               to have failed.",
        looker: "Looker shows the failure in the schedule history.",
        section: "5.8",
        strength: A,
        wrong: r#"{"looker": {"success": false, "message": "…"}}"#,
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                let heard = whole(p).await?;
                ensure(heard.status == 200, || told(heard))?;
                let Some(envelope) = envelope(heard) else {
                    return inapplicable("there is no envelope (execute/delivery/in-envelope)");
                };
                ensure(given(&envelope, "success") != Some(&Value::Bool(false)), || told(heard))
            })
        },
    },
    Check {
        id: "execute/delivery/success-is-boolean",
        title: "`success` of a delivery is a boolean",
        rule: "`looker.success` is true or false, not a text.",
        looker: "What a text means to Looker is not known.",
        section: "5.8",
        strength: A,
        wrong: r#"{"looker": {"success": "true"}}"#,
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| Box::pin(async move { member(p, "success", Value::is_boolean).await }),
    },
    Check {
        id: "execute/delivery/refresh-is-boolean",
        title: "`refresh_query` is a boolean",
        rule: "`looker.refresh_query`, where it is given, is true or false.",
        looker: "Looker runs the query again if it is true.",
        section: "5.8",
        strength: A,
        wrong: r#""refresh_query": "yes""#,
        right: r#""refresh_query": true"#,
        ask: |p| Box::pin(async move { member(p, "refresh_query", Value::is_boolean).await }),
    },
    Check {
        id: "execute/delivery/message-is-text",
        title: "`message` is a text",
        rule: "`looker.message`, where it is given, is a text.",
        looker: "Looker shows something else in the schedule history, or nothing.",
        section: "5.8",
        strength: A,
        wrong: r#""message": {}"#,
        right: r#""message": "3 rows were added.""#,
        ask: |p| Box::pin(async move { member(p, "message", Value::is_string).await }),
    },
    Check {
        id: "execute/delivery/state-data-is-text",
        title: "The state of an answer is a text",
        rule: "`looker.state.data`, where an answer sets state, is a text or null.",
        looker: "Looker stores a text; anything else does not come back as it was.",
        section: "7",
        strength: A,
        wrong: r#""state": {"data": {"token": "t"}}"#,
        right: r#""state": {"data": "{\"token\":\"t\"}"}"#,
        ask: |p| Box::pin(async move { state(p, forms::data_is_no_text).await }),
    },
    Check {
        id: "execute/delivery/state-small",
        title: "The state of an answer fits into Looker",
        rule: "`looker.state.data` has at most 32 KB.",
        looker: "Looker stores no more; the user has to log in each time.",
        section: "7",
        strength: A,
        wrong: "a state of 40 KB",
        right: "a state of 1 KB",
        ask: |p| Box::pin(async move { state(p, forms::data_is_long).await }),
    },
    Check {
        id: "execute/delivery/state-refresh-name",
        title: "The state of an answer is asked to be refreshed by `refresh_time`",
        rule: "`looker.state` has no `refreshTime`.",
        looker: "Looker reads `refresh_time` only.",
        section: "7",
        strength: A,
        wrong: r#""state": {"data": "…", "refreshTime": 600}"#,
        right: r#""state": {"data": "…", "refresh_time": 600}"#,
        ask: |p| Box::pin(async move { state(p, forms::refresh_is_misnamed).await }),
    },
    Check {
        id: "execute/delivery/state-refresh-is-number",
        title: "The refresh time of an answer is a number of seconds",
        rule: "`looker.state.refresh_time`, where it is given, is a whole number.",
        looker: "Looker does not know when to ask again.",
        section: "7",
        strength: A,
        wrong: r#""refresh_time": "10 minutes""#,
        right: r#""refresh_time": 600"#,
        ask: |p| Box::pin(async move { state(p, forms::refresh_is_no_number).await }),
    },
];

/// The delivery's answer, where it is whole and 2xx.
pub(super) async fn whole<'p>(p: &'p Probe<'_>) -> Result<&'p Heard, Stop> {
    let heard = p.delivery().await?;
    if heard.ended != Ended::Whole {
        return inapplicable("the answer does not end (execute/delivery/answer-follows)");
    }
    Ok(heard)
}

async fn enveloped(p: &Probe<'_>) -> Result<Value, Stop> {
    match envelope(whole(p).await?) {
        Some(envelope) => Ok(envelope),
        None => inapplicable("there is no envelope (execute/delivery/in-envelope)"),
    }
}

async fn member(p: &Probe<'_>, name: &str, right: fn(&Value) -> bool) -> super::judge::Verdict {
    let envelope = enveloped(p).await?;
    let odd = given(&envelope, name).filter(|value| !right(value));
    ensure(odd.is_none(), || format!("`{name}` is {}", odd.map(shown).unwrap_or_default()))
}

/// What is wrong with the state that the delivery's answer sets.
async fn state(p: &Probe<'_>, look: fn(&Value) -> Option<String>) -> super::judge::Verdict {
    let envelope = enveloped(p).await?;
    match given(&envelope, "state") {
        Some(state) => super::judge::none_of(look(state)),
        None => inapplicable("the answer sets no state"),
    }
}

/// The delivery succeeded, so that another that differs in one thing shows that thing.
pub(super) async fn succeeded(p: &Probe<'_>) -> Result<(), Stop> {
    let heard = whole(p).await?;
    let told = envelope(heard).is_some_and(|e| given(&e, "success") == Some(&Value::Bool(false)));
    if heard.status != 200 || told || body_text(heard).trim().is_empty() {
        return inapplicable("the plain delivery does not succeed (execute/delivery/succeeds)");
    }
    Ok(())
}
