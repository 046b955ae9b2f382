//! Writing: rows go to a hidden tab, and one step that Google applies whole or not at all puts them
//! where they belong and deletes that tab.
//!
//! So the step's fate can always be told: once Google has deleted the hidden tab at our own bidding,
//! the step has not happened and cannot happen any more; if the hidden tab is gone without that, it
//! has.

use bytes::Bytes;
use jiff::Timestamp;
use sendoff::{Error, Result, Rows, Stop};
use serde_json::{Value, json};
use uuid::Uuid;

use super::VENDOR;
use super::api::{self, Step, Tab};
use super::book::Found;
use super::table::Table;
use super::target::{Target, Wish, a1};
use crate::shared::google::Google;
use crate::shared::object_store::{certain, in_doubt};

/// "We recommend a 2 MB maximum payload"
/// (<https://developers.google.com/workspace/sheets/api/limits>).
const BATCH: usize = 2_000_000;

/// How the hidden tab's name begins; the second of its making follows.
const ASIDE: &str = "Sendoff is writing ";
/// A hidden tab so old, in seconds, was left by a hub that was killed.
const STALE: i64 = 24 * 3600;

/// An id that no tab has yet: all have the same length.
pub(super) fn fresh() -> u32 {
    let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
    1_000_000_000 + u32::from_be_bytes([a, b, c, d]) % 1_000_000_000
}

/// One delivery's writing.
pub(super) struct Write<'a> {
    pub(super) google: &'a Google,
    pub(super) stop: &'a Stop,
    pub(super) found: &'a Found,
    pub(super) table: &'a Table,
    pub(super) wish: &'a Wish,
}

/// The hidden tab.
struct Aside {
    id: u32,
    title: String,
}

