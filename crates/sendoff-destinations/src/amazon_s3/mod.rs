//! Amazon S3: the result becomes one object in a bucket.

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::shared::aws::{self, AwsEnvironment, Further, Given, OwnKeys};
use crate::shared::file_options::FileOptions;
use crate::shared::object_store;
use crate::shared::s3::{self, Endpoint, Order, S3, Vendor};

#[cfg(feature = "fakes")]
pub(crate) mod fake;

/// The action; see its spec.
pub(crate) struct AmazonS3 {
    /// Keys of the hub's own, where the operator lets Looker's admin go without.
    own_keys: Option<OwnKeys>,
}

impl AmazonS3 {
    pub(crate) fn new(environment: Option<AwsEnvironment>) -> Self {
        Self { own_keys: environment.map(OwnKeys::new) }
    }
}

const AMAZON: Vendor = Vendor {
    name: "Amazon S3",
    bucket: "bucket",
    domain: |region| format!("s3.{region}.{}", aws::domain(region)),
    conditional: true,
};

#[derive(Fields)]
#[allow(rustdoc::bare_urls, reason = "the reference's text, which Looker shows as it is")]
pub(crate) struct Settings {
    /// Your access key for S3.
    #[field(label = "Access Key")]
    access_key_id: Option<Secret>,
    /// Your secret key for S3.
    #[field(label = "Secret Key")]
    secret_access_key: Option<Secret>,
    /// S3 Region e.g. us-east-1, us-west-1, ap-south-1 from
    /// http://docs.aws.amazon.com/general/latest/gr/rande.html#s3_region.
    region: String,
    #[field(flatten)]
    further: Further,
    /// Another server that speaks S3, such as https://minio.example.com:9000. Leave empty for
    /// Amazon.
    endpoint: Option<String>,
    /// Enter yes if that server wants the bucket in the path and not in the host name.
    force_path_style: bool,
    /// The bucket that the form shows first.
    default_bucket: Option<String>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// The bucket; a folder may follow after a slash.
    bucket: String,
    #[field(flatten)]
    file: FileOptions,
    /// Leave empty for the bucket's own.
    storage_class: Option<StorageClass>,
    /// How S3 encrypts the object. Leave empty for the bucket's own way.
    #[field(label = "Encryption")]
    sse: Option<Encryption>,
    /// The KMS key, for encryption by a key of your own.
    #[field(label = "KMS Key ID")]
    sse_kms_key_id: Option<String>,
    /// Who else may read. Leave empty for buckets that know no ACLs, as new ones do.
    #[field(label = "ACL")]
    acl: Option<Acl>,
    /// Compress the file and add .gz to its name.
    gzip: bool,
    /// To find a bucket that the list above does not show: a part of its name, or the whole name of
    /// one that these keys may write to and not list.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find_bucket: Option<String>,
}

#[derive(Choice, Clone, Copy, PartialEq)]
#[allow(clippy::upper_case_acronyms, reason = "as the vendor writes them")]
pub(crate) enum StorageClass {
    #[choice(name = "STANDARD", label = "Standard")]
    Standard,
    #[choice(name = "INTELLIGENT_TIERING", label = "Intelligent-Tiering")]
    IntelligentTiering,
    #[choice(name = "STANDARD_IA", label = "Standard-IA")]
    StandardIa,
    #[choice(name = "ONEZONE_IA", label = "One Zone-IA")]
    OneZoneIa,
    #[choice(name = "GLACIER_IR", label = "Glacier Instant Retrieval")]
    GlacierIr,
    #[choice(name = "GLACIER", label = "Glacier Flexible Retrieval")]
    Glacier,
    #[choice(name = "DEEP_ARCHIVE", label = "Glacier Deep Archive")]
    DeepArchive,
}

#[derive(Choice, Clone, Copy, PartialEq)]
pub(crate) enum Encryption {
    #[choice(name = "AES256", label = "S3 managed key (AES256)")]
    Aes256,
    #[choice(name = "aws:kms", label = "KMS key")]
    Kms,
}

#[derive(Choice, Clone, Copy, PartialEq)]
pub(crate) enum Acl {
    #[choice(name = "private", label = "Private")]
    Private,
    #[choice(name = "bucket-owner-full-control", label = "Bucket owner has full control")]
    BucketOwner,
    #[choice(name = "authenticated-read", label = "Every AWS user may read")]
    AuthenticatedRead,
    #[choice(name = "public-read", label = "Everyone may read")]
    PublicRead,
}

impl Action for AmazonS3 {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("amazon_s3", "Amazon S3")
        .description("Write data files to an S3 bucket.")
        .accepts(&[Dashboard, Query])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html")
        .delivery(Repeatable::Parts, Commit::FinalStep, true);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let buckets = Box::pin(async { self.client(cx).await?.buckets().await });
        let found = cx.remember("buckets", buckets).await;
        let preferred = cx.settings.default_bucket.as_deref();
        let (field, find) = (&mut form.bucket, &mut form.find_bucket);
        object_store::offer(field, find, found, preferred, &AMAZON.kind())
    }

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        let host = settings.endpoint.as_deref().unwrap_or(&settings.region);
        format!("amazon_s3 {}", host.trim())
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let path = form.file.target(cx, &data)?;
        let headers = form.headers(data.media_type());
        let data = data.open().await?;
        let s3 = self.client(cx).await?;
        let order = Order {
            bucket: &form.bucket,
            path,
            if_exists: form.file.if_exists(),
            gzip: form.gzip,
            headers,
        };
        s3::deliver(cx, &s3, order, data).await
    }
}

impl Form {
    fn headers(&self, media_type: &str) -> Vec<(&'static str, String)> {
        let media_type = if self.gzip { "application/gzip" } else { media_type };
        let chosen = [
            ("content-type", Some(media_type)),
            ("x-amz-storage-class", name_of(self.storage_class)),
            ("x-amz-server-side-encryption", name_of(self.sse)),
            ("x-amz-server-side-encryption-aws-kms-key-id", self.sse_kms_key_id.as_deref()),
            ("x-amz-acl", name_of(self.acl)),
        ];
        let chosen = chosen.into_iter().filter_map(|(name, value)| Some((name, value?)));
        chosen.map(|(name, value)| (name, value.trim().to_owned())).collect()
    }
}

fn name_of<C: Choice + PartialEq>(chosen: Option<C>) -> Option<&'static str> {
    let all = C::ALL.iter();
    chosen.and_then(|chosen| all.into_iter().find(|(each, ..)| *each == chosen).map(|each| each.1))
}

impl AmazonS3 {
    async fn client(&self, cx: &Context<Settings>) -> Result<S3> {
        let settings = &cx.settings;
        let region = aws::region(&settings.region)?;
        let endpoint = Endpoint::parse(settings.endpoint.as_deref(), settings.force_path_style)?;
        let sts = format!("sts.{region}.{}", aws::domain(&region));
        let (own, sts) = match &endpoint {
            Endpoint::Vendor => (self.own_keys.as_ref(), ("https", sts.as_str())),
            // Other servers offer roles at the same address, as MinIO does. The hub's keys sign
            // nothing for a server that an admin named.
            Endpoint::Other { scheme, host, .. } => (None, (scheme.as_str(), host.as_str())),
        };
        let given = Given {
            vendor: AMAZON.name,
            id: settings.access_key_id.as_ref(),
            secret: settings.secret_access_key.as_ref(),
            further: &settings.further,
        };
        let keys = given.keys(cx.http(), own, &region, sts).await?;
        Ok(S3::new(cx, &AMAZON, keys, region, endpoint))
    }
}
