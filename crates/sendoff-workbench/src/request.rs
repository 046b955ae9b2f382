//! One delivery as Looker would send it, and its body: members in any order, the attachment
//! streamed, so that a result of any size is sent in flat memory.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt};
use http_body::Frame;
use sendoff_protocol::{ActionType, Format, Members, ScheduledPlan, Text};
use serde_json::{Value, json};

use crate::exchange::Peek;

/// Where the bytes of a result come from.
pub struct Source(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>);

impl Source {
    /// Chunks as they become ready. An error breaks the request off.
    pub fn stream(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self(Box::pin(chunks))
    }

    /// The same chunk again and again: a large result that takes no memory.
    pub fn repeat(chunk: Bytes, times: usize) -> Self {
        Self::stream(stream::iter(std::iter::repeat_n(chunk, times).map(Ok)))
    }
}

impl Stream for Source {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl<T: Into<Bytes>> From<T> for Source {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self::stream(stream::iter(Some(Ok(bytes))))
    }
}

/// The result, and the way it goes to the hub.
pub enum Cargo {
    /// A cell has none.
    None,
    /// In the request, as `attachment`.
    Push {
        /// Its format; binary ones are sent as base64.
        format: Format,
        /// Its bytes, before any encoding.
        source: Source,
        /// Sends a JSON format as JSON and not as a string that holds JSON: the documentation says
        /// one, the reference reads the other.
        inline: bool,
    },
    /// Fetched by the hub from `scheduled_plan.download_url`.
    Url {
        /// Its format.
        format: Format,
        /// Its bytes.
        source: Source,
    },
}

/// A top-level member of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// `type`.
    Type,
    /// `scheduled_plan`.
    ScheduledPlan,
    /// `attachment`.
    Attachment,
    /// `data`.
    Data,
    /// `form_params`.
    FormParams,
}

/// How ids are written: both were seen. **C**
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// `88`.
    #[default]
    Numbers,
    /// `"88"`.
    Texts,
}

/// One delivery: what is sent, why, and the params and answers that go with it.
pub struct Delivery {
    /// What is sent.
    pub kind: ActionType,
    /// Null for cells.
    pub plan: Option<ScheduledPlan>,
    /// `data`: the action's params.
    pub params: Members,
    /// `form_params`: the user's answers.
    pub answers: Members,
    /// The result.
    pub cargo: Cargo,
    /// The order of the members. It is not stable between captures, so hubs must take any. **C**
    pub order: [Member; 5],
    /// How ids are written.
    pub ids: Ids,
}

impl Delivery {
    /// The order of most captures.
    pub const ORDER: [Member; 5] =
        [Member::Type, Member::ScheduledPlan, Member::Attachment, Member::Data, Member::FormParams];

    fn new(kind: ActionType, plan: Option<ScheduledPlan>) -> Self {
        Self {
            kind,
            plan,
            params: Members::default(),
            answers: Members::default(),
            cargo: Cargo::None,
            order: Self::ORDER,
            ids: Ids::default(),
        }
    }

    /// One cell of a table: its value, and how the table shows it.
    pub fn cell(value: &str, rendered: &str) -> Self {
        Self::new(ActionType::Cell, None).param("value", value).param("rendered", rendered)
    }

    /// A query's result.
    pub fn query(title: &str) -> Self {
        let plan = ScheduledPlan {
            scheduled_plan_id: Some("88".into()),
            title: Some(title.into()),
            kind: Some("Look".into()),
            url: Some("https://looker.example/looks/12".into()),
            query_id: Some("5531".into()),
            filters_differ_from_look: Some(false),
            ..ScheduledPlan::default()
        };
        Self::new(ActionType::Query, Some(plan))
    }

    /// A dashboard.
    pub fn dashboard(title: &str) -> Self {
        let plan = ScheduledPlan {
            scheduled_plan_id: Some("7".into()),
            title: Some(title.into()),
            kind: Some("Dashboard".into()),
            ..ScheduledPlan::default()
        };
        Self::new(ActionType::Dashboard, Some(plan))
    }

