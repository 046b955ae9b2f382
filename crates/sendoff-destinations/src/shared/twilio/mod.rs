//! Twilio's messages: who sends, to whom, and what Twilio says to each.
//!
//! <https://www.twilio.com/docs/messaging/api/message-resource>

#[cfg(feature = "fakes")]
pub(crate) mod fake;
mod number;

use std::time::Duration;

use sendoff::prelude::*;
use sendoff::{Arrival, Call, Http, Stop};
use serde::Deserialize;
use tokio::time::Instant;

pub(crate) use number::{Country, Number};

use crate::Difference;

/// The longest message, in characters (<https://www.twilio.com/docs/api/errors/21617>).
pub(crate) const LONGEST: usize = 1_600;

/// Whose account it is: fields to flatten into settings, before the number that sends.
#[derive(Fields)]
pub(crate) struct Account {
    /// Account SID from www.twilio.com/console.
    #[field(name = "accountSid", label = "Account SID")]
    account_sid: String,
    /// Auth Token from www.twilio.com/console.
    #[field(name = "authToken", label = "Auth Token")]
    auth_token: Option<Secret>,
}

/// What may stand in place of the token and of the number: fields to flatten behind it.
#[derive(Fields)]
pub(crate) struct InPlace {
    /// A key in place of the Auth Token, which opens the whole account: its SID, which begins with
    /// SK.
    #[field(name = "apiKeySid", label = "API Key SID")]
    api_key_sid: Option<String>,
    /// The secret of that key.
    #[field(name = "apiKeySecret", label = "API Key Secret")]
    api_key_secret: Option<Secret>,
    /// A Messaging Service in place of a number; its SID begins with MG.
    #[field(name = "messagingServiceSid", label = "Messaging Service SID")]
    messaging_service_sid: Option<String>,
}

impl Account {
    /// What Twilio's limits belong to.
    pub(crate) fn lane(&self) -> String {
        format!("twilio {}", self.account_sid.trim())
    }
}

/// Who sends and by what right.
pub(crate) struct Sender<'a> {
    account: &'a str,
    auth_token: Option<&'a Secret>,
    key: Option<(&'a str, &'a Secret)>,
    from: Option<&'a str>,
    service: Option<&'a str>,
}

/// What a message says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says<'a> {
    Text(&'a str),
    /// A template that Twilio keeps, and its variables as a JSON object, if it has any.
    Template {
        sid: &'a str,
        variables: &'a str,
    },
}

