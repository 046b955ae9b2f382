//! One conversation with a mail server (RFC 5321), over a connection from the hub's own door.
//!
//! The commands of a delivery and the stream of its message, no more. What a reply means is told in
//! the server's own words; whatever happens before the final dot was sent left nothing behind.

mod line;
mod reply;

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use rustix::net::sockopt;
use sendoff::prelude::*;
use sendoff::{Http, Redactor, Stop, byte_count};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::stuffing::Stuffer;
use reply::{Abilities, Reply};

/// How much of a message may be on its way to the server's machine.
const AHEAD: usize = 128 * 1024;
/// A server that checks a message for viruses thinks long: RFC 5321, 4.5.3.2.6, gives it ten
/// minutes where it gives others two.
const PATIENCE_AFTER_DOT: u32 = 5;

/// A connection, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// How the connection is encrypted.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    #[choice(name = "starttls", label = "STARTTLS (port 587)")]
    StartTls,
    #[choice(label = "TLS from the first byte (port 465)")]
    Tls,
    #[choice(label = "None: whoever is on the way can read the messages")]
    None,
}

/// Which server, and how it is spoken to.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    /// Who logs in, if anybody does.
    pub(super) login: Option<(&'a str, &'a Secret)>,
    /// How this side calls itself; by its address if nobody says.
    pub(super) hello: Option<&'a str>,
}

/// What goes on the envelope.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Envelope {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    /// An address needs SMTPUTF8.
    pub(super) international: bool,
    /// The length of the message.
    pub(super) size: u64,
}

/// What the server did with a message.
pub(super) enum Sent {
    /// It has it. Its words usually name the message in its queue.
    Taken(String),
    /// It does not take it. The error may pass.
    Refused(Error),
    /// It takes nothing from this sender. The error may pass.
    Denied(Error),
}

/// A conversation in which nothing is under way.
pub(super) struct Session {
    host: String,
    wire: Box<dyn Wire>,
    /// Read and not used yet.
    read: Vec<u8>,
    abilities: Abilities,
    stop: Stop,
    idle: Duration,
    redact: Redactor,
}

impl Session {
    /// Connects, encrypts and logs in.
    pub(super) async fn open(http: &Http, stop: &Stop, server: Server<'_>) -> Result<Self> {
        let Server { host, port, encryption, login, hello } = server;
        let stream = http.connect("smtp", host, port).await?;
        // The kernel takes several megabytes ahead of the network unless it is told not to; then the
        // dot could be written long before the server has the message, or is known to be gone.
        if let Err(fault) = sockopt::set_socket_send_buffer_size(&stream, AHEAD) {
            tracing::debug!(%fault, "socket options");
        }
        let own = stream.local_addr().map(|own| address_literal(own.ip()));
        let hello = hello.map_or_else(|| own.unwrap_or_else(|_| "localhost".into()), str::to_owned);
        let wire: Box<dyn Wire> = match encryption {
            Encryption::Tls => Box::new(http.secure(stream, host).await?),
            Encryption::StartTls | Encryption::None => Box::new(stream),
        };
        let secrets = login
            .map(|(user, password)| [password.expose().to_owned(), plain_login(user, password)]);
        let mut session = Self {
            host: host.to_owned(),
            wire,
            read: Vec::new(),
            abilities: Abilities::default(),
            stop: stop.clone(),
            idle: http.idle_timeout(),
            redact: Redactor::new(secrets.into_iter().flatten()),
        };
        let greeting = session.reply(session.idle).await?;
        if !greeting.is_positive() {
            return Err(greeting.error(format!("{host} takes no mail from this hub")));
        }
        session.hello(&hello).await?;
        if encryption == Encryption::StartTls {
            session = session.start_tls(http).await?;
            session.hello(&hello).await?;
        }
        if let Some((user, password)) = login {
            session.log_in(user, password).await?;
        }
        Ok(session)
    }

    async fn hello(&mut self, hello: &str) -> Result<()> {
        let reply = self.command(&format!("EHLO {hello}")).await?;
        if reply.is_positive() {
            self.abilities = Abilities::of(&reply);
            return Ok(());
        }
        // Servers from before 1995.
        let reply = self.command(&format!("HELO {hello}")).await?;
        if reply.is_positive() {
            return Ok(());
        }
        Err(reply.error(format!("{} refuses this hub, which calls itself {hello}", self.host)))
    }

