//! The one door out: every connection of the hub begins here, guarded, mapped, timed and stopped.
//!
//! HTTP runs on hyper's client directly, because three promises need what lies below a ready-made
//! client: the origin map and the guard act on the connection while the request stays byte for
//! byte what was signed; an early answer is read before a broken write is reported (see
//! [`connector`]); and the body says how much of it was handed over, which decides between "not
//! delivered" and "may have arrived" (see [`body`]). There are no redirects, no proxies from the
//! environment, no cookies and no decompression.

mod attempt;
mod body;
mod call;
mod connector;
mod dial;
mod download;
mod guard;
mod here;
mod origins;
mod pace;
mod peer;
mod reply;
mod retry;
mod state;
mod tls;
mod words;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests play the network")]
mod guard_tests;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests play the network")]
mod tests;

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::fields::Secret;
use crate::redact::Redactor;
use crate::{Error, Result, Stop};

use attempt::{Attempt, Until};
use connector::Connector;
use dial::{Dialer, Network, System};
use guard::{Guard, Reach};
use pace::Paces;
use peer::Peer;
use retry::Budgets;

pub use body::{Again, Body};
pub use call::Call;
pub use origins::Origins;
pub(crate) use pace::Pace;
pub use pace::{Quota, Rate};
pub use reply::Reply;
pub use retry::RetryPolicy;

/// More than any vendor's headers; hyper reads and writes in pieces of at most this size.
const HEADERS_AT_MOST: usize = 64 * 1024;

/// Kept connections are closed before the shortest common server limit (Node's 5 s), so that a
/// request rarely meets a connection that its server is just closing.
const KEEP_IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// The time that cleaning up after a stop may take, in all.
const CLEANUP: Duration = Duration::from_secs(10);

/// What the operator allows and configures. No environment is read here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EgressConfig {
    /// Networks that may be reached although they are not public, and by unencrypted http.
    pub allow_addresses: Vec<IpNet>,
    /// Vendors whose traffic goes elsewhere.
    pub origins: Origins,
    /// For name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long no byte may move in either direction.
    pub idle_timeout: Duration,
    /// Certificate authorities to trust beside the built-in and the system's, in PEM.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// The `User-Agent`, where a request sets none.
    pub user_agent: String,
    /// The operator's secret below [`Http::idempotency_key`]. Replicas must share it.
    pub idempotency_secret: Secret,
    /// How often and how soon repeatable requests are repeated.
    pub retry: RetryPolicy,
}

impl EgressConfig {
    /// The defaults: public addresses only, 10 s to connect, 60 s of silence, four tries.
    pub fn new(idempotency_secret: Secret) -> Self {
        Self {
            allow_addresses: Vec::new(),
            origins: Origins::default(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            extra_ca_pem: None,
            user_agent: concat!("sendoff/", env!("CARGO_PKG_VERSION")).to_owned(),
            idempotency_secret,
            retry: RetryPolicy::default(),
        }
    }
}

/// The hub's door out; one per hub. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client<Connector, body::Outgoing>,
    /// For addresses of the operator's own.
    operators: Client<Connector, body::Outgoing>,
    /// For connections that are used once.
    connector: Connector,
    dialer: Arc<Dialer>,
    /// For protocols other than HTTP: it offers none to the other side.
    tls: TlsConnector,
    budgets: Budgets,
    paces: Paces,
    retry: RetryPolicy,
    idle_timeout: Duration,
    user_agent: http::HeaderValue,
    idempotency_secret: Secret,
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress")
            .field("origins", &self.inner.dialer.origins)
            .finish_non_exhaustive()
    }
}

/// How hyper is to speak to anyone.
fn builder<E>(executor: E) -> legacy::Builder
where
    E: hyper::rt::Executor<Pin<Box<dyn Future<Output = ()> + Send>>>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let mut builder = Client::builder(executor);
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEEP_IDLE_CONNECTION)
        .http1_max_buf_size(HEADERS_AT_MOST)
        .http2_max_header_list_size(HEADERS_AT_MOST as u32)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(20));
    builder
}

