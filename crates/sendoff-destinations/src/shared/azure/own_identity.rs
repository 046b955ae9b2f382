//! The hub's own identity at Microsoft Entra, from where Azure puts it for the programs that run
//! there.
//!
//! The order is that of Microsoft's SDKs: a federated token (Kubernetes), the endpoint of App
//! Service and Container Apps, the machine's metadata service.
//! <https://learn.microsoft.com/dotnet/azure/sdk/authentication/credential-chains>

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use sendoff::{Error, Http, Result, Secret};
use serde_json::Value;

use super::SCOPE;
use crate::shared::platform::{Kept, PATIENCE, token_file};

/// The metadata service, where the environment names no other address.
const MACHINE: &str = "http://169.254.169.254";
/// What the token is for, as the metadata services name it.
const RESOURCE: &str = "https://storage.azure.com/";

/// What the environment of a program on Azure says about its identity. Whoever reads the environment
/// fills it in.
#[derive(Clone, Debug, Default)]
pub struct AzureEnvironment {
    /// `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`: which identity, where there are several.
    pub client_id: Option<String>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<PathBuf>,
    /// `AZURE_AUTHORITY_HOST`.
    pub authority: Option<String>,
    /// `IDENTITY_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `IDENTITY_HEADER`.
    pub endpoint_header: Option<Secret>,
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`.
    pub machine_url: Option<String>,
}

/// The hub's own identity.
#[derive(Debug)]
pub(crate) struct OwnIdentity {
    environment: AzureEnvironment,
    kept: Kept<Secret>,
}

impl OwnIdentity {
    pub(crate) fn new(environment: AzureEnvironment) -> Self {
        Self { environment, kept: Kept::default() }
    }

    /// A token for storage that is good for some minutes.
    ///
    /// # Errors
    /// The hub's: nobody but its operator can mend it.
    pub(crate) async fn token(&self, http: &Http) -> Result<Secret> {
        self.kept.or_ask(self.ask(http)).await.map_err(|fault| {
            Error::hub(
                "This hub's own identity at Azure cannot be had now. Its operator finds the cause \
                 in the log; credentials of your own can be set instead.",
            )
            .cause(fault)
        })
    }

    async fn ask(&self, http: &Http) -> Result<(Secret, Timestamp)> {
        let from = &self.environment;
        let call = match (&from.federated_token_file, &from.tenant_id, &from.client_id) {
            (Some(file), Some(tenant), Some(client)) => {
                let token = token_file(file, "Azure").await?;
                federated(http, from.authority.as_deref(), tenant, client, &token)
            }
            _ => self.nearby(http),
        };
        given(&call.send().await?.success().await?.text().await?)
    }

    /// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
    /// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
    fn nearby(&self, http: &Http) -> sendoff::Call {
        let from = &self.environment;
        let near = http.for_operators_address();
        let (call, version) = match (&from.endpoint, &from.endpoint_header) {
            (Some(url), Some(header)) => {
                (near.get(url).secret_header("X-IDENTITY-HEADER", header), "2019-08-01")
            }
            _ => {
                let base = from.machine_url.as_deref().unwrap_or(MACHINE).trim_end_matches('/');
                let url = format!("{base}/metadata/identity/oauth2/token");
                (near.get(url).header("Metadata", "true"), "2018-02-01")
            }
        };
        let client = from.client_id.as_deref().map(|id| ("client_id", id));
        let query = [("api-version", version), ("resource", RESOURCE)];
        call.query(query.into_iter().chain(client)).timeout(PATIENCE)
    }
}

/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential>
fn federated(
    http: &Http,
    authority: Option<&str>,
    tenant: &str,
    client: &str,
    token: &Secret,
) -> sendoff::Call {
    let authority = authority.unwrap_or("https://login.microsoftonline.com").trim_end_matches('/');
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("scope", SCOPE),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", token.expose()),
    ];
    http.post(format!("{authority}/{tenant}/oauth2/v2.0/token")).form(form).reads()
}

fn given(json: &str) -> Result<(Secret, Timestamp)> {
    let none = || Error::hub("What answered for Azure gave no token.");
    // serde's words name members and places, not values.
    let given: Value = serde_json::from_str(json).map_err(|fault| none().cause(fault))?;
    let token = given["access_token"].as_str().filter(|token| !token.is_empty());
    // Entra says how long, metadata services say until when, as a number or as a text.
    let seconds = |name: &str| {
        let value = &given[name];
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    };
    let until = seconds("expires_on").and_then(|at| Timestamp::from_second(at).ok());
    let end = until.or_else(|| {
        Timestamp::now().checked_add(SignedDuration::from_secs(seconds("expires_in")?)).ok()
    });
    match (token, end) {
        (Some(token), Some(end)) => Ok((token.into(), end)),
        _ => Err(none()),
    }
}
