//! The form that Looker draws for a user.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::lenient::{or_default, text, text_or_none};
use crate::response::State;

/// The answer to a form request.
///
/// Looker takes a bare array of fields, an object with `fields` and `state`, or an object with
/// `error`, whose text it shows in the page and in the schedule history. **A**
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// By hand, and not as serde reads what is untagged: whoever wrote the hub must learn what of his
/// form cannot be read.
impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = match Value::deserialize(deserializer)? {
            Value::Object(object) => object,
            Value::Array(list) => return fields(list).map(Self::Fields),
            other => return Err(D::Error::custom(format_args!("it is {}", kind(&other)))),
        };
        if let Some(Value::String(error)) = object.get_mut("error") {
            return Ok(Self::Error { error: std::mem::take(error) });
        }
        let fields = match object.remove("fields") {
            Some(Value::Array(list)) => fields(list)?,
            Some(other) => {
                return Err(D::Error::custom(format_args!(
                    "`fields` is {}, no list",
                    kind(&other)
                )));
            }
            None => return Err(D::Error::custom("it has neither `fields` nor `error`")),
        };
        match object.remove("state").map(State::deserialize) {
            Some(Ok(state)) => Ok(Self::WithState { fields, state }),
            _ => Ok(Self::Object { fields }),
        }
    }
}

fn fields<E: Error>(list: Vec<Value>) -> Result<Vec<Field>, E> {
    let read = |(n, field): (usize, Value)| match field {
        Value::Object(_) => Field::deserialize(field).map_err(E::custom),
        other => Err(E::custom(format_args!("field {} is {}, no object", n + 1, kind(&other)))),
    };
    list.into_iter().enumerate().map(read).collect()
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// One field of a form (`DataActionFormField`, **A**). No date, number, checkbox, multi-select or
/// password type exists.
///
/// Reading forgives: a number or a boolean counts as its text where a text was promised, and what is
/// neither true nor false as false.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Field {
    /// The key of the answer in `form_params`.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// What the user reads.
    #[serde(deserialize_with = "text_or_none", skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Help below the field.
    #[serde(deserialize_with = "text_or_none", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How the field is drawn.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: FieldType,
    /// The value it starts with.
    #[serde(deserialize_with = "text_or_none", skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Asks Looker to fetch the form again when the value changes.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub interactive: bool,
    /// A hint for the page: the hub must check again.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The choices of a select.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<SelectOption>,
    /// Where a login button leads.
    #[serde(deserialize_with = "text_or_none", skip_serializing_if = "Option::is_none")]
    pub oauth_url: Option<String>,
    /// The text of a message.
    #[serde(deserialize_with = "text_or_none", skip_serializing_if = "Option::is_none")]
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
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// The text shown.
    #[serde(deserialize_with = "text")]
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

    #[test]
    fn one_odd_member_does_not_hide_the_form() {
        let read = |member: &str| {
            let text = format!(r#"[{{"name":"a",{member}}},{{"name":"b"}}]"#);
            let form: Form = serde_json::from_str(&text).unwrap();
            assert_eq!(form.fields()[1].name, "b", "{member}");
            form.fields()[0].clone()
        };
        assert_eq!(read(r#""default":5"#).default.as_deref(), Some("5"));
        assert_eq!(read(r#""default":true"#).default.as_deref(), Some("true"));
        assert_eq!(read(r#""default":{"a":1}"#).default, None);
        assert_eq!(read(r#""label":null"#).label, None);
        for odd in [r#""required":null"#, r#""required":"true""#, r#""interactive":null"#] {
            assert!(!read(odd).required && !read(odd).interactive, "{odd}");
        }
        let options = read(r#""type":"select","options":[{"name":1,"label":"One"}]"#).options;
        assert_eq!(options[0].name, "1");
    }

    #[test]
    fn what_is_no_form_is_told_in_words() {
        for (text, told) in [
            ("5", "it is a number"),
            ("{}", "it has neither `fields` nor `error`"),
            (r#"{"error":{}}"#, "it has neither `fields` nor `error`"),
            (r#"{"fields":"nope"}"#, "`fields` is a text, no list"),
            (r#"[{"name":"a"},null]"#, "field 2 is null, no object"),
        ] {
            let error = serde_json::from_str::<Form>(text).unwrap_err();
            assert!(error.to_string().starts_with(told), "{text}: {error}");
        }
    }
}
