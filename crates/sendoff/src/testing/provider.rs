//! A stand-in for a vendor's login service: strict about what it is asked, as the standards are.
//!
//! RFC 6749 sections 4.1 and 6, RFC 7636 section 4, RFC 9207, and RFC 9700 section 4.14.2 for the
//! refresh tokens: each is good once, and one that comes back ends the whole login. Read on
//! 2026-11-25.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Response, StatusCode, request};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use crate::{ClientAuth, OAuth};

const CLIENT: &str = "client-of-the-suite";
const CLIENT_SECRET: &str = "canary-of-the-client's-secret";
/// Seconds that an access token lives.
const LIFE: u64 = 3_600;

/// A vendor's login service, for a [`Fake`](super::Fake) whose action logs in.
///
/// The fake keeps one, names it in [`Fake::provider`](super::Fake::provider), and refuses requests
/// whose token it does not [know](Self::knows). The suite does the rest.
pub struct Provider {
    oauth: OAuth,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    codes: HashMap<String, Asked>,
    logins: Vec<Login>,
    refreshes: usize,
    exchanges: usize,
    reused: bool,
    down: bool,
    life: Option<u64>,
    short: bool,
}

/// What a code was given for.
#[derive(Clone)]
struct Asked {
    redirect_uri: String,
    challenge: Option<String>,
}

/// One user's login.
#[derive(Default)]
struct Login {
    access: Vec<String>,
    /// The last one is good, the others were used.
    refresh: Vec<String>,
    revoked: bool,
}

/// What a user's login gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

