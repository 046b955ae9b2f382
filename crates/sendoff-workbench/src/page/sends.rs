//! Sending: from the filled-in form to the outcome, with its progress while it runs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::extract::{Form as Posted, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use sendoff_protocol::{Format, Formatting, Members, VisualizationFormatting};
use serde::Serialize;
use tokio::task::JoinSet;

use super::action::FIELD;
use super::data::{self, Pick};
use super::held::held;
use super::told::Told;
use super::vendors::{Delivered, Mischief};
use super::view::{Pairs, shown};
use super::wire::ExchangeView;
use super::{Page, back, below, locked};
use crate::Rendering;
use crate::faults::Faults;
use crate::instance::{Order, RunId, Running, Sent, Way, What};
use crate::progress::Stage;
use crate::verdict::{Severity, Verdict};

/// So many sends keep their details; older ones stand in the history.
const KEPT: usize = 50;

/// What can go wrong on Looker's side, as [`Faults`] reads it and as people do.
pub(super) const FAULTS: [Trouble; 12] = [
    Trouble { id: "cut@2000", label: "the body ends after 2,000 bytes as if that were all" },
    Trouble { id: "hangup@2000", label: "Looker hangs up after 2,000 bytes" },
    Trouble { id: "hangup@newline", label: "Looker hangs up at the hub's first newline" },
    Trouble { id: "slow@2000", label: "slow: 2,000 bytes a second" },
    Trouble { id: "base64", label: "one character of the base64 is broken" },
    Trouble { id: "shuffled", label: "the members of the body are shuffled" },
    Trouble { id: "doubled", label: "a member of the body is written twice" },
    Trouble { id: "download@expired", label: "the download URL has expired: 404" },
    Trouble { id: "download@500", label: "the download URL answers 500" },
    Trouble { id: "download@html", label: "the download URL answers 200 with a login page" },
    Trouble { id: "download-cut@2000", label: "the download breaks off after 2,000 bytes" },
    Trouble { id: "download-short@2000", label: "the download ends early as if that were all" },
];

#[derive(Clone, Copy, Serialize)]
pub(super) struct Trouble {
    id: &'static str,
    label: &'static str,
}

/// The sends of this page.
#[derive(Default)]
pub(super) struct Sends {
    kept: Mutex<VecDeque<Kept>>,
    /// They take vendors' faults back when a send is over.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Clone)]
struct Kept {
    running: Running,
    order: Order,
    vendor_fault: Option<Mischief>,
    /// What stood at the vendor before.
    before: Arc<[Delivered]>,
}

/// A send as it is shown.
#[derive(Serialize)]
pub(super) struct RunView {
    id: RunId,
    title: String,
    pub(super) action: String,
    pub(super) format: String,
    pub(super) user: String,
    is_running: bool,
    stage: String,
    sent: u64,
    fetched: u64,
    newlines: u64,
    seconds: f64,
    total: Option<u64>,
    pub(super) success: bool,
    broken: bool,
    verdict: Verdict,
    faults: String,
    vendor_fault: &'static str,
    vendor_fault_id: &'static str,
    /// What was sent, as links name it; empty where a page cannot.
    data: String,
    sql: String,
    warning: String,
    remarks: Vec<RemarkView>,
    exchanges: Vec<ExchangeView>,
    #[serde(skip)]
    wrong: Pairs,
    /// Whether what stands at the vendor now is of this send.
    #[serde(skip)]
    pub(super) is_latest: bool,
    /// What stood at the vendor before.
    #[serde(skip)]
    pub(super) before: Arc<[Delivered]>,
}

#[derive(Serialize)]
struct RemarkView {
    text: String,
    grave: bool,
}

impl RunView {
    /// What the hub says is wrong with the answers.
    pub(super) fn wrong(&self) -> Pairs {
        self.wrong.clone()
    }
}

/// "Send now".
pub(super) async fn send(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    let action = form.get("action").cloned().unwrap_or_default();
    let chosen = form.get("vendor_fault").map(String::as_str).unwrap_or_default();
    let began = match page.order(&form).await {
        Ok(order) => page.begin(order, chosen).await,
        Err(why) => Err(why),
    };
    match began {
        Ok(run) => {
            // What goes wrong on purpose goes wrong once.
            let mut kept = form.clone();
            kept.retain(|name, _| {
                !["fault", "fault_text", "vendor_fault"].contains(&name.as_str())
            });
            page.remember(&action, kept);
            back(&form, &[("run", run.to_string())])
        }
        Err(not_sent) => {
            page.remember(&action, form.clone());
            page.tell(Told { not_sent, ..Told::default() });
            back(&form, &[])
        }
    }
}

/// A send alone, also while it runs.
pub(super) async fn run(State(page): State<Page>, Path(id): Path<RunId>) -> Response {
    let Some(run) = page.run_view(id).await else {
        return page.refuse(&format!("There is no send {id}."));
    };
    let held = match page.vendors() {
        Some(vendors) => held(vendors, &run).await,
        None => None,
    };
    page.draw(
        "run.html",
        "/schedules",
        minijinja::context! { run => shown(run), held => shown(held) },
    )
}

pub(super) async fn cancel(State(page): State<Page>, Path(id): Path<RunId>) -> Response {
    if let Some(running) = page.instance().running().into_iter().find(|one| one.run == id) {
        running.cancel();
        running.finished().await;
    }
    Redirect::to(&format!("/runs/{id}")).into_response()
}

/// What is sent, in words.
pub(super) fn spoken(what: &What) -> String {
    match what {
        What::Look(slug) => format!("Look {slug}"),
        What::Dashboard(slug) => format!("dashboard {slug}"),
        What::Sql(_) => "SQL query".to_owned(),
        What::Table(name) => format!("table {name}"),
        What::Cell { rendered, .. } => format!("cell “{rendered}”"),
        What::Generated { bytes, .. } => {
            format!("{} made as they flow", super::view::bytes(*bytes))
        }
        _ => "file".to_owned(),
    }
}

/// What is sent, as the page's address names it, and the SQL where it is that.
fn named(what: &What) -> (String, String) {
    match what {
        What::Look(slug) => (format!("look:{slug}"), String::new()),
        What::Dashboard(slug) => (format!("dashboard:{slug}"), String::new()),
        What::Table(name) => (format!("table:{name}"), String::new()),
        What::Sql(sql) => ("sql".to_owned(), sql.clone()),
        _ => (String::new(), String::new()),
    }
}

impl Page {
    /// What the form says.
    pub(super) async fn order(&self, form: &Pairs) -> Result<Order, String> {
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let pick = Pick::parse(of("data"), of("sql"));
        let what = match (of("cell"), &pick) {
            ("", Pick::Look(slug)) => What::Look(slug.clone()),
            ("", Pick::Dashboard(slug)) => What::Dashboard(slug.clone()),
            ("", Pick::Table(name)) => What::Table(name.clone()),
            ("", Pick::Sql(sql)) => What::Sql(sql.clone()),
            (cell, pick) => {
                let (_, chosen) = data::view(self.warehouse(), pick, cell).await;
                let cell = chosen.cell.ok_or("There is no such cell.")?;
                What::Cell { value: cell.value, rendered: cell.rendered }
            }
        };
        let mut order = Order::new(&self.action_id(of("action")), what);
        order.user = self.user(form);
        order.format = of("format").parse::<Format>().ok();
        order.answers = Members(below(form, FIELD).into_iter().collect());
        order.way = match of("way") {
            "url" => Some(Way::Url),
            "push" => Some(Way::Push),
            _ => None,
        };
        order.all_results = of("limit") == "all";
        order.rendering = rendering(form);
        let written = [of("fault_text"), of("fault")].into_iter().find(|text| !text.is_empty());
        order.faults = faults(written.unwrap_or_default(), of("seed"))?;
        Ok(order)
    }

