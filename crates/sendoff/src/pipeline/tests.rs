//! The pipeline against a simple model of it, and one by one what its promises are.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Batch, BatchLimits, Encoded, Pipeline, Policy, Reply, RowKeys, Tries};
use crate::egress::{Egress, EgressConfig, Http, Rate, Scope};
use crate::rows::Layout;
use crate::spool::{SpoolLimits, SpoolRoom};
use crate::{Arrival, ByteStream, Class, Error, Reason, Receipt, Result, Row, Rows, Stop};

fn door(webhook_id: Option<&str>, stop: &Stop) -> Http {
    let egress = Egress::new(EgressConfig::new("a secret".into())).unwrap();
    let mut scope = Scope::new("Bell");
    scope.webhook_id = webhook_id.map(str::to_owned);
    scope.stop = stop.clone();
    egress.http(scope)
}

fn pipeline(limits: BatchLimits) -> Pipeline {
    Pipeline::through(&door(Some("0f"), &Stop::new()), limits).json_list()
}

async fn rows(document: impl ToString) -> Rows {
    let document = Bytes::from(document.to_string());
    let room = SpoolRoom::new(SpoolLimits::default()).unwrap();
    let stream = ByteStream::new(stream::iter([Ok(document)]));
    Rows::open(Layout::Json, stream, &room).await.unwrap()
}

/// `n` rows of `{"n": 1}` and so on.
async fn numbered(n: u64) -> Rows {
    rows(Value::from_iter((1..=n).map(|n| json!({ "n": n })))).await
}

fn encode(row: &Row, out: &mut Vec<u8>) -> Result<Encoded> {
    row.at(0).write_json(out);
    Ok(Encoded::Row)
}

/// The numbers in a body.
fn numbers(batch: &Batch) -> Vec<u64> {
    serde_json::from_slice(&batch.body()).unwrap()
}

fn sentence(outcome: &Result<Receipt>) -> String {
    match outcome {
        Ok(receipt) => receipt.sentence(),
        Err(error) => error.message().to_owned(),
    }
}

#[tokio::test]
async fn no_rows_are_an_outcome_and_no_request() {
    let sent = pipeline(BatchLimits::new(10, 1_000))
        .run(numbered(0).await, encode, |_| async { unreachable!() })
        .await;
    assert_eq!(sentence(&sent), "The result has no rows, so that nothing was sent to Bell.");
}

#[tokio::test]
async fn bodies_end_at_the_rows_and_at_the_bytes() {
    for (limits, want) in [
        (BatchLimits::new(3, 1_000), vec![3, 3, 3, 2]),
        (BatchLimits::new(1, 1_000), vec![1; 11]),
        (BatchLimits::new(11, 1_000), vec![11]),
        (BatchLimits::new(12, 1_000), vec![11]),
        // `[1,2,3,4]` has 9 bytes, `[9,10,11]` too.
        (BatchLimits::new(100, 9), vec![4, 4, 3]),
        (BatchLimits::new(100, 8), vec![3, 3, 3, 2]),
        (BatchLimits::new(100, 4), vec![1; 11]),
    ] {
        let bodies = Mutex::new(Vec::new());
        let send = |batch: Batch| {
            bodies.lock().unwrap().push(numbers(&batch));
            async { Ok(Reply::accepted()) }
        };
        let sent = pipeline(limits).run(numbered(11).await, encode, send).await;
        assert!(sentence(&sent).starts_with("Delivered 11 rows to Bell."), "{sent:?}");
        let bodies = bodies.into_inner().unwrap();
        assert_eq!(bodies.concat(), (1..=11).collect::<Vec<_>>(), "in order, each once");
        assert_eq!(bodies.iter().map(Vec::len).collect::<Vec<_>>(), want, "{limits:?}");
    }
}

#[tokio::test]
async fn a_row_that_no_body_can_hold_is_refused_and_the_others_go() {
    let data = json!([{ "n": 1 }, { "n": "x".repeat(99) }, { "n": 3 }]);
    let limits = BatchLimits::new(10, 1_000).row_bytes(100);
    let send = async |batch: Batch| {
        assert_eq!(numbers(&batch), [1, 3]);
        Ok(Reply::accepted())
    };
    let policy = Policy::go_on(5).succeed();
    let sent = pipeline(limits).policy(policy).run(rows(data).await, encode, send).await;
    let want = "Bell: 2 of 3 rows accepted; 1 refused; first: row 2, it has 101 bytes, and Bell \
                takes at most 100 bytes.";
    assert_eq!(sentence(&sent), want);
}

