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
        sftp_legacy_algorithms: config.sftp_legacy_algorithms,
        aws: config.aws.clone(),
        azure: config.azure.clone(),
        drive_scope: config.drive_scope,
        google_own_account: config.google_own_account,
    };
    let mut actions = sendoff_destinations::all(&destinations);
    actions
        .retain(|action| is_listed(config, action.as_ref()) && is_usable(config, action.as_ref()));
    actions
}

fn is_listed(config: &Config, action: &dyn AnyAction) -> bool {
    let listed = &config.actions;
    listed.is_empty() || listed.iter().any(|name| name == action.spec().name)
}

/// Whether the users of an action can log in, as far as that needs a client at its vendor.
fn has_client(config: &Config, action: &dyn AnyAction) -> bool {
    let spec = action.spec();
    !matches!(spec.login, Some(LoginBy::OAuth(_))) || config.clients.contains_key(spec.name)
}

/// An action with a login is offered only with a client at its vendor, unless its settings may hold
/// credentials of their own.
fn is_usable(config: &Config, action: &dyn AnyAction) -> bool {
    has_client(config, action) || action.spec().or_setting.is_some()
}

/// What each action whose login lacks a client lacks, in a sentence.
pub(crate) fn without_client(config: &Config) -> Vec<String> {
    let all = all_actions();
    let missing = all
        .iter()
        .map(AsRef::as_ref)
        .filter(|action| is_listed(config, *action) && !has_client(config, *action));
    let sentence = |action: &dyn AnyAction| {
        let (spec, settings) = (action.spec(), client_settings(action));
        match spec.or_setting {
            None => format!(
                "{} is not offered: its login needs a client at its vendor. Set {settings}.",
                spec.name
            ),
            Some(setting) => format!(
                "{} is offered without logins, by its setting {setting} alone: a login needs a \
                 client at its vendor. Set {settings}.",
                spec.name
            ),
        }
    };
    missing.map(sentence).collect()
}

/// Where the client of an action's login is set.
pub(crate) fn client_settings(action: &dyn AnyAction) -> String {
    let spec = action.spec();
    let name = spec.name;
    let ours = format!("oauth.{name}.client_id and oauth.{name}.client_secret");
    let Some(LoginBy::OAuth(OAuth { variables, or_variables, .. })) = spec.login else {
        return ours;
    };
    let theirs = [variables, or_variables].into_iter().flatten();
    theirs.fold(ours, |text, (id, secret)| format!("{text}, or {id} and {secret}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_logins_client_is_told() {
        for action in all_actions() {
            let Some(LoginBy::OAuth(oauth)) = action.spec().login else { continue };
            let told = client_settings(action.as_ref());
            let name = action.spec().name;
            assert!(told.starts_with(&format!("oauth.{name}.client_id and ")), "{told}");
            for (id, secret) in [oauth.variables, oauth.or_variables].into_iter().flatten() {
                assert!(told.contains(&format!(", or {id} and {secret}")), "{name}: {told}");
            }
        }
        let actions = all_actions();
        let sheets = actions.iter().find(|action| action.spec().name == "google_sheets");
        let told = client_settings(sheets.expect("an action").as_ref());
        assert!(told.contains("GOOGLE_SHEET_CLIENT_ID"), "{told}");
        assert!(
            told.contains("GOOGLE_DRIVE_CLIENT_ID"),
            "the client that it falls back to: {told}"
        );
    }
}
