//! One hub with one action, its vendor's stand-in behind it and a Looker before it, all on
//! loopback, with short limits.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::verdict::{Failure, ensure};
use super::{Subject, Verdict};
use crate::testing::{By, Content, Heard, Looker, LookerFault, Provider, Shipment, Vendor};
use crate::{
    ActionType, EgressConfig, Format, Hub, Limits, LoginBy, Origins, RetryPolicy, Spec, Values,
};

/// The longest that a delivery may take in a lab.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// The hub stops a delivery and has 5 s to abort what it began; this is beyond both.
const ANSWERED_WITHIN: Duration = Duration::from_secs(26);
/// A delivery that was told to stop has ended by then.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// The key of the reference hub that the hub under test has taken over from.
pub(super) const CIPHER_MASTER: &str =
    "2b7e151628aed2a6abf7158809cf4f3c2b7e151628aed2a6abf7158809cf4f3c";

/// Where nothing may go: every public name that the stand-in does not claim leads to a listener
/// that only counts. So no test leaves the machine either.
const ELSEWHERE: &[&str] =
    &["com", "net", "org", "io", "dev", "app", "ai", "cloud", "co", "eu", "us", "gov", "example"];

/// Everything of one test.
pub(super) struct Lab {
    pub(super) spec: Spec,
    pub(super) vendor: Vendor,
    pub(super) looker: Looker,
    pub(super) hub: Hub,
    pub(super) settings: Values,
    pub(super) answers: Values,
    /// The names of settings and answers that are secrets.
    pub(super) secrets: Vec<&'static str>,
    canary: Canary,
}

/// A listener that counts who comes.
struct Canary {
    visits: watch::Sender<u64>,
    listening: JoinHandle<()>,
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The limits of a hub under test: small, so that every one can be reached.
pub(super) fn limits() -> Limits {
    Limits {
        keep_alive: Duration::from_millis(200),
        deadline: DEADLINE,
        idle: Duration::from_secs(2),
        ..Limits::default()
    }
}

impl Lab {
    pub(super) async fn start(subject: &Subject) -> Result<Self, Failure> {
        Self::with(subject, limits()).await
    }

    pub(super) async fn with(subject: &Subject, limits: Limits) -> Result<Self, Failure> {
        let (action, fake) = (subject.make)();
        let (settings, answers) = (fake.settings(), fake.answers());
        let authority = fake.authority();
        let secrets = action.secrets();
        // A vendor of rows sets a pace, and no test has hours.
        let second = Duration::from_millis(if subject.paced() { 1 } else { 1_000 });
        let speaks_http = subject.spec.over_http && subject.server.is_none();
        let vendor = Vendor::start(fake, speaks_http).await?;
        let (canary, elsewhere) = Canary::listen().await?;
        let mut origins = vendor.origins();
        origins.extend(elsewhere);
        let client = vendor.fake().provider().map(Provider::client);
        let state = vendor.fake().state();
        let mut made = None;
        let looker = Looker::before(|secret, downloads| {
            origins.extend(downloads);
            let mut egress = EgressConfig::new("the suite's idempotency secret".into());
            egress.origins = Origins::parse(origins)?;
            egress.connect_timeout = Duration::from_secs(2);
            egress.idle_timeout = limits.idle;
            egress.extra_ca_pem = authority.map(|pem| pem.as_bytes().to_vec());
            egress.retry = RetryPolicy {
                tries: 3,
                first_wait: Duration::from_millis(10),
                longest_wait: Duration::from_millis(50),
                longest_asked: Duration::from_secs(2),
                second,
            };
            let hub = Hub::builder()
                .actions([action])
                .secrets([secret])
                .cipher_master(CIPHER_MASTER.into())
                .limits(limits)
                .egress(egress);
            let hub = match client {
                Some((id, secret)) => {
                    hub.oauth_client(subject.spec.name, id, secret.into()).build()?
                }
                None => hub.build()?,
            };
            made = Some(hub.clone());
            Ok(hub)
        })
        .await?;
        if let Some(login) = subject.spec.login {
            let fetches = matches!(login, LoginBy::OAuth(oauth) if oauth.v2);
            looker.uses_login(subject.spec.name, fetches);
            looker.keep(subject.spec.name, state);
        }
        let hub = made.ok_or_else(|| Failure::new("the hub was not built"))?;
        Ok(Self { spec: subject.spec, vendor, looker, hub, settings, answers, secrets, canary })
    }

