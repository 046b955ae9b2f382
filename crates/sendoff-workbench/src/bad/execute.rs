//! What the right hub does with a delivery: it reads it to its end and keeps nothing.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Method;
use http::request::Parts;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::serve::{Answered, Hub, json_answer, nothing, stream as streamed, text, unending};
use super::{answers, faults};
use crate::Source;
use crate::dial::{Address, Authorities};

pub(super) async fn execute(hub: &Hub, head: &Parts, action: &str, bytes: &[u8]) -> Answered {
    if head.method != Method::POST {
        let status = if hub.has("robustness/method/get-does-nothing") { 200 } else { 405 };
        return text(status, "{}");
    }
    if !["ledger", "note", "archive"].contains(&action) {
        let status = if hub.has("execute/unknown/refused") { 200 } else { 404 };
        return text(status, "{}");
    }
    let body = match read(hub, bytes).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let refused = |message: &str| refused(hub, head, message);
    if let Some(why) = wrong_types(&body) {
        return match hub.has("robustness/json/wrong-types") {
            true => text(500, "{}"),
            false => refused(why),
        };
    }
    let believed = |id: &str| hub.has(id).then(|| json_answer(200, &json!({"looker": {}})));
    match body["type"].as_str() {
        None => return believed("execute/type/missing").unwrap_or_else(|| refused("No type.")),
        Some("query" | "dashboard") => {}
        Some(_) => {
            let key = body["data"]["api_key"].as_str();
            return match key.filter(|_| hub.has("robustness/params/not-repeated")) {
                Some(key) => refused(&format!("The type is wrong, the key is {key}.")),
                None => believed("execute/type/unknown")
                    .unwrap_or_else(|| refused("The type is none that this action takes.")),
            };
        }
    }
    if action == "ledger" && !body["data"]["api_key"].is_string() {
        return missing_param(hub, head);
    }
    if let Some(why) = odd(hub, &body, bytes).or_else(|| lacking(hub, action, &body)) {
        return refused(why);
    }
    match fetch(hub, &body).await {
        Ok(()) => delivered(hub, head, &body),
        Err(why) => refused(&why),
    }
}

/// The body as a JSON object, or the answer to what is none.
async fn read(hub: &Hub, bytes: &[u8]) -> Result<Value, Answered> {
    let start = &bytes[..bytes.len().min(2_000)];
    let deep = start.iter().filter(|byte| **byte == b'[').count() > 1_000;
    if deep && hub.has("robustness/json/deep") {
        return Err(hub.die().await);
    }
    let status = |id: &str| if hub.has(id) { 500 } else { 400 };
    if bytes.is_empty() {
        let status = if hub.has("robustness/json/empty") { 200 } else { 400 };
        return Err(text(status, "{}"));
    }
    if std::str::from_utf8(bytes).is_err() {
        return Err(text(status("robustness/json/not-utf8"), "{}"));
    }
    match serde_json::from_slice(bytes) {
        Ok(body @ Value::Object(_)) => Ok(body),
        Ok(_) => Err(text(status("robustness/json/not-an-object"), "{}")),
        Err(_) if hub.has("robustness/json/no-stack") => {
            Err(text(400, "SyntaxError\n    at JSON.parse (/app/hub.js:1:1)"))
        }
        Err(_) => Err(text(if hub.has("robustness/json/broken") { 200 } else { 400 }, "{}")),
    }
}

fn wrong_types(body: &Value) -> Option<&'static str> {
    for member in ["data", "attachment", "scheduled_plan", "form_params"] {
        if !(body[member].is_null() || body[member].is_object()) {
            return Some("A member is of the wrong type.");
        }
    }
    body["type"].is_object().then_some("The type is no text.")
}

fn missing_param(hub: &Hub, head: &Parts) -> Answered {
    let message = "The API key is missing.";
    if hub.has("execute/error/is-answered") {
        return unending("\n");
    }
    if hub.has("execute/error/missing-param") {
        return json_answer(200, &json!({"looker": {"success": true}}));
    }
    if hub.has("execute/error/in-envelope") {
        return json_answer(404, &json!({"success": false, "error": message}));
    }
    if hub.has("execute/error/is-200") {
        return json_answer(400, &json!({"looker": answers::refused(message, &head.headers)}));
    }
    if hub.has("execute/error/own-words") {
        return json_answer(500, &json!({"success": false, "error": "Internal server error."}));
    }
    refused(hub, head, message)
}

fn refused(hub: &Hub, head: &Parts, message: &str) -> Answered {
    let mut answer = json!({"refused": answers::refused(message, &head.headers), "delivered": {}});
    hub.faults.spoil(faults::OUTCOME, &mut answer);
    json_answer(200, &json!({"looker": answer["refused"].take()}))
}

