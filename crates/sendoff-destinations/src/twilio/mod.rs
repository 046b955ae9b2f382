//! Twilio: the first lines of a result as a message to one or more phones.

#[cfg(feature = "fakes")]
mod fake;

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::Difference;
use crate::shared::twilio::{self, Account, InPlace, Number, Sender, Sent, is_doubtful};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// The action; see its spec.
pub(crate) struct Twilio;

#[derive(Fields)]
pub(crate) struct Settings {
    #[field(flatten)]
    account: Account,
    /// A valid Twilio number from www.twilio.com/console/phone-numbers/verified.
    #[field(label = "Twilio Verified Phone Number")]
    from: Option<String>,
    #[field(flatten)]
    in_place: InPlace,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// Several are separated by commas.
    #[field(label = "Destination Phone Number")]
    to: String,
    /// May hold {title}, {url} and {lines}. Leave empty for all three, each on lines of its own.
    #[field(textarea)]
    message: Option<String>,
    /// How many lines of the result are sent; the first is the header.
    #[field(default = "10")]
    lines: u32,
    /// Send nothing if the result has no rows.
    only_with_rows: bool,
    /// The country code for numbers that have none, such as 1 or 43.
    #[field(label = "Default Country Code")]
    country_code: Option<String>,
    /// Wait up to a minute until the network says whether it took the message. Otherwise success
    /// means that Twilio has it.
    wait_for_network: bool,
}

/// More phones than anyone types into a form by hand.
const MOST_PHONES: usize = 100;

impl Action for Twilio {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("twilio", "Twilio - Send Data")
        .description("Send data from a Look to a phone number via Twilio.")
        .formats(&[Format::Csv])
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://www.twilio.com/docs/messaging/api/message-resource")
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        settings.account.lane()
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let sender = cx.settings.sender()?;
        let phones = form.phones()?;
        let (lines, rows) = lines(data, form.lines as usize).await?;
        if rows == 0 && form.only_with_rows {
            return Ok(
                Receipt::new("Twilio").says("The result has no rows, so that no message was sent.")
            );
        }
        let text = form.text(cx, &lines);
        let text = twilio::cut(&text);
        if text.trim().is_empty() {
            return Err(Error::form("message", "The message is empty."));
        }
        let mut tally = Tally::default();
        for phone in &phones {
            match one(cx, &sender, phone, text, form.wait_for_network).await {
                Ok(Sent::Taken(_)) => tally.taken += 1,
                Ok(Sent::Refused(why)) => tally.refused.push(format!("{}: {why}", phone.as_str())),
                Err(error) => return Err(tally.interrupted(error, phones.len())),
            }
        }
        tally.conclude()
    }
}

async fn one(
    cx: &Context<Settings>,
    sender: &Sender<'_>,
    phone: &Number,
    text: &str,
    wait: bool,
) -> Result<Sent> {
    let sent = sender.send(cx.http(), phone.as_str(), text).await?;
    match &sent {
        Sent::Taken(sid) if wait => {
            let seen = sender.watch(cx.http(), cx.stop(), sid).await;
            // Twilio has the message, whatever became of the question.
            let seen = seen.map_err(Error::may_have_arrived)?;
            seen.ok_or_else(|| {
                Error::vendor(
                    "Twilio has the message, and after a minute the network has not said whether \
                     it takes it. See the message log in Twilio's console.",
                )
                .may_have_arrived()
            })
        }
        _ => Ok(sent),
    }
}

