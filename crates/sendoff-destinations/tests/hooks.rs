//! What receivers of webhooks get, byte for byte: rows, batches, forms, signatures, retries.
//!
//! That data arrives whole and that faults are told truthfully is the behaviour suite's part.

mod stage;

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sendoff::testing::Vendor;
use serde_json::{Value, json};
use sha2::Sha256;

use stage::held::Held;
use stage::{
    Asked, Script, Stage, WEBHOOK, builder, call, delivered, egress, query, refused, text, with,
};

/// A receiver that says thanks for whatever it gets.
async fn receiver() -> Stage {
    let hosts = ["https://receiver.example", "https://hooks.zapier.com", "https://a.trayapp.io"];
    Stage::set(Script::at(&hosts).told("", [text(200, "thanks")])).await
}

/// Sends `data` as json_detail unless `form` says otherwise, and returns Looker's part of the answer.
async fn send(stage: &Stage, action: &str, settings: Value, form: Value, data: Value) -> Value {
    let mut body = query(settings, form, "{}");
    if let Some(extension) = body["form_params"]["format"].as_str().map(str::to_owned) {
        let media_type = if extension == "csv" { "text/csv" } else { "application/json" };
        body["attachment"]["mimetype"] = media_type.into();
        body["attachment"]["extension"] = extension.into();
    }
    body["attachment"]["data"] = data;
    body["scheduled_plan"] = json!({ "scheduled_plan_id": 88, "title": "Umsätze 100%" });
    stage.execute(action, body).await
}

/// What the next requests are answered.
fn told<'a>(stage: &Stage, answers: impl IntoIterator<Item = (u16, &'a str)>) {
    answers.into_iter().for_each(|(status, words)| stage.vendor.tell("", text(status, words)));
}

const URL: &str = "https://receiver.example/in/0123456789abc";

fn form(more: Value) -> Value {
    with(json!({ "url": URL }), more)
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
    let stage = receiver().await;
    let form = form(json!({ "mode": "rows", "keys": "name" }));
    let answer = send(&stage, "webhook", json!({}), form, rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.starts_with("Delivered 3 rows to receiver.example."), "{message}");

    let got = stage.vendor.asked();
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
        assert_eq!(got.header("x-looker-webhook-id"), WEBHOOK);
        assert_eq!(got.header("x-looker-plan-id"), "88");
        assert_eq!(got.header("x-looker-title"), "Ums%C3%A4tze 100%25");
    }
    assert_ne!(got[0].header("idempotency-key"), got[1].header("idempotency-key"));
    assert!(!got[0].headers.contains_key("x-hub-signature-256"));
}

#[tokio::test]
async fn batches_are_cut_by_rows_and_by_bytes() {
    let stage = receiver().await;
    let data = |n: u64, width| -> Value {
        (1..=n).map(|n| json!({ "n": n, "text": "x".repeat(width) })).collect()
    };
    let sent = form(json!({ "format": "json", "mode": "batches", "batch_rows": "2" }));
    let answer = send(&stage, "webhook", json!({}), sent, data(5, 1)).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("5 rows"), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("It took 3 requests."), "{answer}");
    let numbers = |got: &[Asked]| -> Vec<Vec<u64>> {
        let rows = |got: &Asked| got.json().as_array().unwrap().clone();
        got.iter().map(|g| rows(g).iter().map(|row| row["n"].as_u64().unwrap()).collect()).collect()
    };
    assert_eq!(numbers(&stage.vendor.asked()), [vec![1, 2], vec![3, 4], vec![5]]);

    // Three of these rows have 1,020 bytes with brackets and commas, a fourth does not fit.
    let stage = receiver().await;
    let sent =
        form(json!({ "format": "json", "mode": "batches", "batch_kib": "1", "parallel": "3" }));
    let answer = send(&stage, "webhook", json!({}), sent, data(9, 320)).await;
    assert_eq!(answer["success"], true, "{answer}");
    let mut got = numbers(&stage.vendor.asked());
    got.sort();
    assert_eq!(got, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]]);
    assert!(stage.vendor.asked().iter().all(|got| got.body.len() <= 1024));

    let sent = form(json!({ "format": "json", "mode": "batches", "batch_kib": "1" }));
    let answer = send(&stage, "webhook", json!({}), sent, data(1, 2000)).await;
    assert_eq!(answer["success"], false);
    assert!(answer["validation_errors"]["mode"].as_str().unwrap().starts_with("Row 1 alone"));
}

