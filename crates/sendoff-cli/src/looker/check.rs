//! `sendoff check`: is any hub, in any language, what Looker expects?

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sendoff_workbench::check::{self, Execute, Expected, Options, Profile, Report, Step};
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use super::signals::Ends;
use super::terminal::Line;
use super::{Paints, complain};
use crate::cli;
use crate::config::{Environment, secret_text, token_text};
use crate::tell::tell;

/// The command or a file that it names is wrong.
const WRONG_USAGE: u8 = 2;
/// What was found cannot be written: `EX_IOERR` of sysexits.h.
const NOT_WRITTEN: u8 = 74;
/// Looked for where the command runs, unless another is named.
const EXPECTATIONS: &str = "check.expect.toml";
/// More than any list of known failures needs.
const FILE_AT_MOST: u64 = 1 << 20;

const CODES: &str = "\
Exit codes:
   0  the hub is right
   1  the hub is wrong, or the list of known failures is out of date
   2  wrong usage, also when no check has the ids asked for, or the hub not the action
   3  the hub could not be tested: not reachable, not a hub, its certificate or the token refused
  70  a check itself failed
  74  what was found could not be written, to stdout or to a report
 130  stopped: what was found so far is reported all the same

Nothing is delivered unless --execute names an action. With --recorded nothing is called at all.";

