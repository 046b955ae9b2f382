//! The answers to form calls as a whole: status, shape, state, and what the calls may carry.

use serde_json::{Value, json};

use super::Check;
use super::Strength::{A, B, C, D};
use super::judge::{Stop, Verdict, cut, ensure, given, inapplicable, none_of, shown, text, wrong};
use super::probe::{Probe, body_text};
use super::samples::slowly;
use super::subject::{Action, Drawn, fields_of};
use super::wire::{Deaf, Ended, Heard};
use crate::request::RequestBody;

/// What Looker keeps of a user's state.
pub(crate) const LONGEST_STATE: usize = 32 * 1024;
/// Looker asks for a new form no oftener than every 10 minutes, in seconds.
const SHORTEST_REFRESH: u64 = 600;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "form/answer/is-answered",
        title: "Every form call is answered whole",
        rule: "A form call gets an answer that comes to its end.",
        looker: "The page that waits for the form shows an error after a long time.",
        section: "6",
        strength: A,
        wrong: "the connection closes without an answer",
        right: "HTTP/1.1 200 OK []",
        ask: |p| {
            Box::pin(async move {
                p.each_form(|drawn| match &drawn.shown.heard {
                    Ok(heard) if heard.ended == Ended::Whole => None,
                    Ok(heard) => Some(format!("{:?}", heard.ended)),
                    // Told by list/urls/reachable.
                    Err(Deaf::Unreachable(_) | Deaf::Certificate(_) | Deaf::Url(_)) => None,
                    Err(deaf) => Some(deaf.why().to_owned()),
                })
                .await
            })
        },
    },
    Check {
        id: "form/answer/is-200",
        title: "Every form is drawn without answers",
        rule: "A form call without params, answers or state is answered with status 200.",
        looker: "Enabling an action runs a test that makes this very call: the action cannot be \
                 enabled.",
        section: "3",
        strength: A,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: r#"HTTP/1.1 200 OK [{"name": "path", "label": "Path"}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_form(|drawn| {
                    let heard = drawn.shown.heard.as_ref().ok()?;
                    (heard.status != 200).then(|| format!("status {}", heard.status))
                })
                .await
            })
        },
    },
    Check {
        id: "form/answer/is-json",
        title: "Every form is JSON",
        rule: "The answer to a form call is JSON.",
        looker: "Looker cannot draw it; the user sees an error in place of the form.",
        section: "6",
        strength: A,
        wrong: "<form><input name=path></form>",
        right: r#"[{"name": "path", "label": "Path"}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_form(|drawn| {
                    let heard = answered(drawn)?;
                    let bad = drawn.form.is_none();
                    bad.then(|| format!("it is {:?}", cut(&body_text(heard), 60)))
                })
                .await
            })
        },
    },
    Check {
        id: "form/answer/shape",
        title: "A form is an array of fields, or says why there is none",
        rule: "The answer is an array of objects, an object with `fields`, or one with `error`.",
        looker: "Looker finds no fields and shows an empty form.",
        section: "6",
        strength: A,
        wrong: r#"{"path": {"type": "string"}}"#,
        right: r#"{"fields": [{"name": "path"}], "state": {"data": "…"}}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_form(|drawn| {
                    let form = drawn.form.as_ref().filter(|_| answered(drawn).is_some())?;
                    let known = given(form, "error").is_some()
                        || form.is_array()
                        || form.get("fields").is_some_and(Value::is_array);
                    let objects = fields_of(form).iter().all(Value::is_object);
                    (!(known && objects)).then(|| format!("it is {}", shown(form)))
                })
                .await
            })
        },
    },
    Check {
        id: "form/answer/prompt",
        title: "Forms are drawn promptly",
        rule: "A form call is answered within the patience of this run, 5 s unless set.",
        looker: "The form is fetched anew whenever it is shown, while the user looks on.",
        section: "6",
        strength: D,
        wrong: "an answer after 12 s",
        right: "an answer after 0.2 s",
        ask: |p| {
            Box::pin(async move {
                let patience = p.patience();
                p.each_form(|drawn| {
                    let took = answered(drawn)?.took;
                    let slow = took > patience;
                    slow.then(|| format!("it took {:.1} s", took.as_secs_f64()))
                })
                .await
            })
        },
    },
    Check {
        id: "form/error/is-text",
        title: "A form's error is a sentence",
        rule: "`error`, where a form has it, is a text that is not empty.",
        looker: "Looker shows it in place of the form and in the schedule history.",
        section: "6",
        strength: A,
        wrong: r#"{"error": {}}"#,
        right: r#"{"error": "The API key is wrong. An admin can change it."}"#,
        ask: |p| {
            Box::pin(async move {
                let error = |drawn: &Drawn| {
                    let form = drawn.form.as_ref()?;
                    given(form, "error").map(|_| form.clone())
                };
                p.each_form_with(
                    |drawn| error(drawn).is_some(),
                    "no form has an `error`",
                    |drawn| {
                        let form = error(drawn)?;
                        let bad = text(&form, "error").is_none();
                        bad.then(|| format!("`error` is {}", shown(&form["error"])))
                    },
                )
                .await
            })
        },
    },
    Check {
        id: "form/request/nulls",
        title: "A form call with nulls is taken",
        rule: "`data` and `form_params` may be null.",
        looker: "Looker sends nulls where there are no params and no answers yet.",
        section: "5.1",
        strength: A,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: "HTTP/1.1 200 OK []",
        ask: |p| {
            Box::pin(async move {
                drawn_again(p, |body| {
                    body["data"] = Value::Null;
                    body["form_params"] = Value::Null;
                })
                .await
            })
        },
    },
    Check {
        id: "form/request/unknown-members",
        title: "Members that the hub does not know do no harm",
        rule: "A form call with more members, and with answers to fields that are not there, is \
               answered.",
        looker: "Looker grows: `async_callback_url` came in 2023, `state_redir_url` in 2025.",
        section: "5.1",
        strength: C,
        wrong: "HTTP/1.1 422 Unprocessable Entity",
        right: "HTTP/1.1 200 OK []",
        ask: |p| {
            Box::pin(async move {
                drawn_again(p, |body| {
                    body["webhook_version"] = 3.into();
                    body["scheduled_plan"] =
                        json!({"scheduled_plan_id": null, "new_member": {"deep": []}});
                    body["form_params"]["conformance_check_field"] = "x".into();
                })
                .await
            })
        },
    },
    Check {
        id: "form/request/chunked",
        title: "A form call may come in pieces",
        rule: "A body in several chunks with pauses between is read whole.",
        looker: "Looker's bodies are chunked and have no length.",
        section: "2",
        strength: A,
        wrong: "HTTP/1.1 400 Bad Request",
        right: "HTTP/1.1 200 OK []",
        ask: |p| {
            Box::pin(async move {
                let (action, url) = plain_form(p).await?;
                let body = p.form_body(action).to_string();
                let (start, end) = body.split_at(body.len() / 2);
                let pieces = vec![start.to_owned().into(), end.to_owned().into()];
                reads(p.post(url, slowly(pieces, p.pause())).await)
            })
        },
    },
    Check {
        id: "form/state/reset",
        title: "A state that was reset reads as no state",
        rule: "With `state_json` as `reset`, `null` or empty the form is drawn, with a login link \
               if there has to be one.",
        looker: "Looker sends these words after a hub has reset its state. A hub that fails on them \
                 never lets the user log in again.",
        section: "7",
        strength: B,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: r#"[{"name": "login", "type": "oauth_link", "oauth_url": "https://…"}]"#,
        ask: |p| Box::pin(async move { with_state(p, &["reset", "null", ""]).await }),
    },
    Check {
        id: "form/state/unreadable",
        title: "A state that cannot be read reads as no state",
        rule: "With `state_json` as broken JSON, or as a state of another hub, the form is drawn.",
        looker: "An error that escapes here makes a loop of logins without end.",
        section: "7",
        strength: B,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: r#"[{"name": "login", "type": "oauth_link", "oauth_url": "https://…"}]"#,
        ask: |p| {
            Box::pin(async move {
                with_state(p, &["{\"tokens\":", "[]", "{\"cid\":\"0\",\"payload\":\"x\"}"]).await
            })
        },
    },
    Check {
        id: "form/state/data-is-text",
        title: "State is a text",
        rule: "`state.data`, where a form sets state, is a text or null.",
        looker: "Looker stores a text; anything else does not come back as it was.",
        section: "7",
        strength: A,
        wrong: r#""state": {"data": {"token": "t"}}"#,
        right: r#""state": {"data": "{\"token\":\"t\"}"}"#,
        ask: |p| Box::pin(async move { each_state(p, data_is_no_text).await }),
    },
    Check {
        id: "form/state/small",
        title: "State fits into Looker",
        rule: "`state.data` has at most 32 KB.",
        looker: "Looker stores no more; the user has to log in each time.",
        section: "7",
        strength: A,
        wrong: "a state of 40 KB",
        right: "a state of 1 KB",
        ask: |p| Box::pin(async move { each_state(p, data_is_long).await }),
    },
    Check {
        id: "form/state/refresh-name",
        title: "The refresh time is called `refresh_time`",
        rule: "State asks to be refreshed by `refresh_time`, not by `refreshTime`.",
        looker: "Looker reads `refresh_time` only. The reference writes the other name, so that its \
                 tokens are never refreshed.",
        section: "7",
        strength: A,
        wrong: r#""state": {"data": "…", "refreshTime": 600}"#,
        right: r#""state": {"data": "…", "refresh_time": 600}"#,
        ask: |p| Box::pin(async move { each_state(p, refresh_is_misnamed).await }),
    },
    Check {
        id: "form/state/refresh-is-number",
        title: "The refresh time is a number of seconds",
        rule: "`refresh_time`, where it is given, is a whole number.",
        looker: "Looker does not know when to ask again.",
        section: "7",
        strength: A,
        wrong: r#""refresh_time": "10 minutes""#,
        right: r#""refresh_time": 600"#,
        ask: |p| Box::pin(async move { each_state(p, refresh_is_no_number).await }),
    },
    Check {
        id: "form/state/refresh-seldom",
        title: "State asks to be refreshed every 10 minutes at most",
        rule: "`refresh_time` is at least 600.",
        looker: "Looker asks every 10 minutes at most, whatever the hub wants.",
        section: "7",
        strength: D,
        wrong: r#""refresh_time": 60"#,
        right: r#""refresh_time": 3000"#,
        ask: |p| {
            Box::pin(async move {
                each_state(p, |state| {
                    let time = given(state, "refresh_time")?.as_u64()?;
                    (time < SHORTEST_REFRESH).then(|| format!("`refresh_time` is {time}"))
                })
                .await
            })
        },
    },
    Check {
        id: "form/unknown/not-drawn",
        title: "An unknown action has no form",
        rule: "A form call to an action that is not there is answered with 4xx, or with `error`.",
        looker: "A renamed action seems to be alive, and fails when it is sent to.",
        section: "3",
        strength: B,
        wrong: "HTTP/1.1 200 OK []",
        right: "HTTP/1.1 404 Not Found",
        ask: |p| {
            Box::pin(async move {
                let (action, url) = plain_form(p).await?;
                let Some(url) = elsewhere(url, action.name()) else {
                    return inapplicable("the form URL does not hold the action's name");
                };
                match p.post(&url, p.hub.json(&p.form_body(action))).await {
                    Ok(heard) => {
                        let form: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
                        let told = heard.status >= 400 || given(&form, "error").is_some();
                        ensure(told, || format!("status {}, {}", heard.status, shown(&form)))
                    }
                    Err(deaf) => inapplicable(deaf.why()),
                }
            })
        },
    },
];

