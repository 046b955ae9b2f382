//! Whether a server is the one that the admin means.

use russh::keys::ssh_key::{Algorithm, Fingerprint};
use russh::keys::{HashAlg, PublicKey};
use sendoff::{Error, Result};

/// The words that switch the check off. The hub keeps nothing between deliveries, so "trust on
/// first use" would trust on every use: the setting says what it does.
const ACCEPT_ANY: &str = "accept-any-host-key";

/// The keys that a server may show.
#[derive(Clone, Debug)]
pub(super) enum HostKeys {
    /// Any of these. Without one every server is refused, and its fingerprint is told.
    Pinned(Vec<Pin>),
    Any,
}

#[derive(Clone, Debug)]
pub(super) enum Pin {
    Fingerprint(Fingerprint),
    /// A known_hosts line, or a public key alone.
    Key {
        hosts: Option<String>,
        key: Box<PublicKey>,
    },
}

impl HostKeys {
    /// Reads fingerprints, known_hosts lines and public keys. Looker's settings have one line of
    /// text, so what were lines may come joined by spaces: words are read, not lines.
    ///
    /// # Errors
    /// A settings error that quotes what is neither.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.trim().eq_ignore_ascii_case(ACCEPT_ANY) {
            return Ok(Self::Any);
        }
        let mut pins = Vec::new();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let before = pins.len();
            read_words(line, &mut pins)?;
            if pins.len() == before && !line.trim().is_empty() {
                return Err(unreadable(line));
            }
        }
        Ok(Self::Pinned(pins))
    }

    pub(super) fn accepts_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    pub(super) fn accept(&self, host: &str, port: u16, key: &PublicKey) -> bool {
        let Self::Pinned(pins) = self else { return true };
        pins.iter().any(|pin| match pin {
            Pin::Fingerprint(pinned) => key.fingerprint(HashAlg::Sha256) == *pinned,
            Pin::Key { hosts, key: pinned } => {
                pinned.key_data() == key.key_data() && is_for(hosts.as_deref(), host, port)
            }
        })
    }

    /// `all`, those first of which a key is known. A server shows one key, of the first kind that
    /// both sides know: it must be the kind that can be checked.
    pub(super) fn order(&self, all: &[Algorithm]) -> Vec<Algorithm> {
        let known = |algorithm: &Algorithm| match self {
            Self::Any => false,
            Self::Pinned(pins) => pins.iter().any(|pin| match pin {
                Pin::Fingerprint(_) => false,
                Pin::Key { key, .. } => {
                    let kind = key.algorithm();
                    kind == *algorithm
                        || (kind.is_rsa() && matches!(algorithm, Algorithm::Rsa { .. }))
                }
            }),
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = all.iter().cloned().partition(known);
        first.extend(rest);
        first
    }

    /// The error for a server whose key is not accepted.
    pub(super) fn refusal(&self, host: &str, seen: Option<&str>) -> Error {
        let seen = seen.unwrap_or("of an unknown kind");
        let none = matches!(self, Self::Pinned(pins) if pins.is_empty());
        let message = if none {
            format!(
                "This hub does not log in to a server that it cannot recognise, and the setting \
                 \"Host Key\" of the SFTP action is empty. {host} showed the key {seen}. If its \
                 owner confirms that this is its key, a Looker admin puts it into that setting \
                 under Admin > Actions. No password was sent."
            )
        } else {
            format!(
                "{host} showed the key {seen}, which is none of those in the setting \"Host Key\" \
                 of the SFTP action. Either the server has a new key or somebody else answers in \
                 its place. If its owner confirms the new key, a Looker admin puts it into that \
                 setting. No password was sent."
            )
        };
        Error::settings(message).field("host_key")
    }
}

