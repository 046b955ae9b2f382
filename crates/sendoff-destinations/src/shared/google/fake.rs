//! Stand-ins for what Google's services have in common: the token endpoint and sessions of
//! resumable uploads.
//!
//! Written from <https://developers.google.com/identity/protocols/oauth2/service-account>,
//! <https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable> and
//! <https://docs.cloud.google.com/storage/docs/performing-resumable-uploads> as they were on
//! 25 November 2026.

#![allow(clippy::result_large_err, reason = "an answer is an answer, whichever side it is on")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use jiff::Timestamp;
use md5::Md5;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use sendoff::ByteStream;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::service_account::TOKEN_URL;
use crate::shared::aws::hex;
use crate::shared::in_order;

pub(crate) type Answer = Result<Response<Bytes>, Response<Bytes>>;

/// The key of a service account that exists nowhere.
pub(crate) const KEY: &str = include_str!("test_key.pem");
pub(crate) const EMAIL: &str = "looker@sendoff-demo.iam.gserviceaccount.com";

/// Pieces are multiples of this, but for the last.
const UNIT: usize = 256 * 1024;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the token endpoint has given out.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<Vec<(String, Value)>>);

impl Tokens {
    /// `POST https://oauth2.googleapis.com/token` with a service account's assertion.
    pub(crate) async fn grant(&self, headers: &HeaderMap, body: ByteStream) -> Answer {
        let refuse = |code: &str, why: &str| {
            let body = json!({"error": code, "error_description": why});
            answer(400, &body)
        };
        let form = headers.get("content-type");
        if form.is_none_or(|form| form != "application/x-www-form-urlencoded") {
            return Err(refuse("invalid_request", "Bad content type."));
        }
        let (text, _) = in_order::text(body).await.ok_or_else(incomplete)?;
        let asked = |name: &str| {
            let pair = url::form_urlencoded::parse(text.as_bytes()).find(|(each, _)| each == name);
            pair.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        if asked("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
            return Err(refuse("unsupported_grant_type", "Invalid grant_type."));
        }
        let claims = claims(&asked("assertion"))
            .ok_or_else(|| refuse("invalid_grant", "Invalid JWT Signature."))?;
        let (now, seconds) = (Timestamp::now().as_second(), |name| claims[name].as_i64());
        let (begins, ends) = (seconds("iat").unwrap_or(0), seconds("exp").unwrap_or(0));
        if (now - begins).abs() > 300 || ends <= now || ends - begins > 3600 {
            return Err(refuse(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable \
                 timeframe. Check your iat and exp values in the JWT claim.",
            ));
        }
        if claims["iss"] != EMAIL {
            return Err(refuse("invalid_grant", "Invalid grant: account not found"));
        }
        if claims["aud"] != TOKEN_URL {
            return Err(refuse("invalid_grant", "Invalid JWT: Failed audience check."));
        }
        if claims["scope"].as_str().is_none_or(str::is_empty) {
            return Err(refuse("invalid_scope", "Empty or missing scope not allowed."));
        }
        let mut given = lock(&self.0);
        let token = format!("ya29.c.canary-{}-token", given.len());
        given.push((token.clone(), claims));
        Ok(answer(200, &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})))
    }

    /// The metadata service of the machine that a program runs on
    /// (<https://docs.cloud.google.com/compute/docs/metadata/querying-metadata>).
    pub(crate) fn of_machine(&self, headers: &HeaderMap, path: &str) -> Answer {
        if headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
            return Err(refusal(403, "forbidden", "Missing Metadata-Flavor:Google header."));
        }
        match path.strip_prefix("/computeMetadata/v1") {
            Some("/project/project-id") => {
                let mut project = answer(200, &Value::Null);
                *project.body_mut() = "sendoff-demo".into();
                Ok(project)
            }
            Some("/instance/service-accounts/default/token") => {
                let mut given = lock(&self.0);
                let token = format!("ya29.c.canary-{}-machine", given.len());
                given.push((token.clone(), json!({"iss": EMAIL})));
                let lives = json!({"access_token": token, "expires_in": 3599});
                Ok(answer(200, &lives))
            }
            _ => Err(refusal(404, "notFound", "Not Found")),
        }
    }

    /// Whom the request's token belongs to: the assertion's claims.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<Value, Response<Bytes>> {
        let given = headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default();
        let known = lock(&self.0);
        let found = known.iter().find(|(each, _)| each == token);
        found.map(|(_, claims)| claims.clone()).ok_or_else(|| {
            refusal(
                401,
                "authError",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, \
                 login cookie or other valid authentication credential.",
            )
        })
    }
}

