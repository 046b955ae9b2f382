//! What the right hub answers to list, form and login calls.

use http::HeaderMap;
use serde_json::{Value, json};

/// The list, with URLs as the caller wrote the host.
pub(super) fn list(host: &str) -> Value {
    let icon = "data:image/svg+xml;base64,PHN2Zy8+";
    let action = |name: &str, types: &[&str]| {
        json!({
            "name": name, "label": name, "url": url(host, name, "execute"),
            "form_url": url(host, name, "form"), "token_url": "", "icon_data_uri": icon,
            "params": [], "required_fields": [], "supported_action_types": types,
            "supported_download_settings": ["push"], "uses_oauth": false, "delegate_oauth": false,
        })
    };
    let mut ledger = action("ledger", &["query", "dashboard"]);
    ledger["params"] = json!([
        {"name": "api_key", "label": "API key", "required": true, "sensitive": true},
        {"name": "sender", "label": "Sender", "required": false, "sensitive": false,
         "user_attribute_name": "email", "per_user": true},
    ]);
    ledger["supported_formats"] = json!(["csv", "json", "json_detail", "csv_zip"]);
    ledger["supported_download_settings"] = json!(["push", "url"]);
    ledger["required_fields"] = json!([{"any_tag": ["email"]}]);
    let mut drive = action("drive", &["query"]);
    drive["uses_oauth"] = true.into();
    let mut drive2 = action("drive2", &["query"]);
    drive2["uses_oauth"] = true.into();
    drive2["token_url"] = url(host, "drive2", "oauth_token").into();
    let mut team = action("team", &["query"]);
    team["delegate_oauth"] = true.into();
    let note = action("note", &["cell"]);
    let mut archive = action("archive", &["query"]);
    archive["supported_download_settings"] = json!(["url"]);
    let all = json!([ledger, note, drive, drive2, team, archive]);
    json!({"label": "A small hub", "integrations": all})
}

/// Where an action's page is.
pub(super) fn url(host: &str, action: &str, page: &str) -> String {
    format!("http://{host}/actions/{action}/{page}")
}

/// The form of `ledger`, the interactive field as it was chosen.
pub(super) fn ledger_form(body: &Value) -> Value {
    let mode = body["form_params"]["mode"].as_str().unwrap_or("append");
    json!({
        "fields": [
            {"name": "path", "label": "Path", "type": "string", "required": true},
            {"name": "mode", "label": "Mode", "type": "select", "interactive": true,
             "default": mode, "options": [{"name": "append", "label": "Append"},
                                          {"name": "replace", "label": "Replace"}]},
            {"name": "note", "label": "Note", "type": "textarea"},
        ],
        "state": {"data": "s", "refresh_time": 600},
    })
}

/// The form of an action with a login.
pub(super) fn login_form(host: &str, action: &str, seal: &str) -> Value {
    let link = format!("{}?state={seal}", url(host, action, "oauth"));
    json!([{"name": "login", "label": "Log in", "type": "oauth_link", "oauth_url": link}])
}

/// The form of the action whose login runs elsewhere.
pub(super) fn team_form(body: &Value) -> Value {
    if body["data"]["test"].is_string() {
        let value = json!({"installation_id": "T1", "installation_name": "Team"}).to_string();
        return json!([{"name": "team", "type": "message", "value": value}]);
    }
    json!({"error": "The app is not installed. An admin can install it."})
}

/// The members of an envelope that tells a failure.
pub(super) fn refused(message: &str, headers: &HeaderMap) -> Value {
    let id = headers.get(sendoff_protocol::WEBHOOK_ID).and_then(|id| id.to_str().ok());
    json!({
        "success": false, "message": message, "refresh_query": false, "validation_errors": {},
        "error": {"http_code": 400, "status_code": "INVALID_ARGUMENT", "message": message},
        "webhookId": id,
    })
}
