//! The left side: what can be sent. Looks, dashboards, single cells, SQL, and files that users drop.

use std::io;

use axum::extract::State;
use axum::extract::multipart::{Field, Multipart};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::mpsc;

use super::Page;
use super::told::Told;
use super::view::address;
use crate::look::{Cell, Dashboard, Look, Visualization};
use crate::model::Field as Column;
use crate::{Content, DataError, Grid, GridCell, Imported, Source, Warehouse};

/// Rows that are shown.
const ROWS: usize = 50;
/// Rows of a dashboard's tile.
const TILE_ROWS: usize = 6;
/// Shown before anybody wrote SQL of their own.
const SAMPLE_SQL: &str =
    "SELECT name, email, city\nFROM users\nORDER BY joined_date DESC\nLIMIT 100";

/// What is chosen to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    Look(String),
    Dashboard(String),
    Table(String),
    Sql(String),
}

impl Pick {
    /// `data=look:orders`, `data=dashboard:shop`, `data=table:my_file`, `data=sql&sql=…`.
    pub(super) fn parse(data: &str, sql: &str) -> Self {
        match data.split_once(':').unwrap_or((data, "")) {
            ("dashboard", slug) => Self::Dashboard(slug.to_owned()),
            ("table", name) => Self::Table(name.to_owned()),
            ("sql", _) => Self::Sql(sql.trim().to_owned()),
            ("look", slug) => Self::Look(slug.to_owned()),
            _ => Self::Look("customers".to_owned()),
        }
    }

    fn tab(&self) -> &'static str {
        match self {
            Self::Look(_) => "looks",
            Self::Dashboard(_) => "dashboards",
            Self::Table(_) => "file",
            Self::Sql(_) => "sql",
        }
    }

    /// What is sent.
    pub(super) fn content(&self, warehouse: &Warehouse) -> Result<Content, DataError> {
        Ok(match self {
            Self::Look(slug) => Content::from(warehouse.look(slug)?),
            Self::Dashboard(slug) => Content::from(warehouse.dashboard(slug)?),
            Self::Table(name) => Content::from(&Look::table(name)),
            Self::Sql(sql) => Content::from(&Look::sql("SQL query", sql)),
        })
    }
}

/// The panel's content.
#[derive(Debug, Default, Serialize)]
pub(super) struct DataView {
    tab: &'static str,
    pick: String,
    title: String,
    description: String,
    looks: Vec<Entry>,
    dashboards: Vec<Entry>,
    tables: Vec<String>,
    sql: String,
    grid: Option<GridView>,
    tiles: Vec<Tile>,
    filters: Vec<(String, String)>,
    /// Whether cells are links.
    picks_cells: bool,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    slug: String,
    title: String,
}

#[derive(Debug, Serialize)]
struct Tile {
    title: String,
    grid: Option<GridView>,
    /// The one value of a tile that shows a single one.
    single: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct GridView {
    columns: Vec<ColumnView>,
    rows: Vec<Vec<GridCell>>,
    totals: Option<Vec<GridCell>>,
    is_cut: bool,
    sql: String,
}

#[derive(Debug, Serialize)]
struct ColumnView {
    label: String,
    kind: String,
    numeric: bool,
    tags: Vec<String>,
    pivot: Option<String>,
}

/// What the right side needs to know of the data.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Every field with its tags.
    pub(super) fields: Vec<Column>,
    /// The cell that was picked.
    pub(super) cell: Option<Cell>,
    pub(super) title: String,
    pub(super) is_dashboard: bool,
}

/// Runs the queries that the panel shows.
pub(super) async fn view(warehouse: &Warehouse, pick: &Pick, cell: &str) -> (DataView, Chosen) {
    let mut view = DataView { tab: pick.tab(), ..DataView::default() };
    let mut chosen = Chosen::default();
    let entry = |slug: &str, title: &str| Entry { slug: slug.into(), title: title.into() };
    view.looks = warehouse.looks().iter().map(|look| entry(look.slug(), look.title())).collect();
    let dashboards = warehouse.dashboards().iter();
    view.dashboards = dashboards.map(|one| entry(&one.slug, &one.title)).collect();
    view.tables = warehouse.imported().await.unwrap_or_default();
    view.picks_cells = !cell.is_empty();
    view.sql = SAMPLE_SQL.to_owned();
    match pick {
        Pick::Look(name) | Pick::Dashboard(name) | Pick::Table(name) => view.pick.clone_from(name),
        Pick::Sql(sql) if sql.is_empty() => {}
        Pick::Sql(sql) => view.sql.clone_from(sql),
    }
    let nothing_yet = matches!(pick, Pick::Sql(sql) | Pick::Table(sql) if sql.is_empty());
    if nothing_yet {
        return (view, chosen);
    }
    match pick.content(warehouse) {
        Err(error) => view.error = Some(error.to_string()),
        Ok(Content::Dashboard(dashboard)) => {
            chosen.is_dashboard = true;
            show_dashboard(warehouse, &dashboard, &mut view).await;
        }
        Ok(Content::Look(look)) => {
            view.title = look.title().to_owned();
            view.description = look.description().to_owned();
            match warehouse.grid(&look, ROWS).await {
                Err(error) => view.error = Some(error.to_string()),
                Ok(grid) => {
                    chosen.cell = picked(&grid, cell);
                    chosen.fields.clone_from(&grid.fields);
                    view.grid = Some(GridView::of(grid));
                }
            }
        }
    }
    chosen.title.clone_from(&view.title);
    (view, chosen)
}

