//! The log: one line per event on stderr, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Begins to log as the configuration says. A second call changes nothing.
pub fn init(config: &Config, colour: bool) {
    // The directives were checked when the configuration was read.
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour && std::io::stderr().is_terminal());
    let _ = if config.log_json {
        log.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        log.try_init()
    };
}
