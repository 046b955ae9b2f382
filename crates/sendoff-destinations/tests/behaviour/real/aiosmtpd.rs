//! smtp_email against aiosmtpd: `BEHAVIOUR_AIOSMTPD`, and `BEHAVIOUR_AIOSMTPD_DIR` where it writes
//! what it got, as Python's own e-mail parser reads it.

#![allow(clippy::disallowed_methods, reason = "the address and the disk are the test script's")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use sendoff::Values;
use sendoff::testing::{Fake, Object};
use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::server::Server;

/// What scripts/smtp_server.py knows.
const PASSWORD: &str = "correct-horse-battery";

/// aiosmtpd, if it runs, with a recipient of its own.
pub fn aiosmtpd() -> Option<Arc<dyn Fake>> {
    Some(Arc::new(Aiosmtpd::from_env()?))
}

pub struct Aiosmtpd {
    server: Server,
    mailbox: PathBuf,
    /// Tells this test's messages from others'.
    recipient: String,
}

impl Aiosmtpd {
    pub fn from_env() -> Option<Self> {
        let mut server = Server::from_env("BEHAVIOUR_AIOSMTPD")?;
        server.address = format!("smtp://{}", server.address);
        let mailbox = PathBuf::from(std::env::var_os("BEHAVIOUR_AIOSMTPD_DIR")?);
        let recipient = format!("{}@example.com", Uuid::new_v4().simple());
        Some(Self { server, mailbox, recipient })
    }

    /// The messages to this test's recipient.
    pub fn messages(&self) -> Vec<Value> {
        let entries = fs::read_dir(&self.mailbox).expect("the folder of messages");
        let files = entries.map(|entry| entry.expect("an entry of the folder").path());
        let whole = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let read = whole.map(|path| fs::read(path).expect("a message"));
        let all = read.map(|json| serde_json::from_slice::<Value>(&json).expect("a message"));
        all.filter(|message| {
            let recipients = message["recipients"].as_array().into_iter().flatten();
            recipients.into_iter().any(|one| *one == self.recipient)
        })
        .collect()
    }
}

impl Fake for Aiosmtpd {
    fn origins(&self) -> Vec<String> {
        vec!["smtp://aiosmtpd.example:587".to_owned()]
    }

    fn authority(&self) -> Option<&'static str> {
        Some(include_str!("../../../src/smtp_email/pki/authority.pem"))
    }

    fn settings(&self) -> Values {
        [
            ("host", "aiosmtpd.example"),
            ("username", "looker"),
            ("password", PASSWORD),
            ("from", "Looker <looker@example.com>"),
        ]
        .into_iter()
        .collect()
    }

    fn answers(&self) -> Values {
        [("to", self.recipient.as_str())].into_iter().collect()
    }

    fn serve(&self, stream: TcpStream) -> BoxFuture<'_, ()> {
        Box::pin(self.server.pipe(stream))
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let messages = self.messages();
        let files =
            messages.iter().flat_map(|message| message["parts"].as_array().into_iter().flatten());
        let files = files.filter(|part| part["disposition"] == "attachment");
        let objects = files
            .map(|part| Object {
                name: part["name"].as_str().unwrap_or_default().to_owned(),
                bytes: part["bytes"].as_u64().unwrap_or_default(),
                sha256: part["sha256"].as_str().unwrap_or_default().to_owned(),
            })
            .collect();
        Box::pin(std::future::ready(objects))
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

    /// It keeps a message in memory, and is told to take 64 MiB.
    fn takes_at_most(&self) -> Option<u64> {
        Some(40 << 20)
    }
}
