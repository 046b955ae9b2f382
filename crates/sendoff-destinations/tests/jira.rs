//! What Jira gets from the less common answers of the form, and what becomes of single rows.

mod stage;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use sendoff::testing::{Fake, Object};
use sendoff::{ByteStream, Values};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use stage::{Script, Stage, answer, delivered, refused, rows, with};

const BULK: &str = "POST /rest/api/3/issue/bulk";

async fn stage() -> Stage {
    Stage::set(Script::before("jira_create_issue")).await
}

async fn send(stage: &Stage, form: Value, data: &str) -> Value {
    stage.send_with("jira_create_issue", form, data).await
}

fn notes(notes: &[&str]) -> String {
    let notes: Vec<_> = notes.iter().map(|note| vec![json!(note)]).collect();
    let notes: Vec<&[Value]> = notes.iter().map(Vec::as_slice).collect();
    rows("note", &["o.note"], &notes)
}

fn by_row() -> Value {
    json!({ "mode": "rows", "summary": "Order", "description": "N: {o.note}" })
}

#[tokio::test]
async fn a_row_that_becomes_too_long_is_refused_and_the_others_are_created() {
    let stage = stage().await;
    let long = "x".repeat(70_000);
    let answer = send(&stage, by_row(), &notes(&["a", &long, "b"])).await;
    let said = refused(&answer, "2 of 3 rows accepted; 1 refused; first: row 2, description: ");
    assert!(said.contains("longer than 65536 bytes"), "{said}");
    let asked = stage.vendor.one(BULK);
    assert_eq!(asked.json()["issueUpdates"].as_array().unwrap().len(), 2);
    assert!(!asked.text().contains("{o.note}"), "nobody gets the form's own text");
}

#[tokio::test]
async fn rows_that_are_none_create_nothing_whatever_is_chosen_for_that() {
    for choice in ["send", "skip", "close"] {
        let stage = stage().await;
        let form = with(by_row(), json!({ "if_empty": choice }));
        let answer = send(&stage, form, &notes(&[])).await;
        assert!(delivered(&answer).contains("no rows"), "{answer}");
        assert!(stage.vendor.asked().is_empty());
    }
}

#[tokio::test]
async fn a_personal_access_token_goes_alone() {
    let vendor = Script::at(&["https://jira.example"])
        .told("GET /rest/api/2/serverInfo", [(200, json!({ "deploymentType": "Server" }))])
        .told("POST /rest/api/2/issue", [(201, json!({ "id": "7", "key": "OPS-7" }))]);
    let stage = Stage::set(vendor).await;
    let settings = json!({
        "address": "https://jira.example", "username": "nobody", "password": "a-token-of-a-person",
        "login_with": "token",
    });
    let form = json!({ "project": "1", "summary": "s", "description": "d", "issueType": "2",
                       "attach": "no" });
    delivered(&stage.send("jira_create_issue", settings, form, "id\n1\n").await);
    for asked in stage.vendor.asked() {
        assert_eq!(asked.header("authorization"), "Bearer a-token-of-a-person", "{}", asked.line());
    }
    assert_eq!(stage.vendor.asked().len(), 2);
}

#[tokio::test]
async fn an_unencrypted_address_is_refused_before_the_password_goes_out() {
    let stage = stage().await;
    let settings = with(stage.settings(), json!({ "address": "http://example.atlassian.net" }));
    let form = json!(stage.vendor.behind().answers());
    let answer = stage.send("jira_create_issue", settings, form, "id\n1\n").await;
    refused(&answer, "\"Allow Unencrypted HTTP\" to Yes");
    assert!(stage.vendor.asked().is_empty());
}

#[tokio::test]
async fn further_fields_are_sent_in_the_form_that_jira_wants() {
    let stage = stage().await;
    let form = json!({ "further_fields": "Severity: High" });
    delivered(&send(&stage, form, "id\n1\n").await);
    let fields = &stage.vendor.one("POST /rest/api/3/issue ").json()["fields"];
    assert_eq!(fields["customfield_10020"], json!({ "id": "1" }));
    let answer = send(&stage, json!({ "further_fields": "Severity: Awful" }), "id\n1\n").await;
    let said = answer["validation_errors"]["further_fields"].as_str().unwrap_or_default();
    assert!(said.contains("none of High"), "{answer}");
    assert_eq!(stage.vendor.asked_for("POST /rest/api/3/issue ").len(), 1);
}

#[tokio::test]
async fn a_project_is_found_by_a_part_of_its_name() {
    let stage = stage().await;
    let answers = json!({ "find_project": "P57" });
    let form = stage.form("jira_create_issue", &stage.settings(), answers).await;
    let options = form["project"]["options"].as_array().unwrap();
    let labels: Vec<_> = options.iter().map(|option| option["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["Project 57 (P57)"]);
}

/// Answers nobody before all three lists were asked for.
struct Together {
    all: Barrier,
    behind: Arc<Script>,
}

impl Fake for Together {
    fn origins(&self) -> Vec<String> {
        self.behind.origins()
    }

    fn settings(&self) -> Values {
        self.behind.settings()
    }

    fn answers(&self) -> Values {
        self.behind.answers()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            match tokio::time::timeout(Duration::from_secs(20), self.all.wait()).await {
                Ok(_) => self.behind.handle(request).await,
                Err(_) => answer(400, json!({ "errorMessages": ["It came alone."] })).response(),
            }
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        self.behind.objects()
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        self.behind.leftovers()
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        self.behind.refusal(status)
    }

    fn commits(&self, method: &Method, path: &str) -> bool {
        self.behind.commits(method, path)
    }
}

#[tokio::test]
async fn a_form_with_answers_asks_for_its_lists_at_once() {
    let projects = json!({ "total": 1, "values": [{ "id": "10001", "key": "P", "name": "P" }] });
    let behind = Script::before("jira_create_issue").told("/project/search", [(200, projects)]);
    let stage = Stage::set(Together { all: Barrier::new(3), behind: Arc::new(behind) }).await;
    let answers = json!({ "project": "10001", "issueType": "10100" });
    let form = stage.form("jira_create_issue", &stage.settings(), answers).await;
    let told = form["further_fields"]["description"].as_str().unwrap_or_default();
    assert!(told.contains("Severity (one of High)"), "{form}");
}
