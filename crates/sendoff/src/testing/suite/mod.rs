//! One behaviour suite for every action: a named test per case, chosen by what the spec declares.
//!
//! An action of your own gets it in a line. In `tests/behaviour.rs`, with `harness = false`:
//!
//! ```no_run
//! # use sendoff::testing::{suite, Fake};
//! # use std::sync::Arc;
//! # fn fake() -> (Box<dyn sendoff::AnyAction>, Arc<dyn Fake>) { unimplemented!() }
//! fn main() -> std::process::ExitCode {
//!     suite::main([suite::Subject::new(fake)])
//! }
//! ```
//!
//! `cargo test --test behaviour amazon_s3::fault` runs the tests whose names hold that text.

mod cells;
mod definition;
mod deliver;
mod form;
mod lab;
mod login;
#[cfg(test)]
mod login_tests;
mod memory;
mod refuse;
mod rows;
#[cfg(test)]
mod rows_tests;
mod secrets;
mod sides;
#[cfg(test)]
mod tests;
mod verdict;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

use super::Fake;
use crate::{AnyAction, Commit, Download, Format, Repeatable, Spec};

pub use verdict::Failure;

/// What a case comes to.
pub type Verdict = Result<(), Failure>;

/// No case may hang; the slowest takes a fraction of this on one busy core.
const LIMIT: Duration = Duration::from_secs(240);

/// Makes an action and a fresh stand-in for its vendor.
type Make = dyn Fn() -> (Box<dyn AnyAction>, Arc<dyn Fake>) + Send + Sync;

/// An action under test.
#[derive(Clone)]
pub struct Subject {
    make: Arc<Make>,
    spec: Spec,
    golden: Option<Golden>,
    snapshot: Option<PathBuf>,
    server: Option<&'static str>,
    /// The way of the form that sends each row by itself is under test.
    by_row: bool,
}

#[derive(Clone)]
struct Golden {
    definition: Value,
    differences: Vec<Difference>,
}

/// A member of an action's definition that differs from another hub's on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The action's name.
    pub action: &'static str,
    /// The member, as a JSON pointer into the definition: `/params/0/required`.
    pub pointer: &'static str,
    /// Why.
    pub reason: &'static str,
}

impl Subject {
    /// An action and a stand-in for its vendor. `make` is called anew for each test.
    pub fn new(
        make: impl Fn() -> (Box<dyn AnyAction>, Arc<dyn Fake>) + Send + Sync + 'static,
    ) -> Self {
        let spec = make().0.spec();
        let (golden, snapshot, server) = Default::default();
        Self { make: Arc::new(make), spec, golden, snapshot, server, by_row: false }
    }

    /// The same action against a real server, named `action@server`. The fake then only knows
    /// where the server is, hands connections on to it and looks at what stands there, so the
    /// cases are left out that need answers of our own making.
    #[must_use]
    pub fn against(mut self, server: &'static str) -> Self {
        self.server = Some(server);
        self
    }

    /// The same action where its form can be answered so that each row becomes something by itself
    /// at the vendor; named `action@rows`. The stand-in's answers choose that, and it counts rows,
    /// of which none may be sent twice. What has nothing to do with the data is tried with the
    /// action itself.
    #[must_use]
    pub fn by_row(mut self) -> Self {
        self.spec.commit = Commit::Streaming;
        self.spec.repeatable = Repeatable::Nothing;
        self.spec.formats = Some(&[Format::JsonDetail]);
        self.by_row = true;
        self
    }

    /// Another hub's definition of this action, which ours must equal less `differences` and
    /// beyond which it may only have more optional params.
    #[must_use]
    pub fn golden(mut self, definition: Value, differences: &[Difference]) -> Self {
        let ours = differences.iter().filter(|one| one.action == self.spec.name);
        self.golden = Some(Golden { definition, differences: ours.copied().collect() });
        self
    }

    /// A file that holds the definition and the form as they were approved. With
    /// `SENDOFF_BLESS=1` in the environment it is written.
    #[must_use]
    pub fn snapshot(mut self, file: impl Into<PathBuf>) -> Self {
        self.snapshot = Some(file.into());
        self
    }

    /// The action's name.
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    fn title(&self) -> String {
        match self.server {
            Some(server) => format!("{}@{server}", self.spec.name),
            None if self.by_row => format!("{}@rows", self.spec.name),
            None => self.spec.name.to_owned(),
        }
    }

