//! The processes that are measured: started, asked for their memory, and ended.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::Client;

/// A process that ends when this value is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel says of a process's memory, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) now: u64,
    /// The most that was ever resident.
    pub(crate) peak: u64,
}

impl Server {
    /// Another part of this program; it prints its address as its first line.
    pub(crate) fn part(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the part has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().context("the part printed no address")?;
        Ok(Self { child, address })
    }

    /// The processor time taken so far. Unlike a rate, it hardly depends on what else runs.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // After the name, which may hold blanks, `utime` and `stime` are the 12th and 13th.
        let (_, fields) = stat.rsplit_once(')').context("the kernel does not say")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks = ticks.sum::<std::result::Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()))
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        memory_of(&self.child.id().to_string())
    }
}

/// The memory of a process, by its id or `self`.
pub(crate) fn memory_of(process: &str) -> Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.context("the kernel does not say")?.trim().parse()?;
        anyhow::Ok(kib * 1024)
    };
    Ok(Memory { now: field("VmRSS:")?, peak: field("VmHWM:")? })
}

/// A hub that runs, the token it takes, and how long it took to answer a list.
pub(crate) struct Hub {
    pub(crate) server: Server,
    pub(crate) token: String,
    pub(crate) started_in: Duration,
}

const SECRET: &str = "6f1a2c9e4b7d80135f1a2c9e4b7d80136f1a2c9e4b7d80135f1a2c9e4b7d8013";

fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .env("SENDOFF_SECRETS", SECRET)
        .env("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8")
        .env("SENDOFF_DEBUG_ENABLED", "true")
        .env("SENDOFF_LOG", "warn")
        .stderr(Stdio::inherit());
    command
}

impl Hub {
    /// Starts the hub and waits for its first answered list.
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, &[]).await
    }

    /// The same with more in its environment, such as an origin map.
    pub(crate) async fn start_with(binary: &Path, more: &[(&str, String)]) -> Result<Self> {
        let printed = command(binary).arg("token").output().context("no hub binary")?;
        let token = String::from_utf8(printed.stdout)?.trim().to_owned();
        if token.is_empty() {
            bail!("the hub gives no token");
        }
        // Nothing else asks for ports here, so the one that was just free still is.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let log = std::fs::File::create(std::env::temp_dir().join("sendoff-bench-hub.log"))?;
        let started = Instant::now();
        let mut child = command(binary)
            .arg("serve")
            .envs(more.iter().map(|(name, value)| (name, value)))
            .env("SENDOFF_LISTEN", address.to_string())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        loop {
            if let Ok(mut client) = Client::connect(address).await
                && client.call("/", &token, b"").await?.status == 200
            {
                let started_in = started.elapsed();
                return Ok(Self { server: Server { child, address }, token, started_in });
            }
            if started.elapsed() > Duration::from_secs(10) {
                let _ = child.kill();
                bail!("the hub does not answer within 10 s");
            }
            if let Some(status) = child.try_wait()? {
                bail!("the hub ended at once: {status}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// 1,000 deliveries at once need a socket each on both sides of the client.
pub(crate) fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
