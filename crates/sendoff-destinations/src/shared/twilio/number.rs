//! Phone numbers as Looker's data has them, as Twilio wants them (E.164).

/// A number that Twilio can be given: `+4369912345678`, or with a channel `whatsapp:+43…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Number(String);

impl Number {
    /// Reads a number. `country` is the code for numbers without one, such as `43`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, country: Option<&str>) -> Result<Self, String> {
        let text = text.trim();
        let (channel, rest) = match text.split_once(':') {
            Some((channel @ ("whatsapp" | "messenger" | "rcs"), rest)) => (Some(channel), rest),
            _ => (None, text),
        };
        if channel == Some("messenger") {
            return Ok(Self(text.to_owned()));
        }
        let plain = |c: char| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}');
        let mut digits: String = rest.chars().filter(|c| plain(*c)).collect();
        let international = if let Some(rest) = digits.strip_prefix('+') {
            digits = rest.to_owned();
            true
        } else if let Some(rest) = digits.strip_prefix("00") {
            digits = rest.to_owned();
            true
        } else {
            false
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("is no phone number".to_owned());
        }
        if !international {
            let Some(code) = country else {
                // Twilio reads a number without a country as one of the sender's.
                return Self::checked(channel, "", &digits);
            };
            let code = code.trim().trim_start_matches('+');
            digits = format!("{code}{}", digits.trim_start_matches('0'));
        }
        Self::checked(channel, "+", &digits)
    }

    /// E.164 has at most 15 digits, and no country's numbers are shorter than 7.
    fn checked(channel: Option<&str>, plus: &str, digits: &str) -> Result<Self, String> {
        if !(7..=15).contains(&digits.len()) {
            return Err(format!("has {} digits, and a phone number has 7 to 15", digits.len()));
        }
        let channel = channel.map_or_else(String::new, |channel| format!("{channel}:"));
        Ok(Self(format!("{channel}{plus}{digits}")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_e164() {
        let table = [
            ("+43 699 123 456 78", None, "+4369912345678"),
            ("0043 (699) 123-456-78", None, "+4369912345678"),
            ("0699 12345678", Some("43"), "+4369912345678"),
            ("(415) 555-2671", Some("+1"), "+14155552671"),
            ("4155552671", None, "4155552671"),
            ("whatsapp:+14155552671", None, "whatsapp:+14155552671"),
        ];
        for (text, country, want) in table {
            assert_eq!(Number::parse(text, country).as_ref().map(Number::as_str), Ok(want));
        }
        for wrong in ["", "+", "n/a", "123", "+1234567890123456", "+43 699 x", "++4369912345678"] {
            assert!(Number::parse(wrong, Some("43")).is_err(), "{wrong}");
        }
    }
}
