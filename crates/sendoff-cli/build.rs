//! Names the revision that is built, for `sendoff --version` and `GET /status`.

use std::path::Path;
use std::process::Command;

#[allow(clippy::disallowed_methods, reason = "a build script is told by the environment")]
fn main() {
    println!("cargo::rerun-if-env-changed=SENDOFF_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // Whoever builds without git says it himself. Others' builds for development would be made anew
    // after each commit.
    let given = std::env::var_os("SENDOFF_COMMIT").is_some();
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if given || !release {
        return;
    }
    // Not the revision of a repository that this source was copied into.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize();
    let top = git(&["rev-parse", "--show-toplevel"]).map(|top| Path::new(&top).canonicalize());
    if !matches!((root, top), (Ok(root), Some(Ok(top))) if root == top) {
        return;
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=SENDOFF_COMMIT={commit}");
    }
    for name in ["HEAD", "logs/HEAD"] {
        // Cargo would build anew each time for a file that is not there.
        if let Some(path) =
            git(&["rev-parse", "--git-path", name]).filter(|it| Path::new(it).exists())
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|it| it.status.success());
    Some(String::from_utf8(output?.stdout).ok()?.trim().to_owned())
}
