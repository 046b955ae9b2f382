//! Who is let in: the token that the admin typed into Looker.

use futures_util::StreamExt;
use sendoff_protocol::authorization;

use super::Check;
use super::Strength::{B, D};
use super::judge::{Stop, Verdict, ensure, inapplicable, none_of_all, wrong};
use super::probe::{Probe, body_text};
use super::subject::{Shown, With};
use super::wire::{Deaf, Heard};
use crate::request::RequestBody;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "auth/missing/execute-refused",
        title: "Nothing is executed without the token",
        rule: "An execute call without `Authorization` is not answered with 2xx.",
        looker: "Looker always sends the token; whoever else finds the URL could send data.",
        section: "2",
        strength: B,
        wrong: r#"HTTP/1.1 200 OK {"looker": {"success": false}}"#,
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| Box::pin(async move { refused(p, Page::Execute, With::Nothing).await }),
    },
    Check {
        id: "auth/missing/form-refused",
        title: "No form is drawn without the token",
        rule: "A form call without `Authorization` is not answered with 2xx.",
        looker: "Looker always sends the token; forms name buckets, channels and accounts.",
        section: "2",
        strength: B,
        wrong: "HTTP/1.1 200 OK []",
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| Box::pin(async move { refused(p, Page::Form, With::Nothing).await }),
    },
    Check {
        id: "auth/missing/list-refused",
        title: "Nothing is listed without the token",
        rule: "A list call without `Authorization` is not answered with 2xx.",
        looker: "Looker always sends the token. Google's own example leaves the list open.",
        section: "3",
        strength: D,
        wrong: r#"HTTP/1.1 200 OK {"integrations": []}"#,
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| Box::pin(async move { refused(p, Page::List, With::Nothing).await }),
    },
    Check {
        id: "auth/wrong/execute-refused",
        title: "Nothing is executed with a wrong token",
        rule: "An execute call with another token of the same length is not answered with 2xx.",
        looker: "A token that is not checked protects nothing.",
        section: "2",
        strength: B,
        wrong: r#"HTTP/1.1 200 OK {"looker": {"success": false}}"#,
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| {
            Box::pin(async move {
                let header = authorization(&other_token(token(p)?));
                refused(p, Page::Execute, With::Header(header.as_bytes())).await
            })
        },
    },
    Check {
        id: "auth/wrong/form-refused",
        title: "No form is drawn with a wrong token",
        rule: "A form call with another token of the same length is not answered with 2xx.",
        looker: "A token that is not checked protects nothing.",
        section: "2",
        strength: B,
        wrong: "HTTP/1.1 200 OK []",
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| {
            Box::pin(async move {
                let header = authorization(&other_token(token(p)?));
                refused(p, Page::Form, With::Header(header.as_bytes())).await
            })
        },
    },
    Check {
        id: "auth/wrong/prefix-refused",
        title: "A token that only begins right is refused",
        rule: "The token without its last character, and with one more, is not accepted.",
        looker: "A comparison over the shorter length lets a guess succeed piece by piece.",
        section: "2",
        strength: B,
        wrong: "HTTP/1.1 200 OK",
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| {
            Box::pin(async move {
                let token = token(p)?;
                let shorter = token.get(..token.len().saturating_sub(1)).unwrap_or_default();
                for other in [shorter.to_owned(), format!("{token}0")] {
                    let header = authorization(&other);
                    refused(p, Page::Execute, With::Header(header.as_bytes())).await?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "auth/malformed/survived",
        title: "Malformed tokens of every length are survived",
        rule: "After tokens of 0 to 136 characters, with and without a slash, the hub still \
               answers.",
        looker: "The hub is gone for everyone. The reference ends with an unhandled error when the \
                 signature has another length than its own; no secret is needed for that.",
        section: "14.1",
        strength: B,
        wrong: "the connection closes without an answer; the process has ended",
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| {
            Box::pin(async move {
                token(p)?;
                listed(p)?;
                for shown in malformed(p).await {
                    if let Err(deaf @ (Deaf::Closed(_) | Deaf::Unreachable(_))) = p.see(&shown) {
                        return wrong(format!("no answer to a malformed token: {}", deaf.why()));
                    }
                }
                p.alive("malformed tokens").await
            })
        },
    },
    Check {
        id: "auth/malformed/refused",
        title: "Malformed tokens are refused",
        rule: "A malformed token is answered with 4xx: neither let in nor an error of the hub's.",
        looker: "5xx reads as a hub that is down; nobody looks at the token.",
        section: "2",
        strength: B,
        wrong: "HTTP/1.1 500 Internal Server Error",
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| {
            Box::pin(async move {
                token(p)?;
                listed(p)?;
                for shown in malformed(p).await {
                    // A hub that does not answer is told by another check.
                    let Ok(heard) = p.see(&shown) else { continue };
                    ensure(heard.status < 500 && !is_2xx(heard), || {
                        format!("status {} to a malformed token", heard.status)
                    })?;
                }
                Ok(())
            })
        },
    },
    Check {
        id: "auth/refusal/status",
        title: "A refusal is 401 or 403",
        rule: "A call without a valid token is answered with 401 or 403.",
        looker: "Other statuses, and redirects to a login page, hide from the admin that the token \
                 is wrong.",
        section: "2",
        strength: B,
        wrong: "HTTP/1.1 302 Found",
        right: "HTTP/1.1 403 Forbidden",
        ask: |p| {
            Box::pin(async move {
                let refusals = refusals(p).await?;
                let refused = refusals.iter().filter(|heard| !is_2xx(heard) && heard.status < 500);
                let nothing = "there is no refusal (auth/missing/list-refused)";
                none_of_all(refused, nothing, |heard| {
                    let right = [401, 403].contains(&heard.status);
                    (!right).then(|| format!("status {}", heard.status))
                })
            })
        },
    },
    Check {
        id: "auth/refusal/token-not-repeated",
        title: "A refusal does not repeat the token",
        rule: "The answer to a call with a wrong token does not hold that token.",
        looker: "A mistyped token is nearly the right one, and answers end in logs.",
        section: "2",
        strength: D,
        wrong: r#"{"error": "invalid token 9d8ebac9c87e/df9c2f237a9f"}"#,
        right: r#"{"error": "Invalid 'Authorization' header."}"#,
        ask: |p| {
            Box::pin(async move {
                let other = other_token(token(p)?);
                let header = authorization(&other);
                let Ok(heard) = call(p, Page::List, With::Header(header.as_bytes())).await? else {
                    return inapplicable("there is no answer");
                };
                ensure(!body_text(&heard).contains(&other), || "it holds the token".to_owned())
            })
        },
    },
    Check {
        id: "auth/refusal/before-the-body",
        title: "A refusal does not wait for the body",
        rule: "A call without a valid token is refused before its body has come.",
        looker: "A hub that reads first can be filled with data by anyone. The reference reads \
                 250 MB.",
        section: "2",
        strength: D,
        wrong: "no answer until the body has ended",
        right: "HTTP/1.1 403 Forbidden, connection: close",
        ask: |p| {
            Box::pin(async move {
                token(p)?;
                let (_, url) = p.safe_action()?;
                if call(p, Page::Execute, With::Nothing).await?.is_ok_and(|heard| is_2xx(&heard)) {
                    return inapplicable("there is no refusal (auth/missing/execute-refused)");
                }
                let start = bytes::Bytes::from_static(b"{\"type\":");
                let unending =
                    futures_util::stream::iter([Ok(start)]).chain(futures_util::stream::pending());
                let body = RequestBody::stream(crate::Source::stream(unending));
                let mut ask = p.hub.ask(url, With::Nothing, body);
                ask.wait = p.patience();
                match p.send(ask).await {
                    Err(Deaf::Silent(why)) => wrong(why),
                    _ => Ok(()),
                }
            })
        },
    },
    Check {
        id: "auth/header/lower-case",
        title: "The scheme is read in either case",
        rule: "`token token=\"…\"` is as good as `Token token=\"…\"`.",
        looker: "Looker writes `Token`; the reference takes both, and other callers rely on it.",
        section: "2",
        strength: B,
        wrong: "HTTP/1.1 403 Forbidden",
        right: "HTTP/1.1 200 OK",
        ask: |p| {
            Box::pin(async move {
                let header = format!("token token=\"{}\"", token(p)?);
                p.listing()?;
                match call(p, Page::List, With::Header(header.as_bytes())).await? {
                    Ok(heard) => ensure(is_2xx(&heard), || format!("status {}", heard.status)),
                    Err(deaf) => wrong(deaf.why()),
                }
            })
        },
    },
];

enum Page {
    List,
    Form,
    Execute,
}

fn is_2xx(heard: &Heard) -> bool {
    (200..300).contains(&heard.status)
}

fn token<'a>(p: &Probe<'a>) -> Result<&'a str, Stop> {
    match &p.hub.options.token {
        Some(token) => Ok(token),
        None => inapplicable("no token was given, so that the hub may be open on purpose"),
    }
}

/// A hub that cannot be listed is not accused of what it does with other calls.
fn listed(p: &Probe<'_>) -> Verdict {
    match &p.hub.list.heard {
        Ok(heard) if heard.status == 200 => Ok(()),
        _ => inapplicable("there is no list (list/answer/is-200)"),
    }
}

/// As long as the hub's own, of the same characters, and not it.
fn other_token(token: &str) -> String {
    let turned = |c: char| match c {
        '0'..='8' | 'a'..='e' | 'g'..='y' | 'A'..='Y' => char::from_u32(u32::from(c) + 1),
        '9' => Some('0'),
        'f' => Some('a'),
        'z' => Some('a'),
        'Z' => Some('A'),
        other => Some(other),
    };
    token.chars().filter_map(turned).collect()
}

fn form<'a>(p: &Probe<'a>) -> Result<(super::subject::Action<'a>, &'a str), Stop> {
    let actions = p.actions()?;
    match actions.into_iter().find_map(|action| Some((action, action.form_url()?))) {
        Some(found) => Ok(found),
        None => inapplicable("no action has a form"),
    }
}

