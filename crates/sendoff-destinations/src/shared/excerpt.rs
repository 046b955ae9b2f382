//! The first rows of a result as texts, for messages that show a table.

use sendoff::{Result, Row, Rows};

/// The longest text of a cell, in characters.
const LONGEST_CELL: usize = 200;

/// Columns beyond this are left out.
const MOST_COLUMNS: usize = 40;

/// What row totals are called in Looker's data.
const ROW_TOTAL: &str = "$$$_row_total_$$$";

/// The first rows of a result, as a person should read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// The columns' labels. A pivoted column stands once for each pivot key.
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// All rows of the result.
    pub(crate) total: u64,
    /// All columns of the result, if some were left out.
    left_out: Option<usize>,
}

impl Excerpt {
    /// Reads `rows` to their end, so that a result that breaks off is an error and no shorter
    /// table, and keeps the first `most`.
    ///
    /// # Errors
    /// Looker's, as [`Rows::next`].
    pub(crate) async fn of(mut rows: Rows, most: usize) -> Result<Self> {
        let (mut kept, mut total) = (Vec::new(), 0);
        while let Some(row) = rows.next().await {
            let row = row?;
            total += 1;
            if kept.len() < most {
                kept.push(row);
            }
        }
        Ok(Self::from_rows(rows.columns().iter().map(|column| column.label.clone()), &kept, total))
    }

    /// One row as a table of its own: labels and values below each other.
    pub(crate) fn from_rows(
        labels: impl Iterator<Item = String>,
        rows: &[Row],
        total: u64,
    ) -> Self {
        let mut excerpt = Self { rows: vec![Vec::new(); rows.len()], total, ..Self::default() };
        let mut all = 0;
        for (index, label) in labels.enumerate() {
            let keys = pivot_keys(rows, index);
            all += keys.len().max(1);
            if excerpt.columns.len() + keys.len().max(1) > MOST_COLUMNS {
                continue;
            }
            if keys.is_empty() {
                excerpt.columns.push(label);
                for (row, out) in rows.iter().zip(&mut excerpt.rows) {
                    out.push(short(row.at(index).display()));
                }
                continue;
            }
            for key in keys {
                let shown = if key == ROW_TOTAL { "Total" } else { key.as_str() };
                excerpt.columns.push(format!("{label} ({shown})"));
                for (row, out) in rows.iter().zip(&mut excerpt.rows) {
                    let cell = row.at(index).pivots().find(|(its, _)| *its == key);
                    out.push(cell.map_or_else(String::new, |(_, cell)| short(cell.display())));
                }
            }
        }
        excerpt.left_out = (all > excerpt.columns.len()).then_some(all);
        excerpt
    }

    /// Leaves out rows, at least one, for a message that has `length` with them and may have
    /// `most`; false if there are none.
    pub(crate) fn shorten(&mut self, length: usize, most: usize) -> bool {
        let Some(last) = self.rows.len().checked_sub(1) else { return false };
        self.rows.truncate((self.rows.len() * most / length.max(1)).min(last));
        true
    }

    /// What is shown of what there is: `The first 10 of 1234 rows.`
    pub(crate) fn caption(&self) -> String {
        let rows = match (self.rows.len() as u64, self.total) {
            (_, 0) => "The result has no rows.".to_owned(),
            (shown, total) if shown < total => format!("The first {shown} of {total} rows."),
            (_, 1) => "1 row.".to_owned(),
            (_, total) => format!("{total} rows."),
        };
        match self.left_out {
            Some(all) => format!("{rows} {} of {all} columns are shown.", self.columns.len()),
            None => rows,
        }
    }
}

/// The pivot keys of a column, in the order in which they first come.
fn pivot_keys(rows: &[Row], index: usize) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for row in rows {
        for (key, _) in row.at(index).pivots() {
            if keys.len() < MOST_COLUMNS && !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
    }
    keys
}

/// A cell on one line.
fn short(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST_CELL));
    let mut taken = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if taken == LONGEST_CELL {
                line.push('…');
                return line;
            }
            line.push(c);
            taken += 1;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendoff::ByteStream;
    use sendoff::testing::json_rows;

    async fn excerpt(json: &str, most: usize) -> Excerpt {
        let bytes = bytes::Bytes::from(json.to_owned());
        let stream = futures_util::stream::once(std::future::ready(Ok(bytes)));
        Excerpt::of(json_rows(ByteStream::new(stream)).await.unwrap(), most).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_rows_stand_as_looker_shows_them() {
        let json = r#"{"fields":{"dimensions":[{"name":"o.id","label":"Orders ID"}],
            "measures":[{"name":"o.sum","label":"Orders Sum"}]},"data":[
            {"o.id":{"value":1},"o.sum":{"value":4.2,"rendered":"$4.20"}},
            {"o.id":{"value":null},"o.sum":{"value":0}},
            {"o.id":{"value":"a\r\n b"},"o.sum":{"value":false}}]}"#;
        let first = excerpt(json, 2).await;
        assert_eq!(first.columns, ["Orders ID", "Orders Sum"]);
        assert_eq!(first.rows, [["1", "$4.20"], ["", "0"]]);
        assert_eq!(first.caption(), "The first 2 of 3 rows.");
        let all = excerpt(json, 9).await;
        assert_eq!(all.rows[2], ["a b", "false"]);
        assert_eq!(all.caption(), "3 rows.");
    }

    #[tokio::test]
    async fn pivots_become_columns() {
        let json = r#"{"fields":{"dimensions":[{"name":"d","label":"D"}],
            "measures":[{"name":"m","label":"M"}]},"data":[
            {"d":{"value":"x"},"m":{"2024":{"value":1}}},
            {"d":{"value":"y"},"m":{"2025":{"value":2},"$$$_row_total_$$$":{"value":3}}}]}"#;
        let all = excerpt(json, 9).await;
        assert_eq!(all.columns, ["D", "M (2024)", "M (2025)", "M (Total)"]);
        assert_eq!(all.rows, [["x", "1", "", ""], ["y", "", "2", "3"]]);
    }

    #[tokio::test]
    async fn wide_and_empty_results_say_so() {
        let cells: Vec<_> = (0..60).map(|n| format!(r#""c{n}":{n}"#)).collect();
        let wide = excerpt(&format!("[{{{}}}]", cells.join(",")), 9).await;
        assert_eq!(wide.columns.len(), MOST_COLUMNS);
        assert_eq!(wide.caption(), "1 row. 40 of 60 columns are shown.");
        assert_eq!(excerpt("[]", 9).await.caption(), "The result has no rows.");
        assert_eq!(short(&"ü".repeat(300)), format!("{}…", "ü".repeat(200)));
    }
}
