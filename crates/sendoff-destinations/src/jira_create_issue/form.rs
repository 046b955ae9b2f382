//! The lists of the form: projects, their types of issue, and what those must have.

use sendoff::Choices;
use sendoff::prelude::*;
use sendoff::{Item, Listing};
use serde_json::Value as Json;

use super::site::Site;
use super::{Form, Settings, fields};

/// Completes the form with what this Jira has.
pub(super) async fn draw(cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
    let site = Site::open(cx, &cx.settings).await?;
    let ask = Asking { cx, site: &site };
    let project = form.project.value().map(str::to_owned);
    let kind = form.issue_type.value().map(str::to_owned);
    // With answers nothing waits for another list.
    let (projects, types, fields) = tokio::join!(
        ask.projects(),
        ask.types(project.as_deref()),
        ask.fields(project.as_deref(), kind.as_deref()),
    );
    let projects = projects?;
    let first = projects.items.first().map(|item| item.id.clone()).ok_or_else(|| {
        Error::settings(
            "This account sees no JIRA project. Give it the right to browse projects and to create \
             issues.",
        )
    })?;
    Choices::of("projects", projects).searched(&mut form.project, &mut form.find_project);
    let (project, types) = match (project, types) {
        (Some(project), Some(types)) => (project, types?),
        _ => (first.clone(), ask.types(Some(&first)).await.transpose()?.unwrap_or_default()),
    };
    let Some(Item { id: first, .. }) = types.items.first().cloned() else {
        form.issue_type.describe("This account can create no issues in this project.");
        return Ok(());
    };
    // A type of another project is no answer for this one.
    let known = kind.filter(|id| types.items.iter().any(|item| item.id == *id));
    if known.is_none() {
        form.issue_type.forget();
    }
    Choices::of("issue types", types).offered(&mut form.issue_type);
    let fields = match (known, fields) {
        (Some(_), Some(fields)) => Some(fields),
        _ => ask.fields(Some(&project), Some(&first)).await,
    };
    let required = fields::required(&fields.transpose()?.unwrap_or_default());
    if !required.is_empty() {
        let names = required.join("; ");
        form.further_fields.remark(&format!("Issues of this type must have: {names}."));
    }
    Ok(())
}

/// Asks, and remembers for the next time that the form is drawn; nothing without an answer that
/// the question needs.
#[derive(Clone, Copy)]
struct Asking<'a> {
    cx: &'a Context<Settings>,
    site: &'a Site<'a>,
}

impl Asking<'_> {
    async fn projects(self) -> Result<Listing> {
        self.cx.remember("projects", self.site.projects()).await
    }

    async fn types(self, project: Option<&str>) -> Option<Result<Listing>> {
        let project = project?;
        let types = self.site.issue_types(project);
        Some(self.cx.remember(&format!("issue types {project}"), types).await)
    }

    async fn fields(self, project: Option<&str>, kind: Option<&str>) -> Option<Result<Vec<Json>>> {
        let (project, kind) = (project?, kind?);
        let fields = self.site.fields(project, kind);
        Some(self.cx.remember(&format!("fields {project} {kind}"), fields).await)
    }
}
