//! A file into a conversation: an address to upload to, the bytes, and the step that shows them.
//!
//! Until that last step nobody sees the file, and Slack drops it if the step never comes
//! (<https://docs.slack.dev/messaging/working-with-files/#uploading_files>).

use std::time::Duration;

use sendoff::{Error, Receipt, Result, Spooled};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Fault, NAME, Slack, comment};
use crate::shared::object_store::certain;

/// Slack's own limit, 1 GB (<https://slack.com/help/articles/201330736>).
pub(super) const LARGEST: u64 = 1 << 30;

/// Slack shares a file after it has answered, so that it is asked more than once.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2)];

/// What is posted where.
pub(super) struct Post {
    /// Ids of channels and conversations.
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

    /// The one channel, or all of them: `channels` takes several, `channel_id` a thread's.
    fn address(&self) -> (&'static str, String) {
        match &self.channels[..] {
            [one] => ("channel_id", one.clone()),
            many => ("channels", many.join(",")),
        }
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
            let mut form = vec![("channel", channel.as_str()), ("text", text.as_str())];
            form.extend(post.thread.as_deref().map(|thread| ("thread_ts", thread)));
            const METHOD: &str = "chat.postMessage";
            let call = || self.call(&self.http, METHOD, true).form(form.iter().copied()).once();
            if let Err(fault) = self.patiently::<Value>(METHOD, call).await {
                let doubt = fault.in_doubt() || done > 0;
                let error = Error::from(fault);
                return Err(if doubt { error.may_have_arrived() } else { error });
            }
        }
        Ok(Receipt::new(post.places()).says(format!("Posted to {}.", post.places())))
    }

    /// Uploads a file and shows it.
    pub(super) async fn post_file(
        &self,
        post: &Post,
        name: &str,
        data: &Spooled,
    ) -> Result<Receipt> {
        let upload = match self.upload(name, data).await {
            Ok(upload) => upload,
            Err(error) => return Err(certain(NAME, error, "the upload", &self.stop).await),
        };
        let receipt = Receipt::new(format!("{NAME} ({})", post.places())).bytes(data.len());
        match self.complete(post, name, &upload.file_id).await {
            Ok(answer) => Ok(match answer["files"][0]["permalink"].as_str() {
                Some(link) => receipt.link(link),
                None => receipt,
            }),
            Err(fault) if fault.in_doubt() => {
                self.settle(post, &upload.file_id, fault.into()).await.map(|()| receipt)
            }
            Err(fault) => Err(fault.into()),
        }
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
            Ok(answer) => Ok(post.channels.iter().all(|one| shared_in(&answer["file"], one))),
            Err(fault) if fault.is("file_not_found") => Ok(false),
            Err(fault) if fault.is("missing_scope") && post.channels.len() == 1 => {
                self.in_history(post, file, stopped).await
            }
            Err(fault) => Err(fault),
        }
    }

    /// For tokens that may not look at files: whether the newest messages show it.
    async fn in_history(&self, post: &Post, file: &str, stopped: bool) -> Result<bool, Fault> {
        let Some(channel) = post.channels.first() else { return Ok(false) };
        let mut query = vec![("channel", channel.as_str()), ("limit", "100")];
        let oldest = (jiff::Timestamp::now().as_second() - 1800).to_string();
        let method = match &post.thread {
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
