//! Airtable: rows become records of a table, created or merged.

mod columns;
#[cfg(feature = "fakes")]
pub(crate) mod fake;
mod schema;
#[cfg(test)]
mod tests;

use std::time::Duration;

use sendoff::pipeline::{self, Batch, BatchLimits, Encoded, OnRefusal, Pipeline};
use sendoff::prelude::*;
use sendoff::{
    Call, Choices, Class, ClientAuth, Commit, OAuth, Rate, Repeatable, Row, write_json_text,
};
use serde::Deserialize;

use crate::Difference;
use crate::shared::differences::{ANY_SIZE, WITHOUT_CLIENT};
use columns::Targets;

/// The action; see its spec.
pub(crate) struct Airtable;

#[derive(Fields)]
pub(crate) struct Settings {
    /// For schedules that should not depend on a user's login: a token with the scopes
    /// data.records:write and schema.bases:read. Leave empty to let each user log in.
    personal_access_token: Option<Secret>,
}

#[derive(Fields)]
pub(crate) struct Form {
    #[field(label = "Airtable Base", interactive)]
    base: String,
    #[field(label = "Airtable Table")]
    table: String,
    /// A part of a base's name, to find it in a long list.
    #[field(label = "Find a Base", interactive)]
    #[allow(dead_code, reason = "read while the form is drawn")]
    find: Option<String>,
    /// What becomes of a record that is there already.
    #[field(default = "append")]
    mode: Mode,
    /// For merging: one to three fields of the table, separated by commas, whose values tell
    /// records apart.
    merge_on: Option<String>,
    /// Let Airtable read texts as numbers, dates and choices, and add choices that are new.
    #[field(default = "yes")]
    typecast: bool,
    /// What happens if the query has a column that the table has not.
    #[field(default = "fail")]
    unknown_columns: Unknown,
    #[field(flatten)]
    on_refusal: OnRefusal,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    #[choice(label = "Add every row as a new record")]
    Append,
    #[choice(label = "Merge: update the record with the same values, or create it")]
    Upsert,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    #[choice(label = "Send nothing and name the column")]
    Fail,
    #[choice(label = "Leave the column out")]
    Ignore,
}

const LOGIN: OAuth = OAuth::new(
    "https://www.airtable.com/oauth2/v1/authorize",
    "https://www.airtable.com/oauth2/v1/token",
)
// No more than the reference hub asks for: Airtable refuses a login that asks for a scope which the
// integration was not registered with (<https://github.com/raycast/extensions/issues/15159>).
.scopes(&["data.records:write", "schema.bases:read"])
.pkce()
.client_auth(ClientAuth::Basic)
.field("oauth", "Login")
.lasting()
.variables("AIRTABLE_CLIENT_ID", "AIRTABLE_CLIENT_SECRET");

/// Ten records a request, five requests a second for a base, and half a minute of rest after a 429
/// (<https://airtable.com/developers/web/api/rate-limits>). A record has no stated limit; a long
/// text holds 100,000 characters.
const LIMITS: BatchLimits = BatchLimits::new(10, 2 << 20)
    .parallel(2)
    .rate(Rate::Requests(4.5))
    .cool_down(Duration::from_secs(30));

impl Action for Airtable {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("airtable", "Airtable")
        .description("Add records to an Airtable table.")
        .formats(&[Format::JsonDetail, Format::JsonDetailLiteStream])
        .raw_values()
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://airtable.com/developers/web/api/introduction")
        .oauth(LOGIN)
        .or_setting("personal_access_token")
        .delivery(Repeatable::Nothing, Commit::Streaming, false);

    fn needs_login(&self, settings: &Settings) -> bool {
        settings.personal_access_token.is_none()
    }

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let chosen = form.base.value().map(str::to_owned);
        match login_goes_on(schema::bases(cx).await)? {
            Ok(bases) => Choices::of("bases", bases).searched(&mut form.base, &mut form.find),
            Err(why) => {
                form.find.hide();
                let text = format!("{} Enter the base's id: {WHERE_THE_ID_IS}", why.message());
                form.base.remark(&text);
            }
        }
        let base = form.base.value().map(str::to_owned).or(chosen);
        let Some(base) = base.filter(|base| is_base(base)) else { return Ok(()) };
        let question = format!("tables {base}");
        match login_goes_on(cx.remember(&question, schema::tables(cx, &base)).await)? {
            Ok(Some(tables)) => {
                Choices::of("tables", schema::listed(&tables)).offered(&mut form.table);
            }
            // A base that the user may not read keeps its table as a line of text.
            Ok(None) => {}
            Err(why) => form.table.remark(&format!("{} Enter the table's name.", why.message())),
        }
        Ok(())
    }

    async fn account(&self, cx: &Context<Settings>) -> Result<Option<String>> {
        cx.remember("account", schema::email(cx)).await
    }

    fn lane(&self, _: &Settings, form: &Form) -> String {
        format!("airtable {}", form.base.trim())
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let order = Order::of(&form)?;
        let rows = data.rows().await?;
        let tables = schema::tables(cx, &order.base).await?;
        let table = schema::find(tables.as_deref(), &order.table)?;
        order.check_merge_fields(table)?;
        let mut targets = Targets::new(table, cx.hidden_fields(), form.unknown_columns);
        targets.extend(rows.columns())?;
        let merge_on = order.merge_on.clone();
        let encode = |row: &Row, out: &mut Vec<u8>| {
            targets.extend(row.columns())?;
            out.extend_from_slice(b"{\"fields\":{");
            targets.write(row, out)?;
            out.extend_from_slice(b"}}");
            Ok(Encoded::Row)
        };
        let name = table.map_or(order.table.as_str(), |table| &table.name);
        let pipeline = Pipeline::new(cx, LIMITS)
            .frame("{\"records\":[", ",", order.tail(form.typecast))
            .target(format!("the table {name}"))
            .policy(form.on_refusal.policy())
            .bisecting()
            .shared_by(format!("airtable {}", order.base));
        let merges = !merge_on.is_empty();
        let order = &order;
        pipeline.run(rows, encode, |batch| send(cx, order, merges, batch)).await
    }
}

