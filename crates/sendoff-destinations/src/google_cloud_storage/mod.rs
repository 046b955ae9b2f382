//! Google Cloud Storage: the result becomes one object in a bucket.

mod object;

use std::sync::Arc;

use jiff::Timestamp;
use sendoff::prelude::*;
use sendoff::{Commit, Listing, Repeatable};
use uuid::Uuid;

use crate::Difference;
use crate::shared::differences::{BUCKET, ERROR_PAGE};
use crate::shared::file_options::{self, IfExists};
use crate::shared::google::service_account::{KeyFile, ServiceAccount, Tokens, Wanted};
use crate::shared::google::{Access, Google, Vendor, machine, resumable};
use crate::shared::object_store::{self, Kind};
use crate::shared::template::Facts;
use object::{Bucket, Object};

#[cfg(feature = "fakes")]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

/// The action; see its spec.
#[derive(Default)]
pub(crate) struct GoogleCloudStorage {
    tokens: Arc<Tokens>,
    /// The account that the hub runs as may be used.
    own_account: bool,
}

impl GoogleCloudStorage {
    pub(crate) fn new(own_account: bool) -> Self {
        Self { own_account, ..Self::default() }
    }
}

const VENDOR: Vendor = Vendor {
    name: "Google Cloud Storage",
    place: "bucket",
    place_is: "bucket",
    upload_host: object::HOST,
};

#[derive(Fields)]
#[allow(rustdoc::bare_urls, reason = "the reference's text, which Looker shows as it is")]
pub(crate) struct Settings {
    /// Your client email for GCS from https://console.cloud.google.com/apis/credentials
    client_email: Option<String>,
    /// Your private key for GCS from https://console.cloud.google.com/apis/credentials
    private_key: Option<Secret>,
    /// The Project Id for your GCS project from https://console.cloud.google.com/apis/credentials
    project_id: Option<String>,
    /// In place of the three above: the whole key file of a service account, as Google Cloud
    /// downloads it.
    #[field(label = "Service Account JSON")]
    service_account_json: Option<Secret>,
    /// The e-mail address of another service account whose rights are used. The one above must
    /// have the role Service Account Token Creator on it.
    impersonate_service_account: Option<String>,
    /// The bucket that the form shows first.
    default_bucket: Option<String>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// The bucket; a folder may follow after a slash.
    bucket: String,
    /// The name of the file. May hold placeholders: {title}, {date} or {date:%Y-%m-%d}, {time},
    /// {ts} (milliseconds since 1970), {uuid}, {ext}, {format}, {plan_id}, {instance}. The
    /// extension is added if there is none. Leave empty for the title.
    filename: Option<String>,
    /// Whether a file of that name is overwritten. With No the date and time are added to the
    /// name, with Keep both a number if the name is taken; with Fail nothing is delivered then.
    #[field(default = "yes")]
    overwrite: Overwrite,
    /// A folder within the bucket; placeholders as in the name.
    path: Option<String>,
    /// Leave empty for the bucket's own.
    storage_class: Option<StorageClass>,
    /// The Cloud KMS key that encrypts the file: projects/…/locations/…/keyRings/…/cryptoKeys/….
    /// Leave empty for the bucket's own.
    #[field(label = "KMS Key")]
    kms_key: Option<String>,
    /// The project that pays for the requests, for buckets that ask for one (Requester Pays).
    user_project: Option<String>,
    /// Compress the file and add .gz to its name.
    gzip: bool,
    /// To find a bucket that the list above does not show: a part of its name, or the whole name of
    /// one that this account may write to and not list.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find_bucket: Option<String>,
}

#[derive(Choice, Clone, Copy, PartialEq)]
pub(crate) enum Overwrite {
    Yes,
    No,
    KeepBoth,
    Fail,
}

#[derive(Choice, Clone, Copy, PartialEq)]
pub(crate) enum StorageClass {
    #[choice(name = "STANDARD", label = "Standard")]
    Standard,
    #[choice(name = "NEARLINE", label = "Nearline")]
    Nearline,
    #[choice(name = "COLDLINE", label = "Coldline")]
    Coldline,
    #[choice(name = "ARCHIVE", label = "Archive")]
    Archive,
}

