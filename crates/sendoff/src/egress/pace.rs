//! How fast a vendor may be asked: one clock for all requests that share it.
//!
//! Not the crate `governor`: it keeps a clock of its own, which tokio's paused clock in tests does
//! not move, and it knows no "nobody before this time", which is what a vendor's 429 means.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How fast a vendor may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rate {
    /// As fast as it answers.
    #[default]
    Unlimited,
    /// So many requests a second.
    Requests(f64),
    /// So many rows a second.
    Rows(f64),
}

/// What a vendor allows one account, see [`Http::within`](crate::Http::within).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// So many requests begin at most,
    pub requests: usize,
    /// in any time as long as this.
    pub within: Duration,
    /// The least rest after a 429 that names no time.
    pub cool_down: Duration,
}

/// Who wakes late may catch up so much: timers are exact to a millisecond only.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Admits requests at a rate, and nobody while a vendor wants to be left alone.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Rate,
    /// The least rest after a 429 that names no time.
    cool_down: Duration,
    /// In place of a rate.
    quota: Option<(usize, Duration)>,
    clock: Mutex<Clock>,
}

#[derive(Debug)]
struct Clock {
    /// When the last requests began or will begin, as many as a quota allows.
    begun: VecDeque<Instant>,
    /// When the next request may begin, by the rate.
    next: Instant,
    /// When any may, by the vendor's word.
    rested: Instant,
}

impl Pace {
    /// `second` is how long a second of the rate lasts.
    pub(crate) fn new(rate: Rate, cool_down: Duration, second: Duration) -> Self {
        let now = Instant::now();
        let second = second.as_secs_f64();
        let rate = match rate {
            Rate::Unlimited => rate,
            Rate::Requests(rate) => Rate::Requests(rate / second),
            Rate::Rows(rate) => Rate::Rows(rate / second),
        };
        let cool_down = cool_down.mul_f64(second);
        let clock = Mutex::new(Clock { begun: VecDeque::new(), next: now, rested: now });
        Self { rate, cool_down, quota: None, clock }
    }

    /// `second` as for [`new`](Self::new).
    pub(crate) fn of_quota(quota: Quota, second: Duration) -> Self {
        let within = quota.within.mul_f64(second.as_secs_f64());
        let pace = Self::new(Rate::Unlimited, quota.cool_down, second);
        Self { quota: Some((quota.requests.max(1), within)), ..pace }
    }

