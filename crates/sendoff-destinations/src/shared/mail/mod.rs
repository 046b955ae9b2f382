//! Messages with a result in them: who gets it, what it says, what is attached. The same for every
//! way to send mail.

pub(crate) mod address;
pub(crate) mod base64;
mod rows;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod zip;

use std::sync::Arc;

use sendoff::byte_count;
use sendoff::pipeline::OnRefusal;
use sendoff::prelude::*;
use serde_json::{Value as Json, json};

use super::wording::{Wanted, Wording, counts, one_line};
use address::{Mailbox, Mailboxes};
use zip::Zip;

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
    /// Each row becomes a message of its own, without a file. The names of columns then stand for
    /// the row's values in To, Subject and Message: {users.email}. A table in the message shows the
    /// row.
    #[field(label = "One Message For Each Row")]
    per_row: bool,
    #[field(flatten)]
    on_refusal: OnRefusal,
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
        let mut all = self.everybody();
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

impl Content {
    /// Composes the message of a whole result; nothing if there is nothing to send.
    ///
    /// # Errors
    /// A form error at the field that is wrong; Looker's when its data breaks off.
    pub(crate) async fn compose<S>(
        &self,
        cx: &Context<S>,
        head: Head<'_>,
        mut data: Payload,
    ) -> Result<Option<Letter>> {
        let (to, cc, bcc) = self.recipients(head.to)?;
        let media_type = plain_media_type(data.media_type());
        let count = !self.send_if_empty || counts(head.subject) || counts(self.message.as_deref());
        let wanted = Wanted { filename: head.filename, rows: self.table_rows, count };
        let (wording, spooled) = Wording::of(cx, &mut data, wanted).await?;
        if !self.send_if_empty && wording.is_empty() {
            return Ok(None);
        }
        let (attachment, remark) = self.attachment(&wording, spooled, media_type).await?;
        let subject = match head.subject {
            Some(template) => wording.text("subject", template)?,
            None => wording.title(),
        };
        let subject = one_line(&subject);
        let (text, html) = self.texts(&wording, attachment.as_ref(), remark.as_deref())?;
        let facts = json!({
            "title": wording.title(), "link": wording.link(), "filename": wording.filename(),
            "rows": wording.excerpt().map(|excerpt| excerpt.total),
            "subject": subject, "message": text,
        });
        Ok(Some(Letter {
            from: head.from,
            to,
            cc,
            bcc,
            reply_to: self.reply_to.clone(),
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

    /// The file, or why there is none.
    async fn attachment(
        &self,
        wording: &Wording,
        data: sendoff::Spooled,
        media_type: String,
    ) -> Result<(Option<Attachment>, Option<String>)> {
        let name = wording.filename().to_owned();
        let content_id = (self.show_image && media_type == "image/png").then_some("result");
        let attachment = match self.attach {
            Attach::Nothing if content_id.is_none() => return Ok((None, None)),
            Attach::Zip if content_id.is_none() => {
                let zip = Zip::of(data, &name, &wording.facts().now).await?;
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
        if wording.link().is_none() {
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
        wording: &Wording,
        attachment: Option<&Attachment>,
        remark: Option<&str>,
    ) -> Result<(String, String)> {
        let mut text = match &self.message {
            Some(message) => wording.text("message", message)?,
            None => {
                let view = wording.link().map(|link| format!("View this data in Looker. {link}\n"));
                let attached = attachment.map(|_| "Results are attached.\n");
                format!("{}{}", view.unwrap_or_default(), attached.unwrap_or_default())
            }
        };
        if let Some(remark) = remark {
            text.push_str(&format!("\n{remark}\n"));
            // The user's own text may not have it.
            if let Some(link) = wording.link().filter(|link| !text.contains(link)) {
                text.push_str(&format!("{link}\n"));
            }
        }
        let mut html = paragraphs(&text);
        if let Some(id) = attachment.and_then(|file| file.content_id) {
            html.push_str(&format!(
                "<p><img src=\"cid:{id}\" alt=\"{}\"></p>\n",
                table::escaped(wording.filename())
            ));
        }
        if let Some(excerpt) = wording.excerpt().filter(|_| self.table_rows > 0) {
            text.truncate(text.trim_end().len());
            text.push_str("\n\n");
            table::text(excerpt, &mut text);
            table::html(excerpt, &mut html);
        }
        // Neither part of a message may be empty.
        if text.trim().is_empty() {
            text = wording.title();
            html = paragraphs(&text);
        }
        Ok((text, html))
    }
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
