//! Fields as LookML describes them, and the values that stand in them.

use std::fmt::Write;

use sendoff_protocol::RequiredField;

/// One value of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Datum<'a> {
    /// Nothing is known.
    Null,
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// A text.
    Text(&'a str),
}

/// What a field is in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Rows are grouped by it.
    Dimension,
    /// Computed over the rows of a group.
    Measure,
    /// Computed by Looker from the result (`dynamic_fields`).
    TableCalculation,
}

/// How users see a number (`value_format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueFormat {
    /// As the database gave it.
    #[default]
    Plain,
    /// `1,234`.
    Whole,
    /// `1,234.5`.
    OneDecimal,
    /// `$1,234.50`.
    Usd,
    /// `12.3%` of the value 0.123.
    Percent,
}

/// A column as the model describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `view.field`.
    pub name: String,
    /// What users read, with the view's label in front.
    pub label: String,
    /// What users read below the view's label.
    pub label_short: String,
    /// The label of the view.
    pub view_label: String,
    /// What it is in a query.
    pub kind: FieldKind,
    /// LookML's type, such as `string`, `date_month` or `count_distinct`.
    pub type_name: String,
    /// Whether its values are numbers; such values are written without quotes in JSON.
    pub numeric: bool,
    /// LookML tags, by which actions find the columns they need.
    pub tags: Vec<String>,
    /// How users see its values.
    pub format: ValueFormat,
    /// The expression that the database evaluates.
    pub(crate) sql: String,
}

/// The tags by which the reference's actions find their columns. A column of a CSV or of SQL that
/// has such a name is given the tag, so that row actions can be tried with one's own data.
pub const KNOWN_TAGS: [&str; 13] = [
    "email",
    "phone",
    "user_id",
    "braze_id",
    "aws_resource_id",
    "aws_instance_id",
    "digitalocean_droplet_id",
    "hubspot_company_id",
    "hubspot_contact_id",
    "sfdc_contact_id",
    "sfdc_lead_id",
    "segment_anonymous_id",
    "segment_group_id",
];

impl Field {
    /// A dimension of a table that no model describes: labels come from the names.
    pub(crate) fn undescribed(view: &str, column: &str, numeric: bool) -> Self {
        let tags = KNOWN_TAGS.iter().filter(|tag| tag.eq_ignore_ascii_case(column));
        Self {
            name: format!("{view}.{column}"),
            label: format!("{} {}", title_case(view), title_case(column)),
            label_short: title_case(column),
            view_label: title_case(view),
            kind: FieldKind::Dimension,
            type_name: if numeric { "number" } else { "string" }.into(),
            numeric,
            tags: tags.map(|tag| (*tag).to_owned()).collect(),
            format: ValueFormat::Plain,
            sql: String::new(),
        }
    }

    /// The view's name.
    pub fn view(&self) -> &str {
        self.name.split_once('.').map_or("", |(view, _)| view)
    }
}

/// What of an action's `required_fields` the fields do not fulfil, each as a sentence.
///
/// `any_tag` and `all_tags` supersede `tag`. **A** One entry of the reference's has `tag` beside
/// `any_tag`; this checks both.
pub fn unmet(required: &[RequiredField], fields: &[Field]) -> Vec<String> {
    let has = |tag: &String| fields.iter().any(|field| field.tags.contains(tag));
    let mut sentences = Vec::new();
    for entry in required {
        if let Some(tag) = entry.tag.as_ref().filter(|tag| !has(tag)) {
            sentences.push(format!("No column has the tag `{tag}`."));
        }
        if let Some(tags) = entry.any_tag.as_ref().filter(|tags| !tags.iter().any(has)) {
            sentences.push(format!("No column has one of the tags {}.", listed(tags)));
        }
        let all = |tags: &&Vec<String>| {
            !fields.iter().any(|field| tags.iter().all(|tag| field.tags.contains(tag)))
        };
        if let Some(tags) = entry.all_tags.as_ref().filter(all) {
            sentences.push(format!("No column has all of the tags {}.", listed(tags)));
        }
    }
    sentences
}

fn listed(tags: &[String]) -> String {
    tags.iter().map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(", ")
}

