//! What stands in a spreadsheet after a delivery, cell by cell, and after one that failed.
//!
//! That faults are told truthfully is the behaviour suite's part.

mod stage;

use http::Request;
use sendoff::ByteStream;
use serde_json::{Value, json};

use stage::{Asked, Script, acting_as, delivered, refusal, refused, with, with_status};

const SHEETS: &str = "sheets.googleapis.com";
const ORDERS: &str = "1OrdersSpreadsheetOfTests";
const COMMIT: &str = "batchUpdate?fields=spreadsheetId ";
const ASIDE: &str = "batchUpdate?fields=spreadsheetId%2Creplies";
const WRITE: &str = "valueInputOption=";

/// A stage with Google Sheets.
struct Stage(stage::Stage);

impl Stage {
    async fn set() -> Self {
        Self(stage::Stage::set(Script::before("google_sheets")).await)
    }

    /// What is told to requests whose line holds `part`.
    fn vendor(&self) -> &Script {
        &self.0.vendor
    }

    /// Those after the first few are refused, again and again.
    fn refuse(&self, part: &'static str, after: usize, status: u16) {
        self.let_through(part, after);
        self.vendor().tell_always(part, refusal(self.vendor().behind(), status));
    }

    fn refuse_times(&self, part: &'static str, status: u16, times: usize) {
        for _ in 0..times {
            self.vendor().tell(part, refusal(self.vendor().behind(), status));
        }
    }

    fn let_through(&self, part: &'static str, requests: usize) {
        (0..requests).for_each(|_| self.vendor().twist(part, |_| {}));
    }

    /// The next one is carried out, and answered with this status.
    fn lose(&self, part: &'static str, status: u16) {
        self.vendor().twist(part, with_status(status));
    }

    async fn send(&self, kind: &str, data: &str, more: Value) -> Value {
        self.send_by(self.0.settings(), kind, data, more).await
    }

    async fn send_by(&self, settings: Value, kind: &str, data: &str, more: Value) -> Value {
        let form = with(json!(self.vendor().behind().answers()), more);
        let mut body = stage::query(settings, form, data);
        body["scheduled_plan"] = json!({ "scheduled_plan_id": 88, "title": "Sales" });
        body["attachment"]["extension"] = kind.into();
        self.0.execute("google_sheets", body).await
    }

    fn token(&self) -> String {
        self.vendor().behind().provider().unwrap().log_in().access
    }

    /// Asks the stand-in as Google's own page would.
    async fn ask(&self, host: &str, path: &str) -> Value {
        self.told("GET", host, path, None).await
    }

    async fn told(&self, method: &str, host: &str, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| Ok(body.to_string().into()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host)
            .header("authorization", format!("Bearer {}", self.token()))
            .body(ByteStream::new(futures_util::stream::iter(body)))
            .unwrap();
        let response = self.vendor().behind().handle(request).await;
        assert_eq!(response.status(), 200, "{path}: {:?}", response.body());
        serde_json::from_slice(response.body()).unwrap()
    }

    /// Somebody types a row below all others of a tab, as far below as `more` says.
    async fn type_row(&self, tab: &str, more: u64, row: Value) {
        let tabs = self.tabs(ORDERS).await;
        let (_, id, rows) = tabs.iter().find(|(title, ..)| title == tab).unwrap();
        let append = json!({"sheetId": id, "dimension": "ROWS", "length": more});
        let path = format!("/v4/spreadsheets/{ORDERS}:batchUpdate");
        let requests = json!({"requests": [{"appendDimension": append}]});
        self.told("POST", SHEETS, &path, Some(requests)).await;
        let (tab, row_number) = (tab.replace(' ', "%20"), rows + more);
        let range = format!("%27{tab}%27%21A{row_number}%3AB{row_number}");
        let path = format!("/v4/spreadsheets/{ORDERS}/values/{range}?valueInputOption=RAW");
        let typed = json!({"majorDimension": "ROWS", "values": [row]});
        self.told("PUT", SHEETS, &path, Some(typed)).await;
    }

    /// The cells of a tab.
    async fn cells(&self, id: &str, tab: &str) -> Value {
        let tabs = self.tabs(id).await;
        let (_, _, rows) = tabs.iter().find(|(title, ..)| title == tab).unwrap();
        let (tab, rows) = (tab.replace(' ', "%20"), rows.min(&10));
        let path = format!("/v4/spreadsheets/{id}/values/%27{tab}%27%21A1%3AZ{rows}");
        self.ask(SHEETS, &path).await["values"].take()
    }

