//! The way of one file: a hidden name first, every byte confirmed, then one rename.

mod naming;

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use russh_sftp::protocol::StatusCode;
use sendoff::{ByteStream, Error, Http, Result, Retry, Stop};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::server::Server;
use super::session::{Fault, Session};
use crate::shared::file_options::IfExists;
use crate::shared::file_path::FilePath;
use naming::Unpublished;

/// What every server takes in one write (draft-ietf-secsh-filexfer-02, section 3).
const PIECE: usize = 32 * 1024;
/// Writes that wait for their answer: 2 MiB, the window of OpenSSH. More only fills memory.
const OUTSTANDING: usize = 64;
/// File systems allow 255 bytes for a name; the rest is for the dots and the id.
const PART_STEM: usize = 200;
/// Before the second and last attempt to connect.
const BACK_OFF: Duration = Duration::from_secs(1);
/// A stopped delivery has 5 s in all to clean up.
const LAST_WORD: Duration = Duration::from_secs(2);
/// One that was not stopped has longer.
const TIDY: Duration = Duration::from_secs(10);

/// One file on its way.
pub(super) struct Upload<'a> {
    http: &'a Http,
    stop: &'a Stop,
    server: &'a Server,
    path: FilePath,
    part: String,
    if_exists: IfExists,
    /// The open file.
    handle: OnceLock<String>,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        http: &'a Http,
        stop: &'a Stop,
        server: &'a Server,
        path: FilePath,
        if_exists: IfExists,
    ) -> Self {
        let part = part_name(&path);
        Self { http, stop, server, path, part, if_exists, handle: OnceLock::new() }
    }

    /// Delivers, and tells under which name and how many bytes. On any error the unfinished file
    /// is removed.
    pub(super) async fn deliver(&self, mut stream: ByteStream) -> Result<(FilePath, u64)> {
        let session = self.connect().await?;
        if let Err(error) = self.stop.unless_stopped(self.refuse_early(&session)).await.flatten() {
            session.close().await;
            return Err(error);
        }
        let mut bytes = 0;
        let filled = self.stop.unless_stopped(self.fill(&session, &mut stream)).await.flatten();
        let published = match filled {
            Ok(count) => {
                bytes = count;
                self.publish(&session).await
            }
            Err(error) => Err(Unpublished::No(error)),
        };
        match published {
            Ok(path) => {
                session.close().await;
                Ok((path, bytes))
            }
            Err(Unpublished::No(error)) => Err(self.discard(session, error).await),
            Err(Unpublished::Unknown(renaming)) => {
                drop(session);
                self.find_out(renaming, bytes).await
            }
        }
    }

    /// Connects, twice if the first failure may pass. Nothing was sent yet.
    async fn connect(&self) -> Result<Session> {
        let open = || self.stop.unless_stopped(Session::open(self.http, self.server));
        match open().await? {
            Err(error) if error.retry() != Retry::No => {
                self.stop.unless_stopped(sleep(BACK_OFF)).await?;
                open().await?
            }
            opened => opened,
        }
    }

    /// Spares the upload of what cannot be kept.
    async fn refuse_early(&self, session: &Session) -> Result<()> {
        if self.if_exists != IfExists::KeepBoth {
            let found = session.stat(&on_wire(&self.path)).await;
            let found = found.map_err(|fault| self.explain(session, fault, "looking for it"))?;
            if found.as_ref().is_some_and(|found| found.is_dir()) {
                return Err(Error::form(
                    "filename",
                    format!(
                        "{} is a folder, so no file can take its name. Choose another.",
                        self.path
                    ),
                ));
            }
            if found.is_some() && self.if_exists == IfExists::Fail {
                return Err(IfExists::refusal(&self.path));
            }
        }
        Ok(())
    }

    /// Writes everything under the hidden name, and makes sure that the server has it.
    async fn fill(&self, session: &Session, stream: &mut ByteStream) -> Result<u64> {
        let explain = |fault| self.explain(session, fault, "writing it");
        let opened = match session.create(&self.part).await {
            Err(fault) if fault.code() == Some(StatusCode::NoSuchFile) => {
                self.make_folders(session).await?;
                session.create(&self.part).await
            }
            opened => opened,
        };
        let handle = opened.map_err(|fault| self.explain(session, fault, "creating it"))?;
        let handle = self.handle.get_or_init(|| handle);
        let mut outstanding = FuturesUnordered::new();
        let (mut piece, mut bytes) = (Vec::with_capacity(PIECE), 0);
        let mut chunk = bytes::Bytes::new();
        let mut ended = false;
        while !(ended && chunk.is_empty() && piece.is_empty() && outstanding.is_empty()) {
            // Full pieces only, but for the last.
            while outstanding.len() < OUTSTANDING && !(chunk.is_empty() && piece.is_empty()) {
                let take = chunk.len().min(PIECE - piece.len());
                piece.extend_from_slice(&chunk.split_to(take));
                if piece.len() < PIECE && !ended {
                    break;
                }
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
                let at = bytes;
                bytes += full.len() as u64;
                outstanding.push(session.write(handle, at, full));
            }
            tokio::select! {
                biased;
                Some(written) = session.patiently(outstanding.next()) => {
                    written.map_err(explain)?;
                }
                next = stream.next(), if !ended && chunk.is_empty() => match next {
                    Some(next) => chunk = next?,
                    None => ended = true,
                },
                else => {}
            }
        }
        session.sync(handle).await.map_err(explain)?;
        session.close_file(handle).await.map_err(explain)?;
        let stands = session.stat(&self.part).await.map_err(explain)?;
        match stands.map(|found| found.size) {
            Some(Some(size)) if size != bytes => Err(Error::vendor(format!(
                "{} confirmed {bytes} bytes of {}, but holds {size}. Nothing was delivered.",
                session.host, self.path
            ))),
            None => Err(Error::vendor(format!(
                "{} confirmed {}, but the file is gone. Does something on the server move files \
                 away while they are written? Nothing was delivered.",
                session.host, self.path
            ))),
            _ => Ok(bytes),
        }
    }

    async fn make_folders(&self, session: &Session) -> Result<()> {
        let mut folder = if self.path.rooted() { "/".to_owned() } else { String::new() };
        for name in self.path.folders() {
            folder.push_str(name);
            make_folder(session, &folder).await.map_err(|fault| match fault {
                Some(fault) => self.explain(session, fault, "making its folder"),
                None => Error::vendor(format!(
                    "{folder} on {} is a file, so there can be no folder of that name.",
                    session.host
                ))
                .field("path"),
            })?;
            folder.push('/');
        }
        Ok(())
    }

    /// Removes the unfinished file. Says in the error if that failed.
    async fn discard(&self, session: Session, error: Error) -> Error {
        let handle = self.handle.get();
        let here = async {
            if let Some(handle) = handle {
                // Some servers do not remove a file that is open. If it is closed already, the
                // answer is a refusal that says nothing.
                let _ = session.close_file(handle).await;
            }
            session.remove(&self.part).await
        };
        let removed = timeout(LAST_WORD, here).await;
        let gone = match removed {
            Ok(answer) => is_gone(&answer),
            Err(_) => None,
        };
        let gone = match gone {
            Some(gone) => {
                session.close().await;
                gone
            }
            None => {
                drop(session);
                let again = async {
                    let session =
                        Session::open(&self.http.for_cleanup(), self.server).await.ok()?;
                    let gone = is_gone(&session.remove(&self.part).await);
                    session.close().await;
                    gone
                };
                timeout(self.grace(), again).await.ok().flatten().unwrap_or(false)
            }
        };
        if gone {
            return error;
        }
        error.context(format!(
            "The unfinished file {} could not be removed, delete it by hand",
            self.part
        ))
    }

    fn grace(&self) -> Duration {
        if self.stop.reason().is_some() { LAST_WORD } else { TIDY }
    }

    fn explain(&self, session: &Session, fault: Fault, doing: &str) -> Error {
        explain(session, fault, &self.path.to_string(), doing)
    }
}