    /// Adds a param of the action, as the admin set it.
    #[must_use]
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.params.0.insert(name.into(), value.into());
        self
    }

    /// Adds the user's answer to a form field.
    #[must_use]
    pub fn answer(mut self, name: &str, value: &str) -> Self {
        self.answers.0.insert(name.into(), value.into());
        self
    }

    /// Sends the result in the request.
    #[must_use]
    pub fn push(mut self, format: Format, source: Source) -> Self {
        self.cargo = Cargo::Push { format, source, inline: false };
        self
    }

    /// Lets the hub fetch the result. Looker then adds the format to the answers. **B**
    #[must_use]
    pub fn by_url(mut self, format: Format, source: Source) -> Self {
        self.answers.0.entry("format".into()).or_insert_with(|| format.as_str().into());
        self.cargo = Cargo::Url { format, source };
        self
    }

    /// The body. `masked` names the params whose values do not belong into a record.
    pub(crate) fn into_body(self, masked: &BTreeSet<String>) -> RequestBody {
        let mut parts = VecDeque::new();
        let plan = plan_json(self.plan.as_ref(), self.ids);
        let mut cargo = Some(self.cargo);
        for (n, member) in self.order.into_iter().enumerate() {
            let lead = if n == 0 { '{' } else { ',' };
            match member {
                Member::Type => parts.push_back(Part::plain(format!(
                    "{lead}\"type\":{}",
                    Value::from(self.kind.as_str())
                ))),
                Member::ScheduledPlan => {
                    parts.push_back(Part::plain(format!("{lead}\"scheduled_plan\":{plan}")));
                }
                Member::Attachment => {
                    parts.push_back(Part::plain(format!("{lead}\"attachment\":")));
                    parts.extend(attachment(cargo.take()));
                }
                Member::Data => parts.push_back(Part::Ready {
                    bytes: format!("{lead}\"data\":{}", json!(self.params)).into(),
                    shown: format!("{lead}\"data\":{}", json!(mask(&self.params, masked))).into(),
                }),
                Member::FormParams => {
                    let answers = json!(self.answers);
                    parts.push_back(Part::plain(format!("{lead}\"form_params\":{answers}")));
                }
            }
        }
        parts.push_back(Part::plain("}"));
        RequestBody { parts, record: Record::default() }
    }
}

/// What stands in a record in place of a secret.
pub(crate) const MASK: &str = "••••";

fn mask(params: &Members, masked: &BTreeSet<String>) -> Members {
    let shown = |(name, value): (&String, &String)| {
        let value = if masked.contains(name) { MASK } else { value };
        (name.clone(), value.to_owned())
    };
    params.0.iter().map(shown).collect()
}

fn plan_json(plan: Option<&ScheduledPlan>, ids: Ids) -> Value {
    let mut value = json!(plan);
    if ids == Ids::Numbers {
        for name in ["scheduled_plan_id", "query_id"] {
            if let Some(id) = value.get_mut(name)
                && let Some(number) = id.as_str().and_then(|text| text.parse::<u64>().ok())
            {
                *id = number.into();
            }
        }
    }
    value
}

fn attachment(cargo: Option<Cargo>) -> Vec<Part> {
    let Some(Cargo::Push { format, source, inline }) = cargo else {
        return vec![Part::plain("null")];
    };
    let suffix = if format.is_binary() { ";base64" } else { "" };
    let head = format!(
        "{{\"mimetype\":\"{}{suffix}\",\"extension\":\"{}\",\"data\":",
        format.media_type(),
        format.extension()
    );
    if inline {
        let data = Part::Data { source, encoding: Encoding::Verbatim };
        return vec![Part::plain(head), data, Part::plain("}")];
    }
    let encoding =
        if format.is_binary() { Encoding::Base64(Vec::new()) } else { Encoding::JsonString };
    vec![Part::plain(head + "\""), Part::Data { source, encoding }, Part::plain("\"}")]
}

/// Sets `scheduled_plan.download_url`.
pub(crate) fn set_download_url(plan: &mut Option<ScheduledPlan>, url: String) {
    plan.get_or_insert_default().download_url = Some(Text(url));
}

enum Part {
    Ready { bytes: Bytes, shown: Bytes },
    Data { source: Source, encoding: Encoding },
}

impl Part {
    fn plain(text: impl Into<Bytes>) -> Self {
        let bytes: Bytes = text.into();
        Self::Ready { shown: bytes.clone(), bytes }
    }
}

/// How the result's bytes stand in the body.
enum Encoding {
    /// As they are.
    Verbatim,
    /// Inside a JSON string.
    JsonString,
    /// As base64 inside a JSON string, with a newline after every 60 characters (**C**). Holds the
    /// bytes that do not fill a line yet.
    Base64(Vec<u8>),
}

