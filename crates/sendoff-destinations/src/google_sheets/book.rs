//! Which spreadsheet is meant: by its address, or by folder and name; found, or made.

use sendoff::{Error, Field, Http, Item, Result, Stop, View};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use super::api::{self, Book};
use super::{Form, Overwrite, VENDOR};
use crate::google_drive::api::{self as drive, everywhere};
use crate::google_drive::file::{DELIVERY, KNOWN_AS, known_as, replaceable};
use crate::google_drive::place::{Folder, Place};
use crate::shared::file_options;
use crate::shared::google::Google;
use crate::shared::object_store::{certain, in_doubt};
use crate::shared::template::Facts;

const SPREADSHEET: &str = "application/vnd.google-apps.spreadsheet";

/// What the form says.
#[derive(Debug)]
pub(super) enum Which {
    /// By its id, and the tab that its address shows.
    Address(String, Option<u32>),
    Named(Place, String),
}

/// The spreadsheet that is written to.
pub(super) struct Found {
    pub(super) book: Book,
    /// Nobody has it but us.
    pub(super) made: bool,
    /// How many others of its name there are.
    others: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    app_properties: Map<String, Value>,
}

#[derive(Deserialize)]
struct Files {
    files: Vec<File>,
}

impl Which {
    pub(super) fn of(form: &Form, facts: &Facts) -> Result<Self> {
        if let Some(text) = form.spreadsheet.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
            if form.overwrite == Overwrite::No {
                return Err(Error::form(
                    "overwrite",
                    "A new spreadsheet each time cannot be the one whose address is given. Leave \
                     the address empty, or choose another answer.",
                ));
            }
            let (id, tab) = address(text)?;
            return Ok(Self::Address(id, tab));
        }
        let name = file_options::target(None, form.filename.as_deref(), facts)?;
        Ok(Self::Named(Place::of(&form.folder)?, stem(name.as_str()).to_owned()))
    }

    /// The same while the form is drawn, as far as a tab is to be chosen and the name is known
    /// before the delivery.
    pub(super) fn shown(form: &View<Form>) -> Option<Result<Self>> {
        let given = |field: &Field| {
            field.value().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        if let Some(text) = given(&form.spreadsheet) {
            return Some(address(&text).map(|(id, tab)| Self::Address(id, tab)));
        }
        let there = form.overwrite.value().is_none_or(|wish| matches!(wish, "yes" | "append"));
        let name = given(&form.filename).filter(|name| there && !name.contains(['{', '}']))?;
        // What is wrong with the folder is said beside it.
        let place = Place::shown(&form.folder).ok()?;
        Some(Ok(Self::Named(place, stem(&name).to_owned())))
    }

    /// The title of the spreadsheet and its tabs; `None` if there is none of the name.
    pub(super) async fn listed(self, google: &Google) -> Result<Option<(String, Vec<Item>)>> {
        let id = match self {
            Self::Address(id, _) => id,
            Self::Named(place, name) => {
                let folder = place.found(google).await?;
                let found = existing(google, &folder, &name).await?;
                let Some(file) = found.into_iter().next() else { return Ok(None) };
                file.id
            }
        };
        let book = api::book(google, &id).await?;
        let shown = book.grids().filter(|(tab, _)| !tab.hidden);
        let tabs = shown.map(|(tab, _)| Item::new(format!("gid={}", tab.id), &tab.title)).collect();
        Ok(Some((book.title().to_owned(), tabs)))
    }

    /// The tab that the address shows.
    pub(super) fn tab(&self) -> Option<u32> {
        match self {
            Self::Address(_, tab) => *tab,
            Self::Named(..) => None,
        }
    }

    pub(super) async fn open(self, google: &Google, wish: Overwrite, stop: &Stop) -> Result<Found> {
        let (place, name) = match self {
            Self::Address(id, _) => {
                let book = api::book(google, &id).await?;
                return Ok(Found { book, made: false, others: 0 });
            }
            Self::Named(place, name) => (place, name),
        };
        let folder = place.found(google).await?;
        let mut found = match wish {
            Overwrite::No => Vec::new(),
            Overwrite::Yes | Overwrite::Append | Overwrite::NewTab => {
                existing(google, &folder, &name).await?
            }
        };
        if !found.is_empty() {
            let file = found.swap_remove(0);
            let others = found.iter().filter(|other| other.name == file.name).count();
            let book = api::book(google, &file.id).await?;
            return Ok(Found { book, made: false, others });
        }
        let id = make(google, &folder, &name, wish != Overwrite::No, stop).await?;
        match api::book(google, &id).await {
            Ok(book) => Ok(Found { book, made: true, others: 0 }),
            Err(error) => Err(trashed(google, &id, error).await),
        }
    }
}

impl Found {
    pub(super) fn link(&self, tab: u32) -> String {
        format!("https://docs.google.com/spreadsheets/d/{}/edit#gid={tab}", self.book.id)
    }

    pub(super) fn remark(&self) -> Option<String> {
        (self.others > 0).then(|| {
            format!(
                "{} spreadsheets of this name are there; the one changed last was written to.",
                self.others + 1
            )
        })
    }

    /// The error of a delivery that failed, after what was made for it was put away.
    pub(super) async fn undone(&self, google: &Google, error: Error) -> Error {
        match self.made && error.arrival() != sendoff::Arrival::Maybe {
            true => trashed(google, &self.book.id, error).await,
            false => error,
        }
    }
}

