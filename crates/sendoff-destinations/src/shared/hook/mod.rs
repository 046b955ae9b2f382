//! Sending a result to a URL that takes whatever comes: whole, as a form, or row by row.
//!
//! A webhook has no upload to abort and no way to ask what arrived. So a body that breaks off ends
//! the connection without a clean end, a request is repeated only if the receiver is said to
//! stand that, and success needs the whole body gone and the whole answer read.

pub(crate) mod address;
pub(crate) mod batches;
#[cfg(feature = "fakes")]
pub(crate) mod fake;
pub(crate) mod modes;
mod rows;
mod signature;
pub(crate) mod upload;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sendoff::prelude::*;
use sendoff::protocol::{Text, WEBHOOK_ID};
use sendoff::{Arrival, Body, Class, Http, Redactor, Reply, Retry};
use uuid::Uuid;

use super::file_options;
use super::template::Facts;
use crate::Difference;
use address::{Address, Headers};
use signature::{SIGNATURE, Signer, TIMESTAMP};
use upload::Upload;

/// What of a title can stand in a header: everything that is not ASCII, and the percent sign
/// itself, is percent-encoded as UTF-8.
const HEADER: &AsciiSet = &CONTROLS.add(b'%');

/// Servers take a few thousand bytes of headers; each character may become twelve.
const TITLE_AT_MOST: usize = 200;

/// Of an answer, what is read before it is judged. Whatever is longer is not read by anybody.
const ANSWER_AT_MOST: usize = 8 * 1024 * 1024;

/// Of an answer, what is looked at, and what is quoted (in characters).
const LOOKED_AT: usize = 64 * 1024;
const QUOTED: usize = 200;

/// How a URL is called.
pub(crate) struct Hook<'a, S> {
    cx: &'a Context<S>,
    address: Address,
    method: Method,
    headers: Headers,
    signing: Option<Secret>,
    /// The receiver stands the same request twice.
    idempotent: bool,
    patience: Option<Duration>,
    /// Whether a 2xx answer says that the data was taken; nothing if it does not say.
    confirms: fn(&str) -> Option<bool>,
    redact: Redactor,
}

/// A confirmed request.
pub(crate) struct Confirmed {
    status: String,
    words: String,
    /// The receiver has the data and has not worked on it yet (RFC 9110, section 15.3.3).
    waits: bool,
}

/// What one request carries, if all of it is in memory.
pub(crate) struct Message {
    /// By which the receiver can tell a repeat.
    pub(crate) key: String,
    pub(crate) body: Bytes,
}

impl<'a, S> Hook<'a, S> {
    pub(crate) fn new(cx: &'a Context<S>, address: Address) -> Self {
        let redact = Redactor::new(address.secrets());
        Self {
            cx,
            address,
            method: Method::POST,
            headers: Headers::default(),
            signing: None,
            idempotent: false,
            patience: None,
            confirms: |_| Some(true),
            redact,
        }
    }

    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Headers that the admin set.
    pub(crate) fn headers(mut self, headers: Headers) -> Self {
        let words = headers.0.iter().flat_map(|(_, value)| value.expose().split(' '));
        self.redact = self.redact.with(words);
        self.headers = headers;
        self
    }

    /// Signs each body. A stream is spooled first: its signature goes ahead of it.
    pub(crate) fn signed(mut self, secret: Option<Secret>) -> Self {
        self.signing = secret;
        self
    }

    pub(crate) fn idempotent(mut self, yes: bool) -> Self {
        self.idempotent = yes;
        self
    }

    /// How long the receiver may think.
    pub(crate) fn patience(mut self, patience: Option<Duration>) -> Self {
        self.patience = patience;
        self
    }

    /// How a 2xx answer is read: it was taken, it was not, or somebody else answered.
    pub(crate) fn confirmed_by(mut self, confirms: fn(&str) -> Option<bool>) -> Self {
        self.confirms = confirms;
        self
    }

    pub(crate) fn host(&self) -> &str {
        self.address.host()
    }

    /// Sends the data as it is, in one request.
    pub(crate) async fn whole(&self, data: Payload) -> Result<Receipt> {
        let media_type = data.media_type().to_owned();
        self.one(data, Upload::plain(media_type)).await
    }

