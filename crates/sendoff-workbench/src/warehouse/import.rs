//! Takes a file in as a table. Records of a CSV go to the database as they arrive, and the types of the
//! columns are decided when all were seen; a Parquet file is put down first, for its end says what
//! stands in it.

use std::io;

use csv_core::{ReadRecordResult, Reader};
use futures_util::StreamExt;
use rusqlite::{Connection, ToSql, Transaction, params_from_iter};
use tokio::sync::mpsc;

use super::{DataError, Warehouse, storage};
use crate::Source;
use crate::look::quoted_name;

/// Real measurements of 344 penguins, free of rights; `data/README.md` names the source.
const PENGUINS: &[u8] = include_bytes!("../../../../data/penguins.csv");
/// A record must stand in memory whole.
pub(super) const MAX_RECORD: usize = 1 << 20;
/// SQLite takes no more values in one statement without being built anew.
pub(super) const MAX_COLUMNS: usize = 1_000;

/// A file that became a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The table's name, made from the file's.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// Names of its columns, and whether each is a number.
    pub columns: Vec<(String, bool)>,
}

impl Warehouse {
    /// Takes in a CSV with a header, or a Parquet file, as the table named after `file`; a table of
    /// that name that was imported before is replaced. Either all of it is taken in or nothing is.
    ///
    /// # Errors
    /// The file is no table, is larger than the limit, or would replace a table of the demo model.
    pub async fn import(&self, file: &str, mut bytes: Source) -> Result<Imported, DataError> {
        let table = table_name(file);
        if ["orders", "users", "companies", "products", "servers", "penguins"]
            .contains(&table.as_str())
        {
            return Err(DataError::Malformed(format!(
                "The demo model has a table `{table}`; give the file another name."
            )));
        }
        let is_parquet = is_named_parquet(file);
        let (sender, mut receiver) = mpsc::channel::<Option<io::Result<bytes::Bytes>>>(4);
        let warehouse = self.clone();
        let limit = self.limits().import_bytes;
        let work = tokio::task::spawn_blocking(move || {
            // The end is said aloud: whoever gives up in the middle must not leave half a table.
            let given_up = || Err(io::ErrorKind::UnexpectedEof.into());
            let chunks =
                std::iter::from_fn(|| receiver.blocking_recv().unwrap_or_else(|| Some(given_up())));
            let mut chunks = Limited { chunks, limit, taken: 0 }.peekable();
            match is_parquet || begins_as_parquet(&mut chunks)? {
                true => import_parquet(&warehouse, &table, chunks),
                false => import(&mut warehouse.writer(), &table, "", chunks),
            }
        });
        while let Some(chunk) = bytes.next().await {
            // A reader that stopped says why below.
            if sender.send(Some(chunk)).await.is_err() {
                break;
            }
        }
        let _ = sender.send(None).await;
        match work.await {
            Ok(imported) => imported,
            // The libraries below are not written for files that were made to break them.
            Err(error) if error.is_panic() => Err(DataError::Malformed(
                "The file is damaged in a way that the reader cannot name.".into(),
            )),
            Err(error) => Err(DataError::Io(io::Error::other(error))),
        }
    }

    /// The tables that were imported, with the numbers of their rows.
    ///
    /// # Errors
    /// The database's own.
    pub async fn imported(&self) -> Result<Vec<String>, DataError> {
        let warehouse = self.clone();
        let list = move || {
            let writer = warehouse.writer();
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN \
                       ('orders', 'users', 'companies', 'products', 'servers', 'penguins') \
                       ORDER BY name";
            let mut statement = writer.prepare(sql)?;
            let names = statement.query_map([], |row| row.get(0))?;
            names.collect::<rusqlite::Result<Vec<String>>>()
        };
        let work = tokio::task::spawn_blocking(list);
        work.await.map_err(|error| DataError::Io(io::Error::other(error)))?.map_err(storage)
    }
}

/// Takes the shipped data set in.
pub(super) fn penguins(connection: &mut Connection) -> Result<(), DataError> {
    let chunk = Ok(bytes::Bytes::from_static(PENGUINS));
    import(connection, "penguins", "NA", std::iter::once(chunk)).map(|_| ())
}

