//! The one error type: who must act, what the user reads, what the log says.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use rustix::io::Errno;

/// A `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a delivery, a form or a request failed.
///
/// An error carries two texts. The *message* is a sentence for the person who must act: it names
/// what happened and what to do, keeps the vendor's own words, and holds no secret, path or stack.
/// The *cause* is for the log alone.
///
/// `Display` prints the message, [`source`](StdError::source) gives the cause.
pub struct Error(Box<Inner>);

struct Inner {
    class: Class,
    message: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    arrival: Arrival,
    retry: Retry,
    status: Option<u16>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The Looker admin: a setting of the action is wrong.
    Settings,
    /// The user: an answer in the form is wrong.
    Form,
    /// The user: log in again.
    Login,
    /// The destination refused, failed or could not be reached.
    Vendor,
    /// Looker sent incomplete or unreadable data.
    Looker,
    /// The operator of this hub.
    Hub,
}

/// What the destination may hold although the delivery failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrival {
    /// Nothing that looks finished stands at the destination.
    #[default]
    Nothing,
    /// The last byte went out, but the destination's answer was lost: it may have the data.
    Maybe,
    /// So many rows were accepted and cannot be taken back.
    Rows(u64),
}

/// Whether the same request may succeed later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// The same request would fail again.
    #[default]
    No,
    /// The failure is passing.
    Later,
    /// The failure is passing; the destination named a time to wait.
    After(Duration),
}

impl Error {
    fn new(class: Class, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            class,
            message: message.into(),
            field: None,
            arrival: Arrival::Nothing,
            retry: Retry::No,
            status: None,
            cause: None,
        }))
    }

    /// A setting of the action is wrong; its Looker admin must act.
    pub fn settings(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Class::Settings, message)
    }

    /// The answer to the form field `field` is wrong; the user must act.
    pub fn form(
        field: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Class::Form, message).field(field)
    }

    /// The user's login is missing, expired or revoked.
    pub fn login(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Class::Login, message)
    }

    /// The destination refused, failed or could not be reached.
    pub fn vendor(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Class::Vendor, message)
    }

    /// Looker sent incomplete or unreadable data.
    pub fn looker(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Class::Looker, message)
    }

    /// The hub itself cannot do it; its operator must act.
    pub fn hub(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Class::Hub, message)
    }

    /// The hub's error when the system opens no more files or connections for it, which passes;
    /// `None` for any other `cause`.
    pub fn too_many_open(cause: &io::Error) -> Option<Self> {
        let errno = Errno::from_io_error(cause)?;
        let error = Self::hub(
            "This action hub is busy: it has as many files and connections open as its system \
             allows. Try again in a few minutes.",
        );
        matches!(errno, Errno::MFILE | Errno::NFILE).then(|| error.retry_later().cause(errno))
    }

    /// Names the setting or form field that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Keeps what went wrong underneath, for the log alone.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The HTTP status that the destination, or Looker's download, answered.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// The same request may succeed later.
    #[must_use]
    pub fn retry_later(mut self) -> Self {
        self.0.retry = Retry::Later;
        self
    }

    /// The same request may succeed after `wait`.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry = Retry::After(wait);
        self
    }

    /// The destination may hold the data all the same. The message then should say what to check.
    #[must_use]
    pub fn may_have_arrived(mut self) -> Self {
        self.0.arrival = Arrival::Maybe;
        self
    }

    /// `rows` rows were accepted before the failure and cannot be taken back.
    #[must_use]
    pub fn rows_accepted(mut self, rows: u64) -> Self {
        self.0.arrival = Arrival::Rows(rows);
        self
    }

    /// Puts `prefix` in front of the message.
    #[must_use]
    pub fn context(mut self, prefix: impl fmt::Display) -> Self {
        self.0.message = format!("{prefix}: {}", self.0.message).into();
        self
    }

    /// Adds a sentence behind the message.
    #[must_use]
    pub fn remark(mut self, sentence: impl fmt::Display) -> Self {
        self.0.message = format!("{} {sentence}", self.0.message).into();
        self
    }

    /// The same error for another one who waited for it. The cause is told once, by the first.
    pub(crate) fn repeated(&self) -> Self {
        Self(Box::new(Inner {
            class: self.0.class,
            message: self.0.message.clone(),
            field: self.0.field.clone(),
            arrival: self.0.arrival,
            retry: self.0.retry,
            status: self.0.status,
            cause: None,
        }))
    }

    /// Who must act.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The sentence for the person who must act.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The setting or form field that is wrong, if one is.
    pub fn field_name(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// What the destination may hold although the delivery failed.
    pub fn arrival(&self) -> Arrival {
        self.0.arrival
    }

    /// Whether the same request may succeed later.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The HTTP status that the other side answered, if it did.
    pub fn http_status(&self) -> Option<u16> {
        self.0.status
    }

    /// The chain of causes as one line, for the log.
    pub fn log_line(&self) -> String {
        let mut line = self.0.message.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            line.push_str(": ");
            line.push_str(&cause.to_string());
            next = cause.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("class", &self.0.class)
            .field("message", &self.0.message)
            .field("field", &self.0.field)
            .field("arrival", &self.0.arrival)
            .field("retry", &self.0.retry)
            .field("status", &self.0.status)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}
