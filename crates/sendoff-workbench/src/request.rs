//! One delivery as Looker would send it, and its body: members in any order, the attachment
//! streamed, so that a result of any size is sent in flat memory.

mod body;
mod encoding;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use sendoff_protocol::{ActionType, Format, Members, ScheduledPlan, Text};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

pub(crate) use body::{Record, RequestBody, Writing, Written};

use body::Parts;
use encoding::{Base64, Encoding, Part};

/// So much of a file is read at once.
const PIECE: usize = 64 << 10;

/// Where the bytes of a result come from.
pub struct Source(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>);

impl Source {
    /// Chunks as they become ready. An error breaks the request off.
    pub fn stream(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self(Box::pin(chunks))
    }

    /// A file, in pieces as they are asked for.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn file(path: &Path) -> io::Result<Self> {
        let file = tokio::fs::File::open(path).await?;
        Ok(Self::stream(stream::unfold(Some(file), |file| async {
            let mut file = file?;
            let mut piece = BytesMut::with_capacity(PIECE);
            match file.read_buf(&mut piece).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(piece.freeze()), Some(file))),
                Err(error) => Some((Err(error), None)),
            }
        })))
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
    /// Whether base64 has a newline after every 60 characters, as captures have. **C**
    pub wrapped: bool,
    /// A member that is written twice, as JSON allows and hubs may meet: the attachment first as
    /// null, any other twice the same.
    pub doubled: Option<Member>,
    /// Writes an empty `data` or `form_params` as null.
    pub nulls: bool,
    /// Params without a value, which Looker writes as null.
    pub absent: Vec<String>,
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
            wrapped: true,
            doubled: None,
            nulls: false,
            absent: Vec::new(),
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

    /// The body. `masked` names the params whose values do not belong into a record; `broken` is
    /// the character of the base64 that is replaced by one that is none.
    pub(crate) fn into_body(self, masked: &BTreeSet<String>, broken: Option<u64>) -> RequestBody {
        let mut parts = VecDeque::new();
        let mut cargo = Some(self.cargo);
        let plan = plan_json(self.plan.as_ref(), self.ids).to_string();
        let data = members(&self.params, &self.absent, self.nulls);
        let shown = members(&mask(&self.params, masked), &self.absent, self.nulls);
        let answers = members(&self.answers, &[], self.nulls);
        for member in self.order {
            for round in 0..=usize::from(self.doubled == Some(member)) {
                let lead = if parts.is_empty() { '{' } else { ',' };
                let plain = |name: &str, value: &str| format!("{lead}\"{name}\":{value}");
                match member {
                    Member::Type => {
                        let kind = Value::from(self.kind.as_str()).to_string();
                        parts.push_back(Part::plain(plain("type", &kind)));
                    }
                    Member::ScheduledPlan => {
                        parts.push_back(Part::plain(plain("scheduled_plan", &plan)));
                    }
                    Member::Attachment if round == 0 && self.doubled == Some(member) => {
                        parts.push_back(Part::plain(plain("attachment", "null")));
                    }
                    Member::Attachment => {
                        parts.push_back(Part::plain(plain("attachment", "")));
                        parts.extend(attachment(cargo.take(), self.wrapped, broken));
                    }
                    Member::Data => parts.push_back(Part::Ready {
                        bytes: plain("data", &data).into(),
                        shown: plain("data", &shown).into(),
                    }),
                    Member::FormParams => {
                        parts.push_back(Part::plain(plain("form_params", &answers)));
                    }
                }
            }
        }
        parts.push_back(Part::plain("}"));
        RequestBody::of(Parts(parts), false)
    }
}

/// A flat object of texts, as JSON.
fn members(members: &Members, absent: &[String], nulls: bool) -> String {
    if members.0.is_empty() && absent.is_empty() && nulls {
        return "null".to_owned();
    }
    let mut value = json!(members);
    for name in absent.iter().filter(|name| members.get(name).is_none()) {
        value[name.as_str()] = Value::Null;
    }
    value.to_string()
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

fn attachment(cargo: Option<Cargo>, wrapped: bool, broken: Option<u64>) -> Vec<Part> {
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
    let encoding = if format.is_binary() {
        Encoding::Base64(Base64 { rest: Vec::new(), wrapped, broken })
    } else {
        Encoding::JsonString
    };
    vec![Part::plain(head + "\""), Part::Data { source, encoding }, Part::plain("\"}")]
}

/// Sets `scheduled_plan.download_url`.
pub(crate) fn set_download_url(plan: &mut Option<ScheduledPlan>, url: String) {
    plan.get_or_insert_default().download_url = Some(Text(url));
}

#[cfg(test)]
mod tests;
