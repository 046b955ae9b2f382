//! Looker's side on the command line: to try a hub, this one or any other, without a Looker.

mod check;
mod demo;
mod docs;
mod explain;
mod record;
mod send;
mod signals;
mod terminal;
#[cfg(feature = "page")]
mod workbench;

use std::process::ExitCode;

use clap::Subcommand;
use sendoff_workbench::{Paint, tame};

pub(crate) use docs::checks;

use crate::cli::{Colours, block_on};
use crate::config::{Config, Environment};
use crate::tell::tell;

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Demo(demo::DemoArgs),
    #[cfg(feature = "page")]
    Workbench(workbench::WorkbenchArgs),
    Send(Box<send::SendArgs>),
    Check(Box<check::CheckArgs>),
    /// Explains a check of `sendoff check`, or lists them.
    Explain {
        /// The check's id, such as list/answer/is-json, or its beginning, such as list; without one
        /// all are listed.
        id: Option<String>,
    },
    Record(record::RecordArgs),
}

impl Command {
    /// The name of a command that reads no settings.
    pub(crate) fn without_settings(&self) -> Option<&'static str> {
        Some(match self {
            Self::Demo(_) => return None,
            #[cfg(feature = "page")]
            Self::Workbench(_) => return None,
            Self::Send(_) => "send",
            Self::Check(_) => "check",
            Self::Explain { .. } => "explain",
            Self::Record(_) => "record",
        })
    }

    /// Runs the command. Only those that serve something ask for the configuration: the others must
    /// work where it is wrong.
    pub(crate) fn run(
        self,
        config: impl FnOnce() -> anyhow::Result<Config>,
        environment: &Environment,
        colours: Colours,
    ) -> anyhow::Result<ExitCode> {
        let paints = Paints::of(colours);
        let served = || {
            let config = config()?;
            crate::log(&config, colours.err);
            anyhow::Ok(config)
        };
        match self {
            Self::Demo(args) => block_on(demo::run(args, served()?, paints.out)),
            #[cfg(feature = "page")]
            Self::Workbench(args) => block_on(workbench::run(args, served()?, environment)),
            Self::Send(args) => block_on(send::run(*args, environment, paints)),
            Self::Check(args) => block_on(check::run(*args, environment, paints)),
            Self::Explain { id } => explain::explain(id.as_deref()),
            Self::Record(args) => block_on(record::run(args, environment)),
        }
    }
}

/// How each stream is written.
#[derive(Clone, Copy, Debug)]
struct Paints {
    out: Paint,
    err: Paint,
}

impl Paints {
    fn of(colours: Colours) -> Self {
        let paint = |colour| if colour { Paint::Colour } else { Paint::Plain };
        Self { out: paint(colours.out), err: paint(colours.err) }
    }
}

/// Says on stderr what is wrong. A hub's own words may be in it.
fn complain(why: &str) {
    /// A sentence and the names that it lists.
    const LONGEST: usize = 4_000;
    for line in why.lines() {
        tell!("{}", tame(line, LONGEST));
    }
}