/// Whether a removal left nothing; `None` if nobody answered.
fn is_gone(answer: &Result<(), Fault>) -> Option<bool> {
    match answer {
        Ok(()) => Some(true),
        Err(Fault::Refused(status)) => Some(status.status_code == StatusCode::NoSuchFile),
        Err(Fault::Lost(_)) => None,
    }
}

/// Makes a folder if there is none. `Err(None)`: a file has its name.
async fn make_folder(session: &Session, folder: &str) -> Result<(), Option<Fault>> {
    match session.stat(folder).await {
        Ok(Some(found)) if found.is_dir() => return Ok(()),
        Ok(Some(found)) if found.permissions.is_some() => return Err(None),
        // Servers that hide upper folders may still let us go through them.
        Ok(Some(_)) | Err(Fault::Refused(_)) => return Ok(()),
        Ok(None) => {}
        Err(fault) => return Err(Some(fault)),
    }
    match session.make_folder(folder).await {
        Ok(()) => Ok(()),
        // Another delivery may have made it meanwhile.
        Err(fault) => match session.stat(folder).await {
            Ok(Some(found)) if found.is_dir() => Ok(()),
            _ => Err(Some(fault)),
        },
    }
}

/// Whether the admin's folder is one, for the form: it need not be there yet.
pub(super) async fn check_folder(session: &Session, folder: Option<&str>) -> Result<()> {
    let folder = folder.map(|path| path.trim().trim_start_matches("~/")).unwrap_or(".");
    let found = session.stat(if folder.is_empty() { "." } else { folder }).await;
    match found.map_err(|fault| explain(session, fault, folder, "looking for it"))? {
        Some(found) if found.permissions.is_some() && !found.is_dir() => {
            Err(Error::settings(format!(
                "The setting \"Base Path\" of the SFTP action names {folder}, which is a file."
            ))
            .field("base_path"))
        }
        _ => Ok(()),
    }
}

