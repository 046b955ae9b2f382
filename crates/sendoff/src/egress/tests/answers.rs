//! What a request looks like to the vendor, and what becomes of his answer.

use serde_json::{Value, json};

use super::*;
use crate::Redactor;

/// A vendor that answers with the request itself.
async fn echo() -> Vendor {
    Vendor::new(|_, mut socket| async move {
        let seen = read_request(&mut socket).await;
        let body = [seen.head.as_bytes(), b"\r\n\r\n", &seen.body].concat();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).await.expect("said");
        socket.write_all(&body).await.expect("said");
    })
    .await
}

async fn text(call: Call) -> String {
    call.send().await.expect("an answer").text().await.expect("text")
}

#[tokio::test]
async fn the_origin_map_leaves_the_request_as_the_vendor_would_see_it() {
    let vendor = echo().await;
    let seen = text(vendor.http().get("https://vendor.test/a%20b/c;d?x=%2F&y=1#frag")).await;
    assert!(seen.starts_with("GET /a%20b/c;d?x=%2F&y=1 HTTP/1.1\r\n"), "{seen}");
    let seen = seen.to_ascii_lowercase();
    assert!(seen.contains("\nhost: vendor.test\r\n"), "{seen}");
    assert!(seen.contains("\naccept-encoding: identity\r\n"), "{seen}");
    assert!(seen.contains(concat!("\nuser-agent: sendoff/", env!("CARGO_PKG_VERSION"))), "{seen}");
    assert!(!seen.contains("content-length") && !seen.contains("transfer-encoding"), "{seen}");
}

