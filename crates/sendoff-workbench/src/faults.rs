//! What goes wrong with the next send, on purpose: seeded, so that it goes wrong again in the same
//! way, and written as one short text, so that it can be handed on: `seed=7 fault=cut@12345`.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
use crate::request::{Cargo, Delivery, Source, Writing, Written};

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendFault {
    /// The body that carries the data ends after so many bytes as if that were all: `cut@12345`. It is
    /// the request's where the data is pushed, and the download's where the hub fetches it.
    Cut(u64),
    /// One character of the attachment's base64 is none: `base64`. Formats that are text have no
    /// base64; with them nothing happens.
    Base64,
    /// So many bytes a second of the same body and no more: `slow@1000`.
    Slow(u64),
    /// The connection ends after so many bytes of the same body: `hangup@12345`.
    HangUpAfter(u64),
    /// The connection ends when the hub sent its first newline: `hangup@newline`.
    HangUpAtNewline,
    /// The connection ends after that time: `hangup@30s`.
    HangUpIn(Duration),
    /// The members of the body come in another order, chosen by the seed: `shuffled`.
    Shuffled,
    /// One member of the body, chosen by the seed, is written twice: `doubled`.
    Doubled,
    /// The download URL answers 404, as after its first use or its hour: `download@expired`.
    DownloadExpired,
    /// The download URL answers 500: `download@500`.
    DownloadFails,
    /// The download URL answers 200 with a login page: `download@html`.
    DownloadPage,
    /// The download breaks off after so many bytes: `download-cut@12345`.
    DownloadCut(u64),
    /// The download ends after so many bytes as if that were all, as when a query fails and is
    /// shown as complete: `download-short@12345`.
    DownloadShort(u64),
}

/// All that goes wrong with a send. Its text is `seed=7 fault=cut@12345 fault=slow@1000`; without
/// any fault it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// From which everything is chosen that the faults leave open.
    pub seed: u64,
    /// What goes wrong.
    pub list: Vec<SendFault>,
}

/// The text describes no faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoFaults(String);

impl fmt::Display for NoFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no fault. Known are cut@BYTES, base64, slow@BYTES (a second), hangup@BYTES, \
             hangup@newline, hangup@SECONDSs, shuffled, doubled, download@expired, download@500, \
             download@html, download-cut@BYTES and download-short@BYTES; a seed is seed=NUMBER.",
            self.0
        )
    }
}

impl std::error::Error for NoFaults {}

impl fmt::Display for SendFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(at) => write!(f, "cut@{at}"),
            Self::Base64 => f.write_str("base64"),
            Self::Slow(rate) => write!(f, "slow@{rate}"),
            Self::HangUpAfter(bytes) => write!(f, "hangup@{bytes}"),
            Self::HangUpAtNewline => f.write_str("hangup@newline"),
            Self::HangUpIn(time) => write!(f, "hangup@{}s", time.as_secs_f64()),
            Self::Shuffled => f.write_str("shuffled"),
            Self::Doubled => f.write_str("doubled"),
            Self::DownloadExpired => f.write_str("download@expired"),
            Self::DownloadFails => f.write_str("download@500"),
            Self::DownloadPage => f.write_str("download@html"),
            Self::DownloadCut(at) => write!(f, "download-cut@{at}"),
            Self::DownloadShort(at) => write!(f, "download-short@{at}"),
        }
    }
}

impl FromStr for SendFault {
    type Err = NoFaults;

    fn from_str(text: &str) -> Result<Self, NoFaults> {
        let unknown = || NoFaults(text.to_owned());
        let (name, at) = match text.split_once('@') {
            Some((name, at)) => (name, Some(at)),
            None => (text, None),
        };
        let bytes = || at.and_then(size).ok_or_else(unknown);
        Ok(match (name, at) {
            ("cut", Some(_)) => Self::Cut(bytes()?),
            ("base64", None) => Self::Base64,
            ("slow", Some(_)) => Self::Slow(bytes()?.max(1)),
            ("hangup", Some("newline")) => Self::HangUpAtNewline,
            ("hangup", Some(time)) if time.ends_with('s') => {
                let seconds = time.trim_end_matches('s').parse().map_err(|_| unknown())?;
                Self::HangUpIn(Duration::try_from_secs_f64(seconds).map_err(|_| unknown())?)
            }
            ("hangup", Some(_)) => Self::HangUpAfter(bytes()?),
            ("shuffled", None) => Self::Shuffled,
            ("doubled", None) => Self::Doubled,
            ("download", Some("expired" | "404")) => Self::DownloadExpired,
            ("download", Some("500")) => Self::DownloadFails,
            ("download", Some("html")) => Self::DownloadPage,
            ("download-cut", Some(_)) => Self::DownloadCut(bytes()?),
            ("download-short", Some(_)) => Self::DownloadShort(bytes()?),
            _ => return Err(unknown()),
        })
    }
}

