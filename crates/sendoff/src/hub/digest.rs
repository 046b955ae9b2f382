//! Digests that prove a caller, and the one way to compare them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use crate::Secret;

/// A digest of `N` bytes. It has no `==`: [`matches`](Self::matches) takes a time that does not
/// depend on the bytes.
pub(super) struct Digest<const N: usize>([u8; N]);

impl<const N: usize> Digest<N> {
    pub(super) fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }

    /// In lower-case hexadecimal.
    pub(super) fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads lower-case hexadecimal.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let mut bytes = [0; N];
        if pairs.len() != N {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

/// The HMAC-SHA512 of `claim` under `secret`.
pub(super) fn sign(secret: &Secret, claim: &[u8]) -> Digest<64> {
    let mut mac = Hmac::<Sha512>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(claim);
    Digest(mac.finalize().into_bytes().into())
}

/// What texts of any length are compared by.
pub(super) fn sha256(text: &[u8]) -> Digest<32> {
    Digest(Sha256::digest(text).into())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
