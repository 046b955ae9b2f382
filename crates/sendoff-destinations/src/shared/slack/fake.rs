//! A stand-in for Slack's Web API, written on 25 November 2026 from the pages of
//! <https://docs.slack.dev/reference/methods> for each method here: `channels` takes "channel IDs or
//! user IDs" in `files.completeUploadExternal`. That `channel_id` takes channels alone is from
//! <https://github.com/slackapi/bolt-js/issues/2115>. That an upload of another length than
//! announced is refused with 400 is general knowledge and not in the documentation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use sendoff::testing::{Fake, Object};
use sendoff::{AnyAction, ByteStream, Values};
use serde_json::{Value, json};

use super::place::{is_channel, is_user};
use crate::shared::in_order::{self, Digests};

/// `slack` and its stand-in.
pub(crate) fn token() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let settings = [("slack_api_token", TOKEN)].into_iter().collect();
    (Box::new(crate::slack::SlackToken), Arc::new(FakeSlack::new(settings, None)))
}

/// `slack_app` and its stand-in, connected to two workspaces.
pub(crate) fn app() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let installs = json!([
        {"install_id": "T0ACME0001", "token": TOKEN},
        {"install_id": "E0UMBRELLA", "token": OTHER},
    ]);
    let slack = FakeSlack::new(Values::default(), Some(installs.to_string()));
    (Box::new(crate::slack_app::SlackApp), Arc::new(slack))
}

pub(crate) const TOKEN: &str = "xoxb-canary-000000000001-slackbottoken";
/// Of another workspace.
pub(crate) const OTHER: &str = "xoxb-canary-000000000002-othertoken00";
/// Of an organisation with two workspaces (Enterprise Grid).
pub(crate) const ORGANISATION: &str = "xoxb-canary-000000000003-organisation0";
pub(crate) const CHANNEL: &str = "C0EXPORTS1";
/// A message that can be replied to.
pub(crate) const THREAD: &str = "1700000000.000100";

const SCOPES: [&str; 9] = [
    "channels:read",
    "groups:read",
    "users:read",
    "files:write",
    "files:read",
    "chat:write",
    "im:write",
    "channels:history",
    "im:history",
];

/// Id, name, whether the bot is in, whether it is private, whether it is archived.
const CHANNELS: [(&str, &str, bool, bool, bool); 6] = [
    ("C0GENERAL1", "general", false, false, false),
    (CHANNEL, "exports", true, false, false),
    ("C0ARCHIVE1", "archive", true, false, true),
    ("G0FINANCE1", "finance", true, true, false),
    ("C0REPORTS1", "reports-eu", true, false, false),
    ("C0REPORTS2", "reports-us", true, false, false),
];

/// The organisation's workspaces.
const ITS_TEAMS: [(&str, &str); 3] =
    [("T0INITECH1", "East"), ("T0INITECH2", "West"), ("T0INITECH3", "North")];

/// A page is shorter than asked for: Slack may do so, and so paging is always seen.
const PAGE: usize = 2;

pub(crate) struct FakeSlack {
    settings: Values,
    /// What Looker keeps: the workspaces and their tokens.
    installs: Option<String>,
    state: Mutex<State>,
}

pub(crate) struct State {
    files: BTreeMap<String, File>,
    /// What can be seen in Slack, in order.
    pub(crate) posted: Vec<Posted>,
    pub(crate) scopes: Vec<&'static str>,
    /// Method names as they came.
    pub(crate) calls: Vec<String>,
    /// More channels that everybody may see.
    pub(crate) crowd: usize,
    /// A method that is refused with status 200, by this word, so many times.
    pub(crate) refuses: Option<(&'static str, &'static str, usize)>,
}

struct File {
    name: String,
    length: u64,
    uploaded: Option<Digests>,
    shared: Vec<String>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) channel: String,
    pub(crate) thread: Option<String>,
    pub(crate) text: String,
    pub(crate) file: Option<(String, Digests)>,
    id: String,
}

type Answer = Result<Value, Value>;

