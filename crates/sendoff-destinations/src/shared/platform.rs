//! Credentials that a cloud gives to the programs that run on it: asked for nearby, and kept until
//! they end.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use sendoff::{Error, Result, Secret};
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

/// Who is asked answers from the same machine, or does not answer at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// They are asked for anew so long before they end; a delivery may take 25 minutes, and metadata
/// services have new ones only some minutes before.
const BEFORE_THE_END: Duration = Duration::from_secs(5 * 60);
/// Longer than any token that a file holds.
const LONGEST_FILE: u64 = 64 * 1024;

/// What was given last, and when it ends.
pub(crate) struct Kept<T> {
    /// Held while somebody asks: the others then find the answer here.
    last: Mutex<Option<(T, Timestamp)>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl<T: Clone> Kept<T> {
    /// What is good for some minutes, asked for if need be.
    ///
    /// # Errors
    /// That of `ask`.
    pub(crate) async fn or_ask(
        &self,
        ask: impl Future<Output = Result<(T, Timestamp)>>,
    ) -> Result<T> {
        let mut last = self.last.lock().await;
        if let Some((given, end)) = &*last
            && Timestamp::now() + BEFORE_THE_END < *end
        {
            return Ok(given.clone());
        }
        let (given, end) = ask.await?;
        *last = Some((given.clone(), end));
        Ok(given)
    }
}

/// A token that a file holds; it changes now and then. `cloud` is whose it is.
///
/// # Errors
/// The hub's.
pub(crate) async fn token_file(file: &Path, cloud: &str) -> Result<Secret> {
    let fault =
        |fault| Error::hub(format!("A file with a token for {cloud} cannot be read.")).cause(fault);
    let mut text = String::new();
    let opened = tokio::fs::File::open(file).await.map_err(fault)?;
    opened.take(LONGEST_FILE).read_to_string(&mut text).await.map_err(fault)?;
    Ok(text.trim().into())
}
