//! E-mail by any server that speaks SMTP.
//!
//! The client is our own, because a message must flow: the libraries take it as one piece of
//! memory, and bring their own connections and certificates past the hub's door.

#[cfg(feature = "fakes")]
mod fake;
mod header;
mod message;
mod rows;
mod session;
mod stuffing;

use jiff::Timestamp;
use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::shared::hook::address::Hosts;
use crate::shared::mail::address::Mailbox;
use crate::shared::mail::{Content, Head, Letter};
use message::Message;
use session::{Encryption, Envelope, Sent, Server, Session};

#[cfg(feature = "fakes")]
pub(crate) use fake::{fake, of_rows};

/// Sends mail by SMTP.
pub(crate) struct SmtpEmail;

#[derive(Fields)]
pub(crate) struct Settings {
    /// The mail server's name, such as smtp.example.com.
    host: String,
    /// The server's port: 587 for STARTTLS, 465 for TLS from the first byte, 25 for servers of your
    /// own network.
    #[field(default = "587")]
    port: u16,
    /// How the connection is encrypted. The server must show a certificate for its name.
    #[field(default = "starttls")]
    encryption: Encryption,
    /// Who logs in. Leave it empty for servers that need no login.
    username: Option<String>,
    /// The password, or an app password where the provider has such. It is sent over encrypted
    /// connections alone.
    password: Option<Secret>,
    /// Who sends, such as Looker <looker@example.com>.
    #[field(label = "From")]
    from: Mailbox,
    /// Whether a user may name another sender in the form.
    allow_other_senders: bool,
    /// Domains that recipients may have: example.com, or *.example.com for all below it. Leave it
    /// empty for all.
    recipient_domains: Option<Hosts>,
    /// How this hub calls itself towards the server. Leave it empty for its address.
    hello_name: Option<String>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// Who gets the message. Separate several addresses with commas.
    to: String,
    /// Leave it empty for the title. The placeholders of the message may stand here too.
    subject: Option<String>,
    /// The name of the attached file; {title}, {date} and the like may stand in it. The extension
    /// is added if there is none.
    filename: Option<String>,
    /// Leave it empty for the sender of the action's settings.
    from: Option<Mailbox>,
    #[field(flatten)]
    content: Content,
}

impl Action for SmtpEmail {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("smtp_email", "E-mail (SMTP)")
        .description("Send results by e-mail, as an attachment or in the message.")
        .accepts(&[Query, Dashboard])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.rfc-editor.org/rfc/rfc5321")
        .delivery(Repeatable::Nothing, Commit::LastByte, false)
        .not_http();

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        format!("smtp {}:{}", settings.host, settings.port)
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let server = cx.settings.server()?;
        let head = Head {
            from: cx.settings.sender(form.from.clone())?,
            to: &form.to,
            subject: form.subject.as_deref(),
            filename: form.filename.as_deref(),
        };
        if form.content.is_per_row() {
            return rows::deliver(cx, &form, server, head, data).await;
        }
        let Some(letter) = form.content.compose(cx, head, data).await? else {
            return Ok(Receipt::new(server.host).says(
                "The result has no rows, so that no message was sent, as the form asks for.",
            ));
        };
        cx.settings.permit(&letter)?;
        let key = cx.http().idempotency_key("message");
        let message = Message::new(&letter, &key, Timestamp::now())?;
        let envelope = envelope(&letter, &message);
        let mut session = Session::open(cx.http(), cx.stop(), server).await?;
        let sent = session.send(&envelope, message.stream()).await?;
        session.close().await;
        match sent {
            Sent::Taken(words) => Ok(receipt(&letter, server.host, &words)),
            Sent::Refused(fault) | Sent::Denied(fault) => Err(fault),
        }
    }
}

impl Settings {
    fn server(&self) -> Result<Server<'_>> {
        let login = match (&self.username, &self.password) {
            (Some(user), Some(password)) => Some((user.trim(), password)),
            (None, None) => None,
            (Some(_), None) => return Err(missing("Password", "Username")),
            (None, Some(_)) => return Err(missing("Username", "Password")),
        };
        if login.is_some() && self.encryption == Encryption::None {
            return Err(Error::settings(
                "The password would go over an unencrypted connection, where others can read it. \
                 Choose STARTTLS or TLS, or leave user name and password empty.",
            ));
        }
        let hello = self.hello_name.as_deref().map(str::trim);
        if hello.is_some_and(|name| !is_hello(name)) {
            return Err(Error::settings(
                "\"Hello Name\" must be a host name such as looker.example.com.",
            ));
        }
        Ok(Server {
            host: self.host.trim(),
            port: self.port,
            encryption: self.encryption,
            login,
            hello,
        })
    }

    fn sender(&self, named: Option<Mailbox>) -> Result<Mailbox> {
        match named {
            Some(other) if other.address() != self.from.address() && !self.allow_other_senders => {
                Err(Error::form(
                    "from",
                    format!(
                        "The action's settings allow no sender but {}. Leave the field empty.",
                        self.from.address()
                    ),
                ))
            }
            Some(named) => Ok(named),
            None => Ok(self.from.clone()),
        }
    }

    /// Whether the admin lets mail go to all of these.
    fn permit(&self, letter: &Letter) -> Result<()> {
        let Some(domains) = self.recipient_domains.as_ref().filter(|list| !list.is_empty()) else {
            return Ok(());
        };
        for (field, list) in [("to", &letter.to), ("cc", &letter.cc), ("bcc", &letter.bcc)] {
            if let Some(one) = list.iter().find(|one| !domains.allow(one.domain())) {
                return Err(Error::form(
                    field,
                    format!(
                        "The action's settings allow no mail to {}. Ask your Looker admin to add \
                         the domain to \"Recipient Domains\".",
                        one.address()
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn missing(what: &str, given: &str) -> Error {
    Error::settings(format!("{what} is missing in the settings, while {given} is there."))
}

fn is_hello(name: &str) -> bool {
    let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let literal =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:IPv".contains(&byte));
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => literal(inside),
        None => !name.is_empty() && name.len() <= 253 && name.chars().all(host),
    }
}

fn envelope(letter: &Letter, message: &Message) -> Envelope {
    let named = letter.everybody().chain([&letter.from]).chain(&letter.reply_to);
    Envelope {
        from: letter.from.address(),
        to: letter.everybody().map(Mailbox::address).collect(),
        international: { named }.any(Mailbox::is_international),
        size: message.len(),
    }
}

fn receipt(letter: &Letter, host: &str, words: &str) -> Receipt {
    let sentence = format!("{host} has the message to {}.", letter.recipients());
    let receipt = Receipt::new(host).says(sentence);
    let receipt = letter.remarks.iter().fold(receipt, Receipt::remark);
    receipt.remark(format!("It answered {words}"))
}
