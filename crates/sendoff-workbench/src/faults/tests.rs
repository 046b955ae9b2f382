//! Faults as texts, and what they do to bodies.
#![allow(clippy::disallowed_methods, reason = "small bodies in memory")]

use std::collections::BTreeSet;

use http_body_util::BodyExt;
use proptest::prelude::*;
use sendoff_protocol::Format;

use super::*;

fn delivery() -> Delivery {
    let data = "x".repeat(3_000);
    Delivery::query("T").param("k", "secret-value").push(Format::Xlsx, data.into())
}

async fn sent(text: &str) -> Result<String, String> {
    let faults: Faults = text.parse().unwrap();
    let mut delivery = delivery();
    faults.apply(&mut delivery);
    let body = delivery.into_body(&BTreeSet::from(["k".into()]), faults.broken());
    let body = body.changed(|writing| faults.spoil(writing));
    let record = body.record();
    let read = body.collect().await.map_err(|error| error.to_string());
    assert!(!record.peek().text().contains("secret"), "{}", record.peek().text());
    read.map(|whole| String::from_utf8(whole.to_bytes().to_vec()).unwrap())
}

#[test]
fn sizes_have_units() {
    for (text, bytes) in [
        ("12345", Some(12_345)),
        ("10kB", Some(10_000)),
        ("1MiB", Some(1 << 20)),
        ("1.5 GB", Some(1_500_000_000)),
        ("2g", Some(2_000_000_000)),
        ("", None),
        ("x", None),
        ("-1", None),
        ("1 parsec", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(size(text), bytes, "{text}");
    }
}

#[test]
fn every_fault_is_written_and_read_back() {
    let text = "seed=7 fault=cut@12345 fault=base64 fault=slow@1000 fault=hangup@9 \
                fault=hangup@newline fault=hangup@1.5s fault=shuffled fault=doubled \
                fault=download@expired fault=download@500 fault=download@html \
                fault=download-cut@3 fault=download-short@4";
    let faults: Faults = text.parse().unwrap();
    assert_eq!(faults.list.len(), 13);
    assert_eq!(faults.to_string(), text);
    let json = serde_json::to_string(&faults).unwrap();
    assert_eq!(serde_json::from_str::<Faults>(&json).unwrap(), faults);
    assert_eq!("cut@1MiB".parse::<Faults>().unwrap().to_string(), "seed=0 fault=cut@1048576");
    assert_eq!(Faults::default().to_string(), "");
    for wrong in ["cut", "cut@", "cut@x", "bang", "seed=x", "hangup@-1s", "base64@3"] {
        let error = wrong.parse::<Faults>().unwrap_err();
        assert!(error.to_string().contains("Known are"), "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        if let Ok(faults) = text.parse::<Faults>() {
            prop_assert_eq!(faults.to_string().parse::<Faults>().unwrap().list, faults.list);
        }
    }
}

#[tokio::test]
async fn a_cut_body_ends_at_the_byte() {
    let whole = sent("").await.unwrap();
    for at in [0, 1, 60, 500, whole.len() - 1, whole.len(), whole.len() + 10] {
        let cut = sent(&format!("cut@{at}")).await.unwrap();
        assert_eq!(cut, whole[..at.min(whole.len())], "{at}");
    }
    assert_eq!(sent("hangup@100").await.unwrap_err(), HUNG_UP);
}

#[tokio::test]
async fn one_character_of_the_base64_is_none_and_the_json_stays_right() {
    let whole = sent("").await.unwrap();
    for seed in 0..200 {
        let broken = sent(&format!("seed={seed} base64")).await.unwrap();
        assert_eq!(broken, sent(&format!("seed={seed} base64")).await.unwrap());
        let request: sendoff_protocol::Request = serde_json::from_str(&broken).unwrap();
        let data = request.attachment.unwrap().data.unwrap();
        assert_eq!(data.as_str().matches('!').count(), 1, "{seed}");
        let differ = whole.bytes().zip(broken.bytes()).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 1, "{seed}");
    }
}

#[tokio::test]
async fn members_are_shuffled_and_doubled_as_the_seed_says() {
    let mut orders = BTreeSet::new();
    let mut doubled = BTreeSet::new();
    for seed in 0..40 {
        let body = sent(&format!("seed={seed} shuffled doubled")).await.unwrap();
        let names = [
            "\"type\":\"query\"",
            "\"scheduled_plan\":",
            "\"attachment\":",
            "\"data\":{",
            "\"form_params\":",
        ];
        let twice: Vec<_> = names.iter().filter(|name| body.matches(**name).count() == 2).collect();
        assert_eq!(twice.len(), 1, "{body}");
        doubled.insert(*twice[0]);
        orders.insert(body[..8].to_owned());
        let _: serde_json::Value = serde_json::from_str(&body).unwrap();
    }
    assert_eq!(doubled.len(), 5);
    assert!(orders.len() >= 4, "{orders:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_takes_its_time() {
    let whole = sent("").await.unwrap();
    let since = tokio::time::Instant::now();
    let slow = sent("slow@1000").await.unwrap();
    assert_eq!(slow, whole);
    let want = Duration::from_secs_f64(whole.len() as f64 / 1000.0);
    let took = since.elapsed();
    // Timers have a resolution of a millisecond.
    assert!(took >= want && took < want + Duration::from_millis(100), "{took:?}, {want:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_download_takes_its_time() {
    let since = tokio::time::Instant::now();
    let mut source = slowed_source(Source::from("x".repeat(3_000)), 1_000);
    let mut whole = 0;
    while let Some(piece) = source.next().await {
        whole += piece.unwrap().len();
    }
    assert_eq!(whole, 3_000);
    let took = since.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_millis(3_100), "{took:?}");
}

#[test]
fn a_fault_that_could_do_nothing_is_told() {
    let missed = |text: &str, carried| {
        let progress = Progress { sent: 500, fetched: 200, ..Progress::default() };
        text.parse::<Faults>().unwrap().missed(carried, &progress)
    };
    for (fault, carried, told) in [
        ("cut@500", Carried::Text, None),
        ("cut@501", Carried::Text, Some("the request's body had 500 bytes")),
        ("hangup@201", Carried::Fetched, Some("the download's body had 200 bytes")),
        ("download-cut@200", Carried::Fetched, None),
        ("download-short@201", Carried::Fetched, Some("the download's body had 200 bytes")),
        ("download@expired", Carried::Fetched, None),
        ("download@expired", Carried::Text, Some("the data went in the request")),
        ("base64", Carried::Base64, None),
        ("base64", Carried::Text, Some("is not sent as base64")),
        ("base64", Carried::Fetched, Some("is not sent as base64")),
        ("shuffled doubled slow@9", Carried::Fetched, None),
        ("hangup@newline", Carried::Text, Some("the hub sent no newline")),
        ("hangup@60s", Carried::Text, Some("all was over after")),
    ] {
        let missed = missed(fault, carried);
        match told {
            None => assert!(missed.is_empty(), "{fault}: {missed:?}"),
            Some(told) => assert!(missed[0].contains(told), "{fault}: {missed:?}"),
        }
    }
}
