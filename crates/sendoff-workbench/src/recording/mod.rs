//! Recordings: exchanges in a file, one JSON object a line, secrets masked.
//!
//! `sendoff record` and the workbench write them; `sendoff send --replay`, `sendoff check
//! --recorded` and the workbench read them. A line is
//!
//! ```json
//! {"sendoff":"exchange/1","id":1,"started":"2026-11-25T10:00:00Z","call":"execute","action":"debug",
//!  "request":{"method":"POST","url":"https://hub.example/actions/debug/execute",
//!             "headers":[["content-type","application/json"]],"body":{"bytes":17,"text":"{\"type\":\"cell\"}"}},
//!  "response":{"status":200,"headers":[],"body":{"bytes":27,"text":"{\"looker\":{\"success\":true}}"}},
//!  "until_answer":1.5,"until_end":2.0,"pieces":[{"at":2.0,"bytes":27}],"failure":null}
//! ```
//!
//! Times are milliseconds since the start. `bytes` is what crossed the wire; `text`, or `base64`
//! where it is no text, is what was kept of it: secrets stand as `••••`, and `cut` says that there
//! was more. `response` is null, and `failure` says why, where no answer began.

mod redact;
mod replay;

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};

pub(crate) use redact::{Redactor, Side};
pub use replay::{Replay, Unreplayable};

use crate::exchange::{Exchange, Peek, Piece};
use crate::instance::Entry;
use crate::verdict::Call;

/// What every line begins with.
pub const FORMAT: &str = "exchange/1";
/// A line is no longer than that.
const LINE_AT_MOST: u64 = 256 << 20;

/// One exchange of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// [`FORMAT`].
    pub sendoff: String,
    /// Its number in the recording.
    #[serde(default)]
    pub id: u64,
    /// When it began.
    pub started: Timestamp,
    /// What it is.
    pub call: Call,
    /// The action that it is about.
    #[serde(default)]
    pub action: Option<String>,
    /// What was sent.
    pub request: RecordedRequest,
    /// What came back.
    #[serde(default)]
    pub response: Option<RecordedResponse>,
    /// To the answer's headers, in milliseconds.
    #[serde(default)]
    pub until_answer: f64,
    /// To the answer's end, in milliseconds.
    #[serde(default)]
    pub until_end: f64,
    /// When the answer's pieces came.
    #[serde(default)]
    pub pieces: Vec<Piece>,
    /// Why no whole answer came.
    #[serde(default)]
    pub failure: Option<String>,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedRequest {
    /// `POST`, most often.
    pub method: String,
    /// The hub's URL.
    pub url: String,
    /// In the order sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: RecordedBody,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedResponse {
    /// The status.
    pub status: u16,
    /// In the order received.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: RecordedBody,
}

/// A body, or its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedBody {
    /// How many bytes crossed the wire.
    pub bytes: u64,
    /// What was kept, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What was kept, where it is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Whether there was more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl RecordedBody {
    /// A body of which this was kept.
    pub(crate) fn of(kept: Vec<u8>, bytes: u64, cut: bool) -> Self {
        match String::from_utf8(kept) {
            Ok(text) => Self { bytes, text: Some(text), base64: None, cut },
            Err(error) => {
                let base64 = base64_simd::STANDARD.encode_to_string(error.into_bytes());
                Self { bytes, text: None, base64: Some(base64), cut }
            }
        }
    }

    /// What was kept.
    pub fn kept(&self) -> Vec<u8> {
        match (&self.text, &self.base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(base64)) => base64_simd::STANDARD.decode_to_vec(base64).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }
}

impl Recorded {
    /// The exchange as the journal and the checks have it.
    pub fn exchange(&self) -> Exchange {
        let milliseconds =
            |time: f64| Duration::try_from_secs_f64(time / 1_000.0).unwrap_or_default();
        let response = self.response.clone().unwrap_or_default();
        Exchange {
            started: self.started,
            call: Some(self.call),
            action: self.action.clone(),
            method: self.request.method.clone(),
            url: self.request.url.clone(),
            request_headers: self.request.headers.clone(),
            request_body: Peek::of(&self.request.body.kept(), self.request.body.bytes),
            status: self.response.as_ref().map(|response| response.status),
            response_headers: response.headers,
            response_body: Peek::of(&response.body.kept(), response.body.bytes),
            until_answer: milliseconds(self.until_answer),
            until_end: milliseconds(self.until_end),
            failure: self.failure.clone(),
            pieces: self.pieces.clone(),
        }
    }

