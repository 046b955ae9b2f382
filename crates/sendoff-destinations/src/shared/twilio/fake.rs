//! A stand-in for Twilio's messages, written from
//! <https://www.twilio.com/docs/messaging/api/message-resource> and
//! <https://www.twilio.com/docs/api/errors> as they were on 25 November 2026.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use sendoff::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use sendoff::{ByteStream, Values};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::shared::aws::hex;
use crate::shared::in_order;

pub(crate) const ACCOUNT: &str = "AC5ef8732a3c49700934481addd5ce1659";
pub(crate) const TOKEN: &str = "canary0f3d9b6a1c72e845twilio0000";
pub(crate) const FROM: &str = "+15005550006";
/// An API key of the account.
const KEY: &str = "SK2a0747eba6abf96b7e3c3ff0b4530f6e";
const KEY_SECRET: &str = "canary7d3b1f9a5c2e8d40apikey0000";

/// One account with one number.
pub(crate) struct FakeTwilio {
    answers: Values,
    rows: bool,
    ledger: RowLedger,
    /// Messages with their texts.
    sent: Mutex<Vec<(Object, String)>>,
}

/// In front of a row's number: Austria, mobile.
const AHEAD: &str = "+43699";

const SHAPE: RowShape = RowShape {
    fields: r#"{"dimensions":[{"name":"users.phone","label":"Users Phone","type":"string","tags":["phone"]},{"name":"users.first_name","label":"Users First Name","type":"string","tags":[]}],"measures":[]}"#,
    before: r#"{"users.phone":{"value":"+43 (699)"#,
    after: r#""},"users.first_name":{"value":"Zoë"}}"#,
};

impl FakeTwilio {
    /// Each row is a message.
    pub(crate) fn of_rows(answers: Values) -> Self {
        Self { answers, rows: true, ledger: RowLedger::default(), sent: Mutex::default() }
    }

    /// The whole result is one.
    pub(crate) fn of_results(answers: Values) -> Self {
        Self { answers, rows: false, ledger: RowLedger::default(), sent: Mutex::default() }
    }

    async fn answer(&self, request: Request<ByteStream>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let basic =
            |pair: String| format!("Basic {}", base64_simd::STANDARD.encode_to_string(pair));
        let known = [format!("{ACCOUNT}:{TOKEN}"), format!("{KEY}:{KEY_SECRET}")].map(basic);
        if !known.iter().any(|one| header("authorization") == Some(one)) {
            return refusal(401, 20003, "Authenticate");
        }
        let Some((text, _)) = in_order::text(body).await else {
            return refusal(400, 20001, "The body broke off.");
        };
        let messages = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages");
        let path = head.uri.path().strip_prefix(messages.as_str());
        match (&head.method, path) {
            (&Method::POST, Some(".json")) => {}
            (&Method::GET, Some(sid)) if sid.starts_with("/SM") => {
                let sid = sid.trim_start_matches('/').trim_end_matches(".json");
                return answer(200, &json!({"sid": sid, "status": "delivered"}));
            }
            _ => return refusal(404, 20404, "The requested resource was not found"),
        }
        let form: Vec<(String, String)> =
            url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        let one = |name: &str| form.iter().find(|(each, _)| each == name).map(|(_, value)| value);
        let Some(to) = one("To") else {
            return refusal(400, 21604, "A 'To' phone number is required.");
        };
        let (body, variables) = (one("Body"), one("ContentVariables"));
        if let Some(sid) = one("ContentSid") {
            let sound = |byte: u8| byte.is_ascii_hexdigit();
            let is_sid =
                sid.strip_prefix("HX").is_some_and(|id| id.len() == 32 && id.bytes().all(sound));
            let is_object = |text: &String| {
                serde_json::from_str::<Value>(text).is_ok_and(|json| json.is_object())
            };
            match (is_sid, body, variables.is_none_or(is_object)) {
                (false, ..) => return refusal(400, 21655, "The ContentSid is Invalid"),
                (_, Some(_), _) => {
                    return refusal(
                        400,
                        35127,
                        "'Messages' Body and ContentVariables cannot be provided together",
                    );
                }
                (.., false) => {
                    return refusal(400, 21656, "The ContentVariables Parameter is invalid");
                }
                (true, None, true) => {}
            }
        } else if body.is_none() {
            return refusal(400, 21619, "A Message Body, Media URL or Content SID is required");
        }
        let body = body.map_or("", String::as_str);
        let service = one("MessagingServiceSid").is_some_and(|sid| sid.starts_with("MG"));
        if !service && one("From").map(String::as_str) != Some(FROM) {
            return refusal(400, 21606, "The From phone number is not a valid number of yours.");
        }
        let number = to.strip_prefix("whatsapp:").unwrap_or(to);
        if !number.starts_with('+') || !number[1..].bytes().all(|byte| byte.is_ascii_digit()) {
            return refusal(400, 21211, &format!("Invalid 'To' Phone Number: {to}"));
        }
        if body.encode_utf16().count() > super::LONGEST {
            return refusal(400, 21617, "The concatenated message body exceeds the 1600 limit");
        }
        if self.rows {
            match to.strip_prefix(AHEAD).and_then(|row| row.parse().ok()) {
                Some(row) if body == "Hello Zoë, {ready}?" => self.ledger.take(row),
                _ => self.ledger.stranger(),
            }
            self.ledger.batch(1);
        } else {
            let sha256 = hex(&Sha256::digest(body.as_bytes()));
            let sent = Object { name: to.clone(), bytes: body.len() as u64, sha256 };
            self.sent.lock().unwrap_or_else(PoisonError::into_inner).push((sent, body.to_owned()));
        }
        answer(201, &json!({"sid": "SM00000000000000000000000000000001", "status": "queued"}))
    }
}

