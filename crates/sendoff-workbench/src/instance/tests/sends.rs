//! Sends: what goes out, how it is watched, spoiled and stopped, and what is told of it.

use sendoff_protocol::Format;

use super::*;
use crate::{Severity, Stage};

#[tokio::test]
async fn a_look_a_dashboard_and_a_cell_are_sent() {
    let hub = Scripted::with(json!({}), |_, _| async { succeeded() }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let send = async |what: What| {
        let mut order = Order::new(&action, what);
        order.answers = [("path", "in/")].into_iter().collect();
        looker.send(order).await.unwrap().finished().await
    };
    let sent = send(What::Look("penguins".into())).await;
    assert_eq!(sent.verdict.severity, Severity::Success, "{sent:?}");
    assert_eq!(sent.outcome.as_ref().unwrap().message.as_deref(), Some("Stored."));
    assert!(sent.progress.sent > 10_000 && sent.progress.stage == Stage::Ended);
    send(What::Dashboard("shop".into())).await;
    send(What::Cell { value: "10042".into(), rendered: "10,042".into() }).await;
    send(What::Sql("SELECT 1 AS email".into())).await;

    let asked = hub.asked("/execute");
    assert_eq!(asked[0]["type"], "query");
    assert_eq!(asked[0]["attachment"]["mimetype"], "text/csv");
    assert_eq!(asked[0]["form_params"], json!({"path": "in/"}));
    assert_eq!(asked[1]["type"], "dashboard", "{:?}", asked[1]);
    assert_eq!(asked[1]["attachment"]["extension"], "zip");
    assert_eq!(asked[2]["type"], "cell");
    assert_eq!(asked[2]["data"]["value"], "10042");
    assert_eq!(asked[2]["scheduled_plan"], Value::Null);
    assert!(asked[3]["attachment"]["data"].as_str().unwrap().contains('1'));

    let history = looker.history();
    assert_eq!(history.len(), 4);
    assert!(history.iter().all(|run| run.status == RunStatus::Success && run.ended.is_some()));
    assert_eq!(history[0].message, "Stored.");
    assert!(looker.running().is_empty());
}

#[tokio::test]
async fn a_streaming_action_fetches_the_result_from_the_instance() {
    let hub =
        Scripted::with(json!({"supported_download_settings": ["url"]}), |_, body| async move {
            let url = body["scheduled_plan"]["download_url"].as_str().unwrap().to_owned();
            assert_eq!(body["form_params"]["format"], "csv");
            let got = get(&url).await;
            let again = get(&url).await;
            let rows = got.1.lines().count();
            (200, json!({"looker": {"message": format!("{} {rows} {}", got.0, again.0)}}))
        })
        .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let order = Order::new(&action, What::Look("penguins".into()));
    let sent = looker.send(order).await.unwrap().finished().await;
    let outcome = sent.outcome.as_ref().unwrap();
    assert_eq!(outcome.message.as_deref(), Some("200 345 404"));
    assert_eq!(sent.downloads.len(), 2);
    assert!(sent.progress.fetched > 10_000, "{:?}", sent.progress);
    let first = looker.journal().get(sent.downloads[0]).unwrap();
    assert_eq!(first.exchange.call, Some(crate::Call::Download));
}

async fn get(url: &str) -> (u16, String) {
    let (address, uri) = crate::dial::Address::of(url).unwrap();
    let socket = address.connect().await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(socket)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = http::Request::get(uri.path()).header("host", "looker");
    let request = request.body(crate::request::RequestBody::empty()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let text = match http_body_util::BodyExt::collect(response.into_body()).await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => format!("broke: {error}"),
    };
    (status, text)
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_a_suggestion() {
    let change = json!({"supported_formats": ["csv"], "supported_action_types": ["query"],
                        "required_fields": [{"any_tag": ["email", "user_id"]}]});
    let hub = Scripted::with(change, |_, _| async { succeeded() }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let refused = async |change: &dyn Fn(&mut Order)| {
        let mut order = Order::new(&action, What::Sql("SELECT 1 AS email".into()));
        change(&mut order);
        match looker.send(order).await {
            Ok(_) => panic!("it was sent"),
            Err(refused) => refused.0,
        }
    };
    let unknown = refused(&|order| order.action.name = "b".into()).await;
    assert_eq!(unknown, "The hub has no action `b`. It has a.");
    let format = refused(&|order| order.format = Some(Format::Xlsx)).await;
    assert!(format.contains("does not take xlsx. It takes csv."), "{format}");
    let user = refused(&|order| order.user = "bo".into()).await;
    assert!(user.contains("no user `bo`. There are: ana."), "{user}");
    let look = refused(&|order| order.what = What::Look("nope".into())).await;
    assert!(look.contains("There are:"), "{look}");
    let sql = refused(&|order| order.what = What::Sql("SELEC 1".into())).await;
    assert!(sql.contains("SQL"), "{sql}");
    let cell = What::Cell { value: "1".into(), rendered: "1".into() };
    let cell = refused(&|order| order.what = cell.clone()).await;
    assert!(cell.contains("takes no cell; it takes query"), "{cell}");
    let untagged = refused(&|order| order.what = What::Sql("SELECT 1 AS x".into())).await;
    assert!(untagged.contains("one of the tags"), "{untagged}");
    looker.disable(&action).await.unwrap();
    assert!(refused(&|_| ()).await.contains("not enabled"));
    assert!(hub.asked("/execute").is_empty() && looker.history().is_empty());
}

#[tokio::test]
async fn a_send_can_be_watched_and_stopped() {
    let hub = Scripted::with(json!({}), |_, _| std::future::pending()).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let order = Order::new(&action, What::Look("penguins".into()));
    let running = looker.send(order).await.unwrap();
    let mut progress = running.progress();
    progress.wait_for(|progress| progress.stage == Stage::Waiting).await.unwrap();
    assert_eq!(looker.running().len(), 1);
    assert_eq!(looker.history()[0].status, RunStatus::InProgress);
    running.cancel();
    let sent = running.finished().await;
    assert_eq!(sent.failure.as_deref(), Some("It was stopped."));
    assert_eq!(looker.history()[0].status, RunStatus::Aborted);
}

#[tokio::test]
async fn faults_of_the_next_send_reach_the_hub() {
    let hub = Scripted::with(json!({}), |_, body| async move {
        match &body["scheduled_plan"]["download_url"] {
            Value::String(url) => {
                let (status, text) = get(url).await;
                let shown = crate::check::cut(&text, 12);
                (200, json!({"looker": {"message": format!("{status} {} {shown}", text.len())}}))
            }
            _ => (200, json!("\n{\"looker\":{}}")),
        }
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let send = async |fault: &str, way: Way| {
        let mut order = Order::new(&action, What::Look("penguins".into()));
        order.format = Some(Format::Csv);
        order.faults = fault.parse().unwrap();
        order.way = Some(way);
        looker.send(order).await.unwrap().finished().await
    };
    let message = async |fault: &str| {
        let sent = send(fault, Way::Url).await;
        sent.outcome.as_ref().unwrap().message.clone().unwrap()
    };
    assert_eq!(send("cut@200", Way::Push).await.progress.sent, 200);
    assert_eq!(hub.asked("/execute").pop().unwrap(), Value::Null);
    let hung_up = send("hangup@200", Way::Push).await;
    assert!(matches!(&hung_up.fault, Some(crate::Fault::Stopped(_))), "{hung_up:?}");
    let hung_up = send("hangup@newline", Way::Push).await;
    assert!(hung_up.failure.as_deref().unwrap().contains("newline"), "{hung_up:?}");
    assert!(send("hangup@0.01s slow@100", Way::Push).await.failure.is_some());
    assert_eq!(message("download@expired").await, "404 0 ");
    assert_eq!(message("download@500").await, "500 0 ");
    assert!(message("download@html").await.contains("<!DOCTYPE ht"));
    assert_eq!(
        message("download-short@20").await.split(' ').take(2).collect::<Vec<_>>(),
        ["200", "20"]
    );
    assert!(message("download-cut@20").await.contains("broke"));
    // What is fetched is cut too; what could do nothing is told.
    assert!(message("cut@20").await.starts_with("200 20 "));
    let missed = send("base64", Way::Url).await.warnings.join(" ");
    assert!(missed.contains("`base64` did nothing"), "{missed}");
    let missed = send("cut@99999999", Way::Push).await.warnings.join(" ");
    assert!(missed.contains("`cut@99999999` did nothing: the request's body had"), "{missed}");
    assert_eq!(send("cut@20", Way::Push).await.warnings, [""; 0]);
    assert_eq!(hub.asked("/form").len(), 0);
}

#[tokio::test]
async fn habits_change_what_is_sent() {
    let hub = Scripted::with(json!({}), |_, _| async { succeeded() }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let habits =
        Habits { text_ids: true, lookml_dashboard: true, nulls: true, ..Habits::default() };
    looker.set_habits(habits).await.unwrap();
    let order = Order::new(&action, What::Dashboard("shop".into()));
    looker.send(order).await.unwrap().finished().await;
    let asked = hub.asked("/execute").pop().unwrap();
    assert_eq!(asked["scheduled_plan"]["type"], "LookMLDashboard");
    assert_eq!(asked["scheduled_plan"]["scheduled_plan_id"], "7");
    assert_eq!(asked["form_params"], Value::Null);
    assert_eq!(asked["data"], json!({"key": null}));
    assert!(asked["attachment"]["data"].as_str().unwrap().contains('\n'));
    looker.set_habits(Habits { wrapped: false, ..Habits::default() }).await.unwrap();
    let order = Order::new(&action, What::Dashboard("shop".into()));
    looker.send(order).await.unwrap().finished().await;
    let asked = hub.asked("/execute").pop().unwrap();
    assert!(!asked["attachment"]["data"].as_str().unwrap().contains('\n'));
    assert_eq!(asked["data"], json!({}));
}

#[tokio::test]
async fn bodies_are_kept_whole_with_their_secrets_masked() {
    let hub = Scripted::with(json!({}), |_, body| async move {
        (200, json!({"looker": {"message": format!("key {}", body["data"]["key"])}}))
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let params = Params::from([("key".into(), "hush-hush".into())]);
    looker.configure(&action, params).await.unwrap();
    let mut order = Order::new(&action, What::Generated { bytes: 300_000, seed: 1 });
    order.way = Some(Way::Push);
    let sent = looker.send(order).await.unwrap().finished().await;
    let entry = looker.journal().get(sent.exchange).unwrap();
    let kept = entry.exchange.request_body.kept().unwrap();
    let text = tokio::fs::read_to_string(&kept.path).await.unwrap();
    assert!(text.len() > 300_000 && text.ends_with('}') && !text.contains("hush-hush"));
    let _: Value = serde_json::from_str(&text).unwrap();
    let kept = entry.exchange.response_body.kept().unwrap();
    let text = tokio::fs::read_to_string(&kept.path).await.unwrap();
    assert!(text.contains("key") && !text.contains("hush-hush"), "{text}");
}

#[tokio::test]
async fn a_recorded_call_is_made_again_against_another_hub() {
    let first = Scripted::with(json!({}), |_, _| async { succeeded() }).await;
    let second =
        Scripted::with(json!({}), |_, _| async { (500, json!({"error": "The other one."})) }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &first).await;
    let params = Params::from([("key".into(), "hush-hush".into())]);
    looker.configure(&action, params).await.unwrap();
    let order = Order::new(&action, What::Look("penguins".into()));
    let mut order = Order { title: Some("Weekly".into()), ..order };
    order.way = Some(Way::Push);
    let sent = looker.send(order).await.unwrap().finished().await;
    let entry = looker.journal().get(sent.exchange).unwrap();
    assert_eq!(entry.order.as_ref().unwrap().title.as_deref(), Some("Weekly"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.jsonl");
    crate::recording::export(looker.journal().all(), &file).await.unwrap();
    let text = tokio::fs::read_to_string(&file).await.unwrap();
    assert!(!text.contains("hush-hush") && !text.contains("nonce/hmac"));
    let mut reader = crate::recording::Reader::open(&file).await.unwrap();
    let recorded = reader.all(100).await.unwrap();
    let execute = recorded.iter().find(|r| r.call == crate::Call::Execute).unwrap();

    let other = looker.add_hub(&second.url(), None).await.unwrap();
    let none = std::collections::BTreeMap::new();
    let faults = crate::Faults::default();
    let refused = looker.replay(other.id, execute, &none, faults.clone(), None).await.unwrap_err();
    assert!(refused.0.contains("--param key=…"), "{refused}");
    let params = [("key".to_owned(), "other".to_owned())].into();
    let again = looker.replay(other.id, execute, &params, faults, None).await.unwrap();
    assert_eq!((again.status_then, again.status), (Some(200), Some(500)));
    assert_eq!(again.verdict.severity, Severity::Failure);
    let mut was = first.asked("/execute").pop().unwrap();
    was["data"]["key"] = "other".into();
    assert_eq!(second.asked("/execute").pop().unwrap(), was);
}
