//! wysiwyg_png, wysiwyg_pdf and assembled_pdf, from the drawings.
//!
//! wysiwyg is one page that shows what the screen shows; assembled has a page for each tile, and
//! tables with all of their rows go over as many pages as they need.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use krilla::geom::Size;
use krilla::page::PageSettings;
use krilla_svg::{SurfaceExt, SvgSettings};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Tree, fontdb};
use sendoff_protocol::{Format, VisualizationFormatting};

use super::drawing::{LINE, document, heading};
use super::{Content, Grid, Pipe, Rendering, Run};
use crate::look::{Dashboard, Look, Visualization};
use crate::warehouse::DataError;

/// Rows of a table on a drawn page; the rest is named as missing.
const WYSIWYG_ROWS: usize = 200;
/// Rows of a table in assembled_pdf.
const ASSEMBLED_ROWS: usize = 1_000;
const WIDTH: f64 = 1_200.0;
const TILE_HEIGHT: f64 = 340.0;
const HEAD: f64 = 72.0;
/// A4, landscape, in points.
const PAPER: (f64, f64) = (842.0, 595.0);

/// A page as SVG, its width and its height.
type Page = (String, f64, f64);

impl Run {
    pub(super) fn typeset(
        &mut self,
        content: &Content,
        format: Format,
        out: &mut Pipe,
    ) -> Result<(), DataError> {
        // What is drawn is the visualisation.
        self.rendering =
            Rendering { visualization: VisualizationFormatting::Apply, ..self.rendering };
        let pages = match (content, format) {
            (Content::Look(look), Format::AssembledPdf) => {
                self.assembled(std::slice::from_ref(look), None)?
            }
            (Content::Dashboard(dashboard), Format::AssembledPdf) => {
                self.assembled(&dashboard.filtered_tiles(), Some(dashboard))?
            }
            (Content::Look(look), _) => vec![self.look_page(look)?],
            (Content::Dashboard(dashboard), _) => vec![self.dashboard_page(dashboard)?],
        };
        let bytes = match (format, pages.first()) {
            (Format::WysiwygPng, Some(page)) => png(page)?,
            _ => pdf(&pages)?,
        };
        Ok(out.write_all(&bytes)?)
    }

    fn look_page(&mut self, look: &Look) -> Result<Page, DataError> {
        let grid = self.grid(look, WYSIWYG_ROWS)?;
        let height = match grid.visualization {
            Visualization::Table => grid.table_height() + 16.0,
            _ => 520.0,
        };
        Ok((grid.svg(WIDTH, height), WIDTH, height))
    }

    /// Tiles in two columns; tables take a line of their own.
    fn dashboard_page(&mut self, dashboard: &Dashboard) -> Result<Page, DataError> {
        let mut groups = heading(&dashboard.title, &filters(dashboard));
        let (mut y, mut is_left) = (HEAD, true);
        for tile in dashboard.filtered_tiles() {
            let grid = self.grid(&tile, WYSIWYG_ROWS)?;
            if grid.visualization == Visualization::Table {
                if !is_left {
                    y += TILE_HEIGHT;
                }
                let height = grid.table_height();
                groups.push_str(&grid.draw(8.0, y, WIDTH - 16.0, height));
                y += height;
                is_left = true;
            } else {
                let x = if is_left { 8.0 } else { WIDTH / 2.0 };
                groups.push_str(&grid.draw(x, y, WIDTH / 2.0 - 8.0, TILE_HEIGHT));
                if !is_left {
                    y += TILE_HEIGHT;
                }
                is_left = !is_left;
            }
        }
        let height = y + if is_left { 16.0 } else { TILE_HEIGHT };
        Ok((document(WIDTH, height, &groups), WIDTH, height))
    }

    fn assembled(
        &mut self,
        tiles: &[Look],
        dashboard: Option<&Dashboard>,
    ) -> Result<Vec<Page>, DataError> {
        let (width, height) = PAPER;
        let mut pages = Vec::new();
        if let Some(dashboard) = dashboard {
            let title = heading(&dashboard.title, &filters(dashboard));
            pages.push((document(width, height, &title), width, height));
        }
        for tile in tiles {
            let grid = self.grid(tile, ASSEMBLED_ROWS)?;
            if grid.visualization != Visualization::Table {
                pages.push((grid.svg(width, height), width, height));
                continue;
            }
            let mut empty = Grid { rows: Vec::new(), is_cut: false, ..grid.clone() };
            let room = ((height - empty.table_height() - 2.0 * LINE) / LINE).max(1.0) as usize;
            let parts = grid.rows.len().div_ceil(room).max(1);
            for part in 0..parts {
                let is_last = part + 1 == parts;
                let rows = grid.rows.iter().skip(part * room).take(room).cloned().collect();
                empty.rows = rows;
                empty.is_cut = is_last && grid.is_cut;
                empty.totals = grid.totals.clone().filter(|_| is_last);
                pages.push((empty.svg(width, height), width, height));
            }
        }
        Ok(pages)
    }
}

fn filters(dashboard: &Dashboard) -> String {
    let one = |filter: &crate::DashboardFilter| {
        let value = if filter.value.is_empty() { "is any value" } else { &filter.value };
        format!("{}: {value}", filter.title)
    };
    dashboard.filters.iter().map(one).collect::<Vec<_>>().join(" · ")
}

/// The fonts, read once. The machine's own are not looked at, so a page is the same everywhere.
fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(include_bytes!("../../../../data/fonts/DejaVuSans.ttf").to_vec());
        fonts.load_font_data(include_bytes!("../../../../data/fonts/DejaVuSans-Bold.ttf").to_vec());
        Arc::new(fonts)
    };
    Arc::clone(FONTS.get_or_init(load))
}

fn tree(svg: &str) -> Result<Tree, DataError> {
    let options = usvg::Options {
        fontdb: fonts(),
        font_family: "DejaVu Sans".into(),
        ..usvg::Options::default()
    };
    Tree::from_str(svg, &options).map_err(drawing)
}

fn png((svg, width, height): &Page) -> Result<Vec<u8>, DataError> {
    let tree = tree(svg)?;
    let mut pixels = Pixmap::new(width.ceil() as u32, height.ceil() as u32)
        .ok_or_else(|| DataError::Limit("The drawing is too large for a PNG.".into()))?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().map_err(drawing)
}

fn pdf(pages: &[Page]) -> Result<Vec<u8>, DataError> {
    let mut pdf = krilla::Document::new();
    for (svg, width, height) in pages {
        let (width, height) = (*width as f32, *height as f32);
        let size = Size::from_wh(width, height);
        let settings = PageSettings::from_wh(width, height);
        let (Some(size), Some(settings)) = (size, settings) else { continue };
        let tree = tree(svg)?;
        let mut page = pdf.start_page_with(settings);
        let mut surface = page.surface();
        let drawn = surface.draw_svg(&tree, size, SvgSettings::default());
        surface.finish();
        page.finish();
        drawn.ok_or_else(|| DataError::Limit("The page cannot be drawn.".into()))?;
    }
    pdf.finish().map_err(|error| drawing(format!("{error:?}")))
}

fn drawing(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DataError {
    DataError::Io(std::io::Error::other(error))
}
