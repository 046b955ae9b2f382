//! Every format in which Looker sends a result, really produced.
//!
//! A thread that may block runs the query and writes; what it writes goes through a short channel
//! to whoever sends it on. So a result of any size takes little memory, and a reader who goes away
//! ends the query.

mod archive;
mod drawing;
mod grid;
mod html;
mod json;
#[cfg(feature = "render")]
mod pages;
mod text;
mod workbook;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use rusqlite::Connection;
use sendoff_protocol::{Definition, Format, Formatting, VisualizationFormatting};
use tokio::sync::mpsc;

pub use grid::{Grid, GridCell, GridColumn};

use crate::Source;
use crate::look::{Dashboard, Look};
use crate::model::Datum;
use crate::warehouse::{Cursor, DataError, Head, Warehouse, Watch, plan};

/// What can be sent with an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A Look, also one that was never saved.
    Look(Box<Look>),
    /// A dashboard.
    Dashboard(Dashboard),
}

impl From<&Look> for Content {
    fn from(look: &Look) -> Self {
        Self::Look(Box::new(look.clone()))
    }
}

impl From<&Dashboard> for Content {
    fn from(dashboard: &Dashboard) -> Self {
        Self::Dashboard(dashboard.clone())
    }
}

/// How values and columns are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// Whether values come as users see them (`$1,234.50`) or as the database gave them.
    pub formatting: Formatting,
    /// Whether the visualisation's labels, hidden columns, row numbers and totals are applied.
    pub visualization: VisualizationFormatting,
}

impl Default for Rendering {
    fn default() -> Self {
        Self { formatting: Formatting::Formatted, visualization: VisualizationFormatting::Noapply }
    }
}

impl Rendering {
    /// The first of each that the action takes.
    pub fn of(action: &Definition) -> Self {
        let formatting = action.supported_formattings.as_ref().and_then(|list| list.first());
        let visual =
            action.supported_visualization_formattings.as_ref().and_then(|list| list.first());
        let default = Self::default();
        Self {
            formatting: formatting.copied().unwrap_or(default.formatting),
            visualization: visual.copied().unwrap_or(default.visualization),
        }
    }

    fn is_formatted(self) -> bool {
        self.formatting == Formatting::Formatted
    }

    fn is_applied(self) -> bool {
        self.visualization == VisualizationFormatting::Apply
    }
}

/// The formats that a Look can be had in.
pub const LOOK_FORMATS: [Format; 13] = [
    Format::Txt,
    Format::Csv,
    Format::InlineJson,
    Format::Json,
    Format::JsonLabel,
    Format::JsonDetail,
    Format::JsonDetailLiteStream,
    Format::JsonBi,
    Format::Xlsx,
    Format::Html,
    Format::WysiwygPdf,
    Format::AssembledPdf,
    Format::WysiwygPng,
];

/// The formats that a dashboard can be had in.
pub const DASHBOARD_FORMATS: [Format; 4] =
    [Format::CsvZip, Format::WysiwygPdf, Format::AssembledPdf, Format::WysiwygPng];

/// A result in a format, on its way.
pub struct Rendered {
    /// The format.
    pub format: Format,
    /// Its bytes. An error breaks off what is sent, as when Looker's query fails.
    pub source: Source,
    /// What the reader should know, such as that nobody outside Looker knows this format.
    pub warning: Option<&'static str>,
    rows: RowCount,
}

impl Rendered {
    /// The media type, without `;base64`.
    pub fn media_type(&self) -> &'static str {
        self.format.media_type()
    }

    /// The file extension, without a dot.
    pub fn extension(&self) -> &'static str {
        self.format.extension()
    }

    /// All of the bytes, unless they are more than `most`.
    ///
    /// # Errors
    /// There are more, or the query failed.
    pub async fn whole(mut self, most: usize) -> Result<Bytes, DataError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.source.next().await {
            whole.extend_from_slice(&chunk?);
            if whole.len() > most {
                let format = self.format;
                return Err(DataError::Limit(format!("The {format} is over {most} bytes.")));
            }
        }
        Ok(whole.into())
    }

    /// How many rows were written so far; all of them once the source ended.
    pub fn rows(&self) -> RowCount {
        self.rows.clone()
    }
}

/// Counts rows while they flow. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct RowCount(Arc<AtomicU64>);

