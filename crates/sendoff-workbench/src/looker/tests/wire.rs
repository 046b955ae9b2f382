//! What faults leave on the wire, to the byte: of the request, and of what the hub fetches.

use std::collections::BTreeSet;

use super::*;

/// A body as it crossed the wire, out of its chunks, and whether it ended as HTTP ends one.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    bytes: Vec<u8>,
    ended: bool,
}

/// Reads a message until it ends, or the connection does; its head, and its body.
async fn message(socket: &mut tokio::net::TcpStream) -> (String, Body) {
    let mut raw = Vec::new();
    loop {
        let head = raw.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8(raw[..head].to_vec()).unwrap().to_ascii_lowercase();
            let body = if text.contains("transfer-encoding: chunked") {
                unchunked(&raw[head + 4..])
            } else {
                Body { bytes: Vec::new(), ended: text.contains("content-length: 0") }
            };
            let more = !body.ended && socket.read_buf(&mut raw).await.unwrap_or(0) > 0;
            if !more {
                return (text, body);
            }
        } else if socket.read_buf(&mut raw).await.unwrap() == 0 {
            panic!("no head: {raw:?}");
        }
    }
}

fn unchunked(mut raw: &[u8]) -> Body {
    let mut bytes = Vec::new();
    while let Some(line) = raw.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&raw[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        raw = &raw[line + 2..];
        if size == 0 {
            return Body { bytes, ended: true };
        }
        bytes.extend_from_slice(&raw[..size.min(raw.len())]);
        raw = raw.get(size + 2..).unwrap_or_default();
    }
    Body { bytes, ended: false }
}

struct Captured {
    request: Body,
    /// The status and the body of the download, if the request offered one.
    download: Option<(u16, Body)>,
}

const DATA: usize = 3_000;

/// Sends 3,000 bytes with these faults to a hub that takes down what comes, and fetches what is
/// offered.
async fn captured(faults: &str, format: Format, by_url: bool) -> Captured {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (_, request) = message(&mut socket).await;
        let text = String::from_utf8(request.bytes.clone()).unwrap();
        let url = text.split('"').find(|part| part.contains("/downloads/"));
        let mut download = None;
        if let Some(url) = url.filter(|_| request.ended) {
            let (_, rest) = url.split_once("//").unwrap();
            let (host, path) = rest.split_once('/').unwrap();
            let mut get = tokio::net::TcpStream::connect(host).await.unwrap();
            let line = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
            get.write_all(line.as_bytes()).await.unwrap();
            let (head, body) = message(&mut get).await;
            download = Some((head[9..12].parse().unwrap(), body));
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"looker\":{}}";
        // It may have hung up.
        let _ = socket.write_all(answer).await;
        Captured { request, download }
    });
    // Pieces of odd sizes, so that no fault is right by the piece.
    let pieces = futures_util::stream::iter(
        (0..DATA / 100).map(|n| Ok(Bytes::from(format!("{n:02},{}\n", "x".repeat(96))))),
    );
    let delivery = Delivery::query("T").param("key", "hush-hush").answer("path", "in/");
    let delivery = match by_url {
        true => delivery.by_url(format, Source::stream(pieces)),
        false => delivery.push(format, Source::stream(pieces)),
    };
    let trip = Trip { faults: faults.parse().unwrap(), ..Trip::default() };
    let _ = looker(address).execute_on(&action(address), delivery, trip).await;
    server.join_next().await.unwrap().unwrap()
}

/// The request with the one thing masked that is another each time.
fn masked(body: &Body) -> String {
    let text = String::from_utf8(body.bytes.clone()).unwrap();
    match text.split_once("http://127.0.0.1:") {
        None => text,
        Some((before, after)) => {
            format!("{before}URL{}", &after[after.find('"').unwrap_or_default()..])
        }
    }
}

#[tokio::test]
async fn a_body_is_cut_at_the_byte_and_ends_as_if_that_were_all() {
    let pushed = captured("", Format::Csv, false).await.request.bytes;
    for at in [0, 1, 60, 500, 501, pushed.len() - 1, pushed.len(), pushed.len() + 1] {
        let cut = captured(&format!("cut@{at}"), Format::Csv, false).await;
        let wanted = Body { bytes: pushed[..at.min(pushed.len())].to_vec(), ended: true };
        assert_eq!(cut.request, wanted, "{at}");
    }
    let plain = captured("", Format::Csv, true).await;
    let data = plain.download.unwrap().1.bytes;
    assert_eq!(data.len(), DATA);
    for fault in ["cut", "download-short"] {
        for at in [0, 1, 99, 100, 101, 1_234, DATA - 1, DATA, DATA + 1] {
            let cut = captured(&format!("{fault}@{at}"), Format::Csv, true).await;
            assert!(cut.request.ended && masked(&cut.request) == masked(&plain.request), "{at}");
            let wanted = Body { bytes: data[..at.min(DATA)].to_vec(), ended: true };
            assert_eq!(cut.download.unwrap(), (200, wanted), "{fault}@{at}");
        }
    }
}

