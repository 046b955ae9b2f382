//! What stands at the vendor after a send, as people look at it: cells as a table, JSON indented,
//! messages as messages.

use serde::Serialize;

use super::sends::RunView;
use super::vendors::{Delivered, Vendors, Visit};

/// So many rows of a delivered table are shown.
const ROWS: usize = 12;

/// What stands at the vendor.
#[derive(Serialize)]
pub(super) struct Held {
    objects: Vec<ObjectView>,
    /// How many stand there from earlier sends.
    earlier: usize,
    visits: Vec<Visit>,
    /// Rows that came, where they are rows and no object.
    rows: u64,
}

#[derive(Serialize)]
struct ObjectView {
    name: String,
    bytes: u64,
    sha256: String,
    message: String,
    rows: Option<u64>,
    table: Vec<Vec<String>>,
    text: String,
}

pub(super) async fn held(vendors: &dyn Vendors, run: &RunView) -> Option<Held> {
    vendors.known(&run.action).filter(|_| run.is_latest)?;
    let stands = |object: &Delivered| object.rows.is_none() && run.before.contains(object);
    let (mut earlier, mut objects): (Vec<_>, Vec<_>) =
        vendors.objects(&run.action).await.into_iter().partition(stands);
    // What came and changed nothing is what stood there before.
    if objects.is_empty() && run.success {
        std::mem::swap(&mut earlier, &mut objects);
    }
    let rows = objects.iter().filter_map(|object| object.rows).sum();
    let objects = objects.into_iter().map(|object| ObjectView::of(object, &run.format)).collect();
    let earlier = earlier.len();
    Some(Held { objects, earlier, visits: vendors.visits(&run.action), rows })
}

impl ObjectView {
    fn of(object: Delivered, format: &str) -> Self {
        let Delivered { name, bytes, sha256, start, message, rows } = object;
        let start = start.unwrap_or_default();
        let table = if format == "csv" { table(&start, bytes) } else { Vec::new() };
        let text = match serde_json::from_str::<serde_json::Value>(&start) {
            _ if !table.is_empty() => String::new(),
            Ok(json) if json.is_object() || json.is_array() => {
                serde_json::to_string_pretty(&json).unwrap_or(start)
            }
            _ => start,
        };
        Self { name, bytes, sha256, message: message.unwrap_or_default(), rows, table, text }
    }
}

/// The rows of a CSV that begins so; none if it is no table.
fn table(start: &str, bytes: u64) -> Vec<Vec<String>> {
    let mut reader = csv_core::Reader::new();
    // The last row of a whole file may lack its end; a row that is cut must.
    let ended = if start.len() as u64 >= bytes { format!("{start}\n") } else { start.to_owned() };
    let (mut input, mut rows) = (ended.as_bytes(), Vec::new());
    let (mut text, mut ends) = (vec![0; ended.len()], vec![0; ended.len()]);
    while rows.len() <= ROWS {
        let (result, read, _, fields) = reader.read_record(input, &mut text, &mut ends);
        input = &input[read..];
        if !matches!(result, csv_core::ReadRecordResult::Record) {
            break;
        }
        let mut from = 0;
        let row = ends[..fields].iter().map(|end| {
            let cell = String::from_utf8_lossy(&text[from..*end]).into_owned();
            from = *end;
            cell
        });
        rows.push(row.collect::<Vec<_>>());
    }
    let columns = rows.first().map_or(0, Vec::len);
    let is_table = rows.len() > 1 && columns > 1 && rows.iter().all(|row| row.len() == columns);
    if is_table { rows } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_as_csv_is_a_table_without_its_last_half_row() {
        let start = "name,note\nAda,\"a, b\"\nGrace,cu";
        assert_eq!(table(start, 1_000), [["name", "note"], ["Ada", "a, b"]]);
        assert_eq!(table("name,note\nAda,x\n", 16).len(), 2);
        assert_eq!(table("a,b\n1,2", 7), [["a", "b"], ["1", "2"]]);
    }

    #[test]
    fn what_is_no_csv_is_no_table() {
        for text in ["", "one line", "{\"a\":1,\n\"b\":2}", "a,b\n1,2,3\n", "Dear Ada,\nhello\n"] {
            assert!(table(text, text.len() as u64).is_empty(), "{text}");
        }
    }
}
