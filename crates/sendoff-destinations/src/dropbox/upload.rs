//! One file up to Dropbox: at once if it is small, else in a session whose last step shows it.
//!
//! A session that is never finished is seen by nobody and ends after seven days; there is no
//! request that would take it back
//! (<https://www.dropbox.com/developers/documentation/http/documentation#files-upload_session-start>).

use bytes::Bytes;
use sendoff::{Arrival, ByteStream, Error, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::api::{Dropbox, Fault, NAME, Way, misread};
use crate::shared::aws::hex;
use crate::shared::file_path::FilePath;
use crate::shared::object_store::certain;
use crate::shared::parts::{Hashing, Part, Parts};

/// A multiple of 4 MiB. One is on its way while the next one fills.
const CHUNK: usize = 8 * 1024 * 1024;

/// What Dropbox hashes on its own
/// (<https://www.dropbox.com/developers/reference/content-hash>).
const BLOCK: usize = 4 * 1024 * 1024;

/// One file that is to be written.
pub(super) struct Target<'a> {
    pub(super) client: &'a Dropbox,
    pub(super) path: &'a FilePath,
    /// Replaces what is there.
    pub(super) replace: bool,
    /// Tells this delivery's file from another one of the same content.
    pub(super) modified: String,
}

/// What the file must be.
struct Sent {
    bytes: u64,
    hash: String,
}

/// Dropbox's hash of everything so far: of the hashes of its blocks.
#[derive(Clone)]
pub(super) struct ContentHash {
    blocks: Sha256,
    block: Sha256,
    filled: usize,
}

impl Hashing for ContentHash {
    fn new() -> Self {
        Self { blocks: Sha256::new(), block: Sha256::new(), filled: 0 }
    }

    fn update(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(piece.len().min(BLOCK - self.filled));
            self.block.update(now);
            self.filled += now.len();
            if self.filled == BLOCK {
                let block = std::mem::replace(&mut self.block, Sha256::new());
                self.blocks.update(block.finalize());
                self.filled = 0;
            }
            piece = rest;
        }
    }

    fn end_of_part(&mut self) -> Vec<u8> {
        let mut blocks = self.blocks.clone();
        if self.filled > 0 {
            blocks.update(self.block.clone().finalize());
        }
        blocks.finalize().to_vec()
    }
}

/// Writes all of `data`: the path as Dropbox shows it, and how many bytes that were. On any failure
/// nothing is left.
///
/// # Errors
/// The data's own fault, Dropbox's refusal or the stop's sentence. An error that
/// [may have arrived](Error::may_have_arrived) only if Dropbox could not be asked.
pub(super) async fn write(target: &Target<'_>, data: ByteStream) -> Result<(String, u64)> {
    let mut parts = Parts::<ContentHash>::new(data);
    let first = parts.next(CHUNK).await?.unwrap_or_else(Part::empty::<ContentHash>);
    if parts.at_end().await? {
        let argument = target.commit();
        return target.show("files/upload", argument, first, parts.total()).await;
    }
    let sent = target.send_all(first, &mut parts).await;
    let (cursor, last) = match sent {
        Ok(sent) => sent,
        Err(error) => {
            let what = "a part of the file";
            return Err(certain(NAME, error, what, &target.client.stop).await);
        }
    };
    let argument = json!({"cursor": cursor, "commit": target.commit()});
    target.show("files/upload_session/finish", argument, last, parts.total()).await
}

