//! The answer to an execute request: one envelope, `{"looker": …}`.
//!
//! Looker ignores everything outside `looker` and takes any 2xx without it for a success, so a
//! failure that is told in another shape is a failure that nobody hears of. **A/C**

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// What Looker reads.
    pub looker: Outcome,
}

/// What Looker reads of an execute answer (`DataActionResponse`, **A**).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// False marks the delivery as failed; absent means true.
    pub success: bool,
    /// Shown in the schedule history and for cells. Looker's page shows nothing on success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Asks Looker to run the source query again.
    pub refresh_query: bool,
    /// A sentence per form field.
    pub validation_errors: BTreeMap<String, String>,
    /// Replaces the state that Looker keeps for this user and action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The failure in structured form. **B**
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
    /// The request's `X-Looker-Webhook-Id`, given back. Camel case on the wire. **B**
    #[serde(rename = "webhookId", skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<String>,
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            success: true,
            message: None,
            refresh_query: false,
            validation_errors: BTreeMap::new(),
            state: None,
            error: None,
            webhook_id: None,
        }
    }
}

/// What Looker keeps for one user and action: at most 32 KB, returned as `data.state_json`. **A**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The state; the reference hub resets it with the literal `reset`.
    pub data: String,
    /// After so many seconds Looker asks for the form again, at most once in 10 minutes. **A**
    /// The reference hub writes `refreshTime`, which Looker does not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<u64>,
}

/// The structured error. Status names are those of Google's RPC codes. **B**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// The HTTP status that fits the failure.
    pub http_code: u16,
    /// `INVALID_ARGUMENT`, `PERMISSION_DENIED`, …
    pub status_code: String,
    /// The sentence for the user.
    pub message: String,
    /// The reference hub always says `ActionContainer`.
    pub location: String,
    /// Where to read on.
    pub documentation_url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_the_documented_shape() {
        let answer = Executed {
            looker: Outcome {
                success: false,
                message: Some("No such bucket.".into()),
                state: Some(State { data: "x".into(), refresh_time: Some(600) }),
                webhook_id: Some("0f".into()),
                ..Outcome::default()
            },
        };
        assert_eq!(
            serde_json::to_value(&answer).unwrap(),
            serde_json::json!({"looker": {
                "success": false, "message": "No such bucket.", "refresh_query": false,
                "validation_errors": {}, "state": {"data": "x", "refresh_time": 600},
                "webhookId": "0f"
            }})
        );
    }

    #[test]
    fn absent_success_means_true() {
        let answer: Executed = serde_json::from_str(r#"{"looker":{}}"#).unwrap();
        assert!(answer.looker.success);
    }
}
