//! The login's pages as requests: who may call what, and where a login may go.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::prelude::*;
use crate::{Connection, Delegate, LookerHosts, OAuth, Token};

struct Drive;

impl Action for Drive {
    type Settings = ();
    type Form = ();
    const SPEC: Spec = Spec::new("drive", "Drive").oauth(
        OAuth::new("https://login.example/authorize", "https://login.example/token")
            .scopes(&["a", "b"])
            .pkce(),
    );

    async fn execute(&self, _: &Context<()>, (): (), _: Payload) -> Result<Receipt> {
        Ok(Receipt::new("drive"))
    }
}

struct Chat;

impl Action for Chat {
    type Settings = ();
    type Form = ();
    const SPEC: Spec = Spec::new("chat", "Chat").delegate_oauth(
        Delegate::new("install", "Connect to Chat", "/admin/chat")
            .nothing_connected("Connect first."),
    );

    async fn connections(&self, cx: &Context<()>) -> Result<Vec<Connection>> {
        let installs = cx.login().installs().iter();
        let name = |id: &str| Connection { id: id.to_owned(), name: "Acme".to_owned() };
        Ok(installs.map(|one| name(&one.id)).collect())
    }

    async fn execute(&self, _: &Context<()>, (): (), _: Payload) -> Result<Receipt> {
        Ok(Receipt::new("chat"))
    }
}

struct Plain;

impl Action for Plain {
    type Settings = ();
    type Form = ();
    const SPEC: Spec = Spec::new("plain", "Plain");

    async fn execute(&self, _: &Context<()>, (): (), _: Payload) -> Result<Receipt> {
        Ok(Receipt::new("plain"))
    }
}

pub(super) fn hosts(list: &[&str]) -> LookerHosts {
    LookerHosts::parse(list).unwrap()
}

fn hub() -> Hub {
    let builder = Hub::builder().action(Drive).action(Chat).action(Plain);
    builder
        .secrets(["the hub's secret".into()])
        .webhook_tokens(["hook".into()])
        .base_url("https://hub.example/looker")
        .oauth_client("drive", "client-1", "client secret".into())
        .looker_hosts(hosts(&[
            "*.looker.com",
            "*.looker.app",
            "looker.corp.example",
            "localhost:9999",
        ]))
        .build()
        .unwrap()
}

pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    pub(super) text: String,
}

