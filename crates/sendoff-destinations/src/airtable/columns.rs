//! Which column becomes which field of the table.

use sendoff::prelude::*;
use sendoff::{Column, Columns, Row, write_json_text};

use super::Unknown;
use super::schema::Table;

/// The columns that are sent, and under which names.
pub(super) struct Targets<'a> {
    table: Option<&'a Table>,
    hidden: &'a [String],
    unknown: Unknown,
    /// Columns that were looked at.
    seen: usize,
    /// The column's place, and `"name":`.
    list: Vec<(usize, Vec<u8>)>,
    taken: Vec<String>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(table: Option<&'a Table>, hidden: &'a [String], unknown: Unknown) -> Self {
        Self { table, hidden, unknown, seen: 0, list: Vec::new(), taken: Vec::new() }
    }

    /// Maps the columns that are new.
    ///
    /// # Errors
    /// One is no field of the table, and the user wants to hear of it.
    pub(super) fn extend(&mut self, columns: &Columns) -> Result<()> {
        for column in columns.iter().skip(self.seen) {
            self.seen += 1;
            if self.hidden.contains(&column.name) {
                continue;
            }
            match self.name(column) {
                Ok(name) => {
                    let mut key = Vec::new();
                    write_json_text(&name, &mut key);
                    key.push(b':');
                    self.list.push((column.index, key));
                    self.taken.push(name);
                }
                Err(_) if self.unknown == Unknown::Ignore => {}
                Err(why) => {
                    let has = self.table.map_or_else(String::new, |table| {
                        format!(" The table has {}.", table.names())
                    });
                    return Err(Error::form(
                        "unknown_columns",
                        format!(
                            "The column {} {why}.{has} Put the tag airtable:FIELD on it, hide it, \
                             or choose to leave such columns out. Nothing was sent.",
                            column.label
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The field of a column: by its tag, then as the reference: by its short label, its label, its
    /// name. Two columns never share a field.
    fn name(&self, column: &Column) -> Result<String, &'static str> {
        let names: Vec<&str> = match column.tag_value("airtable") {
            Some(tagged) => vec![tagged],
            None => [column.label_short.as_deref(), Some(&*column.label), Some(&*column.name)]
                .into_iter()
                .flatten()
                .collect(),
        };
        let free = |name: &&&str| !self.taken.iter().any(|taken| taken == **name);
        let Some(table) = self.table else {
            let name = names.iter().find(free);
            return name.map(|name| (*name).to_owned()).ok_or("has the name of another column");
        };
        let known: Vec<_> = names.iter().filter_map(|name| table.field(name)).collect();
        let writable = known.iter().find(|field| !field.is_computed() && free(&&&*field.name));
        match (writable, known.first()) {
            (Some(field), _) => Ok(field.name.clone()),
            (None, Some(field)) if field.is_computed() => {
                Err("is a field that Airtable computes itself")
            }
            (None, Some(_)) => Err("has the name of another column"),
            (None, None) => Err("is no field of the table"),
        }
    }

    /// Writes the row's values as the members of an object.
    ///
    /// # Errors
    /// A column is pivoted, so that no row can be sent.
    pub(super) fn write(&self, row: &Row, out: &mut Vec<u8>) -> Result<()> {
        let mut first = true;
        for (index, key) in &self.list {
            let cell = row.at(*index);
            if cell.is_pivoted() {
                let name = row.columns().get(*index).map_or("", |column| &column.label);
                return Err(Error::form(
                    "",
                    format!(
                        "The field {name} is pivoted: its cells hold several values, and a record \
                         has one. Send the query without the pivot."
                    ),
                ));
            }
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(key);
            cell.value().write_json(out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::Column as Field;
    use super::*;

    fn table() -> Table {
        let field = |name: &str, kind: &str| Field {
            id: format!("fld{name}"),
            name: name.into(),
            kind: kind.into(),
        };
        Table {
            id: "tbl1".into(),
            name: "Orders".into(),
            fields: vec![
                field("Name", "singleLineText"),
                field("Total", "number"),
                field("Users Name", "singleLineText"),
                field("Added", "createdTime"),
            ],
        }
    }

    fn column(name: &str, label: &str, short: &str, tags: &[&str]) -> Column {
        let mut column = Column::default();
        (column.name, column.label) = (name.into(), label.into());
        column.label_short = Some(short.into());
        column.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        column
    }

    #[test]
    fn two_columns_of_one_short_label_go_to_fields_of_their_own() {
        let table = table();
        let mut targets = Targets::new(Some(&table), &[], Unknown::Fail);
        let products = column("products.name", "Products Name", "Name", &[]);
        assert_eq!(targets.name(&products).as_deref(), Ok("Name"));
        targets.taken.push("Name".into());
        let users = column("users.name", "Users Name", "Name", &[]);
        assert_eq!(targets.name(&users).as_deref(), Ok("Users Name"));
        assert_eq!(targets.name(&products), Err("has the name of another column"));
    }

    #[test]
    fn a_tag_names_the_field_and_computed_ones_are_refused() {
        let table = table();
        let targets = Targets::new(Some(&table), &[], Unknown::Fail);
        let tagged = column("orders.sum", "Orders Sum", "Sum", &["airtable:Total"]);
        assert_eq!(targets.name(&tagged).as_deref(), Ok("Total"));
        let added = column("orders.added", "Orders Added", "Added", &[]);
        assert_eq!(targets.name(&added), Err("is a field that Airtable computes itself"));
        let other = column("orders.x", "Orders X", "X", &[]);
        assert_eq!(targets.name(&other), Err("is no field of the table"));
        let blind = Targets::new(None, &[], Unknown::Fail);
        assert_eq!(blind.name(&other).as_deref(), Ok("X"));
    }
}
