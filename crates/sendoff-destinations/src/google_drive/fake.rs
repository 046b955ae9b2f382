//! A stand-in for Drive, written from
//! <https://developers.google.com/workspace/drive/api/reference/rest/v3> as it was on
//! 25 November 2026: drives, queries, folders, uploads in sessions, permissions, and who is logged
//! in.

#![allow(clippy::result_large_err, reason = "an answer is an answer, whichever side it is on")]

mod query;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use sendoff::testing::{Fake, Object, Provider};
use sendoff::{AnyAction, ByteStream, OAuth, Values};
use serde_json::{Value, json};

use super::{GoogleDrive, LOGIN};
use crate::shared::aws::hex;
use crate::shared::google::fake::{
    Answer, Sessions, Tokens, Uploaded, answer, error, incomplete, refusal,
};
use crate::shared::in_order;

/// The action and its stand-in.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::<GoogleDrive>::default(), Arc::new(FakeDrive::with_login(LOGIN)))
}

const FOLDER: &str = "application/vnd.google-apps.folder";
const ADA: &str = "ada@example.com";
/// Ada's.
const HOME: &str = "0AHOMEofTheLoggedInUser";
const FINANCE: &str = "0AFinanceSharedUk9PVA";
/// Folders that are there, Ada's but for those of the shared drive: id, name, parent and drive.
const FOLDERS: [(&str, &str, &str, Option<&str>); 5] = [
    (HOME, "My Drive", "", None),
    ("1ReportsFolderOfTests", "Reports", HOME, None),
    ("1YearsFolderOfTheTests", "It's 2026", "1ReportsFolderOfTests", None),
    (FINANCE, "Drive", "", Some(FINANCE)),
    ("1ClosingFolderOfTests", "Closing", FINANCE, Some(FINANCE)),
];

pub(crate) struct FakeDrive {
    provider: Provider,
    tokens: Tokens,
    sessions: Sessions<Wanted>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Everything, the newest last.
    files: Vec<File>,
    made: u64,
    /// More shared drives.
    crowd: usize,
    /// Who logs in grants `drive.file`, and nothing wider.
    own_files_only: bool,
}

#[derive(Clone)]
struct File {
    /// As the API shows it.
    resource: Value,
    uploaded: Uploaded,
    /// Roles by e-mail address.
    shared: BTreeMap<String, String>,
    /// The app has made it.
    ours: bool,
}

impl File {
    fn new(resource: Value) -> Self {
        Self { resource, uploaded: Uploaded::default(), shared: BTreeMap::new(), ours: false }
    }

    fn is_owned_by(&self, who: &str) -> bool {
        self.resource["owners"][0]["emailAddress"] == who
    }
}

impl State {
    /// What somebody may do with a file: what was given to him, or goes down to it from a folder
    /// above. `None` if he does not see it.
    fn role<'a>(&'a self, file: &'a File, who: &str) -> Option<&'a str> {
        if self.own_files_only && !file.ours {
            return None;
        }
        // Everybody is a member of the shared drive.
        if !file.resource["driveId"].is_null() || file.is_owned_by(who) {
            return Some("owner");
        }
        if let Some(role) = file.shared.get(who) {
            return Some(role);
        }
        let parent = &file.resource["parents"][0];
        let above = self.files.iter().find(|above| above.resource["id"] == *parent)?;
        self.role(above, who)
    }
}

/// The topmost folder of somebody's own drive.
fn home(who: &str) -> String {
    match who {
        ADA => HOME.to_owned(),
        who => format!("0AHOMEof{}", who.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
    }
}

fn folder(id: &str, name: &str, parent: &str, drive: Option<&str>, owner: &str) -> File {
    let mut resource = json!({"id": id, "name": name, "mimeType": FOLDER,
        "trashed": false, "capabilities": {"canAddChildren": true}});
    if !parent.is_empty() {
        resource["parents"] = json!([parent]);
    }
    match drive {
        Some(drive) => resource["driveId"] = json!(drive),
        None => resource["owners"] = json!([{"emailAddress": owner}]),
    }
    File::new(resource)
}

/// What an upload is begun with.
struct Wanted {
    /// The file whose content is replaced.
    id: Option<String>,
    metadata: Value,
    who: String,
}

/// A request's head as the dialect reads it.
struct Asked<'a> {
    head: &'a Parts,
    query: Vec<(String, String)>,
    /// The e-mail address of who asks.
    who: String,
}

impl Asked<'_> {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    fn knows_drives(&self) -> bool {
        self.query("supportsAllDrives") == Some("true")
    }
}

