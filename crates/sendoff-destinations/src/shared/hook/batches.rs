//! Many requests for one result: rows in batches, or each on its own.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sendoff::prelude::*;
use sendoff::{Arrival, Rows, byte_count};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::rows::Writer;
use super::{Confirmed, Hook, Message};

pub(crate) use super::rows::Keys;

/// How rows are cut into requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    /// Rows in a request at most.
    pub(crate) rows: u64,
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

/// A request that is ready, and how many rows are in it.
struct Batch {
    message: Message,
    rows: u64,
}

impl<S> Hook<'_, S> {
    /// Sends the rows, request by request. What was accepted before a failure is counted in the
    /// error.
    pub(crate) async fn rows(&self, data: Payload, batches: Batches) -> Result<Receipt> {
        let mut cutter = Cutter::new(self, data.rows().await?, batches);
        let mut tally = Tally::default();
        let mut running = FuturesUnordered::new();
        let mut pace = batches.pace.map(ticks);
        let failure = loop {
            let batch = match cutter.next().await {
                Ok(Some(batch)) => batch,
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            };
            if running.len() >= batches.parallel.max(1)
                && let Some(done) = running.next().await
                && let Err(fault) = tally.note(done)
            {
                break Some(fault);
            }
            if let Some(pace) = &mut pace
                && let Err(stopped) = self.stop().unless_stopped(pace.tick()).await
            {
                break Some(stopped);
            }
            let rows = batch.rows;
            running.push(async move { (rows, self.json(batch.message).await) });
        };
        // What is on its way is waited for, so that its rows can be counted.
        let mut failure = failure;
        while let Some(done) = running.next().await {
            if let Err(fault) = tally.note(done) {
                failure.get_or_insert(fault);
            }
        }
        match failure {
            Some(fault) => Err(tally.explain(fault)),
            None => Ok(tally.receipt(self.host())),
        }
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What was accepted so far.
#[derive(Default)]
struct Tally {
    rows: u64,
    requests: u64,
    /// Rows of requests whose answers were lost.
    doubtful: u64,
    last: Option<Confirmed>,
}

impl Tally {
    fn note(&mut self, (rows, result): (u64, Result<Confirmed>)) -> Result<()> {
        match result {
            Ok(confirmed) => {
                self.rows += rows;
                self.requests += 1;
                self.last = Some(confirmed);
                Ok(())
            }
            Err(fault) => {
                if fault.arrival() == Arrival::Maybe {
                    self.doubtful += rows;
                }
                Err(fault)
            }
        }
    }

    fn explain(&self, fault: Error) -> Error {
        match (self.rows, self.doubtful) {
            (0, 0) => fault,
            (0, _) => fault.may_have_arrived(),
            (rows, 0) => fault.rows_accepted(rows),
            (rows, doubtful) => fault
                .context(format!(
                    "{rows} rows were accepted and {doubtful} more may have arrived, before it \
                     failed"
                ))
                .may_have_arrived(),
        }
    }

    fn receipt(&self, host: &str) -> Receipt {
        let receipt = Receipt::new(host).rows(self.rows, 0);
        let Some(last) = &self.last else {
            return receipt.remark("The result has no rows, so that nothing was sent.");
        };
        let receipt = match self.requests {
            1 => receipt,
            requests => receipt.remark(format!("It took {requests} requests.")),
        };
        last.remark(receipt)
    }
}

/// Cuts rows into requests.
struct Cutter<'a, S> {
    hook: &'a Hook<'a, S>,
    rows: Rows,
    batches: Batches,
    writer: Writer,
    /// A row that did not fit into the batch before.
    left_over: Option<Vec<u8>>,
    count: u64,
}

impl<'a, S> Cutter<'a, S> {
    fn new(hook: &'a Hook<'a, S>, rows: Rows, batches: Batches) -> Self {
        let writer = Writer::new(batches.keys);
        Self { hook, rows, batches, writer, left_over: None, count: 0 }
    }

    async fn next(&mut self) -> Result<Option<Batch>> {
        let Batches { bytes, bare, .. } = self.batches;
        let most = if bare { 1 } else { self.batches.rows.max(1) };
        let mut body = if bare { Vec::new() } else { vec![b'['] };
        let mut rows = 0;
        if let Some(row) = self.left_over.take() {
            body.extend_from_slice(&row);
            rows = 1;
        }
        while rows < most {
            let Some(row) = self.rows.next().await else { break };
            let row = row?;
            let end = body.len();
            if rows > 0 {
                body.push(b',');
            }
            let start = body.len();
            let stamp = self.batches.stamped.then(|| self.hook.stamp(row.number()));
            self.writer.write(&row, stamp.as_ref(), &mut body);
            // The closing bracket is still to come.
            if body.len() + 1 > bytes {
                let size = body.len() - start;
                if size + 2 > bytes {
                    return Err(too_large(row.number(), size, bytes));
                }
                self.left_over = Some(body.split_off(start));
                body.truncate(end);
                break;
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        if !bare {
            body.push(b']');
        }
        self.count += 1;
        let part = format!("batch {}", self.count);
        Ok(Some(Batch { message: Message { part, body: Bytes::from(body) }, rows }))
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
