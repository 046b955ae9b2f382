//! What `sendoff send` can be told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use sendoff_protocol::{Definition, Format, Formatting, VisualizationFormatting};
use sendoff_workbench::instance::Way;
use sendoff_workbench::{Faults, Rendering, size};

use crate::config::{Environment, secret_text, token_text};

const CODES: &str = "\
Exit codes:
    0  delivered: the hub says so
    1  failed: the hub says so, or Looker takes its answer for a failure
    2  wrong usage, also an action, param, field or format that the hub does not have
    3  no answer: the hub cannot be reached or listed, or its answer broke off or never came
    4  Looker takes the answer for a success, and nothing in it says that it is one
  130  stopped

TOKEN and the values of --param may stand elsewhere: env:NAME, file:PATH, exec:COMMAND; after
literal: a text counts as it is. Without --token, SENDOFF_TOKEN is asked.

  sendoff send debug --to http://127.0.0.1:8080/ --token file:token --look penguins
  sendoff send amazon_s3 --to https://hub.example/ --param secret=env:KEY --field bucket=b --data x.csv
  sendoff send file --to http://127.0.0.1:8080/ --generate 10GB --format csv --field filename=big.csv";

/// Sends to an action of any hub as Looker would, and says what Looker makes of the answer.
#[derive(Args, Debug)]
#[command(after_help = CODES)]
#[command(group(ArgGroup::new("what")
    .args(["data", "sql", "look", "dashboard", "cell", "generate"])))]
