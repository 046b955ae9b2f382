//! Further fields of an issue, as lines of `Name: value`, in the form that Jira wants for each.

use sendoff::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::document::Description;
use super::site::Kind;

/// What is filled in at other places of the form.
const OWN: [&str; 5] = ["project", "issuetype", "summary", "description", "attachment"];

/// The fields that must be filled in and have no default, in words for the form.
pub(super) fn required(fields: &[Json]) -> Vec<String> {
    let needed = fields.iter().filter(|field| {
        let own = OWN.contains(&id(field)) || id(field) == "reporter";
        field["required"] == true && field["hasDefaultValue"] != true && !own
    });
    needed
        .map(|field| {
            let name = field["name"].as_str().unwrap_or_else(|| id(field));
            let choices: Vec<_> = allowed(field).map(label).take(8).collect();
            match choices.as_slice() {
                [] => name.to_owned(),
                some => format!("{name} (one of {})", some.join(", ")),
            }
        })
        .collect()
}

/// The lines as members of `fields` of an issue. Names are Jira's labels or ids.
///
/// # Errors
/// A form error that names the line.
pub(super) fn parsed(text: &str, fields: &[Json], kind: Kind) -> Result<Map<String, Json>> {
    let wrong = |why: String| Error::form("further_fields", why);
    let mut members = Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) =
            line.split_once(':')
                .map(|(name, value)| (name.trim(), value.trim()))
                .ok_or_else(|| wrong(format!("\"{}\" must look like Name: value.", short(line))))?;
        let named = |field: &&Json| {
            id(field) == name
                || field["name"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        let field = fields.iter().find(named).ok_or_else(|| {
            let all: Vec<_> = fields
                .iter()
                .filter(|field| !OWN.contains(&id(field)))
                .filter_map(|field| field["name"].as_str())
                .take(40)
                .collect();
            wrong(format!(
                "An issue of this type has no field \"{}\". It has {}.",
                short(name),
                all.join(", ")
            ))
        })?;
        if OWN.contains(&id(field)) {
            return Err(wrong(format!("{name} has a place of its own in this form.")));
        }
        let value = written(value, field, kind).map_err(|why| wrong(format!("{name}: {why}")))?;
        members.insert(id(field).to_owned(), value);
    }
    Ok(members)
}

fn id(field: &Json) -> &str {
    field["fieldId"].as_str().or_else(|| field["key"].as_str()).unwrap_or_default()
}

fn allowed(field: &Json) -> impl Iterator<Item = &Json> {
    field["allowedValues"].as_array().into_iter().flatten()
}

fn label(choice: &Json) -> &str {
    let text = |name: &str| choice[name].as_str();
    text("value").or_else(|| text("name")).or_else(|| text("id")).unwrap_or_default()
}

/// A value by its field's schema.
fn written(value: &str, field: &Json, kind: Kind) -> Result<Json, String> {
    // Whoever knows Jira's own form may use it.
    if value.starts_with(['{', '['])
        && let Ok(json) = serde_json::from_str(value)
    {
        return Ok(json);
    }
    let schema = &field["schema"];
    match schema["type"].as_str().unwrap_or("string") {
        "array" => {
            let item = schema["items"].as_str().unwrap_or("string");
            let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
            parts.map(|part| single(part, item, field, kind)).collect()
        }
        of => single(value, of, field, kind),
    }
}