impl Egress {
    /// Opens the door.
    ///
    /// # Errors
    /// A hub error when a setting is unusable, such as extra certificates that are none.
    pub fn new(config: EgressConfig) -> Result<Self> {
        Self::on(config, Arc::new(System))
    }

    fn on(config: EgressConfig, network: Arc<dyn Network>) -> Result<Self> {
        let user_agent = http::HeaderValue::from_str(&config.user_agent).map_err(|fault| {
            Error::hub("The user agent holds characters that no header may hold.").cause(fault)
        })?;
        let dialer = Arc::new(Dialer {
            guard: Guard::new(config.allow_addresses),
            origins: config.origins,
            network,
            connect_timeout: config.connect_timeout,
            idle_timeout: config.idle_timeout,
        });
        let http = tls::config(config.extra_ca_pem.as_deref())?;
        let mut other = (*http).clone();
        other.alpn_protocols.clear();
        let connector = |operators| Connector {
            dialer: Arc::clone(&dialer),
            tls: Arc::clone(&http).into(),
            operators,
        };
        let client = |operators| builder(TokioExecutor::new()).build(connector(operators));
        Ok(Self {
            inner: Arc::new(Inner {
                operators: client(true),
                client: client(false),
                connector: connector(false),
                dialer,
                tls: Arc::new(other).into(),
                budgets: Budgets::default(),
                paces: Paces::default(),
                retry: config.retry,
                idle_timeout: config.idle_timeout,
                user_agent,
                idempotency_secret: config.idempotency_secret,
            }),
        })
    }

    /// Sends a browser to where the origin map sends this hub, so that a login can be tried at a
    /// provider of one's own.
    pub(crate) fn redirect_origin(&self, url: &mut Url) {
        let port = url.port_or_known_default().unwrap_or_default();
        let host = url.host_str().unwrap_or_default();
        if let Some(to) = self.inner.dialer.origins.target(url.scheme(), host, port) {
            let to = format!("{to}{}", &url[url::Position::BeforePath..]);
            if let Ok(to) = Url::parse(&to) {
                *url = to;
            }
        }
    }

    /// The door as one delivery sees it.
    pub fn http(&self, scope: Scope) -> Http {
        let peer = Peer::vendor(scope.vendor.clone(), scope.redact.clone(), scope.oauth);
        let delivery = Arc::new(Delivery { egress: self.clone(), peer, scope });
        Http {
            stop: delivery.scope.stop.clone(),
            delivery,
            until: None,
            paced: Vec::new(),
            operators: false,
        }
    }
}

/// What belongs to one delivery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scope {
    /// Ends every call and every answer that is being read.
    pub stop: Stop,
    /// When the delivery's own time is over: no retry waits beyond it.
    pub deadline: Option<Instant>,
    /// Removes the delivery's secrets from vendors' words.
    pub redact: Redactor,
    /// The vendor as sentences name it: `Zapier`.
    pub vendor: Cow<'static, str>,
    /// The action's name, a part of idempotency keys.
    pub action: Cow<'static, str>,
    /// Looker's id of this delivery, a part of idempotency keys.
    pub webhook_id: Option<String>,
    /// The credentials come from a login of the user: a refusal asks him to log in again.
    pub oauth: bool,
}

impl Scope {
    /// A scope that knows only the vendor's name and is never stopped.
    pub fn new(vendor: impl Into<Cow<'static, str>>) -> Self {
        Self {
            stop: Stop::new(),
            deadline: None,
            redact: Redactor::default(),
            vendor: vendor.into(),
            action: Cow::Borrowed(""),
            webhook_id: None,
            oauth: false,
        }
    }
}

struct Delivery {
    egress: Egress,
    peer: Peer,
    scope: Scope,
}

