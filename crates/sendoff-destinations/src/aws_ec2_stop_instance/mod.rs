//! Amazon EC2: the instances that a cell or a result names are stopped.

mod ec2;
#[cfg(feature = "fakes")]
pub(crate) mod fake;
mod instance;

use std::collections::BTreeMap;

use sendoff::prelude::*;
use sendoff::{Commit, Repeatable, Row};

use crate::Difference;
use crate::shared::aws::{self, AwsEnvironment, Further, Given, OwnKeys};
use crate::shared::targets::{self, Audit, Outcomes, Wanted};
use ec2::{Ec2, How};
use instance::Instance;

/// The action; see its spec.
pub(crate) struct StopInstance {
    /// Keys of the hub's own, where the operator lets Looker's admin go without.
    own_keys: Option<OwnKeys>,
}

impl StopInstance {
    pub(crate) fn new(environment: Option<AwsEnvironment>) -> Self {
        Self { own_keys: environment.map(OwnKeys::new) }
    }
}

#[derive(Fields)]
#[allow(rustdoc::bare_urls, reason = "the reference's text, which Looker shows as it is")]
pub(crate) struct Settings {
    /// Your access key for EC2.
    #[field(label = "Access Key")]
    access_key_id: Option<Secret>,
    /// Your secret key for EC2.
    #[field(label = "Secret Key")]
    secret_access_key: Option<Secret>,
    /// EC2 Region e.g. us-east-1, us-west-1, ap-south-1 from
    /// http://docs.aws.amazon.com/general/latest/gr/rande.html#s3_region.
    region: String,
    #[field(flatten)]
    further: Further,
    /// Lets users also start and reboot instances with this action.
    allow_start_and_reboot: bool,
}

#[derive(Fields)]
pub(crate) struct Form {
    /// What is done to each instance.
    #[field(default = "stop")]
    operation: Operation,
    /// Ask Amazon whether it would be allowed, and change nothing.
    dry_run: bool,
    /// If the result names more instances than this, none is touched.
    #[field(default = "20")]
    max_instances: u32,
}

#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    #[choice(label = "Stop")]
    Stop,
    #[choice(label = "Stop and hibernate")]
    Hibernate,
    #[choice(label = "Stop by force, without a shutdown of the system")]
    Force,
    #[choice(label = "Stop at once: the system's own shutdown is skipped")]
    SkipOsShutdown,
    #[choice(label = "Start (if the settings allow it)")]
    Start,
    #[choice(label = "Reboot (if the settings allow it)")]
    Reboot,
}

const VENDOR: &str = "Amazon EC2";

/// Either stands on the dimension of the ids; the first counts before the second.
const TAGS: &[&str] = &["aws_resource_id", "aws_instance_id"];

/// What one call may name. Amazon advises small numbers
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html>).
const CHUNK: usize = 50;

impl Action for StopInstance {
    type Settings = Settings;
    type Form = Form;

    const SPEC: Spec = Spec::new("aws_ec2_stop_instance", "AWS EC2 - Stop Instance")
        .description("Stop an EC2 instance.")
        .accepts(&[CellAction, Query])
        .formats(&[Format::JsonDetail])
        .required_tags(&[TAGS])
        .svg(include_bytes!("icon.svg"))
        .vendor_docs("https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html")
        .delivery(Repeatable::Whole, Commit::Streaming, true);

    fn lane(&self, settings: &Settings, _: &Form) -> String {
        format!("ec2 {}", settings.region.trim())
    }

