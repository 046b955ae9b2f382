/// What Looker sent to `count` at 2026-11-25T10:00:00Z.
#[tokio::test]
async fn count_answers_this_execute() {
    use http_body_util::{BodyExt, Full};
    use tower::ServiceExt;

    const BODY: &[u8] = r#"{"attachment":{"data":"a,b\n1,2\n","extension":"csv","mimetype":"text/csv"},"data":{},"form_params":{},"scheduled_plan":{"scheduled_plan_id":1,"title":"A \"title\""},"type":"query"}"#.as_bytes();
    let secret = sendoff::Secret::from("a long random text");
    let token = sendoff::Token::issue(&secret, []).unwrap();
    let hub = hub(secret);
    let request = http::Request::post("/actions/count/execute")
        .header("authorization", format!("Token token=\"{token}\""))
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from_static(BODY)))
        .unwrap();
    let response = hub.oneshot(request).await.unwrap();
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["looker"]["success"], true, "{answer}");
}
