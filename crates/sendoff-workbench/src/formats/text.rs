//! csv and txt: a header of labels, and a line per row.
//!
//! How Looker writes pivots there is not published. Here the values of the pivoted dimension stand
//! in a line of their own above the labels.

use std::io::Write;

use super::{Rendering, RowWriter, Shown};
use crate::model::Datum;
use crate::warehouse::{DataError, Head};

pub(super) struct Separated<W> {
    head: Head,
    shown: Shown,
    separator: char,
    out: W,
    row: u64,
    line: String,
    text: String,
}

impl<W: Write> Separated<W> {
    pub(super) fn new(head: Head, rendering: Rendering, separator: char, out: W) -> Self {
        let shown = Shown::new(&head, rendering);
        Self { head, shown, separator, out, row: 0, line: String::new(), text: String::new() }
    }

    /// Appends `self.text` as a field.
    fn field(&mut self) {
        let text = &self.text;
        if text.contains([self.separator, '"', '\n', '\r']) {
            self.line.push('"');
            self.line.push_str(&text.replace('"', "\"\""));
            self.line.push('"');
        } else {
            self.line.push_str(text);
        }
    }

    fn header(&mut self, labels: &[&str]) -> Result<(), DataError> {
        self.line.clear();
        if self.shown.row_numbers {
            self.line.push(self.separator);
        }
        for (n, label) in labels.iter().enumerate() {
            if n > 0 {
                self.line.push(self.separator);
            }
            self.text.clear();
            self.text.push_str(label);
            self.field();
        }
        self.end_line()
    }

    fn values(&mut self, number: &str, row: &[Datum<'_>]) -> Result<(), DataError> {
        self.line.clear();
        if self.shown.row_numbers {
            self.line.push_str(number);
            self.line.push(self.separator);
        }
        for n in 0..self.shown.columns.len() {
            if n > 0 {
                self.line.push(self.separator);
            }
            let column = self.shown.columns[n].0;
            self.text.clear();
            let datum = row.get(column).copied().unwrap_or(Datum::Null);
            self.shown.value(&self.head, column, datum, &mut self.text);
            self.field();
        }
        self.end_line()
    }

    fn end_line(&mut self) -> Result<(), DataError> {
        self.line.push('\n');
        Ok(self.out.write_all(self.line.as_bytes())?)
    }
}

impl<W: Write> RowWriter for Separated<W> {
    fn begin(&mut self) -> Result<(), DataError> {
        if let Some(pivots) = self.shown.pivots.clone() {
            self.header(&pivots.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        let labels: Vec<String> =
            self.shown.columns.iter().map(|(_, label)| label.clone()).collect();
        self.header(&labels.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), DataError> {
        self.row += 1;
        let number = if self.shown.row_numbers { self.row.to_string() } else { String::new() };
        self.values(&number, row)
    }

    fn end(&mut self, totals: Option<&[Datum<'_>]>) -> Result<(), DataError> {
        match totals {
            Some(totals) if self.shown.totals => self.values("Total", totals),
            _ => Ok(()),
        }
    }
}
