//! For stand-ins of Amazon's services: recomputes a request's signature from what arrived.

use http::{HeaderMap, Method};
use jiff::Timestamp;

use super::aws::{self, Keys};

/// What a stand-in knows of its one caller.
pub(crate) struct Caller<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// A request as it arrived, decoded.
pub(crate) struct Arrived<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(String, String)],
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body_hash: &'a str,
}

/// A refusal: status, code, message.
pub(crate) type Wrong = (u16, &'static str, String);

impl Caller<'_> {
    /// Whether the request is this caller's, whole and fresh.
    pub(crate) fn check(&self, arrived: &Arrived<'_>) -> Result<(), Wrong> {
        let header = |name: &str| arrived.headers.get(name).and_then(|value| value.to_str().ok());
        let malformed = |what: &str| (400, "AuthorizationHeaderMalformed", what.to_owned());
        let refused = |code, what: &str| (403, code, what.to_owned());
        let given =
            header("authorization").ok_or_else(|| refused("AccessDenied", "Access Denied"))?;
        if !given.contains(&format!("Credential={}/", self.id)) {
            return Err(refused("InvalidAccessKeyId", "The key does not exist."));
        }
        let signed = given
            .split_once("SignedHeaders=")
            .and_then(|(_, rest)| rest.split(',').next())
            .ok_or_else(|| malformed("No SignedHeaders."))?;
        let signed: Vec<_> = signed.split(';').collect();
        let must =
            arrived.headers.keys().map(|name| name.as_str()).filter(|name| {
                name.starts_with("x-amz-") || matches!(*name, "host" | "content-type")
            });
        for name in must {
            if !signed.contains(&name) {
                return Err(malformed(&format!("{name} is not signed.")));
            }
        }
        let time = header("x-amz-date").ok_or_else(|| malformed("No date."))?;
        let then = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time)
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
            .map_err(|_| malformed("The date is none."))?;
        let apart = Timestamp::now().duration_since(then.timestamp()).abs();
        if apart > jiff::SignedDuration::from_mins(15) {
            return Err(refused("RequestTimeTooSkewed", "The difference is too large."));
        }
        let request = aws::Request {
            method: arrived.method.clone(),
            scheme: "https",
            host: header("host").unwrap_or_default(),
            path: arrived.path,
            query: arrived.query.iter().map(|(name, value)| (&**name, value.clone())).collect(),
            headers: signed
                .iter()
                .filter(|name| **name != "host")
                .map(|name| (*name, header(name).unwrap_or_default().to_owned()))
                .collect(),
            body_hash: arrived.body_hash.to_owned(),
        };
        let keys = Keys { id: self.id.into(), secret: self.secret.into(), token: None };
        if request.authorization(&keys, self.region, self.service, time) == given {
            Ok(())
        } else {
            Err(refused("SignatureDoesNotMatch", "The signature does not match."))
        }
    }
}
