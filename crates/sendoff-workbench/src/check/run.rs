//! Runs the checks that were asked for, one after the other.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::judge::Stop;
use super::probe::Probe;
use super::subject::{Hub, locked};
use super::wire::{Deaf, Heard, Recorded};
use super::{Check, Checked, Evidence, Execute, Options, Outcome, Profile, Report, all};
use crate::copy::quoted;
use crate::dial::{Address, Authorities};
use crate::looker::web_page;

/// The options are wrong: nothing can be said of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misused(pub(super) String);

impl fmt::Display for Misused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misused {}

/// The check that runs just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many were before it.
    pub done: usize,
    /// How many there are.
    pub all: usize,
    /// The check's.
    pub id: &'static str,
}

/// How often a hub that has died is asked whether it is back.
const COME_BACKS: u32 = 20;

/// Checks a hub.
///
/// # Errors
/// The URL is none, [`Options::only`] or [`Options::skip`] name no check or leave none, or the hub
/// has no such action, param or field as [`Options::execute`] names.
pub async fn run(options: &Options) -> Result<Report, Misused> {
    run_watched(options, |_| {}, std::future::pending()).await
}

/// Checks a hub, tells each check as it begins, and ends with what was found so far when `stop`
/// does.
///
/// # Errors
/// As [`run`].
pub async fn run_watched(
    options: &Options,
    tell: impl FnMut(Step),
    stop: impl Future<Output = ()>,
) -> Result<Report, Misused> {
    wanted(options)?;
    Address::of(&options.url).map_err(Misused)?;
    let mut stop = pin!(stop);
    let since = Instant::now();
    let authorities = Authorities::of(options.extra_ca.as_deref()).await;
    let mut hub = Hub::unmet(options, authorities.map_err(|error| Misused(error.to_string()))?);
    let met = unless(&mut stop, async {
        hub.meet().await;
        Probe::new(&hub).misused().await
    });
    let met = met.await;
    if let Some(Some(why)) = met {
        return Err(Misused(why));
    }
    let mut run = Run::new(hub, options, since, again(options));
    if met.is_none() {
        // Nothing is known of a hub that had no time to answer.
        (run.stopped, run.untestable) = (true, None);
    }
    run.go(tell, stop).await;
    Ok(run.report())
}

/// Checks a hub by what was recorded of it: no call is made. What takes a call is not run.
///
/// # Errors
/// As [`run`].
pub async fn run_recorded(options: &Options, evidence: Evidence) -> Result<Report, Misused> {
    wanted(options)?;
    let mut options = options.clone();
    options.execute = evidence
        .delivered()
        .map(|action| Execute { action: action.to_owned(), ..Execute::default() });
    // Whether the hub has a token is not shown by what was recorded with one.
    options.token = Some(crate::request::MASK.to_owned());
    if let Some(url) = evidence.hub() {
        options.url = url.to_owned();
    }
    let mut again = format!("sendoff check --recorded {}", quoted(evidence.from()));
    again += profile(&options);
    let hub = Hub::recorded(&options, evidence);
    let mut run = Run::new(hub, &options, Instant::now(), again);
    run.go(|_| {}, pin!(std::future::pending())).await;
    Ok(run.report())
}

/// What comes of the work, unless it is stopped before.
async fn unless<T>(
    stop: &mut Pin<&mut impl Future<Output = ()>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.as_mut() => None,
        done = work => Some(done),
    }
}

/// A run that goes on.
struct Run<'r> {
    hub: Hub<'r>,
    options: &'r Options,
    since: Instant,
    again: String,
    untestable: Option<String>,
    gone: Option<String>,
    stopped: bool,
    checks: Vec<Checked>,
}

impl<'r> Run<'r> {
    fn new(hub: Hub<'r>, options: &'r Options, since: Instant, again: String) -> Self {
        let untestable = untestable(&hub);
        let (gone, stopped, checks) = (None, false, Vec::new());
        Self { hub, options, since, again, untestable, gone, stopped, checks }
    }

    async fn go(
        &mut self,
        mut tell: impl FnMut(Step),
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) {
        let number = all().count();
        for (done, check) in all().enumerate() {
            let mut seen = None;
            let (outcome, detail) = match self.left_out(check) {
                Some(left_out) => left_out,
                None => {
                    tell(Step { done, all: number, id: check.id });
                    let probe = Probe::new(&self.hub);
                    let asked = unless(&mut stop, ask(check, &probe)).await;
                    seen = probe.seen();
                    self.stopped = asked.is_none();
                    asked.unwrap_or((Outcome::NotRun, STOPPED.to_owned()))
                }
            };
            let (outcome, detail) =
                match self.hub.asked_for_more() || self.hub.cannot_tell(check.id) {
                    true => (Outcome::NotRun, NEEDS_THE_HUB.to_owned()),
                    false => (outcome, detail),
                };
            if is_lost(check, outcome, &detail) && !self.stopped {
                let back = unless(&mut stop, is_back(&self.hub, self.options.patience)).await;
                self.stopped = back.is_none();
                if back == Some(false) {
                    self.gone = Some(format!("the hub has not come back since {}", check.id));
                }
            }
            self.note(check, outcome, &detail, seen);
        }
    }

