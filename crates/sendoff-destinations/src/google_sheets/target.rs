//! Where in the spreadsheet the cells go, and what becomes of what stands there.

use sendoff::{Error, Receipt, Result};
use serde_json::{Value, json};

use super::api::{self, CELLS_AT_MOST, COLUMNS_AT_MOST, Grid, Tab};
use super::book::Found;
use super::table::Table;
use super::{Form, Overwrite, ValueInput};
use crate::shared::google::Google;
use crate::shared::template::{self, Facts};

/// A tab's name is no longer.
const TITLE_AT_MOST: usize = 100;

/// The blocks of cells that are looked at from the end of a tab on, to find its last row: small at
/// first, because what is found is sent whole.
const FIRST_LOOK: u64 = 50_000;
const LONGEST_LOOK: u64 = 200_000;

/// What the form says.
pub(super) struct Wish {
    mode: Overwrite,
    tab: Named,
    new_tab: String,
    header: bool,
    row: u64,
    column: u64,
    formats: bool,
    paste: &'static str,
}

enum Named {
    First,
    Id(u32),
    Title(String),
}

/// What the last step does.
pub(super) struct Target {
    pub(super) tab: Tab,
    pub(super) header: bool,
    grid: Grid,
    row: u64,
    column: u64,
    how: How,
    paste: &'static str,
}

enum How {
    /// Values go, with `formats` nothing else.
    Over {
        formats: bool,
        title: Option<String>,
    },
    /// Rows are put in behind the last one, so that nothing is written over.
    Below,
    New,
}

impl Wish {
    pub(super) fn of(form: &Form, facts: &Facts, shown: Option<u32>) -> Result<Self> {
        let (row, column) = cell(&form.start_cell).ok_or_else(|| {
            Error::form("start_cell", "Enter the cell in the upper left corner, such as A1 or B3.")
        })?;
        let tab = match form.tab.as_deref().map(str::trim).filter(|tab| !tab.is_empty()) {
            None => shown.map_or(Named::First, Named::Id),
            Some(tab) => match tab.strip_prefix("gid=").and_then(|id| id.parse().ok()) {
                Some(id) => Named::Id(id),
                None => Named::Title(tab.to_owned()),
            },
        };
        let name = form.new_tab.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let name = name.unwrap_or("{date} {time}");
        let new_tab = template::text(name, TITLE_AT_MOST, facts, &|_| None)
            .map_err(|why| Error::form("new_tab", why))?;
        Ok(Self {
            mode: form.overwrite,
            tab,
            new_tab,
            header: form.header,
            row,
            column,
            formats: form.keep_formatting,
            // A date that was typed is a number that its format shows as a date.
            paste: match form.value_input {
                ValueInput::Raw => "PASTE_VALUES",
                ValueInput::UserEntered => "PASTE_NORMAL",
            },
        })
    }

    /// Looks where the cells go, and whether they have room there.
    pub(super) async fn target(
        &self,
        google: &Google,
        found: &Found,
        table: &Table,
    ) -> Result<Target> {
        let target = self.chosen(google, found).await?;
        let most = CELLS_AT_MOST;
        let grown = target.grown(table);
        let wanted = target.rows(table).max(1) * table.columns() + grown;
        let held = found.book.cells();
        if held + wanted > most || target.column + table.columns() > COLUMNS_AT_MOST {
            return Err(Error::form(
                "spreadsheet",
                format!(
                    "A spreadsheet holds 10,000,000 cells. This one has {held}, and {wanted} more \
                     are needed, those included that the new rows take beside the old ones until \
                     they are whole. Nothing was changed. Choose another spreadsheet, or delete \
                     rows and columns that are empty."
                ),
            ));
        }
        Ok(target)
    }

