//! A stand-in for Cloud Storage, written from
//! <https://docs.cloud.google.com/storage/docs/json_api/v1> as it was on 25 November 2026: list of
//! buckets, objects, uploads in one request and in sessions, preconditions, and the token endpoint
//! with every assertion verified.

#![allow(clippy::result_large_err, reason = "an answer is an answer, whichever side it is on")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use sendoff::testing::{Fake, Object};
use sendoff::{AnyAction, ByteStream, Values};
use serde_json::{Value, json};

use super::GoogleCloudStorage;
use crate::shared::google::fake::{
    Answer, EMAIL, KEY, Sessions, Tokens, Uploaded, answer, error, incomplete, refusal,
};

/// The action and its stand-in.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::<GoogleCloudStorage>::default(), Arc::new(FakeStorage::default()))
}

const PROJECT: &str = "sendoff-demo";
const BUCKETS: [&str; 2] = ["quarterly-reports", "looker-exports"];
/// More than the hub sends in one request.
const MOST_AT_ONCE: usize = 16 * 1024 * 1024;

#[derive(Default)]
pub(super) struct FakeStorage {
    tokens: Tokens,
    sessions: Sessions<Wanted>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By bucket and name.
    objects: BTreeMap<String, Stored>,
    generations: u64,
}

struct Stored {
    uploaded: Uploaded,
    resource: Value,
}

/// What an upload is begun with.
#[derive(Clone)]
struct Wanted {
    bucket: String,
    name: String,
    metadata: Value,
    new_only: bool,
}

/// A request's head as the dialect reads it.
struct Asked<'a> {
    head: &'a Parts,
    query: Vec<(String, String)>,
}

