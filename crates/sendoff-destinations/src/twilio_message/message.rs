//! What is sent for a row: a text, or a template that Twilio keeps with the row's values.

use sendoff::{Columns, Error, Result, Row};
use serde_json::Value as Json;

use super::Form;
use super::text::{Bound, Text};
use crate::shared::twilio::{LONGEST, Says, length};

/// A message as the form asks for it, whose texts are `T`: as they were written, or bound to columns.
#[derive(Debug)]
pub(super) enum Message<T> {
    Text(T),
    /// The template's SID, and its variables by name.
    Template(String, Vec<(String, T)>),
}

/// Why a row has no message, to be read behind `its `.
type Unsendable = String;

impl Message<Text> {
    /// Reads the form.
    ///
    /// # Errors
    /// A form error: nothing is to be sent, or two things are.
    pub(super) fn of(form: &Form) -> Result<Self> {
        let message = form.message.as_deref().filter(|message| !message.trim().is_empty());
        match (message, &form.content_sid) {
            (Some(message), None) => Text::parse("message", message).map(Self::Text),
            (None, Some(sid)) => {
                let variables = form.content_variables.as_deref().unwrap_or_default();
                Ok(Self::Template(sid.trim().to_owned(), read_variables(variables)?))
            }
            (None, None) => Err(Error::form("message", "Need a message, or a Content SID.")),
            (Some(_), Some(_)) => Err(Error::form(
                "message",
                "Twilio takes a message or a template, not both: leave Message or Content SID empty.",
            )),
        }
    }

    /// The message for a cell, which has no row.
    ///
    /// # Errors
    /// A form error if it names a value of a row, or cannot be sent.
    pub(super) fn for_a_cell(&self) -> Result<String> {
        let field = if matches!(self, Self::Text(_)) { "message" } else { "content_variables" };
        self.written(Text::plain)?.map_err(|why| Error::form(field, format!("The {why}.")))
    }

    /// Finds the columns that it names.
    ///
    /// # Errors
    /// A form error that names what is no column.
    pub(super) fn bound(self, columns: &Columns) -> Result<Message<Bound>> {
        Ok(match self {
            Self::Text(text) => Message::Text(text.bound(columns)?),
            Self::Template(sid, variables) => {
                let bind = |(name, text): (String, Text)| Ok((name, text.bound(columns)?));
                Message::Template(sid, variables.into_iter().map(bind).collect::<Result<_>>()?)
            }
        })
    }
}

impl Message<Bound> {
    /// The message for a row: a text, or a template's variables as JSON.
    pub(super) fn for_row(&self, row: &Row) -> Result<String, Unsendable> {
        // To fill in a row's values never fails.
        self.written(|text| Ok(text.fill(row))).unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The template's SID, if it is one.
    pub(super) fn template(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Template(sid, _) => Some(sid),
        }
    }
}

impl<T> Message<T> {
    fn written(&self, fill: impl Fn(&T) -> Result<String>) -> Result<Result<String, Unsendable>> {
        match self {
            Self::Text(text) => Ok(checked("text", fill(text)?)),
            Self::Template(_, variables) => {
                let mut all = serde_json::Map::new();
                for (name, text) in variables {
                    // Twilio refuses one that is empty:
                    // https://www.twilio.com/docs/api/errors/21656
                    match checked(&format!("variable {name}"), fill(text)?) {
                        Ok(text) => all.insert(name.clone(), Json::from(text)),
                        Err(why) => return Ok(Err(why)),
                    };
                }
                Ok(Ok(if all.is_empty() { String::new() } else { Json::from(all).to_string() }))
            }
        }
    }
}

/// What Twilio is given, of what [`Message::for_row`] or [`Message::for_a_cell`] wrote.
pub(super) fn says<'a>(template: Option<&'a str>, written: &'a str) -> Says<'a> {
    match template {
        None => Says::Text(written),
        Some(sid) => Says::Template { sid, variables: written },
    }
}

fn checked(what: &str, text: String) -> Result<String, Unsendable> {
    if text.trim().is_empty() {
        return Err(format!("{what} is empty"));
    }
    // For variables as for texts: https://www.twilio.com/docs/api/errors/21658
    if length(&text) > LONGEST {
        return Err(format!("{what} is longer than {LONGEST} characters"));
    }
    Ok(text)
}

/// Lines of `1: Hello {{users.first_name}}`.
fn read_variables(lines: &str) -> Result<Vec<(String, Text)>> {
    let wrong = |n: usize| {
        let text = format!("Line {} must look like 1: {{{{users.first_name}}}}.", n + 1);
        Error::form("content_variables", text)
    };
    let mut all: Vec<(String, Text)> = Vec::new();
    for (n, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (name, text) = line.split_once([':', '=']).ok_or_else(|| wrong(n))?;
        let name = name.trim();
        if name.is_empty() || name.contains('{') || all.iter().any(|(known, _)| known == name) {
            return Err(wrong(n));
        }
        all.push((name.to_owned(), Text::parse("content_variables", text.trim())?));
    }
    Ok(all)
}
