//! What a message says of a result: texts with placeholders, the link to Looker, the first rows.

use sendoff::prelude::*;
use sendoff::protocol::Text;
use sendoff::{Row, Spooled};
use url::Url;

use super::excerpt::Excerpt;
use super::file_options;
use super::template::{self, Facts};

/// A longer table is an attachment.
const MOST_ROWS: u32 = 500;

/// A text that people read is no longer, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// A line, in characters.
const LONGEST_LINE: usize = 500;

/// What is known of a result once it was looked at.
pub(crate) struct Wording {
    facts: Facts,
    filename: String,
    link: Option<String>,
    excerpt: Option<Excerpt>,
}

/// What a destination needs to know of the rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// The file's name, if the user chose one.
    pub(crate) filename: Option<&'a str>,
    /// How many rows a table shows.
    pub(crate) rows: u32,
    /// Their number alone.
    pub(crate) count: bool,
}

impl Wording {
    /// Waits for the data and looks into it as far as is wanted. `data` can still be opened.
    ///
    /// # Errors
    /// Looker's when its data breaks off; a form error for the file's name.
    pub(crate) async fn of<S>(
        cx: &Context<S>,
        data: &mut Payload,
        wanted: Wanted<'_>,
    ) -> Result<(Self, Spooled)> {
        let mut wording = Self::before(cx, data, wanted.filename)?;
        let spooled = data.keep().await?;
        if (wanted.rows > 0 || wanted.count) && data.has_rows() {
            // Opened a second time: what was kept is not used up.
            let rows = data.reopen(&spooled).rows().await?;
            let most = wanted.rows.min(MOST_ROWS) as usize;
            wording.excerpt = Some(Excerpt::of(rows, most).await?);
        }
        Ok((wording, spooled))
    }

    /// What is known before the data was looked at: for destinations that read it row by row.
    ///
    /// # Errors
    /// A form error for the file's name.
    pub(crate) fn before<S>(
        cx: &Context<S>,
        data: &Payload,
        filename: Option<&str>,
    ) -> Result<Self> {
        let facts = Facts::of(cx, data);
        let filename = file_options::target(None, filename, &facts)?.name().to_owned();
        let link = cx.plan().and_then(|plan| plan.url.as_ref()).and_then(web_address);
        Ok(Self { facts, filename, link, excerpt: None })
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn filename(&self) -> &str {
        &self.filename
    }

    /// Where the data stands in Looker.
    pub(crate) fn link(&self) -> Option<&str> {
        self.link.as_deref()
    }

    /// The first rows, if they were wanted and the format has any.
    pub(crate) fn excerpt(&self) -> Option<&Excerpt> {
        self.excerpt.as_ref()
    }

    /// Whether it is certain that the result has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.excerpt.as_ref().is_some_and(|excerpt| excerpt.total == 0)
    }

    /// The schedule's title.
    pub(crate) fn title(&self) -> String {
        let title = self.facts.title.clone().filter(|title| !title.trim().is_empty());
        title.unwrap_or_else(|| "Looker".to_owned())
    }

    /// `template` with its placeholders replaced. What is none stays as it is: people write braces
    /// in texts.
    ///
    /// # Errors
    /// A form error at `field` when it becomes too long.
    pub(crate) fn text(&self, field: &'static str, template: &str) -> Result<String> {
        self.text_of(field, template, None)
    }

    /// As [`text`](Self::text), where the names and labels of columns stand for the row's values.
    ///
    /// # Errors
    /// As [`text`](Self::text); with a row, in words that read behind the row's number.
    pub(crate) fn text_of(
        &self,
        field: &'static str,
        template: &str,
        row: Option<&Row>,
    ) -> Result<String> {
        let value = |name: &str| row.and_then(|row| cell(row, name)).or_else(|| self.value(name));
        template::text(template, LONGEST_TEXT, &self.facts, &value).map_err(|why| match row {
            Some(_) => Error::form(field, format!("{field}: {why}")),
            None => Error::form(field, why),
        })
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "title" => Some(self.title()),
            "link" => Some(self.link.clone().unwrap_or_default()),
            "filename" => Some(self.filename.clone()),
            "rows" => {
                let rows = self.excerpt.as_ref().map(|excerpt| excerpt.total.to_string());
                Some(rows.unwrap_or_default())
            }
            _ => None,
        }
    }
}

/// Whether a text asks for the number of rows.
pub(crate) fn counts(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.contains("{rows}"))
}

/// The value of the column with this name or label.
fn cell(row: &Row, name: &str) -> Option<String> {
    let column = row
        .columns()
        .by_name(name)
        .or_else(|| row.columns().iter().find(|column| column.label == name))?;
    Some(row.get(column).display().to_owned())
}

