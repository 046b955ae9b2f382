//! The socket's clocks, with time that passes as soon as nobody has anything else to do.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

const LIMITS: HeadLimits =
    HeadLimits { bytes: 16 * 1024, headers: 64, time: Duration::from_secs(10) };
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n";

/// Our side, its count of requests, and the caller's.
#[allow(clippy::disallowed_methods, reason = "a test's own socket")]
async fn pair() -> (Socket, InFlight, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (caller, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let in_flight = InFlight::default();
    let socket = Socket::new(accepted.unwrap().0, LIMITS, in_flight.clone(), Loan::default());
    (socket, in_flight, caller.unwrap())
}

async fn read(socket: &mut Socket) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 64 * 1024];
    let read = socket.read(&mut bytes).await?;
    bytes.truncate(read);
    Ok(bytes)
}

/// How long the next read waits before it fails.
async fn patience(socket: &mut Socket) -> Duration {
    let began = Instant::now();
    let fault = read(socket).await.unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::TimedOut);
    Duration::from_secs(began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_says_nothing_or_half_a_head_is_cut_after_ten_seconds() {
    let (mut socket, _, _caller) = pair().await;
    assert_eq!(patience(&mut socket).await, LIMITS.time);
    let (mut socket, _, mut caller) = pair().await;
    caller.write_all(b"GET / HT").await.unwrap();
    assert_eq!(patience(&mut socket).await, LIMITS.time);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_may_wait_longer_but_not_within_a_head() {
    let (mut socket, _, mut caller) = pair().await;
    caller.write_all(GET).await.unwrap();
    assert_eq!(read(&mut socket).await.unwrap(), GET);
    assert_eq!(patience(&mut socket).await, KEPT);
    let (mut socket, _, mut caller) = pair().await;
    caller.write_all(&[GET, b"GET /"].concat()).await.unwrap();
    assert_eq!(read(&mut socket).await.unwrap(), GET);
    assert_eq!(patience(&mut socket).await, LIMITS.time);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_waits_for_an_answer_is_not_cut_and_is_awaited_again_after_it() {
    let (mut socket, in_flight, mut caller) = pair().await;
    caller.write_all(GET).await.unwrap();
    assert_eq!(read(&mut socket).await.unwrap(), GET);
    let answering = in_flight.begin();
    // A task of its own: nothing but its own wakers polls it again.
    let mut reading = JoinSet::new();
    reading.spawn(async move { read(&mut socket).await });
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, reading.join_next()).await.is_err(), "cut while it waits");
    drop(answering);
    let ended = timeout(KEPT * 2, reading.join_next()).await.expect("never cut").unwrap();
    assert_eq!(ended.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_caller_who_still_sends_meets_an_end_and_no_reset() {
    let (mut socket, _, mut caller) = pair().await;
    let piece = vec![b'x'; 100_000];
    caller.write_all(&piece).await.unwrap();
    let close = async move {
        socket.write_all(b"answer").await.unwrap();
        socket.shutdown().await.unwrap();
    };
    let go_on = async {
        let mut answer = Vec::new();
        caller.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        // Twice: the first write after a reset may still seem to succeed.
        caller.write_all(&piece).await.unwrap();
        caller.write_all(&piece).await.unwrap();
        caller.shutdown().await.unwrap();
    };
    tokio::join!(close, go_on);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_does_not_read_is_cut_after_a_minute() {
    let (mut socket, _, _caller) = pair().await;
    let began = Instant::now();
    // More than any buffer between the two holds.
    let fault = socket.write_all(&vec![b'x'; 64 << 20]).await.unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::TimedOut);
    assert_eq!(began.elapsed().as_secs(), WRITE.as_secs());
}

#[tokio::test]
async fn bytes_go_through_unchanged_however_they_are_cut() {
    let body = "b".repeat(3000);
    let post = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let sent = [post.as_bytes(), GET, post.as_bytes(), GET].concat();
    for (piece, room) in [(1, 7), (13, 5000), (usize::MAX, 1), (usize::MAX, 64 * 1024)] {
        let (mut socket, _, mut caller) = pair().await;
        let send = async {
            for piece in sent.chunks(piece.min(sent.len())) {
                caller.write_all(piece).await.unwrap();
            }
            caller.shutdown().await.unwrap();
        };
        let receive = async {
            let mut got = Vec::new();
            let mut bytes = vec![0; room];
            loop {
                match socket.read(&mut bytes).await.unwrap() {
                    0 => break got,
                    read => got.extend_from_slice(&bytes[..read]),
                }
            }
        };
        let ((), got) = tokio::join!(send, receive);
        assert!(got == sent, "pieces of {piece}, room for {room}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_behind_a_doubtful_head_is_handed_on() {
    let (mut socket, _, mut caller) = pair().await;
    let doubtful = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    caller.write_all(&[GET, doubtful, GET].concat()).await.unwrap();
    assert_eq!(read(&mut socket).await.unwrap(), GET);
    assert_eq!(read(&mut socket).await.unwrap(), REFUSED);
    let more = timeout(KEPT * 2, read(&mut socket)).await;
    assert!(more.is_err(), "{more:?}");
}
