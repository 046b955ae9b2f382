//! The stage of the tests beside the suite: a hub with every destination, a vendor that writes down
//! what it is asked, and Looker's requests.

#![allow(clippy::disallowed_methods, reason = "the test reads bodies that it made itself")]
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(unreachable_pub, reason = "a test program exports nothing")]

pub mod held;
pub mod smtp;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use sendoff::testing::{Fake, Object, Provider, TakesRows, Vendor};
use sendoff::{ByteStream, EgressConfig, Hub, Origins, RetryPolicy, Token, Values};
use sendoff_destinations::Config;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt;

const SECRET: &str = "the hub secret of these tests";
/// The delivery that all requests belong to, unless a test says another.
pub const WEBHOOK: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// One request as the vendor got it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    /// As much of the body as came.
    pub body: Vec<u8>,
}

impl Asked {
    /// `POST /path?query `, with a blank at its end, so that a part can be the end of a path.
    pub fn line(&self) -> String {
        format!("{} {} ", self.method, self.path)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// What the vendor says to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn response(self) -> Response<Bytes> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(self.body.into()).unwrap()
    }
}

/// A text, or nothing, of a status.
pub fn text(status: u16, body: impl Into<String>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into() }
}

pub fn answer(status: u16, json: Value) -> Answer {
    text(status, json.to_string()).header("content-type", "application/json")
}

impl From<(u16, Value)> for Answer {
    /// `null` is an empty body.
    fn from((status, json): (u16, Value)) -> Self {
        if json.is_null() { text(status, "") } else { answer(status, json) }
    }
}

type Twist = Box<dyn FnOnce(&mut Response<Bytes>) + Send>;

/// Holds one request back.
pub struct Gate {
    came: oneshot::Receiver<()>,
    open: oneshot::Sender<()>,
}

impl Gate {
    /// Waits until the request is there.
    pub async fn reached(&mut self) {
        (&mut self.came).await.unwrap();
    }

    /// Lets it through.
    pub fn open(self) {
        self.open.send(()).unwrap();
    }
}

enum Told {
    /// In place of what the vendor would do.
    Answer(Answer),
    /// Waits before the vendor does it: says that it came, and is told to go on.
    Wait(oneshot::Sender<()>, oneshot::Receiver<()>),
    /// Changes what the vendor answers after it did what it was asked.
    Twist(Twist),
}