pub(crate) struct SendArgs {
    /// The action's name. With --replay: only its deliveries.
    #[arg(required_unless_present = "replay")]
    pub(super) action: Option<String>,
    /// The hub's list URL, as it is entered in Looker.
    #[arg(long, value_name = "URL")]
    pub(super) to: String,
    /// The hub's token.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A file. It goes as it is where its ending is that of the format; a CSV else becomes a table
    /// and is sent in the format asked for, and so does a Parquet file. `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub(super) data: Option<PathBuf>,
    /// A query of the demo data: orders, users, companies, products, servers, penguins.
    #[arg(long, value_name = "QUERY")]
    pub(super) sql: Option<String>,
    /// A Look of the demo data, such as penguins.
    #[arg(long, value_name = "NAME")]
    pub(super) look: Option<String>,
    /// A dashboard of the demo data, such as shop.
    #[arg(long, value_name = "NAME")]
    pub(super) dashboard: Option<String>,
    /// One cell.
    #[arg(long, value_name = "VALUE")]
    pub(super) cell: Option<String>,
    /// How the cell is shown; as it is unless given.
    #[arg(long, value_name = "TEXT", requires = "cell")]
    pub(super) rendered: Option<String>,
    /// Rows that are made as they are sent, such as 10GB; nothing stands on disk or in memory.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(super) generate: Option<u64>,
    /// Makes the deliveries of a recording again. What a hub fetched stands in the recording where
    /// it was kept whole, else --data, --look, --sql or --generate give it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cell", "dashboard"])]
    pub(super) replay: Option<PathBuf>,
    /// With --replay: only the exchange of this number; may be repeated.
    #[arg(long, value_name = "NUMBER", requires = "replay")]
    pub(super) only: Vec<u64>,
    /// The format; the first that action and data have in common unless given.
    #[arg(long, value_parser = format)]
    pub(super) format: Option<Format>,
    /// A param of the action, as an admin sets it; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    params: Vec<(String, String)>,
    /// An answer to the action's form; may be repeated. What is not given is as the form has it.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) fields: Vec<(String, String)>,
    /// An attribute of the user who sends, such as email=ana@example.com; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// Does not draw the form first: the answers are those given and no others.
    #[arg(long)]
    pub(super) no_form: bool,
    /// The hub fetches the data (download_url).
    #[arg(long, conflicts_with = "push")]
    stream: bool,
    /// The data goes in the request.
    #[arg(long)]
    push: bool,
    /// All rows and not the first 5,000.
    #[arg(long)]
    pub(super) all_results: bool,
    /// Values as the database has them, in place of what the action asks for.
    #[arg(long, conflicts_with = "formatted")]
    unformatted: bool,
    /// Values as users see them.
    #[arg(long)]
    formatted: bool,
    /// Columns as the visualization shows them, in place of what the action asks for.
    #[arg(long, conflicts_with = "no_visualization")]
    visualization: bool,
    /// Columns as the query has them.
    #[arg(long)]
    no_visualization: bool,
    /// The title of what is sent.
    #[arg(long)]
    pub(super) title: Option<String>,
    /// What goes wrong on purpose, such as cut@12345 or slow@1MB; may be repeated. A wrong one
    /// lists them all.
    #[arg(long, value_name = "FAULT")]
    pub(super) fault: Vec<String>,
    /// From which faults and generated rows follow.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Where the state that Looker would keep for the user stands between two sends.
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// Where the form asks for a login, prints its link and waits until it is done.
    #[arg(long)]
    pub(super) login: bool,
    /// Where hubs fetch data and give back logins.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
    /// The URL by which hubs reach --listen.
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,
    /// Authorities that the hub's certificate may be of, in PEM, beside the public ones.
    #[arg(long, value_name = "FILE")]
    pub(super) extra_ca: Option<PathBuf>,
    /// How long to wait for the next byte of an answer.
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = seconds)]
    pub(super) patience: Duration,
    /// Writes what crossed the wire as a recording, secrets masked.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Prints JSON in place of text.
    #[arg(long)]
    pub(super) json: bool,
    /// Shows what crossed the wire.
    #[arg(long, short, conflicts_with = "json")]
    pub(super) verbose: bool,
    /// Shows no progress.
    #[arg(long, short)]
    quiet: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn bytes(text: &str) -> Result<u64, String> {
    size(text).ok_or_else(|| "it must be a number of bytes such as 500MB or 10GB".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it must be a number of seconds".to_owned())?;
    if !(0.05..=86_400.0).contains(&seconds) {
        return Err("it must be from 0.05 to 86400".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn format(text: &str) -> Result<Format, String> {
    text.parse().map_err(|_| {
        let names = || Format::ALL.iter().map(|format| format.as_str().to_owned());
        let meant = crate::config::closest(text, names());
        let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
        format!("{meant}Looker has {}", names().collect::<Vec<_>>().join(", "))
    })
}

/// What must stand in no output.
pub(super) struct Secrets {
    pub(super) token: Option<String>,
    pub(super) params: BTreeMap<String, String>,
}

impl SendArgs {
    /// Token and params, fetched from where they stand.
    pub(super) fn secrets(&self, environment: &Environment) -> Result<Secrets, String> {
        let fetch = |what: &str, text: &str| {
            secret_text(text, environment).map_err(|why| format!("{what}: {why}."))
        };
        let token = token_text(self.token.as_deref(), environment)?;
        let mut params = BTreeMap::new();
        for (name, value) in &self.params {
            params.insert(name.clone(), fetch(&format!("--param {name}"), value)?);
        }
        Ok(Secrets { token, params })
    }

    /// Somebody who has what actions commonly ask for, and what was given.
    pub(super) fn attributes(&self) -> Result<BTreeMap<String, String>, String> {
        let common = [("email", "ana@example.com"), ("name", "Ana"), ("id", "1")];
        let mut attributes: BTreeMap<_, _> =
            common.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        attributes.extend(self.attributes.iter().cloned());
        Ok(attributes)
    }

    /// Whether something to be sent was given.
    pub(super) fn has_data(&self) -> bool {
        let texts = [&self.sql, &self.look, &self.dashboard, &self.cell];
        self.data.is_some() || self.generate.is_some() || texts.iter().any(|text| text.is_some())
    }

    pub(super) fn way(&self) -> Option<Way> {
        match (self.stream, self.push) {
            (true, _) => Some(Way::Url),
            (_, true) => Some(Way::Push),
            _ => None,
        }
    }

    pub(super) fn faults(&self) -> Result<Faults, String> {
        let mut faults: Faults = self
            .fault
            .join(" ")
            .parse()
            .map_err(|error: sendoff_workbench::NoFaults| error.to_string())?;
        if !self.fault.iter().any(|fault| fault.contains("seed=")) {
            faults.seed = self.seed;
        }
        Ok(faults)
    }

    pub(super) fn rendering(&self, definition: &Definition) -> Option<Rendering> {
        let own = Rendering::of(definition);
        let formatting = match (self.formatted, self.unformatted) {
            (true, _) => Formatting::Formatted,
            (_, true) => Formatting::Unformatted,
            _ => own.formatting,
        };
        let visualization = match (self.visualization, self.no_visualization) {
            (true, _) => VisualizationFormatting::Apply,
            (_, true) => VisualizationFormatting::Noapply,
            _ => own.visualization,
        };
        let chosen = Rendering { formatting, visualization };
        (chosen != own).then_some(chosen)
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet || self.json
    }
}
