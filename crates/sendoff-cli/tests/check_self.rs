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
/// that a vendor has confirmed, interactive choices with what a vendor lists, and loopback has no TLS.
/// A recording of a user who is logged in shows the first two (`check --recorded`).
const NOT_TO_BE_ASKED: [&str; 8] = [
    "form/state/data-is-text",
    "form/state/small",
    "form/state/refresh-name",
    "form/state/refresh-is-number",
    "form/state/refresh-seldom",
    "form/interactive/choice-kept",
    "execute/delivery/state-refresh-name",
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
    assert_eq!(passed.iter().filter(|id| id.starts_with("oauth/")).count(), 11);
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
    assert_eq!(code(&["--only", "lisst"]), Some(2));
    assert_eq!(code(&["--expect", "not-there.toml"]), Some(2));
    assert_eq!(code(&["--report", "pdf=x"]), Some(2));
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
fn every_check_is_explained_offline() {
    let list = hub::sendoff().arg("explain").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().count() >= 60, "{list}");
    let page = hub::sendoff().args(["explain", "execute/error/in-envelope"]).output().unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    for part in ["Rule", "What Looker does", "Wrong", "Right", "Action API §14.5, strength A"] {
        assert!(page.contains(part), "{page}");
    }
    let typo = hub::sendoff().args(["explain", "list/answer/is-jsn"]).output().unwrap();
    assert_eq!(typo.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&typo.stderr).contains("`list/answer/is-json`"));
}
