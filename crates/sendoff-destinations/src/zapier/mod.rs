//! Zapier: the result starts a Zap, whole or row by row.

#[cfg(feature = "fakes")]
mod fake;

use std::time::Duration;

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::Difference;
use crate::shared::hook::Hook;
use crate::shared::hook::address::{Address, Hosts};
use crate::shared::hook::modes::{Modes, permit};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Starts a Zap.
pub(crate) struct Zapier;

#[derive(Fields)]
pub(crate) struct Form {
    #[field(label = "Zapier Webhook URL")]
    url: Secret,
    #[field(flatten)]
    modes: Modes,
}

/// The hosts that the reference hub allows. New hooks are all at `hooks.zapier.com`; schedules
/// that name another one keep working.
const HOSTS: &[&str] = &["*.zapier.com", "zapier.com"];

/// Zapier refuses a payload of more than 10 MB.
/// <https://docs.zapier.com/platform/build/operating-constraints>
const LARGEST: usize = 10_000_000;

/// Zapier refuses more than 30 requests a second to one hook (same page); 20 leave room for other
/// senders.
const PACE: Duration = Duration::from_millis(50);

impl Action for Zapier {
    type Settings = ();
    type Form = Form;

    const SPEC: Spec = Spec::new("zapier", "Zapier")
        .description("Send data and begin a Zapier zap.")
        .formats(&[Format::JsonDetail])
        .raw_values()
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://help.zapier.com/hc/en-us/articles/8496288690317")
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    fn lane(&self, (): &(), form: &Form) -> String {
        lane(&form.url)
    }

    async fn execute(&self, cx: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
        let address = Address::parse(&form.url)?;
        permit(&address, HOSTS, &Hosts::default())?;
        let hook = Hook::new(cx, address).confirmed_by(confirms);
        let receipt = match form.modes.batches(LARGEST, Some(PACE))? {
            None => hook.whole(data).await?,
            Some(batches) => hook.rows(data, batches).await?,
        };
        // Also for deleted and paused Zaps: help page above.
        Ok(receipt.remark(
            "Zapier confirms only that it has the data; whether a Zap ran stands in its history.",
        ))
    }
}

/// The host of a URL, as the name of a lane.
fn lane(url: &Secret) -> String {
    Address::parse(url).map_or_else(|_| "zapier".to_owned(), |address| address.host().to_owned())
}

/// `{"status": "success", …}`, or nothing (`/silent/` hooks). An HTML page comes from somebody
/// else, such as a login in front of a gateway.
fn confirms(answer: &str) -> Option<bool> {
    match serde_json::from_str::<serde_json::Value>(answer) {
        Ok(answer) => Some(answer.get("status").is_none_or(|status| status == "success")),
        Err(_) => (!answer.trim_start().starts_with('<')).then_some(true),
    }
}

/// What differs from the reference hub in this action alone.
pub(crate) const DIFFERENCES: &[Difference] = &[Difference {
    reference: "Any answer of status 200 counts as success, a login page too.",
    ours: "It must be Zapier's own.",
    switch: None,
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zapiers_own_answer_confirms() {
        for yes in [r#"{"attempt":"0193","id":"0193","status":"success"}"#, "", "ok"] {
            assert_eq!(confirms(yes), Some(true), "{yes}");
        }
        assert_eq!(confirms(r#"{"status":"error"}"#), Some(false));
        assert_eq!(confirms("<!DOCTYPE html><title>Log in</title>"), None);
    }

    #[test]
    fn the_hosts_are_zapiers() {
        let permitted = |url: &str| {
            permit(&Address::parse(&url.into()).unwrap(), HOSTS, &Hosts::default()).is_ok()
        };
        for yes in ["https://hooks.zapier.com/hooks/catch/1/a/", "https://zapier.com/hooks/x"] {
            assert!(permitted(yes), "{yes}");
        }
        for no in [
            "https://hooks.zapier.com.evil.example/",
            "https://badzapier.com/",
            "https://zapier.com@evil.example/",
            "https://evil.example/hooks.zapier.com/",
        ] {
            assert!(!permitted(no), "{no}");
        }
    }
}