/// A destination's door to its vendor. Cheap to clone.
#[derive(Clone)]
pub struct Http {
    delivery: Arc<Delivery>,
    stop: Stop,
    until: Option<Until>,
    /// The one whose vendor asks for a rest first.
    paced: Vec<Paced>,
    operators: bool,
}

/// What requests of one batch keep to.
#[derive(Clone)]
struct Paced {
    pace: Arc<Pace>,
    rows: u64,
    /// Whether a request takes its turn itself; a batch has taken it for all of its own.
    each: bool,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("vendor", &self.delivery.scope.vendor).finish_non_exhaustive()
    }
}

impl Http {
    /// Begins a GET.
    pub fn get(&self, url: impl AsRef<str>) -> Call {
        self.request(Method::GET, url)
    }

    /// Begins a POST.
    pub fn post(&self, url: impl AsRef<str>) -> Call {
        self.request(Method::POST, url)
    }

    /// Begins a PUT.
    pub fn put(&self, url: impl AsRef<str>) -> Call {
        self.request(Method::PUT, url)
    }

    /// Begins a PATCH.
    pub fn patch(&self, url: impl AsRef<str>) -> Call {
        self.request(Method::PATCH, url)
    }

    /// Begins a DELETE.
    pub fn delete(&self, url: impl AsRef<str>) -> Call {
        self.request(Method::DELETE, url)
    }

    /// Begins a HEAD.
    pub fn head(&self, url: impl AsRef<str>) -> Call {
        self.request(Method::HEAD, url)
    }

    /// Begins a request of any method. A wrong URL is reported by [`Call::send`].
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> Call {
        Call::new(self.clone(), method, url.as_ref())
    }

    /// A door for cleaning up, such as aborting an upload: it ignores the stop signal and closes
    /// 10 s from now.
    pub fn for_cleanup(&self) -> Self {
        let until = Some(Until::from_now(CLEANUP));
        Self { stop: Stop::new(), until, paced: Vec::new(), ..self.clone() }
    }

    /// The same door for a batch of so many rows: its requests are repeated at this pace, and what
    /// a vendor answers with 429 or a time to wait holds all that share the pace.
    pub(crate) fn paced(&self, pace: &Arc<Pace>, rows: u64) -> Self {
        let paced = vec![Paced { pace: Arc::clone(pace), rows, each: false }];
        Self { paced, ..self.clone() }
    }

