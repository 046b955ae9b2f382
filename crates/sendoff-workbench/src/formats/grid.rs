//! The first rows of a result in memory: for the page, for picking a cell, and for drawings.

use serde::Serialize;

use super::{RowWriter, Run, Shown};
use crate::look::{Cell, Look, Visualization};
use crate::model::{Datum, Field, FieldKind};
use crate::warehouse::{DataError, Head, plan};

/// Some rows of a result, as users see them.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The Look's title.
    pub title: String,
    /// How it is drawn.
    pub visualization: Visualization,
    /// The columns that are shown.
    pub columns: Vec<GridColumn>,
    /// Every field of the query, with its tags.
    pub fields: Vec<Field>,
    /// The rows.
    pub rows: Vec<Vec<GridCell>>,
    /// The row of totals.
    pub totals: Option<Vec<GridCell>>,
    /// Whether the result has more rows.
    pub is_cut: bool,
    /// The SQL that gave it.
    pub sql: String,
}

/// One column of a [`Grid`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GridColumn {
    /// The field's name.
    pub name: String,
    /// What users read.
    pub label: String,
    /// The value of the pivoted dimension, where there is one.
    pub pivot: Option<String>,
    /// Whether its values are numbers.
    pub numeric: bool,
    /// Whether it is a dimension.
    pub dimension: bool,
    /// Whether it sums up the columns beside it.
    pub total: bool,
    /// The field's tags.
    pub tags: Vec<String>,
}

/// One value of a [`Grid`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GridCell {
    /// The value as the database gave it; `None` for null.
    pub value: Option<String>,
    /// The value as users see it.
    pub rendered: String,
    /// The number, where it is one.
    pub number: Option<f64>,
}

impl GridCell {
    /// What a cell action is sent.
    pub fn cell(&self) -> Cell {
        Cell { value: self.value.clone().unwrap_or_default(), rendered: self.rendered.clone() }
    }
}

impl Run {
    pub(super) fn grid(&mut self, look: &Look, most: usize) -> Result<Grid, DataError> {
        let connection = self.warehouse.reader(&self.watch)?;
        let mut head = plan(&connection, look, &self.watch)?;
        // One row more tells whether there are more.
        let asked = most as u64 + 1;
        head.look.limit = Some(head.look.limit.map_or(asked, |limit| limit.min(asked)));
        let mut gather = Gather::new(&head, Shown::new(&head, self.rendering));
        self.run(&connection, &head, &mut gather)?;
        let mut grid = gather.grid;
        grid.is_cut = grid.rows.len() > most;
        grid.rows.truncate(most);
        Ok(grid)
    }
}

struct Gather<'a> {
    head: &'a Head,
    shown: Shown,
    grid: Grid,
}

impl<'a> Gather<'a> {
    fn new(head: &'a Head, shown: Shown) -> Self {
        let column = |(n, label): &(usize, String)| {
            let column = &head.columns[*n];
            let field = head.field(column);
            let key = head.key(column);
            GridColumn {
                name: field.name.clone(),
                label: label.clone(),
                pivot: key.map(|key| match (&key.value, key.is_total) {
                    (_, true) => "Row Total".into(),
                    (Some(value), _) => value.clone(),
                    (None, _) => "∅".into(),
                }),
                numeric: field.numeric,
                dimension: field.kind == FieldKind::Dimension,
                total: key.is_some_and(|key| key.is_total),
                tags: field.tags.clone(),
            }
        };
        let grid = Grid {
            title: head.look.title.clone(),
            visualization: head.look.visualization,
            columns: shown.columns.iter().map(column).collect(),
            fields: head.fields.iter().chain(&head.pivot).cloned().collect(),
            rows: Vec::new(),
            totals: None,
            is_cut: false,
            sql: head.sql.clone(),
        };
        Self { head, shown, grid }
    }

    fn cells(&self, row: &[Datum<'_>]) -> Vec<GridCell> {
        let cell = |(column, _): &(usize, String)| {
            let datum = row.get(*column).copied().unwrap_or(Datum::Null);
            let (mut value, mut rendered) = (String::new(), String::new());
            datum.plain(&mut value);
            self.shown.value(self.head, *column, datum, &mut rendered);
            let value = (datum != Datum::Null).then_some(value);
            GridCell { value, rendered, number: datum.number() }
        };
        self.shown.columns.iter().map(cell).collect()
    }
}

impl RowWriter for Gather<'_> {
    fn begin(&mut self) -> Result<(), DataError> {
        Ok(())
    }

    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), DataError> {
        self.grid.rows.push(self.cells(row));
        Ok(())
    }

    fn end(&mut self, totals: Option<&[Datum<'_>]>) -> Result<(), DataError> {
        self.grid.totals = totals.map(|totals| self.cells(totals));
        Ok(())
    }
}