#[tokio::test]
async fn bodies_and_headers_are_written_as_their_formats_say() {
    let vendor = echo().await;
    let http = vendor.http();
    let seen = text(http.post(URL).json(&json!({"a": 1})).bearer(&"tokentoken".into())).await;
    assert!(seen.contains("content-type: application/json\r\n"), "{seen}");
    assert!(seen.contains("authorization: Bearer tokentoken"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{\"a\":1}"), "{seen}");

    let call = http.post(URL).query([("q", "ü &"), ("r", "")]).form([("a b", "c&d=é")]);
    let seen = text(call.basic("user", &"pass:word".into())).await;
    assert!(seen.starts_with("POST /path?q=1&q=%C3%BC+%26&r= HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("authorization: Basic dXNlcjpwYXNzOndvcmQ="), "{seen}");
    assert!(seen.contains("content-type: application/x-www-form-urlencoded\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\na+b=c%26d%3D%C3%A9"), "{seen}");

    for empty in [Body::Empty, Body::Stream(chunks(vec![]).with_len(0))] {
        let seen = text(http.put(URL).body(empty)).await;
        assert!(seen.contains("content-length: 0\r\n"), "{seen}");
    }

    let body = chunks(vec![Ok("one".into()), Ok("two".into())]);
    let seen = text(http.put(URL).header("Content-Type", "text/csv").body(body)).await;
    assert!(seen.contains("transfer-encoding: chunked"), "{seen}");
    assert!(seen.ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "{seen}");
    let body = chunks(vec![Ok("one".into()), Ok("two".into())]).with_len(6);
    let seen = text(http.put(URL).body(body)).await;
    assert!(seen.contains("content-length: 6\r\n") && seen.ends_with("\r\n\r\nonetwo"), "{seen}");
}

#[tokio::test]
async fn a_header_that_would_split_is_refused_without_its_value() {
    let vendor = echo().await;
    for value in ["a\r\nX-Evil: 1", "a\nb", "a\0b"] {
        let call = vendor.http().get(URL).header("X-Key", value);
        let error = call.send().await.expect_err("refused");
        assert!(error.message().contains("\"X-Key\"") && !error.message().contains(value));
    }
    assert_eq!(vendor.connections(), 0);
}

#[tokio::test]
async fn refusals_are_classed_by_who_must_act() {
    for (status, oauth, class, retry) in [
        (400, false, Class::Vendor, Retry::No),
        (401, false, Class::Settings, Retry::No),
        (403, false, Class::Settings, Retry::No),
        (401, true, Class::Login, Retry::No),
        (403, true, Class::Login, Retry::No),
        (404, false, Class::Vendor, Retry::No),
        (409, true, Class::Vendor, Retry::No),
        (422, false, Class::Vendor, Retry::No),
        (429, false, Class::Vendor, Retry::Later),
        (500, false, Class::Vendor, Retry::Later),
        (501, false, Class::Vendor, Retry::Later),
        (302, false, Class::Settings, Retry::No),
    ] {
        let vendor = Vendor::new(move |_, mut socket| async move {
            read_request(&mut socket).await;
            let page = "<!doctype html><title>Sorry, no</title><p>more";
            let len = page.len();
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {len}\r\n\r\n{page}");
            say(&mut socket, &answer).await;
        })
        .await;
        let mut scope = Scope::new("Vendor");
        scope.oauth = oauth;
        let reply = vendor.http_with(|_| (), scope).post(URL).send().await.expect("an answer");
        let error = reply.success().await.expect_err("a refusal");
        assert_eq!((error.class(), error.retry()), (class, retry), "{status}");
        assert_eq!(error.http_status(), Some(status));
        assert_eq!(error.arrival(), Arrival::Nothing);
        assert!(status == 302 || error.message().contains(": Sorry, no."), "{error}");
        assert!(error.message().contains(&format!("Vendor answered {status}")), "{error}");
    }
}

#[tokio::test]
async fn secrets_in_a_vendors_words_are_taken_out() {
    let vendor = Vendor::new(|_, mut socket| async move {
        let seen = read_request(&mut socket).await;
        let said = format!("wrong: {} {}", seen.head.replace("\r\n", " "), "param-secret");
        let len = said.len();
        say(&mut socket, &format!("HTTP/1.1 400 x\r\nContent-Length: {len}\r\n\r\n{said}")).await;
    })
    .await;
    let mut scope = Scope::new("Vendor");
    scope.redact = Redactor::new(["param-secret"]);
    let http = vendor.http_with(|_| (), scope);
    let calls = [
        http.get(URL).bearer(&"bearer-token".into()),
        http.get(URL).basic("name", &"basic-password".into()),
        http.get(URL).secret_header("X-Key", &"header-key".into()),
    ];
    for call in calls {
        let error = call.send().await.expect("an answer").success().await.expect_err("refusal");
        let shown = format!("{error} {error:?} {}", error.log_line());
        assert!(shown.contains("[secret]"), "{shown}");
        let hidden = ["param-secret", "bearer-token", "basic-password", "bmFtZTpi", "header-key"];
        assert!(!hidden.iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}

#[tokio::test]
async fn a_secret_at_the_end_of_the_quoted_words_leaves_no_half() {
    let said = format!("{}secret-of-this-param", "x ".repeat(145));
    let answer = format!("HTTP/1.1 400 x\r\nContent-Length: {}\r\n\r\n{said}", said.len());
    let vendor = Vendor::new(move |_, mut socket| {
        let answer = answer.clone();
        async move {
            read_request(&mut socket).await;
            say(&mut socket, &answer).await;
        }
    })
    .await;
    let mut scope = Scope::new("Vendor");
    scope.redact = Redactor::new(["secret-of-this-param"]);
    let reply = vendor.http_with(|_| (), scope).get(URL).send().await.expect("an answer");
    let error = reply.success().await.expect_err("a refusal");
    assert!(!error.message().contains("secret-of"), "{error}");
}

#[tokio::test]
async fn answers_are_bounded() {
    let vendor = Vendor::new(|nth, mut socket| async move {
        read_request(&mut socket).await;
        let megabyte = "x".repeat(1 << 20);
        match nth {
            0 => say(&mut socket, "HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n").await,
            1 => {
                say_part(&mut socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await;
                for _ in 0..9 {
                    say_part(&mut socket, &format!("100000\r\n{megabyte}\r\n")).await;
                }
            }
            2 => {
                say_part(&mut socket, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n").await;
                say(&mut socket, &megabyte.repeat(8)).await;
            }
            _ => {
                let long = &megabyte[..100_000];
                say(&mut socket, &format!("HTTP/1.1 200 OK\r\nX-Long: {long}\r\n\r\n")).await;
            }
        }
    })
    .await;
    let http = vendor.http();
    for _ in 0..2 {
        let error = http.get(URL).send().await.expect("a head").text().await.expect_err("too long");
        assert!(error.message().contains("more than 8 MiB"), "{error}");
    }
    assert_eq!(text(http.get(URL)).await.len(), 8 << 20);
    let error = http.get(URL).send().await.expect_err("headers too long");
    assert!(error.message().contains("64 KiB"), "{error}");
    assert_eq!(vendor.connections(), 4, "what is too long is not asked for again");
}

async fn say_part(socket: &mut TcpStream, text: &str) {
    // The reader may have had enough.
    let _ = socket.write_all(text.as_bytes()).await;
}

#[tokio::test]
async fn json_that_is_none_is_quoted_and_compressed_answers_are_refused() {
    let vendor = Vendor::answering(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":[1]}",
        "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n<html><title>Log in</title>secret</html>",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x0b",
    ])
    .await;
    let http = vendor.http();
    let next = || async { http.get(URL).send().await.expect("a head").json::<Value>().await };
    assert_eq!(next().await.expect("JSON"), json!({"a": [1]}));
    let error = next().await.expect_err("HTML");
    assert!(error.message().ends_with("other than the JSON expected: Log in"), "{error}");
    assert!(next().await.expect_err("nothing").message().contains("answered nothing"));
    assert!(next().await.expect_err("gzip").message().contains("compressed"));
}

#[tokio::test]
async fn signed_requests_go_out_as_they_are_or_not_at_all() {
    let vendor = echo().await;
    let http = vendor.http();
    let request = |uri: &str| {
        let request = http::Request::put(uri).header("authorization", "AWS4 sig");
        request.body(Body::from("data")).expect("a request")
    };
    let exact = "https://vendor.test/bucket/k%C3%A9y%2Fx%2B'()!*~$?partNumber=1&uploadId=a%3D";
    let answer = http.exchange(request(exact)).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let mut seen = Vec::new();
    while let Some(piece) = body.next().await {
        seen.extend_from_slice(&piece.expect("bytes"));
    }
    let seen = String::from_utf8(seen).expect("text");
    let path = exact.strip_prefix("https://vendor.test").expect("this host");
    assert!(seen.starts_with(&format!("PUT {path} HTTP/1.1\r\n")), "{seen}");
    assert!(seen.contains("authorization: AWS4 sig\r\n") && seen.ends_with("data"), "{seen}");
    for altered in [
        "https://vendor.test/bucket/../other",
        "https://vendor.test/bucket/%2e%2e/other",
        "https://vendor.test/bucket/./x",
        "https://0x7f.1/",
    ] {
        let error = http.exchange(request(altered)).await.expect_err(altered);
        assert_eq!(error.class(), Class::Settings);
    }
    assert_eq!(vendor.connections(), 1);
}

#[tokio::test]
async fn downloads_are_whole_or_lookers_fault() {
    let vendor = Vendor::answering(&[
        OK,
        "HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nexpired",
        "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 206 x\r\nContent-Length: 4\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x0b",
        "HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
    ])
    .await;
    let (egress, stop) = (vendor.egress(), Stop::new());
    let mut stream = egress.download(URL, PATIENT, &stop).await.expect("a download");
    assert_eq!(stream.len_hint(), Some(4));
    assert_eq!(stream.next().await.expect("a piece").expect("bytes"), "done");
    assert!(stream.next().await.is_none());
    let says = [
        "Looker's download answered 404 Not Found: expired.",
        "Looker's download answered 302 Found, a redirect to https://127.0.0.1/",
        "Looker's download answered 503",
        "Looker's download answered 206",
        "compressed",
        "Looker's download answered 401",
    ];
    for say in says {
        let error = egress.download(URL, PATIENT, &stop).await.expect_err(say);
        assert_eq!(error.class(), Class::Looker);
        assert!(error.message().contains(say), "{error}");
    }
    for _ in 0..2 {
        let mut stream = egress.download(URL, PATIENT, &stop).await.expect("a download");
        assert_eq!(stream.next().await.expect("a piece").expect("bytes"), "short");
        let error = stream.next().await.expect("an end").expect_err("cut");
        assert_eq!((error.class(), error.arrival()), (Class::Looker, Arrival::Nothing));
        assert!(stream.next().await.is_none());
    }
    assert_eq!(vendor.connections(), 9, "each was asked for once");
}

#[tokio::test]
async fn idempotency_keys_tell_deliveries_apart_and_repeats_not() {
    let vendor = echo().await;
    let key = |id: Option<&str>, action: &'static str, part| {
        let mut scope = Scope::new("Vendor");
        (scope.webhook_id, scope.action) = (id.map(str::to_owned), action.into());
        vendor.http_with(|_| (), scope).idempotency_key(part)
    };
    let first = key(Some("id"), "zapier", "1");
    assert_eq!(first, key(Some("id"), "zapier", "1"));
    assert_eq!(first.len(), 32);
    let others = [
        key(Some("id"), "zapier", "2"),
        key(Some("id2"), "zapier", "1"),
        key(Some("id"), "tray", "1"),
        key(Some("i"), "dzapier", "1"),
        key(None, "zapier", "1"),
        key(None, "zapier", "1"),
    ];
    let different: std::collections::HashSet<_> = others.iter().chain([&first]).collect();
    assert_eq!(different.len(), 7);
}

#[tokio::test]
async fn other_protocols_go_through_the_origin_map() {
    let vendor = echo().await;
    let port = vendor.port;
    let map = [format!("sftp://files.test=sftp://127.0.0.1:{port}")];
    let http = vendor.http_with(
        |config| config.origins = Origins::parse(map).expect("a map"),
        Scope::new("Vendor"),
    );
    let socket = http.connect("sftp", "files.test", 22).await.expect("a connection");
    assert_eq!(socket.peer_addr().expect("a peer").port(), port);
}
