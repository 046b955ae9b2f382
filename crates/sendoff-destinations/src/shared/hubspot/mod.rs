//! HubSpot's CRM objects: rows become updates of records, a hundred in a request.
//!
//! <https://developers.hubspot.com/docs/api-reference/2026-03/crm/objects/contacts/batch/update-contacts>
//!
//! The date in the paths is HubSpot's version. From 2026-09 on it also enforces required
//! properties on updates, which would refuse rows that reach it today.

#[cfg(feature = "fakes")]
pub(crate) mod fake;
mod mapping;
mod property;
mod reply;
mod rows;

use sendoff::pipeline::{Batch, BatchLimits, OnRefusal, Pick, Pipeline, Reply};
use sendoff::prelude::*;
use sendoff::{Commit, LookerVersion, Rate, Repeatable};
use sha2::{Digest, Sha256};

use crate::Difference;
use crate::shared::aws::hex;
use mapping::Mapping;
use rows::Encoder;

/// What a Looker admin fills in once.
#[derive(Fields)]
pub(crate) struct Settings {
    /// Access Token of your Private Hubspot App.
    #[field(label = "Hubspot Access Token")]
    hubspot_access_token: Secret,
    /// The number of objects to batch update per call (defaulted to 10)
    #[field(label = "Batch Update Size")]
    hubspot_batch_update_size: Option<u32>,
}

/// What a user fills in for each delivery. Every field is optional: the reference has no form.
#[derive(Fields)]
pub(crate) struct Form {
    /// How a row finds its record.
    #[field(default = "update")]
    mode: Mode,
    /// The HubSpot property whose value is unique, such as email: for the two modes that need one.
    /// The tagged column then holds its values.
    #[field(label = "Unique Property")]
    id_property: Option<String>,
    /// What happens if the query has a column that is no property in HubSpot, or a read-only one.
    #[field(default = "fail")]
    unknown_columns: Unknown,
    /// What an empty value does to the property.
    #[field(default = "keep")]
    empty_values: Empty,
    #[field(flatten)]
    on_refusal: OnRefusal,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    #[choice(label = "Update the record with that id")]
    Update,
    #[choice(label = "Update the record with that unique property")]
    UpdateByProperty,
    #[choice(label = "Update it by a unique property, or create it")]
    Upsert,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    #[choice(label = "Send nothing and name the column")]
    Fail,
    #[choice(label = "Leave the column out")]
    Ignore,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    #[choice(label = "Leave it as it is")]
    Keep,
    #[choice(label = "Clear it")]
    Clear,
}

/// What the actions have in common.
pub(crate) const fn spec(name: &'static str, label: &'static str) -> Spec {
    Spec::new(name, label)
        .formats(&[Format::JsonDetailLiteStream])
        .raw_values()
        .streaming()
        .minimum_looker(LookerVersion::new(6, 2, 0))
        .vendor_docs("https://developers.hubspot.com/docs/api-reference/2026-03/overview")
        .delivery(Repeatable::Parts, Commit::Streaming, false)
}

/// All records are at one host.
pub(crate) const LANE: &str = "hubspot";

/// One kind of record.
#[derive(Clone, Copy)]
pub(crate) struct Objects {
    /// As it stands in paths: `contacts`.
    pub(crate) path: &'static str,
    /// The column of the ids.
    pub(crate) id: Pick,
}

/// HubSpot takes 100 records in a request; it names no limit for bytes, and properties hold at
/// most 65,536 characters.
const MOST: u32 = 100;
const BYTES: usize = 4 << 20;

/// A private app may ask 100 times in ten seconds in the smallest account
/// (<https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>).
const RATE: Rate = Rate::Requests(9.0);

/// Requests at a time.
const PARALLEL: usize = 4;

impl Objects {
    /// Offers the properties that are unique and names those that can be written, where the token
    /// may see them.
    pub(crate) async fn form(self, cx: &Context<Settings>, form: &mut View<Form>) -> Result<()> {
        let known = property::list(cx.http(), &cx.settings.hubspot_access_token, self.path).await?;
        let known = known.unwrap_or_default();
        if !known.is_empty() {
            form.unknown_columns.remark(&property::named(&known));
        }
        let unique = known.iter().filter(|property| property.is_unique());
        let choices: Vec<_> =
            unique.map(|property| (property.name.clone(), property.label())).collect();
        if !choices.is_empty() {
            form.id_property.select(choices);
        }
        Ok(())
    }

