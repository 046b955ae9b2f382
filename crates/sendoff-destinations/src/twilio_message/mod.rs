//! Twilio: a message to the number in each row, or to the clicked one.

#[cfg(feature = "fakes")]
mod fake;
mod text;

use std::collections::HashSet;

use sendoff::pipeline::{self, Batch, BatchLimits, Encoded, OnRefusal, Pick, Pipeline};
use sendoff::prelude::*;
use sendoff::{Commit, Rate, Repeatable, Row};

use crate::Difference;
use crate::shared::twilio::{Account, InPlace, LONGEST, Number, Sender, Sent, is_doubtful};
use text::Text;

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// The action; see its spec.
pub(crate) struct TwilioMessage;

#[derive(Fields)]
pub(crate) struct Settings {
    #[field(flatten)]
    account: Account,
    /// A valid Twilio number from https://www.twilio.com/console
    #[field(label = "Twilio Phone Number")]
    from: Option<String>,
    #[field(flatten)]
    in_place: InPlace,
    /// Messages a second. A US long code takes 1; a short code or a service with many numbers takes
    /// more.
    messages_per_second: Option<u32>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// Values of the row in double braces: Hello {{users.first_name}}.
    #[field(textarea)]
    message: String,
    /// The country code for numbers that have none, such as 1 or 43.
    #[field(label = "Default Country Code")]
    country_code: Option<String>,
    /// Show the first three messages and send none.
    dry_run: bool,
    #[field(flatten)]
    on_refusal: OnRefusal,
}

const PHONE: Pick = Pick::tagged(&["phone"]);

impl Action for TwilioMessage {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("twilio_message", "Twilio - Send Message")
        .description("Send a message to phone numbers via Twilio.")
        .accepts(&[CellAction, Query])
        .formats(&[Format::JsonDetail])
        .required_tags(&[&["phone"]])
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.twilio.com/docs/messaging/api/message-resource")
        .delivery(Repeatable::Nothing, Commit::Streaming, false);

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        settings.account.lane()
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let sender = cx.settings.sender()?;
        let text = Text::parse(&form.message)?;
        match cx.kind() {
            Some(CellAction) => cell(cx, &sender, &text, &form).await,
            _ => rows(cx, &sender, text, form, data).await,
        }
    }
}

async fn cell(
    cx: &Context<Settings>,
    sender: &Sender<'_>,
    text: &Text,
    form: &Form,
) -> Result<Receipt> {
    let value = cx.cell_value().unwrap_or_default();
    let number = Number::parse(value, form.country_code.as_deref())
        .map_err(|why| Error::looker(format!("The cell's value {why}.")))?;
    let text = text.plain()?;
    if form.dry_run {
        return Ok(Receipt::new("Twilio").says(format!("Nothing was sent. It would be: {text}")));
    }
    match sender.send(cx.http(), number.as_str(), &text).await? {
        Sent::Taken(_) => Ok(Receipt::new("Twilio")
            .says(format!("Twilio takes the message to {}.", number.as_str()))
            .rows(1, 0)),
        Sent::Refused(why) => Err(Error::vendor(format!("{}: {why}.", number.as_str()))),
    }
}

