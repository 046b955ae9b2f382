//! Takes a Parquet file in as a table, a few rows of a row group at a time.
//!
//! <https://parquet.apache.org/docs/file-format/>

mod delta;
mod nested;
mod pages;
mod thrift;
mod values;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use parquet::basic::{ConvertedType, Encoding, Repetition};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{AsBytes, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::schema::types::{ColumnDescPtr, Type};
use rusqlite::types::Value;

use self::nested::{Group, Nested};
use self::pages::{Budget, Pages};
use self::thrift::{I32, LIST, STRUCT, Walk};
use self::values::Meaning;
use super::DataError;
use super::import::{Kind, MAX_COLUMNS, MAX_RECORD};

/// What a Parquet file begins and ends with.
pub(super) const MAGIC: &[u8; 4] = b"PAR1";
/// The same where the footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";
/// A footer of a thousand columns in a thousand row groups.
const LONGEST_FOOTER: u64 = 16 << 20;
/// Rows that are read at a time.
const ROWS: usize = 1_024;
/// The same where a value may be as long as all before it together.
const FEW_ROWS: usize = 8;
/// What a row takes at least, however little of it stands in the file.
const LEAST_ROW: u64 = 8;

/// A file whose footer was read.
pub(super) struct Parquet {
    file: Arc<File>,
    length: u64,
    metadata: ParquetMetaData,
}

impl Parquet {
    pub(super) fn open(mut file: File) -> Result<Self, DataError> {
        let length = file.seek(SeekFrom::End(0))?;
        let metadata = footer(&mut file, length)?;
        Ok(Self { file: Arc::new(file), length, metadata })
    }

    /// Names of the columns, and their kinds where the file decides them.
    pub(super) fn columns(&self) -> Result<Vec<(String, Option<Kind>)>, DataError> {
        let schema = self.metadata.file_metadata().schema_descr();
        if schema.num_columns() == 0 {
            return Err(malformed("The file has no columns."));
        }
        if schema.num_columns() > MAX_COLUMNS {
            return Err(DataError::Limit(format!("More than {MAX_COLUMNS} columns.")));
        }
        let columns = schema.root_schema().get_fields().iter().map(|column| {
            let kind = match is_nested(column) {
                true => Some(Kind::Text),
                false => Meaning::of_type(column).kind(),
            };
            (column.name().to_owned(), kind)
        });
        Ok(columns.collect())
    }

