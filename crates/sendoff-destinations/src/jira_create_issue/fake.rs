//! A stand-in for Jira Cloud: one project more than a page holds, issues, their attachments.
//!
//! Written on 25 November 2026 from
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/> (create, bulk,
//! createmeta in pages), <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-attachments/>
//! (multipart `file`, `X-Atlassian-Token`, 200 with a list),
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-projects/> (search) and
//! <https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/> (documents).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use sendoff::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use sendoff::{AnyAction, ByteStream, Values};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::Jira;
use crate::shared::aws::hex;

const HOST: &str = "https://example.atlassian.net";
const USER: &str = "looker@example.com";
const TOKEN: &str = "canary-jira-api-token-51c2";
const PROJECTS: u64 = 60;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(Jira), Arc::new(Cloud::default()))
}

/// The same where each row becomes an issue.
pub(crate) fn of_rows() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(Jira), Arc::new(Cloud { rows: Some(RowLedger::default()), ..Cloud::default() }))
}

#[derive(Default)]
struct Cloud {
    created: AtomicU64,
    attached: Mutex<Vec<Object>>,
    rows: Option<RowLedger>,
}

const SHAPE: RowShape = RowShape {
    fields: r#"{"dimensions":[{"name":"orders.id","label":"Orders ID","type":"string","tags":[]}],"measures":[]}"#,
    before: r#"{"orders.id":{"value":"R"#,
    after: r#""}}"#,
};

impl Fake for Cloud {
    fn origins(&self) -> Vec<String> {
        vec![HOST.to_owned()]
    }

    fn settings(&self) -> Values {
        [("address", HOST), ("username", USER), ("password", TOKEN)].into_iter().collect()
    }

    fn answers(&self) -> Values {
        let by_row = self.rows.is_some();
        let summary = if by_row { "Order {orders.id}" } else { "Orders of {date}" };
        let rows = by_row.then_some(("mode", "rows"));
        [
            ("project", "10001"),
            ("summary", summary),
            ("description", "Look at {code}this{code}.\n\nThank you"),
            ("issueType", "10100"),
        ]
        .into_iter()
        .chain(rows)
        .collect()
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        // Each is a document that this stand-in reads to its last node: a million take minutes.
        Some(TakesRows::new(SHAPE, self.rows.as_ref()?).at_most(2_000).in_bulk(200_000))
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
            let login = base64_simd::STANDARD.encode_to_string(format!("{USER}:{TOKEN}"));
            if header("authorization") != Some(&format!("Basic {login}")) {
                return answer(401, &json!({ "errorMessages": ["Client must be authenticated."] }));
            }
            let path = head.uri.path().strip_prefix("/rest/api/3").unwrap_or_default();
            let query = head.uri.query().unwrap_or_default();
            match (&head.method, path) {
                (&Method::GET, "/project/search") => answer(200, &projects(query)),
                (&Method::GET, path) if path.starts_with("/issue/createmeta/") => {
                    answer(200, &meta(path))
                }
                (&Method::POST, "/issue") => self.create(body).await,
                (&Method::POST, "/issue/bulk") => self.create_all(body).await,
                (&Method::POST, path) if path.ends_with("/attachments") => {
                    let named = path.starts_with("/issue/OPS-");
                    let token = header("x-atlassian-token") == Some("no-check");
                    match header("content-type").and_then(|kind| kind.split_once("boundary=")) {
                        Some((_, boundary)) if named && token => self.attach(boundary, body).await,
                        _ => answer(403, &json!({ "errorMessages": ["XSRF check failed"] })),
                    }
                }
                _ => answer(404, &json!({ "errorMessages": ["There is nothing here."] })),
            }
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let all = self.attached.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(std::future::ready(all))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        // An issue without its file is kept and told of: its people may be at work on it.
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let message = match status {
            401 => "Client must be authenticated to access this resource.",
            403 => "You do not have permission to create issues in this project.",
            404 => "No project could be found with this id.",
            429 => "Rate limit exceeded.",
            _ => "The request could not be carried out.",
        };
        let body = json!({ "errorMessages": [message], "errors": {} });
        ("application/json", body.to_string())
    }

    fn commits(&self, method: &Method, path: &str) -> bool {
        *method == Method::POST && (path.ends_with("/attachments") || path.ends_with("/bulk"))
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![
            ("text/html", "<!DOCTYPE html><html><title>Log in</title></html>".to_owned()),
            ("application/json", "[]".to_owned()),
        ]
    }
}

impl Cloud {
    async fn create(&self, body: ByteStream) -> Response<Bytes> {
        let fields = match read(body).await {
            Some(mut json) => json["fields"].take(),
            None => return answer(400, &json!({ "errorMessages": ["Unreadable"] })),
        };
        match wrong(&fields) {
            Some((field, why)) => {
                answer(400, &json!({ "errorMessages": [], "errors": { field: why } }))
            }
            None => answer(201, &self.created()),
        }
    }

    /// As the page above says of bulk: those that are right are created, the others named by their
    /// place; 400 if none is right.
    async fn create_all(&self, body: ByteStream) -> Response<Bytes> {
        let json = read(body).await.unwrap_or_default();
        let updates = json["issueUpdates"].as_array().map(Vec::as_slice).unwrap_or_default();
        if updates.is_empty() || updates.len() > 50 {
            return answer(400, &json!({ "errorMessages": ["1 to 50 issues can be created."] }));
        }
        if let Some(ledger) = &self.rows {
            ledger.batch(updates.len());
        }
        let (mut issues, mut errors) = (Vec::new(), Vec::new());
        for (at, update) in updates.iter().enumerate() {
            if let Some((field, why)) = wrong(&update["fields"]) {
                let said = json!({ "errorMessages": [], "errors": { field: why } });
                errors.push(json!({
                    "status": 400, "elementErrors": said, "failedElementNumber": at,
                }));
                continue;
            }
            issues.push(self.created());
            let summary = update["fields"]["summary"].as_str().unwrap_or_default();
            let row = summary.strip_prefix("Order R").and_then(|row| row.parse().ok());
            match (&self.rows, row) {
                (Some(ledger), Some(row)) => ledger.take(row),
                (Some(ledger), None) => ledger.stranger(),
                (None, _) => {}
            }
        }
        let status = if issues.is_empty() { 400 } else { 201 };
        answer(status, &json!({ "issues": issues, "errors": errors }))
    }