    /// Titles, ids and rows of the tabs.
    async fn tabs(&self, id: &str) -> Vec<(String, u64, u64)> {
        let path = format!("/v4/spreadsheets/{id}?fields=spreadsheetId%2Csheets");
        let book = self.ask(SHEETS, &path).await;
        let tabs = book["sheets"].as_array().unwrap_or_else(|| panic!("{book}"));
        let tab = |tab: &Value| {
            let tab = &tab["properties"];
            let rows = tab["gridProperties"]["rowCount"].as_u64().unwrap();
            (tab["title"].as_str().unwrap().to_owned(), tab["sheetId"].as_u64().unwrap(), rows)
        };
        tabs.iter().map(tab).collect()
    }

    /// Nothing is otherwise than before any delivery.
    async fn is_untouched(&self, after: &str) {
        let old = json!([["ID", "City"], ["O-old", ""], ["O-older", "Ulm"]]);
        assert_eq!(self.cells(ORDERS, "Data").await, old, "{after}");
        let tabs = [("Data".to_owned(), 0, 1000), ("Notes".to_owned(), 77, 1000)];
        assert_eq!(self.tabs(ORDERS).await, tabs, "{after}");
    }

    fn seen(&self, part: &str) -> Vec<Asked> {
        self.vendor().asked_for(part)
    }
}

const CSV: &str =
    "Name,Total,Code\n=SUM(1;2),12.50,007\n\"+49, 30\",-3,2026-11-25\n,9007199254740993,\n";

/// Several batches.
fn large() -> String {
    let row = |n: u64| format!("{n},\"{}\"\n", "x".repeat(200));
    std::iter::once("N,Text\n".to_owned()).chain((0..30_000).map(row)).collect()
}

#[tokio::test]
async fn a_tab_is_replaced_by_what_came_and_stays_the_same_tab() {
    let stage = Stage::set().await;
    let answer = stage.send("csv", CSV, json!({})).await;
    let message = delivered(&answer);
    assert!(message.contains("Delivered 3 rows to the tab Data of orders."), "{message}");
    assert!(message.contains(&format!("/spreadsheets/d/{ORDERS}/edit#gid=0")), "{message}");
    // Formulas and what a number would change stay text.
    let cells = json!([
        ["Name", "Total", "Code"],
        ["=SUM(1;2)", 12.50, "007"],
        ["+49, 30", -3, "2026-11-25"],
        ["", "9007199254740993"],
    ]);
    let found = stage.cells(ORDERS, "Data").await;
    let without_empty_ends = |row: &Value| {
        let mut row = row.as_array().unwrap().clone();
        while row.last().is_some_and(|cell| cell == "") {
            row.pop();
        }
        row
    };
    let found: Vec<_> = found.as_array().unwrap().iter().map(without_empty_ends).collect();
    assert_eq!(json!(found), cells);
    let tabs = [("Data".to_owned(), 0, 1000), ("Notes".to_owned(), 77, 1000)];
    assert_eq!(stage.tabs(ORDERS).await, tabs);
    // RAW is what keeps formulas from running.
    assert_eq!(stage.seen(WRITE).len(), stage.seen("valueInputOption=RAW").len());
}

#[tokio::test]
async fn what_fails_half_way_leaves_the_old_content() {
    // The second batch of rows, the hidden tab, the last step.
    for (part, after) in [(WRITE, 1), (ASIDE, 0), (COMMIT, 0)] {
        for status in [400, 403, 500] {
            let stage = Stage::set().await;
            match part {
                ASIDE => stage.refuse_times(part, status, 1),
                part => stage.refuse(part, after, status),
            }
            let answer = stage.send("csv", &large(), json!({})).await;
            let what = format!("{part} {status}");
            if (part, status) == (ASIDE, 500) {
                // It passed, and was tried again or looked after.
                assert_eq!(answer["success"], true, "{answer}");
                continue;
            }
            refused(&answer, "Google Sheets");
            assert!(!stage.seen(part).is_empty(), "{what}");
            stage.is_untouched(&what).await;
        }
    }
    let stage = Stage::set().await;
    let cut = format!("{}1,2,3\n", large());
    refused(&stage.send("csv", &cut, json!({})).await, "Looker");
    stage.is_untouched("Looker's data").await;
    assert_eq!(stage.seen("/v4/").len(), 0, "Google was asked before all of the data was there");
}