async fn show_dashboard(warehouse: &Warehouse, dashboard: &Dashboard, view: &mut DataView) {
    view.title.clone_from(&dashboard.title);
    view.description.clone_from(&dashboard.description);
    let any = |value: &str| if value.is_empty() { "any" } else { value }.to_owned();
    let filters = dashboard.filters.iter();
    view.filters = filters.map(|filter| (filter.title.clone(), any(&filter.value))).collect();
    for look in dashboard.filtered_tiles() {
        let title = look.title().to_owned();
        view.tiles.push(match warehouse.grid(&look, TILE_ROWS).await {
            Err(error) => Tile { title, grid: None, single: None, error: Some(error.to_string()) },
            Ok(grid) if grid.visualization == Visualization::SingleValue => {
                let first = grid.rows.first().and_then(|row| row.first());
                let single = first.map(|cell| cell.rendered.clone());
                Tile { title, grid: None, single, error: None }
            }
            Ok(grid) => Tile { title, grid: Some(GridView::of(grid)), single: None, error: None },
        });
    }
}

/// `3.1`: the fourth row's second column.
fn picked(grid: &Grid, cell: &str) -> Option<Cell> {
    let (row, column) = cell.split_once('.')?;
    let row = grid.rows.get(row.parse::<usize>().ok()?)?;
    row.get(column.parse::<usize>().ok()?).map(GridCell::cell)
}

impl GridView {
    fn of(grid: Grid) -> Self {
        let fields = grid.fields;
        let columns = grid.columns.into_iter().map(|column| {
            let field = fields.iter().find(|field| field.name == column.name);
            ColumnView {
                kind: field.map(|field| field.type_name.replace('_', " ")).unwrap_or_default(),
                label: column.label,
                numeric: column.numeric,
                tags: column.tags,
                pivot: column.pivot,
            }
        });
        Self {
            columns: columns.collect(),
            rows: grid.rows,
            totals: grid.totals,
            is_cut: grid.is_cut,
            sql: grid.sql,
        }
    }
}

/// Takes a file in, as it arrives, and shows it.
pub(super) async fn upload(State(page): State<Page>, mut form: Multipart) -> Response {
    let (mut action, mut taken) = (String::new(), None);
    loop {
        match form.next_field().await {
            Err(error) => {
                taken = Some(Err(DataError::Malformed(format!("The upload broke off: {error}."))));
                break;
            }
            Ok(None) => break,
            Ok(Some(field)) if field.name() == Some("action") => {
                action = field.text().await.unwrap_or_default();
            }
            Ok(Some(field)) if field.name() == Some("file") => {
                taken = Some(take_in(page.warehouse(), field).await);
            }
            Ok(Some(_)) => {}
        }
    }
    let none = || Err(DataError::Malformed("No file came with the upload.".into()));
    let table = match taken.unwrap_or_else(none) {
        Ok(imported) => imported.table,
        Err(error) => {
            page.tell(Told { not_taken: error.to_string(), ..Told::default() });
            String::new()
        }
    };
    let query = [("data", format!("table:{table}")), ("action", action)];
    Redirect::to(&address(query.into_iter().filter(|(_, value)| !value.is_empty()))).into_response()
}

/// The form's field lends its bytes, the import wants them for itself: a short channel between.
async fn take_in(warehouse: &Warehouse, mut field: Field<'_>) -> Result<Imported, DataError> {
    let name = field.file_name().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(DataError::Malformed("Choose a file first.".into()));
    }
    let (sender, receiver) = mpsc::channel::<io::Result<bytes::Bytes>>(4);
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let feed = async move {
        while let Some(chunk) = field.next().await {
            if sender.send(chunk.map_err(io::Error::other)).await.is_err() {
                break;
            }
        }
    };
    let (imported, ()) = tokio::join!(warehouse.import(&name, Source::stream(chunks)), feed);
    imported
}
