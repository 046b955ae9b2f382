//! Looker's data as typed rows, in whichever of its formats, streamed in flat memory.

mod columns;
mod csv;
mod ending;
mod json;
mod moment;
#[cfg(test)]
mod tests;
mod value;
mod whole;
mod write;

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::spool::SpoolRoom;
use crate::{ByteStream, Error, Result};

pub use columns::{Column, ColumnKind, Columns};
pub use moment::time_zone;
pub use value::{Cell, CellValue, Row};
pub use write::write_json_text;

pub(crate) use ending::Ending;
pub(crate) use whole::checked as checked_bytes;

use csv::Records;
use json::{CellReader, Document, Event};

/// How the bytes are laid out. The JSON formats are told apart by what stands in them: a pushed
/// attachment does not say which of them it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Json,
    Csv,
    Txt,
}

impl Layout {
    /// By the extension, else by the media type.
    pub(crate) fn of(extension: Option<&str>, media_type: &str) -> Result<Self> {
        let by_extension = match extension {
            Some("json" | "inline_json") => Some(Self::Json),
            Some("csv") => Some(Self::Csv),
            Some("txt" | "tsv") => Some(Self::Txt),
            _ => None,
        };
        let by_media_type = || match media_type {
            "application/json" => Some(Self::Json),
            "text/csv" => Some(Self::Csv),
            "text/plain" | "text/tab-separated-values" => Some(Self::Txt),
            _ => None,
        };
        by_extension.or_else(by_media_type).ok_or_else(|| {
            let format = extension.unwrap_or(media_type);
            Error::looker(format!(
                "Looker sent {format:?}, which has no rows. Choose one of the formats json, \
                 json_detail, csv or txt."
            ))
        })
    }
}

/// The rows of a result, one at a time.
///
/// ```
/// # async fn example(data: sendoff::Payload) -> sendoff::Result<()> {
/// let mut rows = data.rows().await?;
/// let email = rows.columns().with_tag("email").next().cloned();
/// while let Some(row) = rows.next().await {
///     let row = row?;
///     if let Some(email) = &email {
///         println!("{}", row.get(email).value());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Rows {
    stream: ByteStream,
    chunk: Bytes,
    parser: Parser,
    /// Read to learn the columns, not handed out yet.
    first: Option<Row>,
    read: u64,
    state: State,
}

