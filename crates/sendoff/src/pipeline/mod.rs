//! Rows to a vendor that takes rows: in batches, some at a time, at its pace, each row accounted
//! for.
//!
//! A destination says what the vendor takes ([`BatchLimits`]), writes one row ([`Encoded`]) and
//! sends one batch ([`Reply`]). The rest is here: batches by count and by bytes, back-pressure to
//! Looker, the rate, what 429 asks for, what was accepted, refused, skipped or lost, and the
//! sentence for the user.
//!
//! ```
//! use sendoff::pipeline::{Batch, BatchLimits, Encoded, OnRefusal, Pick, Pipeline, Reply};
//! use sendoff::prelude::*;
//! use sendoff::{Commit, Repeatable};
//!
//! struct Bell;
//!
//! #[derive(Fields)]
//! struct Form {
//!     #[field(flatten)]
//!     on_refusal: OnRefusal,
//! }
//!
//! /// https://bell.example/docs/limits
//! const LIMITS: BatchLimits = BatchLimits::new(100, 1 << 20).parallel(4);
//! const EMAIL: Pick = Pick::tagged(&["email"]);
//!
//! impl Action for Bell {
//!     type Settings = ();
//!     type Form = Form;
//!     const SPEC: Spec = Spec::new("bell", "Bell").delivery(
//!         Repeatable::Parts,
//!         Commit::Streaming,
//!         false,
//!     );
//!
//!     async fn execute(&self, cx: &Context<()>, form: Form, data: Payload) -> Result<Receipt> {
//!         let rows = data.rows().await?;
//!         let email = EMAIL.require(rows.columns())?;
//!         Pipeline::new(cx, LIMITS)
//!             .json_list()
//!             .policy(form.on_refusal.policy())
//!             .run(
//!                 rows,
//!                 |row, out| {
//!                     let email = row.get(&email).value();
//!                     if email.is_empty() {
//!                         return Ok(Encoded::refused("it has no email address"));
//!                     }
//!                     email.write_json(out);
//!                     Ok(Encoded::Row)
//!                 },
//!                 |batch| ring(batch),
//!             )
//!             .await
//!     }
//! }
//!
//! async fn ring(batch: Batch) -> Result<Reply> {
//!     let call = batch.http().post("https://bell.example/ring").body(batch.body());
//!     let call = call.header("Content-Type", "application/json");
//!     let call = call.header("Idempotency-Key", batch.key()).repeatable();
//!     let answer = match call.send().await?.success().await {
//!         Ok(answer) => answer,
//!         // A refusal of what is in the rows, or one that ends the delivery?
//!         Err(fault) => return Reply::refusal(fault),
//!     };
//!     if !answer.text().await?.contains("rung") {
//!         return Err(Error::vendor("Bell did not say that it rang."));
//!     }
//!     Ok(Reply::accepted())
//! }
//! # let _: Box<dyn sendoff::AnyAction> = Box::new(Bell);
//! ```
//!
//! Whatever a destination keeps while it encodes (what it has seen, a column that came late) the
//! first closure may own and change: rows come to it one after the other, in order. Batches are
//! sent some at a time, so what the second closure changes needs a lock; with
//! [`parallel(1)`](BatchLimits::parallel), the default, the order of rows is kept, but for the rows
//! of a first batch that is refused as a whole.
//!
//! A delivery that is sent again under the same webhook id and with the same form leaves out the
//! rows that the vendor had before, where the spec says
//! [`Repeatable::Nothing`](crate::Repeatable::Nothing): this process remembers them for a day, up to
//! 65,536 of a delivery. A row that may have arrived is not sent again either; it makes the delivery
//! a failure that may have arrived.

mod batch;
mod keys;
mod pick;
mod policy;
mod reply;
mod run;
mod sample;
mod tally;
#[cfg(test)]
mod tests;
mod tries;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::egress::{Http, Pace, Rate};
use crate::{Context, Receipt, Result, Row, Rows};

pub use batch::{Batch, BatchRow, Encoded};
pub use keys::RowKeys;
pub use pick::Pick;
pub(crate) use pick::hidden_fields;
pub use policy::{OnRefusal, Policy};
pub use reply::Reply;
pub(crate) use tries::{Earlier, Tries};

/// What a vendor takes, as its documentation says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchLimits {
    rows: usize,
    bytes: usize,
    row_bytes: usize,
    parallel: usize,
    rate: Rate,
    cool_down: Duration,
}

