//! Sendoff itself keeps every rule that it holds other hubs to.

#![allow(clippy::disallowed_methods, reason = "small files, in a test")]

#[path = "serve/hub.rs"]
#[allow(dead_code, reason = "shared with the tests of serve")]
mod hub;

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

fn check(hub: &hub::Hub, more: &[&str]) -> Output {
    let url = format!("http://{}/", hub.address);
    let mut command: Command = hub::sendoff();
    command.args(["check", &url, "--token", &hub.token, "--profile", "reference"]);
    command.args(more).output().unwrap()
}

fn by_outcome<'r>(report: &'r Value, outcome: &str) -> Vec<&'r Value> {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().filter(|check| check["outcome"] == outcome).collect()
}

/// What a hub on this machine, at which nobody is logged in, cannot be asked: states come with a login
/// that a vendor has confirmed, interactive choices with what a vendor lists, no form of these actions
/// has an answer without which it cannot deliver, and loopback has no TLS.
/// A recording of a user who is logged in shows the first two (`check --recorded`).
const NOT_TO_BE_ASKED: [&str; 12] = [
    "form/state/data-is-text",
    "form/state/small",
    "form/state/refresh-name",
    "form/state/refresh-is-number",
    "form/state/refresh-seldom",
    "form/interactive/choice-kept",
    "execute/delivery/state-data-is-text",
    "execute/delivery/state-small",
    "execute/delivery/state-refresh-name",
    "execute/delivery/state-refresh-is-number",
    "execute/payload/required-field",
    "path/tls/encrypted",
];

#[test]
fn sendoff_fails_none_of_its_own_checks() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let hub = hub::Hub::start(&[
        ("SENDOFF_FILE_ROOT", root),
        ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8"),
        // So that a delivery that takes its time has newlines before its answer.
        ("SENDOFF_LIMITS_KEEP_ALIVE", "20 ms"),
        // Logins of both versions are offered, to the Looker that the checks play.
        ("SENDOFF_LOOKER_HOSTS", "looker.invalid"),
        ("DROPBOX_ACTION_APP_KEY", "client"),
        ("DROPBOX_ACTION_APP_SECRET", "secret"),
        ("GOOGLE_DRIVE_CLIENT_ID", "client"),
        ("GOOGLE_DRIVE_CLIENT_SECRET", "secret"),
    ]);
    let mut passed = BTreeSet::new();
    let mut all = BTreeSet::new();
    // An action that writes; then, for what concerns answers, one that takes its time.
    for execute in [
        &["--execute", "file", "--field", "filename=x.csv", "--field", "if_exists=overwrite"][..],
        &["--execute", "debug", "--field", "sleep=100", "--only", "path/answer,execute/delivery"],
    ] {
        let output = check(&hub, &[&["--json"], execute].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        // The reference's SFTP form asks for a password, and saved schedules hold one.
        let notes = by_outcome(&report, "note");
        assert!(notes.iter().all(|c| c["id"] == "form/field/no-secrets"), "{notes:#?}");
        for outcome in ["fail", "warn", "error", "not_run"] {
            let found = by_outcome(&report, outcome);
            assert!(found.is_empty(), "{outcome}: {found:#?}");
        }
        assert_eq!(output.status.code(), Some(0));
        let ids = |checks: Vec<&Value>| -> Vec<String> {
            checks.iter().map(|check| check["id"].as_str().unwrap().to_owned()).collect()
        };
        passed.extend(ids(by_outcome(&report, "pass")));
        all.extend(ids(report["checks"].as_array().unwrap().iter().collect()));
    }
    all.remove("form/field/no-secrets");
    let rest: Vec<_> = all.difference(&passed).map(String::as_str).collect();
    let mut wanted = NOT_TO_BE_ASKED;
    wanted.sort_unstable();
    assert_eq!(rest, wanted, "{} passed", passed.len());
    assert_eq!(passed.iter().filter(|id| id.starts_with("oauth/")).count(), 12);
}

