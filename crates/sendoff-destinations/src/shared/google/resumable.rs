//! One file up to Google in pieces, in flat memory: Drive and Cloud Storage speak the same
//! protocol (<https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable>,
//! <https://docs.cloud.google.com/storage/docs/performing-resumable-uploads>).
//!
//! The pieces come one after another, and the file becomes visible with the last one, which is
//! sent only after Looker's data has ended well. A session that was begun and never finished can
//! be seen by nobody and goes by itself after a week; what fails here takes it back at once.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use md5::Md5;
use sendoff::{Arrival, ByteStream, Call, Error, Http, Result, Retry, Stop};
use serde::de::DeserializeOwned;
use url::Url;

use super::{Google, not_google};
use crate::shared::object_store::{certain, in_doubt};
use crate::shared::parts::{Part, Parts, SoFar};

/// Pieces are multiples of 256 KiB, but for the last one. One is on its way, and is kept until
/// Google has confirmed it; the next one fills meanwhile.
const PIECE: usize = 8 * 1024 * 1024;
const UNIT: u64 = 256 * 1024;

/// The waits before a piece is sent again, as long as nothing of it arrives.
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

/// The longest wait that Google may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// After the last piece Google may think for long, above all where it converts a file.
const CONVERSION: Duration = Duration::from_secs(300);

/// What was sent.
pub(crate) struct Sent {
    pub(crate) bytes: u64,
    pub(crate) md5: Vec<u8>,
}

/// One file that is to be written, in the dialect of one service.
pub(crate) trait Target: Sync {
    /// What the service says of a finished file.
    type File: DeserializeOwned + Send;

    fn google(&self) -> &Google;

    /// Begins a session: address, metadata and what else the service wants to know.
    fn begin(&self, http: &Http) -> Call;

    /// Whether the service has one request that carries everything and may be repeated.
    const AT_ONCE: bool = false;

    /// That request.
    fn whole(&self, http: &Http, bytes: &Bytes) -> Call {
        self.begin(http).body(bytes.clone())
    }

    /// The file, if it stands there as this very delivery wrote it.
    fn found(&self, google: &Google) -> impl Future<Output = Result<Option<Self::File>>> + Send;

    /// Whether the service says that it holds what was sent.
    fn holds(&self, file: &Self::File, sent: &Sent) -> bool;

    /// Takes back a file that is not what was sent.
    fn remove(&self, google: &Google, file: &Self::File)
    -> impl Future<Output = Result<()>> + Send;
}

/// Writes all of `data`. On any failure nothing is left.
///
/// # Errors
/// The data's own fault, Google's refusal or the stop's sentence. An error that
/// [may have arrived](Error::may_have_arrived) only if Google could not be asked.
pub(crate) async fn write<T: Target>(
    target: &T,
    data: ByteStream,
    stop: &Stop,
) -> Result<(T::File, Sent)> {
    let mut parts = Parts::<SoFar<Md5>>::new(data);
    let first = parts.next(PIECE).await?.unwrap_or_else(Part::empty::<SoFar<Md5>>);
    if T::AT_ONCE && parts.at_end().await? {
        return whole(target, first, stop).await;
    }
    let session = Session::begin(target, stop).await?;
    let written = session.send_all(first, &mut parts).await;
    let (sent, error) = match written {
        Ok((file, sent)) => return checked(target, file, sent).await,
        Err(Failed { sent, error }) => (sent, error),
    };
    match sent {
        // Until the last piece went out nothing can be seen.
        None => {
            session.abandon().await;
            Err(certain(session.name(), error, "a piece of the file", stop).await)
        }
        Some(sent) => checked(target, session.settle(error).await?, sent).await,
    }
}

async fn whole<T: Target>(target: &T, part: Part, stop: &Stop) -> Result<(T::File, Sent)> {
    let google = target.google();
    let sent = Sent { bytes: part.bytes.len() as u64, md5: part.hash };
    let answered = match google.ask(|http| target.whole(http, &part.bytes).repeatable()).await {
        Ok(reply) => reply.json::<T::File>().await,
        Err(error) => Err(error),
    };
    let error = match answered {
        Ok(file) => return checked(target, file, sent).await,
        // There is no session that could be gone: what is not found is the place.
        Err(error) if in_doubt(&error) && error.http_status() != Some(404) => error,
        Err(error) => return Err(error),
    };
    match target.found(&google.last_words()).await {
        Ok(Some(file)) => checked(target, file, sent).await,
        Ok(None) => {
            let what = "the upload, and the file does not stand there";
            Err(certain(google.vendor.name, error, what, stop).await)
        }
        Err(why) => {
            tracing::info!(reason = %why.log_line(), "Google did not say what it holds");
            Err(error)
        }
    }
}

