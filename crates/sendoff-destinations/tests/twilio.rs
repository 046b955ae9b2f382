//! What Twilio is sent for a result, for rows and for a cell, and what is said of what is not sent.

mod stage;

use serde_json::{Value, json};

use stage::{Stage, answer, before, click, delivered, message, refused, rows, send, with};

const RESULT: &str = "twilio";
const ROWS: &str = "twilio_message";

/// The forms of the messages that were posted, one after the other.
fn posted(stage: &Stage) -> Vec<Value> {
    let posts = stage.vendor.asked_for("POST ");
    posts.iter().map(|one| form(one.text())).collect()
}

fn form(body: &str) -> Value {
    let pairs = body.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), Value::from(decoded(value)))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// Rows of a phone and a name.
fn people(people: &[(Value, &str)]) -> String {
    let people: Vec<_> = people.iter().map(|(phone, name)| [phone.clone(), json!(name)]).collect();
    let people: Vec<&[Value]> = people.iter().map(|one| &one[..]).collect();
    rows("phone", &["u.phone", "u.name"], &people)
}

const ADA: &str = "+4369912345678";
const BOB: &str = "+4369912345679";

// A message with a result.

#[tokio::test]
async fn each_phone_gets_the_result_once() {
    let stage = before(RESULT).await;
    let to = json!({ "to": "+43 699 12345678, 0043699-12345679;+43 (699) 12345678" });
    let answer = send(&stage, RESULT, to, "name,n\n\"Smith, John\",5\n").await;
    assert_eq!(delivered(&answer), "Twilio takes the message to 2 phones.");
    let posted = posted(&stage);
    let to: Vec<_> = posted.iter().map(|one| one["To"].as_str().unwrap()).collect();
    assert_eq!(to, [ADA, BOB]);
    let text = "Umsätze:\nhttps://looker.example/looks/1\nname,n\n\"Smith, John\",5";
    assert_eq!(posted[0]["Body"], text, "a cell with a comma is quoted");
}

#[tokio::test]
async fn what_does_not_fit_is_left_out_and_said() {
    let stage = before(RESULT).await;
    let data = format!("id,note\n1,{}\n2,b\n", "y".repeat(1_700));
    let form = json!({ "message": "{lines}\nSee {url}" });
    let answer = send(&stage, RESULT, form, &data).await;
    let said = delivered(&answer);
    assert!(said.contains("Of 3 lines 1 fit into the message"), "{said}");
    let text = posted(&stage)[0]["Body"].as_str().unwrap().to_owned();
    assert_eq!(text.chars().count(), 1_600);
    assert!(text.starts_with("id,note\n1,yyy") && text.contains("yyy…\nSee https://l"), "{text}");
    let form = json!({ "message": "x".repeat(1_601) });
    let answer = send(&stage, RESULT, form, &data).await;
    let why = answer["validation_errors"]["message"].as_str().unwrap();
    assert!(why.contains("has 1601 characters, and Twilio takes 1600"), "{why}");
    assert_eq!(posted(&stage).len(), 1);
}

#[tokio::test]
async fn as_many_lines_are_sent_as_were_asked_for() {
    for (lines, text) in [("2", "id\n1"), ("1", "id"), ("0", ""), ("4294967295", "id\n1\n2\n3")] {
        let stage = before(RESULT).await;
        let form = json!({ "message": "Lines:{lines}", "lines": lines });
        let answer = send(&stage, RESULT, form, "id\n1\n2\n3\n").await;
        assert!(!delivered(&answer).contains("fit into"), "{answer}");
        assert_eq!(posted(&stage)[0]["Body"], format!("Lines:{text}"));
    }
}

#[tokio::test]
async fn without_rows_nothing_is_sent_where_that_was_chosen() {
    let stage = before(RESULT).await;
    let answer = send(&stage, RESULT, json!({ "only_with_rows": "yes" }), "id\n").await;
    assert!(delivered(&answer).contains("no rows, so that no message was sent"), "{answer}");
    assert!(stage.vendor.asked().is_empty());
    delivered(&send(&stage, RESULT, json!({}), "id\n").await);
    assert_eq!(posted(&stage).len(), 1);
}

