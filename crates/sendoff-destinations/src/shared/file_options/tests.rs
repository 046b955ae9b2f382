//! Names of files: what they become, and what they can never become.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn facts() -> Facts {
    Facts {
        title: Some("Orders / Q4".into()),
        plan_id: Some("88".into()),
        instance: Some("0f1e".into()),
        format: Some("csv"),
        extension: Some("csv".into()),
        now: "2026-11-24T23:05:09Z".parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC),
        uuid: Uuid::from_u128(7),
    }
}

fn named(path: &str, filename: &str) -> Result<String, String> {
    target(Some(path), Some(filename), &facts())
        .map(|path| path.to_string())
        .map_err(|error| format!("{}: {error}", error.field_name().unwrap_or_default()))
}

#[test]
fn placeholders_are_replaced() {
    for (template, want) in [
        ("{title}.{ext}", "Orders  Q4.csv"),
        ("{date}", "2026-11-24.csv"),
        ("{date:%Y%m%d}-{time}.csv", "20261124-23-05-09.csv"),
        ("{time:%H}h.txt", "23h.txt"),
        ("{date:%d@Europe/Berlin}.csv", "25.csv"),
        ("{date@America/Los_Angeles}.csv", "2026-11-24.csv"),
        ("{date:%d@utc}.csv", "24.csv"),
        ("{ts}.csv", "1795561509000.csv"),
        ("{uuid}.csv", "00000000-0000-0000-0000-000000000007.csv"),
        ("{format}-{plan_id}-{instance}.csv", "csv-88-0f1e.csv"),
        ("{{title}}.csv", "{title}.csv"),
        ("a}b.csv", "a}b.csv"),
        ("{date:%Y/%m}/x.csv", "2026/11/x.csv"),
    ] {
        assert_eq!(named("", template).as_deref(), Ok(want), "{template}");
    }
}

#[test]
fn what_is_unknown_stays_a_name() {
    let facts = Facts {
        title: None,
        plan_id: None,
        instance: None,
        format: None,
        extension: None,
        ..facts()
    };
    let named = |template| target(None, Some(template), &facts).unwrap().to_string();
    assert_eq!(named("{title}"), "looker_file_1795561509000");
    assert_eq!(named("{plan_id}.{instance}.{format}.{ext}"), "manual.looker.data.data");
}

#[test]
fn without_a_name_the_title_is_taken_as_the_reference_does() {
    let default = |title: Option<&str>, extension: Option<&str>| {
        let facts = Facts {
            title: title.map(str::to_owned),
            extension: extension.map(str::to_owned),
            ..facts()
        };
        target(None, Some("  "), &facts).unwrap().to_string()
    };
    assert_eq!(default(Some("Orders"), Some("csv")), "Orders.csv");
    assert_eq!(default(Some("v1.5"), Some("csv")), "v1.5.csv");
    assert_eq!(default(Some("a<b>:\"c\"|d?*\\"), Some("csv")), "abcd.csv");
    assert_eq!(default(Some("../../etc"), Some("csv")), "....etc.csv");
    assert_eq!(default(Some(".."), Some("csv")), "looker_file_1795561509000.csv");
    assert_eq!(default(None, Some("zip")), "looker_file_1795561509000.zip");
    assert_eq!(default(None, None), "looker_file_1795561509000");
    assert_eq!(default(Some(&"ü".repeat(300)), Some("csv")).len(), 204);
}

#[test]
fn the_extension_is_added_where_there_is_none() {
    for (given, want) in [
        ("orders", "orders.csv"),
        ("orders.", "orders.csv"),
        ("orders.txt", "orders.txt"),
        ("orders.7z", "orders.7z"),
        ("orders 2026.11", "orders 2026.11.csv"),
        ("v1.2/orders", "v1.2/orders.csv"),
        (".hidden", ".hidden.csv"),
        ("/orders", "orders.csv"),
    ] {
        assert_eq!(named("", given).as_deref(), Ok(want), "{given}");
    }
    assert!(target(None, Some("/orders"), &facts()).unwrap().rooted());
}

#[test]
fn folders_may_begin_and_end_with_a_slash() {
    for (path, want, rooted) in [
        ("a/b", "a/b/x.csv", false),
        ("a/b/", "a/b/x.csv", false),
        ("/a/b", "a/b/x.csv", true),
        ("/", "x.csv", true),
        ("{date:%Y/%m}", "2026/11/x.csv", false),
    ] {
        let file = target(Some(path), Some("x.csv"), &facts()).unwrap();
        assert_eq!((file.as_str(), file.rooted()), (want, rooted), "{path}");
        assert_eq!(file.name(), "x.csv");
        assert_eq!(file.folders().collect::<Vec<_>>().join("/"), file.folder());
    }
}

#[test]
fn wrong_templates_name_what_is_wrong() {
    for (path, filename, why) in [
        ("", "{titel}.csv", "filename: {titel} is no placeholder. There are {title}, {date}"),
        ("", "{title:%Y}.csv", "filename: {title:%Y} is no placeholder"),
        ("{", "a", "path: A \"{\" has no \"}\""),
        ("", "{date:%J9}.csv", "filename: The date format \"%J9\""),
        ("", "{date:%}.csv", "filename: The date format"),
        ("", "{date@Mars/Base}.csv", "filename: \"Mars/Base\" is no time zone"),
        ("", &"x".repeat(5000), "filename: It becomes longer than 4096 bytes"),
        ("", &"{date:%250d}".repeat(400), "filename: "),
        (&"x/".repeat(2040), "seventeen chars.", "path: The name is longer"),
    ] {
        let error = named(path, filename).unwrap_err();
        assert!(error.starts_with(why), "{error}");
    }
}

