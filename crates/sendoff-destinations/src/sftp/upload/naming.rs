//! The last step: the file gets its name, and what came of it is found out where the answer is lost.

use russh_sftp::protocol::StatusCode;
use sendoff::{Error, Result};
use tokio::time::{sleep, timeout};

use super::super::session::{Fault, Session};
use super::{LAST_WORD, Upload, on_wire};
use crate::shared::file_options::IfExists;
use crate::shared::file_path::FilePath;

/// Why the file has not got its name.
pub(super) enum Unpublished {
    /// It has not, for certain.
    No(Error),
    /// A rename was sent, and its answer is lost.
    Unknown(Renaming),
}

/// A file on its way to its name.
pub(super) struct Renaming {
    path: FilePath,
    /// Where the file that had the name was moved, or was about to be.
    aside: Option<String>,
}

/// What a second session finds after the answer to a rename was lost.
enum Found {
    /// The file has its name.
    Named,
    /// It has not, and whatever had the name has it still or again.
    Nothing,
    /// It has not, and what had the name before is still aside.
    OldAside,
}

impl From<Error> for Unpublished {
    fn from(error: Error) -> Self {
        Self::No(error)
    }
}

impl Upload<'_> {
    /// Gives the file its name. Between the last look at the stop signal and the rename nothing
    /// is waited for.
    pub(super) async fn publish(&self, session: &Session) -> Result<FilePath, Unpublished> {
        let tries = match self.if_exists {
            IfExists::Overwrite => {
                self.publish_over(session).await?;
                return Ok(self.path.clone());
            }
            IfExists::Fail => 1,
            IfExists::KeepBoth => IfExists::MOST_NUMBERED,
        };
        for n in 1..=tries {
            let path = self.path.numbered(n);
            let to = on_wire(&path);
            if self.stands(session, &to).await? {
                continue;
            }
            match self.committed(session.rename(&self.part, &to)).await {
                Ok(()) => return Ok(path),
                Err(Fault::Lost(_)) => {
                    return Err(Unpublished::Unknown(Renaming { path, aside: None }));
                }
                // Somebody else was quicker.
                Err(_) if self.stands(session, &to).await? => {}
                Err(fault) => return Err(self.explain(session, fault, "renaming it").into()),
            }
        }
        Err(Unpublished::No(match self.if_exists {
            IfExists::KeepBoth => IfExists::no_free_name(&self.path),
            _ => IfExists::refusal(&self.path),
        }))
    }

    async fn publish_over(&self, session: &Session) -> Result<(), Unpublished> {
        let to = on_wire(&self.path);
        let renaming = async {
            if session.can_replace {
                session.replace(&self.part, &to).await
            } else {
                session.rename(&self.part, &to).await
            }
        };
        let refused = match self.committed(renaming).await {
            Ok(()) => return Ok(()),
            Err(Fault::Lost(_)) => return Err(self.unknown(None)),
            Err(refused) => refused,
        };
        if session.can_replace || !self.stands(session, &to).await? {
            return Err(self.explain(session, refused, "renaming it").into());
        }
        self.swap(session, &to).await
    }

    /// Replaces a file where no rename does: the old one steps aside, and back if the new one
    /// cannot come.
    async fn swap(&self, session: &Session, to: &str) -> Result<(), Unpublished> {
        let aside = self.part.replace(".part", ".old");
        match self.committed(session.rename(to, &aside)).await {
            Ok(()) => {}
            Err(Fault::Lost(_)) => return Err(self.unknown(Some(aside))),
            Err(fault) => {
                return Err(self.explain(session, fault, "moving the old file away").into());
            }
        }
        let refused = match self.committed(session.rename(&self.part, to)).await {
            Ok(()) => {
                // The new file stands; an old one that stays is no failure.
                let _ = session.remove(&aside).await;
                return Ok(());
            }
            Err(Fault::Lost(_)) => return Err(self.unknown(Some(aside))),
            Err(fault) => self.explain(session, fault, "renaming it"),
        };
        Err(match session.rename(&aside, to).await {
            Ok(()) => refused.into(),
            Err(Fault::Lost(_)) => self.unknown(Some(aside)),
            Err(_) => stays_aside(refused, &aside).into(),
        })
    }

    fn unknown(&self, aside: Option<String>) -> Unpublished {
        Unpublished::Unknown(Renaming { path: self.path.clone(), aside })
    }

    /// Waits for the answer to a rename. A stop does not unsend it, so even then the answer gets
    /// a moment to come.
    async fn committed(
        &self,
        rename: impl Future<Output = Result<(), Fault>>,
    ) -> Result<(), Fault> {
        tokio::select! {
            biased;
            answer = rename => answer,
            () = async {
                self.stop.stopped().await;
                sleep(LAST_WORD / 2).await;
            } => Err(Fault::Lost("the delivery was stopped".to_owned())),
        }
    }

    async fn stands(&self, session: &Session, path: &str) -> Result<bool> {
        let found = self.stop.unless_stopped(session.stat(path)).await?;
        let found = found.map_err(|fault| self.explain(session, fault, "looking for it"))?;
        Ok(found.is_some())
    }
    /// A rename's answer is lost: a second session tells what came of it, and mends it.
    pub(super) async fn find_out(&self, renaming: Renaming, bytes: u64) -> Result<(FilePath, u64)> {
        let looked = async {
            let session = Session::open(&self.http.for_cleanup(), self.server).await.ok()?;
            let found = self.look(&session, &renaming, bytes).await;
            session.close().await;
            found
        };
        let found = timeout(self.grace(), looked).await.ok().flatten();
        let Renaming { path, aside } = renaming;
        let host = &self.server.host;
        let nothing = || {
            Error::vendor(format!(
                "The connection to {host} was lost before {path} got its name. Nothing was \
                 delivered. Try again later."
            ))
            .retry_later()
        };
        match (found, aside) {
            (Some(Found::Named), _) => Ok((path, bytes)),
            (Some(Found::OldAside), Some(aside)) => Err(stays_aside(nothing(), &aside)),
            (Some(_), _) => Err(nothing()),
            (None, aside) => {
                let error = Error::vendor(format!(
                    "The connection to {host} was lost while {path} got its name, and it could not \
                     be asked afterwards. The file may be there: look for {path} before you send \
                     it again."
                ))
                .may_have_arrived();
                Err(match aside {
                    None => error,
                    Some(aside) => error.remark(format!(
                        "If it is not, the file that was there before may stand as {aside}."
                    )),
                })
            }
        }
    }

    /// Removing the hidden name decides: who finds it still there has stopped the rename, who does
    /// not find it looks at what stands. `None` if the server does not tell.
    async fn look(&self, session: &Session, renaming: &Renaming, bytes: u64) -> Option<Found> {
        let to = on_wire(&renaming.path);
        let gone = match session.remove(&self.part).await {
            Ok(()) => false,
            Err(fault) if fault.code() == Some(StatusCode::NoSuchFile) => true,
            Err(_) => return None,
        };
        if !gone {
            return Some(match &renaming.aside {
                Some(aside) => put_back(session, aside, &to).await,
                None => Found::Nothing,
            });
        }
        let stands = session.stat(&to).await.ok()??;
        if stands.size.is_some_and(|size| size != bytes) {
            return None;
        }
        if let Some(aside) = &renaming.aside {
            // The new file stands; an old one that stays is no failure.
            let _ = session.remove(aside).await;
        }
        Some(Found::Named)
    }
}

/// Gives the file that stepped aside its name again, if it had done so at all.
async fn put_back(session: &Session, aside: &str, to: &str) -> Found {
    match session.rename(aside, to).await {
        Ok(()) => Found::Nothing,
        Err(_) if matches!(session.stat(aside).await, Ok(None)) => Found::Nothing,
        Err(_) => Found::OldAside,
    }
}

fn stays_aside(error: Error, aside: &str) -> Error {
    error.context(format!("The file that was there stands as {aside} now, rename it by hand"))
}
