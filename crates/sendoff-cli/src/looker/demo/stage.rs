//! The hub of the demo: every action with a stand-in for its vendor behind it.
//!
//! Several vendors share a host (all of Google's log in at one), and each stand-in wants it for
//! itself. So each action has a hub of its own, with the map of origins that leads to its stand-in,
//! and a request goes to the hub of the action in its path.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::login;
use anyhow::Context;
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use http::{Request, Response};
use http_body_util::{Either, Full};
use ipnet::IpNet;
use sendoff::testing::{
    At, Damage, Fake, Flow, Injury, Mischief as Harm, Object, Provider, Refusal, Seen, Vendor,
    VendorFault,
};
use sendoff::{Answer, AnyAction, EgressConfig, Hub, LoginBy, Origins, Spec};
use sendoff_workbench::page::{Delivered, Known, Mischief, Vendors, Visit};
use tokio::io::AsyncReadExt;
use tower_service::Service;

use crate::config::Config;
use crate::hub;

/// This machine: stand-ins, and the Looker whose downloads the hub fetches.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// A hub that meets a busy vendor waits only so long, so that the demo goes on.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Below the demo's folder: what the page keeps.
pub(super) const KEPT: &str = ".workbench";
/// So many objects and requests are shown.
const SHOWN: usize = 20;
/// So much of a delivered file is shown.
const START: usize = 1024;
/// So many files of the folder are looked at.
const FILES: usize = 1_000;
/// A connection is reset after so many bytes.
const RESET_AFTER: u64 = 3_000;

/// Answers that suit the shop's data better than the stand-in's own: action, field, answer.
const ANSWERS: [(&str, &str, &str); 4] = [
    ("airtable", "unknown_columns", "ignore"),
    ("hubspot_companies", "unknown_columns", "ignore"),
    ("hubspot_contacts", "unknown_columns", "ignore"),
    ("twilio_message", "message", "Hello {{users.name}}, you have {{orders.count}} orders."),
];

/// What the stage answers: the hub's own, or a login page that stands for a vendor's.
pub(super) type Said = Either<Answer, Full<Bytes>>;

/// The hub and its vendors.
pub(super) struct Stage {
    /// Answers what concerns no action alone.
    all: Hub,
    acts: BTreeMap<&'static str, Act>,
}

/// An action with a hub of its own.
struct Act {
    hub: Hub,
    behind: Behind,
    /// Rows that had come to the vendor before the latest send.
    rows_before: AtomicU64,
}

enum Behind {
    Vendor(Vendor),
    /// The operator's own disk.
    Folder(PathBuf),
}

impl Stage {
    /// Starts the stand-ins and the hubs before them.
    pub(super) async fn open(config: &Config, folder: &Path) -> anyhow::Result<Self> {
        let made: Vec<_> = sendoff_destinations::fakes().into_iter().map(|make| make()).collect();
        let mut config = config.clone();
        for (action, fake) in &made {
            if let Some((id, secret)) = fake.provider().map(Provider::client) {
                let client = (id.to_owned(), secret.into());
                config.clients.insert(action.spec().name.to_owned(), client);
            }
        }
        let config = &config;
        let all = hub::build(config)?;
        let mut acts = BTreeMap::new();
        for (action, fake) in made {
            let name = action.spec().name;
            if !all.actions().any(|offered| offered.spec().name == name) {
                continue;
            }
            acts.insert(name, Act::open(config, folder, action, fake).await?);
        }
        Ok(Self { all, acts })
    }

    /// Answers as one hub.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Result<Response<Said>, Infallible>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path().to_owned();
        if let Some(rest) = path.strip_prefix(login::PATH) {
            let name = rest.split('/').next().unwrap_or_default();
            let provider = self.vendor(name).and_then(|vendor| vendor.fake().provider());
            return Ok(login::answer(name, provider, request.uri()).map(Either::Right));
        }
        let action = path.strip_prefix("/actions/").or_else(|| path.strip_prefix("/webhook/"));
        let name = action.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let mut hub = self.acts.get(name).map_or(&self.all, |act| &act.hub).clone();
        let mut response = hub.call(request).await?;
        if path.ends_with("/oauth") && self.vendor(name).is_some() {
            login::lead_here(name, &mut response);
        }
        Ok(response.map(Either::Left))
    }

    fn vendor(&self, action: &str) -> Option<&Vendor> {
        match &self.acts.get(action)?.behind {
            Behind::Vendor(vendor) => Some(vendor),
            Behind::Folder(_) => None,
        }
    }

    /// Lets running deliveries end.
    pub(super) async fn drain(&self, grace: Duration) {
        join_all(self.acts.values().map(|act| act.hub.drain(grace))).await;
    }
}

