//! Where a definition differs from the reference hub's on purpose, and why.
//!
//! An entry that no longer differs fails the suite.

use sendoff::testing::suite::Difference;

/// Every intended difference.
pub const ALL: &[Difference] = &[
    Difference {
        action: "airtable",
        pointer: "/supported_formats",
        reason: "json_detail_lite_stream is made to be streamed.",
    },
    Difference {
        action: "airtable",
        pointer: "/supported_download_settings",
        reason: "It streams, so that \"All Results\" can be sent.",
    },
    Difference {
        action: "amazon_s3",
        pointer: "/params/0/required",
        reason: "A hub on AWS may have keys of its own; without them both keys are demanded.",
    },
    Difference {
        action: "amazon_s3",
        pointer: "/params/1/required",
        reason: "A hub on AWS may have keys of its own; without them both keys are demanded.",
    },
    Difference {
        action: "aws_ec2_stop_instance",
        pointer: "/params/0/required",
        reason: "A hub on AWS may have keys of its own; without them both keys are demanded.",
    },
    Difference {
        action: "aws_ec2_stop_instance",
        pointer: "/params/1/required",
        reason: "A hub on AWS may have keys of its own; without them both keys are demanded.",
    },
    Difference {
        action: "aws_ec2_stop_instance",
        pointer: "/form_url",
        reason: "An optional form asks how to stop, limits how many, and tries without doing.",
    },
    Difference {
        action: "aws_ec2_stop_instance",
        pointer: "/required_fields",
        reason: "A field may carry either of two tags.",
    },
    Difference {
        action: "azure_storage",
        pointer: "/params/1/required",
        reason: "A SAS token or an Entra application may stand in place of the account's key.",
    },
    Difference {
        action: "digitalocean_droplet",
        pointer: "/form_url",
        reason: "An optional form asks how to stop, and limits how many.",
    },
    Difference {
        action: "digitalocean_droplet",
        pointer: "/params/0/description",
        reason: "The reference says nothing; an admin must know which scopes the token needs.",
    },
    Difference {
        action: "digitalocean_object_storage",
        pointer: "/params/2/description",
        reason: "The reference's text ends in a space that nobody sees.",
    },
    Difference {
        action: "hubspot_companies",
        pointer: "/form_url",
        reason: "An optional form chooses how records are found and what becomes of refused rows.",
    },
    Difference {
        action: "hubspot_companies",
        pointer: "/required_fields",
        reason: "Any of one tag is that tag.",
    },
    Difference {
        action: "hubspot_contacts",
        pointer: "/form_url",
        reason: "An optional form chooses how records are found and what becomes of refused rows.",
    },
    Difference {
        action: "hubspot_contacts",
        pointer: "/required_fields",
        reason: "Any of one tag is that tag.",
    },
    Difference {
        action: "segment_event",
        pointer: "/form_url",
        reason: "An optional form chooses what becomes of refused rows.",
    },
    Difference {
        action: "segment_group",
        pointer: "/form_url",
        reason: "An optional form chooses what becomes of refused rows.",
    },
    Difference {
        action: "segment_group",
        pointer: "/required_fields",
        reason: "Without a group id there is no call; the reference's list of user ids replaces its \
                 group tag in Looker's reading.",
    },
    Difference {
        action: "google_cloud_storage",
        pointer: "/params/0/required",
        reason: "A service account's whole key file may stand in place of the three.",
    },
    Difference {
        action: "google_cloud_storage",
        pointer: "/params/1/required",
        reason: "A service account's whole key file may stand in place of the three.",
    },
    Difference {
        action: "google_cloud_storage",
        pointer: "/params/2/required",
        reason: "A service account's whole key file may stand in place of the three.",
    },
    Difference {
        action: "dropbox",
        pointer: "/supported_download_settings",
        reason: "It streams, so that a result of any size can be sent.",
    },
    Difference {
        action: "google_sheets",
        pointer: "/supported_formats",
        reason: "json_detail tells numbers from texts.",
    },
    Difference {
        action: "sftp",
        pointer: "/supported_action_types",
        reason: "A rendered dashboard is a file like any other.",
    },
    Difference {
        action: "sftp",
        pointer: "/supported_download_settings",
        reason: "It streams, so that a result of any size can be sent.",
    },
    Difference {
        action: "slack",
        pointer: "/params/0/description",
        reason: "The reference's text names scopes that no new app can have.",
    },
    Difference {
        action: "slack",
        pointer: "/supported_download_settings",
        reason: "It spools, so that \"All Results\" can be sent.",
    },
    Difference {
        action: "teams_incomingwebhook",
        pointer: "/description",
        reason: "A sentence ends with a full stop.",
    },
    Difference {
        action: "teams_incomingwebhook",
        pointer: "/supported_formats",
        reason: "json_detail carries the values as Looker shows them; a dashboard can be any PDF.",
    },
    Difference {
        action: "twilio",
        pointer: "/params/1/required",
        reason: "An API key may stand in place of the account's own token.",
    },
    Difference {
        action: "twilio",
        pointer: "/params/2/required",
        reason: "A Messaging Service may stand in place of a number.",
    },
    Difference {
        action: "twilio_message",
        pointer: "/supported_download_settings",
        reason: "It streams, so that \"All Results\" can be sent.",
    },
    Difference {
        action: "twilio_message",
        pointer: "/supported_formats",
        reason: "The streamed format is added for results of any size.",
    },
    Difference {
        action: "twilio_message",
        pointer: "/params/1/required",
        reason: "An API key may stand in place of the account's own token.",
    },
    Difference {
        action: "twilio_message",
        pointer: "/params/2/required",
        reason: "A Messaging Service may stand in place of a number.",
    },
];
