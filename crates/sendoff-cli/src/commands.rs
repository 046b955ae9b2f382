//! The small commands: each prints one thing.

pub(crate) mod actions;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod docs;
pub(crate) mod explain;
pub(crate) mod ready;
pub(crate) mod record;
pub(crate) mod send;
pub(crate) mod token;
