//! The hub that is checked: its list, what is asked of it, and what is kept of its answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use sendoff_protocol::{INSTANCE, WEBHOOK_ID, authorization};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::Options;
use super::evidence::{Evidence, Kept};
use super::judge::{given, items, text};
use super::wire::{Ask, Deaf, Ended, Heard, Line, Recorded};
use crate::dial::Authorities;
use crate::downloads::Downloads;
use crate::looker::{random_id, without};
use crate::request::RequestBody;

/// The agent that Looker sends.
const AGENT: &str = "LookerOutgoingWebhook/25.18.0";

/// What is known of the hub, shared by all checks of a run.
pub(super) struct Hub<'a> {
    pub(super) options: &'a Options,
    /// Those that [`Options::extra_ca`] names.
    pub(super) authorities: Authorities,
    /// The first answer to the list call.
    pub(super) list: Shown,
    pub(super) listing: Option<Value>,
    pub(super) instance: String,
    pub(super) secrets: Vec<String>,
    pub(super) forms: OnceCell<Vec<Drawn>>,
    pub(super) refusal: OnceCell<Shown>,
    pub(super) delivery: OnceCell<Shown>,
    pub(super) downloads: OnceCell<Downloads>,
    pub(super) exchanges: Mutex<Vec<Arc<Recorded>>>,
    /// What was recorded of it, where there is no hub to ask.
    pub(super) recorded: bool,
    /// Whether more was asked for than was recorded.
    pub(super) more: AtomicBool,
}

/// A call that several checks look at.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) heard: Result<Heard, Deaf>,
    pub(super) recorded: Arc<Recorded>,
}

/// The answer to the plain form call of an action.
pub(super) struct Drawn {
    pub(super) action: usize,
    pub(super) shown: Shown,
    /// The answer, where it is JSON.
    pub(super) form: Option<Value>,
}

impl Drawn {
    /// The fields of either shape.
    pub(super) fn fields(&self) -> &[Value] {
        self.form.as_ref().map_or(&[], fields_of)
    }
}

pub(crate) fn fields_of(form: &Value) -> &[Value] {
    match form {
        Value::Array(fields) => fields,
        form => items(form, "fields"),
    }
}

/// An entry of the list.
#[derive(Clone, Copy)]
pub(super) struct Action<'a>(pub(super) &'a Value);

impl<'a> Action<'a> {
    pub(super) fn name(self) -> &'a str {
        text(self.0, "name").unwrap_or("(without a name)")
    }

    pub(super) fn url(self) -> Option<&'a str> {
        text(self.0, "url")
    }

    pub(super) fn form_url(self) -> Option<&'a str> {
        text(self.0, "form_url")
    }

    pub(super) fn params(self) -> &'a [Value] {
        items(self.0, "params")
    }

    pub(super) fn is(self, member: &str) -> bool {
        given(self.0, member).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether the list lets the action take this; an absent member means anything.
    pub(super) fn takes(self, member: &str, word: &str) -> bool {
        given(self.0, member).is_none() || items(self.0, member).iter().any(|item| item == word)
    }

    pub(super) fn required_param(self) -> Option<&'a str> {
        let required =
            self.params().iter().find(|param| given(param, "required") == Some(&Value::Bool(true)));
        required.and_then(|param| text(param, "name"))
    }

    /// The reference hub's place for another page of this action: the execute URL's, renamed.
    pub(super) fn sibling(self, page: &str) -> Option<String> {
        let base = self.url()?.strip_suffix("/execute")?;
        base.ends_with(&format!("/{}", self.name())).then(|| format!("{base}/{page}"))
    }
}

/// Which token a call carries.
#[derive(Clone, Copy)]
pub(super) enum With<'a> {
    /// The hub's own, if one was given.
    Token,
    /// None at all.
    Nothing,
    /// This as the whole `Authorization` header.
    Header(&'a [u8]),
}

