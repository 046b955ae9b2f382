//! Cutting rows into batches, and what a batch is to who sends it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::tally::Tally;
use super::tries::{Mark, Try};
use super::{BatchLimits, Frame};
use crate::egress::{Http, Pace};
use crate::{Result, Row, byte_count};

/// What became of a row as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// It was written and is sent.
    Row,
    /// It cannot be sent; counted as refused. The reason reads behind `row 17: `.
    Refused(Cow<'static, str>),
    /// It need not be sent; counted as skipped, which is no fault. The reason reads as above.
    Skipped(Cow<'static, str>),
}

impl Encoded {
    /// It cannot be sent, because …
    pub fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(reason.into())
    }

    /// It need not be sent, because …
    pub fn skipped(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Skipped(reason.into())
    }
}

/// A row of a body: its number, and where its bytes end. They begin where the row before ends,
/// behind what stands between rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    number: u64,
    start: usize,
    end: usize,
    /// By which a later try of the delivery knows it.
    mark: Option<Mark>,
}

/// Rows that go out in one request. Cheap to clone.
#[derive(Clone)]
pub struct Batch {
    http: Http,
    pace: Arc<Pace>,
    body: Bytes,
    spans: Arc<[Span]>,
}

/// One row of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRow<'a> {
    /// The row's number in the result, from 1.
    pub number: u64,
    /// The row as it was encoded.
    pub bytes: &'a [u8],
}

impl Batch {
    /// The door to the vendor. Its requests are sent again after 429, since that is the vendor's
    /// word that it took nothing, unless the call is `once`; the time to wait holds the whole
    /// pipeline. What else is repeated
    /// the call says itself, as everywhere.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The body: the rows with what stands around them.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// How many rows it has; never none.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = BatchRow<'_>> {
        self.spans.iter().map(|span| BatchRow {
            number: span.number,
            bytes: self.body.get(span.start..span.end).unwrap_or_default(),
        })
    }

    /// The row at a place in the batch, from 0.
    pub fn row(&self, index: usize) -> Option<BatchRow<'_>> {
        self.rows().nth(index)
    }

    /// The number of the first row.
    pub fn first(&self) -> u64 {
        self.spans.first().map_or(0, |span| span.number)
    }

    /// The number of the last row.
    pub fn last(&self) -> u64 {
        self.spans.last().map_or(0, |span| span.number)
    }

    /// The key of this batch, the same whenever Looker sends the same delivery again: made of the
    /// webhook id, the rows' numbers and what is in them. 32 hexadecimal digits.
    ///
    /// What is in the rows counts, because a query that does not sort may give other rows the same
    /// numbers: a vendor must not take those for a repeat.
    pub fn key(&self) -> String {
        let mut digest = Sha256::new();
        for row in self.rows() {
            digest.update((row.bytes.len() as u64).to_be_bytes());
            digest.update(row.bytes);
        }
        let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let (first, last) = (self.first(), self.last());
        self.http.idempotency_key(&format!("rows {first}-{last} {digest}"))
    }

    /// Nobody in the pipeline begins a request for so long; what is on its way goes on. For vendors
    /// that say before a 429 that their limit is nearly used up.
    pub fn hold(&self, wait: Duration) {
        self.pace.pause(wait.mul_f64(self.http.second().as_secs_f64()));
    }

    /// As [`hold`](Self::hold), and this waits as long. For vendors that ask for it by other means
    /// than 429, which [`http`](Self::http) obeys by itself.
    ///
    /// # Errors
    /// The stop's sentence.
    pub async fn pause(&self, wait: Duration) -> Result<()> {
        self.hold(wait);
        self.http.stop().unless_stopped(self.pace.admit(self.len() as u64)).await
    }

    /// The two halves; nothing if it has one row.
    pub(super) fn halves(&self, frame: &Frame) -> Option<[Self; 2]> {
        let middle = self.len() / 2;
        let parts = [self.part(frame, 0..middle), self.part(frame, middle..self.len())];
        (middle > 0).then_some(parts)
    }

    /// Its first row, one in its middle and its last, each alone, and what is left between them;
    /// nothing if those would be most of it.
    pub(super) fn sample(&self, frame: &Frame) -> Option<([Self; 3], [Self; 2])> {
        let (middle, last) = (self.len() / 2, self.len() - 1);
        let part = |rows| self.part(frame, rows);
        let alone = || [part(0..1), part(middle..middle + 1), part(last..last + 1)];
        let between = || [part(1..middle), part(middle + 1..last)];
        (self.len() >= SAMPLED).then(|| (alone(), between()))
    }

    fn part(&self, frame: &Frame, rows: Range<usize>) -> Self {
        let mut draft = Draft::default();
        draft.begin(frame, 0);
        for span in self.spans.get(rows).unwrap_or_default() {
            let bytes = self.body.get(span.start..span.end).unwrap_or_default();
            let start = draft.open(frame);
            draft.body.extend_from_slice(bytes);
            draft.close(span.number, start, span.mark);
        }
        draft.take(frame).batch(&self.http, &self.pace)
    }

    /// The rows that a later try would know, with their places.
    pub(super) fn marks(&self) -> impl Iterator<Item = (usize, Mark)> {
        self.spans.iter().enumerate().filter_map(|(place, span)| Some((place, span.mark?)))
    }
}

