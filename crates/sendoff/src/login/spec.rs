//! How an action's users log in, as data.

/// Who holds the login.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum LoginBy {
    /// The user logs in at the vendor, and this hub exchanges the code for tokens.
    OAuth(OAuth),
    /// Looker runs the login and hands over the tokens.
    Delegate(Delegate),
}

/// A login by OAuth 2's authorization code. Built in a `const` with [`OAuth::new`] and given to
/// [`Spec::oauth`](crate::Spec::oauth).
///
/// ```
/// use sendoff::{Button, OAuth};
///
/// const LOGIN: OAuth = OAuth::new(
///     "https://accounts.google.com/o/oauth2/v2/auth",
///     "https://oauth2.googleapis.com/token",
/// )
/// .scopes(&["https://www.googleapis.com/auth/drive.file"])
/// .authorize_params(&[("access_type", "offline"), ("prompt", "consent")])
/// .pkce()
/// .lasting()
/// .v2()
/// .button(Button::Google)
/// .variables("GOOGLE_DRIVE_CLIENT_ID", "GOOGLE_DRIVE_CLIENT_SECRET");
/// # let _ = LOGIN;
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OAuth {
    /// Where the user's browser is sent.
    pub authorize_url: &'static str,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: &'static str,
    /// What is asked for.
    pub scopes: &'static [&'static str],
    /// What stands between two scopes; a space by the standard.
    pub scope_separator: &'static str,
    /// Whether the code is bound to a verifier (RFC 7636, S256).
    pub pkce: bool,
    /// Further parameters of the authorize URL.
    pub authorize_params: &'static [(&'static str, &'static str)],
    /// How the client proves itself at the token URL.
    pub client_auth: ClientAuth,
    /// Whether Looker may fetch the tokens itself (`token_url` in the definition). A Looker that
    /// offers no `state_redir_url` gets version 1 all the same.
    pub v2: bool,
    /// How Looker draws the link.
    pub button: Button,
    /// The name of the login field.
    pub field_name: &'static str,
    /// The label of the login field.
    pub field_label: &'static str,
    /// Members of the token answer that are kept beside the tokens, see [`Login::kept`].
    ///
    /// [`Login::kept`]: crate::Login::kept
    pub keep: &'static [&'static str],
    /// Whether a login without a refresh token is refused at once, because schedules would fail
    /// when its access token expires.
    pub lasting: bool,
    /// What the provider's `iss` must be where it sends one (RFC 9207).
    pub issuer: Option<&'static str>,
    /// Where the user sees which apps have access, and takes it back.
    pub revoke_url: Option<&'static str>,
    /// The environment variables of the client's id and secret in the reference hub.
    pub variables: Option<(&'static str, &'static str)>,
    /// Those of another action's client there, which serves this one too where it has none.
    pub or_variables: Option<(&'static str, &'static str)>,
}

/// How a client proves itself at the token URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Id and secret in the form.
    Body,
    /// Id and secret as `Authorization: Basic`.
    Basic,
}

/// How Looker draws the login link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// A plain button.
    Plain,
    /// With Google's branding.
    Google,
}

impl OAuth {
    /// A login at `authorize_url`, whose codes `token_url` exchanges.
    pub const fn new(authorize_url: &'static str, token_url: &'static str) -> Self {
        Self {
            authorize_url,
            token_url,
            scopes: &[],
            scope_separator: " ",
            pkce: false,
            authorize_params: &[],
            client_auth: ClientAuth::Body,
            v2: false,
            button: Button::Plain,
            field_name: "login",
            field_label: "Log in",
            keep: &[],
            lasting: false,
            issuer: None,
            revoke_url: None,
            variables: None,
            or_variables: None,
        }
    }

    /// What is asked for.
    pub const fn scopes(mut self, scopes: &'static [&'static str]) -> Self {
        self.scopes = scopes;
        self
    }

    /// What stands between two scopes, where it is no space.
    pub const fn scope_separator(mut self, separator: &'static str) -> Self {
        self.scope_separator = separator;
        self
    }

    /// Binds the code to a verifier.
    pub const fn pkce(mut self) -> Self {
        self.pkce = true;
        self
    }

    /// Further parameters of the authorize URL, such as `access_type=offline`.
    pub const fn authorize_params(
        mut self,
        params: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.authorize_params = params;
        self
    }

    /// How the client proves itself at the token URL.
    pub const fn client_auth(mut self, auth: ClientAuth) -> Self {
        self.client_auth = auth;
        self
    }

    /// Looker may fetch the tokens itself.
    pub const fn v2(mut self) -> Self {
        self.v2 = true;
        self
    }

    /// How Looker draws the link.
    pub const fn button(mut self, button: Button) -> Self {
        self.button = button;
        self
    }

    /// Name and label of the login field, where they are not `login` and "Log in".
    pub const fn field(mut self, name: &'static str, label: &'static str) -> Self {
        self.field_name = name;
        self.field_label = label;
        self
    }

    /// Members of the token answer that are kept beside the tokens, such as `account_id`.
    pub const fn keep(mut self, members: &'static [&'static str]) -> Self {
        self.keep = members;
        self
    }

    /// A login without a refresh token is refused at once.
    pub const fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// What the provider's `iss` must be where it sends one.
    pub const fn issuer(mut self, issuer: &'static str) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// Where the user sees which apps have access, and takes it back.
    pub const fn revoke(mut self, url: &'static str) -> Self {
        self.revoke_url = Some(url);
        self
    }

    /// The environment variables of the client's id and secret in the reference hub, which the
    /// binary reads beside its own.
    pub const fn variables(mut self, id: &'static str, secret: &'static str) -> Self {
        self.variables = Some((id, secret));
        self
    }

    /// The variables of another action's client, read where those of
    /// [`variables`](Self::variables) are not set.
    pub const fn or_variables(mut self, id: &'static str, secret: &'static str) -> Self {
        self.or_variables = Some((id, secret));
        self
    }
}

/// A login that Looker runs, as for Slack: the admin connects workspaces on a page of Looker's, and
/// each request brings their tokens. See [`Login::installs`](crate::Login::installs).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Delegate {
    /// The param's name in the definition.
    pub name: &'static str,
    /// The param's label.
    pub label: &'static str,
    /// The page in Looker.
    pub url: &'static str,
    /// The param's description.
    pub description: &'static str,
    /// What the connection test says when nothing is connected.
    pub nothing_connected: &'static str,
}

impl Delegate {
    /// A login on Looker's page `url`, which the param `name` leads to.
    pub const fn new(name: &'static str, label: &'static str, url: &'static str) -> Self {
        Self {
            name,
            label,
            url,
            description: "",
            nothing_connected: "Nothing is connected yet: press Connect first.",
        }
    }

    /// The param's description.
    pub const fn description(mut self, text: &'static str) -> Self {
        self.description = text;
        self
    }

    /// What the connection test says when nothing is connected.
    pub const fn nothing_connected(mut self, sentence: &'static str) -> Self {
        self.nothing_connected = sentence;
        self
    }
}