/// The answer, where it has status 200 and is whole.
pub(super) fn answered(drawn: &Drawn) -> Option<&Heard> {
    let heard = drawn.shown.heard.as_ref().ok()?;
    (heard.status == 200 && heard.ended == Ended::Whole).then_some(heard)
}

/// The same URL for an action that is not there.
pub(super) fn elsewhere(url: &str, name: &str) -> Option<String> {
    let (before, after) = url.rsplit_once(&format!("/{name}"))?;
    (after.is_empty() || after.starts_with(['/', '?']))
        .then(|| format!("{before}/no_such_action{after}"))
}

/// The first action whose form was drawn.
async fn plain_form<'a>(p: &Probe<'a>) -> Result<(Action<'a>, &'a str), Stop> {
    let actions = p.actions()?;
    for drawn in p.forms().await? {
        if let (Some(_), Some(action)) = (answered(drawn), actions.get(drawn.action))
            && drawn.form.is_some()
            && let Some(url) = action.form_url()
        {
            return Ok((*action, url));
        }
    }
    inapplicable("there is no form that could be drawn (form/answer/is-200)")
}

fn reads(answer: Result<Heard, Deaf>) -> Verdict {
    match answer {
        Ok(heard) if heard.status != 200 => wrong(format!("status {}", heard.status)),
        Ok(heard) if serde_json::from_slice::<Value>(&heard.body).is_err() => {
            wrong(format!("the answer is {:?}", cut(&body_text(&heard), 60)))
        }
        Ok(_) => Ok(()),
        Err(deaf) => wrong(deaf.why()),
    }
}

