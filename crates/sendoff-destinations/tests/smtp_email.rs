//! What mail servers and mailboxes get, and what is said of what they refuse.
//!
//! That data arrives whole and that faults are told truthfully is the behaviour suite's part. The
//! last tests need aiosmtpd (scripts/servers.sh): there Python's parser judges the messages.

#![allow(clippy::disallowed_methods, reason = "the test owns its sockets and tasks")]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]

#[path = "behaviour/real/aiosmtpd.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod aiosmtpd;
#[path = "behaviour/real/server.rs"]
#[allow(dead_code, reason = "the suite uses more of it")]
mod server;
mod stage;

use std::collections::HashMap;

use sendoff::testing::Fake;
use serde_json::{Value, json};

use aiosmtpd::Aiosmtpd;
use stage::smtp::{Mail, Script, header};
use stage::{WEBHOOK, message};

#[tokio::test]
async fn an_envelope_names_everybody_and_a_header_not_the_hidden() {
    let stage = Mail::set(Script::default()).await;
    let answers = json!({
        "to": "\"Höpper, G.\" <grace@x.example>; ada@x.example",
        "cc": "Ada <ADA@x.example>, c@bücher.example",
        "bcc": "hidden@x.example",
        "subject": "a\r\nBcc: evil@x.example",
    });
    let answer = stage.send(json!({}), answers, "id\n1\n", WEBHOOK).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert!(message(&answer).contains("grace@x.example and 3 more"), "{answer}");
    assert!(message(&answer).contains("queued as 7"), "{answer}");
    let heard = stage.server.heard.lock().unwrap().clone();
    assert!(heard[0].starts_with("EHLO [127.0.0.1]"), "{heard:?}");
    assert!(heard[1].starts_with("MAIL FROM:<looker@x.example> SIZE="), "{heard:?}");
    assert_eq!(
        heard[2..],
        [
            "RCPT TO:<grace@x.example>",
            "RCPT TO:<ada@x.example>",
            "RCPT TO:<c@xn--bcher-kva.example>",
            "RCPT TO:<hidden@x.example>",
            "DATA",
            "QUIT",
        ]
    );
    let mail = stage.server.messages.lock().unwrap()[0].clone();
    assert_eq!(header(&mail, "From"), r#""Looker, \"BI\"" <looker@x.example>"#);
    assert_eq!(header(&mail, "Cc"), "c@xn--bcher-kva.example");
    assert!(header(&mail, "Subject").starts_with("=?UTF-8?B?"), "{mail}");
    assert!(!mail.contains("hidden@") && !mail.contains("\r\nBcc"), "{mail}");
    let size: usize = heard[1].rsplit('=').next().unwrap().parse().unwrap();
    assert_eq!(size, mail.len());
    assert!(
        mail.split("\r\n").all(|line| line.len() <= 78 && !line.contains(['\r', '\n'])),
        "{mail}"
    );
}

#[tokio::test]
async fn a_repeated_delivery_has_the_same_id() {
    let stage = Mail::set(Script::default()).await;
    for webhook in [WEBHOOK, WEBHOOK, "ffffffffffffffffffffffffffffffff"] {
        stage.send(json!({}), json!({}), "id\n1\n", webhook).await;
    }
    let mails = stage.server.messages.lock().unwrap().clone();
    let ids: Vec<_> = mails.iter().map(|mail| header(mail, "Message-ID")).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    assert!(ids[0].starts_with('<') && ids[0].ends_with("@x.example>"), "{ids:?}");
}

#[tokio::test]
async fn a_refused_recipient_means_that_nobody_gets_it() {
    let stage = Mail::set(Script::default()).await;
    let to = json!({ "to": "ada@x.example, nobody@x.example" });
    let answer = stage.send(json!({}), to, "id\n1\n", WEBHOOK).await;
    assert_eq!(answer["success"], false);
    let said = answer["validation_errors"]["to"].as_str().unwrap();
    assert!(said.contains("nobody@x.example (550 5.1.1 No such user.)"), "{said}");
    assert!(stage.server.messages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn refusals_are_told_in_the_servers_words() {
    let refusing = |start, answer| Script {
        answers: [(start, answer)].into_iter().collect(),
        ..Script::default()
    };
    for (script, part) in [
        (
            refusing("MAIL", "550 5.7.1 Not yours"),
            "does not take looker@x.example as the sender: 550 5.7.1 Not yours.",
        ),
        (refusing("MAIL", "530 5.7.0 Log in"), "only after a login"),
        (refusing("EHLO", "421 4.3.2 Shutting down"), "421 4.3.2 Shutting down."),
        (refusing("DATA", "451 4.7.1 Later"), "does not take the message: 451 4.7.1 Later."),
        (
            Script { verdict: Some("554 5.6.0 Virus"), ..Script::default() },
            "refused the message: 554 5.6.0 Virus.",
        ),
        (
            Script { verdict: Some("552 5.3.4 Too big"), ..Script::default() },
            "no message of this size",
        ),
        (Script { abilities: &["SIZE 100"], ..Script::default() }, "takes at most 100 bytes"),
        (
            Script {
                answers: [("EHLO", "HTTP/1.1 400 x")].into_iter().collect(),
                ..Script::default()
            },
            "is not SMTP",
        ),
    ] {
        let stage = Mail::set(script).await;
        let answer = stage.send(json!({}), json!({}), "id\n1\n", WEBHOOK).await;
        assert_eq!(answer["success"], false);
        assert_ne!(answer["error"]["status_code"], "UNKNOWN", "{answer}");
        assert!(message(&answer).contains(part), "{part}: {answer}");
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_dot_may_be_a_delivery() {
    let stage = Mail::set(Script { verdict: None, ..Script::default() }).await;
    let answer = stage.send(json!({}), json!({}), "id\n1\n", WEBHOOK).await;
    assert_eq!(answer["error"]["status_code"], "UNKNOWN", "{answer}");
    assert!(message(&answer).contains("may have arrived"), "{answer}");
}

#[tokio::test]
async fn a_password_never_goes_over_an_open_connection() {
    let login = json!({ "username": "looker", "password": "correct-horse-battery" });
    let stage = Mail::set(Script::default()).await;
    let answer = stage.send(login.clone(), json!({}), "id\n1\n", WEBHOOK).await;
    assert!(message(&answer).contains("unencrypted"), "{answer}");
    assert!(stage.server.heard.lock().unwrap().is_empty());
    // Nobody offers STARTTLS; somebody answers for the server before TLS begins.
    for (script, part) in [
        (Script::default(), "offers no STARTTLS"),
        (
            Script {
                abilities: &["STARTTLS"],
                answers: [("STARTTLS", "220 go\r\n250-injected\r\n250 AUTH PLAIN")]
                    .into_iter()
                    .collect(),
                ..Script::default()
            },
            "tampering",
        ),
    ] {
        let stage = Mail::set(script).await;
        let mut settings = login.clone();
        settings["encryption"] = json!("starttls");
        let answer = stage.send(settings, json!({}), "id\n1\n", WEBHOOK).await;
        assert!(message(&answer).contains(part), "{answer}");
        let heard = stage.server.heard.lock().unwrap().join("\n");
        assert!(!heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
    }
}

#[tokio::test]
async fn the_admin_says_who_sends_and_to_whom() {
    let stage = Mail::set(Script::default()).await;
    let settings = json!({ "recipient_domains": "x.example" });
    for (answers, field) in [
        (json!({ "to": "a@x.example", "cc": "b@other.example" }), "cc"),
        (json!({ "from": "ceo@x.example" }), "from"),
        (json!({ "to": "a@x.example\r\nRSET" }), "to"),
    ] {
        let answer = stage.send(settings.clone(), answers, "id\n1\n", WEBHOOK).await;
        assert!(answer["validation_errors"][field].is_string(), "{field}: {answer}");
    }
    assert!(stage.server.heard.lock().unwrap().is_empty());
    let own = json!({ "allow_other_senders": "yes" });
    let answer = stage.send(own, json!({ "from": "ceo@x.example" }), "id\n1\n", WEBHOOK).await;
    assert_eq!(answer["success"], true, "{answer}");
}

#[tokio::test]
async fn an_empty_result_is_sent_or_not_as_the_form_says() {
    let stage = Mail::set(Script::default()).await;
    let answer = stage.send(json!({}), json!({ "send_if_empty": "no" }), "id\n", WEBHOOK).await;
    assert_eq!(answer["success"], true);
    assert!(message(&answer).contains("no message was sent"), "{answer}");
    assert!(stage.server.messages.lock().unwrap().is_empty());
    stage.send(json!({}), json!({}), "id\n", WEBHOOK).await;
    assert_eq!(stage.server.messages.lock().unwrap().len(), 1);
}

/// aiosmtpd, if it runs. `scripts/test` starts it: then a missing one is a failure.
async fn real() -> Option<Mail<Aiosmtpd>> {
    let server = Aiosmtpd::from_env();
    let required = std::env::var("BEHAVIOUR_REQUIRE_REAL").is_ok_and(|value| value == "1");
    assert!(server.is_some() || !required, "BEHAVIOUR_AIOSMTPD is not set");
    Some(Mail::set(server?).await)
}

fn part<'a>(mail: &'a Value, kind: &str) -> &'a Value {
    let parts = mail["parts"].as_array().unwrap();
    parts.iter().find(|part| part["type"] == kind).unwrap_or_else(|| panic!("{kind} in {mail}"))
}

#[tokio::test]
async fn python_reads_what_was_meant() {
    let Some(stage) = real().await else { return };
    let recipient = stage.server.answers().get("to").unwrap().to_owned();
    let answers = json!({
        "to": format!("\"Höpper, \\\"G\\\"\" <{recipient}>"),
        "subject": format!("Umsätze {{date:%Y}} {}", "und mehr ".repeat(30)),
        "filename": format!("{} \"x\" {{title}}", "Ümläute ".repeat(12)),
        "message": "Zeile\n.\n..zwei {link}\n\n日本語 <b>",
        "table_rows": "1",
    });
    let data = "id,name\n1,\"<ü> & x\"\n2,b\n";
    let answer = stage.send(json!({}), answers, data, WEBHOOK).await;
    assert_eq!(answer["success"], true, "{answer}");
    let mails = stage.server.messages();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(
        (&mail["encrypted"], &mail["login"], &mail["bare"]),
        (&json!(true), &json!(true), &json!(0))
    );
    assert!(mail["longest_line"].as_u64().unwrap() <= 98, "{mail}");
    assert_eq!(mail["defects"], json!([]));
    let headers: HashMap<_, _> = mail["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let year = &headers["Subject"]["Umsätze ".len()..][..4];
    assert!(year.parse::<u16>().is_ok(), "{headers:?}");
    assert!(headers["Subject"].ends_with("und mehr"), "{headers:?}");
    assert_eq!(headers["To"], format!("\"Höpper, \\\"G\\\"\" <{recipient}>"));
    let text = part(mail, "text/plain")["text"].as_str().unwrap().replace("\r\n", "\n");
    assert!(
        text.starts_with("Zeile\n.\n..zwei https://looker.example/looks/1\n\n日本語 <b>"),
        "{text}"
    );
    assert!(text.contains("The first 1 of 2 rows."), "{text}");
    let html = part(mail, "text/html")["text"].as_str().unwrap();
    assert!(html.contains("日本語 &lt;b&gt;") && html.contains("&lt;ü&gt; &amp; x</td>"), "{html}");
    let file = part(mail, "text/csv");
    assert_eq!(file["bytes"], data.len());
    assert_eq!(file["name"], format!("{} \"x\" Umsätze.csv", "Ümläute ".repeat(12)));
    for part in mail["parts"].as_array().unwrap() {
        assert_eq!(part["defects"], json!([]), "{part}");
    }
}

#[tokio::test]
async fn letters_beyond_ascii_before_the_at_need_a_server_for_them() {
    let stage = Mail::set(Script::default()).await;
    let answer =
        stage.send(json!({}), json!({ "to": "jürgen@x.example" }), "id\n1\n", WEBHOOK).await;
    assert!(answer["validation_errors"]["to"].is_string(), "{answer}");
    let Some(stage) = real().await else { return };
    let recipient = stage.server.answers().get("to").unwrap().to_owned();
    let to = json!({ "to": format!("jürgen@x.example, {recipient}") });
    let answer = stage.send(json!({}), to, "id\n1\n", WEBHOOK).await;
    assert_eq!(answer["success"], true, "{answer}");
    let mails = stage.server.messages();
    assert_eq!(mails[0]["recipients"][0], "jürgen@x.example");
    assert!(mails[0]["options"].to_string().contains("SMTPUTF8"), "{mails:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let Some(stage) = real().await else { return };
    let wrong = json!({ "password": "a-wrong-password-41" });
    let answer = stage.send(wrong, json!({}), "id\n1\n", WEBHOOK).await;
    assert!(message(&answer).contains("refused the login of looker: 535"), "{answer}");
    assert!(!answer.to_string().contains("a-wrong-password-41"));
    assert!(stage.server.messages().is_empty());
}
