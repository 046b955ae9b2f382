//! `sendoff explain`: what a check is about, without any hub.

use std::fmt::Write;
use std::process::ExitCode;

use sendoff_workbench::check;

use crate::tell::tell;
use crate::{cli, config};

/// Prints the page of one check, or the ids of all or of those that begin so.
pub(crate) fn explain(id: Option<&str>) -> anyhow::Result<ExitCode> {
    let id = id.unwrap_or_default().trim_matches('/').to_lowercase();
    if let Some(check) = check::find(&id) {
        return cli::print(check::explain(check).as_bytes());
    }
    let mut list = String::new();
    for check in check::all().filter(|check| id.is_empty() || check.begins(&id)) {
        writeln!(list, "{:<40} {} {}", check.id, check.strength, check.title)?;
    }
    if !list.is_empty() {
        return cli::print(list.as_bytes());
    }
    let areas = check::all().map(|check| check.area().to_owned());
    let known = check::all().map(|check| check.id.to_owned()).chain(areas);
    let near = config::closest(&id, known);
    let near = near.map(|near| format!(" Did you mean `{near}`?")).unwrap_or_default();
    tell!("No check has the id `{id}`.{near} `sendoff explain` lists all.");
    Ok(ExitCode::from(2))
}
