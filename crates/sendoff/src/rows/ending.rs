//! Whether a download without rows has its end: a workbook, a zip, a PDF, a picture, a page.
//!
//! Where Looker states no length, a connection that is closed too early looks like the end. These
//! formats say themselves where they end; plain text does not.

use bytes::Bytes;
use memchr::memmem;

use super::Fault;
use crate::{ByteStream, Error, Result};

/// PDF readers look for the mark in the last 1,024 bytes (PDF 1.7, appendix H.3.4.4); what writers
/// put behind the others' is shorter.
const NEAR: usize = 1024;
/// The longest end of a zip: a record of 22 bytes and its comment (APPNOTE.TXT 4.3.16).
const ZIP_END: usize = 22;
const ZIP_NEAR: usize = ZIP_END + u16::MAX as usize;

/// A format with a known end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A workbook is one, too.
    Zip,
    Pdf,
    Png,
    Html,
}

impl Ending {
    /// By the extension, else by the media type.
    pub(crate) fn of(extension: Option<&str>, media_type: &str) -> Option<Self> {
        match (extension, media_type) {
            (Some("xlsx" | "zip"), _) | (None, "application/zip") => Some(Self::Zip),
            (Some("pdf"), _) | (None, "application/pdf") => Some(Self::Pdf),
            (Some("png"), _) | (None, "image/png") => Some(Self::Png),
            (Some("html"), _) | (None, "text/html") => Some(Self::Html),
            _ => None,
        }
    }

    /// Passes `stream` on, with an error in place of its end where the end is missing.
    pub(crate) fn checked(self, stream: ByteStream) -> ByteStream {
        let len = stream.len_hint();
        let state = Some((stream, Ends::new(self)));
        let chunks = futures_util::stream::unfold(state, |state| async {
            let (mut stream, mut ends) = state?;
            let item = match stream.next().await {
                Some(Ok(chunk)) => {
                    ends.read(&chunk);
                    Ok(chunk)
                }
                Some(Err(error)) => Err(error),
                None => Err(ends.missing()?),
            };
            let goes_on = item.is_ok().then_some((stream, ends));
            Some((item, goes_on)) as Option<(Result<Bytes>, _)>
        });
        match len {
            Some(len) => ByteStream::new(chunks).with_len(len),
            None => ByteStream::new(chunks),
        }
    }

    /// How much of the data's end may hold its mark.
    fn near(self) -> usize {
        match self {
            Self::Zip => ZIP_NEAR,
            Self::Pdf | Self::Png | Self::Html => NEAR,
        }
    }
}

/// Both ends of what has passed.
struct Ends {
    ending: Ending,
    first: Vec<u8>,
    /// At least the last bytes that matter, and at most twice as many.
    last: Vec<u8>,
}

impl Ends {
    fn new(ending: Ending) -> Self {
        Self { ending, first: Vec::new(), last: Vec::new() }
    }

    fn read(&mut self, chunk: &[u8]) {
        let room = NEAR - self.first.len();
        self.first.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        let near = self.ending.near();
        let last = chunk.get(chunk.len().saturating_sub(near)..).unwrap_or_default();
        if self.last.len() + last.len() > 2 * near {
            let kept = near.saturating_sub(last.len());
            self.last.drain(..self.last.len() - kept);
        }
        self.last.extend_from_slice(last);
    }

    fn missing(&self) -> Option<Error> {
        let last = self.last.get(self.last.len().saturating_sub(self.ending.near())..);
        let last = last.unwrap_or_default();
        let is_whole = match self.ending {
            Ending::Zip => ends_as_zip(last),
            Ending::Pdf => memmem::find(last, b"%%EOF").is_some(),
            Ending::Png => memmem::find(last, b"IEND\xAE\x42\x60\x82").is_some(),
            Ending::Html => ends_as_html(&self.first, last),
        };
        (!is_whole).then(|| Fault::Cut.error(0))
    }
}

