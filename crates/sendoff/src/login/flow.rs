//! The way of a login through the browser: from Looker's form to the provider and back, and the
//! token call of version 2.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use super::link::{Back, Link};
use super::seal::{self, IN_TRANSIT, Purpose, Seal, Unsealed};
use super::{Desk, LoginBy, OAuth, state};
use crate::egress::Egress;
use crate::spec::Spec;
use crate::{Class, Error, Result};

/// One login cookie for each login under way, so that two tabs do not disturb each other.
const COOKIE: &str = "sendoff_login_";
/// In front of it where the hub is reached by https: a browser takes such a cookie from this very
/// host alone, so that nobody who holds a neighbouring host can plant one
/// (<https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-the-__host-prefix>).
const OF_THIS_HOST: &str = "__Host-";
/// Words of the provider's that a page shows at most.
const WORDS: usize = 200;

/// An action's login, and where the browser reaches it.
pub(crate) struct Place<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) egress: &'a Egress,
    pub(crate) spec: &'a Spec,
    pub(crate) base: &'a str,
}

/// What the browser is answered.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) turn: Turn,
    /// `Set-Cookie`.
    pub(crate) cookie: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Turn {
    /// On to this address.
    Redirect(String),
    /// A page for the user: what happened, and what to do.
    Page { status: StatusCode, title: &'static str, text: String },
}

/// What goes to the provider and back as `state`.
#[derive(Serialize, Deserialize)]
struct Trip {
    #[serde(rename = "l")]
    link: Link,
    /// Names the cookie.
    #[serde(rename = "c")]
    id: String,
    /// What the cookie holds in the browser that began the login.
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    verifier: Option<String>,
    #[serde(rename = "r")]
    redirect_uri: String,
}

/// A code on its way through Looker.
#[derive(Serialize, Deserialize)]
struct Code {
    #[serde(rename = "c")]
    code: String,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    verifier: Option<String>,
    #[serde(rename = "r")]
    redirect_uri: String,
    #[serde(rename = "i")]
    instance: String,
}

/// What the provider sent the browser back with.
#[derive(Debug, Default)]
pub(crate) struct Returned {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    description: Option<String>,
    issuer: Option<String>,
}

impl Returned {
    pub(crate) fn of_query(query: &str) -> Self {
        let mut returned = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "code" => &mut returned.code,
                "state" => &mut returned.state,
                "error" => &mut returned.error,
                "error_description" => &mut returned.description,
                "iss" => &mut returned.issuer,
                _ => continue,
            };
            *slot = Some(value.into_owned());
        }
        returned
    }
}

impl Leg {
    /// The hub is full or ends. Nothing was used up.
    pub(crate) fn not_now() -> Self {
        page(
            StatusCode::SERVICE_UNAVAILABLE,
            "Not logged in yet",
            "This action hub cannot finish the login right now. Reload this page in a minute.",
        )
    }
}

const AGAIN: &str = "Go back to Looker, reload the form and log in again.";

fn page(status: StatusCode, title: &'static str, text: impl Into<String>) -> Leg {
    Leg { turn: Turn::Page { status, title, text: text.into() }, cookie: None }
}

fn not_logged_in(text: impl Into<String>) -> Leg {
    page(StatusCode::BAD_REQUEST, "Not logged in", text)
}