    /// Gives each row to `take`, in the order of the file. `limit` is for the values unpacked.
    pub(super) fn rows(
        &self,
        limit: u64,
        mut take: impl FnMut(&[Value]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let budget = Arc::<Budget>::default();
        let mut taken = 0_u64;
        for group in self.metadata.row_groups() {
            let mut columns = self.open_columns(group, &budget)?;
            let step = if columns.iter().any(|column| column.grows) { FEW_ROWS } else { ROWS };
            let mut left = u64::try_from(group.num_rows())
                .map_err(|_| malformed("The file has a row group of a negative size."))?;
            while left > 0 {
                let count = left.min(step as u64) as usize;
                budget.rows_are_gone();
                for column in &mut columns {
                    let read = column.cells.read(count);
                    read.map_err(|error| unreadable(&column.name, &error))?;
                }
                for _ in 0..count {
                    let row =
                        columns.iter_mut().map(Column::next).collect::<Result<Vec<_>, _>>()?;
                    let bytes: u64 = row.iter().map(length).sum();
                    if bytes > MAX_RECORD as u64 {
                        return Err(DataError::Limit("A row is longer than 1 MiB.".into()));
                    }
                    taken += bytes + LEAST_ROW;
                    if taken > limit {
                        let mib = limit >> 20;
                        let why = format!("Unpacked the file is larger than {mib} MiB.");
                        return Err(DataError::Limit(why));
                    }
                    take(&row)?;
                }
                left -= count as u64;
            }
        }
        Ok(())
    }

    fn open_columns(
        &self,
        group: &RowGroupMetaData,
        budget: &Arc<Budget>,
    ) -> Result<Vec<Column>, DataError> {
        let nested = Group { file: &self.file, budget, metadata: group, file_length: self.length };
        let schema = self.metadata.file_metadata().schema_descr();
        let mut columns = Vec::new();
        // The leaves of the schema, in its order: one of a column, or several.
        let mut leaves = 0;
        for (n, kind) in schema.root_schema().get_fields().iter().enumerate() {
            let name = kind.name().to_owned();
            let broken = |error| unreadable(&name, &error);
            let own: Vec<_> = (leaves..group.num_columns())
                .take_while(|leaf| schema.get_column_root_idx(*leaf) == n)
                .map(|leaf| group.column(leaf))
                .collect();
            leaves += own.len();
            let grows = |chunk: &&ColumnChunkMetaData| {
                chunk.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY)
            };
            let grows = own.iter().any(grows);
            let cells = match own.first() {
                Some(chunk) if !is_nested(kind) => {
                    let pages = Pages::new(&self.file, budget, chunk, self.length);
                    cells(&chunk.column_descr_ptr(), pages.map_err(broken)?)
                }
                _ => Box::new(Nested::open(&nested, kind).map_err(broken)?),
            };
            columns.push(Column { name, grows, cells });
        }
        Ok(columns)
    }
}

/// Whether a column's values are more than one.
fn is_nested(column: &Type) -> bool {
    column.is_group() || column.get_basic_info().repetition() == Repetition::REPEATED
}

/// A column of a row group, as far as it was read.
struct Column {
    name: String,
    /// Whether a value may be longer than its page.
    grows: bool,
    cells: Box<dyn Cells>,
}

impl Column {
    fn next(&mut self) -> Result<Value, DataError> {
        self.cells.next().map_err(|error| unreadable(&self.name, &error))
    }
}

/// The values of a column, whatever their type.
trait Cells {
    /// Reads so many rows.
    fn read(&mut self, count: usize) -> Result<(), ParquetError>;
    /// The value of the next row that was read; null where there is none.
    fn next(&mut self) -> Result<Value, ParquetError>;
}

fn cells(described: &ColumnDescPtr, pages: Pages) -> Box<dyn Cells> {
    use ColumnReader as Of;
    let (meaning, optional) = (Meaning::of(described), described.max_def_level() > 0);
    let unsigned = matches!(
        described.converted_type(),
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32
    );
    match get_column_reader(Arc::clone(described), Box::new(pages)) {
        Of::BoolColumnReader(reader) => Typed::of(reader, optional, |value| {
            Ok(Value::Text(if value { "true" } else { "false" }.to_owned()))
        }),
        Of::Int32ColumnReader(reader) => Typed::of(reader, optional, move |value| {
            meaning.integer(if unsigned { i64::from(value as u32) } else { i64::from(value) })
        }),
        Of::Int64ColumnReader(reader) => {
            Typed::of(reader, optional, move |value| meaning.integer(value))
        }
        Of::Int96ColumnReader(reader) => {
            Typed::of(reader, optional, |value| Meaning::int96(value.data()))
        }
        Of::FloatColumnReader(reader) => {
            Typed::of(reader, optional, |value| Ok(Meaning::short_real(value)))
        }
        Of::DoubleColumnReader(reader) => {
            Typed::of(reader, optional, |value| Ok(Meaning::real(value)))
        }
        Of::ByteArrayColumnReader(reader) => {
            Typed::of(reader, optional, move |value| meaning.bytes(value.as_bytes()))
        }
        Of::FixedLenByteArrayColumnReader(reader) => {
            Typed::of(reader, optional, move |value| meaning.bytes(value.as_bytes()))
        }
    }
}

struct Typed<T: DataType, G> {
    reader: ColumnReaderImpl<T>,
    optional: bool,
    levels: std::vec::IntoIter<i16>,
    values: std::vec::IntoIter<T::T>,
    give: G,
}

impl<T: DataType, G: FnMut(T::T) -> Result<Value, String> + 'static> Typed<T, G> {
    fn of(reader: ColumnReaderImpl<T>, optional: bool, give: G) -> Box<dyn Cells> {
        let (levels, values) = (Vec::new().into_iter(), Vec::new().into_iter());
        Box::new(Self { reader, optional, levels, values, give })
    }
}

impl<T: DataType, G: FnMut(T::T) -> Result<Value, String>> Cells for Typed<T, G> {
    fn read(&mut self, count: usize) -> Result<(), ParquetError> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let asked = self.optional.then_some(&mut levels);
        let (read, ..) = self.reader.read_records(count, asked, None, &mut values)?;
        (self.levels, self.values) = (levels.into_iter(), values.into_iter());
        match read == count {
            true => Ok(()),
            false => Err(ParquetError::General("it has fewer rows than the file says".into())),
        }
    }

    fn next(&mut self) -> Result<Value, ParquetError> {
        if self.optional && self.levels.next().is_none_or(|level| level == 0) {
            return Ok(Value::Null);
        }
        let value = self.values.next();
        value.map_or(Ok(Value::Null), |value| (self.give)(value).map_err(ParquetError::General))
    }
}

