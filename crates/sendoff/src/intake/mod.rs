//! Reading an execute request: small members are parsed, the data streams or waits on disk.
//!
//! What a delivery needs to know (type, settings, answers, schedule) may stand before the data or
//! after it. If all of it came first, the data flows straight on as the body arrives; otherwise it
//! is spooled until the rest is known.

mod base64;
mod body;
mod kept;
mod live;
mod refusal;
mod runs;
mod tokenizer;

#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    //! What the fuzz targets look at.
    pub(crate) use super::base64::Reader;
    pub(crate) use super::tokenizer::oracle::compare;
}

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use sendoff_protocol::{Members, ScheduledPlan, Text};
use serde::de::DeserializeOwned;

pub(crate) use body::{BodyLimits, RequestBody, read_small};
pub(crate) use kept::{Kept, Memory};
pub(crate) use live::{LiveData, Rest};
pub(crate) use refusal::Refusal;
use tokenizer::{Event, Origin, Shape, Tokenizer};

use crate::payload::ByteStream;
use crate::spool::{SpoolRoom, Spooled};

/// What a request said besides its data.
#[derive(Debug)]
pub(crate) struct Head {
    /// What all of it takes of the hub's memory.
    pub(crate) kept: Kept,
    pub(crate) members: Small,
}

/// The members of a request that are read.
#[derive(Debug, Default)]
pub(crate) struct Small {
    pub(crate) kind: Option<Text>,
    pub(crate) plan: Option<ScheduledPlan>,
    pub(crate) data: Members,
    pub(crate) form: Members,
    pub(crate) mimetype: Option<String>,
    pub(crate) extension: Option<String>,
}

/// The data of a request.
pub(crate) enum Data {
    /// The request had none.
    Absent,
    /// It is arriving; the rest of the request comes behind it.
    Live(Box<LiveData>, Rest),
    /// It arrived before the rest was known.
    Spooled(SpooledData),
}

/// Data that waited, possibly still as base64 text.
pub(crate) struct SpooledData {
    spooled: Spooled,
    /// The media type, which says whether it is base64, came after the data.
    decode: bool,
}

impl SpooledData {
    /// The bytes that the data stands for.
    pub(crate) fn stream(&self) -> ByteStream {
        let text = self.spooled.stream();
        if !self.decode {
            return text.with_len(self.spooled.len());
        }
        let state = (text, Decoder::Base64(base64::Reader::new()));
        ByteStream::new(futures_util::stream::try_unfold(state, async |(mut text, mut decoder)| {
            while let Some(chunk) = text.next().await {
                let bytes = decoder.feed(chunk?).map_err(|refusal| refusal.error())?;
                if !bytes.is_empty() {
                    return Ok(Some((bytes, (text, decoder))));
                }
            }
            decoder.finish().map_err(|refusal| refusal.error())?;
            Ok(None)
        }))
    }
}

/// Which members were seen.
#[derive(Default)]
struct Seen {
    kind: bool,
    plan: bool,
    data: bool,
    form: bool,
    mimetype: bool,
    attachment: bool,
}

/// One request being read.
pub(crate) struct Intake {
    body: RequestBody,
    tokenizer: Tokenizer,
    events: VecDeque<Event>,
    ended: bool,
    members: Small,
    seen: Seen,
    kept: Kept,
    /// Of the bytes that the tokenizer holds or held, those that `kept` knows.
    counted: usize,
}

impl Intake {
    pub(crate) fn new(body: RequestBody, kept: Kept) -> Self {
        Self {
            body,
            tokenizer: Tokenizer::new(tokenizer::Limits::default()),
            events: VecDeque::new(),
            ended: false,
            members: Small::default(),
            seen: Seen::default(),
            kept,
            counted: 0,
        }
    }

    /// Reads until the delivery can begin.
    pub(crate) async fn begin(mut self, room: &SpoolRoom) -> Result<(Head, Data), Refusal> {
        let mut spooled: Option<(Origin, SpooledData)> = None;
        while let Some(event) = std::future::poll_fn(|cx| self.poll_event(cx)).await? {
            match event {
                Event::Member { name, at, json } => self.member(&name, at, &json)?,
                Event::AttachmentMember { name, at, json } => {
                    self.attachment_member(&name, at, &json)?;
                }
                Event::DataStart { origin: Origin::Attachment, shape } if self.may_start() => {
                    let decoder = self.decoder(is_base64(&self.members.mimetype), shape);
                    let head = self.head();
                    let (live, rest) = live::split(self, decoder);
                    return Ok((head, Data::Live(Box::new(live), rest)));
                }
                Event::DataStart { origin, shape } => {
                    let data = self.spool(shape, room).await?;
                    // An attachment is the data; a top-level `data` only where there is none.
                    if origin == Origin::Attachment || spooled.is_none() {
                        spooled = Some((origin, data));
                    }
                }
                Event::Data(_) | Event::DataEnd | Event::AttachmentEnd | Event::End => {}
            }
        }
        let data = match spooled {
            None => Data::Absent,
            Some((origin, mut data)) => {
                data.decode &= origin == Origin::Attachment && is_base64(&self.members.mimetype);
                Data::Spooled(data)
            }
        };
        Ok((self.head(), data))
    }

    /// What has come besides the data, and what it takes.
    fn head(&mut self) -> Head {
        Head { kept: self.kept.split_off(), members: std::mem::take(&mut self.members) }
    }

