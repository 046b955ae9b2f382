//! What a fault must lead to, as a function of three facts that a spec states.
//!
//! No cell of the fault matrix has a hand-written verdict: this function is what is reviewed.

use std::fmt;

use super::{Fault, Point};
use crate::{Commit, Repeatable, Spec};

/// Who is to blame for a failure, as far as an answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Looker's data.
    Looker,
    /// The destination, or what it was told by settings and form.
    Vendor,
    /// This hub.
    Hub,
}

/// What Looker must hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Success, and the data stands there whole.
    Delivered,
    /// Failure, and nothing stands there that looks finished.
    NotDelivered(Blame),
    /// Either of these two: repeating is allowed, and needs what the destination may no longer
    /// hold.
    DeliveredOrNot(Blame),
    /// Failure that says the data may have arrived.
    MayHaveArrived,
    /// Either kind of failure: the vendor's answer is no success, but may be no refusal either.
    NotDeliveredOrMaybe(Blame),
    /// Success where repeating or looking told so, else "may have arrived".
    DeliveredOrMaybe,
    /// Any outcome that the vendor's book of rows bears out: what was accepted before stays.
    Accounted(Blame),
    /// Nobody is left to hear it.
    NoAnswer,
}

/// What came of a delivery, as its answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// `success: true`.
    Delivered,
    /// A failure.
    NotDelivered(Blame),
    /// A failure that leaves open whether the data arrived, or counts rows that did.
    MayHaveArrived,
    /// The connection ended without an envelope.
    NoAnswer,
}

