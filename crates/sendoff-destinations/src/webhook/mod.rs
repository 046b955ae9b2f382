//! Any HTTP endpoint: the result whole, as a form, in batches or row by row, signed if asked.

#[cfg(feature = "fakes")]
mod fake;

use http::Method;
use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::shared::hook::address::{Address, Headers, Hosts};
use crate::shared::hook::batches::{Batches, Keys, batch_rows};
use crate::shared::hook::{Hook, Message};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Calls any URL that the admin allows.
pub(crate) struct Webhook;

#[derive(Fields)]
pub(crate) struct Settings {
    /// Where results go if the form names no URL.
    #[field(label = "Default URL")]
    default_url: Option<Secret>,
    /// The hosts that users may send to, separated by commas: example.com, or *.example.com for
    /// every host below it. If empty, users may send to any public host.
    allowed_hosts: Option<Hosts>,
    /// Headers for each request, one on a line: Name: value. They go only to the host of the URL
    /// above and to the allowed hosts.
    #[field(textarea)]
    headers: Option<Headers>,
    /// If set, each request carries X-Hub-Signature-256, an HMAC-SHA256 of its time and body. It
    /// goes only where the headers go.
    signing_secret: Option<Secret>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// Where the result goes. May be empty if your Looker admin has set a URL.
    #[field(label = "URL")]
    url: Option<Secret>,
    #[field(default = "post")]
    method: Verb,
    /// Whole is the file as Looker made it. A form has it as its part "file". Rows and batches are
    /// flat JSON: an object for each row, or a list of them.
    #[field(default = "whole")]
    mode: Mode,
    /// How many rows a batch has at most.
    #[field(default = "500")]
    batch_rows: u32,
    /// How many KiB a batch has at most, up to 5,120.
    #[field(label = "Batch KiB", default = "1024")]
    batch_kib: u32,
    /// How many requests may run at a time, up to 8. With more than 1 the order of rows is lost.
    #[field(label = "Requests at a Time", default = "1")]
    parallel: u16,
    /// What the values of a row are called.
    #[field(default = "name")]
    keys: Keys,
    /// Choose yes if the receiver may get the same request twice, for example because it looks at
    /// the header Idempotency-Key. Then requests that fail in passing are sent again.
    #[field(label = "Receiver Is Idempotent")]
    idempotent: bool,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    #[choice(label = "POST")]
    Post,
    #[choice(label = "PUT")]
    Put,
    #[choice(label = "PATCH")]
    Patch,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    #[choice(label = "Whole")]
    Whole,
    #[choice(label = "As a form (multipart/form-data)")]
    Multipart,
    #[choice(label = "Batches of rows as JSON")]
    Batches,
    #[choice(label = "One request for each row")]
    Rows,
}

/// Eight batches of this size are what one delivery may hold in memory.
const BATCH_KIB_AT_MOST: u32 = 5 * 1024;
const PARALLEL_AT_MOST: u16 = 8;

impl Action for Webhook {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("webhook", "Webhook")
        .description("Send data to any HTTP endpoint.")
        .accepts(&[CellAction, Dashboard, Query])
        .streaming()
        .svg(include_bytes!("icon.svg"))
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        if let Some(url) = &cx.settings.default_url {
            let host = Address::parse(url)?.host().to_owned();
            form.url.describe(format!("Leave empty to send to {host}, as your Looker admin set."));
        }
        Ok(())
    }

    fn lane(&self, settings: &Settings, form: &Form) -> String {
        let address = settings.address(form);
        address.map_or_else(|_| "webhook".to_owned(), |address| address.host().to_owned())
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let address = cx.settings.address(&form)?;
        let trusted = cx.settings.trust(&address)?;
        let mut hook =
            Hook::new(cx, address).method(form.method.http()).idempotent(form.idempotent);
        if trusted {
            hook = hook
                .headers(cx.settings.headers.clone().unwrap_or_default())
                .signed(cx.settings.signing_secret.clone());
        }
        if cx.kind() == Some(CellAction) {
            return cell(cx, &hook).await;
        }
        match form.mode {
            Mode::Whole => hook.whole(data).await,
            Mode::Multipart => hook.multipart(data).await,
            Mode::Batches | Mode::Rows => hook.rows(data, form.batches()?).await,
        }
    }
}

