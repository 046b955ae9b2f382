//! html: one table in a document of its own.

use std::io::Write;

use super::{Rendering, RowWriter, Shown};
use crate::model::Datum;
use crate::warehouse::{DataError, Head};

pub(super) struct Table<W> {
    head: Head,
    shown: Shown,
    out: W,
    row: u64,
    text: String,
}

const STYLE: &str = "body{font:14px sans-serif}table{border-collapse:collapse}\
                     td,th{border:1px solid #ccc;padding:4px 8px;text-align:left}\
                     .n{text-align:right}tfoot td{font-weight:bold}";

impl<W: Write> Table<W> {
    pub(super) fn new(head: Head, rendering: Rendering, out: W) -> Self {
        let shown = Shown::new(&head, rendering);
        Self { head, shown, out, row: 0, text: String::new() }
    }

    fn header(&mut self, labels: &[String]) -> Result<(), DataError> {
        self.out.write_all(b"<tr>")?;
        if self.shown.row_numbers {
            self.out.write_all(b"<th></th>")?;
        }
        for label in labels {
            write!(self.out, "<th>{}</th>", escaped(label))?;
        }
        Ok(self.out.write_all(b"</tr>\n")?)
    }

    fn values(&mut self, number: &str, row: &[Datum<'_>]) -> Result<(), DataError> {
        self.out.write_all(b"<tr>")?;
        if self.shown.row_numbers {
            write!(self.out, "<td class=\"n\">{number}</td>")?;
        }
        for (column, _) in &self.shown.columns {
            self.text.clear();
            let datum = row.get(*column).copied().unwrap_or(Datum::Null);
            self.shown.value(&self.head, *column, datum, &mut self.text);
            let class = if datum.number().is_some() { " class=\"n\"" } else { "" };
            write!(self.out, "<td{class}>{}</td>", escaped(&self.text))?;
        }
        Ok(self.out.write_all(b"</tr>\n")?)
    }
}

impl<W: Write> RowWriter for Table<W> {
    fn begin(&mut self) -> Result<(), DataError> {
        let title = escaped(&self.head.look.title);
        write!(
            self.out,
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title>\
             <style>{STYLE}</style></head><body>\n<table>\n<thead>\n"
        )?;
        if let Some(pivots) = self.shown.pivots.clone() {
            self.header(&pivots)?;
        }
        let labels: Vec<String> =
            self.shown.columns.iter().map(|(_, label)| label.clone()).collect();
        self.header(&labels)?;
        Ok(self.out.write_all(b"</thead>\n<tbody>\n")?)
    }

    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), DataError> {
        self.row += 1;
        self.values(&self.row.to_string(), row)
    }

    fn end(&mut self, totals: Option<&[Datum<'_>]>) -> Result<(), DataError> {
        self.out.write_all(b"</tbody>\n")?;
        if let Some(totals) = totals.filter(|_| self.shown.totals) {
            self.out.write_all(b"<tfoot>\n")?;
            self.values("Total", totals)?;
            self.out.write_all(b"</tfoot>\n")?;
        }
        Ok(self.out.write_all(b"</table>\n</body></html>\n")?)
    }
}

/// A text between tags or in an attribute, of XML too.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
