//! What is said when a vendor refuses a part, in its own words: which row, who must act, what came
//! of the others.
//!
//! That every refusal is told truthfully is the behaviour suite's part.

mod stage;

use sendoff_destinations::Config;
use serde_json::{Value, json};

use stage::{
    Stage, answer, before, builder_of, call, delivered, egress, message, query, refused, rows,
    send, text, with, with_status,
};

/// Requests whose answers name this are refused, whichever of them comes first.
fn refuse_what_holds(
    stage: &Stage,
    part: &'static str,
    named: &'static str,
    refusal: impl Fn() -> stage::Answer + Copy + Send + 'static,
) {
    for _ in 0..9 {
        stage.vendor.twist(part, move |response| {
            if String::from_utf8_lossy(response.body()).contains(named) {
                *response = refusal().response();
            }
        });
    }
}

// EC2 <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>

fn ec2_refuses() -> stage::Answer {
    text(
        403,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>UnauthorizedOperation\
         </Code><Message>You are not authorized to perform this operation.</Message></Error></Errors>\
         <RequestID>0</RequestID></Response>",
    )
}

fn instances() -> String {
    let ids = ["i-0000000000000001a", "i-0000000000000002a"].map(|id| vec![json!(id)]);
    let ids: Vec<&[Value]> = ids.iter().map(Vec::as_slice).collect();
    rows("aws_resource_id", &["hosts.id"], &ids)
}

#[tokio::test]
async fn ec2_keys_that_may_stop_and_not_look_stop() {
    let stage = before("aws_ec2_stop_instance").await;
    stage.vendor.tell("POST / ", ec2_refuses());
    let answer = send(&stage, "aws_ec2_stop_instance", json!({}), &instances()).await;
    assert!(delivered(&answer).contains("2 of 2 rows accepted (2 stop"), "{answer}");
    let asked: Vec<_> = stage.vendor.asked().iter().map(|one| one.text().to_owned()).collect();
    assert!(asked[0].contains("Action=DescribeInstances"), "{asked:?}");
    assert!(asked[1].contains("Action=StopInstances"), "{asked:?}");
}

#[tokio::test]
async fn ec2_keys_that_may_not_stop_are_told_to_the_admin() {
    let stage = before("aws_ec2_stop_instance").await;
    stage.vendor.twist("POST / ", |_| {});
    stage.vendor.tell("POST / ", ec2_refuses());
    let answer = send(&stage, "aws_ec2_stop_instance", json!({}), &instances()).await;
    let said = refused(&answer, "You are not authorized to perform this operation.");
    assert!(said.contains("UnauthorizedOperation") && said.contains("Looker admin"), "{said}");
    assert_eq!(stage.vendor.asked().len(), 2, "what is not allowed is asked once");
}

#[tokio::test]
async fn ec2_without_keys_is_told_before_amazon_is_asked() {
    let stage = before("aws_ec2_stop_instance").await;
    for (missing, words) in [("access_key_id", "access key"), ("secret_access_key", "secret key")] {
        let mut settings = stage.settings();
        settings.as_object_mut().unwrap().remove(missing);
        let form = json!(stage.vendor.behind().answers());
        let answer = stage.send("aws_ec2_stop_instance", settings, form, &instances()).await;
        refused(&answer, &format!("The {words} of Amazon EC2 is missing."));
    }
    assert!(stage.vendor.asked().is_empty());
}

// DigitalOcean <https://docs.digitalocean.com/reference/api/reference/droplet-actions/>

fn droplets(ids: &[u64]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| vec![json!(id)]).collect();
    let ids: Vec<&[Value]> = ids.iter().map(Vec::as_slice).collect();
    rows("digitalocean_droplet_id", &["droplets.id"], &ids)
}

#[tokio::test]
async fn each_droplet_that_is_refused_is_named_with_the_vendors_words() {
    let stage = before("digitalocean_droplet").await;
    let pending = json!({ "id": "unprocessable_entity",
                          "message": "Droplet already has a pending event." });
    stage.vendor.tell("POST /v2/droplets/11/actions", answer(422, pending));
    let data = droplets(&[11, 12, 900_000_000_001]);
    let answer = send(&stage, "digitalocean_droplet", json!({}), &data).await;
    let said = refused(&answer, "1 of 3 rows accepted (1 shutting down); 2 failed");
    assert!(said.contains("11 was refused: ") && said.contains("pending event"), "{said}");
    assert!(said.contains("900000000001 was not found: "), "{said}");
    assert!(said.contains("could not be found"), "{said}");
}

