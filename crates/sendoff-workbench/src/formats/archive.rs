//! csv_zip: a dashboard as a zip of one CSV per tile, written without seeking.

use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{Pipe, Run};
use crate::look::Dashboard;
use crate::warehouse::DataError;

impl Run {
    /// `dashboard-<slug>/<tile title>.csv`, and `filters_applied.csv` when there are filters. **C**
    pub(super) fn archive(
        &mut self,
        dashboard: &Dashboard,
        out: &mut Pipe,
    ) -> Result<(), DataError> {
        let folder = format!("dashboard-{}", dashboard.slug);
        let mut zip = ZipWriter::new_stream(out);
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        let mut names: Vec<String> = Vec::new();
        for tile in dashboard.filtered_tiles() {
            let mut name = file_name(tile.title());
            // Two tiles may have one title.
            for n in 2.. {
                if !names.contains(&name) {
                    break;
                }
                name = format!("{}_{n}", file_name(tile.title()));
            }
            zip.start_file(format!("{folder}/{name}.csv"), options).map_err(archive)?;
            names.push(name);
            self.separated(&tile, ',', &mut zip)?;
        }
        if !dashboard.filters.is_empty() {
            zip.start_file(format!("{folder}/filters_applied.csv"), options).map_err(archive)?;
            zip.write_all(b"Filter,Value\n")?;
            for filter in &dashboard.filters {
                let value = if filter.value.is_empty() { "is any value" } else { &filter.value };
                writeln!(zip, "{},{}", quoted(&filter.title), quoted(value))?;
            }
        }
        zip.finish().map_err(archive)?;
        Ok(())
    }
}

/// The seen names are titles in lower case with underscores. **C**
fn file_name(title: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '_' };
    title.to_lowercase().chars().map(letter).take(80).collect()
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn archive(error: zip::result::ZipError) -> DataError {
    match error {
        zip::result::ZipError::Io(error) => error.into(),
        error => DataError::Io(std::io::Error::other(error)),
    }
}
