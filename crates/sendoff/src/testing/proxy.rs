//! A TCP proxy that breaks connections at an exact byte, so that a fault can be repeated.
//!
//! Faults are set and healed by the test and counted in bytes, never in time.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Read at once; small, so that little more than the counted bytes has left the sender.
const PIECE: usize = 16 * 1024;
/// The time between two pieces of a slowed connection.
const TICK: Duration = Duration::from_millis(20);

/// Several segments of the loopback, and far less than any upload under test.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// Which way bytes flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From whoever connected.
    Up,
    /// Towards whoever connected.
    Down,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Both sides see the other one close (FIN).
    Close,
    /// Both sides see a reset (RST).
    Reset,
    /// Nothing more passes this way until the fault is healed.
    Stall,
    /// So many bytes a second pass this way until the fault is healed.
    Slow(u32),
    /// One bit of the next byte is turned over.
    Flip,
}

/// A fault: after `after` bytes that flow this way, over all connections from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injury {
    /// Which bytes are counted and hit.
    pub flow: Flow,
    /// Bytes that still pass.
    pub after: u64,
    /// What happens then.
    pub damage: Damage,
    /// Whether each later byte on any connection is hit too; else the fault strikes once.
    pub lasting: bool,
}

/// A proxy in front of one server. It stops when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    injury: Mutex<Option<Injury>>,
    /// Raised by each strike and by each healing.
    strikes: watch::Sender<u64>,
    healed: watch::Sender<u64>,
    connections: AtomicU64,
    up: watch::Sender<u64>,
    down: watch::Sender<u64>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and hands every connection on to `target`.
    ///
    /// # Errors
    /// The system's, when it gives no port.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        // Connections inherit it. Some machines let it grow to tens of megabytes, in which a whole
        // upload would vanish that is to be cut in its middle.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            injury: Mutex::new(None),
            strikes: watch::Sender::new(0),
            healed: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            up: watch::Sender::new(0),
            down: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets a fault, in place of the one before.
    pub fn injure(&self, injury: Injury) {
        *self.shared.injury() = Some(injury);
    }

    /// Removes the fault; what stalled flows again.
    pub fn heal(&self) {
        *self.shared.injury() = None;
        self.shared.healed.send_modify(|times| *times += 1);
    }

    /// Waits until a fault has struck since the proxy began.
    pub async fn struck(&self) {
        until(&self.shared.strikes, 1).await;
    }

    /// How often faults have struck.
    pub fn strikes(&self) -> u64 {
        *self.shared.strikes.borrow()
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Bytes that passed this way so far.
    pub fn passed(&self, flow: Flow) -> u64 {
        *self.shared.counter(flow).borrow()
    }

    /// Waits until so many bytes have passed this way.
    pub async fn wait_for(&self, flow: Flow, bytes: u64) {
        until(self.shared.counter(flow), bytes).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The sender lives as long as the caller's reference, so the channel cannot close.
async fn until(counter: &watch::Sender<u64>, at_least: u64) {
    if counter.subscribe().wait_for(|count| *count >= at_least).await.is_err() {
        pending::<()>().await;
    }
}

/// What may be done with bytes that were just read.
enum Verdict {
    Pass,
    Strike { pass: usize, damage: Damage },
}

/// How one direction of a connection ended.
enum End {
    /// The sender is done; the other direction goes on.
    Eof,
    /// The receiver is gone.
    Broken,
    Struck(Damage),
}

impl Shared {
    fn injury(&self) -> std::sync::MutexGuard<'_, Option<Injury>> {
        self.injury.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counter(&self, flow: Flow) -> &watch::Sender<u64> {
        match flow {
            Flow::Up => &self.up,
            Flow::Down => &self.down,
        }
    }

    fn judge(&self, flow: Flow, len: usize) -> Verdict {
        let mut slot = self.injury();
        let Some(injury) = slot.as_mut().filter(|injury| injury.flow == flow) else {
            return Verdict::Pass;
        };
        // Strikes with the last byte that passes, not with the first that does not: at the end of
        // a request there is no such byte.
        if injury.after > len as u64 {
            injury.after -= len as u64;
            return Verdict::Pass;
        }
        let (pass, damage) = (injury.after as usize, injury.damage);
        injury.after = 0;
        if !injury.lasting {
            *slot = None;
        }
        drop(slot);
        self.strikes.send_modify(|times| *times += 1);
        Verdict::Strike { pass, damage }
    }

    async fn pump<R, W>(&self, from: &mut R, to: &mut W, flow: Flow) -> End
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = vec![0; PIECE];
        loop {
            let len = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => {
                    let _ = to.shutdown().await;
                    return End::Eof;
                }
                Ok(len) => len,
            };
            let (pass, rest) = match self.judge(flow, len) {
                Verdict::Pass => (len, None),
                Verdict::Strike { pass, damage } => (pass, Some(damage)),
            };
            if self.write(to, &buffer[..pass], flow).await.is_err() {
                return End::Broken;
            }
            let late = &mut buffer[pass..len];
            match rest {
                None => continue,
                Some(Damage::Stall) => self.healing().await,
                Some(Damage::Slow(rate)) => {
                    if self.trickle(to, late, flow, rate).await.is_err() {
                        return End::Broken;
                    }
                    continue;
                }
                Some(Damage::Flip) => late.iter_mut().take(1).for_each(|byte| *byte ^= 1),
                Some(damage) => return End::Struck(damage),
            }
            if self.write(to, late, flow).await.is_err() {
                return End::Broken;
            }
        }
    }

    async fn write<W: AsyncWrite + Unpin>(
        &self,
        to: &mut W,
        bytes: &[u8],
        flow: Flow,
    ) -> io::Result<()> {
        to.write_all(bytes).await?;
        self.counter(flow).send_modify(|count| *count += bytes.len() as u64);
        Ok(())
    }

    async fn healing(&self) {
        let mut healed = self.healed.subscribe();
        if healed.changed().await.is_err() {
            pending::<()>().await;
        }
    }

    /// Writes at most `rate` bytes a second, or all at once when the fault is healed.
    async fn trickle<W: AsyncWrite + Unpin>(
        &self,
        to: &mut W,
        bytes: &[u8],
        flow: Flow,
        rate: u32,
    ) -> io::Result<()> {
        let per_tick = (rate as usize / 50).max(1);
        for piece in bytes.chunks(per_tick) {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = self.healing() => {}
            }
            self.write(to, piece, flow).await?;
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        // Dropping the set with this task ends every connection of a dropped proxy.
        match listener.accept().await {
            Ok((client, _)) => {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(carry(client, Arc::clone(&shared)));
            }
            Err(_) => tokio::task::yield_now().await,
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let Ok(mut server) = TcpStream::connect(shared.target).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let struck = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = shared.pump(&mut from_client, &mut to_server, Flow::Up);
        let down = shared.pump(&mut from_server, &mut to_client, Flow::Down);
        let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
        let (mut up_open, mut down_open) = (true, true);
        loop {
            let end = tokio::select! {
                end = &mut up, if up_open => {
                    up_open = false;
                    end
                }
                end = &mut down, if down_open => {
                    down_open = false;
                    // A client that takes nothing more is gone; a server that takes nothing more
                    // may still be answering.
                    if matches!(end, End::Broken) {
                        break None;
                    }
                    end
                }
                else => break None,
            };
            if let End::Struck(damage) = end {
                break Some(damage);
            }
        }
    };
    match struck {
        Some(Damage::Reset) => {
            let _ = client.set_zero_linger();
            let _ = server.set_zero_linger();
        }
        Some(Damage::Close) => {
            let _ = tokio::join!(client.shutdown(), server.shutdown());
            // Closing with unread bytes would turn the FIN into a reset.
            let (mut sink, mut other) = (tokio::io::sink(), tokio::io::sink());
            let _ = tokio::join!(
                tokio::io::copy(&mut client, &mut sink),
                tokio::io::copy(&mut server, &mut other)
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets, and a proxy before it.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let proxy = Proxy::to(address).await.unwrap();
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, stream)
    }

    fn injury(flow: Flow, after: u64, damage: Damage) -> Injury {
        Injury { flow, after, damage, lasting: false }
    }

    #[tokio::test]
    async fn passes_bytes_and_counts_them() {
        let (proxy, mut stream) = echo().await;
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
        assert_eq!((proxy.passed(Flow::Up), proxy.connections()), (5, 1));
        proxy.wait_for(Flow::Down, 5).await;
    }

    #[tokio::test]
    async fn closes_after_exactly_so_many_bytes_and_once() {
        let (proxy, mut stream) = echo().await;
        proxy.injure(injury(Flow::Down, 3, Damage::Close));
        stream.write_all(b"hello").await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, b"hel");
        let mut next = TcpStream::connect(proxy.address()).await.unwrap();
        next.write_all(b"again").await.unwrap();
        let mut back = [0; 5];
        next.read_exact(&mut back).await.unwrap();
        assert_eq!(proxy.strikes(), 1);
    }

    #[tokio::test]
    async fn resets() {
        let (proxy, mut stream) = echo().await;
        proxy.injure(injury(Flow::Up, 2, Damage::Reset));
        stream.write_all(b"hello").await.unwrap();
        let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_stalls_flows_on_when_healed() {
        let (proxy, mut stream) = echo().await;
        proxy.injure(injury(Flow::Up, 2, Damage::Stall));
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back[..2]).await.unwrap();
        proxy.struck().await;
        assert_eq!(proxy.passed(Flow::Up), 2);
        proxy.heal();
        stream.read_exact(&mut back[2..]).await.unwrap();
        assert_eq!(&back, b"hello");
    }

    #[tokio::test]
    async fn flips_one_bit_and_slows_without_losing_a_byte() {
        let (proxy, mut stream) = echo().await;
        proxy.injure(injury(Flow::Up, 1, Damage::Flip));
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hdllo");
        proxy.injure(injury(Flow::Up, 1, Damage::Slow(1_000)));
        stream.write_all(b"hello").await.unwrap();
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
    }
}
