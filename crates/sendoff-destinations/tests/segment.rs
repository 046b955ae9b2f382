//! What Segment gets for a row, member by member: ids, traits, times, keys, and what is refused.
//!
//! That rows arrive each once and that faults are told truthfully is the behaviour suite's part.

mod stage;

use std::sync::Mutex;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use sendoff::testing::{Fake, Object};
use sendoff::{ByteStream, Values};
use serde_json::{Value, json};

use stage::{Stage, call, query};

/// A workspace that keeps what it gets and refuses batches that hold the word `poison`.
#[derive(Default)]
struct Workspace(Mutex<Vec<(String, Value)>>);

impl Fake for Workspace {
    fn origins(&self) -> Vec<String> {
        ["https://api.segment.io", "https://events.eu1.segmentapis.com"].map(str::to_owned).into()
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        Values::default()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let (head, mut stream) = request.into_parts();
            let mut body = Vec::new();
            while let Some(chunk) = stream.next().await {
                body.extend_from_slice(&chunk.unwrap());
            }
            let text = String::from_utf8(body).unwrap();
            if text.contains("poison") {
                let refusal = r#"{"success":false,"message":"malformed event"}"#;
                return Response::builder().status(400).body(refusal.into()).unwrap();
            }
            let host = head.headers["host"].to_str().unwrap().to_owned();
            self.0.lock().unwrap().push((host, serde_json::from_str(&text).unwrap()));
            Response::new(r#"{"success":true}"#.into())
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        ("text/plain", String::new())
    }

    fn commits(&self, _: &Method, _: &str) -> bool {
        true
    }
}

/// A delivery to one of the actions.
struct Sending {
    action: &'static str,
    settings: Value,
    form: Value,
    query: Value,
    data: String,
    webhook_id: Option<&'static str>,
}

fn sending(action: &'static str, data: impl ToString) -> Sending {
    Sending {
        action,
        settings: json!({ "segment_write_key": "a write key of some length" }),
        form: json!({ "event": "Ordered" }),
        query: json!({}),
        data: data.to_string(),
        webhook_id: Some("0123456789abcdef"),
    }
}

impl Sending {
    fn like_before(mut self) -> Self {
        self.settings["as_before"] = "yes".into();
        self
    }

    /// Looker's part of the answer, and the bodies that Segment took.
    async fn send(&self) -> (Value, Vec<(String, Value)>) {
        let stage = Stage::set(Workspace::default()).await;
        let mut body = query(self.settings.clone(), self.form.clone(), &self.data);
        body["scheduled_plan"]["query"] = self.query.clone();
        let path = format!("/actions/{}/execute", self.action);
        let answer = call(&stage.hub, &path, self.webhook_id, body).await["looker"].take();
        (answer, std::mem::take(&mut *stage.vendor.0.lock().unwrap()))
    }

