//! The demo database: what it holds, what SQL of a user may do, and how a CSV becomes a table.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;

use super::*;
use crate::formats::Rendering;
use crate::{Grid, Source};
use sendoff_protocol::{Format, RequiredField};

async fn warehouse() -> Warehouse {
    Warehouse::in_memory(DataLimits::default()).await.unwrap()
}

async fn grid(warehouse: &Warehouse, sql: &str) -> Result<Grid, DataError> {
    warehouse.grid(&Look::sql("Mine", sql), 100).await
}

async fn refusal(sql: &str) -> String {
    grid(&warehouse().await, sql).await.expect_err("it was run").to_string()
}

fn texts(grid: &Grid) -> Vec<Vec<&str>> {
    let texts = |row: &Vec<crate::GridCell>| -> Vec<usize> { (0..row.len()).collect() };
    grid.rows
        .iter()
        .map(|row| texts(row).into_iter().map(|n| row[n].rendered.as_str()).collect())
        .collect()
}

#[tokio::test]
async fn the_demo_data_are_the_same_everywhere() {
    let warehouse = warehouse().await;
    let sql = "SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM users), \
               (SELECT COUNT(*) FROM penguins), (SELECT round(SUM(quantity * unit_price), 2) FROM \
               orders), (SELECT email FROM users WHERE id = 7)";
    let grid = grid(&warehouse, sql).await.unwrap();
    assert_eq!(texts(&grid), [["2400", "400", "344", "446740.65", "user7@example.com"]]);
}

#[tokio::test]
async fn every_look_runs_and_every_tag_of_the_reference_is_there() {
    let warehouse = warehouse().await;
    let mut fields = Vec::new();
    for look in warehouse.looks() {
        let grid =
            warehouse.grid(look, 10).await.unwrap_or_else(|e| panic!("{}: {e}", look.slug()));
        assert!(!grid.rows.is_empty(), "{} has no rows", look.slug());
        fields.extend(grid.fields);
    }
    for tag in crate::KNOWN_TAGS {
        assert!(fields.iter().any(|field| field.tags.iter().any(|t| t == tag)), "no {tag}");
    }
}

/// The reference's real answer to the list call.
const LISTING: &str = include_str!("../../../sendoff-destinations/tests/golden/actions_list.json");

#[tokio::test]
async fn each_row_action_finds_a_look_that_has_what_it_requires() {
    // Not as `Listing`: the reference's icons and ids are left out of it as objects.
    let listing: serde_json::Value = serde_json::from_str(LISTING).unwrap();
    let actions = listing["integrations"].as_array().unwrap();
    let of = |action: &serde_json::Value| {
        serde_json::from_value(action["required_fields"].clone()).unwrap()
    };
    let required: Vec<Vec<RequiredField>> = actions.iter().map(of).collect();
    assert!(required.iter().any(|required| !required.is_empty()));
    let warehouse = warehouse().await;
    let mut all = Vec::new();
    for look in warehouse.looks() {
        all.push(warehouse.grid(look, 1).await.unwrap().fields);
    }
    for required in required {
        let found = all.iter().any(|fields| crate::unmet(&required, fields).is_empty());
        assert!(found, "no Look has {required:?}");
    }
}

#[tokio::test]
async fn sql_of_a_user_only_reads() {
    let refused = "Only reading is allowed: a SELECT from the tables of the demo database.";
    for sql in [
        "DELETE FROM orders",
        "ATTACH '/tmp/other.db' AS other",
        "PRAGMA query_only = 0",
        "CREATE TEMP TABLE t (a)",
        "SELECT load_extension('x')",
    ] {
        assert_eq!(refusal(sql).await, refused, "{sql}");
    }
    // SQLite asks nobody whether this is allowed.
    let refused = "Only a statement that reads rows can be sent.";
    assert_eq!(refusal("VACUUM INTO '/tmp/copy.db'").await, refused);
}

#[tokio::test]
async fn wrong_sql_is_explained_where_it_is_wrong() {
    assert_eq!(
        refusal("SELECT * FORM orders").await,
        "SQL: near \"FORM\": syntax error, at character 10."
    );
    assert_eq!(refusal("SELECT a FROM nowhere").await, "SQL: no such table: nowhere.");
    assert_eq!(refusal("SELECT 1; SELECT 2").await, "Write one statement; there are several.");
    assert_eq!(
        refusal("SELECT x'00ff' AS raw").await,
        "The column `raw` holds bytes and no text; use hex(…)."
    );
    assert_eq!(
        refusal("SELECT 1 AS a, 2 AS a").await,
        "Two columns have the name `a`; give one of them another with AS."
    );
    assert_eq!(refusal("SELECT ?1").await, "The SQL has parameters; write their values in.");
    assert_eq!(refusal(" ").await, "SQL: nothing is asked.");
}

