//! Tests of cutting, naming and of every way in which an upload can end.

use std::sync::Mutex;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::Bytes;
use sendoff::{Item, Reason};
use sha2::Sha256;
use tokio::io::AsyncReadExt;

use super::*;

/// A store that answers as it is told and writes down what it was asked.
#[derive(Default)]
struct Told {
    whole: Option<fn() -> Error>,
    part: Option<fn() -> Error>,
    commit: Option<fn() -> Error>,
    /// What it says when asked whether the object stands there, last first; then `false`.
    stands: Mutex<Vec<Result<bool>>>,
    asked: Mutex<Vec<String>>,
}

impl Told {
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().expect("no panic").push(what.into());
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn told<T>(answer: T, error: Option<fn() -> Error>) -> Result<T> {
    error.map_or(Ok(answer), |error| Err(error()))
}

impl Upload for Told {
    type Hash = Sha256;
    const MOST_PARTS: usize = 4;

    fn vendor(&self) -> &'static str {
        "The store"
    }

    async fn whole(&self, part: Part) -> Result<()> {
        self.note(format!("whole {}", part.bytes.len()));
        told((), self.whole)
    }

    async fn begin(&self) -> Result<String> {
        self.note("begin");
        Ok("u".into())
    }

    async fn part(&self, _: &str, number: usize, part: Part) -> Result<String> {
        assert_eq!(part.hash, Sha256::digest(&part.bytes).to_vec());
        self.note(format!("part {number} {}", part.bytes.len()));
        told(format!("name {number}"), self.part)
    }

    async fn commit(&self, _: &str, parts: &[String]) -> Result<()> {
        self.note(format!("commit {}", parts.join(",")));
        told((), self.commit)
    }

    async fn abandon(&self, _: &str) -> Result<()> {
        self.note("abandon");
        Ok(())
    }

    async fn stands(&self, bytes: u64) -> Result<bool> {
        self.note(format!("stands {bytes}?"));
        self.stands.lock().expect("no panic").pop().unwrap_or(Ok(false))
    }
}

fn data(len: usize) -> ByteStream {
    // A prime, so that no part ends with a chunk.
    let chunk = Bytes::from(vec![7; 65_537]);
    let whole = std::iter::repeat_n(chunk.clone(), len / chunk.len());
    let rest = chunk.slice(..len % chunk.len());
    let chunks = whole.chain((!rest.is_empty()).then_some(rest)).map(Ok);
    ByteStream::new(futures_util::stream::iter(chunks))
}

const PART: usize = SMALLEST_PART;

fn lost() -> Error {
    Error::vendor("The store fell silent.").may_have_arrived()
}

fn forbidden() -> Error {
    Error::settings("The store said no.").status(403)
}

fn broken() -> Error {
    Error::vendor("The store broke.").status(500).retry_later()
}

#[tokio::test]
async fn what_fits_into_one_part_is_one_request() {
    for len in [0, 1, PART - 1, PART] {
        let store = Told::default();
        assert_eq!(write(&store, data(len), &Stop::new()).await.expect("delivered"), len as u64);
        assert_eq!(store.asked(), [format!("whole {len}")]);
    }
}

#[tokio::test]
async fn what_does_not_goes_in_parts_and_is_committed_in_their_order() {
    let store = Told::default();
    let len = 2 * PART + 1;
    assert_eq!(write(&store, data(len), &Stop::new()).await.expect("delivered"), len as u64);
    let mut asked = store.asked();
    assert_eq!(asked.pop().as_deref(), Some("commit name 1,name 2,name 3"));
    asked.sort_unstable();
    let part = |n, len| format!("part {n} {len}");
    assert_eq!(asked, ["begin".to_owned(), part(1, PART), part(2, PART), part(3, 1)]);
}

#[tokio::test]
async fn too_many_parts_and_broken_data_are_taken_back() {
    let store = Told::default();
    let error = write(&store, data(4 * PART + 1), &Stop::new()).await.expect_err("too large");
    assert!(error.message().contains("larger than"), "{error}");
    assert_eq!(store.asked().last().map(String::as_str), Some("abandon"));

    for good in [0, 1, 2 * PART] {
        let store = Told::default();
        let broken = data(good).chain(futures_util::stream::iter([Err(Error::looker("Cut."))]));
        let error = write(&store, ByteStream::new(broken), &Stop::new()).await;
        let error = error.expect_err("broken data");
        assert_eq!((error.class(), error.arrival()), (Class::Looker, Arrival::Nothing));
        let asked = store.asked();
        let begun = asked.iter().any(|what| what == "begin");
        assert_eq!(begun, good > PART);
        assert_eq!(begun, asked.last().is_some_and(|what| what == "abandon"), "{asked:?}");
        assert!(!asked.iter().any(|what| what.starts_with("commit") || what.starts_with("whole")));
    }
}

#[tokio::test]
async fn a_lost_part_leaves_nothing_open() {
    let store = Told { part: Some(lost), ..Told::default() };
    let error = write(&store, data(2 * PART), &Stop::new()).await.expect_err("lost");
    assert_eq!((error.class(), error.arrival()), (Class::Vendor, Arrival::Nothing));
    assert_eq!(store.asked().last().map(String::as_str), Some("abandon"));

    let stop = Stop::new();
    stop.stop(Reason::Draining);
    let error = write(&store, data(2 * PART), &stop).await.expect_err("stopped");
    assert_eq!((error.class(), error.arrival()), (Class::Hub, Arrival::Nothing));
}

