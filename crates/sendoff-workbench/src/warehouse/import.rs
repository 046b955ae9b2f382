//! Takes a CSV in as a table: records go to the database as they arrive, and the types of the
//! columns are decided when all were seen.

use std::io;

use csv_core::{ReadRecordResult, Reader};
use futures_util::StreamExt;
use rusqlite::{Connection, Transaction, params_from_iter};
use tokio::sync::mpsc;

use super::{DataError, Warehouse, storage};
use crate::Source;
use crate::look::quoted_name;

/// Real measurements of 344 penguins, free of rights; `data/README.md` names the source.
const PENGUINS: &[u8] = include_bytes!("../../../../data/penguins.csv");
/// A record must stand in memory whole.
const MAX_RECORD: usize = 1 << 20;
/// SQLite takes no more values in one statement without being built anew.
const MAX_COLUMNS: usize = 1_000;

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
    /// Takes in a CSV with a header as the table named after `file`; a table of that name that was
    /// imported before is replaced. Either all of it is taken in or nothing is.
    ///
    /// # Errors
    /// The text is no table, is larger than the limit, or would replace a table of the demo model.
    pub async fn import_csv(&self, file: &str, mut bytes: Source) -> Result<Imported, DataError> {
        let table = table_name(file);
        if ["orders", "users", "companies", "products", "servers", "penguins"]
            .contains(&table.as_str())
        {
            return Err(DataError::Malformed(format!(
                "The demo model has a table `{table}`; give the file another name."
            )));
        }
        let (sender, mut receiver) = mpsc::channel::<Option<io::Result<bytes::Bytes>>>(4);
        let warehouse = self.clone();
        let limit = self.limits().import_bytes;
        let work = tokio::task::spawn_blocking(move || {
            let mut writer = warehouse.writer();
            // The end is said aloud: whoever gives up in the middle must not leave half a table.
            let given_up = || Err(io::ErrorKind::UnexpectedEof.into());
            let chunks =
                std::iter::from_fn(|| receiver.blocking_recv().unwrap_or_else(|| Some(given_up())));
            import(&mut writer, &table, "", limit, chunks)
        });
        while let Some(chunk) = bytes.next().await {
            // A reader that stopped says why below.
            if sender.send(Some(chunk)).await.is_err() {
                break;
            }
        }
        let _ = sender.send(None).await;
        work.await.map_err(|error| DataError::Io(io::Error::other(error)))?
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
    import(connection, "penguins", "NA", u64::MAX, std::iter::once(chunk)).map(|_| ())
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
    limit: u64,
    chunks: impl Iterator<Item = io::Result<bytes::Bytes>>,
) -> Result<Imported, DataError> {
    let transaction = connection.transaction().map_err(storage)?;
    let mut records = Records::new();
    let mut staged: Option<Staged> = None;
    let mut taken = 0_u64;
    let mut take = |record: &[&str]| match &mut staged {
        Some(staged) => staged.insert(&transaction, record, null_text),
        None => {
            staged = Some(Staged::create(&transaction, record)?);
            Ok(())
        }
    };
    for chunk in chunks {
        let chunk = chunk.map_err(|error| {
            DataError::Malformed(format!("The file did not arrive whole: {error}."))
        })?;
        taken = taken.saturating_add(chunk.len() as u64);
        if taken > limit {
            let mib = limit >> 20;
            return Err(DataError::Limit(format!("The file is larger than {mib} MiB.")));
        }
        records.read(&chunk, &mut take)?;
    }
    records.finish(&mut take)?;
    let staged = staged.ok_or_else(|| DataError::Malformed("The file is empty.".into()))?;
    let imported = staged.finish(&transaction, table)?;
    transaction.commit().map_err(storage)?;
    Ok(imported)
}

/// All values as texts, until it is known which columns are numbers.
struct Staged {
    columns: Vec<String>,
    insert: String,
    kinds: Vec<Kind>,
    rows: u64,
}