    /// Sends, with a vendor that fails as asked.
    pub(super) async fn begin(&self, order: Order, mischief: &str) -> Result<RunId, String> {
        let action = order.action.name.clone();
        let (mut vendor_fault, mut before) = (None, Vec::new());
        if let Some(vendors) = self.vendors() {
            before = vendors.objects(&action).await;
            let known = vendors.mischiefs(&action).into_iter();
            vendor_fault = known.into_iter().find(|one| one.id == mischief);
            vendors.prepare(&action, mischief);
        }
        let began = self.instance().send(order.clone()).await;
        let running = match began {
            Ok(running) => running,
            Err(refused) => {
                self.heal(&action);
                return Err(refused.to_string());
            }
        };
        let run = running.run;
        let before = before.into();
        let kept = Kept { running: running.clone(), order, vendor_fault, before };
        {
            let mut all = locked(&self.0.sends.kept);
            all.push_back(kept);
            if all.len() > KEPT {
                all.pop_front();
            }
        }
        if vendor_fault.is_some() {
            let page = self.clone();
            let mut tasks = locked(&self.0.sends.tasks);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move {
                running.finished().await;
                page.heal(&action);
            });
        }
        Ok(run)
    }

    fn heal(&self, action: &str) {
        if let Some(vendors) = self.vendors() {
            vendors.heal(action);
        }
    }

    /// A send as it is shown; of an old one only what the history tells.
    pub(super) async fn run_view(&self, id: RunId) -> Option<RunView> {
        let kept = {
            let all = locked(&self.0.sends.kept);
            let kept = all.iter().find(|kept| kept.running.run == id).cloned();
            let same =
                |kept: &Kept| all.iter().rev().find(|one| one.order.action == kept.order.action);
            kept.map(|kept| (same(&kept).is_some_and(|one| one.running.run == id), kept))
        };
        match kept {
            Some((is_latest, kept)) => Some(self.kept_view(&kept, is_latest)),
            None => self.past_view(id),
        }
    }