impl<'a> Hub<'a> {
    /// A hub that has not been called yet.
    pub(super) fn unmet(options: &'a Options, authorities: Authorities) -> Self {
        let mut secrets: Vec<String> = options.token.iter().cloned().collect();
        if let Some(execute) = &options.execute {
            secrets.extend(execute.params.iter().map(|(_, value)| value.clone()));
        }
        Self {
            options,
            authorities,
            list: Shown {
                heard: Err(Deaf::Silent("Nothing was sent.".to_owned())),
                recorded: Arc::new(Recorded { exchange: crate::Exchange::default() }),
            },
            listing: None,
            instance: random_id(),
            secrets,
            forms: OnceCell::new(),
            refusal: OnceCell::new(),
            delivery: OnceCell::new(),
            downloads: OnceCell::new(),
            exchanges: Mutex::default(),
            recorded: false,
            more: AtomicBool::new(false),
        }
    }

    /// Lists the hub's actions.
    pub(super) async fn meet(&mut self) {
        self.list = self.send(self.list_ask(With::Token)).await;
        if let Ok(heard) = &self.list.heard
            && heard.status == 200
        {
            self.listing = serde_json::from_slice(&heard.body).ok().filter(Value::is_object);
            self.keep_params_secret();
        }
    }

    /// A hub of which this was recorded.
    pub(super) fn recorded(options: &'a Options, evidence: Evidence) -> Self {
        let shown = |kept: Kept| {
            let recorded = Arc::new(Recorded { exchange: kept.exchange });
            Shown { heard: kept.heard, recorded }
        };
        let list = shown(evidence.list);
        let listing = list.heard.as_ref().ok().filter(|heard| heard.status == 200);
        let listing = listing.and_then(|heard| serde_json::from_slice::<Value>(&heard.body).ok());
        let listing = listing.filter(Value::is_object);
        let names: Vec<String> = listing
            .iter()
            .flat_map(|listing| items(listing, "integrations"))
            .filter(|item| item.is_object())
            .map(|action| Action(action).name().to_owned())
            .collect();
        let drawn = evidence.forms.into_iter().filter_map(|(name, kept)| {
            let action = names.iter().position(|known| *known == name)?;
            let shown = shown(kept);
            let heard = shown.heard.as_ref().ok();
            let form = heard.and_then(|heard| serde_json::from_slice(&heard.body).ok());
            Some(Drawn { action, shown, form })
        });
        let forms: Vec<Drawn> = drawn.collect();
        let delivery = evidence.delivery.map(|(_, kept)| shown(kept));
        let refusal = evidence.refusal.map(shown);
        let mut exchanges = vec![Arc::clone(&list.recorded)];
        exchanges.extend(forms.iter().map(|drawn| Arc::clone(&drawn.shown.recorded)));
        exchanges.extend(delivery.iter().chain(&refusal).map(|shown| Arc::clone(&shown.recorded)));
        let cell = |shown: Option<Shown>| match shown {
            Some(shown) => OnceCell::new_with(Some(shown)),
            None => OnceCell::new(),
        };
        Self {
            options,
            authorities: Authorities::default(),
            list,
            listing,
            instance: String::new(),
            secrets: Vec::new(),
            forms: if forms.is_empty() { OnceCell::new() } else { OnceCell::new_with(Some(forms)) },
            refusal: cell(refusal),
            delivery: cell(delivery),
            downloads: OnceCell::new(),
            exchanges: Mutex::new(exchanges),
            recorded: true,
            more: AtomicBool::new(false),
        }
    }

    /// Whether the last check asked for more than was recorded.
    pub(super) fn asked_for_more(&self) -> bool {
        self.more.swap(false, Ordering::Relaxed)
    }

    /// Whether the recording leaves out what this check looks at.
    pub(super) fn cannot_tell(&self, id: &str) -> bool {
        self.recorded && super::evidence::LEFT_OUT.contains(&id)
    }

    /// A connection to the hub; none where there is no hub to ask.
    pub(super) async fn line(&self, url: &str, wait: Duration) -> Result<Line, Deaf> {
        if self.recorded {
            self.more.store(true, Ordering::Relaxed);
            return Err(Deaf::Unreachable("It was not recorded.".to_owned()));
        }
        Line::open(url, wait, &self.authorities).await
    }

