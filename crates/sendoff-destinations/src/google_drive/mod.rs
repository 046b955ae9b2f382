//! Google Drive: the result becomes one file in a folder of a drive.

pub(crate) mod api;
pub(crate) mod file;
pub(crate) mod picker;
pub(crate) mod place;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sendoff::prelude::*;
use sendoff::{Button, Commit, Login, LookerVersion, OAuth, Repeatable};

use crate::Difference;
use crate::shared::differences::{EXTENSION, WITHOUT_CLIENT};
use crate::shared::file_options;
use crate::shared::google::service_account::{KeyFile, ServiceAccount, TOKEN_URL, Tokens, Wanted};
use crate::shared::google::{Access, Domains, DriveScope, Google, ISSUER, Vendor, resumable};
use crate::shared::template::Facts;
use file::Upload;
use place::{Find, FolderChoice, Place};

#[cfg(feature = "fakes")]
pub(crate) mod fake;

/// The action; see its spec.
#[derive(Default)]
pub(crate) struct GoogleDrive {
    tokens: Arc<Tokens>,
    scope: DriveScope,
}

impl GoogleDrive {
    pub(crate) fn new(scope: DriveScope) -> Self {
        Self { scope, ..Self::default() }
    }
}

const VENDOR: Vendor = Vendor {
    name: "Google Drive",
    place: "folderid",
    place_is: "folder",
    upload_host: "www.googleapis.com",
};

const SCOPE: &str = "https://www.googleapis.com/auth/drive";
const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
/// In place of all files.
pub(crate) const OWN_FILES: &[&str] = &["https://www.googleapis.com/auth/drive.file", EMAIL];

const LOGIN: OAuth = OAuth::new("https://accounts.google.com/o/oauth2/v2/auth", TOKEN_URL)
    .scopes(&[SCOPE, EMAIL])
    // Without these Google gives no refresh token to who has logged in before.
    .authorize_params(&[("access_type", "offline"), ("prompt", "consent")])
    .pkce()
    .issuer(ISSUER)
    .lasting()
    .v2()
    .button(Button::Google)
    .revoke("https://myaccount.google.com/connections")
    .variables("GOOGLE_DRIVE_CLIENT_ID", "GOOGLE_DRIVE_CLIENT_SECRET");

#[derive(Fields)]
pub(crate) struct Settings {
    /// Comma separated domain allowlist ex: facts.com,car.com. Be advised that if this is enabled
    /// after, all existing accounts will have to reauth due to an additional scope needed to check
    /// the email address.
    domain_allowlist: Option<String>,
    /// In place of the users' own logins: the whole key file of a service account, as Google Cloud
    /// downloads it. Nobody has to log in then, and no schedule ends with somebody's account.
    #[field(label = "Service Account JSON")]
    service_account_json: Option<Secret>,
    /// The user in whose name the service account acts (domain-wide delegation). Leave empty for
    /// shared drives that it is a member of.
    act_as: Option<String>,
}

#[derive(Fields)]
pub(crate) struct Form {
    #[field(flatten)]
    folder: FolderChoice,
    /// The name of the file. May hold placeholders: {title}, {date} or {date:%Y-%m-%d}, {time},
    /// {ts} (milliseconds since 1970), {uuid}, {ext}, {format}, {plan_id}, {instance}. The
    /// extension is added if there is none.
    #[field(label = "Enter a filename")]
    filename: String,
    #[field(flatten)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find: Find,
    /// What to do if a file of that name is there already. Keep both makes another one of the same
    /// name; Replace its content keeps the file's link and whom it is shared with.
    #[field(label = "If It Exists", default = "keep_both")]
    if_exists: IfThere,
    /// Make a Google spreadsheet or document of it.
    #[field(label = "Convert to Google Format")]
    convert: bool,
    /// E-mail addresses, separated by commas, of people who may read a new file. They get no
    /// message.
    share_with: Option<String>,
}

#[derive(Choice, Clone, Copy, PartialEq)]
pub(crate) enum IfThere {
    KeepBoth,
    #[choice(name = "overwrite", label = "Replace its content")]
    Overwrite,
    Fail,
}

impl Action for GoogleDrive {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("google_drive", "Google Drive")
        .description("Create a new file in Google Drive.")
        .accepts(&[Dashboard, Query])
        .streaming()
        .minimum_looker(LookerVersion::new(7, 3, 0))
        .oauth(LOGIN)
        .or_setting("service_account_json")
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://developers.google.com/workspace/drive/api/guides/about-sdk")
        .delivery(Repeatable::Parts, Commit::FinalStep, true);

