//! Draws a grid as SVG: a table, a chart or one large number. The page shows it as it is; PNG and
//! PDF are made from it.

use std::fmt::Write;

use super::grid::{Grid, GridCell};
use super::html::escaped;
use crate::look::Visualization;

const PALETTE: [&str; 8] =
    ["#1f6feb", "#e8710a", "#1a9c6b", "#9334e6", "#d93025", "#12a4af", "#b06000", "#5f6368"];
const INK: &str = "#202124";
const FAINT: &str = "#5f6368";
const RULE: &str = "#dadce0";
/// Height of a table's line.
pub(super) const LINE: f64 = 20.0;
/// The title above a drawing.
pub(super) const TITLE: f64 = 34.0;
/// A chart with more points would be a blot.
const POINTS: usize = 60;

impl Grid {
    /// The whole drawing as an SVG document, so many pixels wide and high.
    pub fn svg(&self, width: f64, height: f64) -> String {
        document(width, height, &self.draw(0.0, 0.0, width, height))
    }

    /// The drawing with its title, as a group of a larger document.
    pub(super) fn draw(&self, x: f64, y: f64, width: f64, height: f64) -> String {
        let mut svg = Svg(format!("<g transform=\"translate({x} {y})\">"));
        svg.text(8.0, 22.0, 15.0, INK, "bold", "start", &fit(&self.title, width - 16.0, 15.0));
        let area = Area { x: 8.0, y: TITLE, width: width - 16.0, height: height - TITLE - 8.0 };
        match self.visualization {
            _ if self.rows.is_empty() => {
                svg.text(8.0, TITLE + 20.0, 13.0, FAINT, "normal", "start", "No results");
            }
            Visualization::Table => self.table(&mut svg, area),
            Visualization::SingleValue => self.single(&mut svg, area),
            Visualization::Bars => self.bars(&mut svg, area),
            Visualization::Columns | Visualization::Line => self.upright(&mut svg, area),
        }
        svg.0.push_str("</g>");
        svg.0
    }

    /// How high the table is with all of its rows.
    #[cfg(feature = "render")]
    pub(super) fn table_height(&self) -> f64 {
        let pivots = usize::from(self.columns.iter().any(|column| column.pivot.is_some()));
        let lines = 1 + pivots + self.rows.len() + usize::from(self.totals.is_some());
        TITLE + 16.0 + LINE * (lines as f64 + f64::from(u8::from(self.is_cut)))
    }

    fn table(&self, svg: &mut Svg, area: Area) {
        let weights: Vec<f64> = (0..self.columns.len()).map(|n| self.weight(n)).collect();
        let sum: f64 = weights.iter().sum::<f64>().max(1.0);
        let widths: Vec<f64> = weights.iter().map(|w| area.width * w / sum).collect();
        let mut y = area.y;
        let labels = |pick: &dyn Fn(usize) -> String| -> Vec<String> {
            (0..self.columns.len()).map(pick).collect()
        };
        if self.columns.iter().any(|column| column.pivot.is_some()) {
            let pivots = labels(&|n| self.columns[n].pivot.clone().unwrap_or_default());
            self.line(svg, area, &widths, y, &pivots, "bold");
            y += LINE;
        }
        self.line(svg, area, &widths, y, &labels(&|n| self.columns[n].label.clone()), "bold");
        y += LINE;
        let foot = if self.totals.is_some() { LINE } else { 0.0 };
        let room = ((area.y + area.height - foot - y) / LINE).floor().max(0.0) as usize;
        let is_cut = self.is_cut || self.rows.len() > room;
        let shown =
            if is_cut { room.saturating_sub(1).min(self.rows.len()) } else { self.rows.len() };
        for row in &self.rows[..shown] {
            let texts: Vec<String> = row.iter().map(|cell| cell.rendered.clone()).collect();
            self.line(svg, area, &widths, y, &texts, "normal");
            y += LINE;
        }
        if is_cut {
            let more = format!("The first {shown} rows.");
            svg.text(area.x + 4.0, y + 14.0, 11.0, FAINT, "normal", "start", &more);
            y += LINE;
        }
        if let Some(totals) = &self.totals {
            let texts: Vec<String> = totals.iter().map(|cell| cell.rendered.clone()).collect();
            self.line(svg, area, &widths, y, &texts, "bold");
        }
    }

    /// A column is as wide as its longest text, within bounds.
    fn weight(&self, column: usize) -> f64 {
        let cells = self.rows.iter().take(100).filter_map(|row| row.get(column));
        let longest = cells.map(|cell| cell.rendered.chars().count()).max().unwrap_or(0);
        let label = self.columns.get(column).map_or(0, |column| column.label.chars().count());
        (longest.max(label) as f64).clamp(5.0, 28.0)
    }

