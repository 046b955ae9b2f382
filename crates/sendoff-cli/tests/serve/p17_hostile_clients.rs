//! P17: slow or malformed clients cost a bounded slot, and no request hides behind another.

use crate::hub::Hub;
use crate::wire::Wire;

/// What an attacker wants answered although it stands in another request's place.
const HIDDEN: &str = "GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n";
const LIST: &str = "POST / HTTP/1.1\r\nHost: hub\r\nAuthorization: Token token=\"TOKEN\"\r\n";

fn shapes() -> Vec<(&'static str, String)> {
    let post = |rest: &str| format!("{LIST}{rest}");
    let chunked = |body: &str| post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    let mebibyte = "x".repeat(1 << 20);
    vec![
        ("CL.TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")),
        ("TE.CL 0", post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n")),
        ("CL.CL", post("Content-Length: 0\r\nContent-Length: 36\r\n\r\n")),
        ("CL.CL same", post("Content-Length: 0\r\nContent-Length: 0\r\n\r\n")),
        ("CL list", post("Content-Length: 0, 0\r\n\r\n")),
        ("CL sign", post("Content-Length: +0\r\n\r\n")),
        ("CL hex", post("Content-Length: 0x0\r\n\r\n")),
        ("CL name space", post("Content-Length : 0\r\n\r\n")),
        ("TE name space", post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")),
        ("TE name tab", post("Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n")),
        ("TE first space", post(" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("TE obs-fold", post("X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("TE value fold", post("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n")),
        ("TE bare LF", post("X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("TE bare CR", post("X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("TE twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n")),
        ("TE unknown", post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("TE list", post("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        ("TE vtab", post("Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n")),
        ("TE in 1.0", LIST.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("head ends with LF LF", LIST.replace("\r\n", "\n") + "Content-Length: 0\n\n"),
        ("NUL", post("X: \0\r\nContent-Length: 0\r\n\r\n")),
        ("chunk size 0x", chunked("0x0\r\n\r\n")),
        ("chunk size sign", chunked("+0\r\n\r\n")),
        ("chunk size overflow", chunked("10000000000000000\r\n\r\n")),
        ("chunk bare LF", chunked("0\n\n")),
        ("chunk extension 1 MiB", chunked(&format!("0;{mebibyte}\r\n\r\n"))),
        ("chunk extension LF", chunked("0;x\nGET /livez\r\n\r\n")),
        ("trailers", chunked("0\r\nContent-Length: 5\r\n\r\n")),
        ("trailers 1 MiB", chunked(&format!("0\r\nX: {mebibyte}\r\n\r\n"))),
        (
            "1.0 keep-alive",
            LIST.replace("1.1", "1.0") + "Connection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        ),
    ]
}

#[test]
fn p17_at_most_one_answer_and_then_the_end() {
    let hub = Hub::start(&[]);
    for (name, shape) in shapes() {
        let mut wire = Wire::open(hub.address);
        wire.send(shape.replace("TOKEN", &hub.token));
        wire.send(HIDDEN);
        // Only the end of the connection ends this read.
        let answers = wire.rest();
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{name}: {answers}");
        assert!(!answers.contains("\"live\""), "{name}: {answers}");
    }
}

#[test]
fn p17_sound_requests_share_a_connection() {
    let hub = Hub::start(&[]);
    let mut wire = Wire::open(hub.address);
    let list = hub.post("/", "{}");
    // In one piece, in two, and byte by byte.
    wire.send(format!("{list}{HIDDEN}{list}"));
    for _ in 0..3 {
        assert_eq!(wire.receive().unwrap().status, 200);
    }
    // Not within the body: the list is answered without it, and the connection closed where it is
    // not all there.
    let (one, two) = list.split_at(20);
    wire.send(one);
    assert_eq!(wire.call(two).status, 200);
    for byte in HIDDEN.as_bytes() {
        wire.send([*byte]);
    }
    assert_eq!(wire.receive().unwrap().status, 200);
}

#[test]
fn p17_a_chunked_request_is_answered_and_its_connection_closed() {
    let hub = Hub::start(&[]);
    let mut wire = Wire::open(hub.address);
    let head = hub
        .post("/actions/debug/form", "")
        .replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let answer = wire.call(format!("{head}2\r\n{{}}\r\n0\r\n\r\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.to_ascii_lowercase().contains("connection: close"), "{}", answer.head);
    assert_eq!(wire.rest(), "");
}

#[test]
fn p17_heads_beyond_the_limits_are_refused() {
    let hub = Hub::start(&[]);
    for (name, head) in [
        ("65 headers", format!("GET /livez HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65))),
        ("17 KiB", format!("GET /livez HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(17 << 10))),
        ("17 KiB without end", format!("GET /livez HTTP/1.1\r\nA: {}", "b".repeat(17 << 10))),
    ] {
        let mut wire = Wire::open(hub.address);
        assert_eq!(wire.call(head).status, 400, "{name}");
        assert_eq!(wire.rest(), "", "{name}");
    }
    let most = format!("GET /livez HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(64));
    assert_eq!(Wire::open(hub.address).call(most).status, 200);
}

#[test]
fn p17_connections_that_never_finish_a_head_give_their_place_back() {
    let hub = Hub::start(&[
        ("SENDOFF_LIMITS_CONNECTIONS", "32"),
        ("SENDOFF_LIMITS_HEADER_TIMEOUT", "300 ms"),
    ]);
    // Twice as many as there are places: some silent, some with half a head, some behind an
    // answered request.
    let mut slow: Vec<_> = (0..64)
        .map(|n| {
            let mut wire = Wire::open(hub.address);
            match n % 3 {
                0 => {}
                1 => wire.send("POST / HTTP/1.1\r\nHost: hub\r\n"),
                _ => wire.send(format!("{HIDDEN}GET /liv")),
            }
            wire
        })
        .collect();
    assert_eq!(Wire::open(hub.address).call(hub.post("/", "{}")).status, 200);
    for wire in &mut slow {
        let answers = wire.rest();
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{answers}");
    }
}

#[test]
fn p17_http_2_is_spoken_to_who_begins_with_it() {
    let hub = Hub::start(&[]);
    let mut wire = Wire::open(hub.address);
    // The preface, empty SETTINGS, and a GOAWAY that ends the connection.
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    wire.send(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let frames = wire.rest();
    // The server's own preface is a SETTINGS frame on stream 0.
    assert_eq!(frames.as_bytes().get(3..9), Some(&b"\x04\0\0\0\0\0"[..]), "{frames:?}");
}

#[test]
fn p17_malformed_tokens_are_refused_before_the_body_is_read() {
    let hub = Hub::start(&[]);
    let good = hub.token.clone();
    let mut tokens: Vec<String> = (0..150).map(|n| good.chars().take(n).collect()).collect();
    tokens.extend((0..40).map(|n| format!("{good}{}", "a".repeat(n + 1))));
    tokens.extend(["", "/", "//", "a/b", "%00", "\u{e4}", "null", "token"].map(String::from));
    tokens.push(good.to_uppercase());
    tokens.push(good.replace('/', ""));
    assert!(tokens.len() >= 200);
    for token in tokens {
        let mut wire = Wire::open(hub.address);
        // The body is announced and never sent.
        let answer = wire.call(format!(
            "POST /actions/debug/execute HTTP/1.1\r\nHost: hub\r\n\
             Authorization: Token token=\"{token}\"\r\nContent-Length: 1000000\r\n\r\n"
        ));
        assert_eq!(answer.status, 403, "{token}");
        assert!(answer.body.contains("Invalid 'Authorization' header."), "{}", answer.body);
        assert_eq!(wire.rest(), "");
    }
}

#[test]
fn p17_a_refusal_reaches_a_caller_who_still_sends() {
    let hub = Hub::start(&[]);
    for _ in 0..20 {
        let mut wire = Wire::open(hub.address);
        wire.send("POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 4000000\r\n\r\n");
        // More than the sockets' buffers hold.
        wire.send("x".repeat(4_000_000));
        assert_eq!(wire.receive().unwrap().status, 403);
    }
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET / HTTP/2` to `hub`, by the indexes of HPACK's static table (RFC 7541, appendix A).
const GET: &[u8] = b"\x82\x86\x84\x41\x03hub";

/// Sends all of it, whether the hub reads it or not, and returns when the hub has closed.
fn overwhelm(hub: &Hub, bytes: &[u8]) {
    let mut wire = Wire::open(hub.address);
    std::thread::scope(|scope| {
        let mut sender = wire.clone();
        scope.spawn(move || sender.send(bytes));
        wire.rest();
    });
}

#[test]
fn p17_http_2_streams_reset_at_once_take_neither_memory_nor_the_hub() {
    let mut hub = Hub::start(&[]);
    assert_eq!(Wire::open(hub.address).call(HIDDEN).status, 200);
    let before = hub.peak_memory();
    // CVE-2023-44487: each request is taken back before it is answered.
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for stream in (1..20_000).step_by(2) {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, GET));
        // CANCEL.
        bytes.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
    }
    bytes.extend(frame(GOAWAY, 0, 0, &[0; 8]));
    overwhelm(&hub, &bytes);
    // A head without end (RUSTSEC-2024-0332).
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    bytes.extend(frame(HEADERS, END_STREAM, 1, GET));
    // A literal header that is never indexed, with a name of its own.
    let header = [&b"\x10\x01x\x7f\x81\x7e"[..], &[b'y'; 16_256]].concat();
    for _ in 0..2_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &header));
    }
    overwhelm(&hub, &bytes);
    let growth = hub.peak_memory() - before;
    assert!(growth < 16 << 20, "{growth} bytes");
    assert!(hub.is_running());
    assert_eq!(Wire::open(hub.address).call(HIDDEN).status, 200);
}