/// What became of one message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Twilio has it; its number there.
    Taken(String),
    /// Twilio refuses this number or this text; others may be taken.
    Refused(String),
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Message {
    sid: String,
    status: String,
    error_code: Option<u32>,
    error_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Refusal {
    code: u32,
    message: String,
}

/// Between two looks at a message that is on its way.
const LOOK: Duration = Duration::from_secs(2);
/// How long a message is watched.
const WATCHED: Duration = Duration::from_secs(60);

impl<'a> Sender<'a> {
    /// Who sends, as the settings say.
    ///
    /// # Errors
    /// A settings error that names what is missing.
    pub(crate) fn of(
        account: &'a Account,
        from: Option<&'a str>,
        in_place: &'a InPlace,
    ) -> Result<Self> {
        let sender = Self {
            account: account.account_sid.trim(),
            auth_token: account.auth_token.as_ref(),
            key: in_place.api_key_sid.as_deref().zip(in_place.api_key_secret.as_ref()),
            from,
            service: in_place.messaging_service_sid.as_deref(),
        };
        sender.check()?;
        Ok(sender)
    }

    fn check(&self) -> Result<()> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric();
        if !self.account.bytes().all(sound) || self.account.is_empty() {
            let text = "The Account SID must be the one from Twilio's console: AC and 32 digits.";
            return Err(Error::settings(text).field("accountSid"));
        }
        if self.from.is_none() && self.service.is_none() {
            let text = "Nobody sends: set the Twilio number, or a Messaging Service SID.";
            return Err(Error::settings(text).field("from"));
        }
        if self.auth_token.is_none() && self.key.is_none() {
            let text = "Twilio asks for the Auth Token, or for an API key's SID and secret.";
            return Err(Error::settings(text).field("authToken"));
        }
        Ok(())
    }

    /// Sends one message. Twilio takes no idempotency key, so it is sent again only if Twilio said
    /// that it took nothing.
    ///
    /// # Errors
    /// What concerns every message: the account, the network, the end of the delivery.
    pub(crate) async fn send(&self, http: &Http, to: &str, says: Says<'_>) -> Result<Sent> {
        let mut form = vec![("To", to)];
        match says {
            Says::Text(text) => form.push(("Body", text)),
            Says::Template { sid, variables } => {
                // Beside a body Twilio takes none: https://www.twilio.com/docs/api/errors/35127
                form.push(("ContentSid", sid));
                form.extend((!variables.is_empty()).then_some(("ContentVariables", variables)));
            }
        }
        form.extend(self.from.map(|from| ("From", from.trim())));
        form.extend(self.service.map(|service| ("MessagingServiceSid", service.trim())));
        let reply = self.call(http.post(self.url(""))).form(form).send().await?;
        let status = reply.status().as_u16();
        if status != 400 {
            let message: Message = reply.success().await?.json().await?;
            return Ok(match message.status.as_str() {
                "failed" | "undelivered" => Sent::Refused(message.fault()),
                _ if message.sid.is_empty() => {
                    return Err(Error::vendor(
                        "Twilio answered without the number of a message, so that nobody knows \
                         whether it took it. See the message log in its console.",
                    )
                    .may_have_arrived());
                }
                _ => Sent::Taken(message.sid),
            });
        }
        let refusal: Refusal = serde_json::from_str(&reply.text().await?).unwrap_or_default();
        let Refusal { code, message } = refusal;
        let said = if message.is_empty() { "no reason given" } else { &message };
        if code == NO_TEMPLATE {
            let text = format!("Twilio refused: {said} (error {code}).");
            return Err(Error::form("content_sid", text).status(status));
        }
        if concerns_sender(code) {
            return Err(Error::settings(format!(
                "Twilio refused: {said} (error {code}). A Looker admin should check the number or \
                 Messaging Service that sends."
            ))
            .status(status));
        }
        Ok(Sent::Refused(format!("Twilio refused it: {said} (error {code})")))
    }

    /// Waits until the network has a message or says that it does not take it; nothing if it is on
    /// its way still.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) async fn watch(&self, http: &Http, stop: &Stop, sid: &str) -> Result<Option<Sent>> {
        let end = Instant::now() + WATCHED;
        while Instant::now() < end {
            let url = self.url(&format!("/{sid}"));
            let message: Message =
                self.call(http.get(url)).send().await?.success().await?.json().await?;
            match message.status.as_str() {
                "failed" | "undelivered" | "canceled" => {
                    return Ok(Some(Sent::Refused(message.fault())));
                }
                "delivered" | "sent" | "read" => return Ok(Some(Sent::Taken(message.sid))),
                _ => stop.unless_stopped(tokio::time::sleep(LOOK)).await?,
            }
        }
        Ok(None)
    }

    /// The country of numbers that name none: the sender's, where it is certain.
    pub(crate) fn country(&self) -> Option<Country> {
        self.from.and_then(Country::of_sender)
    }

    fn url(&self, rest: &str) -> String {
        let account = self.account;
        format!("https://api.twilio.com/2010-04-01/Accounts/{account}/Messages{rest}.json")
    }

    fn call(&self, call: Call) -> Call {
        match (self.key, self.auth_token) {
            (Some((sid, secret)), _) => call.basic(sid.trim(), secret),
            (None, Some(token)) => call.basic(self.account, token),
            (None, None) => call,
        }
    }
}

impl Message {
    fn fault(&self) -> String {
        let words = self.error_message.as_deref().unwrap_or("no reason given");
        match self.error_code {
            Some(code) => format!("it was not delivered: {words} (error {code})"),
            None => format!("it was not delivered: {words}"),
        }
    }
}

/// The account has no such template (<https://www.twilio.com/docs/api/errors/21655>).
const NO_TEMPLATE: u32 = 21655;

/// Errors that every message of this sender would meet
/// (<https://www.twilio.com/docs/api/errors>).
fn concerns_sender(code: u32) -> bool {
    // 21212 invalid From; 21603 From missing; 21606 and 21659 not a number of this account;
    // 21701, 21703, 21704, 21705 the Messaging Service; 63007 no such channel.
    matches!(code, 0 | 21212 | 21603 | 21606 | 21659 | 21701 | 21703..=21705 | 63007)
}

/// Whether an error leaves open what became of the message.
pub(crate) fn is_doubtful(error: &Error) -> bool {
    error.arrival() == Arrival::Maybe
}

/// How long a text is as Twilio counts: in UTF-16 code units.
pub(crate) fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The beginning of `text`, as much as has this length.
pub(crate) fn cut(text: &str, length: usize) -> &str {
    let mut units = 0;
    let fits = |c: char| {
        units += c.len_utf16();
        units <= length
    };
    let rest = text.trim_start_matches(fits);
    &text[..text.len() - rest.len()]
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[Difference {
    reference: "Numbers are sent as they are typed.",
    ours: "They are brought into the international form, by the default country code or by that of a sender's number in the USA or Canada; what has no country code or is no number is named and never sent.",
    switch: None,
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("short", 2), "sh");
        // Each is two code units and four bytes.
        assert_eq!(cut("😀😀😀", 5), "😀😀");
        assert_eq!(length("😀a"), 3);
    }
}