/// 45 bytes make the 60 characters of a line.
const LINE: usize = 45;

impl Encoding {
    fn encode(&mut self, chunk: Bytes) -> Bytes {
        match self {
            Self::Verbatim => chunk,
            Self::JsonString => json_string(chunk),
            Self::Base64(rest) => {
                rest.extend_from_slice(&chunk);
                let whole = rest.len() - rest.len() % LINE;
                let lines = base64_lines(&rest[..whole]);
                rest.drain(..whole);
                lines
            }
        }
    }

    fn finish(self) -> Bytes {
        match self {
            Self::Base64(rest) => base64_lines(&rest),
            Self::Verbatim | Self::JsonString => Bytes::new(),
        }
    }
}

fn base64_lines(bytes: &[u8]) -> Bytes {
    let mut lines = String::with_capacity(bytes.len().div_ceil(LINE) * 62);
    for line in bytes.chunks(LINE) {
        base64_simd::STANDARD.encode_append(line, &mut lines);
        lines.push_str("\\n");
    }
    lines.into()
}

fn json_string(chunk: Bytes) -> Bytes {
    let needs_escape = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let Some(first) = chunk.iter().position(needs_escape) else { return chunk };
    let mut escaped = BytesMut::with_capacity(chunk.len() + chunk.len() / 16 + 16);
    escaped.extend_from_slice(&chunk[..first]);
    for &byte in &chunk[first..] {
        match byte {
            b'"' => escaped.put_slice(b"\\\""),
            b'\\' => escaped.put_slice(b"\\\\"),
            b'\n' => escaped.put_slice(b"\\n"),
            b'\r' => escaped.put_slice(b"\\r"),
            b'\t' => escaped.put_slice(b"\\t"),
            0..0x20 => escaped.put_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => escaped.put_u8(byte),
        }
    }
    escaped.freeze()
}

/// The first bytes of a body on its way and the time of the last, shared between the body and
/// whoever shows it.
#[derive(Clone)]
pub(crate) struct Record(Arc<Mutex<(Peek, Instant)>>);

impl Default for Record {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Peek::default(), Instant::now()))))
    }
}

impl Record {
    pub(crate) fn add(&self, sent: usize, shown: &[u8]) {
        let mut record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        record.0.add(sent, shown);
        record.1 = Instant::now();
    }

    /// What was recorded so far.
    pub(crate) fn peek(&self) -> Peek {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// When the last bytes went.
    pub(crate) fn last(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// The body of a request, written while it is sent.
pub(crate) struct RequestBody {
    parts: VecDeque<Part>,
    record: Record,
}

impl RequestBody {
    /// An empty body, as the list call has.
    pub(crate) fn empty() -> Self {
        Self { parts: VecDeque::new(), record: Record::default() }
    }

    /// A body as it is, and what stands in the record in its place.
    pub(crate) fn text(bytes: impl Into<Bytes>, shown: impl Into<Bytes>) -> Self {
        let part = Part::Ready { bytes: bytes.into(), shown: shown.into() };
        Self { parts: VecDeque::from([part]), record: Record::default() }
    }

    /// A body in chunks as they become ready.
    pub(crate) fn stream(source: Source) -> Self {
        let part = Part::Data { source, encoding: Encoding::Verbatim };
        Self { parts: VecDeque::from([part]), record: Record::default() }
    }

    pub(crate) fn record(&self) -> Record {
        self.record.clone()
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let (bytes, shown) = match self.parts.pop_front() {
                None => return Poll::Ready(None),
                Some(Part::Ready { bytes, shown }) => (bytes, shown),
                Some(Part::Data { mut source, mut encoding }) => {
                    let bytes = match source.poll_next_unpin(cx) {
                        Poll::Pending => {
                            self.parts.push_front(Part::Data { source, encoding });
                            return Poll::Pending;
                        }
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                        Poll::Ready(Some(Ok(chunk))) => {
                            let bytes = encoding.encode(chunk);
                            self.parts.push_front(Part::Data { source, encoding });
                            bytes
                        }
                        Poll::Ready(None) => encoding.finish(),
                    };
                    (bytes.clone(), bytes)
                }
            };
            if !bytes.is_empty() {
                self.record.add(bytes.len(), &shown);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests;
