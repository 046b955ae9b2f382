//! What HubSpot says to a batch, row by row where it says so.

use std::collections::{HashMap, HashSet};

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
struct Record {
    id: String,
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
struct Input {
    id: String,
    #[serde(rename = "idProperty")]
    id_property: Option<String>,
}

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
    judge(answer, &inputs)
}

fn judge(answer: Answer, inputs: &[Input]) -> Result<pipeline::Reply> {
    let refused = answer.num_errors.max(answer.errors.len());
    if refused == 0 && answer.results.len() < inputs.len() {
        let text = format!(
            "HubSpot confirmed {} of {} records and did not say what became of the others \
             (status {}).",
            answer.results.len(),
            inputs.len(),
            answer.status
        );
        return Err(Error::vendor(text).may_have_arrived());
    }
    let mut told: HashMap<usize, String> = HashMap::new();
    let mut rest = Vec::new();
    for fault in answer.errors {
        let before = told.len();
        for (index, input) in inputs.iter().enumerate() {
            if fault.names(&input.id) {
                told.entry(index).or_insert_with(|| fault.message.clone());
            }
        }
        if told.len() == before {
            rest.push(fault.message);
        }
    }
    // An error that names no record concerns one that has no result. Results carry HubSpot's own
    // ids, so they tell nothing where records were found by another property.
    let stands: HashSet<&str> = answer.results.iter().map(|record| record.id.as_str()).collect();
    let mut suspects = (0..inputs.len()).filter(|index| {
        let by_id = inputs[*index].id_property.is_none();
        !(by_id && stands.contains(inputs[*index].id.as_str()))
    });
    let missing = refused.saturating_sub(told.len()).max(rest.len());
    let mut unnamed: Vec<(usize, String)> = Vec::new();
    for n in 0..missing {
        let Some(index) = suspects.find(|index| !told.contains_key(index)) else { break };
        let why = rest.get(n).or(rest.first()).cloned();
        unnamed.push((index, why.unwrap_or_else(|| "HubSpot gave no reason".into())));
    }
    let all = told.into_iter().chain(unnamed);
    Ok(all.fold(pipeline::Reply::accepted(), |reply, (index, why)| reply.refuse(index, why)))
}

impl Fault {
    /// Whether it concerns the record with this id.
    fn names(&self, id: &str) -> bool {
        let is = |value: &Value| value.as_str() == Some(id);
        self.context.values().any(|value| match value {
            Value::Array(list) => list.iter().any(is),
            value => is(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Vec<Input> {
        ["1", "2", "3"].map(|id| Input { id: id.into(), id_property: None }).into()
    }

    fn refused(answer: &str) -> String {
        let answer = serde_json::from_str(answer).expect("JSON");
        match judge(answer, &inputs()) {
            Ok(reply) => format!("{reply:?}"),
            Err(fault) => fault.message().to_owned(),
        }
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
            r#"{"results":[{"id":"1"},{"id":"2"}],"numErrors":1,"errors":[{"message":"no"}]}"#,
        );
        assert!(told.contains("refused: [(2, \"no\")]"), "{told}");
    }

    #[test]
    fn a_short_answer_without_errors_is_no_success() {
        let told = refused(r#"{"status":"PROCESSING","results":[{"id":"1"}]}"#);
        assert!(told.starts_with("HubSpot confirmed 1 of 3 records"), "{told}");
    }
}
