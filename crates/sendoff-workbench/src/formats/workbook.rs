//! xlsx: one sheet. Rows go to a temporary file as they come, and the archive is made from it.

use std::io::{self, Read, Seek, Write};

use rust_xlsxwriter::{Format as Style, Workbook, XlsxError};

use super::{CHUNK, Rendering, RowWriter, Shown};
use crate::model::Datum;
use crate::warehouse::{DataError, Head};

/// Excel's own limits.
const MAX_ROWS: u32 = 1_048_576;
const MAX_COLUMNS: usize = 16_384;
const MAX_TEXT: usize = 32_767;

pub(super) struct Book {
    workbook: Workbook,
    shown: Shown,
    /// The number format of each column that is shown.
    styles: Vec<Option<Style>>,
    bold: Style,
    next: u32,
    number: u64,
}

impl Book {
    pub(super) fn new(head: &Head, rendering: Rendering) -> Result<Self, DataError> {
        let shown = Shown::new(head, rendering);
        if shown.columns.len() >= MAX_COLUMNS {
            return Err(DataError::Limit(format!("A sheet holds {MAX_COLUMNS} columns.")));
        }
        let style = |(column, _): &(usize, String)| {
            let format = head.field(&head.columns[*column]).format;
            let pattern = format.pattern().filter(|_| shown.formatted)?;
            Some(Style::new().set_num_format(pattern))
        };
        let styles = shown.columns.iter().map(style).collect();
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet_with_constant_memory().map_err(excel)?;
        sheet.set_name(sheet_name(&head.look.title)).map_err(excel)?;
        Ok(Self { workbook, shown, styles, bold: Style::new().set_bold(), next: 0, number: 0 })
    }

    /// Writes the workbook. The archive is made on disk, since its parts are written by seeking.
    pub(super) fn save(&mut self, out: &mut dyn Write) -> Result<(), DataError> {
        let mut file = tempfile::tempfile()?;
        self.workbook.save_to_writer(io::BufWriter::new(&mut file)).map_err(excel)?;
        file.rewind()?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            out.write_all(&buffer[..read])?;
        }
    }

    fn header(&mut self, labels: &[String]) -> Result<(), DataError> {
        let first = u16::from(self.shown.row_numbers);
        let row = self.next_row()?;
        let sheet = self.workbook.worksheet_from_index(0).map_err(excel)?;
        for (column, label) in (first..).zip(labels) {
            sheet.write_string_with_format(row, column, label, &self.bold).map_err(excel)?;
        }
        Ok(())
    }

    fn next_row(&mut self) -> Result<u32, DataError> {
        let row = self.next;
        if row >= MAX_ROWS {
            return Err(DataError::Limit(format!(
                "A sheet of Excel holds {MAX_ROWS} rows; send fewer, or as csv."
            )));
        }
        self.next += 1;
        Ok(row)
    }

    fn values(&mut self, lead: Option<&str>, row: &[Datum<'_>]) -> Result<(), DataError> {
        let at = self.next_row()?;
        let sheet = self.workbook.worksheet_from_index(0).map_err(excel)?;
        let mut first = 0;
        if self.shown.row_numbers {
            first = 1;
            match lead {
                Some(text) => sheet.write_string(at, 0, text).map_err(excel)?,
                None => sheet.write_number(at, 0, self.number as f64).map_err(excel)?,
            };
        }
        for ((column, (n, _)), style) in (first..).zip(&self.shown.columns).zip(&self.styles) {
            let written = match (row.get(*n).copied().unwrap_or(Datum::Null), style) {
                (Datum::Null, _) => continue,
                (Datum::Text(text), _) => {
                    if text.chars().count() > MAX_TEXT {
                        return Err(DataError::Limit(format!(
                            "A cell of Excel holds {MAX_TEXT} characters; send this as csv."
                        )));
                    }
                    // As a string, so that `=SUM(1,2)` in data stays text.
                    sheet.write_string(at, column, text)
                }
                (datum, style) => match (datum.number(), style) {
                    (None, _) => continue,
                    (Some(number), None) => sheet.write_number(at, column, number),
                    (Some(number), Some(style)) => {
                        sheet.write_number_with_format(at, column, number, style)
                    }
                },
            };
            written.map_err(excel)?;
        }
        Ok(())
    }
}

impl RowWriter for Book {
    fn begin(&mut self) -> Result<(), DataError> {
        if let Some(pivots) = self.shown.pivots.clone() {
            self.header(&pivots)?;
        }
        let labels: Vec<String> =
            self.shown.columns.iter().map(|(_, label)| label.clone()).collect();
        self.header(&labels)
    }

    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), DataError> {
        self.number += 1;
        self.values(None, row)
    }

    fn end(&mut self, totals: Option<&[Datum<'_>]>) -> Result<(), DataError> {
        match totals {
            Some(totals) if self.shown.totals => self.values(Some("Total"), totals),
            _ => Ok(()),
        }
    }
}

/// Excel takes 31 characters, without some.
fn sheet_name(title: &str) -> String {
    let legal = |character: &char| !"[]:*?/\\'".contains(*character) && !character.is_control();
    let name: String = title.chars().filter(legal).take(31).collect();
    if name.trim().is_empty() { "Result".into() } else { name }
}

fn excel(error: XlsxError) -> DataError {
    match error {
        XlsxError::IoError(error) => error.into(),
        error => DataError::Io(io::Error::other(error)),
    }
}
