//! A conformance test for any action hub, in any language: what each check asks, how it is run and
//! what comes of it.
//!
//! A check cites the fact that it holds the hub to, and the strength of that fact is its severity.
//! Nothing is delivered unless an action is named in [`Options::execute`].

mod auth;
mod definitions;
mod deliveries;
mod downloads;
mod evidence;
mod expect;
mod explain;
mod fields;
mod forms;
mod judge;
mod list;
mod oauth;
mod path;
mod payloads;
mod permitted;
mod probe;
mod refusals;
pub mod report;
mod robustness;
mod run;
mod samples;
mod sections;
mod subject;
mod wire;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

pub use evidence::Evidence;
pub use expect::{Expected, apply, faulty};
pub use explain::explain;
pub(crate) use forms::LONGEST_STATE;
use judge::Verdict;
pub(crate) use judge::{cut, stack_trace};
use probe::Probe;
pub use run::{Misused, Step, run, run_recorded, run_watched, wanted};
pub use sections::{SECTIONS, SOURCES, Section, section_of};
pub(crate) use subject::fields_of;

/// One check: what it asks, why, and the code that asks it.
pub struct Check {
    /// `area/topic/case`; never used for anything else again.
    pub id: &'static str,
    /// What holds when it passes.
    pub title: &'static str,
    /// What the hub has to do.
    pub rule: &'static str,
    /// What Looker does with a hub that breaks the rule.
    pub looker: &'static str,
    /// The section of the protocol page.
    pub section: &'static str,
    /// How well the fact is known.
    pub strength: Strength,
    /// An answer that breaks the rule.
    pub wrong: &'static str,
    /// An answer that keeps it.
    pub right: &'static str,
    ask: for<'a> fn(&'a Probe<'a>) -> Asking<'a>,
}

type Asking<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Every check in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Check> {
    let areas: [&'static [Check]; 12] = [
        list::CHECKS,
        definitions::CHECKS,
        auth::CHECKS,
        forms::CHECKS,
        fields::CHECKS,
        refusals::CHECKS,
        deliveries::CHECKS,
        payloads::CHECKS,
        downloads::CHECKS,
        oauth::CHECKS,
        robustness::CHECKS,
        path::CHECKS,
    ];
    areas.into_iter().flatten()
}

/// The check of this id.
pub fn find(id: &str) -> Option<&'static Check> {
    all().find(|check| check.id == id)
}

impl Check {
    /// `list`, `auth`, `form`, `execute`, `oauth`, `robustness` or `path`.
    pub fn area(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// Whether its id begins so, by whole parts.
    pub fn begins(&self, prefix: &str) -> bool {
        let prefix = prefix.trim_end_matches('/');
        let parts = self.id.get(..prefix.len()).zip(self.id.get(prefix.len()..));
        parts.is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// `Action API §4`.
    pub fn reference(&self) -> String {
        format!("Action API §{}", self.section)
    }

    /// How the rule is known. Section 14 lists what the reference hub does wrong.
    pub fn known_from(&self) -> &'static str {
        match self.section.starts_with("14.") {
            true => "a fault of the reference hub, known from its source",
            false => self.strength.means(),
        }
    }
}

/// How well a fact of the protocol is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Strength {
    /// Looker's own documentation or API specification.
    A,
    /// What the reference hub does, which works with real Lookers.
    B,
    /// Seen by third parties.
    C,
    /// Inferred.
    D,
}

impl Strength {
    /// What it means to break a rule of this strength.
    pub fn severity(self, profile: Profile) -> Outcome {
        match (self, profile) {
            (Self::A, _) | (Self::B, Profile::Reference) => Outcome::Fail,
            (Self::B, Profile::Standard) | (Self::C, _) => Outcome::Warn,
            (Self::D, _) => Outcome::Note,
        }
    }

    /// Where facts of this strength come from.
    pub const fn means(self) -> &'static str {
        match self {
            Self::A => "documented by Looker",
            Self::B => "what the reference hub does, which works with real Lookers",
            Self::C => "seen by third parties",
            Self::D => "inferred",
        }
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the hub is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// What Looker documents.
    #[default]
    Standard,
    /// What the reference hub does, too.
    Reference,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The hub keeps the rule.
    Pass,
    /// It breaks a rule that is documented.
    Fail,
    /// It breaks a rule that is well known.
    Warn,
    /// It breaks a rule that is inferred.
    Note,
    /// Left out on demand.
    Skipped,
    /// The hub has nothing that the rule is about, or breaks a rule that comes before it.
    NotApplicable,
    /// It takes a delivery, and none was allowed; or the hub was gone.
    NotRun,
    /// The check itself failed: ours.
    Error,
}

