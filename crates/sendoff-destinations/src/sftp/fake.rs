//! A stand-in for an SFTP server: SSH with one user, and files of which the digest and the start are kept.
//!
//! Written on 2026-11-24 from draft-ietf-secsh-filexfer-02
//! (<https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02>) and OpenSSH's PROTOCOL
//! (<https://github.com/openssh/openssh-portable/blob/master/PROTOCOL>, posix-rename and fsync).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, VerifiedPublicKey};
use russh::{Channel, ChannelId, Disconnect, MethodKind, MethodSet};
use russh_sftp::protocol::{
    Attrs, FileAttributes, FileMode, Handle, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::StatusReply;
use sendoff::testing::{Fake, Object};
use sendoff::{AnyAction, Values};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use super::Sftp;

const HOST: &str = "files.example";
const USER: &str = "looker";
const PASSWORD: &str = "canary-sftp-password-7d1c";
const HOME: &str = "/home/looker";
/// Keys are made from these, so that they are the same in every run.
const HOST_SEED: [u8; 32] = [7; 32];
const USER_SEED: [u8; 32] = [8; 32];

/// The action with a server of its own.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(Sftp::new(false)), Arc::new(Server::default()))
}

pub(super) struct Server {
    config: Arc<server::Config>,
    disk: Arc<Mutex<Disk>>,
    extensions: &'static [&'static str],
    cut: Option<Cut>,
}

/// Where connections break off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// At this rename, counted over all connections.
    pub(super) rename: u32,
    /// After it was carried out.
    pub(super) done: bool,
    /// Nobody gets in afterwards.
    pub(super) for_good: bool,
}

fn key(seed: &[u8; 32]) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(seed))
}

impl Default for Server {
    fn default() -> Self {
        let config = server::Config {
            keys: vec![key(&HOST_SEED)],
            methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]),
            auth_rejection_time: Duration::ZERO,
            inactivity_timeout: Some(Duration::from_secs(120)),
            ..server::Config::default()
        };
        let extensions = &["posix-rename@openssh.com", "fsync@openssh.com"];
        Self { config: Arc::new(config), disk: Arc::default(), extensions, cut: None }
    }
}

impl Server {
    /// Knows no more than the protocol's third version.
    #[cfg(test)]
    pub(super) fn plain(cut: Option<Cut>) -> Self {
        Self { extensions: &[], cut, ..Self::default() }
    }

    /// Is of another configuration.
    #[cfg(test)]
    pub(super) fn of(change: impl FnOnce(&mut server::Config)) -> Self {
        let mut server = Self::default();
        if let Some(config) = Arc::get_mut(&mut server.config) {
            change(config);
        }
        server
    }
}

impl Fake for Server {
    fn origins(&self) -> Vec<String> {
        vec![format!("sftp://{HOST}:22")]
    }

    fn settings(&self) -> Values {
        let print = key(&HOST_SEED).fingerprint(HashAlg::Sha256).to_string();
        [("host", HOST), ("username", USER), ("password", PASSWORD), ("host_key", print.as_str())]
            .into_iter()
            .collect()
    }

    fn answers(&self) -> Values {
        [("path", "/reports/daily"), ("filename", "orders.csv")].into_iter().collect()
    }

