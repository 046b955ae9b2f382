//! A stand-in for a workflow with the trigger "When a Teams webhook request is received".
//!
//! Written on 25 November 2026 from
//! <https://learn.microsoft.com/en-us/connectors/teams/#when-a-teams-webhook-request-is-received>
//! and <https://adaptivecards.io/explorer/>. That the trigger answers 202 with nothing is general
//! knowledge and was not checked against Teams itself.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use sendoff::testing::{Fake, Object};
use sendoff::{AnyAction, ByteStream, Values};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::Teams;
use crate::shared::aws::hex;
use crate::shared::hook::fake::malformed;

const PATH: &str = "/workflows/canary-teams-workflow-0f3a/triggers/manual/paths/invoke";
/// <https://learn.microsoft.com/en-us/microsoftteams/limits-specifications-teams>
const LARGEST: usize = 28 * 1024;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(Teams), Arc::new(Workflow::default()))
}

#[derive(Default)]
struct Workflow {
    posted: Mutex<Vec<Object>>,
}

impl Fake for Workflow {
    fn origins(&self) -> Vec<String> {
        vec!["https://prod-7.westeurope.logic.azure.com".to_owned()]
    }

    fn settings(&self) -> Values {
        [("", ""); 0].into_iter().collect()
    }

    fn answers(&self) -> Values {
        let url = format!(
            "https://prod-7.westeurope.logic.azure.com:443{PATH}?api-version=2016-06-01&sig=canary-signature-88ab"
        );
        [
            ("webhookUrl", url.as_str()),
            ("title", "Orders of {date}"),
            ("text", "Look:\n{link}"),
            ("isAttached", "true"),
            ("table_rows", "20"),
        ]
        .into_iter()
        .collect()
    }

    fn takes_messages(&self) -> bool {
        true
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            if let Some(status) = malformed(&head, "application/json") {
                return refuse(status, "The request is not JSON.");
            }
            if head.uri.path() != PATH {
                return refuse(StatusCode::NOT_FOUND, "The workflow could not be found.");
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = body.next().await {
                match chunk {
                    Ok(chunk) if bytes.len() <= LARGEST => bytes.extend_from_slice(&chunk),
                    Ok(_) => return refuse(StatusCode::PAYLOAD_TOO_LARGE, "Request too large."),
                    Err(_) => return refuse(StatusCode::BAD_REQUEST, "The request broke off."),
                }
            }
            if bytes.len() > LARGEST {
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, "Request too large.");
            }
            let json = serde_json::from_slice::<Json>(&bytes).unwrap_or_default();
            if let Err(why) = checked(&json) {
                return refuse(StatusCode::BAD_REQUEST, why);
            }
            let sha256 = hex(&Sha256::digest(&bytes));
            let object = Object { name: "card".into(), bytes: bytes.len() as u64, sha256 };
            self.posted.lock().unwrap_or_else(PoisonError::into_inner).push(object);
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(std::future::ready(posted))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let message = match status {
            401 => "The authentication credentials are not valid.",
            404 => "The workflow could not be found.",
            429 => "Rate limit is exceeded. Try again later.",
            _ => "The workflow did not accept the request.",
        };
        let body = json!({ "error": { "code": "WorkflowError", "message": message } });
        ("application/json", body.to_string())
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        *method == Method::POST
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 403.";
        vec![
            ("text/plain", failed.to_owned()),
            ("text/html", "<!DOCTYPE html><html><title>Log in</title></html>".to_owned()),
        ]
    }
}

/// What the workflow's step "Post card in a chat or channel" and the schema ask for.
fn checked(json: &Json) -> Result<(), &'static str> {
    let Some([card]) = json["attachments"].as_array().map(Vec::as_slice) else {
        return Err("There is no attachment to go through.");
    };
    if json["type"] != "message"
        || card["contentType"] != "application/vnd.microsoft.card.adaptive"
        || card["content"]["type"] != "AdaptiveCard"
        || card["content"]["version"] != "1.5"
    {
        return Err("Property 'type' must be 'AdaptiveCard'.");
    }
    let blocks = card["content"]["body"].as_array().ok_or("The card has no body.")?;
    for block in blocks {
        let sound = match block["type"].as_str() {
            Some("TextBlock") => block["text"].is_string(),
            Some("FactSet") => block["facts"].as_array().is_some_and(|facts| {
                facts.iter().all(|fact| fact["title"].is_string() && fact["value"].is_string())
            }),
            Some("Table") => {
                let columns = block["columns"].as_array().map_or(0, Vec::len);
                let rows = block["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
                columns > 0
                    && rows.iter().all(|row| row["cells"].as_array().map_or(0, Vec::len) == columns)
            }
            _ => false,
        };
        if !sound {
            return Err("The card has an element that the schema does not know.");
        }
    }
    let actions = card["content"]["actions"].as_array().into_iter().flatten();
    for action in actions {
        if action["type"] != "Action.OpenUrl"
            || !action["url"].as_str().is_some_and(|url| url.starts_with("http"))
        {
            return Err("The card has an action that the schema does not know.");
        }
    }
    Ok(())
}

fn refuse(status: StatusCode, message: &str) -> Response<Bytes> {
    let body = json!({ "error": { "code": "WorkflowError", "message": message } });
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
}
