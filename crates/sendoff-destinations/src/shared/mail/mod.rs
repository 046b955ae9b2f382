//! Messages with a result in them: who gets it, what it says, what is attached. The same for every
//! way to send mail.

pub(crate) mod address;
pub(crate) mod base64;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod zip;

use std::sync::Arc;

use sendoff::prelude::*;
use sendoff::{byte_count, protocol::Text};
use serde_json::{Value as Json, json};
use url::Url;

use super::excerpt::Excerpt;
use super::file_options;
use super::template::{self, Facts};
use address::{Mailbox, Mailboxes};
use zip::Zip;

/// A message is read by people: what is longer belongs into the attachment.
const LONGEST_TEXT: usize = 64 * 1024;

/// What can stand in a subject after encoding without any server minding.
const LONGEST_SUBJECT: usize = 500;

/// A longer table is an attachment.
const MOST_ROWS: u32 = 500;

const KNOWN: &str = "{title}, {link}, {rows}, {filename}, {date}, {date:%Y-%m-%d}, {time}, \
                     {plan_id}, {instance}, {format}";

/// Fields to flatten into the form of a destination that sends mail, behind its own.
#[derive(Fields)]
pub(crate) struct Content {
    /// Who gets a copy. Separate addresses with commas.
    #[field(label = "CC")]
    cc: Option<Mailboxes>,
    /// Who gets a copy that the others do not know of.
    #[field(label = "BCC")]
    bcc: Option<Mailboxes>,
    /// Where answers go, if not to the sender.
    reply_to: Option<Mailbox>,
    /// The text of the message. May hold {title}, {link} (to the data in Looker), {rows} (their
    /// number), {filename}, {date}, {date:%d %B %Y}, {time}. Leave it empty for a line with the
    /// link.
    #[field(textarea)]
    message: Option<String>,
    /// How many of the first rows stand as a table in the message, at most 500; for formats that
    /// have rows.
    #[field(label = "Rows In The Message", default = "0")]
    table_rows: u32,
    /// How the data is sent along.
    #[field(default = "file")]
    attach: Attach,
    /// If the file is larger than so many megabytes, the message has the link to Looker in its
    /// place. Leave it empty to fail if it is larger than the mail service takes.
    #[field(label = "Attach Up To (MB)")]
    attach_up_to: Option<u32>,
    /// Whether a picture (PNG) is shown in the message.
    show_image: bool,
    /// Whether a message goes out if the result has no rows.
    #[field(default = "yes")]
    send_if_empty: bool,
}

/// How the data is sent along.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    #[choice(label = "As a file")]
    File,
    #[choice(label = "As a zip archive")]
    Zip,
    #[choice(label = "Not at all")]
    Nothing,
}

/// What each destination's form has at its own place.
pub(crate) struct Head<'a> {
    pub(crate) from: Mailbox,
    pub(crate) to: &'a str,
    pub(crate) subject: Option<&'a str>,
    pub(crate) filename: Option<&'a str>,
}

/// A message, ready to be written in any dialect.
pub(crate) struct Letter {
    pub(crate) from: Mailbox,
    pub(crate) to: Mailboxes,
    pub(crate) cc: Mailboxes,
    pub(crate) bcc: Mailboxes,
    pub(crate) reply_to: Option<Mailbox>,
    /// One line.
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) attachment: Option<Attachment>,
    /// What the placeholders stand for, for templates that the mail service keeps.
    pub(crate) facts: Json,
    /// What the user should know of the message.
    pub(crate) remarks: Vec<String>,
}

/// A file that can be read as often as wanted.
pub(crate) struct Attachment {
    pub(crate) name: String,
    /// A type and a subtype, without anything that would have to be escaped.
    pub(crate) media_type: String,
    /// The message shows it, under this id.
    pub(crate) content_id: Option<&'static str>,
    pub(crate) len: u64,
    open: Arc<dyn Fn() -> ByteStream + Send + Sync>,
}

impl Letter {
    /// Who gets it, in a few words: `ada@example.com and 2 more`.
    pub(crate) fn recipients(&self) -> String {
        let mut all = [&self.to, &self.cc, &self.bcc].into_iter().flat_map(Mailboxes::iter);
        let first = all.next().map(Mailbox::address).unwrap_or_default();
        match all.count() {
            0 => first,
            more => format!("{first} and {more} more"),
        }
    }
}

