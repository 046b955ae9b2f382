//! What a value must look like, and the words when it does not.

use std::fs::{self, Metadata};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use rustix::fs::{Access, AtFlags, CWD};

use super::{Catalogue, sources};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// A folder that files can be written to.
pub(super) fn folder(path: &str) -> Result<PathBuf, String> {
    writable(Path::new(path)).map(|_| PathBuf::from(path))
}

/// A folder that data can wait in, or "none".
pub(super) fn spool_folder(path: &str) -> Result<PathBuf, String> {
    if path == "none" {
        return Ok(path.into());
    }
    let mode = writable(Path::new(path))?.mode();
    // Any user of the machine could replace another's file there.
    if mode & 0o1002 == 0o0002 {
        return Err("it is world-writable without the sticky bit; `chmod +t` sets it".to_owned());
    }
    Ok(path.into())
}

fn writable(path: &Path) -> Result<Metadata, String> {
    let right = "it must be a folder that this hub may write to";
    let about = fs::metadata(path).map_err(|fault| format!("{right}: {fault}"))?;
    if !about.is_dir() {
        return Err(format!("{right}, and it is no folder"));
    }
    rustix::fs::accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|fault| format!("{right}: {fault}"))?;
    Ok(about)
}

/// The workbench asks nobody to log in and sends data wherever it is told to.
pub(super) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| {
        "it must be an address of this machine with a port, such as \"127.0.0.1:8090\": the \
         workbench has no login, so nobody else may reach it (from elsewhere, \
         `ssh -L 8090:127.0.0.1:8090` leads to it)"
            .to_owned()
    })
}

pub(super) fn web_url(text: &str) -> Result<String, String> {
    let right = "it must be an http or https URL without a query, such as \
                 \"https://hub.example.com\"";
    let url: http::Uri = text.parse().map_err(|_| right.to_owned())?;
    let web = matches!(url.scheme_str(), Some("http" | "https"));
    if web && url.authority().is_some() && url.query().is_none() {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(right.to_owned())
    }
}

pub(super) fn action(name: &str, catalogue: &Catalogue) -> Result<String, String> {
    if catalogue.names.iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let close = sources::closest(name, catalogue.names.iter().cloned());
    Err(match close {
        Some(close) => format!("there is no action \"{name}\", did you mean \"{close}\""),
        None => format!("there is no action \"{name}\"; there are {}", catalogue.names.join(", ")),
    })
}

pub(super) fn log(directives: &str) -> Result<String, String> {
    // A directive without `=` or `::` that is no level would be read as a crate's name, and a
    // misspelt level as a log that stays empty.
    let sound = directives.split(',').all(|directive| match directive.split_once('=') {
        Some((_, level)) => LEVELS.contains(&level.trim()),
        None => LEVELS.contains(&directive.trim()) || directive.contains("::"),
    });
    if sound {
        Ok(directives.to_owned())
    } else {
        Err(format!(
            "it must be one of {}, or directives such as \"info,sendoff=debug\"",
            LEVELS.join(", ")
        ))
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let one_address = || text.parse().map(|address: std::net::IpAddr| address.into()).ok();
    let network = text.parse().ok().or_else(one_address);
    network.ok_or_else(|| {
        "each must be a network such as \"10.20.0.0/16\", \"fd00::/8\" or a single address"
            .to_owned()
    })
}

pub(super) fn sixty_four_hex_digits(text: &str) -> Result<(), String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err("it must be 64 hexadecimal characters, as `openssl rand -hex 32` prints".to_owned())
    }
}
