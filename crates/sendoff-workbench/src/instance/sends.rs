//! Sends: what goes to which action for whom, watched while it runs, and what came of it.

mod load;
mod order;

use std::sync::Arc;

use sendoff_protocol::{Definition, Outcome};
use serde::Serialize;
use tokio::sync::watch;

use super::book::ActionId;
use super::history::{RunId, RunStatus, Trigger};
use super::journal::ExchangeId;
use super::{Instance, Refused, locked};
use crate::faults::{Carried, Chance};
use crate::looker::{Answered, Fault, Looker, Trip};
use crate::progress::{Meter, Progress, Stage};
use crate::remarks::Remark;
use crate::request::Delivery;
use crate::verdict::Verdict;

pub use order::{Order, Way, What};

use load::Loaded;

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
        if outcome.as_ref().is_some_and(|outcome| outcome.success) && !progress.all_sent {
            warnings.push(format!(
                "The hub told its success when {} bytes of the request had been sent, and did not \
                 wait for the rest.",
                progress.sent
            ));
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
