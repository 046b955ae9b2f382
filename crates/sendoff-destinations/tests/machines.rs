//! Commands to machines: what EC2 and DigitalOcean are told for a cell and for rows, and that what
//! came of each machine is told, whatever fails in between.

mod stage;

use serde_json::{Value, json};

use stage::{Script, Stage, answer, before, click, delivered, refused, rows, send, text, with};

/// One column of these values.
fn column(tag: &str, values: &[Value]) -> String {
    let values: Vec<_> = values.iter().map(std::slice::from_ref).collect();
    rows(tag, &["machines.id"], &values)
}

// DigitalOcean <https://docs.digitalocean.com/reference/api/reference/droplet-actions/>

const DROPLET: &str = "digitalocean_droplet";

fn droplets(ids: &[u64]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| json!(id)).collect();
    column("digitalocean_droplet_id", &ids)
}

fn forbidden() -> stage::Answer {
    answer(403, json!({ "id": "Forbidden", "message": "You are missing the required permission" }))
}

/// The kinds of actions that were asked for, in order.
fn begun(stage: &Stage) -> Vec<String> {
    let posts = stage.vendor.asked_for("POST ");
    posts.iter().map(|one| one.json()["type"].as_str().unwrap().to_owned()).collect()
}

fn action(id: u64, kind: &str, status: &str) -> stage::Answer {
    answer(200, json!({ "action": { "id": id, "type": kind, "status": status } }))
}

#[tokio::test]
async fn a_cell_names_its_droplet() {
    let stage = before(DROPLET).await;
    let answer = click(&stage, DROPLET, json!({}), json!("3,164,494")).await;
    let said = delivered(&answer);
    assert_eq!(said, "DigitalOcean: 1 of 1 row accepted (1 shutting down).");
    assert_eq!(answer["refresh_query"], true);
    let post = stage.vendor.one("POST /v2/droplets/3164494/actions ");
    assert_eq!(post.json(), json!({ "type": "shutdown" }));
}

#[tokio::test]
async fn a_cell_without_a_droplet_touches_nothing() {
    let stage = before(DROPLET).await;
    for empty in [json!(""), json!("  "), Value::Null] {
        let answer = click(&stage, DROPLET, json!({}), empty).await;
        refused(&answer, "The cell is empty, so that it names no droplet.");
    }
    let answer = click(&stage, DROPLET, json!({}), json!("web-1")).await;
    refused(&answer, "1 failed: \"web-1\" is no droplet's number.");
    assert!(stage.vendor.asked().is_empty());
}

#[tokio::test]
async fn each_operation_is_begun_by_its_name() {
    for (operation, kind, said) in [
        ("shutdown", "shutdown", "shutting down"),
        ("power_off", "power_off", "powering off"),
        ("reboot", "reboot", "rebooting"),
    ] {
        let stage = before(DROPLET).await;
        let answer =
            send(&stage, DROPLET, json!({ "operation": operation }), &droplets(&[11])).await;
        assert!(delivered(&answer).contains(&format!("(1 {said})")), "{answer}");
        assert_eq!(begun(&stage), [kind]);
    }
}

#[tokio::test]
async fn what_is_on_already_is_not_powered_on() {
    let stage = before(DROPLET).await;
    let off = json!({ "droplet": { "id": 12, "status": "off" } });
    stage.vendor.tell("GET /v2/droplets/12 ", answer(200, off));
    let form = json!({ "operation": "power_on" });
    let answer = send(&stage, DROPLET, form, &droplets(&[11, 12])).await;
    assert!(delivered(&answer).contains("(1 already on, 1 powering on)"), "{answer}");
    assert_eq!(begun(&stage), ["power_on"]);
    stage.vendor.one("POST /v2/droplets/12/actions ");
}

#[tokio::test]
async fn who_waits_is_told_that_it_is_done() {
    let stage = before(DROPLET).await;
    let answer = send(&stage, DROPLET, json!({ "wait": "yes" }), &droplets(&[11])).await;
    assert!(delivered(&answer).contains("(1 shut down)"), "{answer}");
    // By the droplet, for which its own scope is enough.
    stage.vendor.one("GET /v2/droplets/11/actions/1 ");
    let stage = before(DROPLET).await;
    stage.vendor.tell("GET /v2/droplets/11/actions/1 ", action(1, "shutdown", "errored"));
    let answer = send(&stage, DROPLET, json!({ "wait": "yes" }), &droplets(&[11])).await;
    refused(&answer, "11 was not changed: DigitalOcean says that its action failed.");
}

