//! What Google's services get: pieces and their ranges, resumption, one login for many deliveries.
//!
//! That data arrives whole and that faults are told truthfully is the behaviour suite's part.

#![allow(clippy::disallowed_methods, reason = "the test reads bodies that it made itself")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use sendoff::testing::{Damage, Fake, Flow, Injury, Object, Vendor};
use sendoff::{ByteStream, EgressConfig, Hub, Origins, RetryPolicy, Token, Values};
use sendoff_destinations::fakes;
use serde_json::{Value, json};
use tower::ServiceExt;

const SECRET: &str = "the hub secret of these tests";
const MIB: usize = 1024 * 1024;

/// What changes an answer before it goes out.
type Twist = Box<dyn FnOnce(&mut Response<Bytes>) + Send>;

/// A stand-in whose requests are written down and whose answers can be twisted.
struct Watched {
    fake: Arc<dyn Fake>,
    seen: Mutex<Vec<Seen>>,
    /// What a request's line must hold, and what becomes of its answer.
    twists: Mutex<VecDeque<(&'static str, Twist)>>,
}

#[derive(Clone, Debug)]
struct Seen {
    line: String,
    range: Option<String>,
    authorized: bool,
}

impl Fake for Watched {
    fn origins(&self) -> Vec<String> {
        self.fake.origins()
    }

    fn settings(&self) -> Values {
        self.fake.settings()
    }

    fn answers(&self) -> Values {
        self.fake.answers()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let line = format!("{} {}", request.method(), request.uri());
            let range = request.headers().get("content-range");
            let seen = Seen {
                line: line.clone(),
                range: range.map(|range| range.to_str().unwrap().to_owned()),
                authorized: request.headers().contains_key("authorization"),
            };
            self.seen.lock().unwrap().push(seen);
            let mut response = self.fake.handle(request).await;
            let twist = {
                let mut twists = self.twists.lock().unwrap();
                let at = twists.iter().position(|(part, _)| line.contains(part));
                at.and_then(|at| twists.remove(at))
            };
            if let Some((_, twist)) = twist {
                twist(&mut response);
            }
            response
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        self.fake.objects()
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        self.fake.leftovers()
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        self.fake.refusal(status)
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        self.fake.commits(method, path_and_query)
    }
}

struct Stage {
    hub: Hub,
    watched: Arc<Watched>,
    vendor: Vendor,
    action: &'static str,
}

impl Stage {
    async fn set(action: &'static str) -> Self {
        let (action, fake) = fakes()
            .into_iter()
            .map(|make| make())
            .find(|(each, _)| each.spec().name == action)
            .map(|(_, fake)| (action, fake))
            .unwrap();
        let watched = Arc::new(Watched { fake, seen: Mutex::default(), twists: Mutex::default() });
        let vendor = Vendor::start(Arc::clone(&watched) as _, true).await.unwrap();
        let mut egress = EgressConfig::new("a secret below the idempotency keys".into());
        egress.origins = Origins::parse(vendor.origins()).unwrap();
        egress.retry = RetryPolicy {
            tries: 3,
            first_wait: Duration::from_millis(1),
            ..RetryPolicy::default()
        };
        let hub = Hub::builder()
            .actions(sendoff_destinations::all(&Default::default()))
            .secrets([SECRET.into()])
            .egress(egress)
            .build()
            .unwrap();
        Self { hub, watched, vendor, action }
    }

    fn twist(&self, part: &'static str, how: impl FnOnce(&mut Response<Bytes>) + Send + 'static) {
        self.watched.twists.lock().unwrap().push_back((part, Box::new(how)));
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let token = Token::issue(&SECRET.into(), None).unwrap();
        let request = Request::post(format!("/actions/{}/{path}", self.action))
            .header("authorization", format!("Token token=\"{token}\""))
            .header("x-looker-webhook-id", "0123456789abcdef")
            .body(Full::from(body.to_string()))
            .unwrap();
        let response = self.hub.clone().oneshot(request).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Sends so many bytes with `more` in the form, and returns Looker's part of the answer.
    async fn send(&self, bytes: usize, more: Value) -> Value {
        let mut form = json!(self.watched.answers());
        for (name, value) in more.as_object().unwrap() {
            form[name] = value.clone();
        }
        let data = "0123456789abcde\n".repeat(bytes.div_ceil(16));
        let body = json!({
            "type": "query",
            "scheduled_plan": { "scheduled_plan_id": 88, "title": "Umsätze 100%" },
            "data": self.watched.settings(),
            "form_params": form,
            "attachment": { "mimetype": "text/csv", "extension": "csv", "data": &data[..bytes] },
        });
        self.post("execute", body).await["looker"].take()
    }

    fn seen(&self, part: &str) -> Vec<Seen> {
        let seen = self.watched.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.line.contains(part)).cloned().collect()
    }

