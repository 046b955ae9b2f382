//! The cells of the stand-in's spreadsheets, and what the API does with them: each batch as a whole
//! or not at all.

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A spreadsheet. Cloning is cheap, so that a batch works on a copy.
#[derive(Clone)]
pub(super) struct Book {
    pub(super) title: String,
    pub(super) tabs: Vec<Tab>,
}

#[derive(Clone)]
pub(super) struct Tab {
    pub(super) id: u64,
    pub(super) title: String,
    pub(super) hidden: bool,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// The cells of each row as a JSON list, from the first column on; `None` for an empty row.
    lines: Arc<Vec<Line>>,
    /// Number formats, the newest last.
    formats: Vec<Formatted>,
}

/// Cells of one column that got a number format.
#[derive(Clone)]
struct Formatted {
    rows: std::ops::Range<usize>,
    column: usize,
    format: Value,
}

type Line = Option<Arc<str>>;

const CELLS_AT_MOST: usize = 10_000_000;

impl Tab {
    pub(super) fn new(id: u64, title: &str, rows: usize, columns: usize) -> Self {
        let lines = Arc::default();
        Self { id, title: title.to_owned(), hidden: false, rows, columns, lines, formats: vec![] }
    }

    pub(super) fn properties(&self) -> Value {
        json!({
            "sheetId": self.id, "title": self.title, "hidden": self.hidden, "sheetType": "GRID",
            "gridProperties": {"rowCount": self.rows, "columnCount": self.columns},
        })
    }

    /// The number format of a cell.
    pub(super) fn format(&self, row: usize, column: usize) -> Option<&Value> {
        let fits = |one: &&Formatted| one.column == column && one.rows.contains(&row);
        self.formats.iter().rev().find(fits).map(|one| &one.format)
    }

    /// The cells of each row, without empty ones at the end.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn put(&mut self, row: usize, line: Line) {
        let lines = Arc::make_mut(&mut self.lines);
        if lines.len() <= row {
            lines.resize(row + 1, None);
        }
        lines[row] = line;
        while lines.last().is_some_and(Option::is_none) {
            lines.pop();
        }
    }

    /// Writes the texts of JSON cells into one row.
    fn merge(&mut self, row: usize, column: usize, cells: &[Value]) {
        let old = self.lines.get(row).and_then(Option::as_deref);
        let mut all: Vec<Value> = old.map(parsed).unwrap_or_default();
        if all.len() < column + cells.len() {
            all.resize(column + cells.len(), json!(""));
        }
        all[column..column + cells.len()].clone_from_slice(cells);
        while all.last().is_some_and(|cell| cell == "") {
            all.pop();
        }
        let line = (!all.is_empty()).then(|| json!(all).to_string().into());
        self.put(row, line);
    }

    /// `values.update` at A1 of a range that begins in the first column.
    pub(super) fn write(&mut self, first: usize, rows: &[Box<RawValue>]) -> Result<(), String> {
        for (n, row) in rows.iter().enumerate() {
            let cells: Vec<&RawValue> =
                serde_json::from_str(row.get()).map_err(|_| "Invalid values".to_owned())?;
            if first + n >= self.rows || cells.len() > self.columns {
                return Err(format!(
                    "Range ('{}'!A{}:{}) exceeds grid limits. Max rows: {}, max columns: {}",
                    self.title,
                    first + 1,
                    first + rows.len(),
                    self.rows,
                    self.columns
                ));
            }
            if let Some(long) = cells.iter().find(|cell| cell.get().len() > 50_002)
                && parsed(&format!("[{}]", long.get()))
                    .iter()
                    .any(|cell| cell.as_str().is_some_and(|text| text.chars().count() > 50_000))
            {
                let text = "Your input contains more than the maximum of 50000 characters in a \
                            single cell.";
                return Err(text.to_owned());
            }
            self.put(first + n, Some(row.get().into()));
        }
        Ok(())
    }
}

pub(super) fn parsed(line: &str) -> Vec<Value> {
    serde_json::from_str(line).unwrap_or_default()
}

impl Book {
    pub(super) fn tab(&self, id: u64) -> Option<&Tab> {
        self.tabs.iter().find(|tab| tab.id == id)
    }

    pub(super) fn titled(&mut self, title: &str) -> Option<&mut Tab> {
        self.tabs.iter_mut().find(|tab| tab.title == title)
    }

    fn change(&mut self, id: &Value) -> Result<&mut Tab, String> {
        let id = id.as_u64().ok_or("Missing sheetId")?;
        let tab = self.tabs.iter_mut().find(|tab| tab.id == id);
        tab.ok_or_else(|| format!("No grid with id: {id}"))
    }

