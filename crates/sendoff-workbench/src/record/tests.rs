//! The recorder between a Looker and a hub, both on real sockets.
#![allow(clippy::disallowed_methods, reason = "small files and bodies, in a test")]

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as Asked;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::*;
use crate::{Call, Delivery, Fault, Looker, Source};
use sendoff_protocol::Format;

/// A hub that answers as a function says, given its own address.
async fn hub<F, A>(answer: F) -> (String, JoinSet<()>)
where
    F: Fn(String, String, Bytes) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = axum::response::Response> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let own = base.clone();
    let router = Router::new().fallback(move |request: Asked| {
        let (answer, own) = (answer.clone(), own.clone());
        async move {
            let path = request.uri().path().to_owned();
            let body = axum::body::to_bytes(request.into_body(), 1 << 30).await.unwrap_or_default();
            answer(own, path, body).await
        }
    });
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, server)
}

use bytes::Bytes;

fn list(base: &str, execute_at: &str) -> Value {
    json!({"label": "Hub", "integrations": [{
        "name": "a", "label": "A", "url": format!("{execute_at}/actions/a/execute"),
        "form_url": format!("{base}/actions/a/form"), "supported_action_types": ["query"],
        "params": [{"name": "key", "label": "Key"},
                   {"name": "region", "label": "Region", "sensitive": false}],
    }]})
}

async fn recorder(
    hub: &str,
    out: &Path,
    change: impl FnOnce(&mut RecorderSettings),
) -> (Recorder, String, JoinSet<()>) {
    let mut settings = RecorderSettings::new(hub, out.to_owned());
    change(&mut settings);
    let recorder = Recorder::open(settings).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    let serving = recorder.clone();
    server.spawn(async move { serving.serve(listener).await });
    (recorder, url, server)
}

async fn read(out: &Path) -> Vec<Recorded> {
    Reader::open(out).await.unwrap().all(1_000).await.unwrap()
}

fn answer(path: &str, base: &str, execute_at: &str) -> axum::response::Response {
    let value = match path {
        "/" => list(base, execute_at),
        "/actions/a/form" => json!([{"name": "path"}]),
        _ => json!({"looker": {"success": true, "message": "It has s-1-secret."}}),
    };
    axum::Json(value).into_response()
}

