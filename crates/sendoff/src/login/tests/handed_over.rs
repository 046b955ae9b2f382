//! Version 2: the browser takes a sealed code to Looker, and Looker brings it to the token URL.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::routes::{form_of, get, post, send, token};
use crate::OAuth;
use crate::prelude::*;

struct Sheets;

impl Action for Sheets {
    type Settings = ();
    type Form = ();
    const SPEC: Spec = Spec::new("sheets", "Sheets")
        .oauth(OAuth::new("https://login.example/authorize", "https://login.example/token").v2());

    async fn execute(&self, _: &Context<()>, (): (), _: Payload) -> Result<Receipt> {
        Ok(Receipt::new("sheets"))
    }
}

fn hub() -> Hub {
    let hub = Hub::builder().action(Sheets).secrets(["the hub's secret".into()]);
    hub.base_url("https://hub.example")
        .oauth_client("sheets", "client-1", "client secret".into())
        .build()
        .unwrap()
}

/// Where the browser is sent once the provider has let the user in.
async fn handed_over(hub: &Hub, state_redir_url: &str) -> url::Url {
    let data = json!({"state_redir_url": state_redir_url});
    let form = post(hub, "/actions/sheets/form", &form_of(&data)).await.json();
    let link = form[0]["oauth_url"].as_str().unwrap_or_else(|| panic!("{form}"));
    let leg = get(hub, link.trim_start_matches("https://hub.example")).await;
    let to = url::Url::parse(leg.header("location")).unwrap();
    let (_, state) = to.query_pairs().find(|(name, _)| name == "state").unwrap();
    let cookie = leg.header("set-cookie").split_once(';').unwrap().0;
    let back = Request::get(format!("/actions/sheets/oauth_redirect?code=c&state={state}"));
    let back = back.header("cookie", cookie).body(Full::<Bytes>::default()).unwrap();
    let answer = send(hub, back).await;
    assert_eq!(answer.status, StatusCode::FOUND, "{}", answer.text);
    url::Url::parse(answer.header("location")).unwrap()
}

#[tokio::test]
async fn lookers_own_query_is_kept_and_its_state_replaced() {
    let hub = hub();
    for (query, kept) in [
        ("", vec![]),
        ("?state=old", vec![]),
        ("?state=old&a=1&state=older&b=%26+x", vec![("a", "1"), ("b", "& x")]),
        ("?a=1", vec![("a", "1")]),
    ] {
        let to = handed_over(&hub, &format!("https://acme.looker.com/oauth/redirect{query}")).await;
        let pairs: Vec<(String, String)> = to.query_pairs().into_owned().collect();
        let (last, others) = pairs.split_last().unwrap();
        assert!(last.0 == "state" && last.1.starts_with("s1."), "{query}: {to}");
        let others: Vec<_> = others.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(others, kept, "{query}");
        assert_eq!((to.host_str(), to.path()), (Some("acme.looker.com"), "/oauth/redirect"));
    }
}

#[tokio::test]
async fn a_token_call_that_cannot_be_read_is_said_to_be_that() {
    let hub = hub();
    let ask = async |path: &str, body: &'static str| {
        let request = Request::post(path).header("authorization", token());
        let mut request = request.body(Full::from(body)).unwrap();
        if path.ends_with("oauth_check") {
            *request.method_mut() = http::Method::GET;
        }
        let answer = send(&hub, request).await;
        (answer.status, answer.json())
    };
    for (body, said) in [
        ("", "The request holds no state."),
        ("{}", "The request holds no state."),
        ("{\"state\":", "Looker's request was cut short"),
        ("[]", "not the JSON that Looker sends"),
    ] {
        let (status, answer) = ask("/actions/sheets/oauth_token", body).await;
        assert_eq!((status, &answer["success"]), (StatusCode::BAD_REQUEST, &json!(false)));
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(said) && !error.contains("deliver"), "{body:?}: {error}");
    }
    let (status, answer) = ask("/actions/sheets/oauth_check", "{").await;
    let error = answer["error"].as_str().unwrap();
    assert!(status == StatusCode::BAD_REQUEST && !error.contains("deliver"), "{error}");
    assert_eq!(ask("/actions/sheets/oauth_check", "").await, (StatusCode::OK, json!(false)));
}
