//! Logging in as a service account: a signed assertion for a token, kept until it runs out
//! (<https://developers.google.com/identity/protocols/oauth2/service-account>).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use sendoff::{Class, Error, Http, Reply, Result, Retry, Secret, Stop};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::machine;
use super::refusal::Said;
use crate::shared::aws::hex;
use crate::shared::object_store::reworded;

/// Where assertions go. A key file names an address too; it is not followed, because whoever
/// fills in the settings could then have the hub call any.
pub(crate) const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const LIFETIME: Duration = Duration::from_secs(3600);
/// A token is not handed out when it has less than this to live.
const LEFT: Duration = Duration::from_secs(300);
/// How many tokens are kept.
const KEPT: usize = 256;

/// What a key file holds, or the settings that stand for it.
pub(crate) struct KeyFile {
    pub(crate) email: String,
    pub(crate) project: Option<String>,
    private_key: Secret,
    /// The setting that it came from.
    field: &'static str,
}

#[derive(Deserialize)]
struct Json {
    client_email: String,
    private_key: String,
    project_id: Option<String>,
}

impl KeyFile {
    /// Reads a key file as the console downloads it.
    ///
    /// # Errors
    /// A settings error at `field`.
    pub(crate) fn json(text: &Secret, field: &'static str) -> Result<Self> {
        // serde's own text could quote the key.
        let json: Json = serde_json::from_str(text.expose().trim()).map_err(|_| {
            Error::settings(
                "This is no key file of a service account: it must be the whole JSON file that \
                 Google Cloud downloads, with client_email and private_key.",
            )
            .field(field)
        })?;
        let Json { client_email: email, private_key, project_id: project } = json;
        Ok(Self { email, project, private_key: private_key.into(), field })
    }

    /// An e-mail address and a key that were copied out of such a file, or a whole file that was
    /// pasted in place of the key.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub(crate) fn parts(email: &str, key: &Secret, field: &'static str) -> Result<Self> {
        if key.expose().trim_start().starts_with('{') {
            return Self::json(key, field);
        }
        let email = email.trim().to_owned();
        Ok(Self { email, project: None, private_key: key.clone(), field })
    }

    fn key_pair(&self) -> Result<RsaKeyPair> {
        let wrong = |why: &str| {
            Error::settings(format!(
                "The private key of the service account {why}. It must be the text between \
                 -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----, with both lines."
            ))
            .field(self.field)
        };
        // Pasted into a line of a form, a key may have lost its line breaks or got "\n" for them.
        let text = self.private_key.expose().replace("\\n", "\n").replace("\\r", "");
        let (old, text) = match text.split_once("-----BEGIN PRIVATE KEY-----") {
            Some((_, rest)) => (false, rest),
            None => match text.split_once("-----BEGIN RSA PRIVATE KEY-----") {
                Some((_, rest)) => (true, rest),
                None => return Err(wrong("does not begin as one")),
            },
        };
        let (text, _) = text.split_once("-----END").ok_or_else(|| wrong("is cut off"))?;
        let text: String = text.split_whitespace().collect();
        let der = base64_simd::STANDARD.decode_to_vec(text).map_err(|_| wrong("is damaged"))?;
        let pair = if old { RsaKeyPair::from_der(&der) } else { RsaKeyPair::from_pkcs8(&der) };
        pair.map_err(|_| wrong("is no RSA key"))
    }
}

/// Tokens of all service accounts that one action works with.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<[u8; 32], Arc<Slot>>>);

/// One account's token, while it is fetched and once it is there. Whoever comes meanwhile waits
/// for the same.
#[derive(Default)]
struct Slot(OnceCell<Result<Token>>);

struct Token {
    secret: Secret,
    until: Instant,
}

impl Slot {
    /// Whether it is neither being filled nor good.
    fn spent(&self) -> bool {
        match self.0.get() {
            None => false,
            Some(Ok(token)) => token.until <= Instant::now(),
            Some(Err(_)) => true,
        }
    }
}

impl Tokens {
    fn slot(&self, id: [u8; 32]) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= KEPT {
            slots.retain(|_, slot| !slot.spent());
            if slots.len() >= KEPT {
                slots.clear();
            }
        }
        let slot = slots.entry(id).or_default();
        if slot.spent() {
            *slot = Arc::default();
        }
        Arc::clone(slot)
    }

    fn forget(&self, id: &[u8; 32], token: &Secret) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |slot: &Arc<Slot>| {
            slot.0.get().is_some_and(|kept| {
                kept.as_ref().is_ok_and(|kept| kept.secret.expose() == token.expose())
            })
        };
        if slots.get(id).is_some_and(same) {
            slots.remove(id);
        }
    }
}

