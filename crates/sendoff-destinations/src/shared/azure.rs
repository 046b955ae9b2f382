//! The dialect of Azure Blob Storage over the door out, and its ways to show who one is.
//!
//! A block blob becomes visible by its block list alone: blocks that are never listed cannot be
//! seen and go by themselves after a week, so that nothing has to be taken back
//! (<https://learn.microsoft.com/rest/api/storageservices/put-block>).

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, StatusCode};
use jiff::Timestamp;
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sendoff::{Class, Error, Http, Item, Listing, Page, Paging, Reply, Result, Secret, Stop};
use serde::Deserialize;
use sha2::Sha256;
use url::Url;

use super::file_path::FilePath;
use super::object_store::{Part, Shelf, Upload, reworded};
use super::xml;

mod own_identity;

pub use own_identity::AzureEnvironment;
pub(crate) use own_identity::OwnIdentity;

/// The service's behaviour is that of this date, whatever comes later.
const VERSION: &str = "2023-11-03";
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');
const NAME: &str = "Azure Storage";
/// What a token of Microsoft Entra must be good for.
const SCOPE: &str = "https://storage.azure.com/.default";

/// Who we are.
pub(crate) enum Login {
    /// The account's key, decoded.
    Key { account: String, key: Vec<u8> },
    /// A shared access signature: goes along with each query.
    Sas(Vec<(String, String)>),
    /// A token of Microsoft Entra.
    Bearer(Secret),
}

impl Login {
    /// # Errors
    /// A settings error if the key is no base64.
    pub(crate) fn key(account: &str, key: &Secret) -> Result<Self> {
        let key = base64_simd::STANDARD.decode_to_vec(key.expose().trim()).map_err(|_| {
            Error::settings(
                "The access key is not complete: it must be the base64 text that the Azure portal \
                 shows under \"Access keys\".",
            )
            .field("accessKey")
        })?;
        Ok(Self::Key { account: account.to_owned(), key })
    }

    /// Reads a SAS token, or the query of a SAS URL.
    ///
    /// # Errors
    /// A settings error if it has no signature.
    pub(crate) fn sas(token: &Secret) -> Result<Self> {
        let text = token.expose().trim();
        let query = text.split_once('?').map_or(text, |(_, query)| query);
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        // A "+" in a signature stands for itself where somebody copied it unencoded.
        let mend = |(name, value): (String, String)| (name, value.replace(' ', "+"));
        let pairs: Vec<_> = pairs.into_iter().map(mend).collect();
        if !pairs.iter().any(|(name, _)| name == "sig") {
            return Err(Error::settings(
                "The SAS token has no signature. It must begin like sv=… and hold sig=….",
            )
            .field("sas_token"));
        }
        Ok(Self::Sas(pairs))
    }

    /// Logs a service principal in by its secret
    /// (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>).
    ///
    /// # Errors
    /// A settings error with Entra's own words.
    pub(crate) async fn entra(
        http: &Http,
        authority: &str,
        tenant: &str,
        client: &str,
        secret: &Secret,
    ) -> Result<Self> {
        #[derive(Deserialize)]
        struct Token {
            access_token: String,
        }
        #[derive(Deserialize)]
        struct Refusal {
            error_description: String,
        }
        let tenant = tenant.trim();
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        if tenant.is_empty() || !tenant.bytes().all(sound) {
            return Err(
                Error::settings("The tenant must be its id or its domain.").field("tenant_id")
            );
        }
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client.trim()),
            ("client_secret", secret.expose().trim()),
            ("scope", SCOPE),
        ];
        let url = format!("https://{authority}/{tenant}/oauth2/v2.0/token");
        let reply = http.post(url).form(form).reads().send().await?;
        let status = reply.status();
        if status == StatusCode::BAD_REQUEST || status == StatusCode::UNAUTHORIZED {
            let said = reply.json::<Refusal>().await?.error_description;
            let said = said.lines().next().unwrap_or_default();
            let text = format!("Microsoft Entra refused the service principal: {said}");
            return Err(Error::settings(text).field("client_secret").status(status.as_u16()));
        }
        let token: Token = reply.success().await?.json().await?;
        Ok(Self::Bearer(token.access_token.into()))
    }
}

