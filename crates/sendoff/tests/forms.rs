//! A form that is drawn again does not ask the vendor again, and nobody sees another's list.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use sendoff::prelude::*;
use sendoff::{Choices, Item, Token};
use serde_json::{Value, json};
use tower::ServiceExt;

/// A vendor of three channels, which counts how often it is asked.
struct Radio {
    asked: Arc<AtomicUsize>,
}

#[derive(Fields)]
struct Settings {
    token: Secret,
}

#[derive(Fields)]
struct Form {
    channel: String,
    #[field(interactive)]
    find: Option<String>,
}

impl Radio {
    async fn channels(&self, token: &Secret) -> Result<Vec<Item>> {
        let times = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if token.expose().starts_with("revoked") {
            return Err(Error::vendor(format!("The radio said no, {times} times.")));
        }
        Ok((1..=3).map(|n| Item::named(format!("{}-{n}", token.expose()))).collect())
    }
}

impl Action for Radio {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("radio", "Radio").description("Three channels.");

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let found = cx.remember("channels", self.channels(&cx.settings.token)).await?;
        Choices::of("channels", found.into()).most(2).searched(&mut form.channel, &mut form.find);
        Ok(())
    }

    async fn execute(&self, _: &Context<Settings>, form: Form, _: Payload) -> Result<Receipt> {
        Ok(Receipt::new(form.channel).says(form.find.unwrap_or_default()))
    }
}

async fn drawn(hub: &Hub, token: &str, find: &str) -> Value {
    let secret = Secret::from("s3cret");
    let hub_token = Token::issue(&secret, []).expect("a token");
    let body = json!({"type": "query", "data": {"token": token}, "form_params": {"find": find}});
    let request = Request::post("/actions/radio/form")
        .header("authorization", format!("Token token=\"{hub_token}\""))
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .expect("a request");
    let response = hub.clone().oneshot(request).await.expect("never fails");
    assert_eq!(response.status(), StatusCode::OK);
    #[allow(clippy::disallowed_methods, reason = "the hub's answers are small")]
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

fn channels(form: &Value) -> Vec<&str> {
    let options = form[0]["options"].as_array().expect("a list");
    options.iter().map(|option| option["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn a_form_drawn_again_asks_the_vendor_once_for_each_login() {
    let asked = Arc::new(AtomicUsize::new(0));
    let times = || asked.load(Ordering::SeqCst);
    let action = Radio { asked: Arc::clone(&asked) };
    let hub = Hub::builder().action(action).secrets(["s3cret".into()]).build().expect("a hub");
    assert_eq!(channels(&drawn(&hub, "alice", "").await), ["alice-1", "alice-2"]);
    assert_eq!(channels(&drawn(&hub, "alice", "3").await), ["alice-3"]);
    assert_eq!(times(), 1);
    assert_eq!(channels(&drawn(&hub, "bob", "3").await), ["bob-3"]);
    assert_eq!(channels(&drawn(&hub, "alice", "").await), ["alice-1", "alice-2"]);
    assert_eq!(times(), 2);
    for time in 3..=4 {
        let form = drawn(&hub, "revoked", "").await;
        assert_eq!(form["error"], format!("The radio said no, {time} times."));
    }
}
