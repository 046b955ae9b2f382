//! A message for each row, over one connection.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use sendoff::pipeline::{Batch, BatchLimits, Encoded, Reply, RowKeys};
use sendoff::prelude::*;
use sendoff::{Arrival, Http, Stop};

use super::session::{Envelope, Sent, Server, Session};
use super::{Form, Message, Settings, envelope};
use crate::shared::mail::Head;

/// One after the other: servers count the connections of a client.
const LIMITS: BatchLimits = BatchLimits::new(1, 1 << 20);

pub(super) async fn deliver(
    cx: &Context<Settings>,
    form: &Form,
    server: Server<'_>,
    head: Head<'_>,
    data: Payload,
) -> Result<Receipt> {
    let composing = form.content.rows(cx, head, &data)?;
    let keys = RowKeys::new(cx.http(), "message");
    let now = Timestamp::now();
    let encode = |row: &sendoff::Row, out: &mut Vec<u8>| {
        let composed = composing.letter(row).and_then(|letter| {
            cx.settings.permit(&letter)?;
            let message = Message::new(&letter, &keys.key(row.number()), now)?;
            Ok((envelope(&letter, &message), message))
        });
        match composed {
            Ok((envelope, message)) => pack(&envelope, &message, out).map(|()| Encoded::Row),
            Err(fault) => Ok(Encoded::refused(fault.message().to_owned())),
        }
    };
    let line = Line { http: cx.http(), stop: cx.stop(), server, session: Mutex::new(None) };
    let pipeline = form.content.pipeline(cx, LIMITS).target(server.host);
    let delivered = pipeline.run(data.rows().await?, encode, |batch| line.send(batch)).await;
    if let Some((session, _)) = line.take() {
        session.close().await;
    }
    delivered
}

/// A line with the envelope, then the message.
fn pack(envelope: &Envelope, message: &Message, out: &mut Vec<u8>) -> Result<()> {
    let written = serde_json::to_writer(&mut *out, envelope);
    written.map_err(|fault| Error::hub("The message could not be written.").cause(fault))?;
    out.push(b'\n');
    out.extend_from_slice(message.head());
    Ok(())
}

/// What [`pack`] wrote.
fn unpack(body: &Bytes) -> Result<(Envelope, ByteStream)> {
    let wrong = || Error::hub("The message could not be read again.");
    let end = body.iter().position(|byte| *byte == b'\n').ok_or_else(wrong)?;
    let envelope = serde_json::from_slice(&body[..end]).map_err(|fault| wrong().cause(fault))?;
    let message = body.slice(end + 1..);
    let message = futures_util::stream::once(std::future::ready(Ok(message)));
    Ok((envelope, ByteStream::new(message)))
}

/// One connection for all messages, made when the first is there.
struct Line<'a> {
    http: &'a Http,
    stop: &'a Stop,
    server: Server<'a>,
    /// While no message is on its way; and how many it has carried.
    session: Mutex<Option<(Session, u64)>>,
}

impl Line<'_> {
    fn take(&self) -> Option<(Session, u64)> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put_back(&self, session: (Session, u64)) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    async fn send(&self, batch: Batch) -> Result<Reply> {
        let body = batch.body();
        let mut again = true;
        loop {
            let (mut session, carried) = match self.take() {
                Some(open) => open,
                None => (Session::open(self.http, self.stop, self.server).await?, 0),
            };
            let (envelope, message) = unpack(&body)?;
            match session.send(&envelope, message).await {
                Ok(sent) => {
                    self.put_back((session, carried + 1));
                    return Ok(match sent {
                        Sent::Taken(_) => Reply::accepted(),
                        Sent::Refused(fault) => Reply::refused(fault),
                    });
                }
                // Servers end a connection after so many messages.
                Err(fault)
                    if again
                        && carried > 0
                        && fault.arrival() == Arrival::Nothing
                        && self.stop.reason().is_none() =>
                {
                    again = false;
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}
