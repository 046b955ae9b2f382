//! P15: a destination that stalls cannot keep others from being served.

use crate::hub::Hub;
use crate::request::{Order, Request};
use crate::sink::{Pause, Sink, Told};
use crate::wire::Wire;

const STALLED: usize = 60;
const QUICK: usize = 20;
/// What runs to one host.
const LANE: usize = 16;

#[test]
fn p15_a_stalled_destination_starves_no_other() {
    let mut hub = Hub::start(&[
        ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
        ("SENDOFF_LIMITS_RUNNING", "32"),
        ("SENDOFF_LIMITS_PER_LANE", "16"),
        ("SENDOFF_LIMITS_KEEP_ALIVE", "20 ms"),
        // Nothing but the test itself ends what is stalled, unless it hangs: newlines go on.
        ("SENDOFF_LIMITS_IDLE", "1 h"),
        ("SENDOFF_LIMITS_DEADLINE", "60 s"),
    ]);
    let (slow, quick) = (Sink::start(1, Pause::At(0)), Sink::start(2, Pause::Never));
    let to = |sink: &Sink| Request::to(&hub, &sink.url(), Order::FormThenData, 10_000);
    let (to_slow, to_quick) = (to(&slow), to(&quick));
    let whole = |request: &Request| Told::Whole(request.delivered_bytes());
    let mut stalled: Vec<_> = (0..STALLED).map(|_| Wire::open(hub.address)).collect();
    for caller in &mut stalled {
        to_slow.send(caller);
    }
    // Each has a place to run or to wait in, and the destination holds all that may run.
    stalled.iter_mut().for_each(Wire::wait_for_newline);
    let running: Vec<_> = (0..LANE * 2).map(|_| slow.next()).collect();
    assert_eq!(running.iter().filter(|told| **told == Told::Paused).count(), LANE, "{running:?}");

    let mut served: Vec<_> = (0..QUICK).map(|_| Wire::open(hub.address)).collect();
    for caller in &mut served {
        to_quick.send(caller);
    }
    for caller in &mut served {
        let answer = caller.receive().unwrap();
        assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
    }
    for (path, holds) in [("/", "integrations"), ("/actions/webhook/form", "batch_rows")] {
        let answer = Wire::open(hub.address).call(hub.post(path, "{}"));
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains(holds), "{}", answer.body);
    }
    let seen = quick.seen();
    assert_eq!(seen.iter().filter(|told| **told == whole(&to_quick)).count(), QUICK, "{seen:?}");
    // Meanwhile nothing has moved there.
    assert_eq!(slow.seen(), []);

    slow.release();
    for caller in &mut stalled {
        let answer = caller.receive().unwrap();
        assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
    }
    assert!(hub.is_running());
    drop(hub);
    let ends = slow.finish();
    assert_eq!(ends.iter().filter(|told| **told == whole(&to_slow)).count(), STALLED);
}

/// Running and waiting have few places, and one destination comes for all of them.
#[test]
fn p15_a_stalled_destination_does_not_fill_the_queue() {
    let mut hub = Hub::start(&[
        ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
        ("SENDOFF_LIMITS_RUNNING", "8"),
        ("SENDOFF_LIMITS_PER_LANE", "4"),
        ("SENDOFF_LIMITS_WAITING", "8"),
        ("SENDOFF_LIMITS_KEEP_ALIVE", "20 ms"),
        ("SENDOFF_LIMITS_IDLE", "1 h"),
        ("SENDOFF_LIMITS_DEADLINE", "60 s"),
    ]);
    /// Two thirds of the 16.
    const INSIDE: usize = 11;
    let (slow, quick) = (Sink::start(1, Pause::At(0)), Sink::start(2, Pause::Never));
    let to = |sink: &Sink| Request::to(&hub, &sink.url(), Order::FormThenData, 10_000);
    let (to_slow, to_quick) = (to(&slow), to(&quick));
    let call = |request: &Request| {
        let mut wire = Wire::open(hub.address);
        request.send(&mut wire);
        wire
    };
    let mut stalled: Vec<_> = (0..INSIDE).map(|_| call(&to_slow)).collect();
    stalled.iter_mut().for_each(Wire::wait_for_newline);
    for _ in 0..3 {
        let refused = call(&to_slow).receive().unwrap().body;
        assert!(refused.contains("This action hub is busy"), "{refused}");
        assert!(refused.contains("Nothing was delivered"), "{refused}");
        let served = call(&to_quick).receive().unwrap().body;
        assert!(served.contains("\"success\":true"), "{served}");
    }
    slow.release();
    for caller in &mut stalled {
        let answer = caller.receive().unwrap().body;
        assert!(answer.contains("\"success\":true"), "{answer}");
    }
    assert!(hub.is_running());
}
