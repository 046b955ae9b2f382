//! Reading one setting: its type, its bounds, and the words when it is wrong.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use sendoff::Secret;
use toml::Value;

use super::sources::{Given, Source};
use super::{Problem, secrets, units};

/// A setting as it is in force; a secret is masked.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Such as `limits.keep_alive`.
    pub path: String,
    /// What counts, in the form of the default file.
    pub value: Value,
    /// Who said so.
    pub source: Source,
}

/// What is shown in place of a secret.
const MASK: &str = "[secret]";

/// Reads settings one by one and goes on after a wrong one, so that all are named at once.
pub(super) struct Reader {
    pub(super) given: BTreeMap<String, Given>,
    pub(super) problems: Vec<Problem>,
    pub(super) in_force: Vec<InForce>,
}

impl Reader {
    fn read<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&Given) -> Result<(T, Value), String>,
    ) -> Option<T> {
        let given = self.given.remove(path)?;
        match parse(&given) {
            Ok((read, value)) => {
                self.in_force.push(InForce { path: path.to_owned(), value, source: given.source });
                Some(read)
            }
            Err(right) => {
                let what = format!("is {}: {right}.", shown(&given.value));
                self.problems.push(Problem::new(path, &given.source, what));
                None
            }
        }
    }

    /// A text without bounds.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.read(path, |given| {
            let text = text(&given.value).ok_or("it must be a text")?;
            Ok((text.clone(), Value::String(text)))
        })
    }

    /// A text that is checked, or `None` where it is empty.
    pub(super) fn optional<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        self.read(path, |given| {
            let text = text(&given.value).ok_or("it must be a text")?;
            let read = if text.is_empty() { None } else { Some(parse(&text)?) };
            Ok((read, Value::String(text)))
        })
    }

    pub(super) fn path(&mut self, path: &str) -> Option<Option<PathBuf>> {
        self.optional(path, |text| Ok(PathBuf::from(text)))
    }

    /// One of a few words, or what else `parse` accepts.
    pub(super) fn word<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(path, |given| {
            let text = text(&given.value).ok_or("it must be a text")?;
            Ok((parse(text.trim())?, Value::String(text)))
        })
    }

    /// Items of any kind.
    pub(super) fn list<T>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.read(path, |given| {
            let texts = items(given).ok_or("it must be a list of texts")?;
            let read = texts.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
            Ok((read, Value::Array(texts.into_iter().map(Value::String).collect())))
        })
    }

    pub(super) fn switch(&mut self, path: &str) -> Option<bool> {
        self.read(path, |given| {
            let text = text(&given.value).unwrap_or_default().to_ascii_lowercase();
            let on = match text.as_str() {
                "true" | "yes" | "on" | "1" => true,
                "false" | "no" | "off" | "0" => false,
                _ => return Err("it must be true or false".to_owned()),
            };
            Ok((on, Value::Boolean(on)))
        })
    }

    pub(super) fn count(&mut self, path: &str, bounds: RangeInclusive<usize>) -> Option<usize> {
        self.read(path, |given| {
            let number = text(&given.value).and_then(|text| text.trim().parse().ok());
            let number = within(number, &bounds, "a whole number", usize::to_string)?;
            Ok((number, Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))))
        })
    }

    pub(super) fn duration(
        &mut self,
        path: &str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.read(path, |given| {
            let read = text(&given.value).and_then(|text| units::duration(&text));
            let kind = "a duration such as \"30 s\" or \"25 min\"";
            let read = within(read, &bounds, kind, |bound| units::show_duration(*bound))?;
            Ok((read, Value::String(units::show_duration(read))))
        })
    }

    pub(super) fn size(&mut self, path: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        self.read(path, |given| {
            let read = text(&given.value).and_then(|text| units::size(&text));
            let kind = "a size such as \"64 KiB\" or \"10 GiB\"";
            let read = within(read, &bounds, kind, |bound| units::show_size(*bound))?;
            Ok((read, Value::String(units::show_size(read))))
        })
    }

    /// Any number of secrets.
    pub(super) fn secrets(&mut self, path: &str) -> Option<Vec<Secret>> {
        self.secret_texts(path, true, |_| Ok(()))
    }

    /// Any number of secrets that are checked.
    pub(super) fn secrets_of(
        &mut self,
        path: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Vec<Secret>> {
        self.secret_texts(path, true, check)
    }

    /// At most one secret.
    pub(super) fn secret(
        &mut self,
        path: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Option<Secret>> {
        let mut all = self.secret_texts(path, false, check)?;
        Some(all.pop())
    }

    fn secret_texts(
        &mut self,
        path: &str,
        many: bool,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Vec<Secret>> {
        let mut given = self.given.remove(path)?;
        let read = items(&given).ok_or_else(|| "it must be a list of texts".to_owned());
        let read = read.and_then(|texts| secrets::fetch_all(texts, given.literal));
        let read = read.and_then(|all| {
            all.iter().try_for_each(|secret| check(secret))?;
            Ok((all.len(), all.into_iter().map(Secret::from).collect()))
        });
        // From here on the secret is not shown, neither in an error nor among what is in force.
        let count = read.as_ref().map_or(1, |(count, _)| *count);
        let masks = vec![Value::String(MASK.to_owned()); count];
        given.value = match masks.first() {
            _ if many => Value::Array(masks),
            Some(mask) => mask.clone(),
            None => Value::String(String::new()),
        };
        self.given.insert(path.to_owned(), given);
        self.read(path, |given| read.map(|(_, secrets)| (secrets, given.value.clone())))
    }

    /// A param of an action, as Looker would have sent it.
    pub(super) fn param(&mut self, path: &str, secret: bool) -> Option<String> {
        if secret {
            let all = self.secret_texts(path, false, |_| Ok(()))?;
            return Some(all.first()?.expose().to_owned());
        }
        self.text(path)
    }
}

fn within<T: PartialOrd>(
    value: Option<T>,
    bounds: &RangeInclusive<T>,
    kind: &str,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    let (least, most) = (show(bounds.start()), show(bounds.end()));
    value
        .filter(|value| bounds.contains(value))
        .ok_or_else(|| format!("it must be {kind}, from {least} to {most}"))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Some(value.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

fn items(given: &Given) -> Option<Vec<String>> {
    let all: Vec<String> = match &given.value {
        Value::Array(items) => items.iter().map(text).collect::<Option<_>>()?,
        value if given.commas => text(value)?.split(',').map(|item| item.trim().into()).collect(),
        value => vec![text(value)?],
    };
    Some(all.into_iter().filter(|item| !item.is_empty()).collect())
}

fn shown(value: &impl Display) -> String {
    value.to_string().chars().take(200).collect()
}
