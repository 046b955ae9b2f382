//! Data that no delivery brought: for benches of the reader alone, and for unit tests.

use crate::rows::{Layout, Rows};
use crate::spool::{SpoolLimits, SpoolRoom, Spooled};
use crate::{ByteStream, Result};

/// Reads a document in any of the JSON formats as rows.
///
/// # Errors
/// As [`Payload::rows`](crate::Payload::rows).
pub async fn json_rows(document: ByteStream) -> Result<Rows> {
    Rows::open(Layout::Json, document, &SpoolRoom::new(SpoolLimits::default())?).await
}

/// Spools `data` with the default limits.
///
/// # Errors
/// As [`Payload::spool`](crate::Payload::spool).
pub async fn spooled(mut data: ByteStream) -> Result<Spooled> {
    let mut writer = SpoolRoom::new(SpoolLimits::default())?.writer();
    while let Some(chunk) = data.next().await {
        writer.write(chunk?).await?;
    }
    writer.finish().await
}
