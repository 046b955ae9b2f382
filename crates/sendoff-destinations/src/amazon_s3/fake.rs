//! A stand-in for S3, written from <https://docs.aws.amazon.com/AmazonS3/latest/API/> as it was on
//! 24 November 2026: list, put, head, uploads in parts, conditions, and every signature recomputed.

#![allow(clippy::result_large_err, reason = "an answer is an answer, whichever side it is on")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use sendoff::testing::{Fake, Object};
use sendoff::{AnyAction, ByteStream, Values};

use super::AmazonS3;
use crate::shared::aws_signed::{Arrived, Caller};
use crate::shared::in_order::{self, InOrder};
use crate::shared::xml;

/// The action and its stand-in.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let fake = FakeS3::new(
        "https://*.amazonaws.com",
        "s3.eu-central-1.amazonaws.com",
        "eu-central-1",
        &[
            ("access_key_id", "AKIACANARYACCESSKEY0"),
            ("secret_access_key", "canary/secret+access/key/of/amazon/s3000"),
            ("region", "eu-central-1"),
        ],
        true,
    );
    (Box::new(AmazonS3::new(None)), Arc::new(fake))
}

/// A server of one region that speaks S3.
pub(crate) struct FakeS3 {
    origin: &'static str,
    host: &'static str,
    region: &'static str,
    settings: &'static [(&'static str, &'static str)],
    conditional: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By bucket and key.
    objects: BTreeMap<String, Stored>,
    uploads: BTreeMap<String, Arc<OpenUpload>>,
    begun: u64,
}

struct Stored {
    bytes: u64,
    sha256: String,
    metadata: Vec<(String, String)>,
}

struct OpenUpload {
    name: String,
    begun: Timestamp,
    metadata: Vec<(String, String)>,
    parts: InOrder,
}

type Answer = Result<Response<Bytes>, Response<Bytes>>;

const BUCKETS: [&str; 2] = ["quarterly-reports", "looker-exports"];

