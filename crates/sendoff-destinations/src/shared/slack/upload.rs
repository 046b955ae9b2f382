//! A file into a conversation: an address to upload to, the bytes, and the step that shows them.
//!
//! Until that last step nobody sees the file, and Slack drops it if the step never comes
//! (<https://docs.slack.dev/messaging/working-with-files/#uploading_files>).

use std::time::Duration;

use sendoff::{Error, Receipt, Result, Spooled};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::place::is_user;
use super::{Fault, NAME, Slack, comment};
use crate::shared::object_store::certain;

/// Slack's own limit, 1 GB (<https://slack.com/help/articles/201330736>).
pub(super) const LARGEST: u64 = 1 << 30;

/// Slack shares a file after it has answered, so that it is asked more than once.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2)];

/// What is posted where.
pub(super) struct Post {
    /// Ids of channels and conversations, and of people where the token may open no conversation.
    pub(super) channels: Vec<String>,
    pub(super) thread: Option<String>,
    pub(super) comment: Option<String>,
}

#[derive(Deserialize)]
struct Upload {
    upload_url: String,
    file_id: String,
}

impl Post {
    fn places(&self) -> String {
        self.channels.join(", ")
    }

    fn has_people(&self) -> bool {
        self.channels.iter().any(|id| is_user(id))
    }

    /// `channel_id` takes one channel (<https://github.com/slackapi/bolt-js/issues/2115>),
    /// `channels` "channel IDs or user IDs"
    /// (<https://docs.slack.dev/reference/methods/files.completeUploadExternal/>).
    fn address(&self) -> (&'static str, String) {
        match &self.channels[..] {
            [one] if !is_user(one) => ("channel_id", one.clone()),
            many => ("channels", many.join(",")),
        }
    }

    /// Whether a file is shared everywhere. Of people their number counts: a file names
    /// conversations, not people.
    fn is_everywhere(&self, file: &Value) -> bool {
        let (people, channels): (Vec<_>, Vec<_>) = self.channels.iter().partition(|id| is_user(id));
        if !channels.iter().all(|id| shared_in(file, id)) {
            return false;
        }
        let named = channels.iter().filter(|id| id.starts_with('D')).count();
        let conversations = file["ims"].as_array().map_or(0, Vec::len);
        people.is_empty() || conversations >= named + people.len()
    }
}

impl Slack {
    /// Posts a text without a file.
    pub(super) async fn post_text(&self, post: &Post) -> Result<Receipt> {
        let Some(text) = &post.comment else {
            return Err(Error::form(
                "initial_comment",
                "Looker sent no data, so that there is nothing to post without a comment.",
            ));
        };
        for (done, channel) in post.channels.iter().enumerate() {
            let sent = self.message::<Value>(channel, text, post.thread.as_deref()).await;
            if let Err(fault) = sent {
                let doubt = fault.in_doubt() || done > 0;
                let error = Error::from(fault);
                return Err(if doubt { error.may_have_arrived() } else { error });
            }
        }
        Ok(Receipt::new(post.places()).says(format!("Posted to {}.", post.places())))
    }

    /// Sends a message, once.
    pub(super) async fn message<T: DeserializeOwned>(
        &self,
        channel: &str,
        text: &str,
        thread: Option<&str>,
    ) -> Result<T, Fault> {
        const METHOD: &str = "chat.postMessage";
        let mut form = vec![("channel", channel), ("text", text)];
        form.extend(thread.map(|thread| ("thread_ts", thread)));
        let call = || self.call(&self.http, METHOD, true).form(form.iter().copied()).once();
        self.patiently(METHOD, call).await
    }

