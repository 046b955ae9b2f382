//! One file into an object store: whole or in parts, in flat memory, made visible by a last step.

use std::future::Future;
use std::io;

use async_compression::tokio::bufread::GzipEncoder;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sendoff::{Arrival, ByteStream, Choices, Class, Error, Field, Listing};
use sendoff::{Result, Retry, ScheduledPlan, Stop};
use sha2::Digest;
use tokio_util::io::{ReaderStream, StreamReader};

use super::file_options::IfExists;
use super::file_path::FilePath;
pub(crate) use super::parts::Part;
use super::parts::{EachPart, Parts};

/// The smallest part that S3 takes, except for the last one
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>). Data that fits into one
/// is sent by a single request.
const SMALLEST_PART: usize = 5 * MIB;
const MIB: usize = 1024 * 1024;

/// A part is kept until the store has confirmed it, so that it can be sent again, and the next
/// one fills meanwhile. Parts grow with the data, yet only so far that one delivery never holds
/// more than 40 MiB: 10,000 parts then carry 170 GiB. The vendors' own limits (48.8 TiB) would
/// need parts of 5 GiB.
const fn part_size(number: usize) -> usize {
    match number {
        0..=1_000 => SMALLEST_PART,
        1_001..=2_000 => 2 * SMALLEST_PART,
        _ => 4 * SMALLEST_PART,
    }
}

/// How many parts may be on their way at once, beside the one that fills.
const fn most_in_flight(size: usize) -> usize {
    if size <= 2 * SMALLEST_PART { 2 } else { 1 }
}

/// One object that is being written, in a store's own dialect.
pub(crate) trait Upload: Sync {
    /// The hash by which the store checks what arrives.
    type Hash: Digest + Send;
    /// How many parts one object may have.
    const MOST_PARTS: usize;

    /// The vendor as sentences name it.
    fn vendor(&self) -> &'static str;

    /// Writes the object by a single request.
    fn whole(&self, part: Part) -> impl Future<Output = Result<()>> + Send;

    /// Begins an upload in parts; its id.
    fn begin(&self) -> impl Future<Output = Result<String>> + Send;

    /// Sends one part, numbered from 1; the name by which the commit refers to it.
    fn part(
        &self,
        upload: &str,
        number: usize,
        part: Part,
    ) -> impl Future<Output = Result<String>> + Send;

    /// Makes the object visible.
    fn commit(&self, upload: &str, parts: &[String]) -> impl Future<Output = Result<()>> + Send;

    /// Takes an upload back. Works after a stop too.
    fn abandon(&self, upload: &str) -> impl Future<Output = Result<()>> + Send;

    /// Whether the object stands there as this very delivery wrote it. Works after a stop too.
    fn stands(&self, bytes: u64) -> impl Future<Output = Result<bool>> + Send;
}

/// A bucket in which objects may stand already.
pub(crate) trait Shelf: Sync {
    /// Whether one does; `None` where the credentials may not look.
    fn exists(&self, path: &FilePath) -> impl Future<Output = Result<Option<bool>>> + Send;
}

/// Writes all of `data` and returns how many bytes that were. On any failure nothing is left.
///
/// # Errors
/// The data's own fault, the store's refusal or the stop's sentence. An error that
/// [may have arrived](Error::may_have_arrived) only if the store could not be asked.
pub(crate) async fn write<U: Upload>(store: &U, data: ByteStream, stop: &Stop) -> Result<u64> {
    let mut parts = Parts::<EachPart<U::Hash>>::new(data);
    let first = parts.next(part_size(1)).await?.unwrap_or_else(Part::empty::<EachPart<U::Hash>>);
    if parts.at_end().await? {
        if let Err(error) = store.whole(first).await {
            settle(store, None, parts.total(), error, stop).await?;
        }
        return Ok(parts.total());
    }
    let upload = match store.begin().await {
        Ok(upload) => upload,
        Err(error) => {
            return Err(certain(store.vendor(), error, "the begin of the upload", stop).await);
        }
    };
    let sent = send_parts(store, &upload, first, &mut parts).await;
    match sent {
        Ok(names) => {
            if let Err(error) = store.commit(&upload, &names).await {
                settle(store, Some(&upload), parts.total(), error, stop).await?;
            }
            Ok(parts.total())
        }
        Err(error) => {
            abandon(store, &upload).await;
            Err(certain(store.vendor(), error, "a part of the upload", stop).await)
        }
    }
}

