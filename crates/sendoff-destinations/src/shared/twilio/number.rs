//! Phone numbers as Looker's data has them, as Twilio wants them (E.164).
//!
//! "The Messaging API requires the recipient phone number in `To` to be in E.164 format."
//! <https://www.twilio.com/docs/api/errors/60703>

use sendoff::Value;

/// A number that Twilio can be given: `+4369912345678`, or with a channel `whatsapp:+43…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Number(String);

/// A country code, such as `43`: for numbers that have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Country(String);

/// Countries all of whose mobile numbers have so many digits behind the code: there it is certain
/// whether a number that begins with the code's digits has it.
/// <https://www.itu.int/oth/T0202.aspx?parent=T0202>
const OF_ONE_LENGTH: [(&str, usize); 15] = [
    ("1", 10),
    ("7", 10),
    ("31", 9),
    ("33", 9),
    ("34", 9),
    ("41", 9),
    ("44", 10),
    ("45", 8),
    ("47", 8),
    ("48", 9),
    ("61", 9),
    ("65", 8),
    ("91", 10),
    ("351", 9),
    ("420", 9),
];
/// Elsewhere only a number with more digits than this is taken to have it.
const LONGEST_NATIONAL: usize = 10;

impl Value for Country {
    fn parse(text: &str) -> Result<Self, String> {
        let code = text.trim().trim_start_matches('+').trim_start_matches('0');
        if !(1..=3).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("Enter a country code such as 1 or 43.".to_owned());
        }
        Ok(Self(code.to_owned()))
    }
}

impl Country {
    /// The country of a sender's number, where its code is certain.
    pub(super) fn of_sender(number: &str) -> Option<Self> {
        number.trim().starts_with("+1").then(|| Self("1".to_owned()))
    }

    /// The digits of a number without `+`, with the country code in front.
    fn complete(&self, digits: &str) -> Result<String, String> {
        let Self(code) = self;
        let national = format!("{code}{}", digits.trim_start_matches('0'));
        let Some(rest) = digits.strip_prefix(code.as_str()) else { return Ok(national) };
        let length =
            OF_ONE_LENGTH.iter().find(|(known, _)| known == code).map(|(_, length)| *length);
        match length {
            Some(length) if rest.len() == length => Ok(digits.to_owned()),
            Some(length) if digits.len() == length => Ok(national),
            None if digits.len() > LONGEST_NATIONAL => Ok(digits.to_owned()),
            _ => Err(format!(
                "begins with {code} and does not say whether that is its country code: write it \
                 with + and the country code in front"
            )),
        }
    }
}

impl Number {
    /// Reads a number.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, country: Option<&Country>) -> Result<Self, String> {
        let text = text.trim();
        let (channel, rest) = match text.split_once(':') {
            Some((channel @ ("whatsapp" | "messenger" | "rcs"), rest)) => (Some(channel), rest),
            _ => (None, text),
        };
        if channel == Some("messenger") {
            return Ok(Self(text.to_owned()));
        }
        let plain = |c: char| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}');
        let all: String = rest.chars().filter(|c| plain(*c)).collect();
        let international = all.strip_prefix('+').or_else(|| all.strip_prefix("00"));
        let digits = international.unwrap_or(&all);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("is no phone number".to_owned());
        }
        match (international, country) {
            (Some(digits), _) => Self::checked(channel, digits),
            (None, Some(country)) => Self::checked(channel, &country.complete(digits)?),
            (None, None) => Err("has no country code: write it with + and the code in front, or \
                                 enter a Default Country Code"
                .to_owned()),
        }
    }

    /// E.164 has at most 15 digits, and no country's numbers are shorter than 7.
    fn checked(channel: Option<&str>, digits: &str) -> Result<Self, String> {
        if !(7..=15).contains(&digits.len()) {
            return Err(format!("has {} digits, and a phone number has 7 to 15", digits.len()));
        }
        let channel = channel.map_or_else(String::new, |channel| format!("{channel}:"));
        Ok(Self(format!("{channel}+{digits}")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, country: Option<&str>) -> Result<String, String> {
        let country = country.map(|code| Country::parse(code).unwrap());
        Number::parse(text, country.as_ref()).map(|number| number.as_str().to_owned())
    }

    #[test]
    fn numbers_become_e164() {
        for (text, country, want) in [
            ("+43 699 123 456 78", None, "+4369912345678"),
            ("0043 (699) 123-456-78", None, "+4369912345678"),
            ("0699 12345678", Some("43"), "+4369912345678"),
            ("(415) 555-2671", Some("+1"), "+14155552671"),
            ("whatsapp:+14155552671", None, "whatsapp:+14155552671"),
            ("whatsapp:0699 12345678", Some("043"), "whatsapp:+4369912345678"),
            // The + was lost, as where a column of numbers is a column of numbers.
            ("4369912345678", Some("43"), "+4369912345678"),
            ("1 415 555 2671", Some("1"), "+14155552671"),
            ("6591234567", Some("65"), "+6591234567"),
            // These only look so.
            ("9123456789", Some("91"), "+919123456789"),
            ("919123456789", Some("91"), "+919123456789"),
            ("7771234567", Some("7"), "+77771234567"),
        ] {
            assert_eq!(parse(text, country).as_deref(), Ok(want), "{text}");
        }
        for wrong in ["", "+", "n/a", "123", "+1234567890123456", "+43 699 x", "++4369912345678"] {
            assert!(parse(wrong, Some("43")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_whose_country_nobody_knows_is_refused() {
        let why = parse("4155552671", None).unwrap_err();
        assert!(why.starts_with("has no country code: "), "{why}");
        let why = parse("4366412345", Some("43")).unwrap_err();
        assert!(why.contains("does not say whether that is its country code"), "{why}");
        for wrong in ["", "at", "+", "4321", "0"] {
            assert!(Country::parse(wrong).is_err(), "{wrong}");
        }
    }
}
