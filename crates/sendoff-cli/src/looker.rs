//! Looker's side on the command line: to try a hub, this one or any other, without a Looker.

mod check;
mod demo;
mod explain;
mod record;
mod send;
#[cfg(feature = "page")]
mod workbench;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::block_on;
use crate::config::{Config, Environment};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Demo(demo::DemoArgs),
    #[cfg(feature = "page")]
    Workbench(workbench::WorkbenchArgs),
    Send(Box<send::SendArgs>),
    Check(Box<check::CheckArgs>),
    /// Explains a check of `sendoff check`, or lists them all.
    Explain {
        /// The check's id, such as list/answer/is-json.
        id: Option<String>,
    },
    Record(record::RecordArgs),
}

impl Command {
    /// Runs the command. Only those that serve something ask for the configuration: the others must
    /// work where it is wrong.
    pub(crate) fn run(
        self,
        config: impl FnOnce() -> anyhow::Result<Config>,
        environment: &Environment,
        colour: bool,
    ) -> anyhow::Result<ExitCode> {
        let served = || {
            let config = config()?;
            crate::log(&config, colour);
            anyhow::Ok(config)
        };
        match self {
            Self::Demo(args) => block_on(demo::run(args, served()?, colour)),
            #[cfg(feature = "page")]
            Self::Workbench(args) => block_on(workbench::run(args, served()?, environment)),
            Self::Send(args) => block_on(send::run(*args, environment, colour)),
            Self::Check(args) => block_on(check::run(*args, environment, colour)),
            Self::Explain { id } => explain::explain(id.as_deref()),
            Self::Record(args) => block_on(record::run(args, environment)),
        }
    }
}
