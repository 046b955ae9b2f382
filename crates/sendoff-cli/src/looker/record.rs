//! `sendoff record`: what a real Looker says to a hub, and what the hub answers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sendoff_workbench::record::{Recorder, RecorderSettings};
use sendoff_workbench::recording::Recorded;
use sendoff_workbench::{Heard, looker_does, size};
use tokio::net::TcpListener;

use super::complain;
use super::signals::Ends;
use crate::config::{Environment, secret_text};
use crate::tell::tell;

const MORE: &str = "\
Enter the recorder's URL in Looker in place of the hub's; the hub's token stays the same. Looker
wants HTTPS: give the recorder a certificate of a public authority with --tls-cert and --tls-key,
or put a tunnel or a proxy that has one in front of it and name its URL with --public-url unless
it sends X-Forwarded-Proto.

Tokens, params, states and login links are masked before anything is written; the data of
deliveries is kept unless --without-data. The recording is read by `sendoff send --replay`,
`sendoff check --recorded` and the workbench.

Exit codes: 0 ended by a signal, 1 failed, 2 wrong usage.";

/// Records what a Looker and any hub say to each other, as a proxy between the two.
#[derive(Args, Debug)]
#[command(after_help = MORE)]
pub(crate) struct RecordArgs {
    /// The hub's list URL; may stand elsewhere: env:NAME, file:PATH.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The address listened on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8070")]
    listen: SocketAddr,
    /// The recording; exchanges are appended.
    #[arg(long, value_name = "FILE", default_value = "recorded.jsonl")]
    out: PathBuf,
    /// The URL by which Looker reaches the recorder.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The recorder's own certificate with its chain, in PEM: it then listens on HTTPS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Authorities that the hub's certificate may be of, in PEM, beside the public ones.
    #[arg(long, value_name = "FILE")]
    extra_ca: Option<PathBuf>,
    /// So much of each body is kept.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = limit)]
    body_limit: u64,
    /// Keeps no data of deliveries.
    #[arg(long)]
    without_data: bool,
}

/// A body is kept in memory until its exchange is written.
const LIMIT_AT_MOST: u64 = 64 << 20;

fn limit(text: &str) -> Result<u64, String> {
    let bytes = size(text).ok_or("it must be a number of bytes such as 1MiB")?;
    match bytes <= LIMIT_AT_MOST {
        true => Ok(bytes),
        false => Err("it must be 64MiB at most".to_owned()),
    }
}

/// Records until a signal.
pub(crate) async fn run(args: RecordArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let hub = match secret_text(&args.to, environment) {
        Ok(hub) => hub,
        Err(why) => return Ok(wrong_usage(&format!("--to: {why}."))),
    };
    let mut settings = RecorderSettings::new(&hub, args.out.clone());
    settings.public_url.clone_from(&args.public_url);
    settings.body_limit = usize::try_from(args.body_limit).unwrap_or(usize::MAX);
    settings.keep_data = !args.without_data;
    settings.tls = args.tls_cert.clone().zip(args.tls_key.clone());
    settings.authorities.clone_from(&args.extra_ca);
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let recorder = match Recorder::open(settings).await {
        Ok(recorder) => recorder,
        Err(error) => return Ok(wrong_usage(&error.to_string())),
    };
    let listener = match TcpListener::bind(args.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            return Ok(wrong_usage(&format!("{} cannot be listened on: {error}.", args.listen)));
        }
    };
    let address = listener.local_addr()?;
    tell!("Recording into {} what passes {scheme}://{address}/", args.out.display());
    if !address.ip().is_loopback() {
        tell!("Everybody who reaches {address} reaches the hub through it.");
    }
    let mut told = recorder.exchanges();
    let serving = recorder.serve(listener);
    tokio::pin!(serving);
    let mut ends = Ends::heeded()?;
    loop {
        tokio::select! {
            () = &mut serving => break,
            recorded = told.recv() => match recorded {
                Ok(recorded) => complain(&line(&recorded)),
                // Too many at once to be told one by one; they are written all the same.
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => break,
            },
            () = ends.asked() => break,
        }
    }
    recorder.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// `3  execute debug  200  1,234 bytes  1.2 s  Nothing: it was sent.`
fn line(recorded: &Recorded) -> String {
    let status = recorded.response.as_ref().map(|response| response.status);
    let shown = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let kept = recorded.response.as_ref().map(|response| response.body.kept()).unwrap_or_default();
    let told = match &recorded.failure {
        Some(failure) => failure.clone(),
        None => {
            let action = recorded.action.as_deref().unwrap_or_default();
            let heard = Heard { status, body: &kept, failure: None, action };
            looker_does(recorded.call, heard).user
        }
    };
    format!(
        "{:>4}  {} {}  {shown}  {} bytes  {:.1} s  {told}",
        recorded.id,
        recorded.call,
        recorded.action.as_deref().unwrap_or_default(),
        recorded.request.body.bytes,
        recorded.until_end / 1_000.0,
    )
}

fn wrong_usage(why: &str) -> ExitCode {
    complain(why);
    ExitCode::from(2)
}
