//! What several deliveries at once may ask of Google, against the stand-in.

use std::sync::Arc;
use std::time::Duration;

use sendoff::testing::{By, Content, Fake, Looker, Seen, Shipment, Vendor};
use sendoff::{
    ActionType, AnyAction, EgressConfig, Format, Hub, LoginBy, Origins, RetryPolicy, Values,
};

use super::GoogleSheets;
use super::fake::FakeSheets;
use crate::shared::google::DriveScope;

/// A hub with the action, in which Google's minute never ends: what is used up stays so.
struct Minute {
    fake: Arc<dyn Fake>,
    vendor: Vendor,
    looker: Looker,
}

impl Minute {
    async fn begun() -> Self {
        let (action, fake) = super::fake::fake();
        Self::of(action, fake).await
    }

    async fn of(action: Box<dyn AnyAction>, fake: Arc<dyn Fake>) -> Self {
        let vendor = Vendor::start(Arc::clone(&fake), true).await.expect("a port");
        let mut origins = vendor.origins();
        let (id, client_secret) = fake.provider().expect("a login service").client();
        let second = Duration::from_secs(1_000);
        let looker = Looker::before(|secret, downloads| {
            origins.extend(downloads);
            let mut egress = EgressConfig::new("a secret of these tests".into());
            egress.origins = Origins::parse(origins)?;
            egress.retry = RetryPolicy { second, ..RetryPolicy::default() };
            let hub = Hub::builder().actions([action]).secrets([secret]).egress(egress);
            hub.oauth_client("google_sheets", id, client_secret.into()).build()
        })
        .await
        .expect("a hub");
        Self { fake, vendor, looker }
    }

    /// The settings and the login of another user.
    fn user(&self) -> Values {
        let provider = self.fake.provider().expect("a login service");
        let mut settings = self.fake.settings();
        settings.0.insert("state_json".into(), provider.kept(&provider.log_in(), false));
        settings
    }

    /// Three writes: the hidden tab, the rows, the last step.
    async fn send(&self, settings: &Values) {
        self.send_as(settings, self.fake.answers()).await;
    }

    async fn send_as(&self, settings: &Values, answers: Values) {
        let shipment = Shipment {
            action: "google_sheets".into(),
            kind: ActionType::Query,
            settings: settings.clone(),
            answers,
            content: Some(Content::new(Format::Csv, 500).whole_rows()),
            by: By::Push,
            fault: None,
            webhook_id: "0123456789abcdef0123456789abcdef".into(),
        };
        let answer = tokio::time::timeout(Duration::from_secs(60), self.looker.execute(&shipment));
        let heard = answer.await.expect("no quota is used up").expect("an answer");
        assert!(heard.envelope.is_some_and(|envelope| envelope.success), "{}", heard.text);
    }

    async fn spend(&self, user: &Values, deliveries: usize) {
        for _ in 0..deliveries {
            self.send(user).await;
        }
    }

    /// A delivery of `user` waits while all that `meanwhile` does goes through.
    async fn holds(&self, user: &Values, meanwhile: impl Future<Output = ()>) {
        let mut held = Box::pin(self.send(user));
        tokio::select! {
            biased;
            () = &mut held => panic!("the quota was not kept"),
            () = meanwhile => {}
        }
    }

    fn writes(&self) -> usize {
        let writes = |seen: &&Seen| seen.line.contains("/v4/") && !seen.line.starts_with("GET ");
        self.vendor.seen().iter().filter(writes).count()
    }
}

#[tokio::test]
async fn deliveries_of_one_user_share_his_quota_and_others_have_their_own() {
    let minute = Minute::begun().await;
    let [ada, grace] = [minute.user(), minute.user()];
    minute.spend(&ada, 20).await;
    minute.holds(&ada, minute.spend(&grace, 6)).await;
    // It was not sent to be refused, either.
    assert_eq!(minute.writes(), 3 * (20 + 6));
}

#[tokio::test]
async fn all_users_share_their_project_s_quota() {
    let minute = Minute::begun().await;
    for _ in 0..5 {
        minute.spend(&minute.user(), 20).await;
    }
    // Reads are counted apart.
    let forms = async {
        let answers = minute.fake.answers();
        for _ in 0..30 {
            let user = minute.user();
            let form = minute.looker.form("google_sheets", &user, Some(&answers));
            let (_, form) = form.await.expect("a form");
            assert!(form.to_string().contains("gid=77"), "{form:#}");
        }
    };
    minute.holds(&minute.user(), forms).await;
    assert_eq!(minute.writes(), 3 * 100);
}

#[tokio::test]
async fn where_users_grant_no_more_only_spreadsheets_of_the_hub_are_seen() {
    let action = GoogleSheets::new(DriveScope::DriveFile);
    let Some(LoginBy::OAuth(login)) = AnyAction::spec(&action).login else { panic!("no login") };
    let wide = ["/drive", "/spreadsheets"];
    assert!(login.scopes.iter().all(|scope| wide.iter().all(|wide| !scope.ends_with(wide))));
    let fake = Arc::new(FakeSheets::with_login(login));
    let minute = Minute::of(Box::new(action), fake).await;
    let ada = minute.user();
    // One of this name is there, and was not made by the hub.
    for _ in 0..2 {
        minute.send_as(&ada, [("filename", "orders")].into_iter().collect()).await;
    }
    let made =
        minute.vendor.seen().into_iter().filter(|seen| seen.line.starts_with("POST /drive/"));
    assert_eq!(made.count(), 1);
    let objects = minute.fake.objects().await;
    assert_eq!(objects.len(), 1, "{objects:?}");
}