    /// A format that carries bytes as they are, if the action takes one.
    fn text_format(&self) -> Format {
        let offered = self.spec.formats.filter(|formats| !formats.is_empty());
        match offered {
            // Rows need to be told apart from what is around them.
            None if self.takes_rows() => Format::JsonDetail,
            // A message may show rows, and what the tests send as CSV has none that are sound.
            Some(formats)
                if (self.takes_messages() || self.counts_rows())
                    && formats.contains(&Format::JsonDetail) =>
            {
                Format::JsonDetail
            }
            None => Format::Csv,
            Some(formats) if formats.contains(&Format::Csv) => Format::Csv,
            Some(formats) => {
                formats.iter().copied().find(|format| !format.is_binary()).unwrap_or(formats[0])
            }
        }
    }

    /// A format that is pushed as base64.
    fn binary_format(&self) -> Option<Format> {
        match self.spec.formats.filter(|formats| !formats.is_empty()) {
            None => Some(Format::Xlsx),
            Some(formats) => formats.iter().copied().find(|format| format.is_binary()),
        }
    }

    /// Whether the vendor takes rows one by one, and counts them.
    fn takes_rows(&self) -> bool {
        self.spec.commit == Commit::Streaming && self.server.is_none()
    }

    /// Whether the vendor's book tells which rows stand there, be it that they came one by one or
    /// all at once.
    fn counts_rows(&self) -> bool {
        (self.make)().1.takes_rows().is_some()
    }

    /// Whether requests for rows keep a pace.
    fn paced(&self) -> bool {
        self.takes_rows() || self.counts_rows()
    }

    /// Whether the vendor gets a message about the data, and not the data.
    fn takes_messages(&self) -> bool {
        (self.make)().1.takes_messages()
    }

    fn downloads(&self) -> bool {
        self.spec.download == Download::Url
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("title", &self.title()).finish_non_exhaustive()
    }
}

/// One named case of one subject.
struct Case {
    name: String,
    run: Box<dyn FnOnce(Subject) -> BoxFuture<'static, Verdict> + Send>,
}

fn case<F>(name: impl Into<String>, run: impl FnOnce(Subject) -> F + Send + 'static) -> Case
where
    F: Future<Output = Verdict> + Send + 'static,
{
    Case { name: name.into(), run: Box::new(move |subject| Box::pin(run(subject))) }
}

fn cases(subject: &Subject) -> Vec<Case> {
    let mut cases = Vec::new();
    if subject.server.is_none() && !subject.by_row {
        cases.extend(definition::cases(subject));
        cases.extend(form::cases(subject));
        cases.extend(secrets::cases(subject));
        cases.extend(login::cases(subject));
    }
    if subject.server.is_none() {
        cases.extend(refuse::cases(subject));
    }
    cases.extend(deliver::cases(subject));
    cases.extend(sides::cases(subject));
    cases.extend(cells::cases(subject));
    cases.extend(rows::cases(subject));
    cases
}

/// Runs the cases of `subjects`, as `cargo test` asks on the command line.
pub fn main(subjects: impl IntoIterator<Item = Subject>) -> ExitCode {
    main_with(subjects, [])
}

/// As [`main`], with further tests of the caller's own: a name, and what it comes to.
pub fn main_with(
    subjects: impl IntoIterator<Item = Subject>,
    further: impl IntoIterator<Item = (String, Verdict)>,
) -> ExitCode {
    let args = Arguments::from_args();
    let mut trials = Vec::new();
    for subject in subjects {
        let title = subject.title();
        for case in cases(&subject) {
            let subject = subject.clone();
            let name = format!("{title}::{}", case.name);
            trials.push(Trial::test(name, move || finish(run(case, subject))));
        }
        trials.push(memory::trial(&subject));
    }
    for (name, verdict) in further {
        trials.push(Trial::test(name, move || finish(verdict)));
    }
    libtest_mimic::run(&args, trials).exit_code()
}

fn finish(verdict: Verdict) -> Result<(), Failed> {
    verdict.map_err(|failure| Failed::from(failure.to_string()))
}

fn run(case: Case, subject: Subject) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let verdict = runtime.block_on(async {
        match tokio::time::timeout(LIMIT, (case.run)(subject)).await {
            Ok(verdict) => verdict,
            Err(_) => Err(Failure::new(format!("not done after {} s", LIMIT.as_secs()))),
        }
    });
    // A blocking thread that hangs is no reason to hang with it.
    runtime.shutdown_background();
    verdict
}
