//! Hubs that are wrong on purpose: a small right hub, and one fault for each check, by its id.
//!
//! They show what a check is about, and prove that it finds it and nothing else.

mod answers;
mod execute;
mod faults;
mod serve;

use std::fmt;

use tokio::net::TcpListener;

use crate::check::Execute;

/// The token that every bad hub wants.
pub const TOKEN: &str = "9d8ebac9c87e06fc19ba4b94cc8c2abe9c518e94dcd93621e637d8947368ae53/\
                         df9c2f237a9fa1c79808ca8718685e29885516637a2328ff849d526b4748d0f4";

/// The faults that the reference hub is known for, as far as they can be seen from outside: those
/// of any action, and those of an action that runs in a process of its own. Some hide others, so
/// that it takes two replicas to show them all.
pub const REFERENCE: [&[&str]; 2] = [
    &[
        "auth/malformed/survived",
        "auth/refusal/before-the-body",
        "execute/delivery/state-refresh-name",
        "execute/error/in-envelope",
        "form/state/refresh-name",
        "oauth/pages/end",
        "oauth/start/bound-to-browser",
    ],
    &["execute/delivery/answer-follows", "execute/error/own-words"],
];

/// No hub has a fault of this id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchFault(String);

impl fmt::Display for NoSuchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "No bad hub has the fault `{}`.", self.0)
    }
}

impl std::error::Error for NoSuchFault {}

/// The deliveries by which a bad hub shows its fault.
pub fn execute(id: &str) -> Execute {
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    match id {
        // What the other action takes in either way.
        "execute/payload/push-to-url" => Execute { action: "archive".into(), ..Execute::default() },
        _ => Execute {
            action: "ledger".into(),
            fields: pair("path", "in/"),
            params: pair("api_key", "k-0123456789"),
        },
    }
}

/// Whether the fault shows on a loopback address.
pub fn shows_here(id: &str) -> bool {
    id != "path/tls/encrypted"
}

/// The command that finds the fault in the hub that has it.
pub fn check_line(id: &str, url: &str) -> String {
    let mut line = format!("sendoff check {url} --token {TOKEN} --profile reference --only {id}");
    let execute = execute(id);
    line += &format!(" --execute {}", execute.action);
    for (flag, pairs) in [("--field", execute.fields), ("--param", execute.params)] {
        for (name, value) in pairs {
            line += &format!(" {flag} {name}={value}");
        }
    }
    // These wait longer than the patience that a run has of itself.
    match id {
        "form/answer/prompt" | "execute/delivery/answer-follows" => {
            line + " --patience 2 --delivery-patience 2"
        }
        _ => line,
    }
}

/// Serves a hub that is wrong in this one way, until the future is dropped.
///
/// # Errors
/// No hub is wrong in this way.
pub async fn serve(id: &str, listener: TcpListener) -> Result<(), NoSuchFault> {
    serve_with(&[id], listener).await
}

/// Serves a hub with all of these faults; without any it is right.
///
/// # Errors
/// No hub has one of the faults.
pub async fn serve_with(ids: &[&str], listener: TcpListener) -> Result<(), NoSuchFault> {
    if let Some(unknown) = ids.iter().find(|id| !faults().any(|fault| fault == **id)) {
        return Err(NoSuchFault((*unknown).to_owned()));
    }
    let faults = ids.iter().map(|id| (*id).to_owned()).collect();
    serve::serve(Faults(faults), listener).await;
    Ok(())
}

/// Every fault that a hub can have.
pub fn faults() -> impl Iterator<Item = &'static str> {
    faults::LIST
        .iter()
        .chain(faults::FORM)
        .chain(faults::OUTCOME)
        .map(|(id, _)| *id)
        .chain(faults::BEHAVIOUR.iter().copied())
}

/// What is wrong with a hub.
struct Faults(Vec<String>);

impl Faults {
    fn has(&self, id: &str) -> bool {
        self.0.iter().any(|fault| fault == id)
    }

    /// Applies the changes of a table to a right answer.
    fn spoil(&self, table: &[faults::Change], answer: &mut serde_json::Value) {
        for (_, change) in table.iter().filter(|(id, _)| self.has(id)) {
            change(answer);
        }
    }
}