    /// Sends the data as the file of a `multipart/form-data` form, in one request.
    pub(crate) async fn multipart(&self, data: Payload) -> Result<Receipt> {
        let name = file_options::target(None, None, &Facts::of(self.cx, &data))?;
        let upload = Upload::form(self.about(), name.name(), data.media_type());
        self.one(data, upload).await
    }

    async fn one(&self, data: Payload, upload: Upload) -> Result<Receipt> {
        let (body, sent, signature) = if self.signing.is_some() || self.idempotent {
            let spooled = data.spool().await?;
            let now = Timestamp::now().as_second();
            let signature = match &self.signing {
                Some(secret) => {
                    let mut signer = Signer::new(secret, now)?;
                    signer.add_all(upload.wrap(spooled.stream())).await?;
                    Some((now, signer.finish()))
                }
                None => None,
            };
            let (body, sent) = upload.again(move || spooled.stream());
            (body, sent, signature)
        } else {
            let (body, sent) = upload.once(data.open().await?);
            (body, sent, None)
        };
        let http = self.cx.http();
        let key = http.idempotency_key("whole");
        let confirmed = self.send(http, key, upload.media_type(), body, signature).await?;
        if !sent.all() {
            return Err(Error::vendor(format!(
                "{} answered {} before it had all of the data, so it cannot have used it as it \
                 is. It may have arrived in part: check there before you send it again.",
                self.host(),
                confirmed.status
            ))
            .may_have_arrived());
        }
        Ok(confirmed.remark(Receipt::new(self.host()).bytes(sent.bytes())))
    }

    /// Sends JSON that is in memory through `http`.
    pub(crate) async fn json(&self, http: &Http, message: Message) -> Result<Confirmed> {
        let signature = match &self.signing {
            Some(secret) => {
                let now = Timestamp::now().as_second();
                let mut signer = Signer::new(secret, now)?;
                signer.add(&message.body);
                Some((now, signer.finish()))
            }
            None => None,
        };
        let Message { key, body } = message;
        self.send(http, key, "application/json", body.into(), signature).await
    }

    async fn send(
        &self,
        http: &Http,
        key: String,
        media_type: &str,
        body: Body,
        signature: Option<(i64, String)>,
    ) -> Result<Confirmed> {
        let mut call = http
            .request(self.method.clone(), self.address.url())
            .header("Content-Type", media_type)
            .header("Idempotency-Key", key)
            .body(body);
        for (name, value) in self.about() {
            let header = match name {
                "webhook_id" => WEBHOOK_ID,
                "plan_id" => "X-Looker-Plan-Id",
                _ => "X-Looker-Title",
            };
            let value: String = value.chars().take(TITLE_AT_MOST).collect();
            call = call.header(header, utf8_percent_encode(&value, HEADER).to_string());
        }
        for (name, value) in &self.headers.0 {
            call = call.secret_header(name, value);
        }
        if let Some((timestamp, signature)) = signature {
            call = call.header(TIMESTAMP, timestamp.to_string()).header(SIGNATURE, signature);
        }
        if let Some(patience) = self.patience {
            call = call.idle_timeout(patience);
        }
        let call = match (self.idempotent, &self.method) {
            (true, _) => call.repeatable(),
            // Waits where the receiver says that it took nothing and when to come back.
            (false, &Method::POST) => call,
            (false, _) => call.once(),
        };
        match call.send().await {
            Ok(reply) => self.judge(reply).await,
            Err(fault) => Err(fault),
        }
        .map_err(|fault| self.explain(fault))
    }

    async fn judge(&self, reply: Reply) -> Result<Confirmed> {
        let reply = reply.success().await?;
        let code = reply.status();
        let status = match code.canonical_reason() {
            Some(reason) => format!("{} {reason}", code.as_u16()),
            None => code.as_u16().to_string(),
        };
        let readable = reply.header("content-encoding").is_none();
        let said = read(reply).await?;
        let said = if readable { self.redact.clean(&said).into_owned() } else { String::new() };
        let words = excerpt(&said);
        if code == StatusCode::MULTI_STATUS {
            let (host, words) =
                (self.host(), if words.is_empty() { "nothing more" } else { &words });
            return Err(Error::vendor(format!(
                "{host} answered {status} ({words}). It may have refused a part of the data, and \
                 only the receiver knows which."
            ))
            .status(code.as_u16())
            .may_have_arrived());
        }
        let confirmed = (self.confirms)(&said);
        if confirmed != Some(true) {
            let error = Error::vendor(format!(
                "{} answered {status}, but not with the confirmation that it gives: {words}",
                self.host()
            ));
            // Its own "no" is clear; who else answered may have passed the data on.
            return Err(if confirmed.is_some() { error } else { error.may_have_arrived() });
        }
        Ok(Confirmed { waits: code == StatusCode::ACCEPTED, status, words })
    }

