//! Which requests are read, and what is said of those that are not.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use serde_json::{Value, json};

use super::{by_hand, execute, order, post, quick, send, stage};
use crate::{Hub, Limits};

#[tokio::test]
async fn every_order_of_the_members_delivers_the_same_bytes() {
    let stage = stage(quick());
    let members = [
        r#""type":"query""#,
        r#""scheduled_plan":null"#,
        r#""attachment":{"extension":"txt","data":"one\ntwo \u00e9","mimetype":"text/plain"}"#,
        r#""data":{"api_key":"k"}"#,
        r#""form_params":{"how":"read"}"#,
        r#""unknown":[1,{"a":null}]"#,
    ];
    let mut orders = vec![vec![]];
    for n in 0..members.len() {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=n).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, n);
                    order
                })
            })
            .collect();
    }
    assert_eq!(orders.len(), 720);
    for order in orders {
        let body: Vec<_> = order.iter().map(|n| members[*n]).collect();
        let (status, answer) = execute(&stage.hub, format!("{{{}}}", body.join(","))).await;
        assert_eq!(
            (status, &answer["looker"]["message"]),
            (StatusCode::OK, &json!("one\ntwo é")),
            "{order:?}"
        );
    }
}

#[tokio::test]
async fn irregular_payloads_are_accepted() {
    let stage = stage(quick());
    let base64 = "aGVsbG8g\nd29ybGQ=\n";
    for (attachment, want) in [
        (
            json!({"mimetype": "application/pdf;base64", "extension": "pdf", "data": base64}),
            "hello world",
        ),
        (
            json!({"data": base64, "mimetype": "image/png;base64", "extension": "png"}),
            "hello world",
        ),
        (
            json!({"mimetype": "application/json", "extension": "json", "data": "[{\"a\":1}]"}),
            "[{\"a\":1}]",
        ),
        (
            json!({"mimetype": "application/json", "extension": "json", "data": [{"a": 1}]}),
            "[{\"a\":1}]",
        ),
        (json!({"mimetype": "text/csv", "extension": "csv", "data": ""}), ""),
    ] {
        for front in [true, false] {
            let rest = r#""type":"query","scheduled_plan":{"scheduled_plan_id":"7","query_id":7,"type":"LookMLDashboard"},"data":{"api_key":"k","n":1},"form_params":{"how":"read"}"#;
            let body = if front {
                format!(r#"{{{rest},"attachment":{attachment}}}"#)
            } else {
                format!(r#"{{"attachment":{attachment},{rest}}}"#)
            };
            let (_, answer) = execute(&stage.hub, body).await;
            assert_eq!(answer["looker"]["success"], true, "{answer}");
            assert_eq!(answer["looker"]["message"], want);
            assert_eq!(answer["looker"]["webhookId"], "0f0f");
        }
    }
}

#[tokio::test]
async fn rows_in_the_top_level_data_count_when_there_is_no_attachment() {
    let hub = stage(quick()).hub;
    let hub_with_key = Hub { inner: hub.inner };
    let body = r#"{"type":"query","data":"[{\"a\":1}]","form_params":{"how":"read"}}"#;
    let (_, answer) = execute(&hub_with_key, body).await;
    // The settings stand in `data`, so they are what is missing.
    let message = answer["looker"]["message"].as_str().unwrap();
    assert!(message.starts_with("Required setting \"Api Key\" not specified"), "{message}");
}

#[tokio::test]
async fn gzip_is_read_within_the_limit_and_other_encodings_are_not() {
    let stage = stage(Limits { body_bytes: 4096, ..quick() });
    let gzip = async |text: String| {
        use tokio::io::AsyncReadExt;
        let mut out = Vec::new();
        let mut encoder =
            async_compression::tokio::bufread::GzipEncoder::new(std::io::Cursor::new(text));
        encoder.read_to_end(&mut out).await.unwrap();
        out
    };
    let ask = |encoding: &'static str, body: Vec<u8>| {
        let request = post("/actions/puppet/execute").header("content-encoding", encoding);
        send(&stage.hub, request.body(Full::new(Bytes::from(body))).unwrap())
    };
    let (status, answer) = ask("gzip", gzip(order("read", json!("zipped"))).await).await;
    assert_eq!((status, &answer["looker"]["message"]), (StatusCode::OK, &json!("zipped")));
    let zipped = gzip(order("read", json!("zipped"))).await;
    assert_eq!(ask("GZip", zipped.clone()).await.1["looker"]["message"], "zipped");
    for cut in [1, 8, 20, zipped.len() - 5] {
        let (status, answer) = ask("gzip", zipped[..zipped.len() - cut].to_vec()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let said = answer["error"].as_str().unwrap();
        assert!(said.starts_with("Looker's request broke off"), "{cut} bytes are missing: {said}");
    }
    let bomb = gzip(order("read", json!("0".repeat(1 << 20)))).await;
    assert!(bomb.len() < 4096);
    assert_eq!(ask("gzip", bomb).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, answer) = ask("gzip", b"{}".repeat(20)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["error"].as_str().unwrap().contains("cannot be unpacked"), "{answer}");
    assert_eq!(ask("br", b"{}".to_vec()).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn malformed_json_is_400_with_byte_and_cause() {
    let stage = stage(quick());
    for body in [
        "",
        "null",
        "[]",
        "3",
        "\"x\"",
        "{",
        "{\"type\":}",
        "{} {}",
        "{\"a\":1,}",
        "\u{feff}{}",
        "{\"type\":\"query\",\"type\":\"query\"}",
    ] {
        for path in ["/actions/puppet/execute", "/webhook/puppet?how=read", "/actions/puppet/form"]
        {
            if body.is_empty() && path.ends_with("form") {
                continue;
            }
            let request = post(path).body(Full::new(Bytes::from(body.to_owned()))).unwrap();
            let (status, answer) = send(&stage.hub, request).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body:?}: {answer}");
            let error = answer["error"].as_str().unwrap();
            let (_, named) = error.split_once("byte ").unwrap_or_else(|| panic!("{error}"));
            let (byte, cause) = named.split_once(": ").unwrap();
            assert!(byte.parse::<usize>().unwrap() <= body.len() && cause.len() > 10, "{error}");
            assert_eq!(answer["looker"]["success"], false);
            assert_eq!(answer["looker"]["webhookId"], "0f0f");
        }
    }
    assert_eq!(stage.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_empty_form_request_is_a_form_and_keeps_what_was_chosen() {
    let stage = stage(quick());
    let ask = |body: &'static str| {
        send(&stage.hub, post("/actions/puppet/form").body(Full::new(Bytes::from(body))).unwrap())
    };
    let (status, form) = ask("").await;
    assert_eq!(status, StatusCode::OK);
    assert!(form["error"].as_str().unwrap().starts_with("Required setting \"Api Key\""));
    let (_, form) = ask(r#"{"data":{"api_key":"k"},"form_params":{"note":"kept"}}"#).await;
    assert_eq!(form[0]["name"], "how");
    assert_eq!(form[0]["type"], "select");
    assert_eq!(form[1]["default"], "kept");
}

#[tokio::test]
async fn a_member_that_cannot_be_read_is_named_with_its_byte() {
    let stage = stage(quick());
    let half = r#""\ud800""#;
    for (body, member, at) in [
        (format!(r#"{{"type":{half}}}"#), "type", 8),
        (format!(r#"{{"data":{{}},"form_params":{{"how":{half}}}}}"#), "form_params", 25),
        (
            format!("{{\n\n\"scheduled_plan\":\n{{\"title\":1,\"title\":{half}}}}}"),
            "scheduled_plan",
            21,
        ),
    ] {
        for path in ["/actions/puppet/execute", "/actions/puppet/form"] {
            let request = post(path).body(Full::new(Bytes::from(body.clone()))).unwrap();
            let (status, answer) = send(&stage.hub, request).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}: {answer}");
            let said = answer["error"].as_str().unwrap();
            assert!(said.contains(&format!("\"{member}\" at byte {at} ")), "{path}: {said}");
            assert!(!said.contains(" line "), "{said}");
        }
    }
    // A number is a text to us, however large it is.
    let body = order("read", json!("x")).replace(r#""how":"read""#, r#""how":"read","note":1e999"#);
    assert_eq!(execute(&stage.hub, body).await.1["looker"]["message"], "1e999x");
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named_in_the_envelope() {
    let stage = stage(quick());
    let say = async |body: Value| {
        let (status, answer) = execute(&stage.hub, body.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["looker"]["success"], false);
        assert_eq!(answer["looker"]["error"]["message"], answer["looker"]["message"]);
        answer["looker"].clone()
    };
    let no_type = say(json!({"data": {"api_key": "k"}, "form_params": {"how": "read"}})).await;
    assert_eq!(
        no_type["validation_errors"]["type"],
        "The request names no type; Puppet takes query, cell."
    );
    let wrong_type =
        say(json!({"type": "dashboard", "data": {"api_key": "k"}, "form_params": {"how": "read"}}))
            .await;
    assert!(wrong_type["validation_errors"]["type"].as_str().unwrap().contains("\"dashboard\""));
    let no_setting = say(json!({"type": "query", "form_params": {"how": "read"}})).await;
    assert!(no_setting["message"].as_str().unwrap().contains("\"Api Key\""));
    let no_field =
        say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": ""}})).await;
    assert_eq!(no_field["validation_errors"]["how"], "How is required.");
    let wrong_choice =
        say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": "sing"}}))
            .await;
    assert!(
        wrong_choice["validation_errors"]["how"]
            .as_str()
            .unwrap()
            .contains("\"sing\" is none of them")
    );
    assert!(wrong_choice["message"].as_str().unwrap().starts_with("How: Choose one of"));
    let no_data =
        say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": "read"}}))
            .await;
    assert!(no_data["message"].as_str().unwrap().contains("no data"));
    let bad_base64 =
        say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": "read"},
        "attachment": {"mimetype": "application/pdf;base64", "data": "!!!!"}}))
        .await;
    assert!(bad_base64["message"].as_str().unwrap().contains("base64"));
    for data in ["[{\"a\":1},", "{\"a\" 1}", "", "<html>"] {
        let bad_json =
            say(json!({"type": "query", "data": {"api_key": "k"}, "form_params": {"how": "read"},
            "attachment": {"mimetype": "application/json", "extension": "json", "data": data}}))
            .await;
        let message = bad_json["message"].as_str().unwrap();
        assert!(
            message.contains("cut short") || message.contains("not well-formed JSON"),
            "{message}"
        );
        assert_eq!(bad_json["error"]["status_code"], "DATA_LOSS");
    }
}

#[tokio::test]
async fn an_action_that_ignores_its_data_still_needs_the_request_whole() {
    let stage = stage(quick());
    let whole = order("ignore", json!("a,b\n1,2\n"));
    assert_eq!(execute(&stage.hub, whole.clone()).await.1["looker"]["success"], true);
    // The delivery was made, and nobody may say that nothing was delivered.
    let (status, answer) = execute(&stage.hub, whole[..whole.len() - 1].to_owned()).await;
    assert_eq!((status, &answer["looker"]["success"]), (StatusCode::OK, &json!(false)));
    assert_eq!(answer["looker"]["error"]["status_code"], "UNKNOWN");
    let message = answer["looker"]["message"].as_str().unwrap();
    assert!(message.starts_with("Looker's request was cut short"), "{message}");
    assert!(message.contains("Before that: Delivered") && message.contains("may have arrived"));
    assert!(!message.contains("Nothing was delivered"), "{message}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_as_soon_as_it_is_exceeded() {
    let stage = stage(Limits { body_bytes: 2000, ..quick() });
    let (sender, body) = by_hand();
    let start = order("read", json!("0".repeat(1500)));
    sender.send(Bytes::from(start[..start.len() - 3].to_owned() + &"0".repeat(1000))).unwrap();
    // The sender stays open: the answer must not wait for the end.
    let (status, answer) =
        send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer["error"].as_str().unwrap().contains("2.0 KiB"), "{answer}");
    let request = post("/actions/puppet/execute").header("content-length", "2001");
    let (status, _) = send(&stage.hub, request.body(Full::new(Bytes::new())).unwrap()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    drop(sender);
}

#[tokio::test]
async fn p4_a_number_reaches_the_action_as_it_was_written() {
    let stage = stage(quick());
    for number in ["1.10", "123456789012345678901234", "1e2", "18446744073709551616"] {
        let body = order("read", json!("x"));
        let body = body.replace(r#""how":"read""#, &format!(r#""how":"read","note":{number}"#));
        let (_, answer) = execute(&stage.hub, body).await;
        assert_eq!(answer["looker"]["message"], format!("{number}x"));
    }
}

#[tokio::test]
async fn what_a_request_says_besides_its_data_is_bounded_and_the_bound_is_told() {
    let stage = stage(quick());
    let say = async |form: String| {
        let body = order("read", json!("x")).replace(r#""how":"read""#, &form);
        let (status, answer) = execute(&stage.hub, body).await;
        (status, answer["looker"]["message"].as_str().unwrap().to_owned())
    };
    let text = |length| format!(r#""how":"read","other":"{}""#, "x".repeat(length));
    assert_eq!(say(text(2_000_000)).await, (StatusCode::OK, "x".to_owned()));
    let (status, message) = say(text(2 << 20)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(message.contains("larger than the 2.0 MiB"), "{message}");
    let many = |count| {
        let members: Vec<_> = (1..count).map(|n| format!(r#""{n}":"""#)).collect();
        format!(r#""how":"read",{}"#, members.join(","))
    };
    assert_eq!(say(many(2_000)).await, (StatusCode::OK, "x".to_owned()));
    let (status, message) = say(many(2_001)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(message.contains("more than 2000 members"), "{message}");
}

#[tokio::test]
async fn a_form_request_that_is_too_large_is_not_what_the_body_limit_is_for() {
    let stage = stage(quick());
    let body = json!({"form_params": {"note": "0".repeat(1 << 20)}}).to_string();
    let request = post("/actions/puppet/form").body(Full::new(Bytes::from(body))).unwrap();
    let (status, answer) = send(&stage.hub, request).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let said = answer["error"].as_str().unwrap();
    assert!(said.contains("1.0 MiB") && said.contains("answers"), "{said}");
    assert!(!said.contains("SENDOFF_LIMITS_BODY_BYTES"), "{said}");
}
