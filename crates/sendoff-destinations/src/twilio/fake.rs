//! Twilio's stand-in, as it takes one message a result.

use std::sync::Arc;

use sendoff::AnyAction;
use sendoff::testing::Fake;

use super::Twilio;
use crate::shared::twilio::fake::FakeTwilio;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let answers = [("to", "+43 699 12345678")].into_iter().collect();
    (Box::new(Twilio), Arc::new(FakeTwilio::of_results(answers)))
}
