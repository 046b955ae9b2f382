//! The S3 dialect over the door out, for Amazon and for those who speak it too.
//!
//! Each body is signed with its SHA-256, so that the store refuses a part that differs from what
//! was meant; no other checksum is needed.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use sendoff::{Class, Error, Http, Item, Listing, Page, Paging, Reply, Result, Stop};
use sha2::{Digest, Sha256};
use url::Url;

use super::aws::{self, Keys, Request, hex};
use super::differences::{BUCKET, CONTENT_TYPE, ERROR_PAGE, EXTENSION};
use super::object_store::{Kind, reworded};
use super::xml;
use crate::Difference;

mod object;

pub(crate) use object::{Order, deliver};

/// What differs between the vendors.
#[derive(Debug)]
pub(crate) struct Vendor {
    /// As sentences name it.
    pub(crate) name: &'static str,
    /// What it calls a bucket.
    pub(crate) bucket: &'static str,
    /// Follows the region in host names.
    pub(crate) domain: fn(&str) -> String,
    /// Whether `If-None-Match: *` is known to be obeyed, also at the end of an upload in parts.
    pub(crate) conditional: bool,
}

impl Vendor {
    /// A bucket as the form offers it.
    pub(crate) fn kind(&self) -> Kind {
        Kind { name: self.bucket, sound: |text| bucket(text).is_ok() }
    }
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    /// The vendor's own host names.
    Vendor,
    /// Another server with this dialect.
    Other {
        scheme: String,
        host: String,
        /// The bucket stands in the path and not in the host name.
        path_style: bool,
    },
}

impl Endpoint {
    /// Reads the `endpoint` setting.
    ///
    /// # Errors
    /// A settings error.
    pub(crate) fn parse(text: Option<&str>, force_path_style: bool) -> Result<Self> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Self::Vendor);
        };
        let wrong = || {
            Error::settings(
                "The endpoint must be a scheme and a host, such as https://minio.example.com:9000, \
                 without a path.",
            )
            .field("endpoint")
        };
        let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Url::parse(&full).map_err(|_| wrong())?;
        let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
        let (Some(host), true) = (url.host(), bare && url.password().is_none()) else {
            return Err(wrong());
        };
        // A bucket cannot stand in front of an address.
        let named = matches!(host, url::Host::Domain(name) if name.contains('.'));
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self::Other {
            scheme: url.scheme().to_owned(),
            host: format!("{host}{port}"),
            path_style: force_path_style || !named,
        })
    }
}

/// A client for one delivery.
pub(crate) struct S3 {
    pub(crate) http: Http,
    pub(crate) stop: Stop,
    pub(crate) vendor: &'static Vendor,
    pub(crate) keys: Keys,
    pub(crate) region: String,
    pub(crate) endpoint: Endpoint,
    /// Where the bucket really is, once the vendor has said so.
    pub(crate) moved: OnceLock<String>,
}

/// One request, before it has a host.
#[derive(Clone, Default)]
struct Ask<'a> {
    method: Method,
    bucket: Option<&'a str>,
    key: &'a str,
    query: Vec<(&'a str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    /// SHA-256 of the body where it is known already.
    hash: Option<Vec<u8>>,
    /// For cleaning up: goes out after a stop too, within this time.
    last_words: Option<Duration>,
    /// A lost answer has to be noticed.
    once: bool,
    /// How long the vendor may be silent, where it is known to think longer than others.
    idle: Option<Duration>,
}

impl S3 {
    /// Scheme, host and the path of the bucket.
    fn place(&self, bucket: Option<&str>, region: &str) -> (String, String, String) {
        let (scheme, host, path_style) = match &self.endpoint {
            Endpoint::Vendor => ("https", (self.vendor.domain)(region), false),
            Endpoint::Other { scheme, host, path_style } => {
                (scheme.as_str(), host.clone(), *path_style)
            }
        };
        match bucket {
            None => (scheme.to_owned(), host, String::new()),
            // The vendors' certificates cover one label before the host.
            Some(bucket) if path_style || !is_label(bucket) => {
                (scheme.to_owned(), host, format!("/{bucket}"))
            }
            Some(bucket) => (scheme.to_owned(), format!("{bucket}.{host}"), String::new()),
        }
    }