    /// Whether everything that a delivery needs has come.
    fn may_start(&self) -> bool {
        let seen = &self.seen;
        seen.kind && seen.plan && seen.data && seen.form && seen.mimetype && !seen.attachment
    }

    /// What the text of the data goes through.
    fn decoder(&mut self, base64: bool, shape: Shape) -> Decoder {
        if base64 && shape == Shape::Text {
            self.tokenizer.join_lines();
            Decoder::Base64(base64::Reader::new())
        } else {
            Decoder::Plain
        }
    }

    async fn spool(&mut self, shape: Shape, room: &SpoolRoom) -> Result<SpooledData, Refusal> {
        self.seen.attachment = true;
        let known = self.seen.mimetype;
        let mut decoder = self.decoder(known && is_base64(&self.members.mimetype), shape);
        let mut writer = room.writer();
        while let Some(event) = std::future::poll_fn(|cx| self.poll_event(cx)).await? {
            match event {
                Event::Data(text) => {
                    let bytes = decoder.feed(text)?;
                    if !bytes.is_empty() {
                        writer.write(bytes).await.map_err(Refusal::Spool)?;
                    }
                }
                Event::DataEnd => break,
                _ => {}
            }
        }
        decoder.finish()?;
        let spooled = writer.finish().await.map_err(Refusal::Spool)?;
        Ok(SpooledData { spooled, decode: !known && shape == Shape::Text })
    }

    fn member(&mut self, name: &str, at: u64, json: &[u8]) -> Result<(), Refusal> {
        let unread = |fault| Refusal::Member { name: name.to_owned(), at, fault };
        match name {
            "type" => {
                self.seen.kind = true;
                self.members.kind = text(json).map_err(unread)?;
            }
            "scheduled_plan" => {
                self.seen.plan = true;
                self.members.plan = object(json).map_err(unread)?;
            }
            "data" => {
                self.seen.data = true;
                self.members.data = self.texts(object(json).map_err(unread)?)?;
            }
            "form_params" => {
                self.seen.form = true;
                self.members.form = self.texts(object(json).map_err(unread)?)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn attachment_member(&mut self, name: &str, at: u64, json: &[u8]) -> Result<(), Refusal> {
        let unread = |fault| Refusal::Member { name: name.to_owned(), at, fault };
        match name {
            "mimetype" => {
                self.seen.mimetype = true;
                self.members.mimetype = string(json).map_err(unread)?;
            }
            "extension" => self.members.extension = string(json).map_err(unread)?,
            _ => {}
        }
        Ok(())
    }

    fn texts(&mut self, members: Option<Members>) -> Result<Members, Refusal> {
        let members = members.unwrap_or_default();
        self.kept.entries(members.0.len())?;
        Ok(members)
    }

    /// Counts what the tokenizer has taken since.
    fn count(&mut self) -> Result<(), Refusal> {
        let taken = self.tokenizer.taken();
        let more = taken - std::mem::replace(&mut self.counted, taken);
        self.kept.bytes(more)
    }

    /// The next event, or `None` once the body has ended and was found whole.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Refusal>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Ok(Some(event)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            match ready!(self.body.poll_chunk(cx))? {
                Some(chunk) => {
                    self.tokenizer.feed(&chunk, &mut self.events).map_err(Refusal::Malformed)?;
                    self.count()?;
                }
                None => {
                    self.tokenizer.finish().map_err(Refusal::Malformed)?;
                    self.ended = true;
                }
            }
        }
    }

    /// Reads what is left and throws it away, so that the client has sent its request before it
    /// is answered, and so that a success is said only of a request that was whole.
    pub(crate) async fn discard_rest(mut self) -> Result<(), Refusal> {
        while std::future::poll_fn(|cx| self.poll_event(cx)).await?.is_some() {}
        Ok(())
    }
}

/// A member that is an object. Anything else, which nobody promised, counts as absent; null mostly.
fn object<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<Option<T>> {
    member_if(json.first() == Some(&b'{'), json)
}

/// A member that is a string, or counts as absent.
fn string(json: &[u8]) -> serde_json::Result<Option<String>> {
    member_if(json.first() == Some(&b'"'), json)
}

/// A member that is a text, whatever its type.
fn text(json: &[u8]) -> serde_json::Result<Option<Text>> {
    member_if(json != b"null", json)
}

fn member_if<T: DeserializeOwned>(is_there: bool, json: &[u8]) -> serde_json::Result<Option<T>> {
    if !is_there {
        return Ok(None);
    }
    serde_json::from_slice(json).map(Some)
}

/// The `;base64` suffix of the media type is the only sign of the encoding. Protocol fact B.
fn is_base64(mimetype: &Option<String>) -> bool {
    mimetype.as_deref().is_some_and(|text| text.trim_end().ends_with(";base64"))
}

/// Turns the text of `attachment.data` into the bytes it stands for.
enum Decoder {
    Plain,
    Base64(base64::Reader),
}

impl Decoder {
    fn feed(&mut self, text: Bytes) -> Result<Bytes, Refusal> {
        match self {
            Self::Plain => Ok(text),
            Self::Base64(reader) => reader.feed(&text).map_err(Refusal::Base64),
        }
    }

    fn finish(&mut self) -> Result<(), Refusal> {
        match self {
            Self::Plain => Ok(()),
            Self::Base64(reader) => reader.finish().map_err(Refusal::Base64),
        }
    }
}
