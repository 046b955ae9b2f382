//! What receivers of webhooks get, byte for byte: rows, batches, forms, signatures, retries.
//!
//! That data arrives whole and that faults are told truthfully is the behaviour suite's part.

#![allow(clippy::disallowed_methods, reason = "the test reads bodies that it made itself")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use sendoff::testing::{Fake, Object, Vendor};
use sendoff::{ByteStream, EgressConfig, Hub, Origins, RetryPolicy, Token, Values};
use serde_json::{Value, json};
use sha2::Sha256;
use tower::ServiceExt;

const SECRET: &str = "the hub secret of these tests";

/// A receiver that keeps what it gets and answers as told, 200 when told nothing.
#[derive(Default)]
struct Receiver {
    got: Mutex<Vec<Got>>,
    answers: Mutex<VecDeque<(u16, String)>>,
    /// Answers without reading the body.
    hasty: AtomicBool,
}

#[derive(Clone)]
struct Got {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Fake for Receiver {
    fn origins(&self) -> Vec<String> {
        ["https://receiver.example", "https://hooks.zapier.com", "https://a.trayapp.io"]
            .map(str::to_owned)
            .into()
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        Values::default()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, mut stream) = request.into_parts();
            let mut body = Vec::new();
            if self.hasty.load(Ordering::SeqCst) {
                return Response::new("thanks".into());
            }
            while let Some(chunk) = stream.next().await {
                body.extend_from_slice(&chunk.unwrap());
            }
            let (path, headers) = (head.uri.path().to_owned(), head.headers);
            self.got.lock().unwrap().push(Got { method: head.method, path, headers, body });
            let told = self.answers.lock().unwrap().pop_front();
            let (status, text) = told.unwrap_or((200, "thanks".into()));
            Response::builder().status(status).body(text.into()).unwrap()
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        ("text/plain", String::new())
    }

    fn commits(&self, _: &Method, _: &str) -> bool {
        true
    }
}

struct Stage {
    hub: Hub,
    receiver: Arc<Receiver>,
    _vendor: Vendor,
}

impl Stage {
    async fn set() -> Self {
        let receiver = Arc::new(Receiver::default());
        let vendor = Vendor::start(Arc::clone(&receiver) as _, true).await.unwrap();
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
        Self { hub, receiver, _vendor: vendor }
    }

