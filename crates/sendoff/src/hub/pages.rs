//! What people and platforms see: the page at `/`, the status and the health checks.

use std::fmt::Write;

use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;

use super::answer::{Answer, json, typed};
use super::{Inner, listing};

/// The process lives.
pub(super) fn live() -> Response<Answer> {
    json(StatusCode::OK, &serde_json::json!({"status": "live"}))
}

/// New deliveries are taken.
pub(super) fn ready(hub: &Inner) -> Response<Answer> {
    if hub.drain.is_draining() {
        json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({"status": "draining"}))
    } else {
        json(StatusCode::OK, &serde_json::json!({"status": "ready"}))
    }
}

/// What runs here and since when.
pub(super) fn status(hub: &Inner) -> Response<Answer> {
    let started = Timestamp::try_from(hub.started).map(|time| time.to_string());
    json(
        StatusCode::OK,
        &serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "commit": hub.commit,
            "started": started.unwrap_or_default(),
            "actions": hub.actions.iter().map(|action| action.spec().name).collect::<Vec<_>>(),
        }),
    )
}

/// A page for whoever opens the hub's address in a browser.
pub(super) fn home(hub: &Inner, parts: &http::request::Parts) -> Response<Answer> {
    let mut response = typed(StatusCode::OK, "text/html; charset=utf-8", page(hub, parts));
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:"),
    );
    response
}

fn page(hub: &Inner, parts: &Parts) -> String {
    let (label, base) = (escape(&hub.label), escape(&listing::base_url(hub, parts)));
    let mut rows = String::new();
    for action in &hub.actions {
        let spec = action.spec();
        let types: Vec<_> = spec.accepts.iter().map(|kind| kind.as_str()).collect();
        // Writing to a string does not fail.
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escape(spec.label),
            escape(spec.description),
            types.join(", ")
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{label}</title><style>{STYLE}</style></head><body><main>\
         <h1>{label}</h1>\
         <p>This is a Looker action hub. To connect it, open <b>Admin &gt; Actions</b> in Looker, \
         choose <b>Add Action Hub</b>, and enter</p><p><code>{base}/</code></p>\
         <p>Then choose <b>Configure Authorization</b> and paste a token that the hub's operator \
         makes with <code>sendoff token</code>.</p>\
         <div class=\"scroll\"><table><thead><tr><th scope=\"col\">Action</th>\
         <th scope=\"col\">What it does</th><th scope=\"col\">Takes</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>\
         <p class=\"small\">Sendoff {} · <a href=\"{base}/status\">status</a></p>\
         </main></body></html>",
        env!("CARGO_PKG_VERSION")
    )
}

/// A page that says one thing to somebody who logs in.
pub(super) fn message(label: &str, title: &str, text: &str) -> String {
    let (label, title, text) = (escape(label), escape(title), escape(text));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · {label}</title><style>{STYLE}</style></head><body><main>\
         <h1>{title}</h1><p>{text}</p><p class=\"small\">{label}</p></main></body></html>"
    )
}

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:16px/1.5 system-ui,sans-serif;margin:0;padding:2rem 1rem}\
    main{max-width:46rem;margin:0 auto}h1{font-size:1.5rem;margin:0 0 1rem}\
    code{background:#8882;padding:.15em .4em;border-radius:4px;overflow-wrap:anywhere}\
    .scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:1.5rem 0}\
    th,td{text-align:left;vertical-align:top;padding:.5rem .75rem .5rem 0;\
    border-bottom:1px solid #8884}thead th{font-weight:500;opacity:.7}\
    .small{opacity:.7;font-size:.875rem}";

/// Text that is safe inside HTML and inside quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
