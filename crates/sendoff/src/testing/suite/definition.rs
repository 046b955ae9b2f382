//! The spec is sound, and the definition equals the one that it stands in for.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::lab::Lab;
use super::verdict::{Failure, ensure};
use super::{Case, Golden, Subject, Verdict, case};
use crate::LoginBy;

/// The list answer holds every icon, so each is small.
const LARGEST_ICON: usize = 32 * 1024;
/// Secrets of a stand-in are at least so long, or looking for them would find them by chance.
const SHORTEST_SECRET: usize = 16;

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    let mut cases = vec![case("spec_is_sound", async |subject| sound(&subject))];
    if subject.golden.is_some() || subject.snapshot.is_some() {
        cases.push(case("definition_matches", async |subject| matches(&subject).await));
    }
    cases
}

fn sound(subject: &Subject) -> Verdict {
    let (action, fake) = (subject.make)();
    let spec = action.spec();
    ensure(spec.name == subject.spec.name, || "the name changes from call to call".into())?;
    ensure(!spec.label.trim().is_empty(), || "no label".into())?;
    ensure(spec.description.ends_with('.'), || {
        format!("the description does not end with a full stop: {:?}", spec.description)
    })?;
    ensure(!spec.accepts.is_empty(), || "it accepts nothing".into())?;
    let icon = spec.icon.ok_or_else(|| Failure::new("no icon"))?;
    ensure(icon.bytes.len() <= LARGEST_ICON, || format!("an icon of {} bytes", icon.bytes.len()))?;
    ensure(square(icon.media_type, icon.bytes), || {
        format!("the icon is no square {}", icon.media_type)
    })?;
    if let Some(url) = spec.vendor_docs {
        ensure(url.starts_with("https://"), || format!("the vendor's page is {url}"))?;
    }
    ensure(
        !(spec.over_http && fake.origins().is_empty() && spec.commit != crate::Commit::Never),
        || "its vendor speaks HTTP, but its stand-in has no origin".into(),
    )?;
    let params = action.params();
    let fields = action.form_fields();
    unique("params", params.iter().map(|param| param.name.as_str()))?;
    unique("form fields", fields.iter().map(|field| field.name.as_str()))?;
    for param in &params {
        ensure(!param.label.is_empty(), || format!("param {} has no label", param.name))?;
    }
    logs_in(&spec, &*fake)?;
    secrets(&action.secrets(), &fake.settings(), &fake.answers())
}

