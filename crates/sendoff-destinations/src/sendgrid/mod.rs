//! SendGrid: the result in an e-mail, as an attachment or as a table.

#[cfg(feature = "fakes")]
mod fake;
mod rows;

use bytes::Bytes;
use sendoff::prelude::*;
use sendoff::{Body, Commit, Redactor, Repeatable, Reply, byte_count};
use serde_json::{Value as Json, json};

use crate::Difference;
use crate::shared::hook::upload::wrapped;
use crate::shared::mail::address::{Mailbox, Mailboxes};
use crate::shared::mail::base64::{Form as Base64, encoded};
use crate::shared::mail::{Attachment, Content, Head, Letter};

#[cfg(feature = "fakes")]
pub(crate) use fake::{fake, of_rows};

/// Sends mail by SendGrid's API.
pub(crate) struct SendGrid;

#[derive(Fields)]
pub(crate) struct Settings {
    /// API key for SendGrid from https://app.sendgrid.com/settings/api_keys.
    #[field(label = "SendGrid API Key")]
    sendgrid_api_key: Secret,
    /// The sender of messages whose form names none, such as Looker <looker@example.com>. SendGrid
    /// sends only for senders and domains that you verified there.
    default_from: Option<Mailbox>,
    /// Where the account's data is kept. Keys of EU subusers work only there.
    #[field(default = "global")]
    region: Region,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    Global,
    #[choice(label = "EU")]
    Eu,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// e.g. test@example.com. Separate several addresses with commas.
    #[field(label = "To Email Address")]
    to: String,
    /// e.g. test@example.com. It must be verified at SendGrid.
    #[field(label = "From Email Address")]
    from: Option<Mailbox>,
    /// The name of the attached file; {title}, {date} and the like may stand in it. The extension
    /// is added if there is none.
    filename: Option<String>,
    /// Leave it empty for the title. The placeholders of the message may stand here too.
    subject: Option<String>,
    #[field(flatten)]
    content: Content,
    /// The id of a dynamic template at SendGrid, d-…. It gets title, link, rows, filename, subject
    /// and message, and takes the place of the message's own look. For each row it gets title, link,
    /// subject, message and the row's values: {{users.email}}.
    template_id: Option<String>,
    /// SendGrid checks the message and sends nothing.
    check_only: bool,
}

/// "The total size of your email, including attachments, must be less than 30MB."
/// <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/limitations>
const LARGEST: u64 = 30_000_000;

/// Of to, cc and bcc together (same page).
const MOST_RECIPIENTS: usize = 1_000;

/// Who sent at the reference hub when nobody was named: SendGrid refuses it unless its domain is
/// verified in the account.
const REFERENCES_SENDER: &str = "Looker <noreply@lookermail.com>";

/// Where the reference hub's behaviour is a known fault.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "Text formats are attached as they are where SendGrid wants base64, so that a CSV is refused or garbled.",
        ours: "Every attachment is base64, with its media type.",
        switch: None,
    },
    Difference {
        reference: "A list of addresses becomes one address.",
        ours: "Lists are split, names are kept, and an address that is named twice gets one message.",
        switch: None,
    },
    Difference {
        reference: "Messages without a sender come from noreply@lookermail.com, which SendGrid refuses.",
        ours: "The admin names a default sender; without one the old one is tried, and the refusal says what to do.",
        switch: Some("default_from"),
    },
    Difference {
        reference: "The name that is entered gets no extension.",
        ours: "It is added if there is none.",
        switch: None,
    },
    Difference {
        reference: "The link to Looker stands in the HTML as it is.",
        ours: "It is escaped.",
        switch: None,
    },
    Difference {
        reference: "Of a refusal the status alone is told.",
        ours: "SendGrid's own words are.",
        switch: None,
    },
];

impl Action for SendGrid {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("sendgrid", "SendGrid")
        .description("Send data files to an email via SendGrid.")
        .accepts(&[Query, Dashboard])
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.twilio.com/docs/sendgrid/api-reference/mail-send")
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let from = match form.from.clone().or_else(|| cx.settings.default_from.clone()) {
            Some(from) => from,
            None => sendoff::Value::parse(REFERENCES_SENDER).map_err(Error::hub)?,
        };
        let head = Head {
            from,
            to: &form.to,
            subject: form.subject.as_deref(),
            filename: form.filename.as_deref(),
        };
        if form.content.is_per_row() {
            return rows::deliver(cx, &form, head, data).await;
        }
        let Some(letter) = form.content.compose(cx, head, data).await? else {
            return Ok(Receipt::new("SendGrid").says(
                "The result has no rows, so that no message was sent, as the form asks for.",
            ));
        };
        let body = Body::again(request(&letter, form.template_id.as_deref(), form.check_only)?);
        let url = format!("{}/v3/mail/send", cx.settings.region.origin());
        let call = cx.http().post(url).bearer(&cx.settings.sendgrid_api_key);
        let reply = call.header("Content-Type", "application/json").body(body).send().await?;
        confirmed(reply, form.check_only, &cx.settings.sendgrid_api_key)
            .await
            .map_err(|fault| explain(fault, &letter))
            .map(|id| receipt(&letter, id, form.check_only))
    }
}

impl Region {
    fn origin(self) -> &'static str {
        match self {
            Self::Global => "https://api.sendgrid.com",
            Self::Eu => "https://api.eu.sendgrid.com",
        }
    }
}

