//! The properties that HubSpot knows of a kind of record.

use sendoff::{Http, Result, Secret};
use serde::Deserialize;

/// One property.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Property {
    pub(super) name: String,
    label: String,
    #[serde(rename = "type")]
    kind: String,
    has_unique_value: bool,
    modification_metadata: Modification,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Modification {
    read_only_value: bool,
}

/// How a property's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A day: milliseconds of its midnight in UTC.
    Date,
    /// A moment, in ISO 8601.
    Moment,
    /// `true` or `false`.
    Bool,
    /// As it is.
    Text,
}

#[derive(Deserialize)]
struct List {
    results: Vec<Property>,
}

impl Property {
    #[cfg(test)]
    pub(super) fn new(name: &str, kind: &str) -> Self {
        Self { name: name.into(), kind: kind.into(), ..Self::default() }
    }

    #[cfg(test)]
    pub(super) fn read_only(mut self) -> Self {
        self.modification_metadata.read_only_value = true;
        self
    }

    pub(super) fn kind(&self) -> Kind {
        match self.kind.as_str() {
            "date" => Kind::Date,
            "datetime" => Kind::Moment,
            "bool" => Kind::Bool,
            _ => Kind::Text,
        }
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.modification_metadata.read_only_value
    }

    /// Whether it can tell records apart. Of contacts the address does too, although HubSpot does
    /// not mark it so.
    pub(super) fn is_unique(&self) -> bool {
        self.has_unique_value || self.name == "email"
    }

    pub(super) fn label(&self) -> String {
        if self.label.is_empty() { self.name.clone() } else { self.label.clone() }
    }
}

/// All properties; nothing if the token may not see them, which updating does not need.
///
/// # Errors
/// The token is refused altogether, or HubSpot cannot be reached.
pub(super) async fn list(
    http: &Http,
    token: &Secret,
    objects: &str,
) -> Result<Option<Vec<Property>>> {
    let url = format!("https://api.hubapi.com/crm/properties/2026-03/{objects}");
    let reply = http.get(url).bearer(token).send().await?;
    if reply.status().as_u16() == 403 {
        return Ok(None);
    }
    let list: List = reply.success().await?.json().await?;
    Ok(Some(list.results))
}
