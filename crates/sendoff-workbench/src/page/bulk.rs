//! The 10 GB button: data of any size, made as it flows, and the hub's memory beside it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Form as Posted, State};
use axum::response::{IntoResponse, Redirect, Response};
use sendoff_protocol::{ActionType, DownloadSetting, Format, Members};
use serde::Serialize;
use tokio::task::JoinSet;

use super::view::{Pairs, shown};
use super::{Page, locked};
use crate::instance::{Order, RunId, Running, Way, What};
use crate::verdict::{Severity, Verdict};

/// How often the memory is read.
const EVERY: Duration = Duration::from_millis(250);
/// So many readings are drawn; when there are more, every second one goes.
const DRAWN: usize = 240;
/// In the order tried.
const FORMATS: [Format; 3] = [Format::Csv, Format::Json, Format::JsonDetailLiteStream];
const SIZES: [(u64, &str); 4] = [
    (10_000_000, "10 MB"),
    (100_000_000, "100 MB"),
    (1_000_000_000, "1 GB"),
    (10_000_000_000, "10 GB"),
];

/// The large send of this page.
#[derive(Default)]
pub(super) struct Bulk {
    state: Arc<Mutex<Option<Load>>>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Clone)]
struct Load {
    running: Running,
    action: String,
    bytes: u64,
    readings: Arc<Mutex<Readings>>,
}

/// The hub's memory over time.
#[derive(Default)]
struct Readings {
    all: VecDeque<u64>,
    /// One of so many readings is drawn.
    stride: usize,
    count: usize,
    before: u64,
    most: u64,
    now: u64,
}

#[derive(Serialize)]
struct LoadView {
    run: RunId,
    action: String,
    total: u64,
    moved: u64,
    seconds: f64,
    rate: u64,
    is_running: bool,
    verdict: Option<Verdict>,
    success: bool,
    memory: Option<MemoryView>,
}

#[derive(Serialize)]
struct MemoryView {
    before: u64,
    now: u64,
    most: u64,
    growth: u64,
    /// Of a line in a box of 100 by 100.
    points: String,
}

/// An action that takes generated rows.
#[derive(Serialize)]
struct Taker {
    name: String,
    label: String,
    streams: bool,
}

pub(super) async fn page(State(page): State<Page>) -> Response {
    let load = locked(&page.0.bulk.state).clone();
    let load = load.map(|load| LoadView::of(&load));
    let takers = page.takers();
    let memory = page.0.setup.hub_process.and_then(memory_of);
    let more = minijinja::context! {
        load => shown(load),
        takers => shown(takers),
        sizes => shown(SIZES),
        memory,
        ours => memory.is_some(),
    };
    page.draw("load.html", "/load", more)
}