fn not_found(id: &str) -> Response<Bytes> {
    refusal(404, "notFound", &format!("File not found: {id}."))
}

impl FakeDrive {
    /// So many more shared drives there are.
    #[cfg(test)]
    pub(crate) fn crowd(&self, drives: usize) {
        self.state().crowd = drives;
    }

    /// Pages of 100 at most
    /// (<https://developers.google.com/workspace/drive/api/reference/rest/v3/drives/list>).
    fn drives(&self, asked: &Asked<'_>) -> Answer {
        let size = asked.query("pageSize").map_or(Some(10), |size| size.parse().ok());
        let from =
            asked.query("pageToken").map_or(Some(0), |at| at.strip_prefix('~')?.parse().ok());
        let (Some(size @ 1..=100), Some(from)) = (size, from) else {
            return Err(refusal(400, "invalid", "Invalid value."));
        };
        let finance = json!({"id": FINANCE, "name": "Finance"});
        let crowd = (0..self.state().crowd)
            .map(|n| json!({"id": format!("0ACrowd{n:05}Uk9PVA"), "name": format!("Crowd {n}")}));
        let all: Vec<Value> = std::iter::once(finance).chain(crowd).collect();
        let end = all.len().min(from + size);
        let mut page = json!({"drives": all.get(from..end).unwrap_or_default()});
        if end < all.len() {
            page["nextPageToken"] = json!(format!("~{end}"));
        }
        Ok(answer(200, &page))
    }

