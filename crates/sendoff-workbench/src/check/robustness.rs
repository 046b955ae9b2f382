//! What comes from broken clients and from strangers: the hub refuses it and lives on.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Method};

use super::Check;
use super::Strength::D;
use super::judge::{Stop, Verdict, ensure, inapplicable, none_of, stack_trace, wrong};
use super::probe::{Probe, body_text};
use super::refusals::{believed, told};
use super::subject::With;
use super::wire::{Ended, Heard};
use crate::request::RequestBody;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "robustness/json/broken",
        title: "Broken JSON is refused",
        rule: "An execute call whose body is no JSON is no success and no 5xx.",
        looker: "A proxy that cuts a body short makes such calls; a success for them is a lie.",
        section: "5.1",
        strength: D,
        wrong: "HTTP/1.1 200 OK",
        right: "HTTP/1.1 400 Bad Request",
        ask: |p| {
            Box::pin(async move {
                refuses(p, &[b"{\"type\":\"query\",", b"{\"type\":\"query\"}}", b"not JSON"]).await
            })
        },
    },
    Check {
        id: "robustness/json/not-an-object",
        title: "JSON that is no object is refused",
        rule: "An execute call whose body is null, a number, a text or an array is no success and \
               no 5xx.",
        looker: "Looker sends objects only; other callers must not pass for it.",
        section: "5.1",
        strength: D,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: "HTTP/1.1 400 Bad Request",
        ask: |p| {
            Box::pin(
                async move { refuses(p, &[b"null", b"7", b"\"query\"", b"[]", b"[{}]"]).await },
            )
        },
    },
    Check {
        id: "robustness/json/wrong-types",
        title: "Members of a wrong type are refused",
        rule: "An execute call with a number for `data` or a text for `attachment` is no success \
               and no 5xx.",
        looker: "A hub that trusts the shape fails with an error that nobody understands.",
        section: "5.1",
        strength: D,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: r#"{"looker": {"success": false, "message": "…"}}"#,
        ask: |p| {
            Box::pin(async move {
                refuses(
                    p,
                    &[
                        br#"{"type":"query","data":5,"attachment":"x","form_params":[]}"#,
                        br#"{"type":{},"scheduled_plan":7,"attachment":null,"data":null}"#,
                    ],
                )
                .await
            })
        },
    },
    Check {
        id: "robustness/json/empty",
        title: "An empty body is refused",
        rule: "An execute call without a body is no success and no 5xx.",
        looker: "A success for nothing is none.",
        section: "5.1",
        strength: D,
        wrong: "HTTP/1.1 200 OK",
        right: "HTTP/1.1 400 Bad Request",
        ask: |p| Box::pin(async move { refuses(p, &[b""]).await }),
    },
    Check {
        id: "robustness/json/deep",
        title: "Deep nesting is survived",
        rule: "After a body of 100,000 nested arrays the hub still answers.",
        looker: "A parser without a bound ends the process: the hub is gone for everyone.",
        section: "5.1",
        strength: D,
        wrong: "the connection closes without an answer; the process has ended",
        right: "HTTP/1.1 400 Bad Request",
        ask: |p| {
            Box::pin(async move {
                let (_, url) = p.safe_action()?;
                let body = format!("{{\"type\":\"query\",\"data\":{}", "[".repeat(100_000));
                let _ =
                    p.post(url, RequestBody::text(body, "{\"type\":\"query\",\"data\":[[[…")).await;
                p.alive("deeply nested JSON").await
            })
        },
    },
    Check {
        id: "robustness/json/not-utf8",
        title: "Bytes that are no UTF-8 are refused",
        rule: "An execute call with invalid UTF-8 is no success and no 5xx.",
        looker: "Looker writes UTF-8; what is none came from elsewhere or was damaged.",
        section: "5.1",
        strength: D,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: "HTTP/1.1 400 Bad Request",
        ask: |p| {
            Box::pin(async move {
                refuses(p, &[b"{\"type\":\"qu\xff\xfery\",\"data\":{\"\xc3\x28\":\"x\"}}"]).await
            })
        },
    },
    Check {
        id: "robustness/json/no-stack",
        title: "Bad input is told no stack trace",
        rule: "The answer to broken JSON holds no stack trace.",
        looker: "It tells strangers how the hub is built.",
        section: "5.8",
        strength: D,
        wrong: "SyntaxError: Unexpected token\n    at JSON.parse (/app/node_modules/…)",
        right: r#"{"error": "The request is not JSON: byte 12."}"#,
        ask: |p| {
            Box::pin(async move {
                let (_, url) = p.safe_action()?;
                let body = RequestBody::text("{\"type\":", "{\"type\":");
                let Ok(heard) = p.post(url, body).await else {
                    return inapplicable("there is no answer (robustness/json/broken)");
                };
                let trace = stack_trace(&body_text(&heard));
                ensure(trace.is_none(), || format!("it holds {:?}", trace.unwrap_or_default()))
            })
        },
    },
    Check {
        id: "robustness/client/hang-up",
        title: "A client that hangs up is survived",
        rule: "After connections that end within a body the hub still answers.",
        looker: "Every time-out of Looker's is such a hang-up.",
        section: "10",
        strength: D,
        wrong: "the process has ended with an unhandled error",
        right: "the next list call is answered",
        ask: |p| {
            Box::pin(async move {
                let (_, url) = p.safe_action()?;
                for _ in 0..3 {
                    let pause = p.pause();
                    let start = &b"{\"type\":\"query\",\"attachment\":{\"data\":\""[..];
                    // The start has to be on its way before the end.
                    let end = stream::once(async move {
                        tokio::time::sleep(pause).await;
                        Err(std::io::Error::other("hung up on purpose"))
                    });
                    let pieces = stream::iter([Ok(Bytes::from_static(start))]).chain(end);
                    let body = RequestBody::stream(crate::Source::stream(pieces));
                    let _ = p.post(url, body).await;
                }
                // The hub has to notice first.
                for _ in 0..4 {
                    tokio::time::sleep(p.pause()).await;
                    p.alive("clients that hung up").await?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "robustness/client/stall",
        title: "A client that stalls does not stop others",
        rule: "While requests are half sent the hub answers others.",
        looker: "One slow Looker stops the deliveries of all.",
        section: "10",
        strength: D,
        wrong: "no answer until the slow request has ended",
        right: "HTTP/1.1 200 OK",
        ask: |p| {
            Box::pin(async move {
                let (_, url) = p.safe_action()?;
                let mut calls = Vec::new();
                for _ in 0..8 {
                    let start = &b"{\"type\":\"query\",\"attachment\":{\"data\":\""[..];
                    let body =
                        stream::iter([Ok(Bytes::from_static(start))]).chain(stream::pending());
                    let body = RequestBody::stream(crate::Source::stream(body));
                    let mut ask = p.hub.ask(url, With::Token, body);
                    // They outlast the list call.
                    ask.wait *= 2;
                    calls.push(p.hub.send(ask));
                }
                let mut stalled = stream::iter(calls).buffer_unordered(8);
                // The stalled ones are sent meanwhile, and dropped with their connections.
                let mut listed = std::pin::pin!(async {
                    tokio::time::sleep(p.pause()).await;
                    p.alive("8 requests half sent").await
                });
                loop {
                    tokio::select! {
                        biased;
                        verdict = &mut listed => return verdict,
                        Some(_) = stalled.next() => {}
                    }
                }
            })
        },
    },
    Check {
        id: "robustness/client/crowd",
        title: "32 calls at once are answered",
        rule: "32 list calls at the same time are all answered with the list.",
        looker: "Schedules begin on the hour, all at once.",
        section: "10",
        strength: D,
        wrong: "HTTP/1.1 503 Service Unavailable",
        right: "HTTP/1.1 200 OK",
        ask: |p| {
            Box::pin(async move {
                p.listing()?;
                let mut calls = Vec::new();
                for _ in 0..32 {
                    calls.push(p.hub.send(p.hub.list_ask(With::Token)));
                }
                let mut calls = stream::iter(calls).buffer_unordered(32);
                let mut problems = Vec::new();
                while let Some(shown) = calls.next().await {
                    match &shown.heard {
                        Ok(heard) if heard.status == 200 => {}
                        Ok(heard) => {
                            let _ = p.see(&shown);
                            problems.push(format!("status {}", heard.status));
                        }
                        Err(deaf) => {
                            let _ = p.see(&shown);
                            problems.push(deaf.why().to_owned());
                        }
                    }
                }
                none_of(problems)
            })
        },
    },
    Check {
        id: "robustness/client/large-header",
        title: "Large headers are survived",
        rule: "After a request with 256 KB of headers the hub still answers.",
        looker: "The hub is gone for everyone.",
        section: "2",
        strength: D,
        wrong: "the connection closes without an answer; the process has ended",
        right: "HTTP/1.1 431 Request Header Fields Too Large",
        ask: |p| {
            Box::pin(async move {
                let mut ask = p.hub.list_ask(With::Token);
                let large = "x".repeat(4_096);
                for n in 0..64 {
                    let name = HeaderName::from_bytes(format!("x-check-{n}").as_bytes());
                    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&large)) {
                        ask.headers.insert(name, value);
                    }
                }
                let _ = p.hub.send(ask).await;
                p.alive("256 KB of headers").await
            })
        },
    },
    Check {
        id: "robustness/method/get-does-nothing",
        title: "GET does not execute",
        rule: "GET of an execute URL is answered with 4xx.",
        looker: "Looker POSTs; link checkers and browsers GET.",
        section: "2",
        strength: D,
        wrong: "HTTP/1.1 200 OK",
        right: "HTTP/1.1 405 Method Not Allowed",
        ask: |p| {
            Box::pin(async move {
                let (_, url) = p.safe_action()?;
                let mut ask = p.hub.ask(url, With::Token, RequestBody::empty());
                ask.method = Method::GET;
                match p.send(ask).await {
                    Ok(heard) => ensure((400..500).contains(&heard.status), || {
                        format!("status {}", heard.status)
                    }),
                    Err(deaf) => inapplicable(deaf.why()),
                }
            })
        },
    },
    Check {
        id: "robustness/connection/reused",
        title: "A connection serves more than one call",
        rule: "After a list call the same connection takes another, or is closed in order.",
        looker: "Proxies keep connections; an answer that belongs to another call goes to the wrong \
                 place.",
        section: "2",
        strength: D,
        wrong: "the second call on the connection is never answered",
        right: "HTTP/1.1 200 OK, twice",
        ask: |p| {
            Box::pin(async move {
                p.listing()?;
                let url = &p.hub.options.url;
                let Ok(mut line) = p.hub.line(url, p.patience()).await else {
                    return inapplicable("there is no connection");
                };
                for turn in 1..=2 {
                    let shown = p.hub.send_on(&mut line, p.hub.list_ask(With::Token)).await;
                    match p.see(&shown) {
                        Ok(heard) if closes(heard) => return Ok(()),
                        Ok(heard) => ensure(heard.status == 200, || {
                            format!("status {} to call {turn}", heard.status)
                        })?,
                        Err(deaf) if turn == 2 => return wrong(deaf.why()),
                        Err(deaf) => return inapplicable(deaf.why()),
                    }
                }
                Ok(())
            })
        },
    },
    Check {
        id: "robustness/size/large-refused",
        title: "A large form call is survived",
        rule: "After a form call whose body is as large as the run allows the hub still answers.",
        looker: "The hub is gone for everyone.",
        section: "10",
        strength: D,
        wrong: "the process has ended for lack of memory",
        right: "HTTP/1.1 413 Content Too Large",
        ask: |p| {
            Box::pin(async move {
                let form = p.actions()?.into_iter().find_map(|action| action.form_url());
                let Some(url) = form else { return inapplicable("no action has a form") };
                let _ = p.post(url, large(p.hub.options.largest_body)).await;
                p.alive("a large form call").await
            })
        },
    },
    Check {
        id: "robustness/params/not-repeated",
        title: "Secrets are not told in answers",
        rule: "The answer to a call that fails does not repeat a sensitive param.",
        looker: "Messages stand in the schedule history, which many can read.",
        section: "5.8",
        strength: D,
        wrong: r#"{"looker": {"success": false, "message": "Key k-9f1c… is not valid"}}"#,
        right: r#"{"looker": {"success": false, "message": "The API key is not valid"}}"#,
        ask: |p| {
            Box::pin(async move {
                // A hub that does not look at the type takes this secret to its vendor, so that the
                // call is made only where deliveries are allowed.
                let secret = "conformance-check-secret-5d41402abc4b2a76";
                let (action, url) = p.executed()?;
                let mut body = p.refused_body(action);
                body["type"] = "conformance_check".into();
                for param in action.params() {
                    if let Some(name) = super::judge::text(param, "name") {
                        body["data"][name] = secret.into();
                    }
                }
                match p.post(url, p.hub.json(&body)).await {
                    Ok(heard) => ensure(!body_text(&heard).contains(secret), || told(&heard)),
                    Err(deaf) => inapplicable(deaf.why()),
                }
            })
        },
    },
];

pub(super) fn closes(heard: &Heard) -> bool {
    let connection = heard.headers.get(http::header::CONNECTION);
    connection.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// A body of so many bytes, almost all of them in the attachment.
pub(super) fn large(bytes: usize) -> RequestBody {
    const CHUNK: usize = 64 * 1024;
    let start: &[u8] =
        b"{\"attachment\":{\"mimetype\":\"text/csv\",\"extension\":\"csv\",\"data\":\"";
    let middle = std::iter::repeat_n(Bytes::from(vec![b'x'; CHUNK]), bytes / CHUNK);
    let end: &[u8] =
        b"\"},\"type\":\"query\",\"scheduled_plan\":null,\"data\":{},\"form_params\":{}}";
    let all = std::iter::once(Bytes::from_static(start))
        .chain(middle)
        .chain(std::iter::once(Bytes::from_static(end)));
    RequestBody::stream(crate::Source::stream(stream::iter(all.map(Ok))))
}

/// Each body is refused: no success, no 5xx, an answer.
async fn refuses(p: &Probe<'_>, bodies: &[&'static [u8]]) -> Verdict {
    let (_, url) = p.safe_action()?;
    for &body in bodies {
        let shown = String::from_utf8_lossy(body).into_owned();
        match p.post(url, RequestBody::text(body, shown.clone())).await {
            Ok(heard) if heard.ended != Ended::Whole => {
                return wrong(format!("the answer to {shown} does not end"));
            }
            Ok(heard) => ensure(heard.status < 500 && !believed(&heard), || {
                format!("the answer to {shown} is {}", told(&heard))
            })?,
            Err(deaf) => return Err(Stop::Wrong(format!("to {shown}: {}", deaf.why()))),
        }
    }
    Ok(())
}