impl Outcome {
    /// In reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Note => "note",
            Self::Skipped => "skipped",
            Self::NotApplicable => "not applicable",
            Self::NotRun => "not run",
            Self::Error => "error",
        }
    }

    /// Whether the hub broke the rule, however grave that is.
    pub const fn is_finding(self) -> bool {
        matches!(self, Self::Fail | Self::Warn | Self::Note)
    }
}

/// What is checked, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The list URL, as the admin types it into Looker.
    pub url: String,
    /// The hub's token.
    pub token: Option<String>,
    /// Run those alone that begin with one of these.
    pub only: Vec<String>,
    /// Leave those out that begin with one of these.
    pub skip: Vec<String>,
    /// What the hub is held to.
    pub profile: Profile,
    /// How long a silence may last before the hub counts as hanging.
    pub patience: Duration,
    /// The same for the answer to a delivery, between two of its newlines.
    pub delivery_patience: Duration,
    /// The largest body that is sent to try the path, in bytes.
    pub largest_body: usize,
    /// The action that deliveries may be made with.
    pub execute: Option<Execute>,
    /// A PEM file of authorities that the hub's certificate may be of, beside the public ones.
    pub extra_ca: Option<PathBuf>,
}

/// A delivery that may really be made.
#[derive(Clone, Debug, Default)]
pub struct Execute {
    /// The action's name.
    pub action: String,
    /// The answers to its form.
    pub fields: Vec<(String, String)>,
    /// Its params, as the admin would set them.
    pub params: Vec<(String, String)>,
}

impl Options {
    /// The run that is safe for any hub: it delivers nothing.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            token: None,
            only: Vec::new(),
            skip: Vec::new(),
            profile: Profile::default(),
            patience: Duration::from_secs(5),
            // The reference sends a newline each 30 s; twice that without one is silence.
            delivery_patience: Duration::from_secs(65),
            largest_body: 8 << 20,
            execute: None,
            extra_ca: None,
        }
    }
}

/// What came of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The list URL.
    pub hub: String,
    /// The version of the checks.
    pub version: &'static str,
    /// In the order run.
    pub checks: Vec<Checked>,
    /// Why nothing more could be tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untestable: Option<String>,
    /// Whether it was stopped before its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// How long it all took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// The rest of the line that runs a check again.
    #[serde(skip)]
    again: String,
    /// Everything that crossed the wire.
    #[serde(skip)]
    exchanges: Vec<std::sync::Arc<wire::Recorded>>,
}

/// What came of one check.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The check's.
    pub id: &'static str,
    /// The check's.
    pub title: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// The check's.
    pub strength: Strength,
    /// The check's.
    pub reference: String,
    /// What was found, or why there is nothing to find.
    pub detail: String,
    /// The reason why the finding is known, from the list of known failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The exchange that shows it, with its number in the run, from 1.
    #[serde(rename = "exchange", serialize_with = "exchange")]
    shown: Option<(usize, std::sync::Arc<wire::Recorded>)>,
}

impl Report {
    /// How many checks came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|checked| checked.outcome == outcome).count()
    }

    /// 0 when the hub is right, 1 when it is wrong, 3 when it could not be tested, 70 when a check
    /// itself failed, 130 when it was stopped. A failure that is expected counts for nothing.
    pub fn exit_code(&self) -> u8 {
        let wrong = |c: &Checked| c.outcome == Outcome::Fail && c.expected.is_none();
        if self.stopped {
            130
        } else if self.untestable.is_some() {
            3
        } else if self.checks.iter().any(wrong) {
            1
        } else if self.count(Outcome::Error) > 0 {
            70
        } else {
            0
        }
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn exchange<S: Serializer>(
    shown: &Option<(usize, std::sync::Arc<wire::Recorded>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match shown {
        Some((_, recorded)) => recorded.exchange.serialize(serializer),
        None => serializer.serialize_none(),
    }
}
