//! Why a TLS connection was not made, in words: what the server presented, and what is wrong with it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// Judges as usual, and keeps what was presented.
#[derive(Debug)]
pub(super) struct Presented {
    judge: Arc<WebPkiServerVerifier>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

/// The server's certificate is not believed.
#[derive(Debug)]
pub(crate) struct BadCertificate(String);

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCertificate {}

impl BadCertificate {
    /// Whether this is why there is no connection.
    pub(crate) fn is_why(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl Presented {
    pub(super) fn new(judge: Arc<WebPkiServerVerifier>) -> Self {
        Self { judge, chain: Mutex::default() }
    }

    /// The failure of a handshake as people read it.
    pub(super) fn told(&self, error: io::Error) -> io::Error {
        let Some(why) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return error;
        };
        match why {
            Error::InvalidCertificate(why) => {
                io::Error::other(BadCertificate(format!("{}; {}", wrong(why), self.chain())))
            }
            Error::InvalidMessage(_) => {
                io::Error::other("what answers speaks no TLS; a plain port is called by http://")
            }
            Error::AlertReceived(alert) => {
                io::Error::other(format!("the server refuses the TLS handshake ({alert:?})"))
            }
            other => io::Error::other(format!("the TLS handshake failed ({other})")),
        }
    }

    /// `it presents 1 certificate: for "a.example", issued by "R11", until 2026-12-31`.
    fn chain(&self) -> String {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let each: Vec<String> = chain.iter().map(|der| Certificate::told(der)).collect();
        let plural = if each.len() == 1 { "" } else { "s" };
        format!("it presents {} certificate{plural}: {}", each.len(), each.join("; "))
    }
}

fn wrong(why: &CertificateError) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Revoked, UnknownIssuer,
    };
    let why = match why {
        Expired | ExpiredContext { .. } => "has expired",
        NotValidYet | NotValidYetContext { .. } => "is not valid yet",
        NotValidForName | NotValidForNameContext { .. } => "is for another name",
        UnknownIssuer => {
            "is of no authority that is known here, or the certificates between them are missing"
        }
        Revoked => "is revoked",
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "is an authority's and no server's, as self-signed ones often are"
        }
        other => return format!("the certificate is not valid ({other})"),
    };
    format!("the certificate {why}")
}

impl ServerCertVerifier for Presented {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(leaf).chain(between);
        let all = all.map(|der| der.clone().into_owned()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = all;
        self.judge.verify_server_cert(leaf, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// What people want to know of a certificate (RFC 5280, 4.1).
struct Certificate {
    subject: String,
    issuer: String,
    until: String,
}

impl Certificate {
    fn told(der: &[u8]) -> String {
        match Self::read(der) {
            Some(Self { subject, issuer, until }) => {
                format!("for {subject:?}, issued by {issuer:?}, until {until}")
            }
            None => "one that cannot be read".to_owned(),
        }
    }

    fn read(der: &[u8]) -> Option<Self> {
        let (_, whole, _) = value(der)?;
        let (_, signed, _) = value(whole)?;
        let (tag, _, after_version) = value(signed)?;
        let rest = if tag == 0xa0 { after_version } else { signed };
        let (_, _serial, rest) = value(rest)?;
        let (_, _algorithm, rest) = value(rest)?;
        let (_, issuer, rest) = value(rest)?;
        let (_, validity, rest) = value(rest)?;
        let (_, subject, _) = value(rest)?;
        let (_, _from, until) = value(validity)?;
        let (kind, until, _) = value(until)?;
        Some(Self { subject: name(subject)?, issuer: name(issuer)?, until: day(kind, until)? })
    }
}

/// A DER value: its tag, its content and what follows it.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The common name, else the organisation.
fn name(mut parts: &[u8]) -> Option<String> {
    let mut organisation = None;
    while !parts.is_empty() {
        let (_, set, rest) = value(parts)?;
        parts = rest;
        let (_, pair, _) = value(set)?;
        let (_, kind, text) = value(pair)?;
        let (_, text, _) = value(text)?;
        let text = String::from_utf8_lossy(text).into_owned();
        match kind {
            [0x55, 0x04, 0x03] => return Some(text),
            [0x55, 0x04, 0x0a] => organisation = Some(text),
            _ => {}
        }
    }
    Some(organisation.unwrap_or_default())
}

/// `2026-12-31`.
fn day(kind: u8, time: &[u8]) -> Option<String> {
    let time = std::str::from_utf8(time).ok()?;
    let century = match (kind, time.as_bytes().first()?) {
        (0x18, _) => "",
        (_, b'0'..=b'4') => "20",
        _ => "19",
    };
    let year = 4 - century.len();
    let (month, day) = (time.get(year..year + 2)?, time.get(year + 2..year + 4)?);
    Some(format!("{century}{}-{month}-{day}", time.get(..year)?))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn a_certificate_is_read() {
        let pem = include_bytes!("../../tests/pki/localhost.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        assert_eq!(
            Certificate::told(&der),
            "for \"localhost\", issued by \"Test authority\", until 2126-11-01"
        );
        for cut in 0..der.len() {
            let _ = Certificate::read(&der[..cut]);
        }
        assert_eq!(Certificate::told(b"0\x84\xff\xff\xff\xff"), "one that cannot be read");
        assert_eq!(day(0x17, b"491231235959Z").as_deref(), Some("2049-12-31"));
        assert_eq!(day(0x17, b"990101000000Z").as_deref(), Some("1999-01-01"));
    }
}
