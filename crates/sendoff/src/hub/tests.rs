//! The hub as a service, without a socket: who gets in, what is refused how, and that every
//! request is answered.

#![allow(clippy::disallowed_methods, reason = "a test waits for what it began")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::{Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

use crate::prelude::*;
use crate::{Hub, Limits, Spec, Token};

const SECRET: &str = "s3cret";

/// An action whose deliveries do what their form says.
struct Puppet {
    began: Arc<Notify>,
    go: Arc<Notify>,
    aborted: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
}

#[derive(Fields)]
struct Settings {
    api_key: Secret,
}

#[derive(Fields)]
struct Form {
    how: How,
    note: Option<String>,
}

#[derive(Clone, Copy, crate::Choice)]
enum How {
    Read,
    Ignore,
    Wait,
    Hang,
    Panic,
    Tell,
}

impl Action for Puppet {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec =
        Spec::new("puppet", "Puppet").description("Obeys.").accepts(&[Query, CellAction]);

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        self.began.notify_one();
        self.running.fetch_add(1, Ordering::SeqCst);
        let receipt = Receipt::new("the stage");
        match form.how {
            How::Ignore => {}
            How::Panic => panic!("as told"),
            How::Tell => {
                return Err(Error::vendor(format!("Key {} is bad.", cx.settings.api_key.expose())));
            }
            How::Wait => self.go.notified().await,
            How::Hang => {
                cx.stop().stopped().await;
                self.aborted.store(true, Ordering::SeqCst);
                return Err(Error::vendor("stopped"));
            }
            How::Read => {
                let mut chunks = data.open().await?;
                let mut whole = Vec::new();
                while let Some(chunk) = chunks.next().await {
                    match chunk {
                        Ok(chunk) => whole.extend_from_slice(&chunk),
                        Err(error) => {
                            self.aborted.store(true, Ordering::SeqCst);
                            return Err(error);
                        }
                    }
                }
                let said = String::from_utf8_lossy(&whole).into_owned();
                return Ok(receipt.says(form.note.map_or(said.clone(), |note| note + &said)));
            }
        }
        Ok(receipt)
    }
}

struct Stage {
    hub: Hub,
    began: Arc<Notify>,
    go: Arc<Notify>,
    aborted: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
}

fn stage(limits: Limits) -> Stage {
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (aborted, running) = (Arc::default(), Arc::default());
    let puppet = Puppet {
        began: Arc::clone(&began),
        go: Arc::clone(&go),
        aborted: Arc::clone(&aborted),
        running: Arc::clone(&running),
    };
    let builder = Hub::builder().action(puppet).limits(limits).label("<Stage>");
    let hub = builder.secrets([SECRET.into()]).webhook_tokens(["hook".into()]).build().unwrap();
    Stage { hub, began, go, aborted, running }
}

fn quick() -> Limits {
    Limits { keep_alive: Duration::from_secs(30), ..Limits::default() }
}

fn post(path: &str) -> http::request::Builder {
    let token = Token::issue(&SECRET.into(), []).unwrap();
    Request::post(path)
        .header("authorization", format!("Token token=\"{token}\""))
        .header("x-looker-webhook-id", "0f0f")
}

/// A request whose data comes last, so that it flows.
fn order(how: &str, data: Value) -> String {
    format!(
        r#"{{"type":"query","scheduled_plan":{{"title":"T"}},"data":{{"api_key":"key-123456"}},"form_params":{{"how":"{how}"}},"attachment":{{"mimetype":"text/csv","extension":"csv","data":{data}}}}}"#
    )
}

async fn send<B>(hub: &Hub, request: Request<B>) -> (StatusCode, Value)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let response = hub.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn execute(hub: &Hub, body: impl Into<Bytes>) -> (StatusCode, Value) {
    send(hub, post("/actions/puppet/execute").body(Full::new(body.into())).unwrap()).await
}