    /// Params are secret unless the list says otherwise.
    fn keep_params_secret(&mut self) {
        let Some(execute) = &self.options.execute else { return };
        let listing = self.listing.take();
        let action = listing.iter().flat_map(|list| items(list, "integrations"));
        let action = action.map(Action).find(|action| action.name() == execute.action);
        let open = |name: &str| {
            let params = action.map_or(&[][..], Action::params);
            let param = params.iter().find(|param| text(param, "name") == Some(name));
            param.is_some_and(|param| given(param, "sensitive") == Some(&Value::Bool(false)))
        };
        self.secrets = self.options.token.iter().cloned().collect();
        for (name, value) in &execute.params {
            if !open(name) {
                self.secrets.push(value.clone());
            }
        }
        self.listing = listing;
    }

    pub(super) fn list_ask(&self, with: With<'_>) -> Ask {
        self.ask(&self.options.url, with, RequestBody::empty())
    }

    /// A call as Looker makes it.
    pub(super) fn ask(&self, url: &str, with: With<'_>, body: RequestBody) -> Ask {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [(WEBHOOK_ID, random_id()), (INSTANCE, self.instance.clone())] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        let value = match (with, &self.options.token) {
            (With::Token, Some(token)) => HeaderValue::from_str(&authorization(token)).ok(),
            (With::Header(value), _) => HeaderValue::from_bytes(value).ok(),
            (With::Token, None) | (With::Nothing, _) => None,
        };
        if let Some(value) = value {
            headers.insert(header::AUTHORIZATION, value);
        }
        let wait = self.options.patience * 3;
        Ask { method: Method::POST, url: url.to_owned(), headers, body, wait }
    }

    /// Sends on a connection of its own.
    pub(super) async fn send(&self, ask: Ask) -> Shown {
        match self.line(&ask.url, ask.wait).await {
            Ok(mut line) => self.send_on(&mut line, ask).await,
            Err(deaf) => {
                let exchange = crate::Exchange {
                    method: ask.method.to_string(),
                    url: ask.url,
                    failure: Some(deaf.why().to_owned()),
                    started: jiff::Timestamp::now(),
                    ..crate::Exchange::default()
                };
                self.kept(Err(deaf), Arc::new(Recorded { exchange }))
            }
        }
    }

    pub(super) async fn send_on(&self, line: &mut Line, ask: Ask) -> Shown {
        let (heard, recorded) = line.send(ask, &self.secrets).await;
        self.kept(heard, recorded)
    }

    pub(super) fn kept(&self, mut heard: Result<Heard, Deaf>, recorded: Arc<Recorded>) -> Shown {
        // Findings quote answers, and a quotation may be cut in the middle of a secret.
        if let Ok(heard) = &mut heard
            && let Ok(text) = std::str::from_utf8(&heard.body)
            && self.secrets.iter().any(|secret| text.contains(secret.as_str()))
        {
            heard.body = self.masked(text).into_bytes();
        }
        locked(&self.exchanges).push(Arc::clone(&recorded));
        Shown { heard, recorded }
    }

    /// The text without any secret of this run.
    pub(super) fn masked(&self, body: &str) -> String {
        without(body, &self.secrets)
    }

    /// A small body of Looker's, its secrets masked in the record.
    pub(super) fn json(&self, body: &Value) -> RequestBody {
        let text = body.to_string();
        let shown = self.masked(&text);
        RequestBody::text(text, shown)
    }

    /// Whether the hub still answers the list call.
    pub(super) async fn is_alive(&self) -> bool {
        is_alive(&self.send(self.list_ask(With::Token)).await)
    }
}

/// Whether the list call was answered as by a hub that works.
pub(super) fn is_alive(listed: &Shown) -> bool {
    matches!(&listed.heard, Ok(heard) if heard.status < 500 && heard.ended == Ended::Whole)
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
