//! HubSpot: rows update companies.

#[cfg(feature = "fakes")]
mod fake;

use sendoff::pipeline::Pick;
use sendoff::prelude::*;
use sendoff::{Commit, Repeatable};

use crate::shared::hubspot::{Form, Objects, Settings};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Updates companies in HubSpot.
pub(crate) struct HubspotCompanies;

const OBJECTS: Objects = Objects { path: "companies", id: Pick::tagged(&["hubspot_company_id"]) };

impl Action for HubspotCompanies {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("hubspot_companies", "Hubspot Companies")
        .description("Update properties on your Hubspot companies.")
        .formats(&[Format::JsonDetailLiteStream])
        .raw_values()
        .streaming()
        .required_tags(&[&["hubspot_company_id"]])
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://developers.hubspot.com/docs/api-reference/2026-03/overview")
        .delivery(Repeatable::Parts, Commit::Streaming, false);

    async fn form(&self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        OBJECTS.form(cx, form).await
    }

    fn lane(&self, _: &Settings, _: &Form) -> String {
        "hubspot".to_owned()
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        OBJECTS.deliver(cx, form, data).await
    }
}
