//! What Google's services get: pieces and their ranges, resumption, one login for many deliveries.
//!
//! That data arrives whole and that faults are told truthfully is the behaviour suite's part.

mod stage;

use futures_util::future::join_all;
use http::Request;
use sendoff::ByteStream;
use sendoff::testing::{Damage, Flow, Injury};
use serde_json::{Value, json};

use stage::{Asked, Script, acting_as, delivered, refused, with, with_status};

const MIB: usize = 1024 * 1024;

/// A stage with one of Google's services.
struct Stage {
    stage: stage::Stage,
    action: &'static str,
}

impl std::ops::Deref for Stage {
    type Target = stage::Stage;

    fn deref(&self) -> &stage::Stage {
        &self.stage
    }
}

impl Stage {
    async fn set(action: &'static str) -> Self {
        Self { stage: stage::Stage::set(Script::before(action)).await, action }
    }

    /// Nobody logs in: a service account does.
    async fn without_login(action: &'static str) -> Self {
        let script = Script::before(action).without_login();
        Self { stage: stage::Stage::set(script).await, action }
    }

    /// Sends so many bytes with `more` in the form, and returns Looker's part of the answer.
    async fn send(&self, bytes: usize, more: Value) -> Value {
        self.send_by(&self.settings(), bytes, more).await
    }

    async fn send_by(&self, settings: &Value, bytes: usize, more: Value) -> Value {
        let form = with(json!(self.vendor.behind().answers()), more);
        let data = "0123456789abcde\n".repeat(bytes.div_ceil(16));
        self.stage.send(self.action, settings.clone(), form, &data[..bytes]).await
    }

    /// The fields of the form after these answers, by name.
    async fn form(&self, settings: &Value, answers: Value) -> Value {
        self.stage.form(self.action, settings, answers).await
    }

    fn seen(&self, part: &str) -> Vec<Asked> {
        self.vendor.asked_for(part)
    }

    /// Changes a file in Drive as its user does there.
    async fn change(&self, token: &str, method: &str, path: &str, change: Value) {
        let body = bytes::Bytes::from(change.to_string());
        let request = Request::builder()
            .method(method)
            .uri(format!("/drive/v3/files/{path}supportsAllDrives=true"))
            .header("host", "www.googleapis.com")
            .header("content-type", "application/json")
            .header("authorization", token)
            .body(ByteStream::new(futures_util::stream::iter([Ok(body)])))
            .unwrap();
        let response = self.vendor.behind().handle(request).await;
        assert_eq!(response.status(), 200, "{path}: {:?}", response.body());
    }

    /// What the last request was sent with.
    fn last_token(&self) -> String {
        let asked = self.seen("supportsAllDrives").into_iter().rev();
        let mut tokens = asked.map(|asked| asked.header("authorization").to_owned());
        tokens.find(|token| !token.is_empty()).unwrap()
    }

    /// The ranges of what was sent to sessions.
    fn ranges(&self) -> Vec<String> {
        self.seen("PUT /").iter().map(|asked| asked.header("content-range").to_owned()).collect()
    }

    async fn stored(&self) -> Vec<(String, u64)> {
        let objects = self.vendor.behind().objects().await;
        objects.into_iter().map(|object| (object.name, object.bytes)).collect()
    }
}

#[tokio::test]
async fn a_large_file_goes_up_in_pieces_whose_end_is_told_with_the_last() {
    let stage = Stage::set("google_cloud_storage").await;
    delivered(&stage.send(17 * MIB + 5, json!({})).await);
    let ranges = ["bytes 0-8388607/*", "bytes 8388608-16777215/*"].map(str::to_owned);
    let last = "bytes 16777216-17825796/17825797".to_owned();
    assert_eq!(stage.ranges(), [ranges.as_slice(), &[last]].concat());
    assert!(
        stage.seen("PUT /").iter().all(|seen| !seen.headers.contains_key("authorization")),
        "the session is enough"
    );
    assert_eq!(stage.stored().await, [("quarterly-reports/daily/orders.csv".into(), 17_825_797)]);
}