async fn call(p: &Probe<'_>, page: Page, with: With<'_>) -> Result<Result<Heard, Deaf>, Stop> {
    let ask = match page {
        Page::List => p.hub.list_ask(with),
        Page::Form => {
            let (action, url) = form(p)?;
            p.hub.ask(url, with, p.hub.json(&p.form_body(action)))
        }
        Page::Execute => {
            let (action, url) = p.safe_action()?;
            p.hub.ask(url, with, p.hub.json(&p.refused_body(action)))
        }
    };
    Ok(p.send(ask).await)
}

async fn refused(p: &Probe<'_>, page: Page, with: With<'_>) -> Verdict {
    token(p)?;
    match call(p, page, with).await? {
        Ok(heard) => ensure(!is_2xx(&heard), || format!("status {}", heard.status)),
        Err(deaf) => inapplicable(deaf.why()),
    }
}

/// What comes back to calls without a token and with a wrong one.
async fn refusals(p: &Probe<'_>) -> Result<Vec<Heard>, Stop> {
    let header = authorization(&other_token(token(p)?));
    let mut heard = Vec::new();
    for with in [With::Nothing, With::Header(header.as_bytes())] {
        for page in [Page::List, Page::Execute] {
            match call(p, page, with).await {
                Ok(answer) => heard.extend(answer),
                // Without an action that is safe to call the list has to do.
                Err(Stop::NotRun(_)) => {}
                Err(stop) => return Err(stop),
            }
        }
    }
    Ok(heard)
}

