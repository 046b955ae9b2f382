//! `aws_ec2_stop_instance` against moto, a server of AWS's dialects in Python: `BEHAVIOUR_MOTO`.
//!
//! What moto stops was started by the test itself, with requests that are not the hub's.

#![allow(clippy::disallowed_methods, reason = "the test script names its servers so")]

mod stage;

use sendoff::{Egress, Http, Hub, Scope};
use serde_json::{Value, json};

use stage::{builder, call, egress};

const REGION: &str = "eu-central-1";

struct Stage {
    hub: Hub,
    /// The test's own door to moto.
    http: Http,
    address: String,
}

/// moto, if it runs. `scripts/test` starts it: then a missing one is a failure.
fn stage() -> Option<Stage> {
    let address = std::env::var("BEHAVIOUR_MOTO").ok().filter(|address| !address.is_empty());
    let required = std::env::var("BEHAVIOUR_REQUIRE_REAL").is_ok_and(|value| value == "1");
    assert!(address.is_some() || !required, "BEHAVIOUR_MOTO is not set");
    let address = address?.trim_end_matches('/').to_owned();
    let hub = builder(egress([format!("https://*.amazonaws.com={address}")])).build().unwrap();
    let mut own = egress([]);
    own.allow_addresses = vec!["127.0.0.0/8".parse().unwrap()];
    let http = Egress::new(own).unwrap().http(Scope::new("moto"));
    Some(Stage { hub, http, address })
}

impl Stage {
    /// moto finds the service by the signature's scope and does not check the rest.
    async fn ask(&self, action: &str, more: &[(&str, &str)]) -> String {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20261125/{REGION}/ec2/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let pairs = [("Action", action), ("Version", "2016-11-15")];
        let call = self.http.post(&self.address).header("authorization", scope);
        let reply = call.form(pairs.into_iter().chain(more.iter().copied())).send().await.unwrap();
        reply.success().await.unwrap().text().await.unwrap()
    }

    async fn run(&self, count: &str) -> Vec<String> {
        let image = self.ask("DescribeImages", &[]).await;
        let image = between(&image, "imageId").remove(0);
        let many = [("ImageId", image.as_str()), ("MinCount", count), ("MaxCount", count)];
        between(&self.ask("RunInstances", &many).await, "instanceId")
    }

    async fn state(&self, id: &str) -> String {
        let answer = self.ask("DescribeInstances", &[("InstanceId.1", id)]).await;
        let state = between(&answer, "instanceState").remove(0);
        between(&state, "name").remove(0)
    }

    async fn send(&self, body: Value) -> Value {
        call(&self.hub, "/actions/aws_ec2_stop_instance/execute", None, body).await["looker"].take()
    }

    async fn rows(&self, ids: &[&str], form: Value) -> Value {
        let rows: Vec<_> = ids.iter().map(|id| json!({"hosts.id": {"value": id}})).collect();
        let field = json!({"name": "hosts.id", "label": "ID", "tags": ["aws_resource_id"]});
        let data = json!({"fields": {"dimensions": [field]}, "data": rows}).to_string();
        self.send(json!({
            "type": "query", "scheduled_plan": {"title": "Idle hosts"}, "data": settings(),
            "form_params": form,
            "attachment": {"mimetype": "application/json", "extension": "json", "data": data},
        }))
        .await
    }
}

fn settings() -> Value {
    json!({"access_key_id": "AKIATEST", "secret_access_key": "secret", "region": REGION})
}

fn between(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = xml.split(&open).skip(1);
    parts.filter_map(|part| part.split_once(&close)).map(|(text, _)| text.to_owned()).collect()
}

#[tokio::test]
async fn each_instance_is_reported() {
    let Some(stage) = stage() else { return };
    let ids = stage.run("3").await;
    let (stopped, running, other) = (&*ids[0], &*ids[1], &*ids[2]);
    stage.ask("StopInstances", &[("InstanceId.1", stopped)]).await;
    let arn = format!("arn:aws:ec2:{REGION}:123456789012:instance/{running}");
    let missing = "i-0123456789abcdef0";
    let answer = stage.rows(&[stopped, &arn, running, "", missing, "vol-1234"], json!({})).await;
    assert_eq!(answer["success"], false);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("2 of 4 rows accepted (1 already stopped, 1 stop"), "{message}");
    assert!(message.contains("2 failed: \"vol-1234\" is no instance id"), "{message}");
    assert!(message.contains(&format!("{missing} was not found")), "{message}");
    assert!(message.contains("1 row named none."), "{message}");
    assert_eq!(stage.state(running).await, "stopped");
    assert_eq!(stage.state(other).await, "running");
}

#[tokio::test]
async fn nothing_is_touched_beyond_the_limit_or_in_a_dry_run() {
    let Some(stage) = stage() else { return };
    let ids = stage.run("2").await;
    let both = [&*ids[0], &*ids[1]];
    let answer = stage.rows(&both, json!({"max_instances": "1"})).await;
    assert_eq!(answer["success"], false);
    assert!(answer["validation_errors"]["max_instances"].is_string(), "{answer}");
    let answer = stage.rows(&both, json!({"operation": "start"})).await;
    assert!(answer["validation_errors"]["operation"].is_string(), "{answer}");
    let answer = stage.rows(&both, json!({"dry_run": "yes"})).await;
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("2 would be changed (dry run)"), "{message}");
    for id in both {
        assert_eq!(stage.state(id).await, "running");
    }
}

#[tokio::test]
async fn a_cell_stops_its_instance_and_asks_looker_to_look_again() {
    let Some(stage) = stage() else { return };
    let ids = stage.run("1").await;
    let mut data = settings();
    data["value"] = json!(ids[0]);
    let answer = stage.send(json!({"type": "cell", "data": data, "form_params": {}})).await;
    assert_eq!((&answer["success"], &answer["refresh_query"]), (&json!(true), &json!(true)));
    assert_eq!(stage.state(&ids[0]).await, "stopped");
}
