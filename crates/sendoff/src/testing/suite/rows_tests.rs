//! The cases of rows pass an honest action, and each kind of lie fails in the case that is there
//! for it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};

use super::{Subject, cases, run};
use crate::pipeline::{Batch, BatchLimits, Encoded, Pick, Pipeline, Policy, Reply};
use crate::prelude::*;
use crate::testing::{Fake, Object, RowLedger, RowShape, TakesRows};
use crate::{AnyAction, Class, Commit, Repeatable, Values};

/// What the action under test does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    /// A batch that was refused counts as accepted.
    SwallowsRefusals,
    /// It does not say what was accepted before it failed.
    ForgetsCounts,
    /// Each batch goes out twice.
    SendsTwice,
    /// Data that breaks off is the end of the rows.
    SwallowsDataErrors,
    /// It takes any column.
    IgnoresTags,
    /// It calls the vendor for nothing.
    SendsNothing,
    /// It leaves the last row out.
    LosesARow,
    /// It gives up when it is told to wait.
    DoesNotWait,
    /// It reads all rows before it sends the first.
    HoldsBack,
    /// When the data breaks off it sends what it has of a batch.
    SendsTheRest,
}

struct Mill(Lie);

const ICON: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"/>"#;
const URL: &str = "https://mill.example/grind";
const GRAIN: Pick = Pick::tagged(&["grain"]);

impl Action for Mill {
    type Settings = ();
    type Form = ();
    const SPEC: Spec = Spec::new("mill", "Mill")
        .description("Grinds each row.")
        .formats(&[Format::JsonDetail])
        .streaming()
        .required_tags(&[&["grain"]])
        .svg(ICON)
        .delivery(Repeatable::Nothing, Commit::Streaming, false);

    async fn execute(&self, cx: &Context<()>, (): (), data: Payload) -> Result<Receipt> {
        let lie = self.0;
        let rows = data.rows().await?;
        let grain = match GRAIN.require(rows.columns()) {
            Err(_) if lie == Lie::IgnoresTags => 0,
            found => found?.index,
        };
        if lie == Lie::SendsNothing {
            cx.http().post(URL).body("[]").send().await?;
        }
        if matches!(lie, Lie::HoldsBack | Lie::SendsTheRest) {
            return by_hand(cx, lie, rows).await;
        }
        let encode = |row: &crate::Row, out: &mut Vec<u8>| {
            if lie == Lie::LosesARow && row.number() == 1 {
                return Ok(Encoded::skipped("who needs it"));
            }
            row.at(grain).write_json(out);
            Ok(Encoded::Row)
        };
        let sent = Pipeline::new(cx, BatchLimits::new(500, 100_000).parallel(3))
            .json_list()
            .policy(Policy::go_on(1_000))
            .run(rows, encode, |batch| grind(lie, batch))
            .await;
        match sent {
            Err(error) if lie == Lie::ForgetsCounts => {
                Err(Error::vendor("Mill failed.").cause(error.log_line()))
            }
            Err(error) if lie == Lie::SwallowsDataErrors && error.class() == Class::Looker => {
                Ok(Receipt::new("Mill"))
            }
            sent => sent,
        }
    }
}

