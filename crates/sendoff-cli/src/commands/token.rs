//! `sendoff token`.

use std::process::ExitCode;

use sendoff::Token;

use crate::cli::{self, NO_SECRET, NotConfigured};
use crate::config::Config;
use crate::hub;

/// Prints a token made with the first secret: for all actions, or for some.
pub(crate) fn print(config: &Config, actions: &[String]) -> anyhow::Result<ExitCode> {
    let Some(secret) = config.secrets.first() else {
        return Err(NotConfigured(NO_SECRET.to_owned()).into());
    };
    let known = hub::all_actions();
    for name in actions {
        if !known.iter().any(|action| action.spec().name == name) {
            let names: Vec<_> = known.iter().map(|action| action.spec().name).collect();
            anyhow::bail!("There is no action \"{name}\". There are: {}.", names.join(", "));
        }
    }
    let token = Token::issue(secret, actions.iter().map(String::as_str))?;
    cli::print(format!("{token}\n").as_bytes())
}
