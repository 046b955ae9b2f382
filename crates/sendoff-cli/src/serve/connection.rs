//! One connection: hyper between the socket and the hub.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use sendoff::{Answer, Hub};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::direct::{Direct, Loan};
use super::socket::{Answering, HeadLimits, InFlight, Socket};
use crate::config::ConnectionLimits;

/// Below it a half-open connection is noticed by nobody, above it a slow one is cut.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// How connections are served.
#[derive(Clone)]
pub(super) struct Server {
    hub: Hub,
    http: auto::Builder<TokioExecutor>,
    head: HeadLimits,
}

impl Server {
    pub(super) fn new(hub: Hub, limits: &ConnectionLimits) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            // The socket's own clock also runs before hyper knows which protocol is spoken.
            .header_read_timeout(None)
            .max_headers(limits.headers)
            .max_buf_size(limits.header_bytes.max(64 * 1024));
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(128)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            // Rapid reset: CVE-2023-44487 and its successors.
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(256)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let head = HeadLimits {
            bytes: limits.header_bytes,
            headers: limits.headers,
            time: limits.header_timeout,
        };
        Self { hub, http, head }
    }

    /// Serves until the caller goes or, after `stop`, until the request under way is answered.
    pub(super) async fn serve(&self, tcp: TcpStream, mut stop: watch::Receiver<bool>) {
        if let Err(fault) = notice_silence(&tcp) {
            tracing::debug!(%fault, "the connection's socket options cannot be set");
        }
        let (in_flight, loan) = (InFlight::default(), Loan::default());
        let socket = Socket::new(tcp, self.head, in_flight.clone(), loan.clone());
        let service = Serving { hub: self.hub.clone(), in_flight, loan };
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(socket), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = super::told(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(fault) = ended {
            tracing::debug!(fault = %Chain(&*fault), "a connection broke off");
        }
    }
}

/// Callers who vanish without a word must not hold a delivery: writes that nobody acknowledges and
/// connections on which nothing moves are probed.
fn notice_silence(tcp: &TcpStream) -> std::io::Result<()> {
    use rustix::net::sockopt;
    tcp.set_nodelay(true)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    #[cfg(target_os = "linux")]
    {
        sockopt::set_tcp_keepidle(tcp, UNACKNOWLEDGED / 2)?;
        sockopt::set_tcp_keepintvl(tcp, UNACKNOWLEDGED / 6)?;
        sockopt::set_tcp_user_timeout(tcp, UNACKNOWLEDGED.as_millis() as u32)?;
    }
    Ok(())
}

/// The hub for one connection.
struct Serving {
    hub: Hub,
    in_flight: InFlight,
    loan: Loan,
}

impl Service<Request<Incoming>> for Serving {
    type Response = Response<Tracked>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answering = self.in_flight.begin();
        let (mut parts, body) = request.into_parts();
        let body = match self.loan.body(&mut parts.headers) {
            Some(direct) => Received::Direct(direct),
            None => Received::Hyper(body),
        };
        // What follows a chunked body is not looked at, and HTTP/1.0 kept connections by custom
        // alone: neither gets a second request on its connection, so that nothing can be smuggled
        // behind them.
        let last = match parts.version {
            Version::HTTP_11 => parts.headers.contains_key(TRANSFER_ENCODING),
            version => version < Version::HTTP_11,
        };
        let request = Request::from_parts(parts, body);
        let answer = tower_service::Service::call(&mut self.hub.clone(), request);
        let loan = self.loan.clone();
        Box::pin(async move {
            let mut response = answer.await?;
            // Behind a body that was not read there is no next request either.
            if last || loan.is_unfinished() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Tracked { body, _answering: answering }))
        })
    }
}

/// A request's body.
enum Received {
    Hyper(Incoming),
    Direct(Direct),
}

impl Body for Received {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Hyper(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Direct(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Hyper(body) => body.is_end_stream(),
            Self::Direct(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Hyper(body) => body.size_hint(),
            Self::Direct(body) => body.size_hint(),
        }
    }
}

/// An answer's body; the connection is busy until it is dropped.
struct Tracked {
    body: Answer,
    _answering: Answering,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An error with its causes, in one line.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
