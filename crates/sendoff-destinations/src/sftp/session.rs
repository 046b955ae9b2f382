//! One SFTP session: connect, recognise the server, log in, ask and wait for answers.
//!
//! The protocol is draft-ietf-secsh-filexfer-02 (version 3, what servers speak) and OpenSSH's
//! extensions: <https://github.com/openssh/openssh-portable/blob/master/PROTOCOL>.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse as Asked};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect, MethodKind, MethodSet};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::extensions::HardlinkExtension;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, Status, StatusCode};
use sendoff::{Error, Http, Result, Secret};
use tokio::time::timeout;

use super::algorithms::{hashes, offered};
use super::host_key::HostKeys;
use super::server::Server;

/// From the first byte to the end of the login. The door's own limit for TCP comes before it.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// A server that keeps asking is not a server that lets us in.
const MOST_QUESTIONS: usize = 8;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

const POSIX_RENAME: &str = "posix-rename@openssh.com";
const FSYNC: &str = "fsync@openssh.com";

/// Why a request has no good answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server answered no.
    Refused(Status),
    /// No answer came: the connection is gone or silent.
    Lost(String),
}

impl Fault {
    pub(super) fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(status) => Some(status.status_code),
            Self::Lost(_) => None,
        }
    }
}

impl From<SftpError> for Fault {
    fn from(error: SftpError) -> Self {
        match error {
            SftpError::Status(status) => Self::Refused(status),
            lost => Self::Lost(lost.to_string()),
        }
    }
}

/// A session that is logged in. Dropping it closes the connection.
pub(super) struct Session {
    ssh: Handle<Client>,
    sftp: RawSftpSession,
    idle: Duration,
    pub(super) host: String,
    pub(super) username: String,
    /// Renames over a file that is there, in one step.
    pub(super) can_replace: bool,
    can_sync: bool,
}

impl Session {
    /// Connects and logs in. Whatever is secret is sent after the host key was accepted.
    pub(super) async fn open(http: &Http, server: &Server) -> Result<Self> {
        let stream = http.connect("sftp", &server.host, server.port).await?;
        let idle = http.idle_timeout();
        let limit = HANDSHAKE.min(idle);
        let opened = timeout(limit, Self::begin(stream, server, idle)).await;
        opened.unwrap_or_else(|_| {
            let (host, secs) = (&server.host, limit.as_secs());
            Err(Error::vendor(format!(
                "{host} took the connection, but the login was not done within {secs} s. Try \
                 again later."
            ))
            .retry_later())
        })
    }

