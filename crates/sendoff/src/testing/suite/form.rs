//! The form is as approved, never an error page, and what is left out of it is named.

use std::io::{Read, Seek, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::lab::Lab;
use super::refuse::refusal;
use super::verdict::{Failure, ensure};
use super::{Case, Subject, Verdict, case};
use crate::testing::{At, By, Content, Flow, Mischief, VendorFault};

/// Set to rewrite approved files.
const BLESS: &str = "SENDOFF_BLESS";

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    let mut cases = vec![
        case("form_matches", async |subject| matches(&subject).await),
        case("missing_field_is_named", async |subject| missing(&subject).await),
    ];
    if subject.spec.over_http {
        cases
            .push(case("form_survives_a_refusing_vendor", async |subject| refused(&subject).await));
    }
    cases
}

async fn matches(subject: &Subject) -> Verdict {
    let lab = Lab::start(subject).await?;
    let name = subject.spec.name;
    let (status, filled) = lab.looker.form(name, &lab.settings, Some(&lab.answers)).await?;
    ensure(status == 200 && fields(&filled).is_some(), || format!("no form: {filled}"))?;
    // A user who has chosen nothing yet sees a form as well.
    let (status, form) = lab.looker.form(name, &lab.settings, None).await?;
    ensure(status == 200 && fields(&form).is_some(), || format!("no form at first: {form}"))?;
    for field in fields(&form).into_iter().flatten() {
        let select = field["type"] == "select";
        let options = field["options"].as_array().map_or(0, Vec::len);
        ensure(!select || options > 0, || format!("nothing to choose from: {field}"))?;
    }
    match &subject.snapshot {
        Some(file) => approved(file, "form", &without_links(form)),
        None => Ok(()),
    }
}

/// The form without what is new each time: sealed links, and the state beside the fields.
fn without_links(mut form: Value) -> Value {
    if form.get("state").is_some()
        && let Some(fields) = fields(&form)
    {
        form = json!(fields);
    }
    for field in form.as_array_mut().into_iter().flatten() {
        if let Some(url) = field.get_mut("oauth_url") {
            *url = json!("…");
        }
    }
    form
}

pub(super) fn fields(form: &Value) -> Option<&Vec<Value>> {
    form.as_array().or_else(|| form.get("fields")?.as_array())
}

/// The vendor may refuse a list, fail or say nothing sensible: Looker gets a form, or one sentence
/// that says what to do.
async fn refused(subject: &Subject) -> Verdict {
    for status in [401, 403, 404, 500] {
        let lab = Lab::start(subject).await?;
        let refusal = refusal(lab.vendor.fake(), status, None);
        let mischief = Mischief::Refuse(refusal);
        lab.vendor.injure(VendorFault { at: At::Any, mischief, lasting: true });
        let (answered, form) =
            lab.looker.form(subject.spec.name, &lab.settings, Some(&lab.answers)).await?;
        let sentence = form["error"].as_str().is_some_and(|text| text.trim().ends_with(['.', '!']));
        ensure(answered == 200 && (fields(&form).is_some() || sentence), || {
            format!("the vendor answers {status}, the form reads {form}")
        })?;
    }
    Ok(())
}

/// Leaves out each required setting and each required answer in turn.
async fn missing(subject: &Subject) -> Verdict {
    let (action, fake) = (subject.make)();
    let (settings, answers) = (fake.settings(), fake.answers());
    let required = action.form_fields().into_iter().filter(|field| field.required);
    for field in required.filter(|field| field.default.is_none()) {
        ensure(answers.get(&field.name).is_some(), || {
            format!("the stand-in gives no answer to the required {}", field.name)
        })?;
        let lab = Lab::start(subject).await?;
        let content = Content::new(subject.text_format(), 1_000);
        let mut shipment = lab.shipment(content, By::Push);
        shipment.answers.0.remove(&field.name);
        let heard = lab.execute(&shipment).await??;
        let named = heard.envelope.as_ref().is_some_and(|envelope| {
            !envelope.success && envelope.validation_errors.contains_key(&field.name)
        });
        ensure(named, || format!("{} is missing, and the answer is {}", field.name, heard.text))?;
        uncalled(&lab)?;
    }
    for param in action.params().into_iter().filter(|param| param.required) {
        ensure(settings.get(&param.name).is_some(), || {
            format!("the stand-in gives no value for the required {}", param.name)
        })?;
        let lab = Lab::start(subject).await?;
        let content = Content::new(subject.text_format(), 1_000);
        let mut shipment = lab.shipment(content, By::Push);
        shipment.settings.0.remove(&param.name);
        let heard = lab.execute(&shipment).await??;
        let failed = heard.envelope.as_ref().is_some_and(|envelope| !envelope.success);
        ensure(failed && heard.message().contains(&param.label), || {
            format!("setting {} is missing, and the answer is {}", param.name, heard.text)
        })?;
        uncalled(&lab)?;
        let (_, form) = lab.looker.form(subject.spec.name, &shipment.settings, None).await?;
        let told = form["error"].as_str().is_some_and(|text| text.contains(&param.label));
        ensure(told, || format!("setting {} is missing, and the form is {form}", param.name))?;
    }
    Ok(())
}

fn uncalled(lab: &Lab) -> Verdict {
    let bytes = lab.vendor.proxy().passed(Flow::Up);
    ensure(bytes == 0, || format!("the vendor was called all the same: {bytes} bytes"))
}

/// Compares one part of an approved file, or writes it.
pub(super) fn approved(path: &Path, part: &str, now: &Value) -> Verdict {
    let bless = std::env::var_os(BLESS).is_some_and(|value| !value.is_empty());
    if !bless {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let all = parts(&text, path)?;
        let was = all.get(part).unwrap_or(&Value::Null);
        return ensure(was == now, || {
            format!(
                "the {part} is not as approved in {}.\napproved: {was:#}\nnow: {now:#}\n\
                 If the change is meant, run the test again with {BLESS}=1.",
                path.display()
            )
        });
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    // The other part's test may write at the same time, in this process or another.
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut all = parts(&text, path)?;
    all.insert(part.to_owned(), now.clone());
    file.set_len(0)?;
    file.rewind()?;
    Ok(file.write_all(format!("{:#}\n", json!(all)).as_bytes())?)
}

fn parts(text: &str, path: &Path) -> Result<Map<String, Value>, Failure> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}
