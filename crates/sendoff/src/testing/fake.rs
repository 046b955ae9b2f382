//! A stand-in for one vendor: it plays the happy path and keeps the ledger of what arrived.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::{Provider, RowLedger, RowShape};
use crate::{ByteStream, Error, Values};

/// A stand-in for one vendor.
///
/// It plays the happy path only: refusals, cuts and stalls are injected by the
/// [suite](super::suite). What the vendor would refuse as malformed it refuses too. Each fake
/// begins with the vendor's page that it was written from, and the date.
pub trait Fake: Send + Sync + 'static {
    /// The vendor's origins that lead here: `https://hooks.zapier.com`,
    /// `https://*.amazonaws.com`, `sftp://files.example:22`. Empty when no network is reached.
    fn origins(&self) -> Vec<String>;

    /// Settings with which a delivery succeeds. Every secret in them is a text of its own of at
    /// least 16 characters, which the suite looks for where it must not stand.
    fn settings(&self) -> Values;

    /// Form answers with which a delivery succeeds.
    fn answers(&self) -> Values;

    /// The vendor's login service, for an action with [`OAuth`](crate::OAuth). The suite answers
    /// requests to its token URL; `handle` refuses with 401 whom it does not
    /// [know](Provider::knows).
    fn provider(&self) -> Option<&Provider> {
        None
    }

    /// What Looker keeps for a user with whom a delivery succeeds: the state of an action with a
    /// login.
    fn state(&self) -> Option<String> {
        self.provider().map(|provider| provider.kept(&provider.log_in(), false))
    }

    /// Answers one HTTP request. The body is a stream: count it and hash it, keep none of it. If
    /// it ends with an error, nothing of the request may stay as if it were whole.
    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        let _ = request;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        Box::pin(std::future::ready(response))
    }

    /// Serves one TCP connection until it ends. Vendors of other protocols than HTTP write it; the
    /// default speaks HTTP/1.1 and calls [`handle`](Self::handle).
    fn serve(&self, stream: TcpStream) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let service = service_fn(async |request: Request<Incoming>| {
                let response = self.handle(request.map(body_of)).await;
                Ok::<_, Infallible>(response.map(Full::new))
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            let served = builder
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                // A client may break off at any byte; that is its business.
                tracing::trace!(%error, "a connection to the stand-in ended early");
            }
        })
    }

    /// What stands finished at the vendor.
    fn objects(&self) -> BoxFuture<'_, Vec<Object>>;

    /// How a finished object begins, where the stand-in keeps it. What comes over HTTP stands in
    /// [`Vendor::seen`](super::Vendor::seen), so only stand-ins of other protocols write it.
    fn start<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Option<Bytes>> {
        let _ = object;
        Box::pin(std::future::ready(None))
    }

    /// What a person reads beside a finished object, such as the message that brought a file.
    fn message(&self, object: &str) -> Option<String> {
        let _ = object;
        None
    }

    /// What was begun and neither finished nor taken back: open uploads, `.part` files.
    fn leftovers(&self) -> BoxFuture<'_, Vec<String>>;

    /// How the vendor words a refusal of this status: media type and body.
    fn refusal(&self, status: u16) -> (&'static str, String);

    /// A certificate authority in PEM that the hub must trust to reach the stand-in, if it shows a
    /// certificate.
    fn authority(&self) -> Option<&'static str> {
        None
    }

    /// Whether this request is the step that makes the data visible: the one POST, the last call
    /// of an upload in parts.
    fn commits(&self, method: &Method, path_and_query: &str) -> bool;

    /// The most bytes that the vendor takes in one delivery, if it has such a limit.
    fn takes_at_most(&self) -> Option<u64> {
        None
    }

    /// For vendors that get a message about the data and not the data itself: one
    /// [object](Self::objects) is one message, and its bytes are its own.
    fn takes_messages(&self) -> bool {
        false
    }

    /// For vendors that take rows: what the rows look like, and the book of those that came. A
    /// destination whose spec says `Commit::Streaming` must have it, and its
    /// [`objects`](Self::objects) are never any. One whose rows become visible all at once may have
    /// it: its book then holds the rows that can be seen, and its one object is where they stand.
    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        None
    }

    /// The fewest bytes that the vendor takes in one delivery: some take no empty file.
    fn takes_at_least(&self) -> u64 {
        0
    }

    /// Answers of status 200 to the commit that are failures all the same, if the vendor has such:
    /// media type and body.
    fn false_successes(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// A vendor that takes rows.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct TakesRows<'a> {
    /// What Looker's rows look like.
    pub shape: RowShape,
    /// Where the stand-in counts those that came.
    pub ledger: &'a RowLedger,
    pub(super) at_most: u64,
    pub(super) in_bulk: u64,
    pub(super) reads_all_first: bool,
}

impl<'a> TakesRows<'a> {
    /// What a result holds that the suite sends in flat memory, unless the stand-in says less.
    pub const MANY: u64 = 1_000_000;

    /// A vendor of rows of this shape, which come at once and of which a test may send as many as
    /// it likes.
    pub fn new(shape: RowShape, ledger: &'a RowLedger) -> Self {
        Self { shape, ledger, at_most: u64::MAX, in_bulk: Self::MANY, reads_all_first: false }
    }

    /// A case in which something breaks sends no more rows than this: for vendors with few rows in
    /// a request. Enough for seven requests.
    pub fn at_most(self, rows: u64) -> Self {
        Self { at_most: rows, ..self }
    }

    /// So many rows pass in flat memory, where a [million](Self::MANY) makes no sense. Say why
    /// beside it.
    pub fn in_bulk(self, rows: u64) -> Self {
        Self { in_bulk: rows, ..self }
    }

    /// Nothing is sent before the last row was read, so that of a result that breaks off nothing
    /// may come.
    pub fn after_all_are_read(self) -> Self {
        Self { reads_all_first: true, ..self }
    }
}

/// A finished object at a stand-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where it stands: bucket and key, path, URL.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// A request's body as a stand-in reads it.
pub(super) fn body_of(body: Incoming) -> ByteStream {
    let len = hyper::body::Body::size_hint(&body).exact();
    let frames = body.into_data_stream();
    let chunks = frames
        .map(|chunk| chunk.map_err(|error| Error::vendor("The request broke off.").cause(error)))
        .filter(|chunk| {
            // A `ByteStream` holds no empty chunks.
            std::future::ready(chunk.as_ref().map_or(true, |bytes| !bytes.is_empty()))
        });
    let stream = ByteStream::new(chunks);
    match len {
        Some(len) => stream.with_len(len),
        None => stream,
    }
}