    fn created(&self) -> Json {
        let number = self.created.fetch_add(1, Ordering::Relaxed) + 1;
        json!({
            "id": (20_000 + number).to_string(), "key": format!("OPS-{number}"),
            "self": format!("{HOST}/rest/api/3/issue/{}", 20_000 + number),
        })
    }

    /// Reads a form whose one part is the file.
    async fn attach(&self, boundary: &str, mut body: ByteStream) -> Response<Bytes> {
        let end = format!("\r\n--{boundary}--\r\n").into_bytes();
        let (mut head, mut held): (Option<String>, Vec<u8>) = (None, Vec::new());
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else {
                return answer(400, &json!({ "errorMessages": ["Unreadable"] }));
            };
            held.extend_from_slice(&chunk);
            if head.is_none()
                && let Some(at) = held.windows(4).position(|window| window == b"\r\n\r\n")
            {
                head = Some(String::from_utf8_lossy(&held[..at]).into_owned());
                held.drain(..at + 4);
            }
            if head.is_some() && held.len() > end.len() {
                // The last bytes may be the end of the form.
                let data: Vec<u8> = held.drain(..held.len() - end.len()).collect();
                bytes += data.len() as u64;
                digest.update(&data);
            }
        }
        let head = head.unwrap_or_default();
        let named = head.starts_with(&format!("--{boundary}\r\n"))
            && head.contains("Content-Disposition: form-data; name=\"file\"; filename=\"");
        if !named || held != end {
            return answer(400, &json!({ "errorMessages": ["The form has no file."] }));
        }
        let object = Object { name: "file".into(), bytes, sha256: hex(&digest.finalize()) };
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).push(object);
        answer(200, &json!([{ "id": "30001", "filename": "orders.csv", "size": bytes }]))
    }
}

async fn read(mut body: ByteStream) -> Option<Json> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) if bytes.len() < 4 << 20 => bytes.extend_from_slice(&chunk),
            _ => return None,
        }
    }
    serde_json::from_slice(&bytes).ok()
}

/// The field of an issue that Jira would refuse, and its words.
fn wrong(fields: &Json) -> Option<(&'static str, &'static str)> {
    match () {
        () if fields["project"]["id"] != "10001" => Some(("project", "valid project is required")),
        () if fields["issuetype"]["id"] != "10100" => {
            Some(("issuetype", "The issue type selected is invalid."))
        }
        () if fields["summary"].as_str().is_none_or(|text| {
            text.trim().is_empty() || text.contains('\n') || text.chars().count() > 255
        }) =>
        {
            Some(("summary", "You must specify a summary of the issue."))
        }
        () if !is_document(&fields["description"]) => {
            Some(("description", "Operation value must be an Atlassian Document."))
        }
        () => None,
    }
}

/// The parts of the structure that Jira checks: a root, blocks, and no empty text.
fn is_document(json: &Json) -> bool {
    fn sound(node: &Json) -> bool {
        let kind = node["type"].as_str().unwrap_or_default();
        let inside = node["content"].as_array().into_iter().flatten();
        let text = node["text"].as_str();
        let known =
            ["paragraph", "text", "hardBreak", "table", "tableRow", "tableHeader", "tableCell"];
        known.contains(&kind)
            && (kind == "text") == text.is_some_and(|text| !text.is_empty())
            && inside.into_iter().all(sound)
    }
    let blocks = json["content"].as_array();
    json["type"] == "doc"
        && json["version"] == 1
        && blocks.is_some_and(|blocks| blocks.iter().all(|one| one["type"] != "text" && sound(one)))
}

fn projects(query: &str) -> Json {
    let number = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok())
    };
    let start = number("startAt").unwrap_or(0);
    let most = number("maxResults").unwrap_or(50).min(50);
    let end = PROJECTS.min(start + most);
    let values: Vec<_> = (start..end)
        .map(|n| json!({ "id": (10_001 + n).to_string(), "key": format!("P{n}"), "name": format!("Project {n}") }))
        .collect();
    json!({ "startAt": start, "maxResults": most, "total": PROJECTS, "isLast": end == PROJECTS, "values": values })
}

fn meta(path: &str) -> Json {
    if path.ends_with("/issuetypes") {
        let types = json!([
            { "id": "10100", "name": "Task", "subtask": false },
            { "id": "10101", "name": "Sub-task", "subtask": true },
        ]);
        return json!({ "startAt": 0, "maxResults": 50, "total": 2, "issueTypes": types });
    }
    let fields = json!([
        { "fieldId": "summary", "name": "Summary", "required": true, "schema": { "type": "string" } },
        { "fieldId": "customfield_10020", "name": "Severity", "required": true, "hasDefaultValue": false,
          "schema": { "type": "option" }, "allowedValues": [{ "id": "1", "value": "High" }] },
    ]);
    json!({ "startAt": 0, "maxResults": 50, "total": 2, "fields": fields })
}

fn answer(status: u16, json: &Json) -> Response<Bytes> {
    let mut response = Response::new(json.to_string().into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
