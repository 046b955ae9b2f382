//! Azure Storage: the result becomes one block blob in a container.

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};
use url::Url;
use uuid::Uuid;

use crate::Difference;
use crate::shared::azure::{self, Azure, AzureEnvironment, Blob, Container, Login, OwnIdentity};
use crate::shared::differences::{CONTENT_TYPE, ERROR_PAGE, EXTENSION};
use crate::shared::file_options::{FileOptions, IfExists};
use crate::shared::object_store::{self, Kind};

#[cfg(feature = "fakes")]
pub(crate) mod fake;

/// The action; see its spec.
pub(crate) struct AzureStorage {
    /// The hub's own identity, where the operator lets Looker's admin go without credentials.
    own: Option<OwnIdentity>,
}

impl AzureStorage {
    pub(crate) fn new(environment: Option<AzureEnvironment>) -> Self {
        Self { own: environment.map(OwnIdentity::new) }
    }
}

/// The endings of the clouds' own host names, and where Microsoft Entra is for them.
const CLOUDS: [(&str, &str); 3] = [
    ("core.windows.net", "login.microsoftonline.com"),
    ("core.usgovcloudapi.net", "login.microsoftonline.us"),
    ("core.chinacloudapi.cn", "login.chinacloudapi.cn"),
];

#[derive(Fields)]
pub(crate) struct Settings {
    /// Your account for Azure.
    #[field(label = "Storage Account")]
    account: String,
    /// Your access key for Azure.
    #[field(name = "accessKey", label = "Access Key")]
    access_key: Option<Secret>,
    /// Instead of the access key: a shared access signature of the account or of one container.
    #[field(label = "SAS Token")]
    sas_token: Option<Secret>,
    /// Instead of the access key: the tenant of a service principal of Microsoft Entra.
    #[field(label = "Tenant ID")]
    tenant_id: Option<String>,
    /// The service principal.
    #[field(label = "Client ID")]
    client_id: Option<String>,
    /// The secret of the service principal.
    client_secret: Option<Secret>,
    /// For other clouds: core.usgovcloudapi.net or core.chinacloudapi.cn. Leave empty for
    /// core.windows.net.
    endpoint_suffix: Option<String>,
    /// The whole address of the blob service, for a domain of your own or an emulator.
    endpoint: Option<String>,
    /// The container that the form shows first.
    default_container: Option<String>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// The container; a folder may follow after a slash.
    container: String,
    #[field(flatten)]
    file: FileOptions,
    /// Leave empty for the account's own.
    access_tier: Option<Tier>,
    /// Make the container if there is none of this name.
    create_container: bool,
    /// Compress the file and add .gz to its name.
    gzip: bool,
    /// To find a container that the list above does not show: a part of its name, or the whole name
    /// of one that this login may write to and not list.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find_container: Option<String>,
}

#[derive(Choice, Clone, Copy)]
pub(crate) enum Tier {
    Hot,
    Cool,
    Cold,
    Archive,
}

impl Tier {
    fn header(self) -> &'static str {
        match self {
            Self::Hot => "Hot",
            Self::Cool => "Cool",
            Self::Cold => "Cold",
            Self::Archive => "Archive",
        }
    }
}

impl Action for AzureStorage {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("azure_storage", "Azure Storage")
        .description("Write data files to an Azure container.")
        .accepts(&[Query, Dashboard])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://learn.microsoft.com/azure/storage/blobs/storage-blobs-introduction")
        .delivery(Repeatable::Parts, Commit::FinalStep, true);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let containers = Box::pin(async { self.client(cx).await?.containers().await });
        let found = cx.remember("containers", containers).await;
        let preferred = cx.settings.default_container.as_deref();
        let kind = Kind { name: "container", sound: |text| container(text).is_ok() };
        let (field, find) = (&mut form.container, &mut form.find_container);
        object_store::offer(field, find, found, preferred, &kind)
    }

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        format!("azure_storage {}", settings.account.trim())
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let path = form.file.target(cx, &data)?;
        let (container, prefix) = container(&form.container)?;
        let path = object_store::inside(prefix, path, "container")?;
        let path = if form.gzip { object_store::suffixed(&path, ".gz")? } else { path };
        let media_type = if form.gzip { "application/gzip" } else { data.media_type() }.to_owned();
        let data = data.open().await?;
        let data = if form.gzip { object_store::gzipped(data) } else { data };
        let azure = self.client(cx).await?;
        if form.create_container {
            azure.create_container(container).await?;
        }
        let if_exists = form.file.if_exists();
        let shelf = Container { azure: &azure, name: container };
        let name = object_store::free_name(&shelf, &path, if_exists, true).await?;
        let mut headers = vec![
            ("x-ms-blob-content-type", media_type),
            ("x-ms-blob-content-disposition", object_store::disposition(name.name())),
        ];
        headers.extend(form.access_tier.map(|tier| ("x-ms-access-tier", tier.header().to_owned())));
        for (what, value) in object_store::about(cx.plan()) {
            let header = match what {
                "plan_id" => "x-ms-meta-looker_plan_id",
                "title" => "x-ms-meta-looker_title",
                _ => "x-ms-meta-looker_url",
            };
            headers.push((header, azure::metadata(&value)));
        }
        let blob = Blob {
            azure: &azure,
            path: format!("/{container}/{name}"),
            headers,
            delivery: Uuid::new_v4().simple().to_string(),
            new_only: if_exists != IfExists::Overwrite,
        };
        let bytes = object_store::write(&blob, data, cx.stop()).await?;
        let base = azure.base.as_str().trim_end_matches('/');
        let receipt = Receipt::new(format!("{base}{}", blob.path)).bytes(bytes);
        Ok(if name == path {
            receipt
        } else {
            receipt.remark(format!("{} was taken, so that it has another name.", path.name()))
        })
    }
}