/// A cell is small: its value, and what Looker shows for it.
async fn cell(cx: &Context<Settings>, hook: &Hook<'_, Settings>) -> Result<Receipt> {
    let body = serde_json::json!({ "value": cx.cell_value(), "rendered": cx.cell_rendered() });
    let key = cx.http().idempotency_key("cell");
    let message = Message { key, body: body.to_string().into() };
    Ok(hook.json(cx.http(), message).await?.remark(Receipt::new(hook.host())))
}

impl Settings {
    fn address(&self, form: &Form) -> Result<Address> {
        match (&form.url, &self.default_url) {
            (Some(url), _) => Address::parse(url),
            (None, Some(url)) => Address::parse(url).map_err(|fault| {
                Error::settings(format!("The setting Default URL: {}", fault.message()))
            }),
            (None, None) => Err(Error::form("url", "URL is required.")),
        }
    }

    /// Whether the admin named the host, so that headers and signature may go there: a user could
    /// otherwise have them sent to a host of his own.
    fn trust(&self, address: &Address) -> Result<bool> {
        let host = address.host();
        let own = self.default_url.as_ref().map(Address::parse).transpose();
        let own = own.ok().flatten().is_some_and(|own| own.host() == host);
        let listed = self.allowed_hosts.as_ref();
        if own || listed.is_some_and(|hosts| hosts.allow(host)) {
            return Ok(true);
        }
        if listed.is_some_and(|hosts| !hosts.is_empty()) {
            return Err(Error::form(
                "url",
                format!("{host} is not among the hosts that your Looker admin allows."),
            ));
        }
        if self.headers.is_some() || self.signing_secret.is_some() {
            return Err(Error::settings(format!(
                "The settings hold headers or a signing secret, and these go only to hosts that \
                 the settings name. Add {host} to Allowed Hosts if it is one of yours."
            )));
        }
        Ok(false)
    }
}

impl Form {
    fn batches(&self) -> Result<Batches> {
        if !(1..=BATCH_KIB_AT_MOST).contains(&self.batch_kib) {
            return Err(Error::form(
                "batch_kib",
                format!("Enter 1 to {BATCH_KIB_AT_MOST}; {} is not.", self.batch_kib),
            ));
        }
        if !(1..=PARALLEL_AT_MOST).contains(&self.parallel) {
            return Err(Error::form(
                "parallel",
                format!("Enter 1 to {PARALLEL_AT_MOST}; {} is not.", self.parallel),
            ));
        }
        Ok(Batches {
            rows: batch_rows(self.batch_rows)?,
            // At most 5 MiB, which any usize holds.
            bytes: self.batch_kib as usize * 1024,
            parallel: self.parallel.into(),
            pace: None,
            bare: self.mode == Mode::Rows,
            stamped: false,
            keys: self.keys,
        })
    }
}

impl Verb {
    fn http(self) -> Method {
        match self {
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendoff::Value;

    fn trust(own: Option<&str>, hosts: &str, secret: bool, to: &str) -> Result<bool> {
        let settings = Settings {
            default_url: own.map(Secret::from),
            allowed_hosts: Some(hosts).filter(|h| !h.is_empty()).map(|h| Hosts::parse(h).unwrap()),
            headers: None,
            signing_secret: secret.then(|| "a signing secret".into()),
        };
        settings.trust(&Address::parse(&to.into()).unwrap())
    }

    #[test]
    fn the_admins_secrets_go_only_to_hosts_that_the_admin_named() {
        let own = Some("https://own.example/a");
        assert!(trust(own, "", true, "https://own.example/b").unwrap());
        assert!(trust(None, "*.corp.example", true, "https://a.corp.example/").unwrap());
        assert!(!trust(None, "", false, "https://any.example/").unwrap());

        let refused = trust(own, "", true, "https://evil.example/").unwrap_err();
        assert_eq!(refused.class(), sendoff::Class::Settings);
        let refused = trust(None, "corp.example", true, "https://evil.example/").unwrap_err();
        assert_eq!(refused.field_name(), Some("url"));
    }
}