    /// Applies one request of a batch.
    pub(super) fn apply(&mut self, request: &Value) -> Result<Value, String> {
        let [(kind, request)] =
            &request.as_object().map(|all| all.iter().collect::<Vec<_>>()).unwrap_or_default()[..]
        else {
            return Err("A request must set exactly one kind.".to_owned());
        };
        let mut reply = json!({});
        match kind.as_str() {
            "addSheet" => reply = json!({"addSheet": {"properties": self.add(request)?}}),
            "deleteSheet" => self.delete(request)?,
            "updateSheetProperties" => self.properties(request)?,
            "updateCells" => self.clear(request)?,
            "copyPaste" => self.copy(request)?,
            "repeatCell" => self.format(request)?,
            "insertDimension" | "appendDimension" => self.insert(kind, request)?,
            other => return Err(format!("This stand-in knows no {other}.")),
        }
        let cells: usize = self.tabs.iter().map(|tab| tab.rows * tab.columns).sum();
        if cells > CELLS_AT_MOST {
            return Err(
                "This action would increase the number of cells in the workbook above the \
                        limit of 10000000 cells."
                    .to_owned(),
            );
        }
        Ok(reply)
    }

    fn add(&mut self, request: &Value) -> Result<Value, String> {
        let wanted = &request["properties"];
        let id = wanted["sheetId"].as_u64().filter(|id| *id < 1 << 31).ok_or("Invalid sheetId")?;
        let title = wanted["title"].as_str().unwrap_or("Sheet");
        if self.tab(id).is_some() {
            return Err(format!("A sheet with the id {id} already exists."));
        }
        self.check_title(title)?;
        let size = |name: &str, otherwise| {
            let size = wanted["gridProperties"][name].as_u64().unwrap_or(otherwise);
            usize::try_from(size).ok().filter(|size| *size > 0)
        };
        let (rows, columns) = (size("rowCount", 1000), size("columnCount", 26));
        let (Some(rows), Some(columns)) = (rows, columns) else {
            return Err("A sheet has at least one row and one column.".to_owned());
        };
        let mut tab = Tab::new(id, title, rows, columns);
        tab.hidden = wanted["hidden"] == true;
        let properties = tab.properties();
        self.tabs.push(tab);
        Ok(properties)
    }

    fn check_title(&self, title: &str) -> Result<(), String> {
        if self.tabs.iter().any(|tab| tab.title.eq_ignore_ascii_case(title)) {
            return Err(format!(
                "A sheet with the name \"{title}\" already exists. Please enter another name."
            ));
        }
        match title.is_empty() || title.chars().count() > 100 {
            true => Err("The sheet's name is empty or too long.".to_owned()),
            false => Ok(()),
        }
    }

    fn delete(&mut self, request: &Value) -> Result<(), String> {
        let id = self.change(&request["sheetId"])?.id;
        self.tabs.retain(|tab| tab.id != id);
        match self.tabs.iter().any(|tab| !tab.hidden) {
            true => Ok(()),
            false => Err("You can't remove all the visible sheets in a document.".to_owned()),
        }
    }

    fn properties(&mut self, request: &Value) -> Result<(), String> {
        let wanted = &request["properties"];
        match request["fields"].as_str() {
            Some("title") => {
                let title = wanted["title"].as_str().unwrap_or_default().to_owned();
                self.check_title(&title)?;
                self.change(&wanted["sheetId"])?.title = title;
            }
            other => return Err(format!("This stand-in knows no fields {other:?}.")),
        }
        Ok(())
    }

    fn clear(&mut self, request: &Value) -> Result<(), String> {
        if !matches!(request["fields"].as_str(), Some("userEnteredValue" | "*")) {
            return Err("At least one field must be listed in 'fields'.".to_owned());
        }
        let range = &request["range"];
        let tab = self.change(&range["sheetId"])?;
        let from = |name: &str| range[name].as_u64().unwrap_or(0) as usize;
        let (row, column) = (from("startRowIndex"), from("startColumnIndex"));
        if row >= tab.rows || column >= tab.columns {
            return Err("The range lies outside of the grid.".to_owned());
        }
        for at in row..tab.lines.len() {
            let old = tab.lines[at].as_deref().map(parsed).unwrap_or_default();
            match column {
                0 => tab.put(at, None),
                _ if old.len() > column => {
                    tab.merge(at, column, &vec![json!(""); old.len() - column]);
                }
                _ => {}
            }
            if at >= tab.lines.len() {
                break;
            }
        }
        if column == 0 {
            Arc::make_mut(&mut tab.lines).truncate(row);
        }
        Ok(())
    }

