//! Logins: the link in the form, the pages behind it, and the token exchange of version 2. Nothing
//! here follows a redirect, so that no provider is reached.

use http::{HeaderValue, Method, header};
use serde_json::{Value, json};

use super::Check;
use super::Strength::{B, C, D};
use super::fields::is_link;
use super::judge::{Stop, Verdict, ensure, inapplicable, stack_trace, text, wrong};
use super::probe::{Probe, body_text};
use super::refusals::believed;
use super::samples::{STATE_URL, WAY_BACK};
use super::subject::{Action, With, fields_of};
use super::wire::{Ended, Heard};
use crate::dial::Address;
use crate::request::RequestBody;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "oauth/login/offered",
        title: "A user who is not logged in gets a login",
        rule: "The form of an action with `uses_oauth`, drawn without state, has an oauth_link \
               field or says why not.",
        looker: "The user sees a form that cannot work, and has no way to log in.",
        section: "8.1",
        strength: B,
        wrong: r#"[{"name": "folder", "label": "Folder"}]"#,
        right: r#"[{"name": "login", "type": "oauth_link", "oauth_url": "https://…"}]"#,
        ask: |p| {
            Box::pin(async move {
                let forms = logins(p).await?;
                for (action, form) in &forms {
                    let offered = fields_of(form).iter().any(is_link)
                        || super::judge::given(form, "error").is_some();
                    ensure(offered, || format!("{}: no oauth_link", action.name()))?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "oauth/login/state-url-hidden",
        title: "The login link does not show the state URL",
        rule: "`oauth_url` does not hold Looker's `state_url` in clear.",
        looker: "Whoever has that URL can put tokens of their own into the user's account.",
        section: "8.1",
        strength: B,
        wrong: "https://hub.example/oauth?state=https://looker.example/action_hub_state/…",
        right: "https://hub.example/oauth?state=<sealed>",
        ask: |p| {
            Box::pin(async move {
                let secret = STATE_URL.rsplit('/').next().unwrap_or(STATE_URL);
                for (action, url) in links(p).await? {
                    ensure(!url.contains(secret), || format!("{}: {url}", action.name()))?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "oauth/start/redirects",
        title: "The login link leads to the provider",
        rule: "GET of the `oauth_url` is answered with a redirect to an absolute URL.",
        looker: "The user's browser shows an error in place of the provider's login.",
        section: "8.1",
        strength: B,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: "HTTP/1.1 302 Found, location: https://accounts.example/…",
        ask: |p| {
            Box::pin(async move {
                for (action, url) in links(p).await? {
                    let heard = get(p, &url).await?;
                    let to = location(&heard);
                    let leads = (300..400).contains(&heard.status)
                        && to.as_deref().is_some_and(|to| Address::of(to).is_ok());
                    ensure(leads, || {
                        format!("{}: status {}, {to:?}", action.name(), heard.status)
                    })?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "oauth/start/carries-state",
        title: "The login carries its state to the provider",
        rule: "The redirect to the provider has `state` and `redirect_uri`.",
        looker: "When the user comes back the hub does not know for whom.",
        section: "8.1",
        strength: B,
        wrong: "location: https://accounts.example/auth?client_id=1",
        right: "location: https://accounts.example/auth?client_id=1&redirect_uri=…&state=…",
        ask: |p| {
            Box::pin(async move {
                let mut led = false;
                for (action, url) in links(p).await? {
                    let Some(to) = location(&get(p, &url).await?) else { continue };
                    led = true;
                    let has = |name: &str| query(&to, name).is_some_and(|value| !value.is_empty());
                    ensure(has("state") && has("redirect_uri"), || {
                        format!("{}: {to}", action.name())
                    })?;
                }
                if led {
                    Ok(())
                } else {
                    inapplicable("no login redirects (oauth/start/redirects)")
                }
            })
        },
    },
    Check {
        id: "oauth/start/bound-to-browser",
        title: "A login is bound to the browser that began it",
        rule: "The redirect to the provider sets a cookie.",
        looker: "Without one a stranger can make a user finish the stranger's login: data then goes \
                 to the stranger's account. The reference has no such cookie.",
        section: "14.11",
        strength: C,
        wrong: "HTTP/1.1 302 Found",
        right: "HTTP/1.1 302 Found, set-cookie: action_hub_state=…; HttpOnly; Secure",
        ask: |p| {
            Box::pin(async move {
                let mut led = false;
                for (action, url) in links(p).await? {
                    let heard = get(p, &url).await?;
                    if location(&heard).is_none() {
                        continue;
                    }
                    led = true;
                    ensure(heard.headers.contains_key(header::SET_COOKIE), || {
                        format!("{}: no cookie is set", action.name())
                    })?;
                }
                if led {
                    Ok(())
                } else {
                    inapplicable("no login redirects (oauth/start/redirects)")
                }
            })
        },
    },
    Check {
        id: "oauth/start/bad-state",
        title: "A login with a damaged state is refused",
        rule: "GET of the login page with another state is answered with 4xx.",
        looker: "The user logs in at the provider and is lost on the way back.",
        section: "8.1",
        strength: D,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: "HTTP/1.1 400 Bad Request",
        ask: |p| {
            Box::pin(async move {
                for (action, url) in links(p).await? {
                    let page = url.split('?').next().unwrap_or(&url);
                    let heard = get(p, &format!("{page}?state=damaged")).await?;
                    refused(&heard, action.name())?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "oauth/return/bad-state",
        title: "A return with a damaged state is refused",
        rule: "GET of the `redirect_uri` with a code and another state is answered with 4xx.",
        looker: "A user who is told of a success in vain presses the button again and again.",
        section: "8.1",
        strength: D,
        wrong: "HTTP/1.1 200 OK You may now close this tab.",
        right: "HTTP/1.1 400 Bad Request",
        ask: |p| {
            Box::pin(async move {
                for (action, url) in returns(p).await? {
                    let heard = get(p, &format!("{url}?code=x&state=damaged")).await?;
                    refused(&heard, action.name())?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "oauth/return/escaped",
        title: "The return page escapes what it repeats",
        rule: "What stands in the URL of the `redirect_uri` does not come back as HTML.",
        looker: "A link can run a stranger's script in the hub's name.",
        section: "8.1",
        strength: D,
        wrong: "<p>Login failed: <script>…</script></p>",
        right: "<p>Login failed: &lt;script&gt;…</p>",
        ask: |p| {
            Box::pin(async move {
                let evil = "%3Cscript%3Echeck%3C/script%3E";
                for (action, url) in returns(p).await? {
                    let asked = format!("{url}?error={evil}&error_description={evil}&state={evil}");
                    let heard = get(p, &asked).await?;
                    let html = heard.headers.get(header::CONTENT_TYPE);
                    let html = html.and_then(|kind| kind.to_str().ok());
                    let html = html.is_none_or(|kind| kind.contains("html"));
                    let runs = html && body_text(&heard).contains("<script>check");
                    ensure(!runs, || format!("{}: the script comes back", action.name()))?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "oauth/return/redirects",
        title: "A login of version 2 leads back to Looker",
        rule: "After a form call with `state_redir_url` the `redirect_uri`, with a code and the \
               login's own state, redirects there with `state`.",
        looker: "Looker has nothing to exchange: the login seems done and is asked for again.",
        section: "8.2",
        strength: B,
        wrong: "HTTP/1.1 200 OK You may now close this tab.",
        right: "HTTP/1.1 302 Found, location: https://looker.example/action_hub_state_redir/…?state=…",
        ask: |p| {
            Box::pin(async move {
                let (action, start) = second_login(p).await?;
                let begun = get(p, &start).await?;
                let Some(to) = location(&begun) else {
                    return inapplicable("no login redirects (oauth/start/redirects)");
                };
                let (Some(back), Some(state)) = (query(&to, "redirect_uri"), query(&to, "state"))
                else {
                    return inapplicable("the login has no state (oauth/start/carries-state)");
                };
                let back =
                    format!("{}?code=conformance-check&state={state}", percent_decoded(back));
                let heard = get_with(p, &back, cookies(&begun)).await?;
                let to = location(&heard).unwrap_or_default();
                let leads = to.starts_with(WAY_BACK) && query(&to, "state").is_some();
                ensure((300..400).contains(&heard.status) && leads, || {
                    format!("{}: status {}, {to:?}", action.name(), heard.status)
                })
            })
        },
    },
    Check {
        id: "oauth/token/guarded",
        title: "The token exchange takes the hub's token",
        rule: "POST to `token_url` without `Authorization` is not answered with 2xx.",
        looker: "Looker always sends the token; a stranger could open what a user's login sealed.",
        section: "8.2",
        strength: B,
        wrong: r#"HTTP/1.1 200 OK {"tokens": {}}"#,
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| {
            Box::pin(async move {
                if p.hub.options.token.is_none() {
                    return inapplicable("no token was given");
                }
                for (action, url) in token_urls(p)? {
                    let heard = exchanged(p, url, With::Nothing, &json!({"state": "x"})).await?;
                    ensure(![401, 403].iter().all(|s| heard.status != *s), || {
                        format!("{}: status {}", action.name(), heard.status)
                    })?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "oauth/token/bad-state",
        title: "A token exchange with a damaged state is refused",
        rule: "POST to `token_url` with a state that the hub has not sealed is answered with an \
               error that ends.",
        looker: "Looker stores the answer as the user's login.",
        section: "8.2",
        strength: B,
        wrong: r#"HTTP/1.1 200 OK {"tokens": {}}"#,
        right: "HTTP/1.1 400 Bad Request",
        ask: |p| {
            Box::pin(async move {
                for (action, url) in token_urls(p)? {
                    for body in [json!({"state": "damaged"}), json!({}), json!({"state": 1})] {
                        let heard = exchanged(p, url, With::Token, &body).await?;
                        ensure(!(200..300).contains(&heard.status), || {
                            format!("{}: status {}", action.name(), heard.status)
                        })?;
                    }
                }
                Ok(())
            })
        },
    },
    Check {
        id: "oauth/pages/end",
        title: "Login pages of an action without login are answered",
        rule: "`oauth_check` and `oauth_token` beside the execute URL of an action without OAuth \
               are answered to their end.",
        looker: "The connection hangs. The reference sets the status and never ends the answer.",
        section: "14.7",
        strength: B,
        wrong: "no answer",
        right: "HTTP/1.1 404 Not Found",
        ask: |p| {
            Box::pin(async move {
                let plain = p.actions()?.into_iter().find(|action| !action.is("uses_oauth"));
                let pages = plain.and_then(|action| {
                    Some([action.sibling("oauth_check")?, action.sibling("oauth_token")?])
                });
                let Some([check, token]) = pages else {
                    return inapplicable("the hub's URLs are not laid out like the reference's");
                };
                let mut ask = p.hub.ask(&check, With::Token, RequestBody::empty());
                ask.method = Method::GET;
                ends(p, ask, "oauth_check").await?;
                let ask = p.hub.ask(&token, With::Token, p.hub.json(&json!({"state": "x"})));
                ends(p, ask, "oauth_token").await
            })
        },
    },
];

async fn ends(p: &Probe<'_>, ask: super::wire::Ask, page: &str) -> Verdict {
    match p.send(ask).await {
        Ok(heard) => ensure(heard.ended == Ended::Whole, || format!("{page}: {:?}", heard.ended)),
        Err(deaf) => wrong(format!("{page}: {}", deaf.why())),
    }
}

/// The actions with a login of their own, and their forms drawn without state.
async fn logins<'p, 'a>(p: &'p Probe<'a>) -> Result<Vec<(Action<'a>, &'p Value)>, Stop> {
    let actions = p.actions()?;
    let drawn = p.forms().await?.iter().filter_map(|drawn| {
        let action = actions.get(drawn.action)?;
        let login = action.is("uses_oauth") && !action.is("delegate_oauth");
        Some((*action, drawn.form.as_ref().filter(|_| login)?))
    });
    let drawn: Vec<_> = drawn.collect();
    if drawn.is_empty() {
        return inapplicable("no OAuth action");
    }
    Ok(drawn)
}

/// Their login links.
async fn links<'a>(p: &Probe<'a>) -> Result<Vec<(Action<'a>, String)>, Stop> {
    let logins = logins(p).await?;
    let links = logins.into_iter().filter_map(|(action, form)| {
        let link = fields_of(form).iter().find(|field| is_link(field))?;
        let url = text(link, "oauth_url").filter(|url| Address::of(url).is_ok())?;
        Some((action, url.to_owned()))
    });
    let links: Vec<_> = links.collect();
    if links.is_empty() {
        return inapplicable("no login is offered (oauth/login/offered)");
    }
    Ok(links)
}

/// Where the provider sends users back to.
async fn returns<'a>(p: &Probe<'a>) -> Result<Vec<(Action<'a>, String)>, Stop> {
    let mut returns = Vec::new();
    for (action, url) in links(p).await? {
        let to = location(&get(p, &url).await?);
        let back = to.as_deref().and_then(|to| query(to, "redirect_uri")).map(percent_decoded);
        returns.extend(back.filter(|url| Address::of(url).is_ok()).map(|url| (action, url)));
    }
    if returns.is_empty() {
        return inapplicable("no login names a `redirect_uri` (oauth/start/carries-state)");
    }
    Ok(returns)
}

/// The login link of an action that has a token URL, as Looker asks for it in version 2.
async fn second_login<'a>(p: &Probe<'a>) -> Result<(Action<'a>, String), Stop> {
    p.live()?;
    for (action, _) in token_urls(p)? {
        let Some(url) = action.form_url() else { continue };
        let mut body = p.form_body(action);
        body["data"]["state_redir_url"] = WAY_BACK.into();
        let Ok(heard) = p.post(url, p.hub.json(&body)).await else { continue };
        let form: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
        let link = fields_of(&form).iter().find(|field| is_link(field));
        let link = link.and_then(|link| text(link, "oauth_url"));
        if let Some(link) = link.filter(|link| Address::of(link).is_ok()) {
            return Ok((action, link.to_owned()));
        }
    }
    inapplicable("no login of version 2 is offered (oauth/login/offered)")
}

fn token_urls<'a>(p: &Probe<'a>) -> Result<Vec<(Action<'a>, &'a str)>, Stop> {
    let actions = p.actions()?.into_iter();
    let urls: Vec<_> = actions
        .filter_map(|action| Some((action, text(action.0, "token_url")?)))
        .filter(|(_, url)| Address::of(url).is_ok())
        .collect();
    if urls.is_empty() {
        return inapplicable("no action has a token URL (OAuth v2)");
    }
    Ok(urls)
}

/// The user's browser: no token.
async fn get(p: &Probe<'_>, url: &str) -> Result<Heard, Stop> {
    get_with(p, url, None).await
}

/// The same with the cookies that it was given.
async fn get_with(p: &Probe<'_>, url: &str, cookies: Option<HeaderValue>) -> Result<Heard, Stop> {
    let mut ask = p.hub.ask(url, With::Nothing, RequestBody::empty());
    ask.method = Method::GET;
    ask.headers.remove(header::CONTENT_TYPE);
    ask.headers.extend(cookies.map(|cookies| (header::COOKIE, cookies)));
    match p.send(ask).await {
        Ok(heard) => Ok(heard),
        Err(deaf) => inapplicable(deaf.why()),
    }
}

async fn exchanged(p: &Probe<'_>, url: &str, with: With<'_>, body: &Value) -> Result<Heard, Stop> {
    match p.send(p.hub.ask(url, with, p.hub.json(body))).await {
        Ok(heard) if heard.ended == Ended::Whole => Ok(heard),
        Ok(_) => Err(Stop::Wrong("the answer does not end".to_owned())),
        Err(deaf) => Err(Stop::Wrong(deaf.why().to_owned())),
    }
}

fn refused(heard: &Heard, name: &str) -> Verdict {
    let status = heard.status;
    ensure((400..500).contains(&status), || format!("{name}: status {status}"))?;
    ensure(stack_trace(&body_text(heard)).is_none() && !believed(heard), || {
        format!("{name}: the answer holds a stack trace")
    })
}

fn location(heard: &Heard) -> Option<String> {
    let to = heard.headers.get(header::LOCATION)?;
    Some(String::from_utf8_lossy(to.as_bytes()).into_owned())
}

/// What a browser keeps of an answer's cookies.
fn cookies(heard: &Heard) -> Option<HeaderValue> {
    let set = heard.headers.get_all(header::SET_COOKIE).iter().filter_map(|set| set.to_str().ok());
    let pairs: Vec<&str> = set.filter_map(|set| set.split(';').next()).collect();
    HeaderValue::from_str(&pairs.join("; ")).ok().filter(|_| !pairs.is_empty())
}

fn query<'u>(url: &'u str, name: &str) -> Option<&'u str> {
    let (_, query) = url.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match (first, after.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{percent_decoded, query};

    #[test]
    fn redirects_are_read() {
        let url = "https://a.example/auth?x=1&redirect_uri=https%3A%2F%2Fhub%2Fback&state=s";
        assert_eq!(query(url, "redirect_uri").map(percent_decoded).unwrap(), "https://hub/back");
        assert_eq!(query(url, "none"), None);
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%41"), "%zzA");
    }
}
