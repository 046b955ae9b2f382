//! Whether a batch was refused for some of its rows or for all: three of them are asked.

use super::batch::Batch;
use crate::Error;

/// Rows of the first batch that was refused as a whole, each tried alone.
pub(super) enum Sample {
    /// No batch was.
    Due,
    Awaited(Box<Asked>),
    /// It was taken, or nobody needs it.
    Over,
}

pub(super) struct Asked {
    /// In what words all of them were refused.
    why: Error,
    /// The rows that have not landed.
    alone: Vec<u64>,
    /// The other rows of the batch.
    between: [Batch; 2],
}

/// What the sample tells.
pub(super) enum Verdict {
    /// It is some rows that are at fault: these are to be looked through.
    Rows([Batch; 2]),
    /// None of the rows is: all are refused, these too.
    All([Batch; 2], Error),
}

impl Sample {
    pub(super) fn awaited(why: Error, alone: &[Batch], between: [Batch; 2]) -> Self {
        let alone = alone.iter().map(Batch::first).collect();
        Self::Awaited(Box::new(Asked { why, alone, between }))
    }

    pub(super) fn is_due(&self) -> bool {
        matches!(self, Self::Due)
    }

    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited(_))
    }

    /// Whether this is one of its rows, still to be tried.
    pub(super) fn has(&self, batch: &Batch) -> bool {
        let Self::Awaited(asked) = self else { return false };
        batch.len() == 1 && asked.alone.contains(&batch.first())
    }

    /// A batch has landed: refused in these `words`, or otherwise. Gives what that tells, once.
    pub(super) fn landed(&mut self, batch: &Batch, words: Option<&str>) -> Option<Verdict> {
        if !self.has(batch) {
            return None;
        }
        let Self::Awaited(mut asked) = std::mem::replace(self, Self::Over) else { return None };
        if words != Some(asked.why.message()) {
            return Some(Verdict::Rows(asked.between));
        }
        asked.alone.retain(|row| *row != batch.first());
        if asked.alone.is_empty() {
            return Some(Verdict::All(asked.between, asked.why));
        }
        *self = Self::Awaited(asked);
        None
    }
}
