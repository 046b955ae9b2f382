//! Whom a request goes to, and the sentences for what goes wrong on the way.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::dial::DialError;
use super::guard::Reach;
use crate::redact::Redactor;
use crate::{Error, text};

/// The other side of a request.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) name: Cow<'static, str>,
    pub(super) looker: bool,
    pub(super) oauth: bool,
    /// What became of the login after the vendor refused its token.
    pub(super) login_note: Option<String>,
    pub(super) redact: Redactor,
}

/// Why no answer came, and whether another attempt could change that.
pub(super) struct Fault {
    pub(super) error: Error,
    pub(super) passing: bool,
    /// There was no connection, so that nothing was sent.
    pub(super) dialling: bool,
}

impl Fault {
    pub(super) fn last(error: Error) -> Self {
        Self { error, passing: false, dialling: false }
    }

    pub(super) fn passing(error: Error) -> Self {
        Self { error, passing: true, dialling: false }
    }
}

impl Peer {
    pub(super) fn vendor(name: Cow<'static, str>, redact: Redactor, oauth: bool) -> Self {
        Self { name, looker: false, oauth, login_note: None, redact }
    }

    /// Looker, called `name` after what it is asked for.
    pub(super) fn looker(name: &'static str) -> Self {
        let name = Cow::Borrowed(name);
        Self { name, looker: true, oauth: false, login_note: None, redact: Redactor::default() }
    }

    /// An error of this side's class, without the delivery's secrets.
    pub(super) fn error(&self, message: impl Display) -> Error {
        let message = message.to_string();
        let message = self.redact.clean(&message).into_owned();
        if self.looker { Error::looker(message) } else { Error::vendor(message) }
    }

    /// A settings error towards a vendor. What Looker gave us no setting can mend.
    pub(super) fn settings(&self, message: impl Display) -> Error {
        let message = message.to_string();
        let message = self.redact.clean(&message).into_owned();
        if self.looker { Error::looker(message) } else { Error::settings(message) }
    }

    /// An error for the user whose login was refused.
    pub(super) fn login(&self, message: String) -> Error {
        Error::login(self.redact.clean(&message).into_owned())
    }

    pub(super) fn silent(&self, limit: Duration) -> Error {
        let (name, limit) = (&self.name, text::duration(limit));
        self.error(format!("{name} did not answer within {limit}. Try again later.")).retry_later()
    }

    pub(super) fn idle(&self, limit: Duration) -> Error {
        let (name, limit) = (&self.name, text::duration(limit));
        self.error(format!(
            "{name} neither took nor sent a byte for {limit}, so the connection was given up. Try \
             again later."
        ))
        .retry_later()
    }

    pub(super) fn broke_off(&self, while_what: &str) -> Error {
        let name = &self.name;
        self.error(format!("{name} closed the connection while {while_what}. Try again later."))
            .retry_later()
    }

    /// Adds that the data may stand there although an error is reported.
    pub(super) fn may_have_arrived(&self, error: Error) -> Error {
        let name = &self.name;
        error
            .context(format!(
                "The data may have arrived at {name}: check there before you send it again"
            ))
            .may_have_arrived()
    }

    /// No connection: nothing was sent. The address of a name is never told, because it would
    /// show the inside of the operator's network to whoever may fill in a form.
    pub(super) fn unreachable(&self, host: &str, fault: &DialError) -> Fault {
        let name = &self.name;
        // A vendor's address is the admin's or the user's own; this one came from Looker.
        let about = if self.looker { format!("{name} cannot be had: ") } else { String::new() };
        let (error, passing) = match fault {
            DialError::Forbidden(Reach::AllowedOnly) => (
                self.settings(format!(
                    "{about}{host} must be called by https://, because this hub sends unencrypted http \
                     only to networks that its operator lists in SENDOFF_ALLOW_ADDRESSES."
                )),
                false,
            ),
            DialError::Forbidden(_) => (
                self.settings(format!(
                    "{about}{host} is at an address that this hub may not reach (private or reserved). \
                     Ask the hub's operator to allow it with SENDOFF_ALLOW_ADDRESSES."
                )),
                false,
            ),
            DialError::Resolve(fault) | DialError::Connect(fault)
                if let Some(busy) = Error::too_many_open(fault) =>
            {
                (busy, true)
            }
            DialError::Resolve(fault) => {
                // getaddrinfo's EAI_AGAIN has no kind of its own, only this text.
                let passing = fault.to_string().contains("emporary");
                let text = format!(
                    "The host {host} of {name} could not be found in the name service. Check that \
                     its name is right."
                );
                (self.error(text), passing)
            }
            DialError::Connect(fault) => {
                let why = match fault.kind() {
                    io::ErrorKind::ConnectionRefused => "it refused the connection",
                    io::ErrorKind::TimedOut => "it did not answer",
                    _ => "there is no way to it from this hub",
                };
                (self.error(format!("{name} could not be reached at {host}: {why}.")), true)
            }
            DialError::Timeout(limit) => {
                let limit = text::duration(*limit);
                let text = format!("{name} could not be reached at {host} within {limit}.");
                (self.error(text), true)
            }
            DialError::Tls(fault) => {
                let (why, passing) = tls_fault(fault);
                (self.error(format!("No secure connection to {host} of {name}: {why}.")), passing)
            }
        };
        let error = if passing { error.retry_later() } else { error };
        Fault { error: error.cause(fault.to_string()), passing, dialling: true }
    }
}

/// What is wrong with a TLS handshake, and whether that may pass.
fn tls_fault(fault: &io::Error) -> (&'static str, bool) {
    use CertificateError as C;
    let tls = fault.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(certificate)) => {
            let why = match certificate {
                C::Expired | C::ExpiredContext { .. } => "its certificate has expired",
                C::NotValidYet | C::NotValidYetContext { .. } => "its certificate is not valid yet",
                C::NotValidForName | C::NotValidForNameContext { .. } => {
                    "its certificate is for another host name"
                }
                C::UnknownIssuer => {
                    "its certificate is not from an authority that this hub trusts (self-signed?)"
                }
                C::Revoked => "its certificate was revoked",
                _ => "its certificate is not valid",
            };
            (why, false)
        }
        Some(rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(_)) => (
            "it and this hub have no TLS version or cipher in common (TLS 1.2 is the least)",
            false,
        ),
        Some(_) => ("it does not speak TLS properly", false),
        None => ("the handshake broke off", true),
    }
}
