//! Prints one table: what the hub costs, each figure beside its yardstick from the same run.
//!
//! The hub is the release binary in a process of its own, so is every yardstick and the vendor.
//! This process is only the client, and it is the same code for both sides.
#![allow(clippy::disallowed_methods, reason = "plain sockets, and threads of the vendor's own")]

mod body;
mod child;
mod client;
mod figures;
mod google;
mod rows;
mod table;
mod vendor;
mod yardstick;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};

/// Measures the hub and prints one table. Exits 1 when a figure misses what it must reach.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// 100 MB in place of 1 GB, and 10 MB of rows in place of 100 MB.
    #[arg(long)]
    quick: bool,
    /// Measures only these figures.
    #[arg(long, value_enum)]
    only: Vec<figures::Figure>,
    /// How often each side is measured, in turn; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The hub's binary; built first unless it is given.
    #[arg(long)]
    hub: Option<PathBuf>,
}

const FOOTNOTE: &str = "\
Hub, yardstick, vendor and client are processes of one machine and share its cores. The client costs
both sides the same. The yardstick only receives; the hub receives, un-escapes and sends the same
bytes to the vendor over HTTP. The vendor reads heads, and discards bodies in the kernel every
0.2 ms, without copying them. MB are 10^6 bytes as delivered. Memory is the growth of the hub's
resident peak. Processor time per GB stands on stderr: it depends less on what else runs.";

/// The processes that the bench starts beside the hub.
#[derive(Subcommand)]
enum Part {
    /// A server to compare the hub with.
    #[command(hide = true)]
    Yardstick { kind: yardstick::Kind },
    /// The vendor: takes any request and discards its body, or gives one.
    #[command(hide = true)]
    Vendor {
        /// Reads 64 KiB every 20 ms.
        #[arg(long)]
        slow: bool,
        /// Answers as Google's services do.
        #[arg(long)]
        google: bool,
        /// Thinks so many milliseconds before each answer.
        #[arg(long, default_value_t = 0)]
        latency: u64,
    },
    /// Reads a json_detail document of so many bytes as rows and prints what it took.
    #[command(hide = true)]
    Rows { bytes: u64 },
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Yardstick { kind }) => yardstick::serve(kind)?,
        Some(Part::Vendor { slow, google, latency }) => {
            vendor::serve(slow, google, std::time::Duration::from_millis(latency))?;
        }
        Some(Part::Rows { bytes }) => rows::measure(bytes)?,
        None => return bench(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn bench(arguments: Arguments) -> Result<ExitCode> {
    let hub = match arguments.hub {
        Some(path) => path,
        None => build_hub()?,
    };
    child::raise_descriptor_limit()?;
    let bench = figures::Bench {
        hub,
        bytes: if arguments.quick { 100_000_000 } else { 1_000_000_000 },
        rows_bytes: if arguments.quick { 10_000_000 } else { 100_000_000 },
        paced_rows: if arguments.quick { 10_000 } else { 100_000 },
        rounds: arguments.rounds.max(1),
    };
    let wanted = match arguments.only.is_empty() {
        true => figures::Figure::value_variants().to_vec(),
        false => arguments.only,
    };
    // One thread for the client leaves the machine to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = table::Table::default();
    for figure in wanted {
        eprintln!("measuring {} …", figure.title());
        let row = runtime.block_on(bench.measure(figure));
        table.push(row.unwrap_or_else(|error| table::Row::failed(figure.title(), &error)));
    }
    println!("{table}");
    println!("{FOOTNOTE}");
    Ok(if table.all_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build_hub() -> Result<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let status = std::process::Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "-p", "sendoff-cli"])
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("the hub does not build");
    }
    // The bench was built into the same folder.
    let here = std::env::current_exe()?;
    let folder = here.parent().context("the bench stands in no folder")?;
    let hub = folder.join("sendoff");
    if folder.ends_with("release") { Ok(hub) } else { bail!("run the bench with --release") }
}