    async fn send(&self, ask: Ask<'_>) -> Result<Reply> {
        let region = self.moved.get().unwrap_or(&self.region);
        let reply = self.send_to(region, &ask).await?;
        if reply.status().is_success() || self.moved.get().is_some() {
            return Ok(reply);
        }
        // A bucket of another region: the vendor names it, whatever the status
        // (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingBucket.html).
        match reply.header("x-amz-bucket-region").map(aws::region) {
            Some(Ok(other)) if other != *region => {
                let region = self.moved.get_or_init(|| other).clone();
                self.send_to(&region, &ask).await
            }
            _ => Ok(reply),
        }
    }

    async fn send_to(&self, region: &str, ask: &Ask<'_>) -> Result<Reply> {
        let (scheme, host, base) = self.place(ask.bucket, region);
        let path = format!("{base}/{}", ask.key);
        let hash =
            ask.hash.as_ref().map_or_else(|| hex(&Sha256::digest(&ask.body)), |hash| hex(hash));
        let mut request = Request {
            method: ask.method.clone(),
            scheme: &scheme,
            host: &host,
            path: &path,
            query: ask.query.clone(),
            headers: ask.headers.clone(),
            body_hash: hash,
        };
        request.sign(&self.keys, region, "s3", Timestamp::now());
        let url = request.url();
        if Url::parse(&url).map_or(true, |parsed| parsed.as_str() != url) {
            return Err(Error::form(
                "filename",
                "The path or the file name cannot be sent as it is: a part of it is \".\" or \"..\".",
            ));
        }
        let http =
            if ask.last_words.is_some() { self.http.for_cleanup() } else { self.http.clone() };
        let call = aws::send(&http, &request).body(ask.body.clone());
        // POST, the end of an upload, may be repeated too: what comes of it is told by looking.
        let call = if ask.once { call.once() } else { call.repeatable() };
        let call = match ask.idle {
            Some(idle) => call.idle_timeout(idle),
            None => call,
        };
        match ask.last_words {
            Some(limit) => call.timeout(limit).send().await,
            None => call.send().await,
        }
    }

    /// After a stop little time is left before the delivery is dropped.
    fn last_words(&self) -> Option<Duration> {
        Some(Duration::from_secs(if self.stop.reason().is_some() { 2 } else { 10 }))
    }

    async fn success(&self, reply: Reply) -> Result<Reply> {
        reply.success().await.map_err(|error| self.refusal(error))
    }

    /// Who must act on a refusal (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
    fn refusal(&self, error: Error) -> Error {
        let Some(code) = xml::text(error.message(), "Code") else {
            return error;
        };
        let said = xml::text(error.message(), "Message").unwrap_or_default();
        let said = said.trim_end_matches('.');
        let Vendor { name, bucket, .. } = self.vendor;
        let (class, field, advice) = match code.as_str() {
            "InvalidAccessKeyId" => (Class::Settings, "access_key_id", "Check the access key."),
            "SignatureDoesNotMatch" => {
                (Class::Settings, "secret_access_key", "Check the secret key.")
            }
            "InvalidToken" | "ExpiredToken" | "TokenRefreshRequired" => {
                (Class::Settings, "session_token", "Enter new temporary keys or none.")
            }
            "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                (Class::Settings, "region", "Check the region.")
            }
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "NotSignedUp" => {
                (Class::Settings, "", "Give the keys the right to do this, or use others.")
            }
            "NoSuchBucket" | "InvalidBucketName" => (Class::Form, "bucket", "Choose another one."),
            "KeyTooLongError" => (Class::Form, "filename", "Choose a shorter path or name."),
            "InvalidStorageClass" => (Class::Form, "storage_class", "Choose another one."),
            "PreconditionFailed" | "ConditionalRequestConflict" => (
                Class::Form,
                "filename",
                "A file of this name already stands there. Choose another name, or another answer \
                 to what happens if the file exists.",
            ),
            "RequestTimeTooSkewed" => {
                (Class::Hub, "", "The clock of this hub is wrong; its operator must set it.")
            }
            _ => (Class::Vendor, "", ""),
        };
        let status = error.http_status().unwrap_or(0);
        let of = if field == "bucket" { format!(" this {bucket}") } else { String::new() };
        let mut message = format!("{name} refused{of} ({status} {code}): {said}.");
        if !advice.is_empty() {
            message = format!("{message} {advice}");
        }
        let error = reworded(error, class, message);
        // What HTTP later gave a status of its own.
        let error = if code == "SlowDown" { error.status(429) } else { error };
        if field.is_empty() { error } else { error.field(field) }
    }

    /// The names of all buckets that the keys may list.
    pub(crate) async fn buckets(&self) -> Result<Listing> {
        let nouns = format!("{}s", self.vendor.bucket);
        Listing::paged(&nouns, Paging::default(), |next| self.page_of_buckets(next)).await
    }

    async fn page_of_buckets(&self, next: Option<String>) -> Result<Page> {
        let mut query = vec![("max-buckets", "1000".to_owned())];
        query.extend(next.map(|token| ("continuation-token", token)));
        let reply = self.send(Ask { query, ..Ask::default() }).await?;
        let page = self.success(reply).await?.text().await?;
        let items = xml::texts(&page, "Name").map(Item::named).collect();
        Ok(Page { items, next: xml::text(&page, "ContinuationToken") })
    }

    /// Whether a key is taken; `None` if the keys may not know.
    pub(crate) async fn exists(&self, bucket: &str, key: &str) -> Result<Option<bool>> {
        let ask = Ask { method: Method::HEAD, bucket: Some(bucket), key, ..Ask::default() };
        let reply = self.send(ask).await?;
        match reply.status() {
            StatusCode::NOT_FOUND => Ok(Some(false)),
            // Without the right to list, a missing key looks like a forbidden one.
            StatusCode::FORBIDDEN => Ok(None),
            _ => reply.success().await.map(|_| Some(true)),
        }
    }
}