/// What all values of a column so far are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
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
            Self::Unknown | Self::Integer | Self::Real
                if serde_json::from_str::<serde_json::Number>(text)
                    .is_ok_and(|n| n.as_f64().is_some_and(f64::is_finite)) =>
            {
                Self::Real
            }
            _ => Self::Text,
        }
    }
}

impl Staged {
    fn create(transaction: &Transaction<'_>, header: &[&str]) -> Result<Self, DataError> {
        if header.len() > MAX_COLUMNS {
            return Err(DataError::Limit(format!("More than {MAX_COLUMNS} columns.")));
        }
        let mut columns: Vec<String> = Vec::with_capacity(header.len());
        for (n, name) in header.iter().enumerate() {
            let name = name.trim_start_matches('\u{feff}').trim();
            let mut unique =
                if name.is_empty() { format!("column_{}", n + 1) } else { name.to_owned() };
            // SQLite compares names without case.
            while columns.iter().any(|taken| taken.eq_ignore_ascii_case(&unique)) {
                unique.push_str("_2");
            }
            columns.push(unique);
        }
        let names: Vec<String> = columns.iter().map(|name| quoted_name(name)).collect();
        let marks = vec!["?"; columns.len()].join(", ");
        transaction
            .execute_batch(&format!(
                "DROP TABLE IF EXISTS temp.staged; CREATE TEMP TABLE staged ({} TEXT)",
                names.join(" TEXT, ")
            ))
            .map_err(storage)?;
        let kinds = vec![Kind::Unknown; columns.len()];
        let insert = format!("INSERT INTO temp.staged VALUES ({marks})");
        Ok(Self { columns, insert, kinds, rows: 0 })
    }

    fn insert(
        &mut self,
        transaction: &Transaction<'_>,
        record: &[&str],
        null_text: &str,
    ) -> Result<(), DataError> {
        self.rows += 1;
        if record.len() != self.columns.len() {
            return Err(DataError::Malformed(format!(
                "Row {} has {} fields, the header has {}.",
                self.rows,
                record.len(),
                self.columns.len()
            )));
        }
        let values = || {
            let is_null = |text: &str| text.is_empty() || text == null_text;
            record.iter().map(move |text| (!is_null(text)).then_some(*text))
        };
        for (kind, text) in self.kinds.iter_mut().zip(values()) {
            if let (Some(text), true) = (text, *kind != Kind::Text) {
                *kind = kind.and(text);
            }
        }
        let mut statement = transaction.prepare_cached(&self.insert).map_err(storage)?;
        statement.execute(params_from_iter(values())).map_err(storage)?;
        Ok(())
    }

    fn finish(self, transaction: &Transaction<'_>, table: &str) -> Result<Imported, DataError> {
        let declared: Vec<String> = self
            .columns
            .iter()
            .zip(&self.kinds)
            .map(|(name, kind)| {
                let kind = match kind {
                    Kind::Integer => "INTEGER",
                    Kind::Real => "REAL",
                    Kind::Unknown | Kind::Text => "TEXT",
                };
                format!("{} {kind}", quoted_name(name))
            })
            .collect();
        let table_name = quoted_name(table);
        transaction
            .execute_batch(&format!(
                "DROP TABLE IF EXISTS main.{table_name};
                 CREATE TABLE main.{table_name} ({});
                 INSERT INTO main.{table_name} SELECT * FROM temp.staged;
                 DROP TABLE temp.staged",
                declared.join(", ")
            ))
            .map_err(storage)?;
        let numeric = |kind: &Kind| matches!(kind, Kind::Integer | Kind::Real);
        let kinds = self.kinds.iter().map(numeric);
        let columns = self.columns.into_iter().zip(kinds).collect();
        Ok(Imported { table: table.to_owned(), rows: self.rows, columns })
    }
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
            DataError::Malformed(
                "The file is not UTF-8; save it as UTF-8 and drop it again.".into(),
            )
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
