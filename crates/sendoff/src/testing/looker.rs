//! Looker's side of a delivery, over a real socket: lists, draws forms, sends results of any size
//! in flat memory, and tells what it heard.

mod body;

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sendoff_protocol as wire;
use sendoff_protocol::{ActionType, INSTANCE, WEBHOOK_ID, authorization};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tower_service::Service;

use body::{Chunks, attached, empty, once};

use super::accounts::{Accounts, Browser, Page};
use super::download::Downloads;
use super::expect::{Blame, Observed};
use super::{Content, DownloadFault, Proxy};
use crate::{Hub, Secret, Token, Values};

/// An answer beyond this is not read: the hub's are a few kilobytes.
const LONGEST_ANSWER: usize = 16 << 20;
/// `X-Looker-Instance`.
const INSTANCE_ID: &str = "00ff00ff00ff00ff00ff00ff00ff00ff";
/// The hub secret of hubs under test.
const SECRET: &str = "the hub secret of the behaviour suite";

/// A Looker in front of one hub.
pub struct Looker {
    proxy: Proxy,
    token: String,
    downloads: Downloads,
    accounts: Accounts,
    instance: Mutex<String>,
    /// Open while faults may happen.
    gate: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// How the data reaches the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// In the request, as text or base64, whichever the format is.
    Push,
    /// In the request, before the form's answers, so that the hub has to keep it.
    PushFirst,
    /// By a URL.
    Download,
}

/// What breaks on Looker's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookerFault {
    /// The pushed request ends after so many bytes of data, and the connection closes.
    BreaksOff(u64),
    /// Nothing more of the pushed request comes after so many bytes of data.
    Stalls(u64),
    /// After so many bytes of data the pushed request is no JSON any more.
    Garbage(u64),
    /// The download's.
    Download(DownloadFault),
}

/// One delivery to ask for.
#[derive(Clone, Debug)]
pub struct Shipment {
    /// The action's name.
    pub action: String,
    /// What is sent.
    pub kind: ActionType,
    /// The settings.
    pub settings: Values,
    /// The form's answers.
    pub answers: Values,
    /// The data.
    pub content: Option<Content>,
    /// Its way.
    pub by: By,
    /// What breaks.
    pub fault: Option<LookerFault>,
    /// `X-Looker-Webhook-Id`.
    pub webhook_id: String,
}

/// What Looker heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The HTTP status.
    pub status: u16,
    /// When newlines came, from the request's first byte on.
    pub newlines: Vec<Duration>,
    /// The answer without the newlines before it.
    pub text: String,
    /// The answer's envelope.
    pub envelope: Option<wire::Outcome>,
    /// How long it took.
    pub after: Duration,
}

impl Heard {
    /// What came of the delivery, by the answer's own words.
    pub fn outcome(&self) -> Observed {
        let Some(envelope) = &self.envelope else { return Observed::NoAnswer };
        if envelope.success {
            return Observed::Delivered;
        }
        let words = envelope.message.as_deref().unwrap_or_default();
        let Some(error) = &envelope.error else { return Observed::NotDelivered(Blame::Hub) };
        if error.status_code == "UNKNOWN" || words.contains("cannot be taken back") {
            return Observed::MayHaveArrived;
        }
        Observed::NotDelivered(match (error.http_code, error.status_code.as_str()) {
            (_, "DATA_LOSS") => Blame::Looker,
            (413, "RESOURCE_EXHAUSTED") | (500, "INTERNAL") | (503, "UNAVAILABLE") => Blame::Hub,
            _ => Blame::Vendor,
        })
    }

    /// The sentence for the user.
    pub fn message(&self) -> &str {
        self.envelope.as_ref().and_then(|envelope| envelope.message.as_deref()).unwrap_or_default()
    }
}

impl Looker {
    /// Serves the hub that `hub` builds on a free port and stands before it. `hub` gets the
    /// secret and the entries of the origin map that it must have.
    ///
    /// # Errors
    /// The system's, when it gives no port; the hub's own.
    pub async fn before(
        hub: impl FnOnce(Secret, Vec<String>) -> crate::Result<Hub>,
    ) -> io::Result<Self> {
        let gate = watch::Sender::new(true);
        let downloads = Downloads::start(gate.subscribe()).await?;
        let accounts = Accounts::start().await?;
        let secret = Secret::from(SECRET);
        let token = Token::issue(&secret, []).map_err(io::Error::other)?;
        let hub =
            hub(secret, vec![downloads.origin(), accounts.origin()]).map_err(io::Error::other)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let proxy = Proxy::to(listener.local_addr()?).await?;
        let serving = tokio::spawn(serve(listener, hub));
        Ok(Self {
            proxy,
            token,
            downloads,
            accounts,
            instance: Mutex::new(INSTANCE_ID.to_owned()),
            gate,
            serving,
        })
    }

