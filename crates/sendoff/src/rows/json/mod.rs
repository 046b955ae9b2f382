//! Looker's JSON documents: finds `fields` and each row of `data` while the bytes arrive.

mod cells;
mod nested;
mod scan;
mod unescape;

use bytes::{Buf, Bytes};
use serde_json::Value as Json;

pub(super) use cells::CellReader;
pub(super) use scan::{Scanner, is_space, text_run};

use super::Fault;
use super::value::Row;
use nested::Nested;

/// A row longer than this is refused: it must stand in memory whole.
const MAX_ROW: usize = 16 * 1024 * 1024;
/// `fields` describes columns only: some kilobytes for each of them.
const MAX_FIELDS: usize = 16 * 1024 * 1024;
/// Looker's own words about a failure, or a time.
const MAX_WORDS: usize = 64 * 1024;

/// Reads `[row, ...]`, `{"fields": .., "data": [row, ...]}`, and either of them in a JSON string,
/// also in `data`: sources disagree on what inline_json is (protocol 5.3).
///
/// A clone reads on from the same place.
#[derive(Clone, Debug)]
pub(super) struct Document {
    place: Place,
    scanner: Scanner,
    member: Member,
    /// What is kept of the value that is being read and began in an earlier chunk.
    held: Vec<u8>,
    object: bool,
    nested: Option<Box<Nested>>,
    data_seen: bool,
    fields_seen: bool,
    fields: Option<Vec<u8>>,
    ran_at: Option<String>,
    /// What `errors`, `error` or `message` says.
    words: Option<String>,
    rows: u64,
    offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    NameOrClose,
    Name,
    InName,
    Colon,
    MemberValue,
    InMember,
    AfterMember,
    Data,
    RowOrClose,
    Row,
    InRow,
    AfterRow,
    Nested,
    End,
}

/// A member of the top-level object, by what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Data,
    Fields,
    RanAt,
    Words,
    Skipped,
}

/// What reading on gave.
pub(super) enum Event {
    /// The chunk is used up.
    More,
    /// The value of `data` begins at the chunk's next byte; comes once.
    Data,
    Row(Row),
}

