//! Opens every connection of the hub: resolves the name, asks the guard about each address, and
//! connects to what is left.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::guard::{Guard, Reach};
use super::origins::Origins;

/// Happy eyeballs: how long one address is tried alone (RFC 8305, section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

type Boxed<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// The machine's name service and sockets. Tests put a canary in their place.
pub(super) trait Network: Send + Sync + 'static {
    fn resolve(&self, host: &str, port: u16) -> Boxed<Vec<IpAddr>>;
    fn connect(&self, address: SocketAddr) -> Boxed<TcpStream>;
}

/// The real network.
pub(super) struct System;

impl Network for System {
    fn resolve(&self, host: &str, port: u16) -> Boxed<Vec<IpAddr>> {
        let host = host.to_owned();
        Box::pin(async move {
            Ok(tokio::net::lookup_host((host, port)).await?.map(|found| found.ip()).collect())
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the one place behind the guard")]
    fn connect(&self, address: SocketAddr) -> Boxed<TcpStream> {
        Box::pin(TcpStream::connect(address))
    }
}

/// Why no connection came about. Nothing was sent in any of these cases.
#[derive(Debug)]
pub(super) enum DialError {
    /// The guard lets none of the host's addresses through.
    Forbidden(Reach),
    /// The name has no address, or the name service did not answer.
    Resolve(io::Error),
    Connect(io::Error),
    Tls(io::Error),
    Timeout(Duration),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(_) => f.write_str("address refused by the guard"),
            Self::Resolve(fault) => write!(f, "name service: {fault}"),
            Self::Connect(fault) => write!(f, "connect: {fault}"),
            Self::Tls(fault) => write!(f, "TLS handshake: {fault}"),
            Self::Timeout(limit) => write!(f, "no connection within {limit:?}"),
        }
    }
}

// No source: its text is in ours already.
impl std::error::Error for DialError {}

/// Opens guarded connections.
pub(super) struct Dialer {
    pub(super) guard: Guard,
    pub(super) origins: Origins,
    pub(super) network: Arc<dyn Network>,
    /// For name, TCP and TLS together.
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
}

impl Dialer {
    /// One TCP connection to `host`, a name or an address without brackets. The name is looked up
    /// anew for each connection, and what was checked is what is connected to, so that a name that
    /// changes its address gains nothing.
    pub(super) async fn tcp(
        &self,
        host: &str,
        port: u16,
        reach: Reach,
    ) -> Result<TcpStream, DialError> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(literal) => vec![literal],
            Err(_) => self.network.resolve(host, port).await.map_err(DialError::Resolve)?,
        };
        if addresses.is_empty() {
            return Err(DialError::Resolve(io::Error::other("the name has no address")));
        }
        let permitted: Vec<_> =
            addresses.into_iter().filter(|ip| self.guard.permits(*ip, reach)).collect();
        if permitted.is_empty() {
            return Err(DialError::Forbidden(reach));
        }
        let stream = self.first_to_answer(permitted, port).await.map_err(DialError::Connect)?;
        if let Err(fault) = self.tune(&stream) {
            tracing::debug!(%fault, "socket options");
        }
        Ok(stream)
    }

    /// Runs `work` within the time for one connection.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, DialError>>,
    ) -> Result<T, DialError> {
        match timeout(self.connect_timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(DialError::Timeout(self.connect_timeout)),
        }
    }

    async fn first_to_answer(&self, addresses: Vec<IpAddr>, port: u16) -> io::Result<TcpStream> {
        let mut waiting = addresses.into_iter();
        let mut trying = FuturesUnordered::new();
        let mut last = io::Error::other("no address to connect to");
        loop {
            let next = waiting.next();
            let more = next.is_some();
            if let Some(ip) = next {
                trying.push(self.network.connect(SocketAddr::new(ip, port)));
            } else if trying.is_empty() {
                return Err(last);
            }
            // Until the next address is due, or for good when there is none.
            tokio::select! {
                answer = trying.next() => match answer {
                    Some(Ok(stream)) => return Ok(stream),
                    Some(Err(fault)) => last = fault,
                    None => {}
                },
                () = sleep(NEXT_ADDRESS_AFTER), if more => {}
            }
        }
    }

    /// Lets the kernel notice a peer that fell silent without a FIN.
    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        use rustix::net::sockopt;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, Duration::from_secs(15))?;
        sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
        sockopt::set_tcp_keepcnt(stream, 3)?;
        let millis = u32::try_from(self.idle_timeout.as_millis()).unwrap_or(u32::MAX);
        Ok(sockopt::set_tcp_user_timeout(stream, millis)?)
    }
}
