//! Looker's `download_url`: one GET that works once, whose faults are Looker's.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};

use super::Egress;
use super::attempt::Attempt;
use super::body::Body;
use super::guard::Target;
use super::here::Driver;
use super::peer::Peer;
use super::reply::{Reading, Reply};
use crate::{ByteStream, Error, Result, Stop};

/// How much is read at once: with less, Looker is woken as often as the hub reads.
const READ: usize = 256 * 1024;

impl Egress {
    /// Fetches a `download_url`. It is asked for once: Looker serves each such URL a single time.
    /// `wait` is how long the query may run before the answer begins.
    ///
    /// The stream's length is known where Looker announces one; if fewer bytes come, its last item
    /// is an error.
    ///
    /// # Errors
    /// A Looker error unless the answer is a plain 200; the stop's sentence.
    pub(crate) async fn download(
        &self,
        url: &str,
        wait: Duration,
        stop: &Stop,
    ) -> Result<ByteStream> {
        let peer = Peer::looker("Looker's download");
        let target = Target::parse(url).map_err(|fault| {
            Error::looker(format!("Looker's download_url cannot be called: {fault}"))
        })?;
        let idle = self.inner.idle_timeout;
        // Looker runs the query only now, and answers when its first rows are there.
        let wait = wait.max(idle);
        // Such a URL is asked once: its connection has no second use.
        let mut driver = Driver::default();
        let client = &super::builder(driver.here())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(READ)
            .build(self.inner.connector.clone());
        let attempt =
            Attempt { egress: &self.inner, client, peer: &peer, stop, until: None, idle: wait };
        let get = attempt.run(&Method::GET, &target, HeaderMap::new(), Body::Empty);
        let answer = Box::pin(driver.drive(get)).await.map_err(|failure| failure.error)?;
        let (status, headers) = (answer.response.status(), answer.response.headers());
        let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|e| e != "identity");
        let reading = Reading {
            peer: peer.clone(),
            stop: stop.clone(),
            until: None,
            idle,
            uncertain: false,
            lost: false,
            upload: answer.upload,
        };
        if status != StatusCode::OK {
            let refusal = Reply::new(answer.response, reading);
            return Err(driver.drive(refusal.refusal()).await);
        }
        if encoded {
            return Err(Error::looker(
                "Looker's download came compressed although none was asked for.",
            ));
        }
        Ok(driver.stream(reading.stream(answer.response.into_body(), status)))
    }
}
