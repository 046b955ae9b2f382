//! The pages on which a login ends in a person's browser. They carry their style with them: an
//! instance is served without the page, too.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::oauth::Workspace;

const STYLE: &str = include_str!("../page/assets/base.css");
const LOGO: &str = include_str!("../page/assets/logo.svg");
/// Nothing is loaded, nothing is run, nobody frames it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// A page that says how it ended.
pub(super) fn page(status: u16, title: &str, text: &str) -> Response {
    let kind = if status < 400 { "good" } else { "bad" };
    let body = format!("<p class=\"notice {kind}\" role=\"status\">{}</p>", escaped(text));
    shown(status, title, &body)
}

/// The page on which a workspace is installed.
pub(super) fn installation(action: &str, user: &str, offered: &[Workspace]) -> Response {
    let offers = offered.iter().map(|one| {
        let id = escaped(&one.install_id);
        format!(
            "<button type=\"submit\" class=\"primary\" name=\"install_id\" value=\"{id}\">Connect \
             {id}</button>"
        )
    });
    let offers: String = offers.collect();
    let offers = match offers.is_empty() {
        true => String::new(),
        false => {
            format!("<form method=\"post\" class=\"row\">{offers}</form><p>Or another one:</p>")
        }
    };
    let body = format!(
        "<p class=\"muted\">Looker has a page of its own by which a workspace is installed. Here you \
         choose one, or type in what an installation would give.</p>{offers}\
         <form method=\"post\" class=\"stack\" autocomplete=\"off\">\
         <div class=\"field\"><label for=\"install_id\">Installation</label>\
         <input type=\"text\" id=\"install_id\" name=\"install_id\" required></div>\
         <div class=\"field\"><label for=\"token\">Token</label>\
         <input type=\"password\" id=\"token\" name=\"token\" required></div>\
         <button type=\"submit\">Connect</button></form>"
    );
    shown(200, &format!("Connect {action} for {user}"), &body)
}

fn shown(status: u16, title: &str, body: &str) -> Response {
    let title = escaped(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title} · Sendoff workbench</title>\
         <style>{STYLE}</style></head><body class=\"alone\"><main class=\"card stack\">\
         <p class=\"brand\">{LOGO}<strong>Sendoff</strong> <span class=\"muted\">plays \
         Looker</span></p><h1>{title}</h1>{body}</main></body></html>"
    );
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Its address is a secret while it is open.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
