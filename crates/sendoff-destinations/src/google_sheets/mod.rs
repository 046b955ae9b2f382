//! Google Sheets: the result becomes the cells of one tab, all of them at once.

mod api;
mod book;
#[cfg(feature = "fakes")]
pub(crate) mod fake;
mod moment;
mod table;
mod tabs;
mod target;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use sendoff::prelude::*;
use sendoff::{Button, Commit, LookerVersion, OAuth, Repeatable};

use crate::Difference;
use crate::google_drive::picker;
use crate::google_drive::place::{Find, FolderChoice};
use crate::google_drive::{OWN_FILES, Settings};
use crate::shared::differences::WITHOUT_CLIENT;
use crate::shared::google::service_account::{TOKEN_URL, Tokens};
use crate::shared::google::{DriveScope, Google, ISSUER, Vendor};
use crate::shared::template::Facts;
use book::Which;
use table::Table;
use target::Wish;

/// The action; see its spec.
#[derive(Default)]
pub(crate) struct GoogleSheets {
    tokens: Arc<Tokens>,
    scope: DriveScope,
}

impl GoogleSheets {
    pub(crate) fn new(scope: DriveScope) -> Self {
        Self { scope, ..Self::default() }
    }
}

const VENDOR: Vendor = Vendor {
    name: "Google Sheets",
    place: "spreadsheet",
    place_is: "spreadsheet",
    upload_host: "www.googleapis.com",
};

const SCOPES: &str =
    "https://www.googleapis.com/auth/spreadsheets https://www.googleapis.com/auth/drive";

const LOGIN: OAuth = OAuth::new("https://accounts.google.com/o/oauth2/v2/auth", TOKEN_URL)
    .scopes(&[
        "https://www.googleapis.com/auth/spreadsheets",
        "https://www.googleapis.com/auth/drive",
        "https://www.googleapis.com/auth/userinfo.email",
    ])
    // Without these Google gives no refresh token to who has logged in before.
    .authorize_params(&[("access_type", "offline"), ("prompt", "consent")])
    .pkce()
    .issuer(ISSUER)
    .lasting()
    .v2()
    .button(Button::Google)
    .revoke("https://myaccount.google.com/connections")
    .variables("GOOGLE_SHEET_CLIENT_ID", "GOOGLE_SHEET_CLIENT_SECRET")
    // The reference hub logs in with these, whatever the others hold.
    .or_variables("GOOGLE_DRIVE_CLIENT_ID", "GOOGLE_DRIVE_CLIENT_SECRET");

