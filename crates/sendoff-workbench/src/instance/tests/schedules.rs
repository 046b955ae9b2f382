//! When schedules are due, and what comes of them.

use jiff::Timestamp;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn times(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = Cron::new(cron, zone).unwrap();
    let mut after = at(after);
    let mut times = Vec::new();
    for _ in 0..count {
        after = cron.next_after(after).unwrap();
        times.push(after.to_string());
    }
    times
}

#[test]
fn a_time_that_the_day_has_not_comes_after_the_gap_and_once() {
    // Berlin goes from 02:00 to 03:00 on 2026-03-29: 02:30 is not there.
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
}

#[test]
fn a_time_that_the_day_has_twice_comes_once() {
    // Berlin goes from 03:00 back to 02:00 on 2026-10-25: 02:30 comes twice.
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3),
        ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
}

#[test]
fn every_hour_stays_every_hour_through_both_changes() {
    for (zone, after) in [
        ("Europe/Berlin", "2026-03-28T23:30:00Z"),
        ("Europe/Berlin", "2026-10-24T22:30:00Z"),
        ("America/New_York", "2026-11-01T04:30:00Z"),
    ] {
        let times = times("0 * * * *", zone, after, 5);
        let hours: Vec<Timestamp> = times.iter().map(|time| at(time)).collect();
        let apart: Vec<_> =
            hours.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect();
        assert_eq!(apart, [3_600; 4], "{zone} {times:?}");
    }
}

#[test]
fn local_time_is_kept_through_the_year() {
    assert_eq!(
        times("0 6 * * 1", "America/New_York", "2026-03-01T00:00:00Z", 2),
        ["2026-03-02T11:00:00Z", "2026-03-09T10:00:00Z"]
    );
    assert_eq!(times("0 6 * * *", "UTC", "2026-03-01T06:00:00Z", 1), ["2026-03-02T06:00:00Z"]);
}

#[test]
fn what_is_no_schedule_is_refused_in_words() {
    for (cron, zone, says) in [
        ("nonsense", "UTC", "no cron expression"),
        ("* * * * * *", "UTC", "no cron expression"),
        ("61 * * * *", "UTC", "no cron expression"),
        ("0 6 * * 1", "Mars/Olympus", "no time zone"),
    ] {
        let error = Cron::new(cron, zone).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let cron = Cron::new("0 6 * * 1", "Europe/Berlin").unwrap();
    assert!(cron.describe().contains("06:00"), "{}", cron.describe());
}

async fn scheduled(looker: &Instance, action: &ActionId, what: What) -> Schedule {
    let new = NewSchedule {
        title: "Hourly".into(),
        order: Order::new(action, what),
        cron: Cron::new("0 * * * *", "UTC").unwrap(),
        enabled: true,
    };
    looker.schedule(new).await.unwrap()
}

#[tokio::test]
async fn a_schedule_fires_when_it_is_due_and_once() {
    let hub = Scripted::with(json!({}), |_, _| async { succeeded() }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let schedule = scheduled(&looker, &action, What::Look("penguins".into())).await;
    let due = schedule.next.unwrap();
    assert!(looker.fire_due(due - jiff::SignedDuration::from_secs(1)).await.is_empty());
    let began = looker.fire_due(due).await;
    assert_eq!(began.len(), 1);
    assert!(looker.fire_due(due).await.is_empty());
    began.into_iter().next().unwrap().finished().await;
    let run = &looker.history()[0];
    assert_eq!((run.trigger, run.schedule), (Trigger::Schedule, Some(schedule.id)));
    assert_eq!((run.status, run.message.as_str()), (RunStatus::Success, "Stored."));
    assert_eq!(hub.asked("/execute")[0]["scheduled_plan"]["title"], "Hourly");
    looker.send_now(schedule.id).await.unwrap().finished().await;
    assert_eq!(looker.history()[0].trigger, Trigger::SendNow);
    looker.unschedule(schedule.id).await.unwrap();
    assert!(looker.send_now(schedule.id).await.is_err());
}

#[tokio::test]
async fn runs_missed_while_it_was_down_are_made_up_for_once() {
    let hub = Scripted::with(json!({}), |_, _| async { succeeded() }).await;
    let folder = tempfile::tempdir().unwrap();
    let due = {
        let (looker, mut server) = served(Some(folder.path())).await;
        let action = enabled(&looker, &hub).await;
        let schedule = scheduled(&looker, &action, What::Look("penguins".into())).await;
        server.shutdown().await;
        schedule.next.unwrap()
    };
    let later = due + jiff::SignedDuration::from_hours(48);
    {
        let (looker, mut server) = served(Some(folder.path())).await;
        let began = looker.fire_due(later).await;
        assert_eq!(began.len(), 1);
        for running in began {
            running.finished().await;
        }
        assert!(looker.fire_due(later).await.is_empty());
        server.shutdown().await;
    }
    let (looker, _server) = served(Some(folder.path())).await;
    assert!(looker.fire_due(later).await.is_empty(), "not again after another restart");
    assert_eq!(hub.asked("/execute").len(), 1);
}

#[tokio::test]
async fn a_schedule_that_cannot_be_sent_fails_in_the_history() {
    let hub = Scripted::with(json!({}), |_, _| async { succeeded() }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let schedule = scheduled(&looker, &action, What::Table("gone".into())).await;
    assert!(looker.fire_due(schedule.next.unwrap()).await.is_empty());
    let run = &looker.history()[0];
    assert_eq!(run.status, RunStatus::Failure);
    assert!(run.message.contains("gone"), "{run:?}");
}

#[tokio::test(start_paused = true)]
async fn the_clock_fires_schedules_by_itself() {
    let hub = Scripted::with(json!({}), |_, _| async { succeeded() }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let mut schedule = scheduled(&looker, &action, What::Look("penguins".into())).await;
    // As if an hour had passed since it was made.
    schedule.next = Some(Timestamp::now());
    locked(&looker.0.book).schedules.insert(schedule.id, schedule);
    let mut newest = looker.journal().newest();
    let before = *newest.borrow_and_update();
    let mut clock = JoinSet::new();
    let running = looker.clone();
    clock.spawn(async move { running.run().await });
    newest.wait_for(|newest| *newest > before).await.unwrap();
    assert_eq!(looker.history()[0].trigger, Trigger::Schedule);
}