#[tokio::test]
async fn a_result_without_rows_sends_nothing_and_says_so() {
    let stage = receiver().await;
    let sent = form(json!({ "format": "json", "mode": "batches" }));
    let answer = send(&stage, "webhook", json!({}), sent, json!([])).await;
    assert_eq!(answer["success"], true);
    assert!(answer["message"].as_str().unwrap().contains("has no rows"), "{answer}");
    assert!(stage.vendor.asked().is_empty());
}

#[tokio::test]
async fn what_was_accepted_before_a_refusal_is_counted() {
    let stage = receiver().await;
    told(&stage, [(200, ""), (200, ""), (422, "row 3 is bad")]);
    let sent = form(json!({ "format": "json", "mode": "rows" }));
    let data = json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }, { "n": 4 }]);
    let answer = send(&stage, "webhook", json!({}), sent, data).await;
    assert_eq!(answer["success"], false);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("422") && message.contains("row 3 is bad"), "{message}");
    assert!(message.contains("2 rows were accepted"), "{message}");
    assert_eq!(stage.vendor.asked().len(), 3);
}

#[tokio::test]
async fn rows_of_data_cut_short_are_counted_too() {
    let stage = receiver().await;
    let sent = form(json!({ "format": "csv", "mode": "rows" }));
    let answer = send(&stage, "webhook", json!({}), sent, json!("a,b\n1,2\n3\n")).await;
    assert_eq!(answer["success"], false);
    assert_eq!(answer["error"]["status_code"], "DATA_LOSS", "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("1 row was accepted"), "{answer}");
}

#[tokio::test]
async fn a_form_holds_the_file_and_says_whose_it_is() {
    let stage = receiver().await;
    let sent = form(json!({ "format": "csv", "mode": "multipart", "method": "put" }));
    let answer = send(&stage, "webhook", json!({}), sent, json!("a,b\n1,2\n")).await;
    assert_eq!(answer["success"], true, "{answer}");
    let got = &stage.vendor.asked()[0];
    assert_eq!(got.method, Method::PUT);
    let boundary =
        got.header("content-type").strip_prefix("multipart/form-data; boundary=").unwrap();
    let want = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"webhook_id\"\r\n\r\n\
         {WEBHOOK}\r\n\
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
        let stage = receiver().await;
        let sent = form(json!({ "mode": mode }));
        let answer = send(&stage, "webhook", settings.clone(), sent, rows()).await;
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!(stage.vendor.asked().len(), requests);
        for got in stage.vendor.asked() {
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
        let stage = receiver().await;
        told(&stage, [(503, "busy"), (503, "busy"), (200, "ok")]);
        let sent = form(json!({ "mode": mode, "idempotent": idempotent }));
        let answer = send(&stage, "webhook", json!({}), sent, rows()).await;
        assert_eq!(answer["success"], requests == 3, "{mode} {idempotent}: {answer}");
        let got = stage.vendor.asked();
        assert_eq!(got.len(), requests, "{mode} {idempotent}");
        assert!(got.iter().all(|one| one.body == got[0].body && !one.body.is_empty()));
        let key = got[0].header("idempotency-key");
        assert!(key.len() == 32 && got.iter().all(|one| one.header("idempotency-key") == key));
    }
}

#[tokio::test]
async fn thanks_before_all_of_the_data_are_no_success() {
    let stage = receiver().await;
    stage.vendor.is_hasty();
    // More than the buffers on the way hold.
    let data = "1,2\n".repeat(2 << 20);
    let sent = form(json!({ "format": "csv" }));
    let answer = send(&stage, "webhook", json!({}), sent, json!(data)).await;
    assert_eq!(answer["success"], false, "{answer}");
    assert!(stage.vendor.asked().is_empty());
}

#[tokio::test]
async fn refusals_say_what_to_do_and_keep_the_address_secret() {
    for (status, advice) in [(413, "Send batches of rows"), (404, "Check that the URL is whole")] {
        let stage = receiver().await;
        told(&stage, [(status, "not at /in/0123456789abc")]);
        let answer = send(&stage, "webhook", json!({}), form(json!({})), rows()).await;
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(advice), "{message}");
        assert!(message.contains("not at [secret]"), "{message}");
        assert!(!answer.to_string().contains("0123456789abc\""), "{answer}");
    }
}

