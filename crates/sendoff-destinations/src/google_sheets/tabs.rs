//! The form's list of tabs, as soon as it is known which spreadsheet is meant.

use sendoff::{Choices, Context, Item, Result, View};

use super::Form;
use super::book::Which;
use crate::google_drive::Settings;
use crate::google_drive::picker::login_goes_on;
use crate::shared::google::Google;

/// What Google says of the spreadsheet that the answers name.
pub(super) struct Asked {
    by_address: bool,
    /// Its title and its tabs; `None` if there is none of the name.
    found: Result<Option<(String, Vec<Item>)>>,
}

/// Asks for the tabs; `None` if the answers name no spreadsheet yet, or the tab is of no matter.
pub(super) async fn ask(
    cx: &Context<Settings>,
    google: &Google,
    which: Option<Result<Which>>,
) -> Option<Asked> {
    let which = match which? {
        Ok(which) => which,
        Err(error) => return Some(Asked { by_address: true, found: Err(error) }),
    };
    let by_address = matches!(which, Which::Address(..));
    let question = format!("tabs {which:?}");
    let found = cx.remember(&question, Box::pin(which.listed(google))).await;
    Some(Asked { by_address, found })
}

/// Makes lists of them.
///
/// # Errors
/// That the login is over.
pub(super) fn show(form: &mut View<Form>, asked: Option<Asked>) -> Result<()> {
    let new = form.overwrite.value() == Some("new_tab");
    if new {
        form.tab.hide()
    } else {
        form.new_tab.hide()
    }
    let (by_address, found) = match asked {
        Some(Asked { by_address, found }) => (by_address, login_goes_on(found)?),
        None => (false, Ok(None)),
    };
    match found {
        Ok(Some((title, tabs))) => {
            if by_address {
                form.spreadsheet.remark(&format!("This is {title}."));
            }
            if !new {
                Choices::of("tabs", tabs.into())
                    .or_typed(|name| !name.starts_with("gid="))
                    .searched(&mut form.tab, &mut form.find_tab);
                return Ok(());
            }
        }
        Ok(None) => {}
        Err(error) if by_address => form.spreadsheet.remark(error.message()),
        Err(error) => {
            form.tab.remark(&format!("The tabs cannot be listed: {}", error.message()));
        }
    }
    form.find_tab.hide();
    Ok(())
}