    async fn start_tls(mut self, http: &Http) -> Result<Self> {
        let host = self.host.clone();
        if !self.abilities.starttls {
            return Err(Error::settings(format!(
                "{host} offers no STARTTLS on this port, and nothing is sent without encryption. \
                 Choose another port, or another answer to \"Encryption\"."
            )));
        }
        let reply = self.command("STARTTLS").await?;
        if !reply.is_positive() {
            return Err(reply.error(format!("{host} refuses to encrypt the connection")));
        }
        // Whoever is on the way could have put in what would then pass for encrypted.
        if !self.read.is_empty() {
            return Err(Error::vendor(format!(
                "{host} sent more than its answer before the connection was encrypted. Somebody \
                 may be tampering with the connection."
            )));
        }
        self.wire = Box::new(http.secure(self.wire, &host).await?);
        self.abilities = Abilities::default();
        Ok(self)
    }

    async fn log_in(&mut self, user: &str, password: &Secret) -> Result<()> {
        let offered = |name: &str| self.abilities.auth.iter().any(|one| one == name);
        let reply = if offered("PLAIN") {
            let all = plain_login(user, password);
            self.command(&format!("AUTH PLAIN {all}")).await?
        } else if offered("LOGIN") {
            let encode = |text: &str| base64_simd::STANDARD.encode_to_string(text.as_bytes());
            let mut reply = self.command("AUTH LOGIN").await?;
            for answer in [encode(user), encode(password.expose())] {
                if reply.code == 334 {
                    reply = self.command(&answer).await?;
                }
            }
            reply
        } else {
            let offered = match self.abilities.auth.as_slice() {
                [] => "no login at all".to_owned(),
                some => format!("only {}", some.join(", ")),
            };
            return Err(Error::settings(format!(
                "{} offers {offered}, and this hub logs in by PLAIN or LOGIN. Leave the user name \
                 empty if the server needs no login.",
                self.host
            )));
        };
        let sentence = format!("{} refused the login of {user}", self.host);
        match reply.code {
            235 => Ok(()),
            400..500 => Err(reply.error(sentence)),
            _ => Err(Error::settings(format!(
                "{sentence}: {} Check user name and password in the settings.",
                reply.words()
            ))),
        }
    }

    /// Sends one message. The connection is good for another one afterwards.
    ///
    /// # Errors
    /// Those of the connection, and of the message's own source: it is not good any more.
    pub(super) async fn send(&mut self, envelope: &Envelope, message: ByteStream) -> Result<Sent> {
        let refused = match self.begin(envelope).await {
            Ok(()) => None,
            Err(Begun::Refused(error)) => Some(Sent::Refused(error)),
            Err(Begun::Denied(error)) => Some(Sent::Denied(error)),
            Err(Begun::Broken(error)) => return Err(error),
        };
        if let Some(refused) = refused {
            // Not more than a courtesy: whatever comes of it, the message was refused.
            let _ = self.command("RSET").await;
            return Ok(refused);
        }
        let ended = self.data(message).await?;
        // From here on the server may have the message.
        let reply = match ended {
            true => self.reply(self.idle * PATIENCE_AFTER_DOT).await,
            false => Err(self.broke_off("the end of the message was sent")),
        }
        .map_err(|fault| self.may_have_arrived(fault))?;
        match reply.code {
            200..300 => Ok(Sent::Taken(reply.words())),
            552 => Ok(Sent::Refused(self.too_large(&reply))),
            _ => Ok(Sent::Refused(reply.error(format!("{} refused the message", self.host)))),
        }
    }

    /// Says goodbye. The message was confirmed before, so nothing depends on it.
    pub(super) async fn close(mut self) {
        if self.command("QUIT").await.is_ok() {
            let _ = self.wire.shutdown().await;
        }
    }

    /// Everything up to the server's leave to send the message.
    async fn begin(&mut self, envelope: &Envelope) -> Result<(), Begun> {
        let Envelope { from, to, international, size } = envelope;
        let host = self.host.clone();
        if let Some(most) = self.abilities.size.filter(|most| size > most) {
            return Err(Begun::Refused(Error::form(
                "attach",
                format!(
                    "The message has {} and {host} takes at most {}. Send less data, attach a zip \
                     archive, or have larger files linked.",
                    byte_count(*size),
                    byte_count(most)
                ),
            )));
        }
        if *international && !self.abilities.smtputf8 {
            return Err(Begun::Refused(Error::form(
                "to",
                format!("{host} takes no addresses with letters beyond ASCII before the @."),
            )));
        }
        let mut command = format!("MAIL FROM:<{from}>");
        if self.abilities.size.is_some() {
            command.push_str(&format!(" SIZE={size}"));
        }
        if *international {
            command.push_str(" SMTPUTF8");
        }
        let reply = self.command(&command).await?;
        match reply.code {
            200..300 => {}
            552 => return Err(Begun::Refused(self.too_large(&reply))),
            _ => return Err(Begun::Denied(self.denied(from, &reply))),
        }
        self.recipients(to).await?;
        let reply = self.command("DATA").await?;
        if reply.code != 354 {
            return Err(Begun::Refused(reply.error(format!("{host} does not take the message"))));
        }
        Ok(())
    }

