//! The folders that a form offers: those in the one chosen, page by page.

use sendoff::prelude::*;
use sendoff::{Choices, Class, Item, Listing, Page, Paging};
use serde_json::{Value, json};

use super::Form;
use super::api::{Account, Dropbox, NAME, Way, misread};
use crate::shared::file_path::FilePath;

/// The user's own folder, or the team's: the reference's word, which schedules hold.
const ROOT: &str = "__root";

/// The answer to `directory` as a path; `None` is the root.
pub(super) fn chosen(answer: &str) -> Result<Option<String>, String> {
    let path = answer.trim().trim_matches('/');
    if path.is_empty() || path == ROOT {
        return Ok(None);
    }
    FilePath::new(path).map(|path| Some(path.to_string()))
}

pub(super) async fn account(cx: &Context<()>) -> Result<Account> {
    cx.remember("account", Dropbox::new(cx).account()).await
}

pub(super) async fn fill(cx: &Context<()>, form: &mut View<Form>) -> Result<()> {
    let account = account(cx).await;
    if let Err(error) = &account
        && error.class() == Class::Login
    {
        return account.map(drop);
    }
    let root = account.as_ref().ok().map(|account| &account.root_info);
    let team = root.filter(|root| root.root_namespace_id != root.home_namespace_id);
    let mut client = Dropbox::new(cx);
    match team {
        None => form.space.hide(),
        Some(root) if form.space.value() == Some("team") => {
            client = client.in_root(&root.root_namespace_id);
        }
        Some(_) => {}
    }
    let here = form.directory.value().and_then(|value| chosen(value).ok()).flatten();
    let space = form.space.value().unwrap_or_default();
    let question = format!("folders {space} {}", here.as_deref().unwrap_or_default());
    let list = client.folders(here.as_deref());
    match cx.remember(&question, list).await {
        Ok(mut listing) => {
            let mut items = vec![Item::new(ROOT, "Home")];
            items.extend(here.iter().map(|here| Item::named(here.clone())));
            let above = here.as_deref().and_then(|here| here.rsplit_once('/'));
            items.extend(above.map(|(above, _)| Item::new(above, format!("{above} (back)"))));
            items.append(&mut listing.items);
            listing.items = items;
            Choices::of("folders", listing)
                .or_typed(|text| text != ROOT && chosen(text).is_ok_and(|path| path.is_some()))
                .searched(&mut form.directory, &mut form.find);
        }
        Err(error) if error.class() == Class::Login => return Err(error),
        Err(error) => {
            form.find.hide();
            form.directory.remark(&format!(
                "No list can be shown: {} Enter the folder's path, or {ROOT} for your own folder.",
                error.message()
            ));
        }
    }
    Ok(())
}

impl Dropbox {
    /// The folders in `folder`, by their paths.
    async fn folders(&self, folder: Option<&str>) -> Result<Listing> {
        let mut listing = Listing::paged("entries", Paging::default(), |next| async move {
            let answer = match next {
                None => {
                    let path = folder.map(|path| format!("/{path}")).unwrap_or_default();
                    let argument = json!({"path": path, "limit": 2000});
                    self.ask("files/list_folder", &argument, Way::Again).await?
                }
                Some(cursor) => {
                    let argument = json!({"cursor": cursor});
                    self.ask("files/list_folder/continue", &argument, Way::Again).await?
                }
            };
            let entries = answer["entries"].as_array().ok_or_else(misread)?;
            let items = entries.iter().filter_map(|entry| item(entry, folder)).collect();
            let more = answer["has_more"] == true;
            let next = answer["cursor"].as_str().filter(|_| more).map(str::to_owned);
            Ok(Page { items, next })
        })
        .await
        .map_err(|error| error.context(NAME))?;
        listing.items.sort_by_cached_key(|item| item.label.to_lowercase());
        Ok(listing)
    }
}

fn item(entry: &Value, folder: Option<&str>) -> Option<Item> {
    let name = (entry[".tag"] == "folder").then(|| entry["name"].as_str())??;
    Some(Item::named(match folder {
        Some(folder) => format!("{folder}/{name}"),
        None => name.to_owned(),
    }))
}
