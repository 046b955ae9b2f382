//! `sendoff serve`: listeners, a bounded number of connections, and an end in good order.

mod chunked;
mod connection;
mod direct;
mod halves;
mod head;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, getrlimit, setrlimit};
use sendoff::Hub;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::config::{Config, Environment};
use crate::tell::tell;
use connection::Server;

/// What connections get to send the last answers after the hub has drained.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// The pauses of an accept loop that the system gives no socket.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When an address cannot be listened on or signals cannot be had.
pub(crate) async fn run(
    config: &Config,
    hub: Hub,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    raise_descriptors();
    let mut ends = Ends::new().context("Signals cannot be received")?;
    let mut listeners = Vec::with_capacity(config.listen.len());
    for address in &config.listen {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.with_context(|| format!("The hub cannot listen on {address}"))?);
    }
    let addresses: Vec<_> = listeners.iter().filter_map(|it| it.local_addr().ok()).collect();
    greet(config, &hub, &addresses, environment);

    let (stop, stopped) = watch::channel(false);
    let room = Arc::new(Semaphore::new(config.connections.connections));
    let server = Arc::new(Server::new(hub.clone(), &config.connections));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (server, room) = (Arc::clone(&server), Arc::clone(&room));
        accepting.spawn(accept(listener, server, room, stopped.clone()));
    }

    ends.next().await;
    tracing::info!(grace = ?config.connections.grace, "draining: no new connections");
    // The receivers live in the tasks that `accepting` holds.
    let _ = stop.send(true);
    let drained = async {
        hub.drain(config.connections.grace).await;
        let closed = async { while accepting.join_next().await.is_some() {} };
        tokio::time::timeout(LAST_ANSWERS, closed).await
    };
    tokio::select! {
        _ = drained => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        () = ends.next() => {
            tracing::warn!("stopped at once by a second signal; running deliveries were cut");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Lets the process have as many file descriptors as it may: what systems give at first, most often
/// 1,024, is for programs that use `select`, and less than the connections that are served at once.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(fault) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%fault, "the limit of file descriptors stays");
    }
}

/// The signals that end the hub, and one that must not.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
    /// Without a handler a file that meets the process's size limit kills it; with one the write
    /// fails with EFBIG, which the spool reports.
    _too_large: Signal,
}

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns when it is time to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and the server with it.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Accepts while there is room, then waits for its connections to end.
async fn accept(
    listener: TcpListener,
    server: Arc<Server>,
    room: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&room).acquire_owned().await.ok()?;
            Some((permit, accept_one(&listener).await))
        };
        tokio::select! {
            () = told(&mut stop) => break,
            next = next => {
                let Some((permit, tcp)) = next else { break };
                let (server, stop) = (Arc::clone(&server), stop.clone());
                connections.spawn(async move {
                    server.serve(tcp, stop).await;
                    drop(permit);
                });
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection. Whatever the system lacks, it waits for it and goes on: file descriptors
/// come back when other connections end.
async fn accept_one(listener: &TcpListener) -> TcpStream {
    let [mut pause, longest] = PAUSES;
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => return tcp,
            // The caller's fault: the next one may be better.
            Err(fault) if is_of_the_connection(&fault) => {}
            Err(fault) => {
                tracing::warn!(%fault, "no connection can be accepted; trying again");
                tokio::time::sleep(pause).await;
                pause = longest.min(pause * 2);
            }
        }
    }
}

fn is_of_the_connection(fault: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(fault.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Tells the operator what to do next.
fn greet(config: &Config, hub: &Hub, addresses: &[SocketAddr], environment: &Environment) {
    let count = hub.actions().count();
    for address in addresses {
        tell!("Sendoff serves {count} actions on http://{address}/");
    }
    let local = addresses.iter().all(|address| address.ip().is_loopback());
    match (&config.base_url, local) {
        (Some(url), _) => tell!("In Looker (Admin > Actions > Add Action Hub): {url}/"),
        (None, true) => tell!(
            "It is reached from this machine only. To be reached from outside: \
             SENDOFF_LISTEN=0.0.0.0:8080, and SENDOFF_BASE_URL with the URL that Looker uses."
        ),
        (None, false) => tell!(
            "In Looker (Admin > Actions > Add Action Hub): the https URL at which this hub is \
             reached. Behind a proxy that changes Host, set SENDOFF_BASE_URL to it."
        ),
    }
    tell!("`sendoff token` makes the token to enter there (Configure Authorization).");
    if let Some(limits) = platform_limits(environment) {
        tell!("{limits}");
    }
}

/// What the platform around the hub does not let through.
pub fn platform_limits(environment: &Environment) -> Option<&'static str> {
    if environment.get("AWS_LAMBDA_FUNCTION_NAME").is_some() {
        return Some(
            "On AWS Lambda a request holds 6 MB and a run takes 15 minutes at most: only actions \
             that download from Looker (streaming) deliver larger results, and the newlines that \
             keep a connection alive need a function URL with RESPONSE_STREAM.",
        );
    }
    environment.get("K_SERVICE").map(|_| {
        "On Cloud Run, and on a Knative that has its limits, a request over HTTP/1 holds 32 MiB: switch on end-to-end HTTP/2, which this \
         server speaks, and raise the request timeout to 60 minutes. SIGTERM leaves 10 s: set \
         SENDOFF_LIMITS_GRACE=8s. Files in /tmp count as memory."
    })
}
