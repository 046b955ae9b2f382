//! Whether data is whole that nobody reads as rows: JSON to its last bracket, a download's CSV to
//! the end of a row.
//!
//! A query that fails while its download runs may still end in a sound HTTP body. Only the data
//! itself then tells that it was cut. What Looker pushes cannot be cut unless its request is, so
//! CSV is looked at in downloads alone; JSON must be JSON either way.

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use super::json::{Scanner, failure, is_space};
use super::{Fault, Layout};
use crate::{ByteStream, Error, Result};

/// How much of the data's end is kept: enough for a last row, and little to copy for each chunk.
const TAIL: usize = 8 * 1024;
/// A longer header is not compared.
const HEADER: usize = 64 * 1024;
/// Looker's words about a failure stand in a document that is no longer than this.
const WORDS: usize = 64 * 1024;

const MARK: &[u8] = b"\xEF\xBB\xBF";
/// How a web page begins, in lower case; where JSON is due, one byte tells.
const PAGES: [&[u8]; 2] = [b"<!doctype html", b"<html"];
const NO_JSON: [&[u8]; 1] = [b"<"];

/// Passes `stream` on, with an error at its end or before where the data is not whole.
pub(crate) fn checked(layout: Layout, downloaded: bool, stream: ByteStream) -> ByteStream {
    let form = match layout {
        Layout::Json => Form::Json(Box::new(Json::new())),
        Layout::Csv if downloaded => Form::Csv(Box::default()),
        Layout::Txt if downloaded => Form::Text,
        Layout::Csv | Layout::Txt => return stream,
    };
    let len = stream.len_hint();
    let begin = if downloaded { Some(Vec::new()) } else { None };
    let state = Some((stream, Check { begin, form }));
    let chunks = futures_util::stream::unfold(state, |state| async {
        let (mut stream, mut check) = state?;
        let item = match stream.next().await {
            Some(Ok(chunk)) => check.read(&chunk).map(|()| chunk),
            None => Err(check.finish().err()?),
            Some(broken) => broken,
        };
        let goes_on = item.is_ok().then_some((stream, check));
        Some((item, goes_on))
    });
    match len {
        Some(len) => ByteStream::new(chunks).with_len(len),
        None => ByteStream::new(chunks),
    }
}

struct Check {
    /// The data's first bytes, while they may be a web page's.
    begin: Option<Vec<u8>>,
    form: Form,
}

enum Form {
    Json(Box<Json>),
    Csv(Box<Csv>),
    /// Nothing tells where text ends.
    Text,
}

impl Check {
    fn read(&mut self, chunk: &Bytes) -> Result<()> {
        self.look_for_page(chunk)?;
        match &mut self.form {
            Form::Json(json) => json.read(chunk),
            Form::Csv(csv) => {
                csv.read(chunk);
                Ok(())
            }
            Form::Text => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        match &mut self.form {
            Form::Json(json) => json.finish(),
            Form::Csv(csv) if csv.is_cut() => Err(Fault::Cut.error(0)),
            Form::Csv(_) | Form::Text => Ok(()),
        }
    }

    fn look_for_page(&mut self, chunk: &[u8]) -> Result<()> {
        let Some(begin) = &mut self.begin else { return Ok(()) };
        let pages: &[&[u8]] = match self.form {
            Form::Json(_) => &NO_JSON,
            Form::Csv(_) | Form::Text => &PAGES,
        };
        let longest = pages.first().map_or(0, |page| page.len());
        let spaces = |byte: &&u8| is_space(**byte);
        let skipped = if begin.is_empty() { chunk.iter().take_while(spaces).count() } else { 0 };
        let rest = chunk.get(skipped..).unwrap_or_default();
        begin.extend(rest.iter().take(longest - begin.len()).map(u8::to_ascii_lowercase));
        if pages.iter().any(|page| begin.starts_with(page)) {
            return Err(Error::looker(
                "Looker answered with a web page in place of the data. Run the query in Looker to \
                 see what it says, then send again.",
            ));
        }
        if !pages.iter().any(|page| page.starts_with(begin)) {
            self.begin = None;
        }
        Ok(())
    }
}

/// One JSON value.
struct Json {
    scanner: Scanner,
    offset: u64,
    /// How much of a byte order mark was read; nothing once the document has begun.
    mark: Option<usize>,
    done: bool,
    /// The document so far, while it may be Looker's words about a failure.
    short: Option<Vec<u8>>,
}

impl Json {
    fn new() -> Self {
        Self {
            scanner: Scanner::new(),
            offset: 0,
            mark: Some(0),
            done: false,
            short: Some(Vec::new()),
        }
    }