    /// A delivery that succeeds unless something is broken.
    pub(super) fn shipment(&self, content: Content, by: By) -> Shipment {
        let accepts = self.spec.accepts;
        let kind = if accepts.contains(&ActionType::Query) {
            ActionType::Query
        } else {
            accepts.first().copied().unwrap_or(ActionType::Query)
        };
        let mut answers = self.answers.clone();
        answers.0.entry("format".into()).or_insert_with(|| content.format().as_str().into());
        Shipment {
            action: self.spec.name.to_owned(),
            kind,
            settings: self.settings.clone(),
            answers,
            content: Some(content),
            by,
            fault: None,
            webhook_id: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// Delivers, and fails the case when no answer comes in time.
    pub(super) async fn execute(
        &self,
        shipment: &Shipment,
    ) -> Result<Result<Heard, std::io::Error>, Failure> {
        tokio::time::timeout(ANSWERED_WITHIN, self.looker.execute(shipment))
            .await
            .map_err(|_| Failure::new(format!("no answer within {} s", ANSWERED_WITHIN.as_secs())))
    }

    pub(super) async fn ship(
        &self,
        content: Content,
        by: By,
        fault: Option<LookerFault>,
    ) -> Result<Result<Heard, std::io::Error>, Failure> {
        let mut shipment = self.shipment(content, by);
        shipment.fault = fault;
        self.execute(&shipment).await
    }

    /// Waits until every delivery has ended. The hub takes no more after it.
    pub(super) async fn settle(&self) -> Verdict {
        let settled = tokio::time::timeout(SETTLED_WITHIN, self.hub.drain(DEADLINE)).await;
        settled.map_err(|_| {
            Failure::new(format!("a delivery runs on after {} s", SETTLED_WITHIN.as_secs()))
        })
    }

    /// Connections to anywhere but the stand-in and Looker.
    pub(super) fn strayed(&self) -> Verdict {
        let visits = *self.canary.visits.borrow();
        ensure(visits == 0, || format!("{visits} connections went elsewhere than to the vendor"))
    }

    /// How much the vendor takes at most, or `bytes` if that is less.
    pub(super) fn at_most(&self, bytes: u64) -> u64 {
        self.vendor.fake().takes_at_most().map_or(bytes, |most| most.min(bytes))
    }

    pub(super) fn content(&self, format: Format, bytes: u64) -> Content {
        let bytes = self.at_most(bytes);
        match self.vendor.fake().takes_rows() {
            Some(takes) => {
                let content = Content::of_row_bytes(format, takes.shape, bytes);
                Content::of_rows(format, takes.shape, content.rows().min(takes.at_most))
            }
            None if self.vendor.fake().takes_messages() => Content::new(format, bytes).whole_rows(),
            None => Content::new(format, bytes),
        }
    }
}

impl Canary {
    async fn listen() -> std::io::Result<(Self, Vec<String>)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let visits = watch::Sender::new(0);
        let count = visits.clone();
        let listening = tokio::spawn(async move {
            loop {
                if listener.accept().await.is_ok() {
                    count.send_modify(|visits| *visits += 1);
                }
            }
        });
        let entry = |end: &&str| format!("https://*.{end}=http://{address}");
        Ok((Self { visits, listening }, ELSEWHERE.iter().map(entry).collect()))
    }
}
