//! The irregular ways in which Looker writes a delivery. Each is a real one.

use sendoff_protocol::{Format, Members};
use serde_json::{Value, json};

use super::Check;
use super::Strength::{B, C, D};
use super::deliveries::succeeded;
use super::downloads::{by_url_alone, handed_over};
use super::fields::is_link;
use super::judge::{Stop, Verdict, ensure, given, inapplicable, text, wrong};
use super::probe::Probe;
use super::refusals::{believed, envelope, told};
use super::samples::{EMPTY_ZIP, format};
use super::subject::{Action, Drawn};
use super::wire::{Deaf, Heard};
use crate::request::{Delivery, Ids, Member, RequestBody};
use crate::{Cargo, Source};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "execute/payload/member-order",
        title: "The members may come in any order",
        rule: "A delivery with the attachment first and the answers last is as good as any.",
        looker: "Captures of real Lookers differ in the order of the members.",
        section: "5.1",
        strength: C,
        wrong: r#"{"looker": {"success": false}}"#,
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                use Member::{Attachment, Data, FormParams, ScheduledPlan, Type};
                for order in [
                    [Attachment, FormParams, ScheduledPlan, Data, Type],
                    [FormParams, Data, ScheduledPlan, Attachment, Type],
                ] {
                    let (action, url) = ready(p).await?;
                    let mut delivery = delivery(p, action)?;
                    takes_pushed(p, action, url).await?;
                    delivery.order = order;
                    let secret = action
                        .params()
                        .iter()
                        .filter_map(|param| text(param, "name").map(str::to_owned));
                    let body = delivery.into_body(&secret.collect(), None);
                    as_good(p.deliver(url, body).await)?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "execute/payload/ids-as-texts",
        title: "Ids may be texts",
        rule: "`scheduled_plan_id` and `query_id` as texts are as good as numbers.",
        looker: "Both were captured from real Lookers.",
        section: "5.2",
        strength: C,
        wrong: "HTTP/1.1 400 Bad Request",
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                changed(p, |body| {
                    with_plan(body)?;
                    body["scheduled_plan"]["scheduled_plan_id"] = "88".into();
                    body["scheduled_plan"]["query_id"] = "5531".into();
                    Ok(())
                })
                .await
            })
        },
    },
    Check {
        id: "execute/payload/nulls",
        title: "Members may be null",
        rule: "Nulls in `scheduled_plan` are as good as absent members.",
        looker: "Dashboards come with a null `url` and a null `query_id`.",
        section: "5.2",
        strength: C,
        wrong: "HTTP/1.1 400 Bad Request",
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                changed(p, |body| {
                    with_plan(body)?;
                    body["scheduled_plan"] = json!({
                        "scheduled_plan_id": null, "title": null, "type": null, "url": null,
                        "query_id": null, "query": null, "filters_differ_from_look": null,
                        "download_url": null,
                    });
                    Ok(())
                })
                .await
            })
        },
    },
    Check {
        id: "execute/payload/unknown-members",
        title: "Members that the hub does not know do no harm",
        rule: "A delivery with more members is as good as one without.",
        looker: "Looker grows: `async_callback_url` came in 2023.",
        section: "5.2",
        strength: C,
        wrong: "HTTP/1.1 422 Unprocessable Entity",
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                changed(p, |body| {
                    body["webhook_version"] = json!({"major": 3, "beta": [true, null]});
                    body["form_params"]["conformance_check_field"] = "x".into();
                    Ok(())
                })
                .await
            })
        },
    },
    Check {
        id: "execute/payload/lookml-dashboard",
        title: "A plan may be of a type that is not documented",
        rule: "`scheduled_plan.type` as `LookMLDashboard` is taken.",
        looker: "Real Lookers send it for dashboards that are defined in LookML.",
        section: "5.2",
        strength: C,
        wrong: "HTTP/1.1 400 Bad Request",
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                changed(p, |body| {
                    with_plan(body)?;
                    body["scheduled_plan"]["type"] = "LookMLDashboard".into();
                    Ok(())
                })
                .await
            })
        },
    },
    Check {
        id: "execute/payload/base64-lines",
        title: "Base64 may have newlines",
        rule: "An attachment whose base64 has a newline after each 60 characters is taken.",
        looker: "Looker writes it so; a strict decoder refuses every workbook, PDF and archive.",
        section: "5.3",
        strength: C,
        wrong: r#"{"looker": {"success": false, "message": "Invalid base64"}}"#,
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                changed_attachment(p, "csv_zip", |_| {
                    json!({"mimetype": "application/zip;base64", "extension": "zip",
                           "data": EMPTY_ZIP})
                })
                .await
            })
        },
    },
    Check {
        id: "execute/payload/json-inline",
        title: "JSON may come as JSON and as a text",
        rule: "An attachment of format json is taken with its rows as JSON, not only as a text that \
               holds JSON.",
        looker: "The documentation says one, the reference reads the other.",
        section: "5.3",
        strength: C,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                changed_attachment(p, "json", |_| {
                    json!({"mimetype": "application/json", "extension": "json",
                           "data": [{"t.id": 1, "t.name": null}]})
                })
                .await
            })
        },
    },
    Check {
        id: "execute/payload/broken-base64",
        title: "Base64 that is none is no success",
        rule: "An attachment that cannot be decoded is told to have failed.",
        looker: "Looker tells the user that the data was sent; what arrived is garbage.",
        section: "5.3",
        strength: D,
        wrong: r#"{"looker": {"success": true}}"#,
        right: r#"{"looker": {"success": false, "message": "The attachment is damaged."}}"#,
        ask: |p| {
            Box::pin(async move {
                let (action, url) = ready(p).await?;
                let mut body = p.delivery_body(action);
                takes_in_request(p, (action, url), &body, "csv_zip").await?;
                body["attachment"] = json!({"mimetype": "application/zip;base64",
                    "extension": "zip", "data": "UEsDB*%BQA=not base64"});
                not_believed(p.deliver(url, p.hub.json(&body)).await)
            })
        },
    },
    Check {
        id: "execute/payload/fields-after-data",
        title: "The rows may come before what they are",
        rule: "A result of json_detail whose `data` comes before its `fields` is taken.",
        looker: "A streamed result normally gives `fields` first; the reference takes either order.",
        section: "5.3",
        strength: B,
        wrong: r#"{"looker": {"success": false, "message": "The result has no fields."}}"#,
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                let (action, url) = ready(p).await?;
                let mut body = p.delivery_body(action);
                let formats = [Format::JsonDetailLiteStream, Format::JsonDetail];
                let takes = |format: &Format| takes(action, &body, format.as_str()).is_ok();
                let Some(format) = formats.into_iter().find(takes) else {
                    return inapplicable("the action takes no json_detail");
                };
                let data = r#"{"data":[{"t.id":{"value":1}}],"fields":{"dimensions":[{"name":"t.id"}],"measures":[]}}"#;
                body["attachment"] =
                    json!({"mimetype": "application/json", "extension": "json", "data": data});
                let body = handed_over(p, action, format, body).await?;
                as_good(p.deliver(url, p.hub.json(&body)).await)
            })
        },
    },
    Check {
        id: "execute/payload/empty-answers",
        title: "An answer that is empty is none",
        rule: "Fields that need no answer may come as \"\" and may be left out.",
        looker: "Looker does either with what the user did not fill in.",
        section: "5.5",
        strength: B,
        wrong: r#"{"looker": {"success": false, "message": "`note` is invalid."}}"#,
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                let (action, _) = ready(p).await?;
                let given: Vec<String> = p.delivery_body(action)["form_params"]
                    .as_object()
                    .map(|answers| answers.keys().cloned().collect())
                    .unwrap_or_default();
                let optional = |field: &&Value| {
                    !is_required(field)
                        && text(field, "name").is_some_and(|n| !given.iter().any(|g| g == n))
                };
                let fields = questions(p, action).await?;
                let names: Vec<&str> =
                    fields.into_iter().filter(optional).filter_map(|f| text(f, "name")).collect();
                if names.is_empty() {
                    return inapplicable("the form has no other field that needs no answer");
                }
                changed(p, |body| {
                    names.iter().for_each(|name| body["form_params"][*name] = "".into());
                    Ok(())
                })
                .await
            })
        },
    },
    Check {
        id: "execute/payload/required-field",
        title: "The hub looks for required answers itself",
        rule: "A delivery without the answer to a required field is no success.",
        looker: "`required` only asks the user; a schedule that was saved before the field came is \
                 sent without an answer.",
        section: "6",
        strength: B,
        wrong: r#"{"looker": {"success": true}}"#,
        right: r#"{"looker": {"success": false, "message": "`path` is missing."}}"#,
        ask: |p| {
            Box::pin(async move {
                let (action, url) = ready(p).await?;
                let fields = questions(p, action).await?;
                let asked = |field: &&Value| is_required(field) && text(field, "default").is_none();
                let name = fields.into_iter().find(asked).and_then(|field| text(field, "name"));
                let Some(name) = name else {
                    return inapplicable("the form has no required field without a default");
                };
                let mut body = p.delivery_body(action);
                body["form_params"].as_object_mut().and_then(|answers| answers.remove(name));
                let body = handed_over(p, action, format(action), body).await?;
                not_believed(p.deliver(url, p.hub.json(&body)).await)
            })
        },
    },
    Check {
        id: "execute/payload/push-to-url",
        title: "An action that takes URLs takes an attachment, too",
        rule: "An action whose only download setting is `url` takes a result in the request.",
        looker: "Dashboards never stream: they come in the request, whatever the setting says.",
        section: "5.7",
        strength: B,
        wrong: r#"{"looker": {"success": false, "message": "There is no download URL."}}"#,
        right: r#"{"looker": {"success": true}}"#,
        ask: |p| {
            Box::pin(async move {
                let (action, url) = ready(p).await?;
                let body = p.delivery_body(action);
                if !by_url_alone(action) || body["attachment"].is_null() {
                    return inapplicable("the action does not take results by URL alone");
                }
                as_good(p.deliver(url, p.hub.json(&body)).await)
            })
        },
    },
    Check {
        id: "execute/payload/nothing",
        title: "A delivery without data is no success",
        rule: "A query or dashboard with neither an attachment nor a download URL is told to have \
               failed.",
        looker: "Looker tells the user that the data was sent; nothing was.",
        section: "5.7",
        strength: B,
        wrong: r#"{"looker": {"success": true}}"#,
        right: r#"{"looker": {"success": false, "message": "Looker sent no data."}}"#,
        ask: |p| {
            Box::pin(async move {
                let (action, url) = ready(p).await?;
                let mut body = p.delivery_body(action);
                if body["attachment"].take().is_null() {
                    return inapplicable("the action takes cells only, which have no attachment");
                }
                not_believed(p.deliver(url, p.hub.json(&body)).await)
            })
        },
    },
];

