//! Tray: the result starts a workflow, whole or row by row.

#[cfg(feature = "fakes")]
mod fake;

use std::time::Duration;

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::shared::hook::Hook;
use crate::shared::hook::address::{Address, Headers, Hosts};
use crate::shared::hook::modes::{Modes, permit};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Starts a Tray workflow.
pub(crate) struct Tray;

#[derive(Fields)]
pub(crate) struct Settings {
    /// Hosts that are allowed beside those of trayapp.io, separated by commas. *.example.com is
    /// every host below example.com.
    allowed_hosts: Option<Hosts>,
    /// The name of a header that the workflow's trigger checks.
    header_name: Option<String>,
    /// That header's value.
    header_value: Option<Secret>,
    /// If set, each request carries X-Hub-Signature-256, an HMAC of its time and body.
    signing_secret: Option<Secret>,
}

#[derive(Fields)]
pub(crate) struct Form {
    #[field(label = "Tray Webhook URL")]
    url: Secret,
    #[field(flatten)]
    modes: Modes,
    /// Choose yes if the workflow answers only when it is done, which may take up to 10 minutes.
    wait_for_workflow: bool,
}

/// The reference hub's rule.
const HOSTS: &[&str] = &["*.trayapp.io", "trayapp.io"];

/// A webhook may bring 1 MB.
/// <https://tray.io/documentation/platform/connectors/webhook-trigger/>
const LARGEST: usize = 1_000_000;

/// Longer than a workflow that answers by itself usually takes, shorter than Looker's patience.
const WORKFLOW: Duration = Duration::from_secs(600);

impl Action for Tray {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("tray", "Tray")
        .description("Send data and begin a Tray workflow.")
        .formats(&[Format::JsonDetail])
        .raw_values()
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://docs.tray.ai/connectors/trigger/webhook-trigger")
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    fn lane(&self, _: &Settings, form: &Form) -> String {
        let address = Address::parse(&form.url);
        address.map_or_else(|_| "tray".to_owned(), |address| address.host().to_owned())
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let address = Address::parse(&form.url)?;
        let settings = &cx.settings;
        let listed = settings.allowed_hosts.as_ref();
        permit(&address, HOSTS, listed.unwrap_or(&Hosts::default()))?;
        let hook = Hook::new(cx, address)
            .headers(settings.headers()?)
            .signed(settings.signing_secret.clone())
            .patience(form.wait_for_workflow.then_some(WORKFLOW));
        match form.modes.batches(LARGEST, None)? {
            None => hook.whole(data).await,
            Some(batches) => hook.rows(data, batches).await,
        }
    }
}

impl Settings {
    fn headers(&self) -> Result<Headers> {
        match (&self.header_name, &self.header_value) {
            (None, None) => Ok(Headers::default()),
            (Some(name), Some(value)) => Headers::one(name, value.expose())
                .map_err(|why| Error::settings(format!("The header of the settings: {why}"))),
            _ => Err(Error::settings(
                "Header Name and Header Value belong together: set both or none.",
            )),
        }
    }
}
