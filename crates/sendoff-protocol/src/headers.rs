//! The headers that Looker sends.

use std::cmp::Ordering;
use std::fmt;

/// `X-Looker-Webhook-Id`: 32 hexadecimal characters, one per delivery. **A/B**
pub const WEBHOOK_ID: &str = "x-looker-webhook-id";
/// `X-Looker-Instance`: 32 hexadecimal characters, the same for every request of an instance. **B/C**
pub const INSTANCE: &str = "x-looker-instance";
/// `X-Looker-Webhook-Token`: sent with data actions and scheduled webhooks. **A/C**
pub const WEBHOOK_TOKEN: &str = "x-looker-webhook-token";

/// The value of `Authorization` for a hub token.
pub fn authorization(token: &str) -> String {
    format!("Token token=\"{token}\"")
}

/// The token in `Authorization: Token token="…"`; `token` in lower case is accepted too. **A/B**
pub fn parse_authorization(header: &str) -> Option<&str> {
    let (scheme, rest) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("token") {
        return None;
    }
    rest.trim().strip_prefix("token=")?.strip_prefix('"')?.strip_suffix('"')
}

/// The Looker release, from `User-Agent: LookerOutgoingWebhook/24.18.5`.
///
/// Zero-padded build numbers occur (`7.3.00004561`). **B**
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookerVersion([u64; 3]);

impl LookerVersion {
    /// A version from its parts.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self([major, minor, patch])
    }

    /// Reads a `User-Agent`; `None` when it is another program's or has no version.
    pub fn from_user_agent(header: &str) -> Option<Self> {
        let (_, after) = header.split_once("LookerOutgoingWebhook/")?;
        let digits =
            after.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        let mut parts = [0; 3];
        let mut seen = 0;
        for (slot, text) in parts.iter_mut().zip(digits.split('.')) {
            if text.is_empty() {
                break;
            }
            *slot = text.parse().ok()?;
            seen += 1;
        }
        (seen > 0).then_some(Self(parts))
    }
}

impl PartialOrd for LookerVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LookerVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl fmt::Display for LookerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0[0], self.0[1], self.0[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_reference_reads_them() {
        let read = |agent: &str| LookerVersion::from_user_agent(agent).map(|v| v.to_string());
        assert_eq!(read("LookerOutgoingWebhook/24.18.5").as_deref(), Some("24.18.5"));
        assert_eq!(read("LookerOutgoingWebhook/7.3.00004561").as_deref(), Some("7.3.4561"));
        assert_eq!(read("x LookerOutgoingWebhook/5.5").as_deref(), Some("5.5.0"));
        assert_eq!(read("LookerOutgoingWebhook/6.2.0-dev").as_deref(), Some("6.2.0"));
        assert_eq!(read("LookerOutgoingWebhook/unknown"), None);
        assert_eq!(read("curl/8.0"), None);
        assert!(LookerVersion::new(7, 3, 0) > LookerVersion::new(6, 23, 9));
    }

    #[test]
    fn tokens_are_read_from_either_case_and_nothing_else() {
        assert_eq!(parse_authorization(r#"Token token="a/b""#), Some("a/b"));
        assert_eq!(parse_authorization(r#"token token="a/b""#), Some("a/b"));
        for bad in ["", "Token", "Token token=a/b", "Bearer a/b", r#"Token token="a/b"#] {
            assert_eq!(parse_authorization(bad), None, "{bad}");
        }
        assert_eq!(parse_authorization(&authorization("a/b")), Some("a/b"));
    }
}