    async fn chosen(&self, google: &Google, found: &Found) -> Result<Target> {
        let book = &found.book;
        let (row, column, header, paste) = (self.row, self.column, self.header, self.paste);
        let new = |title: String| {
            let grid = Grid::default();
            let tab = Tab { id: super::write::fresh(), title, hidden: false, grid: Some(grid) };
            Target { tab, header, grid, row, column, how: How::New, paste }
        };
        if self.mode == Overwrite::NewTab && !found.made {
            return Ok(new(free(found, &self.new_tab)));
        }
        let first = || book.grids().find(|(tab, _)| !tab.hidden);
        let there = match &self.tab {
            _ if found.made => first(),
            Named::First => first(),
            Named::Id(id) => {
                let tab = book.grids().find(|(tab, _)| tab.id == *id);
                Some(tab.ok_or_else(|| {
                    let text = "The tab is gone, or holds no cells. Choose another one.";
                    Error::form("tab", text)
                })?)
            }
            Named::Title(title) => match book.tabs().find(|tab| tab.title == *title) {
                Some(tab) if tab.grid.is_none() => {
                    return Err(Error::form("tab", format!("The tab {title} holds no cells.")));
                }
                Some(tab) => tab.grid.map(|grid| (tab, grid)),
                None => return Ok(new(title.clone())),
            },
        };
        let Some((tab, grid)) = there else {
            return Ok(new(free(found, "Data")));
        };
        let tab = tab.clone();
        if self.mode == Overwrite::Append && !found.made {
            let last = last_row(google, &book.id, &tab, grid).await?;
            let header = header && last <= row;
            let row = last.max(row);
            return Ok(Target { tab, header, grid, row, column, how: How::Below, paste });
        }
        let title = match (&self.tab, self.mode) {
            (_, Overwrite::NewTab) => Some(self.new_tab.clone()),
            (Named::Title(title), _) if found.made => Some(title.clone()),
            _ => None,
        };
        let how = How::Over { formats: self.formats, title };
        Ok(Target { tab, header, grid, row, column, how, paste })
    }
}

impl Target {
    /// How many rows are written, the header among them.
    pub(super) fn rows(&self, table: &Table) -> u64 {
        table.rows() + u64::from(self.header)
    }

    /// The size that the tab must have.
    fn needed(&self, table: &Table) -> Grid {
        let (rows, columns) = (self.row + self.rows(table), self.column + table.columns());
        match self.how {
            How::New => Grid { rows: rows.max(1), columns },
            How::Over { .. } => {
                Grid { rows: rows.max(self.grid.rows), columns: columns.max(self.grid.columns) }
            }
            How::Below => Grid {
                rows: (self.grid.rows + self.rows(table)).max(rows),
                columns: columns.max(self.grid.columns),
            },
        }
    }

    /// How many cells the tab has more afterwards.
    fn grown(&self, table: &Table) -> u64 {
        let needed = self.needed(table);
        (needed.rows * needed.columns).saturating_sub(self.grid.rows * self.grid.columns)
    }

    /// What Google is to do at once, after which the cells stand where they belong: the tab stays
    /// the same tab, so that formulas and charts elsewhere go on showing it.
    pub(super) fn shown(&self, table: &Table, aside: u32) -> Vec<Value> {
        let (id, rows, needed) = (self.tab.id, self.rows(table), self.needed(table));
        let mut requests = Vec::new();
        let size = |grid: Grid| json!({"rowCount": grid.rows, "columnCount": grid.columns});
        let grow = |to: Grid| {
            json!({"updateSheetProperties": {
                "properties": {"sheetId": id, "gridProperties": size(to)},
                "fields": "gridProperties(rowCount,columnCount)",
            }})
        };
        match &self.how {
            How::New => requests.push(json!({"addSheet": {"properties": {
                "sheetId": id, "title": self.tab.title, "gridProperties": size(needed),
            }}})),
            How::Over { formats, title } => {
                if (needed.rows, needed.columns) != (self.grid.rows, self.grid.columns) {
                    requests.push(grow(needed));
                }
                if let Some(title) = title {
                    requests.push(json!({"updateSheetProperties": {
                        "properties": {"sheetId": id, "title": title}, "fields": "title",
                    }}));
                }
                let fields = if *formats { "userEnteredValue" } else { "*" };
                requests.push(json!({"updateCells": {
                    "range": {
                        "sheetId": id, "startRowIndex": self.row, "startColumnIndex": self.column,
                    },
                    "fields": fields,
                }}));
            }
            How::Below => {
                if needed.columns > self.grid.columns {
                    requests.push(grow(Grid { columns: needed.columns, ..self.grid }));
                }
                requests.extend(self.made_room(rows));
            }
        }
        if rows > 0 {
            requests.push(json!({"copyPaste": {
                "source": range(aside, (0, 0), (rows, table.columns())),
                "destination": range(id, (self.row, self.column),
                    (self.row + rows, self.column + table.columns())),
                "pasteType": self.paste,
                "pasteOrientation": "NORMAL",
            }}));
        }
        requests.push(json!({"deleteSheet": {"sheetId": aside}}));
        requests
    }

