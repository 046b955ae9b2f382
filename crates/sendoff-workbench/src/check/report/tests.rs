//! Reports of a hub that answers with markup and with secrets.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{har, html, junit, print};
use crate::check::expect::{Expected, apply, faulty};
use crate::check::wire::Recorded;
use crate::check::{Checked, Outcome, Report, Strength};
use crate::exchange::{Exchange, Piece};
use crate::looker::shown_answer;
use crate::{Paint, Peek};

const EVIL: &str = "</pre><script>alert(1)</script>]]>&\u{1}\u{b}\"'";

fn checked(id: &'static str, outcome: Outcome, shown: Option<Arc<Recorded>>) -> Checked {
    Checked {
        id,
        title: "A title",
        outcome,
        strength: Strength::A,
        reference: "Action API §4".into(),
        detail: if outcome == Outcome::Pass { String::new() } else { EVIL.into() },
        expected: None,
        shown: shown.map(|recorded| (1, recorded)),
    }
}

fn report() -> Report {
    let mut response_body = Peek::default();
    response_body.add(EVIL.len(), EVIL.as_bytes());
    let exchange = Exchange {
        method: "POST".into(),
        url: format!("http://hub.example/{EVIL}"),
        status: Some(500),
        response_body,
        pieces: vec![Piece { at: Duration::from_millis(1_500), bytes: EVIL.len() }],
        ..Exchange::default()
    };
    let recorded = Arc::new(Recorded { exchange });
    Report {
        hub: format!("http://hub.example/{EVIL}"),
        version: "0",
        checks: vec![
            checked("list/answer/is-200", Outcome::Fail, Some(Arc::clone(&recorded))),
            checked("list/answer/is-json", Outcome::NotApplicable, None),
            checked("form/answer/is-200", Outcome::Pass, None),
            checked("form/answer/is-json", Outcome::Warn, None),
            checked("form/answer/shape", Outcome::Note, None),
            checked("path/body/size", Outcome::Error, None),
            checked("path/body/pauses", Outcome::Skipped, None),
            checked("path/tls/encrypted", Outcome::NotRun, None),
        ],
        untestable: None,
        stopped: false,
        took: Duration::from_secs(1),
        again: "sendoff check http://hub.example/".into(),
        exchanges: vec![recorded],
    }
}

#[test]
fn markup_from_the_hub_is_text_in_every_report() {
    let report = report();
    for text in [junit(&report), html(&report)] {
        assert!(!text.contains("<script>"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{text}");
    }
    let xml = junit(&report);
    assert!(!xml.contains("]]>"), "{xml}");
    let odd = |c: char| c.is_control() && c != '\n';
    assert!(!xml.contains(odd), "{xml:?}");
    // One suite for each run of an area, and tags that close.
    assert_eq!(xml.matches("<testsuite ").count(), 3);
    assert_eq!(xml.matches("<testcase ").count(), xml.matches("</testcase>").count());
    assert_eq!(xml.matches("<failure ").count(), 1);
    assert_eq!(xml.matches("<error ").count(), 1);
    assert_eq!(xml.matches("<skipped ").count(), 3);
}

#[test]
fn a_hub_that_could_not_be_tested_is_no_green_suite() {
    let mut report = report();
    report.untestable = Some("No connection to h:1 <refused>.".into());
    let xml = junit(&report);
    let first = "<testsuite name=\"hub\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">";
    assert!(xml.contains(first), "{xml}");
    assert!(xml.contains("<error message=\"No connection to h:1 &lt;refused&gt;.\""), "{xml}");
}

#[test]
fn what_a_hub_says_does_not_steer_the_terminal() {
    let mut report = report();
    let evil = format!("\u{1b}]0;owned\u{7}\u{202e}{}", "x".repeat(10_000));
    report.checks[0].detail = evil.clone();
    report.untestable = Some(evil);
    let text = print(&report, Paint::Plain);
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    assert!(text.contains("\\u{1b}]0;owned\\u{7}\\u{202e}xxx"), "{text:?}");
    assert!(text.len() < 10_000, "{}", text.len());
}

#[test]
fn whose_fault_it_is_stands_in_the_code() {
    let code = |change: fn(&mut Report)| {
        let mut report = report();
        report.checks.retain(|checked| checked.outcome != Outcome::Fail);
        change(&mut report);
        report.exit_code()
    };
    assert_eq!(code(|_| {}), 70);
    assert_eq!(code(|r| r.checks.retain(|checked| checked.outcome != Outcome::Error)), 0);
    assert_eq!(code(|r| r.checks[0].outcome = Outcome::Fail), 1);
    assert_eq!(code(|r| r.untestable = Some("gone".into())), 3);
    assert_eq!(code(|r| r.stopped = true), 130);
}

#[test]
fn the_archive_holds_every_exchange() {
    let har = har(&report());
    let entries = har["log"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["startedDateTime"], "1970-01-01T00:00:00Z");
    assert_eq!(entries[0]["response"]["content"]["text"], EVIL);
}

/// Where a value is not as the schema says, as far as the keywords go that HAR's uses.
fn faults_of(value: &Value, schema: &Value, all: &Value, place: &str, faults: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return faults_of(value, &all[name.trim_end_matches('#')], all, place, faults);
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !fits {
        faults.push(format!("{place} is {value} and no {}", schema["type"]));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            faults.push(format!("{place} has no {name}"));
        }
    }
    for (name, part) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            faults_of(value, part, all, &format!("{place}.{name}"), faults);
        }
    }
    for (n, value) in value.as_array().into_iter().flatten().enumerate() {
        faults_of(value, &schema["items"], all, &format!("{place}[{n}]"), faults);
    }
}

