//! P8: memory depends neither on the size of a delivery nor, but for a little, on how many run.

use std::fmt::Write;

use crate::hub::{Hub, until};
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
    // An action leaves a sixteenth of the turns to others.
    let (hub, before) =
        warm_hub(&warm_up, &[("SENDOFF_LIMITS_RUNNING", "72"), ("SENDOFF_LIMITS_PER_LANE", "64")]);
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

/// As many members as are taken, of about so many bytes in all.
fn members(bytes: usize) -> String {
    const COUNT: usize = 1_900;
    let value = "x".repeat(bytes / COUNT - 12);
    let mut members = String::new();
    for n in 0..COUNT {
        write!(members, r#","m{n:05}":"{value}""#).unwrap();
    }
    members
}

/// Sends a delivery that says much and whose data never ends; whether it got as far as the sink.
fn stalled(hub: &Hub, sink: &Sink, members: &str) -> Option<Wire> {
    let body = format!(
        r#"{{"type":"query","scheduled_plan":null,"data":{{}},"form_params":{{"url":"{}"{members}}},"attachment":{{"mimetype":"text/csv","extension":"csv","data":"a,b"#,
        sink.url()
    );
    let mut wire = Wire::open(hub.address);
    wire.send(hub.head("/actions/webhook/execute", body.len() + 1_000_000) + &body);
    let mut is_in = false;
    until("a delivery gets nowhere", || {
        is_in = sink.seen().contains(&Told::Paused);
        is_in || wire.is_answered()
    });
    if is_in {
        return Some(wire);
    }
    let answer = wire.receive().unwrap();
    assert!(answer.status == 200 && answer.body.contains("busy"), "{answer:?}");
    None
}

#[test]
fn p08_what_stalled_deliveries_say_is_bounded_in_all_and_given_back() {
    let sink = Sink::start(1, Pause::At(0));
    let hub = Hub::start(&[
        ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
        ("SENDOFF_LIMITS_PER_LANE", "64"),
        ("SENDOFF_LIMITS_IDLE", "1 h"),
    ]);
    assert!(Wire::open(hub.address).call(hub.sleep(0)).body.contains("\"success\":true"));
    let (before, large) = (hub.memory(), members(1_900_000));
    let mut after_a_round = Vec::new();
    for _ in 0..3 {
        let inside: Vec<_> = (0..AT_ONCE).filter_map(|_| stalled(&hub, &sink, &large)).collect();
        // Some, and not all.
        assert!((4..AT_ONCE / 2).contains(&inside.len()), "{} got in", inside.len());
        // Whoever says little is served meanwhile.
        let small = Wire::open(hub.address).call(hub.sleep(0));
        assert!(small.body.contains("\"success\":true"), "{}", small.body);
        drop(inside);
        until("what they held is not given back", || stalled(&hub, &sink, &large).is_some());
        after_a_round.push(hub.memory().saturating_sub(before) / MIB);
    }
    let growth = (hub.peak_memory() - before) / MIB;
    println!("{AT_ONCE} stalled deliveries, thrice: {growth} MiB, then {after_a_round:?} MiB");
    // 64 MiB of what they say, and their connections.
    assert!(growth < 128, "{growth} MiB");
    drop(hub);
    sink.finish();
}

#[test]
fn p08_forms_before_a_slow_vendor_wait_in_bounded_memory() {
    let sink = Sink::start(1, Pause::At(0));
    let hub = Hub::start(&[("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8")]);
    let ask = |members: &str| {
        let body = format!(
            r#"{{"type":"query","data":{{"address":"{}","username":"u","password":"p","allow_http":"yes"{members}}},"form_params":{{}}}}"#,
            sink.url()
        );
        hub.post("/actions/jira_create_issue/form", &body)
    };
    let (before, large) = (hub.memory(), ask(&members(1_000_000)));
    let mut forms: Vec<_> = (0..100).map(|_| Wire::open(hub.address)).collect();
    std::thread::scope(|scope| {
        for form in &mut forms {
            scope.spawn(|| form.send(&large));
        }
    });
    // Those that got in wait for the vendor; the others have their answer.
    let answers = std::thread::scope(|scope| {
        let reading: Vec<_> = forms
            .into_iter()
            .map(|mut form| scope.spawn(move || form.receive().unwrap()))
            .collect();
        let mut begun = 0;
        until("the forms do not come in", || {
            begun += sink.seen().iter().filter(|told| **told == Told::Paused).count();
            begun + reading.iter().filter(|reader| reader.is_finished()).count() >= 100
        });
        // One more, which says little, is drawn while they wait.
        let mut small = Wire::open(hub.address);
        small.send(ask(""));
        assert_eq!([sink.next(), sink.next()], [Told::Begun, Told::Paused]);
        sink.release();
        assert_eq!(small.receive().unwrap().status, 200);
        reading.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    let busy = answers.iter().filter(|answer| answer.body.contains("busy")).count();
    let growth = (hub.peak_memory() - before) / MIB;
    println!("100 forms of 1 MB: {growth} MiB, {busy} were told that the hub is busy");
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(busy > 0 && growth < 160, "{growth} MiB, {busy} busy");
    drop(hub);
    sink.finish();
}
