//! Where data waits when it cannot flow on at once: in memory up to a threshold, then on disk.

mod disk;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::account::{Account, Share};
use crate::payload::ByteStream;
use crate::shelf::Shelf;
use crate::{Error, Result, text};
use disk::{Disk, Store};

/// How much is handed to the disk at a time: large enough that a change of threads is not felt,
/// small enough that many deliveries at once have room. On a slow disk two are in use, one being
/// filled while the other is written.
const BATCH: usize = 512 * 1024;

/// Chunks of this size go to the disk as they are: gathering them would cost another copy.
const LARGE: usize = 64 * 1024;

/// How much is read from the disk at a time.
const BLOCK: usize = 256 * 1024;

/// The smallest buffer that data waits in.
const SMALLEST: usize = 4 * 1024;

/// Where data waits, and how much of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpoolLimits {
    /// The folder that unnamed files are made in, `/tmp` unless set. Without one, data waits in
    /// memory alone, and what is larger than [`memory_per_delivery`](Self::memory_per_delivery) is refused.
    pub dir: Option<PathBuf>,
    /// Bytes that one delivery may hold in memory before it goes to disk.
    pub memory_per_delivery: usize,
    /// Bytes that all deliveries together may hold in memory. Beyond it each goes to disk at once.
    pub memory_total: usize,
    /// Bytes that one delivery may spool.
    pub bytes_per_delivery: u64,
    /// Bytes that all deliveries together may spool.
    pub bytes_total: u64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            dir: Some(PathBuf::from("/tmp")),
            memory_per_delivery: 256 << 10,
            memory_total: 16 << 20,
            bytes_per_delivery: 10 << 30,
            bytes_total: 50 << 30,
        }
    }
}

/// The room that all deliveries of a hub share. Clones are the same room.
#[derive(Clone, Debug)]
pub(crate) struct SpoolRoom {
    limits: Arc<SpoolLimits>,
    disk: Disk,
    memory: Account,
    bytes: Account,
}

impl SpoolRoom {
    /// The room that `limits` describe. Looks at the folder once, and blocks while it does.
    ///
    /// # Errors
    /// The hub's, when the folder is missing, is no folder, or lets every user of the machine
    /// remove what others put there.
    pub(crate) fn new(limits: SpoolLimits) -> Result<Self> {
        let disk = Disk::new(limits.dir.clone())?;
        Ok(Self::on(disk, limits))
    }

    fn on(disk: Disk, limits: SpoolLimits) -> Self {
        Self {
            memory: Account::new(limits.memory_total as u64),
            bytes: Account::new(limits.bytes_total),
            limits: Arc::new(limits),
            disk,
        }
    }

    /// Begins to spool one delivery's data.
    pub(crate) fn writer(&self) -> SpoolWriter {
        SpoolWriter {
            buffer: Buffer::new(&self.memory),
            bytes: self.bytes.share(),
            room: self.clone(),
            file: None,
            writing: None,
            spare: None,
            written: 0,
            broken: false,
        }
    }
}

/// Takes one delivery's data. Dropped, it frees everything.
pub(crate) struct SpoolWriter {
    room: SpoolRoom,
    /// Of the hub's spooled bytes, those of this delivery.
    bytes: Share,
    /// Data not yet on its way to the disk.
    buffer: Buffer,
    file: Option<Arc<dyn Store>>,
    /// The batch that is being written, so that filling the next one does not wait for it.
    writing: Option<JoinHandle<io::Result<Option<Buffer>>>>,
    /// An empty buffer for the next batch.
    spare: Option<Buffer>,
    /// Bytes given to the disk.
    written: u64,
    /// A write failed or was dropped half-way, so what is here has a gap.
    broken: bool,
}

