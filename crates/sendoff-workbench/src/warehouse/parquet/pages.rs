//! The pages of a column: read by their headers, unpacked to the size that they state and no further,
//! and held against a budget, so that no file takes the memory that it claims to need.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;

use super::thrift::{I32, STRUCT, TRUE, Walk};

/// The largest page, unpacked. Writers aim at 1 MB; DuckDB goes to 100 MB and rarely near it.
const LARGEST_PAGE: u64 = 64 << 20;
/// What the pages of all columns may take at a time, unpacked.
pub(super) const BUDGET: u64 = 512 << 20;
/// A header with statistics of long texts.
const LONGEST_HEADER: u64 = 1 << 20;
/// Items of lists in a row group, which one row may have all.
const MOST_ITEMS: u64 = 1 << 24;
/// What a value of a dictionary takes in memory beside its bytes.
const DICTIONARY_ENTRY: u64 = 40;

/// The memory that pages take just now.
#[derive(Default)]
pub(super) struct Budget {
    /// Dictionaries and the pages that are read.
    held: AtomicU64,
    /// Pages that were read since the last rows were given away: texts of rows lie in them.
    read: AtomicU64,
}

impl Budget {
    /// All rows that were read are given away.
    pub(super) fn rows_are_gone(&self) {
        self.read.store(0, Ordering::Relaxed);
    }
}

/// The pages of one column in one row group.
pub(super) struct Pages {
    file: Arc<File>,
    budget: Arc<Budget>,
    codec: Compression,
    /// Whether definition and repetition levels stand before the values.
    levels: (bool, bool),
    at: u64,
    left: u64,
    dictionary: u64,
    page: u64,
    items: u64,
}

/// What a page says of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    length: u64,
    kind: i64,
    unpacked: i64,
    packed: i64,
    values: i64,
    nulls: i64,
    rows: i64,
    encoding: i64,
    definition_encoding: i64,
    repetition_encoding: i64,
    definition_length: i64,
    repetition_length: i64,
    is_packed: bool,
}

const DATA: i64 = 0;
const INDEX: i64 = 1;
const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;

impl Header {
    /// `PageHeader` of parquet.thrift.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut walk = Walk::new(bytes);
        let mut header = Self { is_packed: true, kind: -1, ..Self::default() };
        walk.members(|walk, id, kind| {
            match (id, kind) {
                (1, I32) => header.kind = walk.signed()?,
                (2, I32) => header.unpacked = walk.signed()?,
                (3, I32) => header.packed = walk.signed()?,
                (5 | 7 | 8, STRUCT) => header.read_part(walk, id)?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        header.length = walk.at as u64;
        Some(header)
    }

    fn read_part(&mut self, walk: &mut Walk<'_>, part: i64) -> Option<()> {
        walk.members(|walk, id, kind| {
            let slot = match (part, id, kind) {
                (_, 1, I32) => &mut self.values,
                (5 | 7, 2, I32) | (8, 4, I32) => &mut self.encoding,
                (5, 3, I32) => &mut self.definition_encoding,
                (5, 4, I32) => &mut self.repetition_encoding,
                (8, 2, I32) => &mut self.nulls,
                (8, 3, I32) => &mut self.rows,
                (8, 5, I32) => &mut self.definition_length,
                (8, 6, I32) => &mut self.repetition_length,
                (8, 7, kind) => {
                    self.is_packed = kind == TRUE;
                    return Some(false);
                }
                _ => return Some(false),
            };
            *slot = walk.signed()?;
            Some(true)
        })
    }
}

fn wrong<T>(why: impl Into<String>) -> Result<T> {
    Err(ParquetError::General(why.into()))
}

fn positive(number: i64) -> Result<u64> {
    u64::try_from(number).or_else(|_| wrong("a page has a negative size"))
}

fn encoding(number: i64) -> Result<Encoding> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        other => return wrong(format!("its encoding {other} is not known")),
    })
}

