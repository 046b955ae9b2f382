//! A result of any size is sent in flat memory, whatever its encoding. A process of its own, so
//! that its peak memory is that of this test.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "reads /proc, and a loopback socket")]

use bytes::Bytes;
use sendoff_protocol::{Definition, Format};
use sendoff_workbench::{Delivery, Looker, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1_536;
const ALLOWED_GROWTH: u64 = 16 * 1024 * 1024;

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_large_push_takes_the_memory_of_a_few_chunks() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        for _ in 0..3 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; CHUNK];
            let mut received = 0;
            // The last chunk of a chunked body ends what a client sends before the answer.
            loop {
                let read = socket.read(&mut buffer).await.unwrap();
                received += read;
                if buffer[..read].ends_with(b"0\r\n\r\n") {
                    break;
                }
            }
            assert!(received > CHUNK * CHUNKS, "only {received} bytes came");
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"looker\":{}}";
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let action = Definition { url: url.clone(), ..Definition::default() };
    let looker = Looker::new(&url).unwrap();
    let before = peak();
    for format in [Format::Csv, Format::Xlsx, Format::Html] {
        let chunk = Bytes::from("1,\"two\",3\n".repeat(CHUNK / 10 + 1));
        let delivery = Delivery::query("Large").push(format, Source::repeat(chunk, CHUNKS));
        let answered = looker.execute(&action, delivery).await;
        assert!(answered.answer.unwrap().success, "{format}");
    }
    let growth = peak() - before;
    assert!(growth < ALLOWED_GROWTH, "memory grew by {growth} bytes");
    server.join_all().await;
}
