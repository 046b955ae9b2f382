//! Whether the hub has the action, the params and the fields that deliveries may be made with: a typo
//! must not pass for a hub that has nothing to check.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Execute;
use super::fields::is_link;
use super::judge::text;
use super::probe::Probe;
use super::subject::{Action, fields_of};

impl Probe<'_> {
    /// What of [`Options::execute`](super::Options::execute) the hub does not have. A list or a form
    /// that cannot be read is told by checks.
    pub(super) async fn misused(&self) -> Option<String> {
        let execute = self.hub.options.execute.as_ref()?;
        let actions = self.actions().ok()?;
        let Some(action) = actions.iter().find(|action| action.name() == execute.action) else {
            let names = actions.iter().map(|action| action.name());
            return Some(lacks("The hub has", "action", &execute.action, names));
        };
        let params = || action.params().iter().filter_map(|param| text(param, "name"));
        let given = execute.params.iter().map(|(name, _)| name.as_str());
        if let Some(typo) = unknown(given, params()) {
            let has = format!("The action `{}` has", action.name());
            return Some(lacks(&has, "param", typo, params()));
        }
        self.misnamed_field(execute, *action).await
    }

    /// A given answer that the form has no field for, neither before the answers nor with them.
    async fn misnamed_field(&self, execute: &Execute, action: Action<'_>) -> Option<String> {
        // Streaming actions are told the format so, whether their form has it or not.
        let given = || {
            let names = execute.fields.iter().map(|(name, _)| name.as_str());
            names.filter(|name| *name != "format")
        };
        given().next()?;
        let mut names = BTreeSet::new();
        if let Some(url) = action.form_url() {
            for answers in [&[][..], &execute.fields] {
                names.extend(self.names_of_form(action, url, answers).await?);
                unknown(given(), names.iter().map(String::as_str))?;
            }
        }
        let typo = unknown(given(), names.iter().map(String::as_str))?;
        let has = format!("The form of `{}` has", action.name());
        Some(lacks(&has, "field", typo, names.iter().map(String::as_str)))
    }

    /// The form's fields with the params as they are given; none where it cannot be told.
    async fn names_of_form(
        &self,
        action: Action<'_>,
        url: &str,
        answers: &[(String, String)],
    ) -> Option<Vec<String>> {
        let mut body = self.form_body(action);
        let params = self.hub.options.execute.iter().flat_map(|execute| &execute.params);
        for (name, value) in params {
            body["data"][name] = json!(value);
        }
        for (name, value) in answers {
            body["form_params"][name] = json!(value);
        }
        let heard = self.post(url, self.hub.json(&body)).await.ok()?;
        let form: Value = serde_json::from_slice(&heard.body).ok()?;
        let fields = fields_of(&form);
        let drawn = form.is_array() || form.get("fields").is_some_and(Value::is_array);
        if heard.status != 200 || !drawn || fields.iter().any(is_link) {
            return None;
        }
        Some(fields.iter().filter_map(|field| text(field, "name")).map(str::to_owned).collect())
    }
}

/// The first that is not known.
fn unknown<'n, 'k>(
    mut names: impl Iterator<Item = &'n str>,
    known: impl Iterator<Item = &'k str>,
) -> Option<&'n str> {
    let known: BTreeSet<&str> = known.collect();
    names.find(|name| !known.contains(name))
}

fn lacks<'k>(has: &str, what: &str, name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.collect();
    match known.is_empty() {
        true => format!("{has} no {what}, so also none named `{name}`."),
        false => format!("{has} no {what} `{name}`. It has {}.", known.join(", ")),
    }
}