    fn told(&self, answers: impl IntoIterator<Item = (u16, &'static str)>) {
        let answers = answers.into_iter().map(|(status, text)| (status, text.to_owned()));
        self.receiver.answers.lock().unwrap().extend(answers);
    }

    /// Sends `data` as json_detail unless `form` says otherwise, and returns Looker's part of the
    /// answer.
    async fn send(&self, action: &str, settings: Value, form: Value, data: Value) -> Value {
        let extension = form["format"].as_str().unwrap_or("json");
        let media_type = if extension == "csv" { "text/csv" } else { "application/json" };
        self.execute(
            action,
            json!({
                "type": "query",
                "scheduled_plan": { "scheduled_plan_id": 88, "title": "Umsätze 100%" },
                "data": settings,
                "form_params": form,
                "attachment": { "mimetype": media_type, "extension": extension, "data": data },
            }),
        )
        .await
    }

    async fn execute(&self, action: &str, body: Value) -> Value {
        let token = Token::issue(&SECRET.into(), None).unwrap();
        let request = Request::post(format!("/actions/{action}/execute"))
            .header("authorization", format!("Token token=\"{token}\""))
            .header("x-looker-webhook-id", "0123456789abcdef")
            .body(Full::from(body.to_string()))
            .unwrap();
        let response = self.hub.clone().oneshot(request).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()["looker"].take()
    }

    fn got(&self) -> Vec<Got> {
        self.receiver.got.lock().unwrap().clone()
    }
}

const URL: &str = "https://receiver.example/in/0123456789abc";

fn form(more: Value) -> Value {
    let mut form = json!({ "url": URL });
    for (name, value) in more.as_object().unwrap() {
        form[name] = value.clone();
    }
    form
}

/// Three rows with all that is awkward: a number beyond 2^53, a pivot, null, text that needs
/// escapes, and a column that only the last row has.
fn rows() -> Value {
    json!({
        "fields": {
            "dimensions": [
                { "name": "o.id", "label": "Id" },
                { "name": "o.note", "label": "Note" }
            ],
            "measures": [{ "name": "o.count", "label": "Count" }, { "name": "p.count", "label": "Count" }]
        },
        "data": [
            { "o.id": { "value": 9_007_199_254_740_993_u64, "rendered": "9,007" },
              "o.note": { "value": "a \"b\"\n\u{1}ü" }, "o.count": { "x": { "value": 1 }, "y": { "value": null } } },
            { "o.id": { "value": 2 }, "o.note": { "value": null }, "p.count": { "value": 0.10 } },
            { "o.id": { "value": 3 }, "o.note": { "value": true }, "o.more": { "value": "z" } }
        ]
    })
}

#[tokio::test]
async fn rows_go_one_by_one_in_order() {
    let stage = Stage::set().await;
    let form = form(json!({ "mode": "rows", "keys": "name" }));
    let answer = stage.send("webhook", json!({}), form, rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.starts_with("Delivered 3 rows to receiver.example."), "{message}");

    let got = stage.got();
    assert_eq!(got.len(), 3);
    let first = String::from_utf8(got[0].body.clone()).unwrap();
    assert!(first.contains("\"o.id\":9007199254740993,"), "{first}");
    assert_eq!(got[0].json()["o.note"], "a \"b\"\n\u{1}ü");
    assert_eq!(got[0].json()["o.count"], json!({ "x": 1, "y": null }));
    assert_eq!(got[1].json()["p.count"], 0.1);
    assert_eq!(got[2].json()["o.more"], "z");
    for got in &got {
        assert_eq!(got.method, Method::POST);
        assert_eq!(got.path, "/in/0123456789abc");
        assert_eq!(got.header("content-type"), "application/json");
        assert_eq!(got.header("content-length"), got.body.len().to_string());
        assert_eq!(got.header("x-looker-webhook-id"), "0123456789abcdef");
        assert_eq!(got.header("x-looker-plan-id"), "88");
        assert_eq!(got.header("x-looker-title"), "Ums%C3%A4tze 100%25");
    }
    assert_ne!(got[0].header("idempotency-key"), got[1].header("idempotency-key"));
    assert!(!got[0].headers.contains_key("x-hub-signature-256"));
}

#[tokio::test]
async fn batches_are_cut_by_rows_and_by_bytes() {
    let stage = Stage::set().await;
    let data = |n: u64, width| -> Value {
        (1..=n).map(|n| json!({ "n": n, "text": "x".repeat(width) })).collect()
    };
    let sent = form(json!({ "format": "json", "mode": "batches", "batch_rows": "2" }));
    let answer = stage.send("webhook", json!({}), sent, data(5, 1)).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("5 rows"), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("It took 3 requests."), "{answer}");
    let numbers = |got: &[Got]| -> Vec<Vec<u64>> {
        let rows = |got: &Got| got.json().as_array().unwrap().clone();
        got.iter().map(|g| rows(g).iter().map(|row| row["n"].as_u64().unwrap()).collect()).collect()
    };
    assert_eq!(numbers(&stage.got()), [vec![1, 2], vec![3, 4], vec![5]]);

    // Three of these rows have 1,020 bytes with brackets and commas, a fourth does not fit.
    let stage = Stage::set().await;
    let sent =
        form(json!({ "format": "json", "mode": "batches", "batch_kib": "1", "parallel": "3" }));
    let answer = stage.send("webhook", json!({}), sent, data(9, 320)).await;
    assert_eq!(answer["success"], true, "{answer}");
    let mut got = numbers(&stage.got());
    got.sort();
    assert_eq!(got, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]]);
    assert!(stage.got().iter().all(|got| got.body.len() <= 1024));

    let sent = form(json!({ "format": "json", "mode": "batches", "batch_kib": "1" }));
    let answer = stage.send("webhook", json!({}), sent, data(1, 2000)).await;
    assert_eq!(answer["success"], false);
    assert!(answer["validation_errors"]["mode"].as_str().unwrap().starts_with("Row 1 alone"));
}

#[tokio::test]
async fn a_result_without_rows_sends_nothing_and_says_so() {
    let stage = Stage::set().await;
    let sent = form(json!({ "format": "json", "mode": "batches" }));
    let answer = stage.send("webhook", json!({}), sent, json!([])).await;
    assert_eq!(answer["success"], true);
    assert!(answer["message"].as_str().unwrap().contains("has no rows"), "{answer}");
    assert!(stage.got().is_empty());
}