/// The action, once the plain delivery has succeeded.
async fn ready<'a>(p: &Probe<'a>) -> Result<(Action<'a>, &'a str), Stop> {
    let executed = p.executed()?;
    succeeded(p).await?;
    Ok(executed)
}

/// The fields of the action's form that ask something.
async fn questions<'p>(p: &'p Probe<'_>, action: Action<'_>) -> Result<Vec<&'p Value>, Stop> {
    let actions = p.actions()?;
    let of = |drawn: &&Drawn| actions.get(drawn.action).is_some_and(|a| a.name() == action.name());
    let Some(drawn) = p.forms().await?.iter().find(of) else {
        return inapplicable("the action has no form");
    };
    let asks = |field: &&Value| !is_link(field) && text(field, "type") != Some("message");
    Ok(drawn.fields().iter().filter(asks).collect())
}

fn is_required(field: &Value) -> bool {
    given(field, "required") == Some(&Value::Bool(true))
}

fn not_believed(answer: Result<Heard, Deaf>) -> Verdict {
    match answer {
        Ok(heard) => ensure(!believed(&heard), || told(&heard)),
        Err(deaf) => inapplicable(deaf.why()),
    }
}

/// A delivery that differs in one thing from the one that succeeded does so, too.
fn as_good(answer: Result<Heard, Deaf>) -> Verdict {
    match answer {
        Ok(heard) => {
            let failed =
                envelope(&heard).is_some_and(|e| given(&e, "success") == Some(&Value::Bool(false)));
            ensure(heard.status == 200 && !failed, || told(&heard))
        }
        Err(deaf) => wrong(deaf.why()),
    }
}