#[tokio::test]
async fn a_last_step_whose_answer_is_a_failure_is_looked_after() {
    let stage = Stage::set().await;
    stage.lose(COMMIT, 503);
    delivered(&stage.send("csv", CSV, json!({})).await);
    assert_eq!(stage.tabs(ORDERS).await.len(), 2);
    assert_eq!(stage.cells(ORDERS, "Data").await[1][0], "=SUM(1;2)");
}

#[tokio::test]
async fn a_hidden_tab_that_was_made_without_an_answer_is_used() {
    let stage = Stage::set().await;
    stage.lose(ASIDE, 503);
    delivered(&stage.send("csv", CSV, json!({})).await);
    assert_eq!(stage.tabs(ORDERS).await.len(), 2);
}

#[tokio::test]
async fn rows_are_appended_below_the_last_one_without_a_second_header() {
    let stage = Stage::set().await;
    let wish = json!({"overwrite": "append"});
    delivered(&stage.send("csv", "ID,City\nO1,Bonn\n", wish.clone()).await);
    delivered(&stage.send("csv", "ID,City\nO2,Kiel\n", wish).await);
    let cells =
        json!([["ID", "City"], ["O-old", ""], ["O-older", "Ulm"], ["O1", "Bonn"], ["O2", "Kiel"]]);
    assert_eq!(stage.cells(ORDERS, "Data").await, cells);
    // An empty tab gets the header as well.
    let wish = json!({"overwrite": "append", "tab": "gid=77"});
    delivered(&stage.send("csv", "ID,City\nO3,Jena\n", wish).await);
    assert_eq!(stage.cells(ORDERS, "Notes").await, json!([["ID", "City"], ["O3", "Jena"]]));
    assert_eq!(stage.tabs(ORDERS).await.len(), 2);
}

/// The tab is as large as its rows, as one that was made for them is.
const FULL: &str = "Run 88";

impl Stage {
    async fn with_a_full_tab() -> Self {
        let stage = Self::set().await;
        let wish = json!({"overwrite": "new_tab", "new_tab": FULL});
        delivered(&stage.send("csv", "ID,City\nO1,Bonn\n", wish).await);
        stage
    }
}

/// Both know the same last row, and neither knows what was typed below it.
#[tokio::test]
async fn two_appends_and_what_is_typed_in_the_same_moment_are_all_kept() {
    // The second needs another column.
    for second in ["ID,City\nB,Kiel\n", "ID,City,Total\nB,Kiel,1\n"] {
        let stage = Stage::with_a_full_tab().await;
        let wish = json!({"overwrite": "append", "tab": FULL});
        let mut gates = [(); 2].map(|()| stage.vendor().hold(COMMIT));
        let typed = async {
            for gate in &mut gates {
                gate.reached().await;
            }
            stage.type_row(FULL, 1, json!(["C", "Jena"])).await;
            gates.into_iter().for_each(stage::Gate::open);
        };
        let [one, two] =
            ["ID,City\nA,Ulm\n", second].map(|data| stage.send("csv", data, wish.clone()));
        let (one, two, ()) = futures_util::join!(one, two, typed);
        delivered(&one);
        delivered(&two);
        let cells = stage.cells(ORDERS, FULL).await;
        let cells = cells.as_array().unwrap();
        assert_eq!(cells[..2], [json!(["ID", "City"]), json!(["O1", "Bonn"])]);
        let mut first: Vec<_> = cells[2..].iter().map(|row| row[0].as_str().unwrap()).collect();
        first.sort_unstable();
        assert_eq!(first, ["A", "B", "C"], "{second}: {cells:?}");
    }
}

#[tokio::test]
async fn a_place_is_looked_for_when_the_rows_are_ready() {
    let stage = Stage::set().await;
    let append = json!({"overwrite": "append", "tab": "gid=77"});
    let new_tab = json!({"overwrite": "new_tab", "new_tab": "Run"});
    for wish in [&append, &new_tab] {
        let mut gate = stage.vendor().hold(WRITE);
        let slow = stage.send("csv", "ID,City\nA,Ulm\n", wish.clone());
        let quick = async {
            gate.reached().await;
            delivered(&stage.send("csv", "ID,City\nB,Kiel\n", wish.clone()).await);
            gate.open();
        };
        let (slow, ()) = futures_util::join!(slow, quick);
        delivered(&slow);
    }
    // One header, and the rows as they became ready.
    let cells = json!([["ID", "City"], ["B", "Kiel"], ["A", "Ulm"]]);
    assert_eq!(stage.cells(ORDERS, "Notes").await, cells);
    assert_eq!(stage.cells(ORDERS, "Run").await[1][0], "B");
    assert_eq!(stage.cells(ORDERS, "Run (2)").await[1][0], "A");
}

