//! Microsoft Teams: a card in a channel or chat, posted by a workflow's webhook.

mod card;
mod channels;
#[cfg(feature = "fakes")]
mod fake;

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::Difference;
use crate::shared::hook::address::{Address, Hosts, covers};
use crate::shared::hook::{Confirmed, Hook, Message};
use crate::shared::wording::{Wanted, Wording, counts, one_line};
use card::Card;
use channels::Channels;

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Posts cards.
pub(crate) struct Teams;

#[derive(Fields)]
pub(crate) struct Settings {
    /// Channels that users choose by name, one on a line: Sales: https://… (the webhook URL of its
    /// workflow). Users then need not know the URLs.
    #[field(textarea)]
    channels: Option<Channels>,
    /// Whether users may enter a webhook URL of their own.
    #[field(default = "yes")]
    allow_own_urls: bool,
    /// Further hosts that webhook URLs may have, such as those of a government cloud: example.com,
    /// or *.example.com for all below it.
    further_hosts: Option<Hosts>,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// What the workflow "Send webhook alerts to a channel" shows after it was saved.
    #[field(name = "webhookUrl", label = "Webhook URL")]
    webhook_url: Option<Secret>,
    /// May hold {title}, {rows}, {date} and the like.
    title: String,
    /// Placeholders as in the title. Teams' Markdown counts: **bold**, [text](link), lists.
    #[field(textarea)]
    text: Option<String>,
    /// Type, title, model and view of what is sent.
    #[field(name = "isAttached", label = "Attach Meta Data", default = "false")]
    is_attached: MetaData,
    /// Where the card is posted, if your admin named channels.
    channel: Option<String>,
    /// How many of the first rows the card shows, as far as they fit; for formats that have rows.
    #[field(label = "Rows In The Card", default = "0")]
    table_rows: u32,
    /// Whether a card is posted if the result has no rows.
    #[field(default = "yes")]
    send_if_empty: bool,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaData {
    #[choice(name = "false", label = "false")]
    No,
    #[choice(name = "true", label = "true")]
    Yes,
}

/// Where workflows listen, as Microsoft gives out their URLs.
/// <https://learn.microsoft.com/en-us/power-automate/ip-address-configuration>
const WORKFLOWS: [&str; 3] =
    ["*.environment.api.powerplatform.com", "*.logic.azure.com", "*.powerautomate.com"];

/// The connectors of Office 365, which Microsoft retired.
/// <https://devblogs.microsoft.com/microsoft365dev/retirement-of-office-365-connectors-within-microsoft-teams/>
const RETIRED: [&str; 2] = ["*.webhook.office.com", "outlook.office.com"];

/// Where the reference hub's behaviour is a known fault.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "A message card is sent, which workflows do not take; every answer but 1 is a failure, so that each delivery to a workflow fails after it was posted.",
        ours: "An adaptive card is sent, and the 202 of a workflow is a success.",
        switch: None,
    },
    Difference {
        reference: "Any URL is called.",
        ours: "Only hosts of Microsoft's workflows and those that the admin lists are called.",
        switch: Some("further_hosts"),
    },
    Difference {
        reference: "A missing answer to Attach Meta Data is a failure.",
        ours: "A missing answer means no.",
        switch: None,
    },
    Difference {
        reference: "The data is rendered and thrown away.",
        ours: "The card can show the first rows of formats that have any; a picture or PDF stays in Looker, behind the card's button, and the answer says so.",
        switch: Some("table_rows"),
    },
    Difference {
        reference: "A card that is larger than Teams takes is refused.",
        ours: "Rows are left out until it fits, and counted.",
        switch: None,
    },
];