#[tokio::test]
async fn a_token_that_may_not_change_droplets_ends_the_delivery() {
    let stage = before("digitalocean_droplet").await;
    let denied = || {
        let message = "You are not authorized to perform this operation";
        answer(403, json!({ "id": "Forbidden", "message": message }))
    };
    // It may not look, which nobody needs; nor change.
    stage.vendor.tell_always("GET /v2/droplets/", denied());
    stage.vendor.tell_always("POST /v2/droplets/", denied());
    let answer = send(&stage, "digitalocean_droplet", json!({}), &droplets(&[11])).await;
    refused(&answer, "You are not authorized to perform this operation");
    assert_eq!(stage.vendor.asked_for("POST ").len(), 1);
}

// HubSpot <https://developers.hubspot.com/docs/api-reference/error-handling>

fn contacts(ids: &[&str]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| vec![json!(id), json!("Graz")]).collect();
    let ids: Vec<&[Value]> = ids.iter().map(Vec::as_slice).collect();
    rows("hubspot_contact_id", &["crm.id", "crm.city"], &ids)
}

const UPDATE: &str = "POST /crm/objects/2026-03/contacts/batch/update";

#[tokio::test]
async fn hubspots_207_refuses_the_rows_that_it_names() {
    let stage = before("hubspot_contacts").await;
    let partly = json!({
        "status": "COMPLETE", "results": [{ "id": "71" }, { "id": "73" }], "numErrors": 1,
        "errors": [{ "status": "error", "category": "OBJECT_NOT_FOUND",
                     "message": "Could not get some CONTACT objects, they may be deleted",
                     "context": { "ids": ["72"] } }],
    });
    stage.vendor.tell(UPDATE, answer(207, partly));
    let answer = send(&stage, "hubspot_contacts", json!({}), &contacts(&["71", "72", "73"])).await;
    let said = refused(&answer, "2 of 3 rows accepted; 1 refused; first: row 2, ");
    assert!(said.contains("Could not get some CONTACT objects, they may be deleted"), "{said}");
    assert_eq!(stage.vendor.asked_for(UPDATE).len(), 1, "what was taken is not sent again");
}

#[tokio::test]
async fn hubspots_conflict_is_halved_down_to_the_row_at_fault() {
    let stage = before("hubspot_contacts").await;
    let conflict = || -> stage::Answer {
        let message = "Contact already exists. Existing ID: 99";
        answer(409, json!({ "status": "error", "category": "CONFLICT", "message": message }))
    };
    refuse_what_holds(&stage, UPDATE, "\"73\"", conflict);
    let answer = send(&stage, "hubspot_contacts", json!({}), &contacts(&["71", "72", "73"])).await;
    let said = refused(&answer, "2 of 3 rows accepted; 1 refused; first: row 3, ");
    assert!(said.contains("Contact already exists. Existing ID: 99"), "{said}");
    let sent = stage.vendor.asked_for(UPDATE);
    let sizes = sent.iter().map(|one| one.json()["inputs"].as_array().unwrap().len());
    let mut sizes: Vec<_> = sizes.collect();
    // Halves go at the same time.
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 1, 2, 3]);
}

// Twilio <https://www.twilio.com/docs/api/errors>

fn phones(phones: &[&str]) -> String {
    let phones: Vec<_> = phones.iter().map(|phone| vec![json!(phone), json!("Zoë")]).collect();
    let phones: Vec<&[Value]> = phones.iter().map(Vec::as_slice).collect();
    rows("phone", &["users.phone", "users.first_name"], &phones)
}

fn twilio_refuses(status: u16, code: u32, message: &str) -> stage::Answer {
    answer(status, json!({ "code": code, "message": message, "status": status }))
}

#[tokio::test]
async fn twilio_refuses_a_number_and_the_others_get_their_message() {
    for (code, words) in [
        (21_211, "Invalid 'To' Phone Number: +4369900000XXXX"),
        (21_610, "Attempt to send to unsubscribed recipient"),
    ] {
        let stage = before("twilio_message").await;
        stage.vendor.tell("POST /", twilio_refuses(400, code, words));
        let data = phones(&["+43 699 1234567", "+43 699 1234568"]);
        let answer = send(&stage, "twilio_message", json!({}), &data).await;
        let said = refused(&answer, "1 of 2 rows accepted; 1 refused; first: row 1, ");
        assert!(said.contains(&format!("{words} (error {code})")), "{said}");
    }
}

