//! Random data, cut at random, against serde_json and against the records it was made of.

use bytes::Bytes;
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::read;
use crate::rows::{Layout, Row, Rows};

/// Reads in chunks of the given sizes, over and over.
fn run(layout: Layout, document: &[u8], sizes: &[usize]) -> crate::Result<(Rows, Vec<Row>)> {
    let document = Bytes::copy_from_slice(document);
    let (mut chunks, mut at) = (Vec::new(), 0);
    for size in sizes.iter().cycle() {
        let end = (at + size).min(document.len());
        chunks.push(document.slice(at..end));
        at = end;
        if at == document.len() {
            break;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(read(layout, chunks))
}

/// Text with quotes, backslashes, controls and characters of every length.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a\"\\\\\n\u{1}/é😀{}\\[\\],:]{0,12}"]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| json!(f64::from(n) / 8.0)),
        text().prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            hash_map(text(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn rows(cell: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Value>> {
    // Two members at least: one alone may be named `looker_error`.
    let row = hash_map(text(), cell, 2..6).prop_map(|map| map.into_iter().collect());
    vec(row, 0..6)
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(1_usize..40, 1..6)
}

/// A row as an object, without the columns that it lacks.
fn object(row: &Row, like: &Value) -> Value {
    let mut object: Value = serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap();
    let members = object.as_object_mut().unwrap();
    members.retain(|name, value| !value.is_null() || like.get(name).is_some());
    object
}

proptest! {
    #[test]
    fn plain_rows_are_what_serde_json_reads(
        rows in rows(value()), sizes in sizes(), pretty: bool, string: bool,
    ) {
        let json = json!(rows);
        let mut document = if pretty { format!("{json:#}") } else { json.to_string() };
        if string {
            document = json!(document).to_string();
        }
        let (_, read) = run(Layout::Json, document.as_bytes(), &sizes).unwrap();
        prop_assert_eq!(read.len(), rows.len());
        for (row, expected) in read.iter().zip(&rows) {
            prop_assert_eq!(&object(row, expected), expected);
        }
    }

    #[test]
    fn detailed_cells_are_what_serde_json_reads(
        rows in rows((value(), text(), value()).prop_map(|(value, rendered, links)| {
            json!({"value": value, "rendered": rendered, "links": links})
        })),
        sizes in sizes(),
        late: bool,
    ) {
        let data = json!(rows);
        let document = if late {
            format!(r#"{{"sql":"x","data":{data},"fields":{{}}}}"#)
        } else {
            format!(r#"{{"fields":{{}},"data":{data},"sql":"x"}}"#)
        };
        let (_, read) = run(Layout::Json, document.as_bytes(), &sizes).unwrap();
        prop_assert_eq!(read.len(), rows.len());
        for (row, expected) in read.iter().zip(&rows) {
            for (name, expected) in expected.as_object().unwrap() {
                let cell = row.by_name(name).unwrap();
                let value: Value =
                    serde_json::from_str(&serde_json::to_string(&cell.value()).unwrap()).unwrap();
                prop_assert_eq!(&value, &expected["value"]);
                prop_assert_eq!(cell.rendered(), expected["rendered"].as_str());
                let links: Value = serde_json::from_str(cell.links().unwrap()).unwrap();
                prop_assert_eq!(&links, &expected["links"]);
            }
        }
    }

    /// Whatever is done to a document: if it still gives rows, serde_json finds as many.
    #[test]
    fn damaged_documents_lose_no_row_in_silence(
        rows in rows(value()), sizes in sizes(), at: prop::sample::Index, with: u8, how in 0..3,
    ) {
        let mut document = json!(rows).to_string().into_bytes();
        let at = at.index(document.len());
        match how {
            0 => document[at] = with,
            1 => document.insert(at, with),
            _ => drop(document.remove(at)),
        }
        if let Ok((_, read)) = run(Layout::Json, &document, &sizes) {
            let expected: Vec<&RawValue> = serde_json::from_slice(&document).unwrap();
            prop_assert_eq!(read.len(), expected.len());
        }
    }

    #[test]
    fn records_are_what_was_written(
        header in vec("[a-z\",\n]{1,6}", 2..5),
        records in vec(vec("[a-z\",\r\n\té]{0,6}", 5), 0..6),
        sizes in sizes(),
        tab: bool,
        windows: bool,
        open_end: bool,
    ) {
        let width = header.len();
        let (layout, delimiter) = if tab { (Layout::Txt, "\t") } else { (Layout::Csv, ",") };
        let line = |fields: &[String]| {
            let quoted = fields.iter().map(|field| {
                let plain = !field.contains(['"', ',', '\t', '\r', '\n']);
                if plain { field.clone() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
            });
            quoted.collect::<Vec<_>>().join(delimiter)
        };
        let records: Vec<_> = records.into_iter().map(|record| record[..width].to_vec()).collect();
        let lines: Vec<_> =
            std::iter::once(&header).chain(&records).map(|record| line(record)).collect();
        let end = if windows { "\r\n" } else { "\n" };
        let mut document = lines.join(end);
        if !open_end {
            document.push_str(end);
        }
        let (_, read) = run(layout, document.as_bytes(), &sizes).unwrap();
        let read: Vec<Vec<_>> = read
            .iter()
            .map(|row| (0..width).map(|n| row.at(n).value().text().to_owned()).collect())
            .collect();
        prop_assert_eq!(read, records);
    }
}