async fn rows(
    cx: &Context<Settings>,
    sender: &Sender<'_>,
    text: Text,
    form: Form,
    data: Payload,
) -> Result<Receipt> {
    let mut rows = data.rows().await?;
    let phone = PHONE.require(rows.columns())?;
    let text = text.bound(rows.columns())?;
    let country = form.country_code.as_deref();
    if form.dry_run {
        let mut shown = Vec::new();
        while let Some(row) = rows.next().await {
            let row = row?;
            if shown.len() < 3 {
                let number = Number::parse(row.get(&phone).value().text(), country);
                let to =
                    number.map_or_else(|why| format!("(the number {why})"), |n| n.as_str().into());
                shown.push(format!("{to}: {}", text.fill(&row)));
            }
        }
        let shown = match shown.is_empty() {
            true => "The result has no rows.".to_owned(),
            false => shown.join(" | "),
        };
        return Ok(Receipt::new("Twilio").says(format!("Nothing was sent. {shown}")));
    }
    let mut known = HashSet::new();
    let mut line = String::new();
    let encode = |row: &Row, out: &mut Vec<u8>| {
        let cell = row.get(&phone);
        if cell.is_pivoted() {
            let name = &phone.name;
            let text = format!("The field {name} is pivoted. Send the query without the pivot.");
            return Err(Error::form("", text));
        }
        let value = cell.value();
        if value.is_empty() {
            return Ok(Encoded::skipped("it has no phone number"));
        }
        let number = match Number::parse(value.text(), country) {
            Ok(number) => number,
            Err(why) => return Ok(Encoded::refused(format!("its phone number {why}"))),
        };
        line.clear();
        line.push_str(&text.fill(row));
        if line.encode_utf16().count() > LONGEST {
            return Ok(Encoded::refused(format!("its text is longer than {LONGEST} characters")));
        }
        if line.trim().is_empty() {
            return Ok(Encoded::refused("its text is empty"));
        }
        if known.len() < REMEMBERED && !known.insert(digest(number.as_str(), &line)) {
            return Ok(Encoded::skipped("the same message to the same number stands above"));
        }
        out.extend_from_slice(number.as_str().as_bytes());
        out.push(b'\n');
        out.extend_from_slice(line.as_bytes());
        Ok(Encoded::Row)
    };
    let limits = BatchLimits::new(1, LARGEST).parallel(4).rate(cx.settings.rate());
    Pipeline::new(cx, limits)
        .policy(form.on_refusal.policy())
        .shared_by(cx.settings.account.lane())
        .run(rows, encode, |batch| send(sender, batch))
        .await
}

/// A number and a text of four bytes a character.
const LARGEST: usize = 8 * 1024;
/// Rows whose repetition is recognised; 16 bytes each.
const REMEMBERED: usize = 200_000;

fn digest(number: &str, text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (number, text).hash(&mut hasher);
    hasher.finish()
}

async fn send(sender: &Sender<'_>, batch: Batch) -> Result<pipeline::Reply> {
    let body = batch.body();
    let (number, text) = std::str::from_utf8(&body)
        .ok()
        .and_then(|body| body.split_once('\n'))
        .ok_or_else(|| Error::hub("A message was lost between two steps of the hub."))?;
    match sender.send(batch.http(), number, text).await {
        Ok(Sent::Taken(_)) => Ok(pipeline::Reply::accepted()),
        Ok(Sent::Refused(why)) => Ok(pipeline::Reply::accepted().refuse(0, why)),
        Err(error) if is_doubtful(&error) => Err(error),
        Err(error) => pipeline::Reply::refusal(error),
    }
}

impl Settings {
    fn sender(&self) -> Result<Sender<'_>> {
        Sender::of(&self.account, self.from.as_deref(), &self.in_place)
    }

    /// Twilio queues what comes faster than the sender may send, for ten hours.
    fn rate(&self) -> Rate {
        Rate::Requests(f64::from(self.messages_per_second.unwrap_or(10).clamp(1, 100)))
    }
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "All messages are sent at once, and the first refusal is the answer while the others go on.",
        ours: "At most four are on their way, and every row is counted.",
        switch: None,
    },
    Difference {
        reference: "The same number gets the same message once for each row.",
        ours: "It gets it once; the other rows are counted as skipped.",
        switch: None,
    },
    Difference {
        reference: "A message that is too long is cut.",
        ours: "Its row is refused and counted.",
        switch: None,
    },
    Difference {
        reference: "A row without a number is sent to nobody, and fails the delivery.",
        ours: "It is counted as skipped.",
        switch: None,
    },
    Difference {
        reference: "One number that Twilio refuses, such as one that has opted out, fails the delivery.",
        ours: "The others get their message; what the count means is chosen in the form.",
        switch: Some("if_refused"),
    },
    Difference {
        reference: "A pivoted number ends the delivery without a reason.",
        ours: "The field is named before anything is sent.",
        switch: None,
    },
];
