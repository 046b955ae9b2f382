//! The request body that Looker sends to execute an action and to draw its form.
//!
//! The same body serves action hubs, LookML data actions and scheduled webhooks. Its key order is
//! not stable between captures (**C**), so nothing here depends on it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::lenient::{Text, object_or_none, or_none};

/// The members of `data` or `form_params`: a flat object of texts. Null members are left out;
/// numbers and booleans are read as their JSON text. An object of more than [`MOST`](Self::MOST)
/// members is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(pub BTreeMap<String, String>);

impl Members {
    /// How many an object may have. Actions have some dozen fields, and each entry takes a hundred
    /// bytes besides its text.
    pub const MOST: usize = 2_000;

    /// The member's text, if it was there and not null.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Members {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfTexts)
    }
}

struct OfTexts;

impl<'de> Visitor<'de> for OfTexts {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
        let mut members = BTreeMap::new();
        let mut count = 0;
        while let Some((name, value)) = object.next_entry::<String, Option<Text>>()? {
            count += 1;
            if count > Members::MOST {
                let most = Members::MOST;
                return Err(A::Error::custom(format!("an object has more than {most} members")));
            }
            // The last one counts where a name stands twice.
            match value {
                Some(text) => members.insert(name, text.0),
                None => members.remove(&name),
            };
        }
        Ok(Members(members))
    }
}

/// The body of an execute or form request (`DataWebhookPayload`, **A**), with the attachment's
/// data in memory. A hub that must not hold it reads the members one by one instead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// `cell`, `query` or `dashboard`. Null must be rejected. **A**
    #[serde(rename = "type")]
    pub kind: Option<Text>,
    /// Present for queries and dashboards, sent now or on a schedule; null for cells. **C**
    #[serde(deserialize_with = "object_or_none")]
    pub scheduled_plan: Option<ScheduledPlan>,
    /// The pushed result; null when there is a `download_url`.
    #[serde(deserialize_with = "or_none")]
    pub attachment: Option<Attachment>,
    /// The action's params, and for cells `value` and `rendered`.
    #[serde(deserialize_with = "object_or_none")]
    pub data: Option<Members>,
    /// The user's answers to the form.
    #[serde(deserialize_with = "object_or_none")]
    pub form_params: Option<Members>,
}

/// The pushed result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// The media type; ends in `;base64` where `data` is base64. **B**
    pub mimetype: Option<String>,
    /// The file extension, without a dot.
    pub extension: Option<String>,
    /// Text, or base64 with a newline after every 60 characters. **C** JSON formats come as a
    /// string that holds JSON (**B**), or inline (**A**): an inline value keeps its JSON text.
    pub data: Option<Text>,
}

/// What is being sent and why.
///
/// Whether it runs as "send now" or on a schedule, the object is there. Types vary between
/// captures, so ids are [`Text`] and `type` is an open string (`LookMLDashboard` was seen, **C**).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduledPlan {
    /// The schedule's id; null when sent by hand from an unsaved query.
    pub scheduled_plan_id: Option<Text>,
    /// The schedule's title.
    pub title: Option<Text>,
    /// `Look`, `Dashboard` or `LookMLDashboard`.
    #[serde(rename = "type")]
    pub kind: Option<Text>,
    /// Where the content stands in Looker.
    pub url: Option<Text>,
    /// The query's id.
    pub query_id: Option<Text>,
    /// The query; never there for dashboards.
    #[serde(deserialize_with = "object_or_none")]
    pub query: Option<Query>,
    /// Whether the user changed the Look's filters for this schedule.
    #[serde(deserialize_with = "or_none")]
    pub filters_differ_from_look: Option<bool>,
    /// Where a streaming action fetches the result: valid for 3,600 s, once. **A**
    pub download_url: Option<Text>,
    /// Unpublished: nothing public says what is to be sent there. **B**
    pub async_callback_url: Option<Text>,
}

