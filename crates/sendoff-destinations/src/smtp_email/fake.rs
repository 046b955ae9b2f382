//! A stand-in for a mail server with STARTTLS and logins: it reads a message line by line, decodes
//! the attachment and keeps its digest.
//!
//! Written on 25 November 2026 from RFC 5321 (<https://www.rfc-editor.org/rfc/rfc5321>), RFC 3207
//! (STARTTLS), RFC 4954 (AUTH), RFC 1870 (SIZE) and RFC 2045/2046 (MIME).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sendoff::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use sendoff::{AnyAction, Values};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::SmtpEmail;
use crate::shared::aws::hex;

const HOST: &str = "mail.example";
const USER: &str = "looker";
const PASSWORD: &str = "canary-smtp-password-93af";
/// Of one line without its end (RFC 5321, 4.5.3.1.6).
const LONGEST_LINE: usize = 998;
const SIZE: u64 = 1 << 30;
/// So much of a mail is kept to be looked at.
const START: usize = 2 * 1024;

/// The action with a server of its own.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(SmtpEmail), Arc::new(MailServer::new()))
}

/// The same where each row becomes a message.
pub(crate) fn of_rows() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let rows = Some(RowLedger::default());
    (Box::new(SmtpEmail), Arc::new(MailServer { rows, ..MailServer::new() }))
}

struct MailServer {
    tls: TlsAcceptor,
    /// Mails and how they begin.
    mailbox: Mutex<Vec<(Object, Vec<u8>)>>,
    rows: Option<RowLedger>,
}

const SHAPE: RowShape = RowShape {
    fields: r#"{"dimensions":[{"name":"users.email","label":"Users Email","type":"string","tags":[]}],"measures":[]}"#,
    before: r#"{"users.email":{"value":"u"#,
    after: r#"@example.com"}}"#,
};

impl MailServer {
    #[allow(clippy::expect_used, reason = "the files are a part of the program")]
    fn new() -> Self {
        let chain = CertificateDer::pem_slice_iter(include_bytes!("pki/server.pem"));
        let chain = chain.collect::<Result<_, _>>().expect("a certificate");
        let key =
            PrivateKeyDer::from_pem_slice(include_bytes!("pki/server.key.pem")).expect("a key");
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate and its key");
        let tls = TlsAcceptor::from(Arc::new(config));
        Self { tls, mailbox: Mutex::default(), rows: None }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Object, Vec<u8>)>> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, row: Option<u64>) {
        let Some(ledger) = &self.rows else { return };
        ledger.batch(1);
        match row {
            Some(row) => ledger.take(row),
            None => ledger.stranger(),
        }
    }

    async fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut plain = Talk::over(stream);
        plain.say("220 mail.example ESMTP").await?;
        if plain.until_end(self, false).await? {
            let encrypted = self.tls.accept(plain.stream.into_inner()).await?;
            Talk::over(encrypted).until_end(self, true).await?;
        }
        Ok(())
    }
}

impl Fake for MailServer {
    fn origins(&self) -> Vec<String> {
        vec![format!("smtp://{HOST}:587")]
    }

