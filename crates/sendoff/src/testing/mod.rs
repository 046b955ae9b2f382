//! What an action's tests need: a stand-in for its vendor, a driver that plays Looker, faults
//! injected by byte count, and one behaviour suite for every action.
//!
//! Feature `testing`. An embedder's own action gets the whole suite in a line, see [`suite`].

// The bans keep deliveries drainable, guarded and bounded; here both ends of the socket are ours.
#![allow(clippy::disallowed_methods, reason = "tests own their sockets, tasks and files")]

mod accounts;
mod content;
mod download;
mod expect;
mod fake;
mod faults;
mod ledger;
mod looker;
mod provider;
mod proxy;
mod rows;
pub mod suite;
mod vendor;

pub use accounts::{Browser, Page};
pub use content::{Content, RowShape};
pub use download::DownloadFault;
pub use expect::{Blame, Expected, Observed, expected};
pub use fake::{Fake, Object, TakesRows};
pub use faults::{Fault, Point};
pub use ledger::RowLedger;
pub use looker::{By, Heard, Looker, LookerFault, Shipment};
pub use provider::{Granted, Provider};
pub use proxy::{Damage, Flow, Injury, Proxy};
pub use rows::{json_rows, spooled};
pub use vendor::{At, Mischief, Refusal, Seen, Vendor, VendorFault};
