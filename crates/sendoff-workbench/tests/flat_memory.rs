//! A result of any size is sent in flat memory, whatever its encoding and whichever way it goes. A
//! process of its own, so that its peak memory is that of this test.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "reads /proc, and loopback sockets")]

use bytes::Bytes;
use sendoff_protocol::{Definition, Format};
use sendoff_workbench::instance::{Instance, Order, Params, Settings, Way, What};
use sendoff_workbench::{DataLimits, Delivery, Looker, Source, Warehouse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1_536;
/// A result that Looker would not hold in memory either.
const LARGE: u64 = 300_000_000;
/// Rows that are made as they flow.
const GENERATED: u64 = 64_000_000;
const ALLOWED_GROWTH: u64 = 16 * 1024 * 1024;

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Reads a message to its end and forgets it; its beginning, and how long it was.
async fn drained(socket: &mut TcpStream) -> (String, u64) {
    let mut buffer = vec![0; CHUNK];
    let (mut start, mut count) = (Vec::new(), 0);
    loop {
        let read = socket.read(&mut buffer).await.unwrap();
        count += read as u64;
        start.extend_from_slice(&buffer[..read.min(4_096 - start.len().min(4_096))]);
        let text = String::from_utf8_lossy(&start);
        let chunked = text.to_ascii_lowercase().contains("transfer-encoding: chunked");
        // The last chunk of a chunked body is the last that is sent before the answer.
        let over = match chunked {
            true => buffer[..read].ends_with(b"0\r\n\r\n"),
            false => text.contains("\r\n\r\n"),
        };
        if over || read == 0 {
            return (text.into_owned(), count);
        }
    }
}

/// A hub with one action that keeps nothing, and tells how many bytes came, pushed or fetched.
async fn hub() -> (String, mpsc::UnboundedReceiver<u64>, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let list = format!(
        r#"{{"label":"H","integrations":[{{"name":"a","label":"A","url":"{url}execute",
        "supported_action_types":["query"],"supported_download_settings":["push","url"]}}]}}"#
    );
    let (told, counts) = mpsc::unbounded_channel();
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (text, mut count) = drained(&mut socket).await;
            if let Some(url) = text.split('"').find(|part| part.contains("/downloads/")) {
                let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
                let mut get = TcpStream::connect(host).await.unwrap();
                let line = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
                get.write_all(line.as_bytes()).await.unwrap();
                count = drained(&mut get).await.1;
            }
            let body = match text.starts_with("POST / ") {
                true => list.clone(),
                false => {
                    told.send(count).unwrap();
                    r#"{"looker":{"success":true}}"#.to_owned()
                }
            };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, counts, server)
}

#[tokio::test]
async fn a_large_result_takes_the_memory_of_a_few_chunks() {
    let (url, mut counts, _server) = hub().await;
    let action = Definition { url: format!("{url}execute"), ..Definition::default() };
    let looker = Looker::new(&url).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let data = Warehouse::in_memory(DataLimits::default()).await.unwrap();
    let instance = Instance::open(Settings::new(&base, data)).await.unwrap();
    let mut serving = JoinSet::new();
    let served = instance.clone();
    serving.spawn(async move { served.serve(listener).await.unwrap() });
    let added = instance.add_hub(&url, None).await.unwrap();
    assert_eq!(added.fetch_error_message, None);
    let id = added.action("a");
    instance.configure(&id, Params::new()).await.unwrap();

    let before = peak();
    // Each encoding that a pushed result can have.
    for format in [Format::Csv, Format::Xlsx, Format::Html] {
        let chunk = Bytes::from("1,\"two\",3\n".repeat(CHUNK / 10 + 1));
        let delivery = Delivery::query("Large").push(format, Source::repeat(chunk, CHUNKS));
        let answered = looker.execute(&action, delivery).await;
        assert!(answered.answer.unwrap().success, "{format}");
        assert!(counts.recv().await.unwrap() > (CHUNK * CHUNKS) as u64);
    }
    for by_url in [false, true] {
        let times = LARGE as usize / CHUNK + 1;
        let source = Source::repeat(Bytes::from("x".repeat(CHUNK)), times);
        let delivery = Delivery::query("Large");
        let delivery = match by_url {
            true => delivery.by_url(Format::Csv, source),
            false => delivery.push(Format::Csv, source),
        };
        assert!(looker.execute(&action, delivery).await.answer.unwrap().success);
        let came = counts.recv().await.unwrap();
        assert!(came > LARGE, "by url {by_url}: {came} bytes");
    }
    // As `send --generate` and the page's button do: with all that an instance keeps of a send.
    for way in [Way::Push, Way::Url] {
        let mut order = Order::new(&id, What::Generated { bytes: GENERATED, seed: 1 });
        order.format = Some(Format::Csv);
        order.way = Some(way);
        let sent = instance.send(order).await.unwrap().finished().await;
        assert!(sent.outcome.as_ref().is_some_and(|outcome| outcome.success), "{sent:?}");
        assert!(sent.progress.moved() >= GENERATED, "{:?}", sent.progress);
        let came = counts.recv().await.unwrap();
        assert!(came > GENERATED, "{way:?}: {came} bytes");
    }
    let growth = peak() - before;
    assert!(growth < ALLOWED_GROWTH, "memory grew by {growth} bytes");
}