/// The first lines of the result, and how many rows it has. All of it is read, so that a result
/// that breaks off is an error and no shorter message.
async fn lines(data: Payload, most: usize) -> Result<(Vec<String>, u64)> {
    let mut rows = data.rows().await?;
    let mut lines = Vec::new();
    let mut count = 0;
    while let Some(row) = rows.next().await {
        let row = row?;
        count += 1;
        if lines.len() + 1 < most {
            let cells: Vec<_> = row.iter().map(|(_, cell)| one_line(cell.display())).collect();
            lines.push(cells.join(","));
        }
    }
    let header: Vec<_> = rows.columns().iter().map(|column| one_line(&column.label)).collect();
    if most > 0 && !header.is_empty() {
        lines.insert(0, header.join(","));
    }
    Ok((lines, count))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Form {
    fn phones(&self) -> Result<Vec<Number>> {
        let mut phones = Vec::new();
        let given = self.to.split([',', ';']).map(str::trim).filter(|text| !text.is_empty());
        for text in given {
            let phone = Number::parse(text, self.country_code.as_deref())
                .map_err(|why| Error::form("to", format!("\"{text}\" {why}.")))?;
            if !phones.contains(&phone) {
                phones.push(phone);
            }
        }
        match phones.len() {
            0 => Err(Error::form("to", "Enter a phone number such as +43 699 12345678.")),
            1..=MOST_PHONES => Ok(phones),
            n => Err(Error::form(
                "to",
                format!("{n} phones are too many for one delivery; {MOST_PHONES} are allowed."),
            )),
        }
    }

    fn text(&self, cx: &Context<Settings>, lines: &[String]) -> String {
        let plan = cx.plan();
        let title = plan.and_then(|plan| plan.title.as_ref()).map_or("", |title| title.as_str());
        let url = plan.and_then(|plan| plan.url.as_ref()).map_or("", |url| url.as_str());
        let lines = lines.join("\n");
        match &self.message {
            Some(message) => {
                message.replace("{title}", title).replace("{url}", url).replace("{lines}", &lines)
            }
            // As the reference lays it out.
            None => {
                let title = if title.is_empty() { String::new() } else { format!("{title}:\n") };
                let url = if url.is_empty() { String::new() } else { format!("{url}\n") };
                format!("{title}{url}{lines}")
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    taken: u64,
    refused: Vec<String>,
}

impl Tally {
    fn conclude(self) -> Result<Receipt> {
        let phones = if self.taken == 1 { "phone" } else { "phones" };
        let sentence = format!("Twilio takes the message to {} {phones}.", self.taken);
        if self.refused.is_empty() {
            return Ok(Receipt::new("Twilio").rows(self.taken, 0).says(sentence));
        }
        let refused = self.refused.join("; ");
        let error = match self.taken {
            0 => Error::vendor(format!("No message was sent. {refused}.")),
            taken => Error::vendor(format!("{sentence} {refused}.")).rows_accepted(taken),
        };
        Err(error)
    }

    fn interrupted(self, error: Error, all: usize) -> Error {
        if self.taken == 0 && self.refused.is_empty() {
            return error;
        }
        let doubtful = is_doubtful(&error);
        let error = error.context(format!("{} of {all} phones have the message", self.taken));
        if doubtful || self.taken == 0 { error } else { error.rows_accepted(self.taken) }
    }
}

impl Settings {
    fn sender(&self) -> Result<Sender<'_>> {
        Sender::of(&self.account, self.from.as_deref(), &self.in_place)
    }
}

/// What differs from the reference hub here alone.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "One number can be entered.",
        ours: "Several are separated by commas, and what came of each is told.",
        switch: None,
    },
    Difference {
        reference: "A cell with a line break counts as two of the ten lines.",
        ours: "A row is a line, whatever is in it.",
        switch: Some("lines"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use sendoff::Arrival;

    #[test]
    fn some_refused_is_a_failure_that_counts_the_others() {
        let tally = Tally { taken: 2, refused: vec!["+431: no".into()] };
        let error = tally.conclude().expect_err("one was refused");
        assert_eq!(error.arrival(), Arrival::Rows(2));
        assert_eq!(error.message(), "Twilio takes the message to 2 phones. +431: no.");
        let error = Tally { taken: 0, refused: vec!["+431: no".into()] }.conclude();
        assert_eq!(error.expect_err("none was taken").arrival(), Arrival::Nothing);
    }
}
