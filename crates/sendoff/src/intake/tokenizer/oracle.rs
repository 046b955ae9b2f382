//! What serde_json says of the same body: the judge in tests and fuzzing.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Event, Limits, Malformed, Origin, Shape, Tokenizer, What};

type Named = Vec<(String, Vec<u8>)>;

/// The events of a whole body, with the data put together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) members: Named,
    pub(crate) attachment: Option<Named>,
    pub(crate) attachment_data: Option<(Shape, Vec<u8>)>,
    pub(crate) data: Option<(Shape, Vec<u8>)>,
}

/// Reads chunks and checks that the events come in an order that makes sense.
pub(crate) fn read(
    chunks: impl IntoIterator<Item = Bytes>,
    limits: Limits,
) -> Result<Body, Malformed> {
    let (mut tokenizer, mut events) = (Tokenizer::new(limits), VecDeque::new());
    for chunk in chunks {
        tokenizer.feed(&chunk, &mut events)?;
    }
    tokenizer.finish()?;
    assert_eq!(events.pop_back(), Some(Event::End), "the end is the last event");
    let (mut body, mut inner, mut open) = (Body::default(), Vec::new(), None);
    for event in events {
        let in_data = open.is_some();
        match event {
            Event::Member { name, json, .. } if !in_data => body.members.push((name, json)),
            Event::AttachmentMember { name, json, .. } if !in_data => inner.push((name, json)),
            Event::DataStart { origin, shape } if !in_data => {
                open = Some((origin, shape, Vec::new()));
            }
            Event::Data(piece) => {
                assert!(!piece.is_empty());
                let (.., data) = open.as_mut().expect("data only between its marks");
                data.extend_from_slice(&piece);
            }
            Event::DataEnd => {
                let (origin, shape, data) = open.take().expect("an end after a start");
                let place = match origin {
                    Origin::Attachment => &mut body.attachment_data,
                    Origin::TopLevel => &mut body.data,
                };
                assert!(place.replace((shape, data)).is_none(), "data once in a place");
            }
            Event::AttachmentEnd if !in_data => {
                let inner = std::mem::take(&mut inner);
                assert!(body.attachment.replace(inner).is_none(), "one attachment");
            }
            event => panic!("not here: {event:?}"),
        }
    }
    assert!(open.is_none() && inner.is_empty());
    Ok(body)
}

/// Reads `text` in these chunks and says where serde_json would not agree.
pub(crate) fn compare(text: &[u8], chunks: impl IntoIterator<Item = Bytes>) -> Result<(), String> {
    let whole = read([Bytes::copy_from_slice(text)], Limits::default());
    let ours = read(chunks, Limits::default());
    if ours != whole {
        return Err(format!("in chunks {ours:?}, as a whole {whole:?}"));
    }
    let valid =
        std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok();
    match ours {
        Ok(_) if !valid => Err("accepted what is no JSON".to_owned()),
        Ok(body) => body.agrees_with(text),
        Err(_) if !valid => Ok(()),
        // Valid JSON is refused by these rules alone.
        Err(error) => match error.what {
            What::NotAnObject(b'{') => Err("refused an object".to_owned()),
            What::NotAnObject(_) | What::Duplicate(_) | What::LoneSurrogate => Ok(()),
            What::TooDeep | What::TooLarge { .. } => Ok(()),
            _ => Err(format!("refused JSON: {error}")),
        },
    }
}

impl Body {
    /// Whether serde_json finds the same in `text`, which is valid.
    pub(crate) fn agrees_with(&self, text: &[u8]) -> Result<(), String> {
        let mut theirs = Self::default();
        for (name, raw) in members(text)? {
            let first = raw.as_bytes().first();
            match (name.as_str(), first) {
                ("attachment", Some(b'{')) => {
                    let inner = theirs.attachment.insert(Vec::new());
                    for (name, raw) in members(raw.as_bytes())? {
                        let data = name == "data" && raw.starts_with(['"', '[', '{']);
                        match data {
                            true => theirs.attachment_data = Some(streamed(&raw)?),
                            false => inner.push((name, raw.into_bytes())),
                        }
                    }
                }
                ("data", Some(b'"' | b'[')) => theirs.data = Some(streamed(&raw)?),
                _ => theirs.members.push((name, raw.into_bytes())),
            }
        }
        match *self == theirs {
            true => Ok(()),
            false => Err(format!("ours {self:?}, serde_json's {theirs:?}")),
        }
    }
}

fn streamed(raw: &str) -> Result<(Shape, Vec<u8>), String> {
    if !raw.starts_with('"') {
        return Ok((Shape::Json, raw.into()));
    }
    let text: String = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    Ok((Shape::Text, text.into_bytes()))
}

/// The members of an object in the order of the text; a map would lose order and duplicates.
fn members(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some((name, raw)) = map.next_entry::<String, Box<RawValue>>()? {
                all.push((name, raw.get().to_owned()));
            }
            Ok(all)
        }
    }

    let mut reader = serde_json::Deserializer::from_slice(text);
    reader.deserialize_map(InOrder).map_err(|error| error.to_string())
}
