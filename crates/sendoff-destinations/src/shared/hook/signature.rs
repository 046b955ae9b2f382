//! Proof that a request came from this hub: an HMAC over its time and body.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sendoff::{ByteStream, Error, Result, Secret};
use sha2::Sha256;

/// When the body was signed, in seconds since 1970.
pub(super) const TIMESTAMP: &str = "X-Sendoff-Timestamp";

/// `sha256=` and the HMAC-SHA256 of `<timestamp>.<body>` in hexadecimal.
///
/// The header is GitHub's, so that receivers know the form; the time is signed with the body as
/// Stripe does it, or a request that somebody recorded could be played again for ever.
/// <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>
/// <https://docs.stripe.com/webhooks#verify-manually>
pub(super) const SIGNATURE: &str = "X-Hub-Signature-256";

/// A signature under way.
pub(super) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(super) fn new(secret: &Secret, timestamp: i64) -> Result<Self> {
        // HMAC takes keys of any length, so that this does not happen.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .map_err(|fault| Error::settings("The signing secret cannot be used.").cause(fault))?;
        mac.update(format!("{timestamp}.").as_bytes());
        Ok(Self(mac))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) async fn add_all(&mut self, mut stream: ByteStream) -> Result<()> {
        while let Some(chunk) = stream.next().await {
            let chunk: Bytes = chunk?;
            self.add(&chunk);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> String {
        let digest = self.0.finalize().into_bytes();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={hex}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_openssls() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'a signing secret'
        let mut signer = Signer::new(&"a signing secret".into(), 1_700_000_000).unwrap();
        signer.add(b"{\"a\"");
        signer.add(b":1}");
        assert_eq!(
            signer.finish(),
            "sha256=8684a444ca2e912b560858f6bbd34d35e46a45294787687b3ce1a2e9550fa436"
        );
    }
}
