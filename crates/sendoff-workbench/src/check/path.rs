//! What stands between Looker and the hub: proxies, gateways, TLS.

use std::time::Duration;

use http::header;

use super::Check;
use super::Strength::{A, B, D};
use super::deliveries::whole;
use super::judge::{ensure, inapplicable, wrong};
use super::robustness::large;
use super::samples::slowly;
use super::subject::With;
use super::wire::{Deaf, Ended};
use crate::dial::Address;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "path/token/arrives",
        title: "The token reaches the hub",
        rule: "The list call with the hub's token is not answered with 401 or 403.",
        looker: "Either the token is wrong, or something before the hub drops `Authorization` or \
                 uses it itself.",
        section: "2",
        strength: A,
        wrong: "HTTP/1.1 403 Forbidden",
        right: "HTTP/1.1 200 OK",
        ask: |p| {
            Box::pin(async move {
                if p.hub.options.token.is_none() {
                    return inapplicable("no token was given");
                }
                match p.see(&p.hub.list) {
                    Ok(heard) => ensure(![401, 403].contains(&heard.status), || {
                        format!("status {} with the token", heard.status)
                    }),
                    Err(deaf) => inapplicable(deaf.why()),
                }
            })
        },
    },
    Check {
        id: "path/tls/encrypted",
        title: "The hub is called by https://",
        rule: "A hub that is not on this machine is called by https://, with a certificate that \
               the public authorities vouch for.",
        looker: "Looker wants a valid certificate, and tokens travel with every call.",
        section: "3",
        strength: A,
        wrong: "http://hub.example/",
        right: "https://hub.example/",
        ask: |p| {
            Box::pin(async move {
                let url = &p.hub.options.url;
                if let Err(Deaf::Certificate(why)) = p.see(&p.hub.list) {
                    return wrong(why);
                }
                let (address, _) = match Address::of(url) {
                    Ok(address) => address,
                    Err(why) => return inapplicable(why),
                };
                let ip = address.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
                if address.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()) {
                    return inapplicable("the hub is on this machine");
                }
                ensure(url.starts_with("https:"), || format!("{url} is not encrypted"))
            })
        },
    },
    Check {
        id: "path/body/size",
        title: "Large bodies come through",
        rule: "Execute calls of 1 MB, 6 MB and as large as the run allows (8 MB unless set) reach \
               the hub.",
        looker: "A proxy's limit refuses the delivery without a reason that anyone could read: \
                 nginx stops at 1 MB, AWS Lambda at 6 MB, Cloud Run over HTTP/1 at 32 MB. The \
                 reference takes 250 MB.",
        section: "5.3",
        strength: B,
        wrong: "HTTP/1.1 413 Request Entity Too Large",
        right: r#"HTTP/1.1 200 OK {"looker": {"success": false, "message": "…"}}"#,
        ask: |p| {
            Box::pin(async move {
                let (_, url) = p.safe_action()?;
                let most = p.hub.options.largest_body;
                let sizes = [1 << 20, 6 << 20].into_iter().filter(|size| *size < most);
                for size in sizes.chain([most]) {
                    // A little over the round number, where limits are.
                    match p.post(url, large(size + 128 * 1024)).await {
                        Ok(heard) => ensure(heard.status != 413, || {
                            format!("status 413 at {:.1} MB", size as f64 / f64::from(1 << 20))
                        })?,
                        Err(deaf) => {
                            let mb = size as f64 / f64::from(1 << 20);
                            return wrong(format!("at {mb:.1} MB: {}", deaf.why()));
                        }
                    }
                }
                Ok(())
            })
        },
    },
    Check {
        id: "path/body/pauses",
        title: "A body may pause",
        rule: "A list call whose body pauses for half a second, and goes on, is answered.",
        looker: "Looker runs the query while it sends.",
        section: "2",
        strength: D,
        wrong: "HTTP/1.1 408 Request Timeout",
        right: "HTTP/1.1 200 OK",
        ask: |p| {
            Box::pin(async move {
                p.listing()?;
                let pieces = ["{", "\"a\":", "1", "}"].map(bytes::Bytes::from);
                let body = slowly(pieces.into(), p.pause());
                match p.send(p.hub.ask(&p.hub.options.url, With::Token, body)).await {
                    Ok(heard) => ensure(heard.status == 200, || format!("status {}", heard.status)),
                    Err(deaf) => wrong(deaf.why()),
                }
            })
        },
    },
    Check {
        id: "path/connection/idle",
        title: "An idle connection stays open",
        rule: "A connection that has served a call is open after the patience of this run, or was \
               closed in order.",
        looker: "Something before the hub cuts connections that are silent for so long; deliveries \
                 that take longer lose their answer unless newlines come oftener.",
        section: "10",
        strength: D,
        wrong: "reset after 2 s",
        right: "HTTP/1.1 200 OK after 5 s",
        ask: |p| {
            Box::pin(async move {
                p.listing()?;
                let url = &p.hub.options.url;
                let Ok(mut line) = p.hub.line(url, p.patience()).await else {
                    return inapplicable("there is no connection");
                };
                for turn in 1..=3 {
                    if turn == 3 {
                        tokio::time::sleep(p.patience()).await;
                    }
                    let shown = p.hub.send_on(&mut line, p.hub.list_ask(With::Token)).await;
                    match p.see(&shown) {
                        Ok(heard) if super::robustness::closes(heard) => {
                            return inapplicable("the hub closes each connection");
                        }
                        Ok(_) => {}
                        Err(_) if turn == 3 => {
                            return wrong(format!("closed within {:?}", p.patience()));
                        }
                        Err(_) => {
                            return inapplicable(
                                "no connection takes two calls (robustness/connection/reused)",
                            );
                        }
                    }
                }
                Ok(())
            })
        },
    },
    Check {
        id: "path/answer/not-compressed",
        title: "Answers are not compressed unasked",
        rule: "The list has no `content-encoding` when none was asked for.",
        looker: "Whether Looker reads compressed answers is not known.",
        section: "15",
        strength: D,
        wrong: "content-encoding: gzip",
        right: "content-type: application/json",
        ask: |p| {
            Box::pin(async move {
                let Ok(heard) = p.see(&p.hub.list) else {
                    return inapplicable("there is no list (list/answer/is-200)");
                };
                let encoding = heard.headers.get(header::CONTENT_ENCODING);
                ensure(encoding.is_none_or(|value| value == "identity"), || {
                    format!("it is {encoding:?}")
                })
            })
        },
    },
    Check {
        id: "path/answer/not-held-back",
        title: "Newlines come when they are written",
        rule: "The newlines before an answer do not all arrive together with it.",
        looker: "A proxy that collects answers makes the connection silent, so that Looker gives up \
                 on long deliveries. nginx does so unless `proxy_buffering` is off.",
        section: "5.8",
        strength: B,
        wrong: "200 · \"\\n\\n\\n{…}\" at 95 s",
        right: "200 · \"\\n\" at 30 s · \"\\n\" at 60 s · \"\\n{…}\" at 95 s",
        ask: |p| {
            Box::pin(async move {
                let heard = whole(p).await?;
                if heard.ended != Ended::Whole {
                    return inapplicable("the answer does not end");
                }
                let newlines = heard.body.iter().take_while(|byte| **byte == b'\n').count();
                if newlines < 2 {
                    return inapplicable("the answer came before there were two newlines");
                }
                let times: Vec<Duration> = heard.pieces.iter().map(|piece| piece.at).collect();
                let spread = match (times.first(), times.last()) {
                    (Some(first), Some(last)) => *last - *first,
                    _ => Duration::ZERO,
                };
                ensure(times.len() > 1 && spread > Duration::from_millis(1), || {
                    format!("{newlines} newlines and the answer came in one piece")
                })
            })
        },
    },
];
