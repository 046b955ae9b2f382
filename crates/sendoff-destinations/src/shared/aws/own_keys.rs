//! Keys of the hub's own, from where AWS puts them for the programs that run there.
//!
//! The order is that of Amazon's SDKs: keys in the environment, a web identity (Kubernetes), the
//! container's endpoint (ECS, Fargate, EKS Pod Identity), the machine's metadata service.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

use std::path::PathBuf;

use http::Method;
use jiff::Timestamp;
use sendoff::{Error, Http, Result, Secret};
use serde::Deserialize;
use url::Url;

use super::Keys;
use crate::shared::platform::{Kept, PATIENCE, token_file};
use crate::shared::xml;

/// The metadata service, where the environment names no other address.
const MACHINE: &str = "http://169.254.169.254";
/// Where a container finds its endpoint if the environment gives a path alone.
const CONTAINER: &str = "http://169.254.170.2";
/// Who may be asked by http: these never leave the machine.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
const NEAR: [&str; 6] =
    ["localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// What the environment of a program on AWS says about its keys. Whoever reads the environment
/// fills it in.
#[derive(Clone, Debug, Default)]
pub struct AwsEnvironment {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: Option<Secret>,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Option<Secret>,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<Secret>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub web_identity_token_file: Option<PathBuf>,
    /// `AWS_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// `AWS_ROLE_SESSION_NAME`, which AWS's own log names; `sendoff` unless set.
    pub role_session_name: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.
    pub container_path: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub container_url: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    pub container_token: Option<Secret>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`.
    pub container_token_file: Option<PathBuf>,
    /// `AWS_EC2_METADATA_DISABLED`.
    pub no_machine: bool,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub machine_url: Option<String>,
}

/// The hub's own keys.
#[derive(Debug)]
pub(crate) struct OwnKeys {
    environment: AwsEnvironment,
    kept: Kept<Keys>,
}

/// What the container's endpoint and the metadata service answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Timestamp,
}

impl OwnKeys {
    pub(crate) fn new(environment: AwsEnvironment) -> Self {
        Self { environment, kept: Kept::default() }
    }

    /// Keys that are good for some minutes. The role of a web identity is asked for at `sts`.
    ///
    /// # Errors
    /// The hub's: nobody but its operator can mend it.
    pub(crate) async fn get(&self, http: &Http, sts: &str) -> Result<Keys> {
        let from = &self.environment;
        if let (Some(id), Some(secret)) = (&from.access_key_id, &from.secret_access_key) {
            let (id, secret) = (id.clone(), secret.clone());
            return Ok(Keys { id, secret, token: from.session_token.clone() });
        }
        self.kept.or_ask(self.ask(http, sts)).await.map_err(|fault| {
            Error::hub(
                "This hub's own keys for AWS cannot be had now. Its operator finds the cause in \
                 the log; keys of your own can be set instead.",
            )
            .cause(fault)
        })
    }

    async fn ask(&self, http: &Http, sts: &str) -> Result<(Keys, Timestamp)> {
        let from = &self.environment;
        if let (Some(file), Some(role)) = (&from.web_identity_token_file, &from.role_arn) {
            let session = from.role_session_name.as_deref().unwrap_or("sendoff");
            return web_identity(http, sts, &token_file(file, "AWS").await?, role, session).await;
        }
        let near = http.for_operators_address();
        if let Some(url) = from.container()? {
            let token = match &from.container_token_file {
                Some(file) => Some(token_file(file, "AWS").await?),
                None => from.container_token.clone(),
            };
            let mut call = near.get(url.as_str()).timeout(PATIENCE);
            if let Some(token) = token {
                call = call.secret_header("Authorization", &token);
            }
            return given(&call.send().await?.success().await?.text().await?);
        }
        if from.no_machine {
            return Err(Error::hub("The environment names no keys for AWS."));
        }
        machine(&near, from.machine_url.as_deref().unwrap_or(MACHINE)).await
    }
}

impl AwsEnvironment {
    /// Where a container asks.
    fn container(&self) -> Result<Option<Url>> {
        let text = match (&self.container_path, &self.container_url) {
            (Some(path), _) => format!("{CONTAINER}{path}"),
            (None, Some(url)) => url.clone(),
            (None, None) => return Ok(None),
        };
        let sound = |url: &Url| {
            url.scheme() == "https" || url.host_str().is_some_and(|host| NEAR.contains(&host))
        };
        match Url::parse(&text) {
            Ok(url) if sound(&url) => Ok(Some(url)),
            _ => Err(Error::hub(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or an address of this machine.",
            )),
        }
    }
}

/// The second version of the metadata service only: the first answers whoever can make a program
/// of this machine send a GET.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>
async fn machine(near: &Http, base: &str) -> Result<(Keys, Timestamp)> {
    let base = base.trim_end_matches('/');
    let token = near
        .request(Method::PUT, format!("{base}/latest/api/token"))
        .header("X-aws-ec2-metadata-token-ttl-seconds", "60")
        .reads()
        .timeout(PATIENCE);
    let token: Secret = token.send().await?.success().await?.text().await?.into();
    let ask = async |path: String| {
        let call = near.get(format!("{base}/latest/meta-data/iam/security-credentials/{path}"));
        let call = call.secret_header("X-aws-ec2-metadata-token", &token).timeout(PATIENCE);
        call.send().await?.success().await?.text().await
    };
    let roles = ask(String::new()).await?;
    let role = roles.lines().next().unwrap_or_default().trim();
    if role.is_empty() {
        return Err(Error::hub("This machine has no role."));
    }
    given(&ask(role.to_owned()).await?)
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
async fn web_identity(
    http: &Http,
    sts: &str,
    token: &Secret,
    role: &str,
    session: &str,
) -> Result<(Keys, Timestamp)> {
    let call = http
        .post(format!("https://{sts}/"))
        .form([
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", session),
            ("WebIdentityToken", token.expose()),
        ])
        .reads();
    let answer = call.send().await?.success().await?.text().await?;
    let part = |tag| xml::text(&answer, tag).filter(|text| !text.is_empty());
    let end = part("Expiration").and_then(|text| text.parse().ok());
    match (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken"), end) {
        (Some(id), Some(secret), Some(token), Some(end)) => {
            Ok((Keys { id: id.into(), secret: secret.into(), token: Some(token.into()) }, end))
        }
        _ => Err(Error::hub("The security token service of AWS answered without keys.")),
    }
}

fn given(json: &str) -> Result<(Keys, Timestamp)> {
    let given: Given = serde_json::from_str(json)
        // serde's words name members and places, not values.
        .map_err(|fault| Error::hub("What answered for AWS gave no keys.").cause(fault))?;
    let Given { access_key_id: id, secret_access_key: secret, token, expiration } = given;
    Ok((Keys { id: id.into(), secret: secret.into(), token: Some(token.into()) }, expiration))
}
