//! A reverse proxy between a real Looker and any hub: it streams both ways in flat memory and
//! writes a [recording](crate::recording).
//!
//! Looker is given the recorder's URL in place of the hub's. The list answer is changed so that its
//! URLs lead through the recorder too; everything else passes as it is, but for headers that belong
//! to one connection, and `Accept-Encoding`, without which bodies could not be read. It listens on
//! HTTPS where it is given a certificate, else on plain HTTP: then a tunnel or a proxy in front has the
//! certificate that Looker wants. To the hub it speaks HTTP or HTTPS.

mod addresses;
mod pump;
mod tape;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, broadcast, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::dial::{Address, Authorities, Socket, acceptor};
use crate::recording::{Reader, Recorded, append_to};
use addresses::Addresses;
use pump::Out;

/// What is recorded, and where.
#[derive(Clone, Debug)]
pub struct RecorderSettings {
    /// The hub's list URL.
    pub hub: String,
    /// The recording; exchanges are appended to one that is there.
    pub out: PathBuf,
    /// The URL by which Looker reaches the recorder; told by each request unless it is given.
    pub public_url: Option<String>,
    /// Of each body so many bytes are kept.
    pub body_limit: usize,
    /// Whether the data of deliveries is kept.
    pub keep_data: bool,
    /// The PEM files of the recorder's own certificate, with its chain, and of its key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A PEM file of authorities that the hub's certificate may be of, beside the public ones.
    pub authorities: Option<PathBuf>,
}

impl RecorderSettings {
    /// A megabyte of each body, data included.
    pub fn new(hub: &str, out: PathBuf) -> Self {
        Self {
            hub: hub.to_owned(),
            out,
            public_url: None,
            body_limit: 1 << 20,
            keep_data: true,
            tls: None,
            authorities: None,
        }
    }
}

/// The proxy. Clones share it.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    settings: RecorderSettings,
    addresses: Addresses,
    tls: Option<TlsAcceptor>,
    authorities: Authorities,
    file: tokio::sync::Mutex<tokio::fs::File>,
    next: AtomicU64,
    told: broadcast::Sender<Arc<Recorded>>,
    stop: watch::Sender<bool>,
    /// Exchanges on their way.
    pumps: Mutex<JoinSet<()>>,
    /// So many at a time; more wait to be accepted.
    places: Semaphore,
}

/// More than any Looker has open.
const AT_ONCE: usize = 512;
/// A request's head comes in that time.
const HEAD_WITHIN: Duration = Duration::from_secs(60);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Opens the recording. What an earlier one learned of the hub's URLs stands in it.
    ///
    /// # Errors
    /// The hub's URL is none, or the recording, the certificate or the authorities cannot be read.
    pub async fn open(settings: RecorderSettings) -> io::Result<Self> {
        let tls = match &settings.tls {
            Some((chain, key)) => Some(acceptor(chain, key).await?),
            None => None,
        };
        let authorities = Authorities::of(settings.authorities.as_deref()).await?;
        let addresses = Addresses::new(&settings.hub).map_err(io::Error::other)?;
        if let Some(url) = &settings.public_url {
            Address::of(url).map_err(io::Error::other)?;
        }
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", settings.out.display()))
        };
        let mut last = 0;
        match Reader::open(&settings.out).await {
            Ok(mut reader) => {
                while let Some(recorded) = reader.next().await.map_err(named)? {
                    last = last.max(recorded.id);
                    if recorded.call == crate::Call::List
                        && let Some(response) = &recorded.response
                    {
                        addresses.learn(&response.body.kept());
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(named(error)),
        }
        let file = append_to(&settings.out).await.map_err(named)?;
        Ok(Self(Arc::new(Inner {
            settings,
            addresses,
            tls,
            authorities,
            file: tokio::sync::Mutex::new(file),
            next: AtomicU64::new(last + 1),
            told: broadcast::Sender::new(64),
            stop: watch::Sender::new(false),
            pumps: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
        })))
    }

    /// Each exchange when it is written. Whoever is too slow misses some.
    pub fn exchanges(&self) -> broadcast::Receiver<Arc<Recorded>> {
        self.0.told.subscribe()
    }

    /// Serves until the future is dropped.
    pub async fn serve(&self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = self.0.places.acquire().await else { return };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => {
                        place.forget();
                        let recorder = self.clone();
                        connections.spawn(async move {
                            recorder.connection(socket).await;
                            recorder.0.places.add_permits(1);
                        });
                    }
                    // Out of descriptors, most likely: wait until some are free.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Ends what is on its way, and writes it as far as it came.
    pub async fn stop(&self) {
        self.0.stop.send_replace(true);
        let mut pumps = std::mem::take(&mut *locked(&self.0.pumps));
        while pumps.join_next().await.is_some() {}
    }

    async fn connection(&self, socket: TcpStream) {
        // Newlines must leave at once.
        let _ = socket.set_nodelay(true);
        let Some(tls) = &self.0.tls else { return self.http(socket).await };
        // Whoever does not believe the certificate hangs up, and has nothing recorded.
        if let Ok(Ok(socket)) = tokio::time::timeout(HEAD_WITHIN, tls.accept(socket)).await {
            self.http(socket).await;
        }
    }

    async fn http(&self, socket: impl Socket + 'static) {
        let service = service_fn(|request| {
            let recorder = self.clone();
            async move { Ok::<_, Infallible>(recorder.answer(request).await) }
        });
        // A Looker that hangs up is no error of the recorder's.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .serve_connection(TokioIo::new(socket), service)
            .await;
    }

    /// The answer's head. The exchange goes on by itself, so that it is written also when Looker
    /// hangs up.
    async fn answer(&self, request: Request<Incoming>) -> Response<Out> {
        let (answer, head) = oneshot::channel();
        {
            let recorder = self.clone();
            let mut pumps = locked(&self.0.pumps);
            while pumps.try_join_next().is_some() {}
            pumps.spawn(async move { recorder.pump(request, answer).await });
        }
        head.await.unwrap_or_else(|_| {
            let mut response = Response::new(Out::empty());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        })
    }

    async fn write(&self, mut recorded: Recorded) {
        recorded.id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let line = recorded.line() + "\n";
        let mut file = self.0.file.lock().await;
        let written = async {
            file.write_all(line.as_bytes()).await?;
            file.flush().await
        };
        if let Err(error) = written.await {
            // The traffic goes on; whoever listens learns that it is not kept.
            recorded.failure = Some(format!("It could not be written: {error}."));
        }
        drop(file);
        // Nobody may listen.
        let _ = self.0.told.send(Arc::new(recorded));
    }
}

#[cfg(test)]
mod tests;
