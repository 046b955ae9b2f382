//! The hub that a configuration describes.

use std::path::PathBuf;

use sendoff::{AnyAction, EgressConfig, Hub, LoginBy, OAuth};

use crate::config::{Catalogue, Config};

/// The revision that was built, where the build says so.
pub(crate) const COMMIT: Option<&str> = option_env!("SENDOFF_COMMIT");

/// Every action there is, offered or not.
pub(crate) fn all_actions() -> Vec<Box<dyn AnyAction>> {
    let everything = sendoff_destinations::Config {
        file_root: Some(PathBuf::from("/")),
        debug: true,
        ..Default::default()
    };
    sendoff_destinations::all(&everything)
}

/// Every setting there is.
pub fn catalogue() -> Catalogue {
    Catalogue::new(all_actions().iter().map(AsRef::as_ref))
}

/// The actions that the configuration offers.
pub(crate) fn actions(config: &Config) -> Vec<Box<dyn AnyAction>> {
    let destinations = sendoff_destinations::Config {
        file_root: config.file_root.clone(),
        debug: config.debug,
        aws: config.aws.clone(),
    };
    let mut actions = sendoff_destinations::all(&destinations);
    actions
        .retain(|action| is_listed(config, action.as_ref()) && has_client(config, action.as_ref()));
    actions
}

fn is_listed(config: &Config, action: &dyn AnyAction) -> bool {
    let listed = &config.actions;
    listed.is_empty() || listed.iter().any(|name| name == action.spec().name)
}

/// An action with a login is offered only with a client at its vendor.
fn has_client(config: &Config, action: &dyn AnyAction) -> bool {
    let spec = action.spec();
    !matches!(spec.login, Some(LoginBy::OAuth(_))) || config.clients.contains_key(spec.name)
}

/// The actions that would be offered if their login had a client, and what is to be set.
pub(crate) fn without_client(config: &Config) -> Vec<(&'static str, String)> {
    let all = all_actions();
    let missing = all
        .iter()
        .map(AsRef::as_ref)
        .filter(|action| is_listed(config, *action) && !has_client(config, *action));
    missing.map(|action| (action.spec().name, client_settings(action))).collect()
}

/// Where the client of an action's login is set.
pub(crate) fn client_settings(action: &dyn AnyAction) -> String {
    let spec = action.spec();
    let name = spec.name;
    let ours = format!("oauth.{name}.client_id and oauth.{name}.client_secret");
    match spec.login {
        Some(LoginBy::OAuth(OAuth { variables: Some((id, secret)), .. })) => {
            format!("{ours}, or {id} and {secret}")
        }
        _ => ours,
    }
}

/// The hub, ready to serve.
///
/// # Errors
/// The operator's, when a folder or a certificate is not usable.
pub fn build(config: &Config) -> sendoff::Result<Hub> {
    before(config, actions(config), |_| ())
}

/// A hub of these actions, before vendors that `change` may lead elsewhere.
pub(crate) fn before(
    config: &Config,
    actions: Vec<Box<dyn AnyAction>>,
    change: impl FnOnce(&mut EgressConfig),
) -> sendoff::Result<Hub> {
    let names: Vec<&str> = actions.iter().map(|action| action.spec().name).collect();
    let mut builder = Hub::builder()
        .actions(actions)
        .label(&config.label)
        .secrets(config.secrets.iter().cloned())
        .webhook_tokens(config.webhook_tokens.iter().cloned())
        .limits(config.limits)
        .spool(config.spool.clone())
        .state_keys(config.state_keys.iter().cloned())
        .looker_hosts(config.looker_hosts.clone())
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
        change(&mut egress);
        builder = builder.egress(egress);
    }
    if let Some(master) = &config.cipher_master {
        builder = builder.cipher_master(master.clone());
    }
    for (action, (id, secret)) in &config.clients {
        if names.contains(&action.as_str()) {
            builder = builder.oauth_client(action, id, secret.clone());
        }
    }
    for (action, settings) in &config.settings {
        if names.contains(&action.as_str()) {
            builder = builder.settings(action, settings.clone());
        }
    }
    builder.build()
}
