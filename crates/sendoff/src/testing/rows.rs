//! Rows of a document that no delivery brought: for benches of the reader alone.

use crate::rows::{Layout, Rows};
use crate::spool::{SpoolLimits, SpoolRoom};
use crate::{ByteStream, Result};

/// Reads a document in any of the JSON formats as rows.
///
/// # Errors
/// As [`Payload::rows`](crate::Payload::rows).
pub async fn json_rows(document: ByteStream) -> Result<Rows> {
    Rows::open(Layout::Json, document, &SpoolRoom::new(SpoolLimits::default())?).await
}