impl ValueFormat {
    /// The format as spreadsheets write it, which is also LookML's way; `None` for plain values.
    pub const fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Whole => Some("#,##0"),
            Self::OneDecimal => Some("#,##0.0"),
            Self::Usd => Some("$#,##0.00"),
            Self::Percent => Some("0.0%"),
        }
    }

    /// Appends the value as users see it; nothing for null.
    pub(crate) fn render(self, datum: Datum<'_>, out: &mut String) {
        let number = match datum {
            Datum::Integer(number) => number as f64,
            Datum::Real(number) => number,
            Datum::Null | Datum::Text(_) => return datum.plain(out),
        };
        match self {
            Self::Plain => datum.plain(out),
            Self::Whole => grouped(number, 0, "", out),
            Self::OneDecimal => grouped(number, 1, "", out),
            Self::Usd => grouped(number, 2, "$", out),
            Self::Percent => {
                let _ = write!(out, "{:.1}%", number * 100.0);
            }
        }
    }
}

impl Datum<'_> {
    /// Appends the value as the database gave it; nothing for null.
    pub(crate) fn plain(self, out: &mut String) {
        // Writing into a String cannot fail.
        let _ = match self {
            Datum::Null => Ok(()),
            Datum::Integer(number) => write!(out, "{number}"),
            // An infinity, which SQLite has and JSON has not, is no value that Looker could show.
            Datum::Real(number) if !number.is_finite() => Ok(()),
            Datum::Real(number) if number.abs() >= 1e15 => write!(out, "{number:e}"),
            Datum::Real(number) => write!(out, "{number}"),
            Datum::Text(text) => {
                out.push_str(text);
                Ok(())
            }
        };
    }

    /// The number, for charts and spreadsheets.
    pub(crate) fn number(self) -> Option<f64> {
        match self {
            Datum::Integer(number) => Some(number as f64),
            Datum::Real(number) => number.is_finite().then_some(number),
            Datum::Null | Datum::Text(_) => None,
        }
    }
}

fn grouped(number: f64, decimals: usize, unit: &str, out: &mut String) {
    let digits = format!("{:.decimals$}", number.abs());
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    if number < 0.0 {
        out.push('-');
    }
    out.push_str(unit);
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out.push_str(rest);
}

/// `bill_length_mm` becomes `Bill Length Mm`, as Looker makes labels.
pub(crate) fn title_case(name: &str) -> String {
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

    fn shown(format: ValueFormat, datum: Datum<'_>) -> String {
        let mut text = String::new();
        format.render(datum, &mut text);
        text
    }

    #[test]
    fn numbers_are_shown_as_their_format_says() {
        assert_eq!(shown(ValueFormat::Usd, Datum::Real(1_234_567.5)), "$1,234,567.50");
        assert_eq!(shown(ValueFormat::Usd, Datum::Integer(-999)), "-$999.00");
        assert_eq!(shown(ValueFormat::Whole, Datum::Integer(100_000)), "100,000");
        assert_eq!(shown(ValueFormat::OneDecimal, Datum::Real(39.14)), "39.1");
        assert_eq!(shown(ValueFormat::Percent, Datum::Real(0.1234)), "12.3%");
        assert_eq!(shown(ValueFormat::Usd, Datum::Null), "");
        assert_eq!(shown(ValueFormat::Usd, Datum::Text("n/a")), "n/a");
        assert_eq!(shown(ValueFormat::Plain, Datum::Real(f64::INFINITY)), "");
    }

    #[test]
    fn required_fields_are_checked_by_tag() {
        let mut field = Field::undescribed("u", "email", false);
        assert_eq!(field.tags, ["email"]);
        let any = RequiredField {
            any_tag: Some(vec!["email".into(), "user_id".into()]),
            ..RequiredField::default()
        };
        let tag = RequiredField { tag: Some("phone".into()), ..RequiredField::default() };
        let all = RequiredField {
            all_tags: Some(vec!["email".into(), "x".into()]),
            ..RequiredField::default()
        };
        let required = [any, tag, all];
        let unmet_now = unmet(&required, std::slice::from_ref(&field));
        assert_eq!(
            unmet_now,
            ["No column has the tag `phone`.", "No column has all of the tags `email`, `x`."]
        );
        field.tags = vec!["x".into(), "phone".into()];
        assert_eq!(
            unmet(&required, &[field]),
            [
                "No column has one of the tags `email`, `user_id`.",
                "No column has all of the tags `email`, `x`."
            ]
        );
    }
}