#[test]
fn taken_names_are_numbered() {
    let numbered = |text: &str, n| FilePath::new(text).unwrap().numbered(n).to_string();
    assert_eq!(numbered("a/b.csv", 1), "a/b.csv");
    assert_eq!(numbered("a/b.csv", 2), "a/b (2).csv");
    assert_eq!(numbered("a.b/c", 3), "a.b/c (3)");
    assert_eq!(numbered(".csv", 2), ".csv (2)");
    assert_eq!(FilePath::new("a/b.csv").unwrap().numbered(2).name(), "b (2).csv");
}

/// What must never become a path: traversal, empty names, control and disguising characters.
const HOSTILE: [&str; 42] = [
    "..",
    ".",
    "../x",
    "x/..",
    "x/../y",
    "./x",
    "x/.",
    "x/./y",
    "/..",
    "/../x",
    "//x",
    "x//y",
    "x/",
    "/",
    "//",
    "///",
    "..\\x",
    "x\\y",
    "\\\\server\\share",
    "C:\\x",
    "x\0",
    "\0",
    "x\0.csv",
    "x\ny",
    "x\r\ny",
    "x\ty",
    "x\u{7f}y",
    "x\u{85}y",
    "x\u{1b}[0m",
    "x\u{202e}vsc.exe",
    "x\u{2066}y",
    "x\u{2028}y",
    "\u{feff}x",
    "x/ /y",
    "y/ /x",
    "x/\u{a0}/y",
    "{date:%n}",
    "{date:%t}",
    "a{date:%n}b",
    "{{/../}}",
    "..{{/..",
    "{date:..}/{date:..}",
];

/// What looks dangerous but is an ordinary name, because nothing here decodes anything.
const HARMLESS: [&str; 19] = [
    "%2e%2e%2fx",
    "%2E%2E/x",
    "..%2fx",
    "%00",
    "...",
    "..x",
    "x..",
    "~",
    "~root",
    "$HOME",
    "$(id)",
    "`id`",
    "x;y",
    "-rf",
    "CON",
    "x:y",
    "\u{ff0e}\u{ff0e}",
    "\u{2024}\u{2024}",
    "a'b\"c",
];

#[test]
fn hostile_names_are_refused() {
    for text in HOSTILE {
        for (path, filename) in [("", text), (text, "x.csv")] {
            // As a folder, "/" and a slash at the end are usual.
            let usual = filename == "x.csv" && matches!(text, "/" | "x/");
            match target(Some(path), Some(filename), &facts()) {
                Ok(file) => assert!(usual, "{text:?} became {file:?}"),
                Err(error) => {
                    assert!(!usual, "{text:?}: {error}");
                    let field = if filename == "x.csv" { "path" } else { "filename" };
                    assert_eq!(error.field_name(), Some(field), "{text:?}");
                    assert!(!error.message().contains(char::is_control), "{text:?}");
                }
            }
        }
    }
}

#[test]
fn names_that_only_look_hostile_stay_as_they_are() {
    for text in HARMLESS {
        let file = target(None, Some(text), &facts()).unwrap();
        assert!(file.as_str().starts_with(text), "{text:?} became {file:?}");
        assert!(file.folders().all(|name| name != ".."), "{file:?}");
    }
}

proptest! {
    /// Whatever is typed and whatever the title is: an error, or a path that stays below its root.
    #[test]
    fn no_text_leaves_its_folder(
        path in "([a./{}%\\\\ ]|\\PC|\\.\\./|\\{title\\}|\\{date:[%a-zA-Z/.]{0,6}\\}){0,12}",
        filename in "([a./{}%\\\\ ]|\\PC|\\.\\./|\\{ext\\}|\\{plan_id\\}){0,12}",
        title in "([./\\\\]|\\PC|\\p{Cc}){0,8}",
        extension in "([./\\\\]|\\PC|\\p{Cc}){0,4}",
    ) {
        let facts = Facts {
            plan_id: Some(extension.clone()),
            title: Some(title),
            extension: Some(extension),
            ..facts()
        };
        if let Ok(file) = target(Some(&path), Some(&filename), &facts) {
            for file in [file.clone(), file.numbered(2)] {
                prop_assert!(file.as_str().len() <= 4096 + 4);
                prop_assert!(!file.as_str().starts_with('/') && !file.as_str().ends_with('/'));
                for name in file.as_str().split('/') {
                    prop_assert!(!name.trim().is_empty() && name != "." && name != "..");
                    prop_assert!(!name.contains(|c: char| c.is_control() || c == '\\'));
                }
            }
        }
    }

    /// A text without braces is its own expansion.
    #[test]
    fn plain_text_is_not_changed(text in "[^{}]{0,64}") {
        prop_assert_eq!(template::expand(&text, &facts()), Ok(text));
    }
}
