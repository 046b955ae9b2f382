//! What survives a restart: a folder with one document and two logs, readable by its owner alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::DeserializeOwned;
use tokio::fs::{self, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use super::book::Book;
use super::history::{History, Run};
use super::journal::{self, Entry};

/// The folder, or none.
pub(super) struct Store {
    folder: Option<PathBuf>,
    /// One writer at a time, and the newest book last.
    writing: Mutex<()>,
    /// Lines written to a log since it was written anew.
    appended: [AtomicUsize; 2],
    /// Held as long as the instance lives: two of them would overwrite each other.
    _lock: Option<std::fs::File>,
}

/// What was kept.
pub(super) struct Saved {
    pub(super) book: Book,
    pub(super) history: History,
    pub(super) entries: Vec<Entry>,
}

const BOOK: &str = "instance.json";
/// More than any instance keeps.
const READ_AT_MOST: u64 = 256 << 20;

impl Store {
    pub(super) async fn open(folder: Option<&Path>) -> io::Result<(Self, Saved)> {
        let Some(folder) = folder else {
            let store = Self {
                folder: None,
                writing: Mutex::default(),
                appended: Default::default(),
                _lock: None,
            };
            let nothing =
                Saved { book: Book::default(), history: History::default(), entries: Vec::new() };
            return Ok((store, nothing));
        };
        make(folder).await?;
        make(&folder.join("bodies")).await?;
        let lock = lock(folder).await?;
        let book = match read(&folder.join(BOOK)).await? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let path = folder.join(BOOK);
                io::Error::other(format!("{} cannot be read: {error}", path.display()))
            })?,
            None => Book::default(),
        };
        let history = History::read(lines::<Run>(folder, "history.jsonl").await?.into_iter());
        let mut entries: Vec<Entry> = lines(folder, "exchanges.jsonl").await?;
        entries.drain(..entries.len().saturating_sub(journal::KEPT));
        let store = Self {
            folder: Some(folder.to_owned()),
            writing: Mutex::default(),
            appended: Default::default(),
            _lock: Some(lock),
        };
        let runs = history.lines().map(serde_json::to_string).collect();
        store.rewrite("history.jsonl", runs).await?;
        let kept = entries.iter().map(serde_json::to_string).collect();
        store.rewrite("exchanges.jsonl", kept).await?;
        Ok((store, Saved { book, history, entries }))
    }

    pub(super) fn bodies_folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("bodies"))
    }

    /// Writes the book as it is when its turn comes.
    pub(super) async fn save(&self, book: impl FnOnce() -> Book) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let _turn = self.writing.lock().await;
        let text = serde_json::to_vec_pretty(&book())?;
        replace(&folder.join(BOOK), &text).await
    }

    /// Appends a line; after `most` of them the log is written anew with what is still wanted.
    pub(super) async fn append(
        &self,
        name: &str,
        line: &str,
        most: usize,
        all: impl FnOnce() -> serde_json::Result<Vec<String>>,
    ) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let count = &self.appended[usize::from(name == "history.jsonl")];
        let _turn = self.writing.lock().await;
        if count.fetch_add(1, Ordering::Relaxed) >= most {
            count.store(0, Ordering::Relaxed);
            return replace(&folder.join(name), text(all()?).as_bytes()).await;
        }
        let mut options = private();
        let mut file = options.append(true).create(true).open(folder.join(name)).await?;
        file.write_all(format!("{line}\n").as_bytes()).await?;
        file.flush().await
    }

    async fn rewrite(&self, name: &str, lines: serde_json::Result<Vec<String>>) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        replace(&folder.join(name), text(lines?).as_bytes()).await
    }
}

fn text(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Files hold tokens: they are their owner's alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    options.mode(0o600);
    options
}

async fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    builder.recursive(true).create(folder).await
}

/// Either the old content stands there or the new, never half of one.
async fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = private();
    let mut file = options.write(true).create(true).truncate(true).open(&new).await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    fs::rename(&new, path).await
}

async fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(READ_AT_MOST).read_to_end(&mut bytes).await?;
    Ok(Some(bytes))
}

/// The lines that can be read; the last one may be half a line, if the machine went down.
async fn lines<T: DeserializeOwned>(folder: &Path, name: &str) -> io::Result<Vec<T>> {
    let Some(bytes) = read(&folder.join(name)).await? else { return Ok(Vec::new()) };
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

async fn lock(folder: &Path) -> io::Result<std::fs::File> {
    let path = folder.join("lock");
    let file = private().write(true).create(true).truncate(false).open(&path).await?;
    let file = file.into_std().await;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(io::Error::other(format!(
            "the folder {} is in use by another process",
            folder.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}
