//! The address guard: which addresses and URLs the hub may call at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Url;

use crate::{Error, Result};

/// IPv4 ranges that no URL may name: the IANA special-purpose registry
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>) without its two AS112 ranges and
/// AMT, which are global, plus multicast and Azure's wire server, which sits in a public range
/// (<https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>).
const REFUSED_V4: [Ipv4Net; 17] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v4([255, 255, 255, 255], 32),
    v4([168, 63, 129, 16], 32),
];

/// The one IPv6 range that is global unicast. An allow list, because what lies outside of it
/// includes many ways to write an IPv4 address (mapped, compatible, NAT64).
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// What is special inside it: protocol assignments with Teredo, ORCHID and benchmarking;
/// documentation; 6to4; documentation again.
const REFUSED_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0], 32),
    v6([0x2002, 0, 0, 0], 16),
    v6([0x3fff, 0, 0, 0], 20),
];

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(head: [u16; 4], prefix: u8) -> Ipv6Net {
    let [a, b, c, d] = head;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// Whether `address` is an ordinary public one.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !REFUSED_V6.iter().any(|net| net.contains(&address))
        }
    }
}

/// What one connection may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Public addresses and the operator's networks. All ports: a public service may listen
    /// anywhere, and what must not be reached is told by its address.
    PublicOrAllowed,
    /// The operator's networks only: for unencrypted http.
    AllowedOnly,
    /// Anything: the operator named the target in the origin map.
    Operator,
}

/// The operator's networks and the rule beside them.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    allowed: Vec<IpNet>,
}

impl Guard {
    pub(super) fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Whether a connection to `address` may be opened.
    pub(super) fn permits(&self, address: IpAddr, reach: Reach) -> bool {
        // No canonical form on purpose: ::ffff:127.0.0.1 is not 127.0.0.0/8, it has to be listed
        // itself.
        let listed = || self.allowed.iter().any(|net| net.contains(&address));
        match reach {
            Reach::Operator => true,
            Reach::AllowedOnly => listed(),
            Reach::PublicOrAllowed => is_public(address) || listed(),
        }
    }
}

/// A URL that was parsed once. Only this form travels on, so that what is checked is what is
/// called.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) uri: Uri,
}

impl Target {
    /// Parses `text` as an http or https URL without a login in it.
    ///
    /// # Errors
    /// A settings error. It quotes the URL's host at most: the rest may be secret.
    pub(super) fn parse(text: &str) -> Result<Self> {
        // The fault is `url`'s own short text ("empty host"); it does not quote the input.
        let mut url = Url::parse(text.trim()).map_err(|fault| {
            Error::settings(format!(
                "The URL is not valid ({fault}). It must look like https://example.com/path."
            ))
        })?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(Error::settings(format!(
                "A URL that begins with {}: cannot be called. It must begin with https://.",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::settings(
                "The URL holds a user name or password before its host. Remove them from the URL.",
            ));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Error::settings("The URL names no host."));
        }
        url.set_fragment(None);
        let uri = url.as_str().parse().map_err(|fault: http::uri::InvalidUri| {
            Error::settings("The URL holds characters that must be percent-encoded.").cause(fault)
        })?;
        Ok(Self { url, uri })
    }

    /// Takes over a request target that somebody else built, and perhaps signed, byte for byte.
    ///
    /// # Errors
    /// A settings error when a URL parser would read it otherwise than it stands: then what is
    /// checked, what was signed and what is called could differ.
    pub(super) fn exact(uri: &Uri) -> Result<Self> {
        let parsed = Self::parse(&uri.to_string())?;
        let same_host = uri.host().is_some_and(|h| Some(h) == parsed.url.host_str());
        if !same_host || uri.path_and_query() != parsed.uri.path_and_query() {
            return Err(Error::settings(
                "The address to call is not in its normal form: a name in its path is \".\" or \
                 \"..\", or holds characters that cannot be sent. Choose another file name or path.",
            ));
        }
        Ok(Self { url: parsed.url, uri: uri.clone() })
    }

    /// Host and, where it is not the scheme's own, port.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", http::uri::Authority::as_str)
    }
}