    fn read(&mut self, chunk: &[u8]) -> Result<()> {
        if let Some(short) = &mut self.short {
            if short.len() + chunk.len() <= WORDS {
                short.extend_from_slice(chunk);
            } else {
                self.short = None;
            }
        }
        let mut at = 0;
        while let (Some(read), Some(byte)) = (self.mark, chunk.get(at)) {
            match MARK.get(read) {
                Some(due) if due == byte => {
                    self.mark = Some(read + 1);
                    at += 1;
                    self.offset += 1;
                }
                Some(_) if read > 0 => {
                    let what = "part of a byte order mark";
                    return Err(Fault::malformed(self.offset, what).error(0));
                }
                _ => self.mark = None,
            }
        }
        let mut rest = chunk.get(at..).unwrap_or_default();
        if !self.done {
            let progress = self.scanner.scan(rest, self.offset).map_err(|fault| fault.error(0))?;
            self.offset += progress.used as u64;
            self.done = progress.done;
            rest = rest.get(progress.used..).unwrap_or_default();
        }
        match rest.iter().position(|byte| !is_space(*byte)) {
            None => {
                self.offset += rest.len() as u64;
                Ok(())
            }
            Some(at) => {
                let what = "text after the end of the document";
                Err(Fault::malformed(self.offset + at as u64, what).error(0))
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        // Only what follows ends a number.
        let ended = self.done || self.scanner.scan(b" ", self.offset).is_ok_and(|it| it.done);
        if !ended {
            return Err(Fault::Cut.error(0));
        }
        let said = self.short.take().and_then(|document| failure(&document));
        match said {
            Some(words) => Err(Fault::Said(words).error(0)),
            None => Ok(()),
        }
    }
}

/// The first and the last record of a CSV document.
#[derive(Default)]
struct Csv {
    quotes: Quotes,
    header: Header,
    /// The last bytes, and how the quotes stood before them.
    tail: Vec<u8>,
    before_tail: Quotes,
}

#[derive(Default)]
enum Header {
    #[default]
    Unread,
    Begun(Vec<u8>, Quotes),
    /// Its number of fields.
    Read(usize),
    TooLong,
}

impl Csv {
    fn read(&mut self, chunk: &[u8]) {
        self.read_header(chunk);
        if let Some(first) = chunk.len().checked_sub(TAIL) {
            let (front, last) = chunk.split_at(first);
            self.quotes.pass(front);
            self.before_tail = self.quotes;
            self.tail.clear();
            self.tail.extend_from_slice(last);
            self.quotes.pass(last);
            return;
        }
        let over = (self.tail.len() + chunk.len()).saturating_sub(TAIL);
        self.before_tail.pass(self.tail.get(..over).unwrap_or_default());
        self.tail.drain(..over);
        self.tail.extend_from_slice(chunk);
        self.quotes.pass(chunk);
    }

    fn read_header(&mut self, chunk: &[u8]) {
        let (mut header, quotes) = match std::mem::take(&mut self.header) {
            Header::Unread => (Vec::new(), Quotes::default()),
            Header::Begun(header, quotes) => (header, quotes),
            done => {
                self.header = done;
                return;
            }
        };
        let mut running = quotes;
        let end = running.pass_line(chunk);
        header.extend_from_slice(chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default());
        self.header = match end {
            _ if header.len() > HEADER => Header::TooLong,
            Some(_) => Header::Read(fields(&header, Quotes::default())),
            None => Header::Begun(header, running),
        };
    }

    /// Whether it ends within quotes, or in a record with fewer fields than the header.
    fn is_cut(&self) -> bool {
        if self.quotes.inside {
            return true;
        }
        let Header::Read(wanted) = self.header else { return false };
        let mut quotes = self.before_tail;
        let mut rest = self.tail.as_slice();
        let mut whole_record = false;
        while let Some(end) = quotes.pass_line(rest) {
            whole_record = true;
            rest = rest.get(end..).unwrap_or_default();
        }
        // A record that is longer than the tail is not known from its beginning.
        whole_record && !rest.is_empty() && fields(rest, Quotes::default()) < wanted
    }
}

/// How many fields a record has.
fn fields(record: &[u8], mut quotes: Quotes) -> usize {
    let mut commas = 0;
    let mut rest = record;
    while let Some(at) = memchr(b',', rest) {
        let (field, more) = rest.split_at(at);
        quotes.pass(field);
        commas += usize::from(!quotes.inside);
        quotes.pass(b",");
        rest = more.get(1..).unwrap_or_default();
    }
    commas + 1
}

/// Whether bytes of a CSV document stand within quotes. A quote opens a field at its beginning
/// alone; anywhere else outside it is text, as `5" pipe` is.
#[derive(Clone, Copy)]
struct Quotes {
    inside: bool,
    /// The byte before.
    previous: u8,
    /// The byte before closed a field; another quote then goes on with it.
    closed: bool,
}

impl Default for Quotes {
    fn default() -> Self {
        Self { inside: false, previous: b'\n', closed: false }
    }
}

impl Quotes {
    fn pass(&mut self, bytes: &[u8]) {
        for at in memchr_iter(b'"', bytes) {
            self.quote(bytes, at);
        }
        self.reach_end(bytes);
    }

    fn quote(&mut self, bytes: &[u8], at: usize) {
        let adjacent = at.checked_sub(1).and_then(|before| bytes.get(before)).copied();
        let before = adjacent.unwrap_or(self.previous);
        if self.inside {
            (self.inside, self.closed) = (false, true);
        } else {
            let opens = matches!(before, b',' | b'\n' | b'\r') || (before == b'"' && self.closed);
            (self.inside, self.closed) = (opens, false);
        }
    }

    fn reach_end(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.previous = *last;
            self.closed &= *last == b'"';
        }
    }

    /// Passes over bytes up to the end of a line outside of quotes, and says where that is.
    fn pass_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut passed = 0;
        loop {
            let rest = bytes.get(passed..).unwrap_or_default();
            let line = memchr(b'\n', rest).map(|at| at + 1);
            let line_or_rest = rest.get(..line.unwrap_or(rest.len())).unwrap_or_default();
            self.pass(line_or_rest);
            passed += line?;
            if !self.inside {
                return Some(passed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(layout: Layout, downloaded: bool, pieces: Vec<Bytes>) -> Result<Vec<u8>> {
        let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok));
        let mut stream = checked(layout, downloaded, ByteStream::new(pieces));
        let mut all = Vec::new();
        while let Some(chunk) = stream.next().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all)
    }

    /// The same from one piece and from many.
    async fn both(layout: Layout, downloaded: bool, text: &str) -> Result<()> {
        let whole = read(layout, downloaded, vec![Bytes::copy_from_slice(text.as_bytes())]).await;
        let bytes = text.bytes().map(|byte| Bytes::copy_from_slice(&[byte]));
        let cut = read(layout, downloaded, bytes.collect()).await;
        match (whole, cut) {
            (Ok(whole), Ok(cut)) => {
                assert_eq!((&whole[..], &cut[..]), (text.as_bytes(), text.as_bytes()));
                Ok(())
            }
            (Err(whole), Err(cut)) => {
                assert_eq!(whole.message(), cut.message(), "{text:?}");
                Err(whole)
            }
            (whole, cut) => panic!("{text:?}: {whole:?} and {cut:?}"),
        }
    }

    async fn message(layout: Layout, downloaded: bool, text: &str) -> String {
        let Err(error) = both(layout, downloaded, text).await else { panic!("passed: {text:?}") };
        assert_eq!(error.class(), crate::Class::Looker);
        error.message().to_owned()
    }

    #[tokio::test]
    async fn a_byte_order_mark_is_whole_and_stands_first() {
        both(Layout::Json, true, "\u{feff}4").await.unwrap();
        // Its third byte is the mark's third.
        both(Layout::Json, true, "\"\u{bf}\"").await.unwrap();
        for (text, at) in [(&b"\xEF\xBB4"[..], "byte 2"), (b"\xEF4", "byte 1")] {
            for size in [1, text.len()] {
                let pieces = text.chunks(size).map(Bytes::copy_from_slice).collect();
                let fault = read(Layout::Json, true, pieces).await.unwrap_err();
                assert!(fault.message().contains("part of a byte order mark"), "{fault:?}");
                assert!(fault.message().contains(at), "{fault:?}");
            }
        }
    }

    #[tokio::test]
    async fn json_is_whole_at_its_last_byte_and_nowhere_before() {
        for text in [
            "[]",
            " [ {\"a\": \"}]\\\"\"}, {\"b\":[1,{}]} ]\n",
            "{\"fields\":{},\"data\":[{\"a\":{\"value\":1.5e3}}]}",
            "\u{feff}[{\"a\":null}]",
            "\"[]\"",
        ] {
            for downloaded in [true, false] {
                both(Layout::Json, downloaded, text).await.unwrap();
                let end = text.trim_end().len();
                for at in 0..end {
                    let Some(cut) = text.get(..at) else { continue };
                    let said = message(Layout::Json, downloaded, cut).await;
                    assert!(said.contains("cut short"), "{cut:?}: {said}");
                }
            }
        }
        both(Layout::Json, true, "12").await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_json_is_named_with_its_byte() {
        for (text, byte) in [("[1,}", 3), ("[] []", 3), ("{\"a\" 1}", 5), ("oops", 0)] {
            for downloaded in [true, false] {
                let said = message(Layout::Json, downloaded, text).await;
                assert!(said.contains(&format!("byte {byte}:")), "{text}: {said}");
            }
        }
    }

    #[tokio::test]
    async fn lookers_own_words_in_place_of_a_download_are_told() {
        for rest in ["", ",\"data\":[]", ",\"data\":null"] {
            let text = format!("{{\"message\":\"Query was killed.\"{rest}}}");
            for downloaded in [true, false] {
                let said = message(Layout::Json, downloaded, &text).await;
                assert!(said.contains("Query was killed."), "{said}");
            }
        }
        let said = message(Layout::Json, true, " \n<!DOCTYPE HTML><title>Log in</title>").await;
        assert!(said.contains("web page"), "{said}");
        for layout in [Layout::Csv, Layout::Txt] {
            let said = message(layout, true, "<html lang=\"en\">\n").await;
            assert!(said.contains("web page"), "{said}");
            both(layout, true, "<htm,b\n1,2\n").await.unwrap();
            both(layout, false, "<html>\n").await.unwrap();
        }
        // Rows may have such names.
        both(Layout::Json, true, "[{\"message\":\"hello\"}]").await.unwrap();
        both(Layout::Json, true, "{\"message\":\"slow\",\"data\":[{}]}").await.unwrap();
    }

    #[tokio::test]
    async fn a_csv_download_ends_with_a_row() {
        for text in [
            "",
            "x",
            "a,b",
            "a,b\n",
            "a,b\n1,2\n",
            "a,b\n1,2",
            "a,b\r\n1,\"x,\ny\"\r\n",
            "\"a\"\"\",b\n\"\"\"\",\"\"",
            "a,b\n5\" pipe,2\n",
            "a\n1\n\n\n",
            "a,b\n1,2,3",
        ] {
            both(Layout::Csv, true, text).await.unwrap();
        }
        for text in ["a,b\n1", "a,b\n1,2\n3", "a,b\n1,\"2", "a,b\n1,\"2\"\"", "\"a", "a,b\n\",\""] {
            let said = message(Layout::Csv, true, text).await;
            assert!(said.contains("cut short"), "{text:?}: {said}");
            both(Layout::Csv, false, text).await.unwrap();
        }
    }

    /// The end is judged by a few kilobytes, wherever chunks end before them.
    #[tokio::test]
    async fn a_long_csv_download_is_judged_by_its_end() {
        let row = "a,\"b, \n\"\"b\"\"\",c\n";
        let rows = row.repeat(3 * TAIL / row.len());
        for size in [1, 1000, TAIL - 1, TAIL, TAIL + 1, 20_000] {
            let pieces = |text: &str| -> Vec<Bytes> {
                text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect()
            };
            assert!(read(Layout::Csv, true, pieces(&rows)).await.is_ok(), "{size}");
            for cut in 1..row.len() {
                let text = &rows[..rows.len() - cut];
                // Without its newline alone, or with the last field cut, a row looks whole.
                let whole = cut <= "c\n".len();
                let read = read(Layout::Csv, true, pieces(text)).await;
                assert_eq!(read.is_ok(), whole, "{size}: {cut} bytes are missing");
            }
        }
    }
}