impl Expected {
    /// Whether the answer is one that was expected.
    pub fn allows(self, observed: Observed) -> bool {
        match self {
            Self::Delivered => observed == Observed::Delivered,
            Self::NotDelivered(blame) => observed == Observed::NotDelivered(blame),
            Self::DeliveredOrNot(blame) => {
                matches!(observed, Observed::Delivered) || observed == Observed::NotDelivered(blame)
            }
            Self::MayHaveArrived => observed == Observed::MayHaveArrived,
            Self::NotDeliveredOrMaybe(blame) => {
                matches!(observed, Observed::MayHaveArrived)
                    || observed == Observed::NotDelivered(blame)
            }
            Self::DeliveredOrMaybe => {
                matches!(observed, Observed::Delivered | Observed::MayHaveArrived)
            }
            Self::Accounted(blame) => {
                matches!(observed, Observed::Delivered | Observed::MayHaveArrived)
                    || observed == Observed::NotDelivered(blame)
            }
            Self::NoAnswer => observed == Observed::NoAnswer,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What `fault`, once, at `point` must lead to.
pub fn expected(fault: Fault, point: Point, spec: &Spec) -> Expected {
    use Blame::{Hub, Looker, Vendor};
    use Expected::{Accounted, NotDeliveredOrMaybe};
    use Expected::{Delivered, DeliveredOrNot, MayHaveArrived, NoAnswer, NotDelivered};
    match fault {
        Fault::LookerGone | Fault::Killed => NoAnswer,
        // The delivery had ended when the answer was not read.
        Fault::LookerDeaf => Delivered,
        Fault::DownloadRefused => NotDelivered(Looker),
        // Rows that were accepted before cannot be taken back, and are counted.
        Fault::LookerStalls | Fault::DataCut if spec.commit == Commit::Streaming => {
            Accounted(Looker)
        }
        Fault::LookerStalls | Fault::DataCut => NotDelivered(Looker),
        Fault::TooLarge | Fault::NoRoom => NotDelivered(Hub),
        Fault::Refused | Fault::EarlyAnswer if spec.commit == Commit::Streaming => {
            Accounted(Vendor)
        }
        Fault::Refused | Fault::EarlyAnswer | Fault::Unreachable => NotDelivered(Vendor),
        // What was sent may have been taken by whoever answers a login page to it.
        Fault::FalseSuccess if !spec.checkable && spec.commit != Commit::FinalStep => {
            NotDeliveredOrMaybe(Vendor)
        }
        Fault::FalseSuccess => NotDelivered(Vendor),
        // The vendor's own word is that it did not take it.
        Fault::Passing => match spec.repeatable {
            Repeatable::Parts if point < Point::P8 => Delivered,
            _ => DeliveredOrNot(Vendor),
        },
        // Nobody is left who knows how far it came.
        Fault::Panic => MayHaveArrived,
        Fault::VendorGone | Fault::VendorStalls | Fault::EndlessAnswer => lost(point, spec),
        Fault::Terminated if lost(point, spec) == NotDelivered(Vendor) => NotDelivered(Hub),
        Fault::Terminated => MayHaveArrived,
    }
}

/// The vendor's side breaks off.
fn lost(point: Point, spec: &Spec) -> Expected {
    use Blame::Vendor;
    use Expected::{Delivered, DeliveredOrMaybe, DeliveredOrNot, MayHaveArrived, NotDelivered};
    let all_sent = point >= Point::P6;
    // Until the last step nothing is there, however much was sent.
    let committing = all_sent && (spec.commit != Commit::FinalStep || point == Point::P8);
    match (committing, spec.repeatable) {
        (_, _) if point <= Point::P3 => DeliveredOrNot(Vendor),
        (false, Repeatable::Parts) => Delivered,
        (false, Repeatable::Whole) => DeliveredOrNot(Vendor),
        // Each row can be looked for where its answer was lost.
        (_, Repeatable::Nothing) if spec.commit == Commit::Streaming && spec.checkable => {
            DeliveredOrMaybe
        }
        (false, Repeatable::Nothing) if spec.commit == Commit::Streaming => MayHaveArrived,
        (false, Repeatable::Nothing) => NotDelivered(Vendor),
        (true, _) if spec.commit == Commit::Never => DeliveredOrNot(Vendor),
        (true, _) if spec.checkable => Delivered,
        (true, Repeatable::Parts | Repeatable::Whole) => DeliveredOrMaybe,
        (true, Repeatable::Nothing) => MayHaveArrived,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Blame::{Hub, Looker, Vendor};
    use Expected as E;

    const OBJECT_STORE: Spec =
        Spec::new("s", "S").delivery(Repeatable::Parts, Commit::FinalStep, true);
    const WEBHOOK: Spec =
        Spec::new("w", "W").delivery(Repeatable::Nothing, Commit::LastByte, false);
    const SFTP: Spec = Spec::new("f", "F").delivery(Repeatable::Whole, Commit::FinalStep, true);
    const ROWS: Spec = Spec::new("r", "R").delivery(Repeatable::Nothing, Commit::Streaming, false);

    #[test]
    fn a_lost_answer_is_judged_by_what_can_be_known() {
        let table = [
            (OBJECT_STORE, Point::P5, E::Delivered),
            (OBJECT_STORE, Point::P6, E::Delivered),
            (OBJECT_STORE, Point::P8, E::Delivered),
            (WEBHOOK, Point::P5, E::NotDelivered(Vendor)),
            (WEBHOOK, Point::P6, E::MayHaveArrived),
            (WEBHOOK, Point::P8, E::MayHaveArrived),
            (SFTP, Point::P5, E::DeliveredOrNot(Vendor)),
            (SFTP, Point::P6, E::DeliveredOrNot(Vendor)),
            (SFTP, Point::P8, E::Delivered),
            (ROWS, Point::P5, E::MayHaveArrived),
            (ROWS, Point::P8, E::MayHaveArrived),
        ];
        for (spec, point, want) in table {
            for fault in [Fault::VendorGone, Fault::VendorStalls] {
                assert_eq!(
                    expected(fault, point, &spec),
                    want,
                    "{} {fault:?} {point:?}",
                    spec.name
                );
            }
        }
    }

    #[test]
    fn a_fault_of_looker_or_a_refusal_never_leads_to_success() {
        for spec in [OBJECT_STORE, WEBHOOK, SFTP] {
            for fault in [Fault::LookerStalls, Fault::DownloadRefused, Fault::DataCut] {
                assert_eq!(expected(fault, Point::P2, &spec), E::NotDelivered(Looker));
            }
            for point in [Point::P4, Point::P5, Point::P6, Point::P8] {
                for fault in [Fault::Refused, Fault::EarlyAnswer] {
                    assert_eq!(expected(fault, point, &spec), E::NotDelivered(Vendor));
                }
                let lied = expected(Fault::FalseSuccess, point, &spec);
                assert!(lied.allows(Observed::NotDelivered(Vendor)));
                assert!(!lied.allows(Observed::Delivered));
                assert!(!expected(Fault::Terminated, point, &spec).allows(Observed::Delivered));
            }
            assert_eq!(expected(Fault::NoRoom, Point::P2, &spec), E::NotDelivered(Hub));
        }
    }

    /// Of rows some may be there: the answer counts them, and the vendor's book is compared.
    #[test]
    fn rows_that_were_accepted_are_counted_whatever_ends_the_delivery() {
        for fault in [Fault::LookerStalls, Fault::DataCut] {
            assert_eq!(expected(fault, Point::P2, &ROWS), E::Accounted(Looker));
        }
        for fault in [Fault::Refused, Fault::EarlyAnswer] {
            let wanted = expected(fault, Point::P5, &ROWS);
            assert!(wanted.allows(Observed::MayHaveArrived));
            assert!(!wanted.allows(Observed::NotDelivered(Looker)));
        }
        assert_eq!(expected(Fault::DownloadRefused, Point::P1, &ROWS), E::NotDelivered(Looker));
        assert_eq!(expected(Fault::NoRoom, Point::P2, &ROWS), E::NotDelivered(Hub));
    }

    /// Whatever the spec: once a commit may be through and nobody can look, failure alone is no
    /// allowed answer, and nothing that cannot be repeated is claimed after a break in the middle.
    #[test]
    fn truth_holds_for_every_spec_that_can_be_written() {
        let commits = [Commit::FinalStep, Commit::LastByte, Commit::Streaming];
        for repeatable in [Repeatable::Nothing, Repeatable::Parts, Repeatable::Whole] {
            for (commit, checkable) in commits.iter().flat_map(|c| [(*c, false), (*c, true)]) {
                let spec = Spec::new("x", "X").delivery(repeatable, commit, checkable);
                let at_commit = expected(Fault::VendorGone, Point::P8, &spec);
                assert!(!at_commit.allows(Observed::NotDelivered(Vendor)), "{spec:?}");
                // Rows that can be looked for are, one by one.
                let looks = commit == Commit::Streaming && checkable;
                if repeatable == Repeatable::Nothing && !looks {
                    let midway = expected(Fault::VendorGone, Point::P5, &spec);
                    assert!(!midway.allows(Observed::Delivered), "{spec:?}");
                }
            }
        }
    }
}
