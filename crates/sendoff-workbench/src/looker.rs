//! The client that calls a hub as Looker does.

mod answer;
mod call;
mod shown;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sendoff_protocol::{Definition, Form, Listing, LookerVersion, Outcome};
use tokio::sync::watch;

use crate::dial::{Address, Authorities};
use crate::downloads::Downloads;
use crate::exchange::Exchange;
use crate::faults::{Carried, Faults, HUNG_UP};
use crate::progress::Meter;
use crate::remarks::Remark;
use crate::request::{Cargo, Delivery, RequestBody, set_download_url};
use crate::verdict::{Call, Verdict};

pub use answer::StateChange;
pub(crate) use answer::web_page;
pub(crate) use call::because;
pub(crate) use shown::{headers_shown, shown_answer, without};

use shown::secrets;

/// A Looker instance that knows one hub.
pub struct Looker {
    list_url: String,
    token: Option<String>,
    instance: String,
    version: LookerVersion,
    patience: Duration,
    authorities: Authorities,
    downloads: tokio::sync::OnceCell<Arc<Downloads>>,
}

/// How one call goes: what goes wrong with it, who watches it and who may stop it.
#[derive(Default)]
pub(crate) struct Trip {
    pub(crate) faults: Faults,
    pub(crate) meter: Meter,
    /// True ends it.
    pub(crate) stop: Option<watch::Receiver<bool>>,
    pub(crate) keep: Option<crate::bodies::Keep>,
    /// Where the result goes that a hub fetches.
    pub(crate) keep_fetched: Option<crate::bodies::Keep>,
}