impl Attachment {
    /// Opens the same file again and again.
    pub(crate) fn opener(&self) -> Arc<dyn Fn() -> ByteStream + Send + Sync> {
        Arc::clone(&self.open)
    }
}

/// What is known of the data once it was looked at.
struct Seen {
    facts: Facts,
    filename: String,
    link: Option<String>,
    excerpt: Option<Excerpt>,
}

impl Content {
    /// Composes the message of a whole result; nothing if there is nothing to send.
    ///
    /// # Errors
    /// A form error at the field that is wrong; Looker's when its data breaks off.
    pub(crate) async fn compose<S>(
        self,
        cx: &Context<S>,
        head: Head<'_>,
        mut data: Payload,
    ) -> Result<Option<Letter>> {
        let (to, cc, bcc) = self.recipients(head.to)?;
        let facts = Facts::of(cx, &data);
        let filename = file_options::target(None, head.filename, &facts)?.name().to_owned();
        let link = cx.plan().and_then(|plan| plan.url.as_ref()).and_then(web_address);
        let media_type = plain_media_type(data.media_type());
        let spooled = data.keep().await?;
        let excerpt = match self.wants_rows(head.subject) && data.has_rows() {
            true => {
                let most = self.table_rows.min(MOST_ROWS) as usize;
                Some(Excerpt::of(data.rows().await?, most).await?)
            }
            false => None,
        };
        if !self.send_if_empty && excerpt.as_ref().is_some_and(|excerpt| excerpt.total == 0) {
            return Ok(None);
        }
        let seen = Seen { facts, filename, link, excerpt };
        let (attachment, remark) = self.attachment(&seen, spooled, media_type).await?;
        let subject = seen.subject(head.subject)?;
        let (text, html) = self.texts(&seen, attachment.as_ref(), remark.as_deref())?;
        let facts = json!({
            "title": seen.title(), "link": seen.link, "filename": seen.filename,
            "rows": seen.excerpt.as_ref().map(|excerpt| excerpt.total),
            "subject": subject, "message": text,
        });
        Ok(Some(Letter {
            from: head.from,
            to,
            cc,
            bcc,
            reply_to: self.reply_to,
            subject,
            text,
            html,
            attachment,
            facts,
            remarks: remark.into_iter().collect(),
        }))
    }

    /// Each mailbox once, in the first list that names it.
    fn recipients(&self, to: &str) -> Result<(Mailboxes, Mailboxes, Mailboxes)> {
        let to = sendoff::Value::parse(to).map_err(|why: String| Error::form("to", why))?;
        let list = |list: &Option<Mailboxes>| list.clone().unwrap_or_default();
        let cc = list(&self.cc).without(&[&to]);
        let bcc = list(&self.bcc).without(&[&to, &cc]);
        Ok((to, cc, bcc))
    }

    fn wants_rows(&self, subject: Option<&str>) -> bool {
        let counts = |text: Option<&str>| text.is_some_and(|text| text.contains("{rows}"));
        self.table_rows > 0
            || !self.send_if_empty
            || counts(subject)
            || counts(self.message.as_deref())
    }

    /// The file, or why there is none.
    async fn attachment(
        &self,
        seen: &Seen,
        data: sendoff::Spooled,
        media_type: String,
    ) -> Result<(Option<Attachment>, Option<String>)> {
        let name = seen.filename.clone();
        let content_id = (self.show_image && media_type == "image/png").then_some("result");
        let attachment = match self.attach {
            Attach::Nothing if content_id.is_none() => return Ok((None, None)),
            Attach::Zip if content_id.is_none() => {
                let zip = Zip::of(data, &name, &seen.facts.now).await?;
                let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
                Attachment {
                    name: format!("{stem}.zip"),
                    media_type: "application/zip".to_owned(),
                    content_id,
                    len: zip.len(),
                    open: Arc::new(move || zip.stream()),
                }
            }
            _ => {
                let len = data.len();
                let open = Arc::new(move || data.stream());
                Attachment { name, media_type, content_id, len, open }
            }
        };
        let most = self.attach_up_to.map(|megabytes| u64::from(megabytes) * 1_000_000);
        if most.is_none_or(|most| attachment.len <= most) {
            return Ok((Some(attachment), None));
        }
        let (name, size) = (&attachment.name, byte_count(attachment.len));
        if seen.link.is_none() {
            return Err(Error::form(
                "attach_up_to",
                format!(
                    "{name} has {size}, which is more than is to be attached, and Looker sent no \
                     link that could stand in its place."
                ),
            ));
        }
        Ok((None, Some(format!("{name} has {size}, so that it is linked and not attached."))))
    }

