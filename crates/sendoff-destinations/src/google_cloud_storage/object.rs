//! The JSON dialect of Cloud Storage: buckets, and one object on its way into one
//! (<https://docs.cloud.google.com/storage/docs/json_api/v1>).

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sendoff::{Body, ByteStream, Call, Error, Http, Item, Listing, Page, Paging, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::shared::file_path::FilePath;
use crate::shared::google::Google;
use crate::shared::google::resumable::{Sent, Target};
use crate::shared::object_store::{self, Shelf};

pub(super) const HOST: &str = "storage.googleapis.com";
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The metadata that tells this delivery's object from any other of the same name.
const DELIVERY: &str = "sendoff_delivery";

/// The buckets of a project.
pub(super) async fn buckets(google: &Google, project: &str) -> Result<Listing> {
    Listing::paged("buckets", Paging::default(), |next| page_of_buckets(google, project, next))
        .await
}

async fn page_of_buckets(google: &Google, project: &str, next: Option<String>) -> Result<Page> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Buckets {
        #[serde(default)]
        items: Vec<Named>,
        next_page_token: Option<String>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let url = format!("https://{HOST}/storage/v1/b");
    let mut query =
        vec![("project", project), ("maxResults", "1000"), ("fields", "items(name),nextPageToken")];
    query.extend(next.as_deref().map(|token| ("pageToken", token)));
    let reply = google.ask(|http| http.get(&url).query(query.iter().copied())).await?;
    let page: Buckets = reply.json().await?;
    let items = page.items.into_iter().map(|bucket| Item::named(bucket.name)).collect();
    Ok(Page { items, next: page.next_page_token })
}

/// Splits what the user chose into the bucket and a folder, which may follow after a slash.
pub(super) fn bucket(text: &str) -> Result<(&str, &str)> {
    let text = text.trim();
    let text = text.strip_prefix("gs://").unwrap_or(text).trim_matches('/');
    let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
    let sound = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = bucket.as_bytes();
    let sound = (3..=222).contains(&bytes.len())
        && bucket.bytes().all(sound)
        && ends(bytes.first())
        && ends(bytes.last());
    if !sound {
        return Err(Error::form(
            "bucket",
            "This is no bucket's name: at least 3 small letters, digits, hyphens, underscores and \
             dots. A folder may follow after a slash.",
        ));
    }
    Ok((bucket, prefix))
}

/// A bucket that is written to.
pub(super) struct Bucket<'a> {
    pub(super) google: Google,
    pub(super) name: &'a str,
    /// The project that pays, where the bucket's owner does not.
    pub(super) pays: Option<&'a str>,
}

impl Bucket<'_> {
    fn url(&self, object: &str) -> String {
        let object = utf8_percent_encode(object, UNRESERVED);
        format!("https://{HOST}/storage/v1/b/{}/o/{object}", self.name)
    }

    fn paid(&self, call: Call) -> Call {
        call.query(self.pays.map(|project| ("userProject", project)))
    }

    async fn get(&self, google: &Google, object: &str) -> Result<Option<Stored>> {
        let url = self.url(object);
        match google.ask(|http| self.paid(http.get(&url))).await {
            Ok(reply) => Ok(Some(reply.json().await?)),
            Err(error) if error.http_status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Shelf for Bucket<'_> {
    async fn exists(&self, path: &FilePath) -> Result<Option<bool>> {
        match self.get(&self.google, path.as_str()).await {
            Ok(found) => Ok(Some(found.is_some())),
            Err(error) if error.http_status() == Some(403) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What Cloud Storage says of an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    name: String,
    generation: String,
    /// A number as text.
    size: String,
    md5_hash: Option<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// One object that is being written.
pub(super) struct Object<'a> {
    pub(super) bucket: &'a Bucket<'a>,
    pub(super) name: &'a FilePath,
    pub(super) media_type: &'a str,
    pub(super) storage_class: Option<&'static str>,
    pub(super) kms_key: Option<&'a str>,
    /// What the object should tell of its origin.
    pub(super) about: Vec<(&'static str, String)>,
    pub(super) delivery: String,
    /// Only if no object of this name stands there.
    pub(super) new_only: bool,
}

impl Object<'_> {
    fn metadata(&self) -> Value {
        let mut own: Map<_, _> =
            self.about.iter().map(|(what, text)| (format!("looker_{what}"), json!(text))).collect();
        own.insert(DELIVERY.to_owned(), json!(self.delivery));
        let mut metadata = json!({
            "name": self.name.as_str(),
            "contentType": self.media_type,
            "contentDisposition": object_store::disposition(self.name.name()),
            "metadata": own,
        });
        if let Some(class) = self.storage_class {
            metadata["storageClass"] = json!(class);
        }
        metadata
    }

    fn upload(&self, http: &Http, kind: &str) -> Call {
        let url = format!("https://{HOST}/upload/storage/v1/b/{}/o", self.bucket.name);
        let call = http.post(url).query([("uploadType", kind)]);
        let call = call.query(self.new_only.then_some(("ifGenerationMatch", "0")));
        self.bucket.paid(call.query(self.kms_key.map(|key| ("kmsKeyName", key))))
    }
}

impl Target for Object<'_> {
    type File = Stored;

    fn google(&self) -> &Google {
        &self.bucket.google
    }

    fn begin(&self, http: &Http) -> Call {
        let call = self.upload(http, "resumable").json(&self.metadata());
        call.header("x-upload-content-type", self.media_type)
    }

    const AT_ONCE: bool = true;

    /// <https://docs.cloud.google.com/storage/docs/uploading-objects#rest-upload-objects>
    fn whole(&self, http: &Http, bytes: &Bytes) -> Call {
        // No data can hold it: it is random.
        let boundary = &self.delivery;
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{}\r\n\
             --{boundary}\r\nContent-Type: {}\r\n\r\n",
            self.metadata(),
            self.media_type
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let pieces = [head.into(), bytes.clone(), tail.into()];
        let len = pieces.iter().map(|piece: &Bytes| piece.len() as u64).sum();
        let body = Body::again(move || {
            let pieces = pieces.clone().into_iter().filter(|piece| !piece.is_empty());
            ByteStream::new(futures_util::stream::iter(pieces.map(Ok))).with_len(len)
        });
        let media_type = format!("multipart/related; boundary={boundary}");
        self.upload(http, "multipart").header("content-type", media_type).body(body)
    }

    async fn found(&self, google: &Google) -> Result<Option<Stored>> {
        let found = self.bucket.get(google, self.name.as_str()).await?;
        Ok(found.filter(|stored| stored.metadata.get(DELIVERY) == Some(&json!(self.delivery))))
    }

    fn holds(&self, stored: &Stored, sent: &Sent) -> bool {
        let md5 = base64_simd::STANDARD.encode_to_string(&sent.md5);
        stored.name == self.name.as_str()
            && stored.size.parse() == Ok(sent.bytes)
            && stored.md5_hash.as_ref().is_none_or(|theirs| *theirs == md5)
    }

    async fn remove(&self, google: &Google, stored: &Stored) -> Result<()> {
        // This very one, should another have come in its place.
        let url = self.bucket.url(self.name.as_str());
        let generation = [("generation", stored.generation.as_str())];
        let call = |http: &Http| self.bucket.paid(http.delete(&url).query(generation));
        google.ask(call).await.map(drop)
    }
}
