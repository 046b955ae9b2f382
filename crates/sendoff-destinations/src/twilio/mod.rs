//! Twilio: the first lines of a result as a message to one or more phones.

#[cfg(feature = "fakes")]
mod fake;
mod text;

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::Difference;
use crate::shared::twilio::{
    Account, Country, InPlace, Number, Says, Sender, Sent, cut, is_doubtful,
};
use text::{Excerpt, Facts};

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
    /// May hold {title}, {url} and {lines}. Leave empty for all three, each on lines of its own. A
    /// message holds 1,600 characters: lines that do not fit are left out, and the answer says so.
    #[field(textarea)]
    message: Option<String>,
    /// How many lines of the result are sent; the first is the header.
    #[field(default = "10")]
    lines: u32,
    /// Send nothing if the result has no rows.
    only_with_rows: bool,
    /// The country code for numbers that have none, such as 1 or 43. Leave it empty for that of a
    /// sending number in the USA or Canada, or if all numbers have one.
    #[field(label = "Default Country Code")]
    country_code: Option<Country>,
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
        let phones = form.phones(sender.country())?;
        let excerpt = Excerpt::read(data, form.lines).await?;
        if excerpt.rows == 0 && form.only_with_rows {
            return Ok(
                Receipt::new("Twilio").says("The result has no rows, so that no message was sent.")
            );
        }
        let plan = cx.plan();
        let title = plan.and_then(|plan| plan.title.as_ref()).map_or("", |title| title.as_str());
        let url = plan.and_then(|plan| plan.url.as_ref()).map_or("", |url| url.as_str());
        let text = Facts { title, url, excerpt: &excerpt }.text(form.message.as_deref())?;
        if text.text.trim().is_empty() {
            return Err(Error::form("message", "The message is empty."));
        }
        let mut tally = Tally::default();
        for phone in &phones {
            match one(cx, &sender, phone, &text.text, form.wait_for_network).await {
                Ok(Sent::Taken(_)) => tally.taken += 1,
                Ok(Sent::Refused(why)) => tally.refuse(phone, &why),
                Err(error) => return Err(tally.interrupted(error, phones.len())),
            }
        }
        let receipt = tally.conclude()?;
        Ok(text.remarks.into_iter().fold(receipt, Receipt::remark))
    }
}

async fn one(
    cx: &Context<Settings>,
    sender: &Sender<'_>,
    phone: &Number,
    text: &str,
    wait: bool,
) -> Result<Sent> {
    let sent = sender.send(cx.http(), phone.as_str(), Says::Text(text)).await?;
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

impl Form {
    /// `home` is the country of numbers that have none, if the form names no other.
    fn phones(&self, home: Option<Country>) -> Result<Vec<Number>> {
        let country = self.country_code.clone().or(home);
        let mut phones = Vec::new();
        let given = self.to.split([',', ';']).map(str::trim).filter(|text| !text.is_empty());
        for text in given {
            let phone = Number::parse(text, country.as_ref())
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
}

#[derive(Default)]
struct Tally {
    taken: u64,
    refused: u64,
    /// Some refusals with their reasons.
    named: Vec<String>,
}

/// So many refusals are told one by one; a sentence that Looker shows has to stay readable.
const NAMED: usize = 8;
/// How long a reason may be, in characters.
const REASON_AT_MOST: usize = 160;

impl Tally {
    fn refuse(&mut self, phone: &Number, why: &str) {
        self.refused += 1;
        if self.named.len() < NAMED {
            let why = cut(why, REASON_AT_MOST).trim_end_matches(['.', ' ']);
            self.named.push(format!("{}: {why}", phone.as_str()));
        }
    }

    fn conclude(self) -> Result<Receipt> {
        let phones = if self.taken == 1 { "phone" } else { "phones" };
        let sentence = format!("Twilio takes the message to {} {phones}.", self.taken);
        if self.refused == 0 {
            return Ok(Receipt::new("Twilio").rows(self.taken, 0).says(sentence));
        }
        let refused = self.refusals();
        let error = match self.taken {
            0 => Error::vendor(format!("No message was sent. {refused}")),
            taken => Error::vendor(format!("{sentence} {refused}")).rows_accepted(taken),
        };
        Err(error)
    }

    /// `+431: Twilio refused it: …; +432: …; and 3 more.`
    fn refusals(&self) -> String {
        let more = match self.refused - self.named.len() as u64 {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        format!("{}{more}.", self.named.join("; "))
    }

    fn interrupted(self, error: Error, all: usize) -> Error {
        if self.taken + self.refused == 0 {
            return error;
        }
        let doubtful = is_doubtful(&error);
        let error = error.context(format!("{} of {all} phones have the message", self.taken));
        let error = match self.refused {
            0 => error,
            _ => error.remark(format!("Before that: {}", self.refusals())),
        };
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
    Difference {
        reference: "A message that is too long is cut, in the middle of its only row too, and nobody is told.",
        ours: "Lines are left out and marked with …, the answer counts them, and the user's own words stay whole.",
        switch: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use sendoff::Arrival;

    fn tally(taken: u64, refused: u64) -> Tally {
        let mut tally = Tally { taken, ..Tally::default() };
        for n in 0..refused {
            let phone = Number::parse(&format!("+4369912345{n:03}"), None).expect("a number");
            tally.refuse(&phone, &format!("no. {}", "x".repeat(if refused > 1 { 900 } else { 0 })));
        }
        tally
    }

    #[test]
    fn some_refused_is_a_failure_that_counts_the_others() {
        let error = tally(2, 1).conclude().expect_err("one was refused");
        assert_eq!(error.arrival(), Arrival::Rows(2));
        assert_eq!(error.message(), "Twilio takes the message to 2 phones. +4369912345000: no.");
        let error = tally(0, 1).conclude();
        assert_eq!(error.expect_err("none was taken").arrival(), Arrival::Nothing);
    }

    #[test]
    fn a_hundred_refusals_are_a_sentence_that_can_be_read() {
        let error = tally(0, 100).conclude().expect_err("all were refused");
        assert!(error.message().len() < 2_000, "{}", error.message().len());
        assert!(error.message().ends_with("; and 92 more."), "{error}");
        let error = tally(1, 100).interrupted(Error::vendor("It is gone."), 200);
        assert_eq!(error.arrival(), Arrival::Rows(1));
        assert!(error.message().contains("Before that: +4369912345000: no"), "{error}");
    }
}
