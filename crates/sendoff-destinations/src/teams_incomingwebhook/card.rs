//! An adaptive card, cut to what Teams takes.
//!
//! <https://adaptivecards.io/explorer/> and
//! <https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>

use sendoff::{Error, Result, ScheduledPlan};
use serde_json::{Value as Json, json};

use crate::shared::excerpt::Excerpt;

/// Teams takes messages of 28 KB; the workflow adds something of its own.
/// <https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook>
pub(super) const LARGEST: usize = 27 * 1024;

/// What the card says.
pub(super) struct Card {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) table: Option<Excerpt>,
    pub(super) link: Option<String>,
}

/// Type, title, model and view, as far as Looker says them.
pub(super) fn facts(plan: Option<&ScheduledPlan>) -> Vec<(&'static str, String)> {
    let query = plan.and_then(|plan| plan.query.as_ref());
    let all = [
        ("Type :", plan.and_then(|plan| plan.kind.as_ref())),
        ("Title :", plan.and_then(|plan| plan.title.as_ref())),
        ("Model :", query.and_then(|query| query.model.as_ref())),
        ("View :", query.and_then(|query| query.view.as_ref())),
    ];
    all.into_iter().filter_map(|(name, text)| Some((name, text?.to_string()))).collect()
}

impl Card {
    /// The message, with as many rows as fit into so many bytes; the others are left out.
    ///
    /// # Errors
    /// A form error when it is too large without any row.
    pub(super) fn fitted(&mut self, most: usize) -> Result<String> {
        loop {
            let message = self.message().to_string();
            if message.len() <= most {
                return Ok(message);
            }
            let shortened =
                self.table.as_mut().is_some_and(|table| table.shorten(message.len(), most));
            if !shortened {
                return Err(Error::form(
                    "text",
                    "Teams takes no message of more than 28 KB. Shorten the text.",
                ));
            }
        }
    }

    fn message(&self) -> Json {
        let block = |text: &str| json!({ "type": "TextBlock", "text": text, "wrap": true });
        let mut title = block(&self.title);
        title["size"] = json!("Large");
        title["weight"] = json!("Bolder");
        let mut body = vec![title];
        if !self.text.trim().is_empty() {
            // Markdown: a line end alone is none.
            body.push(block(&self.text.replace("\r\n", "\n").replace('\n', "\n\n")));
        }
        if !self.facts.is_empty() {
            let facts =
                self.facts.iter().map(|(name, value)| json!({ "title": name, "value": value }));
            body.push(json!({ "type": "FactSet", "facts": facts.collect::<Vec<_>>() }));
        }
        if let Some(table) = &self.table {
            body.extend(rows(table));
            let mut caption = block(&table.caption());
            caption["isSubtle"] = json!(true);
            body.push(caption);
        }
        let mut card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            // The first with tables.
            "version": "1.5",
            "msteams": { "width": "Full" },
            "body": body,
        });
        if let Some(link) = &self.link {
            let open = json!({ "type": "Action.OpenUrl", "title": "View in Looker", "url": link });
            card["actions"] = json!([open]);
        }
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": card,
            }],
        })
    }
}

fn rows(table: &Excerpt) -> Option<Json> {
    let cell = |text: &String| {
        json!({
            "type": "TableCell",
            "items": [{ "type": "TextBlock", "text": plain(text), "wrap": true }],
        })
    };
    let row = |cells: &[String]| json!({ "type": "TableRow", "cells": cells.iter().map(cell).collect::<Vec<_>>() });
    let mut all = vec![row(&table.columns)];
    all.extend(table.rows.iter().map(|cells| row(cells)));
    let columns = vec![json!({ "width": 1 }); table.columns.len()];
    (!table.rows.is_empty()).then(
        || json!({ "type": "Table", "firstRowAsHeader": true, "columns": columns, "rows": all }),
    )
}

/// A value of the data, without what Markdown would make of it.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\*_[]~`#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::wording::Wording;

    async fn card(rows: usize) -> Card {
        let rows: Vec<_> = (0..rows).map(|n| format!(r#"{{"a":"[{n}](x)"}}"#)).collect();
        let wording = Wording::for_test(&format!("[{}]", rows.join(",")), 5_000).await;
        Card {
            title: "Title".into(),
            text: "one\ntwo".into(),
            facts: vec![("Type :", "Look".into())],
            table: wording.excerpt().cloned(),
            link: Some("https://looker.example/".into()),
        }
    }

    #[tokio::test]
    async fn the_card_has_text_facts_rows_and_a_link() {
        let message: Json = serde_json::from_str(&card(2).await.fitted(LARGEST).unwrap()).unwrap();
        let content = &message["attachments"][0]["content"];
        assert_eq!(content["type"], "AdaptiveCard");
        assert_eq!(content["body"][1]["text"], "one\n\ntwo");
        assert_eq!(content["body"][2]["facts"][0], json!({ "title": "Type :", "value": "Look" }));
        let rows = &content["body"][3]["rows"];
        assert_eq!(rows[1]["cells"][0]["items"][0]["text"], "\\[0\\](x)");
        assert_eq!(content["body"][4]["text"], "2 rows.");
        assert_eq!(content["actions"][0]["url"], "https://looker.example/");
    }

    #[tokio::test]
    async fn rows_that_do_not_fit_are_left_out_and_counted() {
        let message = card(3_000).await.fitted(LARGEST).unwrap();
        assert!((20_000..=LARGEST).contains(&message.len()), "{}", message.len());
        assert!(message.contains(" of 3000 rows."));
        let mut long = card(1).await;
        long.text = "x".repeat(30_000);
        assert_eq!(long.fitted(LARGEST).unwrap_err().field_name(), Some("text"));
    }
}
