//! What deliveries, connections and the spool may take.

use std::path::PathBuf;
use std::time::Duration;

use sendoff::SpoolLimits;

use super::checks::spool_folder;
use super::read::Reader;
use super::{ConnectionLimits, Environment};

const HOUR: Duration = Duration::from_secs(3600);
const INSTANT: Duration = Duration::from_millis(10);

pub(super) fn delivery_limits(r: &mut Reader) -> Option<sendoff::Limits> {
    let body_bytes = r.size("limits.body_bytes", 1024..=1 << 50);
    let keep_alive = r.duration("limits.keep_alive", INSTANT..=HOUR);
    let deadline = r.duration("limits.deadline", Duration::from_secs(1)..=24 * HOUR);
    let idle = r.duration("limits.idle", INSTANT..=24 * HOUR);
    let download_wait = r.duration("limits.download_wait", INSTANT..=24 * HOUR);
    let running = r.count("limits.running", 1..=100_000);
    let per_lane = r.count("limits.per_lane", 1..=100_000);
    let waiting = r.count("limits.waiting", 0..=1_000_000);
    let mut limits = sendoff::Limits::default();
    limits.body_bytes = body_bytes?;
    limits.keep_alive = keep_alive?;
    limits.deadline = deadline?;
    limits.idle = idle?;
    limits.download_wait = download_wait?;
    limits.running = running?;
    limits.per_lane = per_lane?;
    limits.waiting = waiting?;
    Some(limits)
}

pub(super) fn connection_limits(r: &mut Reader) -> Option<ConnectionLimits> {
    let connections = r.count("limits.connections", 1..=1_000_000);
    let header_bytes = r.size("limits.header_bytes", 1024..=1 << 20);
    let headers = r.count("limits.headers", 8..=1024);
    let header_timeout = r.duration("limits.header_timeout", INSTANT..=HOUR);
    let grace = r.duration("limits.grace", Duration::ZERO..=24 * HOUR);
    Some(ConnectionLimits {
        connections: connections?,
        header_bytes: usize::try_from(header_bytes?).ok()?,
        headers: headers?,
        header_timeout: header_timeout?,
        grace: grace?,
    })
}

pub(super) fn spool_limits(r: &mut Reader, environment: &Environment) -> Option<SpoolLimits> {
    let temporary = || PathBuf::from(environment.get("TMPDIR").unwrap_or("/tmp"));
    let dir = r.optional("spool.dir", spool_folder).map(|dir| match dir {
        Some(dir) if dir.as_os_str() == "none" => None,
        Some(dir) => Some(dir),
        None => Some(temporary()),
    });
    let memory = 0..=1 << 40;
    let disk = 0..=1 << 50;
    let memory_per_delivery = r.size("spool.memory_per_delivery", memory.clone());
    let memory_total = r.size("spool.memory_total", memory);
    let bytes_per_delivery = r.size("spool.bytes_per_delivery", disk.clone());
    let bytes_total = r.size("spool.bytes_total", disk);
    let mut limits = SpoolLimits::default();
    limits.dir = dir?;
    limits.memory_per_delivery = usize::try_from(memory_per_delivery?).ok()?;
    limits.memory_total = usize::try_from(memory_total?).ok()?;
    limits.bytes_per_delivery = bytes_per_delivery?;
    limits.bytes_total = bytes_total?;
    Some(limits)
}
