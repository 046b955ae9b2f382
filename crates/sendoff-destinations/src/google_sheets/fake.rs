//! A stand-in for Google Sheets that keeps cells, written from
//! <https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets/batchUpdate>,
//! <https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/update>
//! and <https://developers.google.com/workspace/sheets/api/limits> as they were on 25 November 2026:
//! the limits of the grid, batches that are applied whole or not at all, quotas. Folders and files
//! are those of the stand-in for Drive.

#![allow(clippy::result_large_err, reason = "an answer is an answer, whichever side it is on")]

mod grid;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use sendoff::testing::{Fake, Object, Provider, RowLedger, RowShape, TakesRows};
use sendoff::{AnyAction, ByteStream, OAuth, Values};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{GoogleSheets, LOGIN};
use crate::google_drive::fake::FakeDrive;
use crate::shared::google::fake::{Answer, answer, incomplete};
use crate::shared::in_order;
use grid::{Book, Tab};

/// The action and its stand-in.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::<GoogleSheets>::default(), Arc::new(FakeSheets::new()))
}

const SPREADSHEET: &str = "application/vnd.google-apps.spreadsheet";
/// The spreadsheet that is there: its id, its name, its folder and its two tabs.
const ORDERS: &str = "1OrdersSpreadsheetOfTests";
const NAME: &str = "orders";
const FOLDER: &str = "1ReportsFolderOfTests";
const DATA: u64 = 0;
const NOTES: u64 = 77;
/// What its first tab holds before anything is delivered.
const OLD: [&str; 3] = [r#"["ID","City"]"#, r#"["O-old",""]"#, r#"["O-older","Ulm"]"#];

const SHAPE: RowShape = RowShape {
    fields: r#"{"dimensions":[{"name":"orders.id","label":"Orders ID","type":"string","tags":[]},{"name":"orders.city","label":"Orders City","type":"string","tags":[]}],"measures":[{"name":"orders.total","label":"Orders Total","type":"sum","tags":[]}]}"#,
    before: r#"{"orders.id":{"value":"=O"#,
    after: r#""},"orders.city":{"value":"Frankfurt am Main, Altstadt"},"orders.total":{"value":12.5}}"#,
};

pub(crate) struct FakeSheets {
    drive: FakeDrive,
    books: Mutex<BTreeMap<String, Book>>,
    ledger: RowLedger,
    /// By the token that a request brings, and by its project.
    quotas: Mutex<BTreeMap<String, Quota>>,
}

/// A user's reads and writes of the running minute, which lasts a second here.
struct Quota {
    since: Instant,
    reads: u32,
    writes: u32,
}

/// For each user, and for all users of a project, and each minute.
const QUOTAS: [(u32, &str); 2] = [(60, " per user"), (300, "")];

fn refused(status: u16, name: &str, message: &str) -> Response<Bytes> {
    answer(status, &json!({"error": {"code": status, "message": message, "status": name}}))
}

fn invalid(message: &str) -> Response<Bytes> {
    refused(400, "INVALID_ARGUMENT", message)
}

impl FakeSheets {
    fn new() -> Self {
        Self::with_login(LOGIN)
    }

    pub(super) fn with_login(login: OAuth) -> Self {
        let drive = FakeDrive::with_login(login);
        drive.put(json!({
            "id": ORDERS, "name": NAME, "mimeType": SPREADSHEET, "parents": [FOLDER],
            "trashed": false, "appProperties": {},
        }));
        let mut data = Tab::new(DATA, "Data", 1000, 26);
        let old = OLD.map(|line| RawValue::from_string(line.to_owned()).unwrap_or_default());
        // It fits.
        let _ = data.write(0, &old);
        let tabs = vec![data, Tab::new(NOTES, "Notes", 1000, 26)];
        let books = [(ORDERS.to_owned(), Book { title: NAME.to_owned(), tabs })];
        Self {
            drive,
            books: Mutex::new(books.into()),
            ledger: RowLedger::default(),
            quotas: Mutex::default(),
        }
    }

    fn books(&self) -> MutexGuard<'_, BTreeMap<String, Book>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<ByteStream>) -> Answer {
        let host = request.headers().get("host").and_then(|host| host.to_str().ok());
        if host != Some("sheets.googleapis.com") {
            return self.drive.answer(request).await;
        }
        let (head, body) = request.into_parts();
        let who = self.drive.who(&head.headers)?;
        self.spend(&head)?;
        let path = head.uri.path().to_owned();
        let names: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ["v4", "spreadsheets", rest @ ..] = &names[..] else {
            return Err(refused(404, "NOT_FOUND", "Requested entity was not found."));
        };
        let (id, rest) = rest.split_first().unwrap_or((&"", &[]));
        let (id, verb) = id.split_once(':').unwrap_or((id, ""));
        self.find(id, &who)?;
        match (head.method.as_str(), verb, rest) {
            ("GET", "", []) => self.get(id, &head),
            ("POST", "batchUpdate", []) => self.batch(id, &head, body).await,
            ("GET" | "PUT", "", ["values", range]) => {
                let range = percent_decode_str(range).decode_utf8_lossy().into_owned();
                match head.method {
                    Method::GET => self.read(id, &range),
                    _ => self.write(id, &range, &head, body).await,
                }
            }
            _ => Err(refused(404, "NOT_FOUND", "Requested entity was not found.")),
        }
    }

    fn spend(&self, head: &Parts) -> Result<(), Response<Bytes>> {
        let token = head.headers.get("authorization").and_then(|token| token.to_str().ok());
        let logged_in = self.drive.provider().is_some_and(|all| all.knows(&head.headers));
        let project = if logged_in { "of the client" } else { "of the key" };
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Quota { since: Instant::now(), reads: 0, writes: 0 };
        for (whose, (most, for_whom)) in [token.unwrap_or_default(), project].iter().zip(QUOTAS) {
            let quota = quotas.entry((*whose).to_owned()).or_insert_with(fresh);
            if quota.since.elapsed() >= Duration::from_secs(1) {
                *quota = fresh();
            }
            let (kind, spent) = match head.method {
                Method::GET => ("Read", &mut quota.reads),
                _ => ("Write", &mut quota.writes),
            };
            *spent += 1;
            if *spent > most {
                let text = format!(
                    "Quota exceeded for quota metric '{kind} requests' and limit '{kind} requests \
                     per minute{for_whom}'."
                );
                return Err(refused(429, "RESOURCE_EXHAUSTED", &text));
            }
        }
        Ok(())
    }

    /// A spreadsheet that somebody sees in Drive; one that was just made has an empty tab.
    fn find(&self, id: &str, who: &str) -> Result<(), Response<Bytes>> {
        let mut books = self.books();
        let file = self.drive.resource(id, who).filter(|file| file["mimeType"] == SPREADSHEET);
        let Some(file) = file else {
            return Err(refused(404, "NOT_FOUND", "Requested entity was not found."));
        };
        books.entry(id.to_owned()).or_insert_with(|| Book {
            title: file["name"].as_str().unwrap_or_default().to_owned(),
            tabs: vec![Tab::new(0, "Sheet1", 1000, 26)],
        });
        Ok(())
    }

    fn get(&self, id: &str, head: &Parts) -> Answer {
        let query = head.uri.query().unwrap_or_default();
        let pairs: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
        if let Some(range) = pairs.get("ranges") {
            return self.formats(id, range, pairs.get("fields").map_or("", |fields| fields));
        }
        if !query.contains("fields=spreadsheetId%2C") {
            return Err(invalid("Invalid field selection."));
        }
        let books = self.books();
        let sheets: Vec<_> =
            books[id].tabs.iter().map(|tab| json!({"properties": tab.properties()})).collect();
        let title = &books[id].title;
        Ok(answer(
            200,
            &json!({
                "spreadsheetId": id, "properties": {"title": title}, "sheets": sheets,
            }),
        ))
    }

    /// The number formats of the cells in one row.
    fn formats(&self, id: &str, range: &str, fields: &str) -> Answer {
        if fields != "sheets.data.rowData.values.userEnteredFormat.numberFormat" {
            return Err(invalid("Invalid field selection."));
        }
        let mut books = self.books();
        let (tab, row, _) = place(&mut books, id, range)?;
        let cell = |column| match tab.format(row, column) {
            Some(format) => json!({"userEnteredFormat": {"numberFormat": format}}),
            None => json!({}),
        };
        let cells: Vec<_> = (0..tab.columns).map(cell).collect();
        Ok(answer(200, &json!({"sheets": [{"data": [{"rowData": [{"values": cells}]}]}]})))
    }

    async fn batch(&self, id: &str, head: &Parts, body: ByteStream) -> Answer {
        let (text, _) = in_order::text(body).await.ok_or_else(incomplete)?;
        let body: Value = serde_json::from_str(&text).map_err(|_| invalid("Invalid JSON."))?;
        let requests = body["requests"].as_array().filter(|all| !all.is_empty());
        let requests = requests.ok_or_else(|| invalid("Must specify at least one request."))?;
        let mut books = self.books();
        // A copy: what is refused in the middle has changed nothing.
        let mut book = books[id].clone();
        let mut replies = Vec::new();
        for (n, request) in requests.iter().enumerate() {
            let reply = book.apply(request);
            replies.push(reply.map_err(|why| invalid(&format!("Invalid requests[{n}]: {why}")))?);
        }
        books.insert(id.to_owned(), book);
        drop(books);
        let mut reply = json!({"spreadsheetId": id});
        match is_last(head.uri.query()) {
            true => self.note(id),
            false => reply["replies"] = json!(replies),
        }
        Ok(answer(200, &reply))
    }

    /// Enters into the book of rows what can be seen now.
    fn note(&self, id: &str) {
        self.ledger.batch(1);
        let books = self.books();
        let shown = books[id].tabs.iter().filter(|tab| !tab.hidden && tab.id != NOTES);
        for line in shown.flat_map(Tab::lines).flatten() {
            if OLD.contains(&&**line) || line.starts_with("[\"Orders ID\"") {
                continue;
            }
            let number = line.strip_prefix("[\"=O").and_then(|rest| rest.split('"').next());
            let whole = line.ends_with("\"Frankfurt am Main, Altstadt\",12.5]");
            match number.and_then(|number| number.parse().ok()).filter(|_| whole) {
                Some(row) => self.ledger.take(row),
                None => self.ledger.stranger(),
            }
        }
    }

    fn read(&self, id: &str, range: &str) -> Answer {
        let mut books = self.books();
        let (tab, first, end) = place(&mut books, id, range)?;
        let lines = tab.lines().iter().take(end).skip(first);
        let rows: Vec<_> =
            lines.map(|line| line.as_deref().map(grid::parsed).unwrap_or_default()).collect();
        Ok(answer(200, &if rows.is_empty() { json!({}) } else { json!({"values": rows}) }))
    }

    async fn write(&self, id: &str, range: &str, head: &Parts, body: ByteStream) -> Answer {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Written {
            major_dimension: String,
            values: Vec<Box<RawValue>>,
        }
        let (text, _) = in_order::text(body).await.ok_or_else(incomplete)?;
        let query = head.uri.query().unwrap_or_default();
        if !["valueInputOption=RAW", "valueInputOption=USER_ENTERED"].contains(&query) {
            return Err(invalid("'valueInputOption' is required but not specified"));
        }
        let written: Written =
            serde_json::from_str(&text).map_err(|_| invalid("Invalid JSON payload received."))?;
        drop(text);
        let mut books = self.books();
        let (tab, first, end) = place(&mut books, id, range)?;
        if written.major_dimension != "ROWS" || end - first < written.values.len() {
            return Err(invalid(&format!(
                "Requested writing within range [{range}], but tried writing to row [{}]",
                end + 1
            )));
        }
        let rows = written.values.len();
        tab.write(first, &written.values).map_err(|why| invalid(&why))?;
        Ok(answer(
            200,
            &json!({
                "spreadsheetId": id, "updatedRange": range, "updatedRows": rows,
                "updatedColumns": tab.columns, "updatedCells": rows * tab.columns,
            }),
        ))
    }
}