    /// The message as text and as HTML.
    fn texts(
        &self,
        seen: &Seen,
        attachment: Option<&Attachment>,
        remark: Option<&str>,
    ) -> Result<(String, String)> {
        let mut text = match &self.message {
            Some(message) => {
                template::text(message, LONGEST_TEXT, &seen.facts, KNOWN, &|name| seen.value(name))
                    .map_err(|why| Error::form("message", why))?
            }
            None => {
                let view =
                    seen.link.as_ref().map(|link| format!("View this data in Looker. {link}\n"));
                let attached = attachment.map(|_| "Results are attached.\n");
                format!("{}{}", view.unwrap_or_default(), attached.unwrap_or_default())
            }
        };
        if let Some(remark) = remark {
            text.push_str(&format!("\n{remark}\n"));
            // The user's own text may not have it.
            if let Some(link) = seen.link.as_ref().filter(|link| !text.contains(link.as_str())) {
                text.push_str(&format!("{link}\n"));
            }
        }
        let mut html = paragraphs(&text);
        if let Some(id) = attachment.and_then(|file| file.content_id) {
            html.push_str(&format!(
                "<p><img src=\"cid:{id}\" alt=\"{}\"></p>\n",
                table::escaped(&seen.filename)
            ));
        }
        if let Some(excerpt) = seen.excerpt.as_ref().filter(|_| self.table_rows > 0) {
            text.push('\n');
            table::text(excerpt, &mut text);
            table::html(excerpt, &mut html);
        }
        // Neither part of a message may be empty.
        if text.trim().is_empty() {
            text = seen.title();
            html = paragraphs(&text);
        }
        Ok((text, html))
    }
}

impl Seen {
    fn title(&self) -> String {
        self.facts.title.clone().filter(|title| !title.trim().is_empty()).unwrap_or("Looker".into())
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

    fn subject(&self, template: Option<&str>) -> Result<String> {
        let subject = match template {
            Some(template) => {
                let value = |name: &str| self.value(name);
                template::text(template, LONGEST_TEXT, &self.facts, KNOWN, &value)
                    .map_err(|why| Error::form("subject", why))?
            }
            None => self.title(),
        };
        Ok(one_line(&subject))
    }
}

/// Without line ends and what else no header may hold.
fn one_line(text: &str) -> String {
    let kept =
        text.chars().map(|c| if c.is_control() || template::is_disguise(c) { ' ' } else { c });
    let line: String = kept.take(LONGEST_SUBJECT).collect();
    line.trim().to_owned()
}

/// The plan's address in Looker, if it is one that a browser opens.
fn web_address(text: &Text) -> Option<String> {
    let url = Url::parse(text.as_str()).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.to_string())
}

/// `text/csv`; what has parameters or is no media type becomes the type for any bytes.
fn plain_media_type(media_type: &str) -> String {
    let bare = media_type.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    match bare.split_once('/') {
        Some((kind, sub)) if token(kind) && token(sub) => bare.to_owned(),
        _ => "application/octet-stream".to_owned(),
    }
}

/// Text as HTML: empty lines part paragraphs, and addresses become links.
fn paragraphs(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 64);
    for paragraph in text.replace("\r\n", "\n").split("\n\n") {
        let paragraph = paragraph.trim_matches('\n');
        if paragraph.trim().is_empty() {
            continue;
        }
        html.push_str("<p>");
        for (n, line) in paragraph.lines().enumerate() {
            if n > 0 {
                html.push_str("<br>\n");
            }
            for word in line.split_inclusive(' ') {
                linked(word, &mut html);
            }
        }
        html.push_str("</p>\n");
    }
    html
}

fn linked(word: &str, html: &mut String) {
    let bare = word.trim_end_matches([' ', '.', ',', ')', ';', '!']);
    let is_link = bare.starts_with("https://") || bare.starts_with("http://");
    if !is_link {
        return html.push_str(&table::escaped(word));
    }
    let (link, rest) = word.split_at(bare.len());
    let link = table::escaped(link);
    html.push_str(&format!("<a href=\"{link}\">{link}</a>{}", table::escaped(rest)));
}
