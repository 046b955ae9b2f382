//! One Looker: its hubs, users, enabled actions, states, schedules and their history, and the pages
//! that hubs and browsers call on it.
//!
//! ```no_run
//! use sendoff_workbench::instance::{Instance, Order, Settings, What};
//! use sendoff_workbench::{DataLimits, Warehouse};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8090").await?;
//! let data = Warehouse::in_memory(DataLimits::default()).await?;
//! let looker = Instance::open(Settings::new("http://127.0.0.1:8090", data)).await?;
//! // Hubs fetch results there, and give back what logins gave them.
//! let server = axum::serve(listener, looker.routes());
//! let hub = looker.add_hub("http://127.0.0.1:8080/", Some("nonce/hmac")).await?;
//! let action = hub.action("debug");
//! looker.enable(&action, Default::default()).await?;
//! let order = Order::new(&action, What::Look("penguins".into()));
//! let sent = looker.send(order).await?.finished().await;
//! println!("{}", sent.verdict.user);
//! # Ok(())
//! # }
//! ```

mod actions;
mod book;
mod forms;
mod history;
mod hubs;
mod journal;
mod oauth;
mod person;
mod replays;
mod routes;
mod schedules;
mod sends;
mod states;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sendoff_protocol::LookerVersion;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::bodies::{Bodies, KeepLimits};
use crate::dial::Authorities;
use crate::downloads::Downloads;
use crate::request::{Delivery, Ids};
use crate::warehouse::Warehouse;

pub use actions::{Action, Binding, Params, Tested};
pub use book::{ActionId, HubId, User};
pub use forms::{Drawn, FormOf};
pub use history::{Run, RunId, RunStatus, Trigger};
pub use hubs::Hub;
pub use journal::{Entry, ExchangeId, Journal};
pub use oauth::Workspace;
pub use replays::{ReplayData, Replayed};
pub use schedules::{BadSchedule, Cron, NewSchedule, Schedule, ScheduleId};
pub use sends::{Order, Running, Sent, Way, What};
pub use states::{KeptState, Reset};

/// Why the instance does not do what was asked; a sentence for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl Refused {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The irregular things that Lookers do, each a switch. **C**
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Habits {
    /// Members of the body come in another order each time.
    pub shuffled: bool,
    /// Base64 has a newline after every 60 characters.
    pub wrapped: bool,
    /// Ids are texts.
    pub text_ids: bool,
    /// Dashboards say that they are a `LookMLDashboard`.
    pub lookml_dashboard: bool,
    /// What is empty or without a value is null and not absent.
    pub nulls: bool,
    /// A state that was reset comes back as `"null"` and not as `"reset"`.
    pub null_after_reset: bool,
}

impl Default for Habits {
    /// As the captures are.
    fn default() -> Self {
        Self {
            shuffled: false,
            wrapped: true,
            text_ids: false,
            lookml_dashboard: false,
            nulls: false,
            null_after_reset: false,
        }
    }
}

impl Habits {
    fn apply(self, delivery: &mut Delivery, seed: u64) {
        let mut chance = crate::faults::Chance::new(seed);
        if self.shuffled {
            chance.shuffle(&mut delivery.order);
        }
        delivery.wrapped = self.wrapped;
        delivery.nulls = self.nulls;
        if !self.nulls {
            delivery.absent.clear();
        }
        if self.text_ids {
            delivery.ids = Ids::Texts;
        }
        if let Some(plan) = &mut delivery.plan {
            if self.lookml_dashboard
                && plan.kind.as_ref().is_some_and(|k| k.as_str() == "Dashboard")
            {
                plan.kind = Some("LookMLDashboard".into());
            }
            if self.nulls {
                plan.filters_differ_from_look = None;
            }
        }
    }
}

/// What an instance is opened with.
#[derive(Clone)]
pub struct Settings {
    /// The URL at which [`Instance::routes`] are served, as hubs reach it.
    pub base_url: String,
    /// Where everything is kept; without one it lasts as long as the instance.
    pub folder: Option<PathBuf>,
    /// What can be sent.
    pub data: Warehouse,
    /// How long it waits for the next byte of an answer.
    pub patience: Duration,
    /// The release that it says it is.
    pub version: LookerVersion,
    /// How much of the bodies is kept on disk.
    pub bodies: KeepLimits,
    /// A PEM file of authorities that hubs' certificates may be of, beside the public ones.
    pub extra_ca: Option<PathBuf>,
}

