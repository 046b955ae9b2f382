//! The page as a person meets it: `sendoff demo` and `sendoff workbench` in a real Chromium.
//!
//! `scripts/servers.sh` installs the browser and says where its driver is; without it these tests
//! are left out, unless BEHAVIOUR_REQUIRE_REAL says that they must run.

#![allow(clippy::disallowed_methods, reason = "tests read what scripts/servers.sh set")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A page that is served until it is dropped.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sendoff"))
            .args(arguments)
            // A configuration lying about must have no say.
            .current_dir(folder)
            .env("SENDOFF_LISTEN", "127.0.0.1:0")
            .env("SENDOFF_WORKBENCH_LISTEN", "127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = said.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.strip_prefix("Open ")?;
            rest.split(' ').next().map(str::to_owned)
        });
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || said.for_each(drop));
        Self { child, url: url.expect("it says where the page is") }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_person_can_do_everything_on_the_page() {
    let Ok(driver) = std::env::var("BEHAVIOUR_BROWSER") else {
        let must = std::env::var_os("BEHAVIOUR_REQUIRE_REAL").is_some();
        assert!(!must, "BEHAVIOUR_BROWSER is not set: scripts/servers.sh installs a browser");
        eprintln!("left out: there is no browser (see scripts/servers.sh)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let demo = Served::start(folder.path(), &["demo", "--folder", "delivered"]);
    let wrong = ["workbench", "--bad", "execute/delivery/not-empty"];
    let wrong = Served::start(folder.path(), &wrong);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/page.cjs");
    let status = Command::new("node")
        .arg(script)
        .args([&demo.url, &wrong.url, &driver])
        .current_dir(folder.path())
        .status()
        .expect("node runs");
    assert!(status.success(), "see what the browser found above");
    let delivered = std::fs::read_to_string(folder.path().join("delivered/by-mouse.csv")).unwrap();
    assert!(delivered.starts_with("Penguins Species,"), "{delivered}");
}
