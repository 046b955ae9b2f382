//! The JSON formats.

use super::{contents, open, refusal, same_at_every_split, whole};
use crate::rows::{CellValue, ColumnKind, Layout};

const GOLDEN: &str = include_str!("../../../tests/golden/json_detail_example.json");

/// Two columns described, pivots, escapes, and members before, between and after.
const DETAIL: &str = r#"{"sql":"SELECT \"a\" -- }]\\", "ran_at":"2024-05-06T07:08:09+00:00",
"fields":{"measures":[{"name":"o.count","label":"Orders Count","type":"count","is_numeric":true,
"tags":[]}],"dimensions":[{"name":"u.email","label":"Users Email","label_short":"Email","view":"u",
"view_label":"Users","type":"string","tags":["email","pii"],"value_format":null}],
"table_calculations":[{"name":"twice","label":"Twice","type":"number","is_numeric":true}],
"pivots":[{"name":"o.status","label":"Status"}],"filters":[{"name":"f.x","tags":["user_id"]}],
"odd":7},"data":[
{"u.email":{"value":"a@\u00e9\ud83d\ude00.example","rendered":"\"A\" \\ \/","html":"<b>\u0041</b>",
"links":[{"label":"}]","url":"\/x?a=1"}]},"o.count":{"done":{"value":9007199254740993},"open":
{"value":null},"$$$_row_total_$$$":{"value":3.10,"rendered":"3"}},"twice":{"value":true}}
,{"o.count":{"done":{"value":1}},"u.email":{"value":null},"new one":{"value":[1,{"a":"]"}]}},
{ "u.email" : { "value" : "" , "rendered" : null } , "twice" : { "value" : false } }, {}
],"totals":{"x":[[]]},"late":"\\\""}
"#;

#[tokio::test]
async fn a_real_document_reads_as_it_stands() {
    let (rows, read) = whole(Layout::Json, GOLDEN).await.unwrap();
    let names: Vec<_> = rows.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["orders.created_month", "orders.count"]);
    let count = rows.columns().by_label("Orders Count").unwrap();
    assert_eq!(count.kind, ColumnKind::Measure);
    assert_eq!(count.field_type.as_deref(), Some("count_distinct"));
    assert_eq!(count.label_short.as_deref(), Some("Count"));
    assert!(count.is_numeric && count.tags.is_empty());
    assert_eq!(rows.ran_at(), Some("2017-07-28T02:25:19+00:00"));
    let values: Vec<_> =
        read.iter().map(|row| (row.at(0).value().text(), row.at(1).value().as_i64())).collect();
    assert_eq!(values.len(), 13);
    assert_eq!(values[0], ("2017-07", Some(773)));
    assert_eq!(values[1], ("2017-06", Some(922)));
    assert_eq!(values[12], ("2016-07", Some(80)));
    let links: serde_json::Value =
        serde_json::from_str(read[0].get(count).links().unwrap()).unwrap();
    assert_eq!(links[0]["label"], "Show All 773");
    assert_eq!(read[12].number(), 13);
    assert!(read[0].at(1).rendered().is_none() && read[0].at(1).html().is_none());
}

