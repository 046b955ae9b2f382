//! One issue for a whole result: created or commented on, with the data attached.

use sendoff::prelude::*;
use sendoff::{Arrival, Body, Retry, Spooled, byte_count};
use serde_json::{Map, Value as Json, json};

use super::document::Description;
use super::site::{Issue, Kind, Site, accepted};
use super::{Form, Mode};
use crate::shared::hook::upload::Upload;
use crate::shared::wording::{Wording, one_line};

/// <https://confluence.atlassian.com/jirakb/summary-field-limit>
const LONGEST_SUMMARY: usize = 255;

/// What the issue is made of.
pub(super) struct Draft<'a> {
    pub(super) form: &'a Form,
    pub(super) further: Map<String, Json>,
    pub(super) wording: &'a Wording,
    /// The label of this schedule, if it is one.
    pub(super) plan: Option<String>,
}

/// The data as a file.
pub(super) struct File {
    pub(super) data: Spooled,
    pub(super) media_type: String,
}

/// The fields of an issue.
pub(super) fn members(
    form: &Form,
    further: &Map<String, Json>,
    summary: &str,
    description: Json,
) -> Json {
    let mut fields = json!({
        "project": { "id": form.project },
        "summary": one_line(summary).chars().take(LONGEST_SUMMARY).collect::<String>(),
        "description": description,
        "issuetype": { "id": form.issue_type },
    });
    if let Some(members) = fields.as_object_mut() {
        members.extend(further.clone());
    }
    fields
}

impl Draft<'_> {
    pub(super) async fn deliver(self, site: &Site<'_>, file: Option<File>) -> Result<Receipt> {
        let open = match self.form.mode {
            Mode::Comment => self.open_issue(site).await?,
            Mode::Create | Mode::Rows => None,
        };
        let (issue, done) = match open {
            Some(issue) => {
                self.comment(site, &issue).await?;
                (issue, "Commented on")
            }
            None => (self.create(site).await?, "Created"),
        };
        let key = &issue.key;
        let mut receipt = Receipt::new("JIRA").says(format!("{done} {key}."));
        if let Some(file) = file {
            let bytes = file.data.len();
            let attached = self.attach(site, &issue, file).await;
            attached.map_err(|fault| in_part(&fault, done, key))?;
            receipt = receipt.bytes(bytes).remark(format!("{} are attached.", byte_count(bytes)));
        }
        Ok(match site.link(key) {
            Some(link) => receipt.link(link),
            None => receipt,
        })
    }

    /// Closes this schedule's open issue: there is nothing left to report.
    pub(super) async fn close(self, site: &Site<'_>) -> Result<Receipt> {
        let says = |text: String| Ok(Receipt::new("JIRA").says(text));
        let Some(Issue { key }) = self.open_issue(site).await? else {
            return says("The result has no rows, and this schedule has no open issue.".into());
        };
        let path = format!("/issue/{key}/transitions");
        let all: Json = site.get(&path).send().await?.success().await?.json().await?;
        let closes = |one: &&Json| one["to"]["statusCategory"]["key"] == "done";
        let Some(id) = all["transitions"].as_array().into_iter().flatten().find(closes) else {
            return Err(Error::vendor(format!(
                "JIRA lets this account move {key} into no status that means it is done."
            )));
        };
        let body = json!({ "transition": { "id": id["id"] } });
        accepted(site.post(&path).json(&body).send().await?).await?.text().await?;
        says(format!("The result has no rows: {key} was closed."))
    }

    async fn open_issue(&self, site: &Site<'_>) -> Result<Option<Issue>> {
        match &self.plan {
            Some(label) => site.open_issue(&self.form.project, label).await,
            // Sent by hand: nothing was sent before.
            None => Ok(None),
        }
    }

    fn description(&self, kind: Kind) -> Result<Json> {
        let text = self.wording.text("description", &self.form.description)?;
        let table = self.wording.excerpt().filter(|_| self.form.table_rows > 0).cloned();
        let description = Description { text: &text, link: self.wording.link(), table };
        Ok(match kind {
            Kind::Cloud => description.document(),
            Kind::Server => description.markup(),
        })
    }

    async fn create(&self, site: &Site<'_>) -> Result<Issue> {
        let summary = self.wording.text("summary", &self.form.summary)?;
        let mut further = self.further.clone();
        if let (Mode::Comment, Some(label)) = (self.form.mode, &self.plan) {
            let labels = further.entry("labels").or_insert_with(|| json!([]));
            if let Some(labels) = labels.as_array_mut() {
                labels.push(json!(label));
            }
        }
        let fields = members(self.form, &further, &summary, self.description(site.kind)?);
        let reply = site.post("/issue").json(&json!({ "fields": fields })).send().await?;
        accepted(reply).await?.json().await
    }

    async fn comment(&self, site: &Site<'_>, issue: &Issue) -> Result<()> {
        let body = json!({ "body": self.description(site.kind)? });
        let path = format!("/issue/{}/comment", issue.key);
        accepted(site.post(&path).json(&body).send().await?).await?.text().await?;
        Ok(())
    }

    async fn attach(&self, site: &Site<'_>, issue: &Issue, file: File) -> Result<()> {
        let File { data, media_type } = file;
        let upload = Upload::form(std::iter::empty(), self.wording.filename(), &media_type);
        let content_type = upload.media_type().to_owned();
        let call = site
            .post(&format!("/issue/{}/attachments", issue.key))
            .header("Content-Type", content_type)
            // Or Jira takes it for a forged request of a browser's.
            .header("X-Atlassian-Token", "no-check")
            .body(Body::again(move || upload.wrap(data.stream())));
        let all: Vec<Json> = accepted(call.send().await?).await?.json().await?;
        if all.is_empty() {
            return Err(Error::vendor("JIRA answered that it attached nothing."));
        }
        Ok(())
    }
}

/// The issue stands there without its data.
fn in_part(fault: &Error, done: &str, key: &str) -> Error {
    let done = done.to_lowercase();
    let too_large = match fault.http_status() {
        Some(413) => " It is larger than this JIRA lets attachments be.",
        _ => "",
    };
    let message = format!(
        "{key} was {done}, but the data was not attached to it:{too_large} {}",
        fault.message()
    );
    let error = Error::vendor(message);
    let error = match fault.retry() {
        Retry::After(wait) => error.retry_after(wait),
        Retry::Later => error.retry_later(),
        _ => error,
    };
    match fault.arrival() {
        Arrival::Maybe => error.may_have_arrived(),
        _ => error,
    }
}
