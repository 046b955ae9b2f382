//! The form of somebody with many drives, and a service account in the settings of a hub that has no
//! client at Google.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use sendoff::testing::{By, Content, Fake, Looker, Object, Shipment, Vendor};
use sendoff::{
    ActionType, AnyAction, ByteStream, EgressConfig, Format, Hub, LoginBy, Origins, Values,
};
use serde_json::{Value, json};

use super::fake::FakeDrive;
use super::{GoogleDrive, LOGIN};
use crate::shared::google::DriveScope;

/// Where nobody logs in.
struct Keyed(FakeDrive);

impl Fake for Keyed {
    fn origins(&self) -> Vec<String> {
        self.0.origins()
    }

    fn settings(&self) -> Values {
        self.0.settings()
    }

    fn answers(&self) -> Values {
        self.0.answers()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        self.0.handle(request)
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        self.0.objects()
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        self.0.leftovers()
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        self.0.refusal(status)
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        self.0.commits(method, path_and_query)
    }
}

#[tokio::test]
async fn a_service_account_stands_in_for_logins_and_needs_no_client() {
    let fake = Arc::new(Keyed(FakeDrive::with_login(LOGIN)));
    let vendor = Vendor::start(Arc::clone(&fake) as Arc<dyn Fake>, true).await.expect("a port");
    let mut origins = vendor.origins();
    let looker = Looker::before(|secret, downloads| {
        origins.extend(downloads);
        let mut egress = EgressConfig::new("a secret of these tests".into());
        egress.origins = Origins::parse(origins)?;
        Hub::builder().action(GoogleDrive::default()).secrets([secret]).egress(egress).build()
    })
    .await
    .expect("a hub");
    let definition = looker.definition("google_drive").await.expect("it is offered");
    assert_eq!((&definition["uses_oauth"], &definition["token_url"]), (&json!(false), &json!("")));
    let params = definition["params"].as_array().expect("params");
    let required: Vec<_> = params.iter().filter(|one| one["required"] == true).collect();
    assert_eq!(required.len(), 1);
    assert_eq!(required[0]["name"], "service_account_json");

    let file = json!({
        "client_email": "looker@sendoff-demo.iam.gserviceaccount.com",
        "private_key": include_str!("../shared/google/test_key.pem"),
    });
    let settings: Values =
        [("service_account_json", file.to_string()), ("act_as", "ada@example.com".into())]
            .into_iter()
            .collect();
    let (_, form) = looker.form("google_drive", &settings, None).await.expect("a form");
    assert_eq!(form[0]["name"], "drive", "{form:#}");
    let shipment = Shipment {
        action: "google_drive".into(),
        kind: ActionType::Query,
        settings,
        answers: fake.answers(),
        content: Some(Content::new(Format::Csv, 500)),
        by: By::Push,
        fault: None,
        webhook_id: "0123456789abcdef0123456789abcdef".into(),
    };
    let heard = looker.execute(&shipment).await.expect("an answer");
    assert!(heard.envelope.is_some_and(|envelope| envelope.success), "{}", heard.text);
    let data = [("state_url", "https://acme.looker.com/action_hub_state/1")].into_iter().collect();
    let (_, form) = looker.form("google_drive", &data, None).await.expect("a form");
    let error = form["error"].as_str().unwrap_or_else(|| panic!("{form:#}"));
    assert!(error.contains("no client") && error.contains("service_account_json"), "{error}");
}

/// A hub whose users log in at `fake`, and the settings of one who has.
async fn with_login(action: GoogleDrive, fake: &Arc<FakeDrive>) -> (Vendor, Looker) {
    let vendor = Vendor::start(Arc::clone(fake) as Arc<dyn Fake>, true).await.expect("a port");
    let mut origins = vendor.origins();
    let (id, client_secret) = fake.provider().expect("a login service").client();
    let looker = Looker::before(|secret, downloads| {
        origins.extend(downloads);
        let mut egress = EgressConfig::new("a secret of these tests".into());
        egress.origins = Origins::parse(origins)?;
        let hub = Hub::builder().action(action).secrets([secret]).egress(egress);
        hub.oauth_client("google_drive", id, client_secret.into()).build()
    })
    .await
    .expect("a hub");
    (vendor, looker)
}

fn logged_in(fake: &FakeDrive) -> Values {
    let provider = fake.provider().expect("a login service");
    [("state_json", provider.kept(&provider.log_in(), false))].into_iter().collect()
}

