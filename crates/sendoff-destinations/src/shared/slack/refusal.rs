//! What Slack's refusals mean, and who must act.

use std::time::Duration;

use sendoff::Error;
use serde_json::Value;

use super::{Holder, NAME, Slack};

/// Why Slack did not do something.
pub(crate) struct Fault {
    /// Slack's own word, if it answered at all.
    code: Option<String>,
    error: Error,
}

impl Fault {
    /// Whether Slack's word is this one.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether Slack may have done it all the same: the documentation says so of these words.
    pub(crate) fn in_doubt(&self) -> bool {
        let status = self.error.http_status().unwrap_or(0);
        self.error.arrival() == sendoff::Arrival::Maybe
            || status >= 500
            || ["fatal_error", "internal_error", "request_timeout", "service_unavailable"]
                .into_iter()
                .any(|code| self.is(code))
    }

    /// Whether an id may be refused because it is a person's.
    pub(crate) fn is_of_place(&self) -> bool {
        ["invalid_arguments", "channel_not_found", "invalid_channel", "missing_scope"]
            .into_iter()
            .any(|code| self.is(code))
    }

    pub(crate) fn error(&self) -> &Error {
        &self.error
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { code: None, error }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// <https://docs.slack.dev/apis/web-api/rate-limits>
fn too_fast(code: &str, wait: Option<Duration>) -> Error {
    let error = Error::vendor(format!("{NAME} refused ({code}): too many requests.")).status(429);
    match wait {
        Some(wait) => error.retry_after(wait),
        None => error.remark("Try again in a minute.").retry_later(),
    }
}

impl Slack {
    /// The answer itself if Slack did what was asked.
    pub(super) fn sound(
        &self,
        method: &str,
        answer: Value,
        wait: Option<Duration>,
    ) -> Result<Value, Fault> {
        if answer["ok"] == true {
            return Ok(answer);
        }
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let code = text("error");
        if code.is_empty() {
            let text = format!("What answered to {method} was not {NAME}.");
            return Err(Error::vendor(text).into());
        }
        // What was wrong with an argument stands here.
        let details = answer["response_metadata"]["messages"].as_array();
        let details: Vec<&str> =
            details.into_iter().flatten().filter_map(Value::as_str).take(3).collect();
        let details = if details.is_empty() { method.to_owned() } else { details.join("; ") };
        let error = match code.as_str() {
            "missing_scope" => self.lacking(&text("needed"), &text("provided")),
            "ratelimited" | "rate_limited" => too_fast(&code, wait),
            _ => self.refused(&code, &details),
        };
        Err(Fault { code: Some(code), error })
    }

    fn lacking(&self, needed: &str, provided: &str) -> Error {
        self.account(format!(
            "{NAME} refused (missing_scope): the token needs the scope {needed} and has {provided}. \
             Add it to the app under \"OAuth & Permissions\" and install the app again."
        ))
    }

    /// The token itself is at fault.
    fn account(&self, message: String) -> Error {
        match self.holder {
            Holder::Setting(name) => Error::settings(message).field(name),
            Holder::Looker => Error::login(message),
        }
    }

    /// The words of <https://docs.slack.dev/reference/methods/files.completeUploadExternal/> and of
    /// the other methods used.
    fn refused(&self, code: &str, details: &str) -> Error {
        let said = format!("{NAME} refused ({code})");
        match code {
            "invalid_auth"
            | "not_authed"
            | "token_revoked"
            | "token_expired"
            | "account_inactive"
            | "not_allowed_token_type" => self.account(format!(
                "{said}: the token is not valid, or no longer. {}",
                match self.holder {
                    Holder::Setting(_) => "Enter a new one in the action's settings.",
                    Holder::Looker => "Connect Looker to the workspace again.",
                }
            )),
            "not_in_channel" | "no_permission" | "posting_to_channel_denied" => Error::form(
                "channel",
                format!(
                    "{said}: the bot is no member of this channel or may not post there. Invite it \
                     in Slack: open the channel, type /invite and the bot's name."
                ),
            ),
            "channel_not_found" | "invalid_channel" => Error::form(
                "channel",
                format!(
                    "{said}: there is no such channel for this bot. A private channel is hidden \
                     from it until it is invited there; otherwise check the id."
                ),
            ),
            "is_archived" => {
                Error::form("channel", format!("{said}: the channel is archived. Choose another."))
            }
            "user_not_found"
            | "user_not_visible"
            | "user_disabled"
            | "cannot_dm_bot"
            | "users_not_found"
            | "messages_tab_disabled" => Error::form(
                "channel",
                format!("{said}: this bot cannot write to this person. Choose another."),
            ),
            "thread_not_found"
            | "invalid_thread_ts"
            | "message_not_found"
            | "cannot_reply_to_message" => Error::form(
                "thread",
                format!("{said}: there is no such message in this channel to reply to."),
            ),
            "msg_too_long" | "msg_blocks_too_long" => {
                Error::form("initial_comment", format!("{said}: the comment is too long."))
            }
            "no_text" => Error::form("initial_comment", format!("{said}: there is no text.")),
            "file_uploads_disabled"
            | "file_uploads_except_images_disabled"
            | "file_type_not_allowed"
            | "file_upload_size_restricted"
            | "access_denied"
            | "ekm_access_denied"
            | "team_access_not_granted"
            | "restricted_action"
            | "accesslimited"
            | "two_factor_setup_required"
            | "enterprise_is_restricted"
            | "org_login_required" => Error::settings(format!(
                "{said}: the workspace does not allow it. Ask its administrators."
            )),
            "storage_limit_reached" => Error::vendor(format!(
                "{said}: the workspace has no room left for files. Delete some, or choose a plan \
                 with more room."
            )),
            "fatal_error"
            | "internal_error"
            | "request_timeout"
            | "service_unavailable"
            | "team_added_to_org" => {
                Error::vendor(format!("{said}: it failed. Try again later.")).retry_later()
            }
            _ => Error::vendor(format!("{said}: {details}.")),
        }
    }
}
