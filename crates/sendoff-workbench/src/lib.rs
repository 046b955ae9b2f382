//! Looker's side of the Action API: lists a hub's actions, draws their forms, executes them, and
//! keeps what crossed the wire.
//!
//! It knows no hub and no destination, so it can drive any.
//!
//! ```no_run
//! use sendoff_protocol::Format;
//! use sendoff_workbench::{Delivery, Looker, Source};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let looker = Looker::new("http://127.0.0.1:8080/")?.token("nonce/hmac");
//! let listing = looker.list().await.answer?;
//! let action = listing.integrations.first().ok_or("the hub offers nothing")?;
//! let delivery = Delivery::query("Orders").push(Format::Csv, Source::from("id\n1\n"));
//! let outcome = looker.execute(action, delivery).await.answer?;
//! println!("{}", outcome.success);
//! # Ok(())
//! # }
//! ```

pub mod bad;
mod bodies;
pub mod check;
pub mod copy;
mod dial;
mod downloads;
mod exchange;
mod faults;
mod formats;
mod generate;
pub mod instance;
mod lines;
mod look;
mod looker;
mod model;
#[cfg(feature = "page")]
pub mod page;
mod progress;
pub mod record;
pub mod recording;
mod remarks;
mod request;
mod shop;
mod verdict;
mod warehouse;

pub use bodies::KeepLimits;
pub use downloads::Downloads;
pub use exchange::{Exchange, Kept, Paint, Peek, Piece, tame};
pub use faults::{Faults, NoFaults, SendFault, size};
pub use formats::{Content, DASHBOARD_FORMATS, Grid, GridCell, GridColumn, LOOK_FORMATS};
pub use formats::{Rendered, Rendering, RowCount};
pub use generate::{GENERATED_FORMATS, generated};
pub use lines::{Line, LineKind, Side};
pub use look::Visualization;
pub use look::{Cell, DEFAULT_LIMIT, Dashboard, DashboardFilter, Look, TableCalculation};
pub use looker::{Answered, Fault, Looker, StateChange};
pub use model::{Datum, Field, FieldKind, KNOWN_TAGS, ValueFormat, unmet};
pub use progress::{Progress, Stage};
pub use remarks::{Place, Remark, remarks};
pub use request::{Cargo, Delivery, Ids, Member, Source};
pub use verdict::{Call, Heard, Severity, Verdict, looker_does};
pub use warehouse::{DataError, DataLimits, Imported, Warehouse, is_named_parquet};
