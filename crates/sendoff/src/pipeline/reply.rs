//! What a vendor said to a batch.

use std::borrow::Cow;

use crate::{Arrival, Error, Result};

/// What a vendor said to a batch: it has the rows, but for those that it refused.
#[derive(Debug, Default)]
pub struct Reply {
    pub(super) refused: Vec<(usize, Cow<'static, str>)>,
    pub(super) whole: Option<Error>,
    pub(super) skipped: Vec<(usize, Cow<'static, str>)>,
    pub(super) words: Option<String>,
}

impl Reply {
    /// The vendor confirmed that it has every row.
    pub fn accepted() -> Self {
        Self::default()
    }

    /// The vendor took nothing of the batch, because of what is in it. The delivery goes on as the
    /// [policy](super::Policy) says.
    pub fn refused(why: Error) -> Self {
        Self { whole: Some(why), ..Self::default() }
    }

    /// Sorts a refusal by its status: 400, 409, 413 and 422 concern the rows, and the batch was
    /// [refused](Self::refused). Any other ends the delivery.
    ///
    /// # Errors
    /// The refusal, if it ends the delivery.
    pub fn refusal(why: Error) -> Result<Self> {
        let rows = matches!(why.http_status(), Some(400 | 409 | 413 | 422));
        if rows && why.arrival() == Arrival::Nothing { Ok(Self::refused(why)) } else { Err(why) }
    }

    /// The vendor refused the row at this place in the batch, from 0, and has the others. The
    /// reason, in the vendor's own words, reads behind `row 17: `.
    #[must_use]
    pub fn refuse(mut self, index: usize, reason: impl Into<Cow<'static, str>>) -> Self {
        self.refused.push((index, reason.into()));
        self
    }

    /// The row at this place needed nothing, which is no fault: it was there already.
    #[must_use]
    pub fn skip(mut self, index: usize, reason: impl Into<Cow<'static, str>>) -> Self {
        self.skipped.push((index, reason.into()));
        self
    }

    /// A sentence for the user; the receipt has the last one of the delivery.
    #[must_use]
    pub fn says(mut self, sentence: impl Into<String>) -> Self {
        self.words = Some(sentence.into());
        self
    }
}
