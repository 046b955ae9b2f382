//! `sendoff explain`: what a check is about, without any hub.

use std::fmt::Write;
use std::process::ExitCode;

use sendoff_workbench::check;

use crate::cli;
use crate::tell::tell;

/// Prints the page of one check, or the ids of all.
pub(crate) fn explain(id: Option<&str>) -> anyhow::Result<ExitCode> {
    let Some(id) = id else {
        let mut list = String::new();
        for check in check::all() {
            writeln!(list, "{:<40} {} {}", check.id, check.strength, check.title)?;
        }
        return cli::print(list.as_bytes());
    };
    if let Some(check) = check::find(id) {
        return cli::print(check::explain(check).as_bytes());
    }
    let near = check::all()
        .max_by(|a, b| strsim::jaro_winkler(a.id, id).total_cmp(&strsim::jaro_winkler(b.id, id)));
    let near = near.map_or("", |check| check.id);
    tell!("No check has the id `{id}`. Did you mean `{near}`? `sendoff explain` lists all.");
    Ok(ExitCode::from(2))
}
