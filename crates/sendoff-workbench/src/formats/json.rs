//! The JSON formats: json, json_label, inline_json, json_detail, json_detail_lite_stream, json_bi.
//!
//! A pivoted measure is an object of its values by pivot key (**B**, for json_detail; the others
//! are taken to do the same).

use std::io::Write;

use sendoff_protocol::Format;
use serde_json::{Map, Value, json};

use super::{Rendering, RowWriter, Shown};
use crate::model::{Datum, Field, FieldKind, ValueFormat};
use crate::warehouse::{DataError, Head, PivotKey, ROW_TOTAL};

/// A member of a row: its name as JSON, and its columns, each with its pivot key as JSON.
struct Member {
    name: String,
    field: usize,
    columns: Vec<(Option<String>, usize)>,
}

fn members(head: &Head, name: impl Fn(usize, &Field) -> Option<String>) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for (n, column) in head.columns.iter().enumerate() {
        let key = head.key(column).map(|key| quoted(&key.key));
        let field = head.field(column);
        match members.iter_mut().find(|member| member.field == column.field) {
            Some(member) => member.columns.push((key, n)),
            None => {
                let Some(name) = name(n, field) else { continue };
                members.push(Member {
                    name: quoted(&name),
                    field: column.field,
                    columns: vec![(key, n)],
                });
            }
        }
    }
    members
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes the value of a column.
type WriteCell<'a> = dyn FnMut(&mut dyn Write, usize, Datum<'_>) -> Result<(), DataError> + 'a;

/// Writes the object of a row, each value by `cell`.
fn write_row(
    out: &mut dyn Write,
    members: &[Member],
    row: &[Datum<'_>],
    cell: &mut WriteCell<'_>,
) -> Result<(), DataError> {
    out.write_all(b"{")?;
    for (n, member) in members.iter().enumerate() {
        write!(out, "{}{}:", if n > 0 { "," } else { "" }, member.name)?;
        let is_pivoted = member.columns.iter().any(|(key, _)| key.is_some());
        for (n, (key, column)) in member.columns.iter().enumerate() {
            if let Some(key) = key {
                write!(out, "{}{key}:", if n > 0 { "," } else { "{" })?;
            }
            cell(out, *column, row.get(*column).copied().unwrap_or(Datum::Null))?;
        }
        if is_pivoted {
            out.write_all(b"}")?;
        }
    }
    Ok(out.write_all(b"}")?)
}

fn write_value(out: &mut dyn Write, datum: Datum<'_>) -> Result<(), DataError> {
    match datum {
        Datum::Integer(number) => write!(out, "{number}")?,
        Datum::Real(number) if number.is_finite() => {
            serde_json::to_writer(out, &number).map_err(std::io::Error::from)?;
        }
        // JSON has no infinities.
        Datum::Null | Datum::Real(_) => out.write_all(b"null")?,
        Datum::Text(text) => serde_json::to_writer(out, text).map_err(std::io::Error::from)?,
    }
    Ok(())
}

/// An array of row objects.
pub(super) struct Objects<W> {
    /// How the values of each column are shown.
    formats: Vec<ValueFormat>,
    members: Vec<Member>,
    out: W,
    is_first: bool,
}

impl<W: Write> Objects<W> {
    pub(super) fn new(head: Head, rendering: Rendering, by_label: bool, out: W) -> Self {
        let shown = Shown::new(&head, rendering);
        let name = |column: usize, field: &Field| {
            let (_, label) = shown.columns.iter().find(|(n, _)| *n == column)?;
            Some(if by_label { label.clone() } else { field.name.clone() })
        };
        let members = members(&head, name);
        let format = |column| match shown.formatted {
            true => head.field(column).format,
            false => ValueFormat::Plain,
        };
        Self { formats: head.columns.iter().map(format).collect(), members, out, is_first: true }
    }
}

impl<W: Write> RowWriter for Objects<W> {
    fn begin(&mut self) -> Result<(), DataError> {
        Ok(self.out.write_all(b"[")?)
    }

    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), DataError> {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(b",\n")?;
        }
        let formats = &self.formats;
        write_row(&mut self.out, &self.members, row, &mut |out, column, datum| {
            let format = formats.get(column).copied().unwrap_or_default();
            if format == ValueFormat::Plain || datum.number().is_none() {
                return write_value(out, datum);
            }
            let mut text = String::new();
            format.render(datum, &mut text);
            write_value(out, Datum::Text(&text))
        })
    }

    /// Totals are no row, and these formats have no other place for them.
    fn end(&mut self, _: Option<&[Datum<'_>]>) -> Result<(), DataError> {
        Ok(self.out.write_all(b"]")?)
    }
}

/// One object with what is known of the query and with cells that are objects.
pub(super) struct Detail<W> {
    head: Head,
    format: Format,
    formatted: bool,
    members: Vec<Member>,
    out: W,
    is_first: bool,
}