#[tokio::test]
async fn who_waits_for_the_network_is_told_what_it_says() {
    let stage = before(RESULT).await;
    let wait = json!({ "wait_for_network": "yes" });
    delivered(&send(&stage, RESULT, wait.clone(), "id\n1\n").await);
    stage.vendor.one("GET /2010-04-01/Accounts/");
    let failed = json!({ "sid": "SM1", "status": "undelivered", "error_code": 30_005,
                         "error_message": "Unknown destination handset" });
    stage.vendor.tell("GET /2010-04-01/Accounts/", answer(200, failed));
    let answered = send(&stage, RESULT, wait.clone(), "id\n1\n").await;
    refused(&answered, &format!("{ADA}: it was not delivered: Unknown destination handset"));
    // The message is at Twilio, whatever becomes of the question.
    let refusal = json!({ "code": 20_005, "message": "Account not active" });
    stage.vendor.tell("GET /2010-04-01/Accounts/", answer(403, refusal));
    let answered = send(&stage, RESULT, wait, "id\n1\n").await;
    assert_eq!(answered["error"]["status_code"], "UNKNOWN", "{answered}");
}

#[tokio::test]
async fn an_api_key_and_a_service_stand_in_place_of_token_and_number() {
    let stage = before(RESULT).await;
    let mut settings = stage.settings();
    for gone in ["authToken", "from"] {
        settings.as_object_mut().unwrap().remove(gone);
    }
    let form = json!({ "to": ADA });
    let answer = stage.send(RESULT, settings.clone(), form.clone(), "id\n1\n").await;
    refused(&answer, "Nobody sends: set the Twilio number, or a Messaging Service SID.");
    settings["messagingServiceSid"] = json!("MG9752274e9e519418a7406176694466fa");
    let answer = stage.send(RESULT, settings.clone(), form.clone(), "id\n1\n").await;
    refused(&answer, "Twilio asks for the Auth Token, or for an API key's SID and secret.");
    assert!(stage.vendor.asked().is_empty());
    let key = json!({ "apiKeySid": "SK2a0747eba6abf96b7e3c3ff0b4530f6e",
                      "apiKeySecret": "canary7d3b1f9a5c2e8d40apikey0000" });
    let answer = stage.send(RESULT, with(settings, key), form, "id\n1\n").await;
    delivered(&answer);
    let posted = posted(&stage);
    assert_eq!(posted[0]["MessagingServiceSid"], "MG9752274e9e519418a7406176694466fa");
    assert_eq!(posted[0]["From"], Value::Null);
}

#[tokio::test]
async fn numbers_without_a_country_get_the_default_or_the_senders() {
    let stage = before(RESULT).await;
    let form = json!({ "to": "4369912345678", "country_code": "+43" });
    delivered(&send(&stage, RESULT, form, "id\n1\n").await);
    // The stand-in's sender is a number of the USA.
    delivered(&send(&stage, RESULT, json!({ "to": "(415) 555-2671" }), "id\n1\n").await);
    let to: Vec<_> = posted(&stage).iter().map(|one| one["To"].clone()).collect();
    assert_eq!(to, [ADA, "+14155552671"]);
    let settings = with(stage.settings(), json!({ "from": "+4366412345678" }));
    let form = json!({ "to": "4155552671" });
    let answer = stage.send(RESULT, settings, form, "id\n1\n").await;
    let why = answer["validation_errors"]["to"].as_str().unwrap();
    assert!(why.contains("\"4155552671\" has no country code"), "{why}");
    let form = json!({ "country_code": "Austria" });
    let answer = send(&stage, RESULT, form, "id\n1\n").await;
    assert!(answer["validation_errors"]["country_code"].is_string(), "{answer}");
    assert_eq!(posted(&stage).len(), 2);
}

// A message for each row.