/// What becomes of a row in the model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Taken,
    Skipped,
    /// By the destination.
    Refused,
    /// By the vendor, on its own.
    RefusedThere,
    /// By the vendor, with all that stands in the same body.
    Poison,
}

fn fates() -> impl Strategy<Value = Vec<(Fate, usize)>> {
    let fate = prop_oneof![
        12 => Just(Fate::Taken),
        1 => Just(Fate::Skipped),
        1 => Just(Fate::Refused),
        1 => Just(Fate::RefusedThere),
        1 => Just(Fate::Poison),
    ];
    vec((fate, 0_usize..30), 0..60)
}

/// What a vendor of the model saw.
#[derive(Default)]
struct Ledger {
    arrived: Mutex<HashMap<u64, u64>>,
    in_order: Mutex<Vec<u64>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    keys: Mutex<HashMap<String, Vec<u64>>>,
}

impl Ledger {
    async fn take(&self, batch: Batch, limits: (usize, usize), fates: &[(Fate, usize)]) -> Reply {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        assert!(batch.len() <= limits.0 && batch.body().len() <= limits.1);
        let list: Vec<Value> = serde_json::from_slice(&batch.body()).unwrap();
        assert_eq!(list.len(), batch.len());
        let numbers: Vec<u64> = list.iter().map(|row| row["n"].as_u64().unwrap()).collect();
        assert!(batch.rows().map(|row| row.number).eq(numbers.iter().copied()));
        assert_eq!(self.keys.lock().unwrap().insert(batch.key(), numbers.clone()), None);
        sleep(Duration::from_millis(7 * batch.first() % 40)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let fate = |number: u64| fates[number as usize - 1].0;
        if numbers.iter().any(|number| fate(*number) == Fate::Poison) {
            return Reply::refused(Error::vendor("Bell finds poison in it.").status(422));
        }
        let mut reply = Reply::accepted();
        for (index, number) in numbers.iter().enumerate() {
            if fate(*number) == Fate::RefusedThere {
                reply = reply.refuse(index, "no");
                continue;
            }
            *self.arrived.lock().unwrap().entry(*number).or_default() += 1;
            self.in_order.lock().unwrap().push(*number);
        }
        reply
    }
}

proptest! {
    #[test]
    fn every_row_has_exactly_the_fate_that_the_model_says(
        fates in fates(), most in 1_usize..9, bytes in 60_usize..200, parallel in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let data = fates.iter().zip(1..).map(|((_, width), n)| {
            json!({ "n": n, "w": "x".repeat(*width) })
        });
        let data = Value::from_iter(data);
        let ledger = Ledger::default();
        let limits = BatchLimits::new(most, bytes).parallel(parallel);
        let sent = runtime.block_on(async {
            let encode = |row: &Row, out: &mut Vec<u8>| {
                serde_json::to_writer(&mut *out, row).unwrap();
                Ok(match fates[row.number() as usize - 1].0 {
                    Fate::Skipped => Encoded::skipped("need not"),
                    Fate::Refused => Encoded::refused("cannot"),
                    _ => Encoded::Row,
                })
            };
            let send = async |batch| Ok(ledger.take(batch, (most, bytes), &fates).await);
            pipeline(limits)
                .bisecting()
                .policy(Policy::go_on(1_000).succeed())
                .run(rows(data).await, encode, send)
                .await
        });
        let of = |wanted: &[Fate]| -> Vec<u64> {
            let all = fates.iter().zip(1_u64..);
            all.filter(|((fate, _), _)| wanted.contains(fate)).map(|(_, n)| n).collect()
        };
        let taken = of(&[Fate::Taken]);
        let arrived = ledger.arrived.into_inner().unwrap();
        let mut once: Vec<u64> = arrived.keys().copied().collect();
        once.sort_unstable();
        prop_assert_eq!(&once, &taken);
        prop_assert!(arrived.values().all(|times| *times == 1));
        prop_assert!(ledger.most_at_once.into_inner() <= parallel);
        if parallel == 1 {
            prop_assert_eq!(ledger.in_order.into_inner().unwrap(), taken.clone());
        }
        let (refused, skipped) =
            (of(&[Fate::Refused, Fate::RefusedThere, Fate::Poison]).len(), of(&[Fate::Skipped]));
        let said = sentence(&sent);
        let (all, taken) = (fates.len(), taken.len());
        let rows = if all == 1 { "row" } else { "rows" };
        let want = match (all, refused) {
            (0, _) => "The result has no rows".to_owned(),
            (_, 0) => format!("Delivered {taken} "),
            _ => format!("Bell: {taken} of {all} {rows} accepted; {refused} refused; first: row "),
        };
        prop_assert!(said.starts_with(&want), "{} is not {}", said, want);
        prop_assert_eq!(said.contains("skipped"), !skipped.is_empty(), "{}", said);
    }
}

/// A value as Looker writes it: null, false, the empty text and numbers beyond what a float holds
/// among them.
fn written() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "null",
            "false",
            "true",
            r#""""#,
            "0",
            "9007199254740993",
            "0.10"
        ])
        .prop_map(str::to_owned),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,20})?",
        "[a-zü😀\"\\\\\n\u{1}0-9 -]{0,9}".prop_map(|text| json!(text).to_string()),
    ]
}

