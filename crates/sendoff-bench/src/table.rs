//! The table that the bench prints.

use std::fmt;

/// All figures of one run.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

/// One figure.
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) measured: String,
    pub(crate) yardstick: String,
    pub(crate) ratio: Option<f64>,
    pub(crate) must: String,
    pub(crate) ok: bool,
}

impl Row {
    /// A figure that could not be measured is a miss that says why.
    pub(crate) fn failed(figure: &str, error: &anyhow::Error) -> Self {
        Self {
            figure: figure.to_owned(),
            measured: format!("failed: {error:#}"),
            yardstick: "–".into(),
            ratio: None,
            must: "–".into(),
            ok: false,
        }
    }

    fn cells(&self) -> [String; 6] {
        [
            self.figure.clone(),
            self.measured.clone(),
            self.yardstick.clone(),
            self.ratio.map_or_else(|| "–".into(), |ratio| format!("{:.0} %", ratio * 100.0)),
            self.must.clone(),
            if self.ok { "ok" } else { "MISS" }.into(),
        ]
    }
}

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(crate) fn all_ok(&self) -> bool {
        self.0.iter().all(|row| row.ok)
    }
}

/// As Markdown, so that it can be pasted, with columns in line for reading in a terminal.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "measured", "yardstick (same run)", "ratio", "must reach", ""];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.0.iter().map(Row::cells));
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let widths: [usize; 6] = std::array::from_fn(width);
        for (n, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if n == 0 {
                for width in widths {
                    write!(f, "|{:-<1$}", "", width + 2)?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_ok_only_if_every_row_is() {
        let good = Row {
            figure: "start".into(),
            measured: "9 ms".into(),
            yardstick: "–".into(),
            ratio: Some(0.514),
            must: "100 ms".into(),
            ok: true,
        };
        let mut table = Table::default();
        table.push(good);
        assert!(table.all_ok());
        assert!(table.to_string().contains("| start  | 9 ms     | –                    | 51 %  |"));
        table.push(Row::failed("idle", &anyhow::anyhow!("no hub")));
        assert!(!table.all_ok());
        assert!(table.to_string().contains("| idle   | failed: no hub |"));
    }
}
