//! The origin map: the operator sends a vendor's traffic elsewhere, to a fake, an emulator or a
//! gateway.

use std::fmt;

use url::Host;

use crate::{Error, Result};

/// Scheme, host and port of one side of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: u16,
}

/// Where requests for a vendor's origin really go. The request itself stays as the vendor would
/// see it: path, `Host` and signature do not change.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    from: Origin,
    /// `from.host` holds what must stand behind one or more labels, with its leading dot.
    wildcard: bool,
    to: Origin,
}

impl Origins {
    /// Reads entries such as `https://vendor.example=http://127.0.0.1:9000`.
    ///
    /// The left side may be `https://*.vendor.example` (one label or more). Schemes of the left
    /// side are https, http, sftp, smtp and smtps; the right side is https or http for the first
    /// two and otherwise the same as the left one.
    ///
    /// # Errors
    /// A hub error that names the entry and what would be right.
    pub fn parse<I>(entries: I) -> Result<Self>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let entries = entries
            .into_iter()
            .map(|entry| Entry::parse(entry.as_ref().trim()))
            .collect::<Result<_>>()?;
        Ok(Self { entries })
    }

    /// Whether no traffic goes elsewhere.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where `scheme://host:port` goes. An exact entry wins over a wildcard, a longer wildcard
    /// over a shorter one.
    pub(super) fn target(&self, scheme: &str, host: &str, port: u16) -> Option<&Origin> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.entries
            .iter()
            .filter(|entry| entry.from.scheme == scheme && entry.from.port == port)
            .filter(|entry| entry.covers(host))
            .max_by_key(|entry| (!entry.wildcard, entry.from.host.len()))
            .map(|entry| &entry.to)
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::hub(format!(
                "The origin map's entry {text:?} {why}. It must look like \
                 https://vendor.example=http://127.0.0.1:9000."
            ))
        };
        let (from, to) =
            text.split_once('=').ok_or_else(|| wrong("has no \"=\" between its two origins"))?;
        let (wildcard, from) = match from.split_once("://*.") {
            Some((scheme, rest)) => (true, format!("{scheme}://{rest}")),
            None => (false, from.to_owned()),
        };
        let mut from = Origin::parse(&from)
            .map_err(|why| wrong(&format!("is wrong on its left side: {why}")))?;
        let to = Origin::parse(to)
            .map_err(|why| wrong(&format!("is wrong on its right side: {why}")))?;
        let web = |origin: &Origin| matches!(origin.scheme.as_str(), "http" | "https");
        if from.scheme != to.scheme && !(web(&from) && web(&to)) {
            return Err(wrong("changes the protocol"));
        }
        if wildcard {
            from.host.insert(0, '.');
        }
        Ok(Self { from, wildcard, to })
    }

    fn covers(&self, host: &str) -> bool {
        if !self.wildcard {
            return self.from.host.eq_ignore_ascii_case(host);
        }
        host.len()
            .checked_sub(self.from.host.len())
            .and_then(|at| host.get(at..).map(|tail| (at, tail)))
            .is_some_and(|(at, tail)| at > 0 && tail.eq_ignore_ascii_case(&self.from.host))
    }
}

impl Origin {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) =
            text.trim().split_once("://").ok_or("a scheme such as https:// is missing")?;
        let standard = match scheme {
            "https" => 443,
            "http" => 80,
            "sftp" => 22,
            "smtp" => 25,
            "smtps" => 465,
            _ => return Err("the scheme must be https, http, sftp, smtp or smtps"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err("an origin has no path");
        }
        if rest.contains('@') {
            return Err("an origin has no user name or password");
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| "the port must be a number from 1 to 65535")?)
            }
            _ => (rest, standard),
        };
        if port == 0 {
            return Err("the port must be a number from 1 to 65535");
        }
        let host = match Host::parse(host).map_err(|_| "the host is not valid")? {
            // Without its brackets, as a socket address wants it.
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        };
        Ok(Self { scheme: scheme.to_owned(), host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(map: &[&str], scheme: &str, host: &str, port: u16) -> Option<String> {
        let map = Origins::parse(map).expect("valid map");
        map.target(scheme, host, port).map(ToString::to_string)
    }

    #[test]
    fn scheme_host_and_port_must_all_match() {
        let map = ["https://vendor.example=http://127.0.0.1:9000"];
        let there = Some("http://127.0.0.1:9000".to_owned());
        assert_eq!(target(&map, "https", "vendor.example", 443), there);
        assert_eq!(target(&map, "https", "VENDOR.example", 443), there);
        assert_eq!(target(&map, "http", "vendor.example", 443), None);
        assert_eq!(target(&map, "https", "vendor.example", 8443), None);
        assert_eq!(target(&map, "https", "a.vendor.example", 443), None);
        assert_eq!(target(&map, "https", "vendor.example.evil.test", 443), None);
    }

    #[test]
    fn a_wildcard_stands_for_one_label_or_more_and_an_exact_entry_wins() {
        let map = [
            "https://*.example.com=http://127.0.0.1:1",
            "https://*.s3.example.com=http://127.0.0.1:2",
            "https://one.s3.example.com=http://127.0.0.1:3",
        ];
        let port = |host| target(&map, "https", host, 443);
        assert_eq!(port("a.example.com").as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(port("a.b.s3.example.com").as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(port("one.s3.example.com").as_deref(), Some("http://127.0.0.1:3"));
        assert_eq!(port("example.com"), None);
        assert_eq!(port("evilexample.com"), None);
        assert_eq!(port(".example.com"), None);
    }

    #[test]
    fn other_protocols_and_ipv6_targets() {
        let map = [
            "sftp://files.example=sftp://127.0.0.1:12222",
            "smtp://mail.example:587=smtp://[::1]:2525",
        ];
        assert_eq!(
            target(&map, "sftp", "files.example", 22).as_deref(),
            Some("sftp://127.0.0.1:12222")
        );
        assert_eq!(target(&map, "smtp", "mail.example", 587).as_deref(), Some("smtp://[::1]:2525"));
    }

    #[test]
    fn a_wrong_entry_is_named_with_what_is_wrong() {
        for (entry, why) in [
            ("https://vendor.example", "\"=\""),
            ("vendor.example=http://127.0.0.1", "left side: a scheme"),
            ("https://vendor.example=127.0.0.1:1", "right side: a scheme"),
            ("https://vendor.example/path=http://127.0.0.1", "no path"),
            ("https://vendor.example=http://127.0.0.1:99999", "the port"),
            ("https://vendor.example=http://127.0.0.1:0", "the port"),
            ("https://vendor.example=sftp://127.0.0.1", "changes the protocol"),
            ("ftp://vendor.example=ftp://127.0.0.1", "the scheme must be"),
            ("https://u:p@vendor.example=http://127.0.0.1", "no user name"),
            ("https://=http://127.0.0.1", "the host"),
        ] {
            let error = Origins::parse([entry]).expect_err(entry);
            assert!(error.message().contains(entry) && error.message().contains(why), "{error}");
        }
    }
}