pub(super) async fn start(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    let name = form.get("action").cloned().unwrap_or_default();
    let bytes = form.get("bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(SIZES[3].0);
    match page.load(&name, bytes).await {
        Ok(()) => Redirect::to("/load").into_response(),
        Err(why) => page.refuse(&why),
    }
}

pub(super) async fn stop(State(page): State<Page>) -> Response {
    let load = locked(&page.0.bulk.state).clone();
    if let Some(load) = load {
        load.running.cancel();
        load.running.finished().await;
    }
    Redirect::to("/load").into_response()
}

impl Page {
    fn takers(&self) -> Vec<Taker> {
        let actions = self.instance().actions().into_iter().filter(|action| {
            let definition = &action.definition;
            let takes = |format| {
                definition.supported_formats.as_ref().is_none_or(|list| list.contains(&format))
            };
            action.enabled
                && action.id.hub == self.0.setup.hub
                && definition.supported_action_types.contains(&ActionType::Query)
                && definition.required_fields.is_empty()
                && FORMATS.into_iter().any(takes)
        });
        let taker = |action: crate::instance::Action| Taker {
            streams: action.definition.supported_download_settings.contains(&DownloadSetting::Url),
            label: action.definition.label,
            name: action.id.name,
        };
        actions.map(taker).collect()
    }

    async fn load(&self, name: &str, bytes: u64) -> Result<(), String> {
        if let Some(load) = &*locked(&self.0.bulk.state)
            && load.running.result().is_none()
        {
            return Err("A large send is on its way already.".to_owned());
        }
        let id = self.action_id(name);
        let action = self.instance().action(&id).map_err(|refused| refused.to_string())?;
        let formats = action.definition.supported_formats.as_ref();
        let format = FORMATS.into_iter().find(|one| formats.is_none_or(|list| list.contains(one)));
        let streams = action.definition.supported_download_settings.contains(&DownloadSetting::Url);
        let mut order = Order::new(&id, What::Generated { bytes, seed: 1 });
        order.user = self.user(&Pairs::new());
        order.format = format;
        order.way = Some(if streams { Way::Url } else { Way::Push });
        if let Some(known) = self.vendors().and_then(|vendors| vendors.known(name)) {
            order.answers = Members(known.answers.into_iter().collect());
        }
        if let Some(vendors) = self.vendors() {
            vendors.prepare(name, "");
        }
        let process = self.0.setup.hub_process;
        let before = process.and_then(memory_of).unwrap_or_default();
        let running = self.instance().send(order).await.map_err(|refused| refused.to_string())?;
        let readings =
            Readings { before, most: before, now: before, stride: 1, ..Default::default() };
        let readings = Arc::new(Mutex::new(readings));
        let load = Load {
            running: running.clone(),
            action: name.to_owned(),
            bytes,
            readings: Arc::clone(&readings),
        };
        *locked(&self.0.bulk.state) = Some(load);
        if let Some(process) = process {
            let mut tasks = locked(&self.0.bulk.tasks);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move {
                while running.result().is_none() {
                    if let Some(bytes) = memory_of(process) {
                        locked(&readings).add(bytes);
                    }
                    tokio::time::sleep(EVERY).await;
                }
            });
        }
        Ok(())
    }
}

impl Readings {
    fn add(&mut self, bytes: u64) {
        self.now = bytes;
        self.most = self.most.max(bytes);
        self.count += 1;
        if self.count.is_multiple_of(self.stride) {
            self.all.push_back(bytes);
        }
        if self.all.len() > DRAWN {
            let mut keep = false;
            self.all.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride *= 2;
        }
    }

    /// The line begins at nothing, so that flat looks flat.
    fn view(&self) -> MemoryView {
        let scale = (self.most.max(1) as f64) * 1.15;
        let last = self.all.len().saturating_sub(1).max(1) as f64;
        let points = self.all.iter().enumerate().map(|(n, bytes)| {
            format!("{:.1},{:.1}", n as f64 / last * 100.0, 100.0 - *bytes as f64 / scale * 100.0)
        });
        MemoryView {
            before: self.before,
            now: self.now,
            most: self.most,
            growth: self.most.saturating_sub(self.before),
            points: points.collect::<Vec<_>>().join(" "),
        }
    }
}

impl LoadView {
    fn of(load: &Load) -> Self {
        let progress = *load.running.progress().borrow();
        let sent = load.running.result();
        let seconds = progress.elapsed().as_secs_f64();
        let moved = progress.moved();
        let memory = locked(&load.readings);
        Self {
            run: load.running.run,
            action: load.action.clone(),
            total: load.bytes,
            moved,
            seconds,
            rate: (moved as f64 / seconds.max(0.001)) as u64,
            is_running: sent.is_none(),
            success: sent.as_ref().is_some_and(|sent| sent.verdict.severity == Severity::Success),
            verdict: sent.map(|sent| sent.verdict.clone()),
            memory: (memory.now > 0).then(|| memory.view()),
        }
    }
}

/// The memory that a process holds just now, in bytes: `VmRSS` of proc(5).
#[allow(clippy::disallowed_methods, reason = "a few lines that the kernel has in memory")]
fn memory_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_can_be_read() {
        assert!(memory_of(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(memory_of(u32::MAX), None);
    }

    #[test]
    fn a_long_run_is_thinned_out_and_its_most_kept() {
        let mut readings = Readings { stride: 1, ..Readings::default() };
        for n in 0..10_000_u64 {
            readings.add(if n == 5_001 { 900 } else { 100 });
        }
        assert!(readings.all.len() <= DRAWN);
        assert_eq!((readings.most, readings.now), (900, 100));
        assert!(readings.view().points.starts_with("0.0,"));
    }
}
