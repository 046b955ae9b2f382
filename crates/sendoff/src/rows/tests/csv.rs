//! CSV and TAB-separated text.

use bytes::Bytes;

use super::{read, refusal, same_at_every_split, whole};
use crate::rows::{CellValue, Layout};

async fn values(layout: Layout, document: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let (rows, read) = whole(layout, document).await.unwrap();
    let names = rows.columns().iter().map(|column| column.label.clone()).collect();
    let cells = read
        .iter()
        .map(|row| row.iter().map(|(_, cell)| cell.value().text().to_owned()).collect())
        .collect();
    (names, cells)
}

#[tokio::test]
async fn records_read_whatever_ends_their_lines() {
    let quoted = "Id,\"Na\"\"me\"\n1,\"a,\r\nb\"\n2,\"\"\n";
    let expected = (
        vec!["Id".to_owned(), "Na\"me".to_owned()],
        vec![vec!["1".to_owned(), "a,\r\nb".to_owned()], vec!["2".to_owned(), String::new()]],
    );
    assert_eq!(values(Layout::Csv, quoted).await, expected);
    let windows = "\u{feff}Id,\"Na\"\"me\"\r\n1,\"a,\r\nb\"\r\n2,\r\n";
    assert_eq!(values(Layout::Csv, windows).await, expected);
    assert_eq!(values(Layout::Csv, windows.trim_end()).await, expected, "no final line end");
    let tabs = "Id\t\"Na\"\"me\"\n1\t\"a,\r\nb\"\n2\t\n";
    assert_eq!(values(Layout::Txt, tabs).await, expected);
}

#[tokio::test]
async fn chunks_may_be_cut_anywhere() {
    let document = "\u{feff}Id,Näme,\"T\"\"x\"\r\n1,\"a,\r\n\"\"b\",\r\n\"2\",é😀,\"\"\r\n3,,x";
    same_at_every_split(Layout::Csv, document.as_bytes()).await;
    same_at_every_split(Layout::Csv, b"Only\r\n\r\na\r\n\"\"\r\n\r\nb\r\n").await;
}

#[tokio::test]
async fn an_empty_line_is_a_row_where_there_is_one_column() {
    let rows = |lines: &[&str]| lines.iter().map(|line| vec![(*line).to_owned()]).collect();
    let expected = (vec!["Email".to_owned()], rows(&["a", "", "b", ""]));
    assert_eq!(values(Layout::Csv, "Email\na\n\nb\n\n").await, expected);
    assert_eq!(values(Layout::Csv, "Email\r\na\r\n\r\nb\r\n\r\n").await, expected);
}

#[tokio::test]
async fn an_empty_file_has_no_columns_and_a_header_alone_no_rows() {
    assert_eq!(values(Layout::Csv, "").await, (vec![], vec![]));
    assert_eq!(values(Layout::Csv, "\u{feff}").await, (vec![], vec![]));
    let header = (vec!["a".to_owned(), "b".to_owned()], vec![]);
    assert_eq!(values(Layout::Csv, "a,b").await, header);
    assert_eq!(values(Layout::Csv, "a,b\r\n").await, header);
}

#[tokio::test]
async fn a_file_that_ends_within_a_record_is_cut_short() {
    for (document, rows) in [
        ("a,b\n1,2\n3", "after 1 row:"),
        ("a,b\n1,2\n3,4\n\"5", "after 2 rows"),
        ("a,b\n1,2\n3,\"4\n", "after 1 row:"),
        ("a,b\n1,\"2\"\"", "cut short: it"),
        ("a\n\"", "cut short: it"),
        ("\"a", "cut short: it"),
    ] {
        let message = refusal(Layout::Csv, document).await;
        assert!(message.contains("cut short") && message.contains(rows), "{document}: {message}");
    }
    let ragged = refusal(Layout::Csv, "a,b\n1\n2,3\n").await;
    assert!(ragged.contains("another number of fields"), "{ragged}");
    let wide = refusal(Layout::Csv, "a,b\n1,2,3\n").await;
    assert!(wide.contains("another number of fields"), "{wide}");
    assert!(refusal(Layout::Csv, b"a,b\n1,\xff\n").await.contains("not UTF-8"));
}

#[tokio::test]
async fn a_record_may_be_long_but_not_endless() {
    let document = |length: usize| format!("a,b\n1,\"{}\"\n", "x".repeat(length));
    let (_, read) = whole(Layout::Csv, document(16 * 1024 * 1024 - 100)).await.unwrap();
    assert_eq!(read[0].at(1).value().text().len(), 16 * 1024 * 1024 - 100);
    assert!(refusal(Layout::Csv, document(16 * 1024 * 1024)).await.contains("16 MiB"));
}

#[tokio::test]
async fn columns_may_share_a_label() {
    let (rows, read) = whole(Layout::Csv, "Count,Count\n1,2\n").await.unwrap();
    assert_eq!(read[0].at(1).value(), CellValue::Text("2"));
    assert_eq!(rows.columns().by_name("Count").unwrap().index, 0);
}

#[tokio::test]
async fn as_many_columns_are_read_as_the_refusal_says() {
    for (columns, fits) in [(5_000, true), (5_001, false), (8_192, false), (8_193, false)] {
        let line = vec!["a"; columns].join(",");
        for document in [format!("{line}\n{line}\n"), format!("{line}\n"), line.clone()] {
            for size in [document.len(), 64] {
                let chunks = document.as_bytes().chunks(size).map(Bytes::copy_from_slice);
                match read(Layout::Csv, chunks.collect()).await {
                    Ok((rows, _)) => assert!(fits && rows.columns().len() == columns, "{columns}"),
                    Err(error) => {
                        assert!(!fits, "{columns}");
                        assert!(error.message().contains("5,000 columns"), "{error}");
                    }
                }
            }
        }
    }
}