/// The claims of an assertion whose signature is right.
fn claims(assertion: &str) -> Option<Value> {
    let (text, signature) = assertion.rsplit_once('.')?;
    let (head, claims) = text.split_once('.')?;
    let url = base64_simd::URL_SAFE_NO_PAD;
    let json = |part: &str| serde_json::from_slice::<Value>(&url.decode_to_vec(part).ok()?).ok();
    if json(head)? != json!({"alg": "RS256", "typ": "JWT"}) {
        return None;
    }
    let key: String = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = RsaKeyPair::from_pkcs8(&base64_simd::STANDARD.decode_to_vec(key).ok()?).ok()?;
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public());
    public.verify(text.as_bytes(), &url.decode_to_vec(signature).ok()?).ok()?;
    json(claims)
}

/// A file as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uploaded {
    pub(crate) bytes: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
    pub(crate) md5: Vec<u8>,
}

impl Uploaded {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
            md5: Md5::digest(bytes).to_vec(),
        }
    }
}

/// Sessions of uploads; `M` is what each was begun with.
pub(crate) struct Sessions<M>(Mutex<Open<M>>);

struct Open<M> {
    begun: u64,
    sessions: BTreeMap<String, Arc<Session<M>>>,
}

struct Session<M> {
    about: M,
    state: Mutex<Received>,
}

#[derive(Default)]
struct Received {
    bytes: u64,
    sha256: Sha256,
    md5: Md5,
    finished: Option<Value>,
}

impl<M> Default for Sessions<M> {
    fn default() -> Self {
        Self(Mutex::new(Open { begun: 0, sessions: BTreeMap::new() }))
    }
}

/// `Content-Range` of a PUT.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    /// First and last byte.
    bytes: Option<(u64, u64)>,
    total: Option<u64>,
}

impl Range {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("content-range")?.to_str().ok()?.strip_prefix("bytes ")?;
        let (bytes, total) = text.split_once('/')?;
        let bytes = match bytes {
            "*" => None,
            range => {
                let (first, last) = range.split_once('-')?;
                Some((first.parse().ok()?, last.parse().ok()?))
            }
        };
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        Some(Self { bytes, total })
    }
}

impl<M> Sessions<M> {
    /// Begins one; `url` is the request's own address.
    pub(crate) fn begin(&self, url: &str, about: M) -> Response<Bytes> {
        let mut open = lock(&self.0);
        open.begun += 1;
        let id = format!("ABPtcPo-canary-session-{}", open.begun);
        let session = Session { about, state: Mutex::default() };
        open.sessions.insert(id.clone(), Arc::new(session));
        let mut response = answer(200, &Value::Null);
        *response.body_mut() = Bytes::new();
        if let Ok(location) = HeaderValue::from_str(&format!("{url}&upload_id={id}")) {
            response.headers_mut().insert("location", location);
        }
        response
    }

    /// A request to a session. `store` makes the file visible and says what it is.
    pub(crate) async fn handle(
        &self,
        id: &str,
        (method, headers, body): (&Method, &HeaderMap, ByteStream),
        store: impl FnOnce(&M, Uploaded) -> Answer,
    ) -> Answer {
        let session = lock(&self.0).sessions.get(id).cloned();
        let session = session.ok_or_else(|| {
            let mut gone = refusal(404, "notFound", "");
            *gone.body_mut() = "Not Found".into();
            gone
        })?;
        match *method {
            Method::PUT => {}
            Method::DELETE if lock(&session.state).finished.is_none() => {
                length_of(headers)?;
                lock(&self.0).sessions.remove(id);
                return Ok(bare(499));
            }
            _ => return Err(refusal(405, "methodNotAllowed", "The method is not allowed.")),
        }
        let length = length_of(headers)?;
        let range = Range::read(headers)
            .ok_or_else(|| refusal(400, "badContent", "Failed to parse Content-Range header."))?;
        if let Some(finished) = &lock(&session.state).finished {
            return Ok(answer(200, finished));
        }
        session.take(&range, length, body).await?;
        session.end(&range, store)
    }

    /// Those that were neither finished nor cancelled.
    pub(crate) fn left(&self) -> Vec<String> {
        let open = lock(&self.0);
        let unfinished = |session: &Session<M>| lock(&session.state).finished.is_none();
        open.sessions
            .iter()
            .filter(|(_, session)| unfinished(session))
            .map(|(id, _)| id.clone())
            .collect()
    }
}

