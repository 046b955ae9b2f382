//! What Looker keeps for a user: reading our own form and the reference hub's, writing ours.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Desk;
use super::seal::{Purpose, Seal, seconds};
use crate::{Error, Result, Secret};

/// What Looker stores at most. Protocol fact A.
const LARGEST: usize = 32_000;
/// What the reference hub and Looker put in place of a state that was taken back. Facts A, B.
pub(crate) const RESET: &str = "reset";
/// An access token is renewed so long before it expires, in seconds, or after half of its life.
const MARGIN: u64 = 300;
/// Looker asks for the form at most so often, in seconds. Protocol fact A.
const SHORTEST_REFRESH: u64 = 600;

/// A user's tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) access: Option<Secret>,
    pub(crate) refresh: Option<Secret>,
    /// The Unix time from which the access token is to be renewed, where it is known to expire.
    pub(crate) renew_at: Option<u64>,
    /// Further members of the token answer, see [`OAuth::keep`](super::OAuth::keep).
    pub(crate) kept: BTreeMap<String, String>,
}

/// [`Tokens`] inside the seal. Short names: Looker's limit counts.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    access: Option<String>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    renew_at: Option<u64>,
    #[serde(rename = "k", default, skip_serializing_if = "BTreeMap::is_empty")]
    kept: BTreeMap<String, String>,
}

impl Tokens {
    /// Of a token answer that came now.
    pub(crate) fn of_answer(answer: &Map<String, Value>, keep: &[&str]) -> Self {
        let now = seconds(SystemTime::now());
        let expires_in = answer.get("expires_in").and_then(whole);
        let kept = keep.iter().filter_map(|name| {
            Some((
                (*name).to_owned(),
                match answer.get(*name)? {
                    Value::Null => return None,
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                },
            ))
        });
        Self {
            access: secret(answer, "access_token"),
            refresh: secret(answer, "refresh_token"),
            renew_at: expires_in
                .map(|life| now.saturating_add(life.saturating_sub(MARGIN).max(life / 2))),
            kept: kept.collect(),
        }
    }

    /// Of what the reference hub stored, in `tokens` or flat. Its Google actions write the expiry
    /// in milliseconds; its Facebook action has a name of its own for the token.
    fn of_reference(object: &Map<String, Value>) -> Option<Self> {
        let object = match object.get("tokens") {
            Some(Value::Object(tokens)) => tokens,
            _ => object,
        };
        let expires = object.get("expiry_date").and_then(whole).map(|millis| millis / 1000);
        let tokens = Self {
            access: secret(object, "access_token").or_else(|| secret(object, "longLivedToken")),
            refresh: secret(object, "refresh_token"),
            renew_at: expires.map(|at| at.saturating_sub(MARGIN)),
            kept: BTreeMap::new(),
        };
        (tokens.access.is_some() || tokens.refresh.is_some()).then_some(tokens)
    }

    /// Whether the access token is there and not about to expire.
    pub(crate) fn is_usable(&self) -> bool {
        let now = seconds(SystemTime::now());
        self.access.is_some() && self.renew_at.is_none_or(|at| now < at)
    }

    /// In how many seconds Looker should ask for the form, so that the hub can renew the tokens.
    pub(crate) fn refresh_time(&self) -> Option<u64> {
        self.refresh.as_ref()?;
        let left = self.renew_at?.saturating_sub(seconds(SystemTime::now()));
        Some(left.max(SHORTEST_REFRESH))
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        [&self.access, &self.refresh].into_iter().flatten().map(Secret::expose)
    }
}

fn secret(object: &Map<String, Value>, name: &str) -> Option<Secret> {
    let text = object.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.into())
}

/// A whole number, also as a text, as some vendors write `expires_in`.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => {
            number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
        }
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A login that Looker gave back.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) tokens: Tokens,
    /// It is not in the form that is written now: the reference's, or an older key's.
    pub(crate) outdated: bool,
}

