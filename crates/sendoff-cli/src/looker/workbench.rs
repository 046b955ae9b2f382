//! `sendoff workbench`: the page that plays Looker, for any hub.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use sendoff_workbench::instance::{self, Binding, Instance};
use sendoff_workbench::page::{Page, Setup, Vendors};
use sendoff_workbench::{DataLimits, Warehouse, bad};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::{Config, Environment, token_text};
use crate::tell::tell;

/// Opens a page in the browser that plays Looker for a hub.
#[derive(Args, Debug)]
pub(crate) struct WorkbenchArgs {
    /// The hub's list URL, as it is entered in Looker.
    #[arg(long, value_name = "URL", required_unless_present = "bad", conflicts_with = "bad")]
    hub: Option<String>,
    /// The hub's token; may stand elsewhere: env:NAME, file:PATH, exec:COMMAND. Unless given,
    /// SENDOFF_TOKEN is asked.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Serves a hub that is wrong in this way, by the id of a check, and opens the page for it:
    /// to see what the fault looks like from Looker.
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    bad: Option<String>,
}

/// Serves the page until Ctrl-C.
pub(crate) async fn run(
    args: WorkbenchArgs,
    config: Config,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let token = match token_text(args.token.as_deref(), environment) {
        Ok(token) => token,
        Err(why) => return Ok(wrong_usage(&why)),
    };
    let mut serving = JoinSet::new();
    let (url, token) = match (args.bad, args.hub) {
        (Some(id), _) => {
            if !bad::faults().any(|known| known == id) {
                let why = "`sendoff explain` lists the checks.";
                return Ok(wrong_usage(&format!("No bad hub has the fault `{id}`. {why}")));
            }
            if !bad::shows_here(&id) {
                let why = "it does not show on this machine, where no call needs TLS.";
                return Ok(wrong_usage(&format!("`{id}` cannot be tried so: {why}")));
            }
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let url = format!("http://{}/", listener.local_addr()?);
            tell!(
                "The hub that breaks {id}: {url}, token {}\n\n  {}\n\nfinds it.",
                bad::TOKEN,
                bad::check_line(&id, &url)
            );
            serving.spawn(async move {
                // The id was looked up above.
                let _ = bad::serve(&id, listener).await;
            });
            (url, Some(bad::TOKEN.to_owned()))
        }
        (None, Some(url)) => (url, token),
        (None, None) => return Ok(wrong_usage("Name a hub: --hub URL.")),
    };
    let kept = config.workbench_folder.clone();
    let opened = open(&config, kept, &url, token.as_deref()).await?;
    tell!("Open {} in a browser: it plays Looker for the hub {url}", opened.url());
    opened.serve(None, None).await?;
    Ok(ExitCode::SUCCESS)
}

fn wrong_usage(why: &str) -> ExitCode {
    tell!("{why}");
    ExitCode::from(2)
}

/// A page that is about to be served.
pub(crate) struct Opened {
    listener: TcpListener,
    address: SocketAddr,
    instance: Instance,
    hub: instance::Hub,
    token: Option<String>,
}

/// Opens a Looker that knows the hub, and listens.
pub(crate) async fn open(
    config: &Config,
    folder: Option<PathBuf>,
    hub: &str,
    token: Option<&str>,
) -> anyhow::Result<Opened> {
    let listen = config.workbench_listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("The page cannot listen on {listen}; SENDOFF_WORKBENCH_LISTEN sets another address")
    })?;
    let address = listener.local_addr()?;
    let data = Warehouse::in_memory(DataLimits::default()).await?;
    let base_url = config.workbench_base_url.clone();
    let base_url = base_url.unwrap_or_else(|| format!("http://{address}"));
    let mut settings = instance::Settings::new(&base_url, data);
    if let Some(folder) = &folder {
        tokio::fs::create_dir_all(folder).await?;
    }
    settings.folder = folder;
    let instance = Instance::open(settings).await?;
    let hub = instance.add_hub(hub, token).await?;
    Ok(Opened { listener, address, instance, hub, token: token.map(str::to_owned) })
}

impl Opened {
    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Enables every action that has a stand-in behind it, so that each can be tried at once.
    pub(crate) async fn enable(&self, vendors: &dyn Vendors) {
        for name in &self.hub.actions {
            let Some(known) = vendors.known(name) else { continue };
            let action = self.hub.action(name);
            let Ok(listed) = self.instance.action(&action) else { continue };
            // A stand-in of several actions knows the settings of all of them.
            let listed = |name: &str| listed.definition.params.iter().any(|one| one.name == name);
            let params = known.params.into_iter().filter(|(name, _)| listed(name));
            let params = params.map(|(name, value)| (name, Binding::Value(value))).collect();
            // One that is refused stays disabled, and says on the page what it lacks.
            let _ = self.instance.configure(&action, params).await;
            if !known.workspaces.is_empty() {
                self.instance.offer_workspaces(&action, known.workspaces);
            } else if let Some(state) = known.state {
                for user in self.instance.users() {
                    let _ = self.instance.set_state(&user.id, &action, &state).await;
                }
            }
        }
    }

    /// Serves the page until Ctrl-C.
    pub(crate) async fn serve(
        self,
        vendors: Option<Arc<dyn Vendors>>,
        hub_process: Option<u32>,
    ) -> anyhow::Result<()> {
        let page = Page::new(Setup {
            instance: self.instance,
            hub: self.hub.id,
            token: self.token,
            vendors,
            hub_process,
        });
        tokio::select! {
            served = page.serve(self.listener) => Ok(served?),
            pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        }
    }
}