impl FakeSlack {
    pub(crate) fn new(settings: Values, installs: Option<String>) -> Self {
        let state = State {
            files: BTreeMap::new(),
            posted: Vec::new(),
            scopes: SCOPES.to_vec(),
            calls: Vec::new(),
            crowd: 0,
            refuses: None,
        };
        Self { settings, installs, state: Mutex::new(state) }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle_any(&self, request: Request<ByteStream>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let host = head.headers.get("host").and_then(|host| host.to_str().ok());
        if host == Some("files.slack.com") {
            return self.upload(&path, &head.method, body).await;
        }
        let Some(method) = path.strip_prefix("/api/") else { return plain(404, "not found") };
        self.ledger().calls.push(method.to_owned());
        let bearer = head.headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let form = head.headers.get("content-type").and_then(|value| value.to_str().ok());
        let text = match head.method {
            Method::GET => Some(head.uri.query().unwrap_or_default().to_owned()),
            _ => in_order::text(body).await.map(|(text, _)| text),
        };
        let answer = match text {
            None => Err(refused("request_timeout")),
            Some(_)
                if head.method == Method::POST
                    && form != Some("application/x-www-form-urlencoded") =>
            {
                Err(refused("invalid_post_type"))
            }
            Some(text) => {
                let pairs = url::form_urlencoded::parse(text.as_bytes()).into_owned();
                let args: BTreeMap<String, String> = pairs.collect();
                self.answer(method, token, &|name| args.get(name).map(String::as_str).unwrap_or(""))
            }
        };
        let answer = answer.unwrap_or_else(|refusal| refusal);
        let scopes = self.ledger().scopes.join(",");
        let mut response = plain(200, &answer.to_string());
        if answer["error"] == "ratelimited" {
            response.headers_mut().insert("retry-after", http::HeaderValue::from_static("0"));
        }
        if let Ok(scopes) = http::HeaderValue::from_str(&scopes) {
            response.headers_mut().insert("x-oauth-scopes", scopes);
        }
        response
    }

    fn answer<'a>(&self, method: &str, token: &str, arg: &dyn Fn(&str) -> &'a str) -> Answer {
        let mut state = self.ledger();
        if let Some((refused_one, code, times)) = &mut state.refuses
            && *refused_one == method
            && *times > 0
        {
            *times -= 1;
            return Err(refused(code));
        }
        let team = match token {
            "" => return Err(refused("not_authed")),
            TOKEN => ("Acme", "T0ACME0001", "U0BOT00001"),
            OTHER => ("Umbrella", "T0UMBREL01", "U0BOT00002"),
            // "team_id" is the organisation's, as <https://github.com/lobu-ai/lobu/pull/3047> saw.
            ORGANISATION => ("Initech", "E0INITECH1", "U0BOT00003"),
            _ => return Err(refused("invalid_auth")),
        };
        let needed: &[&'static str] = match method {
            "conversations.list" if arg("types").contains("private_channel") => {
                &["channels:read", "groups:read"]
            }
            "conversations.list" | "conversations.info" => &["channels:read"],
            "users.list" => &["users:read"],
            "conversations.open" => &["im:write"],
            "chat.postMessage" | "chat.delete" => &["chat:write"],
            "files.info" => &["files:read"],
            "conversations.history" | "conversations.replies" => &["channels:history"],
            "files.getUploadURLExternal" | "files.completeUploadExternal" => &["files:write"],
            _ => &[],
        };
        if let Some(lacking) = needed.iter().find(|scope| !state.scopes.contains(scope)) {
            let mut refusal = refused("missing_scope");
            refusal["needed"] = json!(lacking);
            refusal["provided"] = json!(state.scopes.join(","));
            return Err(refusal);
        }
        let lists = matches!(method, "conversations.list" | "users.list");
        if token == ORGANISATION && lists && !ITS_TEAMS.iter().any(|(id, _)| *id == arg("team_id"))
        {
            // "required if token belongs to org-wide app"
            // <https://docs.slack.dev/reference/methods/conversations.list/>
            return Err(refused(if arg("team_id").is_empty() {
                "missing_argument"
            } else {
                "team_not_found"
            }));
        }
        match method {
            "auth.test" => Ok(json!({
                "ok": true, "url": "https://acme.slack.com/", "team": team.0, "user": "looker",
                "team_id": team.1, "user_id": team.2, "bot_id": "B0BOT00001",
                "is_enterprise_install": token == ORGANISATION,
            })),
            "auth.teams.list" if token == ORGANISATION => {
                let teams: Vec<_> =
                    ITS_TEAMS.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
                page(&teams, "teams", arg)
            }
            "conversations.list" if token == ORGANISATION => {
                // One that both have, and one of its own.
                let own = arg("team_id");
                let channels = [
                    ("C0SHARED01".to_owned(), "shared".to_owned()),
                    (format!("C{own}"), format!("only-{}", own.to_ascii_lowercase())),
                ];
                let channels =
                    channels.map(|(id, name)| json!({"id": id, "name": name, "is_member": true}));
                page(&channels, "channels", arg)
            }
            "conversations.list" => state.channels(arg),
            "conversations.info" => state
                .channel(arg("channel"), false)
                .map(|(id, name)| json!({"ok": true, "channel": {"id": id, "name": name}})),
            "users.list" => page(&users(), "members", arg),
            "conversations.open" => {
                conversation(arg("users")).map(|id| json!({"ok": true, "channel": {"id": id}}))
            }
            "chat.postMessage" => state.message(arg),
            "chat.delete" => state.delete(arg),
            "files.getUploadURLExternal" => state.begin(arg),
            "files.completeUploadExternal" => state.complete(arg),
            "files.info" => state.info(arg("file")),
            "conversations.history" | "conversations.replies" => Ok(state.history(arg)),
            _ => Err(refused("unknown_method")),
        }
    }