/// What is asked for.
pub(crate) struct Wanted<'a> {
    /// Scopes with blanks between them.
    pub(crate) scope: &'static str,
    /// The user in whose name the account acts (domain-wide delegation).
    pub(crate) subject: Option<&'a str>,
    /// The account whose rights are used in place of the key's own.
    pub(crate) impersonate: Option<&'a str>,
}

/// By what it is known.
enum Proof {
    /// It signs what it says.
    Key(Box<RsaKeyPair>),
    /// The machine that the hub runs on says it.
    Machine,
}

/// One service account and what it is to do.
pub(crate) struct ServiceAccount {
    tokens: Arc<Tokens>,
    id: [u8; 32],
    email: String,
    project: Option<String>,
    proof: Proof,
    field: &'static str,
    scope: &'static str,
    subject: Option<String>,
    impersonate: Option<String>,
}

impl ServiceAccount {
    /// # Errors
    /// A settings error if the key is none.
    pub(crate) fn new(file: &KeyFile, wanted: &Wanted<'_>, tokens: &Arc<Tokens>) -> Result<Self> {
        let id = [&file.email, file.private_key.expose()];
        let account = Self::of(id, Proof::Key(Box::new(file.key_pair()?)), wanted, tokens);
        let (email, project) = (file.email.clone(), file.project.clone());
        Ok(Self { email, project, field: file.field, ..account })
    }

    /// The one that this hub itself runs as.
    pub(crate) fn of_machine(wanted: &Wanted<'_>, tokens: &Arc<Tokens>) -> Self {
        let account = Self::of(["", ""], Proof::Machine, wanted, tokens);
        Self { email: "that the hub runs as".to_owned(), ..account }
    }