/// Whether a bucket's name can stand as one label of a host name.
fn is_label(bucket: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    bucket.len() <= 63
        && bucket.bytes().all(sound)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

/// Splits what the user chose into the bucket and a prefix, which may follow after a slash.
///
/// # Errors
/// A form error on `bucket`.
pub(crate) fn bucket(text: &str) -> Result<(&str, &str)> {
    let text = text.trim().trim_start_matches("s3://").trim_matches('/');
    let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !(3..=255).contains(&bucket.len()) || !bucket.bytes().all(sound) || bucket.contains("..") {
        return Err(Error::form(
            "bucket",
            "This is no bucket's name: 3 to 63 small letters, digits, dots and hyphens. A folder \
             may follow after a slash.",
        ));
    }
    Ok((bucket, prefix))
}

/// The text of a metadata header, which must be ASCII: RFC 2047, as S3 itself shows such values
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>).
pub(crate) fn metadata(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains("=?") {
        return text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    }
    format!("=?UTF-8?B?{}?=", base64_simd::STANDARD.encode_to_string(text))
}

/// What differs from the reference hub in each store of this dialect.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "The form asks for a path, which counts for nothing.",
        ours: "It is the folder.",
        switch: None,
    },
    BUCKET,
    CONTENT_TYPE,
    ERROR_PAGE,
    EXTENSION,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_host() {
        let read = |text| match Endpoint::parse(Some(text), false) {
            Ok(Endpoint::Other { scheme, host, path_style }) => (scheme, host, path_style),
            other => panic!("{text}: {other:?}"),
        };
        let other = |scheme: &str, host: &str, style| (scheme.to_owned(), host.to_owned(), style);
        assert_eq!(
            read("https://Minio.example:9000/"),
            other("https", "minio.example:9000", false)
        );
        assert_eq!(read("s3.example.com"), other("https", "s3.example.com", false));
        assert_eq!(read("http://127.0.0.1:9000"), other("http", "127.0.0.1:9000", true));
        assert_eq!(read("http://localhost:9000"), other("http", "localhost:9000", true));
        for wrong in ["https://a.example/path", "https://u@a.example", "https://", "a b"] {
            assert!(Endpoint::parse(Some(wrong), false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_may_follow_the_bucket() {
        assert_eq!(bucket("s3://reports/daily/eu/").expect("sound"), ("reports", "daily/eu"));
        assert_eq!(bucket(" my.bucket ").expect("sound"), ("my.bucket", ""));
        for wrong in ["", "ab", "a..b", "evil@host", "a?b=c", "ümlaut", "x#y", "127.0.0.1:80"] {
            assert!(bucket(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn metadata_is_ascii() {
        assert_eq!(metadata("Orders  by day"), "Orders by day");
        assert_eq!(metadata("Umsätze"), "=?UTF-8?B?VW1zw6R0emU=?=");
        assert!(metadata("a\r\nx-amz-acl: public-read").starts_with("=?UTF-8?B?"));
    }
}