    async fn upload(&self, path: &str, method: &Method, body: ByteStream) -> Response<Bytes> {
        let id = path.strip_prefix("/upload/v1/").unwrap_or_default();
        let due = self.ledger().files.get(id).map(|file| file.length);
        let (Some(due), &Method::POST) = (due, method) else { return plain(404, "not found") };
        if body.len_hint() != Some(due) {
            return plain(400, "The length is not the one announced.");
        }
        let Some(digests) = in_order::read(body).await else {
            return plain(400, "The body broke off.");
        };
        let text = format!("OK - {}", digests.bytes);
        if let Some(file) = self.ledger().files.get_mut(id) {
            file.uploaded = Some(digests);
        }
        plain(200, &text)
    }
}

impl State {
    fn channels<'a>(&self, arg: &dyn Fn(&str) -> &'a str) -> Answer {
        let types: Vec<&str> = arg("types").split(',').collect();
        let wanted =
            |private| types.contains(if private { &"private_channel" } else { &"public_channel" });
        let own = CHANNELS.iter().filter(|(_, _, member, private, archived)| {
            wanted(*private)
                && (*member || !private)
                && !(*archived && arg("exclude_archived") == "true")
        });
        let own = own.map(|(id, name, member, private, _)| {
            json!({"id": id, "name": name, "is_member": member, "is_private": private, "is_channel": true})
        });
        let crowd = (0..self.crowd).map(|n| {
            json!({"id": format!("C0CROWD{n:05}"), "name": format!("crowd-{n}"), "is_member": false})
        });
        page(&own.chain(crowd).collect::<Vec<_>>(), "channels", arg)
    }

    /// A channel's id and name, or those of an open conversation.
    fn channel(&self, id: &str, to_post: bool) -> Result<(String, String), Value> {
        if !is_channel(id) {
            let mut refusal = refused("invalid_arguments");
            refusal["response_metadata"] = json!({"messages": [
                "[ERROR] input must match regex pattern: ^[CGDZ][A-Z0-9]{8,}$ [json-pointer:/channel_id]"
            ]});
            return Err(refusal);
        }
        // Of the organisation.
        if id.starts_with("CT0INITECH") || id == "C0SHARED01" {
            return Ok((id.to_owned(), String::new()));
        }
        if id == "D0ADA00001" {
            return Ok((id.to_owned(), String::new()));
        }
        match CHANNELS.iter().find(|(each, ..)| *each == id) {
            None => Err(refused("channel_not_found")),
            Some((_, _, false, true, _)) => Err(refused("channel_not_found")),
            Some((_, _, _, _, true)) if to_post => Err(refused("is_archived")),
            Some((_, _, false, ..)) if to_post => Err(refused("not_in_channel")),
            Some((id, name, ..)) => Ok(((*id).to_owned(), (*name).to_owned())),
        }
    }

    /// As [`channel`](Self::channel), or a person's conversation.
    fn channel_or_person(&self, id: &str) -> Result<String, Value> {
        if is_user(id) {
            return conversation(id).map_err(|_| refused("channel_not_found"));
        }
        Ok(self.channel(id, true)?.0)
    }

    fn message<'a>(&mut self, arg: &dyn Fn(&str) -> &'a str) -> Answer {
        let channel = self.channel_or_person(arg("channel"))?;
        if arg("text").is_empty() {
            return Err(refused("no_text"));
        }
        let thread = thread(arg("thread_ts"))?;
        let id = format!("1700000001.{:06}", self.posted.len());
        self.posted.push(Posted {
            channel: channel.clone(),
            thread,
            text: arg("text").into(),
            file: None,
            id: id.clone(),
        });
        Ok(json!({"ok": true, "channel": channel, "ts": id}))
    }

    fn delete<'a>(&mut self, arg: &dyn Fn(&str) -> &'a str) -> Answer {
        let is_it = |one: &Posted| one.channel == arg("channel") && one.id == arg("ts");
        let at = self.posted.iter().position(is_it).ok_or_else(|| refused("message_not_found"))?;
        let Posted { channel, id, .. } = self.posted.remove(at);
        Ok(json!({"ok": true, "channel": channel, "ts": id}))
    }

    fn begin<'a>(&mut self, arg: &dyn Fn(&str) -> &'a str) -> Answer {
        let length: u64 = arg("length").parse().unwrap_or(0);
        if length == 0 || arg("filename").is_empty() {
            return Err(refused("missing_argument"));
        }
        let id = format!("F0CANARY{:04}", self.files.len());
        let file =
            File { name: arg("filename").into(), length, uploaded: None, shared: Vec::new() };
        self.files.insert(id.clone(), file);
        Ok(
            json!({"ok": true, "upload_url": format!("https://files.slack.com/upload/v1/{id}"), "file_id": id}),
        )
    }

    fn complete<'a>(&mut self, arg: &dyn Fn(&str) -> &'a str) -> Answer {
        let files: Value =
            serde_json::from_str(arg("files")).map_err(|_| refused("invalid_arguments"))?;
        let id = files[0]["id"].as_str().unwrap_or_default().to_owned();
        let mut channels = Vec::new();
        if !arg("channel_id").is_empty() {
            channels.push(self.channel(arg("channel_id"), true)?.0);
        }
        for id in arg("channels").split(',').filter(|part| !part.is_empty()) {
            channels.push(self.channel_or_person(id)?);
        }
        let thread = thread(arg("thread_ts"))?;
        if thread.is_some() && channels.len() != 1 {
            return Err(refused("invalid_arguments"));
        }
        let text = match (arg("initial_comment"), arg("blocks")) {
            ("", "") => String::new(),
            ("", blocks) => {
                let blocks: Value =
                    serde_json::from_str(blocks).map_err(|_| refused("invalid_blocks"))?;
                let text = &blocks[0]["text"]["text"];
                text.as_str().ok_or_else(|| refused("invalid_blocks"))?.to_owned()
            }
            (text, _) => text.to_owned(),
        };
        let file = self.files.get_mut(&id).ok_or_else(|| refused("file_not_found"))?;
        let digests = file.uploaded.clone().ok_or_else(|| refused("file_not_found"))?;
        file.shared.clone_from(&channels);
        let name = file.name.clone();
        for channel in channels {
            let file = Some((name.clone(), digests.clone()));
            let (thread, text) = (thread.clone(), text.clone());
            self.posted.push(Posted { channel, thread, text, file, id: id.clone() });
        }
        Ok(json!({"ok": true, "files": [{"id": id, "title": files[0]["title"], "shares": {}}]}))
    }

    fn info(&self, id: &str) -> Answer {
        // A file that was never completed cannot be seen.
        let file = self.files.get(id).filter(|file| !file.shared.is_empty());
        let file = file.ok_or_else(|| refused("file_not_found"))?;
        let of = |first: char| -> Vec<&String> {
            file.shared.iter().filter(|channel| channel.starts_with(first)).collect()
        };
        Ok(json!({"ok": true, "file": {
            "id": id, "name": file.name, "size": file.length,
            "channels": of('C'), "groups": of('G'), "ims": of('D'),
        }}))
    }

    fn history<'a>(&self, arg: &dyn Fn(&str) -> &'a str) -> Value {
        let thread = Some(arg("ts")).filter(|ts| !ts.is_empty());
        let here = self.posted.iter().filter(|posted| {
            posted.channel == arg("channel") && posted.thread.as_deref() == thread
        });
        let messages: Vec<Value> =
            here.map(|posted| json!({"type": "message", "files": [{"id": posted.id}]})).collect();
        json!({"ok": true, "messages": messages, "has_more": false})
    }
}

