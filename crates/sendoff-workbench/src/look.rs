//! Looks and dashboards: what is asked of the data, and how it is to be drawn.

use sendoff_protocol::{Query, ScheduledPlan};
use serde_json::{Value, json};

use crate::Delivery;

/// The row limit of a query that has none of its own.
pub const DEFAULT_LIMIT: u64 = 5_000;

/// How a result is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visualization {
    /// `looker_grid`.
    #[default]
    Table,
    /// `looker_column`.
    Columns,
    /// `looker_bar`.
    Bars,
    /// `looker_line`.
    Line,
    /// `single_value`.
    SingleValue,
}

impl Visualization {
    /// Looker's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "looker_grid",
            Self::Columns => "looker_column",
            Self::Bars => "looker_bar",
            Self::Line => "looker_line",
            Self::SingleValue => "single_value",
        }
    }
}

/// Computed from the result, as users do with Looker's table calculations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCalculation {
    /// Its name in the result: no view stands in front.
    pub name: String,
    /// What users read.
    pub label: String,
    /// In Looker's language, for `dynamic_fields`.
    pub expression: String,
    /// In SQL, over the names of the query's fields.
    pub sql: String,
    /// How users see it.
    pub format: crate::ValueFormat,
}

/// Where a Look's rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Fields of an explore of the demo model.
    Explore { name: String, fields: Vec<String> },
    /// SQL as a user wrote it.
    Sql(String),
}

/// A saved query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) origin: Origin,
    pub(crate) pivot: Option<String>,
    pub(crate) filters: Vec<(String, String)>,
    /// Field and whether it is descending.
    pub(crate) sorts: Vec<(String, bool)>,
    pub(crate) limit: Option<u64>,
    pub(crate) total: bool,
    pub(crate) row_total: bool,
    pub(crate) calculation: Option<TableCalculation>,
    pub(crate) visualization: Visualization,
    /// Labels that the visualisation shows in place of the model's.
    pub(crate) labels: Vec<(String, String)>,
    /// Fields that the visualisation does not show.
    pub(crate) hidden: Vec<String>,
}

impl Look {
    /// A query of an explore of the demo model: `orders`, `users`, `companies`, `servers` or
    /// `penguins`.
    pub fn new(slug: &str, title: &str, explore: &str, fields: &[&str]) -> Self {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        Self::of(slug, title, Origin::Explore { name: explore.into(), fields })
    }

    /// A query in SQL. Column names that are [`KNOWN_TAGS`](crate::KNOWN_TAGS) give their columns
    /// that tag.
    pub fn sql(title: &str, sql: &str) -> Self {
        Self::of("sql", title, Origin::Sql(sql.into()))
    }

    /// All rows of a table.
    pub fn table(name: &str) -> Self {
        let sql = format!("SELECT * FROM {}", quoted_name(name));
        Self { limit: None, ..Self::of(name, name, Origin::Sql(sql)) }
    }

    /// Rows that are made as they are sent and stand nowhere: 100 bytes each in CSV. For results
    /// of any size.
    pub fn generated(rows: u64) -> Self {
        let sql = format!(
            "WITH RECURSIVE made(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM made LIMIT {rows})\n\
             SELECT id, printf('user%012d@example.com', id) AS email,\n\
             \x20 printf('%.2f', (id * 7919 % 100000) / 100.0) AS amount,\n\
             \x20 printf('%.55c', 'x') AS filler\nFROM made"
        );
        Self { limit: None, ..Self::of("generated", "Generated rows", Origin::Sql(sql)) }
    }

