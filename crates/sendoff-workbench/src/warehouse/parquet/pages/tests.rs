//! Pages that claim other than they hold, each written by hand.

use std::io::Write;

use parquet::basic::{GzipLevel, Type as Physical};
use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type};

use super::*;

/// A signed number as Thrift writes it.
fn number(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A page of a required column: its header, and its bytes as they are.
fn page(kind: i64, unpacked: i64, packed: &[u8], values: i64, encoding: i64) -> Vec<u8> {
    let mut out = Vec::new();
    for member in [kind, unpacked, packed.len() as i64] {
        out.push(0x15);
        number(&mut out, member);
    }
    // The part of a dictionary is member 7, that of data 5.
    out.push(if kind == DICTIONARY { 0x4c } else { 0x2c });
    for member in [values, encoding, 3, 3] {
        out.push(0x15);
        number(&mut out, member);
    }
    out.extend([0, 0]);
    out.extend(packed);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// A column with these pages, of texts that are all there.
fn column(pages: &[u8], codec: Compression, budget: &Arc<Budget>) -> Pages {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"PAR1").unwrap();
    file.write_all(pages).unwrap();
    let kind = Type::primitive_type_builder("text", Physical::BYTE_ARRAY)
        .with_repetition(parquet::basic::Repetition::REQUIRED)
        .build()
        .unwrap();
    let described = ColumnDescriptor::new(Arc::new(kind), 0, 0, ColumnPath::from("text"));
    let chunk = ColumnChunkMetaData::builder(Arc::new(described))
        .set_compression(codec)
        .set_data_page_offset(4)
        .set_total_compressed_size(pages.len() as i64)
        .set_num_values(1)
        .build()
        .unwrap();
    Pages::new(&Arc::new(file), budget, &chunk, 4 + pages.len() as u64).unwrap()
}

fn gzipped() -> Compression {
    Compression::GZIP(GzipLevel::default())
}

const PLAIN: Compression = Compression::UNCOMPRESSED;

fn refused(pages: &[u8], codec: Compression) -> String {
    match column(pages, codec, &Arc::default()).get_next_page() {
        Ok(_) => panic!("it was read"),
        Err(ParquetError::General(why)) => why,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_page_is_what_its_header_says() {
    let text = b"\x02\0\0\0hi";
    let mut all = page(DICTIONARY, 6, &gzip(text), 1, 0);
    all.extend(page(INDEX, 3, &[1, 2, 3], 0, 0));
    all.extend(page(DATA, 6, &gzip(text), 1, 0));
    let mut column = column(&all, gzipped(), &Arc::default());
    assert!(column.peek_next_page().unwrap().unwrap().is_dict);
    assert!(matches!(
        column.get_next_page().unwrap(),
        Some(Page::DictionaryPage { buf, num_values: 1, .. }) if buf == text[..]
    ));
    assert!(matches!(
        column.get_next_page().unwrap(),
        Some(Page::DataPage { buf, encoding: Encoding::PLAIN, .. }) if buf == text[..]
    ));
    assert!(column.get_next_page().unwrap().is_none());
}

#[test]
fn a_page_unpacks_to_its_size_and_no_further() {
    let bomb = gzip(&vec![0; 20 << 20]);
    assert!(bomb.len() < 30_000);
    let size = "a page has another size than it says";
    assert_eq!(refused(&page(DATA, 1_000, &bomb, 1, 0), gzipped()), size);
    assert_eq!(refused(&page(DATA, 7, &gzip(b"\x02\0\0\0hi"), 1, 0), gzipped()), size);
    assert_eq!(refused(&page(DATA, 7, b"\x02\0\0\0hi", 1, 0), PLAIN), size);
    let large = refused(&page(DATA, 100 << 20, &bomb, 1, 0), gzipped());
    assert!(large.starts_with("it has a page of 100 MiB, and 64 MiB is the most"), "{large}");
    assert_eq!(refused(&page(DATA, -1, &bomb, 1, 0), gzipped()), "a page has a negative size");
}

#[test]
fn counts_that_cannot_be_are_refused_before_room_is_made() {
    let text = b"\x02\0\0\0hi";
    let few = "its dictionary has fewer values than it says";
    assert_eq!(refused(&page(DICTIONARY, 6, text, 1 << 30, 0), PLAIN), few);
    // DELTA_LENGTH_BYTE_ARRAY: blocks of 128 in 4 parts, of 2^40 values in all; then one part wider
    // than the whole page.
    let counts = "a page has fewer values than it says";
    let lengths = [0x80, 1, 4, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 4];
    assert_eq!(refused(&page(DATA, 10, &lengths, 1, 6), PLAIN), counts);
    // DELTA_BYTE_ARRAY: the second list claims them.
    let mut both = vec![0x80, 1, 4, 1, 0];
    both.extend(lengths);
    assert_eq!(refused(&page(DATA, both.len() as i64, &both, 1, 7), PLAIN), counts);
}

#[test]
fn a_page_that_is_not_there_is_refused() {
    let whole = page(DATA, 6, b"\x02\0\0\0hi", 1, 0);
    let beyond = refused(&whole[..whole.len() - 1], PLAIN);
    assert_eq!(beyond, "a page lies beyond the end of its column");
    assert_eq!(refused(&whole[..5], PLAIN), "a page has no readable header");
    assert_eq!(
        refused(&page(9, 6, b"\x02\0\0\0hi", 1, 0), PLAIN),
        "a page has the kind 9, which is not known"
    );
    assert_eq!(
        refused(&page(DATA, 6, b"\x02\0\0\0hi", 1, 77), PLAIN),
        "its encoding 77 is not known"
    );
}

#[test]
fn all_columns_share_the_memory() {
    let budget = Arc::<Budget>::default();
    let (mut one, mut other) = (column(&[], PLAIN, &budget), column(&[], PLAIN, &budget));
    one.hold(BUDGET - 10, 0).unwrap();
    other.hold(0, 10).unwrap();
    // What was read lies in the rows until they are given away.
    assert!(other.hold(0, 1).is_err());
    budget.rows_are_gone();
    other.hold(0, 9).unwrap();
    drop(one);
    budget.rows_are_gone();
    other.hold(0, BUDGET / 2).unwrap();
}
