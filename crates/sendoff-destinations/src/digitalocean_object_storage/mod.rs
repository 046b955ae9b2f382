//! DigitalOcean Spaces: the result becomes one object in a Space, by the S3 dialect.

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::shared::aws::{self, Keys};
use crate::shared::file_options::FileOptions;
use crate::shared::object_store;
use crate::shared::s3::{self, Endpoint, Order, S3, Vendor};

#[cfg(feature = "fakes")]
pub(crate) mod fake;

/// The action; see its spec.
pub(crate) struct DigitalOceanSpaces;

const SPACES: Vendor = Vendor {
    name: "DigitalOcean Spaces",
    bucket: "Space",
    domain: |region| format!("{region}.digitaloceanspaces.com"),
    // Nothing in the vendor's documentation promises that a condition is obeyed.
    conditional: false,
};

#[derive(Fields)]
#[allow(rustdoc::bare_urls, reason = "the reference's text, which Looker shows as it is")]
pub(crate) struct Settings {
    /// Your access key for DigitalOcean Spaces https://cloud.digitalocean.com/settings/api/tokens.
    #[field(label = "Spaces Access Key", public)]
    access_key_id: Secret,
    /// Your secret key for DigitalOcean Spaces https://cloud.digitalocean.com/settings/api/tokens.
    #[field(label = "Spaces Secret Key")]
    secret_access_key: Secret,
    /// DigitalOcean Region e.g. NYC3
    region: String,
    /// Another address for the same dialect. Leave empty for DigitalOcean.
    endpoint: Option<String>,
    /// The Space that the form shows first.
    #[field(label = "Default Space")]
    default_bucket: Option<String>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// The Space; a folder may follow after a slash.
    #[field(label = "Space Name")]
    bucket: String,
    #[field(flatten)]
    file: FileOptions,
    /// Who may read. Leave empty for private.
    #[field(label = "Access")]
    acl: Option<Access>,
    /// Compress the file and add .gz to its name.
    gzip: bool,
    /// To find a Space that the list above does not show: a part of its name, or the whole name of
    /// one that these keys may write to and not list.
    #[field(label = "Find Space", interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find_bucket: Option<String>,
}

#[derive(Choice, Clone, Copy, PartialEq)]
pub(crate) enum Access {
    Private,
    #[choice(name = "public-read", label = "Everyone may read")]
    PublicRead,
}

impl Action for DigitalOceanSpaces {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("digitalocean_object_storage", "DigitalOcean Spaces")
        .description("Write data files to DigitalOcean's Spaces storage.")
        .accepts(&[Dashboard, Query])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://docs.digitalocean.com/products/spaces/how-to/manage-access/")
        .delivery(Repeatable::Parts, Commit::FinalStep, true);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let found = cx.remember("buckets", async { client(cx)?.buckets().await }).await;
        let preferred = cx.settings.default_bucket.as_deref();
        let (field, find) = (&mut form.bucket, &mut form.find_bucket);
        object_store::offer(field, find, found, preferred, &SPACES.kind())
    }

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        let host = settings.endpoint.as_deref().unwrap_or(&settings.region);
        format!("digitalocean_object_storage {}", host.trim())
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let path = form.file.target(cx, &data)?;
        let media_type = if form.gzip { "application/gzip" } else { data.media_type() };
        let mut headers = vec![("content-type", media_type.to_owned())];
        if let Some(acl) = form.acl {
            let name = if acl == Access::PublicRead { "public-read" } else { "private" };
            headers.push(("x-amz-acl", name.to_owned()));
        }
        let data = data.open().await?;
        let s3 = client(cx)?;
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

fn client(cx: &Context<Settings>) -> Result<S3> {
    let settings = &cx.settings;
    let keys = Keys {
        id: settings.access_key_id.clone(),
        secret: settings.secret_access_key.clone(),
        token: None,
    };
    let endpoint = Endpoint::parse(settings.endpoint.as_deref(), false)?;
    // The reference's help says NYC3; host names and signatures want nyc3.
    Ok(S3::new(cx, &SPACES, keys, aws::region(&settings.region)?, endpoint))
}
