//! One call and all that came back: whole, in part or not at all, with the time of each piece.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, Uri, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::dial::{Address, Authorities, BadCertificate};
use crate::exchange::{Exchange, Piece};
use crate::looker::{because, headers_shown, shown_answer};
use crate::request::RequestBody;

/// What is sent.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
    /// How long each silence may last.
    pub(super) wait: Duration,
}

/// A call as it is kept for the report.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) exchange: Exchange,
}

/// An answer whose head came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) pieces: Vec<Piece>,
    pub(super) took: Duration,
    pub(super) ended: Ended,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Whole,
    Broken(String),
    Silent,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deaf {
    /// The URL is none that can be called.
    Url(String),
    /// No connection.
    Unreachable(String),
    /// The certificate is not believed.
    Certificate(String),
    /// The connection ended before an answer began.
    Closed(String),
    /// No answer began in time.
    Silent(String),
}

impl Deaf {
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Url(why)
            | Self::Unreachable(why)
            | Self::Certificate(why)
            | Self::Closed(why)
            | Self::Silent(why) => why,
        }
    }
}

/// The longest answer that is read; the reference's list, 460 kB of icons, fits many times.
const LONGEST: usize = 16 << 20;
/// So many pieces of an answer are told.
const PIECES: usize = 64;

/// A connection to a hub.
pub(super) struct Line {
    sender: SendRequest<RequestBody>,
    /// In a set, so that the connection ends with the line.
    _driver: JoinSet<hyper::Result<()>>,
}

impl Line {
    pub(super) async fn open(
        url: &str,
        wait: Duration,
        authorities: &Authorities,
    ) -> Result<Self, Deaf> {
        let (address, _) = Address::of(url).map_err(Deaf::Url)?;
        let to = format!("{}:{}", address.host, address.port);
        let socket = tokio::time::timeout(wait, address.connect_believing(authorities))
            .await
            .map_err(|_| Deaf::Unreachable(format!("No connection to {to} within {wait:?}.")))?
            .map_err(|error| {
                let why = format!("No connection to {to}: {error}.");
                match BadCertificate::is_why(&error) {
                    true => Deaf::Certificate(why),
                    false => Deaf::Unreachable(why),
                }
            })?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| Deaf::Unreachable(format!("No HTTP with {to}: {error}.")))?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self { sender, _driver: driver })
    }

    /// Sends, and hears the answer to its end.
    pub(super) async fn send(
        &mut self,
        ask: Ask,
        secrets: &[String],
    ) -> (Result<Heard, Deaf>, Arc<Recorded>) {
        let started = Timestamp::now();
        let since = Instant::now();
        let mut exchange = Exchange {
            method: ask.method.to_string(),
            url: ask.url.clone(),
            started,
            ..Exchange::default()
        };
        let record = ask.body.record();
        let heard = self.hear(ask, &mut exchange, secrets, since).await;
        exchange.until_end = since.elapsed();
        exchange.request_body = record.peek();
        match &heard {
            Ok(heard) => {
                exchange.response_body = shown_answer(&heard.body, secrets);
                exchange.pieces.clone_from(&heard.pieces);
                exchange.failure = match &heard.ended {
                    Ended::Whole => None,
                    Ended::Broken(why) => Some(why.clone()),
                    Ended::Silent => Some(format!(
                        "The answer did not go on; hung up after {:.1} s.",
                        exchange.until_end.as_secs_f64()
                    )),
                };
            }
            Err(deaf) => exchange.failure = Some(deaf.why().to_owned()),
        }
        (heard, Arc::new(Recorded { exchange }))
    }

    async fn hear(
        &mut self,
        ask: Ask,
        exchange: &mut Exchange,
        secrets: &[String],
        since: Instant,
    ) -> Result<Heard, Deaf> {
        let (_, uri) = Address::of(&ask.url).map_err(Deaf::Url)?;
        let wait = ask.wait;
        let request = request(&uri, ask)?;
        exchange.request_headers = headers_shown(request.headers(), secrets);
        // The connection tells in its own time that it is free again after an answer.
        let ready = self.sender.ready().await;
        ready.map_err(|error| Deaf::Closed(format!("No answer: {}.", because(&error))))?;
        let silent = || Deaf::Silent(format!("No answer began within {wait:?}."));
        let response = tokio::time::timeout(wait, self.sender.send_request(request))
            .await
            .map_err(|_| silent())?
            .map_err(|error| Deaf::Closed(format!("No answer: {}.", because(&error))))?;
        exchange.until_answer = since.elapsed();
        exchange.status = Some(response.status().as_u16());
        exchange.response_headers = headers_shown(response.headers(), secrets);
        let (head, mut body) = response.into_parts();
        let mut heard = Heard {
            status: head.status.as_u16(),
            headers: head.headers,
            body: Vec::new(),
            pieces: Vec::new(),
            took: Duration::ZERO,
            ended: Ended::Whole,
        };
        loop {
            match tokio::time::timeout(wait, body.frame()).await {
                Err(_) => heard.ended = Ended::Silent,
                Ok(None) => {}
                Ok(Some(Err(error))) => {
                    heard.ended = Ended::Broken(format!("It broke off: {}.", because(&error)));
                }
                Ok(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    heard.body.extend_from_slice(&data);
                    if heard.pieces.len() < PIECES && !data.is_empty() {
                        heard.pieces.push(Piece { at: since.elapsed(), bytes: data.len() });
                    }
                    if heard.body.len() <= LONGEST {
                        continue;
                    }
                    heard.ended = Ended::Broken("It is over 16 MiB.".to_owned());
                }
            }
            heard.took = since.elapsed();
            return Ok(heard);
        }
    }
}

fn request(uri: &Uri, ask: Ask) -> Result<Request<RequestBody>, Deaf> {
    let mut request = Request::builder()
        .method(ask.method)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .body(ask.body)
        .map_err(|error| Deaf::Url(format!("The request cannot be written: {error}.")))?;
    request.headers_mut().extend(ask.headers);
    Ok(request)
}
