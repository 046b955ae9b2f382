//! What a command acts on: the clicked cell, or the ids in a tagged column of a result; what came
//! of each; and who gave the command.
//!
//! A command changes something that exists, so nothing is begun before every id is known, and no
//! more are taken than the user allows.

mod outcomes;

use std::collections::BTreeSet;

use sendoff::prelude::*;
use sendoff::{Column, Columns, Row};

pub(crate) use outcomes::Outcomes;
use outcomes::plural;

/// Where the ids stand and which of them count.
pub(crate) struct Wanted<'a, T> {
    /// The tags of the id's column; the first that a column carries counts.
    pub(crate) tags: &'a [&'static str],
    /// The most that may be acted on.
    pub(crate) most: u32,
    /// The form field that sets the most.
    pub(crate) most_field: &'static str,
    /// What one is called: `instance`.
    pub(crate) noun: &'static str,
    /// Reads one id; the row gives what else the result says of it. The error says what is wrong
    /// with the id.
    pub(crate) read: &'a Reader<'a, T>,
}

/// Reads one id.
type Reader<'a, T> = dyn Fn(&str, Option<&Row>) -> Result<T, String> + Sync + 'a;

/// The ids, each once and in their order, and what could not be read as one.
#[derive(Debug)]
pub(crate) struct Targets<T> {
    pub(crate) ids: Vec<T>,
    pub(crate) outcomes: Outcomes,
}

/// Texts that are no ids are quoted this far.
const QUOTED: usize = 40;

/// Reads what the command is to act on.
///
/// # Errors
/// No column carries the tag, there are more ids than allowed, or Looker's data is broken.
pub(crate) async fn read<S, T: Clone + Ord>(
    cx: &Context<S>,
    data: Payload,
    wanted: Wanted<'_, T>,
) -> Result<Targets<T>> {
    let mut targets = Targets { ids: Vec::new(), outcomes: Outcomes::new(wanted.noun) };
    if cx.kind() == Some(CellAction) {
        let Some(value) = cx.cell_value().map(str::trim).filter(|value| !value.is_empty()) else {
            return Err(Error::looker(format!(
                "The cell is empty, so that it names no {}.",
                wanted.noun
            )));
        };
        targets.add(value, (wanted.read)(value, None), &mut BTreeSet::new());
        return Ok(targets);
    }
    let mut rows = data.rows().await?;
    let mut known = BTreeSet::new();
    let mut column: Option<Column> = find(rows.columns(), wanted.tags).cloned();
    while let Some(row) = rows.next().await {
        let row = row?;
        if column.is_none() {
            column = find(row.columns(), wanted.tags).cloned();
        }
        let Some(column) = &column else { return Err(untagged(wanted.tags)) };
        let cell = row.get(column);
        if cell.is_pivoted() {
            return Err(Error::looker(format!(
                "The field {} is pivoted, so that its cells hold several values. Send the query \
                 without the pivot.",
                column.name
            )));
        }
        let text = cell.value().text().trim();
        if text.is_empty() {
            targets.outcomes.blank();
            continue;
        }
        targets.add(text, (wanted.read)(text, Some(&row)), &mut known);
        if targets.ids.len() as u64 > u64::from(wanted.most) {
            return Err(Error::form(
                wanted.most_field,
                format!(
                    "The result names more than {} {}, which is the most that the form allows. \
                     Nothing was changed. Filter the query, or allow more.",
                    wanted.most,
                    plural(wanted.noun, u64::from(wanted.most)),
                ),
            ));
        }
    }
    if column.is_none() && find(rows.columns(), wanted.tags).is_none() {
        return Err(untagged(wanted.tags));
    }
    Ok(targets)
}

/// Whose command it is, for the log: an operator must be able to tell later who had which machine
/// changed.
#[derive(Debug)]
pub(crate) struct Audit {
    action: &'static str,
    webhook_id: Option<String>,
    instance: Option<String>,
    plan: Option<String>,
}

impl Audit {
    pub(crate) fn of<S>(cx: &Context<S>, action: &'static str) -> Self {
        let plan = cx.plan().and_then(|plan| plan.scheduled_plan_id.as_ref());
        Self {
            action,
            webhook_id: cx.webhook_id().map(str::to_owned),
            instance: cx.instance().map(str::to_owned),
            plan: plan.map(ToString::to_string),
        }
    }

    /// One line a command, as it goes out: from there on it may have been carried out.
    pub(crate) fn log(&self, operation: &str, ids: &str) {
        let Self { action, webhook_id, instance, plan } = self;
        tracing::info!(action, webhook_id, instance, plan, operation, ids, "command");
    }
}

fn find<'a>(columns: &'a Columns, tags: &[&str]) -> Option<&'a Column> {
    tags.iter().find_map(|tag| columns.with_tag(tag).next())
}

/// The reference's words, then the cure.
fn untagged(tags: &[&str]) -> Error {
    Error::looker(format!(
        "Query requires a field tagged {}. Add the field to the query, or ask the author of the \
         LookML model to put the tag on it.",
        tags.join(" or ")
    ))
}

impl<T: Clone + Ord> Targets<T> {
    fn add(&mut self, text: &str, id: Result<T, String>, known: &mut BTreeSet<T>) {
        match id {
            Ok(id) => {
                if known.insert(id.clone()) {
                    self.ids.push(id);
                }
            }
            Err(why) => {
                let mut short: String =
                    text.chars().filter(|c| !c.is_control()).take(QUOTED).collect();
                if short.len() < text.len() {
                    short.push('…');
                }
                self.outcomes.failed(format!("\"{short}\""), why);
            }
        }
    }
}
