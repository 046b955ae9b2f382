//! Who may call the hub: hub tokens, and Looker's own token for webhooks and data actions.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sendoff_protocol::{WEBHOOK_TOKEN, parse_authorization};
use subtle::Choice;

use super::digest::{Digest, hex, sha256, sign};
use crate::{Error, Result, Secret};

/// Between the nonce and the names of the actions that a token is limited to.
const LIMITED: char = '~';
/// Between two names.
const AND: char = '+';

/// Hub tokens.
///
/// A token is `nonce/signature`, where the signature is the HMAC-SHA512 of the nonce under the
/// hub's secret, both in lower-case hexadecimal: the reference hub's own format (protocol fact B),
/// so that no token has to be entered anew and none is stored here. The nonce of a limited token
/// names its actions, `nonce~slack+webhook/signature`.
#[derive(Debug)]
pub struct Token;

impl Token {
    /// Makes a token that is valid under `secret`: for every action, or for `actions` alone.
    ///
    /// # Errors
    /// The hub's, when the system has no randomness to give.
    pub fn issue<'a>(
        secret: &Secret,
        actions: impl IntoIterator<Item = &'a str>,
    ) -> Result<String> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|error| {
            Error::hub("The system gives no random numbers.").cause(error.to_string())
        })?;
        let mut claim = hex(&nonce);
        for (n, action) in actions.into_iter().enumerate() {
            claim.push(if n == 0 { LIMITED } else { AND });
            claim.push_str(action);
        }
        let signature = sign(secret, claim.as_bytes()).to_hex();
        Ok(format!("{claim}/{signature}"))
    }
}

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Everything.
    All,
    /// These actions.
    Only(Vec<String>),
    /// Deliver through webhooks and data actions, which Looker's own token stands for.
    Webhook,
}

impl Grant {
    pub(crate) fn allows(&self, action: &str) -> bool {
        match self {
            Self::All | Self::Webhook => true,
            Self::Only(names) => names.iter().any(|name| name == action),
        }
    }
}

/// The hub's secrets and Looker's webhook tokens.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) secrets: Vec<Secret>,
    pub(crate) webhook_tokens: Vec<Secret>,
}

impl Gate {
    /// Whether nobody can get in.
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.webhook_tokens.is_empty()
    }

    /// What the request's headers allow, or `None` when they allow nothing. The body plays no
    /// part, so that none of it has to be read first.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Option<Grant> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            return self.check_token(parse_authorization(value.to_str().ok()?)?);
        }
        let token = headers.get(WEBHOOK_TOKEN)?.as_bytes();
        self.check_webhook_token(token).then_some(Grant::Webhook)
    }

    fn check_token(&self, token: &str) -> Option<Grant> {
        let (claim, signature) = token.split_once('/')?;
        let given = Digest::from_hex(signature)?;
        let mut valid = Choice::from(0);
        // Every secret is tried, so that the time taken does not tell which one fits.
        for secret in &self.secrets {
            valid |= sign(secret, claim.as_bytes()).matches(&given);
        }
        if !bool::from(valid) {
            return None;
        }
        Some(match claim.split_once(LIMITED) {
            None => Grant::All,
            Some((_, names)) => Grant::Only(names.split(AND).map(str::to_owned).collect()),
        })
    }

    fn check_webhook_token(&self, given: &[u8]) -> bool {
        let given = sha256(given);
        let mut valid = Choice::from(0);
        for token in &self.webhook_tokens {
            valid |= sha256(token.expose().as_bytes()).matches(&given);
        }
        valid.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// Made by the reference hub itself under the secret `s3cret`.
    const REFERENCE_TOKEN: &str = "9d8ebac9c87e06fc19ba4b94cc8c2abe9c518e94dcd93621e637d8947368ae53/df9c2f237a9fa1c79808ca8718685e29885516637a2328ff849d526b4748d0f49a6e43f1e3ac7da2c2624cee92734b2d9a36da83a11e249cce62393c4855e14b";

    fn gate(secrets: &[&str]) -> Gate {
        Gate {
            secrets: secrets.iter().map(|s| Secret::from(*s)).collect(),
            webhook_tokens: vec!["hook".into()],
        }
    }

    fn check(gate: &Gate, token: &str) -> Option<Grant> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Token token=\"{token}\"")).ok()?;
        headers.insert(AUTHORIZATION, value);
        gate.check(&headers)
    }

    #[test]
    fn the_references_own_token_is_valid_under_its_secret_and_no_other() {
        assert_eq!(check(&gate(&["s3cret"]), REFERENCE_TOKEN), Some(Grant::All));
        assert_eq!(check(&gate(&["new", "s3cret"]), REFERENCE_TOKEN), Some(Grant::All));
        assert_eq!(check(&gate(&["S3cret"]), REFERENCE_TOKEN), None);
        assert_eq!(check(&gate(&[]), REFERENCE_TOKEN), None);
    }

    #[test]
    fn a_limited_token_opens_its_actions_only_and_cannot_be_widened() {
        let gate = gate(&["a"]);
        let token = Token::issue(&"a".into(), ["slack", "webhook"]).unwrap();
        let grant = check(&gate, &token).unwrap();
        assert!(grant.allows("slack") && grant.allows("webhook") && !grant.allows("slack_app"));
        assert_eq!(check(&gate, &token.replace("~slack+webhook", "")), None);
        assert_eq!(check(&gate, &token.replace("slack", "slack_app")), None);
    }

    #[test]
    fn malformed_tokens_of_every_length_are_refused() {
        let gate = gate(&["s3cret"]);
        for n in 0..300 {
            assert_eq!(check(&gate, &"a".repeat(n)), None);
            assert_eq!(check(&gate, &format!("{}/{}", "a".repeat(n), "b".repeat(n))), None);
        }
        for n in 0..REFERENCE_TOKEN.len() {
            assert_eq!(check(&gate, &REFERENCE_TOKEN[..n]), None);
        }
        assert_eq!(check(&gate, &REFERENCE_TOKEN.to_uppercase()), None);
    }

    #[test]
    fn a_wrong_hub_token_is_not_saved_by_a_right_webhook_token() {
        let mut headers = HeaderMap::new();
        headers.insert(WEBHOOK_TOKEN, HeaderValue::from_static("hook"));
        assert_eq!(gate(&[]).check(&headers), Some(Grant::Webhook));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Token token=\"a/b\""));
        assert_eq!(gate(&[]).check(&headers), None);
        headers.clear();
        headers.insert(WEBHOOK_TOKEN, HeaderValue::from_static("hool"));
        assert_eq!(gate(&[]).check(&headers), None);
    }
}
