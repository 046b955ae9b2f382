//! A row as one of Segment's calls.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sendoff::pipeline::{Encoded, Pick, RowKeys};
use sendoff::prelude::*;
use sendoff::{Cell, CellValue, Columns, Row, Rows, write_json_text};

use super::identity::Identity;
use super::{Kind, Order, Settings};
use crate::shared::repeats::Repeats;

/// What never is a trait or a property: ids, and what says name and time of an event.
const ROLES: Pick = Pick::tagged(&["email", "segment_anonymous_id", "user_id", super::GROUP]);
const EVENT_NAME: Pick = Pick::tagged(&["segment_event_name"]);
const TIMESTAMP: Pick = Pick::tagged(&["segment_timestamp"]);
const EMAIL: Pick = Pick::tagged(&["email"]);

/// So many group calls are remembered: some megabytes.
const REMEMBERED: usize = 1 << 17;

/// Writes rows as calls.
pub(super) struct Encoder {
    kind: Kind,
    as_before: bool,
    keys: RowKeys,
    identity: Identity,
    email: Option<usize>,
    event: Option<Event>,
    time: Option<usize>,
    zone: TimeZone,
    /// When the query ran, quoted.
    ran_at: Vec<u8>,
    hidden: Vec<String>,
    traits: Traits,
    /// The group calls so far.
    groups: Repeats,
}

/// The name of a tracked event.
struct Event {
    /// For every row, quoted.
    named: Vec<u8>,
    column: Option<usize>,
}

/// The columns that become traits, each with its quoted name and a colon.
#[derive(Default)]
struct Traits {
    list: Vec<(usize, Vec<u8>)>,
    /// How many columns were looked at.
    known: usize,
}

impl Encoder {
    pub(super) fn new(cx: &Context<Settings>, order: &Order, rows: &Rows) -> Self {
        let columns = rows.columns();
        let tracks = order.kind == Kind::Track;
        let place = |pick: Pick| pick.find(columns).map(|column| column.index);
        let time = if tracks { place(TIMESTAMP) } else { None };
        let event = order.event.as_deref().map(|name| {
            let mut named = Vec::new();
            write_json_text(name.trim(), &mut named);
            Event { named, column: place(EVENT_NAME) }
        });
        let ran_at = rows.ran_at().and_then(|at| CellValue::Text(at).timestamp(&TimeZone::UTC));
        let ran_at = ran_at.unwrap_or_else(Timestamp::now);
        let keys = RowKeys::new(cx.http(), order.kind.name());
        let as_before = cx.settings.as_before;
        Self {
            kind: order.kind,
            as_before,
            identity: Identity::new(columns, order.kind, as_before),
            keys,
            email: place(EMAIL),
            event,
            time,
            zone: cx.time_zone(),
            ran_at: quoted(ran_at),
            hidden: cx.hidden_fields().to_vec(),
            traits: Traits::default(),
            groups: Repeats::of(REMEMBERED),
        }
    }

    /// Appends `row` as a call.
    pub(super) fn write(&mut self, row: &Row, out: &mut Vec<u8>) -> Result<Encoded> {
        if row.columns().len() > self.traits.known {
            self.learn(row.columns());
        }
        let start = out.len();
        out.extend_from_slice(self.kind.head());
        if let Err(not_sent) = self.identity.write(row, &self.keys, out) {
            return Ok(not_sent);
        }
        if let Some(event) = &self.event {
            out.extend_from_slice(b",\"event\":");
            match event.column.map(|column| row.at(column).value()) {
                Some(name) if !name.is_empty() => name.write_json_string(out),
                _ => out.extend_from_slice(&event.named),
            }
        }
        self.write_traits(row, out);
        let call = out.get(start..).unwrap_or_default();
        if self.kind == Kind::Group && self.groups.is_repeat(call) {
            return Ok(Encoded::skipped("the same call came before in this delivery"));
        }
        out.extend_from_slice(b",\"timestamp\":");
        match self.time.map(|column| row.at(column).value()) {
            Some(time) if !time.is_empty() => match time.timestamp(&self.zone) {
                Some(time) => out.extend_from_slice(&quoted(time)),
                None => return Ok(Encoded::refused(not_a_time(time))),
            },
            // The query's time is left out of the sum: a repeat may know another one.
            _ => {
                let sum = crc32fast::hash(out.get(start..).unwrap_or_default());
                out.extend_from_slice(&self.ran_at);
                self.end(row, sum, out);
                return Ok(Encoded::Row);
            }
        }
        let sum = crc32fast::hash(out.get(start..).unwrap_or_default());
        self.end(row, sum, out);
        Ok(Encoded::Row)
    }

