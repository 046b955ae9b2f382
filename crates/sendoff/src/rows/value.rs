//! Rows and cells as a destination sees them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::columns::{Column, Columns};

/// One row of a result. It owns its text, so it may be kept or sent elsewhere; cells borrow it.
///
/// Serialised (with serde_json) it is an object of column names and values, without what
/// json_detail adds to them.
#[derive(Clone)]
pub struct Row {
    pub(super) columns: Arc<Columns>,
    /// The row as Looker sent it, then the text of the strings that had escapes.
    pub(super) text: String,
    /// Where the un-escaped text begins.
    pub(super) decoded: u32,
    pub(super) cells: Vec<CellParts>,
    pub(super) pivots: Vec<(Span, CellParts)>,
    pub(super) number: u64,
}

/// A part of a row's text, in bytes; with [`DECODED`] set in both, counted from where the
/// un-escaped text begins. Neither part of the text reaches 2^31 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// See [`Span`].
pub(super) const DECODED: u32 = 1 << 31;

/// Where the parts of a cell stand in the row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CellParts {
    pub(super) kind: ValueKind,
    pub(super) value: Span,
    pub(super) rendered: Option<Span>,
    /// The whole cell as JSON, if it is an object with a `value`.
    pub(super) object: Option<Span>,
    /// The cell's entries among the row's `pivots`.
    pub(super) pivots: Span,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ValueKind {
    #[default]
    Missing,
    Null,
    False,
    True,
    Number,
    Text,
    Json,
}

static MISSING: CellParts = CellParts {
    kind: ValueKind::Missing,
    value: Span { start: 0, end: 0 },
    rendered: None,
    object: None,
    pivots: Span { start: 0, end: 0 },
};

impl Row {
    /// The row's number in the result, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The columns, those included that this row was the first to have.
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// The cell of a column of this result.
    pub fn get(&self, column: &Column) -> Cell<'_> {
        self.at(column.index)
    }

    /// The cell at a column's place. A row that lacks the column gives null.
    pub fn at(&self, index: usize) -> Cell<'_> {
        Cell { row: self, parts: self.cells.get(index).unwrap_or(&MISSING) }
    }

    /// The cell of the first column with this name; nothing if no column has it.
    pub fn by_name(&self, name: &str) -> Option<Cell<'_>> {
        self.columns.by_name(name).map(|column| self.get(column))
    }

    /// Every column with its cell.
    pub fn iter(&self) -> impl Iterator<Item = (&Column, Cell<'_>)> {
        self.columns.iter().map(|column| (column, self.get(column)))
    }

    fn part(&self, span: Span) -> &str {
        let from = if span.start & DECODED == 0 { 0 } else { self.decoded };
        let at = |place: u32| (place & !DECODED) as usize + from as usize;
        self.text.get(at(span.start)..at(span.end)).unwrap_or_default()
    }
}

impl fmt::Debug for Row {
    /// Without the values: they are nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("number", &self.number)
            .field("cells", &self.cells.len())
            .finish_non_exhaustive()
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(column, cell)| (&column.name, cell)))
    }
}

/// One cell of a row.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    row: &'a Row,
    parts: &'a CellParts,
}