    async fn begin(stream: tokio::net::TcpStream, server: &Server, idle: Duration) -> Result<Self> {
        let mut ssh = Client::connect(stream, server).await?;
        log_in(&mut ssh, server).await?;
        let broke_off = |fault: &dyn std::fmt::Display| {
            let host = &server.host;
            Error::vendor(format!(
                "{host} took the login, but then opened no SFTP session. Ask its operator whether \
                 {} may use SFTP.",
                server.username
            ))
            .cause(fault.to_string())
        };
        let mut channel = ssh.channel_open_session().await.map_err(|fault| broke_off(&fault))?;
        channel.request_subsystem(true, "sftp").await.map_err(|fault| broke_off(&fault))?;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => break,
                Some(ChannelMsg::Failure | ChannelMsg::Close | ChannelMsg::Eof) | None => {
                    return Err(broke_off(&"the subsystem was refused"));
                }
                Some(_) => {}
            }
        }
        // Each answer is waited for here, with the hub's own limit; the crate's would also count
        // the time that a request waits behind others on a slow line.
        let config = Config { request_timeout_secs: 24 * 60 * 60, ..Config::default() };
        let sftp = RawSftpSession::new_with_config(channel.into_stream(), config);
        let version = sftp.init().await.map_err(|fault| broke_off(&fault))?;
        let offers = |name: &str| version.extensions.contains_key(name);
        Ok(Self {
            ssh,
            sftp,
            idle,
            host: server.host.clone(),
            username: server.username.clone(),
            can_replace: offers(POSIX_RENAME),
            can_sync: offers(FSYNC),
        })
    }

    /// Says goodbye, for a moment.
    pub(super) async fn close(self) {
        let _ = self.sftp.close_session();
        let goodbye = self.ssh.disconnect(Disconnect::ByApplication, "", "");
        // A server that is gone need not be told.
        let _ = timeout(GOODBYE, goodbye).await;
    }

    /// Waits for an answer as long as the hub waits for a silent peer.
    async fn answer<T>(
        &self,
        request: impl Future<Output = Result<T, SftpError>>,
    ) -> Result<T, Fault> {
        match timeout(self.idle, request).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(self.silent()),
        }
    }

    fn silent(&self) -> Fault {
        Fault::Lost(format!("no answer within {:?}", self.idle))
    }

    /// Waits for the next of several answers, as long as the hub waits for a silent peer.
    pub(super) async fn patiently<T>(
        &self,
        next: impl Future<Output = Option<Result<T, Fault>>>,
    ) -> Option<Result<T, Fault>> {
        timeout(self.idle, next).await.unwrap_or_else(|_| Some(Err(self.silent())))
    }

    /// Creates a file that is not there yet, and opens it for writing.
    pub(super) async fn create(&self, path: &str) -> Result<String, Fault> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        // No attributes: the server's own mask decides who may read.
        let opened = self.answer(self.sftp.open(path, flags, FileAttributes::empty())).await?;
        Ok(opened.handle)
    }

    /// Writes one piece. Many may be under way at once, so it sets no time of its own: see
    /// [`patiently`](Self::patiently).
    pub(super) async fn write(&self, handle: &str, at: u64, data: Vec<u8>) -> Result<(), Fault> {
        Ok(self.sftp.write(handle, at, data).await.map(drop)?)
    }

    /// Flushes the file to the server's disk, where the server offers to.
    pub(super) async fn sync(&self, handle: &str) -> Result<(), Fault> {
        if !self.can_sync {
            return Ok(());
        }
        self.answer(self.sftp.fsync(handle)).await.map(drop)
    }

    pub(super) async fn close_file(&self, handle: &str) -> Result<(), Fault> {
        self.answer(self.sftp.close(handle)).await.map(drop)
    }

    /// What stands at `path`; `None` if nothing does.
    pub(super) async fn stat(&self, path: &str) -> Result<Option<FileAttributes>, Fault> {
        match self.answer(self.sftp.stat(path)).await {
            Ok(found) => Ok(Some(found.attrs)),
            Err(fault) if fault.code() == Some(StatusCode::NoSuchFile) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub(super) async fn make_folder(&self, path: &str) -> Result<(), Fault> {
        self.answer(self.sftp.mkdir(path, FileAttributes::empty())).await.map(drop)
    }

    pub(super) async fn remove(&self, path: &str) -> Result<(), Fault> {
        self.answer(self.sftp.remove(path)).await.map(drop)
    }

    /// Renames; where something stands at `to` the protocol says that this fails.
    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<(), Fault> {
        self.answer(self.sftp.rename(from, to)).await.map(drop)
    }

    /// Renames over whatever stands at `to`. Needs [`can_replace`](Self::can_replace).
    pub(super) async fn replace(&self, from: &str, to: &str) -> Result<(), Fault> {
        // Two strings, as hardlink@openssh.com has them.
        let names = HardlinkExtension { oldpath: from.to_owned(), newpath: to.to_owned() };
        let names: Vec<u8> = names.try_into().map_err(SftpError::from)?;
        match self.answer(self.sftp.extended(POSIX_RENAME, names)).await? {
            Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
            Packet::Status(status) => Err(Fault::Refused(status)),
            _ => Err(Fault::Lost("an answer of the wrong kind".to_owned())),
        }
    }
}

/// SSH's side of the session: checks the host key and notes it.
pub(super) struct Client {
    keys: HostKeys,
    host: String,
    port: u16,
    seen: Arc<OnceLock<String>>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        // Certificates were not asked for.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        // It is shown again when keys are exchanged anew; the first is the one to tell.
        let _ = self.seen.set(key.fingerprint(HashAlg::Sha256).to_string());
        Ok(self.keys.accept(&self.host, self.port, key))
    }
}

impl Client {
    async fn connect(stream: tokio::net::TcpStream, server: &Server) -> Result<Handle<Self>> {
        let seen = Arc::new(OnceLock::new());
        let client = Self {
            keys: server.keys.clone(),
            host: server.host.clone(),
            port: server.port,
            seen: Arc::clone(&seen),
        };
        let host = &server.host;
        let connected = client::connect_stream(Arc::new(config(server)), stream, client);
        connected.await.map_err(|fault| match fault {
            russh::Error::UnknownKey => {
                server.keys.refusal(host, seen.get().map(String::as_str)).cause(fault)
            }
            russh::Error::NoCommonAlgo { ref kind, ref theirs, .. } => Error::vendor(format!(
                "{host} offers only algorithms that are too old to be safe ({kind:?}: {}). Its \
                 operator must update it; until then this hub's operator may set \
                 SENDOFF_SFTP_LEGACY_ALGORITHMS, which helps against some of them.",
                theirs.join(", ")
            ))
            .cause(fault),
            fault => Error::vendor(format!(
                "{host} took the connection, but broke off while the encryption was set up. Check \
                 that an SSH server answers there, or try again later."
            ))
            .retry_later()
            .cause(fault),
        })
    }
}