/// The tab of a range like `'It''s'!A1:T9`, its first row and the one behind its last.
fn place<'a>(
    books: &'a mut BTreeMap<String, Book>,
    id: &str,
    range: &str,
) -> Result<(&'a mut Tab, usize, usize), Response<Bytes>> {
    let wrong = || invalid(&format!("Unable to parse range: {range}"));
    let (title, cells) = range.rsplit_once('!').ok_or_else(wrong)?;
    let title = title.strip_prefix('\'').and_then(|title| title.strip_suffix('\''));
    let title = title.ok_or_else(wrong)?.replace("''", "'");
    let row = |cell: &str| {
        let digits = cell.trim_start_matches(|c: char| c.is_ascii_uppercase());
        digits.parse::<usize>().ok().filter(|row| *row > 0)
    };
    let (from, to) = cells.split_once(':').ok_or_else(wrong)?;
    let (first, end) = (row(from).ok_or_else(wrong)?, row(to).ok_or_else(wrong)?);
    if !from.starts_with('A') || end < first {
        return Err(wrong());
    }
    let tab = books.get_mut(id).and_then(|book| book.titled(&title)).ok_or_else(wrong)?;
    if end > tab.rows {
        let text = format!(
            "Range ({range}) exceeds grid limits. Max rows: {}, max columns: {}",
            tab.rows, tab.columns
        );
        return Err(invalid(&text));
    }
    Ok((tab, first - 1, end))
}

