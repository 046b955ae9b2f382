//! Which server, which login and which folder the settings and the form name together.
//!
//! What an admin entered is used for the server and user name that stand beside it and for nothing
//! else: a user who may name a server of their own must bring the password for it.

use percent_encoding::percent_decode_str;
use russh::keys::{PrivateKey, decode_secret_key};
use sendoff::prelude::*;
use url::Url;

use super::host_key::HostKeys;
use super::{Form, Settings};
use crate::shared::file_options;
use crate::shared::file_path::FilePath;
use crate::shared::template::Facts;

/// A server and how to log in.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: String,
    pub(super) password: Option<Secret>,
    pub(super) key: Option<PrivateKey>,
    pub(super) keys: HostKeys,
    /// The user brought the login, so the user must mend it.
    pub(super) from_form: bool,
    /// Old algorithms do too.
    pub(super) legacy: bool,
}

impl Server {
    /// The file as people write it.
    pub(super) fn url(&self, path: &FilePath) -> String {
        let (host, home) = (&self.host, if path.rooted() { "" } else { "~/" });
        match self.port {
            22 => format!("sftp://{host}/{home}{path}"),
            port => format!("sftp://{host}:{port}/{home}{path}"),
        }
    }
}

/// `sftp://user@host:port/path`, or a part of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    username: Option<String>,
    /// As [`FilePath`] reads it: with a `/` in front from the root, else from the home folder.
    path: String,
}

impl Address {
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = |why: &str| {
            Error::form(
                "address",
                format!("Needs a valid SFTP address, such as sftp://host/path/: {why}."),
            )
        };
        let whole = if text.contains("://") { text.to_owned() } else { format!("sftp://{text}") };
        let url = Url::parse(&whole).map_err(|fault| wrong(&fault.to_string()).cause(fault))?;
        if url.scheme() != "sftp" {
            return Err(wrong("it must begin with sftp://"));
        }
        if url.password().is_some() {
            return Err(wrong("the password has a field of its own"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("write %3F for ? and %23 for #"));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| wrong("the host is missing"))?;
        let decode = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| wrong("its %-signs are not UTF-8"))
        };
        let path = decode(url.path())?;
        let path = match path.strip_prefix("/~/") {
            Some(from_home) => from_home.to_owned(),
            None if path == "/~" => String::new(),
            None => path,
        };
        let username = Some(decode(url.username())?).filter(|name| !name.is_empty());
        let (host, port) = (host.to_owned(), url.port().unwrap_or(22));
        Ok(Self { host, port, username, path })
    }

    /// The address that counts, and whether it is another one than the settings'.
    pub(super) fn of(settings: &Settings, form: &Form) -> Result<(Self, bool)> {
        let own = settings.address()?;
        let named = form.address.as_deref().map(Self::parse).transpose()?;
        match (own, named) {
            (None, None) => Err(Error::form("address", "Needs a valid SFTP address.")),
            (None, Some(named)) => Ok((named, true)),
            (Some(own), None) => Ok((own, false)),
            (Some(own), Some(named)) => {
                let same = own.host.eq_ignore_ascii_case(&named.host) && own.port == named.port;
                if !same && !settings.allow_form_credentials {
                    return Err(Error::form(
                        "address",
                        format!(
                            "The settings of this action send everything to {}. Leave Address \
                             empty, or ask a Looker admin to allow other servers.",
                            own.host
                        ),
                    ));
                }
                Ok((named, !same))
            }
        }
    }
}

impl Settings {
    /// Whether the settings suffice to log in.
    pub(super) fn can_log_in(&self) -> bool {
        let secret = self.password.is_some() || self.private_key.is_some();
        self.host.is_some() && self.username.is_some() && secret && self.host_key.is_some()
    }

    /// The server of the settings. Call it only if [`can_log_in`](Self::can_log_in) says so.
    pub(super) async fn own_server(&self, legacy: bool) -> Result<Server> {
        let form = Form {
            address: None,
            username: None,
            password: None,
            filename: None,
            path: None,
            if_exists: file_options::IfExists::Overwrite,
        };
        self.server(&form, legacy).await
    }

    fn address(&self) -> Result<Option<Address>> {
        let Some(host) = self.host.as_deref().map(str::trim) else { return Ok(None) };
        let address = Address::parse(host).ok();
        let plain = address.filter(|address| {
            address.host == host && address.port == 22 && address.path.is_empty()
        });
        let Some(address) = plain else {
            return Err(Error::settings(
                "The setting \"Host\" of the SFTP action must be a host name alone, such as \
                 files.example.com; the port and the folder have settings of their own.",
            )
            .field("host"));
        };
        Ok(Some(Address { port: self.port, ..address }))
    }

