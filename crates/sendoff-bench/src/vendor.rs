//! The vendor and Looker's download server: a process that takes any body and throws it away, and
//! gives a body of any length. Sockets and threads, no HTTP library: it must not be what is slow.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use memchr::memmem;
use rustix::net::RecvFlags;

use crate::body::{csv_rows, framed};

/// What came in since it was last asked for, by `POST /total`.
#[derive(Default)]
struct Total {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// Serves until the process is ended. What it takes it answers after `latency`, as Google's services
/// would if so asked.
pub(crate) fn serve(slow: bool, google: bool, latency: Duration) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    if slow {
        // Else the kernel would take a whole megabyte on the vendor's behalf.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 64 * 1024)?;
    }
    println!("{}", listener.local_addr()?);
    let total = Arc::<Total>::default();
    let chunk: Arc<[u8]> = framed(csv_rows().as_bytes()).into();
    for socket in listener.incoming() {
        let (socket, total, chunk) = (socket?, Arc::clone(&total), Arc::clone(&chunk));
        std::thread::Builder::new()
            .stack_size(256 * 1024)
            // A client that hangs up ends its own thread only.
            .spawn(move || drop(connection(socket, (slow, google), latency, &total, &chunk)))?;
    }
    Ok(())
}

/// Where a request's body ends.
#[derive(Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

fn connection(
    mut socket: TcpStream,
    (slow, google): (bool, bool),
    latency: Duration,
    total: &Total,
    chunk: &[u8],
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    if !slow {
        // Room for what gathers meanwhile.
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 * 1024 * 1024)?;
    }
    let mut buffer = vec![0; if slow { 64 * 1024 } else { 4 * 1024 * 1024 }];
    loop {
        let mut filled = 0;
        let end = loop {
            match socket.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                read => filled += read,
            }
            if let Some(end) = memmem::find(&buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let framing = framing(&head);
        let body = discard(&mut socket, &mut buffer, end, filled, framing, slow)?;
        if let Some(times) = target.strip_prefix("/give/") {
            give(&mut socket, chunk, times.parse().unwrap_or(1))?;
            continue;
        }
        if let Some(rows) = target.strip_prefix("/rows/") {
            give_rows(&mut socket, rows.parse().unwrap_or(1))?;
            continue;
        }
        if let Some(rows) = target.strip_prefix("/cells/") {
            give_cells(&mut socket, rows.parse().unwrap_or(1))?;
            continue;
        }
        if google && target != "/total" {
            total.requests.fetch_add(1, Ordering::Relaxed);
            total.bytes.fetch_add(body, Ordering::Relaxed);
            std::thread::sleep(latency);
            socket.write_all(crate::google::answer(&head, &target).as_bytes())?;
            continue;
        }
        let text = match target.as_str() {
            "/total" => {
                let taken = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
                let (requests, bytes) = (taken(&total.requests), taken(&total.bytes));
                format!("{{\"requests\":{requests},\"bytes\":{bytes}}}")
            }
            _ => {
                total.requests.fetch_add(1, Ordering::Relaxed);
                total.bytes.fetch_add(body, Ordering::Relaxed);
                std::thread::sleep(latency);
                "{\"ok\":true,\"success\":true}".to_owned()
            }
        };
        write!(
            socket,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )?;
    }
}

fn framing(head: &str) -> Framing {
    for line in head.lines() {
        if let Some(length) = line.strip_prefix("content-length:") {
            return Framing::Length(length.trim().parse().unwrap_or(0));
        }
        if line.starts_with("transfer-encoding:") {
            return Framing::Chunked;
        }
    }
    Framing::Length(0)
}

/// The end of a chunked body. Nothing follows a request before its answer, so when these are the
/// last bytes there, the body is over.
const LAST: &[u8] = b"0\r\n\r\n";

/// How long the vendor lets bytes gather before it discards them, as a network card does before it
/// interrupts. A thread that waited in `recv` would have to be woken for every 64 KiB, by the hub
/// and at its cost, which no vendor on another machine asks of it.
const MODERATION: Duration = Duration::from_micros(200);

/// Throws the rest of the body away; how many bytes it had, chunk sizes included.
fn discard(
    socket: &mut TcpStream,
    buffer: &mut [u8],
    head: usize,
    filled: usize,
    framing: Framing,
    slow: bool,
) -> io::Result<u64> {
    let mut seen = (filled - head) as u64;
    let mut tail = Tail::default();
    tail.keep(&buffer[head..filled]);
    loop {
        let done = match framing {
            Framing::Length(length) => seen >= length,
            Framing::Chunked => tail.0 == LAST,
        };
        if done {
            return Ok(seen);
        }
        if slow {
            std::thread::sleep(Duration::from_millis(20));
        } else {
            std::thread::sleep(MODERATION);
            seen += drop_waiting(socket, buffer)?;
        }
        let most = if slow { buffer.len() } else { LAST.len() };
        let read = socket.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        seen += read as u64;
        tail.keep(&buffer[..read]);
    }
}

/// Discards what waits in the socket, but for as many bytes as the end mark has. The kernel does
/// not copy what is discarded: a real vendor's work is not done on the hub's machine either.
fn drop_waiting(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<u64> {
    let waiting = usize::try_from(rustix::io::ioctl_fionread(socket)?).unwrap_or(0);
    let most = waiting.saturating_sub(LAST.len()).min(buffer.len());
    if most == 0 {
        return Ok(0);
    }
    let (_, dropped) = rustix::net::recv(socket, &mut buffer[..most], RecvFlags::TRUNC)?;
    Ok(dropped as u64)
}

/// The last bytes of the body so far: the end mark may come in two reads.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn keep(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST.len())..]);
        let surplus = self.0.len().saturating_sub(LAST.len());
        self.0.drain(..surplus);
    }
}

/// A json_detail document of so many rows.
fn give_rows(socket: &mut TcpStream, rows: usize) -> io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes())?;
    for chunk in crate::rows::document(rows) {
        socket.write_all(&framed(&chunk))?;
    }
    socket.write_all(b"0\r\n\r\n")
}

/// So many rows of CSV with 20 columns.
fn give_cells(socket: &mut TcpStream, rows: usize) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes())?;
    let header: Vec<_> = (0..20).map(|column| format!("Orders Column {column}")).collect();
    socket.write_all(&framed(format!("{}\n", header.join(",")).as_bytes()))?;
    let cells = ["shipped,2026-11-25,12.50,Frankfurt am Main"; 4].join(",");
    let row = |n: usize| format!("{n},{cells},{},x,yes\n", n % 97);
    for from in (0..rows).step_by(1_000) {
        let block: String = (from..rows.min(from + 1_000)).map(row).collect();
        socket.write_all(&framed(block.as_bytes()))?;
    }
    socket.write_all(b"0\r\n\r\n")
}

fn give(socket: &mut TcpStream, chunk: &[u8], times: usize) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes())?;
    socket.write_all(&framed(
        b"species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year\n",
    ))?;
    for _ in 0..times {
        socket.write_all(chunk)?;
    }
    socket.write_all(b"0\r\n\r\n")
}
