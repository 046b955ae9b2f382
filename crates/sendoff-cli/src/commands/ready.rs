//! `sendoff ready`: for health checks of containers, and for scripts that wait for the hub.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use sendoff::{Egress, EgressConfig, Http, Scope};
use tokio::time::Instant;

use crate::config::Config;
use crate::tell::tell;

/// One question's time.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks `url`, or the hub that this configuration describes, for at most `wait` seconds.
pub(crate) async fn ask(
    config: &Config,
    url: Option<String>,
    wait: u64,
) -> anyhow::Result<ExitCode> {
    let url = url.unwrap_or_else(|| local(config));
    let url = format!("{}/readyz", url.trim_end_matches('/').trim_end_matches("/readyz"));
    let http = anywhere(config)?;
    let end = Instant::now() + Duration::from_secs(wait);
    loop {
        let why = match question(&http, &url).await {
            Ok(()) => {
                tell!("{url} is ready.");
                return Ok(ExitCode::SUCCESS);
            }
            Err(why) => why,
        };
        if Instant::now() + PAUSE > end {
            tell!("{url} is not ready: {why}");
            return Ok(ExitCode::FAILURE);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn question(http: &Http, url: &str) -> Result<(), String> {
    let reply = http.get(url).once().timeout(PATIENCE).send().await;
    let reply = reply.map_err(|fault| fault.to_string())?;
    let status = reply.status();
    let text = reply.text().await.unwrap_or_default();
    if status.is_success() { Ok(()) } else { Err(format!("{status} {}", text.trim())) }
}

/// The first address listened on, by an address that can be dialled.
fn local(config: &Config) -> String {
    let Some(mut address) = config.listen.first().copied() else {
        return "http://127.0.0.1:8080".to_owned();
    };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

/// The operator asks for himself: every address may be reached.
fn anywhere(config: &Config) -> anyhow::Result<Http> {
    let mut egress = EgressConfig::new("not used here".into());
    egress.allow_addresses = vec![Ipv4Net::default().into(), Ipv6Net::default().into()];
    egress.extra_ca_pem.clone_from(&config.extra_ca_pem);
    Ok(Egress::new(egress)?.http(Scope::new("The hub")))
}