/// The answers to list calls with malformed tokens, until one is not answered.
async fn malformed(p: &Probe<'_>) -> Vec<Shown> {
    let mut headers: Vec<Vec<u8>> = [
        "",
        "Token",
        "Token token",
        "Token token=",
        "Token token=\"",
        "Token token=a/b",
        "Basic YTpi",
        "Bearer a/b",
        "Token token=\"a/b\", token=\"c/d\"",
        "Token token=\"/\"",
    ]
    .map(|header| header.as_bytes().to_vec())
    .into();
    headers.push(b"Token token=\"\xff/\xfe\"".to_vec());
    for length in 0..=136 {
        headers.push(authorization(&format!("a/{}", "b".repeat(length))).into_bytes());
    }
    for length in [0, 1, 64, 128, 193, 2_000] {
        headers.push(authorization(&"a".repeat(length)).into_bytes());
    }
    let mut calls = Vec::with_capacity(headers.len());
    for header in &headers {
        calls.push(p.hub.send(p.hub.list_ask(With::Header(header))));
    }
    let mut calls = futures_util::stream::iter(calls).buffered(8);
    let mut answers = Vec::new();
    while let Some(answer) = calls.next().await {
        let answered = answer.heard.is_ok();
        answers.push(answer);
        if !answered {
            break;
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::other_token;

    #[test]
    fn another_token_has_the_same_shape() {
        for token in ["0123456789abcdef/09af", "zZ~aB", "sesame"] {
            let other = other_token(token);
            assert_ne!(other, token);
            assert_eq!(other.len(), token.len());
            assert_eq!(other.find('/'), token.find('/'));
        }
        // Hexadecimal stays hexadecimal.
        assert_eq!(other_token("09af"), "10ba");
    }
}