fn thread(ts: &str) -> Result<Option<String>, Value> {
    match ts {
        "" => Ok(None),
        THREAD => Ok(Some(ts.to_owned())),
        _ => Err(refused("thread_not_found")),
    }
}

fn users() -> Vec<Value> {
    vec![
        json!({"id": "USLACKBOT", "name": "slackbot", "is_bot": false}),
        json!({"id": "U0GRACE001", "name": "grace", "real_name": "Grace Hopper"}),
        json!({"id": "U0BOT00001", "name": "looker", "is_bot": true}),
        json!({"id": "U0GONE0001", "name": "gone", "deleted": true}),
        json!({"id": "U0GUEST001", "name": "guest", "is_restricted": true}),
        json!({"id": "U0ADA00001", "name": "ada", "real_name": "Ada Lovelace"}),
    ]
}

fn conversation(user: &str) -> Result<String, Value> {
    match user {
        "U0ADA00001" => Ok("D0ADA00001".to_owned()),
        user if is_user(user) => Err(refused("user_not_found")),
        _ => Err(refused("users_list_not_supplied")),
    }
}

fn page<'a>(all: &[Value], name: &str, arg: &dyn Fn(&str) -> &'a str) -> Answer {
    let limit: usize = arg("limit").parse().unwrap_or(100);
    if !(1..1000).contains(&limit) {
        return Err(refused("invalid_limit"));
    }
    let from: usize = match arg("cursor") {
        "" => 0,
        cursor => cursor
            .strip_prefix("next:")
            .and_then(|at| at.parse().ok())
            .ok_or_else(|| refused("invalid_cursor"))?,
    };
    let size = if all.len() > 100 { limit } else { PAGE.min(limit) };
    let end = (from + size).min(all.len());
    let next = if end < all.len() { format!("next:{end}") } else { String::new() };
    let mut answer = json!({"ok": true, "response_metadata": {"next_cursor": next}});
    answer[name] = all.get(from..end).unwrap_or_default().into();
    Ok(answer)
}

