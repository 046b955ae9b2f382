//! P8: memory depends neither on the size of a delivery nor, but for a little, on how many run.

use crate::hub::Hub;
use crate::request::{Order, Request};
use crate::sink::{Pause, Sink, Told};
use crate::wire::Wire;

const MIB: u64 = 1 << 20;
const AT_ONCE: usize = 64;

/// A hub that has delivered before, and the memory that it then had needed.
fn warm_hub(sink: &Sink, more: &[(&str, &str)]) -> (Hub, u64) {
    let mut environment = vec![("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8")];
    environment.extend(more);
    let hub = Hub::start(&environment);
    let request = Request::to(&hub, &sink.url(), Order::FormThenData, 1_000);
    succeeds(&mut Wire::open(hub.address), &request);
    let memory = hub.peak_memory();
    (hub, memory)
}

fn succeeds(caller: &mut Wire, request: &Request) {
    request.send(caller);
    let answer = caller.receive().unwrap();
    assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
}

#[test]
fn p08_many_deliveries_to_a_slow_destination_wait_in_little_memory() {
    let warm_up = Sink::start(1, Pause::Never);
    let (hub, before) =
        warm_hub(&warm_up, &[("SENDOFF_LIMITS_RUNNING", "64"), ("SENDOFF_LIMITS_PER_LANE", "64")]);
    // Each takes a little and then nothing, until all have come as far.
    let sink = Sink::start(1, Pause::At(MIB / 4));
    let request = Request::to(&hub, &sink.url(), Order::FormThenData, 4 << 20);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| succeeds(&mut Wire::open(hub.address), &request));
        }
        let mut paused = 0;
        while paused < AT_ONCE {
            paused += usize::from(sink.next() == Told::Paused);
        }
        sink.release();
    });
    let growth = hub.peak_memory() - before;
    println!("{AT_ONCE} deliveries at once: {} KiB", growth / 1024);
    // The promise is 64 MiB and 8 MiB more for each further one; that is more than all their data.
    assert!(growth < AT_ONCE as u64 * MIB, "{growth} bytes");
    drop((hub, warm_up.finish(), sink.finish()));
}

#[test]
fn p08_a_large_delivery_waits_on_disk_not_in_memory() {
    let (sink, folder) = (Sink::start(1, Pause::Never), tempfile::tempdir().unwrap());
    let spool = [("SENDOFF_SPOOL_DIR", folder.path().to_str().unwrap())];
    let (hub, before) = warm_hub(&sink, &spool);
    let request = Request::to(&hub, &sink.url(), Order::DataThenForm, 512 << 20);
    succeeds(&mut Wire::open(hub.address), &request);
    let growth = hub.peak_memory() - before;
    println!("512 MiB spooled: {} KiB", growth / 1024);
    assert!(growth < 64 * MIB, "{growth} bytes");
    drop(hub);
    assert_eq!(sink.finish().last(), Some(&Told::Whole(request.delivered_bytes())));
}
