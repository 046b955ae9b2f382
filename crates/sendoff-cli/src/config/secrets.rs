//! Secrets that stand elsewhere: in a file, or in what a command prints.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

#[cfg(feature = "workbench")]
use super::sources::Environment;
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

/// A secret of the command line, which may stand elsewhere: `env:NAME`, `file:PATH`,
/// `exec:COMMAND`; after `literal:` a text counts as it is.
///
/// # Errors
/// What is wrong, without a secret.
#[cfg(feature = "workbench")]
pub(crate) fn secret_text(text: &str, environment: &Environment) -> Result<String, String> {
    let whole = |text: String| text.trim_end_matches(['\r', '\n']).to_owned();
    if let Some(text) = text.strip_prefix("literal:") {
        return Ok(text.to_owned());
    }
    if let Some(name) = text.strip_prefix("env:") {
        let value = environment.get(name);
        return value.map(str::to_owned).ok_or_else(|| format!("{name} is not set"));
    }
    if let Some(path) = text.strip_prefix("file:") {
        let read = read_file(Path::new(path));
        return read
            .map(whole)
            .map_err(|why| format!("its file {path:?} {}", why.trim_end_matches('.')));
    }
    match text.strip_prefix("exec:") {
        Some(command) => run(command).map(whole),
        None => Ok(text.to_owned()),
    }
}

/// The variable in which commands that call a hub look for its token.
pub(super) const TOKEN_VARIABLE: &str = "SENDOFF_TOKEN";

/// A hub's token: the flag's, which may stand elsewhere, else the variable's.
///
/// # Errors
/// What is wrong, without the token.
#[cfg(feature = "workbench")]
pub(crate) fn token_text(
    flag: Option<&str>,
    environment: &Environment,
) -> Result<Option<String>, String> {
    match flag {
        Some(text) => {
            let token = secret_text(text, environment).map_err(|why| format!("--token: {why}."))?;
            Ok(Some(token))
        }
        None => Ok(environment.get(TOKEN_VARIABLE).map(str::to_owned)),
    }
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
