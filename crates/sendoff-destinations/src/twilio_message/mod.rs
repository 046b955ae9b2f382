//! Twilio: a message to the number in each row, or to the clicked one.

#[cfg(feature = "fakes")]
mod fake;
mod message;
mod text;

use sendoff::pipeline::{self, Batch, BatchLimits, Encoded, OnRefusal, Pick, Pipeline};
use sendoff::prelude::*;
use sendoff::{Column, Commit, Rate, Repeatable, Row, Rows};

use crate::Difference;
use crate::shared::repeats::Repeats;
use crate::shared::twilio::{Account, Country, InPlace, Number, Sender, Sent};
use message::{Message, says};
use text::Bound;

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
    message: Option<String>,
    /// The country code for numbers that have none, such as 1 or 43. Leave it empty for that of a
    /// sending number in the USA or Canada, or if all numbers have one.
    #[field(label = "Default Country Code")]
    country_code: Option<Country>,
    /// In place of a message a template that Twilio keeps, as WhatsApp wants it for messages that
    /// answer nobody; its SID begins with HX.
    #[field(label = "Content SID")]
    content_sid: Option<String>,
    /// The template's variables, one on a line: 1: {{users.first_name}}.
    #[field(textarea)]
    content_variables: Option<String>,
    /// Show the first three messages, how many there are and how long they take, and send none.
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
        .formats(&[Format::JsonDetail, Format::JsonDetailLiteStream])
        .streaming()
        .required_tags(&[&["phone"]])
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.twilio.com/docs/messaging/api/message-resource")
        .delivery(Repeatable::Nothing, Commit::Streaming, false);

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        settings.account.lane()
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let sender = cx.settings.sender()?;
        match cx.kind() {
            Some(CellAction) => cell(cx, &sender, &form).await,
            _ => rows(cx, &sender, form, data.rows().await?).await,
        }
    }
}

async fn cell(cx: &Context<Settings>, sender: &Sender<'_>, form: &Form) -> Result<Receipt> {
    let Some(value) = cx.cell_value().map(str::trim).filter(|value| !value.is_empty()) else {
        return Err(Error::looker("The cell is empty, so that it names no phone."));
    };
    let country = form.country_code.clone().or_else(|| sender.country());
    let number = Number::parse(value, country.as_ref())
        .map_err(|why| Error::looker(format!("The cell's value {why}.")))?;
    let written = Message::of(form)?.for_a_cell()?;
    if form.dry_run {
        return Ok(Receipt::new("Twilio").says(format!("Nothing was sent. It would be: {written}")));
    }
    let says = says(form.content_sid.as_deref().map(str::trim), &written);
    match sender.send(cx.http(), number.as_str(), says).await? {
        Sent::Taken(_) => Ok(Receipt::new("Twilio")
            .says(format!("Twilio takes the message to {}.", number.as_str()))
            .rows(1, 0)),
        Sent::Refused(why) => Err(Error::vendor(format!("{}: {why}.", number.as_str()))),
    }
}

async fn rows(
    cx: &Context<Settings>,
    sender: &Sender<'_>,
    form: Form,
    rows: Rows,
) -> Result<Receipt> {
    let mut composer = Composer {
        phone: PHONE.require(rows.columns())?,
        country: form.country_code.clone().or_else(|| sender.country()),
        message: Message::of(&form)?.bound(rows.columns())?,
        sent: Repeats::of(REMEMBERED),
    };
    if form.dry_run {
        return rehearse(&cx.settings, composer, rows).await;
    }
    let template = composer.message.template().map(str::to_owned);
    let encode = |row: &Row, out: &mut Vec<u8>| match composer.compose(row)? {
        Ok((number, written)) => {
            out.extend_from_slice(number.as_str().as_bytes());
            out.push(b'\n');
            out.extend_from_slice(written.as_bytes());
            Ok(Encoded::Row)
        }
        Err(not_sent) => Ok(not_sent),
    };
    let limits = BatchLimits::new(1, LARGEST).parallel(4).rate(Rate::Requests(cx.settings.rate()));
    Pipeline::new(cx, limits)
        .policy(form.on_refusal.policy())
        .shared_by(cx.settings.account.lane())
        .run(rows, encode, |batch| send(sender, batch, template.as_deref()))
        .await
}

