//! Folder, name and what to do with a file of that name: the same three fields wherever a
//! destination writes files.

use jiff::Timestamp;
use sendoff::prelude::*;
use uuid::Uuid;

use super::file_path::FilePath;
use super::template::{self, Facts};

/// Fields to flatten into the form of a destination that writes files.
#[derive(Fields)]
pub(crate) struct FileOptions {
    /// The folder. May hold placeholders: {title}, {date} or {date:%Y/%m/%d}, {time}, {ts}
    /// (milliseconds since 1970), {uuid}, {ext}, {format}, {plan_id}, {instance}. Times are in the
    /// query's time zone unless one is named: {date:%d@Europe/Berlin}.
    path: Option<String>,
    /// The name of the file; placeholders as in the path. The extension is added if there is none.
    /// Leave empty for the title.
    filename: Option<String>,
    /// What to do if a file of that name is there already.
    #[field(label = "If It Exists", default = "overwrite")]
    if_exists: IfExists,
}

/// What to do if a file of that name is there already.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfExists {
    /// Replaces it, which is what schedules expect.
    Overwrite,
    /// Takes the next free name, see [`FilePath::numbered`].
    KeepBoth,
    /// Delivers nothing.
    Fail,
}

impl FileOptions {
    /// Where the file goes.
    ///
    /// # Errors
    /// A form error at the field that is wrong.
    pub(crate) fn target<S>(&self, cx: &Context<S>, data: &Payload) -> Result<FilePath> {
        target(self.path.as_deref(), self.filename.as_deref(), &Facts::of(cx, data))
    }

    /// What to do if it is there already.
    pub(crate) fn if_exists(&self) -> IfExists {
        self.if_exists
    }
}

impl IfExists {
    /// The error for [`IfExists::Fail`] when `path` is there.
    pub(crate) fn refusal(path: &FilePath) -> Error {
        Error::form(
            "filename",
            format!(
                "{path} is there already, and the form says to fail then. Choose another name, or \
                 another answer to \"If It Exists\"."
            ),
        )
        .status(409)
    }

    /// The error for [`IfExists::KeepBoth`] when no name is free.
    pub(crate) fn no_free_name(path: &FilePath) -> Error {
        Error::form(
            "filename",
            format!(
                "{path} and {} numbered names after it are taken. Put {{date}} or {{uuid}} into \
                 the name, or tidy up the folder.",
                Self::MOST_NUMBERED - 1
            ),
        )
        .status(409)
    }

    /// How many names [`IfExists::KeepBoth`] tries.
    pub(crate) const MOST_NUMBERED: u32 = 1000;
}

impl Facts {
    /// What is known of a delivery, now.
    pub(crate) fn of<S>(cx: &Context<S>, data: &Payload) -> Self {
        let plan = cx.plan();
        Self {
            title: plan.and_then(|plan| plan.title.as_ref()).map(ToString::to_string),
            plan_id: plan.and_then(|plan| plan.scheduled_plan_id.as_ref()).map(ToString::to_string),
            instance: cx.instance().map(str::to_owned),
            format: data.format().map(Format::as_str),
            extension: data.extension().map(|ext| ext.trim_start_matches('.').to_owned()),
            now: Timestamp::now().to_zoned(cx.time_zone()),
            uuid: Uuid::new_v4(),
        }
    }
}

/// The file that the answers to `path` and `filename` name. For destinations whose form has these
/// fields at other places than [`FileOptions`] would put them.
///
/// # Errors
/// A form error at the field that is wrong.
pub(crate) fn target(
    path: Option<&str>,
    filename: Option<&str>,
    facts: &Facts,
) -> Result<FilePath> {
    let name = match given(filename) {
        Some(name) => template::expand(name, facts).map_err(|why| Error::form("filename", why))?,
        None => suggested(facts),
    };
    // Checked on its own, so that the error stands at the field that holds it, and before an
    // extension could make a name out of "..".
    let name = FilePath::new(&name)
        .and_then(|name| FilePath::new(&with_extension(name, facts)))
        .map_err(|why| Error::form("filename", why))?;
    let Some(folder) = given(path) else { return Ok(name) };
    let folder = template::expand(folder, facts).map_err(|why| Error::form("path", why))?;
    // Folders are often written with a slash at their end; "/" alone is the root.
    let whole = match folder.strip_suffix('/').unwrap_or(&folder) {
        "" => format!("/{name}"),
        folder => {
            FilePath::new(folder).map_err(|why| Error::form("path", why))?;
            format!("{folder}/{name}")
        }
    };
    FilePath::new(&whole).map_err(|why| Error::form("path", why))
}

fn given(answer: Option<&str>) -> Option<&str> {
    answer.map(str::trim).filter(|text| !text.is_empty())
}

/// The name for a file that nobody named: the reference hub's rule.
fn suggested(facts: &Facts) -> String {
    let stem = facts.title().unwrap_or_else(|| Facts::nameless(facts.now.timestamp()));
    match &facts.extension {
        Some(extension) => format!("{stem}.{}", template::plain(extension)),
        None => stem,
    }
}

/// `name`, with the data's extension if it has none of its own.
///
/// An extension is a dot and up to eight letters and digits that are not all digits, so that
/// `sales 2026.11` gets one and `archive.7z` keeps its own.
fn with_extension(path: FilePath, facts: &Facts) -> String {
    let has_own = path.name().rsplit_once('.').is_some_and(|(stem, tail)| {
        !stem.is_empty()
            && (1..=8).contains(&tail.len())
            && tail.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && tail.bytes().any(|byte| byte.is_ascii_alphabetic())
    });
    let slash = if path.rooted() { "/" } else { "" };
    let extension = facts.extension.as_deref().map(template::plain).unwrap_or_default();
    if has_own || extension.is_empty() {
        return format!("{slash}{path}");
    }
    let dot = if path.name().ends_with('.') { "" } else { "." };
    format!("{slash}{path}{dot}{extension}")
}

#[cfg(test)]
mod tests;