impl Pages {
    pub(super) fn new(
        file: &Arc<File>,
        budget: &Arc<Budget>,
        chunk: &ColumnChunkMetaData,
        file_length: u64,
    ) -> Result<Self> {
        let data = chunk.data_page_offset();
        // Some writers say 0 where there is no dictionary.
        let dictionary = chunk.dictionary_page_offset().filter(|at| (1..data).contains(at));
        let (at, left) =
            (positive(dictionary.unwrap_or(data))?, positive(chunk.compressed_size())?);
        if at.checked_add(left).is_none_or(|end| end > file_length) {
            return wrong("its data lies beyond the end of the file");
        }
        let describes = chunk.column_descr();
        let levels = (describes.max_def_level() > 0, describes.max_rep_level() > 0);
        let (file, budget) = (Arc::clone(file), Arc::clone(budget));
        let codec = chunk.compression();
        Ok(Self { file, budget, codec, levels, at, left, dictionary: 0, page: 0, items: 0 })
    }

    fn read(&self, at: u64, count: u64) -> Result<Vec<u8>> {
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take(count).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < count {
            return wrong("its data lies beyond the end of the file");
        }
        Ok(bytes)
    }

    /// The header of the next page; the page itself stays where it is.
    fn header(&self) -> Result<Option<Header>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut window = 512;
        loop {
            let length = self.left.min(window);
            let bytes = self.read(self.at, length)?;
            match Header::read(&bytes) {
                Some(header) => return Ok(Some(header)),
                None if length == self.left || window >= LONGEST_HEADER => {
                    return wrong("a page has no readable header");
                }
                None => window *= 8,
            }
        }
    }

    /// Gives the memory of one page back and asks for that of another.
    fn hold(&mut self, dictionary: u64, page: u64) -> Result<()> {
        let (now, before) = (dictionary + page, self.dictionary + self.page);
        (self.dictionary, self.page) = (dictionary, page);
        self.budget.held.fetch_sub(before, Ordering::Relaxed);
        let held = self.budget.held.fetch_add(now, Ordering::Relaxed) + now;
        let read = self.budget.read.fetch_add(page, Ordering::Relaxed);
        if held + read > BUDGET {
            let most = BUDGET >> 20;
            return wrong(format!(
                "its pages and those of the other columns take more than {most} MiB unpacked; write \
                 the file with smaller row groups"
            ));
        }
        Ok(())
    }

    fn unpacked(&self, packed: Vec<u8>, size: u64) -> Result<Vec<u8>> {
        // One byte more shows that there are more.
        let whole = |reader: &mut dyn Read| {
            let mut bytes = Vec::with_capacity(size as usize);
            reader.take(size + 1).read_to_end(&mut bytes)?;
            Ok::<_, ParquetError>(bytes)
        };
        let bytes = match self.codec {
            Compression::UNCOMPRESSED => packed,
            Compression::SNAPPY => {
                let mut bytes = vec![0; size as usize];
                let written = snap::raw::Decoder::new()
                    .decompress(&packed, &mut bytes)
                    .map_err(|error| ParquetError::General(error.to_string()))?;
                bytes.truncate(written);
                bytes
            }
            Compression::GZIP(_) => whole(&mut flate2::read::MultiGzDecoder::new(&packed[..]))?,
            Compression::ZSTD(_) => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(&packed[..]);
                whole(&mut decoder.map_err(|error| ParquetError::General(error.to_string()))?)?
            }
            other => {
                let name = format!("{other:?}");
                let name = name.split('(').next().unwrap_or_default();
                return wrong(format!(
                    "it is packed with {name}; write the file with snappy, gzip or zstd"
                ));
            }
        };
        match bytes.len() as u64 == size {
            true => Ok(bytes),
            false => wrong("a page has another size than it says"),
        }
    }

    fn page(&mut self, header: Header) -> Result<Page> {
        let (size, packed) = (positive(header.unpacked)?, positive(header.packed)?);
        if size > LARGEST_PAGE {
            let (is, most) = (size >> 20, LARGEST_PAGE >> 20);
            return wrong(format!(
                "it has a page of {is} MiB, and {most} MiB is the most; write the file with smaller \
                 pages or row groups"
            ));
        }
        let values = u32::try_from(header.values)
            .or_else(|_| wrong("a page has a negative number of values"))?;
        let is_dictionary = header.kind == DICTIONARY;
        if is_dictionary {
            // Values of three bytes and less are no more than there are such values.
            if u64::from(values) > (size / 4).max(1 << 16) {
                return wrong("its dictionary has fewer values than it says");
            }
            self.hold(size + u64::from(values) * DICTIONARY_ENTRY, 0)?;
        } else {
            self.hold(self.dictionary, size)?;
            self.items += u64::from(values);
            if self.levels.1 && self.items > MOST_ITEMS {
                return wrong(format!(
                    "its lists have more than {MOST_ITEMS} items; write the file with smaller row \
                     groups"
                ));
            }
        }
        let bytes = self.read(self.at + header.length, packed)?;
        let bytes: Bytes = match header.kind {
            DATA_V2 => self.second_version(&header, bytes, size)?,
            _ => self.unpacked(bytes, size)?,
        }
        .into();
        let encoding = encoding(header.encoding)?;
        if is_dictionary {
            return Ok(Page::DictionaryPage {
                buf: bytes,
                num_values: values,
                encoding,
                is_sorted: false,
            });
        }
        super::delta::check(encoding, self.values_of(&header, &bytes)?, u64::from(values))?;
        Ok(match header.kind {
            DATA => Page::DataPage {
                buf: bytes,
                num_values: values,
                encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            },
            _ => Page::DataPageV2 {
                buf: bytes,
                num_values: values,
                encoding,
                num_nulls: positive(header.nulls)? as u32,
                num_rows: positive(header.rows)? as u32,
                def_levels_byte_len: positive(header.definition_length)? as u32,
                rep_levels_byte_len: positive(header.repetition_length)? as u32,
                is_compressed: false,
                statistics: None,
            },
        })
    }

    /// Of a page of the second version the levels are not packed.
    fn second_version(&self, header: &Header, mut bytes: Vec<u8>, size: u64) -> Result<Vec<u8>> {
        let levels = positive(header.definition_length)? + positive(header.repetition_length)?;
        if levels > size || levels > bytes.len() as u64 {
            return wrong("a page has longer levels than bytes");
        }
        if size == levels {
            bytes.truncate(levels as usize);
            return Ok(bytes);
        }
        if !header.is_packed {
            return match bytes.len() as u64 == size {
                true => Ok(bytes),
                false => wrong("a page has another size than it says"),
            };
        }
        let mut whole = bytes[..levels as usize].to_vec();
        whole.append(&mut self.unpacked(bytes[levels as usize..].to_vec(), size - levels)?);
        Ok(whole)
    }

    /// The values of a data page, behind their levels.
    fn values_of<'b>(&self, header: &Header, bytes: &'b [u8]) -> Result<&'b [u8]> {
        let beyond = || ParquetError::General("a page has longer levels than bytes".into());
        if header.kind == DATA_V2 {
            let levels = positive(header.definition_length)? + positive(header.repetition_length)?;
            return bytes.get(levels as usize..).ok_or_else(beyond);
        }
        let mut rest = bytes;
        let sides = [
            (self.levels.1, header.repetition_encoding),
            (self.levels.0, header.definition_encoding),
        ];
        for (_, encoding) in sides.iter().filter(|(there, _)| *there) {
            if *encoding != 3 {
                return wrong("its levels have an encoding that went out of use in 2013");
            }
            let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(beyond)?;
            rest = behind.get(u32::from_le_bytes(*length) as usize..).ok_or_else(beyond)?;
        }
        Ok(rest)
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let whole = header.length.saturating_add(positive(header.packed)?);
            if whole > self.left {
                return wrong("a page lies beyond the end of its column");
            }
            let page = match header.kind {
                DATA | DICTIONARY | DATA_V2 => Some(self.page(header)?),
                INDEX => None,
                other => return wrong(format!("a page has the kind {other}, which is not known")),
            };
            self.at += whole;
            self.left -= whole;
            if page.is_some() {
                return Ok(page);
            }
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Ok(self.header()?.map(|header| PageMetadata {
            num_rows: (header.kind == DATA_V2).then_some(header.rows.max(0) as usize),
            num_levels: Some(header.values.max(0) as usize),
            is_dict: header.kind == DICTIONARY,
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.get_next_page().map(|_| ())
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        self.get_next_page().transpose()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.dictionary + self.page, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
