//! Whole bodies on disk, bounded, so that what is cut on a screen can be had whole.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::exchange::{Exchange, Kept};
use crate::looker::without;
use crate::request::{RequestBody, Source};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepLimits {
    /// Of one body.
    pub body: u64,
    /// Of all of them.
    pub total: u64,
}

impl Default for KeepLimits {
    fn default() -> Self {
        Self { body: 64 << 20, total: 1 << 30 }
    }
}

/// A folder of bodies. Clones share it.
#[derive(Clone)]
pub(crate) struct Bodies(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    limits: KeepLimits,
    next: AtomicU64,
    /// The oldest first.
    files: Mutex<VecDeque<(PathBuf, u64)>>,
}

impl Bodies {
    /// A folder that is there. Bodies of an earlier run count, so that the bound holds.
    pub(crate) async fn open(folder: &Path, limits: KeepLimits) -> std::io::Result<Self> {
        let mut files = Vec::new();
        let mut next = 1;
        let mut entries = tokio::fs::read_dir(folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.split('.').next()?.parse::<u64>().ok());
            let Some(number) = number else { continue };
            next = next.max(number + 1);
            files.push((number, entry.path(), entry.metadata().await?.len()));
        }
        files.sort();
        let files = files.into_iter().map(|(_, path, bytes)| (path, bytes)).collect();
        Ok(Self(Arc::new(Inner {
            folder: folder.to_owned(),
            limits,
            next: AtomicU64::new(next),
            files: Mutex::new(files),
        })))
    }

    /// Keeps the bodies of one exchange.
    pub(crate) fn keep(&self) -> Keep {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        Keep { bodies: self.clone(), number }
    }

    /// Counts a new file, and gives those that must go for it.
    fn count(&self, path: PathBuf, bytes: u64) -> Vec<PathBuf> {
        let mut files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push_back((path, bytes));
        let mut total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let mut gone = Vec::new();
        while total > self.0.limits.total && files.len() > 1 {
            let Some((path, bytes)) = files.pop_front() else { break };
            total -= bytes;
            gone.push(path);
        }
        gone
    }
}

/// Where the bodies of one exchange go.
pub(crate) struct Keep {
    bodies: Bodies,
    number: u64,
}

/// What is kept of a request while it is sent.
pub(crate) struct Keeping {
    keep: Keep,
    bytes: Arc<AtomicU64>,
}

impl Keep {
    fn path(&self, side: &str) -> PathBuf {
        self.bodies.0.folder.join(format!("{}.{side}", self.number))
    }

    /// Writes what the record shows of the body while it is sent.
    pub(crate) fn tee(self, body: RequestBody) -> (RequestBody, Keeping) {
        let path = self.path("sent");
        let most = self.bodies.0.limits.body;
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        let body = body.changed(|writing| {
            let file: Option<File> = None;
            let state = (writing, file, path, count);
            Box::pin(futures_util::stream::unfold(state, move |state| async move {
                let (mut writing, mut file, path, count) = state;
                let next = writing.next().await?;
                if let Ok(written) = &next {
                    let kept = count.load(Ordering::Relaxed);
                    let room = most.saturating_sub(kept).min(written.shown.len() as u64);
                    // A disk that is full must not stop what is sent.
                    if room > 0
                        && append(&mut file, &path, &written.shown[..room as usize]).await.is_ok()
                    {
                        count.fetch_add(room, Ordering::Relaxed);
                    }
                }
                Some((next, (writing, file, path, count)))
            }))
        });
        (body, Keeping { keep: self, bytes })
    }
}

impl Keep {
    /// Writes a result while a hub fetches it.
    pub(crate) fn tee_fetched(self, source: Source) -> (Source, Keeping) {
        let path = self.path("fetched");
        let most = self.bodies.0.limits.body;
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        let file: Option<File> = None;
        let state = (source, file, path, count);
        let source = futures_util::stream::unfold(state, move |state| async move {
            let (mut source, mut file, path, count) = state;
            let next = source.next().await?;
            if let Ok(piece) = &next {
                let room = most.saturating_sub(count.load(Ordering::Relaxed));
                let piece = &piece[..piece.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
                // A disk that is full must not stop what is fetched.
                if !piece.is_empty() && append(&mut file, &path, piece).await.is_ok() {
                    count.fetch_add(piece.len() as u64, Ordering::Relaxed);
                }
            }
            Some((next, (source, file, path, count)))
        });
        (Source::stream(source), Keeping { keep: self, bytes })
    }
}

impl Keeping {
    /// Notes in the request that brought the result where it is: as much of it as went.
    pub(crate) async fn keep_fetched(self, downloads: &mut [Exchange]) {
        let path = self.keep.path("fetched");
        let fetched = downloads.iter_mut().find(|one| one.status == Some(200));
        let Some(exchange) = fetched else { return };
        let bytes = self.bytes.load(Ordering::Relaxed).min(exchange.response_body.total());
        // What was read for it and cut off before it went is none of it.
        let cut = async { tokio::fs::OpenOptions::new().write(true).open(&path).await };
        if let Ok(file) = cut.await
            && file.set_len(bytes).await.is_ok()
        {
            exchange.response_body.keep(self.count(path, bytes).await);
        }
    }

    /// Notes in the exchange where its bodies are, and writes the answer's.
    pub(crate) async fn keep(self, exchange: &mut Exchange, heard: &[u8], secrets: &[String]) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        if bytes > 0 {
            exchange.request_body.keep(self.count(self.keep.path("sent"), bytes).await);
        }
        let shown = match std::str::from_utf8(heard) {
            Ok(text) => without(text, secrets).into_bytes(),
            Err(_) => heard.to_vec(),
        };
        let most = usize::try_from(self.keep.bodies.0.limits.body).unwrap_or(usize::MAX);
        let shown = &shown[..shown.len().min(most)];
        let path = self.keep.path("got");
        if !shown.is_empty() && append(&mut None, &path, shown).await.is_ok() {
            exchange.response_body.keep(self.count(path, shown.len() as u64).await);
        }
    }

    async fn count(&self, path: PathBuf, bytes: u64) -> Option<Kept> {
        for gone in self.keep.bodies.count(path.clone(), bytes) {
            // One that cannot be removed is not counted any more, but does no harm.
            let _ = tokio::fs::remove_file(gone).await;
        }
        Some(Kept { path, bytes })
    }
}

/// Appends, and makes the file if it is not there: readable by its owner alone.
async fn append(file: &mut Option<File>, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if file.is_none() {
        let mut options = tokio::fs::OpenOptions::new();
        options.create(true).write(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        *file = Some(options.open(path).await?);
    }
    if let Some(file) = file {
        file.write_all(bytes).await?;
        file.flush().await?;
    }
    Ok(())
}
