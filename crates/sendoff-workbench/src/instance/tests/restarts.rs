//! What survives a restart.

use super::*;

#[tokio::test]
async fn everything_survives_a_restart_and_secrets_are_their_owners_alone() {
    let hub = Scripted::with(json!({}), |path, _| async move {
        match path.ends_with("/form") {
            true => (200, json!({"fields": [], "state": {"data": "kept", "refresh_time": 900}})),
            false => succeeded(),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("looker");
    let action = {
        let (looker, mut server) = served(Some(&place)).await;
        let action = enabled(&looker, &hub).await;
        let params = Params::from([("key".into(), "hush-hush".into())]);
        assert!(looker.enable(&action, params).await.unwrap().success);
        let user = User { id: "bo".into(), name: "Bo".into(), ..User::default() };
        looker.put_user(user).await.unwrap();
        let order = Order::new(&action, What::Look("penguins".into()));
        looker.send(order.clone()).await.unwrap().finished().await;
        let cron = Cron::new("0 6 * * 1", "Europe/Berlin").unwrap();
        let new = NewSchedule { title: "Weekly".into(), order, cron, enabled: true };
        looker.schedule(new).await.unwrap();
        let second = Instance::open(looker.settings().clone()).await.err().unwrap();
        assert!(second.to_string().contains("in use"), "{second}");
        server.shutdown().await;
        action
    };
    let (looker, _server) = served(Some(&place)).await;
    assert_eq!(looker.hubs()[0].actions, ["a"]);
    assert_eq!(looker.users().len(), 2);
    assert_eq!(looker.state("ana", &action).unwrap().data, "kept");
    assert_eq!(looker.schedules()[0].title, "Weekly");
    assert_eq!(looker.history().len(), 1);
    assert_eq!(looker.history()[0].status, RunStatus::Success);
    let entries = looker.journal().all();
    assert_eq!(entries.len(), 3, "list, test, execute");
    assert!(entries[2].exchange.request_body.kept().unwrap().path.exists());
    assert_eq!(entries[2].verdict.severity, crate::Severity::Success);
    // The token and the params are still known: a send works without typing them in again.
    let order = Order::new(&action, What::Look("penguins".into()));
    looker.send(order).await.unwrap().finished().await;
    {
        let seen = hub.seen.lock().unwrap();
        let (_, body, headers) = seen.last().unwrap();
        assert_eq!(body["data"]["key"], "hush-hush");
        assert_eq!(headers["authorization"], "Token token=\"nonce/hmac\"");
    }
    let newer = looker.journal().all().last().unwrap().id;
    assert!(newer > entries[2].id);

    use std::os::unix::fs::PermissionsExt;
    for file in ["instance.json", "history.jsonl", "exchanges.jsonl"] {
        let mode = std::fs::metadata(place.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let log = tokio::fs::read_to_string(place.join("exchanges.jsonl")).await.unwrap();
    assert!(!log.contains("hush-hush") && !log.contains("nonce/hmac"));
}

#[tokio::test]
async fn what_ran_when_the_instance_ended_runs_no_more() {
    let hub = Scripted::with(json!({}), |_, _| std::future::pending()).await;
    let folder = tempfile::tempdir().unwrap();
    let (looker, mut server) = served(Some(folder.path())).await;
    let action = enabled(&looker, &hub).await;
    let order = Order::new(&action, What::Look("penguins".into()));
    let running = looker.send(order).await.unwrap();
    let mut progress = running.progress();
    progress.wait_for(|progress| progress.stage == crate::Stage::Waiting).await.unwrap();
    server.shutdown().await;
    looker.stop_all().await;
    // As after a crash: the last line says that it runs.
    let log = folder.path().join("history.jsonl");
    let text = tokio::fs::read_to_string(&log).await.unwrap();
    let first = text.lines().next().unwrap().to_owned();
    assert!(first.contains("in_progress"), "{text}");
    drop((running, looker));
    let (looker, _server) = served(Some(folder.path())).await;
    let run = &looker.history()[0];
    assert_eq!(run.status, RunStatus::Failure);
    assert!(run.message.starts_with("Job is no longer processing @"), "{run:?}");
}

#[tokio::test]
async fn a_folder_that_holds_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    tokio::fs::write(folder.path().join("instance.json"), "[1,2]").await.unwrap();
    let data = Warehouse::in_memory(DataLimits::default()).await.unwrap();
    let mut settings = Settings::new("http://127.0.0.1:1", data);
    settings.folder = Some(folder.path().to_owned());
    let error = Instance::open(settings).await.err().unwrap().to_string();
    assert!(error.contains("instance.json cannot be read"), "{error}");
}