/// A body that the test feeds by hand; dropping the sender breaks it off.
fn by_hand() -> (mpsc::UnboundedSender<Bytes>, impl Body<Data = Bytes, Error = std::io::Error>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let chunks = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))
        .map(|chunk| Ok(Frame::data(chunk)));
    let broken = futures_util::stream::once(async { Err(std::io::Error::other("broke off")) });
    (sender, StreamBody::new(chunks.chain(broken)))
}

#[tokio::test]
async fn p19_a_wrong_token_is_refused_without_reading_the_body() {
    let stage = stage(quick());
    let never = || {
        let stream = futures_util::stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                panic!("the body was read")
            },
        );
        StreamBody::new(stream)
    };
    for header in
        [None, Some("Token token=\"a/b\""), Some("Token token=\"\""), Some("Bearer x"), Some("")]
    {
        for path in [
            "/",
            "/actions/puppet",
            "/actions/puppet/form",
            "/actions/puppet/execute",
            "/webhook/puppet",
        ] {
            let mut request = Request::post(path).header("content-length", "250000000");
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let (status, answer) = send(&stage.hub, request.body(never()).unwrap()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path} {header:?}");
            assert_eq!(
                answer,
                json!({"success": false, "error": "Invalid 'Authorization' header."})
            );
        }
    }
}

#[tokio::test]
async fn every_order_of_the_members_delivers_the_same_bytes() {
    let stage = stage(quick());
    let members = [
        r#""type":"query""#,
        r#""scheduled_plan":null"#,
        r#""attachment":{"extension":"txt","data":"one\ntwo \u00e9","mimetype":"text/plain"}"#,
        r#""data":{"api_key":"k"}"#,
        r#""form_params":{"how":"read"}"#,
        r#""unknown":[1,{"a":null}]"#,
    ];
    let mut orders = vec![vec![]];
    for n in 0..members.len() {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=n).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, n);
                    order
                })
            })
            .collect();
    }
    assert_eq!(orders.len(), 720);
    for order in orders {
        let body: Vec<_> = order.iter().map(|n| members[*n]).collect();
        let (status, answer) = execute(&stage.hub, format!("{{{}}}", body.join(","))).await;
        assert_eq!(
            (status, &answer["looker"]["message"]),
            (StatusCode::OK, &json!("one\ntwo é")),
            "{order:?}"
        );
    }
}

