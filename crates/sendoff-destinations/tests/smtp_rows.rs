//! A message for each row: to whom it goes, and what a server's no means for the others.

mod stage;

use serde_json::json;

use stage::smtp::{Mail, Script, header};
use stage::{WEBHOOK, message};

const ROWS: &str = r#"{"fields":{"dimensions":[{"name":"u.mail","label":"Users Mail"},{"name":"u.name","label":"Users Name"}]},"data":[
    {"u.mail":{"value":"ada@x.example"},"u.name":{"value":"Ada"}},
    {"u.mail":{"value":"nobody@x.example"},"u.name":{"value":"Nobody"}},
    {"u.mail":{"value":"no address"},"u.name":{"value":"Eve"}},
    {"u.mail":{"value":"grace@x.example"},"u.name":{"value":"Grüße"}}]}"#;

#[tokio::test]
async fn rows_go_to_whom_they_say_and_each_is_counted() {
    // The server ends each connection after one message: the next goes over another one.
    let stage = Mail::set(Script { per_connection: 1, ..Script::default() }).await;
    let answers = json!({
        "per_row": "yes", "to": "{u.mail}", "subject": "For {Users Name}",
        "message": "Dear {u.name}", "if_refused": "succeed",
    });
    let answer = stage.send(json!({}), answers.clone(), ROWS, WEBHOOK).await;
    assert_eq!(answer["success"], true, "{answer}");
    let said = message(&answer);
    assert!(
        said.contains("2 of 4 rows accepted")
            && said.contains("row 2, mail.example refused nobody@x"),
        "{said}"
    );
    assert!(!said.contains("request"), "SMTP knows none: {said}");
    let mails = stage.server.messages.lock().unwrap().clone();
    assert_eq!(mails.len(), 2);
    assert_eq!(
        (header(&mails[0], "To"), header(&mails[0], "Subject")),
        ("ada@x.example", "For Ada")
    );
    assert_eq!(header(&mails[1], "To"), "grace@x.example");
    assert!(header(&mails[1], "Message-ID").contains("-4@x.example"), "{}", mails[1]);
    assert!(!mails[0].contains("Content-Disposition"));
    let mut stop = answers;
    stop["if_refused"] = json!("stop");
    let answer = stage.send(json!({}), stop, ROWS, WEBHOOK).await;
    assert_eq!(answer["success"], false, "{answer}");
    assert_eq!(stage.server.messages.lock().unwrap().len(), 3);
}

/// So many rows, each with an address.
fn rows(count: usize) -> String {
    let rows: Vec<_> =
        (0..count).map(|n| json!({ "u.mail": { "value": format!("a{n}@x.example") } })).collect();
    let fields = json!({ "dimensions": [{ "name": "u.mail", "label": "Users Mail" }] });
    json!({ "fields": fields, "data": rows }).to_string()
}

async fn send(stage: &Mail<Script>, rows: &str) -> serde_json::Value {
    let form = json!({ "per_row": "yes", "to": "{u.mail}" });
    stage.send(json!({}), form, rows, WEBHOOK).await
}

fn answering(start: &'static str, answer: &'static str) -> Script {
    Script { answers: [(start, answer)].into(), ..Script::default() }
}

#[tokio::test]
async fn a_sender_that_the_server_does_not_take_ends_the_delivery() {
    for (answer, words) in [
        ("550 5.7.1 sender not allowed", "does not take looker@x.example as the sender: 550 5.7.1"),
        ("530 5.7.0 Log in", "takes mail only after a login"),
    ] {
        let stage = Mail::set(answering("MAIL", answer)).await;
        let answer = send(&stage, &rows(3_000)).await;
        assert_eq!(answer["success"], false, "{answer}");
        assert!(message(&answer).contains(words), "{answer}");
        assert_eq!(stage.server.count("MAIL"), 1, "the others have the same sender");
    }
}

#[tokio::test]
async fn a_row_that_the_server_takes_later_is_sent_again() {
    let greylisted = "451 4.7.1 greylisted, try again in 60 seconds";
    for command in ["MAIL", "RCPT", "DATA"] {
        let stage = Mail::set(Script::default()).await;
        stage.server.once.lock().unwrap().extend([(command, greylisted); 2]);
        let answer = send(&stage, &rows(3)).await;
        assert_eq!(answer["success"], true, "{command}: {answer}");
        assert_eq!(stage.server.messages.lock().unwrap().len(), 3);
        assert_eq!(stage.server.count(command), 5);
    }
}

#[tokio::test]
async fn a_message_that_was_refused_for_now_is_sent_again_over_another_connection() {
    let stage = Mail::set(Script::default()).await;
    // The server closes while the hub waits.
    let told = [("RCPT", "450 4.2.0 greylisted"), ("MAIL", "250 ok"), ("MAIL", "421 too slow")];
    stage.server.once.lock().unwrap().extend(told);
    let answer = send(&stage, &rows(2)).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!((stage.server.count("EHLO"), stage.server.count("DATA")), (2, 2));
}

#[tokio::test]
async fn a_row_that_is_put_off_for_ever_is_refused_and_a_sender_ends_the_delivery() {
    let stage = Mail::set(answering("RCPT TO:<a1@", "450 4.2.1 mailbox busy")).await;
    let answer = send(&stage, &rows(3)).await;
    let said = message(&answer);
    assert!(said.contains("2 of 3 rows accepted; 1 refused; first: row 2, "), "{said}");
    assert!(said.contains("450 4.2.1 mailbox busy"), "{said}");
    assert_eq!(stage.server.count("RCPT TO:<a1@"), 4);
    let stage = Mail::set(answering("MAIL", "451 4.3.0 no room")).await;
    let answer = send(&stage, &rows(3)).await;
    assert!(message(&answer).contains("451 4.3.0 no room"), "{answer}");
    assert_eq!(stage.server.count("MAIL"), 4, "the others have the same sender");
}

#[tokio::test]
async fn one_delivery_waits_only_so_long_in_all() {
    let stage = Mail::set(answering("RCPT", "450 4.2.1 come back later")).await;
    let answer = send(&stage, &rows(40)).await;
    let said = message(&answer);
    assert!(said.contains("0 of 40 rows accepted; 40 refused"), "{said}");
    // 155 s for each of three rows, and the rest of 600 s in shorter waits: 21 of them.
    assert_eq!(stage.server.count("RCPT"), 40 + 21);
}
