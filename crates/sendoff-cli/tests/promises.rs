//! SECURITY.md promises nothing without naming a test that exists.

#![allow(clippy::disallowed_methods, reason = "the test reads the sources")]

use std::path::{Path, PathBuf};

const PROMISES: &[&str] = &[
    "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "P12", "P13", "P14", "P15",
    "P16", "P17", "P18", "P19", "P20", "P21", "P22", "P23", "P24", "P25", "P26",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Name, sentence and holders of each promise.
fn promises() -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| P"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, sentence, holders] = cells[..] else { panic!("not three cells: {row}") };
        (name.to_owned(), sentence.to_owned(), holders.to_owned())
    })
    .collect()
}

/// Every Rust source below a path of the repository.
fn sources(path: &Path) -> String {
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap();
    }
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let rust = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|end| end == "rs");
    entries.filter(rust).map(|path| sources(&path)).collect()
}

/// Where the tests of a file stand that SECURITY.md names in short.
fn place(name: &str) -> Option<PathBuf> {
    let crates = root().join("crates");
    let behind = match name {
        "behaviour" => vec![crates.join("sendoff/src/testing/suite")],
        "hub/tests/" => vec![crates.join("sendoff/src/hub/tests")],
        "just bench" => vec![crates.join("sendoff-bench/src")],
        "fuzz/" => vec![root().join("fuzz/fuzz_targets")],
        _ => vec![crates.join(name)],
    };
    behind.into_iter().find(|path| path.exists())
}

/// Whether some test or case in `sources` has a name like `pattern`, in which `*` is anything.
fn is_there(pattern: &str, sources: &str) -> bool {
    // Cases of the suite are strings, of which some end in what a fault is called.
    let words = sources.split(|c: char| !(c.is_ascii_alphanumeric() || "_{}".contains(c)));
    let parts: Vec<_> = pattern.split('*').collect();
    let mut names = words.map(|word| word.split('{').next().unwrap_or_default());
    names.any(|name| {
        let mut rest = name;
        let mut matches = !name.is_empty();
        for (n, part) in parts.iter().enumerate() {
            match rest.find(part) {
                Some(at) if n > 0 || at == 0 => rest = &rest[at + part.len()..],
                _ => matches = false,
            }
        }
        matches && (pattern.ends_with('*') || rest.is_empty())
    })
}

#[test]
fn every_promise_is_a_sentence_and_names_what_holds_it() {
    let promises = promises();
    let names: Vec<_> = promises.iter().map(|(name, ..)| name.as_str()).collect();
    for name in PROMISES {
        assert!(names.contains(name), "{name} is missing");
    }
    for (name, sentence, holders) in &promises {
        assert!(sentence.ends_with('.') && sentence.len() > 20, "{name}: {sentence}");
        let named: Vec<_> = holders.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{name} names no test");
        let mut around = String::new();
        for word in named {
            if let Some(path) = place(word) {
                around = sources(&path);
                assert!(
                    word == "just bench"
                        || ["fn ", "case(", "fuzz_target!"].iter().any(|it| around.contains(it)),
                    "{name}: no test in {word}"
                );
                continue;
            }
            let is_name = word.chars().all(|c| c.is_ascii_alphanumeric() || "_*".contains(c));
            assert!(is_name, "{name}: there is no {word}");
            assert!(is_there(word, &around), "{name}: no test is called {word}");
        }
    }
}

#[test]
fn names_are_told_from_names() {
    let sources = r#"fn p5_a_body() {} case("fault_p6_error") case(format!("fault_p8_{name}"))"#;
    for there in ["p5_*", "p5_a_body", "fault_p6_*", "fault_p*_error", "fault_p8_*"] {
        assert!(is_there(there, sources), "{there}");
    }
    for not in ["p6_*", "p5_a_bod", "5_a_body", "fault_p9_*"] {
        assert!(!is_there(not, sources), "{not}");
    }
}
