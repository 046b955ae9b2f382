//! Reads a json_detail document as rows, in a process of its own so that its memory can be told.

use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::stream;
use sendoff::testing::json_rows;
use sendoff::{ByteStream, CellValue};
use serde::{Deserialize, Serialize};

use crate::child::memory_of;

/// What reading took.
#[derive(Deserialize, Serialize)]
pub(crate) struct Taken {
    pub(crate) megabytes_per_second: f64,
    pub(crate) rows_per_second: f64,
    /// Peak of resident memory over what it was before, in bytes.
    pub(crate) growth: u64,
}

/// As much as a body's chunk most often has.
const CHUNK: usize = 64 * 1024;
const ROWS_PER_BLOCK: usize = 4_096;

/// Reads a document of at least so many bytes on one thread, looks at every cell, and prints what
/// it took as JSON.
pub(crate) fn measure(bytes: u64) -> Result<()> {
    let blocks = usize::try_from(bytes)?.div_ceil(block().len() + 1);
    let chunks = document(blocks * ROWS_PER_BLOCK);
    let length: usize = chunks.iter().map(Bytes::len).sum();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let before = memory_of("self")?.now;
    let started = Instant::now();
    let (rows, texts) = runtime.block_on(async {
        let stream = ByteStream::new(stream::iter(chunks.into_iter().map(Ok)));
        let mut rows = json_rows(stream).await?;
        let (mut count, mut texts) = (0_usize, 0_usize);
        while let Some(row) = rows.next().await {
            for (_, cell) in row?.iter() {
                texts += match cell.value() {
                    CellValue::Text(text) | CellValue::Number(text) => text.len(),
                    _ => 0,
                };
            }
            count += 1;
        }
        anyhow::Ok((count, texts))
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let growth = memory_of("self")?.peak.saturating_sub(before);
    ensure!(rows == blocks * ROWS_PER_BLOCK && texts > rows, "{rows} rows, {texts} bytes of text");
    let taken = Taken {
        megabytes_per_second: length as f64 / 1e6 / seconds,
        rows_per_second: rows as f64 / seconds,
        growth,
    };
    println!("{}", serde_json::to_string(&taken)?);
    Ok(())
}

/// So many rows: one block of them again and again, so that its memory is there before the clock
/// starts.
pub(crate) fn document(rows: usize) -> Vec<Bytes> {
    let fields: Vec<_> = ["id", "created_date", "status", "user.name", "total", "count"]
        .iter()
        .map(|name| {
            let tags: &[&str] = if *name == "id" { &["user_id"] } else { &[] };
            serde_json::json!({"name": format!("orders.{name}"), "label": name, "tags": tags})
        })
        .collect();
    let head = serde_json::json!({"dimensions": fields, "measures": [], "table_calculations": []});
    let head = format!(r#"{{"status":"complete","fields":{head},"data":["#);
    let (whole, rest) = (rows / ROWS_PER_BLOCK, rows % ROWS_PER_BLOCK);
    let further = Bytes::from(format!(",{}", block()));
    let last: String = (0..rest).map(|n| format!(",{}", row(n))).collect();
    let blocks = std::iter::repeat_n(further, whole).chain([Bytes::from(last)]);
    let mut chunks = vec![Bytes::from(head)];
    for (n, block) in blocks.filter(|block| !block.is_empty()).enumerate() {
        // Nothing stands before the first row.
        let block = if n == 0 { block.slice(1..) } else { block };
        let cut = |from| block.slice(from..block.len().min(from + CHUNK));
        chunks.extend((0..block.len()).step_by(CHUNK).map(cut));
    }
    chunks.push(Bytes::from_static(b"]}"));
    chunks
}

fn block() -> String {
    (0..ROWS_PER_BLOCK).map(row).collect::<Vec<_>>().join(",")
}

/// Six cells: values beside what users see, a link on one, an escape and a null now and then.
fn row(n: usize) -> String {
    let id = 9_007_199_254_740_993 + n as u64;
    let name = if n.is_multiple_of(5) { r#""Ana \"A.\" Li\u00e9""# } else { r#""Mona Lindqvist""# };
    let total = if n.is_multiple_of(7) {
        r#"{"value":null}"#.to_owned()
    } else {
        format!(r#"{{"value":{}.25,"rendered":"${},{:03}.25"}}"#, 1000 + n, 1 + n % 9, n % 1000)
    };
    format!(
        r#"{{"orders.id":{{"value":{id},"rendered":"{id}","links":[{{"label":"Order","url":"https:\/\/shop.example\/orders\/{id}","type":"url"}}]}},"orders.created_date":{{"value":"2026-{:02}-{:02}"}},"orders.status":{{"value":"complete"}},"orders.user.name":{{"value":{name}}},"orders.total":{total},"orders.count":{{"value":{},"rendered":"{}"}}}}"#,
        1 + n % 12,
        1 + n % 28,
        n % 97,
        n % 97
    )
}