impl Document {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Start,
            scanner: Scanner::new(),
            member: Member::Skipped,
            held: Vec::new(),
            object: false,
            nested: None,
            data_seen: false,
            fields_seen: false,
            fields: None,
            ran_at: None,
            words: None,
            rows: 0,
            offset: 0,
        }
    }

    /// Whether cells are objects with a `value`, as in json_detail.
    pub(super) fn is_detail(&self) -> bool {
        self.object || self.nested.as_ref().is_some_and(|nested| nested.document.is_detail())
    }

    /// The JSON text of `fields`, given away.
    pub(super) fn take_fields(&mut self) -> Option<Vec<u8>> {
        match (self.fields.take(), &mut self.nested) {
            (None, Some(nested)) => nested.document.take_fields(),
            (fields, _) => fields,
        }
    }

    /// Whether `fields` may still come: it was not there before `data`.
    pub(super) fn may_hold_fields(&self) -> bool {
        match &self.nested {
            Some(nested) => nested.document.may_hold_fields(),
            None => self.object && !self.fields_seen,
        }
    }

    /// When the query ran, once that was read.
    pub(super) fn ran_at(&self) -> Option<&str> {
        match (&self.ran_at, &self.nested) {
            (None, Some(nested)) => nested.document.ran_at(),
            (ran_at, _) => ran_at.as_deref(),
        }
    }

    /// How many rows were found.
    pub(super) fn rows(&self) -> u64 {
        self.nested.as_ref().map_or(self.rows, |nested| nested.document.rows())
    }

    /// Takes over what another reader of the same document found further on.
    pub(super) fn learn(&mut self, ahead: &mut Self) {
        self.fields = ahead.take_fields();
        self.ran_at = ahead.ran_at().map(str::to_owned);
    }

    /// Reads on in `chunk`, and takes from it what was read. Without `cells`, rows are checked and
    /// counted only.
    pub(super) fn advance(
        &mut self,
        chunk: &mut Bytes,
        mut cells: Option<&mut CellReader>,
    ) -> Result<Event, Fault> {
        loop {
            let event = match self.place {
                Place::InName | Place::InMember | Place::InRow => {
                    self.value(chunk, cells.as_deref_mut())?
                }
                Place::Nested => self.nested(chunk, cells.as_deref_mut())?,
                _ => {
                    let Some(byte) = self.next_byte(chunk) else { return Ok(Event::More) };
                    if self.place == Place::MemberValue
                        && self.member == Member::Data
                        && byte != b'n'
                    {
                        self.place = Place::Data;
                        return Ok(Event::Data);
                    }
                    if byte == b'{'
                        && matches!(self.place, Place::Row | Place::RowOrClose)
                        && let Some(row) = self.whole_row(chunk, cells.as_deref_mut())
                    {
                        return Ok(Event::Row(row));
                    }
                    let array = self.place == Place::Start && byte == b'[';
                    self.mark(byte, chunk)?;
                    array.then_some(Event::Data)
                }
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// The stream has ended: was the document whole?
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.place != Place::End {
            return Err(Fault::Cut);
        }
        match &self.words {
            // A query that fails may still come with `"data": []`.
            Some(words) if self.rows() == 0 => Err(Fault::Said(words.clone())),
            _ if self.object && !self.data_seen => Err(Fault::NoData),
            _ => Ok(()),
        }
    }

    /// The first byte that is no white space, left in the chunk.
    fn next_byte(&mut self, chunk: &mut Bytes) -> Option<u8> {
        let spaces = chunk.iter().take_while(|byte| is_space(**byte)).count();
        self.take(chunk, spaces);
        chunk.first().copied()
    }

    fn take(&mut self, chunk: &mut Bytes, bytes: usize) {
        chunk.advance(bytes);
        self.offset += bytes as u64;
    }

    /// Reads the byte that decides what comes next. What begins a scanned value stays in the chunk.
    fn mark(&mut self, byte: u8, chunk: &mut Bytes) -> Result<(), Fault> {
        let wrong = |what| Err(Fault::malformed(self.offset, what));
        let mut scanned = false;
        let next = match (self.place, byte) {
            (Place::Start, b'{') => {
                self.object = true;
                Place::NameOrClose
            }
            (Place::Start | Place::Data, b'[') => Place::RowOrClose,
            (Place::Start | Place::Data, b'"') => {
                self.nested = Some(Box::new(Nested::new(self.place == Place::Start)));
                Place::Nested
            }
            (Place::Start, _) => return wrong("expected rows as a JSON array or object"),
            (Place::Data, _) => return wrong("expected `data` to hold an array of rows"),
            (Place::NameOrClose | Place::AfterMember, b'}') => Place::End,
            (Place::NameOrClose | Place::Name, b'"') => {
                scanned = true;
                Place::InName
            }
            (Place::NameOrClose | Place::Name, _) => {
                return wrong("expected a member's name in quotes");
            }
            (Place::Colon, b':') => Place::MemberValue,
            (Place::Colon, _) => return wrong("expected ':' after a member's name"),
            (Place::MemberValue, _) => {
                if self.member == Member::Data {
                    // `"data": null` counts as no data.
                    self.data_seen = false;
                    self.member = Member::Skipped;
                }
                scanned = true;
                Place::InMember
            }
            (Place::AfterMember, b',') => Place::Name,
            (Place::AfterMember, _) => return wrong("expected ',' or '}'"),
            (Place::RowOrClose | Place::AfterRow, b']') => self.after_rows(),
            (Place::RowOrClose | Place::Row, b'{') => {
                scanned = true;
                Place::InRow
            }
            (Place::RowOrClose | Place::Row, _) => return wrong("expected a row as an object"),
            (Place::AfterRow, b',') => Place::Row,
            (Place::AfterRow, _) => return wrong("expected ',' or ']' after a row"),
            _ => return wrong("text after the end of the document"),
        };
        self.place = next;
        if scanned {
            self.scanner = Scanner::new();
        } else {
            self.take(chunk, 1);
        }
        Ok(())
    }

    fn after_rows(&self) -> Place {
        if self.object { Place::AfterMember } else { Place::End }
    }

    /// The fast way: the chunk holds all of the row, and nothing is wrong with it. Otherwise the
    /// scanner finds its end, or says what is wrong.
    fn whole_row(&mut self, chunk: &mut Bytes, cells: Option<&mut CellReader>) -> Option<Row> {
        let within = chunk.get(..chunk.len().min(MAX_ROW)).unwrap_or_default();
        let (row, used) = cells?.read_first(within, self.rows + 1)?;
        self.take(chunk, used);
        self.place = Place::AfterRow;
        self.rows += 1;
        Some(row)
    }

    /// Reads on in a name, a member's value or a row.
    fn value(
        &mut self,
        chunk: &mut Bytes,
        cells: Option<&mut CellReader>,
    ) -> Result<Option<Event>, Fault> {
        let progress = self.scanner.scan(chunk, self.offset)?;
        self.keep(chunk.get(..progress.used).unwrap_or_default(), cells.is_some())?;
        self.take(chunk, progress.used);
        if !progress.done {
            return Ok(Some(Event::More));
        }
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::InName => {
                self.begin_member(&held)?;
                self.place = Place::Colon;
            }
            Place::InMember => {
                self.end_member(held);
                self.place = Place::AfterMember;
            }
            _ => {
                self.place = Place::AfterRow;
                self.rows += 1;
                if let Some(cells) = cells {
                    return cells.read(&held, self.rows).map(|row| Some(Event::Row(row)));
                }
            }
        }
        Ok(None)
    }

    /// Keeps a part of the value that is being read, if it is of use.
    fn keep(&mut self, part: &[u8], rows: bool) -> Result<(), Fault> {
        let (kept, limit) = match (self.place, self.member) {
            (Place::InRow, _) => (rows, MAX_ROW),
            (Place::InName, _) => (true, MAX_WORDS),
            (_, Member::Fields) => (true, MAX_FIELDS),
            (_, Member::RanAt | Member::Words) => (true, MAX_WORDS),
            (_, Member::Data | Member::Skipped) => (false, 0),
        };
        if !kept {
            return Ok(());
        }
        if self.held.len() + part.len() <= limit {
            self.held.extend_from_slice(part);
            return Ok(());
        }
        match (self.place, self.member) {
            (Place::InRow, _) => Err(Fault::TooLong("a row is longer than 16 MiB")),
            (Place::InName, _) => Err(Fault::TooLong("a member's name is longer than 64 KiB")),
            (_, Member::Fields) => Err(Fault::TooLong("`fields` is longer than 16 MiB")),
            _ => {
                self.held.clear();
                self.member = Member::Skipped;
                Ok(())
            }
        }
    }

    fn begin_member(&mut self, name: &[u8]) -> Result<(), Fault> {
        let name: String = serde_json::from_slice(name)
            .map_err(|_| Fault::malformed(self.offset, "a member's name is not text"))?;
        self.member = match name.as_str() {
            "data" if self.data_seen => {
                return Err(Fault::malformed(self.offset, "`data` stands there twice"));
            }
            "data" => {
                self.data_seen = true;
                Member::Data
            }
            "fields" if self.fields_seen => {
                return Err(Fault::malformed(self.offset, "`fields` stands there twice"));
            }
            "fields" => {
                self.fields_seen = true;
                Member::Fields
            }
            "ran_at" => Member::RanAt,
            "errors" | "error" | "message" => Member::Words,
            _ => Member::Skipped,
        };
        Ok(())
    }

    fn end_member(&mut self, json: Vec<u8>) {
        match self.member {
            Member::Fields => self.fields = Some(json),
            Member::RanAt => self.ran_at = serde_json::from_slice(&json).ok(),
            Member::Words => {
                let said = serde_json::from_slice(&json).ok().and_then(|json| words(&json));
                self.words = self.words.take().or(said);
            }
            Member::Data | Member::Skipped => {}
        }
    }

    /// Reads on in a document that stands in a string of this one.
    fn nested(
        &mut self,
        chunk: &mut Bytes,
        cells: Option<&mut CellReader>,
    ) -> Result<Option<Event>, Fault> {
        let Some(nested) = &mut self.nested else { return Ok(Some(Event::More)) };
        let before = chunk.len();
        let event = nested.advance(chunk, self.offset, cells);
        self.offset += (before - chunk.len()) as u64;
        match event? {
            Some(Event::Data) if !nested.whole_document => Ok(None),
            Some(event) => Ok(Some(event)),
            None => {
                nested.document.finish()?;
                self.place = if self.object { Place::AfterMember } else { Place::End };
                Ok(None)
            }
        }
    }
}

/// What Looker says of a failure in a document without rows.
pub(super) fn failure(document: &[u8]) -> Option<String> {
    let document = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
    let Json::Object(members) = serde_json::from_slice(document).ok()? else { return None };
    let rows = members.get("data").is_some_and(|data| match data {
        Json::Array(rows) => !rows.is_empty(),
        data => !data.is_null(),
    });
    let names = ["errors", "error", "message"];
    names.iter().filter(|_| !rows).find_map(|name| words(members.get(*name)?))
}

/// What Looker says in an error object, a list of them, or as plain text.
fn words(json: &Json) -> Option<String> {
    let said = match json {
        Json::String(text) => text.clone(),
        Json::Array(list) => {
            let said: Vec<_> = list.iter().filter_map(words).collect();
            said.join(" ")
        }
        Json::Object(error) => {
            let parts = ["message", "message_details", "error"];
            let said: Vec<_> = parts.iter().filter_map(|part| words(error.get(*part)?)).collect();
            // A warning: Looker adds it to results that are sound.
            if said.first().is_some_and(|first| first.starts_with("Note: ")) {
                return None;
            }
            said.join(" ")
        }
        _ => return None,
    };
    (!said.trim().is_empty()).then_some(said)
}
