//! Every check finds the hub that breaks its rule, and no other check does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use sendoff_workbench::bad;
use sendoff_workbench::check::{self, Execute, Misused, Options, Outcome, Profile, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Checks a hub with these faults.
async fn checked(faults: &[&str], change: impl FnOnce(&mut Options)) -> Report {
    ran(faults, change).await.unwrap()
}

async fn ran(faults: &[&str], change: impl FnOnce(&mut Options)) -> Result<Report, Misused> {
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
    options.execute = Some(bad::execute(""));
    change(&mut options);
    check::run(&options).await
}

/// Deliveries are made with the action that takes results by URL alone.
fn with_archive(options: &mut Options) {
    options.execute = Some(bad::execute(OF_ARCHIVE));
}

/// The one check that the usual action is not about.
const OF_ARCHIVE: &str = "execute/payload/push-to-url";

/// Where every request gets this answer; an empty one is silence.
async fn answering(answer: &'static str) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut head = [0; 4_096];
                let _ = socket.read(&mut head).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, serving)
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
        let section = check::section_of(check.section).unwrap_or_else(|| panic!("{}", check.id));
        for key in section.sources {
            assert!(check::SOURCES.iter().any(|(known, ..)| known == key), "{key}");
        }
        let page = check::explain(check);
        assert!(page.contains(section.title), "{page}");
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
    let others = report.checks.iter().filter(|checked| checked.outcome != Outcome::Pass);
    let others: Vec<_> = others.map(|checked| (checked.id, checked.outcome)).collect();
    // Loopback needs no TLS.
    let none = Outcome::NotApplicable;
    assert_eq!(others, [(OF_ARCHIVE, none), ("path/tls/encrypted", none)]);
    assert_eq!(report.exit_code(), 0);

    let report = checked(&[], with_archive).await;
    assert_eq!(findings(&report), BTreeMap::new(), "{}", told(&report));
    let pushed = report.checks.iter().find(|checked| checked.id == OF_ARCHIVE).unwrap();
    assert_eq!(pushed.outcome, Outcome::Pass);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_does_not_have_is_not_executed() {
    let pair = |name: &str| vec![(name.to_owned(), "1".to_owned())];
    for (action, params, fields, says) in [
        ("ledgerr", vec![], vec![], "The hub has no action `ledgerr`. It has ledger, note"),
        ("ledger", pair("kee"), vec![], "no param `kee`. It has api_key, sender."),
        ("ledger", vec![], pair("pth"), "no field `pth`. It has mode, note, path."),
        ("note", vec![], pair("path"), "no field, so also none named `path`"),
    ] {
        let execute = Execute { action: action.into(), params, fields };
        let misused = ran(&[], |options| options.execute = Some(execute)).await.unwrap_err();
        assert!(misused.to_string().contains(says), "{misused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hub_is_not_accused() {
    const PAGE: &str = "HTTP/1.1 501 Unsupported method ('POST')\r\ncontent-length: 66\r\n\r\n\
        <!DOCTYPE HTML><html><head><title>Error response</title></head>…";
    const FOUND: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nNot found";
    const TLS: &str = "\u{15}\u{3}\u{1}\0\u{2}\u{2}F";
    for (answer, says) in [
        (PAGE, "answered with status 501 and a web page, \"Error response\""),
        (FOUND, "status 404: it is no action hub"),
        (TLS, "no HTTP"),
        ("", "was not answered within 1 s"),
    ] {
        let (url, _serving) = answering(answer).await;
        let mut options = Options::new(&url);
        options.token = Some("a/b".into());
        options.patience = Duration::from_millis(300);
        let report = check::run(&options).await.unwrap();
        assert_eq!(findings(&report), BTreeMap::new(), "{}", told(&report));
        assert_eq!(report.exit_code(), 3, "{}", told(&report));
        assert!(report.untestable.as_ref().unwrap().contains(says), "{:?}", report.untestable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_fails_its_list_has_not_died_of_a_check() {
    let failed = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}";
    let (url, _serving) = answering(failed).await;
    let mut options = Options::new(&url);
    options.token = Some("a/b".into());
    options.patience = Duration::from_millis(300);
    let report = check::run(&options).await.unwrap();
    let found: Vec<_> = findings(&report).into_keys().collect();
    assert_eq!(found, ["list/answer/is-200"], "{}", told(&report));
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_does_not_pass() {
    let empty = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 32\r\n\r\n\
        {\"label\": \"H\", \"integrations\":[]}";
    let (url, _serving) = answering(empty).await;
    let mut options = Options::new(&url);
    options.patience = Duration::from_millis(300);
    let report = check::run(&options).await.unwrap();
    let passed = report.checks.iter().filter(|checked| checked.outcome == Outcome::Pass);
    for checked in passed {
        let about = ["list/answer/", "list/request/", "robustness/", "path/"];
        assert!(about.iter().any(|area| checked.id.starts_with(area)), "{} passes", checked.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_habit_of_the_reference_is_a_warning_by_looker_s_documents() {
    let standard = |options: &mut Options| {
        options.profile = Profile::Standard;
        options.only = vec!["list/answer/label-is-text".to_owned()];
    };
    let report = checked(&["list/answer/label-is-text"], standard).await;
    let found = findings(&report);
    assert_eq!(found, BTreeMap::from([("list/answer/label-is-text", Outcome::Warn)]));
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_tells_what_it_found() {
    let (url, _serving) = answering("").await;
    let mut options = Options::new(&url);
    options.patience = Duration::from_secs(600);
    let report = check::run_watched(&options, |_| {}, std::future::ready(())).await.unwrap();
    assert_eq!((report.exit_code(), report.count(Outcome::Pass)), (130, 0));
    assert_eq!(report.untestable, None);

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let options = Options::new(&format!("http://{}/", listener.local_addr().unwrap()));
    let options = Options { token: Some(bad::TOKEN.to_owned()), ..options };
    let mut serving = JoinSet::new();
    serving.spawn(async move { bad::serve("list/answer/label-is-text", listener).await.unwrap() });
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut stop = Some(stop);
    let tell = |step: check::Step| {
        if step.id == "auth/missing/execute-refused" {
            stop.take().unwrap().send(()).unwrap();
        }
    };
    let stopped = async { stopped.await.unwrap() };
    let report = check::run_watched(&options, tell, stopped).await.unwrap();
    assert_eq!(findings(&report).keys().collect::<Vec<_>>(), [&"list/answer/label-is-text"]);
    let after = report.checks.iter().skip_while(|c| c.id != "auth/missing/execute-refused");
    assert!(after.into_iter().all(|checked| checked.outcome == Outcome::NotRun));
    assert_eq!(report.exit_code(), 130);
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
    for only in ["list/ans", "nope"] {
        let mut options = Options::new("http://127.0.0.1:1/");
        options.only = vec!["list".to_owned(), only.to_owned()];
        assert!(check::run(&options).await.unwrap_err().to_string().contains(only));
    }
}

/// One line for each bad hub: its id, what the finding is, and its strength.
#[tokio::test(flavor = "multi_thread")]
async fn each_bad_hub_fails_its_own_check_and_no_other() {
    let mut runs = futures_util::stream::iter(check::all())
        .map(|check| async move {
            let execute = |options: &mut Options| options.execute = Some(bad::execute(check.id));
            (check, checked(&[check.id], execute).await)
        })
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
