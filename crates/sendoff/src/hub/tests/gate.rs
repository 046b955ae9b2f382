//! Who gets in, and what everybody may see.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::json;
use tower::ServiceExt;

use super::{post, quick, send, stage};

#[tokio::test]
async fn p19_a_wrong_token_is_refused_without_reading_the_body() {
    let stage = stage(quick());
    let never = || {
        let stream = futures_util::stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                panic!("the body was read")
            },
        );
        StreamBody::new(stream)
    };
    for header in
        [None, Some("Token token=\"a/b\""), Some("Token token=\"\""), Some("Bearer x"), Some("")]
    {
        for path in [
            "/",
            "/actions/puppet",
            "/actions/puppet/form",
            "/actions/puppet/execute",
            "/webhook/puppet",
        ] {
            let mut request = Request::post(path).header("content-length", "250000000");
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let (status, answer) = send(&stage.hub, request.body(never()).unwrap()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path} {header:?}");
            assert_eq!(
                answer,
                json!({"success": false, "error": "Invalid 'Authorization' header."})
            );
        }
    }
}

#[tokio::test]
async fn scheduled_webhooks_and_data_actions_deliver_by_lookers_own_token() {
    let stage = stage(quick());
    let body = r#"{"type":"query","data":{"api_key":"k"},"form_params":null,"scheduled_plan":null,
        "attachment":{"mimetype":"text/csv","extension":"csv","data":"rows"}}"#;
    let ask = |path: &str, token: &str, body: &'static str| {
        let request = Request::post(path).header("x-looker-webhook-token", token);
        send(&stage.hub, request.body(Full::new(Bytes::from(body))).unwrap())
    };
    let (_, answer) = ask("/webhook/puppet?how=read&note=n%26m:", "hook", body).await;
    assert_eq!(answer["looker"]["message"], "n&m:rows");
    let cell = r#"{"type":"cell","attachment":null,"scheduled_plan":null,
        "data":{"api_key":"k","value":"open"},"form_params":{"how":"ignore"}}"#;
    let (_, answer) = ask("/actions/puppet/execute", "hook", cell).await;
    assert_eq!(answer["looker"]["success"], true);
    assert_eq!(ask("/webhook/puppet?how=read", "hooked", body).await.0, StatusCode::FORBIDDEN);
    // Looker's webhook token is not the hub's: it lists nothing.
    assert_eq!(ask("/", "hook", "").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn old_lookers_do_not_see_what_they_cannot_use() {
    let hub = stage(quick()).hub;
    for (agent, seen) in
        [("LookerOutgoingWebhook/5.4.9", 0), ("LookerOutgoingWebhook/5.5.0", 1), ("curl/8", 1)]
    {
        let request = post("/").header("user-agent", agent).body(Full::new(Bytes::new())).unwrap();
        let (_, list) = send(&hub, request).await;
        assert_eq!(list["integrations"].as_array().unwrap().len(), seen, "{agent}");
    }
}

#[tokio::test]
async fn pages_are_for_everyone_and_escape_what_they_show() {
    let hub = stage(quick()).hub;
    for (path, status) in [
        ("/", 200),
        ("/status", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/x", 404),
        ("/a/b/c/d/e", 404),
    ] {
        let response =
            hub.clone().oneshot(Request::get(path).body(Full::<Bytes>::default()).unwrap());
        let response = response.await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(!text.contains("<Stage>"), "{path}: {text}");
    }
    let (status, _) = send(&hub, Request::put("/").body(Full::<Bytes>::default()).unwrap()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}
