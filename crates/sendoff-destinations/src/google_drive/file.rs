//! One file on its way into Drive, and what stands there already.

use sendoff::{Call, Error, Http, Payload, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::IfThere;
use super::api::{self, everywhere, quoted};
use super::place::Folder;
use crate::shared::aws::hex;
use crate::shared::google::resumable::{Sent, Target};
use crate::shared::google::{Domains, Google};

/// Properties that this app alone sees, whichever of its users asks
/// (<https://developers.google.com/workspace/drive/api/guides/properties>): which delivery wrote
/// the file, and which name it had, so that it is found again after somebody renamed it.
pub(crate) const DELIVERY: &str = "sendoff_delivery";
pub(crate) const KNOWN_AS: &str = "sendoff_file";

const FIELDS: &str = "id,name,mimeType,size,md5Checksum,webViewLink,appProperties";
/// What all of Google's own formats begin with.
const GOOGLES: &str = "application/vnd.google-apps.";

/// What becomes of the data.
pub(super) enum Kind {
    AsItIs,
    /// Google makes this of it.
    Converted(&'static str),
}

impl Kind {
    pub(super) fn of(convert: bool, data: &Payload) -> Result<Self> {
        if !convert {
            return Ok(Self::AsItIs);
        }
        match data.extension().unwrap_or_default() {
            "csv" | "xlsx" | "tsv" => {
                Ok(Self::Converted("application/vnd.google-apps.spreadsheet"))
            }
            "txt" | "html" => Ok(Self::Converted("application/vnd.google-apps.document")),
            other => Err(Error::form(
                "convert",
                format!(
                    "Google makes no spreadsheet or document of this format ({other}). Choose CSV, \
                     XLSX, TXT or HTML, or do not convert."
                ),
            )),
        }
    }

    /// The file's name: what is converted is no longer a .csv.
    pub(super) fn named(&self, name: &str, extension: Option<&str>) -> String {
        let ending = extension.map(|extension| format!(".{extension}"));
        match (self, ending.and_then(|ending| name.strip_suffix(&ending))) {
            (Self::Converted(_), Some(stem)) if !stem.is_empty() => stem.to_owned(),
            _ => name.to_owned(),
        }
    }

    fn fits(&self, file: &Stored) -> bool {
        match self {
            Self::AsItIs => !file.mime_type.starts_with(GOOGLES),
            Self::Converted(kind) => file.mime_type == *kind,
        }
    }
}

/// What Drive says of a file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    id: String,
    name: String,
    mime_type: String,
    /// A number as text; Google's own formats may have none.
    size: Option<String>,
    md5_checksum: Option<String>,
    web_view_link: Option<String>,
    #[serde(default)]
    app_properties: Map<String, Value>,
}

impl Stored {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn link(&self) -> String {
        let made = || format!("https://drive.google.com/file/d/{}/view", self.id);
        self.web_view_link.clone().unwrap_or_else(made)
    }
}

#[derive(Deserialize)]
struct Found {
    files: Vec<Stored>,
}

/// A file that stands there, and how many others have its name.
pub(super) struct There {
    file: Stored,
    others: usize,
}

impl There {
    pub(super) fn remark(self) -> Option<String> {
        (self.others > 0).then(|| {
            format!(
                "{} files of this name are there; the content of one was replaced.",
                self.others + 1
            )
        })
    }
}

/// By what a file is found again wherever it was moved and whatever it is called now.
pub(crate) fn known_as(folder: &Folder, name: &str) -> String {
    let mut hash = Sha256::new();
    for part in [&folder.id, name] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

/// The query for a file that lies in a folder by one of these names.
fn named(folder: &Folder, names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("name = {}", quoted(name))).collect();
    format!("({}) and {} in parents", names.join(" or "), quoted(&folder.id))
}

/// The query for what a delivery by one of these names replaces: what lies in the folder by the
/// name, and what was delivered there by it, wherever its owner moved it.
pub(crate) fn replaceable(folder: &Folder, key: &str, names: &[&str]) -> String {
    let ours = format!("appProperties has {{ key='{KNOWN_AS}' and value='{key}' }}");
    let ours = match &folder.drive {
        // All that lies in a shared drive is the drive's.
        Some(_) => ours,
        // What another user of this app delivered and shared carries the same properties: it is
        // meant as long as it lies in this folder, and no longer.
        None => format!("{ours} and ('me' in owners or {} in parents)", quoted(&folder.id)),
    };
    format!("(({ours}) or ({}))", named(folder, names))
}

/// The file that stands there already.
///
/// # Errors
/// The refusal that the form asks for if there is one.
pub(super) async fn existing(
    google: &Google,
    folder: &Folder,
    name: &str,
    kind: &Kind,
    wish: IfThere,
) -> Result<Option<There>> {
    let key = known_as(folder, name);
    let which = match wish {
        IfThere::Fail => named(folder, &[name]),
        IfThere::KeepBoth | IfThere::Overwrite => replaceable(folder, &key, &[name]),
    };
    let query = format!("trashed = false and {which}");
    let fields = format!("files({FIELDS})");
    let query = [
        ("q", query.as_str()),
        ("orderBy", "modifiedTime desc"),
        ("pageSize", "100"),
        ("fields", &fields),
    ];
    let found: Found = api::files(google, folder.drive.as_deref(), &query).await?;
    if wish == IfThere::Fail {
        return match found.files.is_empty() {
            false => Err(Error::form(
                "filename",
                format!(
                    "{name} is there already, and the form says to fail then. Choose another name, \
                     or another answer to \"If It Exists\"."
                ),
            )),
            true => Ok(None),
        };
    }
    let mut fitting: Vec<_> = found.files.into_iter().filter(|file| kind.fits(file)).collect();
    let ours = |file: &Stored| file.app_properties.get(KNOWN_AS) == Some(&json!(key));
    let at = fitting.iter().position(ours).unwrap_or(0);
    if fitting.is_empty() {
        return Ok(None);
    }
    let file = fitting.swap_remove(at);
    let others = fitting.iter().filter(|other| other.name == file.name).count();
    Ok(Some(There { file, others }))
}

/// One file that is being written.
pub(super) struct Upload<'a> {
    google: &'a Google,
    folder: &'a Folder,
    name: &'a str,
    kind: &'a Kind,
    media_type: &'a str,
    /// The file whose content is replaced.
    there: Option<&'a Stored>,
    /// The next delivery replaces the content again.
    kept: bool,
    delivery: String,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        google: &'a Google,
        folder: &'a Folder,
        name: &'a str,
        kind: &'a Kind,
        media_type: &'a str,
    ) -> Self {
        let delivery = Uuid::new_v4().simple().to_string();
        Self { google, folder, name, kind, media_type, there: None, kept: false, delivery }
    }

    /// The same file each time: the one that is there, or this one from now on.
    pub(super) fn replacing(mut self, there: Option<&'a There>) -> Self {
        self.there = there.map(|there| &there.file);
        self.kept = true;
        self
    }

    fn metadata(&self) -> Value {
        let kind = match self.kind {
            Kind::AsItIs => self.media_type,
            Kind::Converted(kind) => kind,
        };
        let mut own = json!({DELIVERY: self.delivery});
        // Only what is to be replaced is looked for again, not each of many of the same name.
        if self.kept {
            own[KNOWN_AS] = json!(known_as(self.folder, self.name));
        }
        match self.there {
            // Its name and its place are its owner's by now.
            Some(_) => json!({"mimeType": kind, "appProperties": own}),
            None => json!({
                "name": self.name,
                "mimeType": kind,
                // What lies directly in a shared drive has the drive's id as its parent.
                "parents": [self.folder.id],
                "appProperties": own,
            }),
        }
    }

    fn is_ours(&self, file: &Stored) -> bool {
        file.app_properties.get(DELIVERY) == Some(&json!(self.delivery))
    }
}