impl Act {
    async fn open(
        config: &Config,
        folder: &Path,
        action: Box<dyn AnyAction>,
        fake: Arc<dyn Fake>,
    ) -> anyhow::Result<Self> {
        let name = action.spec().name;
        if name == "file" {
            let mut actions = hub::actions(config);
            actions.retain(|action| action.spec().name == name);
            let hub = hub::before(config, actions, allow_loopback)?;
            return Ok(Self {
                hub,
                behind: Behind::Folder(folder.to_owned()),
                rows_before: AtomicU64::new(0),
            });
        }
        let authority = fake.authority();
        let vendor = Vendor::start(fake, action.spec().over_http).await?;
        let origins = Origins::parse(vendor.origins())
            .with_context(|| format!("The stand-in for {name} cannot be reached"))?;
        let change = |egress: &mut EgressConfig| {
            allow_loopback(egress);
            egress.origins = origins;
            egress.extra_ca_pem = authority.map(|pem| pem.as_bytes().to_vec());
            egress.retry.longest_asked = LONGEST_WAIT;
        };
        let hub = hub::before(config, vec![action], change)?;
        Ok(Self { hub, behind: Behind::Vendor(vendor), rows_before: AtomicU64::new(0) })
    }
}

fn allow_loopback(egress: &mut EgressConfig) {
    let networks = LOOPBACK.iter().filter_map(|net| net.parse::<IpNet>().ok());
    egress.allow_addresses.extend(networks);
}

impl Vendors for Stage {
    fn known(&self, action: &str) -> Option<Known> {
        let act = self.acts.get(action)?;
        match &act.behind {
            Behind::Folder(_) => Some(Known::default()),
            Behind::Vendor(vendor) => {
                let pairs = |values: sendoff::Values| -> Vec<(String, String)> {
                    values.0.into_iter().collect()
                };
                let fake = vendor.fake();
                // Where there is a login, it is there to be tried.
                let state = if fake.provider().is_none() { fake.state() } else { None };
                let installs = |spec: Spec| matches!(spec.login, Some(LoginBy::Delegate(_)));
                let installed = act.hub.actions().any(|action| installs(action.spec()));
                let workspaces = state.as_deref().filter(|_| installed);
                let workspaces = workspaces.and_then(|text| serde_json::from_str(text).ok());
                let (params, mut answers) = (pairs(fake.settings()), pairs(fake.answers()));
                let ours = ANSWERS.iter().filter(|(name, ..)| *name == action);
                for (_, field, answer) in ours {
                    answers.retain(|(name, _)| name != field);
                    answers.push(((*field).to_owned(), (*answer).to_owned()));
                }
                Some(Known { params, answers, state, workspaces: workspaces.unwrap_or_default() })
            }
        }
    }

    fn objects<'a>(&'a self, action: &'a str) -> BoxFuture<'a, Vec<Delivered>> {
        Box::pin(async move {
            let Some(act) = self.acts.get(action) else { return Vec::new() };
            match &act.behind {
                Behind::Folder(folder) => files(folder).await.unwrap_or_default(),
                Behind::Vendor(vendor) => {
                    objects(vendor, act.rows_before.load(Ordering::Relaxed)).await
                }
            }
        })
    }

    fn visits(&self, action: &str) -> Vec<Visit> {
        match self.acts.get(action).map(|act| &act.behind) {
            Some(Behind::Vendor(vendor)) => latest(vendor.seen()).map(visit).collect(),
            _ => Vec::new(),
        }
    }

    fn mischiefs(&self, action: &str) -> Vec<Mischief> {
        let Some(act) = self.acts.get(action) else { return Vec::new() };
        let Behind::Vendor(vendor) = &act.behind else { return Vec::new() };
        let over_http = act.hub.actions().all(|action| action.spec().over_http);
        if vendor.fake().origins().is_empty() {
            return Vec::new();
        }
        let lies = !vendor.fake().false_successes().is_empty();
        let possible = |id: &str| id == RESET || (over_http && (id != LIE || lies));
        MISCHIEFS.into_iter().filter(|one| possible(one.id)).collect()
    }

    fn heal(&self, action: &str) {
        if let Some(Behind::Vendor(vendor)) = self.acts.get(action).map(|act| &act.behind) {
            vendor.heal();
        }
    }

    fn prepare(&self, action: &str, mischief: &str) {
        let Some(act) = self.acts.get(action) else { return };
        let Behind::Vendor(vendor) = &act.behind else { return };
        act.rows_before.store(came(vendor), Ordering::Relaxed);
        vendor.heal();
        vendor.forget();
        let refusal = |status: u16, retry_after| {
            let (media_type, body) = vendor.fake().refusal(status);
            Harm::Refuse(Refusal { status, retry_after, media_type, body })
        };
        let (mischief, lasting) = match mischief {
            "429" => (refusal(429, Some(1)), false),
            "401" => (refusal(401, None), true),
            "503" => (refusal(503, None), true),
            LIE => {
                let lies = vendor.fake().false_successes();
                let Some((media_type, body)) = lies.into_iter().next() else { return };
                let lie = Refusal { status: 200, retry_after: None, media_type, body };
                (Harm::Refuse(lie), false)
            }
            "lost" => (Harm::LoseAnswer, false),
            RESET => {
                return vendor.proxy().injure(Injury {
                    flow: Flow::Up,
                    after: RESET_AFTER,
                    damage: Damage::Reset,
                    lasting: true,
                });
            }
            _ => return,
        };
        vendor.injure(VendorFault { at: At::Commit, mischief, lasting });
    }
}