impl FakeS3 {
    pub(crate) fn new(
        origin: &'static str,
        host: &'static str,
        region: &'static str,
        settings: &'static [(&'static str, &'static str)],
        conditional: bool,
    ) -> Self {
        let state = Mutex::default();
        Self { origin, host, region, settings, conditional, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn setting(&self, name: &str) -> &'static str {
        self.settings.iter().find(|(each, _)| *each == name).map_or("", |(_, value)| value)
    }

    async fn answer(&self, request: Request<ByteStream>) -> Answer {
        let (head, body) = request.into_parts();
        let asked = Asked::read(&head, self.host)?;
        self.check_signature(&asked, &head.headers)?;
        let Some(bucket) = asked.bucket.clone() else {
            return match asked.method {
                Method::GET if asked.key.is_empty() => Ok(list_of_buckets()),
                _ => Err(refusal(405, "MethodNotAllowed", "The method is not allowed here.")),
            };
        };
        if !BUCKETS.contains(&bucket.as_str()) {
            return Err(refusal(404, "NoSuchBucket", "The specified bucket does not exist"));
        }
        if asked.method == Method::GET && asked.key.is_empty() && asked.query("uploads").is_some() {
            return Ok(self.list_of_uploads(asked.query("prefix").unwrap_or_default()));
        }
        let name = format!("{bucket}/{}", asked.key);
        let upload = asked.query("uploadId");
        match (asked.method.as_str(), upload, asked.query("partNumber")) {
            ("HEAD", None, None) => self.head(&name),
            ("PUT", None, None) => self.put(name, &asked, &head.headers, body).await,
            ("POST", None, None) if asked.query("uploads").is_some() => {
                self.begin(name, &head.headers)
            }
            ("PUT", Some(upload), Some(number)) => self.part(upload, number, &asked, body).await,
            ("POST", Some(upload), None) => {
                self.complete(upload, &asked, &head.headers, body).await
            }
            ("DELETE", Some(upload), None) => match self.state().uploads.remove(upload) {
                Some(_) => Ok(plain(204, Bytes::new())),
                None => Err(no_such_upload()),
            },
            _ => Err(refusal(501, "NotImplemented", "This stand-in does not know the request.")),
        }
    }

    /// Recomputes the signature from what arrived.
    fn check_signature(&self, asked: &Asked, headers: &HeaderMap) -> Result<(), Response<Bytes>> {
        let caller = Caller {
            id: self.setting("access_key_id"),
            secret: self.setting("secret_access_key"),
            region: self.region,
            service: "s3",
        };
        let arrived = Arrived {
            method: &asked.method,
            path: &asked.path,
            query: &asked.query,
            headers,
            body_hash: &asked.body_hash,
        };
        let checked = caller.check(&arrived);
        checked.map_err(|(status, code, message)| refusal(status, code, &message))
    }

    fn head(&self, name: &str) -> Answer {
        let state = self.state();
        let Some(object) = state.objects.get(name) else {
            return Err(plain(404, Bytes::new()));
        };
        let mut response = Response::builder().header("content-length", object.bytes);
        response = response.header("etag", format!("\"{}\"", object.sha256));
        for (name, value) in &object.metadata {
            response = response.header(name, value);
        }
        Ok(response.body(Bytes::new()).unwrap_or_default())
    }

    async fn put(
        &self,
        name: String,
        asked: &Asked,
        headers: &HeaderMap,
        body: ByteStream,
    ) -> Answer {
        if body.len_hint().is_none() {
            return Err(refusal(411, "MissingContentLength", "The length must be given."));
        }
        let digests = in_order::read(body).await.ok_or_else(incomplete)?;
        asked.check_hash(&digests.sha256)?;
        let etag = digests.sha256.clone();
        self.store(
            name,
            headers,
            Stored { bytes: digests.bytes, sha256: digests.sha256, metadata: metadata(headers) },
        )?;
        Ok(with_etag(&etag, Bytes::new()))
    }

    fn store(
        &self,
        name: String,
        headers: &HeaderMap,
        object: Stored,
    ) -> Result<(), Response<Bytes>> {
        let mut state = self.state();
        let condition = headers.get("if-none-match").is_some_and(|value| value == "*");
        if condition && self.conditional && state.objects.contains_key(&name) {
            return Err(refusal(412, "PreconditionFailed", "A precondition did not hold."));
        }
        state.objects.insert(name, object);
        Ok(())
    }

    fn list_of_uploads(&self, prefix: &str) -> Response<Bytes> {
        let state = self.state();
        let uploads = state.uploads.iter().filter_map(|(id, upload)| {
            let (_, key) = upload.name.split_once('/')?;
            let (id, text, begun) = (xml::escape(id), xml::escape(key), upload.begun);
            key.starts_with(prefix).then(|| {
                format!(
                    "<Upload><Key>{text}</Key><UploadId>{id}</UploadId><Initiated>{begun:.3}\
                     </Initiated></Upload>"
                )
            })
        });
        let uploads: String = uploads.collect();
        xml_answer(
            200,
            format!("<ListMultipartUploadsResult>{uploads}</ListMultipartUploadsResult>"),
        )
    }

    fn begin(&self, name: String, headers: &HeaderMap) -> Answer {
        let mut state = self.state();
        state.begun += 1;
        let id = format!("upload+{}/of=stand-in", state.begun);
        let answer = format!(
            "<InitiateMultipartUploadResult><UploadId>{}</UploadId></InitiateMultipartUploadResult>",
            xml::escape(&id)
        );
        let (begun, metadata) = (Timestamp::now(), metadata(headers));
        let upload = OpenUpload { name, begun, metadata, parts: InOrder::default() };
        state.uploads.insert(id, Arc::new(upload));
        Ok(xml_answer(200, answer))
    }

    fn upload(&self, id: &str) -> Result<Arc<OpenUpload>, Response<Bytes>> {
        self.state().uploads.get(id).cloned().ok_or_else(no_such_upload)
    }

    async fn part(&self, upload: &str, number: &str, asked: &Asked, body: ByteStream) -> Answer {
        let number = number.parse().ok().filter(|number| (1..=10_000).contains(number));
        let number =
            number.ok_or_else(|| refusal(400, "InvalidArgument", "partNumber is out of range."))?;
        if body.len_hint().is_none() {
            return Err(refusal(411, "MissingContentLength", "The length must be given."));
        }
        let upload = self.upload(upload)?;
        let sound = |digests: &in_order::Digests| digests.sha256 == asked.body_hash;
        let part = upload.parts.part(number, body, sound).await.ok_or_else(incomplete)?;
        Ok(with_etag(&part.sha256, Bytes::new()))
    }

    async fn complete(
        &self,
        id: &str,
        asked: &Asked,
        headers: &HeaderMap,
        body: ByteStream,
    ) -> Answer {
        const SMALLEST: u64 = 5 * 1024 * 1024;
        let (list, digests) = in_order::text(body).await.ok_or_else(incomplete)?;
        asked.check_hash(&digests.sha256)?;
        let upload = self.upload(id)?;
        let (parts, bytes, sha256) = upload.parts.so_far();
        let numbers: Vec<_> = xml::texts(&list, "PartNumber").collect();
        let etags: Vec<_> = xml::texts(&list, "ETag").collect();
        let right = numbers.iter().enumerate().all(|(at, number)| *number == (at + 1).to_string())
            && etags
                .iter()
                .eq(&parts.iter().map(|part| format!("\"{}\"", part.sha256)).collect::<Vec<_>>());
        if parts.is_empty() || numbers.len() != etags.len() || !right {
            return Err(refusal(
                400,
                "InvalidPart",
                "One or more of the parts could not be found.",
            ));
        }
        if parts.iter().rev().skip(1).any(|part| part.bytes < SMALLEST) {
            return Err(refusal(400, "EntityTooSmall", "A part is smaller than the minimum."));
        }
        let metadata = upload.metadata.clone();
        self.store(
            upload.name.clone(),
            headers,
            Stored { bytes, sha256: sha256.clone(), metadata },
        )?;
        self.state().uploads.remove(id);
        let answer = format!(
            "<CompleteMultipartUploadResult><ETag>&quot;{sha256}&quot;</ETag></CompleteMultipartUploadResult>"
        );
        Ok(xml_answer(200, answer))
    }
}

/// A request's head as the dialect reads it.
struct Asked {
    method: Method,
    bucket: Option<String>,
    key: String,
    /// Decoded.
    path: String,
    query: Vec<(String, String)>,
    body_hash: String,
}

impl Asked {
    fn read(head: &http::request::Parts, host: &str) -> Result<Self, Response<Bytes>> {
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = decode(head.uri.path());
        let asked_host = header("host").unwrap_or_default();
        let (bucket, key) = match asked_host.strip_suffix(host).map(|left| left.strip_suffix('.')) {
            // The bucket in the path.
            Some(None) if asked_host == host => {
                let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
                ((!bucket.is_empty()).then(|| bucket.to_owned()), key.to_owned())
            }
            Some(Some(bucket)) => (Some(bucket.to_owned()), path[1..].to_owned()),
            _ => return Err(refusal(400, "InvalidRequest", "This host is not served here.")),
        };
        let query = head.uri.query().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        let body_hash = header("x-amz-content-sha256").map(str::to_owned).ok_or_else(|| {
            refusal(400, "InvalidRequest", "Missing required header: x-amz-content-sha256")
        })?;
        Ok(Self { method: head.method.clone(), bucket, key, path, query, body_hash })
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    fn check_hash(&self, sha256: &str) -> Result<(), Response<Bytes>> {
        if self.body_hash == sha256 {
            return Ok(());
        }
        Err(refusal(400, "XAmzContentSHA256Mismatch", "The hash does not match the body."))
    }
}

impl Fake for FakeS3 {
    fn origins(&self) -> Vec<String> {
        vec![self.origin.to_owned()]
    }