    fn authority(&self) -> Option<&'static str> {
        Some(include_str!("pki/authority.pem"))
    }

    fn settings(&self) -> Values {
        [
            ("host", HOST),
            ("username", USER),
            ("password", PASSWORD),
            ("from", "Looker <looker@mail.example>"),
        ]
        .into_iter()
        .collect()
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        // Three commands and a message for each row, one after the other over one connection: a
        // million take this suite many minutes.
        Some(TakesRows::new(SHAPE, self.rows.as_ref()?).at_most(100).in_bulk(25_000))
    }

    fn answers(&self) -> Values {
        if self.rows.is_some() {
            return [("to", "{users.email}"), ("per_row", "yes")].into_iter().collect();
        }
        [
            ("to", "ada@example.com, \"Höpper, G.\" <grace@example.com>"),
            ("subject", "Umsätze {date}"),
            ("message", "Guten Tag,\n.\n{link}"),
        ]
        .into_iter()
        .collect()
    }

    fn serve(&self, stream: TcpStream) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(fault) = self.converse(stream).await {
                // A client may break off at any byte; that is its business.
                tracing::trace!(%fault, "a connection to the stand-in ended early");
            }
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let all = self.lock().iter().map(|(object, _)| object.clone()).collect();
        Box::pin(std::future::ready(all))
    }

    fn start<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Option<Bytes>> {
        let mailbox = self.lock();
        let found = mailbox.iter().rev().find(|(one, _)| one.name == object);
        let start = found.map(|(_, start)| Bytes::from(start.clone()));
        Box::pin(std::future::ready(start))
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

/// One conversation, encrypted or not.
struct Talk<S> {
    stream: BufReader<S>,
    line: Vec<u8>,
    logged_in: bool,
    /// The envelope so far.
    sender: bool,
    recipients: usize,
    /// The row whose address came last.
    row: Option<u64>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    fn over(stream: S) -> Self {
        let stream = BufReader::with_capacity(64 * 1024, stream);
        let (line, row) = (Vec::new(), None);
        Self { stream, line, logged_in: false, sender: false, recipients: 0, row }
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// Reads a line into `line`, without its end; false at the end of the connection. A line that
    /// ends in a bare newline is none.
    async fn read(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line).await?;
        if self.line.is_empty() {
            return Ok(false);
        }
        if !self.line.ends_with(b"\r\n") || self.line.len() > LONGEST_LINE + 2 {
            return Err(io::Error::other("a line that is too long, cut, or ends without CR"));
        }
        self.line.truncate(self.line.len() - 2);
        Ok(true)
    }

    /// Answers commands; true if the client asked for TLS.
    async fn until_end(&mut self, server: &MailServer, encrypted: bool) -> io::Result<bool> {
        while self.read().await? {
            let line = String::from_utf8_lossy(&self.line).into_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match (verb, rest) {
                ("EHLO", name) if !name.is_empty() => {
                    let more = if encrypted { "AUTH PLAIN LOGIN" } else { "STARTTLS" };
                    self.say(&format!("250-mail.example\r\n250-SIZE {SIZE}\r\n250 {more}")).await?;
                }
                ("STARTTLS", "") if !encrypted => {
                    self.say("220 Go ahead").await?;
                    return Ok(true);
                }
                ("AUTH", rest) if encrypted => {
                    let right = format!("\0{USER}\0{PASSWORD}");
                    let right = base64_simd::STANDARD.encode_to_string(right.as_bytes());
                    self.logged_in = rest == format!("PLAIN {right}");
                    let answer = match self.logged_in {
                        true => "235 2.7.0 Welcome",
                        false => "535 5.7.8 Wrong user name or password",
                    };
                    self.say(answer).await?;
                }
                ("MAIL" | "RCPT" | "DATA", _) if !self.logged_in => {
                    self.say("530 5.7.0 Log in first").await?;
                }
                ("MAIL", rest) if rest.starts_with("FROM:<") && rest.contains("> SIZE=") => {
                    (self.sender, self.recipients) = (true, 0);
                    self.say("250 2.1.0 Ok").await?;
                }
                ("RCPT", rest) if self.sender && is_path(rest) => {
                    self.recipients += 1;
                    self.row = row_of(rest);
                    self.say("250 2.1.5 Ok").await?;
                }
                ("DATA", "") if self.recipients > 0 => {
                    self.say("354 End with a dot").await?;
                    let answer = match self.message().await? {
                        Ok(object) => {
                            server.lock().extend(object);
                            server.count(self.row);
                            "250 2.0.0 Ok: queued as 4D1A2".to_owned()
                        }
                        Err(why) => format!("554 5.6.0 {why}"),
                    };
                    (self.sender, self.recipients) = (false, 0);
                    self.say(&answer).await?;
                }
                ("RSET", "") => {
                    (self.sender, self.recipients) = (false, 0);
                    self.say("250 Ok").await?;
                }
                ("QUIT", "") => {
                    self.say("221 Bye").await?;
                    return Ok(false);
                }
                _ => self.say("500 5.5.2 Bad command").await?,
            }
        }
        Ok(false)
    }

    /// Reads a message to its dot; its attachment, or what is wrong with it.
    async fn message(&mut self) -> io::Result<Result<Option<(Object, Vec<u8>)>, &'static str>> {
        let mut mime = Mime::default();
        let mut start = Vec::new();
        loop {
            if !self.read().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.line == b"." {
                let finished = mime.finish();
                return Ok(finished.map(|object| object.map(|object| (object, start))));
            }
            let line = self.line.strip_prefix(b".").unwrap_or(&self.line);
            if start.len() < START {
                start.extend_from_slice(line);
                start.push(b'\n');
            }
            mime.line(line);
        }
    }
}

