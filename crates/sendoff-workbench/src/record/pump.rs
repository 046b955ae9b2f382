//! One exchange on its way through: connected, passed on a piece at a time, and written down.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::addresses::Page;
use super::tape::{SharedTape, Tape, Taped};
use super::{Recorder, locked};
use crate::dial::{Address, Authorities};
use crate::exchange::Piece;
use crate::looker::because;
use crate::recording::{FORMAT, Recorded, RecordedRequest, RecordedResponse, Side};
use crate::request::MASK;
use crate::verdict::Call;

/// A hub that takes longer to be connected with counts as down.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// A list is changed in memory; the reference's, 460 kB of icons, fits many times.
const LIST_AT_MOST: usize = 16 << 20;
/// So many pieces of an answer are told.
const PIECES: usize = 64;

/// The body of the recorder's answer.
pub(super) enum Out {
    /// All of it; none once it was sent.
    Whole(Option<Bytes>),
    /// As it comes from the hub.
    Passing(mpsc::Receiver<io::Result<Bytes>>),
}

impl Out {
    pub(super) fn empty() -> Self {
        Self::Whole(None)
    }
}

impl Body for Out {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(pieces) => {
                pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }
}

/// Why an exchange did not come to its end.
struct Broken(String);

/// One exchange as far as it came.
struct Passage {
    recorded: Recorded,
    since: Instant,
    sent: SharedTape,
    got: Option<SharedTape>,
    token: Option<String>,
}

impl Recorder {
    /// Passes one exchange on, and writes it down whatever becomes of it.
    pub(super) async fn pump(
        &self,
        request: Request<Incoming>,
        answer: oneshot::Sender<Response<Out>>,
    ) {
        let (head, body) = request.into_parts();
        let Some(url) = self.0.addresses.upstream(&head.uri) else {
            let text =
                "The recorder passes nothing on to a host that the hub's list does not name.";
            // Whoever asked may be gone.
            let _ = answer.send(refusal(StatusCode::NOT_FOUND, Call::Other, text));
            return;
        };
        let page = self.0.addresses.page(&url);
        let settings = &self.0.settings;
        let side = match page.call {
            Call::Token => Side::Secret,
            _ => Side::Looker { open: page.open.clone(), data: settings.keep_data },
        };
        let sent = Tape::new(side, settings.body_limit, &head.headers);
        let sent = Arc::new(Mutex::new(sent));
        let body = Taped { body, tape: Arc::clone(&sent) };
        let mut passage = Passage {
            recorded: started(&head, &url, &page),
            since: Instant::now(),
            sent,
            got: None,
            token: token(&head.headers),
        };
        let mut stop = self.0.stop.subscribe();
        let passed = tokio::select! {
            passed = self.pass(&mut passage, &head, body, &url, &page, answer) => passed,
            _ = stop.wait_for(|stop| *stop) => Err(Broken("The recorder was stopped.".into())),
        };
        if let Err(Broken(why)) = passed {
            passage.recorded.failure = Some(why);
        }
        self.write(passage.end()).await;
    }

    async fn pass(
        &self,
        passage: &mut Passage,
        head: &Parts,
        body: Taped,
        url: &str,
        page: &Page,
        mut answer: oneshot::Sender<Response<Out>>,
    ) -> Result<(), Broken> {
        let asked = tokio::select! {
            asked = ask(head, body, url, &self.0.authorities) => asked,
            () = answer.closed() => return Err(Broken("Looker hung up.".into())),
        };
        let (response, _driver) = match asked {
            Ok(asked) => asked,
            Err(Broken(why)) => {
                let text = format!("sendoff record: {why}");
                let _ = answer.send(refusal(StatusCode::BAD_GATEWAY, page.call, &text));
                return Err(Broken(why));
            }
        };
        let (mut parts, body) = response.into_parts();
        let side = if page.call == Call::Token { Side::Secret } else { Side::Hub };
        let tape = Tape::new(side, self.0.settings.body_limit, &parts.headers);
        let tape = Arc::new(Mutex::new(tape));
        passage.answered(&parts.headers, parts.status, &tape);
        passing(&mut parts.headers);
        if page.call == Call::List && parts.status.is_success() {
            let list = whole(body, passage, &tape).await?;
            self.0.addresses.learn(&list);
            let public = self.public(head);
            let changed = Bytes::from(self.0.addresses.changed(&list, &public));
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(changed.len()));
            let response = Response::from_parts(parts, Out::Whole(Some(changed)));
            return answer.send(response).map_err(|_| Broken("Looker hung up.".into()));
        }
        let (pieces, out) = mpsc::channel(1);
        let response = Response::from_parts(parts, Out::Passing(out));
        answer.send(response).map_err(|_| Broken("Looker hung up.".into()))?;
        relay(body, passage, &tape, &pieces).await
    }

    /// The URL by which Looker came.
    fn public(&self, head: &Parts) -> String {
        if let Some(url) = &self.0.settings.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let own = if self.0.tls.is_some() { "https" } else { "http" };
        let scheme = text("x-forwarded-proto").unwrap_or(own);
        let host = text("x-forwarded-host").or_else(|| text("host")).unwrap_or_default();
        format!("{scheme}://{host}")
    }
}