fn field(form: &Value, name: &str) -> Option<Value> {
    let fields = form.as_array().or_else(|| form["fields"].as_array()).expect("a form");
    fields.iter().find(|field| field["name"] == name).cloned()
}

fn labels(field: &Value) -> Vec<String> {
    let options = field["options"].as_array().into_iter().flatten();
    options.map(|one| one["label"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn where_users_grant_no_more_the_hub_sees_its_own_files_and_writes_to_my_drive() {
    let action = GoogleDrive::new(DriveScope::DriveFile);
    let Some(LoginBy::OAuth(login)) = AnyAction::spec(&action).login else { panic!("no login") };
    assert!(login.scopes.iter().all(|scope| !scope.ends_with("/drive")), "{:?}", login.scopes);
    let drive = Arc::new(FakeDrive::with_login(login));
    let (vendor, looker) = with_login(action, &drive).await;
    let settings = logged_in(&drive);
    let (_, form) = looker.form("google_drive", &settings, None).await.expect("a form");
    assert_eq!(labels(&field(&form, "drive").expect("drives")), ["My Drive"]);
    for hidden in ["folderid", "fetchpls", "folder", "find_folder", "find_drive"] {
        assert!(field(&form, hidden).is_none(), "{hidden}: {form:#}");
    }
    let send = async |answers: &[(&str, &str)]| {
        let shipment = Shipment {
            action: "google_drive".into(),
            kind: ActionType::Query,
            settings: settings.clone(),
            answers: answers.iter().copied().collect(),
            content: Some(Content::new(Format::Csv, 500)),
            by: By::Push,
            fault: None,
            webhook_id: "0123456789abcdef0123456789abcdef".into(),
        };
        let heard = looker.execute(&shipment).await.expect("an answer");
        (heard.envelope.is_some_and(|envelope| envelope.success), heard.text)
    };
    let named = [("filename", "orders"), ("if_exists", "overwrite")];
    for _ in 0..2 {
        let (success, text) = send(&named).await;
        assert!(success, "{text}");
    }
    assert_eq!(drive.objects().await.len(), 1, "the second replaced the first");
    for elsewhere in [("drive", "0AFinanceSharedUk9PVA"), ("folderid", "1ReportsFolderOfTests")] {
        let (success, text) = send(&[named[0], elsewhere]).await;
        assert!(!success && text.contains("only files that it made itself"), "{text}");
    }
    let asked = |part: &str| vendor.seen().iter().filter(|seen| seen.line.contains(part)).count();
    assert_eq!((asked("/drive/v3/drives"), asked("GET /drive/v3/files/")), (0, 0));
}

#[tokio::test]
async fn hundreds_of_shared_drives_are_read_page_by_page_cut_and_searched() {
    let drive = Arc::new(FakeDrive::with_login(LOGIN));
    drive.crowd(350);
    let (vendor, looker) = with_login(GoogleDrive::default(), &drive).await;
    let settings = logged_in(&drive);
    let form = async |answers: &[(&str, &str)]| {
        let answers = answers.iter().copied().collect();
        looker.form("google_drive", &settings, Some(&answers)).await.expect("a form").1
    };
    let drawn = form(&[]).await;
    let shown = field(&drawn, "drive").expect("drives");
    assert_eq!((labels(&shown).len(), labels(&shown)[0].as_str()), (200, "My Drive"));
    let help = shown["description"].as_str().expect("a description");
    assert!(help.contains("200 of 352 drives are shown.") && help.contains("Find Drive"), "{help}");
    assert!(field(&drawn, "find_drive").is_some());
    let pages = vendor.seen().iter().filter(|seen| seen.line.contains("/drive/v3/drives")).count();
    assert_eq!(pages, 4);
    let found = field(&form(&[("find_drive", "crowd 349")]).await, "drive").expect("drives");
    assert_eq!(labels(&found), ["Crowd 349"]);
    let chosen = [("drive", "0ACrowd00349Uk9PVA"), ("find_drive", "finance")];
    let found = field(&form(&chosen).await, "drive").expect("drives");
    assert_eq!(labels(&found), ["Crowd 349", "Finance"]);
    // Few are shown whole, and there is nothing to find.
    drive.crowd(3);
    let (_, few) = looker.form("google_drive", &logged_in(&drive), None).await.expect("a form");
    assert!(field(&few, "find_drive").is_none(), "{few:#}");
}