async fn changed(p: &Probe<'_>, change: impl FnOnce(&mut Value) -> Verdict) -> Verdict {
    let (action, url) = ready(p).await?;
    let mut body = p.delivery_body(action);
    change(&mut body)?;
    let body = handed_over(p, action, format(action), body).await?;
    as_good(p.deliver(url, p.hub.json(&body)).await)
}

async fn changed_attachment(
    p: &Probe<'_>,
    format: &str,
    attachment: impl FnOnce(&Value) -> Value,
) -> Verdict {
    let (action, url) = ready(p).await?;
    let mut body = p.delivery_body(action);
    takes_in_request(p, (action, url), &body, format).await?;
    body["attachment"] = attachment(&body["attachment"]);
    let body: RequestBody = p.hub.json(&body);
    as_good(p.deliver(url, body).await)
}

fn with_plan(body: &Value) -> Verdict {
    if body["scheduled_plan"].is_null() {
        return inapplicable("the action takes cells only, which have no plan");
    }
    Ok(())
}

fn takes(action: Action<'_>, body: &Value, format: &str) -> Verdict {
    if body["attachment"].is_null() {
        return inapplicable("the action takes cells only, which have no attachment");
    }
    if !action.takes("supported_formats", format) {
        return inapplicable(format!("the action does not take {format}"));
    }
    Ok(())
}