impl Action for GoogleCloudStorage {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("google_cloud_storage", "Google Cloud Storage")
        .description("Write data files to a Google Cloud Storage bucket.")
        .accepts(&[Dashboard, Query])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://docs.cloud.google.com/storage/docs/introduction")
        .delivery(Repeatable::Parts, Commit::FinalStep, true);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let found = cx.remember("buckets", self.buckets(cx)).await;
        let preferred = cx.settings.default_bucket.as_deref();
        let kind = Kind { name: "bucket", sound: |text| object::bucket(text).is_ok() };
        object_store::offer(&mut form.bucket, &mut form.find_bucket, found, preferred, &kind)
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let facts = Facts::of(cx, &data);
        let path = file_options::target(form.path.as_deref(), form.filename.as_deref(), &facts)?;
        let (bucket, prefix) = object::bucket(&form.bucket)?;
        let path = object_store::inside(prefix, path, "bucket")?;
        let path = if form.gzip { object_store::suffixed(&path, ".gz")? } else { path };
        let (path, if_exists) = match form.overwrite {
            Overwrite::Yes => (path, IfExists::Overwrite),
            Overwrite::No => {
                let now = Timestamp::now().as_millisecond();
                (path.marked(&format!("_{now}")), IfExists::KeepBoth)
            }
            Overwrite::KeepBoth => (path, IfExists::KeepBoth),
            Overwrite::Fail => (path, IfExists::Fail),
        };
        let media_type = if form.gzip { "application/gzip" } else { data.media_type() }.to_owned();
        let data = data.open().await?;
        let data = if form.gzip { object_store::gzipped(data) } else { data };
        let (google, _) = self.client(cx)?;
        let bucket = Bucket { google, name: bucket, pays: given(&form.user_project) };
        let name = object_store::free_name(&bucket, &path, if_exists, true).await?;
        let object = Object {
            bucket: &bucket,
            name: &name,
            media_type: &media_type,
            storage_class: name_of(form.storage_class),
            kms_key: given(&form.kms_key),
            about: object_store::about(cx.plan()).collect(),
            delivery: Uuid::new_v4().simple().to_string(),
            new_only: if_exists != IfExists::Overwrite,
        };
        let (_, sent) = resumable::write(&object, data, cx.stop()).await?;
        let receipt = Receipt::new(format!("gs://{}/{name}", bucket.name)).bytes(sent.bytes);
        Ok(if name == path {
            receipt
        } else {
            receipt.remark(format!("{} was taken, so that it has another name.", path.name()))
        })
    }
}

impl GoogleCloudStorage {
    async fn buckets(&self, cx: &Context<Settings>) -> Result<Listing> {
        let (google, file) = self.client(cx)?;
        let named = given(&cx.settings.project_id).map(str::to_owned);
        let project = match (named, file) {
            (Some(project), _) => project,
            (None, None) => machine::project(cx.http()).await?,
            (None, Some(file)) => {
                file.project.ok_or_else(|| Error::settings("The settings name no project."))?
            }
        };
        object::buckets(&google, &project).await
    }

    /// The client, and the key file unless the hub's own account is used.
    fn client(&self, cx: &Context<Settings>) -> Result<(Google, Option<KeyFile>)> {
        let settings = &cx.settings;
        let file = match (&settings.service_account_json, &settings.private_key) {
            (Some(json), _) => Some(KeyFile::json(json, "service_account_json")?),
            (None, Some(key)) => {
                let email = settings.client_email.as_deref().unwrap_or_default();
                Some(KeyFile::parts(email, key, "private_key")?)
            }
            (None, None) if self.own_account && given(&settings.client_email).is_none() => None,
            (None, None) => {
                return Err(Error::settings(
                    "Enter a service account's client email and private key, or its whole key \
                     file.",
                )
                .field("private_key"));
            }
        };
        let wanted = Wanted {
            scope: "https://www.googleapis.com/auth/devstorage.read_write",
            subject: None,
            impersonate: settings.impersonate_service_account.as_deref(),
        };
        let account = match &file {
            Some(file) => ServiceAccount::new(file, &wanted, &self.tokens)?,
            None => ServiceAccount::of_machine(&wanted, &self.tokens),
        };
        Ok((Google::new(cx, &VENDOR, Access::Key(Arc::new(account))), file))
    }
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "A typed \"No\" overwrites.",
        ours: "Yes and No are read in small and capital letters.",
        switch: None,
    },
    Difference {
        reference: "Two runs in the same millisecond overwrite each other although told not to.",
        ours: "Cloud Storage itself refuses to replace a file unless told to.",
        switch: None,
    },
    Difference {
        reference: "The content type of binary formats ends in ;base64.",
        ours: "It is the media type.",
        switch: None,
    },
    ERROR_PAGE,
    BUCKET,
];

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

fn name_of(chosen: Option<StorageClass>) -> Option<&'static str> {
    let named = |chosen| StorageClass::ALL.iter().find(|(each, ..)| *each == chosen);
    chosen.and_then(named).map(|(_, name, _)| *name)
}