    fn settings(&self) -> Values {
        self.settings.iter().copied().collect()
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
            bytes: stored.bytes,
            sha256: stored.sha256.clone(),
        };
        Box::pin(std::future::ready(state.objects.iter().map(object).collect()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        let state = self.state();
        let open = state.uploads.iter().map(|(id, upload)| format!("{id} of {}", upload.name));
        Box::pin(std::future::ready(open.collect()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        let (code, message) = match status {
            401 | 403 => ("AccessDenied", "Access Denied"),
            404 => ("NoSuchBucket", "The specified bucket does not exist"),
            409 => ("OperationAborted", "A conflicting operation is in progress."),
            412 => ("PreconditionFailed", "A precondition did not hold."),
            413 => ("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"),
            429 | 503 => ("SlowDown", "Please reduce your request rate."),
            500.. => ("InternalError", "We encountered an internal error. Please try again."),
            _ => ("InvalidRequest", "The request is not valid."),
        };
        ("application/xml", error_xml(code, message))
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        match *method {
            Method::PUT => !path_and_query.contains('?'),
            Method::POST => path_and_query.contains("uploadId="),
            _ => false,
        }
    }

    fn false_successes(&self) -> Vec<(&'static str, String)> {
        let error = error_xml("InternalError", "We encountered an internal error.");
        vec![
            ("application/xml", error),
            ("application/xml", String::new()),
            ("text/html", "<html><title>Log in</title></html>".to_owned()),
        ]
    }
}

fn list_of_buckets() -> Response<Bytes> {
    let buckets: String =
        BUCKETS.iter().map(|name| format!("<Bucket><Name>{name}</Name></Bucket>")).collect();
    let owner = "<Owner><ID>75aa57f09aa0c8caeab4f8c24e99d10f</ID></Owner>";
    let list = format!(
        "<ListAllMyBucketsResult>{owner}<Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"
    );
    xml_answer(200, list)
}

/// What an upload's first request says of the object, and its HEAD gives back.
fn metadata(headers: &HeaderMap) -> Vec<(String, String)> {
    let kept = headers.iter().filter(|(name, _)| {
        name.as_str().starts_with("x-amz-meta-")
            || matches!(name.as_str(), "content-type" | "content-disposition")
    });
    kept.map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    })
    .collect()
}

fn error_xml(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}\
         </Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
    )
}

fn refusal(status: u16, code: &str, message: &str) -> Response<Bytes> {
    xml_answer(status, error_xml(code, message))
}

fn no_such_upload() -> Response<Bytes> {
    refusal(404, "NoSuchUpload", "The specified upload does not exist.")
}

fn incomplete() -> Response<Bytes> {
    refusal(400, "IncompleteBody", "The body is not what was announced.")
}

fn with_etag(sha256: &str, body: Bytes) -> Response<Bytes> {
    let response = Response::builder().header("etag", format!("\"{sha256}\""));
    response.body(body).unwrap_or_default()
}

fn xml_answer(status: u16, text: String) -> Response<Bytes> {
    let mut response = plain(status, text.into());
    let xml = http::HeaderValue::from_static("application/xml");
    response.headers_mut().insert("content-type", xml);
    response
}

fn plain(status: u16, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
    response
}