impl SpoolWriter {
    /// Takes `chunk`; waits for the disk when the batch before last is not written yet.
    ///
    /// # Errors
    /// The hub's, when its room is full, or its disk is full or fails. The writer is of no more
    /// use then, nor when this future was dropped before it was done.
    pub(crate) async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(interrupted());
        }
        self.admit(chunk.len() as u64)?;
        let large = self.file.is_some() && chunk.len() >= LARGE;
        if large || !self.buffer.take(&chunk, self.batch()) {
            self.flush().await?;
            // Small chunks fill the next batch. What does not fit is written as it is.
            if large || !self.buffer.take(&chunk, self.batch()) {
                let chunk_len = chunk.len() as u64;
                self.start(chunk_len, move |file, at| file.write_all_at(&chunk, at).map(|()| None))
                    .await?;
            }
        }
        self.broken = false;
        Ok(())
    }

    /// All data is here. It can be read once this is done.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn finish(mut self) -> Result<Spooled> {
        if self.broken {
            return Err(interrupted());
        }
        let contents = if self.file.is_some() {
            self.flush().await?;
            self.settle().await?;
            match self.file.take() {
                Some(file) => Contents::Disk(file),
                None => return Err(interrupted()),
            }
        } else {
            let (bytes, share) = self.buffer.into_parts();
            Contents::Memory(bytes, share)
        };
        let len = self.bytes.held();
        Ok(Spooled { inner: Arc::new(Inner { contents, len, _bytes: self.bytes }) })
    }

    /// Counts bytes against both limits before they are taken.
    fn admit(&mut self, more: u64) -> Result<()> {
        let limits = &self.room.limits;
        if more > limits.bytes_per_delivery.saturating_sub(self.bytes.held()) {
            return Err(Error::hub(format!(
                "The data is larger than the {} that this hub lets one delivery keep waiting. Send \
                 less data, or ask the hub's operator for more room.",
                text::byte_count(limits.bytes_per_delivery)
            )));
        }
        if !self.bytes.grow(more) {
            return Err(Error::hub(format!(
                "This hub's room for waiting data ({}) is full. Please send again later, or ask \
                 the hub's operator for more room.",
                text::byte_count(limits.bytes_total)
            ))
            .retry_later());
        }
        Ok(())
    }

    /// How large the buffer may become.
    fn batch(&self) -> usize {
        if self.file.is_some() { BATCH } else { self.room.limits.memory_per_delivery }
    }

    /// Gives the buffer to the disk and takes the spare one.
    async fn flush(&mut self) -> Result<()> {
        if self.file.is_none() {
            let disk = self.room.disk.clone();
            let opened = spawn_blocking(move || disk.open()).await;
            self.file = Some(opened.map_err(|cause| disk::failed(cause.into()))??);
        }
        if self.buffer.bytes.is_empty() {
            return Ok(());
        }
        // First, so that the buffer of the batch before can be filled again.
        self.settle().await?;
        let empty = self.spare.take().unwrap_or_else(|| Buffer::new(&self.room.memory));
        let mut full = std::mem::replace(&mut self.buffer, empty);
        self.start(full.bytes.len() as u64, move |file, at| {
            file.write_all_at(&full.bytes, at)?;
            full.bytes.clear();
            Ok(Some(full))
        })
        .await
    }

    /// Begins a write of `len` bytes, once the one before is done.
    async fn start<W>(&mut self, len: u64, write: W) -> Result<()>
    where
        W: FnOnce(&dyn Store, u64) -> io::Result<Option<Buffer>> + Send + 'static,
    {
        self.settle().await?;
        let Some(file) = self.file.clone() else { return Err(interrupted()) };
        let at = self.written;
        self.written += len;
        // A thread on another core would take the data out of this one's cache, and give it back:
        // that costs several times what the write does.
        match self.room.disk.try_here(move || write(&*file, at)) {
            Ok(done) => self.spare = done.map_err(disk::failed)?.or(self.spare.take()),
            Err(write) => self.writing = Some(spawn_blocking(write)),
        }
        Ok(())
    }

    /// Waits until the running write is done.
    async fn settle(&mut self) -> Result<()> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let done = writing.await;
        self.writing = None;
        match done.unwrap_or_else(|cause| Err(cause.into())) {
            Ok(None) => Ok(()),
            Ok(buffer) => {
                self.spare = buffer;
                Ok(())
            }
            Err(cause) => Err(disk::failed(cause)),
        }
    }
}