    pub(crate) fn with_login(login: OAuth) -> Self {
        let files =
            FOLDERS.map(|(id, name, parent, drive)| folder(id, name, parent, drive, ADA)).to_vec();
        let own_files_only = !login.scopes.contains(&super::SCOPE);
        Self {
            provider: Provider::new(login),
            tokens: Tokens::default(),
            sessions: Sessions::default(),
            state: Mutex::new(State { files, own_files_only, ..State::default() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file of Ada's that is there already.
    pub(crate) fn put(&self, mut resource: Value) {
        resource["owners"] = json!([{"emailAddress": ADA}]);
        self.state().files.push(File::new(resource));
    }

    /// A file that is not in the bin, as somebody sees it.
    pub(crate) fn resource(&self, id: &str, who: &str) -> Option<Value> {
        let state = self.state();
        let file = state.files.iter().find(|file| file.resource["id"] == id)?;
        state.role(file, who)?;
        Some(file.resource.clone()).filter(|file| file["trashed"] != true)
    }

    /// The e-mail address of whom the token belongs to.
    pub(crate) fn who(&self, headers: &HeaderMap) -> Result<String, Response<Bytes>> {
        if self.provider.knows(headers) {
            return Ok(ADA.to_owned());
        }
        let claims = self.tokens.check(headers)?;
        let subject = claims["sub"].as_str().or(claims["iss"].as_str());
        let who = subject.unwrap_or_default().to_owned();
        let mut state = self.state();
        let home = home(&who);
        if state.files.iter().all(|file| file.resource["id"] != home) {
            state.files.push(folder(&home, "My Drive", "", None, &who));
        }
        Ok(who)
    }

    pub(crate) async fn answer(&self, request: Request<ByteStream>) -> Answer {
        let (head, body) = request.into_parts();
        let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        let query = query.into_owned().collect();
        let mut asked = Asked { query, head: &head, who: String::new() };
        let host = head.headers.get("host").and_then(|host| host.to_str().ok());
        let path = head.uri.path();
        match (host, &head.method, path) {
            (Some("oauth2.googleapis.com"), &Method::POST, "/token") => {
                return self.tokens.grant(&head.headers, body).await;
            }
            (Some("www.googleapis.com"), ..) => {}
            _ => return Err(refusal(404, "notFound", "This host is not served here.")),
        }
        if let Some(id) = asked.query("upload_id") {
            let request = (&head.method, &head.headers, body);
            return self.sessions.handle(id, request, |wanted, up| self.store(wanted, up)).await;
        }
        asked.who = self.who(&head.headers)?;
        let (_, path) = path.split_at(1);
        let names: Vec<&str> = path.split('/').collect();
        match (head.method.as_str(), &names[..]) {
            ("GET", ["oauth2", "v2", "userinfo"]) => {
                Ok(answer(200, &json!({"id": "1", "email": asked.who, "verified_email": true})))
            }
            ("GET", ["drive", "v3", "drives"]) if self.state().own_files_only => {
                let text = "Request had insufficient authentication scopes.";
                Err(refusal(403, "insufficientPermissions", text))
            }
            ("GET", ["drive", "v3", "drives"]) => self.drives(&asked),
            ("GET", ["drive", "v3", "files"]) => self.list(&asked),
            ("GET", ["drive", "v3", "files", id]) => {
                Ok(answer(200, &self.file(&self.state(), id, &asked)?.resource))
            }
            ("POST", ["drive", "v3", "files"]) => {
                let metadata = json_of(&asked, body).await?;
                self.check_parent(&metadata, &asked)?;
                writable(&metadata, false)?;
                let wanted = Wanted { id: None, metadata, who: asked.who };
                self.store(&wanted, Uploaded::default())
            }
            ("PATCH", ["drive", "v3", "files", id]) => self.change(id, &asked, body).await,
            ("POST", ["drive", "v3", "files", id, "permissions"]) => {
                self.share(id, &asked, body).await
            }
            ("POST", ["upload", "drive", "v3", "files"]) => self.begin(None, &asked, body).await,
            ("PATCH", ["upload", "drive", "v3", "files", id]) => {
                self.begin(Some(id), &asked, body).await
            }
            _ => Err(refusal(404, "notFound", "Not Found")),
        }
    }

    fn file(&self, state: &State, id: &str, asked: &Asked<'_>) -> Result<File, Response<Bytes>> {
        let id = if id == "root" { &home(&asked.who) } else { id };
        let file = state.files.iter().find(|file| file.resource["id"] == id);
        // Who does not say that he knows shared drives does not see them.
        let seen = |file: &&File| {
            state.role(file, &asked.who).is_some()
                && (asked.knows_drives() || file.resource["driveId"].is_null())
        };
        file.filter(seen).cloned().ok_or_else(|| not_found(id))
    }

    /// As [`file`](Self::file), to write to it.
    fn own(&self, state: &State, id: &str, asked: &Asked<'_>) -> Result<File, Response<Bytes>> {
        let file = self.file(state, id, asked)?;
        match state.role(&file, &asked.who) {
            Some("owner" | "writer") => Ok(file),
            _ => Err(refusal(
                403,
                "insufficientFilePermissions",
                "The user does not have sufficient permissions for this file.",
            )),
        }
    }

    fn list(&self, asked: &Asked<'_>) -> Answer {
        let text = asked.query("q").unwrap_or_default();
        let condition =
            query::read(text).ok_or_else(|| refusal(400, "invalid", "Invalid Value"))?;
        let drive = asked.query("driveId");
        let wants_all = asked.query("includeItemsFromAllDrives") == Some("true");
        match (asked.query("corpora"), drive) {
            (Some("user") | None, None) => {}
            (Some("drive"), Some(FINANCE)) if wants_all && asked.knows_drives() => {}
            (Some("drive"), Some(FINANCE)) => {
                let text = "The includeItemsFromAllDrives parameter must be set to true when \
                            driveId is specified.";
                return Err(refusal(403, "teamDrivesParentLimit", text));
            }
            (Some("drive"), Some(other)) => {
                return Err(refusal(404, "notFound", &format!("Shared drive not found: {other}")));
            }
            _ => return Err(refusal(400, "invalid", "The corpora and the drive do not fit.")),
        }
        let size = asked.query("pageSize").map_or(Ok(100), str::parse::<usize>);
        let size = size.ok().filter(|size| (1..=1000).contains(size));
        let size = size.ok_or_else(|| refusal(400, "invalid", "The page size is out of range."))?;
        if asked.query("fields").is_none_or(|fields| !fields.starts_with("files(")) {
            return Err(refusal(400, "invalidParameter", "Invalid field selection"));
        }
        let state = self.state();
        let home = home(&asked.who);
        // "Files owned by or shared to the user"
        // (<https://developers.google.com/workspace/drive/api/reference/rest/v3/files/list>).
        let seen = |file: &&File| match drive {
            None => {
                file.resource["driveId"].is_null()
                    && file.resource["id"] != home
                    && state.role(file, &asked.who).is_some()
            }
            Some(drive) => file.resource["driveId"] == drive && file.resource["id"] != drive,
        };
        let fits = |file: &&File| condition.holds(&file.resource, &home, &asked.who);
        let all = state.files.iter().rev().filter(seen).filter(fits);
        let found: Vec<_> = all.map(|file| file.resource.clone()).collect();
        let mut page = json!({"files": found.iter().take(size).collect::<Vec<_>>()});
        if found.len() > size {
            page["nextPageToken"] = json!("more");
        }
        Ok(answer(200, &page))
    }

    async fn change(&self, id: &str, asked: &Asked<'_>, body: ByteStream) -> Answer {
        let change = json_of(asked, body).await?;
        let mut state = self.state();
        let file = self.own(&state, id, asked)?;
        writable(&change, true)?;
        let at = state.files.iter().position(|each| each.resource["id"] == file.resource["id"]);
        let at = at.ok_or_else(|| not_found(id))?;
        if let (Some(to), Some(_)) = (asked.query("addParents"), asked.query("removeParents")) {
            let to = self.own(&state, to, asked)?.resource["id"].clone();
            state.files[at].resource["parents"] = json!([to]);
        }
        if let (Some(old), Some(new)) =
            (state.files[at].resource.as_object_mut(), change.as_object())
        {
            old.extend(new.clone());
        }
        Ok(answer(200, &state.files[at].resource))
    }

    async fn share(&self, id: &str, asked: &Asked<'_>, body: ByteStream) -> Answer {
        let permission = json_of(asked, body).await?;
        let mut state = self.state();
        let file = self.own(&state, id, asked)?;
        let email = permission["emailAddress"].as_str().unwrap_or_default();
        match (permission["type"].as_str(), permission["role"].as_str()) {
            (Some("user" | "group"), Some("reader" | "commenter" | "writer")) => {}
            _ => return Err(refusal(400, "required", "The permission type field is required.")),
        }
        if !email.ends_with("@example.com") {
            let text = "Bad Request. User message: \"You are trying to invite someone without a \
                        Google account.\"";
            return Err(refusal(400, "invalidSharingRequest", text));
        }
        let given = state.files.iter_mut().find(|each| each.resource["id"] == file.resource["id"]);
        if let (Some(file), Some(role)) = (given, permission["role"].as_str()) {
            file.shared.insert(email.to_owned(), role.to_owned());
        }
        Ok(answer(200, &json!({"id": "1", "type": "user", "role": permission["role"]})))
    }

    async fn begin(&self, id: Option<&str>, asked: &Asked<'_>, body: ByteStream) -> Answer {
        let metadata = json_of(asked, body).await?;
        if asked.query("uploadType") != Some("resumable") {
            return Err(refusal(400, "invalid", "This stand-in takes resumable uploads only."));
        }
        writable(&metadata, id.is_some())?;
        match id {
            Some(id) => drop(self.own(&self.state(), id, asked)?),
            None => self.check_parent(&metadata, asked)?,
        }
        let url = format!("https://www.googleapis.com{}", asked.head.uri);
        let wanted = Wanted { id: id.map(str::to_owned), metadata, who: asked.who.clone() };
        Ok(self.sessions.begin(&url, wanted))
    }

    fn check_parent(&self, metadata: &Value, asked: &Asked<'_>) -> Result<(), Response<Bytes>> {
        let parent = metadata["parents"][0].as_str().unwrap_or("root");
        if parent == "root" {
            return Ok(());
        }
        let parent = self.own(&self.state(), parent, asked)?;
        match parent.resource["mimeType"] == FOLDER {
            true => Ok(()),
            false => Err(refusal(403, "parentNotAFolder", "The parent is no folder.")),
        }
    }

    fn store(&self, wanted: &Wanted, uploaded: Uploaded) -> Answer {
        let mut state = self.state();
        let Wanted { id, metadata, who } = wanted;
        let mut file = match id {
            Some(id) => {
                let at = state.files.iter().position(|file| file.resource["id"] == **id);
                state.files.remove(at.ok_or_else(|| not_found(id))?)
            }
            None => {
                state.made += 1;
                let parent = metadata["parents"][0].as_str().unwrap_or("root");
                let parent = if parent == "root" { &home(who) } else { parent };
                let inside = state.files.iter().find(|file| file.resource["id"] == parent);
                let drive = inside.map_or(Value::Null, |folder| folder.resource["driveId"].clone());
                let id = format!("1FileNumber{:04}OfTests", state.made);
                let link = format!("https://drive.google.com/file/d/{id}/view?usp=drivesdk");
                let mut resource = json!({"id": id, "name": "Untitled", "parents": [parent],
                    "driveId": drive, "trashed": false, "webViewLink": link, "appProperties": {}});
                if drive.is_null() {
                    resource["owners"] = json!([{"emailAddress": who}]);
                }
                File { ours: true, ..File::new(resource) }
            }
        };
        let resource = &mut file.resource;
        for member in ["name", "mimeType"] {
            if let Some(value) = metadata.get(member) {
                resource[member] = value.clone();
            }
        }
        for (name, value) in metadata["appProperties"].as_object().into_iter().flatten() {
            resource["appProperties"][name] = value.clone();
        }
        let googles =
            resource["mimeType"].as_str().is_some_and(|kind| kind.contains("google-apps"));
        if !googles {
            resource["size"] = json!(uploaded.bytes.to_string());
            resource["md5Checksum"] = json!(hex(&uploaded.md5));
        }
        let stored = answer(200, resource);
        file.uploaded = uploaded;
        state.files.push(file);
        Ok(stored)
    }
}

async fn json_of(asked: &Asked<'_>, body: ByteStream) -> Result<Value, Response<Bytes>> {
    let kind = asked.head.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    if kind.is_none_or(|kind| !kind.starts_with("application/json")) {
        return Err(refusal(400, "badContent", "Unsupported content type."));
    }
    let (text, _) = in_order::text(body).await.ok_or_else(incomplete)?;
    serde_json::from_str(&text).map_err(|_| refusal(400, "parseError", "Parse Error"))
}

/// Refuses what cannot be written.
fn writable(metadata: &Value, update: bool) -> Result<(), Response<Bytes>> {
    for member in ["driveId", "id", "size", "webViewLink"] {
        if !metadata[member].is_null() {
            let text = format!(
                "The resource body includes fields which are not directly writable: {member}."
            );
            return Err(refusal(403, "fieldNotWritable", &text));
        }
    }
    let parents = metadata["parents"].as_array().map_or(0, Vec::len);
    if update && parents > 0 {
        let text = "The parents field is not directly writable in update requests. Use the \
                    addParents and removeParents parameters instead.";
        return Err(refusal(403, "fieldNotWritable", text));
    }
    if parents > 1 {
        return Err(refusal(400, "multipleParentsNotAllowed", "A file has one parent."));
    }
    let kind = metadata["mimeType"].as_str().unwrap_or("text/plain");
    if kind.contains(';') || !kind.contains('/') {
        return Err(refusal(
            400,
            "badRequest",
            "Invalid MIME type provided for the uploaded content.",
        ));
    }
    let own = metadata["appProperties"].as_object();
    for (name, value) in own.into_iter().flatten() {
        if value.as_str().is_none_or(|value| name.len() + value.len() > 124) {
            return Err(refusal(400, "invalid", "A property is no text of at most 124 bytes."));
        }
    }
    Ok(())
}

impl Fake for FakeDrive {
    fn origins(&self) -> Vec<String> {
        ["https://www.googleapis.com", "https://oauth2.googleapis.com"].map(str::to_owned).into()
    }

    fn settings(&self) -> Values {
        [("domain_allowlist", "example.org, example.com")].into_iter().collect()
    }

    fn answers(&self) -> Values {
        let folder = format!("https://drive.google.com/drive/folders/{}?usp=sharing", FOLDERS[1].0);
        [("drive", "mydrive"), ("folderid", &folder), ("filename", "orders")].into_iter().collect()
    }

    fn provider(&self) -> Option<&Provider> {
        Some(&self.provider)
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move { self.answer(request).await.unwrap_or_else(|refusal| refusal) })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let state = self.state();
        let finished = state
            .files
            .iter()
            .filter(|file| file.resource["mimeType"] != FOLDER && file.resource["trashed"] != true);
        let object = |file: &File| {
            let text = |member: &str| file.resource[member].as_str().unwrap_or_default();
            Object {
                name: format!(
                    "{}/{}",
                    file.resource["parents"][0].as_str().unwrap_or_default(),
                    text("name")
                ),
                bytes: file.uploaded.bytes,
                sha256: file.uploaded.sha256.clone(),
            }
        };
        Box::pin(std::future::ready(finished.map(object).collect()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(self.sessions.left()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (reason, message) = match status {
            401 => ("authError", "Request had invalid authentication credentials."),
            403 => {
                ("insufficientFilePermissions", "The user does not have sufficient permissions.")
            }
            404 => ("notFound", "File not found: 1ReportsFolderOfTests."),
            409 => ("conflict", "A conflicting operation is in progress."),
            429 => ("rateLimitExceeded", "Rate Limit Exceeded for this user and project."),
            500.. => ("internalError", "Internal Error on our side, please try again."),
            _ => ("badRequest", "The request is not valid as it stands."),
        };
        ("application/json; charset=UTF-8", error(status, reason, message).to_string())
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        *method == Method::PUT && path_and_query.contains("upload_id=")
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![
            ("text/html", "<html><title>Log in</title></html>".to_owned()),
            ("application/json", "{}".to_owned()),
            ("application/json", String::new()),
        ]
    }
}
