//! Write Looker actions and embed an action hub in any server.
//!
//! Looker can send query results, dashboards and single cells to custom destinations, called
//! *actions*. A server that offers actions is an *action hub*. This crate is the hub: it speaks
//! Looker's protocol, streams the data in flat memory, guards every outgoing connection and says
//! truthfully what came of a delivery. What you write is the destination.
//!
//! ```
//! use sendoff::prelude::*;
//!
//! pub struct Shout;
//!
//! #[derive(Fields)]
//! pub struct Form {
//!     /// Who is called.
//!     name: String,
//! }
//!
//! impl Action for Shout {
//!     type Settings = ();
//!     type Form = Form;
//!
//!     const SPEC: Spec = Spec::new("shout", "Shout").description("Counts the bytes of a result.");
//!
//!     async fn execute(&self, _: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
//!         let mut bytes = 0;
//!         let mut chunks = data.open().await?;
//!         while let Some(chunk) = chunks.next().await {
//!             bytes += chunk?.len() as u64;
//!         }
//!         Ok(Receipt::new(form.name).bytes(bytes))
//!     }
//! }
//!
//! let hub = Hub::builder().action(Shout).secrets(["a long random text".into()]).build()?;
//! # let _: Hub = hub;
//! # Ok::<(), sendoff::Error>(())
//! ```
//!
//! [`Hub`] is a `tower` service over `http` types: mount it in axum with `nest_service`, serve it
//! from plain hyper, or hand it to Lambda.

// They panic where nothing can be written.
#![warn(clippy::print_stderr, clippy::print_stdout)]

extern crate self as sendoff;

mod account;
mod action;
mod choices;
mod egress;
mod error;
mod fields;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod intake;
mod login;
mod payload;
pub mod pipeline;
mod receipt;
mod recent;
mod redact;
mod rows;
mod shelf;
mod spec;
mod spool;
mod stop;
#[cfg(feature = "testing")]
pub mod testing;
mod text;

// Types of theirs stand in this crate's own API.
pub use ipnet;
pub use jiff;
pub use sendoff_derive::{Choice, Fields};
pub use sendoff_protocol as protocol;
pub use sendoff_protocol::ScheduledPlan;

pub use action::{Action, AnyAction, Context};
pub use choices::{Choices, Item, Listing, Page, Paging};
pub use egress::{
    Again, Body, Call, Egress, EgressConfig, Http, Origins, Quota, Rate, Reply, RetryPolicy, Scope,
};
pub use error::{Arrival, Class, Error, Result, Retry};
pub use fields::{Choice, Field, Fields, Problem, Problems, Secret, Value, Values, View, Widget};
#[doc(hidden)]
pub use fields::{choice_parse, choice_widget};
pub use hub::{Answer, Builder, Hub, Limits, Token};
pub use login::{
    Button, ClientAuth, Connection, Delegate, Install, Login, LoginBy, LookerHosts, OAuth, StateKey,
};
pub use payload::{ByteStream, Payload};
pub use receipt::Receipt;
pub use redact::Redactor;
pub use rows::{Cell, CellValue, Column, ColumnKind, Columns, Row, Rows};
pub use rows::{time_zone, write_json_text};
pub use spec::{ActionType, Commit, Download, Format, Formatting, Icon, LookerVersion};
pub use spec::{Repeatable, Spec};
pub use spool::{SpoolLimits, Spooled};
pub use stop::{Reason, Stop};
pub use text::byte_count;

/// What almost every action needs.
pub mod prelude {
    pub use crate::ActionType::{Cell as CellAction, Dashboard, Query};
    pub use crate::{
        Action, ByteStream, Choice, Context, Error, Fields, Format, Hub, Payload, Receipt, Result,
        Secret, Spec, View,
    };
}