#[tokio::test]
async fn a_cell_gets_the_message() {
    let stage = before(ROWS).await;
    let form = json!({ "message": "Hello {ready}?" });
    let answer = click(&stage, ROWS, form.clone(), json!(" 0043 699 12345678 ")).await;
    assert_eq!(delivered(&answer), format!("Twilio takes the message to {ADA}."));
    assert_eq!(
        posted(&stage),
        [json!({ "To": ADA, "Body": "Hello {ready}?", "From": "+15005550006" })]
    );
    let words = json!({ "code": 21_610, "message": "Attempt to send to unsubscribed recipient" });
    stage.vendor.tell("POST /", stage::answer(400, words));
    let answer = click(&stage, ROWS, form, json!(ADA)).await;
    refused(&answer, &format!("{ADA}: Twilio refused it: Attempt to send to unsubscribed"));
}

#[tokio::test]
async fn a_cell_that_cannot_be_sent_to_is_told_before_twilio_is_asked() {
    let stage = before(ROWS).await;
    let hello = || json!({ "message": "Hello" });
    for empty in [json!(""), json!(" "), Value::Null] {
        let answer = click(&stage, ROWS, hello(), empty).await;
        refused(&answer, "The cell is empty, so that it names no phone.");
    }
    refused(
        &click(&stage, ROWS, hello(), json!("n/a")).await,
        "The cell's value is no phone number.",
    );
    for (text, words) in [
        ("Hello {{u.name}}".to_owned(), "A cell has no row to take {{u.name}} from."),
        ("x".repeat(1_601), "The text is longer than 1600 characters."),
        (String::new(), "Need a message, or a Content SID."),
    ] {
        let answer = click(&stage, ROWS, json!({ "message": text }), json!(ADA)).await;
        let why =
            answer["validation_errors"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(why, words);
    }
    let form = json!({ "message": "Hello", "dry_run": "yes" });
    let answer = click(&stage, ROWS, form, json!(ADA)).await;
    assert_eq!(delivered(&answer), "Nothing was sent. It would be: Hello");
    assert!(stage.vendor.asked().is_empty());
}

#[tokio::test]
async fn rows_get_theirs_and_the_others_are_counted() {
    let stage = before(ROWS).await;
    let long = "z".repeat(1_600);
    let data = people(&[
        (json!(ADA), "Ada"),
        (json!("+43 699 12345678"), "Ada"),
        (json!(ADA), "Lovelace"),
        (Value::Null, "Nobody"),
        (json!("n/a"), "Nemo"),
        (json!(BOB), &long),
    ]);
    let form = json!({ "message": "Hi {{u.name}}", "if_refused": "succeed" });
    let answer = send(&stage, ROWS, form, &data).await;
    let said = delivered(&answer);
    for part in [
        "2 of 6 rows accepted; 2 refused; first: row 5, its phone number is no phone number",
        "row 6, its text is longer than 1600 characters",
        "2 skipped; first: row 2, the same message to the same number stands above",
        "row 4, it has no phone number",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let sent: Vec<_> = posted(&stage).iter().map(|one| one["Body"].clone()).collect();
    assert_eq!(sent, ["Hi Ada", "Hi Lovelace"]);
}

#[tokio::test]
async fn a_dry_run_shows_three_and_counts_all() {
    let stage = before(ROWS).await;
    let mut all: Vec<_> = (0..5).map(|n| (json!(format!("{ADA}{n}")), "Ada")).collect();
    all[1].0 = json!("n/a");
    let settings = with(stage.settings(), json!({ "messages_per_second": "2" }));
    let form = json!({ "message": "Hi {{u.name}}", "dry_run": "yes" });
    let answer = stage.send(ROWS, settings, form, &people(&all)).await;
    assert_eq!(
        delivered(&answer),
        format!(
            "Nothing was sent. 4 messages at 2 a second would take 2 s; 1 rows have none. \
             {ADA}0: Hi Ada | (none for row 2: its phone number is no phone number) | {ADA}2: Hi Ada"
        )
    );
    let form = json!({ "message": "Hi", "dry_run": "yes" });
    let answer = send(&stage, ROWS, form, &people(&[])).await;
    assert_eq!(delivered(&answer), "Nothing was sent. The result has no rows.");
    assert!(stage.vendor.asked().is_empty());
}

#[tokio::test]
async fn a_pivoted_number_is_named_before_anything_is_sent() {
    let data = json!({
        "fields": { "pivots": [{ "name": "p" }],
                    "measures": [{ "name": "u.phone", "label": "Phone", "tags": ["phone"] }] },
        "data": [{ "u.phone": { "a": { "value": ADA } } }],
    });
    for dry_run in ["no", "yes"] {
        let stage = before(ROWS).await;
        let form = json!({ "message": "Hi", "dry_run": dry_run });
        let answer = send(&stage, ROWS, form, &data.to_string()).await;
        refused(&answer, "The field u.phone is pivoted. Send the query without the pivot.");
        assert!(stage.vendor.asked().is_empty());
    }
}

#[tokio::test]
async fn messages_a_second_are_what_the_settings_say_within_reason() {
    let stage = before(ROWS).await;
    let form = json!({ "message": "Hi", "dry_run": "yes" });
    let all: Vec<_> = (0..600).map(|n| (json!(format!("+43699{n:07}")), "Ada")).collect();
    for (rate, words) in [
        (json!(null), "600 messages at 10 a second would take 60 s"),
        (json!("1"), "600 messages at 1 a second would take 10 min"),
        (json!("0"), "600 messages at 1 a second would take 10 min"),
        (json!("5000"), "600 messages at 100 a second would take 6 s"),
    ] {
        let settings = with(stage.settings(), json!({ "messages_per_second": rate }));
        let answer = stage.send(ROWS, settings, form.clone(), &people(&all)).await;
        assert!(delivered(&answer).contains(words), "{words}: {answer}");
    }
}

#[tokio::test]
async fn a_template_gets_the_rows_values() {
    let stage = before(ROWS).await;
    let sid = "HXb5b62575e6e4ff6129ad7c8efe1f983e";
    let form = json!({ "message": "", "content_sid": sid,
                       "content_variables": "1: {{u.name}}\n2 = Graz: {{ U.x }}!" });
    let data = people(&[(json!(format!("whatsapp:{ADA}")), "Ada \"A\""), (json!(BOB), "")]);
    let answer = send(&stage, ROWS, form.clone(), &data).await;
    let why = answer["validation_errors"]["content_variables"].as_str().unwrap();
    assert!(why.contains("no column U.x"), "{why}");
    let form = with(form, json!({ "content_variables": "1: {{u.name}}\n2 = Graz: {{u.phone}}!" }));
    let answer = send(&stage, ROWS, form.clone(), &data).await;
    refused(&answer, "1 of 2 rows accepted; 1 refused; first: row 2, its variable 1 is empty.");
    let posted = posted(&stage);
    let [one] = posted.as_slice() else { panic!("{posted:?}") };
    let variables: Value = serde_json::from_str(one["ContentVariables"].as_str().unwrap()).unwrap();
    assert_eq!(variables, json!({ "1": "Ada \"A\"", "2": format!("Graz: whatsapp:{ADA}!") }));
    assert_eq!((&one["ContentSid"], &one["Body"]), (&json!(sid), &Value::Null));
    let answer = send(&stage, ROWS, with(form, json!({ "message": "too" })), &data).await;
    assert!(message(&answer).contains("a message or a template, not both"), "{answer}");
}

#[tokio::test]
async fn a_template_that_nobody_knows_ends_the_delivery_at_its_field() {
    let stage = before(ROWS).await;
    let form = json!({ "message": "", "content_sid": "HX1" });
    let answer = send(&stage, ROWS, form, &people(&[(json!(ADA), "A"), (json!(BOB), "B")])).await;
    let why = answer["validation_errors"]["content_sid"].as_str().unwrap();
    assert!(why.contains("The ContentSid is Invalid (error 21655)"), "{why}");
    assert_eq!(posted(&stage).len(), 1, "the others would be refused the same");
}

#[tokio::test]
async fn a_sender_that_twilio_does_not_know_ends_the_delivery() {
    let stage = before(ROWS).await;
    let settings = with(stage.settings(), json!({ "from": "+15005550001" }));
    let data = people(&[(json!(ADA), "A"), (json!(BOB), "B")]);
    let answer = stage.send(ROWS, settings, json!({ "message": "Hi" }), &data).await;
    refused(&answer, "(error 21606). A Looker admin should check the number");
    assert_eq!(posted(&stage).len(), 1, "the others would be refused the same");
}
