//! A stand-in for Azure Blob Storage, written from
//! <https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api> as it was on
//! 24 November 2026: list, put, blocks, block lists, conditions, and every signature recomputed.

#![allow(clippy::result_large_err, reason = "an answer is an answer, whichever side it is on")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use sendoff::testing::{Fake, Object};
use sendoff::{AnyAction, ByteStream, Values};

use super::AzureStorage;
use crate::shared::azure;
use crate::shared::in_order::{self, InOrder};
use crate::shared::xml;

/// The action and its stand-in.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(AzureStorage::new(None)), Arc::new(FakeAzure::default()))
}

const ACCOUNT: &str = "lookerexports";
/// Base64, as the portal shows keys.
const KEY: &str = "Y2FuYXJ5LWtleS1vZi1henVyZS1zdG9yYWdlLTAwMDAwMDAwMDAwMDAwMDAwMDA=";
const CONTAINERS: [&str; 2] = ["quarterly", "looker-exports"];

#[derive(Default)]
struct FakeAzure {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By container and blob.
    blobs: BTreeMap<String, Stored>,
    /// Uncommitted blocks, by blob and by what their ids have in common.
    blocks: BTreeMap<(String, String), Arc<InOrder>>,
}

struct Stored {
    bytes: u64,
    sha256: String,
    metadata: Vec<(String, String)>,
}

type Answer = Result<Response<Bytes>, Response<Bytes>>;

impl FakeAzure {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<ByteStream>) -> Answer {
        let (head, body) = request.into_parts();
        let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        let query: Vec<(String, String)> = query.into_owned().collect();
        check_signature(&head, &query, body.len_hint())?;
        let asked = |name: &str| {
            query.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
        };
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned();
        let name = path.trim_start_matches('/').to_owned();
        if name.is_empty() {
            return match (&head.method, asked("comp")) {
                (&Method::GET, Some("list")) => Ok(list_of_containers()),
                _ => Err(refusal(400, "InvalidQueryParameterValue", "A value is not valid.")),
            };
        }
        let container = name.split('/').next().unwrap_or_default();
        if !CONTAINERS.contains(&container) {
            let text = "The specified container does not exist.";
            return Err(refusal(404, "ContainerNotFound", text));
        }
        if asked("restype") == Some("container") {
            let text = "The specified container already exists.";
            return Err(refusal(409, "ContainerAlreadyExists", text));
        }
        match (head.method.as_str(), asked("comp"), asked("blockid")) {
            ("HEAD", None, None) => self.head(&name),
            ("PUT", None, None) => self.put(name, &head.headers, body).await,
            ("PUT", Some("block"), Some(id)) => self.block(name, id, &head.headers, body).await,
            ("PUT", Some("blocklist"), None) => self.commit(name, &head.headers, body).await,
            _ => Err(refusal(501, "NotImplemented", "This stand-in does not know the request.")),
        }
    }

    fn head(&self, name: &str) -> Answer {
        let state = self.state();
        let Some(blob) = state.blobs.get(name) else {
            return Err(refusal(404, "BlobNotFound", "").map(|_| Bytes::new()));
        };
        let mut response = Response::builder().header("content-length", blob.bytes);
        for (name, value) in &blob.metadata {
            response = response.header(name, value);
        }
        Ok(response.body(Bytes::new()).unwrap_or_default())
    }

    async fn put(&self, name: String, headers: &HeaderMap, body: ByteStream) -> Answer {
        if headers.get("x-ms-blob-type").is_none_or(|kind| kind != "BlockBlob") {
            return Err(refusal(400, "MissingRequiredHeader", "x-ms-blob-type is missing."));
        }
        let digests = in_order::read(body).await.ok_or_else(incomplete)?;
        check_md5(headers, &digests.md5)?;
        self.store(name, headers, digests.bytes, digests.sha256)
    }

    async fn block(&self, name: String, id: &str, headers: &HeaderMap, body: ByteStream) -> Answer {
        let wrong = || refusal(400, "InvalidQueryParameterValue", "The block id is not valid.");
        // Real ids say nothing of the order; these do, so that the blob can be hashed as it comes.
        let id = base64_simd::STANDARD.decode_to_vec(id).map_err(|_| wrong())?;
        let id = String::from_utf8(id).ok().filter(|id| id.len() <= 64).ok_or_else(wrong)?;
        let (upload, number) = id.rsplit_once('-').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        let upload = (name, upload.to_owned());
        let blocks = Arc::clone(self.state().blocks.entry(upload).or_default());
        let given = headers.get("content-md5").cloned();
        let sound = |digests: &in_order::Digests| {
            given.as_ref().is_none_or(|given| given == digests.md5.as_str())
        };
        blocks.part(number, body, sound).await.ok_or_else(incomplete)?;
        Ok(plain(201, Bytes::new()))
    }

    async fn commit(&self, name: String, headers: &HeaderMap, body: ByteStream) -> Answer {
        let wrong = || refusal(400, "InvalidBlockList", "The specified block list is invalid.");
        let (list, digests) = in_order::text(body).await.ok_or_else(incomplete)?;
        check_md5(headers, &digests.md5)?;
        let ids: Vec<_> = xml::texts(&list, "Latest")
            .map(|id| base64_simd::STANDARD.decode_to_vec(id).unwrap_or_default())
            .map(|id| String::from_utf8_lossy(&id).into_owned())
            .collect();
        let upload = ids.first().and_then(|id| id.rsplit_once('-')).map(|(upload, _)| upload);
        let upload = upload.ok_or_else(wrong)?.to_owned();
        let key = (name.clone(), upload.clone());
        let blocks = self.state().blocks.get(&key).cloned().ok_or_else(wrong)?;
        let (parts, bytes, sha256) = blocks.so_far();
        let due = (1..=parts.len()).map(|number| format!("{upload}-{number:06}"));
        if !due.eq(ids.iter().cloned()) {
            return Err(wrong());
        }
        let answer = self.store(name.clone(), headers, bytes, sha256)?;
        // Whatever else waited for this blob is dropped, as the vendor does.
        self.state().blocks.retain(|(blob, _), _| *blob != name);
        Ok(answer)
    }

    fn store(&self, name: String, headers: &HeaderMap, bytes: u64, sha256: String) -> Answer {
        let mut state = self.state();
        let condition = headers.get("if-none-match").is_some_and(|value| value == "*");
        if condition && state.blobs.contains_key(&name) {
            return Err(refusal(409, "BlobAlreadyExists", "The specified blob already exists."));
        }
        let kept = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-ms-meta-"));
        let metadata = kept
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        state.blobs.insert(name, Stored { bytes, sha256, metadata });
        Ok(plain(201, Bytes::new()))
    }
}

