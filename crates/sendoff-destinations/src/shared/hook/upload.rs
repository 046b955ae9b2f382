//! One body: the data with what a form puts around it, and how much of it has gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;
use sendoff::{Body, ByteStream};

/// What stands around the data.
pub(crate) struct Upload {
    media_type: String,
    before: Bytes,
    after: Bytes,
}

/// How much of the data was handed over.
#[derive(Clone, Default)]
pub(super) struct Sent(Arc<Progress>);

#[derive(Default)]
struct Progress {
    bytes: AtomicU64,
    ended: AtomicBool,
}

impl Sent {
    /// Whether the data was read to its end.
    pub(super) fn all(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Acquire)
    }
}

impl Upload {
    /// The data alone.
    pub(super) fn plain(media_type: String) -> Self {
        Self { media_type, before: Bytes::new(), after: Bytes::new() }
    }

    /// A form with some texts and the data as its `file` (RFC 7578).
    pub(crate) fn form(
        texts: impl Iterator<Item = (&'static str, String)>,
        filename: &str,
        media_type: &str,
    ) -> Self {
        let boundary = super::boundary();
        let mut before = String::new();
        for (name, text) in texts {
            before.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n"
            ));
        }
        // A file name holds no control characters; this is how browsers write a quote.
        let filename = filename.replace('"', "%22");
        before.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"{filename}\"\r\nContent-Type: {media_type}\r\n\r\n"
        ));
        Self {
            media_type: format!("multipart/form-data; boundary={boundary}"),
            before: before.into(),
            after: format!("\r\n--{boundary}--\r\n").into(),
        }
    }

    pub(crate) fn media_type(&self) -> &str {
        &self.media_type
    }

    /// `data` as it goes out.
    pub(crate) fn wrap(&self, data: ByteStream) -> ByteStream {
        wrapped(&self.before, &self.after, data)
    }

    /// A body that goes out once.
    pub(super) fn once(&self, data: ByteStream) -> (Body, Sent) {
        let sent = Sent::default();
        (Body::Stream(self.wrap(counted(data, &sent))), sent)
    }

    /// A body that can go out again.
    pub(super) fn again(
        &self,
        open: impl Fn() -> ByteStream + Send + Sync + 'static,
    ) -> (Body, Sent) {
        let sent = Sent::default();
        let (before, after) = (self.before.clone(), self.after.clone());
        let counter = sent.clone();
        let open = move || wrapped(&before, &after, counted(open(), &counter));
        (Body::again(open), sent)
    }
}

/// `data` with something before and behind it.
pub(crate) fn wrapped(before: &Bytes, after: &Bytes, data: ByteStream) -> ByteStream {
    if before.is_empty() && after.is_empty() {
        return data;
    }
    let len = data.len_hint().map(|len| before.len() as u64 + len + after.len() as u64);
    // A stream holds no empty chunks.
    let around = |bytes: &Bytes| stream::iter((!bytes.is_empty()).then(|| Ok(bytes.clone())));
    let all = futures_util::StreamExt::chain(around(before), data);
    let all = ByteStream::new(futures_util::StreamExt::chain(all, around(after)));
    match len {
        Some(len) => all.with_len(len),
        None => all,
    }
}

fn counted(data: ByteStream, sent: &Sent) -> ByteStream {
    let len = data.len_hint();
    let progress = Arc::clone(&sent.0);
    progress.bytes.store(0, Ordering::Release);
    // A body whose length is 0 is never asked for a chunk.
    progress.ended.store(len == Some(0), Ordering::Release);
    let counted = stream::unfold((data, progress), async |(mut data, progress)| {
        let chunk = data.next().await;
        match &chunk {
            Some(Ok(bytes)) => {
                progress.bytes.fetch_add(bytes.len() as u64, Ordering::AcqRel);
            }
            Some(Err(_)) => {}
            None => progress.ended.store(true, Ordering::Release),
        }
        chunk.map(|chunk| (chunk, (data, progress)))
    });
    let counted = ByteStream::new(counted);
    match len {
        Some(len) => counted.with_len(len),
        None => counted,
    }
}