fn single(value: &str, of: &str, field: &Json, kind: Kind) -> Result<Json, String> {
    if allowed(field).next().is_some() {
        let chosen = |choice: &&Json| {
            label(choice).eq_ignore_ascii_case(value) || choice["id"].as_str() == Some(value)
        };
        return match allowed(field).find(chosen) {
            Some(choice) => Ok(json!({ "id": choice["id"] })),
            None => {
                let all: Vec<_> = allowed(field).map(label).take(20).collect();
                Err(format!("\"{}\" is none of {}.", short(value), all.join(", ")))
            }
        };
    }
    Ok(match of {
        "number" => {
            let number = value.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            Json::Number(number.ok_or_else(|| format!("\"{}\" is no number.", short(value)))?)
        }
        "user" if kind == Kind::Cloud => json!({ "accountId": value }),
        "option" => json!({ "value": value }),
        "user" | "group" | "priority" | "version" | "component" | "resolution" => {
            json!({ "name": value })
        }
        "issuelink" | "issue" => json!({ "key": value }),
        _ => {
            let custom = field["schema"]["custom"].as_str().unwrap_or_default();
            let long = custom.ends_with(":textarea") || id(field) == "environment";
            match kind {
                // Only one line of text is a string there.
                Kind::Cloud if long => {
                    Description { text: value, link: None, table: None }.document()
                }
                _ => json!(value),
            }
        }
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<Json> {
        let fields = json!([
            { "fieldId": "summary", "name": "Summary", "required": true, "schema": { "type": "string" } },
            { "fieldId": "priority", "name": "Priority", "required": true, "hasDefaultValue": true,
              "schema": { "type": "priority" },
              "allowedValues": [{ "id": "1", "name": "High" }, { "id": "2", "name": "Low" }] },
            { "fieldId": "customfield_1", "name": "Severity", "required": true,
              "schema": { "type": "option" },
              "allowedValues": [{ "id": "11", "value": "Bad" }, { "id": "12", "value": "Worse" }] },
            { "fieldId": "labels", "name": "Labels", "schema": { "type": "array", "items": "string" } },
            { "fieldId": "components", "name": "Components",
              "schema": { "type": "array", "items": "component" },
              "allowedValues": [{ "id": "7", "name": "Web" }, { "id": "8", "name": "App" }] },
            { "fieldId": "customfield_2", "name": "Cost", "schema": { "type": "number" } },
            { "fieldId": "customfield_3", "name": "Notes", "schema": {
              "type": "string", "custom": "com.atlassian.jira.plugin.system.customfieldtypes:textarea" } },
            { "fieldId": "assignee", "name": "Assignee", "schema": { "type": "user" } },
        ]);
        fields.as_array().unwrap().clone()
    }

    #[test]
    fn values_have_the_form_that_jira_wants() {
        let lines = "priority: low\nSeverity: Worse\nLabels: a, b\ncomponents: Web,8\nCost: 4.5\n\
                     Assignee: 5b10\nNotes: hi";
        let cloud = Json::Object(parsed(lines, &fields(), Kind::Cloud).unwrap());
        assert_eq!(
            cloud,
            json!({
                "priority": { "id": "2" }, "customfield_1": { "id": "12" }, "labels": ["a", "b"],
                "components": [{ "id": "7" }, { "id": "8" }], "customfield_2": 4.5,
                "assignee": { "accountId": "5b10" },
                "customfield_3": { "type": "doc", "version": 1, "content": [
                    { "type": "paragraph", "content": [{ "type": "text", "text": "hi" }] }] },
            })
        );
        let server = parsed("Notes: hi\nAssignee: ada", &fields(), Kind::Server).unwrap();
        assert_eq!(
            Json::Object(server),
            json!({ "customfield_3": "hi", "assignee": { "name": "ada" } })
        );
        let raw = parsed(r#"Severity: {"value": "x"}"#, &fields(), Kind::Cloud).unwrap();
        assert_eq!(raw["customfield_1"], json!({ "value": "x" }));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (lines, part) in [
            ("Severity", "must look like"),
            ("Nobody: x", "no field \"Nobody\". It has Priority, Severity"),
            ("Severity: x", "none of Bad, Worse"),
            ("Cost: much", "is no number"),
            ("Summary: x", "a place of its own"),
        ] {
            let error = parsed(lines, &fields(), Kind::Cloud).unwrap_err();
            assert_eq!(error.field_name(), Some("further_fields"));
            assert!(error.message().contains(part), "{error}");
        }
        assert_eq!(required(&fields()), ["Severity (one of Bad, Worse)"]);
    }
}