    /// The exchange with its bodies as far as they were kept: whole, where they stand in files.
    pub async fn of(entry: &Entry) -> Self {
        let exchange = &entry.exchange;
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        let response = match exchange.status {
            Some(status) => Some(RecordedResponse {
                status,
                headers: exchange.response_headers.clone(),
                body: body(&exchange.response_body).await,
            }),
            None => None,
        };
        Self {
            sendoff: FORMAT.to_owned(),
            id: entry.id,
            started: exchange.started,
            call: exchange.call.unwrap_or(Call::Other),
            action: exchange.action.clone(),
            request: RecordedRequest {
                method: exchange.method.clone(),
                url: exchange.url.clone(),
                headers: exchange.request_headers.clone(),
                body: body(&exchange.request_body).await,
            },
            response,
            until_answer: milliseconds(exchange.until_answer),
            until_end: milliseconds(exchange.until_end),
            pieces: exchange.pieces.clone(),
            failure: exchange.failure.clone(),
        }
    }

    /// The line of a recording.
    pub fn line(&self) -> String {
        // Every member is a text, a number or a list of such.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Of a kept body so much goes into a recording.
const EXPORTED_AT_MOST: u64 = 16 << 20;

async fn body(peek: &Peek) -> RecordedBody {
    let kept = match peek.kept() {
        Some(kept) => read(&kept.path).await.ok().map(|bytes| (bytes, kept.bytes)),
        None => None,
    };
    match kept {
        Some((bytes, all)) => {
            let cut = (bytes.len() as u64) < all || all < peek.total() && !peek.is_whole();
            RecordedBody::of(bytes, peek.total(), cut)
        }
        None => RecordedBody::of(peek.start().to_vec(), peek.total(), !peek.is_whole()),
    }
}

async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(EXPORTED_AT_MOST).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Opens a recording to be written: made readable by its owner alone, and appended to if it is
/// there, on a line of its own.
pub(crate) async fn append_to(path: &Path) -> io::Result<tokio::fs::File> {
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path).await?;
    if file.metadata().await?.len() > 0 {
        let mut last = [0];
        file.seek(io::SeekFrom::End(-1)).await?;
        file.read_exact(&mut last).await?;
        if last != *b"\n" {
            file.write_all(b"\n").await?;
        }
    }
    Ok(file)
}

/// Writes these entries to a file; one that is there is replaced.
///
/// # Errors
/// The file cannot be written.
pub async fn export(
    entries: impl IntoIterator<Item = impl AsRef<Entry>>,
    path: &Path,
) -> io::Result<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    export_to(entries, options.open(path).await?).await
}

/// Writes these entries to a file that is open.
///
/// # Errors
/// The file cannot be written.
pub async fn export_to(
    entries: impl IntoIterator<Item = impl AsRef<Entry>>,
    mut file: tokio::fs::File,
) -> io::Result<()> {
    for entry in entries {
        let line = Recorded::of(entry.as_ref()).await.line();
        file.write_all(line.as_bytes()).await?;
        file.write_all(b"\n").await?;
    }
    file.flush().await
}

/// Reads a recording, one exchange after the other.
pub struct Reader {
    lines: BufReader<tokio::fs::File>,
    number: u64,
    /// How many lines were not written to their end, and the last of them.
    unfinished: (u64, u64),
}

impl Reader {
    /// Opens a recording.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub async fn open(path: &Path) -> io::Result<Self> {
        let file = tokio::fs::File::open(path).await?;
        Ok(Self { lines: BufReader::with_capacity(256 << 10, file), number: 0, unfinished: (0, 0) })
    }

    /// That lines so far were not written to their end, and are left out.
    pub fn unfinished(&self) -> Option<String> {
        match self.unfinished {
            (0, _) => None,
            (1, line) => Some(format!("Line {line} was not written to its end; it is left out.")),
            (count, line) => Some(format!(
                "{count} lines were not written to their end, the last of them line {line}; they \
                 are left out."
            )),
        }
    }

    /// The next exchange that was written to its end; none after the last.
    ///
    /// # Errors
    /// The file cannot be read, or the line is no exchange.
    pub async fn next(&mut self) -> io::Result<Option<Recorded>> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.lines).take(LINE_AT_MOST).read_until(b'\n', &mut line).await?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let wrong = |why: &dyn std::fmt::Display| {
                let number = self.number;
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {number} is no recorded exchange: {why}"),
                )
            };
            let recorded: Recorded = match serde_json::from_slice(line.trim_ascii_end()) {
                Ok(recorded) => recorded,
                // Whoever wrote it was ended in the middle of it; others may have gone on below.
                Err(error) if error.is_eof() && line.starts_with(b"{") => {
                    self.unfinished = (self.unfinished.0 + 1, self.number);
                    continue;
                }
                Err(error) => return Err(wrong(&error)),
            };
            if recorded.sendoff != FORMAT {
                return Err(wrong(&format!("it is of the format `{}`", recorded.sendoff)));
            }
            return Ok(Some(recorded));
        }
    }

    /// The exchanges that are left, up to so many.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub async fn all(&mut self, most: usize) -> io::Result<Vec<Recorded>> {
        let mut all = Vec::new();
        while all.len() < most {
            let Some(recorded) = self.next().await? else { break };
            all.push(recorded);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
