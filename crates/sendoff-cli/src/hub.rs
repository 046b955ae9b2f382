//! The hub that a configuration describes.

use std::path::PathBuf;

use sendoff::{AnyAction, EgressConfig, Hub};

use crate::config::{Catalogue, Config};

/// The revision that was built, where the build says so.
pub(crate) const COMMIT: Option<&str> = option_env!("SENDOFF_COMMIT");

/// Every action there is, offered or not.
pub(crate) fn all_actions() -> Vec<Box<dyn AnyAction>> {
    let everything =
        sendoff_destinations::Config { file_root: Some(PathBuf::from("/")), debug: true };
    sendoff_destinations::all(&everything)
}

/// Every setting there is.
pub fn catalogue() -> Catalogue {
    Catalogue::new(all_actions().iter().map(AsRef::as_ref))
}

/// The actions that the configuration offers.
pub(crate) fn actions(config: &Config) -> Vec<Box<dyn AnyAction>> {
    let destinations =
        sendoff_destinations::Config { file_root: config.file_root.clone(), debug: config.debug };
    let mut actions = sendoff_destinations::all(&destinations);
    let listed = &config.actions;
    actions
        .retain(|action| listed.is_empty() || listed.iter().any(|name| name == action.spec().name));
    actions
}

/// The hub, ready to serve.
///
/// # Errors
/// The operator's, when a folder or a certificate is not usable.
pub fn build(config: &Config) -> sendoff::Result<Hub> {
    let mut builder = Hub::builder()
        .actions(actions(config))
        .label(&config.label)
        .secrets(config.secrets.iter().cloned())
        .webhook_tokens(config.webhook_tokens.iter().cloned())
        .limits(config.limits)
        .spool(config.spool.clone())
        .commit(COMMIT.unwrap_or_default());
    if let Some(url) = &config.base_url {
        builder = builder.base_url(url);
    }
    if let Some(secret) = config.secrets.first() {
        let mut egress = EgressConfig::new(secret.clone());
        egress.allow_addresses.clone_from(&config.allow_addresses);
        egress.origins = config.origins.clone();
        egress.extra_ca_pem.clone_from(&config.extra_ca_pem);
        egress.idle_timeout = config.limits.idle;
        builder = builder.egress(egress);
    }
    for (action, settings) in &config.settings {
        builder = builder.settings(action, settings.clone());
    }
    builder.build()
}
