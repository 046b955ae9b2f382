//! HubSpot's stand-in, as it knows companies.

use std::sync::Arc;

use sendoff::AnyAction;
use sendoff::testing::Fake;

use super::HubspotCompanies;
use crate::shared::hubspot::fake::FakeHubspot;

/// The action and its vendor.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    (Box::new(HubspotCompanies), Arc::new(FakeHubspot::new("companies", "hubspot_company_id")))
}
