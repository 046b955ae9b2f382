//! Looker's rows as rows of cells: which columns there are, how many rows, and what a value reads as.

use std::collections::HashSet;

use sendoff::{Cell, CellValue, Error, Payload, Result, Row, write_json_text};

use super::ValueInput;
use super::api::COLUMNS_AT_MOST;
use super::moment::Moment;

/// "A cell can hold 50,000 characters" (<https://support.google.com/drive/answer/37603>).
const CHARACTERS_AT_MOST: usize = 50_000;

/// More digits than a number of Google's holds: it would change the last ones.
const DIGITS_AT_MOST: usize = 15;

/// One column of the sheet.
struct Column {
    label: String,
    /// Its place in Looker's result.
    index: usize,
    /// For pivoted cells: whose value it shows.
    pivot: Option<String>,
    /// Its dates are written as dates.
    moment: Option<Moment>,
}

/// What is written, as known after the data was read once.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: u64,
    /// The format has no numbers of its own.
    texts: bool,
}

impl Table {
    /// Reads all rows, so that the grid is made as large as it must be, and what Google would
    /// refuse is told before anything is touched.
    pub(super) async fn measured(data: Payload, input: ValueInput) -> Result<Self> {
        let texts = !matches!(data.extension(), Some("json" | "inline_json"))
            && data.media_type() != "application/json";
        let mut rows = data.rows().await?;
        let mut known = rows.columns().clone();
        let mut pivots: Vec<Pivots> = Vec::new();
        let mut count = 0;
        while let Some(row) = rows.next().await {
            let row = row?;
            count += 1;
            if row.columns().len() > known.len() {
                known = row.columns().clone();
            }
            pivots.resize_with(known.len(), Pivots::default);
            for ((column, cell), pivots) in row.iter().zip(&mut pivots) {
                pivots.see(cell);
                let values = cell.pivots().map(|(_, cell)| cell);
                if values.chain([cell]).any(|cell| !cell.is_pivoted() && too_long(cell)) {
                    return Err(Error::vendor(format!(
                        "Row {count} has a text of more than 50,000 characters under {}, and a \
                         cell in Google Sheets holds no more. Nothing was changed. Leave the \
                         column out or shorten it.",
                        column.label
                    )));
                }
            }
        }
        let mut columns = Vec::new();
        for column in known.iter() {
            let keys = pivots.get(column.index).map(|pivots| pivots.keys.as_slice());
            // What Google reads as if typed becomes a date by that.
            let typed = column.field_type.as_deref().filter(|_| input == ValueInput::Raw);
            let moment = typed.and_then(Moment::of);
            let one = |label: String, pivot| Column { label, index: column.index, pivot, moment };
            match keys.unwrap_or_default() {
                [] => columns.push(one(column.label.clone(), None)),
                keys => columns.extend(keys.iter().map(|key| {
                    one(format!("{} {}", readable(key), column.label), Some(key.clone()))
                })),
            }
        }
        if columns.is_empty() {
            return Err(Error::looker(
                "Looker's data has neither columns nor rows. Nothing was changed. Run the query in \
                 Looker to see what it answers.",
            ));
        }
        if columns.len() as u64 > COLUMNS_AT_MOST {
            return Err(Error::vendor(format!(
                "The result has {} columns, and Google Sheets takes 18,278 at most. Nothing was \
                 changed.",
                columns.len()
            )));
        }
        Ok(Self { columns, rows: count, texts })
    }

    pub(super) fn columns(&self) -> u64 {
        self.columns.len() as u64
    }

    /// Without the header.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns of dates, counted from 0.
    pub(super) fn moments(&self) -> impl Iterator<Item = (u64, Moment)> {
        (0..).zip(&self.columns).filter_map(|(at, column)| Some((at, column.moment?)))
    }

    /// Appends the header as a JSON list.
    pub(super) fn write_header(&self, out: &mut Vec<u8>) {
        list(&self.columns, out, |column, out| write_json_text(&column.label, out));
    }

    /// Appends a row as a JSON list of as many cells as there are columns.
    pub(super) fn write_row(&self, row: &Row, out: &mut Vec<u8>) {
        let mut before = 0;
        list(&self.columns, out, |column, out| {
            let cell = row.at(column.index);
            let Some(key) = &column.pivot else { return self.write(column, cell, out) };
            // Columns stand in the order of the keys, so that the next one is most often the
            // right one.
            let next = cell.pivots().enumerate().skip(before).find(|(_, (each, _))| each == key);
            let found =
                next.or_else(|| cell.pivots().enumerate().find(|(_, (each, _))| each == key));
            match found {
                Some((at, (_, cell))) => {
                    before = at + 1;
                    self.write(column, cell, out);
                }
                None => out.extend_from_slice(b"\"\""),
            }
        });
    }

    fn write(&self, column: &Column, cell: Cell<'_>, out: &mut Vec<u8>) {
        let days = |text: &str| column.moment.and_then(|moment| moment.serial(text));
        match cell.value() {
            // A null would leave the cell as it is.
            CellValue::Null => out.extend_from_slice(b"\"\""),
            CellValue::Number(text) if is_exact(text) => out.extend_from_slice(text.as_bytes()),
            CellValue::Text(text) if self.texts && is_exact(text) => {
                out.extend_from_slice(text.as_bytes());
            }
            CellValue::Text(text) if let Some(days) = days(text) => {
                out.extend_from_slice(days.to_string().as_bytes());
            }
            CellValue::Bool(truth) => out.extend_from_slice(if truth { b"true" } else { b"false" }),
            other => write_json_text(other.text(), out),
        }
    }
}

/// The keys of one pivoted column, in the order in which they come.
#[derive(Default)]
struct Pivots {
    keys: Vec<String>,
    known: HashSet<String>,
}

impl Pivots {
    fn see(&mut self, cell: Cell<'_>) {
        for (key, _) in cell.pivots() {
            if !self.known.contains(key) {
                self.known.insert(key.to_owned());
                self.keys.push(key.to_owned());
            }
        }
    }
}

fn list<T>(items: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// A pivot's key as a person reads it. Looker puts `|FIELD|` between the values of several pivots.
fn readable(key: &str) -> String {
    match key {
        "$$$_row_total_$$$" => "Row Total".to_owned(),
        key => key.replace("|FIELD|", ", "),
    }
}

fn too_long(cell: Cell<'_>) -> bool {
    let text = cell.value().text();
    text.len() > CHARACTERS_AT_MOST && text.chars().count() > CHARACTERS_AT_MOST
}

/// Whether a text is a number as JSON writes it, which Google's numbers can hold. Leading zeros and
/// long ids are none, nor is what was rounded to a power of ten.
fn is_exact(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole)
        && fraction.is_none_or(all_digits)
        && (whole == "0" || !whole.starts_with('0'))
        && whole.len() + fraction.map_or(0, str::len) <= DIGITS_AT_MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_number_would_change_stays_text() {
        for exact in ["0", "-1", "12.50", "123456789012345", "0.25"] {
            assert!(is_exact(exact), "{exact}");
        }
        for text in [
            "",
            "-",
            "007",
            "1.",
            ".5",
            "1e5",
            "+1",
            "1,000",
            "9007199254740993",
            "2026-11-25",
            "1 ",
            "NaN",
            "=1+1",
            "00",
            "-01",
        ] {
            assert!(!is_exact(text), "{text}");
        }
    }

    #[test]
    fn keys_of_pivots_are_read() {
        assert_eq!(readable("2026|FIELD|new"), "2026, new");
        assert_eq!(readable("$$$_row_total_$$$"), "Row Total");
    }
}