/// A form that is drawn is drawn with a twist in the call, too.
async fn drawn_again(p: &Probe<'_>, twist: impl FnOnce(&mut Value)) -> Verdict {
    let (action, url) = plain_form(p).await?;
    let mut body = p.form_body(action);
    twist(&mut body);
    let body: RequestBody = p.hub.json(&body);
    reads(p.post(url, body).await)
}

/// An action with a login first, as its form reads the state.
async fn with_state(p: &Probe<'_>, states: &[&str]) -> Verdict {
    let login = p.actions()?.into_iter().find(|action| action.is("uses_oauth"));
    let (action, url) = match login.and_then(|action| Some((action, action.form_url()?))) {
        Some(found) => found,
        None => plain_form(p).await?,
    };
    let drawn = p.forms().await?.iter().find(|drawn| {
        p.actions().is_ok_and(|a| a.get(drawn.action).is_some_and(|a| a.name() == action.name()))
    });
    if drawn.is_none_or(|drawn| answered(drawn).is_none() || drawn.form.is_none()) {
        return inapplicable("the form is not drawn without state either (form/answer/is-200)");
    }
    let mut problems = Vec::new();
    for state in states {
        let mut body = p.form_body(action);
        body["data"]["state_json"] = (*state).into();
        if let Err(Stop::Wrong(why)) = reads(p.post(url, p.hub.json(&body)).await) {
            problems.push(format!("{}: with state {state:?} {why}", action.name()));
            break;
        }
    }
    none_of(problems)
}

