//! Which folder a form means, in every way that it can be named.

use sendoff::prelude::*;
use url::Url;

use super::api::{self, MY_DRIVE, ROOT};
use crate::shared::google::Google;

/// What the form says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    MyDrive,
    SharedDrive(String),
    /// By its id, and the field that names it.
    Folder(String, &'static str),
}

/// Where the file goes.
pub(crate) struct Folder {
    /// What the file gets as its parent.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The shared drive that it lies in.
    pub(crate) drive: Option<String>,
}

/// The part of a form that names the folder.
#[derive(Fields)]
pub(crate) struct FolderChoice {
    /// Google Drive where your file will be saved
    #[field(label = "Select Drive to save file", interactive, default = "mydrive")]
    pub(crate) drive: String,
    /// The address of the folder as the browser shows it, a link to it, or its id. Leave empty for
    /// the drive itself.
    #[field(label = "Google Drive Destination URL", interactive)]
    pub(crate) folderid: Option<String>,
    /// Fetch folders
    #[field(
        label = "Select Fetch to fetch a list of folders in this drive",
        interactive,
        default = "url"
    )]
    pub(crate) fetchpls: FolderBy,
    /// Choose a folder to see what lies in it; the one chosen last is written to.
    #[field(label = "Select folder to save file", interactive)]
    pub(crate) folder: Option<String>,
}

/// The part of a form that finds what the lists do not show.
#[derive(Fields)]
pub(crate) struct Find {
    /// To find a folder anywhere in the drive: how its name begins.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    pub(crate) find_folder: Option<String>,
    /// A part of a shared drive's name, to find it in a long list.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    pub(crate) find_drive: Option<String>,
}

#[derive(Choice, Clone, Copy, PartialEq)]
pub(crate) enum FolderBy {
    #[choice(name = "url", label = "Enter its address")]
    Url,
    #[choice(name = "fetch", label = "Fetch")]
    Fetch,
}

pub(super) const OWN_FILES_ONLY: &str = "This hub sees only files that it made itself, so that it writes to My Drive and to no folder \
     in it.";

impl Place {
    pub(crate) fn of(form: &FolderChoice) -> Result<Self> {
        let (address, picked) = (form.folderid.as_deref(), form.folder.as_deref());
        Self::named(&form.drive, address, picked, form.fetchpls == FolderBy::Url)
    }

    /// The same while the form is drawn.
    pub(crate) fn shown(form: &View<FolderChoice>) -> Result<Self> {
        let drive = form.drive.value().unwrap_or(MY_DRIVE);
        let by_url = form.fetchpls.value() != Some("fetch");
        Self::named(drive, form.folderid.value(), form.folder.value(), by_url)
    }

    fn named(
        drive: &str,
        address: Option<&str>,
        picked: Option<&str>,
        by_url: bool,
    ) -> Result<Self> {
        let given = |text: Option<&'_ str>| {
            text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (address, picked) = (given(address), given(picked));
        // Forms of old schedules hold one of the two; ours may hold both, and shows one.
        match address.filter(|_| by_url || picked.is_none()) {
            Some(address) => Self::address(drive, &address),
            None => Self::picked(drive, picked.as_deref()),
        }
    }

    /// The drive, or a folder that was picked from its list.
    pub(crate) fn picked(drive: &str, folder: Option<&str>) -> Result<Self> {
        let drive = drive.trim();
        match folder {
            None | Some(ROOT) if drive.is_empty() || drive == MY_DRIVE => Ok(Self::MyDrive),
            // A shared drive's id is the id of its topmost folder.
            None | Some(ROOT) if api::is_id(drive) => Ok(Self::SharedDrive(drive.to_owned())),
            Some(id) if api::is_id(id) => Ok(Self::Folder(id.to_owned(), "folder")),
            Some(_) => Err(Error::form("folder", "Choose a folder from the list.")),
            None => Err(Error::form("drive", "Choose a drive from the list.")),
        }
    }

