//! A row as one record of a request.

use std::collections::{HashMap, VecDeque};

use sendoff::pipeline::Encoded;
use sendoff::prelude::*;
use sendoff::{Column, Row, write_json_text};

use super::mapping::Mapping;

/// Writes rows as records.
pub(super) struct Encoder {
    id: Column,
    /// The property that the ids are values of, if they are not HubSpot's own.
    id_property: Option<String>,
    mapping: Mapping,
    recent: Recent,
    /// Of the row at hand.
    properties: Vec<u8>,
}

impl Encoder {
    /// `most` rows go into a request.
    pub(super) fn new(
        id: &Column,
        id_property: Option<String>,
        mapping: Mapping,
        most: usize,
    ) -> Self {
        let recent = Recent::new(most);
        Self { id: id.clone(), id_property, mapping, recent, properties: Vec::new() }
    }

    /// Appends `row` as a record.
    ///
    /// # Errors
    /// The columns are such that no row can be sent.
    pub(super) fn write(&mut self, row: &Row, out: &mut Vec<u8>) -> Result<Encoded> {
        let value = row.get(&self.id).value();
        let id = value.text().trim();
        if id.is_empty() {
            return Ok(Encoded::skipped("it has no id"));
        }
        self.mapping.extend(row.columns())?;
        self.properties.clear();
        if let Err(why) = self.mapping.write(row, &mut self.properties)? {
            return Ok(Encoded::refused(why));
        }
        if let Some(earlier) = self.recent.meet(id, row.number()) {
            return Ok(Encoded::refused(format!(
                "it has the same id as row {earlier}, and HubSpot takes an id once in a request"
            )));
        }
        out.extend_from_slice(b"{\"id\":");
        write_json_text(id, out);
        if let Some(name) = &self.id_property {
            out.extend_from_slice(b",\"idProperty\":");
            write_json_text(name, out);
        }
        // HubSpot repeats it beside what became of the record.
        out.extend_from_slice(b",\"objectWriteTraceId\":");
        write_json_text(&row.number().to_string(), out);
        out.extend_from_slice(b",\"properties\":{");
        out.extend_from_slice(&self.properties);
        out.extend_from_slice(b"}}");
        Ok(Encoded::Row)
    }
}

/// The ids of the rows that may still get into the same request.
struct Recent {
    most: usize,
    order: VecDeque<String>,
    /// With the number of the row that has it.
    known: HashMap<String, u64>,
}

impl Recent {
    fn new(most: usize) -> Self {
        Self { most, order: VecDeque::with_capacity(most), known: HashMap::with_capacity(most) }
    }

    /// The number of the earlier row that has this id; else remembers it.
    fn meet(&mut self, id: &str, number: u64) -> Option<u64> {
        if let Some(earlier) = self.known.get(id) {
            return Some(*earlier);
        }
        if self.order.len() == self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(id.to_owned(), number);
        self.order.push_back(id.to_owned());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_once_in_as_many_rows_as_a_request_has() {
        let mut recent = Recent::new(2);
        assert_eq!(recent.meet("a", 1), None);
        assert_eq!(recent.meet("a", 2), Some(1));
        assert_eq!(recent.meet("b", 3), None);
        assert_eq!(recent.meet("a", 4), Some(1));
        assert_eq!(recent.meet("c", 5), None);
        assert_eq!(recent.meet("a", 6), None);
    }
}