#[tokio::test]
async fn what_does_not_shut_down_is_powered_off_where_that_was_chosen() {
    let form = json!({ "operation": "shutdown_then_power_off" });
    let stage = before(DROPLET).await;
    stage.vendor.tell("GET /v2/droplets/11/actions/1 ", action(1, "shutdown", "errored"));
    let answer = send(&stage, DROPLET, form.clone(), &droplets(&[11])).await;
    assert!(delivered(&answer).contains("(1 powered off)"), "{answer}");
    assert_eq!(begun(&stage), ["shutdown", "power_off"]);
    let stage = before(DROPLET).await;
    let answer = send(&stage, DROPLET, form, &droplets(&[11])).await;
    assert!(delivered(&answer).contains("(1 shut down)"), "{answer}");
    assert_eq!(begun(&stage), ["shutdown"]);
}

#[tokio::test]
async fn more_droplets_than_allowed_are_none() {
    let stage = before(DROPLET).await;
    let form = json!({ "max_droplets": "2" });
    let answer = send(&stage, DROPLET, form, &droplets(&[11, 12, 12, 13])).await;
    let said = answer["validation_errors"]["max_droplets"].as_str().unwrap();
    assert!(
        said.contains("more than 2 droplets") && said.contains("Nothing was changed"),
        "{said}"
    );
    assert!(stage.vendor.asked().is_empty());
    let form = json!({ "max_droplets": "2" });
    delivered(&send(&stage, DROPLET, form, &droplets(&[11, 12, 12])).await);
}

#[tokio::test]
async fn a_shutdown_that_was_begun_is_told_whatever_fails_after_it() {
    for (operation, denied) in [
        ("shutdown", "GET /v2/droplets/11/actions/1 "),
        ("shutdown_then_power_off", "GET /v2/droplets/11/actions/1 "),
    ] {
        let stage = before(DROPLET).await;
        stage.vendor.tell_always(denied, forbidden());
        let form = json!({ "operation": operation, "wait": "yes" });
        let answer = send(&stage, DROPLET, form, &droplets(&[11, 12])).await;
        let said = refused(&answer, "11 began shutting down, and nobody knows how that ended: ");
        assert!(said.contains("1 of 2 rows accepted (1 shut down)"), "{said}");
        assert!(said.contains("1 more may have been changed"), "{said}");
        assert!(said.contains("missing the required permission"), "{said}");
        assert_eq!(answer["error"]["status_code"], "UNKNOWN", "{answer}");
    }
    let stage = before(DROPLET).await;
    stage.vendor.tell_always("GET /v2/droplets/11/actions/1 ", forbidden());
    let answer = click(&stage, DROPLET, json!({ "wait": "yes" }), json!("11")).await;
    refused(&answer, "11 began shutting down, and nobody knows how that ended: ");
}

#[tokio::test]
async fn a_power_off_that_cannot_be_begun_does_not_hide_the_shutdown() {
    let stage = before(DROPLET).await;
    stage.vendor.tell("GET /v2/droplets/11/actions/1 ", action(1, "shutdown", "errored"));
    stage.vendor.twist("POST ", |_| {});
    stage.vendor.tell("POST ", forbidden());
    let form = json!({ "operation": "shutdown_then_power_off" });
    let answer = send(&stage, DROPLET, form, &droplets(&[11])).await;
    refused(&answer, "11 began shutting down, and nobody knows how that ended: ");
    assert_eq!(begun(&stage), ["shutdown", "power_off"]);
}

#[tokio::test]
async fn an_end_before_the_turn_of_some_droplets_names_those() {
    let stage = before(DROPLET).await;
    stage.vendor.tell_always("POST /v2/droplets/13/actions", forbidden());
    let ids: Vec<u64> = (11..31).collect();
    let answer = send(&stage, DROPLET, json!({}), &droplets(&ids)).await;
    let said = refused(&answer, "missing the required permission");
    let (before, untouched) = said.split_once(" were not touched: 13, ").expect(said);
    let begun = stage.vendor.asked_for("POST ").len() - 1;
    assert!(before.contains(&format!("{begun} of 20 rows accepted (")), "{begun}: {said}");
    assert!(before.ends_with(&format!(" {} droplets", 20 - begun)), "{begun}: {said}");
    assert!(untouched.contains(", 28, 29, 30. "), "{said}");
}

