//! What becomes of a delivery when rows are refused.

use crate::{Choice, Fields};

/// What becomes of a delivery when rows are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Nothing more is sent once more rows than this were refused.
    pub(super) at_most: u64,
    /// Whether a delivery that came to its end succeeds all the same.
    pub(super) succeeds: bool,
}

impl Policy {
    /// Stops at the first refused row.
    pub const fn stop() -> Self {
        Self { at_most: 0, succeeds: false }
    }

    /// Sends the other rows until more than `refused` were refused, and then reports a failure
    /// that counts them.
    pub const fn go_on(refused: u64) -> Self {
        Self { at_most: refused, succeeds: false }
    }

    /// Reports a success that counts the refused rows, if there were not too many.
    #[must_use]
    pub const fn succeed(mut self) -> Self {
        self.succeeds = true;
        self
    }
}

/// The policy as two optional fields: flatten them into a form.
#[derive(Clone, Debug, Fields)]
pub struct OnRefusal {
    /// Rows that were accepted stay, whatever is chosen. The message counts what was refused and
    /// says why.
    #[field(label = "If Rows Are Refused", default = "fail")]
    if_refused: IfRefused,
    /// Nothing more is sent once more rows than this were refused.
    #[field(label = "Refused Rows at Most", default = "1000")]
    refused_at_most: u32,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
enum IfRefused {
    #[choice(label = "Send the others, then report a failure")]
    Fail,
    #[choice(label = "Send the others, then report a success")]
    Succeed,
    #[choice(label = "Stop at the first")]
    Stop,
}

impl OnRefusal {
    /// What was chosen.
    pub fn policy(&self) -> Policy {
        let go_on = Policy::go_on(self.refused_at_most.into());
        match self.if_refused {
            IfRefused::Fail => go_on,
            IfRefused::Succeed => go_on.succeed(),
            IfRefused::Stop => Policy::stop(),
        }
    }
}

impl Default for OnRefusal {
    /// What a form without answers chooses.
    fn default() -> Self {
        Self { if_refused: IfRefused::Fail, refused_at_most: 1_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Problems, Values};

    #[test]
    fn no_answer_is_the_default() {
        let read = |values: &Values| {
            OnRefusal::read(values, &mut Problems::default()).map(|chosen| chosen.policy())
        };
        let default = OnRefusal::default().policy();
        assert_eq!(read(&Values::default()), Some(default));
        assert_eq!(default, Policy::go_on(1_000));
        let chosen = [("if_refused", "succeed"), ("refused_at_most", "3")];
        assert_eq!(read(&chosen.into_iter().collect()), Some(Policy::go_on(3).succeed()));
        let chosen = [("if_refused", "stop")];
        assert_eq!(read(&chosen.into_iter().collect()), Some(Policy::stop()));
    }
}
