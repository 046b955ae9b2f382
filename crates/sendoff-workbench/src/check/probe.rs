//! What a check has in hand: the hub's list, its forms, a refused call and one delivery, each
//! fetched once, and a way to send anything else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, header};
use sendoff_protocol::{INSTANCE, WEBHOOK_ID, authorization};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::evidence::{Evidence, Kept};
use super::judge::{Stop, Verdict, given, inapplicable, items, text};
use super::wire::{Ask, Deaf, Ended, Heard, Line, Recorded};
use super::{Execute, Options};
use crate::downloads::Downloads;
use crate::looker::{random_id, without};
use crate::request::RequestBody;

/// The agent that Looker sends.
const AGENT: &str = "LookerOutgoingWebhook/25.18.0";

/// What is known of the hub, shared by all checks of a run.
pub(super) struct Hub<'a> {
    pub(super) options: &'a Options,
    /// The first answer to the list call.
    pub(super) list: Shown,
    listing: Option<Value>,
    instance: String,
    secrets: Vec<String>,
    forms: OnceCell<Vec<Drawn>>,
    refusal: OnceCell<Shown>,
    delivery: OnceCell<Shown>,
    downloads: OnceCell<Downloads>,
    pub(super) exchanges: Mutex<Vec<Arc<Recorded>>>,
    /// What was recorded of it, where there is no hub to ask.
    recorded: bool,
    /// Whether more was asked for than was recorded.
    more: AtomicBool,
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

    fn required_param(self) -> Option<&'a str> {
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
    /// Lists the hub's actions.
    pub(super) async fn meet(options: &'a Options) -> Self {
        let mut secrets: Vec<String> = options.token.iter().cloned().collect();
        if let Some(execute) = &options.execute {
            secrets.extend(execute.params.iter().map(|(_, value)| value.clone()));
        }
        let instance = random_id();
        let mut hub = Self {
            options,
            list: Shown {
                heard: Err(Deaf::Silent("Nothing was sent.".to_owned())),
                recorded: Arc::new(Recorded { exchange: crate::Exchange::default() }),
            },
            listing: None,
            instance,
            secrets,
            forms: OnceCell::new(),
            refusal: OnceCell::new(),
            delivery: OnceCell::new(),
            downloads: OnceCell::new(),
            exchanges: Mutex::default(),
            recorded: false,
            more: AtomicBool::new(false),
        };
        hub.list = hub.send(hub.list_ask(With::Token)).await;
        if let Ok(heard) = &hub.list.heard
            && heard.status == 200
        {
            hub.listing = serde_json::from_slice(&heard.body).ok().filter(Value::is_object);
            hub.keep_params_secret();
        }
        hub
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
        Line::open(url, wait).await
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

    fn kept(&self, mut heard: Result<Heard, Deaf>, recorded: Arc<Recorded>) -> Shown {
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
        let listed = self.send(self.list_ask(With::Token)).await;
        matches!(&listed.heard, Ok(heard) if heard.status < 500 && heard.ended == Ended::Whole)
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One check's view of the hub. The exchange seen last is the one that its finding shows.
pub(super) struct Probe<'a> {
    pub(super) hub: &'a Hub<'a>,
    seen: Mutex<Option<Arc<Recorded>>>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(hub: &'a Hub<'a>) -> Self {
        Self { hub, seen: Mutex::default() }
    }

    pub(super) fn seen(&self) -> Option<Arc<Recorded>> {
        locked(&self.seen).clone()
    }

    pub(super) fn patience(&self) -> Duration {
        self.hub.options.patience
    }

    /// Between two pieces of what is sent slowly.
    pub(super) fn pause(&self) -> Duration {
        self.patience() / 10
    }

    pub(super) fn see<'s>(&self, shown: &'s Shown) -> &'s Result<Heard, Deaf> {
        *locked(&self.seen) = Some(Arc::clone(&shown.recorded));
        &shown.heard
    }

    pub(super) async fn send(&self, ask: Ask) -> Result<Heard, Deaf> {
        let shown = self.hub.send(ask).await;
        self.see(&shown).clone()
    }

    /// A call with the token and this body.
    pub(super) async fn post(&self, url: &str, body: RequestBody) -> Result<Heard, Deaf> {
        self.send(self.hub.ask(url, With::Token, body)).await
    }

    /// The hub answers the list call; `after` says what it was asked before.
    pub(super) async fn alive(&self, after: &str) -> Verdict {
        let shown = self.seen();
        if self.hub.is_alive().await {
            return Ok(());
        }
        *locked(&self.seen) = shown;
        Err(Stop::Wrong(format!("after {after} the hub does not answer the list call")))
    }

    /// The list as a JSON object.
    pub(super) fn listing(&self) -> Result<&'a Value, Stop> {
        // Its finding is in the list.
        let _ = self.see(&self.hub.list);
        match &self.hub.listing {
            Some(listing) => Ok(listing),
            None => inapplicable("the list cannot be read (list/answer/is-json)"),
        }
    }

    /// The entries of the list that are objects.
    pub(super) fn actions(&self) -> Result<Vec<Action<'a>>, Stop> {
        let listing = self.listing()?;
        if !listing["integrations"].is_array() {
            return inapplicable("there are no integrations (list/answer/integrations-are-a-list)");
        }
        let actions = items(listing, "integrations").iter().filter(|item| item.is_object());
        Ok(actions.map(Action).collect())
    }

    /// What is wrong with each action.
    pub(super) fn each_action(&self, look: impl Fn(Action<'a>) -> Option<String>) -> Verdict {
        let told = |action: Action<'a>| Some(format!("{}: {}", action.name(), look(action)?));
        super::judge::none_of(self.actions()?.into_iter().filter_map(told))
    }

    /// What is wrong with each param of each action.
    pub(super) fn each_param(&self, look: impl Fn(&Value) -> Option<String>) -> Verdict {
        let actions = self.actions()?;
        let params = actions.iter().flat_map(|a| a.params().iter().map(|p| (a.name(), p)));
        let told = |(action, param): (&str, &Value)| {
            let name = text(param, "name").unwrap_or("(without a name)");
            Some(format!("{action}: param `{name}` {}", look(param)?))
        };
        super::judge::none_of(params.filter_map(told))
    }

    /// Stops a check that needs more than a recording.
    pub(super) fn live(&self) -> Result<(), Stop> {
        match self.hub.recorded {
            true => Err(Stop::NotRun("needs the hub itself; a recording does not show it".into())),
            false => Ok(()),
        }
    }

    /// The plain form call of every action that has a form.
    pub(super) async fn forms(&self) -> Result<&[Drawn], Stop> {
        if self.hub.forms.get().is_none() {
            self.live()?;
        }
        let actions = self.actions()?;
        let drawn = self.hub.forms.get_or_init(|| async {
            let mut calls = Vec::new();
            for (n, action) in actions.iter().enumerate() {
                if let Some(url) = action.form_url() {
                    calls.push(self.draw(n, url, self.form_body(*action)));
                }
            }
            futures_util::stream::iter(calls).buffered(4).collect().await
        });
        Ok(drawn.await)
    }

    async fn draw(&self, action: usize, url: &str, body: Value) -> Drawn {
        let ask = self.hub.ask(url, With::Token, self.hub.json(&body));
        let shown = self.hub.send(ask).await;
        let heard = shown.heard.as_ref().ok();
        let form = heard.and_then(|heard| serde_json::from_slice(&heard.body).ok());
        Drawn { action, shown, form }
    }

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

    /// What is wrong with each form that could be read.
    pub(super) async fn each_form(&self, look: impl Fn(&Drawn) -> Option<String>) -> Verdict {
        let actions = self.actions()?;
        let mut problems = Vec::new();
        for drawn in self.forms().await? {
            if let Some(problem) = look(drawn) {
                if problems.is_empty() {
                    let _ = self.see(&drawn.shown);
                }
                let name = actions.get(drawn.action).map_or("", |action| action.name());
                problems.push(format!("{name}: {problem}"));
            }
        }
        super::judge::none_of(problems)
    }

    /// What is wrong with each field of each form.
    pub(super) async fn each_field(&self, look: impl Fn(&Value) -> Option<String>) -> Verdict {
        self.each_form(|drawn| {
            drawn.fields().iter().find_map(|field| {
                let name = text(field, "name").unwrap_or("(without a name)");
                Some(format!("field `{name}` {}", look(field)?))
            })
        })
        .await
    }

    /// An action whose param is required and missing, so that nothing can be delivered by it, else
    /// the one that deliveries may be made with. And the call.
    pub(super) fn safe_action(&self) -> Result<(Action<'a>, &'a str), Stop> {
        let actions = self.actions()?;
        let safe = actions.iter().find_map(|action| {
            action.required_param()?;
            Some((*action, action.url()?))
        });
        if let Some(safe) = safe {
            return Ok(safe);
        }
        match &self.hub.options.execute {
            Some(execute) => self.executable(execute),
            None => Err(Stop::NotRun(
                "no action has a required param, so that even a wrong call could deliver; \
                 needs --execute"
                    .to_owned(),
            )),
        }
    }

    fn executable(&self, execute: &Execute) -> Result<(Action<'a>, &'a str), Stop> {
        let actions = self.actions()?;
        let found = actions.into_iter().find(|action| action.name() == execute.action);
        match found.and_then(|action| Some((action, action.url()?))) {
            Some(found) => Ok(found),
            None => inapplicable(format!("the list has no action `{}`", execute.action)),
        }
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

    /// The answer to the call with the required param missing.
    pub(super) async fn refusal(&self) -> Result<&Heard, Stop> {
        if self.hub.recorded {
            return match self.hub.refusal.get().map(|shown| self.see(shown)) {
                Some(Ok(heard)) => Ok(heard),
                _ => Err(Stop::NotRun("no failed delivery was recorded".to_owned())),
            };
        }
        let (action, url) = self.safe_action()?;
        if action.required_param().is_none() {
            return inapplicable("no action has a required param");
        }
        let shown = self.hub.refusal.get_or_init(|| async {
            let body = self.hub.json(&self.refused_body(action));
            self.hub.send(self.hub.ask(url, With::Token, body)).await
        });
        match self.see(shown.await) {
            Ok(heard) if heard.ended == Ended::Whole => Ok(heard),
            _ => inapplicable("the answer is not whole (execute/error/is-answered)"),
        }
    }

    /// What may be executed, or that nothing may.
    pub(super) fn executed(&self) -> Result<(Action<'a>, &'a str), Stop> {
        match &self.hub.options.execute {
            Some(execute) => self.executable(execute),
            None if self.hub.recorded => {
                Err(Stop::NotRun("no delivery that succeeded was recorded".to_owned()))
            }
            None => Err(Stop::NotRun("needs --execute".to_owned())),
        }
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

    /// A delivery: it may reach the vendor.
    pub(super) async fn deliver(&self, url: &str, body: RequestBody) -> Result<Heard, Deaf> {
        let mut ask = self.hub.ask(url, With::Token, body);
        ask.wait = self.hub.options.delivery_patience;
        self.send(ask).await
    }

    /// The one plain delivery that most checks look at.
    pub(super) async fn delivery(&self) -> Result<&Heard, Stop> {
        let (action, url) = self.executed()?;
        let shown = self.hub.delivery.get_or_init(|| async {
            let body = self.hub.json(&self.delivery_body(action));
            let mut ask = self.hub.ask(url, With::Token, body);
            ask.wait = self.hub.options.delivery_patience;
            self.hub.send(ask).await
        });
        match self.see(shown.await) {
            Ok(heard) => Ok(heard),
            Err(deaf) => inapplicable(format!(
                "{} (execute/delivery/is-answered)",
                deaf.why().trim_end_matches('.')
            )),
        }
    }

    /// Where results are offered by URL.
    pub(super) async fn downloads(&self) -> Result<&Downloads, Stop> {
        self.live()?;
        let downloads = self.hub.downloads.get_or_try_init(Downloads::listen).await;
        downloads.map_err(|error| Stop::Ours(format!("no download URL can be offered: {error}")))
    }
}

/// Where Looker would take the user's tokens; nothing listens there.
pub(super) const STATE_URL: &str =
    "https://looker.invalid/action_hub_state/0123456789abcdef0123456789abcdef01234567";

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

/// An archive without a member, which every reader opens.
pub(super) const EMPTY_ZIP: &str = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==\n";

/// The body of an answer as text.
pub(super) fn body_text(heard: &Heard) -> String {
    String::from_utf8_lossy(&heard.body).into_owned()
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
