//! Calls that a hub has to refuse, and how it says so. None of them can deliver anything.

use sendoff_protocol::WEBHOOK_ID;
use serde_json::Value;

use super::Check;
use super::Strength::{A, B, D};
use super::forms::elsewhere;
use super::judge::{
    Stop, Verdict, ensure, given, inapplicable, none_of, shown, stack_trace, text, wrong,
};
use super::probe::{Probe, body_text};
use super::subject::With;
use super::wire::{Ended, Heard};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "execute/error/is-answered",
        title: "A delivery that cannot be made is answered",
        rule: "An execute call without a required param gets an answer that comes to its end.",
        looker: "Looker waits about 30 minutes and tells a time-out; the reason is lost.",
        section: "14.2",
        strength: B,
        wrong: "HTTP/1.1 200 OK, a newline, and nothing more",
        right: r#"HTTP/1.1 200 OK {"looker": {"success": false, "message": "…"}}"#,
        ask: |p| {
            Box::pin(async move {
                let (action, url) = p.safe_action()?;
                match p.post(url, p.hub.json(&p.refused_body(action))).await {
                    Ok(heard) => match heard.ended {
                        Ended::Whole => Ok(()),
                        Ended::Broken(why) => wrong(why),
                        Ended::Silent => wrong("the answer began and does not end"),
                    },
                    Err(deaf) => wrong(deaf.why()),
                }
            })
        },
    },
    Check {
        id: "execute/error/missing-param",
        title: "A missing param is no success",
        rule: "An execute call without a required param is told to have failed.",
        looker: "Looker tells the user that the data was sent.",
        section: "5.8",
        strength: A,
        wrong: r#"{"looker": {"success": true}}"#,
        right: r#"{"looker": {"success": false, "message": "The API key is missing."}}"#,
        ask: |p| {
            Box::pin(async move {
                let heard = p.refusal().await?;
                ensure(!believed(heard), || {
                    format!("Looker takes it for a success: {}", told(heard))
                })
            })
        },
    },
    Check {
        id: "execute/error/in-envelope",
        title: "A failure is told inside `looker`",
        rule: "A missing param is answered with `{\"looker\": {\"success\": false}}`.",
        looker: "Everything outside `looker` is ignored: the user reads \"An error occurred\" and \
                 nobody learns which param is missing.",
        section: "5.8",
        strength: A,
        wrong: r#"HTTP/1.1 404 Not Found {"success": false, "error": "…"}"#,
        right: r#"HTTP/1.1 200 OK {"looker": {"success": false, "message": "…"}}"#,
        ask: |p| {
            Box::pin(async move {
                let heard = told_failure(p).await?;
                ensure(envelope(heard).is_some(), || told(heard))
            })
        },
    },
    Check {
        id: "execute/error/is-200",
        title: "A failure is told with status 200",
        rule: "A missing param that is told inside `looker` is answered with status 200.",
        looker: "Any other status is a failure, too, but whether Looker then reads what stands in \
                 `looker` is not documented; the reference always answers 200.",
        section: "5.8",
        strength: D,
        wrong: r#"HTTP/1.1 400 Bad Request {"looker": {"success": false, "message": "…"}}"#,
        right: r#"HTTP/1.1 200 OK {"looker": {"success": false, "message": "…"}}"#,
        ask: |p| {
            Box::pin(async move {
                let heard = told_failure(p).await?;
                if envelope(heard).is_none() {
                    return inapplicable("there is no envelope (execute/error/in-envelope)");
                }
                ensure(heard.status == 200, || told(heard))
            })
        },
    },
    Check {
        id: "execute/error/own-words",
        title: "A failure is not the hub's own",
        rule: "A missing param is not answered with 5xx.",
        looker: "\"Internal server error.\" names nobody who could act. The reference answers so \
                 when an action in a process of its own fails.",
        section: "14.4",
        strength: B,
        wrong: r#"HTTP/1.1 500 {"success": false, "error": "Internal server error."}"#,
        right: r#"{"looker": {"success": false, "message": "The API key is missing."}}"#,
        ask: |p| {
            Box::pin(async move {
                let heard = p.refusal().await?;
                ensure(heard.status < 500, || format!("status {}", heard.status))
            })
        },
    },
    Check {
        id: "execute/error/success-is-boolean",
        title: "`success` is a boolean",
        rule: "`looker.success` is true or false, not a text.",
        looker: "`\"false\"` in quotes is easily taken for true.",
        section: "5.8",
        strength: A,
        wrong: r#"{"looker": {"success": "false"}}"#,
        right: r#"{"looker": {"success": false}}"#,
        ask: |p| {
            Box::pin(async move {
                let envelope = refused(p).await?;
                let odd = given(&envelope, "success").filter(|success| !success.is_boolean());
                ensure(odd.is_none(), || format!("it is {}", odd.map(shown).unwrap_or_default()))
            })
        },
    },
    Check {
        id: "execute/error/message-is-text",
        title: "A failure has a message",
        rule: "`looker.message` of a failure is a text that is not empty.",
        looker: "It stands in the schedule history; without it nobody learns what to do.",
        section: "5.8",
        strength: A,
        wrong: r#"{"looker": {"success": false, "message": {}}}"#,
        right: r#"{"looker": {"success": false, "message": "The API key is missing."}}"#,
        ask: |p| {
            Box::pin(async move {
                let envelope = refused(p).await?;
                ensure(text(&envelope, "message").is_some(), || {
                    format!("`message` is {}", shown(&envelope["message"]))
                })
            })
        },
    },
    Check {
        id: "execute/error/validation-shape",
        title: "Validation errors are texts by field",
        rule: "`looker.validation_errors`, where it is given, is an object of texts.",
        looker: "Looker shows each beside its field of the form.",
        section: "5.8",
        strength: A,
        wrong: r#""validation_errors": ["path is missing"]"#,
        right: r#""validation_errors": {"path": "Enter a path."}"#,
        ask: |p| {
            Box::pin(async move {
                let envelope = refused(p).await?;
                let errors = given(&envelope, "validation_errors");
                let texts = |errors: &Value| {
                    errors.as_object().is_some_and(|errors| errors.values().all(Value::is_string))
                };
                ensure(errors.is_none_or(texts), || {
                    format!("it is {}", errors.map(shown).unwrap_or_default())
                })
            })
        },
    },
    Check {
        id: "execute/error/detail-shape",
        title: "A failure's details have their shape",
        rule: "`looker.error`, where it is given, is an object: `http_code` a number, `status_code`, \
               `message`, `location` and `documentation_url` texts.",
        looker: "The reference added it for Lookers that show more of a failure than its message.",
        section: "5.8",
        strength: B,
        wrong: r#""error": "The API key is missing.""#,
        right: r#""error": {"http_code": 400, "status_code": "INVALID_ARGUMENT", "message": "…"}"#,
        ask: |p| {
            Box::pin(async move {
                let envelope = refused(p).await?;
                let Some(error) = given(&envelope, "error") else {
                    return inapplicable("the answer has no `error`");
                };
                ensure(error.is_object(), || format!("it is {}", shown(error)))?;
                let odd = |(member, value): (&String, &Value)| {
                    let right = match member.as_str() {
                        "http_code" => value.is_u64(),
                        "status_code" | "message" | "location" | "documentation_url" => {
                            value.is_string()
                        }
                        _ => true,
                    };
                    let wrong = !right && !value.is_null();
                    wrong.then(|| format!("`error.{member}` is {}", shown(value)))
                };
                none_of(error.as_object().into_iter().flatten().filter_map(odd))
            })
        },
    },
    Check {
        id: "execute/error/webhook-id",
        title: "An answer names the delivery",
        rule: "`looker.webhookId` repeats the header `X-Looker-Webhook-Id`.",
        looker: "By it the hub's log and Looker's are brought together.",
        section: "5.8",
        strength: B,
        wrong: r#"{"looker": {"success": false}}"#,
        right: r#"{"looker": {"success": false, "webhookId": "0f1e…"}}"#,
        ask: |p| {
            Box::pin(async move {
                refused(p).await?;
                let (action, url) = p.safe_action()?;
                let ask = p.hub.ask(url, With::Token, p.hub.json(&p.refused_body(action)));
                let sent = ask.headers.get(WEBHOOK_ID).and_then(|id| id.to_str().ok());
                let sent = sent.map(str::to_owned);
                let answer = p.send(ask).await;
                let Some(envelope) = answer.as_ref().ok().and_then(envelope) else {
                    return inapplicable("there is no envelope (execute/error/in-envelope)");
                };
                ensure(text(&envelope, "webhookId") == sent.as_deref(), || {
                    format!("`webhookId` is {}", shown(&envelope["webhookId"]))
                })
            })
        },
    },
    Check {
        id: "execute/error/no-stack",
        title: "A failure tells no stack trace",
        rule: "The answer to a call that has to fail holds no stack trace.",
        looker: "Users see it, and it tells strangers how the hub is built.",
        section: "5.8",
        strength: D,
        wrong: "TypeError: x is undefined\n    at execute (/app/src/hub.ts:12:3)",
        right: r#"{"looker": {"success": false, "message": "The API key is missing."}}"#,
        ask: |p| {
            Box::pin(async move {
                let trace = stack_trace(&body_text(p.refusal().await?));
                ensure(trace.is_none(), || format!("it holds {:?}", trace.unwrap_or_default()))
            })
        },
    },
    Check {
        id: "execute/type/missing",
        title: "A call without a type is refused",
        rule: "An execute call whose `type` is null is no success.",
        looker: "A success for a call that says nothing is none.",
        section: "5.1",
        strength: B,
        wrong: r#"{"looker": {"success": true}}"#,
        right: r#"{"looker": {"success": false, "message": "…"}}"#,
        ask: |p| Box::pin(async move { not_believed(p, |body| body["type"] = Value::Null).await }),
    },
    Check {
        id: "execute/type/unknown",
        title: "A call of an unknown type is refused",
        rule: "An execute call whose `type` is no type of Looker's is no success.",
        looker: "Looker tells the user that the data was sent.",
        section: "14.5",
        strength: B,
        wrong: r#"{"looker": {"success": true}}"#,
        right: r#"{"looker": {"success": false, "message": "…"}}"#,
        ask: |p| {
            Box::pin(async move {
                not_believed(p, |body| body["type"] = "conformance_check".into()).await
            })
        },
    },
    Check {
        id: "execute/unknown/refused",
        title: "An unknown action is refused",
        rule: "An execute call to an action that is not there is no success.",
        looker: "Schedules to a renamed action go on as successes.",
        section: "3",
        strength: B,
        wrong: "HTTP/1.1 200 OK",
        right: "HTTP/1.1 404 Not Found",
        ask: |p| {
            Box::pin(async move {
                let (action, url) = p.safe_action()?;
                let Some(url) = elsewhere(url, action.name()) else {
                    return inapplicable("the execute URL does not hold the action's name");
                };
                match p.post(&url, p.hub.json(&p.refused_body(action))).await {
                    Ok(heard) => ensure(!believed(&heard), || told(&heard)),
                    Err(deaf) => inapplicable(deaf.why()),
                }
            })
        },
    },
];