/// The query behind a result, as far as actions use it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    /// The query's id.
    pub id: Option<Text>,
    /// The LookML model.
    pub model: Option<Text>,
    /// The explore.
    pub view: Option<Text>,
    /// Field names in order.
    #[serde(deserialize_with = "or_none")]
    pub fields: Option<Vec<String>>,
    /// The row limit; a string on the wire.
    pub limit: Option<Text>,
    /// Custom fields, as a string that holds JSON.
    pub dynamic_fields: Option<Text>,
    /// The time zone that dates are in.
    pub query_timezone: Option<Text>,
    /// Short link to the query.
    pub share_url: Option<Text>,
    /// How the result is drawn.
    #[serde(deserialize_with = "object_or_none")]
    pub vis_config: Option<VisConfig>,
}

/// How a result is drawn, as far as actions use it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VisConfig {
    /// The names of the fields that the user hid. **B**
    #[serde(deserialize_with = "or_none")]
    pub hidden_fields: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_may_be_numbers_strings_or_null() {
        for (json, want) in [("88", Some("88")), ("\"88\"", Some("88")), ("null", None)] {
            let text = format!(r#"{{"scheduled_plan":{{"scheduled_plan_id":{json}}}}}"#);
            let request: Request = serde_json::from_str(&text).unwrap();
            let id = request.scheduled_plan.unwrap().scheduled_plan_id;
            assert_eq!(id.as_ref().map(Text::as_str), want, "{json}");
        }
    }

    #[test]
    fn numbers_keep_every_digit_that_they_came_with() {
        let numbers = ["1.10", "123456789012345678901234", "1e2", "18446744073709551616", "-0.0"];
        for number in numbers {
            let members = format!(r#"{{"a":{number},"value": {number} }}"#);
            let text = format!(
                r#"{{"type":{number},"data":{members},"form_params":{members},
                "scheduled_plan":{{"scheduled_plan_id":{number},"query":{{"id":{number}}}}}}}"#
            );
            let request: Request = serde_json::from_str(&text).unwrap();
            let plan = request.scheduled_plan.unwrap();
            for read in [request.kind, plan.scheduled_plan_id, plan.query.unwrap().id] {
                assert_eq!(read, Some(number.into()));
            }
            for read in [request.data.unwrap(), request.form_params.unwrap()] {
                assert_eq!((read.get("a"), read.get("value")), (Some(number), Some(number)));
            }
        }
    }

    #[test]
    fn an_object_of_ever_more_members_is_an_error_and_not_absent() {
        let of = |count: usize| {
            let members: Vec<_> = (0..count).map(|n| format!(r#""{n}":null"#)).collect();
            let text = format!(r#"{{"form_params":{{{}}}}}"#, members.join(","));
            serde_json::from_str::<Request>(&text).map_err(|error| error.to_string())
        };
        assert!(of(Members::MOST).unwrap().form_params.is_some());
        let error = of(Members::MOST + 1).unwrap_err();
        assert!(error.contains("more than 2000 members"), "{error}");
    }

    #[test]
    fn the_last_of_two_members_of_a_name_counts() {
        let of = |text| serde_json::from_str::<Members>(text).unwrap();
        assert_eq!(of(r#"{"a":1,"a":2}"#).get("a"), Some("2"));
        assert_eq!(of(r#"{"a":1,"a":null}"#).get("a"), None);
    }

    #[test]
    fn a_member_of_an_unexpected_type_does_not_spoil_the_request() {
        let text = r#"{"type":"query","scheduled_plan":"soon","data":{"a":1,"b":null,"c":true,"d":{"x":[1]}},
                       "form_params":"","attachment":{"data":[{"a":1}],"extension":"json"}}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert_eq!(request.scheduled_plan, None);
        assert_eq!(request.form_params, None);
        let data = request.data.unwrap();
        assert_eq!(data.get("a"), Some("1"));
        assert_eq!(data.get("b"), None);
        assert_eq!(data.get("c"), Some("true"));
        assert_eq!(data.get("d"), Some(r#"{"x":[1]}"#));
        assert_eq!(request.attachment.unwrap().data.unwrap().as_str(), r#"[{"a":1}]"#);
    }
}
