//! `sendoff check`: is any hub, in any language, what Looker expects?

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sendoff_workbench::check::{self, Execute, Expected, Options, Profile, Report, Unexpected};
use sendoff_workbench::{Paint, recording};
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use crate::cli;
use crate::config::{Environment, token_text};
use crate::tell::tell;

/// The command or a file that it names is wrong.
const WRONG_USAGE: u8 = 2;
/// Looked for where the command runs, unless another is named.
const EXPECTATIONS: &str = "check.expect.toml";
/// More than any list of known failures needs.
const FILE_AT_MOST: u64 = 1 << 20;

const CODES: &str = "\
Exit codes:
   0  the hub is right
   1  the hub is wrong, or the list of known failures is out of date
   2  wrong usage, also when no check has the ids asked for
   3  the hub could not be tested: not reachable, its certificate or the token refused
  70  a check itself failed

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
    /// A param of the action, as an admin would set it; may be repeated.
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
    mut args: CheckArgs,
    environment: &Environment,
    colour: bool,
) -> anyhow::Result<ExitCode> {
    args.token = match token_text(args.token.as_deref(), environment) {
        Ok(token) => token,
        Err(why) => return Ok(wrong_usage(&why)),
    };
    let expected = match expectations(args.expect.as_deref()).await {
        Ok(expected) => expected,
        Err(why) => return Ok(wrong_usage(&why)),
    };
    let ran = match &args.recorded {
        None => check::run(&args.options()).await,
        Some(path) => match evidence(path).await {
            Ok(evidence) => check::run_recorded(&args.options(), evidence).await,
            Err(error) => return Ok(wrong_usage(&format!("{}: {error}", path.display()))),
        },
    };
    let mut report = match ran {
        Ok(report) => report,
        Err(nothing) => return Ok(wrong_usage(&nothing.to_string())),
    };
    let today = jiff::Zoned::now().date();
    let (mut entries, mut outdated) = (Vec::new(), Vec::new());
    for problem in check::apply(&mut report, &expected, today) {
        match problem {
            Unexpected::Entry(why) => entries.push(why),
            Unexpected::Outdated(why) => outdated.push(why),
        }
    }
    for (kind, file) in &args.report {
        if let Err(error) = tokio::fs::write(file, written(*kind, &report)?).await {
            return Ok(wrong_usage(&format!("{} cannot be written: {error}.", file.display())));
        }
    }
    if args.json {
        cli::print(format!("{}\n", serde_json::to_string_pretty(&report)?).as_bytes())?;
    } else {
        let paint = if colour { Paint::Colour } else { Paint::Plain };
        cli::print(check::report::print(&report, paint).as_bytes())?;
    }
    for why in entries.iter().chain(&outdated) {
        tell!("{why}");
    }
    let code = match report.exit_code() {
        0 if !entries.is_empty() => WRONG_USAGE,
        0 if !outdated.is_empty() => 1,
        code => code,
    };
    Ok(ExitCode::from(code))
}

/// What the recording shows.
async fn evidence(path: &Path) -> std::io::Result<check::Evidence> {
    let mut reader = recording::Reader::open(path).await?;
    let mut evidence = check::Evidence::default();
    while let Some(recorded) = reader.next().await? {
        evidence.add(&recorded);
    }
    Ok(evidence)
}

fn wrong_usage(why: &str) -> ExitCode {
    tell!("{why}");
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
        options.token.clone_from(&self.token);
        options.only.clone_from(&self.only);
        options.skip.clone_from(&self.skip);
        options.profile = match self.profile {
            ProfileName::Standard => Profile::Standard,
            ProfileName::Reference => Profile::Reference,
        };
        options.patience = self.patience;
        options.delivery_patience = self.delivery_patience;
        options.largest_body = usize::from(self.largest_body) << 20;
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
    expect: Vec<Expected>,
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
    Ok(file.expect)
}
