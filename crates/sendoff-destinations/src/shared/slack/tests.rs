//! What stands in Slack afterwards, and what the form says, against the stand-in.

use std::sync::Arc;

use sendoff::testing::{
    At, By, Content, Fake, Heard, Looker, Mischief, Shipment, Vendor, VendorFault,
};
use sendoff::{ActionType, AnyAction, EgressConfig, Format, Hub, Origins, RetryPolicy, Values};
use serde_json::{Value, json};

use super::fake::{CHANNEL, FakeSlack, ORGANISATION, OTHER, Posted, THREAD, TOKEN};

struct Stage {
    slack: Arc<FakeSlack>,
    vendor: Vendor,
    looker: Looker,
    name: &'static str,
    settings: Values,
}

impl Stage {
    async fn token(settings: &[(&str, &str)]) -> Self {
        let settings: Values =
            [("slack_api_token", TOKEN)].into_iter().chain(settings.iter().copied()).collect();
        Self::set(Box::new(crate::slack::SlackToken), settings).await
    }

    async fn app(installs: Value) -> Self {
        let settings = [("state_json", installs.to_string())].into_iter().collect();
        Self::set(Box::new(crate::slack_app::SlackApp), settings).await
    }

    async fn set(action: Box<dyn AnyAction>, settings: Values) -> Self {
        let name = action.spec().name;
        let slack = Arc::new(FakeSlack::new(settings.clone(), None));
        let vendor =
            Vendor::start(Arc::clone(&slack) as Arc<dyn Fake>, true).await.expect("a port");
        let mut origins = vendor.origins();
        let looker = Looker::before(|secret, downloads| {
            origins.extend(downloads);
            let mut egress = EgressConfig::new("a secret of these tests".into());
            egress.origins = Origins::parse(origins)?;
            egress.retry = RetryPolicy {
                tries: 2,
                first_wait: std::time::Duration::from_millis(1),
                ..RetryPolicy::default()
            };
            Hub::builder().actions([action]).secrets([secret]).egress(egress).build()
        })
        .await
        .expect("a hub");
        Self { slack, vendor, looker, name, settings }
    }

    async fn form(&self, answers: &[(&str, &str)]) -> Value {
        let answers = answers.iter().copied().collect();
        self.looker.form(self.name, &self.settings, Some(&answers)).await.expect("a form").1
    }

    async fn send(&self, answers: &[(&str, &str)]) -> Heard {
        self.send_of(Some(Content::new(Format::Csv, 5_000)), answers).await
    }

    async fn send_of(&self, content: Option<Content>, answers: &[(&str, &str)]) -> Heard {
        let shipment = Shipment {
            action: self.name.to_owned(),
            kind: ActionType::Query,
            settings: self.settings.clone(),
            answers: [("format", "csv")].into_iter().chain(answers.iter().copied()).collect(),
            content,
            by: By::Push,
            fault: None,
            webhook_id: "0123456789abcdef0123456789abcdef".to_owned(),
        };
        self.looker.execute(&shipment).await.expect("an answer")
    }

    fn posted(&self) -> Vec<Posted> {
        self.slack.ledger().posted.clone()
    }

    fn calls(&self, method: &str) -> usize {
        self.slack.ledger().calls.iter().filter(|call| *call == method).count()
    }

    fn take_scopes(&self, taken: &[&str]) {
        self.slack.ledger().scopes.retain(|scope| !taken.contains(scope));
    }

    /// The last step is done, and its answer is lost.
    fn lose_the_last_answer(&self) {
        let fault = VendorFault { at: At::Commit, mischief: Mischief::LoseAnswer, lasting: false };
        self.vendor.injure(fault);
    }
}

fn field<'a>(form: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = form.as_array().or_else(|| form["fields"].as_array());
    fields.into_iter().flatten().find(|field| field["name"] == name)
}

fn labels(form: &Value, name: &str) -> Vec<String> {
    let options = field(form, name).and_then(|field| field["options"].as_array());
    let options = options.into_iter().flatten();
    options.map(|one| format!("{} {}", one["name"], one["label"]).replace('"', "")).collect()
}