/// Whether its ending is one that Parquet files have.
pub fn is_named_parquet(file: &str) -> bool {
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    matches!(ending.as_deref(), Some("parquet" | "pq" | "parq"))
}

/// A file's chunks, up to a limit.
struct Limited<I> {
    chunks: I,
    limit: u64,
    taken: u64,
}

impl<I: Iterator<Item = io::Result<bytes::Bytes>>> Iterator for Limited<I> {
    type Item = Result<bytes::Bytes, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = match self.chunks.next()? {
            Ok(chunk) => chunk,
            Err(error) => {
                let why = format!("The file did not arrive whole: {error}.");
                return Some(Err(DataError::Malformed(why)));
            }
        };
        self.taken = self.taken.saturating_add(chunk.len() as u64);
        if self.taken > self.limit {
            let mib = self.limit >> 20;
            let why = format!("The file is larger than {mib} MiB.");
            return Some(Err(DataError::Limit(why)));
        }
        Some(Ok(chunk))
    }
}

/// What of the name is fit for SQL without quotes, so that users need none.
fn table_name(file: &str) -> String {
    let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let mut name = String::new();
    for letter in stem.chars().take(60) {
        name.push(if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '_' });
    }
    match name.chars().next() {
        Some(first) if first.is_alphabetic() && !name.starts_with("sqlite") => name,
        _ => format!("file_{name}"),
    }
}

fn import(
    connection: &mut Connection,
    table: &str,
    null_text: &str,
    chunks: impl Iterator<Item = Result<bytes::Bytes, DataError>>,
) -> Result<Imported, DataError> {
    let transaction = connection.transaction().map_err(storage)?;
    let mut records = Records::new();
    let mut staged: Option<Staged> = None;
    let mut take = |record: &[&str]| match &mut staged {
        Some(staged) => staged.insert_texts(&transaction, record, null_text),
        None => {
            let columns = record.iter().map(|name| ((*name).to_owned(), None)).collect();
            staged = Some(Staged::create(&transaction, columns)?);
            Ok(())
        }
    };
    for chunk in chunks {
        records.read(&chunk?, &mut take)?;
    }
    records.finish(&mut take)?;
    let staged = staged.ok_or_else(|| DataError::Malformed("The file is empty.".into()))?;
    let imported = staged.finish(&transaction, table)?;
    transaction.commit().map_err(storage)?;
    Ok(imported)
}

/// Rows on their way into a table. Values are texts until it is known which columns are numbers,
/// unless the file says it.
struct Staged {
    columns: Vec<String>,
    insert: String,
    kinds: Vec<Kind>,
    /// Whether the values decide the kind.
    open: Vec<bool>,
    rows: u64,
}

/// What all values of a column so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unknown,
    Integer,
    Real,
    Text,
}

impl Kind {
    fn and(self, text: &str) -> Self {
        // A number that would not read back as it stands, such as 007 or +49, is a text.
        let integer = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
        match self {
            Self::Unknown | Self::Integer if integer => Self::Integer,
            Self::Unknown | Self::Integer | Self::Real if integer || is_real(text) => Self::Real,
            _ => Self::Text,
        }
    }

    fn declared(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Unknown | Self::Text => "TEXT",
        }
    }
}

/// Whether it is a number for a column of such: a whole one beyond 64 bits is an id, whose last digits
/// count.
fn is_real(text: &str) -> bool {
    let finite = |number: serde_json::Number| number.as_f64().is_some_and(f64::is_finite);
    text.contains(['.', 'e', 'E'])
        && serde_json::from_str::<serde_json::Number>(text).is_ok_and(finite)
}

