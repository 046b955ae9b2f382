//! Turns a Look into SQL, and into the description of the columns that the SQL gives.

use std::fmt::Write;

use rusqlite::Connection;

use super::{Cursor, DataError, Watch};
use crate::look::{Look, Origin, quoted_name};
use crate::model::{Datum, Field, FieldKind, ValueFormat};
use crate::shop::{Explore, explore};

/// Looker's limit of pivoted columns.
const COLUMN_LIMIT: usize = 50;
/// The key of row totals in pivoted cells. **C**
pub(crate) const ROW_TOTAL: &str = "$$$_row_total_$$$";
/// The key of the pivot value null. **C**
const NULL_KEY: &str = "$$$_null_$$$";

/// A value of the pivoted dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PivotKey {
    /// As it stands in pivoted cells.
    pub(crate) key: String,
    /// The value; `None` for null and for row totals.
    pub(crate) value: Option<String>,
    pub(crate) is_total: bool,
}

/// A column of the SQL's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Index into [`Head::fields`].
    pub(crate) field: usize,
    /// Index into [`Head::keys`].
    pub(crate) pivot: Option<usize>,
}

/// What is known of a result before its first row.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) look: Look,
    pub(crate) explore: Option<&'static str>,
    pub(crate) fields: Vec<Field>,
    pub(crate) pivot: Option<Field>,
    pub(crate) keys: Vec<PivotKey>,
    pub(crate) columns: Vec<Column>,
    pub(crate) filters: Vec<(Field, String)>,
    pub(crate) sql: String,
    pub(crate) totals_sql: Option<String>,
}

impl Head {
    pub(crate) fn field(&self, column: &Column) -> &Field {
        // Columns are made together with the fields that they point to.
        &self.fields[column.field]
    }

    pub(crate) fn key(&self, column: &Column) -> Option<&PivotKey> {
        self.keys.get(column.pivot?)
    }
}

/// Plans the Look. Reads the database for pivot values and for what user's SQL gives.
pub(crate) fn plan(connection: &Connection, look: &Look, watch: &Watch) -> Result<Head, DataError> {
    match &look.origin {
        Origin::Sql(sql) => plan_sql(connection, look, sql, watch),
        Origin::Explore { name, fields } => {
            let explore = explore(name)
                .ok_or_else(|| DataError::Unknown(format!("There is no explore `{name}`.")))?;
            plan_explore(connection, look, explore, fields, watch)
        }
    }
}

/// So many rows are looked at to learn which columns of user's SQL are numbers.
const LOOKED_AT: usize = 50;

fn plan_sql(
    connection: &Connection,
    look: &Look,
    sql: &str,
    watch: &Watch,
) -> Result<Head, DataError> {
    if sql.trim().is_empty() {
        return Err(DataError::Sql("SQL: nothing is asked.".into()));
    }
    let mut statement = connection.prepare(sql).map_err(|error| watch.explain(&error))?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(DataError::Sql("Only a statement that reads rows can be sent.".into()));
    }
    if statement.parameter_count() > 0 {
        return Err(DataError::Sql("The SQL has parameters; write their values in.".into()));
    }
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut seen = vec![(false, true); names.len()];
    let mut cursor = Cursor::new(&mut statement, watch)?;
    for _ in 0..LOOKED_AT {
        let Some(row) = cursor.next()? else { break };
        for (datum, (any, numeric)) in row.iter().zip(&mut seen) {
            *any |= *datum != Datum::Null;
            *numeric &= !matches!(datum, Datum::Text(_));
        }
    }
    let view = if look.slug == "sql" { "sql_runner_query" } else { look.slug.as_str() };
    let described = |(name, (any, numeric)): (&String, &(bool, bool))| {
        Field::undescribed(view, name, *any && *numeric)
    };
    let fields: Vec<Field> = names.iter().zip(&seen).map(described).collect();
    for (n, name) in names.iter().enumerate() {
        if names[..n].contains(name) {
            return Err(DataError::Sql(format!(
                "Two columns have the name `{name}`; give one of them another with AS."
            )));
        }
    }
    let columns = (0..fields.len()).map(|field| Column { field, pivot: None }).collect();
    Ok(Head {
        look: look.clone(),
        explore: None,
        fields,
        pivot: None,
        keys: Vec::new(),
        columns,
        filters: Vec::new(),
        sql: sql.to_owned(),
        totals_sql: None,
    })
}

fn plan_explore(
    connection: &Connection,
    look: &Look,
    explore: &'static Explore,
    names: &[String],
    watch: &Watch,
) -> Result<Head, DataError> {
    let find = |name: &str| {
        explore.field(name).ok_or_else(|| {
            DataError::Unknown(format!("The explore `{}` has no field `{name}`.", explore.name))
        })
    };
    let pivot = look.pivot.as_deref().map(find).transpose()?;
    let shown = names.iter().filter(|name| Some(*name) != look.pivot.as_ref());
    let mut fields = shown.map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
    // Dimensions stand left of measures, as in Looker.
    fields.sort_by_key(|field| field.kind == FieldKind::Measure);
    let filters = look
        .filters
        .iter()
        .map(|(name, expression)| Ok((find(name)?, expression.clone())))
        .collect::<Result<Vec<_>, DataError>>()?;
    let body = format!("FROM {}{}", explore.from, where_clause(&filters));
    let keys = match &pivot {
        Some(pivot) => pivot_keys(connection, pivot, &body, look.row_total, watch)?,
        None => Vec::new(),
    };
    let mut columns: Vec<Column> = Vec::new();
    let (dimensions, measures): (Vec<usize>, Vec<usize>) =
        (0..fields.len()).partition(|&n| fields[n].kind == FieldKind::Dimension);
    columns.extend(dimensions.iter().map(|&field| Column { field, pivot: None }));
    if pivot.is_some() {
        let pivoted = |key| measures.iter().map(move |&field| (field, key));
        let pivoted = (0..keys.len()).flat_map(pivoted);
        columns.extend(pivoted.map(|(field, key)| Column { field, pivot: Some(key) }));
    } else {
        columns.extend(measures.iter().map(|&field| Column { field, pivot: None }));
    }
    let mut head = Head {
        look: look.clone(),
        explore: Some(explore.name),
        fields,
        pivot,
        keys,
        columns,
        filters,
        sql: String::new(),
        totals_sql: None,
    };
    write_sql(&mut head, &body, dimensions.len(), !measures.is_empty());
    Ok(head)
}