/// The pieces of the answer, each passed on before the next is read.
async fn relay(
    mut body: Incoming,
    passage: &mut Passage,
    tape: &SharedTape,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), Broken> {
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = pieces.closed() => return Err(Broken("Looker hung up.".into())),
        };
        let data = match frame {
            None => return Ok(()),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => {
                let why = format!("The hub's answer broke off: {}.", because(&error));
                // Looker must see it break off too.
                let _ = pieces.send(Err(io::Error::other(why.clone()))).await;
                return Err(Broken(why));
            }
        };
        passage.heard(tape, &data);
        if pieces.send(Ok(data)).await.is_err() {
            return Err(Broken("Looker hung up.".into()));
        }
    }
}

async fn whole(
    mut body: Incoming,
    passage: &mut Passage,
    tape: &SharedTape,
) -> Result<Vec<u8>, Broken> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Broken(format!("The hub's answer broke off: {}.", because(&error))))?;
        let data = frame.into_data().unwrap_or_default();
        passage.heard(tape, &data);
        whole.extend_from_slice(&data);
        if whole.len() > LIST_AT_MOST {
            return Err(Broken("The list is over 16 MiB.".into()));
        }
    }
    Ok(whole)
}

/// The hub's answer, and what drives its connection.
async fn ask(
    head: &Parts,
    body: Taped,
    url: &str,
    authorities: &Authorities,
) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), Broken> {
    let (address, uri) = Address::of(url).map_err(Broken)?;
    let to = format!("{}:{}", address.host, address.port);
    let socket = tokio::time::timeout(CONNECT_WITHIN, address.connect_believing(authorities))
        .await
        .map_err(|_| Broken(format!("No connection to {to} within {CONNECT_WITHIN:?}.")))?
        .map_err(|error| Broken(format!("No connection to {to}: {error}.")))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|error| Broken(format!("No HTTP with {to}: {error}.")))?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut request = Request::builder()
        .method(head.method.clone())
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .body(body)
        .map_err(|error| Broken(format!("The request cannot be passed on: {error}.")))?;
    *request.headers_mut() = head.headers.clone();
    passing(request.headers_mut());
    // Without it bodies come as they can be read.
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    let host = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
    let response = sender.send_request(request).await;
    let response =
        response.map_err(|error| Broken(format!("No answer from {to}: {}.", because(&error))))?;
    Ok((response, driver))
}

/// Headers that belong to one connection do not pass.
fn passing(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    let own = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    ];
    for name in own {
        headers.remove(name);
    }
}

/// An answer of the recorder's own, in the shape that Looker reads for this call.
fn refusal(status: StatusCode, call: Call, text: &str) -> Response<Out> {
    let body = match call {
        Call::Execute => json!({"looker": {"success": false, "message": text}}),
        _ => json!({"error": text}),
    };
    let mut response = Response::new(Out::Whole(Some(body.to_string().into())));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let token = sendoff_protocol::parse_authorization(value).unwrap_or(value);
    Some(token.to_owned())
}

/// Headers as they are written down.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let value = match name.as_str() {
            "authorization" => format!("Token token=\"{MASK}\""),
            "x-looker-webhook-token" | "cookie" | "set-cookie" | "proxy-authorization" => {
                MASK.to_owned()
            }
            "location" => without_query(&text),
            _ => text.into_owned(),
        };
        (name.to_string(), value)
    };
    headers.iter().map(shown).collect()
}

/// Names in the query say what there is; their values may be secret.
fn without_query(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={MASK}"),
        None => MASK.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn started(head: &Parts, url: &str, page: &Page) -> Recorded {
    Recorded {
        sendoff: FORMAT.to_owned(),
        id: 0,
        started: jiff::Timestamp::now(),
        call: page.call,
        action: page.action.clone(),
        request: RecordedRequest {
            method: head.method.to_string(),
            url: without_query(url),
            headers: shown(&head.headers),
            ..RecordedRequest::default()
        },
        response: None,
        until_answer: 0.0,
        until_end: 0.0,
        pieces: Vec::new(),
        failure: None,
    }
}

impl Passage {
    fn answered(&mut self, headers: &HeaderMap, status: StatusCode, tape: &SharedTape) {
        self.recorded.until_answer = self.since.elapsed().as_secs_f64() * 1_000.0;
        self.recorded.response = Some(RecordedResponse {
            status: status.as_u16(),
            headers: shown(headers),
            ..RecordedResponse::default()
        });
        self.got = Some(Arc::clone(tape));
    }

    fn heard(&mut self, tape: &SharedTape, data: &[u8]) {
        locked(tape).add(data);
        if self.recorded.pieces.len() < PIECES && !data.is_empty() {
            let piece = Piece { at: self.since.elapsed(), bytes: data.len() };
            self.recorded.pieces.push(piece);
        }
    }

    fn end(self) -> Recorded {
        let Self { mut recorded, since, sent, got, token } = self;
        recorded.until_end = since.elapsed().as_secs_f64() * 1_000.0;
        let sent = locked(&sent);
        let mut secrets = sent.secrets();
        secrets.extend(token);
        recorded.request.body = sent.body(&secrets);
        if let (Some(got), Some(response)) = (got, &mut recorded.response) {
            response.body = locked(&got).body(&secrets);
        }
        recorded
    }
}
