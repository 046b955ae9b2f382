//! Which algorithms are offered to a server: modern ones, and behind them old ones where the
//! operator allows these.

use std::borrow::Cow;

use russh::keys::HashAlg;
use russh::keys::ssh_key::Algorithm;
use russh::{Preferred, cipher, compression, kex, mac};

use super::host_key::HostKeys;

/// What servers from before 2014 may know alone. 1,024-bit groups, MD5 and DES stay out: who
/// listens can break them.
const OLD_KEX: [kex::Name; 2] = [kex::DH_GEX_SHA1, kex::DH_G14_SHA1];
const OLD_CIPHERS: [cipher::Name; 3] =
    [cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC];
const OLD_MACS: [mac::Name; 2] = [mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// RSA with SHA-1.
const OLD_KEY: Algorithm = Algorithm::Rsa { hash: None };

/// What is offered, in order: both sides take the first that the server knows too.
pub(super) fn offered(keys: &HostKeys, legacy: bool) -> Preferred {
    let allowed = |algorithm: &&Algorithm| legacy || **algorithm != OLD_KEY;
    let kinds: Vec<_> = Preferred::DEFAULT.key.iter().filter(allowed).cloned().collect();
    let mut offered = Preferred {
        key: Cow::Owned(keys.order(&kinds)),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::DEFAULT
    };
    if legacy {
        offered.kex.to_mut().extend(OLD_KEX);
        offered.cipher.to_mut().extend(OLD_CIPHERS);
        offered.mac.to_mut().extend(OLD_MACS);
    }
    offered
}

/// The hashes with which an RSA key signs a login, one attempt each. `said` is what the server says
/// that it takes, if it says so: `Some(None)` is SHA-1 alone.
pub(super) fn hashes(said: Option<Option<HashAlg>>, legacy: bool) -> Vec<Option<HashAlg>> {
    match said {
        Some(Some(best)) => vec![Some(best)],
        Some(None) if legacy => vec![None],
        // It is from before servers could say so.
        None if legacy => vec![Some(HashAlg::Sha512), None],
        _ => vec![Some(HashAlg::Sha512)],
    }
}