    /// What a refusal means here. The vendor's words stay, the URL's secret parts go.
    fn explain(&self, fault: Error) -> Error {
        let message = self.redact.clean(fault.message());
        let fault = if message == fault.message() { fault } else { reworded(&fault, &message) };
        match fault.http_status() {
            Some(413) => fault.context(
                "The receiver does not take this much at once. Send batches of rows, smaller \
                 batches, or fewer rows",
            ),
            Some(404 | 410) => fault.context(
                "The receiver knows no such webhook. Check that the URL is whole and still in use",
            ),
            _ => fault,
        }
    }

    /// What the receiver learns beside the data.
    fn about(&self) -> impl Iterator<Item = (&'static str, String)> {
        let plan = self.cx.plan();
        let text = |text: Option<&Text>| text.map(ToString::to_string);
        [
            ("webhook_id", self.cx.webhook_id().map(str::to_owned)),
            ("plan_id", text(plan.and_then(|plan| plan.scheduled_plan_id.as_ref()))),
            ("title", text(plan.and_then(|plan| plan.title.as_ref()))),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// Names one row of one delivery, so that the receiver can tell a repeat.
    pub(crate) fn stamp(&self, row: u64) -> serde_json::Value {
        let plan = self.cx.plan().and_then(|plan| plan.scheduled_plan_id.as_ref());
        serde_json::json!({
            "webhook_id": self.cx.webhook_id(),
            "plan_id": plan.map(ToString::to_string),
            "row": row,
        })
    }
}

impl Confirmed {
    /// Adds what the receiver said.
    pub(crate) fn remark(&self, receipt: Receipt) -> Receipt {
        receipt.remark(self.sentence())
    }

    /// What the receiver said.
    fn sentence(&self) -> String {
        let Self { status, words, waits } = self;
        let yet = if *waits { ", so it has the data and has not worked on it yet" } else { "" };
        match words.as_str() {
            "" => format!("It answered {status}{yet}."),
            words => format!("It answered {status}{yet}: {words}"),
        }
    }
}

/// The same error in other words. Its cause becomes text, cleaned as well.
fn reworded(fault: &Error, message: &str) -> Error {
    let message = message.to_owned();
    let error = match fault.class() {
        Class::Settings => Error::settings(message),
        Class::Login => Error::login(message),
        Class::Looker => Error::looker(message),
        Class::Hub => Error::hub(message),
        Class::Form => Error::form(fault.field_name().unwrap_or_default().to_owned(), message),
        _ => Error::vendor(message),
    };
    let error = match fault.retry() {
        Retry::After(wait) => error.retry_after(wait),
        Retry::Later => error.retry_later(),
        _ => error,
    };
    let error = match fault.arrival() {
        Arrival::Maybe => error.may_have_arrived(),
        Arrival::Rows(rows) => error.rows_accepted(rows),
        _ => error,
    };
    match fault.http_status() {
        Some(status) => error.status(status),
        None => error,
    }
}

/// Reads the answer to its end, because only then it is known to be whole, and keeps its beginning.
async fn read(reply: Reply) -> Result<String> {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    let mut stream = reply.stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        let room = LOOKED_AT.saturating_sub(kept.len()).min(chunk.len());
        kept.extend_from_slice(&chunk[..room]);
        bytes += chunk.len();
        if bytes > ANSWER_AT_MOST {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// The first 200 characters on one line.
fn excerpt(text: &str) -> String {
    let mut words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let mut line = String::new();
    for word in words.by_ref().filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((at, _)) = line.char_indices().nth(QUOTED) {
            line.truncate(at);
            line.push('…');
            break;
        }
    }
    line
}

fn boundary() -> String {
    format!("sendoff-{}", Uuid::new_v4().simple())
}

/// What differs from the reference hub in each hook that it has.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "The request has no content type.",
        ours: "It has the data's.",
        switch: None,
    },
    Difference {
        reference: "Looker's error page is posted as if it were the data, and data that broke off as if it were whole.",
        ours: "The request is begun after Looker answered 200, and broken off with its data.",
        switch: None,
    },
];
