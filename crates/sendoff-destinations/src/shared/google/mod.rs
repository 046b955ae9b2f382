//! Google's APIs over the door out: who we are, how refusals read, files that go up in pieces.

mod account;
#[cfg(feature = "fakes")]
pub(crate) mod fake;
pub(crate) mod machine;
mod refusal;
pub(crate) mod resumable;
pub(crate) mod service_account;

use std::sync::Arc;
use std::time::Duration;

use sendoff::{Call, Context, Error, Http, Login, Reply, Result, Retry, Stop};

pub(crate) use account::Domains;
use service_account::ServiceAccount;

/// What Google calls itself where a login sends the browser back
/// (<https://accounts.google.com/.well-known/openid-configuration>).
pub(crate) const ISSUER: &str = "https://accounts.google.com";

/// One of Google's services.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Vendor {
    /// As sentences name it.
    pub(crate) name: &'static str,
    /// The form's field for the place that is written to.
    pub(crate) place: &'static str,
    /// The place in the vendor's words: a bucket, a folder.
    pub(crate) place_is: &'static str,
    /// The host that takes files.
    pub(crate) upload_host: &'static str,
}

/// By whose right the API is asked.
#[derive(Clone)]
pub(crate) enum Access {
    /// A service account's, by its key.
    Key(Arc<ServiceAccount>),
    /// A user's, who has logged in.
    Login(Login),
}

/// What a hub sees of the Drive of somebody who logs in
/// (<https://developers.google.com/workspace/drive/api/guides/api-specific-auth>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriveScope {
    /// All that the user sees: `drive`, a scope that Google restricts.
    #[default]
    Drive,
    /// What the hub made itself, and nothing else: `drive.file`.
    DriveFile,
}

/// A client of one service for one call of an action. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Google {
    pub(crate) vendor: &'static Vendor,
    http: Http,
    stop: Stop,
    access: Access,
    scope: DriveScope,
    /// For last words: the time that one of them may take.
    limit: Option<Duration>,
}

/// The waits before a request is sent again whose refusal the door does not take for a passing
/// one: Google says "too fast" with 403 as well
/// (<https://developers.google.com/workspace/drive/api/guides/handle-errors>).
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

impl Google {
    pub(crate) fn new<S>(cx: &Context<S>, vendor: &'static Vendor, access: Access) -> Self {
        let (http, stop) = (cx.http().clone(), cx.stop().clone());
        Self { vendor, http, stop, access, scope: DriveScope::default(), limit: None }
    }

    /// The same where users grant no more than this. A service account sees what it is let into,
    /// whatever they grant.
    pub(crate) fn granted(self, scope: DriveScope) -> Self {
        match self.access {
            Access::Login(_) => Self { scope, ..self },
            Access::Key(_) => self,
        }
    }

    /// Whether files and folders that others made cannot be seen.
    pub(crate) fn sees_own_files_only(&self) -> bool {
        self.scope == DriveScope::DriveFile
    }

    /// The same for cleaning up and for looking: works after a stop too, when little time is left
    /// before the delivery is dropped.
    pub(crate) fn last_words(&self) -> Self {
        let seconds = if self.stop.reason().is_some() { 2 } else { 10 };
        let limit = Some(Duration::from_secs(seconds));
        Self { http: self.http.for_cleanup(), limit, ..self.clone() }
    }

    /// Whether these are [`last_words`](Self::last_words), which wait for nothing.
    pub(crate) fn is_hurried(&self) -> bool {
        self.limit.is_some()
    }

    /// In whose project in Google Cloud requests are counted.
    pub(crate) fn project_key(&self) -> &str {
        match &self.access {
            Access::Key(account) => account.project(),
            Access::Login(login) => login.client_id().unwrap_or_default(),
        }
    }

    /// Whose quotas are used.
    pub(crate) fn account_key(&self) -> String {
        match &self.access {
            Access::Key(account) => account.account_key(),
            Access::Login(login) => login.account_key().unwrap_or_default(),
        }
    }

    /// Sends what `make` makes, again where Google says that it was too fast or that the token is
    /// no longer good.
    ///
    /// # Errors
    /// The refusal, classed by who must act, in Google's own words.
    pub(crate) async fn ask(&self, make: impl Fn(&Http) -> Call + Send + Sync) -> Result<Reply> {
        // Boxed: callers hold several of these futures inside larger ones.
        Box::pin(self.ask_until_answered(make)).await
    }

    async fn ask_until_answered(
        &self,
        make: impl Fn(&Http) -> Call + Send + Sync,
    ) -> Result<Reply> {
        let mut waits = AGAIN_AFTER.into_iter();
        let mut renewed = false;
        loop {
            let call = make(&self.http);
            let (call, token) = match &self.access {
                Access::Key(account) => {
                    let token = account.token(&self.http, &self.stop).await?;
                    (call.bearer(&token), Some((account, token)))
                }
                // The door renews it by itself.
                Access::Login(login) => (call.login(login), None),
            };
            let error = match self.send(call).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            match (error.http_status(), token) {
                (Some(401), Some((account, token))) if !renewed => {
                    account.forget(&token);
                    renewed = true;
                }
                (Some(403), _) if error.retry() == Retry::Later && self.limit.is_none() => {
                    let Some(wait) = waits.next() else { return Err(error) };
                    self.pause(wait).await?;
                }
                _ => return Err(error),
            }
        }
    }

    async fn send(&self, call: Call) -> Result<Reply> {
        self.read(self.send_raw(call).await?).await
    }

    async fn send_raw(&self, call: Call) -> Result<Reply> {
        match self.limit {
            Some(limit) => call.timeout(limit).send().await,
            None => call.send().await,
        }
    }

    /// The reply, unless it is a refusal.
    async fn read(&self, reply: Reply) -> Result<Reply> {
        let login = matches!(self.access, Access::Login(_));
        reply.success_or(|error, words| refusal::of(self.vendor, login, error, words)).await
    }

    pub(crate) async fn pause(&self, wait: Duration) -> Result<()> {
        self.stop.unless_stopped(tokio::time::sleep(wait)).await
    }
}

/// An answer that is no refusal and not what Google answers either, such as a login page.
fn not_google(vendor: &Vendor, status: u16, due: &str) -> Error {
    let name = vendor.name;
    Error::vendor(format!("{name} answered {status} where {due} was due. Try again later."))
        .status(status)
}
