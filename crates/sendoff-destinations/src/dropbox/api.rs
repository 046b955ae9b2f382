//! Dropbox's API over the door out: its two hosts, its arguments, its refusals.
//! <https://www.dropbox.com/developers/documentation/http/documentation>

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use sendoff::{Context, Error, Http, Login, Reply, Result, Stop};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::shared::file_path::FilePath;
use crate::shared::object_store::Shelf;

pub(super) const NAME: &str = "Dropbox";

/// A client for one call.
pub(super) struct Dropbox {
    pub(super) http: Http,
    pub(super) stop: Stop,
    login: Login,
    /// Where paths begin, if that is not the user's own folder.
    root: Option<String>,
}

/// Whose login it is. <https://www.dropbox.com/developers/documentation/http/documentation#users-get_current_account>
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) root_info: RootInfo,
}

/// Where the user's own folder and the team's are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RootInfo {
    pub(super) root_namespace_id: String,
    pub(super) home_namespace_id: String,
}

/// Why Dropbox did not do something.
pub(super) struct Fault {
    /// Dropbox's own word, such as `path/conflict/file`.
    pub(super) said: String,
    /// The body of the refusal.
    pub(super) answer: Value,
    pub(super) error: Error,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { said: String::new(), answer: Value::Null, error }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// It may be repeated.
    Again,
    /// Also after a stop.
    LastWords,
}

impl Dropbox {
    pub(super) fn new(cx: &Context<()>) -> Self {
        let (http, stop) = (cx.http().clone(), cx.stop().clone());
        Self { http, stop, login: cx.login().clone(), root: None }
    }

    /// The same with paths that begin in the namespace `root`.
    pub(super) fn in_root(self, root: &str) -> Self {
        Self { root: Some(root.to_owned()), ..self }
    }

    /// Whose login it is.
    pub(super) async fn account(&self) -> Result<Account> {
        let answer = self.ask("users/get_current_account", &Value::Null, Way::Again).await;
        serde_json::from_value(answer?).map_err(|_| misread())
    }

    /// A request whose arguments are its body. None of those made here changes anything.
    pub(super) async fn ask(
        &self,
        method: &str,
        argument: &Value,
        way: Way,
    ) -> Result<Value, Fault> {
        let url = format!("https://api.dropboxapi.com/2/{method}");
        let http = self.door(way);
        let call = self.dressed(http.post(url)).reads();
        let call = if way == Way::LastWords { call.timeout(self.last_words()) } else { call };
        self.answer(call.json(argument).send().await?).await
    }

    /// A request whose body is data, with the arguments in a header. All of them name what they
    /// write, so that they may be repeated.
    pub(super) async fn send(
        &self,
        method: &str,
        argument: &Value,
        data: Bytes,
    ) -> Result<Value, Fault> {
        let url = format!("https://content.dropboxapi.com/2/{method}");
        let call = self
            .dressed(self.http.post(url))
            .header("dropbox-api-arg", ascii(&argument.to_string()))
            .header("content-type", "application/octet-stream")
            .body(data);
        self.answer(call.repeatable().send().await?).await
    }

    fn door(&self, way: Way) -> Http {
        if way == Way::LastWords { self.http.for_cleanup() } else { self.http.clone() }
    }

    /// After a stop little time is left before the delivery is dropped.
    fn last_words(&self) -> Duration {
        Duration::from_secs(if self.stop.reason().is_some() { 2 } else { 10 })
    }

    fn dressed(&self, call: sendoff::Call) -> sendoff::Call {
        let call = call.login(&self.login);
        match &self.root {
            None => call,
            Some(root) => {
                let root = json!({".tag": "root", "root": root});
                call.header("dropbox-api-path-root", ascii(&root.to_string()))
            }
        }
    }

    /// 409 is Dropbox's word for "not as asked", with the reason in its body.
    async fn answer(&self, reply: Reply) -> Result<Value, Fault> {
        let status = reply.status();
        if !matches!(status, StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) {
            return Ok(reply.success().await?.json().await?);
        }
        let answer: Value = reply.json().await?;
        let said = answer["error_summary"].as_str().unwrap_or_default();
        let said = said.trim_end_matches(['.', '/']).to_owned();
        let error = refusal(&said);
        Err(Fault { said, answer, error })
    }

    /// What stands at `path`.
    pub(super) async fn metadata(&self, path: &FilePath, way: Way) -> Result<Option<Value>> {
        let argument = json!({"path": format!("/{path}")});
        match self.ask("files/get_metadata", &argument, way).await {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.said.starts_with("path/not_found") => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }
}

impl Shelf for Dropbox {
    async fn exists(&self, path: &FilePath) -> Result<Option<bool>> {
        Ok(Some(self.metadata(path, Way::Again).await?.is_some()))
    }
}

pub(super) fn misread() -> Error {
    Error::vendor(format!("{NAME}'s answer lacks what its documentation promises."))
}

/// Who must act on a refusal: `WriteError`, `LookupError` and `PathRootError` of
/// <https://github.com/dropbox/dropbox-api-spec>. Dropbox's status is 409 for nearly all of them, so
/// that Looker is told another one.
fn refusal(said: &str) -> Error {
    let text = format!("{NAME} refused ({said})");
    let has = |part: &str| said.split('/').any(|one| one == part);
    if has("conflict") {
        Error::form(
            "filename",
            format!(
                "{text}: something of this name is there already. Choose another name, or \
                     another answer to \"If It Exists\"."
            ),
        )
        .status(409)
    } else if has("insufficient_space") || has("insufficient_quota") {
        Error::vendor(format!(
            "{text}: there is no room left. Delete files, or use another account."
        ))
        .status(429)
    } else if has("malformed_path") || has("disallowed_name") {
        Error::form("filename", format!("{text}: the path or the name is not allowed there."))
    } else if has("no_write_permission") || has("team_folder") || has("operation_suppressed") {
        Error::form("directory", format!("{text}: you may not write to this folder."))
    } else if has("not_found") || has("not_folder") || has("restricted_content") {
        Error::form("directory", format!("{text}: there is no such folder. Choose another."))
    } else if has("no_permission") || has("invalid_root") {
        Error::form(
            "space",
            format!("{text}: this space is not yours, or no longer. Choose again."),
        )
    } else if has("too_many_write_operations") || has("content_hash_mismatch") {
        Error::vendor(format!("{text}. Try again in a minute.")).status(429).retry_later()
    } else {
        Error::vendor(format!("{text}.")).status(400)
    }
}

/// Headers are ASCII: other characters stand as `\u00fc`.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_ascii_and_the_same_json() {
        let argument = json!({"path": "/Umsätze/\u{7f}😀.csv"});
        let header = ascii(&argument.to_string());
        assert_eq!(header, r#"{"path":"/Ums\u00e4tze/\u007f\ud83d\ude00.csv"}"#);
        assert_eq!(serde_json::from_str::<Value>(&header).expect("JSON"), argument);
    }
}
