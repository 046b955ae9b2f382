//! What a message becomes: texts, tables, archives, and what stays out of them.

use std::io::Read as _;

use super::*;
use sendoff::Value;

fn bytes(text: &str) -> ByteStream {
    let bytes = bytes::Bytes::from(text.to_owned());
    ByteStream::new(futures_util::stream::once(std::future::ready(Ok(bytes))))
}

fn content() -> Content {
    Content {
        cc: None,
        bcc: None,
        reply_to: None,
        message: None,
        table_rows: 0,
        attach: Attach::File,
        attach_up_to: None,
        show_image: false,
        send_if_empty: true,
        per_row: false,
        on_refusal: OnRefusal::default(),
    }
}

#[tokio::test]
async fn the_text_stands_in_both_parts() {
    let mut form = content();
    form.message = Some("{title}\n\nSee {link}.".into());
    let wording = Wording::for_test("[]", 2).await;
    let (text, html) = form.texts(&wording, None, None).unwrap();
    assert_eq!(text, "Orders <Q4> & more\n\nSee https://looker.example/looks/1?a=1&b=2.");
    assert_eq!(
        html,
        "<p>Orders &lt;Q4&gt; &amp; more</p>\n\
         <p>See <a href=\"https://looker.example/looks/1?a=1&amp;b=2\">\
         https://looker.example/looks/1?a=1&amp;b=2</a>.</p>\n"
    );
}

#[tokio::test]
async fn a_table_stands_behind_the_text_in_both_parts() {
    let mut form = content();
    form.table_rows = 2;
    let seen = Wording::for_test(r#"[{"a":"<1>"},{"a":2},{"a":3}]"#, 2).await;
    let (text, html) = form.texts(&seen, None, None).unwrap();
    assert!(text.contains("\na\n---\n<1>\n2\nThe first 2 of 3 rows.\n"), "{text}");
    assert!(html.contains("&lt;1&gt;</td>") && html.contains("The first 2 of 3 rows."), "{html}");
}

#[tokio::test]
async fn what_is_too_large_to_attach_is_linked() {
    let mut form = content();
    form.attach_up_to = Some(0);
    let payload = spooled("id\n1\n").await;
    let seen = Wording::for_test("[]", 2).await;
    let (file, remark) = form.attachment(&seen, payload.clone(), "text/csv".into()).await.unwrap();
    let remark = remark.unwrap();
    assert!(file.is_none() && remark.starts_with("orders.csv has 5 "), "{remark}");
    let (text, html) = form.texts(&seen, None, Some(&remark)).unwrap();
    assert!(text.contains(&remark) && text.contains("https://looker.example/"), "{text}");
    assert!(html.contains("<a href=\"https://looker.example/"), "{html}");
    let seen = seen.without_link();
    let error = form.attachment(&seen, payload, "text/csv".into()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.field_name(), Some("attach_up_to"));
}

#[tokio::test]
async fn an_archive_is_one_that_others_read() {
    let mut form = content();
    form.attach = Attach::Zip;
    let data: String = (0..50_000).map(|n| format!("{n},shipped\n")).collect();
    let seen = Wording::for_test("[]", 2).await;
    let (file, _) = form.attachment(&seen, spooled(&data).await, "text/csv".into()).await.unwrap();
    let file = file.unwrap();
    assert_eq!((file.name.as_str(), file.media_type.as_str()), ("orders.zip", "application/zip"));
    let (mut stream, mut zip) = (file.opener()(), Vec::new());
    while let Some(chunk) = stream.next().await {
        zip.extend_from_slice(&chunk.unwrap());
    }
    assert_eq!(zip.len() as u64, file.len);
    assert!(zip.len() < data.len() / 2);
    let mut archive = ::zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut entry = archive.by_index(0).unwrap();
    assert_eq!(entry.name().unwrap(), "orders.csv");
    let at = entry.last_modified().unwrap();
    assert_eq!((at.year(), at.month(), at.day(), at.hour(), at.second()), (2026, 11, 25, 13, 8));
    let mut text = String::new();
    // Checks the CRC as well.
    entry.read_to_string(&mut text).unwrap();
    assert_eq!(text, data);
}

/// Data as it waits for being sent.
async fn spooled(text: &str) -> sendoff::Spooled {
    sendoff::testing::spooled(bytes(text)).await.unwrap()
}

#[test]
fn media_types_need_no_escapes() {
    for (given, want) in [
        ("text/csv", "text/csv"),
        ("text/html; charset=utf-8", "text/html"),
        (
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        ("text", "application/octet-stream"),
        ("text/c\"sv", "application/octet-stream"),
        ("text/csv\r\nX: y", "application/octet-stream"),
    ] {
        assert_eq!(plain_media_type(given), want);
    }
}

#[test]
fn addresses_in_a_text_are_links() {
    assert_eq!(
        paragraphs("a <b>\nhttps://x.example/?a=\"1\", ok"),
        "<p>a &lt;b&gt;<br>\n<a href=\"https://x.example/?a=&quot;1&quot;\">\
         https://x.example/?a=&quot;1&quot;</a>, ok</p>\n"
    );
}

#[tokio::test]
async fn a_row_says_who_gets_its_message() {
    let mut form = content();
    form.per_row = true;
    form.message = Some("Dear {u.name}, {Users Sum}".into());
    form.table_rows = 1;
    let rows = r#"{"fields":{"dimensions":[{"name":"u.name","label":"Users Name"},
        {"name":"u.mail","label":"Users Mail"},{"name":"u.sum","label":"Users Sum"}]},"data":[
        {"u.name":{"value":"Ada"},"u.mail":{"value":"ada@x.example"},
         "u.sum":{"value":4,"rendered":"$4"}},
        {"u.name":{"value":"Eve\r\nBcc: e@x.example"},"u.mail":{"value":"no address"},
         "u.sum":{"value":null}}]}"#;
    let head = Head {
        from: Value::parse("l@x.example").unwrap(),
        to: "{u.mail}",
        subject: Some("For {u.name}"),
        filename: None,
    };
    let composing = form.rows_for_test(head, Wording::for_test("[]", 0).await);
    let mut rows = sendoff::testing::json_rows(bytes(rows)).await.unwrap();
    let letter = composing.letter(&rows.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(
        (letter.recipients().as_str(), letter.subject.as_str()),
        ("ada@x.example", "For Ada")
    );
    assert!(letter.text.starts_with("Dear Ada, $4\n"), "{}", letter.text);
    assert!(letter.html.contains("<td") && letter.attachment.is_none());
    assert_eq!(letter.facts["u"]["sum"], "$4");
    let error = composing.letter(&rows.next().await.unwrap().unwrap()).map(|_| ()).unwrap_err();
    assert_eq!(error.field_name(), Some("to"));
}