#[tokio::test]
async fn a_connection_ends_at_the_byte() {
    let pushed = captured("", Format::Csv, false).await.request.bytes;
    for at in [1, 60, 500, 501, pushed.len() - 1] {
        let broken = captured(&format!("hangup@{at}"), Format::Csv, false).await;
        let wanted = Body { bytes: pushed[..at].to_vec(), ended: false };
        assert_eq!(broken.request, wanted, "{at}");
    }
    let data = captured("", Format::Csv, true).await.download.unwrap().1.bytes;
    for fault in ["hangup", "download-cut"] {
        for at in [1, 99, 100, 101, DATA - 1] {
            let broken = captured(&format!("{fault}@{at}"), Format::Csv, true).await;
            assert!(broken.request.ended);
            let wanted = Body { bytes: data[..at].to_vec(), ended: false };
            assert_eq!(broken.download.unwrap(), (200, wanted), "{fault}@{at}");
        }
    }
}

#[tokio::test]
async fn one_character_of_pushed_base64_is_none() {
    let whole = captured("", Format::Xlsx, false).await.request.bytes;
    let mut places = BTreeSet::new();
    for seed in 1..9 {
        let broken = captured(&format!("seed={seed} base64"), Format::Xlsx, false).await.request;
        assert_eq!((broken.bytes.len(), broken.ended), (whole.len(), true));
        let differ = whole.iter().zip(&broken.bytes).enumerate().filter(|(_, (a, b))| a != b);
        let differ: Vec<_> = differ.map(|(at, (_, is))| (at, *is)).collect();
        assert!(matches!(differ[..], [(_, b'!')]), "{differ:?}");
        places.insert(differ[0].0);
    }
    assert!(places.len() > 4, "{places:?}");
    // What is fetched is no base64, and comes whole.
    let fetched = captured("base64", Format::Xlsx, true).await.download.unwrap();
    assert_eq!((fetched.0, fetched.1.bytes.len(), fetched.1.ended), (200, DATA, true));
}

#[tokio::test]
async fn members_come_in_the_order_of_the_seed_whichever_way_the_data_goes() {
    for by_url in [false, true] {
        let plain = captured("", Format::Csv, by_url).await;
        let whole: serde_json::Value = serde_json::from_str(&masked(&plain.request)).unwrap();
        let mut shuffled = BTreeSet::new();
        let mut doubled = BTreeSet::new();
        for seed in 1..9 {
            let captured = async |faults: &str| {
                let captured =
                    captured(&format!("seed={seed} {faults}"), Format::Csv, by_url).await;
                let data = captured.download.map(|(_, body)| body);
                assert_eq!(
                    data,
                    plain
                        .download
                        .as_ref()
                        .map(|(_, body)| Body { bytes: body.bytes.clone(), ended: true })
                );
                assert!(captured.request.ended);
                masked(&captured.request)
            };
            let text = captured("shuffled").await;
            assert_eq!(text.len(), masked(&plain.request).len());
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), whole);
            shuffled.insert(text);
            let text = captured("doubled").await;
            assert!(text.len() > masked(&plain.request).len(), "{text}");
            doubled.insert(text);
        }
        assert!(shuffled.len() > 4 && doubled.len() > 2, "{shuffled:?} {doubled:?}");
    }
}

#[tokio::test]
async fn a_download_answers_otherwise_than_with_the_data() {
    for (fault, status, starts) in
        [("download@expired", 404, ""), ("download@500", 500, ""), ("download@html", 200, "<!DOC")]
    {
        let (answered, body) = captured(fault, Format::Csv, true).await.download.unwrap();
        assert_eq!(answered, status, "{fault}");
        assert!(body.ended && body.bytes.starts_with(starts.as_bytes()), "{fault}: {body:?}");
        assert_eq!(body.bytes.is_empty(), starts.is_empty(), "{fault}: {body:?}");
    }
}

#[tokio::test]
async fn a_slow_body_comes_whole() {
    for by_url in [false, true] {
        let plain = captured("", Format::Csv, by_url).await;
        let slow = captured("slow@1MB", Format::Csv, by_url).await;
        assert_eq!(masked(&slow.request), masked(&plain.request));
        assert_eq!(slow.download, plain.download);
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    for fault in ["cut@700", "hangup@700", "base64", "slow@1MB", "shuffled", "doubled"] {
        for (format, by_url) in [(Format::Xlsx, false), (Format::Csv, true)] {
            let text = format!("seed=7 {fault}");
            let (one, other) =
                (captured(&text, format, by_url).await, captured(&text, format, by_url).await);
            assert_eq!(masked(&one.request), masked(&other.request), "{text}");
            assert_eq!(one.request.ended, other.request.ended, "{text}");
            assert_eq!(one.download, other.download, "{text}");
        }
    }
}