/// A number of bytes: `12345`, `10kB`, `1MiB`, `10GB`. Units of 1,000 and, with an `i`, of 1,024.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let lower = unit.trim_end_matches(['b', 'B']).to_ascii_lowercase();
    let factor: u64 = match lower.as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let number: f64 = number.parse().ok()?;
    let bytes = number * factor as f64;
    (bytes.is_finite() && bytes < 1e18).then_some(bytes as u64)
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.list.is_empty() {
            return Ok(());
        }
        write!(f, "seed={}", self.seed)?;
        self.list.iter().try_for_each(|fault| write!(f, " fault={fault}"))
    }
}

impl FromStr for Faults {
    type Err = NoFaults;

    /// Reads the text that [`Faults`] prints, and one fault alone without `fault=`.
    fn from_str(text: &str) -> Result<Self, NoFaults> {
        let mut faults = Self::default();
        for word in text.split([' ', ',', ';']).filter(|word| !word.is_empty()) {
            if let Some(seed) = word.strip_prefix("seed=") {
                faults.seed = seed.parse().map_err(|_| NoFaults(word.to_owned()))?;
            } else {
                faults.list.push(word.strip_prefix("fault=").unwrap_or(word).parse()?);
            }
        }
        Ok(faults)
    }
}

impl Serialize for Faults {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Faults {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Numbers that follow from a seed alone (SplitMix64).
/// <https://prng.di.unimi.it/splitmix64.c>
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}

/// Why a connection ended that was to end.
pub(crate) const HUNG_UP: &str = "hung up on purpose";
/// The base64 breaks somewhere in its first characters, so that small attachments break too.
const BREAKS_WITHIN: usize = 4_000;

impl Faults {
    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn has(&self, fault: SendFault) -> bool {
        self.list.contains(&fault)
    }

    /// Changes what is sent: the order of the members, and which of them is written twice.
    pub(crate) fn apply(&self, delivery: &mut Delivery) {
        let mut chance = Chance::new(self.seed);
        if self.has(SendFault::Shuffled) {
            chance.shuffle(&mut delivery.order);
        }
        if self.has(SendFault::Doubled) {
            delivery.doubled = Some(Delivery::ORDER[chance.below(Delivery::ORDER.len())]);
        }
    }

    /// The character of the base64 that is replaced.
    pub(crate) fn broken(&self) -> Option<u64> {
        let mut chance = Chance::new(self.seed);
        self.has(SendFault::Base64).then(|| chance.below(BREAKS_WITHIN) as u64)
    }

    /// Those of the request. Where the hub fetches the data, what spoils it goes with the data.
    pub(crate) fn of_request(mut self, carried: Carried) -> Self {
        use SendFault as Is;
        let spoils = |fault: &Is| matches!(fault, Is::Cut(_) | Is::HangUpAfter(_) | Is::Slow(_));
        if carried == Carried::Fetched {
            self.list.retain(|fault| !spoils(fault));
        }
        self
    }

    /// A sentence for each that could not do anything in a send that is over, so that nobody takes
    /// an answer for one to a fault.
    pub(crate) fn missed(&self, carried: Carried, progress: &Progress) -> Vec<String> {
        let (fetched, bytes) = match carried {
            Carried::Fetched => (true, progress.fetched),
            _ => (false, progress.sent),
        };
        let missed = self.list.iter().filter_map(|fault| {
            let why = match fault {
                SendFault::Cut(at) | SendFault::HangUpAfter(at) if bytes < *at => {
                    let body = if fetched { "download" } else { "request" };
                    format!("the {body}'s body had {bytes} bytes")
                }
                SendFault::DownloadCut(at) | SendFault::DownloadShort(at)
                    if fetched && bytes < *at =>
                {
                    format!("the download's body had {bytes} bytes")
                }
                SendFault::HangUpAtNewline if progress.newlines == 0 => {
                    "the hub sent no newline before its answer".to_owned()
                }
                SendFault::HangUpIn(time) if progress.elapsed() < *time => {
                    format!("all was over after {:.1} s", progress.elapsed().as_secs_f64())
                }
                SendFault::Base64 if carried != Carried::Base64 => {
                    "the data is not sent as base64: only binary formats are, in the request"
                        .to_owned()
                }
                SendFault::DownloadExpired
                | SendFault::DownloadFails
                | SendFault::DownloadPage
                | SendFault::DownloadCut(_)
                | SendFault::DownloadShort(_)
                    if !fetched =>
                {
                    "the data went in the request, and nothing was fetched".to_owned()
                }
                _ => return None,
            };
            Some(format!("The fault `{fault}` did nothing: {why}."))
        });
        missed.collect()
    }

    /// Changes the body on its way.
    pub(crate) fn spoil(&self, mut writing: Writing) -> Writing {
        for fault in &self.list {
            writing = match *fault {
                SendFault::Cut(at) => ending(writing, at, false),
                SendFault::HangUpAfter(at) => ending(writing, at, true),
                SendFault::Slow(rate) => slowed(writing, rate),
                _ => writing,
            };
        }
        writing
    }

