//! HTTP/1.1 by hand, to send what no client library would.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

use crate::hub::HANGS;

pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// How a caller goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goodbye {
    Fin,
    Reset,
}

/// What came in place of a whole answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection ended before an answer began.
    Nothing,
    /// The connection ended within an answer, or the answer is no HTTP.
    Unfinished(String),
}

impl Wire {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(HANGS)).unwrap();
        stream.set_write_timeout(Some(HANGS)).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// The same connection, for a thread that sends while another receives.
    pub(crate) fn clone(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), buffer: Vec::new() }
    }

    /// Closes the connection. What the hub had sent and nobody read makes a FIN a reset too.
    pub(crate) fn hang_up(self, how: Goodbye) {
        if let Goodbye::Reset = how {
            sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
        }
    }

    /// Errors do not matter here: the hub may have closed before it read all.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends until the hub takes no more while it sends some newlines. Says how much that was.
    pub(crate) fn send_until_stuck(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        loop {
            let before = sent;
            self.stream.set_nonblocking(true).unwrap();
            while let Ok(more @ 1..) = self.stream.write(&bytes[sent..]) {
                sent += more;
            }
            self.stream.set_nonblocking(false).unwrap();
            if sent == before {
                return sent;
            }
            self.wait_for_newlines(5);
        }
    }

    pub(crate) fn call(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request);
        self.receive().unwrap()
    }

    /// False at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&bytes[..read]);
                true
            }
            Err(fault) if fault.kind() == io::ErrorKind::ConnectionReset => false,
            Err(fault) => panic!("the hub leaves the connection hanging: {fault}"),
        }
    }

    fn until(&mut self, text: &str) -> Option<String> {
        loop {
            let found = self.buffer.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                let part: Vec<u8> = self.buffer.drain(..at + text.len()).collect();
                return Some(String::from_utf8_lossy(&part[..at]).into_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < size {
            if !self.fill() {
                return None;
            }
        }
        Some(self.buffer.drain(..size).collect())
    }

    /// One answer, to its end.
    pub(crate) fn receive(&mut self) -> Result<Response, Broken> {
        if self.buffer.is_empty() && !self.fill() {
            return Err(Broken::Nothing);
        }
        let unfinished = || Broken::Unfinished("the head".to_owned());
        let head = self.until("\r\n\r\n").ok_or_else(unfinished)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Broken::Unfinished(head.clone()))?;
        let header = |name: &str| {
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            let mut found = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.to_owned())
        };
        let length = header("content-length").map(|length| length.parse().unwrap());
        let chunked = header("transfer-encoding").is_some();
        let body = match (chunked, length) {
            (true, _) => self.chunks(),
            (false, Some(length)) => self.exactly(length),
            (false, None) => Some(Vec::new()),
        };
        let body = body.ok_or_else(|| Broken::Unfinished(head.clone()))?;
        Ok(Response { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.until("\r\n")?, 16).unwrap();
            body.extend(self.exactly(size)?);
            self.exactly(2)?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// Everything up to the end of the connection, which the hub must close.
    pub(crate) fn rest(&mut self) -> String {
        while self.fill() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// Reads until an answer has begun, whole or by a newline.
    pub(crate) fn wait_for_head(&mut self) {
        while !self.holds("\r\n\r\n") {
            assert!(self.fill(), "the hub closed");
        }
    }

    /// Whether an answer has begun by now.
    pub(crate) fn is_answered(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        if let Ok(read) = self.stream.read(&mut bytes) {
            self.buffer.extend_from_slice(&bytes[..read]);
        }
        self.stream.set_nonblocking(false).unwrap();
        !self.buffer.is_empty()
    }

    /// Reads until the answer of a working delivery has begun.
    pub(crate) fn wait_for_newline(&mut self) {
        // The head, the size of the first chunk, and the newline that it holds.
        while !self.buffer.windows(4).any(|part| part == b"\r\n\r\n") || !self.holds("\r\n1\r\n\n")
        {
            assert!(self.fill(), "the hub closed");
        }
    }

    /// Reads until so many newlines have come that were not waiting here already.
    pub(crate) fn wait_for_newlines(&mut self, count: usize) {
        self.wait_for_newline();
        self.stream.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = self.stream.read(&mut bytes) {
            self.buffer.extend_from_slice(&bytes[..read]);
        }
        self.stream.set_nonblocking(false).unwrap();
        let known = self.buffer.len();
        let newline = b"1\r\n\n\r\n";
        while self.buffer[known..].windows(newline.len()).filter(|part| part == newline).count()
            < count
        {
            assert!(self.fill(), "the hub closed");
        }
    }

    fn holds(&self, text: &str) -> bool {
        self.buffer.windows(text.len()).any(|part| part == text.as_bytes())
    }
}
