//! Logins as a person meets them: a real Chromium, a real OpenID Connect provider, and the stand-in
//! for Looker, for OAuth's versions 1 and 2.
//!
//! `scripts/servers.sh` installs and starts browser and provider; without them these tests are left
//! out, unless BEHAVIOUR_REQUIRE_REAL says that they must run. BEHAVIOUR_PICTURES names a folder for
//! pictures of every page.

#![allow(clippy::disallowed_methods, reason = "tests read what scripts/servers.sh set")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use sendoff::prelude::*;
use sendoff::{ClientAuth, EgressConfig, LookerHosts, OAuth, Origins, Token};
use sendoff_protocol::{ActionType, Members, Outcome};
use sendoff_workbench::instance::{
    ActionId, Drawn, FormOf, Instance, Order, Params, Settings, What,
};
use sendoff_workbench::{DataLimits, Warehouse};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_service::Service;

const SECRET: &str = "the secret of the hub under test";
const CLIENT_SECRET: &str = "known-to-hub-and-provider";
/// A client whose access tokens last an hour.
const LASTING: &str = "sendoff";
/// A client whose access tokens last two seconds.
const BRIEF: &str = "sendoff-brief";
const USER: &str = "ana";

const LOGIN: OAuth = OAuth::new("https://people.example/auth", "https://people.example/token")
    .scopes(&["openid", "offline_access", "email"])
    .authorize_params(&[("prompt", "consent")])
    .client_auth(ClientAuth::Basic)
    .pkce()
    .lasting()
    .issuer("https://people.example");

/// For whom deliveries were made, and with which token.
type Told = Arc<Mutex<Vec<(String, String)>>>;

async fn who(cx: &Context<()>) -> Result<String> {
    let reply = cx.http().get("https://people.example/me").login(cx.login()).send().await?;
    let text = reply.success().await?.text().await?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let email = answer["email"].as_str();
    email.map(str::to_owned).ok_or_else(|| Error::vendor("People named nobody."))
}

macro_rules! people {
    ($kind:ident, $name:literal, $login:expr) => {
        struct $kind(Told);

        impl Action for $kind {
            type Settings = ();
            type Form = ();
            const SPEC: Spec =
                Spec::new($name, "People").description("Asks who you are.").oauth($login);

            async fn account(&self, cx: &Context<()>) -> Result<Option<String>> {
                who(cx).await.map(Some)
            }

            async fn execute(&self, cx: &Context<()>, (): (), data: Payload) -> Result<Receipt> {
                let mut chunks = data.open().await?;
                while let Some(chunk) = chunks.next().await {
                    chunk?;
                }
                let account = who(cx).await?;
                let token = cx.login().token().await?.expose().to_owned();
                self.0.lock().unwrap().push((account.clone(), token));
                Ok(Receipt::new(account))
            }
        }
    };
}

people!(One, "people_one", LOGIN);
people!(Two, "people_two", LOGIN.v2());