fn read_words(line: &str, pins: &mut Vec<Pin>) -> Result<()> {
    let mut words = line.split_whitespace().peekable();
    let mut hosts = None;
    while let Some(word) = words.next() {
        if word.starts_with("SHA256:") {
            let word = word.trim_end_matches([',', ';']).trim_end_matches('=');
            let pin = word.parse().map_err(|fault| unreadable(word).cause(format!("{fault}")))?;
            pins.push(Pin::Fingerprint(pin));
            hosts = None;
        } else if word.starts_with('@') {
            return Err(unreadable(word));
        } else if let Some(base64) = words.next_if(|next| next.starts_with("AAAA")) {
            let key = PublicKey::from_openssh(&format!("{word} {base64}"))
                .map_err(|fault| unreadable(line).cause(fault))?;
            if hosts.is_some_and(|hosts: &str| hosts.contains('|')) {
                return Err(Error::settings(
                    "The setting \"Host Key\" of the SFTP action holds a line with a hashed host \
                     name, which cannot be read back. Use what ssh-keyscan prints without -H.",
                )
                .field("host_key"));
            }
            let hosts = hosts.take().map(str::to_owned);
            pins.push(Pin::Key { hosts, key: Box::new(key) });
        } else {
            hosts = Some(word);
        }
    }
    Ok(())
}

/// Whether a known_hosts line is for this server. A name without a port stands for any port.
fn is_for(hosts: Option<&str>, host: &str, port: u16) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    hosts.is_none_or(|hosts| {
        hosts.split(',').any(|name| {
            name == "*"
                || name.eq_ignore_ascii_case(bare)
                || name.eq_ignore_ascii_case(&format!("[{bare}]:{port}"))
        })
    })
}

fn unreadable(what: &str) -> Error {
    let shown: String = what.chars().filter(|c| !c.is_control()).take(60).collect();
    Error::settings(format!(
        "The setting \"Host Key\" of the SFTP action holds \"{shown}\", which is neither a SHA256: \
         fingerprint nor a line of known_hosts. `ssh-keyscan HOST` prints such lines, \
         `ssh-keygen -lf FILE` fingerprints."
    ))
    .field("host_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC857wZcmNXDC74DD17rLsoPtmzBr0IVTnOZETpN2GR5";
    const PRINT: &str = "SHA256:X9CK3vxJpHKNRL8MeqdzAWsb0ZJcODZsHUS0Y4RyqAE";

    fn accepts(setting: &str, host: &str, port: u16) -> bool {
        let key = PublicKey::from_openssh(KEY).unwrap();
        HostKeys::parse(setting).unwrap().accept(host, port, &key)
    }

    #[test]
    fn the_right_key_is_accepted_in_every_notation() {
        for setting in [
            KEY.to_owned(),
            format!("{KEY} root@files"),
            PRINT.to_owned(),
            format!("256 {PRINT} root@files (ED25519)"),
            format!("files.example {KEY}"),
            format!("# files.example:22 SSH-2.0\nother,files.example {KEY}\n"),
            format!("other {KEY} files.example {KEY}"),
            "accept-any-host-key".to_owned(),
        ] {
            assert!(accepts(&setting, "files.example", 22), "{setting}");
        }
        assert!(accepts(&format!("[files.example]:2222 {KEY}"), "files.example", 2222));
    }

    #[test]
    fn another_key_or_host_is_refused() {
        let other = "SHA256:AAAA3vxJpHKNRL8MeqdzAWsb0ZJcODZsHUS0Y4RyqAE";
        for setting in [
            String::new(),
            other.to_owned(),
            format!("other.example {KEY}"),
            format!("[files.example]:2222 {KEY}"),
        ] {
            assert!(!accepts(&setting, "files.example", 22), "{setting}");
        }
    }

    #[test]
    fn what_is_no_key_is_quoted() {
        let hashed = format!("|1|c2FsdA==|aGFzaA== {KEY}");
        let ca = format!("@cert-authority * {KEY}");
        for (setting, said) in [
            ("yes", "\"yes\""),
            ("MD5:16:27:ac", "\"MD5:16:27:ac\""),
            ("SHA256:short", "\"SHA256:short\""),
            (&hashed, "without -H"),
            (&ca, "@cert-authority"),
        ] {
            let error = HostKeys::parse(setting).expect_err(setting);
            assert!(error.message().contains(said), "{error}");
            assert_eq!(error.class(), sendoff::Class::Settings);
        }
    }

    #[test]
    fn the_kind_of_a_known_key_is_asked_for_first() {
        let rsa = Algorithm::Rsa { hash: Some(HashAlg::Sha512) };
        let all = [rsa.clone(), Algorithm::Ed25519];
        let order = |setting| HostKeys::parse(setting).unwrap().order(&all);
        assert_eq!(order(KEY), [Algorithm::Ed25519, rsa.clone()]);
        assert_eq!(order(PRINT), [rsa, Algorithm::Ed25519]);
    }
}