fn help<'a>(form: &'a Value, name: &str) -> &'a str {
    field(form, name).and_then(|field| field["description"].as_str()).unwrap_or_default()
}

fn delivered(heard: &Heard) {
    assert!(heard.envelope.as_ref().is_some_and(|envelope| envelope.success), "{}", heard.text);
}

fn refused(heard: &Heard, field: &str, words: &str) {
    let envelope = heard.envelope.as_ref().expect("an envelope");
    assert!(!envelope.success && heard.message().contains(words), "{}", heard.text);
    assert!(field.is_empty() || envelope.validation_errors.contains_key(field), "{}", heard.text);
}

#[tokio::test]
async fn file_comment_and_thread_arrive_in_one_message() {
    let stage = Stage::token(&[]).await;
    let heard = stage
        .send(&[
            ("channel", CHANNEL),
            ("filename", "orders of {format}"),
            ("initial_comment", "See <https://looker.example|this> & {nothing}"),
            ("thread", THREAD),
        ])
        .await;
    delivered(&heard);
    let posted = stage.posted();
    let [message] = &posted[..] else { panic!("{posted:?}") };
    let (name, digests) = message.file.as_ref().expect("a file");
    assert_eq!((name.as_str(), digests.bytes), ("orders of csv.csv", 5_000));
    assert_eq!(digests.sha256, Content::new(Format::Csv, 5_000).sha256());
    assert_eq!(message.text, "See <https://looker.example|this> & {nothing}");
    assert_eq!(message.thread.as_deref(), Some(THREAD));
    assert_eq!(message.channel, CHANNEL);
}

#[tokio::test]
async fn people_names_and_several_channels_are_reached() {
    let stage = Stage::token(&[]).await;
    delivered(&stage.send(&[("channel", "U0ADA00001, #reports-eu G0FINANCE1")]).await);
    let channels: Vec<_> = stage.posted().into_iter().map(|posted| posted.channel).collect();
    assert_eq!(channels, ["D0ADA00001", "C0REPORTS1", "G0FINANCE1"]);
}

/// The README of the reference hub asks for these.
const OF_THE_REFERENCE: [&str; 8] = [
    "channels:read",
    "users:read",
    "files:write",
    "groups:read",
    "im:read",
    "mpim:read",
    "chat:write",
    "chat:write.public",
];

