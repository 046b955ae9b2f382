//! The list of actions that a hub offers.

use serde::{Deserialize, Serialize};

use crate::format::Format;

/// The answer to the list call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// The hub's name in Looker's admin pages.
    pub label: Option<String>,
    /// The actions. One entry that Looker cannot read makes the whole hub unusable. **A**
    pub integrations: Vec<Definition>,
}

/// One action (`Integration`, **A**).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Definition {
    /// Unique in the hub; schedules refer to it.
    pub name: String,
    /// What users read.
    pub label: String,
    /// A sentence below the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The execute URL, absolute.
    pub url: String,
    /// The form URL, absolute; null for an action without a form.
    pub form_url: Option<String>,
    /// The OAuth v2 token URL; empty where v2 is not offered. **B**
    pub token_url: String,
    /// The icon as a `data:` URI.
    pub icon_data_uri: Option<String>,
    /// What an admin fills in once.
    pub params: Vec<Param>,
    /// All of these must be in the query.
    pub required_fields: Vec<RequiredField>,
    /// What can be sent.
    pub supported_action_types: Vec<ActionType>,
    /// Absent means every format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supported_formats: Option<Vec<Format>>,
    /// Absent means both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supported_formattings: Option<Vec<Formatting>>,
    /// Absent means both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supported_visualization_formattings: Option<Vec<VisualizationFormatting>>,
    /// How data may come. The specification's default is both, the reference's documentation says
    /// push, so it is always stated.
    pub supported_download_settings: Vec<DownloadSetting>,
    /// Looker then sends `state_url` and keeps state per user.
    pub uses_oauth: bool,
    /// The login runs through a page of Looker's own.
    pub delegate_oauth: bool,
    /// A link that Looker shows beside the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy_link: Option<String>,
}

/// A setting that a Looker admin fills in (`IntegrationParam`, **A**).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Param {
    /// Its key in `data`.
    pub name: String,
    /// What the admin reads.
    pub label: String,
    /// Help below the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the action can be enabled without it.
    pub required: bool,
    /// Whether Looker hides the value once it is saved; absent means true. **A**
    #[serde(default = "yes")]
    pub sensitive: bool,
    /// The Looker user attribute that the value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_attribute_name: Option<String>,
    /// Whether each user has a value of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_user: Option<bool>,
    /// Turns the param into an "install" link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate_oauth_url: Option<String>,
}

fn yes() -> bool {
    true
}

/// A field that the query must have; `any_tag` and `all_tags` supersede `tag`. **A**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequiredField {
    /// One tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Any of these tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any_tag: Option<Vec<String>>,
    /// All of these tags on one field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_tags: Option<Vec<String>>,
}

/// What can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ActionType {
    /// One cell of a table.
    Cell,
    /// A Look or an explore.
    Query,
    /// A dashboard.
    Dashboard,
    /// New in the specification and explained nowhere. **A**
    None,
}

impl ActionType {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::Query => "query",
            Self::Dashboard => "dashboard",
            Self::None => "none",
        }
    }
}

impl std::fmt::Display for ActionType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether values come formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Formatting {
    /// As users see them.
    Formatted,
    /// As the database gave them.
    Unformatted,
}

/// Whether the visualisation's settings are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VisualizationFormatting {
    /// Applied.
    Apply,
    /// Not applied.
    Noapply,
}

/// How data comes to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DownloadSetting {
    /// Inside the request, as `attachment`.
    Push,
    /// Fetched from `scheduled_plan.download_url`.
    Url,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_param_is_sensitive_unless_it_says_otherwise() {
        let param: Param = serde_json::from_str(r#"{"name":"a","label":"A"}"#).unwrap();
        assert!(param.sensitive && !param.required);
    }
}
