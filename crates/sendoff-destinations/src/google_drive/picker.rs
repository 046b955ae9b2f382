//! The form's lists: drives, and one level of folders at a time. All that Google is asked, it is
//! asked at once, and no list is ever read whole.

use sendoff::{Choices, Context, Error, Field, Item, Listing, Page, Paging, Result, View};
use serde::{Deserialize, Serialize};

use super::Settings;
use super::api::{self, Entry, FOLDER, MY_DRIVE, ROOT};
use super::place::{Find, FolderChoice, OWN_FILES_ONLY, Place};
use crate::shared::google::{Domains, Google};

/// What one level shows at most.
const SHOWN: &str = "200";

/// Completes the fields that choose a folder, and those to find it by.
pub(crate) async fn draw(
    cx: &Context<Settings>,
    google: &Google,
    form: &mut View<FolderChoice>,
    find: &mut View<Find>,
) -> Result<()> {
    if google.sees_own_files_only() {
        draw_without_folders(form, find);
        return allowed(cx, google).await;
    }
    let drive = form.drive.value().unwrap_or(MY_DRIVE).to_owned();
    let by_list = form.fetchpls.value() == Some("fetch");
    let search = find.find_folder.value().map(str::trim).unwrap_or_default().to_owned();
    let picked = form.folder.value().filter(|id| *id != ROOT && api::is_id(id)).map(str::to_owned);
    let address = form.folderid.value().map(str::to_owned);
    let level = async {
        if !by_list {
            return Ok(Level::default());
        }
        let question = format!("folders {drive} {picked:?} {search}");
        let level = Level::read(google, &drive, picked.as_deref(), &search);
        cx.remember(&question, Box::pin(level)).await
    };
    let named = async {
        match &address {
            Some(address) if !by_list => Some(Box::pin(named(google, &drive, address)).await),
            _ => None,
        }
    };
    let drives = cx.remember("drives", Box::pin(drives(google)));
    let (allowed, drives, level, named) =
        futures_util::join!(Box::pin(allowed(cx, google)), drives, level, named);
    allowed?;
    let drives = login_goes_on(drives)?;
    let mut listing = drives.unwrap_or_else(|error| Listing {
        items: Vec::new(),
        cut: Some(format!("No shared drives can be shown: {}", error.message())),
    });
    listing.items.insert(0, Item::new(MY_DRIVE, "My Drive"));
    Choices::of("drives", listing).searched(&mut form.drive, &mut find.find_drive);
    if by_list {
        form.folderid.hide();
        show(&mut form.folder, login_goes_on(level)?, picked.as_deref());
    } else {
        form.folder.hide();
        find.find_folder.hide();
        if let Some(named) = named {
            match login_goes_on(named)? {
                Ok(name) => form.folderid.remark(&format!("This is {name}.")),
                Err(error) => form.folderid.remark(error.message()),
            }
        }
    }
    Ok(())
}

/// Nothing can be listed where the hub sees its own files alone.
fn draw_without_folders(form: &mut View<FolderChoice>, find: &mut View<Find>) {
    if form.drive.value().is_some_and(|drive| drive != MY_DRIVE) {
        form.drive.forget();
    }
    form.drive.select([(MY_DRIVE, "My Drive")]);
    form.drive.remark(OWN_FILES_ONLY);
    let hidden = [&mut form.folderid, &mut form.fetchpls, &mut form.folder];
    hidden.into_iter().for_each(Field::hide);
    find.find_folder.hide();
    find.find_drive.hide();
}

/// A login that is over ends the form, whatever else could be shown.
pub(crate) fn login_goes_on<T>(answer: Result<T>) -> Result<Result<T>> {
    match answer {
        Err(error) if error.class() == sendoff::Class::Login => Err(error),
        // The setting is wrong, so that nothing would help.
        Err(error) if error.field_name() == Some("service_account_json") => Err(error),
        other => Ok(other),
    }
}

async fn allowed(cx: &Context<Settings>, google: &Google) -> Result<()> {
    let domains = cx.settings.domains();
    if cx.settings.by_key() || domains == Domains::default() {
        return Ok(());
    }
    cx.remember("account", google.account()).await?.check(&domains)
}

async fn drives(google: &Google) -> Result<Listing> {
    Listing::paged("shared drives", Paging::default(), |next| page_of_drives(google, next)).await
}