async fn send_parts<U: Upload>(
    store: &U,
    upload: &str,
    first: Part,
    parts: &mut Parts<EachPart<U::Hash>>,
) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut flying = FuturesUnordered::new();
    let mut filled = Some(first);
    let mut more = true;
    loop {
        let size = part_size(names.len() + 1);
        if flying.len() < most_in_flight(size)
            && let Some(part) = filled.take()
        {
            names.push(String::new());
            let number = names.len();
            if number > U::MOST_PARTS {
                return Err(Error::vendor(format!(
                    "The data is larger than this hub can put into one file at {}: {} parts were \
                     not enough. Send less data.",
                    store.vendor(),
                    U::MOST_PARTS
                )));
            }
            let bytes = part.bytes.clone();
            flying.push(async move { (number, store.part(upload, number, part).await, bytes) });
        }
        let size = part_size(names.len() + 1);
        tokio::select! {
            Some((number, name, bytes)) = flying.next(), if !flying.is_empty() => {
                // Each number was pushed above before its future was made.
                names[number - 1] = name?;
                parts.recycle(bytes);
            }
            part = parts.next(size), if more && filled.is_none() => {
                filled = part?;
                more = filled.is_some();
            }
            else => return Ok(names),
        }
    }
}

/// After a commit that did not clearly succeed: asks the store, so that "may have arrived" is
/// said only when it does not tell.
async fn settle<U: Upload>(
    store: &U,
    upload: Option<&str>,
    bytes: u64,
    error: Error,
    stop: &Stop,
) -> Result<()> {
    if in_doubt(&error) {
        let mut stands = store.stands(bytes).await;
        if let (Ok(false), Some(upload)) = (&stands, upload) {
            // A commit that is still being worked at cannot end well after this.
            abandon(store, upload).await;
            stands = store.stands(bytes).await;
        }
        match stands {
            Ok(true) => return Ok(()),
            Ok(false) => {
                let what = "the upload, and the file does not stand there";
                return Err(certain(store.vendor(), error, what, stop).await);
            }
            Err(why) => {
                tracing::info!(reason = %why.log_line(), "the store did not say what it holds");
            }
        }
    }
    if let Some(upload) = upload {
        abandon(store, upload).await;
    }
    Err(error)
}

/// Whether the object may stand there although the commit was answered by `error`. A repeated
/// commit is answered 404, 409 or 412 when the first one's answer was lost on its way.
pub(crate) fn in_doubt(error: &Error) -> bool {
    let doubtful = |status| matches!(status, 200..=299 | 404 | 409 | 412 | 500..);
    error.arrival() == Arrival::Maybe || error.http_status().is_some_and(doubtful)
}

/// `error` in words that leave nothing open, where the store holds nothing or was asked for
/// nothing visible; `what` says so.
pub(crate) async fn certain(vendor: &str, error: Error, what: &str, stop: &Stop) -> Error {
    if error.arrival() != Arrival::Maybe {
        return error;
    }
    if stop.reason().is_some()
        && let Err(reason) = stop.unless_stopped(std::future::ready(())).await
    {
        return reason.cause(error);
    }
    Error::vendor(format!(
        "{vendor} did not confirm {what}. Nothing was delivered. Try again later."
    ))
    .retry_later()
    .cause(error)
}

async fn abandon<U: Upload>(store: &U, upload: &str) {
    if let Err(error) = store.abandon(upload).await {
        tracing::warn!(
            vendor = store.vendor(),
            reason = %error.log_line(),
            "an unfinished upload could not be taken back; the bucket's lifecycle rule must do it"
        );
    }
}

/// `error` for a refusal whose class the vendor's code tells, with the status and the outlook of
/// the refusal as it came.
pub(crate) fn reworded(from: Error, class: Class, message: String) -> Error {
    let error = match class {
        Class::Settings => Error::settings(message),
        Class::Form => Error::form("", message),
        Class::Hub => Error::hub(message),
        Class::Login => Error::login(message),
        _ => Error::vendor(message),
    };
    let error = match from.retry() {
        Retry::Later => error.retry_later(),
        Retry::After(wait) => error.retry_after(wait),
        _ => error,
    };
    let error = match from.http_status() {
        Some(status) => error.status(status),
        None => error,
    };
    if from.arrival() == Arrival::Maybe { error.may_have_arrived() } else { error }
}

/// What a vendor calls a bucket, and what can be one. A folder may follow after a slash.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) sound: fn(&str) -> bool,
}

