//! Why a request cannot be read, and whom that concerns.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::base64::BadBase64;
use super::tokenizer::{Event, Limits, Malformed, Tokenizer, What};
use crate::Error;
use crate::text;

/// Why a request cannot be read.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No JSON object, or none that ends.
    Malformed(Malformed),
    /// A member cannot be read, which begins at this byte of the body.
    Member { name: String, at: u64, fault: serde_json::Error },
    /// `attachment.data` says it is base64, and is not.
    Base64(BadBase64),
    /// Data stands in two places.
    SecondData,
    /// Larger than the hub takes, in bytes.
    TooLarge { limit: u64 },
    /// With all other requests it takes more memory than the hub gives them.
    Crowded,
    /// Larger than a request without data is, in bytes.
    SmallTooLarge { limit: u64 },
    /// A `Content-Encoding` other than gzip.
    Encoding,
    /// The body says it is gzip, and is not.
    Gzip { cause: std::io::Error },
    /// Nothing, or next to nothing, came for so long.
    Stalled { after: Duration },
    /// The connection ended before the body did.
    BrokeOff { cause: Box<dyn std::error::Error + Send + Sync> },
    /// The request could not wait for its delivery.
    Spool(Error),
}

impl Refusal {
    /// What is wrong with a small body that was read whole and is no `T`: its byte and cause, in the
    /// words that a delivery is refused with.
    pub(crate) fn of_small<T: DeserializeOwned>(body: &Bytes) -> Self {
        let (mut tokenizer, mut events) = (Tokenizer::new(Limits::default()), VecDeque::new());
        let read = tokenizer.feed(body, &mut events).and_then(|()| tokenizer.finish());
        if let Err(malformed) = read {
            return Self::Malformed(malformed);
        }
        events.into_iter().find_map(unread::<T>).unwrap_or_else(|| {
            Self::Malformed(Malformed { offset: 0, what: What::NotAnObject(b'{') })
        })
    }

    /// The HTTP status that says it, where the answer has not begun yet. `None` means that it is
    /// said in the envelope alone: the request's shape was right, its content was not.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Malformed(Malformed { what: What::TooLarge { .. }, .. }) => {
                Some(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::Malformed(_) | Self::Member { .. } | Self::SecondData | Self::Gzip { .. } => {
                Some(StatusCode::BAD_REQUEST)
            }
            Self::TooLarge { .. } | Self::SmallTooLarge { .. } => {
                Some(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::Encoding => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::Stalled { .. } => Some(StatusCode::REQUEST_TIMEOUT),
            Self::BrokeOff { .. } => Some(StatusCode::BAD_REQUEST),
            Self::Base64(_) | Self::Spool(_) | Self::Crowded => None,
        }
    }

    /// The sentence for whoever sent the request.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Malformed(malformed) if malformed.is_cut_short() => {
                format!("Looker's request was cut short: {malformed}.")
            }
            Self::Malformed(Malformed { what: What::TooLarge { most }, .. }) => format!(
                "What the request says besides its data (settings, answers, the schedule and its \
                 query) is larger than the {} that this hub takes.",
                text::byte_count(*most as u64)
            ),
            Self::Malformed(malformed) => {
                format!("The request is not the JSON that Looker sends: {malformed}.")
            }
            Self::Member { name, at, fault } => {
                let fault = fault.to_string();
                // serde_json counts within what it was given, which is not the body.
                let words = fault.split(" at line ").next().unwrap_or_default();
                format!(
                    "The request is not the JSON that Looker sends: its member \"{}\" at byte {at} \
                     cannot be read: {words}.",
                    name.escape_debug()
                )
            }
            Self::Base64(error) => {
                format!("Looker's attachment says it is base64, but {error}.")
            }
            Self::SecondData => {
                "The request holds data in two places, so it is unclear which to deliver.".into()
            }
            Self::TooLarge { limit } => format!(
                "The request is larger than the {} that this hub takes. Send fewer rows, or ask \
                 the hub's operator to raise SENDOFF_LIMITS_BODY_BYTES.",
                text::byte_count(*limit)
            ),
            Self::Crowded => {
                "This action hub is busy: what it is asked for at the moment takes all the memory \
                 that it has for that. Try again in a few minutes."
                    .into()
            }
            Self::SmallTooLarge { limit } => format!(
                "The request is larger than {}, which is the most for one without data. Shorten \
                 its settings and answers.",
                text::byte_count(*limit)
            ),
            Self::Encoding => {
                "The request body has a Content-Encoding that this hub does not read: send it \
                 plain or as gzip."
                    .into()
            }
            Self::Gzip { .. } => {
                "The request says it is gzip, but its body cannot be unpacked.".into()
            }
            Self::Stalled { after } => format!(
                "Looker's request stalled: next to nothing came for {}.",
                text::duration(*after)
            ),
            Self::BrokeOff { .. } => "Looker's request broke off before its end.".into(),
            Self::Spool(error) => error.message().to_owned(),
        }
    }

    /// The sentence where nothing stands at a destination, which it then says.
    pub(crate) fn answer(&self) -> Error {
        let partly = match self {
            Self::Malformed(malformed) => malformed.is_cut_short(),
            Self::Base64(_) | Self::Stalled { .. } | Self::BrokeOff { .. } | Self::Crowded => true,
            _ => false,
        };
        let error = self.error();
        if partly { error.remark("Nothing was delivered.") } else { error }
    }

    /// The same as an error of a delivery, which may have got somewhere.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Spool(error) => {
                let again = Error::hub(error.message().to_owned()).cause(error.log_line());
                again.retry_later()
            }
            Self::TooLarge { .. }
            | Self::SmallTooLarge { .. }
            | Self::Malformed(Malformed { what: What::TooLarge { .. }, .. }) => {
                Error::hub(self.message()).status(413)
            }
            Self::Crowded => Error::hub(self.message()).retry_later(),
            Self::BrokeOff { cause } => Error::looker(self.message()).cause(cause.to_string()),
            Self::Gzip { cause } => Error::looker(self.message()).cause(cause.to_string()),
            _ => Error::looker(self.message()),
        }
    }
}

/// The refusal of a member that is no member of a `T`. serde_json does not tell which one it is.
fn unread<T: DeserializeOwned>(event: Event) -> Option<Refusal> {
    let (name, at, json, front, end) = match event {
        Event::Member { name, at, json } => (name, at, json, "{", "}"),
        Event::AttachmentMember { name, at, json } => (name, at, json, r#"{"attachment":{"#, "}}"),
        _ => return None,
    };
    let quoted = serde_json::to_vec(&name).ok()?;
    let alone = [front.as_bytes(), &quoted, b":", &json, end.as_bytes()].concat();
    let fault = serde_json::from_slice::<T>(&alone).err()?;
    Some(Refusal::Member { name, at, fault })
}
