//! Writes one file below a folder, on a thread where blocking is allowed.
//!
//! Every step starts from a folder that is already open and takes one name, never a path, and no
//! step follows a link: so nothing outside can be reached, however the tree is changed meanwhile.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use bytes::Bytes;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sendoff::{Error, Result};
use tokio::sync::mpsc::Receiver;
use uuid::Uuid;

use crate::shared::file_options::IfExists;
use crate::shared::file_path::FilePath;

/// What the writer is given.
pub(super) enum Batch {
    Data(Vec<Bytes>),
    /// All data came: the file may get its name.
    End,
}

/// A file that has its name and is on the disk.
pub(super) struct Written {
    pub(super) path: FilePath,
    pub(super) bytes: u64,
}

pub(super) struct Writer {
    root: PathBuf,
    path: FilePath,
    if_exists: IfExists,
}

/// Small chunks are gathered up to this size; larger ones pass without a copy.
const BUFFER: usize = 128 * 1024;

/// File systems allow 255 bytes for a name; the rest is for the dots and the id.
const PART_STEM: usize = 200;

impl Writer {
    pub(super) fn new(root: PathBuf, path: FilePath, if_exists: IfExists) -> Self {
        Self { root, path, if_exists }
    }

    /// Writes what it is given. The file gets its name only after [`Batch::End`], and only while
    /// the other end of the channel is still held.
    pub(super) fn run(self, mut batches: Receiver<Batch>) -> Result<Written> {
        let folder = self.open_folder()?;
        if self.if_exists == IfExists::Fail && exists(&folder, self.path.name()) {
            return Err(IfExists::refusal(&self.path));
        }
        let part = Part::create(&folder, self.path.name()).map_err(|fault| self.explain(fault))?;
        let mut file = BufWriter::with_capacity(BUFFER, &part.file);
        let mut bytes = 0;
        loop {
            match batches.blocking_recv() {
                Some(Batch::Data(chunks)) => {
                    for chunk in chunks {
                        file.write_all(&chunk).map_err(|fault| self.explain_io(fault))?;
                        bytes += chunk.len() as u64;
                    }
                }
                Some(Batch::End) => break,
                None => return Err(abandoned()),
            }
        }
        file.flush().map_err(|fault| self.explain_io(fault))?;
        drop(file);
        part.file.sync_all().map_err(|fault| self.explain_io(fault))?;
        if batches.is_closed() {
            return Err(abandoned());
        }
        let path = self.give_name(part)?;
        fs::fsync(&folder).map_err(|fault| {
            Error::hub(format!(
                "{path} was written, but the disk did not confirm its name. Look whether it is \
                 there before you send it again."
            ))
            .cause(fault)
            .may_have_arrived()
        })?;
        Ok(Written { path, bytes })
    }

    /// Opens the folder below the root, making what is missing.
    fn open_folder(&self) -> Result<OwnedFd> {
        const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
        let mut folder = fs::openat(CWD, &self.root, FOLDER, Mode::empty()).map_err(no_root)?;
        let step = FOLDER.union(OFlags::NOFOLLOW);
        for name in self.path.folders() {
            folder = match fs::openat(&folder, name, step, Mode::empty()) {
                Err(Errno::NOENT) => {
                    make_folder(&folder, name).map_err(|fault| self.explain_folder(name, fault))?;
                    fs::openat(&folder, name, step, Mode::empty())
                }
                opened => opened,
            }
            .map_err(|fault| self.explain_folder(name, fault))?;
        }
        Ok(folder)
    }

    fn give_name(&self, part: Part) -> Result<FilePath> {
        let tries = match self.if_exists {
            IfExists::Overwrite => {
                part.replace(self.path.name()).map_err(|fault| self.explain(fault))?;
                return Ok(self.path.clone());
            }
            IfExists::Fail => 1,
            IfExists::KeepBoth => IfExists::MOST_NUMBERED,
        };
        for n in 1..=tries {
            let path = self.path.numbered(n);
            match part.claim(path.name()) {
                Ok(()) => return Ok(path),
                Err(Errno::EXIST) => {}
                Err(fault) => return Err(self.explain(fault)),
            }
        }
        Err(match self.if_exists {
            IfExists::KeepBoth => IfExists::no_free_name(&self.path),
            _ => IfExists::refusal(&self.path),
        })
    }