    /// New rows at the place where the cells go.
    fn made_room(&self, rows: u64) -> Option<Value> {
        if rows == 0 {
            return None;
        }
        if self.row >= self.grid.rows {
            let more = self.row + rows - self.grid.rows;
            return Some(json!({"appendDimension": {
                "sheetId": self.tab.id, "dimension": "ROWS", "length": more,
            }}));
        }
        Some(json!({"insertDimension": {
            "range": {
                "sheetId": self.tab.id, "dimension": "ROWS",
                "startIndex": self.row, "endIndex": self.row + rows,
            },
            "inheritFromBefore": self.row > 0,
        }}))
    }

    pub(super) fn receipt(&self, found: &Found, table: &Table) -> Receipt {
        let title = match &self.how {
            How::Over { title: Some(title), .. } => title,
            _ => &self.tab.title,
        };
        let place = format!("the tab {title} of {}", found.book.title());
        let receipt = Receipt::new(place).rows(table.rows(), 0).link(found.link(self.tab.id));
        found.remark().into_iter().fold(receipt, Receipt::remark)
    }
}

fn range(id: u32, from: (u64, u64), to: (u64, u64)) -> Value {
    json!({
        "sheetId": id,
        "startRowIndex": from.0, "endRowIndex": to.0,
        "startColumnIndex": from.1, "endColumnIndex": to.1,
    })
}

/// A title that no tab has.
fn free(found: &Found, title: &str) -> String {
    let taken = |title: &str| found.book.tabs().any(|tab| tab.title == title);
    let numbered = (2..).map(|n| format!("{title} ({n})"));
    std::iter::once(title.to_owned())
        .chain(numbered)
        .find(|title| !taken(title))
        .unwrap_or_default()
}

/// The last row of a tab that has a value in any column; 0 if none has.
async fn last_row(google: &Google, id: &str, tab: &Tab, grid: Grid) -> Result<u64> {
    let (mut end, mut look) = (grid.rows, FIRST_LOOK);
    while end > 0 {
        let rows = (look / grid.columns.max(1)).clamp(1, end);
        let start = end - rows;
        let filled = api::read(google, id, &a1(&tab.title, start, end, grid.columns)).await?;
        if filled > 0 {
            return Ok(start + filled);
        }
        (end, look) = (start, (look * 2).min(LONGEST_LOOK));
    }
    Ok(0)
}

/// The rows from `start` up to but without `end`, in as many columns.
pub(super) fn a1(title: &str, start: u64, end: u64, columns: u64) -> String {
    let title = title.replace('\'', "''");
    format!("'{title}'!A{}:{}{end}", start + 1, letters(columns))
}

/// The name of the n-th column, counted from 1.
fn letters(mut n: u64) -> String {
    let mut name = Vec::new();
    while n > 0 {
        n -= 1;
        name.push(b'A' + (n % 26) as u8);
        n /= 26;
    }
    name.reverse();
    String::from_utf8(name).unwrap_or_default()
}

/// Row and column of a cell's name, counted from 0.
fn cell(name: &str) -> Option<(u64, u64)> {
    let name = name.trim().to_ascii_uppercase();
    let at = name.find(|c: char| !c.is_ascii_uppercase())?;
    let (column, row) = name.split_at(at);
    let digits = (1..=8).contains(&row.len()) && row.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !(1..=3).contains(&column.len()) {
        return None;
    }
    let column = column.bytes().fold(0, |sum, byte| sum * 26 + u64::from(byte - b'A') + 1);
    Some((row.parse::<u64>().ok()?.checked_sub(1)?, column - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_named_as_google_names_them() {
        for (n, name) in [(1, "A"), (26, "Z"), (27, "AA"), (702, "ZZ"), (703, "AAA")] {
            assert_eq!(letters(n), name);
            assert_eq!(cell(&format!("{name}7")), Some((6, n - 1)));
        }
        assert_eq!(a1("It's", 0, 9, 20), "'It''s'!A1:T9");
        assert_eq!(cell(" b3 "), Some((2, 1)));
        for wrong in ["", "3", "B", "B0", "B3:C4", "ABCD1", "B-3", "Ä1"] {
            assert_eq!(cell(wrong), None, "{wrong}");
        }
    }
}
