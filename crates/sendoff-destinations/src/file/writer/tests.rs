//! The writer on a real folder: what it leaves, what it replaces, where it cannot get.

#![allow(clippy::disallowed_methods, reason = "the tests read files that they wrote")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes `data` and commits, all on this thread.
fn write(root: &Path, path: &str, if_exists: IfExists, data: &'static str) -> Result<Written> {
    let (batches, received) = mpsc::channel(4);
    batches.try_send(Batch::Data(vec![Bytes::from_static(data.as_bytes())])).ok().unwrap();
    batches.try_send(Batch::End).ok().unwrap();
    let path = FilePath::new(path).unwrap();
    // `batches` is held until the writer is done, as a delivery does.
    Writer::new(root.to_owned(), path, if_exists).run(received)
}

fn read(root: &TempDir, path: &str) -> String {
    fs::read_to_string(root.path().join(path)).unwrap()
}

/// Every name below `root`, sorted.
fn names(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        names.push(entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            names.extend(self::names(&entry.path()));
        }
    }
    names.sort();
    names
}

#[test]
fn folders_are_made_and_the_file_is_whole() {
    let root = folder();
    let written = write(root.path(), "a/b/c.csv", IfExists::Fail, "1,2\n").unwrap();
    assert_eq!((written.path.as_str(), written.bytes), ("a/b/c.csv", 4));
    assert_eq!(read(&root, "a/b/c.csv"), "1,2\n");
    assert_eq!(names(root.path()), ["a", "b", "c.csv"]);
}

#[test]
fn what_is_there_is_replaced_kept_or_respected() {
    let root = folder();
    write(root.path(), "c.csv", IfExists::Overwrite, "1").unwrap();
    write(root.path(), "c.csv", IfExists::Overwrite, "2").unwrap();
    assert_eq!(read(&root, "c.csv"), "2");

    let kept = write(root.path(), "c.csv", IfExists::KeepBoth, "3").unwrap();
    assert_eq!(kept.path.as_str(), "c (2).csv");
    let kept = write(root.path(), "c.csv", IfExists::KeepBoth, "4").unwrap();
    assert_eq!(kept.path.as_str(), "c (3).csv");

    let refused = write(root.path(), "c.csv", IfExists::Fail, "5").err().unwrap();
    assert_eq!(refused.field_name(), Some("filename"));
    assert_eq!(names(root.path()), ["c (2).csv", "c (3).csv", "c.csv"]);
    assert_eq!(read(&root, "c.csv") + &read(&root, "c (2).csv"), "23");
}

#[test]
fn a_name_taken_while_the_data_came_is_respected_too() {
    let root = folder();
    let (batches, received) = mpsc::channel(4);
    let path = FilePath::new("c.csv").unwrap();
    let writer = Writer::new(root.path().to_owned(), path, IfExists::Fail);
    let writing = std::thread::spawn(move || writer.run(received));
    // Taken from the channel only after the first look at the name.
    batches.blocking_send(Batch::Data(vec![Bytes::from_static(b"x")])).ok().unwrap();
    while batches.capacity() < 4 {
        std::thread::yield_now();
    }
    fs::write(root.path().join("c.csv"), "theirs").unwrap();
    batches.blocking_send(Batch::End).ok().unwrap();
    assert_eq!(writing.join().unwrap().err().unwrap().field_name(), Some("filename"));
    assert_eq!(read(&root, "c.csv"), "theirs");
    assert_eq!(names(root.path()), ["c.csv"]);
}

#[test]
fn nothing_is_left_of_an_abandoned_delivery() {
    for complete in [false, true] {
        let root = folder();
        let (batches, received) = mpsc::channel(4);
        batches.try_send(Batch::Data(vec![Bytes::from_static(b"half")])).ok().unwrap();
        if complete {
            // All data came, but nobody waits for the file any more.
            batches.try_send(Batch::End).ok().unwrap();
        }
        drop(batches);
        let path = FilePath::new("a/c.csv").unwrap();
        let writer = Writer::new(root.path().to_owned(), path, IfExists::Overwrite);
        assert!(writer.run(received).is_err());
        assert_eq!(names(root.path()), ["a"], "complete: {complete}");
    }
}

#[test]
fn links_lead_nowhere() {
    let (root, outside) = (folder(), folder());
    fs::write(outside.path().join("victim"), "untouched").unwrap();
    symlink(outside.path(), root.path().join("out")).unwrap();
    symlink(outside.path().join("victim"), root.path().join("link.csv")).unwrap();
    symlink(outside.path().join("new"), root.path().join("dangling.csv")).unwrap();

    let refused = write(root.path(), "out/c.csv", IfExists::Overwrite, "x").err().unwrap();
    assert_eq!(refused.field_name(), Some("path"));
    assert!(!refused.message().contains(outside.path().to_str().unwrap()));
    // The link itself is replaced.
    write(root.path(), "link.csv", IfExists::Overwrite, "mine").unwrap();
    assert!(!root.path().join("link.csv").is_symlink());
    let refused = write(root.path(), "dangling.csv", IfExists::Fail, "x").err().unwrap();
    assert_eq!(refused.field_name(), Some("filename"));
    let kept = write(root.path(), "dangling.csv", IfExists::KeepBoth, "x").unwrap();
    assert_eq!(kept.path.as_str(), "dangling (2).csv");

    assert_eq!(read(&outside, "victim"), "untouched");
    assert_eq!(names(outside.path()), ["victim"]);
}

#[test]
fn what_cannot_be_written_says_who_must_act() {
    let root = folder();
    fs::create_dir(root.path().join("folder")).unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let long = "x".repeat(256);
    for (path, class, field) in [
        ("folder", sendoff::Class::Form, Some("filename")),
        ("file/c.csv", sendoff::Class::Form, Some("path")),
        (long.as_str(), sendoff::Class::Form, Some("filename")),
        (&format!("{long}/c.csv"), sendoff::Class::Form, Some("path")),
    ] {
        let refused = write(root.path(), path, IfExists::Overwrite, "x").err().unwrap();
        assert_eq!((refused.class(), refused.field_name()), (class, field), "{refused}");
    }
    assert_eq!(names(root.path()), ["file", "folder"]);

    let gone = root.path().join("gone");
    let refused = write(&gone, "c.csv", IfExists::Overwrite, "x").err().unwrap();
    assert_eq!(refused.class(), sendoff::Class::Hub);
    assert!(!refused.message().contains("gone"), "{refused}");
}

#[test]
fn long_names_still_fit_with_their_temporary_ones() {
    let root = folder();
    let name = format!("{}.csv", "ü".repeat(125));
    write(root.path(), &name, IfExists::Overwrite, "x").unwrap();
    assert_eq!(names(root.path()), [name]);
}

#[test]
fn a_full_disk_is_the_hubs_own_fault() {
    let root = folder();
    let path = FilePath::new("c.csv").unwrap();
    let writer = Writer::new(root.path().to_owned(), path, IfExists::Overwrite);
    // What writes to a full device are answered with.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap().write_all(b"x");
    let refused = writer.explain_io(full.unwrap_err());
    assert_eq!(refused.class(), sendoff::Class::Hub);
    assert!(refused.message().contains("full"), "{refused}");
}