/// The grid is no smaller than others made it while the tab was being replaced.
#[tokio::test]
async fn what_is_typed_beside_a_replaced_range_stays() {
    let stage = Stage::with_a_full_tab().await;
    let wish = json!({"tab": FULL, "start_cell": "B1"});
    let mut gate = stage.vendor().hold(COMMIT);
    let typed = async {
        gate.reached().await;
        stage.type_row(FULL, 4, json!(["C"])).await;
        gate.open();
    };
    let (answer, ()) = futures_util::join!(stage.send("csv", "N\n1\n2\n3\n", wish), typed);
    delivered(&answer);
    let cells = json!([["ID", "N"], ["O1", 1], ["", 2], ["", 3], [], ["C"]]);
    assert_eq!(stage.cells(ORDERS, FULL).await, cells);
}

#[tokio::test]
async fn a_new_tab_each_time_has_a_name_of_its_own() {
    let stage = Stage::set().await;
    let wish = json!({"overwrite": "new_tab", "new_tab": "Run {plan_id}"});
    for _ in 0..2 {
        delivered(&stage.send("csv", CSV, wish.clone()).await);
    }
    let tabs = stage.tabs(ORDERS).await;
    let titles: Vec<_> = tabs.iter().map(|(title, ..)| title.as_str()).collect();
    assert_eq!(titles, ["Data", "Notes", "Run 88", "Run 88 (2)"]);
    assert_eq!(tabs[2].2, 4, "the grid is as large as the rows");
    assert_eq!(stage.cells(ORDERS, "Data").await[1][0], "O-old");
}

#[tokio::test]
async fn a_start_cell_leaves_what_stands_above_and_left_of_it() {
    let stage = Stage::set().await;
    let wish = json!({"start_cell": "b2", "header": "no"});
    delivered(&stage.send("csv", "A,B\n1,2\n", wish).await);
    let cells = json!([["ID", "City"], ["O-old", 1, 2], ["O-older"]]);
    assert_eq!(stage.cells(ORDERS, "Data").await, cells);
}

#[tokio::test]
async fn a_new_spreadsheet_has_the_name_without_csv_and_is_found_again() {
    let stage = Stage::set().await;
    for wish in ["yes", "yes", "no"] {
        let form = json!({"filename": "It's new.csv", "overwrite": wish});
        delivered(&stage.send("csv", CSV, form).await);
    }
    let made = stage.seen("POST /drive/v3/files");
    assert_eq!(made.len(), 2, "the second delivery replaced the first's");
    for id in ["1FileNumber0001OfTests", "1FileNumber0002OfTests"] {
        assert_eq!(stage.cells(id, "Sheet1").await[1][0], "=SUM(1;2)");
        let path = format!("/drive/v3/files/{id}?supportsAllDrives=true");
        assert_eq!(stage.ask("www.googleapis.com", &path).await["name"], "It's new");
    }
    // One that nothing was written to goes into the bin.
    stage.refuse(WRITE, 0, 400);
    let form = json!({"filename": "third", "overwrite": "no"});
    refused(&stage.send("csv", CSV, form).await, "invalid argument");
    let path = "/drive/v3/files/1FileNumber0003OfTests?supportsAllDrives=true";
    assert_eq!(stage.ask("www.googleapis.com", path).await["trashed"], true);
}

