//! Many requests for one result: rows in batches, or each on its own.

use std::time::Duration;

use sendoff::pipeline::{Batch, BatchLimits, Encoded, Pipeline, Reply};
use sendoff::prelude::*;
use sendoff::{Rate, Row, byte_count};

use super::rows::Writer;
use super::{Hook, Message};

pub(crate) use super::rows::Keys;

/// The answer to the form field `batch_rows`.
///
/// # Errors
/// A form error.
pub(crate) fn batch_rows(answer: u32) -> Result<usize> {
    match answer {
        0 => Err(Error::form("batch_rows", "Enter 1 or more.")),
        // 32 bits, which any usize holds.
        rows => Ok(rows as usize),
    }
}

/// How rows are cut into requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    /// Rows in a request at most.
    pub(crate) rows: usize,
    /// Bytes in a request at most.
    pub(crate) bytes: usize,
    /// Requests at a time; 1 keeps the rows' order.
    pub(crate) parallel: usize,
    /// The least time between two requests.
    pub(crate) pace: Option<Duration>,
    /// One row is an object of its own, not a list of one.
    pub(crate) bare: bool,
    /// Puts the delivery and the row's number into each row.
    pub(crate) stamped: bool,
    pub(crate) keys: Keys,
}

impl Batches {
    fn limits(self) -> BatchLimits {
        let rows = if self.bare { 1 } else { self.rows };
        let rate = self.pace.map(|pace| Rate::Requests(1.0 / pace.as_secs_f64()));
        BatchLimits::new(rows, self.bytes)
            .parallel(self.parallel)
            .rate(rate.unwrap_or(Rate::Unlimited))
    }
}

impl<S: Sync> Hook<'_, S> {
    /// Sends the rows, request by request. What was accepted before a failure is counted in the
    /// error.
    pub(crate) async fn rows(&self, data: Payload, batches: Batches) -> Result<Receipt> {
        let rows = data.rows().await?;
        let mut writer = Writer::new(batches.keys, batches.stamped);
        // The brackets of a list.
        let around = if batches.bare { 0 } else { 2 };
        let encode = |row: &Row, out: &mut Vec<u8>| {
            let start = out.len();
            let stamp = batches.stamped.then(|| self.stamp(row.number()));
            writer.write(row, stamp.as_ref(), out);
            let size = out.len() - start;
            if size + around > batches.bytes {
                return Err(too_large(row.number(), size, batches.bytes));
            }
            Ok(Encoded::Row)
        };
        let pipeline = Pipeline::new(self.cx, batches.limits()).target(self.host());
        let pipeline = if batches.bare { pipeline } else { pipeline.json_list() };
        pipeline.run(rows, encode, |batch| self.batch(batch)).await
    }

    /// Whatever the receiver does not take ends the delivery: nothing says whose fault it is.
    async fn batch(&self, batch: Batch) -> Result<Reply> {
        let message = Message { key: batch.key(), body: batch.body() };
        let confirmed = self.json(batch.http(), message).await?;
        Ok(Reply::accepted().says(confirmed.sentence()))
    }
}

fn too_large(row: u64, size: usize, most: usize) -> Error {
    Error::form(
        "mode",
        format!(
            "Row {row} alone has {}, which is more than a request may have ({}). Leave out its \
             largest fields.",
            byte_count(size as u64),
            byte_count(most as u64)
        ),
    )
}