#[tokio::test]
async fn what_was_accepted_before_a_refusal_is_counted() {
    let stage = Stage::set().await;
    stage.told([(200, ""), (200, ""), (422, "row 3 is bad")]);
    let sent = form(json!({ "format": "json", "mode": "rows" }));
    let data = json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }, { "n": 4 }]);
    let answer = stage.send("webhook", json!({}), sent, data).await;
    assert_eq!(answer["success"], false);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("422") && message.contains("row 3 is bad"), "{message}");
    assert!(message.contains("2 rows were accepted"), "{message}");
    assert_eq!(stage.got().len(), 3);
}

#[tokio::test]
async fn rows_of_data_cut_short_are_counted_too() {
    let stage = Stage::set().await;
    let sent = form(json!({ "format": "csv", "mode": "rows" }));
    let answer = stage.send("webhook", json!({}), sent, json!("a,b\n1,2\n3\n")).await;
    assert_eq!(answer["success"], false);
    assert_eq!(answer["error"]["status_code"], "DATA_LOSS", "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("1 row was accepted"), "{answer}");
}

#[tokio::test]
async fn a_form_holds_the_file_and_says_whose_it_is() {
    let stage = Stage::set().await;
    let sent = form(json!({ "format": "csv", "mode": "multipart", "method": "put" }));
    let answer = stage.send("webhook", json!({}), sent, json!("a,b\n1,2\n")).await;
    assert_eq!(answer["success"], true, "{answer}");
    let got = &stage.got()[0];
    assert_eq!(got.method, Method::PUT);
    let boundary =
        got.header("content-type").strip_prefix("multipart/form-data; boundary=").unwrap();
    let want = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"webhook_id\"\r\n\r\n\
         0123456789abcdef\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"plan_id\"\r\n\r\n88\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nUmsätze 100%\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"Umsätze 100%.csv\"\r\nContent-Type: text/csv\r\n\r\na,b\n1,2\n\r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(got.body.clone()).unwrap(), want);
}

#[tokio::test]
async fn the_signature_covers_time_and_body() {
    let settings =
        json!({ "signing_secret": "a secret for signing", "allowed_hosts": "receiver.example" });
    for (mode, requests) in [("whole", 1), ("multipart", 1), ("rows", 3)] {
        let stage = Stage::set().await;
        let sent = form(json!({ "mode": mode }));
        let answer = stage.send("webhook", settings.clone(), sent, rows()).await;
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!(stage.got().len(), requests);
        for got in stage.got() {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"a secret for signing").unwrap();
            mac.update(got.header("x-sendoff-timestamp").as_bytes());
            mac.update(b".");
            mac.update(&got.body);
            let hex: String =
                mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(got.header("x-hub-signature-256"), format!("sha256={hex}"), "{mode}");
            assert_eq!(got.header("content-length"), got.body.len().to_string(), "{mode}");
        }
    }
}

#[tokio::test]
async fn a_request_is_repeated_only_if_the_receiver_stands_it() {
    for (mode, idempotent, requests) in
        [("whole", "no", 1), ("whole", "yes", 3), ("batches", "no", 1), ("batches", "yes", 3)]
    {
        let stage = Stage::set().await;
        stage.told([(503, "busy"), (503, "busy"), (200, "ok")]);
        let sent = form(json!({ "mode": mode, "idempotent": idempotent }));
        let answer = stage.send("webhook", json!({}), sent, rows()).await;
        assert_eq!(answer["success"], requests == 3, "{mode} {idempotent}: {answer}");
        let got = stage.got();
        assert_eq!(got.len(), requests, "{mode} {idempotent}");
        assert!(got.iter().all(|one| one.body == got[0].body && !one.body.is_empty()));
        let key = got[0].header("idempotency-key");
        assert!(key.len() == 32 && got.iter().all(|one| one.header("idempotency-key") == key));
    }
}

#[tokio::test]
async fn thanks_before_all_of_the_data_are_no_success() {
    let stage = Stage::set().await;
    stage.receiver.hasty.store(true, Ordering::SeqCst);
    // More than the buffers on the way hold.
    let data = "1,2\n".repeat(2 << 20);
    let sent = form(json!({ "format": "csv" }));
    let answer = stage.send("webhook", json!({}), sent, json!(data)).await;
    assert_eq!(answer["success"], false, "{answer}");
    assert!(stage.got().is_empty());
}