    /// Sends the rows.
    pub(crate) async fn deliver(
        self,
        cx: &Context<Settings>,
        form: Form,
        data: Payload,
    ) -> Result<Receipt> {
        let token = &cx.settings.hubspot_access_token;
        let id_property = form.id_property()?;
        let rows = data.rows().await?;
        let id = self.id.require(rows.columns())?;
        let known = property::list(cx.http(), token, self.path).await?;
        let mut mapping = Mapping::new(known, &form, cx, id.index);
        mapping.extend(rows.columns())?;
        let most = cx.settings.batch_rows();
        let mut encoder = Encoder::new(&id, id_property, mapping, most);
        let verb = if form.mode == Mode::Upsert { "upsert" } else { "update" };
        let url = format!("https://api.hubapi.com/crm/objects/2026-03/{}/batch/{verb}", self.path);
        let limits = BatchLimits::new(most, BYTES).parallel(PARALLEL).rate(RATE);
        let limits = limits.cool_down(std::time::Duration::from_secs(10));
        let account = hex(&Sha256::digest(token.expose()));
        Pipeline::new(cx, limits)
            .frame("{\"inputs\":[", ",", "]}")
            .policy(form.on_refusal.policy())
            .bisecting()
            .shared_by(format!("hubspot {account}"))
            .run(rows, |row, out| encoder.write(row, out), |batch| post(batch, &url, token))
            .await
    }
}

async fn post(batch: Batch, url: &str, token: &Secret) -> Result<Reply> {
    let call = batch.http().post(url).bearer(token).body(batch.body());
    // The same update twice is the same as once, and so is an upsert.
    let call = call.header("content-type", "application/json").repeatable();
    let reply = call.send().await?;
    if let Some(rest) = reply::rest(&reply) {
        batch.hold(rest);
    }
    reply::read(reply, &batch).await
}

impl Settings {
    /// The reference took any number, and ran for ever with 0.
    fn batch_rows(&self) -> usize {
        self.hubspot_batch_update_size.unwrap_or(MOST).clamp(1, MOST) as usize
    }
}

impl Form {
    fn id_property(&self) -> Result<Option<String>> {
        match (self.mode, &self.id_property) {
            (Mode::Update, _) => Ok(None),
            (_, Some(name)) => Ok(Some(name.trim().to_owned())),
            (_, None) => Err(Error::form(
                "id_property",
                "Choose the unique property by which HubSpot finds the records, such as email.",
            )),
        }
    }
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "A batch size of 0 runs for ever, and one that is no number updates nothing and reports success.",
        ours: "The size is kept between 1 and 100.",
        switch: None,
    },
    Difference {
        reference: "One bad row sinks the other rows of its batch, and the message says only that a request failed.",
        ours: "The batch is halved until the bad row stands alone, and HubSpot's own words are told.",
        switch: None,
    },
    Difference {
        reference: "An empty value is sent as null.",
        ours: "It leaves the property as it is, or clears it.",
        switch: Some("empty_values"),
    },
    Difference {
        reference: "A column that is no property fails its batches.",
        ours: "It is named before anything is sent, or left out.",
        switch: Some("unknown_columns"),
    },
    Difference {
        reference: "Dates are sent as Looker writes them, which HubSpot refuses.",
        ours: "They are sent as HubSpot reads them: midnight in UTC, or the moment in the query's time zone.",
        switch: None,
    },
    Difference {
        reference: "A request has 10 records unless the admin says more, and half a second passes between two.",
        ours: "It has 100, the most that HubSpot takes, and nine requests go out in a second.",
        switch: Some("hubspot_batch_update_size"),
    },
    Difference {
        reference: "Of an answer that some records were refused nothing is read: it counts as a success.",
        ours: "Each record that HubSpot refused is counted, with its words.",
        switch: None,
    },
    Difference {
        reference: "An id that comes twice in a request refuses all of it.",
        ours: "The second row is refused and says which row has the same id. Rows with one id that are more than a request apart are sent, and if requests overlap either may be the last.",
        switch: None,
    },
    Difference {
        reference: "A value that is none of a property's options fails its batch; labels are not understood.",
        ours: "An option's label is sent as its value, and what is no option refuses the row and says which there are.",
        switch: None,
    },
    Difference {
        reference: "A pivoted query sends cells that HubSpot cannot read.",
        ours: "A pivoted field fails the delivery before the row is sent, and is named.",
        switch: None,
    },
    Difference {
        reference: "Lookers from 5.5 to 6.1 see the action and send `json_detail`.",
        ours: "Looker 6.2 is the least, because the data is read as a stream.",
        switch: None,
    },
    Difference {
        reference: "Rows without an id are left out without a word, and ids that are numbers are sent as numbers.",
        ours: "They are counted as skipped, and every id is sent as text.",
        switch: None,
    },
    Difference {
        reference: "The last column with the tag counts.",
        ours: "The first does.",
        switch: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_size_is_one_that_hubspot_takes() {
        for (given, want) in [(None, 100), (Some(0), 1), (Some(10), 10), (Some(500), 100)] {
            let settings =
                Settings { hubspot_access_token: "t".into(), hubspot_batch_update_size: given };
            assert_eq!(settings.batch_rows(), want, "{given:?}");
        }
    }
}
