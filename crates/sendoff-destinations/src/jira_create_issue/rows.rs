//! An issue for each row, fifty in a request.

use sendoff::pipeline::{Batch, BatchLimits, Encoded, Pipeline, Reply};
use sendoff::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::document::Description;
use super::issue::members;
use super::site::{Kind, Site};
use super::{Form, Settings};
use crate::shared::excerpt::Excerpt;
use crate::shared::wording::Wording;

/// "This operation ... creates up to 50 issues."
/// <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/#api-rest-api-3-issue-bulk-post>
const LIMITS: BatchLimits = BatchLimits::new(50, 4 << 20);

pub(super) async fn deliver(
    cx: &Context<Settings>,
    site: &Site<'_>,
    form: &Form,
    further: Map<String, Json>,
    data: Payload,
) -> Result<Receipt> {
    // What it says of the whole is the same for all rows.
    let wording = Wording::before(cx, &data, None)?;
    let encode = |row: &sendoff::Row, out: &mut Vec<u8>| {
        let texts = wording.text_of("summary", &form.summary, Some(row)).and_then(|summary| {
            Ok((summary, wording.text_of("description", &form.description, Some(row))?))
        });
        let (summary, text) = match texts {
            Ok(texts) => texts,
            Err(fault) => return Ok(Encoded::refused(fault.message().to_owned())),
        };
        if summary.trim().is_empty() {
            return Ok(Encoded::refused("its summary is empty"));
        }
        let table = (form.table_rows > 0).then(|| {
            let labels = row.columns().iter().map(|column| column.label.clone());
            Excerpt::from_rows(labels, std::slice::from_ref(row), 1)
        });
        let description = Description { text: &text, link: wording.link(), table };
        let description = match site.kind {
            Kind::Cloud => description.document(),
            Kind::Server => description.markup(),
        };
        let issue = json!({ "fields": members(form, &further, &summary, description) });
        out.extend_from_slice(issue.to_string().as_bytes());
        Ok(Encoded::Row)
    };
    Pipeline::new(cx, LIMITS)
        .frame("{\"issueUpdates\":[", ",", "]}")
        .policy(form.on_refusal.policy())
        .run(data.rows().await?, encode, |batch| create(site, batch))
        .await
}

async fn create(site: &Site<'_>, batch: Batch) -> Result<Reply> {
    let call = site.post_through(batch.http(), "/issue/bulk").body(batch.body());
    let reply = call.header("Content-Type", "application/json").send().await?;
    // 400: every issue was refused, and the answer says why for each.
    let refused_all = reply.status().as_u16() == 400;
    let reply = match refused_all {
        true => reply,
        false => match reply.success().await {
            Ok(reply) => reply,
            Err(fault) => return Reply::refusal(fault),
        },
    };
    let said: Json = reply.json().await?;
    let mut answer = Reply::accepted();
    let mut refused = 0;
    for error in said["errors"].as_array().into_iter().flatten() {
        let Some(at) = error["failedElementNumber"].as_u64() else { continue };
        answer = answer.refuse(at as usize, words(&error["elementErrors"]));
        refused += 1;
    }
    let created = said["issues"].as_array().map_or(0, Vec::len);
    if created + refused == batch.len() {
        let keys = said["issues"].as_array().into_iter().flatten();
        let last = keys.last().and_then(|issue| issue["key"].as_str());
        return Ok(match last {
            Some(key) => answer.says(format!("The last issue is {key}.")),
            None => answer,
        });
    }
    if refused_all {
        return Ok(Reply::refused(Error::vendor(format!(
            "JIRA refused the issues: {}",
            words(&said)
        ))));
    }
    Err(Error::vendor(format!(
        "JIRA was asked for {} issues and told of {created} created and {refused} refused.",
        batch.len()
    ))
    .may_have_arrived())
}

/// `errorMessages` and `errors` in one line.
fn words(errors: &Json) -> String {
    let messages = errors["errorMessages"].as_array().into_iter().flatten();
    let messages = messages.filter_map(|one| one.as_str().map(str::to_owned));
    let fields = errors["errors"].as_object().into_iter().flatten();
    let fields = fields.map(|(name, why)| format!("{name}: {}", why.as_str().unwrap_or_default()));
    let all: Vec<_> = messages.chain(fields).collect();
    if all.is_empty() { "JIRA gives no reason".to_owned() } else { all.join("; ") }
}
