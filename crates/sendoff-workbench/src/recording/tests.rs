//! Lines written and read, secrets masked in whatever pieces they come, calls made again.
#![allow(clippy::disallowed_methods, reason = "small files, in a test")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn looker() -> Side {
    Side::Looker { open: vec!["region".into()], data: true }
}

fn redacted(side: Side, text: &str, size: usize) -> String {
    let mut redactor = Redactor::new(side);
    let mut shown = Vec::new();
    for piece in text.as_bytes().chunks(size) {
        shown.extend(redactor.push(piece));
    }
    String::from_utf8(shown).unwrap()
}

#[test]
fn params_states_and_one_time_urls_are_masked_in_any_pieces() {
    let body = json!({
        "type": "query",
        "data": {"key": "s-1 \"quoted\"", "region": "eu", "value": "7", "state_json": "{\"t\":\"s-2\"}",
                 "state_url": "https://l/action_hub_state/s-3", "number": 4711, "nested": {"a": ["s-4"]},
                 "absent": null},
        "scheduled_plan": {"title": "T", "download_url": "https://l/downloads/s-5", "query": {"id": 1}},
        "attachment": {"mimetype": "text/csv", "data": "a\n\"s\"\n"},
        "form_params": {"path": "in/", "password": "s-6"},
    })
    .to_string();
    for size in 1..=body.len() {
        let shown = redacted(looker(), &body, size);
        for secret in ["s-1", "s-2", "s-3", "s-4", "s-5", "s-6", "4711"] {
            assert!(!shown.contains(secret), "{size} {shown}");
        }
        let value: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(value["data"]["region"], "eu");
        assert_eq!(value["data"]["value"], "7");
        assert_eq!(value["data"]["absent"], Value::Null);
        assert_eq!(value["data"]["nested"], "••••");
        assert_eq!(value["form_params"], json!({"path": "in/", "password": "••••"}));
        assert_eq!(value["attachment"]["data"], "a\n\"s\"\n");
        assert_eq!(value["scheduled_plan"]["title"], "T");
    }
    let without = redacted(Side::Looker { open: Vec::new(), data: false }, &body, 7);
    assert!(!without.contains("\\\"s\\\"") && !without.contains("\"eu\""), "{without}");
}