/// An action with a login has a stand-in with one.
fn logs_in(spec: &crate::Spec, fake: &dyn crate::testing::Fake) -> Verdict {
    match spec.login {
        None => Ok(()),
        Some(LoginBy::OAuth(oauth)) => {
            ensure(fake.provider().is_some(), || "its stand-in has no provider".into())?;
            for url in [oauth.authorize_url, oauth.token_url] {
                ensure(url.starts_with("https://"), || format!("the login runs at {url}"))?;
            }
            Ok(())
        }
        Some(LoginBy::Delegate(_)) => {
            ensure(fake.state().is_some(), || "its stand-in has no state".into())
        }
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Verdict {
    let mut seen = HashSet::new();
    for name in names {
        ensure(seen.insert(name), || format!("two {what} are called {name}"))?;
    }
    Ok(())
}

fn secrets(names: &[&str], settings: &crate::Values, answers: &crate::Values) -> Verdict {
    let mut seen = HashSet::new();
    // A setting and an answer may share a name.
    for name in names.iter().collect::<HashSet<_>>() {
        for value in [settings.get(name), answers.get(name)].into_iter().flatten() {
            ensure(value.len() >= SHORTEST_SECRET, || {
                format!("the stand-in's {name} is shorter than {SHORTEST_SECRET} characters")
            })?;
            ensure(seen.insert(value), || format!("the stand-in's {name} equals another secret"))?;
        }
    }
    Ok(())
}

fn square(media_type: &str, bytes: &[u8]) -> bool {
    match media_type {
        // Width and height stand first in the first chunk.
        "image/png" => {
            bytes.starts_with(b"\x89PNG\r\n\x1a\n")
                && bytes.get(16..20).is_some_and(|width| bytes.get(20..24) == Some(width))
        }
        "image/svg+xml" => {
            let text = String::from_utf8_lossy(bytes);
            let Some((_, rest)) = text.split_once("viewBox=\"") else { return false };
            let frame = rest.split('"').next().unwrap_or_default();
            let numbers: Vec<f64> =
                frame.split_whitespace().filter_map(|number| number.parse().ok()).collect();
            matches!(numbers[..], [_, _, width, height] if width == height && width > 0.0)
        }
        _ => false,
    }
}

async fn matches(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let ours = lab.looker.definition(subject.spec.name).await?;
    if let Some(golden) = &subject.golden {
        equals_golden(&ours, golden)?;
    }
    if let Some(file) = &subject.snapshot {
        super::form::approved(file, "definition", &without_host(ours))?;
    }
    Ok(())
}

/// The definition without what changes from run to run or fills screens.
fn without_host(mut definition: Value) -> Value {
    for name in ["url", "form_url", "token_url"] {
        if let Some(Value::String(url)) = definition.get_mut(name)
            && let Some(at) = url.find("/actions/")
        {
            url.replace_range(..at, "");
        }
    }
    if let Some(icon) = definition.get_mut("icon_data_uri").filter(|icon| icon.is_string()) {
        *icon = json!("…");
    }
    definition
}

/// Each member of the other hub's definition is ours too, but for the written list. Params of ours
/// may follow if they are optional: what was saved without them must stay valid.
fn equals_golden(ours: &Value, golden: &Golden) -> Verdict {
    let (mut ours, mut theirs) =
        (without_host(ours.clone()), without_host(golden.definition.clone()));
    // Each hub draws its own.
    for definition in [&mut ours, &mut theirs] {
        if let Some(members) = definition.as_object_mut() {
            members.remove("icon_data_uri");
        }
    }
    let mut found = Vec::new();
    differ(&ours, &theirs, "", &mut found);
    for (pointer, text) in &found {
        ensure(golden.differences.iter().any(|known| known.pointer == pointer), || {
            format!("{pointer} differs from the other hub's and is not listed: {text}")
        })?;
    }
    for known in &golden.differences {
        ensure(!known.reason.trim().is_empty(), || format!("{} has no reason", known.pointer))?;
        ensure(found.iter().any(|(pointer, _)| pointer == known.pointer), || {
            format!("{} no longer differs: remove it from the list", known.pointer)
        })?;
    }
    Ok(())
}

fn differ(ours: &Value, theirs: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names: HashSet<&String> = ours.keys().chain(theirs.keys()).collect();
            let mut names: Vec<_> = names.into_iter().collect();
            names.sort();
            for name in names {
                let none = Value::Null;
                let (one, other) =
                    (ours.get(name).unwrap_or(&none), theirs.get(name).unwrap_or(&none));
                differ(one, other, &format!("{at}/{name}"), found);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if at == "/params" => {
            for (n, their) in theirs.iter().enumerate() {
                differ(ours.get(n).unwrap_or(&Value::Null), their, &format!("{at}/{n}"), found);
            }
            for (n, extra) in ours.iter().enumerate().skip(theirs.len()) {
                if extra["required"] != json!(false) {
                    found.push((format!("{at}/{n}"), format!("a further required param: {extra}")));
                }
            }
        }
        // Sets in the protocol, whatever their order.
        (Value::Array(ours), Value::Array(theirs)) if at.starts_with("/supported_") => {
            let same = ours.len() == theirs.len() && ours.iter().all(|one| theirs.contains(one));
            if !same {
                found.push((at.to_owned(), format!("{ours:?} for {theirs:?}")));
            }
        }
        _ if ours == theirs => {}
        _ => found.push((at.to_owned(), format!("{ours} for {theirs}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::suite::Difference;

    fn golden(differences: &[Difference]) -> Golden {
        let definition = json!({
            "name": "x", "url": "http://there/actions/x/execute", "label": "X",
            "params": [{"name": "key", "required": true}],
            "supported_action_types": ["query", "dashboard"],
        });
        Golden { definition, differences: differences.to_vec() }
    }

    #[test]
    fn an_unlisted_difference_and_a_stale_entry_both_fail() {
        let same = json!({
            "name": "x", "url": "http://here/actions/x/execute", "label": "X",
            "params": [{"name": "key", "required": true}, {"name": "more", "required": false}],
            "supported_action_types": ["dashboard", "query"],
        });
        equals_golden(&same, &golden(&[])).unwrap();
        let mut other = same.clone();
        other["label"] = json!("Y");
        let listed = Difference { action: "x", pointer: "/label", reason: "It was misspelt." };
        assert!(equals_golden(&other, &golden(&[])).is_err());
        equals_golden(&other, &golden(&[listed])).unwrap();
        assert!(equals_golden(&same, &golden(&[listed])).is_err());
        let mut stricter = same.clone();
        stricter["params"][1]["required"] = json!(true);
        assert!(equals_golden(&stricter, &golden(&[])).is_err());
    }

    #[test]
    fn squares_are_told_from_oblongs() {
        assert!(square("image/svg+xml", br#"<svg viewBox="0 0 24 24">"#));
        assert!(!square("image/svg+xml", br#"<svg viewBox="0 0 24 12">"#));
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10".to_vec();
        assert!(square("image/png", &png));
        png[23] = 9;
        assert!(!square("image/png", &png));
    }
}
