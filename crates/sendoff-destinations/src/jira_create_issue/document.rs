//! A description as each Jira wants it: Atlassian Document Format (Cloud) or wiki markup.

use serde_json::{Value as Json, json};

use crate::shared::excerpt::Excerpt;

/// Jira refuses longer texts. <https://support.atlassian.com/jira/kb/character-limit-for-text-fields/>
const LONGEST: usize = 32_000;

/// A description: the user's text, the link to Looker, perhaps the first rows.
pub(super) struct Description<'a> {
    pub(super) text: &'a str,
    pub(super) link: Option<&'a str>,
    pub(super) table: Option<Excerpt>,
}

impl Description<'_> {
    /// For Jira Cloud. Rows that make it too long are left out.
    pub(super) fn document(mut self) -> Json {
        loop {
            let mut blocks: Vec<Json> =
                self.text.replace("\r\n", "\n").split("\n\n").filter_map(paragraph).collect();
            if let Some(link) = self.link {
                blocks.push(
                    json!({ "type": "paragraph", "content": [text("Looker URL: "), linked(link)] }),
                );
            }
            if let Some(table) = &self.table {
                blocks.extend(rows(table));
                blocks.extend(paragraph(&table.caption()));
            }
            let document = json!({ "type": "doc", "version": 1, "content": blocks });
            if !self.is_too_long(document.to_string().len()) {
                return document;
            }
        }
    }

    /// For Jira Server and Data Center.
    pub(super) fn markup(mut self) -> Json {
        loop {
            let mut markup = self.text.to_owned();
            if let Some(link) = self.link {
                markup.push_str(&format!("\nLooker URL: {link}"));
            }
            if let Some(table) = &self.table {
                markup.push_str("\n\n");
                for (n, row) in [&table.columns].into_iter().chain(&table.rows).enumerate() {
                    let bar = if n == 0 { "||" } else { "|" };
                    row.iter().for_each(|cell| markup.push_str(&format!("{bar}{}", escaped(cell))));
                    markup.push_str(&format!("{bar}\n"));
                }
                markup.push_str(&table.caption());
            }
            if !self.is_too_long(markup.chars().count()) {
                return markup.into();
            }
        }
    }

    /// Whether `length` is too much; then rows are left out, for another try.
    fn is_too_long(&mut self, length: usize) -> bool {
        length > LONGEST && self.table.as_mut().is_some_and(|table| table.shorten(length, LONGEST))
    }
}

/// Jira refuses empty texts.
fn text(text: &str) -> Json {
    json!({ "type": "text", "text": text })
}

fn linked(link: &str) -> Json {
    json!({
        "type": "text", "text": link,
        "marks": [{ "type": "link", "attrs": { "href": link } }],
    })
}

fn paragraph(lines: &str) -> Option<Json> {
    let mut content = Vec::new();
    for line in lines.trim_matches('\n').lines() {
        if !content.is_empty() {
            content.push(json!({ "type": "hardBreak" }));
        }
        words(line, &mut content);
    }
    (!content.is_empty()).then(|| json!({ "type": "paragraph", "content": content }))
}

/// A line, its addresses as links.
fn words(line: &str, content: &mut Vec<Json>) {
    let mut plain = String::new();
    for word in line.split_inclusive(' ') {
        let bare = word.trim_end_matches([' ', '.', ',', ')', ';', '!']);
        if bare.starts_with("https://") || bare.starts_with("http://") {
            if !plain.is_empty() {
                content.push(text(&std::mem::take(&mut plain)));
            }
            content.push(linked(bare));
            plain.push_str(&word[bare.len()..]);
        } else {
            plain.push_str(word);
        }
    }
    if !plain.is_empty() {
        content.push(text(&plain));
    }
}

fn rows(table: &Excerpt) -> Option<Json> {
    let cell = |kind: &str, words: &String| {
        let content: Vec<_> =
            Some(words).filter(|words| !words.is_empty()).map(|w| text(w)).into_iter().collect();
        json!({ "type": kind, "content": [{ "type": "paragraph", "content": content }] })
    };
    let row = |kind: &str, cells: &[String]| {
        let cells: Vec<_> = cells.iter().map(|words| cell(kind, words)).collect();
        json!({ "type": "tableRow", "content": cells })
    };
    let mut all = vec![row("tableHeader", &table.columns)];
    all.extend(table.rows.iter().map(|cells| row("tableCell", cells)));
    (!table.rows.is_empty()).then(|| json!({ "type": "table", "content": all }))
}

/// Without meaning in wiki markup. An empty cell would end the row.
fn escaped(cell: &str) -> String {
    if cell.is_empty() {
        return " ".to_owned();
    }
    let mut out = String::with_capacity(cell.len());
    for c in cell.chars() {
        if "\\|{}[]*_-+^~!".contains(c) {
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

    async fn table(rows: usize) -> Excerpt {
        let rows: Vec<_> = (0..rows).map(|n| format!(r#"{{"a":"<{n}>","b":""}}"#)).collect();
        let wording = Wording::for_test(&format!("[{}]", rows.join(",")), 5_000).await;
        wording.excerpt().unwrap().clone()
    }

    #[tokio::test]
    async fn a_document_has_no_empty_text() {
        let table = Some(table(2).await);
        let text = "Hello\nsee https://x.example/?a=1.\n\n\nBye";
        let json = Description { text, link: Some("https://l.example/"), table }.document();
        assert_eq!(
            json["content"][0],
            json!({ "type": "paragraph", "content": [
                { "type": "text", "text": "Hello" },
                { "type": "hardBreak" },
                { "type": "text", "text": "see " },
                { "type": "text", "text": "https://x.example/?a=1",
                  "marks": [{ "type": "link", "attrs": { "href": "https://x.example/?a=1" } }] },
                { "type": "text", "text": "." },
            ]})
        );
        assert_eq!(json["content"][1]["content"][0]["text"], "Bye");
        assert_eq!(
            json["content"][2]["content"][1]["marks"][0]["attrs"]["href"],
            "https://l.example/"
        );
        let rows = &json["content"][3]["content"];
        assert_eq!(rows[0]["content"][0]["type"], "tableHeader");
        assert_eq!(rows[2]["content"][0]["content"][0]["content"][0]["text"], "<1>");
        assert_eq!(rows[2]["content"][1]["content"][0]["content"], json!([]));
        assert_eq!(json["content"][4]["content"][0]["text"], "2 rows.");
    }

    #[tokio::test]
    async fn rows_that_are_too_much_are_left_out_and_counted() {
        for cloud in [true, false] {
            let all = table(5_000).await;
            let description = Description { text: "x", link: None, table: Some(all) };
            let json = if cloud { description.document() } else { description.markup() };
            let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            assert!((20_000..=LONGEST).contains(&text.len()), "{}", text.len());
            assert!(text.contains(" of 5000 rows."), "{text}");
        }
    }

    #[tokio::test]
    async fn markup_is_escaped_in_cells_alone() {
        let rows = r#"[{"a":"x|y","b":""}]"#;
        let wording = Wording::for_test(rows, 9).await;
        let table = wording.excerpt().cloned();
        let markup =
            Description { text: "*bold*", link: Some("https://l.example/"), table }.markup();
        assert_eq!(markup, "*bold*\nLooker URL: https://l.example/\n\n||a||b||\n|x\\|y| |\n1 row.");
    }
}
