//! Reads the cells of one row.

use std::sync::Arc;

use super::scan::{Scanner, is_space, text_run};
use super::unescape::unescape;
use crate::rows::Fault;
use crate::rows::columns::{Columns, MAX_COLUMNS};
use crate::rows::value::{CellParts, DECODED, Row, Span, ValueKind};

/// Makes rows of their JSON text, and keeps the columns.
#[derive(Debug)]
pub(in crate::rows) struct CellReader {
    pub(in crate::rows) columns: Arc<Columns>,
    /// Which column the n-th member of the last row was: the next row's most likely is the same.
    order: Vec<usize>,
    /// Whether a cell is an object with a `value`.
    detail: bool,
}

impl CellReader {
    pub(in crate::rows) fn new(columns: Arc<Columns>, detail: bool) -> Self {
        let order = (0..columns.len()).collect();
        Self { columns, order, detail }
    }

    /// Makes row `number` of its JSON text.
    pub(super) fn read(&mut self, json: &[u8], number: u64) -> Result<Row, Fault> {
        self.row(json, number).map(|(row, _)| row)
    }

    /// Makes row `number` of the object that `json` begins with, and tells its length. Nothing if
    /// it is not whole or not sound.
    pub(super) fn read_first(&mut self, json: &[u8], number: u64) -> Option<(Row, usize)> {
        self.row(json, number).ok()
    }

    fn row(&mut self, json: &[u8], number: u64) -> Result<(Row, usize), Fault> {
        let mut cells = vec![CellParts::default(); self.columns.len()];
        let has_pivots = self.detail && !self.columns.pivots().is_empty();
        let mut reader = Reader::new(json, self.detail, has_pivots);
        let mut place = 0;
        reader.open()?;
        while let Some(name) = reader.name(place == 0)? {
            let cell = reader.cell()?;
            let name = reader.bytes(name);
            let index = self.place(place, name, &cells)?;
            place += 1;
            if index >= cells.len() {
                cells.resize(index + 1, CellParts::default());
            }
            // In range: the line above made it so.
            cells[index] = cell;
        }
        let Reader { decoded, pivots, at, .. } = reader;
        let json = json.get(..at).unwrap_or_default();
        let mut text = Vec::with_capacity(at + decoded.len());
        text.extend_from_slice(json);
        text.extend_from_slice(&decoded);
        let text = String::from_utf8(text).map_err(|_| Fault::Row("it is not UTF-8"))?;
        let columns = Arc::clone(&self.columns);
        // A row has at most 16 MiB.
        let row = Row { columns, text, decoded: at as u32, cells, pivots, number };
        match looker_error(&row, place) {
            Some(words) => Err(Fault::Said(words)),
            None => Ok((row, at)),
        }
    }

    /// The column of the row's member number `place`.
    fn place(&mut self, place: usize, name: &[u8], cells: &[CellParts]) -> Result<usize, Fault> {
        let free = |index: usize| cells.get(index).is_none_or(|c| c.kind == ValueKind::Missing);
        let named = |index: usize| {
            self.columns.get(index).is_some_and(|column| column.name.as_bytes() == name)
        };
        if let Some(&index) = self.order.get(place)
            && named(index)
            && free(index)
        {
            return Ok(index);
        }
        let name = std::str::from_utf8(name).map_err(|_| Fault::Row("it is not UTF-8"))?;
        let first = self.columns.by_name(name).map(|column| column.index);
        // Columns may share a name: two fields of one label do in json_label.
        let index = match first {
            Some(first) if free(first) => Some(first),
            Some(first) => {
                (first + 1..self.columns.len()).find(|&index| named(index) && free(index))
            }
            None => None,
        };
        let index = match index {
            Some(index) => index,
            None if self.columns.len() >= MAX_COLUMNS => {
                return Err(Fault::TooLong("rows have more than 5,000 columns"));
            }
            None => Arc::make_mut(&mut self.columns).append(name.to_owned()),
        };
        if place < self.order.len() {
            self.order[place] = index;
        } else {
            self.order.push(index);
        }
        Ok(index)
    }
}

/// Looker reports a query that failed, also in the middle of a stream that began with status 200,
/// as a row with this one member.
fn looker_error(row: &Row, members: usize) -> Option<String> {
    if members != 1 {
        return None;
    }
    let words = row.by_name("looker_error")?.value().as_str()?;
    Some(words.to_owned())
}

/// A byte that cannot be where it is, or no byte.
const UNSOUND: Fault = Fault::Row("it is not well-formed JSON");

/// Walks over a row, as strict as the scanner: it is also used where that has not been.
struct Reader<'a> {
    json: &'a [u8],
    at: usize,
    /// In how many objects we stand.
    depth: u32,
    detail: bool,
    has_pivots: bool,
    /// Text of strings that have escapes.
    decoded: Vec<u8>,
    pivots: Vec<(Span, CellParts)>,
}

impl<'a> Reader<'a> {
    fn new(json: &'a [u8], detail: bool, has_pivots: bool) -> Self {
        let (decoded, pivots) = (Vec::new(), Vec::new());
        Self { json, at: 0, depth: 0, detail, has_pivots, decoded, pivots }
    }

