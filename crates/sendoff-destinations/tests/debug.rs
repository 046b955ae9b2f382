//! What `debug` tells: of the data, of a download, of the request, and of the newlines before its
//! answer.

mod stage;

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use sendoff::Limits;
use sendoff::testing::Vendor;
use serde_json::{Value, json};
use tower::ServiceExt;

use stage::held::Held;
use stage::{
    Script, Stage, WEBHOOK, ask, builder, delivered, egress, post, query, refused, text, with,
};

const URL: &str = "https://downloads.example/report.json";

async fn stage() -> Stage {
    let vendor = Script::at(&["https://downloads.example"]);
    Stage::set(vendor.told("GET /report.json ", [text(200, "x".repeat(3_000))])).await
}

fn form(more: Value) -> Value {
    with(json!({ "sleep": "0" }), more)
}

/// `words` with every number as `0`.
fn without_numbers(words: &str) -> String {
    let mut bare = String::new();
    for c in words.chars() {
        if !c.is_ascii_digit() {
            bare.push(c);
        } else if !bare.ends_with('0') {
            bare.push('0');
        }
    }
    bare
}

#[tokio::test]
async fn a_download_is_read_to_its_end_and_timed() {
    let stage = stage().await;
    let form = form(json!({ "simulated_download_url": URL }));
    let answer = stage.send("debug", json!({}), form, "a,b\n1,2\n").await;
    let said = delivered(&answer);
    let begin = "Completed debug action successfully by doing download of 2.9 KiB (3000 bytes) in ";
    assert!(said.starts_with(begin), "{said}");
    let timed = without_numbers(said.strip_prefix(begin).unwrap());
    assert!(timed.starts_with("0 ms, the first after 0 ms, 0"), "{said}");
    assert!(timed.contains(" a second. Seen: "), "{said}");
    assert_eq!(stage.vendor.one("GET /report.json ").text(), "");

    stage.vendor.tell("GET /report.json ", text(404, "no such report"));
    let form = json!({ "sleep": "0", "simulated_download_url": URL });
    let answer = stage.send("debug", json!({}), form, "a,b\n1,2\n").await;
    refused(&answer, "no such report");
}

#[tokio::test]
async fn rows_and_bytes_are_counted() {
    let stage = stage().await;
    let data = "a,b\n1,2\n3,4\n5,6\n";
    for (count, said) in [
        ("rows", "by doing count of 0 rows with 0 columns in 0 ms, 0 a second. Seen: "),
        ("bytes", "by doing count of 0 bytes (0 bytes) in 0 ms, the first after 0 ms, 0"),
        ("nothing", "by doing nothing. Seen: "),
    ] {
        let answer = stage.send("debug", json!({}), form(json!({ "count": count })), data).await;
        assert!(without_numbers(delivered(&answer)).contains(said), "{answer}");
        let exact = [("rows", "count of 3 rows with 2 columns"), ("bytes", "(16 bytes)")];
        for (_, exact) in exact.iter().filter(|(what, _)| *what == count) {
            assert!(delivered(&answer).contains(exact), "{answer}");
        }
    }
    // Half a row is none.
    let answer = stage.send("debug", json!({}), form(json!({ "count": "rows" })), "a,b\n1\n").await;
    assert_eq!(answer["error"]["status_code"], "DATA_LOSS", "{answer}");
}

#[tokio::test]
async fn what_looker_said_of_itself_is_told() {
    let stage = stage().await;
    let mut request =
        post("/actions/debug/execute", Some(WEBHOOK), query(json!({}), form(json!({})), "a\n"));
    let headers = request.headers_mut();
    headers.insert("user-agent", "LookerOutgoingWebhook/26.18.3".parse().unwrap());
    headers.insert("x-looker-instance", "00ff00ff00ff00ff00ff00ff00ff00ff".parse().unwrap());
    let answer = ask(&stage.hub, request).await;
    let said = delivered(&answer["looker"]);
    let seen = format!(
        "Seen: Looker 26.18.3, x-looker-webhook-id {WEBHOOK}, x-looker-instance \
         00ff00ff00ff00ff00ff00ff00ff00ff. Newlines so far: 0."
    );
    assert!(said.ends_with(&seen), "{said}");

    let bare = post("/actions/debug/execute", None, query(json!({}), form(json!({})), "a\n"));
    let answer = ask(&stage.hub, bare).await;
    let said = delivered(&answer["looker"]);
    assert!(said.contains("no x-looker-webhook-id, no x-looker-instance"), "{said}");
}

#[tokio::test]
async fn newlines_are_counted_while_the_work_goes_on() {
    let slow = Arc::new(Held::at("https://downloads.example"));
    let running = Vendor::start(Arc::clone(&slow) as _, true).await.unwrap();
    let mut limits = Limits::default();
    limits.keep_alive = Duration::from_millis(1);
    let hub = builder(egress(running.origins())).limits(limits).build().unwrap();
    let sent = query(json!({}), form(json!({ "simulated_download_url": URL })), "a\n");
    let response = hub.oneshot(post("/actions/debug/execute", None, sent)).await.unwrap();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(&frame.unwrap().into_data().unwrap());
        if text == b"\n\n" {
            slow.answer(1);
        }
    }
    let text = String::from_utf8(text).unwrap();
    let came = text.len() - text.trim_start().len();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let said = delivered(&answer["looker"]);
    let (_, count) = said.rsplit_once("Newlines so far: ").unwrap();
    let count: usize = count.trim_end_matches('.').parse().unwrap();
    assert!((2..=came).contains(&count), "{count} of {came}: {said}");
}