#[tokio::test]
async fn what_the_receiver_said_is_told_shortly() {
    let stage = receiver().await;
    let long: &'static str = "word\n".repeat(100_000).leak();
    told(&stage, [(202, long)]);
    let answer = send(&stage, "webhook", json!({}), form(json!({})), rows()).await;
    let message = answer["message"].as_str().unwrap();
    let said =
        "It answered 202 Accepted, so it has the data and has not worked on it yet: word word";
    assert!(message.contains(said), "{message}");
    assert!(message.ends_with('…') && message.len() < 400, "{message}");
}

#[tokio::test]
async fn a_207_may_have_refused_a_part() {
    for (mode, before) in [
        ("whole", ""),
        ("rows", " 1 row was accepted and cannot be taken back, and 1 more may have arrived"),
    ] {
        let stage = receiver().await;
        let answers = [(200, "ok"), (207, "item 2: 422")];
        told(&stage, answers.into_iter().skip(usize::from(before.is_empty())));
        let heard = send(&stage, "webhook", json!({}), form(json!({ "mode": mode })), rows()).await;
        let said =
            refused(&heard, "answered 207 Multi-Status (item 2: 422). It may have refused a part");
        assert!(said.contains("may have arrived"), "{said}");
        assert!(said.contains(before), "{said}");
        assert_eq!(heard["error"]["status_code"], "UNKNOWN", "{heard}");
    }
}

/// Also where no header would refuse it: in the middle of a form.
#[tokio::test]
async fn a_media_type_that_is_none_reaches_no_receiver() {
    for media_type in ["text/csv\r\nX-Evil: 1", "text/csv; a=\"\r\n\r\n\"", "csv", "a b/c", ""] {
        for mode in ["multipart", "whole"] {
            let stage = receiver().await;
            let sent = form(json!({ "format": "csv", "mode": mode }));
            let mut body = query(json!({}), sent, "a,b\n1,2\n");
            body["attachment"]["mimetype"] = media_type.into();
            delivered(&stage.execute("webhook", body).await);
            let got = &stage.vendor.asked()[0];
            let at = match mode {
                "whole" => format!("content-type: {}\r\n", got.header("content-type")),
                _ => got.text().to_lowercase(),
            };
            assert!(at.contains("content-type: text/csv\r\n"), "{media_type:?}: {at}");
            assert!(!at.contains("evil"), "{media_type:?}: {at}");
        }
    }
}

