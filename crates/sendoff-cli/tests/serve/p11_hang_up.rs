//! P11: a caller who hangs up ends the delivery, and nothing completes behind his back.

use crate::hub::Hub;
use crate::request::{Order, Request};
use crate::sink::{Pause, Sink, Told};
use crate::wire::{Goodbye, Wire};

/// More than the buffers between a hub and a sink that does not read.
const LARGE: usize = 16 << 20;
const SOME: u64 = 64 << 10;

/// Neither patience nor a newline that nobody takes ends a delivery here: only that the hub sees
/// its caller go.
fn hub() -> Hub {
    hub_with_newlines_every("1 h")
}

fn hub_with_newlines_every(interval: &str) -> Hub {
    Hub::start(&[
        ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
        ("SENDOFF_LIMITS_KEEP_ALIVE", interval),
        ("SENDOFF_LIMITS_IDLE", "1 h"),
    ])
}

fn for_each_goodbye(test: impl Fn(Goodbye)) {
    for how in [Goodbye::Fin, Goodbye::Reset] {
        println!("{how:?}");
        test(how);
    }
}

/// The hub still delivers, and when it has ended the sink has seen no request completed.
fn nothing_completes(mut hub: Hub, sink: Sink) {
    let other = Sink::start(2, Pause::Never);
    let request = Request::to(&hub, &other.url(), Order::FormThenData, LARGE);
    let answer = Wire::open(hub.address).call(request.to_bytes());
    assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
    hub.wait_for("outcome=\"delivered\"");
    hub.terminate();
    let (status, said) = hub.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(other.finish(), [Told::Begun, Told::Whole(request.delivered_bytes())]);
    let seen = sink.finish();
    assert!(!seen.iter().any(|told| matches!(told, Told::Whole(_))), "{seen:?}");
}

#[test]
fn p11_before_the_body_the_destination_is_not_even_called() {
    for_each_goodbye(|how| {
        let (mut hub, sink) = (hub(), Sink::start(1, Pause::Never));
        let mut caller = Wire::open(hub.address);
        caller.send(hub.head("/actions/webhook/execute", 1_000));
        caller.hang_up(how);
        hub.wait_for("outcome=\"not delivered\"");
        assert_eq!(sink.seen(), []);
        nothing_completes(hub, sink);
    });
}

#[test]
fn p11_in_the_body_the_upload_is_cut() {
    for_each_goodbye(|how| {
        let (mut hub, sink) = (hub(), Sink::start(1, Pause::Never));
        let request = Request::to(&hub, &sink.url(), Order::FormThenData, LARGE).to_bytes();
        let mut caller = Wire::open(hub.address);
        caller.send(&request[..LARGE / 2]);
        assert_eq!(sink.next(), Told::Begun);
        caller.hang_up(how);
        hub.wait_for("delivered\" reason=");
        let end = sink.next();
        assert!(matches!(end, Told::Cut(bytes) if bytes > 0), "{end:?}");
        nothing_completes(hub, sink);
    });
}

/// The hub does not see the end of a body whose middle it may not read yet. That the caller has
/// gone it learns from the next newline, which nobody takes: this is what bounds the wait here.
#[test]
fn p11_in_the_body_while_the_destination_stalls_the_upload_is_cut() {
    for_each_goodbye(|how| {
        let (mut hub, sink) = (hub_with_newlines_every("50 ms"), Sink::start(1, Pause::At(SOME)));
        let request = Request::to(&hub, &sink.url(), Order::FormThenData, 4 * LARGE).to_bytes();
        let mut caller = Wire::open(hub.address);
        let sent = caller.send_until_stuck(&request);
        assert!(sent < request.len(), "the hub reads what its destination does not take");
        assert_eq!([sink.next(), sink.next()], [Told::Begun, Told::Paused]);
        caller.hang_up(how);
        hub.wait_for("outcome=\"not delivered\"");
        sink.release();
        let end = sink.next();
        assert!(matches!(end, Told::Cut(_)), "{end:?}");
        nothing_completes(hub, sink);
    });
}

#[test]
fn p11_behind_the_body_while_the_destination_stalls_the_upload_is_cut() {
    for_each_goodbye(|how| {
        let (mut hub, sink) = (hub(), Sink::start(1, Pause::At(SOME)));
        let mut caller = Wire::open(hub.address);
        // The data waits for the form, so that the hub has all of the request when it uploads.
        Request::to(&hub, &sink.url(), Order::DataThenForm, LARGE).send(&mut caller);
        assert_eq!([sink.next(), sink.next()], [Told::Begun, Told::Paused]);
        caller.hang_up(how);
        hub.wait_for("outcome=\"not delivered\"");
        sink.release();
        let end = sink.next();
        assert!(matches!(end, Told::Cut(bytes) if bytes < LARGE as u64), "{end:?}");
        nothing_completes(hub, sink);
    });
}

#[test]
fn p11_while_the_destination_does_not_answer_the_delivery_ends_as_may_have_arrived() {
    for_each_goodbye(|how| {
        let (mut hub, sink) = (hub(), Sink::start(1, Pause::ForEver));
        let request = Request::to(&hub, &sink.url(), Order::FormThenData, 1 << 20);
        let mut caller = Wire::open(hub.address);
        request.send(&mut caller);
        let whole = Told::Whole(request.delivered_bytes());
        assert_eq!([sink.next(), sink.next()], [Told::Begun, whole]);
        caller.hang_up(how);
        hub.wait_for("outcome=\"may have arrived\"");
        assert_eq!(sink.next(), Told::Left);
        nothing_completes(hub, sink);
    });
}
