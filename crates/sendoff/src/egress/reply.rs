//! A vendor's answer: its status, its words, its bytes.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use url::Url;

use super::attempt::{Until, Upload};
use super::peer::Peer;
use super::{retry, words};
use crate::redact::url_without_query;
use crate::{ByteStream, Error, Result, Stop};

/// More than any vendor says that a person or a parser here wants to know.
const TEXT_AT_MOST: usize = 8 * 1024 * 1024;

/// A refusal is read this far for its words.
const REFUSAL_AT_MOST: usize = 64 * 1024;

/// How long the words of a refusal are waited for.
const REFUSAL_WORDS: Duration = Duration::from_secs(10);

/// The head of a vendor's answer; the body is read by [`text`](Self::text),
/// [`json`](Self::json), [`stream`](Self::stream) or [`success`](Self::success).
///
/// Dropping it ends the request, should its body still be on its way.
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    incoming: Incoming,
    reading: Reading,
}

/// What an answer is read under.
pub(super) struct Reading {
    pub(super) peer: Peer,
    pub(super) stop: Stop,
    pub(super) until: Option<Until>,
    pub(super) idle: Duration,
    /// The request changes something: if its answer breaks off, the change may have happened.
    pub(super) uncertain: bool,
    /// An earlier attempt's answer was lost.
    pub(super) lost: bool,
    pub(super) upload: Upload,
}

impl Reply {
    pub(super) fn new(response: Response<Incoming>, reading: Reading) -> Self {
        let (head, incoming) = response.into_parts();
        Self { status: head.status, headers: head.headers, incoming, reading }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// One header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The whole answer as text; bytes that are no UTF-8 become `�`.
    ///
    /// # Errors
    /// A vendor error if it is larger than 8 MiB, compressed, or breaks off.
    pub async fn text(self) -> Result<String> {
        self.plain()?;
        let bytes = self.bytes().await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The whole answer as JSON.
    ///
    /// # Errors
    /// As [`text`](Self::text), and a vendor error that quotes the answer if it is not the JSON
    /// expected.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        self.plain()?;
        let (status, peer) = (self.status, self.reading.peer.clone());
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|fault| {
            let words = words::excerpt(&peer.redact.clean(&String::from_utf8_lossy(&bytes)));
            let name = &peer.name;
            let text = if words.is_empty() {
                format!("{name} answered nothing where JSON was expected.")
            } else {
                format!("{name} answered something other than the JSON expected: {words}")
            };
            // serde's text may quote a value of the answer; its place is enough.
            let place = format!("JSON at line {} column {}", fault.line(), fault.column());
            peer.error(text).status(status.as_u16()).cause(place)
        })
    }

    /// The answer's bytes as they come. If fewer come than were announced, the last item is an
    /// error.
    pub fn stream(self) -> ByteStream {
        self.reading.stream(self.incoming, self.status)
    }

