//! `sendoff docs`: the pages that are written from the code.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use sendoff::protocol::{Field, Param};
use sendoff::{AnyAction, Download, LoginBy};
use sendoff_destinations::Difference;

use super::actions::{formats, in_words, types};
use crate::config;
use crate::hub;

/// Writes every page below `dir`.
#[allow(clippy::disallowed_methods, reason = "a command of its own, without a server beside it")]
pub(crate) fn write(dir: &Path) -> anyhow::Result<ExitCode> {
    for (name, text) in pages() {
        let path = dir.join(name);
        let failed = || format!("The page {} cannot be written", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(failed)?;
        }
        std::fs::write(&path, text).with_context(failed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Each page's path and text.
pub(crate) fn pages() -> Vec<(String, String)> {
    let actions = hub::all_actions();
    let mut pages = vec![("config.md".to_owned(), config::to_reference())];
    pages.push(("differences.md".to_owned(), differences()));
    #[cfg(feature = "workbench")]
    pages.push(("checks.md".to_owned(), crate::looker::checks()));
    pages.push(("destinations/README.md".to_owned(), index(&actions)));
    for action in &actions {
        let name = action.spec().name;
        pages.push((format!("destinations/{name}.md"), destination(action.as_ref())));
    }
    pages
}

/// Where an action does otherwise than the reference hub, and how to have it as it was.
fn differences() -> String {
    let mut page = String::from(
        "# Differences from Looker's action hub\n\nWritten by `sendoff docs`.\n\n\
         An action of the same name takes the same settings and answers as in Looker's own action \
         hub, and does the same, but where that is a known fault. Each such place stands here. \
         Where somebody may depend on the old behaviour, a setting or form field brings it back.\n\n\
         | action | Looker's action hub | Sendoff | switch |\n|---|---|---|---|\n",
    );
    // Actions of one family differ alike: one line for all of them.
    let mut lines: Vec<(&Difference, Vec<String>)> = Vec::new();
    for (name, list) in sendoff_destinations::differences() {
        for one in list {
            let action = format!("[{name}](destinations/{name}.md)");
            match lines.iter_mut().find(|(known, _)| *known == one) {
                Some((_, actions)) => actions.push(action),
                None => lines.push((one, vec![action])),
            }
        }
    }
    for (one, actions) in lines {
        let switch = one.switch.map(|name| format!("`{name}`")).unwrap_or_default();
        let (actions, reference) = (actions.join(", "), cell(one.reference));
        let _ = writeln!(page, "| {actions} | {reference} | {} | {switch} |", cell(one.ours));
    }
    page
}

fn index(actions: &[Box<dyn AnyAction>]) -> String {
    let mut page = String::from(
        "# Destinations\n\nWritten by `sendoff docs`.\n\n| action | what it does |\n|---|---|\n",
    );
    for action in actions {
        let spec = action.spec();
        let description = cell(spec.description);
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(page, "| [{}]({}.md) | {description} |", spec.label, spec.name);
    }
    page
}

fn destination(action: &dyn AnyAction) -> String {
    let spec = action.spec();
    let formats = in_words(formats(spec.formats).as_deref(), ", ");
    let data = match spec.download {
        Download::Push => "comes in the request",
        Download::Url => "is downloaded from Looker, so its size has no limit",
    };
    let mut page = format!(
        "# {}\n\nWritten by `sendoff docs`.\n\n{}\n\n\
         * Name: `{}`\n* Sends: {}\n* Formats: {formats}\n* Data: {data}\n",
        spec.label,
        spec.description,
        spec.name,
        types(spec.accepts).join(", "),
    );
    if let Some(url) = spec.vendor_docs {
        let _ = writeln!(page, "* The vendor's page: <{url}>");
    }
    let guides = sendoff_destinations::setup_guides();
    if let Some((_, guide)) = guides.iter().find(|(name, _)| *name == spec.name) {
        let _ = write!(page, "\n{}\n", below_heading(guide));
    }
    add_login(&mut page, action);
    add_params(&mut page, &action.params());
    add_fields(&mut page, &action.form_fields());
    page
}

/// A guide without a title of its own: the page has one.
fn below_heading(guide: &str) -> String {
    let guide = guide.trim();
    let text = match guide.split_once('\n') {
        Some((title, text)) if title.starts_with("# ") => text.trim(),
        _ => guide,
    };
    if text.starts_with('#') { text.to_owned() } else { format!("## Set up\n\n{text}") }
}

/// What the operator and the users do about a login.
fn add_login(page: &mut String, action: &dyn AnyAction) {
    let spec = action.spec();
    match spec.login {
        Some(LoginBy::OAuth(oauth)) => {
            let scopes: Vec<_> = oauth.scopes.iter().map(|scope| format!("`{scope}`")).collect();
            let scopes = match &scopes[..] {
                [] => String::new(),
                scopes => format!(", which asks for {}", scopes.join(", ")),
            };
            let without = match spec.or_setting {
                None => "Without one the action is not offered.".to_owned(),
                Some(name) => format!(
                    "Without one the action is offered without logins, and an admin must fill in \
                     `{name}`, which stands in for them with a client as well."
                ),
            };
            let _ = write!(
                page,
                "\n## Log in\n\nEach user logs in once from the form{scopes}. The hub needs a client \
                 at the vendor, registered with the redirect URL \
                 `<base_url>/actions/{}/oauth_redirect`: set {}. {without}\n",
                spec.name,
                hub::client_settings(action),
            );
        }
        Some(LoginBy::Delegate(delegate)) => {
            let _ = write!(
                page,
                "\n## Log in\n\nLooker runs the login: an admin presses \"{}\" in the action's \
                 settings. The hub needs no client of its own.\n",
                delegate.label,
            );
        }
        None | Some(_) => {}
    }
}

fn add_params(page: &mut String, params: &[Param]) {
    if params.is_empty() {
        return;
    }
    page.push_str(
        "\n## What an admin fills in\n\n| name | label | | description |\n|---|---|---|---|\n",
    );
    for param in params {
        let marks = [(param.required, "required"), (param.sensitive, "secret")];
        let marks: Vec<_> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        let description = cell(param.description.as_deref().unwrap_or_default());
        let marks = marks.join(", ");
        let _ = writeln!(page, "| `{}` | {} | {marks} | {description} |", param.name, param.label);
    }
}

fn add_fields(page: &mut String, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    page.push_str(
        "\n## What a user fills in\n\n\
         | name | label | | default | description |\n|---|---|---|---|---|\n",
    );
    for field in fields {
        let label = field.label.as_deref().unwrap_or(&field.name);
        let required = if field.required { "required" } else { "" };
        let default = field.default.as_deref().filter(|text| !text.is_empty());
        let default = default.map(|text| format!("`{}`", cell(text))).unwrap_or_default();
        let mut description = cell(field.description.as_deref().unwrap_or_default());
        if !field.options.is_empty() {
            let names: Vec<_> =
                field.options.iter().map(|option| format!("`{}`", option.name)).collect();
            description = format!("{description} One of {}.", names.join(", "));
        }
        let description = description.trim();
        let name = &field.name;
        let _ = writeln!(page, "| `{name}` | {label} | {required} | {default} | {description} |");
    }
}

/// A text inside a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test")]
    fn the_committed_pages_are_current() {
        let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
        for (name, text) in pages() {
            let committed = std::fs::read_to_string(docs.join(&name)).unwrap_or_default();
            assert!(committed == text, "docs/{name} is stale: run `just bless` and read the diff");
        }
    }

    #[test]
    fn each_difference_is_of_an_action_and_its_switch_exists() {
        let actions = hub::all_actions();
        for (name, list) in sendoff_destinations::differences() {
            let action = actions.iter().find(|action| action.spec().name == name);
            let action = action.unwrap_or_else(|| panic!("there is no action {name}"));
            let params = action.params().into_iter().map(|param| param.name);
            let fields = action.form_fields().into_iter().map(|field| field.name);
            let names: Vec<String> = params.chain(fields).collect();
            for one in list {
                for text in [one.reference, one.ours] {
                    assert!(text.ends_with('.'), "{name}: {text:?} is no sentence");
                }
                if let Some(switch) = one.switch {
                    assert!(names.iter().any(|name| name == switch), "{name} has no {switch}");
                }
            }
        }
    }

    #[test]
    fn a_guide_stands_below_the_pages_title() {
        assert_eq!(below_heading("# Title\n\ntext\n"), "## Set up\n\ntext");
        assert_eq!(below_heading("## Setup\n\ntext\n"), "## Setup\n\ntext");
        assert_eq!(
            below_heading("# Title\n\n## Setup\n# not a title\n"),
            "## Setup\n# not a title"
        );
    }
}
