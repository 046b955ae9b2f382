//! What is sent: a file as it is or as a table, or something of the demo data.

use std::path::{Path, PathBuf};

use sendoff_protocol::{Definition, Format};
use sendoff_workbench::instance::{Hub, Instance, ReplayData, What};
use sendoff_workbench::recording::Recorded;
use sendoff_workbench::{Call, Source, is_named_parquet};

use super::Stop;
use super::args::SendArgs;

/// The content, and its format where the file decides it.
pub(super) async fn what(
    looker: &Instance,
    args: &SendArgs,
    definition: &Definition,
) -> Result<(What, Option<Format>), Stop> {
    if let Some(path) = &args.data {
        return file(looker, path, args.format, definition).await;
    }
    let what = match (&args.sql, &args.look, &args.dashboard, &args.cell, args.generate) {
        (Some(sql), ..) => What::Sql(sql.clone()),
        (_, Some(slug), ..) => What::Look(slug.clone()),
        (_, _, Some(slug), ..) => What::Dashboard(slug.clone()),
        (_, _, _, Some(value), _) => What::Cell {
            value: value.clone(),
            rendered: args.rendered.clone().unwrap_or_else(|| value.clone()),
        },
        (.., Some(bytes)) => What::Generated { bytes, seed: args.seed },
        _ => return Err(Stop::usage("What is to be sent?")),
    };
    Ok((what, args.format))
}

/// The data of a recorded delivery that the hub fetched: what was given, else what stands in the
/// recording behind it.
pub(super) async fn of_replay(
    looker: &Instance,
    hub: &Hub,
    args: &SendArgs,
    recorded: &Recorded,
    next: Option<&Recorded>,
) -> Result<Option<ReplayData>, Stop> {
    if args.has_data() {
        let name = recorded.action.as_deref().unwrap_or_default();
        let definition = looker.action(&hub.action(name))?.definition;
        let (what, format) = what(looker, args, &definition).await?;
        return Ok(Some(ReplayData::Other(what, format)));
    }
    let fetched = next.filter(|next| next.call == Call::Download);
    let answer = fetched.and_then(|fetched| fetched.response.as_ref());
    let whole = answer.filter(|answer| answer.status == 200 && !answer.body.cut);
    Ok(whole.map(|answer| ReplayData::Recorded(answer.body.kept().into())))
}

/// How many bytes of data there will be, where that is known before.
pub(super) async fn total(what: &What) -> Option<u64> {
    match what {
        What::Generated { bytes, .. } => Some(*bytes),
        What::File(path) => {
            let data = tokio::fs::metadata(path).await.ok()?;
            data.is_file().then_some(data.len())
        }
        _ => None,
    }
}

/// As it is where its ending is that of the format; a CSV else becomes a table, and so does a Parquet
/// file, which is no format of Looker's.
async fn file(
    looker: &Instance,
    path: &Path,
    asked: Option<Format>,
    definition: &Definition,
) -> Result<(What, Option<Format>), Stop> {
    if path == Path::new("-") {
        let Some(format) = asked else {
            return Err(Stop::usage("Data from stdin has no ending: give its --format."));
        };
        return Ok((What::File(PathBuf::from("/dev/stdin")), Some(format)));
    }
    if let Err(error) = tokio::fs::metadata(path).await {
        return Err(Stop::usage(format!("{} cannot be read: {error}.", path.display())));
    }
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let takes = |format: &Format| {
        definition.supported_formats.as_ref().is_none_or(|list| list.contains(format))
    };
    let of_file = || Format::ALL.into_iter().filter(|format| format.extension() == ending);
    let format = match asked {
        Some(format) => Some(format).filter(|format| format.extension() == ending),
        None => of_file().find(takes),
    };
    if let Some(format) = format {
        return Ok((What::File(path.to_owned()), Some(format)));
    }
    if ending == "csv" || is_named_parquet(&format!(".{ending}")) {
        return Ok((table(looker, path).await?, asked));
    }
    Err(Stop::usage(match (asked, of_file().next()) {
        (Some(format), _) => format!(
            "{} is not made into {format}: its ending is not `.{}`, and only CSV and Parquet are \
             made into other formats.",
            path.display(),
            format.extension()
        ),
        (None, Some(format)) => format!("The action `{}` does not take {format}.", definition.name),
        (None, None) => format!("The format of {} is not known: give --format.", path.display()),
    }))
}

async fn table(looker: &Instance, path: &Path) -> Result<What, Stop> {
    let cannot = |error: &dyn std::fmt::Display| {
        Stop::usage(format!("{} cannot be read: {error}", path.display()))
    };
    let file = Source::file(path).await.map_err(|error| cannot(&error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let imported = looker.data().import(&name, file).await;
    Ok(What::Table(imported.map_err(|error| cannot(&error))?.table))
}