#[tokio::test]
async fn what_fits_into_a_piece_is_one_request_and_a_byte_more_is_a_session() {
    for (bytes, at_once) in [(0, true), (8 * MIB, true), (8 * MIB + 1, false)] {
        let stage = Stage::set("google_cloud_storage").await;
        delivered(&stage.send(bytes, json!({})).await);
        assert_eq!(stage.seen("uploadType=multipart").len(), usize::from(at_once), "{bytes}");
        assert_eq!(stage.ranges().len(), if at_once { 0 } else { 2 }, "{bytes}");
        assert_eq!(stage.stored().await[0].1, bytes as u64);
    }
}

#[tokio::test]
async fn a_broken_connection_is_taken_up_where_google_says_and_not_from_the_start() {
    let stage = Stage::set("google_cloud_storage").await;
    let after = (5 * MIB) as u64;
    let injury = Injury { flow: Flow::Up, after, damage: Damage::Close, lasting: false };
    stage.running.proxy().injure(injury);
    delivered(&stage.send(9 * MIB, json!({})).await);
    let ranges = stage.ranges();
    assert_eq!(ranges[..2], ["bytes 0-8388607/*", "bytes */*"]);
    let from: u64 = ranges[2]
        .strip_prefix("bytes ")
        .and_then(|range| range.strip_suffix("-8388607/*"))
        .unwrap_or_else(|| panic!("the rest of the piece, not {ranges:?}"))
        .parse()
        .unwrap();
    assert!(from > 0 && from < after && from.is_multiple_of(256 * 1024), "{ranges:?}");
    assert_eq!(ranges[3], "bytes 8388608-9437183/9437184");
}

#[tokio::test]
async fn a_piece_that_arrived_although_google_failed_is_not_sent_again() {
    let stage = Stage::set("google_cloud_storage").await;
    stage.vendor.twist("PUT /", with_status(503));
    delivered(&stage.send(9 * MIB, json!({})).await);
    assert_eq!(stage.ranges(), ["bytes 0-8388607/*", "bytes */*", "bytes 8388608-9437183/9437184"]);
}

#[tokio::test]
async fn google_that_loses_confirmed_bytes_gets_no_file_with_a_hole() {
    let stage = Stage::set("google_cloud_storage").await;
    for _ in 0..2 {
        stage.vendor.twist("PUT /", |response| {
            response.headers_mut().remove("range");
        });
    }
    // Nothing of the piece was confirmed, so that it goes up anew.
    delivered(&stage.send(9 * MIB, json!({})).await);
    assert_eq!(stage.ranges()[..3], ["bytes 0-8388607/*"; 3]);
    let stage = Stage::set("google_cloud_storage").await;
    stage.vendor.twist("PUT /", |_| {});
    stage.vendor.twist("PUT /", |response| {
        response.headers_mut().insert("range", "bytes=0-1048575".parse().unwrap());
    });
    refused(&stage.send(17 * MIB, json!({})).await, "lost a part of the upload");
    assert_eq!(stage.stored().await, []);
    assert_eq!(stage.vendor.behind().leftovers().await, [""; 0]);
}

#[tokio::test]
async fn a_file_that_google_holds_otherwise_than_it_was_sent_is_taken_back() {
    for bytes in [1000, 9 * MIB] {
        let stage = Stage::set("google_cloud_storage").await;
        let part = if bytes > MIB { "PUT /" } else { "uploadType=multipart" };
        if bytes > MIB {
            stage.vendor.twist(part, |_| {});
        }
        stage.vendor.twist(part, |response| {
            let mut object: Value = serde_json::from_slice(response.body()).unwrap();
            object["md5Hash"] = json!("rL0Y20zC+Fzt72VPzMSk2A==");
            *response.body_mut() = object.to_string().into();
        });
        refused(&stage.send(bytes, json!({})).await, "another file than was sent");
        assert_eq!(stage.stored().await, []);
    }
}