#[tokio::test]
async fn columns_come_in_order_and_cells_keep_what_looker_wrote() {
    let (rows, read) = whole(Layout::Json, DETAIL).await.unwrap();
    let columns = rows.columns();
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["u.email", "o.count", "twice", "new one"]);
    assert_eq!(columns.pivots()[0].name, "o.status");
    let email = columns.with_tag("EMAIL").next().unwrap();
    assert_eq!((email.index, email.view.as_deref()), (0, Some("u")));
    assert!(columns.with_tag("user_id").next().is_none(), "a filter is no column");

    let cell = read[0].get(email);
    assert_eq!(cell.value(), CellValue::Text("a@é😀.example"));
    assert_eq!(cell.rendered(), Some(r#""A" \ /"#));
    assert_eq!(cell.html().as_deref(), Some("<b>A</b>"));
    assert_eq!(cell.links(), Some(r#"[{"label":"}]","url":"\/x?a=1"}]"#));
    let count = read[0].by_name("o.count").unwrap();
    let pivots: Vec<_> = count.pivots().map(|(key, cell)| (key, cell.value())).collect();
    let total = ("$$$_row_total_$$$", CellValue::Number("3.10"));
    let done = ("done", CellValue::Number("9007199254740993"));
    assert_eq!(pivots, [done, ("open", CellValue::Null), total]);
    assert!(count.is_pivoted() && !cell.is_pivoted());
    assert_eq!(read[0].at(2).value(), CellValue::Bool(true));

    assert!(read[1].get(email).is_null() && read[1].at(2).is_null());
    assert_eq!(read[1].at(3).value(), CellValue::Json(r#"[1,{"a":"]"}]"#));
    assert_eq!(read[2].get(email).value(), CellValue::Text(""));
    assert_eq!(read[2].get(email).display(), "");
    assert_eq!(read[2].at(2).value(), CellValue::Bool(false));
    assert_eq!(read.len(), 4);
    assert!(read[3].iter().all(|(_, cell)| cell.is_null()));
    assert_eq!(
        serde_json::to_string(&read[0]).unwrap(),
        r#"{"u.email":"a@é😀.example","o.count":{"done":9007199254740993,"open":null,"$$$_row_total_$$$":3.10},"twice":true}"#
    );
}

#[tokio::test]
async fn chunks_may_be_cut_anywhere() {
    same_at_every_split(Layout::Json, DETAIL.as_bytes()).await;
    same_at_every_split(Layout::Json, late_fields().as_bytes()).await;
    let string = serde_json::to_string(DETAIL).unwrap();
    same_at_every_split(Layout::Json, string.as_bytes()).await;
    same_at_every_split(Layout::Json, b"\xEF\xBB\xBF [{\"a\":1}, {\"b\":[ 2 ]}] ").await;
}

/// [`DETAIL`] with its `fields` after its `data`.
fn late_fields() -> String {
    let (start, end) = (DETAIL.find("\"fields\"").unwrap(), DETAIL.find("\"data\"").unwrap());
    let fields = DETAIL[start..end].trim_end().trim_end_matches(',');
    let rest = format!("{}{}", &DETAIL[..start], &DETAIL[end..]);
    let close = rest.rfind('}').unwrap();
    format!("{},{fields}}}", &rest[..close])
}

#[tokio::test]
async fn fields_after_data_describe_the_columns_all_the_same() {
    let expected = contents(&whole(Layout::Json, DETAIL).await.unwrap());
    assert_eq!(contents(&whole(Layout::Json, late_fields()).await.unwrap()), expected);
    let string = serde_json::to_string(&late_fields()).unwrap();
    assert_eq!(contents(&whole(Layout::Json, string).await.unwrap()), expected);
}

#[tokio::test]
async fn a_document_that_ends_early_is_never_a_result() {
    let rows = r#"[{"a":"x\n","b":1.5e3},{"a":null,"b":true}]"#;
    let inline = format!(r#"{{"data":{},"n":1}}"#, serde_json::to_string(rows).unwrap());
    let string = serde_json::to_string(rows).unwrap();
    for document in [DETAIL.trim_end(), &late_fields(), rows, &inline, &string] {
        whole(Layout::Json, document).await.unwrap();
        for at in 0..document.len() {
            let message = refusal(Layout::Json, &document.as_bytes()[..at]).await;
            assert!(message.contains("cut short"), "cut at {at}: {message}");
        }
    }
    assert!(refusal(Layout::Json, r#"[{"a":1},{"a":2},{"#).await.contains("after 2 rows"));
}

#[tokio::test]
async fn every_shape_of_inline_json_gives_the_same_rows() {
    let rows = r#"[{"a":"q\"","n":1},{"a":null,"n":2}]"#;
    let string = serde_json::to_string(rows).unwrap();
    let expected = [("q\"", "1"), ("", "2")];
    for document in [
        rows.to_owned(),
        string.clone(),
        format!(r#"{{"data":{rows}}}"#),
        format!(r#"{{"x":1,"data":{string},"y":"z"}}"#),
        serde_json::to_string(&format!(r#"{{"data":{rows}}}"#)).unwrap(),
    ] {
        let (rows, read) = whole(Layout::Json, &document).await.unwrap();
        assert_eq!(rows.columns().len(), 2, "{document}");
        let values: Vec<_> =
            read.iter().map(|row| (row.at(0).value().text(), row.at(1).value().text())).collect();
        assert_eq!(values, expected, "{document}");
    }
}

#[tokio::test]
async fn malformed_documents_are_refused_with_place_and_cause() {
    for (document, cause) in [
        (r#"[{"a":1}] x"#, "at byte 10: text after the end"),
        (r#"[{"a":1},]"#, "at byte 9: expected a row"),
        (r#"[{"a":1} {"a":2}]"#, "at byte 9: expected ',' or ']'"),
        (r#"[{"a":1,}]"#, "at byte 8: expected a member's name"),
        (r#"[{"a" 1}]"#, "at byte 6: expected ':'"),
        (r#"[{"a":1 "b":2}]"#, "at byte 8: expected ',' or '}'"),
        (r#"[{"a":01}]"#, "at byte 7: a number has a leading zero"),
        (r#"[{"a":1.}]"#, "at byte 8: a number is not complete"),
        (r#"[{"a":nul}]"#, "at byte 9: expected true, false or null"),
        (r#"[{"a":[1}]"#, "at byte 8: expected ',' or ']'"),
        ("[{\"a\":\"\n\"}]", "at byte 7: a control character"),
        (r#"[{"a":"\x"}]"#, "at byte 8: an escape"),
        (r#"[{"a":"\ud83d"}]"#, "half of a surrogate pair"),
        (r#"[{"a":"\ude00\ude00"}]"#, "half of a surrogate pair"),
        (r#"[{"a":"\ud83d\ud83d"}]"#, "half of a surrogate pair"),
        (r#"[1]"#, "at byte 1: expected a row"),
        ("7", "at byte 0: expected rows"),
        ("<html>", "at byte 0: expected rows"),
        (r#"{"fields":{},"data":{"a":1}}"#, "at byte 20: expected `data` to hold an array"),
        (r#"{"fields":{},"data":[],"data":[]}"#, "`data` stands there twice"),
        (r#"{"fields":{},"fields":{},"data":[]}"#, "`fields` stands there twice"),
        (r#"{"fields":{},"data":[]}}"#, "at byte 23: text after the end"),
        (r#"{"x":[1,{"y":}],"data":[]}"#, "at byte 13: expected a value"),
    ] {
        let message = refusal(Layout::Json, document).await;
        assert!(message.contains(cause), "{document}: {message}");
    }
    assert!(refusal(Layout::Json, b"[{\"a\":\"\xff\"}]").await.contains("not UTF-8"));
    let deep = format!("[{{\"a\":{}{}}}]", "[".repeat(127), "]".repeat(127));
    assert!(refusal(Layout::Json, deep).await.contains("nested more than 127 deep"));
    let shallow = format!("[{{\"a\":{}{}}}]", "[".repeat(126), "]".repeat(126));
    assert_eq!(whole(Layout::Json, shallow).await.unwrap().1.len(), 1);
    let bottomless = "[".repeat(1_000_000);
    assert!(refusal(Layout::Json, format!(r#"{{"x":{bottomless}"#)).await.contains("nested"));
}

#[tokio::test]
async fn what_looker_says_in_place_of_rows_is_quoted() {
    for document in [
        r#"{"errors":[{"message":"No such view","message_details":"orders"}]}"#,
        r#"{"fields":{},"data":[],"errors":[{"message":"No such view orders"}]}"#,
        r#"{"message":"No such view orders","documentation_url":null}"#,
        r#"{"id":"x","error":"No such view orders"}"#,
        r#"[{"looker_error":"No such view orders"}]"#,
        r#"[{"a":1},{"looker_error":"No such view orders"}]"#,
        r#"{"fields":{},"data":[{"looker_error":{"value":"No such view orders"}}]}"#,
    ] {
        let message = refusal(Layout::Json, document).await;
        assert!(message.ends_with("It says: No such view orders"), "{document}: {message}");
    }
    let warned = r#"{"fields":{},"data":[],"errors":[{"message":"Note: This query contains x"}]}"#;
    assert!(whole(Layout::Json, warned).await.unwrap().1.is_empty());
    for document in [r#"{"fields":{}}"#, r#"{"data":null}"#, "{}"] {
        assert!(refusal(Layout::Json, document).await.contains("without `data`"), "{document}");
    }
    // A column may be named so.
    let named = whole(Layout::Json, r#"[{"looker_error":"x","a":1}]"#).await.unwrap();
    assert_eq!(named.1.len(), 1);
}

#[tokio::test]
async fn no_member_of_a_row_is_lost() {
    // Two fields of one label in json_label, and members in another order, or new.
    let document = r#"[{"Count":1,"Count":2},{"Count":3,"New":4,"Count":5},{"New":6,"Count":7}]"#;
    let (rows, read) = whole(Layout::Json, document).await.unwrap();
    let names: Vec<_> = rows.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["Count", "Count", "New"]);
    let values: Vec<Vec<_>> =
        read.iter().map(|row| (0..3).map(|index| row.at(index).value().text()).collect()).collect();
    assert_eq!(values, [["1", "2", ""], ["3", "5", "4"], ["7", "", "6"]]);
    assert_eq!(read[0].columns().len(), 2, "a row knows the columns of its time");

    let document = r#"[{"A":1,"B":2},{"B":3},{"B":4,"B":5}]"#;
    let (_, read) = whole(Layout::Json, document).await.unwrap();
    let values: Vec<_> = (0..3).map(|index| read[2].at(index).value().text()).collect();
    assert_eq!(values, ["", "4", "5"]);
}

#[tokio::test]
async fn a_row_brings_a_described_field_that_had_no_column() {
    let document = r#"{"fields":{"dimensions":[],"filters":[{"name":"f.x","label":"X",
        "tags":["t"]}]},"data":[{"f.x":{"value":1}}]}"#;
    let (rows, read) = whole(Layout::Json, document).await.unwrap();
    let column = rows.columns().with_tag("t").next().unwrap();
    assert_eq!((column.label.as_str(), read[0].get(column).value().text()), ("X", "1"));
}

#[tokio::test]
async fn a_pivot_key_may_be_named_value() {
    let data = r#""data":[{"a":{"value":{"value":1},"x":{"value":2}}}]"#;
    let document = format!(r#"{{"fields":{{"pivots":[{{"name":"p"}}]}},{data}}}"#);
    let (_, read) = whole(Layout::Json, document).await.unwrap();
    let pivots: Vec<_> =
        read[0].at(0).pivots().map(|(key, cell)| (key, cell.value().text())).collect();
    assert_eq!(pivots, [("value", "1"), ("x", "2")]);
    // Without pivots the object is the value.
    let (_, read) = whole(Layout::Json, format!(r#"{{"fields":{{}},{data}}}"#)).await.unwrap();
    assert_eq!(read[0].at(0).value(), CellValue::Json(r#"{"value":1}"#));
}

#[tokio::test]
async fn an_empty_result_has_no_rows() {
    for document in ["[]", r#"{"fields":{},"data":[]}"#, r#"{"data":[ ],"x":1}"#, r#""[]""#] {
        let (rows, read) = whole(Layout::Json, document).await.unwrap();
        assert!(read.is_empty() && rows.columns().is_empty(), "{document}");
    }
}

#[tokio::test]
async fn a_row_may_be_long_but_not_endless() {
    let document = |length: usize| format!(r#"[{{"a":"{}"}}]"#, "x".repeat(length));
    let (_, read) = whole(Layout::Json, document(16 * 1024 * 1024 - 8)).await.unwrap();
    assert_eq!(read[0].at(0).value().text().len(), 16 * 1024 * 1024 - 8);
    assert!(refusal(Layout::Json, document(16 * 1024 * 1024 - 7)).await.contains("16 MiB"));
}

#[tokio::test]
async fn nothing_comes_after_an_error() {
    let mut rows = open(Layout::Json, vec![r#"[{"a":1},{"a":x},{"a":3}]"#.into()]).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    assert!(rows.next().await.unwrap().is_err());
    assert!(rows.next().await.unwrap().is_err(), "the end would look like success");
}
