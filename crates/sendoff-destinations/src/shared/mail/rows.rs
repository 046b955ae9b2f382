//! One message for each row: to whom the row says.

use sendoff::Row;
use sendoff::pipeline::{BatchLimits, Pipeline};
use sendoff::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::{Content, Head, Letter, Mailbox, Mailboxes, paragraphs, table};
use crate::shared::excerpt::Excerpt;
use crate::shared::wording::{Wording, one_line};

/// Composes the messages of a result's rows.
pub(crate) struct Rows<'a> {
    content: &'a Content,
    head: Head<'a>,
    wording: Wording,
}

impl Content {
    /// Whether each row becomes a message.
    pub(crate) fn is_per_row(&self) -> bool {
        self.per_row
    }

    /// A pipeline with the policy that the user chose.
    pub(crate) fn pipeline<S>(&self, cx: &Context<S>, limits: BatchLimits) -> Pipeline {
        Pipeline::new(cx, limits).policy(self.on_refusal.policy())
    }

    #[cfg(test)]
    pub(super) fn rows_for_test<'a>(&'a self, head: Head<'a>, wording: Wording) -> Rows<'a> {
        Rows { content: self, head, wording }
    }

    /// What composes the rows' messages.
    ///
    /// # Errors
    /// A form error for the file's name.
    pub(crate) fn rows<'a, S>(
        &'a self,
        cx: &Context<S>,
        head: Head<'a>,
        data: &Payload,
    ) -> Result<Rows<'a>> {
        let wording = Wording::before(cx, data, head.filename)?;
        Ok(Rows { content: self, head, wording })
    }
}

impl Rows<'_> {
    /// The message of one row.
    ///
    /// # Errors
    /// What is wrong with the row, such as an address that is none.
    pub(crate) fn letter(&self, row: &Row) -> Result<Letter> {
        let Self { content, head, wording } = self;
        let to = wording.text_of("to", head.to, Some(row))?;
        let (to, cc, bcc) = content.recipients(&to)?;
        let subject = match head.subject {
            Some(template) => one_line(&wording.text_of("subject", template, Some(row))?),
            None => wording.title(),
        };
        let mut text = match (&content.message, wording.link()) {
            (Some(message), _) => wording.text_of("message", message, Some(row))?,
            (None, Some(link)) => format!("View this data in Looker. {link}\n"),
            (None, None) => wording.title(),
        };
        let mut html = paragraphs(&text);
        if content.table_rows > 0 {
            let labels = row.columns().iter().map(|column| column.label.clone());
            let excerpt = Excerpt::from_rows(labels, std::slice::from_ref(row), 1);
            text.truncate(text.trim_end().len());
            text.push_str("\n\n");
            table::text(&excerpt, &mut text);
            table::html(&excerpt, &mut html);
        }
        if text.trim().is_empty() {
            text = wording.title();
            html = paragraphs(&text);
        }
        let mut facts = Map::new();
        facts.insert("title".to_owned(), Json::from(wording.title()));
        facts.insert("link".to_owned(), Json::from(wording.link()));
        facts.insert("subject".to_owned(), Json::from(subject.as_str()));
        facts.insert("message".to_owned(), Json::from(text.as_str()));
        add_values(row, &mut facts);
        Ok(Letter {
            from: head.from.clone(),
            to,
            cc,
            bcc,
            reply_to: content.reply_to.clone(),
            subject,
            text,
            html,
            attachment: None,
            facts: Json::from(facts),
            remarks: Vec::new(),
        })
    }
}

/// Puts a row's values beside what is known of the whole result, for templates that the mail
/// service keeps: `users.email` is what `users` holds under `email`, as templates look it up.
fn add_values(row: &Row, facts: &mut Map<String, Json>) {
    for (column, cell) in row.iter() {
        let value = Json::from(cell.display());
        let mut path: Vec<&str> = column.name.split('.').collect();
        let last = path.pop().unwrap_or_default();
        let mut inner = &mut *facts;
        for part in path {
            let below = inner.entry(part).or_insert_with(|| json!({}));
            if !below.is_object() {
                // A column of the same name as a view.
                *below = json!({});
            }
            let Some(below) = below.as_object_mut() else { return };
            inner = below;
        }
        match inner.get(last) {
            Some(Json::Object(_)) => {}
            _ => {
                inner.insert(last.to_owned(), value);
            }
        }
    }
}

impl Letter {
    /// Everybody who gets it.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = &Mailbox> {
        [&self.to, &self.cc, &self.bcc].into_iter().flat_map(Mailboxes::iter)
    }
}
