//! The instance against a scripted hub on a real socket.
#![allow(clippy::disallowed_methods, reason = "small bodies on loopback")]

mod core;
mod logins;
mod restarts;
mod schedules;
mod sends;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::warehouse::DataLimits;

/// A hub that answers with what a function makes of path and body, and notes what it was asked.
struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<(String, Value, http::HeaderMap)>>>,
    _server: JoinSet<()>,
}

impl Scripted {
    async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(SocketAddr, String, Value) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = (u16, Value)> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let log = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let (answer, log) = (answer.clone(), Arc::clone(&log));
            async move {
                let (head, body): (Parts, _) = request.into_parts();
                let path = head.uri.path().to_owned();
                // A body that breaks off is noted as null.
                let body = axum::body::to_bytes(body, 1 << 26).await.unwrap_or_default();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                log.lock().unwrap().push((path.clone(), body.clone(), head.headers));
                let (status, value) = answer(address, path, body).await;
                let text = match value {
                    Value::String(text) => text,
                    value => value.to_string(),
                };
                let json = [("content-type", "application/json")];
                (StatusCode::from_u16(status).unwrap(), json, Bytes::from(text)).into_response()
            }
        });
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, _server: server }
    }

    /// A hub with one action whose definition is changed by `change`.
    async fn with<F, A>(change: Value, answer: F) -> Self
    where
        F: Fn(String, Value) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = (u16, Value)> + Send + 'static,
    {
        Self::start(move |address, path, body| {
            let (answer, change) = (answer.clone(), change.clone());
            async move {
                if path == "/" {
                    return (200, listing(address, &change));
                }
                answer(path, body).await
            }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What was asked at this path, the newest last.
    fn asked(&self, path: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(p, ..)| p.ends_with(path)).map(|(_, body, _)| body.clone()).collect()
    }
}

fn listing(address: SocketAddr, change: &Value) -> Value {
    let base = format!("http://{address}/actions/a");
    let mut action = json!({
        "name": "a", "label": "A", "url": format!("{base}/execute"),
        "form_url": format!("{base}/form"),
        "supported_action_types": ["query", "dashboard", "cell"],
        "supported_formats": ["csv", "csv_zip", "xlsx"],
        "supported_download_settings": ["push", "url"],
        "params": [{"name": "key", "label": "Key", "required": false, "sensitive": true}],
    });
    for (name, value) in change.as_object().into_iter().flatten() {
        action[name] = value.clone();
    }
    json!({"label": "Scripted", "integrations": [action]})
}

fn succeeded() -> (u16, Value) {
    (200, json!({"looker": {"success": true, "message": "Stored."}}))
}

/// An instance that is served, in memory or in a folder.
async fn served(folder: Option<&std::path::Path>) -> (Instance, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let data = Warehouse::in_memory(DataLimits::default()).await.unwrap();
    let mut settings = Settings::new(&base, data);
    settings.folder = folder.map(ToOwned::to_owned);
    let instance = Instance::open(settings).await.unwrap();
    let mut server = JoinSet::new();
    let serving = instance.clone();
    server.spawn(async move { serving.serve(listener).await.unwrap() });
    (instance, server)
}

/// The hub's action, enabled.
async fn enabled(instance: &Instance, hub: &Scripted) -> ActionId {
    let added = instance.add_hub(&hub.url(), Some("nonce/hmac")).await.unwrap();
    assert_eq!(added.fetch_error_message, None);
    let action = added.action("a");
    instance.configure(&action, Params::new()).await.unwrap();
    action
}
