//! The client that calls a hub as Looker does.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, Uri, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sendoff_protocol::{
    Definition, Executed, Form, INSTANCE, Listing, LookerVersion, Outcome, WEBHOOK_ID,
    authorization,
};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::downloads::Downloads;
use crate::exchange::{Exchange, Peek};
use crate::request::{Cargo, Delivery, MASK, RequestBody, set_download_url};

/// A Looker instance that knows one hub.
pub struct Looker {
    list_url: String,
    token: Option<String>,
    instance: String,
    version: LookerVersion,
    patience: Duration,
    downloads: tokio::sync::OnceCell<Downloads>,
}

/// What a call led to, and what crossed the wire for it.
#[derive(Debug)]
pub struct Answered<T> {
    /// What the hub's answer says, as Looker would understand it.
    pub answer: Result<T, Fault>,
    /// The call.
    pub exchange: Exchange,
    /// The hub's requests for the result, where it was offered by URL.
    pub downloads: Vec<Exchange>,
    /// What Looker tolerates and a hub should mend.
    pub remarks: Vec<String>,
}

/// Why a call has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request cannot be made: the URL is none that this client can call.
    Url(String),
    /// No whole answer came.
    Broken(String),
    /// The hub answered another status than 2xx.
    Status(u16, String),
    /// The answer is not what the protocol says.
    Unreadable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) | Self::Broken(why) => f.write_str(why),
            Self::Status(status, text) => write!(f, "The hub answered status {status}: {text}"),
            Self::Unreadable(why) => write!(f, "The hub's answer cannot be read: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

/// The longest answer that is read. The reference's list, 460 kB of icons, fits many times.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

impl Looker {
    /// A Looker whose admin typed in this list URL. Only `http://` is spoken.
    ///
    /// # Errors
    /// The URL is not absolute or not `http`.
    pub fn new(list_url: &str) -> Result<Self, Fault> {
        address(list_url)?;
        Ok(Self {
            list_url: list_url.to_owned(),
            token: None,
            instance: random_id(),
            version: LookerVersion::new(25, 18, 0),
            patience: Duration::from_secs(30 * 60),
            downloads: tokio::sync::OnceCell::new(),
        })
    }

    /// The hub token that the admin typed in.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The instance's id: 32 hexadecimal characters; random unless it is set.
    #[must_use]
    pub fn instance(mut self, id: &str) -> Self {
        self.instance = id.to_owned();
        self
    }

    /// The release that the instance says it is.
    #[must_use]
    pub fn version(mut self, version: LookerVersion) -> Self {
        self.version = version;
        self
    }

    /// How long it waits for the next byte of an answer; 30 min as Looker (**C**) unless it is set.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Lists the hub's actions.
    pub async fn list(&self) -> Answered<Listing> {
        let url = self.list_url.clone();
        self.call(&url, RequestBody::empty(), &[]).await.map(read)
    }

    /// Draws the action's form, as the test does when an admin enables the action.
    ///
    /// The delivery's cargo is not sent.
    pub async fn form(&self, action: &Definition, mut delivery: Delivery) -> Answered<Form> {
        let Some(url) = &action.form_url else {
            let why = format!("The action `{}` has no form URL.", action.name);
            return Answered::fault(Fault::Url(why));
        };
        delivery.cargo = Cargo::None;
        let (masked, values) = secrets(action, &delivery);
        let body = delivery.into_body(&masked);
        self.call(url, body, &values).await.map(read)
    }

    /// Sends the delivery, and serves its download URL if it has one.
    ///
    /// An answer 2xx with an empty body, or without the `looker` member, counts as a success, as
    /// it does for Looker. **C**
    pub async fn execute(&self, action: &Definition, mut delivery: Delivery) -> Answered<Outcome> {
        let (masked, values) = secrets(action, &delivery);
        let offered = match std::mem::replace(&mut delivery.cargo, Cargo::None) {
            Cargo::Url { format, source } => match self.offer(format, source).await {
                Ok((downloads, url)) => {
                    set_download_url(&mut delivery.plan, url.clone());
                    Some((downloads, url))
                }
                Err(error) => {
                    let why = format!("No download URL can be offered: {error}.");
                    return Answered::fault(Fault::Broken(why));
                }
            },
            cargo => {
                delivery.cargo = cargo;
                None
            }
        };
        let called = self.call(&action.url, delivery.into_body(&masked), &values).await;
        let mut remarks = Vec::new();
        let mut answered = called.map(|body| outcome(body, &mut remarks));
        answered.remarks = remarks;
        if let Some((downloads, url)) = offered {
            answered.downloads = downloads.withdraw(&url);
        }
        answered
    }

    async fn offer(
        &self,
        format: sendoff_protocol::Format,
        source: crate::Source,
    ) -> io::Result<(&Downloads, String)> {
        let downloads = self.downloads.get_or_try_init(Downloads::listen).await?;
        let url = downloads.offer(format, source)?;
        Ok((downloads, url))
    }

    async fn call(&self, url: &str, body: RequestBody, secrets: &[String]) -> Answered<Vec<u8>> {
        let mut exchange =
            Exchange { method: "POST".into(), url: url.to_owned(), ..Exchange::default() };
        let record = body.record();
        let started = Instant::now();
        let answer = self.exchange(&mut exchange, body, secrets, started).await;
        exchange.until_end = started.elapsed();
        exchange.request_body = record.peek();
        if let Err(Fault::Broken(why) | Fault::Url(why)) = &answer {
            exchange.failure = Some(why.clone());
        }
        Answered { answer, exchange, downloads: Vec::new(), remarks: Vec::new() }
    }

    async fn exchange(
        &self,
        exchange: &mut Exchange,
        body: RequestBody,
        secrets: &[String],
        started: Instant,
    ) -> Result<Vec<u8>, Fault> {
        let (uri, authority) = address(&exchange.url)?;
        let request = self.request(&uri, body)?;
        exchange.request_headers = headers_shown(request.headers(), secrets);
        exchange.request_headers.extend(framing(&request));
        let broken = |what: &str, error: &dyn fmt::Display| {
            Fault::Broken(format!("{what} {authority}: {error}."))
        };
        #[allow(clippy::disallowed_methods, reason = "whoever tries a hub names its address")]
        let socket = TcpStream::connect(&authority)
            .await
            .map_err(|error| broken("No connection to", &error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| broken("No HTTP with", &error))?;
        // In a set, so that the connection ends with the call however the call ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let silent =
            || Fault::Broken(format!("No byte came from {authority} for {:?}.", self.patience));
        let response = tokio::time::timeout(self.patience, sender.send_request(request))
            .await
            .map_err(|_| silent())?
            .map_err(|error| broken("No answer from", &because(&error)))?;
        exchange.until_answer = started.elapsed();
        exchange.status = Some(response.status().as_u16());
        exchange.response_headers = headers_shown(response.headers(), secrets);
        let status = response.status();
        let mut body = response.into_body();
        let mut whole = Vec::new();
        let mut failure = None;
        loop {
            match tokio::time::timeout(self.patience, body.frame()).await {
                Err(_) => failure = Some(silent()),
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    failure = Some(broken("The answer broke off, from", &because(&error)));
                }
                Ok(Some(Ok(frame))) => {
                    whole.extend(frame.into_data().iter().flatten());
                    if whole.len() > LONGEST_ANSWER {
                        failure = Some(Fault::Broken("The answer is over 16 MiB.".into()));
                    }
                }
            }
            if failure.is_some() {
                break;
            }
        }
        exchange.response_body = shown_answer(&whole, secrets);
        match failure {
            Some(fault) => Err(fault),
            None if status.is_success() => Ok(whole),
            None => Err(Fault::Status(status.as_u16(), exchange.response_body.text())),
        }
    }

    fn request(&self, uri: &Uri, body: RequestBody) -> Result<Request<RequestBody>, Fault> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
            .header(header::USER_AGENT, format!("LookerOutgoingWebhook/{}", self.version))
            .header(WEBHOOK_ID, random_id())
            .header(INSTANCE, &self.instance)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, authorization(token));
        }
        request
            .body(body)
            .map_err(|error| Fault::Url(format!("The request cannot be written: {error}.")))
    }
}