#[test]
fn a_hubs_answers_are_masked_too() {
    let outcome =
        json!({"looker": {"success": true, "state": {"data": "s-1", "refresh_time": 600}}});
    let shown = redacted(Side::Hub, &outcome.to_string(), 3);
    assert!(!shown.contains("s-1") && shown.contains("600"), "{shown}");
    let form =
        json!([{"name": "login", "oauth_url": "https://h/oauth?state=s-2", "default": "x?y"}]);
    let shown = redacted(Side::Hub, &form.to_string(), 3);
    assert!(!shown.contains("s-2") && shown.contains("https://h/oauth?••••"), "{shown}");
    assert!(shown.contains("x?y"));
    let tokens = redacted(Side::Secret, r#" {"tokens": {"a": "s-3"}} "#, 2);
    assert_eq!(tokens, " \"••••\" ");
    assert_eq!(
        redacted(Side::Hub, "<html>\"it\" works, {really}</html>", 4),
        "<html>\"it\" works, {really}</html>"
    );
}

#[test]
fn masked_values_are_remembered_to_be_found_in_answers() {
    let mut redactor = Redactor::new(looker());
    redactor.push(br#"{"data":{"key":"a\"b-secret","other":"c-secret"}}"#);
    for secret in ["a\"b-secret", "a\\\"b-secret", "c-secret"] {
        assert!(redactor.secrets.iter().any(|s| s == secret), "{:?}", redactor.secrets);
    }
}

proptest! {
    #[test]
    fn json_without_secrets_is_kept_to_the_byte(text in "[ \\n{}\\[\\]\",:a-c0-9\\\\]{0,60}", size in 1usize..9) {
        let shown = redacted(Side::Hub, &text, size);
        prop_assert_eq!(shown, text);
    }

    #[test]
    fn whatever_the_param_it_does_not_show(value in "[a-z\"\\\\/\u{e9} ]{6,20}", size in 1usize..9) {
        let body = json!({"x": 1, "data": {"key": &value}, "y": 2}).to_string();
        let shown = redacted(looker(), &body, size);
        let read: Value = serde_json::from_str(&shown).unwrap();
        prop_assert_eq!(&read, &json!({"x": 1, "data": {"key": "••••"}, "y": 2}));
    }
}

fn recorded(call: Call, body: &Value) -> Recorded {
    let text = body.to_string();
    Recorded {
        sendoff: FORMAT.into(),
        id: 3,
        started: "2026-11-25T10:00:00Z".parse().unwrap(),
        call,
        action: Some("a".into()),
        request: RecordedRequest {
            method: "POST".into(),
            url: "https://h/actions/a/execute".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: RecordedBody::of(text.clone().into_bytes(), text.len() as u64, false),
        },
        response: Some(RecordedResponse {
            status: 200,
            headers: Vec::new(),
            body: RecordedBody::of(vec![0xff, 0x00], 2, false),
        }),
        until_answer: 1.5,
        until_end: 2.0,
        pieces: vec![Piece { at: Duration::from_millis(2), bytes: 2 }],
        failure: None,
    }
}

#[tokio::test]
async fn a_line_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    let first = recorded(Call::Execute, &json!({"type": "cell"}));
    let second = Recorded { response: None, failure: Some("no".into()), ..first.clone() };
    let text = format!("{}\n\n{}\n", first.line(), second.line());
    tokio::fs::write(&path, text).await.unwrap();
    let all = Reader::open(&path).await.unwrap().all(10).await.unwrap();
    assert_eq!(all, [first.clone(), second]);
    assert_eq!(all[0].response.as_ref().unwrap().body.kept(), [0xff, 0x00]);
    assert_eq!(all[0].exchange().until_answer, Duration::from_micros(1_500));
    assert_eq!(Reader::open(&path).await.unwrap().all(1).await.unwrap().len(), 1);
    for wrong in ["{\"a\":1}", "nonsense", &first.line().replace("exchange/1", "exchange/9")] {
        tokio::fs::write(&path, format!("{}\n{wrong}\n", first.line())).await.unwrap();
        let error = Reader::open(&path).await.unwrap().all(10).await.unwrap_err().to_string();
        assert!(error.starts_with("line 2 is no recorded exchange"), "{error}");
    }
}

#[test]
fn a_call_is_made_again_with_the_params_put_in() {
    let body = json!({"type": "cell", "data": {"key": "••••", "region": "eu", "state_url": "••••"},
                      "form_params": {"path": "in/"}});
    let execute = recorded(Call::Execute, &body);
    let missing = execute.replay(&BTreeMap::new(), None).unwrap_err();
    assert_eq!(missing.to_string(), "The recording masks secrets; give them: --param key=….");
    let params = BTreeMap::from([("key".to_owned(), "hush-hush".to_owned())]);
    let replay = execute.replay(&params, None).unwrap();
    let sent: Value = serde_json::from_str(&replay.body).unwrap();
    assert_eq!(sent["data"], json!({"key": "hush-hush", "region": "eu"}));
    assert_eq!(sent["form_params"], json!({"path": "in/"}));
    assert!(!replay.shown.contains("hush-hush") && replay.shown.contains("••••"));
    assert_eq!(replay.secrets, ["hush-hush"]);

    let mut cut = execute.clone();
    cut.request.body.cut = true;
    assert_eq!(cut.replay(&params, None), Err(Unreplayable::Cut));
    let url = json!({"scheduled_plan": {"download_url": "••••"}, "data": {}});
    assert_eq!(recorded(Call::Execute, &url).replay(&params, None), Err(Unreplayable::Download));
    assert_eq!(
        recorded(Call::Login, &body).replay(&params, None),
        Err(Unreplayable::Call(Call::Login))
    );
    let mut broken = execute;
    broken.request.body.text = Some("{".into());
    assert!(matches!(broken.replay(&params, None), Err(Unreplayable::Body(_))));
}

#[tokio::test]
async fn a_line_that_was_cut_costs_no_other() {
    use tokio::io::AsyncWriteExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    let whole = recorded(Call::List, &json!({})).line();
    tokio::fs::write(&path, format!("{whole}\n{}", &whole[..whole.len() / 2])).await.unwrap();
    for _ in 0..2 {
        let mut file = super::append_to(&path).await.unwrap();
        file.write_all(format!("{whole}\n").as_bytes()).await.unwrap();
        file.flush().await.unwrap();
    }
    let mut reader = Reader::open(&path).await.unwrap();
    assert_eq!(reader.all(9).await.unwrap().len(), 3);
    let told = reader.unfinished().unwrap();
    assert_eq!(told, "Line 2 was not written to its end; it is left out.");
}
