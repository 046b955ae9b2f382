//! What checks send: a form call, a call that must be refused, a delivery.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::Execute;
use super::judge::{given, items};
use super::probe::Probe;
use super::subject::Action;
use crate::request::RequestBody;

/// Where Looker would take the user's tokens; nothing listens there.
pub(super) const STATE_URL: &str =
    "https://looker.invalid/action_hub_state/0123456789abcdef0123456789abcdef01234567";

/// An archive without a member, which every reader opens.
pub(super) const EMPTY_ZIP: &str = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==\n";

impl Probe<'_> {
    /// What Looker sends when an admin enables the action: its params, no answers.
    pub(super) fn form_body(&self, action: Action<'_>) -> Value {
        let mut data = serde_json::Map::new();
        if action.is("uses_oauth") && !action.is("delegate_oauth") {
            data.insert("state_url".into(), STATE_URL.into());
        }
        json!({
            "type": "query", "scheduled_plan": null, "attachment": null,
            "data": data, "form_params": {},
        })
    }

    /// A call that the hub must refuse: a query's result, and the required param missing.
    pub(super) fn refused_body(&self, action: Action<'_>) -> Value {
        let kind = items(action.0, "supported_action_types").first();
        json!({
            "type": kind.and_then(Value::as_str).unwrap_or("query"),
            "scheduled_plan": {"scheduled_plan_id": 1, "title": "Conformance check"},
            "attachment": {"mimetype": "text/csv", "extension": "csv", "data": "Id\n1\n"},
            "data": {}, "form_params": {},
        })
    }

    /// The body of a plain delivery by the action named.
    pub(super) fn delivery_body(&self, action: Action<'_>) -> Value {
        let pairs = |pairs: &[(String, String)]| -> Value {
            let pairs = pairs.iter().map(|(n, v)| (n.clone(), Value::from(v.as_str())));
            Value::Object(pairs.collect())
        };
        let none = Execute::default();
        let execute = self.hub.options.execute.as_ref().unwrap_or(&none);
        let mut data = pairs(&execute.params);
        let kind = ["query", "dashboard", "cell"].into_iter();
        let kind = kind.into_iter().find(|kind| action.takes("supported_action_types", kind));
        let kind = kind.unwrap_or("query");
        let plan = match kind {
            "cell" => {
                data["value"] = "1".into();
                data["rendered"] = "1".into();
                Value::Null
            }
            kind => json!({
                "scheduled_plan_id": 88, "title": "Conformance check", "url": null, "query": null,
                "type": if kind == "query" { "Look" } else { "Dashboard" }, "query_id": 5531,
                "filters_differ_from_look": false, "download_url": null,
            }),
        };
        let attachment = if kind == "cell" { Value::Null } else { attachment(action) };
        json!({
            "type": kind, "scheduled_plan": plan, "attachment": attachment, "data": data,
            "form_params": pairs(&execute.fields),
        })
    }
}

/// A small result in a format that the action takes.
fn attachment(action: Action<'_>) -> Value {
    let takes = |format: &str| action.takes("supported_formats", format);
    let of = |media_type: &str, extension: &str, data: &str| json!({"mimetype": media_type, "extension": extension, "data": data});
    let detail = r#"{"fields":{"dimensions":[{"name":"t.id"}],"measures":[]},"data":[{"t.id":{"value":1}}]}"#;
    if takes("csv") || given(action.0, "supported_formats").is_some_and(|f| f == &json!([])) {
        of("text/csv", "csv", "Id\n1\n")
    } else if takes("json") || takes("inline_json") || takes("json_label") {
        of("application/json", "json", "[{\"t.id\":1}]")
    } else if takes("json_detail") || takes("json_detail_lite_stream") {
        of("application/json", "json", detail)
    } else if takes("txt") {
        of("text/plain", "txt", "Id\n1\n")
    } else if takes("html") {
        of("text/html", "html", "<table><tr><td>1</td></tr></table>")
    } else {
        of("application/zip;base64", "zip", EMPTY_ZIP)
    }
}

/// Chunks with a pause before each but the first.
pub(super) fn slowly(pieces: Vec<Bytes>, pause: Duration) -> RequestBody {
    let chunks = futures_util::stream::iter(pieces.into_iter().enumerate());
    RequestBody::stream(crate::Source::stream(chunks.then(move |(n, piece)| async move {
        if n > 0 {
            tokio::time::sleep(pause).await;
        }
        Ok(piece)
    })))
}