impl Asked<'_> {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl FakeStorage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<ByteStream>) -> Answer {
        let (head, body) = request.into_parts();
        let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        let asked = Asked { query: query.into_owned().collect(), head: &head };
        let path = head.uri.path();
        match (asked.header("host"), &head.method, path) {
            ("oauth2.googleapis.com", &Method::POST, "/token") => {
                return self.tokens.grant(&head.headers, body).await;
            }
            ("metadata.google.internal", &Method::GET, path) => {
                return self.tokens.of_machine(&head.headers, path);
            }
            ("storage.googleapis.com", ..) => {}
            _ => return Err(refusal(404, "notFound", "This host is not served here.")),
        }
        if let Some(id) = asked.query("upload_id") {
            let request = (&head.method, &head.headers, body);
            return self.sessions.handle(id, request, |wanted, up| self.store(wanted, up)).await;
        }
        self.tokens.check(&head.headers)?;
        if let Some(path) = path.strip_prefix("/upload/storage/v1/b/") {
            let bucket = path.strip_suffix("/o").unwrap_or_default();
            return self.upload(bucket, &asked, body).await;
        }
        match (&head.method, path.strip_prefix("/storage/v1/b")) {
            (&Method::GET, Some("")) => list_of_buckets(&asked),
            (method, Some(path)) => self.object(method, path, &asked),
            _ => Err(refusal(404, "notFound", "Not Found")),
        }
    }

    fn object(&self, method: &Method, path: &str, asked: &Asked<'_>) -> Answer {
        let path = path.strip_prefix('/').and_then(|path| path.split_once("/o/"));
        let (bucket, object) = path.ok_or_else(|| refusal(404, "notFound", "Not Found"))?;
        let bucket = known(bucket)?;
        let object = percent_decode_str(object).decode_utf8_lossy();
        let name = format!("{bucket}/{object}");
        let none = || refusal(404, "notFound", &format!("No such object: {name}"));
        let mut state = self.state();
        let stored = state.objects.get(&name).ok_or_else(none)?;
        match *method {
            Method::GET => Ok(answer(200, &stored.resource)),
            Method::DELETE => {
                let same = |g: &str| stored.resource["generation"] == g;
                if !asked.query("generation").is_none_or(same) {
                    return Err(none());
                }
                state.objects.remove(&name);
                let mut done = answer(204, &Value::Null);
                *done.body_mut() = Bytes::new();
                Ok(done)
            }
            _ => Err(refusal(405, "methodNotAllowed", "The method is not allowed.")),
        }
    }

    async fn upload(&self, bucket: &str, asked: &Asked<'_>, body: ByteStream) -> Answer {
        let bucket = known(bucket)?;
        if asked.head.method != Method::POST {
            return Err(refusal(405, "methodNotAllowed", "The method is not allowed."));
        }
        let bytes = whole(body).await?;
        match asked.query("uploadType") {
            Some("resumable") => {
                if !asked.header("content-type").starts_with("application/json") {
                    return Err(refusal(400, "badContent", "Unsupported content type."));
                }
                let wanted = wanted(bucket, &bytes, asked)?;
                self.check(&wanted)?;
                let url = format!("https://storage.googleapis.com{}", asked.head.uri);
                Ok(self.sessions.begin(&url, wanted))
            }
            Some("multipart") => {
                let (metadata, data) = multipart(asked.header("content-type"), &bytes)
                    .ok_or_else(|| refusal(400, "badContent", "Malformed multipart body."))?;
                let wanted = wanted(bucket, metadata, asked)?;
                self.store(&wanted, Uploaded::of(data))
            }
            _ => Err(refusal(400, "invalid", "Invalid upload request: uploadType.")),
        }
    }

    fn check(&self, wanted: &Wanted) -> Result<(), Response<Bytes>> {
        let name = format!("{}/{}", wanted.bucket, wanted.name);
        if wanted.new_only && self.state().objects.contains_key(&name) {
            let text = "At least one of the pre-conditions you specified did not hold.";
            return Err(refusal(412, "conditionNotMet", text));
        }
        Ok(())
    }

    fn store(&self, wanted: &Wanted, uploaded: Uploaded) -> Answer {
        self.check(wanted)?;
        let mut state = self.state();
        state.generations += 1;
        let mut resource = json!({
            "kind": "storage#object",
            "name": wanted.name,
            "bucket": wanted.bucket,
            "generation": state.generations.to_string(),
            "size": uploaded.bytes.to_string(),
            "md5Hash": base64_simd::STANDARD.encode_to_string(&uploaded.md5),
        });
        for member in ["contentType", "contentDisposition", "metadata", "storageClass"] {
            resource[member] = wanted.metadata[member].clone();
        }
        let name = format!("{}/{}", wanted.bucket, wanted.name);
        let stored = answer(200, &resource);
        state.objects.insert(name, Stored { uploaded, resource });
        Ok(stored)
    }
}

fn known(bucket: &str) -> Result<String, Response<Bytes>> {
    if BUCKETS.contains(&bucket) {
        return Ok(bucket.to_owned());
    }
    Err(refusal(404, "notFound", "The specified bucket does not exist."))
}

fn wanted(bucket: String, metadata: &[u8], asked: &Asked<'_>) -> Result<Wanted, Response<Bytes>> {
    let metadata: Value =
        serde_json::from_slice(metadata).map_err(|_| refusal(400, "parseError", "Parse Error"))?;
    let name = asked.query("name").or(metadata["name"].as_str()).unwrap_or_default().to_owned();
    if name.is_empty() || name.len() > 1024 || name.contains(['\r', '\n']) {
        return Err(refusal(400, "invalid", "The object name is not valid."));
    }
    let own = metadata["metadata"].as_object();
    if own.is_some_and(|own| own.values().any(|value| !value.is_string())) {
        return Err(refusal(400, "invalid", "Custom metadata must be texts."));
    }
    let classes = ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"];
    if metadata["storageClass"].as_str().is_some_and(|class| !classes.contains(&class)) {
        return Err(refusal(400, "invalid", "The storage class is not valid."));
    }
    let new_only = match asked.query("ifGenerationMatch") {
        None => false,
        Some("0") => true,
        Some(_) => return Err(refusal(412, "conditionNotMet", "No such generation.")),
    };
    Ok(Wanted { bucket, name, metadata, new_only })
}

