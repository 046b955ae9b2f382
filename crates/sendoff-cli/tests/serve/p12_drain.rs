//! P12: SIGTERM ends the hub in good order, and every delivery is answered.

use std::net::TcpStream;

use crate::hub::Hub;
use crate::sink::{Pause, Sink, Told};
use crate::wire::Wire;

fn begin(hub: &Hub, request: &str) -> Wire {
    let mut wire = Wire::open(hub.address);
    wire.send(request);
    wire.wait_for_newline();
    wire
}

#[test]
fn p12_sigterm_answers_every_delivery_and_exits_with_0() {
    let mut hub =
        Hub::start(&[("SENDOFF_LIMITS_KEEP_ALIVE", "20 ms"), ("SENDOFF_LIMITS_GRACE", "2 s")]);
    let mut short: Vec<_> = (0..25).map(|_| begin(&hub, &hub.sleep(700))).collect();
    let mut long: Vec<_> = (0..25).map(|_| begin(&hub, &hub.sleep(600_000))).collect();
    let mut idle = Wire::open(hub.address);
    assert_eq!(idle.call("GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n").status, 200);

    hub.terminate();
    hub.wait_for("draining");
    // Nobody new is let in, and who waits for nothing is let go.
    while TcpStream::connect(hub.address).is_ok() {}
    assert_eq!(idle.rest(), "");
    for wire in &mut short {
        let answer = wire.receive().unwrap();
        assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
    }
    for wire in &mut long {
        let answer = wire.receive().unwrap();
        assert!(answer.body.contains("\"success\":false"), "{}", answer.body);
        assert!(answer.body.contains("restart"), "{}", answer.body);
    }
    let (status, said) = hub.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("a fault in the hub"), "{said}");
}

/// Whatever the moment: the quick ones may end before the signal, in their grace or after it.
#[test]
fn p12_a_hundred_hubs_answer_every_delivery() {
    const AT_ONCE: usize = 4;
    let run = |n: usize| {
        let keep_alive = ("SENDOFF_LIMITS_KEEP_ALIVE", "10 ms");
        let hub = Hub::start(&[keep_alive, ("SENDOFF_LIMITS_GRACE", "50 ms")]);
        let begun = |millis| {
            let mut wire = Wire::open(hub.address);
            wire.send(hub.sleep(millis));
            wire.wait_for_head();
            wire
        };
        let quick: Vec<_> = (0..4).map(|m| begun(20 + 10 * m)).collect();
        let long: Vec<_> = (0..2).map(|_| begun(600_000)).collect();
        hub.terminate();
        for (mut wire, can_succeed) in
            quick.into_iter().map(|wire| (wire, true)).chain(long.into_iter().map(|w| (w, false)))
        {
            let answer = wire.receive().unwrap();
            let succeeded = answer.body.contains("\"success\":true");
            assert!(can_succeed || !succeeded, "run {n}: {}", answer.body);
            assert!(succeeded || answer.body.contains("restart"), "run {n}: {}", answer.body);
            assert_eq!(wire.rest(), "");
        }
        let (status, said) = hub.ended();
        assert_eq!(status.code(), Some(0), "run {n}: {said}");
        assert!(!said.contains("a fault in the hub"), "run {n}: {said}");
    };
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let run = &run;
            scope.spawn(move || (first..100).step_by(AT_ONCE).for_each(run));
        }
    });
}

#[test]
fn p12_a_second_sigterm_ends_it_at_once() {
    let mut hub =
        Hub::start(&[("SENDOFF_LIMITS_KEEP_ALIVE", "20 ms"), ("SENDOFF_LIMITS_GRACE", "1 h")]);
    let _running = begin(&hub, &hub.sleep(600_000));
    hub.terminate();
    hub.wait_for("draining");
    assert!(hub.is_running());
    hub.terminate();
    let (status, said) = hub.ended();
    assert_eq!(status.code(), Some(1), "{said}");
}

#[test]
fn p12_a_hub_without_deliveries_ends_without_waiting() {
    let mut hub = Hub::start(&[("SENDOFF_LIMITS_GRACE", "1 h")]);
    hub.terminate();
    hub.wait_for("draining");
    assert_eq!(hub.ended().0.code(), Some(0));
}

#[test]
fn p12_a_form_whose_vendor_is_slow_has_its_grace_and_is_answered() {
    let sink = Sink::start(1, Pause::At(0));
    let mut hub = Hub::start(&[
        ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
        // Longer than the last answers get when nothing is waited for.
        ("SENDOFF_LIMITS_GRACE", "5 s"),
    ]);
    let address = sink.url();
    let body = format!(
        r#"{{"type":"query","data":{{"address":"{address}","username":"u","password":"p","allow_http":"yes"}}}}"#
    );
    let mut form = Wire::open(hub.address);
    form.send(hub.post("/actions/jira_create_issue/form", &body));
    assert_eq!([sink.next(), sink.next()], [Told::Begun, Told::Paused]);
    hub.terminate();
    hub.wait_for("draining");
    let answer = form.receive().unwrap();
    assert!(answer.body.contains("restarting"), "{}", answer.body);
    assert_eq!(hub.ended().0.code(), Some(0));
    sink.finish();
}
