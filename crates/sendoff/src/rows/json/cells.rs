//! Reads the cells of one row whose JSON the scanner has found sound.

use std::sync::Arc;

use super::scan::{is_space, text_run};
use super::unescape::unescape;
use crate::rows::Fault;
use crate::rows::columns::{Columns, MAX_COLUMNS};
use crate::rows::value::{CellParts, Row, Span, ValueKind};

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
    pub(in crate::rows) fn read(&mut self, mut json: Vec<u8>, number: u64) -> Result<Row, Fault> {
        let mut cells = vec![CellParts::default(); self.columns.len()];
        let has_pivots = self.detail && !self.columns.pivots().is_empty();
        let mut reader = Reader::new(&json, self.detail, has_pivots);
        let mut place = 0;
        reader.open();
        while let Some(name) = reader.name()? {
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
        let Reader { decoded, pivots, .. } = reader;
        json.extend_from_slice(&decoded);
        let text = String::from_utf8(json).map_err(|_| Fault::Row("it is not UTF-8"))?;
        let row = Row { columns: Arc::clone(&self.columns), text, cells, pivots, number };
        match looker_error(&row, place) {
            Some(words) => Err(Fault::Said(words)),
            None => Ok(row),
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

/// Walks over JSON that is known to be sound. Where it proves not to be, it gives an error all the
/// same.
struct Reader<'a> {
    json: &'a [u8],
    at: usize,
    detail: bool,
    has_pivots: bool,
    /// Text of strings that have escapes; its spans count on from the end of `json`.
    decoded: Vec<u8>,
    pivots: Vec<(Span, CellParts)>,
}

impl<'a> Reader<'a> {
    fn new(json: &'a [u8], detail: bool, has_pivots: bool) -> Self {
        Self { json, at: 0, detail, has_pivots, decoded: Vec::new(), pivots: Vec::new() }
    }

    /// The next byte that is no white space and no separator; it stays.
    fn peek(&mut self) -> u8 {
        while let Some(&byte) = self.json.get(self.at) {
            if !is_space(byte) && byte != b',' && byte != b':' {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Enters the object that stands here.
    fn open(&mut self) {
        self.peek();
        self.at += 1;
    }

    /// The next member's name; nothing at the object's end, which is left behind.
    fn name(&mut self) -> Result<Option<Span>, Fault> {
        if self.peek() == b'"' {
            return self.text().map(Some);
        }
        self.at += 1;
        Ok(None)
    }

    fn bytes(&self, span: Span) -> &[u8] {
        let (start, end) = (span.start as usize, span.end as usize);
        match start.checked_sub(self.json.len()) {
            Some(start) => self.decoded.get(start..end - self.json.len()),
            None => self.json.get(start..end),
        }
        .unwrap_or_default()
    }

    /// The text of the string that stands here, without its escapes.
    fn text(&mut self) -> Result<Span, Fault> {
        let start = self.at + 1;
        let rest = self.json.get(start..).unwrap_or_default();
        let run = text_run(rest);
        if rest.get(run) == Some(&b'"') {
            self.at = start + run + 1;
            return Ok(span(start, start + run));
        }
        let from = self.json.len() + self.decoded.len();
        let read = unescape(rest, &mut self.decoded).map_err(Fault::Row)?;
        if !read.closed {
            return Err(Fault::Row("half of a surrogate pair is no character"));
        }
        self.at = start + read.used;
        Ok(span(from, self.json.len() + self.decoded.len()))
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
        let value = self.skip();
        Ok(CellParts { kind, value, ..CellParts::default() })
    }

    /// Passes over a value and tells where it stands.
    fn skip(&mut self) -> Span {
        let byte = self.peek();
        let start = self.at;
        let rest = self.json.get(start..).unwrap_or_default();
        let length = match byte {
            b'{' | b'[' => container(rest),
            b'"' => string(rest),
            _ => {
                let ends = |b: &u8| matches!(b, b',' | b'}' | b']') || is_space(*b);
                rest.iter().position(ends).unwrap_or(rest.len())
            }
        };
        self.at = start + length;
        span(start, self.at)
    }

    /// A cell with a `value`; nothing if the object holds a cell for each pivot key.
    fn object(&mut self) -> Result<Option<CellParts>, Fault> {
        let start = self.at;
        let mut cell = CellParts { kind: ValueKind::Null, ..CellParts::default() };
        let (mut has_value, mut objects, mut others) = (false, 0, 0);
        self.open();
        while let Some(name) = self.name()? {
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
                        b'n' => {
                            self.skip();
                            None
                        }
                        _ => Some(self.skip()),
                    };
                }
                _ => {
                    self.skip();
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
        self.open();
        while let Some(key) = self.name()? {
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

/// A row has at most 16 MiB, and its un-escaped text is no longer than that: both fit.
fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

/// The length of the string that `json` begins with, quotes included.
fn string(json: &[u8]) -> usize {
    let mut at = 1;
    loop {
        at += text_run(json.get(at..).unwrap_or_default());
        match json.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            _ => return json.len(),
        }
    }
}

/// The length of the array or object that `json` begins with.
fn container(json: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_u32);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                at += string(json.get(at..).unwrap_or_default());
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    json.len()
}
