//! HubSpot: rows update companies.

#[cfg(feature = "fakes")]
mod fake;

use sendoff::pipeline::Pick;
use sendoff::prelude::*;

use crate::shared::hubspot::{self, Form, Objects, Settings};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Updates companies in HubSpot.
pub(crate) struct HubspotCompanies;

const OBJECTS: Objects = Objects { path: "companies", id: Pick::tagged(&["hubspot_company_id"]) };

impl Action for HubspotCompanies {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = hubspot::spec("hubspot_companies", "Hubspot Companies")
        .description("Update properties on your Hubspot companies.")
        .required_tags(&[&["hubspot_company_id"]])
        .svg(include_bytes!("icon.svg"));

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        OBJECTS.form(cx, form).await
    }

    fn lane(&self, _: &Settings, _: &Form) -> String {
        hubspot::LANE.to_owned()
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        OBJECTS.deliver(cx, form, data).await
    }
}
