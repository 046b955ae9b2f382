//! The points of a delivery, and what can go wrong at them.

/// A point in one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Before Looker's headers end.
    P0,
    /// Authenticated, no body yet; or the request for the download.
    P1,
    /// In the middle of Looker's data.
    P2,
    /// Resolving, connecting to or shaking hands with the vendor.
    P3,
    /// The vendor's connection is open, no byte was sent.
    P4,
    /// In the middle of the upload.
    P5,
    /// The data's last byte was sent, no answer came yet.
    P6,
    /// In the middle of the vendor's answer to the data's last byte.
    P7,
    /// The step that makes the data visible.
    P8,
    /// While Looker is answered.
    P9,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Looker closes the connection (F1).
    LookerGone,
    /// Looker's data stops or trickles while its connection lives (F2, F3, F4).
    LookerStalls,
    /// The download is refused, redirected or served a second time (F5).
    DownloadRefused,
    /// The data ends early (F6).
    DataCut,
    /// The data is larger than the hub takes (F7).
    TooLarge,
    /// The vendor's name is unknown, it is not reached, or its certificate is wrong (F8-F10).
    Unreachable,
    /// The vendor refuses for good: 400, 401, 403, 404, 409 (F11, F19).
    Refused,
    /// The vendor asks to come again later, or fails for a moment: 429, 500, 503 (F12, F13).
    Passing,
    /// The vendor's connection breaks (F14, F17, F20).
    VendorGone,
    /// The vendor falls silent or stops reading (F14, F16, F17).
    VendorStalls,
    /// The vendor refuses while the data still flows to it (F15).
    EarlyAnswer,
    /// The vendor answers 200 with an error inside (F18, F19).
    FalseSuccess,
    /// The vendor's answer never ends (F32).
    EndlessAnswer,
    /// The hub has no room or no file handle left (F23, F24).
    NoRoom,
    /// The hub is told to end and its grace is over (F26).
    Terminated,
    /// The hub's process is killed (F27).
    Killed,
    /// The action panics (F28).
    Panic,
    /// Looker does not read its answer (F30).
    LookerDeaf,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 18] = [
        Self::LookerGone,
        Self::LookerStalls,
        Self::DownloadRefused,
        Self::DataCut,
        Self::TooLarge,
        Self::Unreachable,
        Self::Refused,
        Self::Passing,
        Self::VendorGone,
        Self::VendorStalls,
        Self::EarlyAnswer,
        Self::FalseSuccess,
        Self::EndlessAnswer,
        Self::NoRoom,
        Self::Terminated,
        Self::Killed,
        Self::Panic,
        Self::LookerDeaf,
    ];
}