impl Answered {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

#[allow(clippy::disallowed_methods, reason = "the hub's answers here are small")]
pub(super) async fn send(hub: &Hub, request: Request<Full<Bytes>>) -> Answered {
    let response = hub.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    Answered { status: head.status, headers: head.headers, text }
}

pub(super) async fn get(hub: &Hub, path: &str) -> Answered {
    send(hub, Request::get(path).body(Full::default()).unwrap()).await
}

pub(super) fn token() -> String {
    let token = Token::issue(&"the hub's secret".into(), []).unwrap();
    format!("Token token=\"{token}\"")
}

pub(super) async fn post(hub: &Hub, path: &str, body: &Value) -> Answered {
    let request = Request::post(path)
        .header("authorization", token())
        .header("user-agent", "LookerOutgoingWebhook/26.2.0")
        .header("x-looker-instance", "i1");
    send(hub, request.body(Full::from(body.to_string())).unwrap()).await
}

pub(super) fn form_of(data: &Value) -> Value {
    json!({"type": "query", "data": data, "form_params": {}})
}

async fn link(hub: &Hub) -> String {
    let data =
        json!({"state_url": "https://acme.cloud.looker.com/action_hub_state/one-time-token"});
    let form = post(hub, "/actions/drive/form", &form_of(&data)).await.json();
    let url = form[0]["oauth_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("https://hub.example/looker/actions/drive/oauth?state=s1."), "{url}");
    assert!(!url.contains("one-time-token"));
    url.trim_start_matches("https://hub.example/looker").to_owned()
}

#[tokio::test]
async fn an_action_with_a_login_and_no_client_is_not_offered() {
    let hub = Hub::builder().action(Drive).action(Chat).secrets(["s".into()]).build().unwrap();
    let names: Vec<_> = hub.actions().map(|action| action.spec().name).collect();
    assert_eq!(names, ["chat"]);
    let wrong = Hub::builder().action(Plain).oauth_client("drvie", "id", "secret".into()).build();
    assert!(wrong.unwrap_err().message().contains("drvie"));
}

#[tokio::test]
async fn the_definition_says_how_users_log_in() {
    let hub = hub();
    let list = post(&hub, "/", &json!({})).await.json();
    let [drive, chat, plain] = &list["integrations"].as_array().unwrap()[..] else { panic!() };
    let says = |one: &Value| (one["uses_oauth"].clone(), one["delegate_oauth"].clone());
    assert_eq!(says(drive), (json!(true), json!(false)));
    assert_eq!(says(chat), (json!(true), json!(true)));
    assert_eq!(says(plain), (json!(false), json!(false)));
    assert_eq!(drive["token_url"], "");
    assert_eq!(
        chat["params"][0],
        json!({"name": "install", "label": "Connect to Chat", "required": false, "sensitive": false,
               "delegate_oauth_url": "/admin/chat"})
    );
}

#[tokio::test]
async fn the_first_leg_asks_the_provider_and_marks_the_browser() {
    let hub = hub();
    let leg = get(&hub, &link(&hub).await).await;
    assert_eq!(leg.status, StatusCode::FOUND);
    let to = url::Url::parse(leg.header("location")).unwrap();
    let query: std::collections::BTreeMap<_, _> = to.query_pairs().into_owned().collect();
    assert_eq!(query["redirect_uri"], "https://hub.example/looker/actions/drive/oauth_redirect");
    assert_eq!((&*query["client_id"], &*query["scope"]), ("client-1", "a b"));
    assert_eq!((&*query["response_type"], &*query["code_challenge_method"]), ("code", "S256"));
    let cookie = leg.header("set-cookie");
    let (name, attributes) = cookie.split_once(';').unwrap();
    assert!(name.starts_with("__Host-sendoff_login_"), "{cookie}");
    assert_eq!(attributes, " Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
    // The provider sees nothing of what the cookie and the verifier are.
    let nonce = cookie.split(['=', ';']).nth(1).unwrap();
    assert!(!to.as_str().contains(nonce));
    assert_eq!(leg.header("referrer-policy"), "no-referrer");
    assert_eq!(leg.header("cache-control"), "no-store");
}

/// A browser takes neither the prefix nor `Secure` from a hub on this machine.
#[tokio::test]
async fn the_cookie_of_a_hub_without_https_is_for_the_second_leg_alone() {
    let hub = Hub::builder()
        .action(Drive)
        .secrets(["the hub's secret".into()])
        .base_url("http://127.0.0.1:8080/looker")
        .oauth_client("drive", "client-1", "client secret".into())
        .build()
        .unwrap();
    let data = json!({"state_url": "https://acme.looker.com/action_hub_state/one-time-token"});
    let form = post(&hub, "/actions/drive/form", &form_of(&data)).await.json();
    let link = form[0]["oauth_url"].as_str().unwrap();
    let leg = get(&hub, link.trim_start_matches("http://127.0.0.1:8080/looker")).await;
    let (name, attributes) = leg.header("set-cookie").split_once(';').unwrap();
    assert!(name.starts_with("sendoff_login_"), "{name}");
    assert_eq!(
        attributes,
        " Path=/looker/actions/drive/oauth_redirect; Max-Age=600; HttpOnly; SameSite=Lax"
    );
}

/// Credentials in a setting stand in for logins; with no client they are the only way.
#[tokio::test]
async fn an_action_with_credentials_of_its_own_is_offered_without_a_client() {
    #[derive(Fields)]
    struct Key {
        /// The key.
        key: Option<Secret>,
    }
    struct Shelf;
    impl Action for Shelf {
        type Settings = Key;
        type Form = ();
        const SPEC: Spec = Spec::new("shelf", "Shelf")
            .oauth(
                OAuth::new("https://login.example/authorize", "https://login.example/token").v2(),
            )
            .or_setting("key");

        fn needs_login(&self, settings: &Key) -> bool {
            settings.key.is_none()
        }

        async fn execute(&self, _: &Context<Key>, (): (), _: Payload) -> Result<Receipt> {
            Ok(Receipt::new("shelf"))
        }
    }
    let build = |client: bool| {
        let hub = Hub::builder().action(Shelf).secrets(["the hub's secret".into()]);
        let hub = hub.base_url("https://hub.example");
        let secret = Secret::from("client secret");
        if client { hub.oauth_client("shelf", "client-1", secret) } else { hub }.build().unwrap()
    };
    for client in [true, false] {
        let hub = build(client);
        let list = post(&hub, "/", &json!({})).await.json();
        let shelf = &list["integrations"][0];
        assert_eq!((&shelf["name"], &shelf["uses_oauth"]), (&json!("shelf"), &json!(client)));
        assert_eq!(shelf["token_url"] == "", !client);
        assert_eq!(shelf["params"][0]["required"], json!(!client));
        let sent = async |data: Value| {
            post(&hub, "/actions/shelf/execute", &form_of(&data)).await.json()["looker"].take()
        };
        assert_eq!(sent(json!({"key": "k1"})).await["success"], true);
        let form = form_of(&json!({"key": "k1"}));
        let form = post(&hub, "/actions/shelf/form", &form).await.json();
        assert_eq!(form, json!([]), "neither login nor switch of accounts");
        let without = sent(json!({})).await;
        let data = json!({"state_url": "https://acme.looker.com/t"});
        let form = post(&hub, "/actions/shelf/form", &form_of(&data)).await.json();
        assert_eq!(without["success"], false);
        let message = without["message"].as_str().unwrap();
        if client {
            assert!(message.contains("log in"), "{message}");
            assert_eq!(form[0]["type"], "oauth_link");
        } else {
            let said = message.contains("no client") && message.contains("setting key");
            assert!(said && message.contains("oauth.shelf.client_id"), "{message}");
            assert_eq!(without["error"]["status_code"], "FAILED_PRECONDITION");
            assert_eq!(form["error"], message);
        }
    }
}

/// The answer has no place for new tokens: a refresh token that is good once must not be spent.
#[tokio::test]
async fn the_check_of_a_login_spends_no_refresh_token() {
    let hub = hub();
    let check = async |state: &str| {
        let body = form_of(&json!({"state_json": state})).to_string();
        let mut request =
            Request::get("/actions/drive/oauth_check").body(Full::from(body)).unwrap();
        request.headers_mut().insert("authorization", token().parse().unwrap());
        send(&hub, request).await.text
    };
    // The vendor is not there: asking it would fail.
    let expired = r#"{"tokens":{"access_token":"a","refresh_token":"r","expiry_date":1000}}"#;
    assert_eq!(check(expired).await, "true");
    assert_eq!(check(r#"{"access_token":"a","expiry_date":1000}"#).await, "false");
    for none in ["reset", "null", "", "{"] {
        assert_eq!(check(none).await, "false", "{none}");
    }
}

#[tokio::test]
async fn p20_a_link_is_for_its_action_and_its_leg() {
    let hub = hub();
    let link = link(&hub).await;
    let state = link.split_once("state=").unwrap().1;
    for path in [
        format!("/actions/drive/oauth?state={}", &state[..state.len() - 1]),
        "/actions/drive/oauth".to_owned(),
        "/actions/drive/oauth?state=".to_owned(),
        format!("/actions/drive/oauth_redirect?code=c&state={state}"),
        "/actions/drive/oauth_redirect?code=c".to_owned(),
        "/actions/drive/oauth_redirect?error=access_denied".to_owned(),
    ] {
        let page = get(&hub, &path).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(page.text.contains("log in again") && page.headers.get("set-cookie").is_none());
    }
    for path in [
        format!("/actions/chat/oauth?state={state}"),
        format!("/actions/plain/oauth?state={state}"),
        format!("/actions/nobody/oauth?state={state}"),
        format!("/actions/chat/oauth_redirect?code=c&state={state}"),
    ] {
        assert_eq!(get(&hub, &path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_legs_take_get_alone_and_the_rest_a_token() {
    let hub = hub();
    let ask = |method: Method, path: &str| {
        Request::builder().method(method).uri(path).body(Full::default()).unwrap()
    };
    for path in ["/actions/drive/oauth", "/actions/drive/oauth_redirect"] {
        // A HEAD by a link checker would use up the code.
        for method in [Method::HEAD, Method::POST] {
            let answer = send(&hub, ask(method, path)).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
    let webhook = |method: Method, path: &str| {
        let mut request = ask(method, path);
        request.headers_mut().insert("x-looker-webhook-token", "hook".parse().unwrap());
        request
    };
    for (method, path) in
        [(Method::POST, "/actions/drive/oauth_token"), (Method::GET, "/actions/drive/oauth_check")]
    {
        let none = send(&hub, ask(method.clone(), path)).await;
        assert_eq!(none.status, StatusCode::FORBIDDEN, "{path}");
        let hook = send(&hub, webhook(method, path)).await;
        assert_eq!(hook.status, StatusCode::FORBIDDEN, "{path}");
    }
    // No version 2 in the spec, no login at all.
    for name in ["drive", "chat", "plain"] {
        let path = format!("/actions/{name}/oauth_token");
        let answer = post(&hub, &path, &json!({"state": "x"})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
    }
    for (name, status, text) in [("drive", 200, "false"), ("plain", 404, "")] {
        let mut request = ask(Method::GET, &format!("/actions/{name}/oauth_check"));
        request.headers_mut().insert("authorization", token().parse().unwrap());
        let answer = send(&hub, request).await;
        assert_eq!(answer.status.as_u16(), status);
        assert!(answer.text.contains(text));
    }
}

#[tokio::test]
async fn a_login_goes_back_to_lookers_alone() {
    let hub = hub();
    for (url, right) in [
        ("https://acme.looker.com/action_hub_state/t", true),
        ("https://acme.eu.looker.com/t", true),
        ("https://acme.looker.app/t", true),
        ("https://ACME.LOOKER.COM/t", true),
        ("https://looker.corp.example/t", true),
        ("https://looker.corp.example:8443/t", true),
        ("http://looker.corp.example/t", true),
        ("http://localhost:9999/t", true),
        ("http://acme.looker.com/t", false),
        ("https://looker.com/t", false),
        ("https://evil-looker.com/t", false),
        ("https://acme.looker.com.evil.example/t", false),
        ("https://evil.example/acme.looker.com", false),
        ("https://acme.looker.com@evil.example/t", false),
        ("https://user:pass@acme.looker.com/t", false),
        ("https://a.looker.corp.example/t", false),
        ("http://localhost:80/t", false),
        ("https://169.254.169.254/t", false),
        ("ftp://acme.looker.com/t", false),
        ("javascript:alert(1)", false),
        ("no url", false),
    ] {
        let form =
            post(&hub, "/actions/drive/form", &form_of(&json!({"state_url": url}))).await.json();
        assert_eq!(form[0]["type"] == "oauth_link", right, "{url}: {form}");
        let why = form["error"].as_str().unwrap_or_default();
        let named = why.contains("SENDOFF_LOOKER_HOSTS") || why.contains("no URL");
        assert!(right || named, "{url}: {form}");
    }
}

/// The list replaces what is taken for a Looker unless an operator says otherwise.
#[tokio::test]
async fn an_operator_can_let_logins_go_to_his_own_looker_alone() {
    let offers = async |list: Option<&[&str]>, url: &str| {
        let hub = Hub::builder().action(Drive).secrets(["the hub's secret".into()]);
        let hub = hub.base_url("https://hub.example").oauth_client("drive", "id", "secret".into());
        let hub = match list {
            Some(list) => hub.looker_hosts(hosts(list)),
            None => hub,
        };
        let data = json!({"state_url": url});
        let form = post(&hub.build().unwrap(), "/actions/drive/form", &form_of(&data)).await;
        form.json()[0]["type"] == "oauth_link"
    };
    for (list, url, right) in [
        (None, "https://acme.looker.com/t", true),
        (None, "https://acme.looker.app/t", true),
        (None, "https://looker.corp.example/t", false),
        (Some(&["acme.looker.com"][..]), "https://acme.looker.com/t", true),
        (Some(&["acme.looker.com"]), "http://acme.looker.com/t", false),
        (Some(&["acme.looker.com"]), "https://other.looker.com/t", false),
        (Some(&["acme.looker.com"]), "https://a.acme.looker.com/t", false),
        (Some(&["acme.looker.com"]), "https://acme.looker.app/t", false),
        (Some(&["*.eu.looker.com"]), "https://acme.eu.looker.com/t", true),
        (Some(&["*.eu.looker.com"]), "https://acme.looker.com/t", false),
        (Some(&["looker.corp.example"]), "https://looker.corp.example/t", true),
        (Some(&["looker.corp.example"]), "https://acme.looker.com/t", false),
        (Some(&[]), "https://acme.looker.com/t", false),
    ] {
        assert_eq!(offers(list, url).await, right, "{list:?} {url}");
    }
    for wrong in ["looker.*.example", "*.*.example", "acme*.looker.com", "*"] {
        assert!(LookerHosts::parse([wrong]).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn an_admins_test_without_an_address_still_gets_the_login() {
    let hub = hub();
    let form = post(&hub, "/actions/drive/form", &json!({})).await.json();
    let url = form[0]["oauth_url"].as_str().unwrap();
    let page = get(&hub, url.trim_start_matches("https://hub.example/looker")).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text.contains("Looker did not say"), "{}", page.text);
}

#[tokio::test]
async fn the_test_of_a_delegated_login_answers_in_the_references_shapes() {
    let hub = hub();
    let ask = async |agent: &str, state: &str| {
        let body = form_of(&json!({"test": true, "state_json": state}));
        let request = Request::post("/actions/chat/form")
            .header("authorization", token())
            .header("user-agent", agent);
        send(&hub, request.body(Full::from(body.to_string())).unwrap()).await.json()
    };
    let list = r#"[{"install_id":"T1","token":"xoxb-1"}]"#;
    let field =
        |value: &str| json!({"fields": [{"name": "Connected", "type": "message", "value": value}]});
    assert_eq!(
        ask("LookerOutgoingWebhook/7.3.0", list).await,
        field(r#"{"installation_id":"T1","installation_name":"Acme"}"#)
    );
    for old in ["LookerOutgoingWebhook/7.2.9", "curl"] {
        assert_eq!(ask(old, "xoxb-1").await, field("Connected with Acme (any)"));
    }
    assert_eq!(
        ask("LookerOutgoingWebhook/7.3.0", "reset").await,
        json!({"error": "Connect first."})
    );
}

#[tokio::test]
async fn a_delegated_login_leads_to_looker_itself() {
    let hub = hub();
    let state_url = "https://acme.looker.com/admin/chat/install?x=1";
    let form = post(&hub, "/actions/chat/form", &form_of(&json!({"state_url": state_url}))).await;
    assert_eq!(form.json()[0]["oauth_url"], state_url);
    let form = post(&hub, "/actions/chat/form", &form_of(&json!({}))).await.json();
    assert!(form["error"].as_str().unwrap().contains("state_url is empty"), "{form}");
}