/// The row whose address this is.
fn row_of(path: &str) -> Option<u64> {
    path.strip_prefix("TO:<u")?.strip_suffix("@example.com>")?.parse().ok()
}

fn is_path(rest: &str) -> bool {
    let inside = rest.strip_prefix("TO:<").and_then(|rest| rest.strip_suffix('>'));
    inside.is_some_and(|address| address.contains('@') && !address.contains([' ', '<', ',']))
}

/// Reads a message as far as its attachment needs it.
#[derive(Default)]
struct Mime {
    /// Where in a part the next line stands.
    in_body: bool,
    /// Header lines, unfolded, of the part that is being read.
    headers: Vec<String>,
    /// Of the message itself.
    own: Vec<String>,
    boundaries: Vec<String>,
    file: Option<(Sha256, u64)>,
    files: Vec<(String, u64)>,
    wrong: Option<&'static str>,
}

impl Mime {
    fn line(&mut self, line: &[u8]) {
        if !line.is_ascii() {
            self.wrong = Some("Letters beyond ASCII, and nothing said so");
        }
        if let Some(rest) = line.strip_prefix(b"--")
            && let Some(boundary) =
                self.boundaries.iter().find(|one| rest.starts_with(one.as_bytes()))
        {
            let ends = rest.len() > boundary.len();
            (self.in_body, self.headers) = (ends, Vec::new());
            if let Some((digest, bytes)) = self.file.take() {
                self.files.push((hex(&digest.finalize()), bytes));
            }
            return;
        }
        match &mut self.file {
            Some((digest, bytes)) => match base64_simd::STANDARD.decode_to_vec(line) {
                Ok(data) => {
                    digest.update(&data);
                    *bytes += data.len() as u64;
                }
                Err(_) => self.wrong = Some("The attachment is no base64"),
            },
            None if self.in_body => {}
            None if line.is_empty() => self.headers_end(),
            None => {
                let text = String::from_utf8_lossy(line);
                match (line.first(), self.headers.last_mut()) {
                    (Some(b' ' | b'\t'), Some(header)) => header.push_str(&text),
                    _ => self.headers.push(text.into_owned()),
                }
            }
        }
    }

    fn headers_end(&mut self) {
        self.in_body = true;
        let find = |name: &str| {
            let mut all = self.headers.iter().filter_map(|line| line.split_once(": "));
            all.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let kind = find("Content-Type").unwrap_or_default();
        if let Some((_, rest)) = kind.split_once("boundary=\"") {
            self.boundaries.push(rest.trim_end_matches('"').to_owned());
        }
        if find("Content-Disposition").is_some_and(|value| value.starts_with("attachment;")) {
            if find("Content-Transfer-Encoding").as_deref() != Some("base64") {
                self.wrong = Some("The attachment is not encoded");
            }
            self.file = Some((Sha256::new(), 0));
        }
        if self.own.is_empty() {
            self.own = std::mem::take(&mut self.headers);
        }
    }

    fn finish(self) -> Result<Option<Object>, &'static str> {
        // RFC 5322, 3.6: each of them once.
        for name in ["From: ", "To: ", "Subject: ", "Date: ", "Message-ID: <", "MIME-Version: 1.0"]
        {
            if self.own.iter().filter(|line| line.starts_with(name)).count() != 1 {
                return Err("A header is missing, or there twice");
            }
        }
        match (self.wrong, self.files.as_slice()) {
            (Some(wrong), _) => Err(wrong),
            (None, []) => Ok(None),
            (None, [(sha256, bytes)]) => {
                Ok(Some(Object { name: "mail".into(), bytes: *bytes, sha256: sha256.clone() }))
            }
            (None, _) => Err("More than one file"),
        }
    }
}
