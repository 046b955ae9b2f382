//! Schedules, and the history of all sends as Looker's admin sees it.

use axum::extract::{Form as Posted, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Page;
use super::sends::spoken;
use super::view::{Pairs, shown};
use crate::instance::{Cron, NewSchedule, Run, RunStatus, Schedule, ScheduleId, Trigger};

/// Lines of the history that are shown.
const SHOWN: usize = 100;
/// Offered in the list; any other can be typed.
const ZONES: [&str; 10] = [
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
];

#[derive(Serialize)]
struct ScheduleView {
    id: ScheduleId,
    title: String,
    what: String,
    action: String,
    user: String,
    cron: String,
    words: String,
    zone: String,
    enabled: bool,
    next: String,
    last: String,
}

impl ScheduleView {
    fn of(schedule: &Schedule) -> Self {
        let cron = Cron::new(&schedule.cron, &schedule.zone).ok();
        let at = |time: Option<Timestamp>| time.map(|time| local(time, &schedule.zone));
        Self {
            id: schedule.id,
            title: schedule.title.clone(),
            what: spoken(&schedule.order.what),
            action: schedule.order.action.name.clone(),
            user: schedule.order.user.clone(),
            words: cron.map(|cron| cron.describe()).unwrap_or_default(),
            cron: schedule.cron.clone(),
            zone: schedule.zone.clone(),
            enabled: schedule.enabled,
            next: at(schedule.next).unwrap_or_else(|| "never".to_owned()),
            last: at(schedule.last).unwrap_or_else(|| "not yet".to_owned()),
        }
    }
}

#[derive(Serialize)]
struct RunLine {
    id: u64,
    title: String,
    action: String,
    user: String,
    format: String,
    trigger: &'static str,
    started: String,
    seconds: Option<f64>,
    status: &'static str,
    colour: &'static str,
    message: String,
    bytes: u64,
}

impl RunLine {
    fn of(run: Run) -> Self {
        let (status, colour) = match run.status {
            RunStatus::InProgress => ("in progress", "warn"),
            RunStatus::Success => ("success", "good"),
            RunStatus::Failure => ("failure", "bad"),
            RunStatus::Aborted => ("aborted", "bad"),
        };
        Self {
            id: run.id,
            title: run.title,
            action: run.action.name,
            user: run.user,
            format: run.format.map(|format| format.to_string()).unwrap_or_default(),
            trigger: match run.trigger {
                Trigger::Now => "sent by hand",
                Trigger::Schedule => "schedule",
                Trigger::SendNow => "schedule, sent now",
            },
            started: local(run.started, "UTC"),
            seconds: run.ended.map(|ended| ended.duration_since(run.started).as_secs_f64()),
            status,
            colour,
            message: run.message,
            bytes: run.bytes,
        }
    }
}

/// `2026-11-25 06:00 Europe/Berlin`.
fn local(time: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

pub(super) async fn list(State(page): State<Page>) -> Response {
    let schedules: Vec<_> = page.instance().schedules().iter().map(ScheduleView::of).collect();
    let history = page.instance().history();
    let is_busy = history.iter().any(|run| run.status == RunStatus::InProgress);
    let runs: Vec<_> = history.into_iter().take(SHOWN).map(RunLine::of).collect();
    let is_busy = is_busy || schedules.iter().any(|schedule| schedule.enabled);
    let keeps = page.instance().settings().folder.is_some();
    let more = minijinja::context! {
        schedules => shown(schedules),
        runs => shown(runs),
        is_busy,
        keeps,
    };
    page.draw("schedules.html", "/schedules", more)
}

/// The schedule of a filled-in form, before it is made.
pub(super) async fn draft(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    page.draft(form, "").await
}

pub(super) async fn create(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let made = async {
        let cron = Cron::new(of("cron"), of("zone")).map_err(|error| error.to_string())?;
        let order = page.order(&form).await?;
        let title = match of("title").trim() {
            "" => spoken(&order.what),
            title => title.to_owned(),
        };
        let new = NewSchedule { title, order, cron, enabled: true };
        page.instance().schedule(new).await.map_err(|refused| refused.to_string())
    };
    match made.await {
        Ok(_) => Redirect::to("/schedules").into_response(),
        Err(why) => page.draft(form.clone(), &why).await,
    }
}

/// Send now, pause, resume, delete.
pub(super) async fn change(
    State(page): State<Page>,
    Path(id): Path<ScheduleId>,
    Posted(form): Posted<Pairs>,
) -> Response {
    let what = form.get("do").map(String::as_str).unwrap_or_default();
    let done = match what {
        "send" => page.instance().send_now(id).await.map(|_| ()),
        "delete" => page.instance().unschedule(id).await,
        _ => page.switch(id, what == "resume").await,
    };
    match done {
        Ok(()) => Redirect::to("/schedules").into_response(),
        Err(refused) => page.refuse(&refused.to_string()),
    }
}

impl Page {
    async fn draft(&self, form: Pairs, error: &str) -> Response {
        let action = form.get("action").cloned().unwrap_or_default();
        self.remember(&action, form.clone());
        let own = ["cron", "zone", "title"];
        let mut carried = form.clone();
        carried.retain(|name, _| !own.contains(&name.as_str()));
        let what = self.order(&form).await.map(|order| spoken(&order.what)).unwrap_or_default();
        let more = minijinja::context! {
            what,
            is_upload => form.get("data").is_some_and(|data| data.starts_with("table:")),
            error,
            action,
            carried => shown(carried),
            given => shown(form),
            zones => shown(ZONES),
        };
        self.draw("schedule.html", "/schedules", more)
    }

    async fn switch(&self, id: ScheduleId, enabled: bool) -> Result<(), crate::instance::Refused> {
        let refused = |why: String| crate::instance::Refused(why);
        let all = self.instance().schedules();
        let schedule = all.into_iter().find(|schedule| schedule.id == id);
        let schedule = schedule.ok_or_else(|| refused(format!("There is no schedule {id}.")))?;
        let cron = Cron::new(&schedule.cron, &schedule.zone).map_err(|e| refused(e.to_string()))?;
        let new = NewSchedule { title: schedule.title, order: schedule.order, cron, enabled };
        self.instance().reschedule(id, new).await.map(|_| ())
    }
}
