//! What is asked for: who sends what, where, and how.

use std::path::PathBuf;

use sendoff_protocol::{Format, Members};
use serde::{Deserialize, Serialize};

use super::super::book::ActionId;
use crate::faults::Faults;
use crate::formats::Rendering;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A Look, by its slug.
    Look(String),
    /// A dashboard, by its slug.
    Dashboard(String),
    /// A query in SQL.
    Sql(String),
    /// A table, such as one that was imported.
    Table(String),
    /// One cell.
    Cell {
        /// As the database gave it.
        value: String,
        /// As users see it.
        rendered: String,
    },
    /// Rows that are made as they are sent.
    Generated {
        /// How many bytes.
        bytes: u64,
        /// The same seed gives the same bytes.
        seed: u64,
    },
    /// A file as it is.
    File(PathBuf),
}

/// Which way the result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// In the request.
    Push,
    /// Fetched by the hub.
    Url,
}

/// One send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who sends.
    pub user: String,
    /// To which action.
    pub action: ActionId,
    /// What.
    pub what: What,
    /// In which format; the first that fits unless it is given.
    #[serde(default)]
    pub format: Option<Format>,
    /// The answers to the form.
    #[serde(default)]
    pub answers: Members,
    /// Which way; as Looker chooses unless it is given.
    #[serde(default)]
    pub way: Option<Way>,
    /// All rows and not the first 5,000: for streaming actions.
    #[serde(default)]
    pub all_results: bool,
    /// How values are shown; what the action lists first unless it is given.
    #[serde(skip)]
    pub rendering: Option<Rendering>,
    /// What goes wrong with it on purpose.
    #[serde(default)]
    pub faults: Faults,
    /// The title; the content's own unless it is given.
    #[serde(default)]
    pub title: Option<String>,
}

impl Order {
    /// A send by the first user, everything else as it comes.
    pub fn new(action: &ActionId, what: What) -> Self {
        Self {
            user: "ana".to_owned(),
            action: action.clone(),
            what,
            format: None,
            answers: Members::default(),
            way: None,
            all_results: false,
            rendering: None,
            faults: Faults::default(),
            title: None,
        }
    }
}