    /// The next byte that is no white space; it stays. 0 at the end.
    #[inline(always)]
    fn peek(&mut self) -> u8 {
        while let Some(&byte) = self.json.get(self.at) {
            if !is_space(byte) {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != byte {
            return Err(UNSOUND);
        }
        self.at += 1;
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        self.json.get(self.at..).unwrap_or_default()
    }

    /// Enters the object that stands here.
    fn open(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        self.expect(b'{')
    }

    /// The next member's name, with the colon read; nothing at the object's end, which is left
    /// behind.
    #[inline]
    fn name(&mut self, first: bool) -> Result<Option<Span>, Fault> {
        if self.peek() == b'}' {
            self.at += 1;
            self.depth -= 1;
            return Ok(None);
        }
        if !first {
            self.expect(b',')?;
        }
        if self.peek() != b'"' {
            return Err(UNSOUND);
        }
        let name = self.text()?;
        self.expect(b':')?;
        Ok(Some(name))
    }

    fn bytes(&self, span: Span) -> &[u8] {
        let text = if span.start & DECODED == 0 { self.json } else { &self.decoded };
        let at = |place: u32| (place & !DECODED) as usize;
        text.get(at(span.start)..at(span.end)).unwrap_or_default()
    }

    /// The text of the string that stands here, without its escapes.
    #[inline]
    fn text(&mut self) -> Result<Span, Fault> {
        let start = self.at + 1;
        let rest = self.json.get(start..).unwrap_or_default();
        let run = text_run(rest);
        if rest.get(run) == Some(&b'"') {
            self.at = start + run + 1;
            return Ok(span(start, start + run));
        }
        let from = self.decoded.len();
        let read = unescape(rest, &mut self.decoded).map_err(Fault::Row)?;
        if !read.closed {
            return Err(UNSOUND);
        }
        self.at = start + read.used;
        let Span { start, end } = span(from, self.decoded.len());
        Ok(Span { start: start | DECODED, end: end | DECODED })
    }

    /// A member of the row.
    fn cell(&mut self) -> Result<CellParts, Fault> {
        if self.peek() != b'{' {
            return self.scalar();
        }
        let start = self.at;
        if self.detail {
            match self.object()? {
                Some(cell) => return Ok(cell),
                None => self.at = start,
            }
        }
        self.pivoted()
    }

    /// A value; arrays and objects keep their JSON.
    fn scalar(&mut self) -> Result<CellParts, Fault> {
        let kind = match self.peek() {
            b'"' => {
                let value = self.text()?;
                return Ok(CellParts { kind: ValueKind::Text, value, ..CellParts::default() });
            }
            b'n' => ValueKind::Null,
            b't' => ValueKind::True,
            b'f' => ValueKind::False,
            b'{' | b'[' => ValueKind::Json,
            _ => ValueKind::Number,
        };
        let value = self.skip()?;
        Ok(CellParts { kind, value, ..CellParts::default() })
    }

    /// Passes over a value and tells where it stands.
    fn skip(&mut self) -> Result<Span, Fault> {
        self.peek();
        let start = self.at;
        let read = Scanner::inside(self.depth).scan(self.rest(), 0)?;
        if !read.done {
            return Err(UNSOUND);
        }
        self.at = start + read.used;
        Ok(span(start, self.at))
    }

    /// A cell with a `value`; nothing if the object holds a cell for each pivot key.
    fn object(&mut self) -> Result<Option<CellParts>, Fault> {
        let start = self.at;
        let mut cell = CellParts { kind: ValueKind::Null, ..CellParts::default() };
        let (mut has_value, mut objects, mut others) = (false, 0, 0);
        let mut first = true;
        self.open()?;
        while let Some(name) = self.name(first)? {
            first = false;
            let byte = self.peek();
            match byte {
                b'{' => objects += 1,
                b'n' => {}
                _ => others += 1,
            }
            match self.bytes(name) {
                b"value" => {
                    // An object can be a value, but in a pivoted cell it is the key `value`.
                    has_value = byte != b'{' || !self.has_pivots;
                    let CellParts { kind, value, .. } = self.scalar()?;
                    (cell.kind, cell.value) = (kind, value);
                }
                b"rendered" => {
                    cell.rendered = match byte {
                        b'"' => Some(self.text()?),
                        b'n' => self.skip().map(|_| None)?,
                        _ => Some(self.skip()?),
                    };
                }
                _ => {
                    self.skip()?;
                }
            }
        }
        if !has_value && others == 0 && objects > 0 {
            return Ok(None);
        }
        cell.object = Some(span(start, self.at));
        Ok(Some(cell))
    }

    /// An object of pivot keys, which is also kept as it is.
    fn pivoted(&mut self) -> Result<CellParts, Fault> {
        let start = self.at;
        let first = self.pivots.len();
        let mut fresh = true;
        self.open()?;
        while let Some(key) = self.name(fresh)? {
            fresh = false;
            let cell = match self.peek() {
                b'{' if self.detail => self.object_or_json()?,
                _ => self.scalar()?,
            };
            self.pivots.push((key, cell));
        }
        let mut cell = CellParts { kind: ValueKind::Json, ..CellParts::default() };
        cell.value = span(start, self.at);
        cell.pivots = span(first, self.pivots.len());
        Ok(cell)
    }

    /// A pivot entry: a cell, or what is nested once more, as JSON.
    fn object_or_json(&mut self) -> Result<CellParts, Fault> {
        let start = self.at;
        if let Some(cell) = self.object()? {
            return Ok(cell);
        }
        self.at = start;
        self.scalar()
    }
}

/// A row has at most 16 MiB, and no part of it is un-escaped more than twice: both fit.
fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}
