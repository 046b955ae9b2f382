//! Which URL of the recorder stands for which of the hub's.

use std::collections::BTreeMap;
use std::sync::Mutex;

use http::Uri;
use sendoff_protocol::{Definition, Listing};
use serde_json::Value;

use super::locked;
use crate::dial::Address;
use crate::verdict::Call;

/// The hub's URLs, as far as they are known.
pub(super) struct Addresses {
    /// `https://hub.example`.
    origin: String,
    list: String,
    learned: Mutex<Learned>,
}

#[derive(Default)]
struct Learned {
    /// Other hosts that the list names; no request is passed on to any that it does not.
    origins: Vec<String>,
    /// What a URL is for.
    pages: BTreeMap<String, Page>,
}

/// What a URL of the hub is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) call: Call,
    pub(super) action: Option<String>,
    /// Params that are not sensitive.
    pub(super) open: Vec<String>,
}

/// Hosts other than the hub's own stand below this.
const ELSEWHERE: &str = "/@";
/// A list that names more hosts than that is none.
const ORIGINS_AT_MOST: usize = 256;
const PAGES_AT_MOST: usize = 10_000;

fn origin(uri: &Uri) -> Option<String> {
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

/// Without its query, which may hold a secret.
fn plain(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

impl Addresses {
    pub(super) fn new(hub: &str) -> Result<Self, String> {
        let (_, uri) = Address::of(hub)?;
        let origin = origin(&uri).ok_or("The URL is not absolute.")?;
        let list = hub.to_owned();
        Ok(Self { origin, list, learned: Mutex::default() })
    }

    /// The hub's URL for a request to the recorder; none where it would lead elsewhere.
    pub(super) fn upstream(&self, uri: &Uri) -> Option<String> {
        let asked = path(uri);
        if uri.path() == "/" {
            return Some(self.list.clone());
        }
        let Some(elsewhere) = asked.strip_prefix(ELSEWHERE) else {
            return Some(format!("{}{asked}", self.origin));
        };
        let (scheme, rest) = elsewhere.split_once('/')?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(at);
        let origin = format!("{scheme}://{authority}");
        let known = locked(&self.learned).origins.contains(&origin);
        known.then(|| format!("{origin}{rest}"))
    }

    /// The recorder's URL for one of the hub's.
    fn through(&self, url: &str, public: &str) -> Option<String> {
        let uri: Uri = url.parse().ok()?;
        let theirs = origin(&uri)?;
        let rest = path(&uri);
        if theirs == self.origin && uri.path() != "/" {
            return Some(format!("{public}{rest}"));
        }
        let (scheme, authority) = theirs.split_once("://")?;
        Some(format!("{public}{ELSEWHERE}{scheme}/{authority}{rest}"))
    }

    /// Learns from a list what its URLs are for.
    pub(super) fn learn(&self, list: &[u8]) {
        let Ok(listing) = serde_json::from_slice::<Listing>(list) else { return };
        let mut learned = locked(&self.learned);
        for action in &listing.integrations {
            let form = action.form_url.as_deref().unwrap_or_default();
            let pages = [
                (Call::Execute, action.url.as_str()),
                (Call::Form, form),
                (Call::Token, action.token_url.as_str()),
            ];
            for (call, url) in pages {
                learned.add(call, url, action, &self.origin);
            }
        }
    }

    /// The list with its URLs leading through the recorder; as it is where it is no list.
    pub(super) fn changed(&self, list: &[u8], public: &str) -> Vec<u8> {
        let Ok(mut value) = serde_json::from_slice::<Value>(list) else { return list.to_vec() };
        let Some(actions) = value.get_mut("integrations").and_then(Value::as_array_mut) else {
            return list.to_vec();
        };
        for action in actions {
            for name in ["url", "form_url", "token_url"] {
                if let Some(url) = action.get_mut(name)
                    && let Some(through) = url.as_str().and_then(|url| self.through(url, public))
                {
                    *url = through.into();
                }
            }
        }
        value.to_string().into_bytes()
    }

    /// What the request is, by what the list says, else by how the reference names its pages.
    pub(super) fn page(&self, url: &str) -> Page {
        if plain(url) == plain(&self.list) {
            return Page { call: Call::List, action: None, open: Vec::new() };
        }
        if let Some(page) = locked(&self.learned).pages.get(plain(url)) {
            return page.clone();
        }
        let mut segments = plain(url).rsplit('/');
        let call = match segments.next() {
            Some("execute") => Call::Execute,
            Some("form") => Call::Form,
            Some("oauth_token") => Call::Token,
            Some("oauth" | "oauth_redirect") => Call::Login,
            _ => Call::Other,
        };
        let action = segments.next().filter(|_| call != Call::Other).map(str::to_owned);
        Page { call, action, open: Vec::new() }
    }
}

impl Learned {
    fn add(&mut self, call: Call, url: &str, action: &Definition, own: &str) {
        let Some(theirs) = url.parse::<Uri>().ok().as_ref().and_then(origin) else { return };
        let full = self.origins.len() >= ORIGINS_AT_MOST || self.pages.len() >= PAGES_AT_MOST;
        if full {
            return;
        }
        // The hub's own is known under its name too, for a URL that is its root.
        if theirs != own || plain(url).trim_end_matches('/') == own {
            self.origins.push(theirs);
            self.origins.sort();
            self.origins.dedup();
        }
        let open = action.params.iter().filter(|param| !param.sensitive);
        let page = Page {
            call,
            action: Some(action.name.clone()),
            open: open.map(|param| param.name.clone()).collect(),
        };
        self.pages.insert(plain(url).to_owned(), page);
    }
}