impl Action for Teams {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("teams_incomingwebhook", "Teams - Incoming Webhook")
        .description("Send data to Teams Incoming webhook.")
        .accepts(&[Query, Dashboard])
        .formats(&[
            Format::Csv,
            Format::WysiwygPng,
            Format::WysiwygPdf,
            Format::JsonDetail,
            Format::AssembledPdf,
        ])
        .raw_values()
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://support.microsoft.com/en-us/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498")
        .delivery(Repeatable::Nothing, Commit::LastByte, false);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        match cx.settings.channels.as_ref() {
            None => form.channel.hide(),
            Some(channels) => {
                form.channel.select(channels.names().map(|name| (name, name)));
                if !cx.settings.allow_own_urls {
                    form.webhook_url.hide();
                }
            }
        }
        Ok(())
    }

    fn lane(&self, settings: &Settings, form: &Form) -> String {
        let target = settings.target(form);
        target.map_or_else(|_| "teams".to_owned(), |(address, _)| address.host().to_owned())
    }

    async fn execute(
        &self,
        cx: &Context<Settings>,
        form: Form,
        mut data: Payload,
    ) -> Result<Receipt> {
        let (address, retired) = cx.settings.target(&form)?;
        let is_file = !data.has_rows();
        let texts = [Some(form.title.as_str()), form.text.as_deref()];
        let count = !form.send_if_empty || texts.into_iter().any(counts);
        let wanted = Wanted { filename: None, rows: form.table_rows, count };
        // Read to its end even if the card shows none of it: a result that breaks off is told.
        let (wording, _) = Wording::of(cx, &mut data, wanted).await?;
        if !form.send_if_empty && wording.is_empty() {
            return Ok(Receipt::new("Teams").says(
                "The result has no rows, so that nothing was posted to Teams, as the form asks for.",
            ));
        }
        let text = form.text.as_deref().map(|text| wording.text("text", text)).transpose()?;
        let mut card = Card {
            title: one_line(&wording.text("title", &form.title)?),
            text: text.unwrap_or_default(),
            facts: match form.is_attached {
                MetaData::Yes => card::facts(cx.plan()),
                MetaData::No => Vec::new(),
            },
            table: wording.excerpt().filter(|_| form.table_rows > 0).cloned(),
            link: wording.link().map(str::to_owned),
        };
        let hook = Hook::new(cx, address).confirmed_by(confirms);
        let confirmed = post(cx, &hook, &mut card).await;
        let confirmed = confirmed.map_err(|fault| fault.context("Teams"))?;
        let place = form.channel.as_deref().filter(|_| form.webhook_url.is_none());
        let receipt = Receipt::new("Teams").says(match place {
            Some(channel) => format!("Teams has the card for {channel}."),
            None => "Teams has the card.".to_owned(),
        });
        let receipt = confirmed.remark(receipt);
        let receipt = match is_file {
            true => receipt.remark(
                "The file itself is not posted, since a webhook takes none: the button leads to it \
                 in Looker.",
            ),
            false => receipt,
        };
        Ok(match retired {
            true => receipt.remark(
                "This webhook is of a kind that Microsoft has retired: make a workflow in its \
                 place before it ends.",
            ),
            false => receipt,
        })
    }
}

/// Posts the card. A workflow that adds much of its own may find it too large: then once more, with
/// half of it.
async fn post(
    cx: &Context<Settings>,
    hook: &Hook<'_, Settings>,
    card: &mut Card,
) -> Result<Confirmed> {
    let message =
        |body: String| Message { key: cx.http().idempotency_key("card"), body: body.into() };
    let body = card.fitted(card::LARGEST)?;
    let half = body.len() / 2;
    let fault = match hook.json(cx.http(), message(body)).await {
        Err(fault) if fault.http_status() == Some(413) => fault,
        posted => return posted,
    };
    match card.fitted(half) {
        Ok(body) => hook.json(cx.http(), message(body)).await,
        Err(_) => Err(fault),
    }
}