    /// How the download URL behaves.
    pub(crate) fn download(&self) -> DownloadFaults {
        let mut faults = DownloadFaults::default();
        for fault in &self.list {
            match *fault {
                SendFault::DownloadExpired => faults.instead = Some(Instead::Expired),
                SendFault::DownloadFails => faults.instead = Some(Instead::Fails),
                SendFault::DownloadPage => faults.instead = Some(Instead::Page),
                SendFault::DownloadCut(at) | SendFault::HangUpAfter(at) => {
                    faults.ends = Some((at, true));
                }
                SendFault::DownloadShort(at) | SendFault::Cut(at) => {
                    faults.ends = Some((at, false));
                }
                SendFault::Slow(rate) => faults.slow = Some(rate),
                _ => {}
            }
        }
        faults
    }

    pub(crate) fn hangs_up_at_newline(&self) -> bool {
        self.has(SendFault::HangUpAtNewline)
    }

    pub(crate) fn hangs_up_in(&self) -> Option<Duration> {
        self.list.iter().find_map(|fault| match fault {
            SendFault::HangUpIn(time) => Some(*time),
            _ => None,
        })
    }
}

/// How a download URL misbehaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DownloadFaults {
    pub(crate) instead: Option<Instead>,
    /// After so many bytes, and whether the connection breaks there.
    pub(crate) ends: Option<(u64, bool)>,
    /// So many bytes a second.
    pub(crate) slow: Option<u64>,
}

/// How the data of a send travels, as far as faults go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// In the request, as text, or there is none.
    Text,
    /// In the request, as base64.
    Base64,
    /// The hub fetches it.
    Fetched,
}

impl Carried {
    pub(crate) fn of(cargo: &Cargo) -> Self {
        match cargo {
            Cargo::Url { .. } => Self::Fetched,
            Cargo::Push { format, inline: false, .. } if format.is_binary() => Self::Base64,
            Cargo::Push { .. } | Cargo::None => Self::Text,
        }
    }
}

/// What a download URL answers in place of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    Expired,
    Fails,
    Page,
}

/// The first `at` bytes; then it ends, or breaks.
fn ending(writing: Writing, at: u64, breaks: bool) -> Writing {
    Box::pin(stream::unfold((writing, Some(at)), move |(mut writing, left)| async move {
        let left = left?;
        if left == 0 {
            // What was written has its chance to leave before the connection breaks.
            tokio::task::yield_now().await;
            let end = breaks.then(|| Err(io::Error::other(HUNG_UP)));
            return end.map(|end| (end, (writing, None)));
        }
        let mut next = writing.next().await?;
        let mut after = left;
        if let Ok(written) = &mut next {
            let length = written.bytes.len() as u64;
            if length > left {
                cut(written, left as usize);
            }
            after = left.saturating_sub(length);
        }
        Some((next, (writing, Some(after))))
    }))
}

fn cut(written: &mut Written, at: usize) {
    // Where the record shows a mask, its length tells nothing: it is cut in proportion.
    let shown = if written.shown.len() == written.bytes.len() {
        at
    } else {
        at * written.shown.len() / written.bytes.len()
    };
    written.shown.truncate(shown);
    written.bytes.truncate(at);
}

/// So many bytes a second, in ten steps.
fn slowed(writing: Writing, rate: u64) -> Writing {
    let step = usize::try_from(rate.div_ceil(10)).unwrap_or(usize::MAX);
    let pieces = writing.flat_map(move |next| {
        let pieces: Vec<_> = match next {
            Ok(written) if written.bytes.len() > step => stepped(&written, step),
            other => vec![other],
        };
        stream::iter(pieces)
    });
    Box::pin(pieces.then(move |next| async move {
        if let Ok(written) = &next {
            let seconds = written.bytes.len() as f64 / rate as f64;
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
        next
    }))
}

/// The same for what a hub fetches.
pub(crate) fn slowed_source(source: Source, rate: u64) -> Source {
    let whole = |bytes: bytes::Bytes| Written { shown: bytes.clone(), bytes };
    let writing: Writing = Box::pin(source.map(move |next| next.map(whole)));
    Source::stream(slowed(writing, rate).map(|next| next.map(|written| written.bytes)))
}

fn stepped(written: &Written, step: usize) -> Vec<io::Result<Written>> {
    let same = written.shown.len() == written.bytes.len();
    let starts = (0..written.bytes.len()).step_by(step);
    starts
        .map(|start| {
            let range = start..(start + step).min(written.bytes.len());
            let shown = match (same, start) {
                (true, _) => written.shown.slice(range.clone()),
                (false, 0) => written.shown.clone(),
                (false, _) => bytes::Bytes::new(),
            };
            Ok(Written { bytes: written.bytes.slice(range), shown })
        })
        .collect()
}

#[cfg(test)]
mod tests;
