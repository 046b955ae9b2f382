//! Sealing: what passes through browsers and lies in Looker can be neither read nor altered, nor
//! moved to another action, instance or purpose.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// In front of every sealed text, so that a later format can be told from this one.
const VERSION: &str = "s1";
const NONCE: usize = 24;
const TIME: usize = 8;
/// More than anything that is sealed here.
const LONGEST: usize = 64 << 10;
/// How far ahead another replica's clock may be.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// How long what passes through a browser is good for.
pub(crate) const IN_TRANSIT: Duration = Duration::from_secs(10 * 60);
const LONGEST_ID: usize = 32;

/// What a text was sealed for. One kind cannot be used as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The login link in Looker's form.
    Link,
    /// `state` on the way to the provider and back.
    Trip,
    /// The code on its way through Looker (version 2).
    Code,
    /// Tokens that Looker keeps.
    Stored,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Trip => "trip",
            Self::Code => "code",
            Self::Stored => "stored",
        }
    }

    fn good_for(self) -> Option<Duration> {
        (self != Self::Stored).then_some(IN_TRANSIT)
    }
}

/// What a text is sealed to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) action: &'a str,
    /// Empty where it is not known, as in a browser: then it stands inside.
    pub(crate) instance: &'a str,
}

/// A key that logins are sealed with.
#[derive(Clone)]
pub struct StateKey {
    id: String,
    key: [u8; 32],
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl StateKey {
    /// Reads `id:key`: a name of your choice, and 64 hexadecimal characters, as
    /// `openssl rand -hex 32` prints.
    ///
    /// # Errors
    /// A sentence for the operator, without the key.
    pub fn parse(text: &str) -> Result<Self> {
        let right = "It must be a name and 64 hexadecimal characters, such as \"2026-11:\" and \
                     what `openssl rand -hex 32` prints.";
        let wrong = |why: &str| Error::hub(format!("A state key {why}. {right}"));
        let (id, hex) = text.trim().split_once(':').ok_or_else(|| wrong("has no \":\""))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if id.is_empty() || id.len() > LONGEST_ID || !id.chars().all(fits) {
            return Err(wrong("has no name of up to 32 letters, digits, \"-\" and \"_\""));
        }
        let key = unhex(hex).ok_or_else(|| wrong("does not have 64 hexadecimal characters"))?;
        Ok(Self { id: id.to_owned(), key })
    }

    /// A key made from another secret. The same secret gives the same key in every replica.
    pub(crate) fn derived(from: &[u8]) -> Self {
        let mut key = [0; 32];
        // 32 bytes are far below what HKDF-SHA256 can give.
        let _ = Hkdf::<Sha256>::new(Some(b"sendoff"), from).expand(b"sealed logins", &mut key);
        let id = Sha256::digest(key).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { id, key }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key.into())
    }
}

/// 64 hexadecimal characters as bytes.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let digits = text.trim().as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (slot, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *slot = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Why a sealed text is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// It is no sealed text of ours.
    Unknown,
    /// No key of its name is in the ring.
    NoSuchKey,
    /// It was altered, or sealed for something else.
    Altered,
    /// It is older than it may be.
    Expired,
}

/// What was sealed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) text: Vec<u8>,
    /// Whether the key is the one that seals now.
    pub(crate) newest: bool,
}

/// The keys: the first seals, all open.
#[derive(Clone, Debug)]
pub(crate) struct KeyRing(Vec<StateKey>);

impl KeyRing {
    /// A ring of `keys`. Without any it makes one that lives as long as the process.
    pub(crate) fn new(mut keys: Vec<StateKey>) -> Result<Self> {
        let mut known = std::collections::HashSet::new();
        keys.retain(|key| known.insert((key.id.clone(), key.key)));
        let mut ids = std::collections::HashSet::new();
        if let Some(twice) = keys.iter().find(|key| !ids.insert(key.id.clone())) {
            return Err(Error::hub(format!("Two state keys are called \"{}\".", twice.id)));
        }
        if keys.is_empty() {
            let mut random = [0; 32];
            fill(&mut random)?;
            keys.push(StateKey::derived(&random));
        }
        Ok(Self(keys))
    }

