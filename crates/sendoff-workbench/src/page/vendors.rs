//! What is known of the vendors behind the hub. The page knows no destination: whoever starts it
//! with stand-ins hands this over, and the page shows what they hold and makes them fail.

use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::instance::Workspace;

/// The stand-ins behind a hub.
pub trait Vendors: Send + Sync + 'static {
    /// Settings and answers with which a delivery succeeds; none if nothing stands in for the
    /// action's vendor.
    fn known(&self, action: &str) -> Option<Known>;

    /// What stands at the action's vendor, the latest last.
    fn objects<'a>(&'a self, action: &'a str) -> BoxFuture<'a, Vec<Delivered>>;

    /// The requests that came to the action's vendor, the latest last.
    fn visits(&self, action: &str) -> Vec<Visit>;

    /// Ways in which the vendor of the action can fail.
    fn mischiefs(&self, action: &str) -> Vec<Mischief>;

    /// Forgets the requests so far, and lets the vendor fail in this way at its next chance; with
    /// an empty id it fails in none.
    fn prepare(&self, action: &str, mischief: &str);

    /// Takes the vendor's fault back.
    fn heal(&self, action: &str);
}

/// With what a delivery succeeds at a stand-in.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The action's params.
    pub params: Vec<(String, String)>,
    /// Answers to its form.
    pub answers: Vec<(String, String)>,
    /// What Looker keeps for a user, where there is no login that gives it.
    pub state: Option<String>,
    /// Workspaces that a user may connect, where Looker itself does the login.
    pub workspaces: Vec<Workspace>,
}

/// A finished object at a vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// Where it stands.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// How it begins, where that is known and is text.
    pub start: Option<String>,
    /// What a person reads beside it, such as the message that brought a file.
    pub message: Option<String>,
    /// How many rows came, where it is rows and no object.
    pub rows: Option<u64>,
}

/// A request that came to a vendor.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Visit {
    /// Method and path.
    pub line: String,
    /// Whether it makes the data visible.
    pub commits: bool,
    /// Whether a fault hit it.
    pub hit: bool,
    /// How many bytes of its body came.
    pub bytes: u64,
    /// How its body begins, where that is text.
    pub start: Option<String>,
    /// The answer's status, if one was given.
    pub status: Option<u16>,
    /// How the answer begins, where that is text.
    pub answer: Option<String>,
}

/// A way in which a vendor can fail.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Mischief {
    /// In forms and links.
    pub id: &'static str,
    /// What happens, in a few words.
    pub label: &'static str,
}