impl Write<'_> {
    /// Writes all rows, or changes nothing; says where they stand.
    ///
    /// # Errors
    /// Looker's, Google's refusal or the stop's sentence. An error that
    /// [may have arrived](Error::may_have_arrived) only if Google could not be asked.
    pub(super) async fn run(&self, rows: Rows) -> Result<Target> {
        let second = Timestamp::now().as_second();
        let id = fresh();
        let aside = Aside { id, title: format!("{ASIDE}{second} {id}") };
        let written = async {
            self.add(&aside, second).await?;
            self.fill(&aside, rows).await?;
            // That took minutes, in which the tab may have become another.
            let book = api::book(self.google, self.id()).await?;
            self.wish.target(self.google, &book, self.found.made, self.table).await
        };
        let target = match written.await {
            Ok(target) => target,
            Err(error) => {
                let error = certain(VENDOR.name, error, "a step of the writing", self.stop).await;
                return Err(self.cleaned(&aside, error).await);
            }
        };
        let (requests, cells) = (target.shown(id), self.cells());
        match api::batch(self.google, self.id(), Step::Show, cells, &requests).await {
            Ok(()) => Ok(target),
            Err(error) if is_open(&error) => self.settled(&aside, error).await.map(|()| target),
            Err(error) => Err(self.cleaned(&aside, error).await),
        }
    }

    /// The spreadsheet's.
    fn id(&self) -> &str {
        &self.found.book.id
    }

    fn cells(&self) -> u64 {
        self.wish.rows(self.table) * self.table.columns()
    }

    /// Makes the hidden tab, large enough for all rows.
    async fn add(&self, aside: &Aside, now: i64) -> Result<()> {
        let stale = self.found.book.tabs().filter(|tab| is_stale(tab, now));
        let stale: Vec<Value> =
            stale.map(|tab| json!({"deleteSheet": {"sheetId": tab.id}})).collect();
        if !stale.is_empty()
            && let Err(why) = api::batch(self.google, self.id(), Step::Delete, 0, &stale).await
        {
            // Another delivery may have done it.
            tracing::info!(reason = %why.log_line(), "an old hidden tab could not be deleted");
        }
        let requests = [json!({"addSheet": {"properties": {
            "sheetId": aside.id,
            "title": aside.title,
            "hidden": true,
            "gridProperties": {
                "rowCount": self.wish.rows(self.table).max(1),
                "columnCount": self.table.columns(),
            },
        }}})];
        let added = api::batch(self.google, self.id(), Step::Make, self.cells(), &requests).await;
        match added {
            // Sent again after an answer that was lost, it is refused because it is there.
            Err(error) if is_open(&error) || error.http_status() == Some(400) => {
                match self.is_there(self.google, aside).await {
                    Ok(true) => Ok(()),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    async fn is_there(&self, google: &Google, aside: &Aside) -> Result<bool> {
        let book = api::book(google, self.id()).await?;
        Ok(book.tabs().any(|tab| tab.id == aside.id))
    }

    /// Writes the rows to the hidden tab.
    async fn fill(&self, aside: &Aside, mut rows: Rows) -> Result<()> {
        let mut batch = Batch::new();
        if self.wish.header {
            self.table.write_header(batch.next());
        }
        while let Some(row) = rows.next().await {
            let row = row?;
            let before = batch.text.len();
            self.table.write_row(&row, batch.next());
            if batch.text.len() > BATCH && batch.rows > 1 {
                let next = batch.split_off(before);
                self.send(aside, std::mem::replace(&mut batch, next)).await?;
            }
        }
        if batch.rows > 0 { self.send(aside, batch).await } else { Ok(()) }
    }

    async fn send(&self, aside: &Aside, batch: Batch) -> Result<()> {
        let (start, end) = (batch.from, batch.from + batch.rows);
        let range = a1(&aside.title, start, end, self.table.columns());
        let input = self.wish.input.wire();
        api::write(self.google, self.id(), &range, input, batch.body()).await
    }

    /// Takes the hidden tab away after a failure before which nothing was shown.
    async fn cleaned(&self, aside: &Aside, error: Error) -> Error {
        let google = self.google.last_words();
        match self.remove(&google, aside).await {
            Ok(()) => error,
            // It was never made.
            Err(why) if why.http_status() == Some(400) => error,
            Err(why) => {
                tracing::warn!(reason = %why.log_line(), "a hidden tab could not be deleted");
                error.remark(format!(
                    "A hidden tab named \"{}\" may be left in the spreadsheet; the next delivery a \
                     day from now deletes it.",
                    aside.title
                ))
            }
        }
    }

    async fn remove(&self, google: &Google, aside: &Aside) -> Result<()> {
        let requests = [json!({"deleteSheet": {"sheetId": aside.id}})];
        api::batch(google, self.id(), Step::Delete, 0, &requests).await
    }

    /// Finds out whether the last step has happened, and sees to it that it does not happen later.
    async fn settled(&self, aside: &Aside, error: Error) -> Result<()> {
        let google = self.google.last_words();
        let unknown = |why: Error, error: Error| {
            tracing::info!(reason = %why.log_line(), "Google did not say what it holds");
            let text = "Look into the tab before you send again.";
            error.may_have_arrived().remark(text)
        };
        match self.is_there(&google, aside).await {
            // Nothing but the last step has asked for it to be deleted.
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(why) => return Err(unknown(why, error)),
        }
        match self.remove(&google, aside).await {
            Ok(()) => Err(certain(VENDOR.name, error, "the last step", self.stop).await),
            // Gone meanwhile: it was carried out after all.
            Err(why) if why.http_status() == Some(400) => Ok(()),
            Err(why) => Err(unknown(why, error)),
        }
    }
}

/// Whether Google may have done what it did not confirm. A refusal because something is not there is
/// none of those that leave it open.
fn is_open(error: &Error) -> bool {
    in_doubt(error) && !matches!(error.http_status(), Some(404 | 409 | 412))
}

fn is_stale(tab: &Tab, now: i64) -> bool {
    let made = tab.title.strip_prefix(ASIDE).and_then(|rest| rest.split(' ').next());
    let made = made.and_then(|second| second.parse::<i64>().ok());
    tab.hidden && made.is_some_and(|made| now.saturating_sub(made) > STALE)
}

/// Rows on their way.
struct Batch {
    text: Vec<u8>,
    /// The place of the first in the hidden tab.
    from: u64,
    rows: u64,
}

const HEAD: &[u8] = b"{\"majorDimension\":\"ROWS\",\"values\":[";

impl Batch {
    fn new() -> Self {
        Self { text: HEAD.to_vec(), from: 0, rows: 0 }
    }

    /// Where the next row is appended.
    fn next(&mut self) -> &mut Vec<u8> {
        if self.rows > 0 {
            self.text.push(b',');
        }
        self.rows += 1;
        &mut self.text
    }

    /// Takes the last row, which begins with a comma at `at`, into a batch of its own.
    fn split_off(&mut self, at: usize) -> Self {
        self.rows -= 1;
        let mut text = Vec::with_capacity(self.text.len());
        text.extend_from_slice(HEAD);
        text.extend_from_slice(self.text.get(at + 1..).unwrap_or_default());
        self.text.truncate(at);
        Self { text, from: self.from + self.rows, rows: 1 }
    }

    fn body(mut self) -> Bytes {
        self.text.extend_from_slice(b"]}");
        self.text.into()
    }
}
