//! Which column becomes which property, and how its values are written.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use sendoff::prelude::*;
use sendoff::{CellValue, Column, Columns, Row, write_json_text};

use super::property::{Kind, Property};
use super::{Empty, Form, Settings, Unknown};

/// A column that is sent.
struct Target {
    column: usize,
    /// `"name":`
    key: Vec<u8>,
    kind: Kind,
}

/// The columns of a result as properties.
pub(super) struct Mapping {
    known: Option<HashMap<String, Property>>,
    unknown: Unknown,
    empty: Empty,
    zone: TimeZone,
    hidden: Vec<String>,
    id: usize,
    /// Columns that were looked at.
    seen: usize,
    targets: Vec<Target>,
}

impl Mapping {
    pub(super) fn new(
        known: Option<Vec<Property>>,
        form: &Form,
        cx: &Context<Settings>,
        id: usize,
    ) -> Self {
        let by_name = |list: Vec<Property>| {
            list.into_iter().map(|property| (property.name.clone(), property)).collect()
        };
        Self {
            known: known.map(by_name),
            unknown: form.unknown_columns,
            empty: form.empty_values,
            zone: cx.time_zone(),
            hidden: cx.hidden_fields().to_vec(),
            id,
            seen: 0,
            targets: Vec::new(),
        }
    }

