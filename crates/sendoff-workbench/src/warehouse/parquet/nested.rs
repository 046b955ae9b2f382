//! Lists, maps and structures: a cell of a result holds one value, so each becomes a text, in JSON.

use std::sync::Arc;

use parquet::basic::Type as Physical;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::PageReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::RowGroupReader;
use parquet::record::reader::{ReaderIter, RowIter, TreeBuilder};
use parquet::record::{Field, Row};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};
use rusqlite::types::Value;

use super::Cells;
use super::pages::{Budget, Pages};
use super::values::{Meaning, timestamp};
use crate::warehouse::import::MAX_RECORD;

/// Rows whose items are read at a time: a row may have many.
const ROWS: usize = 64;

/// A column that is nested, in one row group.
pub(super) struct Nested {
    rows: ReaderIter,
    kind: TypePtr,
}

impl Nested {
    pub(super) fn open(group: &Group<'_>, kind: &TypePtr) -> Result<Self> {
        let root = Type::group_type_builder("row").with_fields(vec![Arc::clone(kind)]).build()?;
        let described = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        let rows = TreeBuilder::new().with_batch_size(ROWS).as_iter(described, group)?;
        Ok(Self { rows, kind: Arc::clone(kind) })
    }
}

impl Cells for Nested {
    /// Rows are read when they are asked for.
    fn read(&mut self, _: usize) -> Result<()> {
        Ok(())
    }

    fn next(&mut self) -> Result<Value> {
        let row = self.rows.next().transpose()?;
        let field = row.as_ref().and_then(|row: &Row| row.get_column_iter().next());
        let Some((_, field)) = field else {
            return Err(ParquetError::General("it has fewer rows than the file says".into()));
        };
        if matches!(field, Field::Null) {
            return Ok(Value::Null);
        }
        let mut text = String::new();
        write(&mut text, field, &self.kind).map_err(ParquetError::General)?;
        Ok(Value::Text(text))
    }
}

/// A row group as the library's assembly of records wants it, with pages that keep to the budget.
pub(super) struct Group<'p> {
    pub(super) file: &'p Arc<std::fs::File>,
    pub(super) budget: &'p Arc<Budget>,
    pub(super) metadata: &'p RowGroupMetaData,
    pub(super) file_length: u64,
}

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.metadata
    }

    fn num_columns(&self) -> usize {
        self.metadata.num_columns()
    }

    fn get_column_page_reader(&self, n: usize) -> Result<Box<dyn PageReader>> {
        let chunk = self.metadata.column(n);
        Ok(Box::new(Pages::new(self.file, self.budget, chunk, self.file_length)?))
    }

    fn get_column_bloom_filter(&self, _: usize) -> Option<&Sbbf> {
        None
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// Writes a value as JSON.
fn write(out: &mut String, field: &Field, kind: &Type) -> std::result::Result<(), String> {
    if out.len() > MAX_RECORD {
        return Err("a value in it is longer than 1 MiB".into());
    }
    match field {
        Field::Null => out.push_str("null"),
        Field::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Field::Group(row) => {
            out.push('{');
            for (n, (name, field)) in row.get_column_iter().enumerate() {
                comma(out, n);
                quote(out, name);
                out.push(':');
                let child = children(kind).iter().find(|child| child.name() == name);
                write(out, field, child.map_or(kind, |child| child))?;
            }
            out.push('}');
        }
        Field::ListInternal(list) => {
            out.push('[');
            for (n, field) in list.elements().iter().enumerate() {
                comma(out, n);
                write(out, field, element(kind))?;
            }
            out.push(']');
        }
        Field::MapInternal(map) => {
            let pair = children(kind).first().map_or(kind, |pair| pair);
            let of = |n: usize| children(pair).get(n).map_or(kind, |part| part);
            out.push('{');
            for (n, (key, field)) in map.entries().iter().enumerate() {
                comma(out, n);
                let mut name = String::new();
                write(&mut name, key, of(0))?;
                // JSON knows texts alone as names.
                if name.starts_with('"') {
                    out.push_str(&name)
                } else {
                    quote(out, &name)
                }
                out.push(':');
                write(out, field, of(1))?;
            }
            out.push('}');
        }
        leaf => {
            let meaning = Meaning::of_type(kind);
            match value(leaf, meaning, kind)? {
                Value::Text(number) if meaning.is_number() => out.push_str(&number),
                Value::Text(text) => quote(out, &text),
                Value::Integer(number) => out.push_str(&number.to_string()),
                Value::Real(number) => out.push_str(&number.to_string()),
                _ => out.push_str("null"),
            }
        }
    }
    Ok(())
}

fn value(leaf: &Field, meaning: Meaning, kind: &Type) -> std::result::Result<Value, String> {
    Ok(match leaf {
        Field::Byte(number) => Value::Integer(i64::from(*number)),
        Field::Short(number) => Value::Integer(i64::from(*number)),
        Field::Int(number) | Field::Date(number) | Field::TimeMillis(number) => {
            meaning.integer(i64::from(*number))?
        }
        // The library has made milliseconds of these.
        Field::TimestampMillis(count) if kind.get_physical_type() == Physical::INT96 => {
            Value::Text(timestamp(i128::from(*count), 3)?)
        }
        Field::Long(number)
        | Field::TimeMicros(number)
        | Field::TimestampMillis(number)
        | Field::TimestampMicros(number) => meaning.integer(*number)?,
        Field::UByte(number) => Value::Integer(i64::from(*number)),
        Field::UShort(number) => Value::Integer(i64::from(*number)),
        Field::UInt(number) => Value::Integer(i64::from(*number)),
        Field::ULong(number) => Value::Text(number.to_string()),
        Field::Float16(number) => Meaning::short_real(number.to_f32()),
        Field::Float(number) => Meaning::short_real(*number),
        Field::Double(number) => Meaning::real(*number),
        Field::Decimal(number) => meaning.bytes(number.data())?,
        Field::Str(text) => Value::Text(text.clone()),
        Field::Bytes(bytes) => meaning.bytes(bytes.data())?,
        _ => Value::Null,
    })
}

fn children(kind: &Type) -> &[TypePtr] {
    if kind.is_group() { kind.get_fields() } else { &[] }
}

/// What a list is of. Between the two stands a group of its own, unless the writer was an old one.
/// <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists>
fn element(list: &Type) -> &Type {
    let Some(repeated) = children(list).first() else { return list };
    match children(repeated) {
        [element] => element,
        _ => repeated,
    }
}

fn comma(out: &mut String, n: usize) {
    if n > 0 {
        out.push(',');
    }
}

fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
