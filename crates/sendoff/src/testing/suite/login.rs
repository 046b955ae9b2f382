//! The login is offered whenever there is none, runs through the browser once, is renewed once for
//! all who need it, and is never lost.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use url::Url;

use super::form::fields;
use super::lab::{CIPHER_MASTER, Lab};
use super::verdict::{Failure, ensure};
use super::{Case, Subject, Verdict, case};
use crate::login::LegacyKey;
use crate::protocol::FieldType;
use crate::testing::{Browser, By, Granted, Heard, Page, Provider};
use crate::{LoginBy, OAuth};

/// Deliveries at once, all with the same expired token.
const AT_ONCE: usize = 50;

/// What is no login, with the name of its case.
const NO_LOGIN: &[(&str, Option<&str>)] = &[
    ("without_state", None),
    ("for_an_empty_state", Some("")),
    ("for_reset", Some("reset")),
    ("for_null", Some("null")),
    ("for_an_empty_object", Some("{}")),
    ("for_junk", Some("\u{1}{\"tokens\":[\"")),
    ("for_quoted_reset", Some("\"reset\"")),
    ("for_a_list", Some("[]")),
    ("for_another_hubs_seal", Some(r#"{"sealed":"s1.other.AAAA"}"#)),
    ("for_an_unknown_cipher", Some(r#"{"cid":"00","payload":"1043022AAAA"}"#)),
];

/// How the reference hub writes tokens.
type Shape = fn(&Granted) -> String;

/// What the reference hub leaves in Looker, with the name of its case.
const LEFT: &[(&str, Shape)] = &[
    ("plain", |granted| flat(granted).to_string()),
    ("in_tokens", |granted| json!({"tokens": flat(granted), "redirect": "https://x"}).to_string()),
    ("ciphered", |granted| {
        let key = LegacyKey::new(&CIPHER_MASTER.into()).expect("64 hexadecimal characters");
        key.kept(&json!({"tokens": flat(granted), "redirect": "https://x"}).to_string())
    }),
];

fn flat(granted: &Granted) -> Value {
    json!({"access_token": granted.access, "refresh_token": granted.refresh})
}

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    let mut cases = Vec::new();
    let Some(login) = subject.spec.login else { return cases };
    for (name, state) in NO_LOGIN {
        cases.push(case(format!("login_offered_{name}"), async move |subject| {
            offered(&subject, *state).await
        }));
    }
    match login {
        LoginBy::Delegate(_) => cases.push(case("login_test", async |s| connections(&s).await)),
        LoginBy::OAuth(oauth) => {
            for (name, shape) in LEFT {
                cases.push(case(format!("login_left_{name}_by_the_reference"), async |subject| {
                    left(&subject, *shape).await
                }));
            }
            cases.push(case("login_is_sealed_to_its_instance", async |s| moved(&s).await));
            cases.push(case("login_in_the_browser", async |s| logs_in(&s, false).await));
            if oauth.v2 {
                cases.push(case("login_in_the_browser_v2", async |s| logs_in(&s, true).await));
            }
            cases.push(case("login_is_bound_to_its_browser", async |s| bound(&s).await));
            cases.push(case("login_is_over_once_finished", async |s| replayed(&s).await));
            cases.push(case("login_in_two_tabs", async |s| two_tabs(&s).await));
            cases.push(case("login_declined_is_told", async |s| declined(&s).await));
            cases.push(case("login_fails_when_looker_does_not_take_it", async |s| {
                untaken(&s).await
            }));
            if oauth.issuer.is_some() {
                cases.push(case("login_from_another_issuer_is_refused", async |s| {
                    mixed_up(&s).await
                }));
            }
            if oauth.lasting {
                cases.push(case("login_that_does_not_last_is_refused", async |s| short(&s).await));
            }
            cases.push(case("login_expired_is_renewed", async |s| renewed(&s).await));
            cases.push(case("login_refused_by_401_is_renewed", async |s| refused(&s).await));
            cases.push(case("login_renewed_once_for_all", async |s| once_for_all(&s).await));
            cases.push(case("login_revoked_is_told_once", async |s| revoked(&s).await));
            cases.push(case("login_kept_while_renewal_fails", async |s| down(&s).await));
        }
    }
    cases
}

fn oauth(lab: &Lab) -> Result<(OAuth, &Provider), Failure> {
    match (lab.spec.login, lab.vendor.fake().provider()) {
        (Some(LoginBy::OAuth(oauth)), Some(provider)) => Ok((oauth, provider)),
        _ => Err(Failure::new("the stand-in has no login service")),
    }
}

async fn form(lab: &Lab) -> Result<Value, Failure> {
    let (status, form) = lab.looker.form(lab.spec.name, &lab.settings, Some(&lab.answers)).await?;
    ensure(status == 200, || format!("the form is answered {status}: {form}"))?;
    Ok(form)
}

/// The link of a form that offers the login and nothing else.
fn link(lab: &Lab, form: &Value) -> Result<String, Failure> {
    let wrong = || Failure::new(format!("no login is offered: {form}"));
    let fields = fields(form).ok_or_else(wrong)?;
    let [field] = &fields[..] else { return Err(wrong()) };
    let name = match lab.spec.login {
        Some(LoginBy::OAuth(oauth)) => oauth.field_name,
        _ => "login",
    };
    let kind: FieldType = serde_json::from_value(field["type"].clone()).map_err(|_| wrong())?;
    let is_link = matches!(kind, FieldType::OauthLink | FieldType::OauthLinkGoogle);
    ensure(is_link && field["name"] == name, || format!("no login is offered: {form}"))?;
    field["oauth_url"].as_str().map(str::to_owned).ok_or_else(wrong)
}

async fn offered(subject: &Subject, state: Option<&str>) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.keep(lab.spec.name, state.map(str::to_owned));
    // Twice: what is no login does not become one.
    for _ in 0..2 {
        let form = form(&lab).await?;
        let url = link(&lab, &form)?;
        ensure(url.starts_with("http"), || format!("the link leads to {url}"))?;
    }
    let content = lab.content(subject.text_format(), 500);
    let heard = lab.ship(content, By::Push, None).await??;
    let envelope = heard.envelope.as_ref();
    let asked = envelope.is_some_and(|one| !one.success) && heard.message().contains("log in");
    // A delegate's own words are the action's.
    let delegate = matches!(lab.spec.login, Some(LoginBy::Delegate(_)));
    let failed = envelope.is_some_and(|one| !one.success);
    ensure(asked || (delegate && failed), || format!("without a login: {}", heard.text))?;
    let objects = lab.vendor.fake().objects().await;
    ensure(objects.is_empty(), || format!("an object stands there: {objects:?}"))?;
    if delegate {
        return Ok(());
    }
    // And it ends there: who logs in now is logged in.
    lab.looker.uses_login(lab.spec.name, false);
    let url = link(&lab, &form(&lab).await?)?;
    let page = through(&lab, &mut Browser::default(), &url).await?;
    ensure(page.status == 200, || format!("the login: {page:?}"))?;
    drawn(&lab, &form(&lab).await?)?;
    delivers(&lab, subject).await?;
    drawn(&lab, &form(&lab).await?)
}

/// A login that the reference hub left in Looker is as good as one of ours, and becomes one.
async fn left(subject: &Subject, shape: Shape) -> Verdict {
    for in_form in [true, false] {
        let lab = Lab::start(subject).await?;
        let (_, provider) = oauth(&lab)?;
        let granted = provider.log_in();
        lab.looker.keep(lab.spec.name, Some(shape(&granted)));
        if in_form {
            drawn(&lab, &form(&lab).await?)?;
        } else {
            delivers(&lab, subject).await?;
        }
        let kept = lab.looker.kept(lab.spec.name).unwrap_or_default();
        let clear = kept.contains(&granted.access) || kept.contains(&granted.refresh);
        ensure(kept.contains("sealed") && !clear, || format!("not sealed anew: {kept}"))?;
        delivers(&lab, subject).await?;
        drawn(&lab, &form(&lab).await?)?;
        let refreshes = provider.refreshes();
        ensure(refreshes == 0, || format!("{refreshes} renewals of a login that is good"))?;
    }
    Ok(())
}

/// A delivery that succeeds. Other cases look at what stands at the vendor.
async fn delivers(lab: &Lab, subject: &Subject) -> Result<Heard, Failure> {
    let content = lab.content(subject.text_format(), 700);
    let heard = lab.ship(content, By::Push, None).await??;
    let good = heard.envelope.as_ref().is_some_and(|one| one.success);
    ensure(good, || format!("not delivered: {}", heard.text))?;
    Ok(heard)
}

fn drawn(lab: &Lab, form: &Value) -> Verdict {
    let fields = fields(form).ok_or_else(|| Failure::new(format!("no form: {form}")))?;
    let login = matches!(lab.spec.login, Some(LoginBy::OAuth(oauth))
        if fields.iter().any(|field| field["name"] == oauth.field_name));
    ensure(!login, || format!("a login although there is one: {form}"))?;
    let switch = fields.iter().any(|field| field["name"] == "switch_account");
    ensure(switch, || format!("no way to another account: {form}"))
}

/// Once through the browser, up to Looker.
async fn through(lab: &Lab, browser: &mut Browser, url: &str) -> Result<Page, Failure> {
    let back = to_provider_and_back(lab, browser, url).await?;
    Ok(lab.looker.open(browser, &back).await?)
}

async fn to_provider_and_back(
    lab: &Lab,
    browser: &mut Browser,
    url: &str,
) -> Result<String, Failure> {
    let (_, provider) = oauth(lab)?;
    let page = lab.looker.open(browser, url).await?;
    let to = page.location.clone().filter(|_| page.status == 302);
    let to = to.ok_or_else(|| Failure::new(format!("no way to the provider: {page:?}")))?;
    let to = Url::parse(&to).map_err(|fault| Failure::new(format!("{fault}: {to}")))?;
    let back = provider.authorize(&to);
    let back = back.map_err(|why| Failure::new(format!("the provider refuses: {why}: {to}")))?;
    Ok(back.into())
}

async fn logs_in(subject: &Subject, fetches: bool) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.uses_login(lab.spec.name, fetches);
    lab.looker.keep(lab.spec.name, None);
    let url = link(&lab, &form(&lab).await?)?;
    let mut browser = Browser::default();
    let page = through(&lab, &mut browser, &url).await?;
    if fetches {
        let to = page.location.clone().filter(|_| page.status == 302);
        let to = to.ok_or_else(|| Failure::new(format!("no way back to Looker: {page:?}")))?;
        let heard = lab.looker.fetch_login(&to).await?;
        ensure(heard.status == 200, || format!("the token call: {}", heard.text))?;
    } else {
        let told = page.status == 200 && page.text.contains("close this tab");
        ensure(told, || format!("the page: {page:?}"))?;
    }
    let kept = lab.looker.kept(lab.spec.name).unwrap_or_default();
    for secret in oauth(&lab)?.1.secrets() {
        ensure(!kept.contains(&secret), || format!("Looker keeps a token in clear: {kept}"))?;
        ensure(!page.text.contains(&secret), || format!("a token on the page: {}", page.text))?;
    }
    drawn(&lab, &form(&lab).await?)?;
    delivers(&lab, subject).await?;
    let (_, provider) = oauth(&lab)?;
    let exchanges = provider.exchanges();
    ensure(exchanges == 1, || format!("{exchanges} codes were exchanged"))
}

/// What was sealed for one instance is nothing in another.
async fn moved(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    // The reference's form is sealed by the first form.
    form(&lab).await?;
    let kept = lab.looker.kept(lab.spec.name).unwrap_or_default();
    ensure(kept.contains("sealed"), || format!("not sealed anew: {kept}"))?;
    drawn(&lab, &form(&lab).await?)?;
    lab.looker.move_to("11ff11ff11ff11ff11ff11ff11ff11ff");
    link(&lab, &form(&lab).await?)?;
    Ok(())
}

/// A return in another browser than the one that began it.
async fn bound(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.uses_login(lab.spec.name, false);
    lab.looker.keep(lab.spec.name, None);
    let url = link(&lab, &form(&lab).await?)?;
    let back = to_provider_and_back(&lab, &mut Browser::default(), &url).await?;
    let page = lab.looker.open(&mut Browser::default(), &back).await?;
    let told = page.status == 403 && page.text.contains("CSRF validation failed.");
    ensure(told, || format!("another browser: {page:?}"))?;
    let kept = lab.looker.kept(lab.spec.name);
    ensure(kept.is_none(), || format!("logged in all the same: {kept:?}"))?;
    let exchanges = oauth(&lab)?.1.exchanges();
    ensure(exchanges == 0, || "the code was exchanged".into())
}

/// The same return twice.
async fn replayed(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.uses_login(lab.spec.name, false);
    lab.looker.keep(lab.spec.name, None);
    let url = link(&lab, &form(&lab).await?)?;
    let mut browser = Browser::default();
    let back = to_provider_and_back(&lab, &mut browser, &url).await?;
    // Somebody kept the cookie that is removed at the end.
    let mut hoarder = browser.clone();
    let page = lab.looker.open(&mut browser, &back).await?;
    ensure(page.status == 200, || format!("the first return: {page:?}"))?;
    for (browser, status) in [(&mut browser, 403), (&mut hoarder, 400)] {
        let page = lab.looker.open(browser, &back).await?;
        ensure(page.status == status, || format!("the same return again: {page:?}"))?;
    }
    drawn(&lab, &form(&lab).await?)
}

/// Two logins under way in one browser, finished in the other order.
async fn two_tabs(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.uses_login(lab.spec.name, false);
    lab.looker.keep(lab.spec.name, None);
    let (one, other) = (link(&lab, &form(&lab).await?)?, link(&lab, &form(&lab).await?)?);
    let mut browser = Browser::default();
    let one = to_provider_and_back(&lab, &mut browser, &one).await?;
    let other = to_provider_and_back(&lab, &mut browser, &other).await?;
    for back in [other, one] {
        let page = lab.looker.open(&mut browser, &back).await?;
        ensure(page.status == 200, || format!("a tab of two: {page:?}"))?;
    }
    drawn(&lab, &form(&lab).await?)
}

/// The user says no at the provider.
async fn declined(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.uses_login(lab.spec.name, false);
    lab.looker.keep(lab.spec.name, None);
    let url = link(&lab, &form(&lab).await?)?;
    let mut browser = Browser::default();
    let back = to_provider_and_back(&lab, &mut browser, &url).await?;
    let mut back = Url::parse(&back).map_err(|fault| Failure::new(fault.to_string()))?;
    let state = back.query_pairs().find(|(name, _)| name == "state");
    let state = state.map(|(_, value)| value.into_owned()).unwrap_or_default();
    back.query_pairs_mut()
        .clear()
        .append_pair("error", "access_denied")
        .append_pair("error_description", "<script>no</script>")
        .append_pair("state", &state);
    let page = lab.looker.open(&mut browser, back.as_str()).await?;
    let told = page.status == 400
        && page.text.contains("declined")
        && page.text.contains("log in again")
        && !page.text.contains("<script>");
    ensure(told, || format!("after a no: {page:?}"))?;
    link(&lab, &form(&lab).await?)?;
    Ok(())
}

/// Another provider's answer (RFC 9207).
async fn mixed_up(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.uses_login(lab.spec.name, false);
    lab.looker.keep(lab.spec.name, None);
    let url = link(&lab, &form(&lab).await?)?;
    let mut browser = Browser::default();
    let back = to_provider_and_back(&lab, &mut browser, &url).await?;
    let (_, provider) = oauth(&lab)?;
    let mut back = Url::parse(&back).map_err(|fault| Failure::new(fault.to_string()))?;
    let pairs: Vec<_> = back.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
    back.query_pairs_mut().clear().extend_pairs(pairs).append_pair("iss", "https://evil.example");
    let page = lab.looker.open(&mut browser, back.as_str()).await?;
    let exchanges = provider.exchanges();
    ensure(page.status == 400 && exchanges == 0, || format!("{exchanges} exchanges: {page:?}"))
}

/// A login that would end within hours is refused while the user can still do something about it.
async fn short(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.uses_login(lab.spec.name, false);
    lab.looker.keep(lab.spec.name, None);
    oauth(&lab)?.1.set_short();
    let url = link(&lab, &form(&lab).await?)?;
    let page = through(&lab, &mut Browser::default(), &url).await?;
    let told = page.status == 502 && page.text.contains("Remove this app");
    ensure(told, || format!("a login without a refresh token: {page:?}"))?;
    link(&lab, &form(&lab).await?)?;
    Ok(())
}

/// Looker's address for the login was used before: no page may say that all is well.
async fn untaken(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    lab.looker.uses_login(lab.spec.name, false);
    lab.looker.keep(lab.spec.name, None);
    let url = link(&lab, &form(&lab).await?)?;
    let mut browser = Browser::default();
    let page = through(&lab, &mut browser, &url).await?;
    ensure(page.status == 200, || format!("the first login: {page:?}"))?;
    lab.looker.keep(lab.spec.name, None);
    let page = through(&lab, &mut browser, &url).await?;
    let told = page.status == 502 && !page.text.contains("close this tab");
    ensure(told, || format!("Looker took nothing: {page:?}"))
}

/// Looker keeps a user's tokens, whose access token has expired.
fn expired(lab: &Lab) -> Result<&Provider, Failure> {
    let (_, provider) = oauth(lab)?;
    let granted = provider.log_in();
    lab.looker.keep(lab.spec.name, Some(provider.kept(&granted, true)));
    provider.expire();
    Ok(provider)
}

async fn renewed(subject: &Subject) -> Verdict {
    // In the form, and in a delivery.
    for in_form in [true, false] {
        let lab = Lab::start(subject).await?;
        let provider = expired(&lab)?;
        let before = lab.looker.kept(lab.spec.name);
        let state = if in_form {
            let form = form(&lab).await?;
            drawn(&lab, &form)?;
            form["state"].clone()
        } else {
            let heard = delivers(&lab, subject).await?;
            serde_json::from_str::<Value>(&heard.text).unwrap_or_default()["looker"]["state"]
                .clone()
        };
        let refreshes = provider.refreshes();
        ensure(refreshes == 1, || format!("{refreshes} renewals"))?;
        ensure(state["refresh_time"].as_u64().is_some_and(|time| time >= 600), || {
            format!("the new tokens are not given back with a time: {state}")
        })?;
        ensure(lab.looker.kept(lab.spec.name) != before, || "the old tokens are kept".into())?;
        // What was given back is good.
        delivers(&lab, subject).await?;
        drawn(&lab, &form(&lab).await?)?;
        let refreshes = provider.refreshes();
        ensure(refreshes == 1, || format!("{refreshes} renewals in the end"))?;
    }
    Ok(())
}

/// The vendor takes a token back before its time.
async fn refused(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let (_, provider) = oauth(&lab)?;
    provider.expire();
    let content = lab.content(subject.text_format(), 700);
    let first = lab.ship(content, By::Push, None).await??;
    let refreshes = provider.refreshes();
    ensure(refreshes == 1, || {
        format!("{refreshes} renewals after a 401 (does the stand-in ask for the token?)")
    })?;
    if !first.envelope.as_ref().is_some_and(|one| one.success) {
        // Data that flowed cannot be sent twice; the next delivery has the new token.
        let told = first.message().contains("send again");
        ensure(told, || format!("the answer: {}", first.text))?;
        delivers(&lab, subject).await?;
    }
    let refreshes = provider.refreshes();
    ensure(refreshes == 1, || format!("{refreshes} renewals in the end"))
}

/// Many deliveries at once renew once: a provider that rotates would end the login otherwise.
async fn once_for_all(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let provider = expired(&lab)?;
    let content = lab.content(subject.text_format(), 300);
    let old = lab.looker.kept(lab.spec.name);
    let shipments: Vec<_> = (0..AT_ONCE).map(|_| lab.shipment(content, By::Push)).collect();
    let all = join_all(shipments.iter().map(|shipment| lab.execute(shipment))).await;
    for heard in all {
        let heard = heard??;
        let good = heard.envelope.as_ref().is_some_and(|one| one.success);
        ensure(good, || format!("one of {AT_ONCE}: {}", heard.text))?;
    }
    // One that comes late, with the old state.
    lab.looker.keep(lab.spec.name, old);
    let heard = lab.execute(&lab.shipment(content, By::Push)).await??;
    ensure(heard.envelope.as_ref().is_some_and(|one| one.success), || heard.text.clone())?;
    let refreshes = provider.refreshes();
    ensure(refreshes == 1 && !provider.was_reused(), || {
        format!("{refreshes} renewals, used twice: {}", provider.was_reused())
    })
}

/// A login that the user took back: said once, offered anew, and asked for no more.
async fn revoked(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let provider = expired(&lab)?;
    provider.revoke();
    let content = lab.content(subject.text_format(), 700);
    let heard = lab.ship(content, By::Push, None).await??;
    let envelope = heard.envelope.clone().unwrap_or_default();
    let code = envelope.error.as_ref().map(|error| error.status_code.as_str());
    ensure(!envelope.success && code == Some("UNAUTHENTICATED"), || heard.text.clone())?;
    ensure(heard.message().contains("log in again"), || heard.text.clone())?;
    let state = envelope.state.map(|state| state.data);
    ensure(state.as_deref() == Some("reset"), || format!("the state is not reset: {state:?}"))?;
    link(&lab, &form(&lab).await?)?;
    let refreshes = provider.refreshes();
    ensure(refreshes == 1, || format!("{refreshes} renewals"))?;
    // The same, found out by the form.
    let provider = expired(&lab)?;
    provider.revoke();
    let form = form(&lab).await?;
    link(&lab, &form)?;
    ensure(form["state"]["data"] == json!("reset"), || format!("not reset: {form}"))
}

/// The provider is down: the login is kept, whatever fails meanwhile.
async fn down(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let provider = expired(&lab)?;
    let before = lab.looker.kept(lab.spec.name);
    let sealed = |state: Option<String>| state.is_some_and(|one| one.contains("sealed"));
    provider.set_down(true);
    let content = lab.content(subject.text_format(), 700);
    let heard = lab.ship(content, By::Push, None).await??;
    let failed = heard.envelope.as_ref().is_some_and(|one| !one.success);
    ensure(failed && heard.message().contains("kept"), || heard.text.clone())?;
    form(&lab).await?;
    let now = lab.looker.kept(lab.spec.name);
    // Sealed anew it may be.
    ensure(now == before || sealed(now.clone()), || format!("the login is lost: {now:?}"))?;
    provider.set_down(false);
    delivers(&lab, subject).await?;
    drawn(&lab, &form(&lab).await?)
}

/// Looker's test of a delegated login.
async fn connections(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let mut settings = lab.settings.clone();
    settings.0.insert("test".to_owned(), "true".to_owned());
    let (_, form) = lab.looker.form(lab.spec.name, &settings, None).await?;
    let fields = fields(&form).ok_or_else(|| Failure::new(format!("no form: {form}")))?;
    ensure(!fields.is_empty(), || "no workspace is connected".into())?;
    let mut known = HashSet::new();
    for field in fields {
        let value = field["value"].as_str().unwrap_or_default();
        let value: Value = serde_json::from_str(value).unwrap_or_default();
        let id = value["installation_id"].as_str().unwrap_or_default();
        let right = field["name"] == "Connected"
            && field["type"] == "message"
            && !value["installation_name"].as_str().unwrap_or_default().is_empty()
            && !id.is_empty()
            && known.insert(id.to_owned());
        ensure(right, || format!("a workspace reads {field}"))?;
    }
    lab.looker.keep(lab.spec.name, None);
    let (_, form) = lab.looker.form(lab.spec.name, &settings, None).await?;
    ensure(form["error"].is_string(), || format!("nothing is connected: {form}"))
}
