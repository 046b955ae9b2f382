//! The load client: HTTP/1.1 by hand over one socket, so that it costs as little as can be.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::body::Push;

/// One connection, kept open.
pub(crate) struct Client {
    socket: TcpStream,
    /// Holds one answer at a time.
    buffer: Vec<u8>,
}

/// An answer, still in the client's buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// With chunk sizes, where the answer was chunked.
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// A 200 whose envelope says so.
    pub(crate) fn is_success(&self) -> bool {
        self.status == 200 && memmem::find(self.body, b"\"success\":true").is_some()
    }
}

/// The request's head, up to what says how long the body is.
pub(crate) fn head(path: &str, token: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: LookerOutgoingWebhook/25.18.0\r\n\
         x-looker-webhook-id: 0123456789abcdef0123456789abcdef\r\n\
         x-looker-instance: fedcba9876543210fedcba9876543210\r\n\
         authorization: Token token=\"{token}\"\r\ncontent-type: application/json\r\n"
    )
}

/// A request whose body stands in memory.
pub(crate) fn request(path: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let mut request = head(path, token).into_bytes();
    request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// One small request and its answer.
    pub(crate) async fn call(
        &mut self,
        path: &str,
        token: &str,
        body: &[u8],
    ) -> Result<Answer<'_>> {
        self.exchange(&request(path, token, body)).await
    }

    /// A request as it stands on the wire, and its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.socket.write_all(request).await?;
        self.answer().await
    }

    /// A chunked body that repeats one buffer; nothing is copied but by the kernel.
    pub(crate) async fn push(&mut self, head: &str, push: &Push) -> Result<Answer<'_>> {
        let head = format!("{head}transfer-encoding: chunked\r\n\r\n");
        // A hub that refuses closes its side while the body is on its way: its answer says why.
        if self.write(head.as_bytes(), push).await.is_err() {
            return self.answer().await.context("the server hung up");
        }
        self.answer().await
    }

    async fn write(&mut self, head: &[u8], push: &Push) -> Result<()> {
        self.socket.write_all(head).await?;
        self.socket.write_all(&push.before).await?;
        for _ in 0..push.times {
            self.socket.write_all(&push.chunk).await?;
        }
        self.socket.write_all(&push.after).await?;
        Ok(())
    }

    async fn answer(&mut self) -> Result<Answer<'_>> {
        self.buffer.clear();
        loop {
            if let Some((status, from, to)) = complete(&self.buffer)? {
                return Ok(Answer { status, body: &self.buffer[from..to] });
            }
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                bail!("the answer broke off after {} bytes", self.buffer.len());
            }
        }
    }
}

/// Status and bounds of the body, once the whole answer is there.
fn complete(answer: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else { return Ok(None) };
    let from = end + 4;
    let head = std::str::from_utf8(&answer[..end]).context("the answer has no HTTP head")?;
    let status = head.get(9..12).and_then(|code| code.parse().ok()).context("no status")?;
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            let to = from + value.trim().parse::<usize>()?;
            return Ok((answer.len() >= to).then_some((status, from, to)));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            let ended =
                answer[from..].ends_with(b"\r\n0\r\n\r\n") || &answer[from..] == b"0\r\n\r\n";
            return Ok(ended.then_some((status, from, answer.len())));
        }
    }
    bail!("the answer has no length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_when_its_framing_says_so() {
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let chunked = b"HTTP/1.1 413 X\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        for (text, status) in [(&sized[..], 200), (&chunked[..], 413)] {
            for cut in 0..text.len() {
                assert_eq!(complete(&text[..cut]).unwrap(), None, "cut at {cut}");
            }
            let (found, from, to) = complete(text).unwrap().unwrap();
            assert_eq!((found, to), (status, text.len()));
            assert!(text[from..].contains(&b'a'));
        }
        assert!(complete(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