    /// The reply itself if its status is 2xx.
    ///
    /// # Errors
    /// Otherwise an error with the vendor's own words: 401 and 403 are for the admin (or ask the
    /// user to log in again), 408, 425, 429 and 5xx may pass.
    pub async fn success(self) -> Result<Self> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal().await) }
    }

    /// As [`success`](Self::success), for vendors who say far back in a long text why they refused:
    /// `read` makes the error from the usual one and the vendor's whole words.
    ///
    /// # Errors
    /// What `read` returns.
    pub async fn success_or(self, read: impl FnOnce(Error, &str) -> Error) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (error, words) = self.refusal_and_words().await;
        Err(read(error, &words))
    }

    fn plain(&self) -> Result<()> {
        match self.header(header::CONTENT_ENCODING.as_str()) {
            None => Ok(()),
            Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
            Some(_) => {
                let name = &self.reading.peer.name;
                let text = format!("{name} sent a compressed answer although none was asked for.");
                Err(self.reading.doubt(self.status, self.reading.peer.error(text)))
            }
        }
    }

    async fn bytes(mut self) -> Result<Vec<u8>> {
        let too_long = |reading: &Reading, status| {
            let name = &reading.peer.name;
            let text =
                format!("{name} sent an answer of more than 8 MiB where a short one was due.");
            Err(reading.doubt(status, reading.peer.error(text)))
        };
        if self.incoming.size_hint().lower() > TEXT_AT_MOST as u64 {
            return too_long(&self.reading, self.status);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = self.reading.next(&mut self.incoming).await {
            let chunk = chunk.map_err(|fault| self.reading.doubt(self.status, fault))?;
            if bytes.len() + chunk.len() > TEXT_AT_MOST {
                return too_long(&self.reading, self.status);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The error for a status that was not expected, with the other side's words.
    pub(super) async fn refusal(self) -> Error {
        self.refusal_and_words().await.0
    }

    /// The same with the words uncut, but for the delivery's secrets.
    async fn refusal_and_words(mut self) -> (Error, String) {
        let words = self.refusal_words().await;
        // After the secrets are out, so that no half one is left at the cut.
        let mut said = words::excerpt(&words);
        if !said.is_empty() && !said.ends_with(['.', '!', '?', '…']) {
            said.push('.');
        }
        let (peer, status) = (&self.reading.peer, self.status);
        let answered = match status.canonical_reason() {
            Some(reason) => format!("{} answered {} {reason}", peer.name, status.as_u16()),
            None => format!("{} answered {}", peer.name, status.as_u16()),
        };
        let colon = if said.is_empty() { "." } else { ": " };
        let asked = retry::asked(&self.headers, Timestamp::now());
        let error = match status.as_u16() {
            300..=399 => peer.settings(format!(
                "{answered}, a redirect{}, and this hub follows none.{}",
                self.redirect(),
                if peer.looker { "" } else { " Set the final address." }
            )),
            401 if let Some(note) = &peer.login_note => {
                peer.error(format!("{answered}{colon}{said} {note}")).retry_later()
            }
            401 if peer.oauth => {
                peer.login(format!("{answered}{colon}{said} Please log in again."))
            }
            403 if peer.oauth => peer.login(format!(
                "{answered}{colon}{said} The account that is logged in may not do this: give it \
                 the right, or log in with another."
            )),
            401 | 403 => peer.settings(format!(
                "{answered}{colon}{said} Check the credentials and their rights in the settings."
            )),
            _ => peer.error(format!("{answered}{colon}{said}")),
        };
        let error = match asked.filter(|_| retry::passing(status)) {
            Some(wait) => error.retry_after(wait),
            None if retry::passing(status) || status.is_server_error() => error.retry_later(),
            None => error,
        };
        let error = error.status(status.as_u16());
        let error = if self.reading.lost { peer.may_have_arrived(error) } else { error };
        (error, words)
    }

    /// What can be had of the refusal's text; a broken or slow one does not hide its status.
    async fn refusal_words(&mut self) -> String {
        if self.plain().is_err() {
            return String::new();
        }
        let mut bytes = Vec::new();
        let read = async {
            while let Some(Ok(chunk)) = self.reading.next(&mut self.incoming).await {
                let room = REFUSAL_AT_MOST - bytes.len();
                bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() >= room {
                    break;
                }
            }
        };
        // Out of time: what came so far will do.
        let _ = tokio::time::timeout(REFUSAL_WORDS, read).await;
        let text = String::from_utf8_lossy(&bytes);
        self.reading.peer.redact.clean(&text).into_owned()
    }

    /// Where a redirect points, as far as it may be shown.
    fn redirect(&self) -> String {
        self.header(header::LOCATION.as_str())
            .and_then(|to| Url::parse(to).ok())
            .map(|to| format!(" to {}", url_without_query(&to)))
            .unwrap_or_default()
    }
}

impl Reading {
    /// The next piece of the body, raced with all that may end it.
    async fn next(&self, incoming: &mut Incoming) -> Option<Result<Bytes>> {
        loop {
            let frame = tokio::select! {
                biased;
                reason = self.stop.stopped() => return Some(Err(reason.error())),
                frame = incoming.frame() => frame?,
                span = Until::over(self.until) => return Some(Err(self.peer.silent(span))),
                () = tokio::time::sleep(self.idle) => return Some(Err(self.peer.idle(self.idle))),
            };
            match frame {
                Err(fault) => {
                    let error = self.peer.broke_off("its answer was being read").cause(fault);
                    return Some(Err(error));
                }
                // Trailers and empty pieces are no news.
                Ok(frame) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Some(Ok(data)),
                    _ => {}
                },
            }
        }
    }

    /// An error in an answer that had said 2xx leaves open whether the work was done.
    fn doubt(&self, status: StatusCode, error: Error) -> Error {
        if self.lost || (self.uncertain && status.is_success()) {
            self.peer.may_have_arrived(error)
        } else {
            error
        }
    }

    /// The body as a stream.
    pub(super) fn stream(self, incoming: Incoming, status: StatusCode) -> ByteStream {
        let announced = incoming.size_hint().exact();
        let chunks = stream::unfold(Some((self, incoming)), move |state| async move {
            let (reading, mut incoming) = state?;
            match reading.next(&mut incoming).await? {
                Ok(chunk) => Some((Ok(chunk), Some((reading, incoming)))),
                Err(fault) => Some((Err(reading.doubt(status, fault)), None)),
            }
        });
        let stream = ByteStream::new(chunks);
        match announced {
            Some(len) => stream.with_len(len),
            None => stream,
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The upload's handle is held for its drop alone.
        let Reading { upload: Upload { .. }, .. } = &self.reading;
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}