enum Parser {
    Json { document: Box<Document>, cells: CellReader },
    Records(Box<Records>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Failed,
}

/// What is wrong with Looker's data.
#[derive(Debug)]
enum Fault {
    /// It ends before its end.
    Cut,
    Malformed {
        offset: u64,
        what: &'static str,
    },
    /// A row cannot be read.
    Row(&'static str),
    /// A CSV record has another number of fields than the header.
    Ragged,
    TooLong(&'static str),
    NoData,
    /// Looker's own words in place of rows.
    Said(String),
}

impl Fault {
    fn malformed(offset: u64, what: &'static str) -> Self {
        Self::Malformed { offset, what }
    }

    /// The sentence for the user; `rows` were read before.
    fn error(self, rows: u64) -> Error {
        let after = match rows {
            0 => String::new(),
            1 => " after 1 row".to_owned(),
            _ => format!(" after {rows} rows"),
        };
        Error::looker(match self {
            Self::Cut => format!(
                "Looker's data was cut short{after}: it ends in the middle. See whether the query \
                 completes in Looker, then send again."
            ),
            Self::Malformed { offset, what } => format!(
                "Looker's data is not well-formed JSON{after}, at byte {offset}: {what}. Send \
                 again, and choose another format if it fails again."
            ),
            Self::Row(what) => {
                format!("Looker's data has a row that cannot be read{after}: {what}.")
            }
            Self::Ragged => format!(
                "Looker's data has a row with another number of fields than its header{after}. \
                 Send again, and choose another format if it fails again."
            ),
            Self::TooLong(what) => {
                format!("Looker's data is more than this hub reads{after}: {what}.")
            }
            Self::NoData => "Looker sent a JSON object without `data`: there are no rows in it. \
                             Run the query in Looker to see what it answers."
                .to_owned(),
            Self::Said(words) => {
                let words: String = words.trim().chars().take(500).collect();
                format!("Looker could not run the query{after}. It says: {words}")
            }
        })
    }
}

impl Rows {
    /// Begins to read. `room` is where rows wait when `fields` stands after `data`.
    pub(crate) async fn open(layout: Layout, stream: ByteStream, room: &SpoolRoom) -> Result<Self> {
        let parser = match layout {
            Layout::Json => Parser::Json {
                document: Box::new(Document::new()),
                cells: CellReader::new(Arc::default(), false),
            },
            Layout::Csv => Parser::Records(Box::new(Records::new(b','))),
            Layout::Txt => Parser::Records(Box::new(Records::new(b'\t'))),
        };
        let chunk = Bytes::new();
        let mut rows = Self { stream, chunk, parser, first: None, read: 0, state: State::Open };
        rows.skip_mark().await?;
        rows.reach_data(room).await?;
        if rows.columns().is_empty() {
            // Only the first row, or the header before it, says what the columns are.
            rows.first = rows.read().await?;
        }
        Ok(rows)
    }

    /// What is known of the columns: from `fields` (json_detail), the header (CSV and text), or the
    /// names in the first row. A later row with a new name adds a column at the end.
    pub fn columns(&self) -> &Arc<Columns> {
        static NONE: std::sync::LazyLock<Arc<Columns>> = std::sync::LazyLock::new(Arc::default);
        match &self.parser {
            Parser::Json { cells, .. } => &cells.columns,
            Parser::Records(records) => records.columns().unwrap_or(&NONE),
        }
    }

    /// When Looker ran the query, as it wrote it; json_detail alone says so, and only what stands
    /// before the rows read so far is known.
    pub fn ran_at(&self) -> Option<&str> {
        match &self.parser {
            Parser::Json { document, .. } => document.ran_at(),
            Parser::Records(_) => None,
        }
    }

    /// The next row; `None` only after all of Looker's data was read and found well-formed.
    ///
    /// Cancellation safe: a row is not lost when the future is dropped.
    ///
    /// # Errors
    /// Looker's, when its data is cut short or malformed, when a row is longer than 16 MiB, or when
    /// Looker reports in place of a row that the query failed. No row comes after an error.
    pub async fn next(&mut self) -> Option<Result<Row>> {
        match self.first.take() {
            Some(row) => Some(Ok(row)),
            None => self.read().await.transpose(),
        }
    }

    async fn read(&mut self) -> Result<Option<Row>> {
        match self.state {
            State::Open => {}
            State::Ended => return Ok(None),
            State::Failed => return Err(Error::looker("Looker's data was not read to its end.")),
        }
        loop {
            let row = match &mut self.parser {
                Parser::Records(records) => records.advance(&mut self.chunk),
                Parser::Json { document, cells } => {
                    document.advance(&mut self.chunk, Some(cells)).map(|event| match event {
                        Event::Row(row) => Some(row),
                        Event::Data | Event::More => None,
                    })
                }
            };
            if let Some(row) = self.checked(row)? {
                self.read += 1;
                return Ok(Some(row));
            }
            if !self.fill().await? {
                let row = match &mut self.parser {
                    Parser::Records(records) => records.finish(),
                    Parser::Json { document, .. } => document.finish().map(|()| None),
                };
                let row = self.checked(row)?;
                self.state = State::Ended;
                self.read += u64::from(row.is_some());
                return Ok(row);
            }
        }
    }

    /// Gets the next chunk; false at the stream's end.
    async fn fill(&mut self) -> Result<bool> {
        match self.stream.next().await {
            Some(Ok(chunk)) => {
                self.chunk = chunk;
                Ok(true)
            }
            Some(Err(error)) => {
                self.state = State::Failed;
                Err(error)
            }
            None => Ok(false),
        }
    }

    fn checked<T>(&mut self, result: Result<T, Fault>) -> Result<T> {
        result.map_err(|fault| {
            self.state = State::Failed;
            fault.error(self.read)
        })
    }

    /// Passes over a byte order mark.
    async fn skip_mark(&mut self) -> Result<()> {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        while self.chunk.len() < MARK.len() && MARK.starts_with(&self.chunk) {
            let begun = std::mem::take(&mut self.chunk);
            if !self.fill().await? {
                self.chunk = begun;
                return Ok(());
            }
            if !begun.is_empty() {
                self.chunk = [begun.as_ref(), self.chunk.as_ref()].concat().into();
            }
        }
        if self.chunk.starts_with(MARK) {
            self.chunk.advance(MARK.len());
        }
        Ok(())
    }

    /// Reads what stands before the rows, and learns the columns wherever `fields` stands.
    async fn reach_data(&mut self, room: &SpoolRoom) -> Result<()> {
        loop {
            let Parser::Json { document, .. } = &mut self.parser else { return Ok(()) };
            match document.advance(&mut self.chunk, None) {
                Ok(Event::More) => {}
                Ok(Event::Data) => break,
                // Rows come after `Data`.
                Ok(Event::Row(_)) => break,
                Err(fault) => return self.checked(Err(fault)),
            }
            if !self.fill().await? {
                // Without `data` at all: `read` tells what that means.
                return Ok(());
            }
        }
        self.find_fields(room).await?;
        if let Parser::Json { document, cells } = &mut self.parser {
            let fields = document.take_fields();
            let columns = fields.and_then(|json| Columns::from_fields(&json)).unwrap_or_default();
            *cells = CellReader::new(Arc::new(columns), document.is_detail());
        }
        Ok(())
    }

    /// If `fields` did not come before `data`, reads the document to its end while the rows wait in
    /// the spool.
    async fn find_fields(&mut self, room: &SpoolRoom) -> Result<()> {
        let Parser::Json { document, .. } = &self.parser else { return Ok(()) };
        if !document.may_hold_fields() {
            return Ok(());
        }
        let mut ahead = document.clone();
        let mut writer = room.writer();
        loop {
            if !self.chunk.is_empty() {
                writer.write(self.chunk.clone()).await?;
            }
            if let Err(fault) = ahead.advance(&mut self.chunk, None) {
                self.state = State::Failed;
                return Err(fault.error(ahead.rows()));
            }
            if !self.fill().await? {
                break;
            }
        }
        if let Err(fault) = ahead.finish() {
            self.state = State::Failed;
            return Err(fault.error(ahead.rows()));
        }
        self.stream = writer.finish().await?.stream();
        if let Parser::Json { document, .. } = &mut self.parser {
            document.learn(&mut ahead);
        }
        Ok(())
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("read", &self.read).finish_non_exhaustive()
    }
}