const RESET: &str = "reset";
const LIE: &str = "lie";

const MISCHIEFS: [Mischief; 6] = [
    Mischief { id: "429", label: "it is busy once: 429 with Retry-After" },
    Mischief { id: "401", label: "it refuses the credentials: 401, also after a refresh" },
    Mischief { id: "503", label: "it is down: 503 each time" },
    Mischief { id: RESET, label: "it resets the connection in mid-upload" },
    Mischief { id: LIE, label: "it answers 200 with an error inside" },
    Mischief { id: "lost", label: "its answer is lost after the last byte" },
];

/// The latest, the last one first.
fn latest<T>(mut all: Vec<T>) -> impl Iterator<Item = T> {
    all.reverse();
    all.truncate(SHOWN);
    all.into_iter()
}

fn visit(seen: Seen) -> Visit {
    Visit {
        line: seen.line,
        commits: seen.commits,
        hit: seen.hit,
        bytes: seen.bytes,
        start: text(&seen.body),
        status: seen.status,
        answer: text(&seen.answer),
    }
}

/// The bytes if they are text, which may be cut in the middle of a character.
fn text(bytes: &[u8]) -> Option<String> {
    let whole = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(cut) if cut.error_len().is_none() => {
            std::str::from_utf8(&bytes[..cut.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    (!whole.is_empty() && whole.chars().all(is_text)).then(|| whole.to_owned())
}

async fn objects(vendor: &Vendor, rows_before: u64) -> Vec<Delivered> {
    let (fake, seen) = (vendor.fake(), vendor.seen());
    let mut shown: Vec<Delivered> = Vec::new();
    for object in latest(fake.objects().await) {
        let start = match fake.start(&object.name).await {
            Some(kept) => text(&kept),
            None => brought(&seen, &object, shown.is_empty()).and_then(content),
        };
        // The message is that of the latest object of the name.
        let is_latest = shown.iter().all(|later| later.name != object.name);
        let message = fake.message(&object.name).filter(|_| is_latest);
        let Object { name, bytes, sha256 } = object;
        shown.push(Delivered { name, bytes, sha256, start, message, rows: None });
    }
    let rows = came(vendor).saturating_sub(rows_before);
    if shown.is_empty() && rows > 0 {
        let took = |seen: &&Seen| seen.commits && seen.status.is_some_and(|status| status < 300);
        let start = seen.iter().find(took).and_then(content);
        shown.push(Delivered { rows: Some(rows), start, ..Delivered::default() });
    }
    shown
}

/// How many rows came to a vendor of rows so far.
fn came(vendor: &Vendor) -> u64 {
    let Some(takes) = vendor.fake().takes_rows() else { return 0 };
    let book = takes.ledger;
    book.rows() + book.doubled() + book.repeats() + book.strangers()
}

/// The request that brought the object: it names it or has its length; of the latest object else the
/// last that made data visible.
fn brought<'a>(seen: &'a [Seen], object: &Object, is_latest: bool) -> Option<&'a Seen> {
    let name = object.name.rsplit('/').next().filter(|name| !name.is_empty());
    let mut with_body = seen.iter().filter(|seen| !seen.body.is_empty());
    // The first of several parts holds the start.
    let named = with_body.clone().find(|seen| name.is_none_or(|name| seen.line.contains(name)));
    named
        .or_else(|| with_body.clone().find(|seen| seen.bytes == object.bytes))
        .or_else(|| with_body.rfind(|seen| is_latest && seen.commits))
}

/// What of a request is data: of several parts the last that began, of a form its pairs.
fn content(seen: &Seen) -> Option<String> {
    let whole = text(&seen.body)?;
    if seen.media_type.starts_with("multipart/") {
        let part = whole.rsplit("\r\n\r\n").next()?;
        return part.split("\r\n--").next().map(str::to_owned);
    }
    if seen.media_type.starts_with("application/x-www-form-urlencoded") {
        let pairs = url::form_urlencoded::parse(whole.as_bytes());
        let lines = pairs.map(|(name, value)| format!("{name}: {value}"));
        return Some(lines.collect::<Vec<_>>().join("\n"));
    }
    Some(whole)
}

/// The files in the folder, the latest first.
async fn files(root: &Path) -> io::Result<Vec<Delivered>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = tokio::fs::read_dir(folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            // A file may be renamed while the folder is read: what is gone is not there.
            let Ok(about) = entry.metadata().await else { continue };
            match about.is_dir() {
                true if entry.file_name() == KEPT => {}
                true => folders.push(entry.path()),
                false if found.len() < FILES => {
                    found.push((about.modified()?, entry.path(), about.len()));
                }
                false => {}
            }
        }
    }
    found.sort();
    let mut shown = Vec::new();
    for (_, path, bytes) in latest(found) {
        let mut start = Vec::new();
        if let Ok(file) = tokio::fs::File::open(&path).await {
            file.take(START as u64).read_to_end(&mut start).await?;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        shown.push(Delivered { name, bytes, start: text(&start), ..Delivered::default() });
    }
    Ok(shown)
}
