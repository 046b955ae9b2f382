//! The reference hub's sealing, to read what it left in Looker. Protocol fact B, `src/crypto/
//! aes_transit_crypto.ts`: AES-256-CTR without a check of its own, so nothing is written in it, and
//! nothing that passes through a browser is read from it.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};

use super::seal::unhex;
use crate::{Error, Result, Secret};

/// `CIPHER_MASTER`.
#[derive(Clone)]
pub(crate) struct LegacyKey {
    master: [u8; 32],
    /// Its id in `{cid, payload}`: the SHA-256 of the key in hexadecimal.
    cid: String,
}

impl std::fmt::Debug for LegacyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LegacyKey").field("cid", &self.cid).finish_non_exhaustive()
    }
}

impl LegacyKey {
    /// # Errors
    /// A sentence for the operator when it is not 64 hexadecimal characters.
    pub(crate) fn new(master: &Secret) -> Result<Self> {
        let master = unhex(master.expose())
            .ok_or_else(|| Error::hub("CIPHER_MASTER must be 64 hexadecimal characters."))?;
        let cid = Sha256::digest(master).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { master, cid })
    }

    pub(crate) fn cid(&self) -> &str {
        &self.cid
    }

    pub(crate) fn master(&self) -> &[u8] {
        &self.master
    }

    /// The text in `1`, the length of the wrapped key, the length of the IV (three digits each),
    /// IV, wrapped key, cipher text. Under a wrong key it is noise or no text at all.
    pub(crate) fn open(&self, sealed: &str) -> Option<String> {
        let rest = sealed.strip_prefix('1')?;
        let key_len: usize = rest.get(..3)?.parse().ok()?;
        let iv_len: usize = rest.get(3..6)?.parse().ok()?;
        let rest = rest.get(6..)?;
        let iv: [u8; 16] = decode(rest.get(..iv_len)?)?.try_into().ok()?;
        let rest = rest.get(iv_len..)?;
        let mut key: [u8; 32] = decode(rest.get(..key_len)?)?.try_into().ok()?;
        let mut text = decode(rest.get(key_len..)?)?;
        // The same IV for both.
        Ctr128BE::<Aes256>::new(&self.master.into(), &iv.into()).apply_keystream(&mut key);
        Ctr128BE::<Aes256>::new(&key.into(), &iv.into()).apply_keystream(&mut text);
        String::from_utf8(text).ok()
    }
}

#[cfg(feature = "testing")]
impl LegacyKey {
    /// What the reference hub would leave in Looker for `text`.
    pub(crate) fn kept(&self, text: &str) -> String {
        let (iv, mut key, mut bytes) = ([7; 16], [9; 32], text.as_bytes().to_vec());
        Ctr128BE::<Aes256>::new(&key.into(), &iv.into()).apply_keystream(&mut bytes);
        Ctr128BE::<Aes256>::new(&self.master.into(), &iv.into()).apply_keystream(&mut key);
        let encode = |bytes: &[u8]| base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes);
        let (iv, key, text) = (encode(&iv), encode(&key), encode(&bytes));
        let payload = format!("1{:03}{:03}{iv}{key}{text}", key.len(), iv.len());
        serde_json::json!({"cid": self.cid, "payload": payload}).to_string()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text.trim_end_matches('=')).ok()
}