/// The two parts of `multipart/related`.
fn multipart<'a>(content_type: &str, body: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let boundary = content_type.strip_prefix("multipart/related; boundary=")?;
    let find = |bytes: &[u8], what: &str| {
        bytes.windows(what.len()).position(|window| window == what.as_bytes())
    };
    let body = body.strip_prefix(format!("--{boundary}\r\n").as_bytes())?;
    let body = body.strip_suffix(format!("\r\n--{boundary}--\r\n").as_bytes())?;
    let between = format!("\r\n--{boundary}\r\n");
    let middle = find(body, &between)?;
    let (first, second) = (&body[..middle], &body[middle + between.len()..]);
    let content = |part: &'a [u8]| Some((&part[..find(part, "\r\n\r\n")?], part));
    let (head, _) = content(first)?;
    if !head.starts_with(b"Content-Type: application/json") {
        return None;
    }
    let (media, _) = content(second)?;
    media.starts_with(b"Content-Type: ").then_some(())?;
    Some((&first[head.len() + 4..], &second[media.len() + 4..]))
}

async fn whole(mut body: ByteStream) -> Result<Vec<u8>, Response<Bytes>> {
    let announced = body.len_hint();
    let announced = announced.ok_or_else(|| {
        refusal(411, "required", "POST requests require a Content-length header.")
    })?;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.map_err(|_| incomplete())?);
        if bytes.len() > MOST_AT_ONCE {
            return Err(refusal(413, "uploadTooLarge", "The upload is too large."));
        }
    }
    if announced == bytes.len() as u64 { Ok(bytes) } else { Err(incomplete()) }
}

fn list_of_buckets(asked: &Asked<'_>) -> Answer {
    match asked.query("project") {
        Some(PROJECT) => {}
        Some(_) => return Err(refusal(400, "invalid", "Unknown project id.")),
        None => return Err(refusal(400, "required", "Required parameter: project")),
    }
    let prefix = asked.query("prefix").unwrap_or_default();
    let names = BUCKETS.iter().filter(|name| name.starts_with(prefix));
    let items: Vec<_> = names.map(|name| json!({"name": name})).collect();
    Ok(answer(200, &json!({"kind": "storage#buckets", "items": items})))
}

impl Fake for FakeStorage {
    fn origins(&self) -> Vec<String> {
        [
            "https://storage.googleapis.com",
            "https://oauth2.googleapis.com",
            "http://metadata.google.internal",
        ]
        .map(str::to_owned)
        .into()
    }

    fn settings(&self) -> Values {
        [("client_email", EMAIL), ("private_key", KEY), ("project_id", PROJECT)]
            .into_iter()
            .collect()
    }

    fn answers(&self) -> Values {
        [("bucket", BUCKETS[0]), ("path", "daily"), ("filename", "orders")].into_iter().collect()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move { self.answer(request).await.unwrap_or_else(|refusal| refusal) })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let state = self.state();
        let object = |(name, stored): (&String, &Stored)| Object {
            name: name.clone(),
            bytes: stored.uploaded.bytes,
            sha256: stored.uploaded.sha256.clone(),
        };
        Box::pin(std::future::ready(state.objects.iter().map(object).collect()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(self.sessions.left()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (reason, message) = match status {
            401 => ("authError", "Invalid Credentials were given with this request."),
            403 => ("forbidden", "The caller does not have storage.objects.create access."),
            404 => ("notFound", "The specified bucket does not exist."),
            409 => ("conflict", "A conflicting operation is in progress."),
            412 => ("conditionNotMet", "At least one of the pre-conditions did not hold."),
            413 => ("uploadTooLarge", "The upload is too large."),
            429 => ("rateLimitExceeded", "The object exceeded the rate limit for mutations."),
            500.. => ("backendError", "We encountered an internal error. Please try again."),
            _ => ("invalid", "The request is not valid as it stands."),
        };
        ("application/json; charset=UTF-8", error(status, reason, message).to_string())
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        match *method {
            Method::POST => path_and_query.contains("uploadType=multipart"),
            Method::PUT => path_and_query.contains("upload_id="),
            _ => false,
        }
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![
            ("text/html", "<html><title>Log in</title></html>".to_owned()),
            ("application/json", "{}".to_owned()),
            ("application/json", String::new()),
        ]
    }
}
