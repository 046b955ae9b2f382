//! Sends: what goes to which action for whom, watched while it runs, and what came of it.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream;
use sendoff_protocol::{ActionType, Definition, DownloadSetting, Format, Members, Outcome};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::book::ActionId;
use super::history::{RunId, RunStatus, Trigger};
use super::journal::ExchangeId;
use super::{Instance, Refused, locked};
use crate::faults::{Carried, Chance, Faults};
use crate::formats::{Content, DASHBOARD_FORMATS, LOOK_FORMATS, Rendering};
use crate::look::{Cell, Look};
use crate::looker::{Answered, Fault, Looker, Trip};
use crate::model::unmet;
use crate::progress::{Meter, Progress, Stage};
use crate::remarks::Remark;
use crate::request::{Delivery, Source};
use crate::verdict::Verdict;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A Look, by its slug.
    Look(String),
    /// A dashboard, by its slug.
    Dashboard(String),
    /// A query in SQL.
    Sql(String),
    /// A table, such as one that was imported.
    Table(String),
    /// One cell.
    Cell {
        /// As the database gave it.
        value: String,
        /// As users see it.
        rendered: String,
    },
    /// Rows that are made as they are sent.
    Generated {
        /// How many bytes.
        bytes: u64,
        /// The same seed gives the same bytes.
        seed: u64,
    },
    /// A file as it is.
    File(PathBuf),
}

/// Which way the result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// In the request.
    Push,
    /// Fetched by the hub.
    Url,
}

/// One send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who sends.
    pub user: String,
    /// To which action.
    pub action: ActionId,
    /// What.
    pub what: What,
    /// In which format; the first that fits unless it is given.
    #[serde(default)]
    pub format: Option<Format>,
    /// The answers to the form.
    #[serde(default)]
    pub answers: Members,
    /// Which way; as Looker chooses unless it is given.
    #[serde(default)]
    pub way: Option<Way>,
    /// All rows and not the first 5,000: for streaming actions.
    #[serde(default)]
    pub all_results: bool,
    /// How values are shown; what the action lists first unless it is given.
    #[serde(skip)]
    pub rendering: Option<Rendering>,
    /// What goes wrong with it on purpose.
    #[serde(default)]
    pub faults: Faults,
    /// The title; the content's own unless it is given.
    #[serde(default)]
    pub title: Option<String>,
}

impl Order {
    /// A send by the first user, everything else as it comes.
    pub fn new(action: &ActionId, what: What) -> Self {
        Self {
            user: "ana".to_owned(),
            action: action.clone(),
            what,
            format: None,
            answers: Members::default(),
            way: None,
            all_results: false,
            rendering: None,
            faults: Faults::default(),
            title: None,
        }
    }
}

/// What came of a send.
#[derive(Debug, Serialize)]
pub struct Sent {
    /// Its entry in the history.
    pub run: RunId,
    /// What the hub says, as Looker reads it.
    pub outcome: Option<Outcome>,
    /// Why there is no outcome.
    pub failure: Option<String>,
    /// The same, for those who tell the kinds apart.
    #[serde(skip)]
    pub fault: Option<Fault>,
    /// What Looker does with the answer.
    pub verdict: Verdict,
    /// What the protocol says to it.
    pub remarks: Vec<Remark>,
    /// The call.
    pub exchange: ExchangeId,
    /// The hub's requests for the result.
    pub downloads: Vec<ExchangeId>,
    /// How much moved, and how long it took.
    pub progress: Progress,
    /// What the sender should know, such as that nobody outside Looker knows the format.
    pub warnings: Vec<String>,
}

/// A send on its way. Clones watch the same one.
#[derive(Clone)]
pub struct Running {
    /// Its entry in the history.
    pub run: RunId,
    /// To which action.
    pub action: ActionId,
    /// Its title.
    pub title: String,
    progress: watch::Receiver<Progress>,
    stop: Arc<watch::Sender<bool>>,
    done: watch::Receiver<Option<Arc<Sent>>>,
}

impl Running {
    /// How far it is, now and as it changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Stops it: the connection ends, as when Looker's job is cancelled.
    pub fn cancel(&self) {
        self.stop.send_replace(true);
    }

    /// What came of it, once it is over.
    pub fn result(&self) -> Option<Arc<Sent>> {
        self.done.borrow().clone()
    }

    /// Waits for its end.
    pub async fn finished(mut self) -> Arc<Sent> {
        loop {
            if let Some(sent) = self.done.borrow_and_update().clone() {
                return sent;
            }
            if self.done.changed().await.is_err() {
                // The instance went away in the middle.
                return Arc::new(Sent::abandoned(self.run));
            }
        }
    }
}

