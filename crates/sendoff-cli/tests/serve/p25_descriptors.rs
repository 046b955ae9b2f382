//! P25: without file descriptors nobody new is served, what runs ends well, and the hub comes back.

use std::net::TcpStream;
use std::time::Instant;

use crate::hub::Hub;
use crate::request::{Order, Request};
use crate::sink::{Pause, Sink};
use crate::wire::Wire;

/// For who waits for its newlines.
const SOON: (&str, &str) = ("SENDOFF_LIMITS_KEEP_ALIVE", "20 ms");

#[test]
fn p25_out_of_file_descriptors_running_deliveries_end_well() {
    let mut hub = Hub::start_with_descriptors("-n 64", &[SOON]);
    let mut running = Wire::open(hub.address);
    running.send(hub.sleep(3_000));
    running.wait_for_newline();
    let (ticks_before, since) = (hub.ticks(), Instant::now());

    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(hub.address).unwrap()).collect();
    hub.wait_for("no connection can be accepted");
    let answer = running.receive().unwrap();
    assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
    // An accept loop that does not pause would use a whole core.
    let used = hub.ticks() - ticks_before;
    let elapsed = since.elapsed().as_millis() as u64 / 10;
    assert!(used * 2 < elapsed, "{used} of {elapsed} ticks");

    drop(crowd);
    assert_eq!(Wire::open(hub.address).call(hub.post("/", "{}")).status, 200);
    assert!(hub.is_running());
}

/// Neither a destination nor the operator's folder is to blame.
#[test]
fn p25_out_of_file_descriptors_a_new_delivery_hears_that_the_hub_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start_with_descriptors(
        "-n 64",
        &[
            ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
            ("SENDOFF_FILE_ROOT", folder.path().to_str().unwrap()),
        ],
    );
    let sink = Sink::start(1, Pause::Never);
    let to_file = |order, bytes| Request::new(&hub, "file", r#"{"path":"p"}"#, order, bytes);
    let requests = [
        Request::to(&hub, &sink.url(), Order::FormThenData, 10_000),
        to_file(Order::FormThenData, 10_000),
        // More than waits in memory.
        to_file(Order::DataThenForm, 1_000_000),
    ];
    // Whoever is in is served.
    let mut inside: Vec<_> = requests.iter().map(|_| Wire::open(hub.address)).collect();
    for wire in &mut inside {
        assert_eq!(wire.call("GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n").status, 200);
    }
    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(hub.address).unwrap()).collect();
    hub.wait_for("no connection can be accepted");
    for (wire, request) in inside.iter_mut().zip(&requests) {
        request.send(wire);
        let answer = wire.receive().unwrap().body;
        assert!(answer.contains("This action hub is busy"), "{answer}");
        assert!(answer.contains("\"UNAVAILABLE\""), "{answer}");
    }
    drop(crowd);
    let answer = {
        let mut wire = Wire::open(hub.address);
        requests[1].send(&mut wire);
        wire.receive().unwrap().body
    };
    assert!(answer.contains("\"success\":true"), "{answer}");
}

/// Systems give a process fewer than it may have.
#[test]
fn p25_all_file_descriptors_are_used_that_the_process_may_have() {
    let hub = Hub::start_with_descriptors("-S -n 64", &[]);
    let mut crowd: Vec<_> = (0..100).map(|_| Wire::open(hub.address)).collect();
    for wire in &mut crowd {
        assert_eq!(wire.call("GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n").status, 200);
    }
}