    /// The calls of a delivery that succeeds, without what differs from run to run.
    async fn calls(&self) -> Vec<Value> {
        let (answer, bodies) = self.send().await;
        assert_eq!(answer["success"], true, "{answer}");
        calls(bodies)
    }
}

fn calls(bodies: Vec<(String, Value)>) -> Vec<Value> {
    let lists = bodies.into_iter().map(|(_, mut body)| body["batch"].take());
    let calls = lists.flat_map(|list| list.as_array().unwrap().clone());
    calls
        .map(|mut call| {
            let members = call.as_object_mut().unwrap();
            let id = members.remove("messageId").unwrap();
            assert!(id.as_str().unwrap().len() > 40, "{id}");
            call
        })
        .collect()
}

fn field(name: &str, tags: &[&str]) -> Value {
    json!({ "name": name, "label": name, "tags": tags })
}

/// A document with `ran_at` before its rows.
fn document(dimensions: &[Value], measures: &[Value], rows: Value) -> String {
    let fields = json!({ "dimensions": dimensions, "measures": measures,
                         "pivots": [{ "name": "o.month" }] });
    format!(r#"{{"ran_at":"2026-11-25T07:00:00+00:00","fields":{fields},"data":{rows}}}"#)
}

fn cells(row: &[(&str, Value)]) -> Value {
    row.iter().map(|(name, value)| ((*name).to_owned(), json!({ "value": value }))).collect()
}

#[tokio::test]
async fn a_row_is_an_identify_call_with_every_value_as_it_is() {
    let dimensions = [
        field("u.id", &["user_id"]),
        field("u.mail", &["email"]),
        field("u.paid", &[]),
        field("u.note", &[]),
        field("u.big", &[]),
        field("u.secret", &[]),
    ];
    let mut row = cells(&[
        ("u.id", json!(9_007_199_254_740_993_u64)),
        ("u.mail", "ana@example.com".into()),
        ("u.paid", false.into()),
        ("u.note", "".into()),
        ("u.big", json!(9_007_199_254_740_993_u64)),
        ("u.secret", "hidden".into()),
    ]);
    row["o.count"] = json!({ "a": { "value": 1 }, "b": { "value": null } });
    let data = document(&dimensions, &[field("o.count", &[])], json!([row]));
    let mut sending = sending("segment_event", data);
    sending.query = json!({ "vis_config": { "hidden_fields": ["u.secret"] } });
    let want = json!({
        "type": "identify",
        "userId": "9007199254740993",
        "traits": {
            "u.paid": false, "u.note": "", "u.big": 9_007_199_254_740_993_u64,
            "o.count": [{ "a": 1 }, { "b": null }], "email": "ana@example.com",
        },
        "timestamp": "2026-11-25T07:00:00.000Z",
    });
    assert_eq!(sending.calls().await, std::slice::from_ref(&want));

    let mut before = want;
    before["traits"]["u.paid"] = json!([]);
    before["traits"]["u.note"] = json!([]);
    assert_eq!(sending.like_before().calls().await, [before]);
}

#[tokio::test]
async fn the_region_is_a_host_and_the_app_goes_with_the_batch() {
    let data =
        document(&[field("u.id", &["user_id"])], &[], json!([cells(&[("u.id", "u1".into())])]));
    for (region, host) in [("us", "api.segment.io"), ("eu", "events.eu1.segmentapis.com")] {
        let mut sending = sending("segment_event", &data);
        sending.settings["region"] = region.into();
        let (_, bodies) = sending.send().await;
        assert_eq!(bodies[0].0, host);
        assert_eq!(bodies[0].1["context"]["app"]["name"], "looker/actions");
    }
}

/// The ids of each call: user, anonymous, group.
fn ids(calls: &[Value]) -> Vec<[Option<String>; 3]> {
    let id = |call: &Value, name: &str| call.get(name).map(|id| id.as_str().unwrap().to_owned());
    let all = |call| ["userId", "anonymousId", "groupId"].map(|name| id(call, name));
    calls.iter().map(all).collect()
}

fn some(id: &str) -> Option<String> {
    Some(id.to_owned())
}

#[tokio::test]
async fn ids_come_from_their_tags_and_an_address_gives_a_stable_one() {
    let dimensions = [
        field("u.anon", &["segment_anonymous_id"]),
        field("u.id", &["user_id"]),
        field("u.mail", &["email"]),
    ];
    let row = |anon: Value, id: Value, mail: Value| {
        cells(&[("u.anon", anon), ("u.id", id), ("u.mail", mail)])
    };
    let rows = json!([
        row("a1".into(), "u1".into(), Value::Null),
        row("a2".into(), Value::Null, Value::Null),
        row(Value::Null, Value::Null, "Ana@Example.com".into()),
        row(Value::Null, "".into(), "ana@example.com".into()),
    ]);
    let data = document(&dimensions, &[], rows);
    // python3 -c 'import uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, "mailto:ana@example.com"))'
    let ana = some("d0cb4bdc-6419-5baa-ba08-a5690bdc5521");
    let found = ids(&sending("segment_event", &data).calls().await);
    assert_eq!(found[..2], [[some("u1"), some("a1"), None], [None, some("a2"), None]]);
    assert_eq!(found[2..], [[None, ana.clone(), None], [None, ana, None]]);

    let before = ids(&sending("segment_event", &data).like_before().calls().await);
    // The anonymous id stands first and is taken for the user's, as the reference hub does.
    assert_eq!(before[0], [some("a1"), some("a1"), None]);
    assert_eq!(before[1], [some("a2"), some("a2"), None]);
    assert!(before[2][1].is_some() && before[2] != before[3], "{before:?}");
    let again = ids(&sending("segment_event", &data).like_before().calls().await);
    assert_eq!(before, again, "the same delivery makes the same users");
}

#[tokio::test]
async fn a_row_without_any_id_is_refused_and_the_others_go() {
    let dimensions = [field("u.id", &["user_id"]), field("u.city", &[])];
    let rows = json!([
        cells(&[("u.id", "u1".into())]),
        cells(&[("u.id", Value::Null)]),
        cells(&[("u.id", "poison".into())]),
        cells(&[("u.id", "u4".into()), ("u.city", "x".repeat(33_000).into())]),
        cells(&[("u.id", "u5".into())]),
    ]);
    let (answer, bodies) = sending("segment_event", document(&dimensions, &[], rows)).send().await;
    assert_eq!(answer["success"], false);
    let message = answer["message"].as_str().unwrap();
    let want = "Segment Identify: 2 of 5 rows accepted; 3 refused; first: row 2, it has no user \
                id, no anonymous id and no email address; row 3, Segment Identify answered 400 Bad \
                Request: ";
    assert!(message.starts_with(want), "{message}");
    assert!(message.contains("malformed event"), "{message}");
    assert!(message.contains("row 4, it has 32."), "{message}");
    assert_eq!(ids(&calls(bodies)), [[some("u1"), None, None], [some("u5"), None, None]]);
}

#[tokio::test]
async fn a_tracked_event_may_have_its_name_and_time_from_the_row() {
    let dimensions = [
        field("u.id", &["user_id"]),
        field("o.name", &["segment_event_name"]),
        field("o.at", &["segment_timestamp"]),
        field("o.total", &[]),
    ];
    let row = |name: Value, at: Value| {
        cells(&[("u.id", "u1".into()), ("o.name", name), ("o.at", at), ("o.total", json!(1.5))])
    };
    let rows = json!([
        row("Paid".into(), "2026-11-20 08:00:00".into()),
        row(Value::Null, Value::Null),
        row("Paid".into(), "soon".into()),
    ]);
    let mut sending = sending("segment_track", document(&dimensions, &[], rows));
    sending.query = json!({ "query_timezone": "Europe/Berlin" });
    sending.form["if_refused"] = "succeed".into();
    let (answer, bodies) = sending.send().await;
    assert_eq!(answer["success"], true, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("row 3, \"soon\" is no date or time"), "{message}");
    let call = |event: &str, time: &str| {
        json!({ "type": "track", "userId": "u1", "event": event,
                "properties": { "o.total": 1.5 }, "timestamp": time })
    };
    let want =
        [call("Paid", "2026-11-20T07:00:00.000Z"), call("Ordered", "2026-11-25T07:00:00.000Z")];
    assert_eq!(calls(bodies), want);
}

#[tokio::test]
async fn groups_are_sent_once_and_need_no_user() {
    let dimensions =
        [field("g.id", &["segment_group_id"]), field("u.id", &["user_id"]), field("g.plan", &[])];
    let row = |group: Value, user: Value| {
        cells(&[("g.id", group), ("u.id", user), ("g.plan", "pro".into())])
    };
    let rows = json!([
        row("g1".into(), "u1".into()),
        row("g1".into(), "u1".into()),
        row("g1".into(), "u2".into()),
        row(json!(0), Value::Null),
        row(Value::Null, "u3".into()),
    ]);
    let (answer, bodies) = sending("segment_group", document(&dimensions, &[], rows)).send().await;
    assert_eq!(answer["success"], true, "{answer}");
    let message = answer["message"].as_str().unwrap();
    let want = "Delivered 3 rows to Segment Group. 2 rows were skipped; first: row 2, the same \
                call came before in this delivery; row 5, it has no group id.";
    assert_eq!(message, want);
    let calls = calls(bodies);
    assert_eq!(calls[0]["traits"], json!({ "g.plan": "pro" }));
    let ids = ids(&calls);
    assert_eq!(ids[0], [some("u1"), None, some("g1")]);
    assert_eq!(ids[1], [some("u2"), None, some("g1")]);
    assert_eq!((&ids[2][0], &ids[2][2]), (&None, &some("0")));
    assert!(ids[2][1].is_some());

    let lonely = document(&[field("u.id", &["user_id"])], &[], json!([]));
    let (answer, _) = sending("segment_group", lonely).send().await;
    assert_eq!(answer["message"], "Query requires a field tagged segment_group_id.");
}

/// The `messageId`s of a delivery, by the user.
async fn message_ids(sending: &Sending) -> Vec<(String, String)> {
    let (_, bodies) = sending.send().await;
    let lists = bodies.iter().flat_map(|(_, body)| body["batch"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lists.map(|call| (text(&call["userId"]), text(&call["messageId"]))).collect()
}

#[tokio::test]
async fn a_repeated_delivery_has_the_same_ids_and_other_rows_have_others() {
    let data = |users: [&str; 3]| {
        let rows = users.map(|user| cells(&[("u.id", user.into())]));
        document(&[field("u.id", &["user_id"])], &[], json!(rows))
    };
    let mut sending = sending("segment_event", data(["u1", "u2", "u2"]));
    let first = message_ids(&sending).await;
    // Equal rows are two events.
    assert_ne!(first[1].1, first[2].1);
    assert_eq!(first, message_ids(&sending).await);

    // The query gave its rows in another order: nothing may be dropped that is new in its place.
    sending.data = data(["u2", "u1", "u2"]);
    let other = message_ids(&sending).await;
    assert_eq!(first[2], other[2]);
    assert!(first[..2].iter().all(|(_, id)| other[..2].iter().all(|(_, new)| new != id)));

    sending.data = data(["u1", "u2", "u2"]);
    sending.webhook_id = Some("another");
    assert!(message_ids(&sending).await.iter().all(|one| !first.contains(one)));
    sending.webhook_id = None;
    assert_ne!(message_ids(&sending).await, message_ids(&sending).await);
}

#[tokio::test]
async fn a_query_without_ids_and_an_event_without_a_name_are_told_before_anything_is_sent() {
    let data = document(&[field("u.city", &[])], &[], json!([cells(&[("u.city", "Ulm".into())])]));
    let (answer, bodies) = sending("segment_event", &data).send().await;
    let want = "Query requires a field tagged email or user_id or segment_anonymous_id.";
    assert_eq!((answer["message"].as_str().unwrap(), bodies.len()), (want, 0));
    let mut nameless = sending("segment_track", &data);
    nameless.form["event"] = " ".into();
    let (answer, _) = nameless.send().await;
    assert!(answer["validation_errors"]["event"].is_string(), "{answer}");
}

#[tokio::test]
async fn an_id_of_blanks_is_no_id() {
    let fields =
        json!({ "dimensions": [field("u.id", &["user_id"]), field("u.mail", &["email"])] });
    let row =
        |id: &str, mail: &str| json!({ "u.id": { "value": id }, "u.mail": { "value": mail } });
    let data = json!({ "fields": fields, "data": [row("  ", "a@x.example"), row(" ", "\t")] });
    let (answer, bodies) = sending("segment_event", data).send().await;
    let said = answer["message"].as_str().unwrap();
    assert!(
        said.contains("1 of 2 rows accepted; 1 refused; first: row 2, it has no user"),
        "{said}"
    );
    let calls = calls(bodies);
    assert_eq!(calls[0]["userId"], Value::Null);
    assert!(calls[0]["anonymousId"].is_string());
}
