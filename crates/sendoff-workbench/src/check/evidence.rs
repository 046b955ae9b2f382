//! What a recording shows of a hub: its list, a form of each action, a delivery that succeeded and
//! one that failed. Of several the one with the most to remark is kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::wire::{Deaf, Ended, Heard};
use crate::exchange::Exchange;
use crate::recording::{Reader, Recorded, RecordedResponse};
use crate::remarks::remarks;
use crate::verdict::{self, Call, Severity, looker_does};

/// Checks that look at what a recording masks, or at what was not asked.
pub(super) const LEFT_OUT: [&str; 4] = [
    "execute/error/missing-param",
    "form/state/small",
    "oauth/login/state-url-hidden",
    "path/token/arrives",
];

/// One exchange, as checks have it.
pub(super) struct Kept {
    pub(super) heard: Result<Heard, Deaf>,
    pub(super) exchange: Exchange,
    findings: usize,
}

impl Default for Kept {
    fn default() -> Self {
        let none = "The recording has no list call.".to_owned();
        let exchange = Exchange { failure: Some(none.clone()), ..Exchange::default() };
        Self { heard: Err(Deaf::Unreachable(none)), exchange, findings: 0 }
    }
}

/// What a recording shows of a hub.
#[derive(Default)]
pub struct Evidence {
    pub(super) list: Kept,
    /// By action.
    pub(super) forms: BTreeMap<String, Kept>,
    /// With its action.
    pub(super) delivery: Option<(String, Kept)>,
    pub(super) refusal: Option<Kept>,
    exchanges: u64,
    from: String,
    unfinished: Option<String>,
}

impl Evidence {
    /// What a recording shows.
    ///
    /// # Errors
    /// As [`Reader`].
    pub async fn read(path: &Path) -> std::io::Result<Self> {
        let mut reader = Reader::open(path).await?;
        let mut evidence = Self { from: path.display().to_string(), ..Self::default() };
        while let Some(recorded) = reader.next().await? {
            evidence.add(&recorded);
        }
        evidence.unfinished = reader.unfinished();
        Ok(evidence)
    }

    /// That lines of the recording were not written to their end, if so.
    pub fn unfinished(&self) -> Option<&str> {
        self.unfinished.as_deref()
    }

    /// Takes an exchange in, as far as it shows something.
    pub fn add(&mut self, recorded: &Recorded) {
        self.exchanges += 1;
        // What the recorder answered itself, and what was cut, shows nothing.
        let Some(response) = recorded.response.as_ref().filter(|r| !r.body.cut) else { return };
        // A call that was not let in shows nothing of the list, the form or the delivery.
        if [401, 403].contains(&response.status) {
            return;
        }
        let body = response.body.kept();
        let about = verdict::Heard {
            status: Some(response.status),
            body: &body,
            failure: None,
            action: recorded.action.as_deref().unwrap_or_default(),
        };
        let exchange = recorded.exchange();
        let kept = Kept {
            findings: remarks(recorded.call, &exchange, about).len(),
            heard: Ok(heard(recorded, response, body.clone())),
            exchange,
        };
        match (recorded.call, &recorded.action) {
            // The newest list is the one that the others belong to.
            (Call::List, _) => self.list = kept,
            (Call::Form | Call::Test, Some(action)) => {
                let known = self.forms.get(action);
                if known.is_none_or(|known| known.findings < kept.findings) {
                    self.forms.insert(action.clone(), kept);
                }
            }
            (Call::Execute, Some(action)) => {
                let severity = looker_does(Call::Execute, about).severity;
                let succeeded = severity != Severity::Failure;
                let more =
                    |known: Option<&Kept>| known.is_none_or(|known| known.findings < kept.findings);
                if succeeded && more(self.delivery.as_ref().map(|(_, kept)| kept)) {
                    self.delivery = Some((action.clone(), kept));
                } else if !succeeded && more(self.refusal.as_ref()) {
                    self.refusal = Some(kept);
                }
            }
            _ => {}
        }
    }

    /// How many exchanges were taken in.
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    pub(super) fn hub(&self) -> Option<&str> {
        Some(self.list.exchange.url.as_str()).filter(|url| !url.is_empty())
    }

    pub(super) fn from(&self) -> &str {
        &self.from
    }

    pub(super) fn delivered(&self) -> Option<&str> {
        self.delivery.as_ref().map(|(action, _)| action.as_str())
    }
}

fn heard(recorded: &Recorded, response: &RecordedResponse, body: Vec<u8>) -> Heard {
    let mut headers = HeaderMap::new();
    for (name, value) in &response.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let whole = serde_json::from_slice::<Value>(&body).is_ok();
    let ended = match &recorded.failure {
        None => Ended::Whole,
        // Looker gave up waiting for the rest.
        Some(why) if why == "Looker hung up." && !whole => Ended::Silent,
        Some(why) => Ended::Broken(why.clone()),
    };
    Heard {
        status: response.status,
        headers,
        body,
        pieces: recorded.pieces.clone(),
        took: Duration::try_from_secs_f64(recorded.until_end / 1_000.0).unwrap_or_default(),
        ended,
    }
}