#[tokio::test]
async fn a_fault_of_digitaloceans_is_told_for_each_droplet() {
    let stage = before(DROPLET).await;
    let fault = json!({ "id": "server_error", "message": "Unexpected server-side error" });
    stage.vendor.tell_always("POST ", answer(500, fault));
    let answer = send(&stage, DROPLET, json!({}), &droplets(&[11, 12])).await;
    // Their histories say that nothing was begun.
    let said = refused(&answer, "0 of 2 rows accepted; 2 failed: 1");
    assert!(said.contains("Unexpected server-side error (also 1"), "{said}");
    // What nobody can look up may have happened.
    stage.vendor.tell_always("GET /v2/droplets/11/actions?", forbidden());
    let answer = send(&stage, DROPLET, json!({}), &droplets(&[11])).await;
    refused(&answer, "11 may have begun to shutdown, see its history in DigitalOcean: ");
    assert_eq!(answer["error"]["status_code"], "UNKNOWN", "{answer}");
}

// EC2 <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/>

const EC2: &str = "aws_ec2_stop_instance";
const ONE: &str = "i-0000000000000001a";
const TWO: &str = "i-0000000000000002a";

fn instances(ids: &[&str]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| json!(id)).collect();
    column("aws_resource_id", &ids)
}

fn ec2_says(status: u16, code: &str, message: &str) -> stage::Answer {
    text(
        status,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{code}</Code>\
             <Message>{message}</Message></Error></Errors><RequestID>0</RequestID></Response>"
        ),
    )
}

/// What was asked of EC2: host, and the pairs of the form but for the version.
fn asked(stage: &Stage) -> Vec<(String, Vec<String>)> {
    let one = |one: &stage::Asked| {
        let pairs = one.text().split('&').filter(|pair| !pair.starts_with("Version="));
        (one.header("host").to_owned(), pairs.map(str::to_owned).collect())
    };
    stage.vendor.asked().iter().map(one).collect()
}

fn commands(stage: &Stage) -> Vec<Vec<String>> {
    let all = asked(stage).into_iter().map(|(_, pairs)| pairs);
    all.filter(|pairs| !pairs.contains(&"Action=DescribeInstances".to_owned())).collect()
}

#[tokio::test]
async fn a_cell_names_its_instance() {
    let stage = before(EC2).await;
    let answer = click(&stage, EC2, json!({}), json!(ONE)).await;
    assert_eq!(delivered(&answer), "Amazon EC2: 1 of 1 row accepted (1 stopping).");
    assert_eq!(answer["refresh_query"], true);
    assert_eq!(commands(&stage), [[format!("InstanceId.1={ONE}"), "Action=StopInstances".into()]]);
    let stage = before(EC2).await;
    for empty in [json!(""), Value::Null] {
        let answer = click(&stage, EC2, json!({}), empty).await;
        refused(&answer, "The cell is empty, so that it names no instance.");
    }
    refused(&click(&stage, EC2, json!({}), json!("vol-1")).await, "\"vol-1\" is no instance id");
    assert!(stage.vendor.asked().is_empty());
}

#[tokio::test]
async fn either_tag_names_the_instances() {
    let stage = before(EC2).await;
    let data = column("aws_instance_id", &[json!(ONE)]);
    assert!(delivered(&send(&stage, EC2, json!({}), &data).await).contains("1 of 1 row"));
    let definition = stage.call(&format!("/actions/{EC2}"), json!({})).await;
    let tags = json!([{ "any_tag": ["aws_resource_id", "aws_instance_id"] }]);
    assert_eq!(definition["required_fields"], tags);
    let answer = send(&stage, EC2, json!({}), &column("other", &[json!(ONE)])).await;
    refused(&answer, "Query requires a field tagged aws_resource_id or aws_instance_id.");
}

#[tokio::test]
async fn each_way_to_stop_is_what_amazon_calls_it() {
    for (operation, action, option) in [
        ("stop", "StopInstances", None),
        ("hibernate", "StopInstances", Some("Hibernate=true")),
        ("force", "StopInstances", Some("Force=true")),
        ("skip_os_shutdown", "StopInstances", Some("SkipOsShutdown=true")),
        ("start", "StartInstances", None),
        ("reboot", "RebootInstances", None),
    ] {
        let stage = before(EC2).await;
        // None of them is needless for an instance that is being stopped, but to stop it again.
        let state = if operation == "start" { "stopped" } else { "running" };
        let described = format!(
            "<DescribeInstancesResponse><instanceId>{ONE}</instanceId><instanceState><name>{state}\
             </name></instanceState></DescribeInstancesResponse>"
        );
        stage.vendor.tell("POST / ", text(200, described));
        let settings = with(stage.settings(), json!({ "allow_start_and_reboot": "yes" }));
        let form = json!({ "operation": operation });
        let answer = stage.send(EC2, settings, form, &instances(&[ONE])).await;
        assert!(delivered(&answer).contains("1 of 1 row accepted"), "{answer}");
        let mut want: Vec<_> = option.into_iter().map(str::to_owned).collect();
        want.extend([format!("InstanceId.1={ONE}"), format!("Action={action}")]);
        assert_eq!(commands(&stage), [want], "{operation}");
    }
}