/// A vendor that writes down what it is asked, and answers as it is told; what nobody told it, the
/// stand-in behind it answers.
#[derive(Default)]
pub struct Script {
    behind: Option<Arc<dyn Fake>>,
    origins: Vec<String>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// A part of the request's line, and what is told to the next such request, once.
    once: Mutex<VecDeque<(&'static str, Told)>>,
    /// The same for all such requests, in turn; the last answer stays.
    standing: Mutex<Vec<(&'static str, VecDeque<Answer>)>>,
    /// Answers before it has read the body.
    hasty: AtomicBool,
    /// The stand-in's login is not offered.
    without_login: bool,
}

impl Script {
    /// A vendor at these origins that can do nothing by itself.
    pub fn at(origins: &[&str]) -> Self {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        Self { origins, ..Self::default() }
    }

    /// In front of a destination's stand-in.
    pub fn before(action: &str) -> Self {
        let made = sendoff_destinations::fakes().into_iter().map(|make| make());
        let found = made.into_iter().find(|(each, _)| each.spec().name == action);
        let (_, fake) = found.unwrap_or_else(|| panic!("no stand-in for {action}"));
        Self { origins: fake.origins(), behind: Some(fake), ..Self::default() }
    }

    pub fn without_login(mut self) -> Self {
        self.without_login = true;
        self
    }

    /// Requests whose line holds `part` are answered so, in turn; the last answer stays. What was
    /// told first goes first.
    pub fn told<A: Into<Answer>>(
        self,
        part: &'static str,
        answers: impl IntoIterator<Item = A>,
    ) -> Self {
        let answers = answers.into_iter().map(Into::into).collect();
        self.standing.lock().unwrap().push((part, answers));
        self
    }

    /// The next request whose line holds `part` is answered so, once.
    pub fn tell(&self, part: &'static str, answer: impl Into<Answer>) {
        self.once.lock().unwrap().push_back((part, Told::Answer(answer.into())));
    }

    /// As [`told`](Self::told), when it is on the stage already.
    pub fn tell_always(&self, part: &'static str, answer: impl Into<Answer>) {
        self.standing.lock().unwrap().push((part, [answer.into()].into()));
    }

    /// The next request whose line holds `part` is carried out, and its answer changed.
    pub fn twist(
        &self,
        part: &'static str,
        how: impl FnOnce(&mut Response<Bytes>) + Send + 'static,
    ) {
        self.once.lock().unwrap().push_back((part, Told::Twist(Box::new(how))));
    }

    /// The next request whose line holds `part` is carried out when its gate is opened.
    pub fn hold(&self, part: &'static str) -> Gate {
        let ((says, came), (open, told)) = (oneshot::channel(), oneshot::channel());
        self.once.lock().unwrap().push_back((part, Told::Wait(says, told)));
        Gate { came, open }
    }

    pub fn is_hasty(&self) {
        self.hasty.store(true, Ordering::SeqCst);
    }

    pub fn behind(&self) -> &dyn Fake {
        &**self.behind.as_ref().expect("a stand-in behind the script")
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests whose lines hold `part`.
    pub fn asked_for(&self, part: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|one| one.line().contains(part)).collect()
    }

    /// The one request whose line holds `part`.
    pub fn one(&self, part: &str) -> Asked {
        let mut found = self.asked_for(part);
        assert_eq!(found.len(), 1, "{part}: {:?}", self.asked());
        found.remove(0)
    }

    fn next(&self, line: &str) -> Option<Told> {
        let mut once = self.once.lock().unwrap();
        if let Some(at) = once.iter().position(|(part, _)| line.contains(part)) {
            return once.remove(at).map(|(_, told)| told);
        }
        let mut standing = self.standing.lock().unwrap();
        let (_, answers) = standing.iter_mut().find(|(part, _)| line.contains(part))?;
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        next.map(Told::Answer)
    }
}

impl Fake for Script {
    fn origins(&self) -> Vec<String> {
        self.origins.clone()
    }

    fn settings(&self) -> Values {
        self.behind.as_ref().map(|fake| fake.settings()).unwrap_or_default()
    }

    fn answers(&self) -> Values {
        self.behind.as_ref().map(|fake| fake.answers()).unwrap_or_default()
    }

    fn provider(&self) -> Option<&Provider> {
        self.behind.as_ref().filter(|_| !self.without_login)?.provider()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            if self.hasty.load(Ordering::SeqCst) {
                return text(200, "thanks").response();
            }
            let path = head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
            let (method, headers) = (head.method.clone(), head.headers.clone());
            let asked = Asked { method, path, headers, body: Vec::new() };
            let line = asked.line();
            let number = {
                let mut all = self.asked.lock().unwrap();
                all.push(asked);
                all.len() - 1
            };
            let all = Arc::clone(&self.asked);
            let len = body.len_hint();
            let mut body = ByteStream::new(body.inspect(move |chunk| {
                if let Ok(chunk) = chunk {
                    all.lock().unwrap()[number].body.extend_from_slice(chunk);
                }
            }));
            body = match len {
                Some(len) => body.with_len(len),
                None => body,
            };
            let twist = match (self.next(&line), &self.behind) {
                (Some(Told::Twist(twist)), Some(_)) => Some(twist),
                (Some(Told::Wait(says, told)), Some(_)) => {
                    says.send(()).unwrap();
                    told.await.unwrap();
                    None
                }
                (None, Some(_)) => None,
                (told, _) => {
                    while body.next().await.is_some() {}
                    let nothing = json!({ "message": "Nothing is told for this." });
                    return match told {
                        Some(Told::Answer(answer)) => answer.response(),
                        _ => answer(404, nothing).response(),
                    };
                }
            };
            let mut response = self.behind().handle(Request::from_parts(head, body)).await;
            if let Some(twist) = twist {
                twist(&mut response);
            }
            response
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        match &self.behind {
            Some(fake) => fake.objects(),
            None => Box::pin(std::future::ready(Vec::new())),
        }
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        match &self.behind {
            Some(fake) => fake.leftovers(),
            None => Box::pin(std::future::ready(Vec::new())),
        }
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        self.behind.as_ref().map_or(("text/plain", String::new()), |fake| fake.refusal(status))
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        self.behind.as_ref().is_some_and(|fake| fake.commits(method, path_and_query))
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        self.behind.as_ref()?.takes_rows()
    }
}

/// A hub with every destination, and the vendor that its requests reach.
pub struct Stage<F = Script> {
    pub hub: Hub,
    pub vendor: Arc<F>,
    pub running: Vendor,
}

impl<F: Fake> Stage<F> {
    /// With a vendor that is reached by HTTP.
    pub async fn set(vendor: F) -> Self {
        Self::with(vendor, true).await
    }

    pub async fn with(vendor: F, speaks_http: bool) -> Self {
        let vendor = Arc::new(vendor);
        let running = Vendor::start(Arc::clone(&vendor) as _, speaks_http).await.unwrap();
        let clients = ["airtable", "google_drive", "google_sheets"];
        let client = vendor.provider().map(Provider::client);
        let mut egress = egress(running.origins());
        egress.extra_ca_pem = vendor.authority().map(|pem| pem.as_bytes().to_vec());
        let mut hub = builder(egress);
        for action in clients {
            let (id, secret) = client.unwrap_or(("hub", "none"));
            hub = hub.oauth_client(action, id, secret.into());
        }
        Self { hub: hub.build().unwrap(), vendor, running }
    }

    /// Posts to the hub as Looker does.
    pub async fn call(&self, path: &str, body: Value) -> Value {
        call(&self.hub, path, Some(WEBHOOK), body).await
    }

    /// Looker's part of the answer to a delivery.
    pub async fn execute(&self, action: &str, body: Value) -> Value {
        self.call(&format!("/actions/{action}/execute"), body).await["looker"].take()
    }

    /// Sends a query's result: `data` is CSV unless it begins as JSON.
    pub async fn send(&self, action: &str, settings: Value, form: Value, data: &str) -> Value {
        self.execute(action, query(settings, form, data)).await
    }

    /// Sends with the stand-in's own settings and answers, and these.
    pub async fn send_with(&self, action: &str, form: Value, data: &str) -> Value {
        self.send(action, self.settings(), with(json!(self.vendor.answers()), form), data).await
    }

    /// The fields of the form after these answers, by name.
    pub async fn form(&self, action: &str, settings: &Value, answers: Value) -> Value {
        let body = json!({ "type": "query", "data": settings, "form_params": answers });
        let mut form = self.call(&format!("/actions/{action}/form"), body).await;
        let fields = if form.is_array() { form.take() } else { form["fields"].take() };
        let fields = fields.as_array().unwrap_or_else(|| panic!("no form: {form}")).clone();
        fields.into_iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one)).collect()
    }

