//! Where in the spreadsheet the cells go, and what becomes of what stands there.

use sendoff::{Error, Receipt, Result};
use serde_json::{Value, json};

use super::api::{self, Book, CELLS_AT_MOST, COLUMNS_AT_MOST, Grid, Tab};
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
    pub(super) header: bool,
    row: u64,
    column: u64,
    formats: bool,
    pub(super) input: ValueInput,
}

enum Named {
    First,
    Id(u32),
    Title(String),
}

/// The tab that a wish means.
enum Chosen<'a> {
    There(&'a Tab, Grid),
    /// It is to be made, by this name.
    New(String),
}

/// What the last step does.
pub(super) struct Target {
    tab: Tab,
    grid: Grid,
    row: u64,
    column: u64,
    /// How many rows of the hidden tab are not shown: the header, or none.
    skipped: u64,
    /// How many are, a header among them.
    rows: u64,
    /// How many without it.
    data_rows: u64,
    columns: u64,
    how: How,
    paste: &'static str,
    /// Columns of dates, counted in the hidden tab, and how they are shown.
    dates: Vec<(u64, Value)>,
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
            input: form.value_input,
        })
    }

    /// How many rows the hidden tab gets.
    pub(super) fn rows(&self, table: &Table) -> u64 {
        table.rows() + u64::from(self.header)
    }

    /// The same wish for the tab that it means now, if there is room in the spreadsheet.
    ///
    /// # Errors
    /// A form error if the tab is none to write to, or the spreadsheet is too full.
    pub(super) fn checked(mut self, found: &Found, table: &Table) -> Result<Self> {
        let chosen = self.chosen(&found.book, found.made)?;
        let (rows, held) = (self.rows(table), found.book.cells());
        let (down, across) = (self.row + rows, self.column + table.columns());
        let grown = match chosen {
            Chosen::New(_) => down.max(1) * across,
            Chosen::There(_, grid) => {
                let down = match self.appends(found.made) {
                    true => down.max(grid.rows + rows),
                    false => down.max(grid.rows),
                };
                down * across.max(grid.columns) - grid.rows * grid.columns
            }
        };
        let wanted = rows.max(1) * table.columns() + grown;
        if held + wanted > CELLS_AT_MOST || across > COLUMNS_AT_MOST {
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
        // Somebody may put another one before it while the rows are written.
        if let (Named::First, Chosen::There(tab, _)) = (&self.tab, chosen) {
            self.tab = Named::Id(tab.id);
        }
        Ok(self)
    }

    /// Looks where the cells go in `book`, which is as it is now.
    ///
    /// # Errors
    /// As [`checked`](Self::checked), or Google's refusal to show the tab.
    pub(super) async fn target(
        &self,
        google: &Google,
        book: &Book,
        made: bool,
        table: &Table,
    ) -> Result<Target> {
        let mut target = Target {
            tab: Tab::default(),
            grid: Grid::default(),
            row: self.row,
            column: self.column,
            skipped: 0,
            rows: self.rows(table),
            data_rows: table.rows(),
            columns: table.columns(),
            how: How::New,
            // A date that was typed is a number that its format shows as a date.
            paste: match self.input {
                ValueInput::Raw => "PASTE_VALUES",
                ValueInput::UserEntered => "PASTE_NORMAL",
            },
            dates: table.moments().map(|(at, moment)| (at, moment.format())).collect(),
        };
        match self.chosen(book, made)? {
            Chosen::New(title) => {
                target.tab = Tab { id: super::write::fresh(), title, ..Tab::default() };
            }
            Chosen::There(tab, grid) => {
                (target.tab, target.grid) = (tab.clone(), grid);
                target.how = How::Over { formats: self.formats, title: self.title(made) };
            }
        }
        if self.appends(made) && !matches!(target.how, How::New) {
            let last = last_row(google, &book.id, &target.tab, target.grid).await?;
            target.how = How::Below;
            target.row = last.max(self.row);
            if last > self.row && self.header {
                (target.skipped, target.rows) = (1, target.rows - 1);
            }
        }
        target.keep_date_formats(google, &book.id).await?;
        Ok(target)
    }

    /// Whether rows go below those that are there. There are none where we made the spreadsheet.
    fn appends(&self, made: bool) -> bool {
        self.mode == Overwrite::Append && !made
    }

    /// What the one tab of a spreadsheet that we made is to be called.
    fn title(&self, made: bool) -> Option<String> {
        match (&self.tab, self.mode) {
            _ if !made => None,
            (_, Overwrite::NewTab) => Some(self.new_tab.clone()),
            (Named::Title(title), _) => Some(title.clone()),
            _ => None,
        }
    }

    fn chosen<'a>(&self, book: &'a Book, made: bool) -> Result<Chosen<'a>> {
        if self.mode == Overwrite::NewTab && !made {
            return Ok(Chosen::New(free(book, &self.new_tab)));
        }
        let wrong = |text: String| Error::form("tab", text);
        let there = match &self.tab {
            _ if made => first(book),
            Named::First => first(book),
            Named::Id(id) => {
                let tab = book.grids().find(|(tab, _)| tab.id == *id);
                let gone = "The tab is gone, or holds no cells. Choose another one.";
                Some(tab.ok_or_else(|| wrong(gone.to_owned()))?)
            }
            Named::Title(title) => match book.tabs().find(|tab| tab.title == *title) {
                Some(tab) => {
                    let none = || wrong(format!("The tab {title} holds no cells."));
                    Some((tab, tab.grid.ok_or_else(none)?))
                }
                None => return Ok(Chosen::New(title.clone())),
            },
        };
        Ok(match there {
            Some((tab, grid)) => Chosen::There(tab, grid),
            None => Chosen::New(free(book, "Data")),
        })
    }
}