    fn of(id: [&str; 2], proof: Proof, wanted: &Wanted<'_>, tokens: &Arc<Tokens>) -> Self {
        let given = |text: Option<&str>| {
            text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (subject, impersonate) = (given(wanted.subject), given(wanted.impersonate));
        let mut hash = Sha256::new();
        let told = [&subject, &impersonate].map(|text| text.as_deref().unwrap_or_default());
        for part in [id[0], id[1], wanted.scope, told[0], told[1]] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self {
            tokens: Arc::clone(tokens),
            id: hash.finalize().into(),
            email: String::new(),
            project: None,
            proof,
            field: "",
            scope: wanted.scope,
            subject,
            impersonate,
        }
    }

    /// A token with some minutes to live.
    ///
    /// # Errors
    /// A settings error with Google's own words if it refuses the account.
    pub(crate) async fn token(&self, http: &Http, stop: &Stop) -> Result<Secret> {
        let slot = self.tokens.slot(self.id);
        let kept = slot.0.get_or_try_init(async || match self.fetch(http).await {
            Ok(token) => Ok(Ok(token)),
            // One delivery's end is not the others': then the next one asks anew.
            Err(error) if stop.reason().is_some() => Err(error),
            Err(error) => Ok(Err(error)),
        });
        match kept.await? {
            Ok(token) => Ok(token.secret.clone()),
            Err(error) => Err(copied(error)),
        }
    }

    /// The project that it belongs to, which its address names too.
    pub(crate) fn project(&self) -> &str {
        let domain = self.email.split_once('@').map_or("", |(_, domain)| domain);
        self.project.as_deref().unwrap_or(domain)
    }

    /// Tells whose quotas it uses from others.
    pub(crate) fn account_key(&self) -> String {
        hex(&self.id[..16])
    }

    /// Drops a token that the vendor did not take.
    pub(crate) fn forget(&self, token: &Secret) {
        self.tokens.forget(&self.id, token);
    }

    async fn fetch(&self, http: &Http) -> Result<Token> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            expires_in: Option<u64>,
        }
        let asked_at = Instant::now();
        let reply = match &self.proof {
            Proof::Key(key) => self.asserted(http, key).await?,
            Proof::Machine => machine::token(http, self.own_scope()).await?,
        };
        let granted: Granted = reply.json().await?;
        let lives = granted.expires_in.map_or(LIFETIME, Duration::from_secs);
        let until = asked_at + lives.min(LIFETIME).saturating_sub(LEFT);
        let secret = Secret::from(granted.access_token);
        match &self.impersonate {
            None => Ok(Token { secret, until }),
            Some(account) => {
                let secret = self.impersonated(http, account, &secret).await?;
                Ok(Token { secret, until })
            }
        }
    }

    /// What Google answers to an assertion.
    async fn asserted(&self, http: &Http, key: &RsaKeyPair) -> Result<Reply> {
        let assertion = self.assertion(key, Timestamp::now())?;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", &assertion),
        ];
        self.granted(http.post(TOKEN_URL).form(form).reads().send().await?).await
    }

    /// What the account itself is asked to be allowed.
    fn own_scope(&self) -> &'static str {
        match self.impersonate {
            None => self.scope,
            Some(_) => "https://www.googleapis.com/auth/cloud-platform",
        }
    }

    /// A token of another account
    /// (<https://docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>).
    async fn impersonated(&self, http: &Http, account: &str, own: &Secret) -> Result<Secret> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Granted {
            access_token: String,
        }
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '@');
        if !account.chars().all(sound) {
            return Err(Error::settings(
                "The account to impersonate must be the e-mail address of a service account.",
            )
            .field("impersonate_service_account"));
        }
        let url = format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        );
        let scopes: Vec<_> = self.scope.split(' ').collect();
        let body = json!({"scope": scopes, "lifetime": "3600s"});
        let reply = http.post(url).bearer(own).json(&body).reads().send().await?;
        let reply = reply.success_or(|error, words| {
            let Some(said) = Said::read(words) else { return error };
            let text = format!(
                "Google refused to impersonate {account} ({}): {}. Give the service account {} the \
                 role Service Account Token Creator on it.",
                said.reason,
                said.message.trim_end_matches('.'),
                self.email
            );
            refused(error, text).field("impersonate_service_account")
        });
        Ok(reply.await?.json::<Granted>().await?.access_token.into())
    }

    async fn granted(&self, reply: Reply) -> Result<Reply> {
        let read = |error: Error, words: &str| {
            let Some(said) = Said::read(words) else { return error };
            let Said { reason, message } = said;
            let advice = match reason.as_str() {
                "unauthorized_client" | "access_denied" if self.subject.is_some() => {
                    "Let an administrator of Google Workspace allow domain-wide delegation for the \
                     service account, with the scopes that this action's page names."
                }
                _ if message.contains("short-lived token") => {
                    return refused_by_clock(error, &message);
                }
                _ => "Check the service account's e-mail address and its key.",
            };
            let text = format!(
                "Google refused the service account {} ({reason}): {}. {advice}",
                self.email,
                message.trim_end_matches('.')
            );
            refused(error, text).field(self.field)
        };
        reply.success_or(read).await
    }

    fn assertion(&self, key: &RsaKeyPair, now: Timestamp) -> Result<String> {
        let now = now.as_second();
        let mut claims = json!({
            "iss": self.email,
            "scope": self.own_scope(),
            "aud": TOKEN_URL,
            "iat": now,
            "exp": now + LIFETIME.as_secs() as i64,
        });
        if let Some(subject) = &self.subject {
            claims["sub"] = json!(subject);
        }
        let url = base64_simd::URL_SAFE_NO_PAD;
        let head = url.encode_to_string(br#"{"alg":"RS256","typ":"JWT"}"#);
        let text = format!("{head}.{}", url.encode_to_string(claims.to_string()));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| Error::hub("The assertion for Google could not be signed."))?;
        Ok(format!("{text}.{}", url.encode_to_string(signature)))
    }
}

/// `error` for the admin, unless it is Google's own trouble.
fn refused(error: Error, text: String) -> Error {
    let own = error.retry() != Retry::No || error.http_status().is_some_and(|code| code >= 500);
    let class = if own { Class::Vendor } else { Class::Settings };
    reworded(error, class, text)
}

fn refused_by_clock(error: Error, said: &str) -> Error {
    let text = format!(
        "Google refused the hub's assertion because of its time: {said} Tell the hub's operator \
         that the clock of its machine is wrong."
    );
    reworded(error, Class::Hub, text)
}

/// The same error once more, for each who waited for the same token.
fn copied(error: &Error) -> Error {
    let copy = match error.class() {
        Class::Settings => Error::settings(error.message().to_owned()),
        Class::Hub => Error::hub(error.message().to_owned()),
        _ => Error::vendor(error.message().to_owned()),
    };
    let copy = match error.retry() {
        Retry::Later => copy.retry_later(),
        Retry::After(wait) => copy.retry_after(wait),
        _ => copy,
    };
    let copy = match error.http_status() {
        Some(status) => copy.status(status),
        None => copy,
    };
    match error.field_name() {
        Some(field) => copy.field(field.to_owned()),
        None => copy,
    }
}

#[cfg(test)]
mod tests;