#[tokio::test]
async fn what_another_user_delivered_and_shared_is_not_written_to() {
    let stage = Stage(stage::Stage::set(Script::before("google_sheets").without_login()).await);
    let [ada, ben] = ["ada@example.com", "ben@example.com"].map(acting_as);
    let wish = json!({"folderid": "", "filename": "totals"});
    delivered(&stage.send_by(ben, "csv", "Whose\nBen\n", wish.clone()).await);
    let shared = json!({"type": "user", "role": "writer", "emailAddress": "ada@example.com"});
    let token = stage.seen("/v4/")[0].header("authorization").to_owned();
    let request = Request::post("/drive/v3/files/1FileNumber0001OfTests/permissions")
        .header("host", "www.googleapis.com")
        .header("content-type", "application/json")
        .header("authorization", token)
        .body(ByteStream::new(futures_util::stream::iter([Ok(shared.to_string().into())])))
        .unwrap();
    assert_eq!(stage.vendor().behind().handle(request).await.status(), 200);
    for _ in 0..2 {
        delivered(&stage.send_by(ada.clone(), "csv", "Whose\nAda\n", wish.clone()).await);
    }
    assert_eq!(stage.seen("POST /drive/v3/files").len(), 2, "each has one of his own");
    let path = |id: &str| format!("/v4/spreadsheets/{id}:batchUpdate");
    assert_eq!(stage.seen(&path("1FileNumber0001OfTests")).len(), 2, "Ben's delivery alone");
    assert_eq!(stage.seen(&path("1FileNumber0002OfTests")).len(), 4);
}

#[tokio::test]
async fn the_reference_hubs_file_is_found_by_its_ending() {
    let stage = Stage::set().await;
    let form = json!({"filename": "orders.csv"});
    delivered(&stage.send("csv", CSV, form).await);
    assert_eq!(stage.cells(ORDERS, "Data").await[1][0], "=SUM(1;2)");
}

#[tokio::test]
async fn a_spreadsheet_by_its_address_and_a_tab_by_its_name() {
    let stage = Stage::set().await;
    let address = format!("https://docs.google.com/spreadsheets/d/{ORDERS}/edit#gid=77");
    let form = json!({"spreadsheet": address});
    delivered(&stage.send("csv", CSV, form).await);
    assert_eq!(stage.cells(ORDERS, "Notes").await[0][0], "Name");
    assert_eq!(stage.seen("/drive/v3/files").len(), 0);
    let form = json!({"spreadsheet": address, "tab": "Made for it"});
    delivered(&stage.send("csv", CSV, form).await);
    assert_eq!(stage.cells(ORDERS, "Made for it").await[1][0], "=SUM(1;2)");
    let tabs = stage.tabs(ORDERS).await;
    assert_eq!((tabs[2].0.as_str(), tabs[2].2), ("Made for it", 4));
    let form = json!({"spreadsheet": address, "tab": "gid=12345"});
    refused(&stage.send("csv", CSV, form).await, "The tab is gone");
    // The form shows them.
    let body = json!({"type": "query", "data": stage.0.settings(),
        "form_params": {"spreadsheet": address}});
    let form = stage.0.call("/actions/google_sheets/form", body).await;
    let fields = form["fields"].as_array().or(form.as_array()).unwrap();
    let tab = fields.iter().find(|field| field["name"] == "tab").unwrap();
    let names: Vec<_> = tab["options"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names[..2], ["gid=0", "gid=77"]);
}

#[tokio::test]
async fn pivoted_values_and_types_come_from_json_detail() {
    let stage = Stage::set().await;
    let data = json!({
        "fields": {
            "dimensions": [{"name": "o.day", "label": "Day"}],
            "measures": [{"name": "o.n", "label": "Count"}],
            "pivots": [{"name": "o.kind", "label": "Kind"}],
        },
        "data": [
            {"o.day": {"value": "2026-11-24"}, "o.n": {"new": {"value": 1}, "old": {"value": null}}},
            {"o.day": {"value": "42"}, "o.n": {"old": {"value": 12345678901234567_u64}, "gone": {"value": true}}},
        ],
    });
    delivered(&stage.send("json", &data.to_string(), json!({})).await);
    let cells = json!([
        ["Day", "new Count", "old Count", "gone Count"],
        ["2026-11-24", 1, "", ""],
        ["42", "", "12345678901234567", true],
    ]);
    assert_eq!(stage.cells(ORDERS, "Data").await, cells);
}

/// The number formats that the last step set, by column.
fn date_formats(asked: &Asked) -> Vec<(u64, Value)> {
    let requests = asked.json()["requests"].take();
    let formats = requests.as_array().unwrap().iter().map(|one| &one["repeatCell"]);
    let column = |one: &Value| one["range"]["startColumnIndex"].as_u64().unwrap();
    let format = |one: &Value| one["cell"]["userEnteredFormat"]["numberFormat"].clone();
    formats.filter(|one| one.is_object()).map(|one| (column(one), format(one))).collect()
}

