//! The properties that HubSpot knows of a kind of record.

use std::sync::Arc;

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
    field_type: String,
    options: Vec<Choice>,
    /// The options stand elsewhere: owners, for one.
    external_options: bool,
    has_unique_value: bool,
    hubspot_defined: bool,
    modification_metadata: Modification,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    label: String,
    value: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Modification {
    read_only_value: bool,
}

/// How a property's values are written.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A day: milliseconds of its midnight in UTC.
    Date,
    /// A moment, in ISO 8601.
    Moment,
    /// `true` or `false`.
    Bool,
    /// Of a list.
    Chosen(Arc<Options>),
    /// As it is.
    Text,
}

/// What a property may be.
#[derive(Debug)]
pub(super) struct Options {
    list: Vec<Choice>,
    /// Several may be chosen, with semicolons between.
    several: bool,
}

impl Options {
    /// `text` by the names that HubSpot stores, whether it gives those or the labels that people
    /// see.
    ///
    /// # Errors
    /// What is wrong with it, behind the property's name.
    pub(super) fn stored(&self, text: &str) -> Result<String, String> {
        if !self.several {
            return self.one(text).map(str::to_owned);
        }
        // An empty one in front adds to what is chosen already.
        let parts = text.split(';').map(str::trim);
        let stored = parts.map(|part| if part.is_empty() { Ok("") } else { self.one(part) });
        Ok(stored.collect::<Result<Vec<_>, _>>()?.join(";"))
    }

    fn one(&self, text: &str) -> Result<&str, String> {
        let text = text.trim();
        let by_value = self.list.iter().find(|choice| choice.value == text);
        let like = |own: &str| own.trim().to_lowercase() == text.to_lowercase();
        let by_label = || self.list.iter().find(|one| like(&one.label) || like(&one.value));
        by_value.or_else(by_label).map(|choice| choice.value.as_str()).ok_or_else(|| {
            let all: Vec<_> =
                self.list.iter().take(8).map(|choice| choice.value.as_str()).collect();
            let more = if self.list.len() > all.len() { ", …" } else { "" };
            let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
            format!("is \"{shown}\" and HubSpot's options are {}{more}", all.join(", "))
        })
    }
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

    #[cfg(test)]
    pub(super) fn with_options(mut self, field_type: &str, options: &[(&str, &str)]) -> Self {
        let choice = |(value, label): &(&str, &str)| Choice {
            value: (*value).into(),
            label: (*label).into(),
        };
        self.options = options.iter().map(choice).collect();
        self.field_type = field_type.into();
        self
    }

    pub(super) fn kind(&self) -> Kind {
        match self.kind.as_str() {
            "enumeration" if !self.options.is_empty() && !self.external_options => {
                let several = self.field_type == "checkbox";
                Kind::Chosen(Arc::new(Options { list: self.options.clone(), several }))
            }
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

/// So many properties are named in a form: an account has hundreds.
const NAMED: usize = 40;

/// The properties that a column can be sent to, those of the account's own first, as a sentence.
pub(super) fn named(known: &[Property]) -> String {
    let (own, common): (Vec<_>, Vec<_>) = known
        .iter()
        .filter(|property| !property.is_read_only())
        .partition(|property| !property.hubspot_defined);
    let all = own.len() + common.len();
    let names: Vec<_> =
        own.iter().chain(&common).take(NAMED).map(|property| property.name.as_str()).collect();
    let more = match all - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("HubSpot has {}{more}.", names.join(", "))
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