    fn format(&mut self, request: &Value) -> Result<(), String> {
        if request["fields"] != "userEnteredFormat.numberFormat" {
            return Err("This stand-in sets number formats.".to_owned());
        }
        let format = request["cell"]["userEnteredFormat"]["numberFormat"].clone();
        let (kind, pattern) = (format["type"].as_str(), format["pattern"].as_str());
        if !matches!((kind, pattern), (Some("DATE" | "DATE_TIME" | "TIME"), Some(_))) {
            return Err("Invalid number format.".to_owned());
        }
        let range = &request["range"];
        let edge = |name: &str| range[name].as_u64().unwrap_or(0) as usize;
        let rows = edge("startRowIndex")..edge("endRowIndex");
        let columns = edge("startColumnIndex")..edge("endColumnIndex");
        let tab = self.change(&range["sheetId"])?;
        if rows.is_empty() || rows.end > tab.rows || columns.end > tab.columns {
            return Err("The range lies outside of the grid.".to_owned());
        }
        tab.formats.extend(columns.map(|column| Formatted {
            rows: rows.clone(),
            column,
            format: format.clone(),
        }));
        Ok(())
    }

    fn copy(&mut self, request: &Value) -> Result<(), String> {
        if !matches!(request["pasteType"].as_str(), Some("PASTE_VALUES" | "PASTE_NORMAL")) {
            return Err("This stand-in pastes values, or all.".to_owned());
        }
        let (from, to) = (&request["source"], &request["destination"]);
        let edge = |range: &Value, name: &str| -> Result<usize, String> {
            let edge = range[name].as_u64().ok_or_else(|| format!("{name} is missing."))?;
            usize::try_from(edge).map_err(|_| format!("{name} is too large."))
        };
        let size = |range: &Value| -> Result<(usize, usize), String> {
            Ok((
                edge(range, "endRowIndex")? - edge(range, "startRowIndex")?,
                edge(range, "endColumnIndex")? - edge(range, "startColumnIndex")?,
            ))
        };
        if size(from)? != size(to)? {
            return Err("This stand-in pastes into a range of the same size.".to_owned());
        }
        let source = self.change(&from["sheetId"])?;
        if edge(from, "endRowIndex")? > source.rows
            || edge(from, "endColumnIndex")? > source.columns
        {
            return Err("The source lies outside of the grid.".to_owned());
        }
        let lines = Arc::clone(&source.lines);
        let tab = self.change(&to["sheetId"])?;
        if edge(to, "endRowIndex")? > tab.rows || edge(to, "endColumnIndex")? > tab.columns {
            return Err("The destination lies outside of the grid.".to_owned());
        }
        let (row, column) = (edge(to, "startRowIndex")?, edge(to, "startColumnIndex")?);
        let first = edge(from, "startRowIndex")?;
        for (n, line) in lines.iter().skip(first).enumerate().take(size(from)?.0) {
            match tab.lines.get(row + n) {
                None | Some(None) if column == 0 => tab.put(row + n, line.clone()),
                _ => tab.merge(row + n, column, &line.as_deref().map(parsed).unwrap_or_default()),
            }
        }
        Ok(())
    }

    fn insert(&mut self, kind: &str, request: &Value) -> Result<(), String> {
        let range = if kind == "appendDimension" { request } else { &request["range"] };
        let number = |name: &str| range[name].as_u64().unwrap_or(0) as usize;
        let (start, end, more) = (number("startIndex"), number("endIndex"), number("length"));
        let tab = self.change(&range["sheetId"])?;
        match (kind, range["dimension"].as_str(), more) {
            ("appendDimension", Some("ROWS"), 1..) => {
                tab.rows += more;
                return Ok(());
            }
            ("appendDimension", Some("COLUMNS"), 1..) => {
                tab.columns += more;
                return Ok(());
            }
            ("insertDimension", Some("ROWS"), 0) => {}
            _ => return Err("This stand-in appends rows and columns, and inserts rows.".to_owned()),
        }
        let inherits = request["inheritFromBefore"] == true;
        if start == 0 && inherits {
            return Err("inheritFromBefore cannot be true if the start is 0.".to_owned());
        }
        if start + usize::from(!inherits) > tab.rows || end <= start {
            return Err(format!(
                "insertDimension: range.startIndex must be less than the grid size ({}) if \
                 inheritFromBefore is false.",
                tab.rows
            ));
        }
        tab.rows += end - start;
        // Those above reach into the new rows, whose format is that of the row before.
        for one in &mut tab.formats {
            let moved = |row: usize| if row >= start { row + end - start } else { row };
            one.rows = moved(one.rows.start)..moved(one.rows.end);
        }
        if start < tab.lines.len() {
            let new = std::iter::repeat_n(None, end - start);
            Arc::make_mut(&mut tab.lines).splice(start..start, new);
        }
        Ok(())
    }
}