    fn kept_view(&self, kept: &Kept, is_latest: bool) -> RunView {
        let progress = *kept.running.progress().borrow();
        let sent = kept.running.result();
        let mut view = RunView {
            id: kept.running.run,
            title: kept.running.title.clone(),
            action: kept.order.action.name.clone(),
            format: kept.order.format.map(|format| format.to_string()).unwrap_or_default(),
            user: kept.order.user.clone(),
            is_running: sent.is_none(),
            stage: doing(progress.stage).to_owned(),
            sent: progress.sent,
            fetched: progress.fetched,
            newlines: progress.newlines,
            seconds: progress.elapsed().as_secs_f64(),
            total: match kept.order.what {
                What::Generated { bytes, .. } => Some(bytes),
                _ => None,
            },
            success: false,
            broken: false,
            verdict: Verdict::default(),
            faults: kept.order.faults.to_string(),
            vendor_fault: kept.vendor_fault.map(|one| one.label).unwrap_or_default(),
            vendor_fault_id: kept.vendor_fault.map(|one| one.id).unwrap_or_default(),
            data: named(&kept.order.what).0,
            sql: named(&kept.order.what).1,
            warning: String::new(),
            remarks: Vec::new(),
            exchanges: Vec::new(),
            wrong: Pairs::new(),
            is_latest,
            before: Arc::clone(&kept.before),
        };
        if let Some(sent) = sent {
            self.add_result(&mut view, &sent);
        }
        view
    }

    fn add_result(&self, view: &mut RunView, sent: &Arc<Sent>) {
        view.verdict = sent.verdict.clone();
        view.success = sent.verdict.severity == Severity::Success;
        view.warning = sent.warnings.join(" ");
        let entry = self.instance().journal().get(sent.exchange);
        let status = entry.as_ref().and_then(|entry| entry.exchange.status);
        view.broken = status.is_none();
        view.stage = match (status, &sent.outcome) {
            (Some(status), Some(outcome)) if outcome.success => {
                format!("answered {status}: success")
            }
            (Some(status), Some(_)) => format!("answered {status}: failure"),
            (Some(status), None) => format!("answered {status}"),
            (None, _) => "gave no answer".to_owned(),
        };
        if let Some(outcome) = &sent.outcome {
            view.wrong = outcome.validation_errors.clone();
        }
        view.remarks = sent
            .remarks
            .iter()
            .map(|remark| RemarkView {
                text: match remark.looker.as_str() {
                    "" => remark.to_string(),
                    looker => format!("{remark} {looker}"),
                },
                grave: sent.verdict.severity == Severity::Mistaken,
            })
            .collect();
        let numbers = sent.downloads.iter().chain([&sent.exchange]);
        let entries = numbers.filter_map(|id| self.instance().journal().get(*id));
        view.exchanges = entries.map(|entry| ExchangeView::of(&entry)).collect();
    }

    fn past_view(&self, id: RunId) -> Option<RunView> {
        let run = self.instance().run_of(id)?;
        let entry = run.exchange.and_then(|id| self.instance().journal().get(id));
        let seconds = run.ended.map(|ended| ended.duration_since(run.started).as_secs_f64());
        let verdict = match &entry {
            Some(entry) => entry.verdict.clone(),
            None => Verdict {
                severity: match run.status {
                    crate::instance::RunStatus::Success => Severity::Success,
                    _ => Severity::Failure,
                },
                user: run.message.clone(),
                admin: run.message.clone(),
            },
        };
        Some(RunView {
            id,
            title: run.title,
            action: run.action.name,
            format: run.format.map(|format| format.to_string()).unwrap_or_default(),
            user: run.user,
            is_running: run.ended.is_none(),
            stage: "answered".to_owned(),
            sent: run.bytes,
            fetched: 0,
            newlines: 0,
            seconds: seconds.unwrap_or_default(),
            total: None,
            success: verdict.severity == Severity::Success,
            broken: false,
            verdict,
            faults: String::new(),
            vendor_fault: "",
            vendor_fault_id: "",
            data: String::new(),
            sql: String::new(),
            warning: String::new(),
            remarks: Vec::new(),
            exchanges: entry.iter().map(|entry| ExchangeView::of(entry)).collect(),
            wrong: Pairs::new(),
            is_latest: false,
            before: Arc::default(),
        })
    }
}

/// Faults as they are written, with the seed of the form unless they bring their own.
pub(super) fn faults(text: &str, seed: &str) -> Result<Faults, String> {
    let mut faults: Faults = text.parse().map_err(|error| format!("{error}"))?;
    if !text.contains("seed=")
        && let Ok(seed) = seed.parse()
    {
        faults.seed = seed;
    }
    Ok(faults)
}

/// How values and columns are to be shown, where the form says so.
fn rendering(form: &Pairs) -> Option<Rendering> {
    let formatting = match form.get("formatting")?.as_str() {
        "unformatted" => Formatting::Unformatted,
        _ => Formatting::Formatted,
    };
    let visualization = match form.get("visual").map(String::as_str) {
        Some("apply") => VisualizationFormatting::Apply,
        _ => VisualizationFormatting::Noapply,
    };
    Some(Rendering { formatting, visualization })
}

fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Preparing => "waits for the data",
        Stage::Sending => "takes the data",
        Stage::Waiting => "works",
        Stage::Answering => "works, and keeps the line open",
        Stage::Ended => "is done",
    }
}
