//! Unnamed files: they are gone when the last handle is, even after kill -9.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// What an unnamed file does; tests put in one whose disk is full.
pub(super) trait Store: Send + Sync {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Fills `bytes`.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;

    /// Reads what needs no waiting for the disk, and says how much that was.
    fn read_now(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

/// A file without a name.
struct Unnamed(Option<File>);

impl Unnamed {
    fn file(&self) -> io::Result<&File> {
        self.0.as_ref().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // To let go of a gigabyte takes the system a while, for which no answer should wait.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let file = self.0.take();
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

impl Store for Unnamed {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file()?.write_all_at(bytes, at)
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.file()?.read_exact_at(bytes, at)
    }

    #[cfg(target_os = "linux")]
    fn read_now(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut bytes = [io::IoSliceMut::new(bytes)];
        Ok(rustix::io::preadv2(self.file()?, &mut bytes, at, rustix::io::ReadWriteFlags::NOWAIT)?)
    }
}

type Open = fn(&Path) -> io::Result<Arc<dyn Store>>;

/// A write that takes longer waited for the disk: memory takes a batch in a tenth of it.
const SLOW: Duration = Duration::from_millis(5);
/// For how long after such a write nobody tries to write without a change of threads.
const WARY: Duration = Duration::from_secs(10);

/// The folder that unnamed files are made in.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    dir: Option<Arc<Path>>,
    open: Open,
    pace: Arc<Pace>,
}

/// Whether writes go to the system's memory, as they mostly do, or wait for the disk.
#[derive(Debug)]
struct Pace {
    began: Instant,
    /// Milliseconds since then.
    slow_until: AtomicU64,
    /// Held while a write holds a worker of the runtime. One alone may: how long it takes is known
    /// only when it is done, and a disk that hangs must not hold them all.
    here: Mutex<()>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { began: Instant::now(), slow_until: AtomicU64::new(0), here: Mutex::new(()) }
    }
}

impl Pace {
    fn millis(&self, more: Duration) -> u64 {
        u64::try_from((self.began.elapsed() + more).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Disk {
    /// See [`SpoolRoom::new`](super::SpoolRoom::new).
    pub(super) fn new(dir: Option<PathBuf>) -> Result<Self> {
        if let Some(dir) = &dir {
            check(dir)?;
        }
        Ok(Self { dir: dir.map(Arc::from), open: unnamed, pace: Arc::default() })
    }

    #[cfg(test)]
    pub(super) fn with(dir: &Path, open: Open) -> Self {
        Self { dir: Some(dir.into()), open, pace: Arc::default() }
    }

    /// Whether a write is as good as a copy in memory.
    pub(super) fn is_quick(&self) -> bool {
        self.pace.slow_until.load(Ordering::Relaxed) <= self.pace.millis(Duration::ZERO)
    }

    /// Writes here and now and notes whether that was quick, or gives `write` back: to a thread that
    /// may wait for the disk.
    pub(super) fn try_here<T, W: FnOnce() -> T>(&self, write: W) -> Result<T, W> {
        if !self.is_quick() || !others_work() {
            return Err(write);
        }
        let _here = match self.pace.here.try_lock() {
            Ok(here) => here,
            Err(TryLockError::Poisoned(poison)) => poison.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(write),
        };
        let began = Instant::now();
        let done = write();
        if began.elapsed() > SLOW {
            self.pace.slow_until.fetch_max(self.pace.millis(WARY), Ordering::Relaxed);
        }
        Ok(done)
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
            if let Some(busy) = Error::too_many_open(&cause) {
                return busy;
            }
            let kind = cause.kind();
            failed(io::Error::new(kind, format!("{}: {cause}", dir.display())))
        })
    }
}

/// Whether the runtime has a worker besides this one, which goes on while this one is held up.
fn others_work() -> bool {
    tokio::runtime::Handle::current().metrics().num_workers() > 1
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
        Ok(file) => Ok(Arc::new(Unnamed(Some(file.into())))),
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
    Ok(Arc::new(Unnamed(Some(file))))
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
        let mut bytes = [0; 3];
        file.read_at(&mut bytes, 2).unwrap();
        assert_eq!(&bytes, b"abc");
        assert_eq!(dir.entries(), 0);
    }
}