/// Writes the messages of rows.
struct Composer {
    phone: Column,
    country: Option<Country>,
    message: Message<Bound>,
    /// Numbers with their messages so far.
    sent: Repeats,
}

impl Composer {
    /// A row's number and message, or what is said of the row in place of them.
    fn compose(&mut self, row: &Row) -> Result<Result<(Number, String), Encoded>> {
        let cell = row.get(&self.phone);
        if cell.is_pivoted() {
            let name = &self.phone.name;
            let text = format!("The field {name} is pivoted. Send the query without the pivot.");
            return Err(Error::form("", text));
        }
        let value = cell.value();
        if value.is_empty() {
            return Ok(Err(Encoded::skipped("it has no phone number")));
        }
        let number = match Number::parse(value.text(), self.country.as_ref()) {
            Ok(number) => number,
            Err(why) => return Ok(Err(Encoded::refused(format!("its phone number {why}")))),
        };
        let written = match self.message.for_row(row) {
            Ok(written) => written,
            Err(why) => return Ok(Err(Encoded::refused(format!("its {why}")))),
        };
        if self.sent.is_repeat(format!("{}\n{written}", number.as_str()).as_bytes()) {
            let why = "the same message to the same number stands above";
            return Ok(Err(Encoded::skipped(why)));
        }
        Ok(Ok((number, written)))
    }
}

/// Shows the first three messages, and says how long all of them would take.
async fn rehearse(settings: &Settings, mut composer: Composer, mut rows: Rows) -> Result<Receipt> {
    let (mut shown, mut messages, mut others) = (Vec::new(), 0_u64, 0_u64);
    while let Some(row) = rows.next().await {
        let row = row?;
        let said = match composer.compose(&row)? {
            Ok((number, written)) => {
                messages += 1;
                format!("{}: {written}", number.as_str())
            }
            Err(Encoded::Refused(why) | Encoded::Skipped(why)) => {
                others += 1;
                format!("(none for row {}: {why})", row.number())
            }
            Err(Encoded::Row) => continue,
        };
        if shown.len() < SHOWN {
            shown.push(said);
        }
    }
    if messages + others == 0 {
        return Ok(Receipt::new("Twilio").says("Nothing was sent. The result has no rows."));
    }
    let rate = settings.rate();
    let seconds = (messages as f64 / rate).ceil() as u64;
    let time = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) };
    Ok(Receipt::new("Twilio").says(format!(
        "Nothing was sent. {messages} messages at {rate} a second would take {time}; {others} rows \
         have none. {}",
        shown.join(" | ")
    )))
}

/// Messages that a dry run shows.
const SHOWN: usize = 3;

/// A number and a text, or the variables of a template, some of the longest.
const LARGEST: usize = 64 * 1024;
/// Messages whose repetition is recognised: some megabytes.
const REMEMBERED: usize = 200_000;

async fn send(
    sender: &Sender<'_>,
    batch: Batch,
    template: Option<&str>,
) -> Result<pipeline::Reply> {
    let body = batch.body();
    let (number, written) = std::str::from_utf8(&body)
        .ok()
        .and_then(|body| body.split_once('\n'))
        .ok_or_else(|| Error::hub("A message was lost between two steps of the hub."))?;
    // Its errors concern every message.
    Ok(match sender.send(batch.http(), number, says(template, written)).await? {
        Sent::Taken(_) => pipeline::Reply::accepted(),
        Sent::Refused(why) => pipeline::Reply::accepted().refuse(0, why),
    })
}

impl Settings {
    fn sender(&self) -> Result<Sender<'_>> {
        Sender::of(&self.account, self.from.as_deref(), &self.in_place)
    }

    /// Twilio queues what comes faster than the sender may send, for ten hours.
    fn rate(&self) -> f64 {
        f64::from(self.messages_per_second.unwrap_or(10).clamp(1, 100))
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
        ours: "It gets it once; the other rows are counted as skipped. Of a larger result the first 200,000 different messages are known again.",
        switch: None,
    },
    Difference {
        reference: "A message that is too long is cut.",
        ours: "Its row is refused and counted; for a cell nothing is sent.",
        switch: None,
    },
    Difference {
        reference: "A message must be entered.",
        ours: "A template that Twilio keeps may stand in its place.",
        switch: Some("content_sid"),
    },
    Difference {
        reference: "Data is pushed, as far as Looker pushes it.",
        ours: "It is fetched, so that \"All Results\" can be sent.",
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