#[test]
fn the_archive_is_of_the_format() {
    let all: Value = serde_json::from_str(include_str!("har-schema.json")).unwrap();
    let mut body = Peek::default();
    body.add(2, b"{}");
    let url = "http://hub.example/oauth?state=a&x".to_owned();
    let get = Exchange {
        method: "GET".into(),
        url,
        failure: Some("No answer.".into()),
        ..Exchange::default()
    };
    let post = Exchange { request_body: body, status: Some(200), failure: None, ..get.clone() };
    let har = super::har_of([&get, &post], "sendoff check", "1");
    let mut faults = Vec::new();
    faults_of(&har, &all["har.json"], &all, "", &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    let entries = &har["log"]["entries"];
    assert!(entries[0]["request"].get("postData").is_none(), "{entries:#}");
    assert_eq!(entries[0]["comment"], "No answer.");
    assert_eq!(entries[0]["request"]["queryString"][0]["value"], "a");
    assert_eq!(entries[1]["request"]["postData"]["text"], "{}");
    // The schema sees what is wrong.
    faults_of(&serde_json::json!({"log": {"entries": 1}}), &all["har.json"], &all, "", &mut faults);
    assert!(faults.len() > 2, "{faults:?}");
}

#[test]
fn a_failure_is_told_with_all_that_is_needed() {
    let text = print(&report(), Paint::Plain);
    for part in [
        "✗ list/answer/is-200   fail [A] Action API §4",
        "  rule    POST to the list URL",
        "  sent    POST /",
        "  got     500 · \"</pre>",
        "at 1.500 s",
        "  Looker  ",
        "  again   sendoff check http://hub.example/ --only list/answer/is-200",
        "1 passed · 1 failed · 1 warned · 1 noted · 1 could not be judged (our fault)",
        "1 skipped",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_json_has_what_is_promised() {
    let json: Value = serde_json::to_value(report()).unwrap();
    let members = ["id", "title", "outcome", "strength", "reference", "detail", "exchange"];
    assert!(json["hub"].is_string() && json["version"].is_string());
    for check in json["checks"].as_array().unwrap() {
        for member in members {
            assert!(check.get(member).is_some(), "{member}: {check}");
        }
    }
    assert_eq!(json["checks"][0]["exchange"]["status"], 500);
    assert_eq!(json["checks"][1]["outcome"], "not_applicable");
}

#[test]
fn a_secret_that_the_hub_repeats_is_in_no_record() {
    let body = b"{\"error\":\"token abcdef-123 is wrong\"}";
    let peek = shown_answer(body, &["abcdef-123".to_owned()]);
    assert!(!peek.text().contains("abcdef-123"), "{}", peek.text());
}

fn entry(id: &str, until: &str) -> Expected {
    Expected { id: id.into(), reason: "being mended".into(), until: until.parse().unwrap() }
}

#[test]
fn a_known_failure_is_borne_until_its_date_and_no_longer_than_it_is_there() {
    let today = "2026-06-15".parse().unwrap();
    let judge = |id: &str, until: &str| {
        let mut report = report();
        // Ours is no matter of the list.
        report.checks.retain(|checked| checked.outcome != Outcome::Error);
        let problems = apply(&mut report, &[entry(id, until)], today);
        (report.exit_code(), problems)
    };
    assert_eq!(judge("list/answer/is-200", "2026-06-15"), (0, Vec::new()));
    let (code, problems) = judge("list/answer/is-200", "2026-06-14");
    assert!(code == 1 && problems[0].contains("ended on 2026-06-14"), "{problems:?}");
    for (id, says) in [("form/answer/is-200", "passes now"), ("list/answer/is-json", "not apply")] {
        let (_, problems) = judge(id, "2026-12-31");
        assert!(problems.len() == 1 && problems[0].contains(says), "{problems:?}");
    }
    // Nothing is known of what did not run.
    assert_eq!(judge("path/body/pauses", "2026-12-31").1, Vec::<String>::new());
}

#[test]
fn a_list_of_known_failures_is_itself_looked_at() {
    let until = "2026-12-31";
    let no_reason = Expected { reason: " ".into(), ..entry("form/answer/shape", until) };
    let wrong = faulty(&[entry("list/answer/typo", until), no_reason]);
    assert!(wrong[0].contains("`list/answer/typo`") && wrong[1].contains("no reason"), "{wrong:?}");
    assert!(faulty(&[entry("list/answer/is-200", until)]).is_empty());
}
