//! The form that Looker draws for a user.

use serde::{Deserialize, Serialize};

use crate::lenient::or_default;
use crate::response::State;

/// The answer to a form request.
///
/// Looker takes a bare array of fields, an object with `fields` and `state`, or an object with
/// `error`, whose text it shows in the page and in the schedule history. **A**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Form {
    /// The form cannot be drawn; the text says why.
    Error {
        /// For the user.
        error: String,
    },
    /// Fields, and new state for this user.
    WithState {
        /// In the order drawn.
        fields: Vec<Field>,
        /// Replaces the state that Looker keeps.
        state: State,
    },
    /// Fields alone, as an object.
    Object {
        /// In the order drawn.
        fields: Vec<Field>,
    },
    /// Fields alone.
    Fields(Vec<Field>),
}

impl Form {
    /// The fields, where there are any.
    pub fn fields(&self) -> &[Field] {
        match self {
            Self::Error { .. } => &[],
            Self::WithState { fields, .. } | Self::Object { fields } | Self::Fields(fields) => {
                fields
            }
        }
    }
}

/// One field of a form (`DataActionFormField`, **A**). No date, number, checkbox, multi-select or
/// password type exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Field {
    /// The key of the answer in `form_params`.
    pub name: String,
    /// What the user reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Help below the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How the field is drawn.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: FieldType,
    /// The value it starts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Asks Looker to fetch the form again when the value changes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interactive: bool,
    /// A hint for the page: the hub must check again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The choices of a select.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<SelectOption>,
    /// Where a login button leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_url: Option<String>,
    /// The text of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// How Looker draws a field. **A**
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldType {
    /// Many lines.
    Textarea,
    /// A drop-down list.
    Select,
    /// A login button.
    OauthLink,
    /// A login button with Google's branding.
    OauthLinkGoogle,
    /// Text without input.
    Message,
    /// One line; what an absent or unknown type means (`text` is widely used, **C**).
    #[default]
    #[serde(other)]
    String,
}

/// One choice of a select.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectOption {
    /// The value sent.
    pub name: String,
    /// The text shown.
    pub label: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_shapes_are_read() {
        let field = r#"{"name":"a","type":"text","options":null}"#;
        for text in [
            format!("[{field}]"),
            format!(r#"{{"fields":[{field}]}}"#),
            format!(r#"{{"fields":[{field}],"state":{{"data":"s"}}}}"#),
        ] {
            let form: Form = serde_json::from_str(&text).unwrap();
            assert_eq!(form.fields().len(), 1, "{text}");
            assert_eq!(form.fields()[0].kind, FieldType::String);
        }
        let form: Form = serde_json::from_str(r#"{"error":"no"}"#).unwrap();
        assert_eq!(form, Form::Error { error: "no".into() });
    }
}
