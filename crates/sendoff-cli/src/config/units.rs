//! Durations and sizes as people write them.

use std::time::Duration;

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// In milliseconds, the largest first.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `30 s`, `25min` or `90`, which means seconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let unit = match unit {
        "" => 1_000,
        unit => TIMES.iter().find(|(name, _)| *name == unit)?.1,
    };
    Some(Duration::from_millis(number.checked_mul(unit)?))
}

/// Reads `10 GiB`, `1MB` or `4096`, which means bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit = match unit {
        "" => 1,
        unit => SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.checked_mul(unit)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

/// The shortest exact way to write a duration.
pub(super) fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    // 60 s reads better than 1 min, but nobody says 1000 ms.
    let fits = |factor: u64| ms.is_multiple_of(factor) && (ms > factor || factor <= 1_000);
    let found = TIMES.into_iter().find(|(_, factor)| fits(*factor));
    let (unit, factor) = found.unwrap_or(("ms", 1));
    format!("{} {unit}", ms / factor)
}

/// The shortest exact way to write a size, in binary units.
pub(super) fn show_size(bytes: u64) -> String {
    let binary = SIZES.iter().filter(|(name, _)| name.contains('i'));
    for (unit, factor) in binary {
        if bytes >= *factor && bytes.is_multiple_of(*factor) {
            return format!("{} {unit}", bytes / factor);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("30 s", 30_000),
            ("30s", 30_000),
            ("25 min", 1_500_000),
            ("1 h", 3_600_000),
            ("500 ms", 500),
            ("90", 90_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1", "1.5 s", "30 seconds", "1 d", "99999999999999999999", "1e3"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(duration(&format!("{} h", u64::MAX)), None);
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("10 GiB", 10 << 30), ("64KiB", 64 << 10), ("1 MB", 1_000_000), ("17", 17), ("5 B", 5)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "GiB", "1.5 GiB", "10 G", "99999999 TiB", "-5"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for ms in [0, 1, 999, 1_000, 1_001, 30_000, 60_000, 61_000, 780_000, 3_600_000, 7_200_000] {
            let value = Duration::from_millis(ms);
            assert_eq!(duration(&show_duration(value)), Some(value));
        }
        for bytes in [0, 1, 1023, 1024, 1025, 10 << 30, u64::MAX] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
        assert_eq!(show_duration(Duration::from_secs(60)), "60 s");
        assert_eq!(show_duration(Duration::from_secs(1)), "1 s");
        assert_eq!(show_duration(Duration::from_secs(1_500)), "25 min");
        assert_eq!(show_size(10 << 30), "10 GiB");
    }
}