/// Rows of a batch of which three are worth trying alone.
const SAMPLED: usize = 10;

impl fmt::Debug for Batch {
    /// Without the rows: they are nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("first", &self.first())
            .field("last", &self.last())
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A finished body.
pub(super) struct Cut {
    body: Bytes,
    spans: Arc<[Span]>,
}

impl Cut {
    pub(super) fn batch(self, http: &Http, pace: &Arc<Pace>) -> Batch {
        let http = http.paced(pace, self.spans.len() as u64);
        Batch { http, pace: Arc::clone(pace), body: self.body, spans: self.spans }
    }
}

/// A body that is being written.
#[derive(Default)]
struct Draft {
    body: Vec<u8>,
    spans: Vec<Span>,
}

impl Draft {
    fn begin(&mut self, frame: &Frame, room: usize) {
        self.body.reserve(room);
        self.body.extend_from_slice(frame.before.as_bytes());
    }

    /// Makes ready for a row and tells where its bytes begin.
    fn open(&mut self, frame: &Frame) -> usize {
        if !self.spans.is_empty() {
            self.body.extend_from_slice(frame.between.as_bytes());
        }
        self.body.len()
    }

    fn close(&mut self, number: u64, start: usize, mark: Option<Mark>) {
        self.spans.push(Span { number, start, end: self.body.len(), mark });
    }

    fn take(&mut self, frame: &Frame) -> Cut {
        self.body.extend_from_slice(frame.after.as_bytes());
        let body = std::mem::take(&mut self.body).into();
        let spans = self.spans.as_slice().into();
        self.spans.clear();
        Cut { body, spans }
    }
}

/// Cuts rows into bodies.
pub(super) struct Cutter<'a, E> {
    encode: E,
    limits: BatchLimits,
    frame: &'a Frame,
    target: &'a str,
    draft: Draft,
    /// How long the last body was: the next one most likely is as long.
    room: usize,
}

impl<'a, E> Cutter<'a, E>
where
    E: FnMut(&Row, &mut Vec<u8>) -> Result<Encoded>,
{
    pub(super) fn new(encode: E, limits: BatchLimits, frame: &'a Frame, target: &'a str) -> Self {
        Self { encode, limits, frame, target, draft: Draft::default(), room: 0 }
    }

    /// Writes a row, unless an earlier try sent it. Gives a body that this row has filled or did not
    /// fit into.
    pub(super) fn add(
        &mut self,
        row: &Row,
        this_try: Option<&mut Try>,
        tally: &mut Tally,
    ) -> Result<Option<Cut>> {
        if self.draft.spans.is_empty() {
            self.draft.body.clear();
            self.draft.begin(self.frame, self.room);
        }
        let before = self.draft.body.len();
        let start = self.draft.open(self.frame);
        // Also of a row that was sent: who encodes may keep what it has seen.
        let encoded = (self.encode)(row, &mut self.draft.body)?;
        let len = self.draft.body.len() - start;
        let around = self.frame.before.len() + self.frame.after.len();
        let refusal = match encoded {
            Encoded::Row if len > self.limits.row_bytes => {
                self.too_large(len, self.limits.row_bytes)
            }
            Encoded::Row if len + around > self.limits.bytes => {
                self.too_large(len + around, self.limits.bytes)
            }
            Encoded::Row => {
                let (mark, sent) = match this_try {
                    Some(this_try) => this_try.meet(row)?,
                    None => (None, None),
                };
                let Some(sent) = sent else {
                    return Ok(self.added(row.number(), before, start, mark));
                };
                self.draft.body.truncate(before);
                tally.meet(sent);
                return Ok(None);
            }
            Encoded::Refused(reason) => reason,
            Encoded::Skipped(reason) => {
                self.draft.body.truncate(before);
                tally.skip(row.number(), &reason);
                return Ok(None);
            }
        };
        self.draft.body.truncate(before);
        tally.refuse(row.number(), &refusal);
        Ok(None)
    }

    fn added(
        &mut self,
        number: u64,
        before: usize,
        start: usize,
        mark: Option<Mark>,
    ) -> Option<Cut> {
        let fits = self.draft.body.len() + self.frame.after.len() <= self.limits.bytes;
        if fits {
            self.draft.close(number, start, mark);
            let full = self.draft.spans.len() >= self.limits.rows.max(1);
            return if full { self.finish() } else { None };
        }
        // It alone would fit, so that rows stand before it.
        let row = self.draft.body.split_off(start);
        self.draft.body.truncate(before);
        let cut = self.finish();
        self.draft.begin(self.frame, self.room);
        let start = self.draft.open(self.frame);
        self.draft.body.extend_from_slice(&row);
        self.draft.close(number, start, mark);
        cut
    }

    /// The body so far; nothing if no row is in it.
    pub(super) fn finish(&mut self) -> Option<Cut> {
        if self.draft.spans.is_empty() {
            return None;
        }
        let cut = self.draft.take(self.frame);
        self.room = cut.body.len();
        Some(cut)
    }

    fn too_large(&self, bytes: usize, most: usize) -> Cow<'static, str> {
        let (bytes, most) = (byte_count(bytes as u64), byte_count(most as u64));
        format!("it has {bytes}, and {} takes at most {most}", self.target).into()
    }
}
