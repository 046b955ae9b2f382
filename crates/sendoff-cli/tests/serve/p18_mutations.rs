//! P18: no input ends the process or leaves an answer unfinished.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::hub::Hub;
use crate::random::Random;
use crate::wire::{Broken, Wire};

const REQUESTS: u32 = 10_000;
const AT_ONCE: usize = 32;

fn mutate(request: &mut Vec<u8>, from: usize, random: &mut Random) {
    const PIECES: [&[u8]; 12] = [
        b"\0",
        b"\r\n",
        b"\r\n\r\n",
        b"{",
        b"[[[[[[[[",
        b"\"",
        b"\\u0000",
        b"\\",
        b"\xff\xfe",
        b"null",
        b"1e999",
        b"Transfer-Encoding: chunked\r\n",
    ];
    for _ in 0..=random.below(6) {
        let at = from + random.below(request.len().saturating_sub(from));
        match random.below(6) {
            0 if at < request.len() => request[at] ^= 1 << random.below(8),
            1 if at < request.len() => {
                request.remove(at);
            }
            2 => {
                let piece = PIECES[random.below(PIECES.len())];
                request.splice(at..at, piece.iter().copied());
            }
            3 => {
                let end = (at + random.below(64)).min(request.len());
                let copy = request[at..end].to_vec();
                request.splice(at..at, copy);
            }
            4 => {
                let end = (at + random.below(32)).min(request.len());
                request.drain(at..end);
            }
            _ if random.below(4) == 0 => request.truncate(at),
            _ => {}
        }
    }
}

#[test]
fn p18_ten_thousand_mutated_requests_leave_the_hub_as_it_was() {
    let mut hub = Hub::start(&[
        // Most mutations leave a request that waits for more.
        ("SENDOFF_LIMITS_IDLE", "100 ms"),
        ("SENDOFF_LIMITS_HEADER_TIMEOUT", "100 ms"),
        ("SENDOFF_LOG", "error"),
    ]);
    let base = hub.sleep(0).into_bytes();
    let body = base.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    let (next, answered, ok) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let address = hub.address;
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= REQUESTS {
                        break;
                    }
                    let mut random = Random::seeded(u64::from(seed));
                    let mut request = base.clone();
                    let from = if random.below(2) == 0 { 0 } else { body };
                    mutate(&mut request, from, &mut random);
                    let mut wire = Wire::open(address);
                    wire.send(&request);
                    match wire.receive() {
                        Ok(answer) => {
                            answered.fetch_add(1, Ordering::Relaxed);
                            ok.fetch_add(u32::from(answer.status == 200), Ordering::Relaxed);
                            assert!(answer.status < 600, "seed {seed}: {answer:?}");
                            assert!(!answer.body.contains(".rs:"), "seed {seed}: {answer:?}");
                            let fault = answer.body.contains("fault in the hub");
                            assert!(!fault, "seed {seed}: {answer:?}");
                        }
                        Err(Broken::Nothing) => {}
                        Err(Broken::Unfinished(what)) => panic!("seed {seed}: unfinished: {what}"),
                    }
                }
            });
        }
    });
    assert!(hub.is_running());
    assert_eq!(Wire::open(hub.address).call(hub.post("/", "{}")).status, 200);
    // Or the test tests nothing.
    let (answered, ok) = (answered.into_inner(), ok.into_inner());
    assert!(answered > REQUESTS / 2 && ok > 100, "{answered} answered, {ok} with 200");
    hub.terminate();
    let (status, said) = hub.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("a fault in the hub"), "{said}");
}
