//! What SendGrid, Jira, Slack and Teams get, request by request, and what is said of their answers.
//!
//! That data arrives whole and that faults are told truthfully is the behaviour suite's part.

mod stage;

use serde_json::{Value, json};

use stage::{Script, Stage, message, text, with};

const ROWS: &str = r#"{"fields":{"dimensions":[{"name":"u.mail","label":"Users Mail"},{"name":"u.name","label":"Users Name"}]},"data":[
    {"u.mail":{"value":"ada@x.example"},"u.name":{"value":"Ada"}},
    {"u.mail":{"value":"grace@x.example"},"u.name":{"value":"Grüße"}},
    {"u.mail":{"value":"nobody"},"u.name":{"value":""}}]}"#;

/// All the vendors at once.
fn vendor() -> Script {
    Script::at(&[
        "https://api.sendgrid.com",
        "https://x.atlassian.net",
        "https://jira.example:8443",
        "https://a.logic.azure.com",
    ])
}

fn key() -> Value {
    json!({ "sendgrid_api_key": "SG.a-key-for-these-tests" })
}

#[tokio::test]
async fn sendgrid_gets_base64_lists_and_waits_after_429() {
    let answers =
        [text(429, "").header("retry-after", "0"), text(202, "").header("x-message-id", "M-1")];
    let vendor = vendor().told("POST /v3/mail/send", answers);
    let stage = Stage::set(vendor).await;
    let form = json!({
        "to": "Ada <a@x.example>; b@x.example", "cc": "A@x.example, c@x.example",
        "from": "l@x.example", "subject": "{title} {rows}", "table_rows": "1",
    });
    let answer = stage.send("sendgrid", key(), form, "id\n1\n2\n").await;
    assert_eq!(answer["success"], true, "{answer}");
    assert!(message(&answer).contains("M-1"), "{answer}");
    let all = stage.vendor.asked();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].text(), all[1].text());
    let json = all[1].json();
    assert_eq!(
        json["personalizations"],
        json!([{
            "to": [{ "email": "a@x.example", "name": "Ada" }, { "email": "b@x.example" }],
            "cc": [{ "email": "c@x.example" }],
        }])
    );
    assert_eq!(json["subject"], "Umsätze 2");
    assert!(json["content"][1]["value"].as_str().unwrap().contains("The first 1 of 2 rows."));
    assert_eq!(
        json["attachments"],
        json!([{
            "content": "aWQKMQoyCg==", "disposition": "attachment", "filename": "Umsätze.csv", "type": "text/csv",
        }])
    );
}

#[tokio::test]
async fn sendgrid_templates_checks_and_refusals() {
    let vendor = vendor().told("POST /v3/mail/send", [(200, Value::Null)]);
    let stage = Stage::set(vendor).await;
    let form = json!({
        "to": "a@x.example", "from": "l@x.example", "template_id": "d-1", "check_only": "yes",
        "attach": "nothing",
    });
    let answer = stage.send("sendgrid", key(), form.clone(), "id\n1\n").await;
    assert!(message(&answer).contains("was not sent"), "{answer}");
    let json = stage.vendor.one("POST").json();
    assert_eq!(
        (&json["template_id"], &json["mail_settings"]["sandbox_mode"]["enable"]),
        (&json!("d-1"), &json!(true))
    );
    assert_eq!(json["personalizations"][0]["dynamic_template_data"]["title"], "Umsätze");
    assert!(json.get("content").is_none() && json.get("attachments").is_none());
    // 200 without a check is nobody's word.
    let answer =
        stage.send("sendgrid", key(), with(form, json!({ "check_only": "no" })), "id\n").await;
    assert_eq!(answer["success"], false, "{answer}");
    let big = "x".repeat(23_000_000);
    let form = json!({ "to": "a@x.example", "from": "l@x.example" });
    let answer = stage.send("sendgrid", key(), form, &big).await;
    assert!(answer["validation_errors"]["attach"].as_str().unwrap().contains("30 MB"), "{answer}");
    assert_eq!(stage.vendor.asked().len(), 2);
}

