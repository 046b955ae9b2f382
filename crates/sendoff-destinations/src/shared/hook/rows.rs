//! Rows as JSON objects whose keys are names or labels.

use std::collections::HashSet;

use sendoff::{Choice, Columns, Row};

/// What a row's values are called.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// `orders.count`
    #[choice(label = "Field names")]
    Name,
    /// `Orders Count`
    #[choice(label = "Labels")]
    Label,
}

/// The member that says whose row it is. No column has its name.
const STAMP: &str = "_looker";

/// Writes rows as JSON objects.
pub(super) struct Writer {
    keys: Keys,
    /// `"Orders Count":` for each column.
    written: Vec<String>,
    taken: HashSet<String>,
}

impl Writer {
    pub(super) fn new(keys: Keys, stamped: bool) -> Self {
        let taken = stamped.then(|| STAMP.to_owned()).into_iter().collect();
        Self { keys, written: Vec::new(), taken }
    }

    /// Appends `row` as an object. Values keep their JSON form: numbers every digit, null null.
    pub(super) fn write(
        &mut self,
        row: &Row,
        stamp: Option<&serde_json::Value>,
        out: &mut Vec<u8>,
    ) {
        self.learn(row.columns());
        out.push(b'{');
        for ((_, cell), key) in row.iter().zip(&self.written) {
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            out.extend_from_slice(key.as_bytes());
            cell.write_json(out);
        }
        if let Some(stamp) = stamp {
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            out.extend_from_slice(format!("\"{STAMP}\":{stamp}").as_bytes());
        }
        out.push(b'}');
    }

    /// A later row may bring further columns.
    fn learn(&mut self, columns: &Columns) {
        for column in columns.iter().skip(self.written.len()) {
            let mut key = match self.keys {
                Keys::Label if !self.taken.contains(&column.label) => column.label.clone(),
                Keys::Label | Keys::Name => column.name.clone(),
            };
            // In CSV two columns can have the same header; an object would lose one.
            let mut n = 2;
            while !self.taken.insert(key.clone()) {
                key = format!("{} ({n})", column.name);
                n += 1;
            }
            self.written.push(format!("{}:", serde_json::Value::from(key)));
        }
    }
}
