//! What several destinations have in common, by dialect.

pub(crate) mod aws;
#[cfg(feature = "fakes")]
pub(crate) mod aws_signed;
pub(crate) mod azure;
pub(crate) mod differences;
pub(crate) mod excerpt;
pub(crate) mod file_options;
pub(crate) mod file_path;
pub(crate) mod google;
pub(crate) mod hook;
pub(crate) mod hubspot;
#[cfg(feature = "fakes")]
pub(crate) mod in_order;
pub(crate) mod mail;
pub(crate) mod object_store;
pub(crate) mod parts;
pub(crate) mod platform;
pub(crate) mod repeats;
pub(crate) mod s3;
pub(crate) mod segment;
pub(crate) mod slack;
pub(crate) mod targets;
pub(crate) mod template;
pub(crate) mod twilio;
pub(crate) mod wording;
pub(crate) mod xml;