impl Fake for FakeTwilio {
    fn origins(&self) -> Vec<String> {
        vec!["https://api.twilio.com".to_owned()]
    }

    fn settings(&self) -> Values {
        [
            ("accountSid", ACCOUNT),
            ("authToken", TOKEN),
            ("from", FROM),
            ("messages_per_second", "100"),
        ]
        .into_iter()
        .collect()
    }

    fn answers(&self) -> Values {
        self.answers.clone()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(self.answer(request))
    }

    fn takes_messages(&self) -> bool {
        !self.rows
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        // Each row is a request of its own, of which a million take this suite many minutes, and
        // Twilio at its fastest three hours.
        let takes = TakesRows::new(SHAPE, &self.ledger).at_most(100).in_bulk(25_000);
        self.rows.then_some(takes)
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = sent.iter().map(|(object, _)| object.clone()).collect();
        Box::pin(std::future::ready(sent))
    }

    fn start<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Option<Bytes>> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let found = sent.iter().rev().find(|(one, _)| one.name == object);
        let text = found.map(|(_, text)| Bytes::from(text.clone()));
        Box::pin(std::future::ready(text))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (code, message) = match status {
            401 => (20003, "Authenticate"),
            403 => (20005, "Account not active"),
            404 => (20404, "The requested resource was not found"),
            429 => (20429, "Too Many Requests"),
            500.. => (20500, "Internal Server Error"),
            _ => (21610, "Attempt to send to unsubscribed recipient"),
        };
        ("application/json", words(status, code, message).to_string())
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        *method == Method::POST
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        let failed = json!({"sid": "SM1", "status": "failed", "error_code": 30008,
                            "error_message": "Unknown error"});
        vec![("application/json", failed.to_string()), ("application/json", "{}".to_owned())]
    }
}

fn words(status: u16, code: u32, message: &str) -> Value {
    json!({"code": code, "message": message, "status": status,
           "more_info": format!("https://www.twilio.com/docs/errors/{code}")})
}

fn refusal(status: u16, code: u32, message: &str) -> Response<Bytes> {
    answer(status, &words(status, code, message))
}

fn answer(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
