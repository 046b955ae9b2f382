//! The client against a scripted hub on a real socket.

#![allow(clippy::disallowed_methods, reason = "small bodies on loopback")]

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sendoff_protocol::{Format, INSTANCE, Param, WEBHOOK_ID};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

mod wire;

use super::*;
use crate::{Paint, Source};

type Seen = Arc<Mutex<Vec<(http::request::Parts, Bytes)>>>;

/// A hub that answers every request with what `answer` makes of its path and body.
async fn hub<F, A>(answer: F) -> (SocketAddr, Seen, JoinSet<()>)
where
    F: Fn(String, Bytes) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = (u16, String)> + Send,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (answer, log) = (answer.clone(), Arc::clone(&log));
            connections.spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, log) = (answer.clone(), Arc::clone(&log));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let (status, text) = answer(parts.uri.path().into(), body.clone()).await;
                        log.lock().unwrap().push((parts, body));
                        let mut response = Response::new(Full::new(Bytes::from(text)));
                        *response.status_mut() = StatusCode::from_u16(status).unwrap();
                        let json = http::HeaderValue::from_static("application/json");
                        response.headers_mut().insert("content-type", json);
                        Ok::<_, Infallible>(response)
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (address, seen, server)
}

fn action(address: SocketAddr) -> Definition {
    let param = |name: &str, sensitive| Param { name: name.into(), sensitive, ..Param::default() };
    Definition {
        name: "a".into(),
        url: format!("http://{address}/actions/a/execute"),
        form_url: Some(format!("http://{address}/actions/a/form")),
        params: vec![param("key", true), param("region", false)],
        ..Definition::default()
    }
}

fn looker(address: SocketAddr) -> Looker {
    Looker::new(&format!("http://{address}/")).unwrap().token("nonce/hmac")
}