    fn serve(&self, stream: TcpStream) -> BoxFuture<'_, ()> {
        let (config, disk) = (Arc::clone(&self.config), Arc::clone(&self.disk));
        let (extensions, channels, cut) = (self.extensions, HashMap::new(), self.cut);
        Box::pin(async move {
            if cut.is_some_and(|cut| cut.for_good && lock(&disk).renames >= cut.rename) {
                return;
            }
            let connection = Connection { disk, extensions, channels, cut };
            let served = match server::run_stream(config, stream, connection).await {
                Ok(running) => running.await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = served {
                // A client may break off at any byte; that is its business.
                tracing::trace!(%fault, "a connection to the stand-in ended early");
            }
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let disk = lock(&self.disk);
        let whole = disk.files.iter().filter(|(path, _)| !is_part(path));
        let objects = whole.map(|(path, file)| file.object(path)).collect();
        Box::pin(std::future::ready(objects))
    }

    fn start<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Option<Bytes>> {
        let start = lock(&self.disk).files.get(object).map(|file| file.start.clone().into());
        Box::pin(std::future::ready(start))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        let disk = lock(&self.disk);
        let parts = disk.files.keys().filter(|path| is_part(path)).cloned().collect();
        Box::pin(std::future::ready(parts))
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        ("text/plain", String::new())
    }

    fn commits(&self, _: &Method, _: &str) -> bool {
        false
    }
}

fn is_part(path: &str) -> bool {
    path.ends_with(".part") || path.ends_with(".old")
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Disk {
    folders: BTreeSet<String>,
    files: BTreeMap<String, File>,
    /// Tried so far.
    renames: u32,
}

impl Default for Disk {
    fn default() -> Self {
        let folders = ["/", "/home", HOME].map(str::to_owned).into_iter().collect();
        Self { folders, files: BTreeMap::new(), renames: 0 }
    }
}

/// So much of a file's start is kept.
const KEPT: usize = 1024;

#[derive(Default)]
struct File {
    start: Vec<u8>,
    bytes: u64,
    digest: Sha256,
    /// Tells a file from a later one of the same name.
    inode: u64,
}

impl File {
    fn object(&self, path: &str) -> Object {
        let digest = self.digest.clone().finalize();
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Object { name: path.to_owned(), bytes: self.bytes, sha256 }
    }
}

struct Connection {
    disk: Arc<Mutex<Disk>>,
    extensions: &'static [&'static str],
    channels: HashMap<ChannelId, Channel<Msg>>,
    cut: Option<Cut>,
}

impl server::Handler for Connection {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(allow(user == USER && password == PASSWORD))
    }

    /// Asks for the password and for something that a person would have to read elsewhere.
    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        answers: Option<server::Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(answers) = answers else {
            let prompts = vec![("Password: ".into(), false), ("Favourite colour: ".into(), true)];
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: prompts.into(),
            });
        };
        let answers: Vec<Bytes> = answers.collect();
        Ok(allow(user == USER && answers == [PASSWORD.as_bytes(), b""]))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        shown: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let own = key(&USER_SEED);
        Ok(allow(user == USER && shown.public_key.key_data() == own.public_key().key_data()))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        match self.channels.remove(&id) {
            Some(channel) if name == "sftp" => {
                session.channel_success(id)?;
                let (disk, extensions) = (Arc::clone(&self.disk), self.extensions);
                let (cut, ssh) = (self.cut, session.handle());
                let files = Files { disk, extensions, cut, ssh, open: HashMap::new(), next: 0 };
                russh_sftp::server::run(channel.into_stream(), files).await;
                Ok(())
            }
            _ => session.channel_failure(id),
        }
    }
}

fn allow(right: bool) -> Auth {
    if right { Auth::Accept } else { Auth::reject() }
}

/// One SFTP session.
struct Files {
    disk: Arc<Mutex<Disk>>,
    extensions: &'static [&'static str],
    cut: Option<Cut>,
    ssh: server::Handle,
    /// Path and inode by handle.
    open: HashMap<String, (String, u64)>,
    next: u64,
}

type Answer<T> = Result<T, StatusReply>;

fn done(id: u32) -> Answer<Status> {
    let (status_code, error_message) = (StatusCode::Ok, "Success".to_owned());
    Ok(Status { id, status_code, error_message, language_tag: String::new() })
}

/// OpenSSH says nothing but the name of the code.
fn no<T>(code: StatusCode) -> Answer<T> {
    Err(code.into())
}

fn absolute(path: &str) -> String {
    match path {
        "" | "." => HOME.to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("{HOME}/{path}"),
    }
}