    fn spec_here(&self) -> Spec {
        match self.scope {
            DriveScope::Drive => Self::SPEC,
            DriveScope::DriveFile => Self::SPEC.oauth(LOGIN.scopes(OWN_FILES)),
        }
    }

    fn needs_login(&self, settings: &Settings) -> bool {
        !settings.by_key()
    }

    async fn account(&self, cx: &Context<Settings>) -> Result<Option<String>> {
        let google = self.client(cx)?;
        Ok(Some(cx.remember("account", google.account()).await?.email))
    }

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        picker::draw(cx, &self.client(cx)?, &mut form.folder, &mut form.find).await
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let facts = Facts::of(cx, &data);
        let name = file_options::target(None, Some(&form.filename), &facts)?;
        let kind = file::Kind::of(form.convert, &data)?;
        let name = kind.named(name.as_str(), data.extension());
        let place = Place::of(&form.folder)?;
        let domains = cx.settings.domains();
        let readers = file::readers(form.share_with.as_deref(), &domains)?;
        let media_type = data.media_type().to_owned();
        let data = data.open().await?;
        let google = self.client(cx)?;
        if self.needs_login(&cx.settings) {
            google.check_domain(&domains).await?;
        }
        let folder = place.found(&google).await?;
        let there = match form.if_exists {
            IfThere::KeepBoth => None,
            kept => file::existing(&google, &folder, &name, &kind, kept).await?,
        };
        let upload = Upload::new(&google, &folder, &name, &kind, &media_type);
        let upload = match form.if_exists {
            IfThere::Overwrite => upload.replacing(there.as_ref()),
            IfThere::KeepBoth | IfThere::Fail => upload,
        };
        let (stored, sent) = resumable::write(&upload, data, cx.stop()).await?;
        let shared = if there.is_none() {
            file::share(&google, &stored, &readers).await
        } else {
            Vec::new()
        };
        let target = format!("{} in {}", stored.name(), folder.name);
        let receipt = Receipt::new(target).bytes(sent.bytes).link(stored.link());
        let remarks = there.and_then(|there| there.remark()).into_iter().chain(shared);
        Ok(remarks.fold(receipt, Receipt::remark))
    }
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "A delivery from a domain that is not allowed is told to have failed, and is written all the same.",
        ours: "The domain is checked before anything is written.",
        switch: None,
    },
    Difference {
        reference: "notexample.com passes for example.com.",
        ours: "The domain must be equal, and the address verified.",
        switch: None,
    },
    Difference {
        reference: "A file for the root of a shared drive goes to My Drive.",
        ours: "It goes to the shared drive.",
        switch: None,
    },
    Difference {
        reference: "A folder's address that is not understood, or an id alone, leads to the root without a word.",
        ours: "An id is understood, and what is not is refused.",
        switch: None,
    },
    Difference {
        reference: "The content type of binary formats ends in ;base64.",
        ours: "It is the media type.",
        switch: None,
    },
    Difference {
        reference: "The form lists every folder of the drive.",
        ours: "It lists one level, and finds folders by how their names begin.",
        switch: Some("find_folder"),
    },
    EXTENSION,
    WITHOUT_CLIENT,
];

impl GoogleDrive {
    fn client(&self, cx: &Context<Settings>) -> Result<Google> {
        let access = cx.settings.access(cx.login(), SCOPE, &self.tokens)?;
        Ok(Google::new(cx, &VENDOR, access).granted(self.scope))
    }
}

impl Settings {
    /// Whether a service account acts, and no user has to log in.
    pub(crate) fn by_key(&self) -> bool {
        self.service_account_json.is_some()
    }

    pub(crate) fn domains(&self) -> Domains {
        Domains::read(self.domain_allowlist.as_deref())
    }

    /// By whose right Google is asked.
    pub(crate) fn access(
        &self,
        login: &Login,
        scope: &'static str,
        tokens: &Arc<Tokens>,
    ) -> Result<Access> {
        let Some(json) = &self.service_account_json else {
            return Ok(Access::Login(login.clone()));
        };
        let file = KeyFile::json(json, "service_account_json")?;
        let subject = self.act_as.as_deref();
        let wanted = Wanted { scope, subject, impersonate: None };
        Ok(Access::Key(Arc::new(ServiceAccount::new(&file, &wanted, tokens)?)))
    }
}
