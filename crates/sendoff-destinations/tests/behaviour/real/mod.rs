//! The same suite against real servers, where the environment says that one listens.
//!
//! `scripts/test` starts them and sets `BEHAVIOUR_REQUIRE_REAL`: then a missing one is a failure.

mod aiosmtpd;
mod azurite;
mod gcs;
mod moto;
mod server;
mod sshd;

use std::sync::Arc;

use sendoff::testing::Fake;
use sendoff::testing::suite::{Failure, Subject, Verdict};
use sendoff_destinations::fakes;

/// A server: its name, the destination that speaks to it, and how it is found.
type Server = (&'static str, &'static str, fn() -> Option<Arc<dyn Fake>>);

const SERVERS: &[Server] = &[
    ("aiosmtpd", "smtp_email", aiosmtpd::aiosmtpd),
    ("moto", "amazon_s3", moto::moto),
    ("azurite", "azure_storage", azurite::azurite),
    ("gcs", "google_cloud_storage", gcs::gcs),
    ("openssh", "sftp", sshd::sshd),
];

/// The destinations for which a server is there, and a failure for each that must be and is not.
#[allow(clippy::disallowed_methods, reason = "the test script names its servers so")]
pub fn subjects() -> (Vec<Subject>, Vec<(String, Verdict)>) {
    let required = std::env::var_os("BEHAVIOUR_REQUIRE_REAL").is_some_and(|value| value == "1");
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for (server, destination, find) in SERVERS {
        let find = *find;
        let make = fakes().into_iter().find(|make| make().0.spec().name == *destination);
        match (make, find()) {
            (Some(make), Some(_)) => {
                let subject = Subject::new(move || {
                    let server = find().expect("it was there when the tests were listed");
                    (make().0, server)
                });
                there.push(subject.against(server));
            }
            (None, _) => missing.push(absent(server, "no such destination")),
            (Some(_), None) if required => missing.push(absent(server, "its address is not set")),
            (Some(_), None) => {}
        }
    }
    (there, missing)
}

fn absent(server: &str, why: &str) -> (String, Verdict) {
    (format!("{server}_is_there"), Err(Failure::new(format!("{server}: {why}"))))
}
