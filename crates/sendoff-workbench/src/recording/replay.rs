//! A recorded call made again, against any hub.

use std::collections::BTreeMap;
use std::fmt;

use sendoff_protocol::Format;
use serde_json::Value;

use super::Recorded;
use crate::request::MASK;
use crate::verdict::Call;

/// Why a recorded call cannot be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreplayable {
    /// It is none of Looker's calls to a hub.
    Call(Call),
    /// The recording has not the whole body.
    Cut,
    /// The body is not JSON.
    Body(String),
    /// These params are masked, and nobody gave their values.
    Masked(Vec<String>),
    /// The data went by a URL that is long gone, and there is no other data.
    Download,
}

impl fmt::Display for Unreplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => write!(f, "A call of the kind `{call}` is not made again."),
            Self::Cut => f.write_str(
                "The recording has not the whole body; record with a larger --body-limit.",
            ),
            Self::Body(why) => write!(f, "The recorded body is not JSON: {why}."),
            Self::Masked(names) => {
                let names: Vec<String> =
                    names.iter().map(|name| format!("--param {name}=…")).collect();
                write!(f, "The recording masks secrets; give them: {}.", names.join(" "))
            }
            Self::Download => f.write_str(
                "The recorded delivery went by a download URL, and the recording has not the whole \
                 of what was fetched; give data with --data, --look, --sql or --generate.",
            ),
        }
    }
}

impl std::error::Error for Unreplayable {}

/// A call that can be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// What it is.
    pub call: Call,
    /// The action.
    pub action: Option<String>,
    /// The body, with the params put in; empty for a list call.
    pub body: String,
    /// The same with its secrets masked.
    pub shown: String,
    /// The secrets.
    pub secrets: Vec<String>,
}

impl Recorded {
    /// Whether its data went by a download URL.
    pub fn is_streamed(&self) -> bool {
        let text = self.request.body.text.as_deref().unwrap_or_default();
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        body["scheduled_plan"]["download_url"].is_string()
    }

    /// The format in which its data went by a download URL.
    pub(crate) fn streamed_format(&self) -> Format {
        let text = self.request.body.text.as_deref().unwrap_or_default();
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let named = body["form_params"]["format"].as_str().and_then(|name| name.parse().ok());
        named.unwrap_or(Format::Csv)
    }

    /// The call to be made again. `params` gives the values of those that are masked, `download` the
    /// URL by which data goes that went so.
    ///
    /// # Errors
    /// It cannot be made again.
    pub fn replay(
        &self,
        params: &BTreeMap<String, String>,
        download: Option<&str>,
    ) -> Result<Replay, Unreplayable> {
        if !matches!(self.call, Call::List | Call::Form | Call::Test | Call::Execute) {
            return Err(Unreplayable::Call(self.call));
        }
        let action = self.action.clone();
        let recorded = &self.request.body;
        if recorded.cut {
            return Err(Unreplayable::Cut);
        }
        let text = recorded.text.clone().unwrap_or_default();
        if text.trim().is_empty() {
            let (body, shown, secrets) = (String::new(), String::new(), Vec::new());
            return Ok(Replay { call: self.call, action, body, shown, secrets });
        }
        let mut value: Value =
            serde_json::from_str(&text).map_err(|error| Unreplayable::Body(error.to_string()))?;
        if value["scheduled_plan"]["download_url"].is_string() {
            let url = download.ok_or(Unreplayable::Download)?;
            value["scheduled_plan"]["download_url"] = url.into();
        }
        let mut shown = value.clone();
        let mut secrets = Vec::new();
        let mut missing = Vec::new();
        if let Some(data) = value.get_mut("data").and_then(Value::as_object_mut) {
            // Tokens of logins, and the one-time URLs for them, are this Looker's alone.
            for name in ["state_url", "state_redir_url", "state_json"] {
                if !params.contains_key(name) {
                    data.remove(name);
                }
            }
            for (name, value) in data.iter_mut() {
                match params.get(name) {
                    Some(given) => {
                        secrets.push(given.clone());
                        *value = Value::from(given.as_str());
                    }
                    None if value.as_str() == Some(MASK) => missing.push(name.clone()),
                    None => {}
                }
            }
            if let Some(shown) = shown.get_mut("data").and_then(Value::as_object_mut) {
                shown.retain(|name, _| data.contains_key(name));
                for name in data.keys().filter(|name| params.contains_key(*name)) {
                    shown.insert(name.clone(), MASK.into());
                }
            }
        }
        if !missing.is_empty() {
            return Err(Unreplayable::Masked(missing));
        }
        let (body, shown) = (value.to_string(), shown.to_string());
        Ok(Replay { call: self.call, action, body, shown, secrets })
    }
}
