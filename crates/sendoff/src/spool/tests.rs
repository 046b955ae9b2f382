//! What is spooled comes back, is bounded, and leaves nothing.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use futures_util::future;
use proptest::prelude::*;

use super::*;
use crate::error::{Class, Retry};

/// An empty folder, removed at the end.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let dir = Path::new("/tmp").join(format!("sendoff-spool-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn entries(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn limits(dir: &Folder) -> SpoolLimits {
    SpoolLimits { dir: Some(dir.path().to_owned()), ..SpoolLimits::default() }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}

async fn put(room: &SpoolRoom, data: &[u8], chunk: usize) -> Result<Spooled> {
    let mut writer = room.writer();
    for chunk in data.chunks(chunk) {
        writer.write(Bytes::copy_from_slice(chunk)).await?;
    }
    writer.finish().await
}

async fn get(mut stream: ByteStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        assert!(!chunk.is_empty());
        all.extend_from_slice(&chunk);
    }
    all
}

fn on_disk(spooled: &Spooled) -> bool {
    matches!(spooled.inner.contents, Contents::Disk(_))
}

#[tokio::test]
async fn what_goes_in_comes_out_at_every_size_around_the_limits() {
    let dir = Folder::new();
    let room = SpoolRoom::new(limits(&dir)).unwrap();
    let threshold = 256 << 10;
    let edges = [0, 1, SMALLEST, threshold, BLOCK * 2, BATCH, BATCH * 2 + threshold, 3 << 20];
    for edge in edges {
        for len in [edge.saturating_sub(1), edge, edge + 1] {
            let data = pattern(len);
            for chunk in [16 << 10, BATCH * 2 + 1] {
                let spooled = put(&room, &data, chunk).await.unwrap();
                assert_eq!(spooled.len(), len as u64);
                assert_eq!(spooled.is_empty(), len == 0);
                assert_eq!(on_disk(&spooled), len > threshold, "{len} bytes");
                assert!(get(spooled.stream()).await == data, "{len} bytes by {chunk}");
            }
        }
    }
    assert_eq!((room.memory.used(), room.bytes.used()), (0, 0));
}

#[tokio::test]
async fn ranges_are_cut_to_what_there_is() {
    let dir = Folder::new();
    let room = SpoolRoom::new(limits(&dir)).unwrap();
    for len in [1000, 1_000_000] {
        let data = pattern(len);
        let spooled = put(&room, &data, 999).await.unwrap();
        let len = len as u64;
        for (range, expected) in [
            (0..1, 0..1),
            (len - 1..len, len - 1..len),
            (len - 1..len + 9, len - 1..len),
            (len + 1..len + 9, len..len),
            (7..len / 2, 7..len / 2),
        ] {
            let stream = spooled.range(range);
            assert_eq!(stream.len_hint(), Some(expected.end - expected.start));
            let expected = &data[expected.start as usize..expected.end as usize];
            assert!(get(stream).await == expected);
        }
    }
}

#[tokio::test]
async fn several_read_at_once_and_outlive_the_handle() {
    let dir = Folder::new();
    let room = SpoolRoom::new(limits(&dir)).unwrap();
    let data = pattern(3 << 20);
    let spooled = put(&room, &data, 64 << 10).await.unwrap();
    let (first, second) = (spooled.stream(), spooled.clone().range(5..3 << 20));
    drop(spooled);
    let (first, second) = future::join(get(first), get(second)).await;
    assert!(first == data);
    assert!(second == data[5..]);
    assert_eq!(room.bytes.used(), 0);
}

#[tokio::test]
async fn nothing_is_listed_while_data_waits() {
    let dir = Folder::new();
    let room = SpoolRoom::new(limits(&dir)).unwrap();
    let mut writer = room.writer();
    writer.write(pattern(1 << 20).into()).await.unwrap();
    assert!(writer.file.is_some());
    assert_eq!(dir.entries(), 0);
    let spooled = writer.finish().await.unwrap();
    assert!(on_disk(&spooled));
    assert_eq!(dir.entries(), 0);
}