#[tokio::test]
async fn list_form_and_execute_pass_through_and_are_written_without_secrets() {
    let (base, _hub) = hub(|base, path, _| async move { answer(&path, &base, &base) }).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.jsonl");
    let (recorder, url, _server) = recorder(&format!("{base}/"), &out, |_| ()).await;
    let looker = Looker::new(&url).unwrap().token("nonce/hmac-secret");
    let listing = looker.list().await.answer.unwrap();
    let action = listing.integrations[0].clone();
    assert!(action.url.starts_with(&url) && action.form_url.as_ref().unwrap().starts_with(&url));
    let delivery = || Delivery::query("T").param("key", "s-1-secret").param("region", "eu");
    assert!(looker.form(&action, delivery()).await.answer.is_ok());
    let sent = delivery().answer("path", "in/").push(Format::Csv, "a\n1\n".into());
    let outcome = looker.execute(&action, sent).await.answer.unwrap();
    assert!(outcome.message.unwrap().contains("s-1-secret"), "what passes is not changed");
    recorder.stop().await;

    let recorded = read(&out).await;
    let calls: Vec<_> = recorded.iter().map(|r| (r.id, r.call, r.action.as_deref())).collect();
    assert_eq!(
        calls,
        [(1, Call::List, None), (2, Call::Form, Some("a")), (3, Call::Execute, Some("a"))]
    );
    assert_eq!(recorded[2].request.url, format!("{base}/actions/a/execute"));
    let body: Value =
        serde_json::from_str(recorded[2].request.body.text.as_ref().unwrap()).unwrap();
    assert_eq!(body["data"], json!({"key": "••••", "region": "eu"}));
    assert_eq!(body["attachment"]["data"], "a\n1\n");
    let text = tokio::fs::read_to_string(&out).await.unwrap();
    assert!(!text.contains("s-1-secret") && !text.contains("hmac-secret"), "{text}");
    // The list is written as the hub gave it.
    assert!(recorded[0].response.as_ref().unwrap().body.text.as_ref().unwrap().contains(&base));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn urls_on_other_hosts_pass_too_and_unknown_hosts_do_not() {
    let (other, _other) = hub(|base, path, _| async move { answer(&path, &base, &base) }).await;
    let elsewhere = other.clone();
    let (base, _hub) = hub(move |base, path, _| {
        let other = elsewhere.clone();
        async move { answer(&path, &base, &other) }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.jsonl");
    let list_url = format!("{base}/");
    let (first, url, server) = recorder(&list_url, &out, |_| ()).await;
    let looker = Looker::new(&url).unwrap();
    let action = looker.list().await.answer.unwrap().integrations[0].clone();
    assert!(action.url.contains("/@http/127.0.0.1:"), "{}", action.url);
    assert!(looker.execute(&action, Delivery::query("T")).await.answer.unwrap().success);
    let stray = url.clone() + "@http/192.0.2.1/x";
    let mut astray = action.clone();
    astray.url = stray;
    let refused = looker.execute(&astray, Delivery::query("T")).await;
    assert!(matches!(refused.answer, Err(Fault::Status(404, _))), "{refused:?}");
    first.stop().await;
    drop((first, server));
    // What the list named is known again from the recording.
    let (second, url, _server) = recorder(&list_url, &out, |_| ()).await;
    let mut again = action.clone();
    again.url = format!("{url}{}", action.url.splitn(4, '/').nth(3).unwrap());
    assert!(Looker::new(&url).unwrap().execute(&again, Delivery::query("T")).await.answer.is_ok());
    second.stop().await;
    let recorded = read(&out).await;
    assert_eq!(recorded.iter().map(|r| r.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(recorded[1].request.url, format!("{other}/actions/a/execute"));
}

#[tokio::test]
async fn a_hub_that_is_down_is_a_502_and_recorded_and_may_come_back() {
    let gone = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.jsonl");
    let (recorder, url, _server) = recorder(&format!("http://{gone}/"), &out, |_| ()).await;
    let looker = Looker::new(&url).unwrap();
    let refused = looker.list().await.answer.unwrap_err();
    assert!(
        matches!(&refused, Fault::Status(502, why) if why.contains("No connection")),
        "{refused}"
    );
    let listener = TcpListener::bind(gone).await.unwrap();
    let mut back = JoinSet::new();
    let router = Router::new().fallback(move || async move {
        answer("/", &format!("http://{gone}"), &format!("http://{gone}"))
    });
    back.spawn(async move { axum::serve(listener, router).await.unwrap() });
    assert!(looker.list().await.answer.is_ok());
    recorder.stop().await;
    let recorded = read(&out).await;
    assert_eq!((recorded[0].response.as_ref(), recorded.len()), (None, 2));
    assert!(recorded[0].failure.as_ref().unwrap().contains("No connection"));
}

#[tokio::test]
async fn newlines_pass_one_by_one_and_their_times_are_kept() {
    // The hub sends its next piece when Looker's side has seen the one before.
    let (next, more) = tokio::sync::mpsc::channel::<&str>(1);
    let more = Arc::new(tokio::sync::Mutex::new(more));
    let (base, _hub) = hub(move |base, path, _| {
        let more = Arc::clone(&more);
        async move {
            if !path.ends_with("/execute") {
                return answer(&path, &base, &base);
            }
            let pieces = futures_util::stream::unfold(more, |more| async {
                let piece = more.lock().await.recv().await?;
                Some((Ok::<_, io::Error>(Bytes::from_static(piece.as_bytes())), more))
            });
            Body::from_stream(pieces).into_response()
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.jsonl");
    let (recorder, url, _server) = recorder(&format!("{base}/"), &out, |_| ()).await;
    let looker = Looker::new(&url).unwrap();
    let action = looker.list().await.answer.unwrap().integrations[0].clone();
    let trip = crate::looker::Trip::default();
    let mut progress = trip.meter.watch();
    let delivery = Delivery::query("T").push(Format::Csv, "a\n".into());
    let mut executing = std::pin::pin!(looker.execute_on(&action, delivery, trip));
    let mut drive = async |want: u64| {
        tokio::select! {
            _ = &mut executing => panic!("it ended early"),
            seen = progress.wait_for(|progress| progress.newlines == want) => drop(seen.unwrap()),
        }
    };
    next.send("\n").await.unwrap();
    drive(1).await;
    next.send("\n").await.unwrap();
    drive(2).await;
    next.send("{\"looker\":{}}").await.unwrap();
    drop(next);
    assert!(executing.await.answer.unwrap().success);
    recorder.stop().await;
    let recorded = read(&out).await.pop().unwrap();
    let sizes: Vec<_> = recorded.pieces.iter().map(|piece| piece.bytes).collect();
    assert_eq!(sizes, [1, 1, 13]);
}

#[tokio::test]
async fn what_is_long_passes_whole_and_is_kept_in_part() {
    let (base, _hub) = hub(|base, path, body| async move {
        match path.ends_with("/execute") {
            true => {
                axum::Json(json!({"looker": {"message": body.len().to_string()}})).into_response()
            }
            false => answer(&path, &base, &base),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.jsonl");
    let change = |settings: &mut RecorderSettings| settings.body_limit = 5_000;
    let (recorder, url, _server) = recorder(&format!("{base}/"), &out, change).await;
    let looker = Looker::new(&url).unwrap();
    let action = looker.list().await.answer.unwrap().integrations[0].clone();
    let source = Source::repeat(Bytes::from_static(&[b'x'; 50_000]), 400);
    let delivery = Delivery::query("T").param("key", "s-1-secret").push(Format::Csv, source);
    let message = looker.execute(&action, delivery).await.answer.unwrap().message.unwrap();
    let bytes: u64 = message.parse().unwrap();
    assert!(bytes > 20_000_000);
    recorder.stop().await;
    let recorded = read(&out).await.pop().unwrap();
    let body = &recorded.request.body;
    assert_eq!((body.bytes, body.cut, body.text.as_ref().unwrap().len()), (bytes, true, 5_000));
    assert!(recorded.replay(&Default::default(), None).is_err());
    assert!(tokio::fs::metadata(&out).await.unwrap().len() < 20_000);
}

/// Tells when it is dropped.
struct Guard(Arc<tokio::sync::Notify>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_looker_that_hangs_up_hangs_up_on_the_hub_and_is_recorded() {
    let gone = Arc::new(tokio::sync::Notify::new());
    let noted = Arc::clone(&gone);
    let (base, _hub) = hub(move |base, path, _| {
        let guard = Guard(Arc::clone(&noted));
        async move {
            if !path.ends_with("/execute") {
                std::mem::forget(guard);
                return answer(&path, &base, &base);
            }
            // One newline, then silence: the answer never ends by itself.
            let first = futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"\n"))]);
            let silent = futures_util::StreamExt::chain(first, futures_util::stream::pending());
            let held = futures_util::StreamExt::map(silent, move |piece| {
                let _held = &guard;
                piece
            });
            Body::from_stream(held).into_response()
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.jsonl");
    let (recorder, url, _server) = recorder(&format!("{base}/"), &out, |_| ()).await;
    let mut told = recorder.exchanges();
    let looker = Looker::new(&url).unwrap();
    let action = looker.list().await.answer.unwrap().integrations[0].clone();
    told.recv().await.unwrap();
    let trip = crate::looker::Trip {
        faults: "hangup@newline".parse().unwrap(),
        ..crate::looker::Trip::default()
    };
    let hung_up = looker.execute_on(&action, Delivery::query("T"), trip).await;
    assert!(matches!(hung_up.answer, Err(Fault::Stopped(_))), "{hung_up:?}");
    let recorded = told.recv().await.unwrap();
    assert_eq!(recorded.failure.as_deref(), Some("Looker hung up."));
    // The hub's connection ended too.
    gone.notified().await;
}

#[tokio::test]
async fn compressed_bodies_are_not_kept() {
    let (base, _hub) = hub(|base, path, _| async move {
        match path.ends_with("/form") {
            true => ([("content-encoding", "gzip")], "\u{1f}s-1").into_response(),
            false => answer(&path, &base, &base),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.jsonl");
    let (recorder, url, _server) = recorder(&format!("{base}/"), &out, |_| ()).await;
    let looker = Looker::new(&url).unwrap();
    let action = looker.list().await.answer.unwrap().integrations[0].clone();
    let _ = looker.form(&action, Delivery::query("T")).await;
    recorder.stop().await;
    let recorded = read(&out).await.pop().unwrap();
    let body = recorded.response.unwrap().body;
    assert_eq!((body.bytes, body.cut, body.text.as_deref()), (4, true, Some("")));
}

/// A name and its address: where a certificate is for a name, the test calls the address.
async fn https_get(port: u16, authority: &Path, path: &str) -> (u16, String) {
    use http_body_util::BodyExt;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let socket = connector.connect(name, socket).await.unwrap();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket));
    let (mut sender, connection) = handshake.await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::post(path).header("host", format!("localhost:{port}"));
    let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn pki(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pki").join(name)
}

/// Looker calls the recorder by HTTPS, and the recorder the hub.
#[tokio::test]
async fn both_sides_speak_https_with_certificates_of_ones_own() {
    let acceptor = acceptor(&pki("localhost.pem"), &pki("localhost.key.pem")).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let own = base.clone();
    let mut hub = JoinSet::new();
    hub.spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            // Whoever does not believe the certificate hangs up.
            let Ok(socket) = acceptor.accept(socket).await else { continue };
            let own = own.clone();
            let service = service_fn(move |_| {
                let list = list(&own, &own).to_string();
                async move { Ok::<_, Infallible>(Response::new(list)) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let authority = pki("authority.pem");
    let with = async |authorities: Option<PathBuf>, out: &str| {
        let out = folder.path().join(out);
        let tls = Some((pki("localhost.pem"), pki("localhost.key.pem")));
        let (recorder, url, server) = recorder(&format!("{base}/"), &out, |settings| {
            settings.tls = tls;
            settings.authorities = authorities;
        })
        .await;
        let port = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        let got = https_get(port, &authority, "/").await;
        recorder.stop().await;
        drop(server);
        (port, got, read(&out).await)
    };
    let (port, (status, body), recorded) = with(Some(authority.clone()), "known.jsonl").await;
    assert_eq!(status, 200, "{body}");
    // Its URLs lead through the recorder, by the scheme that Looker came with.
    assert!(body.contains(&format!("https://localhost:{port}/actions/a/execute")), "{body}");
    assert_eq!(recorded[0].request.url, format!("{base}/"));
    // Without its authority the hub is not believed, and Looker is told.
    let (_, (status, body), recorded) = with(None, "unknown.jsonl").await;
    assert_eq!(status, 502);
    assert!(body.contains("is of no authority that is known here"), "{body}");
    assert!(
        recorded[0].failure.as_deref().unwrap().contains("is of no authority that is known here")
    );
}

#[tokio::test]
async fn a_certificate_that_is_none_is_said_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |tls: (PathBuf, PathBuf), authorities: Option<PathBuf>| {
        let out = folder.path().join("r.jsonl");
        let mut settings = RecorderSettings::new("http://127.0.0.1:1/", out);
        settings.tls = Some(tls);
        settings.authorities = authorities;
        Recorder::open(settings).await.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let (chain, key) = (pki("localhost.pem"), pki("localhost.key.pem"));
    let refused = open((pki("nothing.pem"), key.clone()), None).await;
    assert!(refused.contains("nothing.pem cannot be read"), "{refused}");
    let refused = open((key.clone(), key.clone()), None).await;
    assert!(refused.contains("holds no certificate in PEM"), "{refused}");
    let refused = open((chain.clone(), chain.clone()), None).await;
    assert!(refused.contains("holds no key in PEM"), "{refused}");
    let refused = open((pki("authority.pem"), key.clone()), None).await;
    assert!(refused.contains("do not belong together"), "{refused}");
    let refused = open((chain, key.clone()), Some(key)).await;
    assert!(refused.contains("holds no certificate in PEM"), "{refused}");
}
