//! Memory does not grow with the data: 256 MiB pass in a process of their own.
//!
//! A counting allocator needs `unsafe`, which this crate forbids, so the kernel counts: the peak
//! of resident memory over what the process held after a first, small delivery. Looker, the proxy
//! and the stand-in live in the same process and count too.

use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use super::lab::Lab;
use super::verdict::{Failure, ensure, judge};
use super::{Subject, Verdict, case, finish, run};
use crate::Limits;
use crate::testing::{By, Content, Expected, TakesRows};

/// What is sent.
const BYTES: u64 = 256 << 20;
/// What is sent where rows are taken, unless the environment says otherwise; where a stand-in takes
/// less than a million, as much less.
const ROWS: u64 = 100_000;
/// Set to send more: CI sends a million, which takes half a minute without optimisation.
const ROWS_FROM: &str = "BEHAVIOUR_ROWS";
/// What memory may grow by.
const GROWTH: u64 = 24 << 20;
/// Set for the process that measures, to the name of its subject.
const ALONE: &str = "SENDOFF_SUITE_ALONE";

/// The case as a test: it starts this program again and asks it for the same test.
pub(super) fn trial(subject: &Subject) -> Trial {
    let name = format!("{}::streams_in_flat_memory", subject.title());
    let (wanted, subject) = (name.clone(), subject.clone());
    Trial::test(name, move || {
        let alone = std::env::var_os(ALONE).is_some_and(|alone| alone == *wanted);
        finish(if alone {
            run(case("streams_in_flat_memory", measure), subject)
        } else {
            in_own_process(&wanted)
        })
    })
}

/// The same in the process of a unit test.
#[cfg(test)]
pub(super) fn measured_here(subject: Subject) -> Verdict {
    run(case("streams_in_flat_memory", measure), subject)
}

fn in_own_process(name: &str) -> Verdict {
    // Not by its path: a build may have replaced the file meanwhile.
    let output = Command::new("/proc/self/exe")
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, name)
        .stdin(Stdio::null())
        .output()?;
    ensure(output.status.success(), || {
        let (out, err) = (&output.stdout, &output.stderr);
        format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
    })
}

async fn measure(subject: Subject) -> Verdict {
    let lab = patient(&subject).await?;
    let format = subject.text_format();
    let small = lab.content(format, 1 << 20);
    let by = if subject.downloads() { By::Download } else { By::Push };
    judge(&lab, &small, &lab.ship(small, by, None).await?, Expected::Delivered).await?;

    // The first delivery's object must not be taken for the second's.
    let lab = patient(&subject).await?;
    let content = match lab.vendor.fake().takes_rows() {
        Some(takes) => {
            let wanted = std::env::var(ROWS_FROM).ok().and_then(|rows| rows.parse().ok());
            let rows = wanted.unwrap_or(ROWS).min(TakesRows::MANY);
            Content::of_rows(format, takes.shape, takes.in_bulk * rows / TakesRows::MANY)
        }
        None => lab.content(format, BYTES),
    };
    let before = resident("VmRSS")?;
    // Resets the peak to the present. See proc(5), clear_refs.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let heard = lab.looker.execute(&lab.shipment(content, by)).await;
    let growth = resident("VmHWM")?.saturating_sub(before);
    judge(&lab, &content, &heard, Expected::Delivered).await?;
    ensure(growth < GROWTH, || {
        format!(
            "memory grew by {} KiB for {} KiB of data, {} KiB are allowed",
            growth >> 10,
            content.len() >> 10,
            GROWTH >> 10
        )
    })
}

/// Without optimisation 256 MiB take their time, and a real server may think long before it
/// confirms them.
async fn patient(subject: &Subject) -> Result<Lab, Failure> {
    let limits = Limits { deadline: super::LIMIT, idle: super::LIMIT, ..super::lab::limits() };
    Lab::with(subject, limits).await
}

/// A line of `/proc/self/status`, in bytes.
fn resident(line: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib = found.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| Failure::new(format!("the kernel shows no {line}")))
}