    /// Where the hub is reached, through the proxy.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// What stands between Looker and the hub.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// From now on data that is to break flows up to where it breaks and waits there, until
    /// [`let_break`](Self::let_break).
    pub fn hold_faults(&self) {
        self.gate.send_replace(false);
    }

    /// What was to break breaks.
    pub fn let_break(&self) {
        self.gate.send_replace(true);
    }

    /// The hub token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Bytes that downloads have handed out.
    pub fn downloaded(&self) -> u64 {
        self.downloads.served()
    }

    /// An action's definition, as Looker gets it.
    ///
    /// # Errors
    /// When the connection ends early or the answer is no JSON.
    pub async fn definition(&self, action: &str) -> io::Result<Value> {
        let heard = self.call(&format!("/actions/{action}"), "", empty()).await?;
        serde_json::from_str(&heard.text).map_err(io::Error::other)
    }

    /// The form of an action, with the status.
    ///
    /// # Errors
    /// When the connection ends early or the answer is no JSON.
    pub async fn form(
        &self,
        action: &str,
        settings: &Values,
        answers: Option<&Values>,
    ) -> io::Result<(u16, Value)> {
        let data = self.accounts.data(action, settings);
        let body = json!({"type": "query", "data": data, "form_params": answers});
        let body = once(body.to_string());
        let heard = self.call(&format!("/actions/{action}/form"), "", body).await?;
        let form = serde_json::from_str(&heard.text).map_err(io::Error::other)?;
        self.accounts.hear(action, &form);
        Ok((heard.status, form))
    }

    /// Delivers. Dropping the future hangs up.
    ///
    /// # Errors
    /// When the connection ends without an answer.
    pub async fn execute(&self, shipment: &Shipment) -> io::Result<Heard> {
        let path = format!("/actions/{}/execute", shipment.action);
        let heard = self.call(&path, &shipment.webhook_id, self.body(shipment)).await?;
        if let Ok(answer) = serde_json::from_str(&heard.text) {
            self.accounts.hear(&shipment.action, &answer);
        }
        Ok(heard)
    }

    /// From now on the action's forms and deliveries carry a user's state and the addresses that a
    /// login goes back to; with `fetches` those of version 2 as well. What the hub's answers tell
    /// to keep is kept.
    pub fn uses_login(&self, action: &str, fetches: bool) {
        self.accounts.uses_login(action, fetches);
    }

    /// Keeps this state for the user, or none.
    pub fn keep(&self, action: &str, state: Option<String>) {
        self.accounts.keep(action, state);
    }

    /// What is kept for the user.
    pub fn kept(&self, action: &str) -> Option<String> {
        self.accounts.kept(action)
    }

    /// From now on it is another Looker instance.
    pub fn move_to(&self, instance: &str) {
        instance.clone_into(&mut self.instance());
    }

    fn instance(&self) -> MutexGuard<'_, String> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `browser` opens a page of the hub's, by its URL.
    ///
    /// # Errors
    /// When the connection ends early.
    pub async fn open(&self, browser: &mut Browser, url: &str) -> io::Result<Page> {
        let path = url.find("/actions/").map_or(url, |at| &url[at..]);
        browser.get(self.address(), path).await
    }

    /// The browser arrives at a `state_redir_url` of Looker's, which has the hub exchange the code
    /// (version 2). The hub's answer; a good one is kept.
    ///
    /// # Errors
    /// When the address is not one of Looker's, or the connection ends early.
    pub async fn fetch_login(&self, url: &str) -> io::Result<Heard> {
        let url = url::Url::parse(url).map_err(io::Error::other)?;
        let unknown = || io::Error::other(format!("Looker does not know {url}"));
        let action = self.accounts.redirected(url.path()).ok_or_else(unknown)?;
        let state = url.query_pairs().find(|(name, _)| name == "state").map(|(_, value)| value);
        let body = once(json!({"type": null, "state": state}).to_string());
        let heard = self.call(&format!("/actions/{action}/oauth_token"), "", body).await?;
        if heard.status == 200 {
            self.accounts.keep(&action, Some(heard.text.clone()));
        }
        Ok(heard)
    }