#[tokio::test]
async fn sendgrid_sends_a_row_to_whom_it_names() {
    let stage = Stage::set(vendor().told("POST /v3/mail/send", [(202, Value::Null)])).await;
    let form = json!({ "to": "{u.mail}", "from": "l@x.example", "subject": "Hi {Users Name}", "per_row": "yes" });
    let answer = stage.send("sendgrid", key(), form, ROWS).await;
    assert!(message(&answer).contains("2 of 3 rows accepted"), "{answer}");
    let mail = |mail: Value| {
        (mail["personalizations"][0]["to"].clone(), mail["subject"].as_str().unwrap().to_owned())
    };
    let mut sent: Vec<_> = stage.vendor.asked().iter().map(|one| mail(one.json())).collect();
    sent.sort_by(|one, other| one.1.cmp(&other.1));
    let to = |address: &str, name: &str| (json!([{ "email": address }]), format!("Hi {name}"));
    assert_eq!(sent, [to("ada@x.example", "Ada"), to("grace@x.example", "Grüße")]);
}

fn cloud() -> Value {
    json!({ "address": "https://x.atlassian.net", "username": "l@x.example", "password": "a-token-for-these-tests" })
}

fn issue() -> Value {
    json!({ "project": "1", "issueType": "2", "summary": "{title}: {rows}", "description": "See {code}." })
}

#[tokio::test]
async fn jira_creates_an_issue_and_attaches_the_data() {
    let vendor = vendor()
        .told("POST /rest/api/3/issue/OPS-7/attachments", [(200, json!([{ "id": "9" }]))])
        .told("POST /rest/api/3/issue", [(201, json!({ "id": "7", "key": "OPS-7" }))]);
    let stage = Stage::set(vendor).await;
    let answer = stage.send("jira_create_issue", cloud(), issue(), "id\n1\n").await;
    assert_eq!(answer["success"], true, "{answer}");
    assert!(
        message(&answer).starts_with("Created OPS-7.")
            && message(&answer).ends_with("https://x.atlassian.net/browse/OPS-7"),
        "{answer}"
    );
    let all = stage.vendor.asked();
    let fields = &all[0].json()["fields"];
    assert_eq!(fields["summary"], "Umsätze: 1");
    assert_eq!(fields["description"]["content"][0]["content"][0]["text"], "See {code}.");
    assert!(fields["description"].to_string().contains("https://looker.example/looks/1"));
    assert!(fields.get("labels").is_none());
    assert!(
        all[1].text().contains(
            "name=\"file\"; filename=\"Umsätze.csv\"\r\nContent-Type: text/csv\r\n\r\nid\n1\n\r\n--"
        ),
        "{}",
        all[1].text()
    );
}

#[tokio::test]
async fn jira_says_what_was_done_when_the_rest_was_refused() {
    let vendor = vendor()
        .told(
            "POST /rest/api/3/issue/OPS-7/attachments",
            [(413, json!({ "errorMessages": ["Too large."] }))],
        )
        .told(
            "POST /rest/api/3/issue",
            [
                (400, json!({ "errorMessages": [], "errors": { "summary": "Say more." } })),
                (201, json!({ "id": "7", "key": "OPS-7" })),
            ],
        );
    let stage = Stage::set(vendor).await;
    let answer = stage.send("jira_create_issue", cloud(), issue(), "id\n1\n").await;
    assert_eq!(
        answer["validation_errors"]["summary"], "JIRA refused the issue: summary: Say more.",
        "{answer}"
    );
    let answer = stage.send("jira_create_issue", cloud(), issue(), "id\n1\n").await;
    assert_eq!(answer["success"], false);
    assert!(
        message(&answer).contains("OPS-7 was created, but the data was not attached"),
        "{answer}"
    );
    assert!(message(&answer).contains("Too large."), "{answer}");
}