    fn of(slug: &str, title: &str, origin: Origin) -> Self {
        Self {
            slug: slug.into(),
            title: title.into(),
            description: String::new(),
            origin,
            pivot: None,
            filters: Vec::new(),
            sorts: Vec::new(),
            limit: Some(DEFAULT_LIMIT),
            total: false,
            row_total: false,
            calculation: None,
            visualization: Visualization::Table,
            labels: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// A sentence about it.
    #[must_use]
    pub fn describe(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// Spreads the measures over the values of this dimension. `row_total` adds their sum.
    #[must_use]
    pub fn pivot(mut self, field: &str, row_total: bool) -> Self {
        self.pivot = Some(field.into());
        self.row_total = row_total;
        self
    }

    /// Keeps the rows whose field is one of these values (`Spain,France`), at least a value
    /// (`>=10`), or on or after a day (`after 2025-01-01`).
    #[must_use]
    pub fn filter(mut self, field: &str, expression: &str) -> Self {
        self.filters.retain(|(name, _)| name != field);
        self.filters.push((field.into(), expression.into()));
        self
    }

    /// Sorts by a field; the first call counts most.
    #[must_use]
    pub fn sort(mut self, field: &str, descending: bool) -> Self {
        self.sorts.push((field.into(), descending));
        self
    }

    /// The row limit; none means all results, which Looker gives only to streaming actions.
    #[must_use]
    pub fn limit(mut self, rows: Option<u64>) -> Self {
        self.limit = rows;
        self
    }

    /// Adds a row of totals.
    #[must_use]
    pub fn total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Adds a table calculation.
    #[must_use]
    pub fn calculate(mut self, calculation: TableCalculation) -> Self {
        self.calculation = Some(calculation);
        self
    }

    /// How it is drawn.
    #[must_use]
    pub fn draw(mut self, visualization: Visualization) -> Self {
        self.visualization = visualization;
        self
    }

    /// The label that the visualisation shows for a field.
    #[must_use]
    pub fn relabel(mut self, field: &str, label: &str) -> Self {
        self.labels.push((field.into(), label.into()));
        self
    }

    /// Leaves a field out of the visualisation.
    #[must_use]
    pub fn hide(mut self, field: &str) -> Self {
        self.hidden.push(field.into());
        self
    }

    /// Its id in URLs.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Its title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// A sentence about it; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// How it is drawn.
    pub fn visualization(&self) -> Visualization {
        self.visualization
    }

    /// `view.field desc`, as Looker writes sorts.
    pub(crate) fn sort_texts(&self) -> Vec<String> {
        let text = |(field, descending): &(String, bool)| {
            format!("{field}{}", if *descending { " desc" } else { "" })
        };
        self.sorts.iter().map(text).collect()
    }

    /// Custom fields as Looker writes them: a string that holds JSON.
    pub(crate) fn dynamic_fields(&self) -> Option<String> {
        let calculation = self.calculation.as_ref()?;
        let value = json!([{
            "table_calculation": calculation.name, "label": calculation.label,
            "expression": calculation.expression, "value_format": calculation.format.pattern(),
            "value_format_name": null, "_kind_hint": "measure", "_type_hint": "number",
        }]);
        Some(value.to_string())
    }

    /// The whole query, as the API's `Query` describes it.
    pub fn query_json(&self) -> Value {
        let (view, fields) = match &self.origin {
            Origin::Explore { name, fields } => (name.as_str(), fields.clone()),
            Origin::Sql(_) => ("sql_runner_query", Vec::new()),
        };
        let filters: serde_json::Map<_, _> =
            self.filters.iter().map(|(f, e)| (f.clone(), e.as_str().into())).collect();
        let labels: serde_json::Map<_, _> =
            self.labels.iter().map(|(f, l)| (f.clone(), l.as_str().into())).collect();
        json!({
            "model": crate::shop::MODEL, "view": view, "fields": fields,
            "pivots": self.pivot.as_slice(), "fill_fields": null, "filters": filters,
            "filter_expression": null, "sorts": self.sort_texts(),
            "limit": self.limit.map_or_else(|| "-1".into(), |limit| limit.to_string()),
            "column_limit": "50", "total": self.total,
            "row_total": self.row_total.then_some("right"), "subtotals": null,
            "vis_config": {
                "type": self.visualization.as_str(), "series_labels": labels,
                "hidden_fields": self.hidden, "show_row_numbers": true,
            },
            "dynamic_fields": self.dynamic_fields(), "query_timezone": "UTC",
            "has_table_calculations": self.calculation.is_some(),
        })
    }

    /// A delivery of this Look, without its cargo.
    pub fn delivery(&self) -> Delivery {
        let mut delivery = Delivery::query(&self.title);
        let plan: &mut ScheduledPlan = delivery.plan.get_or_insert_default();
        plan.url = Some(format!("https://looker.example/looks/{}", self.slug).as_str().into());
        // The id stands where Looker puts it; the other members are those that actions read.
        let mut query: Query = serde_json::from_value(self.query_json()).unwrap_or_default();
        query.id.clone_from(&plan.query_id);
        plan.query = Some(query);
        delivery
    }
}

/// A filter of a dashboard, and the field that it stands for in each tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DashboardFilter {
    /// What users read.
    pub title: String,
    /// The field that tiles filter by, where their explore has it.
    pub field: String,
    /// Its value, written as for [`Look::filter`]; empty means any.
    pub value: String,
}

/// Several Looks on one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dashboard {
    /// Its id in URLs, and part of the folder in csv_zip.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// A sentence about it.
    pub description: String,
    /// Its tiles, in reading order.
    pub tiles: Vec<Look>,
    /// Its filters.
    pub filters: Vec<DashboardFilter>,
}

impl Dashboard {
    /// The tiles with the dashboard's filters applied.
    pub(crate) fn filtered_tiles(&self) -> Vec<Look> {
        let apply = |tile: &Look| {
            let mut tile = tile.clone();
            for filter in self.filters.iter().filter(|filter| !filter.value.is_empty()) {
                let reached = match &tile.origin {
                    Origin::Explore { name, .. } => crate::shop::explore(name)
                        .is_some_and(|explore| explore.field(&filter.field).is_some()),
                    Origin::Sql(_) => false,
                };
                if reached {
                    tile = tile.filter(&filter.field, &filter.value);
                }
            }
            tile
        };
        self.tiles.iter().map(apply).collect()
    }

    /// A delivery of this dashboard, without its cargo.
    pub fn delivery(&self) -> Delivery {
        Delivery::dashboard(&self.title)
    }
}

/// One cell of a result, which cell actions are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The value as the database gave it.
    pub value: String,
    /// The value as users see it.
    pub rendered: String,
}

impl Cell {
    /// A delivery of this cell. It has no attachment.
    pub fn delivery(&self) -> Delivery {
        Delivery::cell(&self.value, &self.rendered)
    }
}

/// An identifier in SQL.
pub(crate) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