impl<M> Session<M> {
    /// Reads a body. Of one that breaks off, whole units stay.
    async fn take(
        &self,
        range: &Range,
        length: u64,
        mut body: ByteStream,
    ) -> Result<(), Response<Bytes>> {
        let malformed = |why: String| refusal(400, "invalid", &format!("Invalid request. {why}"));
        let Some((first, last)) = range.bytes else {
            return match length {
                0 => Ok(()),
                _ => Err(malformed(format!("There were {length} byte(s) in the request body."))),
            };
        };
        if (last + 1).checked_sub(first) != Some(length) {
            return Err(malformed(format!(
                "There were {length} byte(s) in the request body. There should have been {} \
                 byte(s) (starting at offset {first} and ending at offset {last}) according to the \
                 Content-Range header.",
                (last + 1).saturating_sub(first)
            )));
        }
        if range.total.is_none() && !length.is_multiple_of(UNIT as u64) {
            return Err(malformed(format!(
                "The number of bytes uploaded is required to be equal or greater than {UNIT}, \
                 except for the final request (it's recommended to be the exact multiple of \
                 {UNIT}). The received request contained {length} bytes, which does not meet this \
                 requirement."
            )));
        }
        if range.total.is_some_and(|total| total != last + 1) {
            return Err(malformed("The last byte is not the end of the file.".into()));
        }
        let before = lock(&self.state).bytes;
        if first > before {
            return Err(malformed(format!(
                "According to the Content-Range header, the upload offset is {first} byte(s), \
                 which exceeds already uploaded size of {before} byte(s)."
            )));
        }
        // What is there already is not read again.
        let (mut skip, mut at) = (before - first, before);
        let mut held = BytesMut::with_capacity(UNIT);
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk.map_err(|_| incomplete())?;
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= known as u64;
            let _ = chunk.split_to(known);
            while !chunk.is_empty() {
                let room = UNIT - held.len();
                held.extend_from_slice(&chunk.split_to(room.min(chunk.len())));
                if held.len() == UNIT {
                    self.keep(&held, &mut at)?;
                    held.clear();
                }
            }
        }
        self.keep(&held, &mut at)
    }

    fn keep(&self, bytes: &[u8], at: &mut u64) -> Result<(), Response<Bytes>> {
        let mut state = lock(&self.state);
        if state.bytes != *at {
            return Err(refusal(503, "backendError", "Another request writes to this upload."));
        }
        state.sha256.update(bytes);
        state.md5.update(bytes);
        state.bytes += bytes.len() as u64;
        *at = state.bytes;
        Ok(())
    }

    fn end(&self, range: &Range, store: impl FnOnce(&M, Uploaded) -> Answer) -> Answer {
        let mut state = lock(&self.state);
        if range.total != Some(state.bytes) {
            let mut response = bare(308);
            if let Some(last) = state.bytes.checked_sub(1)
                && let Ok(range) = HeaderValue::from_str(&format!("bytes=0-{last}"))
            {
                response.headers_mut().insert("range", range);
            }
            return Ok(response);
        }
        let uploaded = Uploaded {
            bytes: state.bytes,
            sha256: hex(&state.sha256.clone().finalize()),
            md5: state.md5.clone().finalize().to_vec(),
        };
        let stored = store(&self.about, uploaded)?;
        state.finished = serde_json::from_slice(stored.body()).ok();
        Ok(stored)
    }
}

fn length_of(headers: &HeaderMap) -> Result<u64, Response<Bytes>> {
    let length =
        headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    length.ok_or_else(|| refusal(411, "required", "POST requests require a Content-length header."))
}

fn bare(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
    response
}

/// An answer in JSON.
pub(crate) fn answer(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = bare(status);
    *response.body_mut() = body.to_string().into();
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert("content-type", json);
    response
}

/// A refusal's body as the APIs word it.
pub(crate) fn error(status: u16, reason: &str, message: &str) -> Value {
    let one = json!({"domain": "global", "reason": reason, "message": message});
    json!({"error": {"code": status, "message": message, "errors": [one]}})
}

pub(crate) fn refusal(status: u16, reason: &str, message: &str) -> Response<Bytes> {
    answer(status, &error(status, reason, message))
}

pub(crate) fn incomplete() -> Response<Bytes> {
    refusal(400, "badRequest", "The body is not what was announced.")
}
