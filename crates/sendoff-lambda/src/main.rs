//! The hub as an AWS Lambda function, configured as `sendoff serve` is.
//!
//! The answer goes out whole: only a function URL in the mode RESPONSE_STREAM could pass on the
//! newlines that keep a connection alive, and in any other mode a streamed answer is an error.

use std::process::ExitCode;

use sendoff_cli::config::{Config, Environment, Flags};

#[tokio::main]
async fn main() -> ExitCode {
    let environment = Environment::of_process();
    let config = match Config::load(&sendoff_cli::catalogue(), &environment, &Flags::default()) {
        Ok(config) => config,
        Err(problems) => return failed(&problems),
    };
    if config.secrets.is_empty() {
        return failed(&sendoff_cli::NO_SECRET);
    }
    sendoff_cli::log(&config, false);
    match sendoff_cli::hub(&config) {
        Ok(hub) => match lambda_http::run(hub).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => failed(&fault),
        },
        Err(fault) => failed(&fault),
    }
}

fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
