//! The dialect of the Sheets API, version 4
//! (<https://developers.google.com/workspace/sheets/api/reference/rest>).

use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sendoff::{Call, Error, Http, Quota, Reply, Result, Retry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shared::google::Google;

const URL: &str = "https://sheets.googleapis.com/v4/spreadsheets";

/// What a spreadsheet holds over all its tabs
/// (<https://support.google.com/drive/answer/37603>).
pub(super) const CELLS_AT_MOST: u64 = 10_000_000;
pub(super) const COLUMNS_AT_MOST: u64 = 18_278;

/// Sixty reads and sixty writes a minute for each user, counted apart (the page below): all
/// deliveries of a user keep it together. A second more, because requests are not all as long on
/// their way.
const USERS: Quota =
    Quota { requests: 60, within: Duration::from_secs(61), cool_down: Duration::from_secs(1) };
/// And so many for all users of a project.
const PROJECTS: Quota = Quota { requests: 300, ..USERS };

/// What a request counts as.
#[derive(Clone, Copy)]
enum Counts {
    Read,
    Write,
}

/// The waits after Google said that its quota of a minute is used up. "After 1 minute, you can
/// execute requests again" (<https://developers.google.com/workspace/sheets/api/limits>).
const AGAIN_AFTER: [u64; 6] = [2, 4, 8, 16, 32, 60];

/// Google ends what takes longer itself (the same page).
const THINKS_AT_MOST: Duration = Duration::from_secs(190);

/// From so many cells on it may think for long.
const MANY_CELLS: u64 = 1_000_000;

/// A spreadsheet without its cells.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Book {
    #[serde(rename = "spreadsheetId")]
    pub(super) id: String,
    #[serde(default)]
    properties: BookProperties,
    #[serde(default)]
    sheets: Vec<Sheet>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct BookProperties {
    #[serde(default)]
    title: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Sheet {
    properties: Tab,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tab {
    #[serde(default, rename = "sheetId")]
    pub(super) id: u32,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) hidden: bool,
    /// Charts and data sources are tabs without one.
    #[serde(rename = "gridProperties")]
    pub(super) grid: Option<Grid>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grid {
    #[serde(default, rename = "rowCount")]
    pub(super) rows: u64,
    #[serde(default, rename = "columnCount")]
    pub(super) columns: u64,
}

const FIELDS: &str = "spreadsheetId,properties.title,sheets.properties(sheetId,title,hidden,\
                      gridProperties(rowCount,columnCount))";

impl Book {
    pub(super) fn title(&self) -> &str {
        &self.properties.title
    }

    pub(super) fn tabs(&self) -> impl Iterator<Item = &Tab> {
        self.sheets.iter().map(|sheet| &sheet.properties)
    }

    /// Those that have cells.
    pub(super) fn grids(&self) -> impl Iterator<Item = (&Tab, Grid)> {
        self.tabs().filter_map(|tab| Some((tab, tab.grid?)))
    }

    pub(super) fn cells(&self) -> u64 {
        self.grids().map(|(_, grid)| grid.rows * grid.columns).sum()
    }
}

/// The spreadsheet with this id.
pub(super) async fn book(google: &Google, id: &str) -> Result<Book> {
    let url = format!("{URL}/{id}");
    let reply =
        ask(google, Counts::Read, 0, |http| http.get(&url).query([("fields", FIELDS)])).await?;
    reply.json().await
}

/// What a batch is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Makes what nobody sees, by an id of our choosing: twice is refused.
    Make,
    /// Deletes what nobody sees.
    Delete,
    /// The step that shows the new cells.
    Show,
}

/// Applies all of `requests` or none of them
/// (<https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/batchUpdate>).
///
/// # Errors
/// Google's refusal, or that it answered something else.
pub(super) async fn batch(
    google: &Google,
    id: &str,
    step: Step,
    cells: u64,
    requests: &[Value],
) -> Result<()> {
    let url = format!("{URL}/{id}:batchUpdate");
    let body = json!({"requests": requests});
    // The answer to the last step is read for the id alone, to the others for the replies as well:
    // so the two can be told apart by their address.
    let fields = match step {
        Step::Make | Step::Delete => "spreadsheetId,replies",
        Step::Show => "spreadsheetId",
    };
    let call = |http: &Http| {
        let call = http.post(&url).query([("fields", fields)]).json(&body);
        if step == Step::Make { call.repeatable() } else { call }
    };
    confirmed(ask(google, Counts::Write, cells, call).await?, id).await
}

/// Writes rows, a JSON list of lists, to an explicit range: twice is the same as once
/// (<https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/update>).
///
/// # Errors
/// As [`batch`].
pub(super) async fn write(
    google: &Google,
    id: &str,
    range: &str,
    input: &str,
    rows: Bytes,
) -> Result<()> {
    let url = format!("{}?valueInputOption={input}", values(id, range));
    let call =
        |http: &Http| http.put(&url).header("content-type", "application/json").body(rows.clone());
    confirmed(ask(google, Counts::Write, 0, call).await?, id).await
}

/// The values in a range; empty rows at its end are left out.
pub(super) async fn read(google: &Google, id: &str, range: &str) -> Result<u64> {
    #[derive(Deserialize)]
    struct Values {
        #[serde(default)]
        values: Vec<serde::de::IgnoredAny>,
    }
    let url = values(id, range);
    let query = [("valueRenderOption", "UNFORMATTED_VALUE"), ("fields", "values")];
    let reply = ask(google, Counts::Read, 0, |http| http.get(&url).query(query)).await?;
    Ok(reply.json::<Values>().await?.values.len() as u64)
}

/// The formats of the dates and times in a range of one row; `None` for a cell without one.
pub(super) async fn formats(google: &Google, id: &str, range: &str) -> Result<Vec<Option<Value>>> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Answer {
        sheets: Vec<Grids>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Grids {
        data: Vec<Rows>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Rows {
        row_data: Vec<Cells>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Cells {
        values: Vec<Cell>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Cell {
        user_entered_format: Format,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Format {
        number_format: Option<Value>,
    }
    let url = format!("{URL}/{id}");
    let fields = "sheets.data.rowData.values.userEnteredFormat.numberFormat";
    let query = [("ranges", range), ("fields", fields)];
    let reply = ask(google, Counts::Read, 0, |http| http.get(&url).query(query)).await?;
    let answer: Answer = reply.json().await?;
    let rows =
        answer.sheets.into_iter().flat_map(|grids| grids.data).flat_map(|rows| rows.row_data);
    let cells = rows.flat_map(|row| row.values).map(|cell| cell.user_entered_format.number_format);
    let is_date =
        |format: &Value| matches!(format["type"].as_str(), Some("DATE" | "DATE_TIME" | "TIME"));
    Ok(cells.map(|format| format.filter(is_date)).collect())
}

fn values(id: &str, range: &str) -> String {
    format!("{URL}/{id}/values/{}", utf8_percent_encode(range, NON_ALPHANUMERIC))
}

/// Google's word that it has changed this spreadsheet.
async fn confirmed(reply: Reply, id: &str) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Changed {
        spreadsheet_id: String,
    }
    let changed: Changed = reply.json().await?;
    if changed.spreadsheet_id == id {
        return Ok(());
    }
    Err(Error::vendor("Google Sheets confirmed a change of another spreadsheet.")
        .may_have_arrived())
}

/// Asks, and waits while the quota of the minute is used up.
async fn ask(
    google: &Google,
    counts: Counts,
    cells: u64,
    make: impl Fn(&Http) -> Call + Send + Sync,
) -> Result<Reply> {
    let counted = match counts {
        Counts::Read => "reads",
        Counts::Write => "writes",
    };
    let user = format!("google_sheets {counted} {}", google.account_key());
    let project = format!("google_sheets {counted} of all in {}", google.project_key());
    let make = |http: &Http| {
        // Last words are not waited with.
        let call = match google.is_hurried() {
            true => make(http),
            false => make(&http.within(&user, USERS).within(&project, PROJECTS)),
        };
        if cells < MANY_CELLS {
            return call;
        }
        call.idle_timeout(THINKS_AT_MOST.max(http.idle_timeout()))
    };
    let mut waits = AGAIN_AFTER.into_iter();
    loop {
        let error = match google.ask(make).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        // With a time to wait the door has waited already, if it was not too long.
        let spent = error.http_status() == Some(429) && error.retry() == Retry::Later;
        let wait = if spent && !google.is_hurried() { waits.next() } else { None };
        let Some(wait) = wait else { return Err(error) };
        google.pause(jittered(Duration::from_secs(wait))).await?;
    }
}

/// Three quarters of a time to five quarters: those that were refused together come apart.
fn jittered(wait: Duration) -> Duration {
    let [random, ..] = Uuid::new_v4().into_bytes();
    wait.mul_f64(0.75 + f64::from(random) / 512.0)
}