/// The last record says how long the comment behind it is.
fn ends_as_zip(last: &[u8]) -> bool {
    memmem::rfind_iter(last, b"PK\x05\x06").any(|at| {
        let record = last.get(at..).unwrap_or_default();
        let length = record.get(20..22).and_then(|length| length.try_into().ok());
        length
            .is_some_and(|length| record.len() == ZIP_END + usize::from(u16::from_le_bytes(length)))
    })
}

/// Whether the outermost element is closed. A table alone is no page, but a result.
fn ends_as_html(first: &[u8], last: &[u8]) -> bool {
    let (first, last) = (first.to_ascii_lowercase(), last.to_ascii_lowercase());
    let has = |text: &[u8], tag: &str| memmem::find(text, tag.as_bytes()).is_some();
    match () {
        () if has(&first, "<html") => has(&last, "</html>"),
        () if has(&first, "<table") => has(&last, "</table>"),
        () => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passes(ending: Ending, data: &[u8], size: usize) -> bool {
        let pieces: Vec<_> =
            data.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut stream = ending.checked(ByteStream::new(futures_util::stream::iter(pieces)));
        let mut passed = Vec::new();
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => passed.extend_from_slice(&chunk),
                Err(error) => {
                    assert!(error.message().contains("cut short"), "{error:?}");
                    return false;
                }
            }
        }
        assert_eq!(passed, data);
        true
    }

    /// `front`, much of nothing, `end`.
    fn document(front: &str, end: &[u8]) -> Vec<u8> {
        [front.as_bytes(), b"x".repeat(3 * ZIP_NEAR).as_slice(), end].concat()
    }

    #[tokio::test]
    async fn a_download_without_its_end_is_cut_short() {
        let record = |comment: &[u8]| {
            let length = u16::try_from(comment.len()).unwrap().to_le_bytes();
            [b"PK\x05\x06".as_slice(), &[0; 16], &length, comment].concat()
        };
        for (ending, whole) in [
            (Ending::Zip, document("PK\x03\x04", &record(b""))),
            (Ending::Zip, document("PK\x03\x04", &record(b"of Looker's"))),
            (Ending::Zip, document("PK\x03\x04", &record(&[b'x'; u16::MAX as usize]))),
            (Ending::Pdf, document("%PDF-1.7\n", b"startxref\n7\n%%EOF")),
            (Ending::Png, document("\u{89}PNG", b"\0\0\0\0IEND\xAE\x42\x60\x82")),
            (Ending::Html, document("<!DOCTYPE HTML><HTML>", b"</table></body></HTML>")),
            (Ending::Html, document("<table>", b"</table>")),
        ] {
            for size in [1000, ZIP_NEAR, whole.len()] {
                assert!(passes(ending, &whole, size).await, "{ending:?} in pieces of {size}");
                for cut in [1, 2, 2000, whole.len() - 100] {
                    let cut = &whole[..whole.len() - cut];
                    assert!(!passes(ending, cut, size).await, "{ending:?} in pieces of {size}");
                }
            }
        }
        for ending in [Ending::Zip, Ending::Pdf, Ending::Png] {
            assert!(!passes(ending, b"", 1).await);
        }
    }

    #[tokio::test]
    async fn what_stands_behind_the_mark_is_no_cut() {
        assert!(passes(Ending::Pdf, b"%PDF-1.7 %%EOF\r\n", 3).await);
        assert!(passes(Ending::Html, b"<html></html>\n", 3).await);
        assert!(passes(Ending::Html, b"<p>A fragment", 3).await);
    }

    #[test]
    fn formats_are_told_by_their_extension_and_else_by_their_media_type() {
        assert_eq!(Ending::of(Some("xlsx"), "application/octet-stream"), Some(Ending::Zip));
        assert_eq!(Ending::of(None, "application/pdf"), Some(Ending::Pdf));
        assert_eq!(Ending::of(Some("txt"), "text/plain"), None);
    }
}