/// A call with the right that the settings or the user's login give.
fn authorized(cx: &Context<Settings>, call: Call) -> Call {
    match &cx.settings.personal_access_token {
        Some(token) => call.bearer(token),
        None => call.login(cx.login()),
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    records: Vec<serde::de::IgnoredAny>,
}

async fn send(
    cx: &Context<Settings>,
    order: &Order,
    merges: bool,
    batch: Batch,
) -> Result<pipeline::Reply> {
    let method = if merges { http::Method::PATCH } else { http::Method::POST };
    let call = batch.http().request(method, order.url()).body(batch.body());
    let call = authorized(cx, call).header("content-type", "application/json");
    // Merging twice is the same as once; a record that is added twice stands there twice.
    let call = if merges { call.repeatable() } else { call };
    let reply = match call.send().await?.success().await {
        Ok(reply) => reply,
        Err(fault) => return pipeline::Reply::refusal(fault),
    };
    let answer: Answer = reply.json().await?;
    if answer.records.len() != batch.len() {
        let text = format!(
            "Airtable confirmed {} of {} records and did not say what became of the others. Look \
             into the table.",
            answer.records.len(),
            batch.len()
        );
        return Err(Error::vendor(text).may_have_arrived());
    }
    Ok(pipeline::Reply::accepted())
}

/// Where the records go, checked.
struct Order {
    base: String,
    table: String,
    merge_on: Vec<String>,
}

impl Order {
    fn of(form: &Form) -> Result<Self> {
        let base = form.base.trim().to_owned();
        if !is_base(&base) {
            let text = format!("Enter the base's id: {WHERE_THE_ID_IS}");
            return Err(Error::form("base", text));
        }
        let names = form.merge_on.as_deref().unwrap_or_default().split(',').map(str::trim);
        let names: Vec<_> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let merge_on = match (form.mode, names.len()) {
            (Mode::Append, _) => Vec::new(),
            (Mode::Upsert, 1..=3) => names,
            (Mode::Upsert, _) => {
                let text = "Name one to three fields of the table by which records are told apart.";
                return Err(Error::form("merge_on", text));
            }
        };
        Ok(Self { base, table: form.table.trim().to_owned(), merge_on })
    }

    fn check_merge_fields(&self, table: Option<&schema::Table>) -> Result<()> {
        let Some(table) = table else { return Ok(()) };
        match self.merge_on.iter().find(|name| table.field(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(Error::form(
                "merge_on",
                format!("The table {} has no field {name}. It has {}.", table.name, table.names()),
            )),
        }
    }

    fn url(&self) -> String {
        let plain = percent_encoding::NON_ALPHANUMERIC;
        let table = percent_encoding::utf8_percent_encode(&self.table, plain);
        format!("https://api.airtable.com/v0/{}/{table}", self.base)
    }

    /// What stands behind the records in a body.
    fn tail(&self, typecast: bool) -> String {
        let mut tail = b"]".to_vec();
        if typecast {
            tail.extend_from_slice(b",\"typecast\":true");
        }
        if !self.merge_on.is_empty() {
            tail.extend_from_slice(b",\"performUpsert\":{\"fieldsToMergeOn\":[");
            for (n, name) in self.merge_on.iter().enumerate() {
                if n > 0 {
                    tail.push(b',');
                }
                write_json_text(name, &mut tail);
            }
            tail.extend_from_slice(b"]}");
        }
        tail.push(b'}');
        String::from_utf8(tail).unwrap_or_default()
    }
}

const WHERE_THE_ID_IS: &str =
    "it begins with app and stands in the address of the base, https://airtable.com/app…";

/// A login that is over ends the form; one without the right to a list can still send.
fn login_goes_on<T>(answer: Result<T>) -> Result<Result<T>> {
    match answer {
        Err(why) if why.class() == Class::Login && why.http_status() != Some(403) => Err(why),
        other => Ok(other),
    }
}

/// `app` and letters and digits.
fn is_base(text: &str) -> bool {
    let rest = text.trim().strip_prefix("app");
    rest.is_some_and(|rest| {
        (1..=40).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    ANY_SIZE,
    Difference {
        reference: "Base and table are typed in.",
        ours: "They are chosen from lists where Airtable gives them, and else typed in.",
        switch: None,
    },
    Difference {
        reference: "After any error all records are sent again, so that rows stand there twice.",
        ours: "A row is sent once; only what Airtable refused as a whole is sent again, in halves.",
        switch: None,
    },
    Difference {
        reference: "One request for each row, all at once, against a limit of five a second.",
        ours: "Ten rows a request, four and a half requests a second, and half a minute of rest when Airtable asks for it.",
        switch: None,
    },
    Difference {
        reference: "A text for a number, date or choice refuses the row.",
        ours: "Airtable reads it.",
        switch: Some("typecast"),
    },
    Difference {
        reference: "Two columns with the same short label write into the same field.",
        ours: "The second goes to the field of its label, or is named as having none.",
        switch: None,
    },
    Difference {
        reference: "Any error counts as an expired login and spends the refresh token.",
        ours: "The login is renewed when it has expired or Airtable answers 401.",
        switch: None,
    },
    WITHOUT_CLIENT,
];