/// The file, if Google holds what was sent; otherwise it is removed.
async fn checked<T: Target>(target: &T, file: T::File, sent: Sent) -> Result<(T::File, Sent)> {
    if target.holds(&file, &sent) {
        return Ok((file, sent));
    }
    let google = target.google();
    let name = google.vendor.name;
    match target.remove(&google.last_words(), &file).await {
        Ok(()) => Err(Error::vendor(format!(
            "{name} confirmed another file than was sent: its length or its hash differ. It was \
             taken back. Try again."
        ))
        .retry_later()),
        Err(why) => Err(Error::vendor(format!(
            "{name} confirmed another file than was sent: its length or its hash differ, and it \
             could not be taken back. Delete it and try again."
        ))
        .may_have_arrived()
        .cause(why)),
    }
}

/// Why not all was sent.
struct Failed {
    /// If the last piece went out: what the file would be.
    sent: Option<Sent>,
    error: Error,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { sent: None, error }
    }
}

/// What a request to a session says.
enum State<F> {
    /// So many bytes of the file have arrived.
    Has(u64),
    Finished(F),
}

struct Session<'a, T: Target> {
    target: &'a T,
    stop: &'a Stop,
    /// Whoever knows it may write: it is never shown.
    url: Url,
}

impl<'a, T: Target> Session<'a, T> {
    async fn begin(target: &'a T, stop: &'a Stop) -> Result<Self> {
        let google = target.google();
        let begun = google.ask(|http| target.begin(http).repeatable()).await;
        let reply = match begun {
            Ok(reply) => reply,
            Err(error) => {
                let name = google.vendor.name;
                return Err(certain(name, error, "the begin of the upload", stop).await);
            }
        };
        let status = reply.status().as_u16();
        let location = reply.header("location").and_then(|to| Url::parse(to).ok());
        // It carries the right to write and goes nowhere but to the host that gave it, encrypted.
        let url = location
            .filter(|url| url.host_str() == Some(google.vendor.upload_host))
            .and_then(|mut url| url.set_scheme("https").is_ok().then_some(url))
            .ok_or_else(|| not_google(google.vendor, status, "the address of an upload"))?;
        Ok(Self { target, stop, url })
    }

