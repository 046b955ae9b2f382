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
pub mod check;
mod dial;
mod downloads;
mod exchange;
mod formats;
mod look;
mod looker;
mod model;
mod request;
mod shop;
mod warehouse;

pub use downloads::Downloads;
pub use exchange::{Exchange, Paint, Peek, Piece};
pub use formats::{Content, DASHBOARD_FORMATS, Grid, GridCell, GridColumn, LOOK_FORMATS};
pub use formats::{Rendered, Rendering, RowCount};
pub use look::Visualization;
pub use look::{Cell, DEFAULT_LIMIT, Dashboard, DashboardFilter, Look, TableCalculation};
pub use looker::{Answered, Fault, Looker};
pub use model::{Datum, Field, FieldKind, KNOWN_TAGS, ValueFormat, unmet};
pub use request::{Cargo, Delivery, Ids, Member, Source};
pub use warehouse::{DataError, DataLimits, Imported, Warehouse};