    /// The ranges of what was sent to sessions.
    fn ranges(&self) -> Vec<String> {
        self.seen("PUT /").into_iter().map(|seen| seen.range.unwrap()).collect()
    }

    async fn stored(&self) -> Vec<(String, u64)> {
        let objects = self.watched.objects().await;
        objects.into_iter().map(|object| (object.name, object.bytes)).collect()
    }
}

fn delivered(answer: &Value) {
    assert_eq!(answer["success"], true, "{answer}");
}

fn refused<'a>(answer: &'a Value, words: &str) -> &'a str {
    assert_eq!(answer["success"], false, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
    message
}

#[tokio::test]
async fn a_large_file_goes_up_in_pieces_whose_end_is_told_with_the_last() {
    let stage = Stage::set("google_cloud_storage").await;
    delivered(&stage.send(17 * MIB + 5, json!({})).await);
    let ranges = ["bytes 0-8388607/*", "bytes 8388608-16777215/*"].map(str::to_owned);
    let last = "bytes 16777216-17825796/17825797".to_owned();
    assert_eq!(stage.ranges(), [ranges.as_slice(), &[last]].concat());
    assert!(stage.seen("PUT /").iter().all(|seen| !seen.authorized), "the session is enough");
    assert_eq!(stage.stored().await, [("quarterly-reports/daily/orders.csv".into(), 17_825_797)]);
}

#[tokio::test]
async fn what_fits_into_a_piece_is_one_request_and_a_byte_more_is_a_session() {
    for (bytes, at_once) in [(0, true), (8 * MIB, true), (8 * MIB + 1, false)] {
        let stage = Stage::set("google_cloud_storage").await;
        delivered(&stage.send(bytes, json!({})).await);
        assert_eq!(stage.seen("uploadType=multipart").len(), usize::from(at_once), "{bytes}");
        assert_eq!(stage.ranges().len(), if at_once { 0 } else { 2 }, "{bytes}");
        assert_eq!(stage.stored().await[0].1, bytes as u64);
    }
}

#[tokio::test]
async fn a_broken_connection_is_taken_up_where_google_says_and_not_from_the_start() {
    let stage = Stage::set("google_cloud_storage").await;
    let after = (5 * MIB) as u64;
    let injury = Injury { flow: Flow::Up, after, damage: Damage::Close, lasting: false };
    stage.vendor.proxy().injure(injury);
    delivered(&stage.send(9 * MIB, json!({})).await);
    let ranges = stage.ranges();
    assert_eq!(ranges[..2], ["bytes 0-8388607/*", "bytes */*"]);
    let from: u64 = ranges[2]
        .strip_prefix("bytes ")
        .and_then(|range| range.strip_suffix("-8388607/*"))
        .unwrap_or_else(|| panic!("the rest of the piece, not {ranges:?}"))
        .parse()
        .unwrap();
    assert!(from > 0 && from < after && from.is_multiple_of(256 * 1024), "{ranges:?}");
    assert_eq!(ranges[3], "bytes 8388608-9437183/9437184");
}

#[tokio::test]
async fn a_piece_that_arrived_although_google_failed_is_not_sent_again() {
    let stage = Stage::set("google_cloud_storage").await;
    stage.twist("PUT /", |response| {
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    });
    delivered(&stage.send(9 * MIB, json!({})).await);
    assert_eq!(stage.ranges(), ["bytes 0-8388607/*", "bytes */*", "bytes 8388608-9437183/9437184"]);
}

#[tokio::test]
async fn google_that_loses_confirmed_bytes_gets_no_file_with_a_hole() {
    let stage = Stage::set("google_cloud_storage").await;
    for _ in 0..2 {
        stage.twist("PUT /", |response| {
            response.headers_mut().remove("range");
        });
    }
    // Nothing of the piece was confirmed, so that it goes up anew.
    delivered(&stage.send(9 * MIB, json!({})).await);
    assert_eq!(stage.ranges()[..3], ["bytes 0-8388607/*"; 3]);
    let stage = Stage::set("google_cloud_storage").await;
    stage.twist("PUT /", |_| {});
    stage.twist("PUT /", |response| {
        response.headers_mut().insert("range", "bytes=0-1048575".parse().unwrap());
    });
    refused(&stage.send(17 * MIB, json!({})).await, "lost a part of the upload");
    assert_eq!(stage.stored().await, []);
    assert_eq!(stage.watched.leftovers().await, [""; 0]);
}