#[test]
fn without_execute_nothing_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let hub = hub::Hub::start(&[("SENDOFF_FILE_ROOT", root)]);
    let output = check(&hub, &["--json", "--patience", "1"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert!(by_outcome(&report, "not_run").len() > 10, "{report:#}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn exit_codes_tell_whose_fault_it_is() {
    let hub = hub::Hub::start(&[]);
    let code = |more: &[&str]| check(&hub, more).status.code();
    assert_eq!(code(&["--only", "list"]), Some(0));
    assert_eq!(code(&["--only", "list/answer,path/token"]), Some(0));
    assert_eq!(code(&["--expect", "not-there.toml"]), Some(2));
    assert_eq!(code(&["--report", "pdf=x"]), Some(2));
    for (more, says) in [
        (&["--only", "list,lisst"][..], "begins with `lisst`"),
        (&["--skip", "nope"], "begins with `nope`"),
        (&["--execute", "filee"], "no action `filee`. It has "),
        (&["--execute", "debug", "--field", "nofield=1"], "no field `nofield`. It has "),
        (&["--execute", "debug", "--param", "k=env:NOT_SET"], "NOT_SET is not set"),
        (&["--report", "html=/not-there/x"], "/not-there/x cannot be written"),
        (&["--config", "x.toml"], "reads no settings"),
    ] {
        let output = check(&hub, more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(says) && output.stdout.is_empty(), "{more:?} {told}");
    }
    for url in ["http://127.0.0.1:99999/", "http://me:s3cret@127.0.0.1/", "127.0.0.1:8080"] {
        let output = hub::sendoff().args(["check", url]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{url}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("s3cret"));
    }
    let wrong = hub::sendoff()
        .args(["check", &format!("http://{}/", hub.address), "--token", "a/b"])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(3));
    // The token may stand elsewhere, and need not stand among the arguments.
    let url = format!("http://{}/", hub.address);
    let mut elsewhere = hub::sendoff();
    elsewhere.args(["check", &url, "--only", "list", "--token", "env:ELSEWHERE"]);
    assert_eq!(elsewhere.output().unwrap().status.code(), Some(2));
    assert_eq!(elsewhere.env("ELSEWHERE", &hub.token).output().unwrap().status.code(), Some(0));
    let mut usual = hub::sendoff();
    usual.args(["check", &url, "--only", "list"]).env("SENDOFF_TOKEN", &hub.token);
    assert_eq!(usual.output().unwrap().status.code(), Some(0));
    let gone = hub::sendoff().args(["check", "http://127.0.0.1:1/"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&gone.stdout).contains("could not be tested"));
}

#[test]
fn a_recorder_wants_a_url_that_leads_to_it() {
    let mut record = hub::sendoff();
    record.args(["record", "--to", "http://127.0.0.1:1/", "--listen", "127.0.0.1:0"]);
    let refused = record.args(["--public-url", "nonsense"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`nonsense` cannot be called"));
}

#[test]
fn known_failures_are_looked_at_before_anything_is_asked() {
    let hub = hub::Hub::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("expect.toml");
    let entry = |id: &str, until: &str| {
        let text =
            format!("[[expect]]\nid = \"{id}\"\nreason = \"mended soon\"\nuntil = {until}\n");
        std::fs::write(&file, text).unwrap();
        check(&hub, &["--only", "list", "--expect", file.to_str().unwrap()])
    };
    for (id, until, code, says) in [
        ("list/answer/typo", "2126-12-31", 2, "No check has the id `list/answer/typo`"),
        ("list/answer/is-200", "\"soon\"", 2, "`until` is no date"),
        // TOML's own dates, and texts.
        ("list/answer/is-200", "2126-12-31", 1, "passes now"),
        ("list/answer/is-200", "\"2126-12-31\"", 1, "passes now"),
        ("form/answer/is-200", "2126-12-31", 0, ""),
    ] {
        let output = entry(id, until);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{id} {told}");
        assert!(told.contains(says), "{id} {told}");
        assert_eq!(output.stdout.is_empty(), code == 2, "{id}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_no_fault_of_the_hub() {
    let hub = hub::Hub::start(&[]);
    let full = || std::fs::File::create("/dev/full").unwrap();
    let url = format!("http://{}/", hub.address);
    let check = |more: &[&str]| {
        let mut command = hub::sendoff();
        command.args(["check", &url, "--token", &hub.token, "--only", "list"]).args(more);
        command
    };
    let lost = check(&[]).stdout(full()).output().unwrap();
    assert_eq!(lost.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&lost.stderr).contains("stdout cannot be written"));
    // What was found is printed all the same.
    let lost = check(&["--report", "json=/dev/full"]).output().unwrap();
    assert_eq!(lost.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&lost.stdout).contains(" passed"));
}

#[test]
fn a_run_that_is_stopped_reports_what_it_found() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut running = hub::sendoff();
    running.args(["check", &url, "--patience", "3600"]);
    running.args(["--report", &format!("json={}", report.display())]);
    let running = running.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut head = [0; 4_096];
    let (mut listed, _) = listener.accept().unwrap();
    assert!(listed.read(&mut head).unwrap() > 0);
    let list = "{\"label\":\"H\",\"integrations\":[]}";
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{list}", list.len());
    listed.write_all(answer.as_bytes()).unwrap();
    // The next call of the run is not answered.
    let (mut held, _) = listener.accept().unwrap();
    assert!(held.read(&mut head).unwrap() > 0);
    let pid = rustix::process::Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let stopped = running.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&stopped.stdout);
    assert_eq!(stopped.status.code(), Some(130), "{text}");
    assert!(text.contains("The run was stopped before its end."), "{text}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["stopped"], true);
    assert!(by_outcome(&report, "pass").iter().any(|check| check["id"] == "list/answer/is-json"));
    assert!(by_outcome(&report, "not_run").len() > 100, "{report:#}");
}

#[cfg(feature = "page")]
#[test]
fn a_bad_hub_is_found_by_the_line_that_it_tells() {
    use std::io::{BufRead, BufReader};
    let unseen =
        hub::sendoff().args(["workbench", "--bad", "path/tls/encrypted"]).output().unwrap();
    assert_eq!(unseen.status.code(), Some(2));
    let id = "execute/delivery/succeeds";
    let mut bad = hub::sendoff();
    bad.args(["workbench", "--bad", id]).env("SENDOFF_WORKBENCH_LISTEN", "127.0.0.1:0");
    let mut bad = bad.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(bad.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.trim().starts_with("sendoff check ")).unwrap();
    let arguments = line.trim().strip_prefix("sendoff ").unwrap().split(' ');
    let found = hub::sendoff().args(arguments).output().unwrap();
    bad.kill().unwrap();
    bad.wait().unwrap();
    let text = String::from_utf8_lossy(&found.stdout);
    assert_eq!(found.status.code(), Some(1), "{line}\n{text}");
    assert!(text.contains(&format!("✗ {id}")) && text.contains("1 failed"), "{line}\n{text}");
}

#[test]
fn every_check_is_explained_offline() {
    let list = hub::sendoff().arg("explain").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().count() >= 60, "{list}");
    let page = hub::sendoff().args(["explain", "execute/error/in-envelope"]).output().unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    for part in ["Rule", "What Looker does", "Wrong", "Right", "Action API §5.8, strength A"] {
        assert!(page.contains(part), "{page}");
    }
    let area = hub::sendoff().args(["explain", "Execute/Error"]).output().unwrap();
    let area = String::from_utf8(area.stdout).unwrap();
    assert!(area.lines().count() > 5, "{area}");
    assert!(area.lines().all(|line| line.starts_with("execute/error/")), "{area}");
    let wild = hub::sendoff().args(["explain", "nope"]).output().unwrap();
    assert_eq!(wild.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&wild.stderr).contains("Did you mean"), "nothing is near");
    let typo = hub::sendoff().args(["explain", "list/answer/is-jsn"]).output().unwrap();
    assert_eq!(typo.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&typo.stderr).contains("`list/answer/is-json`"));
}
