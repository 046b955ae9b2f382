//! The dialect of Drive's API, version 3
//! (<https://developers.google.com/workspace/drive/api/reference/rest/v3>).

use sendoff::{Call, Http, Result};
use serde::{Deserialize, Serialize};

use crate::shared::google::Google;

pub(crate) const URL: &str = "https://www.googleapis.com/drive/v3";
pub(crate) const UPLOAD_URL: &str = "https://www.googleapis.com/upload/drive/v3/files";
pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";
const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

/// The user's own drive, as the form and the API name it.
pub(crate) const MY_DRIVE: &str = "mydrive";
pub(crate) const ROOT: &str = "root";

/// A folder, or what was taken for one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) mime_type: String,
    #[serde(default)]
    pub(crate) trashed: bool,
    #[serde(default)]
    pub(crate) parents: Vec<String>,
    /// The shared drive that it lies in.
    pub(crate) drive_id: Option<String>,
    #[serde(default)]
    pub(crate) capabilities: Capabilities,
    pub(crate) shortcut_details: Option<Shortcut>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Capabilities {
    pub(crate) can_add_children: Option<bool>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shortcut {
    pub(crate) target_id: String,
}

const ENTRY: &str = "id,name,mimeType,trashed,parents,driveId,capabilities/canAddChildren,\
                     shortcutDetails/targetId";

impl Entry {
    pub(crate) fn is_folder(&self) -> bool {
        self.mime_type == FOLDER && !self.trashed
    }
}

/// Every call may be about a shared drive.
pub(crate) fn everywhere(call: Call) -> Call {
    call.query([("supportsAllDrives", "true")])
}

/// What lies by an id; a shortcut leads to what it points at.
pub(crate) async fn entry(google: &Google, id: &str) -> Result<Entry> {
    let get = async |id: &str| {
        let url = format!("{URL}/files/{id}");
        let call = |http: &Http| everywhere(http.get(&url).query([("fields", ENTRY)]));
        google.ask(call).await?.json::<Entry>().await
    };
    let entry = get(id).await?;
    match &entry.shortcut_details {
        Some(Shortcut { target_id }) if entry.mime_type == SHORTCUT && is_id(target_id) => {
            get(target_id).await
        }
        _ => Ok(entry),
    }
}

/// Asks for files; `drive` is the shared drive that they lie in, if they do.
pub(crate) async fn files<T: for<'a> Deserialize<'a>>(
    google: &Google,
    drive: Option<&str>,
    query: &[(&str, &str)],
) -> Result<T> {
    let url = format!("{URL}/files");
    let within = match drive {
        None => vec![("corpora", "user")],
        Some(drive) => {
            vec![("corpora", "drive"), ("driveId", drive), ("includeItemsFromAllDrives", "true")]
        }
    };
    let call = |http: &Http| {
        everywhere(http.get(&url).query(within.iter().copied()).query(query.iter().copied()))
    };
    google.ask(call).await?.json().await
}

/// A text within a query
/// (<https://developers.google.com/workspace/drive/api/guides/search-files>).
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Whether a text can be an id; only such a one goes into a URL.
pub(crate) fn is_id(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (8..=200).contains(&text.len()) && text.bytes().all(sound)
}
