//! A mail server that says what it is told to say, and a stage with one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use http::Method;
use sendoff::Values;
use sendoff::testing::{Fake, Object};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Stage, call, query, with};

/// A mail server that says what it is told to say.
pub struct Script {
    /// The lines of its answer to EHLO, behind the greeting.
    pub abilities: &'static [&'static str],
    /// Answers to commands that begin with these words, in place of the usual ones.
    pub answers: HashMap<&'static str, &'static str>,
    /// The answer to a message; none closes the connection.
    pub verdict: Option<&'static str>,
    /// Messages that one connection takes.
    pub per_connection: usize,
    pub heard: Mutex<Vec<String>>,
    pub messages: Mutex<Vec<String>>,
    /// Answers to the next commands that begin with these words, each once, in this order.
    pub once: Mutex<Vec<(&'static str, &'static str)>>,
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
            once: Mutex::default(),
        }
    }
}

impl Script {
    fn told(&self, command: &str) -> Option<&'static str> {
        let mut once = self.once.lock().unwrap();
        if let Some(at) = once.iter().position(|(start, _)| command.starts_with(start)) {
            return Some(once.remove(at).1);
        }
        let told = self.answers.iter().find(|(start, _)| command.starts_with(**start));
        told.map(|(_, answer)| *answer)
    }

    /// How often a command that begins so came.
    pub fn count(&self, start: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|line| line.starts_with(start)).count()
    }

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
            let told = self.told(&command);
            let answer = match (told, command.split(' ').next().unwrap_or_default()) {
                (_, "MAIL") if taken == self.per_connection => "421 enough".to_owned(),
                (Some(answer), _) => answer.to_owned(),
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
pub struct Mail<F> {
    pub stage: Stage<F>,
    pub server: Arc<F>,
}

impl<F: Fake> Mail<F> {
    pub async fn set(server: F) -> Self {
        let stage = Stage::with(server, false).await;
        Self { server: Arc::clone(&stage.vendor), stage }
    }

    /// Sends `data`, with settings and answers beside the stand-in's own; Looker's part of the
    /// answer.
    pub async fn send(&self, settings: Value, answers: Value, data: &str, webhook: &str) -> Value {
        let settings = with(json!(self.server.settings()), settings);
        let body = query(settings, with(json!(self.server.answers()), answers), data);
        let path = "/actions/smtp_email/execute";
        call(&self.stage.hub, path, Some(webhook), body).await["looker"].take()
    }
}

/// The value of a header that stands there once.
pub fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let head = mail.split("\r\n\r\n").next().unwrap();
    let start = format!("{name}: ");
    let found: Vec<_> = head.split("\r\n").filter(|line| line.starts_with(&start)).collect();
    assert_eq!(found.len(), 1, "{name} in {head}");
    &found[0][start.len()..]
}