/// Why a hub with a fault cannot take what a right one takes.
fn odd(hub: &Hub, body: &Value, bytes: &[u8]) -> Option<&'static str> {
    let plan = &body["scheduled_plan"];
    let has = |id: &str| hub.has(id);
    if has("execute/payload/member-order")
        && body["attachment"].is_object()
        && !bytes.starts_with(b"{\"attachment\":{\"data\"")
    {
        return Some("The members are not in order.");
    }
    if has("execute/payload/ids-as-texts") && plan["query_id"].is_string() {
        return Some("An id is no number.");
    }
    if has("execute/payload/nulls") && plan.get("title") == Some(&Value::Null) {
        return Some("The plan has no title.");
    }
    if has("execute/payload/unknown-members") && body.get("webhook_version").is_some() {
        return Some("A member is not known.");
    }
    if has("execute/payload/lookml-dashboard") && plan["type"] == "LookMLDashboard" {
        return Some("The plan's type is not known.");
    }
    let attachment = &body["attachment"];
    let rows_first = attachment["data"].as_str().is_some_and(|data| data.starts_with("{\"data\""));
    if has("execute/payload/fields-after-data") && rows_first {
        return Some("The result has no fields.");
    }
    if has("execute/payload/empty-answers") && body["form_params"]["note"] == "" {
        return Some("The note is empty.");
    }
    if has("execute/payload/json-inline") && attachment["data"].is_array() {
        return Some("The attachment is no text.");
    }
    let base64 = attachment["mimetype"].as_str().is_some_and(|kind| kind.ends_with(";base64"));
    if let (true, Some(data)) = (base64, attachment["data"].as_str()) {
        let strict = has("execute/payload/base64-lines");
        let kept: String = data.chars().filter(|c| strict || !c.is_whitespace()).collect();
        let broken = base64_simd::STANDARD.decode_to_vec(kept).is_err();
        if broken && !has("execute/payload/broken-base64") {
            return Some("The attachment is no base64.");
        }
    }
    None
}

/// What a delivery must have, and has not.
fn lacking(hub: &Hub, action: &str, body: &Value) -> Option<&'static str> {
    let by_url = body["scheduled_plan"]["download_url"].is_string();
    let pushed = body["attachment"].is_object();
    if !pushed && !by_url && !hub.has("execute/payload/nothing") {
        return Some("Looker sent no data.");
    }
    if action == "archive" && pushed && hub.has("execute/payload/push-to-url") {
        return Some("There is no download URL.");
    }
    let answered = body["form_params"]["path"].is_string() || action != "ledger";
    (!answered && !hub.has("execute/payload/required-field")).then_some("The path is missing.")
}

/// Reads what `download_url` offers, to its end.
async fn fetch(hub: &Hub, body: &Value) -> Result<(), String> {
    let Some(url) = body["scheduled_plan"]["download_url"].as_str() else { return Ok(()) };
    let (status, whole) = get(url).await.map_err(|error| error.to_string())?;
    if hub.has("execute/download/once") {
        let _ = get(url).await;
    }
    if status != 200 && !hub.has("execute/download/refused-is-failure") {
        return Err(format!("Looker refused the download with status {status}."));
    }
    if status == 200 && !whole && !hub.has("execute/download/cut-is-failure") {
        return Err("Looker's data was cut short.".to_owned());
    }
    Ok(())
}

async fn get(url: &str) -> io::Result<(u16, bool)> {
    let (address, uri) = Address::of(url).map_err(io::Error::other)?;
    let socket = TokioIo::new(address.connect_believing(&Authorities::default()).await?);
    let (mut sender, connection) = http1::handshake(socket).await.map_err(io::Error::other)?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = http::Request::get(uri.path())
        .header("host", uri.authority().map_or("", |authority| authority.as_str()))
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return Ok((status, false));
        }
    }
    Ok((status, true))
}

/// Newlines first, as if it had taken long.
fn delivered(hub: &Hub, head: &Parts, body: &Value) -> Answered {
    let mut answer = json!({
        "refused": {},
        "delivered": {
            "success": true, "message": "1 row was added.", "refresh_query": false,
            "state": {"data": "s", "refresh_time": 600},
            "webhookId": answers::refused("", &head.headers)["webhookId"],
        },
    });
    hub.faults.spoil(faults::OUTCOME, &mut answer);
    let told = json!({"looker": answer["delivered"]}).to_string();
    if hub.has("execute/delivery/is-answered") {
        return nothing();
    }
    if hub.has("execute/delivery/answer-follows") {
        return unending("\n");
    }
    if hub.has("execute/delivery/not-empty") {
        return text(200, "");
    }
    if hub.has("execute/delivery/is-json") {
        return text(200, "OK");
    }
    if hub.has("execute/delivery/in-envelope") {
        // It repeats what it was sent, which no report may do.
        return json_answer(200, &json!({"success": true, "sent": body["data"]}));
    }
    if hub.has("path/answer/not-held-back") {
        return text(200, format!("\n\n{told}"));
    }
    let pieces = ["\n".to_owned(), "\n".to_owned(), told];
    streamed(
        200,
        Source::stream(stream::iter(pieces).then(|piece| async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(Bytes::from(piece))
        })),
    )
}
