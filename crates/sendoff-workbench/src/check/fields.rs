//! The fields of forms, and forms that change while they are filled in.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Check;
use super::Strength::{A, B, D};
use super::judge::{ensure, given, inapplicable, items, none_of, shown, text};
use super::subject::{Drawn, fields_of};
use crate::dial::Address;

/// Looker's, and `text`, which is widely used for `string`.
const TYPES: &[&str] =
    &["string", "text", "textarea", "select", "oauth_link", "oauth_link_google", "message"];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "form/field/name-present",
        title: "Every field has a name",
        rule: "`name` is a text that is not empty.",
        looker: "The user's answer has no key under which it could travel.",
        section: "6",
        strength: A,
        wrong: r#"[{"label": "Path"}]"#,
        right: r#"[{"name": "path", "label": "Path"}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| match text(field, "name") {
                    Some(_) => None,
                    None => Some("has no name".to_owned()),
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/name-unique",
        title: "No two fields of a form have the same name",
        rule: "`name` is unique in its form.",
        looker: "Both answers travel under one key; one is lost.",
        section: "6",
        strength: D,
        wrong: r#"[{"name": "path"}, {"name": "path"}]"#,
        right: r#"[{"name": "path"}, {"name": "file"}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_form(|drawn| {
                    let mut seen = BTreeSet::new();
                    let mut names = drawn.fields().iter().filter_map(|field| text(field, "name"));
                    let twice = names.find(|name| !seen.insert(*name))?;
                    Some(format!("field `{twice}` twice"))
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/type-known",
        title: "Fields are of Looker's types",
        rule: "`type`, where it is given, is string, text, textarea, select, oauth_link, \
               oauth_link_google or message.",
        looker: "Looker has no date, number, checkbox, multi-select or password: such a field is \
                 drawn as one line of text.",
        section: "6",
        strength: A,
        wrong: r#"{"name": "day", "type": "date"}"#,
        right: r#"{"name": "day", "type": "string"}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    let kind = given(field, "type")?;
                    let known = kind.as_str().is_some_and(|kind| TYPES.contains(&kind));
                    (!known).then(|| format!("has type {}", shown(kind)))
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/label-is-text",
        title: "Labels and descriptions are texts",
        rule: "`label` and `description` are texts or null.",
        looker: "Looker shows the user something else, or nothing.",
        section: "6",
        strength: A,
        wrong: r#"{"name": "path", "label": {"en": "Path"}}"#,
        right: r#"{"name": "path", "label": "Path"}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    ["label", "description"].into_iter().find_map(|member| {
                        let value = given(field, member).filter(|value| !value.is_string())?;
                        Some(format!("has `{member}` as {}", shown(value)))
                    })
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/flags-are-booleans",
        title: "`required` and `interactive` are booleans",
        rule: "`required` and `interactive` are true or false where they are given.",
        looker: "`\"false\"` in quotes is easily taken for true: the form is fetched at each key.",
        section: "6",
        strength: A,
        wrong: r#"{"name": "path", "required": "true"}"#,
        right: r#"{"name": "path", "required": true}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    ["required", "interactive"].into_iter().find_map(|member| {
                        let value = given(field, member).filter(|value| !value.is_boolean())?;
                        Some(format!("has `{member}` as {}", shown(value)))
                    })
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/default-is-text",
        title: "Defaults are texts",
        rule: "`default`, where it is given, is a text.",
        looker: "Answers are texts only; another default may be shown as something else.",
        section: "6",
        strength: A,
        wrong: r#"{"name": "rows", "default": 500}"#,
        right: r#"{"name": "rows", "default": "500"}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    let default = given(field, "default").filter(|default| !default.is_string())?;
                    Some(format!("has the default {}", shown(default)))
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/select-has-options",
        title: "A select has options",
        rule: "`options` of a select is an array that is not empty.",
        looker: "The user cannot choose, and cannot send if the field is required.",
        section: "6",
        strength: A,
        wrong: r#"{"name": "mode", "type": "select"}"#,
        right: r#"{"name": "mode", "type": "select", "options": [{"name": "a", "label": "A"}]}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    let empty = is_select(field) && items(field, "options").is_empty();
                    empty.then(|| "is a select without options".to_owned())
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/options-shape",
        title: "Options have a name and a label",
        rule: "`options` holds objects with `name` and `label` as texts.",
        looker: "Looker shows the label and sends the name; without them the choice is lost.",
        section: "6",
        strength: A,
        wrong: r#""options": ["append", "replace"]"#,
        right: r#""options": [{"name": "append", "label": "Append"}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    let whole = |o: &&Value| {
                        given(o, "name").is_some_and(Value::is_string)
                            && given(o, "label").is_some_and(Value::is_string)
                    };
                    let odd = items(field, "options").iter().find(|option| !whole(option))?;
                    Some(format!("has the option {}", shown(odd)))
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/default-is-an-option",
        title: "A select's default is one of its options",
        rule: "`default` of a select is the `name` of an option, or empty.",
        looker: "The list shows another choice than the hub believes to be set.",
        section: "6",
        strength: D,
        wrong: r#"{"type": "select", "default": "b", "options": [{"name": "a", "label": "A"}]}"#,
        right: r#"{"type": "select", "default": "a", "options": [{"name": "a", "label": "A"}]}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    let default = text(field, "default").filter(|_| is_select(field))?;
                    let options = items(field, "options");
                    let none = !options.is_empty()
                        && options.iter().all(|o| text(o, "name").is_some_and(|n| n != default));
                    none.then(|| format!("has the default {default:?}, which is no option"))
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/link-is-absolute",
        title: "A login button leads somewhere",
        rule: "A field of type oauth_link has an absolute `oauth_url`.",
        looker: "The button does nothing, and the user cannot log in.",
        section: "6",
        strength: A,
        wrong: r#"{"name": "login", "type": "oauth_link"}"#,
        right: r#"{"name": "login", "type": "oauth_link", "oauth_url": "https://hub.example/…"}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    if !is_link(field) {
                        return None;
                    }
                    match text(field, "oauth_url") {
                        Some(url) => Address::of(url).err(),
                        None => Some("is a login without `oauth_url`".to_owned()),
                    }
                })
                .await
            })
        },
    },
    Check {
        id: "form/field/no-secrets",
        title: "Forms do not ask for secrets",
        rule: "No field's name speaks of a password or a secret.",
        looker: "Answers are stored with the schedule and shown as ordinary text. Secrets belong \
                 into params.",
        section: "6",
        strength: D,
        wrong: r#"[{"name": "password", "label": "Password"}]"#,
        right: r#""params": [{"name": "password", "label": "Password", "sensitive": true}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_field(|field| {
                    let name = text(field, "name")?.to_lowercase();
                    let secret = ["password", "passphrase", "secret", "api_key", "private_key"];
                    let asks = secret.iter().any(|word| name.contains(word));
                    asks.then(|| "asks for a secret".to_owned())
                })
                .await
            })
        },
    },
    Check {
        id: "form/interactive/choice-kept",
        title: "A form that is drawn again keeps the choice",
        rule: "When an interactive field has changed, the new form has the value as the field's \
               `default`.",
        looker: "The answer replaces the whole form: the choice jumps back under the user's hand.",
        section: "6",
        strength: B,
        wrong: r#"sent "b", answered {"name": "mode", "default": "a", …}"#,
        right: r#"sent "b", answered {"name": "mode", "default": "b", …}"#,
        ask: |p| {
            Box::pin(async move {
                let actions = p.actions()?;
                let mut problems = Vec::new();
                let mut tried = false;
                for drawn in p.forms().await? {
                    let (Some((field, choice)), Some(action)) =
                        (interactive(drawn), actions.get(drawn.action))
                    else {
                        continue;
                    };
                    let Some(url) = action.form_url() else { continue };
                    tried = true;
                    let mut body = p.form_body(*action);
                    for field in drawn.fields() {
                        if let (Some(name), Some(value)) =
                            (text(field, "name"), text(field, "default"))
                        {
                            body["form_params"][name] = value.into();
                        }
                    }
                    body["form_params"][field] = choice.into();
                    let Ok(heard) = p.post(url, p.hub.json(&body)).await else { continue };
                    let Ok(form) = serde_json::from_slice::<Value>(&heard.body) else { continue };
                    let kept = fields_of(&form).iter().find(|f| text(f, "name") == Some(field));
                    let default = kept.and_then(|field| text(field, "default"));
                    // A button that is drawn as a list may go once it was pressed.
                    if kept.is_some() && default != Some(choice) {
                        let name = action.name();
                        problems.push(format!("{name}: sent {field}={choice}, got {default:?}"));
                    }
                }
                if !tried {
                    return inapplicable("no form has an interactive select with a second option");
                }
                none_of(problems)
            })
        },
    },
    Check {
        id: "form/delegate/test-answered",
        title: "The test of a delegated login is answered",
        rule: "A form call with `data.test`, to an action with `delegate_oauth`, is answered with \
               `message` fields or `error`.",
        looker: "Enabling the action runs this test and shows what it says.",
        section: "3",
        strength: B,
        wrong: r#"[{"name": "login", "type": "oauth_link"}]"#,
        right: r#"[{"name": "team", "type": "message", "value": "{\"installation_id\": \"T1\"}"}]"#,
        ask: |p| {
            Box::pin(async move {
                let action = p.actions()?.into_iter().find(|action| action.is("delegate_oauth"));
                let Some((action, url)) = action.and_then(|a| Some((a, a.form_url()?))) else {
                    return inapplicable("no action has a delegated login");
                };
                let mut body = p.form_body(action);
                body["data"]["test"] = "true".into();
                match p.post(url, p.hub.json(&body)).await {
                    Ok(heard) => {
                        let form: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
                        let fields = fields_of(&form);
                        let message = |field: &Value| text(field, "type") == Some("message");
                        let told = given(&form, "error").is_some()
                            || (!fields.is_empty() && fields.iter().all(message));
                        ensure(heard.status == 200 && told, || {
                            format!("status {}, {}", heard.status, shown(&form))
                        })
                    }
                    Err(deaf) => inapplicable(deaf.why()),
                }
            })
        },
    },
];

fn is_select(field: &Value) -> bool {
    text(field, "type") == Some("select")
}

pub(super) fn is_link(field: &Value) -> bool {
    text(field, "type").is_some_and(|kind| kind.starts_with("oauth_link"))
}

/// An interactive select of the form, and a choice that is not its default.
fn interactive(drawn: &Drawn) -> Option<(&str, &str)> {
    drawn.fields().iter().find_map(|field| {
        let asks = given(field, "interactive") == Some(&Value::Bool(true)) && is_select(field);
        let name = text(field, "name").filter(|_| asks)?;
        let default = text(field, "default");
        let mut choices = items(field, "options").iter().filter_map(|o| text(o, "name"));
        Some((name, choices.find(|choice| Some(*choice) != default)?))
    })
}