impl Target for Upload<'_> {
    type File = Stored;

    fn google(&self) -> &Google {
        self.google
    }

    fn begin(&self, http: &Http) -> Call {
        let call = match self.there {
            Some(there) => http.patch(format!("{}/{}", api::UPLOAD_URL, there.id)),
            None => http.post(api::UPLOAD_URL),
        };
        let call = everywhere(call.query([("uploadType", "resumable"), ("fields", FIELDS)]));
        call.header("x-upload-content-type", self.media_type).json(&self.metadata())
    }

    async fn found(&self, google: &Google) -> Result<Option<Stored>> {
        if let Some(there) = self.there {
            let url = format!("{}/files/{}", api::URL, there.id);
            let call = |http: &Http| everywhere(http.get(&url).query([("fields", FIELDS)]));
            let file: Stored = google.ask(call).await?.json().await?;
            return Ok(Some(file).filter(|file| self.is_ours(file)));
        }
        let query = format!(
            "trashed = false and appProperties has {{ key='{DELIVERY}' and value='{}' }}",
            self.delivery
        );
        let fields = format!("files({FIELDS})");
        let query = [("q", query.as_str()), ("fields", &fields)];
        let found: Found = api::files(google, self.folder.drive.as_deref(), &query).await?;
        Ok(found.files.into_iter().find(|file| self.is_ours(file)))
    }

    fn holds(&self, file: &Stored, sent: &Sent) -> bool {
        match self.kind {
            Kind::Converted(_) => !file.id.is_empty(),
            Kind::AsItIs => {
                file.size.as_ref().is_none_or(|size| size.parse() == Ok(sent.bytes))
                    && file.md5_checksum.as_ref().is_none_or(|md5| *md5 == hex(&sent.md5))
            }
        }
    }

    async fn remove(&self, google: &Google, file: &Stored) -> Result<()> {
        if self.there.is_some() {
            // The content before it is in the file's versions, where its owner finds it.
            return Err(Error::vendor("The content was replaced already."));
        }
        let url = format!("{}/files/{}", api::URL, file.id);
        let call = |http: &Http| everywhere(http.patch(&url)).json(&json!({"trashed": true}));
        google.ask(call).await.map(drop)
    }
}

