//! A vendor's stand-in on a loopback port, behind the fault proxy, with the faults that only the
//! far end of an HTTP connection can make.

mod log;
mod mischief;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use log::Seen;
pub use mischief::{At, Mischief, Refusal, VendorFault};

use log::Log;
use mischief::{Answered, Fail, Watched, refused, spoil, whole};

use super::fake::body_of;
use super::{Fake, Proxy};
use crate::ByteStream;

/// More than a login service is sent.
const LONGEST_FORM: usize = 64 << 10;

/// A running stand-in. It stops when it is dropped.
pub struct Vendor {
    proxy: Proxy,
    stage: Arc<Stage>,
    accepting: JoinHandle<()>,
}

struct Stage {
    fake: Arc<dyn Fake>,
    /// The suite speaks HTTP itself, so that it can make faults; else the fake serves connections.
    speaks_http: bool,
    fault: Mutex<Option<VendorFault>>,
    seen: Arc<Log>,
    /// Requests that make the data visible.
    committing: AtomicU64,
    /// Bytes of bodies that came while a fault waits for a byte.
    received: Arc<AtomicU64>,
    strikes: watch::Sender<u64>,
}

impl Vendor {
    /// Starts `fake` on a free port.
    ///
    /// # Errors
    /// The system's, when it gives no port.
    pub async fn start(fake: Arc<dyn Fake>, speaks_http: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let proxy = Proxy::to(listener.local_addr()?).await?;
        let stage = Arc::new(Stage {
            fake,
            speaks_http,
            fault: Mutex::new(None),
            seen: Arc::default(),
            committing: AtomicU64::new(0),
            received: Arc::default(),
            strikes: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&stage)));
        Ok(Self { proxy, stage, accepting })
    }

    /// The entries of the origin map that lead here.
    pub fn origins(&self) -> Vec<String> {
        let address = self.proxy.address();
        let entry = |origin: String| {
            let scheme = match origin.split_once("://") {
                Some(("https" | "http", _)) | None => "http",
                Some((other, _)) => other,
            };
            format!("{origin}={scheme}://{address}")
        };
        let mut origins = self.stage.fake.origins();
        let login = self.stage.fake.provider().map(super::Provider::origin);
        origins.extend(login.filter(|origin| !origins.contains(origin)));
        origins.into_iter().map(entry).collect()
    }

    /// The stand-in itself.
    pub fn fake(&self) -> &dyn Fake {
        &*self.stage.fake
    }

    /// What all its connections pass through.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Sets a fault, in place of the one before.
    pub fn injure(&self, fault: VendorFault) {
        self.stage.received.store(0, Ordering::Relaxed);
        *self.stage.fault() = Some(fault);
    }

    /// Removes the fault.
    pub fn heal(&self) {
        *self.stage.fault() = None;
        self.proxy.heal();
    }

    /// Waits until a fault has hit a request.
    pub async fn struck(&self) {
        let mut strikes = self.stage.strikes.subscribe();
        if strikes.wait_for(|times| *times > 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// How many requests faults have hit.
    pub fn strikes(&self) -> u64 {
        *self.stage.strikes.borrow()
    }

    /// The requests so far, the latest 1,000 of them.
    pub fn seen(&self) -> Vec<Seen> {
        self.stage.seen.entries().iter().cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.stage.seen.entries().clear();
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, stage: Arc<Stage>) {
    let mut tasks = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let stage = Arc::clone(&stage);
                tasks.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    if stage.speaks_http {
                        stage.serve(stream).await;
                    } else {
                        stage.fake.serve(stream).await;
                    }
                });
            }
            Err(_) => tokio::task::yield_now().await,
        }
        while tasks.try_join_next().is_some() {}
    }
}

