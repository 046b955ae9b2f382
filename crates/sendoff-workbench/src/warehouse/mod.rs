//! The database behind the demo data: SQLite, seeded with the shop, open to a user's own tables,
//! and fenced in where SQL comes from a user.

mod import;
#[cfg(feature = "parquet")]
mod parquet;
mod plan;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Rows, Statement};

pub use import::{Imported, is_named_parquet};
pub(crate) use plan::{Head, PivotKey, ROW_TOTAL, plan};

use crate::look::{Dashboard, Look};
use crate::model::Datum;
use crate::shop;

/// Why data cannot be had. Each is a sentence for the person who asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// The SQL is wrong, or does what is not allowed.
    Sql(String),
    /// It would take too long, or be too large.
    Limit(String),
    /// There is no such Look, table, field or explore.
    Unknown(String),
    /// The content cannot be had in this format.
    Format(String),
    /// The file is no table.
    Malformed(String),
    /// Nobody wants the data any more.
    Stopped,
    /// The system's.
    Io(io::Error),
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(why)
            | Self::Limit(why)
            | Self::Unknown(why)
            | Self::Format(why)
            | Self::Malformed(why) => f.write_str(why),
            Self::Stopped => f.write_str("The reader of the data went away."),
            Self::Io(error) => write!(f, "The data cannot be read or written: {error}."),
        }
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for DataError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Stopped,
            _ => Self::Io(error),
        }
    }
}

impl From<DataError> for io::Error {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Io(error) => error,
            error => Self::other(error),
        }
    }
}

/// What queries and files may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLimits {
    /// How long the database may work on one query; waiting for the reader does not count.
    pub query_time: Duration,
    /// The largest file that is taken in, in bytes; also of a Parquet file's values, unpacked.
    pub import_bytes: u64,
}

impl Default for DataLimits {
    fn default() -> Self {
        Self { query_time: Duration::from_secs(60), import_bytes: 1 << 30 }
    }
}

/// The demo database. Clones share it.
#[derive(Clone)]
pub struct Warehouse(Arc<Inner>);

struct Inner {
    uri: String,
    limits: DataLimits,
    /// The only connection that writes; it also keeps a database in memory alive.
    writer: Mutex<Connection>,
    looks: Vec<Look>,
    dashboards: Vec<Dashboard>,
}

/// Databases in memory are told apart by number within the process.
static IN_MEMORY: AtomicU64 = AtomicU64::new(0);

impl Warehouse {
    /// A database in memory. Files that are dropped on it stand there too.
    ///
    /// # Errors
    /// The database's own.
    pub async fn in_memory(limits: DataLimits) -> Result<Self, DataError> {
        let number = IN_MEMORY.fetch_add(1, Ordering::Relaxed);
        // The `memdb` file system shares a database among connections without the shared cache,
        // whose table locks would make readers fail while a file is taken in.
        Self::open_uri(format!("file:/sendoff-{number}?vfs=memdb"), limits).await
    }

    /// A database in a file, so that imported tables survive a restart and take no memory.
    ///
    /// # Errors
    /// The file cannot be opened or written, or is no database.
    pub async fn open(file: &Path, limits: DataLimits) -> Result<Self, DataError> {
        let mut uri = String::from("file:");
        for character in file.to_string_lossy().chars() {
            match character {
                '%' => uri.push_str("%25"),
                '?' => uri.push_str("%3f"),
                '#' => uri.push_str("%23"),
                other => uri.push(other),
            }
        }
        Self::open_uri(uri, limits).await
    }

    async fn open_uri(uri: String, limits: DataLimits) -> Result<Self, DataError> {
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(uri, limits));
        opening.await.map_err(|error| DataError::Io(io::Error::other(error)))?
    }

    fn open_blocking(uri: String, limits: DataLimits) -> Result<Self, DataError> {
        let mut writer = Connection::open(&uri).map_err(storage)?;
        writer.busy_timeout(Duration::from_secs(10)).map_err(storage)?;
        if !uri.ends_with("vfs=memdb") {
            // Readers go on while a file is taken in. The answer is the mode that was set.
            writer
                .pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
                .map_err(storage)?;
        }
        let version: i32 =
            writer.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(storage)?;
        if version != shop::VERSION {
            shop::seed(&mut writer).map_err(storage)?;
            import::penguins(&mut writer)?;
        }
        Ok(Self(Arc::new(Inner {
            uri,
            limits,
            writer: Mutex::new(writer),
            looks: shop::looks(),
            dashboards: shop::dashboards(),
        })))
    }

    /// The Looks that ship with the demo model.
    pub fn looks(&self) -> &[Look] {
        &self.0.looks
    }

    /// The Look of that slug.
    ///
    /// # Errors
    /// There is none.
    pub fn look(&self, slug: &str) -> Result<&Look, DataError> {
        self.looks().iter().find(|look| look.slug() == slug).ok_or_else(|| {
            let known: Vec<&str> = self.looks().iter().map(Look::slug).collect();
            let known = known.join(", ");
            DataError::Unknown(format!("There is no Look `{slug}`. There are: {known}."))
        })
    }

    /// The dashboards that ship with the demo model.
    pub fn dashboards(&self) -> &[Dashboard] {
        &self.0.dashboards
    }

    /// The dashboard of that slug.
    ///
    /// # Errors
    /// There is none.
    pub fn dashboard(&self, slug: &str) -> Result<&Dashboard, DataError> {
        self.dashboards().iter().find(|dashboard| dashboard.slug == slug).ok_or_else(|| {
            let known: Vec<&str> = self.dashboards().iter().map(|d| d.slug.as_str()).collect();
            let known = known.join(", ");
            DataError::Unknown(format!("There is no dashboard `{slug}`. There are: {known}."))
        })
    }

    /// The limits that it was opened with.
    pub fn limits(&self) -> DataLimits {
        self.0.limits
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection for one query: it cannot write, open files, or run longer than `watch` says.
    pub(crate) fn reader(&self, watch: &Arc<Watch>) -> Result<Connection, DataError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut reader = Connection::open_with_flags(&self.0.uri, flags).map_err(storage)?;
        reader.busy_timeout(Duration::from_secs(10)).map_err(storage)?;
        reader.pragma_update(None, "query_only", true).map_err(storage)?;
        let limits = [
            // ATTACH would open any database file on the machine.
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_LENGTH, 16 * 1024 * 1024),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, 256 * 1024),
            (Limit::SQLITE_LIMIT_COLUMN, 1_000),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        ];
        for (limit, value) in limits {
            reader.set_limit(limit, value).map_err(storage)?;
        }
        reader.authorizer(Some(authorize)).map_err(storage)?;
        let watch = Arc::clone(watch);
        reader.progress_handler(10_000, Some(move || watch.is_over())).map_err(storage)?;
        Ok(reader)
    }
}