impl Staged {
    fn create(
        transaction: &Transaction<'_>,
        header: Vec<(String, Option<Kind>)>,
    ) -> Result<Self, DataError> {
        if header.len() > MAX_COLUMNS {
            return Err(DataError::Limit(format!("More than {MAX_COLUMNS} columns.")));
        }
        let kinds: Vec<_> = header.iter().map(|(_, kind)| kind.unwrap_or(Kind::Unknown)).collect();
        let open = header.iter().map(|(_, kind)| kind.is_none()).collect();
        let mut columns: Vec<String> = Vec::with_capacity(header.len());
        for (n, (name, _)) in header.iter().enumerate() {
            let name = name.trim_start_matches('\u{feff}').trim();
            let mut unique =
                if name.is_empty() { format!("column_{}", n + 1) } else { name.to_owned() };
            // SQLite compares names without case.
            while columns.iter().any(|taken| taken.eq_ignore_ascii_case(&unique)) {
                unique.push_str("_2");
            }
            columns.push(unique);
        }
        let declared = declared(&columns, &kinds);
        let marks = vec!["?"; columns.len()].join(", ");
        transaction
            .execute_batch(&format!(
                "DROP TABLE IF EXISTS temp.staged; CREATE TEMP TABLE staged ({declared})"
            ))
            .map_err(storage)?;
        let insert = format!("INSERT INTO temp.staged VALUES ({marks})");
        Ok(Self { columns, insert, kinds, open, rows: 0 })
    }

    /// A record of a CSV.
    fn insert_texts(
        &mut self,
        transaction: &Transaction<'_>,
        record: &[&str],
        null_text: &str,
    ) -> Result<(), DataError> {
        if record.len() != self.columns.len() {
            return Err(DataError::Malformed(format!(
                "Row {} has {} fields, the header has {}.",
                self.rows + 1,
                record.len(),
                self.columns.len()
            )));
        }
        let values = record.iter().map(|text| {
            let is_null = text.is_empty() || *text == null_text;
            (!is_null).then_some(*text)
        });
        self.insert(transaction, values, |text| *text)
    }

    /// A row; `text` is a value as a text, where its column's kind is open.
    fn insert<V: ToSql>(
        &mut self,
        transaction: &Transaction<'_>,
        row: impl Iterator<Item = V> + Clone,
        text: impl Fn(&V) -> Option<&str>,
    ) -> Result<(), DataError> {
        self.rows += 1;
        for ((kind, open), value) in self.kinds.iter_mut().zip(&self.open).zip(row.clone()) {
            if let (true, Some(text)) = (*open && *kind != Kind::Text, text(&value)) {
                *kind = kind.and(text);
            }
        }
        let mut statement = transaction.prepare_cached(&self.insert).map_err(storage)?;
        statement.execute(params_from_iter(row)).map_err(storage)?;
        Ok(())
    }

    fn finish(self, transaction: &Transaction<'_>, table: &str) -> Result<Imported, DataError> {
        let declared = declared(&self.columns, &self.kinds);
        let table_name = quoted_name(table);
        transaction
            .execute_batch(&format!(
                "DROP TABLE IF EXISTS main.{table_name};
                 CREATE TABLE main.{table_name} ({declared});
                 INSERT INTO main.{table_name} SELECT * FROM temp.staged;
                 DROP TABLE temp.staged"
            ))
            .map_err(storage)?;
        let numeric = |kind: &Kind| matches!(kind, Kind::Integer | Kind::Real);
        let kinds = self.kinds.iter().map(numeric);
        let columns = self.columns.into_iter().zip(kinds).collect();
        Ok(Imported { table: table.to_owned(), rows: self.rows, columns })
    }
}

/// The columns with their types, in SQL.
fn declared(columns: &[String], kinds: &[Kind]) -> String {
    let columns = columns.iter().zip(kinds);
    let declared: Vec<_> =
        columns.map(|(name, kind)| format!("{} {}", quoted_name(name), kind.declared())).collect();
    declared.join(", ")
}

/// Whether the file's content is Parquet, whatever its name.
fn begins_as_parquet(
    chunks: &mut std::iter::Peekable<impl Iterator<Item = Result<bytes::Bytes, DataError>>>,
) -> Result<bool, DataError> {
    match chunks.peek() {
        Some(Ok(chunk)) => Ok(chunk.starts_with(b"PAR1")),
        _ => Ok(false),
    }
}