    async fn call(&self, path: &str, webhook_id: &str, body: Chunks) -> io::Result<Heard> {
        let started = Instant::now();
        let stream = TcpStream::connect(self.address()).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut request = Request::post(path)
            .header(HOST, "hub.example")
            .header(AUTHORIZATION, authorization(&self.token))
            .header(USER_AGENT, "LookerOutgoingWebhook/26.20.1")
            .header(INSTANCE, self.instance().as_str())
            .header(CONTENT_TYPE, "application/json");
        if !webhook_id.is_empty() {
            request = request.header(WEBHOOK_ID, webhook_id);
        }
        let frames = body.map(|chunk| chunk.map(Frame::data)).boxed();
        let request = request.body(StreamBody::new(frames)).map_err(io::Error::other)?;
        let talk = async move {
            let response = sender.send_request(request).await.map_err(broken)?;
            listen(response, started).await
        };
        // In this future, not in a task: dropping it closes the connection.
        let (mut connection, mut talk) = (std::pin::pin!(connection), std::pin::pin!(talk));
        tokio::select! {
            heard = &mut talk => heard,
            // The answer may be complete when the connection is not well ended.
            _ = &mut connection => talk.await,
        }
    }

    fn body(&self, shipment: &Shipment) -> Chunks {
        let mut plan = json!({
            "scheduled_plan_id": 88, "title": "Orders by day", "type": "Look",
            "url": "https://looker.example/looks/5", "query_id": "5531",
            "filters_differ_from_look": false,
        });
        let mut attachment = None;
        match (shipment.content, shipment.by) {
            (Some(content), By::Download) => {
                let fault = match shipment.fault {
                    Some(LookerFault::Download(fault)) => Some(fault),
                    _ => None,
                };
                plan["download_url"] = self.downloads.offer(content, fault).into();
            }
            (Some(content), _) => {
                attachment = Some(attached(content, shipment.fault, self.gate.subscribe()));
            }
            (None, _) => {}
        }
        let data = &self.accounts.data(&shipment.action, &shipment.settings);
        let answers = &shipment.answers;
        let kind = shipment.kind.as_str();
        match (attachment, shipment.by) {
            (None, _) => once(
                json!({"type": kind, "scheduled_plan": plan, "attachment": null, "data": data,
                       "form_params": answers})
                .to_string(),
            ),
            (Some(attachment), By::PushFirst) => {
                let rest = json!({"type": kind, "scheduled_plan": plan, "data": data,
                                  "form_params": answers})
                .to_string();
                once("{\"attachment\":")
                    .chain(attachment)
                    .chain(once(rest.replacen('{', ",", 1)))
                    .boxed()
            }
            (Some(attachment), _) => {
                let head = json!({"type": kind, "scheduled_plan": plan, "data": data,
                                  "form_params": answers})
                .to_string();
                let head = head.strip_suffix('}').unwrap_or_default();
                once(format!("{head},\"attachment\":")).chain(attachment).chain(once("}")).boxed()
            }
        }
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn listen(response: Response<Incoming>, started: Instant) -> io::Result<Heard> {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let (mut newlines, mut text) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if text.is_empty() && data.iter().all(|byte| *byte == b'\n') {
            newlines.extend(data.iter().map(|_| started.elapsed()));
        } else if text.len() + data.len() <= LONGEST_ANSWER {
            text.extend_from_slice(&data);
        } else {
            return Err(io::Error::other("the hub's answer does not end"));
        }
    }
    let text = String::from_utf8(text).map_err(io::Error::other)?.trim_start().to_owned();
    let envelope = serde_json::from_str::<wire::Executed>(&text).ok().map(|found| found.looker);
    Ok(Heard { status, newlines, text, envelope, after: started.elapsed() })
}

fn broken(error: hyper::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error)
}

async fn serve(listener: TcpListener, hub: Hub) {
    let mut tasks = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let hub = hub.clone();
                tasks.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let service = service_fn(move |request| hub.clone().call(request));
                    let mut builder = hyper::server::conn::http1::Builder::new();
                    let served = builder.timer(TokioTimer::new());
                    if let Err(error) = served.serve_connection(TokioIo::new(stream), service).await
                    {
                        tracing::trace!(%error, "a connection from Looker ended early");
                    }
                });
            }
            Err(_) => tokio::task::yield_now().await,
        }
        while tasks.try_join_next().is_some() {}
    }
}