impl<T> Answered<T> {
    fn fault(fault: Fault) -> Self {
        let failure = Some(fault.to_string());
        Self {
            answer: Err(fault),
            exchange: Exchange { failure, ..Exchange::default() },
            downloads: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn map<U>(self, read: impl FnOnce(T) -> Result<U, Fault>) -> Answered<U> {
        Answered {
            answer: self.answer.and_then(read),
            exchange: self.exchange,
            downloads: self.downloads,
            remarks: self.remarks,
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(body: Vec<u8>) -> Result<T, Fault> {
    serde_json::from_slice(&body).map_err(|error| Fault::Unreadable(error.to_string()))
}

/// `{"looker": …}`; a 2xx with nothing in it is a success all the same.
fn outcome(body: Vec<u8>, remarks: &mut Vec<String>) -> Result<Outcome, Fault> {
    if body.trim_ascii().is_empty() {
        remarks.push("The answer is empty; Looker takes it for a success.".into());
        return Ok(Outcome::default());
    }
    let value: serde_json::Value = read(body)?;
    if value.get("looker").is_none() {
        remarks.push(
            "The answer has no `looker` member; Looker takes it for a success, whatever it says."
                .into(),
        );
        return Ok(Outcome::default());
    }
    let executed: Executed =
        serde_json::from_value(value).map_err(|error| Fault::Unreadable(error.to_string()))?;
    Ok(executed.looker)
}

/// The names of the params that are secret, and their values.
fn secrets(action: &Definition, delivery: &Delivery) -> (BTreeSet<String>, Vec<String>) {
    let mut names: BTreeSet<String> = action
        .params
        .iter()
        .filter(|param| param.sensitive)
        .map(|param| param.name.clone())
        .collect();
    // The state holds the user's tokens, and whoever has its URL can replace them.
    names.extend(["state_json", "state_url", "state_redir_url"].map(str::to_owned));
    let value = |name: &String| delivery.params.get(name).map(str::to_owned);
    let values = names.iter().filter_map(value).collect();
    (names, values)
}

/// Short values would blot out ordinary words.
const SHORTEST_SECRET: usize = 6;

pub(crate) fn without(text: &str, secrets: &[String]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET);
    long.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
}

/// The headers as texts, the token masked.
pub(crate) fn headers_shown(headers: &HeaderMap, secrets: &[String]) -> Vec<(String, String)> {
    let shown = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let value = match *name {
            header::AUTHORIZATION => format!("Token token=\"{MASK}\""),
            _ => without(&String::from_utf8_lossy(value.as_bytes()), secrets),
        };
        (name.to_string(), value)
    };
    headers.iter().map(shown).collect()
}

/// The header that the connection adds: Looker's bodies are chunked and have no length. **A**
fn framing(request: &Request<RequestBody>) -> Option<(String, String)> {
    use http_body::Body;
    (!request.body().is_end_stream()).then(|| ("transfer-encoding".into(), "chunked".into()))
}

/// A hub that repeats a secret must not make it part of a record.
pub(crate) fn shown_answer(body: &[u8], secrets: &[String]) -> Peek {
    let mut peek = Peek::default();
    if secrets.iter().any(|secret| secret.len() >= SHORTEST_SECRET) {
        let text = without(&String::from_utf8_lossy(body), secrets);
        peek.add(body.len(), text.as_bytes());
    } else {
        peek.add(body.len(), body);
    }
    peek
}

/// The URL, and `host:port` to dial.
pub(crate) fn address(url: &str) -> Result<(Uri, String), Fault> {
    let refused = |why: &str| Fault::Url(format!("`{url}` cannot be called: {why}."));
    let uri: Uri = url.parse().map_err(|_| refused("it is not a URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some(_) => return Err(refused("only http:// is spoken here")),
        None => return Err(refused("it is not absolute")),
    }
    let host = uri.host().ok_or_else(|| refused("it names no host"))?;
    let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    Ok((uri, authority))
}

/// hyper says "error reading a body"; the cause below it says why.
pub(crate) fn because(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// 32 hexadecimal characters, as Looker's ids have.
pub(crate) fn random_id() -> String {
    let mut random = [0; 16];
    // The id only tells deliveries apart, so one that is all zeros does no harm.
    let _ = getrandom::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