fn folder_of(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

impl Files {
    /// What an open handle stands for, if it is still there.
    fn file<T>(&self, handle: &str, act: impl FnOnce(&mut File) -> Answer<T>) -> Answer<T> {
        let Some((path, inode)) = self.open.get(handle) else { return no(StatusCode::Failure) };
        match lock(&self.disk).files.get_mut(path) {
            Some(file) if file.inode == *inode => act(file),
            // Removed or renamed while it is open: it goes where nobody looks.
            _ => act(&mut File::default()),
        }
    }

    /// The cut, if it is due at the rename that comes now.
    fn next_cut(&self) -> Option<Cut> {
        let mut disk = lock(&self.disk);
        disk.renames += 1;
        self.cut.filter(|cut| cut.rename == disk.renames)
    }

    /// Ends the connection without an answer.
    async fn break_off(&self) {
        let bye = self.ssh.disconnect(Disconnect::ByApplication, String::new(), String::new());
        // It may be gone already, which is as good.
        let _ = bye.await;
        std::future::pending().await
    }

    fn rename(&self, from: &str, to: &str, replace: bool) -> Answer<()> {
        let (from, to) = (absolute(from), absolute(to));
        let mut disk = lock(&self.disk);
        if !disk.files.contains_key(&from) || !disk.folders.contains(folder_of(&to)) {
            return no(StatusCode::NoSuchFile);
        }
        if disk.folders.contains(&to) || (!replace && disk.files.contains_key(&to)) {
            return no(StatusCode::Failure);
        }
        if let Some(file) = disk.files.remove(&from) {
            disk.files.insert(to, file);
        }
        Ok(())
    }
}

impl russh_sftp::server::Handler for Files {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Answer<Version> {
        let mut version = Version::new();
        for name in self.extensions {
            version.extensions.insert((*name).to_owned(), "1".to_owned());
        }
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        flags: OpenFlags,
        _: FileAttributes,
    ) -> Answer<Handle> {
        let path = absolute(&filename);
        let mut disk = lock(&self.disk);
        if !disk.folders.contains(folder_of(&path)) {
            return no(StatusCode::NoSuchFile);
        }
        let taken = disk.files.contains_key(&path) || disk.folders.contains(&path);
        if taken || !flags.contains(OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE) {
            return no(StatusCode::Failure);
        }
        self.next += 1;
        let (handle, inode) =
            (format!("handle-{}", self.next), uuid::Uuid::new_v4().as_u64_pair().0);
        disk.files.insert(path.clone(), File { inode, ..File::default() });
        self.open.insert(handle.clone(), (path, inode));
        Ok(Handle { id, handle })
    }

    async fn write(
        &mut self,
        id: u32,
        handle: String,
        offset: u64,
        data: Vec<u8>,
    ) -> Answer<Status> {
        self.file(&handle, |file| {
            // Nothing is kept to sort, so what comes out of order is refused.
            if file.bytes != offset && file.inode != 0 {
                return no(StatusCode::Failure);
            }
            file.bytes += data.len() as u64;
            file.digest.update(&data);
            let room = KEPT.saturating_sub(file.start.len()).min(data.len());
            file.start.extend_from_slice(&data[..room]);
            done(id)
        })
    }

    async fn close(&mut self, id: u32, handle: String) -> Answer<Status> {
        match self.open.remove(&handle) {
            Some(_) => done(id),
            None => no(StatusCode::Failure),
        }
    }

    async fn stat(&mut self, id: u32, path: String) -> Answer<Attrs> {
        let path = absolute(&path);
        let disk = lock(&self.disk);
        let mut attrs = FileAttributes::empty();
        if let Some(file) = disk.files.get(&path) {
            attrs.size = Some(file.bytes);
            attrs.permissions = Some(FileMode::REG.bits() | 0o644);
        } else if disk.folders.contains(&path) {
            attrs.permissions = Some(FileMode::DIR.bits() | 0o755);
        } else {
            return no(StatusCode::NoSuchFile);
        }
        Ok(Attrs { id, attrs })
    }

    async fn mkdir(&mut self, id: u32, path: String, _: FileAttributes) -> Answer<Status> {
        let path = absolute(&path);
        let mut disk = lock(&self.disk);
        if !disk.folders.contains(folder_of(&path)) {
            return no(StatusCode::NoSuchFile);
        }
        if disk.files.contains_key(&path) || !disk.folders.insert(path) {
            return no(StatusCode::Failure);
        }
        done(id)
    }

    async fn remove(&mut self, id: u32, filename: String) -> Answer<Status> {
        match lock(&self.disk).files.remove(&absolute(&filename)) {
            Some(_) => done(id),
            None => no(StatusCode::NoSuchFile),
        }
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Answer<Status> {
        let cut = self.next_cut();
        if cut.is_some_and(|cut| !cut.done) {
            self.break_off().await;
        }
        let renamed = Files::rename(self, &from, &to, false);
        if cut.is_some() {
            self.break_off().await;
        }
        renamed?;
        done(id)
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Answer<Packet> {
        let mut texts = Texts(&data);
        match request.as_str() {
            name if !self.extensions.contains(&name) => return no(StatusCode::OpUnsupported),
            "posix-rename@openssh.com" => {
                let (Some(from), Some(to)) = (texts.next(), texts.next()) else {
                    return no(StatusCode::BadMessage);
                };
                Files::rename(self, &from, &to, true)?;
            }
            "fsync@openssh.com" => {
                let Some(handle) = texts.next() else { return no(StatusCode::BadMessage) };
                self.file(&handle, |_| Ok(()))?;
            }
            _ => return no(StatusCode::OpUnsupported),
        }
        done(id).map(Packet::Status)
    }
}

/// The strings of an extension's request: each with its length in front.
struct Texts<'a>(&'a [u8]);

impl Iterator for Texts<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let (len, rest) = self.0.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}