    /// Whether nothing is left of what was asked for: a new one would be the same.
    fn is_at_rest(&self) -> bool {
        let now = Instant::now();
        let clock = self.clock();
        let within = self.quota.map_or(Duration::ZERO, |(_, within)| within);
        let last = clock.begun.back().is_none_or(|last| *last + within <= now);
        last && clock.rested <= now && clock.next <= now
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request with so many rows may begin.
    pub(crate) async fn admit(&self, rows: u64) {
        let mut at = self.reserve(rows);
        loop {
            // A pause may have been asked for while we slept.
            at = at.max(self.clock().rested);
            if at <= Instant::now() {
                return;
            }
            sleep_until(at).await;
        }
    }

    fn reserve(&self, rows: u64) -> Instant {
        let now = Instant::now();
        if let Some((requests, within)) = self.quota {
            let begun = &mut self.clock().begun;
            let at = match begun.len() >= requests {
                true => begun.pop_front().map_or(now, |first| now.max(first + within)),
                false => now,
            };
            begun.push_back(at);
            return at;
        }
        let takes = match self.rate {
            Rate::Requests(rate) if rate > 0.0 => 1.0 / rate,
            Rate::Rows(rate) if rate > 0.0 => rows as f64 / rate,
            _ => return now,
        };
        let mut clock = self.clock();
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let at = clock.next.max(earliest);
        // A rate from a setting may be next to nothing; a day is as good as for ever.
        clock.next = at + Duration::from_secs_f64(takes.min(86_400.0));
        at
    }

    /// Nobody begins for so long.
    pub(crate) fn pause(&self, wait: Duration) {
        let now = Instant::now();
        let until = now.checked_add(wait).unwrap_or(now);
        let mut clock = self.clock();
        clock.rested = clock.rested.max(until);
    }

    /// The least rest after a 429 that names no time.
    pub(crate) fn cool_down(&self) -> Duration {
        self.cool_down
    }
}

/// The paces of accounts that several deliveries may use, at once or one after another. One is kept
/// while somebody uses it, and then until a new one would be the same.
#[derive(Default)]
pub(super) struct Paces(Mutex<HashMap<String, Arc<Pace>>>);

impl Paces {
    pub(super) fn shared(&self, account: &str, make: impl FnOnce() -> Pace) -> Arc<Pace> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = all.get(account) {
            return Arc::clone(pace);
        }
        all.retain(|_, pace| Arc::strong_count(pace) > 1 || !pace.is_at_rest());
        let pace = Arc::new(make());
        all.insert(account.to_owned(), Arc::clone(&pace));
        pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: Rate) -> Pace {
        Pace::new(rate, Duration::ZERO, Duration::from_secs(1))
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_their_distance_and_rows_weigh() {
        let began = Instant::now();
        let five = pace(Rate::Requests(5.0));
        for _ in 0..11 {
            five.admit(1).await;
        }
        assert_eq!(began.elapsed().as_millis(), 2_000);

        let began = Instant::now();
        let rows = pace(Rate::Rows(1_000.0));
        for _ in 0..4 {
            rows.admit(2_500).await;
        }
        assert_eq!(began.elapsed().as_millis(), 7_500);

        let began = Instant::now();
        let free = pace(Rate::Unlimited);
        for _ in 0..1_000 {
            free.admit(1).await;
        }
        assert_eq!(began.elapsed().as_millis(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_earns_no_burst() {
        let pace = pace(Rate::Requests(10.0));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        for _ in 0..21 {
            pace.admit(1).await;
        }
        let took = began.elapsed().as_millis();
        assert!((1_900..=2_000).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_whoever_waits_already() {
        let pace = pace(Rate::Requests(1.0));
        pace.admit(1).await;
        let began = Instant::now();
        let waits = pace.admit(1);
        let asks = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            pace.pause(Duration::from_secs(30));
            // The longer of two counts.
            pace.pause(Duration::from_secs(3));
        };
        tokio::join!(waits, asks);
        assert_eq!(began.elapsed().as_millis(), 30_500);
    }

    /// Sixty in any minute, wherever it begins.
    #[tokio::test(start_paused = true)]
    async fn a_quota_is_used_up_at_once_and_comes_back_as_it_was_used() {
        let minute = Duration::from_secs(60);
        let quota = Quota { requests: 60, within: minute, cool_down: Duration::ZERO };
        let pace = Pace::of_quota(quota, Duration::from_secs(1));
        let mut began = Vec::new();
        for nth in 0..200 {
            pace.admit(1).await;
            began.push(Instant::now());
            // Not all at the same moment.
            if nth < 40 {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        let all = began[199].duration_since(began[0]);
        assert_eq!(all.as_secs(), 3 * 60 + 9, "as fast as it may be");
        for (nth, at) in began.iter().enumerate().skip(60) {
            assert!(at.duration_since(began[nth - 60]) >= minute, "request {nth}");
        }
        tokio::time::sleep(minute).await;
        let again = Instant::now();
        for _ in 0..60 {
            pace.admit(1).await;
        }
        assert_eq!(again.elapsed().as_millis(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_has_one_pace_until_a_new_one_would_be_the_same() {
        let paces = Paces::default();
        let one = paces.shared("a", || pace(Rate::Unlimited));
        assert!(Arc::ptr_eq(&one, &paces.shared("a", || pace(Rate::Unlimited))));
        assert!(!Arc::ptr_eq(&one, &paces.shared("b", || pace(Rate::Unlimited))));
        drop(one);
        // Who comes after another finds what that one has left.
        paces.shared("busy", || pace(Rate::Requests(1.0))).admit(1).await;
        paces.shared("c", || pace(Rate::Unlimited));
        let kept = || {
            let mut names: Vec<_> = paces.0.lock().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(kept(), ["busy", "c"], "what nobody uses is forgotten");
        tokio::time::sleep(Duration::from_secs(2)).await;
        paces.shared("d", || pace(Rate::Unlimited));
        assert_eq!(kept(), ["d"]);
    }
}