/// How a commit ends, what the store then says when it is asked, and what that means. `None` is
/// delivered.
#[tokio::test]
async fn a_doubtful_commit_is_settled_by_looking() {
    type Case = (fn() -> Error, Vec<Result<bool>>, Option<(Class, Arrival)>);
    let unknown = || Err(Error::vendor("Silence."));
    let html = || Error::vendor("Not as the store answers.").status(200);
    let twice = || Error::form("filename", "It is there.").status(412);
    let cases: Vec<Case> = vec![
        (lost, vec![Ok(true)], None),
        (lost, vec![Ok(false), Ok(false)], Some((Class::Vendor, Arrival::Nothing))),
        // It was still being worked at when we looked first.
        (lost, vec![Ok(true), Ok(false)], None),
        (lost, vec![unknown()], Some((Class::Vendor, Arrival::Maybe))),
        (lost, vec![unknown(), Ok(false)], Some((Class::Vendor, Arrival::Maybe))),
        (broken, vec![Ok(true)], None),
        (broken, vec![Ok(false)], Some((Class::Vendor, Arrival::Nothing))),
        (broken, vec![unknown()], Some((Class::Vendor, Arrival::Nothing))),
        (html, vec![Ok(false)], Some((Class::Vendor, Arrival::Nothing))),
        (html, vec![Ok(true)], None),
        // The answer to a repeated request whose first answer was lost.
        (twice, vec![Ok(true)], None),
        (twice, vec![Ok(false)], Some((Class::Form, Arrival::Nothing))),
        // A clear refusal: nobody need look.
        (forbidden, vec![Ok(true)], Some((Class::Settings, Arrival::Nothing))),
    ];
    for (at, (refused, stands, want)) in cases.into_iter().enumerate() {
        let stands = Mutex::new(stands);
        let store = Told { commit: Some(refused), stands, ..Told::default() };
        let outcome = write(&store, data(PART + 1), &Stop::new()).await;
        let outcome = outcome.err().map(|error| (error.class(), error.arrival()));
        assert_eq!(outcome, want, "case {at}: {:?}", store.asked());
        let abandoned = store.asked().iter().any(|what| what == "abandon");
        assert!(want.is_none() || abandoned, "case {at}: {:?}", store.asked());
    }
    for (stands, want) in [(true, None), (false, Some(Arrival::Nothing))] {
        let stands = Mutex::new(vec![Ok(stands)]);
        let store = Told { whole: Some(lost), stands, ..Told::default() };
        let outcome = write(&store, data(3), &Stop::new()).await;
        assert_eq!(outcome.err().map(|error| error.arrival()), want);
    }
}

#[tokio::test]
async fn gzip_keeps_the_bytes_and_the_error() {
    let packed = gzipped(data(1_000_000)).map(|chunk| chunk.map_err(io::Error::other));
    let mut plain = Vec::new();
    let mut reader = GzipDecoder::new(StreamReader::new(packed));
    reader.read_to_end(&mut plain).await.expect("gzip");
    assert_eq!(plain, vec![7; 1_000_000]);

    let broken = data(9).chain(futures_util::stream::iter([Err(Error::looker("Cut."))]));
    let mut packed = gzipped(ByteStream::new(broken));
    let mut last = None;
    while let Some(chunk) = packed.next().await {
        last = chunk.err();
    }
    assert_eq!(last.map(|error| error.to_string()).as_deref(), Some("Cut."));
}

#[test]
fn ten_thousand_parts_fit_a_result_of_any_size_in_time() {
    let reach: usize = (1..=10_000).map(part_size).sum();
    assert_eq!(reach >> 30, 170);
    // What fills, and what is on its way beside it.
    let held = |number| part_size(number) * (1 + most_in_flight(part_size(number)));
    assert!((1..=1_000).all(|number| held(number) <= 15 * MIB));
    assert!((1..=50_000).all(|number| held(number) <= 40 * MIB));
}

#[test]
fn a_name_is_quoted_for_every_browser() {
    assert_eq!(disposition("a b.csv"), "attachment; filename=\"a b.csv\"");
    assert_eq!(
        disposition("ä\"\r\n.csv"),
        "attachment; filename=\"____.csv\"; filename*=UTF-8''%C3%A4%22%0D%0A%2Ecsv"
    );
}

#[test]
fn a_list_is_offered_a_missing_right_is_not_an_error_and_wrong_keys_are() {
    let field = || Field::of::<String>("bucket");
    let find = || Field::of::<Option<String>>("find_bucket");
    let kind = Kind { name: "bucket", sound: |text| !text.contains(' ') };
    let drawn = |field: &Field| format!("{field:?}");
    let found = || Ok(vec![Item::named("a"), Item::named("b")].into());
    let mut some = field();
    offer(&mut some, &mut find(), found(), Some("b"), &kind).expect("a list");
    assert!(drawn(&some).contains(r#"Select([("b", "b"), ("a", "a")])"#), "{some:?}");
    let mut typed = field();
    let mut sought = find().filled(&[("find_bucket", "of-another")].into_iter().collect());
    offer(&mut typed, &mut sought, found(), None, &kind).expect("a list");
    assert!(drawn(&typed).contains(r#"("of-another", "of-another (as typed)")"#), "{typed:?}");
    let denied = Error::settings("The store said no.").status(403);
    let mut line = field();
    offer(&mut line, &mut find(), Err(denied), Some("b"), &kind).expect("a line of text");
    assert!(drawn(&line).contains("said no") && drawn(&line).contains("Line"), "{line:?}");
    let wrong = Error::settings("Wrong key.").field("access_key_id");
    assert!(offer(&mut field(), &mut find(), Err(wrong), None, &kind).is_err());
}