impl Target<'_> {
    fn commit(&self) -> Value {
        json!({
            "path": format!("/{}", self.path),
            "mode": if self.replace { "overwrite" } else { "add" },
            "autorename": false,
            "strict_conflict": !self.replace,
            "client_modified": self.modified,
        })
    }

    /// All but the last chunk; the cursor behind them, and that one.
    async fn send_all(&self, first: Part, parts: &mut Parts<ContentHash>) -> Result<(Value, Part)> {
        let mut offset = first.bytes.len() as u64;
        let begin = async {
            let argument = json!({"close": false});
            let method = "files/upload_session/start";
            let answer = self.client.send(method, &argument, first.bytes.clone()).await?;
            answer["session_id"].as_str().map(str::to_owned).ok_or_else(misread)
        };
        let (session, next) = tokio::try_join!(begin, parts.next(CHUNK))?;
        parts.recycle(first.bytes);
        let mut next = next;
        while let Some(part) = next {
            if parts.at_end().await? {
                return Ok((json!({"session_id": session, "offset": offset}), part));
            }
            let append = self.append(&session, offset, &part.bytes);
            let ((), following) = tokio::try_join!(append, parts.next(CHUNK))?;
            offset += part.bytes.len() as u64;
            parts.recycle(part.bytes);
            next = following;
        }
        Err(Error::hub("The data ended where more was due."))
    }

    /// Appends a chunk. One that had arrived although its answer was lost is not sent twice.
    async fn append(&self, session: &str, offset: u64, bytes: &Bytes) -> Result<()> {
        let end = offset + bytes.len() as u64;
        let mut at = offset;
        // Each turn but the last one finds that more has arrived.
        loop {
            let cursor = json!({"session_id": session, "offset": at});
            let argument = json!({"cursor": cursor, "close": false});
            // Within the chunk, which fits into memory.
            let rest = bytes.slice((at - offset) as usize..);
            let method = "files/upload_session/append_v2";
            let fault = match self.client.send(method, &argument, rest).await {
                Ok(_) => return Ok(()),
                Err(fault) => fault,
            };
            match correct_offset(&fault) {
                Some(has) if has == end => return Ok(()),
                Some(has) if at < has && has < end => at = has,
                _ => return Err(fault.into()),
            }
        }
    }

    /// The request that makes the file visible.
    async fn show(
        &self,
        method: &str,
        argument: Value,
        last: Part,
        bytes: u64,
    ) -> Result<(String, u64)> {
        let sent = Sent { bytes, hash: hex(&last.hash) };
        // Sent again it replaces itself, or is refused for what stands there by then.
        let fault = match self.client.send(method, &argument, last.bytes).await {
            Ok(file) if same(&file, &sent) => return Ok((self.shown(&file), bytes)),
            Ok(_) => Fault::from(another().may_have_arrived()),
            Err(fault) => fault,
        };
        if !in_doubt(&fault) {
            return Err(fault.into());
        }
        match self.client.metadata(self.path, Way::LastWords).await {
            Ok(Some(file)) if file["client_modified"] == self.modified => {
                if same(&file, &sent) {
                    Ok((self.shown(&file), bytes))
                } else {
                    Err(fault.error)
                }
            }
            Ok(_) => {
                let what = "the upload, and the file does not stand there";
                Err(certain(NAME, fault.error, what, &self.client.stop).await)
            }
            Err(why) => {
                tracing::info!(reason = %why.log_line(), "Dropbox did not say what it holds");
                Err(fault.error)
            }
        }
    }

    /// The path as Dropbox shows it.
    fn shown(&self, file: &Value) -> String {
        let shown = file["path_display"].as_str();
        shown.map_or_else(|| format!("/{}", self.path), str::to_owned)
    }
}

fn another() -> Error {
    Error::vendor(format!(
        "{NAME} did not confirm the file that was sent: its length or its hash differ. Look there \
         before you send it again."
    ))
}

fn same(file: &Value, sent: &Sent) -> bool {
    file["size"] == sent.bytes && file["content_hash"] == sent.hash.as_str()
}

/// What Dropbox has, where that is not what the cursor said.
fn correct_offset(fault: &Fault) -> Option<u64> {
    fault
        .said
        .starts_with("incorrect_offset")
        .then(|| fault.answer["error"]["correct_offset"].as_u64())?
}

/// Whether the file may stand there all the same. When the first answer was lost, the second one
/// says that the session is closed or gone, or that the name is taken.
fn in_doubt(fault: &Fault) -> bool {
    fault.error.arrival() == Arrival::Maybe
        || fault.error.http_status().is_some_and(|status| status >= 500)
        || fault.said.starts_with("lookup_failed")
        || fault.said.starts_with("path/conflict")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(pieces: &[&[u8]]) -> String {
        let mut hash = ContentHash::new();
        pieces.iter().for_each(|piece| hash.update(piece));
        hex(&hash.end_of_part())
    }

    #[test]
    fn the_content_hash_is_dropboxs() {
        // Computed with Python's hashlib by the steps of the vendor's page.
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash(&[]), nothing);
        assert_eq!(
            hash(&[b"hello"]),
            "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"
        );
        let long = vec![b'a'; 2 * BLOCK + 5];
        assert_eq!(
            hash(&[&long]),
            "71de3e55c54361d9bd11806037eab0a15b4a1876ccb9f52bd6a87e4a4badbf0d"
        );
        assert_eq!(
            hash(&[&long[..7], &long[7..BLOCK], &long[BLOCK..]]),
            "71de3e55c54361d9bd11806037eab0a15b4a1876ccb9f52bd6a87e4a4badbf0d"
        );
        assert_eq!(
            hash(&[&long[..BLOCK]]),
            "907a506cf5e706bda5c7a29b43c9c65d8344bd2fa2f22339b359c214812af5a1"
        );
    }
}
