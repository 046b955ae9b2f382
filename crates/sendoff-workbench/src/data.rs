//! Demo data: a table read from CSV, and its rendering in those of Looker's formats that need no
//! typesetting.

use std::fmt;

use bytes::Bytes;
use csv_core::ReadRecordResult;
use sendoff_protocol::Format;
use serde_json::{Map, Value, json};

/// A query result: columns as LookML would name them, and rows of texts or nulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Option<String>>>,
}

/// One column of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// `view.field`.
    pub name: String,
    /// What users read, with the view's label in front.
    pub label: String,
    /// What users read below the view's label.
    pub label_short: String,
    /// Whether every value is a number; such values are written without quotes in JSON.
    pub numeric: bool,
    /// LookML tags, by which actions find the columns they need.
    pub tags: Vec<String>,
}

/// The text is no table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Real measurements of 344 penguins, free of rights; `data/README.md` names the source.
const PENGUINS: &str = include_str!("../../../data/penguins.csv");

impl Table {
    /// The data set that ships with the project: 344 rows of 8 columns, with nulls.
    ///
    /// # Errors
    /// None, unless the file was changed to something that is no table.
    pub fn penguins() -> Result<Self, Malformed> {
        Self::from_csv("penguins", PENGUINS, "NA")
    }

    /// Reads CSV with a header of field names. An empty field is null, and so is one that reads
    /// `null_text`.
    ///
    /// # Errors
    /// No header, or a row whose number of fields differs from the header's.
    pub fn from_csv(view: &str, text: &str, null_text: &str) -> Result<Self, Malformed> {
        let mut records = records(text);
        if records.is_empty() {
            return Err(Malformed("There is no header.".into()));
        }
        let header = records.remove(0);
        for (n, record) in records.iter().enumerate() {
            if record.len() != header.len() {
                return Err(Malformed(format!(
                    "Row {} has {} fields, the header has {}.",
                    n + 1,
                    record.len(),
                    header.len()
                )));
            }
        }
        let rows: Vec<Vec<Option<String>>> = records
            .into_iter()
            .map(|record| record.into_iter().map(|text| null_as(text, null_text)).collect())
            .collect();
        let column = |(n, field): (usize, &String)| Column {
            name: format!("{view}.{field}"),
            label: format!("{} {}", title_case(view), title_case(field)),
            label_short: title_case(field),
            numeric: rows.iter().filter_map(|row| row[n].as_deref()).all(is_number),
            tags: Vec::new(),
        };
        let columns = header.iter().enumerate().map(column).collect();
        Ok(Self { columns, rows })
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns, to give them tags or labels.
    pub fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as Looker would send it; `None` for formats that need typesetting, an archive or
    /// a description that nobody has published.
    pub fn render(&self, format: Format) -> Option<Bytes> {
        let text = match format {
            Format::Csv => self.separated(','),
            Format::Txt => self.separated('\t'),
            Format::Json | Format::InlineJson => self.objects(|column| &column.name).to_string(),
            Format::JsonLabel => self.objects(|column| &column.label).to_string(),
            Format::JsonDetail => self.detail(),
            Format::JsonDetailLiteStream => self.detail_lite(),
            _ => return None,
        };
        Some(text.into())
    }

    fn separated(&self, separator: char) -> String {
        let mut text = String::new();
        let mut record = |fields: &mut dyn Iterator<Item = &str>| {
            for (n, field) in fields.enumerate() {
                if n > 0 {
                    text.push(separator);
                }
                if field.contains([separator, '"', '\n', '\r']) {
                    text.push('"');
                    text.push_str(&field.replace('"', "\"\""));
                    text.push('"');
                } else {
                    text.push_str(field);
                }
            }
            text.push('\n');
        };
        record(&mut self.columns.iter().map(|column| column.label.as_str()));
        for row in &self.rows {
            record(&mut row.iter().map(|value| value.as_deref().unwrap_or_default()));
        }
        text
    }

    fn objects(&self, key: impl Fn(&Column) -> &String) -> Value {
        let object = |row: &Vec<Option<String>>| {
            let members = self.columns.iter().zip(row);
            Value::Object(members.map(|(c, value)| (key(c).clone(), c.value(value))).collect())
        };
        self.rows.iter().map(object).collect()
    }

    /// Numbers have a `rendered` text beside them; other values have none.
    fn cells(&self, with_rendered: bool) -> Value {
        let cell = |column: &Column, value: &Option<String>| {
            let mut cell = Map::new();
            cell.insert("value".into(), column.value(value));
            if let (true, true, Some(text)) = (with_rendered, column.numeric, value) {
                cell.insert("rendered".into(), text.as_str().into());
            }
            Value::Object(cell)
        };
        let object = |row: &Vec<Option<String>>| {
            let members = self.columns.iter().zip(row);
            Value::Object(members.map(|(c, value)| (c.name.clone(), cell(c, value))).collect())
        };
        self.rows.iter().map(object).collect()
    }

    fn fields(&self) -> Value {
        let dimension = |column: &Column| {
            json!({
                "name": column.name, "label": column.label, "label_short": column.label_short,
                "type": if column.numeric { "number" } else { "string" },
                "is_numeric": column.numeric, "tags": column.tags, "measure": false,
                "view": column.name.split('.').next(),
            })
        };
        json!({
            "dimensions": self.columns.iter().map(dimension).collect::<Value>(),
            "measures": [], "table_calculations": [], "pivots": [],
        })
    }

    fn detail(&self) -> String {
        json!({
            "status": "complete", "from_cache": false, "runtime": "0.1", "fill_fields": [],
            "has_totals": false, "applied_filters": {}, "fields": self.fields(),
            "data": self.cells(true),
        })
        .to_string()
    }

    /// Written by hand where the order matters: the stream normally gives `fields` first. **B**
    fn detail_lite(&self) -> String {
        format!("{{\"fields\":{},\"data\":{}}}", self.fields(), self.cells(false))
    }
}

impl Column {
    fn value(&self, text: &Option<String>) -> Value {
        match text {
            None => Value::Null,
            Some(text) if self.numeric => {
                text.parse().map_or_else(|_| text.as_str().into(), Value::Number)
            }
            Some(text) => text.as_str().into(),
        }
    }
}

fn records(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv_core::Reader::new();
    let mut input = text.as_bytes();
    // A record is never longer than the text, nor has it more ends than that.
    let mut output = vec![0; text.len()];
    let mut ends = vec![0; text.len() + 1];
    let mut records = Vec::new();
    loop {
        let (outcome, read, _, count) = reader.read_record(input, &mut output, &mut ends);
        input = &input[read..];
        match outcome {
            ReadRecordResult::Record => {
                let mut from = 0;
                let mut record = Vec::with_capacity(count);
                for &to in &ends[..count] {
                    record.push(String::from_utf8_lossy(&output[from..to]).into_owned());
                    from = to;
                }
                records.push(record);
            }
            // An empty input tells the reader that the text is over.
            ReadRecordResult::InputEmpty if read > 0 => {}
            _ => return records,
        }
    }
}

fn null_as(text: String, null_text: &str) -> Option<String> {
    (!text.is_empty() && text != null_text).then_some(text)
}

fn is_number(text: &str) -> bool {
    text.parse::<serde_json::Number>().is_ok()
}

/// `bill_length_mm` becomes `Bill Length Mm`, as Looker makes labels.
fn title_case(name: &str) -> String {
    let mut label = String::with_capacity(name.len());
    for word in name.split('_').filter(|word| !word.is_empty()) {
        if !label.is_empty() {
            label.push(' ');
        }
        let mut letters = word.chars();
        label.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        label.push_str(letters.as_str());
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Table {
        let text = "species,bill_mm,note\nAdelie,39.1,\"a, \"\"b\"\"\nc\"\nGentoo,NA,\n";
        Table::from_csv("birds", text, "NA").unwrap()
    }

    fn text(table: &Table, format: Format) -> String {
        String::from_utf8(table.render(format).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_shipped_data_set_reads_whole() {
        let table = Table::penguins().unwrap();
        assert_eq!(table.len(), 344);
        let numeric: Vec<_> = table.columns().iter().map(|column| column.numeric).collect();
        assert_eq!(numeric, [false, false, true, true, true, true, false, true]);
        assert_eq!(table.columns()[2].label, "Penguins Bill Length Mm");
    }

    #[test]
    fn separated_formats_quote_what_needs_it() {
        assert_eq!(
            text(&two(), Format::Csv),
            "Birds Species,Birds Bill Mm,Birds Note\nAdelie,39.1,\"a, \"\"b\"\"\nc\"\nGentoo,,\n"
        );
        assert!(
            text(&two(), Format::Txt).starts_with("Birds Species\tBirds Bill Mm\tBirds Note\n")
        );
    }

    #[test]
    fn a_quote_or_a_newline_alone_needs_quotes_too() {
        let odd = Table::from_csv("v", "a,b\n\"1\"\"\",\"2\n3\"\n", "").unwrap();
        assert_eq!(text(&odd, Format::Csv), "V A,V B\n\"1\"\"\",\"2\n3\"\n");
    }

    #[test]
    fn json_formats_name_columns_each_in_their_way() {
        let read = |format| serde_json::from_str::<Value>(&text(&two(), format)).unwrap();
        let rows = json!([
            {"birds.species": "Adelie", "birds.bill_mm": 39.1, "birds.note": "a, \"b\"\nc"},
            {"birds.species": "Gentoo", "birds.bill_mm": null, "birds.note": null},
        ]);
        assert_eq!(read(Format::Json), rows);
        assert_eq!(read(Format::InlineJson), rows);
        assert_eq!(read(Format::JsonLabel)[0]["Birds Bill Mm"], 39.1);
        let detail = read(Format::JsonDetail);
        assert_eq!(detail["data"][0]["birds.bill_mm"], json!({"value": 39.1, "rendered": "39.1"}));
        assert_eq!(detail["fields"]["dimensions"][1]["is_numeric"], true);
        let lite = text(&two(), Format::JsonDetailLiteStream);
        assert!(lite.starts_with("{\"fields\":"));
        let lite: Value = serde_json::from_str(&lite).unwrap();
        assert_eq!(lite["data"][1]["birds.species"], json!({"value": "Gentoo"}));
        assert_eq!(two().render(Format::Xlsx), None);
    }

    #[test]
    fn a_ragged_row_is_refused() {
        let error = Table::from_csv("v", "a,b\n1,2\n3\n", "").unwrap_err();
        assert_eq!(error.to_string(), "Row 2 has 1 fields, the header has 2.");
        assert!(Table::from_csv("v", "", "").is_err());
    }
}
