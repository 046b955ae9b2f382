//! Hubs, actions, users, forms and states.

use sendoff_protocol::{ActionType, Members};

use super::*;

fn form_of(action: &ActionId, answers: &[(&str, &str)]) -> FormOf {
    FormOf {
        user: "ana".into(),
        action: action.clone(),
        kind: ActionType::Query,
        answers: answers.iter().copied().collect::<Members>(),
    }
}

#[tokio::test]
async fn a_hub_that_cannot_be_listed_says_why_and_comes_back() {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let hub = Scripted::start(move |address, _, _| {
        let broken = is_broken.load(std::sync::atomic::Ordering::SeqCst);
        async move {
            match broken {
                true => (200, json!("<html>")),
                false => (200, listing(address, &json!({}))),
            }
        }
    })
    .await;
    let (looker, _server) = served(None).await;
    let added = looker.add_hub(&hub.url(), None).await.unwrap();
    let why = added.fetch_error_message.unwrap();
    assert!(why.contains("cannot be read"), "{why}");
    let refused = looker.enable(&ActionId { hub: added.id, name: "a".into() }, Params::new()).await;
    assert!(refused.unwrap_err().0.contains("cannot be listed"));

    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    let again = looker.list_hub(added.id).await.unwrap();
    assert_eq!((again.fetch_error_message, again.actions), (None, vec!["a".to_owned()]));
    assert_eq!(again.label.as_deref(), Some("Scripted"));
    assert!(looker.add_hub("nonsense", None).await.is_err());
    looker.remove_hub(added.id).await.unwrap();
    assert!(looker.actions().is_empty());
}

#[tokio::test]
async fn enabling_tests_the_form_without_answers_and_merges_params_and_attributes() {
    let params = json!({"params": [
        {"name": "key", "label": "Key", "required": true, "sensitive": true},
        {"name": "sender", "label": "Sender", "required": true, "user_attribute_name": "email"},
        {"name": "region", "label": "Region", "sensitive": false},
    ]});
    let hub = Scripted::with(params, |_, _| async { (200, json!([{"name": "path"}])) }).await;
    let (looker, _server) = served(None).await;
    let action = looker.add_hub(&hub.url(), None).await.unwrap().action("a");

    let missing = looker.enable(&action, Params::new()).await.unwrap_err();
    assert_eq!(missing.0, "The param `key` (Key) is required.");
    let odd = Params::from([("kee".into(), "x".into())]);
    let odd = looker.enable(&action, odd).await.unwrap_err();
    assert!(odd.0.contains("no param `kee`. It has key, sender, region"), "{odd}");

    let params = Params::from([("key".into(), "hush-hush".into())]);
    let tested = looker.enable(&action, params).await.unwrap();
    assert!(tested.success, "{tested:?}");
    let asked = &hub.asked("/form")[0];
    assert_eq!(asked["form_params"], json!({}));
    assert_eq!(asked["data"], json!({"key": "hush-hush", "sender": "ana@example.com"}));
    let shown = looker.action(&action).unwrap();
    assert_eq!(shown.params["key"], Binding::Value("••••".into()));
    let entry = looker.journal().get(tested.exchange.unwrap()).unwrap();
    assert!(!serde_json::to_string(&*entry).unwrap().contains("hush-hush"));

    // A user without the attribute is not offered the action.
    looker.put_user(User { id: "bo".into(), ..User::default() }).await.unwrap();
    assert_eq!(looker.offered("ana", ActionType::Query).len(), 1);
    assert!(looker.offered("bo", ActionType::Query).is_empty());
    let mut order = Order::new(&action, What::Look("penguins".into()));
    order.user = "bo".into();
    let refused = looker.send(order).await.err().unwrap();
    assert!(refused.0.contains("no attribute `email`"), "{refused}");
}

#[tokio::test]
async fn an_action_that_fails_its_test_says_so() {
    let hub =
        Scripted::with(json!({}), |_, _| async { (200, json!({"error": "No bucket."})) }).await;
    let (looker, _server) = served(None).await;
    let action = looker.add_hub(&hub.url(), None).await.unwrap().action("a");
    let tested = looker.enable(&action, Params::new()).await.unwrap();
    assert_eq!((tested.success, tested.message.as_str()), (false, "No bucket."));
    assert!(looker.action(&action).unwrap().enabled);
}

