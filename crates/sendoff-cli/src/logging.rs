//! The log: one line per event on stderr, as text or JSON.
//!
//! No secret may reach it. Our own events hold none; libraries below us print headers and bodies
//! when they are asked to be talkative, so they are heard from warnings upwards only; and of a
//! panic only the place is told, since its message may quote what it met.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Config;

/// Begins to log as the configuration says. A second call changes nothing.
pub fn init(config: &Config, colour: bool) {
    // The directives were checked when the configuration was read.
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would tell of them by eprintln!, which panics, in the panic hook too.
        .log_internal_errors(false)
        .with_ansi(colour && std::io::stderr().is_terminal());
    let discreet = filter_fn(is_discreet);
    let _ = if config.log_json {
        log.json().flatten_event(true).with_current_span(false).finish().with(discreet).try_init()
    } else {
        log.finish().with(discreet).try_init()
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault in the hub ended a task");
    }));
}

/// Whether an event of this origin and level holds nothing that is not ours to tell.
fn is_discreet(event: &Metadata<'_>) -> bool {
    event.target().starts_with("sendoff") || *event.level() <= Level::WARN
}