impl<W: Write> Detail<W> {
    pub(super) fn new(head: Head, rendering: Rendering, format: Format, out: W) -> Self {
        let members = members(&head, |_, field| Some(field.name.clone()));
        Self { head, format, formatted: rendering.is_formatted(), members, out, is_first: true }
    }

    fn write_row(&mut self, row: &[Datum<'_>], links: bool) -> Result<(), DataError> {
        let (head, formatted) = (&self.head, self.formatted);
        write_row(&mut self.out, &self.members, row, &mut |out, column, datum| {
            out.write_all(b"{\"value\":")?;
            write_value(out, datum)?;
            let Some(column) = head.columns.get(column) else { return Ok(out.write_all(b"}")?) };
            let field = head.field(column);
            let mut rendered = String::new();
            field.format.render(datum, &mut rendered);
            if formatted && field.format != ValueFormat::Plain && datum != Datum::Null {
                write!(out, ",\"rendered\":{}", quoted(&rendered))?;
            }
            if links && field.kind == FieldKind::Measure && datum != Datum::Null {
                write!(out, ",\"links\":[{}]", drill(head, field, &rendered, row))?;
            }
            Ok(out.write_all(b"}")?)
        })
    }
}

impl<W: Write> RowWriter for Detail<W> {
    fn begin(&mut self) -> Result<(), DataError> {
        match self.format {
            // What the stream keeps of json_detail is its fields, normally before the data. **B**
            Format::JsonDetailLiteStream => {
                write!(self.out, "{{\"fields\":{},\"data\":[", fields_json(&self.head))?;
            }
            Format::JsonBi => {
                write!(self.out, "{{\"metadata\":{},\"rows\":[", bi_metadata(&self.head))?;
            }
            _ => {
                let about = detail_json(&self.head).to_string();
                // The data stands last and is written as it comes.
                let open = about.strip_suffix('}').unwrap_or(&about);
                write!(self.out, "{open},\"data\":[")?;
            }
        }
        Ok(())
    }

    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), DataError> {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(b",\n")?;
        }
        self.write_row(row, self.format == Format::JsonDetail)
    }

    fn end(&mut self, totals: Option<&[Datum<'_>]>) -> Result<(), DataError> {
        self.out.write_all(b"]")?;
        if let (Some(totals), Format::JsonDetail) = (totals, self.format) {
            self.out.write_all(b",\"totals_data\":")?;
            self.write_row(totals, false)?;
        }
        Ok(self.out.write_all(b"}")?)
    }
}

