//! Dropbox: the result becomes one file in a folder of the user's, or of the team's.

mod api;
#[cfg(feature = "fakes")]
pub(crate) mod fake;
mod folders;
#[cfg(test)]
mod tests;
mod upload;

use jiff::Timestamp;
use sendoff::prelude::*;
use sendoff::{ClientAuth, Commit, OAuth, Repeatable};

use crate::Difference;
use crate::shared::differences::ANY_SIZE;
use crate::shared::file_options::{self, IfExists};
use crate::shared::file_path::FilePath;
use crate::shared::object_store;
use crate::shared::template::Facts;

use api::Dropbox as Client;

/// The action; see its spec.
pub(crate) struct Dropbox;

/// <https://developers.dropbox.com/oauth-guide>. Without `offline` an access token ends after four
/// hours, and with it every schedule.
const LOGIN: OAuth = OAuth::new(
    "https://www.dropbox.com/oauth2/authorize",
    "https://api.dropboxapi.com/oauth2/token",
)
.scopes(&["files.content.write", "files.metadata.read", "account_info.read"])
.authorize_params(&[("token_access_type", "offline"), ("force_reapprove", "true")])
.pkce()
.lasting()
.client_auth(ClientAuth::Basic)
.revoke("https://www.dropbox.com/account/connected_apps")
.variables("DROPBOX_ACTION_APP_KEY", "DROPBOX_ACTION_APP_SECRET");

#[derive(Fields)]
pub(crate) struct Form {
    /// Dropbox folder where your file will be saved. Choosing one shows the folders in it.
    #[field(label = "Select folder to save file", default = "__root", interactive)]
    directory: String,
    /// The name of the file; may hold placeholders: {title}, {date} or {date:%Y-%m-%d}, {time},
    /// {ts}, {uuid}, {ext}, {format}, {plan_id}, {instance}. The extension is added if there is
    /// none. Leave empty for the title.
    #[field(label = "Enter a name")]
    filename: Option<String>,
    /// Puts the time (milliseconds since 1970) behind the name, so that each delivery is a file of
    /// its own.
    #[field(name = "includeTimestamp", label = "Append timestamp", default = "no")]
    include_timestamp: bool,
    /// A folder below the one chosen, which is made if it is missing; placeholders as in the name.
    path: Option<String>,
    /// What to do if a file of that name is there already. Dropbox keeps the versions before.
    #[field(label = "If It Exists", default = "overwrite")]
    if_exists: IfExists,
    /// Where the folders are: in your own Dropbox, or beside it in your team's.
    #[field(default = "home", interactive)]
    space: Space,
    /// A part of a folder's name that the list above does not show, or a whole path.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find: Option<String>,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Space {
    #[choice(name = "home", label = "My own")]
    Home,
    #[choice(name = "team", label = "The team's")]
    Team,
}

impl Action for Dropbox {
    type Settings = ();
    type Form = Form;

    const SPEC: Spec = Spec::new("dropbox", "Dropbox")
        .description("Send data directly to a Dropbox folder.")
        .accepts(&[Query, Dashboard])
        .streaming()
        .minimum_looker(sendoff::LookerVersion::new(6, 8, 0))
        .oauth(LOGIN)
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.dropbox.com/developers/documentation/http/documentation")
        .delivery(Repeatable::Parts, Commit::FinalStep, true);

    async fn form(&self, cx: &Context<()>, form: &mut View<Form>) -> Result<()> {
        folders::fill(cx, form).await
    }

    async fn account(&self, cx: &Context<()>) -> Result<Option<String>> {
        let account = folders::account(cx).await?;
        Ok(Some(account.email))
    }

    async fn execute(&self, cx: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
        let path = form.path(&Facts::of(cx, &data))?;
        let data = data.open().await?;
        let mut client = Client::new(cx);
        if form.space == Space::Team {
            let account = client.account().await?;
            client = client.in_root(&account.root_info.root_namespace_id);
        }
        let name = object_store::free_name(&client, &path, form.if_exists, true).await?;
        let target = upload::Target {
            client: &client,
            path: &name,
            replace: form.if_exists == IfExists::Overwrite,
            // To the second, which is all that Dropbox keeps.
            modified: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
        let (shown, bytes) = upload::write(&target, data).await?;
        let receipt = Receipt::new(format!("Dropbox ({shown})")).bytes(bytes);
        Ok(if name == path {
            receipt
        } else {
            receipt.remark(format!("{} was taken, so that it has another name.", path.name()))
        })
    }
}

impl Form {
    fn path(&self, facts: &Facts) -> Result<FilePath> {
        let path = file_options::target(self.path.as_deref(), self.filename.as_deref(), facts)?;
        let path = if self.include_timestamp { stamped(&path, facts)? } else { path };
        let folder =
            folders::chosen(&self.directory).map_err(|why| Error::form("directory", why))?;
        object_store::inside(folder.as_deref().unwrap_or_default(), path, "directory")
    }
}

/// `orders.csv` as `orders_1764057600000.csv`.
fn stamped(path: &FilePath, facts: &Facts) -> Result<FilePath> {
    let name = path.name();
    let dot = name.rfind('.').filter(|dot| *dot > 0).unwrap_or(name.len());
    let (stem, extension) = name.split_at(dot);
    let stamp = facts.now.timestamp().as_millisecond();
    let slash = if path.folder().is_empty() { "" } else { "/" };
    FilePath::new(&format!("{}{slash}{stem}_{stamp}{extension}", path.folder()))
        .map_err(|why| Error::form("filename", why))
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "A login ends after four hours, and every schedule with it.",
        ours: "It lasts until the user takes it back.",
        switch: None,
    },
    Difference {
        reference: "Any failure of an upload ends the login, and nothing is said of its reason.",
        ours: "The reason is told, and the login stays.",
        switch: None,
    },
    Difference {
        reference: "A name that is taken fails the delivery.",
        ours: "The file is overwritten; Dropbox keeps the version before.",
        switch: Some("if_exists"),
    },
    Difference {
        reference: "The timestamp is glued to the name: orders1764057600000.csv.",
        ours: "An underscore stands between: orders_1764057600000.csv.",
        switch: None,
    },
    Difference {
        reference: "A name with an extension gets a second one: orders.csv.csv.",
        ours: "The extension is added if there is none.",
        switch: None,
    },
    Difference {
        reference: "Of the folders, the first page of those at the root can be chosen.",
        ours: "All can, level by level, and those of a team's space.",
        switch: None,
    },
    ANY_SIZE,
];
