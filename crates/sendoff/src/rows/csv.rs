//! CSV, and TAB-separated text, record by record while the bytes arrive.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::Fault;
use super::columns::{Columns, MAX_COLUMNS};
use super::value::{CellParts, Row, Span, ValueKind};

/// A record longer than this is refused: it must stand in memory whole.
const MAX_RECORD: usize = 16 * 1024 * 1024;

/// Reads a header and then rows.
pub(super) struct Records {
    reader: Reader,
    text: Vec<u8>,
    written: usize,
    ends: Vec<usize>,
    ended: usize,
    /// Bytes of the running record were read.
    running: bool,
    /// The last record ended with `\r`: a `\n` may follow that ends no further one.
    after_return: bool,
    columns: Option<Arc<Columns>>,
    rows: u64,
}

impl Records {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            text: vec![0; 4096],
            written: 0,
            ends: vec![0; 64],
            ended: 0,
            running: false,
            after_return: false,
            columns: None,
            rows: 0,
        }
    }

    /// What the header names, once it was read.
    pub(super) fn columns(&self) -> Option<&Arc<Columns>> {
        self.columns.as_ref()
    }

    /// Reads on in `chunk`, and takes from it what was read; nothing once it is used up. The header
    /// makes columns, not a row.
    pub(super) fn advance(&mut self, chunk: &mut Bytes) -> Result<Option<Row>, Fault> {
        while let Some(&byte) = chunk.first() {
            if !self.running && matches!(byte, b'\r' | b'\n') {
                chunk.advance(1);
                let second = byte == b'\n' && self.after_return;
                self.after_return = byte == b'\r';
                // csv-core passes over empty lines, but where there is one column they are rows
                // whose value is null.
                if !second && self.columns.as_ref().is_some_and(|columns| columns.len() == 1) {
                    (self.written, self.ended) = (0, 1);
                    self.ends[0] = 0;
                    return self.row().map(Some);
                }
                continue;
            }
            self.running = true;
            let (done, used) = self.push(chunk)?;
            if done {
                self.after_return =
                    used.checked_sub(1).and_then(|at| chunk.get(at)) == Some(&b'\r');
            }
            chunk.advance(used);
            if done && let Some(row) = self.record()? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The stream has ended: gives the last row if no line end closed it.
    pub(super) fn finish(&mut self) -> Result<Option<Row>, Fault> {
        if !self.running {
            return Ok(None);
        }
        // Within quotes a line end is text and closes nothing.
        let (done, _) = self.push(b"\n")?;
        if !done {
            return Err(Fault::Cut);
        }
        match self.record() {
            Err(Fault::Ragged) => Err(Fault::Cut),
            other => other,
        }
    }

    /// Gives bytes to the parser: whether they ended a record, and how many were read.
    fn push(&mut self, bytes: &[u8]) -> Result<(bool, usize), Fault> {
        let mut used = 0;
        loop {
            // In range: `written` and `ended` count what was put there.
            let (result, read, written, ended) = self.reader.read_record(
                bytes.get(used..).unwrap_or_default(),
                &mut self.text[self.written..],
                &mut self.ends[self.ended..],
            );
            used += read;
            self.written += written;
            self.ended += ended;
            match result {
                ReadRecordResult::Record => return Ok((true, used)),
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return Ok((false, used)),
                ReadRecordResult::OutputFull if self.text.len() >= MAX_RECORD => {
                    return Err(Fault::TooLong("a row is longer than 16 MiB"));
                }
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                // It is full before the record has ended: there are more.
                ReadRecordResult::OutputEndsFull if self.ends.len() == MAX_COLUMNS => {
                    return Err(Fault::TooLong("rows have more than 5,000 columns"));
                }
                ReadRecordResult::OutputEndsFull => {
                    self.ends.resize((self.ends.len() * 2).min(MAX_COLUMNS), 0);
                }
            }
            if used == bytes.len() {
                return Ok((false, used));
            }
        }
    }

    /// What to do with a finished record: the first is the header.
    fn record(&mut self) -> Result<Option<Row>, Fault> {
        if self.columns.is_some() {
            return self.row().map(Some);
        }
        let mut columns = Columns::default();
        let mut start = 0;
        for &end in self.ends.get(..self.ended).unwrap_or_default() {
            let name = self.text.get(start..end).unwrap_or_default();
            let name = std::str::from_utf8(name).map_err(|_| Fault::Row("it is not UTF-8"))?;
            columns.append(name.to_owned());
            start = end;
        }
        self.columns = Some(Arc::new(columns));
        self.reset();
        Ok(None)
    }

    fn reset(&mut self) {
        (self.written, self.ended, self.running) = (0, 0, false);
    }

    fn row(&mut self) -> Result<Row, Fault> {
        let columns = self.columns.clone().unwrap_or_default();
        let ends = self.ends.get(..self.ended).unwrap_or_default();
        if ends.len() != columns.len() {
            return Err(Fault::Ragged);
        }
        let mut start = 0;
        let cells = ends.iter().map(|&end| {
            // A record has at most 16 MiB.
            let value = Span { start: start as u32, end: end as u32 };
            start = end;
            CellParts { kind: ValueKind::Text, value, ..CellParts::default() }
        });
        let cells = cells.collect();
        let text = self.text.get(..self.written).unwrap_or_default().to_vec();
        let text = String::from_utf8(text).map_err(|_| Fault::Row("it is not UTF-8"))?;
        self.reset();
        self.rows += 1;
        Ok(Row { columns, text, decoded: 0, cells, pivots: Vec::new(), number: self.rows })
    }
}