    /// Why the check is not asked at all.
    fn left_out(&self, check: &Check) -> Option<(Outcome, String)> {
        if !is_wanted(check, self.options) {
            return Some((Outcome::Skipped, "left out by --only or --skip".to_owned()));
        }
        let why = match &self.gone {
            _ if self.stopped => STOPPED.to_owned(),
            Some(why) => why.clone(),
            None if self.untestable.is_some() && !tells_why(check) => {
                "the hub could not be tested".to_owned()
            }
            None => return None,
        };
        Some((Outcome::NotRun, why))
    }

    fn note(
        &mut self,
        check: &'static Check,
        outcome: Outcome,
        detail: &str,
        seen: Option<Arc<Recorded>>,
    ) {
        let exchanges = locked(&self.hub.exchanges);
        let number = |one: &Arc<_>| exchanges.iter().position(|other| Arc::ptr_eq(one, other));
        let shown = seen.filter(|_| outcome.is_finding());
        let shown = shown.map(|one| (number(&one).unwrap_or_default() + 1, one));
        self.checks.push(Checked {
            id: check.id,
            title: check.title,
            outcome,
            strength: check.strength,
            reference: check.reference(),
            detail: self.hub.masked(detail),
            expected: None,
            shown,
        });
    }

    fn report(self) -> Report {
        let failed = self.checks.iter().any(|checked| checked.outcome == Outcome::Fail);
        Report {
            hub: self.options.url.clone(),
            version: env!("CARGO_PKG_VERSION"),
            untestable: self.untestable.or(self.gone.filter(|_| !failed)),
            stopped: self.stopped,
            checks: self.checks,
            took: self.since.elapsed(),
            again: self.again,
            exchanges: locked(&self.hub.exchanges).clone(),
        }
    }
}

/// What a recording cannot show.
const NEEDS_THE_HUB: &str = "needs the hub itself; a recording does not show it";
const STOPPED: &str = "the run was stopped";

/// Whether the check says why a hub cannot be talked to.
fn tells_why(check: &Check) -> bool {
    ["path/token/", "path/tls/"].iter().any(|topic| check.id.starts_with(topic))
}

fn is_wanted(check: &Check, options: &Options) -> bool {
    let any = |prefixes: &[String]| prefixes.iter().any(|prefix| check.begins(prefix));
    (options.only.is_empty() || any(&options.only)) && !any(&options.skip)
}

/// Whether [`Options::only`] and [`Options::skip`] begin ids, and leave a check.
///
/// # Errors
/// One of them begins none, or none is left.
pub fn wanted(options: &Options) -> Result<(), Misused> {
    let named = options.only.iter().chain(&options.skip);
    if let Some(typo) = named.into_iter().find(|prefix| !all().any(|check| check.begins(prefix))) {
        return Err(Misused(format!(
            "No check's id begins with `{typo}`. `sendoff explain` lists them all."
        )));
    }
    match all().any(|check| is_wanted(check, options)) {
        true => Ok(()),
        false => Err(Misused("--skip leaves none of the checks that --only names.".to_owned())),
    }
}

/// Why no check could say anything about the hub.
fn untestable(hub: &Hub<'_>) -> Option<String> {
    let heard = match &hub.list.heard {
        Err(Deaf::Silent(_)) => {
            let waited = hub.list.recorded.exchange.until_end.as_secs_f64();
            return Some(format!("The list call was not answered within {waited:.0} s."));
        }
        Err(deaf) => return Some(deaf.why().to_owned()),
        Ok(heard) => heard,
    };
    if [401, 403].contains(&heard.status) {
        return Some(format!(
            "The hub answers the list call with status {}: the token is wrong or missing, or \
             something before the hub drops it.",
            heard.status
        ));
    }
    let what = no_hub(heard)?;
    Some(format!(
        "The list call is answered with {what}: it is no action hub, or the URL is not its list \
         URL."
    ))
}

/// What answers in the place of a hub.
fn no_hub(heard: &Heard) -> Option<String> {
    let body = String::from_utf8_lossy(&heard.body);
    if let Some(page) = web_page(&body) {
        return Some(format!("status {} and {page}", heard.status));
    }
    // Nothing is here, or nothing that takes POST; a hub would say so in JSON.
    let refuses = [404, 405, 410, 501].contains(&heard.status);
    (refuses && !body.trim_start().starts_with('{')).then(|| format!("status {}", heard.status))
}

async fn ask(check: &Check, probe: &Probe<'_>) -> (Outcome, String) {
    match (check.ask)(probe).await {
        Ok(()) => (Outcome::Pass, String::new()),
        Err(Stop::Wrong(what)) => (check.strength.severity(probe.hub.options.profile), what),
        Err(Stop::Inapplicable(why)) => (Outcome::NotApplicable, why),
        Err(Stop::NotRun(why)) => (Outcome::NotRun, why),
        Err(Stop::Ours(why)) => (Outcome::Error, why),
    }
}

