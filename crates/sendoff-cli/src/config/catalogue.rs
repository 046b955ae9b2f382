//! The settings that there are.

use sendoff::{AnyAction, LoginBy};

use super::sources;

/// Those of the default file whose values are secrets.
const SECRETS: [&str; 4] = ["secrets", "webhook_tokens", "state_keys", "cipher_master"];

/// The settings that there are: those of the default file, and the params of every action.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(super) params: Vec<Param>,
    pub(super) names: Vec<String>,
    pub(super) logins: Vec<LoginClient>,
}

#[derive(Clone, Debug)]
pub(super) struct Param {
    pub(super) action: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) secret: bool,
}

/// Where the client of an action's login stands.
#[derive(Clone, Debug)]
pub(super) struct LoginClient {
    pub(super) action: String,
    pub(super) id: String,
    pub(super) secret: String,
    /// The reference hub's names; the second are read where the first are not set.
    pub(super) variables: [Option<(&'static str, &'static str)>; 2],
}

impl LoginClient {
    pub(super) fn new(action: &str, variables: [Option<(&'static str, &'static str)>; 2]) -> Self {
        let path = |what: &str| format!("oauth.{action}.{what}");
        let (id, secret) = (path("client_id"), path("client_secret"));
        Self { action: action.to_owned(), id, secret, variables }
    }
}

impl Catalogue {
    /// The settings when these are the actions.
    pub fn new<'a>(actions: impl IntoIterator<Item = &'a dyn AnyAction>) -> Self {
        let mut catalogue = Self { params: Vec::new(), names: Vec::new(), logins: Vec::new() };
        for action in actions {
            let name = action.spec().name;
            catalogue.names.push(name.to_owned());
            if let Some(LoginBy::OAuth(oauth)) = action.spec().login {
                catalogue
                    .logins
                    .push(LoginClient::new(name, [oauth.variables, oauth.or_variables]));
            }
            // The link to a page of Looker's is nothing to be set.
            let params = action.params().into_iter().filter(|p| p.delegate_oauth_url.is_none());
            catalogue.params.extend(params.map(|param| Param {
                action: name.to_owned(),
                path: format!("settings.{name}.{}", param.name),
                name: param.name,
                secret: param.sensitive,
            }));
        }
        catalogue
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = String> + use<> {
        let mut own: Vec<_> = self.params.iter().map(|param| param.path.clone()).collect();
        own.extend(self.logins.iter().flat_map(|one| [one.id.clone(), one.secret.clone()]));
        sources::defaults().into_iter().map(|(path, _)| path).chain(own)
    }

    pub(super) fn knows(&self, path: &str) -> bool {
        self.paths().any(|known| known == path)
    }

    pub(super) fn is_secret(&self, path: &str) -> bool {
        SECRETS.contains(&path)
            || self.params.iter().any(|param| param.secret && param.path == path)
            || self.logins.iter().any(|one| one.secret == path)
    }
}
