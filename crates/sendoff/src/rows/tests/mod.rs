//! Rows of each format, cut anywhere, against serde_json and against values taken by hand.

mod csv;
mod json;
mod random;

use bytes::Bytes;
use futures_util::stream;

use super::{Layout, Row, Rows};
use crate::spool::{SpoolLimits, SpoolRoom};
use crate::{ByteStream, Class, Result};

/// Opens rows that arrive in these chunks.
async fn open(layout: Layout, chunks: Vec<Bytes>) -> Result<Rows> {
    let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty()).map(Ok);
    let chunks: Vec<Result<Bytes>> = chunks.collect();
    let room = SpoolRoom::new(SpoolLimits::default()).unwrap();
    Rows::open(layout, ByteStream::new(stream::iter(chunks)), &room).await
}

async fn read(layout: Layout, chunks: Vec<Bytes>) -> Result<(Rows, Vec<Row>)> {
    let mut rows = open(layout, chunks).await?;
    let mut read = Vec::new();
    while let Some(row) = rows.next().await {
        read.push(row?);
    }
    assert!(rows.next().await.is_none(), "the end comes again");
    Ok((rows, read))
}

/// Reads a document that arrives at once.
async fn whole(layout: Layout, document: impl AsRef<[u8]>) -> Result<(Rows, Vec<Row>)> {
    read(layout, vec![Bytes::copy_from_slice(document.as_ref())]).await
}

/// The message of Looker's error that reading must end in.
async fn refusal(layout: Layout, document: impl AsRef<[u8]>) -> String {
    let error = whole(layout, document).await.map(|(_, rows)| rows).unwrap_err();
    assert_eq!(error.class(), Class::Looker);
    error.message().to_owned()
}

/// All that rows hold, to compare them.
fn contents((rows, read): &(Rows, Vec<Row>)) -> Vec<String> {
    let names = rows.columns().iter().map(|column| format!("{column:?}"));
    let cells = read.iter().flat_map(|row| {
        row.iter().map(|(_, cell)| {
            let pivots: Vec<_> = cell.pivots().map(|(key, cell)| (key, cell.value())).collect();
            format!("{:?} {:?} {:?} {pivots:?}", cell.value(), cell.rendered(), cell.links())
        })
    });
    names.chain(cells).collect()
}

/// Reads a document once for each place where it can be cut in two, and byte by byte.
async fn same_at_every_split(layout: Layout, document: &[u8]) {
    let document = Bytes::copy_from_slice(document);
    let expected = contents(&whole(layout, &document).await.unwrap());
    assert!(!expected.is_empty());
    for at in 1..document.len() {
        let chunks = vec![document.slice(..at), document.slice(at..)];
        assert_eq!(contents(&read(layout, chunks).await.unwrap()), expected, "cut at {at}");
    }
    let bytes = (0..document.len()).map(|at| document.slice(at..at + 1)).collect();
    assert_eq!(contents(&read(layout, bytes).await.unwrap()), expected, "byte by byte");
}