impl Provider {
    /// The service that `oauth` names.
    pub fn new(oauth: OAuth) -> Self {
        Self { oauth, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id and the secret by which it knows the hub.
    pub fn client(&self) -> (&'static str, &'static str) {
        (CLIENT, CLIENT_SECRET)
    }

    /// The origin of its token URL.
    pub fn origin(&self) -> String {
        Url::parse(self.oauth.token_url).map_or_else(|_| String::new(), |url| origin(&url))
    }

    /// A user logs in: the tokens that the hub would have got.
    pub fn log_in(&self) -> Granted {
        let granted = Granted { access: fresh("access"), refresh: fresh("refresh") };
        self.state().logins.push(Login {
            access: vec![granted.access.clone()],
            refresh: vec![granted.refresh.clone()],
            revoked: false,
        });
        granted
    }

    /// What Looker keeps for such a user, in the reference hub's form. An access token that has
    /// expired did so a minute ago.
    pub fn kept(&self, granted: &Granted, expired: bool) -> String {
        let now = jiff::Timestamp::now().as_millisecond();
        let expiry = if expired { now - 60_000 } else { now + 3_600_000 };
        json!({
            "tokens": {
                "access_token": granted.access,
                "refresh_token": granted.refresh,
                "expiry_date": expiry,
            },
            "redirect": "https://hub.example/back",
        })
        .to_string()
    }

    /// Whether the request carries an access token that is good.
    pub fn knows(&self, headers: &HeaderMap) -> bool {
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
            return false;
        };
        self.state().logins.iter().any(|login| login.access.iter().any(|good| good == token))
    }

    /// No access token given so far is good any more.
    pub fn expire(&self) {
        self.state().logins.iter_mut().for_each(|login| login.access.clear());
    }

    /// Every user takes the access back.
    pub fn revoke(&self) {
        for login in &mut self.state().logins {
            login.access.clear();
            login.revoked = true;
        }
    }

    /// From now on it fails, or works again.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// How many seconds the access tokens live that it gives from now on.
    pub fn set_life(&self, seconds: u64) {
        self.state().life = Some(seconds);
    }

    /// From now on it gives no refresh tokens, as some do to whom they gave one before.
    pub fn set_short(&self) {
        self.state().short = true;
    }

    /// Refreshes asked for, granted or not.
    pub fn refreshes(&self) -> usize {
        self.state().refreshes
    }

    /// Codes exchanged.
    pub fn exchanges(&self) -> usize {
        self.state().exchanges
    }

    /// Whether a refresh token came that had been used: that ended its login.
    pub fn was_reused(&self) -> bool {
        self.state().reused
    }

    /// The user's browser arrives, and the user agrees: where it is sent back to.
    ///
    /// # Errors
    /// What the service would show in place of its login page.
    pub fn authorize(&self, url: &Url) -> Result<Url, String> {
        let wanted = Url::parse(self.oauth.authorize_url).map_err(|fault| fault.to_string())?;
        if url.path() != wanted.path() {
            return Err(format!("no login page at {}", url.path()));
        }
        let pairs: HashMap<String, String> = url.query_pairs().into_owned().collect();
        if pairs.len() != url.query_pairs().count() {
            return Err("a parameter stands there twice".to_owned());
        }
        let get = |name: &str| pairs.get(name).map(String::as_str).unwrap_or_default();
        let is = |name: &str, value: &str| {
            if get(name) == value { Ok(()) } else { Err(format!("{name} is {:?}", get(name))) }
        };
        is("response_type", "code")?;
        is("client_id", CLIENT)?;
        is("scope", &self.oauth.scopes.join(self.oauth.scope_separator))?;
        for (name, value) in self.oauth.authorize_params {
            is(name, value)?;
        }
        if get("state").is_empty() {
            return Err("state is missing".to_owned());
        }
        let challenge = pairs.get("code_challenge").cloned();
        if self.oauth.pkce {
            is("code_challenge_method", "S256")?;
            // The SHA-256 in base64.
            if challenge.as_ref().is_none_or(|challenge| challenge.len() != 43) {
                return Err(format!("code_challenge is {challenge:?}"));
            }
        }
        let mut back = Url::parse(get("redirect_uri")).map_err(|_| "redirect_uri is no URL")?;
        let code = fresh("code");
        let asked = Asked { redirect_uri: get("redirect_uri").to_owned(), challenge };
        self.state().codes.insert(code.clone(), asked);
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", get("state"));
        if let Some(issuer) = self.oauth.issuer {
            back.query_pairs_mut().append_pair("iss", issuer);
        }
        Ok(back)
    }

    /// Whether a request is for the token URL.
    pub(super) fn is_asked<B>(&self, request: &http::Request<B>) -> bool {
        let Ok(url) = Url::parse(self.oauth.token_url) else { return false };
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        host == Some(authority) && request.uri().path() == url.path()
    }

    /// Answers a request to the token URL.
    pub fn token(&self, head: &request::Parts, body: &[u8]) -> Response<Bytes> {
        if self.state().down {
            return answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "down_for_repair"}));
        }
        match self.try_token(head, body) {
            Ok(granted) => {
                let life = self.state().life.unwrap_or(LIFE);
                let mut object = json!({
                    "access_token": granted.access, "refresh_token": granted.refresh,
                    "token_type": "Bearer", "expires_in": life,
                });
                if self.state().short {
                    object["refresh_token"] = serde_json::Value::Null;
                }
                for name in self.oauth.keep {
                    object[name] = json!(format!("the {name} of the suite"));
                }
                answer(StatusCode::OK, &object)
            }
            Err((error, words)) => {
                let status = match error {
                    "invalid_client" => StatusCode::UNAUTHORIZED,
                    _ => StatusCode::BAD_REQUEST,
                };
                answer(status, &json!({"error": error, "error_description": words}))
            }
        }
    }

    fn try_token(&self, head: &request::Parts, body: &[u8]) -> Result<Granted, Fault> {
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if head.method != http::Method::POST || kind != Some("application/x-www-form-urlencoded") {
            return Err(("invalid_request", "A form is posted here.".to_owned()));
        }
        if head.uri.query().is_some() {
            return Err(("invalid_request", "Secrets do not stand in URLs.".to_owned()));
        }
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(body).into_owned().collect();
        let get = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        self.check_client(&head.headers, get("client_id"), get("client_secret"))?;
        match get("grant_type") {
            "authorization_code" => {
                self.state().exchanges += 1;
                let asked = self.state().codes.remove(get("code"));
                let spent = || ("invalid_grant", "The code was used or is not known.".to_owned());
                let asked = asked.ok_or_else(spent)?;
                if asked.redirect_uri != get("redirect_uri") {
                    return Err(("invalid_grant", "The redirect_uri is another one.".to_owned()));
                }
                if let Some(challenge) = &asked.challenge {
                    let verifier = get("code_verifier");
                    let hash = Sha256::digest(verifier);
                    let hash = base64_simd::URL_SAFE_NO_PAD.encode_to_string(hash);
                    if !(43..=128).contains(&verifier.len()) || hash != *challenge {
                        let words = "The code_verifier does not fit.".to_owned();
                        return Err(("invalid_grant", words));
                    }
                }
                Ok(self.log_in())
            }
            "refresh_token" => self.refresh(get("refresh_token")),
            other => Err(("unsupported_grant_type", format!("No grant {other:?} here."))),
        }
    }

    fn check_client(&self, headers: &HeaderMap, id: &str, secret: &str) -> Result<(), Fault> {
        let pair = base64_simd::STANDARD.encode_to_string({
            let encode = |text: &str| -> String {
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
            };
            format!("{}:{}", encode(CLIENT), encode(CLIENT_SECRET))
        });
        let basic = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let known = match self.oauth.client_auth {
            ClientAuth::Basic => basic == Some(&format!("Basic {pair}")) && secret.is_empty(),
            ClientAuth::Body => basic.is_none() && id == CLIENT && secret == CLIENT_SECRET,
        };
        if known { Ok(()) } else { Err(("invalid_client", "Who are you?".to_owned())) }
    }

    fn refresh(&self, token: &str) -> Result<Granted, Fault> {
        let mut state = self.state();
        state.refreshes += 1;
        let ended = || ("invalid_grant", "Token has been expired or revoked.".to_owned());
        let place = state.logins.iter().position(|one| one.refresh.iter().any(|r| r == token));
        let login = &mut state.logins[place.ok_or_else(ended)?];
        if login.revoked {
            return Err(ended());
        }
        if login.refresh.last().is_none_or(|good| good != token) {
            login.revoked = true;
            login.access.clear();
            state.reused = true;
            return Err(ended());
        }
        let granted = Granted { access: fresh("access"), refresh: fresh("refresh") };
        login.access.push(granted.access.clone());
        login.refresh.push(granted.refresh.clone());
        Ok(granted)
    }

    /// Every token and code that it has given, and the client's secret.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.state();
        let tokens =
            state.logins.iter().flat_map(|login| login.access.iter().chain(&login.refresh));
        let codes = state.codes.keys();
        tokens.chain(codes).cloned().chain([CLIENT_SECRET.to_owned()]).collect()
    }
}

type Fault = (&'static str, String);

fn fresh(what: &str) -> String {
    format!("canary-{what}-{}", uuid::Uuid::new_v4().simple())
}

fn origin(url: &Url) -> String {
    url[..url::Position::BeforePath].to_owned()
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
