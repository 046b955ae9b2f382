//! Unnamed files: they are gone when the last handle is, even after kill -9.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Error, Result};

/// What an unnamed file does; tests put in one whose disk is full.
pub(super) trait Store: Send + Sync {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Exactly `size` bytes.
    fn read_at(&self, size: usize, at: u64) -> io::Result<Vec<u8>>;
}

impl Store for File {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn read_at(&self, size: usize, at: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        self.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

type Open = fn(&Path) -> io::Result<Arc<dyn Store>>;

/// The folder that unnamed files are made in.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    dir: Option<Arc<Path>>,
    open: Open,
}

impl Disk {
    /// See [`SpoolRoom::new`](super::SpoolRoom::new).
    pub(super) fn new(dir: Option<PathBuf>) -> Result<Self> {
        if let Some(dir) = &dir {
            check(dir)?;
        }
        Ok(Self { dir: dir.map(Arc::from), open: unnamed })
    }

    #[cfg(test)]
    pub(super) fn with(dir: &Path, open: Open) -> Self {
        Self { dir: Some(dir.into()), open }
    }

    /// Makes a file. Blocks.
    pub(super) fn open(&self) -> Result<Arc<dyn Store>> {
        let Some(dir) = &self.dir else {
            return Err(Error::hub(
                "The data is too large to wait in this hub's memory, and the hub has no folder \
                 to let it wait in. Ask the hub's operator to set one.",
            ));
        };
        (self.open)(dir).map_err(|cause| {
            let kind = cause.kind();
            failed(io::Error::new(kind, format!("{}: {cause}", dir.display())))
        })
    }
}

/// Refuses a folder in which any user of the machine could replace another's file between its
/// making and its unlinking.
fn check(dir: &Path) -> Result<()> {
    let refuse = |cause: String| {
        let cause = format!("{}: {cause}", dir.display());
        Error::hub("The folder for waiting data cannot be used. Set another.").cause(cause)
    };
    let about = fs::metadata(dir).map_err(|cause| refuse(cause.to_string()))?;
    if !about.is_dir() {
        return Err(refuse("is no folder".to_owned()));
    }
    if about.mode() & 0o1002 == 0o0002 {
        return Err(refuse("is world-writable without the sticky bit".to_owned()));
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn unnamed(dir: &Path) -> io::Result<Arc<dyn Store>> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;

    // With O_EXCL nobody can give the file a name later.
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(Arc::new(File::from(file))),
        // What file systems and kernels say that do not know O_TMPFILE; see open(2).
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => unlinked(dir),
        Err(cause) => Err(cause.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn unnamed(dir: &Path) -> io::Result<Arc<dyn Store>> {
    unlinked(dir)
}

/// A file that loses its name at once.
fn unlinked(dir: &Path) -> io::Result<Arc<dyn Store>> {
    let path = dir.join(format!("sendoff-{}", uuid::Uuid::new_v4()));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(Arc::new(file))
}

/// The hub's error for what the disk said. The path stands in the cause alone.
pub(super) fn failed(cause: io::Error) -> Error {
    let full = matches!(
        cause.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    );
    let message = if full {
        "This hub's disk is full, so the data could not wait there. Please send again later, or \
         ask the hub's operator to make room."
    } else {
        "This hub's disk failed while data waited there. Please send again, and tell the hub's \
         operator if it happens again."
    };
    Error::hub(message).cause(cause).retry_later()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_o_tmpfile_has_no_name_either() {
        let dir = super::super::tests::Folder::new();
        let file = unlinked(dir.path()).unwrap();
        file.write_all_at(b"abc", 2).unwrap();
        assert_eq!(file.read_at(3, 2).unwrap(), b"abc");
        assert_eq!(dir.entries(), 0);
    }
}
