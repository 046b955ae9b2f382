//! Bodies that a delivery reads from the socket by itself: they end where their framing says, and
//! what follows them is the next request or nothing.

use crate::hub::Hub;
use crate::sink::{Pause, Sink, Told};
use crate::wire::Wire;

const LIVE: &str = "GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n";

/// A form request of at least so many bytes.
fn padded(bytes: usize) -> String {
    format!(r#"{{"padding":"{}","data":{{}}}}"#, "x".repeat(bytes))
}

fn chunked(head: &str) -> String {
    let (before, rest) = head.split_once("Content-Length: ").unwrap();
    let (_, after) = rest.split_once("\r\n").unwrap();
    format!("{before}Transfer-Encoding: chunked\r\n{after}")
}

#[test]
fn large_bodies_share_a_connection() {
    let hub = Hub::start(&[]);
    let form = hub.post("/actions/debug/form", &padded(300_000));
    let all = [&form[..], LIVE, &form, &hub.post("/", "{}"), LIVE].concat();
    let mut wire = Wire::open(hub.address);
    // In one piece: the hub's reads end anywhere.
    std::thread::scope(|scope| {
        let mut sender = wire.clone();
        scope.spawn(move || sender.send(&all));
        for n in 0..5 {
            assert_eq!(wire.receive().unwrap().status, 200, "answer {n}");
        }
    });
    // In two, at the edges where hands change.
    let head = form.find("\r\n\r\n").unwrap() + 4;
    for cut in [head - 1, head, head + 1, form.len() - 1] {
        let mut wire = Wire::open(hub.address);
        wire.send(&form[..cut]);
        // Time for the hub to read that far is not needed for it to be right, only to be tried.
        std::thread::yield_now();
        assert_eq!(wire.call(&form[cut..]).status, 200, "cut at {cut}");
        assert_eq!(wire.call(LIVE).status, 200);
    }
}

#[test]
fn chunks_of_any_size_carry_a_delivery() {
    let sink = Sink::start(1, Pause::Never);
    let hub = Hub::start(&[("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8")]);
    let body = format!(
        r#"{{"type":"query","data":{{}},"scheduled_plan":{{}},"form_params":{{"url":"{}"}},"attachment":{{"mimetype":"text/csv","extension":"csv","data":"{}"}}}}"#,
        sink.url(),
        "a,b\\n".repeat(30_000)
    );
    let head = chunked(&hub.head("/actions/webhook/execute", 0));
    for size in [1, 7, 8192, body.len()] {
        let mut wire = Wire::open(hub.address);
        let mut request = head.clone();
        for chunk in body.as_bytes().chunks(size) {
            let text = std::str::from_utf8(chunk).unwrap();
            request.push_str(&format!("{size:x}\r\n{text}\r\n", size = chunk.len()));
        }
        let answer = wire.call(request + "0\r\n\r\n");
        assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
        let told = std::iter::from_fn(|| Some(sink.next())).find(|told| *told != Told::Begun);
        assert_eq!(told, Some(Told::Whole(120_000)), "chunks of {size}");
    }
    drop(hub);
    sink.finish();
}

#[test]
fn malformed_chunks_end_the_delivery_and_the_connection() {
    let hub = Hub::start(&[]);
    let head = chunked(&hub.head("/actions/debug/execute", 0));
    for rest in ["zz\r\n", "5\r\n{\"a\"}x", "ffffffffffffffffff\r\n"] {
        let mut wire = Wire::open(hub.address);
        wire.send(format!("{head}{rest}{LIVE}"));
        let answers = wire.rest();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{rest:?}: {answers}");
        assert!(answers.contains("\"success\":false"), "{rest:?}: {answers}");
    }
}

#[test]
fn who_awaits_a_word_before_the_body_gets_it_only_if_the_body_is_wanted() {
    let hub = Hub::start(&[]);
    let body = padded(100_000);
    let awaiting = |head: String| head.replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1);
    let mut wire = Wire::open(hub.address);
    let answer = wire.call(awaiting(hub.head("/actions/debug/form", body.len())));
    assert_eq!(answer.status, 100, "{answer:?}");
    assert_eq!(wire.call(&body).status, 200);
    // Nobody without a token is asked for his data.
    let mut wire = Wire::open(hub.address);
    let head = awaiting(hub.head("/actions/debug/form", body.len()));
    let answer = wire.call(head.replace("token=\"", "token=\"0"));
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.head.to_ascii_lowercase().contains("connection: close"), "{}", answer.head);
    assert_eq!(wire.rest(), "");
}
