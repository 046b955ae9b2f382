//! Bodies as they are written, read back by serde_json.
#![allow(clippy::disallowed_methods, reason = "small bodies in memory")]

use http_body_util::BodyExt;
use sendoff_protocol::Request;

use super::*;
use crate::Peek;

async fn written(delivery: Delivery, masked: &[&str]) -> (Vec<u8>, Peek) {
    let masked = masked.iter().map(|name| (*name).to_owned()).collect();
    let body = delivery.into_body(&masked, None);
    let record = body.record();
    let bytes = body.collect().await.unwrap().to_bytes().to_vec();
    (bytes, record.peek())
}

fn chunks(text: &'static str, size: usize) -> Source {
    let pieces: Vec<_> =
        text.as_bytes().chunks(size).map(|piece| Ok(Bytes::from_static(piece))).collect();
    Source::stream(stream::iter(pieces))
}

#[tokio::test]
async fn members_come_in_the_chosen_order_and_read_back() {
    let text = "a,\"b\"\r\n\\x\tü\u{1}\n";
    for size in 1..=text.len() {
        let mut delivery = Delivery::query("T")
            .param("k", "v")
            .answer("path", "in/")
            .push(Format::Csv, chunks(text, size));
        delivery.order.reverse();
        delivery.ids = Ids::Texts;
        let (bytes, _) = written(delivery, &[]).await;
        assert!(bytes.starts_with(br#"{"form_params":{"path":"in/"},"data":{"k":"v"},"attach"#));
        assert!(bytes.ends_with(br#","type":"query"}"#));
        let request: Request = serde_json::from_slice(&bytes).unwrap();
        let attachment = request.attachment.unwrap();
        assert_eq!(attachment.data.unwrap().as_str(), text);
        assert_eq!(attachment.mimetype.as_deref(), Some("text/csv"));
    }
}

#[tokio::test]
async fn ids_are_numbers_or_texts() {
    let raw = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let mut delivery = Delivery::query("T");
    delivery.ids = Ids::Texts;
    let (texts, _) = written(delivery, &[]).await;
    let (numbers, _) = written(Delivery::query("T"), &[]).await;
    assert_eq!(raw(&texts)["scheduled_plan"]["query_id"], "5531");
    assert_eq!(raw(&numbers)["scheduled_plan"]["query_id"], 5531);
    assert_eq!(raw(&numbers)["scheduled_plan"]["download_url"], Value::Null);
    let (cell, _) = written(Delivery::cell("1", "one"), &[]).await;
    assert_eq!(raw(&cell)["scheduled_plan"], Value::Null);
    assert_eq!(raw(&cell)["attachment"], Value::Null);
}

#[tokio::test]
async fn base64_has_a_newline_after_every_60_characters_whatever_the_chunks() {
    let text = "0123456789".repeat(10);
    let text: &'static str = text.leak();
    let mut seen = BTreeSet::new();
    for size in [1, 7, 44, 45, 46, 100] {
        let delivery = Delivery::query("T").push(Format::Xlsx, chunks(text, size));
        let (bytes, _) = written(delivery, &[]).await;
        let request: Request = serde_json::from_slice(&bytes).unwrap();
        let attachment = request.attachment.unwrap();
        assert!(attachment.mimetype.unwrap().ends_with("sheet;base64"));
        let data = attachment.data.unwrap().0;
        let lines: Vec<_> = data.split('\n').map(str::len).collect();
        assert_eq!(lines, [60, 60, 16, 0], "chunks of {size}");
        let plain = base64_simd::STANDARD.decode_to_vec(data.replace('\n', "")).unwrap();
        assert_eq!(plain, text.as_bytes());
        seen.insert(data);
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn json_may_stand_inline() {
    let mut delivery = Delivery::query("T");
    delivery.cargo =
        Cargo::Push { format: Format::Json, source: "[{\"a\":1}]".into(), inline: true };
    let (bytes, _) = written(delivery, &[]).await;
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["attachment"]["data"], json!([{"a": 1}]));
}

#[tokio::test]
async fn the_record_masks_secrets_and_the_wire_does_not() {
    let delivery = Delivery::query("T").param("key", "hush").param("region", "eu");
    let (bytes, peek) = written(delivery, &["key"]).await;
    assert!(String::from_utf8(bytes.clone()).unwrap().contains("hush"));
    let shown = peek.text();
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains(MASK) && shown.contains("\"region\":\"eu\""), "{shown}");
    assert_eq!(peek.total(), bytes.len() as u64);
}

#[tokio::test]
async fn a_source_that_fails_breaks_the_body_off() {
    let source = Source::stream(stream::iter([
        Ok(Bytes::from_static(b"a,b\n")),
        Err(io::Error::other("the query failed")),
    ]));
    let body = Delivery::query("T").push(Format::Csv, source).into_body(&BTreeSet::new(), None);
    let error = body.collect().await.unwrap_err();
    assert_eq!(error.to_string(), "the query failed");
}