#[tokio::test]
async fn irregular_payloads_are_accepted() {
    let stage = stage(quick());
    let base64 = "aGVsbG8g\nd29ybGQ=\n";
    for (attachment, want) in [
        (
            json!({"mimetype": "application/pdf;base64", "extension": "pdf", "data": base64}),
            "hello world",
        ),
        (
            json!({"data": base64, "mimetype": "image/png;base64", "extension": "png"}),
            "hello world",
        ),
        (
            json!({"mimetype": "application/json", "extension": "json", "data": "[{\"a\":1}]"}),
            "[{\"a\":1}]",
        ),
        (
            json!({"mimetype": "application/json", "extension": "json", "data": [{"a": 1}]}),
            "[{\"a\":1}]",
        ),
        (json!({"mimetype": "text/csv", "extension": "csv", "data": ""}), ""),
    ] {
        for front in [true, false] {
            let rest = r#""type":"query","scheduled_plan":{"scheduled_plan_id":"7","query_id":7,"type":"LookMLDashboard"},"data":{"api_key":"k","n":1},"form_params":{"how":"read"}"#;
            let body = if front {
                format!(r#"{{{rest},"attachment":{attachment}}}"#)
            } else {
                format!(r#"{{"attachment":{attachment},{rest}}}"#)
            };
            let (_, answer) = execute(&stage.hub, body).await;
            assert_eq!(answer["looker"]["success"], true, "{answer}");
            assert_eq!(answer["looker"]["message"], want);
            assert_eq!(answer["looker"]["webhookId"], "0f0f");
        }
    }
}

#[tokio::test]
async fn rows_in_the_top_level_data_count_when_there_is_no_attachment() {
    let hub = stage(quick()).hub;
    let hub_with_key = Hub { inner: hub.inner };
    let body = r#"{"type":"query","data":"[{\"a\":1}]","form_params":{"how":"read"}}"#;
    let (_, answer) = execute(&hub_with_key, body).await;
    // The settings stand in `data`, so they are what is missing.
    let message = answer["looker"]["message"].as_str().unwrap();
    assert!(message.starts_with("Required setting \"Api Key\" not specified"), "{message}");
}

#[tokio::test]
async fn gzip_is_read_within_the_limit_and_other_encodings_are_not() {
    let stage = stage(Limits { body_bytes: 4096, ..quick() });
    let gzip = async |text: String| {
        use tokio::io::AsyncReadExt;
        let mut out = Vec::new();
        let mut encoder =
            async_compression::tokio::bufread::GzipEncoder::new(std::io::Cursor::new(text));
        encoder.read_to_end(&mut out).await.unwrap();
        out
    };
    let ask = |encoding: &'static str, body: Vec<u8>| {
        let request = post("/actions/puppet/execute").header("content-encoding", encoding);
        send(&stage.hub, request.body(Full::new(Bytes::from(body))).unwrap())
    };
    let (status, answer) = ask("gzip", gzip(order("read", json!("zipped"))).await).await;
    assert_eq!((status, &answer["looker"]["message"]), (StatusCode::OK, &json!("zipped")));
    let bomb = gzip(order("read", json!("0".repeat(1 << 20)))).await;
    assert!(bomb.len() < 4096);
    assert_eq!(ask("gzip", bomb).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ask("gzip", b"{}".to_vec()).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask("br", b"{}".to_vec()).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn malformed_json_is_400_with_byte_and_cause() {
    let stage = stage(quick());
    for body in [
        "",
        "null",
        "[]",
        "3",
        "\"x\"",
        "{",
        "{\"type\":}",
        "{} {}",
        "{\"a\":1,}",
        "\u{feff}{}",
        "{\"type\":\"query\",\"type\":\"query\"}",
    ] {
        for path in ["/actions/puppet/execute", "/webhook/puppet?how=read", "/actions/puppet/form"]
        {
            if body.is_empty() && path.ends_with("form") {
                continue;
            }
            let request = post(path).body(Full::new(Bytes::from(body.to_owned()))).unwrap();
            let (status, answer) = send(&stage.hub, request).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body:?}: {answer}");
            let error = answer["error"].as_str().unwrap();
            let (_, named) = error.split_once("byte ").unwrap_or_else(|| panic!("{error}"));
            let (byte, cause) = named.split_once(": ").unwrap();
            assert!(byte.parse::<usize>().unwrap() <= body.len() && cause.len() > 10, "{error}");
            assert_eq!(answer["looker"]["success"], false);
            assert_eq!(answer["looker"]["webhookId"], "0f0f");
        }
    }
    assert_eq!(stage.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_empty_form_request_is_a_form_and_keeps_what_was_chosen() {
    let stage = stage(quick());
    let ask = |body: &'static str| {
        send(&stage.hub, post("/actions/puppet/form").body(Full::new(Bytes::from(body))).unwrap())
    };
    let (status, form) = ask("").await;
    assert_eq!(status, StatusCode::OK);
    assert!(form["error"].as_str().unwrap().starts_with("Required setting \"Api Key\""));
    let (_, form) = ask(r#"{"data":{"api_key":"k"},"form_params":{"note":"kept"}}"#).await;
    assert_eq!(form[0]["name"], "how");
    assert_eq!(form[0]["type"], "select");
    assert_eq!(form[1]["default"], "kept");
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named_in_the_envelope() {
    let stage = stage(quick());
    let say = async |body: Value| {
        let (status, answer) = execute(&stage.hub, body.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["looker"]["success"], false);
        assert_eq!(answer["looker"]["error"]["message"], answer["looker"]["message"]);
        answer["looker"].clone()
    };
    let no_type = say(json!({"data": {"api_key": "k"}, "form_params": {"how": "read"}})).await;
    assert_eq!(
        no_type["validation_errors"]["type"],
        "The request names no type; Puppet takes query, cell."
    );
    let wrong_type =
        say(json!({"type": "dashboard", "data": {"api_key": "k"}, "form_params": {"how": "read"}}))
            .await;
    assert!(wrong_type["validation_errors"]["type"].as_str().unwrap().contains("\"dashboard\""));
    let no_setting = say(json!({"type": "query", "form_params": {"how": "read"}})).await;
    assert!(no_setting["message"].as_str().unwrap().contains("\"Api Key\""));
    let no_field =
        say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": ""}})).await;
    assert_eq!(no_field["validation_errors"]["how"], "How is required.");
    let wrong_choice =
        say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": "sing"}}))
            .await;
    assert!(
        wrong_choice["validation_errors"]["how"]
            .as_str()
            .unwrap()
            .contains("\"sing\" is none of them")
    );
    let no_data =
        say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": "read"}}))
            .await;
    assert!(no_data["message"].as_str().unwrap().contains("no data"));
    let bad_base64 =
        say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": "read"},
        "attachment": {"mimetype": "application/pdf;base64", "data": "!!!!"}}))
        .await;
    assert!(bad_base64["message"].as_str().unwrap().contains("base64"));
    for data in ["[{\"a\":1},", "{\"a\" 1}", "", "<html>"] {
        let bad_json =
            say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": "read"},
            "attachment": {"mimetype": "application/json", "extension": "json", "data": data}}))
            .await;
        let message = bad_json["message"].as_str().unwrap();
        assert!(
            message.contains("cut short") || message.contains("not well-formed JSON"),
            "{message}"
        );
        assert_eq!(bad_json["error"]["status_code"], "DATA_LOSS");
    }
}

