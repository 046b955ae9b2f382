//! Lines to the server and its replies, each in time, and the words where none comes.

use std::io;
use std::time::Duration;

use sendoff::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Session;
use super::reply::Reply;

/// RFC 5321 allows 512 bytes for a line; servers with long greetings exist.
const LONGEST_LINE: usize = 4096;
/// Lines of one reply.
const MOST_LINES: usize = 100;
/// Written at a time, so that a slow way is no silent one.
const PIECE: usize = 32 * 1024;

impl Session {
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply> {
        // Nothing that is written here comes with a line end of its own; if it did it would be a
        // second command.
        if line.contains(['\r', '\n']) {
            return Err(Error::settings("A setting holds a line break where none may stand."));
        }
        self.write(format!("{line}\r\n").as_bytes()).await?;
        let reply = self.reply(self.idle).await?;
        // RFC 5321, 3.8: the server ends the conversation, whatever it was asked.
        if reply.code == 421 {
            return Err(reply.error(format!("{} ends the connection", self.host)));
        }
        Ok(reply)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(PIECE) {
            let write = async {
                self.wire.write_all(piece).await?;
                // TLS keeps what it did not get rid of.
                self.wire.flush().await
            };
            let written = self.stop.unless_stopped(timeout(self.idle, write)).await?;
            written.map_err(|_| self.silent(self.idle))?.map_err(|fault| self.broken(&fault))?;
        }
        Ok(())
    }

    /// Reads one reply: lines of `250-…`, then one of `250 …`.
    pub(super) async fn reply(&mut self, patience: Duration) -> Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = self.line(patience).await?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let (Some(code @ 200..600), more) = (code, line.get(3..4)) else {
                return Err(self.nonsense());
            };
            let text = line.get(4..).unwrap_or_default();
            lines.push(self.redact.clean(text.trim()).into_owned());
            match more {
                Some("-") if lines.len() < MOST_LINES => {}
                Some(" ") | None => return Ok(Reply { code, lines }),
                _ => return Err(self.nonsense()),
            }
        }
    }

    async fn line(&mut self, patience: Duration) -> Result<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                // What could make a sentence look like another one.
                return Ok(text.trim_end().chars().filter(|c| !c.is_control()).collect());
            }
            if self.read.len() > LONGEST_LINE {
                return Err(self.nonsense());
            }
            let mut buffer = [0; 1024];
            let read = self.stop.unless_stopped(timeout(patience, self.wire.read(&mut buffer)));
            let read = read.await?.map_err(|_| self.silent(patience))?;
            match read.map_err(|fault| self.broken(&fault))? {
                0 => return Err(self.broke_off("an answer was due")),
                read => self.read.extend_from_slice(&buffer[..read]),
            }
        }
    }

    pub(super) fn silent(&self, limit: Duration) -> Error {
        Error::vendor(format!(
            "{} neither took nor sent a byte for {} s, so the connection was given up. Try again \
             later.",
            self.host,
            limit.as_secs()
        ))
        .retry_later()
    }

    pub(super) fn broken(&self, fault: &io::Error) -> Error {
        self.broke_off("the message was on its way").cause(fault.to_string())
    }

    pub(super) fn broke_off(&self, when: &str) -> Error {
        let text = format!("{} closed the connection while {when}. Try again later.", self.host);
        Error::vendor(text).retry_later()
    }

    pub(super) fn nonsense(&self) -> Error {
        Error::vendor(format!(
            "{} answered something that is not SMTP. Check host, port and encryption in the \
             settings: a port for TLS does not answer without it, and the other way round.",
            self.host
        ))
    }

    pub(super) fn may_have_arrived(&self, fault: Error) -> Error {
        fault
            .context(format!(
                "The message may have arrived at {}: ask a recipient before you send it again",
                self.host
            ))
            .may_have_arrived()
    }
}
