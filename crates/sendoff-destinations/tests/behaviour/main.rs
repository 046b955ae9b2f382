//! The behaviour suite over every destination: `cargo test -p sendoff-destinations --test behaviour`.
//!
//! A destination without a stand-in, and one of the reference hub's whose definition is not
//! compared with its own answer, are failures and never skipped.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod intended_differences;
mod real;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sendoff::testing::suite::{Failure, Subject, Verdict, main_with};
use sendoff_destinations::{Config, all, differences, fakes, fakes_of_rows};
use serde_json::Value;

/// What the reference hub answered to the list call, and the definitions of the actions that it
/// carries but does not offer.
const GOLDEN: [&str; 2] = [
    include_str!("../golden/actions_list.json"),
    include_str!("../golden/actions_unregistered_upstream.json"),
];

/// Destinations that the reference hub does not have.
const OURS: [&str; 3] = ["file", "smtp_email", "webhook"];

fn main() -> ExitCode {
    let golden = golden();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/behaviour/snapshots");
    let mut subjects: Vec<Subject> = fakes()
        .into_iter()
        .map(|make| {
            let subject = Subject::new(make);
            let name = subject.name();
            let subject = subject.snapshot(folder.join(format!("{name}.json")));
            match golden.iter().find(|definition| definition["name"] == name) {
                Some(definition) => subject.golden(definition.clone(), intended_differences::ALL),
                None => subject,
            }
        })
        .collect();
    let names: BTreeSet<&str> = subjects.iter().map(Subject::name).collect();
    let mut further = vec![
        ("every_destination_has_a_stand_in".to_owned(), same_as_offered(&names)),
        ("every_destination_is_the_references_or_ours".to_owned(), known(&names, &golden)),
        ("every_snapshot_has_its_destination".to_owned(), no_stale_files(&folder, &names)),
        ("every_intended_difference_has_its_destination".to_owned(), no_stale_entries(&names)),
        (
            "every_destination_of_the_references_says_what_differs".to_owned(),
            differences_of(&names),
        ),
    ];
    subjects.extend(fakes_of_rows().into_iter().map(|make| Subject::new(make).by_row()));
    let (there, missing) = real::subjects();
    subjects.extend(there);
    further.extend(missing);
    main_with(subjects, further)
}

fn golden() -> Vec<Value> {
    let mut all = Vec::new();
    for text in GOLDEN {
        let parsed: Value = serde_json::from_str(text).expect("a golden file is JSON");
        let list = parsed.get("integrations").unwrap_or(&parsed);
        all.extend(list.as_array().into_iter().flatten().cloned());
    }
    all
}

fn fail_unless(sound: bool, words: String) -> Verdict {
    if sound { Ok(()) } else { Err(Failure::new(words)) }
}

fn same_as_offered(with_fakes: &BTreeSet<&str>) -> Verdict {
    let config =
        Config { file_root: Some(PathBuf::from("/srv")), debug: true, ..Config::default() };
    let offered: BTreeSet<&str> = all(&config).iter().map(|action| action.spec().name).collect();
    let bare: Vec<_> = offered.symmetric_difference(with_fakes).collect();
    fail_unless(bare.is_empty(), format!("only in all() or only in fakes(): {bare:?}"))
}

fn known(names: &BTreeSet<&str>, golden: &[Value]) -> Verdict {
    for name in names {
        let compared = golden.iter().any(|definition| definition["name"] == *name);
        fail_unless(
            compared != OURS.contains(name),
            format!("{name} must have a golden definition or stand in the list of our own"),
        )?;
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a test reads its own folder")]
fn no_stale_files(folder: &Path, names: &BTreeSet<&str>) -> Verdict {
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let name = file.trim_end_matches(".json");
        fail_unless(names.contains(name), format!("snapshots/{file} is nobody's"))?;
    }
    Ok(())
}

fn differences_of(names: &BTreeSet<&str>) -> Verdict {
    let listed: BTreeSet<&str> = differences().into_iter().map(|(name, _)| name).collect();
    let silent: Vec<_> =
        names.iter().filter(|name| !OURS.contains(name) && !listed.contains(**name)).collect();
    fail_unless(silent.is_empty(), format!("not in differences(), not even empty: {silent:?}"))
}

fn no_stale_entries(names: &BTreeSet<&str>) -> Verdict {
    for known in intended_differences::ALL {
        fail_unless(names.contains(known.action), format!("{known:?} is nobody's"))?;
    }
    Ok(())
}
