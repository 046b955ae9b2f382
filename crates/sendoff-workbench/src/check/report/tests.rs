//! Reports of a hub that answers with markup and with secrets.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{har, html, junit, print};
use crate::check::expect::{Expected, Unexpected, apply};
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
fn the_archive_holds_every_exchange() {
    let har = har(&report());
    let entries = har["log"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["startedDateTime"], "1970-01-01T00:00:00Z");
    assert_eq!(entries[0]["response"]["content"]["text"], EVIL);
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
    assert!(code == 1 && matches!(problems[..], [Unexpected::Outdated(_)]), "{problems:?}");
    let (_, problems) = judge("form/answer/is-200", "2026-12-31");
    assert!(matches!(problems[..], [Unexpected::Outdated(_)]), "{problems:?}");
    let (_, problems) = judge("list/answer/typo", "2026-12-31");
    assert!(matches!(problems[..], [Unexpected::Entry(_)]), "{problems:?}");
    // Nothing is known of what did not run.
    assert_eq!(judge("path/body/pauses", "2026-12-31").1, Vec::new());
}
