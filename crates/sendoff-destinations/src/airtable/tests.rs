//! Addresses and bodies, and a token in the settings of a hub that has no client at Airtable.

use std::sync::Arc;

use sendoff::testing::{By, Content, Looker, Shipment, Vendor};
use sendoff::{ActionType, EgressConfig, Format, Hub, Origins, Values};
use serde_json::json;

use super::{Order, is_base};

#[tokio::test]
async fn a_token_in_the_settings_stands_in_for_logins_and_needs_no_client() {
    let (action, fake) = super::fake::fake();
    let vendor = Vendor::start(Arc::clone(&fake), true).await.expect("a port");
    let mut origins = vendor.origins();
    let looker = Looker::before(|secret, downloads| {
        origins.extend(downloads);
        let mut egress = EgressConfig::new("a secret of these tests".into());
        egress.origins = Origins::parse(origins)?;
        Hub::builder().actions([action]).secrets([secret]).egress(egress).build()
    })
    .await
    .expect("a hub");
    let definition = looker.definition("airtable").await.expect("it is offered");
    assert_eq!(definition["uses_oauth"], false);
    assert_eq!(definition["params"][0]["name"], "personal_access_token");
    assert_eq!(definition["params"][0]["required"], true);

    let token = fake.provider().expect("a login service").log_in().access;
    let settings: Values = [("personal_access_token", token)].into_iter().collect();
    let chosen = fake.answers();
    let (_, form) = looker.form("airtable", &settings, Some(&chosen)).await.expect("a form");
    let fields = form.as_array().unwrap_or_else(|| panic!("{form:#}"));
    let names: Vec<_> = fields.iter().map(|field| &field["name"]).collect();
    assert_eq!(names[..2], ["base", "table"]);
    assert!(!names.contains(&&json!("switch_account")), "{names:?}");
    // Drawn again within a minute, nothing is asked again.
    let asked = vendor.seen().len();
    assert!(vendor.seen().iter().any(|seen| seen.line.contains("/tables")));
    looker.form("airtable", &settings, Some(&chosen)).await.expect("a form");
    assert_eq!(vendor.seen().len(), asked);

    let takes = fake.takes_rows().expect("a vendor of rows");
    let shipment = Shipment {
        action: "airtable".into(),
        kind: ActionType::Query,
        settings,
        answers: fake.answers(),
        content: Some(Content::of_rows(Format::JsonDetail, takes.shape, 3)),
        by: By::Push,
        fault: None,
        webhook_id: "0123456789abcdef0123456789abcdef".into(),
    };
    let heard = looker.execute(&shipment).await.expect("an answer");
    assert!(heard.envelope.is_some_and(|envelope| envelope.success), "{}", heard.text);
    // Without it nobody can mend it by logging in.
    let shipment = Shipment { settings: Values::default(), ..shipment };
    let heard = looker.execute(&shipment).await.expect("an answer");
    assert!(
        heard.message().contains("the action's setting personal_access_token"),
        "{}",
        heard.text
    );
}

#[test]
fn the_table_is_one_segment_of_the_path() {
    let order = Order {
        base: "appA".into(),
        table: "Orders/2026 ?x#y".into(),
        merge_on: vec!["E \"mail\"".into(), "Day".into()],
    };
    assert_eq!(order.url(), "https://api.airtable.com/v0/appA/Orders%2F2026%20%3Fx%23y");
    let body = format!("{{\"records\":[{}", order.tail(true));
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["performUpsert"]["fieldsToMergeOn"][0], "E \"mail\"");
    assert_eq!(body["typecast"], true);
    for wrong in ["", "app", "tblA", "appA/../x", "https://airtable.com/appA"] {
        assert!(!is_base(wrong), "{wrong}");
    }
}
