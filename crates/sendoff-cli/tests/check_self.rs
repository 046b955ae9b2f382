//! Sendoff itself keeps every rule that it holds other hubs to.

#![allow(clippy::disallowed_methods, reason = "small files, in a test")]

#[path = "serve/hub.rs"]
#[allow(dead_code, reason = "shared with the tests of serve")]
mod hub;

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

#[test]
fn sendoff_fails_none_of_its_own_checks() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let near = ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8");
    let hub = hub::Hub::start(&[("SENDOFF_FILE_ROOT", root), near]);
    // Twice: an action that writes, and one that takes its time, so that newlines come first.
    for execute in [
        &["--execute", "file", "--field", "filename=x.csv", "--field", "overwrite=yes"][..],
        &["--execute", "debug", "--field", "sleep=10"][..],
    ] {
        let output = check(&hub, &[&["--json"], execute].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        // The reference's SFTP form asks for a password, and saved schedules hold one.
        let notes: Vec<_> = by_outcome(&report, "note").iter().map(|c| c["id"].clone()).collect();
        assert_eq!(notes, ["form/field/no-secrets"], "{report:#}");
        for outcome in ["fail", "warn", "error"] {
            let found = by_outcome(&report, outcome);
            assert!(found.is_empty(), "{outcome}: {found:#?}");
        }
        assert_eq!(output.status.code(), Some(0));
        assert!(by_outcome(&report, "pass").len() > 100, "{report:#}");
    }
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
    assert_eq!(code(&["--only", "lisst"]), Some(2));
    assert_eq!(code(&["--expect", "not-there.toml"]), Some(2));
    assert_eq!(code(&["--report", "pdf=x"]), Some(2));
    let wrong = hub::sendoff()
        .args(["check", &format!("http://{}/", hub.address), "--token", "a/b"])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(3));
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