#[tokio::test]
async fn p5_a_body_that_breaks_off_aborts_the_delivery_at_every_point() {
    let whole = order("read", json!("a,b\n1,2\n"));
    for at in 0..whole.len() {
        let stage = stage(quick());
        let (sender, body) = by_hand();
        sender.send(Bytes::copy_from_slice(&whole.as_bytes()[..at])).unwrap();
        drop(sender);
        let (_, answer) =
            send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
        assert_eq!(answer["looker"]["success"], false, "cut at {at}");
        // A body that ends there without an error of the connection is no better.
        let (_, answer) =
            execute(&stage.hub, Bytes::copy_from_slice(&whole.as_bytes()[..at])).await;
        assert_eq!(answer["looker"]["success"], false, "ended at {at}");
    }
}

#[tokio::test]
async fn an_action_that_ignores_its_data_still_needs_the_request_whole() {
    let stage = stage(quick());
    let whole = order("ignore", json!("a,b\n1,2\n"));
    assert_eq!(execute(&stage.hub, whole.clone()).await.1["looker"]["success"], true);
    let (status, answer) = execute(&stage.hub, whole[..whole.len() - 1].to_owned()).await;
    assert_eq!((status, &answer["looker"]["success"]), (StatusCode::BAD_REQUEST, &json!(false)));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_as_soon_as_it_is_exceeded() {
    let stage = stage(Limits { body_bytes: 2000, ..quick() });
    let (sender, body) = by_hand();
    let start = order("read", json!("0".repeat(1500)));
    sender.send(Bytes::from(start[..start.len() - 3].to_owned() + &"0".repeat(1000))).unwrap();
    // The sender stays open: the answer must not wait for the end.
    let (status, answer) =
        send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer["error"].as_str().unwrap().contains("2.0 KiB"), "{answer}");
    let request = post("/actions/puppet/execute").header("content-length", "2001");
    let (status, _) = send(&stage.hub, request.body(Full::new(Bytes::new())).unwrap()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_is_cut_after_the_idle_time() {
    let stage = stage(quick());
    let (sender, body) = by_hand();
    sender.send(Bytes::from_static(b"{\"type\":")).unwrap();
    let (status, answer) =
        send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
    // The first newline went out at 30 s, so the status is 200 and the envelope says it.
    assert_eq!(status, StatusCode::OK);
    assert!(answer["looker"]["message"].as_str().unwrap().contains("stalled"), "{answer}");
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn p7_newlines_keep_the_connection_and_the_answer_is_the_last_thing() {
    let stage = stage(quick());
    let response = stage.hub.clone().oneshot(
        post("/actions/puppet/execute")
            .body(Full::new(Bytes::from(order("wait", json!("x")))))
            .unwrap(),
    );
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let started = tokio::time::Instant::now();
    for n in 0..4u64 {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&frame[..], b"\n");
        assert_eq!(started.elapsed().as_secs(), 30 * n);
    }
    stage.go.notify_one();
    let rest = body.collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&rest).unwrap();
    assert_eq!(answer["looker"]["success"], true);
}

#[tokio::test(start_paused = true)]
async fn p6_a_delivery_ends_at_its_deadline_and_says_so() {
    let stage = stage(quick());
    let (_, answer) = execute(&stage.hub, order("hang", json!("x"))).await;
    let message = answer["looker"]["message"].as_str().unwrap();
    assert_eq!(message, "stopped");
    assert!(stage.aborted.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn p6_a_delivery_that_does_not_obey_is_dropped_and_may_have_arrived() {
    let stage = stage(quick());
    let (_, answer) = execute(&stage.hub, order("wait", json!("x"))).await;
    let message = answer["looker"]["message"].as_str().unwrap();
    assert!(
        message.contains("stopped after 25 min") && message.contains("may have arrived"),
        "{message}"
    );
    assert_eq!(answer["looker"]["error"]["status_code"], "UNKNOWN");
}

#[tokio::test]
async fn p11_a_caller_who_hangs_up_stops_the_delivery() {
    let stage = stage(quick());
    let (sender, body) = by_hand();
    let whole = order("read", json!("0123456789"));
    sender.send(Bytes::from(whole[..whole.len() - 8].to_owned())).unwrap();
    let mut answer =
        Box::pin(stage.hub.clone().oneshot(post("/actions/puppet/execute").body(body).unwrap()));
    assert!((&mut answer).now_or_never().is_none());
    stage.began.notified().await;
    drop(answer);
    stage.hub.drain(Duration::from_secs(60)).await;
    assert!(stage.aborted.load(Ordering::SeqCst));
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn p12_draining_refuses_new_lets_running_finish_and_answers_the_rest() {
    let stage = stage(quick());
    let ask = |how| {
        let request = post("/actions/puppet/execute")
            .body(Full::new(Bytes::from(order(how, json!("x")))))
            .unwrap();
        let hub = stage.hub.clone();
        async move { send(&hub, request).await.1 }
    };
    let (finishes, hangs) = (tokio::spawn(ask("wait")), tokio::spawn(ask("hang")));
    while stage.running.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let draining = tokio::spawn({
        let hub = stage.hub.clone();
        async move { hub.drain(Duration::from_secs(25)).await }
    });
    while !stage.hub.is_draining() {
        tokio::task::yield_now().await;
    }
    let ready = Request::get("/readyz").body(Full::new(Bytes::new())).unwrap();
    assert_eq!(send(&stage.hub, ready).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let refused = ask("ignore").await;
    assert!(refused["looker"]["message"].as_str().unwrap().contains("restarting"));
    stage.go.notify_one();
    assert_eq!(finishes.await.unwrap()["looker"]["success"], true);
    assert_eq!(hangs.await.unwrap()["looker"]["success"], false);
    assert!(stage.aborted.load(Ordering::SeqCst));
    draining.await.unwrap();
}

#[tokio::test]
async fn p16_a_full_hub_says_so_at_once_without_reading_the_body() {
    let stage = stage(Limits { running: 1, per_lane: 1, waiting: 1, ..quick() });
    let ask = || {
        let request = post("/actions/puppet/execute")
            .body(Full::new(Bytes::from(order("wait", json!("x")))))
            .unwrap();
        let hub = stage.hub.clone();
        tokio::spawn(async move { send(&hub, request).await.1 })
    };
    let inside = [ask(), ask()];
    stage.began.notified().await;
    while stage.hub.inner.admission.enter().is_some() {
        tokio::task::yield_now().await;
    }
    let (_sender, body) = by_hand();
    let (status, answer) =
        send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["looker"]["message"].as_str().unwrap().contains("busy"), "{answer}");
    assert_eq!(answer["looker"]["error"]["status_code"], "UNAVAILABLE");
    for task in inside {
        stage.go.notify_one();
        assert_eq!(task.await.unwrap()["looker"]["success"], true);
    }
}

#[tokio::test]
async fn p18_a_panic_in_an_action_is_answered_and_others_live() {
    let stage = stage(quick());
    let (status, answer) = execute(&stage.hub, order("panic", json!("x"))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["looker"]["message"].as_str().unwrap().contains("fault in the hub"));
    assert_eq!(answer["looker"]["webhookId"], "0f0f");
    assert_eq!(execute(&stage.hub, order("ignore", json!("x"))).await.1["looker"]["success"], true);
}

#[tokio::test]
async fn p23_a_secret_in_an_error_does_not_reach_the_answer() {
    let stage = stage(quick());
    let (_, answer) = execute(&stage.hub, order("tell", json!("x"))).await;
    assert_eq!(answer["looker"]["message"], "Key [secret] is bad.");
    assert!(!answer.to_string().contains("key-123456"));
}

#[tokio::test]
async fn scheduled_webhooks_and_data_actions_deliver_by_lookers_own_token() {
    let stage = stage(quick());
    let body = r#"{"type":"query","data":{"api_key":"k"},"form_params":null,"scheduled_plan":null,
        "attachment":{"mimetype":"text/csv","extension":"csv","data":"rows"}}"#;
    let ask = |path: &str, token: &str, body: &'static str| {
        let request = Request::post(path).header("x-looker-webhook-token", token);
        send(&stage.hub, request.body(Full::new(Bytes::from(body))).unwrap())
    };
    let (_, answer) = ask("/webhook/puppet?how=read&note=n%26m:", "hook", body).await;
    assert_eq!(answer["looker"]["message"], "n&m:rows");
    let cell = r#"{"type":"cell","attachment":null,"scheduled_plan":null,
        "data":{"api_key":"k","value":"open"},"form_params":{"how":"ignore"}}"#;
    let (_, answer) = ask("/actions/puppet/execute", "hook", cell).await;
    assert_eq!(answer["looker"]["success"], true);
    assert_eq!(ask("/webhook/puppet?how=read", "hooked", body).await.0, StatusCode::FORBIDDEN);
    // Looker's webhook token is not the hub's: it lists nothing.
    assert_eq!(ask("/", "hook", "").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn old_lookers_do_not_see_what_they_cannot_use() {
    let hub = stage(quick()).hub;
    for (agent, seen) in
        [("LookerOutgoingWebhook/5.4.9", 0), ("LookerOutgoingWebhook/5.5.0", 1), ("curl/8", 1)]
    {
        let request = post("/").header("user-agent", agent).body(Full::new(Bytes::new())).unwrap();
        let (_, list) = send(&hub, request).await;
        assert_eq!(list["integrations"].as_array().unwrap().len(), seen, "{agent}");
    }
}

#[tokio::test]
async fn pages_are_for_everyone_and_escape_what_they_show() {
    let hub = stage(quick()).hub;
    for (path, status) in [
        ("/", 200),
        ("/status", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/x", 404),
        ("/a/b/c/d/e", 404),
    ] {
        let response =
            hub.clone().oneshot(Request::get(path).body(Full::<Bytes>::default()).unwrap());
        let response = response.await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(!text.contains("<Stage>"), "{path}: {text}");
    }
    let (status, _) = send(&hub, Request::put("/").body(Full::<Bytes>::default()).unwrap()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}
