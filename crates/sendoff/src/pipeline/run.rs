//! The loop: read and write rows while batches are on their way, never more than are allowed.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::batch::{Batch, Cutter, Encoded};
use super::reply::Reply;
use super::sample::{Sample, Verdict};
use super::tally::Tally;
use super::tries::{Earlier, Try};
use super::{Frame, Pipeline, Policy};
use crate::egress::Pace;
use crate::{Arrival, Error, Receipt, Result, Row, Rows};

/// A batch and what came of it.
type Landed = (Batch, Result<Reply>);

/// Why no further batch is begun.
enum End {
    /// All rows were sent.
    Done,
    TooManyRefused,
    /// Whatever the rows are, the vendor refuses them.
    AllRefused,
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
    let Pipeline { http, target, limits, frame, policy, bisects, earlier, .. } = pipeline;
    let mut cutter = Cutter::new(encode, limits, &frame, &target);
    let mut books = Books {
        tally: Tally::new(limits.rows <= 1),
        again: VecDeque::new(),
        end: None,
        heard: false,
        frame: &frame,
        policy,
        sample: if bisects { Sample::Due } else { Sample::Over },
        bisects,
        this_try: earlier.map(Earlier::now),
    };
    let mut running = FuturesUnordered::new();
    let mut more_rows = true;
    while books.end.is_none() {
        let batch = if let Some(batch) = books.next_again() {
            batch
        } else if more_rows && !books.sample.is_awaited() {
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
        if let Some(this_try) = &books.this_try {
            this_try.begin(&batch);
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
        Some(End::AllRefused) => Err(tally.all_refused(&target)),
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
        let cut = cutter.add(&row, books.this_try.as_mut(), &mut books.tally)?;
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
    sample: Sample,
    /// Remembers what was sent, for vendors that would take it twice.
    this_try: Option<Try>,
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

    /// What was put back and may go now.
    fn next_again(&mut self) -> Option<Batch> {
        let first = self.again.front()?;
        (!self.sample.is_awaited() || self.sample.has(first)).then(|| self.again.pop_front())?
    }

    fn check(&mut self) {
        if self.tally.exceeds(self.policy) {
            self.end(End::TooManyRefused);
        }
    }

    fn note(&mut self, (batch, result): Landed) {
        self.heard = true;
        let words = match &result {
            Ok(Reply { whole: Some(why), .. }) => Some(why.message().to_owned()),
            _ => None,
        };
        match result {
            Ok(Reply { whole: Some(why), .. }) => self.refused(&batch, why),
            Ok(reply) => {
                let there = self.tally.note(&batch, reply);
                self.remember(&batch, |place| there.get(place).copied().unwrap_or_default());
            }
            Err(fault) => self.failed(&batch, fault),
        }
        self.check();
        self.look_at_sample(&batch, words.as_deref());
    }

    /// The vendor took nothing of a batch because of what is in it.
    fn refused(&mut self, batch: &Batch, why: Error) {
        self.remember(batch, |_| false);
        let splits = self.bisects && self.end.is_none();
        let unheard = splits && self.sample.is_due() && self.tally.accepted == 0;
        if let Some((alone, between)) = batch.sample(self.frame).filter(|_| unheard) {
            self.sample = Sample::awaited(why, &alone, between);
            alone.into_iter().for_each(|row| self.put_back(row));
            return;
        }
        match batch.halves(self.frame).filter(|_| splits) {
            Some(halves) => halves.into_iter().for_each(|half| self.put_back(half)),
            None => self.tally.refuse_all(batch, &why),
        }
    }

    fn failed(&mut self, batch: &Batch, fault: Error) {
        let all = batch.len() as u64;
        match fault.arrival() {
            // Nobody knows which rows: they stay as on their way.
            Arrival::Maybe => {}
            Arrival::Rows(rows) if 0 < rows && rows < all => {}
            arrival => self.remember(batch, |_| arrival != Arrival::Nothing),
        }
        self.tally.fail(batch, &fault);
        self.end(End::Fault(fault));
    }

    fn remember(&self, batch: &Batch, is_there: impl Fn(usize) -> bool) {
        if let Some(this_try) = &self.this_try {
            this_try.end(batch, is_there);
        }
    }

    /// A row of the sample has landed: refused in these `words`, or otherwise.
    fn look_at_sample(&mut self, batch: &Batch, words: Option<&str>) {
        match self.sample.landed(batch, words) {
            None => {}
            Some(Verdict::Rows(between)) => {
                between.into_iter().for_each(|part| self.put_back(part));
            }
            Some(Verdict::All(between, why)) => {
                between.iter().for_each(|part| self.tally.refuse_all(part, &why));
                self.end(End::AllRefused);
            }
        }
    }
}
