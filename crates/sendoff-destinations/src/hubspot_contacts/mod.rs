//! HubSpot: rows update contacts.

#[cfg(feature = "fakes")]
mod fake;

use sendoff::pipeline::Pick;
use sendoff::prelude::*;

use crate::shared::hubspot::{self, Form, Objects, Settings};

#[cfg(feature = "fakes")]
pub(crate) use fake::fake;

/// Updates contacts in HubSpot.
pub(crate) struct HubspotContacts;

const OBJECTS: Objects = Objects { path: "contacts", id: Pick::tagged(&["hubspot_contact_id"]) };

impl Action for HubspotContacts {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = hubspot::spec("hubspot_contacts", "Hubspot Contacts")
        .description("Update properties on your Hubspot contacts.")
        .required_tags(&[&["hubspot_contact_id"]])
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