    /// The folder by its address in a browser, a link to it, or its id.
    pub(crate) fn address(drive: &str, text: &str) -> Result<Self> {
        let wrong = || {
            Error::form(
                "folderid",
                "This is no address of a folder in Google Drive. Open the folder in a browser and \
                 copy the address: it holds /folders/ and the folder's id.",
            )
        };
        let text = text.trim();
        if text.eq_ignore_ascii_case(ROOT) {
            return Self::picked(drive, None);
        }
        if api::is_id(text) && !text.eq_ignore_ascii_case("my-drive") {
            return Ok(Self::Folder(text.to_owned(), "folderid"));
        }
        let url = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("https://{text}")),
        };
        let url = url.map_err(|_| wrong())?;
        let names: Vec<_> = url.path_segments().into_iter().flatten().collect();
        if names.last().is_some_and(|last| *last == "my-drive") {
            return Ok(Self::MyDrive);
        }
        let after =
            names.iter().position(|name| *name == "folders").and_then(|at| names.get(at + 1));
        let id = after.map(|id| (*id).to_owned()).or_else(|| {
            let pair = url.query_pairs().find(|(name, _)| name == "id");
            pair.map(|(_, id)| id.into_owned())
        });
        let id = id.filter(|id| api::is_id(id)).ok_or_else(wrong)?;
        Ok(Self::Folder(id, "folderid"))
    }

    /// Looks for it, so that nothing goes to a place that nobody named.
    pub(crate) async fn found(self, google: &Google) -> Result<Folder> {
        if google.sees_own_files_only() {
            return self.without_looking();
        }
        let (id, field) = match self {
            Self::MyDrive => {
                // Everybody's is called `root`, and what is delivered there is known by the id.
                let id = api::entry(google, ROOT).await?.id;
                return Ok(Folder { id, name: "My Drive".into(), drive: None });
            }
            Self::SharedDrive(drive) => {
                let name = "the shared drive".into();
                return Ok(Folder { id: drive.clone(), name, drive: Some(drive) });
            }
            Self::Folder(id, field) => (id, field),
        };
        let entry = api::entry(google, &id).await.map_err(|error| match error.field_name() {
            Some("folderid") => error.field(field),
            _ => error,
        })?;
        if !entry.is_folder() {
            let what = if entry.trashed { "lies in the bin" } else { "is no folder" };
            return Err(Error::form(field, format!("{} {what}. Choose a folder.", entry.name)));
        }
        if entry.capabilities.can_add_children == Some(false) {
            return Err(Error::form(
                field,
                format!(
                    "The account that is used may not put files into {}. Choose another folder, or \
                     ask its owner for the right.",
                    entry.name
                ),
            ));
        }
        Ok(Folder { id: entry.id, name: entry.name, drive: entry.drive_id })
    }

    /// Where a hub may write that sees nothing but its own files. All of those are the user's.
    fn without_looking(self) -> Result<Folder> {
        let field = match self {
            Self::MyDrive => {
                return Ok(Folder { id: ROOT.into(), name: "My Drive".into(), drive: None });
            }
            Self::SharedDrive(_) => "drive",
            Self::Folder(_, field) => field,
        };
        let text = format!(
            "{OWN_FILES_ONLY} Choose My Drive and leave the folder empty, or ask the hub's operator \
             for the scope drive."
        );
        Err(Error::form(field, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1AbC_dEf-GhIjKlMnOpQrStUvWxYz0123";

    #[test]
    fn a_folder_is_found_in_every_address_that_a_browser_shows() {
        for text in [
            ID.to_owned(),
            format!("https://drive.google.com/drive/folders/{ID}"),
            format!("https://drive.google.com/drive/u/1/folders/{ID}?usp=sharing"),
            format!(" https://drive.google.com/open?id={ID} "),
            format!("drive.google.com/drive/folders/{ID}#here"),
            format!("https://drive.google.com/folderview?usp=sharing&id={ID}"),
        ] {
            let found = Place::address("mydrive", &text).expect("a folder");
            assert_eq!(found, Place::Folder(ID.into(), "folderid"), "{text}");
        }
        let home = "https://drive.google.com/drive/u/0/my-drive";
        assert_eq!(Place::address("mydrive", home).expect("home"), Place::MyDrive);
        assert_eq!(Place::address("", "root").expect("home"), Place::MyDrive);
    }

    #[test]
    fn what_is_no_folder_is_refused_and_never_the_root() {
        for text in
            ["reports", "https://example.com/", "https://drive.google.com/drive/folders/a'b"]
        {
            let error = Place::address("mydrive", text).expect_err(text);
            assert_eq!(error.field_name(), Some("folderid"), "{text}");
        }
        assert!(Place::picked("mydrive", Some("a/b")).is_err());
    }

    #[test]
    fn the_root_of_a_shared_drive_is_that_drive() {
        let shared = "0ABCdefGHIjklUk9PVA";
        let drive = Place::SharedDrive(shared.into());
        assert_eq!(Place::picked(shared, Some("root")).expect("a drive"), drive);
        assert_eq!(Place::picked(shared, None).expect("a drive"), drive);
        assert_eq!(Place::picked("mydrive", Some("root")).expect("a drive"), Place::MyDrive);
    }
}