    /// The stand-in's settings, and its login if it has one.
    pub fn settings(&self) -> Value {
        let mut settings = json!(self.vendor.settings());
        if let Some(state) = self.vendor.state() {
            settings["state_json"] = json!(state);
        }
        settings
    }
}

/// An egress that leads to these origins and does not wait long between tries.
pub fn egress(origins: impl IntoIterator<Item = String>) -> EgressConfig {
    let mut egress = EgressConfig::new("a secret below the idempotency keys".into());
    egress.origins = Origins::parse(origins).unwrap();
    egress.retry = RetryPolicy {
        tries: 3,
        first_wait: Duration::from_millis(1),
        // What vendors count in seconds takes milliseconds.
        second: Duration::from_millis(1),
        ..RetryPolicy::default()
    };
    egress
}

/// A hub with every destination.
pub fn builder(egress: EgressConfig) -> sendoff::Builder {
    builder_of(&Config { debug: true, ..Config::default() }, egress)
}

/// A hub with what the operator decides about destinations.
pub fn builder_of(config: &Config, egress: EgressConfig) -> sendoff::Builder {
    let actions = sendoff_destinations::all(config);
    Hub::builder().actions(actions).secrets([SECRET.into()]).egress(egress)
}

/// Posts to a hub as Looker does.
pub async fn call(hub: &Hub, path: &str, webhook: Option<&str>, body: Value) -> Value {
    ask(hub, post(path, webhook, body)).await
}

