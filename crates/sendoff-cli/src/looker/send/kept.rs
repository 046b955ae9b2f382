//! The files that a send leaves behind: opened before anything is sent, written after the outcome is
//! told. What then cannot be written is told, too, and changes nothing about the outcome.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendoff_workbench::instance::Entry;
use sendoff_workbench::recording;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::Stop;
use crate::tell::tell;

/// More than any state has.
const STATE_AT_MOST: u64 = 64 << 10;

/// The state that Looker would keep for the user.
pub(super) struct State {
    open: Option<(PathBuf, File)>,
    /// What it was.
    pub(super) before: Option<String>,
}

impl State {
    pub(super) async fn open(path: Option<&Path>) -> Result<Self, Stop> {
        let Some(path) = path else { return Ok(Self { open: None, before: None }) };
        let mut file = opened(path).await?;
        let mut before = String::new();
        let read = (&mut file).take(STATE_AT_MOST).read_to_string(&mut before).await;
        read.map_err(|error| Stop::usage(format!("{} cannot be read: {error}.", path.display())))?;
        let before = Some(before).filter(|state| !state.is_empty());
        Ok(Self { open: Some((path.to_owned(), file)), before })
    }

    pub(super) async fn write(self, state: Option<String>) {
        let Some((path, file)) = self.open else { return };
        let state = state.unwrap_or_default();
        let written = async {
            let mut file = emptied(file).await?;
            file.write_all(state.as_bytes()).await?;
            file.flush().await
        };
        told(&path, written.await);
    }
}

/// The recording of what crossed the wire.
pub(super) struct Record(Option<(PathBuf, File)>);

impl Record {
    pub(super) async fn open(path: Option<&Path>) -> Result<Self, Stop> {
        match path {
            Some(path) => Ok(Self(Some((path.to_owned(), opened(path).await?)))),
            None => Ok(Self(None)),
        }
    }

    pub(super) async fn write(self, entries: Vec<Arc<Entry>>) {
        let Some((path, file)) = self.0 else { return };
        let written = async { recording::export_to(entries, emptied(file).await?).await };
        told(&path, written.await);
    }
}

/// Secrets stand in it: it is its owner's alone.
async fn opened(path: &Path) -> Result<File, Stop> {
    let mut options = tokio::fs::OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    options.mode(0o600);
    let file = options.open(path).await;
    file.map_err(|error| Stop::usage(format!("{} cannot be written: {error}.", path.display())))
}

async fn emptied(mut file: File) -> io::Result<File> {
    // What is no ordinary file has nothing to be emptied.
    if file.metadata().await?.is_file() {
        file.rewind().await?;
        file.set_len(0).await?;
    }
    Ok(file)
}

fn told(path: &Path, written: io::Result<()>) {
    if let Err(error) = written {
        tell!("{} cannot be written: {error}.", path.display());
    }
}
