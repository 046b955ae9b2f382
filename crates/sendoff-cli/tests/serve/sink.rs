//! A receiver of webhooks on loopback: it can stop reading, and tells how each request ended.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::JoinHandle;

use rustix::net::sockopt;

use crate::hub::HANGS;

/// Small, so that a sink that stops reading stops its sender too; but several segments of the
/// loopback (64 KiB), or each waits for the sender to ask whether there is room, ever more seldom.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// When a sink stops until it is released.
#[derive(Clone, Copy)]
pub(crate) enum Pause {
    Never,
    /// After at least so many bytes of the body.
    At(u64),
    /// It takes the whole body and never answers.
    ForEver,
}

/// What a sink saw of one request. The numbers are bytes of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The head came.
    Begun,
    Paused,
    /// The body came to its end.
    Whole(u64),
    /// The connection ended within the body.
    Cut(u64),
    /// The connection ended while the sender could wait for an answer.
    Left,
}

pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    told: mpsc::Receiver<Told>,
    gate: Arc<Gate>,
    stop: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }
}

impl Sink {
    /// On 127.0.0.`host`: the hub tells vendors apart by their hosts.
    pub(crate) fn start(host: u8, pause: Pause) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
        // Accepted sockets inherit it.
        sockopt::set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER).unwrap();
        let address = listener.local_addr().unwrap();
        let (gate, stop) = (Arc::<Gate>::default(), Arc::new(AtomicBool::new(false)));
        let (tell, told) = mpsc::channel();
        let (at_gate, stopped) = (Arc::clone(&gate), Arc::clone(&stop));
        let accepting = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let (gate, tell) = (Arc::clone(&at_gate), tell.clone());
                let serving = move || while serve(&stream, pause, &gate, &tell).is_ok() {};
                connections.push(std::thread::spawn(serving));
            }
            connections.into_iter().for_each(|connection| connection.join().unwrap());
        });
        Self { address, told, gate, stop, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it sees next.
    pub(crate) fn next(&self) -> Told {
        self.told.recv_timeout(HANGS).expect("the sink sees nothing")
    }

    /// What it saw and nobody asked for yet.
    pub(crate) fn seen(&self) -> Vec<Told> {
        self.told.try_iter().collect()
    }

    /// Lets those go on who pause, and nobody pause any more.
    pub(crate) fn release(&self) {
        self.gate.open();
    }

    /// All that it saw and nobody asked for. The hub must have ended, or its connections here.
    pub(crate) fn finish(self) -> Vec<Told> {
        self.release();
        self.stop.store(true, Ordering::Release);
        TcpStream::connect(self.address).unwrap();
        self.accepting.join().unwrap();
        self.told.try_iter().collect()
    }
}

/// Takes one request and answers it. An error ends the connection.
fn serve(
    stream: &TcpStream,
    pause: Pause,
    gate: &Gate,
    tell: &mpsc::Sender<Told>,
) -> io::Result<()> {
    let say = |what| tell.send(what).unwrap_or_default();
    // Nothing is sent behind a request before its answer, so nothing is lost with this buffer.
    let mut reader = BufReader::new(stream);
    let length = head(&mut reader)?;
    say(Told::Begun);
    let mut taken = 0;
    let mut pause_at = match pause {
        Pause::At(bytes) => Some(bytes),
        Pause::Never | Pause::ForEver => None,
    };
    let mut take = |bytes: u64| {
        taken += bytes;
        if pause_at.take_if(|at| taken >= *at).is_some() {
            say(Told::Paused);
            gate.wait();
        }
    };
    take(0);
    let whole = match length {
        Some(length) => exactly(&mut reader, length, &mut take),
        None => chunks(&mut reader, &mut take),
    };
    say(if whole.is_ok() { Told::Whole(taken) } else { Told::Cut(taken) });
    whole?;
    if matches!(pause, Pause::ForEver) {
        // At the end of the connection, or a reset.
        let _ = reader.read(&mut [0]);
        say(Told::Left);
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let mut answering = stream;
    answering.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// The length of the body; `None` if it is chunked.
fn head(reader: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut length = Some(0);
    loop {
        let line = line(reader)?.to_ascii_lowercase();
        if line.is_empty() {
            return Ok(length);
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok();
        } else if line.starts_with("transfer-encoding: ") {
            length = None;
        }
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn exactly(reader: &mut impl BufRead, length: u64, take: &mut impl FnMut(u64)) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let ready = reader.fill_buf()?.len();
        if ready == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let used = left.min(ready as u64);
        reader.consume(used as usize);
        left -= used;
        take(used);
    }
    Ok(())
}

fn chunks(reader: &mut impl BufRead, take: &mut impl FnMut(u64)) -> io::Result<()> {
    loop {
        let size = u64::from_str_radix(&line(reader)?, 16).map_err(io::Error::other)?;
        exactly(reader, size, take)?;
        if !line(reader)?.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if size == 0 {
            return Ok(());
        }
    }
}
