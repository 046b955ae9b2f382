//! The client that calls a hub as Looker does.

mod answer;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sendoff_protocol::{
    Definition, Form, INSTANCE, Listing, LookerVersion, Outcome, WEBHOOK_ID, authorization,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dial::Address;
use crate::downloads::Downloads;
use crate::exchange::{Exchange, Peek, Piece};
use crate::faults::{Carried, Faults, HUNG_UP};
use crate::progress::{Meter, Stage};
use crate::remarks::{Remark, remarks};
use crate::request::{Cargo, Delivery, MASK, RequestBody, set_download_url};
use crate::verdict::{Call, Heard, Verdict, looker_does};

pub use answer::StateChange;

/// A Looker instance that knows one hub.
pub struct Looker {
    list_url: String,
    token: Option<String>,
    instance: String,
    version: LookerVersion,
    patience: Duration,
    downloads: tokio::sync::OnceCell<Arc<Downloads>>,
}

/// How one call goes: what goes wrong with it, who watches it and who may stop it.
#[derive(Default)]
pub(crate) struct Trip {
    pub(crate) faults: Faults,
    pub(crate) meter: Meter,
    /// True ends it.
    pub(crate) stop: Option<watch::Receiver<bool>>,
    pub(crate) keep: Option<crate::bodies::Keep>,
    /// Where the result goes that a hub fetches.
    pub(crate) keep_fetched: Option<crate::bodies::Keep>,
}

impl Trip {
    /// Ends when the call is to be stopped.
    async fn stopped(&mut self) -> Fault {
        let hang_up = self.faults.hangs_up_in();
        let late = async {
            match hang_up {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let stopped = async {
            let asked = match &mut self.stop {
                Some(stop) => stop.wait_for(|stop| *stop).await.is_ok(),
                None => false,
            };
            // Nobody is left who could stop it.
            if !asked {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = late => Fault::Stopped(format!("It was {HUNG_UP} after {:?}.", hang_up.unwrap_or_default())),
            () = stopped => Fault::Stopped("It was stopped.".to_owned()),
        }
    }
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
    /// What the protocol says to a line of the exchange.
    pub remarks: Vec<Remark>,
    /// What Looker does with the answer.
    pub verdict: Verdict,
    /// What becomes of the state that Looker keeps for the user and the action.
    pub state: Option<StateChange>,
}

/// Why a call has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request cannot be made: the URL is none that this client can call.
    Url(String),
    /// No whole answer came.
    Broken(String),
    /// No byte came for as long as Looker waits.
    Silent(String),
    /// It was stopped on this side.
    Stopped(String),
    /// The hub answered another status than 2xx.
    Status(u16, String),
    /// The answer is not what the protocol says.
    Unreadable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) | Self::Broken(why) | Self::Silent(why) | Self::Stopped(why) => {
                f.write_str(why)
            }
            Self::Status(status, text) => write!(f, "The hub answered status {status}: {text}"),
            Self::Unreadable(why) => write!(f, "The hub's answer cannot be read: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

/// The longest answer that is read. The reference's list, 460 kB of icons, fits many times.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

impl Looker {
    /// A Looker whose admin typed in this list URL, `http://` or `https://`.
    ///
    /// # Errors
    /// The URL is not absolute or neither of the two.
    pub fn new(list_url: &str) -> Result<Self, Fault> {
        Address::of(list_url).map_err(Fault::Url)?;
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

    /// Offers results there, in place of a listener of its own.
    pub(crate) fn offering_at(mut self, downloads: Arc<Downloads>) -> Self {
        self.downloads = tokio::sync::OnceCell::new_with(Some(downloads));
        self
    }

    /// Lists the hub's actions.
    pub async fn list(&self) -> Answered<Listing> {
        self.list_on(Trip::default()).await
    }

    pub(crate) async fn list_on(&self, trip: Trip) -> Answered<Listing> {
        let url = self.list_url.clone();
        let called = self.call(&url, RequestBody::empty(), &[], trip).await;
        called.finish(Call::List, "", answer::listing)
    }

    /// Draws the action's form, as the test does when an admin enables the action.
    ///
    /// The delivery's cargo is not sent.
    pub async fn form(&self, action: &Definition, delivery: Delivery) -> Answered<Form> {
        self.form_on(Call::Form, action, delivery, Trip::default()).await
    }

    pub(crate) async fn form_on(
        &self,
        call: Call,
        action: &Definition,
        mut delivery: Delivery,
        trip: Trip,
    ) -> Answered<Form> {
        let Some(url) = &action.form_url else {
            let why = format!("The action `{}` has no form URL.", action.name);
            return Answered::fault(Fault::Url(why), call, &action.name);
        };
        delivery.cargo = Cargo::None;
        let (masked, values) = secrets(action, &delivery);
        let body = delivery.into_body(&masked, None);
        let called = self.call(url, body, &values, trip).await;
        called.finish(call, &action.name, answer::form)
    }

    /// Sends the delivery, and serves its download URL if it has one.
    ///
    /// An answer 2xx with an empty body, or without the `looker` member, counts as a success, as
    /// it does for Looker. **C**
    pub async fn execute(&self, action: &Definition, delivery: Delivery) -> Answered<Outcome> {
        self.execute_on(action, delivery, Trip::default()).await
    }

    pub(crate) async fn execute_on(
        &self,
        action: &Definition,
        mut delivery: Delivery,
        mut trip: Trip,
    ) -> Answered<Outcome> {
        let (masked, values) = secrets(action, &delivery);
        let carried = Carried::of(&delivery.cargo);
        let offered = match std::mem::replace(&mut delivery.cargo, Cargo::None) {
            Cargo::Url { format, source } => {
                let (source, kept) = match trip.keep_fetched.take() {
                    Some(keep) => {
                        let (source, kept) = keep.tee_fetched(source);
                        (source, Some(kept))
                    }
                    None => (source, None),
                };
                match self.offer(format, source, &trip).await {
                    Ok((downloads, url)) => {
                        set_download_url(&mut delivery.plan, url.clone());
                        Some((downloads, url, kept))
                    }
                    Err(error) => {
                        let why = format!("No download URL can be offered: {error}.");
                        return Answered::fault(Fault::Broken(why), Call::Execute, &action.name);
                    }
                }
            }
            cargo => {
                delivery.cargo = cargo;
                None
            }
        };
        trip.faults.apply(&mut delivery);
        trip.faults = trip.faults.of_request(carried);
        let body = delivery.into_body(&masked, trip.faults.broken());
        let called = self.call(&action.url, body, &values, trip).await;
        let mut answered = called.finish(Call::Execute, &action.name, answer::outcome);
        if let Some((downloads, url, kept)) = offered {
            answered.downloads = downloads.withdraw(&url);
            if let Some(kept) = kept {
                kept.keep_fetched(&mut answered.downloads).await;
            }
        }
        answered
    }

    /// Sends a recorded call again.
    pub(crate) async fn replay_on(
        &self,
        url: &str,
        replay: &crate::recording::Replay,
        trip: Trip,
    ) -> Answered<Option<Outcome>> {
        let body = match replay.body.is_empty() {
            true => RequestBody::empty(),
            false => RequestBody::text(replay.body.clone(), replay.shown.clone()),
        };
        let name = replay.action.as_deref().unwrap_or_default();
        let called = self.call(url, body, &replay.secrets, trip).await;
        called.finish(replay.call, name, |body, state| match replay.call {
            Call::Execute => answer::outcome(body, state).map(Some),
            Call::List => answer::listing(body, state).map(|_| None),
            _ => answer::form(body, state).map(|_| None),
        })
    }

    /// The list URL that the admin typed in.
    pub(crate) fn list_url(&self) -> &str {
        &self.list_url
    }

    /// Sends a body as it is to any of the hub's URLs: the exchange of what a login gave for tokens.
    pub(crate) async fn post_on(
        &self,
        call: Call,
        name: &str,
        url: &str,
        body: RequestBody,
        secrets: &[String],
        trip: Trip,
    ) -> Answered<Vec<u8>> {
        let called = self.call(url, body, secrets, trip).await;
        called.finish(call, name, |body, _| Ok(body))
    }

    async fn offer(
        &self,
        format: sendoff_protocol::Format,
        source: crate::Source,
        trip: &Trip,
    ) -> io::Result<(&Downloads, String)> {
        let own = || async { Downloads::listen().await.map(Arc::new) };
        let downloads = self.downloads.get_or_try_init(own).await?;
        let meter = Some(trip.meter.clone());
        let url = downloads.offer_with(format, source, trip.faults.download(), meter)?;
        Ok((downloads, url))
    }

    async fn call(
        &self,
        url: &str,
        body: RequestBody,
        secrets: &[String],
        mut trip: Trip,
    ) -> Called {
        let mut exchange = Exchange {
            method: "POST".into(),
            url: url.to_owned(),
            started: jiff::Timestamp::now(),
            ..Exchange::default()
        };
        let meter = trip.meter.clone();
        let faults = std::mem::take(&mut trip.faults);
        let (body, kept) = match trip.keep.take() {
            Some(keep) => {
                let (body, kept) = keep.tee(body);
                (body, Some(kept))
            }
            None => (body, None),
        };
        let at_newline = faults.hangs_up_at_newline();
        let counting = meter.clone();
        let body = body.changed(|writing| counted(faults.spoil(writing), counting));
        trip.faults = faults;
        let record = body.record();
        let started = Instant::now();
        let mut heard = Vec::new();
        let result = {
            let exchanging = self.exchange(
                &mut exchange,
                body,
                secrets,
                started,
                &mut heard,
                &meter,
                at_newline,
            );
            tokio::select! {
                result = exchanging => result,
                fault = trip.stopped() => Err(fault),
            }
        };
        meter.stage(Stage::Ended);
        exchange.until_end = started.elapsed();
        exchange.request_body = record.peek();
        exchange.response_body = shown_answer(&heard, secrets);
        if let Some(kept) = kept {
            kept.keep(&mut exchange, &heard, secrets).await;
        }
        let answer = match result {
            Ok(status) if status.is_success() => Ok(heard.clone()),
            Ok(status) => {
                let text = answer::told(&exchange.response_body.text());
                Err(Fault::Status(status.as_u16(), text))
            }
            Err(fault) => {
                exchange.failure = Some(fault.to_string());
                Err(fault)
            }
        };
        Called { answer, exchange, heard }
    }

    #[allow(clippy::too_many_arguments, reason = "one call, and all that it fills in as it goes")]
    async fn exchange(
        &self,
        exchange: &mut Exchange,
        body: RequestBody,
        secrets: &[String],
        started: Instant,
        whole: &mut Vec<u8>,
        meter: &Meter,
        at_newline: bool,
    ) -> Result<http::StatusCode, Fault> {
        let (address, uri) = Address::of(&exchange.url).map_err(Fault::Url)?;
        let authority = format!("{}:{}", address.host, address.port);
        let request = self.request(&uri, body)?;
        exchange.request_headers = headers_shown(request.headers(), secrets);
        exchange.request_headers.extend(framing(&request));
        let broken = |what: &str, error: &dyn fmt::Display| {
            Fault::Broken(format!("{what} {authority}: {error}."))
        };
        let socket = address.connect().await;
        let socket = socket.map_err(|error| broken("No connection to", &error))?;
        meter.stage(Stage::Sending);
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| broken("No HTTP with", &error))?;
        // In a set, so that the connection ends with the call however the call ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let silent =
            || Fault::Silent(format!("No byte came from {authority} for {:?}.", self.patience));
        let response =
            self.answer(sender.send_request(request), meter).await.ok_or_else(silent)?.map_err(
                |error| match hung_up(&error) {
                    true => Fault::Stopped(format!("It was {HUNG_UP} while it was sent.")),
                    false => broken("No answer from", &because(&error)),
                },
            )?;
        exchange.until_answer = started.elapsed();
        exchange.status = Some(response.status().as_u16());
        exchange.response_headers = headers_shown(response.headers(), secrets);
        let status = response.status();
        let mut body: Incoming = response.into_body();
        loop {
            match tokio::time::timeout(self.patience, body.frame()).await {
                Err(_) => return Err(silent()),
                Ok(None) => return Ok(status),
                Ok(Some(Err(error))) => {
                    return Err(broken("The answer broke off, from", &because(&error)));
                }
                Ok(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    meter.heard(&data);
                    if exchange.pieces.len() < PIECES && !data.is_empty() {
                        exchange.pieces.push(Piece { at: started.elapsed(), bytes: data.len() });
                    }
                    whole.extend_from_slice(&data);
                    if at_newline && whole.first() == Some(&b'\n') {
                        return Err(Fault::Stopped(format!("It was {HUNG_UP} at the newline.")));
                    }
                    if whole.len() > LONGEST_ANSWER {
                        return Err(Fault::Broken("The answer is over 16 MiB.".into()));
                    }
                }
            }
        }
    }

    /// The answer's head; none when nothing moved for as long as Looker waits. A body or a download
    /// that still flows is no silence.
    async fn answer<T>(&self, answer: impl Future<Output = T>, meter: &Meter) -> Option<T> {
        let mut watch = meter.watch();
        let mut answer = std::pin::pin!(answer);
        loop {
            let moved = watch.borrow_and_update().moved();
            if let Ok(answer) = tokio::time::timeout(self.patience, &mut answer).await {
                return Some(answer);
            }
            if watch.borrow_and_update().moved() == moved {
                return None;
            }
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

/// So many pieces of an answer are told.
const PIECES: usize = 64;

/// Counts what the connection takes, and tells when all was sent.
fn counted(writing: crate::request::Writing, meter: Meter) -> crate::request::Writing {
    use futures_util::{StreamExt, stream};
    let ended = meter.clone();
    let count = writing.inspect(move |next| {
        if let Ok(written) = next {
            meter.change(|progress| progress.sent += written.bytes.len() as u64);
        }
    });
    let end = stream::once(async move { ended.stage(Stage::Waiting) });
    Box::pin(count.chain(end.filter_map(|()| async { None })))
}

/// Whether the connection ended because it was to.
fn hung_up(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.to_string() == HUNG_UP {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What came of a call, before anybody read the answer.
struct Called {
    answer: Result<Vec<u8>, Fault>,
    exchange: Exchange,
    /// The answer's body as far as it came.
    heard: Vec<u8>,
}

impl Called {
    /// Reads the answer, and judges it.
    fn finish<T>(
        self,
        call: Call,
        action: &str,
        read: impl FnOnce(Vec<u8>, &mut Option<StateChange>) -> Result<T, Fault>,
    ) -> Answered<T> {
        let mut state = None;
        let answer = self.answer.and_then(|body| read(body, &mut state));
        let heard = Heard {
            status: self.exchange.status,
            body: &self.heard,
            failure: answer.as_ref().err(),
            action,
        };
        let verdict = looker_does(call, heard);
        let remarks = remarks(call, &self.exchange, heard);
        let mut exchange = self.exchange;
        exchange.call = Some(call);
        exchange.action = Some(action.to_owned()).filter(|action| !action.is_empty());
        Answered { answer, exchange, downloads: Vec::new(), remarks, verdict, state }
    }
}

impl<T> Answered<T> {
    /// Nothing was sent.
    fn fault(fault: Fault, call: Call, action: &str) -> Self {
        let failure = Some(fault.to_string());
        let heard = Heard { status: None, body: b"", failure: Some(&fault), action };
        let verdict = looker_does(call, heard);
        Self {
            answer: Err(fault),
            exchange: Exchange {
                failure,
                call: Some(call),
                started: jiff::Timestamp::now(),
                ..Exchange::default()
            },
            downloads: Vec::new(),
            remarks: Vec::new(),
            verdict,
            state: None,
        }
    }
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