impl RowCount {
    /// The count now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The API reference has the type `JsonBi` (metadata and rows), but says of a row only that it is
/// one. Rows are written as in json_detail.
/// <https://cloud.google.com/looker/docs/reference/looker-api/latest/types/JsonBi>
const JSON_BI: &str = "Looker publishes the metadata of json_bi but not how a row looks; its rows \
                       are guessed here.";

impl Warehouse {
    /// Renders a Look or a dashboard. It returns when the first bytes are there, so that wrong SQL
    /// is an error here and not a broken stream.
    ///
    /// # Errors
    /// The content cannot be had in this format, or the query fails.
    pub async fn render(
        &self,
        content: impl Into<Content>,
        format: Format,
        rendering: Rendering,
    ) -> Result<Rendered, DataError> {
        let content = content.into();
        check(&content, format)?;
        let rows = RowCount::default();
        let (warehouse, counted) = (self.clone(), rows.clone());
        let (sender, mut receiver) = mpsc::channel(4);
        let unwanted = sender.clone();
        let watch = Watch::new(self.limits().query_time, move || unwanted.is_closed());
        let ending = sender.clone();
        // Detached on purpose: it ends with the query or with its reader.
        let _work = tokio::task::spawn_blocking(move || {
            let mut run = Run { warehouse, watch, rendering, rows: counted };
            let mut pipe = Pipe { sender, buffer: Vec::with_capacity(CHUNK) };
            let done = run.write(&content, format, &mut pipe).and_then(|()| Ok(pipe.flush()?));
            if let Err(error) = done {
                // Nobody hears it who went away.
                let _ = ending.blocking_send(Err(error));
            }
        });
        let first = receiver.recv().await.transpose()?;
        let rest = stream::unfold(receiver, |mut receiver| async {
            let chunk = receiver.recv().await?;
            Some((chunk.map_err(io::Error::from), receiver))
        });
        let source = Source::stream(stream::iter(first.map(Ok)).chain(rest));
        let warning = (format == Format::JsonBi).then_some(JSON_BI);
        Ok(Rendered { format, source, warning, rows })
    }