/// A Chromium that does one step after another.
struct Browser {
    child: Child,
    steps: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Browser {
    fn start(driver: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/login.cjs");
        let mut child = Command::new("node")
            .args([script, driver])
            .args(std::env::var("BEHAVIOUR_PICTURES"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { steps: child.stdin.take(), answers, child }
    }

    fn step(&mut self, step: &Value) -> Value {
        let answer = tokio::task::block_in_place(|| {
            writeln!(self.steps.as_ref().unwrap(), "{step}").unwrap();
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            line
        });
        let answer: Value = serde_json::from_str(&answer).expect("the browser answers");
        assert_eq!(answer.get("error"), None, "{step}");
        answer
    }

    fn visit(&mut self, person: &str, tab: &str, url: &str) -> Value {
        self.step(&json!({"step": "visit", "person": person, "tab": tab, "url": url}))
    }

    fn log_in(&mut self, tab: &str, user: &str) {
        self.step(&json!({"step": "log_in", "tab": tab, "user": user}));
    }

    fn consent(&mut self, tab: &str) -> Value {
        self.step(&json!({"step": "consent", "tab": tab}))
    }

    /// Where the provider would have sent the browser.
    fn consent_and_hold(&mut self, tab: &str) -> String {
        text(&self.step(&json!({"step": "consent_and_hold", "tab": tab})), "url").to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends with its input, and Chromium with it.
        self.steps = None;
        if std::thread::panicking() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn text<'a>(shown: &'a Value, name: &str) -> &'a str {
    shown[name].as_str().unwrap_or_else(|| panic!("no {name}: {shown}"))
}

/// Browser, Looker, hub and provider.
struct Stage {
    browser: Browser,
    looker: Instance,
    provider: String,
    client: &'static str,
    /// The hub that answers, at an address that stays.
    hub: Arc<Mutex<Hub>>,
    /// A hub for which the provider is there, and one for which it is down.
    up: Hub,
    down: Hub,
    one: ActionId,
    two: ActionId,
    told: Told,
    _serving: JoinSet<()>,
}

impl Stage {
    async fn open(client: &'static str) -> Option<Self> {
        let found = |name| std::env::var(name).ok();
        let Some((driver, provider)) = found("BEHAVIOUR_BROWSER").zip(found("BEHAVIOUR_OIDC"))
        else {
            let must = std::env::var_os("BEHAVIOUR_REQUIRE_REAL").is_some();
            assert!(
                !must,
                "BEHAVIOUR_BROWSER or BEHAVIOUR_OIDC is not set: scripts/servers.sh starts both"
            );
            eprintln!("left out: there is no browser or no provider (see scripts/servers.sh)");
            return None;
        };
        let (told, mut serving) = (Told::default(), JoinSet::new());
        let (listener, url) = listen().await;
        let build = |provider: &str| build(client, &url, provider, &told);
        let (up, down) = (build(&provider), build("http://127.0.0.1:1"));
        let hub = Arc::new(Mutex::new(up.clone()));
        serving.spawn(serve(listener, Arc::clone(&hub)));

        let (listener, address) = listen().await;
        let data = Warehouse::in_memory(DataLimits::default()).await.unwrap();
        let looker = Instance::open(Settings::new(&address, data)).await.unwrap();
        let served = looker.clone();
        serving.spawn(async move { served.serve(listener).await.unwrap() });
        let token = Token::issue(&SECRET.into(), []).unwrap();
        let added = looker.add_hub(&url, Some(&token)).await.unwrap();
        assert_eq!(added.fetch_error_message, None);
        let (one, two) = (added.action("people_one"), added.action("people_two"));
        for action in [&one, &two] {
            looker.configure(action, Params::new()).await.unwrap();
        }
        let browser = Browser::start(&driver);
        Some(Self {
            browser,
            looker,
            provider,
            client,
            hub,
            up,
            down,
            one,
            two,
            told,
            _serving: serving,
        })
    }

    fn versions(&self) -> [ActionId; 2] {
        [self.one.clone(), self.two.clone()]
    }

    fn switch(&self, to: &Hub) {
        *self.hub.lock().unwrap() = to.clone();
    }

    async fn form(&self, action: &ActionId) -> Drawn {
        let of = FormOf {
            user: USER.into(),
            action: action.clone(),
            kind: ActionType::Query,
            answers: Members::default(),
        };
        self.looker.form(of).await.unwrap()
    }

    /// The link in the form of somebody who is not logged in.
    async fn link(&self, action: &ActionId) -> String {
        let drawn = self.form(action).await;
        assert_eq!(drawn.error, None);
        let field = drawn.fields.iter().find(|field| field.name == "login");
        let field = field.unwrap_or_else(|| panic!("no login in {:?}", drawn.fields));
        assert_eq!(drawn.fields.len(), 1, "{:?}", drawn.fields);
        field.oauth_url.clone().unwrap()
    }

    /// By the form's link to the provider's page for consent, in a fresh browser profile.
    async fn begin(&mut self, action: &ActionId, person: &str) -> String {
        let (link, tab) = (self.link(action).await, format!("{person} at {}", action.name));
        let shown = self.browser.visit(&tab, &tab, &link);
        assert!(text(&shown, "url").starts_with(&self.provider), "{shown}");
        self.browser.log_in(&tab, person);
        tab
    }

    /// A whole login; gives what the browser shows at its end.
    async fn log_in(&mut self, action: &ActionId, person: &str) -> Value {
        let tab = self.begin(action, person).await;
        let shown = self.browser.consent(&tab);
        assert!(text(&shown, "title").starts_with("Logged in"), "{shown}");
        assert_eq!(shown["status"], 200);
        assert!(text(&shown, "text").contains("may close this tab"), "{shown}");
        shown
    }

    fn state(&self, action: &ActionId) -> Option<String> {
        self.looker.state(USER, action).map(|state| state.data)
    }

    async fn deliver(&self, action: &ActionId) -> Outcome {
        let order = Order::new(action, What::Look("penguins".into()));
        let sent = self.looker.send(order).await.unwrap().finished().await;
        sent.outcome.clone().unwrap_or_else(|| panic!("no outcome: {sent:?}"))
    }

    /// A delivery that succeeds; gives the token that was used.
    async fn delivered(&self, action: &ActionId, person: &str) -> String {
        let before = self.told.lock().unwrap().len();
        let outcome = self.deliver(action).await;
        assert!(outcome.success, "{outcome:?}");
        let told = self.told.lock().unwrap();
        assert_eq!(told.len(), before + 1);
        let (account, token) = told.last().unwrap();
        assert_eq!(*account, format!("{person}@people.example"));
        token.clone()
    }

    /// Returns once the provider takes the token no more.
    async fn expired(&mut self, token: &str) {
        let url = format!("{}/me", self.provider);
        let ask = json!({"step": "status", "url": url, "token": token});
        while self.browser.step(&ask)["status"] != 401 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the form says about the account.
    async fn signed_in(&self, action: &ActionId) -> String {
        let drawn = self.form(action).await;
        let field = drawn.fields.iter().find(|field| field.name == "switch_account");
        let field = field.unwrap_or_else(|| panic!("{:?} {:?}", drawn.fields, drawn.error));
        field.description.clone().unwrap()
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn build(client: &str, url: &str, provider: &str, told: &Told) -> Hub {
    let mut egress = EgressConfig::new(SECRET.into());
    egress.allow_addresses = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()).to_vec();
    egress.origins = Origins::parse([format!("https://people.example={provider}")]).unwrap();
    let hub = Hub::builder()
        .action(One(Arc::clone(told)))
        .action(Two(Arc::clone(told)))
        .base_url(url)
        .secrets([SECRET.into()])
        .egress(egress)
        .oauth_client("people_one", client, CLIENT_SECRET.into())
        .oauth_client("people_two", client, CLIENT_SECRET.into())
        .looker_hosts(LookerHosts::parse(["127.0.0.1"]).unwrap());
    hub.build().unwrap()
}

async fn serve(listener: TcpListener, hub: Arc<Mutex<Hub>>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let hub = Arc::clone(&hub);
        let service = hyper::service::service_fn(move |request| {
            let mut hub = hub.lock().unwrap().clone();
            hub.call(request)
        });
        let http = hyper::server::conn::http1::Builder::new();
        connections.spawn(async move {
            // A browser closes connections as it likes.
            let _ = http.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

fn is_refused(shown: &Value) {
    assert_eq!(shown["status"], 403, "{shown}");
    assert!(text(shown, "title").starts_with("CSRF validation failed."), "{shown}");
    assert!(text(shown, "text").contains("Nobody was logged in."), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_and_sends() {
    let Some(mut stage) = Stage::open(LASTING).await else { return };
    for action in stage.versions() {
        assert_eq!(stage.state(&action), None);
        stage.log_in(&action, "ada").await;
        assert!(stage.state(&action).is_some());
        assert_eq!(stage.signed_in(&action).await, "Signed in as ada@people.example.");
        let token = stage.delivered(&action, "ada").await;
        let kept = stage.state(&action).unwrap();
        assert!(!kept.contains(&token), "what Looker keeps is sealed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_renewed_and_looker_keeps_the_new_one() {
    let Some(mut stage) = Stage::open(BRIEF).await else { return };
    for action in stage.versions() {
        stage.log_in(&action, "grace").await;
        let mut token = stage.delivered(&action, "grace").await;
        // The second time the refresh token is one that a renewal brought.
        for _ in 0..2 {
            let kept = stage.state(&action);
            stage.expired(&token).await;
            let renewed = stage.delivered(&action, "grace").await;
            assert_ne!(renewed, token);
            assert_ne!(stage.state(&action), kept);
            token = renewed;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_login_is_offered_again() {
    let Some(mut stage) = Stage::open(LASTING).await else { return };
    for action in stage.versions() {
        stage.log_in(&action, "mary").await;
        let token = stage.delivered(&action, "mary").await;
        let url = format!("{}/token/revocation", stage.provider);
        let revoke = json!({
            "step": "revoke", "url": url, "client": stage.client, "secret": CLIENT_SECRET,
            "token": token,
        });
        assert_eq!(stage.browser.step(&revoke)["status"], 200);
        let outcome = stage.deliver(&action).await;
        assert!(!outcome.success);
        let message = outcome.message.unwrap();
        assert!(message.contains("log in again"), "{message}");
        assert_eq!(stage.state(&action).as_deref(), Some("reset"));
        stage.log_in(&action, "mary again").await;
        stage.delivered(&action, "mary again").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_state_logs_nobody_in() {
    let Some(mut stage) = Stage::open(LASTING).await else { return };
    for action in stage.versions() {
        let (hers, his) =
            (format!("ada at {}", action.name), format!("mallory at {}", action.name));
        stage.begin(&action, "ada").await;
        stage.begin(&action, "mallory").await;
        let ada = stage.browser.consent_and_hold(&hers);
        let mallory = stage.browser.consent_and_hold(&his);
        // She is to be logged in to his account; he takes her code.
        is_refused(&stage.browser.visit(&hers, &hers, &mallory));
        is_refused(&stage.browser.visit(&his, &his, &ada));
        assert_eq!(stage.state(&action), None);
        // Her own login is as good as before.
        let shown = stage.browser.visit(&hers, &hers, &ada);
        assert_eq!(shown["status"], 200, "{shown}");
        stage.delivered(&action, "ada").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_callback_is_refused() {
    let Some(mut stage) = Stage::open(LASTING).await else { return };
    for action in stage.versions() {
        let shown = stage.log_in(&action, "ada").await;
        let kept = stage.state(&action);
        let callback = text(&shown, "callback");
        assert!(callback.contains("code=") && callback.contains("state="), "{callback}");
        let profile = format!("ada at {}", action.name);
        is_refused(&stage.browser.visit(&profile, &format!("again at {}", action.name), callback));
        let other = format!("mallory at {}", action.name);
        is_refused(&stage.browser.visit(&other, &other, callback));
        assert_eq!(stage.state(&action), kept);
        stage.delivered(&action, "ada").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_at_once_both_log_in() {
    let Some(mut stage) = Stage::open(LASTING).await else { return };
    for action in stage.versions() {
        let tabs = ["left", "right"].map(|side| format!("{side} at {}", action.name));
        let person = format!("ada at {}", action.name);
        for tab in &tabs {
            let link = stage.link(&action).await;
            stage.browser.visit(&person, tab, &link);
        }
        for tab in &tabs {
            stage.browser.log_in(tab, "ada");
        }
        let mut kept = None;
        // The one that began last comes back first.
        for tab in tabs.iter().rev() {
            let shown = stage.browser.consent(tab);
            assert!(text(&shown, "title").starts_with("Logged in"), "{shown}");
            let now = stage.state(&action);
            assert!(now.is_some() && now != kept, "each tab's login reaches Looker");
            kept = now;
            stage.delivered(&action, "ada").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_told_and_takes_no_login_away() {
    let Some(mut stage) = Stage::open(BRIEF).await else { return };
    for action in stage.versions() {
        let tab = stage.begin(&action, "ada").await;
        stage.switch(&stage.down);
        let shown = stage.browser.consent(&tab);
        assert_eq!(shown["status"], 502, "{shown}");
        assert!(
            text(&shown, "text")
                .contains("The login to People could not be finished: People could not be reached"),
            "{shown}"
        );
        assert_eq!(stage.state(&action), None);

        stage.switch(&stage.up);
        stage.log_in(&action, "grace").await;
        let token = stage.delivered(&action, "grace").await;
        stage.expired(&token).await;
        stage.switch(&stage.down);
        let kept = stage.state(&action);
        let outcome = stage.deliver(&action).await;
        assert!(!outcome.success);
        let message = outcome.message.unwrap();
        assert!(
            message.contains("The login to People could not be renewed, and is kept"),
            "{message}"
        );
        let drawn = stage.form(&action).await;
        assert!(!drawn.wants_login(), "{:?}", drawn.fields);
        assert!(drawn.error.unwrap().contains("and is kept: People could not be reached"));
        assert_eq!(stage.state(&action), kept);

        stage.switch(&stage.up);
        stage.delivered(&action, "grace").await;
    }
}
