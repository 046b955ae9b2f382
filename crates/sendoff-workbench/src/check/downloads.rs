//! Results that the hub fetches from a one-time URL.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sendoff_protocol::Format;
use serde_json::Value;

use super::Check;
use super::Strength::{A, B};
use super::deliveries::succeeded;
use super::judge::{Stop, ensure, given, inapplicable, items};
use super::probe::Probe;
use super::refusals::{believed, told};
use super::subject::Action;
use super::wire::{Deaf, Heard};
use crate::exchange::Exchange;
use crate::{Source, downloads::Downloads};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "execute/download/once",
        title: "A download URL is fetched once",
        rule: "A delivery by `download_url` makes one GET of it.",
        looker: "The URL is good for one use: a second GET, even a HEAD, gets an error.",
        section: "5.7",
        strength: A,
        wrong: "HEAD /downloads/…, then GET /downloads/…",
        right: "GET /downloads/…",
        ask: |p| {
            Box::pin(async move {
                let source = Source::from("Id\n1\n2\n");
                let (answer, gets) = by_url(p, source, false).await?;
                match answer {
                    Err(deaf) => return inapplicable(deaf.why()),
                    // A hub may guard itself against addresses such as this machine's.
                    Ok(heard) if gets.is_empty() && !believed(&heard) => {
                        return inapplicable(format!("the hub does not fetch: {}", told(&heard)));
                    }
                    Ok(_) => {}
                }
                ensure(gets.len() == 1, || {
                    let methods: Vec<_> = gets.iter().map(|get| get.method.as_str()).collect();
                    format!("{} requests for the URL: {}", gets.len(), methods.join(", "))
                })
            })
        },
    },
    Check {
        id: "execute/download/refused-is-failure",
        title: "A download that is refused is a failure",
        rule: "A `download_url` that answers 404 leads to a failure.",
        looker: "Looker tells the user that the data was sent; what arrived is an error page.",
        section: "5.7",
        strength: B,
        wrong: r#"{"looker": {"success": true}}"#,
        right: r#"{"looker": {"success": false, "message": "Looker refused the download (404)."}}"#,
        ask: |p| {
            Box::pin(async move {
                let (answer, _) = by_url(p, Source::from("Id\n1\n"), true).await?;
                failed(answer)
            })
        },
    },
    Check {
        id: "execute/download/cut-is-failure",
        title: "A download that breaks off is a failure",
        rule: "A `download_url` whose answer breaks off leads to a failure.",
        looker: "Looker tells the user that the data was sent; half of it was.",
        section: "5.7",
        strength: B,
        wrong: r#"{"looker": {"success": true}}"#,
        right: r#"{"looker": {"success": false, "message": "Looker's data was cut short."}}"#,
        ask: |p| {
            Box::pin(async move {
                let pause = p.pause();
                let start = stream::iter([Ok(Bytes::from_static(b"Id\n1\n2\n"))]);
                // The start has to be on its way before the cut.
                let cut = stream::once(async move {
                    tokio::time::sleep(pause).await;
                    Err(std::io::Error::other("cut on purpose"))
                });
                let source = Source::stream(start.chain(cut));
                let (answer, gets) = by_url(p, source, false).await?;
                if gets.is_empty() {
                    return inapplicable("the hub does not fetch (execute/download/once)");
                }
                failed(answer)
            })
        },
    },
];

fn failed(answer: Result<Heard, Deaf>) -> super::judge::Verdict {
    match answer {
        Ok(heard) => ensure(!believed(&heard), || told(&heard)),
        Err(deaf) => inapplicable(deaf.why()),
    }
}

/// A delivery by URL, and what the hub asked for. A URL that is `gone` answers 404.
async fn by_url(
    p: &Probe<'_>,
    source: Source,
    gone: bool,
) -> Result<(Result<Heard, Deaf>, Vec<Exchange>), Stop> {
    let (action, url) = p.executed()?;
    streams(p, action)?;
    succeeded(p).await?;
    let downloads: &Downloads = p.downloads().await?;
    let offered = downloads.offer(Format::Csv, source).map_err(not_offered)?;
    if gone {
        let _ = downloads.withdraw(&offered);
    }
    let mut body = p.delivery_body(action);
    by_this_url(&mut body, &offered, Format::Csv);
    let answer = p.deliver(url, p.hub.json(&body)).await;
    Ok((answer, downloads.withdraw(&offered)))
}

fn streams(p: &Probe<'_>, action: Action<'_>) -> super::judge::Verdict {
    let by_url = items(action.0, "supported_download_settings");
    if !by_url.iter().any(|setting| setting == "url") {
        return inapplicable("the action is not listed with the download setting `url`");
    }
    if p.delivery_body(action)["type"] != "query" {
        return inapplicable("only queries come by URL");
    }
    match is_here(p) {
        true => Ok(()),
        false => inapplicable("the hub is on another machine, which cannot fetch from this one"),
    }
}

/// Whether the URLs that are offered here lead the hub to this machine.
fn is_here(p: &Probe<'_>) -> bool {
    let here = |host: &str| host == "localhost" || host.starts_with("127.") || host == "0.0.0.0";
    crate::dial::Address::of(&p.hub.options.url).is_ok_and(|(address, _)| here(&address.host))
}

/// Whether Looker never puts a query's result into the request for this action.
pub(super) fn by_url_alone(action: Action<'_>) -> bool {
    let settings = items(action.0, "supported_download_settings");
    !settings.is_empty() && settings.iter().all(|setting| setting == "url")
}

/// The delivery as Looker hands it over: a query's result by URL, where the action takes nothing
/// else and can fetch from here.
pub(super) async fn handed_over(
    p: &Probe<'_>,
    action: Action<'_>,
    format: Format,
    mut body: Value,
) -> Result<Value, Stop> {
    let data = body["attachment"]["data"].as_str().filter(|_| body["type"] == "query");
    let Some(data) = data.filter(|_| by_url_alone(action) && is_here(p)) else {
        return Ok(body);
    };
    let source = Source::from(data.to_owned());
    let offered = p.downloads().await?.offer(format, source).map_err(not_offered)?;
    by_this_url(&mut body, &offered, format);
    Ok(body)
}

fn by_this_url(body: &mut Value, url: &str, format: Format) {
    body["attachment"] = Value::Null;
    body["scheduled_plan"]["download_url"] = url.into();
    if given(&body["form_params"], "format").is_none() {
        body["form_params"]["format"] = format.as_str().into();
    }
}

fn not_offered(error: std::io::Error) -> Stop {
    Stop::Ours(format!("no download URL can be offered: {error}"))
}
