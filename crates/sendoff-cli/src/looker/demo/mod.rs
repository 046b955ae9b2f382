//! `sendoff demo`: a hub, stand-ins for its vendors, and the page that plays Looker. With `--once`,
//! one delivery on the terminal.

#[cfg(feature = "page")]
mod login;
mod once;
#[cfg(feature = "page")]
mod stage;

use std::convert::Infallible;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use sendoff::Token;
use sendoff_workbench::Paint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::config::Config;
use crate::tell::tell;

/// So long the rest of a request is taken after its answer.
const LINGER: Duration = Duration::from_secs(2);

/// Starts a hub with stand-ins for all vendors, and a page in the browser that plays Looker.
#[derive(clap::Args, Debug)]
pub(crate) struct DemoArgs {
    /// The folder that files are delivered into; made if it is not there.
    #[arg(long, default_value = "sendoff-demo", value_name = "DIR")]
    folder: PathBuf,
    /// Plays one delivery on the terminal in place of the page, and ends: 0 if it succeeded, 1 if
    /// it failed.
    #[arg(long)]
    once: bool,
    /// With --once: prints one JSON document in place of the text.
    #[arg(long, requires = "once")]
    json: bool,
}

/// Runs the demo.
pub(crate) async fn run(
    args: DemoArgs,
    mut config: Config,
    paint: Paint,
) -> anyhow::Result<ExitCode> {
    let folder = made(&args.folder).await?;
    // A throw-away token, this machine's address and this folder, whatever `serve` would use.
    let secret = sendoff::Secret::from(Uuid::new_v4().to_string());
    let token = Token::issue(&secret, None)?;
    config.secrets = vec![secret];
    config.base_url = None;
    config.actions.clear();
    config.file_root = Some(folder.clone());
    if args.once {
        let hub = crate::hub(&config)?;
        let listener = listen(&config).await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, TowerToHyperService::new(hub)));
        return once::run(address, &token, &folder, args.json, paint).await;
    }
    with_page(config, &token, &folder).await
}

#[cfg(not(feature = "page"))]
async fn with_page(_: Config, _: &str, _: &Path) -> anyhow::Result<ExitCode> {
    anyhow::bail!("This build has no page; `sendoff demo --once` plays one delivery.")
}

/// The hub with stand-ins for its vendors, and the page, until Ctrl-C.
#[cfg(feature = "page")]
async fn with_page(mut config: Config, token: &str, folder: &Path) -> anyhow::Result<ExitCode> {
    use std::sync::Arc;

    use hyper::service::service_fn;

    config.debug = true;
    config.looker_hosts = looker_hosts(&config)?;
    let listener = listen(&config).await?;
    let hub = format!("http://{}/", listener.local_addr()?);
    let stage = Arc::new(stage::Stage::open(&config, folder).await?);
    let mut serving = JoinSet::new();
    let answers = Arc::clone(&stage);
    let service = service_fn(move |request| {
        let stage = Arc::clone(&answers);
        async move { stage.answer(request).await }
    });
    serving.spawn(accept(listener, service));
    let kept = config.workbench_folder.clone().unwrap_or_else(|| folder.join(stage::KEPT));
    let opened = super::workbench::open(&config, Some(kept), &hub, Some(token)).await?;
    opened.enable(&*stage).await;
    tell!(
        "Open {} in a browser: it plays Looker, with a stand-in behind every action.\n\n  \
         the hub          {hub}\n  its token        {token}\n  delivered files  {}\n\n\
         Nothing leaves this machine. Ctrl-C ends it all.",
        opened.url(),
        folder.display()
    );
    let process = Some(std::process::id());
    opened.serve(Some(Arc::clone(&stage) as Arc<_>), process).await?;
    stage.drain(config.connections.grace).await;
    Ok(ExitCode::SUCCESS)
}

/// The page, wherever it stands: logins go back to it.
#[cfg(feature = "page")]
fn looker_hosts(config: &Config) -> anyhow::Result<sendoff::LookerHosts> {
    let outside = config.workbench_base_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let outside = outside.as_ref().and_then(url::Url::host_str).map(str::to_owned);
    let page = match config.workbench_listen.ip() {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    Ok(sendoff::LookerHosts::parse(outside.into_iter().chain([page]))?)
}

async fn made(folder: &Path) -> anyhow::Result<PathBuf> {
    let failed = || format!("The folder {} cannot be used", folder.display());
    tokio::fs::create_dir_all(folder).await.with_context(failed)?;
    tokio::fs::canonicalize(folder).await.with_context(failed)
}

/// Without `serve`'s limits on connections: there is one client, on this machine.
async fn accept<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let server = http1::Builder::new();
                    let serving = server.serve_connection(TokioIo::new(socket), service.clone());
                    connections.spawn(async move {
                        if let Ok(ended) = serving.without_shutdown().await {
                            linger(ended.io.into_inner()).await;
                        }
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whoever is answered before he has said all reads the answer only if the rest is taken from him.
async fn linger(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let mut rest = vec![0; 64 << 10];
    let read = async { while matches!(socket.read(&mut rest).await, Ok(1..)) {} };
    // He may never end.
    let _ = tokio::time::timeout(LINGER, read).await;
}

/// The configured port on loopback, else a free one: a demo must not fail because a hub runs.
async fn listen(config: &Config) -> std::io::Result<TcpListener> {
    for address in config.listen.iter().filter(|address| address.ip().is_loopback()) {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Ok(listener);
        }
    }
    TcpListener::bind(("127.0.0.1", 0)).await
}
