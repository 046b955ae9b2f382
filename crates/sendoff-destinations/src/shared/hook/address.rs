//! Where a webhook may go, and with which headers.

use std::fmt;

use http::{HeaderName, HeaderValue};
use sendoff::{Error, Result, Secret, Value};
use url::Url;

/// A webhook's address. Who knows it can send to it, so that only its host is ever shown.
#[derive(Clone)]
pub(crate) struct Address(Url);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.host()).finish()
    }
}

impl Address {
    /// Reads the answer to the form field `url`.
    ///
    /// # Errors
    /// A form error.
    pub(crate) fn parse(text: &Secret) -> Result<Self> {
        let url = Url::parse(text.expose().trim()).map_err(|fault| {
            Error::form(
                "url",
                format!(
                    "The URL is not valid ({fault}). It must look like https://example.com/path."
                ),
            )
        })?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Error::form("url", "The URL names no host."));
        }
        Ok(Self(url))
    }

    /// The host alone.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The whole URL.
    pub(super) fn url(&self) -> &str {
        self.0.as_str()
    }

    /// The parts that are as secret as the whole: servers like to quote the path in their errors.
    pub(super) fn secrets(&self) -> Vec<String> {
        let path = self.0.path();
        let mut secrets = vec![self.url().to_owned(), path.to_owned()];
        if let Some(query) = self.0.query() {
            secrets.push(format!("{path}?{query}"));
            secrets.push(query.to_owned());
            secrets.extend(self.0.query_pairs().map(|(_, value)| value.into_owned()));
        }
        // Shorter segments are words of the service's own, such as "hooks" and "catch".
        secrets.extend(path.split('/').filter(|name| name.len() >= 10).map(str::to_owned));
        secrets
    }
}

/// The hosts that may be called: `example.com` is that host alone, `*.example.com` every host
/// below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// Whether nothing is listed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `host` is listed.
    pub(crate) fn allow(&self, host: &str) -> bool {
        self.0.iter().any(|rule| covers(rule, host))
    }
}

/// Whether `rule` covers `host`; both are in lower case.
pub(crate) fn covers(rule: &str, host: &str) -> bool {
    match rule.strip_prefix('*') {
        // What is left begins with a dot: `*.example.com` does not cover `badexample.com`.
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => host == rule,
    }
}

impl Value for Hosts {
    fn parse(text: &str) -> Result<Self, String> {
        let entries =
            text.split([',', ';', ' ', '\t', '\r', '\n']).filter(|entry| !entry.is_empty());
        entries.map(host_rule).collect::<Result<_, _>>().map(Self)
    }
}

fn host_rule(entry: &str) -> Result<String, String> {
    let wildcard = entry.starts_with("*.");
    let bare = entry.strip_prefix("*.").unwrap_or(entry);
    let rule = match url::Host::parse(bare) {
        // The parser takes a star for a letter.
        _ if bare.contains('*') => None,
        Ok(host) if !wildcard => Some(host.to_string()),
        Ok(url::Host::Domain(host)) if host.contains('.') => Some(format!("*.{host}")),
        _ => None,
    };
    rule.ok_or_else(|| {
        format!(
            "\"{}\" is no host. List hosts such as example.com or *.example.com, separated by \
             commas, without https:// and path.",
            entry.chars().filter(|c| !c.is_control()).take(60).collect::<String>()
        )
    })
}

/// Headers as lines of `Name: value`. The values are secrets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(pub(super) Vec<(String, Secret)>);

/// What belongs to the connection or is computed here.
const OWN: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Headers {
    /// One header.
    ///
    /// # Errors
    /// A sentence for the admin.
    pub(crate) fn one(name: &str, value: &str) -> Result<Self, String> {
        pair(name, value).map(|pair| Self(vec![pair]))
    }
}

impl Value for Headers {
    const SENSITIVE: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let mut headers = Vec::new();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            // The line may hold a secret at any place: only its number is told.
            let read = line
                .split_once(':')
                .ok_or_else(|| "It must look like Name: value.".to_owned())
                .and_then(|(name, value)| pair(name, value));
            headers.push(read.map_err(|why| format!("Line {} is wrong. {why}", n + 1))?);
        }
        Ok(Self(headers))
    }
}

fn pair(name: &str, value: &str) -> Result<(String, Secret), String> {
    let (name, value) = (name.trim(), value.trim());
    let Ok(known) = HeaderName::try_from(name) else {
        return Err("Its name is no name of a header.".into());
    };
    if OWN.contains(&known.as_str()) {
        return Err(format!("The hub sets {known} itself."));
    }
    if HeaderValue::from_str(value).is_err() {
        return Err(format!("The value of {known} holds characters that no header may hold."));
    }
    Ok((known.to_string(), value.to_owned().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_whole_or_at_a_dot() {
        let hosts = Hosts::parse("Example.com, *.zapier.com\n10.0.0.7").unwrap();
        for host in ["example.com", "hooks.zapier.com", "a.b.zapier.com", "10.0.0.7"] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in ["a.example.com", "zapier.com", "badzapier.com", "zapier.com.evil.example", ""]
        {
            assert!(!hosts.allow(host), "{host}");
        }
        for wrong in ["https://example.com", "example.com/path", "*", "*.com", "*.10.0.0.7", "a b/"]
        {
            assert!(Hosts::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_lines_whose_values_are_not_told() {
        let headers = Headers::parse("X-Key: abc\r\n\nauthorization:Bearer a:b\n").unwrap();
        let read: Vec<_> = headers.0.iter().map(|(n, v)| (n.as_str(), v.expose())).collect();
        assert_eq!(read, [("x-key", "abc"), ("authorization", "Bearer a:b")]);
        for wrong in [
            "secret-text",
            ": secret-text",
            "X y: secret-text",
            "Host: secret-text",
            "X-Key: secret-text\u{7f}",
            "content-length: secret-text",
        ] {
            let message = Headers::parse(&format!("a: b\n{wrong}")).unwrap_err();
            assert!(message.starts_with("Line 2 is wrong."), "{message}");
            assert!(!message.contains("secret-text"), "{message}");
        }
    }

    #[test]
    fn of_an_address_only_the_host_is_shown() {
        let address =
            Address::parse(&"https://hooks.example/catch/0123456789/?k=v0".into()).unwrap();
        assert_eq!(format!("{address:?}"), "Address(\"hooks.example\")");
        let secrets = address.secrets();
        for part in ["/catch/0123456789/", "0123456789", "k=v0", "v0"] {
            assert!(secrets.iter().any(|secret| secret == part), "{part}");
        }
        for wrong in ["", "hooks.example/x", "https://", "mailto:a@b.example"] {
            assert_eq!(
                Address::parse(&wrong.into()).unwrap_err().field_name(),
                Some("url"),
                "{wrong}"
            );
        }
    }
}
