//! The small commands: each prints one thing.

pub(crate) mod actions;
pub(crate) mod config;
pub(crate) mod docs;
pub(crate) mod ready;
pub(crate) mod token;