impl Place<'_> {
    fn oauth(&self) -> Option<OAuth> {
        match self.spec.login {
            Some(LoginBy::OAuth(oauth)) => Some(oauth),
            _ => None,
        }
    }

    /// The first leg: from Looker's form on to the provider.
    pub(crate) fn begin(&self, sealed: &str) -> Leg {
        self.try_begin(sealed).unwrap_or_else(|leg| leg)
    }

    fn try_begin(&self, sealed: &str) -> Result<Leg, Leg> {
        let (oauth, (client, _)) = self.client()?;
        let link: Link = self.open(Purpose::Link, sealed)?;
        if link.back == Back::Nowhere {
            return Err(not_logged_in(
                "Looker did not say where the login is to go. Open the form from a Look's or \
                 dashboard's Send or Schedule dialog, and log in from there.",
            ));
        }
        let random = |bytes: usize| {
            let mut random = vec![0; bytes];
            seal::fill(&mut random).map_err(|error| broken(&error))?;
            Ok::<_, Leg>(base64_simd::URL_SAFE_NO_PAD.encode_to_string(&random))
        };
        let (id, nonce) = (random(6)?, random(24)?);
        let verifier = if oauth.pkce { Some(random(48)?) } else { None };
        let redirect_uri = self.redirect_uri();
        let trip = Trip { link, id, nonce, verifier, redirect_uri };
        let state = self.seal(Purpose::Trip, &trip)?;
        let mut to = Url::parse(oauth.authorize_url)
            .map_err(|fault| broken(&Error::hub("The authorize URL is no URL.").cause(fault)))?;
        self.egress.redirect_origin(&mut to);
        {
            let mut query = to.query_pairs_mut();
            query.append_pair("response_type", "code");
            query.append_pair("client_id", client);
            query.append_pair("redirect_uri", &trip.redirect_uri);
            if !oauth.scopes.is_empty() {
                query.append_pair("scope", &oauth.scopes.join(oauth.scope_separator));
            }
            query.append_pair("state", &state);
            if let Some(verifier) = &trip.verifier {
                let challenge = Sha256::digest(verifier);
                let challenge = base64_simd::URL_SAFE_NO_PAD.encode_to_string(challenge);
                query.append_pair("code_challenge", &challenge);
                query.append_pair("code_challenge_method", "S256");
            }
            query.extend_pairs(oauth.authorize_params);
        }
        tracing::info!(action = self.spec.name, instance = trip.link.instance, "login begun");
        let cookie = cookie(&trip, &trip.nonce, IN_TRANSIT.as_secs());
        Ok(Leg { turn: Turn::Redirect(to.into()), cookie: Some(cookie) })
    }

    /// The second leg: back from the provider. `cookies` are the values of the `Cookie` headers.
    pub(crate) async fn finish<'c>(
        &self,
        returned: Returned,
        cookies: impl Iterator<Item = &'c str> + Send,
    ) -> Leg {
        let trip = match self.trip(&returned, cookies) {
            Ok(trip) => trip,
            Err(leg) => return leg,
        };
        let mut leg = match self.arrive(&trip, returned).await {
            Ok(leg) | Err(leg) => leg,
        };
        // The login is over, and its cookie with it: the same return is refused from now on.
        leg.cookie = Some(cookie(&trip, "", 0));
        leg
    }

    /// The login that the browser comes back from, if it is the browser that began it.
    fn trip<'c>(
        &self,
        returned: &Returned,
        cookies: impl Iterator<Item = &'c str>,
    ) -> Result<Trip, Leg> {
        self.client()?;
        let trip: Trip = self.open(Purpose::Trip, returned.state.as_deref().unwrap_or_default())?;
        let name = cookie_name(&trip.id, &trip.redirect_uri);
        let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|one| one.split_once('='));
        let mut mine = subtle::Choice::from(0);
        for (_, value) in pairs.filter(|(known, _)| known.trim() == name) {
            mine |= value.trim().as_bytes().ct_eq(trip.nonce.as_bytes());
        }
        if bool::from(mine) {
            return Ok(trip);
        }
        tracing::warn!(action = self.spec.name, "login refused: not the browser that began it");
        Err(page(
            StatusCode::FORBIDDEN,
            "CSRF validation failed.",
            format!(
                "This login was begun in another browser, was finished before, or this browser \
                 keeps no cookies. Nobody was logged in. {AGAIN}"
            ),
        ))
    }

    async fn arrive(&self, trip: &Trip, returned: Returned) -> Result<Leg, Leg> {
        let label = self.spec.label;
        let oauth = self.oauth().ok_or_else(|| self.no_login())?;
        if let (Some(wanted), Some(issuer)) = (oauth.issuer, &returned.issuer)
            && wanted != issuer
        {
            return Err(not_logged_in(format!(
                "The answer came from another login service than {label}'s. Nobody was logged in. \
                 {AGAIN}"
            )));
        }
        match (returned.error.as_deref(), returned.code) {
            (None, Some(code)) if !code.is_empty() => match &trip.link.back {
                Back::Fetched(url) => self.hand_over(trip, code, url),
                Back::Posted(url) => self.post(trip, &code, url).await,
                Back::Nowhere => Err(not_logged_in(AGAIN)),
            },
            (Some("access_denied"), _) => Err(not_logged_in(format!(
                "{label} was not given access, because the request was declined there. If that was \
                 a mistake: {AGAIN}"
            ))),
            (Some(error), _) => {
                let words = returned.description.as_deref().unwrap_or(error);
                let words: String = words.chars().filter(|c| !c.is_control()).take(WORDS).collect();
                Err(not_logged_in(format!("{label} did not log you in: {words}. {AGAIN}")))
            }
            (None, _) => Err(not_logged_in(format!("{label} sent no code. {AGAIN}"))),
        }
    }

    /// Version 2: on to Looker, which has the code exchanged.
    fn hand_over(&self, trip: &Trip, code: String, url: &str) -> Result<Leg, Leg> {
        let code = Code {
            code,
            verifier: trip.verifier.clone(),
            redirect_uri: trip.redirect_uri.clone(),
            instance: trip.link.instance.clone(),
        };
        let sealed = self.seal(Purpose::Code, &code)?;
        let mut to = self.desk.hosts.check(url).map_err(|error| broken(&error))?;
        with_state(&mut to, &sealed);
        tracing::info!(action = self.spec.name, "login handed over to Looker");
        Ok(Leg { turn: Turn::Redirect(to.into()), cookie: None })
    }

    /// Version 1: the tokens go to Looker.
    async fn post(&self, trip: &Trip, code: &str, url: &str) -> Result<Leg, Leg> {
        let url = self.desk.hosts.check(url).map_err(|error| broken(&error))?;
        let exchange = self.desk.exchange(self.egress, self.spec).ok_or_else(|| self.no_login())?;
        let tokens = exchange
            .code(code, trip.verifier.as_deref(), &trip.redirect_uri)
            .await
            .map_err(|refusal| broken(&refusal.error()))?;
        let object = state::write(self.desk, self.spec.name, &trip.link.instance, &tokens)
            .map_err(|error| broken(&error))?;
        self.egress.give_state(&url, &object).await.map_err(|error| {
            tracing::warn!(action = self.spec.name, error = error.log_line(), "login not stored");
            page(
                StatusCode::BAD_GATEWAY,
                "Not logged in",
                format!(
                    "{} logged you in, but Looker did not take the login: {error} {AGAIN}",
                    self.spec.label
                ),
            )
        })?;
        tracing::info!(action = self.spec.name, "logged in");
        Ok(page(
            StatusCode::OK,
            "Logged in",
            format!(
                "You are logged in to {}. You may close this tab and return to Looker. There, \
                 press the form's button to go on.",
                self.spec.label
            ),
        ))
    }

    /// The token call of version 2: Looker brings the sealed code and gets what it is to keep.
    ///
    /// # Errors
    /// A sentence for whoever reads Looker's log.
    pub(crate) async fn token(&self, sealed: &str, instance: Option<&str>) -> Result<Value> {
        let seal = Seal { purpose: Purpose::Code, action: self.spec.name, instance: "" };
        let opened = self.desk.ring.open(seal, sealed).map_err(|why| match why {
            Unsealed::Expired => {
                Error::looker("This login is older than ten minutes: log in again.")
            }
            _ => Error::looker("This login was not begun here, or was altered on its way."),
        })?;
        let code: Code = serde_json::from_slice(&opened.text)
            .map_err(|_| Error::looker("This login cannot be read."))?;
        if instance.is_some_and(|instance| instance != code.instance) {
            return Err(Error::looker("This login was begun by another Looker instance."));
        }
        let none = || Error::hub(format!("{} has no login of its own.", self.spec.label));
        let exchange = self.desk.exchange(self.egress, self.spec).ok_or_else(none)?;
        let tokens = exchange
            .code(&code.code, code.verifier.as_deref(), &code.redirect_uri)
            .await
            .map_err(|refusal| refusal.error())?;
        let object = state::write(self.desk, self.spec.name, &code.instance, &tokens)?;
        tracing::info!(action = self.spec.name, "logged in");
        Ok(object)
    }

    fn redirect_uri(&self) -> String {
        format!("{}/actions/{}/oauth_redirect", self.base, self.spec.name)
    }

    fn client(&self) -> Result<(OAuth, &(String, crate::Secret)), Leg> {
        let client = self.desk.clients.get(self.spec.name);
        self.oauth().zip(client).ok_or_else(|| self.no_login())
    }

    fn no_login(&self) -> Leg {
        let label = self.spec.label;
        page(StatusCode::NOT_FOUND, "No login here", format!("{label} has no login in this hub."))
    }

    fn seal(&self, purpose: Purpose, what: &impl Serialize) -> Result<String, Leg> {
        let json = serde_json::to_vec(what)
            .map_err(|fault| broken(&Error::hub("A login could not be written.").cause(fault)))?;
        let seal = Seal { purpose, action: self.spec.name, instance: "" };
        self.desk.ring.seal(seal, &json).map_err(|error| broken(&error))
    }

    fn open<T: serde::de::DeserializeOwned>(
        &self,
        purpose: Purpose,
        sealed: &str,
    ) -> Result<T, Leg> {
        let seal = Seal { purpose, action: self.spec.name, instance: "" };
        let opened = self.desk.ring.open(seal, sealed).map_err(|why| {
            not_logged_in(match why {
                Unsealed::Expired => {
                    format!("This login link was good for ten minutes, which are over. {AGAIN}")
                }
                _ => format!("This is no login link of this hub, or it was altered. {AGAIN}"),
            })
        })?;
        serde_json::from_slice(&opened.text)
            .map_err(|_| not_logged_in(format!("This login link cannot be read. {AGAIN}")))
    }
}

