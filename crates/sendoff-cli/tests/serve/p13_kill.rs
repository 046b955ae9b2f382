//! P13: after kill -9 no file looks finished that is not, and the next start serves.

use std::collections::HashMap;
use std::path::Path;

use crate::hub::{Hub, until};
use crate::random::Random;
use crate::request::{Order, Request};
use crate::wire::Wire;

/// More than the spool keeps in memory, and many batches of the file's writer.
const SIZE: usize = 3 << 20;

/// SENDOFF_TEST_KILLS=500 for a night.
pub(crate) fn kills() -> u64 {
    std::env::var("SENDOFF_TEST_KILLS").map_or(30, |kills| kills.parse().unwrap())
}

fn start(root: &Path, spool: &Path) -> Hub {
    Hub::start(&[
        ("SENDOFF_FILE_ROOT", root.to_str().unwrap()),
        ("SENDOFF_SPOOL_DIR", spool.to_str().unwrap()),
    ])
}

fn request(hub: &Hub, name: &str, order: Order) -> Request {
    Request::new(hub, "file", &format!(r#"{{"filename":"{name}"}}"#), order, SIZE)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Where a delivery is when its hub is killed.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// So many bytes of the request were sent, and what the hub got is on its disk.
    Taken(usize),
    /// All was sent just now: the hub is anywhere from its first byte on.
    Sent,
    /// The file just got its name.
    Named,
}

/// What the hub may hold back of the data that it got.
const BUFFERED: usize = 1 << 20;

fn deliver_until(point: Point, hub: Hub, request: &[u8], file: &Path) {
    let mut caller = Wire::open(hub.address);
    let before = hub.written();
    let size = if let Point::Taken(bytes) = point { bytes } else { request.len() };
    caller.send(&request[..size]);
    match point {
        Point::Taken(bytes) => {
            let least = before + bytes.saturating_sub(BUFFERED) as u64;
            until("nothing is written", || hub.written() >= least);
        }
        Point::Sent => {}
        Point::Named => until("the file gets no name", || file.exists()),
    }
    // Kills it with SIGKILL and waits for its end.
    drop(hub);
    if let Ok(answer) = caller.receive() {
        assert!(answer.body.contains("\"success\":true") && file.exists(), "{answer:?}");
    }
}

#[test]
fn p13_kill_nine_leaves_no_file_that_looks_finished() {
    let (root, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ends = HashMap::<&str, u32>::new();
    let mut hub = start(root.path(), spool.path());
    for seed in 0..kills() {
        let mut random = Random::seeded(seed + 1);
        let order = [Order::FormThenData, Order::DataThenForm][random.below(2)];
        let name = format!("{seed}.csv");
        let file = root.path().join(&name);
        let delivery = request(&hub, &name, order);
        let bytes = delivery.to_bytes();
        let point = match random.below(5) {
            0 => Point::Named,
            1 => Point::Sent,
            _ => Point::Taken(random.below(bytes.len())),
        };
        let seed = format!("seed {seed}: {order:?}, {point:?}");
        deliver_until(point, hub, &bytes, &file);

        let whole = delivery.delivered();
        let parts: Vec<_> = names(root.path());
        for other in parts.iter().filter(|other| **other != name) {
            // The one leftover that the file action's page names: nobody takes it for finished.
            assert!(other.starts_with('.') && other.ends_with(".part"), "{seed}: {other}");
        }
        if file.exists() {
            assert!(std::fs::read_to_string(&file).unwrap() == whole, "{seed}: half a file");
        }
        let end = match (file.exists(), parts.len()) {
            (true, _) => "delivered",
            (false, 0) => "nothing",
            (false, _) => "a part",
        };
        *ends.entry(end).or_default() += 1;
        assert_eq!(names(spool.path()), [""; 0], "{seed}");

        hub = start(root.path(), spool.path());
        let again = Wire::open(hub.address).call(request(&hub, &name, order).to_bytes());
        assert!(again.body.contains("\"success\":true"), "{seed}: {}", again.body);
        assert!(std::fs::read_to_string(&file).unwrap() == whole, "{seed}: delivered again");
        for left in names(root.path()) {
            std::fs::remove_file(root.path().join(left)).unwrap();
        }
    }
    // Or the kills came at other times than they should.
    println!("{ends:?}");
    assert_eq!(ends.len(), 3, "{ends:?}");
}