impl Trip {
    /// Ends when the call is to be stopped.
    async fn stopped(&mut self) -> Fault {
        let hang_up = self.faults.hangs_up_in();
        let late = async {
            match hang_up {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let stopped = async {
            let asked = match &mut self.stop {
                Some(stop) => stop.wait_for(|stop| *stop).await.is_ok(),
                None => false,
            };
            // Nobody is left who could stop it.
            if !asked {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = late => Fault::Stopped(format!("It was {HUNG_UP} after {:?}.", hang_up.unwrap_or_default())),
            () = stopped => Fault::Stopped("It was stopped.".to_owned()),
        }
    }
}

/// What a call led to, and what crossed the wire for it.
#[derive(Debug)]
pub struct Answered<T> {
    /// What the hub's answer says, as Looker would understand it.
    pub answer: Result<T, Fault>,
    /// The call.
    pub exchange: Exchange,
    /// The hub's requests for the result, where it was offered by URL.
    pub downloads: Vec<Exchange>,
    /// What the protocol says to a line of the exchange.
    pub remarks: Vec<Remark>,
    /// What Looker does with the answer.
    pub verdict: Verdict,
    /// What becomes of the state that Looker keeps for the user and the action.
    pub state: Option<StateChange>,
}

/// Why a call has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request cannot be made: the URL is none that this client can call.
    Url(String),
    /// No whole answer came.
    Broken(String),
    /// No byte came for as long as Looker waits.
    Silent(String),
    /// It was stopped on this side.
    Stopped(String),
    /// The hub answered another status than 2xx.
    Status(u16, String),
    /// The answer is not what the protocol says.
    Unreadable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) | Self::Broken(why) | Self::Silent(why) | Self::Stopped(why) => {
                f.write_str(why)
            }
            Self::Status(status, text) if text.is_empty() => {
                write!(f, "The hub answered status {status}.")
            }
            Self::Status(status, text) => {
                // What follows begins a sentence of its own.
                let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
                write!(f, "The hub answered status {status}: {text}{end}")
            }
            Self::Unreadable(why) => write!(f, "The hub's answer cannot be read: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

impl Looker {
    /// A Looker whose admin typed in this list URL, `http://` or `https://`.
    ///
    /// # Errors
    /// The URL is not absolute or neither of the two.
    pub fn new(list_url: &str) -> Result<Self, Fault> {
        Address::of(list_url).map_err(Fault::Url)?;
        Ok(Self {
            list_url: list_url.to_owned(),
            token: None,
            instance: random_id(),
            version: LookerVersion::new(25, 18, 0),
            patience: Duration::from_secs(30 * 60),
            authorities: Authorities::default(),
            downloads: tokio::sync::OnceCell::new(),
        })
    }

    /// The hub token that the admin typed in.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The instance's id: 32 hexadecimal characters; random unless it is set.
    #[must_use]
    pub fn instance(mut self, id: &str) -> Self {
        self.instance = id.to_owned();
        self
    }

    /// The release that the instance says it is.
    #[must_use]
    pub fn version(mut self, version: LookerVersion) -> Self {
        self.version = version;
        self
    }

    /// How long it waits for the next byte of an answer; 30 min as Looker (**C**) unless it is set.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Believes these authorities, too, where a hub shows its certificate.
    pub(crate) fn believing(mut self, authorities: Authorities) -> Self {
        self.authorities = authorities;
        self
    }

    /// Offers results there, in place of a listener of its own.
    pub(crate) fn offering_at(mut self, downloads: Arc<Downloads>) -> Self {
        self.downloads = tokio::sync::OnceCell::new_with(Some(downloads));
        self
    }

    /// Lists the hub's actions.
    pub async fn list(&self) -> Answered<Listing> {
        self.list_on(Trip::default()).await
    }

    pub(crate) async fn list_on(&self, trip: Trip) -> Answered<Listing> {
        let url = self.list_url.clone();
        let called = self.call(&url, RequestBody::empty(), &[], trip).await;
        called.finish(Call::List, "", answer::listing)
    }

    /// Draws the action's form, as the test does when an admin enables the action.
    ///
    /// The delivery's cargo is not sent.
    pub async fn form(&self, action: &Definition, delivery: Delivery) -> Answered<Form> {
        self.form_on(Call::Form, action, delivery, Trip::default()).await
    }

    pub(crate) async fn form_on(
        &self,
        call: Call,
        action: &Definition,
        mut delivery: Delivery,
        trip: Trip,
    ) -> Answered<Form> {
        let Some(url) = &action.form_url else {
            let why = format!("The action `{}` has no form URL.", action.name);
            return Answered::fault(Fault::Url(why), call, &action.name);
        };
        delivery.cargo = Cargo::None;
        let (masked, values) = secrets(action, &delivery);
        let body = delivery.into_body(&masked, None);
        let called = self.call(url, body, &values, trip).await;
        called.finish(call, &action.name, answer::form)
    }

    /// Sends the delivery, and serves its download URL if it has one.
    ///
    /// An answer 2xx with an empty body, or without the `looker` member, counts as a success, as
    /// it does for Looker. **C**
    pub async fn execute(&self, action: &Definition, delivery: Delivery) -> Answered<Outcome> {
        self.execute_on(action, delivery, Trip::default()).await
    }

    pub(crate) async fn execute_on(
        &self,
        action: &Definition,
        mut delivery: Delivery,
        mut trip: Trip,
    ) -> Answered<Outcome> {
        let (masked, values) = secrets(action, &delivery);
        let carried = Carried::of(&delivery.cargo);
        let offered = match std::mem::replace(&mut delivery.cargo, Cargo::None) {
            Cargo::Url { format, source } => {
                let (source, kept) = match trip.keep_fetched.take() {
                    Some(keep) => {
                        let (source, kept) = keep.tee_fetched(source);
                        (source, Some(kept))
                    }
                    None => (source, None),
                };
                match self.offer(format, source, &trip).await {
                    Ok((downloads, url)) => {
                        set_download_url(&mut delivery.plan, url.clone());
                        Some((downloads, url, kept))
                    }
                    Err(error) => {
                        let why = format!("No download URL can be offered: {error}.");
                        return Answered::fault(Fault::Broken(why), Call::Execute, &action.name);
                    }
                }
            }
            cargo => {
                delivery.cargo = cargo;
                None
            }
        };
        trip.faults.apply(&mut delivery);
        trip.faults = trip.faults.of_request(carried);
        let body = delivery.into_body(&masked, trip.faults.broken());
        let called = self.call(&action.url, body, &values, trip).await;
        let mut answered = called.finish(Call::Execute, &action.name, answer::outcome);
        if let Some((downloads, url, kept)) = offered {
            answered.downloads = downloads.withdraw(&url);
            if let Some(kept) = kept {
                kept.keep_fetched(&mut answered.downloads).await;
            }
        }
        answered
    }

    /// Sends a recorded call again.
    pub(crate) async fn replay_on(
        &self,
        url: &str,
        replay: &crate::recording::Replay,
        trip: Trip,
    ) -> Answered<Option<Outcome>> {
        let body = match replay.body.is_empty() {
            true => RequestBody::empty(),
            false => RequestBody::text(replay.body.clone(), replay.shown.clone()),
        };
        let name = replay.action.as_deref().unwrap_or_default();
        let called = self.call(url, body, &replay.secrets, trip).await;
        called.finish(replay.call, name, |body, state| match replay.call {
            Call::Execute => answer::outcome(body, state).map(Some),
            Call::List => answer::listing(body, state).map(|_| None),
            _ => answer::form(body, state).map(|_| None),
        })
    }

    /// The list URL that the admin typed in.
    pub(crate) fn list_url(&self) -> &str {
        &self.list_url
    }

    /// Sends a body as it is to any of the hub's URLs: the exchange of what a login gave for tokens.
    pub(crate) async fn post_on(
        &self,
        call: Call,
        name: &str,
        url: &str,
        body: RequestBody,
        secrets: &[String],
        trip: Trip,
    ) -> Answered<Vec<u8>> {
        let called = self.call(url, body, secrets, trip).await;
        called.finish(call, name, |body, _| Ok(body))
    }

    async fn offer(
        &self,
        format: sendoff_protocol::Format,
        source: crate::Source,
        trip: &Trip,
    ) -> io::Result<(&Downloads, String)> {
        let own = || async { Downloads::listen().await.map(Arc::new) };
        let downloads = self.downloads.get_or_try_init(own).await?;
        let meter = Some(trip.meter.clone());
        let url = downloads.offer_with(format, source, trip.faults.download(), meter)?;
        Ok((downloads, url))
    }
}

/// 32 hexadecimal characters, as Looker's ids have.
pub(crate) fn random_id() -> String {
    let mut random = [0; 16];
    // The id only tells deliveries apart, so one that is all zeros does no harm.
    let _ = getrandom::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
