//! A stand-in for SendGrid's Mail Send: it reads the JSON as it comes, decodes the attachment and
//! keeps its digest.
//!
//! Written on 25 November 2026 from
//! <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send> (fields, 202 with an
//! empty body, `X-Message-Id`), <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors>
//! (what is refused, and its words) and
//! <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/limitations> (30 MB).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response};
use sendoff::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use sendoff::{AnyAction, ByteStream, Values};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{LARGEST, SendGrid};
use crate::shared::aws::hex;

const KEY: &str = "SG.canary-sendgrid-key-4e1d";
/// Where the attachment's data begins: ours is the last member of the last attachment.
const BEGINS: &[u8] = b",\"content\":\"";
/// Everything but the attachment is short.
const HEAD_AT_MOST: usize = 1 << 20;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(SendGrid), Arc::new(MailSend::default()))
}

/// The same where each row becomes a message.
pub(crate) fn of_rows() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let rows = Some(RowLedger::default());
    (Box::new(SendGrid), Arc::new(MailSend { rows, ..MailSend::default() }))
}

#[derive(Default)]
struct MailSend {
    sent: Mutex<Vec<Object>>,
    rows: Option<RowLedger>,
}

const SHAPE: RowShape = RowShape {
    fields: r#"{"dimensions":[{"name":"users.email","label":"Users Email","type":"string","tags":[]}],"measures":[]}"#,
    before: r#"{"users.email":{"value":"u"#,
    after: r#"@example.com"}}"#,
};

/// A refusal: status, field, message.
type No = (u16, &'static str, &'static str);

impl Fake for MailSend {
    fn origins(&self) -> Vec<String> {
        vec!["https://api.sendgrid.com".to_owned()]
    }

    fn settings(&self) -> Values {
        [("sendgrid_api_key", KEY)].into_iter().collect()
    }

    fn answers(&self) -> Values {
        let from = ("from", "Looker <looker@example.com>");
        match self.rows {
            Some(_) => [("to", "{users.email}"), ("per_row", "yes"), from].into_iter().collect(),
            None => {
                let to = ("to", "ada@example.com, Grace <grace@example.com>");
                [to, from].into_iter().collect()
            }
        }
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        // Each row is a request of its own, of which a million take this suite many minutes.
        Some(TakesRows::new(SHAPE, self.rows.as_ref()?).at_most(100).in_bulk(25_000))
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
            if header("authorization") != Some(&format!("Bearer {KEY}")) {
                return refuse((
                    401,
                    "",
                    "The provided authorization grant is invalid, expired, or revoked",
                ));
            }
            if (&head.method, head.uri.path()) != (&Method::POST, "/v3/mail/send") {
                return refuse((404, "", "Not Found"));
            }
            if header("content-type") != Some("application/json") {
                return refuse((415, "", "Content-Type should be application/json."));
            }
            match read(body).await.and_then(|mail| checked(&mail).map(|()| mail)) {
                Ok(mail) => {
                    let mut response = Response::new(Bytes::new());
                    let check = mail.json["mail_settings"]["sandbox_mode"]["enable"] == true;
                    *response.status_mut() =
                        if check { http::StatusCode::OK } else { http::StatusCode::ACCEPTED };
                    if !check {
                        if let Some(ledger) = &self.rows {
                            ledger.batch(1);
                            let to = &mail.json["personalizations"][0]["to"][0]["email"];
                            match row_of(to.as_str().unwrap_or_default()) {
                                Some(row) => ledger.take(row),
                                None => ledger.stranger(),
                            }
                        }
                        self.lock().extend(mail.file);
                        let id = HeaderValue::from_static("u7o1fzT2Q-uQAFX4CW1nYg");
                        response.headers_mut().insert("x-message-id", id);
                    }
                    response
                }
                Err(no) => refuse(no),
            }
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let sent = self.lock().clone();
        Box::pin(std::future::ready(sent))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let message = match status {
            401 => "The provided authorization grant is invalid, expired, or revoked",
            403 => "The from address does not match a verified Sender Identity.",
            429 => "too many requests were made",
            _ => "The request could not be processed at SendGrid.",
        };
        ("application/json", errors("", message))
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        *method == Method::POST
    }

    fn takes_at_most(&self) -> Option<u64> {
        // As base64, with some room for the message itself.
        Some(LARGEST / 4 * 3 - 10_000).filter(|_| self.rows.is_none())
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![
            ("text/html", "<!DOCTYPE html><html><title>Log in</title></html>".to_owned()),
            ("application/json", errors("", "The request could not be processed at SendGrid.")),
        ]
    }
}

