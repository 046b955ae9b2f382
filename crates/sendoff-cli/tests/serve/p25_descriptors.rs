//! P25: without file descriptors nobody new is served, what runs ends well, and the hub comes back.

use std::net::TcpStream;
use std::time::Instant;

use crate::hub::Hub;
use crate::wire::Wire;

#[test]
fn p25_out_of_file_descriptors_running_deliveries_end_well() {
    let mut hub = Hub::start_with_descriptors(64);
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