impl AzureStorage {
    async fn client(&self, cx: &Context<Settings>) -> Result<Azure> {
        let settings = &cx.settings;
        let account = settings.account.trim();
        if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::settings(
                "The storage account must be its name alone: small letters and digits.",
            )
            .field("account"));
        }
        let suffix = settings.endpoint_suffix.as_deref().unwrap_or(CLOUDS[0].0).trim();
        let base = match &settings.endpoint {
            Some(endpoint) => Url::parse(endpoint.trim()).ok().filter(|url| url.query().is_none()),
            None => Url::parse(&format!("https://{account}.blob.{suffix}")).ok().filter(|url| {
                url.path() == "/" && url.host_str() == Some(&format!("{account}.blob.{suffix}"))
            }),
        };
        let base = base.ok_or_else(|| {
            let (field, like) = match settings.endpoint {
                Some(_) => ("endpoint", "https://files.example.com"),
                None => ("endpoint_suffix", "core.windows.net"),
            };
            Error::settings(format!("The address of the blob service must look like {like}."))
                .field(field)
        })?;
        let login = self.login(cx, account, suffix).await?;
        Ok(Azure { http: cx.http().clone(), stop: cx.stop().clone(), login, base })
    }

    async fn login(&self, cx: &Context<Settings>, account: &str, suffix: &str) -> Result<Login> {
        let Settings { access_key, sas_token, tenant_id, client_id, client_secret, .. } =
            &cx.settings;
        let cloud = CLOUDS.iter().find(|(ending, _)| *ending == suffix);
        // Its token goes to nobody but the cloud's own hosts.
        let own = self.own.as_ref().filter(|_| cx.settings.endpoint.is_none() && cloud.is_some());
        match (access_key, sas_token, (tenant_id, client_id, client_secret), own) {
            (Some(key), None, (None, None, None), _) => Login::key(account, key),
            (None, Some(token), (None, None, None), _) => Login::sas(token),
            (None, None, (Some(tenant), Some(client), Some(secret)), _) => {
                let (_, authority) = cloud.unwrap_or(&CLOUDS[0]);
                Login::entra(cx.http(), authority, tenant, client, secret).await
            }
            (None, None, (None, None, None), Some(own)) => {
                Ok(Login::Bearer(own.token(cx.http()).await?))
            }
            _ => Err(Error::settings(
                "Enter one of these and leave the others empty: the access key, a SAS token, or \
             tenant id, client id and client secret of a service principal.",
            )
            .field("accessKey")),
        }
    }
}

/// Splits what the user chose into the container and a folder, which may follow after a slash.
fn container(text: &str) -> Result<(&str, &str)> {
    let text = text.trim().trim_matches('/');
    let (container, prefix) = text.split_once('/').unwrap_or((text, ""));
    // $web and $root are containers too.
    let sound = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'$')
    };
    if !(3..=63).contains(&container.len()) || !container.bytes().all(sound) {
        return Err(Error::form(
            "container",
            "This is no container's name: 3 to 63 small letters, digits and hyphens. A folder may \
             follow after a slash.",
        ));
    }
    Ok((container, prefix))
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "A wrong key, or one without the right to list containers, is never answered.",
        ours: "It is told in the form, and the container can be typed in.",
        switch: None,
    },
    Difference {
        reference: "Of the containers the first page can be chosen.",
        ours: "All can.",
        switch: None,
    },
    CONTENT_TYPE,
    ERROR_PAGE,
    EXTENSION,
];
