//! The hub reads from Looker only as fast as the destination takes.

#![allow(clippy::disallowed_methods, reason = "a test waits for what it began")]

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use sendoff::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;

/// Takes the first chunk and then nothing until it is told to go on.
struct Stuck {
    reached: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Action for Stuck {
    type Settings = ();
    type Form = ();

    const SPEC: Spec = Spec::new("stuck", "Stuck").description("Reads one chunk and waits.");

    async fn execute(&self, _: &Context<()>, (): (), data: Payload) -> Result<Receipt> {
        let mut chunks = data.open().await?;
        let mut bytes = 0;
        while let Some(chunk) = chunks.next().await {
            if bytes == 0 {
                self.reached.notify_one();
                self.go_on.notified().await;
            }
            bytes += chunk?.len() as u64;
        }
        Ok(Receipt::new("nowhere").bytes(bytes))
    }
}

/// What the kernel may hold for one side of a connection: the test sets it, so that what is left
/// is the hub's own.
const KERNEL: u32 = 256 * 1024;
const HUB_HOLDS_AT_MOST: usize = 8 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p10_a_destination_that_stops_reading_stops_lookers_sending() {
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let stuck = Stuck { reached: Arc::clone(&reached), go_on: Arc::clone(&go_on) };
    let hub = Hub::builder().action(stuck).secrets(["a long random text".into()]).build().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(KERNEL).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(hub);
        let io = TokioIo::new(stream);
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.unwrap();
    });

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(KERNEL).unwrap();
    let mut looker = socket.connect(address).await.unwrap();
    let token = sendoff::Token::issue(&"a long random text".into(), []).unwrap();
    let front = r#"{"type":"query","scheduled_plan":null,"data":{},"form_params":{},"attachment":{"mimetype":"text/csv","extension":"csv","data":""#;
    let chunk = vec![b'x'; 64 * 1024];
    let total = 1024 * chunk.len();
    let length = front.len() + total + "\"}}".len();
    let head = format!(
        "POST /actions/stuck/execute HTTP/1.1\r\nhost: x\r\nauthorization: Token token=\"{token}\"\r\ncontent-length: {length}\r\n\r\n{front}"
    );
    looker.write_all(head.as_bytes()).await.unwrap();
    let mut sent = 0;
    looker.write_all(&chunk).await.unwrap();
    sent += chunk.len();
    reached.notified().await;
    // The kernel takes what it has room for; a write that finds none for a second finds none.
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(1), looker.write(&chunk)).await
    {
        sent += written.unwrap();
        assert!(sent <= HUB_HOLDS_AT_MOST, "{sent} bytes were taken from Looker");
    }

    go_on.notify_one();
    while sent < total {
        sent += looker.write(&chunk[..chunk.len().min(total - sent)]).await.unwrap();
    }
    looker.write_all(b"\"}}").await.unwrap();
    let answer = answer(&mut looker).await;
    assert!(answer.contains("Delivered 64.0 MiB to nowhere."), "{answer}");
}

async fn answer(looker: &mut tokio::net::TcpStream) -> String {
    use tokio::io::AsyncReadExt;
    let mut text = vec![0; 4096];
    let mut len = 0;
    while !text[..len].ends_with(b"}}") {
        let read = looker.read(&mut text[len..]).await.unwrap();
        assert!(read > 0, "the answer ended early");
        len += read;
    }
    String::from_utf8_lossy(&text[..len]).into_owned()
}
