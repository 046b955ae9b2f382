//! What a value must look like, and the words when it does not.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::{Catalogue, sources};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

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