fn config(server: &Server) -> client::Config {
    client::Config {
        preferred: offered(&server.keys, server.legacy),
        // A live server answers these, so only a dead one is idle.
        keepalive_interval: Some(Duration::from_secs(20)),
        keepalive_max: 3,
        inactivity_timeout: Some(Duration::from_secs(90)),
        ..client::Config::default()
    }
}

/// Key, then keyboard-interactive, then password: of those that the server takes.
async fn log_in(ssh: &mut Handle<Client>, server: &Server) -> Result<()> {
    let name = server.username.as_str();
    let broke_off = |fault: russh::Error| {
        Error::vendor(format!("{} broke off during the login. Try again later.", server.host))
            .retry_later()
            .cause(fault)
    };
    // Asks what the server takes; it does not count as an attempt.
    let mut offered = match ssh.authenticate_none(name).await.map_err(broke_off)? {
        AuthResult::Success => return Ok(()),
        AuthResult::Failure { remaining_methods, .. } => remaining_methods,
    };
    let first = offered.clone();
    if let Some(key) = &server.key
        && offered.contains(&MethodKind::PublicKey)
    {
        for key in with_hashes(ssh, key, server.legacy).await.map_err(broke_off)? {
            match ssh.authenticate_publickey(name, key).await.map_err(broke_off)? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, .. } => offered = remaining_methods,
            }
        }
    }
    if let Some(password) = &server.password {
        if offered.contains(&MethodKind::KeyboardInteractive) {
            match answer_questions(ssh, name, password).await.map_err(broke_off)? {
                None => return Ok(()),
                Some(remaining) => offered = remaining,
            }
        }
        if offered.contains(&MethodKind::Password) {
            let answer = ssh.authenticate_password(name, password.expose());
            if answer.await.map_err(broke_off)?.success() {
                return Ok(());
            }
        }
    }
    // The crate takes a lost connection for a refusal.
    if ssh.is_closed() {
        return Err(broke_off(russh::Error::Disconnect));
    }
    Err(login_refused(server, &first))
}

/// The key in the ways in which it is tried. Only RSA keys have more than one.
async fn with_hashes(
    ssh: &Handle<Client>,
    key: &PrivateKey,
    legacy: bool,
) -> Result<Vec<PrivateKeyWithHashAlg>, russh::Error> {
    let hashes = if key.algorithm().is_rsa() {
        hashes(ssh.best_supported_rsa_hash().await?, legacy)
    } else {
        vec![None]
    };
    let key = Arc::new(key.clone());
    let with = |hash| PrivateKeyWithHashAlg::new(Arc::clone(&key), hash);
    Ok(hashes.into_iter().map(with).collect())
}

/// Answers the first hidden question with the password, and others with nothing: a one-time code
/// cannot be known here. `None` is success.
async fn answer_questions(
    ssh: &mut Handle<Client>,
    name: &str,
    password: &Secret,
) -> Result<Option<MethodSet>, russh::Error> {
    let mut unsaid = Some(password);
    let mut asked = ssh.authenticate_keyboard_interactive_start(name, None).await?;
    for _ in 0..MOST_QUESTIONS {
        let prompts = match asked {
            Asked::Success => return Ok(None),
            Asked::Failure { remaining_methods, .. } => return Ok(Some(remaining_methods)),
            Asked::InfoRequest { prompts, .. } => prompts,
        };
        let answers = prompts.iter().map(|prompt| {
            let hidden = if prompt.echo { None } else { unsaid.take() };
            hidden.map(|password| password.expose().to_owned()).unwrap_or_default()
        });
        asked = ssh.authenticate_keyboard_interactive_respond(answers.collect()).await?;
    }
    Ok(Some(MethodSet::empty()))
}

fn login_refused(server: &Server, offered: &MethodSet) -> Error {
    let (host, name) = (&server.host, &server.username);
    let takes: Vec<&str> = offered.iter().map(<&str>::from).collect();
    let takes = takes.join(", ");
    let brought = match (&server.key, &server.password) {
        (Some(_), Some(_)) => "the private key and the password",
        (Some(_), None) => "the private key",
        _ => "the password",
    };
    let what = format!(
        "{host} refused the login of {name} with {brought}; it takes: {takes}. Check the user \
         name and {brought}"
    );
    if server.from_form {
        return Error::form("password", format!("{what}."));
    }
    let field = if server.key.is_some() { "private_key" } else { "password" };
    Error::settings(format!("{what} in the settings of the SFTP action.")).field(field)
}
