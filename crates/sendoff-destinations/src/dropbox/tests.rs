//! Folders, spaces, sessions and what happens to a name that is taken, against the stand-in.

use std::sync::Arc;

use sendoff::testing::{
    At, By, Content, Fake, Heard, Looker, Mischief, Shipment, Vendor, VendorFault,
};
use sendoff::{ActionType, EgressConfig, Format, Hub, Origins, RetryPolicy, Values};
use serde_json::{Value, json};

use super::Dropbox;
use super::fake::FakeDropbox;

struct Stage {
    dropbox: Arc<FakeDropbox>,
    vendor: Vendor,
    looker: Looker,
    settings: Values,
}

impl Stage {
    async fn set() -> Self {
        let dropbox = Arc::new(FakeDropbox::default());
        let vendor =
            Vendor::start(Arc::clone(&dropbox) as Arc<dyn Fake>, true).await.expect("a port");
        let mut origins = vendor.origins();
        let (id, secret) = dropbox.provider().expect("a login").client();
        let looker = Looker::before(|hub_secret, downloads| {
            origins.extend(downloads);
            let mut egress = EgressConfig::new("a secret of these tests".into());
            egress.origins = Origins::parse(origins)?;
            egress.retry = RetryPolicy {
                tries: 3,
                first_wait: std::time::Duration::from_millis(1),
                ..RetryPolicy::default()
            };
            let hub = Hub::builder().action(Dropbox).secrets([hub_secret]).egress(egress);
            hub.oauth_client("dropbox", id, secret.into()).build()
        })
        .await
        .expect("a hub");
        let state = dropbox.state().expect("a login");
        let settings = [("state_json", state)].into_iter().collect();
        Self { dropbox, vendor, looker, settings }
    }

    async fn form(&self, answers: &[(&str, &str)]) -> Value {
        let answers = answers.iter().copied().collect();
        self.looker.form("dropbox", &self.settings, Some(&answers)).await.expect("a form").1
    }

    async fn send(&self, answers: &[(&str, &str)], bytes: u64) -> Heard {
        let shipment = Shipment {
            action: "dropbox".to_owned(),
            kind: ActionType::Query,
            settings: self.settings.clone(),
            answers: [("format", "csv")].into_iter().chain(answers.iter().copied()).collect(),
            content: Some(Content::new(Format::Csv, bytes)),
            by: By::Push,
            fault: None,
            webhook_id: "0123456789abcdef0123456789abcdef".to_owned(),
        };
        self.looker.execute(&shipment).await.expect("an answer")
    }

    fn names(&self) -> Vec<String> {
        self.dropbox.ledger().files.keys().cloned().collect()
    }

    fn calls(&self, method: &str) -> usize {
        self.dropbox.ledger().calls.iter().filter(|call| *call == method).count()
    }
}

fn field<'a>(form: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = form.as_array().or_else(|| form["fields"].as_array());
    fields.into_iter().flatten().find(|field| field["name"] == name)
}

fn folders(form: &Value) -> Vec<&str> {
    let options = field(form, "directory").and_then(|field| field["options"].as_array());
    options.into_iter().flatten().filter_map(|one| one["name"].as_str()).collect()
}

fn delivered(heard: &Heard) {
    assert!(heard.envelope.as_ref().is_some_and(|envelope| envelope.success), "{}", heard.text);
}

#[tokio::test]
async fn choosing_a_folder_shows_those_in_it() {
    let stage = Stage::set().await;
    assert_eq!(folders(&stage.form(&[]).await), ["__root", "Archive", "Reports", "Zoo"]);
    let form = stage.form(&[("directory", "Reports/Daily")]).await;
    assert_eq!(folders(&form), ["Reports/Daily", "__root", "Reports", "Reports/Daily/EU"]);
    assert_eq!(
        field(&form, "directory").map(|field| &field["default"]),
        Some(&json!("Reports/Daily"))
    );
    assert_eq!(field(&form, "space"), None, "there is one space only");
    let pages = stage.calls("files/list_folder/continue");
    assert!(pages > 0, "entries come in pages");
    stage.form(&[("directory", "Reports/Daily"), ("find", "eu")]).await;
    assert_eq!(
        (stage.calls("files/list_folder"), stage.calls("files/list_folder/continue")),
        (2, pages)
    );
}

#[tokio::test]
async fn thousands_of_folders_are_cut_and_searched() {
    let stage = Stage::set().await;
    stage.dropbox.ledger().folders.extend((0..3_000).map(|n| format!("Folder {n:04}")));
    let form = stage.form(&[]).await;
    assert_eq!(folders(&form).len(), 200);
    let form = stage.form(&[("find", "folder 2999")]).await;
    assert_eq!(folders(&form), ["Folder 2999", "folder 2999"]);
    let form = stage.form(&[("find", "Not/Listed")]).await;
    assert_eq!(folders(&form), ["Not/Listed"]);
}

