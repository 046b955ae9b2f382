//! A message for each row, over one connection.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sendoff::pipeline::{Batch, BatchLimits, Encoded, Reply, RowKeys};
use sendoff::prelude::*;
use sendoff::{Arrival, Http, Retry, Stop};

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
    let line = Line {
        http: cx.http(),
        stop: cx.stop(),
        server,
        session: Mutex::default(),
        patience: Mutex::new(PATIENCE),
    };
    let pipeline = form.content.pipeline(cx, LIMITS).target(server.host);
    let delivered = pipeline.run(data.rows().await?, encode, |batch| line.send(batch)).await;
    if let Some(session) = line.take() {
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

/// How long is waited before a message is sent again that a server refused with 4xx, such as one
/// that makes whom it does not know come back (greylisting).
const WAITS: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// How long one delivery waits for such in all.
const PATIENCE: Duration = Duration::from_secs(600);

/// One connection for all messages, made when the first is there.
struct Line<'a> {
    http: &'a Http,
    stop: &'a Stop,
    server: Server<'a>,
    /// While no message is on its way.
    session: Mutex<Option<Session>>,
    /// What is left of the patience.
    patience: Mutex<Duration>,
}

impl Line<'_> {
    fn take(&self) -> Option<Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn send(&self, batch: Batch) -> Result<Reply> {
        let body = batch.body();
        let mut waits = WAITS.into_iter();
        loop {
            let (fault, denied) = match self.send_once(&body).await? {
                Sent::Taken(_) => return Ok(Reply::accepted()),
                Sent::Refused(fault) => (fault, false),
                Sent::Denied(fault) => (fault, true),
            };
            let passing = fault.retry() != Retry::No;
            match waits.next().filter(|wait| passing && self.has_patience(*wait)) {
                Some(wait) => batch.pause(wait).await?,
                // The others have the same sender.
                None if denied => return Err(fault),
                None => return Ok(Reply::refused(fault)),
            }
        }
    }

    /// Takes `wait` from the patience, if that much is left.
    fn has_patience(&self, wait: Duration) -> bool {
        let mut left = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        let after = left.checked_sub(wait);
        *left = after.unwrap_or(*left);
        after.is_some()
    }

    async fn send_once(&self, body: &Bytes) -> Result<Sent> {
        if let Some(session) = self.take() {
            match self.over(session, body).await {
                // Servers end a connection after so many messages, or when nothing comes for long.
                Err(fault)
                    if fault.arrival() == Arrival::Nothing && self.stop.reason().is_none() => {}
                sent => return sent,
            }
        }
        self.over(Session::open(self.http, self.stop, self.server).await?, body).await
    }

    /// Sends over a connection, and keeps it for the next message if it is still good.
    async fn over(&self, mut session: Session, body: &Bytes) -> Result<Sent> {
        let (envelope, message) = unpack(body)?;
        let sent = session.send(&envelope, message).await?;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        Ok(sent)
    }
}
