//! The fields that every hook of this kind has: all rows at once, in batches, or one by one.

use std::time::Duration;

use sendoff::prelude::*;

use super::address::{Address, Hosts, covers};
use super::batches::{Batches, Keys, batch_rows};

/// How the rows are spread over requests.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    #[choice(label = "Everything in one request")]
    Whole,
    #[choice(label = "One request for each row")]
    Rows,
    #[choice(label = "Batches of rows")]
    Batches,
}

/// Fields to flatten into a form, behind the URL.
#[derive(Fields)]
pub(crate) struct Modes {
    /// Everything in one request sends Looker's document as it is. Rows and batches are flat JSON:
    /// an object for each row, or a list of them.
    #[field(default = "whole")]
    mode: Mode,
    /// How many rows a batch has at most.
    #[field(default = "500")]
    batch_rows: u32,
    /// What the values of a row are called.
    #[field(default = "label")]
    keys: Keys,
}

impl Modes {
    /// How the rows are cut, unless everything goes in one request.
    ///
    /// # Errors
    /// A form error.
    pub(crate) fn batches(&self, bytes: usize, pace: Option<Duration>) -> Result<Option<Batches>> {
        if self.mode == Mode::Whole {
            return Ok(None);
        }
        Ok(Some(Batches {
            rows: batch_rows(self.batch_rows)?,
            bytes,
            parallel: 1,
            pace,
            bare: self.mode == Mode::Rows,
            stamped: true,
            keys: self.keys,
        }))
    }
}

/// Whether the vendor's own hosts, or those that the admin listed, cover the address.
///
/// # Errors
/// A form error. Its first sentence is the reference hub's.
pub(crate) fn permit(address: &Address, own: &[&str], listed: &Hosts) -> Result<()> {
    let host = address.host();
    if listed.allow(host) || own.iter().any(|rule| covers(rule, host)) {
        return Ok(());
    }
    let hosts = own.join(" or ");
    Err(Error::form(
        "url",
        format!("Incorrect domain for url. Its host is {host}, where {hosts} was expected."),
    ))
}