#[cfg(not(feature = "parquet"))]
fn import_parquet(
    _: &Warehouse,
    _: &str,
    _: impl Iterator<Item = Result<bytes::Bytes, DataError>>,
) -> Result<Imported, DataError> {
    Err(DataError::Malformed("This build of Sendoff does not read Parquet; give it a CSV.".into()))
}

/// The database is not held while the file arrives.
#[cfg(feature = "parquet")]
fn import_parquet(
    warehouse: &Warehouse,
    table: &str,
    chunks: impl Iterator<Item = Result<bytes::Bytes, DataError>>,
) -> Result<Imported, DataError> {
    let mut file = tempfile::tempfile()?;
    for chunk in chunks {
        io::Write::write_all(&mut file, &chunk?)?;
    }
    let parquet = super::parquet::Parquet::open(file)?;
    let columns = parquet.columns()?;
    let mut connection = warehouse.writer();
    let transaction = connection.transaction().map_err(storage)?;
    let mut staged = Staged::create(&transaction, columns)?;
    parquet.rows(warehouse.limits().import_bytes, |row| {
        staged.insert(&transaction, row.iter(), |value| match value {
            rusqlite::types::Value::Text(text) => Some(text),
            _ => None,
        })
    })?;
    let imported = staged.finish(&transaction, table)?;
    transaction.commit().map_err(storage)?;
    Ok(imported)
}

/// Splits CSV into records while its bytes arrive.
pub(crate) struct Records {
    reader: Reader,
    text: Vec<u8>,
    written: usize,
    ends: Vec<usize>,
    ended: usize,
}

impl Records {
    pub(crate) fn new() -> Self {
        Self {
            reader: Reader::new(),
            text: vec![0; 4_096],
            written: 0,
            ends: vec![0; 64],
            ended: 0,
        }
    }

    /// Reads on, and gives each record that is whole to `take`.
    pub(crate) fn read(
        &mut self,
        mut chunk: &[u8],
        take: &mut impl FnMut(&[&str]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        while !chunk.is_empty() {
            chunk = self.step(chunk, take)?.0;
        }
        Ok(())
    }

    /// The text is over: the last record may have no newline.
    pub(crate) fn finish(
        mut self,
        take: &mut impl FnMut(&[&str]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        // The reader takes an empty input for the end.
        while !self.step(&[], take)?.1 {}
        Ok(())
    }

    fn step<'i>(
        &mut self,
        input: &'i [u8],
        take: &mut impl FnMut(&[&str]) -> Result<(), DataError>,
    ) -> Result<(&'i [u8], bool), DataError> {
        let (text, ends) = (&mut self.text[self.written..], &mut self.ends[self.ended..]);
        let (outcome, read, written, ended) = self.reader.read_record(input, text, ends);
        self.written += written;
        self.ended += ended;
        match outcome {
            ReadRecordResult::Record => self.give(take)?,
            ReadRecordResult::OutputFull if self.text.len() >= MAX_RECORD => {
                return Err(DataError::Malformed(
                    "A row is longer than 1 MiB; a quote may not be closed.".into(),
                ));
            }
            ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
            ReadRecordResult::OutputEndsFull if self.ends.len() > MAX_COLUMNS => {
                return Err(DataError::Limit(format!("More than {MAX_COLUMNS} columns.")));
            }
            ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::End => return Ok((&input[read..], true)),
        }
        Ok((&input[read..], false))
    }

    fn give(
        &mut self,
        take: &mut impl FnMut(&[&str]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let text = std::str::from_utf8(&self.text[..self.written]).map_err(|_| {
            DataError::Malformed("The file is not UTF-8; save it as UTF-8 and try again.".into())
        })?;
        let mut fields = Vec::with_capacity(self.ended);
        let mut from = 0;
        for &to in &self.ends[..self.ended] {
            // A field that begins inside a character cannot be: delimiters are single bytes.
            fields.push(text.get(from..to).unwrap_or_default());
            from = to;
        }
        take(&fields)?;
        self.written = 0;
        self.ended = 0;
        Ok(())
    }
}