/// A text without line ends and what else no header may hold.
pub(crate) fn one_line(text: &str) -> String {
    let kept =
        text.chars().map(|c| if c.is_control() || template::is_disguise(c) { ' ' } else { c });
    let line: String = kept.take(LONGEST_LINE).collect();
    line.trim().to_owned()
}

/// The plan's address in Looker, if it is one that a browser opens.
fn web_address(text: &Text) -> Option<String> {
    let url = Url::parse(text.as_str()).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.to_string())
}

#[cfg(test)]
impl Wording {
    /// The wording of a result that no delivery brought.
    pub(crate) async fn for_test(rows: &str, most: usize) -> Self {
        let now = "2026-11-25T13:05:09Z".parse::<jiff::Timestamp>().expect("a time");
        let bytes = bytes::Bytes::from(rows.to_owned());
        let stream = ByteStream::new(futures_util::stream::once(std::future::ready(Ok(bytes))));
        let rows = sendoff::testing::json_rows(stream).await.expect("rows");
        Self {
            facts: Facts {
                title: Some("Orders <Q4> & more".into()),
                plan_id: Some("88".into()),
                instance: None,
                format: Some("csv"),
                extension: Some("csv".into()),
                now: now.to_zoned(jiff::tz::TimeZone::UTC),
                uuid: uuid::Uuid::from_u128(7),
            },
            filename: "orders.csv".into(),
            link: Some("https://looker.example/looks/1?a=1&b=2".into()),
            excerpt: Some(Excerpt::of(rows, most).await.expect("rows")),
        }
    }

    pub(crate) fn without_link(mut self) -> Self {
        self.link = None;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn placeholders_stand_for_what_looker_says() {
        let wording = Wording::for_test(r#"[{"a":1},{"a":2},{"a":3}]"#, 2).await;
        let text = |template: &str| wording.text("x", template).unwrap();
        assert_eq!(
            text("{title}: {rows} rows of {date:%d.%m.%Y} in {filename}, {link}"),
            "Orders <Q4> & more: 3 rows of 25.11.2026 in orders.csv, \
             https://looker.example/looks/1?a=1&b=2"
        );
        // Jira's markup, JSON, and a brace on its own.
        for same in ["{code}x{{code}}", "{\"a\": {}}", "a { b", "}", "{date:%!}", "{nobody}", "{"] {
            assert_eq!(text(same), same);
        }
        assert_eq!(text("{{plan_id}}"), "{88}");
        let error = wording.text("x", &"{link}".repeat(9_000)).unwrap_err();
        assert_eq!(error.field_name(), Some("x"));
    }

    #[tokio::test]
    async fn columns_are_placeholders_of_their_row() {
        let bytes = bytes::Bytes::from(
            r#"{"fields":{"dimensions":[{"name":"u.mail","label":"Users Mail"}]},"data":[{"u.mail":{"value":"a@x.example"}}]}"#,
        );
        let stream = ByteStream::new(futures_util::stream::once(std::future::ready(Ok(bytes))));
        let row = sendoff::testing::json_rows(stream).await.unwrap().next().await.unwrap().unwrap();
        let wording = Wording::for_test("[]", 0).await;
        let text = wording.text_of("to", "{u.mail} {Users Mail} {u.name} {title}", Some(&row));
        assert_eq!(text.unwrap(), "a@x.example a@x.example {u.name} Orders <Q4> & more");
    }

    #[tokio::test]
    async fn a_value_that_is_too_long_is_an_error_and_not_its_placeholder() {
        let long = "x".repeat(LONGEST_TEXT);
        let rows = format!(r#"[{{"o.note":"{long}"}}]"#);
        let stream =
            ByteStream::new(futures_util::stream::once(std::future::ready(Ok(rows.into()))));
        let row = sendoff::testing::json_rows(stream).await.unwrap().next().await.unwrap().unwrap();
        let wording = Wording::for_test("[]", 0).await;
        let text = |template| wording.text_of("description", template, Some(&row));
        assert_eq!(text("{o.note}").unwrap(), long);
        let error = text("N: {o.note}").unwrap_err();
        assert_eq!(error.message(), "description: It becomes longer than 65536 bytes.");
        // So is a placeholder of everybody's that has no room left.
        let error = text("{o.note}{date}").unwrap_err();
        assert_eq!(error.field_name(), Some("description"));
    }

    #[test]
    fn lines_hold_no_line_ends() {
        assert_eq!(one_line("a\r\nBcc: b@x.example\u{202e}"), "a  Bcc: b@x.example");
        assert_eq!(one_line(&"ü".repeat(900)).chars().count(), LONGEST_LINE);
    }

    #[test]
    fn only_web_addresses_are_links() {
        let address = |text: &str| web_address(&Text(text.to_owned()));
        assert_eq!(address("javascript:alert(1)"), None);
        assert_eq!(address("not a url"), None);
        assert_eq!(address("https://a.example/\"x").as_deref(), Some("https://a.example/%22x"));
    }
}
