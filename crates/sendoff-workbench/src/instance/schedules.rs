//! Schedules: a send at the times of a cron expression in a time zone.

use std::fmt;
use std::str::FromStr;

use croner::parser::{CronParser, Seconds};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::history::{RunStatus, Trigger};
use super::sends::{Order, Running};
use super::{Instance, Refused, locked};
use crate::progress::Progress;

/// A schedule's number.
pub type ScheduleId = u64;

/// A time at which something is to be done: five fields of cron, in a time zone.
///
/// Where clocks go forward, a time that the day has not is the first after the gap; where they go
/// back, a fixed time that the day has twice comes once.
#[derive(Clone, Debug)]
pub struct Cron {
    text: String,
    zone: String,
    parsed: croner::Cron,
    time_zone: TimeZone,
}

/// The text is no cron expression, or the zone is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSchedule(String);

impl fmt::Display for BadSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSchedule {}

impl Cron {
    /// Reads minute, hour, day of the month, month and day of the week, and a zone such as
    /// `Europe/Berlin`.
    ///
    /// # Errors
    /// One of the two cannot be read.
    pub fn new(text: &str, zone: &str) -> Result<Self, BadSchedule> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
        let parsed = parser.parse(text.trim()).map_err(|error| {
            BadSchedule(format!(
                "`{text}` is no cron expression: {error}. `0 6 * * 1` is every Monday at 06:00."
            ))
        })?;
        let time_zone = TimeZone::get(zone).map_err(|_| {
            BadSchedule(format!("`{zone}` is no time zone; `Europe/Berlin` would be one."))
        })?;
        let (text, zone) = (text.trim().to_owned(), zone.to_owned());
        Ok(Self { text, zone, parsed, time_zone })
    }

    /// The first time after this one; none when there will be none.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.to_zoned(self.time_zone.clone());
        let next = self.parsed.find_next_occurrence(&after, false).ok()?;
        Some(next.timestamp())
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The expression in words.
    pub fn describe(&self) -> String {
        self.parsed.describe()
    }
}

impl FromStr for Cron {
    type Err = BadSchedule;

    /// In UTC.
    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        Self::new(text, "UTC")
    }
}

/// A schedule as a user makes it.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    /// Its title.
    pub title: String,
    /// What is sent.
    pub order: Order,
    /// When.
    pub cron: Cron,
    /// Whether it runs.
    pub enabled: bool,
}

/// A schedule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Its number.
    pub id: ScheduleId,
    /// Its title.
    pub title: String,
    /// What is sent.
    pub order: Order,
    /// When, as cron.
    pub cron: String,
    /// In which time zone.
    pub zone: String,
    /// Whether it runs.
    pub enabled: bool,
    /// When it runs next. A time that passed while nobody ran the instance is made up for once,
    /// however many of them passed.
    pub next: Option<Timestamp>,
    /// When it ran last.
    pub last: Option<Timestamp>,
}

impl Instance {
    /// The schedules, in the order made.
    pub fn schedules(&self) -> Vec<Schedule> {
        locked(&self.0.book).schedules.values().cloned().collect()
    }

    /// Makes a schedule.
    ///
    /// # Errors
    /// There is no such action or user, or it cannot be kept.
    pub async fn schedule(&self, new: NewSchedule) -> Result<Schedule, Refused> {
        self.put_schedule(None, new).await
    }

    /// Changes a schedule.
    ///
    /// # Errors
    /// As [`Instance::schedule`], or there is no such schedule.
    pub async fn reschedule(&self, id: ScheduleId, new: NewSchedule) -> Result<Schedule, Refused> {
        if !locked(&self.0.book).schedules.contains_key(&id) {
            return Err(Refused(format!("There is no schedule {id}.")));
        }
        self.put_schedule(Some(id), new).await
    }

    async fn put_schedule(
        &self,
        id: Option<ScheduleId>,
        new: NewSchedule,
    ) -> Result<Schedule, Refused> {
        let schedule = {
            let mut book = locked(&self.0.book);
            book.known(&new.order.action)?;
            book.user(&new.order.user)?;
            let id = id.unwrap_or_else(|| book.number());
            let last = book.schedules.get(&id).and_then(|schedule| schedule.last);
            let mut order = new.order;
            order.title.get_or_insert_with(|| new.title.clone());
            let next = new.enabled.then(|| new.cron.next_after(Timestamp::now())).flatten();
            let schedule = Schedule {
                id,
                title: new.title,
                order,
                cron: new.cron.text,
                zone: new.cron.zone,
                enabled: new.enabled,
                next,
                last,
            };
            book.schedules.insert(id, schedule.clone());
            schedule
        };
        self.0.rescheduled.notify_one();
        self.saved().await?;
        Ok(schedule)
    }

    /// Removes a schedule; its history stays.
    ///
    /// # Errors
    /// It cannot be kept.
    pub async fn unschedule(&self, id: ScheduleId) -> Result<(), Refused> {
        locked(&self.0.book).schedules.remove(&id);
        self.0.rescheduled.notify_one();
        self.saved().await
    }

    /// Sends what a schedule sends, now ("Test now").
    ///
    /// # Errors
    /// There is no such schedule, or as [`Instance::send`].
    pub async fn send_now(&self, id: ScheduleId) -> Result<Running, Refused> {
        let order = locked(&self.0.book).schedules.get(&id).map(|schedule| schedule.order.clone());
        let order = order.ok_or_else(|| Refused(format!("There is no schedule {id}.")))?;
        self.begin(order, Trigger::SendNow, Some(id)).await
    }

    /// Begins what is due at this time, and gives the sends that began. [`Instance::run`] does it
    /// by the clock.
    ///
    /// The next time is kept before anything is sent: a run may be lost with the machine, but never
    /// comes twice.
    pub async fn fire_due(&self, now: Timestamp) -> Vec<Running> {
        let due: Vec<Schedule> = {
            let mut book = locked(&self.0.book);
            let is_due = |schedule: &&mut Schedule| {
                schedule.enabled && schedule.next.is_some_and(|next| next <= now)
            };
            let due = book.schedules.values_mut().filter(is_due);
            due.map(|schedule| {
                let cron = Cron::new(&schedule.cron, &schedule.zone).ok();
                schedule.next = cron.and_then(|cron| cron.next_after(now));
                schedule.last = Some(now);
                schedule.clone()
            })
            .collect()
        };
        if due.is_empty() {
            return Vec::new();
        }
        let kept = self.saved().await;
        let mut began = Vec::new();
        for schedule in due {
            let order = schedule.order.clone();
            // What could not be kept might come twice, so it is not sent.
            let begun = match kept.clone() {
                Ok(()) => self.begin(order, Trigger::Schedule, Some(schedule.id)).await,
                Err(refused) => Err(refused),
            };
            match begun {
                Ok(running) => began.push(running),
                Err(refused) => {
                    let (order, title) = (&schedule.order, &schedule.title);
                    let id = Some(schedule.id);
                    let run = self.start_run(order, title, Trigger::Schedule, id).await;
                    let none = Progress::default();
                    self.end_run(run, RunStatus::Failure, refused.0, None, &none).await;
                }
            }
        }
        began
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let book = locked(&self.0.book);
        let schedules = book.schedules.values().filter(|schedule| schedule.enabled);
        let refreshes = book.states.iter().filter_map(super::KeptState::due);
        schedules.filter_map(|schedule| schedule.next).chain(refreshes).min()
    }
}
