//! P10: the hub reads from Looker only as fast as the destination takes, pushed or downloaded.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::hub::Hub;
use crate::request::{Order, Request};
use crate::sink::{Pause, Sink, Told};
use crate::wire::Wire;

/// What the hub itself may hold.
const HUB_HOLDS_AT_MOST: u64 = 8 << 20;
/// Where the destination stops.
const SOME: u64 = 1 << 20;

fn hub() -> Hub {
    Hub::start(&[
        ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
        ("SENDOFF_LIMITS_KEEP_ALIVE", "20 ms"),
        ("SENDOFF_LIMITS_IDLE", "1 h"),
    ])
}

/// What may be on its way from Looker to the destination: the hub's own and the kernel's, which
/// sizes the buffers of both connections by itself.
fn on_the_way() -> u64 {
    let most = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
        text.split_whitespace().next_back().unwrap().parse::<u64>().unwrap()
    };
    HUB_HOLDS_AT_MOST + SOME + most("tcp_rmem") + 2 * most("tcp_wmem") + (1 << 20)
}

#[test]
fn p10_a_destination_that_stops_stops_what_is_pushed() {
    let (hub, sink) = (hub(), Sink::start(1, Pause::At(SOME)));
    let most = usize::try_from(on_the_way()).unwrap();
    let request = Request::to(&hub, &sink.url(), Order::FormThenData, 2 * most);
    let bytes = request.to_bytes();
    let mut caller = Wire::open(hub.address);
    let sent = caller.send_until_stuck(&bytes);
    assert!(sent <= most, "{sent} bytes were taken from Looker, {most} is the most");
    assert_eq!([sink.next(), sink.next()], [Told::Begun, Told::Paused]);
    sink.release();
    let answer = caller.call(&bytes[sent..]);
    assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
    assert_eq!(sink.next(), Told::Whole(request.delivered_bytes()));
}

#[test]
fn p10_a_destination_that_stops_stops_what_is_downloaded() {
    let (hub, sink) = (hub(), Sink::start(1, Pause::At(SOME)));
    let most = on_the_way();
    let looker = Download::start(2 * most);
    let body = format!(
        r#"{{"type":"query","data":{{}},"scheduled_plan":{{"plan_id":1,"download_url":"http://{}/x"}},"form_params":{{"url":"{}","format":"csv"}}}}"#,
        looker.address,
        sink.url()
    );
    let mut caller = Wire::open(hub.address);
    caller.send(hub.post("/actions/webhook/execute", &body));
    assert_eq!([sink.next(), sink.next()], [Told::Begun, Told::Paused]);
    // Nothing more is taken while newlines go by.
    let mut sent = 0;
    while sent < looker.sent.load(Ordering::Relaxed) {
        sent = looker.sent.load(Ordering::Relaxed);
        caller.wait_for_newlines(25);
    }
    assert!(sent <= most, "{sent} bytes were taken from Looker, {most} is the most");
    sink.release();
    let answer = caller.receive().unwrap();
    assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
    assert_eq!(sink.next(), Told::Whole(looker.sending.join().unwrap()));
}

/// Looker's side of one download.
struct Download {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    sending: JoinHandle<u64>,
}

impl Download {
    /// Of a CSV of at least so many bytes.
    fn start(bytes: u64) -> Self {
        const ROW: &str = "1234567890,abcdefghijklmnopqrst\n";
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::<AtomicU64>::default();
        let count = Arc::clone(&sent);
        let sending = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
            while head.next().unwrap().unwrap() != "" {}
            let piece = ROW.repeat(2048);
            let pieces = bytes.div_ceil(piece.len() as u64);
            let length = pieces * piece.len() as u64;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            for _ in 0..pieces {
                stream.write_all(piece.as_bytes()).unwrap();
                count.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            length
        });
        Self { address, sent, sending }
    }
}