#[tokio::test]
async fn refusals_say_what_to_do_and_keep_the_address_secret() {
    for (status, advice) in [(413, "Send batches of rows"), (404, "Check that the URL is whole")] {
        let stage = Stage::set().await;
        stage.told([(status, "not at /in/0123456789abc")]);
        let answer = stage.send("webhook", json!({}), form(json!({})), rows()).await;
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(advice), "{message}");
        assert!(message.contains("not at [secret]"), "{message}");
        assert!(!answer.to_string().contains("0123456789abc\""), "{answer}");
    }
}

#[tokio::test]
async fn what_the_receiver_said_is_told_shortly() {
    let stage = Stage::set().await;
    let long: &'static str = "word\n".repeat(100_000).leak();
    stage.told([(202, long)]);
    let answer = stage.send("webhook", json!({}), form(json!({})), rows()).await;
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("It answered 202 Accepted: word word"), "{message}");
    assert!(message.ends_with('…') && message.len() < 400, "{message}");
}

#[tokio::test]
async fn a_users_host_does_not_get_the_admins_headers() {
    let settings =
        json!({ "headers": "X-Key: a secret key", "default_url": "https://own.example/" });
    let stage = Stage::set().await;
    let answer = stage.send("webhook", settings, form(json!({})), rows()).await;
    assert_eq!(answer["success"], false);
    assert!(answer["message"].as_str().unwrap().contains("Allowed Hosts"), "{answer}");
    let listed = json!({ "allowed_hosts": "*.corp.example" });
    let answer = stage.send("webhook", listed, form(json!({})), rows()).await;
    assert!(answer["validation_errors"]["url"].is_string(), "{answer}");
    assert!(stage.got().is_empty());

    let settings = json!({ "headers": "X-Key: a secret key", "default_url": URL });
    let answer = stage.send("webhook", settings, json!({}), rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(stage.got()[0].header("x-key"), "a secret key");
}

#[tokio::test]
async fn a_cell_is_sent_with_what_looker_shows() {
    let stage = Stage::set().await;
    let data = json!({ "value": "1234.5", "rendered": "$1,234.50" });
    let request = json!({ "type": "cell", "data": data, "form_params": form(json!({})) });
    let answer = stage.execute("webhook", request).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(stage.got()[0].json(), json!({ "value": "1234.5", "rendered": "$1,234.50" }));
}

#[tokio::test]
async fn zapier_gets_the_document_as_it_is_or_labelled_rows_with_a_stamp() {
    let url = "https://hooks.zapier.com/hooks/catch/1/abcdefghij/";
    let stage = Stage::set().await;
    let answer = stage.send("zapier", json!({}), json!({ "url": url }), rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(stage.got()[0].json(), rows());
    assert!(answer["message"].as_str().unwrap().contains("whether a Zap ran"), "{answer}");

    let sent = json!({ "url": url, "mode": "batches" });
    let answer = stage.send("zapier", json!({}), sent, rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    let batch = stage.got()[1].json();
    assert_eq!(batch.as_array().unwrap().len(), 3);
    // Two columns share the label "Count": the second goes by its name.
    assert_eq!(batch[0]["Count"], json!({ "x": 1, "y": null }));
    assert_eq!(batch[1]["p.count"], 0.1);
    let stamp = json!({ "webhook_id": "0123456789abcdef", "plan_id": "88", "row": 3 });
    assert_eq!(batch[2]["_looker"], stamp);

    let elsewhere = json!({ "url": "https://hooks.zapier.com.evil.example/" });
    let answer = stage.send("zapier", json!({}), elsewhere, rows()).await;
    let error = answer["validation_errors"]["url"].as_str().unwrap();
    assert!(error.starts_with("Incorrect domain for url."), "{error}");
    assert_eq!(stage.got().len(), 2);
}

#[tokio::test]
async fn tray_gets_the_triggers_header() {
    let stage = Stage::set().await;
    let sent = json!({ "url": "https://a.trayapp.io/flow" });
    let settings = json!({ "header_name": "X-Flow", "header_value": "a secret value" });
    let answer = stage.send("tray", settings, sent.clone(), rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(stage.got()[0].header("x-flow"), "a secret value");
    let half = json!({ "header_name": "X-Flow" });
    let answer = stage.send("tray", half, sent, rows()).await;
    assert!(answer["message"].as_str().unwrap().contains("belong together"), "{answer}");
}