    fn line(
        &self,
        svg: &mut Svg,
        area: Area,
        widths: &[f64],
        y: f64,
        texts: &[String],
        weight: &str,
    ) {
        svg.rule(area.x, y + LINE, area.x + area.width, y + LINE);
        let mut x = area.x;
        for ((text, width), column) in texts.iter().zip(widths).zip(&self.columns) {
            // A newline would end the line; SVG takes it for a space.
            let text = fit(text, width - 8.0, 11.0);
            if column.numeric {
                svg.text(x + width - 4.0, y + 14.0, 11.0, INK, weight, "end", &text);
            } else {
                svg.text(x + 4.0, y + 14.0, 11.0, INK, weight, "start", &text);
            }
            x += width;
        }
    }

    fn single(&self, svg: &mut Svg, area: Area) {
        let numeric = self.columns.iter().position(|column| column.numeric).unwrap_or(0);
        let cell = self.rows.first().and_then(|row| row.get(numeric));
        let text = cell.map_or("", |cell| cell.rendered.as_str());
        let (x, y) = (area.x + area.width / 2.0, area.y + area.height / 2.0);
        svg.text(x, y + 8.0, 40.0, INK, "bold", "middle", &fit(text, area.width, 40.0));
        let label = self.columns.get(numeric).map_or("", |column| column.label.as_str());
        svg.text(x, y + 34.0, 13.0, FAINT, "normal", "middle", label);
    }

    /// What a chart draws: a name for each row, and the columns of the first measure.
    fn series(&self) -> (Vec<String>, Vec<Series<'_>>) {
        let dimensions: Vec<usize> =
            (0..self.columns.len()).filter(|&n| self.columns[n].dimension).collect();
        let name = |row: &Vec<GridCell>| {
            let texts: Vec<&str> = dimensions
                .iter()
                .filter_map(|&n| row.get(n))
                .map(|cell| cell.rendered.as_str())
                .collect();
            texts.join(" · ")
        };
        let names = self.rows.iter().take(POINTS).map(name).collect();
        // Several measures have several scales; the first is drawn.
        let measures = || self.columns.iter().filter(|column| !column.dimension && !column.total);
        let is_pivoted = measures().any(|column| column.pivot.is_some());
        let of = measures().find(|c| c.label.contains("Revenue")).or_else(|| measures().next());
        let Some(of) = of else { return (names, Vec::new()) };
        let drawn = |column: &&super::GridColumn| {
            !column.dimension && !column.total && column.name == of.name
        };
        let series = (0..self.columns.len()).filter(|&n| drawn(&&self.columns[n])).map(|n| {
            let column = &self.columns[n];
            let value = |row: &Vec<GridCell>| row.get(n).and_then(|cell| cell.number);
            Series {
                name: match &column.pivot {
                    Some(pivot) if is_pivoted => pivot,
                    _ => &column.label,
                },
                values: self.rows.iter().take(POINTS).map(value).collect(),
            }
        });
        (names, series.collect())
    }

    fn upright(&self, svg: &mut Svg, area: Area) {
        let (names, series) = self.series();
        let plot = axes(svg, area, &series);
        let step = plot.width / names.len().max(1) as f64;
        let each = ((names.len() as f64 * 60.0) / plot.width).ceil().max(1.0) as usize;
        for (n, name) in names.iter().enumerate().step_by(each) {
            let x = plot.x + step * (n as f64 + 0.5);
            let text = fit(name, step * each as f64, 10.0);
            svg.text(x, plot.y + plot.height + 14.0, 10.0, FAINT, "normal", "middle", &text);
        }
        let bar = step * 0.8 / series.len().max(1) as f64;
        for (s, one) in series.iter().enumerate() {
            let colour = PALETTE[s % PALETTE.len()];
            let mut points = String::new();
            for (n, value) in one.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let high = plot.height * (value.max(0.0) / plot.max);
                if self.visualization == Visualization::Line {
                    let x = plot.x + step * (n as f64 + 0.5);
                    let _ = write!(points, "{x:.1},{:.1} ", plot.y + plot.height - high);
                } else {
                    let x = plot.x + step * (n as f64 + 0.1) + bar * s as f64;
                    svg.rect(x, plot.y + plot.height - high, bar, high, colour);
                }
            }
            if !points.is_empty() {
                let _ = write!(
                    svg.0,
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
                     points=\"{}\"/>",
                    points.trim_end()
                );
            }
        }
    }

    fn bars(&self, svg: &mut Svg, area: Area) {
        let (names, series) = self.series();
        let max = greatest(&series);
        let left = area.width * 0.28;
        let high = (area.height / names.len().max(1) as f64).min(34.0);
        let Some(one) = series.first() else { return };
        for (n, (name, value)) in names.iter().zip(&one.values).enumerate() {
            let y = area.y + high * n as f64;
            let text = fit(name, left - 8.0, 11.0);
            svg.text(area.x + left - 6.0, y + high * 0.65, 11.0, INK, "normal", "end", &text);
            let value = value.unwrap_or(0.0);
            let wide = (area.width - left - 70.0) * value.max(0.0) / max;
            svg.rect(area.x + left, y + high * 0.15, wide, high * 0.7, PALETTE[0]);
            let x = area.x + left + wide + 4.0;
            svg.text(x, y + high * 0.65, 10.0, FAINT, "normal", "start", &short(value));
        }
    }
}