    async fn execute(&self, cx: &Context<Settings>, form: Form, data: Payload) -> Result<Receipt> {
        let how = how(&cx.settings, &form)?;
        let home = aws::region(&cx.settings.region)?;
        let read =
            |text: &str, row: Option<&Row>| instance::read(text, row.and_then(region_of), &home);
        let wanted = Wanted {
            tags: TAGS,
            most: form.max_instances,
            most_field: "max_instances",
            noun: "instance",
            read: &read,
        };
        let targets = targets::read(cx, data, wanted).await?;
        let (mut outcomes, mut fault) = (targets.outcomes, None);
        let audit = Audit::of(cx, Self::SPEC.name);
        let mut regions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Instance { region, id } in &targets.ids {
            regions.entry(region).or_default().push(id);
        }
        for (region, ids) in regions {
            let order = Order { how, region, ids: &ids, audit: &audit };
            match fault {
                None => fault = self.change(cx, order, &mut outcomes).await.err(),
                Some(_) => ids.into_iter().for_each(|id| outcomes.untouched(id)),
            }
        }
        match fault {
            Some(fault) => Err(outcomes.interrupted(VENDOR, fault)),
            None => outcomes.conclude(VENDOR, cx.kind() == Some(CellAction)),
        }
    }
}

/// What is to be done in one region.
struct Order<'a> {
    how: How,
    region: &'a str,
    ids: &'a [&'a str],
    audit: &'a Audit,
}

impl StopInstance {
    /// Changes the instances of a region; what had no turn before an error is noted as untouched.
    async fn change(
        &self,
        cx: &Context<Settings>,
        order: Order<'_>,
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let Order { how, region, ids, audit } = order;
        let (ec2, mut fault) = match self.ec2(cx, region, audit).await {
            Ok(ec2) => (Some(ec2), None),
            Err(error) => (None, Some(error)),
        };
        for chunk in ids.chunks(CHUNK) {
            match &ec2 {
                Some(ec2) if fault.is_none() => {
                    fault = ec2.change(how, chunk, outcomes).await.err()
                }
                _ => chunk.iter().for_each(|id| outcomes.untouched(*id)),
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// EC2 in one region.
    async fn ec2<'a>(
        &self,
        cx: &'a Context<Settings>,
        region: &str,
        audit: &'a Audit,
    ) -> Result<Ec2<'a>> {
        let settings = &cx.settings;
        let given = Given {
            vendor: VENDOR,
            id: settings.access_key_id.as_ref(),
            secret: settings.secret_access_key.as_ref(),
            further: &settings.further,
        };
        let sts = format!("sts.{region}.{}", aws::domain(region));
        let keys = given.keys(cx.http(), self.own_keys.as_ref(), region, ("https", &sts)).await?;
        Ok(Ec2::new(cx.http(), audit, keys, region))
    }
}

fn how(settings: &Settings, form: &Form) -> Result<How> {
    let operation = form.operation;
    let stops = !matches!(operation, Operation::Start | Operation::Reboot);
    if !stops && !settings.allow_start_and_reboot {
        return Err(Error::form(
            "operation",
            "This action may only stop instances. A Looker admin can allow the rest in its \
             settings (Allow Start And Reboot).",
        ));
    }
    Ok(How { operation, dry_run: form.dry_run })
}

/// The region that a row names in a column of its own.
fn region_of(row: &Row) -> Option<&str> {
    let column = row.columns().with_tag("aws_region").next()?;
    row.get(column).value().as_str()
}

/// What differs from the reference hub.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        reference: "One id that does not exist fails the whole request, and no row is reported.",
        ours: "The others are stopped, and the message says what came of each.",
        switch: None,
    },
    Difference {
        reference: "However many instances a result names are stopped.",
        ours: "More than 20 are refused before the first is stopped.",
        switch: Some("max_instances"),
    },
    Difference {
        reference: "Empty, repeated and malformed ids are sent as they are.",
        ours: "Each id is sent once; what is no id is named and never sent.",
        switch: None,
    },
    Difference {
        reference: "Success says nothing: the states that Amazon answers are thrown away.",
        ours: "The message counts the states, and a click on a cell has Looker run the query again.",
        switch: None,
    },
    Difference {
        reference: "Only a field tagged aws_resource_id is taken.",
        ours: "One tagged aws_instance_id is taken too.",
        switch: None,
    },
    Difference {
        reference: "All instances must be in the region of the settings.",
        ours: "An ARN, or a column tagged aws_region, names another.",
        switch: None,
    },
];
