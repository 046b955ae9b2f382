//! What is copied, read back by eye here and by shells in the tests of the binary.

use serde_json::json;

use super::*;
use crate::instance::ActionId;
use crate::recording::{FORMAT, RecordedBody, RecordedRequest, RecordedResponse};

fn recorded(body: &Value) -> Recorded {
    let text = body.to_string();
    let answer = r#"{"looker":{"success":true,"message":"It's \"stored\"."}}"#;
    Recorded {
        sendoff: FORMAT.into(),
        id: 1,
        started: "2026-11-25T10:00:00Z".parse().unwrap(),
        call: Call::Execute,
        action: Some("debug".into()),
        request: RecordedRequest {
            method: "POST".into(),
            url: "http://h/actions/debug/execute".into(),
            headers: vec![
                ("host".into(), "h".into()),
                ("authorization".into(), "Token token=\"••••\"".into()),
                ("content-type".into(), "application/json".into()),
                ("transfer-encoding".into(), "chunked".into()),
            ],
            body: RecordedBody::of(text.clone().into_bytes(), text.len() as u64, false),
        },
        response: Some(RecordedResponse {
            status: 200,
            headers: Vec::new(),
            body: RecordedBody::of(answer.into(), answer.len() as u64, false),
        }),
        until_answer: 0.0,
        until_end: 0.0,
        pieces: Vec::new(),
        failure: None,
    }
}

fn query(data: &str) -> Value {
    json!({"type": "query", "attachment": {"mimetype": "text/csv", "extension": "csv", "data": data},
           "data": {"api-key": "••••", "region": "e'u"}, "form_params": {"path": "in /"}})
}

#[test]
fn a_delivery_becomes_a_line_with_its_data() {
    let line = send_line(&recorded(&query("a,b\n1,'2'\n")), None, "http://h/").unwrap();
    assert_eq!(
        line,
        "sendoff send debug \\\n  --to http://h/ --token \"${SENDOFF_TOKEN}\" \\\n  \
         --param api-key=\"${API_KEY}\" \\\n  --param 'region=e'\\''u' \\\n  --field 'path=in /' \\\n  \
         --format csv --push --data - <<'END'\na,b\n1,'2'\nEND"
    );
    let line = send_line(&recorded(&query("no newline")), None, "http://h/").unwrap();
    assert!(line.starts_with("printf %s 'no newline' | sendoff send"), "{line}");
    let line = send_line(&recorded(&query("END\n")), None, "http://h/").unwrap();
    assert!(line.starts_with("printf %s 'END\n' | "), "{line}");
}

#[test]
fn binary_data_cells_and_orders_have_their_own_lines() {
    let zip = json!({"type": "dashboard", "attachment":
        {"mimetype": "application/zip;base64", "extension": "zip", "data": "UEsF\nBg==\n"}});
    let line = send_line(&recorded(&zip), None, "http://h/").unwrap();
    assert!(line.starts_with("base64 -d <<'END' | sendoff send debug"), "{line}");
    assert!(line.ends_with("--format csv_zip --push --data -\nUEsF\nBg==\nEND"), "{line}");
    let cell = json!({"type": "cell", "data": {"value": "10042", "rendered": "10,042"}});
    let line = send_line(&recorded(&cell), None, "http://h/").unwrap();
    assert!(line.ends_with("--cell 10042 --rendered 10,042"), "{line}");
    let action = ActionId { hub: 1, name: "debug".into() };
    let mut order = Order::new(&action, What::Generated { bytes: 10, seed: 3 });
    order.way = Some(Way::Url);
    order.format = Some(Format::Csv);
    order.faults = "seed=7 fault=cut@9".parse().unwrap();
    let line = send_line(&recorded(&json!({})), Some(&order), "http://h/").unwrap();
    let end = "--generate 10 --seed 3 --format csv --stream \\\n  --fault 'seed=7 fault=cut@9'";
    assert!(line.ends_with(end), "{line}");
    order.rendering = Some(Rendering {
        formatting: Formatting::Unformatted,
        visualization: VisualizationFormatting::Apply,
    });
    let line = send_line(&recorded(&json!({})), Some(&order), "http://h/").unwrap();
    assert!(line.contains(" --stream --unformatted --visualization "), "{line}");
    let by_url = json!({"type": "query", "attachment": null});
    assert!(send_line(&recorded(&by_url), None, "http://h/").is_err());
    let form = Recorded { call: Call::Form, ..recorded(&cell) };
    assert!(send_line(&form, None, "http://h/").is_err());
}

#[test]
fn curl_has_the_headers_and_variables_for_secrets() {
    let line = curl_line(&recorded(&query("it's\n")), "http://h/x").unwrap();
    assert!(line.starts_with("curl -sS -X POST http://h/x \\\n  -H \"Authorization: Token token=\\\"${SENDOFF_TOKEN}\\\"\""), "{line}");
    assert!(line.contains(r#""api-key":"'"${API_KEY}"'""#), "{line}");
    assert!(line.contains(r"it'\''s") && !line.contains("chunked"), "{line}");
    let plan = json!({"download_url": "http://127.0.0.1:8090/download/used-up"});
    let fetched = recorded(&json!({"type": "query", "scheduled_plan": plan}));
    assert!(curl_line(&fetched, "http://h/").unwrap_err().contains("a URL that works once"));
    assert!(rust_test(&fetched).unwrap_err().contains("a URL that works once"));
    let mut cut = recorded(&query("x"));
    cut.request.body.cut = true;
    assert!(curl_line(&cut, "http://h/").is_err());
}

#[test]
fn a_test_has_the_bytes_and_what_was_answered() {
    let text = rust_test(&recorded(&query("\"#\n"))).unwrap();
    assert!(text.contains("const BODY: &[u8] = r##\"{"), "{text}");
    assert!(text.contains("[\"message\"], \"It's \\\"stored\\\".\");"), "{text}");
    assert!(text.contains("async fn debug_answers_this_execute()"), "{text}");
    let list = Recorded { call: Call::List, ..recorded(&json!({})) };
    assert!(rust_test(&list).is_err());
}

/// The test that stands there is compiled and run by the library's own tests.
#[test]
fn a_copied_test_is_the_one_that_the_library_runs() {
    let body = json!({
        "type": "query", "scheduled_plan": {"scheduled_plan_id": 1, "title": "A \"title\""},
        "attachment": {"mimetype": "text/csv", "extension": "csv", "data": "a,b\n1,2\n"},
        "data": {}, "form_params": {},
    });
    let mut recorded = recorded(&body);
    recorded.action = Some("count".into());
    if let Some(response) = &mut recorded.response {
        response.body = RecordedBody::of(b"{\"looker\":{\"success\":true}}".to_vec(), 27, false);
    }
    let golden = include_str!("../../../sendoff/tests/golden/copied.rs");
    assert_eq!(rust_test(&recorded).unwrap(), golden);
}