fn length(value: &Value) -> u64 {
    match value {
        Value::Text(text) => text.len() as u64 + 1,
        _ => 1,
    }
}

fn malformed(why: impl Into<String>) -> DataError {
    DataError::Malformed(why.into())
}

fn unreadable(column: &str, error: &ParquetError) -> DataError {
    let why = match error {
        ParquetError::General(why) | ParquetError::EOF(why) | ParquetError::NYI(why) => why.clone(),
        other => other.to_string(),
    };
    malformed(format!("The column `{column}` cannot be read: {}.", why.trim_end_matches('.')))
}

/// Reads the end of the file: what it holds, and where.
fn footer(file: &mut File, length: u64) -> Result<ParquetMetaData, DataError> {
    let mut first = [0; 4];
    file.rewind()?;
    let begun = length >= 4 && file.read_exact(&mut first).is_ok();
    if !begun || (&first != MAGIC && &first != ENCRYPTED) {
        return Err(malformed("The file is not a Parquet file: it does not begin with PAR1."));
    }
    let truncated = || malformed("The Parquet file is cut short: its end is not there.");
    if length < 12 {
        return Err(truncated());
    }
    let mut tail = [0; 8];
    file.seek(SeekFrom::Start(length - 8))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, end @ ..] = tail;
    if &end == ENCRYPTED {
        return Err(encrypted());
    }
    if &end != MAGIC {
        return Err(truncated());
    }
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    if size > length - 12 {
        return Err(truncated());
    }
    if size > LONGEST_FOOTER {
        let most = LONGEST_FOOTER >> 20;
        let why = format!(
            "The Parquet file's footer is longer than {most} MiB; write the file with \
                           larger row groups."
        );
        return Err(DataError::Limit(why));
    }
    let mut bytes = vec![0; size as usize];
    file.seek(SeekFrom::Start(length - 8 - size))?;
    file.read_exact(&mut bytes)?;
    let damaged = || malformed("The Parquet file's footer is damaged.");
    match claims(&bytes) {
        None => return Err(damaged()),
        Some(claims) if claims.is_encrypted => return Err(encrypted()),
        Some(_) => {}
    }
    ParquetMetaDataReader::decode_metadata(&bytes).map_err(|error| {
        let why = error.to_string();
        malformed(format!("The Parquet file's footer is damaged: {}.", why.trim_end_matches('.')))
    })
}

fn encrypted() -> DataError {
    malformed("The Parquet file is encrypted; write it without encryption.")
}

/// What a footer says that must be known before it is read.
struct Claims {
    is_encrypted: bool,
}

/// A schema that is deeper than any real one would be walked by calls within calls.
const DEEPEST_SCHEMA: usize = 64;

/// Walks over a footer (`FileMetaData` of parquet.thrift); `None` where it claims what is not there.
fn claims(bytes: &[u8]) -> Option<Claims> {
    let mut claims = Claims { is_encrypted: false };
    Walk::new(bytes).members(|walk, id, kind| match (id, kind) {
        (2, LIST) => {
            let (kind, count) = walk.list()?;
            if kind != STRUCT {
                return None;
            }
            // So many children of each group above are still to come.
            let mut open: Vec<i64> = Vec::new();
            let mut children = 0_u64;
            for _ in 0..count {
                while open.last() == Some(&0) {
                    open.pop();
                }
                if let Some(left) = open.last_mut() {
                    *left -= 1;
                }
                let mut own = 0;
                walk.members(|walk, id, kind| {
                    if (id, kind) != (5, I32) {
                        return Some(false);
                    }
                    own = walk.signed()?;
                    Some(true)
                })?;
                children = children.saturating_add(u64::try_from(own).ok()?);
                open.push(own);
                if open.len() > DEEPEST_SCHEMA || children > count {
                    return None;
                }
            }
            Some(true)
        }
        // encryption_algorithm: the footer can be read, and columns cannot.
        (8, _) => {
            claims.is_encrypted = true;
            Some(false)
        }
        _ => Some(false),
    })?;
    Some(claims)
}

#[cfg(test)]
mod tests;