/// A client for one delivery.
pub(crate) struct Azure {
    pub(crate) http: Http,
    pub(crate) stop: Stop,
    pub(crate) login: Login,
    /// Scheme, host and, for emulators, the account as the first part of the path; no slash at the
    /// end.
    pub(crate) base: Url,
}

/// One request before it is signed.
#[derive(Clone, Default)]
struct Ask<'a> {
    method: Method,
    /// Container and blob, unencoded, with a slash in front.
    path: &'a str,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    /// For cleaning up: goes out after a stop too, within this time.
    last_words: Option<Duration>,
}

impl Azure {
    async fn send(&self, ask: Ask<'_>) -> Result<Reply> {
        let base = self.base.as_str().trim_end_matches('/');
        let mut url = format!("{base}{}", utf8_percent_encode(ask.path, PATH));
        if Url::parse(&url).map_or(true, |parsed| parsed.as_str() != url) {
            return Err(Error::form(
                "filename",
                "The path or the file name cannot be sent as it is: a part of it is \".\" or \"..\".",
            ));
        }
        let mut headers = ask.headers;
        headers.push(("x-ms-version", VERSION.to_owned()));
        headers.push((
            "x-ms-date",
            Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        ));
        let signature = match &self.login {
            Login::Key { account, key } => {
                let text = string_to_sign(
                    &ask.method,
                    account,
                    &url,
                    &ask.query,
                    &headers,
                    ask.body.len(),
                );
                Some(("SharedKey", format!("{account}:{}", sign(key, &text))))
            }
            Login::Bearer(token) => Some(("Bearer", token.expose().to_owned())),
            Login::Sas(_) => None,
        };
        let sas = match &self.login {
            Login::Sas(pairs) => pairs.as_slice(),
            Login::Key { .. } | Login::Bearer(_) => &[],
        };
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&ask.query)
            .extend_pairs(sas)
            .finish();
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        let http =
            if ask.last_words.is_some() { self.http.for_cleanup() } else { self.http.clone() };
        let mut call = http.request(ask.method, url).body(ask.body);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        if let Some((scheme, proof)) = signature {
            call = call.secret_header("authorization", &Secret::from(format!("{scheme} {proof}")));
        }
        match ask.last_words {
            Some(limit) => call.timeout(limit).send().await,
            None => call.send().await,
        }
    }

    /// After a stop little time is left before the delivery is dropped.
    fn last_words(&self) -> Option<Duration> {
        Some(Duration::from_secs(if self.stop.reason().is_some() { 2 } else { 10 }))
    }

    /// The names of all containers that may be listed.
    pub(crate) async fn containers(&self) -> Result<Listing> {
        let page = |marker| self.page_of_containers(marker);
        Listing::paged("containers", Paging::default(), page).await
    }

    async fn page_of_containers(&self, marker: Option<String>) -> Result<Page> {
        let mut query = vec![("comp", "list".to_owned())];
        query.extend(marker.map(|marker| ("marker", marker)));
        let reply = self.send(Ask { path: "/", query, ..Ask::default() }).await?;
        let page = success(reply).await?.text().await?;
        let items = xml::texts(&page, "Name").map(Item::named).collect();
        Ok(Page { items, next: xml::text(&page, "NextMarker") })
    }

    /// Makes a container, or finds that there is one.
    pub(crate) async fn create_container(&self, name: &str) -> Result<()> {
        let path = format!("/{name}");
        let query = vec![("restype", "container".to_owned())];
        let reply =
            self.send(Ask { method: Method::PUT, path: &path, query, ..Ask::default() }).await?;
        if reply.header("x-ms-error-code") == Some("ContainerAlreadyExists") {
            return Ok(());
        }
        success(reply).await.map(drop)
    }
}

/// A container as the place where blobs may stand already.
pub(crate) struct Container<'a> {
    pub(crate) azure: &'a Azure,
    pub(crate) name: &'a str,
}

