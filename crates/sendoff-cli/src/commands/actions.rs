//! `sendoff actions`.

use std::process::ExitCode;

use sendoff::protocol::{ActionType, Format};
use sendoff::{AnyAction, Download};
use serde::Serialize;

use crate::cli;
use crate::config::Config;
use crate::hub;
use crate::tell::tell;

#[derive(Serialize)]
struct Line {
    name: &'static str,
    label: &'static str,
    types: Vec<&'static str>,
    /// Null where every format is offered.
    formats: Option<Vec<&'static str>>,
    streaming: bool,
}

impl Line {
    fn of(action: &dyn AnyAction) -> Self {
        let spec = action.spec();
        Self {
            name: spec.name,
            label: spec.label,
            types: types(spec.accepts),
            formats: formats(spec.formats),
            streaming: spec.download == Download::Url,
        }
    }

    fn cells(&self) -> [String; 5] {
        let formats = in_words(self.formats.as_deref(), " ");
        let streaming = if self.streaming { "yes" } else { "no" };
        [self.name.into(), self.label.into(), self.types.join(" "), streaming.into(), formats]
    }
}

/// The names of what can be sent.
pub(super) fn types(types: &[ActionType]) -> Vec<&'static str> {
    types.iter().map(|kind| kind.as_str()).collect()
}

/// The names of the formats offered, unless every one is.
pub(super) fn formats(formats: Option<&[Format]>) -> Option<Vec<&'static str>> {
    formats.map(|formats| formats.iter().map(|format| format.as_str()).collect())
}

pub(super) fn in_words(formats: Option<&[&str]>, between: &str) -> String {
    match formats {
        None => "all".to_owned(),
        Some([]) => "none".to_owned(),
        Some(formats) => formats.join(between),
    }
}

/// Prints the actions on offer as a table or JSON.
pub(crate) fn list(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let actions = hub::actions(config);
    // Not among what is printed: scripts read that.
    for sentence in hub::without_client(config) {
        tell!("{sentence}");
    }
    let lines: Vec<_> = actions.iter().map(|action| Line::of(action.as_ref())).collect();
    if json {
        let text = serde_json::to_string_pretty(&lines)?;
        return cli::print(format!("{text}\n").as_bytes());
    }
    let mut rows = vec![["NAME", "LABEL", "TYPES", "STREAMING", "FORMATS"].map(String::from)];
    rows.extend(lines.iter().map(Line::cells));
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    cli::print(text.as_bytes())
}
