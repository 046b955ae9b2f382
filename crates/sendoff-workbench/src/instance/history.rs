//! The history of what was sent, as Looker's schedule history shows it.

use std::collections::VecDeque;

use jiff::Timestamp;
use sendoff_protocol::Format;
use serde::{Deserialize, Serialize};

use super::book::ActionId;
use super::journal::ExchangeId;
use super::schedules::ScheduleId;
use super::sends::Order;
use super::{Instance, locked};
use crate::progress::Progress;

/// A run's number.
pub type RunId = u64;

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It runs.
    InProgress,
    /// Looker takes it for delivered.
    Success,
    /// Looker takes it for failed.
    Failure,
    /// Somebody stopped it.
    Aborted,
}

/// Why a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A user sent it.
    Now,
    /// Its schedule was due.
    Schedule,
    /// A user sent a schedule now.
    SendNow,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The schedule, if it has one.
    pub schedule: Option<ScheduleId>,
    /// Why it began.
    pub trigger: Trigger,
    /// What was sent.
    pub title: String,
    /// To which action.
    pub action: ActionId,
    /// By whom.
    pub user: String,
    /// In which format, where one was chosen.
    pub format: Option<Format>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it stands.
    pub status: RunStatus,
    /// The hub's message, or why there is none.
    pub message: String,
    /// How many bytes moved.
    pub bytes: u64,
    /// The call.
    pub exchange: Option<ExchangeId>,
}

/// So many runs are kept.
const KEPT: usize = 1_000;

/// The runs, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    runs: VecDeque<Run>,
    next: RunId,
}

impl History {
    /// What was kept; the last line of a run counts. What ran when the instance ended runs no more.
    pub(super) fn read(lines: impl Iterator<Item = Run>) -> Self {
        let mut history = Self::default();
        for run in lines {
            history.put(run);
        }
        for run in history.runs.iter_mut().filter(|run| run.status == RunStatus::InProgress) {
            run.status = RunStatus::Failure;
            run.ended = Some(Timestamp::now());
            // Looker's words.
            run.message = format!("Job is no longer processing @{}", Timestamp::now());
        }
        history
    }

    fn put(&mut self, run: Run) {
        self.next = self.next.max(run.id);
        match self.runs.iter_mut().find(|known| known.id == run.id) {
            Some(known) => *known = run,
            None => self.runs.push_back(run),
        }
        if self.runs.len() > KEPT {
            self.runs.pop_front();
        }
    }

    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.iter()
    }
}

impl Instance {
    /// The runs, the newest first.
    pub fn history(&self) -> Vec<Run> {
        locked(&self.0.history).lines().rev().cloned().collect()
    }

    /// The run of that number.
    pub fn run_of(&self, id: RunId) -> Option<Run> {
        locked(&self.0.history).lines().find(|run| run.id == id).cloned()
    }

    pub(super) async fn start_run(
        &self,
        order: &Order,
        title: &str,
        trigger: Trigger,
        schedule: Option<ScheduleId>,
    ) -> RunId {
        let run = {
            let mut history = locked(&self.0.history);
            let run = Run {
                id: history.next + 1,
                schedule,
                trigger,
                title: title.to_owned(),
                action: order.action.clone(),
                user: order.user.clone(),
                format: order.format,
                started: Timestamp::now(),
                ended: None,
                status: RunStatus::InProgress,
                message: String::new(),
                bytes: 0,
                exchange: None,
            };
            history.put(run.clone());
            run
        };
        self.keep_run(&run).await;
        run.id
    }

    pub(super) async fn end_run(
        &self,
        id: RunId,
        status: RunStatus,
        message: String,
        exchange: Option<ExchangeId>,
        progress: &Progress,
    ) {
        let Some(run) = self.run_of(id) else { return };
        let ended = Some(Timestamp::now());
        let run = Run { ended, status, message, exchange, bytes: progress.moved(), ..run };
        locked(&self.0.history).put(run.clone());
        self.keep_run(&run).await;
    }

    async fn keep_run(&self, run: &Run) {
        if let Ok(line) = serde_json::to_string(run) {
            let all = || locked(&self.0.history).lines().map(serde_json::to_string).collect();
            let _ = self.0.store.append("history.jsonl", &line, 3 * KEPT, all).await;
        }
    }
}
