//! Dates and times as Looker writes them, as points in time.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::value::CellValue;

/// The zones that come with the program: the machine may have none, and reading its files would
/// block.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The time zone of an IANA name such as `Europe/Berlin`, in which Looker names a query's zone.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("utc") { Some(TimeZone::UTC) } else { ZONES.get(name).ok() }
}

impl CellValue<'_> {
    /// The point in time that a date or time names. `zone` is the
    /// [query's](crate::Context::time_zone), which Looker's texts are in unless they name an
    /// offset; a date is its first moment there, and a month the first moment of its first day.
    pub fn timestamp(self, zone: &TimeZone) -> Option<Timestamp> {
        timestamp(self.as_str()?.trim(), zone)
    }
}

/// See [`CellValue::timestamp`].
pub(crate) fn timestamp(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    let (text, zone) = match text.strip_suffix("UTC") {
        Some(text) => (text.trim_end(), &TimeZone::UTC),
        None => (text, zone),
    };
    let is_month = text.len() == 7 && text.as_bytes().get(4) == Some(&b'-');
    let civil = if is_month { format!("{text}-01").parse() } else { text.parse::<DateTime>() };
    civil.ok()?.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, zone: &str) -> Option<String> {
        let zone = time_zone(zone).unwrap();
        CellValue::Text(text).timestamp(&zone).map(|time| time.to_string())
    }

    #[test]
    fn a_text_without_an_offset_is_in_the_querys_zone() {
        let table = [
            ("2026-11-25 08:00:00", "Europe/Berlin", "2026-11-25T07:00:00Z"),
            ("2026-07-01 08:00:00", "Europe/Berlin", "2026-07-01T06:00:00Z"),
            ("2026-11-25T08:00:00.250", "America/New_York", "2026-11-25T13:00:00.25Z"),
            ("2026-11-25 08:00", "UTC", "2026-11-25T08:00:00Z"),
            ("2026-11-25", "Asia/Kolkata", "2026-11-24T18:30:00Z"),
            ("2026-11", "utc", "2026-11-01T00:00:00Z"),
            // An offset in the text goes before the query's zone.
            ("2026-11-25T08:00:00+00:00", "Asia/Kolkata", "2026-11-25T08:00:00Z"),
            ("2026-11-25 08:00:00 UTC", "Asia/Kolkata", "2026-11-25T08:00:00Z"),
            // The hour that the clocks leave out, and the one that comes twice.
            ("2026-03-29 02:30:00", "Europe/Berlin", "2026-03-29T01:30:00Z"),
            ("2026-10-25 02:30:00", "Europe/Berlin", "2026-10-25T00:30:00Z"),
        ];
        for (text, zone, want) in table {
            assert_eq!(read(text, zone).as_deref(), Some(want), "{text} in {zone}");
        }
        for none in ["", "soon", "2026", "2026-13", "2026-Q3", "8", "UTC"] {
            assert_eq!(read(none, "UTC"), None, "{none}");
        }
        assert_eq!(CellValue::Number("2026").timestamp(&TimeZone::UTC), None);
    }

    proptest! {
        /// Whatever the zone: a moment, written there as Looker writes it, reads back as itself,
        /// unless its clock shows that time twice.
        #[test]
        fn what_a_zone_shows_reads_back(
            seconds in 0_i64..4_000_000_000,
            zone in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Apia",
                "Australia/Lord_Howe",
            ]),
        ) {
            let zone = time_zone(zone).unwrap();
            let moment = Timestamp::from_second(seconds).unwrap();
            let shown = moment.to_zoned(zone.clone());
            let text = shown.strftime("%Y-%m-%d %H:%M:%S").to_string();
            let read = CellValue::Text(&text).timestamp(&zone).unwrap();
            let again = read.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string();
            prop_assert_eq!(again, text);
            prop_assert!((read.as_second() - seconds).abs() <= 3_600);
        }
    }
}
