//! Secrets that stand elsewhere: in a file, or in what a command prints.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use super::sources::read_file;

const PRINTED_AT_MOST: u64 = 64 << 10;

/// The secrets themselves. `file:` and `exec:` are followed unless `literal`.
///
/// # Errors
/// What is wrong, without a secret.
pub(super) fn fetch_all(texts: Vec<String>, literal: bool) -> Result<Vec<String>, String> {
    let mut secrets = Vec::with_capacity(texts.len());
    for text in texts {
        if literal {
            secrets.push(text);
        } else if let Some(path) = text.strip_prefix("file:") {
            let text = read_file(Path::new(path))
                .map_err(|why| format!("its file {path:?} {}", why.trim_end_matches('.')))?;
            add_lines(&text, &format!("its file {path:?}"), &mut secrets)?;
        } else if let Some(command) = text.strip_prefix("exec:") {
            add_lines(&run(command)?, "its command", &mut secrets)?;
        } else {
            secrets.push(text);
        }
    }
    Ok(secrets)
}

fn add_lines(text: &str, from: &str, secrets: &mut Vec<String>) -> Result<(), String> {
    let before = secrets.len();
    secrets.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    if secrets.len() == before {
        return Err(format!("{from} holds no secret"));
    }
    Ok(())
}

fn run(command: &str) -> Result<String, String> {
    let failed = |fault: std::io::Error| format!("its command cannot be run: {fault}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut printed = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(PRINTED_AT_MOST).read_to_string(&mut printed).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(printed) } else { Err(format!("its command failed: {status}")) }
}
