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

mod data;
mod downloads;
mod exchange;
mod looker;
mod request;

pub use data::{Column, Malformed, Table};
pub use downloads::Downloads;
pub use exchange::{Exchange, Paint, Peek};
pub use looker::{Answered, Fault, Looker};
pub use request::{Cargo, Delivery, Ids, Member, Source};
