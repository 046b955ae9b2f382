//! A stand-in for the operator's disk: a folder that goes away with it.
//!
//! There is no vendor and no page: what rename and fsync promise stands in POSIX.1-2024.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use sendoff::testing::{Fake, Object};
use sendoff::{AnyAction, Values};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::LocalFile;

struct Disk {
    root: TempDir,
}

/// The action with a folder of its own.
///
/// # Panics
/// When no temporary folder can be made.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let root = tempfile::tempdir().expect("a temporary folder for the stand-in");
    let action = LocalFile::new(root.path().to_owned());
    (Box::new(action), Arc::new(Disk { root }))
}

impl Fake for Disk {
    fn origins(&self) -> Vec<String> {
        Vec::new()
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        [("path", "reports/daily"), ("filename", "orders.csv")].into_iter().collect()
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        self.look(|name| !name.ends_with(".part"))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        let parts = self.look(|name| name.ends_with(".part"));
        Box::pin(async { parts.await.into_iter().map(|part| part.name).collect() })
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        ("text/plain", String::new())
    }

    fn commits(&self, _: &Method, _: &str) -> bool {
        false
    }
}

impl Disk {
    /// The files whose names `wanted` takes.
    fn look(&self, wanted: fn(&str) -> bool) -> BoxFuture<'_, Vec<Object>> {
        let root = self.root.path().to_owned();
        Box::pin(async move {
            let walk = move || {
                let mut found = Vec::new();
                // A file may be renamed while the folder is read: what is gone is not there.
                let _ = collect(&root, &root, wanted, &mut found);
                found.sort_by(|a, b| a.name.cmp(&b.name));
                found
            };
            tokio::task::spawn_blocking(walk).await.unwrap_or_default()
        })
    }
}

fn collect(
    root: &Path,
    folder: &Path,
    wanted: fn(&str) -> bool,
    found: &mut Vec<Object>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() {
            collect(root, &path, wanted, found)?;
        } else if wanted(&name)
            && let Ok((bytes, sha256)) = hash(&path)
        {
            found.push(Object { name, bytes, sha256 });
        }
    }
    Ok(())
}

fn hash(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut digest) = (fs::File::open(path)?, Sha256::new());
    let (mut buffer, mut bytes) = (vec![0; 1 << 16], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            let hex = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok((bytes, hex));
        }
        bytes += read as u64;
        digest.update(&buffer[..read]);
    }
}
