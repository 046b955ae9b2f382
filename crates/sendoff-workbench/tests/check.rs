//! Every check finds the hub that breaks its rule, and no other check does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use sendoff_workbench::bad;
use sendoff_workbench::check::{self, Execute, Options, Outcome, Profile, Report};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Checks a hub with these faults.
async fn checked(faults: &[&str], change: impl FnOnce(&mut Options)) -> Report {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    let faults: Vec<String> = faults.iter().map(|fault| (*fault).to_owned()).collect();
    // On Linux this is the machine itself, and yet no loopback address.
    let host =
        if faults.iter().any(|f| f == "path/tls/encrypted") { "0.0.0.0" } else { "127.0.0.1" };
    serving.spawn(async move {
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        bad::serve_with(&faults, listener).await
    });
    let mut options = Options::new(&format!("http://{host}:{port}/"));
    options.token = Some(bad::TOKEN.to_owned());
    options.profile = Profile::Reference;
    options.patience = Duration::from_secs(2);
    options.delivery_patience = Duration::from_secs(2);
    options.largest_body = 3 << 19;
    options.execute = Some(Execute {
        action: "ledger".into(),
        fields: vec![("path".into(), "in/".into())],
        params: vec![("api_key".into(), "k-0123456789".into())],
    });
    change(&mut options);
    check::run(&options).await.unwrap()
}

fn findings(report: &Report) -> BTreeMap<&'static str, Outcome> {
    let found = report.checks.iter().filter(|checked| checked.outcome.is_finding());
    found.map(|checked| (checked.id, checked.outcome)).collect()
}

fn told(report: &Report) -> String {
    check::report::print(report, sendoff_workbench::Paint::Plain)
}

#[test]
fn every_check_is_explained_and_has_its_hub() {
    let mut ids = BTreeSet::new();
    let faults: BTreeSet<_> = bad::faults().collect();
    for check in check::all() {
        assert!(ids.insert(check.id), "{} twice", check.id);
        assert_eq!(check.id.split('/').count(), 3, "{}", check.id);
        for text in [check.title, check.rule, check.looker, check.section, check.wrong, check.right]
        {
            assert!(!text.is_empty(), "{}", check.id);
        }
        let page = check::explain(check);
        assert!(page.contains(check.title) && page.contains("Action API §"), "{page}");
        assert!(faults.contains(check.id), "{} has no bad hub", check.id);
    }
    let orphans: Vec<_> = faults.iter().filter(|fault| !ids.contains(*fault)).collect();
    assert!(orphans.is_empty(), "{orphans:?}");
    assert_eq!(faults.len(), bad::faults().count(), "a fault stands in two tables");
    assert!(ids.len() >= 60, "{}", ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_hub_keeps_every_rule() {
    let report = checked(&[], |_| {}).await;
    assert_eq!(findings(&report), BTreeMap::new(), "{}", told(&report));
    let passed = report.count(Outcome::Pass);
    let others: Vec<_> = report.checks.iter().filter(|c| c.outcome != Outcome::Pass).collect();
    // Loopback needs no TLS.
    assert_eq!(passed, report.checks.len() - 1, "{others:#?}");
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_faults_of_the_reference_are_each_found_on_a_replica() {
    for faults in bad::REFERENCE {
        let report = checked(faults, |_| {}).await;
        let found: Vec<_> = findings(&report).into_keys().collect();
        let mut wanted = faults.to_vec();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{}", told(&report));
        assert_eq!(report.exit_code(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_run_delivers_nothing() {
    let report = checked(&["execute/delivery/succeeds"], |options| options.execute = None).await;
    assert_eq!(findings(&report), BTreeMap::new(), "{}", told(&report));
    let not_run = report.checks.iter().filter(|checked| checked.outcome == Outcome::NotRun);
    let not_run: Vec<_> = not_run.map(|checked| checked.id).collect();
    assert!(not_run.len() >= 20, "{not_run:?}");
    assert!(not_run.contains(&"execute/delivery/succeeds"));
    // With every param filled in, a hub that ignores the type would call its vendor.
    assert!(not_run.contains(&"robustness/params/not-repeated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_repeats_of_secrets_stands_in_no_report() {
    // The hub's answer holds the sensitive param, and the finding quotes the answer.
    let report = checked(&["execute/delivery/in-envelope"], |_| {}).await;
    let reports = [
        told(&report),
        check::report::junit(&report),
        check::report::html(&report),
        check::report::har(&report).to_string(),
        serde_json::to_string(&report).unwrap(),
    ];
    for text in &reports {
        assert!(text.contains("••••"), "{text}");
        assert!(!text.contains("k-0123456789") && !text.contains(bad::TOKEN), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_and_no_hub_cannot_be_tested() {
    let report = checked(&[], |options| options.token = Some("a/b".to_owned())).await;
    assert_eq!(report.exit_code(), 3);
    assert_eq!(findings(&report).keys().collect::<Vec<_>>(), [&"path/token/arrives"]);
    let report = checked(&[], |options| options.url = "http://127.0.0.1:1/".to_owned()).await;
    assert_eq!(report.exit_code(), 3);
    assert!(report.untestable.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_and_skip_go_by_whole_parts_of_ids() {
    let report = checked(&[], |options| {
        options.only = vec!["list/answer".to_owned(), "path".to_owned()];
        options.skip = vec!["path/connection/".to_owned()];
    })
    .await;
    let ran = report.checks.iter().filter(|checked| checked.outcome != Outcome::Skipped);
    for checked in ran {
        let id = checked.id;
        assert!(id.starts_with("list/answer/") || id.starts_with("path/"), "{id}");
        assert!(!id.starts_with("path/connection/"), "{id}");
    }
    let mut options = Options::new("http://127.0.0.1:1/");
    options.only = vec!["list/ans".to_owned()];
    assert!(check::run(&options).await.is_err());
}

/// One line for each bad hub: its id, what the finding is, and its strength.
#[tokio::test(flavor = "multi_thread")]
async fn each_bad_hub_fails_its_own_check_and_no_other() {
    let mut runs = futures_util::stream::iter(check::all())
        .map(|check| async move { (check, checked(&[check.id], |_| {}).await) })
        .buffered(24);
    let (mut matrix, mut wrong) = (String::new(), String::new());
    while let Some((check, report)) = runs.next().await {
        let found = findings(&report);
        let line: Vec<_> = found.iter().map(|(id, o)| format!("{id} {}", o.as_str())).collect();
        matrix += &format!("{}: {}\n", check.id, line.join(", "));
        if !found.keys().eq([&check.id]) {
            wrong += &format!("== {}\n{}\n", check.id, told(&report));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let committed = include_str!("check_matrix.txt");
    assert_eq!(matrix, committed, "write tests/check_matrix.txt anew");
}