impl Sent {
    fn abandoned(run: RunId) -> Self {
        let fault = Fault::Stopped("It was stopped.".to_owned());
        Self {
            run,
            outcome: None,
            failure: Some(fault.to_string()),
            fault: Some(fault),
            verdict: Verdict::default(),
            remarks: Vec::new(),
            exchange: 0,
            downloads: Vec::new(),
            progress: Progress { stage: Stage::Ended, ..Progress::default() },
            warnings: Vec::new(),
        }
    }
}

/// A send that can begin.
struct Prepared {
    looker: Looker,
    definition: Definition,
    delivery: Delivery,
    title: String,
    warnings: Vec<String>,
}

impl Instance {
    /// Begins a send. It returns when the data's first bytes are there.
    ///
    /// # Errors
    /// It cannot be sent: no such action, user or content, a format that the action does not take,
    /// a required field that the data has not, a wrong query.
    pub async fn send(&self, order: Order) -> Result<Running, Refused> {
        self.begin(order, Trigger::Now, None).await
    }

    /// The sends on their way.
    pub fn running(&self) -> Vec<Running> {
        locked(&self.0.running).clone()
    }

    pub(super) async fn begin(
        &self,
        order: Order,
        trigger: Trigger,
        schedule: Option<super::ScheduleId>,
    ) -> Result<Running, Refused> {
        let prepared = self.prepare(&order).await?;
        let meter = Meter::default();
        let (stop, stopped) = watch::channel(false);
        let (done, result) = watch::channel(None);
        let run = self.start_run(&order, &prepared.title, trigger, schedule).await;
        let running = Running {
            run,
            action: order.action.clone(),
            title: prepared.title.clone(),
            progress: meter.watch(),
            stop: Arc::new(stop),
            done: result,
        };
        locked(&self.0.running).push(running.clone());
        let instance = self.clone();
        let work = async move {
            // What is made as it flows, and is more than could be had whole, stands on no disk.
            let most = instance.0.settings.bodies.body;
            let is_huge = matches!(order.what, What::Generated { bytes, .. } if bytes > most);
            let keep = || (!is_huge).then(|| instance.0.bodies.keep());
            let trip = Trip {
                faults: order.faults.clone(),
                meter,
                stop: Some(stopped),
                keep: keep(),
                keep_fetched: keep(),
            };
            let sent = instance.carry_out(run, order, prepared, trip).await;
            locked(&instance.0.running).retain(|running| running.run != run);
            done.send_replace(Some(Arc::new(sent)));
        };
        let mut tasks = locked(&self.0.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
        Ok(running)
    }

    async fn carry_out(&self, run: RunId, order: Order, prepared: Prepared, trip: Trip) -> Sent {
        let meter = trip.meter.clone();
        let Prepared { looker, definition, delivery, mut warnings, .. } = prepared;
        let carried = Carried::of(&delivery.cargo);
        let faults = order.faults.clone();
        let answered = looker.execute_on(&definition, delivery, trip).await;
        meter.stage(Stage::Ended);
        let change = answered.state.clone();
        if let Err(refused) = self.change_state(&order.user, &order.action, change).await {
            warnings.push(refused.0);
        }
        let verdict = answered.verdict.clone();
        let remarks = answered.remarks.clone();
        let (outcome, fault) = match answered.answer.clone() {
            Ok(outcome) => (Some(outcome), None),
            Err(fault) => (None, Some(fault)),
        };
        let (exchange, downloads) = self.note_all(answered, Some(&order.user), Some(&order)).await;
        let progress = *meter.watch().borrow();
        // A send that ended before its time may have ended before its fault.
        if !matches!(fault, Some(Fault::Stopped(_) | Fault::Broken(_) | Fault::Silent(_))) {
            warnings.extend(faults.missed(carried, &progress));
        }
        let message = match (&outcome, &fault) {
            (Some(outcome), _) => outcome.message.clone().unwrap_or_default(),
            (None, fault) => fault.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let status = match (&outcome, &fault) {
            (Some(outcome), _) if outcome.success => RunStatus::Success,
            (None, Some(Fault::Stopped(_))) => RunStatus::Aborted,
            _ => RunStatus::Failure,
        };
        self.end_run(run, status, message, Some(exchange), &progress).await;
        Sent {
            run,
            outcome,
            failure: fault.as_ref().map(ToString::to_string),
            fault,
            verdict,
            remarks,
            exchange,
            downloads,
            progress,
            warnings,
        }
    }

    async fn prepare(&self, order: &Order) -> Result<Prepared, Refused> {
        let (definition, enabled) = {
            let book = locked(&self.0.book);
            book.user(&order.user)?;
            let enabled = book.actions.get(&order.action).is_some_and(|a| a.enabled);
            (book.known(&order.action)?.clone(), enabled)
        };
        if !enabled {
            let name = &order.action.name;
            return Err(Refused(format!(
                "The action `{name}` is not enabled; an admin enables it."
            )));
        }
        let looker = self.looker(order.action.hub)?;
        let (data, absent) = self.data_of(&order.action, &order.user)?;
        let mut loaded = self.load(order, &definition).await?;
        let delivery = &mut loaded.delivery;
        delivery.params.0.extend(data.0);
        delivery.absent = absent;
        // Where the form gave a `format`, as streaming actions have it, the answer counts.
        for (name, value) in &order.answers.0 {
            delivery.answers.0.insert(name.clone(), value.clone());
        }
        if let Some(state) = self.state_json(&order.user, &order.action) {
            delivery.params.0.insert("state_json".into(), state);
        }
        if definition.delegate_oauth {
            self.add_login(&order.action, &definition, &order.user, &mut delivery.params);
        }
        if let (Some(title), Some(plan)) = (&order.title, &mut delivery.plan) {
            plan.title = Some(title.as_str().into());
        }
        let seed = match order.faults.is_empty() {
            true => super::actions::seed(),
            false => order.faults.seed,
        };
        self.habits().apply(delivery, Chance::new(seed).next());
        let title = order.title.clone().unwrap_or(loaded.title);
        let Loaded { delivery, warnings, .. } = loaded;
        Ok(Prepared { looker, definition, delivery, title, warnings })
    }

    /// The content with its cargo.
    async fn load(&self, order: &Order, definition: &Definition) -> Result<Loaded, Refused> {
        let refused = |error: crate::DataError| Refused(error.to_string());
        let data = self.data();
        let kind = kind_of(&order.what, order.format, definition);
        takes(definition, kind)?;
        let title;
        let delivery;
        let mut warnings = Vec::new();
        match &order.what {
            What::Cell { value, rendered } => {
                let cell = Cell { value: value.clone(), rendered: rendered.clone() };
                return Ok(Loaded { delivery: cell.delivery(), title: rendered.clone(), warnings });
            }
            What::Generated { bytes, seed } => {
                let format = self.format(order, definition, &crate::GENERATED_FORMATS)?;
                let source = crate::generated(*bytes, *seed, format)
                    .ok_or_else(|| Refused(format!("Rows cannot be generated as {format}.")))?;
                title = format!("{bytes} generated bytes");
                delivery = laden(Delivery::query(&title), order, definition, kind, format, source)?;
            }
            What::File(path) => {
                let format = self.format(order, definition, &Format::ALL)?;
                let name = path.file_stem().unwrap_or_default();
                title = name.to_string_lossy().into_owned();
                let source = file(path).await?;
                let empty = match kind {
                    ActionType::Dashboard => Delivery::dashboard(&title),
                    _ => Delivery::query(&title),
                };
                delivery = laden(empty, order, definition, kind, format, source)?;
            }
            What::Dashboard(slug) => {
                let dashboard = data.dashboard(slug).map_err(refused)?;
                let format = self.format(order, definition, &DASHBOARD_FORMATS)?;
                let rendering = order.rendering.unwrap_or_else(|| Rendering::of(definition));
                let content = Content::from(dashboard);
                let rendered = data.render(content, format, rendering).await.map_err(refused)?;
                title = dashboard.title.clone();
                delivery = dashboard.delivery().push(format, rendered.source);
            }
            What::Look(_) | What::Sql(_) | What::Table(_) => {
                let mut look = match &order.what {
                    What::Look(slug) => data.look(slug).map_err(refused)?.clone(),
                    What::Sql(sql) => Look::sql("SQL", sql),
                    What::Table(name) => Look::table(name),
                    _ => return Err(Refused::new("It is no query.")),
                };
                if order.all_results {
                    look = look.limit(None);
                }
                if !definition.required_fields.is_empty() {
                    let grid = data.grid(&look, 0).await.map_err(refused)?;
                    let missing = unmet(&definition.required_fields, &grid.fields);
                    if !missing.is_empty() {
                        return Err(Refused(missing.join(" ")));
                    }
                }
                let format = self.format(order, definition, &LOOK_FORMATS)?;
                let rendering = order.rendering.unwrap_or_else(|| Rendering::of(definition));
                let rendered = data.render(&look, format, rendering).await.map_err(refused)?;
                warnings.extend(rendered.warning.map(str::to_owned));
                title = look.title().to_owned();
                let source = rendered.source;
                delivery = laden(look.delivery(), order, definition, kind, format, source)?;
            }
        }
        Ok(Loaded { delivery, title, warnings })
    }

    /// The format asked for, or the first that the action takes and the content can be had in.
    fn format(
        &self,
        order: &Order,
        definition: &Definition,
        can: &[Format],
    ) -> Result<Format, Refused> {
        let takes = definition.supported_formats.as_deref().filter(|list| !list.is_empty());
        let names = |list: &[Format]| {
            list.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ")
        };
        if let Some(format) = order.format {
            return match takes.is_none_or(|takes| takes.contains(&format)) {
                true => Ok(format),
                false => Err(Refused(format!(
                    "The action `{}` does not take {format}. It takes {}.",
                    definition.name,
                    names(takes.unwrap_or(&Format::ALL))
                ))),
            };
        }
        let both = takes.unwrap_or(can).iter().find(|format| can.contains(format)).copied();
        both.ok_or_else(|| {
            Refused(format!(
                "The action `{}` takes {}, and this content can be had as {}.",
                definition.name,
                names(takes.unwrap_or(&Format::ALL)),
                names(can)
            ))
        })
    }

    /// Puts an exchange, and what the hub fetched for it, into the journal.
    pub(super) async fn note<T>(&self, answered: Answered<T>, user: Option<&str>) -> ExchangeId {
        self.note_all(answered, user, None).await.0
    }

    async fn note_all<T>(
        &self,
        answered: Answered<T>,
        user: Option<&str>,
        order: Option<&Order>,
    ) -> (ExchangeId, Vec<ExchangeId>) {
        let Answered { exchange, downloads, remarks, verdict, .. } = answered;
        let entry = self.0.journal.add(exchange, user, verdict, remarks, order);
        let id = entry.id;
        let mut gets = Vec::new();
        self.keep_entry(&entry).await;
        for mut get in downloads {
            get.call = Some(crate::Call::Download);
            let heard =
                crate::verdict::Heard { status: get.status, body: b"", failure: None, action: "" };
            let verdict = crate::looker_does(crate::Call::Download, heard);
            let entry = self.0.journal.add(get, user, verdict, Vec::new(), None);
            gets.push(entry.id);
            self.keep_entry(&entry).await;
        }
        (id, gets)
    }
}

/// Content with its cargo.
struct Loaded {
    delivery: Delivery,
    title: String,
    warnings: Vec<String>,
}

fn kind_of(what: &What, format: Option<Format>, definition: &Definition) -> ActionType {
    let takes = |kind| definition.supported_action_types.contains(&kind);
    match what {
        What::Cell { .. } => ActionType::Cell,
        What::Dashboard(_) => ActionType::Dashboard,
        What::File(_) if format == Some(Format::CsvZip) => ActionType::Dashboard,
        What::File(_) if takes(ActionType::Dashboard) && !takes(ActionType::Query) => {
            ActionType::Dashboard
        }
        _ => ActionType::Query,
    }
}

fn takes(definition: &Definition, kind: ActionType) -> Result<(), Refused> {
    let types = &definition.supported_action_types;
    if types.is_empty() || types.contains(&kind) {
        return Ok(());
    }
    let list: Vec<&str> = types.iter().map(|kind| kind.as_str()).collect();
    Err(Refused(format!(
        "The action `{}` takes no {kind}; it takes {}.",
        definition.name,
        list.join(", ")
    )))
}

/// Puts the data in the way that is asked for, or that Looker would choose.
fn laden(
    delivery: Delivery,
    order: &Order,
    definition: &Definition,
    kind: ActionType,
    format: Format,
    source: Source,
) -> Result<Delivery, Refused> {
    let settings = &definition.supported_download_settings;
    let lists = |setting| settings.contains(&setting);
    // Dashboards never stream. **A**
    let streams = kind == ActionType::Query && lists(DownloadSetting::Url);
    let way = match order.way {
        Some(Way::Url) if kind != ActionType::Query => {
            return Err(Refused::new("Looker streams queries alone, no dashboards."));
        }
        Some(way) => way,
        None if streams && (order.all_results || !lists(DownloadSetting::Push)) => Way::Url,
        None => Way::Push,
    };
    Ok(match way {
        Way::Push => delivery.push(format, source),
        Way::Url => delivery.by_url(format, source),
    })
}

/// A file in pieces.
async fn file(path: &std::path::Path) -> Result<Source, Refused> {
    let cannot =
        |error: std::io::Error| Refused(format!("{} cannot be read: {error}.", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(cannot)?;
    let pieces = stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let mut piece = bytes::BytesMut::with_capacity(64 << 10);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.freeze()), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(Source::stream(pieces))
}
