//! A message as it goes over the wire (RFC 5322, MIME): head and texts in memory, the attachment
//! encoded while it is read.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use sendoff::{ByteStream, Error, Result};

use super::header;
use crate::shared::hook::upload::wrapped;
use crate::shared::mail::base64::{Form as Base64, encoded};
use crate::shared::mail::{Attachment, Letter};

/// RFC 2045, 6.7: lines of quoted-printable have no more than 76 characters.
const LINE: usize = 76;

/// A message that can be read as often as wanted.
pub(super) struct Message {
    before: Bytes,
    after: Bytes,
    file: Option<Arc<dyn Fn() -> ByteStream + Send + Sync>>,
    len: u64,
}

impl Message {
    /// `key` is the same whenever the same delivery is sent again: it makes the message's id, by
    /// which mail readers recognise a repeat, and what parts the message's parts.
    pub(super) fn new(letter: &Letter, key: &str, now: Timestamp) -> Result<Self> {
        let mut before = head(letter, key, now)?;
        let mut after = String::new();
        let (texts, parts) = (format!("sendoff-texts-{key}"), format!("sendoff-parts-{key}"));
        match &letter.attachment {
            None => alternatives(letter, &texts, &mut before),
            Some(file) => {
                let kind = if file.content_id.is_some() {
                    "multipart/related; type=\"multipart/alternative\""
                } else {
                    "multipart/mixed"
                };
                multipart(kind, &parts, &mut before);
                before.push_str(&format!("\r\n--{parts}\r\n"));
                alternatives(letter, &texts, &mut before);
                before.push_str(&format!("--{parts}\r\n"));
                about(file, &mut before);
                after = format!("--{parts}--\r\n");
            }
        }
        let file_len = letter.attachment.as_ref().map_or(0, |file| Base64::Lines.length(file.len));
        Ok(Self {
            len: (before.len() + after.len()) as u64 + file_len,
            before: before.into(),
            after: after.into(),
            file: letter.attachment.as_ref().map(Attachment::opener),
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// All of a message without a file.
    pub(super) fn head(&self) -> &Bytes {
        &self.before
    }

    pub(super) fn stream(&self) -> ByteStream {
        let file = match &self.file {
            Some(open) => encoded(open(), Base64::Lines),
            None => ByteStream::new(futures_util::stream::empty()).with_len(0),
        };
        wrapped(&self.before, &self.after, file)
    }
}

fn head(letter: &Letter, key: &str, now: Timestamp) -> Result<String> {
    let mut out = String::new();
    header::mailboxes("From", [&letter.from], &mut out);
    header::list("To", &letter.to, &mut out);
    header::list("Cc", &letter.cc, &mut out);
    header::mailboxes("Reply-To", &letter.reply_to, &mut out);
    header::text("Subject", &letter.subject, &mut out);
    let date = DateTimePrinter::new().timestamp_to_string(&now);
    let date = date.map_err(|fault| Error::hub("This hub's clock is wrong.").cause(fault))?;
    header::plain("Date", &date, &mut out);
    header::plain("Message-ID", &format!("<{key}@{}>", letter.from.domain()), &mut out);
    // RFC 3834: no answers of machines, please.
    header::plain("Auto-Submitted", "auto-generated", &mut out);
    header::plain("MIME-Version", "1.0", &mut out);
    Ok(out)
}

fn multipart(kind: &str, boundary: &str, out: &mut String) {
    header::plain("Content-Type", &format!("{kind};\r\n boundary=\"{boundary}\""), out);
}

/// The text twice: the best form comes last (RFC 2046, 5.1.4).
fn alternatives(letter: &Letter, boundary: &str, out: &mut String) {
    multipart("multipart/alternative", boundary, out);
    for (kind, text) in [("text/plain", &letter.text), ("text/html", &letter.html)] {
        out.push_str(&format!("\r\n--{boundary}\r\n"));
        header::plain("Content-Type", &format!("{kind}; charset=utf-8"), out);
        header::plain("Content-Transfer-Encoding", "quoted-printable", out);
        out.push_str("\r\n");
        quoted_printable(text, out);
    }
    out.push_str(&format!("\r\n--{boundary}--\r\n"));
}

fn about(file: &Attachment, out: &mut String) {
    header::plain("Content-Type", &file.media_type, out);
    header::plain("Content-Transfer-Encoding", "base64", out);
    let disposition = if file.content_id.is_some() { "inline" } else { "attachment" };
    let name = header::filename(&file.name);
    header::plain("Content-Disposition", &format!("{disposition}{name}"), out);
    if let Some(id) = file.content_id {
        header::plain("Content-ID", &format!("<{id}>"), out);
    }
    out.push_str("\r\n");
}

/// RFC 2045, 6.7. Line ends are CR LF, whatever they were.
fn quoted_printable(text: &str, out: &mut String) {
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        let mut column = 0;
        let bytes = line.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            let last = at + 1 == bytes.len();
            let plain = match byte {
                // White space at the end of a line gets lost on the way.
                b' ' | b'\t' => !last,
                b'=' => false,
                byte => matches!(byte, b'!'..=b'~'),
            };
            let width = if plain { 1 } else { 3 };
            // Room for the sign of a line that goes on.
            if column + width > LINE - 1 {
                out.push_str("=\r\n");
                column = 0;
            }
            if plain {
                out.push(char::from(*byte));
            } else {
                out.push_str(&format!("={byte:02X}"));
            }
            column += width;
        }
        out.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_is_short_lines_of_ascii() {
        let quoted = |text: &str| {
            let mut out = String::new();
            quoted_printable(text, &mut out);
            assert!(out.is_ascii());
            for line in out.split_terminator("\r\n") {
                assert!(
                    line.len() <= LINE && !line.ends_with(' ') && !line.contains('\r'),
                    "{line}"
                );
            }
            out
        };
        assert_eq!(quoted("a=b "), "a=3Db=20\r\n");
        assert_eq!(quoted("ü\r\n.\n\rx"), "=C3=BC\r\n.\r\n\r\nx\r\n");
        let long = quoted(&"é".repeat(100));
        assert_eq!(long.replace("=\r\n", "").trim_end(), "=C3=A9".repeat(100));
    }
}