/// What a failed step means, in the server's words.
fn explain(session: &Session, fault: Fault, path: &str, doing: &str) -> Error {
    let (host, user) = (&session.host, &session.username);
    let status = match fault {
        Fault::Refused(status) => status,
        Fault::Lost(fault) => {
            return Error::vendor(format!(
                "{host} closed the connection or fell silent at {path} ({doing}). Nothing was \
                 delivered. Try again later."
            ))
            .retry_later()
            .cause(fault);
        }
    };
    let words: String =
        status.error_message.chars().filter(|c| !c.is_control()).take(300).collect();
    let said = if words.is_empty() { status.status_code.to_string() } else { words };
    let advice = match status.status_code {
        StatusCode::PermissionDenied => format!("{user} needs the right to write there."),
        StatusCode::NoSuchFile => "Its folder is not there and could not be made.".to_owned(),
        StatusCode::OpUnsupported => "The server cannot do what this action needs.".to_owned(),
        _ => {
            format!("Its disk or the quota of {user} may be full, or a name is not allowed there.")
        }
    };
    Error::vendor(format!(
        "{host} refused {path} ({doing}) with \"{said}\". {advice} Nothing was delivered."
    ))
    .field("path")
}

/// A path in the notation of SFTP: without a `/` in front it begins at the login's home folder.
fn on_wire(path: &FilePath) -> String {
    if path.rooted() { format!("/{path}") } else { path.to_string() }
}

/// `reports/.orders.csv.<id>.part` for `reports/orders.csv`: in the same folder, because a rename
/// is one step only within a file system.
fn part_name(path: &FilePath) -> String {
    let name = path.name();
    let end = (0..=PART_STEM.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    let whole = on_wire(path);
    let folder = &whole[..whole.len() - name.len()];
    format!("{folder}.{}.{}.part", &name[..end.unwrap_or(0)], Uuid::new_v4())
}
