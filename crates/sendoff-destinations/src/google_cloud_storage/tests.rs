//! Deliveries by the account that the hub itself runs as.

use std::sync::Arc;

use sendoff::testing::{By, Content, Fake, Looker, Shipment, Vendor};
use sendoff::{ActionType, EgressConfig, Format, Hub, Origins, Values};

use super::GoogleCloudStorage;
use super::fake::FakeStorage;

struct Stage {
    fake: Arc<FakeStorage>,
    vendor: Vendor,
    looker: Looker,
}

impl Stage {
    async fn set(own_account: bool) -> Self {
        let fake = Arc::new(FakeStorage::default());
        let vendor = Vendor::start(Arc::clone(&fake) as Arc<dyn Fake>, true).await.expect("a port");
        let mut origins = vendor.origins();
        let looker = Looker::before(|secret, downloads| {
            origins.extend(downloads);
            let mut egress = EgressConfig::new("a secret of these tests".into());
            egress.origins = Origins::parse(origins)?;
            let action = GoogleCloudStorage::new(own_account);
            Hub::builder().action(action).secrets([secret]).egress(egress).build()
        })
        .await
        .expect("a hub");
        Self { fake, vendor, looker }
    }

    async fn send(&self, settings: &Values) -> (bool, String) {
        let shipment = Shipment {
            action: "google_cloud_storage".into(),
            kind: ActionType::Query,
            settings: settings.clone(),
            answers: self.fake.answers(),
            content: Some(Content::new(Format::Csv, 500)),
            by: By::Push,
            fault: None,
            webhook_id: "0123456789abcdef0123456789abcdef".into(),
        };
        let heard = self.looker.execute(&shipment).await.expect("an answer");
        (heard.envelope.is_some_and(|envelope| envelope.success), heard.text)
    }

    fn asked(&self, part: &str) -> usize {
        self.vendor.seen().iter().filter(|seen| seen.line.contains(part)).count()
    }
}

#[tokio::test]
async fn without_credentials_the_hub_s_own_account_is_used_where_its_operator_allows_it() {
    let stage = Stage::set(true).await;
    let nothing = Values::default();
    for _ in 0..2 {
        let (success, text) = stage.send(&nothing).await;
        assert!(success, "{text}");
    }
    assert_eq!(stage.asked("/default/token"), 1, "the token is kept");
    let (_, form) =
        stage.looker.form("google_cloud_storage", &nothing, None).await.expect("a form");
    assert!(form.to_string().contains("quarterly-reports"), "{form:#}");
    assert_eq!(stage.asked("/project/project-id"), 1);
    // Credentials go first, and half of them are a mistake.
    let (success, text) = stage.send(&stage.fake.settings()).await;
    assert!(success, "{text}");
    assert_eq!((stage.asked("POST /token"), stage.asked("/default/token")), (1, 1));
    let (success, text) = stage.send(&[("client_email", "a@b.c")].into_iter().collect()).await;
    assert!(!success && text.contains("private key"), "{text}");
}

#[tokio::test]
async fn the_hub_s_own_account_is_not_used_unasked() {
    let stage = Stage::set(false).await;
    let (success, text) = stage.send(&Values::default()).await;
    assert!(!success && text.contains("private key"), "{text}");
    assert_eq!(stage.asked("/computeMetadata/"), 0);
}
