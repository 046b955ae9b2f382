//! `sendoff config`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli;
use crate::config::{self, Config};
use crate::tell::tell;

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// Prints every setting with its default and its explanation.
    #[arg(long, conflicts_with = "json")]
    pub(crate) default: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    check: Option<Check>,
}

#[derive(Subcommand, Debug)]
enum Check {
    /// Says whether the configuration is sound: 0 if it is, 78 if not.
    Check,
}

/// Prints what is in force. The configuration is sound, or this would not have been reached.
pub(crate) fn show(config: &Config, args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.check.is_some() {
        if config.secrets.is_empty() {
            return Err(cli::NotConfigured(cli::NO_SECRET.to_owned()).into());
        }
        // Only building the hub tells whether folders and certificates are usable.
        if let Err(fault) = crate::hub(config) {
            return Err(cli::NotConfigured(fault.log_line()).into());
        }
        tell!("The configuration is sound.");
        return Ok(ExitCode::SUCCESS);
    }
    let text = if args.json {
        format!("{:#}\n", config::to_json(config))
    } else {
        config::to_toml(config)
    };
    cli::print(text.as_bytes())
}
