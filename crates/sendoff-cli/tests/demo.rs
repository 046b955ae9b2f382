//! `sendoff demo` delivers a real data set over real HTTP, again and again, and says the truth.

#![allow(clippy::disallowed_methods, reason = "a small file of its own")]

use std::path::Path;
use std::process::{Command, Output};

fn demo(folder: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sendoff"))
        .args(["demo", "--once", "--folder"])
        .arg(folder)
        .args(more)
        // A configuration lying about must have no say.
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn the_demo_delivers_twice_in_a_row() {
    let folder = tempfile::tempdir().unwrap();
    for run in 1..=2 {
        let output = demo(folder.path(), &["--json"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "run {run}: {told}");
        let played: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let steps = played["steps"].as_array().unwrap();
        let statuses: Vec<_> = steps.iter().map(|step| step["status"].as_u64()).collect();
        assert_eq!(statuses, [Some(200); 3]);
        assert_eq!(played["outcome"]["success"], true);
        assert_eq!(played["delivered"]["identical"], true);
        let file = std::fs::read_to_string(played["delivered"]["path"].as_str().unwrap()).unwrap();
        assert_eq!(file.lines().count(), 345);
        assert!(file.starts_with("Penguins Species,Penguins Island,"));
    }
}

#[test]
fn the_demo_is_readable_and_shows_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), &["--color", "never"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let order =
        ["Looker lists its actions", "/actions/file/form", "/actions/file/execute", "sha256"];
    let at: Vec<_> = order.iter().map(|part| text.find(part)).collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{text}");
    assert!(text.contains("authorization: Token token=\"••••\""), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_delivery_that_fails_is_told_and_exits_1() {
    let folder = tempfile::tempdir().unwrap();
    // Where the file should go stands a folder.
    std::fs::create_dir_all(folder.path().join("penguins.csv/inside")).unwrap();
    let output = demo(folder.path(), &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let played: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(played["outcome"]["success"], false);
    assert!(played["outcome"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert!(played["delivered"].is_null());
}