/// The id in an address, or the id itself; and the tab that the address shows.
fn address(text: &str) -> Result<(String, Option<u32>)> {
    let wrong = || {
        Error::form(
            "spreadsheet",
            "This is no address of a spreadsheet. Open it in a browser and copy the address: it \
             holds /spreadsheets/d/ and the spreadsheet's id.",
        )
    };
    if drive::is_id(text) {
        return Ok((text.to_owned(), None));
    }
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("https://{text}")),
    };
    let url = url.map_err(|_| wrong())?;
    let names: Vec<_> = url.path_segments().into_iter().flatten().collect();
    let after = names.iter().position(|name| *name == "d").and_then(|at| names.get(at + 1));
    let id = after.filter(|id| drive::is_id(id)).ok_or_else(wrong)?;
    let shown = [url.fragment(), url.query()].into_iter().flatten();
    let tab = shown.flat_map(|part| part.split('&')).find_map(|part| part.strip_prefix("gid="));
    Ok(((*id).to_owned(), tab.and_then(|tab| tab.parse().ok())))
}

/// A spreadsheet's name: it has no ending.
fn stem(name: &str) -> &str {
    let stem = [".csv", ".json"].into_iter().find_map(|ending| name.strip_suffix(ending));
    stem.filter(|stem| !stem.is_empty()).unwrap_or(name)
}

/// The spreadsheets that may be meant, the best first.
async fn existing(google: &Google, folder: &Folder, name: &str) -> Result<Vec<File>> {
    let key = known_as(folder, name);
    // The reference hub's have the ending of the data that they were made from.
    let which = replaceable(folder, &key, &[name, &format!("{name}.csv")]);
    let query = format!("trashed = false and mimeType = '{SPREADSHEET}' and {which}");
    let query = [
        ("q", query.as_str()),
        ("orderBy", "modifiedTime desc"),
        ("pageSize", "100"),
        ("fields", "files(id,name,appProperties)"),
    ];
    let found: Files = drive::files(google, folder.drive.as_deref(), &query).await?;
    let mut files = found.files;
    // Stable: among equals the one changed last stays first.
    files.sort_by_key(|file| {
        let ours = file.app_properties.get(KNOWN_AS) == Some(&json!(key));
        (!ours, file.name != name)
    });
    Ok(files)
}

/// Makes an empty spreadsheet. `kept` says that the next delivery looks for it.
async fn make(
    google: &Google,
    folder: &Folder,
    name: &str,
    kept: bool,
    stop: &Stop,
) -> Result<String> {
    let delivery = Uuid::new_v4().simple().to_string();
    let mut own = json!({DELIVERY: delivery});
    if kept {
        own[KNOWN_AS] = json!(known_as(folder, name));
    }
    let body = json!({
        "name": name, "mimeType": SPREADSHEET, "parents": [folder.id], "appProperties": own,
    });
    let url = format!("{}/files", drive::URL);
    let call = |http: &Http| everywhere(http.post(&url).query([("fields", "id")])).json(&body);
    let made = match google.ask(call).await {
        Ok(reply) => reply.json::<File>().await,
        Err(error) => Err(error),
    };
    let error = match made {
        Ok(file) => return Ok(file.id),
        Err(error) if in_doubt(&error) && error.http_status() != Some(404) => error,
        Err(error) => return Err(error),
    };
    // It may be there all the same.
    let query = format!(
        "trashed = false and appProperties has {{ key='{DELIVERY}' and value='{delivery}' }}"
    );
    let query = [("q", query.as_str()), ("fields", "files(id)")];
    let hurried = google.last_words();
    match drive::files::<Files>(&hurried, folder.drive.as_deref(), &query).await {
        Ok(found) => match found.files.into_iter().next() {
            Some(file) => Ok(file.id),
            None => Err(certain(VENDOR.name, error, "the new spreadsheet", stop).await),
        },
        Err(why) => {
            tracing::info!(reason = %why.log_line(), "Google did not say what it holds");
            Err(error)
        }
    }
}

/// Puts a spreadsheet that was made for this delivery into the bin.
async fn trashed(google: &Google, id: &str, error: Error) -> Error {
    let url = format!("{}/files/{id}", drive::URL);
    let call =
        |http: &Http| everywhere(http.patch(&url)).json(&json!({"trashed": true})).repeatable();
    match google.last_words().ask(call).await {
        Ok(_) => error,
        Err(why) => {
            tracing::warn!(reason = %why.log_line(), "an empty spreadsheet could not be put away");
            error.remark("An empty spreadsheet of this name is left; delete it.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1AbC_dEf-GhIjKlMnOpQrStUvWxYz0123";

    #[test]
    fn a_spreadsheet_is_found_in_every_address_that_a_browser_shows() {
        for (text, tab) in [
            (ID.to_owned(), None),
            (format!("https://docs.google.com/spreadsheets/d/{ID}/edit#gid=17"), Some(17)),
            (format!("https://docs.google.com/spreadsheets/u/1/d/{ID}/edit?gid=3#gid=4"), Some(4)),
            (format!("docs.google.com/spreadsheets/d/{ID}"), None),
        ] {
            assert_eq!(address(&text).expect("an address"), (ID.to_owned(), tab), "{text}");
        }
        for text in ["orders", "https://docs.google.com/document/x", "https://a.example/d/a'b"] {
            let error = address(text).expect_err(text);
            assert_eq!(error.field_name(), Some("spreadsheet"));
        }
    }
}
