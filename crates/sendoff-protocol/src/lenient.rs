//! Reading what real payloads hold where a string was promised.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A text that may come as a JSON string, number or boolean: ids do (`"5531"` and `5531` were both
/// seen for `query_id`, **C**). Whatever is no string keeps its JSON text, to the last digit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl Text {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        if json.get().starts_with('"') {
            return serde_json::from_str(json.get()).map(Self).map_err(D::Error::custom);
        }
        // Not by way of a number: it would come back shorter, rounded or with an exponent.
        Ok(Self(Box::<str>::from(json).into()))
    }
}

/// For members that must not make the whole request unreadable: a value of an unexpected type
/// counts as absent.
pub(crate) fn or_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let json = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(json.get()).ok())
}

/// The same for members that are objects. An object that cannot be read is an error: without it
/// the request would mean something else.
pub(crate) fn object_or_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let json = Box::<RawValue>::deserialize(deserializer)?;
    if !json.get().starts_with('{') {
        return Ok(None);
    }
    serde_json::from_str(json.get()).map(Some).map_err(D::Error::custom)
}

/// The text of a member that was promised to be one; that of a number or a boolean, if it is that.
pub(crate) fn text_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    // Not raw: forms are read by way of values.
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        other @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
            Some(other.to_string())
        }
        _ => None,
    })
}

/// The same where an empty text stands for none.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text_or_none(deserializer).map(Option::unwrap_or_default)
}

/// The type's default for what is null or of an unexpected type.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    // Not raw: it stands within an untagged enum, which serde reads into values of its own.
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}