    /// The id by which Segment drops repeats: delivery and row number, and a sum of the content,
    /// so that another row in the same place is no repeat.
    fn end(&self, row: &Row, sum: u32, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(b",\"messageId\":\"");
        self.keys.write(row.number(), out);
        out.push(b'-');
        out.extend((0..8).rev().map(|n| DIGITS[(sum >> (4 * n) & 15) as usize]));
        out.extend_from_slice(b"\"}");
    }

    fn write_traits(&self, row: &Row, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.kind == Kind::Track {
            b",\"properties\":{"
        } else {
            b",\"traits\":{"
        });
        let mut first = true;
        let mut comma = |out: &mut Vec<u8>| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
        };
        for (column, name) in &self.traits.list {
            comma(out);
            out.extend_from_slice(name);
            self.write_value(row.at(*column), out);
        }
        if let Some(email) = self.email {
            comma(out);
            out.extend_from_slice(b"\"email\":");
            row.at(email).value().write_json(out);
        }
        out.push(b'}');
    }

    /// A pivoted cell is a list of objects with one member each, as the reference hub sends it.
    fn write_value(&self, cell: Cell<'_>, out: &mut Vec<u8>) {
        if !cell.is_pivoted() {
            return match cell.value() {
                CellValue::Bool(false) | CellValue::Text("") if self.as_before => {
                    out.extend_from_slice(b"[]");
                }
                value => value.write_json(out),
            };
        }
        out.push(b'[');
        for (n, (key, entry)) in cell.pivots().enumerate() {
            out.extend_from_slice(if n > 0 { b",{" } else { b"{" });
            write_json_text(key, out);
            out.push(b':');
            entry.value().write_json(out);
            out.push(b'}');
        }
        out.push(b']');
    }

    /// A later row may bring further columns.
    fn learn(&mut self, columns: &Columns) {
        for column in columns.iter().skip(self.traits.known) {
            let has_role = ROLES.is(column)
                || (self.event.is_some() && EVENT_NAME.is(column))
                || (self.kind == Kind::Track && TIMESTAMP.is(column))
                || (self.email.is_some() && column.name == "email");
            if has_role || self.hidden.contains(&column.name) {
                continue;
            }
            let mut name = Vec::new();
            write_json_text(&column.name, &mut name);
            name.push(b':');
            self.traits.list.push((column.index, name));
        }
        self.traits.known = columns.len();
    }
}

/// With milliseconds, as JavaScript writes it: every event is as long, so that the same rows make
/// the same batches.
fn quoted(time: Timestamp) -> Vec<u8> {
    format!("\"{time:.3}\"").into_bytes()
}

fn not_a_time(value: CellValue<'_>) -> String {
    let shown: String = value.text().chars().filter(|c| !c.is_control()).take(40).collect();
    format!("\"{shown}\" is no date or time")
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Track => "track",
            Self::Group => "group",
        }
    }

    fn head(self) -> &'static [u8] {
        match self {
            Self::Identify => br#"{"type":"identify""#,
            Self::Track => br#"{"type":"track""#,
            Self::Group => br#"{"type":"group""#,
        }
    }
}