#[tokio::test]
async fn a_team_has_a_space_beside_the_users_own() {
    let stage = Stage::set().await;
    stage.dropbox.ledger().team = true;
    let form = stage.form(&[]).await;
    assert!(field(&form, "space").is_some());
    assert_eq!(folders(&form), ["__root", "Archive", "Reports", "Zoo"]);
    assert_eq!(folders(&stage.form(&[("space", "team")]).await), ["__root", "Ada", "Everybody"]);
    let to = |space| [("directory", "Everybody"), ("filename", "a"), ("space", space)];
    delivered(&stage.send(&to("team"), 10).await);
    delivered(&stage.send(&to("home"), 10).await);
    assert_eq!(stage.names(), ["3235641/everybody/a.csv", "3235642/everybody/a.csv"]);
}

#[tokio::test]
async fn saved_answers_of_the_reference_name_the_same_files() {
    let stage = Stage::set().await;
    delivered(&stage.send(&[("directory", "__root"), ("filename", "a")], 10).await);
    let stamped = [("directory", "Reports"), ("filename", "a.csv"), ("includeTimestamp", "yes")];
    delivered(&stage.send(&stamped, 10).await);
    let below = [("directory", "Reports"), ("path", "{format}/Ü"), ("filename", "Umsätze")];
    delivered(&stage.send(&below, 10).await);
    let names = stage.names();
    assert_eq!(names[0], "3235642/a.csv");
    assert!(names[1].starts_with("3235642/reports/a_1") && names[1].ends_with(".csv"), "{names:?}");
    assert_eq!(names[2], "3235642/reports/csv/ü/umsätze.csv");
}

#[tokio::test]
async fn a_name_that_is_taken_is_treated_as_the_form_says() {
    let stage = Stage::set().await;
    let send = async |how| stage.send(&[("filename", "a"), ("if_exists", how)], 10).await;
    for how in ["overwrite", "overwrite", "keep_both"] {
        delivered(&send(how).await);
    }
    assert_eq!(stage.names(), ["3235642/a (2).csv", "3235642/a.csv"]);
    let heard = send("fail").await;
    assert!(heard.message().contains("a.csv is there already"), "{}", heard.text);
    assert_eq!(stage.names().len(), 2);
}

#[tokio::test]
async fn a_full_dropbox_is_not_said_to_hold_the_file() {
    for (said, code) in [
        ("path/insufficient_space/..", "RESOURCE_EXHAUSTED"),
        ("too_many_write_operations/..", "RESOURCE_EXHAUSTED"),
        ("path/no_write_permission/..", "INVALID_ARGUMENT"),
        ("other/..", "INVALID_ARGUMENT"),
    ] {
        let stage = Stage::set().await;
        let refusal = sendoff::testing::Refusal {
            status: 409,
            retry_after: None,
            media_type: "application/json",
            body: json!({"error_summary": said}).to_string(),
        };
        let mischief = Mischief::Refuse(refusal);
        stage.vendor.injure(VendorFault { at: At::Commit, mischief, lasting: true });
        let envelope = stage.send(&[("filename", "a")], 10).await.envelope.expect("an envelope");
        let error = envelope.error.expect("an error");
        assert_eq!((error.status_code.as_str(), envelope.success), (code, false), "{said}");
        assert!(envelope.message.is_some_and(|text| text.contains(said.trim_end_matches("/.."))));
    }
}

/// More than two chunks.
const LONG: u64 = 20 << 20;

#[tokio::test]
async fn a_chunk_whose_answer_was_lost_is_not_sent_twice() {
    let stage = Stage::set().await;
    let at = At::Byte(12 << 20);
    stage.vendor.injure(VendorFault { at, mischief: Mischief::LoseAnswer, lasting: false });
    delivered(&stage.send(&[("filename", "a")], LONG).await);
    assert_eq!(stage.calls("files/upload_session/append_v2"), 2, "once, and once refused");
    let objects = stage.dropbox.objects().await;
    assert_eq!(objects[0].sha256, Content::new(Format::Csv, LONG).sha256());
}

#[tokio::test]
async fn a_lost_last_answer_is_looked_up() {
    for (bytes, how) in [(10, "overwrite"), (LONG, "overwrite"), (10, "fail"), (LONG, "fail")] {
        let stage = Stage::set().await;
        let fault = VendorFault { at: At::Commit, mischief: Mischief::LoseAnswer, lasting: false };
        stage.vendor.injure(fault);
        delivered(&stage.send(&[("filename", "a"), ("if_exists", how)], bytes).await);
        assert_eq!(stage.names().len(), 1);
    }
}

#[tokio::test]
async fn a_busy_dropbox_is_waited_for_before_the_last_step() {
    let stage = Stage::set().await;
    let refusal = sendoff::testing::Refusal {
        status: 429,
        retry_after: Some(0),
        media_type: "application/json",
        body: json!({"error_summary": "too_many_write_operations/.."}).to_string(),
    };
    let mischief = Mischief::Refuse(refusal);
    stage.vendor.injure(VendorFault { at: At::Commit, mischief, lasting: false });
    delivered(&stage.send(&[("filename", "a")], 10).await);
}
