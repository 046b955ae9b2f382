//! One object on its way into a bucket.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use sendoff::{Arrival, ByteStream, Context, Error, Receipt, Result, Retry};
use sha2::Sha256;
use uuid::Uuid;

use super::{Ask, Endpoint, S3, Vendor, metadata};
use crate::shared::aws::Keys;
use crate::shared::file_options::IfExists;
use crate::shared::file_path::FilePath;
use crate::shared::object_store::{self, Part, Shelf, Upload};
use crate::shared::xml;

impl S3 {
    /// A client for one call of an action.
    pub(crate) fn new<S>(
        cx: &Context<S>,
        vendor: &'static Vendor,
        keys: Keys,
        region: String,
        endpoint: Endpoint,
    ) -> Self {
        let (http, stop) = (cx.http().clone(), cx.stop().clone());
        Self { http, stop, vendor, keys, region, endpoint, moved: OnceLock::new() }
    }
}

/// What is to be written where.
pub(crate) struct Order<'a> {
    /// The bucket, and perhaps a folder after a slash.
    pub(crate) bucket: &'a str,
    pub(crate) path: FilePath,
    pub(crate) if_exists: IfExists,
    pub(crate) gzip: bool,
    /// Content type, storage class and the like.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// Writes `data` as the order says.
///
/// # Errors
/// As [`object_store::write`].
pub(crate) async fn deliver<S>(
    cx: &Context<S>,
    s3: &S3,
    order: Order<'_>,
    data: ByteStream,
) -> Result<Receipt> {
    let (bucket, prefix) = super::bucket(order.bucket)?;
    let path = object_store::inside(prefix, order.path, "bucket")?;
    let path = if order.gzip { object_store::suffixed(&path, ".gz")? } else { path };
    let data = if order.gzip { object_store::gzipped(data) } else { data };
    let sure = s3.vendor.conditional;
    let key = object_store::free_name(&Bucket { s3, bucket }, &path, order.if_exists, sure).await?;
    let mut headers = order.headers;
    headers.push(("content-disposition", object_store::disposition(key.name())));
    for (name, value) in object_store::about(cx.plan()) {
        let name = match name {
            "plan_id" => "x-amz-meta-looker-plan-id",
            "title" => "x-amz-meta-looker-title",
            _ => "x-amz-meta-looker-url",
        };
        headers.push((name, metadata(&value)));
    }
    let object = Object {
        s3,
        bucket,
        key: &key,
        headers,
        delivery: Uuid::new_v4().simple().to_string(),
        new_only: order.if_exists != IfExists::Overwrite,
    };
    let bytes = object_store::write(&object, data, cx.stop()).await?;
    let receipt = Receipt::new(format!("s3://{bucket}/{key}")).bytes(bytes);
    Ok(if key == path {
        receipt
    } else {
        receipt.remark(format!("{} was taken, so that it has another name.", path.name()))
    })
}

struct Bucket<'a> {
    s3: &'a S3,
    bucket: &'a str,
}

impl Shelf for Bucket<'_> {
    async fn exists(&self, path: &FilePath) -> Result<Option<bool>> {
        self.s3.exists(self.bucket, path.as_str()).await
    }
}

/// One object that is being written.
struct Object<'a> {
    s3: &'a S3,
    bucket: &'a str,
    key: &'a FilePath,
    headers: Vec<(&'static str, String)>,
    /// Tells this delivery's object from any other of the same name.
    delivery: String,
    /// Only if no object of this name stands there.
    new_only: bool,
}

/// The waits before a begin is tried again. Not the door's own retries, because a lost answer has
/// to be noticed: it leaves an upload that nobody knows.
const BEGIN_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];

/// The longest wait that the vendor may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// From 250 MiB on, an upload's end may take longer than any other request.
const MANY_PARTS: usize = 50;
const ASSEMBLY: Duration = Duration::from_secs(300);

const DELIVERY: &str = "x-amz-meta-sendoff-delivery";

impl Object<'_> {
    fn ask(&self, method: Method) -> Ask<'_> {
        Ask { method, bucket: Some(self.bucket), key: self.key.as_str(), ..Ask::default() }
    }

    fn described(&self) -> Vec<(&'static str, String)> {
        let mut headers = self.headers.clone();
        headers.push((DELIVERY, self.delivery.clone()));
        headers
    }

    fn condition(&self) -> Option<(&'static str, String)> {
        (self.new_only && self.s3.vendor.conditional).then(|| ("if-none-match", "*".to_owned()))
    }

    async fn begin_once(&self) -> Result<String> {
        let query = vec![("uploads", String::new())];
        let headers = self.described();
        let ask = Ask { query, headers, once: true, ..self.ask(Method::POST) };
        let reply = self.s3.success(self.s3.send(ask).await?).await?;
        let status = reply.status().as_u16();
        let answer = reply.text().await?;
        xml::text(&answer, "UploadId")
            .filter(|id| !id.is_empty())
            .ok_or_else(|| self.not_s3(status))
    }

    /// After a begin whose answer was lost: takes back what was begun for this key since then,
    /// which nobody else could finish. Needs a right that the keys may lack; then the bucket's
    /// lifecycle rule does it. Should another delivery have begun the same file in these seconds,
    /// it fails and says so.
    async fn sweep(&self, since: Timestamp) {
        // The vendor's clock may be a little behind.
        let since = since - SignedDuration::from_secs(2);
        let key = self.key.as_str();
        let query = vec![("uploads", String::new()), ("prefix", key.to_owned())];
        let last_words = self.s3.last_words();
        let ask = Ask { query, last_words, key: "", ..self.ask(Method::GET) };
        let list = async { self.s3.success(self.s3.send(ask).await?).await?.text().await };
        for upload in xml::texts(&list.await.unwrap_or_default(), "Upload") {
            let text = |tag| xml::text(&upload, tag).unwrap_or_default();
            let fresh = text("Initiated").parse::<Timestamp>().is_ok_and(|begun| begun >= since);
            if fresh && text("Key") == key && self.abandon(&text("UploadId")).await.is_err() {
                tracing::warn!("an upload whose begin was not confirmed could not be taken back");
            }
        }
    }

    /// Without a condition that the store itself checks, the last look is taken right before the
    /// object becomes visible; what is left is the time of one request.
    async fn check_still_new(&self) -> Result<()> {
        if !self.new_only || self.s3.vendor.conditional {
            return Ok(());
        }
        match self.s3.exists(self.bucket, self.key.as_str()).await? {
            Some(true) => Err(IfExists::refusal(self.key)),
            _ => Ok(()),
        }
    }

    /// An answer of 200 that is none of this dialect, such as a login page.
    fn not_s3(&self, reply: u16) -> Error {
        let name = self.s3.vendor.name;
        Error::vendor(format!(
            "{name} answered {reply} but not as S3 does. Check the endpoint in the settings."
        ))
        .status(reply)
    }
}