impl BatchLimits {
    /// So many rows and bytes in a request at most, one request at a time, as fast as the vendor
    /// answers.
    ///
    /// The bytes are those of the whole body. A vendor that names no limit gets one all the same:
    /// `parallel` + 1 such bodies are in memory at a time.
    pub const fn new(rows: usize, bytes: usize) -> Self {
        Self {
            rows,
            bytes,
            row_bytes: bytes,
            parallel: 1,
            rate: Rate::Unlimited,
            cool_down: Duration::ZERO,
        }
    }

    /// The bytes of one row at most; a longer one is refused here.
    pub const fn row_bytes(mut self, bytes: usize) -> Self {
        self.row_bytes = bytes;
        self
    }

    /// So many requests at a time; with more than 1 the order of rows is lost.
    pub const fn parallel(mut self, requests: usize) -> Self {
        self.parallel = requests;
        self
    }

    /// How fast the vendor may be asked.
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.rate = rate;
        self
    }

    /// How long all requests rest after a 429 that names no time.
    pub const fn cool_down(mut self, rest: Duration) -> Self {
        self.cool_down = rest;
        self
    }
}

/// What stands around the rows in a body.
#[derive(Clone, Debug, Default)]
struct Frame {
    before: Cow<'static, str>,
    between: &'static str,
    after: Cow<'static, str>,
}

/// Sends rows; see the [module](self).
#[must_use = "a pipeline does nothing until it runs"]
#[derive(Debug)]
pub struct Pipeline {
    http: Http,
    target: String,
    limits: BatchLimits,
    frame: Frame,
    policy: Policy,
    bisects: bool,
    account: Option<String>,
    /// What was sent of this delivery before.
    earlier: Option<Earlier>,
}

impl Pipeline {
    /// A pipeline to the vendor of this delivery. It stops at the first refused row, unless
    /// [`policy`](Self::policy) says otherwise.
    pub fn new<S>(cx: &Context<S>, limits: BatchLimits) -> Self {
        Self { earlier: cx.call.earlier.clone(), ..Self::through(cx.http(), limits) }
    }

    fn through(http: &Http, limits: BatchLimits) -> Self {
        Self {
            http: http.clone(),
            target: http.vendor().to_owned(),
            limits,
            frame: Frame::default(),
            policy: Policy::stop(),
            bisects: false,
            account: None,
            earlier: None,
        }
    }

    /// What the user calls the place that the rows go to; the action's label unless it is set.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    /// What stands before the first row of a body, between two, and behind the last. Nothing
    /// unless it is set.
    pub fn frame(
        mut self,
        before: impl Into<Cow<'static, str>>,
        between: &'static str,
        after: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.frame = Frame { before: before.into(), between, after: after.into() };
        self
    }

    /// A body is a JSON list of the rows.
    pub fn json_list(self) -> Self {
        self.frame("[", ",", "]")
    }

    /// What becomes of a delivery when rows are refused.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sends a batch that was [refused as a whole](Reply::refused) again in halves, and those in
    /// theirs, until each row that is at fault stands alone: for vendors that refuse all for one.
    /// A half has a [key](Batch::key) of its own.
    ///
    /// Of the first batch that is refused while nothing was accepted, three rows are tried alone
    /// before that. If each is refused in the words in which all were, the rows are not at fault:
    /// the delivery ends.
    pub fn bisecting(mut self) -> Self {
        self.bisects = true;
        self
    }

    /// Keeps the rate together with all deliveries that go to the same account at the same time.
    /// Give the vendor's name and a digest of the credentials, or whatever the limit belongs to.
    pub fn shared_by(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Reads all rows, and sends them.
    ///
    /// `encode` appends a row to the buffer as it stands in a body, without what stands between
    /// rows. `send` sends one batch, through [`Batch::http`].
    ///
    /// # Errors
    /// Looker's, when its data breaks off; `encode`'s and `send`'s own, which end the delivery; a
    /// sentence that counts what was refused, as the policy says. Each tells what was accepted
    /// before, and what may have arrived.
    pub async fn run<E, S, F>(self, rows: Rows, encode: E, send: S) -> Result<Receipt>
    where
        E: FnMut(&Row, &mut Vec<u8>) -> Result<Encoded> + Send,
        S: Fn(Batch) -> F + Send + Sync,
        F: Future<Output = Result<Reply>> + Send,
    {
        let BatchLimits { rate, cool_down, .. } = self.limits;
        let make = || Pace::new(rate, cool_down, self.http.second());
        let pace = match &self.account {
            Some(account) => self.http.shared_pace(account, make),
            None => Arc::new(make()),
        };
        // Boxed: it holds a batch, a row and all that is on its way.
        Box::pin(run::run(self, pace, rows, encode, send)).await
    }
}