/// The same for what is only ever in the request. An action that takes results by URL alone is asked
/// first whether it takes them so at all.
async fn takes_in_request(
    p: &Probe<'_>,
    (action, url): (Action<'_>, &str),
    body: &Value,
    format: &str,
) -> Verdict {
    takes(action, body, format)?;
    takes_pushed(p, action, url).await
}

async fn takes_pushed(p: &Probe<'_>, action: Action<'_>, url: &str) -> Verdict {
    if !by_url_alone(action) {
        return Ok(());
    }
    let pushed = p.deliver(url, p.hub.json(&p.delivery_body(action))).await;
    match as_good(pushed) {
        Ok(()) => Ok(()),
        Err(_) => inapplicable("the action takes no attachment (execute/payload/push-to-url)"),
    }
}

/// The plain delivery as Looker's side writes it, member by member.
fn delivery(p: &Probe<'_>, action: Action<'_>) -> Result<Delivery, Stop> {
    let body = p.delivery_body(action);
    let read: sendoff_protocol::Request = serde_json::from_value(body.clone())
        .map_err(|error| Stop::Ours(format!("the plain delivery cannot be read: {error}")))?;
    let mut delivery = match body["type"].as_str() {
        Some("dashboard") => Delivery::dashboard("Conformance check"),
        Some("cell") => Delivery::cell("1", "1"),
        _ => Delivery::query("Conformance check"),
    };
    delivery.params = Members(read.data.unwrap_or_default().0);
    delivery.answers = read.form_params.unwrap_or_default();
    delivery.ids = Ids::Numbers;
    if let Some(data) = body["attachment"]["data"].as_str() {
        let csv = body["attachment"]["extension"] == "csv";
        if !csv {
            return inapplicable("the action does not take csv");
        }
        let source = Source::from(data.to_owned());
        delivery.cargo =
            Cargo::Push { format: sendoff_protocol::Format::Csv, source, inline: false };
    }
    Ok(delivery)
}