    fn name(&self) -> &'static str {
        self.target.google().vendor.name
    }

    async fn send_all(
        &self,
        first: Part,
        parts: &mut Parts<SoFar<Md5>>,
    ) -> Result<(T::File, Sent), Failed> {
        let (mut part, mut at) = (first, 0);
        loop {
            let end = at + part.bytes.len() as u64;
            if parts.at_end().await? {
                let sent = || Sent { bytes: end, md5: part.hash.clone() };
                return match self.send(&part.bytes, at, Some(end)).await {
                    Ok(Some(file)) => Ok((file, sent())),
                    Ok(None) => {
                        let error = not_google(self.target.google().vendor, 308, "the file");
                        Err(Failed { sent: Some(sent()), error })
                    }
                    Err(error) => Err(Failed { sent: Some(sent()), error }),
                };
            }
            let sending = self.send(&part.bytes, at, None);
            let (finished, next) = futures_util::try_join!(sending, parts.next(PIECE))?;
            let next = next.filter(|_| finished.is_none());
            // `at_end` said that there is more, and before the end no file can be finished.
            let next = next.ok_or_else(|| not_google(self.target.google().vendor, 200, "308"))?;
            parts.recycle(std::mem::replace(&mut part, next).bytes);
            at = end;
        }
    }

    /// Sends one piece, which begins at byte `at`, until all of it has arrived.
    async fn send(&self, piece: &Bytes, at: u64, total: Option<u64>) -> Result<Option<T::File>> {
        let end = at + piece.len() as u64;
        let mut from = at;
        let mut waits = AGAIN_AFTER.into_iter();
        loop {
            // What is left of the piece; both ends lie within it.
            let rest = piece.slice((from - at) as usize..);
            let outcome = match self.put(rest, from, total).await {
                Ok(state) => Ok(state),
                Err(error) => self.recover(error, &mut waits).await,
            };
            let has = match outcome? {
                State::Finished(file) => return Ok(Some(file)),
                State::Has(has) => has,
            };
            if has >= end && total.is_none() {
                return Ok(None);
            }
            // Google keeps whole units, so that less than one is nothing: an emulator tells of the
            // first byte when it has none.
            let has = if has < UNIT && has != end { 0 } else { has };
            if has < from || has > end {
                return Err(Error::vendor(format!(
                    "{} lost a part of the upload: it holds {has} bytes where at least {from} were \
                     confirmed. Nothing was delivered. Try again.",
                    self.name()
                ))
                .retry_later());
            }
            if has > from {
                waits = AGAIN_AFTER.into_iter();
            } else {
                let Some(wait) = waits.next() else {
                    return Err(Error::vendor(format!(
                        "{} does not take the next bytes of the upload. Try again later.",
                        self.name()
                    ))
                    .retry_later());
                };
                self.stop.unless_stopped(tokio::time::sleep(wait)).await?;
            }
            from = has;
        }
    }

    /// After a piece that did not clearly arrive: waits, and asks how much did.
    async fn recover(
        &self,
        error: Error,
        waits: &mut impl Iterator<Item = Duration>,
    ) -> Result<State<T::File>> {
        let wait = match error.retry() {
            Retry::Later => waits.next(),
            Retry::After(asked) => waits.next().map(|_| asked).filter(|w| *w <= LONGEST_ASKED),
            _ => None,
        };
        let Some(wait) = wait else { return Err(error) };
        let paused = self.stop.unless_stopped(tokio::time::sleep(wait)).await;
        let asked = match paused {
            Ok(()) => self.ask(self.target.google()).await,
            Err(stopped) => Err(stopped),
        };
        // What is in doubt stays so if the answer to this, too, is lost.
        asked.map_err(|why| {
            if in_doubt(&error) && why.arrival() != Arrival::Maybe { error.cause(why) } else { why }
        })
    }

    async fn put(&self, rest: Bytes, from: u64, total: Option<u64>) -> Result<State<T::File>> {
        let size = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        let range = match rest.len() as u64 {
            // Nothing is left but to say that this was all.
            0 => format!("bytes */{size}"),
            len => format!("bytes {from}-{}/{size}", from + len - 1),
        };
        let google = self.target.google();
        // Not repeated by the door: the same bytes may have arrived in part.
        let call = google.http.put(&self.url).header("content-range", range).body(rest).once();
        let call = if total.is_some() {
            call.idle_timeout(CONVERSION.max(google.http.idle_timeout()))
        } else {
            call
        };
        self.state(google, call).await
    }

    /// How much has arrived.
    async fn ask(&self, google: &Google) -> Result<State<T::File>> {
        let call = google.http.put(&self.url).header("content-range", "bytes */*");
        self.state(google, call.repeatable()).await
    }

    async fn state(&self, google: &Google, call: Call) -> Result<State<T::File>> {
        let reply = google.send_raw(call).await?;
        match reply.status() {
            StatusCode::OK | StatusCode::CREATED => Ok(State::Finished(reply.json().await?)),
            StatusCode::PERMANENT_REDIRECT => {
                // Without the header nothing has arrived.
                let Some(range) = reply.header("range") else { return Ok(State::Has(0)) };
                let last = range.rsplit('-').next().and_then(|last| last.parse::<u64>().ok());
                let last = last.ok_or_else(|| not_google(google.vendor, 308, "a range"))?;
                Ok(State::Has(last + 1))
            }
            // What is not found is the session, whatever the words for a file would be.
            status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => Err(Error::vendor(format!(
                "{} no longer knows the upload ({status}). Try again.",
                self.name()
            ))
            .status(status.as_u16())),
            _ => match google.read(reply).await {
                Ok(reply) => Err(not_google(google.vendor, reply.status().as_u16(), "308")),
                Err(error) => Err(error),
            },
        }
    }

    /// After a last piece that did not clearly succeed: asks, so that "may have arrived" is said
    /// only when Google does not tell.
    async fn settle(&self, error: Error) -> Result<T::File> {
        if in_doubt(&error) {
            let google = self.target.google().last_words();
            if let Ok(State::Finished(file)) = self.ask(&google).await {
                return Ok(file);
            }
            // What is still being worked at cannot end well after this.
            self.abandon().await;
            match self.target.found(&google).await {
                Ok(Some(file)) => return Ok(file),
                Ok(None) => {
                    let what = "the upload, and the file does not stand there";
                    return Err(certain(self.name(), error, what, self.stop).await);
                }
                Err(why) => {
                    tracing::info!(reason = %why.log_line(), "Google did not say what it holds");
                }
            }
        } else {
            self.abandon().await;
        }
        Err(error)
    }

    /// Takes the session back.
    async fn abandon(&self) {
        let google = self.target.google().last_words();
        let reply = google.send_raw(google.http.delete(&self.url)).await;
        let gone = reply.as_ref().is_ok_and(|reply| {
            // 499 says that it was cancelled; it may also be gone already.
            matches!(reply.status().as_u16(), 499 | 200..=299 | 404 | 410)
        });
        if !gone {
            let reason = reply.map_or_else(|error| error.log_line(), |r| r.status().to_string());
            tracing::warn!(vendor = self.name(), %reason, "an upload could not be taken back; it goes by itself after a week");
        }
    }
}
