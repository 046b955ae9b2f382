//! What HubSpot says to a batch, row by row where it says so.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sendoff::pipeline::{self, Batch};
use sendoff::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Answer {
    status: String,
    results: Vec<Record>,
    errors: Vec<Fault>,
    num_errors: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    object_write_trace_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fault {
    message: String,
    /// `{"ids": ["512"]}`, and more that depends on the kind of error.
    context: HashMap<String, Value>,
}

/// The row's own part of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    id: String,
    id_property: Option<String>,
    object_write_trace_id: String,
}

/// The input's own name in an answer.
const TRACE: &str = "objectWriteTraceId";

/// How long all should rest because the account's limit is nearly used up, by this app's other
/// requests too: the window in which it counts.
/// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>
pub(super) fn rest(reply: &sendoff::Reply) -> Option<Duration> {
    let number = |name: &str| reply.header(name)?.trim().parse::<u64>().ok();
    let left = number("x-hubspot-ratelimit-remaining")?;
    let window = number("x-hubspot-ratelimit-interval-milliseconds")?;
    // Others of this delivery are on their way.
    (left < super::PARALLEL as u64).then(|| Duration::from_millis(window.min(LONGEST_WINDOW)))
}

/// Windows of HubSpot's last ten seconds; a longer one is no reason to stand still.
const LONGEST_WINDOW: u64 = 60_000;

/// Reads the answer to a batch: 200 took all rows, 207 refused some of them, 400 refused all for
/// the sake of one.
///
/// # Errors
/// The delivery cannot go on, or the answer leaves open what was taken.
pub(super) async fn read(reply: sendoff::Reply, batch: &Batch) -> Result<pipeline::Reply> {
    let reply = match reply.success().await {
        Ok(reply) => reply,
        Err(fault) => return pipeline::Reply::refusal(fault),
    };
    let answer: Answer = reply.json().await?;
    let inputs: Vec<Input> =
        batch.rows().filter_map(|row| serde_json::from_slice(row.bytes).ok()).collect();
    judge(&answer, &inputs)
}

/// A row was taken if HubSpot gives its record as a result. All others must be refused by an
/// error, or nobody knows what became of them.
fn judge(answer: &Answer, inputs: &[Input]) -> Result<pipeline::Reply> {
    let (told, unnamed) = answer.refusals(inputs);
    let missing = inputs.len().saturating_sub(answer.results.len() + told.len());
    let refused_unnamed = answer.num_errors.saturating_sub(told.len()).max(unnamed.len());
    let reply = told.iter().fold(pipeline::Reply::accepted(), |reply, (index, why)| {
        reply.refuse(*index, (*why).to_owned())
    });
    if missing == 0 {
        return Ok(reply);
    }
    let is_open = |index: &usize| !told.contains_key(index) && !answer.confirms(&inputs[*index]);
    let open: Vec<usize> = (0..inputs.len()).filter(is_open).collect();
    let is_known = open.len() == missing;
    // HubSpot is done, speaks of errors, and either those rows have no result or their number fits.
    let is_refused = answer.status == "COMPLETE"
        && refused_unnamed > 0
        && (is_known || refused_unnamed >= missing);
    if !is_refused {
        return Err(answer.leaves_open(inputs.len() - missing, inputs.len()));
    }
    let why = unnamed.first().copied().unwrap_or("HubSpot gave no reason");
    let why = match (is_known, refused_unnamed >= missing) {
        (true, true) => why.to_owned(),
        (true, false) => format!("HubSpot confirmed no result for it and says: {why}"),
        (false, _) => format!("{why} (HubSpot does not say of which row of the request)"),
    };
    let refused = open.into_iter().take(missing);
    Ok(refused.fold(reply, |reply, index| reply.refuse(index, why.clone())))
}

impl Answer {
    /// The rows that errors name, each with the first reason, and the reasons that name none.
    fn refusals<'a>(&'a self, inputs: &[Input]) -> (BTreeMap<usize, &'a str>, Vec<&'a str>) {
        let (mut told, mut unnamed) = (BTreeMap::new(), Vec::new());
        for fault in &self.errors {
            let named = |index: &usize| fault.names(&inputs[*index]);
            let mut named = (0..inputs.len()).filter(named).peekable();
            if named.peek().is_none() {
                unnamed.push(fault.message.as_str());
            }
            for index in named {
                told.entry(index).or_insert(fault.message.as_str());
            }
        }
        (told, unnamed)
    }

    /// Whether a result is this record's. Results carry HubSpot's own ids, which tell nothing
    /// where records were found by another property.
    fn confirms(&self, input: &Input) -> bool {
        self.results.iter().any(|record| match &record.object_write_trace_id {
            Some(trace) => *trace == input.object_write_trace_id,
            None => input.id_property.is_none() && record.id == input.id,
        })
    }

    fn leaves_open(&self, told: usize, all: usize) -> Error {
        let Self { status, .. } = self;
        Error::vendor(format!(
            "HubSpot told the outcome of {told} of {all} records and not what became of the \
             others (status {status}).",
        ))
        .may_have_arrived()
    }
}

