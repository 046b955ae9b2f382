//! What is measured, how, and what each figure must reach.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::body::{Order, Piece, Push, csv_rows};
use crate::child::{Hub, Server};
use crate::client::{Client, head, request};
use crate::table::Row;

/// A row of the table.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Figure {
    /// Start to first answered list.
    Start,
    /// Idle resident memory.
    Idle,
    /// Small requests per second.
    Rate,
    /// A pushed CSV, form answers first.
    Push,
    /// A pushed CSV, attachment first.
    Spool,
    /// A pushed base64 attachment.
    Base64,
    /// A result fetched by URL.
    Download,
    /// json_detail read as rows.
    Rows,
    /// Rows sent to Segment.
    Segment,
    /// Rows sent to a Segment that takes its time.
    Paced,
    /// 1,000 deliveries at once.
    Many,
    /// The form of a drive with 10,000 folders.
    DriveForm,
    /// A result fetched by URL to Google Drive.
    DriveUpload,
    /// A result fetched by URL to Google Cloud Storage.
    StorageUpload,
    /// 100,000 rows of 20 columns to Google Sheets.
    Sheets,
}

impl Figure {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Start => "start to first answered list",
            Self::Idle => "idle resident memory",
            Self::Rate => "list, form, execute of `debug`, 32 connections",
            Self::Push => "execute, pushed CSV, form first",
            Self::Spool => "execute, pushed CSV, attachment first",
            Self::Base64 => "execute, base64 attachment (xlsx)",
            Self::Download => "execute by download_url",
            Self::Rows => "rows of a json_detail document",
            Self::Segment => "rows through `segment_event`, vendor answers at once",
            Self::Paced => "rows through `segment_event`, vendor answers after 100 ms",
            Self::Many => "1,000 deliveries at once, 1 MB each, slow vendor",
            Self::DriveForm => "form of Google Drive, 10,000 folders",
            Self::DriveUpload => "download_url to Google Drive",
            Self::StorageUpload => "download_url to Google Cloud Storage",
            Self::Sheets => "100,000 rows of 20 columns to Google Sheets",
        }
    }
}

/// How much is measured.
pub(crate) struct Bench {
    pub(crate) hub: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) rows_bytes: u64,
    pub(crate) paced_rows: usize,
    pub(crate) rounds: usize,
}

pub(crate) const MIB: f64 = 1024.0 * 1024.0;
const CONNECTIONS: usize = 32;

impl Bench {
    pub(crate) async fn measure(&self, figure: Figure) -> Result<Row> {
        let csv = Piece::csv;
        match figure {
            Figure::Start => self.start().await,
            Figure::Idle => self.idle().await,
            Figure::Rate => self.rate().await,
            Figure::Push => self.push(figure, &csv(), Order::FormFirst, 0.5).await,
            Figure::Spool => self.push(figure, &csv(), Order::AttachmentFirst, 0.3).await,
            Figure::Base64 => self.push(figure, &Piece::base64(), Order::FormFirst, 0.5).await,
            Figure::Download => self.download().await,
            Figure::Rows => self.rows(),
            Figure::Segment => self.segment().await,
            Figure::Paced => self.paced().await,
            Figure::Many => self.many().await,
            Figure::DriveForm => self.drive_form().await,
            Figure::Sheets => self.sheets().await,
            Figure::DriveUpload | Figure::StorageUpload => self.google_upload(figure).await,
        }
    }

    async fn start(&self) -> Result<Row> {
        let mut times = Vec::new();
        for _ in 0..self.rounds.max(5) {
            times.push(Hub::start(&self.hub).await?.started_in.as_secs_f64() * 1_000.0);
        }
        let time = median(&mut times);
        Ok(Row {
            figure: Figure::Start.title().into(),
            measured: format!("{time:.0} ms"),
            yardstick: "–".into(),
            ratio: None,
            must: "100 ms".into(),
            ok: time <= 100.0,
        })
    }

    async fn idle(&self) -> Result<Row> {
        let hub = Hub::start(&self.hub).await?;
        // Long enough for what runs at the start to be over.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let idle = hub.server.memory()?.now as f64 / MIB;
        Ok(Row {
            figure: Figure::Idle.title().into(),
            measured: format!("{idle:.1} MiB"),
            yardstick: "–".into(),
            ratio: None,
            must: "25 MiB".into(),
            ok: idle <= 25.0,
        })
    }

