//! `sendoff`, an action hub in one binary: its configuration, its commands and its server.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod cli;
mod commands;
pub mod config;
mod hub;
mod logging;
#[cfg(feature = "workbench")]
mod looker;
mod serve;
mod tell;

pub use cli::{NO_SECRET, main};
pub use hub::{build as hub, catalogue};
pub use logging::init as log;
pub use serve::platform_limits;