fn refused(code: &str) -> Value {
    json!({"ok": false, "error": code})
}

fn plain(status: u16, text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(text.as_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
    response
}

impl Fake for FakeSlack {
    fn origins(&self) -> Vec<String> {
        vec!["https://slack.com".to_owned(), "https://files.slack.com".to_owned()]
    }

    fn settings(&self) -> Values {
        self.settings.clone()
    }

    fn state(&self) -> Option<String> {
        self.installs.clone()
    }

    fn answers(&self) -> Values {
        [("channel", CHANNEL), ("filename", "orders"), ("initial_comment", "Here is {title}.")]
            .into_iter()
            .collect()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(self.handle_any(request))
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let posted = self.ledger().posted.clone();
        let objects = posted.into_iter().filter_map(|posted| {
            let (name, digests) = posted.file?;
            let name = format!("{}/{name}", posted.channel);
            Some(Object { name, bytes: digests.bytes, sha256: digests.sha256 })
        });
        Box::pin(std::future::ready(objects.collect()))
    }

    fn message(&self, object: &str) -> Option<String> {
        let ledger = self.ledger();
        let posted = ledger.posted.iter().rev().find(|posted| {
            let file = posted.file.as_ref().map(|(name, _)| name);
            file.is_some_and(|name| object == format!("{}/{name}", posted.channel))
        })?;
        let (_, name) = ledger.channel(&posted.channel, false).ok()?;
        Some(format!("#{name}: {}", posted.text))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        // An upload that was never completed is seen by nobody and dropped by Slack; there is no
        // request that would take it back.
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let code = match status {
            401 => "invalid_auth",
            403 => "access_denied",
            404 => "unknown_method",
            429 => "ratelimited",
            500.. => "internal_error",
            _ => "invalid_arguments",
        };
        ("application/json", refused(code).to_string())
    }

    fn commits(&self, _: &Method, path_and_query: &str) -> bool {
        path_and_query == "/api/files.completeUploadExternal"
    }

    fn takes_at_least(&self) -> u64 {
        1
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        let page = "<!DOCTYPE html><html><title>Sign in</title></html>";
        vec![
            ("application/json", refused("invalid_auth").to_string()),
            ("application/json", refused("internal_error").to_string()),
            ("application/json", json!({"ok": true, "files": []}).to_string()),
            ("text/html", page.to_owned()),
        ]
    }
}