#[tokio::test]
async fn twilio_that_does_not_know_the_account_ends_the_delivery() {
    let stage = before("twilio_message").await;
    stage.vendor.tell_always("POST /", twilio_refuses(401, 20_003, "Authenticate"));
    let data = phones(&["+43 699 1234567", "+43 699 1234568", "+43 699 1234569"]);
    let answer = send(&stage, "twilio_message", json!({}), &data).await;
    let said = refused(&answer, "Authenticate");
    assert!(said.contains("Twilio") && said.contains("401"), "{said}");
    assert_eq!(stage.vendor.asked().len(), 1, "the others would be refused the same");
}

#[tokio::test]
async fn twilio_that_knows_no_such_sender_is_told_to_the_admin() {
    let stage = before("twilio").await;
    let words = "The From phone number +15005550006 is not a valid, SMS-capable inbound number";
    stage.vendor.tell_always("POST /", twilio_refuses(400, 21_606, words));
    let answer = send(&stage, "twilio", json!({}), "id\n1\n").await;
    let said = refused(&answer, words);
    assert!(said.contains("(error 21606)") && said.contains("Looker admin"), "{said}");
}

// Airtable <https://airtable.com/developers/web/api/errors>

fn records(ids: &[&str]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| vec![json!(id), json!("Graz")]).collect();
    let ids: Vec<&[Value]> = ids.iter().map(Vec::as_slice).collect();
    rows("airtable:ID", &["orders.id", "City"], &ids)
}

const RECORDS: &str = "POST /v0/appCANARY00000001/";

fn airtable_refuses(status: u16, kind: &str, message: &str) -> stage::Answer {
    answer(status, json!({ "error": { "type": kind, "message": message } }))
}

#[tokio::test]
async fn airtables_422_is_halved_down_to_the_row_at_fault() {
    let stage = before("airtable").await;
    let words = "Insufficient permissions to create new select option Graz";
    let invalid = move || airtable_refuses(422, "INVALID_MULTIPLE_CHOICE_OPTIONS", words);
    refuse_what_holds(&stage, RECORDS, "\"O1\"", invalid);
    let answer = send(&stage, "airtable", json!({}), &records(&["O1", "O2"])).await;
    let said = refused(&answer, "1 of 2 rows accepted; 1 refused; first: row 1, ");
    assert!(said.contains(words), "{said}");
    assert_eq!(stage.vendor.asked_for(RECORDS).len(), 3);
}

#[tokio::test]
async fn airtables_429_is_waited_for_although_it_names_no_time() {
    let stage = before("airtable").await;
    let words = "Rate limit exceeded. Please try again later";
    stage.vendor.tell(RECORDS, airtable_refuses(429, "RATE_LIMIT_REACHED", words));
    let answer = send(&stage, "airtable", json!({}), &records(&["O1", "O2"])).await;
    delivered(&answer);
    assert_eq!(stage.vendor.asked_for(RECORDS).len(), 2);
}

#[tokio::test]
async fn airtables_403_ends_the_delivery_with_its_words() {
    let stage = before("airtable").await;
    let words = "You are not permitted to perform this operation";
    stage.vendor.tell_always(RECORDS, airtable_refuses(403, "INVALID_PERMISSIONS", words));
    let answer = send(&stage, "airtable", json!({}), &records(&["O1", "O2"])).await;
    refused(&answer, words);
    assert_eq!(stage.vendor.asked_for(RECORDS).len(), 1);
}

// SendGrid <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors>

const MAIL: &str = "POST /v3/mail/send";

fn sendgrid_refuses(status: u16, message: &str) -> stage::Answer {
    answer(status, json!({ "errors": [{ "message": message, "field": null, "help": null }] }))
}