/// Without the pipeline.
async fn by_hand(cx: &Context<()>, lie: Lie, mut rows: crate::Rows) -> Result<Receipt> {
    let (mut batch, mut sent) = (Vec::new(), 0);
    let end = loop {
        match rows.next().await.transpose() {
            Ok(Some(row)) => batch.push(row.at(0).value().text().to_owned()),
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
        if batch.len() == 500 && lie == Lie::SendsTheRest {
            post(cx, &mut batch, &mut sent).await?;
        }
    };
    if end.is_none() || lie == Lie::SendsTheRest {
        post(cx, &mut batch, &mut sent).await?;
    }
    match end {
        Some(fault) => Err(fault.rows_accepted(sent)),
        None => Ok(Receipt::new("Mill").rows(sent, 0)),
    }
}

/// Sends what is there, 500 rows at a time.
async fn post(cx: &Context<()>, batch: &mut Vec<String>, sent: &mut u64) -> Result<()> {
    for rows in std::mem::take(batch).chunks(500) {
        *sent += rows.len() as u64;
        let list = serde_json::to_string(rows).map_err(|fault| Error::hub(fault.to_string()))?;
        cx.http().post(URL).body(list).send().await?.success().await?.text().await?;
    }
    Ok(())
}

async fn grind(lie: Lie, batch: Batch) -> Result<Reply> {
    let post = || batch.http().post(URL).body(batch.body());
    if lie == Lie::SendsTwice {
        post().send().await?;
    }
    let call = if lie == Lie::DoesNotWait { post().once() } else { post() };
    match call.send().await?.success().await {
        Ok(reply) => match reply.text().await?.as_str() {
            "ground" => Ok(Reply::accepted()),
            _ => Err(Error::vendor("Mill did not grind it.").may_have_arrived()),
        },
        Err(_) if lie == Lie::SwallowsRefusals => Ok(Reply::accepted()),
        Err(fault) => Reply::refusal(fault),
    }
}

#[derive(Default)]
struct Stones(RowLedger);

impl Fake for Stones {
    fn origins(&self) -> Vec<String> {
        vec!["https://mill.example".into()]
    }

    fn settings(&self) -> Values {
        Values::default()
    }

    fn answers(&self) -> Values {
        Values::default()
    }

    fn handle(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Bytes>> {
        Box::pin(async move {
            let mut stream = request.into_body();
            let mut body = Vec::new();
            while let Some(Ok(chunk)) = stream.next().await {
                body.extend_from_slice(&chunk);
            }
            let Ok(rows) = serde_json::from_slice::<Vec<String>>(&body) else {
                let mut response = Response::new(Bytes::from_static(b"chaff"));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                return response;
            };
            self.0.batch(rows.len());
            for row in rows {
                match row.parse() {
                    Ok(number) => self.0.take(number),
                    Err(_) => self.0.stranger(),
                }
            }
            Response::new(Bytes::from_static(b"ground"))
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        ("text/plain", format!("the mill does not take it ({status})"))
    }

    fn commits(&self, method: &Method, _: &str) -> bool {
        method == Method::POST
    }

    fn takes_rows(&self) -> Option<TakesRows<'_>> {
        let shape = RowShape {
            fields: r#"{"dimensions":[{"name":"f.grain","tags":["grain"]}]}"#,
            before: r#"{"f.grain":{"value":""#,
            after: r#""}}"#,
        };
        Some(TakesRows::new(shape, &self.0).at_most(10_000))
    }
}

fn subject(lie: Lie) -> Subject {
    Subject::new(move || {
        let action: Box<dyn AnyAction> = Box::new(Mill(lie));
        (action, Arc::new(Stones::default()) as Arc<dyn Fake>)
    })
}

#[test]
fn an_honest_action_of_rows_passes_every_case() {
    let subject = subject(Lie::None);
    let all = cases(&subject);
    assert!(all.iter().filter(|case| case.name.starts_with("rows_")).count() >= 10);
    for case in all {
        let name = case.name.clone();
        if let Err(failure) = run(case, subject.clone()) {
            panic!("{name}: {failure}");
        }
    }
}

#[test]
fn each_lie_about_rows_fails_in_the_case_that_is_there_for_it() {
    let table = [
        (Lie::SwallowsRefusals, "rows_refused_in_the_middle"),
        (Lie::SwallowsRefusals, "vendor_refuses_400"),
        (Lie::ForgetsCounts, "rows_refused_in_the_middle"),
        (Lie::ForgetsCounts, "rows_vendor_dies"),
        (Lie::ForgetsCounts, "rows_looker_breaks_off"),
        (Lie::SendsTwice, "rows_one"),
        (Lie::SwallowsDataErrors, "rows_looker_breaks_off"),
        (Lie::IgnoresTags, "rows_without_their_tag"),
        (Lie::SendsNothing, "rows_none"),
        (Lie::LosesARow, "rows_exactly_one_batch"),
        (Lie::LosesARow, "rows_with_fields_behind_data"),
        (Lie::DoesNotWait, "rows_held_by_429"),
        (Lie::HoldsBack, "rows_looker_breaks_off"),
        (Lie::SendsTheRest, "rows_looker_breaks_off"),
    ];
    for (lie, name) in table {
        let subject = subject(lie);
        let case = cases(&subject).into_iter().find(|case| case.name == name);
        let case = case.unwrap_or_else(|| panic!("there is no case {name}"));
        assert!(run(case, subject).is_err(), "{lie:?} passes {name}");
    }
}