pub(super) fn data_is_no_text(state: &Value) -> Option<String> {
    let data = given(state, "data").filter(|data| !data.is_string())?;
    Some(format!("`state.data` is {}", shown(data)))
}

pub(super) fn data_is_long(state: &Value) -> Option<String> {
    let length = text(state, "data")?.len();
    (length > LONGEST_STATE).then(|| format!("`state.data` has {length} bytes"))
}

pub(super) fn refresh_is_misnamed(state: &Value) -> Option<String> {
    given(state, "refreshTime").map(|_| "`refreshTime` is not read".to_owned())
}

pub(super) fn refresh_is_no_number(state: &Value) -> Option<String> {
    let time = given(state, "refresh_time").filter(|time| !time.is_u64())?;
    Some(format!("`refresh_time` is {}", shown(time)))
}

/// What is wrong with the state that forms set.
async fn each_state(p: &Probe<'_>, look: impl Fn(&Value) -> Option<String>) -> Verdict {
    let state = |drawn: &Drawn| drawn.form.as_ref().and_then(|f| given(f, "state")).cloned();
    let look = |drawn: &Drawn| look(&state(drawn)?);
    p.each_form_with(|drawn| state(drawn).is_some(), "no form sets state", look).await
}

#[cfg(test)]
mod tests {
    use super::elsewhere;

    #[test]
    fn an_action_that_is_not_there_has_a_url_of_the_same_shape() {
        let of = |url| elsewhere(url, "mine");
        assert_eq!(
            of("http://h/actions/mine/form").as_deref(),
            Some("http://h/actions/no_such_action/form")
        );
        assert_eq!(of("http://h/mine?a=b").as_deref(), Some("http://h/no_such_action?a=b"));
        assert_eq!(of("http://h/mineral/form"), None);
        assert_eq!(of("http://h/form"), None);
    }
}