impl MailSend {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Object>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn errors(field: &str, message: &str) -> String {
    let field = if field.is_empty() { Json::Null } else { field.into() };
    serde_json::json!({ "errors": [{ "message": message, "field": field, "help": null }] })
        .to_string()
}

fn refuse((status, field, message): No) -> Response<Bytes> {
    let mut response = Response::new(errors(field, message).into());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// The row whose address this is.
fn row_of(address: &str) -> Option<u64> {
    address.strip_prefix('u')?.strip_suffix("@example.com")?.parse().ok()
}

/// The request without the attachment's data, and what that was.
struct Mail {
    json: Json,
    file: Option<Object>,
}

const BROKEN: No = (400, "", "Bad Request");

async fn read(mut body: ByteStream) -> Result<Mail, No> {
    if body.len_hint().is_some_and(|len| len > LARGEST) {
        return Err((413, "", "content_length exceeds the maximum of 30000000"));
    }
    let (mut around, mut file) = (Vec::new(), None);
    let mut decoder: Option<Decoder> = None;
    let mut total = 0;
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(|_| BROKEN)?;
        total += chunk.len() as u64;
        if let Some(running) = &mut decoder {
            let end = chunk.iter().position(|byte| *byte == b'"');
            let data = chunk.split_to(end.unwrap_or(chunk.len()));
            running.push(&data).ok_or(NOT_BASE64)?;
            if end.is_some() {
                file = decoder.take().map(Decoder::finish).ok_or(BROKEN)?;
            }
        }
        if decoder.is_some() {
            continue;
        }
        around.extend_from_slice(&chunk);
        if around.len() > HEAD_AT_MOST {
            return Err((413, "", "The message is too large."));
        }
        let begins = around.windows(BEGINS.len()).position(|window| window == BEGINS);
        if let (Some(at), None) = (begins, &file) {
            let data = around.split_off(at + BEGINS.len());
            let end = data.iter().position(|byte| *byte == b'"').unwrap_or(data.len());
            let mut running = Decoder::default();
            running.push(&data[..end]).ok_or(NOT_BASE64)?;
            if end < data.len() {
                around.extend_from_slice(&data[end..]);
                file = running.finish();
            } else {
                decoder = Some(running);
            }
        }
    }
    if total > LARGEST {
        return Err((413, "", "content_length exceeds the maximum of 30000000"));
    }
    let json = serde_json::from_slice(&around).map_err(|_| BROKEN)?;
    Ok(Mail { json, file })
}

const NOT_BASE64: No =
    (400, "attachments.0.content", "The attachment content must be base64 encoded.");

/// Decodes base64 as it comes.
#[derive(Default)]
struct Decoder {
    rest: Vec<u8>,
    digest: Sha256,
    bytes: u64,
}

impl Decoder {
    fn push(&mut self, data: &[u8]) -> Option<()> {
        self.rest.extend_from_slice(data);
        let whole = self.rest.len() - self.rest.len() % 4;
        let decoded = base64_simd::STANDARD.decode_to_vec(&self.rest[..whole]).ok()?;
        self.rest.drain(..whole);
        self.digest.update(&decoded);
        self.bytes += decoded.len() as u64;
        Some(())
    }

    fn finish(self) -> Option<Object> {
        let sha256 = hex(&self.digest.finalize());
        self.rest.is_empty().then(|| Object { name: "mail".into(), bytes: self.bytes, sha256 })
    }
}

fn checked(Mail { json, .. }: &Mail) -> Result<(), No> {
    let text = |value: &Json| value.as_str().is_some_and(|text| !text.trim().is_empty());
    if !text(&json["from"]["email"]) {
        return Err((400, "from.email", "The from email does not contain a valid address."));
    }
    let personalizations = json["personalizations"].as_array();
    let Some([one]) = personalizations.map(Vec::as_slice) else {
        return Err((400, "personalizations", "You must have at least one personalization."));
    };
    let mut seen = HashSet::new();
    for recipient in ["to", "cc", "bcc"].iter().flat_map(|list| one[list].as_array()).flatten() {
        let address = recipient["email"].as_str().unwrap_or_default();
        if !address.contains('@') || address.contains([',', ' ', '<']) {
            return Err((
                400,
                "personalizations.0.to.0.email",
                "Does not contain a valid address.",
            ));
        }
        if !seen.insert(address.to_lowercase()) {
            return Err((
                400,
                "personalizations.0",
                "Each unique email address in the personalizations array should only be included once.",
            ));
        }
    }
    if one["to"].as_array().is_none_or(Vec::is_empty) {
        return Err((400, "personalizations.0.to", "The to parameter is required."));
    }
    if json.get("template_id").is_none() {
        if !text(&json["subject"]) {
            return Err((400, "subject", "The subject is required."));
        }
        let types: Vec<_> = json["content"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|part| (part["type"].as_str().unwrap_or_default(), text(&part["value"])))
            .collect();
        if types != [("text/plain", true), ("text/html", true)] {
            return Err((
                400,
                "content",
                "If present, text/plain and text/html may only be provided once, in this order, and never empty.",
            ));
        }
    }
    for file in json["attachments"].as_array().into_iter().flatten() {
        let disposition = file["disposition"].as_str();
        let sound = text(&file["filename"])
            && file["type"].as_str().is_some_and(|kind| kind.contains('/') && !kind.contains(';'))
            && matches!(disposition, Some("attachment" | "inline"))
            && (disposition != Some("inline") || text(&file["content_id"]));
        if !sound {
            return Err((400, "attachments.0", "The attachment is not described as it must be."));
        }
    }
    Ok(())
}
