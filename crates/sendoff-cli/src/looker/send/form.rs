//! The answers to the form: as the form has them, but for those that were given.

use std::collections::BTreeSet;

use sendoff_protocol::{ActionType, FieldType, Members};
use sendoff_workbench::instance::{ActionId, Drawn, FormOf, Instance};

use super::args::SendArgs;
use super::{Code, Stop};
use crate::tell::tell;

/// An interactive form shows a field at a time at worst; no real one has so many steps.
const ROUNDS: usize = 8;

/// Draws the form, again where a given answer changes it, and gives all answers.
pub(super) async fn answers(
    looker: &Instance,
    action: &ActionId,
    args: &SendArgs,
) -> Result<Members, Stop> {
    let given: Members = args.fields.iter().cloned().collect();
    if args.no_form {
        return Ok(given);
    }
    let mut answers = Members::default();
    let mut drawn = draw(looker, action, args, &answers).await?;
    for _ in 0..ROUNDS {
        if drawn.wants_login() && args.login {
            wait_for_login(looker, action, &drawn).await?;
            drawn = draw(looker, action, args, &answers).await?;
        }
        let mut next = drawn.defaults();
        let known: BTreeSet<&str> = drawn.fields.iter().map(|field| field.name.as_str()).collect();
        for (name, value) in given.0.iter().filter(|(name, _)| known.contains(name.as_str())) {
            next.0.insert(name.clone(), value.clone());
        }
        let before = drawn.defaults();
        let changes = drawn
            .fields
            .iter()
            .any(|field| field.interactive && next.get(&field.name) != before.get(&field.name));
        if !changes || next == answers {
            answers = next;
            break;
        }
        answers = next;
        drawn = draw(looker, action, args, &answers).await?;
    }
    check(&drawn, &given)?;
    Ok(answers)
}

async fn draw(
    looker: &Instance,
    action: &ActionId,
    args: &SendArgs,
    answers: &Members,
) -> Result<Drawn, Stop> {
    let kind = match (&args.cell, &args.dashboard) {
        (Some(_), _) => ActionType::Cell,
        (_, Some(_)) => ActionType::Dashboard,
        _ => ActionType::Query,
    };
    let of = FormOf { user: "ana".into(), action: action.clone(), kind, answers: answers.clone() };
    let drawn = looker.form(of).await?;
    match &drawn.error {
        None => Ok(drawn),
        Some(error) => {
            let entry = drawn.exchange.and_then(|id| looker.journal().get(id));
            let answered = entry.is_some_and(|entry| entry.exchange.status.is_some());
            let code = if answered { Code::Failed } else { Code::NoAnswer };
            Err(Stop::of(code, format!("The form cannot be drawn: {error}")))
        }
    }
}

/// A given answer must have a field, and an answer must be among a select's options.
fn check(drawn: &Drawn, given: &Members) -> Result<(), Stop> {
    if let Some(link) = link(drawn) {
        let how = "--login waits until it is done, and --state keeps it.";
        return Err(Stop::of(Code::Failed, format!("The user has to log in: {link}\n{how}")));
    }
    for (name, value) in &given.0 {
        // Streaming actions are told the format so, whether their form has it or not.
        if name == "format" {
            continue;
        }
        let Some(field) = drawn.fields.iter().find(|field| field.name == *name) else {
            let names = || drawn.fields.iter().map(|field| field.name.clone());
            let meant = crate::config::closest(name, names());
            let meant = meant.map(|m| format!(" Did you mean `{m}`?")).unwrap_or_default();
            let list = names().collect::<Vec<_>>().join(", ");
            let has = if list.is_empty() { "no field".to_owned() } else { list };
            return Err(Stop::usage(format!(
                "The form has no field `{name}`.{meant} It has {has}."
            )));
        };
        let options = &field.options;
        if field.kind == FieldType::Select && !options.iter().any(|option| option.name == *value) {
            let list: Vec<&str> = options.iter().map(|option| option.name.as_str()).collect();
            let list = list.join(", ");
            return Err(Stop::usage(format!("`{name}` cannot be `{value}`. It can be {list}.")));
        }
    }
    Ok(())
}

fn link(drawn: &Drawn) -> Option<&str> {
    let is_link = |kind| matches!(kind, FieldType::OauthLink | FieldType::OauthLinkGoogle);
    drawn.fields.iter().find(|field| is_link(field.kind))?.oauth_url.as_deref()
}

async fn wait_for_login(looker: &Instance, action: &ActionId, drawn: &Drawn) -> Result<(), Stop> {
    let mut newest = looker.journal().newest();
    // Before the link is told: whoever follows it may be quick.
    let before = looker.state("ana", action).map(|state| state.data);
    let link = link(drawn).unwrap_or("(the form gives no link)");
    tell!("Log in, then it goes on: {link}");
    loop {
        newest.borrow_and_update();
        if looker.state("ana", action).map(|state| state.data) != before {
            return Ok(());
        }
        if newest.changed().await.is_err() {
            return Err(Stop::of(Code::NoAnswer, "The login was not done."));
        }
    }
}
