//! When a request is sent again, and how long before that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use tokio::time::Instant;

/// How often and how soon repeatable requests are repeated.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts in all; 1 is no retry.
    pub tries: u32,
    /// The wait before the second attempt; it doubles with each further one, and up to as much
    /// again is added at random, so that many deliveries do not come back together.
    pub first_wait: Duration,
    /// No wait of our own choice is longer.
    pub longest_wait: Duration,
    /// The longest wait that a vendor may ask for with `Retry-After`; beyond it the delivery fails
    /// at once and says how long to wait.
    pub longest_asked: Duration,
    /// How long a second lasts in what vendors ask for: in `Retry-After`, in a rate. Tests make it
    /// shorter.
    #[doc(hidden)]
    pub second: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 4,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(20),
            longest_asked: Duration::from_secs(300),
            second: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// `asked` as this policy counts seconds.
    pub(super) fn seconds(self, asked: Duration) -> Duration {
        if self.second == Duration::from_secs(1) {
            return asked;
        }
        Duration::try_from_secs_f64(asked.as_secs_f64() * self.second.as_secs_f64())
            .unwrap_or(Duration::MAX)
    }

    /// The waits between the attempts.
    pub(super) fn waits(self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.tries.saturating_sub(1) as usize)
            .with_jitter()
            .build()
    }
}

/// Whether this answer may be another one soon.
pub(super) fn passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Whether this answer is a gateway's that does not know what the server behind it did with the
/// request (RFC 9110, sections 15.6.3 and 15.6.5;
/// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/>).
/// 500 is the vendor's own word that it failed, and 503 that it did not begin.
pub(super) fn leaves_open(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502 | 504 | 520 | 524)
}

