//! What Airtable says of a user's bases and their tables.
//!
//! <https://airtable.com/developers/web/api/get-base-schema>

use sendoff::prelude::*;
use sendoff::{Item, Listing, Page, Paging};
use serde::{Deserialize, Serialize};

use super::{Settings, authorized};

/// A table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Table {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) fields: Vec<Column>,
}

/// A field of a table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Column {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Deserialize)]
struct Bases {
    #[serde(default)]
    bases: Vec<Named>,
    offset: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Tables {
    #[serde(default)]
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct User {
    email: Option<String>,
}

/// How many field names a message holds.
const NAMED: usize = 20;

impl Table {
    /// The field of this name or id.
    pub(super) fn field(&self, name: &str) -> Option<&Column> {
        self.fields.iter().find(|field| field.name == name || field.id == name)
    }

    /// The fields as a sentence names them.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.fields.iter().take(NAMED).map(|field| &*field.name).collect();
        let more = if self.fields.len() > NAMED { " and others" } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

impl Column {
    /// Whether Airtable computes it, so that nothing can be written there.
    pub(super) fn is_computed(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "formula"
                | "rollup"
                | "count"
                | "lookup"
                | "multipleLookupValues"
                | "autoNumber"
                | "createdTime"
                | "lastModifiedTime"
                | "createdBy"
                | "lastModifiedBy"
                | "button"
                | "aiText"
                | "externalSyncSource"
        )
    }
}

/// The bases that the token may see, kept for a minute.
pub(super) async fn bases(cx: &Context<Settings>) -> Result<Listing> {
    let page = |offset: Option<String>| async move {
        let call = cx.http().get("https://api.airtable.com/v0/meta/bases");
        let call = match &offset {
            Some(offset) => call.query([("offset", offset)]),
            None => call,
        };
        let bases: Bases = authorized(cx, call).send().await?.success().await?.json().await?;
        let items = bases.bases.into_iter().map(|base| Item::new(base.id, base.name)).collect();
        Ok(Page { items, next: bases.offset })
    };
    cx.remember("bases", Listing::paged("bases", Paging::default(), page)).await
}

/// The tables of a base; nothing if the token may not see them.
pub(super) async fn tables(cx: &Context<Settings>, base: &str) -> Result<Option<Vec<Table>>> {
    let url = format!("https://api.airtable.com/v0/meta/bases/{base}/tables");
    let reply = authorized(cx, cx.http().get(url)).send().await?;
    if matches!(reply.status().as_u16(), 403 | 404) {
        return Ok(None);
    }
    let tables: Tables = reply.success().await?.json().await?;
    Ok(Some(tables.tables))
}

/// The tables as choices.
pub(super) fn listed(tables: &[Table]) -> Listing {
    tables.iter().map(|table| Item::new(&table.id, &table.name)).collect::<Vec<_>>().into()
}

/// The table of this id or name.
///
/// # Errors
/// The base was read and has no such table.
pub(super) fn find<'a>(tables: Option<&'a [Table]>, wanted: &str) -> Result<Option<&'a Table>> {
    let Some(tables) = tables else { return Ok(None) };
    match tables.iter().find(|table| table.id == wanted || table.name == wanted) {
        Some(table) => Ok(Some(table)),
        None => {
            let names: Vec<_> = tables.iter().take(NAMED).map(|table| &*table.name).collect();
            Err(Error::form(
                "table",
                format!("The base has no table \"{wanted}\". It has {}.", names.join(", ")),
            ))
        }
    }
}

/// Whose login it is, if Airtable says so: it tells the address only to a token with the scope
/// user.email:read, for which nobody is asked here
/// (<https://airtable.com/developers/web/api/get-user-id-scopes>).
pub(super) async fn email(cx: &Context<Settings>) -> Result<Option<String>> {
    let call = authorized(cx, cx.http().get("https://api.airtable.com/v0/meta/whoami"));
    let user: User = call.send().await?.success().await?.json().await?;
    Ok(user.email)
}
