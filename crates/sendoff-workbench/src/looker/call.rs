//! One call over a connection of its own, from the address to the last byte of the answer.

use std::fmt;
use std::time::Instant;

use http::{Method, Request, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sendoff_protocol::{INSTANCE, WEBHOOK_ID, authorization};
use tokio::task::JoinSet;

use crate::dial::Address;
use crate::exchange::{Exchange, Piece};
use crate::faults::HUNG_UP;
use crate::progress::{Meter, Stage};
use crate::remarks::remarks;
use crate::request::RequestBody;
use crate::verdict::{Call, Heard, looker_does};

use super::random_id;
use super::shown::{framing, headers_shown, shown_answer};
use super::{Answered, Fault, StateChange, Trip};

/// The longest answer that is read. The reference's list, 460 kB of icons, fits many times.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;
/// So many pieces of an answer are told.
const PIECES: usize = 64;

impl super::Looker {
    pub(super) async fn call(
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
                let text = super::answer::told(&exchange.response_body.text());
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
        let socket = address.connect_believing(&self.authorities).await;
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

/// Counts what the connection takes, and tells when all was sent.
fn counted(writing: crate::request::Writing, meter: Meter) -> crate::request::Writing {
    use futures_util::{StreamExt, stream};
    let ended = meter.clone();
    let count = writing.inspect(move |next| {
        if let Ok(written) = next {
            meter.change(|progress| progress.sent += written.bytes.len() as u64);
        }
    });
    let end = stream::once(async move {
        ended.change(|progress| progress.all_sent = true);
        ended.stage(Stage::Waiting);
    });
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
pub(super) struct Called {
    pub(super) answer: Result<Vec<u8>, Fault>,
    pub(super) exchange: Exchange,
    /// The answer's body as far as it came.
    pub(super) heard: Vec<u8>,
}

impl Called {
    /// Reads the answer, and judges it.
    pub(super) fn finish<T>(
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
    pub(super) fn fault(fault: Fault, call: Call, action: &str) -> Self {
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

/// hyper says "error reading a body"; the cause below it says why.
pub(crate) fn because(error: &hyper::Error) -> String {
    if error.is_parse() && !error.is_parse_too_large() {
        return "what answers speaks no HTTP; a port with TLS is called by https://".to_owned();
    }
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
