//! The hub as an AWS Lambda function, configured as `sendoff serve` is.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use lambda_http::http::Uri;
use lambda_http::http::uri::PathAndQuery;
use lambda_http::request::RequestContext;
use lambda_http::tower::ServiceExt;
use lambda_http::{Request, RequestExt, service_fn};
use sendoff::Hub;
use sendoff_cli::config::{Config, Environment, Flags};

/// Lambda ends a run after 15 minutes without a word: uploads are aborted and the answer is given
/// before that.
const LONGEST: Duration = Duration::from_secs(14 * 60);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Lambda keeps what is written there.
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), lambda_http::Error> {
    let environment = Environment::of_process();
    let mut config = Config::load(&sendoff_cli::catalogue(), &environment, &Flags::default())?;
    if config.secrets.is_empty() {
        return Err(sendoff_cli::NO_SECRET.into());
    }
    config.limits.deadline = config.limits.deadline.min(LONGEST);
    sendoff_cli::log(&config, false);
    if let Some(limits) = sendoff_cli::platform_limits(&environment) {
        tracing::info!("{limits}");
    }
    let hub = sendoff_cli::hub(&config)?;
    let answer = service_fn(move |request| answer(hub.clone(), request));
    if config.lambda_response_stream {
        lambda_http::run_with_streaming_response(answer).await
    } else {
        lambda_http::run(answer).await
    }
}

async fn answer(
    hub: Hub,
    request: Request,
) -> Result<lambda_http::Response<sendoff::Answer>, Infallible> {
    hub.oneshot(without_stage(request)).await
}

/// API Gateway's HTTP APIs put a named stage before the path, and the event's reader puts one before
/// the path of every gateway; the hub knows none.
fn without_stage(mut request: Request) -> Request {
    let path = request.raw_http_path();
    let path = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(_)) => path,
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.stage.as_deref().and_then(|stage| below(stage, path)).unwrap_or(path)
        }
        _ => return request,
    };
    let path = if path.is_empty() { "/" } else { path };
    let path = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    // A path that is none goes on as the event's reader wrote it.
    if let Ok(path) = PathAndQuery::try_from(path) {
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// What is below a stage, unless the path only begins with the same letters.
fn below<'a>(stage: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix('/')?.strip_prefix(stage)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Limited};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "a long random text";

    fn hub() -> Hub {
        let secret = sendoff::Secret::from(SECRET.to_owned());
        let actions = sendoff_destinations::all(&sendoff_destinations::Config {
            debug: true,
            ..Default::default()
        });
        Hub::builder().actions(actions).secrets([secret]).build().expect("a hub")
    }

    /// What the hub answers to a POST at this path behind API Gateway's HTTP API, whose events look
    /// so: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
    #[allow(clippy::disallowed_methods, reason = "Limited is the bound")]
    async fn posted(stage: &str, path: &str, body: &Value) -> (u16, Value) {
        let secret = sendoff::Secret::from(SECRET.to_owned());
        let token = sendoff::Token::issue(&secret, None).expect("a token");
        let event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {
                "authorization": format!("Token token=\"{token}\""),
                "content-type": "application/json",
                "host": "id.execute-api.us-east-1.amazonaws.com"
            },
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "id",
                "domainName": "id.execute-api.us-east-1.amazonaws.com",
                "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1",
                         "sourceIp": "192.0.2.1", "userAgent": "LookerOutgoingWebhook/25.18.0"},
                "requestId": "id",
                "routeKey": "$default",
                "stage": stage,
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_u64
            },
            "body": body.to_string(),
            "isBase64Encoded": false
        });
        let request = lambda_http::request::from_str(&event.to_string()).expect("an event");
        let answer = answer(hub(), request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), 1 << 20).collect().await.expect("a body");
        (status, serde_json::from_slice(&body.to_bytes()).expect("JSON"))
    }

    #[tokio::test]
    async fn a_stage_before_the_path_is_no_part_of_it() {
        for (stage, path) in
            [("$default", "/"), ("prod", "/prod/"), ("prod", "/prod"), ("prod", "/")]
        {
            let (status, list) = posted(stage, path, &json!({})).await;
            assert_eq!(status, 200, "{stage} {path}: {list}");
            assert_eq!(list["integrations"][0]["name"], "airtable", "{stage} {path}");
        }
        let (status, _) = posted("act", "/act/actions/debug/form", &json!({})).await;
        assert_eq!(status, 200);
        // The gateway's own path is kept where a stage has the letters with which it begins.
        let (status, _) = posted("act", "/actions/debug/form", &json!({})).await;
        assert_eq!(status, 200);
    }

    #[tokio::test]
    async fn a_delivery_is_answered_whole() {
        let (status, answer) = posted(
            "prod",
            "/prod/actions/debug/execute",
            &json!({"type": "query", "form_params": {}, "attachment": {
                "mimetype": "text/csv;charset=utf-8", "extension": "csv", "data": "a\n1\n"
            }}),
        )
        .await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["looker"]["success"], true, "{answer}");
    }
}
