//! What the hub is compared with: servers that do the least that could be called the same.

use std::convert::Infallible;

use anyhow::{Context, Result};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A server to compare with.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// axum: parses a small JSON body and answers one.
    Axum,
    /// hyper: reads a body and discards it.
    Discard,
    /// hyper: fetches one URL and posts it to another.
    Proxy,
}

/// Serves until the process is ended.
pub(crate) fn serve(kind: Kind) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        match kind {
            Kind::Axum => {
                let app = Router::new().fallback(post(small));
                Ok(axum::serve(listener, app).await?)
            }
            Kind::Discard | Kind::Proxy => accept(listener, kind).await,
        }
    })
}

#[derive(Deserialize, Serialize)]
struct Small {
    r#type: String,
    data: std::collections::BTreeMap<String, String>,
    form_params: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Answer {
    looker: Outcome,
}

#[derive(Serialize)]
struct Outcome {
    success: bool,
    message: String,
}

async fn small(Json(body): Json<Small>) -> Json<Answer> {
    Json(Answer { looker: Outcome { success: true, message: body.r#type } })
}

async fn accept(listener: TcpListener, kind: Kind) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        connections.spawn(async move {
            let service = service_fn(move |request| async move {
                let done = match kind {
                    Kind::Proxy => proxy(request).await,
                    _ => discard(request.into_body()).await,
                };
                let text = match done {
                    Ok(()) => "{\"looker\":{\"success\":true}}".to_owned(),
                    Err(error) => format!("{error:#}"),
                };
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
            });
            server::Builder::new().serve_connection(TokioIo::new(socket), service).await
        });
    }
}

async fn discard(mut body: Incoming) -> Result<()> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Ways {
    from: String,
    to: String,
}

async fn proxy(request: Request<Incoming>) -> Result<()> {
    let body = request.into_body().collect().await?.to_bytes();
    let ways: Ways = serde_json::from_slice(&body)?;
    let mut drivers = JoinSet::new();

    let from: Uri = ways.from.parse()?;
    let authority = from.authority().context("no host")?.as_str();
    let socket = TokioIo::new(TcpStream::connect(authority).await?);
    let (mut sender, connection) = client::handshake(socket).await?;
    drivers.spawn(connection);
    let get = Request::get(from.path()).header("host", authority).body(Empty::<Bytes>::new())?;
    let result = sender.send_request(get).await?.into_body();

    let to: Uri = ways.to.parse()?;
    let authority = to.authority().context("no host")?.as_str();
    let socket = TokioIo::new(TcpStream::connect(authority).await?);
    let (mut sender, connection) = client::handshake(socket).await?;
    drivers.spawn(connection);
    let post = Request::post(to.path()).header("host", authority).body(result)?;
    discard(sender.send_request(post).await?.into_body()).await
}