async fn page_of_drives(google: &Google, next: Option<String>) -> Result<Page> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Drives {
        #[serde(default)]
        drives: Vec<Drive>,
        next_page_token: Option<String>,
    }
    #[derive(Deserialize)]
    struct Drive {
        id: String,
        name: String,
    }
    let url = format!("{}/drives", api::URL);
    let mut query = vec![("pageSize", "100"), ("fields", "drives(id,name),nextPageToken")];
    query.extend(next.as_deref().map(|token| ("pageToken", token)));
    let reply = google.ask(|http| http.get(&url).query(query.iter().copied())).await?;
    let page: Drives = reply.json().await?;
    let items = page.drives.into_iter().map(|drive| Item::new(drive.id, drive.name)).collect();
    Ok(Page { items, next: page.next_page_token })
}

/// The name of the folder that an address leads to.
async fn named(google: &Google, drive: &str, address: &str) -> Result<String> {
    let folder = Place::address(drive, address)?.found(google).await?;
    Ok(folder.name)
}

/// One level of a drive.
#[derive(Default, Deserialize, Serialize)]
struct Level {
    /// The folder whose content is shown; `None` for the drive itself.
    here: Option<Entry>,
    folders: Listing,
}

impl Level {
    async fn read(
        google: &Google,
        drive: &str,
        picked: Option<&str>,
        search: &str,
    ) -> Result<Self> {
        let Some(picked) = picked else {
            let folders = folders(google, drive, top(drive), search).await?;
            return Ok(Self { here: None, folders });
        };
        let (here, inside) =
            futures_util::join!(api::entry(google, picked), folders(google, drive, picked, search));
        // It may lie in the drive that was chosen before, or be gone.
        match (here, inside) {
            (Ok(here), Ok(folders)) if here.is_folder() && lies_in(&here, drive) => {
                Ok(Self { here: Some(here), folders })
            }
            (Err(error), _) | (_, Err(error)) if error.http_status() != Some(404) => Err(error),
            _ => {
                Ok(Self { here: None, folders: folders(google, drive, top(drive), search).await? })
            }
        }
    }
}

fn top(drive: &str) -> &str {
    if drive == MY_DRIVE { ROOT } else { drive }
}

fn lies_in(entry: &Entry, drive: &str) -> bool {
    match &entry.drive_id {
        Some(id) => id == drive,
        None => drive == MY_DRIVE,
    }
}

/// The folders in `parent`, or those of the whole drive whose name begins with `search`.
async fn folders(google: &Google, drive: &str, parent: &str, search: &str) -> Result<Listing> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Found {
        files: Vec<Named>,
        next_page_token: Option<String>,
    }
    #[derive(Deserialize)]
    struct Named {
        id: String,
        name: String,
    }
    if drive != MY_DRIVE && !api::is_id(drive) {
        return Err(Error::form("drive", "Choose a drive from the list."));
    }
    let which = match search {
        "" => format!("{} in parents", api::quoted(parent)),
        search => format!("name contains {}", api::quoted(search)),
    };
    let query = format!("mimeType = '{FOLDER}' and trashed = false and {which}");
    let query = [
        ("q", query.as_str()),
        ("orderBy", "name"),
        ("pageSize", SHOWN),
        ("fields", "files(id,name),nextPageToken"),
    ];
    let shared = (drive != MY_DRIVE).then_some(drive);
    let found: Found = api::files(google, shared, &query).await?;
    let cut = found.next_page_token.map(|_| format!("Only the first {SHOWN} folders are shown."));
    let items = found.files.into_iter().map(|file| Item::new(file.id, file.name)).collect();
    Ok(Listing { items, cut })
}

fn show(field: &mut Field, level: Result<Level>, picked: Option<&str>) {
    let level = match level {
        Ok(level) => level,
        Err(error) => {
            field.remark(&format!("No folders can be shown: {}", error.message()));
            Level::default()
        }
    };
    let mut choices = Vec::new();
    if let Some(here) = &level.here {
        choices.push((here.id.clone(), format!("{} (chosen)", here.name)));
        if let Some(above) = here.parents.first() {
            choices.push((above.clone(), "Back to the folder above".to_owned()));
        }
    } else if picked.is_some() {
        field.forget();
    }
    choices.push((ROOT.to_owned(), "Drive Root".to_owned()));
    let Listing { items, cut } = level.folders;
    for item in items {
        if choices.iter().all(|(id, _)| *id != item.id) {
            choices.push((item.id, item.label));
        }
    }
    if let Some(cut) = cut {
        field.remark(&format!("{cut} Type how a name begins into \"Find Folder\" to find others."));
    }
    let chosen = level.here.map_or(ROOT.to_owned(), |here| here.id);
    field.select(choices);
    *field = field.clone().default(chosen);
}