#[tokio::test]
async fn an_endless_query_is_stopped() {
    let limits = DataLimits { query_time: Duration::from_millis(50), ..DataLimits::default() };
    let warehouse = Warehouse::in_memory(limits).await.unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                   SELECT COUNT(*) FROM n";
    let error = grid(&warehouse, endless).await.unwrap_err();
    assert!(matches!(error, DataError::Limit(_)), "{error:?}");
    assert!(error.to_string().starts_with("The query ran for 50ms and was stopped."), "{error}");
}

#[tokio::test]
async fn a_result_stops_at_the_row_limit() {
    let warehouse = warehouse().await;
    let look = Look::sql("Many", "SELECT id FROM orders ORDER BY id").limit(Some(3));
    let rendered = warehouse.render(&look, Format::Csv, Rendering::default()).await.unwrap();
    let rows = rendered.rows();
    assert_eq!(&rendered.whole(1_000).await.unwrap()[..], b"Sql Runner Query Id\n1\n2\n3\n");
    assert_eq!(rows.get(), 3);
}

fn chunks(text: &'static str, size: usize) -> Source {
    let chunks: Vec<_> =
        text.as_bytes().chunks(size).map(|chunk| Ok(Bytes::from_static(chunk))).collect();
    Source::stream(stream::iter(chunks))
}

#[tokio::test]
async fn a_csv_becomes_a_table_with_types_and_tags() {
    let text =
        "\u{feff}Email,zip,amount,n,n\r\na@b.example,007,1.50,1,x\r\n\"c,d\",12,2,,\"q\"\"\n\"\n";
    for size in [1, 7, 4_096] {
        let warehouse = warehouse().await;
        let imported = warehouse.import("My Data.csv", chunks(text, size)).await.unwrap();
        assert_eq!(imported.table, "my_data");
        assert_eq!(imported.rows, 2);
        let columns: Vec<_> =
            imported.columns.iter().map(|(name, numeric)| (name.as_str(), *numeric)).collect();
        assert_eq!(
            columns,
            [("Email", false), ("zip", false), ("amount", true), ("n", true), ("n_2", false)]
        );
        let grid = warehouse.grid(&Look::table("my_data"), 10).await.unwrap();
        assert_eq!(
            texts(&grid),
            [["a@b.example", "007", "1.5", "1", "x"], ["c,d", "12", "2", "", "q\"\n"]]
        );
        assert_eq!(grid.fields[0].tags, ["email"]);
        assert_eq!(warehouse.imported().await.unwrap(), ["my_data"]);
    }
}

#[tokio::test]
async fn a_csv_that_is_no_table_leaves_nothing() {
    let warehouse = warehouse().await;
    let refused = async |text: &'static str| {
        warehouse.import("mine.csv", chunks(text, 5)).await.unwrap_err().to_string()
    };
    assert_eq!(refused("a,b\n1,2\n3\n").await, "Row 2 has 1 fields, the header has 2.");
    assert_eq!(refused("").await, "The file is empty.");
    let broken =
        stream::iter(vec![Ok(Bytes::from_static(b"a,b\n1,2\n")), Err(io::Error::other("hung up"))]);
    let error = warehouse.import("mine.csv", Source::stream(broken)).await.unwrap_err();
    assert_eq!(error.to_string(), "The file did not arrive whole: hung up.");
    let latin = Source::from(&b"a\n\xe9\n"[..]);
    let error = warehouse.import("mine.csv", latin).await.unwrap_err();
    assert!(error.to_string().starts_with("The file is not UTF-8"), "{error}");
    let error = warehouse.import("orders.csv", chunks("a\n1\n", 9)).await.unwrap_err();
    assert!(error.to_string().starts_with("The demo model has a table"), "{error}");
    assert_eq!(warehouse.imported().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn an_import_that_is_given_up_leaves_nothing() {
    let warehouse = warehouse().await;
    let never = stream::iter(vec![Ok(Bytes::from_static(b"a\n1\n"))]);
    let never = futures_util::StreamExt::chain(never, stream::pending());
    let import = warehouse.import("mine.csv", Source::stream(never));
    assert!(futures_util::FutureExt::now_or_never(import).is_none());
    // This waits for the writer, which the dropped import held.
    assert_eq!(warehouse.imported().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused() {
    let limits = DataLimits { import_bytes: 10, ..DataLimits::default() };
    let warehouse = Warehouse::in_memory(limits).await.unwrap();
    let error = warehouse.import("m.csv", chunks("a,b\n1,2\n3,4\n", 4)).await.unwrap_err();
    assert!(matches!(error, DataError::Limit(_)), "{error:?}");
}

#[tokio::test]
async fn imported_tables_survive_a_restart_where_there_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd ?#% name.db");
    let first = Warehouse::open(&file, DataLimits::default()).await.unwrap();
    first.import("mine.csv", chunks("a\n1\n", 9)).await.unwrap();
    drop(first);
    let second = Warehouse::open(&file, DataLimits::default()).await.unwrap();
    let grid = second.grid(&Look::table("mine"), 10).await.unwrap();
    assert_eq!(texts(&grid), [["1"]]);
    assert!(file.exists());
}