/// Reads `state_json`. Whatever cannot be read means "not logged in", never an error: an error in
/// the form would leave the user without the login that mends it.
pub(crate) fn read(desk: &Desk, action: &str, instance: &str, state: &str) -> Option<Kept> {
    let object = object(state)?;
    if let Some(Value::String(sealed)) = object.get("sealed") {
        let seal = Seal { purpose: Purpose::Stored, action, instance };
        let opened = match desk.ring.open(seal, sealed) {
            Ok(opened) => opened,
            Err(why) => {
                tracing::info!(action, ?why, "a stored login cannot be opened");
                return None;
            }
        };
        let written: Written = serde_json::from_slice(&opened.text).ok()?;
        let tokens = Tokens {
            access: written.access.map(Secret::from),
            refresh: written.refresh.map(Secret::from),
            renew_at: written.renew_at,
            kept: written.kept,
        };
        return Some(Kept { tokens, outdated: !opened.newest });
    }
    let tokens = match (object.get("cid"), object.get("payload")) {
        (Some(Value::String(cid)), Some(Value::String(payload))) => {
            let key = desk.legacy.as_ref().filter(|key| key.cid() == cid)?;
            Tokens::of_reference(&self::object(&key.open(payload)?)?)?
        }
        _ => Tokens::of_reference(&object)?,
    };
    Some(Kept { tokens, outdated: true })
}

/// A JSON object, also one that was written as a JSON string.
fn object(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text).ok()? {
        Value::Object(object) => Some(object),
        Value::String(inner) => match serde_json::from_str(&inner).ok()? {
            Value::Object(object) => Some(object),
            _ => None,
        },
        _ => None,
    }
}

/// The object that Looker is to keep.
///
/// # Errors
/// The hub's, when it cannot be sealed or is larger than what Looker keeps.
pub(crate) fn write(desk: &Desk, action: &str, instance: &str, tokens: &Tokens) -> Result<Value> {
    let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    let written = Written {
        access: text(&tokens.access),
        refresh: text(&tokens.refresh),
        renew_at: tokens.renew_at,
        kept: tokens.kept.clone(),
    };
    let json = serde_json::to_vec(&written)
        .map_err(|fault| Error::hub("A login could not be written.").cause(fault))?;
    let seal = Seal { purpose: Purpose::Stored, action, instance };
    let sealed = desk.ring.seal(seal, &json)?;
    if sealed.len() > LARGEST {
        return Err(Error::hub(format!(
            "The tokens of this login are larger than what Looker keeps ({} bytes of {LARGEST}).",
            sealed.len()
        )));
    }
    Ok(json!({ "sealed": sealed }))
}

/// A workspace that was connected in Looker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Install {
    /// Its id at the vendor; `any` where Looker is older than 7.3 and names none.
    pub id: String,
    /// Its token.
    pub token: Secret,
}

/// Reads the state of a delegated login: an array of ids and tokens since Looker 7.3, one bare
/// token before. Protocol fact B, `slack_client_manager.ts`.
pub(crate) fn installs(state: &str) -> Vec<Install> {
    let state = state.trim();
    if matches!(state, "" | "null" | RESET) {
        return Vec::new();
    }
    let one = |token: &str| {
        let token = token.trim();
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '{' | '[');
        let there = !matches!(token, "" | "null" | RESET) && token.chars().all(plain);
        there.then(|| Install { id: "any".to_owned(), token: token.into() }).into_iter().collect()
    };
    match serde_json::from_str(state) {
        Ok(Value::Array(list)) => list
            .iter()
            .filter_map(|entry| {
                let token = secret(entry.as_object()?, "token")?;
                let id = match entry.get("install_id")? {
                    Value::String(id) => id.clone(),
                    Value::Number(id) => id.to_string(),
                    _ => return None,
                };
                Some(Install { id, token })
            })
            .collect(),
        Ok(Value::String(token)) => one(&token),
        // An object is no token of anybody's: a state of another kind.
        Ok(Value::Object(_) | Value::Null | Value::Bool(_)) => Vec::new(),
        _ => one(state),
    }
}
