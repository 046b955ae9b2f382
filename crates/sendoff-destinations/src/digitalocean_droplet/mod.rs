//! DigitalOcean: the droplets that a cell or a result names are shut down.

#[cfg(feature = "fakes")]
mod fake;
mod power;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sendoff::prelude::*;
use sendoff::{Commit, Quota, Repeatable, Row};

use crate::Difference;
use crate::shared::targets::{self, Wanted};
use power::{Fate, Power};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// The action; see its spec.
pub(crate) struct Droplet;

#[derive(Fields)]
pub(crate) struct Settings {
    /// A token with the scopes droplet:read and droplet:update.
    #[field(label = "DigitalOcean API Key")]
    digitalocean_api_key: Secret,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// What is done to each droplet. A shutdown lets the system close its files; a power off cuts
    /// the power.
    #[field(default = "shutdown")]
    operation: Operation,
    /// Wait until DigitalOcean says that it is done, and answer then.
    wait: bool,
    /// If the result names more droplets than this, none is touched.
    #[field(default = "20")]
    max_droplets: u32,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    #[choice(label = "Shut down")]
    Shutdown,
    #[choice(label = "Shut down; power off if it is still on after two minutes")]
    ShutdownThenPowerOff,
    #[choice(label = "Power off")]
    PowerOff,
    #[choice(label = "Power on")]
    PowerOn,
    #[choice(label = "Reboot")]
    Reboot,
}

const VENDOR: &str = "DigitalOcean";

/// Requests for droplets at a time.
const PARALLEL: usize = 4;

/// The vendor takes 250 requests a minute, and 5,000 an hour
/// (<https://docs.digitalocean.com/reference/api/intro/rate-limit/>): whoever changes thousands of
/// droplets is told by 429 to wait for the next hour.
const QUOTA: Quota =
    Quota { requests: 250, within: Duration::from_secs(61), cool_down: Duration::from_secs(1) };

impl Action for Droplet {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("digitalocean_droplet", "DigitalOcean - Stop Droplet")
        .description("Stop a DigitalOcean droplet.")
        .accepts(&[CellAction, Query])
        .formats(&[Format::JsonDetail])
        .required_tags(&[&["digitalocean_droplet_id"]])
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://docs.digitalocean.com/reference/api/reference/droplet-actions/")
        .delivery(Repeatable::Nothing, Commit::Streaming, true);

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let wanted = Wanted {
            tags: &["digitalocean_droplet_id"],
            most: form.max_droplets,
            most_field: "max_droplets",
            noun: "droplet",
            read: &droplet,
        };
        let targets = targets::read(cx, data, wanted).await?;
        let mut outcomes = targets.outcomes;
        let power = &Power::new(cx, &form);
        let (mut ids, mut running) = (targets.ids.into_iter(), FuturesUnordered::new());
        let mut fault = None;
        loop {
            while fault.is_none() && running.len() < PARALLEL {
                let Some(id) = ids.next() else { break };
                running.push(async move { (id, power.change(id).await) });
            }
            match running.next().await {
                None => break,
                Some((_, Ok(Fate::Done(state)))) => outcomes.done(state),
                Some((id, Ok(Fate::Failed(why)))) => outcomes.failed(id.to_string(), why),
                Some((id, Ok(Fate::Doubtful(why)))) => outcomes.doubtful(id.to_string(), why),
                // What stops one stops all: a wrong key, the end of the delivery's time.
                Some((id, Err(error))) => {
                    outcomes.untouched(id.to_string());
                    fault = fault.or(Some(error));
                }
            }
        }
        ids.for_each(|id| outcomes.untouched(id.to_string()));
        match fault {
            Some(fault) => Err(outcomes.interrupted(VENDOR, fault)),
            None => outcomes.conclude(VENDOR, cx.kind() == Some(CellAction)),
        }
    }
}

/// Numbers come as 123, "123" and, formatted, as "1,234".
fn droplet(text: &str, _: Option<&Row>) -> Result<u64, String> {
    let digits: String = text.chars().filter(|c| *c != ',').collect();
    match digits.parse() {
        Ok(0) | Err(_) => Err("is no droplet's number".to_owned()),
        Ok(id) => Ok(id),
    }
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "The power is cut.",
        ours: "The system is shut down.",
        switch: Some("operation"),
    },
    Difference {
        reference: "The first answer decides; what came of the other droplets is unknown.",
        ours: "Every droplet is waited for and counted.",
        switch: None,
    },
    Difference {
        reference: "An empty result is never answered.",
        ours: "It is answered at once.",
        switch: None,
    },
    Difference {
        reference: "However many droplets a result names are switched off.",
        ours: "More than 20 are refused before the first is touched.",
        switch: Some("max_droplets"),
    },
    Difference {
        reference: "All requests are sent at once, and a refusal for too many is not read.",
        ours: "Four droplets are changed at a time, at most 250 requests go out in a minute, and a 429 is waited for.",
        switch: None,
    },
    Difference {
        reference: "A value that is no number is sent as NaN.",
        ours: "It is named and never sent.",
        switch: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_droplet_is_a_whole_number() {
        assert_eq!(droplet("3164494", None), Ok(3_164_494));
        assert_eq!(droplet("3,164,494", None), Ok(3_164_494));
        for wrong in ["0", "-1", "1.5", "web-1", "NaN", "99999999999999999999999"] {
            assert!(droplet(wrong, None).is_err(), "{wrong}");
        }
    }
}
