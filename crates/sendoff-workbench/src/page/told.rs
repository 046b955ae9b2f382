//! What a POST has to say on the page that is drawn after it. The address is then the page's own, so
//! that it can be drawn again and gone back to; and what was told is told once.

use super::{Page, locked};

/// What is told.
#[derive(Default)]
pub(super) struct Told {
    /// What came of the test that enabling an action runs.
    pub(super) test: Option<TestResult>,
    /// Why nothing was sent.
    pub(super) not_sent: String,
    /// Why a file was not taken in.
    pub(super) not_taken: String,
}

/// What came of Looker's test.
pub(super) struct TestResult {
    pub(super) message: String,
    pub(super) failed: bool,
}

impl Page {
    /// Leaves it to the next page.
    pub(super) fn tell(&self, told: Told) {
        *locked(&self.0.told) = told;
    }

    /// What was left to this page.
    pub(super) fn told(&self) -> Told {
        std::mem::take(&mut *locked(&self.0.told))
    }
}