#[tokio::test]
async fn the_three_calls_are_made_as_looker_makes_them() {
    let (address, seen, _server) = hub(|path, _| async move {
        let text = match path.as_str() {
            "/" => {
                r#"{"label":"Hub","integrations":[{"name":"a","label":"A","url":"http://h/x"}]}"#
            }
            "/actions/a/form" => r#"[{"name":"path","type":"string"}]"#,
            _ => "\n\n{\"looker\":{\"success\":true,\"message\":\"Stored.\"}}",
        };
        (200, text.to_owned())
    })
    .await;
    let looker = looker(address);

    let listed = looker.list().await;
    assert_eq!(listed.answer.unwrap().integrations[0].name, "a");
    let form = looker.form(&action(address), Delivery::query("T").param("key", "k")).await;
    assert_eq!(form.answer.unwrap().fields()[0].name, "path");
    let sent = Delivery::query("T").answer("path", "in/").push(Format::Csv, "a\n1\n".into());
    let outcome = looker.execute(&action(address), sent).await.answer.unwrap();
    assert_eq!(outcome.message.as_deref(), Some("Stored."));

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for (parts, body) in seen.iter() {
        let header = |name: &str| parts.headers[name].to_str().unwrap();
        assert_eq!(parts.method, Method::POST);
        assert_eq!(header("authorization"), r#"Token token="nonce/hmac""#);
        assert_eq!(header("user-agent"), "LookerOutgoingWebhook/25.18.0");
        assert_eq!(header(WEBHOOK_ID).len(), 32);
        assert_eq!(header(INSTANCE).len(), 32);
        assert_eq!(parts.headers.contains_key("transfer-encoding"), !body.is_empty());
    }
    assert!(seen[0].1.is_empty());
    let executed: sendoff_protocol::Request = serde_json::from_slice(&seen[2].1).unwrap();
    assert_eq!(executed.attachment.unwrap().data.unwrap().as_str(), "a\n1\n");
}

#[tokio::test]
async fn no_secret_stands_in_a_record_even_if_the_hub_repeats_it() {
    let (address, _, _server) =
        hub(|_, body| async move { (500, String::from_utf8(body.to_vec()).unwrap()) }).await;
    let delivery = Delivery::query("T").param("key", "hush-hush").param("region", "eu-west");
    let answered = looker(address).execute(&action(address), delivery).await;
    let shown = answered.exchange.render(Paint::Plain);
    let logged = serde_json::to_string(&answered.exchange).unwrap();
    for text in [shown, logged, answered.answer.unwrap_err().to_string()] {
        assert!(!text.contains("hush-hush") && !text.contains("nonce/hmac"), "{text}");
        assert!(text.contains("eu-west"), "{text}");
    }
}

#[tokio::test]
async fn a_download_url_serves_its_result_once() {
    let (address, _, _server) = hub(|_, body| async move {
        let request: sendoff_protocol::Request = serde_json::from_slice(&body).unwrap();
        assert_eq!(request.form_params.unwrap().get("format"), Some("csv"));
        let url = request.scheduled_plan.unwrap().download_url.unwrap().0;
        assert_eq!(url.rsplit('/').next().unwrap().len(), 40);
        let first = get(&url).await;
        let second = get(&url).await;
        let text = format!("{first}|{second}");
        (200, serde_json::json!({"looker": {"message": text}}).to_string())
    })
    .await;
    let source = Source::repeat(Bytes::from_static(b"1,2\n"), 3);
    let delivery = Delivery::query("T").by_url(Format::Csv, source);
    let answered = looker(address).execute(&action(address), delivery).await;
    let message = answered.answer.unwrap().message.unwrap();
    assert_eq!(message, "200 1,2\n1,2\n1,2\n|404 ");
    let statuses: Vec<_> = answered.downloads.iter().map(|get| get.status).collect();
    assert_eq!(statuses, [Some(200), Some(404)]);
    assert_eq!(answered.downloads[0].response_body.total(), 12);
}

async fn get(url: &str) -> String {
    let (address, uri) = Address::of(url).unwrap();
    let socket = address.connect().await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::get(uri.path()).header("host", "looker").body(RequestBody::empty());
    let response = sender.send_request(request.unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    format!("{status} {}", String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn answers_are_taken_as_looker_takes_them() {
    for (status, text, success, remarks) in [
        (200, "", Ok(true), 1),
        (200, "\n{\"success\":false}", Ok(true), 2),
        (200, "{\"looker\":{\"success\":false}}", Ok(false), 1),
        (403, "no", Err(Fault::Status(403, "no".into())), 1),
    ] {
        let (address, _, _server) = hub(move |_, _| async move { (status, text.into()) }).await;
        let answered = looker(address).execute(&action(address), Delivery::cell("1", "1")).await;
        assert_eq!(answered.answer.map(|outcome| outcome.success), success, "{status} {text}");
        assert_eq!(answered.remarks.len(), remarks, "{status} {text}");
    }
    let (address, _, _server) = hub(|_, _| async { (200, "<html>".into()) }).await;
    let answered = looker(address).list().await;
    assert!(matches!(answered.answer, Err(Fault::Unreadable(_))));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_recorded_as_far_as_it_came() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
    });
    let answered = looker(address).list().await;
    assert!(matches!(&answered.answer, Err(Fault::Broken(why)) if why.contains("broke off")));
    assert_eq!(answered.exchange.status, Some(200));
    assert_eq!(answered.exchange.response_body.text(), "half");

    server.shutdown().await;
    let refused = looker(address).list().await;
    assert!(matches!(&refused.answer, Err(Fault::Broken(why)) if why.contains("No connection")));
    assert!(refused.exchange.failure.is_some());
}

#[tokio::test]
async fn a_hub_that_stays_silent_is_given_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answered = looker(address).patience(Duration::from_millis(20)).list().await;
    assert!(matches!(&answered.answer, Err(Fault::Silent(why)) if why.contains("No byte came")));
}

#[test]
fn only_http_and_https_urls_are_called() {
    assert!(Looker::new("https://hub.example/").is_ok());
    for url in ["/actions", "ftp://h/", "http://", "no url"] {
        assert!(matches!(Looker::new(url), Err(Fault::Url(_))), "{url}");
    }
}
