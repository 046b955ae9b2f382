//! Every writer that streams takes the memory of a few chunks, and a workbook that of its bytes on
//! disk; so does a CSV or a Parquet file that is taken in, where there is a file. A process of its own, so that its
//! peak memory is that of this test.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "reads /proc")]

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sendoff_protocol::Format;
use sendoff_workbench::{DataLimits, Look, Rendering, Source, Warehouse};

/// The result is over twice as large in every format that is not packed.
const ALLOWED_GROWTH: u64 = 8 * 1024 * 1024;

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn results_and_files_of_any_size_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.db");
    let data = Warehouse::open(&file, DataLimits::default()).await.unwrap();
    let small = data.render(&Look::generated(9), Format::Xlsx, Rendering::default()).await;
    small.unwrap().whole(1 << 20).await.unwrap();
    #[cfg(feature = "parquet")]
    write_parquet(&folder.path().join("large.parquet"));
    let before = peak();
    // One of each writer: the others are written by the same.
    let formats = [
        (Format::Csv, 180_000),
        (Format::Html, 120_000),
        (Format::Json, 100_000),
        (Format::JsonDetail, 80_000),
        (Format::Xlsx, 60_000),
    ];
    for (format, rows) in formats {
        let look = Look::generated(rows);
        let mut rendered = data.render(&look, format, Rendering::default()).await.unwrap();
        let mut bytes = 0;
        while let Some(chunk) = rendered.source.next().await {
            bytes += chunk.unwrap().len() as u64;
        }
        assert_eq!(rendered.rows().get(), rows, "{format}");
        assert!(bytes > 2 * ALLOWED_GROWTH || format == Format::Xlsx, "{format}: {bytes} bytes");
    }
    let line = Bytes::from("0123456789,a text of some length\n".repeat(2_000));
    let header = stream::iter([Ok(Bytes::from("id,text\n"))]);
    let lines = stream::iter(std::iter::repeat_n(line, 150).map(Ok));
    let imported = data.import("large.csv", Source::stream(header.chain(lines))).await.unwrap();
    assert_eq!(imported.rows, 300_000);
    let growth = peak() - before;
    assert!(growth < ALLOWED_GROWTH, "memory grew by {growth} bytes");
    #[cfg(feature = "parquet")]
    {
        let file = folder.path().join("large.parquet");
        let mut pieces = tokio::fs::File::open(&file).await.unwrap();
        assert!(pieces.metadata().await.unwrap().len() > 3 * ALLOWED_GROWTH);
        let (mut sender, receiver) = tokio::io::duplex(64 << 10);
        let feeding =
            async move { tokio::io::copy(&mut pieces, &mut sender).await.map(|_| drop(sender)) };
        let chunks = stream::unfold(receiver, |mut receiver| async {
            let mut piece = bytes::BytesMut::with_capacity(64 << 10);
            match tokio::io::AsyncReadExt::read_buf(&mut receiver, &mut piece).await {
                Ok(0) => None,
                read => Some((read.map(|_| piece.freeze()), receiver)),
            }
        });
        let importing = data.import("large.parquet", Source::stream(chunks));
        let (imported, fed) = tokio::join!(importing, feeding);
        fed.unwrap();
        assert_eq!(imported.unwrap().rows, 200_000);
        // A page of each column beside it, as packed and as unpacked.
        let growth = peak() - before;
        assert!(growth < 2 * ALLOWED_GROWTH, "memory grew by {growth} bytes");
    }
}

/// Ten row groups of texts that are all different.
#[cfg(feature = "parquet")]
fn write_parquet(path: &std::path::Path) {
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    let schema = "message rows { required int64 id; required byte_array text (utf8); }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, std::sync::Arc::new(schema), properties.into()).unwrap();
    for group in 0..10_i64 {
        let ids: Vec<i64> = (group * 20_000..(group + 1) * 20_000).collect();
        let texts: Vec<ByteArray> =
            ids.iter().map(|id| ByteArray::from(format!("{id:0>130}").into_bytes())).collect();
        let mut rows = writer.next_row_group().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
}
