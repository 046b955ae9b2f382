//! What is known of a result's columns.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// More columns than this are refused; they would otherwise grow with rows of ever new names.
pub(super) const MAX_COLUMNS: usize = 5_000;

/// A column of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Its place in the result, from 0.
    pub index: usize,
    /// The field's name, such as `orders.count`. In json_label, CSV and text Looker gives labels
    /// only: the name then equals the label.
    pub name: String,
    /// What Looker shows, such as `Orders Count`.
    pub label: String,
    /// The label without the view's, such as `Count`. Only json_detail has it, and what follows.
    pub label_short: Option<String>,
    /// The view, such as `orders`.
    pub view: Option<String>,
    /// What Looker shows for the view.
    pub view_label: Option<String>,
    /// What part the column plays in the query.
    pub kind: ColumnKind,
    /// Looker's field type, such as `count`, `string`, `date_time` or `yesno`.
    pub field_type: Option<String>,
    /// The tags that the model's author gave, such as `email`.
    pub tags: Vec<String>,
    /// Whether Looker calls the values numbers.
    pub is_numeric: bool,
    /// How Looker formats the values, such as `$#,##0.00`.
    pub value_format: Option<String>,
}

impl Column {
    fn bare(name: String) -> Self {
        Self { label: name.clone(), name, ..Self::default() }
    }

    /// Whether the column carries `tag`, whatever its case.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own.eq_ignore_ascii_case(tag))
    }
}

/// What part a column plays in the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnKind {
    /// A grouped-by value.
    Dimension,
    /// An aggregate; pivoted when the query pivots.
    Measure,
    /// Computed by Looker from the result.
    TableCalculation,
    /// A dimension whose values became keys of pivoted cells; see [`Columns::pivots`].
    Pivot,
    /// The format does not say, or Looker's `fields` do not know the column.
    #[default]
    Unknown,
}

/// The columns of a result, in Looker's order: dimensions, measures, table calculations, then what
/// rows hold beyond them.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    list: Vec<Column>,
    by_name: HashMap<String, usize>,
    pivots: Vec<Column>,
    /// All that Looker describes: filters, parameters and groups that are new have no column unless
    /// a row has one.
    described: Vec<Column>,
}

impl Columns {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The column at a place.
    pub fn get(&self, index: usize) -> Option<&Column> {
        self.list.get(index)
    }

    /// The first column with this name.
    pub fn by_name(&self, name: &str) -> Option<&Column> {
        self.get(*self.by_name.get(name)?)
    }

    /// The first column with this label.
    pub fn by_label(&self, label: &str) -> Option<&Column> {
        self.list.iter().find(|column| column.label == label)
    }

    /// The columns that carry `tag`, whatever its case.
    pub fn with_tag(&self, tag: &str) -> impl Iterator<Item = &Column> {
        self.list.iter().filter(move |column| column.has_tag(tag))
    }

    /// All columns in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Column> {
        self.list.iter()
    }

    /// The dimensions that the query pivots by. They have no column: their values are the keys of
    /// pivoted cells.
    pub fn pivots(&self) -> &[Column] {
        &self.pivots
    }

    /// Adds a column that only a row or a header names, and gives its place.
    pub(super) fn append(&mut self, name: String) -> usize {
        let known = self.described.iter().find(|column| column.name == name).cloned();
        self.push(known.unwrap_or_else(|| Column::bare(name)))
    }

    fn push(&mut self, mut column: Column) -> usize {
        let index = self.list.len();
        column.index = index;
        self.by_name.entry(column.name.clone()).or_insert(index);
        self.list.push(column);
        index
    }

    /// The columns that json_detail's `fields` describe; nothing if it is not an object of lists.
    pub(crate) fn from_fields(json: &[u8]) -> Option<Self> {
        let groups: Groups<'_> = serde_json::from_slice(json).ok()?;
        let mut columns = Self::default();
        let known = [
            ("dimensions", ColumnKind::Dimension),
            ("measures", ColumnKind::Measure),
            ("table_calculations", ColumnKind::TableCalculation),
        ];
        for (group, kind) in known {
            for column in described(&groups, group, kind) {
                if !columns.by_name.contains_key(&column.name) {
                    columns.push(column);
                }
            }
        }
        columns.pivots = described(&groups, "pivots", ColumnKind::Pivot).collect();
        let all = groups.keys().flat_map(|group| described(&groups, group, ColumnKind::Unknown));
        columns.described = all.collect();
        Some(columns)
    }
}

impl<'a> IntoIterator for &'a Columns {
    type Item = &'a Column;
    type IntoIter = std::slice::Iter<'a, Column>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The members of `fields`, unread: most of what Looker says there (enumerations, suggestions) is
/// not used and takes no memory.
type Groups<'a> = BTreeMap<String, &'a RawValue>;

/// One field as Looker describes it; each member may have any type.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Field {
    name: Json,
    label: Json,
    label_short: Json,
    view: Json,
    view_label: Json,
    #[serde(rename = "type")]
    field_type: Json,
    tags: Json,
    is_numeric: Json,
    value_format: Json,
}

/// The fields of one group; a group that is no list has none.
fn described<'a>(
    groups: &Groups<'a>,
    group: &str,
    kind: ColumnKind,
) -> impl Iterator<Item = Column> + use<'a> {
    let fields = groups.get(group).map_or("", |json| json.get());
    let fields: Vec<&'a RawValue> = serde_json::from_str(fields).unwrap_or_default();
    let text = |json: &Json| json.as_str().map(str::to_owned);
    fields.into_iter().filter_map(move |json| {
        let field: Field = serde_json::from_str(json.get()).ok()?;
        let name = text(&field.name)?;
        let tags = field.tags.as_array().map(Vec::as_slice).unwrap_or_default();
        Some(Column {
            index: 0,
            label: text(&field.label).unwrap_or_else(|| name.clone()),
            name,
            label_short: text(&field.label_short),
            view: text(&field.view),
            view_label: text(&field.view_label),
            kind,
            field_type: text(&field.field_type),
            tags: tags.iter().filter_map(text).collect(),
            is_numeric: field.is_numeric.as_bool().unwrap_or(false),
            value_format: text(&field.value_format),
        })
    })
}
