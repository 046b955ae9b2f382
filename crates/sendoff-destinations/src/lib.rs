//! Where Looker results go: one folder per destination.
//!
//! A folder holds the action (`mod.rs`), a stand-in for its vendor (`fake.rs`), its icon and what
//! an admin has to do (`setup.md`). What several share lies in `shared`, by dialect.

mod airtable;
mod amazon_s3;
mod aws_ec2_stop_instance;
mod azure_storage;
mod debug;
mod digitalocean_droplet;
mod digitalocean_object_storage;
mod dropbox;
mod file;
mod google_cloud_storage;
mod google_drive;
mod google_sheets;
mod hubspot_companies;
mod hubspot_contacts;
mod jira_create_issue;
mod segment_event;
mod segment_group;
mod segment_track;
mod sendgrid;
#[cfg(feature = "sftp")]
mod sftp;
mod shared;
mod slack;
mod slack_app;
mod smtp_email;
mod teams_incomingwebhook;
mod tray;
mod twilio;
mod twilio_message;
mod webhook;
mod zapier;

use std::path::PathBuf;
#[cfg(feature = "fakes")]
use std::sync::Arc;

use sendoff::AnyAction;
#[cfg(feature = "fakes")]
use sendoff::testing::Fake;
pub use shared::aws::AwsEnvironment;
pub use shared::azure::AzureEnvironment;
pub use shared::google::DriveScope;

/// What the operator decides about destinations.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The folder that `file` writes below. Without one the action is not offered.
    pub file_root: Option<PathBuf>,
    /// Offers `debug`, which delivers nothing.
    pub debug: bool,
    /// Lets `sftp` speak to servers that know no modern algorithm.
    pub sftp_legacy_algorithms: bool,
    /// Lets the actions for AWS use keys of the hub's own where Looker's admin sets none.
    pub aws: Option<AwsEnvironment>,
    /// Lets `azure_storage` use an identity of the hub's own where Looker's admin sets no
    /// credentials.
    pub azure: Option<AzureEnvironment>,
    /// What Google Drive and Google Sheets ask users for who log in.
    pub drive_scope: DriveScope,
    /// Lets Google Cloud Storage use the account that the hub runs as where Looker's admin sets none.
    pub google_own_account: bool,
}

/// Every destination that `config` allows, in the order of their names.
pub fn all(config: &Config) -> Vec<Box<dyn AnyAction>> {
    let mut actions: Vec<Box<dyn AnyAction>> = vec![
        Box::new(airtable::Airtable),
        Box::new(amazon_s3::AmazonS3::new(config.aws.clone())),
        Box::new(aws_ec2_stop_instance::StopInstance::new(config.aws.clone())),
        Box::new(azure_storage::AzureStorage::new(config.azure.clone())),
        Box::new(digitalocean_droplet::Droplet),
        Box::new(digitalocean_object_storage::DigitalOceanSpaces),
        Box::new(dropbox::Dropbox),
        Box::new(google_cloud_storage::GoogleCloudStorage::new(config.google_own_account)),
        Box::new(google_drive::GoogleDrive::new(config.drive_scope)),
        Box::new(google_sheets::GoogleSheets::new(config.drive_scope)),
        Box::new(hubspot_companies::HubspotCompanies),
        Box::new(hubspot_contacts::HubspotContacts),
        Box::new(jira_create_issue::Jira),
        Box::new(segment_event::SegmentEvent),
        Box::new(segment_group::SegmentGroup),
        Box::new(segment_track::SegmentTrack),
        Box::new(sendgrid::SendGrid),
        #[cfg(feature = "sftp")]
        Box::new(sftp::Sftp::new(config.sftp_legacy_algorithms)),
        Box::new(smtp_email::SmtpEmail),
        Box::new(slack::SlackToken),
        Box::new(slack_app::SlackApp),
        Box::new(teams_incomingwebhook::Teams),
        Box::new(tray::Tray),
        Box::new(twilio::Twilio),
        Box::new(twilio_message::TwilioMessage),
        Box::new(webhook::Webhook),
        Box::new(zapier::Zapier),
    ];
    if config.debug {
        actions.push(Box::new(debug::Debug));
    }
    if let Some(root) = &config.file_root {
        actions.push(Box::new(file::LocalFile::new(root.clone())));
    }
    actions.sort_by_key(|action| action.spec().name);
    actions
}

/// Makes a destination and a stand-in for its vendor.
#[cfg(feature = "fakes")]
pub type MakeFake = fn() -> (Box<dyn AnyAction>, Arc<dyn Fake>);

/// How to make each destination with a stand-in for its vendor, in the order of their names.
#[cfg(feature = "fakes")]
pub fn fakes() -> Vec<MakeFake> {
    vec![
        airtable::fake::fake,
        amazon_s3::fake::fake,
        aws_ec2_stop_instance::fake::fake,
        azure_storage::fake::fake,
        debug::fake,
        digitalocean_droplet::fake,
        digitalocean_object_storage::fake::fake,
        dropbox::fake::fake,
        file::fake,
        google_cloud_storage::fake::fake,
        google_drive::fake::fake,
        google_sheets::fake::fake,
        hubspot_companies::fake,
        hubspot_contacts::fake,
        jira_create_issue::fake,
        segment_event::fake,
        segment_group::fake,
        segment_track::fake,
        sendgrid::fake,
        #[cfg(feature = "sftp")]
        sftp::fake,
        smtp_email::fake,
        slack::fake,
        slack_app::fake,
        teams_incomingwebhook::fake,
        tray::fake,
        twilio::fake,
        twilio_message::fake,
        webhook::fake,
        zapier::fake,
    ]
}