impl Upload for Object<'_> {
    type Hash = Sha256;
    const MOST_PARTS: usize = 10_000;

    fn vendor(&self) -> &'static str {
        self.s3.vendor.name
    }

    async fn whole(&self, part: Part) -> Result<()> {
        self.check_still_new().await?;
        let mut headers = self.described();
        headers.extend(self.condition());
        let hash = Some(part.hash);
        let ask = Ask { headers, body: part.bytes, hash, ..self.ask(Method::PUT) };
        let reply = self.s3.success(self.s3.send(ask).await?).await?;
        match reply.header("etag") {
            Some(_) => Ok(()),
            None => Err(self.not_s3(reply.status().as_u16())),
        }
    }

    async fn begin(&self) -> Result<String> {
        let since = Timestamp::now();
        let mut waits = BEGIN_AGAIN_AFTER.into_iter();
        loop {
            let error = match self.begin_once().await {
                Ok(upload) => return Ok(upload),
                Err(error) => error,
            };
            if error.arrival() == Arrival::Maybe {
                self.sweep(since).await;
            }
            let wait = match (error.retry(), waits.next()) {
                (Retry::Later, Some(wait)) => wait,
                (Retry::After(asked), Some(_)) if asked <= LONGEST_ASKED => asked,
                _ => return Err(error),
            };
            self.s3.stop.unless_stopped(tokio::time::sleep(wait)).await?;
        }
    }

    async fn part(&self, upload: &str, number: usize, part: Part) -> Result<String> {
        let query = vec![("partNumber", number.to_string()), ("uploadId", upload.to_owned())];
        let hash = Some(part.hash);
        let ask = Ask { query, body: part.bytes, hash, ..self.ask(Method::PUT) };
        let reply = self.s3.success(self.s3.send(ask).await?).await?;
        match reply.header("etag") {
            Some(etag) => Ok(etag.to_owned()),
            None => Err(self.not_s3(reply.status().as_u16())),
        }
    }

    async fn commit(&self, upload: &str, parts: &[String]) -> Result<()> {
        self.check_still_new().await?;
        let mut body = String::from("<CompleteMultipartUpload>");
        for (at, etag) in parts.iter().enumerate() {
            let (number, etag) = (at + 1, xml::escape(etag));
            body.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ));
        }
        body.push_str("</CompleteMultipartUpload>");
        let mut headers = vec![("content-type", "application/xml".to_owned())];
        headers.extend(self.condition());
        let query = vec![("uploadId", upload.to_owned())];
        // Some servers copy the parts together before they answer. Whoever gives up on them too
        // early cannot know what will stand there in the end.
        let idle = (parts.len() > MANY_PARTS).then_some(ASSEMBLY);
        let ask = Ask { query, headers, body: body.into(), idle, ..self.ask(Method::POST) };
        let reply = self.s3.success(self.s3.send(ask).await?).await?;
        let status = reply.status().as_u16();
        // 200 may carry an error, because S3 sends its head before it has done the work
        // (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html).
        let answer = reply.text().await?;
        if answer.contains("CompleteMultipartUploadResult>") && xml::text(&answer, "ETag").is_some()
        {
            return Ok(());
        }
        if xml::text(&answer, "Code").is_some() {
            return Err(self.s3.refusal(Error::vendor(answer).status(status)));
        }
        Err(self.not_s3(status))
    }

    async fn abandon(&self, upload: &str) -> Result<()> {
        let query = vec![("uploadId", upload.to_owned())];
        let last_words = self.s3.last_words();
        let ask = Ask { query, last_words, ..self.ask(Method::DELETE) };
        let reply = self.s3.send(ask).await?;
        // Gone already is as good.
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        self.s3.success(reply).await.map(drop)
    }

    async fn stands(&self, bytes: u64) -> Result<bool> {
        let ask = Ask { last_words: self.s3.last_words(), ..self.ask(Method::HEAD) };
        let reply = self.s3.send(ask).await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let reply = reply.success().await?;
        let size = reply.header("content-length").and_then(|len| len.parse::<u64>().ok());
        Ok(size == Some(bytes) && reply.header(DELIVERY) == Some(&self.delivery))
    }
}
