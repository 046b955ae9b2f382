//! Twilio's stand-in, as it takes a message a row.

use std::sync::Arc;

use sendoff::AnyAction;
use sendoff::testing::Fake;

use super::TwilioMessage;
use crate::shared::twilio::fake::FakeTwilio;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    // The single braces stand for themselves.
    let answers = [("message", "Hello {{users.first_name}}, {ready}?")].into_iter().collect();
    (Box::new(TwilioMessage), Arc::new(FakeTwilio::of_rows(answers)))
}
