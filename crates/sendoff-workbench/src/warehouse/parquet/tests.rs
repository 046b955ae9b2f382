//! Files that PyArrow wrote become the values that were given to it; files that nobody should write
//! become a sentence.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use proptest::prelude::*;

use crate::{DataError, DataLimits, Grid, Imported, Look, Source, Warehouse};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/parquet/", $name, ".parquet"))
    };
}

const TYPES: &[u8] = golden!("types");
const DELTA: &[u8] = golden!("delta.zstd");
const GZIP: &[u8] = golden!("plain.gzip");

fn chunks(bytes: &[u8], size: usize) -> Source {
    let pieces: Vec<_> =
        bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    Source::stream(stream::iter(pieces))
}

async fn warehouse() -> Warehouse {
    Warehouse::in_memory(DataLimits::default()).await.unwrap()
}

async fn taken_in(bytes: &[u8]) -> (Warehouse, Imported) {
    let warehouse = warehouse().await;
    let imported = warehouse.import("mine.parquet", chunks(bytes, 1_000)).await.unwrap();
    (warehouse, imported)
}

async fn refused(bytes: &[u8]) -> String {
    let warehouse = warehouse().await;
    let error = warehouse.import("mine.parquet", chunks(bytes, 700)).await.unwrap_err();
    assert_eq!(warehouse.imported().await.unwrap(), [""; 0], "nothing is left");
    error.to_string()
}

async fn grid(warehouse: &Warehouse, sql: &str) -> Grid {
    warehouse.grid(&Look::sql("Mine", sql), 100).await.unwrap()
}

/// A column as the database says it: text, number and null are told apart.
async fn column(warehouse: &Warehouse, name: &str) -> String {
    let sql = format!("SELECT group_concat(quote(\"{name}\"), ' | ') AS it FROM mine");
    grid(warehouse, &sql).await.rows[0][0].value.clone().unwrap_or_default()
}

#[tokio::test]
async fn every_type_becomes_what_it_was() {
    let (warehouse, imported) = taken_in(TYPES).await;
    assert_eq!((imported.table.as_str(), imported.rows), ("mine", 3));
    for (name, numeric, values) in [
        ("name", false, "'Ana' | NULL | 'Åsa \"x\", y\n'"),
        // A text stays one, though it looks like a number.
        ("zip", false, "'007' | '1' | '2'"),
        ("kind", false, "'a' | 'b' | 'a'"),
        ("id", true, "1 | 2 | 9223372036854775807"),
        ("tiny", true, "-128 | NULL | 127"),
        ("count", true, "0 | 1 | 4294967295"),
        ("large", false, "'0' | '1' | '18446744073709551615'"),
        ("ratio", true, "0.1 | -2.5 | NULL"),
        ("half", true, "1.5 | NULL | -0.25"),
        ("amount", true, "0.1 | 1.0e+300 | NULL"),
        ("paid", false, "'true' | 'false' | NULL"),
        ("day", false, "'2026-11-25' | '1969-12-31' | NULL"),
        ("ms_utc", false, "'2026-11-25 16:39:45.12' | NULL | '2026-11-25 16:39:45'"),
        ("us_local", false, "'2026-11-25 16:39:45.123456' | NULL | '2026-11-25 16:39:45'"),
        (
            "ns_utc",
            false,
            "'2026-11-25 16:39:45.123456789' | NULL | '1969-12-31 23:59:59.999999999'",
        ),
        ("clock", false, "'09:05:00' | '23:59:59.25' | NULL"),
        ("price", true, "12.3 | -0.05 | NULL"),
        ("wide", true, "1.5 | NULL | -3.0"),
        ("exact", false, "'12345678901234567890' | '1' | NULL"),
        ("raw", false, "'text' | '0x00ff' | NULL"),
        (
            "key",
            false,
            "'12345678-1234-5678-1234-567812345678' | NULL | \
             '00000000-0000-0000-0000-000000000000'",
        ),
        ("nothing", false, "NULL | NULL | NULL"),
    ] {
        assert_eq!(column(&warehouse, name).await, values, "{name}");
        assert!(imported.columns.contains(&(name.to_owned(), numeric)), "{name}");
    }
    assert_eq!(imported.columns.len(), 22);
}