#[tokio::test]
async fn a_delivery_has_its_limit_and_all_have_one_together() {
    let dir = Folder::new();
    let mut limits = limits(&dir);
    (limits.bytes_per_delivery, limits.bytes_total) = (1000, 1500);
    let room = SpoolRoom::new(limits).unwrap();

    let error = put(&room, &pattern(1001), 100).await.unwrap_err();
    assert_eq!((error.class(), error.retry()), (Class::Hub, Retry::No));
    assert!(error.message().contains("larger than the 1000 bytes"), "{error}");

    let held = put(&room, &pattern(1000), 100).await.unwrap();
    let error = put(&room, &pattern(501), 100).await.unwrap_err();
    assert_eq!((error.class(), error.retry()), (Class::Hub, Retry::Later));
    assert!(error.message().contains("room for waiting data (1.5 KiB) is full"), "{error}");

    drop(held);
    assert_eq!(put(&room, &pattern(1000), 100).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn without_memory_to_share_data_goes_to_disk_at_once() {
    let dir = Folder::new();
    let mut limits = limits(&dir);
    limits.memory_total = 8 << 10;
    let room = SpoolRoom::new(limits).unwrap();
    let data = pattern(20 << 10);
    let first = put(&room, &data[..6000], 1000).await.unwrap();
    assert!(!on_disk(&first));
    assert_eq!(room.memory.used(), 8 << 10);
    let second = put(&room, &data, 1000).await.unwrap();
    assert!(on_disk(&second));
    assert!(get(second.stream()).await == data);
    assert_eq!(room.memory.used(), 8 << 10);
    drop(first);
    assert_eq!(room.memory.used(), 0);
}

#[tokio::test]
async fn a_dropped_writer_frees_everything() {
    let dir = Folder::new();
    let room = SpoolRoom::new(limits(&dir)).unwrap();
    let mut writer = room.writer();
    writer.write(pattern(100_000).into()).await.unwrap();
    assert_eq!((room.memory.used(), room.bytes.used()), (128 << 10, 100_000));
    drop(writer);
    assert_eq!((room.memory.used(), room.bytes.used()), (0, 0));
}

#[tokio::test]
async fn a_dropped_write_spoils_the_writer() {
    // While the test holds it, no file is made, so the write cannot be done at the first poll.
    static GATE: Mutex<()> = Mutex::new(());
    fn open_after_gate(_: &Path) -> io::Result<Arc<dyn Store>> {
        drop(GATE.lock());
        Ok(Arc::new(Small(Mutex::default())))
    }

    let disk = Disk::with(Path::new("/nowhere"), open_after_gate);
    let mut writer = SpoolRoom::on(disk, SpoolLimits::default()).writer();
    let chunk = Bytes::from(pattern(500_000));
    let gate = GATE.lock();
    assert!(future::FutureExt::now_or_never(writer.write(chunk.clone())).is_none());
    drop(gate);
    assert_eq!(writer.write(chunk).await.unwrap_err().class(), Class::Hub);
    assert_eq!(writer.finish().await.unwrap_err().class(), Class::Hub);
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_at_the_start() {
    use std::os::unix::fs::PermissionsExt;

    let dir = Folder::new();
    let set = |mode| {
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).unwrap();
        SpoolRoom::new(limits(&dir))
    };
    assert!(set(0o1777).is_ok());
    assert!(set(0o700).is_ok());
    let error = set(0o777).unwrap_err();
    assert_eq!(error.class(), Class::Hub);
    assert!(error.log_line().contains("world-writable"), "{}", error.log_line());

    let missing = dir.path().join("missing");
    let error = SpoolRoom::new(SpoolLimits { dir: Some(missing), ..limits(&dir) }).unwrap_err();
    assert!(!error.message().contains("missing"), "{error}");
    assert!(error.log_line().contains("missing"), "{}", error.log_line());
}

#[tokio::test]
async fn a_folder_that_fails_later_is_the_hubs_error() {
    // A folder that went away, one that takes no files even from root, and none at all.
    let gone = Folder::new();
    let room = SpoolRoom::new(limits(&gone)).unwrap();
    std::fs::remove_dir(gone.path()).unwrap();
    let proc = SpoolLimits { dir: Some("/proc".into()), ..SpoolLimits::default() };
    let none = SpoolLimits { dir: None, ..SpoolLimits::default() };
    for (room, said) in [
        (room, "disk failed"),
        (SpoolRoom::new(proc).unwrap(), "disk failed"),
        (SpoolRoom::new(none).unwrap(), "no folder"),
    ] {
        let error = put(&room, &pattern(300_000), 10_000).await.unwrap_err();
        assert_eq!(error.class(), Class::Hub);
        assert!(error.message().contains(said), "{error}");
        assert!(!error.message().contains('/'), "{error}");
        assert_eq!((room.memory.used(), room.bytes.used()), (0, 0));
    }
}

/// A disk that takes 600,000 bytes and then says what a full one says.
struct Small(Mutex<Vec<u8>>);

impl Store for Small {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut all = self.0.lock().unwrap();
        if at as usize + bytes.len() > 600_000 {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        assert_eq!(all.len() as u64, at);
        all.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        if at >= 300_000 {
            return Err(rustix::io::Errno::IO.into());
        }
        bytes.copy_from_slice(&self.0.lock().unwrap()[at as usize..][..bytes.len()]);
        Ok(())
    }
}

fn small_room() -> SpoolRoom {
    let disk = Disk::with(Path::new("/nowhere"), |_| Ok(Arc::new(Small(Mutex::default()))));
    SpoolRoom::on(disk, SpoolLimits::default())
}

#[tokio::test]
async fn a_full_disk_is_never_a_shorter_file() {
    for len in [600_001, 900_000, 5_000_000] {
        let room = small_room();
        let error = put(&room, &pattern(len), 10_000).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (Class::Hub, Retry::Later));
        assert!(error.message().contains("disk is full"), "{error}");
        assert_eq!((room.memory.used(), room.bytes.used()), (0, 0));
    }
}

#[tokio::test]
async fn without_a_file_descriptor_the_hub_is_busy_and_its_disk_is_well() {
    let disk = Disk::with(Path::new("/nowhere"), |_| Err(rustix::io::Errno::MFILE.into()));
    let room = SpoolRoom::on(disk, SpoolLimits::default());
    let error = put(&room, &pattern(900_000), 10_000).await.unwrap_err();
    assert_eq!((error.class(), error.retry()), (Class::Hub, Retry::Later));
    assert!(error.message().contains("is busy"), "{error}");
}

/// A disk whose first write waits.
struct Slow;

impl Store for Slow {
    #[allow(clippy::disallowed_methods, reason = "a slow disk does block")]
    fn write_all_at(&self, _: &[u8], at: u64) -> io::Result<()> {
        if at == 0 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_write_waits_for_a_slow_disk_where_others_work() {
    let disk = Disk::with(Path::new("/nowhere"), |_| Ok(Arc::new(Slow)));
    let room = SpoolRoom::on(disk, SpoolLimits::default());
    assert!(room.disk.is_quick());
    let mut writer = room.writer();
    for _ in 0..8 {
        writer.write(Bytes::from(pattern(300_000))).await.unwrap();
    }
    assert!(!room.disk.is_quick());
    assert!(writer.writing.is_some(), "the last write is another thread's");
    writer.finish().await.unwrap();
}

#[test]
fn where_nobody_else_works_no_write_holds_the_worker() {
    let disk = Disk::with(Path::new("/nowhere"), |_| Ok(Arc::new(Slow)));
    let threads = |count| tokio::runtime::Builder::new_multi_thread().worker_threads(count).build();
    let alone = tokio::runtime::Builder::new_current_thread().build();
    for (runtime, here) in [(alone, false), (threads(1), false), (threads(2), true)] {
        let _entered = runtime.as_ref().unwrap().enter();
        assert_eq!(disk.try_here(|| ()).is_ok(), here);
    }
}

/// Ends a test that hangs; nothing is measured by it.
const HANGS: std::time::Duration = std::time::Duration::from_secs(20);

/// A disk on which every write hangs until the test says otherwise.
struct Hanging(Arc<Latch>);

#[derive(Default)]
struct Latch {
    /// Writes that hang, and whether they may go on.
    state: Mutex<(usize, bool)>,
    changed: std::sync::Condvar,
}

impl Latch {
    fn hang(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).unwrap());
    }

    /// Whether so many writes have come.
    fn wait_for(&self, writes: usize) -> bool {
        let state = self.state.lock().unwrap();
        let (state, _) =
            self.changed.wait_timeout_while(state, HANGS, |state| state.0 < writes).unwrap();
        state.0 >= writes
    }

    fn release(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

impl Store for Hanging {
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        self.0.hang();
        Ok(())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_hangs_leaves_a_worker_to_others() {
    static LATCH: std::sync::LazyLock<Arc<Latch>> = std::sync::LazyLock::new(Arc::default);
    const WRITERS: usize = 4;
    let disk = Disk::with(Path::new("/nowhere"), |_| Ok(Arc::new(Hanging(Arc::clone(&LATCH)))));
    let room = SpoolRoom::on(disk, SpoolLimits::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let room = room.clone();
            runtime.spawn(async move { put(&room, &pattern(1 << 20), 300_000).await.unwrap() })
        })
        .collect();
    // Were both workers held, the other writers would not get as far as that.
    let all = LATCH.wait_for(WRITERS);
    let (say, said) = std::sync::mpsc::channel();
    runtime.spawn(async move { say.send(()) });
    let answered = said.recv_timeout(HANGS);
    LATCH.release();
    assert!(all, "writers wait for one another");
    answered.expect("nobody is served");
    for writer in writers {
        assert_eq!(runtime.block_on(writer).unwrap().len(), 1 << 20);
    }
}

#[tokio::test]
async fn a_disk_that_fails_while_it_is_read_ends_the_stream_with_an_error() {
    let spooled = put(&small_room(), &pattern(600_000), 10_000).await.unwrap();
    let mut stream = spooled.stream();
    let mut read = 0;
    let error = loop {
        match stream.next().await.expect("an error before the end") {
            Ok(chunk) => read += chunk.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.class(), Class::Hub);
    assert!(error.message().contains("disk failed"), "{error}");
    assert!(read < 600_000);
}

#[test]
fn the_account_never_goes_over_its_limit() {
    let account = Account::new(10);
    let (mut first, mut second) = (account.share(), account.share());
    assert!(first.grow(6) && !second.grow(5) && second.grow(4) && !first.grow(1));
    assert!(!first.grow(u64::MAX));
    drop(second);
    assert!(first.grow(4));
    drop(first);
    assert_eq!(account.used(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_chunks_come_back(
        sizes in prop::collection::vec(prop_oneof![0usize..2000, 0usize..1_200_000], 0..12),
        memory in prop_oneof![Just(0usize), 0usize..4_000_000],
    ) {
        let dir = Folder::new();
        let room = SpoolRoom::new(SpoolLimits { memory_total: memory, ..limits(&dir) }).unwrap();
        let data = pattern(sizes.iter().sum());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let same = runtime.block_on(async {
            let (mut writer, mut rest) = (room.writer(), Bytes::copy_from_slice(&data));
            for size in sizes {
                writer.write(rest.split_to(size)).await.unwrap();
            }
            get(writer.finish().await.unwrap().stream()).await == data
        });
        prop_assert!(same);
        prop_assert_eq!((room.memory.used(), room.bytes.used()), (0, 0));
    }
}
