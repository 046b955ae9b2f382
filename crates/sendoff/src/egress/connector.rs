//! The connection below one HTTP request: guarded, mapped, encrypted, and patient with early
//! answers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::{DialError, Dialer};
use super::guard::Reach;

/// What hyper's client asks for connections.
///
/// The origin map works here, below HTTP: the request keeps the vendor's path, `Host` and
/// signature, only the socket goes elsewhere.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) dialer: Arc<Dialer>,
    pub(super) tls: TlsConnector,
    /// The addresses are the operator's own. Such connections have a pool of their own, so that
    /// none of them is there for an address that somebody else gave.
    pub(super) operators: bool,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { dialer, tls, operators } = self.clone();
        Box::pin(async move {
            let wire = dialer.in_time(open(&dialer, &tls, &uri, operators)).await?;
            Ok(TokioIo::new(wire))
        })
    }
}

async fn open(
    dialer: &Dialer,
    tls: &TlsConnector,
    uri: &Uri,
    operators: bool,
) -> Result<Wire, DialError> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let scheme = if secure { "https" } else { "http" };
    let (host, port, secure, reach) = match dialer.origins.target(scheme, host, port) {
        Some(to) => (to.host.as_str(), to.port, to.scheme == "https", Reach::Operator),
        None if operators => (host, port, secure, Reach::Operator),
        None if secure => (host, port, true, Reach::PublicOrAllowed),
        None => (host, port, false, Reach::AllowedOnly),
    };
    let socket = AnswerFirst::new(dialer.tcp(host, port, reach).await?);
    if !secure {
        return Ok(Wire::Plain(socket));
    }
    Ok(Wire::Tls(Box::new(shake_hands(tls, host, socket).await?)))
}

/// TLS with a server that must prove that it is `host`, a name or an address without brackets.
pub(super) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    tls: &TlsConnector,
    host: &str,
    socket: S,
) -> Result<TlsStream<S>, DialError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|fault| DialError::Tls(io::Error::other(fault)))?;
    tls.connect(name, socket).await.map_err(DialError::Tls)
}

/// One connection.
pub(super) enum Wire {
    Plain(AnswerFirst<TcpStream>),
    Tls(Box<TlsStream<AnswerFirst<TcpStream>>>),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let http2 = match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        };
        if http2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

/// Lets a peer's last words be read before a failed write is reported.
///
/// A server that refuses an upload early answers, for example 413, and closes. Our next write then
/// fails, and hyper reports that write although the answer already lies in the receive buffer
/// (Linux keeps it there even after a RST). So a broken write waits here until the reading side
/// has come to its end.
pub(super) struct AnswerFirst<S> {
    stream: S,
    broken: Option<io::ErrorKind>,
    read_to_end: bool,
    writer: Option<Waker>,
}

impl<S> AnswerFirst<S> {
    fn new(stream: S) -> Self {
        Self { stream, broken: None, read_to_end: false, writer: None }
    }

    fn written<T>(&mut self, cx: &Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match result {
            Poll::Ready(Err(fault))
                if matches!(fault.kind(), BrokenPipe | ConnectionReset | ConnectionAborted)
                    && !self.read_to_end =>
            {
                self.broken = Some(fault.kind());
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            result => result,
        }
    }

    /// The fault that was held back, once the reading side is at its end.
    fn held_back<T>(&mut self, cx: &Context<'_>) -> Option<Poll<io::Result<T>>> {
        let kind = self.broken?;
        if self.read_to_end {
            return Some(Poll::Ready(Err(kind.into())));
        }
        self.writer = Some(cx.waker().clone());
        Some(Poll::Pending)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AnswerFirst<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let ended = match &result {
            Poll::Ready(Ok(())) => buf.filled().len() == before && buf.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if ended {
            self.read_to_end = true;
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AnswerFirst<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(held) = self.held_back(cx) {
            return held;
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(held) = self.held_back(cx) {
            return held;
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(held) = self.held_back(cx) {
            return held;
        }
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, result)
    }

    // Never held back: who shuts down no longer waits for an answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