    pub(crate) fn seal(&self, to: Seal<'_>, text: &[u8]) -> Result<String> {
        self.seal_at(to, text, SystemTime::now())
    }

    pub(super) fn seal_at(&self, to: Seal<'_>, text: &[u8], now: SystemTime) -> Result<String> {
        let Some(key) = self.0.first() else { return Err(Error::hub("There is no state key.")) };
        let mut bytes = vec![0; NONCE];
        fill(&mut bytes)?;
        let mut plain = seconds(now).to_be_bytes().to_vec();
        plain.extend_from_slice(text);
        let aad = bound(&key.id, to);
        let nonce = XNonce::try_from(&bytes[..]).map_err(|_| sealing_failed())?;
        let payload = Payload { msg: &plain, aad: &aad };
        let sealed = key.cipher().encrypt(&nonce, payload).map_err(|_| sealing_failed())?;
        bytes.extend_from_slice(&sealed);
        let text = base64_simd::URL_SAFE_NO_PAD.encode_to_string(&bytes);
        Ok(format!("{VERSION}.{}.{text}", key.id))
    }

    pub(crate) fn open(&self, to: Seal<'_>, sealed: &str) -> Result<Opened, Unsealed> {
        self.open_at(to, sealed, SystemTime::now())
    }

    pub(super) fn open_at(
        &self,
        to: Seal<'_>,
        sealed: &str,
        now: SystemTime,
    ) -> Result<Opened, Unsealed> {
        if sealed.len() > LONGEST {
            return Err(Unsealed::Unknown);
        }
        let mut pieces = sealed.splitn(3, '.');
        let (Some(VERSION), Some(id), Some(text)) = (pieces.next(), pieces.next(), pieces.next())
        else {
            return Err(Unsealed::Unknown);
        };
        let place = self.0.iter().position(|key| key.id == id).ok_or(Unsealed::NoSuchKey)?;
        let key = &self.0[place];
        let bytes =
            base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| Unsealed::Altered)?;
        let (nonce, cipher_text) = bytes.split_at_checked(NONCE).ok_or(Unsealed::Altered)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| Unsealed::Altered)?;
        let aad = bound(id, to);
        let mut plain = key
            .cipher()
            .decrypt(&nonce, Payload { msg: cipher_text, aad: &aad })
            .map_err(|_| Unsealed::Altered)?;
        let time = plain.get(..TIME).and_then(|time| time.try_into().ok());
        let sealed_at = u64::from_be_bytes(time.ok_or(Unsealed::Altered)?);
        if let Some(good_for) = to.purpose.good_for() {
            let now = seconds(now);
            let age = now.saturating_sub(sealed_at);
            if age > good_for.as_secs() || sealed_at.saturating_sub(now) > SKEW.as_secs() {
                return Err(Unsealed::Expired);
            }
        }
        plain.drain(..TIME);
        Ok(Opened { text: plain, newest: place == 0 })
    }
}

/// What the cipher text is bound to, each with its length in front, so that no two read the same.
fn bound(key: &str, to: Seal<'_>) -> Vec<u8> {
    let mut aad = Vec::new();
    for piece in [VERSION, key, to.purpose.name(), to.action, to.instance] {
        aad.extend_from_slice(&(piece.len() as u64).to_be_bytes());
        aad.extend_from_slice(piece.as_bytes());
    }
    aad
}

fn sealing_failed() -> Error {
    Error::hub("A login could not be sealed.")
}

/// Randomness from the system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| Error::hub("The system gives no random numbers.").cause(error.to_string()))
}

/// Seconds of the Unix time.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