impl Shelf for Container<'_> {
    async fn exists(&self, path: &FilePath) -> Result<Option<bool>> {
        let path = format!("/{}/{path}", self.name);
        let ask = Ask { method: Method::HEAD, path: &path, ..Ask::default() };
        let reply = self.azure.send(ask).await?;
        match reply.status() {
            StatusCode::NOT_FOUND => Ok(Some(false)),
            StatusCode::FORBIDDEN => Ok(None),
            _ => reply.success().await.map(|_| Some(true)),
        }
    }
}

/// What is signed
/// (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>).
pub(crate) fn string_to_sign(
    method: &Method,
    account: &str,
    url: &str,
    query: &[(&str, String)],
    headers: &[(&str, String)],
    body: usize,
) -> String {
    let header =
        |name| headers.iter().find(|(each, _)| *each == name).map_or("", |(_, v)| v.as_str());
    let length = if body == 0 { String::new() } else { body.to_string() };
    let mut text = format!("{method}\n");
    for value in ["", "", &length, header("content-md5"), header("content-type"), "", "", ""] {
        text.push_str(value);
        text.push('\n');
    }
    for value in [header("if-none-match"), "", ""] {
        text.push_str(value);
        text.push('\n');
    }
    let mut own: Vec<_> = headers.iter().filter(|(name, _)| name.starts_with("x-ms-")).collect();
    own.sort_unstable();
    for (name, value) in own {
        text.push_str(&format!("{name}:{}\n", value.trim()));
    }
    // The path as it is sent, after the account.
    let path = Url::parse(url).map(|url| url.path().to_owned()).unwrap_or_default();
    text.push_str(&format!("/{account}{path}"));
    let mut pairs: Vec<_> = query.iter().collect();
    pairs.sort_unstable();
    for (name, value) in pairs {
        text.push_str(&format!("\n{name}:{value}"));
    }
    text
}

pub(crate) fn sign(key: &[u8], text: &str) -> String {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    base64_simd::STANDARD.encode_to_string(mac.finalize().into_bytes())
}

async fn success(reply: Reply) -> Result<Reply> {
    let code = reply.header("x-ms-error-code").map(str::to_owned);
    reply.success().await.map_err(|error| refusal(error, code))
}

/// Who must act on a refusal
/// (<https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes>).
fn refusal(error: Error, code: Option<String>) -> Error {
    let Some(code) = code.or_else(|| xml::text(error.message(), "Code")) else {
        return error;
    };
    let said = xml::text(error.message(), "Message").unwrap_or_default();
    // Ids for the vendor's support follow behind.
    let said = said.split("RequestId:").next().unwrap_or_default().trim().trim_end_matches('.');
    let (class, field, advice) = match code.as_str() {
        "AuthenticationFailed" | "InvalidAuthenticationInfo" | "NoAuthenticationInformation" => (
            Class::Settings,
            "accessKey",
            "Check the account and its key, SAS token or service principal.",
        ),
        "AuthorizationFailure"
        | "AuthorizationPermissionMismatch"
        | "AuthorizationProtocolMismatch"
        | "AuthorizationResourceTypeMismatch"
        | "AuthorizationServiceMismatch"
        | "AuthorizationSourceIPMismatch"
        | "InsufficientAccountPermissions"
        | "KeyBasedAuthenticationNotPermitted"
        | "AccountIsDisabled" => {
            (Class::Settings, "", "Give these credentials the right to do this, or use others.")
        }
        "ContainerNotFound" | "ContainerBeingDeleted" | "ContainerDisabled" => {
            (Class::Form, "container", "Choose another container.")
        }
        "BlobAlreadyExists" | "ConditionNotMet" | "TargetConditionNotMet" => (
            Class::Form,
            "filename",
            "A file of this name already stands there. Choose another name, or another answer to \
             what happens if the file exists.",
        ),
        "InvalidResourceName" | "BlobImmutableDueToPolicy" | "BlobArchived" => {
            (Class::Form, "filename", "Choose another name.")
        }
        _ => (Class::Vendor, "", ""),
    };
    let status = error.http_status().unwrap_or(0);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let mut message = format!("{NAME} refused ({status} {code}){said}.");
    if !advice.is_empty() {
        message = format!("{message} {advice}");
    }
    let error = reworded(error, class, message);
    // What HTTP later gave a status of its own.
    let error = if code == "ServerBusy" { error.status(429) } else { error };
    if field.is_empty() { error } else { error.field(field) }
}