    /// The same door for requests that keep `quota` together with all others, of this delivery or
    /// another, that name the same `account`. What the vendor answers with 429 or a time to wait
    /// holds all of them.
    ///
    /// A door within two quotas keeps both: name the narrower one first, such as the user's before
    /// that of all users. Who waits for the first takes nothing of the second, and a rest that the
    /// vendor asks for holds those who share the first.
    ///
    /// For requests that are no batches of rows: those have a [pipeline](crate::pipeline). Give as
    /// `account` the vendor's name and a digest of the credentials, or whatever the quota belongs to.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sendoff::{Http, Quota, Result};
    /// # async fn ask(http: &Http) -> Result<()> {
    /// let minute = Duration::from_secs(60);
    /// let quota = Quota { requests: 250, within: minute, cool_down: Duration::from_secs(1) };
    /// let http = http.within("bell 7f3a", quota);
    /// for bell in ["west", "east"] {
    ///     let call = http.post(format!("https://bell.example/{bell}/ring"));
    ///     call.send().await?.success().await?.text().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(&self, account: &str, quota: Quota) -> Self {
        let make = || Pace::of_quota(quota, self.second());
        let pace = self.shared_pace(account, make);
        let mut door = self.clone();
        door.paced.push(Paced { pace, rows: 1, each: true });
        door
    }

    /// How long a second of a vendor's lasts.
    pub(crate) fn second(&self) -> Duration {
        self.delivery.egress.inner.retry.second
    }

    /// The pace of all deliveries that use `account` now.
    pub(crate) fn shared_pace(&self, account: &str, make: impl FnOnce() -> Pace) -> Arc<Pace> {
        self.delivery.egress.inner.paces.shared(account, make)
    }

    /// The vendor as sentences name it.
    pub(crate) fn vendor(&self) -> &str {
        &self.delivery.scope.vendor
    }

    /// The signal that ends this door's calls.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// A door to an address that the operator's own configuration names, such as the metadata
    /// service of the machine: the address guard lets it pass. Never for a URL in which a form, a
    /// setting that Looker sends or somebody's answer has a part.
    pub fn for_operators_address(&self) -> Self {
        Self { operators: true, ..self.clone() }
    }

    /// A key that is the same whenever Looker sends the same delivery again: for vendors that
    /// recognise a repeated request by one. 32 hexadecimal digits.
    ///
    /// Without a webhook id there is nothing to recognise a delivery by, and each call gives a new
    /// key.
    pub fn idempotency_key(&self, part: &str) -> String {
        let scope = &self.delivery.scope;
        let secret = self.delivery.egress.inner.idempotency_secret.expose();
        // An HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
            return uuid::Uuid::new_v4().simple().to_string();
        };
        let random;
        let id = match &scope.webhook_id {
            Some(id) => id.as_str(),
            None => {
                random = uuid::Uuid::new_v4().to_string();
                &random
            }
        };
        // Each with its length in front, so that no two triples read the same.
        for piece in [id, &scope.action, part] {
            mac.update(&(piece.len() as u64).to_be_bytes());
            mac.update(piece.as_bytes());
        }
        let digest = mac.finalize().into_bytes();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// A guarded TCP connection for protocols other than HTTP. `service` is the scheme that the
    /// origin map knows, such as `sftp` or `smtp`.
    ///
    /// # Errors
    /// The guard's refusal, a vendor error when nobody answers, the stop's sentence.
    pub async fn connect(&self, service: &str, host: &str, port: u16) -> Result<TcpStream> {
        let Delivery { egress, peer, .. } = &*self.delivery;
        let dialer = &egress.inner.dialer;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let (to, port, reach) = match dialer.origins.target(service, bare, port) {
            Some(to) => (to.host.as_str(), to.port, Reach::Operator),
            None => (bare, port, Reach::PublicOrAllowed),
        };
        let dial = dialer.in_time(dialer.tcp(to, port, reach));
        let dial = self.stop.unless_stopped(dial);
        let dialled = match self.until {
            Some(until) => until.limit(dial).await.map_err(|limit| peer.silent(limit))?,
            None => dial.await,
        };
        dialled?.map_err(|fault| peer.unreachable(host, &fault).error)
    }

    /// TLS on a connection from [`connect`](Self::connect), for protocols that begin it themselves
    /// (STARTTLS) or at once. The server must prove that it is `host`, by a certificate that this
    /// hub trusts.
    ///
    /// # Errors
    /// A vendor error that says what is wrong with the certificate; the stop's sentence.
    pub async fn secure<S>(
        &self,
        stream: S,
        host: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static + use<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Delivery { egress, peer, .. } = &*self.delivery;
        let Inner { dialer, tls, .. } = &*egress.inner;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let shake = dialer.in_time(connector::shake_hands(tls, bare, stream));
        let shaken = self.stop.unless_stopped(shake).await?;
        shaken.map_err(|fault| peer.unreachable(host, &fault).error)
    }

    /// How long no byte may move, for protocols that a destination speaks itself over
    /// [`connect`](Self::connect).
    pub fn idle_timeout(&self) -> Duration {
        self.delivery.egress.inner.idle_timeout
    }

    fn attempt<'a>(&'a self, peer: &'a Peer, idle: Option<Duration>) -> Attempt<'a> {
        let inner = &*self.delivery.egress.inner;
        Attempt {
            egress: inner,
            client: if self.operators { &inner.operators } else { &inner.client },
            peer,
            stop: &self.stop,
            until: self.until,
            idle: idle.unwrap_or(inner.idle_timeout),
        }
    }
}