#[tokio::test]
async fn jira_comments_on_the_open_issue_and_closes_it() {
    let vendor = vendor()
        .told(
            "GET /rest/api/3/search/jql",
            [(200, json!({ "issues": [] })), (200, json!({ "issues": [{ "key": "OPS-3" }] }))],
        )
        .told("POST /rest/api/3/issue/OPS-3/comment", [(201, json!({ "id": "1" }))])
        .told(
            "GET /rest/api/3/issue/OPS-3/transitions",
            [(
                200,
                json!({ "transitions": [
            { "id": "11", "to": { "statusCategory": { "key": "new" } } },
            { "id": "31", "to": { "statusCategory": { "key": "done" } } },
        ] }),
            )],
        )
        .told("POST /rest/api/3/issue/OPS-3/transitions", [(204, Value::Null)])
        .told("POST /rest/api/3/issue", [(201, json!({ "id": "3", "key": "OPS-3" }))]);
    let stage = Stage::set(vendor).await;
    let form = with(issue(), json!({ "mode": "comment", "attach": "no", "if_empty": "close" }));
    let send = async |data| stage.send("jira_create_issue", cloud(), form.clone(), data).await;
    let answer = send("id\n1\n").await;
    assert!(message(&answer).starts_with("Created OPS-3."), "{answer}");
    assert!(message(&send("id\n1\n").await).starts_with("Commented on OPS-3."));
    assert!(message(&send("id\n").await).contains("OPS-3 was closed"));
    let all = stage.vendor.asked();
    let created = all.iter().find(|one| one.line() == "POST /rest/api/3/issue ").unwrap();
    let json = created.json();
    assert_eq!(json["fields"]["labels"], json!(["looker-plan-88"]));
    assert!(all[0].path.contains("looker-plan-88"), "{}", all[0].path);
    assert_eq!(
        stage.vendor.one("POST /rest/api/3/issue/OPS-3/transitions").json(),
        json!({ "transition": { "id": "31" } })
    );
}

#[tokio::test]
async fn jira_makes_an_issue_of_each_row_and_counts_the_refused() {
    let vendor = vendor().told("POST /rest/api/3/issue/bulk", [(201, json!({
        "issues": [{ "key": "OPS-1" }],
        "errors": [{ "failedElementNumber": 1, "elementErrors": { "errorMessages": [], "errors": { "summary": "Too rude." } } }],
    }))]);
    let stage = Stage::set(vendor).await;
    let form = with(
        issue(),
        json!({ "mode": "rows", "summary": "{u.name}", "description": "{Users Mail}" }),
    );
    let answer = stage.send("jira_create_issue", cloud(), form, ROWS).await;
    assert_eq!(answer["success"], false);
    let said = message(&answer);
    assert!(said.contains("1 of 3 rows accepted") && said.contains("summary: Too rude"), "{said}");
    let json = stage.vendor.one("POST").json();
    assert_eq!(json["issueUpdates"].as_array().unwrap().len(), 2);
    assert_eq!(json["issueUpdates"][1]["fields"]["summary"], "Grüße");
}

#[tokio::test]
async fn a_jira_server_gets_markup_at_its_own_path() {
    let vendor = vendor()
        .told("GET /jira/rest/api/2/serverInfo", [(200, json!({ "deploymentType": "Server" }))])
        .told("POST /jira/rest/api/2/issue", [(201, json!({ "id": "7", "key": "OPS-7" }))]);
    let stage = Stage::set(vendor).await;
    let settings = with(cloud(), json!({ "address": "https://jira.example:8443/jira/" }));
    let form = with(issue(), json!({ "attach": "no" }));
    let answer = stage.send("jira_create_issue", settings, form, "id\n1\n").await;
    assert_eq!(answer["success"], true, "{answer}");
    let json = stage.vendor.one("POST").json();
    assert_eq!(
        json["fields"]["description"],
        "See {code}.\nLooker URL: https://looker.example/looks/1"
    );
}

