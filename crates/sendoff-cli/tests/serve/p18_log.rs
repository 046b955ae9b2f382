//! P18: a log that cannot be written costs the log alone, and strangers cannot fill it.

use std::fs::File;
use std::process::Stdio;

use crate::hub::Hub;
use crate::wire::Wire;

/// What nobody can write to: a pipe that nobody reads, and a full disk.
fn unwritable() -> [Stdio; 2] {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    [writer.into(), File::options().write(true).open("/dev/full").unwrap().into()]
}

#[test]
fn p18_a_log_that_cannot_be_written_ends_neither_the_hub_nor_a_delivery() {
    for stderr in unwritable() {
        let mut hub = Hub::start_unheard(stderr);
        let mut running = Wire::open(hub.address);
        running.send(hub.sleep(300));
        // Each makes a line in the log.
        let stranger = "POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(Wire::open(hub.address).call(stranger).status, 403);
        let answer = running.receive().unwrap();
        assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
        assert!(hub.is_running());
        hub.terminate();
        assert_eq!(hub.ended().0.code(), Some(0));
    }
}

#[test]
fn p18_strangers_cannot_fill_the_log() {
    let hub = Hub::start(&[]);
    let path = format!("/actions/{}/execute", "x".repeat(12_000));
    for _ in 0..50 {
        let stranger = format!("POST {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(Wire::open(hub.address).call(stranger).status, 403);
    }
    hub.terminate();
    let (status, said) = hub.ended();
    assert_eq!(status.code(), Some(0));
    let refused: Vec<_> = said.lines().filter(|line| line.contains("no valid token")).collect();
    // Ten at once, and ten more should the test take longer than ten seconds.
    assert!((1..=20).contains(&refused.len()), "{} lines", refused.len());
    assert!(refused.iter().all(|line| line.len() < 400), "{}", refused[0].len());
}
