//! What HubSpot gets for a row: how its record is found, what its values become, which rows it
//! does not get; and when its limit is nearly used up.
//!
//! Request shapes: <https://developers.hubspot.com/docs/api-reference/2026-03/crm/objects/contacts/batch/upsert-contacts>

mod stage;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use stage::{Asked, Script, Stage, answer, delivered, refused, rows, text};

const BATCH: &str = "POST /crm/objects/2026-03/contacts/batch/";

async fn stage() -> Stage {
    Stage::set(Script::before("hubspot_contacts")).await
}

async fn send(stage: &Stage, form: Value, data: &str) -> Value {
    stage.send_with("hubspot_contacts", form, data).await
}

/// Contacts: the id, and a property of this name.
fn contacts(property: &str, list: &[(&str, Value)]) -> String {
    let list: Vec<_> = list.iter().map(|(id, value)| vec![json!(id), value.clone()]).collect();
    let list: Vec<&[Value]> = list.iter().map(Vec::as_slice).collect();
    rows("hubspot_contact_id", &["crm.id", property], &list)
}

fn inputs(asked: &Asked) -> Vec<Value> {
    asked.json()["inputs"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_record_is_found_by_its_id_or_by_a_unique_property_or_made() {
    for (mode, verb) in [("update_by_property", "update"), ("upsert", "upsert")] {
        let stage = stage().await;
        let form = json!({ "mode": mode, "id_property": "email" });
        let data = contacts("crm.city", &[("ada@x.example", json!("Graz"))]);
        delivered(&send(&stage, form, &data).await);
        let asked = stage.vendor.one(BATCH);
        assert!(asked.path.ends_with(&format!("/batch/{verb}")), "{}", asked.path);
        let want = json!({ "id": "ada@x.example", "idProperty": "email", "objectWriteTraceId": "1",
                           "properties": { "crm_city": "Graz" } });
        assert_eq!(inputs(&asked), [want]);
        // Without the property nobody is asked.
        let answer = send(&stage, json!({ "mode": mode }), &data).await;
        assert!(answer["validation_errors"]["id_property"].is_string(), "{answer}");
        assert_eq!(stage.vendor.asked_for(BATCH).len(), 1);
    }
    let stage = stage().await;
    delivered(&send(&stage, json!({}), &contacts("crm.city", &[("71", json!("Graz"))])).await);
    assert_eq!(inputs(&stage.vendor.one(BATCH))[0]["idProperty"], Value::Null);
}

#[tokio::test]
async fn an_empty_value_leaves_its_property_or_clears_it() {
    for (empty, want) in [("keep", json!({})), ("clear", json!({ "crm_city": "" }))] {
        let stage = stage().await;
        let data = contacts("crm.city", &[("71", Value::Null)]);
        delivered(&send(&stage, json!({ "empty_values": empty }), &data).await);
        assert_eq!(inputs(&stage.vendor.one(BATCH))[0]["properties"], want);
    }
}

#[tokio::test]
async fn a_column_that_is_no_property_is_named_or_left_out() {
    for column in ["crm.shoe_size", "crm.createdate"] {
        let stage = stage().await;
        let data = contacts(column, &[("71", json!("44"))]);
        let answer = send(&stage, json!({ "unknown_columns": "fail" }), &data).await;
        let said = answer["validation_errors"]["unknown_columns"].as_str().unwrap_or_default();
        assert!(said.starts_with(&format!("The column {column} is ")), "{answer}");
        assert!(stage.vendor.asked_for(BATCH).is_empty());
        delivered(&send(&stage, json!({ "unknown_columns": "ignore" }), &data).await);
        assert_eq!(inputs(&stage.vendor.one(BATCH))[0]["properties"], json!({}));
    }
}

#[tokio::test]
async fn an_id_that_comes_twice_in_a_request_is_refused_the_second_time() {
    let stage = stage().await;
    let twice = [("71", json!("Graz")), ("71", json!("Ulm")), ("72", json!("Rom"))];
    let answer = send(&stage, json!({}), &contacts("crm.city", &twice)).await;
    let said = refused(&answer, "2 of 3 rows accepted; 1 refused; first: row 2, ");
    assert!(said.contains("it has the same id as row 1"), "{said}");
    let sent = inputs(&stage.vendor.one(BATCH));
    let ids: Vec<_> = sent.iter().map(|input| &input["id"]).collect();
    assert_eq!(ids, ["71", "72"]);
    assert_eq!(sent[0]["properties"]["crm_city"], "Graz");
}

#[tokio::test]
async fn an_option_goes_by_the_name_that_hubspot_stores() {
    let stage = stage().await;
    let stages = [("71", json!("CUSTOMER")), ("72", json!("Friend"))];
    let answer = send(&stage, json!({}), &contacts("crm.lifecyclestage", &stages)).await;
    let said = refused(&answer, "1 of 2 rows accepted; 1 refused; first: row 2, ");
    assert!(said.contains("is \"Friend\" and HubSpot's options are customer"), "{said}");
    let sent = inputs(&stage.vendor.one(BATCH));
    assert_eq!(sent[0]["properties"], json!({ "lifecyclestage": "customer" }));
}

#[tokio::test]
async fn the_form_names_the_properties_that_can_be_written() {
    let stage = stage().await;
    let form = stage.form("hubspot_contacts", &stage.settings(), json!({})).await;
    let told = form["unknown_columns"]["description"].as_str().unwrap();
    assert!(told.contains("HubSpot has crm_city, email, lifetime_value, birthday"), "{told}");
    assert!(!told.contains("createdate"), "{told}");
    assert_eq!(form["id_property"]["options"][0]["name"], "email");
}

#[tokio::test]
async fn rows_that_no_result_confirms_are_not_told_as_accepted() {
    let stage = stage().await;
    let partly = json!({
        "status": "COMPLETE", "results": [{ "id": "71" }], "numErrors": 1,
        "errors": [{ "status": "error", "category": "VALIDATION_ERROR", "message": "bad thing" }],
    });
    stage.vendor.tell(BATCH, answer(207, partly));
    let list = ["71", "72", "73", "74"].map(|id| (id, json!("Graz")));
    let said = send(&stage, json!({}), &contacts("crm.city", &list)).await;
    refused(&said, "1 of 4 rows accepted; 3 refused; first: row 2 and 2 more, HubSpot confirmed");
}

#[tokio::test]
async fn what_is_wrong_with_all_records_is_asked_four_times() {
    let stage = stage().await;
    let words = "This account may not use these properties";
    let said = json!({ "status": "error", "category": "VALIDATION_ERROR", "message": words });
    stage.vendor.tell_always(BATCH, answer(400, said));
    let ids: Vec<_> = (0..300).map(|n| format!("7{n:03}")).collect();
    let list: Vec<_> = ids.iter().map(|id| (id.as_str(), json!("Graz"))).collect();
    let answer = send(&stage, json!({}), &contacts("crm.city", &list)).await;
    let said = refused(&answer, "0 of 100 rows accepted; 100 refused; first: row 1 and 99 more, ");
    assert!(said.contains(words) && said.contains("tried alone"), "{said}");
    assert_eq!(stage.vendor.asked_for(BATCH).len(), 4);
}

#[tokio::test]
async fn a_pivoted_field_fails_the_delivery() {
    let stage = stage().await;
    let data = json!({
        "fields": { "dimensions": [{ "name": "crm.id", "label": "ID", "tags": ["hubspot_contact_id"] }],
                    "pivots": [{ "name": "p" }],
                    "measures": [{ "name": "crm.city", "label": "City", "tags": [] }] },
        "data": [{ "crm.id": { "value": "71" }, "crm.city": { "a": { "value": "Graz" } } }],
    });
    let answer = send(&stage, json!({}), &data.to_string()).await;
    refused(&answer, "The field crm.city is pivoted");
    assert!(stage.vendor.asked_for(BATCH).is_empty());
}

/// A window of HubSpot's lasts ten seconds, and a second lasts a millisecond here.
#[tokio::test]
async fn when_the_limit_is_nearly_used_up_the_next_request_waits_for_the_window() {
    let ids: Vec<_> = (0..101).map(|n| format!("7{n:03}")).collect();
    let list: Vec<_> = ids.iter().map(|id| (id.as_str(), json!("Graz"))).collect();
    let results: Vec<_> = ids.iter().take(100).map(|id| json!({ "id": id })).collect();
    let stage = stage().await;
    let taken = text(200, json!({ "status": "COMPLETE", "results": results }).to_string())
        .header("x-hubspot-ratelimit-remaining", "2")
        .header("x-hubspot-ratelimit-interval-milliseconds", "60000");
    stage.vendor.tell(BATCH, taken);
    let began = Instant::now();
    delivered(&send(&stage, json!({}), &contacts("crm.city", &list)).await);
    assert!(began.elapsed() >= Duration::from_millis(60), "{:?}", began.elapsed());
    assert_eq!(stage.vendor.asked_for(BATCH).len(), 2);
}