    async fn rate(&self) -> Result<Row> {
        let hub = Hub::start(&self.hub).await?;
        let axum = Server::part(&["yardstick", "axum"])?;
        let body = br#"{"type":"query","scheduled_plan":{"scheduled_plan_id":88,"title":"Bench"},"attachment":{"mimetype":"text/csv","extension":"csv","data":"a,b\n1,2\n"},"data":{"k":"v"},"form_params":{"sleep":"0"}}"#;
        let calls: [(&str, &str, &[u8]); 3] = [
            ("list", "/", b""),
            ("form", "/actions/debug/form", body),
            ("execute", "/actions/debug/execute", body),
        ];
        let small = request("/", "-", body);
        let mut theirs = Vec::new();
        let mut ours: [Vec<f64>; 3] = Default::default();
        for _ in 0..self.rounds {
            for ((_, path, body), rates) in calls.iter().zip(&mut ours) {
                let bytes = request(path, &hub.token, body);
                rates.push(requests_per_second(hub.server.address, bytes).await?);
            }
            theirs.push(requests_per_second(axum.address, small.clone()).await?);
        }
        let rates = ours.map(|mut rates| median(&mut rates));
        // As many of each: the times add up, not the rates.
        let rate = 3.0 / rates.iter().map(|rate| 1.0 / rate).sum::<f64>();
        let theirs = median(&mut theirs);
        let kinds = calls.iter().zip(rates).map(|((name, ..), rate)| format!("{name} {rate:.0}"));
        let kinds: Vec<_> = kinds.collect();
        Ok(Row {
            figure: Figure::Rate.title().into(),
            measured: format!("{rate:.0}/s ({})", kinds.join(", ")),
            yardstick: format!("axum {theirs:.0}/s"),
            ratio: Some(rate / theirs),
            must: "50 %".into(),
            ok: rate / theirs >= 0.5,
        })
    }