/// The link under a measure that shows the rows it counts.
fn drill(head: &Head, field: &Field, rendered: &str, row: &[Datum<'_>]) -> Value {
    let mut url = format!("/explore/{}/{}?", crate::shop::MODEL, head.explore.unwrap_or_default());
    for (column, datum) in head.columns.iter().zip(row) {
        let dimension = head.field(column);
        if dimension.kind == FieldKind::Dimension {
            let mut value = String::new();
            datum.plain(&mut value);
            url.push_str(&format!("f[{}]={}&", dimension.name, percent_encoded(&value)));
        }
    }
    url.push_str(&format!("fields={}&query_timezone=UTC&limit=500", field.name));
    json!({"label": format!("Show All {rendered}"), "url": url, "type": "measure_default"})
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn field_json(head: &Head, field: &Field) -> Value {
    let measure = field.kind == FieldKind::Measure;
    let sort = head.look.sorts.iter().position(|(name, _)| *name == field.name);
    let file = format!("{}.view.lkml", field.view());
    let mut value = json!({
        "name": field.name, "label": field.label, "label_short": field.label_short,
        "view_label": field.view_label, "view": field.view(), "scope": field.view(),
        "type": field.type_name, "tags": field.tags, "measure": measure,
        "is_numeric": field.numeric, "align": if field.numeric { "right" } else { "left" },
        "is_filter": false, "default_filter_value": null, "hidden": false,
        "primary_key": field.name.ends_with(".id"), "can_filter": true,
        "requires_refresh_on_sort": false, "sortable": true, "error": null,
        "value_format": field.format.pattern(), "has_allowed_values": false,
        "field_group_label": null, "field_group_variant": field.label_short,
        "project_id": crate::shop::MODEL, "file_path": file, "lookml_link": null,
        "source_file": format!("{}/{file}", crate::shop::MODEL),
        "user_attribute_filter_types": [field.type_name],
        "fill_style": null, "fiscal_month_offset": 0, "suggest_explore": head.explore,
        "suggest_dimension": field.name, "enumerations": null,
        "suggestable": !measure && !field.numeric,
        "is_timeframe": field.type_name.starts_with("date_"),
    });
    if let (Some(index), Some(members)) = (sort, value.as_object_mut()) {
        let descending = head.look.sorts.get(index).is_some_and(|(_, descending)| *descending);
        members.insert("sorted".into(), json!({"sort_index": index, "desc": descending}));
    }
    value
}

/// A table calculation is no field of a view: it has fewer members.
fn calculation_json(head: &Head, field: &Field) -> Value {
    let expression = head.look.calculation.as_ref().map(|calculation| &calculation.expression);
    json!({
        "name": field.name, "label": field.label, "label_short": field.label_short,
        "type": "number", "is_numeric": true, "align": "right", "measure": true,
        "can_pivot": false, "expression": expression, "sortable": true, "tags": [],
        "value_format": field.format.pattern(),
    })
}

fn fields_json(head: &Head) -> Value {
    let of = |kind| head.fields.iter().filter(move |field| field.kind == kind);
    let described =
        |kind| -> Vec<Value> { of(kind).map(|field| field_json(head, field)).collect() };
    let calculations = of(FieldKind::TableCalculation).map(|field| calculation_json(head, field));
    let pivots: Vec<Value> = head.pivot.iter().map(|pivot| field_json(head, pivot)).collect();
    json!({
        "measures": described(FieldKind::Measure), "dimensions": described(FieldKind::Dimension),
        "table_calculations": calculations.collect::<Vec<_>>(), "pivots": pivots,
    })
}

fn pivots_json(head: &Head) -> Vec<Value> {
    let Some(pivot) = &head.pivot else { return Vec::new() };
    let one = |key: &PivotKey| {
        let data = json!({(pivot.name.clone()): key.value});
        let shown = key.value.as_deref().unwrap_or(if key.is_total { "Row Total" } else { "" });
        json!({
            "key": key.key, "is_total": key.is_total,
            "data": if key.is_total { json!({}) } else { data },
            "metadata": {(pivot.name.clone()): {"value": key.value, "rendered": shown}},
        })
    };
    head.keys.iter().map(one).collect()
}

fn detail_json(head: &Head) -> Value {
    let filters: Map<String, Value> = head
        .filters
        .iter()
        .map(|(field, value)| {
            (field.name.clone(), json!({"field": field_json(head, field), "value": value}))
        })
        .collect();
    let explore = head.explore.unwrap_or("sql_runner_query");
    let has_row_totals = head.keys.iter().any(|key| key.key == ROW_TOTAL);
    let mut value = json!({
        "status": "complete", "from_cache": false, "id": query_id(head), "result_source": "query",
        "supports_pivot_in_db": true, "null_sort_treatment": "low", "expired": false,
        "ran_at": ran_at(), "runtime": "0.100",
        "added_params": {"sorts": head.look.sort_texts()}, "sql": head.sql,
        "sql_explain": format!("EXPLAIN {}", head.sql), "fields": fields_json(head),
        "fill_fields": [], "has_totals": head.totals_sql.is_some(),
        "has_row_totals": has_row_totals, "applied_filters": filters,
        "applied_filter_expression": null,
        "explore": {"name": explore, "label": crate::model::title_case(explore), "description": null},
        "drill_menu_build_time": 0.0, "timezone": "UTC",
    });
    if let (Some(_), Some(members)) = (&head.pivot, value.as_object_mut()) {
        members.insert("pivots".into(), pivots_json(head).into());
    }
    value
}

/// The API's type `JsonBiMetadata`.
fn bi_metadata(head: &Head) -> Value {
    let field = |field: &Field| {
        json!({
            "name": field.name, "label": field.label, "view": head.explore,
            "view_label": field.view_label, "type": field.type_name, "sql": field.sql,
            "category": match field.kind {
                FieldKind::Dimension => "dimension",
                FieldKind::Measure => "measure",
                FieldKind::TableCalculation => "table_calculation",
            },
            "dimension_group": null, "field_group_label": null, "field_group_variant": null,
            "hidden": false, "description": null,
        })
    };
    let of =
        |kind| -> Vec<Value> { head.fields.iter().filter(|f| f.kind == kind).map(field).collect() };
    let filters: Map<String, Value> =
        head.filters.iter().map(|(f, value)| (f.name.clone(), value.as_str().into())).collect();
    let pivots: Vec<Value> = head.pivot.iter().map(field).collect();
    json!({
        "big_query_metadata": null,
        "fields": {
            "dimensions": of(FieldKind::Dimension), "measures": of(FieldKind::Measure),
            "pivots": pivots, "table_calculations": of(FieldKind::TableCalculation),
        },
        "pivots": pivots_json(head), "has_subtotals": false,
        "has_totals": head.totals_sql.is_some(), "columns_truncated": "no",
        "filter_expression": null, "filters": filters, "sql": head.sql,
    })
}

/// 32 hexadecimal characters, the same for the same query.
fn query_id(head: &Head) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut half = |salt: u8| {
        for byte in head.sql.bytes().chain([salt]) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        state
    };
    format!("{:016x}{:016x}", half(0), half(1))
}

/// `2017-07-28T02:25:19+00:00`, now.
fn ran_at() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}
