//! What is kept of a call: its headers and its answer, without the secrets.

use std::collections::BTreeSet;

use http::{HeaderMap, Request, header};
use sendoff_protocol::Definition;

use crate::exchange::Peek;
use crate::request::{Delivery, MASK, RequestBody};

/// The names of the params that are secret, and their values.
pub(super) fn secrets(action: &Definition, delivery: &Delivery) -> (BTreeSet<String>, Vec<String>) {
    let mut names: BTreeSet<String> = action
        .params
        .iter()
        .filter(|param| param.sensitive)
        .map(|param| param.name.clone())
        .collect();
    // The state holds the user's tokens, and whoever has its URL can replace them.
    names.extend(["state_json", "state_url", "state_redir_url"].map(str::to_owned));
    let value = |name: &String| delivery.params.get(name).map(str::to_owned);
    let values = names.iter().filter_map(value).collect();
    (names, values)
}

/// Short values would blot out ordinary words.
const SHORTEST_SECRET: usize = 6;

pub(crate) fn without(text: &str, secrets: &[String]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET);
    long.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
}

/// The headers as texts, the token masked.
pub(crate) fn headers_shown(headers: &HeaderMap, secrets: &[String]) -> Vec<(String, String)> {
    let shown = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let value = match *name {
            header::AUTHORIZATION => format!("Token token=\"{MASK}\""),
            _ => without(&String::from_utf8_lossy(value.as_bytes()), secrets),
        };
        (name.to_string(), value)
    };
    headers.iter().map(shown).collect()
}

/// The header that the connection adds: Looker's bodies are chunked and have no length. **A**
pub(super) fn framing(request: &Request<RequestBody>) -> Option<(String, String)> {
    use http_body::Body;
    (!request.body().is_end_stream()).then(|| ("transfer-encoding".into(), "chunked".into()))
}

/// A hub that repeats a secret must not make it part of a record.
pub(crate) fn shown_answer(body: &[u8], secrets: &[String]) -> Peek {
    let mut peek = Peek::default();
    if secrets.iter().any(|secret| secret.len() >= SHORTEST_SECRET) {
        let text = without(&String::from_utf8_lossy(body), secrets);
        peek.add(body.len(), text.as_bytes());
    } else {
        peek.add(body.len(), body);
    }
    peek
}