/// Whether the hub may have died of the check.
fn is_lost(check: &Check, outcome: Outcome, detail: &str) -> bool {
    outcome.is_finding() && (detail.starts_with("after ") || check.id == "auth/malformed/survived")
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

fn profile(options: &Options) -> &'static str {
    match options.profile {
        Profile::Reference => " --profile reference",
        Profile::Standard => "",
    }
}

/// The command that runs the same again, without any secret.
fn again(options: &Options) -> String {
    let usual = Options::new("");
    let mut line = format!("sendoff check {}", quoted(&options.url));
    if options.token.is_some() {
        line += " --token \"$TOKEN\"";
    }
    line += profile(options);
    if options.patience != usual.patience {
        line += &format!(" --patience {}", options.patience.as_secs_f64());
    }
    if options.delivery_patience != usual.delivery_patience {
        line += &format!(" --delivery-patience {}", options.delivery_patience.as_secs_f64());
    }
    if options.largest_body != usual.largest_body {
        line += &format!(" --largest-body {}", options.largest_body >> 20);
    }
    if let Some(path) = &options.extra_ca {
        line += &format!(" --extra-ca {}", quoted(&path.to_string_lossy()));
    }
    if let Some(execute) = &options.execute {
        line += &format!(" --execute {}", quoted(&execute.action));
        for (name, value) in &execute.fields {
            line += &format!(" --field {}", quoted(&format!("{name}={value}")));
        }
        for (name, _) in &execute.params {
            line += &format!(" --param {}=…", quoted(name));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::dial::acceptor;

    #[test]
    fn the_line_runs_the_same_again() {
        let mut options = Options::new("https://hub.example/list?a=1&b=it's");
        options.token = Some("t".to_owned());
        options.profile = Profile::Reference;
        options.patience = Duration::from_millis(500);
        options.delivery_patience = Duration::from_secs(90);
        options.largest_body = 32 << 20;
        options.execute = Some(Execute {
            action: "file".into(),
            fields: vec![("filename".into(), "a b".into())],
            params: vec![("key".into(), "s3cret".into())],
        });
        assert_eq!(
            again(&options),
            "sendoff check 'https://hub.example/list?a=1&b=it'\\''s' --token \"$TOKEN\" \
             --profile reference --patience 0.5 --delivery-patience 90 --largest-body 32 \
             --execute file --field 'filename=a b' --param key=…"
        );
        assert_eq!(again(&Options::new("http://h/")), "sendoff check http://h/");
    }

    #[test]
    fn ids_are_taken_by_whole_parts_and_typos_are_told() {
        let options = |only: &[&str], skip: &[&str]| {
            let texts = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
            Options { only: texts(only), skip: texts(skip), ..Options::new("http://h/") }
        };
        for (only, skip) in [
            (&["list"][..], &["list/urls/"][..]),
            (&["List/Answer"], &[]),
            (&[], &["auth/malformed/survived"]),
        ] {
            assert_eq!(wanted(&options(only, skip)), Ok(()));
        }
        for (only, skip, says) in [
            (&["list", "nope"][..], &[][..], "begins with `nope`"),
            (&[], &["list/ans"], "begins with `list/ans`"),
            (&["list/answer"], &["list"], "--skip leaves none"),
        ] {
            let why = wanted(&options(only, skip)).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }

    /// A hub without actions, by HTTPS, with a certificate of an authority of its own.
    async fn hub_by_https(pki: &Path) -> (String, JoinSet<()>) {
        let (chain, key) = (pki.join("localhost.pem"), pki.join("localhost.key.pem"));
        let tls = acceptor(&chain, &key).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(mut socket) = tls.accept(socket).await else { continue };
                let mut head = [0; 4_096];
                let _ = socket.read(&mut head).await;
                let list = "{\"label\":\"H\",\"integrations\":[]}";
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", list.len());
                let _ = socket.write_all((head + list).as_bytes()).await;
                let _ = socket.shutdown().await;
            }
        });
        (url, serving)
    }

    #[tokio::test]
    async fn a_certificate_is_believed_where_its_authority_is() {
        let pki = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pki");
        let (url, _serving) = hub_by_https(&pki).await;
        let mut options = Options::new(&url);
        options.only = vec!["list/answer".to_owned(), "path/tls".to_owned()];
        let report = run(&options).await.unwrap();
        assert_eq!(report.exit_code(), 3);
        let found: Vec<_> = report.checks.iter().filter(|c| c.outcome.is_finding()).collect();
        assert!(found.len() == 1 && found[0].id == "path/tls/encrypted", "{found:?}");
        assert!(found[0].detail.contains("issued by \"Test authority\""), "{found:?}");
        options.extra_ca = Some(pki.join("authority.pem"));
        let report = run(&options).await.unwrap();
        assert_eq!(report.untestable, None);
        assert!(
            report
                .checks
                .iter()
                .any(|c| c.id == "list/answer/is-json" && c.outcome == Outcome::Pass)
        );
        options.extra_ca = Some(pki.join("not-there.pem"));
        assert!(
            run(&options).await.unwrap_err().to_string().contains("not-there.pem cannot be read")
        );
    }
}
