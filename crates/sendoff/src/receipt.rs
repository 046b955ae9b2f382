//! What a delivery did, from which the sentence for the user is made.

use crate::text::{byte_count, count};

/// What was written where.
///
/// ```
/// use sendoff::Receipt;
///
/// let receipt = Receipt::new("s3://reports/orders.csv").bytes(1_536);
/// assert_eq!(receipt.sentence(), "Delivered 1.5 KiB to s3://reports/orders.csv.");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    target: String,
    bytes: Option<u64>,
    rows: Option<(u64, u64)>,
    link: Option<String>,
    remarks: Vec<String>,
    sentence: Option<String>,
    refresh_query: bool,
}

impl Receipt {
    /// A delivery to `target`, in words that the user understands.
    pub fn new(target: impl Into<String>) -> Self {
        Self { target: target.into(), ..Self::default() }
    }

    /// Bytes written.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Rows accepted and refused by the destination.
    #[must_use]
    pub fn rows(mut self, accepted: u64, refused: u64) -> Self {
        self.rows = Some((accepted, refused));
        self
    }

    /// Where to look at it.
    #[must_use]
    pub fn link(mut self, url: impl Into<String>) -> Self {
        self.link = Some(url.into());
        self
    }

    /// A further sentence.
    #[must_use]
    pub fn remark(mut self, sentence: impl Into<String>) -> Self {
        self.remarks.push(sentence.into());
        self
    }

    /// Replaces the first sentence.
    #[must_use]
    pub fn says(mut self, sentence: impl Into<String>) -> Self {
        self.sentence = Some(sentence.into());
        self
    }

    /// Looker runs the source query again, so that the user sees what was changed.
    #[must_use]
    pub fn refresh_query(mut self) -> Self {
        self.refresh_query = true;
        self
    }

    pub(crate) fn wants_refresh(&self) -> bool {
        self.refresh_query
    }

    /// Bytes written, where the destination stores bytes.
    pub fn byte_count(&self) -> Option<u64> {
        self.bytes
    }

    /// What was written where, for the user.
    pub fn sentence(&self) -> String {
        let mut text = match (&self.sentence, self.rows, self.bytes) {
            (Some(sentence), _, _) => sentence.clone(),
            (None, Some((accepted, 0)), _) => {
                format!("Delivered {} {} to {}.", count(accepted), rows(accepted), self.target)
            }
            (None, Some((accepted, refused)), _) => format!(
                "{} accepted {} of {} rows and refused {}.",
                self.target,
                count(accepted),
                count(accepted + refused),
                count(refused)
            ),
            (None, None, Some(bytes)) => {
                format!("Delivered {} to {}.", byte_count(bytes), self.target)
            }
            (None, None, None) => format!("Delivered to {}.", self.target),
        };
        for remark in &self.remarks {
            text.push(' ');
            text.push_str(remark);
        }
        if let Some(link) = &self.link {
            text.push(' ');
            text.push_str(link);
        }
        text
    }
}

fn rows(count: u64) -> &'static str {
    if count == 1 { "row" } else { "rows" }
}