/// The people a new file is shared with.
///
/// # Errors
/// A form error if one is no address, or of a domain that is not allowed.
pub(super) fn readers(list: Option<&str>, domains: &Domains) -> Result<Vec<String>> {
    let entries = list.unwrap_or_default().split([',', ';', '\n']);
    let entries = entries.map(str::trim).filter(|entry| !entry.is_empty());
    let read = |entry: &str| {
        let sound = entry.split_once('@').is_some_and(|(name, domain)| {
            !name.is_empty() && domain.contains('.') && !domain.contains('@')
        });
        if !sound || entry.contains(char::is_whitespace) {
            return Err(Error::form("share_with", format!("{entry} is no e-mail address.")));
        }
        if !domains.allow(entry) {
            return Err(Error::form(
                "share_with",
                format!("{entry} is of a domain that the Looker admin does not allow."),
            ));
        }
        Ok(entry.to_owned())
    };
    entries.map(read).collect()
}

/// Lets people read a file; a sentence for each who could not be let. The file stands there by
/// now, so that nothing of this undoes the delivery.
pub(super) async fn share(google: &Google, file: &Stored, readers: &[String]) -> Vec<String> {
    let url = format!("{}/files/{}/permissions", api::URL, file.id);
    let mut failed = Vec::new();
    for reader in readers {
        let body = json!({"type": "user", "role": "reader", "emailAddress": reader});
        let call = |http: &Http| {
            let call = everywhere(http.post(&url).query([("sendNotificationEmail", "false")]));
            // The same right once more is the same right.
            call.json(&body).repeatable()
        };
        if let Err(error) = google.ask(call).await {
            failed.push(format!("It could not be shared with {reader}: {}", error.message()));
        }
    }
    failed
}