    /// Maps the columns that are new.
    ///
    /// # Errors
    /// One is no property, and the user wants to hear of it.
    pub(super) fn extend(&mut self, columns: &Columns) -> Result<()> {
        for column in columns.iter().skip(self.seen) {
            self.seen += 1;
            if column.index == self.id || self.hidden.contains(&column.name) {
                continue;
            }
            match property(column, self.known.as_ref()) {
                Ok((name, kind)) => {
                    let mut key = Vec::new();
                    write_json_text(&name, &mut key);
                    key.push(b':');
                    self.targets.push(Target { column: column.index, key, kind });
                }
                Err(_) if self.unknown == Unknown::Ignore => {}
                Err(why) => {
                    return Err(Error::form(
                        "unknown_columns",
                        format!(
                            "The column {} {why}. Put the tag hubspot:PROPERTY on the field, hide \
                             it, or choose to leave such columns out. Nothing was sent.",
                            column.name
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Writes the row's properties as the members of an object; the inner error is what speaks
    /// against the row.
    ///
    /// # Errors
    /// A column is pivoted, so that no row can be sent.
    pub(super) fn write(&self, row: &Row, out: &mut Vec<u8>) -> Result<Result<(), String>> {
        for target in &self.targets {
            let cell = row.at(target.column);
            if cell.is_pivoted() {
                let name = row.columns().get(target.column).map_or("", |column| &column.name);
                return Err(Error::form(
                    "",
                    format!(
                        "The field {name} is pivoted: its cells hold several values, and a \
                         property holds one. Send the query without the pivot."
                    ),
                ));
            }
            let value = cell.value();
            if value.is_empty() && self.empty == Empty::Keep {
                continue;
            }
            if !out.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(&target.key);
            if let Err(why) = self.write_value(value, &target.kind, out) {
                let name = row.columns().get(target.column).map_or("", |column| &column.name);
                return Ok(Err(format!("{name} {why}")));
            }
        }
        Ok(Ok(()))
    }

    /// HubSpot reads every value from a text, and an empty one as "no value".
    fn write_value(
        &self,
        value: CellValue<'_>,
        kind: &Kind,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let text = value.text();
        match (kind, value) {
            (_, value) if value.is_empty() => write_json_text("", out),
            (Kind::Text, CellValue::Text(text)) => write_json_text(text, out),
            (Kind::Text, _) => write_json_text(text, out),
            (Kind::Chosen(options), _) => write_json_text(&options.stored(text)?, out),
            (Kind::Bool, _) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => write_json_text("true", out),
                "false" | "no" | "0" => write_json_text("false", out),
                _ => return Err("is neither yes nor no".into()),
            },
            (Kind::Date, _) => {
                // The day as Looker writes it, whatever the zone: HubSpot wants its midnight in UTC.
                let day = CellValue::Text(text.get(..10).unwrap_or(text));
                let midnight = day.timestamp(&TimeZone::UTC).ok_or("is no date")?;
                write_json_text(&midnight.as_millisecond().to_string(), out);
            }
            (Kind::Moment, value) => {
                let moment = value.timestamp(&self.zone).ok_or("is no date and time")?;
                write_json_text(&moment.to_string(), out);
            }
        }
        Ok(())
    }
}

/// The property of a column: by its tag, then by the reference's rule (`users.city` is
/// `users_city`), then by its name without the view, then by its label. Without a list of
/// properties the first two must do.
fn property(
    column: &Column,
    known: Option<&HashMap<String, Property>>,
) -> Result<(String, Kind), &'static str> {
    let tagged = column.tag_value("hubspot").map(str::to_ascii_lowercase);
    let reference = column.name.replace('.', "_");
    let Some(known) = known else { return Ok((tagged.unwrap_or(reference), Kind::Text)) };
    let label = |text: &str| text.trim().to_ascii_lowercase().replace(' ', "_");
    let names = match tagged {
        Some(name) => vec![name],
        None => [
            Some(reference),
            column.name.rsplit_once('.').map(|(_, bare)| bare.to_ascii_lowercase()),
            column.label_short.as_deref().map(label),
            Some(label(&column.label)),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    match names.iter().find_map(|name| known.get(name)) {
        None => Err("is no property in HubSpot"),
        Some(property) if property.is_read_only() => Err("is a read-only property in HubSpot"),
        Some(property) => Ok((property.name.clone(), property.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> HashMap<String, Property> {
        let list = [
            Property::new("users_city", "string"),
            Property::new("city", "string"),
            Property::new("date_of_birth", "date"),
            Property::new("lifetime_value", "number"),
            Property::new("createdate", "datetime").read_only(),
        ];
        list.into_iter().map(|property| (property.name.clone(), property)).collect()
    }

    fn column(name: &str, label: &str, tags: &[&str]) -> Column {
        let mut column = Column::default();
        column.name = name.into();
        column.label = label.into();
        column.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        column
    }

    #[test]
    fn a_tag_goes_first_then_the_references_rule_then_name_and_label() {
        let known = known();
        let found = |column: &Column| property(column, Some(&known)).map(|(name, _)| name);
        assert_eq!(found(&column("users.city", "City", &[])).as_deref(), Ok("users_city"));
        assert_eq!(found(&column("u.city", "Town", &[])).as_deref(), Ok("city"));
        assert_eq!(found(&column("u.ltv", "Lifetime Value", &[])).as_deref(), Ok("lifetime_value"));
        let tagged = column("users.city", "City", &["hubspot:Date_of_birth"]);
        assert!(
            matches!(property(&tagged, Some(&known)), Ok((name, Kind::Date)) if name == "date_of_birth")
        );
        let none = column("u.x", "X", &[]);
        assert_eq!(found(&none), Err("is no property in HubSpot"));
        let created = column("u.createdate", "X", &[]);
        assert_eq!(found(&created), Err("is a read-only property in HubSpot"));
        assert!(matches!(property(&none, None), Ok((name, Kind::Text)) if name == "u_x"));
    }

    fn written(value: CellValue<'_>, kind: Kind) -> Result<String, String> {
        let mapping = Mapping {
            known: None,
            unknown: Unknown::Fail,
            empty: Empty::Clear,
            zone: sendoff::time_zone("America/New_York").expect("a zone"),
            hidden: Vec::new(),
            id: 0,
            seen: 0,
            targets: Vec::new(),
        };
        let mut out = Vec::new();
        mapping.write_value(value, &kind, &mut out)?;
        Ok(String::from_utf8(out).expect("JSON is text"))
    }

    #[test]
    fn values_are_written_as_hubspot_reads_them() {
        let big = CellValue::Number("9007199254740993");
        assert_eq!(written(big, Kind::Text).as_deref(), Ok("\"9007199254740993\""));
        assert_eq!(written(CellValue::Null, Kind::Date).as_deref(), Ok("\"\""));
        assert_eq!(written(CellValue::Bool(false), Kind::Text).as_deref(), Ok("\"false\""));
        assert_eq!(written(CellValue::Text("Yes"), Kind::Bool).as_deref(), Ok("\"true\""));
        let day = CellValue::Text("2026-11-25");
        assert_eq!(written(day, Kind::Date).as_deref(), Ok("\"1795564800000\""));
        let moment = CellValue::Text("2026-11-25 08:00:00");
        assert_eq!(written(moment, Kind::Date).as_deref(), Ok("\"1795564800000\""));
        assert_eq!(written(moment, Kind::Moment).as_deref(), Ok("\"2026-11-25T13:00:00Z\""));
        assert!(written(CellValue::Text("soon"), Kind::Moment).is_err());
        assert!(written(CellValue::Text("maybe"), Kind::Bool).is_err());
    }

    #[test]
    fn what_is_one_of_a_list_is_sent_by_the_name_that_hubspot_stores() {
        let stages = [("lead", "Lead"), ("customer", "Paying Customer")];
        let one = Property::new("lifecyclestage", "enumeration").with_options("select", &stages);
        let several = one.clone().with_options("checkbox", &stages);
        let sent = |property: &Property, text| written(CellValue::Text(text), property.kind());
        assert_eq!(sent(&one, "customer").as_deref(), Ok("\"customer\""));
        assert_eq!(sent(&one, " paying customer").as_deref(), Ok("\"customer\""));
        let why = "is \"Lead;customer\" and HubSpot's options are lead, customer";
        assert_eq!(sent(&one, "Lead;customer"), Err(why.to_owned()));
        assert_eq!(sent(&several, "Lead; customer").as_deref(), Ok("\"lead;customer\""));
        assert_eq!(sent(&several, ";Lead").as_deref(), Ok("\";lead\""));
        assert!(sent(&several, "Lead;nobody").is_err());
        let elsewhere = Property::new("hubspot_owner_id", "enumeration");
        assert_eq!(sent(&elsewhere, "17").as_deref(), Ok("\"17\""));
    }
}
