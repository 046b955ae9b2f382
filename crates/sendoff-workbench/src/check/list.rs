//! The answer to the list call as a whole.

use http::{HeaderValue, header};
use serde_json::Value;

use super::Check;
use super::Strength::{A, B, D};
use super::judge::{ensure, given, inapplicable, items, none_of, none_of_all, shown, text, wrong};
use super::probe::{Probe, body_text};
use super::subject::With;
use super::wire::{Ask, Ended};
use crate::dial::Address;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "list/answer/is-200",
        title: "The list call is answered with status 200",
        rule: "POST to the list URL, with the hub's token and no body, is answered with status 200.",
        looker: "Looker stores any other status as the hub's fetch error and offers none of its \
                 actions.",
        section: "4",
        strength: A,
        wrong: "HTTP/1.1 302 Found",
        right: "HTTP/1.1 200 OK",
        ask: |p| {
            Box::pin(async move {
                match p.see(&p.hub.list) {
                    Ok(heard) => ensure(heard.status == 200, || format!("status {}", heard.status)),
                    Err(deaf) => wrong(deaf.why()),
                }
            })
        },
    },
    Check {
        id: "list/answer/is-json",
        title: "The list is a JSON object",
        rule: "The answer to the list call is one JSON object, whole.",
        looker: "A list that is no JSON makes the whole hub unusable: every action disappears.",
        section: "4",
        strength: A,
        wrong: "It works!",
        right: r#"{"label": "My hub", "integrations": []}"#,
        ask: |p| {
            Box::pin(async move {
                let Ok(heard) = p.see(&p.hub.list) else {
                    return inapplicable("there is no list (list/answer/is-200)");
                };
                if heard.status != 200 {
                    return inapplicable("there is no list (list/answer/is-200)");
                }
                if heard.ended != Ended::Whole {
                    return wrong("the answer breaks off");
                }
                match serde_json::from_slice::<Value>(&heard.body) {
                    Ok(Value::Object(_)) => Ok(()),
                    Ok(other) => wrong(format!("it is {}, no object", shown(&other))),
                    Err(error) => wrong(error.to_string()),
                }
            })
        },
    },
    Check {
        id: "list/answer/integrations-are-a-list",
        title: "`integrations` is an array of objects",
        rule: "The list has a member `integrations`: an array with an object for each action.",
        looker: "Looker finds no action elsewhere.",
        section: "3",
        strength: A,
        wrong: r#"{"label": "My hub", "actions": {"mine": {}}}"#,
        right: r#"{"label": "My hub", "integrations": [{"name": "mine", "label": "Mine"}]}"#,
        ask: |p| {
            Box::pin(async move {
                let integrations = &p.listing()?["integrations"];
                ensure(integrations.is_array(), || format!("it is {}", shown(integrations)))?;
                let odd = items(p.listing()?, "integrations").iter().find(|item| !item.is_object());
                ensure(odd.is_none(), || format!("it holds {}", odd.map(shown).unwrap_or_default()))
            })
        },
    },
    Check {
        id: "list/answer/label-is-text",
        title: "The hub has a label",
        rule: "The list has a member `label` with the hub's name.",
        looker: "The admin page shows the hub without a name.",
        section: "3",
        strength: B,
        wrong: r#"{"integrations": []}"#,
        right: r#"{"label": "My hub", "integrations": []}"#,
        ask: |p| {
            Box::pin(async move {
                let listing = p.listing()?;
                ensure(text(listing, "label").is_some(), || {
                    format!("`label` is {}", shown(&listing["label"]))
                })
            })
        },
    },
    Check {
        id: "list/answer/content-type",
        title: "The list says that it is JSON",
        rule: "The answer to the list call has the content type `application/json`.",
        looker: "Looker is not known to mind; proxies and people are helped by it.",
        section: "3",
        strength: D,
        wrong: "content-type: text/html",
        right: "content-type: application/json",
        ask: |p| {
            Box::pin(async move {
                p.listing()?;
                let heard = p.see(&p.hub.list).as_ref().ok();
                let kind = heard.and_then(|h| h.headers.get(header::CONTENT_TYPE)).cloned();
                let json = kind.as_ref().and_then(|kind| kind.to_str().ok());
                ensure(json.is_some_and(|kind| kind.contains("json")), || format!("it is {kind:?}"))
            })
        },
    },
    Check {
        id: "list/request/without-version",
        title: "The list is given to a caller without a version",
        rule: "A user agent that names no Looker version, or none at all, gets the list.",
        looker: "Builds with an unusual version would lose every action.",
        section: "2",
        strength: B,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: "HTTP/1.1 200 OK",
        ask: |p| {
            Box::pin(async move {
                for agent in [None, Some("curl/8"), Some("LookerOutgoingWebhook/7.3.00004561")] {
                    same_list(p, |ask| match agent {
                        Some(agent) => {
                            let agent = HeaderValue::from_static(agent);
                            ask.headers.insert(header::USER_AGENT, agent);
                        }
                        None => drop(ask.headers.remove(header::USER_AGENT)),
                    })
                    .await?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "list/request/with-body",
        title: "A body on the list call does no harm",
        rule: "A list call that carries a JSON body, chunked, is answered as one without.",
        looker: "Looker's list call has no body, but its calls are chunked: whether there is one shows \
                 at the end alone.",
        section: "3",
        strength: D,
        wrong: "HTTP/1.1 411 Length Required",
        right: "HTTP/1.1 200 OK",
        ask: |p| {
            Box::pin(async move {
                let body = p.hub.json(&Value::Object(serde_json::Map::new()));
                same_list(p, |ask| ask.body = body).await
            })
        },
    },
    Check {
        id: "list/urls/reachable",
        title: "Every URL of the list can be reached",
        rule: "The hosts of `url`, `form_url` and `token_url` take connections.",
        looker: "Looker calls them as they stand. An action whose host it cannot reach fails in \
                 use, not when the hub is added.",
        section: "3",
        strength: A,
        wrong: r#""url": "https://hub.internal:8443/actions/mine/execute""#,
        right: r#""url": "https://hub.example/actions/mine/execute""#,
        ask: |p| {
            Box::pin(async move {
                p.live()?;
                let mut problems = Vec::new();
                let hosts = hosts(p)?;
                if hosts.is_empty() {
                    return inapplicable(NO_URL);
                }
                for (place, url) in hosts {
                    let Ok((address, _)) = Address::of(&url) else { continue };
                    let connected = tokio::time::timeout(
                        p.patience(),
                        address.connect_believing(&p.hub.authorities),
                    )
                    .await;
                    match connected {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => problems.push(format!("{place} {url}: {error}")),
                        Err(_) => problems.push(format!("{place} {url}: no connection in time")),
                    }
                }
                none_of(problems)
            })
        },
    },
    Check {
        id: "list/urls/public",
        title: "The URLs of the list are those of the outside",
        rule: "A hub that is called by https:// lists https:// URLs, and one that is called by a \
               name lists no localhost and no 0.0.0.0.",
        looker: "Behind a proxy hubs often list the address that they see themselves. Looker \
                 cannot call it, or sends tokens unencrypted.",
        section: "3",
        strength: A,
        wrong: r#""url": "http://localhost:8080/actions/mine/execute""#,
        right: r#""url": "https://hub.example/actions/mine/execute""#,
        ask: |p| {
            Box::pin(async move {
                let list_url = &p.hub.options.url;
                let told = |(place, url): (String, String)| {
                    let why = inside(list_url, &url)?;
                    Some(format!("{place} {url} {why}"))
                };
                none_of_all(hosts(p)?, NO_URL, told)
            })
        },
    },
];

const NO_URL: &str = "the list has no URL";

/// A list call with a twist gets the list.
async fn same_list(p: &Probe<'_>, twist: impl FnOnce(&mut Ask)) -> super::judge::Verdict {
    let listing = p.listing()?;
    let mut ask = p.hub.list_ask(With::Token);
    twist(&mut ask);
    match p.send(ask).await {
        Ok(heard) if heard.status == 200 => {
            let listed: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
            // Versions change what is offered, so only the shape is compared.
            ensure(listed["integrations"].is_array() || !listing["integrations"].is_array(), || {
                format!("the answer is no list: {}", super::judge::cut(&body_text(&heard), 80))
            })
        }
        Ok(heard) => wrong(format!("status {}", heard.status)),
        Err(deaf) => wrong(deaf.why()),
    }
}

/// One URL for each host of the list, and where it stands.
fn hosts(p: &Probe<'_>) -> Result<Vec<(String, String)>, super::judge::Stop> {
    let mut seen = std::collections::BTreeSet::new();
    let mut hosts = Vec::new();
    for action in p.actions()? {
        for member in ["url", "form_url", "token_url"] {
            let Some(url) = given(action.0, member).and_then(Value::as_str) else { continue };
            let Ok((address, _)) = Address::of(url) else { continue };
            if seen.insert((address.host, address.port, url.starts_with("https:"))) {
                hosts.push((format!("{}: `{member}`", action.name()), url.to_owned()));
            }
        }
    }
    Ok(hosts)
}

/// Why a URL that the hub lists cannot be meant for Looker.
fn inside(list_url: &str, url: &str) -> Option<&'static str> {
    let (listed, own) = (Address::of(url).ok()?.0, Address::of(list_url).ok()?.0);
    let near = |host: &str| {
        let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
    };
    if list_url.starts_with("https:") && url.starts_with("http:") {
        return Some("is not encrypted, the list URL is");
    }
    if listed.host == own.host {
        return None;
    }
    let unspecified = ["0.0.0.0", "[::]"].contains(&listed.host.as_str());
    if unspecified || (near(&listed.host) && !near(&own.host)) {
        return Some("is this machine's own address");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn what_only_the_hub_itself_can_reach_is_told() {
        for (list, url, is_inside) in [
            ("https://hub.example/", "https://hub.example/a", false),
            ("https://hub.example/", "https://other.example/a", false),
            ("https://hub.example/", "http://hub.example/a", true),
            ("https://hub.example/", "https://localhost/a", true),
            ("http://hub.example/", "http://127.0.0.1:80/a", true),
            ("http://127.0.0.1:8080/", "http://localhost:8080/a", false),
            ("http://127.0.0.1:8080/", "http://0.0.0.0:8080/a", true),
            ("http://[::1]:8080/", "http://[::]:8080/a", true),
        ] {
            assert_eq!(inside(list, url).is_some(), is_inside, "{list} {url}");
        }
    }
}