    async fn push(&self, figure: Figure, piece: &Piece, order: Order, must: f64) -> Result<Row> {
        let vendor = Server::part(&["vendor"])?;
        let hub = Hub::start(&self.hub).await?;
        let discard = Server::part(&["yardstick", "discard"])?;
        let push = Push::new(piece, self.bytes, &answers(vendor.address, ""), order);
        let before = hub.server.memory()?.now;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let head_ours = head("/actions/webhook/execute", &hub.token);
            ours.push(pushed(hub.server.address, &head_ours, &push).await?);
            let total = total(vendor.address).await?;
            ensure!(total.bytes >= push.decoded, "the vendor got {} bytes only", total.bytes);
            theirs.push(pushed(discard.address, &head("/", "-"), &push).await?);
        }
        let growth = hub.server.memory()?.peak.saturating_sub(before);
        note_processor_time(&[("hub", &hub.server), ("yardstick", &discard)], &ours, push.decoded)?;
        Ok(through(figure, median(&mut ours), ("hyper", median(&mut theirs)), growth, must))
    }

    async fn download(&self) -> Result<Row> {
        let vendor = Server::part(&["vendor"])?;
        let hub = Hub::start(&self.hub).await?;
        let proxy = Server::part(&["yardstick", "proxy"])?;
        let times = usize::try_from(self.bytes)?.div_ceil(csv_rows().len());
        let bytes = (times * csv_rows().len()) as u64;
        let from = format!("http://{}/give/{times}", vendor.address);
        let execute = format!(
            r#"{{"type":"query","scheduled_plan":{{"scheduled_plan_id":88,"title":"Bench","download_url":"{from}"}},"attachment":null,"data":{{}},"form_params":{}}}"#,
            answers(vendor.address, r#","format":"csv""#)
        );
        let execute = request("/actions/webhook/execute", &hub.token, execute.as_bytes());
        let ways = format!(r#"{{"from":"{from}","to":"http://{}/"}}"#, vendor.address);
        let ways = request("/", "-", ways.as_bytes());
        let before = hub.server.memory()?.now;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            for (server, bytes_sent, speeds) in
                [(&hub.server, &execute, &mut ours), (&proxy, &ways, &mut theirs)]
            {
                let mut client = Client::connect(server.address).await?;
                let started = Instant::now();
                check(client.exchange(bytes_sent).await?)?;
                speeds.push(bytes as f64 / 1e6 / started.elapsed().as_secs_f64());
                let total = total(vendor.address).await?;
                ensure!(total.bytes >= bytes, "the vendor got {} bytes only", total.bytes);
            }
        }
        let growth = hub.server.memory()?.peak.saturating_sub(before);
        note_processor_time(&[("hub", &hub.server), ("yardstick", &proxy)], &ours, bytes)?;
        let theirs = ("hyper proxy", median(&mut theirs));
        Ok(through(Figure::Download, median(&mut ours), theirs, growth, 0.5))
    }

    /// Reads rows, and does no more, in a process of its own.
    fn read_rows(&self) -> Result<crate::rows::Taken> {
        let output = std::process::Command::new(std::env::current_exe()?)
            .args(["rows", &self.rows_bytes.to_string()])
            .stderr(std::process::Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "reading rows failed");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    async fn segment(&self) -> Result<Row> {
        let vendor = Server::part(&["vendor"])?;
        let hub = self.hub_of_segment(&vendor).await?;
        // As many rows as the bare reader reads, near enough.
        let rows = usize::try_from(self.rows_bytes / 400)?;
        let before = hub.server.memory()?.now;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let took = sent_to_segment(&hub, vendor.address, rows, u32::MAX).await?;
            ours.push(rows as f64 / took.as_secs_f64());
            theirs.push(self.read_rows()?.rows_per_second);
        }
        let growth = hub.server.memory()?.peak.saturating_sub(before) as f64 / MIB;
        let (ours, theirs) = (median(&mut ours), median(&mut theirs));
        Ok(Row {
            figure: Figure::Segment.title().into(),
            measured: format!("{ours:.0} rows/s, memory +{growth:.1} MiB"),
            yardstick: format!("reading them {theirs:.0} rows/s"),
            ratio: Some(ours / theirs),
            must: "50 %, ≤ 24 MiB".into(),
            ok: ours / theirs >= 0.5 && growth <= 24.0,
        })
    }

    /// Once: its length is the vendor's doing.
    async fn paced(&self) -> Result<Row> {
        const PER_SECOND: u32 = 1_000;
        let vendor = Server::part(&["vendor", "--latency", "100"])?;
        let hub = self.hub_of_segment(&vendor).await?;
        let rows = self.paced_rows;
        let took = sent_to_segment(&hub, vendor.address, rows, PER_SECOND).await?.as_secs_f64();
        let least = rows as f64 / f64::from(PER_SECOND);
        Ok(Row {
            figure: Figure::Paced.title().into(),
            measured: format!("{rows} rows in {took:.1} s"),
            yardstick: format!("{PER_SECOND} rows/s allowed: {least:.1} s"),
            ratio: Some(took / least),
            must: "≤ 120 %".into(),
            ok: took / least <= 1.2,
        })
    }

    async fn hub_of_segment(&self, vendor: &Server) -> Result<Hub> {
        let origins = format!("https://api.segment.io=http://{}", vendor.address);
        Hub::start_with(&self.hub, &[("SENDOFF_ORIGINS", origins)]).await
    }

    fn rows(&self) -> Result<Row> {
        let (mut speeds, mut growths) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let taken = self.read_rows()?;
            speeds.push(taken.megabytes_per_second);
            growths.push(taken.growth as f64 / MIB);
        }
        let (speed, growth) = (median(&mut speeds), median(&mut growths));
        Ok(Row {
            figure: Figure::Rows.title().into(),
            measured: format!("{speed:.0} MB/s, memory +{growth:.1} MiB"),
            yardstick: "–".into(),
            ratio: None,
            must: "250 MB/s, ≤ 24 MiB".into(),
            ok: speed >= 250.0 && growth <= 24.0,
        })
    }

    async fn many(&self) -> Result<Row> {
        const DELIVERIES: usize = 1_000;
        let vendor = Server::part(&["vendor", "--slow"])?;
        let hub = Hub::start(&self.hub).await?;
        let answers = answers(vendor.address, "");
        let push = Push::new(&Piece::csv(), 1_000_000, &answers, Order::FormFirst);
        let push = std::sync::Arc::new(push);
        let head = head("/actions/webhook/execute", &hub.token);
        let before = hub.server.memory()?.now;
        let started = Instant::now();
        let mut deliveries = JoinSet::new();
        for _ in 0..DELIVERIES {
            let (push, head, address) = (push.clone(), head.clone(), hub.server.address);
            deliveries.spawn(async move { pushed(address, &head, &push).await });
        }
        let (mut delivered, mut refusal) = (0, None);
        while let Some(done) = deliveries.join_next().await {
            match done? {
                Ok(_) => delivered += 1,
                Err(error) => refusal = Some(error),
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        if let Some(refusal) = refusal {
            eprintln!("  one that failed: {refusal:#}");
        }
        let total = total(vendor.address).await?;
        let memory = hub.server.memory()?.peak;
        let growth = memory.saturating_sub(before) as f64 / MIB;
        let peak = memory as f64 / MIB;
        let whole = total.bytes >= DELIVERIES as u64 * push.decoded;
        Ok(Row {
            figure: Figure::Many.title().into(),
            measured: format!(
                "{delivered} delivered in {seconds:.1} s, peak {peak:.0} MiB (+{growth:.0})"
            ),
            yardstick: "–".into(),
            ratio: None,
            must: "all, ≤ 256 MiB".into(),
            ok: delivered == DELIVERIES && whole && peak <= 256.0,
        })
    }
}

/// On stderr: it says on a busy machine what a rate cannot.
pub(crate) fn note_processor_time(
    servers: &[(&str, &Server)],
    rounds: &[f64],
    bytes: u64,
) -> Result<()> {
    let gigabytes = bytes as f64 * rounds.len() as f64 / 1e9;
    for (name, server) in servers {
        let seconds = server.processor_time()?.as_secs_f64() / gigabytes;
        eprintln!("  {name}: {seconds:.2} s of processor time per GB");
    }
    Ok(())
}

/// Sends so many rows to Segment at most so many a second; how long it took.
async fn sent_to_segment(
    hub: &Hub,
    vendor: SocketAddr,
    rows: usize,
    per_second: u32,
) -> Result<Duration> {
    let execute = format!(
        r#"{{"type":"query","scheduled_plan":{{"scheduled_plan_id":88,"title":"Bench","download_url":"http://{vendor}/rows/{rows}"}},"attachment":null,"data":{{"segment_write_key":"a write key","events_per_second":"{per_second}"}},"form_params":{{}}}}"#
    );
    let execute = request("/actions/segment_event/execute", &hub.token, execute.as_bytes());
    let mut client = Client::connect(hub.server.address).await?;
    let started = Instant::now();
    let answer = client.exchange(&execute).await?;
    let text = String::from_utf8_lossy(answer.body).replace(',', "");
    ensure!(answer.is_success(), "status {}: {text}", answer.status);
    ensure!(text.contains(&format!("Delivered {rows} rows")), "not all rows: {text}");
    Ok(started.elapsed())
}

/// The form answers of the `webhook` action.
fn answers(vendor: SocketAddr, more: &str) -> String {
    format!(r#"{{"url":"http://{vendor}/in"{more}}}"#)
}

fn through(figure: Figure, ours: f64, (name, theirs): (&str, f64), growth: u64, must: f64) -> Row {
    let growth = growth as f64 / MIB;
    Row {
        figure: figure.title().into(),
        measured: format!("{ours:.0} MB/s, memory +{growth:.1} MiB"),
        yardstick: format!("{name} {theirs:.0} MB/s"),
        ratio: Some(ours / theirs),
        must: format!("{:.0} %, ≤ 24 MiB", must * 100.0),
        ok: ours / theirs >= must && growth <= 24.0,
    }
}

/// Pushes once; megabytes (10^6 decoded bytes) per second.
async fn pushed(address: SocketAddr, head: &str, push: &Push) -> Result<f64> {
    let mut client = Client::connect(address).await?;
    let started = Instant::now();
    check(client.push(head, push).await?)?;
    Ok(push.decoded as f64 / 1e6 / started.elapsed().as_secs_f64())
}

pub(crate) fn check(answer: crate::client::Answer<'_>) -> Result<()> {
    let text = String::from_utf8_lossy(answer.body);
    ensure!(answer.is_success(), "status {}: {text}", answer.status);
    Ok(())
}

/// What the vendor got since it was last asked.
#[derive(Deserialize)]
pub(crate) struct Total {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

pub(crate) async fn total(vendor: SocketAddr) -> Result<Total> {
    let mut client = Client::connect(vendor).await?;
    let answer = client.call("/total", "-", b"").await?;
    serde_json::from_slice(answer.body).context("the vendor counts in JSON")
}

async fn requests_per_second(address: SocketAddr, request: Vec<u8>) -> Result<f64> {
    let request: std::sync::Arc<[u8]> = request.into();
    let length = Duration::from_secs(2);
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let request = request.clone();
        clients.spawn(async move {
            let mut client = Client::connect(address).await?;
            let mut count = 0_u64;
            while started.elapsed() < length {
                let answer = client.exchange(&request).await?;
                ensure!(answer.status == 200, "{}", String::from_utf8_lossy(answer.body));
                count += 1;
            }
            Ok(count)
        });
    }
    let mut count = 0;
    while let Some(done) = clients.join_next().await {
        count += done??;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// The middle one; the mean of the two middle ones of an even number.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_depend_on_order() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&mut []).is_nan());
    }
}
