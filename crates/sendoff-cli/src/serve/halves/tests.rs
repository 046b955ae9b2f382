//! Halves that are watched only while somebody waits.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const MOST: usize = 1024;

/// Our halves, each with a descriptor of its own, and the caller.
#[allow(clippy::disallowed_methods, reason = "a test's own socket")]
async fn parted() -> (Reading, Writing, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (caller, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (reading, mut writing) = halves(accepted.unwrap().0);
    let reading = part(reading, &mut writing).unwrap();
    (reading, writing, caller.unwrap())
}

async fn read(reading: &mut Reading) -> Vec<u8> {
    poll_fn(|cx| reading.poll_bytes(cx, MOST)).await.unwrap()
}

impl Reading {
    fn is_watched(&self) -> bool {
        matches!(self.0, Source::Own(Own::Watched(_), _))
    }
}

#[tokio::test]
async fn what_comes_fast_is_not_watched_until_it_runs_dry() {
    let (mut reading, _writing, mut caller) = parted().await;
    let sent: Vec<u8> = (0..16 * MOST).map(|n| (n % 251) as u8).collect();
    let mut got = Vec::new();
    // Watched from the first wait on.
    let (first, ()) = tokio::join!(read(&mut reading), async {
        tokio::task::yield_now().await;
        caller.write_all(&sent[..1]).await.unwrap();
    });
    assert!(reading.is_watched());
    got.extend(first);
    caller.write_all(&sent[1..]).await.unwrap();
    for full in 1..=FULL_READS {
        assert!(reading.is_watched(), "after {} full reads", full - 1);
        got.extend(read(&mut reading).await);
    }
    assert!(!reading.is_watched());
    while got.len() < sent.len() {
        assert!(!reading.is_watched());
        got.extend(read(&mut reading).await);
    }
    assert!(got == sent);
    // It waits, and is woken.
    let (more, ()) = tokio::join!(read(&mut reading), async {
        tokio::task::yield_now().await;
        caller.write_all(b"more").await.unwrap();
    });
    assert_eq!(more, b"more");
    assert!(reading.is_watched());
    drop(caller);
    assert_eq!(read(&mut reading).await, b"");
}

#[tokio::test]
async fn what_cannot_be_written_waits_and_goes_on() {
    let (_reading, mut writing, mut caller) = parted().await;
    // More than any buffer between the two holds.
    let sent: Vec<u8> = (0..64 << 20).map(|n: u32| (n % 251) as u8).collect();
    let mut got = vec![0; sent.len()];
    let (written, read) = tokio::join!(
        async {
            writing.write_all(&sent).await?;
            assert!(matches!(writing.0, Sink::Own(Own::Watched(_))), "it never had to wait");
            writing.flush().await?;
            assert!(matches!(writing.0, Sink::Own(Own::Unwatched(_))));
            writing.shutdown().await
        },
        caller.read_exact(&mut got)
    );
    written.unwrap();
    read.unwrap();
    assert!(got == sent);
    assert_eq!(caller.read(&mut got).await.unwrap(), 0);
}

#[tokio::test]
async fn halves_that_are_parted_stay_so() {
    let (reading, mut writing, mut caller) = parted().await;
    let mut reading = part(reading, &mut writing).unwrap();
    writing.write_all(b"answer").await.unwrap();
    caller.write_all(b"question").await.unwrap();
    assert_eq!(read(&mut reading).await, b"question");
    let mut answer = [0; 6];
    caller.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
}
