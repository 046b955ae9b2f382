//! HubSpot's stand-in, as it knows contacts.

use std::sync::Arc;

use sendoff::AnyAction;
use sendoff::testing::Fake;

use super::HubspotContacts;
use crate::shared::hubspot::fake::FakeHubspot;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(HubspotContacts), Arc::new(FakeHubspot::new("contacts", "hubspot_contact_id")))
}