#[tokio::test]
async fn the_times_of_older_writers_are_read() {
    let (warehouse, _) = taken_in(golden!("int96")).await;
    let times = column(&warehouse, "at").await;
    assert_eq!(times, "'2026-11-25 16:39:45.123456' | NULL | '1969-12-31 23:00:00'");
}

#[tokio::test]
async fn lists_structures_and_maps_are_json() {
    let (warehouse, imported) = taken_in(golden!("nested")).await;
    let columns: Vec<_> = imported.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(columns, ["id", "tags", "times", "place", "prices"]);
    assert_eq!(column(&warehouse, "id").await, "1 | 2 | 3");
    assert_eq!(column(&warehouse, "tags").await, r#"'["a","b\""]' | '[]' | NULL"#);
    let places =
        r#"'{"city":"Oslo","at":"2026-11-25 16:39:45.000005"}' | NULL | '{"city":null,"at":null}'"#;
    assert_eq!(column(&warehouse, "place").await, places);
    assert_eq!(column(&warehouse, "prices").await, r#"'{"x":1.5}' | NULL | '{}'"#);
}

/// Both versions of pages, three codecs, all encodings, several row groups.
#[tokio::test]
async fn every_row_of_every_row_group_is_there() {
    for (bytes, rows) in [(DELTA, 5_000), (GZIP, 1_200)] {
        let (warehouse, imported) = taken_in(bytes).await;
        assert_eq!(imported.rows, rows);
        // What the row of a number must be; none is otherwise, and every number is there.
        let sql = "SELECT COUNT(*), COUNT(DISTINCT id), SUM( \
             text IS NOT printf('customer-%05d@example.com', (id + 3) / 7) OR \
             real IS NOT (id + 3) / 7 / 8.0 OR \
             length(note) IS NOT iif((id + 3) / 7 % 3, NULL, (id + 3) / 7 % 50)) FROM mine";
        let grid = grid(&warehouse, sql).await;
        let values: Vec<_> =
            grid.rows[0].iter().map(|cell| cell.value.as_deref().unwrap_or("null")).collect();
        assert_eq!(values, [&rows.to_string(), &rows.to_string(), "0"]);
    }
}

#[tokio::test]
async fn a_file_without_rows_is_a_table_without_rows() {
    let (warehouse, imported) = taken_in(golden!("empty")).await;
    assert_eq!(imported.rows, 0);
    let grid = grid(&warehouse, "SELECT * FROM mine").await;
    assert_eq!((grid.columns.len(), grid.rows.len()), (4, 0));
}

#[tokio::test]
async fn content_counts_where_the_name_says_nothing() {
    let warehouse = warehouse().await;
    let imported = warehouse.import("export.csv", chunks(GZIP, 4_096)).await.unwrap();
    assert_eq!(imported.rows, 1_200);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_in_a_sentence() {
    let csv = b"a,b\n1,2\n3,4\n";
    assert_eq!(refused(csv).await, "The file is not a Parquet file: it does not begin with PAR1.");
    assert_eq!(refused(b"").await, "The file is not a Parquet file: it does not begin with PAR1.");
    let cut = "The Parquet file is cut short: its end is not there.";
    for length in [4, 8, 11, 500, TYPES.len() - 1] {
        assert_eq!(refused(&TYPES[..length]).await, cut, "{length}");
    }
    let encrypted = "The Parquet file is encrypted; write it without encryption.";
    assert_eq!(refused(golden!("encrypted")).await, encrypted);
    assert_eq!(refused(golden!("encrypted-columns")).await, encrypted);
    assert_eq!(
        refused(golden!("lz4")).await,
        "The column `id` cannot be read: it is packed with LZ4_RAW; write the file with snappy, gzip \
         or zstd."
    );
}

/// The footer's length stands before the last four bytes.
fn footer_of(bytes: &[u8]) -> usize {
    let at = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    at - length as usize
}

#[tokio::test]
async fn a_file_that_claims_more_than_it_has_takes_no_memory() {
    // A footer with a schema of 2^30 children, one of a list of 2^40 elements, and one so deep that
    // calls within calls would end the process.
    let huge_group = [0x15, 2, 0x19, 0x1c, 0x48, 1, b'r', 0x15, 0x80, 0x80, 0x80, 0x80, 8, 0, 0];
    let huge_list = [0x15, 2, 0x19, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0];
    let mut deep = vec![0x15, 2, 0x19, 0xfc, 0xa0, 0x8d, 6];
    for _ in 0..100_000 {
        deep.extend([0x35, 2, 0x18, 1, b'g', 0x15, 2, 0]);
    }
    deep.push(0);
    for footer in [&huge_group[..], &huge_list, &deep] {
        let mut file = b"PAR1".to_vec();
        file.extend(footer);
        file.extend((footer.len() as u32).to_le_bytes());
        file.extend(b"PAR1");
        assert_eq!(refused(&file).await, "The Parquet file's footer is damaged.");
    }
    let mut long = TYPES.to_vec();
    let at = long.len() - 8;
    long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(refused(&long).await, "The Parquet file is cut short: its end is not there.");
}

#[tokio::test]
async fn what_is_unpacked_has_the_limit_of_what_arrives() {
    let limits = DataLimits { import_bytes: 200_000, ..DataLimits::default() };
    let warehouse = Warehouse::in_memory(limits).await.unwrap();
    let error = warehouse.import("mine.parquet", chunks(DELTA, 700)).await.unwrap_err();
    assert!(matches!(error, DataError::Limit(_)), "{error:?}");
    assert!(error.to_string().starts_with("Unpacked the file is larger"), "{error}");
    let limits = DataLimits { import_bytes: 7_000, ..DataLimits::default() };
    let warehouse = Warehouse::in_memory(limits).await.unwrap();
    let error = warehouse.import("mine.parquet", chunks(DELTA, 700)).await.unwrap_err();
    assert!(error.to_string().starts_with("The file is larger"), "{error}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let warehouse = warehouse().await;
    let broken = stream::iter(vec![
        Ok(Bytes::from_static(&TYPES[..2_000])),
        Err(std::io::Error::other("hung up")),
    ]);
    let error = warehouse.import("mine.parquet", Source::stream(broken)).await.unwrap_err();
    assert_eq!(error.to_string(), "The file did not arrive whole: hung up.");
    assert_eq!(warehouse.imported().await.unwrap(), [""; 0]);
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let files = prop_oneof![Just(TYPES), Just(DELTA), Just(GZIP), Just(golden!("nested") as &[u8])];
    // Half of the changes in the footer, where the claims are.
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4);
    (files, any::<bool>(), changes).prop_map(|(file, footer, changes)| {
        let mut bytes = file.to_vec();
        let from = if footer { footer_of(file) } else { 0 };
        for (at, value) in changes {
            let at = from + at.index(bytes.len() - from);
            bytes[at] = value;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The same warehouse takes all of them: what one leaves behind meets the next.
    #[test]
    fn a_damaged_file_is_read_or_refused(files in proptest::collection::vec(mutated(), 8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let limits = DataLimits { import_bytes: 4 << 20, ..DataLimits::default() };
        runtime.block_on(async {
            let warehouse = Warehouse::in_memory(limits).await.unwrap();
            for file in files {
                let import = warehouse.import("mine.parquet", Source::from(file));
                let ended = AssertUnwindSafe(tokio::time::timeout(Duration::from_secs(60), import));
                match ended.catch_unwind().await.expect("no panic").expect("it hangs") {
                    Ok(_) => {}
                    Err(error) => assert!(error.to_string().ends_with('.'), "{error}"),
                }
            }
            let good = warehouse.import("good.parquet", Source::from(GZIP.to_vec())).await;
            assert_eq!(good.unwrap().rows, 1_200);
        });
    }
}
