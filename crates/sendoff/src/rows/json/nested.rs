//! A document in a string of another one, un-escaped as it flows.

use bytes::{Buf, Bytes};

use super::unescape::unescape;
use super::{CellReader, Document, Event};
use crate::rows::Fault;

/// A string that holds a JSON document.
#[derive(Clone, Debug)]
pub(super) struct Nested {
    pub(super) document: Box<Document>,
    /// The string is the whole outer document, not only its `data`.
    pub(super) whole_document: bool,
    /// Text that the inner document has not read yet.
    text: Bytes,
    /// The beginning of an escape that the last chunk cut.
    cut: Vec<u8>,
    closed: bool,
}

impl Nested {
    pub(super) fn new(whole_document: bool) -> Self {
        Self {
            document: Box::new(Document::new()),
            whole_document,
            text: Bytes::new(),
            cut: Vec::new(),
            closed: false,
        }
    }

    /// Reads on in `chunk`; nothing once the string is closed and all of it was read.
    pub(super) fn advance(
        &mut self,
        chunk: &mut Bytes,
        base: u64,
        mut cells: Option<&mut CellReader>,
    ) -> Result<Option<Event>, Fault> {
        loop {
            match self.document.advance(&mut self.text, cells.as_deref_mut())? {
                Event::More => {}
                event => return Ok(Some(event)),
            }
            if self.closed {
                return Ok(None);
            }
            if chunk.is_empty() {
                return Ok(Some(Event::More));
            }
            let mut text = Vec::with_capacity(self.cut.len() + chunk.len());
            let wrong = |what| Fault::malformed(base, what);
            if self.cut.is_empty() {
                let progress = unescape(chunk, &mut text).map_err(wrong)?;
                self.closed = progress.closed;
                chunk.advance(progress.used);
                if !self.closed {
                    self.cut.extend_from_slice(chunk);
                    chunk.clear();
                }
            } else {
                // One byte at a time until the cut escape is whole: it has at most twelve.
                self.cut.push(chunk.get_u8());
                let progress = unescape(&self.cut, &mut text).map_err(wrong)?;
                self.closed = progress.closed;
                self.cut.drain(..progress.used);
            }
            self.text = text.into();
        }
    }
}
