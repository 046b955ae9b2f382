//! Looker's dates and times as Google's: days since the end of 1899, which a number format shows as
//! a date (<https://developers.google.com/workspace/sheets/api/guides/formats#about_date_time_values>).

use jiff::civil::{Date, DateTime, date};
use serde_json::{Value, json};

/// What kind of dates a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Day,
    Time,
}

/// Day 0.
const EPOCH: Date = date(1899, 12, 30);
/// Google's own calendar begins here.
const FIRST: Date = date(1900, 1, 1);

impl Moment {
    /// By Looker's type of a field. Months, quarters and parts of dates are no dates.
    pub(super) fn of(field_type: &str) -> Option<Self> {
        match field_type {
            "date" | "date_date" | "date_week" => Some(Self::Day),
            "date_time" | "date_second" | "date_minute" | "date_millisecond"
            | "date_microsecond" | "date_raw" => Some(Self::Time),
            _ => None,
        }
    }

    /// The number of days; `None` for what is no date, or names an offset.
    pub(super) fn serial(self, text: &str) -> Option<f64> {
        let plain =
            |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b' ' | b'T');
        if text.len() < 10
            || !text.bytes().all(plain)
            || text.bytes().filter(|b| *b == b'-').count() != 2
        {
            return None;
        }
        let moment: DateTime = text.parse().ok()?;
        if moment.date() < FIRST {
            return None;
        }
        let days = moment.date().since(EPOCH).ok()?.get_days();
        let time = moment.time();
        let seconds = i32::from(time.hour()) * 3_600
            + i32::from(time.minute()) * 60
            + i32::from(time.second());
        let seconds = f64::from(seconds) + f64::from(time.subsec_nanosecond()) / 1e9;
        Some(f64::from(days) + seconds / 86_400.0)
    }

    /// How it is shown where the sheet has no date format of its own: as Looker writes it.
    pub(super) fn format(self) -> Value {
        match self {
            Self::Day => json!({"type": "DATE", "pattern": "yyyy-mm-dd"}),
            Self::Time => json!({"type": "DATE_TIME", "pattern": "yyyy-mm-dd hh:mm:ss"}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted_as_google_counts_them() {
        for (text, days) in [
            ("1900-01-01", 2.0),
            ("2026-11-25", 46_351.0),
            ("2026-11-25 12:00:00", 46_351.5),
            ("2026-11-25T18:00", 46_351.75),
            ("2026-11-25 00:00:00.864", 46_351.000_01),
        ] {
            assert_eq!(Moment::Time.serial(text), Some(days), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-11",
            "1899-12-31",
            "2026-13-01",
            "2026-11-25 12:00:00Z",
            "2026-11-25T12:00:00+01:00",
            "2026-11-25T12:00:00-01:00",
            "soon, at ten",
        ] {
            assert_eq!(Moment::Day.serial(text), None, "{text}");
        }
        assert_eq!(Moment::of("date_month"), None);
    }
}
