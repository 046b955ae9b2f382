//! What a column's values become in the database, by its physical and its logical type.

use std::fmt::Write;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::schema::types::{ColumnDescriptor, Type as SchemaType};
use rusqlite::types::Value;

use crate::warehouse::import::{Kind, MAX_RECORD};

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Bool,
    Integer,
    /// Of 64 bits without a sign: what is beyond the database's numbers is a text.
    Unsigned,
    Real,
    Decimal {
        scale: u32,
    },
    /// Days since 1970.
    Date,
    /// Since midnight, in parts of a second.
    Time {
        digits: u32,
    },
    /// Since 1970, in parts of a second.
    Timestamp {
        digits: u32,
    },
    Text,
    /// Texts that were never declared to be any, else bytes.
    Bytes,
    Uuid,
    Interval,
    HalfFloat,
}

impl Meaning {
    pub(super) fn of(column: &ColumnDescriptor) -> Self {
        Self::of_type(column.self_type())
    }

    /// Of a type that is no group.
    pub(super) fn of_type(kind: &SchemaType) -> Self {
        let SchemaType::PrimitiveType { basic_info, physical_type, scale, .. } = kind else {
            return Self::Bytes;
        };
        let digits = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => 3,
            TimeUnit::MICROS => 6,
            TimeUnit::NANOS => 9,
        };
        let scale = u32::try_from(*scale).unwrap_or_default();
        match basic_info.logical_type_ref() {
            Some(LogicalType::Timestamp(time)) => {
                return Self::Timestamp { digits: digits(&time.unit) };
            }
            Some(LogicalType::Time(time)) => return Self::Time { digits: digits(&time.unit) },
            Some(LogicalType::Decimal(decimal)) => {
                return Self::Decimal { scale: u32::try_from(decimal.scale).unwrap_or_default() };
            }
            Some(LogicalType::Uuid) => return Self::Uuid,
            Some(LogicalType::Float16) => return Self::HalfFloat,
            // A column of unknown type has nulls alone.
            Some(
                LogicalType::String | LogicalType::Enum | LogicalType::Json | LogicalType::Unknown,
            ) => return Self::Text,
            _ => {}
        }
        match (basic_info.converted_type(), *physical_type) {
            (ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON, _) => Self::Text,
            (ConvertedType::DECIMAL, _) => Self::Decimal { scale },
            (ConvertedType::DATE, _) => Self::Date,
            (ConvertedType::TIME_MILLIS, _) => Self::Time { digits: 3 },
            (ConvertedType::TIME_MICROS, _) => Self::Time { digits: 6 },
            (ConvertedType::TIMESTAMP_MILLIS, _) => Self::Timestamp { digits: 3 },
            (ConvertedType::TIMESTAMP_MICROS, _) => Self::Timestamp { digits: 6 },
            (ConvertedType::INTERVAL, _) => Self::Interval,
            (ConvertedType::UINT_64, _) => Self::Unsigned,
            (_, Type::BOOLEAN) => Self::Bool,
            (_, Type::INT32 | Type::INT64) => Self::Integer,
            // Spark and Hive wrote times so before 2018, to the nanosecond.
            (_, Type::INT96) => Self::Timestamp { digits: 9 },
            (_, Type::FLOAT | Type::DOUBLE) => Self::Real,
            (_, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY) => Self::Bytes,
        }
    }

    /// The kind of the table's column; `None` where the values decide, as in a CSV.
    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            Self::Integer => Some(Kind::Integer),
            Self::Real | Self::HalfFloat => Some(Kind::Real),
            Self::Unsigned | Self::Decimal { .. } => None,
            _ => Some(Kind::Text),
        }
    }

    /// Whether its texts are numbers.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Unsigned | Self::Decimal { .. })
    }

    /// A whole number.
    pub(super) fn integer(self, number: i64) -> Result<Value, String> {
        Ok(match self {
            Self::Unsigned => Value::Text((number as u64).to_string()),
            Self::Decimal { scale } => Value::Text(decimal(i128::from(number), scale)),
            Self::Date => Value::Text(date(number)?),
            Self::Time { digits } => Value::Text(time(number, digits)?),
            Self::Timestamp { digits } => Value::Text(timestamp(i128::from(number), digits)?),
            _ => Value::Integer(number),
        })
    }

    /// A number with a fraction: NaN and the infinite are null, since neither SQL nor JSON has them.
    pub(super) fn real(number: f64) -> Value {
        if number.is_finite() { Value::Real(number) } else { Value::Null }
    }

    /// A number of 32 bits, as it is written and not as it is stored: 0.1 and not 0.10000000149.
    pub(super) fn short_real(number: f32) -> Value {
        Self::real(number.to_string().parse().unwrap_or_else(|_| f64::from(number)))
    }

    /// The day of the Julian calendar, and nanoseconds of that day.
    pub(super) fn int96(words: &[u32]) -> Result<Value, String> {
        let [low, high, day] = words else { return Err("a time is no time".into()) };
        let nanoseconds = (i128::from(*high) << 32) | i128::from(*low);
        let days = i128::from(*day) - 2_440_588;
        timestamp(days * 86_400_000_000_000 + nanoseconds, 9).map(Value::Text)
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Result<Value, String> {
        if bytes.len() > MAX_RECORD {
            return Err("a value in it is longer than 1 MiB".into());
        }
        Ok(match (self, bytes) {
            (Self::Text, bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => return Err("a text in it is not UTF-8".into()),
            },
            (Self::Decimal { scale }, bytes) => {
                let Some(number) = big_endian(bytes) else {
                    return Err("a number in it has more than 38 digits".into());
                };
                Value::Text(decimal(number, scale))
            }
            (Self::Uuid, bytes) if bytes.len() == 16 => {
                let hex = hex(bytes);
                let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
                Value::Text(parts.join("-"))
            }
            (Self::HalfFloat, [low, high]) => {
                Self::short_real(half::f16::from_le_bytes([*low, *high]).to_f32())
            }
            (Self::Interval, bytes) if bytes.len() == 12 => Value::Text(interval(bytes)),
            (_, bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if self == Self::Bytes => Value::Text(text.to_owned()),
                _ => Value::Text(format!("0x{}", hex(bytes))),
            },
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn big_endian(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    // Longer ones are filled up with their sign.
    let cut = bytes.len().saturating_sub(16);
    let (more, low) = bytes.split_at(cut);
    let mut whole = [fill; 16];
    whole[16 - low.len()..].copy_from_slice(low);
    let number = i128::from_be_bytes(whole);
    (more.iter().all(|byte| *byte == fill) && (number < 0) == negative).then_some(number)
}

/// `12.3`: without zeros at the end, so that it is a number like any other.
fn decimal(number: i128, scale: u32) -> String {
    let digits = number.unsigned_abs().to_string();
    let scale = scale as usize;
    let digits = format!("{digits:0>width$}", width = scale.saturating_add(1).min(80));
    let (whole, part) = digits.split_at(digits.len() - scale.min(digits.len() - 1));
    let part = part.trim_end_matches('0');
    let sign = if number < 0 { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

fn date(days: i64) -> Result<String, String> {
    let first = Date::constant(1970, 1, 1);
    let day = i32::try_from(days).ok().map(|days| jiff::Span::new().try_days(days));
    match day.and_then(Result::ok).map(|days| first.checked_add(days)) {
        Some(Ok(day)) => Ok(day.to_string()),
        _ => Err("a date in it is beyond the year 9999".into()),
    }
}

/// `09:05:00.25`: the part of the second where there is one.
fn time(count: i64, digits: u32) -> Result<String, String> {
    let one = 10_i64.pow(digits);
    let (seconds, part) = (count.div_euclid(one), count.rem_euclid(one));
    if !(0..=86_400).contains(&seconds) {
        return Err("a time in it is no time of a day".into());
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    Ok(with_part(format!("{hours:02}:{minutes:02}:{:02}", seconds % 60), part, digits))
}

/// `2026-11-25 16:39:45`: in UTC, which is the time zone of the demo's queries; a time without a zone
/// stands as it is.
pub(super) fn timestamp(count: i128, digits: u32) -> Result<String, String> {
    let one = 10_i128.pow(digits);
    let part = i64::try_from(count.rem_euclid(one)).unwrap_or_default();
    let seconds = i64::try_from(count.div_euclid(one)).ok();
    let since = seconds.map(|seconds| Timestamp::from_duration(SignedDuration::from_secs(seconds)));
    let Some(Ok(since)) = since else {
        return Err("a time in it is beyond the year 9999".into());
    };
    let civil = since.to_zoned(TimeZone::UTC).datetime();
    let text = format!("{} {}", civil.date(), civil.time());
    Ok(with_part(text, part, digits))
}

fn with_part(mut text: String, part: i64, digits: u32) -> String {
    if part > 0 {
        let part = format!("{part:0>width$}", width = digits as usize);
        text.push('.');
        text.push_str(part.trim_end_matches('0'));
    }
    text
}

/// Months, days and milliseconds, as ISO 8601 writes them.
fn interval(bytes: &[u8]) -> String {
    let part = |n: usize| {
        let bytes = bytes.get(n * 4..n * 4 + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).unwrap_or_default()
    };
    let (months, days, milliseconds) = (part(0), part(1), part(2));
    let seconds = (milliseconds / 1_000).to_string();
    let seconds = with_part(seconds, i64::from(milliseconds % 1_000), 3);
    format!("P{months}M{days}DT{seconds}S")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(decimal(1_230, 2), "12.3");
        assert_eq!(decimal(-5, 3), "-0.005");
        assert_eq!(decimal(0, 9), "0");
        assert_eq!(decimal(700, 0), "700");
        assert_eq!(big_endian(&[0xff, 0xfe]), Some(-2));
        assert_eq!(big_endian(&[0; 20]), Some(0));
        assert_eq!(big_endian(&[1; 17]), None);
        // What fits 16 bytes only without its sign is another number.
        let mut large = [0_u8; 17];
        large[1] = 0x80;
        assert_eq!(big_endian(&large), None);
    }

    #[test]
    fn times_are_those_of_a_calendar() {
        assert_eq!(date(20_782).unwrap(), "2026-11-25");
        assert_eq!(date(-1).unwrap(), "1969-12-31");
        assert!(date(i64::from(i32::MAX)).is_err());
        assert_eq!(timestamp(-1, 3).unwrap(), "1969-12-31 23:59:59.999");
        assert_eq!(timestamp(1_500_000_000, 9).unwrap(), "1970-01-01 00:00:01.5");
        assert!(timestamp(i128::from(i64::MAX), 3).is_err());
        assert_eq!(time(32_700_250, 3).unwrap(), "09:05:00.25");
        assert!(time(-1, 3).is_err());
    }
}
