//! The loop: read and write rows while batches are on their way, never more than are allowed.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::batch::{Batch, Cutter, Encoded};
use super::reply::Reply;
use super::tally::Tally;
use super::{Frame, Pipeline, Policy};
use crate::egress::Pace;
use crate::{Error, Receipt, Result, Row, Rows};

/// A batch and what came of it.
type Landed = (Batch, Result<Reply>);

/// Why no further batch is begun.
enum End {
    /// All rows were sent.
    Done,
    TooManyRefused,
    Fault(Error),
}

pub(super) async fn run<E, S, F>(
    pipeline: Pipeline,
    pace: Arc<Pace>,
    mut rows: Rows,
    encode: E,
    send: S,
) -> Result<Receipt>
where
    E: FnMut(&Row, &mut Vec<u8>) -> Result<Encoded> + Send,
    S: Fn(Batch) -> F + Send + Sync,
    F: Future<Output = Result<Reply>> + Send,
{
    let Pipeline { http, target, limits, frame, policy, bisects, .. } = pipeline;
    let mut cutter = Cutter::new(encode, limits, &frame, &target);
    let mut books = Books {
        tally: Tally::new(limits.rows <= 1),
        again: VecDeque::new(),
        end: None,
        heard: false,
        frame: &frame,
        policy,
        bisects,
    };
    let mut running = FuturesUnordered::new();
    let mut more_rows = true;
    while books.end.is_none() {
        let batch = if let Some(batch) = books.again.pop_front() {
            batch
        } else if more_rows {
            let cut = next_cut(&mut rows, &mut cutter, &mut running, &mut books).await;
            more_rows = matches!(cut, Ok(Some(_)));
            match cut {
                Ok(Some(cut)) => cut.batch(&http, &pace),
                // Also when the end of the rows cut no further batch: others are on their way.
                Ok(None) => continue,
                Err(fault) => {
                    books.end(End::Fault(fault));
                    break;
                }
            }
        } else {
            match running.next().await {
                Some(landed) => books.note(landed),
                None => books.end(End::Done),
            }
            continue;
        };
        while running.len() >= books.at_once(limits.parallel) {
            let Some(landed) = running.next().await else { break };
            books.note(landed);
        }
        // What landed may have been refused: its halves go first.
        let batch = books.earliest(batch);
        let turn = http.stop().unless_stopped(pace.admit(batch.len() as u64));
        if let Err(stopped) = meanwhile(turn, &mut running, &mut books).await {
            books.end(End::Fault(stopped));
        }
        if books.end.is_some() {
            break;
        }
        let sent = send(batch.clone());
        running.push(async move { (batch, sent.await) });
        // Begins it: a future does nothing until it is polled.
        meanwhile(std::future::ready(()), &mut running, &mut books).await;
    }
    // What is on its way is waited for, so that its rows can be counted.
    while let Some(landed) = running.next().await {
        books.note(landed);
    }
    let Books { tally, end, .. } = books;
    match end {
        Some(End::Fault(fault)) => Err(tally.fault(fault)),
        Some(End::TooManyRefused) => Err(tally.stopped(&target)),
        Some(End::Done) | None => tally.outcome(&target, policy),
    }
}

/// Reads rows until a body is full or they end, while batches land.
async fn next_cut<E, F>(
    rows: &mut Rows,
    cutter: &mut Cutter<'_, E>,
    running: &mut FuturesUnordered<F>,
    books: &mut Books<'_>,
) -> Result<Option<super::batch::Cut>>
where
    E: FnMut(&Row, &mut Vec<u8>) -> Result<Encoded>,
    F: Future<Output = Landed>,
{
    while books.end.is_none() {
        // Reading is cancellation safe. Rows first: as long as they are there, landed batches can
        // wait until the body is full.
        let row = tokio::select! {
            biased;
            row = rows.next() => row,
            Some(landed) = running.next() => {
                books.note(landed);
                continue;
            }
        };
        let Some(row) = row.transpose()? else { return Ok(cutter.finish()) };
        books.tally.read += 1;
        let cut = cutter.add(&row, &mut books.tally)?;
        books.check();
        if cut.is_some() {
            return Ok(cut);
        }
    }
    Ok(None)
}

/// `work`, while batches land.
async fn meanwhile<F: Future<Output = Landed>, T>(
    work: impl Future<Output = T>,
    running: &mut FuturesUnordered<F>,
    books: &mut Books<'_>,
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            Some(landed) = running.next() => books.note(landed),
            output = &mut work => return output,
        }
    }
}

/// What is known of the delivery so far.
struct Books<'a> {
    tally: Tally,
    /// Halves of refused batches, and what was to be sent when they came; in the rows' order.
    again: VecDeque<Batch>,
    end: Option<End>,
    /// Whether the vendor has answered anything.
    heard: bool,
    frame: &'a Frame,
    policy: Policy,
    bisects: bool,
}

impl Books<'_> {
    /// The first reason counts.
    fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// How many may be on their way. The first goes alone: what is wrong with all of them, such as
    /// the key, is then refused once.
    fn at_once(&self, parallel: usize) -> usize {
        if self.heard { parallel.max(1) } else { 1 }
    }

    fn put_back(&mut self, batch: Batch) {
        let place = self.again.partition_point(|other| other.first() < batch.first());
        self.again.insert(place, batch);
    }

    /// `batch`, or what goes before it.
    fn earliest(&mut self, batch: Batch) -> Batch {
        self.put_back(batch.clone());
        self.again.pop_front().unwrap_or(batch)
    }

    fn check(&mut self) {
        if self.tally.exceeds(self.policy) {
            self.end(End::TooManyRefused);
        }
    }

    fn note(&mut self, (batch, result): Landed) {
        self.heard = true;
        match result {
            Ok(Reply { whole: Some(why), .. }) => {
                let halves = batch.halves(self.frame).filter(|_| self.bisects);
                match halves.filter(|_| self.end.is_none()) {
                    Some(halves) => halves.into_iter().for_each(|half| self.put_back(half)),
                    None => self.tally.refuse_all(&batch, &why),
                }
                self.check();
            }
            Ok(reply) => {
                self.tally.note(&batch, reply);
                self.check();
            }
            Err(fault) => {
                self.tally.fail(&batch, &fault);
                self.end(End::Fault(fault));
            }
        }
    }
}