    /// The first rows, to be shown, and for cells to be picked from.
    ///
    /// # Errors
    /// The query fails.
    pub async fn grid(&self, look: &Look, rows: usize) -> Result<Grid, DataError> {
        let (warehouse, look) = (self.clone(), look.clone());
        let alive = Arc::new(());
        let gone = Arc::downgrade(&alive);
        let watch = Watch::new(self.limits().query_time, move || gone.strong_count() == 0);
        let work = tokio::task::spawn_blocking(move || {
            let rendering =
                Rendering { visualization: VisualizationFormatting::Apply, ..Rendering::default() };
            let mut run = Run { warehouse, watch, rendering, rows: RowCount::default() };
            run.grid(&look, rows)
        });
        let grid = work.await.map_err(|error| DataError::Io(io::Error::other(error)))?;
        drop(alive);
        grid
    }
}

fn check(content: &Content, format: Format) -> Result<(), DataError> {
    let (kind, formats) = match content {
        Content::Look(_) => ("A Look", &LOOK_FORMATS[..]),
        Content::Dashboard(_) => ("A dashboard", &DASHBOARD_FORMATS[..]),
    };
    if !formats.contains(&format) {
        let names: Vec<&str> = formats.iter().map(|format| format.as_str()).collect();
        let names = names.join(", ");
        return Err(DataError::Format(format!(
            "{kind} cannot be had as {format}; it can as {names}."
        )));
    }
    if cfg!(not(feature = "render"))
        && matches!(format, Format::WysiwygPdf | Format::AssembledPdf | Format::WysiwygPng)
    {
        return Err(DataError::Format(format!(
            "This build draws no {format}; build with the feature `render`."
        )));
    }
    Ok(())
}

/// As much is gathered before it is sent on.
const CHUNK: usize = 64 * 1024;

/// What writers write to; each chunk waits until the reader has room for it.
struct Pipe {
    sender: mpsc::Sender<Result<Bytes, DataError>>,
    buffer: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Takes rows one at a time and writes them in a format.
trait RowWriter {
    fn begin(&mut self) -> Result<(), DataError>;
    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), DataError>;
    /// After the last row.
    fn end(&mut self, totals: Option<&[Datum<'_>]>) -> Result<(), DataError>;
}

/// One rendering.
struct Run {
    warehouse: Warehouse,
    watch: Arc<Watch>,
    rendering: Rendering,
    rows: RowCount,
}

impl Run {
    fn write(
        &mut self,
        content: &Content,
        format: Format,
        out: &mut Pipe,
    ) -> Result<(), DataError> {
        match (content, format) {
            (Content::Look(look), Format::Csv) => self.separated(look, ',', out),
            (Content::Look(look), Format::Txt) => self.separated(look, '\t', out),
            (Content::Look(look), Format::Html) => {
                self.with(look, |head, rendering| html::Table::new(head, rendering, out))
            }
            (Content::Look(look), Format::Xlsx) => self.workbook(look, out),
            (Content::Look(look), Format::Json | Format::InlineJson | Format::JsonLabel) => self
                .with(look, |head, rendering| {
                    json::Objects::new(head, rendering, format == Format::JsonLabel, out)
                }),
            (
                Content::Look(look),
                Format::JsonDetail | Format::JsonDetailLiteStream | Format::JsonBi,
            ) => self.with(look, |head, rendering| json::Detail::new(head, rendering, format, out)),
            (Content::Dashboard(dashboard), Format::CsvZip) => self.archive(dashboard, out),
            #[cfg(feature = "render")]
            _ => self.typeset(content, format, out),
            #[cfg(not(feature = "render"))]
            _ => check(content, format),
        }
    }

    fn separated(
        &mut self,
        look: &Look,
        separator: char,
        out: &mut dyn Write,
    ) -> Result<(), DataError> {
        self.with(look, |head, rendering| text::Separated::new(head, rendering, separator, out))
    }

    fn workbook(&mut self, look: &Look, out: &mut Pipe) -> Result<(), DataError> {
        let connection = self.warehouse.reader(&self.watch)?;
        let head = plan(&connection, look, &self.watch)?;
        let mut workbook = workbook::Book::new(&head, self.rendering)?;
        self.run(&connection, &head, &mut workbook)?;
        workbook.save(out)
    }

    /// Plans the Look, makes the writer for it, and runs it.
    fn with<W: RowWriter>(
        &mut self,
        look: &Look,
        writer: impl FnOnce(Head, Rendering) -> W,
    ) -> Result<(), DataError> {
        let connection = self.warehouse.reader(&self.watch)?;
        let head = plan(&connection, look, &self.watch)?;
        let mut writer = writer(head.clone(), self.rendering);
        self.run(&connection, &head, &mut writer)
    }

    fn run(
        &mut self,
        connection: &Connection,
        head: &Head,
        writer: &mut dyn RowWriter,
    ) -> Result<(), DataError> {
        let explain = |error: rusqlite::Error| self.watch.explain(&error);
        let mut statement = connection.prepare(&head.sql).map_err(explain)?;
        let mut cursor = Cursor::new(&mut statement, &self.watch)?;
        writer.begin()?;
        let limit = head.look.limit.unwrap_or(u64::MAX);
        let mut number = 0;
        while number < limit {
            let Some(row) = cursor.next()? else { break };
            writer.row(&row)?;
            self.rows.add();
            number += 1;
        }
        let Some(totals) = &head.totals_sql else { return writer.end(None) };
        let mut statement = connection.prepare(totals).map_err(explain)?;
        let mut cursor = Cursor::new(&mut statement, &self.watch)?;
        match cursor.next()? {
            Some(row) => writer.end(Some(&row)),
            None => writer.end(None),
        }
    }
}

/// What a table shows: columns and their labels.
struct Shown {
    /// Index of the column, and its label.
    columns: Vec<(usize, String)>,
    /// Above the labels: the pivoted dimension and its values.
    pivots: Option<Vec<String>>,
    formatted: bool,
    row_numbers: bool,
    totals: bool,
}

impl Shown {
    fn new(head: &Head, rendering: Rendering) -> Self {
        let applied = rendering.is_applied();
        let look = &head.look;
        let mut columns = Vec::with_capacity(head.columns.len());
        let mut pivots = Vec::new();
        for (n, column) in head.columns.iter().enumerate() {
            let field = head.field(column);
            if applied && look.hidden.contains(&field.name) {
                continue;
            }
            let label = look.labels.iter().find(|(name, _)| applied && *name == field.name);
            columns.push((n, label.map_or(&field.label, |(_, label)| label).clone()));
            pivots.push(match head.key(column) {
                None => String::new(),
                Some(key) if key.is_total => "Row Total".into(),
                Some(key) => key.value.clone().unwrap_or_default(),
            });
        }
        if let Some(pivot) = &head.pivot {
            // Its label stands over the last column that is not pivoted.
            let before = head.columns.iter().take_while(|column| column.pivot.is_none()).count();
            if let Some(over) = pivots.get_mut(before.saturating_sub(1)) {
                over.clone_from(&pivot.label);
            }
        }
        Self {
            columns,
            pivots: head.pivot.is_some().then_some(pivots),
            formatted: rendering.is_formatted(),
            row_numbers: applied && look.visualization == crate::look::Visualization::Table,
            totals: applied,
        }
    }

    /// Appends a value as this table shows it.
    fn value(&self, head: &Head, column: usize, datum: Datum<'_>, out: &mut String) {
        match head.columns.get(column) {
            Some(column) if self.formatted => head.field(column).format.render(datum, out),
            _ => datum.plain(out),
        }
    }
}

#[cfg(test)]
mod tests;
