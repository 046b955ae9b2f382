//! OAuth v1, v2 and delegate OAuth, from the side of Looker.

use sendoff_protocol::{ActionType, Members};

use super::*;
use crate::Call;

async fn ask(method: &str, url: &str, kind: &str, body: &str) -> (u16, String) {
    let (address, uri) = crate::dial::Address::of(url).unwrap();
    let socket = address.connect().await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(socket)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri(uri.path_and_query().unwrap().as_str())
        .header("host", "looker")
        .header("content-type", kind)
        .body(crate::request::RequestBody::text(body.to_owned(), ""))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn drawn(looker: &Instance, action: &ActionId) -> Drawn {
    let of = FormOf {
        user: "ana".into(),
        action: action.clone(),
        kind: ActionType::Query,
        answers: Members::default(),
    };
    looker.form(of).await.unwrap()
}

#[tokio::test]
async fn v1_takes_a_json_object_once() {
    let hub = Scripted::with(json!({"uses_oauth": true}), |_, _| async {
        (200, json!([{"name": "login", "type": "oauth_link", "oauth_url": "http://h/oauth"}]))
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    assert!(drawn(&looker, &action).await.wants_login());
    drawn(&looker, &action).await;
    let asked = hub.asked("/form");
    let url = asked[0]["data"]["state_url"].as_str().unwrap();
    assert_ne!(asked[1]["data"]["state_url"], *url, "fresh each time");
    assert_eq!(url.rsplit('/').next().unwrap().len(), 40);
    assert!(url.contains("/action_hub_state/"), "{url}");
    assert_eq!(asked[0]["data"].get("state_redir_url"), None);

    for (kind, body, status) in [
        ("text/plain", "{\"a\":1}", 415),
        ("application/json", "\"text\"", 400),
        ("application/json", "{", 400),
        ("application/json", &format!("{{\"a\":\"{}\"}}", "x".repeat(33_000)), 413),
    ] {
        let (got, why) = ask("POST", url, kind, body).await;
        assert_eq!(got, status, "{kind} {why}");
        assert_eq!(looker.state("ana", &action), None);
    }
    let (status, _) =
        ask("POST", url, "application/json; charset=utf-8", "{\"token\":\"t-1\"}").await;
    assert_eq!(status, 200);
    assert_eq!(looker.state("ana", &action).unwrap().data, "{\"token\":\"t-1\"}");
    assert_eq!(ask("POST", url, "application/json", "{\"token\":\"t-2\"}").await.0, 404);
    drawn(&looker, &action).await;
    assert_eq!(hub.asked("/form")[2]["data"]["state_json"], "{\"token\":\"t-1\"}");
    // Deliveries carry it too, and no record shows it.
    let order = Order::new(&action, What::Look("penguins".into()));
    looker.send(order).await.unwrap().finished().await;
    assert_eq!(hub.asked("/execute")[0]["data"]["state_json"], "{\"token\":\"t-1\"}");
    let journal = format!("{:?}", looker.journal().all());
    assert!(!journal.contains("t-1") && journal.contains("action_hub_state"));
}

#[tokio::test]
async fn v2_exchanges_what_the_browser_brings_with_the_hubs_token() {
    let hub = Scripted::start(|address, path, body| async move {
        match path.as_str() {
            "/" => {
                let token_url = format!("http://{address}/actions/a/oauth_token");
                (200, listing(address, &json!({"uses_oauth": true, "token_url": token_url})))
            }
            "/actions/a/oauth_token" => {
                assert_eq!(body["state"], "sealed code");
                (200, json!({"tokens": {"access": "t-9"}, "redirect": "http://h/back"}))
            }
            _ => (200, json!([])),
        }
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    drawn(&looker, &action).await;
    let asked = hub.asked("/form");
    let url = asked[0]["data"]["state_redir_url"].as_str().unwrap();
    assert_eq!(ask("GET", url, "", "").await.0, 400);
    let (status, page) = ask("GET", &format!("{url}?x=1&state=sealed+code"), "", "").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Logged in"));
    let kept: Value = serde_json::from_str(&looker.state("ana", &action).unwrap().data).unwrap();
    assert_eq!(kept["tokens"]["access"], "t-9");
    assert_eq!(ask("GET", &format!("{url}?state=again"), "", "").await.0, 404);
    let seen = hub.seen.lock().unwrap();
    let call = seen.iter().find(|(path, ..)| path.ends_with("/oauth_token")).unwrap();
    assert_eq!(call.2["authorization"], "Token token=\"nonce/hmac\"");
    let journal = looker.journal().all();
    let token = journal.iter().find(|entry| entry.exchange.call == Some(Call::Token)).unwrap();
    let shown = serde_json::to_string(&**token).unwrap();
    assert!(!shown.contains("t-9") && !shown.contains("sealed code"), "{shown}");
}

#[tokio::test]
async fn a_token_url_that_refuses_is_told_to_the_user() {
    let hub = Scripted::start(|address, path, _| async move {
        match path.as_str() {
            "/" => {
                let token_url = format!("http://{address}/actions/a/oauth_token");
                (200, listing(address, &json!({"uses_oauth": true, "token_url": token_url})))
            }
            "/actions/a/oauth_token" => (400, json!({"error": "<b>expired</b>"})),
            _ => (200, json!([])),
        }
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    drawn(&looker, &action).await;
    let url = hub.asked("/form")[0]["data"]["state_redir_url"].as_str().unwrap().to_owned();
    let (status, page) = ask("GET", &format!("{url}?state=x"), "", "").await;
    assert_eq!(status, 502);
    assert!(page.contains("&lt;b&gt;expired") && !page.contains("<b>"), "{page}");
    assert_eq!(looker.state("ana", &action), None);
}

#[tokio::test]
async fn a_workspace_is_installed_on_a_page() {
    let hub =
        Scripted::with(json!({"delegate_oauth": true}), |_, _| async { (200, json!([])) }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    drawn(&looker, &action).await;
    let asked = hub.asked("/form");
    let url = asked[0]["data"]["state_url"].as_str().unwrap();
    assert!(ask("GET", url, "", "").await.1.contains("Connect a for ana"));
    let form = "application/x-www-form-urlencoded";
    assert_eq!(ask("POST", url, form, "install_id=T1").await.0, 400);
    assert_eq!(ask("POST", url, form, "install_id=T1&token=x%2By").await.0, 200);
    assert_eq!(ask("POST", url, form, "install_id=T2&token=z").await.0, 404);
    let second = looker.install_url(&action, "ana").unwrap();
    assert_eq!(ask("POST", &second, form, "install_id=T2&token=z").await.0, 200);
    let state = looker.state("ana", &action).unwrap().data;
    assert_eq!(
        serde_json::from_str::<Value>(&state).unwrap(),
        json!([{"install_id": "T1", "token": "x+y"}, {"install_id": "T2", "token": "z"}])
    );
}

#[tokio::test]
async fn a_workspace_that_is_offered_needs_no_token_typed_in() {
    let hub =
        Scripted::with(json!({"delegate_oauth": true}), |_, _| async { (200, json!([])) }).await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let offered = Workspace { install_id: "T<1>".into(), token: "canary-of-a-workspace".into() };
    looker.offer_workspaces(&action, vec![offered]);
    let url = looker.install_url(&action, "ana").unwrap();
    let (_, page) = ask("GET", &url, "", "").await;
    assert!(page.contains("Connect T&lt;1&gt;"), "{page}");
    assert!(!page.contains("canary-of-a-workspace"), "{page}");
    let form = "application/x-www-form-urlencoded";
    assert_eq!(ask("POST", &url, form, "install_id=T2").await.0, 400);
    assert_eq!(ask("POST", &url, form, "install_id=T%3C1%3E").await.0, 200);
    let state = looker.state("ana", &action).unwrap().data;
    assert_eq!(
        serde_json::from_str::<Value>(&state).unwrap(),
        json!([{"install_id": "T<1>", "token": "canary-of-a-workspace"}])
    );
}
