//! The entries of the list: actions and their params.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Check;
use super::Strength::{A, B, D};
use super::judge::{given, items, none_of_all, shown, text, unknown_word};
use crate::dial::Address;

/// What an action may take. The reference does not know `none`.
const TYPES: &[&str] = &["cell", "query", "dashboard", "none"];
const FORMATTINGS: &[&str] = &["formatted", "unformatted"];
const VISUALIZATIONS: &[&str] = &["apply", "noapply"];
const DOWNLOADS: &[&str] = &["push", "url"];
/// The reference's list grew to 460 kB by icons; Looker fetches it often.
const LARGE_ICON: usize = 50_000;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "list/action/name-present",
        title: "Every action has a name",
        rule: "`name` is a text that is not empty.",
        looker: "Looker makes the action's id of it, and schedules refer to that id.",
        section: "4",
        strength: A,
        wrong: r#"{"label": "Mine"}"#,
        right: r#"{"name": "mine", "label": "Mine"}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| match text(action.0, "name") {
                    Some(_) => None,
                    None => Some(format!("`name` is {}", shown(&action.0["name"]))),
                })
            })
        },
    },
    Check {
        id: "list/action/name-unique",
        title: "No two actions have the same name",
        rule: "`name` is unique in the hub.",
        looker: "Two actions of one name have one id: schedules reach either of them.",
        section: "4",
        strength: A,
        wrong: r#"[{"name": "mine"}, {"name": "mine"}]"#,
        right: r#"[{"name": "mine"}, {"name": "mine_too"}]"#,
        ask: |p| {
            Box::pin(async move {
                let actions = p.actions()?;
                let mut seen = BTreeSet::new();
                let names = actions.iter().filter_map(|action| text(action.0, "name"));
                none_of_all(names, "no action has a name", |name| {
                    (!seen.insert(name)).then(|| format!("`{name}` twice"))
                })
            })
        },
    },
    Check {
        id: "list/action/name-plain",
        title: "Names stand in URLs and ids as they are",
        rule: "`name` has letters, digits, `_`, `-` and `.` only.",
        looker: "Looker joins the hub's id and the name by `::`; other characters are not known \
                 to work everywhere.",
        section: "4",
        strength: D,
        wrong: r#""name": "send::mail now""#,
        right: r#""name": "send_mail""#,
        ask: |p| {
            Box::pin(async move {
                let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
                p.each_action(|action| {
                    let name = text(action.0, "name")?;
                    (!name.chars().all(plain)).then(|| "the name has other characters".to_owned())
                })
            })
        },
    },
    Check {
        id: "list/action/label-present",
        title: "Every action has a label",
        rule: "`label` is a text that is not empty.",
        looker: "It is all that users see of the action when they choose where to send.",
        section: "4",
        strength: A,
        wrong: r#"{"name": "mine"}"#,
        right: r#"{"name": "mine", "label": "Mine"}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| match text(action.0, "label") {
                    Some(_) => None,
                    None => Some(format!("`label` is {}", shown(&action.0["label"]))),
                })
            })
        },
    },
    Check {
        id: "list/action/url-absolute",
        title: "The execute URL is absolute",
        rule: "`url` is an absolute http(s) URL.",
        looker: "Looker calls it as it stands; there is nothing that a path could be relative to.",
        section: "3",
        strength: A,
        wrong: r#""url": "/actions/mine/execute""#,
        right: r#""url": "https://hub.example/actions/mine/execute""#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| match action.0.get("url") {
                    Some(url) => relative(url).map(|why| format!("`url` {why}")),
                    None => Some("there is no `url`".to_owned()),
                })
            })
        },
    },
    Check {
        id: "list/action/form-url-absolute",
        title: "The form URL is absolute or null",
        rule: "`form_url` is an absolute http(s) URL, or null for an action without a form.",
        looker: "Looker calls it as it stands, also to test the action when it is enabled.",
        section: "3",
        strength: A,
        wrong: r#""form_url": "form""#,
        right: r#""form_url": "https://hub.example/actions/mine/form""#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| {
                    relative(given(action.0, "form_url")?).map(|why| format!("`form_url` {why}"))
                })
            })
        },
    },
    Check {
        id: "list/action/token-url-absolute",
        title: "The token URL is absolute or empty",
        rule: "`token_url` is an absolute http(s) URL, or empty where OAuth v2 is not offered.",
        looker: "Looker calls it to exchange the code; the login fails after the user consented.",
        section: "4",
        strength: B,
        wrong: r#""token_url": "oauth_token""#,
        right: r#""token_url": """#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| {
                    let url = given(action.0, "token_url").filter(|url| *url != "")?;
                    relative(url).map(|why| format!("`token_url` {why}"))
                })
            })
        },
    },
    Check {
        id: "list/action/types-known",
        title: "Every action says what it takes",
        rule: "`supported_action_types` is an array of `cell`, `query`, `dashboard`, `none`, and \
               not empty.",
        looker: "Looker offers the action nowhere, or refuses the list.",
        section: "4",
        strength: A,
        wrong: r#""supported_action_types": ["look"]"#,
        right: r#""supported_action_types": ["query", "dashboard"]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| {
                    if items(action.0, "supported_action_types").is_empty() {
                        return Some("`supported_action_types` is no list or empty".to_owned());
                    }
                    unknown_word(action.0, "supported_action_types", TYPES)
                })
            })
        },
    },
    Check {
        id: "list/action/formats-known",
        title: "Formats are those that Looker renders",
        rule: "`supported_formats`, where it is given, holds names of Looker's formats only.",
        looker: "Looker cannot render it; the format is missing in the list that users choose from.",
        section: "4",
        strength: A,
        wrong: r#""supported_formats": ["parquet"]"#,
        right: r#""supported_formats": ["csv", "json_detail"]"#,
        ask: |p| {
            Box::pin(async move {
                let known = sendoff_protocol::Format::ALL.map(|format| format.as_str());
                p.each_action(|action| unknown_word(action.0, "supported_formats", &known))
            })
        },
    },
    Check {
        id: "list/action/formattings-known",
        title: "Formattings are Looker's",
        rule: "`supported_formattings`, where it is given, holds `formatted` and `unformatted` only.",
        looker: "Looker cannot offer another.",
        section: "4",
        strength: A,
        wrong: r#""supported_formattings": ["raw"]"#,
        right: r#""supported_formattings": ["unformatted"]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|a| unknown_word(a.0, "supported_formattings", FORMATTINGS))
            })
        },
    },
    Check {
        id: "list/action/visualizations-known",
        title: "Visualisation formattings are Looker's",
        rule: "`supported_visualization_formattings`, where it is given, holds `apply` and \
               `noapply` only.",
        looker: "Looker cannot offer another.",
        section: "4",
        strength: A,
        wrong: r#""supported_visualization_formattings": ["none"]"#,
        right: r#""supported_visualization_formattings": ["noapply"]"#,
        ask: |p| {
            Box::pin(async move {
                let member = "supported_visualization_formattings";
                p.each_action(|action| unknown_word(action.0, member, VISUALIZATIONS))
            })
        },
    },
    Check {
        id: "list/action/downloads-known",
        title: "Download settings are Looker's",
        rule: "`supported_download_settings`, where it is given, holds `push` and `url` only.",
        looker: "Looker does not know how to hand over the data.",
        section: "4",
        strength: A,
        wrong: r#""supported_download_settings": ["stream"]"#,
        right: r#""supported_download_settings": ["url"]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|a| unknown_word(a.0, "supported_download_settings", DOWNLOADS))
            })
        },
    },
    Check {
        id: "list/action/downloads-stated",
        title: "The download setting is stated",
        rule: "`supported_download_settings` is given and not empty.",
        looker: "Looker's documents disagree on the default, so that an action may be sent a URL \
                 that it does not read.",
        section: "4",
        strength: D,
        wrong: r#"{"name": "mine", "label": "Mine"}"#,
        right: r#""supported_download_settings": ["push"]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| {
                    let settings = given(action.0, "supported_download_settings");
                    // What is no list is told by another check.
                    let stated = settings.is_some_and(|s| s.as_array() != Some(&Vec::new()));
                    (!stated).then(|| "it is not given".to_owned())
                })
            })
        },
    },
    Check {
        id: "list/action/required-fields-shape",
        title: "Required fields name tags",
        rule: "`required_fields` is an array of objects with `tag` (a text), `any_tag` or \
               `all_tags` (arrays of texts).",
        looker: "Looker cannot tell which queries the action fits.",
        section: "4",
        strength: A,
        wrong: r#""required_fields": ["email"]"#,
        right: r#""required_fields": [{"any_tag": ["email", "user_id"]}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| {
                    let fields = given(action.0, "required_fields")?;
                    let Some(fields) = fields.as_array() else {
                        return Some(format!("`required_fields` is {}", shown(fields)));
                    };
                    let odd = fields.iter().find(|field| !names_tags(field))?;
                    Some(format!("`required_fields` holds {}", shown(odd)))
                })
            })
        },
    },
    Check {
        id: "list/action/flags-are-booleans",
        title: "`uses_oauth` and `delegate_oauth` are booleans",
        rule: "`uses_oauth` and `delegate_oauth` are true or false where they are given.",
        looker: "`\"false\"` in quotes is easily taken for true: users are sent to log in.",
        section: "4",
        strength: A,
        wrong: r#""uses_oauth": "false""#,
        right: r#""uses_oauth": false"#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| {
                    ["uses_oauth", "delegate_oauth"].into_iter().find_map(|member| {
                        let value = given(action.0, member).filter(|value| !value.is_boolean())?;
                        Some(format!("`{member}` is {}", shown(value)))
                    })
                })
            })
        },
    },
    Check {
        id: "list/action/icon-is-image",
        title: "Icons are images in data URIs",
        rule: "`icon_data_uri`, where it is given, begins with `data:image/`.",
        looker: "Looker serves it on as the action's picture, and shows a broken one.",
        section: "4",
        strength: A,
        wrong: r#""icon_data_uri": "https://hub.example/icon.png""#,
        right: r#""icon_data_uri": "data:image/svg+xml;base64,PHN2Zy8+""#,
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| {
                    let icon = given(action.0, "icon_data_uri")?;
                    let image = icon.as_str().is_some_and(|icon| icon.starts_with("data:image/"));
                    (!image).then(|| format!("`icon_data_uri` is {}", shown(icon)))
                })
            })
        },
    },
    Check {
        id: "list/action/icon-small",
        title: "Icons are small",
        rule: "`icon_data_uri` has at most 50,000 characters.",
        looker: "Every list call carries every icon.",
        section: "4",
        strength: D,
        wrong: "an icon of 480 kB",
        right: "an SVG of 2 kB",
        ask: |p| {
            Box::pin(async move {
                p.each_action(|action| {
                    let length = text(action.0, "icon_data_uri")?.len();
                    (length > LARGE_ICON).then(|| format!("the icon has {length} characters"))
                })
            })
        },
    },
    Check {
        id: "list/param/shape",
        title: "Params have a name and a label",
        rule: "`params` is an array of objects with `name` and `label` as texts.",
        looker: "The admin cannot fill in what has no label, and no value comes without a name.",
        section: "4",
        strength: A,
        wrong: r#""params": {"api_key": "API key"}"#,
        right: r#""params": [{"name": "api_key", "label": "API key"}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_with_params(|action| {
                    let params = given(action.0, "params")?;
                    let Some(params) = params.as_array() else {
                        return Some(format!("`params` is {}", shown(params)));
                    };
                    let whole =
                        |p: &&Value| text(p, "name").is_some() && text(p, "label").is_some();
                    let odd = params.iter().find(|param| !whole(param))?;
                    Some(format!("`params` holds {}", shown(odd)))
                })
            })
        },
    },
    Check {
        id: "list/param/name-unique",
        title: "No two params of an action have the same name",
        rule: "`params[].name` is unique in its action.",
        looker: "Both values travel under one key; one is lost.",
        section: "4",
        strength: D,
        wrong: r#"[{"name": "key", "label": "Key"}, {"name": "key", "label": "Secret"}]"#,
        right: r#"[{"name": "key", "label": "Key"}, {"name": "secret", "label": "Secret"}]"#,
        ask: |p| {
            Box::pin(async move {
                p.each_with_params(|action| {
                    let mut seen = BTreeSet::new();
                    let mut names = action.params().iter().filter_map(|param| text(param, "name"));
                    let twice = names.find(|name| !seen.insert(*name))?;
                    Some(format!("param `{twice}` twice"))
                })
            })
        },
    },
    Check {
        id: "list/param/flags-are-booleans",
        title: "`required`, `sensitive` and `per_user` are booleans",
        rule: "The flags of a param are true or false where they are given.",
        looker: "`\"false\"` in quotes is easily taken for true, or the list is refused.",
        section: "4",
        strength: A,
        wrong: r#""required": "yes""#,
        right: r#""required": true"#,
        ask: |p| {
            Box::pin(async move {
                p.each_param(|param| {
                    ["required", "sensitive", "per_user"].into_iter().find_map(|member| {
                        let value = given(param, member).filter(|value| !value.is_boolean())?;
                        Some(format!("has `{member}` as {}", shown(value)))
                    })
                })
            })
        },
    },
    Check {
        id: "list/param/per-user-is-bound",
        title: "A param per user has its user attribute",
        rule: "A param with `per_user` names the user attribute that holds the value.",
        looker: "There is no other place where Looker could keep a value for each user.",
        section: "4",
        strength: A,
        wrong: r#"{"name": "key", "label": "Key", "per_user": true}"#,
        right: r#"{"name": "key", "label": "Key", "per_user": true, "user_attribute_name": "key"}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_param(|param| {
                    let per_user = given(param, "per_user") == Some(&Value::Bool(true));
                    let bound = text(param, "user_attribute_name").is_some();
                    (per_user && !bound).then(|| "is per user and names no attribute".to_owned())
                })
            })
        },
    },
    Check {
        id: "list/param/secret-is-sensitive",
        title: "What sounds like a secret is sensitive",
        rule: "A param whose name speaks of a password, secret or token is not `sensitive: false`.",
        looker: "Looker then shows the value to every admin who opens the page.",
        section: "4",
        strength: D,
        wrong: r#"{"name": "client_secret", "label": "Secret", "sensitive": false}"#,
        right: r#"{"name": "client_secret", "label": "Secret", "sensitive": true}"#,
        ask: |p| {
            Box::pin(async move {
                p.each_param(|param| {
                    let name = text(param, "name")?.to_lowercase();
                    let secret = ["password", "secret", "private_key", "api_key"];
                    let sounds = secret.iter().any(|word| name.contains(word));
                    let open = given(param, "sensitive") == Some(&Value::Bool(false));
                    (sounds && open).then(|| "is not sensitive".to_owned())
                })
            })
        },
    },
];

/// Why a value is no absolute URL.
fn relative(url: &Value) -> Option<String> {
    match url.as_str() {
        Some(url) => Address::of(url).err(),
        None => Some(format!("is {}", shown(url))),
    }
}

fn names_tags(field: &Value) -> bool {
    let texts = |member: &str| {
        given(field, member).is_none_or(|tags| {
            tags.as_array().is_some_and(|tags| tags.iter().all(Value::is_string))
        })
    };
    field.is_object()
        && given(field, "tag").is_none_or(Value::is_string)
        && texts("any_tag")
        && texts("all_tags")
        && ["tag", "any_tag", "all_tags"].iter().any(|member| given(field, member).is_some())
}
