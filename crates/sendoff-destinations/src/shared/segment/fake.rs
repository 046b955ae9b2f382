//! A stand-in for Segment's HTTP API, whose page is
//! <https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api>.
//!
//! Written on 25 November 2026 from that page as it stands in segmentio/segment-docs
//! (`server/http-api/index.md`): Basic authentication, 500 KB a request, 32 KB an event, an id in
//! each call, a name in each track call, repeats dropped by `messageId`, 429 with `Retry-After`.
//! That more than 2,500 events are answered 200 and dropped is from pull request 7023 there. The
//! words of its refusals are general knowledge.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use sendoff::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use sendoff::{AnyAction, ByteStream, Values};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Kind;

const WRITE_KEY: &str = "canary-segment-write-key-7d3e";
/// `canary-segment-write-key-7d3e:` in base64.
const AUTHORIZATION: &str = "Basic Y2FuYXJ5LXNlZ21lbnQtd3JpdGUta2V5LTdkM2U6";

/// A workspace that takes one kind of call.
pub(crate) struct Segment {
    kind: Kind,
    ledger: RowLedger,
}

/// The action and its vendor.
pub(crate) fn fake(action: Box<dyn AnyAction>, kind: Kind) -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (action, Arc::new(Segment { kind, ledger: RowLedger::default() }))
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
}

/// An event, as far as Segment looks at it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message_id: &'a str,
    user_id: Option<&'a str>,
    anonymous_id: Option<&'a str>,
    group_id: Option<&'a str>,
    event: Option<&'a str>,
    #[serde(borrow)]
    traits: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    timestamp: &'a str,
}

impl Segment {
    /// Takes a body, or says what is wrong with it.
    fn take(&self, body: &[u8]) -> Result<(), String> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(|fault| fault.to_string())?;
        if body.batch.is_empty() {
            return Err("the batch is empty".into());
        }
        let events: Vec<_> =
            body.batch.iter().map(|raw| self.read(raw)).collect::<Result<_, _>>()?;
        self.ledger.batch(events.len());
        if events.len() > 2_500 {
            // Answered 200, and dropped.
            return Ok(());
        }
        for (row, message_id) in events {
            match row {
                Some(row) => self.ledger.take_keyed(row, message_id),
                None => self.ledger.stranger(),
            }
        }
        Ok(())
    }

    /// The row's number and the key of an event.
    fn read<'a>(&self, raw: &'a RawValue) -> Result<(Option<u64>, &'a str), String> {
        if raw.get().len() > 32 * 1024 {
            return Err("an event is larger than 32 KB".into());
        }
        let event: Event<'a> =
            serde_json::from_str(raw.get()).map_err(|fault| fault.to_string())?;
        let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        let content = match self.kind {
            Kind::Track => event.properties,
            Kind::Identify | Kind::Group => event.traits,
        };
        let named = event.kind == self.kind_name()
            && (self.kind != Kind::Track || given(event.event))
            && (self.kind != Kind::Group || given(event.group_id));
        if !named || content.is_none_or(|content| !content.get().starts_with('{')) {
            return Err(format!("this is no {} call", self.kind_name()));
        }
        if !given(event.user_id) && !given(event.anonymous_id) {
            return Err("an event has neither userId nor anonymousId".into());
        }
        if event.message_id.is_empty() || event.message_id.len() > 100 {
            return Err("a messageId has no or too many characters".into());
        }
        if event.timestamp.parse::<jiff::Timestamp>().is_err() {
            return Err("a timestamp is no ISO 8601 date".into());
        }
        let row = event.user_id.and_then(|id| id.strip_prefix('u')?.parse().ok());
        Ok((row, event.message_id))
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Identify => "identify",
            Kind::Track => "track",
            Kind::Group => "group",
        }
    }
}

impl Fake for Segment {
    fn origins(&self) -> Vec<String> {
        ["https://api.segment.io", "https://events.eu1.segmentapis.com"].map(str::to_owned).into()
    }

    fn settings(&self) -> Values {
        [("segment_write_key", WRITE_KEY)].into_iter().collect()
    }

    fn answers(&self) -> Values {
        let event = (self.kind == Kind::Track).then_some(("event", "Order Completed"));
        event.into_iter().collect()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, mut stream) = request.into_parts();
            let mut body = Vec::new();
            while let Some(chunk) = stream.next().await {
                match chunk {
                    Ok(chunk) if body.len() + chunk.len() <= 500_000 => {
                        body.extend_from_slice(&chunk);
                    }
                    Ok(_) => return refused(400, "the request is larger than 500 KB"),
                    Err(_) => return refused(400, "the request broke off"),
                }
            }
            let given = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
            if head.method != Method::POST || head.uri.path() != "/v1/batch" {
                return refused(404, "there is no such call");
            }
            if given(header::AUTHORIZATION) != Some(AUTHORIZATION) {
                return refused(401, "the write key is not valid");
            }
            if given(header::CONTENT_TYPE) != Some("application/json") {
                return refused(400, "the content type is not application/json");
            }
            match self.take(&body) {
                Ok(()) => answer(200, r#"{"success":true}"#.to_owned()),
                Err(why) => refused(400, &why),
            }
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let why = format!("refused by the tracking api with {status}");
        ("application/json", format!(r#"{{"success":false,"message":"{why}"}}"#))
    }

    fn commits(&self, method: &Method, path: &str) -> bool {
        *method == Method::POST && path == "/v1/batch"
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        let shape = RowShape {
            fields: r#"{"dimensions":[{"name":"users.id","label":"Users ID","tags":["user_id"]},{"name":"users.account","label":"Users Account","tags":["segment_group_id"]},{"name":"users.city","label":"Users City","tags":[]}],"measures":[{"name":"orders.count","label":"Orders Count","tags":[]}]}"#,
            before: r#"{"users.id":{"value":"u"#,
            after: r#""},"users.account":{"value":"a7"},"users.city":{"value":"Ulm"},"orders.count":{"value":12}}"#,
        };
        Some(TakesRows::new(shape, &self.ledger))
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![
            ("application/json", r#"{"success":false}"#.to_owned()),
            ("text/html", "<!DOCTYPE html><html><title>Log in</title></html>".to_owned()),
        ]
    }
}

fn refused(status: u16, why: &str) -> Response<Bytes> {
    answer(status, serde_json::json!({ "success": false, "message": why }).to_string())
}

fn answer(status: u16, body: String) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