/// Looker's address may hold a `state` of its own, which ours takes the place of.
fn with_state(url: &mut Url, sealed: &str) {
    let others = url.query_pairs().filter(|(name, _)| name != "state");
    let others: Vec<_> =
        others.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("state", sealed);
}

fn is_https(redirect_uri: &str) -> bool {
    redirect_uri.starts_with("https://")
}

fn cookie_name(id: &str, redirect_uri: &str) -> String {
    let prefix = if is_https(redirect_uri) { OF_THIS_HOST } else { "" };
    format!("{prefix}{COOKIE}{id}")
}

/// For the second leg of this login, `seconds` from now.
fn cookie(trip: &Trip, value: &str, seconds: u64) -> String {
    let (name, to) = (cookie_name(&trip.id, &trip.redirect_uri), &trip.redirect_uri);
    let (path, secure) = if is_https(to) {
        // The prefix asks for both.
        ("/".to_owned(), "; Secure")
    } else {
        (Url::parse(to).map_or_else(|_| "/".to_owned(), |url| url.path().to_owned()), "")
    };
    format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// A failure on this hub's or the provider's side, as a page.
fn broken(error: &Error) -> Leg {
    tracing::warn!(error = error.log_line(), "login failed");
    let status = match error.class() {
        Class::Login => StatusCode::BAD_REQUEST,
        Class::Hub => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_GATEWAY,
    };
    page(status, "Not logged in", format!("{error} {AGAIN}"))
}