#[tokio::test]
async fn a_file_that_google_holds_otherwise_than_it_was_sent_is_taken_back() {
    for bytes in [1000, 9 * MIB] {
        let stage = Stage::set("google_cloud_storage").await;
        let part = if bytes > MIB { "PUT /" } else { "uploadType=multipart" };
        if bytes > MIB {
            stage.twist(part, |_| {});
        }
        stage.twist(part, |response| {
            let mut object: Value = serde_json::from_slice(response.body()).unwrap();
            object["md5Hash"] = json!("rL0Y20zC+Fzt72VPzMSk2A==");
            *response.body_mut() = object.to_string().into();
        });
        refused(&stage.send(bytes, json!({})).await, "another file than was sent");
        assert_eq!(stage.stored().await, []);
    }
}

#[tokio::test]
async fn deliveries_at_once_share_one_login_and_a_refused_token_is_renewed() {
    let stage = Stage::set("google_cloud_storage").await;
    let sent = (0..8).map(|n| stage.send(100, json!({"filename": format!("{n}.csv")})));
    join_all(sent).await.iter().for_each(delivered);
    assert_eq!(stage.seen("POST /token").len(), 1);
    assert_eq!(stage.stored().await.len(), 8);
    stage.twist("uploadType=multipart", |response| {
        *response.status_mut() = http::StatusCode::UNAUTHORIZED;
    });
    delivered(&stage.send(100, json!({})).await);
    assert_eq!(stage.seen("POST /token").len(), 2);
}

#[tokio::test]
async fn too_fast_is_waited_for_although_it_reads_403() {
    let stage = Stage::set("google_cloud_storage").await;
    stage.twist("uploadType=multipart", |response| {
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        let error = json!({"error": {"code": 403, "message": "Rate Limit Exceeded",
            "errors": [{"domain": "usageLimits", "reason": "rateLimitExceeded"}]}});
        *response.body_mut() = error.to_string().into();
    });
    delivered(&stage.send(100, json!({})).await);
    assert_eq!(stage.seen("uploadType=multipart").len(), 2);
}

#[tokio::test]
async fn the_session_stays_at_the_host_that_gave_it() {
    let stage = Stage::set("google_cloud_storage").await;
    stage.twist("uploadType=resumable", |response| {
        let elsewhere = "https://storage.googleapis.com.evil.example/upload?upload_id=1";
        response.headers_mut().insert("location", elsewhere.parse().unwrap());
    });
    refused(&stage.send(9 * MIB, json!({})).await, "the address of an upload");
}

#[tokio::test]
async fn overwrite_says_what_becomes_of_a_file_of_the_same_name() {
    let stage = Stage::set("google_cloud_storage").await;
    delivered(&stage.send(10, json!({})).await);
    // As users type it, and as old schedules have it.
    delivered(&stage.send(20, json!({"overwrite": "YES"})).await);
    let first = "quarterly-reports/daily/orders.csv".to_owned();
    assert_eq!(stage.stored().await, [(first.clone(), 20)]);
    let answer = stage.send(30, json!({"overwrite": "fail"})).await;
    let message = refused(&answer, "is there already");
    assert_eq!(answer["validation_errors"]["filename"], message);
    delivered(&stage.send(40, json!({"overwrite": "keep_both"})).await);
    delivered(&stage.send(50, json!({"overwrite": "No"})).await);
    let stored = stage.stored().await;
    assert_eq!(stored[0], ("quarterly-reports/daily/orders (2).csv".to_owned(), 40));
    assert_eq!(stored[1], (first, 20));
    let (name, bytes) = &stored[2];
    let millis = name
        .strip_prefix("quarterly-reports/daily/orders_")
        .and_then(|name| name.strip_suffix(".csv"));
    assert!(millis.is_some_and(|millis| millis.len() == 13) && *bytes == 50, "{name}");
    assert_eq!(stage.seen("ifGenerationMatch=0").len(), 2);
}