/// The members of `looker`.
pub(super) fn envelope(heard: &Heard) -> Option<Value> {
    let mut answer: Value = serde_json::from_slice(&heard.body).ok()?;
    answer.get_mut("looker").filter(|looker| looker.is_object()).map(Value::take)
}

/// Whether Looker takes the answer for a success: any 2xx that does not say otherwise inside the
/// envelope. **C**
pub(super) fn believed(heard: &Heard) -> bool {
    let told = envelope(heard).is_some_and(|e| {
        given(&e, "success").is_some_and(|success| *success == false || *success == "false")
    });
    (200..300).contains(&heard.status) && !told
}

/// The answer as it is quoted.
pub(super) fn told(heard: &Heard) -> String {
    format!("status {}, {:?}", heard.status, super::judge::cut(body_text(heard).trim(), 100))
}

/// The answer to a call with a param missing, where it is told to have failed and the hub itself
/// has not.
async fn told_failure<'p>(p: &'p Probe<'_>) -> Result<&'p Heard, Stop> {
    let heard = p.refusal().await?;
    if heard.status >= 500 {
        return inapplicable("the hub failed (execute/error/own-words)");
    }
    if believed(heard) {
        return inapplicable("it is told as a success (execute/error/missing-param)");
    }
    Ok(heard)
}

/// The envelope of the answer to a call with a param missing.
async fn refused(p: &Probe<'_>) -> Result<Value, Stop> {
    let heard = p.refusal().await?;
    match envelope(heard) {
        Some(_) if believed(heard) => {
            inapplicable("it is told as a success (execute/error/missing-param)")
        }
        Some(envelope) => Ok(envelope),
        None => inapplicable("there is no envelope (execute/error/in-envelope)"),
    }
}

/// A call that cannot be carried out is told so.
async fn not_believed(p: &Probe<'_>, twist: impl FnOnce(&mut Value)) -> Verdict {
    let (action, url) = p.safe_action()?;
    // A hub that takes a missing param for a success has one fault, not many.
    if let Ok(heard) = p.refusal().await
        && believed(heard)
    {
        return inapplicable("every call is a success (execute/error/missing-param)");
    }
    let mut body = p.refused_body(action);
    twist(&mut body);
    match p.post(url, p.hub.json(&body)).await {
        Ok(heard) => ensure(!believed(&heard), || told(&heard)),
        Err(deaf) => inapplicable(deaf.why()),
    }
}