impl Settings {
    /// The webhook, and whether it is of the retired kind.
    fn target(&self, form: &Form) -> Result<(Address, bool)> {
        let wrong = |why: String| Error::form("webhookUrl", why);
        let url = match (&form.webhook_url, form.channel.as_deref()) {
            (Some(_), _) if !self.allow_own_urls => {
                return Err(wrong("Your admin allows the named channels alone.".to_owned()));
            }
            (Some(url), _) => url,
            (None, Some(name)) => self
                .channels
                .as_ref()
                .and_then(|channels| channels.url(name))
                .ok_or_else(|| Error::form("channel", "There is no such channel any more."))?,
            (None, None) => {
                return Err(wrong("Need a webhookUrl: paste the URL of a workflow.".to_owned()));
            }
        };
        let address = Address::parse(url).map_err(|why| wrong(why.message().to_owned()))?;
        let host = address.host();
        let any = |list: &[&str]| list.iter().any(|rule| covers(rule, host));
        let listed = self.further_hosts.as_ref().is_some_and(|hosts| hosts.allow(host));
        if !(any(&WORKFLOWS) || any(&RETIRED) || listed) {
            return Err(wrong(format!(
                "{host} is no host of Teams' workflows. Copy the URL from the workflow, or ask \
                 your admin to add the host to \"Further Hosts\"."
            )));
        }
        let retired = any(&RETIRED);
        Ok((address, retired))
    }
}

/// A workflow answers 202 with nothing; a connector answered `1`, and its failures too with 200.
fn confirms(answer: &str) -> Option<bool> {
    match answer.trim() {
        "" | "1" => Some(true),
        page if page.starts_with('<') => None,
        // What a workflow's own answer step may say.
        json if json.starts_with('{') => Some(!json.contains("\"error\"")),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendoff::Value;

    fn settings(channels: Option<&str>, own: bool) -> Settings {
        Settings {
            channels: channels.map(|text| Channels::parse(text).unwrap()),
            allow_own_urls: own,
            further_hosts: Some(Hosts::parse("*.logic.azure.us").unwrap()),
        }
    }

    fn form(url: Option<&str>, channel: Option<&str>) -> Form {
        Form {
            webhook_url: url.map(Secret::from),
            title: "T".into(),
            text: None,
            is_attached: MetaData::No,
            channel: channel.map(str::to_owned),
            table_rows: 0,
            send_if_empty: true,
        }
    }

    #[test]
    fn only_hosts_of_workflows_are_called() {
        let settings = settings(None, true);
        let target = |url: &str| settings.target(&form(Some(url), None));
        for (url, retired) in [
            ("https://x.00.environment.api.powerplatform.com:443/a?sig=b", false),
            ("https://prod-1.westeurope.logic.azure.com/a", false),
            ("https://x.logic.azure.us/a", false),
            ("https://contoso.webhook.office.com/a", true),
        ] {
            assert_eq!(target(url).unwrap().1, retired, "{url}");
        }
        for url in [
            "https://logic.azure.com.evil.example/",
            "https://evil.example/.logic.azure.com",
            "https://x.logic.azure.com@evil.example/",
            "http://169.254.169.254/",
            "",
        ] {
            let error = target(url).map(|_| ()).unwrap_err();
            assert_eq!(error.field_name(), Some("webhookUrl"), "{url}");
        }
    }

    #[test]
    fn channels_are_named_and_their_urls_stay_hidden() {
        let settings = settings(Some("Sales: https://a.logic.azure.com/x?sig=1"), false);
        let (address, _) = settings.target(&form(None, Some("Sales"))).unwrap();
        assert_eq!(address.host(), "a.logic.azure.com");
        assert!(settings.target(&form(None, Some("Other"))).is_err());
        assert!(settings.target(&form(Some("https://a.logic.azure.com/x"), None)).is_err());
        assert!(settings.target(&form(None, None)).is_err());
    }

    #[test]
    fn only_an_empty_answer_or_the_old_one_confirms() {
        assert_eq!(confirms(""), Some(true));
        assert_eq!(confirms("1"), Some(true));
        assert_eq!(confirms("Webhook message delivery failed with error: 413"), Some(false));
        assert_eq!(confirms(r#"{"error":{"code":"X"}}"#), Some(false));
        assert_eq!(confirms("<!DOCTYPE html>"), None);
    }
}