/// Reading is all that SQL of a user may do.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// How long the database has worked on a query, and whether anybody still wants the result.
pub(crate) struct Watch {
    budget: Duration,
    origin: Instant,
    /// Nanoseconds that it worked so far.
    spent: AtomicU64,
    /// When it began its present work, in nanoseconds since `origin`; 0 while it waits.
    began: AtomicU64,
    unwanted: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Watch {
    pub(crate) fn new(
        budget: Duration,
        unwanted: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            budget,
            origin: Instant::now(),
            spent: AtomicU64::new(0),
            began: AtomicU64::new(0),
            unwanted: Box::new(unwanted),
        })
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn begin(&self) {
        self.began.store(self.now().max(1), Ordering::Relaxed);
    }

    fn pause(&self) {
        let began = self.began.swap(0, Ordering::Relaxed);
        self.spent.fetch_add(self.now().saturating_sub(began), Ordering::Relaxed);
    }

    fn is_late(&self) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        let running = if began == 0 { 0 } else { self.now().saturating_sub(began) };
        let spent = self.spent.load(Ordering::Relaxed);
        Duration::from_nanos(spent.saturating_add(running)) > self.budget
    }

    fn is_over(&self) -> bool {
        self.is_late() || (self.unwanted)()
    }

    /// The sentence for an error of the database.
    pub(crate) fn explain(&self, error: &rusqlite::Error) -> DataError {
        use rusqlite::Error;
        let code = error.sqlite_error_code();
        match (code, error) {
            (Some(ErrorCode::OperationInterrupted), _) if self.is_late() => {
                DataError::Limit(format!(
                    "The query ran for {:?} and was stopped. Ask for less, or raise the limit.",
                    self.budget
                ))
            }
            (Some(ErrorCode::OperationInterrupted), _) => DataError::Stopped,
            (Some(ErrorCode::AuthorizationForStatementDenied), _) => only_reading(),
            // Functions that are not allowed have a general code.
            (_, Error::SqlInputError { msg, .. }) if msg.starts_with("not authorized") => {
                only_reading()
            }
            (Some(ErrorCode::TooBig), _) => {
                DataError::Limit("The SQL or one of its values is too large.".into())
            }
            (_, Error::MultipleStatement) => {
                DataError::Sql("Write one statement; there are several.".into())
            }
            (_, Error::SqlInputError { msg, offset, .. }) if *offset >= 0 => {
                DataError::Sql(format!("SQL: {msg}, at character {}.", offset + 1))
            }
            (_, Error::SqlInputError { msg, .. } | Error::SqliteFailure(_, Some(msg))) => {
                DataError::Sql(format!("SQL: {msg}."))
            }
            (_, error) => DataError::Sql(format!("SQL: {error}.")),
        }
    }
}

fn only_reading() -> DataError {
    DataError::Sql("Only reading is allowed: a SELECT from the tables of the demo database.".into())
}

/// An error that is not the fault of what was asked.
fn storage(error: rusqlite::Error) -> DataError {
    DataError::Io(io::Error::other(error))
}

/// The rows of a running query, one at a time.
pub(crate) struct Cursor<'a> {
    rows: Rows<'a>,
    names: Vec<String>,
    watch: &'a Watch,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(
        statement: &'a mut Statement<'_>,
        watch: &'a Watch,
    ) -> Result<Self, DataError> {
        let names = statement.column_names().map(str::to_owned).collect();
        let rows = statement.query([]).map_err(|error| watch.explain(&error))?;
        Ok(Self { rows, names, watch })
    }

    /// The next row; none after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Datum<'_>>>, DataError> {
        self.watch.begin();
        let next = self.rows.next();
        self.watch.pause();
        let Some(row) = next.map_err(|error| self.watch.explain(&error))? else {
            return Ok(None);
        };
        let mut data = Vec::with_capacity(self.names.len());
        for (n, name) in self.names.iter().enumerate() {
            let value = row.get_ref(n).map_err(|error| self.watch.explain(&error))?;
            data.push(match value {
                ValueRef::Null => Datum::Null,
                ValueRef::Integer(number) => Datum::Integer(number),
                ValueRef::Real(number) => Datum::Real(number),
                ValueRef::Text(text) => {
                    Datum::Text(std::str::from_utf8(text).map_err(|_| bytes(name))?)
                }
                ValueRef::Blob(_) => return Err(bytes(name)),
            });
        }
        Ok(Some(data))
    }
}

fn bytes(column: &str) -> DataError {
    DataError::Sql(format!("The column `{column}` holds bytes and no text; use hex(…)."))
}

#[cfg(test)]
mod tests;