#[tokio::test]
async fn dates_are_dates_in_the_format_that_the_sheet_has_for_them() {
    let stage = Stage::set().await;
    let data = json!({
        "fields": {"dimensions": [
            {"name": "o.id", "label": "ID", "type": "number"},
            {"name": "o.day", "label": "Day", "type": "date_date"},
            {"name": "o.at", "label": "At", "type": "date_time"},
            {"name": "o.month", "label": "Month", "type": "date_month"},
        ]},
        "data": [
            {"o.id": {"value": 1}, "o.day": {"value": "2026-11-25"},
             "o.at": {"value": "2026-11-25 18:00:00"}, "o.month": {"value": "2026-11"}},
            {"o.id": {"value": 2}, "o.day": {"value": null},
             "o.at": {"value": "soon"}, "o.month": {"value": "2026-12"}},
        ],
    })
    .to_string();
    delivered(&stage.send("json", &data, json!({})).await);
    let cells = stage.cells(ORDERS, "Data").await;
    assert_eq!(cells[1], json!([1, 46351, 46351.75, "2026-11"]));
    assert_eq!(cells[2], json!([2, "", "soon", "2026-12"]));
    let day = json!({"type": "DATE", "pattern": "yyyy-mm-dd"});
    let time = json!({"type": "DATE_TIME", "pattern": "yyyy-mm-dd hh:mm:ss"});
    assert_eq!(date_formats(&stage.seen(COMMIT)[0]), [(1, day.clone()), (2, time.clone())]);
    // Somebody wants to see days otherwise.
    let german = json!({"type": "DATE", "pattern": "dd.mm.yyyy"});
    let requests = json!({"requests": [{"repeatCell": {
        "range": {"sheetId": 0, "startRowIndex": 0, "endRowIndex": 1000,
            "startColumnIndex": 1, "endColumnIndex": 2},
        "cell": {"userEnteredFormat": {"numberFormat": german}},
        "fields": "userEnteredFormat.numberFormat",
    }}]});
    let path = format!("/v4/spreadsheets/{ORDERS}:batchUpdate");
    stage.told("POST", SHEETS, &path, Some(requests)).await;
    for wish in ["yes", "append"] {
        delivered(&stage.send("json", &data, json!({"overwrite": wish})).await);
        let formats = date_formats(stage.seen(COMMIT).last().unwrap());
        assert_eq!(formats, [(1, german.clone()), (2, time.clone())], "{wish}");
    }
    delivered(&stage.send("json", &data, json!({"keep_formatting": "no"})).await);
    assert_eq!(date_formats(stage.seen(COMMIT).last().unwrap()), [(1, day), (2, time)]);
    // Google reads them itself.
    let wish = json!({"value_input": "user_entered"});
    delivered(&stage.send("json", &data, wish).await);
    assert_eq!(stage.cells(ORDERS, "Data").await[1][1], "2026-11-25");
    assert_eq!(date_formats(stage.seen(COMMIT).last().unwrap()), []);
}

#[tokio::test]
async fn the_tabs_of_a_spreadsheet_that_is_named_are_listed_and_another_can_be_typed() {
    let stage = Stage::set().await;
    let settings = stage.0.settings();
    let form = async |more: Value| {
        let answers = with(json!(stage.vendor().behind().answers()), more);
        stage.0.form("google_sheets", &settings, answers).await
    };
    let tabs = |form: &Value| -> Vec<(String, String)> {
        let options = form["tab"]["options"].as_array().into_iter().flatten();
        let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
        options.map(|one| (text(one, "name"), text(one, "label"))).collect()
    };
    let pair = |name: &str, label: &str| (name.to_owned(), label.to_owned());
    let both = [pair("gid=0", "Data"), pair("gid=77", "Notes")];
    for wish in ["yes", "append"] {
        assert_eq!(tabs(&form(json!({"overwrite": wish})).await), both, "{wish}");
    }
    let typed = form(json!({"find_tab": "Totals"})).await;
    assert!(tabs(&typed).contains(&pair("Totals", "Totals (as typed)")), "{typed}");
    // It is a text where no spreadsheet is there, or its name is not known yet.
    for name in ["unheard of", "orders {date}"] {
        let form = form(json!({"filename": name})).await;
        assert!(form["tab"]["options"].is_null() && form["find_tab"].is_null(), "{form}");
        assert!(form["tab"].is_object(), "{form}");
    }
    let each_time = form(json!({"overwrite": "new_tab"})).await;
    assert!(each_time["tab"].is_null() && each_time["new_tab"].is_object(), "{each_time}");
}