#[tokio::test]
async fn each_region_is_asked_for_its_own() {
    const THREE: &str = "i-0000000000000003a";
    // Every question is answered so, and every command.
    let one = |id: &&str| {
        format!(
            "<item><instanceId>{id}</instanceId><instanceState><name>running</name></instanceState>\
             <currentState><name>stopping</name></currentState></item>"
        )
    };
    let items: String = [ONE, TWO, THREE].iter().map(one).collect();
    let said = format!(
        "<DescribeInstancesResponse/><StopInstancesResponse>{items}</StopInstancesResponse>"
    );
    let vendor = Script::at(&["https://*.amazonaws.com"]).told("POST / ", [text(200, said)]);
    let stage = Stage::set(vendor).await;
    let fields = json!({ "dimensions": [
        { "name": "h.region", "label": "Region", "tags": ["aws_region"] },
        { "name": "h.id", "label": "ID", "tags": ["aws_resource_id"] },
    ] });
    let row = |id: &str, region: Value| json!({ "h.id": { "value": id }, "h.region": { "value": region } });
    let arn = format!("arn:aws:ec2:ap-south-1:123456789012:instance/{THREE}");
    let data = [row(ONE, Value::Null), row(TWO, json!("us-east-1")), row(&arn, json!("us-east-1"))];
    let data = json!({ "fields": fields, "data": data }).to_string();
    let settings = json!({ "access_key_id": "AKIATEST", "secret_access_key": "secret of nobody", "region": "eu-central-1" });
    let answer = stage.send(EC2, settings, json!({}), &data).await;
    assert!(delivered(&answer).contains("3 of 3 rows accepted (3 stopping)"), "{answer}");
    let mut commands: Vec<_> = asked(&stage);
    commands.retain(|(_, pairs)| pairs.contains(&"Action=StopInstances".to_owned()));
    let want =
        [("ap-south-1", THREE), ("eu-central-1", ONE), ("us-east-1", TWO)].map(|(region, id)| {
            let pairs = vec![format!("InstanceId.1={id}"), "Action=StopInstances".to_owned()];
            (format!("ec2.{region}.amazonaws.com"), pairs)
        });
    assert_eq!(commands, want);
}

#[tokio::test]
async fn what_amazon_cannot_do_now_is_told_without_its_xml() {
    let stage = before(EC2).await;
    stage.vendor.twist("POST / ", |_| {});
    let busy = || ec2_says(503, "RequestLimitExceeded", "Request limit exceeded.");
    stage.vendor.tell_always("POST / ", busy());
    let answer = send(&stage, EC2, json!({}), &instances(&[ONE, TWO])).await;
    let said =
        refused(&answer, "Amazon EC2 is busy: Request limit exceeded. (RequestLimitExceeded)");
    assert!(!said.contains('<'), "{said}");
    assert!(said.ends_with(&format!("2 instances were not touched: {ONE}, {TWO}.")), "{said}");
    assert_eq!(answer["error"]["status_code"], "UNAVAILABLE", "it took nothing: {answer}");
}

#[tokio::test]
async fn a_fault_of_amazons_has_the_instances_looked_at_again() {
    let stage = before(EC2).await;
    stage.vendor.twist("POST / ", |_| {});
    // Every try of the command.
    for _ in 0..3 {
        stage.vendor.tell("POST / ", ec2_says(500, "InternalError", "An internal error"));
    }
    let answer = send(&stage, EC2, json!({}), &instances(&[ONE])).await;
    refused(&answer, &format!("0 of 1 row accepted; 1 failed: {ONE} is running: "));
}

#[tokio::test]
async fn a_page_in_place_of_amazons_answer_is_no_missing_instance() {
    let stage = before(EC2).await;
    stage.vendor.tell_always("POST / ", text(200, "<html>Please log in</html>"));
    let answer = send(&stage, EC2, json!({}), &instances(&[ONE])).await;
    let said =
        refused(&answer, "answered something that is not its own: <html>Please log in</html>");
    assert!(said.contains(&format!("1 instance was not touched: {ONE}.")), "{said}");
    // In place of the answer to the command it leaves open what was done.
    let stage = before(EC2).await;
    stage.vendor.twist("POST / ", |_| {});
    stage.vendor.tell("POST / ", text(200, "<html>Please log in</html>"));
    let answer = send(&stage, EC2, json!({}), &instances(&[ONE])).await;
    refused(&answer, &format!("{ONE} is running: "));
}