/// Whether a batch is the one that shows the rows.
fn is_last(query: Option<&str>) -> bool {
    query == Some("fields=spreadsheetId")
}

impl Fake for FakeSheets {
    fn origins(&self) -> Vec<String> {
        let mut origins = self.drive.origins();
        origins.push("https://sheets.googleapis.com".to_owned());
        origins
    }

    fn settings(&self) -> Values {
        self.drive.settings()
    }

    fn answers(&self) -> Values {
        let folder = format!("https://drive.google.com/drive/folders/{FOLDER}?usp=sharing");
        [("drive", "mydrive"), ("folderid", &folder), ("filename", NAME), ("overwrite", "yes")]
            .into_iter()
            .collect()
    }

    fn provider(&self) -> Option<&Provider> {
        self.drive.provider()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move { self.answer(request).await.unwrap_or_else(|refusal| refusal) })
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        // The stand-in keeps them all in memory.
        Some(TakesRows::new(SHAPE, &self.ledger).at_most(80_000).in_bulk(80_000))
    }

    /// Tabs that hold anything but what they held at first.
    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let books = self.books();
        let tabs = books.values().flat_map(|book| book.tabs.iter().map(move |tab| (book, tab)));
        let changed = tabs.filter(|(_, tab)| {
            let old = tab.id == DATA && tab.lines().iter().flatten().map(|line| &**line).eq(OLD);
            !tab.hidden && !old && !tab.lines().is_empty()
        });
        let object = |(book, tab): (&Book, &Tab)| {
            let lines: Vec<&str> =
                tab.lines().iter().map(|line| line.as_deref().unwrap_or("[]")).collect();
            let bytes = lines.iter().map(|line| line.len() as u64).sum();
            Object { name: format!("{}/{}", book.title, tab.title), bytes, sha256: String::new() }
        };
        Box::pin(std::future::ready(changed.map(object).collect()))
    }

    fn start<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Option<Bytes>> {
        let books = self.books();
        let mut tabs = books.values().flat_map(|book| book.tabs.iter().map(move |tab| (book, tab)));
        let found = tabs.find(|(book, tab)| object == format!("{}/{}", book.title, tab.title));
        let cells = found.map(|(_, tab)| {
            let lines = tab.lines().iter().take(SHOWN);
            lines.map(|line| written(line.as_deref().unwrap_or("[]"))).collect::<String>()
        });
        Box::pin(std::future::ready(cells.map(Bytes::from)))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        let books = self.books();
        let hidden = books.values().flat_map(|book| &book.tabs).filter(|tab| tab.hidden);
        Box::pin(std::future::ready(hidden.map(|tab| tab.title.clone()).collect()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (name, message) = match status {
            401 => (
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token.",
            ),
            403 => ("PERMISSION_DENIED", "The caller does not have permission"),
            404 => ("NOT_FOUND", "Requested entity was not found."),
            409 => ("ABORTED", "The operation was aborted, try it again."),
            429 => (
                "RESOURCE_EXHAUSTED",
                "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per \
                 minute per user'.",
            ),
            500.. => ("INTERNAL", "Internal error encountered on this side."),
            _ => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
        };
        let body = json!({"error": {"code": status, "message": message, "status": name}});
        ("application/json; charset=UTF-8", body.to_string())
    }

    fn commits(&self, _: &Method, path_and_query: &str) -> bool {
        path_and_query.split_once(":batchUpdate?").is_some_and(|(_, query)| is_last(Some(query)))
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![
            ("text/html", "<html><title>Log in</title></html>".to_owned()),
            ("application/json", "{}".to_owned()),
            ("application/json", String::new()),
        ]
    }
}

/// So many rows are shown to a person.
const SHOWN: usize = 20;

/// A row of cells as a line of CSV.
fn written(line: &str) -> String {
    let cells: Vec<Value> = serde_json::from_str(line).unwrap_or_default();
    let cells = cells.into_iter().map(|cell| match cell {
        Value::String(text) if text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    });
    cells.collect::<Vec<_>>().join(",") + "\n"
}
