//! What several deliveries at once may ask of Google, against the stand-in.

use std::sync::Arc;
use std::time::Duration;

use sendoff::testing::{By, Content, Looker, Seen, Shipment, Vendor};
use sendoff::{ActionType, EgressConfig, Format, Hub, Origins, RetryPolicy};

/// Google's minute never ends here: what is used up stays so.
#[tokio::test]
async fn deliveries_of_one_user_share_his_quota_and_others_have_their_own() {
    let (action, fake) = super::fake::fake();
    let vendor = Vendor::start(Arc::clone(&fake), true).await.expect("a port");
    let mut origins = vendor.origins();
    let provider = fake.provider().expect("a login service");
    let (id, client_secret) = provider.client();
    let looker = Looker::before(|secret, downloads| {
        origins.extend(downloads);
        let mut egress = EgressConfig::new("a secret of these tests".into());
        egress.origins = Origins::parse(origins)?;
        egress.retry = RetryPolicy { second: Duration::from_secs(1_000), ..RetryPolicy::default() };
        let hub = Hub::builder().actions([action]).secrets([secret]).egress(egress);
        hub.oauth_client("google_sheets", id, client_secret.into()).build()
    })
    .await
    .expect("a hub");
    let [ada, grace] = [(); 2].map(|()| provider.kept(&provider.log_in(), false));
    let send = async |state: &str| {
        let mut settings = fake.settings();
        settings.0.insert("state_json".into(), state.into());
        let shipment = Shipment {
            action: "google_sheets".into(),
            kind: ActionType::Query,
            settings,
            answers: fake.answers(),
            content: Some(Content::new(Format::Csv, 500).whole_rows()),
            by: By::Push,
            fault: None,
            webhook_id: "0123456789abcdef0123456789abcdef".into(),
        };
        let answer = tokio::time::timeout(Duration::from_secs(60), looker.execute(&shipment));
        let heard = answer.await.expect("no quota is used up").expect("an answer");
        assert!(heard.envelope.is_some_and(|envelope| envelope.success), "{}", heard.text);
    };
    // Three writes each: the hidden tab, the rows, the last step.
    for _ in 0..20 {
        send(&ada).await;
    }
    let mut held = Box::pin(send(&ada));
    for _ in 0..6 {
        tokio::select! {
            biased;
            () = &mut held => panic!("the sixty-first write was not waited with"),
            () = send(&grace) => {}
        }
    }
    // It was not sent to be refused, either.
    let writes = |seen: &Seen| seen.line.contains("/v4/") && !seen.line.starts_with("GET ");
    assert_eq!(vendor.seen().iter().filter(|seen| writes(seen)).count(), 3 * (20 + 6));
}