struct Series<'a> {
    name: &'a str,
    values: Vec<Option<f64>>,
}

#[derive(Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Where a chart's points stand.
struct Plot {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    max: f64,
}

/// Grid lines with their numbers, and the legend.
fn axes(svg: &mut Svg, area: Area, series: &[Series<'_>]) -> Plot {
    let max = greatest(series);
    let plot = Plot {
        x: area.x + 48.0,
        y: area.y + 4.0,
        width: area.width - 56.0,
        height: area.height - 44.0,
        max,
    };
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let y = plot.y + plot.height * (1.0 - share);
        svg.rule(plot.x, y, plot.x + plot.width, y);
        svg.text(plot.x - 6.0, y + 4.0, 10.0, FAINT, "normal", "end", &short(max * share));
    }
    let mut x = plot.x;
    for (n, one) in series.iter().enumerate() {
        let y = area.y + area.height - 6.0;
        svg.rect(x, y - 9.0, 10.0, 10.0, PALETTE[n % PALETTE.len()]);
        svg.text(x + 14.0, y, 10.0, INK, "normal", "start", one.name);
        x += 30.0 + one.name.chars().count() as f64 * 6.2;
    }
    plot
}

/// A round number that no value is over.
fn greatest(series: &[Series<'_>]) -> f64 {
    let values = series.iter().flat_map(|one| one.values.iter().flatten());
    let max = values.fold(0.0_f64, |max, value| max.max(*value));
    if max <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(max.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.iter().map(|step| step * unit).find(|round| *round >= max).unwrap_or(max)
}

/// `12.5k`.
fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        1e9.. => (number / 1e9, "G"),
        1e6.. => (number / 1e6, "M"),
        1e3.. => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let text = format!("{scaled:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Cuts a text that would be wider. Letters of the font are 0.6 of its size on average.
fn fit(text: &str, width: f64, size: f64) -> String {
    let room = (width / (size * 0.6)).floor().max(1.0) as usize;
    if text.chars().count() <= room {
        return text.replace(['\n', '\r'], " ");
    }
    let cut: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{}…", cut.replace(['\n', '\r'], " "))
}

/// The document around groups.
pub(super) fn document(width: f64, height: f64, groups: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"DejaVu Sans, sans-serif\">\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>{groups}</svg>"
    )
}

/// A heading of a page.
#[cfg(feature = "render")]
pub(super) fn heading(title: &str, below: &str) -> String {
    let mut svg = Svg(String::new());
    svg.text(16.0, 34.0, 22.0, INK, "bold", "start", title);
    svg.text(16.0, 54.0, 12.0, FAINT, "normal", "start", below);
    svg.0
}

struct Svg(String);

impl Svg {
    #[allow(clippy::too_many_arguments, reason = "the attributes of the element, each used")]
    fn text(&mut self, x: f64, y: f64, size: f64, fill: &str, weight: &str, to: &str, text: &str) {
        // A control character would make the document unreadable XML.
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        let _ = write!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{fill}\" \
             font-weight=\"{weight}\" text-anchor=\"{to}\">{}</text>",
            escaped(&text)
        );
    }

    fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        let (width, height) = (width.max(0.5), height.max(0.5));
        let _ = write!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{fill}\"/>"
        );
    }

    fn rule(&mut self, from: f64, y: f64, to: f64, y2: f64) {
        let _ = write!(
            self.0,
            "<line x1=\"{from:.1}\" y1=\"{y:.1}\" x2=\"{to:.1}\" y2=\"{y2:.1}\" stroke=\"{RULE}\"/>"
        );
    }
}
