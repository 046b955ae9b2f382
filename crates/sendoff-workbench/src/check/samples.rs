//! What checks send: a form call, a call that must be refused, a delivery.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use sendoff_protocol::Format;
use serde_json::{Value, json};

use super::Execute;
use super::judge::{given, items};
use super::probe::Probe;
use super::subject::Action;
use crate::request::RequestBody;

/// Where Looker would take the user's tokens; nothing listens there.
pub(super) const STATE_URL: &str =
    "https://looker.invalid/action_hub_state/0123456789abcdef0123456789abcdef01234567";

/// Where Looker would have the browser bring the sealed code; nothing listens there.
pub(super) const WAY_BACK: &str =
    "https://looker.invalid/action_hub_state_redir/0123456789abcdef0123456789abcdef01234567";

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
        let attachment = match kind {
            "cell" => Value::Null,
            _ => attachment(format(action)),
        };
        json!({
            "type": kind, "scheduled_plan": plan, "attachment": attachment, "data": data,
            "form_params": pairs(&execute.fields),
        })
    }
}

/// A format that the action takes, and in which a small result can be written here.
pub(super) fn format(action: Action<'_>) -> Format {
    use Format::{Csv, Html, InlineJson, Json, JsonDetail, JsonDetailLiteStream, JsonLabel, Txt};
    if given(action.0, "supported_formats").is_some_and(|formats| *formats == json!([])) {
        return Csv;
    }
    let known = [Csv, Json, InlineJson, JsonLabel, JsonDetail, JsonDetailLiteStream, Txt, Html];
    let takes = |format: &Format| action.takes("supported_formats", format.as_str());
    known.into_iter().find(takes).unwrap_or(Format::CsvZip)
}

/// A small result in this format.
fn attachment(format: Format) -> Value {
    let (media_type, data) = match format {
        Format::Csv => ("text/csv", "Id\n1\n"),
        Format::Txt => ("text/plain", "Id\n1\n"),
        Format::Html => ("text/html", "<table><tr><td>1</td></tr></table>"),
        Format::JsonDetail | Format::JsonDetailLiteStream => (
            "application/json",
            r#"{"fields":{"dimensions":[{"name":"t.id"}],"measures":[]},"data":[{"t.id":{"value":1}}]}"#,
        ),
        Format::Json | Format::InlineJson | Format::JsonLabel => {
            ("application/json", "[{\"t.id\":1}]")
        }
        _ => {
            return json!({"mimetype": "application/zip;base64", "extension": "zip", "data": EMPTY_ZIP});
        }
    };
    json!({"mimetype": media_type, "extension": format.extension(), "data": data})
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
