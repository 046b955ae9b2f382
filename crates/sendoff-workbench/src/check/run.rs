//! Runs the checks that were asked for, one after the other.

use std::fmt;
use std::time::{Duration, Instant};

use super::judge::Stop;
use super::probe::Probe;
use super::subject::{Hub, locked};
use super::wire::Deaf;
use super::{Check, Checked, Evidence, Execute, Options, Outcome, Report, all};

/// `--only` and `--skip` leave nothing to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingMatched;

impl fmt::Display for NothingMatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("No check has such an id. `sendoff explain` lists them all.")
    }
}

impl std::error::Error for NothingMatched {}

/// How often a hub that has died is asked whether it is back.
const COME_BACKS: u32 = 20;

/// Checks a hub.
///
/// # Errors
/// No check is left by [`Options::only`] and [`Options::skip`].
pub async fn run(options: &Options) -> Result<Report, NothingMatched> {
    if !all().any(|check| is_wanted(check, options)) {
        return Err(NothingMatched);
    }
    Ok(checked(Hub::meet(options).await, options).await)
}

/// Checks a hub by what was recorded of it: no call is made. What takes a call is not run.
///
/// # Errors
/// As [`run`].
pub async fn run_recorded(options: &Options, evidence: Evidence) -> Result<Report, NothingMatched> {
    if !all().any(|check| is_wanted(check, options)) {
        return Err(NothingMatched);
    }
    let mut options = options.clone();
    options.execute = evidence
        .delivered()
        .map(|action| Execute { action: action.to_owned(), ..Execute::default() });
    // Whether the hub has a token is not shown by what was recorded with one.
    options.token = Some(crate::request::MASK.to_owned());
    if let Some(url) = evidence.hub() {
        options.url = url.to_owned();
    }
    let mut report = checked(Hub::recorded(&options, evidence), &options).await;
    "sendoff check --recorded FILE".clone_into(&mut report.again);
    Ok(report)
}

async fn checked(hub: Hub<'_>, options: &Options) -> Report {
    let since = Instant::now();
    let mut untestable = untestable(&hub);
    let mut gone: Option<String> = None;
    let mut checks = Vec::new();
    for check in all() {
        let probe = Probe::new(&hub);
        let (outcome, detail) = if !is_wanted(check, options) {
            (Outcome::Skipped, "left out by --only or --skip".to_owned())
        } else if let Some(why) = &gone {
            (Outcome::NotRun, why.clone())
        } else {
            ask(check, &probe, untestable.is_some()).await
        };
        let (outcome, detail) = match hub.asked_for_more() || hub.cannot_tell(check.id) {
            true => (Outcome::NotRun, NEEDS_THE_HUB.to_owned()),
            false => (outcome, detail),
        };
        let lost = outcome.is_finding() && detail.starts_with("after ")
            || check.id == "auth/malformed/survived" && outcome.is_finding();
        if lost && !is_back(&hub, options.patience).await {
            gone = Some(format!("the hub has not come back since {}", check.id));
        }
        let recorded = probe.seen().filter(|_| outcome.is_finding());
        let exchanges = locked(&hub.exchanges);
        let number = |one: &std::sync::Arc<_>| {
            exchanges.iter().position(|other| std::sync::Arc::ptr_eq(one, other))
        };
        let shown = recorded.map(|one| (number(&one).unwrap_or_default() + 1, one));
        let detail = hub.masked(&detail);
        checks.push(Checked {
            id: check.id,
            title: check.title,
            outcome,
            strength: check.strength,
            reference: check.reference(),
            detail,
            expected: None,
            shown,
        });
    }
    if let (None, Some(why)) = (&untestable, gone) {
        untestable = Some(why).filter(|_| !checks.iter().any(|c| c.outcome == Outcome::Fail));
    }
    let exchanges = locked(&hub.exchanges).clone();
    Report {
        hub: options.url.clone(),
        version: env!("CARGO_PKG_VERSION"),
        checks,
        untestable,
        took: since.elapsed(),
        again: again(options),
        exchanges,
    }
}

/// What a recording cannot show.
const NEEDS_THE_HUB: &str = "needs the hub itself; a recording does not show it";

fn is_wanted(check: &Check, options: &Options) -> bool {
    let begins = |prefix: &String| {
        let rest = check.id.strip_prefix(prefix.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    (options.only.is_empty() || options.only.iter().any(begins)) && !options.skip.iter().any(begins)
}

/// Why no check could say anything about the hub.
fn untestable(hub: &Hub<'_>) -> Option<String> {
    match &hub.list.heard {
        Err(deaf @ (Deaf::Unreachable(_) | Deaf::Url(_))) => Some(deaf.why().to_owned()),
        Ok(heard) if [401, 403].contains(&heard.status) => Some(format!(
            "The hub answers the list call with status {}: the token is wrong or missing, or \
             something before the hub drops it.",
            heard.status
        )),
        _ => None,
    }
}

async fn ask(check: &Check, probe: &Probe<'_>, untestable: bool) -> (Outcome, String) {
    // With a hub that cannot be talked to only these say why.
    if untestable && !check.id.starts_with("path/token/") {
        return (Outcome::NotRun, "the hub could not be tested".to_owned());
    }
    match (check.ask)(probe).await {
        Ok(()) => (Outcome::Pass, String::new()),
        Err(Stop::Wrong(what)) => (check.strength.severity(probe.hub.options.profile), what),
        Err(Stop::Inapplicable(why)) => (Outcome::NotApplicable, why),
        Err(Stop::NotRun(why)) => (Outcome::NotRun, why),
        Err(Stop::Ours(why)) => (Outcome::Error, why),
    }
}

/// A supervisor may start a hub that has died.
async fn is_back(hub: &Hub<'_>, patience: Duration) -> bool {
    for _ in 0..COME_BACKS {
        if hub.is_alive().await {
            return true;
        }
        tokio::time::sleep(patience / COME_BACKS).await;
    }
    false
}

/// The command that runs the same again, without any secret.
fn again(options: &Options) -> String {
    let mut line = format!("sendoff check {}", options.url);
    if options.token.is_some() {
        line += " --token \"$TOKEN\"";
    }
    if options.profile == super::Profile::Reference {
        line += " --profile reference";
    }
    if let Some(execute) = &options.execute {
        line += &format!(" --execute {}", execute.action);
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        for (name, value) in &execute.fields {
            line += &format!(" --field {}", quoted(&format!("{name}={value}")));
        }
        for (name, _) in &execute.params {
            line += &format!(" --param {name}=…");
        }
    }
    line
}