/// What a hub answers.
pub async fn ask(hub: &Hub, request: Request<Full<Bytes>>) -> Value {
    let response = hub.clone().oneshot(request).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

/// Looker's request.
pub fn post(path: &str, webhook: Option<&str>, body: Value) -> Request<Full<Bytes>> {
    let token = Token::issue(&SECRET.into(), None).unwrap();
    let mut request = Request::post(path)
        .header("authorization", format!("Token token=\"{token}\""))
        .header("content-type", "application/json");
    if let Some(id) = webhook {
        request = request.header("x-looker-webhook-id", id);
    }
    request.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

/// A stage with a destination's stand-in, and what sends to it with the stand-in's own answers.
pub async fn before(action: &str) -> Stage {
    Stage::set(Script::before(action)).await
}

pub async fn send(stage: &Stage, action: &str, form: Value, data: &str) -> Value {
    let form = with(json!(stage.vendor.behind().answers()), form);
    stage.send(action, stage.settings(), form, data).await
}

/// A click on a cell with this value.
pub async fn click(stage: &Stage, action: &str, form: Value, value: Value) -> Value {
    let data = with(stage.settings(), json!({ "value": value }));
    let form = with(json!(stage.vendor.behind().answers()), form);
    stage.execute(action, json!({ "type": "cell", "data": data, "form_params": form })).await
}

/// What Looker posts for a query's result.
pub fn query(settings: Value, form: Value, data: &str) -> Value {
    let is_json = data.starts_with(['{', '[']);
    json!({
        "type": "query",
        "scheduled_plan": {
            "scheduled_plan_id": 88, "title": "Umsätze", "type": "Look",
            "url": "https://looker.example/looks/1",
            "query": { "model": "shop", "view": "orders" },
        },
        "data": settings,
        "form_params": form,
        "attachment": {
            "mimetype": if is_json { "application/json" } else { "text/csv" },
            "extension": if is_json { "json" } else { "csv" },
            "data": data,
        },
    })
}

/// Rows of one column with a tag, and of further ones without.
pub fn rows(tag: &str, names: &[&str], rows: &[&[Value]]) -> String {
    let field = |(n, name): (usize, &&str)| json!({ "name": name, "label": name, "tags": if n == 0 { json!([tag]) } else { json!([]) } });
    let fields: Vec<_> = names.iter().enumerate().map(field).collect();
    let row = |row: &&[Value]| -> Value {
        let cells = names.iter().zip(row.iter());
        cells.map(|(name, value)| ((*name).to_owned(), json!({ "value": value }))).collect()
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    json!({ "fields": { "dimensions": fields }, "data": rows }).to_string()
}

/// `base` with these members too.
pub fn with(mut base: Value, more: Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

/// Settings by which a service account of Google's acts in somebody's name.
pub fn acting_as(email: &str) -> Value {
    let all = sendoff_destinations::fakes().into_iter().map(|make| make().1.settings());
    let key = all.into_iter().find_map(|s| s.get("private_key").map(str::to_owned)).unwrap();
    let file = json!({
        "client_email": "looker@sendoff-demo.iam.gserviceaccount.com",
        "private_key": key,
        "project_id": "sendoff-demo",
    });
    json!({
        "service_account_json": file.to_string(),
        "act_as": email,
        "state_url": "https://looker.example/action_hub_state/1",
    })
}

/// The message of a success.
#[track_caller]
pub fn delivered(answer: &Value) -> &str {
    assert_eq!(answer["success"], true, "{answer}");
    message(answer)
}

/// The message of a failure that holds these words.
#[track_caller]
pub fn refused<'a>(answer: &'a Value, words: &str) -> &'a str {
    assert_eq!(answer["success"], false, "{answer}");
    assert!(message(answer).contains(words), "{words}: {answer}");
    message(answer)
}

pub fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_default()
}

/// A status that a stand-in refuses with, in its words.
pub fn refusal(fake: &dyn Fake, status: u16) -> Answer {
    text(status, fake.refusal(status).1)
}

/// Sets the status of an answer.
pub fn with_status(status: u16) -> impl FnOnce(&mut Response<Bytes>) + Send + 'static {
    move |response| *response.status_mut() = StatusCode::from_u16(status).unwrap()
}
