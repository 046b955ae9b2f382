//! Turns at a vendor that allows so many requests in a time, for requests that are no batches of
//! rows.

use std::sync::Arc;
use std::time::Duration;

use super::{Http, Pace, Rate};
use crate::Result;

/// Turns to ask a vendor: each request takes one, at a rate that all deliveries to the same account
/// share.
///
/// ```
/// # use sendoff::{Http, Rate, Result};
/// # async fn ask(http: &Http) -> Result<()> {
/// let turns = http.turns(Rate::Requests(4.0), "bell 7f3a");
/// for bell in ["west", "east"] {
///     let call = turns.next().await?.post(format!("https://bell.example/{bell}/ring"));
///     call.send().await?.success().await?.text().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Turns {
    http: Http,
    pace: Arc<Pace>,
}

impl Turns {
    /// Waits for a turn and gives the door for its one request. If the vendor answers that request
    /// with 429 everybody waits who shares the rate, and it is sent again, unless the call is
    /// `once`: a 429 is the vendor's word that it did nothing.
    ///
    /// # Errors
    /// The stop's sentence.
    pub async fn next(&self) -> Result<Http> {
        self.http.stop.unless_stopped(self.pace.admit(1)).await?;
        Ok(self.http.paced(&self.pace, 1))
    }
}

impl Http {
    /// Turns at this rate, shared with all deliveries that use the same account at the same time.
    /// Give the vendor's name and a digest of the credentials, or whatever the limit belongs to.
    pub fn turns(&self, rate: Rate, account: &str) -> Turns {
        let make = || Pace::new(rate, Duration::ZERO, self.second());
        Turns { http: self.clone(), pace: self.shared_pace(account, make) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::{Egress, EgressConfig, Scope, Stop};

    #[tokio::test(start_paused = true)]
    async fn two_deliveries_to_one_account_take_turns() {
        let egress = Egress::new(EgressConfig::new("a secret".into())).unwrap();
        let stop = Stop::new();
        let other = Scope { stop: stop.clone(), ..Scope::new("Bell") };
        let (one, other) = (egress.http(Scope::new("Bell")), egress.http(other));
        let began = Instant::now();
        let turns = [&one, &other].map(|http| http.turns(Rate::Requests(4.0), "bell"));
        for n in 0..9 {
            turns[n % 2].next().await.unwrap();
        }
        assert_eq!(began.elapsed().as_millis(), 2_000);
        // Who is stopped waits for no turn.
        stop.stop(crate::Reason::Draining);
        assert!(turns[1].next().await.is_err());
        assert_eq!(began.elapsed().as_millis(), 2_000);
    }
}
