//! The hub's own disk: the result becomes a file below a folder that the operator sets.

#[cfg(feature = "fakes")]
mod fake;
mod writer;

use std::path::PathBuf;

use bytes::Bytes;
use sendoff::prelude::*;
use sendoff::{Commit, Repeatable, Stop};
use tokio::sync::mpsc;

use crate::shared::file_options::FileOptions;
use writer::{Batch, Writer, Written};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Writes files below one folder.
pub(crate) struct LocalFile {
    root: PathBuf,
}

#[derive(Fields)]
pub(crate) struct Form {
    #[field(flatten)]
    file: FileOptions,
}

impl LocalFile {
    /// Writes below `root` and nowhere else.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }
}

impl Action for LocalFile {
    type Settings = ();
    type Form = Form;

    const SPEC: Spec = Spec::new("file", "File")
        .description("Write data files to a folder of the action hub's server.")
        .accepts(&[Dashboard, Query])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .delivery(Repeatable::Nothing, Commit::FinalStep, true)
        .not_http();

    async fn execute(&self, cx: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
        let target = form.file.target(cx, &data)?;
        let stream = data.open().await?;
        let (batches, received) = mpsc::channel(BATCHES);
        let writer = Writer::new(self.root.clone(), target, form.file.if_exists());
        let mut writing = tokio::task::spawn_blocking(move || writer.run(received));
        let fed = match feed(stream, &batches, cx.stop()).await {
            // The commit waits for this channel: as long as it is open, somebody wants the file.
            Ok(()) => match cx.stop().unless_stopped(&mut writing).await {
                Ok(written) => return receipt(written),
                Err(stopped) => Err(stopped),
            },
            Err(Fed::Refused) => Ok(()),
            Err(Fed::Broken(error)) => Err(error),
        };
        drop(batches);
        match (fed, writing.await) {
            // The stop came behind the commit: then the file is there.
            (_, written @ Ok(Ok(_))) | (Ok(()), written) => receipt(written),
            (Err(error), _) => Err(error),
        }
    }
}

/// Bytes that are handed to the writer at once: enough that waking it costs nothing beside the
/// write, and eight times that is all a delivery holds.
const BATCH: usize = 256 * 1024;
const BATCHES: usize = 4;

/// Why feeding the writer ended early.
enum Fed {
    /// The writer gave up; it says why.
    Refused,
    /// Looker's data broke off, or the delivery must stop.
    Broken(Error),
}

async fn feed(
    mut stream: ByteStream,
    batches: &mpsc::Sender<Batch>,
    stop: &Stop,
) -> Result<(), Fed> {
    let (mut batch, mut bytes) = (Vec::<Bytes>::new(), 0);
    let hand_over = async |batch| {
        let sent = stop.unless_stopped(batches.send(batch)).await.map_err(Fed::Broken)?;
        sent.map_err(|_| Fed::Refused)
    };
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(Fed::Broken)?;
        bytes += chunk.len();
        batch.push(chunk);
        if bytes >= BATCH {
            bytes = 0;
            hand_over(Batch::Data(std::mem::take(&mut batch))).await?;
        }
    }
    if !batch.is_empty() {
        hand_over(Batch::Data(batch)).await?;
    }
    hand_over(Batch::End).await
}

fn receipt(written: Result<Result<Written>, tokio::task::JoinError>) -> Result<Receipt> {
    let Written { path, bytes } = written.map_err(|fault| {
        Error::hub("The hub failed while it wrote the file. Nothing was delivered.").cause(fault)
    })??;
    Ok(Receipt::new(path.to_string()).bytes(bytes))
}