/// The first tab that can be seen and has cells.
fn first(book: &Book) -> Option<(&Tab, Grid)> {
    book.grids().find(|(tab, _)| !tab.hidden)
}

impl Target {
    /// What Google is to do at once, after which the cells stand where they belong: the tab stays
    /// the same tab, so that formulas and charts elsewhere go on showing it.
    ///
    /// Others may have changed the tab since it was looked at. So rows and columns are added and
    /// inserted, and no size is set: whatever they wrote stays.
    pub(super) fn shown(&self, aside: u32) -> Vec<Value> {
        let (id, across) = (self.tab.id, self.column + self.columns);
        let mut requests = Vec::new();
        match &self.how {
            How::New => requests.push(json!({"addSheet": {"properties": {
                "sheetId": id, "title": self.tab.title,
                "gridProperties": {
                    "rowCount": (self.row + self.rows).max(1), "columnCount": across,
                },
            }}})),
            How::Over { formats, title } => {
                requests.extend(self.grown(self.row + self.rows, across));
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
                requests.extend(self.grown(self.row, across));
                requests.extend(self.made_room());
            }
        }
        if self.rows > 0 {
            requests.push(json!({"copyPaste": {
                "source": range(aside, (self.skipped, 0), (self.rows, self.columns)),
                "destination": range(id, (self.row, self.column), (self.rows, self.columns)),
                "pasteType": self.paste,
                "pasteOrientation": "NORMAL",
            }}));
        }
        let header = self.rows - self.data_rows;
        let below = |(at, format): &(u64, Value)| {
            json!({"repeatCell": {
                "range": range(id, (self.row + header, self.column + at), (self.data_rows, 1)),
                "cell": {"userEnteredFormat": {"numberFormat": format}},
                "fields": "userEnteredFormat.numberFormat",
            }})
        };
        requests.extend(self.dates.iter().filter(|_| self.data_rows > 0).map(below));
        requests.push(json!({"deleteSheet": {"sheetId": aside}}));
        requests
    }

    /// Finds the date formats that somebody chose: the first row that is replaced, or the last one
    /// above those that are appended, says how the whole column is shown.
    async fn keep_date_formats(&mut self, google: &Google, id: &str) -> Result<()> {
        let row = match self.how {
            How::Over { formats: true, .. } => self.row + self.rows - self.data_rows,
            How::Below if self.row > 0 => self.row - 1,
            How::Over { .. } | How::Below | How::New => return Ok(()),
        };
        if self.dates.is_empty() || row >= self.grid.rows {
            return Ok(());
        }
        let end = self.grid.columns.min(self.column + self.columns);
        let formats = api::formats(google, id, &a1(&self.tab.title, row, row + 1, end)).await?;
        for (at, format) in &mut self.dates {
            let at = usize::try_from(self.column + *at).unwrap_or(usize::MAX);
            if let Some(Some(kept)) = formats.get(at) {
                *format = kept.clone();
            }
        }
        Ok(())
    }

    /// More rows and columns at the end of a tab that has fewer than these.
    fn grown(&self, rows: u64, columns: u64) -> impl Iterator<Item = Value> {
        let Grid { rows: there, columns: across } = self.grid;
        let id = self.tab.id;
        [("ROWS", rows.saturating_sub(there)), ("COLUMNS", columns.saturating_sub(across))]
            .into_iter()
            .filter(|(_, more)| *more > 0)
            .map(move |(dimension, more)| {
                json!({"appendDimension": {
                    "sheetId": id, "dimension": dimension, "length": more,
                }})
            })
    }

    /// New rows at the place where the cells go.
    fn made_room(&self) -> Option<Value> {
        let insert = json!({"insertDimension": {
            "range": {
                "sheetId": self.tab.id, "dimension": "ROWS",
                "startIndex": self.row, "endIndex": self.row + self.rows,
            },
            // Behind the last row of the grid nothing else is allowed.
            "inheritFromBefore": self.row > 0,
        }});
        (self.rows > 0).then_some(insert)
    }

    pub(super) fn receipt(&self, found: &Found, table: &Table) -> Receipt {
        let title = match &self.how {
            How::Over { title: Some(title), .. } => title,
            _ => &self.tab.title,
        };
        let place = format!("the tab {title} of {}", found.book.title());
        let receipt = Receipt::new(place).rows(table.rows(), 0).link(found.link(self.tab.id));
        let receipt = receipt.remark(match self.columns {
            1 => "Each has 1 cell.".to_owned(),
            cells => format!("Each has {cells} cells."),
        });
        found.remark().into_iter().fold(receipt, Receipt::remark)
    }
}

/// So many rows and columns from a cell on.
fn range(id: u32, (row, column): (u64, u64), (rows, columns): (u64, u64)) -> Value {
    json!({
        "sheetId": id,
        "startRowIndex": row, "endRowIndex": row + rows,
        "startColumnIndex": column, "endColumnIndex": column + columns,
    })
}

/// A title that no tab has.
fn free(book: &Book, title: &str) -> String {
    let taken = |title: &str| book.tabs().any(|tab| tab.title == title);
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
