//! Everything that crossed the wire, as an HTTP archive (HAR 1.2) for a browser's developer tools.

use serde_json::{Value, json};

use crate::check::Report;
use crate::exchange::Exchange;

/// A HAR document of a run.
pub fn har(report: &Report) -> Value {
    let exchanges = report.exchanges.iter().map(|recorded| &recorded.exchange);
    har_of(exchanges, "sendoff check", report.version)
}

/// A HAR document of these exchanges.
pub fn har_of<'a>(
    exchanges: impl IntoIterator<Item = &'a Exchange>,
    creator: &str,
    version: &str,
) -> Value {
    json!({"log": {
        "version": "1.2",
        "creator": {"name": creator, "version": version},
        "entries": exchanges.into_iter().map(entry).collect::<Vec<_>>(),
    }})
}

fn entry(exchange: &Exchange) -> Value {
    let headers = |headers: &[(String, String)]| -> Value {
        headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1_000.0;
    let kind = exchange.response_headers.iter().find(|(name, _)| name == "content-type");
    let receive = exchange.until_end.saturating_sub(exchange.until_answer);
    let mut entry = json!({
        "startedDateTime": exchange.started.to_string(),
        "time": milliseconds(exchange.until_end),
        "request": {
            "method": exchange.method, "url": exchange.url, "httpVersion": "HTTP/1.1",
            "cookies": [], "queryString": query(&exchange.url), "headersSize": -1,
            "headers": headers(&exchange.request_headers),
            "bodySize": exchange.request_body.total(),
        },
        "response": {
            // The format has no word for "none came" but 0.
            "status": exchange.status.unwrap_or(0), "statusText": "", "httpVersion": "HTTP/1.1",
            "cookies": [], "redirectURL": "", "headersSize": -1,
            "headers": headers(&exchange.response_headers),
            "bodySize": exchange.response_body.total(),
            "content": {
                "size": exchange.response_body.total(),
                "mimeType": kind.map_or("", |(_, kind)| kind.as_str()),
                "text": exchange.response_body.text(),
            },
        },
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds(exchange.until_answer),
                    "receive": milliseconds(receive)},
    });
    // What is not there is left out: the format has no nulls.
    if exchange.request_body.total() > 0 {
        entry["request"]["postData"] =
            json!({"mimeType": "application/json", "text": exchange.request_body.text()});
    }
    if let Some(failure) = &exchange.failure {
        entry["comment"] = failure.as_str().into();
    }
    entry
}

/// The parameters behind the `?`, as they stand there.
fn query(url: &str) -> Value {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        json!({"name": name, "value": value})
    });
    pairs.collect()
}
