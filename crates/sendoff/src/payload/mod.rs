//! What Looker sends, as a destination sees it: bytes with back-pressure, whatever way they came.

mod stream;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use sendoff_protocol::Format;

use crate::rows::{Ending, Layout, Rows, checked_bytes};
use crate::spool::{SpoolRoom, Spooled};
use crate::{Error, Result};

pub use stream::ByteStream;

/// The result of a query, a rendered dashboard, or nothing for a cell.
///
/// A pushed attachment and a download look the same: [`open`](Self::open) gives the bytes as they
/// arrive, [`rows`](Self::rows) reads them as rows, [`spool`](Self::spool) waits for all of them
/// where a vendor wants the length first. None of them holds the payload in memory.
pub struct Payload {
    about: About,
    source: Option<Source>,
    room: SpoolRoom,
}

/// Opens the bytes: at once for an attachment, by a request to Looker for a download.
pub(crate) type Source = Pin<Box<dyn Future<Output = Result<ByteStream>> + Send>>;

/// What is known of the data before the first byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) format: Option<Format>,
    /// Without `;base64`.
    pub(crate) media_type: Option<String>,
    pub(crate) extension: Option<String>,
    pub(crate) way: Way,
}

/// How the data comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    #[default]
    Pushed,
    Downloaded,
    /// It came, and was whole.
    Kept,
}

impl Payload {
    pub(crate) fn new(about: About, source: Option<Source>, room: SpoolRoom) -> Self {
        Self { about, source, room }
    }

    /// Whether there is data at all; a cell has none.
    pub fn is_present(&self) -> bool {
        self.source.is_some()
    }

    /// The format, where the request names it. A pushed JSON attachment does not say which of the
    /// JSON formats it is.
    pub fn format(&self) -> Option<Format> {
        self.about.format
    }

    /// The media type, such as `text/csv`; `application/octet-stream` where the request has none.
    pub fn media_type(&self) -> &str {
        match (&self.about.media_type, self.about.format) {
            (Some(media_type), _) => media_type,
            (None, Some(format)) => format.media_type(),
            (None, None) => "application/octet-stream",
        }
    }

    /// The file extension without a dot, where it is known.
    pub fn extension(&self) -> Option<&str> {
        match (&self.about.extension, self.about.format) {
            (Some(extension), _) => Some(extension),
            (None, Some(format)) => Some(format.extension()),
            (None, None) => None,
        }
    }

    /// The bytes as they arrive.
    ///
    /// Call it before an upload is begun at the vendor: a download that Looker refuses is an error
    /// here, and nothing has to be taken back.
    ///
    /// JSON that is none, and a download that ends in the middle, are errors of the stream.
    ///
    /// # Errors
    /// Looker's, when there is no data or its download answers anything but 200.
    pub async fn open(self) -> Result<ByteStream> {
        let layout = Layout::of(self.extension(), self.media_type()).ok();
        let ending = Ending::of(self.extension(), self.media_type());
        let way = self.about.way;
        let stream = self.unchecked().await?;
        Ok(match (layout, ending) {
            _ if way == Way::Kept => stream,
            (Some(layout), _) => checked_bytes(layout, way == Way::Downloaded, stream),
            // What is pushed cannot be cut unless its request is.
            (None, Some(ending)) if way == Way::Downloaded => ending.checked(stream),
            (None, _) => stream,
        })
    }

    /// The bytes, for who finds out for himself whether they are whole.
    async fn unchecked(self) -> Result<ByteStream> {
        match self.source {
            Some(source) => source.await,
            None => Err(Error::looker(
                "Looker sent no data with this request: neither an attachment nor a download URL.",
            )),
        }
    }

    /// The data as rows, for formats that have rows.
    ///
    /// # Errors
    /// Looker's, when the data is cut short or malformed, or the format has no rows.
    pub async fn rows(self) -> Result<Rows> {
        let layout = Layout::of(self.extension(), self.media_type())?;
        let room = self.room.clone();
        Rows::open(layout, self.unchecked().await?, &room).await
    }

    /// Whether [`rows`](Self::rows) can read the format.
    pub fn has_rows(&self) -> bool {
        self.is_present() && Layout::of(self.extension(), self.media_type()).is_ok()
    }

    /// As [`spool`](Self::spool), and the payload can still be opened or read as rows, from its
    /// first byte: for destinations that look into the data before they send it.
    ///
    /// # Errors
    /// As [`spool`](Self::spool).
    pub async fn keep(&mut self) -> Result<Spooled> {
        let about = self.about.clone();
        let taken = Self::new(about, self.source.take(), self.room.clone());
        let spooled = taken.spool().await?;
        *self = self.reopen(&spooled);
        Ok(spooled)
    }

    /// The same data once more, from what was [kept](Self::keep) of it.
    pub fn reopen(&self, kept: &Spooled) -> Self {
        let kept = kept.clone();
        self.reopened(Some(Box::pin(async move { Ok(kept.stream()) })))
    }

    fn reopened(&self, source: Option<Source>) -> Self {
        let about = About { way: Way::Kept, ..self.about.clone() };
        Self::new(about, source, self.room.clone())
    }

    /// Waits for all bytes: in memory up to a threshold, on disk beyond it.
    ///
    /// # Errors
    /// Looker's, when the data breaks off; the hub's, when there is no room.
    pub async fn spool(self) -> Result<Spooled> {
        let mut writer = self.room.writer();
        let mut stream = self.open().await?;
        while let Some(chunk) = stream.next().await {
            writer.write(chunk?).await?;
        }
        writer.finish().await
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("about", &self.about).finish_non_exhaustive()
    }
}