/// How long the vendor asks us to wait: seconds or a date (RFC 9110, section 10.2.3), else when
/// its limit begins anew. Rubbish is ignored.
pub(super) fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let Some(text) = headers.get(header::RETRY_AFTER) else { return begins_anew(headers, now) };
    let text = text.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds mean for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    // A date in the past asks for no wait.
    Some(at.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

/// `X-RateLimit-Reset` of a used-up limit, where it is a time in seconds since 1970, as SendGrid,
/// GitHub and Atlassian's older services send it, and DigitalOcean without the X. Elsewhere it
/// counts seconds; what is too small for a time is taken for that.
/// <https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits>
/// <https://docs.digitalocean.com/reference/api/reference/>
fn begins_anew(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| {
        let named = headers.get(name).or_else(|| headers.get(name.strip_prefix("x-")?))?;
        named.to_str().ok()?.trim().parse::<i64>().ok()
    };
    if number("x-ratelimit-remaining") != Some(0) {
        return None;
    }
    let reset = u64::try_from(number("x-ratelimit-reset")?).ok()?;
    let since_1970 = u64::try_from(now.as_second()).ok()?;
    Some(Duration::from_secs(match reset {
        0..1_000_000_000 => reset,
        at => at.saturating_sub(since_1970),
    }))
}

/// Retries that a host may still get, so that a dead vendor is not hit four times as hard.
///
/// Each delivery's first attempt earns 0.15 of a retry and each 10 s one whole, up to a reserve of
/// 10: under a vendor that fails a thousand requests in a row, at most 16 % more reach it.
#[derive(Default)]
pub(super) struct Budgets {
    hosts: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    /// In hundredths of a retry.
    hundredths: u64,
    since: Instant,
}

const RESERVE: u64 = 10 * RETRY;
const RETRY: u64 = 100;
const EARNED: u64 = 15;
const ONE_RETRY_EACH: Duration = Duration::from_secs(10);
/// Users choose hosts, so the table is bounded.
const HOSTS: usize = 1024;

impl Budgets {
    /// A first attempt goes to `host`.
    pub(super) fn earn(&self, host: &str, now: Instant) {
        self.with(host, now, |bucket| bucket.hundredths = RESERVE.min(bucket.hundredths + EARNED));
    }

    /// Takes one retry, if there is one.
    pub(super) fn spend(&self, host: &str, now: Instant) -> bool {
        self.with(host, now, |bucket| match bucket.hundredths.checked_sub(RETRY) {
            Some(rest) => {
                bucket.hundredths = rest;
                true
            }
            None => false,
        })
    }

    fn with<T>(&self, host: &str, now: Instant, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = hosts.get_mut(host) {
            bucket.refill(now);
            return act(bucket);
        }
        if hosts.len() >= HOSTS {
            // A full bucket says no more than none does. If all are in use, all start anew.
            hosts.retain(|_, bucket| {
                bucket.refill(now);
                bucket.hundredths < RESERVE
            });
            if hosts.len() >= HOSTS {
                hosts.clear();
            }
        }
        act(hosts.entry(host.to_owned()).or_insert(Bucket { hundredths: RESERVE, since: now }))
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let earned = now.duration_since(self.since).as_millis() * u128::from(RETRY)
            / ONE_RETRY_EACH.as_millis();
        if earned > 0 {
            self.since = now;
            self.hundredths =
                RESERVE.min(self.hundredths + u64::try_from(earned).unwrap_or(RESERVE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_by(value: &str) -> Option<Duration> {
        let now = "2026-11-24T08:00:00Z".parse().expect("a time");
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().expect("a header value"));
        asked(&headers, now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(asked_by("1"), seconds(1));
        assert_eq!(asked_by(" 3600 "), seconds(3600));
        assert_eq!(asked_by("99999999999999999999999"), seconds(u64::MAX));
        assert_eq!(asked_by("Tue, 24 Nov 2026 08:01:30 GMT"), seconds(90));
        assert_eq!(asked_by("Tue, 24 Nov 2026 07:00:00 GMT"), seconds(0));
        for rubbish in ["soon", "-5", "1.5", "", "Tue, 99 Nov 2026 08:01:30 GMT"] {
            assert_eq!(asked_by(rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn a_used_up_limit_says_when_it_begins_anew() {
        let now = "2026-11-24T08:00:00Z".parse().expect("a time");
        let said = |remaining: &'static str, reset: String| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-remaining", remaining.parse().expect("a value"));
            headers.insert("x-ratelimit-reset", reset.parse().expect("a value"));
            asked(&headers, now)
        };
        let at = |seconds: i64| (now.as_second() + seconds).to_string();
        assert_eq!(said("0", at(7)), Some(Duration::from_secs(7)));
        assert_eq!(said("0", at(-7)), Some(Duration::ZERO));
        assert_eq!(said("0", "12".into()), Some(Duration::from_secs(12)));
        assert_eq!(said("3", at(7)), None);
        assert_eq!(said("0", "soon".into()), None);
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-remaining", "0".parse().expect("a value"));
        headers.insert("ratelimit-reset", at(7).parse().expect("a value"));
        assert_eq!(asked(&headers, now), Some(Duration::from_secs(7)));
    }

    #[test]
    fn waits_double_within_their_bounds() {
        let waits: Vec<_> = RetryPolicy::default().waits().map(|wait| wait.as_millis()).collect();
        assert_eq!(waits.len(), 3);
        for (wait, least) in waits.iter().zip([500, 1000, 2000]) {
            assert!((least..=2 * least).contains(wait), "{waits:?}");
        }
        let none = RetryPolicy { tries: 1, ..RetryPolicy::default() };
        assert_eq!(none.waits().count(), 0);
    }

    #[test]
    fn a_dead_host_gets_at_most_a_fifth_more_requests() {
        let (budgets, now) = (Budgets::default(), Instant::now());
        let mut retries = 0;
        for _ in 0..1000 {
            budgets.earn("dead.example", now);
            for _ in 0..3 {
                retries += u32::from(budgets.spend("dead.example", now));
            }
        }
        assert!((10..=200).contains(&retries), "{retries}");
        assert!(budgets.spend("other.example", now), "another host has its own budget");
        while budgets.spend("dead.example", now) {}
        let later = now + ONE_RETRY_EACH;
        assert!(budgets.spend("dead.example", later), "time mends");
        assert!(!budgets.spend("dead.example", later));
    }

    #[test]
    fn the_table_of_hosts_is_bounded() {
        let (budgets, now) = (Budgets::default(), Instant::now());
        for n in 0..3 * HOSTS {
            budgets.spend(&format!("{n}.example"), now);
        }
        assert!(budgets.hosts.lock().expect("no panic").len() <= HOSTS);
    }
}
