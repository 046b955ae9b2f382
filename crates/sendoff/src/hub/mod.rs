//! The hub: many actions behind one `tower` service.

mod admission;
mod answer;
mod asks;
mod auth;
mod builder;
mod delivery;
mod digest;
mod drain;
mod execute;
mod form;
mod listing;
mod login;
mod outcome;
mod pages;
mod route;
mod sparing;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use crate::action::AnyAction;
use crate::egress::Egress;
use crate::fields::Values;
use crate::intake::Memory;
use crate::login::Desk;
use crate::pipeline::Tries;
use crate::recent::Recent;
use crate::spool::SpoolRoom;

use admission::Admission;
use asks::Asks;
use auth::Gate;
use drain::Drain;
use sparing::Sparing;

pub use answer::Answer;
pub use auth::Token;
pub use builder::Builder;

/// A Looker action hub.
///
/// It is a [`tower_service::Service`] over `http` requests that never fails, so that axum, hyper
/// and Lambda take it as it is. Clones share everything.
///
/// ```no_run
/// # async fn serve(listener: tokio::net::TcpListener) {
/// let hub = sendoff::Hub::builder().secrets(["a long random text".into()]).build().unwrap();
/// let app = axum::Router::new().nest_service("/looker", hub);
/// axum::serve(listener, app).await.unwrap();
/// # }
/// ```
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    actions: Vec<Box<dyn AnyAction>>,
    label: String,
    base_url: Option<String>,
    commit: String,
    started: SystemTime,
    gate: Gate,
    /// Requests without a valid token, in the log.
    refusals: Sparing,
    limits: Limits,
    admission: Admission,
    asks: Asks,
    /// Of what requests say besides their data.
    memory: Memory,
    drain: Drain,
    egress: Egress,
    room: SpoolRoom,
    recent: Recent,
    tries: Tries,
    settings: Vec<(String, Values)>,
    desk: Arc<Desk>,
    written: listing::Written,
}

/// What one delivery may take, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest request body, after un-gzipping, in bytes. 10 GiB.
    pub body_bytes: u64,
    /// The time between two newlines while a delivery works. 30 s, as the reference hub.
    pub keep_alive: Duration,
    /// The longest that a delivery may take. 25 min: Looker gives up at about 30.
    pub deadline: Duration,
    /// The longest wait for Looker's next byte. 60 s.
    pub idle: Duration,
    /// The longest that Looker may run a query before its download begins. 13 min, as the
    /// reference hub.
    pub download_wait: Duration,
    /// Deliveries that run at once. 64.
    pub running: usize,
    /// Deliveries that run at once in one lane, see [`Action::lane`](crate::Action::lane). 32.
    pub per_lane: usize,
    /// Deliveries that wait for their turn; more are refused at once. 1,536. Of those that run and
    /// wait, one lane holds at most two thirds, one action 15 of 16, one Looker instance 31 of 32.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 10 << 30,
            keep_alive: Duration::from_secs(30),
            deadline: Duration::from_secs(25 * 60),
            idle: Duration::from_secs(60),
            download_wait: Duration::from_secs(13 * 60),
            running: 64,
            per_lane: 32,
            waiting: 1536,
        }
    }
}

impl Hub {
    /// Begins a hub without actions.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The actions, in the order listed.
    pub fn actions(&self) -> impl Iterator<Item = &dyn AnyAction> {
        self.inner.actions.iter().map(AsRef::as_ref)
    }

    /// Whether [`drain`](Self::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.inner.drain.is_draining()
    }

    /// Ends the hub's work in good order: `GET /readyz` says 503, new deliveries are refused, the
    /// running ones get `grace` to finish; then they are stopped, abort their uploads and are
    /// answered. Forms and logins are waited for likewise. Returns when all of them have ended, at most 6 s after `grace`.
    pub async fn drain(&self, grace: Duration) {
        self.inner.drain.drain(grace).await;
    }
}

impl<B> tower_service::Service<Request<B>> for Hub
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { Ok(route::answer(inner, request).await) })
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("label", &self.inner.label)
            .field("actions", &self.inner.actions.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn action(&self, name: &str) -> Option<usize> {
        self.actions.iter().position(|action| action.spec().name == name)
    }

    /// The operator's own values for an action, where Looker sends none.
    fn settings(&self, action: &str) -> Option<&Values> {
        self.settings.iter().find(|(name, _)| name == action).map(|(_, values)| values)
    }
}