#[derive(Fields)]
pub(crate) struct Form {
    #[field(flatten)]
    folder: FolderChoice,
    /// The name of the spreadsheet. May hold placeholders: {title}, {date} or {date:%Y-%m-%d},
    /// {time}, {ts} (milliseconds since 1970), {uuid}, {plan_id}, {instance}. Leave empty for the
    /// title.
    #[field(label = "Enter a filename", interactive)]
    filename: Option<String>,
    /// Should this action attempt to overwrite an existing file
    #[field(label = "Overwrite Existing Files", default = "yes", interactive)]
    overwrite: Overwrite,
    #[field(flatten)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find: Find,
    /// In place of folder and name: the address of a spreadsheet as the browser shows it, or its
    /// id.
    #[field(label = "Spreadsheet URL", interactive)]
    spreadsheet: Option<String>,
    /// The tab that is replaced or appended to. Leave empty for the first one. One that is not
    /// there is made.
    tab: Option<String>,
    /// To find a tab in a long list, or to name one that is not there yet.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find_tab: Option<String>,
    /// For a new tab each time: its name, with placeholders as in the file's name. If there is one
    /// of that name a number is added.
    #[field(default = "{date} {time}")]
    new_tab: Option<String>,
    /// Write the names of the columns above the rows. When rows are appended they are written into
    /// an empty tab only.
    #[field(default = "yes")]
    header: bool,
    /// The cell in the upper left corner, such as B3. What stands above and left of it is not
    /// touched.
    #[field(default = "A1")]
    start_cell: String,
    /// How Google reads values. Read as if typed makes dates and formulas of texts that look like
    /// them: only for data that nobody else can write into.
    #[field(label = "Values", default = "raw")]
    value_input: ValueInput,
    /// Keep formats, notes and data validation of cells whose values are replaced.
    #[field(label = "Keep Formatting", default = "yes")]
    keep_formatting: bool,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overwrite {
    #[choice(name = "yes", label = "Yes")]
    Yes,
    #[choice(name = "no", label = "No")]
    No,
    #[choice(name = "append", label = "No, append the rows to a tab")]
    Append,
    #[choice(name = "new_tab", label = "No, add a new tab each time")]
    NewTab,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueInput {
    #[choice(name = "raw", label = "As they are: numbers and texts")]
    Raw,
    #[choice(name = "user_entered", label = "Read as if typed: dates and formulas too")]
    UserEntered,
}

impl ValueInput {
    fn wire(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::UserEntered => "USER_ENTERED",
        }
    }
}

impl Action for GoogleSheets {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("google_sheets", "Google Sheets")
        .description("Create a new Google Sheet.")
        .formats(&[Format::Csv, Format::JsonDetail])
        .streaming()
        .minimum_looker(LookerVersion::new(7, 3, 0))
        .oauth(LOGIN)
        .or_setting("service_account_json")
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://developers.google.com/workspace/sheets/api/guides/concepts")
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
        let google = self.client(cx)?;
        // At once: somebody waits for both.
        let tabs = tabs::ask(cx, &google, Which::shown(form));
        let places = picker::draw(cx, &google, &mut form.folder, &mut form.find);
        let (drawn, tabs) = futures_util::join!(Box::pin(places), Box::pin(tabs));
        drawn?;
        tabs::show(form, tabs)
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let facts = Facts::of(cx, &data);
        let which = Which::of(&form, &facts)?;
        let wish = Wish::of(&form, &facts, which.tab())?;
        let mut data = data;
        // Twice through the data: the grid must have its size before the first cell is written,
        // and Looker's connection need not last as long as Google's quota takes.
        let kept = data.keep().await?;
        let again = data.reopen(&kept);
        let table = Table::measured(data, form.value_input).await?;
        let google = self.client(cx)?;
        if !cx.settings.by_key() {
            google.check_domain(&cx.settings.domains()).await?;
        }
        let found = which.open(&google, form.overwrite, cx.stop()).await?;
        let written = async {
            let wish = wish.checked(&found, &table)?;
            let rows = again.rows().await?;
            let (google, stop) = (&google, cx.stop());
            write::Write { google, stop, found: &found, table: &table, wish: &wish }.run(rows).await
        };
        let target = match written.await {
            Ok(target) => target,
            Err(error) => return Err(found.undone(&google, error).await),
        };
        Ok(target.receipt(&found, &table))
    }
}

impl GoogleSheets {
    fn client(&self, cx: &Context<Settings>) -> Result<Google> {
        let access = cx.settings.access(cx.login(), SCOPES, &self.tokens)?;
        Ok(Google::new(cx, &VENDOR, access).granted(self.scope))
    }
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "The tab is emptied and then written: a failure leaves it empty or half-filled.",
        ours: "New cells are written to a hidden tab and shown by one step, which Google applies whole or not at all.",
        switch: None,
    },
    Difference {
        reference: "Values are pasted as if typed: a text that begins with = runs as a formula, leading zeros go, dates change.",
        ours: "Numbers that Google can hold are numbers, and all else is the text as it came.",
        switch: Some("value_input"),
    },
    Difference {
        reference: "A new spreadsheet is called name.csv.",
        ours: "It is called name; one that is called name.csv is still found.",
        switch: None,
    },
    Difference {
        reference: "A full quota fails the delivery unless a variable allows retries.",
        ours: "It waits for the quota's next minute.",
        switch: None,
    },
    Difference {
        reference: "Any file of the name is taken for the spreadsheet, by a query that a quote in the name breaks.",
        ours: "Only spreadsheets are looked for, and the one that was written before is found after it was renamed.",
        switch: None,
    },
    Difference {
        reference: "The domain allowlist is not looked at when data is delivered.",
        ours: "It is, by the whole domain of a verified address.",
        switch: None,
    },
    WITHOUT_CLIENT,
];