/// What opens the request's body, as often as it is sent.
fn request(
    letter: &Letter,
    template: Option<&str>,
    check_only: bool,
) -> Result<impl Fn() -> ByteStream + Send + Sync + 'static> {
    let recipients = letter.to.len() + letter.cc.len() + letter.bcc.len();
    if recipients > MOST_RECIPIENTS {
        return Err(Error::form(
            "to",
            format!("{recipients} recipients are named, and SendGrid takes {MOST_RECIPIENTS}."),
        ));
    }
    let mut before = message(letter, template, check_only).to_string();
    let mut after = "";
    if let Some(file) = &letter.attachment {
        // The brace is put back behind the file, which flows in between.
        before.pop();
        before.push_str(",\"attachments\":[");
        let mut about = about(file).to_string();
        about.pop();
        before.push_str(&about);
        before.push_str(",\"content\":\"");
        after = "\"}]}";
    }
    let (before, after) = (Bytes::from(before), Bytes::from_static(after.as_bytes()));
    let file = letter.attachment.as_ref().map(Attachment::opener);
    let file_len = letter.attachment.as_ref().map_or(0, |file| Base64::Run.length(file.len));
    let len = (before.len() + after.len()) as u64 + file_len;
    if len > LARGEST {
        return Err(too_large(letter, len));
    }
    Ok(move || {
        let file = match &file {
            Some(open) => encoded(open(), Base64::Run),
            None => ByteStream::new(futures_util::stream::empty()).with_len(0),
        };
        wrapped(&before, &after, file)
    })
}

fn too_large(letter: &Letter, len: u64) -> Error {
    let file = letter.attachment.as_ref().map_or(0, |file| file.len);
    Error::form(
        "attach",
        format!(
            "The message with the attachment ({}) becomes {} as SendGrid wants it, and SendGrid \
             takes less than 30 MB. Send less data, attach a zip archive, or set \"Attach Up To \
             (MB)\" to 22, so that larger files are linked.",
            byte_count(file),
            byte_count(len)
        ),
    )
}

/// The request without the file.
fn message(letter: &Letter, template: Option<&str>, check_only: bool) -> Json {
    let list = |list: &Mailboxes| list.iter().map(mailbox).collect::<Json>();
    let mut to = json!({ "to": list(&letter.to) });
    for (name, others) in [("cc", &letter.cc), ("bcc", &letter.bcc)] {
        if !others.is_empty() {
            to[name] = list(others);
        }
    }
    let mut message = json!({ "from": mailbox(&letter.from) });
    if let Some(reply_to) = &letter.reply_to {
        message["reply_to"] = mailbox(reply_to);
    }
    match template.map(str::trim).filter(|id| !id.is_empty()) {
        // Subject and text are the template's.
        Some(id) => {
            to["dynamic_template_data"] = letter.facts.clone();
            message["template_id"] = json!(id);
        }
        None => {
            message["subject"] = json!(letter.subject);
            // Plain text must come first.
            message["content"] = json!([
                { "type": "text/plain", "value": letter.text },
                { "type": "text/html", "value": letter.html },
            ]);
        }
    }
    if check_only {
        message["mail_settings"] = json!({ "sandbox_mode": { "enable": true } });
    }
    message["personalizations"] = json!([to]);
    message
}

fn mailbox(mailbox: &Mailbox) -> Json {
    match mailbox.name() {
        Some(name) => json!({ "email": mailbox.address(), "name": name }),
        None => json!({ "email": mailbox.address() }),
    }
}

fn about(file: &Attachment) -> Json {
    let mut about = json!({ "filename": file.name, "type": file.media_type });
    about["disposition"] = json!(if file.content_id.is_some() { "inline" } else { "attachment" });
    if let Some(id) = file.content_id {
        about["content_id"] = json!(id);
    }
    about
}

/// The message's id, once SendGrid said that it has it: 202, and 200 for a check, both empty.
async fn confirmed(reply: Reply, check_only: bool, key: &Secret) -> Result<Option<String>> {
    let reply = reply.success().await?;
    let status = reply.status().as_u16();
    let id = reply.header("x-message-id").map(str::to_owned);
    let said = reply.text().await?;
    if status == if check_only { 200 } else { 202 } && said.trim().is_empty() {
        return Ok(id);
    }
    let words: String = Redactor::new([key.expose()]).clean(&said).chars().take(200).collect();
    Err(Error::vendor(format!(
        "SendGrid answered {status}, but not with the confirmation that it gives: {words}"
    ))
    .may_have_arrived())
}

fn explain(fault: Error, letter: &Letter) -> Error {
    match fault.http_status() {
        Some(403) => fault.context(format!(
            "SendGrid does not send for {}. Verify the sender or its domain there, or name another \
             one",
            letter.from.address()
        )),
        Some(413) => fault.context("The message is too large for SendGrid. Send less data"),
        _ => fault,
    }
}

fn receipt(letter: &Letter, id: Option<String>, check_only: bool) -> Receipt {
    let who = letter.recipients();
    let sentence = if check_only {
        format!(
            "SendGrid finds the message to {who} in order. It was not sent, as the form asks for."
        )
    } else {
        format!("SendGrid has the message to {who}.")
    };
    let receipt =
        letter.remarks.iter().fold(Receipt::new("SendGrid").says(sentence), Receipt::remark);
    match id {
        Some(id) if !check_only => receipt.remark(format!("Its message id is {id}.")),
        _ => receipt,
    }
}
