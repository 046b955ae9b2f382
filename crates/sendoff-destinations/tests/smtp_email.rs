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
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use http::Method;
use sendoff::Values;
use sendoff::testing::{Fake, Object};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use aiosmtpd::Aiosmtpd;
use stage::{WEBHOOK, call, message, query, with};

const ROWS: &str = r#"{"fields":{"dimensions":[{"name":"u.mail","label":"Users Mail"},{"name":"u.name","label":"Users Name"}]},"data":[
    {"u.mail":{"value":"ada@x.example"},"u.name":{"value":"Ada"}},
    {"u.mail":{"value":"nobody@x.example"},"u.name":{"value":"Nobody"}},
    {"u.mail":{"value":"no address"},"u.name":{"value":"Eve"}},
    {"u.mail":{"value":"grace@x.example"},"u.name":{"value":"Grüße"}}]}"#;

/// A mail server that says what it is told to say.
struct Script {
    /// The lines of its answer to EHLO, behind the greeting.
    abilities: &'static [&'static str],
    /// Answers to commands that begin with these words, in place of the usual ones.
    answers: HashMap<&'static str, &'static str>,
    /// The answer to a message; none closes the connection.
    verdict: Option<&'static str>,
    /// Messages that one connection takes.
    per_connection: usize,
    heard: Mutex<Vec<String>>,
    messages: Mutex<Vec<String>>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            abilities: &["SIZE 50000", "8BITMIME"],
            answers: HashMap::new(),
            verdict: Some("250 2.0.0 queued as 7"),
            per_connection: 100,
            heard: Mutex::default(),
            messages: Mutex::default(),
        }
    }
}

impl Script {
    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mail.example\r\n").await?;
        let (mut line, mut taken) = (String::new(), 0);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let command = line.trim_end().to_owned();
            self.heard.lock().unwrap().push(command.clone());
            let told = self.answers.iter().find(|(start, _)| command.starts_with(**start));
            let answer = match (told, command.split(' ').next().unwrap_or_default()) {
                (_, "MAIL") if taken == self.per_connection => "421 enough".to_owned(),
                (Some((_, answer)), _) => (*answer).to_owned(),
                (None, "EHLO") => {
                    let mut lines: Vec<String> = vec!["mail.example".into()];
                    lines.extend(self.abilities.iter().map(|line| (*line).to_owned()));
                    let last = lines.pop().unwrap_or_default();
                    let more: String = lines.iter().map(|one| format!("250-{one}\r\n")).collect();
                    format!("{more}250 {last}")
                }
                (None, "RCPT") if command.contains("nobody@") => "550 5.1.1 No such user".into(),
                (None, "DATA") => "354 go on".into(),
                (None, "QUIT") => "221 bye".into(),
                (None, _) => "250 ok".into(),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
            if answer.starts_with("421") {
                return Ok(());
            }
            if answer.starts_with("354") {
                let mut message = String::new();
                loop {
                    line.clear();
                    if stream.read_line(&mut line).await? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    message.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                self.messages.lock().unwrap().push(message);
                taken += 1;
                let Some(verdict) = self.verdict else { return Ok(()) };
                stream.write_all(format!("{verdict}\r\n").as_bytes()).await?;
            }
        }
    }
}

impl Fake for Script {
    fn origins(&self) -> Vec<String> {
        vec!["smtp://mail.example:25".to_owned()]
    }

    fn settings(&self) -> Values {
        [
            ("host", "mail.example"),
            ("port", "25"),
            ("encryption", "none"),
            ("from", "\"Looker, \\\"BI\\\"\" <looker@x.example>"),
        ]
        .into_iter()
        .collect()
    }

    fn answers(&self) -> Values {
        [("to", "ada@x.example")].into_iter().collect()
    }

    fn serve(&self, stream: TcpStream) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // A client that leaves is no fault of the script's.
            let _ = self.converse(stream).await;
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        ("text/plain", String::new())
    }

    fn commits(&self, _: &Method, _: &str) -> bool {
        false
    }
}

/// A stage with a mail server.
struct Stage<F> {
    stage: stage::Stage<F>,
    server: Arc<F>,
}

impl<F: Fake> Stage<F> {
    async fn set(server: F) -> Self {
        let stage = stage::Stage::with(server, false).await;
        Self { server: Arc::clone(&stage.vendor), stage }
    }

    /// Sends `data`, with settings and answers beside the stand-in's own; Looker's part of the
    /// answer.
    async fn send(&self, settings: Value, answers: Value, data: &str, webhook: &str) -> Value {
        let settings = with(json!(self.server.settings()), settings);
        let body = query(settings, with(json!(self.server.answers()), answers), data);
        let path = "/actions/smtp_email/execute";
        call(&self.stage.hub, path, Some(webhook), body).await["looker"].take()
    }
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let head = mail.split("\r\n\r\n").next().unwrap();
    let start = format!("{name}: ");
    let found: Vec<_> = head.split("\r\n").filter(|line| line.starts_with(&start)).collect();
    assert_eq!(found.len(), 1, "{name} in {head}");
    &found[0][start.len()..]
}

#[tokio::test]
async fn an_envelope_names_everybody_and_a_header_not_the_hidden() {
    let stage = Stage::set(Script::default()).await;
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
    let stage = Stage::set(Script::default()).await;
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
    let stage = Stage::set(Script::default()).await;
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
        let stage = Stage::set(script).await;
        let answer = stage.send(json!({}), json!({}), "id\n1\n", WEBHOOK).await;
        assert_eq!(answer["success"], false);
        assert_ne!(answer["error"]["status_code"], "UNKNOWN", "{answer}");
        assert!(message(&answer).contains(part), "{part}: {answer}");
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_dot_may_be_a_delivery() {
    let stage = Stage::set(Script { verdict: None, ..Script::default() }).await;
    let answer = stage.send(json!({}), json!({}), "id\n1\n", WEBHOOK).await;
    assert_eq!(answer["error"]["status_code"], "UNKNOWN", "{answer}");
    assert!(message(&answer).contains("may have arrived"), "{answer}");
}

#[tokio::test]
async fn a_password_never_goes_over_an_open_connection() {
    let login = json!({ "username": "looker", "password": "correct-horse-battery" });
    let stage = Stage::set(Script::default()).await;
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
        let stage = Stage::set(script).await;
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
    let stage = Stage::set(Script::default()).await;
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
    let stage = Stage::set(Script::default()).await;
    let answer = stage.send(json!({}), json!({ "send_if_empty": "no" }), "id\n", WEBHOOK).await;
    assert_eq!(answer["success"], true);
    assert!(message(&answer).contains("no message was sent"), "{answer}");
    assert!(stage.server.messages.lock().unwrap().is_empty());
    stage.send(json!({}), json!({}), "id\n", WEBHOOK).await;
    assert_eq!(stage.server.messages.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn rows_go_to_whom_they_say_and_each_is_counted() {
    // The server ends each connection after one message: the next goes over another one.
    let stage = Stage::set(Script { per_connection: 1, ..Script::default() }).await;
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

/// aiosmtpd, if it runs. `scripts/test` starts it: then a missing one is a failure.
async fn real() -> Option<Stage<Aiosmtpd>> {
    let server = Aiosmtpd::from_env();
    let required = std::env::var("BEHAVIOUR_REQUIRE_REAL").is_ok_and(|value| value == "1");
    assert!(server.is_some() || !required, "BEHAVIOUR_AIOSMTPD is not set");
    Some(Stage::set(server?).await)
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
    let stage = Stage::set(Script::default()).await;
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