fn write_sql(head: &mut Head, body: &str, dimensions: usize, measured: bool) {
    let order = order_clause(&head.look);
    let mut sql = format!("SELECT {}\n{body}", select_list(head, false));
    // Without a measure nothing is aggregated, and rows can flow as they are read.
    if measured && dimensions > 0 {
        let ordinals: Vec<String> = (1..=dimensions).map(|n| n.to_string()).collect();
        let _ = write!(sql, "\nGROUP BY {}", ordinals.join(", "));
    }
    sql.push_str(&order);
    if let Some(limit) = head.look.limit {
        let _ = write!(sql, "\nLIMIT {limit}");
    }
    if head.look.total && measured {
        head.totals_sql = Some(format!("SELECT {}\n{body}", select_list(head, true)));
    }
    if let Some(calculation) = &head.look.calculation {
        let (name, over) = (quoted_name(&calculation.name), &calculation.sql);
        sql = format!("SELECT result.*, {over} AS {name}\nFROM (\n{sql}\n) AS result{order}");
        head.columns.push(Column { field: head.fields.len(), pivot: None });
        head.fields.push(Field {
            name: calculation.name.clone(),
            label: calculation.label.clone(),
            label_short: calculation.label.clone(),
            view_label: String::new(),
            kind: FieldKind::TableCalculation,
            type_name: "number".into(),
            numeric: true,
            tags: Vec::new(),
            format: calculation.format,
            sql: over.clone(),
        });
        if let Some(totals) = &mut head.totals_sql {
            *totals = format!("SELECT result.*, {over} AS {name}\nFROM (\n{totals}\n) AS result");
        }
    }
    head.sql = sql;
}

/// The columns; in totals the dimensions are null.
fn select_list(head: &Head, totals: bool) -> String {
    let mut list = String::new();
    for (n, column) in head.columns.iter().enumerate() {
        let field = head.field(column);
        let _ = write!(list, "{}\n  ", if n > 0 { "," } else { "" });
        if totals && field.kind == FieldKind::Dimension {
            list.push_str("NULL");
        } else {
            list.push_str(&field.sql);
        }
        let mut name = field.name.clone();
        if let (Some(key), Some(pivot)) = (head.key(column), &head.pivot) {
            let _ = write!(name, "|{}", key.key);
            if !key.is_total {
                let value = key.value.as_deref().map_or_else(|| "NULL".into(), literal);
                let _ = write!(list, " FILTER (WHERE {} IS {value})", pivot.sql);
            }
        }
        let _ = write!(list, " AS {}", quoted_name(&name));
    }
    list
}

fn order_clause(look: &Look) -> String {
    let mut clause = String::new();
    for (n, (field, descending)) in look.sorts.iter().enumerate() {
        let lead = if n == 0 { "\nORDER BY" } else { "," };
        let way = if *descending { " DESC" } else { "" };
        let _ = write!(clause, "{lead} {}{way}", quoted_name(field));
    }
    clause
}

fn where_clause(filters: &[(Field, String)]) -> String {
    let mut clause = String::new();
    for (n, (field, expression)) in filters.iter().enumerate() {
        clause.push_str(if n == 0 { "\nWHERE " } else { "\n  AND " });
        let expression = expression.trim();
        if let Some(day) = expression.strip_prefix("after ") {
            let _ = write!(clause, "{} >= {}", field.sql, literal(day.trim()));
        } else if let Some(least) = expression.strip_prefix(">=") {
            // As a number, so that SQLite does not compare it as text.
            let _ = write!(clause, "{} >= CAST({} AS REAL)", field.sql, literal(least.trim()));
        } else {
            let values: Vec<String> = expression.split(',').map(|v| literal(v.trim())).collect();
            let _ = write!(clause, "{} IN ({})", field.sql, values.join(", "));
        }
    }
    clause
}

fn pivot_keys(
    connection: &Connection,
    pivot: &Field,
    body: &str,
    row_total: bool,
    watch: &Watch,
) -> Result<Vec<PivotKey>, DataError> {
    let sql = format!("SELECT DISTINCT {} {body}\nORDER BY 1 LIMIT {COLUMN_LIMIT}", pivot.sql);
    let mut statement = connection.prepare(&sql).map_err(|error| watch.explain(&error))?;
    let mut cursor = Cursor::new(&mut statement, watch)?;
    let mut keys = Vec::new();
    while let Some(row) = cursor.next()? {
        let value = match row.first() {
            None | Some(Datum::Null) => None,
            Some(datum) => {
                let mut text = String::new();
                ValueFormat::Plain.render(*datum, &mut text);
                Some(text)
            }
        };
        let key = value.clone().unwrap_or_else(|| NULL_KEY.into());
        keys.push(PivotKey { key, value, is_total: false });
    }
    if row_total {
        keys.push(PivotKey { key: ROW_TOTAL.into(), value: None, is_total: true });
    }
    Ok(keys)
}

/// A text in SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
