//! Looker's `state_url`: one POST of what it is to keep for a user.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use url::Url;

use super::Egress;
use super::attempt::{Attempt, OddStatus, Until, find};
use super::guard::Target;
use super::peer::Peer;
use super::reply::{Reading, Reply};
use crate::{Error, Result, Stop};

/// A user looks at the page that waits for it.
const WITHIN: Duration = Duration::from_secs(20);

impl Egress {
    /// Gives Looker a state to keep. The URL is good for one POST.
    ///
    /// It goes as a JSON object with its media type: Looker does not store a text. Looker has
    /// answered with statuses below 100 although it had stored the state, so these count as taken.
    /// Protocol fact B.
    ///
    /// # Errors
    /// A Looker error that does not quote the URL, whose path is a secret.
    pub(crate) async fn give_state(&self, url: &Url, state: &serde_json::Value) -> Result<()> {
        let peer = Peer::looker("Looker");
        let target = Target::parse(url.as_str())?;
        let headers: HeaderMap =
            [(CONTENT_TYPE, HeaderValue::from_static("application/json"))].into_iter().collect();
        let (stop, idle) = (Stop::new(), self.inner.idle_timeout);
        let until = Some(Until::from_now(WITHIN));
        let client = &self.inner.client;
        let attempt =
            Attempt { egress: &self.inner, client, peer: &peer, stop: &stop, until, idle };
        let body = state.to_string().into();
        let answer = match Box::pin(attempt.run(&Method::POST, &target, headers, body)).await {
            Ok(answer) => answer,
            Err(failure) if odd(&failure.error) => {
                tracing::info!("Looker answered the login with a status below 100");
                return Ok(());
            }
            Err(failure) => return Err(failure.error),
        };
        if answer.response.status().is_success() {
            return Ok(());
        }
        let reading = Reading {
            peer: peer.clone(),
            stop: stop.clone(),
            until,
            idle,
            uncertain: false,
            lost: false,
            upload: answer.upload,
        };
        Err(Reply::new(answer.response, reading).refusal().await)
    }
}

fn odd(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| find::<OddStatus>(cause).is_some())
}