impl Stage {
    fn fault(&self) -> MutexGuard<'_, Option<VendorFault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, stream: TcpStream) {
        let service = service_fn(|request| self.answer(request));
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new());
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
            tracing::trace!(%error, "a connection to the stand-in ended early");
        }
    }

    /// Takes the fault if it hits a request like this one.
    fn take(&self, hits: impl Fn(At) -> bool) -> Option<Mischief> {
        let mut slot = self.fault();
        let fault = slot.as_ref().filter(|fault| hits(fault.at))?;
        let mischief = fault.mischief.clone();
        if !fault.lasting {
            *slot = None;
        }
        drop(slot);
        Some(mischief)
    }

    fn struck(&self, number: u64) {
        self.strikes.send_modify(|times| *times += 1);
        self.seen.change(number, |seen| seen.hit = true);
    }

    async fn answer(&self, request: Request<Incoming>) -> std::result::Result<Answered, Fail> {
        let commits = self.commits(&request);
        let number = self.seen.add(&request, commits);
        let request = request.map(|body| self.seen.tap(number, body_of(body)));
        let nth = self.committing.fetch_add(u64::from(commits), Ordering::Relaxed) + 1;
        let lasting = self.fault().as_ref().is_some_and(|fault| fault.lasting);
        let hits = |at| match at {
            At::Any => true,
            At::Commit => commits,
            At::Nth(n) => commits && (nth == n || (lasting && nth > n)),
            At::Every(n) => commits && nth.is_multiple_of(n),
            At::Byte(_) | At::Within(_) => false,
        };
        if let Some(mischief) = self.take(hits) {
            self.struck(number);
            return match mischief {
                Mischief::Refuse(refusal) => {
                    let mut body = request.into_body();
                    while let Some(Ok(_)) = body.next().await {}
                    Ok(self.refused(&refusal, number))
                }
                after => {
                    let response = self.handle(request).await;
                    self.spoil(response, &after, number).await
                }
            };
        }
        let within = match &*self.fault() {
            Some(VendorFault { at: At::Within(byte), mischief: Mischief::Refuse(_), .. }) => {
                Some(*byte)
            }
            _ => None,
        };
        if let Some(byte) = within
            && request.body().len_hint().is_none_or(|len| len > byte)
        {
            return self.refuse_within(request, byte, number).await;
        }
        self.carry_out(request, number).await
    }

    /// What the fake answers, noted.
    async fn handled(&self, request: Request<ByteStream>, number: u64) -> Answered {
        let response = self.handle(request).await;
        self.seen.answered(number, response.status(), response.body());
        whole(response)
    }

    fn refused(&self, refusal: &Refusal, number: u64) -> Answered {
        let response = refused(refusal);
        self.seen.answered(number, response.status(), refusal.body.as_bytes());
        response
    }

    /// What is left of an answer; one that is lost counts as none.
    async fn spoil(
        &self,
        response: Response<Bytes>,
        mischief: &Mischief,
        number: u64,
    ) -> std::result::Result<Answered, Fail> {
        if let Mischief::Refuse(refusal) = mischief {
            return Ok(self.refused(refusal, number));
        }
        spoil(response, mischief).await
    }

    /// The fake's answer, or its login service's.
    async fn handle(&self, request: Request<ByteStream>) -> Response<Bytes> {
        let Some(provider) = self.fake.provider().filter(|one| one.is_asked(&request)) else {
            return self.fake.handle(request).await;
        };
        let (head, mut body) = request.into_parts();
        let mut form = Vec::new();
        while let Some(Ok(chunk)) = body.next().await {
            form.extend_from_slice(&chunk[..chunk.len().min(LONGEST_FORM - form.len())]);
        }
        provider.token(&head, &form)
    }

    fn commits(&self, request: &Request<Incoming>) -> bool {
        if self.fake.provider().is_some_and(|provider| provider.is_asked(request)) {
            return false;
        }
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        self.fake.commits(request.method(), path)
    }

    /// Refuses as soon as `byte` bytes have come; a shorter body is carried out.
    async fn refuse_within(
        &self,
        request: Request<ByteStream>,
        byte: u64,
        number: u64,
    ) -> std::result::Result<Answered, Fail> {
        let (parts, mut body) = request.into_parts();
        let mut held = Vec::new();
        let mut count = 0;
        while count <= byte {
            match body.next().await {
                Some(Ok(chunk)) => {
                    count += chunk.len() as u64;
                    held.push(Ok(chunk));
                }
                Some(Err(error)) => return Err(error.into()),
                None => {
                    let again = ByteStream::new(futures_util::stream::iter(held));
                    let request = Request::from_parts(parts, again);
                    return Ok(self.handled(request, number).await);
                }
            }
        }
        match self.take(|at| at == At::Within(byte)) {
            Some(Mischief::Refuse(refusal)) => {
                self.struck(number);
                // The answer goes out before the rest of the body is read, which hyper then drops.
                Ok(self.refused(&refusal, number))
            }
            // Another request was hit meanwhile.
            _ => {
                let all = ByteStream::new(futures_util::stream::iter(held).chain(body));
                Ok(self.handled(Request::from_parts(parts, all), number).await)
            }
        }
    }

    /// Lets the fake answer; a fault at the data's last byte strikes here.
    async fn carry_out(
        &self,
        request: Request<ByteStream>,
        number: u64,
    ) -> std::result::Result<Answered, Fail> {
        let awaited = match &*self.fault() {
            Some(VendorFault { at: At::Byte(byte), mischief, .. }) => {
                Some((*byte, matches!(mischief, Mischief::Refuse(_))))
            }
            _ => None,
        };
        let Some((byte, refuses)) = awaited else {
            return Ok(self.handled(request, number).await);
        };
        let watched = Watched {
            byte,
            refuses,
            received: Arc::clone(&self.received),
            reached: Arc::default(),
        };
        let reached = Arc::clone(&watched.reached);
        let response = self.handle(request.map(|body| watched.watch(body))).await;
        let mischief = if reached.load(Ordering::Relaxed) {
            self.take(|at| at == At::Byte(byte))
        } else {
            None
        };
        if let Some(mischief) = mischief {
            self.struck(number);
            return self.spoil(response, &mischief, number).await;
        }
        self.seen.answered(number, response.status(), response.body());
        Ok(whole(response))
    }
}