#[tokio::test]
async fn the_grid_is_there_first_and_the_calls_are_few() {
    let stage = Stage::set().await;
    let data = large();
    delivered(&stage.send("csv", &data, json!({})).await);
    let (writes, steps) = (stage.seen(WRITE), stage.seen(":batchUpdate"));
    assert_eq!(steps.len(), 2);
    let bytes: Vec<_> = writes.iter().map(|asked| asked.body.len()).collect();
    assert!(bytes.iter().all(|bytes| *bytes <= 2_000_002), "{bytes:?}");
    let sum: usize = bytes.iter().sum();
    assert_eq!(bytes.len(), sum.div_ceil(2_000_000), "{bytes:?}");
    assert_eq!(stage.tabs(ORDERS).await[0].2, 30_001);
}

#[tokio::test]
async fn what_does_not_fit_is_told_before_anything_is_touched() {
    let stage = Stage::set().await;
    let columns = |text: &str| vec![text; 5_000].join(",");
    let wide: String = std::iter::once(columns("c"))
        .chain(std::iter::repeat_n(columns(""), 1_000))
        .flat_map(|line| [line, "\n".to_owned()])
        .collect();
    refused(&stage.send("csv", &wide, json!({})).await, "10,000,000 cells");
    let long = format!("A\n{}\n", "ü".repeat(50_001));
    refused(&stage.send("csv", &long, json!({})).await, "50,000 characters");
    refused(&stage.send("csv", "", json!({})).await, "neither columns nor rows");
    assert_eq!(stage.seen(":batchUpdate").len(), 0);
    stage.is_untouched("what does not fit").await;
    // Just as long as a cell can be.
    let long = format!("A\n{}\n", "ü".repeat(50_000));
    delivered(&stage.send("csv", &long, json!({})).await);
}

#[tokio::test]
async fn a_used_up_quota_is_waited_for() {
    let stage = Stage::set().await;
    // The door itself tries a write three times.
    stage.refuse_times(WRITE, 429, 4);
    stage.refuse_times(COMMIT, 429, 1);
    delivered(&stage.send("csv", CSV, json!({})).await);
    assert_eq!(stage.cells(ORDERS, "Data").await[1][0], "=SUM(1;2)");
}

/// A refusal at each request in turn, whatever the delivery was to do.
#[tokio::test]
async fn whichever_call_fails_the_old_content_stays() {
    let row = |n: u64| format!("{n},\"{}\"\n", "x".repeat(2_000));
    let two: String = std::iter::once("N,Text\n".to_owned()).chain((0..1_200).map(row)).collect();
    for wish in ["yes", "append", "new_tab"] {
        let wish = json!({"overwrite": wish, "new_tab": "Run {plan_id}"});
        let stage = Stage::set().await;
        delivered(&stage.send("csv", &two, wish.clone()).await);
        let calls = stage.seen("/v4/spreadsheets/").len();
        assert!(calls >= 5, "a look, two steps and two batches: {calls}");
        for nth in 0..calls {
            let stage = Stage::set().await;
            stage.let_through("/v4/spreadsheets/", nth);
            stage.refuse_times("/v4/spreadsheets/", 403, 1);
            let answer = stage.send("csv", &two, wish.clone()).await;
            refused(&answer, "The caller does not have permission");
            stage.is_untouched(&format!("{wish}, call {nth} of {calls}")).await;
        }
    }
}

#[tokio::test]
async fn what_is_replaced_by_less_leaves_nothing_of_the_old() {
    for keep in ["yes", "no"] {
        let stage = Stage::set().await;
        let wish = json!({"keep_formatting": keep});
        delivered(&stage.send("csv", "A\n1\n", wish.clone()).await);
        assert_eq!(stage.cells(ORDERS, "Data").await, json!([["A"], [1]]), "{keep}");
        // Nor does a result without rows.
        delivered(&stage.send("csv", "A,B\n", wish).await);
        assert_eq!(stage.cells(ORDERS, "Data").await, json!([["A", "B"]]), "{keep}");
    }
}