/// One blob that is being written.
pub(crate) struct Blob<'a> {
    pub(crate) azure: &'a Azure,
    /// Container and blob, with a slash in front.
    pub(crate) path: String,
    /// Content type, metadata, tier and the like.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Tells this delivery's blob from any other of the same name.
    pub(crate) delivery: String,
    /// Only if no blob of this name stands there.
    pub(crate) new_only: bool,
}

/// Names of metadata are identifiers, so that there is no hyphen.
const DELIVERY: &str = "x-ms-meta-sendoff_delivery";

impl Blob<'_> {
    fn ask(&self, method: Method) -> Ask<'_> {
        Ask { method, path: &self.path, ..Ask::default() }
    }

    fn described(&self) -> Vec<(&'static str, String)> {
        let mut headers = self.headers.clone();
        headers.push((DELIVERY, self.delivery.clone()));
        if self.new_only {
            headers.push(("if-none-match", "*".to_owned()));
        }
        headers
    }

    async fn put(&self, ask: Ask<'_>) -> Result<()> {
        let reply = success(self.azure.send(ask).await?).await?;
        if reply.status() == StatusCode::CREATED {
            return Ok(());
        }
        let status = reply.status().as_u16();
        Err(Error::vendor(format!(
            "{NAME} answered {status} where 201 was due. Check the endpoint in the settings."
        ))
        .status(status))
    }
}

impl Upload for Blob<'_> {
    type Hash = Md5;
    const MOST_PARTS: usize = 50_000;

    fn vendor(&self) -> &'static str {
        NAME
    }

    async fn whole(&self, part: Part) -> Result<()> {
        let mut headers = self.described();
        headers.push(("x-ms-blob-type", "BlockBlob".to_owned()));
        headers.push(("content-md5", base64_simd::STANDARD.encode_to_string(part.hash)));
        self.put(Ask { headers, body: part.bytes, ..self.ask(Method::PUT) }).await
    }

    async fn begin(&self) -> Result<String> {
        // Nothing is asked: the id only keeps the blocks of two deliveries apart.
        Ok(self.delivery.clone())
    }

    async fn part(&self, upload: &str, number: usize, part: Part) -> Result<String> {
        // Ids of one blob must be of the same length.
        let id = base64_simd::STANDARD.encode_to_string(format!("{upload}-{number:06}"));
        let query = vec![("comp", "block".to_owned()), ("blockid", id.clone())];
        let headers = vec![("content-md5", base64_simd::STANDARD.encode_to_string(part.hash))];
        self.put(Ask { query, headers, body: part.bytes, ..self.ask(Method::PUT) }).await?;
        Ok(id)
    }

    async fn commit(&self, _: &str, parts: &[String]) -> Result<()> {
        let mut body = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
        for id in parts {
            body.push_str(&format!("<Latest>{id}</Latest>"));
        }
        body.push_str("</BlockList>");
        let mut headers = self.described();
        let md5 = Md5::digest(&body);
        headers.push(("content-md5", base64_simd::STANDARD.encode_to_string(md5)));
        headers.push(("content-type", "application/xml".to_owned()));
        let query = vec![("comp", "blocklist".to_owned())];
        self.put(Ask { query, headers, body: body.into(), ..self.ask(Method::PUT) }).await
    }

    async fn abandon(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn stands(&self, bytes: u64) -> Result<bool> {
        let ask = Ask { last_words: self.azure.last_words(), ..self.ask(Method::HEAD) };
        let reply = self.azure.send(ask).await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let reply = reply.success().await?;
        let size = reply.header("content-length").and_then(|len| len.parse::<u64>().ok());
        Ok(size == Some(bytes) && reply.header(DELIVERY) == Some(&self.delivery))
    }
}

/// The text of a metadata header, which must be ASCII.
pub(crate) fn metadata(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string().replace("%20", " ").trim().to_owned()
}

#[cfg(test)]
mod tests;
