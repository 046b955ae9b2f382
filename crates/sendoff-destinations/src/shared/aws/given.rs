//! The keys that sign for a delivery: those that Looker's admin set, or the hub's own; themselves,
//! or as a role that they take on.

use sendoff::Http;
use sendoff::prelude::*;

use super::{Keys, OwnKeys, Role, assume};

/// Fields to flatten into settings, behind the two keys and the region.
#[derive(Fields)]
pub(crate) struct Further {
    /// Only for temporary keys: the token that belongs to them.
    session_token: Option<Secret>,
    /// A role to take on with the keys (STS AssumeRole), such as
    /// arn:aws:iam::123456789012:role/looker. Leave empty to use the keys themselves.
    #[field(label = "Role ARN")]
    role_arn: Option<String>,
    /// The external id that the role asks for, if it does.
    #[field(label = "External ID")]
    external_id: Option<String>,
}

/// The keys as an admin set them.
pub(crate) struct Given<'a> {
    /// As sentences name it: `Amazon S3`.
    pub(crate) vendor: &'static str,
    pub(crate) id: Option<&'a Secret>,
    pub(crate) secret: Option<&'a Secret>,
    pub(crate) further: &'a Further,
}

impl Given<'_> {
    /// Keys to sign with. `own` may stand in for keys that are not set; scheme and host of `sts` are
    /// where roles are taken on.
    ///
    /// # Errors
    /// A settings error if one of the two keys is missing; AWS's refusal.
    pub(crate) async fn keys(
        &self,
        http: &Http,
        own: Option<&OwnKeys>,
        region: &str,
        sts: (&str, &str),
    ) -> Result<Keys> {
        let missing = |field, what| {
            Err(Error::settings(format!("The {what} of {} is missing.", self.vendor)).field(field))
        };
        let keys = match (self.id, self.secret, own) {
            (Some(id), Some(secret), _) => {
                let (id, secret) = (id.clone(), secret.clone());
                Keys { id, secret, token: self.further.session_token.clone() }
            }
            (None, None, Some(own)) => own.get(http, sts.1).await?,
            (None, ..) => return missing("access_key_id", "access key"),
            (_, None, _) => return missing("secret_access_key", "secret key"),
        };
        let external_id = self.further.external_id.as_deref();
        let Some(arn) = self.further.role_arn.as_deref() else { return Ok(keys) };
        let role = Role { arn, external_id, endpoint: sts };
        assume(http, &keys, region, role).await
    }
}