/// A plain cell, and one with up to three pivot keys; without any the row lacks the cell.
type TwoCells = (String, [Option<String>; 3]);

fn two_cells() -> impl Strategy<Value = TwoCells> {
    (written(), prop::array::uniform3(prop::option::of(written())))
}

/// The members of a pivoted cell, each value as `shown`.
fn pivots(cells: &[Option<String>; 3], shown: fn(&str) -> String) -> Option<String> {
    let members = ["x", "y z", "$$$_row_total_$$$"].iter().zip(cells);
    let members =
        members.filter_map(|(key, cell)| Some(format!(r#""{key}":{}"#, shown(cell.as_deref()?))));
    let members: Vec<_> = members.collect();
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

proptest! {
    /// From Looker's document to the vendor's body every value keeps what it is, to the letter.
    #[test]
    fn values_keep_what_they_are(cells in vec(two_cells(), 1..6)) {
        let row = |(plain, pivoted): &TwoCells| {
            let pivoted = pivots(pivoted, |value| format!(r#"{{"value":{value}}}"#));
            let pivoted = pivoted.map_or(String::new(), |cell| format!(r#","m":{cell}"#));
            format!(r#"{{"a":{{"value":{plain}}}{pivoted}}}"#)
        };
        let data: Vec<_> = cells.iter().map(row).collect();
        let data = format!(
            r#"{{"fields":{{"dimensions":[{{"name":"a"}}],"pivots":[{{"name":"p"}}],
                "measures":[{{"name":"m"}}]}},"data":[{}]}}"#,
            data.join(",")
        );
        let want = |(plain, pivoted): &TwoCells| {
            let pivoted = pivots(pivoted, str::to_owned);
            format!("[{plain},{}]", pivoted.unwrap_or("null".to_owned()))
        };
        let want: Vec<_> = cells.iter().map(want).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        prop_assert_eq!(runtime.block_on(body_of(&data)), format!("[{}]", want.join(",")));
    }
}

/// What the vendor gets for a document, each row as a list.
async fn body_of(data: &str) -> String {
    let encode = |row: &Row, out: &mut Vec<u8>| {
        out.push(b'[');
        for (n, (_, cell)) in row.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            cell.write_json(out);
        }
        out.push(b']');
        Ok(Encoded::Row)
    };
    let body = Mutex::new(Bytes::new());
    let send = |batch: Batch| {
        *body.lock().unwrap() = batch.body();
        async { Ok(Reply::accepted()) }
    };
    let limits = BatchLimits::new(9, 100_000);
    pipeline(limits).run(rows(data).await, encode, send).await.unwrap();
    String::from_utf8(body.into_inner().unwrap().into()).unwrap()
}

/// Sends 10 rows in batches of 2, of which batch `nth` fails with this.
async fn failing(
    nth: u64,
    fault: impl Fn() -> Error + Send + Sync,
    policy: Policy,
) -> (Result<Receipt>, u64) {
    let requests = AtomicU64::new(0);
    let send = async |_| match requests.fetch_add(1, Ordering::SeqCst) + 1 {
        n if n == nth => Reply::refusal(fault()),
        _ => Ok(Reply::accepted()),
    };
    let limits = BatchLimits::new(2, 1_000);
    let sent = pipeline(limits).policy(policy).run(numbered(10).await, encode, send).await;
    (sent, requests.into_inner())
}

#[tokio::test]
async fn a_failure_says_what_was_accepted_and_what_may_have_arrived() {
    let down = || Error::vendor("Bell is down.").status(503).retry_later();
    let (sent, requests) = failing(3, down, Policy::go_on(100)).await;
    let error = sent.unwrap_err();
    assert_eq!((error.message(), error.arrival()), ("Bell is down.", Arrival::Rows(4)));
    assert_eq!((error.http_status(), requests), (Some(503), 3));

    let lost = || Error::vendor("Bell fell silent.").may_have_arrived();
    let (sent, _) = failing(3, lost, Policy::go_on(100)).await;
    let error = sent.unwrap_err();
    assert_eq!(error.arrival(), Arrival::Maybe);
    let want = "Bell fell silent. 4 rows were accepted and cannot be taken back, and 2 more may \
                have arrived.";
    assert_eq!(error.message(), want);

    let (sent, _) = failing(1, lost, Policy::go_on(100)).await;
    assert_eq!(sent.unwrap_err().message(), "Bell fell silent. 2 rows may have arrived.");
}

#[tokio::test]
async fn the_policy_decides_over_refused_rows() {
    let bad = || Error::vendor("Bell answered 422: no such bell.").status(422);
    let (sent, requests) = failing(3, bad, Policy::stop()).await;
    let error = sent.unwrap_err();
    let want = "Bell: 4 of 6 rows accepted; 2 refused; first: row 5 and 1 more, Bell answered 422: \
                no such bell. Nothing was sent of the rows after these. What was accepted cannot be \
                taken back.";
    assert_eq!(error.message(), want);
    assert_eq!((error.http_status(), error.arrival()), (Some(422), Arrival::Rows(4)));
    assert_eq!(requests, 3);

    let (sent, requests) = failing(3, bad, Policy::go_on(2)).await;
    let error = sent.unwrap_err();
    assert!(error.message().starts_with("Bell: 8 of 10 rows accepted; 2 refused;"), "{error}");
    assert_eq!((error.class(), error.arrival(), requests), (Class::Vendor, Arrival::Rows(8), 5));

    let (sent, requests) = failing(3, bad, Policy::go_on(1)).await;
    assert!(sent.is_err());
    assert_eq!(requests, 3);

    let (sent, requests) = failing(3, bad, Policy::go_on(2).succeed()).await;
    assert!(sentence(&sent).starts_with("Bell: 8 of 10 rows accepted; 2 refused;"));
    assert_eq!((sent.is_ok(), requests), (true, 5));
}

#[tokio::test]
async fn a_message_gives_five_reasons_and_stays_short() {
    let encode = |row: &Row, _: &mut Vec<u8>| {
        Ok(Encoded::refused(format!("{} {}", row.number() % 9, "x".repeat(5_000))))
    };
    let sent = pipeline(BatchLimits::new(10, 1_000))
        .policy(Policy::go_on(20_000))
        .run(numbered(10_000).await, encode, |_| async { unreachable!() })
        .await;
    let said = sentence(&sent);
    let want = "Bell: 0 of 10,000 rows accepted; 10,000 refused; first: row 1 and 1,111 more, 1 x";
    assert!(said.starts_with(want), "{said}");
    assert_eq!(said.matches("row ").count(), 5);
    assert!(said.len() < 2_048, "{}", said.len());
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_does_not_answer_stops_the_reading() {
    let read = AtomicU64::new(0);
    let encode = |row: &Row, out: &mut Vec<u8>| {
        read.store(row.number(), Ordering::SeqCst);
        encode(row, out)
    };
    let limits = BatchLimits::new(10, 1_000).parallel(3);
    // The first goes alone; nobody answers the others.
    let send = async |batch: Batch| match batch.first() {
        1 => Ok(Reply::accepted()),
        _ => std::future::pending().await,
    };
    let run = pipeline(limits).run(numbered(1_000).await, encode, send);
    tokio::select! {
        _ = run => unreachable!("nobody answers"),
        () = sleep(Duration::from_secs(3_600)) => {}
    }
    // The answered one, three on their way and one that is ready.
    assert_eq!(read.into_inner(), 50);
}

/// A wrong key is refused once, and not by as many requests as may be on their way.
#[tokio::test(start_paused = true)]
async fn the_first_batch_goes_alone() {
    let sent = AtomicU64::new(0);
    let send = async |_: Batch| {
        sent.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(100)).await;
        Err(Error::settings("The key is wrong."))
    };
    let limits = BatchLimits::new(10, 1_000).parallel(4);
    pipeline(limits).run(numbered(100).await, encode, send).await.unwrap_err();
    assert_eq!(sent.into_inner(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_overlap_and_their_rate_is_kept() {
    let slow = |_| async {
        sleep(Duration::from_millis(100)).await;
        Ok(Reply::accepted())
    };
    let took = async |limits: BatchLimits, n| {
        let began = Instant::now();
        pipeline(limits).run(numbered(n).await, encode, slow).await.unwrap();
        began.elapsed().as_millis()
    };
    assert_eq!(took(BatchLimits::new(10, 1_000), 100).await, 1_000);
    // The first alone, then nine in three rounds.
    assert_eq!(took(BatchLimits::new(10, 1_000).parallel(4), 100).await, 400);
    // 10 batches at 5 a second: the last begins after 1.8 s.
    let five = BatchLimits::new(10, 1_000).parallel(4).rate(Rate::Requests(5.0));
    assert_eq!(took(five, 100).await, 1_900);
    let rows = BatchLimits::new(10, 1_000).parallel(4).rate(Rate::Rows(50.0));
    assert_eq!(took(rows, 100).await, 1_900);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_the_whole_pipeline() {
    let paused = AtomicU64::new(0);
    let begun = Mutex::new(Vec::new());
    let began = Instant::now();
    let send = async |batch: Batch| {
        begun.lock().unwrap().push(began.elapsed().as_secs());
        if batch.first() == 3 && paused.fetch_add(1, Ordering::SeqCst) == 0 {
            batch.pause(Duration::from_secs(30)).await?;
        }
        Ok(Reply::accepted())
    };
    let limits = BatchLimits::new(1, 1_000).parallel(2);
    pipeline(limits).run(numbered(6).await, encode, send).await.unwrap();
    assert_eq!(*begun.lock().unwrap(), [0, 0, 0, 30, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_for_the_rate_and_counts_what_was_accepted() {
    let stop = Stop::new();
    let http = door(None, &stop);
    let limits = BatchLimits::new(1, 1_000).rate(Rate::Requests(1.0));
    let run =
        Pipeline::through(&http, limits)
            .json_list()
            .run(numbered(100).await, encode, |_| async { Ok(Reply::accepted()) });
    let stops = async {
        sleep(Duration::from_millis(2_500)).await;
        stop.stop(Reason::CallerGone);
    };
    let (sent, ()) = tokio::join!(run, stops);
    let error = sent.unwrap_err();
    assert_eq!((error.class(), error.arrival()), (Class::Looker, Arrival::Rows(3)));
}

#[tokio::test]
async fn data_that_breaks_off_is_told_with_what_was_accepted() {
    let cut = r#"[{"n":1},{"n":2},{"n":3},{"n"#;
    let send = |_| async { Ok(Reply::accepted()) };
    let sent = pipeline(BatchLimits::new(2, 1_000)).run(rows(cut).await, encode, send).await;
    let error = sent.unwrap_err();
    // The third row was read, but not sent.
    assert_eq!((error.class(), error.arrival()), (Class::Looker, Arrival::Rows(2)));
}

#[tokio::test]
async fn keys_are_the_same_for_the_same_delivery_only() {
    let keys = async |webhook_id: Option<&'static str>, data: Value, rows_each| {
        let keys = Mutex::new(Vec::new());
        let send = |batch: Batch| {
            keys.lock().unwrap().push(batch.key());
            async { Ok(Reply::accepted()) }
        };
        let http = door(webhook_id, &Stop::new());
        let limits = BatchLimits::new(rows_each, 1_000);
        let pipeline = Pipeline::through(&http, limits).json_list();
        pipeline.run(rows(data).await, encode, send).await.unwrap();
        keys.into_inner().unwrap()
    };
    let data = || json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }]);
    let first = keys(Some("0f"), data(), 2).await;
    assert_eq!(first.len(), 2);
    assert_ne!(first[0], first[1]);
    assert_eq!(first, keys(Some("0f"), data(), 2).await);
    assert_ne!(first[0], keys(Some("0e"), data(), 2).await[0]);
    assert_ne!(first[0], keys(Some("0f"), data(), 3).await[0]);
    let other = json!([{ "n": 2 }, { "n": 1 }, { "n": 3 }]);
    let other = keys(Some("0f"), other, 2).await;
    assert_eq!((first[0] == other[0], first[1] == other[1]), (false, true));
    assert_ne!(keys(None, data(), 2).await, keys(None, data(), 2).await);

    let row = |id: &'static str| RowKeys::new(&door(Some(id), &Stop::new()), "identify").key(17);
    assert_eq!(row("0f"), row("0f"));
    assert_ne!(row("0f"), row("0e"));
    assert!(row("0f").ends_with("-17"));
}

#[tokio::test]
async fn what_encoding_finds_wrong_ends_the_delivery() {
    let encode = |row: &Row, out: &mut Vec<u8>| match row.number() {
        5 => Err(Error::form("event", "There is no event.")),
        _ => encode(row, out),
    };
    let send = |_| async { Ok(Reply::accepted()) };
    let sent = pipeline(BatchLimits::new(2, 1_000)).run(numbered(9).await, encode, send).await;
    let error = sent.unwrap_err();
    assert_eq!((error.field_name(), error.arrival()), (Some("event"), Arrival::Rows(4)));
}

/// An account's pace is one for all that use it at the same time.
#[tokio::test(start_paused = true)]
async fn two_deliveries_to_one_account_share_its_rate() {
    let http = door(None, &Stop::new());
    let began = Instant::now();
    let send = |_| async { Ok(Reply::accepted()) };
    let limits = BatchLimits::new(1, 1_000).rate(Rate::Requests(1.0));
    let one = async || {
        let pipeline = Pipeline::through(&http, limits).json_list().shared_by("bell 7");
        pipeline.run(numbered(3).await, encode, send).await.unwrap()
    };
    tokio::join!(one(), one());
    assert_eq!(began.elapsed().as_secs(), 5);
}

/// Requests for 3,000 rows of which the vendor refuses a body that holds one of `bad`, or any.
async fn halving(bad: Option<&[u64]>, parallel: usize) -> (Result<Receipt>, Vec<Vec<u64>>) {
    let requests = Mutex::new(Vec::new());
    let send = async |batch: Batch| {
        let rows: Vec<u64> = batch.rows().map(|row| row.number).collect();
        let refused = bad.is_none_or(|bad| rows.iter().any(|row| bad.contains(row)));
        requests.lock().unwrap().push(rows);
        tokio::task::yield_now().await;
        match refused {
            true => Reply::refusal(Error::vendor("Bell answered 400: Invalid key.").status(400)),
            false => Ok(Reply::accepted()),
        }
    };
    let limits = BatchLimits::new(2_500, 100_000).parallel(parallel);
    let pipeline = pipeline(limits).bisecting().policy(Policy::go_on(1_000));
    let sent = pipeline.run(numbered(3_000).await, encode, send).await;
    (sent, requests.into_inner().unwrap())
}

#[tokio::test]
async fn what_is_wrong_with_all_rows_is_found_out_with_three() {
    for parallel in [1, 4] {
        let (sent, requests) = halving(None, parallel).await;
        let want = "Bell: 0 of 2,500 rows accepted; 2,500 refused; first: row 1 and 2,499 more, \
                    Bell answered 400: Invalid key. Rows that were tried alone were refused in \
                    the same words, so that no more was sent.";
        assert_eq!(sentence(&sent), want);
        assert_eq!(requests.len(), 4, "the first batch and three of its rows");
    }
}

#[tokio::test]
async fn rows_that_are_bad_alone_are_found_whichever_they_are() {
    for bad in [&[1, 2_500][..], &[1, 2, 3, 4, 5], &[1_251, 1_252], &[2_499], &[2_600]] {
        for parallel in [1, 4] {
            let (sent, requests) = halving(Some(bad), parallel).await;
            let said = sentence(&sent);
            let want = format!(
                "Bell: {} of 3,000 rows accepted; {} refused; first: row {}",
                crate::text::count(3_000 - bad.len() as u64),
                bad.len(),
                crate::text::count(bad[0])
            );
            assert!(said.starts_with(&want), "{bad:?}: {said}");
            let taken = requests.iter().filter(|rows| !rows.iter().any(|row| bad.contains(row)));
            let mut taken: Vec<u64> = taken.flatten().copied().collect();
            taken.sort_unstable();
            let good = (1..=3_000).filter(|row| !bad.contains(row));
            assert!(good.eq(taken), "{bad:?}: each good row once");
        }
    }
}

/// One try of the delivery: which rows were sent, and what was said.
async fn a_try(
    tries: &Tries,
    delivery: u8,
    data: Value,
    answer: impl Fn(u64) -> Result<Reply> + Send + Sync,
) -> (Vec<u64>, Result<Receipt>) {
    let sent = Mutex::new(Vec::new());
    let send = async |batch: Batch| {
        sent.lock().unwrap().extend(numbers(&batch));
        answer(batch.first())
    };
    let pipeline = pipeline(BatchLimits::new(2, 1_000)).policy(Policy::go_on(9));
    let pipeline = Pipeline { earlier: Some(tries.delivery([delivery; 32])), ..pipeline };
    let said = pipeline.run(rows(data).await, encode, send).await;
    (sent.into_inner().unwrap(), said)
}

#[tokio::test]
async fn a_delivery_that_is_sent_again_sends_what_is_left() {
    let tries = Tries::default();
    let numbered = |list: &[u64]| Value::from_iter(list.iter().map(|n| json!({ "n": n })));
    let down = |first| match first {
        5 => Err(Error::vendor("Bell is down.").status(503)),
        _ => Ok(Reply::accepted()),
    };
    let (sent, said) = a_try(&tries, 1, numbered(&[1, 2, 3, 3, 5, 6, 7]), down).await;
    assert_eq!((sent, said.unwrap_err().arrival()), (vec![1, 2, 3, 3, 5, 6], Arrival::Rows(4)));
    // Whatever the order, and of equal rows as many as were not sent.
    let all = numbered(&[7, 6, 5, 3, 3, 3, 2, 1]);
    let (sent, said) = a_try(&tries, 1, all.clone(), |_| Ok(Reply::accepted())).await;
    assert_eq!(sent, [7, 6, 5, 3]);
    let want = "Delivered 4 rows to Bell. 4 rows were accepted by an earlier try of this delivery \
                and not sent again.";
    assert!(sentence(&said).starts_with(want), "{said:?}");
    let (sent, said) = a_try(&tries, 1, all.clone(), |_| Ok(Reply::accepted())).await;
    assert_eq!((sent.len(), said.is_ok()), (0, true));
    // Another delivery is another matter.
    let (sent, _) = a_try(&tries, 2, all, |_| Ok(Reply::accepted())).await;
    assert_eq!(sent.len(), 8);
}

#[tokio::test]
async fn a_row_that_may_have_arrived_is_not_sent_again_and_no_success() {
    let tries = Tries::default();
    let data = || json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }, { "n": 4 }, { "n": 5 }]);
    let lost = |first| match first {
        3 => Err(Error::vendor("Bell fell silent.").may_have_arrived()),
        _ => Ok(Reply::accepted()),
    };
    a_try(&tries, 1, data(), lost).await.1.unwrap_err();
    let (sent, said) = a_try(&tries, 1, data(), |_| Ok(Reply::accepted())).await;
    assert_eq!(sent, [5]);
    let error = said.unwrap_err();
    let want = "An earlier try of this delivery sent 2 rows to Bell and got no answer, so that \
                they may have arrived and were not sent again: look there for them. 1 row was \
                accepted now. 2 rows were accepted by an earlier try of this delivery and not sent \
                again.";
    assert_eq!((error.message(), error.arrival()), (want, Arrival::Maybe));
}

#[tokio::test]
async fn a_row_that_was_refused_is_sent_again() {
    let tries = Tries::default();
    let data = || json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }]);
    let refuses = |first| match first {
        1 => Ok(Reply::accepted().refuse(1, "no")),
        _ => Reply::refusal(Error::vendor("Bell answered 422: no.").status(422)),
    };
    a_try(&tries, 1, data(), refuses).await.1.unwrap_err();
    let (sent, said) = a_try(&tries, 1, data(), |_| Ok(Reply::accepted())).await;
    assert_eq!((sent, said.is_ok()), (vec![2, 3], true));
}
