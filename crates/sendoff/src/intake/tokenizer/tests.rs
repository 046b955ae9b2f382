//! The tokenizer against serde_json, at every cut, and against all that is no request.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::oracle::{self, Body};
use super::*;

fn body(chunks: &[&[u8]], limits: Limits) -> Result<Body, Malformed> {
    oracle::read(chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)), limits)
}

fn refusal(text: impl AsRef<[u8]>) -> String {
    body(&[text.as_ref()], Limits::default()).expect_err("a refusal").to_string()
}

/// About 2 KiB with every kind of escape, number, literal, white space and UTF-8 sequence.
fn document() -> String {
    let row = r#"Zo\u00eb,\"x\\y\"\/\b\f\n\r\tü€😀\ud83d\ude00\u20ac\u0000\uD7FF\uE000,end\n"#;
    let small =
        r#"{"a":[1,-0,0.5,1e9,-2.5E-3,10E+2,true,false,null,{},[],""],"é\n\ud83d\ude00":" \/ü"}"#;
    let mut text = String::from(" \r\n\t{\"type\" : \"query\" ,");
    text += &format!(r#""scheduled_plan":{small},"na\u006de":{small},"#);
    text += r#""attachment" : { "mimetype":"text/csv","extension":null, "data" : ""#;
    for _ in 0..12 {
        text += row;
        text += "plain text without any escape in it, for the way without a copy,";
    }
    text += r#"" ,"other":[1] } ,"data":{"value":null},"form_params":{ } ,"n":-12.5e+3}"#;
    text + "\n "
}

#[test]
fn every_cut_gives_the_same_events() {
    let text = document();
    let text = text.as_bytes();
    assert!((1900..2500).contains(&text.len()), "{}", text.len());
    let whole = body(&[text], Limits::default()).unwrap();
    whole.agrees_with(text).unwrap();
    for cut in 0..=text.len() {
        let cut_body = body(&[&text[..cut], &text[cut..]], Limits::default()).unwrap();
        assert_eq!(cut_body, whole, "cut at {cut}");
    }
    for size in [1, 2, 3, 7] {
        let chunks: Vec<&[u8]> = text.chunks(size).collect();
        assert_eq!(body(&chunks, Limits::default()).unwrap(), whole, "chunks of {size}");
    }
}

#[test]
fn every_end_before_the_last_brace_is_cut_short() {
    let text = document();
    let end = text.rfind('}').unwrap();
    for cut in 0..=end {
        let error = body(&[&text.as_bytes()[..cut]], Limits::default()).unwrap_err();
        assert!(error.is_cut_short(), "cut at {cut}: {error}");
        assert_eq!(error.offset, cut as u64);
    }
    assert!(body(&[&text.as_bytes()[..=end]], Limits::default()).is_ok());
}

#[test]
fn members_come_in_any_of_24_orders() {
    let members = [
        r#""type":"query""#,
        r#""scheduled_plan":{"title":"t"}"#,
        r#""attachment":{"mimetype":"text/csv","data":"a,b\n1,2\n"}"#,
        r#""form_params":{"path":"in/"}"#,
    ];
    for order in 0..24 {
        let mut left = members.to_vec();
        let order = [order / 6, order / 2 % 3, order % 2, 0].map(|at| left.remove(at));
        let text = format!("{{{}}}", order.join(","));
        let found = body(&[text.as_bytes()], Limits::default()).unwrap();
        found.agrees_with(text.as_bytes()).unwrap();
        assert_eq!(found.attachment_data.unwrap().1, b"a,b\n1,2\n");
        let named: Vec<_> = found.members.iter().map(|(name, _)| name.as_str()).collect();
        let expected: Vec<_> = order
            .iter()
            .filter_map(|member| member.split('"').nth(1))
            .filter(|name| *name != "attachment")
            .collect();
        assert_eq!(named, expected);
    }
}

#[test]
fn data_is_told_by_its_place_and_shape() {
    use Origin::{Attachment, TopLevel};
    let (text, json) = (Shape::Text, Shape::Json);
    let cases: [(&str, Option<(Origin, Shape)>); 14] = [
        (r#"{"attachment":{"data":"x"}}"#, Some((Attachment, text))),
        (r#"{"attachment":{"data":""}}"#, Some((Attachment, text))),
        (r#"{"attachment":{"data":[1]}}"#, Some((Attachment, json))),
        (r#"{"attachment":{"d\u0061ta":{"a":{}}}}"#, Some((Attachment, json))),
        (r#"{"attachment":{"data":null}}"#, None),
        (r#"{"attachment":{"data":1}}"#, None),
        (r#"{"attachment":{"data":true}}"#, None),
        (r#"{"attachment":{"more":{"data":"x"}}}"#, None),
        (r#"{"attachment":null}"#, None),
        (r#"{"attachment":["data"]}"#, None),
        (r#"{"data":{"data":"x"}}"#, None),
        (r#"{"data":null}"#, None),
        (r#"{"data":[{"a":1}]}"#, Some((TopLevel, json))),
        (r#"{"data":"[]"}"#, Some((TopLevel, text))),
    ];
    for (source, expected) in cases {
        let mut events = VecDeque::new();
        let mut tokenizer = Tokenizer::new(Limits::default());
        tokenizer.feed(&Bytes::from(source), &mut events).unwrap();
        tokenizer.finish().unwrap();
        let starts = events.iter().filter_map(|event| match event {
            Event::DataStart { origin, shape } => Some((*origin, *shape)),
            _ => None,
        });
        assert_eq!(starts.collect::<Vec<_>>(), Vec::from_iter(expected), "{source}");
        assert_eq!(events.back(), Some(&Event::End), "{source}");
    }
}

#[test]
fn text_without_escapes_is_not_copied() {
    let chunk = Bytes::from(format!(r#"{{"attachment":{{"data":"{}"}}}}"#, "x,y,ü ".repeat(99)));
    let mut events = VecDeque::new();
    Tokenizer::new(Limits::default()).feed(&chunk, &mut events).unwrap();
    let Some(Event::Data(data)) = events.get(1) else { panic!("{events:?}") };
    assert_eq!(data.len(), 99 * 7);
    assert!(chunk.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn a_chunk_of_text_with_escapes_is_one_piece() {
    let chunk = Bytes::from(format!(r#"{{"data":"{}"#, r"line\n\t\u00e9".repeat(1000)));
    let mut events = VecDeque::new();
    Tokenizer::new(Limits::default()).feed(&chunk, &mut events).unwrap();
    let Some(Event::Data(data)) = events.get(1) else { panic!("{events:?}") };
    assert_eq!((events.len(), data.len()), (2, 8000));
}

#[test]
fn what_is_no_request_is_named_with_byte_and_cause() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "byte 0: the body ended before its JSON object began"),
        (b" \n", "byte 2: the body ended before its JSON object began"),
        (b"[]", "byte 0: expected a JSON object, found an array"),
        (b" \"a\"", "byte 1: expected a JSON object, found a string"),
        (b"-1", "byte 0: expected a JSON object, found a number"),
        (b"null", "byte 0: expected a JSON object, found a literal"),
        (b"\xef\xbb\xbf{}", "byte 0: expected a JSON object, found a byte order mark"),
        (b"x=1", "byte 0: expected a JSON object, found no JSON"),
        (b"{} x", "byte 3: something follows the JSON object"),
        (b"{}{}", "byte 2: something follows the JSON object"),
        (b"{", "byte 1: the body ended within its JSON object"),
        (b"{a:1}", "byte 1: expected a member's name in double quotes or '}'"),
        (b"{,}", "byte 1: expected a member's name in double quotes or '}'"),
        (b"{\"a\":1,}", "byte 7: expected a member's name in double quotes"),
        (b"{\"a\" 1}", "byte 5: expected ':' after a member's name"),
        (b"{\"a\":}", "byte 5: expected a JSON value"),
        (b"{\"a\":'x'}", "byte 5: expected a JSON value"),
        (b"{\"a\":NaN}", "byte 5: expected a JSON value"),
        (b"{\"a\":nul}", "byte 8: expected 'true', 'false' or 'null'"),
        (b"{\"a\":truee}", "byte 9: expected ',' or '}' after a member's value"),
        (b"{\"a\":01}", "byte 6: expected ',' or '}' after a member's value"),
        (b"{\"a\":1.}", "byte 7: a number is not written as JSON wants it"),
        (b"{\"a\":-}", "byte 6: a number is not written as JSON wants it"),
        (b"{\"a\":1e+}", "byte 8: a number is not written as JSON wants it"),
        (b"{\"a\":[1,]}", "byte 8: expected a JSON value"),
        (b"{\"a\":[1}", "byte 7: expected ',' or ']' after an array's item"),
        (b"{\"a\":[1 2]}", "byte 8: expected ',' or ']' after an array's item"),
        (b"{\"a\":{\"b\"}}", "byte 9: expected ':' after a member's name"),
        (b"{\"a\":{\"b\":1,}}", "byte 12: expected a member's name in double quotes"),
        (b"{\"a\":{\"b\":1]}", "byte 11: expected ',' or '}' after a member's value"),
        (b"{\"a\":{1:1}}", "byte 6: expected a member's name in double quotes or '}'"),
        (b"{\"a\":\"\n\"}", "byte 6: a control character stands in a string un-escaped"),
        (b"{\"a\n\":1}", "byte 3: a control character stands in a string un-escaped"),
        (b"{\"data\":\"a\\nb\n\"}", "byte 13: a control character stands in a string un-escaped"),
        (b"{\"a\":\"\\x\"}", "byte 7: an escape in a string is not valid"),
        (b"{\"a\":\"\\u12g4\"}", "byte 10: an escape in a string is not valid"),
        (b"{\"data\":\"\\x\"}", "byte 10: an escape in a string is not valid"),
        (b"{\"data\":\"\\u+123\"}", "byte 11: an escape in a string is not valid"),
        (b"{\"data\":\"\\ud800\"}", "byte 9: half of a surrogate pair stands alone in a string"),
        (
            b"{\"data\":\"ab\\ud800\\n\"}",
            "byte 11: half of a surrogate pair stands alone in a string",
        ),
        (
            b"{\"data\":\"\\ud800\\ud800\"}",
            "byte 9: half of a surrogate pair stands alone in a string",
        ),
        (b"{\"data\":\"\\udc00\"}", "byte 9: half of a surrogate pair stands alone in a string"),
        (b"{\"\\ud800\":1}", "byte 2: half of a surrogate pair stands alone in a string"),
        (b"{\"a\":\"\xff\"}", "byte 6: a string is not valid UTF-8"),
        (b"{\"a\":\"\xe2\x82\"}", "byte 6: a string is not valid UTF-8"),
        (b"{\"\xc3\":1}", "byte 2: a string is not valid UTF-8"),
        (b"{\"data\":\"x\xe2\\n\x82\xac\"}", "byte 10: a string is not valid UTF-8"),
        (b"{\"data\":\"\xed\xa0\x80\"}", "byte 9: a string is not valid UTF-8"),
        (b"{\"data\":[\"\xf0\x9f\x98\"]}", "byte 10: a string is not valid UTF-8"),
        (b"{\"data\":[1,]}", "byte 11: expected a JSON value"),
        (b"{\"data\":\"x\",}", "byte 12: expected a member's name in double quotes"),
        (b"{\"a\":1,\"b\":2,\"a\":3}", "byte 15: the member \"a\" stands twice"),
        (b"{\"a\":1,\"\\u0061\":3}", "byte 14: the member \"a\" stands twice"),
        (
            b"{\"attachment\":{\"data\":\"\",\"data\":\"\"}}",
            "byte 30: the member \"data\" stands twice",
        ),
        (
            b"{\"attachment\":{},\"attachment\":{}}",
            "byte 28: the member \"attachment\" stands twice",
        ),
        (b"{\"attachment\":{\"data\":\"x", "byte 24: the body ended within the data"),
        (b"{\"attachment\":{\"data\":[", "byte 23: the body ended within the data"),
        (b"{\"attachment\":{\"data\":\"x\"", "byte 25: the body ended within the attachment"),
        (b"{\"a\":tr", "byte 7: the body ended within a member's value"),
    ];
    for (source, sentence) in cases {
        let source_text = String::from_utf8_lossy(source);
        assert!(refusal(source) == *sentence, "{source_text}: {}", refusal(source));
        for cut in 0..=source.len() {
            let error = body(&[&source[..cut], &source[cut..]], Limits::default()).unwrap_err();
            assert_eq!(error.to_string(), *sentence, "{source_text} cut at {cut}");
        }
    }
}

#[test]
fn a_body_that_was_refused_stays_so() {
    let (mut tokenizer, mut out) = (Tokenizer::new(Limits::default()), VecDeque::new());
    let error = tokenizer.feed(&Bytes::from("{x"), &mut out).unwrap_err();
    assert_eq!(tokenizer.feed(&Bytes::from("}"), &mut out), Err(error.clone()));
    assert_eq!(tokenizer.finish(), Err(error));
}

#[test]
fn depth_is_limited_wherever_it_is() {
    let deep = |before: &str, levels: usize, after: &str| {
        let text = format!("{before}{}{}{after}", "[".repeat(levels), "]".repeat(levels));
        body(&[text.as_bytes()], Limits::default()).map_err(|error| error.to_string())
    };
    assert!(deep("{\"a\":", 127, "}").is_ok());
    assert!(deep("{\"a\":", 128, "}").unwrap_err().starts_with("byte 132: objects and arrays"));
    assert!(deep("{\"data\":", 127, "}").is_ok());
    assert!(deep("{\"data\":", 128, "}").unwrap_err().starts_with("byte 135: objects"));
    assert!(deep("{\"attachment\":{\"data\":", 126, "}}").is_ok());
    assert!(deep("{\"attachment\":{\"data\":", 127, "}}").unwrap_err().contains("too deep"));

    let brackets = "[".repeat(1_000_000);
    assert!(refusal(&brackets).contains("found an array"));
    assert!(refusal(format!("{{\"data\":{brackets}")).starts_with("byte 135: "));
}

#[test]
fn members_are_limited_in_all_and_data_is_not() {
    let limits = Limits { member_bytes: 1000, ..Limits::default() };
    let read = |text: String| {
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(10).collect();
        body(&chunks, limits).map_err(|error| error.what)
    };
    assert!(read(format!("{{\"data\":\"{}\"}}", "x".repeat(5000))).is_ok());
    assert!(read(format!("{{\"data\":[{}1]}}", "1,".repeat(5000))).is_ok());
    assert!(read(format!("{{\"a\":\"{}\"}}", "x".repeat(900))).is_ok());
    assert_eq!(
        read(format!("{{\"a\":\"{}\"}}", "x".repeat(1000))),
        Err(What::TooLarge { most: 1000 })
    );
    assert_eq!(read(format!("{{\"{}\":1}}", "x".repeat(1000))), Err(What::TooLarge { most: 1000 }));
    let many: String = (0..20).map(|n| format!("\"{n}\":1,")).collect();
    assert_eq!(read(format!("{{{many}\"x\":1}}")), Err(What::TooLarge { most: 1000 }));
}

fn string() -> impl Strategy<Value = String> {
    let right = vec![
        r#"\""#,
        r"\\",
        r"\/",
        r"\b",
        r"\f",
        r"\n",
        r"\r",
        r"\t",
        r"\u00e9",
        r"\u20AC",
        r"\ud83d\ude00",
        r"\u0000",
        "\u{7f}",
    ];
    let wrong = vec![r"\ud800", r"\udc00", r"\u12", r"\x", "\n"];
    let part = prop_oneof![
        60 => "[ -!#-\\[\\]-~]{0,12}",
        20 => Just("ü€😀".to_owned()),
        60 => prop::sample::select(right).prop_map(str::to_owned),
        1 => prop::sample::select(wrong).prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        40 => string(),
        20 => prop::sample::select(vec!["null", "true", "false", "0", "-1.5e3", "12345678901234567890"])
            .prop_map(str::to_owned),
        1 => "[-+0-9.eE]{0,5}",
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let member = (string(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4)
                .prop_map(|items| format!("{{{}}}", items.join(" ,"))),
        ]
    })
}

/// Requests, most of them right: the names that mean something, and others.
fn request() -> impl Strategy<Value = String> {
    let inner_name = prop_oneof![
        prop::sample::select(vec![r#""data""#, r#""mimetype""#, r#""d\u0061ta""#])
            .prop_map(str::to_owned),
        "\"[a-z]{1,3}\"",
    ];
    let inner = prop::collection::vec((inner_name, value()), 0..4).prop_map(|members| {
        let members = members.into_iter().map(|(name, value)| format!("{name}: {value}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    });
    let member = prop_oneof![
        2 => inner.prop_map(|inner| format!("\"attachment\":{inner}")),
        1 => value().prop_map(|value| format!("\"data\" :{value}")),
        1 => value().prop_map(|value| format!("\"attachment\":{value}")),
        3 => ("[a-z]{1,4}", value()).prop_map(|(name, value)| format!("\"{name}\":{value}")),
        1 => (string(), value()).prop_map(|(name, value)| format!("{name}:{value}")),
    ];
    prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join("\n,")))
}

/// Chunks of the sizes given, over and over.
fn cut(text: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let (mut rest, mut chunks) = (Bytes::copy_from_slice(text), Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        chunks.push(rest.split_to(rest.len().min(*size)));
    }
    chunks
}

fn cases(default: u32) -> ProptestConfig {
    // PROPTEST_CASES asks for more.
    ProptestConfig { cases: default.max(ProptestConfig::default().cases), ..Default::default() }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn agrees_with_serde_json(text in request(), sizes in prop::collection::vec(1usize..40, 1..6)) {
        oracle::compare(text.as_bytes(), cut(text.as_bytes(), &sizes))
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn agrees_about_spoiled_requests(
        text in request(),
        sizes in prop::collection::vec(1usize..40, 1..6),
        spots in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte) in spots {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        oracle::compare(&bytes, cut(&bytes, &sizes)).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn raw_members_are_what_serde_json_would_hand_on() {
    let text = r#"{"a": [1, 2 ] ,"b":"\u0041"}"#;
    let found = body(&[text.as_bytes()], Limits::default()).unwrap();
    let theirs: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
    for (name, json) in &found.members {
        assert_eq!(theirs[name].get().as_bytes(), json);
    }
}

/// The data of a request whose lines are joined, when its text comes in these pieces.
fn joined(text: &str, cuts: &[usize]) -> String {
    let mut tokenizer = Tokenizer::new(Limits::default());
    let mut events = VecDeque::new();
    tokenizer.feed(&Bytes::from_static(b"{\"attachment\":{\"data\":\""), &mut events).unwrap();
    tokenizer.join_lines();
    let encoded = serde_json::to_string(text).unwrap();
    let rest = Bytes::from(format!("{}}},\"a\":\"\\n\"}}", &encoded[1..]));
    let mut from = 0;
    for &to in cuts.iter().chain([&rest.len()]) {
        tokenizer.feed(&rest.slice(from..to), &mut events).unwrap();
        from = to;
    }
    tokenizer.finish().unwrap();
    let data = events.iter().filter_map(|event| match event {
        Event::Data(data) => Some(&data[..]),
        _ => None,
    });
    let data = data.collect::<Vec<_>>().concat();
    // Only the data is joined.
    let at = "{\"attachment\":{\"data\":".len() + encoded.len() + "},\"a\":".len();
    let json = b"\"\\n\"".to_vec();
    let after = Event::Member { name: "a".into(), at: at as u64, json };
    assert!(events.contains(&after), "{events:?}");
    String::from_utf8(data).unwrap()
}

#[test]
fn lines_are_joined_wherever_they_are_cut() {
    let line = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmn\n";
    let text = line.repeat(6) + "short\n\n" + &line.repeat(2) + "é\"\\\t\n" + &line[..30];
    let expected = text.replace('\n', "");
    for cut in 0..text.len() {
        assert_eq!(joined(&text, &[cut]), expected, "cut at {cut}");
        assert_eq!(joined(&text, &[cut, (cut + 90).min(text.len())]), expected, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn any_lines_are_joined(lines in prop::collection::vec("[a-z\"\\\\\té]{0,4}|[a-z]{58,62}|[a-z]{40}[\"é\\\\a][a-z]{19}", 0..24)) {
        let text = lines.join("\n");
        prop_assert_eq!(joined(&text, &[]), text.replace('\n', ""));
    }
}