    /// Uploads a file and shows it.
    pub(super) async fn post_file(
        &self,
        mut post: Post,
        name: &str,
        data: &Spooled,
    ) -> Result<Receipt> {
        let upload = match self.upload(name, data).await {
            Ok(upload) => upload,
            Err(error) => return Err(certain(NAME, error, "the upload", &self.stop).await),
        };
        let mut shown = self.complete(&post, name, &upload.file_id).await;
        if post.has_people() && shown.as_ref().is_err_and(Fault::is_of_place) {
            post.channels = match self.conversations(post.channels).await {
                Ok(channels) => channels,
                Err(fault) => {
                    let what = "which conversation is meant";
                    return Err(certain(NAME, fault.into(), what, &self.stop).await);
                }
            };
            shown = self.complete(&post, name, &upload.file_id).await;
        }
        let receipt = Receipt::new(format!("{NAME} ({})", post.places())).bytes(data.len());
        match shown {
            Ok(answer) => Ok(match answer["files"][0]["permalink"].as_str() {
                Some(link) => receipt.link(link),
                None => receipt,
            }),
            Err(fault) if fault.in_doubt() => {
                self.settle(&post, &upload.file_id, fault.into()).await.map(|()| receipt)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// The same with conversations in place of people.
    async fn conversations(&self, mut ids: Vec<String>) -> Result<Vec<String>, Fault> {
        for id in ids.iter_mut().filter(|id| is_user(id)) {
            *id = self.find(id).await?;
        }
        Ok(ids)
    }

    async fn upload(&self, name: &str, data: &Spooled) -> Result<Upload> {
        let length = data.len().to_string();
        let form = [("filename", name), ("length", length.as_str())];
        let upload: Upload = self.post("files.getUploadURLExternal", &form).await?;
        let call = self.http.post(&upload.upload_url);
        let call = call.header("content-type", "application/octet-stream").body(data.clone());
        // Slack's own client sends the bytes again, too.
        call.repeatable().send().await?.success().await?;
        Ok(upload)
    }

    /// Shows the file. Never sent again unless Slack said that it did nothing.
    async fn complete(&self, post: &Post, name: &str, file: &str) -> Result<Value, Fault> {
        const METHOD: &str = "files.completeUploadExternal";
        let files = json!([{"id": file, "title": name}]).to_string();
        let (address, channels) = post.address();
        let mut form = vec![("files", files), (address, channels)];
        if let Some(text) = &post.comment {
            form.push(match comment::blocks(text) {
                Some(blocks) => ("blocks", blocks),
                None => ("initial_comment", text.clone()),
            });
        }
        form.extend(post.thread.clone().map(|thread| ("thread_ts", thread)));
        let call =
            || self.call(&self.http, METHOD, true).form(form.iter().map(|(n, v)| (*n, v))).once();
        let answer: Value = self.patiently(METHOD, call).await?;
        if answer["files"][0]["id"] == file {
            return Ok(answer);
        }
        Err(Error::vendor(unconfirmed()).may_have_arrived().into())
    }

    /// Slack's answer to the last step was lost: it is asked for the file.
    async fn settle(&self, post: &Post, file: &str, error: Error) -> Result<()> {
        let stopped = self.stop.reason().is_some();
        for wait in LOOKS.into_iter().take(if stopped { 1 } else { LOOKS.len() }) {
            tokio::time::sleep(wait).await;
            match self.stands(post, file, stopped).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(fault) => {
                    let why = Error::from(fault);
                    tracing::info!(reason = %why.log_line(), "Slack did not say what it holds");
                    return Err(self.unknown(error));
                }
            }
        }
        let error = error.may_have_arrived();
        Err(certain(NAME, error, "the last step, and shows no such file", &self.stop).await)
    }

    fn unknown(&self, error: Error) -> Error {
        if error.arrival() == sendoff::Arrival::Maybe {
            return error;
        }
        error
            .context(format!(
                "The file may have arrived in {NAME}: look there before you send again"
            ))
            .may_have_arrived()
    }

    /// Whether the file was shared in every channel asked for.
    async fn stands(&self, post: &Post, file: &str, stopped: bool) -> Result<bool, Fault> {
        let answer = self.look("files.info", vec![("file", file)], stopped).await;
        match answer {
            Ok(answer) => Ok(post.is_everywhere(&answer["file"])),
            Err(fault) if fault.is("file_not_found") => Ok(false),
            Err(fault) if fault.is("missing_scope") => match &post.channels[..] {
                [channel] if !is_user(channel) => {
                    self.in_history(channel, post.thread.as_deref(), file, stopped).await
                }
                _ => Err(fault),
            },
            Err(fault) => Err(fault),
        }
    }

    /// For tokens that may not look at files: whether the newest messages show it.
    async fn in_history(
        &self,
        channel: &str,
        thread: Option<&str>,
        file: &str,
        stopped: bool,
    ) -> Result<bool, Fault> {
        let mut query = vec![("channel", channel), ("limit", "100")];
        let oldest = (jiff::Timestamp::now().as_second() - 1800).to_string();
        let method = match thread {
            None => "conversations.history",
            Some(thread) => {
                query.push(("ts", thread));
                "conversations.replies"
            }
        };
        query.push(("oldest", &oldest));
        let answer = self.look(method, query, stopped).await?;
        let messages = answer["messages"].as_array().into_iter().flatten();
        let mut files = messages.filter_map(|message| message["files"].as_array()).flatten();
        Ok(files.any(|one| one["id"] == file))
    }

    /// Asks, also after a stop.
    async fn look(
        &self,
        method: &str,
        query: Vec<(&str, &str)>,
        stopped: bool,
    ) -> Result<Value, Fault> {
        let limit = Duration::from_secs(if stopped { 2 } else { 10 });
        let call = self.call(&self.http.for_cleanup(), method, false).query(query).timeout(limit);
        self.answer(method, call.send().await?).await
    }
}

fn unconfirmed() -> String {
    format!(
        "{NAME} did not name the file in its answer to the last step. Look there before you send it again."
    )
}

/// Where a file is shared: lists of ids, and since 2018 `shares`.
fn shared_in(file: &Value, channel: &str) -> bool {
    let listed = ["channels", "groups", "ims"]
        .into_iter()
        .any(|kind| file[kind].as_array().is_some_and(|ids| ids.iter().any(|id| id == channel)));
    listed
        || ["public", "private"].into_iter().any(|kind| file["shares"][kind].get(channel).is_some())
}