#[tokio::test]
async fn deliveries_at_once_share_one_login_and_a_refused_token_is_renewed() {
    let stage = Stage::set("google_cloud_storage").await;
    let sent = (0..8).map(|n| stage.send(100, json!({"filename": format!("{n}.csv")})));
    for answer in join_all(sent).await {
        delivered(&answer);
    }
    assert_eq!(stage.seen("POST /token").len(), 1);
    assert_eq!(stage.stored().await.len(), 8);
    stage.vendor.twist("uploadType=multipart", with_status(401));
    delivered(&stage.send(100, json!({})).await);
    assert_eq!(stage.seen("POST /token").len(), 2);
}

#[tokio::test]
async fn too_fast_is_waited_for_although_it_reads_403() {
    let stage = Stage::set("google_cloud_storage").await;
    stage.vendor.twist("uploadType=multipart", |response| {
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        let error = json!({"error": {"code": 403, "message": "Rate Limit Exceeded",
            "errors": [{"domain": "usageLimits", "reason": "rateLimitExceeded"}]}});
        *response.body_mut() = error.to_string().into();
    });
    delivered(&stage.send(100, json!({})).await);
    assert_eq!(stage.seen("uploadType=multipart").len(), 2);
}

#[tokio::test]
async fn the_session_stays_at_the_host_that_gave_it() {
    let stage = Stage::set("google_cloud_storage").await;
    stage.vendor.twist("uploadType=resumable", |response| {
        let elsewhere = "https://storage.googleapis.com.evil.example/upload?upload_id=1";
        response.headers_mut().insert("location", elsewhere.parse().unwrap());
    });
    refused(&stage.send(9 * MIB, json!({})).await, "the address of an upload");
}

#[tokio::test]
async fn overwrite_says_what_becomes_of_a_file_of_the_same_name() {
    let stage = Stage::set("google_cloud_storage").await;
    delivered(&stage.send(10, json!({})).await);
    // As users type it, and as old schedules have it.
    delivered(&stage.send(20, json!({"overwrite": "YES"})).await);
    let first = "quarterly-reports/daily/orders.csv".to_owned();
    assert_eq!(stage.stored().await, [(first.clone(), 20)]);
    let answer = stage.send(30, json!({"overwrite": "fail"})).await;
    let message = refused(&answer, "is there already");
    assert_eq!(answer["validation_errors"]["filename"], message);
    delivered(&stage.send(40, json!({"overwrite": "keep_both"})).await);
    delivered(&stage.send(50, json!({"overwrite": "No"})).await);
    let stored = stage.stored().await;
    assert_eq!(stored[0], ("quarterly-reports/daily/orders (2).csv".to_owned(), 40));
    assert_eq!(stored[1], (first, 20));
    let (name, bytes) = &stored[2];
    let millis = name
        .strip_prefix("quarterly-reports/daily/orders_")
        .and_then(|name| name.strip_suffix(".csv"));
    assert!(millis.is_some_and(|millis| millis.len() == 13) && *bytes == 50, "{name}");
    assert_eq!(stage.seen("ifGenerationMatch=0").len(), 2);
}

const REPORTS: &str = "1ReportsFolderOfTests";
const YEARS: &str = "1YearsFolderOfTheTests";
const FINANCE: &str = "0AFinanceSharedUk9PVA";
/// The first file that a test makes.
const FIRST: &str = "1FileNumber0001OfTests?";