/// Completes a form's field with what the keys may list, searched by what stands in `find`;
/// `preferred` comes first.
///
/// # Errors
/// Only for credentials that are wrong: then no answer would help.
pub(crate) fn offer(
    field: &mut Field,
    find: &mut Field,
    found: Result<Listing>,
    preferred: Option<&str>,
    kind: &Kind,
) -> Result<()> {
    let Kind { name: what, sound } = kind;
    let preferred = preferred.map(str::trim).filter(|name| !name.is_empty());
    let why = match found {
        Ok(listing) if !listing.items.is_empty() => {
            Choices::of(&format!("{what}s"), listing)
                .first(preferred)
                .or_typed(*sound)
                .searched(field, find);
            return Ok(());
        }
        Ok(_) => format!("There is no {what} yet."),
        // The setting is named only when the credentials themselves were refused.
        Err(error) if error.class() == Class::Settings && error.field_name().is_some() => {
            return Err(error);
        }
        Err(error) => format!("No list can be shown: {}", error.message()),
    };
    find.hide();
    field.describe(format!(
        "{why} Enter the name of the {what}; a folder may follow after a slash."
    ));
    if let Some(name) = preferred {
        *field = field.clone().default(name);
    }
    Ok(())
}

/// `path` below `prefix`, a folder that was named elsewhere, in the form field `field`.
pub(crate) fn inside(prefix: &str, path: FilePath, field: &'static str) -> Result<FilePath> {
    if prefix.is_empty() {
        return Ok(path);
    }
    FilePath::new(&format!("{prefix}/{path}")).map_err(|why| Error::form(field, why))
}

/// `path` with an ending.
pub(crate) fn suffixed(path: &FilePath, ending: &str) -> Result<FilePath> {
    FilePath::new(&format!("{path}{ending}")).map_err(|why| Error::form("filename", why))
}

/// The name under which the file is written. `sure` says that the store itself refuses to replace
/// a file.
pub(crate) async fn free_name(
    shelf: &impl Shelf,
    path: &FilePath,
    if_exists: IfExists,
    sure: bool,
) -> Result<FilePath> {
    let most = match if_exists {
        IfExists::Overwrite => return Ok(path.clone()),
        IfExists::KeepBoth => IfExists::MOST_NUMBERED,
        IfExists::Fail => 1,
    };
    for n in 1..=most {
        let name = path.numbered(n);
        match shelf.exists(&name).await? {
            Some(true) => {}
            None if !sure => {
                return Err(Error::settings(
                    "These credentials may not read, so that it cannot be known whether the file \
                     is there already. Choose \"Overwrite\", or give them the right to read.",
                ));
            }
            Some(false) | None => return Ok(name),
        }
    }
    Err(match if_exists {
        IfExists::KeepBoth => IfExists::no_free_name(path),
        _ => IfExists::refusal(path),
    })
}

/// What the stored object should tell of its origin: `plan_id`, `title`, `url`.
pub(crate) fn about(plan: Option<&ScheduledPlan>) -> impl Iterator<Item = (&'static str, String)> {
    // S3 allows 2 kB of metadata in all (Azure 8 kB).
    const LONGEST: usize = 500;
    let pairs = plan.map(|plan| {
        [("plan_id", &plan.scheduled_plan_id), ("title", &plan.title), ("url", &plan.url)]
    });
    pairs.into_iter().flatten().filter_map(|(name, text)| {
        let text = text.as_ref()?.as_str().trim();
        (!text.is_empty() && text.len() <= LONGEST).then(|| (name, text.to_owned()))
    })
}

/// The header by which a browser saves the object under its name (RFC 6266).
pub(crate) fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    let full = utf8_percent_encode(name, NON_ALPHANUMERIC);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

/// The data compressed as it flows.
pub(crate) fn gzipped(data: ByteStream) -> ByteStream {
    let reader = StreamReader::new(data.map(|chunk| chunk.map_err(io::Error::other)));
    let packed = ReaderStream::with_capacity(GzipEncoder::new(reader), 64 * 1024);
    ByteStream::new(packed.map(|chunk| {
        chunk.map_err(|fault| {
            // What broke off is the data: its own error passes through.
            fault.downcast::<Error>().unwrap_or_else(|fault| {
                Error::hub("The data could not be compressed.").cause(fault)
            })
        })
    }))
}

#[cfg(test)]
mod tests;