    fn explain_io(&self, fault: io::Error) -> Error {
        match Errno::from_io_error(&fault) {
            Some(errno) => self.explain(errno),
            None => Error::hub(format!("{} could not be written.", self.path)).cause(fault),
        }
    }

    /// What a failed step at the file itself means, and who must act.
    fn explain(&self, fault: Errno) -> Error {
        if let Some(busy) = Error::too_many_open(&fault.into()) {
            return busy;
        }
        let path = &self.path;
        let error = match fault {
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Error::hub(
                "The disk that this hub writes files to is full, so nothing was delivered. Its \
                 operator must make room.",
            )
            .retry_later(),
            Errno::ISDIR => Error::form(
                "filename",
                format!("{path} is a folder, so no file can take its name. Choose another."),
            ),
            Errno::NAMETOOLONG => Error::form(
                "filename",
                format!("\"{}\" is too long for a file name: 255 bytes is the most.", path.name()),
            ),
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Error::hub(format!(
                "This hub has no right to write {path}. Its operator must allow it."
            )),
            _ => Error::hub(format!(
                "{path} could not be written: the disk reported a fault. This hub's operator finds \
                 it in the log."
            )),
        };
        error.cause(fault)
    }

    fn explain_folder(&self, name: &str, fault: Errno) -> Error {
        match fault {
            Errno::LOOP | Errno::NOTDIR => Error::form(
                "path",
                format!("\"{name}\" in the path is not a folder. (Links are not followed.)"),
            )
            .cause(fault),
            Errno::NAMETOOLONG => Error::form(
                "path",
                format!("\"{name}\" is too long for a folder's name: 255 bytes is the most."),
            )
            .cause(fault),
            _ => self.explain(fault),
        }
    }
}

/// The folder that all files are written below cannot be opened.
fn no_root(fault: Errno) -> Error {
    Error::too_many_open(&fault.into()).unwrap_or_else(|| {
        Error::hub(
            "The folder that this hub writes files to cannot be opened. Its operator sets it as \
             file.root (SENDOFF_FILE_ROOT).",
        )
        .cause(fault)
    })
}

fn abandoned() -> Error {
    Error::hub("The delivery ended before its data was complete, so the file was removed again.")
}

fn exists(folder: &OwnedFd, name: &str) -> bool {
    fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn make_folder(parent: &OwnedFd, name: &str) -> Result<(), Errno> {
    match fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        // Another delivery was quicker.
        Err(Errno::EXIST) => Ok(()),
        made => made.and_then(|()| fs::fsync(parent)),
    }
}

/// The file before it has its name. Removed when dropped, unless it got one.
struct Part<'a> {
    folder: &'a OwnedFd,
    temporary: String,
    file: File,
}

impl<'a> Part<'a> {
    fn create(folder: &'a OwnedFd, name: &str) -> Result<Self, Errno> {
        let end = name.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = end.take_while(|end| *end <= PART_STEM).last().unwrap_or(0);
        let temporary = format!(".{}.{}.part", &name[..end], Uuid::new_v4().simple());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o644);
        let file = fs::openat(folder, &temporary, flags | OFlags::CLOEXEC, mode)?;
        Ok(Self { folder, temporary, file: file.into() })
    }

    /// Takes `name`, whatever had it. A link of that name is replaced, not followed.
    fn replace(&self, name: &str) -> Result<(), Errno> {
        fs::renameat(self.folder, &self.temporary, self.folder, name)
    }

    /// Takes `name` if nothing has it.
    fn claim(&self, name: &str) -> Result<(), Errno> {
        let folder = self.folder.as_fd();
        match fs::renameat_with(folder, &self.temporary, folder, name, RenameFlags::NOREPLACE) {
            // A file system without that flag: a hard link does not replace either, and dropping
            // the part removes its first name.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::linkat(folder, &self.temporary, folder, name, AtFlags::empty())
            }
            claimed => claimed,
        }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        match fs::unlinkat(self.folder, &self.temporary, AtFlags::empty()) {
            // It was renamed.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(fault) => tracing::warn!(%fault, "an unfinished file could not be removed"),
        }
    }
}

#[cfg(test)]
mod tests;