impl Settings {
    /// An instance in memory, as patient as Looker.
    pub fn new(base_url: &str, data: Warehouse) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            folder: None,
            data,
            patience: Duration::from_secs(30 * 60),
            version: LookerVersion::new(25, 18, 0),
            bodies: KeepLimits::default(),
            extra_ca: None,
        }
    }
}

/// One Looker. Clones share it.
#[derive(Clone)]
pub struct Instance(Arc<Inner>);

struct Inner {
    settings: Settings,
    authorities: Authorities,
    downloads: Arc<Downloads>,
    book: Mutex<book::Book>,
    store: store::Store,
    journal: Journal,
    bodies: Bodies,
    tickets: Mutex<oauth::Tickets>,
    /// What installation pages offer.
    workspaces: Mutex<HashMap<ActionId, Vec<Workspace>>>,
    running: Mutex<Vec<Running>>,
    history: Mutex<history::History>,
    /// Sends on their way; they end with the instance.
    tasks: Mutex<JoinSet<()>>,
    /// Wakes whoever waits for the next schedule, when schedules change.
    rescheduled: tokio::sync::Notify,
    /// Holds the bodies of an instance without a folder.
    _bodies_folder: Option<tempfile::TempDir>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Instance {
    /// Opens an instance; with a folder, everything that an earlier one kept there.
    ///
    /// # Errors
    /// The folder cannot be made, read or written, or holds something else; the authorities cannot
    /// be read.
    pub async fn open(settings: Settings) -> std::io::Result<Self> {
        let authorities = Authorities::of(settings.extra_ca.as_deref()).await?;
        let (store, saved) = store::Store::open(settings.folder.as_deref()).await?;
        let (bodies_folder, folder) = match store.bodies_folder() {
            Some(folder) => (None, folder),
            None => {
                let made = tokio::task::spawn_blocking(tempfile::tempdir).await;
                let made = made.map_err(std::io::Error::other)??;
                let path = made.path().to_owned();
                (Some(made), path)
            }
        };
        let bodies = Bodies::open(&folder, settings.bodies).await?;
        let journal = Journal::new(saved.entries);
        let instance = Self(Arc::new(Inner {
            downloads: Arc::new(Downloads::at(&settings.base_url)),
            settings,
            authorities,
            book: Mutex::new(saved.book),
            store,
            journal,
            bodies,
            tickets: Mutex::default(),
            workspaces: Mutex::default(),
            running: Mutex::default(),
            history: Mutex::new(saved.history),
            tasks: Mutex::default(),
            rescheduled: tokio::sync::Notify::new(),
            _bodies_folder: bodies_folder,
        }));
        instance.save().await?;
        Ok(instance)
    }

    /// What it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The data that it can send.
    pub fn data(&self) -> &Warehouse {
        &self.0.settings.data
    }

    /// Everything that crossed the wire.
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// The irregular things that it does.
    pub fn habits(&self) -> Habits {
        locked(&self.0.book).habits
    }

    /// Sets the irregular things that it does.
    ///
    /// # Errors
    /// They cannot be kept.
    pub async fn set_habits(&self, habits: Habits) -> Result<(), Refused> {
        locked(&self.0.book).habits = habits;
        self.saved().await
    }

    /// Runs what runs by itself, schedules and the refreshing of states, until it is dropped.
    pub async fn run(&self) {
        loop {
            let now = jiff::Timestamp::now();
            self.fire_due(now).await;
            self.refresh_due(now).await;
            let next = self.next_due();
            let pause = match next {
                // Never longer than a minute, since the wall clock may be set.
                Some(next) => next
                    .duration_since(jiff::Timestamp::now())
                    .unsigned_abs()
                    .min(if next <= jiff::Timestamp::now() { Duration::ZERO } else { MINUTE }),
                None => MINUTE,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.rescheduled.notified() => {}
            }
        }
    }

    /// Stops every send that is on its way, at once, and waits until they are gone. Nothing is
    /// noted of them: the history tells of them after the next start.
    pub async fn stop_all(&self) {
        let mut tasks = std::mem::take(&mut *locked(&self.0.tasks));
        tasks.shutdown().await;
        locked(&self.0.running).clear();
    }

    async fn save(&self) -> std::io::Result<()> {
        self.0.store.save(|| locked(&self.0.book).clone()).await
    }

    async fn saved(&self) -> Result<(), Refused> {
        let saved = self.save().await;
        saved.map_err(|error| Refused(format!("It cannot be kept on disk: {error}.")))
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