/// Recomputes the signature from what arrived.
fn check_signature(
    head: &http::request::Parts,
    query: &[(String, String)],
    len: Option<u64>,
) -> Result<(), Response<Bytes>> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let refused =
        || refusal(403, "AuthenticationFailed", "Server failed to authenticate the request.");
    if header("host") != Some(&format!("{ACCOUNT}.blob.core.windows.net")) {
        return Err(refusal(400, "InvalidUri", "This host is not served here."));
    }
    if header("x-ms-version").is_none() || header("x-ms-date").is_none() {
        return Err(refusal(400, "MissingRequiredHeader", "x-ms-version or x-ms-date is missing."));
    }
    let len = len.or((head.method != Method::PUT).then_some(0));
    let len = len.ok_or_else(|| refusal(411, "MissingContentLengthHeader", "No length."))?;
    let query: Vec<(&str, String)> =
        query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let headers: Vec<(&str, String)> = head
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let url = format!("https://{}{}", header("host").unwrap_or_default(), head.uri.path());
    let length = usize::try_from(len).map_err(|_| refused())?;
    let text = azure::string_to_sign(&head.method, ACCOUNT, &url, &query, &headers, length);
    let key = base64_simd::STANDARD.decode_to_vec(KEY).map_err(|_| refused())?;
    let due = format!("SharedKey {ACCOUNT}:{}", azure::sign(&key, &text));
    if header("authorization") == Some(&due) { Ok(()) } else { Err(refused()) }
}

fn check_md5(headers: &HeaderMap, md5: &str) -> Result<(), Response<Bytes>> {
    match headers.get("content-md5") {
        Some(given) if given != md5 => {
            Err(refusal(400, "Md5Mismatch", "The MD5 value did not match."))
        }
        _ => Ok(()),
    }
}

impl Fake for FakeAzure {
    fn origins(&self) -> Vec<String> {
        vec!["https://*.blob.core.windows.net".to_owned()]
    }

    fn settings(&self) -> Values {
        [("account", ACCOUNT), ("accessKey", KEY)].into_iter().collect()
    }

    fn answers(&self) -> Values {
        [("container", CONTAINERS[0]), ("path", "daily"), ("filename", "orders")]
            .into_iter()
            .collect()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move { self.answer(request).await.unwrap_or_else(|refusal| refusal) })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let state = self.state();
        let object = |(name, stored): (&String, &Stored)| Object {
            name: name.clone(),
            bytes: stored.bytes,
            sha256: stored.sha256.clone(),
        };
        Box::pin(std::future::ready(state.blobs.iter().map(object).collect()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        // Uncommitted blocks cannot be seen and are dropped by the vendor after a week; there is
        // no request that would take them back.
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (code, message) = match status {
            401 => ("InvalidAuthenticationInfo", "The authentication information is not valid."),
            403 => ("AuthenticationFailed", "Server failed to authenticate the request."),
            404 => ("ContainerNotFound", "The specified container does not exist."),
            409 => ("LeaseIdMissing", "There is currently a lease on the blob."),
            412 => ("ConditionNotMet", "The condition was not met."),
            413 => ("RequestBodyTooLarge", "The size of the request body exceeds the maximum."),
            429 | 503 => ("ServerBusy", "The server is currently unable to receive requests."),
            500.. => ("InternalError", "The server encountered an internal error."),
            _ => ("InvalidInput", "One of the request inputs is not valid."),
        };
        ("application/xml", error_xml(code, message))
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        *method == Method::PUT && !path_and_query.contains("comp=block&")
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        vec![("text/html", "<html><title>Log in</title></html>".to_owned())]
    }
}

fn list_of_containers() -> Response<Bytes> {
    let names = CONTAINERS.iter().map(|name| format!("<Container><Name>{name}</Name></Container>"));
    let names: String = names.collect();
    let list = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Containers>{names}\
         </Containers><NextMarker /></EnumerationResults>"
    );
    plain(200, list.into())
}

fn error_xml(code: &str, message: &str) -> String {
    format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>\
         {message}\nRequestId:1ec2a5b1-001e-0051-0d3c-5ec5d9000000\nTime:2026-11-24T08:00:00Z\
         </Message></Error>"
    )
}

fn refusal(status: u16, code: &str, message: &str) -> Response<Bytes> {
    let mut response = plain(status, error_xml(code, message).into());
    if let Ok(code) = http::HeaderValue::from_str(code) {
        response.headers_mut().insert("x-ms-error-code", code);
    }
    response
}

fn incomplete() -> Response<Bytes> {
    refusal(400, "InvalidInput", "The body is not what was announced.")
}

fn plain(status: u16, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
    response
}