#[tokio::test]
async fn sendgrid_tells_who_must_act() {
    for (status, words, part) in [
        (
            401,
            "The provided authorization grant is invalid, expired, or revoked",
            "in the settings",
        ),
        (413, "content_length exceeds the maximum of 30000000", "too large for SendGrid"),
        (403, "The from address does not match a verified Sender Identity.", "Verify the sender"),
    ] {
        let stage = before("sendgrid").await;
        stage.vendor.tell_always(MAIL, sendgrid_refuses(status, words));
        let answer = send(&stage, "sendgrid", json!({}), "id\n1\n").await;
        let said = refused(&answer, words);
        assert!(said.contains(part), "{status}: {said}");
        assert_eq!(stage.vendor.asked().len(), 1);
    }
}

#[tokio::test]
async fn sendgrid_refuses_one_rows_message_and_takes_the_others() {
    let stage = before("sendgrid").await;
    stage.vendor.tell(MAIL, sendgrid_refuses(413, "The message is too large."));
    let form = json!({ "to": "{u.mail}", "per_row": "yes" });
    let mails = ["a@x.example", "b@x.example"].map(|mail| vec![json!(mail)]);
    let mails: Vec<&[Value]> = mails.iter().map(Vec::as_slice).collect();
    let answer = send(&stage, "sendgrid", form, &rows("mail", &["u.mail"], &mails)).await;
    let said = refused(&answer, "1 of 2 rows accepted; 1 refused; first: row 1, ");
    assert!(said.contains("The message is too large."), "{said}");
}

#[tokio::test]
async fn sendgrids_template_finds_a_rows_values_as_looker_names_them() {
    let stage = before("sendgrid").await;
    let form = json!({ "to": "{u.mail}", "subject": "Hi", "message": "For {u.mail}",
                       "per_row": "yes", "template_id": "d-1" });
    let values = [json!("a@x.example"), json!("5"), json!("whole"), json!("own")];
    let names = ["u.mail", "u.deep.sum", "u", "title"];
    let answer = send(&stage, "sendgrid", form, &rows("mail", &names, &[&values])).await;
    delivered(&answer);
    let sent = &stage.vendor.one(MAIL).json()["personalizations"][0];
    assert_eq!(
        sent["dynamic_template_data"],
        json!({
            "u": { "mail": "a@x.example", "deep": { "sum": "5" } },
            "title": "own", "link": "https://looker.example/looks/1",
            "subject": "Hi", "message": "For a@x.example",
        })
    );
}

// Jira <https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/#status-codes>

#[tokio::test]
async fn what_jira_says_of_a_field_stands_at_the_field_of_the_form() {
    for (field, ours) in [
        ("project", "project"),
        ("issuetype", "issueType"),
        ("summary", "summary"),
        ("description", "description"),
        ("customfield_10010", "further_fields"),
    ] {
        let stage = before("jira_create_issue").await;
        let words = format!("{field} is required.");
        let said = json!({ "errorMessages": [], "errors": { field: words } });
        stage.vendor.tell("POST /rest/api/3/issue ", answer(400, said));
        let answer = send(&stage, "jira_create_issue", json!({}), "id\n1\n").await;
        let at = answer["validation_errors"][ours].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(at, format!("JIRA refused the issue: {field}: {words}"));
        assert_eq!(stage.vendor.asked_for("/attachments").len(), 0);
    }
}

#[tokio::test]
async fn an_issue_without_its_file_is_told_with_its_key() {
    let stage = before("jira_create_issue").await;
    stage.vendor.tell_always("/attachments", text(413, ""));
    let answer = send(&stage, "jira_create_issue", json!({}), "id\n1\n").await;
    let said = refused(&answer, "OPS-1 was created, but the data was not attached");
    assert!(said.contains("larger than this JIRA lets attachments be"), "{said}");
}

// Teams <https://learn.microsoft.com/en-us/connectors/teams/#when-a-teams-webhook-request-is-received>

#[tokio::test]
async fn teams_202_with_nothing_is_a_success_and_200_with_words_is_none() {
    let stage = before("teams_incomingwebhook").await;
    let body = query(json!({}), json!(stage.vendor.behind().answers()), "id\n1\n");
    let answer = stage.execute("teams_incomingwebhook", body.clone()).await;
    let yet = "Teams has the card. It answered 202 Accepted, so it has the data and has not worked on it yet.";
    assert_eq!(delivered(&answer), yet);
    let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned \
                  HTTP error 403 with ContextId tcid=0";
    stage.vendor.tell("POST /", text(200, failed));
    let answer = stage.execute("teams_incomingwebhook", body.clone()).await;
    refused(&answer, "Webhook message delivery failed with error");
    // A workflow's own answer step may say more, of any status below 300.
    stage.vendor.twist("POST /", with_status(204));
    assert!(message(&stage.execute("teams_incomingwebhook", body).await).starts_with("Teams has"));
}