impl<'a> Cell<'a> {
    /// The value. A pivoted cell gives the JSON of all its entries; see [`pivots`](Self::pivots).
    pub fn value(self) -> CellValue<'a> {
        let text = self.row.part(self.parts.value);
        match self.parts.kind {
            ValueKind::Missing | ValueKind::Null => CellValue::Null,
            ValueKind::False => CellValue::Bool(false),
            ValueKind::True => CellValue::Bool(true),
            ValueKind::Number => CellValue::Number(text),
            ValueKind::Text => CellValue::Text(text),
            ValueKind::Json => CellValue::Json(text),
        }
    }

    /// The value as Looker shows it, where json_detail has that beside the value.
    pub fn rendered(self) -> Option<&'a str> {
        self.parts.rendered.map(|span| self.row.part(span))
    }

    /// What a person should read: [`rendered`](Self::rendered), else the value's text.
    pub fn display(self) -> &'a str {
        self.rendered().unwrap_or_else(|| self.value().text())
    }

    /// Whether the value is null, or the row lacks the column.
    pub fn is_null(self) -> bool {
        self.value().is_null()
    }

    /// Whether the cell holds a value for each pivot key in place of one value. In the format json
    /// a cell that holds a JSON object cannot be told from a pivoted one.
    pub fn is_pivoted(self) -> bool {
        self.parts.pivots.start < self.parts.pivots.end
    }

    /// The entries of a pivoted cell: key and cell, in Looker's order. Row totals have the key
    /// `$$$_row_total_$$$`.
    pub fn pivots(self) -> impl Iterator<Item = (&'a str, Cell<'a>)> {
        let Span { start, end } = self.parts.pivots;
        let entries = self.row.pivots.get(start as usize..end as usize).unwrap_or_default();
        entries.iter().map(move |(key, parts)| (self.row.part(*key), Cell { row: self.row, parts }))
    }

    /// The cell as HTML, where the field has an HTML template. Read when asked for.
    pub fn html(self) -> Option<String> {
        serde_json::from_str(self.member("html")?).ok()
    }

    /// The JSON list of drill links, where there are any. Read when asked for.
    pub fn links(self) -> Option<&'a str> {
        self.member("links")
    }

    /// The JSON text of any member that json_detail puts beside the value. Read when asked for.
    pub fn member(self, name: &str) -> Option<&'a str> {
        let object = self.row.part(self.parts.object?);
        let members: HashMap<String, &'a RawValue> = serde_json::from_str(object).ok()?;
        members.get(name).map(|json| json.get())
    }
}

impl fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("kind", &self.parts.kind).finish_non_exhaustive()
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.is_pivoted() {
            return self.value().serialize(serializer);
        }
        let Span { start, end } = self.parts.pivots;
        let mut map = serializer.serialize_map(Some((end - start) as usize))?;
        for (key, cell) in self.pivots() {
            map.serialize_entry(key, &cell)?;
        }
        map.end()
    }
}

/// The value of a cell, borrowed from its row.
///
/// Serialised with serde_json, numbers and nested JSON keep their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellValue<'a> {
    /// Null, or no value at all.
    Null,
    /// A yesno field.
    Bool(bool),
    /// A number as Looker wrote it: ids beyond 2^53 and decimals keep every digit.
    Number(&'a str),
    /// Text; in CSV and text every value is.
    Text(&'a str),
    /// An array or object as JSON text.
    Json(&'a str),
}

impl<'a> CellValue<'a> {
    /// Whether it is null.
    pub fn is_null(self) -> bool {
        self == Self::Null
    }

    /// Whether it is null or empty text, which is what CSV makes of null.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Null | Self::Text(""))
    }

    /// The text, if it is text.
    pub fn as_str(self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        if let Self::Bool(bool) = self { Some(bool) } else { None }
    }

    /// The number, if it is a whole one and fits.
    pub fn as_i64(self) -> Option<i64> {
        if let Self::Number(number) = self { number.parse().ok() } else { None }
    }

    /// The nearest floating-point number, if it is a number.
    pub fn as_f64(self) -> Option<f64> {
        if let Self::Number(number) = self { number.parse().ok() } else { None }
    }

    /// Any value as text: null is empty, numbers and JSON keep their text.
    pub fn text(self) -> &'a str {
        match self {
            Self::Null => "",
            Self::Bool(false) => "false",
            Self::Bool(true) => "true",
            Self::Number(text) | Self::Text(text) | Self::Json(text) => text,
        }
    }
}

impl fmt::Display for CellValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl Serialize for CellValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(json) | Self::Json(json) => {
                let json: &RawValue = serde_json::from_str(json).map_err(S::Error::custom)?;
                json.serialize(serializer)
            }
        }
    }
}