/// They open no conversations, and no user can give Looker's own app more.
#[tokio::test]
async fn people_are_reached_by_the_scopes_of_the_reference() {
    for takes_people in [true, false] {
        let stage = Stage::token(&[]).await;
        stage.slack.ledger().scopes = OF_THE_REFERENCE.to_vec();
        let mut completed = 1;
        if !takes_people {
            stage.slack.ledger().refuses =
                Some(("files.completeUploadExternal", "invalid_arguments", 1));
            completed = 2;
        }
        let to = [("channel", "U0ADA00001, C0EXPORTS1"), ("initial_comment", "Here.")];
        delivered(&stage.send(&to).await);
        let posted = stage.posted();
        let [ada, channel] = &posted[..] else { panic!("{posted:?}") };
        assert_eq!((&*ada.channel, &*channel.channel), ("D0ADA00001", CHANNEL));
        assert!(ada.file.is_some() && ada.text == "Here." && ada.file == channel.file);
        let probed = usize::from(!takes_people);
        assert_eq!((stage.calls("chat.postMessage"), stage.calls("chat.delete")), (probed, probed));
        assert_eq!(stage.calls("files.completeUploadExternal"), completed);
    }
    let stage = Stage::token(&[]).await;
    stage.slack.ledger().scopes = OF_THE_REFERENCE.to_vec();
    let heard = stage.send_of(None, &[("channel", "@ada"), ("initial_comment", "Hello.")]).await;
    delivered(&heard);
    let posted = stage.posted();
    assert_eq!((posted.len(), &*posted[0].channel, &*posted[0].text), (1, "D0ADA00001", "Hello."));
    // Nobody there: what Slack says to a person's id is not the end of it.
    refused(&stage.send(&[("channel", "U0NOBODY01")]).await, "channel", "channel_not_found");
    assert_eq!(stage.posted().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_to_a_person_is_looked_up_where_the_scopes_allow() {
    for can_look in [true, false] {
        let stage = Stage::token(&[]).await;
        stage.take_scopes(if can_look { &["im:write"] } else { &["im:write", "files:read"] });
        stage.lose_the_last_answer();
        let heard = stage.send(&[("channel", "U0ADA00001, C0EXPORTS1")]).await;
        if can_look {
            delivered(&heard);
        } else {
            refused(&heard, "", "may have arrived");
        }
        assert_eq!((stage.posted().len(), stage.calls("files.completeUploadExternal")), (2, 1));
        assert_eq!(stage.calls("conversations.history"), 0);
    }
}

#[tokio::test]
async fn refusals_say_who_must_do_what() {
    let stage = Stage::token(&[]).await;
    let cases = [
        ("C0GENERAL1", "", "channel", "Invite it in Slack: open the channel, type /invite"),
        ("C0ARCHIVE1", "", "channel", "the channel is archived"),
        ("C0NOWHERE1", "", "channel", "there is no such channel for this bot"),
        ("U0NOBODY01", "", "channel", "cannot write to this person"),
        ("#nowhere", "", "channel", "#nowhere is not among the channels"),
        ("general", "", "channel", "\"general\" is no id"),
        (CHANNEL, "1700000009.000900", "thread", "no such message in this channel"),
        (CHANNEL, "yesterday", "thread", "This is no message"),
    ];
    for (channel, thread, field, words) in cases {
        let heard = stage.send(&[("channel", channel), ("thread", thread)]).await;
        refused(&heard, field, words);
    }
    stage.take_scopes(&["files:write"]);
    let heard = stage.send(&[("channel", CHANNEL)]).await;
    refused(&heard, "", "the token needs the scope files:write and has channels:read,groups:read");
    assert_eq!(stage.posted(), []);
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_where_the_scopes_allow() {
    for (taken, asked) in [(&[][..], "files.info"), (&["files:read"], "conversations.history")] {
        let stage = Stage::token(&[]).await;
        stage.take_scopes(taken);
        stage.lose_the_last_answer();
        delivered(&stage.send(&[("channel", CHANNEL)]).await);
        assert_eq!((stage.calls(asked), stage.posted().len()), (1, 1));
    }
    let stage = Stage::token(&[]).await;
    stage.take_scopes(&["files:read"]);
    stage.lose_the_last_answer();
    delivered(&stage.send(&[("channel", CHANNEL), ("thread", THREAD)]).await);
    assert_eq!(stage.calls("conversations.replies"), 1);
    let stage = Stage::token(&[]).await;
    stage.take_scopes(&["files:read", "channels:history"]);
    stage.lose_the_last_answer();
    let heard = stage.send(&[("channel", CHANNEL)]).await;
    refused(&heard, "", "may have arrived");
    assert_eq!((stage.calls("files.completeUploadExternal"), stage.posted().len()), (1, 1));
}

#[tokio::test]
async fn a_busy_slack_is_waited_for_before_the_last_step() {
    let stage = Stage::token(&[]).await;
    let refusal = sendoff::testing::Refusal {
        status: 429,
        retry_after: Some(0),
        media_type: "application/json",
        body: json!({"ok": false, "error": "ratelimited"}).to_string(),
    };
    let mischief = Mischief::Refuse(refusal);
    stage.vendor.injure(VendorFault { at: At::Commit, mischief, lasting: false });
    delivered(&stage.send(&[("channel", CHANNEL)]).await);
    assert_eq!(stage.posted().len(), 1);
}

#[tokio::test]
async fn the_list_is_whole_sorted_and_says_where_the_bot_is() {
    let stage = Stage::token(&[]).await;
    let form = stage.form(&[("channelType", "channels")]).await;
    assert_eq!(
        labels(&form, "channel"),
        [
            "C0EXPORTS1 #exports",
            "G0FINANCE1 #finance",
            "C0REPORTS1 #reports-eu",
            "C0REPORTS2 #reports-us",
            "C0GENERAL1 #general (the bot is not a member)",
        ]
    );
    assert_eq!(field(&form, "channel").map(|field| &field["label"]), Some(&json!("Share In")));
    assert_eq!(
        field(&form, "channelType").map(|field| &field["default"]),
        Some(&json!("channels"))
    );
    assert!(help(&form, "channelType").contains("Posting as looker in Acme."));
    let pages = stage.calls("conversations.list");
    assert_eq!(pages, 3, "two channels a page");
    // Another choice, another list; the first one is still known.
    let form = stage.form(&[("channelType", "users"), ("channel", "C0EXPORTS1")]).await;
    assert_eq!(
        labels(&form, "channel"),
        ["U0ADA00001 @ada (Ada Lovelace)", "U0GRACE001 @grace (Grace Hopper)"]
    );
    stage.form(&[("channelType", "channels"), ("channel", "C0EXPORTS1")]).await;
    assert_eq!((stage.calls("conversations.list"), stage.calls("auth.test")), (pages, 1));
}

#[tokio::test]
async fn thousands_of_channels_are_cut_and_searched() {
    let stage = Stage::token(&[]).await;
    stage.slack.ledger().crowd = 3_000;
    let form = stage.form(&[("channelType", "channels")]).await;
    assert_eq!(labels(&form, "channel").len(), 200);
    assert!(help(&form, "channel").contains("200 of 3005 channels are shown."), "{form:#}");
    let form = stage.form(&[("channelType", "channels"), ("find", "crowd-2999")]).await;
    assert_eq!(labels(&form, "channel"), ["C0CROWD02999 #crowd-2999 (the bot is not a member)"]);
    let chosen = [("channelType", "channels"), ("channel", "C0CROWD02999"), ("find", "C0TYPED001")];
    let form = stage.form(&chosen).await;
    assert_eq!(
        labels(&form, "channel"),
        ["C0CROWD02999 #crowd-2999 (the bot is not a member)", "C0TYPED001 C0TYPED001 (as typed)"]
    );
}

#[tokio::test]
async fn missing_scopes_are_told_and_an_id_can_always_be_entered() {
    let stage = Stage::token(&[]).await;
    stage.take_scopes(&["groups:read", "files:write"]);
    let form = stage.form(&[("channelType", "channels")]).await;
    assert!(help(&form, "channel").contains("Private channels are not listed"), "{form:#}");
    assert!(help(&form, "channelType").contains("lacks the scope files:write"), "{form:#}");
    assert_eq!(labels(&form, "channel").len(), 4);
    let stage = Stage::token(&[]).await;
    stage.take_scopes(&["users:read"]);
    let form = stage.form(&[("channelType", "users")]).await;
    assert!(help(&form, "channel").contains("needs the scope users:read"), "{form:#}");
    assert_eq!(field(&form, "channel").map(|field| &field["type"]), Some(&json!("string")));
}

#[tokio::test]
async fn only_allowed_channels_are_offered_and_posted_to() {
    let stage = Stage::token(&[("allowed_channels", "#reports-*, G0FINANCE1")]).await;
    let form = stage.form(&[("channelType", "channels")]).await;
    assert_eq!(
        labels(&form, "channel"),
        ["G0FINANCE1 #finance", "C0REPORTS1 #reports-eu", "C0REPORTS2 #reports-us"]
    );
    for channel in ["C0REPORTS1", "G0FINANCE1"] {
        delivered(&stage.send(&[("channel", channel)]).await);
    }
    for channel in [CHANNEL, "U0ADA00001", "D0ADA00001", "#exports"] {
        refused(&stage.send(&[("channel", channel)]).await, "channel", "not among the channels");
    }
    assert_eq!(stage.posted().len(), 2);
}

#[tokio::test]
async fn each_workspace_has_its_own_token_and_lists() {
    let stage = Stage::app(json!([
        {"install_id": "I1", "token": "xoxb-revoked-0000000000"},
        {"install_id": "I2", "token": TOKEN},
        {"install_id": "I3", "token": OTHER},
        {"install_id": "I4", "token": ""},
    ]))
    .await;
    let form = stage.form(&[]).await;
    assert_eq!(labels(&form, "workspace"), ["T0ACME0001 Acme", "T0UMBREL01 Umbrella"]);
    assert_eq!(
        field(&form, "workspace").map(|field| &field["default"]),
        Some(&json!("T0ACME0001"))
    );
    for workspace in ["T0UMBREL01", "I3"] {
        let form = stage.form(&[("workspace", workspace)]).await;
        let default = field(&form, "workspace").map(|field| &field["default"]);
        assert_eq!(default, Some(&json!("T0UMBREL01")));
        assert!(help(&form, "channelType").contains("Posting as looker in Umbrella."), "{form:#}");
        delivered(&stage.send(&[("workspace", workspace), ("channel", CHANNEL)]).await);
    }
    let heard = stage.send(&[("workspace", "T0GONE0001"), ("channel", CHANNEL)]).await;
    refused(&heard, "workspace", "There is Acme, Umbrella.");
}

#[tokio::test]
async fn without_a_working_workspace_the_login_is_offered() {
    for installs in [json!([]), json!([{"install_id": "I1", "token": "xoxb-revoked-0000000000"}])] {
        let mut stage = Stage::app(installs).await;
        let url = "https://looker.example/slack/install".to_owned();
        stage.settings.0.insert("state_url".into(), url.clone());
        let form = stage.form(&[]).await;
        let login = field(&form, "login").unwrap_or_else(|| panic!("{form:#}"));
        assert_eq!((&login["type"], &login["oauth_url"]), (&json!("oauth_link"), &json!(url)));
        let heard = stage.send(&[("channel", CHANNEL)]).await;
        assert!(heard.envelope.as_ref().is_some_and(|envelope| !envelope.success));
    }
}

#[tokio::test]
async fn the_test_of_the_connection_names_the_workspaces() {
    let mut stage = Stage::app(json!([
        {"install_id": "I1", "token": "xoxb-revoked-0000000000"},
        {"install_id": "I2", "token": TOKEN},
    ]))
    .await;
    stage.settings.0.insert("test".into(), "true".into());
    let form = stage.form(&[]).await;
    let fields = form["fields"].as_array().unwrap_or_else(|| panic!("{form:#}"));
    assert_eq!(fields.len(), 1, "{form:#}");
    assert_eq!((&fields[0]["name"], &fields[0]["type"]), (&json!("Connected"), &json!("message")));
    assert!(fields[0]["value"].as_str().is_some_and(|text| text.contains("Acme")), "{form:#}");
}

#[tokio::test]
async fn a_refusal_within_a_200_is_one_whatever_was_asked() {
    for (method, channel) in [
        ("auth.test", CHANNEL),
        ("conversations.list", "#exports"),
        ("users.list", "@ada"),
        ("conversations.open", "U0ADA00001"),
        ("files.getUploadURLExternal", CHANNEL),
        ("files.completeUploadExternal", CHANNEL),
    ] {
        let stage = Stage::token(&[]).await;
        stage.slack.ledger().refuses = Some((method, "account_inactive", usize::MAX));
        let named = channel.starts_with(['#', '@']);
        if method == "auth.test" {
            let form = stage.form(&[]).await;
            let error = form["error"].as_str().unwrap_or_else(|| panic!("{form:#}"));
            assert!(error.contains("refused (account_inactive)"), "{error}");
            continue;
        }
        let heard = stage.send(&[("channel", channel)]).await;
        refused(&heard, "", "refused (account_inactive)");
        assert_eq!((stage.posted().len(), stage.calls(method)), (0, 1), "{method} {named}");
    }
    let stage = Stage::token(&[("allowed_channels", "#exports")]).await;
    stage.slack.ledger().refuses = Some(("conversations.info", "account_inactive", usize::MAX));
    refused(&stage.send(&[("channel", CHANNEL)]).await, "", "refused (account_inactive)");
    assert_eq!(stage.posted(), []);
}

/// Slack says "ratelimited" with 429, and within a 200 as well.
#[tokio::test]
async fn too_fast_within_a_200_is_waited_for_and_nothing_is_posted_twice() {
    for (method, channel) in [
        ("conversations.list", "#exports"),
        ("users.list", "@ada"),
        ("conversations.open", "U0ADA00001"),
        ("files.getUploadURLExternal", CHANNEL),
        ("files.completeUploadExternal", CHANNEL),
    ] {
        let stage = Stage::token(&[]).await;
        stage.slack.ledger().refuses = Some((method, "ratelimited", 1));
        delivered(&stage.send(&[("channel", channel)]).await);
        assert_eq!(stage.posted().len(), 1, "{method}");
    }
    // Not for ever.
    let stage = Stage::token(&[]).await;
    stage.slack.ledger().refuses =
        Some(("files.completeUploadExternal", "ratelimited", usize::MAX));
    let heard = stage.send(&[("channel", CHANNEL)]).await;
    refused(&heard, "", "refused (ratelimited): too many requests. Try again in");
    let code = heard.envelope.and_then(|envelope| envelope.error).map(|error| error.status_code);
    assert_eq!(code.as_deref(), Some("RESOURCE_EXHAUSTED"));
    assert_eq!((stage.calls("files.completeUploadExternal"), stage.posted().len()), (4, 0));
}

#[tokio::test]
async fn each_workspace_of_an_organisation_is_offered_and_listed_by_its_id() {
    let stage = Stage::app(json!([
        {"install_id": "E0INITECH1", "token": ORGANISATION},
        {"install_id": "I2", "token": TOKEN},
    ]))
    .await;
    let form = stage.form(&[]).await;
    assert_eq!(
        labels(&form, "workspace"),
        ["T0INITECH1 East", "T0INITECH2 West", "T0INITECH3 North", "T0ACME0001 Acme"]
    );
    for (workspace, only) in [("T0INITECH2", "T0INITECH2"), ("E0INITECH1", "T0INITECH1")] {
        let answers = [("workspace", workspace), ("channelType", "channels")];
        let form = stage.form(&answers).await;
        let default = field(&form, "workspace").map(|field| &field["default"]);
        assert_eq!(default, Some(&json!(only)));
        let own = format!("C{only} #only-{}", only.to_ascii_lowercase());
        assert_eq!(labels(&form, "channel"), [own, "C0SHARED01 #shared".to_owned()]);
    }
    let people = [("workspace", "T0INITECH2"), ("channelType", "users")];
    assert_eq!(labels(&stage.form(&people).await, "channel").len(), 2);
    let channel = ("channel", "#only-t0initech2");
    delivered(&stage.send(&[("workspace", "T0INITECH2"), channel]).await);
    let posted = stage.posted();
    assert_eq!(posted[0].channel, "CT0INITECH2");
    refused(&stage.send(&[("workspace", "T0INITECH1"), channel]).await, "channel", "not among");
    // By its id any channel of the organisation, as the token may post there.
    delivered(&stage.send(&[("workspace", "E0INITECH1"), ("channel", "CT0INITECH3")]).await);
}

#[tokio::test]
async fn an_organisations_own_token_lists_all_its_workspaces() {
    let stage = Stage::token(&[("slack_api_token", ORGANISATION)]).await;
    let form = stage.form(&[("channelType", "channels")]).await;
    assert_eq!(
        labels(&form, "channel"),
        [
            "CT0INITECH1 #only-t0initech1",
            "CT0INITECH2 #only-t0initech2",
            "CT0INITECH3 #only-t0initech3",
            "C0SHARED01 #shared",
        ],
        "what workspaces share is there once"
    );
    delivered(&stage.send(&[("channel", "#only-t0initech3, @ada")]).await);
    let channels: Vec<_> = stage.posted().into_iter().map(|posted| posted.channel).collect();
    assert_eq!(channels, ["CT0INITECH3", "D0ADA00001"]);
}