#[tokio::test]
async fn a_card_for_a_picture_says_where_the_picture_is() {
    let stage = before("teams_incomingwebhook").await;
    let mut body = query(json!({}), json!(stage.vendor.behind().answers()), "iVBORw0KGgo=");
    let png = json!({ "mimetype": "image/png;base64", "extension": "png" });
    body["attachment"] = with(body["attachment"].take(), png);
    let answer = stage.execute("teams_incomingwebhook", body).await;
    assert!(delivered(&answer).contains("The file itself is not posted"), "{answer}");
    let card = &stage.vendor.one("POST /").json()["attachments"][0]["content"];
    assert_eq!(card["actions"][0]["url"], "https://looker.example/looks/1");
}

#[tokio::test]
async fn a_card_that_a_workflow_finds_too_large_is_posted_with_half_of_its_rows() {
    let stage = before("teams_incomingwebhook").await;
    let data: Vec<_> = (0..20).map(|n| vec![json!(format!("{n} {}", "x".repeat(200)))]).collect();
    let data: Vec<&[Value]> = data.iter().map(Vec::as_slice).collect();
    let data = rows("note", &["o.note"], &data);
    stage.vendor.tell("POST /", text(413, "Request entity too large"));
    let answer = send(&stage, "teams_incomingwebhook", json!({}), &data).await;
    delivered(&answer);
    let asked = stage.vendor.asked();
    let [whole, half] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(half.body.len() <= whole.body.len() / 2);
    assert!(half.text().contains(" of 20 rows."), "{}", half.text());
    // What cannot be shortened is told as the workflow says it.
    stage.vendor.tell_always("POST /", text(413, "Request entity too large"));
    let form = json!({ "table_rows": "0" });
    let answer = send(&stage, "teams_incomingwebhook", form, &data).await;
    refused(&answer, "Request entity too large");
    assert_eq!(stage.vendor.asked().len(), 3);
}

/// Base and table can be typed in as long as somebody is logged in.
#[tokio::test]
async fn airtables_form_is_there_without_its_lists() {
    let base = "appCANARY00000001";
    let form = async |status: u16, kind: &str| {
        let stage = before("airtable").await;
        let said = json!({ "error": { "type": kind, "message": "A word of Airtable's" } });
        stage.vendor.tell_always("GET /v0/meta/bases", answer(status, said));
        let mut settings = stage.settings();
        settings["state_url"] = json!("https://acme.looker.com/action_hub_state/t");
        stage.form("airtable", &settings, json!({ "base": base, "table": "Orders" })).await
    };
    for (status, kind) in [(503, "SERVER_ERROR"), (403, "NOT_AUTHORIZED"), (429, "RATE_LIMIT")] {
        let form = form(status, kind).await;
        for (name, value) in [("base", base), ("table", "Orders")] {
            assert_eq!(form[name]["type"], "string", "{status}: {form:#}");
            assert_eq!(form[name]["default"], value, "{status}");
        }
        let help = form["base"]["description"].as_str().unwrap();
        assert!(
            help.contains("A word of Airtable's") && help.contains("Enter the base's id"),
            "{help}"
        );
        assert!(form.get("find").is_none(), "there is nothing to find in");
        // No address without the scope for it, and no id in its place.
        assert_eq!(form["switch_account"]["description"], "Signed in to Airtable.");
    }
}

// The hub's own disk

#[tokio::test]
async fn a_file_that_is_there_is_a_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { file_root: Some(folder.path().to_owned()), ..Config::default() };
    let hub = builder_of(&config, egress([])).build().unwrap();
    let form = json!({ "filename": "orders.csv", "if_exists": "fail" });
    let send = async || {
        let body = query(json!({}), form.clone(), "id\n1\n");
        call(&hub, "/actions/file/execute", None, body).await["looker"].take()
    };
    delivered(&send().await);
    let answer = send().await;
    refused(&answer, "orders.csv is there already");
    assert_eq!(answer["error"]["status_code"], "ALREADY_EXISTS", "{answer}");
}
