//! The hub as a service, without a socket: who gets in, what is refused how, and that every
//! request is answered.

#![allow(clippy::disallowed_methods, reason = "a test waits for what it began")]

mod drains;
mod endings;
mod gate;
mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

use crate::prelude::*;
use crate::{Hub, Limits, Spec, Token};

const SECRET: &str = "s3cret";

/// An action whose deliveries do what their form says.
struct Puppet {
    began: Arc<Notify>,
    go: Arc<Notify>,
    aborted: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
}

#[derive(Fields)]
struct Settings {
    api_key: Secret,
}

#[derive(Fields)]
struct Form {
    how: How,
    note: Option<String>,
}

#[derive(Clone, Copy, crate::Choice)]
enum How {
    Read,
    Ignore,
    Wait,
    Hang,
    Panic,
    Tell,
}

impl Action for Puppet {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec =
        Spec::new("puppet", "Puppet").description("Obeys.").accepts(&[Query, CellAction]);

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        self.began.notify_one();
        self.running.fetch_add(1, Ordering::SeqCst);
        let receipt = Receipt::new("the stage");
        match form.how {
            How::Ignore => {}
            How::Panic => panic!("as told"),
            How::Tell => {
                return Err(Error::vendor(format!("Key {} is bad.", cx.settings.api_key.expose())));
            }
            How::Wait => self.go.notified().await,
            How::Hang => {
                cx.stop().stopped().await;
                self.aborted.store(true, Ordering::SeqCst);
                return Err(Error::vendor("stopped"));
            }
            How::Read => {
                let mut chunks = data.open().await?;
                let mut whole = Vec::new();
                while let Some(chunk) = chunks.next().await {
                    match chunk {
                        Ok(chunk) => whole.extend_from_slice(&chunk),
                        Err(error) => {
                            self.aborted.store(true, Ordering::SeqCst);
                            return Err(error);
                        }
                    }
                }
                let said = String::from_utf8_lossy(&whole).into_owned();
                return Ok(receipt.says(form.note.map_or(said.clone(), |note| note + &said)));
            }
        }
        Ok(receipt)
    }
}

struct Stage {
    hub: Hub,
    began: Arc<Notify>,
    go: Arc<Notify>,
    aborted: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
}

fn stage(limits: Limits) -> Stage {
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (aborted, running) = (Arc::default(), Arc::default());
    let puppet = Puppet {
        began: Arc::clone(&began),
        go: Arc::clone(&go),
        aborted: Arc::clone(&aborted),
        running: Arc::clone(&running),
    };
    let builder = Hub::builder().action(puppet).limits(limits).label("<Stage>");
    let hub = builder.secrets([SECRET.into()]).webhook_tokens(["hook".into()]).build().unwrap();
    Stage { hub, began, go, aborted, running }
}

fn quick() -> Limits {
    Limits { keep_alive: Duration::from_secs(30), ..Limits::default() }
}

fn post(path: &str) -> http::request::Builder {
    let token = Token::issue(&SECRET.into(), []).unwrap();
    Request::post(path)
        .header("authorization", format!("Token token=\"{token}\""))
        .header("x-looker-webhook-id", "0f0f")
}

/// A request whose data comes last, so that it flows.
fn order(how: &str, data: Value) -> String {
    format!(
        r#"{{"type":"query","scheduled_plan":{{"title":"T"}},"data":{{"api_key":"key-123456"}},"form_params":{{"how":"{how}"}},"attachment":{{"mimetype":"text/csv","extension":"csv","data":{data}}}}}"#
    )
}

async fn send<B>(hub: &Hub, request: Request<B>) -> (StatusCode, Value)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let response = hub.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn execute(hub: &Hub, body: impl Into<Bytes>) -> (StatusCode, Value) {
    send(hub, post("/actions/puppet/execute").body(Full::new(body.into())).unwrap()).await
}

/// A body that the test feeds by hand; dropping the sender breaks it off.
fn by_hand() -> (mpsc::UnboundedSender<Bytes>, impl Body<Data = Bytes, Error = std::io::Error>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let chunks = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))
        .map(|chunk| Ok(Frame::data(chunk)));
    let broken = futures_util::stream::once(async { Err(std::io::Error::other("broke off")) });
    (sender, StreamBody::new(chunks.chain(broken)))
}
