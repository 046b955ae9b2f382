//! Which hosts are taken for a Looker: a login goes back to one of them and nowhere else.

use url::Url;

use crate::{Error, Result};

/// Where Google hosts Looker, behind one label or more.
const HOSTED: [&str; 2] = [".looker.com", ".looker.app"];

/// The hosts of Lookers: a login goes back to one of these and to no other. The default are
/// `*.looker.com` and `*.looker.app`, where Google hosts them.
#[derive(Clone, Debug)]
pub struct LookerHosts(Vec<Host>);

impl Default for LookerHosts {
    fn default() -> Self {
        Self(HOSTED.map(|name| Host { name: name.to_owned(), wildcard: true, port: None }).into())
    }
}

#[derive(Clone, Debug)]
struct Host {
    /// With its leading dot when it stands behind one label or more.
    name: String,
    wildcard: bool,
    port: Option<u16>,
}

impl LookerHosts {
    /// Reads hosts such as `looker.example.com`, `*.example.com` or `looker.example.com:9999`; they
    /// take the place of the default. A star stands for one label or more, in front alone.
    ///
    /// # Errors
    /// A hub error that names the entry.
    pub fn parse<I>(hosts: I) -> Result<Self>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        hosts
            .into_iter()
            .map(|host| Host::parse(host.as_ref().trim()))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The URL, if it leads to a Looker. Plain http will do, such as for a Looker on this machine,
    /// but not where Google hosts it.
    pub(crate) fn check(&self, text: &str) -> Result<Url> {
        let url = Url::parse(text.trim()).ok().filter(|url| {
            url.username().is_empty() && url.password().is_none() && url.host_str().is_some()
        });
        let Some(url) = url else {
            return Err(Error::looker(
                "Looker sent an address for the login that is no URL. Reload the form.",
            ));
        };
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let port = url.port_or_known_default();
        let listed = self.0.iter().any(|known| known.covers(&host, port));
        let hosted = HOSTED.iter().any(|end| host.ends_with(end));
        let secure = match url.scheme() {
            "https" => true,
            "http" => !hosted,
            _ => false,
        };
        if listed && secure {
            return Ok(url);
        }
        let host: String = host.chars().take(100).collect();
        Err(Error::hub(format!(
            "The login would go back to {}://{host}, which this hub does not take for a Looker. If \
             it is yours, ask the hub's operator to add {host} to looker_hosts \
             (SENDOFF_LOOKER_HOSTS).",
            url.scheme()
        )))
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::hub(format!(
                "looker_hosts holds {text:?}, which {why}. An entry looks like looker.example.com, \
                 *.example.com or looker.example.com:9999."
            ))
        };
        let (wildcard, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if rest.contains(['/', '?', '#', '@', '*']) {
            return Err(wrong("is more than a host"));
        }
        // By the parser that reads the URLs, so that both write a host alike.
        let url = Url::parse(&format!("https://{rest}/")).map_err(|_| wrong("is no host"))?;
        let mut name = url.host_str().unwrap_or_default().to_ascii_lowercase();
        if name.is_empty() || (wildcard && !name.contains('.')) {
            return Err(wrong("names no host"));
        }
        let port = rest.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let port = match port {
            Some((_, port)) => Some(port.parse().map_err(|_| wrong("has no valid port"))?),
            None => None,
        };
        if wildcard {
            name.insert(0, '.');
        }
        Ok(Self { name, wildcard, port })
    }

    fn covers(&self, host: &str, port: Option<u16>) -> bool {
        let named = if self.wildcard {
            host.len() > self.name.len() && host.ends_with(&self.name)
        } else {
            host == self.name
        };
        named && (self.port.is_none() || self.port == port)
    }
}