impl Fault {
    /// Whether it concerns this record.
    fn names(&self, input: &Input) -> bool {
        self.context.iter().any(|(key, value)| {
            let own = if key == TRACE { &input.object_write_trace_id } else { &input.id };
            let is = |value: &Value| value.as_str() == Some(own);
            match value {
                Value::Array(list) => list.iter().any(is),
                value => is(value),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(ids: &[&str], id_property: Option<&str>) -> Vec<Input> {
        let input = |(n, id): (usize, &&str)| Input {
            id: (*id).into(),
            id_property: id_property.map(str::to_owned),
            object_write_trace_id: (n + 101).to_string(),
        };
        ids.iter().enumerate().map(input).collect()
    }

    fn judged(answer: &str, inputs: &[Input]) -> String {
        match judge(&serde_json::from_str(answer).expect("JSON"), inputs) {
            Ok(reply) => format!("{reply:?}"),
            Err(fault) => {
                assert_eq!(fault.arrival(), sendoff::Arrival::Maybe);
                fault.message().to_owned()
            }
        }
    }

    fn refused(answer: &str) -> String {
        judged(answer, &inputs(&["1", "2", "3"], None))
    }

    #[test]
    fn an_error_with_ids_refuses_those_rows() {
        let told = refused(
            r#"{"status":"COMPLETE","results":[{"id":"1"},{"id":"3"}],"numErrors":1,"errors":[
                {"status":"error","category":"OBJECT_NOT_FOUND","message":"Could not get some CONTACT objects",
                 "context":{"ids":["2"]}}]}"#,
        );
        assert!(told.contains("refused: [(1, \"Could not get some CONTACT objects\")]"), "{told}");
    }

    #[test]
    fn an_error_without_ids_falls_on_a_row_that_has_no_result() {
        let told = refused(
            r#"{"status":"COMPLETE","results":[{"id":"1"},{"id":"2"}],"numErrors":1,"errors":[{"message":"no"}]}"#,
        );
        assert!(told.contains("refused: [(2, \"no\")]"), "{told}");
    }

    #[test]
    fn one_error_without_ids_does_not_hide_that_other_rows_have_no_result() {
        let answer = r#"{"status":"COMPLETE","results":[{"id":"1"}],"numErrors":1,"errors":[
            {"status":"error","category":"VALIDATION_ERROR","message":"bad thing"}]}"#;
        let four = ["1", "2", "3", "4"];
        let told = judged(answer, &inputs(&four, None));
        let why = "HubSpot confirmed no result for it and says: bad thing";
        let want = format!("refused: [(1, \"{why}\"), (2, \"{why}\"), (3, \"{why}\")]");
        assert!(told.contains(&want), "{told}");
        // Where a result cannot be told from another nobody knows which rows were taken.
        let told = judged(answer, &inputs(&four, Some("email")));
        assert!(told.starts_with("HubSpot told the outcome of 1 of 4 records"), "{told}");
        // Nor while HubSpot is still at it.
        let told = judged(&answer.replace("COMPLETE", "PROCESSING"), &inputs(&four, None));
        assert!(told.starts_with("HubSpot told the outcome of 1 of 4 records"), "{told}");
    }

    #[test]
    fn a_row_is_known_by_the_name_that_it_was_sent_with() {
        let answer = r#"{"status":"COMPLETE","numErrors":1,
            "results":[{"id":"90","objectWriteTraceId":"101"},{"id":"91","objectWriteTraceId":"103"}],
            "errors":[{"message":"no","context":{"objectWriteTraceId":["102"]}}]}"#;
        let told = judged(answer, &inputs(&["a", "b", "c"], Some("email")));
        assert!(told.contains("refused: [(1, \"no\")]"), "{told}");
        let unnamed = answer.replace(r#","context":{"objectWriteTraceId":["102"]}"#, "");
        let told = judged(&unnamed, &inputs(&["a", "b", "c"], Some("email")));
        assert!(told.contains("refused: [(1, \"no\")]"), "{told}");
    }

    #[test]
    fn a_short_answer_without_errors_is_no_success() {
        for status in ["PROCESSING", "COMPLETE"] {
            let told = refused(&format!(r#"{{"status":"{status}","results":[{{"id":"1"}}]}}"#));
            assert!(told.starts_with("HubSpot told the outcome of 1 of 3 records"), "{told}");
        }
    }
}