    /// The server takes nothing from this sender; a code of 4xx may pass.
    fn denied(&self, from: &str, reply: &Reply) -> Error {
        let host = &self.host;
        match reply.code {
            530 => Error::settings(format!(
                "{host} takes mail only after a login or over an encrypted connection: {} Check \
                 the settings.",
                reply.words()
            )),
            500.. => Error::settings(format!(
                "{host} does not take {from} as the sender: {} Name another sender, or have this \
                 one allowed there.",
                reply.words()
            )),
            _ => reply.error(format!("{host} does not take {from} as the sender")),
        }
    }

    fn too_large(&self, reply: &Reply) -> Error {
        let text = format!("{} takes no message of this size: {}", self.host, reply.words());
        Error::form("attach", text)
    }

    /// Names every recipient. If one is refused nobody gets the message: a user who sends it again
    /// must not send it twice to the others.
    async fn recipients(&mut self, to: &[String]) -> Result<(), Begun> {
        let (mut refused, mut passing) = (Vec::new(), true);
        for recipient in to {
            let reply = self.command(&format!("RCPT TO:<{recipient}>")).await?;
            if !reply.is_positive() {
                passing &= reply.code / 100 == 4;
                refused.push(format!("{recipient} ({})", reply.words()));
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        let shown = refused.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = match refused.len() {
            0..=5 => String::new(),
            all => format!(" and {} more", all - 5),
        };
        let sentence = format!(
            "{} refused {shown}{more}, so that the message was sent to nobody. Correct or remove \
             the address.",
            self.host
        );
        Err(Begun::Refused(match passing {
            true => Error::vendor(sentence).retry_later(),
            false => Error::form("to", sentence),
        }))
    }

    /// Sends the message and its end. Whether the end was written, at least as far as is known.
    async fn data(&mut self, mut message: ByteStream) -> Result<bool> {
        let mut stuffer = Stuffer::default();
        while let Some(chunk) = message.next().await {
            // Looker's or the hub's own fault: the connection ends without the dot.
            for piece in stuffer.push(chunk?) {
                if let Err(fault) = self.write(&piece).await {
                    return Err(self.last_words(fault).await);
                }
            }
            self.still_listens().await?;
        }
        Ok(self.write(stuffer.end()).await.is_ok())
    }

    /// Fails if the server spoke or closed although it was not its turn: without the dot it has no
    /// message, so that this is the last moment at which that is certain.
    async fn still_listens(&mut self) -> Result<()> {
        let mut space = [0; 256];
        let mut buffer = ReadBuf::new(&mut space);
        // Asked, not waited for.
        let heard = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.wire).poll_read(cx, &mut buffer)));
        match heard.await {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Err(self.broke_off("the message was on its way"))
            }
            Poll::Ready(Ok(())) => {
                self.read.extend_from_slice(buffer.filled());
                let fault = self.broke_off("the message was on its way");
                Err(self.last_words(fault).await)
            }
            Poll::Ready(Err(fault)) => Err(self.broken(&fault)),
        }
    }

    /// A server that refuses in the middle says why, and closes.
    async fn last_words(&mut self, fault: Error) -> Error {
        if self.stop.reason().is_some() {
            return fault;
        }
        match self.reply(self.idle).await {
            Ok(reply) if !reply.is_positive() => {
                reply.error(format!("{} refused the message in its middle", self.host))
            }
            _ => fault,
        }
    }
}

/// Why a message was not begun.
enum Begun {
    /// The connection is not good any more.
    Broken(Error),
    /// The server's own no to this message.
    Refused(Error),
    /// Its no to whoever sends it.
    Denied(Error),
}

impl From<Error> for Begun {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// RFC 4616.
fn plain_login(user: &str, password: &Secret) -> String {
    base64_simd::STANDARD.encode_to_string(format!("\0{user}\0{}", password.expose()).as_bytes())
}

/// How a client without a name calls itself (RFC 5321, 4.1.3).
fn address_literal(own: IpAddr) -> String {
    match own {
        IpAddr::V4(own) => format!("[{own}]"),
        IpAddr::V6(own) => format!("[IPv6:{own}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_the_address_is_given() {
        assert_eq!(address_literal("10.0.0.7".parse().unwrap()), "[10.0.0.7]");
        assert_eq!(address_literal("::1".parse().unwrap()), "[IPv6:::1]");
    }
}
