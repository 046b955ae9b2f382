//! The conformance checks of the hub, run from the page.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::extract::{Form as Posted, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use tokio::task::JoinSet;

use super::view::{Pairs, shown};
use super::{Page, locked};
use crate::check::{self, Checked, Options, Outcome, Profile, Report};

/// The run that goes on, and the one that is shown.
#[derive(Default)]
pub(super) struct Checks {
    state: Arc<Mutex<Ran>>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Ran {
    since: Option<Instant>,
    report: Option<Arc<Report>>,
}

#[derive(Serialize)]
struct ReportView<'a> {
    counts: Vec<(&'static str, &'static str, usize)>,
    findings: Vec<Finding<'a>>,
    rest: Vec<Finding<'a>>,
    untestable: Option<&'a str>,
    seconds: f64,
}

#[derive(Serialize)]
struct Finding<'a> {
    #[serde(flatten)]
    checked: &'a Checked,
    word: &'static str,
    colour: &'static str,
    rule: &'static str,
    looker: &'static str,
    means: &'static str,
}

pub(super) async fn page(State(page): State<Page>, Query(query): Query<Pairs>) -> Response {
    let (report, seconds) = {
        let ran = locked(&page.0.checks.state);
        (ran.report.clone(), ran.since.map(|since| since.elapsed().as_secs_f64()))
    };
    if let (Some(kind), Some(report)) = (query.get("as"), &report) {
        return file(kind, report);
    }
    let view = report.as_deref().map(ReportView::of);
    let total = check::all().count();
    let more = minijinja::context! { report => shown(view), seconds, total };
    page.draw("check.html", "/check", more)
}

pub(super) async fn start(State(page): State<Page>, Posted(form): Posted<Pairs>) -> Response {
    let mut options = Options::new(&page.hub().url);
    options.token.clone_from(&page.0.setup.token);
    let only = form.get("only").map(String::as_str).unwrap_or_default();
    options.only = only.split_whitespace().map(str::to_owned).collect();
    if form.get("profile").is_some_and(|profile| profile == "reference") {
        options.profile = Profile::Reference;
    }
    if let Err(misused) = check::wanted(&options) {
        return page.refuse(&misused.to_string());
    }
    let state = Arc::clone(&page.0.checks.state);
    {
        let mut ran = locked(&state);
        if ran.since.is_some() {
            return Redirect::to("/check").into_response();
        }
        *ran = Ran { since: Some(Instant::now()), report: None };
    }
    let mut tasks = locked(&page.0.checks.tasks);
    while tasks.try_join_next().is_some() {}
    tasks.spawn(async move {
        let report = check::run(&options).await.ok().map(Arc::new);
        *locked(&state) = Ran { since: None, report };
    });
    Redirect::to("/check").into_response()
}

/// The report as a file.
fn file(kind: &str, report: &Report) -> Response {
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let (name, media_type, text) = match kind {
        "html" => ("check.html", "text/html; charset=utf-8", check::report::html(report)),
        "junit" => ("check.xml", "application/xml", check::report::junit(report)),
        "har" => {
            let har = serde_json::to_string_pretty(&check::report::har(report));
            ("check.har", "application/json", json(har))
        }
        _ => ("check.json", "application/json", json(serde_json::to_string_pretty(report))),
    };
    let attachment = format!("attachment; filename=\"{name}\"");
    let headers =
        [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, attachment)];
    (headers, text).into_response()
}

impl<'a> ReportView<'a> {
    fn of(report: &'a Report) -> Self {
        let all = [
            Outcome::Fail,
            Outcome::Warn,
            Outcome::Note,
            Outcome::Error,
            Outcome::Pass,
            Outcome::NotApplicable,
            Outcome::NotRun,
            Outcome::Skipped,
        ];
        let counts = all.map(|outcome| (outcome.as_str(), colour(outcome), report.count(outcome)));
        let is_finding =
            |checked: &&Checked| checked.outcome.is_finding() || checked.outcome == Outcome::Error;
        let of = |wanted: bool| {
            let some = report.checks.iter().filter(move |checked| is_finding(checked) == wanted);
            some.map(Finding::of).collect()
        };
        Self {
            counts: counts.into_iter().filter(|(.., count)| *count > 0).collect(),
            findings: of(true),
            rest: of(false),
            untestable: report.untestable.as_deref(),
            seconds: report.took.as_secs_f64(),
        }
    }
}

impl<'a> Finding<'a> {
    fn of(checked: &'a Checked) -> Self {
        let check = check::find(checked.id);
        Self {
            checked,
            word: checked.outcome.as_str(),
            colour: colour(checked.outcome),
            rule: check.map(|check| check.rule).unwrap_or_default(),
            looker: check.map(|check| check.looker).unwrap_or_default(),
            means: check.map(check::Check::known_from).unwrap_or_default(),
        }
    }
}

fn colour(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "good",
        Outcome::Fail | Outcome::Error => "bad",
        Outcome::Warn => "warn",
        _ => "",
    }
}
