//! A stand-in for Spaces, written from <https://docs.digitalocean.com/reference/api/spaces/> as it
//! was on 24 November 2026: S3's dialect under another host, without conditions.

use std::sync::Arc;

use sendoff::AnyAction;
use sendoff::testing::Fake;

use super::DigitalOceanSpaces;
use crate::amazon_s3::fake::FakeS3;

/// The action and its stand-in.
pub(crate) fn fake() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let fake = FakeS3::new(
        "https://*.digitaloceanspaces.com",
        "nyc3.digitaloceanspaces.com",
        "nyc3",
        &[
            ("access_key_id", "DO00CANARYSPACESKEY0"),
            ("secret_access_key", "canary/secret+access/key/of/spaces/00000000"),
            ("region", "NYC3"),
        ],
        false,
    );
    (Box::new(DigitalOceanSpaces), Arc::new(fake))
}