/// Checks any hub against what Looker expects of it. Delivers nothing unless --execute is given.
#[derive(Args, Debug)]
#[command(after_help = CODES)]
pub(crate) struct CheckArgs {
    /// The hub's list URL, as it is entered in Looker.
    #[arg(required_unless_present = "recorded")]
    url: Option<String>,
    /// Judges what `sendoff record` has recorded, as far as it shows something; calls no hub.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "execute", "token"])]
    recorded: Option<PathBuf>,
    /// The hub's token; may stand elsewhere: env:NAME, file:PATH, exec:COMMAND. Unless given,
    /// SENDOFF_TOKEN is asked.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Runs the checks alone whose id begins so; several with commas, or repeated.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Leaves out the checks whose id begins so; several with commas, or repeated.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    skip: Vec<String>,
    /// Makes real deliveries with this action, to check their answers.
    #[arg(long, value_name = "ACTION")]
    execute: Option<String>,
    /// An answer to the action's form; may be repeated.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = pair, requires = "execute")]
    fields: Vec<(String, String)>,
    /// A param of the action, as an admin would set it; may be repeated. The value may stand
    /// elsewhere, as the token may.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair, requires = "execute")]
    params: Vec<(String, String)>,
    /// What the hub is held to: Looker's documents alone, or the reference hub's habits too.
    #[arg(long, value_enum, default_value_t = ProfileName::Standard)]
    profile: ProfileName,
    /// How many seconds a silence may last.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    patience: Duration,
    /// The same between two newlines of a delivery's answer.
    #[arg(long, value_name = "SECONDS", default_value = "65", value_parser = seconds)]
    delivery_patience: Duration,
    /// The largest body that is sent, in MB.
    #[arg(long, value_name = "MB", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    largest_body: u16,
    /// Authorities that the hub's certificate may be of, in PEM, beside the public ones.
    #[arg(long, value_name = "FILE", conflicts_with = "recorded")]
    extra_ca: Option<PathBuf>,
    /// Known failures, with reason and until-date; ./check.expect.toml if it is there.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Prints JSON in place of text.
    #[arg(long)]
    json: bool,
    /// Writes reports: junit=FILE,html=FILE,har=FILE,json=FILE.
    #[arg(long, value_name = "KIND=FILE", value_delimiter = ',', value_parser = kind_and_file)]
    report: Vec<(Kind, PathBuf)>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileName {
    Standard,
    Reference,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Junit,
    Html,
    Har,
    Json,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it must be a number of seconds".to_owned())?;
    if !(0.05..=3_600.0).contains(&seconds) {
        return Err("it must be from 0.05 to 3600".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn kind_and_file(text: &str) -> Result<(Kind, PathBuf), String> {
    let kinds = "it must be junit=FILE, html=FILE, har=FILE or json=FILE";
    let (kind, file) = text.split_once('=').ok_or(kinds)?;
    let kind = match kind {
        "junit" => Kind::Junit,
        "html" => Kind::Html,
        "har" => Kind::Har,
        "json" => Kind::Json,
        _ => return Err(kinds.to_owned()),
    };
    Ok((kind, PathBuf::from(file)))
}

/// Checks the hub, prints what was found, and ends with the code that says so.
pub(crate) async fn run(
    args: CheckArgs,
    environment: &Environment,
    paints: Paints,
) -> anyhow::Result<ExitCode> {
    let mut ends = Ends::heeded()?;
    let (prepared, expected) = match prepare(&args, environment).await {
        Ok(prepared) => prepared,
        Err(why) => return Ok(wrong_usage(&why)),
    };
    let mut report = match ran(&args, &prepared.options, paints, &mut ends).await {
        Ok(report) => report,
        Err(why) => return Ok(wrong_usage(&why)),
    };
    let outdated = check::apply(&mut report, &expected, jiff::Zoned::now().date());
    let mut unwritten = printed(&args, &report, paints).err();
    for why in &outdated {
        complain(why);
    }
    for (kind, path, mut file) in prepared.files {
        if let Err(error) = file.write_all(written(kind, &report)?.as_bytes()) {
            unwritten = Some(format!("{} cannot be written: {error}.", path.display()));
        }
    }
    if let Some(why) = unwritten {
        tell!("{why}");
        return Ok(ExitCode::from(NOT_WRITTEN));
    }
    Ok(ExitCode::from(match report.exit_code() {
        0 if !outdated.is_empty() => 1,
        code => code,
    }))
}

/// What a run starts with, everything that could be wrong about it looked at.
struct Prepared {
    options: Options,
    /// Open already: a run may take minutes.
    files: Vec<(Kind, PathBuf, std::fs::File)>,
}

#[allow(clippy::disallowed_methods, reason = "a command of its own, without a server beside it")]
async fn prepare(
    args: &CheckArgs,
    environment: &Environment,
) -> Result<(Prepared, Vec<Expected>), String> {
    let mut options = args.options();
    options.token = token_text(args.token.as_deref(), environment)?;
    for (name, value) in options.execute.iter_mut().flat_map(|execute| &mut execute.params) {
        *value =
            secret_text(value, environment).map_err(|why| format!("--param {name}: {why}."))?;
    }
    let expected = expectations(args.expect.as_deref()).await?;
    let faulty = check::faulty(&expected);
    if !faulty.is_empty() {
        return Err(faulty.join("\n"));
    }
    let opened = |(kind, path): &(Kind, PathBuf)| match std::fs::File::create(path) {
        Ok(file) => Ok((*kind, path.clone(), file)),
        Err(error) => Err(format!("{} cannot be written: {error}.", path.display())),
    };
    let files: Result<Vec<_>, String> = args.report.iter().map(opened).collect();
    Ok((Prepared { options, files: files? }, expected))
}

async fn ran(
    args: &CheckArgs,
    options: &Options,
    paints: Paints,
    ends: &mut Ends,
) -> Result<Report, String> {
    let Some(path) = &args.recorded else {
        let line = Line::new(paints.err, args.json);
        let tell = |step: Step| line.show(&format!("{} of {}  {}", step.done, step.all, step.id));
        let ran = check::run_watched(options, tell, ends.asked()).await;
        line.clear();
        return ran.map_err(|misused| misused.to_string());
    };
    let evidence = check::Evidence::read(path).await;
    let evidence = evidence.map_err(|error| format!("{}: {error}", path.display()))?;
    if let Some(unfinished) = evidence.unfinished() {
        tell!("{}: {unfinished}", path.display());
    }
    let ran = check::run_recorded(options, evidence).await;
    ran.map_err(|misused| misused.to_string())
}

/// Prints the report, or tells why it cannot.
fn printed(args: &CheckArgs, report: &Report, paints: Paints) -> Result<(), String> {
    let text = match args.json {
        true => serde_json::to_string_pretty(report).map_err(|error| error.to_string())? + "\n",
        false => check::report::print(report, paints.out),
    };
    match cli::print(text.as_bytes()) {
        // `sendoff check … | head` has read enough.
        Err(error) if !cli::is_closed_pipe(&error) => {
            Err(format!("stdout cannot be written: {error}."))
        }
        _ => Ok(()),
    }
}

fn wrong_usage(why: &str) -> ExitCode {
    complain(why);
    ExitCode::from(WRONG_USAGE)
}

fn written(kind: Kind, report: &Report) -> serde_json::Result<String> {
    Ok(match kind {
        Kind::Junit => check::report::junit(report),
        Kind::Html => check::report::html(report),
        Kind::Har => serde_json::to_string_pretty(&check::report::har(report))?,
        Kind::Json => serde_json::to_string_pretty(report)?,
    })
}

impl CheckArgs {
    fn options(&self) -> Options {
        let mut options = Options::new(self.url.as_deref().unwrap_or_default());
        options.only.clone_from(&self.only);
        options.skip.clone_from(&self.skip);
        options.profile = match self.profile {
            ProfileName::Standard => Profile::Standard,
            ProfileName::Reference => Profile::Reference,
        };
        options.patience = self.patience;
        options.delivery_patience = self.delivery_patience;
        options.largest_body = usize::from(self.largest_body) << 20;
        options.extra_ca.clone_from(&self.extra_ca);
        options.execute = self.execute.as_ref().map(|action| Execute {
            action: action.clone(),
            fields: self.fields.clone(),
            params: self.params.clone(),
        });
        options
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    expect: Vec<Entry>,
}

/// A known failure as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    reason: String,
    /// A date of TOML's own, or a text.
    until: toml::Value,
}

impl Entry {
    fn read(self) -> Result<Expected, String> {
        let Self { id, reason, until } = self;
        let text = match &until {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let until = text.parse();
        let until = until
            .map_err(|_| format!("the entry `{id}`: `until` is no date such as 2026-12-31"))?;
        Ok(Expected { id, reason, until })
    }
}

/// The known failures, or what is wrong with their file.
async fn expectations(named: Option<&Path>) -> Result<Vec<Expected>, String> {
    let path = named.unwrap_or(Path::new(EXPECTATIONS));
    let cannot = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(cannot(&error)),
    };
    let mut text = String::new();
    let mut file = file.take(FILE_AT_MOST);
    file.read_to_string(&mut text).await.map_err(|error| cannot(&error))?;
    let file: File = toml::from_str(&text).map_err(|error| cannot(&error))?;
    let read: Result<Vec<_>, String> = file.expect.into_iter().map(Entry::read).collect();
    read.map_err(|why| cannot(&why))
}