#[tokio::test]
async fn delegate_oauth_is_tested_with_data_test() {
    let hub = Scripted::with(json!({"delegate_oauth": true}), |_, body| async move {
        assert_eq!(body["data"]["test"], "true");
        let value = r#"{"installation_id":"T1","installation_name":"Team"}"#;
        (200, json!([{"name": "Connected", "type": "message", "value": value}]))
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = looker.add_hub(&hub.url(), None).await.unwrap().action("a");
    let tested = looker.enable(&action, Params::new()).await.unwrap();
    assert_eq!(tested.delegate_oauth_result.len(), 1);
    assert!(tested.delegate_oauth_result[0].contains("Team"));
}

#[tokio::test]
async fn an_interactive_form_is_drawn_again_with_every_value() {
    let hub = Scripted::with(json!({}), |_, body| async move {
        let kind = body["form_params"]["kind"].as_str().unwrap_or("x").to_owned();
        let mut fields = vec![json!({
            "name": "kind", "type": "select", "interactive": true, "default": kind,
            "options": [{"name": "x", "label": "X"}, {"name": "y", "label": "Y"}],
        })];
        if kind == "y" {
            fields.push(json!({"name": "more", "label": "More", "required": true}));
        }
        (200, json!({"fields": fields}))
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let drawn = looker.form(form_of(&action, &[])).await.unwrap();
    assert_eq!(drawn.fields.len(), 1);
    assert_eq!(drawn.defaults().get("kind"), Some("x"));
    let drawn = looker.form(form_of(&action, &[("kind", "y")])).await.unwrap();
    assert_eq!(drawn.fields.len(), 2);
    assert_eq!(drawn.missing(&drawn.defaults()), ["`more` (More) is required."]);
    assert_eq!(hub.asked("/form")[1]["form_params"], json!({"kind": "y"}));
}

#[tokio::test]
async fn a_form_that_cannot_be_drawn_is_an_error_in_words() {
    for (status, answer, says) in [
        (200, json!({"error": "Log in again."}), "Log in again."),
        (500, json!("oops"), "status 500"),
        (200, json!("<form>"), "cannot be read"),
    ] {
        let hub = Scripted::with(json!({}), move |_, _| {
            let answer = answer.clone();
            async move { (status, answer) }
        })
        .await;
        let (looker, _server) = served(None).await;
        let action = enabled(&looker, &hub).await;
        let drawn = looker.form(form_of(&action, &[])).await.unwrap();
        assert!(drawn.error.as_deref().unwrap().contains(says), "{drawn:?}");
        assert_eq!(drawn.verdict.severity, crate::Severity::Failure);
    }
}

#[tokio::test]
async fn state_is_kept_replaced_bounded_wiped_and_replayed_after_a_reset() {
    let next = Arc::new(Mutex::new(json!(null)));
    let give = Arc::clone(&next);
    let hub = Scripted::with(json!({}), move |_, _| {
        let state = give.lock().unwrap().clone();
        async move { (200, json!({"fields": [], "state": state})) }
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    let draw = async |state: Value| {
        *next.lock().unwrap() = state;
        let drawn = looker.form(form_of(&action, &[])).await.unwrap();
        (hub.asked("/form").pop().unwrap()["data"]["state_json"].clone(), drawn)
    };
    assert_eq!(draw(json!({"data": "one"})).await.0, Value::Null);
    assert_eq!(draw(json!({"data": "two", "refresh_time": 30})).await.0, "one");
    assert_eq!(looker.state("ana", &action).unwrap().refresh_time, Some(30));
    // Too long: the one before stays, and a remark says so.
    let (_, drawn) = draw(json!({"data": "x".repeat(33_000)})).await;
    assert!(drawn.remarks.iter().any(|r| r.check.as_deref() == Some("form/state/small")));
    assert_eq!(draw(json!({"data": "reset"})).await.0, "two");
    assert_eq!(draw(json!(null)).await.0, "reset");
    looker.set_habits(Habits { null_after_reset: true, ..looker.habits() }).await.unwrap();
    assert_eq!(draw(json!(null)).await.0, "null");
    looker.reset_state("ana", &action, Reset::Null).await.unwrap();
    assert_eq!(draw(json!({"data": null})).await.0, "null");
    assert_eq!(draw(json!(null)).await.0, Value::Null);
    assert!(looker.states().is_empty());
}

#[tokio::test]
async fn a_state_is_refreshed_after_its_time_and_never_within_ten_minutes() {
    let hub = Scripted::with(json!({}), |_, _| async {
        (200, json!({"fields": [], "state": {"data": "s", "refresh_time": 5}}))
    })
    .await;
    let (looker, _server) = served(None).await;
    let action = enabled(&looker, &hub).await;
    looker.form(form_of(&action, &[])).await.unwrap();
    let since = looker.state("ana", &action).unwrap().since;
    let after = |seconds: i64| since + jiff::SignedDuration::from_secs(seconds);
    looker.refresh_due(after(599)).await;
    assert_eq!(hub.asked("/form").len(), 1);
    looker.refresh_due(after(600)).await;
    assert_eq!(hub.asked("/form").len(), 2);
    looker.refresh_due(after(1_199)).await;
    assert_eq!(hub.asked("/form").len(), 2, "{:?}", looker.states());
    assert_eq!(hub.asked("/form")[1]["data"]["state_json"], "s");
    looker.refresh_due(after(1_201)).await;
    assert_eq!(hub.asked("/form").len(), 3);
}
