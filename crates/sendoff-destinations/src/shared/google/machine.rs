//! What the metadata service says to programs that run on Google Cloud: tokens of the service account
//! that they run as, and the project
//! (<https://docs.cloud.google.com/compute/docs/metadata/overview>). On GKE that account is the one of
//! Workload Identity.

use std::time::Duration;

use sendoff::{Error, Http, Reply, Result};

/// It has no HTTPS, and is reached from the machine alone.
const URL: &str = "http://metadata.google.internal/computeMetadata/v1";
/// It answers from the same machine, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// A token of the account that this program runs as.
pub(super) async fn token(http: &Http, scope: &str) -> Result<Reply> {
    let scopes = scope.replace(' ', ",");
    ask(http, "/instance/service-accounts/default/token", &[("scopes", &scopes)]).await
}

/// The project that this program runs in.
pub(crate) async fn project(http: &Http) -> Result<String> {
    ask(http, "/project/project-id", &[]).await?.text().await
}

async fn ask(http: &Http, path: &str, query: &[(&str, &str)]) -> Result<Reply> {
    let http = http.for_operators_address();
    let call = http.get(format!("{URL}{path}")).query(query.iter().copied());
    let call = call.header("metadata-flavor", "Google").timeout(PATIENCE);
    let reply = match call.send().await {
        Ok(reply) => reply.success().await,
        Err(error) => Err(error),
    };
    reply.map_err(|fault| {
        Error::hub(
            "This hub's own account at Google Cloud cannot be used now. Its operator finds the \
             cause in the log; the key of a service account can be set instead.",
        )
        .cause(fault)
    })
}