/// The destinations whose forms can be answered so that each row becomes something by itself, with
/// stand-ins that give those answers and count rows.
#[cfg(feature = "fakes")]
pub fn fakes_of_rows() -> Vec<MakeFake> {
    vec![jira_create_issue::of_rows, sendgrid::of_rows, smtp_email::of_rows]
}

/// What a destination does otherwise than the reference hub, where that is a known fault of the
/// reference's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the reference hub does, as a sentence.
    pub reference: &'static str,
    /// What ours does, as a sentence.
    pub ours: &'static str,
    /// The param or form field that brings the old behaviour back, if there is one.
    pub switch: Option<&'static str>,
}

/// The differences of each destination that the reference hub has, by its name; an empty list says
/// that there are none. The docs make a table of them.
pub fn differences() -> Vec<(&'static str, &'static [Difference])> {
    vec![
        ("airtable", airtable::DIFFERENCES),
        ("amazon_s3", shared::s3::DIFFERENCES),
        ("aws_ec2_stop_instance", aws_ec2_stop_instance::DIFFERENCES),
        ("azure_storage", azure_storage::DIFFERENCES),
        ("debug", debug::DIFFERENCES),
        ("digitalocean_droplet", digitalocean_droplet::DIFFERENCES),
        ("digitalocean_object_storage", shared::s3::DIFFERENCES),
        ("dropbox", dropbox::DIFFERENCES),
        ("google_cloud_storage", google_cloud_storage::DIFFERENCES),
        ("google_drive", google_drive::DIFFERENCES),
        ("google_sheets", google_sheets::DIFFERENCES),
        ("hubspot_companies", shared::hubspot::DIFFERENCES),
        ("hubspot_contacts", shared::hubspot::DIFFERENCES),
        ("jira_create_issue", jira_create_issue::DIFFERENCES),
        ("segment_event", shared::segment::DIFFERENCES),
        ("segment_event", shared::segment::OF_USERS),
        ("segment_group", shared::segment::DIFFERENCES),
        ("segment_group", segment_group::DIFFERENCES),
        ("segment_track", shared::segment::DIFFERENCES),
        ("segment_track", shared::segment::OF_USERS),
        ("segment_track", segment_track::DIFFERENCES),
        ("sendgrid", sendgrid::DIFFERENCES),
        #[cfg(feature = "sftp")]
        ("sftp", sftp::DIFFERENCES),
        ("slack", shared::slack::DIFFERENCES),
        ("slack", slack::DIFFERENCES),
        ("slack_app", shared::slack::DIFFERENCES),
        ("slack_app", slack_app::DIFFERENCES),
        ("teams_incomingwebhook", teams_incomingwebhook::DIFFERENCES),
        ("tray", shared::hook::DIFFERENCES),
        ("twilio", shared::twilio::DIFFERENCES),
        ("twilio", twilio::DIFFERENCES),
        ("twilio_message", shared::twilio::DIFFERENCES),
        ("twilio_message", twilio_message::DIFFERENCES),
        ("zapier", shared::hook::DIFFERENCES),
        ("zapier", zapier::DIFFERENCES),
    ]
}

/// What an admin has to do for each destination: name and text in Markdown.
pub fn setup_guides() -> &'static [(&'static str, &'static str)] {
    &[
        ("airtable", include_str!("airtable/setup.md")),
        ("amazon_s3", include_str!("amazon_s3/setup.md")),
        ("aws_ec2_stop_instance", include_str!("aws_ec2_stop_instance/setup.md")),
        ("azure_storage", include_str!("azure_storage/setup.md")),
        ("debug", include_str!("debug/setup.md")),
        ("digitalocean_droplet", include_str!("digitalocean_droplet/setup.md")),
        ("digitalocean_object_storage", include_str!("digitalocean_object_storage/setup.md")),
        ("dropbox", include_str!("dropbox/setup.md")),
        ("file", include_str!("file/setup.md")),
        ("google_cloud_storage", include_str!("google_cloud_storage/setup.md")),
        ("google_drive", include_str!("google_drive/setup.md")),
        ("google_sheets", include_str!("google_sheets/setup.md")),
        ("hubspot_companies", include_str!("hubspot_companies/setup.md")),
        ("hubspot_contacts", include_str!("hubspot_contacts/setup.md")),
        ("jira_create_issue", include_str!("jira_create_issue/setup.md")),
        ("segment_event", include_str!("segment_event/setup.md")),
        ("segment_group", include_str!("segment_group/setup.md")),
        ("segment_track", include_str!("segment_track/setup.md")),
        ("sendgrid", include_str!("sendgrid/setup.md")),
        #[cfg(feature = "sftp")]
        ("sftp", include_str!("sftp/setup.md")),
        ("smtp_email", include_str!("smtp_email/setup.md")),
        ("slack", include_str!("slack/setup.md")),
        ("slack_app", include_str!("slack_app/setup.md")),
        ("teams_incomingwebhook", include_str!("teams_incomingwebhook/setup.md")),
        ("tray", include_str!("tray/setup.md")),
        ("twilio", include_str!("twilio/setup.md")),
        ("twilio_message", include_str!("twilio_message/setup.md")),
        ("webhook", include_str!("webhook/setup.md")),
        ("zapier", include_str!("zapier/setup.md")),
    ]
}
