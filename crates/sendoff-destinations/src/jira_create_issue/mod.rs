//! Jira: an issue that refers to a result, with the data attached; or one for each row.

mod document;
#[cfg(feature = "fakes")]
mod fake;
mod fields;
mod form;
mod issue;
mod rows;
mod site;

use sendoff::pipeline::OnRefusal;
use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::Difference;
use crate::shared::wording::{Wanted, Wording, counts};
use site::{LoginWith, Site};

#[cfg(feature = "fakes")]
pub(crate) use fake::{fake, of_rows};

/// Creates issues.
pub(crate) struct Jira;

#[derive(Fields)]
pub(crate) struct Settings {
    /// The address of your JIRA server ex. https://myjira.atlassian.net.
    address: String,
    /// The JIRA username assigned to create issues for Looker.
    username: String,
    /// The password for the JIRA user assigned to Looker.
    password: Secret,
    /// How the account logs in. Jira Cloud wants the account's e-mail address as the user name and
    /// an API token as the password. A personal access token goes into the password; the user name
    /// then does not count.
    #[field(default = "basic")]
    login_with: LoginWith,
    /// Yes lets the address begin with http://, for a JIRA in a network of your own: the login and
    /// the data then go there unencrypted.
    #[field(label = "Allow Unencrypted HTTP")]
    allow_http: bool,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// Where the issue is created.
    #[field(interactive)]
    project: String,
    /// May hold {title}, {rows}, {date} and the like, and with one issue for each row the names of
    /// columns: {orders.id}.
    summary: String,
    /// The link to Looker is added. Placeholders as in the summary.
    #[field(textarea)]
    description: String,
    /// What kind of issue it is. The list belongs to the project.
    #[field(name = "issueType", interactive)]
    issue_type: String,
    /// To find a project that the list above does not show: a part of its name or key.
    #[field(interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find_project: Option<String>,
    /// Further fields, one on a line: Priority: High. Several values are separated by commas.
    #[field(textarea)]
    further_fields: Option<String>,
    /// What becomes of the result.
    #[field(default = "create")]
    mode: Mode,
    /// Whether the data is attached as a file; not with an issue for each row.
    #[field(default = "yes")]
    attach: bool,
    /// The name of the attached file; {title}, {date} and the like may stand in it. Not with an
    /// issue for each row.
    filename: Option<String>,
    /// How many of the first rows stand as a table in the description; for formats that have rows.
    /// With an issue for each row, 1 or more shows its row.
    #[field(label = "Rows In The Description", default = "0")]
    table_rows: u32,
    /// What happens if the result has no rows. With an issue for each row there is then none.
    #[field(default = "send")]
    if_empty: IfEmpty,
    #[field(flatten)]
    on_refusal: OnRefusal,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    #[choice(label = "A new issue each time")]
    Create,
    #[choice(label = "A comment on this schedule's open issue; a new issue if there is none")]
    Comment,
    #[choice(label = "A new issue for each row")]
    Rows,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfEmpty {
    #[choice(label = "The same as otherwise")]
    Send,
    #[choice(label = "Nothing")]
    Skip,
    #[choice(label = "This schedule's open issue is closed")]
    Close,
}

/// Where the reference hub's behaviour is a known fault.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "The data is rendered and thrown away.",
        ours: "The data is attached to the issue.",
        switch: Some("attach"),
    },
    Difference {
        reference: "Ports and paths of the address get lost or doubled.",
        ours: "The address is used as it is written.",
        switch: None,
    },
    Difference {
        reference: "An address with http:// is called, and the password sent unencrypted.",
        ours: "It is refused unless the admin allows it.",
        switch: Some("allow_http"),
    },
    Difference {
        reference: "Issue types are those of all projects, sub-tasks included.",
        ours: "The issue types are those of the chosen project that need no parent.",
        switch: None,
    },
    Difference {
        reference: "Descriptions are plain text for version 2 of the API.",
        ours: "Jira Cloud gets version 3 and a document, so that the link can be clicked.",
        switch: None,
    },
    Difference {
        reference: "Without a plan or a text the description says undefined.",
        ours: "What is not there is left out.",
        switch: None,
    },
    Difference {
        reference: "The key of the issue is thrown away, and a refusal is raw JSON.",
        ours: "The message has key and link, and what Jira says of a field stands at the field.",
        switch: None,
    },
    Difference {
        reference: "A project whose issues must have further fields cannot be used.",
        ours: "They are entered as lines, and the form names those that must be there.",
        switch: None,
    },
];

impl Action for Jira {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("jira_create_issue", "JIRA")
        .description("Create a JIRA issue referencing data.")
        .accepts(&[Query])
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/")
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        // Boxed: it holds three questions at a time.
        Box::pin(form::draw(cx, form)).await
    }

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        let host = site::address(settings).ok();
        let host = host.as_ref().and_then(|url| url.host_str());
        format!("jira {}", host.unwrap_or_default())
    }

    async fn execute(
        &self,
        cx: &Context<Settings>,
        form: Form,
        mut data: Payload,
    ) -> Result<Receipt> {
        let site = Site::open(cx, &cx.settings).await?;
        let further = form.further(&site).await?;
        if form.mode == Mode::Rows {
            return rows::deliver(cx, &site, &form, further, data).await;
        }
        let count = form.if_empty != IfEmpty::Send
            || counts(Some(&form.summary))
            || counts(Some(&form.description));
        let filename = form.filename.as_deref();
        let wanted = Wanted { filename, rows: form.table_rows, count };
        let media_type = data.media_type().to_owned();
        let (wording, spooled) = Wording::of(cx, &mut data, wanted).await?;
        let draft = issue::Draft { form: &form, further, wording: &wording, plan: plan(cx) };
        if wording.is_empty() && form.if_empty != IfEmpty::Send {
            return match form.if_empty {
                IfEmpty::Close => draft.close(&site).await,
                _ => Ok(Receipt::new("JIRA").says(
                    "The result has no rows, so that no issue was created, as the form asks for.",
                )),
            };
        }
        let file = form.attach.then_some(issue::File { data: spooled, media_type });
        draft.deliver(&site, file).await
    }
}

impl Form {
    /// The further fields as Jira wants them.
    async fn further(&self, site: &Site<'_>) -> Result<serde_json::Map<String, serde_json::Value>> {
        let Some(text) = self.further_fields.as_deref() else { return Ok(Default::default()) };
        let fields = site.fields(&self.project, &self.issue_type).await?;
        fields::parsed(text, &fields, site.kind)
    }
}

/// The label by which the issues of one schedule are found.
fn plan(cx: &Context<Settings>) -> Option<String> {
    let id = cx.plan()?.scheduled_plan_id.as_ref()?;
    let id: String = id.as_str().chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    (!id.is_empty()).then(|| format!("looker-plan-{id}"))
}
