//! P26: a jump of the wall clock changes displayed times and nothing else.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::hub::Hub;
use crate::request::{Order, Request};
use crate::sink::{Pause, Sink, Told};
use crate::wire::Wire;

const DAY: i64 = 24 * 60 * 60;
const NEWLINES: usize = 20;

/// Builds the shim. The C compiler is there: Rust links with it.
fn shim(folder: &Path) -> String {
    let library = folder.join("clock.so").to_str().unwrap().to_owned();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/clock_shim.c");
    let arguments = ["-shared", "-fPIC", "-O1", "-o", &library, source];
    assert!(Command::new("cc").args(arguments).status().unwrap().success());
    library
}

/// The date of a log line, such as 2026-01-31.
fn date(line: &str) -> &str {
    &line[..10]
}

#[test]
fn p26_jumps_of_the_wall_clock_change_no_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let offset = folder.path().join("offset");
    let set = |seconds: i64| {
        // Renamed, so that nobody reads half a number.
        let new = folder.path().join("new");
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(&new, &offset).unwrap();
    };
    set(0);
    let mut hub = Hub::start(&[
        ("LD_PRELOAD", &shim(folder.path())),
        ("CLOCK_OFFSET", offset.to_str().unwrap()),
        ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
        ("SENDOFF_LIMITS_KEEP_ALIVE", "20 ms"),
        // Shorter than the jumps, and the end of a test that hangs.
        ("SENDOFF_LIMITS_DEADLINE", "60 s"),
    ]);
    let mut shown = Vec::new();
    for jump in [DAY, -DAY, 0] {
        let sink = Sink::start(1, Pause::At(64 << 10));
        let request = Request::to(&hub, &sink.url(), Order::DataThenForm, 4 << 20);
        let mut caller = Wire::open(hub.address);
        request.send(&mut caller);
        assert_eq!([sink.next(), sink.next()], [Told::Begun, Told::Paused]);
        let (ticks, since) = (hub.ticks(), Instant::now());
        set(jump);
        // The delivery lives on, and at its own pace.
        caller.wait_for_newlines(NEWLINES);
        let (used, elapsed) = (hub.ticks() - ticks, since.elapsed().as_millis() as u64 / 10);
        assert!(used * 2 < elapsed, "{used} of {elapsed} ticks");
        sink.release();
        let answer = caller.receive().unwrap();
        assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
        assert_eq!(sink.next(), Told::Whole(request.delivered_bytes()));
        shown.push(date(&hub.wait_for("outcome=\"delivered\"")).to_owned());
    }
    // The clock did jump: two days lie between the first two.
    assert!(shown[0] > shown[2] && shown[2] > shown[1], "{shown:?}");
    hub.terminate();
    let (status, said) = hub.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("a fault in the hub"), "{said}");
}