/// Names and labels of a field's choices.
fn choices(field: &Value) -> Vec<(&str, &str)> {
    let options = field["options"].as_array().unwrap();
    options
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["label"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn the_form_goes_through_folders_one_level_at_a_time() {
    let stage = Stage::set("google_drive").await;
    let settings = stage.settings();
    let first = stage.form(&settings, json!({})).await;
    assert_eq!(choices(&first["drive"]), [("mydrive", "My Drive"), (FINANCE, "Finance")]);
    assert!(first["folder"].is_null() && first["folderid"].is_object(), "{first}");
    let fetched = json!({"fetchpls": "fetch"});
    let root = stage.form(&settings, fetched).await;
    assert!(root["folderid"].is_null(), "{root}");
    assert_eq!(choices(&root["folder"]), [("root", "Drive Root"), (REPORTS, "Reports")]);
    let inside = stage.form(&settings, json!({"fetchpls": "fetch", "folder": REPORTS})).await;
    assert_eq!(
        choices(&inside["folder"]),
        [
            (REPORTS, "Reports (chosen)"),
            ("0AHOMEofTheLoggedInUser", "Back to the folder above"),
            ("root", "Drive Root"),
            (YEARS, "It's 2026"),
        ]
    );
    assert_eq!(inside["folder"]["default"], REPORTS);
    // A folder of another drive is no choice any more.
    let other = json!({"fetchpls": "fetch", "drive": FINANCE, "folder": REPORTS});
    let other = stage.form(&settings, other).await;
    assert_eq!(
        choices(&other["folder"]),
        [("root", "Drive Root"), ("1ClosingFolderOfTests", "Closing")]
    );
    assert_eq!(other["folder"]["default"], "root");
    let found = json!({"fetchpls": "fetch", "find_folder": "It's"});
    let found = stage.form(&settings, found).await;
    assert_eq!(choices(&found["folder"]), [("root", "Drive Root"), (YEARS, "It's 2026")]);
}

#[tokio::test]
async fn a_form_asks_little_and_nothing_twice_within_a_minute() {
    let stage = Stage::set("google_drive").await;
    let settings = stage.settings();
    let answers = json!({"fetchpls": "fetch", "folder": REPORTS});
    stage.form(&settings, answers.clone()).await;
    // Who is logged in, the drives, the folder and what lies in it.
    assert_eq!(stage.seen("GET /").len(), 4, "{:?}", stage.seen(""));
    stage.form(&settings, answers).await;
    assert_eq!(stage.seen("GET /").len(), 4);
}

#[tokio::test]
async fn a_folder_s_address_is_answered_by_its_name_or_by_what_is_wrong() {
    let stage = Stage::set("google_drive").await;
    let settings = stage.settings();
    for (address, words) in [
        (REPORTS, "This is Reports."),
        ("1NobodyKnowsThisFolder", "File not found"),
        ("reports", "no address of a folder"),
    ] {
        let form = stage.form(&settings, json!({"folderid": address})).await;
        let help = form["folderid"]["description"].as_str().unwrap();
        assert!(help.contains(words), "{help}");
        assert_eq!(form["folderid"]["default"], address);
    }
}

#[tokio::test]
async fn every_way_to_name_a_folder_leads_there_and_a_wrong_one_nowhere() {
    let home = "https://drive.google.com/drive/u/0/my-drive";
    for (form, folder) in [
        (json!({}), REPORTS),
        (json!({"folderid": home}), "0AHOMEofTheLoggedInUser"),
        (json!({"folderid": ""}), "0AHOMEofTheLoggedInUser"),
        (json!({"folderid": "", "fetchpls": "fetch", "folder": YEARS}), YEARS),
        (json!({"fetchpls": "fetch", "folder": "root"}), "0AHOMEofTheLoggedInUser"),
        (json!({"folderid": "", "drive": FINANCE, "folder": "root"}), FINANCE),
        (json!({"folderid": "", "drive": FINANCE}), FINANCE),
        (json!({"folderid": "1ClosingFolderOfTests", "drive": FINANCE}), "1ClosingFolderOfTests"),
    ] {
        let stage = Stage::set("google_drive").await;
        delivered(&stage.send(10, form.clone()).await);
        assert_eq!(stage.stored().await, [(format!("{folder}/orders.csv"), 10)], "{form}");
    }
    let stage = Stage::set("google_drive").await;
    let answer = stage.send(10, json!({"folderid": "1NobodyKnowsThisFolder"})).await;
    let message = refused(&answer, "File not found: 1NobodyKnowsThisFolder");
    assert_eq!(answer["validation_errors"]["folderid"], message);
    refused(&stage.send(10, json!({"folderid": "Reports"})).await, "no address of a folder");
    assert_eq!(stage.seen("/upload/").len(), 0);
}

#[tokio::test]
async fn only_accounts_of_the_very_domain_may_write_and_see() {
    let stage = Stage::set("google_drive").await;
    for (domains, allowed) in [
        ("example.com", true),
        ("Example.COM,x.org", true),
        ("ample.com", false),
        ("a.example.com", false),
    ] {
        let mut settings = stage.settings();
        settings["domain_allowlist"] = json!(domains);
        let answer = stage.send_by(&settings, 10, json!({})).await;
        let form = stage.form(&settings, json!({"fetchpls": "fetch"})).await;
        if allowed {
            delivered(&answer);
            assert!(form["folder"].is_object(), "{form}");
        } else {
            refused(&answer, "ada@example.com may not be used");
            assert_eq!(form["login"]["type"], "oauth_link_google", "{form}");
            assert!(form["folder"].is_null(), "{form}");
        }
    }
    assert_eq!(stage.seen("POST /upload/").len(), 2, "nothing was begun for the others");
}

#[tokio::test]
async fn the_same_file_gets_new_content_whatever_it_is_called_by_now() {
    let stage = Stage::set("google_drive").await;
    let replace = json!({"if_exists": "overwrite"});
    delivered(&stage.send(10, replace.clone()).await);
    delivered(&stage.send(20, replace.clone()).await);
    assert_eq!(stage.stored().await, [(format!("{REPORTS}/orders.csv"), 20)]);
    // Somebody renames it, and makes another one of its old name.
    let provider = stage.vendor.behind().provider().unwrap();
    let token = format!("Bearer {}", provider.log_in().access);
    stage.change(&token, "PATCH", FIRST, json!({"name": "Orders of all"})).await;
    delivered(&stage.send(5, json!({})).await);
    delivered(&stage.send(30, replace).await);
    let mut stored = stage.stored().await;
    stored.sort();
    assert_eq!(
        stored,
        [(format!("{REPORTS}/Orders of all"), 30), (format!("{REPORTS}/orders.csv"), 5)]
    );
    let answer = stage.send(40, json!({"if_exists": "fail"})).await;
    refused(&answer, "is there already");
    // Keep both, as Drive does.
    delivered(&stage.send(50, json!({})).await);
    assert_eq!(stage.stored().await.len(), 3);
}

/// Both deliveries go to "My Drive" by the same name, and each of the users has one of his own.
#[tokio::test]
async fn what_another_user_delivered_and_shared_is_not_written_to() {
    let stage = Stage::without_login("google_drive").await;
    let [ada, ben] = ["ada@example.com", "ben@example.com"].map(acting_as);
    let wish = json!({"folderid": "", "if_exists": "overwrite"});
    delivered(&stage.send_by(&ben, 10, wish.clone()).await);
    let shared = json!({"type": "user", "role": "writer", "emailAddress": "ada@example.com"});
    let permissions = FIRST.replace('?', "/permissions?");
    stage.change(&stage.last_token(), "POST", &permissions, shared).await;
    for bytes in [20, 30] {
        delivered(&stage.send_by(&ada, bytes, wish.clone()).await);
    }
    let bens = ("0AHOMEofben-example-com/orders.csv".to_owned(), 10);
    assert_eq!(stage.stored().await, [bens, ("0AHOMEofTheLoggedInUser/orders.csv".into(), 30)]);
}

/// What others delivered to a folder is replaced as long as it lies there, whatever its name.
#[tokio::test]
async fn what_its_owner_moved_out_of_a_shared_folder_is_his() {
    let stage = Stage::without_login("google_drive").await;
    let [ada, ben] = ["ada@example.com", "ben@example.com"].map(acting_as);
    let wish = json!({"if_exists": "overwrite"});
    stage.form(&ada, json!({"folderid": REPORTS})).await;
    let share = |with: &str| json!({"type": "user", "role": "writer", "emailAddress": with});
    let folder = format!("{REPORTS}/permissions?");
    stage.change(&stage.last_token(), "POST", &folder, share("ben@example.com")).await;
    delivered(&stage.send_by(&ben, 10, wish.clone()).await);
    let bens = stage.last_token();
    stage.change(&bens, "PATCH", FIRST, json!({"name": "Ours"})).await;
    delivered(&stage.send_by(&ada, 20, wish.clone()).await);
    assert_eq!(stage.stored().await, [(format!("{REPORTS}/Ours"), 20)]);
    let away = format!("{FIRST}addParents=root&removeParents={REPORTS}&");
    stage.change(&bens, "PATCH", &away, json!({})).await;
    let permissions = FIRST.replace('?', "/permissions?");
    stage.change(&bens, "POST", &permissions, share("ada@example.com")).await;
    // Its owner's next delivery still knows it, and nobody else's.
    delivered(&stage.send_by(&ben, 30, wish.clone()).await);
    let moved = ("0AHOMEofben-example-com/Ours".to_owned(), 30);
    assert_eq!(stage.stored().await, std::slice::from_ref(&moved));
    delivered(&stage.send_by(&ada, 40, wish).await);
    assert_eq!(stage.stored().await, [moved, (format!("{REPORTS}/orders.csv"), 40)]);
}

#[tokio::test]
async fn what_is_converted_is_googles_and_what_cannot_be_is_refused() {
    let stage = Stage::set("google_drive").await;
    let convert = json!({"convert": "yes", "if_exists": "overwrite"});
    delivered(&stage.send(10, convert.clone()).await);
    delivered(&stage.send(20, convert).await);
    assert_eq!(stage.stored().await, [(format!("{REPORTS}/orders"), 20)]);
    // A file as it is never takes the place of a spreadsheet.
    let plain = json!({"filename": "orders", "if_exists": "overwrite"});
    delivered(&stage.send(30, plain).await);
    assert_eq!(stage.stored().await.len(), 2);
}

#[tokio::test]
async fn sharing_is_told_and_undoes_nothing() {
    let stage = Stage::set("google_drive").await;
    let answer = stage.send(10, json!({"share_with": "bob@example.com, eve@example.org"})).await;
    delivered(&answer);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("could not be shared with eve@example.org"), "{message}");
    assert!(!message.contains("bob@"), "{message}");
    assert!(message.contains("https://drive.google.com/file/d/"), "{message}");
    for (wrong, words) in [("bob", "no e-mail address"), ("bob@other.net", "does not allow")] {
        refused(&stage.send(10, json!({"share_with": wrong})).await, words);
    }
    assert_eq!(stage.seen("POST /upload/").len(), 1);
}

#[tokio::test]
async fn a_service_account_needs_nobody_s_login() {
    let stage = Stage::without_login("google_drive").await;
    let settings = acting_as("ada@example.com");
    delivered(&stage.send_by(&settings, 10, json!({})).await);
    assert_eq!(stage.stored().await, [(format!("{REPORTS}/orders.csv"), 10)]);
    let form = stage.form(&settings, json!({"fetchpls": "fetch"})).await;
    assert!(form["login"].is_null() && form["switch_account"].is_null(), "{form}");
    assert_eq!(stage.seen("POST /token").len(), 1);
    refused(&stage.send(10, json!({})).await, "log in");
}
