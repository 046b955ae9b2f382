//! What is sent again and what is not: after 429, after a gateway's word, and when a delivery comes
//! a second time.

mod stage;

use serde_json::{Value, json};

use stage::{Script, Stage, delivered, query, refused, rows, text};

async fn before(action: &str) -> Stage {
    Stage::set(Script::before(action)).await
}

async fn send(stage: &Stage, action: &str, form: Value, data: &str) -> Value {
    stage.send_with(action, form, data).await
}

fn phones(phones: &[&str]) -> String {
    let phones: Vec<_> = phones.iter().map(|phone| vec![json!(phone), json!("Zoë")]).collect();
    let phones: Vec<&[Value]> = phones.iter().map(Vec::as_slice).collect();
    rows("phone", &["users.phone", "users.first_name"], &phones)
}

/// What takes a small result, and the request that makes it something at the vendor.
const WHOLE: [(&str, &str); 4] = [
    ("sendgrid", "POST /v3/mail/send"),
    ("jira_create_issue", "POST /rest/api/3/issue "),
    ("teams_incomingwebhook", "POST /"),
    ("twilio", "POST /2010-04-01/"),
];

#[tokio::test]
async fn a_429_is_waited_for_although_it_names_no_time() {
    for (action, part) in WHOLE {
        let stage = before(action).await;
        stage.vendor.tell(part, text(429, "Too many requests."));
        let answer = send(&stage, action, json!({}), "id\n1\n").await;
        delivered(&answer);
        assert_eq!(stage.vendor.asked_for(part).len(), 2, "{action}");
    }
}

#[tokio::test]
async fn a_gateway_that_had_no_answer_leaves_it_open_what_arrived() {
    for (action, part) in WHOLE {
        let stage = before(action).await;
        stage.vendor.tell_always(part, text(504, "upstream request timeout"));
        let answer = send(&stage, action, json!({}), "id\n1\n").await;
        let said = refused(&answer, "may have arrived");
        assert!(said.contains("504 Gateway Timeout"), "{said}");
        assert_eq!(answer["error"]["status_code"], "UNKNOWN", "{answer}");
        assert_eq!(stage.vendor.asked_for(part).len(), 1, "{action}: a second would be a second");
        // The vendor's own word that it failed is believed.
        let stage = before(action).await;
        stage.vendor.tell_always(part, text(500, "internal error"));
        let answer = send(&stage, action, json!({}), "id\n1\n").await;
        refused(&answer, "internal error");
        assert_eq!(answer["error"]["status_code"], "UNAVAILABLE", "{answer}");
    }
}

/// Each row becomes something, and the vendor recognises no repeats.
#[tokio::test]
async fn a_delivery_that_comes_again_sends_the_rows_that_are_left() {
    let mails = ["a@x.example", "b@x.example"].map(|mail| vec![json!(mail)]);
    let mails: Vec<&[Value]> = mails.iter().map(Vec::as_slice).collect();
    for (action, form, data) in [
        ("twilio_message", json!({}), phones(&["+43 699 1234567", "+43 699 1234568"])),
        (
            "sendgrid",
            json!({ "to": "{u.mail}", "per_row": "yes" }),
            rows("mail", &["u.mail"], &mails),
        ),
        (
            "jira_create_issue",
            json!({ "mode": "rows", "summary": "For {u.mail}" }),
            rows("mail", &["u.mail"], &mails),
        ),
    ] {
        let stage = before(action).await;
        stage.vendor.tell("POST /", text(500, "internal error"));
        refused(&send(&stage, action, form.clone(), &data).await, "internal error");
        delivered(&send(&stage, action, form.clone(), &data).await);
        let sent = stage.vendor.asked_for("POST /").len();
        let answer = send(&stage, action, form.clone(), &data).await;
        let said = delivered(&answer);
        let want = "2 rows were accepted by an earlier try of this delivery and not sent again.";
        assert!(said.contains(want), "{action}: {said}");
        assert_eq!(stage.vendor.asked_for("POST /").len(), sent, "{action}");
        // With other answers it is another delivery.
        let other = stage::with(form, json!({ "refused_at_most": "7" }));
        delivered(&send(&stage, action, other, &data).await);
        assert!(stage.vendor.asked_for("POST /").len() > sent, "{action}");
    }
}

#[tokio::test]
async fn a_delivery_without_an_id_is_not_remembered() {
    let stage = before("twilio_message").await;
    let data = phones(&["+43 699 1234567"]);
    let body = query(stage.settings(), json!(stage.vendor.behind().answers()), &data);
    for sent in [1, 2] {
        let path = "/actions/twilio_message/execute";
        let answer = stage::call(&stage.hub, path, None, body.clone()).await;
        delivered(&answer["looker"]);
        assert_eq!(stage.vendor.asked().len(), sent);
    }
}

#[tokio::test]
async fn a_dry_run_of_no_rows_says_so() {
    let stage = before("twilio_message").await;
    let answer = send(&stage, "twilio_message", json!({ "dry_run": "yes" }), &phones(&[])).await;
    assert_eq!(delivered(&answer), "Nothing was sent. The result has no rows.");
}