#[tokio::test]
async fn a_users_host_does_not_get_the_admins_headers() {
    let settings =
        json!({ "headers": "X-Key: a secret key", "default_url": "https://own.example/" });
    let stage = receiver().await;
    let answer = send(&stage, "webhook", settings, form(json!({})), rows()).await;
    assert_eq!(answer["success"], false);
    assert!(answer["message"].as_str().unwrap().contains("Allowed Hosts"), "{answer}");
    let listed = json!({ "allowed_hosts": "*.corp.example" });
    let answer = send(&stage, "webhook", listed, form(json!({})), rows()).await;
    assert!(answer["validation_errors"]["url"].is_string(), "{answer}");
    assert!(stage.vendor.asked().is_empty());

    let settings = json!({ "headers": "X-Key: a secret key", "default_url": URL });
    let answer = send(&stage, "webhook", settings, json!({}), rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(stage.vendor.asked()[0].header("x-key"), "a secret key");
}

#[tokio::test]
async fn a_cell_is_sent_with_what_looker_shows() {
    let stage = receiver().await;
    let data = json!({ "value": "1234.5", "rendered": "$1,234.50" });
    let request = json!({ "type": "cell", "data": data, "form_params": form(json!({})) });
    let answer = stage.execute("webhook", request).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(
        stage.vendor.asked()[0].json(),
        json!({ "value": "1234.5", "rendered": "$1,234.50" })
    );
}

#[tokio::test]
async fn zapier_gets_the_document_as_it_is_or_labelled_rows_with_a_stamp() {
    let url = "https://hooks.zapier.com/hooks/catch/1/abcdefghij/";
    let stage = receiver().await;
    let answer = send(&stage, "zapier", json!({}), json!({ "url": url }), rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(stage.vendor.asked()[0].json(), rows());
    assert!(answer["message"].as_str().unwrap().contains("whether a Zap ran"), "{answer}");

    let sent = json!({ "url": url, "mode": "batches" });
    let answer = send(&stage, "zapier", json!({}), sent, rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    let batch = stage.vendor.asked()[1].json();
    assert_eq!(batch.as_array().unwrap().len(), 3);
    // Two columns share the label "Count": the second goes by its name.
    assert_eq!(batch[0]["Count"], json!({ "x": 1, "y": null }));
    assert_eq!(batch[1]["p.count"], 0.1);
    let stamp = json!({ "webhook_id": WEBHOOK, "plan_id": "88", "row": 3 });
    assert_eq!(batch[2]["_looker"], stamp);

    // A column of the stamp's name gets another one, and none is lost.
    let sent = json!({ "url": url, "mode": "rows", "keys": "name", "format": "json" });
    let answer =
        send(&stage, "zapier", json!({}), sent, json!([{ "_looker": "mine", "b": 1 }])).await;
    assert_eq!(answer["success"], true, "{answer}");
    let row = stage.vendor.asked().remove(2);
    assert_eq!(row.text().matches("\"_looker\":").count(), 1, "{}", row.text());
    assert_eq!(row.json()["_looker (2)"], "mine");
    assert_eq!(row.json()["_looker"]["row"], 1);

    let elsewhere = json!({ "url": "https://hooks.zapier.com.evil.example/" });
    let answer = send(&stage, "zapier", json!({}), elsewhere, rows()).await;
    let error = answer["validation_errors"]["url"].as_str().unwrap();
    assert!(error.starts_with("Incorrect domain for url."), "{error}");
    assert_eq!(stage.vendor.asked().len(), 3);
}

#[tokio::test]
async fn a_batch_has_a_row_at_least() {
    let stage = receiver().await;
    for (action, url) in [
        ("webhook", URL),
        ("zapier", "https://hooks.zapier.com/hooks/catch/1/abcdefghij/"),
        ("tray", "https://a.trayapp.io/flow"),
    ] {
        let sent = json!({ "url": url, "mode": "batches", "batch_rows": "0" });
        let answer = send(&stage, action, json!({}), sent, rows()).await;
        assert_eq!(answer["validation_errors"]["batch_rows"], "Enter 1 or more.", "{answer}");
        // Whoever sends no batches need not care.
        let sent = json!({ "url": url, "batch_rows": "0" });
        delivered(&send(&stage, action, json!({}), sent, rows()).await);
    }
    assert_eq!(stage.vendor.asked().len(), 3);
}

#[tokio::test]
async fn tray_gets_the_triggers_header() {
    let stage = receiver().await;
    let sent = json!({ "url": "https://a.trayapp.io/flow" });
    let settings = json!({ "header_name": "X-Flow", "header_value": "a secret value" });
    let answer = send(&stage, "tray", settings, sent.clone(), rows()).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(stage.vendor.asked()[0].header("x-flow"), "a secret value");
    let half = json!({ "header_name": "X-Flow" });
    let answer = send(&stage, "tray", half, sent, rows()).await;
    assert!(answer["message"].as_str().unwrap().contains("belong together"), "{answer}");
}

/// One that does not wait is given up meanwhile, so that the hub's patience was over.
#[tokio::test]
async fn a_tray_workflow_is_waited_for_if_the_form_says_so() {
    let workflow = Arc::new(Held::at("https://a.trayapp.io"));
    let running = Vendor::start(Arc::clone(&workflow) as _, true).await.unwrap();
    let mut impatient = egress(running.origins());
    impatient.idle_timeout = Duration::from_millis(200);
    let hub = builder(impatient).build().unwrap();
    let send = async |waits: &str| {
        let form = json!({ "url": "https://a.trayapp.io/flow", "wait_for_workflow": waits });
        let body = query(json!({}), form, "[{\"data\":[]}]");
        call(&hub, "/actions/tray/execute", None, body).await["looker"].take()
    };
    let quick = async {
        workflow.asked().await;
        let heard = send("no").await;
        workflow.answer(2);
        heard
    };
    let (patient, quick) = tokio::join!(send("yes"), quick);
    assert!(delivered(&patient).contains("It answered 200 OK: done"), "{patient}");
    refused(&quick, "may have arrived");
}
