//! What a message becomes: texts, tables, archives, and what stays out of them.

use std::io::Read as _;

use super::*;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sendoff::testing::json_rows;

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
    }
}

fn facts() -> Facts {
    let now = "2026-11-25T13:05:09Z".parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC);
    Facts {
        title: Some("Orders <Q4> & more".into()),
        plan_id: Some("88".into()),
        instance: None,
        format: Some("csv"),
        extension: Some("csv".into()),
        now,
        uuid: uuid::Uuid::from_u128(7),
    }
}

async fn seen(rows: &str) -> Seen {
    let excerpt = Excerpt::of(json_rows(bytes(rows)).await.unwrap(), 2).await.unwrap();
    Seen {
        facts: facts(),
        filename: "orders.csv".into(),
        link: Some("https://looker.example/looks/1?a=1&b=2".into()),
        excerpt: Some(excerpt),
    }
}

#[tokio::test]
async fn placeholders_stand_for_what_looker_says() {
    let mut form = content();
    form.message =
        Some("{title}: {rows} rows of {date:%d.%m.%Y} in {filename}.\n\nSee {link}.".into());
    let seen = seen(r#"[{"a":1},{"a":2},{"a":3}]"#).await;
    let (text, html) = form.texts(&seen, None, None).unwrap();
    assert_eq!(
        text,
        "Orders <Q4> & more: 3 rows of 25.11.2026 in orders.csv.\n\nSee https://looker.example/looks/1?a=1&b=2."
    );
    assert_eq!(
        html,
        "<p>Orders &lt;Q4&gt; &amp; more: 3 rows of 25.11.2026 in orders.csv.</p>\n\
         <p>See <a href=\"https://looker.example/looks/1?a=1&amp;b=2\">\
         https://looker.example/looks/1?a=1&amp;b=2</a>.</p>\n"
    );
    let subject = |template: &str| seen.subject(Some(template));
    assert_eq!(
        subject("{title}\r\nBcc: x@evil.example").unwrap(),
        "Orders <Q4> & more  Bcc: x@evil.example"
    );
    assert_eq!(seen.subject(None).unwrap(), "Orders <Q4> & more");
    let error = subject("{nobody}").unwrap_err();
    assert_eq!(error.field_name(), Some("subject"));
    assert!(error.message().contains("{link}"), "{error}");
}

#[tokio::test]
async fn a_table_stands_behind_the_text_in_both_parts() {
    let mut form = content();
    form.table_rows = 2;
    let seen = seen(r#"[{"a":"<1>"},{"a":2},{"a":3}]"#).await;
    let (text, html) = form.texts(&seen, None, None).unwrap();
    assert!(text.contains("\na\n---\n<1>\n2\nThe first 2 of 3 rows.\n"), "{text}");
    assert!(html.contains("&lt;1&gt;</td>") && html.contains("The first 2 of 3 rows."), "{html}");
}

#[tokio::test]
async fn what_is_too_large_to_attach_is_linked() {
    let mut form = content();
    form.attach_up_to = Some(0);
    let payload = spooled("id\n1\n").await;
    let mut seen = seen("[]").await;
    let (file, remark) = form.attachment(&seen, payload.clone(), "text/csv".into()).await.unwrap();
    let remark = remark.unwrap();
    assert!(file.is_none() && remark.starts_with("orders.csv has 5 "), "{remark}");
    let (text, html) = form.texts(&seen, None, Some(&remark)).unwrap();
    assert!(text.contains(&remark) && text.contains("https://looker.example/"), "{text}");
    assert!(html.contains("<a href=\"https://looker.example/"), "{html}");
    seen.link = None;
    let error = form.attachment(&seen, payload, "text/csv".into()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.field_name(), Some("attach_up_to"));
}

#[tokio::test]
async fn an_archive_is_one_that_others_read() {
    let mut form = content();
    form.attach = Attach::Zip;
    let data: String = (0..50_000).map(|n| format!("{n},shipped\n")).collect();
    let seen = seen("[]").await;
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
fn only_web_addresses_are_links() {
    let address = |text: &str| web_address(&Text(text.to_owned()));
    assert_eq!(address("javascript:alert(1)"), None);
    assert_eq!(address("not a url"), None);
    assert_eq!(address("https://a.example/\"x").as_deref(), Some("https://a.example/%22x"));
    assert_eq!(
        paragraphs("a <b>\nhttps://x.example/?a=\"1\", ok"),
        "<p>a &lt;b&gt;<br>\n<a href=\"https://x.example/?a=&quot;1&quot;\">https://x.example/?a=&quot;1&quot;</a>, ok</p>\n"
    );
}
