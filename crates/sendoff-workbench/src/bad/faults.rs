//! The faults: those that change an answer, with the change, and the names of those that change
//! how the hub behaves.

use serde_json::{Value, json};

/// An id, and what it does to a right answer.
pub(super) type Change = (&'static str, fn(&mut Value));

/// Changes to the list. The second entry, `note`, is the one to spoil where one will do.
pub(super) const LIST: &[Change] = &[
    ("list/answer/integrations-are-a-list", |list| {
        let actions = list["integrations"].take();
        list["actions"] = actions;
    }),
    ("list/answer/label-is-text", |list| list["label"] = Value::Null),
    ("list/urls/reachable", |list| {
        // A port on which nobody may listen.
        list["integrations"][1]["form_url"] = "http://127.0.0.1:1/actions/note/form".into();
    }),
    ("list/urls/public", |list| {
        let url = list["integrations"][1]["url"].as_str().unwrap_or_default();
        list["integrations"][1]["url"] = url.replace("127.0.0.1", "0.0.0.0").into();
    }),
    ("list/action/name-present", |list| note(list)["name"] = "".into()),
    ("list/action/name-unique", |list| {
        let twin = note(list).clone();
        list["integrations"].as_array_mut().into_iter().for_each(|all| all.push(twin.clone()));
    }),
    ("list/action/name-plain", |list| note(list)["name"] = "a note".into()),
    ("list/action/label-present", |list| note(list)["label"] = Value::Null),
    ("list/action/url-absolute", |list| note(list)["url"] = "/actions/note/execute".into()),
    ("list/action/form-url-absolute", |list| note(list)["form_url"] = "form".into()),
    ("list/action/token-url-absolute", |list| note(list)["token_url"] = "oauth_token".into()),
    ("list/action/types-known", |list| note(list)["supported_action_types"] = json!(["look"])),
    ("list/action/formats-known", |list| note(list)["supported_formats"] = json!(["parquet"])),
    ("list/action/formattings-known", |list| {
        note(list)["supported_formattings"] = json!(["raw"]);
    }),
    ("list/action/visualizations-known", |list| {
        note(list)["supported_visualization_formattings"] = json!(["none"]);
    }),
    ("list/action/downloads-known", |list| {
        note(list)["supported_download_settings"] = json!(["stream"]);
    }),
    ("list/action/downloads-stated", |list| {
        note(list)["supported_download_settings"] = Value::Null;
    }),
    ("list/action/required-fields-shape", |list| {
        note(list)["required_fields"] = json!(["email"]);
    }),
    ("list/action/flags-are-booleans", |list| note(list)["uses_oauth"] = "false".into()),
    ("list/action/icon-is-image", |list| {
        note(list)["icon_data_uri"] = "https://hub.example/icon.png".into();
    }),
    ("list/action/icon-small", |list| {
        let icon = format!("data:image/png;base64,{}", "A".repeat(60_000));
        note(list)["icon_data_uri"] = icon.into();
    }),
    ("list/param/shape", |list| note(list)["params"] = json!([{"name": "colour"}])),
    ("list/param/name-unique", |list| {
        let param = json!({"name": "colour", "label": "Colour", "sensitive": false});
        note(list)["params"] = json!([param, param]);
    }),
    ("list/param/flags-are-booleans", |list| {
        note(list)["params"] = json!([{"name": "colour", "label": "Colour", "required": "no"}]);
    }),
    ("list/param/per-user-is-bound", |list| {
        note(list)["params"] = json!([{"name": "colour", "label": "Colour", "per_user": true}]);
    }),
    ("list/param/secret-is-sensitive", |list| {
        note(list)["params"] = json!([{"name": "password", "label": "P", "sensitive": false}]);
    }),
];

fn note(list: &mut Value) -> &mut Value {
    &mut list["integrations"][1]
}

/// Changes to the form of `ledger`: an object with `fields` and `state`.
pub(super) const FORM: &[Change] = &[
    ("form/answer/shape", |form| *form = json!({"path": {"type": "string"}})),
    ("form/error/is-text", |form| *form = json!({"error": {}})),
    ("form/state/data-is-text", |form| form["state"]["data"] = json!({"token": "t"})),
    ("form/state/small", |form| form["state"]["data"] = "s".repeat(40_000).into()),
    ("form/state/refresh-name", |form| {
        form["state"] = json!({"data": "s", "refreshTime": 600});
    }),
    ("form/state/refresh-is-number", |form| {
        form["state"]["refresh_time"] = "10 minutes".into();
    }),
    ("form/state/refresh-seldom", |form| form["state"]["refresh_time"] = 60.into()),
    ("form/field/name-present", |form| form["fields"][2]["name"] = Value::Null),
    ("form/field/name-unique", |form| form["fields"][2]["name"] = "path".into()),
    ("form/field/type-known", |form| form["fields"][0]["type"] = "date".into()),
    ("form/field/label-is-text", |form| form["fields"][0]["label"] = json!({"en": "Path"})),
    ("form/field/flags-are-booleans", |form| form["fields"][0]["required"] = "true".into()),
    ("form/field/default-is-text", |form| form["fields"][0]["default"] = 500.into()),
    ("form/field/select-has-options", |form| {
        form["fields"][0]["type"] = "select".into();
    }),
    ("form/field/options-shape", |form| {
        form["fields"][0]["type"] = "select".into();
        form["fields"][0]["options"] = json!(["append"]);
    }),
    ("form/field/default-is-an-option", |form| {
        form["fields"][0]["type"] = "select".into();
        form["fields"][0]["options"] = json!([{"name": "a", "label": "A"}]);
        form["fields"][0]["default"] = "b".into();
    }),
    ("form/field/link-is-absolute", |form| {
        form["fields"][0]["type"] = "oauth_link".into();
    }),
    ("form/field/no-secrets", |form| form["fields"][2]["name"] = "password".into()),
    ("form/interactive/choice-kept", |form| form["fields"][1]["default"] = "append".into()),
];

/// Changes to the envelope: `refused` is the answer to a call that cannot be carried out.
pub(super) const OUTCOME: &[Change] = &[
    ("execute/error/success-is-boolean", |looker| refused(looker)["success"] = "false".into()),
    ("execute/error/message-is-text", |looker| refused(looker)["message"] = json!({})),
    ("execute/error/validation-shape", |looker| {
        refused(looker)["validation_errors"] = json!(["api_key is missing"]);
    }),
    ("execute/error/detail-shape", |looker| {
        refused(looker)["error"] = "The API key is missing.".into();
    }),
    ("execute/error/webhook-id", |looker| refused(looker)["webhookId"] = Value::Null),
    ("execute/error/no-stack", |looker| {
        let trace = "TypeError: x is undefined\n    at execute (/app/src/hub.ts:12:3)";
        refused(looker)["error"] = json!({"message": trace});
    }),
    ("execute/delivery/succeeds", |looker| {
        *delivered(looker) = json!({"success": false, "message": "No."});
    }),
    ("execute/delivery/success-is-boolean", |looker| delivered(looker)["success"] = "true".into()),
    ("execute/delivery/refresh-is-boolean", |looker| {
        delivered(looker)["refresh_query"] = "yes".into();
    }),
    ("execute/delivery/message-is-text", |looker| delivered(looker)["message"] = json!({})),
    ("execute/delivery/state-data-is-text", |looker| {
        delivered(looker)["state"]["data"] = json!({"token": "t"});
    }),
    ("execute/delivery/state-small", |looker| {
        delivered(looker)["state"]["data"] = "s".repeat(40_000).into();
    }),
    ("execute/delivery/state-refresh-name", |looker| {
        delivered(looker)["state"] = json!({"data": "s", "refreshTime": 600});
    }),
    ("execute/delivery/state-refresh-is-number", |looker| {
        delivered(looker)["state"]["refresh_time"] = "10 minutes".into();
    }),
];

/// The members of a failed answer; those of another are left alone.
fn refused(answer: &mut Value) -> &mut Value {
    &mut answer["refused"]
}

fn delivered(answer: &mut Value) -> &mut Value {
    &mut answer["delivered"]
}

/// Faults that change how the hub behaves.
pub(super) const BEHAVIOUR: &[&str] = &[
    "list/answer/is-200",
    "list/answer/is-json",
    "list/answer/content-type",
    "list/request/without-version",
    "list/request/with-body",
    "auth/missing/execute-refused",
    "auth/missing/form-refused",
    "auth/missing/list-refused",
    "auth/wrong/execute-refused",
    "auth/wrong/form-refused",
    "auth/wrong/prefix-refused",
    "auth/malformed/survived",
    "auth/malformed/refused",
    "auth/refusal/status",
    "auth/refusal/token-not-repeated",
    "auth/refusal/before-the-body",
    "auth/header/lower-case",
    "form/answer/is-answered",
    "form/answer/is-200",
    "form/answer/is-json",
    "form/answer/prompt",
    "form/request/nulls",
    "form/request/unknown-members",
    "form/request/chunked",
    "form/state/reset",
    "form/state/unreadable",
    "form/unknown/not-drawn",
    "form/delegate/test-answered",
    "execute/error/is-answered",
    "execute/error/missing-param",
    "execute/error/in-envelope",
    "execute/error/is-200",
    "execute/error/own-words",
    "execute/type/missing",
    "execute/type/unknown",
    "execute/unknown/refused",
    "execute/delivery/is-answered",
    "execute/delivery/answer-follows",
    "execute/delivery/not-empty",
    "execute/delivery/is-json",
    "execute/delivery/in-envelope",
    "execute/payload/member-order",
    "execute/payload/ids-as-texts",
    "execute/payload/nulls",
    "execute/payload/unknown-members",
    "execute/payload/lookml-dashboard",
    "execute/payload/base64-lines",
    "execute/payload/json-inline",
    "execute/payload/broken-base64",
    "execute/payload/fields-after-data",
    "execute/payload/empty-answers",
    "execute/payload/required-field",
    "execute/payload/push-to-url",
    "execute/payload/nothing",
    "execute/download/once",
    "execute/download/refused-is-failure",
    "execute/download/cut-is-failure",
    "oauth/login/offered",
    "oauth/login/state-url-hidden",
    "oauth/start/redirects",
    "oauth/start/carries-state",
    "oauth/start/bound-to-browser",
    "oauth/start/bad-state",
    "oauth/return/bad-state",
    "oauth/return/escaped",
    "oauth/return/redirects",
    "oauth/token/guarded",
    "oauth/token/bad-state",
    "oauth/pages/end",
    "robustness/json/broken",
    "robustness/json/not-an-object",
    "robustness/json/wrong-types",
    "robustness/json/empty",
    "robustness/json/deep",
    "robustness/json/not-utf8",
    "robustness/json/no-stack",
    "robustness/client/hang-up",
    "robustness/client/stall",
    "robustness/client/crowd",
    "robustness/client/large-header",
    "robustness/method/get-does-nothing",
    "robustness/connection/reused",
    "robustness/size/large-refused",
    "robustness/params/not-repeated",
    "path/token/arrives",
    "path/tls/encrypted",
    "path/body/size",
    "path/body/pauses",
    "path/connection/idle",
    "path/answer/not-compressed",
    "path/answer/not-held-back",
];