fn interrupted() -> Error {
    Error::hub("The hub stopped while data waited there, so the data is incomplete.").retry_later()
}

/// Bytes in memory, each of its capacity paid for.
struct Buffer {
    bytes: Vec<u8>,
    share: Share,
}

impl Buffer {
    fn new(memory: &Account) -> Self {
        Self { bytes: Vec::new(), share: memory.share() }
    }

    /// Copies `chunk` behind what is here, or does nothing and says `false` if more than `most`
    /// bytes would be here or the hub's memory does not allow it.
    ///
    /// It copies, because a chunk may be a small part of a large buffer that it would keep alive.
    fn take(&mut self, chunk: &[u8], most: usize) -> bool {
        let needed = self.bytes.len().saturating_add(chunk.len());
        if needed > most {
            return false;
        }
        if needed > self.bytes.capacity() {
            let capacity = needed.next_power_of_two().max(SMALLEST).min(most);
            let more = capacity - self.bytes.capacity();
            if !self.share.grow(more as u64) {
                return false;
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(chunk);
        true
    }

    fn into_parts(self) -> (Bytes, Share) {
        (self.bytes.into(), self.share)
    }
}

/// Data that has arrived whole and waits in memory or in an unnamed file.
///
/// It can be read as often as wanted, also by several readers at once. The last clone or stream
/// that is dropped frees it.
#[derive(Clone)]
pub struct Spooled {
    inner: Arc<Inner>,
}

struct Inner {
    contents: Contents,
    len: u64,
    /// Keeps the bytes counted for as long as they are here.
    _bytes: Share,
}

enum Contents {
    Memory(Bytes, #[allow(dead_code, reason = "held for its drop")] Share),
    Disk(Arc<dyn Store>),
}

impl Spooled {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.inner.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes from the first.
    pub fn stream(&self) -> ByteStream {
        self.range(0..self.len())
    }

    /// The bytes of `range`, cut to what there is.
    pub fn range(&self, range: Range<u64>) -> ByteStream {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        let reader =
            Reader { inner: self.inner.clone(), next: start, end, shelf: Shelf::default() };
        let blocks = futures_util::stream::try_unfold(reader, |mut reader| async {
            Ok(reader.block().await?.map(|block| (block, reader)))
        });
        ByteStream::new(blocks).with_len(end - start)
    }
}

impl std::fmt::Debug for Spooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spooled").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// One pass over spooled data.
struct Reader {
    inner: Arc<Inner>,
    next: u64,
    end: u64,
    shelf: Shelf,
}

impl Reader {
    async fn block(&mut self) -> Result<Option<Bytes>> {
        let file = match &self.inner.contents {
            Contents::Disk(file) => file.clone(),
            Contents::Memory(bytes, _) => {
                // Both are within `len`, which is the length of these bytes.
                let rest = bytes.slice(self.next as usize..self.end as usize);
                self.next = self.end;
                return Ok(Some(rest).filter(|rest| !rest.is_empty()));
            }
        };
        // At most `BLOCK`, so it fits.
        let size = (self.end - self.next).min(BLOCK as u64) as usize;
        if size == 0 {
            return Ok(None);
        }
        let mut buffer = self.shelf.take(size);
        let at = self.next;
        // What was written a moment ago is in memory still, and the system reads ahead: a change
        // of threads for each block would cost more than the block.
        if let Ok(read @ 1..) = file.read_now(&mut buffer[..size], at) {
            self.next += read as u64;
            return Ok(Some(self.shelf.lend(buffer, read)));
        }
        let reading = spawn_blocking(move || {
            file.read_at(&mut buffer[..size], at)?;
            Ok(buffer)
        });
        let buffer =
            reading.await.unwrap_or_else(|cause| Err(cause.into())).map_err(disk::failed)?;
        self.next += size as u64;
        Ok(Some(self.shelf.lend(buffer, size)))
    }
}
