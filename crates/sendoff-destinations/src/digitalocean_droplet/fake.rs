//! A stand-in for DigitalOcean's droplets and their actions, written from
//! <https://docs.digitalocean.com/reference/api/reference/droplet-actions/> as it was on
//! 25 November 2026.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use sendoff::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use sendoff::{AnyAction, ByteStream, Values};
use serde_json::{Value, json};

use super::Droplet;
use crate::shared::in_order;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(Droplet), Arc::new(FakeDroplets::default()))
}

const KEY: &str = "dop_v1_canary_0f3c9a7e5b1d";
/// Droplets from here on exist nowhere.
const UNKNOWN: u64 = 900_000_000_000;

/// One account. Every droplet below [`UNKNOWN`] stands and is on until it is changed.
#[derive(Default)]
pub(crate) struct FakeDroplets {
    state: Mutex<State>,
    ledger: RowLedger,
}

#[derive(Default)]
struct State {
    /// By droplet: its status, and its actions, which all end at once.
    droplets: BTreeMap<u64, (&'static str, Vec<Value>)>,
    actions: u64,
}

/// In front of a row's number, so that there is no droplet 0.
const AHEAD: u64 = 10_000_000_000;

const SHAPE: RowShape = RowShape {
    fields: r#"{"dimensions":[{"name":"droplets.id","label":"Droplets ID","type":"number","tags":["digitalocean_droplet_id"]}],"measures":[]}"#,
    before: r#"{"droplets.id":{"value":1"#,
    after: r#"}}"#,
};

impl FakeDroplets {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<ByteStream>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        if header("authorization") != Some(&format!("Bearer {KEY}")) {
            return refused(401, "Unauthorized", "Unable to authenticate you");
        }
        let Some((text, _)) = in_order::text(body).await else {
            return refused(400, "bad_request", "The body broke off.");
        };
        let path: Vec<_> = head.uri.path().trim_matches('/').split('/').collect();
        match (&head.method, &path[..]) {
            (&Method::GET, ["v2", "droplets", id]) => self.with(id, |_, id, state| {
                let status = state.droplets.get(&id).map_or("active", |(status, _)| status);
                answer(200, &json!({"droplet": {"id": id, "status": status}}))
            }),
            (&Method::GET, ["v2", "droplets", id, "actions"]) => self.with(id, |_, id, state| {
                let actions = state.droplets.get(&id).map(|(_, actions)| actions.as_slice());
                let list: Vec<_> = actions.unwrap_or_default().iter().rev().collect();
                answer(200, &json!({"actions": list}))
            }),
            (&Method::POST, ["v2", "droplets", id, "actions"]) => {
                if !header("content-type").is_some_and(|kind| kind.starts_with("application/json"))
                {
                    return refused(415, "unsupported_media_type", "Send JSON.");
                }
                let kind = serde_json::from_str::<Value>(&text).unwrap_or_default();
                let kind = kind["type"].as_str().unwrap_or_default().to_owned();
                self.with(id, |next, id, state| self.begin(next, id, &kind, state))
            }
            (&Method::GET, ["v2", "droplets", id, "actions", n]) => {
                self.with(id, |_, id, state| {
                    let mut actions = state.droplets.get(&id).into_iter().flat_map(|(_, all)| all);
                    match actions.find(|action| action["id"].as_u64() == n.parse().ok()) {
                        Some(action) => answer(200, &json!({"action": action})),
                        None => refused(
                            404,
                            "not_found",
                            "The resource you requested could not be found.",
                        ),
                    }
                })
            }
            _ => refused(404, "not_found", "The resource you requested could not be found."),
        }
    }

    fn begin(&self, n: u64, id: u64, kind: &str, state: &mut State) -> Response<Bytes> {
        let status = match kind {
            "shutdown" | "power_off" => "off",
            "power_on" | "reboot" => "active",
            _ => return refused(422, "unprocessable_entity", "Type is not included in the list"),
        };
        state.actions = n;
        let droplet = state.droplets.entry(id).or_insert(("active", Vec::new()));
        droplet.0 = status;
        let mut begun = action(n, kind);
        droplet.1.push(begun.clone());
        begun["status"] = json!("in-progress");
        self.ledger.batch(1);
        match id.checked_sub(AHEAD) {
            Some(row) => self.ledger.take(row),
            None => self.ledger.stranger(),
        }
        answer(201, &json!({"action": begun}))
    }

    fn with(
        &self,
        id: &str,
        then: impl FnOnce(u64, u64, &mut State) -> Response<Bytes>,
    ) -> Response<Bytes> {
        let mut state = self.state();
        let next = state.actions + 1;
        match id.parse() {
            Ok(id) if (1..UNKNOWN).contains(&id) => then(next, id, &mut state),
            _ => refused(404, "not_found", "The resource you requested could not be found."),
        }
    }
}

fn action(n: u64, kind: &str) -> Value {
    json!({"id": n, "status": "completed", "type": kind, "resource_type": "droplet",
           "started_at": Timestamp::now().to_string()})
}

impl Fake for FakeDroplets {
    fn origins(&self) -> Vec<String> {
        vec!["https://api.digitalocean.com".to_owned()]
    }

    fn settings(&self) -> Values {
        [("digitalocean_api_key", KEY)].into_iter().collect()
    }

    fn answers(&self) -> Values {
        [("operation", "shutdown"), ("max_droplets", "10000000")].into_iter().collect()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(self.answer(request))
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        // Two requests for each machine, and every id is kept before the first is changed. No
        // account has so many: https://docs.digitalocean.com/platform/droplet-limits/
        let takes = TakesRows::new(SHAPE, &self.ledger).at_most(50).in_bulk(10_000);
        Some(takes.after_all_are_read())
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (id, message) = match status {
            401 => ("Unauthorized", "Unable to authenticate you"),
            403 => ("Forbidden", "You do not have access for the attempted action."),
            404 => ("not_found", "The resource you requested could not be found."),
            429 => ("Too_many_requests", "API Rate limit exceeded."),
            _ => ("server_error", "Unexpected server-side error"),
        };
        ("application/json", json!({"id": id, "message": message}).to_string())
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        *method == Method::POST
    }
}

fn refused(status: u16, id: &str, message: &str) -> Response<Bytes> {
    answer(status, &json!({"id": id, "message": message}))
}

fn answer(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