    /// Where to log in, as whom and with what.
    pub(super) async fn server(&self, form: &Form, legacy: bool) -> Result<Server> {
        let (address, foreign) = Address::of(self, form)?;
        let has_secret = self.password.is_some() || self.private_key.is_some();
        if self.host.is_none() && has_secret {
            return Err(Error::settings(
                "The settings of the SFTP action hold a password or key but no host, so a user \
                 could send them to any server. A Looker admin fills in \"Host\".",
            )
            .field("host"));
        }
        let named = form.username.as_deref().map(str::trim).or(address.username.as_deref());
        let own_name = self.username.as_deref().map(str::trim).filter(|_| !foreign);
        let own = !foreign && named.is_none_or(|named| own_name == Some(named));
        if !own && self.host.is_some() && !self.allow_form_credentials {
            return Err(Error::form(
                "username",
                "The settings of this action log in under another name. Leave Username empty, or \
                 ask a Looker admin to allow other logins.",
            ));
        }
        let Some(username) = named.or(own_name) else {
            return Err(Error::form("username", "Username is required."));
        };
        let brought = (!own || self.allow_form_credentials || !has_secret)
            .then(|| form.password.clone())
            .flatten();
        let from_form = brought.is_some() || !own || !has_secret;
        let key = match &self.private_key {
            Some(pem) if !from_form => Some(self.read_key(pem).await?),
            _ => None,
        };
        let password = brought.or_else(|| self.password.clone().filter(|_| own));
        if password.is_none() && key.is_none() {
            return Err(Error::form("password", "Password is required."));
        }
        let keys = HostKeys::parse(self.host_key.as_deref().unwrap_or_default())?;
        let (host, port, username) = (address.host, address.port, username.to_owned());
        Ok(Server { host, port, username, password, key, keys, from_form, legacy })
    }

    async fn read_key(&self, pem: &Secret) -> Result<PrivateKey> {
        let (pem, passphrase) = (pem.clone(), self.passphrase.clone());
        // The passphrase is stretched by a function that is slow on purpose.
        let read = tokio::task::spawn_blocking(move || {
            let passphrase = passphrase.as_ref().map(Secret::expose);
            decode_secret_key(&with_lines(pem.expose()), passphrase)
        });
        let unread = match read.await {
            Ok(Ok(key)) if !key.is_encrypted() => return Ok(key),
            Ok(Ok(_) | Err(russh::keys::Error::KeyIsEncrypted)) => None,
            Ok(Err(fault)) => Some(fault.to_string()),
            Err(fault) => Some(fault.to_string()),
        };
        let message = match (&unread, &self.passphrase) {
            (None, None) => {
                "The setting \"Private Key\" of the SFTP action is encrypted. A Looker admin fills \
                 in \"Passphrase\"."
            }
            (_, Some(_)) => {
                "The setting \"Private Key\" of the SFTP action cannot be read with the setting \
                 \"Passphrase\". A Looker admin checks both."
            }
            (Some(_), None) => {
                "The setting \"Private Key\" of the SFTP action cannot be read. It must be a whole \
                 private key in OpenSSH or PKCS#8 form, from -----BEGIN to -----END."
            }
        };
        let error = Error::settings(message).field("private_key");
        Err(match unread {
            Some(fault) => error.cause(fault),
            None => error,
        })
    }

    /// Where the file goes: base path, the address's path, the form's path, the name, one below
    /// the other.
    pub(super) fn target(
        &self,
        form: &Form,
        cx: &Context<Self>,
        data: &Payload,
    ) -> Result<FilePath> {
        let named = form.address.as_deref().map(Address::parse).transpose()?;
        let named = named.as_ref().map(|address| address.path.as_str());
        let folder = join([self.base_path.as_deref(), named, form.path.as_deref()]);
        let found =
            file_options::target(folder.as_deref(), form.filename.as_deref(), &Facts::of(cx, data));
        found.map_err(|error| match error.field_name() {
            Some("path") if form.path.is_none() && named.is_some() => error.field("address"),
            _ => error,
        })
    }
}

/// Folders one below the other. Whether the first begins at the root decides for all, so that
/// nothing in the form can leave the admin's folder.
fn join<'a>(folders: impl IntoIterator<Item = Option<&'a str>>) -> Option<String> {
    let mut given = folders.into_iter().flatten().map(str::trim).filter(|path| !path.is_empty());
    let first = given.next()?;
    let first = if first == "~" { "" } else { first.strip_prefix("~/").unwrap_or(first) };
    let mut whole = if first.starts_with('/') { "/".to_owned() } else { String::new() };
    for name in std::iter::once(first).chain(given).flat_map(|path| path.split('/')) {
        if !name.is_empty() {
            if !whole.is_empty() && !whole.ends_with('/') {
                whole.push('/');
            }
            whole.push_str(name);
        }
    }
    Some(whole)
}

/// A key whose lines were joined: Looker's settings have one line of text, and what is pasted
/// there loses its line ends.
fn with_lines(pem: &str) -> String {
    let pem = pem.trim().replace("\\n", "\n").replace('\r', "");
    if pem.contains('\n') {
        return pem;
    }
    let parts: Vec<&str> = pem.split("-----").map(str::trim).collect();
    match parts[..] {
        ["", begin, body, end, ""] => {
            let body: Vec<&str> = body.split_whitespace().collect();
            format!("-----{begin}-----\n{}\n-----{end}-----\n", body.join("\n"))
        }
        _ => pem,
    }
}
