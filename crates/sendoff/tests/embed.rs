//! A hub inside somebody else's server: under a prefix in axum beside other routes, and from plain
//! hyper. The README shows both.

#![allow(clippy::disallowed_methods, reason = "a test waits for what it began")]

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sendoff::prelude::*;
use serde_json::Value;

struct Count;

impl Action for Count {
    type Settings = ();
    type Form = ();

    const SPEC: Spec = Spec::new("count", "Count").description("Counts bytes.");

    async fn execute(&self, _: &Context<()>, (): (), data: Payload) -> Result<Receipt> {
        let mut bytes = 0;
        let mut chunks = data.open().await?;
        while let Some(chunk) = chunks.next().await {
            bytes += chunk?.len() as u64;
        }
        Ok(Receipt::new("nowhere").bytes(bytes))
    }
}

const SECRET: &str = "a long random text";

fn hub() -> sendoff::Builder {
    Hub::builder().action(Count).secrets([SECRET.into()])
}

async fn listener() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

async fn ask(method: &str, url: &str, body: &str) -> (StatusCode, Vec<u8>) {
    let token = sendoff::Token::issue(&SECRET.into(), []).unwrap();
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Token token=\"{token}\""))
        .body(Full::new(bytes::Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.unwrap();
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn mounts_under_a_prefix_beside_other_routes_of_an_axum_server() {
    let (listener, address) = listener().await;
    let hub = hub().base_url(format!("{address}/looker")).build().unwrap();
    let app = axum::Router::new()
        .route("/mine", axum::routing::get(|| async { "mine" }))
        .nest_service("/looker", hub);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    assert_eq!(ask("GET", &format!("{address}/mine"), "").await.1, b"mine");
    let (status, list) = ask("POST", &format!("{address}/looker"), "").await;
    assert_eq!(status, StatusCode::OK);
    let execute = json(&list)["integrations"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(execute, format!("{address}/looker/actions/count/execute"));
    let body = r#"{"type":"query","scheduled_plan":null,"data":{},"form_params":{},
        "attachment":{"mimetype":"text/csv","extension":"csv","data":"a\n1\n"}}"#;
    let (status, answer) = ask("POST", &execute, body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(json(&answer)["looker"]["message"], "Delivered 4 bytes to nowhere.");
}

#[tokio::test]
async fn is_served_by_plain_hyper() {
    let (listener, address) = listener().await;
    let hub = hub().build().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(hub.clone());
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });

    let (status, list) = ask("POST", &address, "").await;
    assert_eq!(status, StatusCode::OK);
    // Without a base URL the address is the one that Looker called.
    assert_eq!(json(&list)["integrations"][0]["url"], format!("{address}/actions/count/execute"));
    let (status, page) = ask("GET", &address, "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(String::from_utf8(page).unwrap().contains("Counts bytes."));
    let (status, answer) = ask("POST", &format!("{address}/actions/nothing/execute"), "{}").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(json(&answer)["success"], false);
}