#[tokio::test]
async fn jiras_form_lists_projects_types_and_what_is_required() {
    let page = |from: usize, to: usize| {
        let all: Vec<_> = (from..to).map(|n| json!({ "id": n.to_string(), "key": format!("P{n}"), "name": format!("Project {n}") })).collect();
        (200, json!({ "total": 60, "values": all }))
    };
    let vendor = vendor()
        .told("GET /rest/api/3/project/search", [page(0, 50), page(50, 60)])
        .told("GET /rest/api/3/issue/createmeta/55/issuetypes/2", [(200, json!({ "total": 1, "fields": [
            { "fieldId": "customfield_1", "name": "Severity", "required": true, "schema": { "type": "option" },
              "allowedValues": [{ "id": "1", "value": "High" }] }] }))])
        .told("GET /rest/api/3/issue/createmeta/55/issuetypes", [(200, json!({ "total": 2, "issueTypes": [
            { "id": "2", "name": "Task", "subtask": false }, { "id": "3", "name": "Sub", "subtask": true }] }))]);
    let stage = Stage::set(vendor).await;
    // A type of another project was chosen before.
    let answers = json!({ "project": "55", "issueType": "9" });
    let form = stage.form("jira_create_issue", &cloud(), answers).await;
    let field = |name: &str| &form[name];
    assert_eq!(field("project")["options"].as_array().unwrap().len(), 60);
    assert_eq!(field("project")["default"], "55");
    assert_eq!(field("issueType")["options"], json!([{ "name": "2", "label": "Task" }]));
    assert_eq!(field("issueType")["default"], "2");
    assert!(
        field("further_fields")["description"].as_str().unwrap().contains("Severity (one of High)")
    );
}

#[tokio::test]
async fn teams_gets_a_card_for_a_channel_by_name() {
    let stage = Stage::set(vendor().told("POST /hook", [(202, Value::Null)])).await;
    let settings = json!({
        "channels": "Sales: https://a.logic.azure.com/hook/sales?sig=0123456789abcdef", "allow_own_urls": "no",
    });
    let form = json!({
        "channel": "Sales", "title": "{title}", "text": "{rows} rows", "isAttached": "true", "table_rows": "1",
    });
    let answer = stage.send("teams_incomingwebhook", settings.clone(), form.clone(), ROWS).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert!(message(&answer).starts_with("Teams has the card for Sales."), "{answer}");
    let card = stage.vendor.one("POST /hook/sales").json()["attachments"][0]["content"].clone();
    assert_eq!(
        (&card["body"][0]["text"], &card["body"][1]["text"]),
        (&json!("Umsätze"), &json!("3 rows"))
    );
    assert_eq!(card["body"][2]["facts"][2], json!({ "title": "Model :", "value": "shop" }));
    assert_eq!(card["body"][3]["rows"][1]["cells"][0]["items"][0]["text"], "ada@x.example");
    let own = with(form, json!({ "webhookUrl": "https://a.logic.azure.com/hook/mine" }));
    let answer = stage.send("teams_incomingwebhook", settings, own, ROWS).await;
    assert!(answer["validation_errors"]["webhookUrl"].is_string(), "{answer}");
}

#[tokio::test]
async fn slack_gets_nothing_of_an_empty_result_if_the_form_says_so() {
    let stage = Stage::set(Script::before("slack")).await;
    let send = async |how: &str, data: &str| {
        let form = with(json!(stage.vendor.behind().answers()), json!({ "send_if_empty": how }));
        stage.send("slack", stage.settings(), form, data).await
    };
    let posted = || stage.vendor.asked_for("files.completeUploadExternal").len();
    for empty in ["id,name\n", "id,name", "", "\n", "[]", r#"{"fields":{},"data":[]}"#] {
        let answer = send("no", empty).await;
        assert_eq!(answer["success"], true, "{empty:?}: {answer}");
        assert!(message(&answer).contains("nothing was posted to Slack"), "{empty:?}: {answer}");
    }
    assert!(stage.vendor.asked().is_empty());
    for there in ["id,name\n1,a\n", "id\n\n", r#"[{"id":1}]"#, ROWS] {
        let answer = send("no", there).await;
        assert_eq!(answer["success"], true, "{there:?}: {answer}");
    }
    assert_eq!(posted(), 4);
    assert_eq!(send("yes", "id,name\n").await["success"], true);
    assert_eq!(posted(), 5);
    assert!(message(&send("yes", "").await).contains("an empty file"));
}
